package rehearsal

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Target is what a sale is to reach; zero: nothing in particular.
type Target struct {
	P99     time.Duration // 99 of 100 are answered within it
	SellOut time.Duration // the last unit is held within it
}

// None says that there is nothing to reach.
func (t Target) None() bool { return t == Target{} }

// Advice is whether a target was met, and what the figures of the rehearsal say would have to change.
type Advice struct {
	Met    bool
	Target string   // in words
	Says   []string // a sentence or two each
}

// observed is what a rehearsal has shown, as far as advice rests on it.
type observed struct {
	Case
	rate          float64
	mode          Mode
	servers       int
	answered      int
	faults        int
	unitsHeld     int
	refused       map[string]int
	latency       *Latency
	accept        *Latency // to the 202, of those who were queued; nil: nobody was
	last          time.Duration
	soldOut       *time.Duration
	purchaseLimit *int
	hold          time.Duration // as planned; 0: it is no sale
}

// Advice is about the largest case.
func (r *Report) Advice(t Target) []Advice {
	c := r.Largest()
	if c == nil || c.Course == nil {
		return nil
	}
	o := observed{
		Case: c.Case, rate: r.Rate, mode: r.Mode, servers: len(r.Servers), faults: c.Faults, unitsHeld: c.UnitsHeld, refused: c.Refused, latency: c.Latency,
		last: c.Course.Last, soldOut: c.Course.SoldOut,
	}
	for _, w := range c.Ways {
		if w.Way == Queued {
			o.accept = w.AcceptLatency
		}
	}
	return o.advise(t)
}

// Largest is the case with the most buyers that was played; nil: none was.
func (r *Report) Largest() *CaseReport {
	var largest *CaseReport
	for i := range r.Cases {
		if c := &r.Cases[i]; largest == nil || c.Buyers >= largest.Buyers {
			largest = c
		}
	}
	return largest
}

// Advice is about all items together.
func (r *SaleReport) Advice(t Target) []Advice {
	if r.Course == nil {
		return nil
	}
	o := observed{
		Case: r.crowd, rate: r.Rate, mode: r.Mode, servers: r.servers, refused: map[string]int{}, latency: r.Latency, accept: r.accept,
		last: r.Course.Last, soldOut: r.Course.SoldOut, purchaseLimit: r.PurchaseLimit, hold: time.Duration(r.PlannedHold) * time.Second,
	}
	for _, item := range r.Items {
		o.faults += item.Faults
		o.unitsHeld += item.UnitsHeld
		for code, n := range item.Refused {
			o.refused[code] += n
		}
	}
	return o.advise(t)
}

func (o observed) advise(t Target) []Advice {
	o.answered = o.Buyers - o.faults
	var all []Advice
	if t.P99 > 0 {
		all = append(all, o.adviseP99(t.P99))
	}
	if t.SellOut > 0 {
		all = append(all, o.adviseSellOut(t.SellOut))
	}
	return all
}

// perSecond is how many were answered in a second, from the release of all to the last answer.
func (o observed) perSecond() float64 {
	return float64(o.answered) / max(o.last.Seconds(), 1e-3)
}

func (o observed) adviseP99(target time.Duration) Advice {
	a := Advice{Target: fmt.Sprintf("99 of 100 answered within %s", brief(target))}
	if o.latency == nil {
		a.Says = []string{"Nobody was answered, so there is nothing to conclude from."}
		return a
	}
	p99 := time.Duration(o.latency.P99 * float64(time.Millisecond))
	if a.Met = p99 <= target && o.faults == 0; a.Met {
		a.Says = []string{fmt.Sprintf("They were answered within %s.", brief(p99))}
		return a
	}
	if o.faults > 0 {
		a.Says = append(a.Says, fmt.Sprintf("%s no answer, or one that is neither a hold nor a refusal: find out why before anything else.", got(o.faults, "request")))
	}
	if p99 <= target {
		return a
	}
	if o.rate > 0 {
		return o.adviseP99AtARate(a, p99)
	}
	perSecond := o.perSecond()
	needed := 0.99 * float64(o.Buyers) / target.Seconds()
	a.Says = append(a.Says, fmt.Sprintf("They were answered within %s. All %d came in the same instant and %s were answered a second, so most of that is waiting for those ahead.", brief(p99), o.Buyers, rounded(perSecond)))
	if factor := needed / perSecond; factor > 1 {
		a.Says = append(a.Says, fmt.Sprintf("For this crowd it takes about %s answers a second, %s times as many: more processors for the service and its PostgreSQL, or more servers (there %s). "+
			"Which of them was short does not show from here: look at both while you rehearse again.", rounded(needed), times(factor), servers(o.servers)))
	}
	if within := int(perSecond * target.Seconds() / 0.99); within > 0 && within < o.Buyers {
		a.Says = append(a.Says, fmt.Sprintf("As it is, about %d at once would be within the target. Letting the crowd in a little at a time does that: rehearse with --rate %s.", within, rounded(perSecond*0.8)))
	}
	a.Says = append(a.Says, o.adviseQueue(target)...)
	return a
}

func (o observed) adviseP99AtARate(a Advice, p99 time.Duration) Advice {
	came := float64(o.Buyers) / o.rate // seconds
	if o.last.Seconds() > 1.1*came+p99.Seconds()/2 {
		a.Says = append(a.Says, fmt.Sprintf("They were answered within %s. %s a second came, and %s were answered a second: more came than could be answered, so that they had to wait for each other. "+
			"Let fewer in a second, or give the service and its PostgreSQL more processors.", brief(p99), rounded(o.rate), rounded(o.perSecond())))
		return a
	}
	a.Says = append(a.Says, fmt.Sprintf("They were answered within %s, although all that came in a second (%s) were answered in it, so a crowd that is slower would hardly be answered sooner. "+
		"Look at what an answer waits for besides others: the way to the service, and its database's disk.", brief(p99), rounded(o.rate)))
	return a
}

// adviseQueue says what the queue does, as far as it was tried.
func (o observed) adviseQueue(target time.Duration) []string {
	if o.accept == nil {
		return []string{"Through the queue, which was not tried here, a buyer knows that the request has its place as soon as it is on disk, and waits for the outcome without an open request. How soon that is, --mode queued shows."}
	}
	accept := time.Duration(o.accept.P99 * float64(time.Millisecond))
	if accept <= target {
		return []string{fmt.Sprintf("Those who were queued knew within %s (99 of 100) that they had their place: if that is the answer that counts, the target is met for them.", brief(accept))}
	}
	return []string{fmt.Sprintf("Those who were queued knew within %s (99 of 100) that they had their place, so the queue alone does not meet the target either.", brief(accept))}
}

func (o observed) adviseSellOut(target time.Duration) Advice {
	a := Advice{Target: fmt.Sprintf("sold out within %s", brief(target))}
	if o.soldOut == nil {
		a.Says = o.unsold()
		return a
	}
	a.Met = *o.soldOut <= target
	said := fmt.Sprintf("The last of %s was held after %s.", plural(o.Stock, "unit"), brief(*o.soldOut))
	a.Says = []string{said}
	perUnit := float64(o.demand()) / float64(max(o.Buyers, 1)) // units that a buyer asks for
	switch asked := float64(o.Stock) / (o.rate * perUnit); {
	case a.Met:
	case o.rate > 0 && asked > 0.8*o.soldOut.Seconds():
		a.Says = append(a.Says, fmt.Sprintf("Buyers came at %s a second and asked for %s units a second, so that nothing could have sold out before %s: it takes at least %s buyers a second.",
			rounded(o.rate), rounded(o.rate*perUnit), brief(time.Duration(asked*float64(time.Second))), rounded(float64(o.Stock)/target.Seconds()/perUnit)))
	default:
		has, needs := float64(o.Stock)/o.soldOut.Seconds(), float64(o.Stock)/target.Seconds()
		a.Says = append(a.Says, fmt.Sprintf("That is %s units a second, and it takes %s, %s times as many: more processors for the service and its PostgreSQL, or more servers (there %s).",
			rounded(has), rounded(needs), times(needs/has), servers(o.servers)))
	}
	if o.hold > target {
		a.Says = append(a.Says, fmt.Sprintf("A rehearsal counts a unit as gone when it is in a cart. A cart of this sale lasts %s: a unit in one that is never paid for comes back that late. If all is to be paid for within %s, carts must be shorter than that.",
			brief(o.hold), brief(target)))
	}
	return a
}

// unsold says why units are left.
func (o observed) unsold() []string {
	left := o.Stock - o.unitsHeld
	says := []string{fmt.Sprintf("It did not sell out: %s left of %d.", were(left, "unit"), o.Stock)}
	if demand := o.demand(); demand < o.Stock {
		says = append(says, fmt.Sprintf("The buyers asked for %s in all: it takes more buyers, or such as want more, and not a faster service.", plural(demand, "unit")))
	}
	if n := o.refused["purchase-limit"]; n > 0 && o.purchaseLimit != nil {
		says = append(says, fmt.Sprintf("The limit of %s a buyer said no %s: with a higher one they would have got some of what is left.", plural(*o.purchaseLimit, "unit"), plural(n, "time")))
	}
	if n := o.refused["not-enough-units"]; n > 0 {
		says = append(says, fmt.Sprintf("%d asked for more units than were left, and got none: smaller claims take the last ones as well.", n))
	}
	if o.faults > 0 {
		says = append(says, fmt.Sprintf("%s no answer, or one that is neither a hold nor a refusal.", got(o.faults, "request")))
	}
	return says
}

func got(n int, noun string) string { return plural(n, noun) + " got" }

func servers(n int) string {
	if n == 1 {
		return "was 1"
	}
	return fmt.Sprintf("were %d", n)
}

// rounded writes a rate to two digits, as exactly as it is known.
func rounded(v float64) string {
	if v <= 0 {
		return "0"
	}
	if v < 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	unit := math.Pow10(int(math.Floor(math.Log10(v))) - 1)
	return strconv.FormatFloat(math.Round(v/unit)*unit, 'f', 0, 64)
}

func times(factor float64) string { return strconv.FormatFloat(math.Ceil(factor*10)/10, 'f', 1, 64) }

// brief writes a duration to three digits.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'g', 3, 64) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + " s"
	case d%time.Minute < time.Second:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	}
	return fmt.Sprintf("%d min %d s", int(d/time.Minute), int(d%time.Minute/time.Second))
}
