package shop_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/sheet"
	"github.com/lastunit/lastunit/internal/shop"
)

// sheetOf reads a sheet, whatever is wrong with it.
func sheetOf(t testing.TB, text string, currencies ...string) *sheet.Sheet {
	t.Helper()
	s, err := sheet.Read(strings.NewReader(text), sheet.Options{Currencies: currencies})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// imports imports a sheet, which must succeed.
func (w *world) imports(text string, currencies ...string) shop.Import {
	w.t.Helper()
	done, _, err := w.Import(w.t.Context(), shop.ImportRequest{Sheet: sheetOf(w.t, text, currencies...)})
	if err != nil {
		w.t.Fatalf("%v %+v", err, problems(err))
	}
	return done
}

// refusesSheet imports a sheet that must be refused, and returns what is wrong with it.
func (w *world) refusesSheet(text string, currencies ...string) []shop.Problem {
	w.t.Helper()
	before := w.goods()
	var all [2][]shop.Problem
	for i, dry := range []bool{true, false} {
		_, _, err := w.Import(w.t.Context(), shop.ImportRequest{Sheet: sheetOf(w.t, text, currencies...), DryRun: dry})
		all[i] = refusal(w.t, err, shop.Validation).Problems
	}
	if !reflect.DeepEqual(all[0], all[1]) {
		w.t.Errorf("a dry run finds %v, an import %v", all[0], all[1])
	}
	if after := w.goods(); after != before {
		w.t.Errorf("a sheet was refused, and what is there went from %s to %s", before, after)
	}
	return all[1]
}

func problems(err error) []shop.Problem {
	var r *shop.Refusal
	if errors.As(err, &r) {
		return r.Problems
	}
	return nil
}

// goods is a fingerprint of products, receipts and units.
func (w *world) goods() (all string) {
	w.t.Helper()
	const query = `SELECT concat_ws(' ', (SELECT md5(string_agg(product::text, ',' ORDER BY product_id)) FROM product), (SELECT md5(string_agg(receipt::text, ',' ORDER BY receipt_id)) FROM receipt),
		(SELECT count(*) FROM unit), (SELECT count(*) FROM stock_token), (SELECT count(*) FROM call_key))`
	if err := w.db.QueryRow(w.t.Context(), query).Scan(&all); err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) shown(sku string) shop.Product {
	w.t.Helper()
	p, err := w.Product(w.t.Context(), sku)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

const catalogue = "sku,name,description,price,currency,image_url,selling,attributes,quantity,reference\n" +
	"mug,Blue mug,Holds tea,12.90,EUR,/goods/mug.svg,true,\"{\"\"b\"\": [1.50]}\",500,delivery 1\n" +
	"cup,Cup,,,,,,,,\n" +
	"hat,Hat,,5,EUR,,false,,3,\n"

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	empty := w.goods()
	dry, _, err := w.Import(t.Context(), shop.ImportRequest{Sheet: sheetOf(t, catalogue), DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if w.goods() != empty {
		t.Errorf("a dry run has changed something")
	}
	var done, all int
	made, replayed, err := w.Import(t.Context(), shop.ImportRequest{Sheet: sheetOf(t, catalogue), Progress: func(d, a int) { done, all = d, a }})
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	if done != 506 || all != 506 {
		t.Errorf("%d of %d were done, want 506", done, all)
	}
	if dry.DryRun = false; !reflect.DeepEqual(dry, made) {
		t.Errorf("the dry run said %+v, the import %+v", dry, made)
	}
	if made.Kind != sheet.Own || made.Lines != 3 || made.Created != 3 || made.Changed+made.Unchanged+made.Known != 0 || made.Units != 503 || made.ItemCount != 3 || len(made.Items) != 3 ||
		made.Items[0].SKU != "mug" || made.Items[0].Line != 2 || !made.Items[0].Created || made.Items[0].Units != 500 {
		t.Errorf("got %+v", made)
	}
	mug := w.shown("mug")
	if *mug.Name != "Blue mug" || *mug.Description != "Holds tea" || *mug.Price != (shop.Money{Amount: 1290, Currency: "EUR"}) || *mug.ImageURL != "/goods/mug.svg" || !mug.Selling ||
		string(mug.Attributes) != `{"b": [1.50]}` || w.stock("mug").Available != 500 {
		t.Errorf("got %+v", mug)
	}
	if cup := w.shown("cup"); cup.Description != nil || cup.Price != nil || cup.ImageURL != nil || !cup.Selling || string(cup.Attributes) != "{}" {
		t.Errorf("got %+v", cup)
	}
	if hat := w.shown("hat"); hat.Selling || w.stock("hat").Available != 3 {
		t.Errorf("got %+v", hat)
	}
	before := w.goods()
	if again := w.imports(catalogue); again.Unchanged != 3 || again.Known != 2 || again.Created+again.Changed+again.Units+again.ItemCount != 0 {
		t.Errorf("the same sheet again: %+v", again)
	}
	if after := w.goods(); after != before {
		t.Errorf("the same sheet again has changed %s to %s", before, after)
	}
	w.mustClaim("ann", "mug", 2)
	w.audited()
}

// TestImportChanges: what a sheet says is changed, field by field, and what it does not say stays.
func TestImportChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.imports(catalogue)
	made := w.imports("sku,price,currency\nmug,10,USD\nhat,5.00,USD\ncup,,\n")
	text := func(s string) *string { return &s }
	if want := []shop.ImportItem{
		{Line: 2, SKU: "mug", Changes: []shop.FieldChange{{Field: "price", From: text("12.90 EUR"), To: text("10.00 USD")}}},
		{Line: 3, SKU: "hat", Changes: []shop.FieldChange{{Field: "price", From: text("5.00 EUR"), To: text("5.00 USD")}}},
	}; !reflect.DeepEqual(made.Items, want) || made.Changed != 2 || made.Unchanged != 1 {
		t.Errorf("got %+v, want %+v", made, want)
	}
	if mug := w.shown("mug"); *mug.Name != "Blue mug" || mug.Price.Currency != "USD" || string(mug.Attributes) != `{"b": [1.50]}` || !mug.Selling {
		t.Errorf("got %+v", mug)
	}
	made = w.imports("sku,name,description,price,currency,image_url,selling,attributes\nmug,,,,,,,\nhat,Hat,,5.00,USD,,true,\"{\"\"a\"\": 1}\"\n")
	if want := []shop.ImportItem{
		{Line: 2, SKU: "mug", Changes: []shop.FieldChange{
			{"name", text("Blue mug"), nil}, {"description", text("Holds tea"), nil}, {"price", text("10.00 USD"), nil}, {"image_url", text("/goods/mug.svg"), nil}, {"attributes", text(`{"b": [1.50]}`), nil},
		}},
		{Line: 3, SKU: "hat", Changes: []shop.FieldChange{{"selling", text("false"), text("true")}, {"attributes", nil, text(`{"a":1}`)}}},
	}; !reflect.DeepEqual(made.Items, want) {
		t.Errorf("got %+v, want %+v", made.Items, want)
	}
	if mug := w.shown("mug"); mug.Name != nil || mug.Price != nil || mug.ImageURL != nil || string(mug.Attributes) != "{}" || !mug.Selling {
		t.Errorf("got %+v", mug)
	}
	// The same object, written in another way, is no change.
	w.imports("sku,attributes\nmug,\"{\"\"a\"\": 1e2, \"\"b\"\": {\"\"c\"\": [true, null]}}\"\n")
	if again := w.imports("sku,attributes\nmug,\"{ \"\"b\"\":{\"\"c\"\":[true,null]},\"\"a\"\":100.0}\"\n"); again.Unchanged != 1 {
		t.Errorf("got %+v", again)
	}
	w.imports("sku,attributes\nodd,\"{\"\"a\"\": \"\"\\ud800\"\"}\"\n")
	if other := w.imports("sku,attributes\nmug,\"{\"\"b\"\":{\"\"c\"\":[true,false]},\"\"a\"\":100}\"\n"); other.Changed != 1 {
		t.Errorf("got %+v", other)
	}
}

// TestImportAllOrNothing: one thing that is wrong, and nothing is imported; all that is wrong is said at once, by line.
func TestImportAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.imports(catalogue)
	w.product(shop.Product{SKU: "played", Rehearsal: true})
	for name, bad := range map[string]struct {
		text string
		want []string // location: a part of the message
	}{
		"what the sheet and the store find": {"sku,name,price,currency,image_url,quantity,reference\nnew,New,1,EUR,,5,\nmug,Mug,1e3,EUR,,,\ncap,Cap,,,javascript:alert(1),1,\nplayed,Played,,,,,\nmug2,,,,,x,\n",
			[]string{"body.lines[3].price: exponent", "body.lines[4].image_url: https URL", "body.lines[5].sku: rehearsal", "body.lines[6].quantity: whole"}},
		"stock of no product":              {"sku,quantity,reference\nmug,1,a\nnothing,1,a\nplayed,1,a\n", []string{"body.lines[3].sku: no product's", "body.lines[4].sku: rehearsal"}},
		"more than came with a reference":  {"sku,quantity,reference\nmug,501,delivery 1\n", []string{"body.lines[2].quantity: 500 units"}},
		"a header alone":                   {"sku,name\n", []string{"body.lines[1]: no line follows"}},
		"a sheet that is cut off":          {"sku,name\nnew,\"New", []string{"body.lines[2]: never ends"}},
		"Shopify's inventory of something": {"SKU,Location,Available\nmug,Berlin,600\nnothing,Berlin,5\n", []string{"body.lines[3].sku: no product's"}},
	} {
		var got []string
		for _, p := range w.refusesSheet(bad.text) {
			got = append(got, p.Location+": "+p.Message)
		}
		if !slices.EqualFunc(got, bad.want, func(got, want string) bool {
			where, part, _ := strings.Cut(want, ": ")
			return strings.HasPrefix(got, where+": ") && strings.Contains(got, part)
		}) {
			t.Errorf("%s: got %q, want %q", name, got, bad.want)
		}
	}
	many := w.refusesSheet("sku,quantity\n" + strings.Repeat("nothing,1.5\n", 300))
	if len(many) != sheet.MaxProblems || many[99].Location != "body.lines[101].quantity" {
		t.Errorf("%d problems are named, the last is %+v", len(many), many[len(many)-1])
	}
	_, _, err := w.Import(t.Context(), shop.ImportRequest{Sheet: sheetOf(t, "sku,quantity\n"+strings.Repeat("nothing,1.5\n", 300))})
	if r := refusal(t, err, shop.Validation); !strings.Contains(r.Detail, "300 things") || !strings.Contains(r.Detail, "first 100") {
		t.Errorf("got %q", r.Detail)
	}
}

// TestImportStockOnce: units come in once for each product and reference, and once for each serial, however often and by whomever they are brought.
func TestImportStockOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.imports("sku\nmug\ncup\n")
	step := func(text string, units, known int, mug, cup int64) {
		t.Helper()
		made := w.imports(text)
		if made.Units != units || made.Known != known || w.stock("mug").Available != mug || w.stock("cup").Available != cup {
			t.Errorf("%q: got %+v, mugs %d, cups %d; want %d units, %d known, %d, %d", text, made, w.stock("mug").Available, w.stock("cup").Available, units, known, mug, cup)
		}
	}
	step("sku,quantity,reference\nmug,5,a\nmug,2,b\ncup,1,a\n", 8, 0, 7, 1)
	step("sku;reference;quantity\ncup;a;1\nmug;a;5\nmug;c;1\n", 1, 2, 8, 1)
	step("sku,quantity,reference\nmug,4,a\n", 0, 1, 8, 1) // fewer than came
	// Received by hand with the reference.
	if _, _, err := w.Receive(t.Context(), shop.ReceiptRequest{SKU: "cup", Quantity: 3, Reference: "by hand", KeyID: w.key}); err != nil {
		t.Fatal(err)
	}
	step("sku,quantity,reference\ncup,3,by hand\nmug,3,by hand\n", 3, 1, 11, 4)
	// Without a reference it is what the sheet says of stock, whatever else it says.
	step("sku,quantity\nmug,1\ncup,1\n", 2, 0, 12, 5)
	step("sku,name,quantity\ncup,Cup,1\nmug,Mug,1\n", 0, 2, 12, 5)
	step("sku,quantity\nmug,1\ncup,2\n", 3, 0, 13, 7)
	// Serials, also in parts.
	step("sku,serial,reference\nmug,S-1,s\nmug,S-2,s\n", 2, 0, 15, 7)
	step("sku,serial,reference\nmug,S-1,s\nmug,S-2,s\n", 0, 2, 15, 7)
	step("sku,serial,quantity,reference\nmug,S-3,1,s\nmug,S-1,,other\ncup,S-1,,s\nmug,,4,s\n", 6, 1, 20, 8)
	if n := w.count("SELECT count(*) FROM unit WHERE serial IS NOT NULL"); n != 4 {
		t.Errorf("%d units have serials, want 4", n)
	}
	// What was sold does not come back.
	tx := w.mustClaim("ann", "mug", 2)
	if _, _, err := w.Confirm(t.Context(), shop.ConfirmRequest{TransactionIDs: []shop.ID{tx.ID}, Reference: "sold"}); err != nil {
		t.Fatal(err)
	}
	step("sku,quantity,reference\nmug,5,a\n", 0, 1, 18, 8)
	w.audited()
}

// TestImportLevel: a level is how many units there are to be, wherever they are, besides those that were taken out for good.
func TestImportLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("mug", 500, 10)
	w.mustClaim("ann", "mug", 1)
	w.mustClaim("bob", "mug", 1)
	w.mustCheckout("bob")
	for i, restock := range []shop.Restock{"", shop.RestockQuarantine} {
		tx := w.mustClaim("eve", "mug", 1)
		o, _, err := w.Confirm(t.Context(), shop.ConfirmRequest{TransactionIDs: []shop.ID{tx.ID}, Reference: fmt.Sprint("sold ", i)})
		if err != nil {
			t.Fatal(err)
		}
		if restock != "" {
			if _, _, err := w.Refund(t.Context(), shop.RefundRequest{OrderID: o.ID, Restock: restock}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := w.Withdraw(t.Context(), shop.WithdrawalRequest{SKU: "mug", Quantity: 2, Reason: "broken", KeyID: w.key}); err != nil {
		t.Fatal(err)
	}
	if got := w.stock("mug"); got != (shop.Stock{Received: 10, Available: 4, Held: 1, Ordered: 1, Sold: 1, Quarantine: 1, Withdrawn: 2}) {
		t.Fatalf("got %+v", got)
	}
	inventory := func(level int) string {
		return fmt.Sprintf("SKU,Location,Available\nmug,Berlin,%d\nmug,Paris,2\n", level-2)
	}
	for _, step := range []struct{ level, units, available int }{{8, 0, 4}, {5, 0, 4}, {11, 3, 7}, {11, 0, 7}, {12, 1, 8}} {
		if made := w.imports(inventory(step.level)); made.Units != step.units || w.stock("mug").Available != int64(step.available) {
			t.Errorf("up to %d: got %+v and %d available, want %d and %d", step.level, made, w.stock("mug").Available, step.units, step.available)
		}
	}
	// Who takes units out and imports the same file does not get them back by it.
	if _, _, err := w.Withdraw(t.Context(), shop.WithdrawalRequest{SKU: "mug", Quantity: 2, Reason: "lost", KeyID: w.key}); err != nil {
		t.Fatal(err)
	}
	if made := w.imports(inventory(12)); made.Units != 0 || w.stock("mug").Available != 6 {
		t.Errorf("got %+v and %d available, want 0 and 6", made, w.stock("mug").Available)
	}
	w.audited()
}

func TestImportShopify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	const export = "Handle,Title,Vendor,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty,Image Src\n" +
		"shirt,Sea shirt,Waves,\"summer, blue\",Size,S,shirt-s,19.90,7,https://cdn.example/1.png\nshirt,,,,,M,shirt-m,21.00,2,\nshirt,,,,,,,,,https://cdn.example/2.png\n"
	w.product(shop.Product{SKU: "shirt-m", Selling: true, Attributes: json.RawMessage(`{"mine": 1, "vendor": "Another", "type": "Old"}`)})
	made := w.imports(export, "EUR")
	if made.Kind != sheet.ShopifyProducts || made.Created != 1 || made.Changed != 1 || made.Units != 9 {
		t.Errorf("got %+v", made)
	}
	m := w.shown("shirt-m")
	if *m.Name != "Sea shirt - M" || m.Price.Amount != 2100 || *m.ImageURL != "https://cdn.example/1.png" ||
		string(m.Attributes) != `{"mine": 1, "tags": ["summer", "blue"], "handle": "shirt", "vendor": "Waves", "options": {"Size": "M"}}` || w.stock("shirt-m").Available != 2 {
		t.Errorf("got %+v %s", m, m.Attributes)
	}
	if again := w.imports(export, "EUR"); again.Unchanged != 2 || again.Units != 0 || again.ItemCount != 0 {
		t.Errorf("got %+v", again)
	}
	if made := w.imports("Handle,SKU,Location,Available\nshirt,shirt-s,Berlin,5\nshirt,shirt-s,Paris,5\nshirt,shirt-m,Berlin,1\n"); made.Kind != sheet.ShopifyInventory || made.Units != 3 ||
		w.stock("shirt-s").Available != 10 || w.stock("shirt-m").Available != 2 {
		t.Errorf("got %+v", made)
	}
	w.audited()
}

// TestImportOnceForEachKey: a key imports once, and is kept for that file.
func TestImportOnceForEachKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	by := shop.Operator{KeyID: w.key, Key: "k"}
	r := shop.ImportRequest{Sheet: sheetOf(t, catalogue), Operator: by, Said: "this"}
	dry := r
	dry.DryRun = true
	if _, replayed, err := w.Import(t.Context(), dry); err != nil || replayed {
		t.Fatal(replayed, err)
	}
	if made, replayed, err := w.Import(t.Context(), r); err != nil || replayed || made.Created != 3 {
		t.Fatalf("%+v %t %v", made, replayed, err)
	}
	w.product(shop.Product{SKU: "mug", Selling: true}) // somebody changes it
	if made, replayed, err := w.Import(t.Context(), r); err != nil || !replayed || made.Created+made.Changed+made.Units != 0 || made.Lines != 3 || w.shown("mug").Name != nil {
		t.Errorf("%+v %t %v", made, replayed, err)
	}
	r.Said = "that"
	_, _, err := w.Import(t.Context(), r)
	refusal(t, err, shop.KeyReused)
	// A refusal leaves the key free.
	bad := shop.ImportRequest{Sheet: sheetOf(t, "sku,quantity\nnothing,1\n"), Operator: shop.Operator{KeyID: w.key, Key: "l"}, Said: "bad"}
	_, _, err = w.Import(t.Context(), bad)
	refusal(t, err, shop.Validation)
	bad.Sheet, bad.Said = sheetOf(t, catalogue), "good"
	if _, replayed, err := w.Import(t.Context(), bad); err != nil || replayed {
		t.Error(replayed, err)
	}
}

// large is a sheet of so many products, each with a unit.
func large(n int) string {
	var text strings.Builder
	text.WriteString("sku,name,price,currency,attributes,quantity,reference\n")
	for i := range n {
		fmt.Fprintf(&text, "sku-%d,Product %d,%d.50,EUR,\"{\"\"n\"\": %d}\",%d,first\n", i, i, i, i, 1+i%2)
	}
	return text.String()
}

// TestImportOfMany: more than are looked at together.
func TestImportOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	const n = 12_001
	if made := w.imports(large(n)); made.Created != n || made.Units != n+n/2 || made.ItemCount != n || len(made.Items) != shop.ImportItemsAtMost {
		t.Errorf("got %d created, %d units, %d of %d items", made.Created, made.Units, len(made.Items), made.ItemCount)
	}
	if got := w.count("SELECT count(*) FROM stock_token JOIN product USING (product_id) JOIN unit USING (unit_id) WHERE unit.product_id = product.product_id"); got != n+n/2 {
		t.Errorf("%d units are available, want %d", got, n+n/2)
	}
	if got := w.count("SELECT count(*) FROM product WHERE attributes ->> 'n' = substr(sku, 5) AND price_minor = 100 * substr(sku, 5)::int + 50 AND name = 'Product ' || substr(sku, 5)"); got != n {
		t.Errorf("%d products are as the sheet says, want %d", got, n)
	}
	changed := strings.Replace(large(n), "Product 7777,", "Another,", 1)
	if made := w.imports(changed); made.Changed != 1 || made.Unchanged != n-1 || made.Units != 0 || made.Known != n || *w.shown("sku-7777").Name != "Another" {
		t.Errorf("got %+v", made)
	}
	if n := w.count("SELECT count(*) FROM product WHERE name = 'Another'"); n != 1 {
		t.Errorf("%d products have changed, want 1", n)
	}
}

// TestImportThatIsKilled: whenever the connection breaks, nothing of the sheet is there, and the next import brings all of it.
func TestImportThatIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	const n = 12_001
	text := large(n)
	for _, at := range []int{1, 2, 4} {
		calls := 0
		_, _, err := w.Import(t.Context(), shop.ImportRequest{Sheet: sheetOf(t, text), Progress: func(int, int) {
			if calls++; calls == at {
				w.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'")
			}
		}})
		refusal(t, err, shop.Busy)
		if calls < at {
			t.Errorf("it was killed after %d pieces, want %d", calls, at)
		}
		for _, table := range []string{"product", "receipt", "unit", "stock_token", "event"} {
			if left := w.count("SELECT count(*) FROM " + table); left != 0 {
				t.Errorf("after it was killed, %d rows are in %s", left, table)
			}
		}
	}
	if made := w.imports(text); made.Created != n || w.count("SELECT count(*) FROM stock_token") != n+n/2 {
		t.Errorf("got %+v", made)
	}
}

// TestImportsAtOnce: of many imports of the same sheet, on two servers, one creates and the others find it done.
func TestImportsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	other := w.server(shop.Options{})
	const imports = 8
	var mu sync.Mutex
	var created, units, unchanged int
	var all sync.WaitGroup
	for i := range imports {
		all.Go(func() {
			made, _, err := []*shop.Shop{w.Shop, other}[i%2].Import(t.Context(), shop.ImportRequest{Sheet: sheetOf(t, catalogue)})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			created, units, unchanged = created+made.Created, units+made.Units, unchanged+made.Unchanged
		})
	}
	all.Wait()
	if created != 3 || units != 503 || unchanged != 3*(imports-1) || w.stock("mug").Available != 500 {
		t.Errorf("%d created, %d units, %d unchanged", created, units, unchanged)
	}
	w.audited()
}

// TestImportWhileSalesAreScheduled: a sale takes its products in the order in which an import does.
func TestImportWhileSalesAreScheduled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.imports(large(50))
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			// Backwards, and each time other names.
			lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(large(50), "Product", fmt.Sprint("Turn ", i))), "\n")
			slices.Reverse(lines[1:])
			if _, _, err := w.Import(t.Context(), shop.ImportRequest{Sheet: sheetOf(t, strings.Join(lines, "\n"))}); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			terms := shop.SaleTerms{Name: "s", OpensAt: time.Now().Add(time.Duration(i+1) * 24 * time.Hour), Hold: time.Minute, MaxQuantity: 1}
			terms.ClosesAt = terms.OpensAt.Add(time.Hour)
			for j := range 50 {
				terms.Items = append(terms.Items, shop.SaleItem{SKU: fmt.Sprintf("sku-%d", j), Price: shop.Money{Amount: 1, Currency: "EUR"}})
			}
			sale, _, err := w.CreateSale(t.Context(), shop.Operator{KeyID: w.key}, terms)
			if err == nil {
				_, _, err = w.MoveSale(t.Context(), shop.Operator{KeyID: w.key}, sale.ID, shop.ScheduleSale)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestImportTellsThatStockCameBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("mug", 1)
	w.mustClaim("ann", "mug", 1)
	w.imports("sku,quantity\nmug,1\n")
	events, _, err := w.Events(t.Context(), 0, []shop.EventType{shop.OutOfStock, shop.BackInStock}, 10)
	if err != nil || len(events) != 2 || events[1].Type != shop.BackInStock {
		t.Errorf("got %+v %v", events, err)
	}
	w.mustClaim("bob", "mug", 1)
}

// exported is both exports of a store.
func (w *world) exported() (products, units string) {
	w.t.Helper()
	var out [2]bytes.Buffer
	p, u := sheet.NewWriter(&out[0], sheet.ProductColumns), sheet.NewWriter(&out[1], sheet.UnitColumns)
	err := errors.Join(w.ExportProducts(w.t.Context(), func(page []sheet.Product) error {
		for _, one := range page {
			p.Product(one)
		}
		return nil
	}), w.ExportUnits(w.t.Context(), func(page []sheet.Stock) error {
		for _, one := range page {
			u.Stock(one)
		}
		return nil
	}), p.Flush(), u.Flush())
	if err != nil {
		w.t.Fatal(err)
	}
	return out[0].String(), out[1].String()
}

// TestExportIntoAnEmptyStore: what is exported makes an equal store: the same products with all that is known of them, as many units that can be claimed, the same serials.
func TestExportIntoAnEmptyStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	text := func(s string) *string { return &s }
	for _, p := range []shop.Product{
		{SKU: "-1.5", Name: text("=cmd|' /C calc'!A0"), Description: text("a\r\nb, \"c\"\n\n'd'\t"), Price: &shop.Money{Amount: 9007199254740991, Currency: "EUR"}, ImageURL: text("https://pictures.example/a,b.png"),
			Attributes: json.RawMessage(`{"a": {"b": [1.50, 1e3, null, "<ü>"]}, "": 12345678901234567890}`), Selling: true},
		{SKU: "bare", Selling: false},
		{SKU: "cup", Name: text("'quoted'"), Price: &shop.Money{Amount: 0, Currency: "JPY"}, Selling: true},
		{SKU: "Cup", Name: text(" "), Price: &shop.Money{Amount: 1234, Currency: "KWD"}, Selling: true},
		{SKU: "played", Rehearsal: true, Selling: true},
	} {
		w.product(p)
	}
	w.imports(large(700)) // more than a page
	receive := func(r shop.ReceiptRequest) {
		t.Helper()
		r.KeyID = w.key
		if _, _, err := w.Receive(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	receive(shop.ReceiptRequest{SKU: "cup", Quantity: 20, Reference: "=first"})
	receive(shop.ReceiptRequest{SKU: "cup", Quantity: 5, Reference: "=first"})
	receive(shop.ReceiptRequest{SKU: "cup", Quantity: 7, Reference: " second, \"with\" all "})
	receive(shop.ReceiptRequest{SKU: "played", Quantity: 7, Reference: "r"})
	serials := make([]string, 1203)
	for i := range serials {
		serials[i] = fmt.Sprintf("-%04d", i)
	}
	receive(shop.ReceiptRequest{SKU: "Cup", Serials: serials, Reference: "serials"})
	receive(shop.ReceiptRequest{SKU: "Cup", Quantity: 3, Reference: "serials"})
	// Units that are elsewhere stay behind, and those of a lapsed hold do not.
	w.mustClaim("ann", "cup", 3)
	w.mustClaim("ann", "Cup", 2)
	tx := w.mustClaim("bob", "cup", 2)
	if _, _, err := w.Confirm(t.Context(), shop.ConfirmRequest{TransactionIDs: []shop.ID{tx.ID}, Reference: "sold"}); err != nil {
		t.Fatal(err)
	}
	w.moveTo(time.Now().Add(time.Hour))

	products, units := w.exported()
	if same := w.imports(products, "EUR", "JPY", "KWD"); same.ItemCount != 0 || same.Unchanged != 704 {
		t.Errorf("into the store that it is of: %+v", same)
	}
	if same := w.imports(units); same.ItemCount != 0 {
		t.Errorf("into the store that it is of: %+v", same)
	}
	copied := newWorld(t, shop.Options{})
	copied.imports(products, "EUR", "JPY", "KWD")
	copied.imports(units)
	if p, u := copied.exported(); p != products || u != units {
		t.Errorf("the copy exports other products (%t) or units (%t)", p != products, u != units)
	}
	for _, sku := range []string{"-1.5", "bare", "cup", "Cup", "sku-699"} {
		a, b := w.shown(sku), copied.shown(sku)
		a.UpdatedAt, b.UpdatedAt = time.Time{}, time.Time{}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %+v, and its copy %+v", sku, a, b)
		}
		if a, b := w.stock(sku).Available, copied.stock(sku).Available; a != b {
			t.Errorf("%s has %d units, and its copy %d", sku, a, b)
		}
	}
	if a, b := copied.stock("cup").Available, copied.stock("Cup").Available; a != 30 || b != 1206 {
		t.Errorf("there are %d and %d, want 30 and 1206", a, b)
	}
	if n := copied.count("SELECT count(*) FROM unit JOIN product USING (product_id) WHERE sku = 'Cup' AND serial IS NOT NULL"); n != len(serials) {
		t.Errorf("%d units have serials, want %d", n, len(serials))
	}
	if n := copied.count("SELECT count(*) FROM product WHERE sku = 'played'"); n != 0 {
		t.Errorf("a rehearsal's product was exported")
	}
	copied.audited()
}

func TestExportThatIsBrokenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("mug", 1)
	enough := errors.New("enough")
	if err := w.ExportProducts(t.Context(), func([]sheet.Product) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if err := w.ExportUnits(t.Context(), func([]sheet.Stock) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	empty := newWorld(t, shop.Options{})
	if p, u := empty.exported(); p != strings.Join(sheet.ProductColumns, ",")+"\n" || u != strings.Join(sheet.UnitColumns, ",")+"\n" {
		t.Errorf("an empty store exports %q and %q", p, u)
	}
}
