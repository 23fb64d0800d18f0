package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

type waitingOptions struct {
	waiting     int
	keep        time.Duration
	rounds      int
	bound       int
	connections int // that ask where bound may wait
	measure     time.Duration
	only        string
	results     string
}

func (o *waitingOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.only, "only", "", "memory or busy; empty: both")
	f.IntVar(&o.waiting, "waiting", 10_000, "memory: claims that wait at once")
	f.DurationVar(&o.keep, "keep", 3*time.Second, "memory: how long they are kept waiting; whoever has waited for 5 s is told to come again")
	f.IntVar(&o.rounds, "rounds", 5, "busy: how often each has a turn")
	f.IntVar(&o.bound, "bound", 256, "busy: claims that may wait at once, and connections of those who are never refused")
	f.IntVar(&o.connections, "connections", 1024, "busy: of those who are too many")
	f.DurationVar(&o.measure, "measure", 5*time.Second, "busy: how long a turn is")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// waiting shows what it costs to let many wait, and what those are told who are too many.
func waiting(ctx context.Context, binary string, o waitingOptions, out io.Writer) error {
	s := newShown("waiting", out)
	if err := driven.RaiseFileLimit(uint64(max(o.waiting, 2*o.connections) + 1000)); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, string, *shown, waitingOptions) error
	}{{"memory", waitingMemory}, {"busy", waitingBusy}} {
		if o.only != "" && !slices.Contains(strings.Split(o.only, "|"), part.name) {
			continue
		}
		s.say("\n%s", part.name)
		if err := part.run(ctx, binary, s, o); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return s.end(o.results)
}

// waitingMemory lets many buyers ask at once for units all of which somebody has locked, and lets the lock go. Each gets an answer, whoever is told to come again does so with the
// same key, and nobody has more than one unit.
func waitingMemory(ctx context.Context, binary string, s *shown, o waitingOptions) error {
	b, err := newBench(ctx, binary, 1, "--hold", "1h", "--max-waiting", fmt.Sprint(2*o.waiting))
	if err != nil {
		return err
	}
	defer b.stop()
	if err := b.stock("hot", o.waiting); err != nil {
		return err
	}
	pid := b.service.Servers[0].PID()
	before, _ := driven.Memory(pid)
	watched := b.watchMemory()
	buyers, err := b.openConnections(o.waiting)
	defer func() {
		for i := range buyers {
			buyers[i].Close()
		}
	}()
	if err != nil {
		return err
	}
	connected, _ := driven.Memory(pid)
	tx, err := b.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT FROM stock_token FOR UPDATE`); err != nil {
		return err
	}
	var t tally
	var asked, answered, again atomic.Int64
	var all sync.WaitGroup
	for i := range buyers {
		all.Go(func() {
			asked.Add(1)
			for first := true; ctx.Err() == nil; first = false {
				a, err := buyers[i].Do(ctx, driven.Ask{Method: "POST", Path: addToCart, Header: fmt.Sprintf("Idempotency-Key: waiting-%d\r\n", i), Body: `{"sku":"hot","quantity":1}`, Patience: time.Minute})
				if first {
					answered.Add(1)
				}
				if err == nil && a.Status == 503 {
					again.Add(1)
					driven.Pause(ctx, time.Second) // which is what Retry-After says
					continue
				}
				status := 0
				if err == nil {
					status = a.Status
				}
				t.answered(0, "", status)
				return
			}
		})
	}
	driven.Pause(ctx, o.keep)
	atOnce := asked.Load() - answered.Load()
	if err := tx.Rollback(ctx); err != nil {
		return err
	}
	all.Wait()
	points, most := watched()
	s.Charts = append(s.Charts, chart{Title: fmt.Sprintf("MiB that the server has in memory, %d claims waiting", o.waiting), X: "s", Lines: []line{{Name: "memory", Points: points}}})
	s.say("  %d claims waited at once for %s; %d were told to come again, and did; memory %.0f MiB before, %.0f MiB with the connections open, %.0f MiB at most",
		atOnce, o.keep, again.Load(), before, connected, most)
	s.add(figure{Name: "claims that waited at once", Value: float64(atOnce), AtLeast: float64(o.waiting)})
	s.add(figure{Name: "growth of the server's memory, their connections included, MiB", Value: most - before, AtMost: 200})
	s.add(figure{Name: "of that when the connections were open and nobody asked, MiB", Value: connected - before})
	if err := b.addsUp(s, "hot", &t); err != nil {
		return err
	}
	if n := t.held.Load(); n != int64(o.waiting) {
		s.wrong.Add("%d of %d who waited have got their unit", n, o.waiting)
	}
	return nil
}

// openConnections opens a connection for each of so many buyers, and asks something on each.
func (b *bench) openConnections(n int) ([]driven.Conn, error) {
	buyers := make([]driven.Conn, n)
	var next atomic.Int64
	var failed atomic.Value
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && failed.Load() == nil; i = next.Add(1) - 1 {
				buyers[i] = driven.Conn{Address: b.service.Servers[0].Address, Key: b.crowd.tokens[i]}
				if _, err := buyers[i].Do(b.ctx, driven.Ask{Method: "GET", Path: "/livez"}); err != nil {
					failed.CompareAndSwap(nil, err)
				}
			}
		})
	}
	all.Wait()
	err, _ := failed.Load().(error)
	return buyers, err
}

// waitingBusy compares the claims that are served while many more ask than may wait with those of as many as may wait. Whoever is refused asks again after Retry-After.
func waitingBusy(ctx context.Context, binary string, s *shown, o waitingOptions) error {
	b, err := newBench(ctx, binary, 1, "--hold", "1h", "--max-waiting", fmt.Sprint(o.bound))
	if err != nil {
		return err
	}
	defer b.stop()
	c := compareOptions{rounds: 2 * o.rounds, connections: o.bound, measure: o.measure}
	if err := b.stock("hot", c.most()); err != nil {
		return err
	}
	var t tally
	var mute int64
	peak, crowded := fmt.Sprintf("%d connections", o.bound), fmt.Sprintf("%d connections", o.connections)
	run := func(connections int) func() (sample, error) {
		return func() (sample, error) {
			l := b.claimsOf("hot", connections, &t)
			l.warm, l.measure, l.patient = c.warm(), o.measure, true
			got := l.run(ctx)
			mute += got.mute
			return sample{
				PerSecond: got.perSecond(201), P50: got.percentile(0.5, 201), P99: got.percentile(0.99, 201), Busy: got.statuses[503], BusyP99: got.percentile(0.99, 503),
			}, nil
		}
	}
	samples, err := b.rounds([]turn{{name: peak, run: run(o.bound)}, {name: crowded, run: run(o.connections)}}, o.rounds, s.out)
	if err != nil {
		return err
	}
	s.keep(fmt.Sprintf("claims a second that are served, where %d may wait", o.bound), samples, perSecond, peak, crowded)
	s.ratio(figure{Name: "claims/s served, " + crowded + " ÷ " + peak, AtLeast: 0.8}, samples[crowded], samples[peak], perSecond)
	s.middle(figure{Name: "p99 of the answers that it is busy, ms", AtMost: 100}, samples[crowded], func(one sample) float64 { return one.BusyP99 })
	s.middle(figure{Name: "such answers in a turn"}, samples[crowded], func(one sample) float64 { return float64(one.Busy) })
	s.middle(figure{Name: "p99 of the claims that are served meanwhile, ms"}, samples[crowded], p99)
	for i, one := range samples[crowded] {
		if one.Busy == 0 {
			s.wrong.Add("in round %d nobody was told that it is busy", i+1)
		}
	}
	for i, one := range samples[peak] {
		if one.Busy > 0 {
			s.wrong.Add("in round %d %d were told that it is busy, though as many as ask may wait", i+1, one.Busy)
		}
	}
	if mute > 0 {
		s.wrong.Add("%d were told that it is busy, and not when to ask again", mute)
	}
	return b.addsUp(s, "hot", &t)
}
