package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/books"
	"github.com/lastunit/lastunit/bench/driven"
)

// limitOptions say how buyers crowd.
type limitOptions struct {
	buyers, tries, limit, rounds, servers int
	hold                                  time.Duration
}

// crowd is buyers who each try to get more than they may.
type crowd struct {
	limitOptions
	s       *driven.Service
	saleID  string
	buyers  []*hoarder
	count   counters
	refused tally
	gave    [4]atomic.Int64
}

// limit shows that nobody is above the purchase limit at any instant, and that nobody is kept from it.
func limit(ctx context.Context, binary string, o limitOptions, out io.Writer) (*verdict, error) {
	if err := driven.RaiseFileLimit(uint64(o.buyers*o.tries*o.servers + 500)); err != nil {
		return nil, err
	}
	s, err := driven.Start(ctx, binary, o.servers)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	fmt.Fprintf(out, "limit: %d buyers with %d tries each at once, for %d units each, over %d servers, direct and queued\n", o.buyers, o.tries, o.limit, o.servers)
	w, err := newCrowd(s, o)
	if err != nil {
		return nil, err
	}
	v, err := w.run(ctx)
	if err != nil {
		return nil, err
	}
	v.print(out)
	return v, nil
}

// newCrowd has exactly as many units as all buyers may have together: then there is one for everybody who is below the limit, whatever the others do.
func newCrowd(s *driven.Service, o limitOptions) (*crowd, error) {
	w := &crowd{limitOptions: o, s: s}
	if err := s.Stock(single, `{"price":{"amount":1,"currency":"EUR"}}`, o.buyers*o.limit); err != nil {
		return nil, err
	}
	var err error
	if w.saleID, err = openSale(s, o.hold, o.limit, []string{single}, priceOf); err != nil {
		return nil, err
	}
	for n := range o.buyers {
		w.buyers = append(w.buyers, &hoarder{name: fmt.Sprintf("buyer-%d", n)})
	}
	return w, nil
}

func (w *crowd) run(ctx context.Context) (*verdict, error) {
	began := time.Now()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	sampled := make(chan *samples, 1)
	go func() { sampled <- w.sample(watching) }()
	var all sync.WaitGroup
	for _, b := range w.buyers {
		all.Go(func() {
			for round := range w.rounds {
				w.rush(ctx, b, round)
			}
			w.persist(ctx, b)
		})
	}
	all.Wait()
	took := time.Since(began)
	stop()
	seen := <-sampled
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return w.judge(ctx, seen, took)
}

func (w *crowd) judge(ctx context.Context, seen *samples, took time.Duration) (*verdict, error) {
	v := &verdict{findings: seen.findings}
	v.say("took", "%s for %d calls; sent again: %v", seconds(took), w.count.calls.Load(), &w.count.again)
	v.say("gave back", "%d holds released, %d orders cancelled, %d refunded, %d holds left to lapse", w.gave[0].Load(), w.gave[1].Load(), w.gave[2].Load(), w.gave[3].Load())
	most, atLimit, putOff := 0, 0, 0
	for _, b := range w.buyers {
		v.findings = append(v.findings, b.findings...)
		putOff += b.putOff
		n, at := highest(b.holdings)
		if most = max(most, n); n > w.limit {
			v.Add("%s had %d units at %s, by what was answered", b.name, n, at.Format(time.StampMicro))
		}
		if n == w.limit {
			atLimit++
		}
	}
	v.say("refused", "%v; %d times all-held while a unit that had lapsed was being put away", &w.refused, putOff)
	v.say("answers", "nobody had more than %d units; %d of %d buyers had %d", most, atLimit, w.limitOptions.buyers, w.limit)
	v.say("database", "%d looks at all buyers at once; at most %d units", seen.looks, seen.most)
	return v, v.inspect(ctx, w.s, false, slices.Concat(books.Units, []rule{w.everybodyHas()}))
}

// everybodyHas holds at the end.
func (w *crowd) everybodyHas() rule {
	return rule{Says: "everybody with patience has as many as they may", SQL: fmt.Sprintf(`
		SELECT format('buyer-%%s has %%s', b.n, has.n)
		FROM generate_series(0, %d) AS b (n)
		CROSS JOIN LATERAL (
			SELECT count(*) AS n
			FROM claim
			JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
			JOIN shop_order ON shop_order.order_id = claim.order_id AND shop_order.status = 'paid'
			WHERE claim.buyer = format('buyer-%%s', b.n)
		) AS has
		WHERE has.n <> %d`, w.limitOptions.buyers-1, w.limit)}
}

// overLimit names buyers who have more units than they may. It counts what has lapsed as long as it is written as held: stricter than it needs to be,
// but a buyer's own lapsed holds go before new ones come.
const overLimit = `
	SELECT claim.buyer, count(*)
	FROM claim
	JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
	WHERE claim.sale_id = $1
	GROUP BY claim.buyer
	ORDER BY count(*) DESC
	LIMIT 3`

// samples are looks into the database.
type samples struct {
	findings
	looks, most int
}

// sample looks again and again.
func (w *crowd) sample(ctx context.Context) *samples {
	s := &samples{}
	err := look(ctx, w.s, func(db *pgx.Conn) error {
		for ctx.Err() == nil {
			if err := s.look(ctx, db, w.saleID, w.limit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.Add("the database could not be looked into: %v", err)
	}
	return s
}

func (s *samples) look(ctx context.Context, db querier, saleID string, limit int) error {
	rows, err := db.Query(ctx, overLimit, saleID)
	if err != nil {
		return err
	}
	type has struct {
		Buyer string
		N     int
	}
	most, err := pgx.CollectRows(rows, pgx.RowToStructByPos[has])
	if err != nil {
		return err
	}
	s.looks++
	for _, b := range most {
		if s.most = max(s.most, b.N); b.N > limit {
			s.Add("%s has %d units in the database", b.Buyer, b.N)
		}
	}
	return nil
}

// rush sends all tries of a buyer at once. Whatever is had is given back, some of it at once, so that others of the tries may succeed after all.
func (w *crowd) rush(ctx context.Context, b *hoarder, round int) {
	var all sync.WaitGroup
	for i := range w.tries {
		all.Go(func() {
			c := newShopper(ctx, w.s, &w.count)
			defer c.close()
			key := fmt.Sprintf("%s-%d-%d", b.name, round, i)
			if h := w.try(c, b, key, i%2 == 0); h != nil {
				driven.Pause(ctx, rand.N(100*time.Millisecond))
				w.giveBack(c, b, h, key)
			}
		})
	}
	all.Wait()
}

// try claims a unit; nil: it was refused, or has ended already.
func (w *crowd) try(c *shopper, b *hoarder, key string, direct bool) *holding {
	sent := time.Now()
	t, err := c.claim(b.name, key, want{single, 1, direct})
	if code := codeOf(err); code != "" {
		w.refused.add(code)
		b.refused(fmt.Errorf("%s: %w", map[bool]string{true: "direct", false: "queued"}[direct], err), sent, w.limit)
		return nil
	}
	if err != nil {
		b.broken(c.ctx, "claim: %v", err)
		return nil
	}
	if t.Status != "held" {
		return nil
	}
	return b.holds(t)
}

// giveBack ends a hold in one of the ways that units come back.
func (w *crowd) giveBack(c *shopper, b *hoarder, h *holding, key string) {
	way := rand.IntN(4)
	w.gave[way].Add(1)
	switch way {
	case 0:
		b.gives(h)
		if err := c.release(b.name, h.id); err != nil {
			b.broken(c.ctx, "release: %v", err)
		}
	case 1:
		if o, ok := w.order(c, b, h, key); ok {
			b.gives(h)
			if _, err := c.cancel(b.name, key, o.ID); err != nil {
				b.broken(c.ctx, "cancel: %v", err)
			}
		}
	case 2:
		if o, ok := w.order(c, b, h, key); ok && w.paid(c, b, h, o, key) {
			b.gives(h)
			if _, err := c.refund(key, o.ID, nil, "available"); err != nil {
				b.broken(c.ctx, "refund: %v", err)
			}
		}
	}
}

// order checks a hold out. False: it has lapsed.
func (w *crowd) order(c *shopper, b *hoarder, h *holding, key string) (order, bool) {
	o, err := c.checkout(b.name, key, []string{h.id})
	if err != nil {
		if codeOf(err) != "hold-expired" {
			b.broken(c.ctx, "checkout: %v", err)
		}
		return o, false
	}
	b.extends(h, *o.PayBy)
	return o, true
}

// paid pays for an order. False: it was overdue.
func (w *crowd) paid(c *shopper, b *hoarder, h *holding, o order, key string) bool {
	o, err := c.pay(b.name, key, o.ID, "succeed")
	if err != nil || o.Status != "paid" {
		if codeOf(err) != "conflict" {
			b.broken(c.ctx, "pay: %v, %s", err, o.Status)
		}
		return false
	}
	b.extends(h, time.Time{})
	return true
}

// persist tries one after the other until the buyer owns as many as the limit.
func (w *crowd) persist(ctx context.Context, b *hoarder) {
	c := newShopper(ctx, w.s, &w.count)
	defer c.close()
	for n := 0; ctx.Err() == nil && b.owned < w.limit; n++ {
		b.alone = true
		key := fmt.Sprintf("%s-alone-%d", b.name, n)
		h := w.try(c, b, key, n%2 == 0)
		if h == nil {
			c.rest()
			continue
		}
		if o, ok := w.order(c, b, h, key); ok && w.paid(c, b, h, o, key) {
			b.owned++
		}
	}
}
