package sheet_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/unicode"

	"github.com/lastunit/lastunit/internal/sheet"
)

func read(t testing.TB, text string, currencies ...string) *sheet.Sheet {
	t.Helper()
	s, err := sheet.Read(strings.NewReader(text), sheet.Options{Currencies: currencies})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// good fails the test when anything is wrong with a sheet.
func good(t testing.TB, s *sheet.Sheet) *sheet.Sheet {
	t.Helper()
	if s.ProblemCount > 0 {
		t.Fatalf("%d problems: %v", s.ProblemCount, s.Problems)
	}
	return s
}

func yes(is bool) *bool { return &is }

func TestOwnColumns(t *testing.T) {
	t.Parallel()
	s := good(t, read(t, "SKU,Name,description,price,Currency,image_url,selling,attributes,quantity,reference\r\n"+
		"mug, Blue mug ,\"two\r\nlines, \"\"quoted\"\"\",12.9,EUR,/mug.png,TRUE,\"{\"\"b\"\": 1.50}\",500,delivery 1\r\n"+
		"\r\n,,,,,,,,,\r\n"+
		"cup,,,,,,,,0,\r\n"+
		"'-1.5,'=1+1,'s-Hertogenbosch,0,EUR,,false,,,"))
	want := []sheet.Product{
		{Line: 2, SKU: "mug", Name: " Blue mug ", Description: "two\r\nlines, \"quoted\"", ImageURL: "/mug.png", Price: &sheet.Price{Minor: 1290, Currency: "EUR"},
			Attributes: []byte(`{"b":1.50}`), Selling: yes(true)},
		{Line: 6, SKU: "cup"},
		{Line: 7, SKU: "-1.5", Name: "=1+1", Description: "'s-Hertogenbosch", Price: &sheet.Price{Currency: "EUR"}, Selling: yes(false)},
	}
	if s.Kind != sheet.Own || s.Lines != 3 || !reflect.DeepEqual(s.Products, want) {
		t.Errorf("got %s, %d lines, %+v, want %+v", s.Kind, s.Lines, s.Products, want)
	}
	if want := []sheet.Stock{{Line: 2, SKU: "mug", Quantity: 500, Reference: "delivery 1"}}; !reflect.DeepEqual(s.Stock, want) {
		t.Errorf("got %+v, want %+v", s.Stock, want)
	}
	if s := good(t, read(t, "sku,attributes\nmug,\"{\"\"b\"\": \"\"\\ud800<\"\", \"\"a\"\": 0.0}\"\n")); string(s.Products[0].Attributes) != "{\"a\":0.0,\"b\":\"\ufffd<\"}" {
		t.Errorf("got %s", s.Products[0].Attributes)
	}
	if s := good(t, read(t, "sku\nmug\n")); len(s.Products) != 1 || s.Fields.Any() {
		t.Errorf("got %+v", s)
	}
	if s := good(t, read(t, "sku,price\nmug,7", "JPY")); s.Fields != (sheet.Fields{Price: true}) || s.Products[0].Price.Minor != 7 {
		t.Errorf("got %+v", s)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	s := good(t, read(t, "sku,serial,quantity,reference\nmug,S-1,1,a\nmug,S-2,,a\nmug,,7,a\nmug,,8,b\ncup,S-1,,\n"))
	want := []sheet.Stock{
		{Line: 2, SKU: "mug", Quantity: 1, Serial: "S-1", Reference: "a"}, {Line: 3, SKU: "mug", Quantity: 1, Serial: "S-2", Reference: "a"},
		{Line: 4, SKU: "mug", Quantity: 7, Reference: "a"}, {Line: 5, SKU: "mug", Quantity: 8, Reference: "b"}, {Line: 6, SKU: "cup", Quantity: 1, Serial: "S-1"},
	}
	if s.Fields.Any() || len(s.Products) != 0 || !reflect.DeepEqual(s.Stock, want) {
		t.Errorf("got %+v, want %+v", s.Stock, want)
	}
}

// TestStockReference: what a sheet says of stock has one name, however it is written and whatever else it says.
func TestStockReference(t *testing.T) {
	t.Parallel()
	first := read(t, "sku,name,quantity\nmug,Mug,5\ncup,Cup,6\n").StockReference()
	for _, same := range []string{"sku;quantity\ncup;6\nmug;5", "\ufeffquantity,sku,name\r\n6,cup,Another name\r\n5,mug,\r\n0,hat,\r\n"} {
		if got := good(t, read(t, same)).StockReference(); got != first {
			t.Errorf("%q is %s, want %s", same, got, first)
		}
	}
	for _, other := range []string{"sku,quantity\nmug,5\ncup,7\n", "sku,quantity\nmug,5\n"} {
		if got := good(t, read(t, other)).StockReference(); got == first {
			t.Errorf("%q is %s as well", other, got)
		}
	}
}

func TestEncodingsAndSeparators(t *testing.T) {
	t.Parallel()
	const text = "sku,name,quantity\nmug,Bl\u00fce \U0001F375 mug,5\n"
	want := good(t, read(t, text))
	wide := func(order unicode.Endianness, mark unicode.BOMPolicy) string {
		got, err := unicode.UTF16(order, mark).NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for name, written := range map[string]string{
		"a byte order mark":              "\ufeff" + text,
		"semicolons":                     strings.ReplaceAll(text, ",", ";"),
		"tabs":                           strings.ReplaceAll(text, ",", "\t"),
		"CRLF":                           strings.ReplaceAll(text, "\n", "\r\n"),
		"no end of line":                 strings.TrimSuffix(text, "\n"),
		"quotes":                         `"sku","name","quantity"` + "\n" + "\"mug\",\"Bl\u00fce \U0001F375 mug\",\"5\"\r\n",
		"UTF-16, little end first":       wide(unicode.LittleEndian, unicode.UseBOM),
		"UTF-16, big end first":          wide(unicode.BigEndian, unicode.UseBOM),
		"UTF-16, little, without a mark": wide(unicode.LittleEndian, unicode.IgnoreBOM),
		"UTF-16, big, without a mark":    wide(unicode.BigEndian, unicode.IgnoreBOM),
	} {
		if got := good(t, read(t, written)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// TestBadSheets: each is refused with the line, the column and what to do; what is right beside it is read.
func TestBadSheets(t *testing.T) {
	t.Parallel()
	const columns = "sku,name,price,currency,quantity\n"
	long := strings.Repeat("x", 10<<20)
	for name, bad := range map[string]struct {
		text       string
		currencies []string
		want       []string // line, column: a part of the message
	}{
		"an empty file":                     {"", nil, []string{"1, : is empty"}},
		"spaces alone":                      {" \n\n", nil, []string{"1, : is empty"}},
		"a byte order mark alone":           {"\ufeff", nil, []string{"1, : is empty"}},
		"a header alone":                    {columns, nil, []string{"1, : no line follows"}},
		"a header and empty lines":          {columns + ",,,,\n\n", nil, []string{"1, : no line follows"}},
		"no header":                         {"mug,Mug,12.90,EUR,5\n", nil, []string{"1, : does not name columns"}},
		"a picture":                         {"\x89PNG\r\n\x1a\n\x00\x00", nil, []string{"1, : does not name columns"}},
		"another separator":                 {strings.ReplaceAll(columns, ",", "|"), nil, []string{"1, : does not name columns"}},
		"no sku":                            {"name,price\nMug,1\n", nil, []string{"1, : does not name columns"}},
		"a column of another name":          {"sku,nmae\nmug,Mug\n", nil, []string{"1, column 2: is none of ours"}},
		"a column twice":                    {"sku,name,Name\nmug,Mug,Mug\n", nil, []string{"1, name: stands twice"}},
		"no currency":                       {"sku,price\nmug,1\n", nil, []string{"1, currency: is missing"}},
		"two for no column":                 {"sku,price\nmug,1\n", []string{"EUR", "USD"}, []string{"1, currency: must be one"}},
		"a currency that is none":           {"sku,price\nmug,1\n", []string{"Euro"}, []string{"1, currency: three capital letters"}},
		"no price":                          {"sku,currency\nmug,EUR\n", nil, []string{"1, price: is missing"}},
		"a reference of nothing":            {"sku,reference\nmug,a\n", nil, []string{"1, quantity: is missing"}},
		"an SKU twice":                      {columns + "mug,Mug,,,\ncup,,,,\nmug,Mug,,,\n", nil, []string{"4, sku: first on line 2"}},
		"an SKU twice, in stock alone":      {"sku,quantity\nmug,1\nmug,2\n", nil, []string{"3, sku: first on line 2"}},
		"a reference twice":                 {"sku,quantity,reference\nmug,1,a\nmug,2,a\n", nil, []string{"3, reference: first on line 2"}},
		"a serial twice":                    {"sku,serial\nmug,a\ncup,a\nmug,a\n", nil, []string{"4, serial: first on line 2"}},
		"two of one serial":                 {"sku,serial,quantity\nmug,a,2\n", nil, []string{"2, quantity: must be 1"}},
		"no SKU":                            {columns + ",Mug,,,\n", nil, []string{"2, sku: is missing"}},
		"an SKU with a space":               {columns + "a b,Mug,,,\n", nil, []string{"2, sku: must be 1 to 64"}},
		"an SKU that is an address":         {columns + "events,Mug,,,\n", nil, []string{"2, sku: must not be events"}},
		"a price with a comma":              {strings.ReplaceAll(columns, ",", ";") + "mug;Mug;12,90;EUR;\n", nil, []string{"2, price: a comma can mean either"}},
		"a price with thousands":            {columns + "mug,Mug,\"1,234.50\",EUR,\n", nil, []string{"2, price: without separators of thousands"}},
		"a price with an exponent":          {columns + "mug,Mug,1e3,EUR,\n", nil, []string{"2, price: without an exponent"}},
		"a negative price":                  {columns + "mug,Mug,-1,EUR,\n", nil, []string{"2, price: must not be negative"}},
		"a price of a cent's tenths":        {columns + "mug,Mug,1.000,EUR,\n", nil, []string{"2, price: more digits"}},
		"a price that no number holds":      {columns + "mug,Mug,9999999999999999,EUR,\n", nil, []string{"2, price: too large"}},
		"a price with a sign":               {columns + "mug,Mug,€ 12,EUR,\n", nil, []string{"2, price: without a currency sign"}},
		"a price without a currency":        {columns + "mug,Mug,12,,\n", nil, []string{"2, currency: three capital letters"}},
		"a currency without a price":        {columns + "mug,Mug,,EUR,\n", nil, []string{"2, price: is missing"}},
		"two currencies":                    {columns + "mug,Mug,12,EUR,\ncup,Cup,12,USD,\n", nil, []string{"3, currency: than on line 2"}},
		"another currency than asked for":   {columns + "mug,Mug,12,EUR,\n", []string{"USD"}, []string{"2, currency: not one of those"}},
		"half a unit":                       {columns + "mug,Mug,,,1.5\n", nil, []string{"2, quantity: whole number"}},
		"a quantity with an exponent":       {columns + "mug,Mug,,,1e3\n", nil, []string{"2, quantity: whole number"}},
		"a quantity with thousands":         {columns + "mug,Mug,,,\"1,000\"\n", nil, []string{"2, quantity: whole number"}},
		"fewer than no units":               {columns + "mug,Mug,,,-1\n", nil, []string{"2, quantity: whole number"}},
		"more units than there can be":      {columns + "mug,Mug,,,100000001\n", nil, []string{"2, quantity: whole number"}},
		"perhaps on sale":                   {"sku,selling\nmug,perhaps\n", nil, []string{"2, selling: true or false"}},
		"attributes that are no object":     {"sku,attributes\nmug,[1]\ncup,{\ncap,null\n", nil, []string{"2, attributes: JSON object", "3, attributes: JSON object", "4, attributes: JSON object"}},
		"attributes that can't be stored":   {"sku,attributes\nmug,\"{\"\"a\"\": \"\"\\u0000\"\"}\"\ncup,{\"a\": 1e999}\n", nil, []string{"2, attributes: JSON object", "3, : has a quotation mark"}},
		"attributes too small for a number": {"sku,attributes\nmug,\"{\"\"a\"\": [1e-999]}\"\n", nil, []string{"2, attributes: JSON object"}},
		"attributes and more":               {"sku,attributes\nmug,{} {}\ncup,{}]\n", nil, []string{"2, attributes: JSON object", "3, attributes: JSON object"}},
		"attributes that nest":              {"sku,attributes\nmug,\"" + strings.Repeat(`{""a"":`, 101) + "1" + strings.Repeat("}", 101) + "\"\n", nil, []string{"2, attributes: JSON object"}},
		"a long name":                       {columns + "mug," + strings.Repeat("ü", 201) + ",,,\n", nil, []string{"2, name: longer than 200"}},
		"10 MB in a cell":                   {columns + "mug," + long + ",,,\ncup,\"" + long + "\",,,\nhat,,,,\n", nil, []string{"2, : more than 512 KiB", "3, : more than 512 KiB"}},
		"10 MB of cells":                    {columns + strings.Repeat(",", 10<<20) + "x\n", nil, []string{"2, : more than 1000 cells"}},
		"too few cells":                     {columns + "mug,Mug\ncup,Cup,,,\n", nil, []string{"2, : has 2 cells"}},
		"too many cells":                    {columns + "mug,Mug,12,90,EUR,5\n", nil, []string{"2, : has 6 cells"}},
		"cut off in quotes":                 {columns + "mug,Mug,,,\ncup,\"Two\nlines", nil, []string{"3, : never ends"}},
		"cut off in a line":                 {columns + "mug,Mug,12.90,EU", nil, []string{"2, : has 4 cells"}},
		"text behind quotes":                {columns + "mug,\"Mug\" blue,,,\ncup,\"a\" \"b\",,,\nhat,Hat,,,\n", nil, []string{"2, : behind the closing", "3, : behind the closing"}},
		"a quote in a bare cell":            {columns + "mug,5\" mug,,,\n", nil, []string{"2, : has a quotation mark within"}},
		"Latin-1":                           {columns + "mug,Bl\xfce,,,\n", nil, []string{"2, name: neither UTF-8"}},
		"a NUL":                             {columns + "mug,a\x00b,,,\n", nil, []string{"2, name: U+0000"}},
		"UTF-16 that is cut off":            {"\xff\xfes\x00k\x00u\x00,\x00n\x00a\x00m\x00e\x00\n\x00a\x00,\x00b", nil, []string{"2, name: half a character"}},
		"several":                           {columns + "a b,Mug,x,Eur,y\n", nil, []string{"2, sku: must", "2, currency: must", "2, quantity: must"}},
		"a handle alone":                    {"Handle,Title\nmug,Mug\n", nil, []string{"1, variant sku: is missing"}},
		"Shopify's prices":                  {"Handle,Title,Variant SKU,Variant Price\nmug,Mug,mug,12.90\n", nil, []string{"1, currency: must be said"}},
		"Shopify's inventory of nothing":    {"Handle,SKU,Location\nmug,mug,Berlin\n", nil, []string{"1, available: is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := read(t, bad.text, bad.currencies...)
			var got []string
			for _, p := range s.Problems {
				got = append(got, fmt.Sprintf("%d, %s: %s", p.Line, p.Column, p.Message))
			}
			fits := func(got, want string) bool {
				where, part, _ := strings.Cut(want, ": ")
				return strings.HasPrefix(got, where+": ") && strings.Contains(got, part)
			}
			if s.ProblemCount != len(got) || !slices.EqualFunc(got, bad.want, fits) {
				t.Errorf("got %.300q, want %q", got, bad.want)
			}
		})
	}
}

// TestManyProblems: a hundred are named, and all are counted.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	s := read(t, "sku,quantity\n"+strings.Repeat("mug,x\n", 250))
	if s.ProblemCount != 250 || len(s.Problems) != sheet.MaxProblems || s.Problems[99].Line != 101 {
		t.Errorf("got %d, %d named", s.ProblemCount, len(s.Problems))
	}
}

func TestAReaderThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, text := range []string{"", "sku,name\n", "sku,name\n" + strings.Repeat("mug,Mug\n", 20_000)} {
		if _, err := sheet.Read(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), sheet.Options{}); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: got %v", len(text), err)
		}
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"12.90 EUR": 1290, "12.9 EUR": 1290, "12 EUR": 1200, "0 EUR": 0, "0.01 EUR": 1, "007 EUR": 700, "1200 JPY": 1200, "1200.00 JPY": 1200, "1.234 KWD": 1234, "1.2 BHD": 1200,
		"90071992547409.91 EUR": 9007199254740991,
	} {
		amount, currency, _ := strings.Cut(text, " ")
		s := good(t, read(t, "sku,price,currency\nmug,"+amount+","+currency+"\n"))
		p := s.Products[0].Price
		if p.Minor != want || p.Currency != currency {
			t.Errorf("%s is %+v, want %d", text, p, want)
		}
		if again := good(t, read(t, "sku,price,currency\nmug,"+strings.Replace(p.String(), " ", ",", 1)+"\n")); *again.Products[0].Price != *p {
			t.Errorf("%s is written %s", text, p)
		}
	}
	for _, text := range []string{"12.901 EUR", "1.5 JPY", "1.000 JPY", "12. EUR", ".5 EUR", "90071992547409.92 EUR", "+1 EUR", "0x10 EUR", "１２ EUR", "Infinity EUR"} {
		amount, currency, _ := strings.Cut(text, " ")
		if s := read(t, "sku,price,currency\nmug,"+amount+","+currency+"\n"); s.ProblemCount != 1 {
			t.Errorf("%s is %+v", text, s.Products)
		}
	}
	two := good(t, read(t, "sku,price,currency\nmug,1,EUR\ncup,1,USD\n", "EUR", "USD"))
	if len(two.Products) != 2 {
		t.Errorf("got %+v", two)
	}
}

const shopifyProducts = `Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Image Src,Image Position,Variant Image,Status
shirt,Sea shirt,"<p>Soft &amp; <b>warm</b></p><style>p{}</style><ul><li>one</li><li>two</li></ul>",Waves,Shirt,"summer, blue,",TRUE,Size,S,Colour,Blue,'0012,100,7,19.90,https://cdn.example/1.png,1,,active
shirt,,,,,,,,M,,Blue,shirt-m-blue,100,-3,21,https://cdn.example/2.png,2,https://cdn.example/m.png,
shirt,,,,,,,,,,,,,,,https://cdn.example/3.png,3,,
mug,Mug,,,,,false,Title,Default Title,,,mug,300,,5.00,,,,active
hat,Hat,,,,,TRUE,Title,Default Title,,,hat,300,2,,,,,draft
`

func TestShopifyProducts(t *testing.T) {
	t.Parallel()
	eur := func(minor int64) *sheet.Price { return &sheet.Price{Minor: minor, Currency: "EUR"} }
	want := []sheet.Product{
		{Line: 2, SKU: "0012", Name: "Sea shirt - S / Blue", Description: "Soft & warm\none\ntwo", ImageURL: "https://cdn.example/1.png", Price: eur(1990), Selling: yes(true),
			Attributes: []byte(`{"handle":"shirt","options":{"Colour":"Blue","Size":"S"},"tags":["summer","blue"],"type":"Shirt","vendor":"Waves"}`)},
		{Line: 3, SKU: "shirt-m-blue", Name: "Sea shirt - M / Blue", Description: "Soft & warm\none\ntwo", ImageURL: "https://cdn.example/m.png", Price: eur(2100), Selling: yes(true),
			Attributes: []byte(`{"handle":"shirt","options":{"Colour":"Blue","Size":"M"},"tags":["summer","blue"],"type":"Shirt","vendor":"Waves"}`)},
		{Line: 5, SKU: "mug", Name: "Mug", Price: eur(500), Selling: yes(false), Attributes: []byte(`{"handle":"mug"}`)},
		{Line: 6, SKU: "hat", Name: "Hat", Selling: yes(false), Attributes: []byte(`{"handle":"hat"}`)},
	}
	s := good(t, read(t, shopifyProducts, "EUR"))
	if s.Kind != sheet.ShopifyProducts || s.Lines != 5 || s.Fields != (sheet.Fields{Name: true, Description: true, Price: true, ImageURL: true, Attributes: true, Selling: true}) {
		t.Errorf("got %+v", s)
	}
	if !reflect.DeepEqual(s.Products, want) {
		t.Errorf("got %+v, want %+v", s.Products, want)
	}
	if want := []sheet.Stock{{Line: 2, SKU: "0012", Quantity: 7, Level: true}, {Line: 6, SKU: "hat", Quantity: 2, Level: true}}; !reflect.DeepEqual(s.Stock, want) {
		t.Errorf("got %+v, want %+v", s.Stock, want)
	}
	// The names that the columns have now.
	renamed := strings.NewReplacer("Handle,", "URL handle,", "Body (HTML)", "Description", "Published", "Published on online store", "Variant SKU", "SKU", "Variant Inventory Qty", "Inventory quantity",
		"Variant Price", "Price", "Image Src", "Product image URL", "Variant Image", "Variant image URL").Replace(shopifyProducts)
	if now := good(t, read(t, renamed, "EUR")); !reflect.DeepEqual(now, s) {
		t.Errorf("got %+v, want %+v", now, s)
	}
}

func TestBadShopifyProducts(t *testing.T) {
	t.Parallel()
	const columns = "Handle,Title,Published,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty,Status\n"
	for name, bad := range map[string]struct{ lines, want string }{
		"no handle":         {",Mug,,,mug,1,,\n", "2 handle"},
		"no title":          {"mug,,,,mug,1,,\nmug,,,,mug-2,1,,\n", "2 title"},
		"no SKU":            {"mug,Mug,,Blue,,1,,\n", "2 variant sku"},
		"an SKU twice":      {"mug,Mug,,,a,1,,\ncup,Cup,,,a,1,,\n", "3 sku"},
		"a bad price":       {"mug,Mug,,,a,\"1,00\",,\n", "2 variant price"},
		"half a unit":       {"mug,Mug,,,a,1,1.5,\n", "2 variant inventory qty"},
		"another status":    {"mug,Mug,,,a,1,,gone\n", "2 status"},
		"perhaps published": {"mug,Mug,perhaps,,a,1,,\n", "2 published"},
	} {
		s := read(t, columns+bad.lines, "EUR")
		if s.ProblemCount != 1 || fmt.Sprint(s.Problems[0].Line, " ", s.Problems[0].Column) != bad.want {
			t.Errorf("%s: got %v, want %s", name, s.Problems, bad.want)
		}
	}
}

func TestShopifyInventory(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		text string
		want map[string]int
	}{
		"what can be sold, over all locations": {"Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Location,Bin name,Incoming (not editable),Unavailable (not editable),Committed (not editable),Available (not editable),On hand (current),On hand (new)\n" +
			"mug,Mug,Title,Default Title,'0012,,,Berlin,,9,1,2,5,8,\nmug,Mug,Title,Default Title,'0012,,,Paris,,0,0,0,4,4,\n" +
			"cup,Cup,Title,Default Title,cup,,,Berlin,,0,1,2,5,8,12\ncup,Cup,Title,Default Title,cup,,,Paris,,,,,not stocked,not stocked,\n" +
			"hat,Hat,Title,Default Title,hat,,,Berlin,,0,0,4,-4,0,\nbag,Bag,Title,Default Title,,,,Berlin,,0,0,0,0,0,\n", map[string]int{"0012": 9, "cup": 9}},
		"on hand alone":           {"SKU,Location,On hand\nmug,Berlin,5\n", map[string]int{"mug": 5}},
		"on hand with the rest":   {"SKU,Location,Unavailable,Committed,On hand\nmug,Berlin,1,2,5\n", map[string]int{"mug": 2}},
		"on hand, new alone":      {"SKU,Location,On hand (new)\nmug,Berlin,5\ncup,Berlin,\n", map[string]int{"mug": 5}},
		"available alone":         {"Handle,SKU,Location,Available\nmug,mug,Berlin,3\nmug,mug,Paris,-1\n", map[string]int{"mug": 2}},
		"semicolons, not stocked": {"SKU;Location;Available\nmug;Berlin;Not stocked\n", map[string]int{}},
	} {
		s := good(t, read(t, one.text))
		got := map[string]int{}
		for _, l := range s.Stock {
			if got[l.SKU] = l.Quantity; !l.Level {
				t.Errorf("%s: %+v is no level", name, l)
			}
		}
		if s.Kind != sheet.ShopifyInventory || !reflect.DeepEqual(got, one.want) {
			t.Errorf("%s: got %v, want %v", name, got, one.want)
		}
	}
	for name, text := range map[string]string{
		"no SKU":                  "SKU,Location,Available\n,Berlin,3\n",
		"a location twice":        "SKU,Location,Available\nmug,Berlin,3\nmug,Berlin,3\n",
		"half a unit":             "SKU,Location,Available\nmug,Berlin,1.5\n",
		"an SKU that can't be":    "SKU,Location,Available\na b,Berlin,1\n",
		"more than there can be":  "SKU,Location,Available\nmug,Berlin,100000000\nmug,Paris,1\n",
		"a text instead of units": "SKU,Location,Available\nmug,Berlin,many\n",
	} {
		if s := read(t, text); s.ProblemCount != 1 {
			t.Errorf("%s: got %v", name, s.Problems)
		}
	}
}

// TestWriting: what is written is read as it was.
func TestWriting(t *testing.T) {
	t.Parallel()
	products := []sheet.Product{
		{SKU: "-1.5", Name: "=1+1", Description: "a\r\nb\rc\nd\t\"e\", 'f'", Price: &sheet.Price{Minor: 5, Currency: "EUR"}, ImageURL: "/a.png", Selling: yes(true), Attributes: []byte(`{"a":"b, c"}`)},
		{SKU: "b", Name: "''=x", Description: " ", Price: &sheet.Price{Minor: 1200, Currency: "JPY"}, Selling: yes(false)},
		{SKU: "c", Name: "'s", Description: "\\.", Price: &sheet.Price{Minor: 1, Currency: "KWD"}, Selling: yes(true)},
		{SKU: "d", Name: "\r\n", Description: "\ufeff", Selling: yes(true)},
	}
	var out bytes.Buffer
	w := sheet.NewWriter(&out, sheet.ProductColumns)
	for i := range products {
		w.Product(products[i])
		products[i].Line = i + 2
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got := good(t, read(t, out.String(), "EUR", "JPY", "KWD")).Products
	for i := range got {
		got[i].Line = i + 2 // line ends within cells count
	}
	if !reflect.DeepEqual(got, products) {
		t.Errorf("got %+v, want %+v of %s", got, products, out.String())
	}
	out.Reset()
	w = sheet.NewWriter(&out, sheet.UnitColumns)
	stock := []sheet.Stock{{SKU: "-1.5", Quantity: 7, Reference: " @a "}, {SKU: "-1.5", Quantity: 1, Serial: "=S\n1", Reference: "+a"}}
	for i := range stock {
		w.Stock(stock[i])
		stock[i].Line = i + 2
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := good(t, read(t, out.String())).Stock; !reflect.DeepEqual(got, stock) {
		t.Errorf("got %+v, want %+v of %s", got, stock, out.String())
	}
}

// FuzzRead: whatever a file is, it is read or refused with lines that it has; and where encoding/csv reads it, it says the same.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		shopifyProducts, "sku,name,quantity\nmug,\"a \"\"b\"\"\nc\",5\n", "\ufeffsku;price;currency\nmug;1.5;EUR", "SKU,Location,Available\nmug,Berlin,3\n", "sku,serial\nmug,\"", "sku\n\x00", "\xff\xfes\x00",
		"sku,attributes\nmug,\"{\"\"a\"\": [1e3]}\"\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := sheet.Read(strings.NewReader(text), sheet.Options{Currencies: []string{"EUR"}})
		if err != nil {
			t.Fatal(err)
		}
		most := strings.Count(text, "\n") + 1
		if strings.ContainsRune(text, 0) {
			most = len(text) + 1 // UTF-16
		}
		for _, p := range s.Problems {
			if p.Line < 1 || p.Line > most || p.Message == "" {
				t.Errorf("%+v of %d lines", p, most)
			}
		}
		for _, p := range s.Products {
			if p.SKU == "" || p.Line < 2 || p.Line > most {
				t.Errorf("%+v of %d lines", p, most)
			}
		}
		for _, one := range s.Stock {
			if one.SKU == "" || one.Quantity < 1 || one.Line < 2 || one.Line > most {
				t.Errorf("%+v of %d lines", one, most)
			}
		}
		if s.ProblemCount > 0 || strings.ContainsAny(text, "\r\x00;\t") || strings.HasPrefix(text, "\ufeff") {
			return
		}
		c := csv.NewReader(strings.NewReader(text))
		c.FieldsPerRecord = -1 // empty lines
		rows, err := c.ReadAll()
		if err != nil {
			t.Errorf("encoding/csv refuses %q: %v", text, err)
			return
		}
		rows = slices.DeleteFunc(rows, func(row []string) bool { return strings.TrimSpace(strings.Join(row, "")) == "" })
		if len(rows)-1 != s.Lines {
			t.Errorf("%d lines of %q, want %d", s.Lines, text, len(rows)-1)
		}
	})
}
