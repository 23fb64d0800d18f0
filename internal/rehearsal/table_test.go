package rehearsal

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"
)

func fullReport() *Report {
	c := CaseReport{
		Case: Case{Buyers: 5000, Stock: 2500, QuantityMin: 1, QuantityMax: 4}, SKU: "rehearsal-0123456789ab-5000", Sent: 5000, Held: 1312,
		Refused: map[string]int{"all-held": 3600, "not-enough-units": 84}, Faults: 4, Late: 12, Retries: 1,
		Latency: &Latency{P50: 812.34, P95: 1204.5, P99: 12345.6, Max: 20000}, UnitsHeld: 2499, UnitsLeft: 1, AuditOK: false,
		Broken: []string{"the database disagrees: it counts 2500 units held, and buyers were told of 2499, " + strings.Repeat("which is one less ", 8)},
		Naive:  &NaiveReport{Orders: 2531, UnitsSold: 2531, StockNow: -31, Refused: 2469},
	}
	c.Ways = []WayReport{
		{Way: Direct, Buyers: 2500, Held: 656, Latency: c.Latency, AcceptLatency: c.Latency},
		{Way: Queued, Buyers: 2500, Held: 656, Latency: &Latency{P50: 112345, P95: 123456, P99: 123456.7, Max: 130000}, AcceptLatency: c.Latency},
	}
	return &Report{Servers: []string{"http://a", "http://b"}, Rate: 2500, Mode: Both, Poll: true, Cases: []CaseReport{c}}
}

func TestTheTableFitsATerminal(t *testing.T) {
	text := written(t, fullReport())
	if strings.Contains(text, "\x1b") {
		t.Error("colours in what is no terminal")
	}
	for line := range strings.Lines(text) {
		if width := visible(strings.TrimSuffix(line, "\n")); width > lineWidth {
			t.Errorf("%d columns: %s", width, line)
		}
	}
	for _, want := range []string{"not-enough", "half of them queued, polling, over 2 servers", "answer p50", "112345", "812.3", "1204", "BROKEN", "late", "naive:    5000 buyers of 1 to 4, 2500 units: sold 2531, stock is -31: 31 units too many"} {
		mustContain(t, text, want)
	}
}

func TestColoursDoNotMoveColumns(t *testing.T) {
	r := fullReport()
	var plain, coloured bytes.Buffer
	r.table(false).write(&plain, false)
	r.table(true).write(&coloured, true)
	mustContain(t, coloured.String(), "\x1b[31m")
	plainLines, colouredLines := strings.Split(plain.String(), "\n"), strings.Split(coloured.String(), "\n")
	for i, line := range plainLines {
		if visible(colouredLines[i]) != len(line) {
			t.Errorf("%q\n%q", line, colouredLines[i])
		}
	}
}

func TestAnEmptyReportIsNotOK(t *testing.T) {
	if (&Report{}).OK() || (*Report)(nil).OK() || (&Report{Incomplete: true, Cases: []CaseReport{{}}}).OK() {
		t.Error("nothing was shown, and it is OK")
	}
}

func TestTheNaiveVerdict(t *testing.T) {
	one := Case{Buyers: 1000, Stock: 500, QuantityMin: 1, QuantityMax: 1}
	for want, n := range map[string]NaiveReport{
		"1000 buyers, 500 units: sold 523, stock is -23: 23 buyers get an apology mail": {UnitsSold: 523, StockNow: -23},
		"1000 buyers, 500 units: sold 501, stock is -1: 1 buyer gets an apology mail":   {UnitsSold: 501, StockNow: -1},
		"1000 buyers, 500 units: sold 500, stock is 0: lucky this time":                 {UnitsSold: 500},
	} {
		if got := n.summary(one); got != want {
			t.Errorf("%s", got)
		}
	}
}

func TestTheBarIsDrawnWhenItMoves(t *testing.T) {
	var b bytes.Buffer
	p := &progress{out: &b, terminal: true, prefix: "[1/1]"}
	p.begin("buying", 1000)
	for range 1000 {
		p.step()
	}
	p.clear()
	mustContain(t, b.String(), "[1/1]  buying     ████████████░░░░░░░░░░░░  50%")
	if drawn := strings.Count(b.String(), "\r"); drawn != 102 || !strings.HasSuffix(b.String(), "\r\x1b[K") {
		t.Errorf("drawn %d times, ends %q", drawn, b.String()[b.Len()-5:])
	}
}

func TestRetryAfterIsUnderstood(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "3": 3 * time.Second, "86400": retryAfterMax, "Tue, 03 Jan 2006 15:04:05 GMT": 0,
	} {
		if got, ok := retryAfter(http.Header{"Retry-After": {text}}); !ok || got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "soon"} {
		if got, ok := retryAfter(http.Header{"Retry-After": {text}}); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
