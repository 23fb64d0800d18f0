package shop_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// reported has every server write down what it has counted at an instant, and reports.
func (w *world) reported(sale shop.ID, at time.Time, servers ...*shop.Shop) shop.SaleReport {
	w.t.Helper()
	w.figures(sale, at, servers...)
	r, err := w.SaleReport(background, sale)
	if err != nil {
		w.t.Fatal(err)
	}
	h := r.Total.Holds
	if h.Made != h.Live+h.Lapsed+h.Released+h.Unpaid+h.Cancelled+h.Paid {
		w.t.Errorf("the holds do not add up: %+v", h)
	}
	kept := w.count(`SELECT count(*) FROM claim_unit JOIN claim USING (claim_id) JOIN shop_order USING (order_id)
		WHERE claim.sale_id = $1 AND claim_unit.released_at IS NULL AND shop_order.status = 'paid'`, sale)
	if r.Total.Kept() != int64(kept) {
		w.t.Errorf("%d units are sold by the report, and %d by the rows", r.Total.Kept(), kept)
	}
	if n := len(r.SellThrough); n > 0 && r.SellThrough[n-1].Kept != r.Total.Kept() {
		w.t.Errorf("the course of what is sold ends at %d of %d", r.SellThrough[n-1].Kept, r.Total.Kept())
	}
	return r
}

func (w *world) paid(buyer string) shop.Order {
	w.t.Helper()
	o, _, err := w.Pay(background, buyer, w.mustCheckout(buyer).ID, "succeed", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) refunded(o shop.Order, restock shop.Restock, units ...shop.ID) {
	w.t.Helper()
	if _, _, err := w.Refund(background, shop.RefundRequest{OrderID: o.ID, UnitIDs: units, Restock: restock, Operator: w.operator()}); err != nil {
		w.t.Fatal(err)
	}
}

func seconds(n int) *time.Duration {
	d := time.Duration(n) * time.Second
	return &d
}

func same(a, b *time.Duration) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// A small sale, played by hand: the report is what was played.
func TestTheReportOfASaleIsWhatWasPlayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake(), ClaimWait: longEnough})
	other := w.server(shop.Options{ClaimWait: longEnough})
	w.priced("A", 100, 4)
	w.priced("B", 100, 10)
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "A", 4)
	limit := 2
	terms.PurchaseLimit = &limit
	terms.Items = append(terms.Items, shop.SaleItem{SKU: "B", Price: shop.Money{Amount: 30, Currency: "EUR"}})
	sale := w.scheduled(terms)
	second := func(n int) { w.moveTo(at.Add(time.Duration(n) * time.Second)) }
	w.figures(sale.ID, at)

	second(1)
	w.mustClaim("a", "A", 2)
	w.mustClaim("b", "A", 1)
	w.mustClaim("c", "A", 1)
	second(2)
	a := w.paid("a")
	second(3)
	b := w.paid("b")
	_, err := other.Claim(background, shop.ClaimRequest{Buyer: "d", SKU: "A", Quantity: 1})
	refusal(t, err, shop.AllHeld)
	_, err = w.claim("a", "B", 1)
	refusal(t, err, shop.PurchaseLimit)
	e := w.mustClaim("e", "B", 1)
	if _, err := w.Release(background, "e", e.ID); err != nil {
		t.Fatal(err)
	}
	w.mustClaim("f", "B", 2)
	f := w.mustCheckout("f")
	if _, _, err := w.CancelOrder(background, "f", f.ID, ""); err != nil {
		t.Fatal(err)
	}
	r := w.reported(sale.ID, at.Add(4*time.Second), other)
	if r.State != shop.SaleIsOpen || r.Total.SoldOutAfter != nil || !same(r.Items[0].TakenAfter, seconds(5)) || r.Items[0].SoldOutAfter != nil || r.Total.UnitsSold != 3 {
		t.Errorf("so far: %+v", r.Total)
	}

	second(70) // c's hold has lapsed
	w.mustClaim("d", "A", 1)
	second(72)
	w.paid("d")
	if _, err := both["queued"](w, other, shop.ClaimRequest{Buyer: "g", SKU: "B", Quantity: 1}); err != nil {
		t.Fatal(err)
	}
	w.mustClaim("h", "B", 1)
	h := w.paid("h")
	w.refunded(a, shop.RestockQuarantine, a.Lines[0].UnitIDs[0])
	w.refunded(b, shop.RestockWriteOff)
	w.refunded(h, shop.RestockAvailable)
	r = w.reported(sale.ID, at.Add(74*time.Second), other)

	itemA, itemB := r.Items[0], r.Items[1]
	if want := (shop.SaleHolds{Made: 4, Lapsed: 1, Paid: 3}); itemA.Holds != want || itemA.SKU != "A" || itemA.Offered != 4 || itemA.UnitsSold != 4 {
		t.Errorf("A: %+v", itemA)
	}
	if want := (shop.SaleReturns{Quarantined: 1, WrittenOff: 1}); itemA.Returned != want || itemA.SellThrough() != 0.5 {
		t.Errorf("of A came back %+v, %v are sold through", itemA.Returned, itemA.SellThrough())
	}
	eur := func(amount int64) []shop.Money { return []shop.Money{{Amount: amount, Currency: "EUR"}} }
	if !slices.Equal(itemA.Revenue, eur(200)) || !slices.Equal(itemA.Refunded, eur(100)) || !slices.Equal(r.Total.Revenue, eur(230)) || !slices.Equal(r.Total.Refunded, eur(130)) {
		t.Errorf("money: %v and %v, in all %v and %v", itemA.Revenue, itemA.Refunded, r.Total.Revenue, r.Total.Refunded)
	}
	if want := (shop.SaleHolds{Made: 4, Live: 1, Released: 1, Cancelled: 1, Paid: 1}); itemB.Holds != want || itemB.Offered != 10 || itemB.UnitsSold != 1 || itemB.Returned != (shop.SaleReturns{Restocked: 1}) {
		t.Errorf("B: %+v", itemB)
	}
	if !same(itemA.TakenAfter, seconds(5)) || !same(itemA.SoldOutAfter, seconds(72)) || itemB.TakenAfter != nil || r.Total.SoldOutAfter != nil || r.Total.TakenAfter != nil {
		t.Errorf("gone: A %v %v, B %v, all %v %v", itemA.TakenAfter, itemA.SoldOutAfter, itemB.TakenAfter, r.Total.TakenAfter, r.Total.SoldOutAfter)
	}
	if r.Total.Holds.Conversion() != 0.5 || r.Total.Holds.Ordered() != 5 {
		t.Errorf("conversion %v of %+v", r.Total.Holds.Conversion(), r.Total.Holds)
	}
	refused := map[shop.Code]int64{shop.AllHeld: 1, shop.PurchaseLimit: 1}
	if !maps.Equal(r.Refusals, refused) || !maps.Equal(itemA.Refusals, map[shop.Code]int64{shop.AllHeld: 1}) || !maps.Equal(itemB.Refusals, map[shop.Code]int64{shop.PurchaseLimit: 1}) || r.Answered != 10 {
		t.Errorf("%d answers, refused %v, of A %v, of B %v", r.Answered, r.Refusals, itemA.Refusals, itemB.Refusals)
	}
	if r.Buyers != 3 || r.BuyersAtLimit != 0 || r.Queue == nil || r.Queue.Served != 1 || r.Queue.Waiting != 0 || r.Refunds.Returns != 3 || r.Refunds.Late != 0 {
		t.Errorf("buyers %d, %d; queue %+v; refunds %+v", r.Buyers, r.BuyersAtLimit, r.Queue, r.Refunds)
	}
	if r.Latency == nil || r.Latency.P95 < r.Latency.P50 || r.Latency.P99 < r.Latency.P95 {
		t.Errorf("latency %+v", r.Latency)
	}
	if claims := summed(t, r.Course).Claims; claims != 8 || !r.From.Equal(at) || r.Until.After(r.Now) || len(r.Course) > 240 {
		t.Errorf("the course has %d claims, from %s until %s", claims, r.From, r.Until)
	}
	w.audited()
}

// When all is paid for, the sale was sold out at that instant, whether or not it was sampled then, and it stays so when it is over.
func TestASaleThatSoldOutSaysWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 2)
	w.priced("B", 100, 1)
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "A", 2)
	terms.Items = append(terms.Items, shop.SaleItem{SKU: "B", Price: shop.Money{Amount: 30, Currency: "USD"}})
	sale := w.scheduled(terms)
	w.figures(sale.ID, at)
	w.mustClaim("a", "A", 2)
	w.mustClaim("b", "B", 1)
	w.moveTo(at.Add(1500 * time.Millisecond))
	w.paid("a")
	w.moveTo(at.Add(2500 * time.Millisecond))
	w.paid("b")
	w.figures(sale.ID, at.Add(3*time.Second)) // a sample of the second in which a sale is closed does not tell what it had left
	for _, close := range []bool{false, true} {
		if close {
			w.move(sale.ID, shop.CloseSale)
		}
		r := w.reported(sale.ID, at.Add(5*time.Second))
		first, last := 1500*time.Millisecond, 2500*time.Millisecond
		if !same(r.Items[0].SoldOutAfter, &first) || !same(r.Items[1].SoldOutAfter, &last) || !same(r.Total.SoldOutAfter, &last) || r.Total.TakenAfter == nil || r.Total.SellThrough() != 1 {
			t.Errorf("closed %t: A %v, B %v, all %v", close, r.Items[0].SoldOutAfter, r.Items[1].SoldOutAfter, r.Total.SoldOutAfter)
		}
		if want := []shop.Money{{Amount: 100, Currency: "EUR"}, {Amount: 30, Currency: "USD"}}; !slices.Equal(r.Total.Revenue, want) {
			t.Errorf("revenue %v", r.Total.Revenue)
		}
	}
}

// Whoever is paid for too late gets equal units if there are any: it counts as sold, and as paid for.
func TestHoldsThatWereReplacedAreInTheReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 3)
	at := noon()
	w.moveTo(at)
	sale := w.scheduled(aSale(at, "A", 3))
	hold := w.mustClaim("a", "A", 1)
	w.moveTo(at.Add(2 * time.Minute))
	w.mustClaim("b", "A", 3)
	w.moveTo(at.Add(4 * time.Minute))
	if _, _, err := w.Confirm(background, shop.ConfirmRequest{TransactionIDs: []shop.ID{hold.ID}, Reference: "late", Operator: w.operator()}); err != nil {
		t.Fatal(err)
	}
	r := w.reported(sale.ID, at.Add(5*time.Minute))
	if want := (shop.SaleHolds{Made: 2, Lapsed: 2, Replaced: 1}); r.Total.Holds != want || r.Total.UnitsSold != 1 || r.Total.Holds.Conversion() != 0.5 {
		t.Errorf("%+v", r.Total)
	}
	if want := []shop.Money{{Amount: 50, Currency: "EUR"}}; !slices.Equal(r.Total.Revenue, want) {
		t.Errorf("revenue %v", r.Total.Revenue)
	}
}

func TestReportsOfSalesThatHaveNotBegun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 3)
	at := noon()
	w.moveTo(at)
	draft := w.draft(aSale(at.Add(time.Hour), "A", 3))
	_, err := w.SaleReport(background, draft.ID)
	if r := refusal(t, err, shop.Conflict); r.State != "draft" {
		t.Errorf("%+v", r)
	}
	_, err = w.SaleReport(background, pgdb.NewID())
	refusal(t, err, shop.NotFound)
	w.move(draft.ID, shop.ScheduleSale)
	r := w.reported(draft.ID, at.Add(2*time.Second))
	if r.State != shop.SaleIsScheduled || r.Total.Offered != 3 || r.Total.Holds.Made != 0 || r.Latency != nil || r.Queue != nil || len(r.SellThrough) != 0 || r.Total.TakenAfter != nil {
		t.Errorf("%+v", r)
	}
}

// A sale of which nothing was counted or sampled still has what the rows say.
func TestAReportNeedsNoSamples(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 3)
	at := noon()
	w.moveTo(at)
	sale := w.scheduled(aSale(at, "A", 2))
	w.mustClaim("a", "A", 2)
	w.moveTo(at.Add(3 * time.Second))
	w.paid("a")
	w.exec(`DELETE FROM sale_count`)
	w.exec(`DELETE FROM sale_sample`)
	w.exec(`DELETE FROM sale_place`)
	r, err := w.SaleReport(background, sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	if r.Total.UnitsSold != 2 || !same(r.Total.SoldOutAfter, seconds(3)) || r.Answered != 0 || len(r.Course) != 0 {
		t.Errorf("%+v", r)
	}
}

// What has sold out since the last sample is sold out, also where there is no allotment to compare with.
func TestWhatHasJustSoldOutIsSoldOutInTheReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 2)
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "A", 2)
	terms.Items[0].Quantity = nil
	sale := w.scheduled(terms)
	w.mustClaim("a", "A", 1)
	w.mustClaim("b", "A", 1)
	w.figures(sale.ID, at.Add(time.Second))
	report := func() *time.Duration {
		r, err := w.SaleReport(background, sale.ID)
		if err != nil {
			t.Fatal(err)
		}
		return r.Total.SoldOutAfter
	}
	w.moveTo(at.Add(1500 * time.Millisecond))
	w.paid("a")
	if got := report(); got != nil {
		t.Errorf("one of two is paid for: sold out after %v", got)
	}
	w.moveTo(at.Add(2500 * time.Millisecond))
	w.paid("b")
	last := 2500 * time.Millisecond
	if got := report(); !same(got, &last) {
		t.Errorf("both are paid for: sold out after %v", got)
	}
	w.receive("A", 1)
	if got := report(); got != nil {
		t.Errorf("another has come in: sold out after %v", got)
	}
}

// Money that comes too late buys equal units, and then counts as sold; or it goes back, and then it is in the report as that.
func TestMoneyThatCameTooLateIsInTheReport(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]bool{"equal units": false, "a refund": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.onCharge = func(context.Context, payment.Charge) (payment.State, error) { return payment.Pending, nil }
			f.onVoid = func(context.Context, shop.ID) (payment.State, error) { return "", errors.New("the provider is down") }
			w := newWorld(t, shop.Options{Provider: f})
			w.priced("A", 100, 1)
			sale := w.scheduled(aSale(time.Now().UTC().Truncate(time.Second), "A", 1))
			w.mustClaim("b", "A", 1)
			o := w.mustCheckout("b")
			if _, _, err := w.Pay(background, "b", o.ID, "x", ""); err != nil {
				t.Fatal(err)
			}
			for _, late := range []time.Duration{time.Second, 4 * time.Second} {
				w.moveTo(o.PayBy.Add(late))
				_ = w.TendPayments(background) // it says that the provider is down
			}
			want, refunds := shop.SaleHolds{Made: 1, Cancelled: 1, Replaced: 1}, shop.SaleRefunds{LateSum: []shop.Money{}}
			if taken {
				w.mustClaim("c", "A", 1)
				want, refunds = shop.SaleHolds{Made: 2, Cancelled: 1, Live: 1}, shop.SaleRefunds{Late: 1, LateSum: []shop.Money{{Amount: 50, Currency: "EUR"}}}
			}
			f.set(w.unit(`SELECT payment_id FROM payment`), payment.Succeeded)
			if err := w.PaymentChanged(background, w.unit(`SELECT payment_id FROM payment`)); err != nil {
				t.Fatal(err)
			}
			r := w.reported(sale.ID, o.PayBy.Add(5*time.Second))
			if r.Total.Holds != want || !reflect.DeepEqual(r.Refunds, refunds) || (r.Total.UnitsSold == 1) == taken {
				t.Errorf("%+v, %+v", r.Total, r.Refunds)
			}
		})
	}
}
