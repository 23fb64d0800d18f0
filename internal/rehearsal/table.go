package rehearsal

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const lineWidth = 100

// WriteTable writes the report for people: a line per case, then the verdict in words. Lines are at most 100 columns wide
// unless figures are longer than usual; colours are used on a terminal only, and not when plain.
func (r *Report) WriteTable(w io.Writer, plain bool) error {
	ink := ink(isTerminal(w) && !plain)
	var b bytes.Buffer
	if slices.ContainsFunc(r.Cases, func(c CaseReport) bool { return c.Naive != nil }) {
		fmt.Fprintln(&b, ink.bold("naive: reads the stock, then writes it, on the same PostgreSQL"))
		fmt.Fprintln(&b)
		r.naiveTable(ink).write(&b, ink)
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, ink.bold(r.heading()))
	fmt.Fprintln(&b)
	r.table(ink).write(&b, ink)
	fmt.Fprintln(&b)
	if r.Mode == Queued || r.Mode == Both {
		fmt.Fprintln(&b, ink.bold("time to accept (until the 202) and time to answer (until the outcome is known), in ms"))
		fmt.Fprintln(&b)
		r.timesTable().write(&b, ink)
		fmt.Fprintln(&b)
	}
	r.verdict(&b, ink)
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) heading() string {
	text := "lastunit: all buyers at once"
	if r.Rate > 0 {
		text = fmt.Sprintf("lastunit: %s requests a second", strconv.FormatFloat(r.Rate, 'f', -1, 64))
	}
	switch {
	case r.Mode == Queued && r.Poll:
		text += ", queued, polling"
	case r.Mode == Queued:
		text += ", queued"
	case r.Mode == Both && r.Poll:
		text += ", half of them queued, polling"
	case r.Mode == Both:
		text += ", half of them queued"
	}
	if len(r.Servers) > 1 {
		text += fmt.Sprintf(", over %d servers", len(r.Servers))
	}
	return text
}

// timesTable has a line for each way of each case.
func (r *Report) timesTable() table {
	t := table{{"buyers", "way", "held", "accept p50", "p95", "p99", "answer p50", "p95", "p99"}}
	for _, c := range r.Cases {
		for _, w := range c.Ways {
			row := []string{strconv.Itoa(w.Buyers), string(w.Way), strconv.Itoa(w.Held)}
			t = append(t, slices.Concat(row, w.AcceptLatency.cells(), w.Latency.cells()))
		}
	}
	return t
}

func (r *Report) table(ink ink) table {
	codes := map[string]bool{}
	for _, c := range r.Cases {
		for code := range c.Refused {
			codes[code] = true
		}
	}
	reasons := slices.Sorted(maps.Keys(codes))
	header := []string{"buyers", "stock", "sent", "held"}
	for _, reason := range reasons {
		header = append(header, strings.TrimSuffix(reason, "-units"))
	}
	header = append(header, "faults")
	if r.Rate > 0 {
		header = append(header, "late")
	}
	t := table{append(header, "p50 ms", "p95 ms", "p99 ms", "left", "audit")}
	for _, c := range r.Cases {
		row := []string{strconv.Itoa(c.Buyers), strconv.Itoa(c.Stock), strconv.Itoa(c.Sent), strconv.Itoa(c.Held)}
		for _, reason := range reasons {
			row = append(row, strconv.Itoa(c.Refused[reason]))
		}
		row = append(row, ink.alarm(c.Faults))
		if r.Rate > 0 {
			row = append(row, ink.alarm(c.Late))
		}
		row = append(row, c.Latency.cells()...)
		audit := ink.green("ok")
		if !c.AuditOK {
			audit = ink.red("FAIL")
		}
		t = append(t, append(row, strconv.Itoa(c.UnitsLeft), audit))
	}
	return t
}

func (r *Report) naiveTable(ink ink) table {
	t := table{{"buyers", "stock", "orders", "refused", "faults", "p50 ms", "p95 ms", "p99 ms", "sold", "stock now"}}
	for _, c := range r.Cases {
		n := c.Naive
		if n == nil {
			continue
		}
		row := []string{strconv.Itoa(c.Buyers), strconv.Itoa(c.Stock), strconv.Itoa(n.Orders), strconv.Itoa(n.Refused), strconv.Itoa(n.Faults)}
		row = append(row, n.Latency.cells()...)
		now := strconv.Itoa(n.StockNow)
		if n.StockNow < 0 {
			now = ink.red(now)
		}
		t = append(t, append(row, strconv.Itoa(n.UnitsSold), now))
	}
	return t
}

func (r *Report) verdict(b *bytes.Buffer, ink ink) {
	fmt.Fprintln(b, ink.bold("Verdict"))
	fmt.Fprintln(b)
	naive := false
	for _, c := range r.Cases {
		if c.Naive != nil {
			fmt.Fprintf(b, "  naive:    %s\n", c.Naive.summary(c.Case))
			naive = true
		}
	}
	if naive {
		fmt.Fprintln(b)
	}
	broken, promises := 0, 0
	for _, c := range r.Cases {
		line := "  lastunit: " + c.summary()
		if !c.ok() {
			broken, promises, line = broken+1, promises+len(c.Broken), ink.red(line)
		}
		fmt.Fprintln(b, line)
		for _, sentence := range c.Broken {
			writeWrapped(b, "    - ", sentence)
		}
		if c.Retries > 0 {
			key := " with the same key"
			if r.Poll {
				key = ""
			}
			fmt.Fprintf(b, "            (requests were sent again%s %s)\n", key, plural(c.Retries, "time"))
		}
		if r.Kept {
			fmt.Fprintf(b, "            (kept as %s)\n", c.SKU)
		}
	}
	if len(r.Cases) > 0 {
		fmt.Fprintln(b)
	}
	switch {
	case broken > 0:
		fmt.Fprintln(b, ink.red(fmt.Sprintf("BROKEN: %s in %d of %s.", plural(promises, "promise"), broken, plural(len(r.Cases), "case"))))
	case r.OK():
		fmt.Fprintln(b, ink.green(fmt.Sprintf("OK: every promise was kept, in %s.", plural(len(r.Cases), "case"))))
	}
	if r.Incomplete {
		fmt.Fprintln(b, ink.red("INCOMPLETE: the rehearsal ended before all cases were played."))
	}
}

func (l *Latency) cells() []string {
	if l == nil {
		return []string{"-", "-", "-"}
	}
	var cells []string
	for _, ms := range []float64{l.P50, l.P95, l.P99} {
		decimals := 1
		if ms >= 1000 {
			decimals = 0
		}
		cells = append(cells, strconv.FormatFloat(ms, 'f', decimals, 64))
	}
	return cells
}

// table is rows of cells, the first of them the header.
type table [][]string

func (t table) write(b *bytes.Buffer, ink ink) {
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			widths[i] = max(widths[i], visible(cell))
		}
	}
	for n, row := range t {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(strings.Repeat(" ", widths[i]-visible(cell)))
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString("  ")
			}
		}
		text := line.String()
		if n == 0 {
			text = ink.dim(text)
		}
		fmt.Fprintln(b, text)
	}
}

// ink colours text when it is true.
type ink bool

func (k ink) paint(code, text string) string {
	if !k {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (k ink) bold(text string) string  { return k.paint("1", text) }
func (k ink) dim(text string) string   { return k.paint("2", text) }
func (k ink) red(text string) string   { return k.paint("31", text) }
func (k ink) green(text string) string { return k.paint("32", text) }

// alarm is red when it is not zero.
func (k ink) alarm(n int) string {
	if n == 0 {
		return "0"
	}
	return k.red(strconv.Itoa(n))
}

// visible is how many columns a cell takes, without its colour.
func visible(cell string) int {
	width, escape := 0, false
	for _, char := range cell {
		switch {
		case char == '\x1b':
			escape = true
		case escape:
			escape = char != 'm'
		default:
			width++
		}
	}
	return width
}

// writeWrapped breaks a sentence at spaces, and indents what follows like its beginning.
func writeWrapped(b *bytes.Buffer, mark, sentence string) {
	line, indent := mark, strings.Repeat(" ", len(mark))
	for i, word := range strings.Fields(sentence) {
		switch {
		case i == 0:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > lineWidth:
			fmt.Fprintln(b, line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	fmt.Fprintln(b, line)
}
