package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func aPage() Page {
	plot := Plot{Title: "Where", Y: "units", Kind: Places, Whole: true, X: []float64{0, 1, 2}, Series: []Series{{"sold", "sold", []float64{0, 1, 3}}, {"left", "available", []float64{3, 2, 0}}},
		Marks: []Mark{{1, "half"}, {9, "beyond"}}}
	lines := Plot{Title: "How long", Y: "ms", Kind: Lines, X: []float64{1, 2, 3}, Starts: []float64{0, 1, 2}, Series: []Series{{"p50", "p50", []float64{1, math.NaN(), 900}}}}
	rates := Plot{Title: "How many", Y: "a second", Kind: Rates, X: []float64{1, 3}, Starts: []float64{0, 2}, Series: []Series{{"got", "sold", []float64{5, 0}}, {"none", "other", []float64{0, 0}}}}
	curve := Plot{Title: "Share", Y: "percent", Kind: Curve, Top: 100, X: []float64{0, 1}, Series: []Series{{"share", "sold", []float64{0, 50}}}}
	return Page{
		Kind: "Sale report", Title: `<img src="http://evil.example/x">`, Lead: "Lead & more", Notice: "So far.", Made: time.Date(2026, 12, 12, 12, 0, 0, 0, time.UTC),
		Facts: []Fact{{"Open", "today"}}, Headlines: []Figure{{Label: "Sold", Value: "3", Tone: Good}},
		Sections: []Section{{Title: "How", Plots: []Plot{plot, lines, rates, curve}, List: []string{"One"}, Tables: []Table{{Head: []string{"", "n"}, Rows: [][]string{{"<b>", "1"}}, Sums: []string{"all", "1"}, Hints: []string{"why"}}}}},
		Basis:    []string{"Rows."},
	}
}

func TestAPageIsWholeAndShowsTextsAsTheyAre(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := aPage().Write(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"&lt;img src=&#34;http://evil.example/x&#34;&gt;", "Lead &amp; more", "&lt;b&gt;<small>why</small>", "12 December 2026, 12:00:00 UTC", "half"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, wrong := range []string{"NaN", "Inf", "ZgotmplZ", "<img", "beyond", "none</li>1", "<script", " href=", " src=\"h"} {
		if strings.Contains(page, wrong) {
			t.Errorf("there is %s", wrong)
		}
	}
	if got, want := strings.Count(page, "<svg"), 8; got != want { // each for a screen and for a phone
		t.Errorf("%d plots, want %d", got, want)
	}
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	if StyleSource != "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'" {
		t.Error("the style is not what StyleSource names, and a policy would keep it out")
	}
	for i, part := range strings.Split(page, "<svg")[1:] {
		svg, _, _ := strings.Cut("<svg"+part, "</svg>")
		d := xml.NewDecoder(strings.NewReader(svg + "</svg>"))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("plot %d: %v", i, err)
			}
		}
	}
}

func TestATextHasEverythingButThePlots(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := aPage().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Sale report: <img", "So far.", "Sold  3", "- One", "all  1"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// What is stacked fills the plot from its base to its top, and a line is as high as its value.
func TestPlotsAreDrawnToScale(t *testing.T) {
	t.Parallel()
	p := Plot{Kind: Places, Whole: true, X: []float64{0, 10}, Series: []Series{{"a", "a", []float64{2, 4}}, {"b", "b", []float64{2, 0}}}}
	d := p.draw(wide)
	if len(d.Areas) != 2 || d.YTicks[len(d.YTicks)-1].Label != "4" || d.XTicks[0].Label != "0" || d.XTicks[len(d.XTicks)-1].Label != "10 s" {
		t.Fatalf("%+v", d)
	}
	// 54 is the left end, 806 the right one, 20 the top, 224 the base: a is at half and then at the top, b lies upon it.
	if want := "M54 122L806 20L806 224L54 224Z"; d.Areas[0].D != want {
		t.Errorf("a is %s, want %s", d.Areas[0].D, want)
	}
	if want := "M54 20L806 20L806 20L54 122Z"; d.Areas[1].D != want {
		t.Errorf("b is %s, want %s", d.Areas[1].D, want)
	}
	l := Plot{Kind: Lines, X: []float64{1, 2, 3}, Starts: []float64{0, 1, 2}, Series: []Series{{"p", "p", []float64{1, math.NaN(), 1000}}}}
	d = l.draw(wide)
	if want := "M54 224L304.7 224M555.3 20L806 20"; d.Lines[0].D != want || len(d.YTicks) != 4 {
		t.Errorf("over three powers of ten: %s, want %s, ticks %+v", d.Lines[0].D, want, d.YTicks)
	}
	for _, empty := range []Plot{{Kind: Places}, {Kind: Lines}, {Kind: Rates}, {Kind: Curve, Series: []Series{{Name: "x"}}}} {
		if d := empty.draw(narrow); len(d.YTicks) < 2 || len(d.XTicks) < 1 {
			t.Errorf("an empty plot has no axes: %+v", d)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1,234,567": Count(1234567), "−1,000": Count(-1000), "999": Count(999), "1 unit": Plural(1, "unit"), "0 units": Plural(0, "unit"),
		"EUR 1,234.50": Money(123450, "EUR"), "EUR 0.05": Money(5, "EUR"), "JPY 1,200": Money(1200, "JPY"), "KWD 1.250": Money(1250, "KWD"), "EUR −3.00": Money(-300, "EUR"),
		"0 %": Percent(0), "< 0.1 %": Percent(0.00001), "0.5 %": Percent(0.005), "50 %": Percent(0.5), "99.5 %": Percent(0.995), "> 99.9 %": Percent(0.99999), "100 %": Percent(1),
		"340 ms": Duration(340 * time.Millisecond), "2.4 s": Duration(2400 * time.Millisecond), "59 s": Duration(59 * time.Second), "3 min 20 s": Duration(200 * time.Second),
		"1 h": Duration(time.Hour), "2 h 5 min": Duration(125 * time.Minute), "3 days": Duration(72 * time.Hour), "< 1 ms": Duration(time.Microsecond),
		"12 December 2026, 12:00–14:00 UTC": Span(time.Date(2026, 12, 12, 12, 0, 0, 0, time.UTC), time.Date(2026, 12, 12, 14, 0, 0, 0, time.UTC)),
		"all in carts":                      Reason("all-held"), "some new code": Reason("some-new-code"), "0.5 a second": Rate(0.5), "1,200 a second": Rate(1200),
		"1:30": elapsed(90, 30, 300), "2 min": elapsed(120, 60, 600), "0.5 s": elapsed(0.5, 0.5, 3), "20 ms": elapsed(0.02, 0.01, 0.1), "3 h": elapsed(3*3600, 3600, 8*3600), "12k": short(12000), "1.5M": short(1.5e6),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := strings.Join(Codes(map[string]int{"b": 1, "a": 1, "c": 5}), " "); got != "c a b" {
		t.Errorf("codes: %s", got)
	}
}
