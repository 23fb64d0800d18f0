package httpapi_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// claimPaths are the two ways of adding to the cart.
var claimPaths = []string{"/order/addToCart", "/api/v1/order/addToCart"}

// badClaim is something to send instead of a good claim of ann's.
type badClaim struct {
	name   string
	change func(request) request
	status int
	code   string
	where  string // the location that errors names; empty: it has none
}

func body(text string) func(request) request {
	return func(r request) request { r.body = text; return r }
}

func header(name, value string) func(request) request {
	return func(r request) request { return r.with(name, value) }
}

func query(text string) func(request) request {
	return func(r request) request { r.path += text; return r }
}

func invalidAt(where, name string, change func(request) request) badClaim {
	return badClaim{name, change, 422, "validation", where}
}

var badClaims = []badClaim{
	{"unknown SKU", body(`{"sku": "nothing"}`), 404, "not-found", ""},
	{"product off sale", body(`{"sku": "off"}`), 409, "not-selling", ""},

	invalidAt("body.sku", "malformed SKU", body(`{"sku": "a `+canary+`"}`)),
	invalidAt("body.sku", "SKU of 65 characters", body(`{"sku": "`+strings.Repeat("a", 65)+`"}`)),
	invalidAt("body.sku", "empty SKU", body(`{"sku": ""}`)),
	invalidAt("body.sku", "SKU with a newline behind", body(`{"sku": "cup\n"}`)),
	invalidAt("body.sku", "SKU null", body(`{"sku": null}`)),
	invalidAt("body", "no SKU", body(`{"quantity": 1}`)),
	invalidAt("body.quantity", "quantity 0", body(`{"sku": "cup", "quantity": 0}`)),
	invalidAt("body.quantity", "quantity -5", body(`{"sku": "cup", "quantity": -5}`)),
	invalidAt("body.quantity", "quantity 1.5", body(`{"sku": "cup", "quantity": 1.5}`)),
	invalidAt("body.quantity", "quantity is text", body(`{"sku": "cup", "quantity": "2"}`)),
	invalidAt("body.quantity", "quantity is true", body(`{"sku": "cup", "quantity": true}`)),
	invalidAt("body.quantity", "quantity 1e99", body(`{"sku": "cup", "quantity": 1e99}`)),
	invalidAt("body", "quantity 1e999", body(`{"sku": "cup", "quantity": 1e999}`)),
	invalidAt("body.quantity", "quantity of 20 digits", body(`{"sku": "cup", "quantity": 18446744073709551617}`)),
	invalidAt("body.quantity", "quantity above the maximum", body(`{"sku": "cup", "quantity": 11}`)),

	{"unknown sale", body(`{"sku": "cup", "sale_id": "019b1234-5678-7abc-8def-0123456789ab"}`), 404, "not-found", ""},
	invalidAt("body.sale_id", "sale_id that is no UUID", body(`{"sku": "cup", "sale_id": "`+canary+`"}`)),
	invalidAt("body.sale_id", "sale_id of another form", body(`{"sku": "cup", "sale_id": "urn:uuid:019b1234-5678-7abc-8def-0123456789ab"}`)),
	invalidAt("body.sale_id", "empty sale_id", body(`{"sku": "cup", "sale_id": ""}`)),
	invalidAt("body.sale_id", "sale_id is a number", body(`{"sku": "cup", "sale_id": 7}`)),
	invalidAt("body.reference", "empty reference", body(`{"sku": "cup", "reference": ""}`)),
	invalidAt("body.reference", "reference of 201 characters", body(`{"sku": "cup", "reference": "`+canary+strings.Repeat("ü", 191)+`"}`)),
	invalidAt("body.reference", "reference is a number", body(`{"sku": "cup", "reference": 7}`)),
	invalidAt("body", "reference with U+0000", body(`{"sku": "cup", "reference": "`+canary+`\u0000"}`)),
	invalidAt("body.metadata", "metadata is a list", body(`{"sku": "cup", "metadata": ["`+canary+`"]}`)),
	invalidAt("body.metadata", "metadata is text", body(`{"sku": "cup", "metadata": "`+canary+`"}`)),
	invalidAt("body.metadata", "metadata of more than 4 KiB", body(`{"sku": "cup", "metadata": {"`+canary+`": "`+strings.Repeat("x", 4097-len(canary)-7)+`"}}`)),
	invalidAt("body", "metadata with U+0000", body(`{"sku": "cup", "metadata": {"a": [{"b": "`+canary+`\u0000"}]}}`)),
	invalidAt("body", "metadata with a name with U+0000", body(`{"sku": "cup", "metadata": {"a\u0000": 1}}`)),
	invalidAt("body", "metadata with a name twice", body(`{"sku": "cup", "metadata": {"a": 1, "a": 2}}`)),
	invalidAt("body", "metadata with a number that nothing holds", body(`{"sku": "cup", "metadata": {"a": 1e999}}`)),
	invalidAt("body", "metadata that nests deeply", body(`{"sku": "cup", "metadata": `+strings.Repeat(`{"a":`, 101)+"1"+strings.Repeat("}", 102))),

	invalidAt("body.colour", "unknown field", body(`{"sku": "cup", "colour": "`+canary+`"}`)),
	invalidAt("body.SKU", "field in capitals", body(`{"sku": "cup", "SKU": "`+canary+` "}`)),
	invalidAt("body", "a field twice", body(`{"sku": "cup", "quantity": 1, "quantity": 2}`)),
	invalidAt("body", "two documents", body(`{"sku": "cup"}{"sku": "cup"}`)),
	invalidAt("body", "empty body", body("")),
	invalidAt("body", "no body", func(r request) request { r.body = nil; return r }),
	invalidAt("body", "garbage", body(canary)),
	invalidAt("body", "truncated", body(`{"sku": "cup", "quant`)),
	invalidAt("body", "array", body(`[{"sku": "cup"}]`)),
	invalidAt("body", "text", body(`"`+canary+`"`)),
	invalidAt("body", "null", body(`null`)),
	invalidAt("body", "deeply nested", body(strings.Repeat(`{"sku":`, 2000))),
	invalidAt("body", "not UTF-8", body("{\"sku\": \"cup\", \"\xff\xfe\": 1}")),
	invalidAt("query.debug", "unknown query parameter", query("?debug="+canary)),
	invalidAt("header.Idempotency-Key", "empty Idempotency-Key", header("Idempotency-Key", "")),
	invalidAt("header.Idempotency-Key", "Idempotency-Key of 256 characters", header("Idempotency-Key", canary+strings.Repeat("k", 246))),
	invalidAt("header.Idempotency-Key", "Idempotency-Key that is not UTF-8", header("Idempotency-Key", canary+"\xff")),

	{"body of 1 MiB", body(`{"sku": "` + strings.Repeat(" ", 1<<20) + `"}`), 413, "payload-too-large", ""},
	{"form", header("Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported-media-type", ""},
	{"text", header("Content-Type", "text/plain; x="+canary), 415, "unsupported-media-type", ""},
	{"nonsense Content-Type", header("Content-Type", ";;"+canary), 415, "unsupported-media-type", ""},
	{"JSON of another kind", header("Content-Type", "application/merge-patch+json"), 415, "unsupported-media-type", ""},

	{"no token", header("Authorization", absent), 401, "unauthenticated", ""},
	{"empty Authorization", header("Authorization", ""), 401, "unauthenticated", ""},
	{"Bearer alone", header("Authorization", "Bearer "), 401, "unauthenticated", ""},
	{"Basic", header("Authorization", "Basic "+canary), 401, "unauthenticated", ""},
	{"garbage in Authorization", header("Authorization", "Bearer "+canary+".\xff."), 401, "unauthenticated", ""},
	{"a token as a query parameter", query("?access_token=" + canary), 422, "validation", "query.access_token"},
	{"unknown key", header("Authorization", "Bearer "+shop.KeyPrefix+canary), 401, "unauthenticated", ""},
	{"Buyer-Id with a buyer's token", header("Buyer-Id", "ann"), 403, "forbidden", ""},
}

func TestBadClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	w.stocked(t, "off", 1)
	if _, _, err := w.PutProduct(t.Context(), shop.Product{SKU: "off"}); err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct {
		name   string
		claim  request
		status int
	}{
		{"direct", goodClaim(claimPaths[0]), 201},
		{"queued", goodClaim(claimPaths[1]).with("Prefer", absent), 202},
		{"queued, waiting", goodClaim(claimPaths[1]), 201},
	} {
		for _, bad := range badClaims {
			t.Run(way.name+" "+bad.name, func(t *testing.T) {
				w.refuses(t, bad.change(way.claim), bad)
			})
		}
		// Without a change it is a claim: the refusals above are for the change.
		var tx, settled httpapi.Transaction
		w.send(t, way.claim).into(t, way.status, &tx)
		w.send(t, as("ann", "GET", "/api/v1/transaction/"+tx.ID+"?wait=20", nil)).into(t, 200, &settled)
		if settled.Status != "held" {
			t.Errorf("%s: a good claim is %s", way.name, settled.Status)
		}
	}
}

// goodClaim is a claim that is answered when it is decided: one that is queued waits for its turn.
func goodClaim(path string) request {
	return decided(request{method: "POST", path: path, token: token("ann"), body: `{"sku": "cup", "quantity": 1}`})
}

// decided makes a claim wait for its turn, if it is to be queued.
func decided(r request) request {
	if r.path == claimPaths[1] {
		r = r.with("Prefer", "wait=20")
	}
	return r
}

// refuses holds that a request is refused and changes nothing.
func (w *world) refuses(t *testing.T, r request, bad badClaim) {
	t.Helper()
	before := w.rows(t)
	p := w.send(t, r).refused(t, bad.status, bad.code)
	if after := w.rows(t); after != before {
		t.Errorf("claims, their units and tokens went from %v to %v", before, after)
	}
	switch {
	case bad.where == "" && len(p.Errors) > 0, bad.where != "" && len(p.Errors) == 0:
		t.Errorf("errors are %v, want them for %q", p.Errors, bad.where)
	case bad.where != "" && p.Errors[0].Location != bad.where:
		t.Errorf("errors are %v, want one for %s", p.Errors, bad.where)
	}
}

func TestGoodClaimsThatLookOdd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 40)
	for name, change := range map[string]func(request) request{
		"no Content-Type":                   header("Content-Type", absent),
		"Content-Type with a charset":       header("Content-Type", "application/json; charset=utf-8"),
		"Content-Type in capitals":          header("Content-Type", "Application/JSON ;charset=utf-8"),
		"no quantity":                       body(`{"sku": "cup"}`),
		"quantity null":                     body(`{"sku": "cup", "quantity": null}`),
		"bearer in small letters":           header("Authorization", "bearer "+token("ann")),
		"Idempotency-Key of 255 characters": header("Idempotency-Key", strings.Repeat("ü", 255)),
		"sale_id, reference, metadata null": body(`{"sku": "cup", "sale_id": null, "reference": null, "metadata": null}`),
		"metadata of 4 KiB":                 body(`{"sku": "cup", "metadata": {"a": "` + strings.Repeat("<", 4096-8) + `"}}`),
		"reference of 200 characters":       body(`{"sku": "cup", "reference": "` + strings.Repeat("ü", 200) + `"}`),
		"any Accept":                        header("Accept", "text/html, image/*;q=0"),
	} {
		for _, path := range claimPaths {
			var tx httpapi.Transaction
			a := w.send(t, change(goodClaim(path)))
			if a.status != 201 {
				t.Errorf("%s: got %d %s, want 201", name, a.status, a.body)
				continue
			}
			if a.into(t, 201, &tx); tx.Quantity != 1 || len(tx.UnitIDs) != 1 {
				t.Errorf("%s: got %d units %v, want 1", name, tx.Quantity, tx.UnitIDs)
			}
		}
	}
}

func TestKeyWithAnotherBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	w.stocked(t, "mug", 20)
	for i, path := range claimPaths {
		first := goodClaim(path).with("Idempotency-Key", buyer(i))
		w.send(t, first).into(t, 201, nil)
		for _, text := range []string{
			`{"sku": "cup", "quantity": 2}`, `{"sku": "mug"}`, `{"sku": "cup", "reference": "r"}`, `{"sku": "cup", "metadata": {}}`,
		} {
			for _, other := range claimPaths {
				r := first
				r.path, r.body = other, text
				w.refuses(t, r, badClaim{status: 422, code: "idempotency-key-reused"})
			}
		}
		// The same content, written in another way, is the same request.
		first.body = ` {"quantity":1,   "sku":"cup"}`
		if a := w.send(t, first).into(t, 201, nil); a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: the same content in another form was no replay", path)
		}
	}
}

// TestNotes: what a claim is sent with is shown with it, whoever looks and whenever.
func TestNotes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	for i, path := range claimPaths {
		r := goodClaim(path).with("Idempotency-Key", buyer(i))
		r.body = `{"sku": "cup", "reference": " <cart> & \"ü\" ", "metadata": {"b": [1.50, 1e3, null, "<a>"], "a": {"\\u0000": 12345678901234567890}, "": false}}`
		const want = `{"a": {"\\u0000": 12345678901234567890}, "b": [1.50, 1000, null, "<a>"], "": false}`
		var tx httpapi.Transaction
		for _, r := range []request{r, r, {method: "GET", path: "", token: token("ann")}} {
			status := 201
			if r.method == "GET" {
				r.path, status = "/api/v1/transaction/"+tx.ID, 200
			}
			if w.send(t, r).into(t, status, &tx); tx.Reference == nil || *tx.Reference != ` <cart> & "ü" ` {
				t.Errorf("%s %s: the reference is %v", r.method, path, tx.Reference)
			}
			sameJSON(t, tx.Metadata, want)
		}
		// The order of names makes no other call.
		r.body = `{"metadata": {"": false, "a": {"\\u0000": 12345678901234567890}, "b": [1.50, 1e3, null, "<a>"]}, "reference": " <cart> & \"ü\" ", "sku": "cup"}`
		if a := w.send(t, r).into(t, 201, nil); a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: the same content in another order was no replay", path)
		}
		r.body = `{"sku": "cup", "metadata": {"b": 1}, "reference": " <cart> & \"ü\" "}`
		w.send(t, r).refused(t, 422, "idempotency-key-reused")
	}
	if c := w.cart(t, "ann"); len(c.Items) != 2 || c.Items[0].Reference == nil || c.Items[1].Metadata == nil {
		t.Errorf("the cart is %+v", c)
	}
}

func TestKeyTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	const callers = 16
	answers := make([]answer, callers)
	var ready, done sync.WaitGroup
	ready.Add(callers)
	for i := range callers {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = w.send(t, goodClaim(claimPaths[i%2]).with("Idempotency-Key", "once"))
		})
	}
	done.Wait()
	ids := map[string]bool{}
	fresh := 0
	for _, a := range answers {
		var tx httpapi.Transaction
		a.into(t, http.StatusCreated, &tx)
		ids[tx.ID] = true
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if got, want := w.rows(t), [3]int{1, 1, 19}; len(ids) != 1 || fresh != 1 || got != want {
		t.Errorf("%d transactions, %d of them new, rows %v; want 1, 1, %v", len(ids), fresh, got, want)
	}
}
