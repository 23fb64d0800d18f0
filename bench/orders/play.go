package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// play lives through a story, up to where its order is made and paid, or not.
func (s *story) play(c *shopper, second *shopper) {
	if !s.fill(c) {
		return
	}
	if s.rng.IntN(20) == 0 {
		// The same call once more is the same order.
		if o, err := c.checkout(s.buyer, s.key, s.named); s.expect(err, "checkout once more") {
			s.see(o)
		}
	}
	switch s.ends {
	case leaves:
		return
	case cancels:
		s.cancel(c)
		return
	case races:
		s.paid = s.cards[:1]
		s.atOnce(func() error { return s.tryCancel(second) }, func() error { return s.tryPay(c, "pay-%d", s.cards[0]) })
		s.look(c)
	case clicksTwice:
		s.paid = []string{"succeed", s.cards[0]}
		s.atOnce(func() error { return s.tryPay(second, "pay-%d-again", "succeed") }, func() error { return s.tryPay(c, "pay-%d", s.cards[0]) })
		s.look(c)
	default:
		s.pay(c)
	}
	if s.rng.IntN(3) == 0 {
		s.look(c)
	}
	if s.last().status == "paid" {
		s.giveBack(c)
	}
}

// fill claims what the story wants and checks it out, again and again while holds lapse on the way. False: something is wrong, or time is over.
func (s *story) fill(c *shopper) bool {
	for attempt := 0; c.ctx.Err() == nil && s.failure == ""; attempt++ {
		s.claims, s.total = map[string]want{}, 0
		for i, w := range s.wants {
			s.claim(c, fmt.Sprintf("claim-%d-%d-%d", s.n, i, attempt), w)
		}
		s.key, s.named = fmt.Sprintf("checkout-%d-%d", s.n, attempt), nil
		if s.n%2 == 0 {
			s.named = slices.Sorted(maps.Keys(s.claims))
		}
		o, err := c.checkout(s.buyer, s.key, s.named)
		if err == nil {
			s.ordered(o)
			s.see(o)
			return true
		}
		if code := codeOf(err); code != "hold-expired" && code != "cart-empty" {
			return s.expect(err, "checkout")
		}
		// The rest of the cart is given back, so that the next attempt is a cart of its own.
		for id := range s.claims {
			s.expect(c.release(s.buyer, id), "release")
		}
	}
	return false
}

// ordered compares an order with the cart. Of a whole cart what had lapsed by then is left out.
func (s *story) ordered(o order) {
	for _, l := range o.Lines {
		w, found := s.claims[l.TransactionID]
		if !found || w.sku != l.SKU || len(l.UnitIDs) != w.quantity {
			s.fail("ordered %v, and got %+v", s.claims, l)
		}
		s.total += priceOf(w.sku) * int64(w.quantity)
	}
	if len(o.Lines) == 0 || len(s.named) > 0 && len(o.Lines) < len(s.named) {
		s.fail("ordered %v, and got %d lines", s.named, len(o.Lines))
	}
}

func codeOf(err error) string {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// claim claims a line of the cart. What is not there is replaced by a product of which there is enough.
func (s *story) claim(c *shopper, key string, w want) {
	t, err := c.claim(s.buyer, key, w)
	if code := codeOf(err); isFew(w.sku) && (code == "sold-out" || code == "all-held" || code == "not-enough-units") {
		w.sku = sku(0)
		t, err = c.claim(s.buyer, key+"-other", w)
	}
	if !s.expect(err, "claim") || t.Status != "held" {
		return // it has lapsed on the way
	}
	if s.claims[t.ID] = w; len(t.UnitIDs) != w.quantity || t.SKU != w.sku {
		s.fail("asked for %d of %s and got %d of %s", w.quantity, w.sku, len(t.UnitIDs), t.SKU)
	}
}

// expect takes note of an error that no buyer should see. It tells whether there was none.
func (s *story) expect(err error, what string) bool {
	if err != nil {
		s.fail("%s: %v", what, err)
	}
	return err == nil
}

// pay pays with one card after the other until one is taken.
func (s *story) pay(c *shopper) {
	for i, card := range s.cards {
		s.paid = append(s.paid, card)
		o, err := c.pay(s.buyer, fmt.Sprintf("pay-%d-%d", s.n, i), s.id, card)
		switch code := codeOf(err); {
		case err == nil:
			s.see(o)
			s.answered(c, card, o)
			return
		case code == "payment-failed":
			if card == "succeed" || card == "twice" {
				s.unlucky++
			}
		case code == "conflict": // overdue by now
			s.look(c)
			return
		default:
			s.expect(err, "pay with "+card)
			return
		}
	}
	if s.n%2 == 0 {
		s.cancel(c)
	}
}

// answered goes on when a payment was not declined.
func (s *story) answered(c *shopper, card string, o order) {
	switch {
	case o.Status == "paid" && card == "decline":
		s.fail("a card that is declined has paid for it")
	case o.Status == "awaiting_payment" && o.Payment.Status != "pending":
		s.fail("paying with %s left it with a payment that is %s", card, o.Payment.Status)
	case o.Status == "awaiting_payment" && s.ends == callsItOff:
		s.cancel(c)
	}
}

func (s *story) look(c *shopper) {
	if o, err := c.order(s.buyer, s.id); s.expect(err, "look at the order") {
		s.see(o)
	}
}

// cancel cancels the order, unless it is paid by then.
func (s *story) cancel(c *shopper) {
	o, err := c.cancel(s.buyer, fmt.Sprintf("cancel-%d", s.n), s.id)
	if codeOf(err) == "conflict" {
		s.look(c)
		if s.last().status != "paid" {
			s.fail("can't be cancelled, and is %s", s.last().status)
		}
		return
	}
	if s.expect(err, "cancel") {
		if s.see(o); o.Status != "cancelled" {
			s.fail("was cancelled, and is %s", o.Status)
		}
	}
}

// atOnce does two things at once. What they are answered is not a sighting, since nobody can say which was first.
func (s *story) atOnce(one, other func() error) {
	var all sync.WaitGroup
	var err error
	all.Go(func() { err = one() })
	s.expect(other(), "one of two calls at once")
	all.Wait()
	s.expect(err, "one of two calls at once")
}

func (s *story) tryCancel(c *shopper) error {
	_, err := c.cancel(s.buyer, fmt.Sprintf("cancel-%d", s.n), s.id)
	return unless(err, "conflict")
}

func (s *story) tryPay(c *shopper, key, card string) error {
	_, err := c.pay(s.buyer, fmt.Sprintf(key, s.n), s.id, card)
	return unless(err, "conflict", "payment-failed")
}

// unless is an error that is not one of these refusals.
func unless(err error, codes ...string) error {
	if slices.Contains(codes, codeOf(err)) {
		return nil
	}
	return err
}

// giveBack gives units of a paid order back: first one, then the others.
func (s *story) giveBack(c *shopper) {
	for i, restock := range s.gives {
		o, err := c.order(s.buyer, s.id)
		if !s.expect(err, "look at the order") || o.Status != "paid" {
			return
		}
		s.see(o)
		var units []string
		for _, l := range o.Lines {
			for _, unit := range l.UnitIDs {
				if !slices.Contains(l.ReturnedUnitIDs, unit) {
					units = append(units, unit)
				}
			}
		}
		asked := units[:1]
		if i > 0 {
			asked = nil // all that it still has
		} else {
			units = asked
		}
		if o, err = c.refund(fmt.Sprintf("refund-%d-%d", s.n, i), s.id, asked, restock); !s.expect(err, "refund") {
			return
		}
		s.refunds = append(s.refunds, refunded{units, restocks[restock]})
		s.see(o)
	}
}
