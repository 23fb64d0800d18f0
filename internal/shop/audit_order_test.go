package shop_test

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// trade is a shop with orders of all kinds. A is priced, X is not, and S is sold in a sale with an allotment and a purchase limit of 3.
type trade struct {
	*world
	unpaid    shop.Order // two units of A
	paid      shop.Order // two units of A, of which one came back into quarantine
	cancelled shop.Order // a unit of A
	refunded  shop.Order // a unit of A
	outside   shop.Order // three units of X, confirmed by the shop beside: one is kept, one is in quarantine, one was written off
	sold      shop.Order // a unit of S, paid; its buyer "s" holds another
	free      shop.ID    // a unit of A that is available
	suspect   shop.ID    // the unit of X in quarantine
}

func newTrade(t *testing.T) *trade {
	t.Helper()
	h := &trade{world: newWorld(t, shop.Options{Provider: newFake(), Hold: time.Hour})}
	h.priced("A", 100, 10)
	h.stocked("X", 4)
	h.priced("S", 100, 8)
	h.limited("S", 3, 4)
	order := func(buyer, sku string, quantity int) shop.Order {
		h.mustClaim(buyer, sku, quantity)
		return h.mustCheckout(buyer)
	}
	pay := func(o shop.Order) shop.Order {
		o, _, err := h.Pay(background, o.Buyer, o.ID, "succeed", "")
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	giveBack := func(o shop.Order, restock shop.Restock, units ...shop.ID) {
		if _, _, err := h.Refund(background, shop.RefundRequest{OrderID: o.ID, UnitIDs: units, Restock: restock, Operator: h.operator()}); err != nil {
			t.Fatal(err)
		}
	}
	h.unpaid = order("u", "A", 2)
	h.paid = pay(order("p", "A", 2))
	giveBack(h.paid, shop.RestockQuarantine, h.paid.Lines[0].UnitIDs[0])
	h.cancelled = order("c", "A", 1)
	if _, _, err := h.CancelOrder(background, "c", h.cancelled.ID, ""); err != nil {
		t.Fatal(err)
	}
	h.refunded = pay(order("r", "A", 1))
	giveBack(h.refunded, shop.RestockAvailable)
	var err error
	h.outside, _, err = h.Confirm(background, shop.ConfirmRequest{TransactionIDs: []shop.ID{h.mustClaim("x", "X", 3).ID}, Reference: "r", Operator: h.operator()})
	if err != nil {
		t.Fatal(err)
	}
	h.suspect = h.outside.Lines[0].UnitIDs[1]
	giveBack(h.outside, shop.RestockQuarantine, h.suspect)
	giveBack(h.outside, shop.RestockWriteOff, h.outside.Lines[0].UnitIDs[2])
	h.sold = pay(order("s", "S", 1))
	h.mustClaim("s", "S", 1)
	back := h.mustClaim("t", "S", 2)
	if _, err := h.Release(background, "t", back.ID); err != nil {
		t.Fatal(err)
	}
	h.free = h.unit(`SELECT unit_id FROM stock_token JOIN product USING (product_id) WHERE sku = 'A' ORDER BY position LIMIT 1`)
	return h
}

// line is the transaction of the only line of an order.
func line(o shop.Order) shop.ID { return o.Lines[0].TransactionID }

// lies puts a token into the pool of a sale.
func (w *world) lies(unit shop.ID, in shop.Sale) {
	w.t.Helper()
	w.exec(`UPDATE stock_token SET pool_id = (SELECT pool_id FROM sale WHERE sale_id = $2) WHERE unit_id = $1`, unit, in.ID)
}

// charged makes a payment by hand that has succeeded.
func (w *world) charged(o shop.Order) {
	w.t.Helper()
	w.exec(`INSERT INTO payment (payment_id, order_id, provider, status, amount_minor, currency, created_at, settled_at)
		VALUES ($1, $2, 'fake', 'succeeded', 100, 'EUR', now(), now())`, pgdb.NewID(), o.ID)
}

// givenBack counts money of an order as given back, everywhere where it is counted.
func (w *world) givenBack(o shop.Order, amount int) {
	w.t.Helper()
	w.exec(`UPDATE shop_order SET refunded_minor = refunded_minor + $2 WHERE order_id = $1`, o.ID, amount)
	w.exec(`UPDATE payment SET refunded_minor = refunded_minor + $2 WHERE order_id = $1`, o.ID, amount)
	w.exec(`UPDATE refund SET amount_minor = amount_minor + $2 WHERE order_id = $1`, o.ID, amount)
}

// brokenTrades has every way in which what TestTheAuditNamesWhatIsBrokenInOrders looks at is broken.
func brokenTrades() map[string]broken[*trade] {
	const onePlace, purchaseLimit, orderState, money, pools = "one_place", "purchase_limit", "order_state", "money", "pools"
	ofA := func(check string) func(*trade) []offender {
		return func(*trade) []offender { return []offender{{check: check, sku: "A"}} }
	}
	ofS := func(check string) func(*trade) []offender {
		return func(*trade) []offender { return []offender{{check: check, sku: "S"}} }
	}
	suspect := func(h *trade) []offender { return []offender{{onePlace, "X", h.suspect, shop.ID{}}} }
	stray := func(h *trade) []offender { return []offender{{pools, "A", h.free, shop.ID{}}} }
	state := func(sku string, of func(*trade) shop.Order) func(*trade) []offender {
		return func(h *trade) []offender { return []offender{{orderState, sku, shop.ID{}, line(of(h))}} }
	}
	unpaid, paid := func(h *trade) shop.Order { return h.unpaid }, func(h *trade) shop.Order { return h.paid }
	return map[string]broken[*trade]{
		"a unit in quarantine and available": {func(h *trade) { h.token("X", h.suspect) }, suspect},
		"a unit in quarantine and in its order": {
			func(h *trade) {
				h.exec(`UPDATE claim_unit SET released_at = NULL, outcome = NULL WHERE unit_id = $1`, h.suspect)
			},
			func(h *trade) []offender { return []offender{{onePlace, "X", h.suspect, line(h.outside)}} },
		},
		"a unit in quarantine and withdrawn": {
			func(h *trade) {
				h.exec(`INSERT INTO withdrawal_unit SELECT $1, withdrawal_id FROM withdrawal`, h.suspect)
				h.exec(`UPDATE withdrawal SET quantity = 2`) // so that the sums are right
			},
			suspect,
		},
		"a unit in quarantine twice": {
			func(h *trade) {
				h.exec(`ALTER TABLE quarantine_unit DROP CONSTRAINT quarantine_unit_live_once`)
				h.exec(`INSERT INTO quarantine_unit SELECT unit_id, product_id, order_id, now() FROM quarantine_unit WHERE unit_id = $1`, h.suspect)
			},
			suspect,
		},
		"a unit that has left quarantine for nowhere": {
			func(h *trade) {
				h.exec(`UPDATE quarantine_unit SET left_at = now(), outcome = 'released' WHERE unit_id = $1`, h.suspect)
			},
			suspect,
		},

		"a buyer who has more of a sale than is counted": {
			func(h *trade) { h.exec(`UPDATE sale_buyer SET unit_count = 1 WHERE buyer = 's'`) },
			ofS(purchaseLimit),
		},
		"a buyer who has less of a sale than is counted": {
			func(h *trade) { h.exec(`UPDATE sale_buyer SET unit_count = 3 WHERE buyer = 's'`) },
			ofS(purchaseLimit),
		},
		"a buyer who is counted for what was released": {
			func(h *trade) { h.exec(`UPDATE sale_buyer SET unit_count = 3 WHERE buyer = 't'`) },
			ofS(purchaseLimit),
		},
		"a buyer who is not counted": {
			func(h *trade) { h.exec(`DELETE FROM sale_buyer WHERE buyer = 's'`) },
			ofS(purchaseLimit),
		},
		"a buyer who has more of a sale than anybody may": {
			func(h *trade) { h.exec(`UPDATE sale SET purchase_limit = 1`) },
			ofS(purchaseLimit),
		},

		"a paid line that has lost its units without a trace": {
			func(h *trade) {
				unit := h.sold.Lines[0].UnitIDs[0]
				h.exec(`DELETE FROM claim_unit WHERE unit_id = $1`, unit)
				h.exec(`INSERT INTO stock_token SELECT product_id, 0, nextval('stock_token_position'), unit_id FROM unit WHERE unit_id = $1`, unit)
				h.exec(`UPDATE sale_buyer SET unit_count = unit_count - 1 WHERE buyer = 's'`)
			},
			state("S", func(h *trade) shop.Order { return h.sold }),
		},
		"an unpaid line that nothing would ever free": {
			func(h *trade) { h.exec(`UPDATE claim SET pay_by = NULL WHERE order_id = $1`, h.unpaid.ID) },
			state("A", unpaid),
		},
		"a hold that was ordered after its time": {
			func(h *trade) {
				h.exec(`ALTER TABLE claim DROP CONSTRAINT claim_ordered_in_time`)
				h.exec(`UPDATE claim SET expires_at = ended_at WHERE order_id = $1`, h.unpaid.ID)
			},
			func(h *trade) []offender { return []offender{{"hold_expiry", "A", shop.ID{}, line(h.unpaid)}} },
		},
		"a unit in quarantine under another product": {
			func(h *trade) {
				h.exec(`UPDATE quarantine_unit SET product_id = (SELECT product_id FROM product WHERE sku = 'A') WHERE unit_id = $1`, h.suspect)
			},
			func(h *trade) []offender { return []offender{{onePlace, "A", h.suspect, shop.ID{}}} },
		},
		"a payment in another currency": {
			func(h *trade) { h.exec(`UPDATE payment SET currency = 'USD' WHERE order_id = $1`, h.paid.ID) },
			ofA(money),
		},
		"a line of no order": {
			func(h *trade) { h.exec(`DELETE FROM shop_order WHERE order_id = $1`, h.unpaid.ID) },
			state("A", unpaid),
		},
		"a line of another buyer's order": {
			func(h *trade) { h.exec(`UPDATE shop_order SET buyer = 'z' WHERE order_id = $1`, h.paid.ID) },
			state("A", paid),
		},
		"a paid line that is taken for unpaid": {
			func(h *trade) { h.exec(`UPDATE claim SET unpaid = true WHERE order_id = $1`, h.paid.ID) },
			state("A", paid),
		},
		"an unpaid line that is taken for paid": {
			func(h *trade) {
				h.exec(`UPDATE claim SET unpaid = false, pay_by = NULL WHERE order_id = $1`, h.unpaid.ID)
			},
			state("A", unpaid),
		},
		"a cancelled order that keeps a unit": {
			func(h *trade) {
				h.exec(`UPDATE claim_unit SET released_at = NULL, outcome = NULL WHERE claim_id = $1`, line(h.cancelled))
				h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.cancelled.Lines[0].UnitIDs[0])
			},
			state("A", func(h *trade) shop.Order { return h.cancelled }),
		},
		"a refunded order that keeps a unit": {
			func(h *trade) {
				h.exec(`UPDATE shop_order SET status = 'refunded', ended_at = now() WHERE order_id = $1`, h.paid.ID)
			},
			state("A", paid),
		},
		"an unpaid order that has lost a unit": {
			func(h *trade) {
				unit := h.unpaid.Lines[0].UnitIDs[0]
				h.exec(`UPDATE claim_unit SET released_at = now(), outcome = 'cancelled' WHERE unit_id = $1`, unit)
				h.token("A", unit)
			},
			state("A", unpaid),
		},
		"a unit that has left an order nobody knows how": {
			func(h *trade) { h.exec(`UPDATE claim_unit SET outcome = NULL WHERE unit_id = $1`, h.suspect) },
			state("X", func(h *trade) shop.Order { return h.outside }),
		},
		// The money that was given back for it can't be explained any more either: such a unit breaks two checks.
		"a unit that has left an order nobody knows how, with its money": {
			func(h *trade) {
				h.exec(`UPDATE claim_unit SET outcome = NULL WHERE claim_id = $1 AND outcome = 'quarantined'`, line(h.paid))
			},
			func(h *trade) []offender {
				return append([]offender{{check: money, sku: "A"}}, state("A", paid)(h)...)
			},
		},

		"an order that costs something else than its lines": {
			func(h *trade) {
				h.exec(`UPDATE shop_order SET total_minor = total_minor + 1 WHERE order_id = $1`, h.unpaid.ID)
			},
			ofA(money),
		},
		"a line that costs something else than was paid for it": {
			func(h *trade) { h.exec(`UPDATE claim SET price_minor = 99 WHERE order_id = $1`, h.unpaid.ID) },
			ofA(money),
		},
		"a refund that is counted and was not made": {
			func(h *trade) { h.exec(`DELETE FROM refund WHERE order_id = $1`, h.paid.ID) },
			ofA(money),
		},
		"a refund of more than is counted": {
			func(h *trade) {
				h.exec(`UPDATE refund SET amount_minor = amount_minor + 1 WHERE order_id = $1`, h.paid.ID)
			},
			ofA(money),
		},
		"a refund of an order whose money is none of ours": {
			func(h *trade) { h.exec(`UPDATE refund SET amount_minor = 5 WHERE order_id = $1`, h.outside.ID) },
			func(*trade) []offender { return []offender{{check: money, sku: "X"}} },
		},
		"a payment that gave back more than its order": {
			func(h *trade) {
				h.exec(`UPDATE payment SET refunded_minor = refunded_minor + 1 WHERE order_id = $1`, h.paid.ID)
			},
			ofA(money),
		},
		"an order that was paid with too little": {
			func(h *trade) {
				h.exec(`UPDATE payment SET amount_minor = amount_minor - 1 WHERE order_id = $1`, h.paid.ID)
			},
			ofA(money),
		},
		"an order that was paid with nothing": {
			func(h *trade) { h.exec(`UPDATE payment SET status = 'failed' WHERE order_id = $1`, h.sold.ID) },
			ofS(money),
		},
		"a refunded order that was paid with too much": {
			func(h *trade) {
				h.exec(`UPDATE payment SET amount_minor = amount_minor + 1 WHERE order_id = $1`, h.refunded.ID)
			},
			ofA(money),
		},
		"money that was taken for a cancelled order":         {func(h *trade) { h.charged(h.cancelled) }, ofA(money)},
		"money that was taken for an order that is not paid": {func(h *trade) { h.charged(h.unpaid) }, ofA(money)},
		"a unit that came back without its money":            {func(h *trade) { h.givenBack(h.paid, -100) }, ofA(money)},
		"money that was given back without a unit":           {func(h *trade) { h.givenBack(h.paid, 100) }, ofA(money)},

		"a token in the pool of no sale": {
			func(h *trade) { h.exec(`UPDATE stock_token SET pool_id = 99 WHERE unit_id = $1`, h.free) },
			stray,
		},
		"a token in the pool of a draft": {
			func(h *trade) { h.lies(h.free, h.draft(aSale(time.Now(), "A", 5))) },
			stray,
		},
		"a token in the pool of a sale that has ended": {
			func(h *trade) {
				sale := h.draft(aSale(time.Now(), "A", 5))
				h.lies(h.free, sale)
				h.exec(`UPDATE sale SET stage = 'closed' WHERE sale_id = $1`, sale.ID)
			},
			stray,
		},
		"a token in the pool of a sale without an allotment": {
			func(h *trade) { h.lies(h.free, h.scheduled(aSale(time.Now(), "A", 0))) },
			stray,
		},
		"a token in the allotment of another product": {
			func(h *trade) {
				h.exec(`UPDATE stock_token SET pool_id = (SELECT pool_id FROM sale) WHERE unit_id = $1`, h.free)
			},
			stray,
		},
	}
}

// As in TestTheAuditNamesWhatIsBroken, no other check may complain.
func TestTheAuditNamesWhatIsBrokenInOrders(t *testing.T) {
	t.Parallel()
	for name, c := range brokenTrades() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTrade(t)
			c.breakIt(h)
			if got, want := offenders(t, h.audit("")), c.want(h); !reflect.DeepEqual(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}

func TestACleanShopWithOrdersPassesTheAudit(t *testing.T) {
	t.Parallel()
	h := newTrade(t)
	clean := func(when string) {
		t.Helper()
		if found := offenders(t, h.audit("")); len(found) > 0 {
			t.Errorf("%s: %v", when, found)
		}
	}
	clean("as it is")
	// An order that is overdue and was not cancelled, and a sale that is over and was not put away, break nothing.
	h.moveTo(h.unpaid.PayBy.Add(2 * time.Hour))
	clean("when all has lapsed")
	if err := h.ExpireLapsed(background); err != nil {
		t.Fatal(err)
	}
	if err := h.CancelOverdue(background); err != nil {
		t.Fatal(err)
	}
	clean("when it was swept")
	h.tendSales()
	if n := h.count(`SELECT count(*) FROM stock_token WHERE pool_id <> 0`); n != 0 {
		t.Errorf("%d tokens are left in the allotment", n)
	}
	clean("when the sale was put away")
}

// Each check sees one instant, so that what goes on meanwhile never looks broken.
func TestTheAuditRaisesNoFalseAlarmWhileOrdersGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake(), Hold: 100 * time.Millisecond, ClaimWait: longEnough})
	w.priced("A", 100, 30)
	w.priced("B", 100, 30)
	limit := 6
	terms := aSale(time.Now().Add(-time.Minute), "B", 20)
	terms.PurchaseLimit, terms.Hold = &limit, time.Second
	w.scheduled(terms)
	expected := []shop.Code{
		shop.AllHeld, shop.NotEnoughUnits, shop.SoldOut, shop.PurchaseLimit, shop.CartEmpty, shop.HoldExpired, shop.Conflict, shop.Validation, shop.Busy,
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for i := range 6 {
		who := buyer(i % 4) // some share a cart
		wg.Go(func() {
			for n := i; !done.Load(); n++ {
				if err := w.dealings(who, n); err != nil && !refusedFor(err, expected...) {
					t.Errorf("%s: %v", who, err)
				}
			}
		})
	}
	const enough = 60
	deadline := time.Now().Add(time.Minute)
	for runs := 0; runs < 10 || w.count(`SELECT count(*) FROM shop_order`) < enough || w.count(`SELECT count(*) FROM refund`) < enough/4; runs++ {
		if found := offenders(t, w.audit("")); len(found) > 0 {
			t.Errorf("audit %d: %v", runs, found)
		}
		if time.Now().After(deadline) {
			t.Error("too few orders in a minute")
			break
		}
	}
	done.Store(true)
	wg.Wait()
	w.audited()
}

// dealings lets a buyer claim and order something, and do with the order what comes next.
func (w *world) dealings(buyer string, n int) error {
	for _, sku := range []string{"A", "B"} {
		if _, err := w.claim(buyer, sku, 1+n%2); err != nil && !refusedFor(err, shop.PurchaseLimit, shop.AllHeld, shop.NotEnoughUnits) {
			return err
		}
	}
	o, err := w.checkout(buyer)
	if err != nil || n%5 == 0 { // some are left to lapse
		return err
	}
	if n%5 == 1 {
		_, _, err = w.CancelOrder(background, buyer, o.ID, "")
		return err
	}
	if _, _, err = w.Pay(background, buyer, o.ID, "succeed", ""); err != nil {
		return err
	}
	to := shop.Restocks()[:2][n%2]
	units := o.Lines[0].UnitIDs
	if _, _, err = w.Refund(background, shop.RefundRequest{OrderID: o.ID, UnitIDs: slices.Clone(units[:1]), Restock: to, Operator: w.operator()}); err != nil {
		return err
	}
	if n%3 > 0 {
		if _, _, err = w.Refund(background, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockAvailable, Operator: w.operator()}); err != nil {
			return err
		}
	}
	_, _, err = w.QuarantineRelease(background, w.operator(), o.Lines[0].SKU, 1, nil)
	return err
}
