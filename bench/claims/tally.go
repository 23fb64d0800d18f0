package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// tally counts what the buyers of a product were answered, whenever it was.
type tally struct {
	held, busy, refused, unknown atomic.Int64
	reached                      atomic.Int32 // tenth of what is to be held
}

func (t *tally) answered(_ int, _ string, status int) {
	switch status {
	case 201:
		t.held.Add(1)
	case 503:
		t.busy.Add(1)
	case 0:
		t.unknown.Add(1)
	default:
		t.refused.Add(1)
	}
}

// addsUp holds the rows of a product, of which there were units for everybody and each claim asked for one, against what its buyers were answered.
func (b *bench) addsUp(s *shown, sku string, tallies ...*tally) error {
	var received, tokens, held, live, holds int64
	err := b.db.QueryRow(b.ctx, `SELECT
			(SELECT coalesce(sum(quantity), 0) FROM receipt WHERE receipt.product_id = product.product_id),
			(SELECT count(*) FROM stock_token WHERE stock_token.product_id = product.product_id),
			(SELECT coalesce(sum(quantity), 0) FROM claim WHERE claim.product_id = product.product_id AND claim.status = 'held'),
			(SELECT count(*) FROM claim JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
				WHERE claim.product_id = product.product_id),
			(SELECT count(*) FROM claim WHERE claim.product_id = product.product_id AND claim.status = 'held')
		FROM product WHERE sku = $1`, sku).Scan(&received, &tokens, &held, &live, &holds)
	if err != nil {
		return err
	}
	var said, busy, refused, unknown int64
	for _, t := range tallies {
		said, busy, refused, unknown = said+t.held.Load(), busy+t.busy.Load(), refused+t.refused.Load(), unknown+t.unknown.Load()
	}
	s.say("%s: %d units received, %d to be claimed, %d held; %d claims were answered 201, %d busy, %d not at all", sku, received, tokens, held, said, busy, unknown)
	if received != tokens+live || held != live {
		s.wrong.Add("%s: %d units were received, and there are %d tokens and %d units in carts, of holds of %d", sku, received, tokens, live, held)
	}
	if holds < said || holds > said+unknown {
		s.wrong.Add("%s: %d claims were answered 201, %d not at all, and there are %d", sku, said, unknown, holds)
	}
	if refused > 0 {
		s.wrong.Add("%s: %d claims were refused, and there were units", sku, refused)
	}
	return nil
}

// claimsOf is a load of direct claims of a product by so many connections of lastunit's first server.
func (b *bench) claimsOf(sku string, connections int, t *tally) load {
	return load{
		addresses: b.lastunit(1).addresses, connections: connections, crowd: b.crowd, path: addToCart, body: one(sku, 1), warm: time.Second, measure: time.Hour, answered: t.answered,
	}
}

// during measures a load for as long as something lasts, which begins when the load is under way.
func (b *bench) during(l load, what func() error) (sample, error) {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	var failed error
	var answers atomic.Int64
	answered := l.answered
	l.answered = func(connection int, key string, status int) {
		answers.Add(1)
		answered(connection, key, status)
	}
	l.atWarm = func() {
		before := answers.Load()
		failed = what()
		for failed == nil && answers.Load() == before && ctx.Err() == nil { // it was over before anybody was answered
			driven.Pause(ctx, 5*time.Millisecond)
		}
		stop()
	}
	s, err := b.measureIn(ctx, b.lastunit(1), l, 201, 1)
	if failed != nil {
		return sample{}, failed
	}
	return s, err
}

// timed is a turn that does one thing.
func timed(what func() error) func() (sample, error) {
	return func() (sample, error) {
		began := time.Now()
		err := what()
		return sample{Seconds: time.Since(began).Seconds()}, err
	}
}

// besides are turns that claim a product while nothing else goes on, and while something lasts, of which it keeps how long that took.
func (b *bench) besides(l load, measure time.Duration, what func() error, alone, meanwhile string, took *[]sample) []turn {
	return []turn{
		{name: alone, run: func() (sample, error) {
			l := l
			l.measure = measure
			return b.measure(b.lastunit(1), l, 201, 1)
		}},
		{name: meanwhile, run: func() (sample, error) {
			return b.during(l, func() error {
				one, err := timed(what)()
				*took = append(*took, one)
				return err
			})
		}},
	}
}

// disturbed adds what claims lose while something else goes on.
func (s *shown) disturbed(by string, meanwhile, alone []sample) {
	s.ratio(figure{Name: "claims/s during " + by + " ÷ without", AtLeast: 0.9}, meanwhile, alone, perSecond)
	s.middle(figure{Name: "p99 of claims without " + by + ", ms"}, alone, p99)
	s.middle(figure{Name: "p99 of claims during " + by + ", ms"}, meanwhile, p99)
	for _, who := range []struct {
		name   string
		micros func(sample) float64
	}{
		{"the server", func(one sample) float64 { return one.ServerMicros }},
		{"PostgreSQL", func(one sample) float64 { return one.StoreMicros }},
		{"the generator", func(one sample) float64 { return one.GeneratorMicros }},
	} {
		used := func(one sample) float64 { return who.micros(one) * one.PerSecond / 1e6 }
		s.middle(figure{Name: "processors that " + who.name + " used without " + by}, alone, used)
		s.middle(figure{Name: "processors that " + who.name + " used during " + by}, meanwhile, used)
	}
}

// watchMemory looks at what the first server has in memory, over and over, until it is told to stop; then it tells what that was over the seconds, and the most.
func (b *bench) watchMemory() (stop func() (points [][2]float64, most float64)) {
	ctx, end := context.WithCancel(b.ctx)
	pid, began := b.service.Servers[0].PID(), time.Now()
	done := make(chan struct{})
	var points [][2]float64
	var most float64
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			now, _ := driven.Memory(pid)
			points = append(points, [2]float64{time.Since(began).Seconds(), now})
			most = max(most, now)
			driven.Pause(ctx, 100*time.Millisecond)
		}
	}()
	return func() ([][2]float64, float64) {
		end()
		<-done
		return points, most
	}
}
