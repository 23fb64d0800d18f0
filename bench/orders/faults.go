package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/books"
	"github.com/lastunit/lastunit/bench/driven"
)

// faultsOptions say what buyers and chance do.
type faultsOptions struct {
	orders, clients, products, kills, servers, silences int
	hold                                                time.Duration
	seed                                                uint64
}

// market is a run: buyers who live through their stories while what serves them is killed, and the payment provider is silent at times.
type market struct {
	faultsOptions
	s       *driven.Service
	stories []*story
	next    atomic.Int64
	done    atomic.Int64
	count   counters
	feed    feed
	silent  atomic.Int64 // charges that the provider said nothing about
}

// faults shows that money and units add up.
func faults(ctx context.Context, binary string, o faultsOptions, out io.Writer) (*verdict, error) {
	s, err := driven.Start(ctx, binary, o.servers, "--hold", o.hold.String())
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	m, err := newMarket(s, o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "faults: %d orders by %d buyers at once over %d servers, %s to pay, seed %d\n", o.orders, o.clients, o.servers, o.hold, m.seed)
	v, err := m.run(ctx)
	if err != nil {
		return nil, err
	}
	v.print(out)
	return v, nil
}

func newMarket(s *driven.Service, o faultsOptions) (*market, error) {
	for o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	m := &market{faultsOptions: o, s: s}
	units := map[string]int{}
	for i := range o.products {
		units[sku(i)] = 5 * o.orders // more than can be asked for
	}
	for i := range fewProducts(o.orders) {
		units[few(i, o.orders)] = fewUnits
	}
	for sku, n := range units {
		if err := s.Stock(sku, fmt.Sprintf(`{"price":{"amount":%d,"currency":"EUR"}}`, priceOf(sku)), n); err != nil {
			return nil, err
		}
	}
	for n := range o.orders {
		m.stories = append(m.stories, tell(n, o))
	}
	return m, nil
}

// run plays all stories, waits until everything is settled, and judges.
func (m *market) run(ctx context.Context) (*verdict, error) {
	began := time.Now()
	aside, stop := context.WithCancel(ctx)
	defer stop()
	var besides sync.WaitGroup
	besides.Go(func() { m.feed.follow(aside, m.s) })
	for range m.silences {
		besides.Go(func() { m.silence(aside) })
	}
	var killed int
	var killErr error
	besides.Go(func() { killed, killErr = m.kill(ctx) })
	m.each(ctx, (*story).play)
	took := time.Since(began)
	settling := time.Now()
	open, err := m.settle(ctx)
	if err != nil {
		return nil, err
	}
	settled := time.Since(settling)
	m.next.Store(0)
	m.each(ctx, func(s *story, c, _ *shopper) {
		if s.id != "" {
			s.look(c)
		}
	})
	stop()
	besides.Wait()
	if killErr != nil || ctx.Err() != nil {
		return nil, firstOf(killErr, ctx.Err())
	}
	v := &verdict{}
	v.say("took", "%s, and %s until everything was settled; killed %d times; %d charges met a silent provider", seconds(took), seconds(settled), killed, m.silent.Load())
	if open != "" {
		v.Add("after %s there is still: %s", seconds(settled), open)
	}
	return v, m.judge(ctx, v)
}

// each lets the buyers do something about all stories.
func (m *market) each(ctx context.Context, do func(s *story, c, second *shopper)) {
	var all sync.WaitGroup
	for range m.clients {
		all.Go(func() {
			c, second := newShopper(ctx, m.s, &m.count), newShopper(ctx, m.s, &m.count)
			defer c.close()
			defer second.close()
			for i := m.next.Add(1) - 1; i < int64(len(m.stories)) && ctx.Err() == nil; i = m.next.Add(1) - 1 {
				do(m.stories[i], c, second)
				m.done.Add(1)
			}
		})
	}
	all.Wait()
}

// kill kills servers at random instants, and starts them again.
func (m *market) kill(ctx context.Context) (killed int, err error) {
	var after []int64
	for range m.kills {
		after = append(after, rand.Int64N(int64(m.orders)))
	}
	slices.Sort(after)
	since := int64(-1)
	for _, n := range after {
		// Each comes when a story has ended since the last, lest nothing is between them.
		for ctx.Err() == nil && m.done.Load() <= max(n, since) && m.done.Load() < int64(m.orders) {
			driven.Pause(ctx, time.Millisecond)
		}
		driven.Pause(ctx, rand.N(50*time.Millisecond))
		since = m.done.Load()
		i := rand.IntN(len(m.s.Servers))
		m.s.Kill(i)
		killed++
		if err := m.s.Restart(i); err != nil {
			return killed, fmt.Errorf("restart after kill %d: %w", killed, err)
		}
	}
	return killed, ctx.Err()
}

// silence picks one late charge after the other whose order is about to be overdue and whose money would come soon after, and keeps the provider from
// saying anything about it until then, by a lock on its row: the order is cancelled, and the money comes too late. A kill breaks the silence.
func (m *market) silence(ctx context.Context) {
	c := newShopper(ctx, m.s, &m.count)
	defer c.close()
	for ctx.Err() == nil {
		_ = look(ctx, m.s, func(db *pgx.Conn) error {
			for {
				found, err := m.silenceOne(ctx, c, db)
				if err != nil {
					return err
				}
				if !found {
					driven.Pause(ctx, 100*time.Millisecond)
				}
			}
		})
		driven.Pause(ctx, 100*time.Millisecond)
	}
}

func (m *market) silenceOne(ctx context.Context, c *shopper, db *pgx.Conn) (found bool, err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var left float64
	var skus []string
	err = tx.QueryRow(ctx, `
		SELECT
			extract(epoch FROM greatest(shop_order.pay_by + interval '5 seconds', test_charge.captures_at) - clock_timestamp())::float8,
			ARRAY(SELECT product.sku FROM claim JOIN product USING (product_id) WHERE claim.order_id = shop_order.order_id)
		FROM shop_order
		JOIN payment ON payment.order_id = shop_order.order_id AND payment.status = 'pending'
		JOIN test_charge ON test_charge.charge_id = payment.payment_id AND test_charge.status = 'pending'
		WHERE shop_order.status = 'awaiting_payment'
			AND shop_order.pay_by BETWEEN clock_timestamp() AND clock_timestamp() + interval '3 seconds'
			AND test_charge.captures_at BETWEEN shop_order.pay_by AND shop_order.pay_by + interval '8 seconds'
		LIMIT 1
		FOR NO KEY UPDATE OF test_charge SKIP LOCKED`).Scan(&left, &skus)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	n := m.silent.Add(1)
	driven.Pause(ctx, time.Duration(left*float64(time.Second)))
	for _, sku := range skus {
		if isFew(sku) && n%2 == 0 {
			m.snatch(c, fmt.Sprintf("snatcher-%d", n), sku)
		}
	}
	return true, nil
}

// snatch holds all units that can be had of a product, for a while.
func (m *market) snatch(c *shopper, buyer, sku string) {
	for quantity := fewUnits; quantity > 0; quantity-- {
		for i := 0; c.ctx.Err() == nil; i++ {
			if _, err := c.claim(buyer, fmt.Sprintf("%s-%d-%d", buyer, quantity, i), want{sku, quantity, true}); err != nil {
				break
			}
		}
	}
}

// settle waits until no order awaits payment and the provider owes no word, for a minute after the last hold. It tells what is still open.
func (m *market) settle(ctx context.Context) (open string, err error) {
	for end := time.Now().Add(m.hold + time.Minute); ctx.Err() == nil; driven.Pause(ctx, 100*time.Millisecond) {
		err = look(ctx, m.s, func(db *pgx.Conn) error {
			f, err := brokenIn(ctx, db, books.Settled)
			open = strings.Join(f.First(5), "; ")
			return err
		})
		if err == nil && open == "" || time.Now().After(end) {
			return open, err
		}
	}
	return open, ctx.Err()
}

// judge holds what the buyers were told, the books of the shop and of the provider, and the events against each other.
func (m *market) judge(ctx context.Context, v *verdict) error {
	v.findings = append(v.findings, checkTold(m.stories)...)
	err := look(ctx, m.s, func(db *pgx.Conn) error {
		orders, units, err := readOrders(ctx, db)
		if err != nil {
			return err
		}
		v.findings = append(v.findings, checkOrders(m.stories, orders, units)...)
		return firstOf(m.feed.check(ctx, m.s, db, v), m.tabulate(ctx, db, v))
	})
	return firstOf(err, v.inspect(ctx, m.s, m.kills > 0, slices.Concat(books.Units, books.Settled, books.Money, books.Events)))
}

// tabulate says what has happened, in numbers.
func (m *market) tabulate(ctx context.Context, db querier, v *verdict) error {
	cards := cardsSent(m.stories)
	v.say("cards", "%d succeed, %d decline, %d late, %d twice, %d hang", cards["succeed"], cards["decline"], cards["late"], cards["twice"], cards["hang"])
	unlucky := 0
	for _, s := range m.stories {
		unlucky += s.unlucky
	}
	v.say("calls", "%d; sent again: %v; %d replays; %d good cards were refused", m.count.calls.Load(), &m.count.again, m.count.replayed.Load(), unlucky)
	if unlucky > 0 && m.kills == 0 {
		v.Add("%d good cards were refused, and nothing was killed", unlucky)
	}
	for _, t := range []struct{ word, sql string }{
		{"orders", `SELECT status || coalesce(' (' || reason || ')', ''), count(*) FROM shop_order GROUP BY 1 ORDER BY 2 DESC`},
		{"late money", `
			SELECT 'bought equal units', count(*) FROM shop_order WHERE replaces_order_id IS NOT NULL
			UNION ALL
			SELECT 'went back', count(*) FROM refund WHERE reason = 'late-payment'`},
		{"returned", `SELECT 'units ' || outcome, count(*) FROM claim_unit WHERE outcome <> 'cancelled' GROUP BY 1 ORDER BY 2 DESC`},
		{"units", `
			SELECT 'available', count(*) FROM stock_token
			UNION ALL
			SELECT claim.status, count(*) FROM claim JOIN claim_unit USING (claim_id) WHERE claim_unit.released_at IS NULL GROUP BY claim.status
			UNION ALL
			SELECT 'in quarantine', count(*) FROM quarantine_unit WHERE left_at IS NULL
			UNION ALL
			SELECT 'withdrawn', count(*) FROM withdrawal_unit
			UNION ALL
			SELECT 'received', sum(quantity) FROM receipt`},
		{"cents", `
			SELECT 'captured', coalesce(sum(amount_minor), 0)::bigint FROM test_charge WHERE status = 'succeeded'
			UNION ALL
			SELECT 'of orders that were paid', coalesce(sum(total_minor), 0)::bigint FROM shop_order WHERE status IN ('paid', 'refunded')
			UNION ALL
			SELECT 'came too late and went back', coalesce(sum(amount_minor), 0)::bigint FROM refund WHERE reason = 'late-payment'
			UNION ALL
			SELECT 'given back in all', coalesce(sum(amount_minor), 0)::bigint FROM test_refund`},
	} {
		text, err := counts(ctx, db, t.sql)
		if err != nil {
			return err
		}
		v.say(t.word, "%s", text)
	}
	return nil
}
