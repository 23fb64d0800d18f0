package drive

import (
	"fmt"
	"slices"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// step is one thing that somebody does, to its end.
func (c *client) step() {
	select {
	case a := <-c.r.others:
		if a.sent.Load() < sentMost {
			c.attempt(a)
		}
		return
	default:
	}
	switch p := c.rng.IntN(1000); {
	case p < 740:
		c.shop()
	case p < 790:
		if a, found := c.r.old.pick(c.rng, c.chance(20)); found && a.sent.Load() < sentMost {
			c.attempt(a)
		}
	case p < 860:
		c.comeBack()
	case p < 910:
		if b, found := c.r.bought.pick(c.rng, true); found {
			c.giveBack(b)
		}
	case p < 950:
		c.keepStock()
	case p < 965:
		c.settle(withdraw(c.r.newKey(), c.anyProduct().sku, 1))
	case p < 980:
		c.attempt(lookProduct(c.anyProduct().sku))
	case p < 995:
		c.attempt(cart(c.anyBuyer()))
	default:
		c.pause()
	}
}

func (c *client) anyBuyer() string {
	return fmt.Sprintf("%sbuyer-%d", c.r.o.Prefix, c.rng.IntN(c.r.o.Buyers))
}

// anyProduct is a short one in half of the cases.
func (c *client) anyProduct() product {
	for short := c.chance(50); ; {
		if p := c.r.products[c.rng.IntN(len(c.r.products))]; p.short == short {
			return p
		}
	}
}

// key is left out now and then.
func (c *client) key() string {
	if c.chance(10) {
		return ""
	}
	return c.r.newKey()
}

// shop fills a cart, and does something with it.
func (c *client) shop() {
	buyer := c.anyBuyer()
	var held []string
	for range 1 + c.rng.IntN(3) {
		quantity := 1
		if c.chance(30) {
			quantity += c.rng.IntN(3)
		}
		op := c.follow(c.settle(claim(buyer, c.key(), c.anyProduct().sku, quantity)))
		if t := op.Transaction; t != nil && t.Status == "held" {
			held = append(held, t.ID)
		}
	}
	if len(held) == 0 {
		return
	}
	switch p := c.rng.IntN(100); {
	case p < 15:
		for _, id := range held {
			c.r.left.put(c.rng, hold{buyer, id})
		}
	case p < 25:
		for _, id := range held {
			c.giveUp(hold{buyer, id})
		}
	case p < 32:
		c.settle(extend(buyer, c.r.newKey(), held[0], 1+c.rng.IntN(2)))
		c.order(buyer, held)
	case p < 45:
		c.confirm(held)
	default:
		c.order(buyer, held)
	}
}

// fill fills a cart with several things of which there is plenty, for somebody whom no limit keeps from it, and orders them.
func (c *client) fill() {
	buyer := c.newBuyer()
	var held []string
	for range 3 {
		if t := c.wantPlenty(buyer); t != nil {
			held = append(held, t.ID)
		}
	}
	if len(held) > 0 {
		c.order(buyer, held)
	}
}

func (c *client) newBuyer() string {
	return fmt.Sprintf("%srush-%d", c.r.o.Prefix, c.rng.IntN(1000*c.r.o.Buyers))
}

// wantPlenty claims one unit of what there is plenty of, or was. It returns the hold, if it got one.
func (c *client) wantPlenty(buyer string) *history.Transaction {
	p := c.r.products[c.rng.IntN(len(c.r.products))]
	for tries := 0; p.short && tries < 3; tries++ {
		p = c.r.products[c.rng.IntN(len(c.r.products))]
	}
	if t := c.follow(c.settle(claim(buyer, c.key(), p.sku, 1))).Transaction; t != nil && t.Status == "held" {
		return t
	}
	return nil
}

// rush is what most do in a flash sale: somebody who has not been here wants one thing, or fills a cart, and orders it, gives it up, or forgets it.
func (c *client) rush() {
	if c.chance(4) {
		c.fill()
		return
	}
	buyer := c.newBuyer()
	t := c.wantPlenty(buyer)
	if t == nil {
		return
	}
	switch p := c.rng.IntN(100); {
	case p < 12:
		c.confirm([]string{t.ID})
	case p < 13:
		c.order(buyer, []string{t.ID})
	case p < 16:
		c.giveUp(hold{buyer, t.ID})
	}
}

// follow looks at what is queued until that is settled, or for some turns only.
func (c *client) follow(op *history.Op) *history.Op {
	for turn := 0; op.Transaction != nil && op.Transaction.Status == "queued" && turn < 8 && c.ctx.Err() == nil; turn++ {
		wait := time.Duration(c.rng.IntN(3)) * time.Second
		id := op.Transaction.ID
		if c.chance(3) {
			c.settle(release(op.Buyer, id))
		}
		seen := c.attempt(look(op.Buyer, id, wait))
		if seen.Transaction == nil {
			c.rest()
			continue
		}
		op = seen
	}
	return op
}

// giveUp releases a hold, perhaps while somebody else orders it.
func (c *client) giveUp(h hold) {
	if c.chance(40) {
		c.withOther(checkout(h.buyer, c.r.newKey(), []string{h.id}))
	}
	c.settle(release(h.buyer, h.id))
}

// comeBack does something with what was left in a cart, by whomever, which may have lapsed by now.
func (c *client) comeBack() {
	h, found := c.r.left.pick(c.rng, c.chance(80))
	if !found {
		return
	}
	switch p := c.rng.IntN(100); {
	case p < 35:
		c.confirm([]string{h.id})
	case p < 55:
		c.order(h.buyer, []string{h.id})
	case p < 70:
		c.giveUp(h)
	case p < 80:
		c.settle(extend(h.buyer, c.r.newKey(), h.id, 1))
	default:
		c.attempt(look(h.buyer, h.id, 0))
	}
}

// confirm is the shop beside, which was paid. Its reference confirms once, with one key, with another, or with none.
func (c *client) confirm(ids []string) {
	reference := c.r.newKey() + "-paid"
	if c.chance(20) {
		c.withOther(confirm(c.key(), reference, ids))
	}
	op := c.settle(confirm(c.key(), reference, ids))
	if op.Order != nil {
		c.has(bought{"", op.Order.ID})
	}
}

// order orders holds, or the whole cart, and goes on from there.
func (c *client) order(buyer string, ids []string) {
	if len(ids) > 1 && c.chance(80) {
		defer c.beside(checkout(buyer, c.r.newKey(), ids))()
	}
	if c.chance(30) {
		ids = nil
	}
	op := c.settle(checkout(buyer, c.key(), ids))
	if op.Order == nil {
		return
	}
	id := op.Order.ID
	switch p := c.rng.IntN(100); {
	case p < 6: // never to be heard of again
	case p < 14:
		c.settle(cancel(buyer, c.r.newKey(), id))
	case p < 22:
		c.withOther(cancel(buyer, c.r.newKey(), id))
		c.pay(buyer, id)
	case p < 27:
		c.withOther(pay(buyer, c.r.newKey(), id, "succeed"))
		c.pay(buyer, id)
	default:
		c.pay(buyer, id)
	}
}

func (c *client) card() string {
	switch p := c.rng.IntN(100); {
	case p < 12:
		return "decline"
	case p < 34:
		after := 100*time.Millisecond + time.Duration(c.rng.Float64()*1.4*float64(c.r.o.Hold))
		return "late:" + after.Round(time.Millisecond).String()
	case p < 42:
		return "twice"
	case p < 44:
		return "hang"
	}
	return "succeed"
}

// pay pays for an order, and once more when the card was declined. Who is told to wait for the money often goes away: it comes when the order is cancelled.
func (c *client) pay(buyer, id string) {
	var op *history.Op
	for {
		op = c.settle(pay(buyer, c.key(), id, c.card()))
		if op.Code != "payment-failed" || c.chance(30) || c.ctx.Err() != nil {
			break
		}
	}
	if c.chance(20) {
		c.attempt(lookOrder(buyer, id))
	}
	if c.chance(3) || pending(op.Order) && c.chance(30) {
		c.settle(cancel(buyer, c.r.newKey(), id))
	}
	if c.chance(40) {
		c.giveBack(bought{buyer, id})
		return
	}
	c.has(bought{buyer, id})
}

// pending tells whether money is on its way for an order.
func pending(o *history.Order) bool {
	return o != nil && o.Status == "awaiting_payment" && o.Payment.Status == "pending"
}

// has keeps an order that may be paid. Only so many are kept, so that there is always something to sell: another is given back for it.
func (c *client) has(b bought) {
	if gone, full := c.r.bought.put(c.rng, b); full {
		c.giveBack(gone)
	}
}

// giveBack takes an order back, or a part of it.
func (c *client) giveBack(b bought) {
	op := c.attempt(lookOrder(b.buyer, b.id))
	o := op.Order
	switch {
	case op.Outcome == history.Unknown || pending(o):
		c.r.bought.put(c.rng, b)
		return
	case o == nil:
		return
	case o.ReplacedByOrderID != "":
		c.r.bought.put(c.rng, bought{b.buyer, o.ReplacedByOrderID})
		return
	case o.Status != "paid":
		return
	}
	units := left(o)
	if len(units) > 1 && c.chance(70) || c.chance(20) {
		units = units[:min(len(units), 1)]
	} else {
		units = nil // all that it has
	}
	restock := "available"
	switch p := c.rng.IntN(100); {
	case p < 15:
		restock = "quarantine"
	case p < 25:
		restock = "write_off"
	}
	if c.chance(5) {
		c.withOther(refund(c.r.newKey(), b.id, units, "available"))
	}
	op = c.settle(refund(c.r.newKey(), b.id, units, restock))
	if op.Outcome == history.Unknown || op.Order != nil && op.Order.Status == "paid" {
		c.r.bought.put(c.rng, b)
	}
}

// left are the units that an order still has.
func left(o *history.Order) (ids []string) {
	for _, l := range o.Lines {
		for _, id := range l.UnitIDs {
			if !slices.Contains(l.ReturnedUnitIDs, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// keepStock counts a product's units and keeps them about as many as they were.
func (c *client) keepStock() {
	p := c.anyProduct()
	s := c.attempt(countStock(p.sku)).Stock
	if s == nil {
		return
	}
	has := int(s.Received - s.Withdrawn)
	switch {
	case s.Quarantine > 0 && c.chance(70):
		c.settle(unquarantine(c.r.newKey(), p.sku, 1+c.rng.IntN(int(s.Quarantine)+1))) // perhaps more than there are
	case has < p.units:
		c.settle(receive(c.r.newKey(), p.sku, min(p.units-has, 3), c.r.newKey()+"-note"))
	case has > p.units+2:
		c.settle(withdraw(c.r.newKey(), p.sku, min(has-p.units, 3)))
	}
}

// pause pauses the sale for a moment, unless that was just so.
func (c *client) pause() {
	if !c.r.pausing.TryLock() {
		return
	}
	defer c.r.pausing.Unlock()
	if time.Since(c.r.paused) < 4*time.Second {
		return
	}
	c.settle(moveSale(history.PauseSale, c.r.newKey(), c.r.saleID))
	driven.Pause(c.ctx, time.Duration(50+c.rng.IntN(150))*time.Millisecond)
	c.insist(moveSale(history.ResumeSale, c.r.newKey(), c.r.saleID))
	c.r.paused = time.Now()
}
