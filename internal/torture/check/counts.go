package check

import (
	"fmt"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// bounds are between which counts something was at some instant of a time.
type bounds struct{ least, most int64 }

// add counts units that came or went between two times.
func (b *bounds) add(units int, start, end time.Duration, count *history.Op) {
	if start <= count.End {
		b.most += int64(units)
	}
	if end < count.Start {
		b.least += int64(units)
	}
}

func (b bounds) hold(n int64) bool { return b.least <= n && n <= b.most }

// move is units that came in, or went for good, between two times.
type move struct {
	units      int
	start, end time.Duration
}

// conserved: at each count, what came in is somewhere, and no more and no less has come in, or gone for good, than can have by then.
func (c *checker) conserved() {
	came, gone := c.moves()
	for i := range c.ops {
		op := &c.ops[i]
		s := op.Stock
		if s == nil || op.Outcome != history.OK {
			continue
		}
		if s.Received != s.Available+s.Held+s.Ordered+s.Sold+s.Quarantine+s.Withdrawn {
			c.violated("conservation", "received is not the sum over the places", op)
		}
		for _, count := range []struct {
			what  string
			n     int64
			moves []move
		}{{"received", s.Received, came[op.SKU]}, {"withdrawn", s.Withdrawn, gone[op.SKU]}} {
			var b bounds
			for _, m := range count.moves {
				b.add(m.units, m.start, m.end, op)
			}
			if !b.hold(count.n) {
				c.violated("conservation", fmt.Sprintf("%d of %s are %s, and it can only be %d to %d by then", count.n, op.SKU, count.what, b.least, b.most), op)
			}
		}
	}
}

// moves are what came in and what went for good, by product.
func (c *checker) moves() (came, gone map[string][]move) {
	came, gone = map[string][]move{}, map[string][]move{}
	for _, row := range c.db.Receipts {
		start, end := within(c.byKey[keyed{"", string(history.Receive), row.Key}])
		came[row.SKU] = append(came[row.SKU], move{row.Quantity, start, end})
	}
	for _, row := range c.db.Withdrawals {
		start, end := within(c.byKey[keyed{"", string(history.Withdraw), row.Key}])
		gone[row.SKU] = append(gone[row.SKU], move{row.Quantity, start, end})
	}
	for _, u := range c.db.Units {
		for _, h := range u.Held {
			if h.Outcome != nil && *h.Outcome == "written_off" {
				s := c.givenBack(c.db.Claims[h.ClaimID], h)
				gone[u.SKU] = append(gone[u.SKU], move{1, s.start, s.end})
			}
		}
	}
	return came, gone
}

// lastCounts: what was counted when nothing happened any more is what the rows say.
func (c *checker) lastCounts() {
	last := map[string]*history.Op{}
	for i := range c.ops {
		op := &c.ops[i]
		if op.Stock != nil && op.Outcome == history.OK && (last[op.SKU] == nil || op.Start > last[op.SKU].Start) {
			last[op.SKU] = op
		}
	}
	for sku, op := range last {
		if rows, still := c.rowsOf(sku, op.Start); still && rows != *op.Stock {
			c.violated("conservation", fmt.Sprintf("the rows have %+v, and nothing has happened since it was counted", rows), op)
		}
	}
}

// rowsOf counts a product's units by what the rows say, and tells whether that has been so since an instant.
func (c *checker) rowsOf(sku string, since time.Duration) (s history.Stock, still bool) {
	from := c.began.Add(since - slack)
	for _, r := range c.db.Receipts {
		// When a receipt or a withdrawal was written is not read: one of which nobody knows by then when it was is not over.
		if r.SKU == sku && !c.over(history.Receive, r.Key, since) {
			return s, false
		}
	}
	for _, w := range c.db.Withdrawals {
		if w.SKU == sku && !c.over(history.Withdraw, w.Key, since) {
			return s, false
		}
	}
	for _, u := range c.db.Units {
		if u.SKU != sku {
			continue
		}
		s.Received++
		in := 0
		put := func(yes bool, place *int64) {
			if yes {
				*place++
				in++
			}
		}
		put(u.Pool != nil, &s.Available)
		put(u.Withdrawn != nil, &s.Withdrawn)
		for _, q := range u.Quarantine {
			put(q.LeftAt == nil, &s.Quarantine)
			if !q.EnteredAt.Before(from) || q.LeftAt != nil && !q.LeftAt.Before(from) {
				return s, false
			}
		}
		for _, h := range u.Held {
			claim := c.db.Claims[h.ClaimID]
			if h.ReleasedAt != nil {
				if !h.ReleasedAt.Before(from) {
					return s, false
				}
				continue
			}
			paid := claim.OrderID != nil && c.db.Orders[*claim.OrderID] != nil && c.db.Orders[*claim.OrderID].PaidAt != nil
			switch {
			case !paid, !c.db.Orders[*claim.OrderID].PaidAt.Before(from): // it may lapse, be ordered or be cancelled by itself
				return s, false
			}
			put(true, &s.Sold)
		}
	}
	return s, true
}

// over tells whether something that was asked for had been answered before an instant.
func (c *checker) over(kind history.Kind, key string, since time.Duration) bool {
	_, end := within(c.byKey[keyed{"", string(kind), key}])
	return end < since
}
