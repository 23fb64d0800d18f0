package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// A way is how the client of a series finds out.
type way struct {
	name           string
	watches        int // the server that it asks; the first accepts
	prefer, events bool
}

var ways = []way{
	{name: "events", events: true},
	{name: "?wait=20"},
	{name: "events, on another server", watches: 1, events: true},
	{name: "?wait=20, on another server", watches: 1},
	{name: "Prefer: wait=20", prefer: true},
}

// latency sends one request after the other to an idle service and measures how long its outcome takes to be known after the 202 was received
// (with Prefer: wait, which has no 202, after the request was sent), and after the transaction that settled it had begun.
func latency(ctx context.Context, binary string, requests int, out io.Writer) error {
	s, err := startService(ctx, binary, 2)
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := stock(s, map[string]int{"latency": requests*len(ways) + 100}); err != nil {
		return err
	}
	fmt.Fprintf(out, "latency: %d requests one after the other, milliseconds (target: p50 20, p99 60 from 202 to known); load average %s\n", requests, driven.LoadAverage())
	fmt.Fprintf(out, "%-30s %25s %32s\n", "", "from 202 to known", "from settling begun to known")
	fmt.Fprintf(out, "%-30s %7s %8s %8s %14s %8s %8s\n", "the client uses", "p50", "p99", "max", "p50", "p99", "max")
	for n, w := range ways {
		var known, settled []time.Duration
		accepts, asks := dial(s, 0), dial(s, w.watches)
		for i := range requests {
			k, t, err := w.measure(ctx, accepts, asks, fmt.Sprintf("buyer-%d-%d", n, i))
			if err != nil {
				return fmt.Errorf("%s, request %d: %w", w.name, i, err)
			}
			known, settled = append(known, k), append(settled, t)
		}
		accepts.Close()
		asks.Close()
		fmt.Fprintf(out, "%-30s %s %6s %s\n", w.name, quantiles(known), "", quantiles(settled))
	}
	line, err := s.Audit()
	fmt.Fprintf(out, "audit: %s\n", line)
	return err
}

// measure sends a request and waits for its outcome.
func (w way) measure(ctx context.Context, accepts, asks *conn, buyer string) (known, settled time.Duration, err error) {
	began := time.Now()
	q := driven.Ask{Method: "POST", Path: "/api/v1/order/addToCart", Buyer: buyer, Body: `{"sku":"latency"}`}
	if w.prefer {
		q.Header = "Prefer: wait=20\r\n"
	}
	a, err := accepts.do(ctx, q)
	if err != nil {
		return 0, 0, err
	}
	if !w.prefer {
		if began = time.Now(); a.Status != 202 {
			return 0, 0, fmt.Errorf("%d %s", a.Status, a.Text)
		}
		get := driven.Ask{Method: "GET", Path: "/api/v1/transaction/" + a.body.ID, Buyer: buyer, Patience: 30 * time.Second}
		if w.events {
			get.Path += "/events"
			_, _, err = asks.watch(ctx, get, "", func(event *answer) bool {
				known, a = time.Since(began), event
				return a.stands() != "queued"
			})
		} else {
			get.Path += "?wait=20"
			a, err = asks.do(ctx, get)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if known == 0 {
		known = time.Since(began)
	}
	if a.stands() != "held" {
		return 0, 0, fmt.Errorf("%d %s", a.Status, a.Text)
	}
	return known, began.Add(known).Sub(a.body.ExpiresAt.Add(-hold)), nil
}

// quantiles are p50, p99 and the largest, in milliseconds.
func quantiles(all []time.Duration) string {
	sorted := slices.Sorted(slices.Values(all))
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%7.1f  %7.1f  %7.1f", ms(sorted[(len(sorted)-1)/2]), ms(sorted[(len(sorted)-1)*99/100]), ms(sorted[len(sorted)-1]))
}
