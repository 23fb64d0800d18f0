package httpapi_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

func post(key, path, body string) request {
	return request{method: "POST", path: path, token: key, body: body}
}

const (
	receipts    = "/api/v1/products/mug/receipts"
	withdrawals = "/api/v1/products/mug/withdrawals"
)

// has holds that the stock of mug is so, and that the places add up.
func (w *world) has(t *testing.T, key string, want httpapi.Stock) {
	t.Helper()
	var got httpapi.Stock
	r := get("/api/v1/products/mug/stock")
	r.token = key
	w.send(t, r).into(t, 200, &got)
	if got != want {
		t.Errorf("the stock is %+v, want %+v", got, want)
	}
	if got.Received != got.Available+got.Held+got.Ordered+got.Sold+got.Quarantine+got.Withdrawn {
		t.Errorf("the stock does not add up: %+v", got)
	}
}

// replayed sends a request twice and holds that the second is a replay of the first.
func (w *world) replayed(t *testing.T, r request, status int) answer {
	t.Helper()
	first := w.send(t, r).into(t, status, nil)
	second := w.send(t, r).into(t, status, nil)
	if first.header.Get("Idempotency-Replayed") != "" || second.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s %s: Idempotency-Replayed is %q, then %q", r.method, r.path,
			first.header.Get("Idempotency-Replayed"), second.header.Get("Idempotency-Replayed"))
	}
	if string(first.body) != string(second.body) {
		t.Errorf("%s %s: the replay of %s is %s", r.method, r.path, first.body, second.body)
	}
	return first
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	w.stocked(t, "cup", 1)
	key := w.key(t, shop.ScopeStock)
	keyed := post(key, receipts, `{"quantity": 5, "reference": "note 4711"}`).with("Idempotency-Key", "first")
	var made httpapi.Receipt
	w.replayed(t, keyed, 201).into(t, 201, &made)
	if made.ID == "" || made.SKU != "mug" || made.Quantity != 5 || made.Reference != "note 4711" || made.CreatedAt.IsZero() {
		t.Errorf("the receipt is %+v", made)
	}
	w.has(t, key, httpapi.Stock{Received: 6, Available: 6})
	for _, other := range []string{
		`{"quantity": 6, "reference": "note 4711"}`, `{"quantity": 5, "reference": "note 4712"}`,
		`{"serials": ["a", "b", "c", "d", "e"], "reference": "note 4711"}`,
	} {
		r := keyed
		r.body = other
		w.send(t, r).refused(t, 422, "idempotency-key-reused")
	}
	elsewhere := keyed
	elsewhere.path = "/api/v1/products/cup/receipts"
	w.send(t, elsewhere).refused(t, 422, "idempotency-key-reused")
	// A key is the caller's own.
	another := keyed
	another.token = w.key(t, shop.ScopeStock)
	if a := w.send(t, another).into(t, 201, nil); a.header.Get("Idempotency-Replayed") != "" {
		t.Error("another caller's Idempotency-Key was taken for this one's")
	}
	w.has(t, key, httpapi.Stock{Received: 11, Available: 11})
	w.send(t, post(key, "/api/v1/products/nothing/receipts", `{"quantity": 5, "reference": "r"}`)).refused(t, 404, "not-found")
}

func TestSerials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	w.stocked(t, "cup", 1)
	key := w.key(t, shop.ScopeStock)
	keyed := post(key, receipts, `{"serials": ["S-1", "S 2 (new), \"x\"", "ü"], "reference": "r"}`).with("Idempotency-Key", "serials")
	var made httpapi.Receipt
	w.replayed(t, keyed, 201).into(t, 201, &made)
	if made.Quantity != 3 {
		t.Errorf("three serials made %d units", made.Quantity)
	}
	for _, serial := range []string{"S-1", `S 2 (new), "x"`, "ü"} {
		text, _ := json.Marshal(map[string]any{"serials": []string{"fresh", serial}, "reference": "r"})
		p := w.send(t, post(key, receipts, string(text))).refused(t, 409, "conflict")
		if !strings.Contains(p.Detail, fmt.Sprintf("%q", serial)) || p.State == "" {
			t.Errorf("the refusal of serial %s says %q, state %q", serial, p.Detail, p.State)
		}
	}
	w.has(t, key, httpapi.Stock{Received: 4, Available: 4})
	// A serial is its product's own.
	w.send(t, post(key, "/api/v1/products/cup/receipts", `{"serials": ["S-1"], "reference": "r"}`)).into(t, 201, nil)
	if n := w.count(t, "SELECT count(*) FROM unit WHERE serial = 'S-1'"); n != 2 {
		t.Errorf("%d units have the serial S-1, want 2", n)
	}
}

func TestBadStock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 3)
	key := w.key(t, shop.ScopeStock)
	many, _ := json.Marshal(map[string]any{"reference": "r", "serials": slices.Repeat([]string{"s"}, 10001)})
	for _, bad := range []struct{ path, body, where string }{
		{receipts, `{"reference": "r"}`, "body"},
		{receipts, `{"quantity": 2, "serials": ["a", "b"], "reference": "r"}`, "body"},
		{receipts, `{"serials": [], "reference": "r"}`, "body.serials"},
		{receipts, `{"serials": null, "reference": "r"}`, "body"},
		{receipts, `{"serials": ["a", "b", "a"], "reference": "r"}`, "body.serials[2]"},
		{receipts, `{"serials": ["` + strings.Repeat("s", 101) + `"], "reference": "r"}`, "body.serials[0]"},
		{receipts, `{"serials": [""], "reference": "r"}`, "body.serials[0]"},
		{receipts, `{"serials": ["a\u0000"], "reference": "r"}`, "body"},
		{receipts, `{"serials": [7], "reference": "r"}`, "body.serials[0]"},
		{receipts, string(many), "body.serials"},
		{receipts, `{"quantity": 0, "reference": "r"}`, "body.quantity"},
		{receipts, `{"quantity": -1, "reference": "r"}`, "body.quantity"},
		{receipts, `{"quantity": 1000001, "reference": "r"}`, "body.quantity"},
		{receipts, `{"quantity": 1.5, "reference": "r"}`, "body.quantity"},
		{receipts, `{"quantity": 1}`, "body"},
		{receipts, `{"quantity": 1, "reference": ""}`, "body.reference"},
		{receipts, `{"quantity": 1, "reference": "\u0000"}`, "body"},
		{receipts, `{"quantity": 1, "reference": "` + strings.Repeat("r", 201) + `"}`, "body.reference"},
		{receipts, `{"quantity": 1, "reference": "r", "colour": "` + canary + `"}`, "body.colour"},
		{withdrawals, `{"reason": "r"}`, "body"},
		{withdrawals, `{"quantity": 0, "reason": "r"}`, "body.quantity"},
		{withdrawals, `{"quantity": 1000001, "reason": "r"}`, "body.quantity"},
		{withdrawals, `{"quantity": 1}`, "body"},
		{withdrawals, `{"quantity": 1, "reason": ""}`, "body.reason"},
		{withdrawals, `{"quantity": 1, "reason": "a\u0000"}`, "body"},
		{"/api/v1/audit", `{"sku": "a b"}`, "body.sku"},
		{"/api/v1/audit", `{"sku": "` + canary + `", "deep": true}`, "body.deep"},
		{"/api/v1/products/a%20b/receipts", `{"quantity": 1, "reference": "r"}`, "path.sku"},
	} {
		r := post(w.key(t, shop.ScopeStock, shop.ScopeAudit), bad.path, bad.body)
		p := w.send(t, r).refused(t, 422, "validation")
		if len(p.Errors) == 0 || p.Errors[0].Location != bad.where {
			t.Errorf("%s %.100s: errors are %v, want one for %s", bad.path, bad.body, p.Errors, bad.where)
		}
		for _, one := range p.Errors {
			if strings.Contains(one.Message, "e+0") {
				t.Errorf("%s: %s is no number for people", one.Location, one.Message)
			}
		}
	}
	w.has(t, key, httpapi.Stock{Received: 3, Available: 3})
	tooLarge := post(key, receipts, `{"reference": "`+strings.Repeat("r", 2<<20)+`"}`)
	w.send(t, tooLarge).refused(t, 413, "payload-too-large")
	tooLarge.path = withdrawals
	w.send(t, tooLarge).refused(t, 413, "payload-too-large")
}

func TestWithdrawals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	w.hold(t, "ann", "mug", 4)
	key := w.key(t, shop.ScopeStock)
	p := w.send(t, post(key, withdrawals, `{"quantity": 7, "reason": "broken"}`)).refused(t, 409, "not-enough-units")
	if p.Available == nil || *p.Available != 6 {
		t.Errorf("available is %v, want 6", p.Available)
	}
	w.has(t, key, httpapi.Stock{Received: 10, Available: 6, Held: 4})
	keyed := post(key, withdrawals, `{"quantity": 5, "reason": "broken"}`).with("Idempotency-Key", "out")
	var made httpapi.Withdrawal
	w.replayed(t, keyed, 201).into(t, 201, &made)
	if made.ID == "" || made.SKU != "mug" || made.Quantity != 5 || made.Reason != "broken" || made.CreatedAt.IsZero() {
		t.Errorf("the withdrawal is %+v", made)
	}
	keyed.body = `{"quantity": 1, "reason": "broken"}`
	w.send(t, keyed).refused(t, 422, "idempotency-key-reused")
	w.has(t, key, httpapi.Stock{Received: 10, Available: 1, Held: 4, Withdrawn: 5})
	w.send(t, post(key, "/api/v1/products/nothing/withdrawals", `{"quantity": 1, "reason": "r"}`)).refused(t, 404, "not-found")
	nothing := get("/api/v1/products/nothing/stock")
	nothing.token = key
	w.send(t, nothing).refused(t, 404, "not-found")
}

func TestUnitsLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	key := w.key(t, shop.ScopeStock)
	first := w.hold(t, "ann", "mug", 1)
	at := "/api/v1/units/" + first.UnitIDs[0]
	if u := w.unit(t, key, at, "held"); len(u.Life) != 2 {
		t.Errorf("the life of a held unit is %+v", u.Life)
	}
	release := request{method: "DELETE", path: "/api/v1/cart/" + first.ID, token: token("ann")}
	w.send(t, release).into(t, 204, nil)
	w.unit(t, key, at, "available")
	var withdrawal httpapi.Withdrawal
	w.send(t, post(key, withdrawals, `{"quantity": 1, "reason": "broken"}`)).into(t, 201, &withdrawal)
	u := w.unit(t, key, at, "withdrawn")
	var events []string
	for _, e := range u.Life {
		events = append(events, e.Event)
	}
	if want := []string{"received", "held", "released", "withdrawn"}; !slices.Equal(events, want) {
		t.Fatalf("the unit was %v, want %v", events, want)
	}
	if u.SKU != "mug" || u.Serial != nil || *u.Life[0].Reference != "test" || u.Life[0].ReceiptID == nil ||
		*u.Life[1].Buyer != "ann" || *u.Life[1].TransactionID != first.ID || *u.Life[2].TransactionID != first.ID ||
		*u.Life[3].WithdrawalID != withdrawal.ID || *u.Life[3].Reference != "broken" {
		t.Errorf("the unit is %+v", u)
	}
	for _, id := range []string{first.ID, "019b1234-5678-7abc-8def-0123456789ab", canary, "%00", strings.ToUpper(first.UnitIDs[0]) + "0"} {
		r := get("/api/v1/units/" + id)
		r.token = key
		w.send(t, r).refused(t, 404, "not-found")
	}
}

func (w *world) unit(t *testing.T, key, path, place string) (u httpapi.Unit) {
	t.Helper()
	r := get(path)
	r.token = key
	w.send(t, r).into(t, 200, &u)
	if u.Place != place {
		t.Errorf("the unit is %s, want %s", u.Place, place)
	}
	return u
}

func TestAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 3)
	w.hold(t, "ann", "mug", 2)
	key := w.key(t, shop.ScopeAudit)
	last := get("/api/v1/audit")
	last.token = key
	w.send(t, last).refused(t, 404, "not-found")
	var ran, read httpapi.Audit
	w.replayed(t, post(key, "/api/v1/audit", `{"sku": "mug"}`).with("Idempotency-Key", "one"), 201).into(t, 201, &ran)
	w.send(t, last).into(t, 200, &read)
	if !ran.OK || len(ran.Checks) == 0 || ran.SKU == nil || *ran.SKU != "mug" || !reflect.DeepEqual(ran, read) {
		t.Errorf("ran %+v, read %+v", ran, read)
	}
	w.send(t, post(key, "/api/v1/audit", `{}`).with("Idempotency-Key", "one")).refused(t, 422, "idempotency-key-reused")
	w.send(t, post(key, "/api/v1/audit", `{"sku": "nothing"}`)).refused(t, 404, "not-found")
	if _, err := w.db.Exec(t.Context(), "DELETE FROM stock_token"); err != nil {
		t.Fatal(err)
	}
	all := post(key, "/api/v1/audit", "")
	all.body = nil
	w.send(t, all).into(t, 201, &ran)
	if ran.OK || ran.SKU != nil {
		t.Errorf("an audit did not find a unit that is nowhere: %+v", ran)
	}
	for _, c := range ran.Checks {
		for _, v := range c.Violations {
			if v.SKU != "mug" || v.UnitID == nil || v.Detail == "" {
				t.Errorf("%s: %+v", c.Name, v)
			}
		}
	}
}

// TestStockKeysTwiceAtOnce: of requests with one key that come together, one does it and the others show what it did.
func TestStockKeysTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 100)
	key := w.key(t, shop.ScopeStock)
	w.onceOf8(t, post(key, receipts, `{"quantity": 5, "reference": "r"}`))
	w.onceOf8(t, post(key, withdrawals, `{"quantity": 5, "reason": "r"}`))
	w.has(t, key, httpapi.Stock{Received: 105, Available: 100, Withdrawn: 5})
}

func TestAuditKeyTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 100)
	w.onceOf8(t, post(w.key(t, shop.ScopeAudit), "/api/v1/audit", `{"sku": "mug"}`))
}

// onceOf8 sends a request eight times at once with one key, and holds that it was done once.
func (w *world) onceOf8(t *testing.T, r request) {
	t.Helper()
	answers := w.atOnce(t, 8, r.with("Idempotency-Key", "once"))
	fresh, bodies := 0, map[string]bool{}
	for _, a := range answers {
		a.into(t, 201, nil)
		bodies[string(a.body)] = true
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if fresh != 1 || len(bodies) != 1 {
		t.Errorf("%s: %d of %d were new, with %d answers", r.path, fresh, len(answers), len(bodies))
	}
}
