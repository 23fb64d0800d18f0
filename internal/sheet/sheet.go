// Package sheet reads products and stock from CSV, in columns of our own or as Shopify exports them, and says of every line that is wrong what is wrong with it; and
// it writes them in our own. It knows no database.
package sheet

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Kind is whose columns a sheet has. It is recognised by the header.
type Kind string

// The kinds of sheets.
const (
	Own              Kind = "own"
	ShopifyProducts  Kind = "shopify_products"
	ShopifyInventory Kind = "shopify_inventory"
)

// Kinds lists all kinds of sheets.
func Kinds() []Kind { return []Kind{Own, ShopifyProducts, ShopifyInventory} }

// Limits of a sheet.
const (
	MaxLines    = 1_000_000
	MaxCell     = 512 << 10 // bytes
	MaxQuantity = 100_000_000
	MaxProblems = 100 // that are named

	maxColumns = 1000
	headerPeek = 64 << 10
)

// Options of Read.
type Options struct {
	// Currencies are those that prices may be in. Without any, all are in the one that the sheet names; a sheet whose columns name none needs exactly one.
	Currencies []string
}

// Fields are what the columns of a sheet say of products. What they don't say stays as it is.
type Fields struct{ Name, Description, Price, ImageURL, Attributes, Selling bool }

// Any tells whether the sheet says anything of products: else it is about units alone.
func (f Fields) Any() bool { return f != Fields{} }

// Price is of one unit, in minor units of its currency.
type Price struct {
	Minor    int64
	Currency string
}

// Product is what a line says of a product. Texts that are empty, and nil, mean: none.
type Product struct {
	Line                        int
	SKU                         string
	Name, Description, ImageURL string
	Price                       *Price
	Attributes                  json.RawMessage // an object
	Selling                     *bool           // nil: it is not said
}

// Stock is what a line says of units.
type Stock struct {
	Line      int
	SKU       string
	Quantity  int    // of units that come in; 1 with a serial
	Level     bool   // Quantity is how many there are to be after it, not how many come
	Serial    string // of the unit; empty: none
	Reference string // what they came with; empty: it is not said
}

// Problem is something that is wrong. Its message says what to do, and repeats nothing of the cell.
type Problem struct {
	Line    int    // of the file, from 1 on
	Column  string // as the document of the columns calls it; empty: the whole line
	Message string
}

// Sheet is a file that was read.
type Sheet struct {
	Kind         Kind
	Fields       Fields
	Products     []Product // each SKU once
	Stock        []Stock
	Lines        int       // below the header, without empty ones
	Problems     []Problem // the first MaxProblems, by line
	ProblemCount int
}

// Add notes a problem.
func (s *Sheet) Add(line int, column, message string) {
	if s.ProblemCount++; len(s.Problems) < MaxProblems {
		s.Problems = append(s.Problems, Problem{line, column, message})
	}
}

// StockReference names what a sheet says of stock, for lines that have no reference: the same products and quantities have the same one, whatever else the sheet says and
// however it is written.
func (s *Sheet) StockReference() string {
	var said []string
	for _, one := range s.Stock {
		if one.Reference == "" && one.Serial == "" {
			said = append(said, fmt.Sprintf("%s %d %t\n", one.SKU, one.Quantity, one.Level))
		}
	}
	slices.Sort(said)
	hash := sha256.New()
	for _, one := range said {
		_, _ = io.WriteString(hash, one)
	}
	return "import " + hex.EncodeToString(hash.Sum(nil)[:8])
}

// Read reads a sheet to its end: in UTF-8 or UTF-16, with commas, semicolons or tabs. What is wrong with it stands in its Problems; an error is the reader's own.
func Read(r io.Reader, o Options) (*Sheet, error) {
	s := &Sheet{}
	in, wide, err := decoded(r)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(in, headerPeek)
	begin, err := buffered.Peek(headerPeek)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(bytes.TrimSpace(begin)) == 0 {
		s.Add(1, "", "is empty: the first line must name the columns")
		return s, nil
	}
	h, comma := recognise(begin)
	if h == nil {
		s.Add(1, "", "does not name columns that are known: sku for our own, Handle and Variant SKU for Shopify's products, SKU and Location for Shopify's inventory. "+
			"Columns are separated by commas, semicolons or tabs")
		return s, nil
	}
	s.Kind = h.kind
	p := &parser{sheet: s, header: h, wide: wide, currencies: o.Currencies}
	if !p.checkHeader() {
		return s, nil
	}
	if err := p.lines(&records{in: buffered, comma: comma, line: 1}); err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.Problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return s, nil
}

// header is what the first line says.
type header struct {
	kind  Kind
	names []string       // of the columns, as they are known
	at    map[string]int // where each is
	wrong []Problem
}

func (h *header) has(name string) bool {
	_, has := h.at[name]
	return has
}

// recognise finds the separator with which the first line names columns that are known.
func recognise(begin []byte) (*header, byte) {
	for _, comma := range []byte(",;\t") {
		first := &records{in: bufio.NewReader(bytes.NewReader(begin)), comma: comma, line: 1}
		r, err := first.next()
		if err != nil || r.problem != "" {
			continue
		}
		if h := headerOf(r.cells); h != nil {
			return h, comma
		}
	}
	return nil, 0
}

func headerOf(cells []string) *header {
	h := &header{at: map[string]int{}}
	plain := map[string]bool{}
	for _, cell := range cells {
		plain[strings.ToLower(strings.TrimSpace(cell))] = true
	}
	of := func(names ...string) bool { return slices.ContainsFunc(names, func(n string) bool { return plain[n] }) }
	var known func(string) string
	switch {
	case plain["sku"] && plain["location"]:
		h.kind, known = ShopifyInventory, inventoryColumn
	case of("handle", "url handle"):
		h.kind, known = ShopifyProducts, shopifyColumn
	case plain["sku"]:
		h.kind, known = Own, func(name string) string { return name }
	default:
		return nil
	}
	for i, cell := range cells {
		name := known(strings.ToLower(strings.TrimSpace(cell)))
		h.names = append(h.names, name)
		switch {
		case h.kind == Own && !slices.Contains(ownColumns, name):
			h.wrong = append(h.wrong, Problem{1, fmt.Sprintf("column %d", i+1), "is none of ours: take it out, or call it one of " + strings.Join(ownColumns, ", ")})
		case name != "" && h.has(name):
			h.wrong = append(h.wrong, Problem{1, name, "stands twice in the header: take one of the columns out"})
		case name != "":
			h.at[name] = i
		}
	}
	return h
}

// parser reads the lines below a header.
type parser struct {
	sheet      *Sheet
	header     *header
	wide       bool // the file is in UTF-16
	currencies []string
	currency   string // that prices without one of their own are in
	first      int    // the line that named the currency, where only one may be

	seen    map[string]int // what may stand there once, and its line
	handles map[string]*handle
	levels  map[string]*level
	order   []*level
}

// checkHeader tells whether the lines below can be read.
func (p *parser) checkHeader() bool {
	h, s := p.header, p.sheet
	for _, wrong := range h.wrong {
		s.Add(wrong.Line, wrong.Column, wrong.Message)
	}
	need := func(names ...string) {
		for _, name := range names {
			if !h.has(name) {
				s.Add(1, name, "is missing from the header")
			}
		}
	}
	for _, currency := range p.currencies {
		if !currencyForm.MatchString(currency) {
			s.Add(1, "currency", "that was asked for must be three capital letters, such as EUR")
		}
	}
	switch h.kind {
	case Own:
		s.Fields = Fields{h.has("name"), h.has("description"), h.has("price"), h.has("image_url"), h.has("attributes"), h.has("selling")}
		switch {
		case h.has("currency") && !h.has("price"):
			need("price")
		case h.has("price") && !h.has("currency"):
			p.oneCurrency("currency is missing from the header: add the column, or say which one the prices are in")
		}
		if h.has("reference") && !h.has("quantity") && !h.has("serial") {
			need("quantity")
		}
	case ShopifyProducts:
		need("variant sku")
		s.Fields = Fields{h.has("title"), h.has("body (html)"), h.has("variant price"), h.has("image src") || h.has("variant image"), true, h.has("published") || h.has("status")}
		if s.Fields.Price {
			p.oneCurrency("must be said: Shopify's columns do not name the currency of the prices")
		}
	case ShopifyInventory:
		if !h.has("available") && !h.has("on hand") && !h.has("on hand (new)") {
			s.Add(1, "available", "is missing from the header, and so is On hand: one of them must say how many units there are")
		}
	}
	return s.ProblemCount == 0
}

// oneCurrency takes the currency that was asked for.
func (p *parser) oneCurrency(missing string) {
	switch len(p.currencies) {
	case 0:
		p.sheet.Add(1, "currency", missing)
	case 1:
		p.currency = p.currencies[0]
	default:
		p.sheet.Add(1, "currency", "must be one: the columns do not say which price is in which")
	}
}

// lines reads all lines below the header.
func (p *parser) lines(in *records) error {
	s := p.sheet
	p.seen, p.handles, p.levels = map[string]int{}, map[string]*handle{}, map[string]*level{}
	if _, err := in.next(); err != nil { // the header, once more
		return err
	}
	for {
		r, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if r.problem == "" && !slices.ContainsFunc(r.cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			continue
		}
		if s.Lines++; s.Lines > MaxLines {
			s.Add(r.line, "", fmt.Sprintf("and those below are too many: a sheet has at most %d lines; import it in parts", MaxLines))
			return nil
		}
		if r.problem != "" {
			s.Add(r.line, "", r.problem)
			continue
		}
		p.line(r)
	}
	p.endInventory()
	if s.Lines == 0 {
		s.Add(1, "", "names the columns, and no line follows")
	}
	return nil
}

func (p *parser) line(r record) {
	if want, got := len(p.header.names), len(r.cells); got != want {
		hint := "is the file cut off, or a cell with a separator in it without quotes?"
		p.sheet.Add(r.line, "", fmt.Sprintf("has %d cells, and the header names %d columns: %s", got, want, hint))
		return
	}
	l := line{p: p, at: r.line, cells: r.cells}
	if !l.readable() {
		return
	}
	switch p.header.kind {
	case Own:
		l.own()
	case ShopifyProducts:
		l.shopifyProduct()
	case ShopifyInventory:
		l.inventory()
	}
}

// once notes what may stand there once, and tells whether it does.
func (p *parser) once(key string, line int) (first int, ok bool) {
	if first, is := p.seen[key]; is {
		return first, false
	}
	p.seen[key] = line
	return line, true
}
