package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/lastunit/lastunit/internal/rehearsal"
	"github.com/lastunit/lastunit/internal/report"
)

// saleRehearsed is the rehearsal of a planned sale, and crowdsRehearsed that of the 12.12 event.
type (
	saleRehearsed   struct{ *rehearsal.SaleReport }
	crowdsRehearsed struct{ *rehearsal.Report }
)

var rehearsalBasis = []string{
	"Buyers are requests over HTTP, each on a connection of its own, opened before the release; each asks once. Times run from the release of a request to its last answer, repetitions included, by the clock of the machine that sent them.",
	"Nobody pays in a rehearsal, and nothing lapses: a unit counts as gone when it is in a cart.",
	"Every answer was compared with the database afterwards, and the database audited.",
	"The machine that plays the buyers takes part of what it measures, all the more when the service runs on it as well.",
}

func (r saleRehearsed) page(advice []rehearsal.Advice) report.Page {
	p := report.Page{Kind: "Rehearsal report", Title: r.Name, Made: r.FinishedAt, Basis: rehearsalBasis}
	var units, stock, faults int
	refused := map[string]int{}
	var broken []string
	for _, item := range r.Items {
		units, stock, faults = units+item.UnitsHeld, stock+item.Stock, faults+item.Faults
		for code, n := range item.Refused {
			refused[code] += n
		}
		for _, sentence := range item.Broken {
			broken = append(broken, item.SKU+": "+sentence)
		}
	}
	broken = append(broken, r.Broken...)
	p.Lead = rehearsalLead(r.Buyers, units, stock, r.Rate, r.Course)
	limit := "any number"
	if r.PurchaseLimit != nil {
		limit = strconv.Itoa(*r.PurchaseLimit)
	}
	p.Facts = []report.Fact{
		{Label: "Played", Value: r.StartedAt.UTC().Format("2 January 2006, 15:04 UTC")}, {Label: "Buyers came", Value: manner(r.Rate, r.Mode)},
		{Label: "A buyer may have", Value: limit}, {Label: "A cart lasts", Value: report.Duration(time.Duration(r.PlannedHold) * time.Second)},
	}
	p.Headlines = rehearsalFigures(r.Course, r.Buyers, units, stock, faults, refused, r.Latency)
	p.Sections = append(p.Sections, adviceSections(advice)...)
	p.Sections = append(p.Sections, courseSection(r.Course, stock, refused), refusedSection(refused, r.Buyers))
	table := report.Table{Head: []string{"Product", "Buyers", "Units", "Held", "Left", "All in carts after", "p50", "p99"}}
	for _, item := range r.Items {
		soldOut := "–"
		if item.SoldOutSeconds != nil {
			soldOut = report.Duration(time.Duration(*item.SoldOutSeconds * float64(time.Second)))
		}
		row := []string{item.SKU, count(item.Buyers), count(item.Stock), count(item.UnitsHeld), count(item.UnitsLeft), soldOut}
		table.Rows = append(table.Rows, append(row, latencyCells(item.Latency)...))
	}
	p.Sections = append(p.Sections, report.Section{Title: "By product", Tables: []report.Table{table}}, promises(r.OK(), broken))
	return p
}

func (r crowdsRehearsed) page(advice []rehearsal.Advice) report.Page {
	p := report.Page{Kind: "Rehearsal report", Title: "The 12.12 event", Made: r.FinishedAt, Basis: rehearsalBasis}
	p.Facts = []report.Fact{{Label: "Played", Value: r.StartedAt.UTC().Format("2 January 2006, 15:04 UTC")}, {Label: "Buyers came", Value: manner(r.Rate, r.Mode)}, {Label: "Servers", Value: count(len(r.Servers))}}
	var broken []string
	table := report.Table{Head: []string{"Crowd", "Units", "Held", "Refused", "Left", "All in carts after", "p50", "p99"}}
	naive := report.Table{Head: []string{"Crowd", "Units", "Sold", "Stock afterwards", "Refused"}}
	for _, c := range r.Cases {
		for _, sentence := range c.Broken {
			broken = append(broken, c.String()+": "+sentence)
		}
		refused := 0
		for _, n := range c.Refused {
			refused += n
		}
		soldOut := "–"
		if c.Course != nil && c.Course.SoldOut != nil {
			soldOut = report.Duration(*c.Course.SoldOut)
		}
		row := []string{report.Plural(int64(c.Buyers), "buyer"), count(c.Stock), count(c.UnitsHeld), count(refused), count(c.UnitsLeft), soldOut}
		table.Rows = append(table.Rows, append(row, latencyCells(c.Latency)...))
		if n := c.Naive; n != nil {
			naive.Rows = append(naive.Rows, []string{report.Plural(int64(c.Buyers), "buyer"), count(c.Stock), count(n.UnitsSold), count(n.StockNow), count(n.Refused)})
		}
	}
	if r.Incomplete {
		p.Notice = "The rehearsal ended before all crowds were played."
	}
	if c := r.Largest(); c != nil && c.Course != nil {
		p.Lead = rehearsalLead(c.Buyers, c.UnitsHeld, c.Stock, r.Rate, c.Course)
		p.Headlines = rehearsalFigures(c.Course, c.Buyers, c.UnitsHeld, c.Stock, c.Faults, c.Refused, c.Latency)
		p.Sections = append(p.Sections, adviceSections(advice)...)
		course := courseSection(c.Course, c.Stock, c.Refused)
		if len(r.Cases) > 1 {
			course.Text = "The largest crowd, of " + report.Plural(int64(c.Buyers), "buyer") + "."
		}
		p.Sections = append(p.Sections, course, refusedSection(c.Refused, c.Buyers))
	}
	p.Sections = append(p.Sections, report.Section{Title: "All crowds", Tables: []report.Table{table}})
	if len(naive.Rows) > 0 {
		p.Sections = append(p.Sections, report.Section{
			Title: "The same crowds before a shop that reads the stock and then writes it", Text: "On the same PostgreSQL. What it sold beyond its units, somebody has to apologise for.", Tables: []report.Table{naive},
		})
	}
	p.Sections = append(p.Sections, promises(r.OK(), broken))
	return p
}

func count(n int) string { return report.Count(int64(n)) }

func manner(rate float64, mode rehearsal.Mode) string {
	text := "all at once"
	if rate > 0 {
		text = report.Rate(rate)
	}
	return text + map[rehearsal.Mode]string{rehearsal.Direct: ", directly", rehearsal.Queued: ", through the queue", rehearsal.Both: ", half of them through the queue"}[mode]
}

func rehearsalLead(buyers, units, stock int, rate float64, c *rehearsal.Course) string {
	text := fmt.Sprintf("%s, %s: ", report.Plural(int64(buyers), "buyer"), report.Plural(int64(stock), "unit"))
	if rate > 0 {
		text = fmt.Sprintf("%s at %s, %s: ", report.Plural(int64(buyers), "buyer"), report.Rate(rate), report.Plural(int64(stock), "unit"))
	}
	if c != nil && c.SoldOut != nil {
		return text + fmt.Sprintf("everything was in a cart %s after the opening.", report.Duration(*c.SoldOut))
	}
	return text + fmt.Sprintf("%s got a buyer, and %s left.", report.Count(int64(units)), map[bool]string{true: "1 is", false: count(stock-units) + " are"}[stock-units == 1])
}

func rehearsalFigures(c *rehearsal.Course, buyers, units, stock, faults int, refused map[string]int, l *rehearsal.Latency) []report.Figure {
	n := 0
	for _, of := range refused {
		n += of
	}
	soldOut := report.Figure{Label: "All in carts after", Value: "units left", Note: count(stock-units) + " of " + count(stock)}
	speed := report.Figure{Label: "Answers a second", Value: "–"}
	if c != nil && c.SoldOut != nil {
		soldOut = report.Figure{Label: "All in carts after", Value: report.Duration(*c.SoldOut), Note: report.Plural(int64(stock), "unit")}
	}
	if c != nil && c.Last > 0 {
		speed.Value, speed.Note = report.Count(int64(math.Round(float64(buyers-faults)/c.Last.Seconds()))), "until the last, after "+report.Duration(c.Last)
	}
	p99, p50 := report.Figure{Label: "Time to answer, p99", Value: "–"}, report.Figure{Label: "Time to answer, median", Value: "–"}
	if l != nil {
		p99.Value, p99.Note = milliseconds(l.P99), "the longest "+milliseconds(l.Max)
		p50.Value = milliseconds(l.P50)
	}
	failed := report.Figure{Label: "No proper answer", Value: count(faults), Note: "of " + report.Plural(int64(buyers), "buyer")}
	if faults > 0 {
		failed.Tone = report.Bad
	}
	return []report.Figure{soldOut, p99, p50, speed, {Label: "Refused", Value: count(n), Note: "truthfully, by reason below"}, failed}
}

func milliseconds(ms float64) string {
	return report.Duration(time.Duration(ms * float64(time.Millisecond)))
}

func latencyCells(l *rehearsal.Latency) []string {
	if l == nil {
		return []string{"–", "–"}
	}
	return []string{milliseconds(l.P50), milliseconds(l.P99)}
}

func adviceSections(advice []rehearsal.Advice) (all []report.Section) {
	for _, a := range advice {
		s := report.Section{Title: "Target met: " + a.Target, List: a.Says, Tone: report.Good}
		if !a.Met {
			s.Title, s.Tone = "Target missed: "+a.Target, report.Bad
		}
		all = append(all, s)
	}
	return all
}

func courseSection(c *rehearsal.Course, stock int, refused map[string]int) report.Section {
	s := report.Section{Title: "How it went"}
	if c == nil || len(c.Moments) == 0 {
		s.Text = "Nobody was answered."
		return s
	}
	step := c.Step.Seconds()
	until := step * float64(len(c.Moments))
	var marks []report.Mark
	if c.SoldOut != nil {
		marks = append(marks, report.Mark{X: c.SoldOut.Seconds(), Name: "all in carts"})
	}
	places := report.Plot{Title: "Where the units were", Y: "units", Kind: report.Places, Whole: true, X: []float64{0}, Until: until, Marks: marks}
	held, left := []float64{0}, []float64{float64(stock)}
	rates := report.Plot{Title: "Answers a second", Text: "Those who got units, and those who were refused, by reason.", Y: "answers a second", Kind: report.Rates, Until: until, Marks: marks}
	latency := report.Plot{Title: "Time to answer", Text: "By when the answer came, in milliseconds: half of all, 95 and 99 of 100 had waited no longer.", Y: "milliseconds", Kind: report.Lines, Until: until}
	units := 0
	for n, m := range c.Moments {
		units += m.Units
		end := step * float64(n+1)
		places.X, held, left = append(places.X, end), append(held, float64(units)), append(left, float64(max(stock-units, 0)))
		rates.X, rates.Starts = append(rates.X, end), append(rates.Starts, end-step)
	}
	latency.X, latency.Starts = rates.X, rates.Starts
	places.Series = []report.Series{{Name: "in carts", Ink: "held", Values: held}, {Name: "available", Ink: "available", Values: left}}
	add := func(name, ink string, of func(rehearsal.Moment) int) {
		series, seen := report.Series{Name: name, Ink: ink}, false
		for _, m := range c.Moments {
			seen = seen || of(m) > 0
			series.Values = append(series.Values, float64(of(m))/step)
		}
		if seen {
			rates.Series = append(rates.Series, series)
		}
	}
	add("got units", "sold", func(m rehearsal.Moment) int { return m.Held })
	for _, code := range report.Codes(refused) {
		add(report.Reason(code), report.ReasonInk(code), func(m rehearsal.Moment) int { return m.Refused[code] })
	}
	add("no proper answer", "busy", func(m rehearsal.Moment) int { return m.Faults })
	for _, line := range []struct {
		name string
		of   func(rehearsal.Latency) float64
	}{
		{"p50", func(l rehearsal.Latency) float64 { return l.P50 }}, {"p95", func(l rehearsal.Latency) float64 { return l.P95 }}, {"p99", func(l rehearsal.Latency) float64 { return l.P99 }},
	} {
		series := report.Series{Name: line.name, Ink: line.name}
		for _, m := range c.Moments {
			v := math.NaN()
			if m.Latency != nil {
				v = line.of(*m.Latency)
			}
			series.Values = append(series.Values, v)
		}
		latency.Series = append(latency.Series, series)
	}
	s.Plots = []report.Plot{places, rates, latency}
	return s
}

func refusedSection(refused map[string]int, buyers int) report.Section {
	s := report.Section{Title: "Who was refused, and why"}
	if len(refused) == 0 {
		s.Text = "Nobody was."
		return s
	}
	t := report.Table{Head: []string{"Reason", "Buyers", "Of all"}}
	all := 0
	for _, code := range report.Codes(refused) {
		n := refused[code]
		all += n
		t.Rows = append(t.Rows, []string{report.ReasonTitle(code), count(n), report.Percent(float64(n) / float64(max(buyers, 1)))})
		t.Hints = append(t.Hints, report.ReasonHint(code))
	}
	t.Sums = []string{"All", count(all), report.Percent(float64(all) / float64(max(buyers, 1)))}
	s.Tables = []report.Table{t}
	return s
}

func promises(ok bool, broken []string) report.Section {
	if ok {
		return report.Section{Title: "Every promise was kept", Text: "Each unit went to one buyer, every answer was true, the database says the same, and the audit found nothing.", Tone: report.Good}
	}
	if len(broken) == 0 {
		broken = []string{"It was not played to its end."}
	}
	return report.Section{Title: "Broken promises", List: broken, Tone: report.Bad}
}

// writePage writes a page into a file, whole or not at all.
func writePage(p report.Page, file string) error {
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

func writeAdvice(w io.Writer, advice []rehearsal.Advice) error {
	for _, a := range advice {
		verdict := "missed"
		if a.Met {
			verdict = "met"
		}
		lines := slices.Concat([]string{fmt.Sprintf("target %s: %s", verdict, a.Target)}, a.Says)
		for i, line := range lines {
			if i > 0 {
				line = "  - " + line
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}
