package rehearsal

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// Report is what came of a rehearsal. It marshals to snake_case JSON, with "ok" for OK.
type Report struct {
	StartedAt  time.Time    `json:"started_at"`
	FinishedAt time.Time    `json:"finished_at"`
	Servers    []string     `json:"servers"`
	Rate       float64      `json:"rate"` // requests per second; 0: all at once
	Mode       Mode         `json:"mode"`
	Poll       bool         `json:"poll"` // queued buyers knew two calls only, see Options
	Kept       bool         `json:"kept"` // the products were left
	Incomplete bool         `json:"incomplete"`
	Cases      []CaseReport `json:"cases"` // that were played to the end
}

// CaseReport is what came of one case. Requests add up: Buyers = Held + all Refused + Faults.
type CaseReport struct {
	Case
	SKU          string         `json:"sku"`
	Sent         int            `json:"sent"`          // requests that left whole
	Held         int            `json:"held"`          // requests that got their units
	Refused      map[string]int `json:"refused"`       // by problem code
	Faults       int            `json:"faults"`        // requests without an answer, or with one that is neither
	FaultReasons map[string]int `json:"fault_reasons"` // the same by reason
	Late         int            `json:"late"`          // sent too long after their instant; only under a rate
	Retries      int            `json:"retries"`       // times that a request was sent again with its key
	Latency      *Latency       `json:"latency_ms"`    // to the outcome; null when there was none
	Ways         []WayReport    `json:"ways"`          // the same by the way that buyers asked: direct, queued, or both
	UnitsHeld    int            `json:"units_held"`    // in the answers
	UnitsLeft    int            `json:"units_left"`    // available, by the database; by the answers when it could not be asked
	Places       *Places        `json:"places"`        // null when they could not be read
	AuditOK      bool           `json:"audit_ok"`
	Broken       []string       `json:"broken"` // each broken promise, a sentence; empty when all were kept
	Naive        *NaiveReport   `json:"naive"`  // null without the naive shop
	Course       *Course        `json:"-"`
}

// WayReport is what came of the requests that went one way.
type WayReport struct {
	Way           Mode     `json:"way"` // direct or queued
	Buyers        int      `json:"buyers"`
	Held          int      `json:"held"`
	Refused       int      `json:"refused"`
	Faults        int      `json:"faults"`
	AcceptLatency *Latency `json:"accept_latency_ms"` // to the 202, or to the outcome if that came at once; null when nothing came
	Latency       *Latency `json:"latency_ms"`        // to the outcome; null when there was none
}

// Latency is in milliseconds, from the release of a request to its final answer, retries included.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// NaiveReport is what the same crowd did to the naive shop.
type NaiveReport struct {
	Orders    int      `json:"orders"`
	UnitsSold int      `json:"units_sold"`
	StockNow  int      `json:"stock_now"` // negative: units that were sold and do not exist
	Refused   int      `json:"refused"`
	Faults    int      `json:"faults"`
	Latency   *Latency `json:"latency_ms"`
}

// OK says that every case was played and no promise broken. What the naive shop did plays no part.
func (r *Report) OK() bool {
	return r != nil && !r.Incomplete && len(r.Cases) > 0 && !slices.ContainsFunc(r.Cases, func(c CaseReport) bool { return !c.ok() })
}

func (c *CaseReport) ok() bool { return len(c.Broken) == 0 }

// MarshalJSON adds "ok" to the fields.
func (r *Report) MarshalJSON() ([]byte, error) {
	type fields Report
	return json.Marshal(struct {
		OK bool `json:"ok"`
		*fields
	}{r.OK(), (*fields)(r)})
}

// MarshalJSON adds "ok" to the fields.
func (c CaseReport) MarshalJSON() ([]byte, error) {
	type fields CaseReport
	f := fields(c)
	if f.Broken == nil {
		f.Broken = []string{}
	}
	return json.Marshal(struct {
		OK bool `json:"ok"`
		fields
	}{c.ok(), f})
}

// report counts the answers of a case.
func (p *player) report(sku string, seen evidence) *CaseReport {
	r := &CaseReport{Case: p.Case, SKU: sku, Places: seen.places, AuditOK: seen.audit.clean(),
		Refused: map[string]int{}, FaultReasons: map[string]int{}}
	for _, a := range seen.answers {
		switch {
		case a.held != nil:
			r.Held++
		case a.refused != nil:
			r.Refused[a.refused.Code]++
		default:
			r.Faults++
			r.FaultReasons[a.fault]++
		}
		if a.sent {
			r.Sent++
		}
		if a.late {
			r.Late++
		}
		r.Retries += a.retries
	}
	r.Latency = latencyOf(seen.answers)
	for _, way := range []Mode{Direct, Queued} {
		if w := wayReport(way, seen.answers); w.Buyers > 0 {
			r.Ways = append(r.Ways, w)
		}
	}
	r.UnitsHeld = unitsHeld(seen.answers)
	r.UnitsLeft = p.Stock - r.UnitsHeld
	if seen.places != nil {
		r.UnitsLeft = seen.places.Available
	}
	return r
}

func wayReport(way Mode, answers []answer) WayReport {
	r := WayReport{Way: way}
	var own []answer
	var accepts []time.Duration
	for _, a := range answers {
		if a.queued != (way == Queued) {
			continue
		}
		own = append(own, a)
		switch {
		case a.held != nil:
			r.Held++
		case a.refused != nil:
			r.Refused++
		default:
			r.Faults++
		}
		if !a.unanswered || a.id() != "" {
			accepts = append(accepts, a.acceptLatency)
		}
	}
	r.Buyers = len(own)
	r.AcceptLatency, r.Latency = percentiles(accepts), latencyOf(own)
	return r
}

// latencyOf is over the requests that got a final answer; nil when none did.
func latencyOf(answers []answer) *Latency {
	var all []time.Duration
	for _, a := range answers {
		if !a.unanswered {
			all = append(all, a.latency)
		}
	}
	return percentiles(all)
}

func percentiles(all []time.Duration) *Latency {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	nearest := func(share float64) float64 {
		return float64(all[max(int(math.Ceil(share*float64(len(all)))), 1)-1].Microseconds()) / 1000
	}
	return &Latency{P50: nearest(0.50), P95: nearest(0.95), P99: nearest(0.99), Max: nearest(1)}
}

// summary is the verdict on a case in one line.
func (c *CaseReport) summary() string {
	if !c.ok() {
		return fmt.Sprintf("%s: BROKEN, %s", c.Case, plural(len(c.Broken), "promise"))
	}
	text := fmt.Sprintf("%s: %d held", c.Case, c.UnitsHeld)
	if c.UnitsLeft == 0 {
		text = fmt.Sprintf("%s: exactly %d held", c.Case, c.UnitsHeld)
	}
	if refused := total(c.Refused); refused > 0 {
		text += fmt.Sprintf(", %d refused truthfully", refused)
	}
	return text + fmt.Sprintf(", %d left", c.UnitsLeft)
}

// summary is what the naive shop did to its buyers, in one line.
func (n *NaiveReport) summary(c Case) string {
	text := fmt.Sprintf("%s: sold %d, stock is %d", c, n.UnitsSold, n.StockNow)
	over := max(n.UnitsSold-c.Stock, -n.StockNow)
	switch {
	case over <= 0:
		return text + ": lucky this time"
	case c.QuantityMax > 1:
		return text + ": " + plural(over, "unit") + " too many"
	case over == 1:
		return text + ": 1 buyer gets an apology mail"
	}
	return text + fmt.Sprintf(": %d buyers get an apology mail", over)
}
