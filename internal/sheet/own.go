package sheet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ownColumns are the columns of our own sheets.
var ownColumns = []string{"sku", "name", "description", "price", "currency", "image_url", "selling", "attributes", "quantity", "reference", "serial"}

// Limits of texts, in characters.
const (
	maxName        = 200
	maxDescription = 5000
	maxImageURL    = 2000
	maxReference   = 200
	maxSerial      = 100
)

// ReservedSKU can't be a product's: its address is that of a stream of events.
const ReservedSKU = "events"

var (
	skuForm      = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
)

// line is a line that is being read.
type line struct {
	p     *parser
	at    int
	cells []string
	bad   bool
}

// wrong notes what is wrong with a column. A line of which something is wrong brings nothing.
func (l *line) wrong(column, message string) {
	l.bad = true
	l.p.sheet.Add(l.at, column, message)
}

// cell is the text of a column; empty where the sheet has none.
func (l *line) cell(column string) string {
	if i, has := l.p.header.at[column]; has {
		return l.cells[i]
	}
	return ""
}

func (l *line) trimmed(column string) string { return strings.TrimSpace(l.cell(column)) }

// readable refuses what can't be stored, or is not what was meant.
func (l *line) readable() bool {
	for i, cell := range l.cells {
		column := l.p.header.names[i]
		switch {
		case !utf8.ValidString(cell):
			l.wrong(column, "is neither UTF-8 nor UTF-16: save the sheet as CSV in UTF-8")
		case strings.ContainsRune(cell, 0):
			l.wrong(column, "holds a character that can't be stored (U+0000)")
		case l.p.wide && strings.ContainsRune(cell, utf8.RuneError):
			l.wrong(column, "holds half a character: is the file cut off?")
		}
	}
	return !l.bad
}

// own reads a line in our own columns.
func (l *line) own() {
	text := func(column string) string { return unmarked(l.cell(column)) }
	product := Product{
		Line: l.at, SKU: l.sku("sku", strings.TrimSpace(unmarked(l.trimmed("sku")))), Name: text("name"), Description: text("description"), ImageURL: text("image_url"),
		Price: l.price("price", l.currency()), Attributes: l.attributes(text("attributes")), Selling: l.boolean("selling"),
	}
	l.lengths(product)
	stock := Stock{Line: l.at, SKU: product.SKU, Quantity: l.quantity(), Serial: text("serial"), Reference: text("reference")}
	l.atMost("serial", stock.Serial, maxSerial)
	l.atMost("reference", stock.Reference, maxReference)
	if stock.Serial != "" {
		switch {
		case l.trimmed("quantity") == "":
			stock.Quantity = 1
		case stock.Quantity != 1 && !l.bad:
			l.wrong("quantity", "must be 1 or empty on a line with a serial: a serial names one unit")
		}
	}
	if l.bad {
		return
	}
	isProduct := l.p.sheet.Fields.Any() || !l.p.header.has("quantity") && !l.p.header.has("serial")
	l.onlyOnce(product.SKU, stock, isProduct)
	if l.bad {
		return
	}
	if isProduct {
		l.p.sheet.Products = append(l.p.sheet.Products, product)
	}
	if stock.Quantity > 0 {
		l.p.sheet.Stock = append(l.p.sheet.Stock, stock)
	}
}

// onlyOnce refuses what another line has said already: products stand there once; units of a product once with a reference, or with a serial.
func (l *line) onlyOnce(sku string, stock Stock, isProduct bool) {
	key, column, message := sku, "sku", "stands twice in the sheet, first on line %d: put all of a product on one line"
	switch {
	case isProduct:
	case stock.Serial != "":
		key, column, message = sku+"\x00s"+stock.Serial, "serial", "stands twice for this product, first on line %d: a serial names one unit"
	case l.p.header.has("reference"):
		key, column, message = sku+"\x00r"+stock.Reference, "reference", "stands twice for this product, first on line %d: add the quantities up, or give each delivery its own reference"
	default:
		message = "stands twice in the sheet, first on line %d: add the quantities up, or give each line a reference"
	}
	if first, ok := l.p.once(key, l.at); !ok {
		l.wrong(column, fmt.Sprintf(message, first))
	}
}

func (l *line) sku(column, sku string) string {
	switch {
	case sku == "":
		l.wrong(column, "is missing: every product needs one")
	case !skuForm.MatchString(sku):
		l.wrong(column, "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")
	case sku == ReservedSKU:
		l.wrong(column, "must not be "+ReservedSKU+": its address is that of a stream; choose another")
	}
	return sku
}

func (l *line) lengths(p Product) {
	l.atMost("name", p.Name, maxName)
	l.atMost("description", p.Description, maxDescription)
	l.atMost("image_url", p.ImageURL, maxImageURL)
}

func (l *line) atMost(column, text string, most int) {
	if utf8.RuneCountInString(text) > most {
		l.wrong(column, fmt.Sprintf("is longer than %d characters: shorten it", most))
	}
}

// currency is what the line's price is in, empty where it has none.
func (l *line) currency() string {
	p := l.p
	if !p.header.has("currency") {
		return p.currency
	}
	currency := l.trimmed("currency")
	switch {
	case l.trimmed("price") == "":
		if currency != "" {
			l.wrong("price", "is missing: a line with a currency needs one")
		}
	case !currencyForm.MatchString(currency):
		l.wrong("currency", "must be three capital letters, such as EUR")
	case len(p.currencies) > 0:
		allowed := false
		for _, one := range p.currencies {
			allowed = allowed || one == currency
		}
		if !allowed {
			l.wrong("currency", "is not one of those that were asked for")
		}
	case p.first == 0:
		p.first, p.currency = l.at, currency
	case currency != p.currency:
		l.wrong("currency", fmt.Sprintf("is another one than on line %d: an order is in one currency, so import a sheet for each, or say that both are meant", p.first))
	}
	return currency
}

func (l *line) price(column, currency string) *Price {
	text := l.trimmed(column)
	if text == "" || !currencyForm.MatchString(currency) {
		return nil
	}
	minor, wrong := minorUnits(text, currency)
	if wrong != "" {
		l.wrong(column, wrong)
		return nil
	}
	return &Price{minor, currency}
}

func (l *line) boolean(column string) *bool {
	switch text := strings.ToLower(l.trimmed(column)); text {
	case "":
		return nil
	case "true", "false":
		is := text == "true"
		return &is
	}
	l.wrong(column, "must be true or false")
	return nil
}

func (l *line) quantity() int {
	text := l.trimmed("quantity")
	if text == "" {
		return 0
	}
	n, ok := whole(text)
	if !ok || n < 0 || n > MaxQuantity {
		l.wrong("quantity", fmt.Sprintf("must be a whole number from 0 to %d, in digits alone", MaxQuantity))
		return 0
	}
	return n
}

// attributes reads a JSON object that can be stored and given back as it is.
func (l *line) attributes(text string) json.RawMessage {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if d.Decode(&object) != nil || object == nil || !json.Valid([]byte(text)) || !storable(object, 1) {
		l.wrong("attributes", `must be a JSON object, such as {"colour": "blue"}, or empty`)
		return nil
	}
	if len(object) == 0 {
		return nil
	}
	return encoded(object)
}

// encoded writes an object anew, with its numbers as they were written: what is half a character of UTF-16, which PostgreSQL refuses, is none any more.
func encoded(object map[string]any) json.RawMessage {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(object) // it was decoded
	return bytes.TrimSpace(out.Bytes())
}

const jsonDepth = 100

// storable tells whether PostgreSQL holds a value.
func storable(value any, depth int) bool {
	if depth > jsonDepth {
		return false
	}
	switch v := value.(type) {
	case string:
		return !strings.ContainsRune(v, 0)
	case json.Number:
		f, err := v.Float64()
		digits, _, _ := strings.Cut(strings.ToLower(v.String()), "e")
		return err == nil && len(v) <= 1000 && (f != 0 || !strings.ContainsAny(digits, "123456789"))
	case []any:
		for _, one := range v {
			if !storable(one, depth+1) {
				return false
			}
		}
	case map[string]any:
		for name, one := range v {
			if strings.ContainsRune(name, 0) || !storable(one, depth+1) {
				return false
			}
		}
	}
	return true
}

// formula is how a cell begins that a spreadsheet would compute.
const formula = "=+-@\t\r"

// marked keeps spreadsheets from computing a cell: it gets an apostrophe, which unmarked takes off again. A cell of apostrophes before such a beginning gets one more.
func marked(cell string) string {
	if rest := strings.TrimLeft(cell, "'"); rest != "" && strings.ContainsRune(formula, rune(rest[0])) {
		return "'" + cell
	}
	return cell
}

func unmarked(cell string) string {
	if marked(cell) != cell && cell[0] == '\'' {
		return cell[1:]
	}
	return cell
}
