package httpapi

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/lastunit/lastunit/internal/report"
	"github.com/lastunit/lastunit/internal/shop"
)

// SaleReportPage is a report as people read it.
func SaleReportPage(r shop.SaleReport) report.Page {
	p := report.Page{
		Kind: "Sale report", Title: r.Name, Lead: reportLead(r), Notice: reportNotice(r), Facts: reportFacts(r), Headlines: reportHeadlines(r), Basis: reportBasis, Made: r.Now,
	}
	p.Sections = append(p.Sections, productsSection(r))
	if len(r.Course) > 0 && r.Until.After(r.From) {
		p.Sections = append(p.Sections, courseSection(r))
	}
	p.Sections = append(p.Sections, holdsSection(r), refusalsSection(r))
	if r.Total.Returned.All()+r.Refunds.Late > 0 {
		p.Sections = append(p.Sections, returnsSection(r))
	}
	return p
}

func reportLead(r shop.SaleReport) string {
	t := r.Total
	switch {
	case r.State == shop.SaleIsScheduled:
		return "The sale has not opened yet: there is nothing to report on but what it offers."
	case t.Holds.Made == 0:
		return "Nobody has got anything of this sale" + map[bool]string{true: ".", false: " so far."}[r.State == shop.SaleIsClosed]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s were sold", report.Count(t.UnitsSold), report.Plural(t.Offered, "unit"))
	if len(t.Revenue) > 0 {
		b.WriteString(" for " + moneyText(t.Revenue))
	}
	if n := t.Returned.All(); n > 0 {
		fmt.Fprintf(&b, ", of which %s came back", report.Count(n))
	}
	switch {
	case t.SoldOutAfter != nil && t.TakenAfter != nil && *t.SoldOutAfter-*t.TakenAfter >= time.Second:
		fmt.Fprintf(&b, ". Everything was in a cart %s after the opening, and the last unit paid for after %s.", report.Duration(*t.TakenAfter), report.Duration(*t.SoldOutAfter))
	case t.SoldOutAfter != nil:
		fmt.Fprintf(&b, ". It was sold out %s after the opening.", report.Duration(*t.SoldOutAfter))
	case t.TakenAfter != nil:
		fmt.Fprintf(&b, ". Everything was in a cart %s after the opening, but not all of it was paid for.", report.Duration(*t.TakenAfter))
	default:
		b.WriteString(". It did not sell out.")
	}
	return b.String()
}

func reportNotice(r shop.SaleReport) string {
	open := r.Total.Holds.Live + r.Total.Holds.Unpaid
	switch {
	case r.State == shop.SaleIsOpen || r.State == shop.SaleIsPaused:
		return fmt.Sprintf("The sale is %s: these are its figures so far.", r.State)
	case r.State == shop.SaleIsClosed && open > 0:
		return fmt.Sprintf("The sale is over, but %s in carts and unpaid orders may still be paid for.", report.Plural(open, "claim"))
	}
	return ""
}

func reportFacts(r shop.SaleReport) []report.Fact {
	limit := "any number"
	if r.PurchaseLimit != nil {
		limit = report.Count(int64(*r.PurchaseLimit))
	}
	facts := []report.Fact{
		{Label: "Open", Value: report.Span(r.OpensAt, r.ClosesAt)},
		{Label: "A buyer may have", Value: limit},
		{Label: "A cart lasts", Value: report.Duration(r.Hold)},
	}
	if r.Buyers > 0 {
		value := report.Count(r.Buyers)
		if r.PurchaseLimit != nil {
			value += fmt.Sprintf(", %s as many as they may", report.Count(r.BuyersAtLimit))
		}
		facts = append(facts, report.Fact{Label: "Buyers with units", Value: value})
	}
	return facts
}

func reportHeadlines(r shop.SaleReport) []report.Figure {
	t, h := r.Total, r.Total.Holds
	sold := report.Figure{Label: "Units sold", Value: report.Count(t.UnitsSold), Note: report.Percent(t.SellThrough()) + " of " + report.Count(t.Offered)}
	if n := t.Returned.All(); n > 0 {
		sold.Note += ", returns left out"
	}
	revenue := report.Figure{Label: "Revenue", Value: "–"}
	if len(t.Revenue) > 0 {
		revenue.Value = moneyText(t.Revenue)
	}
	if len(t.Refunded) > 0 {
		revenue.Note = "of which refunded " + moneyText(t.Refunded)
	}
	gone := report.Figure{Label: "Sold out after", Value: "not sold out"}
	if t.SoldOutAfter != nil {
		gone.Value, gone.Tone = report.Duration(*t.SoldOutAfter), report.Good
	}
	if t.TakenAfter != nil {
		gone.Note = "all in carts after " + report.Duration(*t.TakenAfter)
	}
	answers := report.Figure{Label: "Time to answer, p99", Value: "–"}
	if r.Latency != nil {
		answers.Value, answers.Note = report.Duration(r.Latency.P99), "half of all within "+report.Duration(r.Latency.P50)
	}
	var refused int64
	for _, n := range r.Refusals {
		refused += n
	}
	conversion := report.Figure{Label: "Carts that were paid for", Value: "–"}
	if h.Made > 0 {
		conversion.Value, conversion.Note = report.Percent(h.Conversion()), fmt.Sprintf("%s of %s", report.Count(h.Paid+h.Replaced), report.Count(h.Made))
	}
	return []report.Figure{
		sold, revenue, gone, conversion,
		{Label: "Refused", Value: report.Count(refused), Note: "of " + report.Plural(r.Answered, "request") + " answered"},
		answers,
	}
}

func moneyText(all []shop.Money) string {
	var texts []string
	for _, m := range all {
		texts = append(texts, report.Money(m.Amount, m.Currency))
	}
	if len(texts) == 0 {
		return "–"
	}
	return strings.Join(texts, " + ")
}

func after(d *time.Duration) string {
	if d == nil {
		return "–"
	}
	return report.Duration(*d)
}

func productsSection(r shop.SaleReport) report.Section {
	table := report.Table{Head: []string{"Product", "Offered", "Sold", "Came back", "Sold through", "Revenue", "All in carts after", "Sold out after"}}
	row := func(name string, t shop.SaleTally) []string {
		return []string{
			name, report.Count(t.Offered), report.Count(t.UnitsSold), report.Count(t.Returned.All()), report.Percent(t.SellThrough()), moneyText(t.Revenue), after(t.TakenAfter), after(t.SoldOutAfter),
		}
	}
	for _, item := range r.Items {
		name, hint := item.Name, item.SKU
		if name == item.SKU {
			hint = ""
		}
		table.Rows, table.Hints = append(table.Rows, row(name, item.SaleTally)), append(table.Hints, hint)
	}
	if len(r.Items) > 1 {
		table.Sums = row("All", r.Total)
	}
	return report.Section{Title: "What was sold", Tables: []report.Table{table}}
}

func courseSection(r shop.SaleReport) report.Section {
	s := report.Section{Title: "How it went", Text: "From the opening until nothing changed any more."}
	until := r.Until.Sub(r.From).Seconds()
	var marks []report.Mark
	if t := r.Total; t.SoldOutAfter != nil {
		marks = append(marks, report.Mark{X: t.SoldOutAfter.Seconds(), Name: "sold out"})
	} else if t.TakenAfter != nil {
		marks = append(marks, report.Mark{X: t.TakenAfter.Seconds(), Name: "all in carts"})
	}
	s.Plots = append(s.Plots, placesPlot(r, until, marks), sellThroughPlot(r, until, marks))
	if rates := ratesPlot(r, until, marks); len(rates.Series) > 0 {
		s.Plots = append(s.Plots, rates, latencyPlot(r, until))
	}
	return s
}

func placesPlot(r shop.SaleReport, until float64, marks []report.Mark) report.Plot {
	p := report.Plot{Title: "Where the units were", Y: "units", Kind: report.Places, Whole: true, Until: until, Marks: marks}
	places := []struct {
		name, ink string
		of        func(shop.SaleSample) int64
	}{
		{"sold", "sold", func(s shop.SaleSample) int64 { return s.Sold }},
		{"ordered, not paid", "ordered", func(s shop.SaleSample) int64 { return s.Ordered }},
		{"in carts", "held", func(s shop.SaleSample) int64 { return s.Held }},
		{"available", "available", func(s shop.SaleSample) int64 { return s.Available }},
	}
	for _, sample := range r.Course {
		p.X = append(p.X, min(max(sample.At.Sub(r.From).Seconds(), 0), until))
	}
	for _, place := range places {
		series := report.Series{Name: place.name, Ink: place.ink}
		for _, sample := range r.Course {
			series.Values = append(series.Values, float64(place.of(sample)))
		}
		p.Series = append(p.Series, series)
	}
	return p
}

func sellThroughPlot(r shop.SaleReport, until float64, marks []report.Mark) report.Plot {
	p := report.Plot{Title: "Sold through", Text: "Units paid for, without those that had come back, in percent of those offered.", Y: "percent", Kind: report.Curve, Until: until, Top: 100, Marks: marks}
	line := report.Series{Name: "sold through", Ink: "sold"}
	for _, point := range r.SellThrough {
		p.X = append(p.X, point.At.Sub(r.From).Seconds())
		line.Values = append(line.Values, 100*float64(point.Kept)/float64(max(r.Total.Offered, 1)))
	}
	p.Series = []report.Series{line}
	return p
}

// stretches are the parts of the course after the opening, with where each begins.
func stretches(r shop.SaleReport) (samples []shop.SaleSample, starts, ends []float64) {
	for _, s := range r.Course {
		end := s.At.Sub(r.From).Seconds()
		if end <= 0 {
			continue
		}
		samples, starts, ends = append(samples, s), append(starts, max(end-s.Covers.Seconds(), 0)), append(ends, end)
	}
	return samples, starts, ends
}

// drawnReasons is how many reasons for refusals are told apart in a plot.
const drawnReasons = 4

func ratesPlot(r shop.SaleReport, until float64, marks []report.Mark) report.Plot {
	p := report.Plot{Title: "Answers a second", Text: "Those who got units, and those who were refused, by reason.", Y: "answers a second", Kind: report.Rates, Until: until, Marks: marks}
	var samples []shop.SaleSample
	samples, p.Starts, p.X = stretches(r)
	rate := func(name, ink string, of func(shop.SaleSample) int64) {
		series, seen := report.Series{Name: name, Ink: ink}, false
		for i, s := range samples {
			n := of(s)
			seen = seen || n > 0
			series.Values = append(series.Values, float64(n)/max(p.X[i]-p.Starts[i], 1e-3))
		}
		if seen {
			p.Series = append(p.Series, series)
		}
	}
	rate("got units", "sold", func(s shop.SaleSample) int64 { return s.Claims })
	codes := report.Codes(refusalsOut(r.Refusals))
	first := codes[:min(len(codes), drawnReasons)]
	for _, code := range first {
		rate(report.Reason(code), report.ReasonInk(code), func(s shop.SaleSample) int64 { return s.Refusals[shop.Code(code)] })
	}
	rate("other reasons", "other", func(s shop.SaleSample) (n int64) {
		for code, more := range s.Refusals {
			if !slices.Contains(first, string(code)) {
				n += more
			}
		}
		return n
	})
	return p
}

func latencyPlot(r shop.SaleReport, until float64) report.Plot {
	p := report.Plot{
		Title: "Time to answer", Text: "Half of all, 95 and 99 of 100 were answered within that, in milliseconds: direct requests from their arrival, queued ones from when they were accepted.",
		Y: "milliseconds", Kind: report.Lines, Until: until,
	}
	var samples []shop.SaleSample
	samples, p.Starts, p.X = stretches(r)
	for _, line := range []struct {
		name, ink string
		of        func(shop.SaleLatency) time.Duration
	}{
		{"p50", "p50", func(l shop.SaleLatency) time.Duration { return l.P50 }},
		{"p95", "p95", func(l shop.SaleLatency) time.Duration { return l.P95 }},
		{"p99", "p99", func(l shop.SaleLatency) time.Duration { return l.P99 }},
	} {
		series := report.Series{Name: line.name, Ink: line.ink}
		for _, s := range samples {
			v := math.NaN()
			if s.Latency != nil {
				v = milliseconds(line.of(*s.Latency))
			}
			series.Values = append(series.Values, v)
		}
		p.Series = append(p.Series, series)
	}
	return p
}

func holdsSection(r shop.SaleReport) report.Section {
	h := r.Total.Holds
	s := report.Section{Title: "What became of the carts", Text: fmt.Sprintf("%s got units. A cart is a claim that got its units; it is ordered, given back, or lapses.", report.Plural(h.Made, "claim"))}
	t := report.Table{Head: []string{"", "Carts", "Of all"}}
	add := func(name, hint string, n int64) {
		t.Rows, t.Hints = append(t.Rows, []string{name, report.Count(n), report.Percent(share(n, h.Made))}), append(t.Hints, hint)
	}
	add("Paid for", "", h.Paid)
	add("Ordered, to be paid for", "", h.Unpaid)
	add("Ordered, never paid for", "The order was cancelled, or its time to pay ran out; its units went back on sale.", h.Cancelled)
	add("Given back", "By the buyer, before an order.", h.Released)
	add("Lapsed", "Nobody ordered in time; the units went back on sale at that instant.", h.Lapsed)
	if h.Live > 0 {
		add("Still in carts", "", h.Live)
	}
	t.Sums = []string{"All", report.Count(h.Made), report.Percent(share(h.Made, h.Made))}
	s.Tables = []report.Table{t}
	if h.Replaced > 0 {
		s.List = append(s.List, fmt.Sprintf("For %s that had lapsed or been cancelled the money came too late, and equal units were found: they count as paid for in the share above.", report.Plural(h.Replaced, "cart")))
	}
	if q := r.Queue; q != nil {
		s.List = append(s.List, fmt.Sprintf("In the queue at most %s waited at once; %s got units through it, and %s wait now.", report.Plural(q.MostWaiting, "request"), report.Count(q.Served), report.Count(q.Waiting)))
	}
	return s
}

func share(n, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}

func refusalsSection(r shop.SaleReport) report.Section {
	s := report.Section{Title: "Who was refused, and why"}
	if len(r.Refusals) == 0 {
		s.Text = "Nobody was."
		return s
	}
	s.Text = "Each refusal was true when it was given: at some moment between the request and the answer the units were not there to be had, or a rule of the sale said no."
	t := report.Table{Head: []string{"Reason", "Refusals", "Of all answers"}}
	var all int64
	for _, code := range report.Codes(refusalsOut(r.Refusals)) {
		n := r.Refusals[shop.Code(code)]
		all += n
		t.Rows = append(t.Rows, []string{report.ReasonTitle(code), report.Count(n), report.Percent(share(n, r.Answered))})
		t.Hints = append(t.Hints, report.ReasonHint(code))
	}
	t.Sums = []string{"All", report.Count(all), report.Percent(share(all, r.Answered))}
	s.Tables = []report.Table{t}
	if r.PurchaseLimit != nil {
		s.List = append(s.List, fmt.Sprintf("The limit of %s a buyer said no %s; %s have as many as they may.",
			report.Plural(int64(*r.PurchaseLimit), "unit"), report.Plural(r.Refusals[shop.PurchaseLimit], "time"), report.Plural(r.BuyersAtLimit, "buyer")))
	}
	return s
}

func returnsSection(r shop.SaleReport) report.Section {
	back := r.Total.Returned
	s := report.Section{Title: "What came back"}
	s.Tables = []report.Table{{
		Head: []string{"Went", "Units"},
		Rows: [][]string{{"Back on sale", report.Count(back.Restocked)}, {"Into quarantine", report.Count(back.Quarantined)}, {"Written off", report.Count(back.WrittenOff)}},
		Sums: []string{"All", report.Count(back.All())},
	}}
	if len(r.Total.Refunded) > 0 {
		s.Text = moneyText(r.Total.Refunded) + " was given back for them."
	}
	if n := r.Refunds.Late; n > 0 {
		s.List = append(s.List, fmt.Sprintf("%s came too late, when there were no units any more, and %s went back whole: %s.", report.Plural(n, "payment"), map[bool]string{true: "it", false: "they"}[n == 1], moneyText(r.Refunds.LateSum)))
	}
	if n := r.Refunds.Pending; n > 0 {
		s.List = append(s.List, fmt.Sprintf("%s not confirmed by the payment provider yet.", map[bool]string{true: "1 refund is", false: report.Count(n) + " refunds are"}[n == 1]))
	}
	return s
}
