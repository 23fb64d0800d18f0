package shop_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/shop"
)

// Two allotments and the common pool of one product, whose units are claimed, lapse, are ordered, cancelled, paid for, returned and put in
// quarantine, while the sales open and close: every unit ends in the pool that the rules say. They are: a unit comes back to the pool that it was
// claimed from, but to the common one once that sale is over; what is left of an allotment goes there when its sale closes.
func TestEveryUnitEndsInThePoolThatTheRulesSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Minute, Provider: newFake(), ClaimWait: longEnough})
	now := noon()
	run, done := 0, map[string]int{}
	check := func(rt *rapid.T) {
		run++
		now = now.Add(24 * time.Hour)
		w.moveTo(now)
		m := newPoolModel(w, run, now, done)
		rt.Repeat(map[string]func(*rapid.T){
			"":         m.compare,
			"claim":    m.claim,
			"end":      m.end,
			"checkout": m.checkout,
			"cancel":   m.cancel,
			"pay":      m.pay,
			"refund":   m.refund,
			"release":  m.releaseQuarantine,
			"wait":     m.wait,
			"close":    m.closeSale,
			"sweep":    m.sweep,
		})
		m.sweep(rt)
		m.compare(rt)
		if a, _, err := w.Audit(background, shop.AuditRequest{SKU: m.sku}); err != nil || !a.OK {
			rt.Fatalf("%+v, %v", a, err)
		}
		now = m.now
	}
	// What is rare is waited for: a hundred runs more, and more again, before it is said never to happen.
	never := func() (kinds []string) {
		for _, what := range []string{
			"claim in a sale", "claim beside", "lapsed after the end", "cancel", "overdue", "returned", "returned after the end", "quarantined", "unquarantined", "closed early", "closed by the clock",
		} {
			if done[what] == 0 {
				kinds = append(kinds, what)
			}
		}
		return kinds
	}
	for tries := 0; tries == 0 || tries < 5 && run >= 100*tries && len(never()) > 0; tries++ {
		rapid.Check(t, check)
	}
	t.Logf("done: %v", done)
	if run >= 100 && len(never()) > 0 {
		t.Errorf("never: %v", never())
	}
}

const poolUnits, poolAllotment = 8, 3

type poolModel struct {
	w        *world
	sku      string
	now      time.Time
	done     map[string]int
	sales    [2]*poolSale
	common   int // units in the common pool
	held     []*poolClaim
	orders   []*poolOrder
	quarante int
	buyers   int
}

type poolSale struct {
	shop.Sale
	units int // in its pool
	over  bool
}

// poolClaim has units that came from a pool; sale nil: the common one.
type poolClaim struct {
	shop.Transaction
	sale *poolSale
}

type poolOrder struct {
	shop.Order
	claim *poolClaim
	left  []shop.ID // that it still has
	paid  bool
}

func newPoolModel(w *world, run int, now time.Time, done map[string]int) *poolModel {
	m := &poolModel{w: w, sku: fmt.Sprint("P", run), now: now, done: done, common: poolUnits - 2*poolAllotment}
	w.priced(m.sku, 100, poolUnits)
	for i := range m.sales {
		terms := aSale(now.Add(time.Duration(i)*20*time.Minute), m.sku, poolAllotment)
		terms.ClosesAt = terms.OpensAt.Add(10 * time.Minute)
		terms.Hold = 4 * time.Minute
		m.sales[i] = &poolSale{Sale: w.scheduled(terms), units: poolAllotment}
	}
	return m
}

// back puts units where they go when they come back.
func (m *poolModel) back(c *poolClaim, n int) {
	if c.sale == nil || c.sale.over {
		m.common += n
		return
	}
	c.sale.units += n
}

// settle does to the model what time has done: what has lapsed or is overdue comes back, then what is left of sales that are over goes to the common pool.
func (m *poolModel) settle() {
	for _, s := range m.sales {
		if !s.over && !m.now.Before(s.ClosesAt) {
			s.over = true
			m.done["closed by the clock"]++
		}
		if s.over {
			m.common += s.units
			s.units = 0
		}
	}
	var held []*poolClaim
	for _, c := range m.held {
		if m.now.Before(*c.ExpiresAt) {
			held = append(held, c)
			continue
		}
		if c.sale != nil && c.sale.over {
			m.done["lapsed after the end"]++
		}
		m.back(c, c.Quantity)
	}
	m.held = held
	var orders []*poolOrder
	for _, o := range m.orders {
		if o.paid || m.now.Before(*o.PayBy) {
			orders = append(orders, o)
			continue
		}
		m.done["overdue"]++
		m.back(o.claim, len(o.left))
	}
	m.orders = orders
}

func (m *poolModel) open() *poolSale {
	for _, s := range m.sales {
		if !s.over && !m.now.Before(s.OpensAt) && m.now.Before(s.ClosesAt) {
			return s
		}
	}
	return nil
}

func (m *poolModel) claim(rt *rapid.T) {
	m.settle()
	m.buyers++
	quantity := rapid.IntRange(1, 3).Draw(rt, "quantity")
	way := rapid.SampledFrom([]string{"direct", "queued"}).Draw(rt, "way")
	sale := m.open()
	inSale := sale != nil && sale.units > 0
	have := m.common
	if inSale {
		have = sale.units
	}
	if have < quantity && inSale && way == "direct" {
		inSale, have = false, m.common // the rest sells beside the allotment
	}
	if err := m.w.TendSales(background); err != nil { // so that nobody waits for units that are on their way back
		rt.Fatal(err)
	}
	tx, err := both[way](m.w, m.w.Shop, shop.ClaimRequest{Buyer: fmt.Sprint(m.sku, "-", m.buyers), SKU: m.sku, Quantity: quantity})
	if have < quantity {
		if !refusedFor(err, shop.AllHeld, shop.NotEnoughUnits, shop.SoldOut) {
			rt.Fatalf("%d of %d: %+v, %v", quantity, have, tx, err)
		}
		return
	}
	if err != nil || (tx.SaleID != nil) != inSale {
		rt.Fatalf("%d of %d, in the sale %t: %+v, %v", quantity, have, inSale, tx, err)
	}
	c := &poolClaim{Transaction: tx}
	if inSale {
		c.sale = sale
		sale.units -= quantity
		m.done["claim in a sale"]++
	} else {
		m.common -= quantity
		m.done["claim beside"]++
	}
	m.held = append(m.held, c)
}

func drawFrom[T any](rt *rapid.T, all *[]T, what string) (one T) {
	if len(*all) == 0 {
		rt.Skip("none")
	}
	i := rapid.IntRange(0, len(*all)-1).Draw(rt, what)
	one = (*all)[i]
	*all = append((*all)[:i:i], (*all)[i+1:]...)
	return one
}

func (m *poolModel) end(rt *rapid.T) {
	m.settle()
	c := drawFrom(rt, &m.held, "hold")
	if _, err := m.w.Release(background, c.Buyer, c.ID); err != nil {
		rt.Fatal(err)
	}
	m.back(c, c.Quantity)
}

func (m *poolModel) checkout(rt *rapid.T) {
	m.settle()
	c := drawFrom(rt, &m.held, "hold")
	o, _, err := m.w.Checkout(background, shop.CheckoutRequest{Buyer: c.Buyer, TransactionIDs: []shop.ID{c.ID}})
	if err != nil {
		rt.Fatal(err)
	}
	m.orders = append(m.orders, &poolOrder{Order: o, claim: c, left: o.Lines[0].UnitIDs})
}

func (m *poolModel) drawOrder(rt *rapid.T, paid bool) *poolOrder {
	m.settle()
	var some []*poolOrder
	for _, o := range m.orders {
		if o.paid == paid {
			some = append(some, o)
		}
	}
	if len(some) == 0 {
		rt.Skip("none")
	}
	return rapid.SampledFrom(some).Draw(rt, "order")
}

func (m *poolModel) forget(o *poolOrder) {
	for i := range m.orders {
		if m.orders[i] == o {
			m.orders = append(m.orders[:i:i], m.orders[i+1:]...)
			return
		}
	}
}

func (m *poolModel) cancel(rt *rapid.T) {
	o := m.drawOrder(rt, false)
	if _, _, err := m.w.CancelOrder(background, o.Buyer, o.ID, ""); err != nil {
		rt.Fatal(err)
	}
	m.done["cancel"]++
	m.back(o.claim, len(o.left))
	m.forget(o)
}

func (m *poolModel) pay(rt *rapid.T) {
	o := m.drawOrder(rt, false)
	if _, _, err := m.w.Pay(background, o.Buyer, o.ID, "succeed", ""); err != nil {
		rt.Fatal(err)
	}
	o.paid = true
}

func (m *poolModel) refund(rt *rapid.T) {
	o := m.drawOrder(rt, true)
	n := rapid.IntRange(1, len(o.left)).Draw(rt, "units")
	restock := rapid.SampledFrom([]shop.Restock{shop.RestockAvailable, shop.RestockAvailable, shop.RestockQuarantine, shop.RestockWriteOff}).Draw(rt, "restock")
	_, _, err := m.w.Refund(background, shop.RefundRequest{OrderID: o.ID, UnitIDs: o.left[:n], Restock: restock, Operator: m.w.operator()})
	if err != nil {
		rt.Fatal(err)
	}
	switch restock {
	case shop.RestockAvailable:
		m.back(o.claim, n)
		m.done["returned"]++
		if o.claim.sale != nil && o.claim.sale.over {
			m.done["returned after the end"]++
		}
	case shop.RestockQuarantine:
		m.quarante += n
		m.done["quarantined"]++
	}
	if o.left = o.left[n:]; len(o.left) == 0 {
		m.forget(o)
	}
}

func (m *poolModel) releaseQuarantine(rt *rapid.T) {
	if m.quarante == 0 {
		rt.Skip("none")
	}
	if _, _, err := m.w.QuarantineRelease(background, m.w.operator(), m.sku, m.quarante, nil); err != nil {
		rt.Fatal(err)
	}
	m.common += m.quarante
	m.quarante = 0
	m.done["unquarantined"]++
}

func (m *poolModel) wait(rt *rapid.T) {
	m.settle()
	m.now = m.now.Add(time.Duration(rapid.IntRange(30, 420).Draw(rt, "seconds")) * time.Second)
	m.w.moveTo(m.now)
}

func (m *poolModel) closeSale(rt *rapid.T) {
	m.settle()
	s := m.sales[rapid.IntRange(0, 9).Draw(rt, "sale")%2]
	if s.over || rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
		rt.Skip("it is over")
	}
	m.w.move(s.ID, shop.CloseSale)
	s.over = true
	m.done["closed early"]++
	m.settle()
}

func (m *poolModel) sweep(rt *rapid.T) {
	for _, tend := range []func() error{
		func() error { return m.w.ExpireLapsed(background) },
		func() error { return m.w.CancelOverdue(background) },
		func() error { return m.w.TendSales(background) },
	} {
		if err := tend(); err != nil {
			rt.Fatal(err)
		}
	}
	m.settle()
	for i, s := range m.sales {
		if n := m.w.count(`SELECT count(*) FROM stock_token JOIN product USING (product_id) JOIN sale USING (pool_id) WHERE sku = $1 AND sale_id = $2`, m.sku, s.ID); n != s.units {
			rt.Fatalf("%d tokens lie in the pool of sale %d, want %d", n, i, s.units)
		}
	}
	if n := m.w.count(`SELECT count(*) FROM stock_token JOIN product USING (product_id) WHERE sku = $1 AND pool_id = 0`, m.sku); n != m.common {
		rt.Fatalf("%d tokens lie in the common pool, want %d", n, m.common)
	}
}

// compare holds what everybody sees, swept or not.
func (m *poolModel) compare(rt *rapid.T) {
	m.settle()
	got, err := m.w.Stock(background, m.sku)
	available := int64(m.common + m.sales[0].units + m.sales[1].units)
	held := int64(0)
	for _, c := range m.held {
		held += int64(c.Quantity)
	}
	if err != nil || got.Available != available || got.Held != held || got.Quarantine != int64(m.quarante) {
		rt.Fatalf("the shop counts %+v, %v; the model %d available, %d held, %d in quarantine", got, err, available, held, m.quarante)
	}
}
