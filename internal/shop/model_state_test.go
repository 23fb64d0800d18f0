package shop_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// model is the shop of one run, as a page of rules: time passes at once (lapsed holds are expired, overdue orders cancelled, sales closed), and nothing is
// at the same time as anything else.
type model struct {
	*modelShop
	run      int
	turn     int // of the choices of a script that is played by turns; -1: they are drawn
	turns    int // that it takes until each choice has been made
	now      time.Time
	op       shop.ID // the API key of all operators
	products []*mProduct
	sales    []*mSale
	claims   []*mClaim
	orders   []*mOrder
	keys     map[string]mKey
	cool     map[string]time.Time // by sale and buyer
	where    map[shop.ID]shop.Place
	given    int              // keys
	captured map[string]int64 // by the provider, by currency
	refunded map[string]int64
	paused   bool
}

type mProduct struct {
	sku        string
	price      *shop.Money
	selling    bool
	received   int
	withdrawn  int
	pools      map[int]int // units by pool: 0 is the common one, others are of sales
	queues     map[int]int // units asked for since the queue was last settled to its end
	quarantine []shop.ID
	serials    map[string]bool
}

type mSale struct {
	shop.Sale
	pool      int
	scheduled bool
	paused    bool
	was       shop.SaleState // when it was last looked at
}

type mClaim struct {
	id       shop.ID
	buyer    string
	p        *mProduct
	quantity int
	key      string
	status   shop.Status
	units    []shop.ID
	returned []shop.ID
	price    *shop.Money
	created  time.Time
	expires  time.Time
	sale     *mSale
	pool     int
	order    *mOrder
	refusal  *shop.Refusal
	replaces *mClaim
	replaced bool
}

type mOrder struct {
	id         shop.ID
	buyer      string
	status     shop.OrderStatus
	reason     string
	lines      []*mClaim
	total      *shop.Money
	refunded   int64
	payBy      *time.Time
	external   bool
	pays       []*mPay
	reference  string
	replaces   *mOrder
	replacedBy *mOrder
}

type mPay struct {
	id       shop.ID
	order    *mOrder
	status   payment.State
	late     bool // it can be taken later
	amount   int64
	currency string
	refunded int64
}

// mKey is what an idempotency key is bound to.
type mKey struct {
	request string
	made    any
}

// newModel begins a run. All runs share a database, where each has its own products, buyers and keys, and a later time.
func (s *modelShop) newModel(rt *rapid.T, turn int) *model {
	s.runs++
	m := &model{
		modelShop: s, run: s.runs, turn: turn, turns: 1, now: s.began.Add(time.Duration(s.runs) * 100 * time.Hour), op: pgdb.NewID(),
		keys: map[string]mKey{}, cool: map[string]time.Time{}, where: map[shop.ID]shop.Place{}, captured: map[string]int64{}, refunded: map[string]int64{},
	}
	books, err := m.provider.Books(background)
	if err != nil {
		rt.Fatal(err)
	}
	for _, b := range books {
		m.captured[b.Currency], m.refunded[b.Currency] = b.Captured, b.Refunded
	}
	m.moveTo(m.now)
	m.provider.away.Store(false)
	if _, _, err := m.PauseSelling(background, shop.Operator{KeyID: m.op}, false); err != nil {
		rt.Fatal(err)
	}
	// In euros, in francs, and without a price, to be sold by the shop beside us.
	for i, price := range []*shop.Money{{Amount: 1000, Currency: "EUR"}, {Amount: 700, Currency: "CHF"}, nil} {
		p := &mProduct{sku: fmt.Sprintf("P%d-%d", i, m.run), price: price, pools: map[int]int{}, queues: map[int]int{}, serials: map[string]bool{}}
		m.products = append(m.products, p)
		m.put(rt, p, true, price)
		if turn < 0 {
			if n := drawOf(rt, "stock", 0, 1, 2, 4, 8); n > 0 {
				m.receive(rt, p.sku, n, nil, "first", "")
			}
		}
	}
	return m
}

func (m *model) operator(key string) shop.Operator { return shop.Operator{KeyID: m.op, Key: key} }

// bound tells what a key of a caller is bound to for an operation, or that it was used for another request.
func (m *model) bound(operation, caller, key, request string) (made any, is bool, no *shop.Refusal) {
	k, is := m.keys[operation+" "+caller+" "+key]
	switch {
	case key == "" || !is:
		return nil, false, nil
	case k.request != request:
		return nil, false, &shop.Refusal{Code: shop.KeyReused}
	}
	return k.made, true, nil
}

func (m *model) bind(operation, caller, key, request string, made any) {
	if key != "" {
		m.keys[operation+" "+caller+" "+key] = mKey{request, made}
	}
}

func (m *model) productOf(sku string) *mProduct {
	for _, p := range m.products {
		if p.sku == sku {
			return p
		}
	}
	return nil
}

// state of a sale now.
func (m *model) state(s *mSale) shop.SaleState {
	switch {
	case !s.scheduled:
		return shop.SaleIsDraft
	case !m.now.Before(s.ClosesAt):
		return shop.SaleIsClosed
	case m.now.Before(s.OpensAt):
		return shop.SaleIsScheduled
	case s.paused:
		return shop.SaleIsPaused
	}
	return shop.SaleIsOpen
}

func (s *mSale) item(p *mProduct) *shop.SaleItem {
	for i := range s.Items {
		if s.Items[i].SKU == p.sku {
			return &s.Items[i]
		}
	}
	return nil
}

// poolOf is where a sale's units of a product lie.
func (s *mSale) poolOf(p *mProduct) int {
	if s.item(p).Quantity == nil {
		return 0
	}
	return s.pool
}

// backTo is the pool that units go to when they come back.
func (m *model) backTo(pool int) int {
	if pool > 0 && m.state(m.sales[pool-1]) == shop.SaleIsClosed {
		return 0
	}
	return pool
}

// back puts units where they go when they come back.
func (m *model) back(c *mClaim, from shop.Place, units ...shop.ID) {
	c.p.pools[m.backTo(c.pool)] += len(units)
	for _, id := range units {
		delete(m.where, id)
		m.is("unit %s -> available", from)
	}
}

// placed notes where units are now.
func (m *model) placed(units []shop.ID, from, to shop.Place) {
	for _, id := range units {
		m.where[id] = to
		m.is("unit %s -> %s", from, to)
	}
}

// pass lets happen what the clock brings about.
func (m *model) pass() {
	for _, c := range m.claims {
		if c.status == shop.Held && !m.now.Before(c.expires) {
			c.status = shop.Expired
			m.is("transaction held -> expired")
			m.back(c, shop.InHold, c.units...)
			m.coolDown(c)
		}
	}
	for _, o := range m.orders {
		p := o.live()
		if o.status == shop.AwaitingPayment && !m.now.Before(*o.payBy) && (p == nil || p.status != payment.Pending) {
			m.cancelled(o, "payment-overdue")
		}
	}
	for _, s := range m.sales {
		state := m.state(s)
		if state != s.was {
			m.is("sale %s -> %s", s.was, state)
			s.was = state
		}
		if state != shop.SaleIsClosed {
			continue
		}
		for _, p := range m.products {
			if n := p.pools[s.pool]; n > 0 {
				m.is("unit of an allotment -> common pool")
				p.pools[0] += n
				p.pools[s.pool] = 0
			}
		}
	}
}

func coolKey(s *mSale, buyer string) string { return s.ID.String() + " " + buyer }

// coolDown: a hold of a sale has expired.
func (m *model) coolDown(c *mClaim) {
	if c.sale == nil || c.sale.CooldownSeconds == 0 {
		return
	}
	until, k := c.expires.Add(time.Duration(c.sale.CooldownSeconds)*time.Second), coolKey(c.sale, c.buyer)
	if until.After(m.cool[k]) {
		m.cool[k] = until
	}
}

func (m *model) cancelled(o *mOrder, reason string) {
	o.status, o.reason = shop.IsCancelled, reason
	m.is("order awaiting_payment -> cancelled (%s)", reason)
	for _, c := range o.lines {
		c.returned = c.units
		m.back(c, shop.InOrder, c.units...)
	}
}

// live is the payment of an order that has not failed.
func (o *mOrder) live() *mPay {
	for _, p := range o.pays {
		if p.status != payment.Failed {
			return p
		}
	}
	return nil
}

// unpaid tells whether a claim is a line of an order that awaits payment.
func (c *mClaim) unpaid() bool {
	return c.status == shop.Ordered && c.order.status == shop.AwaitingPayment
}

// mayReturn tells whether any unit of a product is there or may come back by itself.
func (m *model) mayReturn(p *mProduct) bool {
	for _, n := range p.pools {
		if n > 0 {
			return true
		}
	}
	return slices.ContainsFunc(m.claims, func(c *mClaim) bool { return c.p == p && (c.status == shop.Held || c.unpaid()) })
}

// next is when the first unit of some pools of a product may come back by itself.
func (m *model) next(p *mProduct, in func(pool int) bool) (next *time.Time) {
	for _, c := range m.claims {
		if c.p != p || !in(c.pool) {
			continue
		}
		var at *time.Time
		if c.status == shop.Held {
			at = &c.expires
		} else if c.unpaid() {
			if pay := c.order.live(); pay == nil {
				at = c.order.payBy
			}
		}
		if at != nil && (next == nil || at.Before(*next)) {
			then := *at // which stays in what is kept of a refusal when a hold is extended
			next = &then
		}
	}
	return next
}

// has is how many units of a sale a buyer has.
func (m *model) has(s *mSale, buyer string) (n int) {
	for _, c := range m.claims {
		if c.sale != s || c.buyer != buyer {
			continue
		}
		if c.status == shop.Held {
			n += c.quantity
		}
		if c.status == shop.Ordered {
			n += c.quantity - len(c.returned)
		}
	}
	return n
}

// judge says why a buyer can't have units of a sale, whatever there is: cool comes before everything, over after sold-out.
func (m *model) judge(s *mSale, buyer string, quantity int) (cool, over *shop.Refusal) {
	if s == nil {
		return nil, nil
	}
	if left := m.cool[coolKey(s, buyer)].Sub(m.now); left > 0 {
		cool = &shop.Refusal{Code: shop.CoolDown, RetryAfter: left}
	}
	if has := m.has(s, buyer); s.PurchaseLimit != nil && has+quantity > *s.PurchaseLimit {
		remaining := max(*s.PurchaseLimit-has, 0)
		over = &shop.Refusal{Code: shop.PurchaseLimit, Limit: s.PurchaseLimit, Remaining: &remaining}
		for _, o := range m.orders {
			if o.buyer == buyer && o.status == shop.AwaitingPayment && slices.ContainsFunc(o.lines, func(c *mClaim) bool { return c.sale == s }) {
				over.OrderIDs = append(over.OrderIDs, o.id)
			}
		}
	}
	return cool, over
}

func notEnough(n int) *shop.Refusal {
	available := int64(n)
	return &shop.Refusal{Code: shop.NotEnoughUnits, Available: &available}
}

func refuse(code shop.Code) *shop.Refusal { return &shop.Refusal{Code: code} }

func conflicts(state string) *shop.Refusal { return &shop.Refusal{Code: shop.Conflict, State: state} }

// serve says from which pool, and through which sale, a request is served; or why by none.
func (m *model) serve(r shop.ClaimRequest, normally bool) (pool int, s *mSale, no *shop.Refusal) {
	p := m.productOf(r.SKU)
	if p == nil {
		if r.Quantity > modelMaxQuantity {
			return 0, nil, refuse(shop.Validation)
		}
		return 0, nil, refuse(shop.NotFound)
	}
	s, no = m.pickSale(p, r, normally)
	most := modelMaxQuantity
	if s != nil {
		most = s.MaxQuantity
	}
	switch {
	case r.Quantity > most:
		return 0, nil, refuse(shop.Validation)
	case !p.selling:
		return 0, nil, refuse(shop.NotSelling)
	case m.paused:
		return 0, nil, refuse(shop.SalePaused)
	case no != nil:
		return 0, nil, no
	case s != nil:
		return s.poolOf(p), s, nil
	case r.SaleID != nil:
		return 0, nil, refuse(shop.NotFound)
	}
	return 0, nil, nil
}

func (m *model) pickSale(p *mProduct, r shop.ClaimRequest, normally bool) (*mSale, *shop.Refusal) {
	sales := slices.Clone(m.sales)
	slices.SortStableFunc(sales, func(a, b *mSale) int { return a.OpensAt.Compare(b.OpensAt) })
	var keptFor *mSale
	for _, s := range sales {
		named := r.SaleID != nil && *r.SaleID == s.ID
		if s.item(p) == nil || r.SaleID != nil && !named {
			continue
		}
		allotted := s.item(p).Quantity != nil
		switch m.state(s) {
		case shop.SaleIsPaused:
			return nil, refuse(shop.SalePaused)
		case shop.SaleIsOpen:
			if allotted && !named && (normally || p.pools[s.pool] == 0) {
				return nil, nil
			}
			return s, nil
		case shop.SaleIsScheduled:
			if named {
				return nil, &shop.Refusal{Code: shop.SaleNotOpen, OpensAt: &s.OpensAt}
			}
			if keptFor == nil && !allotted {
				keptFor = s
			}
		case shop.SaleIsClosed:
			if named {
				return nil, refuse(shop.SaleEnded)
			}
		}
	}
	if keptFor != nil {
		return nil, &shop.Refusal{Code: shop.SaleNotOpen, OpensAt: &keptFor.OpensAt}
	}
	return nil, nil
}

// decide says what becomes of a direct claim.
func (m *model) decide(r shop.ClaimRequest) (pool int, s *mSale, no *shop.Refusal) {
	var ofSale *shop.Refusal
	for normally := false; ; normally = true {
		pool, s, no = m.serve(r, normally)
		if no != nil {
			return 0, nil, no
		}
		p := m.productOf(r.SKU)
		there := p.pools[pool]
		cool, over := m.judge(s, r.Buyer, r.Quantity)
		switch {
		case cool != nil:
			return 0, nil, cool
		case !m.mayReturn(p):
			return 0, nil, refuse(shop.SoldOut)
		case over != nil:
			return 0, nil, over
		case there >= r.Quantity:
			return pool, s, nil
		case there > 0:
			no = notEnough(there)
		case ofSale != nil:
			no = ofSale
		default:
			no = &shop.Refusal{Code: shop.AllHeld, NextReleaseAt: m.next(p, func(of int) bool { return of == pool })}
		}
		if pool == 0 || r.SaleID != nil {
			return 0, nil, no
		}
		ofSale = no // it tries what is sold beside the sale
	}
}
