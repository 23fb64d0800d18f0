package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// verdict is what a run of a crowd came to.
type verdict struct {
	findings
	pairs                                                         int64
	accepted, by202, held, refused, direct, cancelled, unanswered int
	sightings                                                     int
	audit                                                         string
	took                                                          time.Duration
}

// judge holds what the crowd saw, the database and the audit against each other.
func judge(s *driven.Service, w *crowd, stock map[string]int) (*verdict, error) {
	v := &verdict{}
	rows, err := rowsOf(w.ctx, s)
	if err != nil {
		return nil, err
	}
	var order, stocked findings
	v.pairs, order = checkOrder(w.requests, rows)
	v.held, stocked = checkStock(w.requests, stock)
	v.findings = slices.Concat(checkLives(w.requests), checkUnits(w.requests), order, checkDatabase(w.requests, rows), stocked)
	for _, r := range w.requests {
		v.unanswered += r.unanswered
		v.sightings += len(r.seen)
		if r.refusal != "" {
			v.direct++
			continue
		}
		if r.accepted > 0 && !r.direct {
			v.accepted++
		}
		if r.by202 {
			v.by202++
		}
		if n := len(r.seen); n > 0 && r.seen[n-1].status == "refused" {
			v.refused++
		} else if n > 0 && r.seen[n-1].status == "released" {
			v.cancelled++
		}
	}
	if v.audit, err = s.Audit(); err != nil {
		v.Add("%v", err)
	}
	return v, nil
}

func (v *verdict) print(w io.Writer) {
	fmt.Fprintf(w, "accepted  %d (%d by a 202, the others by their outcome: with Prefer: wait, or in a retry), %d attempts had no answer at first\n", v.accepted, v.by202, v.unanswered)
	fmt.Fprintf(w, "outcome   %d held, %d refused, %d refused directly, %d cancelled\n", v.held, v.refused, v.direct, v.cancelled)
	fmt.Fprintf(w, "checked   %d sightings, %d ordered pairs\n", v.sightings, v.pairs)
	fmt.Fprintf(w, "audit     %s\n", v.audit)
	fmt.Fprintf(w, "took      %.1f s\n", v.took.Seconds())
	for _, line := range v.First(20) {
		fmt.Fprintln(w, "BROKEN:", line)
	}
	fmt.Fprintf(w, "%d invariants broken\n", len(v.findings))
}

// order lets a crowd send requests to two servers or more, and looks at who was served first.
func order(ctx context.Context, binary string, servers int, o orders, out io.Writer) (*verdict, error) {
	s, err := startService(ctx, binary, servers)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	if err := stock(s, o.stock()); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "order: %d requests by %d clients over %d servers, %d products, %d units\n",
		o.requests, o.clients, servers, o.products, o.requests/2)
	w := newCrowd(ctx, s, o)
	w.run(o.clients)
	took := time.Since(w.began)
	w.askAgain(o.clients, o.requests/10)
	v, err := judge(s, w, o.stock())
	if err == nil {
		v.took = took
		v.print(out)
	}
	return v, err
}
