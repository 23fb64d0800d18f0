package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
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
	writeRows(&b, rows, 0)
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
			writeRows(&b, rows, tabwriter.AlignRight)
		}
		for _, item := range s.List {
			fmt.Fprintf(&b, "  - %s\n", item)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeRows(w io.Writer, rows [][]string, flags uint) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', flags)
	for _, row := range rows {
		fmt.Fprintf(t, "  %s\t\n", strings.Join(row, "\t"))
	}
	_ = t.Flush() // a buffer takes everything
}
