package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

const checkoutPath = "/api/v1/order/checkout"

func checkout(buyer, body string) request {
	r := as(buyer, "POST", checkoutPath, body)
	if body == "" {
		r.body = nil
	}
	return r
}

func orderPath(id fmt.Stringer, action string) string {
	return strings.TrimSuffix("/api/v1/orders/"+id.String()+"/"+action, "/")
}

func (w *world) looksAtOrder(t testing.TB, buyer, id string) (o httpapi.Order) {
	t.Helper()
	w.send(t, as(buyer, "GET", "/api/v1/orders/"+id, nil)).into(t, 200, &o)
	return o
}

func TestCheckoutAndPay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	w.stocked(t, "cup", 10)
	at := soon()
	w.moveTo(at)
	mug, cup, rest := w.hold(t, "ann", "mug", 2), w.hold(t, "ann", "cup", 1), w.hold(t, "ann", "cup", 1)
	w.moveTo(at.Add(time.Minute))
	text := fmt.Sprintf(`{"transaction_ids": [%q, %q], "reference": "cart 7", "metadata": {"gift": true, "n": 1.50}}`, mug.ID, cup.ID)
	r := checkout("ann", text).with("Idempotency-Key", "k")
	var o httpapi.Order
	a := w.replayed(t, r, 201).into(t, 201, &o)
	if got := a.header.Get("Location"); got != "/api/v1/orders/"+o.ID {
		t.Errorf("Location is %q", got)
	}
	price := httpapi.Money{Amount: 1250, Currency: "EUR"}
	want := httpapi.Order{
		ID: o.ID, Buyer: "ann", Status: "awaiting_payment", Total: &httpapi.Money{Amount: 3750, Currency: "EUR"}, Refunded: &httpapi.Money{Currency: "EUR"},
		PayBy: pointer(at.Add(11 * time.Minute)), Payment: httpapi.Payment{Provider: "test", Status: "none"}, Attention: []string{}, Reference: pointer("cart 7"), Metadata: o.Metadata,
		CreatedAt: at.Add(time.Minute),
		Lines: []httpapi.OrderLine{
			{TransactionID: mug.ID, SKU: "mug", Quantity: 2, UnitIDs: mug.UnitIDs, ReturnedUnitIDs: []string{}, Price: &price},
			{TransactionID: cup.ID, SKU: "cup", Quantity: 1, UnitIDs: cup.UnitIDs, ReturnedUnitIDs: []string{}, Price: &price},
		},
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("the order is %+v, want %+v", o, want)
	}
	sameJSON(t, o.Metadata, `{"gift": true, "n": 1.50}`)
	if got := w.looksAtOrder(t, "ann", o.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("the order reads as %+v, want %+v", got, want)
	}
	r.body = strings.Replace(text, "cart 7", "cart 8", 1)
	w.send(t, r).refused(t, 422, "idempotency-key-reused")
	if c := w.cart(t, "ann"); len(c.Items) != 1 || c.Items[0].ID != rest.ID {
		t.Errorf("in the cart is %+v, want the rest", c.Items)
	}
	if p := w.send(t, as("ann", "DELETE", "/api/v1/cart/"+mug.ID, nil)).refused(t, 409, "conflict"); p.State != "ordered" {
		t.Errorf("the state is %q", p.State)
	}

	pay := as("ann", "POST", "/api/v1/orders/"+o.ID+"/pay", `{"card": "decline"}`).with("Idempotency-Key", "p1")
	for range 2 {
		w.send(t, pay).refused(t, 402, "payment-failed")
	}
	if got := w.looksAtOrder(t, "ann", o.ID); got.Status != "awaiting_payment" || got.Payment.Status != "failed" {
		t.Errorf("after a card that was declined the order is %+v", got)
	}
	pay.body = `{"card": "succeed"}`
	w.send(t, pay).refused(t, 422, "idempotency-key-reused")
	pay = pay.with("Idempotency-Key", "p2")
	w.replayed(t, pay, 200).into(t, 200, &o)
	if want.Status, want.Payment.Status, want.Metadata = "paid", "succeeded", o.Metadata; !reflect.DeepEqual(o, want) {
		t.Errorf("the paid order is %+v, want %+v", o, want)
	}
	for _, action := range []string{"pay", "cancel"} {
		again := as("ann", "POST", "/api/v1/orders/"+o.ID+"/"+action, nil)
		if action == "pay" {
			again.body = `{"card": "succeed"}`
		}
		if p := w.send(t, again).refused(t, 409, "conflict"); p.State != "paid" {
			t.Errorf("%s: the state is %q, want paid", action, p.State)
		}
	}
	w.send(t, r.with("Idempotency-Key", "other")).refused(t, 409, "conflict") // what is ordered is ordered
	if n := w.count(t, "SELECT sum(amount_minor) FROM test_charge WHERE status = 'succeeded'"); n != 3750 {
		t.Errorf("%d were charged", n)
	}
	w.sound(t)
}

func TestCheckoutRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	for sku, product := range map[string]string{"franc": `{"price": {"amount": 300, "currency": "CHF"}}`, "free": `{}`} {
		w.send(t, put(w.key(t, shop.ScopeCatalog), sku, product)).into(t, 201, nil)
		w.stock(t, sku, 5)
	}
	at := soon()
	w.moveTo(at)
	old, franc, free := w.hold(t, "ann", "mug", 1), w.hold(t, "cat", "franc", 1), w.hold(t, "cat", "free", 1)
	theirs, released := w.hold(t, "bob", "mug", 1), w.hold(t, "ann", "mug", 1)
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+released.ID, nil)).into(t, 204, nil)
	w.moveTo(at.Add(time.Minute))
	fresh, euro := w.hold(t, "ann", "mug", 1), w.hold(t, "cat", "mug", 1)
	these := func(ids ...string) string {
		text, _ := json.Marshal(map[string]any{"transaction_ids": ids})
		return string(text)
	}
	w.moveTo(at.Add(10 * time.Minute)) // the instant at which old lapses
	for _, text := range []string{"", "{}", `{"transaction_ids": []}`, `{"transaction_ids": null}`} {
		w.send(t, checkout("nobody", text)).refused(t, 409, "cart-empty")
	}
	for _, text := range []string{"", these(old.ID, fresh.ID)} {
		if p := w.send(t, checkout("ann", text)).refused(t, 409, "hold-expired"); !slices.Equal(p.TransactionIDs, []string{old.ID}) {
			t.Errorf("the holds that have lapsed are %v, want %s", p.TransactionIDs, old.ID)
		}
		if c := w.cart(t, "ann"); len(c.Items) != 1 || c.Items[0].ID != fresh.ID {
			t.Errorf("in the cart is %+v, want what is live", c.Items)
		}
		w.moveTo(at.Add(9 * time.Minute)) // it has been expired, and stays so
	}
	for _, id := range []string{theirs.ID, "019b1234-5678-7abc-8def-0123456789ab", canary, "", fresh.ID + "0", fresh.UnitIDs[0]} {
		w.send(t, checkout("ann", these(fresh.ID, id))).refused(t, 404, "not-found")
	}
	if p := w.send(t, checkout("ann", these(fresh.ID, released.ID))).refused(t, 409, "conflict"); p.State != "released" {
		t.Errorf("the state is %q", p.State)
	}
	for _, ids := range [][]string{{euro.ID, franc.ID}, {free.ID}, {euro.ID, free.ID}} {
		if p := w.send(t, checkout("cat", these(ids...))).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != "body.transaction_ids" {
			t.Errorf("errors are %v", p.Errors)
		}
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = fresh.ID
	}
	big, _ := json.Marshal(map[string]any{"a": strings.Repeat("x", 4090)})
	for text, where := range map[string]string{
		these(many...): "body.transaction_ids", `{"transaction_ids": [1]}`: "body.transaction_ids[0]", `{"transaction_ids": "x"}`: "body.transaction_ids",
		`{"reference": ""}`: "body.reference", `{"reference": "` + strings.Repeat("r", 201) + `"}`: "body.reference", `{"metadata": []}`: "body.metadata", `{"metadata": "x"}`: "body.metadata",
		`{"metadata": ` + string(big) + `}`: "body.metadata", `{"buyer": "` + canary + `"}`: "body.buyer", `{"total": 1}`: "body.total", `[]`: "body", `null`: "body", canary: "body",
		`{"reference": "a\u0000"}`: "body", `{"metadata": {"a": "\u0000"}}`: "body",
	} {
		if p := w.send(t, checkout("ann", text)).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%.60s: errors are %v, want one for %s", text, p.Errors, where)
		}
	}
	w.send(t, checkout("ann", these(slices.Repeat(many, 3)...))).refused(t, 413, "payload-too-large")
	if n := w.count(t, "SELECT count(*) FROM shop_order"); n != 0 {
		t.Errorf("%d orders were made", n)
	}
	// A refusal leaves the key free.
	keyed := checkout("dan", "").with("Idempotency-Key", "k")
	w.send(t, keyed).refused(t, 409, "cart-empty")
	w.hold(t, "dan", "mug", 1)
	w.replayed(t, keyed, 201)
	w.send(t, checkout("ann", these(slices.Repeat(many[:1], 2)...))).into(t, 201, nil) // named twice it is ordered once
	w.sound(t)
}

func TestBadPayments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	o := w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID)
	for text, where := range map[string]string{
		`{"card": "` + canary + `"}`: "body.card", `{"card": ""}`: "body.card", `{}`: "body.card", `{"card": 1}`: "body.card", `{"card": "succeed", "amount": 1}`: "body.amount",
		`{"card": "` + strings.Repeat("c", 201) + `"}`: "body.card", `{"card": "late:1y"}`: "body.card", canary: "body", "": "body.card",
		`{"payment_method": "` + canary + `"}`: "body.card", `{"card": "succeed", "payment_method": "pm_1"}`: "body.payment_method",
	} {
		p := w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), text)).refused(t, 422, "validation")
		if len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%.60s: errors are %v, want one for %s", text, p.Errors, where)
		}
	}
	for _, id := range []string{"019b1234-5678-7abc-8def-0123456789ab", canary, "%00", o.ID.String() + "0"} {
		w.send(t, as("ann", "POST", "/api/v1/orders/"+id+"/pay", `{"card": "succeed"}`)).refused(t, 404, "not-found")
		w.send(t, as("ann", "POST", "/api/v1/orders/"+id+"/cancel", nil)).refused(t, 404, "not-found")
		w.send(t, as("ann", "GET", "/api/v1/orders/"+id, nil)).refused(t, 404, "not-found")
		w.send(t, post(w.key(t, shop.ScopeOrder), "/api/v1/orders/"+id+"/refund", `{"restock": "available"}`)).refused(t, 404, "not-found")
	}
	w.send(t, as("ann", "POST", orderPath(o.ID, "cancel"), `{"unit_ids": []}`)).refused(t, 422, "validation")
	if got := w.looksAtOrder(t, "ann", o.ID.String()); got.Status != "awaiting_payment" {
		t.Errorf("the order is %+v", got)
	}
	w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{"card": "twice"}`)).into(t, 200, nil)
	w.sound(t)
}

// TestSlowPayment: a provider that takes its time leaves the payment pending, and what becomes of it is found out.
func TestSlowPayment(t *testing.T) {
	t.Parallel()
	w := newShop(t, shop.Options{PayTimeout: 300 * time.Millisecond})
	w.stocked(t, "mug", 10)
	order := func() shop.Order { return w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID) }
	slow, late, hangs := order(), order(), order()
	var o httpapi.Order
	for _, card := range []string{"late:10m", "succeed"} { // the second waits for the first
		w.send(t, as("ann", "POST", orderPath(slow.ID, "pay"), `{"card": "`+card+`"}`)).into(t, 200, &o)
		if o.Status != "awaiting_payment" || o.Payment.Status != "pending" {
			t.Errorf("while the provider takes its time the order is %+v", o)
		}
	}
	if n := w.count(t, "SELECT count(*) FROM test_charge"); n != 1 {
		t.Errorf("there are %d charges, want 1", n)
	}
	w.send(t, as("ann", "POST", orderPath(late.ID, "pay"), `{"card": "late"}`)).into(t, 200, nil)
	waitFor(t, "the money", func() bool { return w.looksAtOrder(t, "ann", late.ID.String()).Status == "paid" })
	w.send(t, as("ann", "POST", orderPath(hangs.ID, "pay"), `{"card": "hang"}`)).into(t, 200, &o)
	if o.Status != "awaiting_payment" || o.Payment.Status != "pending" {
		t.Errorf("while the provider hangs the order is %+v", o)
	}
	w.send(t, as("ann", "POST", orderPath(hangs.ID, "cancel"), nil)).into(t, 200, &o)
	if o.Status != "cancelled" || *o.Reason != "cancelled-by-buyer" || o.Payment.Status == "pending" {
		t.Errorf("what was called off is %+v", o)
	}
	w.sound(t)
}

func TestOverdueOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	at := soon()
	w.moveTo(at)
	o := w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID)
	w.moveTo(o.PayBy.Add(-time.Microsecond))
	if p := w.claims(t, claimPaths[0], "bob", "mug", 1).refused(t, 409, "all-held"); p.NextReleaseAt == nil || !p.NextReleaseAt.Equal(*o.PayBy) {
		t.Errorf("next_release_at is %v, want %v", p.NextReleaseAt, o.PayBy)
	}
	w.moveTo(*o.PayBy)
	if p := w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{"card": "succeed"}`)).refused(t, 409, "conflict"); p.State != "cancelled" {
		t.Errorf("the state is %q, want cancelled", p.State)
	}
	if got := w.looksAtOrder(t, "ann", o.ID.String()); got.Status != "cancelled" || got.Reason == nil || *got.Reason != "payment-overdue" {
		t.Errorf("the order is %+v", got)
	}
	w.send(t, as("ann", "POST", orderPath(o.ID, "cancel"), nil)).into(t, 200, nil)
	w.claims(t, claimPaths[1], "bob", "mug", 1).into(t, 201, nil)
	w.sound(t)
}

func TestCancelOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 2)
	tx := w.hold(t, "ann", "mug", 2)
	o := w.order(t, "ann", tx.ID)
	w.claims(t, claimPaths[0], "bob", "mug", 1).refused(t, 409, "all-held")
	var cancelled httpapi.Order
	w.replayed(t, as("ann", "POST", orderPath(o.ID, "cancel"), nil).with("Idempotency-Key", "k"), 200).into(t, 200, &cancelled)
	if cancelled.Status != "cancelled" || *cancelled.Reason != "cancelled-by-buyer" || !slices.Equal(cancelled.Lines[0].ReturnedUnitIDs, tx.UnitIDs) {
		t.Errorf("the order is %+v", cancelled)
	}
	w.claims(t, claimPaths[0], "bob", "mug", 2).into(t, 201, nil)
	w.send(t, as("ann", "POST", orderPath(o.ID, "cancel"), "{}")).into(t, 200, nil) // stays so
	if p := w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{"card": "succeed"}`)).refused(t, 409, "conflict"); p.State != "cancelled" {
		t.Errorf("the state is %q", p.State)
	}
	w.sound(t)
}

func TestExtend(t *testing.T) {
	t.Parallel()
	w := newShop(t, shop.Options{HoldMax: 15 * time.Minute})
	w.stocked(t, "mug", 9)
	at := soon()
	w.moveTo(at)
	tx := w.hold(t, "ann", "mug", 1)
	key := w.key(t, shop.ScopeClaim)
	extend := func(id, body string) request {
		return post(key, "/api/v1/transaction/"+id+"/extend", body).with("Buyer-Id", "ann")
	}
	keyed := extend(tx.ID, `{"seconds": 120}`).with("Idempotency-Key", "k")
	var longer httpapi.Transaction
	w.replayed(t, keyed, 200).into(t, 200, &longer)
	if got := longer.ExpiresAt.Sub(at); got != 12*time.Minute {
		t.Errorf("the hold lasts %v", got)
	}
	keyed.body = `{"seconds": 121}`
	w.send(t, keyed).refused(t, 422, "idempotency-key-reused")
	for text, where := range map[string]string{
		`{"seconds": 181}`: "body.seconds", `{"seconds": 0}`: "body.seconds", `{"seconds": -1}`: "body.seconds", `{"seconds": 1e30}`: "body.seconds", `{"seconds": 86401}`: "body.seconds",
		`{}`: "body", `{"seconds": null}`: "body.seconds", `{"seconds": 1, "until": 2}`: "body.until", "": "body",
	} {
		if p := w.send(t, extend(tx.ID, text)).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%s: errors are %v, want one for %s", text, p.Errors, where)
		}
	}
	w.send(t, extend(tx.ID, `{"seconds": 180}`)).into(t, 200, nil)
	w.moveTo(at.Add(15*time.Minute - time.Microsecond))
	w.sound(t)
	w.moveTo(at.Add(15 * time.Minute))
	if p := w.send(t, extend(tx.ID, `{"seconds": 1}`)).refused(t, 409, "hold-expired"); !slices.Equal(p.TransactionIDs, []string{tx.ID}) {
		t.Errorf("the holds that have lapsed are %v", p.TransactionIDs)
	}
	other := w.hold(t, "ann", "mug", 1)
	w.order(t, "ann", other.ID)
	if p := w.send(t, extend(other.ID, `{"seconds": 1}`)).refused(t, 409, "conflict"); p.State != "ordered" {
		t.Errorf("the state is %q", p.State)
	}
	w.send(t, extend(canary, `{"seconds": 1}`)).refused(t, 404, "not-found")
	w.send(t, extend(pgdb.NewID().String(), `{"seconds": 1}`)).refused(t, 404, "not-found")
}

func confirmation(key, reference string, ids ...string) request {
	text, _ := json.Marshal(map[string]any{"transaction_ids": ids, "reference": reference})
	return post(key, "/api/v1/orders/confirm", string(text))
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 4)
	w.send(t, put(w.key(t, shop.ScopeCatalog), "free", `{}`)).into(t, 201, nil)
	w.stock(t, "free", 5)
	key := w.key(t, shop.ScopeOrder)
	at := soon()
	w.moveTo(at)
	mug, free := w.hold(t, "ann", "mug", 2), w.hold(t, "ann", "free", 1)
	r := post(key, "/api/v1/orders/confirm", fmt.Sprintf(`{"transaction_ids": [%q, %q], "reference": "A-1", "metadata": {"paid": "card"}}`, mug.ID, free.ID))
	var o, again httpapi.Order
	a := w.send(t, r).into(t, 201, &o)
	if o.Status != "paid" || o.Total != nil || o.Refunded != nil || o.PayBy != nil || o.Buyer != "ann" || *o.Reference != "A-1" || len(o.Lines) != 2 ||
		o.Payment != (httpapi.Payment{Provider: "external", Status: "succeeded"}) || a.header.Get("Idempotency-Replayed") != "" || a.header.Get("Location") != "/api/v1/orders/"+o.ID {
		t.Errorf("the order is %+v, %v", o, a.header)
	}
	sameJSON(t, o.Metadata, `{"paid": "card"}`)
	// The reference is enough to make it safe to repeat, whatever the key and whoever calls.
	for _, r := range []request{r, r.with("Idempotency-Key", "k"), {method: "POST", path: r.path, token: w.key(t, shop.ScopeOrder), body: r.body}} {
		if a := w.send(t, r).into(t, 201, &again); again.ID != o.ID || a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the second call made %s, replayed %q", again.ID, a.header.Get("Idempotency-Replayed"))
		}
	}
	if p := w.send(t, confirmation(key, "A-1", mug.ID)).refused(t, 409, "conflict"); p.State != "paid" {
		t.Errorf("the state is %q", p.State)
	}
	if p := w.send(t, confirmation(key, "A-2", mug.ID)).refused(t, 409, "conflict"); p.State != "ordered" {
		t.Errorf("the state is %q", p.State)
	}

	// A hold that has lapsed gets equal units, or else nothing is sold.
	lapsed := w.hold(t, "ann", "mug", 1)
	w.moveTo(at.Add(5 * time.Minute))
	live := w.hold(t, "ann", "free", 1)
	w.moveTo(at.Add(10 * time.Minute))
	theirs := w.hold(t, "bob", "mug", 2)
	if p := w.send(t, confirmation(key, "A-3", lapsed.ID, live.ID)).refused(t, 409, "hold-expired"); !slices.Equal(p.TransactionIDs, []string{lapsed.ID}) {
		t.Errorf("the holds that have lapsed are %v, want %s", p.TransactionIDs, lapsed.ID)
	}
	w.send(t, confirmation(key, "A-3", live.ID, theirs.ID)).refused(t, 422, "validation") // two buyers
	w.send(t, as("bob", "DELETE", "/api/v1/cart/"+theirs.ID, nil)).into(t, 204, nil)
	w.send(t, confirmation(key, "A-3", lapsed.ID, live.ID)).into(t, 201, &o)
	if i := slices.IndexFunc(o.Lines, func(l httpapi.OrderLine) bool {
		return l.ReplacesTransactionID != nil && *l.ReplacesTransactionID == lapsed.ID && l.SKU == "mug" && len(l.UnitIDs) == 1 && l.TransactionID != lapsed.ID
	}); i < 0 || len(o.Lines) != 2 {
		t.Errorf("with equal units the order is %+v", o.Lines)
	}
	for _, id := range []string{canary, pgdb.NewID().String(), "", live.UnitIDs[0]} {
		w.send(t, confirmation(key, "A-4", id)).refused(t, 404, "not-found")
	}
	for text, where := range map[string]string{
		`{"transaction_ids": [], "reference": "r"}`: "body.transaction_ids", `{"reference": "r"}`: "body", `{"transaction_ids": ["x"]}`: "body",
		`{"transaction_ids": ["x"], "reference": ""}`: "body.reference", `{"transaction_ids": ["x"], "reference": "` + strings.Repeat("r", 201) + `"}`: "body.reference",
		`{"transaction_ids": null, "reference": "r"}`: "body.transaction_ids", `{"transaction_ids": ["x"], "reference": "r", "buyer": "` + canary + `"}`: "body.buyer",
	} {
		if p := w.send(t, post(key, "/api/v1/orders/confirm", text)).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%.80s: errors are %v, want one for %s", text, p.Errors, where)
		}
	}
	if n := w.count(t, "SELECT count(*) FROM shop_order"); n != 2 {
		t.Errorf("there are %d orders, want 2", n)
	}
	w.sound(t)
}

func TestRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 6)
	key := w.key(t, shop.ScopeOrder, shop.ScopeStock)
	unpaid := w.order(t, "bob", w.hold(t, "bob", "mug", 1).ID)
	sold := w.paid(t, "ann", "mug", 4)
	units := make([]string, 4)
	for i, id := range sold.Lines[0].UnitIDs {
		units[i] = id.String()
	}
	refund := func(restock string, units ...string) request {
		body := map[string]any{"restock": restock}
		if len(units) > 0 {
			body["unit_ids"] = units
		}
		text, _ := json.Marshal(body)
		return post(key, orderPath(sold.ID, "refund"), string(text))
	}
	if p := w.send(t, post(key, orderPath(unpaid.ID, "refund"), `{"restock": "available"}`)).refused(t, 409, "conflict"); p.State != "awaiting_payment" {
		t.Errorf("the state is %q", p.State)
	}
	for text, where := range map[string]string{
		`{}`: "body", `{"restock": "bin"}`: "body.restock", `{"restock": null}`: "body.restock", `{"restock": "available", "unit_ids": []}`: "body.unit_ids",
		`{"restock": "available", "unit_ids": ["` + canary + `"]}`: "body.unit_ids[0]", `{"restock": "available", "unit_ids": ["` + pgdb.NewID().String() + `"]}`: "body.unit_ids[0]",
		`{"restock": "available", "amount": 5}`: "body.amount", "": "body",
	} {
		if p := w.send(t, post(key, orderPath(sold.ID, "refund"), text)).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%s: errors are %v, want one for %s", text, p.Errors, where)
		}
	}
	var o httpapi.Order
	for i, step := range []struct {
		restock string
		stock   httpapi.Stock
	}{
		{"available", httpapi.Stock{Received: 6, Available: 2, Ordered: 1, Sold: 3}},
		{"quarantine", httpapi.Stock{Received: 6, Available: 2, Ordered: 1, Sold: 2, Quarantine: 1}},
		{"write_off", httpapi.Stock{Received: 6, Available: 2, Ordered: 1, Sold: 1, Quarantine: 1, Withdrawn: 1}},
	} {
		w.replayed(t, refund(step.restock, units[i]).with("Idempotency-Key", step.restock), 200).into(t, 200, &o)
		if o.Status != "paid" || o.Refunded.Amount != int64(i+1)*1250 || len(o.Lines[0].ReturnedUnitIDs) != i+1 || !slices.Contains(o.Lines[0].ReturnedUnitIDs, units[i]) {
			t.Errorf("after %s the order is %+v", step.restock, o)
		}
		if p := w.send(t, refund(step.restock, units[i])).refused(t, 409, "conflict"); p.State != "returned" {
			t.Errorf("the state is %q", p.State)
		}
		w.has(t, key, step.stock)
	}
	w.send(t, refund("available")).into(t, 200, &o)
	if o.Status != "refunded" || o.Refunded.Amount != 5000 || o.Payment.Status != "refunded" {
		t.Errorf("the refunded order is %+v", o)
	}
	if p := w.send(t, refund("available")).refused(t, 409, "conflict"); p.State != "refunded" {
		t.Errorf("the state is %q", p.State)
	}
	w.has(t, key, httpapi.Stock{Received: 6, Available: 3, Ordered: 1, Quarantine: 1, Withdrawn: 1})
	for unit, life := range map[string][]string{
		units[0]: {"received", "held", "ordered", "paid", "returned"}, units[1]: {"received", "held", "ordered", "paid", "quarantined"},
		units[2]: {"received", "held", "ordered", "paid"}, // and then, at once, written off and withdrawn
	} {
		w.lived(t, key, unit, life...)
	}
	if n := w.count(t, "SELECT sum(amount_minor) FROM test_refund"); n != 5000 {
		t.Errorf("%d were given back, want 5000", n)
	}
	w.sound(t)
}

// lived holds that the unit has lived so.
func (w *world) lived(t *testing.T, key, unit string, want ...string) {
	t.Helper()
	var u httpapi.Unit
	w.send(t, request{method: "GET", path: "/api/v1/units/" + unit, token: key}).into(t, 200, &u)
	var life []string
	for _, e := range u.Life {
		life = append(life, e.Event)
	}
	if !slices.Equal(life[:min(len(life), len(want))], want) {
		t.Errorf("the unit's life is %v, want %v", life, want)
	}
}

func TestQuarantineRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 5)
	w.stocked(t, "cup", 5)
	sold := w.paid(t, "ann", "mug", 4)
	if _, _, err := w.Refund(t.Context(), shop.RefundRequest{OrderID: sold.ID, Restock: shop.RestockQuarantine}); err != nil {
		t.Fatal(err)
	}
	key := w.key(t, shop.ScopeStock)
	const path = "/api/v1/products/mug/quarantine/release"
	unit := sold.Lines[0].UnitIDs[1].String()
	if p := w.send(t, post(key, path, `{"quantity": 5}`)).refused(t, 409, "not-enough-units"); p.Available == nil || *p.Available != 4 {
		t.Errorf("available is %v, want 4", p.Available)
	}
	var released, again httpapi.QuarantineRelease
	named := post(key, path, fmt.Sprintf(`{"unit_ids": [%q]}`, unit)).with("Idempotency-Key", "k")
	a := w.send(t, named).into(t, 201, &released)
	if want := (httpapi.QuarantineRelease{SKU: "mug", Quantity: 1, UnitIDs: []string{unit}}); !reflect.DeepEqual(released, want) || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("released %+v, want %+v", released, want)
	}
	a = w.send(t, named).into(t, 201, &again)
	if want := (httpapi.QuarantineRelease{SKU: "mug", UnitIDs: []string{}}); !reflect.DeepEqual(again, want) || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the replay released %+v, want %+v", again, want)
	}
	if p := w.send(t, post(key, path, fmt.Sprintf(`{"unit_ids": [%q, %q]}`, unit, sold.Lines[0].UnitIDs[0]))).refused(t, 409, "conflict"); p.State == "" {
		t.Error("the conflict has no state")
	}
	w.has(t, key, httpapi.Stock{Received: 5, Available: 2, Quarantine: 3})
	w.send(t, post(key, path, `{"quantity": 2}`)).into(t, 201, &released)
	if released.Quantity != 2 || len(released.UnitIDs) != 2 || slices.Contains(released.UnitIDs, unit) {
		t.Errorf("released %+v", released)
	}
	w.has(t, key, httpapi.Stock{Received: 5, Available: 4, Quarantine: 1})
	w.lived(t, key, unit, "received", "held", "ordered", "paid", "quarantined", "unquarantined")
	for text, where := range map[string]string{
		`{}`: "body", `{"quantity": 1, "unit_ids": ["` + unit + `"]}`: "body", `{"quantity": 0}`: "body.quantity", `{"quantity": 1000001}`: "body.quantity", `{"unit_ids": []}`: "body.unit_ids",
		`{"unit_ids": ["` + canary + `"]}`: "body.unit_ids[0]", `{"quantity": 1, "sku": "cup"}`: "body.sku", "": "body",
	} {
		if p := w.send(t, post(key, path, text)).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%s: errors are %v, want one for %s", text, p.Errors, where)
		}
	}
	w.send(t, post(key, strings.Replace(path, "mug", "nothing", 1), `{"quantity": 1}`)).refused(t, 404, "not-found")
	w.send(t, post(key, strings.Replace(path, "mug", "cup", 1), `{"quantity": 1}`)).refused(t, 409, "not-enough-units")
	w.claims(t, claimPaths[0], "bob", "mug", 4).into(t, 201, nil)
	w.sound(t)
}

// listed reads all pages of orders.
func (w *world) listed(t *testing.T, token, query string) (ids []string) {
	t.Helper()
	for cursor := ""; ; {
		var page httpapi.OrderPage
		w.send(t, request{method: "GET", path: "/api/v1/orders?" + query + cursor, token: token}).into(t, 200, &page)
		for _, o := range page.Items {
			ids = append(ids, o.ID)
		}
		if page.NextCursor == nil {
			return ids
		}
		if len(page.Items) == 0 {
			t.Fatalf("%s: a page is empty and not the last", query)
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

func TestListOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 50)
	w.stocked(t, "cup", 50)
	at := soon()
	w.moveTo(at)
	sale := w.sale(t, "open", shop.SaleTerms{Items: []shop.SaleItem{of("cup", 0)}})
	want := map[string][]string{}
	made := func(o shop.Order, of ...string) {
		for _, list := range append(of, "all") {
			want[list] = append([]string{o.ID.String()}, want[list]...)
		}
	}
	made(w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID), "ann", "unpaid", "early")
	made(w.paid(t, "ann", "cup", 2), "ann", "paid", "sale", "early", "anns sale")
	w.moveTo(at.Add(time.Minute))
	made(w.sold(t, w.hold(t, "bob", "mug", 1).ID), "bob", "paid")
	tx := w.hold(t, "bob", "cup", 1)
	o, _, err := w.Confirm(t.Context(), shop.ConfirmRequest{TransactionIDs: ids(t, tx.ID), Reference: "order & 7"})
	if err != nil {
		t.Fatal(err)
	}
	made(o, "bob", "paid", "sale", "reference")
	cancelled := w.order(t, "bob", w.hold(t, "bob", "mug", 1).ID)
	if _, _, err := w.CancelOrder(t.Context(), "bob", cancelled.ID, ""); err != nil {
		t.Fatal(err)
	}
	made(cancelled, "bob", "cancelled")
	minute := url.QueryEscape(at.Add(time.Minute).Format(time.RFC3339))
	operator, all, claim := w.key(t, shop.ScopeOrder), w.key(t, shop.ScopeAll), w.key(t, shop.ScopeClaim)
	for query, list := range map[string]string{
		"": "all", "buyer=ann": "ann", "buyer=bob": "bob", "buyer=nobody": "none", "state=paid": "paid", "state=cancelled": "cancelled", "state=awaiting_payment": "unpaid", "state=refunded": "none",
		"sale=" + sale.ID.String(): "sale", "sale=019b1234-5678-7abc-8def-0123456789ab": "none", "reference=order+%26+7": "reference", "reference=other": "none",
		"until=" + minute: "early", "since=" + url.QueryEscape(at.Format(time.RFC3339)): "all", "since=" + minute + "&buyer=ann": "none",
		"buyer=ann&sale=" + sale.ID.String(): "anns sale",
	} {
		for _, limit := range []int{1, 2, 100} {
			for _, token := range []string{operator, all} {
				if got := w.listed(t, token, fmt.Sprintf("limit=%d&%s", limit, query)); !slices.Equal(got, want[list]) {
					t.Errorf("%s by %d: got %v, want %v", query, limit, got, want[list])
				}
			}
		}
	}
	late := w.listed(t, operator, "since="+minute)
	if got := append(late, want["early"]...); !slices.Equal(got, want["all"]) {
		t.Errorf("since and until do not add up: %v", late)
	}
	for _, buyer := range []string{"ann", "bob", "nobody"} {
		if got := w.listed(t, token(buyer), "limit=1"); !slices.Equal(got, want[buyer]) {
			t.Errorf("%s sees %v, want %v", buyer, got, want[buyer])
		}
		for _, key := range []string{claim, all} {
			var page httpapi.OrderPage
			w.by(t, key, buyer, "GET", "/api/v1/orders", nil).into(t, 200, &page)
			if len(page.Items) != len(want[buyer]) {
				t.Errorf("a key for %s sees %+v", buyer, page.Items)
			}
			w.by(t, key, buyer, "GET", "/api/v1/orders?buyer="+buyer, nil).refused(t, 403, "forbidden")
		}
		w.send(t, as(buyer, "GET", "/api/v1/orders?buyer="+buyer, nil)).refused(t, 403, "forbidden")
		w.by(t, operator, buyer, "GET", "/api/v1/orders", nil).refused(t, 403, "forbidden")
	}
	for _, buyer := range []string{"", strings.Repeat("x", 129), canary + "\xff"} {
		// Whoever means somebody and names nobody is not shown everybody's.
		w.send(t, request{method: "GET", path: "/api/v1/orders", token: all}.with("Buyer-Id", buyer)).refused(t, 422, "validation")
	}
	w.send(t, request{method: "GET", path: "/api/v1/orders", token: claim}).refused(t, 422, "validation")
	for query, where := range map[string]string{
		"state=sold": "query.state", "state=": "query.state", "buyer=": "query.buyer", "reference=": "query.reference", "sale=": "query.sale", "since=": "query.since", "until=": "query.until",
		"state=paid&state=cancelled": "query.state", "sale=" + canary: "query.sale", "since=yesterday": "query.since", "until=2026-01-01": "query.until", "limit=101": "query.limit", "limit=0": "query.limit",
		"cursor=" + canary: "query.cursor", "cursor=bXVn": "query.cursor", "colour=" + canary: "query.colour", "reference=" + strings.Repeat("r", 201): "query.reference",
	} {
		for _, path := range []string{"/api/v1/orders?", "/api/v1/orders/export?"} {
			if strings.Contains(path, "export") && (strings.HasPrefix(query, "limit") || strings.HasPrefix(query, "cursor")) {
				continue
			}
			if p := w.send(t, request{method: "GET", path: path + query, token: operator}).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != where {
				t.Errorf("%s: errors are %v, want one for %s", query, p.Errors, where)
			}
		}
	}
}
