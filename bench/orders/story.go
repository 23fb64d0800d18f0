package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A story is what one buyer does about one order. What is drawn for it depends on the seed and its number alone; what happens depends on the
// service, too.
type story struct {
	n     int
	buyer string
	rng   *rand.Rand
	wants []want
	ends  ending
	cards []string // with which it pays, until one is taken
	gives []string // to where units are given back when it is paid; a refund for each

	claims  map[string]want // the transactions that became lines
	key     string          // of the checkout
	named   []string        // what it ordered; none: the whole cart
	id      string          // of the order
	total   int64           // by the prices that the shop asks
	paid    []string        // the cards that were sent
	unlucky int             // good cards that were declined: of payments that a kill has cut short
	seen    []sighting
	refunds []refunded
	failure string // what no buyer should ever see
}

// ending is how a story goes when its order is made.
type ending int

const (
	pays        ending = iota
	cancels            // without paying
	leaves             // without paying, and without a word
	callsItOff         // cancels while a payment is under way
	races              // pays and cancels at once
	clicksTwice        // pays twice at once
)

// sighting is what the buyer was told about the order. They are in the order of being told: a story is one client.
type sighting struct {
	status, reason, payment string
	refunded                int64
	replacedBy              string
}

// refunded is units that were given back, as it was answered.
type refunded struct {
	units   []string
	outcome string
}

var restocks = map[string]string{"available": "returned", "quarantine": "quarantined", "write_off": "written_off"}

func (s *story) fail(format string, args ...any) {
	if s.failure == "" {
		s.failure = fmt.Sprintf(format, args...)
	}
}

func (s *story) see(o order) {
	s.seen = append(s.seen, sighting{o.Status, o.Reason, o.Payment.Status, o.Refunded.Amount, o.ReplacedByOrderID})
	switch {
	case s.id == "":
		s.id = o.ID
	case s.id != o.ID:
		s.fail("its order %s became %s", s.id, o.ID)
	}
	if o.Total.Amount != s.total {
		s.fail("its order %s costs %d, its lines %d", o.ID, o.Total.Amount, s.total)
	}
	if o.Buyer != s.buyer {
		s.fail("it was shown the order %s of %s", o.ID, o.Buyer)
	}
}

func (s *story) last() sighting {
	if len(s.seen) == 0 {
		return sighting{}
	}
	return s.seen[len(s.seen)-1]
}

func sku(i int) string { return fmt.Sprintf("product-%d", i) }

// priceOf makes each product's price different from any sum of a few others.
func priceOf(sku string) int64 {
	price := int64(1999)
	for _, r := range sku {
		price = price*31%9973 + int64(r)
	}
	return price
}

// few is one of the products that have a few units each. Some buyers want one, and so do all whose money would come too late: then there may be nothing
// left that it could buy.
func few(n int, orders int) string { return fmt.Sprintf("few-%d", n%fewProducts(orders)) }

func fewProducts(orders int) int { return max(orders/50, 1) }

func isFew(sku string) bool { return strings.HasPrefix(sku, "few-") }

const fewUnits = 3

// tell draws a story.
func tell(n int, o faultsOptions) *story {
	s := &story{n: n, buyer: fmt.Sprintf("buyer-%d", n), rng: rand.New(rand.NewPCG(o.seed, uint64(n))), claims: map[string]want{}}
	for _, i := range s.rng.Perm(o.products)[:1+s.rng.IntN(min(3, o.products))] {
		s.wants = append(s.wants, want{sku: sku(i), quantity: 1 + s.rng.IntN(2), direct: s.rng.IntN(2) == 0})
	}
	tooLate := s.drawCards(o.hold)
	switch {
	case tooLate:
		s.wants = s.wants[:1]
		s.wants[0].sku = few(n, o.orders)
	case s.rng.IntN(10) == 0:
		s.wants[0].sku = few(n, o.orders)
	}
	switch p := s.rng.IntN(100); {
	case p < 4:
		s.ends = cancels
	case p < 7:
		s.ends = leaves
	case p < 20:
		s.ends = callsItOff
	case p < 25:
		s.ends = races
	case p < 30:
		s.ends = clicksTwice
	}
	if s.rng.IntN(4) == 0 {
		for range 1 + s.rng.IntN(2) {
			s.gives = append(s.gives, []string{"available", "quarantine", "write_off"}[s.rng.IntN(3)])
		}
	}
	return s
}

// drawCards: of the first cards 20 % are declined, 10 % late, 10 % answered twice, 5 % hang. Whoever is declined may try again.
// It tells whether the money is to come when it is too late.
func (s *story) drawCards(hold time.Duration) (tooLate bool) {
	for range 3 {
		switch p := s.rng.IntN(100); {
		case p < 20:
			s.cards = append(s.cards, "decline")
			if s.rng.IntN(3) == 0 {
				return false
			}
			continue
		case p < 30:
			after := (50*time.Millisecond + time.Duration(s.rng.Float64()*float64(hold)*1.4)).Round(time.Millisecond)
			s.cards = append(s.cards, "late:"+after.String())
			return after > hold
		case p < 40:
			s.cards = append(s.cards, "twice")
		case p < 45:
			s.cards = append(s.cards, "hang")
		default:
			s.cards = append(s.cards, "succeed")
		}
		return false
	}
	return false
}
