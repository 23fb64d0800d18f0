package sheet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// shopifyNames are the columns of Shopify's product export that are read, by the names that they have now or had.
var shopifyNames = map[string]string{
	"handle": "handle", "url handle": "handle",
	"title":       "title",
	"body (html)": "body (html)", "description": "body (html)",
	"vendor": "vendor", "type": "type", "tags": "tags",
	"published": "published", "published on online store": "published", "status": "status",
	"option1 name": "option1 name", "option1 value": "option1 value", "option2 name": "option2 name", "option2 value": "option2 value",
	"option3 name": "option3 name", "option3 value": "option3 value",
	"variant sku": "variant sku", "sku": "variant sku",
	"variant price": "variant price", "price": "variant price",
	"variant inventory qty": "variant inventory qty", "inventory quantity": "variant inventory qty",
	"image src": "image src", "product image url": "image src",
	"variant image": "variant image", "variant image url": "variant image",
}

// shopifyColumn is empty for columns that are not read.
func shopifyColumn(name string) string { return shopifyNames[name] }

// inventoryColumn is empty for columns that are not read.
func inventoryColumn(name string) string {
	name = strings.TrimSuffix(name, " (not editable)")
	switch name {
	case "on hand (current)":
		return "on hand"
	case "sku", "location", "available", "on hand", "on hand (new)", "committed", "unavailable":
		return name
	}
	return ""
}

// ShopifyAttributes are the names among a product's attributes that a product export sets; others stay as they are.
var ShopifyAttributes = []string{"handle", "options", "tags", "type", "vendor"}

// handle is what the first line of a handle says of all its variants.
type handle struct {
	title, body, vendor, kind, image string
	tags                             []string
	selling                          *bool
	options                          [3]string // their names
	bad                              bool
}

var optionNames, optionValues = [3]string{"option1 name", "option2 name", "option3 name"}, [3]string{"option1 value", "option2 value", "option3 value"}

// shopifyProduct reads a line of a product export. The first line of a handle describes the product, each line with a SKU a variant; others have further pictures.
func (l *line) shopifyProduct() {
	name := l.trimmed("handle")
	if name == "" {
		l.wrong("handle", "is missing: every line needs it")
		return
	}
	of, known := l.p.handles[name]
	if !known {
		of = l.handle()
		l.p.handles[name] = of
	}
	isVariant := l.trimmed("variant sku") != "" || l.trimmed("variant price") != "" || l.trimmed("variant inventory qty") != "" || l.trimmed("option1 value") != ""
	if of.bad || !isVariant {
		return
	}
	// Shopify writes an apostrophe before a SKU of digits, lest a spreadsheet take it for a number.
	sku := l.sku("variant sku", strings.TrimPrefix(l.trimmed("variant sku"), "'"))
	product := Product{
		Line: l.at, SKU: sku, Name: l.nameOf(of), Description: of.body, ImageURL: l.trimmed("variant image"), Price: l.price("variant price", l.p.currency),
		Attributes: l.attributesOf(name, of), Selling: of.selling,
	}
	if product.ImageURL == "" {
		product.ImageURL = of.image
	}
	l.lengths(product)
	level := 0
	text := l.trimmed("variant inventory qty")
	if text != "" {
		level = l.level("variant inventory qty", text)
	}
	if l.bad {
		return
	}
	l.onlyOnce(sku, Stock{}, true)
	if l.bad {
		return
	}
	l.p.sheet.Products = append(l.p.sheet.Products, product)
	if level > 0 {
		l.p.sheet.Stock = append(l.p.sheet.Stock, Stock{Line: l.at, SKU: sku, Quantity: level, Level: true})
	}
}

func (l *line) handle() *handle {
	of := &handle{title: l.trimmed("title"), body: plainText(l.cell("body (html)")), vendor: l.trimmed("vendor"), kind: l.trimmed("type"), image: l.trimmed("image src")}
	if of.title == "" && l.p.header.has("title") {
		l.wrong("title", "is missing: the first line of a handle must have it")
	}
	for tag := range strings.SplitSeq(l.cell("tags"), ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			of.tags = append(of.tags, tag)
		}
	}
	for i, column := range optionNames {
		of.options[i] = l.trimmed(column)
	}
	of.selling = l.boolean("published")
	switch strings.ToLower(l.trimmed("status")) {
	case "", "active":
	case "draft", "archived", "unlisted":
		of.selling = new(bool)
	default:
		l.wrong("status", "must be active, draft, archived or unlisted")
	}
	if of.selling == nil && strings.EqualFold(l.trimmed("status"), "active") {
		yes := true
		of.selling = &yes
	}
	of.bad = l.bad
	return of
}

// options are the values of a variant's options, which a product without variants has not.
func (l *line) options(of *handle) (values []string, byName map[string]string) {
	byName = map[string]string{}
	for i, column := range optionValues {
		value := l.trimmed(column)
		if value == "" || value == "Default Title" {
			continue
		}
		values = append(values, value)
		if of.options[i] != "" {
			byName[of.options[i]] = value
		}
	}
	return values, byName
}

func (l *line) nameOf(of *handle) string {
	if values, _ := l.options(of); len(values) > 0 && of.title != "" {
		return of.title + " - " + strings.Join(values, " / ")
	}
	return of.title
}

func (l *line) attributesOf(name string, of *handle) json.RawMessage {
	all := map[string]any{"handle": name}
	if of.vendor != "" {
		all["vendor"] = of.vendor
	}
	if of.kind != "" {
		all["type"] = of.kind
	}
	if len(of.tags) > 0 {
		all["tags"] = of.tags
	}
	if _, options := l.options(of); len(options) > 0 {
		all["options"] = options
	}
	return encoded(all)
}

// level reads how many units there are. Shopify has fewer than none where it has sold what was not there: that is none.
func (l *line) level(column, text string) int {
	n, ok := whole(text)
	if !ok || n > MaxQuantity {
		l.wrong(column, fmt.Sprintf("must be a whole number up to %d, in digits alone", MaxQuantity))
	}
	return n
}

// level is how many units of a product there are, over all places that a shop has.
type level struct {
	sku      string
	line     int
	quantity int
	stocked  bool
}

// inventory reads a line of an inventory export: what can be sold of a variant at a place.
func (l *line) inventory() {
	can, stocked := l.sellable()
	text := strings.TrimPrefix(l.trimmed("sku"), "'")
	if l.bad || text == "" && (!stocked || can <= 0) {
		return // a variant without a SKU, of which nothing comes
	}
	sku := l.sku("sku", text)
	if l.bad {
		return
	}
	if first, ok := l.p.once(sku+"\x00"+l.trimmed("location"), l.at); !ok {
		l.wrong("sku", fmt.Sprintf("stands twice for this location, first on line %d: two variants can't have one SKU here", first))
		return
	}
	of, known := l.p.levels[sku]
	if !known {
		of = &level{sku: sku, line: l.at}
		l.p.levels[sku] = of
		l.p.order = append(l.p.order, of)
	}
	of.quantity += can
	of.stocked = of.stocked || stocked
}

// sellable is Available, corrected by what somebody has written into On hand (new); without Available what is on hand and neither promised to orders nor unavailable. A
// place where it is not stocked has none.
func (l *line) sellable() (units int, stocked bool) {
	number := func(column string) (int, bool) {
		text := l.trimmed(column)
		if text == "" || strings.EqualFold(text, "not stocked") {
			return 0, false
		}
		return l.level(column, text), true
	}
	available, hasAvailable := number("available")
	now, hasNow := number("on hand")
	next, hasNext := number("on hand (new)")
	committed, _ := number("committed")
	unavailable, _ := number("unavailable")
	switch {
	case hasNext && hasAvailable && hasNow:
		return available + next - now, true
	case hasNext:
		return next - committed - unavailable, true
	case hasAvailable:
		return available, true
	case hasNow:
		return now - committed - unavailable, true
	}
	return 0, false
}

// endInventory makes stock of the levels.
func (p *parser) endInventory() {
	for _, of := range p.order {
		switch {
		case of.quantity > MaxQuantity:
			p.sheet.Add(of.line, "sku", fmt.Sprintf("has more than %d units over all locations", MaxQuantity))
		case of.stocked && of.quantity > 0:
			p.sheet.Stock = append(p.sheet.Stock, Stock{Line: of.line, SKU: of.sku, Quantity: of.quantity, Level: true})
		}
	}
}

// blocks are the elements that begin a new line.
var blocks = []atom.Atom{
	atom.Address, atom.Article, atom.Blockquote, atom.Br, atom.Dd, atom.Div, atom.Dl, atom.Dt, atom.Figure, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Hr,
	atom.Li, atom.Ol, atom.P, atom.Pre, atom.Section, atom.Table, atom.Tr, atom.Ul,
}

// plainText is what a piece of HTML says, a line for each block.
func plainText(markup string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(markup))
	hidden := 0
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			var lines []string
			for one := range strings.SplitSeq(out.String(), "\n") {
				if one = strings.Join(strings.Fields(one), " "); one != "" {
					lines = append(lines, one)
				}
			}
			return strings.Join(lines, "\n")
		case html.TextToken:
			if hidden == 0 {
				out.WriteString(strings.NewReplacer("\n", " ", "\r", " ").Replace(string(z.Text())))
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			if a == atom.Script || a == atom.Style {
				hidden += map[html.TokenType]int{html.StartTagToken: 1, html.EndTagToken: -1}[kind]
				hidden = max(hidden, 0)
			}
			if slices.Contains(blocks, a) {
				out.WriteByte('\n')
			} else if a == atom.Td || a == atom.Th {
				out.WriteByte(' ')
			}
		}
	}
}
