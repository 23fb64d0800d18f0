package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// turn is one of the things that are measured in turn.
type turn struct {
	name   string
	system *system
	// load is what is sent; status is the answer that counts, and units how much each is worth.
	load   load
	status int
	units  float64
	// run measures something else than a load.
	run func() (sample, error)
}

// sample is what one turn of one round has shown.
type sample struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// Processor time a request: of the servers, of their store, of this program.
	ServerMicros    float64 `json:"server_us"`
	StoreMicros     float64 `json:"store_us"`
	GeneratorMicros float64 `json:"generator_us"`
	// What PostgreSQL wrote into its log a request, and which part of that were pages that it writes whole when they change first after a checkpoint.
	WALBytes      float64 `json:"wal_bytes,omitempty"`
	WALPageImages float64 `json:"wal_page_images,omitempty"`
	// Answers that it is busy, where there are to be some.
	Busy    int64   `json:"busy,omitempty"`
	BusyP99 float64 `json:"busy_p99_ms,omitempty"`
	// Seconds is how long it took, where one thing was done.
	Seconds float64 `json:"seconds,omitempty"`
}

// measure runs a load and takes the processor times.
func (b *bench) measure(s *system, l load, status int, units float64) (sample, error) {
	return b.measureIn(b.ctx, s, l, status, units)
}

// measureIn measures until ctx ends, or the load.
func (b *bench) measureIn(ctx context.Context, s *system, l load, status int, units float64) (sample, error) {
	var before, after [3]time.Duration
	var logBefore, logAfter walSpent
	log, err := b.wal(ctx, s)
	if err != nil {
		return sample{}, err
	}
	defer log.close()
	own := []int{os.Getpid()}
	store := s.store
	if store == nil {
		store = func() []int { return nil }
	}
	take := func(at *[3]time.Duration, logged *walSpent) func() {
		return func() {
			*logged = log.spent()
			*at = [3]time.Duration{driven.ProcessorTime(s.servers), driven.ProcessorTimeOfAll(store()), driven.ProcessorTime(own)}
		}
	}
	l.crowd, l.addresses = b.crowd, s.addresses
	warm := l.atWarm
	l.atWarm, l.atEnd = take(&before, &logBefore), take(&after, &logAfter)
	if warm != nil {
		l.atWarm = func() {
			take(&before, &logBefore)()
			warm()
		}
	}
	o := l.run(ctx)
	for o.all()+o.faults == 0 && l.measure < time.Minute && ctx.Err() == nil { // too short a time for this machine
		l.measure *= 4
		o = l.run(ctx)
	}
	if got, all := o.statuses[status], o.all()+o.faults; got < all*99/100 || got == 0 {
		return sample{}, fmt.Errorf("%s: %d of %d requests were answered %d: %v", s.name, got, all, status, o.statuses)
	}
	n := float64(o.all())
	per := func(i int) float64 { return float64((after[i] - before[i]).Microseconds()) / n }
	return sample{
		PerSecond: o.perSecond(status) * units, P50: o.percentile(0.5, status), P99: o.percentile(0.99, status),
		ServerMicros: per(0), StoreMicros: per(1), GeneratorMicros: per(2),
		WALBytes: (logAfter.bytes - logBefore.bytes) / n, WALPageImages: (logAfter.images - logBefore.images) / n,
	}, nil
}

// rounds lets everybody have a turn in each round.
func (b *bench) rounds(turns []turn, rounds int, out io.Writer) (map[string][]sample, error) {
	return b.orderedRounds(func(int) []turn { return turns }, rounds, out)
}

// orderedRounds is rounds, with an order of turns for each.
func (b *bench) orderedRounds(turns func(round int) []turn, rounds int, out io.Writer) (map[string][]sample, error) {
	samples := map[string][]sample{}
	for round := range rounds {
		fmt.Fprintf(out, "round %d of %d\n", round+1, rounds)
		for _, t := range turns(round) {
			if err := b.ctx.Err(); err != nil {
				return nil, err
			}
			if err := b.quiet(); err != nil {
				return nil, err
			}
			run := t.run
			if run == nil {
				run = func() (sample, error) { return b.measure(t.system, t.load, t.status, max(t.units, 1)) }
			}
			s, err := run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			samples[t.name] = append(samples[t.name], s)
			if s.Seconds > 0 {
				fmt.Fprintf(out, "  %-28s %8.2f s\n", t.name, s.Seconds)
				continue
			}
			fmt.Fprintf(out, "  %-28s %8.0f/s  p50 %6.1f ms  p99 %6.1f ms  processor time: server %4.0f us, store %4.0f us, generator %4.0f us  WAL: %5.0f bytes, %.2f pages\n",
				t.name, s.PerSecond, s.P50, s.P99, s.ServerMicros, s.StoreMicros, s.GeneratorMicros, s.WALBytes, s.WALPageImages)
		}
	}
	return samples, nil
}

// median of a figure over the rounds, with the least and the most.
func median(samples []sample, figure func(sample) float64) (middle, least, most float64) {
	var all []float64
	for _, s := range samples {
		all = append(all, figure(s))
	}
	return spread(all)
}

func spread(values []float64) (middle, least, most float64) {
	all := slices.Sorted(slices.Values(values))
	return all[len(all)/2], all[0], all[len(all)-1]
}

func perSecond(s sample) float64 { return s.PerSecond }
func seconds(s sample) float64   { return s.Seconds }
func p99(s sample) float64       { return s.P99 }

type compareOptions struct {
	rounds      int
	connections int
	measure     time.Duration
	only        string
	results     string
}

func compare(ctx context.Context, binary string, o compareOptions, out io.Writer) error {
	// Of the contenders none puts away holds that have lapsed: in a run that is longer than ours last, only our turns would pay for it. What that costs is in grows.
	b, err := newBench(ctx, binary, 4, "--hold", "1h")
	if err != nil {
		return err
	}
	defer b.stop()
	turns, err := b.turns(o)
	if err != nil {
		return err
	}
	// Each round begins with another turn: a checkpoint comes about once in a round, and whoever is next pays for the pages that are logged whole after it.
	samples, err := b.orderedRounds(func(round int) []turn {
		first := round * len(turns) / o.rounds
		return slices.Concat(turns[first:], turns[:first])
	}, o.rounds, out)
	if err != nil {
		return err
	}
	return report(samples, o, out)
}
