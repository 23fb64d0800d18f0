package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/lastunit/lastunit/internal/shop"
)

const exportOrdersText = "All orders that the filters ask for, the newest first, as a stream. `csv` has a line for each line of an order, below a line of names; " +
	"`jsonl` has an order, as GET shows it, on each line. Amounts are in minor units. A cell of `csv` that a spreadsheet would take for a formula begins with an apostrophe. " +
	"A stream that breaks off is incomplete: the connection ends without the end of the body, so that clients report an error."

type exportOrdersInput struct {
	OrderFilter
	Format string `query:"format" enum:"csv,jsonl" default:"csv" doc:"csv or JSON lines."`
}

// Resolve implements huma.Resolver.
func (*exportOrdersInput) Resolve(hc huma.Context) []error {
	return append(filtersMean(hc, orderFilters...), filtersMean(hc, "format")...)
}

func (a *api) exportOrders(ctx context.Context, in *exportOrdersInput) (*huma.StreamResponse, error) {
	f, err := in.filter(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humachi.Unwrap(hc)
		e := &export{w: w, connection: http.NewResponseController(w), mediaType: "text/csv; charset=utf-8", name: "orders." + in.Format, write: writeCSV}
		if in.Format == "jsonl" {
			e.mediaType, e.write = "application/jsonl", writeJSONLines
		}
		err := a.shop.ExportOrders(ctx, f, e.page)
		if err == nil {
			return
		}
		if e.readerGone {
			panic(http.ErrAbortHandler)
		}
		p := a.problem(ctx, "exportOrders", err)
		if e.began {
			// Nothing more can be said than that this is not all: the body ends without its end.
			panic(http.ErrAbortHandler)
		}
		a.write(hc, p)
	}}, nil
}

// export writes pages of orders to whoever asked for them.
type export struct {
	w               http.ResponseWriter
	connection      *http.ResponseController
	mediaType, name string
	write           func(w io.Writer, orders []Order, first bool) error
	began           bool
	readerGone      bool
}

func (e *export) page(orders []shop.Order) error {
	first := !e.began
	if first {
		h := e.w.Header()
		h.Set("Content-Type", e.mediaType)
		h.Set("Content-Disposition", `attachment; filename="`+e.name+`"`)
		h.Set("Cache-Control", "no-store")
		e.began = true
	}
	out := make([]Order, len(orders))
	for i, o := range orders {
		out[i] = orderOut(o)
	}
	var page bytes.Buffer
	if err := e.write(&page, out, first); err != nil {
		return err
	}
	_, err := e.w.Write(page.Bytes()) // at once: each page is given the time that an answer is given (inTime)
	if err == nil {
		err = e.connection.Flush()
	}
	e.readerGone = err != nil
	return err
}

func writeJSONLines(w io.Writer, orders []Order, _ bool) error {
	e := json.NewEncoder(w)
	for _, o := range orders {
		if err := e.Encode(o); err != nil {
			return err
		}
	}
	return nil
}

var csvColumns = []string{
	"order_id", "created_at", "status", "reason", "buyer", "reference", "provider", "payment_status", "currency", "total", "refunded", "pay_by",
	"transaction_id", "sku", "quantity", "price", "sale_id", "unit_ids", "returned_unit_ids",
}

func writeCSV(w io.Writer, orders []Order, first bool) error {
	c := csv.NewWriter(w)
	if first {
		_ = c.Write(csvColumns) // Error tells
	}
	for _, o := range orders {
		lines := o.Lines
		if len(lines) == 0 {
			lines = []OrderLine{{}} // an order is never missing
		}
		for _, l := range lines {
			_ = c.Write(csvRecord(o, l))
		}
	}
	c.Flush()
	return c.Error()
}

func csvRecord(o Order, l OrderLine) []string {
	currency, total := csvMoney(o.Total)
	_, refunded := csvMoney(o.Refunded)
	priceCurrency, price := csvMoney(l.Price)
	payBy := ""
	if o.PayBy != nil {
		payBy = o.PayBy.Format(time.RFC3339Nano)
	}
	quantity := ""
	if l.Quantity > 0 {
		quantity = strconv.Itoa(l.Quantity)
	}
	record := []string{
		o.ID, o.CreatedAt.Format(time.RFC3339Nano), o.Status, orEmpty(o.Reason), o.Buyer, orEmpty(o.Reference), o.Payment.Provider, o.Payment.Status,
		cmp.Or(currency, priceCurrency), total, refunded, payBy,
		l.TransactionID, l.SKU, quantity, price, orEmpty(l.SaleID), strings.Join(l.UnitIDs, " "), strings.Join(l.ReturnedUnitIDs, " "),
	}
	for i, cell := range record {
		record[i] = noFormula(cell)
	}
	return record
}

// noFormula keeps spreadsheets from computing what somebody has sent as a name.
func noFormula(cell string) string {
	if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
		return "'" + cell
	}
	return cell
}

func csvMoney(m *Money) (currency, amount string) {
	if m == nil {
		return "", ""
	}
	return m.Currency, strconv.FormatInt(m.Amount, 10)
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// describeExport writes the answer of an export into the document.
func describeExport(o *huma.Operation) {
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	o.Responses["200"] = &huma.Response{
		Description: "The orders, as they are read.",
		Headers: map[string]*huma.Param{
			"Content-Disposition": {Description: "A name for the file.", Schema: &huma.Schema{Type: huma.TypeString}},
		},
		Content: map[string]*huma.MediaType{"text/csv": text, "application/jsonl": text},
	}
}
