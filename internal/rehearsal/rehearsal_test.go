package rehearsal

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lastunit/lastunit/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// noLeaks fails the test when it leaves a goroutine behind, subtests and cleanups included. Call it first.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// hasty is as careful as the real thing, and impatient.
var hasty = manners{
	timeout:      10 * time.Second,
	lateAfter:    10 * time.Second,
	attempts:     4,
	pause:        time.Millisecond,
	pauseMax:     time.Millisecond,
	patience:     10 * time.Second,
	cleanupLimit: 10 * time.Second,
}

func play(t *testing.T, options Options) *Report {
	t.Helper()
	return playWith(t, options, hasty)
}

func playWith(t *testing.T, options Options, m manners) *Report {
	t.Helper()
	options.Key = testKey
	options.InProcess = true
	report, err := run(t.Context(), options, m)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func written(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteTable(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEachBuyerOfACorrectServiceGetsATrueAnswer(t *testing.T) {
	noLeaks(t)
	f := newFake(seed{})
	var lines bytes.Buffer
	cases := []Case{{Buyers: 10, Stock: 5}, {Buyers: 100, Stock: 50}, {Buyers: 1000, Stock: 500}, {Buyers: 3, Stock: 5}}
	report := play(t, Options{URLs: []string{f.start(t)}, Cases: cases, Progress: &lines})
	if !report.OK() {
		t.Fatal(written(t, report))
	}
	for i, c := range report.Cases {
		want := min(cases[i].Stock, cases[i].Buyers)
		if c.Sent != cases[i].Buyers || c.Held != want || c.UnitsHeld != want || c.UnitsLeft != cases[i].Stock-want ||
			c.Refused["all-held"] != cases[i].Buyers-want || c.Faults != 0 || c.Late != 0 || !c.AuditOK || c.Latency == nil {
			t.Errorf("%s: %+v", c.Case, c)
		}
	}
	if left := f.leftovers(); len(left) != 0 || f.created != len(cases) {
		t.Errorf("%d products were made, left: %v", f.created, left)
	}
	mustContain(t, lines.String(), "1000 buyers, 500 units: exactly 500 held, 500 refused truthfully, 0 left\n")
	mustContain(t, written(t, report), "OK: every promise was kept, in 4 cases.")
}

func TestMixedQuantitiesLeaveNothingThatSomebodyCouldHaveHad(t *testing.T) {
	noLeaks(t)
	report := play(t, Options{URLs: []string{newFake(seed{}).start(t)}, Cases: []Case{{Buyers: 400, Stock: 203, QuantityMin: 1, QuantityMax: 4}}})
	if !report.OK() {
		t.Fatal(written(t, report))
	}
	c := report.Cases[0]
	if c.UnitsHeld+c.UnitsLeft != 203 || c.Held >= 203 || c.demand() != 1000 {
		t.Errorf("%+v, demand %d", c, c.demand())
	}
}

func TestBuyersAreSpreadOverServers(t *testing.T) {
	noLeaks(t)
	f := newFake(seed{})
	report := play(t, Options{URLs: []string{f.start(t), f.start(t)}, Cases: []Case{{Buyers: 40, Stock: 20}}})
	if !report.OK() {
		t.Fatal(written(t, report))
	}
	if len(f.hosts) != 2 {
		t.Fatalf("claims by host: %v", f.hosts)
	}
	for host, claims := range f.hosts {
		if claims != 20 {
			t.Errorf("%s got %d of 40 claims", host, claims)
		}
	}
	mustContain(t, written(t, report), "over 2 servers")
}

func TestHTTPS(t *testing.T) {
	noLeaks(t)
	server := httptest.NewUnstartedServer(newFake(seed{}).handler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig
	report := play(t, Options{URLs: []string{server.URL}, Cases: []Case{{Buyers: 10, Stock: 5}}, TLS: &tls.Config{RootCAs: trust.RootCAs, ServerName: "example.com"}})
	if !report.OK() {
		t.Fatal(written(t, report))
	}
	_, err := run(t.Context(), Options{URLs: []string{server.URL}, Key: testKey, Cases: []Case{{Buyers: 1, Stock: 1}}}, hasty)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

// All connections must be there before the first claim, and no claim may wait for another one's answer.
func TestConnectsFirstAndFiresThen(t *testing.T) {
	noLeaks(t)
	const buyers = 200
	f := newFake(seed{})
	var together sync.WaitGroup
	together.Add(buyers)
	var mu sync.Mutex
	open, openAtFirstClaim := 0, 0
	f.onClaim = func() {
		mu.Lock()
		if openAtFirstClaim == 0 {
			openAtFirstClaim = open
		}
		mu.Unlock()
		together.Done()
		together.Wait()
	}
	server := httptest.NewUnstartedServer(f.handler())
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			open++
		}
	}
	server.Start()
	defer server.Close()
	report := play(t, Options{URLs: []string{server.URL}, Cases: []Case{{Buyers: buyers, Stock: buyers / 2}}})
	if !report.OK() {
		t.Fatal(written(t, report))
	}
	if openAtFirstClaim < buyers || open >= 2*buyers {
		t.Errorf("%d buyers had %d connections at the first claim, and %d in all", buyers, openAtFirstClaim, open)
	}
}

func TestARate(t *testing.T) {
	noLeaks(t)
	report := play(t, Options{URLs: []string{newFake(seed{}).start(t)}, Cases: []Case{{Buyers: 40, Stock: 20}}, Rate: 4000})
	if !report.OK() || report.Cases[0].Late != 0 {
		t.Error(written(t, report))
	}
	mustContain(t, written(t, report), "4000 requests a second")
}

func TestARequestThatIsSentLateIsAFailure(t *testing.T) {
	noLeaks(t)
	m := hasty
	m.lateAfter = 0
	report := playWith(t, Options{URLs: []string{newFake(seed{}).start(t)}, Cases: []Case{{Buyers: 10, Stock: 5}}, Rate: 10000}, m)
	if report.OK() || report.Cases[0].Late != 10 {
		t.Error(written(t, report))
	}
	mustContain(t, written(t, report), "10 requests were sent too long after the scheduled instant")
}

func TestKeepLeavesTheProducts(t *testing.T) {
	noLeaks(t)
	f := newFake(seed{})
	report := play(t, Options{URLs: []string{f.start(t)}, Cases: []Case{{Buyers: 4, Stock: 2}}, Keep: true})
	left := f.leftovers()
	if len(left) != 1 || left[0] != report.Cases[0].SKU || !strings.HasPrefix(left[0], "rehearsal-") {
		t.Errorf("left: %v", left)
	}
	mustContain(t, written(t, report), "kept as "+left[0])
}

// However often answers are lost or put off, the same key brings them back, and nothing is claimed twice.
func TestACarefulClientGetsItsAnswer(t *testing.T) {
	noLeaks(t)
	for name, s := range map[string]seed{"lost": {closesOnce: 3}, "busy": {busyOnce: 3}} {
		t.Run(name, func(t *testing.T) {
			report := play(t, Options{URLs: []string{newFake(s).start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}})
			if !report.OK() || report.Cases[0].Retries != 3 {
				t.Fatal(written(t, report))
			}
			mustContain(t, written(t, report), "sent again with the same key 3 times")
		})
	}
}

func TestCancellingCleansUp(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake(seed{hangs: true})
	f.onClaim = cancel
	url := f.start(t)
	report, err := run(ctx, Options{URLs: []string{url}, Key: testKey, Cases: []Case{{Buyers: 50, Stock: 25}}}, hasty)
	if !errors.Is(err, context.Canceled) || report == nil || report.OK() || !report.Incomplete {
		t.Errorf("report %+v, error %v", report, err)
	}
	if left := f.leftovers(); len(left) != 0 || f.created != 1 {
		t.Errorf("%d products were made, left: %v", f.created, left)
	}
	mustContain(t, written(t, report), "INCOMPLETE")
}

func TestWhatCannotBeRehearsed(t *testing.T) {
	noLeaks(t)
	good := newFake(seed{}).start(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	one := []Case{{Buyers: 1, Stock: 1}}
	for name, test := range map[string]struct {
		options Options
		want    []string
	}{
		"nothing said":     {Options{Cases: []Case{}}, []string{"no server", "no operator key", "no case"}},
		"a senseless case": {Options{URLs: []string{good}, Key: testKey, Cases: []Case{{Buyers: 1, Stock: 0}}, Rate: -1}, []string{"0 units", "rate -1"}},
		"inverted quantity": {Options{URLs: []string{good}, Key: testKey, Cases: []Case{{Buyers: 1, Stock: 1, QuantityMin: 4, QuantityMax: 1}}},
			[]string{"the smaller quantity first"}},
		"another scheme":      {Options{URLs: []string{"ftp://shop"}, Key: testKey, Cases: one}, []string{"http:// or https://"}},
		"no host":             {Options{URLs: []string{"http://"}, Key: testKey, Cases: one}, []string{"no host"}},
		"a key without scope": {Options{URLs: []string{good}, Key: "lu_other", Cases: one}, []string{"PUT " + good, "403 forbidden"}},
		"nobody there":        {Options{URLs: []string{good, closed.URL}, Key: testKey, Cases: one}, []string{"GET " + closed.URL + "/livez", "connection refused"}},
		"too few files":       {Options{URLs: []string{good}, Key: testKey, Cases: []Case{{Buyers: 100_000_000, Stock: 1}}}, []string{"RLIMIT_NOFILE", "ulimit -n 100000128"}},
		"no database for the naive shop": {Options{URLs: []string{good}, Key: testKey, Cases: one, Naive: "postgres://" + strings.TrimPrefix(closed.URL, "http://") + "/x?sslmode=disable"},
			[]string{"naive shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := run(t.Context(), test.options, hasty)
			if err == nil || report.OK() {
				t.Fatalf("report %+v, error %v", report, err)
			}
			for _, want := range test.want {
				mustContain(t, err.Error(), want)
			}
		})
	}
}

func TestReportAsJSON(t *testing.T) {
	noLeaks(t)
	report := play(t, Options{URLs: []string{newFake(seed{}).start(t)}, Cases: []Case{{Buyers: 10, Stock: 5}}})
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		OK    bool `json:"ok"`
		Cases []struct {
			OK      bool               `json:"ok"`
			Buyers  int                `json:"buyers"`
			Held    int                `json:"held"`
			Refused map[string]int     `json:"refused"`
			Latency map[string]float64 `json:"latency_ms"`
			Places  Places             `json:"places"`
			Broken  []string           `json:"broken"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	c := got.Cases[0]
	if !got.OK || !c.OK || c.Buyers != 10 || c.Held != 5 || c.Refused["all-held"] != 5 || c.Places.Held != 5 || c.Broken == nil || len(c.Latency) != 4 {
		t.Errorf("%s", raw)
	}
}

func TestDefaultCases(t *testing.T) {
	cases, err := Options{URLs: []string{"http://x"}, Key: "k", Cases: nil}.check()
	if err != nil {
		t.Skip(err)
	}
	for i, buyers := range []int{10, 100, 200, 300, 500, 1000, 5000} {
		if cases[i] != (Case{Buyers: buyers, Stock: buyers / 2, QuantityMin: 1, QuantityMax: 1}) {
			t.Errorf("case %d is %v", i, cases[i])
		}
	}
}
