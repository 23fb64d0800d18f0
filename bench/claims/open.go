package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

type openOptions struct {
	rounds, connections, most int
	measure                   time.Duration
	results                   string
}

func (o *openOptions) flags(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 7, "how often each has a turn")
	f.IntVar(&o.connections, "connections", 256, "of the buyers that the peak is measured with")
	f.IntVar(&o.most, "most", 1024, "connections that requests arrive on: as many can be under way at once")
	f.DurationVar(&o.measure, "measure", 5*time.Second, "how long a turn is")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// open shows what claims take when they arrive by the clock, at half of the peak, whatever has become of those before them: beside a no-op, and beside a flush of the disk.
func open(ctx context.Context, binary string, o openOptions, out io.Writer) error {
	b, err := newBench(ctx, binary, 1, "--hold", "1h")
	if err != nil {
		return err
	}
	defer b.stop()
	s := newShown("open", out)
	c := compareOptions{rounds: o.rounds + 3, connections: o.connections, measure: o.measure}
	if err := b.stock("hot", c.most()); err != nil {
		return err
	}
	noop, err := b.contender("no-op", "no-op", 1)
	if err != nil {
		return err
	}
	var t tally
	l := b.claimsOf("hot", o.connections, &t)
	l.warm, l.measure = c.warm(), o.measure
	peaks, err := b.rounds([]turn{{name: "peak", system: b.lastunit(1), load: l, status: 201}}, 3, out)
	if err != nil {
		return err
	}
	peak := first(median(peaks["peak"], perSecond))
	s.say("requests arrive %.0f times a second from here on, half of the peak, at random", peak/2)
	l.connections = o.most
	var flushes, alone []float64
	arrive := func(to *system, answered func(int, string, int)) func() (sample, error) {
		return func() (sample, error) {
			l := l
			l.answered, l.arrivals = answered, arrivals(peak/2, l.warm+l.measure)
			return b.measure(to, l, 201, 1)
		}
	}
	flush := func(into *[]float64, during func() (sample, error)) (one sample, err error) {
		taken, err := b.flushes(func() error {
			one, err = during()
			return err
		})
		*into = append(*into, first(spread(taken)))
		return one, err
	}
	samples, err := b.rounds([]turn{
		{name: "no-op", run: arrive(noop, nil)},
		{name: "lastunit", run: func() (sample, error) { return flush(&flushes, arrive(b.lastunit(1), t.answered)) }},
		{name: "a flush alone", run: func() (sample, error) {
			return flush(&alone, timed(func() error {
				driven.Pause(ctx, c.warm())
				return nil
			}))
		}},
	}, o.rounds, out)
	if err != nil {
		return err
	}
	s.keep("p99 in ms, at half of the peak", samples, p99, "no-op", "lastunit")
	flushed := line{Name: "4 flushes"}
	for i, ms := range flushes {
		flushed.Points = append(flushed.Points, [2]float64{float64(i + 1), 4 * ms})
	}
	s.Charts[0].Lines = append(s.Charts[0].Lines, flushed)
	s.middle(figure{Name: "peak, claims/s"}, peaks["peak"], perSecond)
	s.middle(figure{Name: "p50 of claims, ms"}, samples["lastunit"], func(one sample) float64 { return one.P50 })
	s.middle(figure{Name: "p50 of the no-op, ms"}, samples["no-op"], func(one sample) float64 { return one.P50 })
	s.middle(figure{Name: "p99 of the no-op, ms"}, samples["no-op"], p99)
	s.middleOf(figure{Name: "median flush of 8 KiB while claims arrive, ms"}, flushes)
	s.middleOf(figure{Name: "median flush of 8 KiB while nothing goes on, ms"}, alone)
	allowed := first(median(samples["no-op"], p99)) + 4*first(spread(flushes))
	s.middle(figure{Name: "p99 of claims, ms, beside p99 of the no-op and 4 flushes", AtMost: allowed}, samples["lastunit"], p99)
	s.ratio(figure{Name: "p99 of claims ÷ p99 of the no-op"}, samples["lastunit"], samples["no-op"], p99)
	if err := b.addsUp(s, "hot", &t); err != nil {
		return err
	}
	return s.end(o.results)
}

// arrivals are the instants, from the beginning on, at which requests arrive at random, so many a second.
func arrivals(perSecond float64, during time.Duration) (at []time.Duration) {
	for when := 0.0; when < during.Seconds(); when += rand.ExpFloat64() / perSecond {
		at = append(at, time.Duration(when*float64(time.Second)))
	}
	return at
}

// flushes writes 8 KiB again and again, every 20 ms, as PostgreSQL writes its log: into a file that is there already, in the file system of the data directory, each flushed to the
// disk. It tells what each took, in ms, until something is done.
func (b *bench) flushes(during func() error) (taken []float64, err error) {
	f, err := os.CreateTemp(b.service.Dir(), "flush-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const page, pages = 8 << 10, 2048
	if _, err := f.Write(make([]byte, page*pages)); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	synced, err := os.OpenFile(f.Name(), os.O_WRONLY|syscall.O_DSYNC, 0)
	if err != nil {
		return nil, err
	}
	defer synced.Close()
	done := make(chan error, 1)
	go func() { done <- during() }()
	text := slices.Repeat([]byte("x"), page)
	for n := int64(0); ; n++ {
		began := time.Now()
		if _, err := synced.WriteAt(text, n%pages*page); err != nil {
			return nil, fmt.Errorf("flush: %w", err)
		}
		taken = append(taken, float64(time.Since(began).Microseconds())/1000)
		select {
		case err := <-done:
			return taken, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
