package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Plot shows values over the time since the beginning. Each series has a value for each instant of X.
type Plot struct {
	Title, Text string
	Kind        Kind
	Y           string // what the values are, such as "units"
	// X is in seconds, rising. Of Rates and Lines a value is that of the stretch that ends there; Starts says where each stretch begins.
	X, Starts []float64
	Until     float64 // where the axis ends; 0: at the last of X
	Top       float64 // where the values' axis ends at least
	Whole     bool    // there are no fractions of a value
	Series    []Series
	Marks     []Mark
}

// Kind is how values are drawn.
type Kind int

// The kinds of plots.
const (
	Places Kind = iota // areas on top of each other, of what there is at each instant
	Rates              // areas on top of each other, of what happened in each stretch
	Lines              // a line each, of what was so in each stretch; over several powers of ten, on a scale of those
	Curve              // one area, of what there is at each instant
)

// Series is the values of one thing. NaN: there is none.
type Series struct {
	Name, Ink string
	Values    []float64
}

// Mark is an instant that has a name.
type Mark struct {
	X    float64
	Name string
}

// size is what a plot is drawn for: text of 12 px is as wide on a phone as on a screen, so there is a drawing for each.
type size struct {
	class         string
	width, height float64
	ticks         int // on the axis of time
}

var (
	wide   = size{"wide", 816, 250, 8}
	narrow = size{"narrow", 358, 220, 4}
)

const (
	left, right, top, bottom = 54.0, 10.0, 20.0, 26.0
)

// drawing is a plot as shapes of SVG.
type drawing struct {
	Class         string
	Width, Height float64
	Left, Right   float64
	Base          float64
	Label         string
	YTicks        []tick
	XTicks        []tick
	Areas, Lines  []shape
	Marks         []drawnMark
}

type tick struct {
	At     float64
	Label  string
	Anchor string
}

type shape struct{ Ink, D string }

type drawnMark struct {
	X      float64
	TextX  float64
	Anchor string
	Name   string
}

// scale maps values to pixels.
type scale struct {
	least, most float64
	from, to    float64
	log         bool
}

func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(max(v, s.least))
		return s.from + (v-math.Log10(s.least))/(math.Log10(s.most)-math.Log10(s.least))*(s.to-s.from)
	}
	return s.from + (v-s.least)/(s.most-s.least)*(s.to-s.from)
}

func (p Plot) draw(z size) drawing {
	d := drawing{Class: z.class, Width: z.width, Height: z.height, Left: left, Right: z.width - right, Base: z.height - bottom}
	until := p.Until
	if n := len(p.X); until <= 0 && n > 0 {
		until = p.X[n-1]
	}
	until = max(until, 1e-3)
	x := scale{0, until, left, z.width - right, false}
	y, ticks := p.values()
	y.from, y.to = d.Base, top
	for _, v := range ticks {
		d.YTicks = append(d.YTicks, tick{At: y.at(v), Label: short(v)})
	}
	every := timeStep(until, z.ticks)
	for v := 0.0; v <= until*1.0001; v += every {
		anchor := "middle"
		if x.at(v) > z.width-right-18 {
			anchor = "end"
		}
		d.XTicks = append(d.XTicks, tick{At: x.at(v), Label: elapsed(v, every, until), Anchor: anchor})
	}
	switch p.Kind {
	case Places, Rates:
		d.Areas = p.stacked(x, y)
	case Curve:
		for _, s := range p.Series {
			outline := p.path(s.Values, x, y, false)
			if n := len(p.X); n > 0 {
				d.Areas = append(d.Areas, shape{s.Ink + " soft", outline + fmt.Sprintf("L%s %sL%s %sZ", px(x.at(p.X[n-1])), px(d.Base), px(x.at(p.X[0])), px(d.Base))})
			}
			d.Lines = append(d.Lines, shape{s.Ink, outline})
		}
	case Lines:
		for _, s := range p.Series {
			d.Lines = append(d.Lines, shape{s.Ink, p.path(s.Values, x, y, true)})
		}
	}
	for _, m := range p.Marks {
		if m.X < 0 || m.X > until {
			continue
		}
		mark := drawnMark{X: x.at(m.X), TextX: x.at(m.X) + 5, Anchor: "start", Name: m.Name}
		if mark.X > left+(z.width-right-left)*0.6 {
			mark.TextX, mark.Anchor = mark.X-5, "end"
		}
		d.Marks = append(d.Marks, mark)
	}
	d.Label = p.label()
	return d
}

// label is the plot for whoever can't see it.
func (p Plot) label() string {
	var names []string
	for _, s := range p.Series {
		most := 0.0
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
		names = append(names, fmt.Sprintf("%s, at most %s", s.Name, short(most)))
	}
	return p.Title + " (" + p.Y + "): " + strings.Join(names, "; ")
}

// values finds the axis of the values, and where it has its ticks.
func (p Plot) values() (scale, []float64) {
	least, most := math.Inf(1), p.Top
	for i := range p.X {
		sum := 0.0
		for _, s := range p.Series {
			v := s.Values[i]
			if math.IsNaN(v) {
				continue
			}
			if v > 0 {
				least = min(least, v)
			}
			if sum += v; p.Kind == Lines || p.Kind == Curve {
				most = max(most, v)
			}
		}
		if p.Kind == Places || p.Kind == Rates {
			most = max(most, sum)
		}
	}
	if p.Kind == Lines && most > 0 && most/least > 30 {
		s := scale{least: math.Pow10(int(math.Floor(math.Log10(least)))), most: math.Pow10(int(math.Ceil(math.Log10(most)))), log: true}
		var ticks []float64
		for v := s.least; v <= s.most*1.01; v *= 10 {
			ticks = append(ticks, v)
		}
		return s, ticks
	}
	if most <= 0 {
		most = 1
	}
	step := niceStep(most / 4)
	if p.Whole {
		step = max(step, 1)
	}
	s := scale{most: step * math.Ceil(most/step-1e-9)}
	var ticks []float64
	for n := 0; float64(n)*step <= s.most*1.0001; n++ {
		ticks = append(ticks, float64(n)*step)
	}
	return s, ticks
}

// stacked draws the series on top of each other, the first at the bottom.
func (p Plot) stacked(x, y scale) []shape {
	below := make([]float64, len(p.X))
	var shapes []shape
	for _, s := range p.Series {
		above, seen := make([]float64, len(below)), false
		for i, v := range s.Values {
			if math.IsNaN(v) {
				v = 0
			}
			seen = seen || v > 0
			above[i] = below[i] + v
		}
		if seen {
			shapes = append(shapes, shape{s.Ink, p.band(below, above, x, y)})
		}
		below = above
	}
	return shapes
}

// band is the area between two rows of values.
func (p Plot) band(below, above []float64, x, y scale) string {
	var there, back []string
	add := func(at, low, high float64) {
		there = append(there, px(x.at(at))+" "+px(y.at(high)))
		back = append(back, px(x.at(at))+" "+px(y.at(low)))
	}
	for i := range p.X {
		if p.Kind == Rates {
			add(p.Starts[i], below[i], above[i])
		}
		add(p.X[i], below[i], above[i])
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return "M" + strings.Join(there, "L") + "L" + strings.Join(back, "L") + "Z"
}

// path is a line through values, that is interrupted where there are none.
func (p Plot) path(values []float64, x, y scale, steps bool) string {
	var b strings.Builder
	pen := "M"
	for i, v := range values {
		if math.IsNaN(v) {
			pen = "M"
			continue
		}
		if steps {
			if pen == "L" && p.Starts[i] > p.X[i-1]+1e-9 {
				pen = "M"
			}
			b.WriteString(pen + px(x.at(p.Starts[i])) + " " + px(y.at(v)))
			pen = "L"
		}
		b.WriteString(pen + px(x.at(p.X[i])) + " " + px(y.at(v)))
		pen = "L"
	}
	return b.String()
}

func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// niceStep is the least of ..., 1, 2, 5, 10, 20, ... that is not smaller.
func niceStep(v float64) float64 {
	base := math.Pow10(int(math.Floor(math.Log10(v))))
	for _, n := range []float64{1, 2, 5} {
		if n*base >= v*0.9999 {
			return n * base
		}
	}
	return 10 * base
}

// short writes a value at an axis.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "k"
	case v >= 1000:
		return Count(int64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

var timeSteps = []float64{
	0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 7 * 24 * 3600, 28 * 24 * 3600,
}

// timeStep is how far the ticks of an axis of time are apart, if there are to be so many at most.
func timeStep(until float64, ticks int) float64 {
	for _, step := range timeSteps {
		if until/step <= float64(ticks) {
			return step
		}
	}
	return until / float64(ticks)
}

// elapsed writes a time since the beginning, at a tick.
func elapsed(v, every, until float64) string {
	seconds := int64(math.Round(v))
	switch {
	case v == 0:
		return "0"
	case until < 1 || every < 1 && until < 10:
		if until < 1 {
			return strconv.FormatFloat(math.Round(v*1000), 'f', -1, 64) + " ms"
		}
		return strconv.FormatFloat(v, 'f', 1, 64) + " s"
	case every < 60 && until <= 120:
		return strconv.FormatInt(seconds, 10) + " s"
	case every < 60:
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	case every < 3600 && until <= 2*3600:
		return strconv.FormatInt(seconds/60, 10) + " min"
	case every < 3600:
		return fmt.Sprintf("%d:%02d h", seconds/3600, seconds/60%60)
	case every < 24*3600 && until <= 48*3600:
		return strconv.FormatInt(seconds/3600, 10) + " h"
	}
	return strconv.FormatFloat((time.Duration(v)*time.Second).Hours()/24, 'g', 3, 64) + " d"
}
