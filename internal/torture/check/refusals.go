package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// span is a time in which something may have been so.
type span struct{ from, to time.Duration }

func (s span) touches(from, to time.Duration) bool { return s.from <= to && s.to >= from }

// shelf is what is known of a product's units.
type shelf struct {
	units []shelved
	// allotted: units lie in two pools, and what is there need not be for everybody.
	allotted bool
}

// shelved is a unit, from when it was certainly there, and when it may have been gone for good, or not to be had.
type shelved struct {
	since      time.Duration
	gone, away []span
}

// refusals: whoever was refused for want of units was refused rightly at some instant between question and answer. A refusal is wrong only if some unit, or so many units as were
// asked for, certainly were there all the time.
func (c *checker) refusals() {
	shelves := c.shelves()
	for i := range c.ops {
		op := &c.ops[i]
		if operation(op.Kind) != string(history.Claim) {
			continue
		}
		code := op.Code
		if op.Outcome == history.OK && op.Transaction.Status == "refused" {
			code = op.Transaction.Reason
		}
		shelf := shelves[op.SKU]
		if shelf == nil || code != "sold-out" && code != "all-held" && code != "not-enough-units" {
			continue
		}
		from, to := op.Start, op.End
		if op.Replayed { // it was refused at some time since the key was first used
			from = 0
		}
		c.figures.Refusals++
		there, free := 0, 0
		for _, u := range shelf.units {
			if u.since >= from {
				continue
			}
			if !slices.ContainsFunc(u.gone, func(s span) bool { return s.touches(from, to) }) {
				there++
			}
			if !slices.ContainsFunc(u.away, func(s span) bool { return s.touches(from, to) }) {
				free++
			}
		}
		if code == "sold-out" {
			c.figures.SoldOut++
			if there > 0 {
				c.violated("true refusals", fmt.Sprintf("%s was sold-out while %d units certainly were not gone", op.SKU, there), op)
			}
			continue
		}
		if free >= op.Quantity && !shelf.allotted {
			c.violated("true refusals", fmt.Sprintf("%s was %s while %d units certainly were there", op.SKU, code, free), op)
		}
	}
}

func (c *checker) shelves() map[string]*shelf {
	shelves := map[string]*shelf{}
	pools := map[string]map[int64]bool{}
	for _, claim := range c.db.Claims {
		if pools[claim.SKU] == nil {
			pools[claim.SKU] = map[int64]bool{}
		}
		pools[claim.SKU][claim.Pool] = true
	}
	for _, u := range c.db.Units {
		s := shelves[u.SKU]
		if s == nil {
			s = &shelf{}
			for pool := range pools[u.SKU] {
				s.allotted = s.allotted || pool != 0
			}
			shelves[u.SKU] = s
		}
		_, since := within(c.byKey[keyed{"", string(history.Receive), u.Receipt}])
		s.units = append(s.units, c.shelve(u, since))
	}
	return shelves
}

func (c *checker) shelve(u *Unit, since time.Duration) shelved {
	s := shelved{since: since}
	for _, h := range u.Held {
		claim := c.db.Claims[h.ClaimID]
		from, _, _ := c.taken(claim)
		to := forever
		if h.ReleasedAt != nil {
			to = c.givenBack(claim, h).end
		}
		s.away = append(s.away, span{from, to})
		if claim.OrderID == nil {
			continue
		}
		if o := c.db.Orders[*claim.OrderID]; o != nil && o.PaidAt != nil {
			// It may have been paid as soon as it was ordered.
			s.gone = append(s.gone, span{from, to})
		}
	}
	for _, q := range u.Quarantine {
		to := forever
		in := span{c.at(q.EnteredAt) - slack, to}
		s.away, s.gone = append(s.away, in), append(s.gone, in)
	}
	if u.Withdrawn != nil {
		from := time.Duration(0)
		if ops := c.byKey[keyed{"", string(history.Withdraw), *u.Withdrawn}]; len(ops) > 0 {
			from, _ = within(ops)
		}
		s.away, s.gone = append(s.away, span{from, forever}), append(s.gone, span{from, forever})
	}
	return s
}
