package shop_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/shop"
)

func (m *model) buyer(i int) string { return fmt.Sprintf("%d-%d", m.run, i) }

// drawOf draws one of some, of which a failure shows the index.
func drawOf[T any](rt *rapid.T, label string, from ...T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(rt, label)]
}

// choose is drawOf for scripts, which make each choice in its turn when they are played by turns.
func choose[T any](m *model, rt *rapid.T, label string, from ...T) T {
	if m.turn < 0 {
		return drawOf(rt, label, from...)
	}
	m.turns = max(m.turns, len(from))
	return from[m.turn%len(from)]
}

// drawKey draws no key, or one of few, so that keys are used again.
func drawKey(rt *rapid.T) string { return drawOf(rt, "key", "", "", "", "k1", "k2") }

func (m *model) drawProduct(rt *rapid.T) *mProduct { return drawOf(rt, "product", m.products...) }

func (m *model) drawRequest(rt *rapid.T) shop.ClaimRequest {
	p := m.drawProduct(rt)
	r := shop.ClaimRequest{
		Buyer:    m.buyer(rapid.IntRange(1, 3).Draw(rt, "buyer")),
		SKU:      p.sku,
		Quantity: rapid.IntRange(0, modelMaxQuantity+1).Draw(rt, "quantity"),
		Key:      drawKey(rt),
	}
	switch rapid.IntRange(0, 9).Draw(rt, "odd") {
	case 0:
		r.SKU = "unknown"
	case 1, 2:
		if len(m.sales) > 0 {
			r.SaleID = &drawOf(rt, "sale", m.sales...).ID
		}
	case 3, 4, 5:
		r.Quantity = min(max(p.pools[0], 1), modelMaxQuantity)
	}
	return r
}

func (m *model) claim(rt *rapid.T) {
	m.ask(rt, m.drawRequest(rt), drawOf(rt, "way", "claim", "claim", "enqueue", "accept"))
}

// again repeats a call that made a transaction, as it was, or with another quantity.
func (m *model) again(rt *rapid.T) {
	var keyed []*mClaim
	for _, c := range m.claims {
		if c.key != "" {
			keyed = append(keyed, c)
		}
	}
	if len(keyed) == 0 {
		return
	}
	c := drawOf(rt, "transaction", keyed...)
	r := shop.ClaimRequest{Buyer: c.buyer, SKU: c.p.sku, Quantity: c.quantity, Key: c.key}
	if rapid.IntRange(0, 3).Draw(rt, "other content") == 0 {
		r.Quantity++
	}
	m.ask(rt, r, drawOf(rt, "way", "claim", "enqueue"))
}

func (m *model) keyed(buyer, key string) *mClaim {
	for _, c := range m.claims {
		if key != "" && c.buyer == buyer && c.key == key {
			return c
		}
	}
	return nil
}

// ask claims: directly (claim), through the queue waiting for the turn (enqueue), or without (accept).
func (m *model) ask(rt *rapid.T, r shop.ClaimRequest, way string) *mClaim {
	was := m.keyed(r.Buyer, r.Key)
	if was != nil && was.status == shop.Queued {
		way = "accept" // others would wait for its turn
	}
	var got shop.Claimed
	var err error
	switch way {
	case "claim":
		got, err = m.Claim(background, r)
	case "enqueue":
		got, err = m.Enqueue(background, r, longEnough)
	case "accept":
		got, err = m.Enqueue(background, r, 0)
	}
	switch {
	case r.Quantity < 1:
		m.answered(rt, way, err, refuse(shop.Validation))
		return nil
	case was != nil && (was.p.sku != r.SKU || was.quantity != r.Quantity || r.SaleID != nil && (was.sale == nil || was.sale.ID != *r.SaleID)):
		m.answered(rt, way, err, refuse(shop.KeyReused))
		return nil
	case was != nil:
		m.answered(rt, way, err, nil)
		if !got.Replayed {
			rt.Fatalf("the replay is not said to be one: %+v", got)
		}
		m.sameClaim(rt, was, got.Transaction)
		m.is("transaction replayed %s", was.status)
		return nil
	case way == "claim":
		pool, s, no := m.decide(r)
		if m.answered(rt, way, err, no) {
			return nil
		}
		c := m.newClaim(r, pool, s)
		m.is("transaction new -> held")
		m.hold(rt, c, got.Transaction)
		return c
	}
	pool, s, no := m.accepts(r)
	if m.answered(rt, way, err, no) {
		return nil
	}
	c := m.newClaim(r, pool, s)
	c.id, c.status = got.Transaction.ID, shop.Queued
	c.p.queues[pool] += r.Quantity
	m.is("transaction new -> queued")
	if way == "accept" {
		if got.Transaction.Status != shop.Queued || got.Replayed {
			rt.Fatalf("accepted as %+v", got)
		}
		return c
	}
	m.settleQueue(rt, c.p, pool, []*mClaim{c})
	m.sameClaim(rt, c, got.Transaction)
	m.queueEmptied(c.p)
	return c
}

func (m *model) newClaim(r shop.ClaimRequest, pool int, s *mSale) *mClaim {
	c := &mClaim{buyer: r.Buyer, p: m.productOf(r.SKU), quantity: r.Quantity, key: r.Key, created: m.now, pool: pool, sale: s}
	m.claims = append(m.claims, c)
	return c
}

// accepts says whether a request is accepted into a queue.
func (m *model) accepts(r shop.ClaimRequest) (pool int, s *mSale, no *shop.Refusal) {
	pool, s, no = m.serve(r, false)
	if no != nil {
		return 0, nil, no
	}
	p := m.productOf(r.SKU)
	cool, over := m.judge(s, r.Buyer, r.Quantity)
	queued := 0
	for _, c := range m.claims {
		if c.buyer == r.Buyer && c.status == shop.Queued {
			queued++
		}
	}
	switch {
	case cool != nil:
		no = cool
	case !m.mayReturn(p):
		no = refuse(shop.SoldOut)
	case over != nil:
		no = over
	case p.queues[pool]+r.Quantity > modelQueueUnits:
		no = refuse(shop.Busy)
	case queued >= modelPerBuyer:
		no = refuse(shop.TooManyRequests)
	}
	return pool, s, no
}

// hold gives units to a claim in the model, those that the shop has given: they must have been there.
func (m *model) hold(rt *rapid.T, c *mClaim, got shop.Transaction) {
	c.id, c.status, c.units = got.ID, shop.Held, got.UnitIDs
	c.price = c.p.price
	length := modelHold
	if c.sale != nil {
		price := c.sale.item(c.p).Price
		c.price, length = &price, c.sale.Hold
	}
	c.expires = m.now.Add(length)
	m.take(rt, c, shop.InHold)
	m.sameClaim(rt, c, got)
}

// take takes the units of a claim out of its pool.
func (m *model) take(rt *rapid.T, c *mClaim, to shop.Place) {
	if len(c.units) != c.quantity {
		rt.Fatalf("%d units for %d that were asked for: %v", len(c.units), c.quantity, c.units)
	}
	for i, id := range c.units {
		if place, is := m.where[id]; is || slices.Contains(c.units[:i], id) {
			rt.Fatalf("unit %s was given to %s, and is %s", id, c.id, place)
		}
		m.where[id] = to
		m.is("unit available -> %s", to)
	}
	c.p.pools[c.pool] -= c.quantity
	if c.p.pools[c.pool] < 0 {
		rt.Fatalf("pool %d of %s has %d units", c.pool, c.p.sku, c.p.pools[c.pool])
	}
}

// settleQueue settles requests of a pool in the model, as one batch, which waits for their turn in the shop.
func (m *model) settleQueue(rt *rapid.T, p *mProduct, pool int, queue []*mClaim) {
	next := m.next(p, func(of int) bool { return of == pool })
	mayReturn := m.mayReturn(p)
	refusals := map[*mClaim]*shop.Refusal{}
	var short []*mClaim
	spent := false
	for _, c := range queue {
		ended := c.sale != nil && m.state(c.sale) == shop.SaleIsClosed
		cool, over := m.judge(c.sale, c.buyer, c.quantity)
		switch {
		case !p.selling:
			refusals[c] = refuse(shop.NotSelling)
		case ended:
			refusals[c] = refuse(shop.SaleEnded)
		case p.pools[pool] < c.quantity:
			short = append(short, c)
			continue
		case cool != nil:
			refusals[c] = cool
		case over != nil:
			refusals[c] = over
		default:
			got := m.await(rt, c)
			if got.Status != shop.Held {
				rt.Fatalf("%s is %s for %v, want held", c.id, got.Status, got.Refusal)
			}
			m.is("transaction queued -> held")
			m.hold(rt, c, got)
			spent = true
			if expires := c.expires; next == nil || expires.Before(*next) {
				next = &expires
			}
		}
	}
	for _, c := range short {
		cool, over := m.judge(c.sale, c.buyer, c.quantity)
		switch {
		case cool != nil:
			refusals[c] = cool
		case !mayReturn && !spent:
			refusals[c] = refuse(shop.SoldOut)
		case over != nil:
			refusals[c] = over
		case p.pools[pool] > 0:
			refusals[c] = notEnough(p.pools[pool])
		default:
			refusals[c] = &shop.Refusal{Code: shop.AllHeld, NextReleaseAt: next}
		}
	}
	for c, no := range refusals {
		c.status, c.refusal = shop.Refused, no
		m.is("transaction queued -> refused")
		m.is("turn %s", no.Code)
		m.sameClaim(rt, c, m.await(rt, c))
	}
}

func (m *model) await(rt *rapid.T, c *mClaim) shop.Transaction {
	got, err := m.Await(background, c.buyer, c.id, longEnough)
	if err != nil {
		rt.Fatalf("await %s: %v", c.id, err)
	}
	return got
}

// drain has everything settled that is queued and not paused.
func (m *model) drain(rt *rapid.T) {
	for _, p := range m.products {
		queues := map[int][]*mClaim{}
		for _, c := range m.claims {
			if c.p == p && c.status == shop.Queued && !m.pausedFor(c) {
				queues[c.pool] = append(queues[c.pool], c)
			}
		}
		if len(queues) == 0 {
			continue
		}
		settleQueues(rt, m.Shop)
		for pool := 0; pool <= len(m.sales); pool++ {
			if queue := queues[pool]; len(queue) > 0 {
				m.settleQueue(rt, p, pool, queue)
			}
		}
		m.queueEmptied(p)
	}
}

// pausedFor tells whether a request keeps its place.
func (m *model) pausedFor(c *mClaim) bool {
	if m.paused {
		return true
	}
	for _, s := range m.sales {
		if s.item(c.p) != nil && m.state(s) == shop.SaleIsPaused && s.poolOf(c.p) == c.pool {
			return true
		}
	}
	return false
}

// queueEmptied forgets the places of queues in which nothing waits.
func (m *model) queueEmptied(p *mProduct) {
	for pool := range p.queues {
		waits := slices.ContainsFunc(m.claims, func(c *mClaim) bool { return c.p == p && c.pool == pool && c.status == shop.Queued })
		if !waits && !m.paused {
			p.queues[pool] = 0
		}
	}
}

// queue has several requests accepted before any is settled, and something happen between.
func (m *model) queue(rt *rapid.T) {
	p := m.drawProduct(rt)
	n := rapid.IntRange(1, 5).Draw(rt, "requests")
	var rs []shop.ClaimRequest
	for range n {
		r := m.drawRequest(rt)
		r.SKU = p.sku
		rs = append(rs, r)
	}
	m.queueUp(rt, p, drawOf(rt, "meanwhile", "nothing", "cancel", "take off sale", "pause selling", "pause sale", "close sale", "withdraw"), rs...)
}

func (m *model) queueUp(rt *rapid.T, p *mProduct, meanwhile string, rs ...shop.ClaimRequest) {
	if slices.ContainsFunc(m.claims, func(c *mClaim) bool { return c.status == shop.Queued }) {
		return
	}
	goOn := m.stopped(p.sku)
	began := m.databaseTime(rt)
	var queued []*mClaim
	for _, r := range rs {
		if c := m.ask(rt, r, "accept"); c != nil && c.status == shop.Queued {
			queued = append(queued, c)
		}
	}
	if len(queued) > 0 {
		switch meanwhile {
		case "cancel":
			m.release(rt, queued[0], queued[0].buyer)
		case "take off sale":
			m.put(rt, p, false, p.price)
		case "pause selling":
			m.pauseSelling(rt, true)
		case "withdraw":
			if n := p.pools[0]; n > 0 {
				m.withdraw(rt, p.sku, n, shop.InStock, "")
			}
		case "pause sale", "close sale":
			if s := queued[0].sale; s != nil {
				m.moveSale(rt, s, map[string]shop.SaleAction{"pause sale": shop.PauseSale, "close sale": shop.CloseSale}[meanwhile], "")
			}
		}
	}
	// Whoever has looked before that is to be done when the queue goes on, so that nothing is at the same time as anything else.
	for until := m.databaseTime(rt); m.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start BETWEEN $1 AND $2`, began, until) > 0; {
	}
	goOn()
	m.pass()
	m.drain(rt)
}

func (m *model) databaseTime(rt *rapid.T) (at time.Time) {
	if err := m.db.QueryRow(background, `SELECT clock_timestamp()`).Scan(&at); err != nil {
		rt.Fatal(err)
	}
	return at
}

// sameClaim compares what the shop shows of a transaction.
func (m *model) sameClaim(rt *rapid.T, c *mClaim, got shop.Transaction) {
	rt.Helper()
	var sale, order *shop.ID
	if c.sale != nil {
		sale = &c.sale.ID
	}
	if c.order != nil {
		order = &c.order.id
	}
	if got.ID != c.id || got.Buyer != c.buyer || got.Status != c.status || got.SKU != c.p.sku || got.Quantity != c.quantity || !slices.Equal(got.UnitIDs, c.units) ||
		!alike(got.Price, c.price) || !alike(got.SaleID, sale) || !alike(got.OrderID, order) || !got.CreatedAt.Equal(c.created) {
		rt.Fatalf("the shop shows %+v, want %s: %s of %d %s, units %v, price %v, sale %v, order %v, created at %s", got, c.id, c.status, c.quantity, c.p.sku, c.units, c.price, sale, order, c.created)
	}
	if c.status == shop.Held && !got.ExpiresAt.Equal(c.expires) {
		rt.Fatalf("%s is held until %v, want %s", c.id, got.ExpiresAt, c.expires)
	}
	if c.status == shop.Refused {
		m.sameRefusal(rt, "transaction "+c.id.String(), got.Refusal, c.refusal)
	} else if got.Refusal != nil {
		rt.Fatalf("%s is %s and refused for %v", c.id, got.Status, got.Refusal)
	}
}

func (m *model) drawClaim(rt *rapid.T) *mClaim {
	if len(m.claims) == 0 {
		return nil
	}
	recent := m.claims[max(0, len(m.claims)-8):]
	return drawOf(rt, "transaction", recent...)
}

func (m *model) drawAsker(rt *rapid.T, owner string) string {
	return drawOf(rt, "who", owner, owner, owner, owner, owner, "somebody else")
}

func (m *model) read(rt *rapid.T) {
	if c := m.drawClaim(rt); c != nil {
		m.readBy(rt, c, m.drawAsker(rt, c.buyer))
	}
}

func (m *model) readBy(rt *rapid.T, c *mClaim, who string) {
	got, err := m.Transaction(background, who, c.id)
	if who != c.buyer {
		m.answered(rt, "transaction", err, refuse(shop.NotFound))
		return
	}
	m.answered(rt, "transaction", err, nil)
	m.sameClaim(rt, c, got)
	if c.status == shop.Queued {
		ahead := 0
		for _, other := range m.claims {
			if other == c {
				break
			}
			if other.p == c.p && other.pool == c.pool && other.status == shop.Queued {
				ahead += other.quantity
			}
		}
		if got.QueuePosition != int64(ahead) {
			rt.Fatalf("%s stands behind %d units, want %d", c.id, got.QueuePosition, ahead)
		}
	}
}

func (m *model) end(rt *rapid.T) {
	if c := m.drawClaim(rt); c != nil {
		m.release(rt, c, m.drawAsker(rt, c.buyer))
	}
}

func (m *model) release(rt *rapid.T, c *mClaim, who string) {
	status, err := m.Release(background, who, c.id)
	switch {
	case who != c.buyer:
		m.answered(rt, "release", err, refuse(shop.NotFound))
		return
	case c.status == shop.Ordered:
		m.answered(rt, "release", err, conflicts("ordered"))
		return
	}
	m.answered(rt, "release", err, nil)
	switch c.status {
	case shop.Held:
		m.is("transaction held -> released")
		c.status = shop.Released
		m.back(c, shop.InHold, c.units...)
	case shop.Queued:
		m.is("transaction queued -> released")
		c.status = shop.Released
	}
	if status != c.status {
		rt.Fatalf("the release gives %s, want %s", status, c.status)
	}
}

func (m *model) extend(rt *rapid.T) {
	if c := m.drawClaim(rt); c != nil {
		m.extendBy(rt, c, m.drawAsker(rt, c.buyer), drawOf(rt, "seconds", 0, 1, 30, 30, 200), drawKey(rt))
	}
}

func (m *model) extendBy(rt *rapid.T, c *mClaim, who string, seconds int, key string) {
	by := time.Duration(seconds) * time.Second
	got, replayed, err := m.Extend(background, who, c.id, by, m.operator(key))
	request := fmt.Sprint(c.id, who, seconds)
	_, is, no := m.bound("extend", "", key, request)
	switch {
	case seconds < 1:
		no = refuse(shop.Validation)
	case no != nil || is:
	case who != c.buyer:
		no = refuse(shop.NotFound)
	case c.status == shop.Expired:
		no = &shop.Refusal{Code: shop.HoldExpired, TransactionIDs: []shop.ID{c.id}}
	case c.status != shop.Held:
		no = conflicts(string(c.status))
	case c.expires.Add(by).After(c.created.Add(modelHoldMax)):
		no = refuse(shop.Validation)
	}
	if m.answered(rt, "extend", err, no) {
		return
	}
	if !is {
		c.expires = c.expires.Add(by)
		m.bind("extend", "", key, request, nil)
	}
	if replayed != is {
		rt.Fatalf("replayed: %v, want %v", replayed, is)
	}
	m.sameClaim(rt, c, got)
}

// cart reads what a buyer has.
func (m *model) cart(rt *rapid.T) {
	who := m.buyer(rapid.IntRange(1, 3).Draw(rt, "buyer"))
	got, err := m.Cart(background, who)
	m.answered(rt, "cart", err, nil)
	var held, queued []*mClaim
	sums := map[string]int64{}
	var next *time.Time
	for _, c := range m.claims {
		if c.buyer != who {
			continue
		}
		switch c.status {
		case shop.Held:
			held = append(held, c)
			if c.price != nil {
				sums[c.price.Currency] += c.price.Amount * int64(c.quantity)
			}
			if next == nil || c.expires.Before(*next) {
				next = &c.expires
			}
		case shop.Queued:
			queued = append(queued, c)
		}
	}
	if len(got.Held) != len(held) || len(got.Queued) != len(queued) || len(got.Totals) != len(sums) || !sameTime(got.NextExpiry, next) {
		rt.Fatalf("the cart of %s is %+v, want %d held, %d queued, %v, until %v", who, got, len(held), len(queued), sums, next)
	}
	for i, c := range held {
		m.sameClaim(rt, c, got.Held[i])
	}
	for i, c := range queued {
		m.sameClaim(rt, c, got.Queued[i])
	}
	for _, total := range got.Totals {
		if sums[total.Currency] != total.Amount {
			rt.Fatalf("the cart of %s adds up to %v, want %v", who, got.Totals, sums)
		}
	}
}
