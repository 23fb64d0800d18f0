package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Count writes a whole number as people read it: 1,234,567.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "−", digits[1:]
	}
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return sign + b.String()
}

// Plural is a number with its noun: 1 unit, 2,000 units.
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Percent writes a share of 0 to 1. What is not all is never written as all, and what is something never as nothing.
func Percent(share float64) string {
	switch {
	case share <= 0:
		return "0 %"
	case share >= 1:
		return "100 %"
	case share < 0.001:
		return "< 0.1 %"
	case share > 0.999:
		return "> 99.9 %"
	case share < 0.1 || share > 0.99:
		return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*share, 'f', 0, 64) + " %"
}

// Duration writes how long something took, to a figure that one can take in: 340 ms, 2.4 s, 3 min 20 s, 2 h 5 min.
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond && d > 0:
		return "< 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + " s"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 0, 64) + " s"
	case d < time.Hour:
		return parts(int64(d.Round(time.Second)/time.Second), "min", "s")
	case d < 48*time.Hour:
		return parts(int64(d.Round(time.Minute)/time.Minute), "h", "min")
	}
	return strconv.FormatInt(int64(d.Hours()/24), 10) + " days"
}

func parts(n int64, large, small string) string {
	if n%60 == 0 {
		return fmt.Sprintf("%d %s", n/60, large)
	}
	return fmt.Sprintf("%d %s %d %s", n/60, large, n%60, small)
}

// Rate writes how often something happens in a second.
func Rate(perSecond float64) string {
	if perSecond < 10 && perSecond != math.Trunc(perSecond) {
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + " a second"
	}
	return Count(int64(math.Round(perSecond))) + " a second"
}

// decimals of currencies that have not two (ISO 4217).
var decimals = map[string]int{
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}

// Money writes an amount in minor units: EUR 1,234.50.
func Money(minor int64, currency string) string {
	places, known := decimals[currency]
	if !known {
		places = 2
	}
	if places == 0 {
		return currency + " " + Count(minor)
	}
	sign := ""
	if minor < 0 {
		sign, minor = "−", -minor
	}
	unit := int64(math.Pow10(places))
	return fmt.Sprintf("%s %s%s.%0*d", currency, sign, Count(minor/unit), places, minor%unit)
}

// Span writes an instant and another, without saying the day twice.
func Span(from, to time.Time) string {
	from, to = from.UTC(), to.UTC()
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		return from.Format("2 January 2006, 15:04") + "–" + to.Format("15:04 UTC")
	}
	return from.Format("2 January 2006, 15:04") + " – " + to.Format("2 January 2006, 15:04 UTC")
}

// A reason is how refusals with a problem code are called and drawn.
type reason struct{ name, hint, ink string }

var reasons = map[string]reason{
	"sold-out":               {"sold out", "Every unit was sold.", "soldout"},
	"all-held":               {"all in carts", "Every unit was in somebody's cart or unpaid order; some might have come back.", "allheld"},
	"not-enough-units":       {"too few left", "Fewer units were left than were asked for.", "toofew"},
	"purchase-limit":         {"at the limit", "The buyer already had as many as one person may have.", "limit"},
	"cool-down":              {"cooling down", "The buyer had let a hold lapse a moment ago.", "cool"},
	"sale-not-open":          {"too early", "The sale was not open yet.", "closed"},
	"sale-ended":             {"too late", "The sale was over.", "closed"},
	"sale-paused":            {"paused", "The sale was paused.", "closed"},
	"busy":                   {"turned away", "The servers had more to do than they could, and took nothing.", "busy"},
	"too-many-requests":      {"too many requests", "The buyer asked too often.", "busy"},
	"validation":             {"not valid", "The request made no sense.", "other"},
	"idempotency-key-reused": {"key used twice", "A key came with another request than the first time.", "other"},
}

// Reason says a problem code in plain words.
func Reason(code string) string {
	if r, known := reasons[code]; known {
		return r.name
	}
	return strings.ReplaceAll(code, "-", " ")
}

// ReasonTitle is Reason at the beginning of a row.
func ReasonTitle(code string) string {
	name := Reason(code)
	return strings.ToUpper(name[:1]) + name[1:]
}

// ReasonInk is in what ink refusals with a problem code are drawn.
func ReasonInk(code string) string { return cmp.Or(reasons[code].ink, "other") }

// ReasonHint explains what a problem code means to the buyer.
func ReasonHint(code string) string { return reasons[code].hint }

// Codes are the problem codes of some refusals, the most frequent first.
func Codes[N int | int64](refusals map[string]N) []string {
	codes := slices.Sorted(maps.Keys(refusals))
	slices.SortStableFunc(codes, func(a, b string) int { return cmp.Compare(refusals[b], refusals[a]) })
	return codes
}
