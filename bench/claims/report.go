package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// ratio compares two turns of one run.
type ratio struct {
	Name  string `json:"name"`
	Above string `json:"above"`
	Below string `json:"below"`
	// Target is what the ratio is to be at least; 0: it is reported.
	Target float64 `json:"target,omitempty"`
	Ratio  float64 `json:"ratio"`
	// Of the rounds, each with itself.
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// perTransaction are the contenders with a transaction for each claim.
var perTransaction = []string{"counter, update", "counter, lock", "units in place", "tokens, no lane"}

var ratios = []ratio{
	{Name: "direct claims ÷ no-op", Above: "lastunit", Below: "no-op", Target: 0.60},
	{Name: "direct claims ÷ Redis everysec, one command a request", Above: "lastunit", Below: "redis everysec", Target: 1.3},
	{Name: "direct claims ÷ Redis always, one command a request", Above: "lastunit", Below: "redis always", Target: 1.5},
	{Name: "direct claims ÷ Redis everysec behind the lane", Above: "lastunit", Below: "redis everysec, lane", Target: 0.8},
	{Name: "direct claims ÷ Redis always behind the lane", Above: "lastunit", Below: "redis always, lane", Target: 0.8},
	{Name: "direct claims ÷ counter row behind the lane", Above: "lastunit", Below: "counter, lane", Target: 0.8},
	{Name: "direct claims ÷ best of one transaction a claim", Above: "lastunit", Below: "one transaction a claim", Target: 4},
	{Name: "counter row behind the lane, 2 servers ÷ 1", Above: "counter, lane, 2 servers", Below: "counter, lane"},
	{Name: "direct claims, 2 servers ÷ 1", Above: "lastunit, 2 servers", Below: "lastunit", Target: 0.85},
	{Name: "direct claims, 4 servers ÷ 1", Above: "lastunit, 4 servers", Below: "lastunit"},
	{Name: "refusals when sold out ÷ no-op", Above: "sold out", Below: "no-op", Target: 0.80},
	{Name: "claims of 1000 products ÷ of one", Above: "1000 products", Below: "lastunit", Target: 0.5},
	{Name: "units at quantity 4 ÷ at quantity 1", Above: "4 at once", Below: "lastunit", Target: 2},
	{Name: "accepted (202) ÷ direct claims", Above: "accepted", Below: "lastunit", Target: 1.2},
	{Name: "settled from a backlog of 100,000 ÷ direct claims", Above: "settled", Below: "lastunit", Target: 0.9},
	{Name: "with a sale and a limit in force ÷ without", Above: "in a sale", Below: "lastunit", Target: 0.85},
	{Name: "journeys (claim, checkout, paid) ÷ direct claims", Above: "journeys", Below: "lastunit", Target: 0.25},
}

// results is what results.json holds.
type results struct {
	At          time.Time           `json:"at"`
	Processors  int                 `json:"processors"`
	Load        string              `json:"load_average_at_the_end"`
	Connections int                 `json:"connections"`
	Measure     string              `json:"measured_a_turn"`
	Ratios      []ratio             `json:"ratios"`
	Samples     map[string][]sample `json:"samples"`
}

// report writes the ratios, and where they are to be kept the figures and a plot.
func report(samples map[string][]sample, o compareOptions, out io.Writer) error {
	best := ""
	for _, name := range perTransaction {
		if len(samples[name]) == 0 {
			continue
		}
		if m, _, _ := median(samples[name], perSecond); best == "" || m > first(median(samples[best], perSecond)) {
			best = name
		}
	}
	r := results{
		At: time.Now().UTC().Truncate(time.Second), Processors: runtime.NumCPU(), Load: driven.LoadAverage(), Connections: o.connections, Measure: o.measure.String(), Samples: samples,
	}
	fmt.Fprintf(out, "\n%-58s %7s %7s %15s\n", "ratio of medians", "ratio", "target", "of the rounds")
	for _, q := range ratios {
		if q.Below == "one transaction a claim" {
			q.Below = best
		}
		above, below := samples[q.Above], samples[q.Below]
		if len(above) == 0 || len(below) == 0 {
			continue
		}
		q.Ratio, q.Least, q.Most = ratioOf(above, below, perSecond)
		target := "-"
		if q.Target > 0 {
			target = fmt.Sprintf("%.2f", q.Target)
			if q.Ratio < q.Target {
				target += " !"
			}
		}
		fmt.Fprintf(out, "%-58s %7.2f %7s %7.2f .. %.2f\n", q.Name, q.Ratio, target, q.Least, q.Most)
		r.Ratios = append(r.Ratios, q)
	}
	if own := samples["lastunit"]; len(own) > 0 {
		m, least, most := median(own, func(s sample) float64 { return s.StoreMicros })
		fmt.Fprintf(out, "processor time of PostgreSQL a claim: %.1f us (%.1f .. %.1f), target at most 25\n", m, least, most)
	}
	if best != "" {
		fmt.Fprintf(out, "the best of one transaction a claim is %q\n", best)
	}
	if o.results == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.results, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(o.results, ".json")+".svg", plot(r), 0o644)
}

func first(m, _, _ float64) float64 { return m }

// ratioOf is the ratio of the medians of a figure, with the least and the most of the rounds, each with itself.
func ratioOf(above, below []sample, figure func(sample) float64) (ratio, least, most float64) {
	each := ratiosOf(above, below, figure)
	return first(median(above, figure)) / first(median(below, figure)), slices.Min(each), slices.Max(each)
}

// ratiosOf are those of each sample to the one beside it.
func ratiosOf(above, below []sample, figure func(sample) float64) (each []float64) {
	for i := range min(len(above), len(below)) {
		each = append(each, figure(above[i])/figure(below[i]))
	}
	return each
}

// plot draws the medians as bars, with lines from the least to the most.
func plot(r results) []byte {
	type bar struct {
		name                string
		middle, least, most float64
	}
	var bars []bar
	top := 1.0
	for name, samples := range r.Samples {
		b := bar{name: name}
		b.middle, b.least, b.most = median(samples, perSecond)
		bars = append(bars, b)
		top = max(top, b.most)
	}
	slices.SortFunc(bars, func(a, b bar) int { return int(b.middle - a.middle) })
	const left, width, height = 190, 560, 24
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n", left+width+90, len(bars)*height+60)
	fmt.Fprintf(&s, `<text x="10" y="22" font-weight="bold">requests (or units) a second, median of %d rounds, %d connections, %d processors</text>`+"\n",
		len(r.Samples[bars[0].name]), r.Connections, r.Processors)
	for i, b := range bars {
		y := 40 + i*height
		x := func(v float64) float64 { return left + v/top*width }
		fill := "#9aa5b1"
		if strings.HasPrefix(b.name, "lastunit") {
			fill = "#0b7a53"
		}
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`,
			left-8, y+14, b.name, left, y+2, x(b.middle)-left, height-8, fill)
		fmt.Fprintf(&s, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#222"/><text x="%.1f" y="%d">%.0f</text>`+"\n",
			x(b.least), x(b.most), y+10, y+10, x(b.most)+6, y+14, b.middle)
	}
	s.WriteString("</svg>\n")
	return []byte(s.String())
}
