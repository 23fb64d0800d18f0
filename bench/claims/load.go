package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

// crowd is many buyers with their tokens, signed beforehand.
type crowd struct{ names, tokens []string }

func newCrowd(secret string, n int) (*crowd, error) {
	c := &crowd{}
	for i := range n {
		name := fmt.Sprintf("buyer-%06d", i)
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": name, "exp": time.Now().Add(24 * time.Hour).Unix()}).SignedString([]byte(secret))
		if err != nil {
			return nil, err
		}
		c.names, c.tokens = append(c.names, name), append(c.tokens, token)
	}
	return c, nil
}

// load sends requests over connections that are kept alive, each connection one after the other.
type load struct {
	addresses   []string // the connections are spread over them
	connections int
	crowd       *crowd
	path        string
	body        func(n int64) string // of the nth request
	// then goes on after the answer, for the same buyer on the same connection, and returns the status that counts; nil: that was all.
	then          func(ask func(path, body string) (int, []byte, error), status int, answer []byte) (int, error)
	warm, measure time.Duration
	// requests is how many are sent at most; 0: as many as there is time for.
	requests int64
	// arrivals tell when each request is sent, from the beginning on, whatever has become of those before it: its latency counts from then. nil: each
	// connection sends the next when it has been answered.
	arrivals []time.Duration
	// patient connections that are answered 503 pause for as long as Retry-After says.
	patient bool
	// atWarm is called when the measuring begins, atEnd when it ends.
	atWarm, atEnd func()
	// answered is told of each answer, by the connection; nil: nobody is.
	answered func(connection int, key string, status int)
}

// outcome is what a load has seen while it measured.
type outcome struct {
	seconds   float64
	statuses  map[int]int64
	faults    int64 // requests without an answer
	mute      int64 // 503 that did not say when to ask again
	latencies map[int][]uint32
}

// perSecond is how many answers with a status came in a second.
func (o outcome) perSecond(status int) float64 { return float64(o.statuses[status]) / o.seconds }

// all is how many answers of any status.
func (o outcome) all() (n int64) {
	for _, k := range o.statuses {
		n += k
	}
	return n
}

// percentile of the latencies of the answers with a status, in ms.
func (o outcome) percentile(p float64, status int) float64 {
	all := o.latencies[status]
	if len(all) == 0 {
		return 0
	}
	return float64(all[min(int(p*float64(len(all))), len(all)-1)]) / 1000
}

var keys atomic.Int64 // so that no key is sent twice

func (l load) run(ctx context.Context) outcome {
	began := time.Now()
	from, to := began.Add(l.warm), began.Add(l.warm+l.measure)
	var next atomic.Int64
	parts := make([]outcome, l.connections)
	var all, timed sync.WaitGroup
	for i := range l.connections {
		all.Go(func() { parts[i] = l.connection(ctx, i, &next, from, to) })
	}
	ended := make(chan struct{})
	timed.Go(func() {
		for _, at := range []struct {
			when time.Time
			call func()
		}{{from, l.atWarm}, {to, l.atEnd}} {
			timer := time.NewTimer(time.Until(at.when))
			select {
			case <-timer.C:
			case <-ended:
			case <-ctx.Done():
			}
			timer.Stop()
			if at.call != nil {
				at.call()
			}
		}
	})
	all.Wait()
	sum := outcome{seconds: min(l.measure, time.Since(from)).Seconds(), statuses: map[int]int64{}, latencies: map[int][]uint32{}}
	close(ended)
	timed.Wait()
	for _, p := range parts {
		for status, n := range p.statuses {
			sum.statuses[status] += n
		}
		sum.faults += p.faults
		sum.mute += p.mute
		for status, some := range p.latencies {
			sum.latencies[status] = append(sum.latencies[status], some...)
		}
	}
	for _, some := range sum.latencies {
		slices.Sort(some)
	}
	return sum
}

// connection sends one request after the other until the time is up.
func (l load) connection(ctx context.Context, i int, next *atomic.Int64, from, to time.Time) (o outcome) {
	o.statuses, o.latencies = map[int]int64{}, map[int][]uint32{}
	address := l.addresses[i%len(l.addresses)]
	c := driven.Wire{Address: address}
	defer c.Close()
	var request []byte
	open := l.arrivals != nil
	for began := time.Now(); ctx.Err() == nil && (open || began.Before(to)); began = time.Now() {
		n := next.Add(1) - 1
		if l.requests > 0 && n >= l.requests || open && n >= int64(len(l.arrivals)) {
			break
		}
		if open {
			began = from.Add(l.arrivals[n] - l.warm)
			driven.Pause(ctx, time.Until(began))
		}
		buyer := int(n) % len(l.crowd.tokens)
		key := ""
		ask := func(path, body string) (int, []byte, error) {
			key = strconv.FormatInt(keys.Add(1), 36)
			request = driven.Post(request[:0], address, path, l.crowd.tokens[buyer], "Idempotency-Key: "+key+"\r\n", body)
			return c.Ask(request)
		}
		status, text, err := ask(l.path, l.body(n))
		if l.then != nil && err == nil {
			status, err = l.then(ask, status, text)
		}
		now := time.Now()
		if l.answered != nil {
			l.answered(i, l.crowd.names[buyer]+" "+key, status)
		}
		busy := l.patient && err == nil && status == 503
		if busy {
			driven.Pause(ctx, min(max(c.RetryAfter, time.Millisecond), time.Until(to)))
		}
		if open && began.Before(from) || !open && (now.Before(from) || now.After(to)) {
			continue
		}
		if busy && c.RetryAfter == 0 {
			o.mute++
		}
		if err != nil {
			o.faults++
			continue
		}
		o.statuses[status]++
		o.latencies[status] = append(o.latencies[status], uint32(now.Sub(began).Microseconds()))
	}
	return o
}
