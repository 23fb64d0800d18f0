package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// retries sends each of many keys several times at once, queued and direct, to two servers: a key is one transaction with one unit.
func retries(ctx context.Context, binary string, keys, times int, out io.Writer) (*verdict, error) {
	s, err := startService(ctx, binary, 2)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	o := orders{requests: keys, products: 1, burst: 1}
	if err := stock(s, o.stock()); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "retries: %d keys, each sent %d times at once over 2 servers, every other time direct, %d units\n", keys, times, keys/2)
	w := newCrowd(ctx, s, o)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := w.next.Add(1) - 1; i < int64(keys); i = w.next.Add(1) - 1 {
				w.sendAtOnce(w.requests[i], times)
			}
		})
	}
	all.Wait()
	took := time.Since(w.began)
	v, err := judge(s, w, o.stock())
	if err == nil {
		v.took = took
		v.print(out)
	}
	return v, err
}

// sendAtOnce sends a request from several clients, and puts together what they were told.
func (w *crowd) sendAtOnce(r *request, times int) {
	copies := make([]request, times)
	var all sync.WaitGroup
	var ready atomic.Int64
	for n := range times {
		copies[n] = request{buyer: r.buyer, key: r.key, sku: r.sku, direct: n/2%2 == 1}
		all.Go(func() {
			c := w.client(n)
			defer c.close()
			c.conns = c.conns[n%len(c.conns):][:1]
			for ready.Add(1); ready.Load() < int64(times) && c.ctx.Err() == nil; {
				driven.Pause(c.ctx, 100*time.Microsecond)
			}
			c.submit(&copies[n])
		})
	}
	all.Wait()
	r.merge(copies)
	c := w.client(0)
	defer c.close()
	c.look(r, "?wait=30")
}

// merge puts together what several clients were told at the same time: what was queued is put before what was settled, since nobody can say which
// was asked for first.
func (r *request) merge(copies []request) {
	r.sent = copies[0].sent
	for i := range copies {
		c := &copies[i]
		r.sent = min(r.sent, c.sent)
		r.seen = append(r.seen, c.seen...)
		r.unanswered += c.unanswered
		if c.refusal != "" {
			r.refusal, r.refused = c.refusal, c.refused
		}
		if c.failure != "" {
			r.failure = c.failure
		}
		if !c.direct && (r.accepted == 0 || c.accepted < r.accepted) {
			r.accepted, r.by202 = c.accepted, c.by202
		}
	}
	slices.SortStableFunc(r.seen, func(a, b sighting) int { return cmp.Compare(b.position, a.position) })
	if s, _ := r.outcome(); r.refusal != "" && s.status == "held" {
		r.failure = "was refused directly, and holds a unit"
	}
	if len(r.seen) > 0 {
		r.refusal = ""
	}
}
