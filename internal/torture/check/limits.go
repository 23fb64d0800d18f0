package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// limits: at no instant does a buyer certainly have more units of the sale than the limit. Certain are units from the end of the first answer that shows them until the
// first instant at which they may have gone back.
func (c *checker) limits() {
	type change struct {
		at    time.Duration
		units int
		claim *Claim
	}
	changes := map[string][]change{}
	for _, claim := range c.db.Claims {
		if claim.SaleID == nil || len(claim.Units) == 0 {
			continue
		}
		_, from, _ := c.taken(claim)
		if from == forever {
			continue
		}
		byEnd := map[time.Duration]int{}
		for _, h := range claim.Units {
			byEnd[c.mayBeBack(claim, h)]++
		}
		for until, units := range byEnd {
			if until > from {
				changes[claim.Buyer] = append(changes[claim.Buyer], change{from, units, claim}, change{until, -units, claim})
			}
		}
	}
	for buyer, all := range changes {
		slices.SortFunc(all, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), a.units-b.units) })
		has := 0
		live := map[*Claim]int{}
		for _, one := range all {
			has += one.units
			live[one.claim] += one.units
			if has > c.limit {
				text := fmt.Sprintf("%s has %d units of the sale at %.1f ms, %d are allowed", buyer, has, ms(one.at), c.limit)
				var ops []*history.Op
				for claim, units := range live {
					if units > 0 {
						text += fmt.Sprintf("\n    %d in the transaction %s, which is %s", units, claim.ID, claim.Status)
						for _, h := range claim.Units {
							if h.ReleasedAt != nil {
								text += fmt.Sprintf(", a unit of it gone at %.1f ms by the database, not before %.1f", ms(c.at(*h.ReleasedAt)), ms(c.mayBeBack(claim, h)))
							}
						}
						_, _, told := c.taken(claim)
						ops = append(ops, told[:min(1, len(told))]...)
					}
				}
				c.violated("limits", text, ops...)
				break
			}
		}
	}
}

// mayBeBack is the first instant at which a unit may have left its claim.
func (c *checker) mayBeBack(claim *Claim, h *Held) time.Duration {
	if h.ReleasedAt == nil {
		return forever
	}
	return c.givenBack(claim, h).start
}
