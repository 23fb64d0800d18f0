package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

type pool struct {
	sku string
	id  int64
}

// inOrder: if the 202 for A was received before B was sent, for the same product and pool, A stands before B.
func (c *checker) inOrder() {
	type request struct {
		claim          *Claim
		sent, accepted time.Duration
		op             *history.Op
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

// inFront: a request that went away empty, for want of units, had its turn before those that stand behind it, in the same pool, got as many units as it wanted or more. The instants of the rows are those at which
// a transaction began, which may have waited for its turn after that. So one that stands behind has come too early if both have the same instant, which is one transaction's, or if somebody was told what it
// got before the transaction that refused began.
func (c *checker) inFront() {
	type hold struct {
		*Claim
		told time.Duration // at the latest; forever: nobody was
	}
	holds := map[pool][]hold{}
	for _, claim := range c.db.Claims {
		if claim.Place == nil || claim.HeldAt == nil || len(claim.Units) == 0 {
			continue
		}
		h := hold{claim, forever}
		for _, op := range c.attempts(claim) {
			if tellsOutcome(op, claim.ID) {
				h.told = min(h.told, op.End)
			}
		}
		holds[pool{claim.SKU, claim.Pool}] = append(holds[pool{claim.SKU, claim.Pool}], h)
	}
	for id, told := range c.toldRefused {
		claim := c.db.Claims[id]
		if claim == nil || claim.Place == nil || claim.EndedAt == nil || !slices.Contains([]string{"sold-out", "all-held", "not-enough-units"}, reasonTold(told[0], id)) {
			continue
		}
		for _, behind := range holds[pool{claim.SKU, claim.Pool}] {
			if *behind.Place > *claim.Place && behind.Quantity >= claim.Quantity && (behind.HeldAt.Equal(*claim.EndedAt) || behind.told < c.at(*claim.EndedAt)) {
				c.violated("order", fmt.Sprintf("the request %s stands behind %s (%d, %d), and got %d units before that was refused for want of %d", behind.ID, id, *behind.Place, *claim.Place, behind.Quantity,
					claim.Quantity), told[0])
				break
			}
		}
	}
}

func reasonTold(op *history.Op, id string) string {
	for _, t := range named(op) {
		if t.ID == id {
			return t.Reason
		}
	}
	return ""
}

// overtaken: if the 202 for A was received before B was sent, for the same product and pool, A is settled before B; so nobody sees A queued in a look that began after B was told what it got. B may
// have been queued or not. What came in place of another (a lapsed hold that was paid for) stands in no queue.
func (c *checker) overtaken() {
	type later struct {
		sent, told time.Duration
		op         *history.Op
	}
	settled := map[pool][]later{}
	for _, claim := range c.db.Claims {
		if claim.Replaces != nil {
			continue
		}
		b := later{sent: forever, told: forever}
		for _, op := range c.attempts(claim) {
			if operation(op.Kind) == string(history.Claim) {
				b.sent = min(b.sent, op.Start)
			}
			if op.End < b.told && tellsOutcome(op, claim.ID) {
				b.told, b.op = op.End, op
			}
		}
		if b.sent < forever && b.op != nil {
			settled[pool{claim.SKU, claim.Pool}] = append(settled[pool{claim.SKU, claim.Pool}], b)
		}
	}
	for _, r := range c.refusedAtOnce(c.shelves()) {
		if len(r.pools) == 1 && (r.code == "all-held" || r.code == "not-enough-units") && r.ops[0].Kind == history.Claim {
			settled[pool{r.sku, r.pools[0]}] = append(settled[pool{r.sku, r.pools[0]}], later{r.from, r.to, r.ops[0]})
		}
	}
	// From each on, the one that was told first.
	for _, all := range settled {
		slices.SortFunc(all, func(a, b later) int { return cmp.Compare(a.sent, b.sent) })
		for i := len(all) - 2; i >= 0; i-- {
			if all[i+1].told < all[i].told {
				all[i].told, all[i].op = all[i+1].told, all[i+1].op
			}
		}
	}
	for _, claim := range c.db.Claims {
		var accepted, still *history.Op
		for _, op := range c.byTransaction[claim.ID] {
			if accepted == nil || op.End < accepted.End {
				accepted = op
			}
			if showsAs(op, claim.ID, "queued") && (still == nil || op.Start > still.Start) {
				still = op
			}
		}
		if still == nil {
			continue
		}
		behind := settled[pool{claim.SKU, claim.Pool}]
		i, _ := slices.BinarySearchFunc(behind, accepted.End+1, func(b later, at time.Duration) int { return cmp.Compare(b.sent, at) })
		if i < len(behind) && behind[i].told < still.Start {
			c.violated("order", fmt.Sprintf("the request %s was accepted before another was sent, which was told its outcome before this one was seen to be queued still", claim.ID), accepted, behind[i].op, still)
		}
	}
}

// attempts are those that show a claim, and those with its key.
func (c *checker) attempts(claim *Claim) []*history.Op {
	if claim.Key == nil {
		return c.byTransaction[claim.ID]
	}
	return slices.Concat(c.byTransaction[claim.ID], c.byKey[keyed{claim.Buyer, string(history.Claim), *claim.Key}])
}

// tellsOutcome tells whether an answer says what a claim got when it was settled.
func tellsOutcome(op *history.Op, id string) bool {
	for _, t := range named(op) {
		if t.ID == id && (len(t.UnitIDs) > 0 || t.Status == "refused") {
			return true
		}
	}
	return false
}

func showsAs(op *history.Op, id, status string) bool {
	for _, t := range shown(op) {
		if t.ID == id && t.Status == status {
			return true
		}
	}
	return false
}
