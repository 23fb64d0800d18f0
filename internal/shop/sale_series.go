package shop

import (
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// SalePlaces is where units of a sale are: available is what can be sold through it, with what has lapsed; the others went through it.
type SalePlaces struct {
	Available, Held, Ordered, Sold int64
}

// salePoint is a stretch of a sale's course: what was answered after from and until at, and where the units were then.
type salePoint struct {
	from, at  time.Time
	sampled   bool // places and queued were counted in this stretch, and not before it
	places    SalePlaces
	queued    int64
	claims    int64
	units     int64
	refusals  map[Code]int64
	latencies *latencies // nil: nobody was answered
}

// saleSeries is the course of a sale: points that follow each other without a gap.
type saleSeries struct {
	points []salePoint
	step   time.Duration // to which the older points are merged
	// located: where the units were is known of the points.
	located bool
}

const (
	rawSeconds  = 600  // how many seconds are kept one by one
	pointsKept  = 1200 // how many older points are kept at most, merged to ever longer steps
	pointsShown = 600
)

// readAfter puts what was read of everything after an instant in the place of what was known of it.
func (s *saleSeries) readAfter(after time.Time, counts []dbsqlc.SaleCountSinceRow, samples []dbsqlc.SaleSampleSinceRow) {
	for len(s.points) > 0 && s.points[len(s.points)-1].at.After(after) {
		s.points = s.points[:len(s.points)-1]
	}
	for len(counts)+len(samples) > 0 {
		var at time.Time
		if len(samples) == 0 || len(counts) > 0 && counts[0].At.Before(samples[0].At) {
			at = counts[0].At
		} else {
			at = samples[0].At
		}
		p := salePoint{from: at.Add(-time.Second), at: at}
		for len(counts) > 0 && counts[0].At.Equal(at) {
			p.addCount(counts[0])
			counts = counts[1:]
		}
		if len(samples) > 0 && samples[0].At.Equal(at) {
			row := samples[0]
			p.sampled, p.queued = true, row.Queued
			p.places = SalePlaces{Available: row.Available, Held: row.Held, Ordered: row.Ordered, Sold: row.Sold}
			samples = samples[1:]
		}
		s.append(p)
		if len(s.points) > rawSeconds+4*pointsKept {
			s.compact(at)
		}
	}
}

func (p *salePoint) addCount(row dbsqlc.SaleCountSinceRow) {
	if row.Outcome == string(countHeld) {
		p.claims += row.CallCount
		p.units += row.UnitCount
	} else {
		if p.refusals == nil {
			p.refusals = map[Code]int64{}
		}
		p.refusals[Code(row.Outcome)] += row.CallCount
	}
	if p.latencies == nil {
		p.latencies = &latencies{}
	}
	p.latencies.addPairs(row.Latencies)
}

// append adds a point behind the last. The time between them, in which nobody was answered, is a point of its own where somebody was answered in this one, so
// that a rate is that of its second.
func (s *saleSeries) append(p salePoint) {
	if p.sampled && !s.located {
		for i := range s.points { // answers of the second before the first sample
			s.points[i].places, s.points[i].queued = p.places, p.queued
		}
		s.located = true
	}
	if n := len(s.points); n > 0 {
		last := s.points[n-1]
		if !p.sampled {
			p.places, p.queued = last.places, last.queued
		}
		if p.latencies == nil {
			p.from = last.at
		} else if p.from.After(last.at) {
			s.points = append(s.points, salePoint{from: last.at, at: p.from, places: last.places, queued: last.queued})
		}
	}
	s.points = append(s.points, p)
}

// compact merges what is older than rawSeconds when it has become too much.
func (s *saleSeries) compact(now time.Time) {
	old, _ := slices.BinarySearchFunc(s.points, now.Add(-rawSeconds*time.Second), func(p salePoint, at time.Time) int { return p.at.Compare(at) })
	if s.step == 0 {
		s.step = time.Second
	}
	for old > pointsKept {
		s.step *= 2
		merged := mergePoints(s.points[:old], s.step)
		s.points = append(merged, s.points[old:]...)
		old = len(merged)
	}
}

// mergePoints merges neighbours that end in the same step: counts add up, places are the last.
func mergePoints(points []salePoint, step time.Duration) []salePoint {
	var merged []salePoint
	for _, p := range points {
		if n := len(merged); n > 0 && stepOf(merged[n-1].at, step) == stepOf(p.at, step) {
			merged[n-1] = merged[n-1].with(p)
			continue
		}
		merged = append(merged, p)
	}
	return merged
}

func stepOf(at time.Time, step time.Duration) int64 {
	return (at.UnixNano() - 1) / int64(step)
}

// with is the stretch of two neighbours. It changes neither of them.
func (p salePoint) with(next salePoint) salePoint {
	sum := next
	sum.from = p.from
	sum.sampled = p.sampled || next.sampled
	sum.claims += p.claims
	sum.units += p.units
	if len(p.refusals) > 0 {
		sum.refusals = map[Code]int64{}
		for _, of := range []salePoint{p, next} {
			for code, n := range of.refusals {
				sum.refusals[code] += n
			}
		}
	}
	if p.latencies != nil {
		both := *p.latencies
		if next.latencies != nil {
			both.add(next.latencies)
		}
		sum.latencies = &both
	}
	return sum
}

// thin merges points to at most so many, evenly: to the shortest step of 1, 2, 4, ... s that does.
func thin(points []salePoint, atMost int) []salePoint {
	for step := 2 * time.Second; len(points) > atMost; step *= 2 {
		points = mergePoints(points, step)
	}
	return points
}
