package rehearsal

import (
	"time"
)

// Course is how a rehearsal went, from the release of the buyers on.
type Course struct {
	Step    time.Duration
	Moments []Moment       // of a step each, without a gap
	Last    time.Duration  // when the last answer came
	SoldOut *time.Duration // when the last unit was held; nil: some are left, or there were none
}

// Moment is what was answered within a step.
type Moment struct {
	Held    int            // requests that got their units
	Units   int            // that they got
	Refused map[string]int // by problem code
	Faults  int            // answers that were neither
	Latency *Latency       // of all that were answered; nil when nobody was
}

// momentsAtMost is how many steps a course has at most.
const momentsAtMost = 120

// courseOf cuts answers into steps. Those that never came are in none.
func courseOf(answers []answer, stock int, released time.Time) *Course {
	c := &Course{Moments: []Moment{}}
	units := 0
	var lastUnit time.Duration
	for _, a := range answers {
		if a.answeredAt.IsZero() {
			continue
		}
		at := a.answeredAt.Sub(released)
		c.Last = max(c.Last, at)
		if a.held != nil {
			units += len(a.held.UnitIDs)
			lastUnit = max(lastUnit, at)
		}
	}
	if stock > 0 && units >= stock {
		c.SoldOut = &lastUnit
	}
	if c.Last <= 0 {
		return c
	}
	c.Step = stepFor(c.Last)
	c.Moments = make([]Moment, int(c.Last/c.Step)+1)
	latencies := make([][]time.Duration, len(c.Moments))
	for _, a := range answers {
		if a.answeredAt.IsZero() {
			continue
		}
		n := int(max(a.answeredAt.Sub(released), 0) / c.Step)
		m := &c.Moments[n]
		switch {
		case a.held != nil:
			m.Held++
			m.Units += len(a.held.UnitIDs)
		case a.refused != nil:
			if m.Refused == nil {
				m.Refused = map[string]int{}
			}
			m.Refused[a.refused.Code]++
		default:
			m.Faults++
		}
		if !a.unanswered {
			latencies[n] = append(latencies[n], a.latency)
		}
	}
	for n := range c.Moments {
		c.Moments[n].Latency = percentiles(latencies[n])
	}
	return c
}

// stepFor is the shortest of 1, 2, 5, 10, ... ms that makes few enough steps.
func stepFor(last time.Duration) time.Duration {
	for base := time.Millisecond; ; base *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if last/(n*base) < momentsAtMost {
				return n * base
			}
		}
	}
}
