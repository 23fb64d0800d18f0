package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// inOrder: if the 202 for A was received before B was sent, for the same product and pool, A stands before B.
func (c *checker) inOrder() {
	type request struct {
		claim          *Claim
		sent, accepted time.Duration
		op             *history.Op
	}
	type pool struct {
		sku string
		id  int64
	}
	pools := map[pool][]request{}
	for _, claim := range c.db.Claims {
		if claim.Place == nil || claim.Key == nil {
			continue
		}
		r := request{claim: claim, sent: forever, accepted: forever}
		for _, op := range c.byKey[keyed{claim.Buyer, string(history.Claim), *claim.Key}] {
			r.sent = min(r.sent, op.Start)
			if op.Outcome == history.OK && op.End < r.accepted {
				r.accepted, r.op = op.End, op
			}
		}
		if r.sent < forever {
			pools[pool{claim.SKU, claim.Pool}] = append(pools[pool{claim.SKU, claim.Pool}], r)
		}
	}
	for _, all := range pools {
		c.figures.Accepted += len(all)
		accepted := slices.SortedFunc(slices.Values(all), func(a, b request) int { return int(a.accepted - b.accepted) })
		sent := slices.SortedFunc(slices.Values(all), func(a, b request) int { return int(a.sent - b.sent) })
		var last *request // of those that had been accepted, the one that stands last
		n := 0
		for _, r := range sent {
			for ; n < len(accepted) && accepted[n].accepted < r.sent; n++ {
				if last == nil || *accepted[n].claim.Place > *last.claim.Place {
					last = &accepted[n]
				}
			}
			if last != nil && *last.claim.Place >= *r.claim.Place {
				var ops []*history.Op
				for _, op := range []*history.Op{last.op, r.op} {
					if op != nil {
						ops = append(ops, op)
					}
				}
				c.violated("order", fmt.Sprintf("the request %s was accepted before %s was sent, and stands behind it: %d, %d", last.claim.ID, r.claim.ID, *last.claim.Place, *r.claim.Place), ops...)
			}
		}
	}
}
