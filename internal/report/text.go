package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteText writes the page for a terminal: everything but the plots.
func (p Page) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", p.Kind, p.Title)
	for _, text := range []string{p.Lead, p.Notice} {
		if text != "" {
			fmt.Fprintf(&b, "%s\n", text)
		}
	}
	b.WriteByte('\n')
	rows := make([][]string, 0, len(p.Facts)+len(p.Headlines))
	for _, f := range p.Facts {
		rows = append(rows, []string{f.Label, f.Value})
	}
	for _, f := range p.Headlines {
		value := f.Value
		if f.Note != "" {
			value += " (" + f.Note + ")"
		}
		rows = append(rows, []string{f.Label, value})
	}
	writeRows(&b, rows, false)
	for _, s := range p.Sections {
		if len(s.Tables)+len(s.List) == 0 && s.Text == "" {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", s.Title)
		if len(s.Plots) == 0 && s.Text != "" {
			fmt.Fprintf(&b, "  %s\n", s.Text)
		}
		for _, t := range s.Tables {
			rows := append([][]string{t.Head}, t.Rows...)
			if t.Sums != nil {
				rows = append(rows, t.Sums)
			}
			writeRows(&b, rows, true)
		}
		for _, item := range s.List {
			fmt.Fprintf(&b, "  - %s\n", item)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeRows aligns cells, the first of a row to the left, and the others as they are said to be.
func writeRows(b *bytes.Buffer, rows [][]string, right bool) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := " "
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 && right {
				line += " " + gap + cell + " "
			} else {
				line += " " + cell + gap + " "
			}
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}
