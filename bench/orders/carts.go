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

	"github.com/lastunit/lastunit/bench/books"
	"github.com/lastunit/lastunit/bench/driven"
)

// cartsOptions say how many carts there are.
type cartsOptions struct {
	checkouts, clients, products, servers int
	hold                                  time.Duration
}

// mall is clients who fill carts and check them out.
type mall struct {
	cartsOptions
	s      *driven.Service
	count  counters
	next   atomic.Int64
	lapsed atomic.Int64 // carts that were too slow
	ends   [4]atomic.Int64
	mu     sync.Mutex
	took   []time.Duration // of a checkout
	findings
}

// carts shows that carts of several products in any order never deadlock.
func carts(ctx context.Context, binary string, o cartsOptions, out io.Writer) (*verdict, error) {
	s, err := driven.Start(ctx, binary, o.servers)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	fmt.Fprintf(out, "carts: %d checkouts by %d clients over %d servers, 1 to 5 of %d products in random order, in a sale with a limit\n", o.checkouts, o.clients, o.servers, o.products)
	v, err := runCarts(ctx, s, o)
	if err != nil {
		return nil, err
	}
	v.print(out)
	return v, nil
}

func runCarts(ctx context.Context, s *driven.Service, o cartsOptions) (*verdict, error) {
	m := &mall{cartsOptions: o, s: s}
	var skus []string
	for i := range o.products {
		skus = append(skus, sku(i))
		// A third of the orders is paid; a cart has three products.
		if err := s.Stock(sku(i), "{}", 2*o.checkouts/o.products+20*o.clients); err != nil {
			return nil, err
		}
	}
	if _, err := openSale(s, o.hold, 1_000_000, skus, priceOf); err != nil {
		return nil, err
	}
	began := time.Now()
	var all sync.WaitGroup
	for n := range o.clients {
		all.Go(func() { m.shop(ctx, n) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return m.judge(ctx, time.Since(began))
}

// shop is one client, who shares its buyer with another.
func (m *mall) shop(ctx context.Context, n int) {
	c := newShopper(ctx, m.s, &m.count)
	defer c.close()
	buyer := fmt.Sprintf("buyer-%d", n/2)
	for i := m.next.Add(1); i <= int64(m.checkouts) && ctx.Err() == nil; i = m.next.Add(1) {
		if err := m.cart(c, buyer, fmt.Sprintf("cart-%d", i)); err != nil && ctx.Err() == nil {
			m.mu.Lock()
			m.Add("cart %d: %v", i, err)
			m.mu.Unlock()
		}
	}
}

// cart fills a cart and checks it out. What becomes of the order is left to chance: paid, cancelled, or not paid and overdue; and now and then there is a
// cart that nobody checks out.
func (m *mall) cart(c *shopper, buyer, key string) error {
	for attempt := 0; c.ctx.Err() == nil; attempt++ {
		key := fmt.Sprintf("%s-%d", key, attempt)
		var ids []string
		for _, i := range rand.Perm(m.products)[:1+rand.IntN(min(5, m.products))] {
			t, err := c.claim(buyer, fmt.Sprintf("%s-%d", key, i), want{sku(i), 1, true})
			if err != nil {
				return fmt.Errorf("claim: %w", err)
			}
			ids = append(ids, t.ID)
		}
		if rand.IntN(50) == 0 {
			m.ends[3].Add(1)
			continue
		}
		began := time.Now()
		o, err := c.checkout(buyer, key, ids)
		took := time.Since(began)
		if codeOf(err) == "hold-expired" {
			m.lapsed.Add(1)
			continue
		}
		if err != nil {
			return fmt.Errorf("checkout: %w", err)
		}
		m.mu.Lock()
		m.took = append(m.took, took)
		m.mu.Unlock()
		return m.finish(c, buyer, key, o.ID)
	}
	return c.ctx.Err()
}

func (m *mall) finish(c *shopper, buyer, key, id string) (err error) {
	switch p := rand.IntN(20); {
	case p == 0:
		m.ends[2].Add(1)
		return nil
	case p%2 == 0:
		m.ends[1].Add(1)
		_, err = c.cancel(buyer, key, id)
	default:
		m.ends[0].Add(1)
		_, err = c.pay(buyer, key, id, "succeed")
	}
	return unless(err, "conflict") // overdue by now
}

func (m *mall) judge(ctx context.Context, took time.Duration) (*verdict, error) {
	v := &verdict{findings: m.findings}
	slices.Sort(m.took)
	v.say("took", "%s, %.0f checkouts a second; a checkout takes %d ms, one in a hundred %d ms or more; load average %s", seconds(took), float64(len(m.took))/took.Seconds(),
		quantile(m.took, 50).Milliseconds(), quantile(m.took, 99).Milliseconds(), driven.LoadAverage())
	v.say("orders", "%d checked out: %d paid, %d cancelled, %d left to be overdue; %d carts were never checked out, %d had lapsed", len(m.took),
		m.ends[0].Load(), m.ends[1].Load(), m.ends[2].Load(), m.ends[3].Load(), m.lapsed.Load())
	v.say("calls", "%d; sent again: %v", m.count.calls.Load(), &m.count.again)
	if len(m.took) != m.checkouts {
		v.Add("%d of %d carts were checked out", len(m.took), m.checkouts)
	}
	return v, v.inspect(ctx, m.s, false, books.Units)
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}
