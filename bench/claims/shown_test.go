package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// showSmall runs a scenario and returns what it has written. Nothing is asserted of time.
func showSmall(t *testing.T, results string, run func(ctx context.Context, binary string, out io.Writer) error) shown {
	t.Helper()
	var said bytes.Buffer
	if err := run(t.Context(), built(t), &said); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	t.Log(said.String())
	var s shown
	text, err := os.ReadFile(results)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Figures {
		if !strings.Contains(said.String(), f.Name) || f.Value < 0 {
			t.Errorf("%+v", f)
		}
	}
	svg, err := os.ReadFile(strings.TrimSuffix(results, "json") + "svg")
	if err != nil || bytes.Count(svg, []byte("<polyline")) == 0 {
		t.Errorf("%v: %s", err, svg)
	}
	for _, c := range s.Charts {
		if !bytes.Contains(svg, []byte(c.Title)) {
			t.Errorf("the chart %q is not drawn", c.Title)
		}
	}
	return s
}

// value of the figure whose name has a text in it.
func (s *shown) value(t *testing.T, name string) float64 {
	t.Helper()
	for _, f := range s.Figures {
		if strings.Contains(f.Name, name) {
			return f.Value
		}
	}
	t.Fatalf("there is no figure %q: %+v", name, s.Figures)
	return 0
}

func TestWhatAClaimCostsWhenThereIsMoreIsShown(t *testing.T) {
	t.Parallel()
	o := growsOptions{
		rounds: 2, connections: 16, measure: 500 * time.Millisecond, few: 1000, many: 20_000, spurt: 500, claims: 5000, holds: 40_000, results: filepath.Join(t.TempDir(), "grows.json"),
	}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return grows(ctx, binary, o, out) })
	if len(s.Charts) != 3 || len(s.Charts[1].Lines[0].Points) != 10 || len(s.Samples) != 4 {
		t.Errorf("%d charts, %d turns", len(s.Charts), len(s.Samples))
	}
	if there, naive := s.value(t, "the pick reads for a unit"), s.value(t, "from the beginning"); there <= 0 || there > 8 || naive <= there {
		t.Errorf("a unit costs %g buffers, %g from the beginning: there is nothing dead in the way, or it is met", there, naive)
	}
}

// What does not add up fails a scenario; a target that is missed does not.
func TestOnlyWhatIsWrongFails(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	s := newShown("some", &said)
	s.add(figure{Name: "much", Value: 1, AtLeast: 2})
	s.add(figure{Name: "little", Value: 2, AtMost: 2})
	if err := s.end(""); err != nil || strings.Count(said.String(), "!") != 1 {
		t.Errorf("%v: %s", err, &said)
	}
	b, err := newBench(t.Context(), built(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	var tally tally
	l := b.claimsOf("A", 4, &tally)
	l.warm, l.requests = 0, 10
	if err := b.stock("A", 20); err != nil {
		t.Fatal(err)
	}
	if _, err := b.measure(b.lastunit(1), l, 201, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.addsUp(s, "A", &tally); err != nil || s.end("") != nil {
		t.Errorf("%v: %v", err, s.wrong)
	}
	tally.held.Add(1)
	tally.refused.Add(1)
	if _, err := b.db.Exec(t.Context(), `DELETE FROM stock_token WHERE position IN (SELECT position FROM stock_token LIMIT 1)`); err != nil {
		t.Fatal(err)
	}
	if err := b.addsUp(s, "A", &tally); err != nil || len(s.wrong) != 3 || s.end("") == nil {
		t.Errorf("%v: found %v, want a unit that is nowhere, a claim that is not there, and a refusal", err, s.wrong)
	}
}

func TestWhatAReceiptCostsIsShown(t *testing.T) {
	t.Parallel()
	o := receiptOptions{rounds: 2, connections: 16, units: 5000, others: 100_000, measure: time.Second, results: filepath.Join(t.TempDir(), "receipt.json")}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return receipt(ctx, binary, o, out) })
	if len(s.Charts) != 3 || len(s.Charts[2].Lines) != 4 || s.value(t, "bare INSERT") <= 0 || s.value(t, "÷ without") <= 0 || s.value(t, "at most, MiB") < s.value(t, "before a receipt") {
		t.Errorf("%+v", s)
	}
}

func TestWhatAnImportCostsIsShown(t *testing.T) {
	t.Parallel()
	o := sheetsOptions{rounds: 2, lines: 500, results: filepath.Join(t.TempDir(), "import.json")}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return sheets(ctx, binary, o, out) })
	if len(s.Charts) != 1 || len(s.Charts[0].Lines) != 4 || s.value(t, "rows that it makes") <= 0 || s.value(t, "table of texts") <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatMetricsCostIsShown(t *testing.T) {
	t.Parallel()
	o := metricsOptions{compareOptions{rounds: 3, connections: 16, measure: 200 * time.Millisecond, results: filepath.Join(t.TempDir(), "metrics.json")}}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return metrics(ctx, binary, o, out) })
	claims := s.Figures[0].Value
	if from, to := s.value(t, "interval: from"), s.value(t, "interval: to"); len(s.Samples["without"]) != 6 || len(s.Samples["with metrics"]) != 6 || claims < from || claims > to {
		t.Errorf("%+v", s)
	}
}

// Out of the tables of binomial coefficients: of 20 tosses 5 or fewer are heads in 4.14 % of all cases or all but 5 are, of 30 tosses 9 in 4.28 %.
func TestHowManyValuesAnIntervalLeavesOut(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{5: -1, 6: 0, 8: 0, 9: 1, 20: 5, 30: 9, 100: 39} {
		k, sure := surely(n)
		if !sure {
			k = -1
		}
		if k != want {
			t.Errorf("of %d values %d are left out, want %d", n, k, want)
		}
	}
}

func TestWhatAnAuditCostsIsShown(t *testing.T) {
	t.Parallel()
	o := auditOptions{rounds: 2, connections: 16, units: 20_000, held: 500, others: 100_000, measure: time.Second, results: filepath.Join(t.TempDir(), "audit.json")}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return audit(ctx, binary, o, out) })
	if len(s.Charts) != 2 || len(s.Charts[0].Lines) != 2 || len(s.Samples) != 4 || s.value(t, "one reading of its tables") <= 0 || s.value(t, "÷ without") <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestHowLongAReportTakesIsShown(t *testing.T) {
	t.Parallel()
	o := saleReportOptions{rounds: 2, claims: 2000, products: 3, results: filepath.Join(t.TempDir(), "report.json")}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return saleReport(ctx, binary, o, out) })
	if len(s.Charts) != 1 || len(s.Samples["report"]) != 2 || s.value(t, "nothing analyzed") <= 0 || s.value(t, "as a page") <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatWaitingCostsIsShown(t *testing.T) {
	t.Parallel()
	o := waitingOptions{
		waiting: 200, keep: time.Second, rounds: 1, bound: 8, connections: 64, measure: 2500 * time.Millisecond, results: filepath.Join(t.TempDir(), "waiting.json"),
	}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return waiting(ctx, binary, o, out) })
	if len(s.Charts) != 2 || s.value(t, "waited at once") != 200 || s.value(t, "such answers") <= 0 || s.value(t, "64 connections ÷ 8") <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestClaimsThatArriveByTheClockAreShown(t *testing.T) {
	t.Parallel()
	o := openOptions{rounds: 2, connections: 16, most: 64, measure: 500 * time.Millisecond, results: filepath.Join(t.TempDir(), "open.json")}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return open(ctx, binary, o, out) })
	if len(s.Charts) != 1 || len(s.Charts[0].Lines) != 3 || s.value(t, "p99 of claims ÷") <= 0 || s.value(t, "median flush of 8 KiB while claims arrive") <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatViewersCostIsShown(t *testing.T) {
	t.Parallel()
	o := viewersOptions{viewers: 40, perSecond: 5, measure: 2 * time.Second, results: filepath.Join(t.TempDir(), "viewers.json")}
	s := showSmall(t, o.results, func(ctx context.Context, binary string, out io.Writer) error { return viewers(ctx, binary, o, out) })
	// The rate at which products are read does not depend on the machine, unless it is so slow that they are read more seldom.
	if reads := s.value(t, "that read products"); len(s.Charts) != 1 || reads <= 0 || reads > 4 || s.value(t, "p99 of how late") <= 0 || s.value(t, "memory at most") <= 0 {
		t.Errorf("%+v", s)
	}
}

// The latency of a request that arrives by the clock counts from when it was to be sent: a server that stands still is not spared by its clients' standing still with it.
func TestArrivalsAreNotPutOff(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	const still = 300 * time.Millisecond
	var asked atomic.Int64
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			driven.Pause(r.Context(), still)
		}
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(201)
		_, _ = w.Write([]byte("{}"))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	who, err := newCrowd(secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	l := load{addresses: []string{listener.Addr().String()}, connections: 1, crowd: who, path: addToCart, body: one("A", 1), measure: 100 * time.Millisecond}
	for i := range 100 {
		l.arrivals = append(l.arrivals, time.Duration(i)*time.Millisecond)
	}
	got := l.run(t.Context())
	if got.statuses[201] != 100 || got.percentile(0.5, 201) < 200 {
		t.Errorf("%v, half of the requests took less than %.0f ms: they were put off", got.statuses, got.percentile(0.5, 201))
	}
}
