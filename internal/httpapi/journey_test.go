package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// by sends a request of a key's, for a buyer or for itself.
func (w *world) by(t testing.TB, key, buyer, method, path string, body any) answer {
	t.Helper()
	r := request{method: method, path: path, token: key, body: body}
	if buyer != "" {
		r = r.with("Buyer-Id", buyer)
	}
	return w.send(t, r)
}

// sound holds that an audit finds nothing.
func (w *world) sound(t testing.TB) {
	t.Helper()
	found, _, err := w.Audit(t.Context(), shop.AuditRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found.Checks {
		if !c.OK {
			t.Errorf("the audit finds %s: %+v", c.Name, c.Violations)
		}
	}
}

// tend does what housekeeping does.
func (w *world) tend(t testing.TB) {
	t.Helper()
	for _, do := range []func() error{
		func() error { return w.TendSales(t.Context()) }, func() error { return w.TendPayments(t.Context()) },
		func() error { return w.CancelOverdue(t.Context()) }, func() error { return w.ExpireLapsed(t.Context()) },
		func() error { return w.SettleQueues(t.Context()) }, // which takes up what has not moved when it looks again
		func() error { return w.SettleQueues(t.Context()) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJourney is the whole life of a unit through HTTP, on both ways of claiming, alone and beside a shop.
func TestJourney(t *testing.T) {
	t.Parallel()
	for _, path := range claimPaths {
		for _, beside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s beside=%t", path[1:4], beside), func(t *testing.T) {
				t.Parallel()
				j := &journey{world: newWorld(t), path: path, beside: beside}
				j.key = j.world.key(t, shop.ScopeAll)
				j.travel(t)
			})
		}
	}
}

type journey struct {
	*world
	path   string
	beside bool // the buyers have accounts at a shop that calls with a key
	key    string
	sale   httpapi.Sale
}

// buyerSends sends a request as a buyer, or as the shop for a buyer.
func (j *journey) buyerSends(t *testing.T, buyer, method, path string, body any) answer {
	t.Helper()
	r := as(buyer, method, path, body)
	if j.beside {
		r.token = j.key
		r = r.with("Buyer-Id", buyer)
	}
	return j.send(t, decided(r))
}

func (j *journey) claims(t *testing.T, buyer string, quantity int) answer {
	t.Helper()
	body := map[string]any{"sku": "mug", "quantity": quantity, "reference": "cart of " + buyer, "metadata": map[string]any{"from": buyer}}
	if j.beside {
		body["sale_id"] = j.sale.ID
	}
	return j.buyerSends(t, buyer, "POST", j.path, body)
}

func (j *journey) travel(t *testing.T) {
	noon := time.Now().Add(20 * time.Minute).UTC().Truncate(time.Second)
	j.moveTo(noon.Add(-10 * time.Minute))
	j.prepare(t, noon)
	j.sound(t)

	j.moveTo(noon.Add(-time.Microsecond))
	if p := j.claims(t, "ann", 2).refused(t, 409, "sale-not-open"); p.OpensAt == nil || !p.OpensAt.Equal(noon) {
		t.Errorf("a claim before the sale opens is told %+v", p)
	}
	j.moveTo(noon)
	if j.beside {
		j.tend(t) // nobody needs it to have run
	}
	var tx httpapi.Transaction
	j.claims(t, "ann", 2).into(t, 201, &tx)
	if tx.SaleID == nil || *tx.SaleID != j.sale.ID || tx.Price == nil || *tx.Price != (httpapi.Money{Amount: 999, Currency: "EUR"}) ||
		!tx.ExpiresAt.Equal(noon.Add(5*time.Minute)) || *tx.Reference != "cart of ann" {
		t.Errorf("the claim is %+v", tx)
	}
	sameJSON(t, tx.Metadata, `{"from": "ann"}`)
	j.stockIs(t, httpapi.Stock{Received: 3, Available: 1, Held: 2})

	o := j.buys(t, tx)
	j.stockIs(t, httpapi.Stock{Received: 3, Available: 1, Sold: 2})
	if p := j.claims(t, "ann", 1).refused(t, 409, "purchase-limit"); *p.Limit != 2 || *p.Remaining != 0 || p.OrderIDs == nil || len(p.OrderIDs) > 0 {
		t.Errorf("ann is told %+v", p)
	}
	var cat httpapi.Transaction
	j.claims(t, "cat", 1).into(t, 201, &cat)
	j.claims(t, "bob", 1).refused(t, 409, "all-held")
	j.sound(t)

	returned := o.Lines[0].UnitIDs[1]
	var refunded httpapi.Order
	j.by(t, j.key, "", "POST", "/api/v1/orders/"+o.ID+"/refund", map[string]any{"unit_ids": []string{returned}, "restock": "available"}).into(t, 200, &refunded)
	if refunded.Status != "paid" || *refunded.Refunded != (httpapi.Money{Amount: 999, Currency: "EUR"}) || !slices.Equal(refunded.Lines[0].ReturnedUnitIDs, []string{returned}) {
		t.Errorf("after the return of a unit the order is %+v", refunded)
	}
	j.sound(t)
	var bob httpapi.Transaction
	j.claims(t, "bob", 1).into(t, 201, &bob)
	if !slices.Equal(bob.UnitIDs, []string{returned}) {
		t.Errorf("bob got %v, want the unit that came back, %s", bob.UnitIDs, returned)
	}
	j.stockIs(t, httpapi.Stock{Received: 3, Held: 2, Sold: 1})

	j.tend(t)
	j.moveTo(noon.Add(20 * time.Minute))
	j.tend(t)
	j.stockIs(t, httpapi.Stock{Received: 3, Available: 2, Sold: 1})
	j.tells(t, returned, o.ID)
}

// prepare receives three mugs and schedules a sale of them.
func (j *journey) prepare(t *testing.T, noon time.Time) {
	t.Helper()
	// Alone the whole product is the sale's; beside a shop, which sells it as well, the sale has an allotment.
	product, item := `{"price": {"amount": 1500, "currency": "EUR"}}`, map[string]any{"sku": "mug", "price": map[string]any{"amount": 999, "currency": "EUR"}}
	if j.beside {
		product, item["quantity"] = `{}`, 3
	}
	j.send(t, put(j.key, "mug", product)).into(t, 201, nil)
	j.by(t, j.key, "", "POST", receipts, `{"quantity": 3, "reference": "delivery"}`).into(t, 201, nil)
	j.by(t, j.key, "", "POST", "/api/v1/sales", map[string]any{
		"name": "12.12", "opens_at": noon, "closes_at": noon.Add(20 * time.Minute), "hold_seconds": 300, "purchase_limit": 2,
		"items": []any{item},
	}).into(t, 201, &j.sale)
	j.sound(t)
	j.by(t, j.key, "", "POST", "/api/v1/sales/"+j.sale.ID+"/schedule", nil).into(t, 200, &j.sale)
	if j.sale.Status != "scheduled" {
		t.Errorf("the sale is %+v", j.sale)
	}
	var p httpapi.Product
	j.send(t, get("/api/v1/products/mug")).into(t, 200, &p)
	if p.Sale == nil || p.Sale.ID != j.sale.ID || p.Sale.Status != "scheduled" || p.Sale.Allotted != j.beside {
		t.Errorf("before the sale opens the product shows %+v", p.Sale)
	}
}

// buys makes a paid order of a hold.
func (j *journey) buys(t *testing.T, tx httpapi.Transaction) (o httpapi.Order) {
	t.Helper()
	if j.beside {
		var extended httpapi.Transaction
		j.buyerSends(t, "ann", "POST", "/api/v1/transaction/"+tx.ID+"/extend", `{"seconds": 60}`).into(t, 200, &extended)
		if got := extended.ExpiresAt.Sub(*tx.ExpiresAt); got != time.Minute {
			t.Errorf("the hold was extended by %v", got)
		}
		j.sound(t)
		j.by(t, j.key, "", "POST", "/api/v1/orders/confirm", map[string]any{"transaction_ids": []string{tx.ID}, "reference": "order 1"}).into(t, 201, &o)
		if o.Status != "paid" || o.Payment != (httpapi.Payment{Provider: "external", Status: "succeeded"}) || *o.Reference != "order 1" {
			t.Errorf("the confirmed order is %+v", o)
		}
	} else {
		j.buyerSends(t, "ann", "POST", "/api/v1/order/checkout", nil).into(t, 201, &o)
		if o.Status != "awaiting_payment" || o.Payment != (httpapi.Payment{Provider: "test", Status: "none"}) || *o.Total != (httpapi.Money{Amount: 1998, Currency: "EUR"}) {
			t.Errorf("the order is %+v", o)
		}
		j.sound(t)
		j.buyerSends(t, "ann", "POST", "/api/v1/orders/"+o.ID+"/pay", `{"card": "succeed"}`).into(t, 200, &o)
		if o.Status != "paid" || o.Payment != (httpapi.Payment{Provider: "test", Status: "succeeded"}) {
			t.Errorf("the paid order is %+v", o)
		}
	}
	if o.Buyer != "ann" || len(o.Lines) != 1 || o.Lines[0].TransactionID != tx.ID || !slices.Equal(o.Lines[0].UnitIDs, tx.UnitIDs) || *o.Lines[0].SaleID != j.sale.ID {
		t.Errorf("the order is %+v", o)
	}
	var ordered httpapi.Transaction
	j.buyerSends(t, "ann", "GET", "/api/v1/transaction/"+tx.ID, nil).into(t, 200, &ordered)
	if ordered.Status != "ordered" || ordered.OrderID == nil || *ordered.OrderID != o.ID {
		t.Errorf("the transaction is %+v", ordered)
	}
	return o
}

// stockIs holds that the mugs are so, and that the audit agrees.
func (j *journey) stockIs(t *testing.T, want httpapi.Stock) {
	t.Helper()
	j.has(t, j.key, want)
	j.sound(t)
}

// tells holds that the life of the returned unit and the events tell the story.
func (j *journey) tells(t *testing.T, unit, order string) {
	t.Helper()
	var u httpapi.Unit
	j.by(t, j.key, "", "GET", "/api/v1/units/"+unit, nil).into(t, 200, &u)
	var life []string
	for _, e := range u.Life {
		life = append(life, e.Event)
		if slices.Contains([]string{"ordered", "paid", "returned"}, e.Event) && (e.OrderID == nil || *e.OrderID != order || *e.Buyer != "ann") {
			t.Errorf("%s says %+v", e.Event, e)
		}
	}
	// Units are released by the database's own clock, and the test moves only the shop's.
	slices.Sort(life)
	if want := []string{"expired", "held", "held", "ordered", "paid", "received", "returned"}; !slices.Equal(life, want) || u.Place != "available" {
		t.Errorf("the unit's life is %v, at %s, want %v", life, u.Place, want)
	}
	var page httpapi.EventPage
	j.by(t, j.key, "", "GET", "/api/v1/events?limit=100", nil).into(t, 200, &page)
	var types []string
	for _, e := range page.Items {
		types = append(types, e.Type)
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"sale.created", "sale.scheduled", "sale.opened", "order.created", "order.paid", "product.out_of_stock", "order.refunded", "product.back_in_stock", "sale.closed"} {
		if !slices.Contains(types, want) {
			t.Errorf("the events are %v, without %s", types, want)
		}
	}
}
