package shop_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

func (w *world) vitals() shop.Vitals {
	w.t.Helper()
	v, err := w.Vitals(background, w.db)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// After an audit of everything, only what was found since counts; one of another product does not end what was found of this one.
func TestVitalsOfAudits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 3)
	w.stocked("B", 3)
	if v := w.vitals(); v.AuditOK != nil || v.AuditFinishedAt != nil {
		t.Errorf("before the first: %+v", v)
	}
	check := func(what string, want bool) {
		t.Helper()
		if v := w.vitals(); v.AuditOK == nil || *v.AuditOK != want {
			t.Errorf("%s: ok is %v, want %t", what, v.AuditOK, want)
		}
	}
	w.audit("")
	check("nothing is broken", true)
	at := *w.vitals().AuditFinishedAt
	if age := time.Since(at); age < 0 || age > time.Minute {
		t.Errorf("finished at %s", at)
	}
	w.exec(`CREATE TABLE kept AS SELECT * FROM stock_token`)
	lose := func() {
		w.exec(`DELETE FROM stock_token WHERE position = (SELECT min(position) FROM stock_token JOIN product USING (product_id) WHERE sku = 'A')`)
	}
	mend := func() { w.exec(`INSERT INTO stock_token SELECT * FROM kept ON CONFLICT DO NOTHING`) }
	lose()
	check("a token is gone, and nobody has looked", true)
	w.audit("A")
	check("somebody has looked", false)
	w.audit("B")
	check("another product is well", false)
	if again := *w.vitals().AuditFinishedAt; !again.Equal(at) {
		t.Errorf("an audit of one product is taken for one of everything: %s, %s", at, again)
	}
	w.audit("")
	check("all were looked at", false)
	mend()
	w.audit("A")
	check("the product is mended, and all were not looked at since", false)
	w.audit("")
	check("all are well", true)
	lose()
	w.audit("A")
	check("it is lost again", false)
	mend()
	w.audit("")
	check("all are well again, though nobody has looked at the product alone", true)
}

func TestVitalsOfWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("Q", 10)
	w.priced("P", 100, 10)
	if v := w.vitals(); v.QueueUnits != 0 || v.QueueOldest != 0 || v.OrdersAwaitingPayment != 0 || v.SellingPaused {
		t.Errorf("nothing waits: %+v", v)
	}
	now := time.Now()
	w.moveTo(now)
	w.settled(w.Shop, w.enqueue("a", "Q", 1))
	goOn := w.stopped("Q")
	w.enqueue("a", "Q", 2)
	cancelled := w.enqueue("a", "Q", 1)
	w.moveTo(now.Add(10 * time.Second))
	last := w.enqueue("a", "Q", 1)
	if _, err := w.Release(background, "a", cancelled.ID); err != nil {
		t.Fatal(err)
	}
	w.mustClaim("o", "P", 1)
	order := w.mustCheckout("o")
	w.moveTo(now.Add(30 * time.Second))
	v := w.vitals()
	// What was cancelled keeps its places until the queue is settled up to it.
	if v.QueueUnits != 4 || v.QueueOldest.Round(time.Second) != 30*time.Second {
		t.Errorf("%d units are asked for, the oldest request waits for %s", v.QueueUnits, v.QueueOldest)
	}
	if v.OrdersAwaitingPayment != 1 || v.OrdersOverdue != 0 {
		t.Errorf("%d orders await payment, %d are overdue", v.OrdersAwaitingPayment, v.OrdersOverdue)
	}
	w.moveTo(order.PayBy.Add(time.Hour))
	if v := w.vitals(); v.OrdersAwaitingPayment != 1 || v.OrdersOverdue != 1 {
		t.Errorf("an hour later %d orders await payment, %d are overdue", v.OrdersAwaitingPayment, v.OrdersOverdue)
	}
	w.moveTo(now.Add(31 * time.Second))
	goOn()
	w.settled(w.Shop, last)
	if v := w.vitals(); v.QueueUnits != 0 || v.QueueOldest != 0 {
		t.Errorf("when all is settled %d units are asked for, the oldest request waits for %s", v.QueueUnits, v.QueueOldest)
	}
}

// However many products there are in sales, a bounded number is told of.
func TestVitalsOfSales(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	var items []shop.SaleItem
	for i := range shop.VitalsProductsAtMost + 5 {
		sku := fmt.Sprintf("S%02d", i)
		w.stocked(sku, 2)
		items = append(items, shop.SaleItem{SKU: sku, Price: shop.Money{Amount: 100, Currency: "EUR"}})
	}
	now := time.Now()
	w.moveTo(now)
	sale := w.scheduled(shop.SaleTerms{Name: "s", OpensAt: now.Add(time.Minute), ClosesAt: now.Add(time.Hour), Hold: time.Minute, MaxQuantity: 10, Items: items})
	if v := w.vitals(); v.Sales[shop.SaleIsScheduled] != 1 || v.Sales[shop.SaleIsOpen] != 0 || len(v.Places) != 0 {
		t.Errorf("before it opens: %v, %d products", v.Sales, len(v.Places))
	}
	w.moveTo(now.Add(2 * time.Minute))
	w.mustClaim("b", "S03", 1)
	if err := w.SampleSales(background); err != nil {
		t.Fatal(err)
	}
	v := w.vitals()
	if v.Sales[shop.SaleIsScheduled] != 0 || v.Sales[shop.SaleIsOpen] != 1 || len(v.Places) != shop.VitalsProductsAtMost {
		t.Fatalf("when it is open: %v, %d products", v.Sales, len(v.Places))
	}
	if got, want := v.Places[3], (shop.VitalPlaces{SKU: "S03", Available: 1, Held: 1}); got != want {
		t.Errorf("the units are %+v, want %+v", got, want)
	}
	w.move(sale.ID, shop.CloseSale)
	if v := w.vitals(); v.Sales[shop.SaleIsOpen] != 0 || len(v.Places) != 0 {
		t.Errorf("when it is closed: %v, %d products", v.Sales, len(v.Places))
	}
}
