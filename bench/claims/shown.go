package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// shown is what a scenario has found: figures, some with a target, and charts. A target that is missed is said; only what is wrong fails.
type shown struct {
	Scenario   string              `json:"scenario"`
	At         time.Time           `json:"at"`
	Processors int                 `json:"processors"`
	Load       string              `json:"load_average_at_the_end"`
	Figures    []figure            `json:"figures"`
	Samples    map[string][]sample `json:"samples,omitempty"`
	Charts     []chart             `json:"charts"`

	out   io.Writer
	wrong driven.Findings
}

// figure is one number, with the least and the most of the rounds where there are rounds, and what it is to be; 0: it is reported.
type figure struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Least   float64 `json:"least,omitempty"`
	Most    float64 `json:"most,omitempty"`
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
}

func (f figure) missed() bool {
	return f.AtLeast > 0 && f.Value < f.AtLeast || f.AtMost > 0 && f.Value > f.AtMost
}

// chart has lines over one axis.
type chart struct {
	Title string `json:"title"`
	X     string `json:"x"`
	Lines []line `json:"lines"`
}

type line struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

func newShown(scenario string, out io.Writer) *shown {
	return &shown{Scenario: scenario, Samples: map[string][]sample{}, out: out}
}

func (s *shown) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *shown) add(f figure) { s.Figures = append(s.Figures, f) }

// ratio adds a figure: the median of one turn over the median of another, with the least and the most of the rounds, each with itself.
func (s *shown) ratio(f figure, above, below []sample, of func(sample) float64) {
	f.Value, f.Least, f.Most = ratioOf(above, below, of)
	s.add(f)
}

// pairs adds two figures: the median of what each pair of turns comes to, with the least and the most of the pairs, and between which values that median lies
// with a probability of 95 % (see surely).
func (s *shown) pairs(f figure, above, below []sample, of func(sample) float64) {
	each := slices.Sorted(slices.Values(ratiosOf(above, below, of)))
	s.middleOf(f, each)
	if k, sure := surely(len(each)); sure {
		s.add(figure{Name: "  its 95 % interval: from", Value: each[k]})
		s.add(figure{Name: "  its 95 % interval: to", Value: each[len(each)-1-k]})
	}
}

// surely tells how many of n values, at each end, the interval leaves out that has the median of what they are drawn from in it with a probability of at least
// 95 %, however it is spread: the number of values below that median is that of heads in n tosses. With fewer than 6 values there is none.
func surely(n int) (leftOut int, sure bool) {
	outside := math.Pow(0.5, float64(n)) // the probability of exactly leftOut heads; then of no more than that
	for exactly, k := outside, 0; 2*outside <= 0.05; k++ {
		leftOut, sure = k, true
		exactly *= float64(n-k) / float64(k+1)
		outside += exactly
	}
	return leftOut, sure
}

// middle adds a figure: the median of a turn.
func (s *shown) middle(f figure, turn []sample, of func(sample) float64) {
	f.Value, f.Least, f.Most = median(turn, of)
	s.add(f)
}

// middleOf adds a figure: the median of values.
func (s *shown) middleOf(f figure, values []float64) {
	f.Value, f.Least, f.Most = spread(values)
	s.add(f)
}

// keep keeps the samples of turns, and draws one of their figures over the rounds.
func (s *shown) keep(title string, samples map[string][]sample, of func(sample) float64, turns ...string) {
	c := chart{Title: title, X: "round"}
	for _, name := range turns {
		l := line{Name: name}
		for i, one := range samples[name] {
			l.Points = append(l.Points, [2]float64{float64(i + 1), of(one)})
		}
		s.Samples[name] = samples[name]
		c.Lines = append(c.Lines, l)
	}
	s.Charts = append(s.Charts, c)
}

// end prints the figures, writes them where they are to be kept with the plot beside, and returns an error when something is wrong.
func (s *shown) end(results string) error {
	s.At, s.Processors, s.Load = time.Now().UTC().Truncate(time.Second), runtime.NumCPU(), driven.LoadAverage()
	s.say("\n%-66s %10s %12s %20s", s.Scenario, "", "target", "of the rounds")
	for _, f := range s.Figures {
		target, spread := "-", ""
		switch {
		case f.AtLeast > 0:
			target = fmt.Sprintf(">= %.4g", f.AtLeast)
		case f.AtMost > 0:
			target = fmt.Sprintf("<= %.4g", f.AtMost)
		}
		if f.missed() {
			target += " !"
		}
		if f.Most > 0 {
			spread = fmt.Sprintf("%.4g .. %.4g", f.Least, f.Most)
		}
		s.say("%-66s %10.4g %12s %20s", f.Name, f.Value, target, spread)
	}
	for _, w := range s.wrong.First(10) {
		s.say("WRONG: %s", w)
	}
	if results != "" {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(results, append(text, '\n'), 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(results, ".json")+".svg", plotLines(s.Charts), 0o644); err != nil {
			return err
		}
	}
	if len(s.wrong) > 0 {
		return errors.Join(driven.ErrBroken, errors.New(strings.Join(s.wrong.First(3), "; ")))
	}
	return nil
}

// plotLines draws charts below each other, each from 0 on.
func plotLines(charts []chart) []byte {
	const left, width, height, between, key = 70, 560, 180, 70, 240
	colours := []string{"#0b7a53", "#d1495b", "#3066be", "#9a6b00", "#9aa5b1"}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		left+width+key, len(charts)*(height+between)+20)
	for n, c := range charts {
		var right, top float64
		for _, l := range c.Lines {
			for _, p := range l.Points {
				right, top = max(right, p[0]), max(top, p[1])
			}
		}
		bottom := float64(n*(height+between) + 30 + height)
		x := func(v float64) float64 { return left + v/max(right, 1e-9)*width }
		y := func(v float64) float64 { return bottom - v/max(top, 1e-9)*height }
		fmt.Fprintf(&s, `<text x="10" y="%.0f" font-weight="bold">%s</text>`+"\n", bottom-height-10, c.Title)
		for i := range 5 {
			v := top * float64(i) / 4
			fmt.Fprintf(&s, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>`+"\n",
				left, left+width, y(v), y(v), left-6, y(v)+4, v)
		}
		fmt.Fprintf(&s, `<text x="%d" y="%.0f">0</text><text x="%d" y="%.0f" text-anchor="end">%.4g %s</text>`+"\n", left, bottom+16, left+width, bottom+16, right, c.X)
		for i, l := range c.Lines {
			colour := colours[i%len(colours)]
			var points []string
			for _, p := range l.Points {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(p[0]), y(p[1])))
			}
			fmt.Fprintf(&s, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%.0f" fill="%s">%s</text>`+"\n",
				strings.Join(points, " "), colour, left+width+12, bottom-height+14+18*float64(i), colour, l.Name)
		}
	}
	s.WriteString("</svg>\n")
	return []byte(s.String())
}
