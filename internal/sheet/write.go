package sheet

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
)

// ProductColumns and UnitColumns are the columns of what is written.
var (
	ProductColumns = []string{"sku", "name", "description", "price", "currency", "image_url", "selling", "attributes"}
	UnitColumns    = []string{"sku", "serial", "quantity", "reference"}
)

// Writer writes a sheet in our own columns, which Read reads as it was.
type Writer struct {
	csv *csv.Writer
}

// NewWriter begins a sheet with its header.
func NewWriter(w io.Writer, columns []string) *Writer {
	c := csv.NewWriter(w)
	_ = c.Write(columns) // Flush tells
	return &Writer{c}
}

// Product writes a line of ProductColumns.
func (w *Writer) Product(p Product) {
	price, currency, attributes := "", "", p.Attributes
	if p.Price != nil {
		price, currency = priceText(*p.Price), p.Price.Currency
	}
	if string(attributes) == "{}" {
		attributes = json.RawMessage{}
	}
	selling := ""
	if p.Selling != nil {
		selling = strconv.FormatBool(*p.Selling)
	}
	_ = w.csv.Write([]string{marked(p.SKU), marked(p.Name), marked(p.Description), price, currency, marked(p.ImageURL), selling, marked(string(attributes))})
}

// Stock writes a line of UnitColumns.
func (w *Writer) Stock(s Stock) {
	_ = w.csv.Write([]string{marked(s.SKU), marked(s.Serial), strconv.Itoa(s.Quantity), marked(s.Reference)})
}

// Flush writes what is buffered, and tells what went wrong with all that was written.
func (w *Writer) Flush() error {
	w.csv.Flush()
	return w.csv.Error()
}
