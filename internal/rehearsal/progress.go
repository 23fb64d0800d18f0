package rehearsal

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"
)

const barWidth = 24

// progress draws a bar on a terminal, and writes plain lines elsewhere. Its methods are safe for concurrent use, begin
// and line between two phases only.
type progress struct {
	out      io.Writer
	terminal bool
	prefix   string

	mu    sync.Mutex
	phase string
	done  int
	total int
	shown int // percent
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, terminal: isTerminal(out)}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

func (p *progress) begin(phase string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.done, p.total, p.shown = phase, 0, total, -1
	p.draw()
}

func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	p.draw()
}

// draw writes only when the percentage moved, at most a hundred times a phase.
func (p *progress) draw() {
	percent := 100
	if p.total > 0 {
		percent = 100 * p.done / p.total
	}
	if !p.terminal || percent == p.shown {
		return
	}
	p.shown = percent
	full := barWidth * percent / 100
	_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s  %-10s %s%s %3d%%", p.prefix, p.phase, strings.Repeat("█", full), strings.Repeat("░", barWidth-full), percent)
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// line is a line that stays; a terminal gets the table in the end and needs none.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil && !p.terminal {
		_, _ = fmt.Fprintln(p.out, text)
	}
}
