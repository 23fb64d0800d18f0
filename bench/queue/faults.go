package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// blow is a kill -9, when so many requests have been accepted.
type blow struct {
	after    int64
	postgres bool
}

// blows are spread over the run at random.
func blows(requests, kills, postgresKills int) []blow {
	var all []blow
	for i := range kills + postgresKills {
		all = append(all, blow{after: rand.Int64N(int64(requests)), postgres: i >= kills})
	}
	slices.SortFunc(all, func(a, b blow) int { return int(a.after - b.after) })
	return all
}

// deal deals the blows. Each comes when something has been accepted since the last.
func deal(s *driven.Service, w *crowd, all []blow) (kills, postgresKills int, err error) {
	since := int64(0)
	for _, b := range all {
		for w.ctx.Err() == nil && w.answered.Load() <= max(b.after, since) && w.answered.Load() < int64(len(w.requests)) {
			driven.Pause(w.ctx, time.Millisecond)
		}
		driven.Pause(w.ctx, rand.N(20*time.Millisecond))
		since = w.answered.Load()
		if b.postgres {
			for w.ctx.Err() == nil && !s.KillPostgres() {
				driven.Pause(w.ctx, 10*time.Millisecond)
			}
			postgresKills++
			continue
		}
		i := rand.IntN(len(s.Servers))
		s.Kill(i)
		kills++
		if err := s.Restart(i); err != nil {
			return kills, postgresKills, fmt.Errorf("restart after kill %d: %w", kills, err)
		}
	}
	return kills, postgresKills, w.ctx.Err()
}

// faults lets a crowd send requests while what serves them is killed again and again.
func faults(ctx context.Context, binary string, servers, kills, postgresKills int, o orders, out io.Writer) (*verdict, error) {
	s, err := startService(ctx, binary, servers)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	if err := stock(s, o.stock()); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "faults: %d requests by %d clients over %d servers, %d products, %d units\n",
		o.requests, o.clients, servers, o.products, o.requests/2)
	w := newCrowd(ctx, s, o)
	dealt := make(chan error, 1)
	var killed, postgresKilled int
	go func() {
		var err error
		killed, postgresKilled, err = deal(s, w, blows(o.requests, kills, postgresKills))
		dealt <- err
	}()
	w.run(o.clients)
	if err := <-dealt; err != nil {
		return nil, err
	}
	took := time.Since(w.began)
	w.askAgain(o.clients, o.requests/20)
	v, err := judge(s, w, o.stock())
	if err != nil {
		return nil, err
	}
	v.took = took
	fmt.Fprintf(out, "killed    lastunit %d times, PostgreSQL %d times\n", killed, postgresKilled)
	v.print(out)
	return v, nil
}
