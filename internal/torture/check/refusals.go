package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// span is a time in which something may have been so, and where a unit was then: in a transaction, by its id, or in another place.
type span struct {
	from, to time.Duration
	in       string
}

func (s span) touches(from, to time.Duration) bool { return s.from <= to && s.to >= from }

// shelf is what is known of a product's units.
type shelf struct {
	units []shelved
	pools []int64 // in which they lie: the common one, and that of the sale's allotment
}

// shelved is a unit, from when it was certainly there, and when it may have been gone for good, or not to be had.
type shelved struct {
	id         string
	since      time.Duration
	gone, away []span
	next       []taker // who took it, in that order
	last       int64   // the pool in which it lies now, nowhere: in none
}

// lines say of units, a line each, since when they were there, and when they were away.
func lines(units []*shelved) string {
	var text strings.Builder
	for _, u := range units {
		fmt.Fprintf(&text, "\n    %s there from %.1f ms on", u.id, ms(u.since))
		for _, s := range u.away {
			fmt.Fprintf(&text, ", away %.1f ..", ms(s.from))
			if s.to < forever {
				fmt.Fprintf(&text, " %.1f", ms(s.to))
			}
			text.WriteString(" in " + s.in)
		}
	}
	return text.String()
}

// taker took a unit out of a pool, at the earliest at an instant.
type taker struct {
	from time.Duration
	pool int64
}

const nowhere = -1

// pool is where the unit lay for a time in which it certainly was to be had: where the next one took it from.
func (u *shelved) pool(to time.Duration) int64 {
	for _, t := range u.next {
		if t.from > to {
			return t.pool
		}
	}
	return u.last
}

// refusal is what somebody was told for want of units, and between which times it was so.
type refusal struct {
	sku, code string
	quantity  int
	pools     []int64 // each of which had too little
	from, to  time.Duration
	ops       []*history.Op
}

// refusals: whoever was refused for want of units was refused rightly at some instant between question and answer; of a request that was refused in its turn, between its acceptance and the first answer
// that says so. A refusal is wrong only if some unit, or so many units as were asked for in one pool, certainly were there all the time.
func (c *checker) refusals() {
	shelves := c.shelves()
	for _, r := range slices.Concat(c.refusedAtOnce(shelves), c.refusedInTurn()) {
		shelf := shelves[r.sku]
		if shelf == nil || r.code != "sold-out" && r.code != "all-held" && r.code != "not-enough-units" {
			continue
		}
		c.figures.Refusals++
		var there []*shelved
		free := map[int64][]*shelved{}
		for i := range shelf.units {
			u := &shelf.units[i]
			if u.since >= r.from {
				continue
			}
			if !slices.ContainsFunc(u.gone, func(s span) bool { return s.touches(r.from, r.to) }) {
				there = append(there, u)
			}
			if !slices.ContainsFunc(u.away, func(s span) bool { return s.touches(r.from, r.to) }) {
				pool := u.pool(r.to)
				free[pool] = append(free[pool], u)
			}
		}
		if r.code == "sold-out" {
			c.figures.SoldOut++
			if len(there) > 0 {
				c.violated("true refusals", fmt.Sprintf("%s was sold-out while %d units certainly were not gone%s", r.sku, len(there), lines(there)), r.ops...)
			}
			continue
		}
		for _, pool := range r.pools {
			if units := free[pool]; len(units) >= r.quantity {
				c.violated("true refusals", fmt.Sprintf("%s was %s from %.1f ms on while %d units certainly were there, in the pool %d%s", r.sku, r.code, ms(r.from), len(units), pool, lines(units)), r.ops...)
			}
		}
	}
}

// refusedAtOnce are the refusals of which nothing was kept. A direct claim is served from the allotment, if there is one, and else by what sells beside it; so both had too little, each at some instant.
func (c *checker) refusedAtOnce(shelves map[string]*shelf) (all []refusal) {
	for i := range c.ops {
		op := &c.ops[i]
		if operation(op.Kind) == string(history.Claim) && op.Outcome == history.Failed && op.Transaction == nil && shelves[op.SKU] != nil {
			all = append(all, refusal{op.SKU, op.Code, op.Quantity, shelves[op.SKU].pools, op.Start, op.End, []*history.Op{op}})
		}
	}
	return all
}

// refusedInTurn are the transactions that somebody saw refused, each once.
func (c *checker) refusedInTurn() (all []refusal) {
	for _, row := range c.db.Claims {
		if row.Status != "refused" {
			continue
		}
		told := c.toldRefused[row.ID]
		if len(told) == 0 {
			continue
		}
		first := slices.MinFunc(told, func(a, b *history.Op) int { return cmp.Compare(a.End, b.End) })
		accepted := c.at(row.CreatedAt) - slack
		r := refusal{row.SKU, reason(first, row.ID), row.Quantity, []int64{row.Pool}, accepted, first.End, []*history.Op{first}}
		if start := c.firstAsked(row); start < forever {
			r.from = max(r.from, start)
		}
		all = append(all, r)
	}
	return all
}

// firstAsked is when the first of the attempts was sent that may have made a transaction with a key: also one that was answered by its refusal.
func (c *checker) firstAsked(row *Claim) time.Duration {
	start := forever
	if row.Key == nil {
		return start
	}
	for _, op := range c.byKey[keyed{row.Buyer, string(history.Claim), *row.Key}] {
		if op.Outcome != history.Failed || reason(op, row.ID) != "" {
			start = min(start, op.Start)
		}
	}
	return start
}

// reason is why a transaction was refused, by an answer that says so.
func reason(op *history.Op, id string) string {
	for _, t := range named(op) {
		if t.ID == id {
			return t.Reason
		}
	}
	return ""
}

func (c *checker) shelves() map[string]*shelf {
	shelves := map[string]*shelf{}
	for _, u := range c.db.Units {
		s := shelves[u.SKU]
		if s == nil {
			s = &shelf{pools: c.pools(u.SKU)}
			shelves[u.SKU] = s
		}
		_, since := within(c.byKey[keyed{"", string(history.Receive), u.Receipt}])
		s.units = append(s.units, c.shelve(u, since))
	}
	return shelves
}

// pools are the common one, and those that units of a product were claimed from or lie in.
func (c *checker) pools(sku string) []int64 {
	pools := []int64{0}
	see := func(pool int64) {
		if !slices.Contains(pools, pool) {
			pools = append(pools, pool)
		}
	}
	for _, claim := range c.db.Claims {
		if claim.SKU == sku {
			see(claim.Pool)
		}
	}
	for _, u := range c.db.Units {
		if u.SKU == sku && u.Pool != nil {
			see(*u.Pool)
		}
	}
	return pools
}

func (c *checker) shelve(u *Unit, since time.Duration) shelved {
	s := shelved{id: u.ID, since: since, last: nowhere}
	if u.Pool != nil {
		s.last = *u.Pool
	}
	for _, h := range inTurn(u.Held) {
		claim := c.db.Claims[h.ClaimID]
		from, _, _ := c.taken(claim)
		to := forever
		if h.ReleasedAt != nil {
			to = c.givenBack(claim, h).end
		}
		s.away = append(s.away, span{from, to, claim.ID})
		s.next = append(s.next, taker{from, claim.Pool})
		if claim.OrderID == nil {
			continue
		}
		if o := c.db.Orders[*claim.OrderID]; o != nil && o.PaidAt != nil {
			// It may have been paid as soon as it was ordered.
			s.gone = append(s.gone, span{from, to, claim.ID})
		}
	}
	for _, q := range u.Quarantine {
		to := forever
		in := span{c.at(q.EnteredAt) - slack, to, "quarantine"}
		s.away, s.gone = append(s.away, in), append(s.gone, in)
	}
	if u.Withdrawn != nil {
		from := time.Duration(0)
		if ops := c.byKey[keyed{"", string(history.Withdraw), *u.Withdrawn}]; len(ops) > 0 {
			from, _ = within(ops)
		}
		s.away, s.gone = append(s.away, span{from, forever, withdrawn}), append(s.gone, span{from, forever, withdrawn})
		s.next = append(s.next, taker{from, 0}) // nothing is withdrawn from an allotment
	}
	return s
}

// inTurn are the visits of a unit in the order in which they were: one had ended before the next began.
func inTurn(visits []*Held) []*Held {
	return slices.SortedFunc(slices.Values(visits), func(a, b *Held) int {
		switch {
		case a.ReleasedAt == nil:
			return 1
		case b.ReleasedAt == nil:
			return -1
		}
		return a.ReleasedAt.Compare(*b.ReleasedAt)
	})
}
