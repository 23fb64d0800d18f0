package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// TestMain is also the contenders' servers, which the bench starts by its own name.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	driven.RemoveBuilt()
	os.Exit(code)
}

func built(t *testing.T) string {
	t.Helper()
	path, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEachTurnIsMeasuredAndReported(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results.json")
	// Those that need Redis are in TestWhatIsAnsweredIsKept, where there is one.
	names := []string{
		"no-op", "counter, lane", "counter, lane, 2 servers", "counter, update", "counter, lock", "units in place", "tokens, no lane",
		"lastunit", "sold out", "4 at once", "in a sale", "journeys", "accepted", "lastunit, 2 servers",
	}
	o := compareOptions{rounds: 1, connections: 16, measure: 500 * time.Millisecond, results: path, only: strings.Join(names, "|")}
	var said bytes.Buffer
	if err := compare(t.Context(), built(t), o, &said); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if len(r.Samples[name]) != 1 || r.Samples[name][0].PerSecond <= 0 {
			t.Errorf("%s: %+v", name, r.Samples[name])
		}
	}
	if !strings.Contains(said.String(), "direct claims ÷ no-op") || len(r.Ratios) < 10 {
		t.Errorf("%d ratios:\n%s", len(r.Ratios), &said)
	}
	if svg, err := os.ReadFile(strings.TrimSuffix(path, "json") + "svg"); err != nil || !bytes.Contains(svg, []byte("counter, lock")) {
		t.Errorf("%v: %s", err, svg)
	}
}

func TestWhatIsAnsweredIsKept(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-server"); err != nil {
		// Redis is nothing that lastunit or its tests need. `make bench` and CI install it, so that this runs there.
		t.Skip("there is no redis-server to be compared with")
	}
	var said bytes.Buffer
	if err := durable(t.Context(), built(t), durableOptions{connections: 16, kills: 1, between: 500 * time.Millisecond}, &said); err != nil {
		t.Errorf("%v\n%s", err, &said)
	}
	t.Log(said.String())
}

// A store that forgets is found out.
func TestWhatAStoreHasForgottenIsFound(t *testing.T) {
	t.Parallel()
	b, err := newBench(t.Context(), built(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	if err := b.stock("hot", 10000); err != nil {
		t.Fatal(err)
	}
	forgets := kept{b.lastunit(1), func() error {
		_, err := b.db.Exec(t.Context(), `DELETE FROM claim WHERE claim_id IN (SELECT claim_id FROM claim ORDER BY claim_id LIMIT 1)`)
		return err
	}, func() (map[string]bool, error) { return b.keysIn(b.service.Database()) }}
	answered, err := b.answeredUnderKills(forgets, durableOptions{connections: 4, kills: 1, between: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	known, err := forgets.known()
	if err != nil {
		t.Fatal(err)
	}
	if lost := lostOf(answered, known); lost != 1 {
		t.Errorf("%d of %d are lost, want 1", lost, len(answered))
	}
}
