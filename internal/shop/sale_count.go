package shop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// saleCounts counts in memory what is answered to those who ask for units of sales. A batch that is settled counts its answers under one short lock;
// FlushSaleCounts adds each second that is over to what other servers have counted.
type saleCounts struct {
	mu sync.Mutex
	by map[countKey]*countTally
	// last is the sale that each product was found in last, for answers that were given before it was looked for.
	last map[string]ID
}

// countKey is a row of sale_count.
type countKey struct {
	sale    ID
	at      int64 // the end of the second, in seconds since 1970
	sku     string
	outcome Code
}

// countHeld is the outcome of calls that got their units.
const countHeld Code = "held"

type countTally struct {
	calls, units int64
	latencies    latencies
}

// endOfSecond is the end of the second that an instant lies in.
func endOfSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second).Add(time.Second) }

func (t *countTally) one(units int, took time.Duration) {
	t.calls++
	t.units += int64(units)
	t.latencies[latencyBucket(took)]++
}

func (c *saleCounts) tally(k countKey) *countTally {
	t := c.by[k]
	if t == nil {
		t = &countTally{}
		c.by[k] = t
	}
	return t
}

// countBatch counts the answers that a batch gives. Calls that are put back are counted when they are answered, replays not at all.
func (s *Shop) countBatch(b *settlement) {
	now := time.Now()
	clock := s.clockAt(now)
	at := endOfSecond(clock).Unix()
	c := &s.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	var before countKey
	var t *countTally
	for i, call := range b.calls {
		if call.kind != drainQueue && call.looked {
			c.found(call.SKU, call.about)
		}
		outcome, sale := b.countable(i)
		if outcome == "" {
			continue
		}
		if sale == (ID{}) {
			if sale = c.last[call.SKU]; sale == (ID{}) {
				continue
			}
		}
		took := now.Sub(call.arrivedAt)
		if call.kind == queuedRequest {
			took = clock.Sub(call.createdAt)
		}
		// Most calls of a batch are answered alike.
		if k := (countKey{sale, at, call.SKU, outcome}); t == nil || k != before {
			before, t = k, c.tally(k)
		}
		t.one(call.Quantity, took)
	}
}

// found notes which sale a product is in; none: the zero id.
func (c *saleCounts) found(sku string, sale ID) {
	if c.last[sku] == sale {
		return
	}
	if sale == (ID{}) {
		delete(c.last, sku)
		return
	}
	c.last[sku] = sale
}

// countable is what is to be counted of an answer, and for which sale: nothing when it is none yet, is given again, or has to do with no sale. A refusal may be of
// a sale that the batch does not know.
func (b *settlement) countable(i int) (Code, ID) {
	a, call := b.answers[i], b.calls[i]
	switch {
	case a.Again || a.Err != nil || call.kind == drainQueue || a.Out.replayed:
		return "", ID{}
	case a.Out.refusal != nil && call.looked && call.about == (ID{}):
		return "", ID{}
	case a.Out.refusal != nil:
		return a.Out.refusal.Code, call.about
	case call.kind == newRequest || a.Out.transaction.SaleID == nil:
		return "", ID{}
	}
	return countHeld, *a.Out.transaction.SaleID
}

// countLost counts a call that was refused without being in any batch to its end, such as Busy.
func (s *Shop) countLost(ctx context.Context, call *claimCall, err error) {
	var r *Refusal
	if ctx.Err() != nil || !errors.As(err, &r) {
		return
	}
	took := time.Since(call.arrivedAt)
	c := &s.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	if sale := c.last[call.SKU]; sale != (ID{}) {
		c.tally(countKey{sale, endOfSecond(s.Clock()).Unix(), call.SKU, r.Code}).one(call.Quantity, took)
	}
}

// take removes and returns what was counted in seconds that were over at an instant, in the order in which it is written; with all, everything.
func (c *saleCounts) take(at time.Time, all bool) (keys []countKey, tallies []*countTally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.by {
		if all || k.at <= at.Unix() {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b countKey) int {
		return cmp.Or(slices.Compare(a.sale[:], b.sale[:]), cmp.Compare(a.at, b.at), cmp.Compare(a.sku, b.sku), cmp.Compare(a.outcome, b.outcome))
	})
	for _, k := range keys {
		tallies = append(tallies, c.by[k])
		delete(c.by, k)
	}
	return keys, tallies
}

// countsKept is for how long counts are kept in memory while the database is away.
const countsKept = time.Minute

// putBack keeps what could not be written for the next time, unless it is too old.
func (c *saleCounts) putBack(now time.Time, keys []countKey, tallies []*countTally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, k := range keys {
		if k.at < now.Add(-countsKept).Unix() {
			continue
		}
		t := c.tally(k)
		t.calls += tallies[i].calls
		t.units += tallies[i].units
		t.latencies.add(&tallies[i].latencies)
	}
}

// FlushSaleCounts is housekeeping: it adds what this server has counted in the seconds that are over to the database, in one statement, and asks nothing of it when
// there was nothing to count. What was counted since then is lost with the process.
func (s *Shop) FlushSaleCounts(ctx context.Context) error { return s.flushCounts(ctx, false) }

func (s *Shop) flushCounts(ctx context.Context, all bool) error {
	now := s.Clock()
	keys, tallies := s.counts.take(now, all)
	if len(keys) == 0 {
		return nil
	}
	arg := dbsqlc.SaleCountAddParams{}
	for i, k := range keys {
		arg.SaleIds = append(arg.SaleIds, k.sale)
		arg.Ats = append(arg.Ats, time.Unix(k.at, 0).UTC())
		arg.Skus = append(arg.Skus, k.sku)
		arg.Outcomes = append(arg.Outcomes, string(k.outcome))
		arg.CallCounts = append(arg.CallCounts, tallies[i].calls)
		arg.UnitCounts = append(arg.UnitCounts, tallies[i].units)
		arg.Latencies = append(arg.Latencies, tallies[i].latencies.text())
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	err := pgdb.InTx(ctx, s.pool, func(tx pgx.Tx) error { return s.q.SaleCountAdd(ctx, tx, arg) })
	if err == nil {
		return nil
	}
	// What may have been written is not written twice.
	if !errors.Is(err, pgdb.ErrOutcomeUnknown) {
		s.counts.putBack(now, keys, tallies)
	}
	return fmt.Errorf("write down what was counted of sales: %w", err)
}
