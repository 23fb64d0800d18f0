package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

type viewersOptions struct {
	viewers   int
	perSecond float64 // claims
	measure   time.Duration
	results   string
}

func (o *viewersOptions) flags(f *flag.FlagSet) {
	f.IntVar(&o.viewers, "viewers", 5000, "who watch one product, each over a connection of its own")
	f.Float64Var(&o.perSecond, "claims", 5, "a second, each of which changes what they are shown")
	f.DurationVar(&o.measure, "measure", 30*time.Second, "how long claims are made without viewers, and again with them")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// watched is the product that is watched: how many units there were, and when the claim was sent that took each.
type watched struct {
	units int64
	sent  []atomic.Int64 // by the number of the claim, in nanoseconds from began
	began time.Time
	late  []atomic.Int64 // how often a viewer has seen a claim so many ms after it was sent
	saw   atomic.Int64   // viewers that have seen the last claim
	last  int64          // its number
	lost  atomic.Int64   // viewers whose stream has ended
}

// shown notes that a viewer who had seen so many claims is shown that so many units are left, and returns how many it has seen now.
func (w *watched) shown(seen, left int64) int64 {
	now := time.Since(w.began)
	for ; seen < w.units-left; seen++ {
		if sent := w.sent[seen].Load(); sent > 0 {
			w.late[min(int((now-time.Duration(sent))/time.Millisecond), len(w.late)-1)].Add(1)
		}
	}
	return seen
}

// percentile of how late claims were seen, in ms.
func (w *watched) percentile(p float64) float64 {
	var all, sum int64
	for i := range w.late {
		all += w.late[i].Load()
	}
	for i := range w.late {
		if sum += w.late[i].Load(); float64(sum) >= p*float64(all) && sum > 0 {
			return float64(i)
		}
	}
	return 0
}

// viewers shows what it costs the database that thousands watch a product while it is bought, and how late they see that.
func viewers(ctx context.Context, binary string, o viewersOptions, out io.Writer) error {
	s := newShown("viewers", out)
	if err := driven.RaiseFileLimit(uint64(o.viewers + 1000)); err != nil {
		return err
	}
	b, err := newBench(ctx, binary, 1, "--hold", "1h", "--max-waiting", fmt.Sprint(2*o.viewers), "--show-stock", "100000")
	if err != nil {
		return err
	}
	defer b.stop()
	claims := int(o.perSecond*o.measure.Seconds()) + 1
	w := &watched{units: int64(3 * claims), last: int64(2 * claims), sent: make([]atomic.Int64, 2*claims), late: make([]atomic.Int64, 60_000), began: time.Now()}
	if err := b.stock("hot", int(w.units)); err != nil {
		return err
	}
	if err := b.logStatements(); err != nil {
		return err
	}
	var t tally
	without, err := b.queriesOf("without viewers", func() error { return b.claimSlowly(w, 0, claims, o.perSecond, &t) })
	if err != nil {
		return err
	}
	pid := b.service.Servers[0].PID()
	before, _ := driven.Memory(pid)
	remembered := b.watchMemory()
	watching, err := b.view(w, int64(claims), o.viewers)
	defer watching.stop()
	if err != nil {
		return err
	}
	connected, _ := driven.Memory(pid)
	used := driven.ProcessorTime(b.lastunit(1).servers)
	with, err := b.queriesOf("with viewers", func() error { return b.claimSlowly(w, claims, 2*claims, o.perSecond, &t) })
	if err != nil {
		return err
	}
	used = driven.ProcessorTime(b.lastunit(1).servers) - used
	for began := time.Now(); w.saw.Load() < int64(o.viewers) && time.Since(began) < 10*time.Second; driven.Pause(ctx, 10*time.Millisecond) {
	}
	points, most := remembered()
	if saw, lost := w.saw.Load(), w.lost.Load(); saw < int64(o.viewers) || lost > 0 {
		s.wrong.Add("%d of %d viewers have seen the last claim, and %d streams have ended", saw, o.viewers, lost)
	}
	for _, name := range slices.Sorted(maps.Keys(with.names)) {
		if name != "" { // begin, commit and the like
			s.say("  %-28s %7.2f a second without viewers, %7.2f with", name, without.rate(name), with.rate(name))
		}
	}
	s.Charts = append(s.Charts, chart{Title: fmt.Sprintf("MiB that the server has in memory, %d viewers", o.viewers), X: "s", Lines: []line{{Name: "memory", Points: points}}})
	s.add(figure{Name: "viewers of one product", Value: float64(o.viewers)})
	s.add(figure{Name: "queries a second that read products", Value: with.rate("ProductShown"), AtMost: 10})
	s.add(figure{Name: "queries a second, all: claims and background loops included", Value: with.rate("")})
	s.add(figure{Name: "the same without viewers", Value: without.rate("")})
	s.add(figure{Name: "p50 of how late a viewer sees a claim, ms", Value: w.percentile(0.5)})
	s.add(figure{Name: "p99 of how late a viewer sees a claim, ms", Value: w.percentile(0.99), AtMost: 2000})
	s.add(figure{Name: "the server's memory before, MiB", Value: before})
	s.add(figure{Name: "the server's memory with all connected, MiB", Value: connected})
	s.add(figure{Name: "the server's memory at most, MiB", Value: most})
	s.add(figure{Name: "processors that the server used with viewers", Value: used.Seconds() / with.seconds})
	if err := b.addsUp(s, "hot", &t); err != nil {
		return err
	}
	return s.end(o.results)
}

// claimSlowly makes the claims from one number to another, so many a second, one after the other.
func (b *bench) claimSlowly(w *watched, from, to int, perSecond float64, t *tally) error {
	c := driven.Conn{Address: b.service.Servers[0].Address}
	defer c.Close()
	began := time.Now()
	for i := from; i < to && b.ctx.Err() == nil; i++ {
		driven.Pause(b.ctx, time.Until(began.Add(time.Duration(float64(i-from)/perSecond*float64(time.Second)))))
		c.Key = b.crowd.tokens[i]
		w.sent[i].Store(int64(time.Since(w.began)))
		a, err := c.Do(b.ctx, driven.Ask{Method: "POST", Path: addToCart, Header: fmt.Sprintf("Idempotency-Key: viewed-%d\r\n", i), Body: one("hot", 1)(0)})
		if err != nil {
			return err
		}
		if t.answered(0, "", a.Status); a.Status != http.StatusCreated {
			return fmt.Errorf("claim %d: %v", i, a)
		}
	}
	return b.ctx.Err()
}

// queries are those that a database was sent, by name; what has none has the name "".
type queries struct {
	names   map[string]int
	seconds float64
}

// rate is how many there were a second; of no name: of all.
func (q queries) rate(name string) float64 {
	if name != "" {
		return float64(q.names[name]) / q.seconds
	}
	n := 0
	for _, count := range q.names {
		n += count
	}
	return float64(n) / q.seconds
}

// logStatements lets PostgreSQL log every statement.
func (b *bench) logStatements() error {
	for _, sql := range []string{`ALTER SYSTEM SET log_statement = 'all'`, `SELECT pg_reload_conf()`} {
		if _, err := b.db.Exec(b.ctx, sql); err != nil {
			return err
		}
	}
	for logged := ""; logged != "all"; driven.Pause(b.ctx, 10*time.Millisecond) {
		if err := b.db.QueryRow(b.ctx, `SHOW log_statement`).Scan(&logged); err != nil {
			return err
		}
	}
	return nil
}

// queriesOf counts the queries in PostgreSQL's log, which has all of them, from the beginning of something to its end.
func (b *bench) queriesOf(what string, do func() error) (queries, error) {
	began := time.Now()
	if _, err := b.db.Exec(b.ctx, "SELECT '"+what+": begin'"); err != nil {
		return queries{}, err
	}
	if err := do(); err != nil {
		return queries{}, err
	}
	if _, err := b.db.Exec(b.ctx, "SELECT '"+what+": end'"); err != nil {
		return queries{}, err
	}
	q := queries{names: map[string]int{}, seconds: time.Since(began).Seconds()}
	text, err := b.service.PostgresLog()
	if err != nil {
		return q, err
	}
	_, text, found := strings.Cut(text, "SELECT '"+what+": begin'")
	text, _, ended := strings.Cut(text, "SELECT '"+what+": end'")
	if !found || !ended {
		return q, fmt.Errorf("PostgreSQL's log does not have the queries %s", what)
	}
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "LOG:  execute ") && !strings.Contains(line, "LOG:  statement: ") {
			continue
		}
		_, name, _ := strings.Cut(line, "-- name: ")
		name, _, _ = strings.Cut(name, " ")
		q.names[name]++
	}
	return q, nil
}

// views are the connections of viewers.
type views struct {
	mu    sync.Mutex
	conns []net.Conn
	all   sync.WaitGroup
	over  atomic.Bool
}

func (v *views) stop() {
	v.over.Store(true)
	v.mu.Lock()
	for _, conn := range v.conns {
		_ = conn.Close()
	}
	v.mu.Unlock()
	v.all.Wait()
}

// view lets so many viewers in, who have seen so many claims, and returns when each has been shown the product.
func (b *bench) view(w *watched, seen int64, n int) (*views, error) {
	v := &views{}
	var next, failed atomic.Int64
	var first sync.WaitGroup
	var why atomic.Value
	for range 64 {
		first.Go(func() {
			for next.Add(1) <= int64(n) && failed.Load() == 0 && b.ctx.Err() == nil {
				if err := v.open(b, w, seen); err != nil {
					failed.Add(1)
					why.CompareAndSwap(nil, err)
				}
			}
		})
	}
	first.Wait()
	err, _ := why.Load().(error)
	return v, err
}

// open opens the stream of one viewer, and reads it until it ends.
func (v *views) open(b *bench, w *watched, seen int64) error {
	address := b.service.Servers[0].Address
	conn, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(b.ctx, "tcp", address)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.conns = append(v.conns, conn)
	v.mu.Unlock()
	if _, err := fmt.Fprintf(conn, "GET /api/v1/products/events?sku=hot HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(conn, 2048)
	left, err := readLeft(lines)
	if err != nil {
		return err
	}
	seen = max(seen, w.units-left)
	v.all.Go(func() {
		for {
			left, err := readLeft(lines)
			if err != nil {
				if !v.over.Load() {
					w.lost.Add(1)
				}
				return
			}
			before := seen
			if seen = w.shown(seen, left); before < w.last && seen >= w.last {
				w.saw.Add(1)
			}
		}
	})
	return nil
}

// readLeft reads up to the next event and returns how many units it says are left.
func readLeft(lines *bufio.Reader) (int64, error) {
	for {
		text, err := lines.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if bytes.HasPrefix(text, []byte("HTTP/")) && !bytes.Contains(text, []byte(" 200 ")) {
			return 0, fmt.Errorf("a stream is answered %s", bytes.TrimSpace(text))
		}
		if !bytes.HasPrefix(text, []byte("data: ")) {
			continue
		}
		_, number, _ := bytes.Cut(text, []byte(`"available":`))
		end := bytes.IndexByte(number, ',')
		if end < 0 {
			return 0, fmt.Errorf("an event says %s", text)
		}
		return strconv.ParseInt(string(number[:end]), 10, 64)
	}
}
