package drive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// driver is one of those who do things, one thing after the other, sometimes the same thing twice at once.
type driver struct {
	*Round
	ctx          context.Context
	rng          *rand.Rand
	client, twin *client
	both         sync.Mutex // over the twin, who does one thing at a time as well
}

// something does one thing, by chance.
func (d *driver) something() {
	switch n := d.rng.IntN(100); {
	case n < 40:
		d.journey()
	case n < 62:
		d.rush()
	case n < 76:
		d.again()
	case n < 85:
		d.look()
	case n < 88:
		d.settle(history.Op{Kind: history.Cart, Buyer: d.buyer()})
	case n < 90:
		d.settle(d.keyed(history.Op{Kind: history.Checkout, Buyer: d.buyer()}))
	default:
		d.operate()
	}
}

// buyer draws one of those who are active; new ones come as things are done.
func (d *driver) buyer() string {
	return fmt.Sprintf("%sb%d", d.Prefix, d.done.Add(1)/perBuyer+d.rng.Int64N(atOnce))
}

func (d *driver) product() product { return d.products[d.rng.IntN(len(d.products))] }

// keyed gives a thing a key of its own.
func (d *driver) keyed(op history.Op) history.Op {
	op.Key = fmt.Sprintf("%sk%d", d.Prefix, d.serial.Add(1))
	return op
}

// journey claims, and goes on with what it has got.
func (d *driver) journey() {
	op := history.Op{Kind: history.Claim, Buyer: d.buyer(), SKU: d.product().sku, Quantity: 1}
	if d.rng.IntN(4) == 0 {
		op.Quantity = 1 + d.rng.IntN(3)
	}
	if d.rng.IntN(3) == 0 {
		op.Kind = history.ClaimQueued
		if d.rng.IntN(2) == 0 {
			op.Wait = 3
		}
	}
	if d.rng.IntN(12) > 0 {
		op = d.keyed(op)
	}
	got := d.settle(op)
	if got.Outcome == history.OK && got.Transaction.Status == "queued" {
		got = d.settle(history.Op{Kind: history.Look, Buyer: op.Buyer, Target: got.Transaction.ID, Wait: 3})
	}
	if got.Outcome != history.OK || got.Transaction.Status != "held" {
		return
	}
	id := got.Transaction.ID
	switch n := d.rng.IntN(100); {
	case n < 15: // it lapses
	case n < 30:
		d.settle(history.Op{Kind: history.Release, Buyer: op.Buyer, Target: id})
	case n < 36:
		d.settle(d.keyed(history.Op{Kind: history.Extend, Buyer: op.Buyer, Target: id}))
	case n < 42: // just before it lapses, or just after
		driven.Pause(d.ctx, time.Until(*got.Transaction.ExpiresAt)-20*time.Millisecond+time.Duration(d.rng.IntN(40))*time.Millisecond)
		d.order(op.Buyer, id)
	case n < 46: // both at once
		d.atOnce(func() { d.order(op.Buyer, id) }, history.Op{Kind: history.Release, Buyer: op.Buyer, Target: id})
	case n < 54:
		if d.rng.IntN(3) == 0 {
			driven.Pause(d.ctx, time.Until(*got.Transaction.ExpiresAt)+time.Duration(d.rng.IntN(300))*time.Millisecond)
		}
		op := d.keyed(history.Op{Kind: history.Confirm, IDs: []string{id}})
		op.Reference = op.Key
		d.back(d.settle(op))
	default:
		d.order(op.Buyer, id)
	}
}

// rush claims unit after unit of one product, each for somebody else, as when a sale opens, and gives about half of them back.
func (d *driver) rush() {
	p := d.product()
	for range 8 {
		op := history.Op{Kind: history.Claim, Buyer: fmt.Sprintf("%sr%d", d.Prefix, d.serial.Add(1)), SKU: p.sku, Quantity: 1}
		if d.rng.IntN(4) > 0 {
			op = d.keyed(op)
		}
		got := d.settle(op)
		if got.Outcome == history.OK && d.rng.IntN(2) == 0 {
			d.settle(history.Op{Kind: history.Release, Buyer: op.Buyer, Target: got.Transaction.ID})
		}
		if d.ctx.Err() != nil {
			return
		}
	}
}

// order checks out a hold, and pays for it, or not.
func (d *driver) order(buyer, id string) {
	got := d.settle(d.keyed(history.Op{Kind: history.Checkout, Buyer: buyer, IDs: []string{id}}))
	if got.Outcome != history.OK || got.Order.Status != "awaiting_payment" {
		return
	}
	order := got.Order.ID
	cancel := d.keyed(history.Op{Kind: history.Cancel, Buyer: buyer, Target: order})
	pay := d.keyed(history.Op{Kind: history.Pay, Buyer: buyer, Target: order, Card: d.card()})
	switch n := d.rng.IntN(100); {
	case n < 12: // it is overdue in the end
	case n < 24:
		d.settle(cancel)
	case n < 32:
		d.atOnce(func() { d.back(d.settle(pay)) }, cancel)
	case n < 36:
		other := d.keyed(history.Op{Kind: history.Pay, Buyer: buyer, Target: order, Card: "succeed"})
		d.atOnce(func() { d.back(d.settle(pay)) }, other)
	default:
		paid := d.settle(pay)
		if paid.Code == "payment-failed" {
			paid = d.settle(d.keyed(history.Op{Kind: history.Pay, Buyer: buyer, Target: order, Card: "succeed"}))
		}
		d.back(paid)
	}
}

func (d *driver) card() string {
	switch n := d.rng.IntN(100); {
	case n < 12:
		return "decline"
	case n < 20:
		return fmt.Sprintf("late:%dms", 100+d.rng.IntN(9000)) // some of it too late
	case n < 26:
		return "twice"
	case n < 27:
		return "hang"
	}
	return "succeed"
}

// back gives units of a paid order back, some of the time: one, then all.
func (d *driver) back(paid history.Op) {
	if paid.Outcome != history.OK || paid.Order == nil || paid.Order.Status != "paid" || d.rng.IntN(3) > 0 {
		return
	}
	restock := func() string { return []string{"available", "available", "quarantine", "write_off"}[d.rng.IntN(4)] }
	var units []string
	for _, l := range paid.Order.Lines {
		units = append(units, l.UnitIDs...)
	}
	if len(units) > 1 && d.rng.IntN(2) == 0 {
		d.settle(d.keyed(history.Op{Kind: history.Refund, Target: paid.Order.ID, IDs: units[:1], Restock: restock()}))
		if d.rng.IntN(2) == 0 {
			return
		}
	}
	d.settle(d.keyed(history.Op{Kind: history.Refund, Target: paid.Order.ID, Restock: restock()}))
}

// again sends something that was sent before, a few times, perhaps at once, perhaps on the other way.
func (d *driver) again() {
	d.mu.Lock()
	op, ok := d.asked.draw(d.rng)
	d.mu.Unlock()
	if !ok {
		return
	}
	n := 1 + d.rng.IntN(3)
	if d.rng.IntN(20) == 0 {
		n = 19
	}
	for range n {
		if op.Wait = 0; d.rng.IntN(3) == 0 {
			switch op.Kind {
			case history.Claim:
				op.Kind = history.ClaimQueued
			case history.ClaimQueued:
				op.Kind = history.Claim
			}
		}
		if d.rng.IntN(3) == 0 {
			d.atOnce(func() { d.once(d.client, op) }, op)
		} else {
			d.once(d.client, op)
		}
	}
}

// look looks at something.
func (d *driver) look() {
	d.mu.Lock()
	t, isT := d.transactions.draw(d.rng)
	o, isO := d.orders.draw(d.rng)
	d.mu.Unlock()
	if isO && d.rng.IntN(2) == 0 {
		d.settle(history.Op{Kind: history.LookOrder, Buyer: o.buyer, Target: o.id})
	} else if isT {
		d.settle(history.Op{Kind: history.Look, Buyer: t.buyer, Target: t.id})
	}
}

// operate does what operators do.
func (d *driver) operate() {
	p := d.product()
	switch n := d.rng.IntN(100); {
	case n < 20:
		op := d.keyed(history.Op{Kind: history.Receive, SKU: p.sku, Quantity: 1 + d.rng.IntN(5)})
		op.Reference = op.Key
		d.settle(op)
	case n < 30:
		d.settle(d.keyed(history.Op{Kind: history.Withdraw, SKU: p.sku, Quantity: 1 + d.rng.IntN(2)}))
	case n < 40:
		d.settle(d.keyed(history.Op{Kind: history.Unquarantine, SKU: p.sku, Quantity: 1}))
	case n < 70:
		d.settle(history.Op{Kind: history.CountStock, SKU: p.sku})
	case n < 97:
		d.settle(history.Op{Kind: history.LookProduct, SKU: p.sku})
	default:
		d.settle(d.keyed(history.Op{Kind: history.PauseSale, Target: d.saleID}))
		driven.Pause(d.ctx, time.Duration(d.rng.IntN(300))*time.Millisecond)
		d.settle(d.keyed(history.Op{Kind: history.ResumeSale, Target: d.saleID}))
	}
}

// atOnce does two things at once, the second by the twin.
func (d *driver) atOnce(one func(), other history.Op) {
	var both sync.WaitGroup
	server := d.rng.IntN(len(d.Addresses))
	both.Go(func() {
		d.both.Lock()
		defer d.both.Unlock()
		d.note(d.twin.ask(context.WithoutCancel(d.ctx), server, other))
	})
	one()
	both.Wait()
}

// once makes one attempt.
func (d *driver) once(c *client, op history.Op) history.Op {
	d.pace.wait(d.ctx)
	done := c.ask(context.WithoutCancel(d.ctx), d.rng.IntN(len(d.Addresses)), op)
	d.note(done)
	return done
}

// settle asks until the outcome is known and is not that the service is busy, or gives up.
func (d *driver) settle(op history.Op) history.Op {
	if op.Key != "" && d.rng.IntN(12) == 0 { // sent twice at once
		d.atOnce(func() {}, op)
	}
	for tries := 0; ; tries++ {
		done := d.once(d.client, op)
		known := done.Outcome != history.Unknown && done.Code != "busy"
		switch {
		case known, op.Key == "" && done.Outcome == history.Unknown && op.Kind != history.Look && op.Kind != history.LookOrder:
			return done
		case tries > 8, d.ctx.Err() != nil:
			if op.Key != "" && done.Outcome == history.Unknown {
				d.mu.Lock()
				d.open = append(d.open, op)
				d.mu.Unlock()
			}
			return done
		}
		driven.Pause(d.ctx, time.Duration(20+d.rng.IntN(200))*time.Millisecond)
	}
}

// note remembers what may be asked again, and what was made.
func (r *Round) note(op history.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if op.Key != "" && op.Kind != history.PauseSale && op.Kind != history.ResumeSale {
		r.asked.put(history.Op{
			Kind: op.Kind, Buyer: op.Buyer, Key: op.Key, SKU: op.SKU, Quantity: op.Quantity, Target: op.Target, IDs: op.IDs, Card: op.Card, Restock: op.Restock, Reference: op.Reference,
		})
	}
	if t := op.Transaction; t != nil && t.ID != "" {
		r.seen(t.ID, op.Buyer, false)
	}
	if o := op.Order; o != nil && o.ID != "" {
		r.seen(o.ID, op.Buyer, true)
	}
}

func (r *Round) seen(id, buyer string, order bool) {
	if _, known := r.everything[id]; known || buyer == "" && !order {
		return
	}
	one := owned{id: id, buyer: buyer, order: order}
	r.everything[id] = one
	if order {
		r.orders.put(one)
	} else {
		r.transactions.put(one)
	}
}
