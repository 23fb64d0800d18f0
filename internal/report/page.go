// Package report writes the page that tells what became of a sale, or of a rehearsal of one: a single file of HTML that asks nobody for anything, to be read on a
// screen or a phone, printed, and mailed. It takes what there is to tell, and knows neither the shop nor a database.
package report

import (
	"crypto/sha256"
	_ "embed" // page.html
	"encoding/base64"
	"html/template"
	"io"
	"regexp"
	"strings"
	"time"
)

// Page is everything that a report says. Texts are plain: whatever stands in them is shown as it is.
type Page struct {
	Kind      string // above the title, such as "Sale report"
	Title     string
	Lead      string // what happened, in a sentence or two
	Notice    string // what to know before reading on; empty: nothing
	Facts     []Fact
	Headlines []Figure
	Sections  []Section
	Basis     []string // what the figures rest on, a sentence each
	Made      time.Time
}

// Fact is a label and a value, in small print.
type Fact struct{ Label, Value string }

// Figure is a number that is shown large.
type Figure struct {
	Label, Value, Note string
	Tone               Tone
}

// Tone is whether something is as it should be.
type Tone string

// The tones.
const (
	Plain Tone = ""
	Good  Tone = "good"
	Bad   Tone = "bad"
)

// Section is a part of the page. Whatever is empty in it is left out.
type Section struct {
	Title, Text string
	Plots       []Plot
	Tables      []Table
	List        []string
	Tone        Tone
}

// Table has a row of names, rows whose first cell names them, and perhaps a last row of sums. All cells but the first are aligned to the right.
type Table struct {
	Head []string
	Rows [][]string
	Sums []string
	// Hints explain the rows, where they need it.
	Hints []string
}

// Hint explains a row; empty: it needs no explanation.
func (t Table) Hint(row int) string {
	if row >= len(t.Hints) {
		return ""
	}
	return t.Hints[row]
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"draw":  func(p Plot) []drawing { return []drawing{p.draw(wide), p.draw(narrow)} },
	"tie":   tie,
	"stamp": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") },
}).Parse(pageText))

var tied = regexp.MustCompile(`([0-9]) (min\b|s\b|ms\b|h\b|%)|([A-Z]{3}) ([0-9−])`)

// tie keeps a number and its unit on one line.
func tie(text string) string { return tied.ReplaceAllString(text, "$1$3\u00a0$2$4") }

// Write writes the page.
func (p Page) Write(w io.Writer) error { return pageTemplate.Execute(w, p) }

// StyleSource is what a Content-Security-Policy has to name as a source of styles for the page to look as it should: it has no other needs.
var StyleSource = func() string {
	_, style, _ := strings.Cut(pageText, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()
