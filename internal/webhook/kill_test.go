package webhook_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/background"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
	"github.com/lastunit/lastunit/internal/webhook"
)

// workerDatabase is what a process of this test that relays and sends, until it is killed, reads its database from.
const workerDatabase = "LASTUNIT_TEST_WEBHOOK_DATABASE"

func work(url string) {
	pool, err := pgdb.Connect(ctx, url, pgdb.Options{MaxConns: 8})
	if err != nil {
		panic(err)
	}
	s := shop.New(pool, shop.Options{WebhooksAnywhere: true})
	sender := webhook.New(s, webhook.Options{
		Client: webhook.NewOpenClient(500 * time.Millisecond), Lease: 2 * time.Second, FirstPause: 10 * time.Millisecond, Log: quiet,
	})
	background.Run(ctx, quiet,
		background.Loop{Name: "relay", Every: 20 * time.Millisecond, Run: s.RelayEvents},
		background.Loop{Name: "send", Every: 20 * time.Millisecond, Run: sender.Send},
	)
}

// flaky is a receiver that takes 7 of 10.
type flaky struct {
	mu       sync.Mutex
	bodies   map[string]string // of each id that was sent
	taken    map[string]int    // how often each id was taken
	failed   int
	changed  int // bodies that differ from what was sent before with the id
	unsigned int
	progress func()
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	id := r.Header.Get("webhook-id")
	f.mu.Lock()
	if was, seen := f.bodies[id]; seen && was != string(text) {
		f.changed++
	}
	f.bodies[id] = string(text)
	if r.Header.Get("webhook-signature") == "" {
		f.unsigned++
	}
	dice := rand.IntN(1000)
	if dice < 300 {
		f.failed++
	}
	f.mu.Unlock()
	switch {
	case dice < 150:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case dice < 250:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case dice < 298:
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.Close()
		return
	case dice < 300:
		<-r.Context().Done() // says nothing
		return
	}
	w.WriteHeader(http.StatusNoContent)
	f.mu.Lock()
	f.taken[id]++
	first := f.taken[id] == 1
	f.mu.Unlock()
	if first {
		f.progress()
	}
}

// TestNoneOfTenThousandEventsIsLost while receivers refuse 30 % of what they are sent and the process that sends is killed 20 times.
func TestNoneOfTenThousandEventsIsLost(t *testing.T) {
	const events, kills, hooks = 10_000, 20, 2
	w := newWorld(t, webhook.Options{})
	progress := make(chan struct{}, hooks*events)
	var all []*flaky
	for range hooks {
		f := &flaky{bodies: map[string]string{}, taken: map[string]int{}, progress: func() { progress <- struct{}{} }}
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		w.subscribe(server.URL)
		all = append(all, f)
	}
	begun := time.Now()
	worker := begin(t, w.url)
	killed, taken := 0, 0
	wait := time.After(8 * time.Minute)
	for happened := 0; taken < hooks*events; {
		// Events happen while others are sent, and while nobody is there to send.
		if happened < events && taken >= hooks*(happened-1000) {
			w.happen(100, shop.OrderPaid)
			happened += 100
			continue
		}
		select {
		case <-progress:
			taken++
		case <-wait:
			t.Fatalf("%d of %d have come", taken, hooks*events)
		}
		if killed < kills && taken >= (killed+1)*hooks*events/(kills+1) {
			worker.kill(t)
			worker = begin(t, w.url)
			killed++
		}
	}
	w.allDelivered(t, hooks*events)
	worker.kill(t)
	for i, f := range all {
		repeats := 0
		for _, n := range f.taken {
			repeats += n - 1
		}
		t.Logf("receiver %d took %d events, refused %d attempts, and was sent %d again that it had taken", i, len(f.taken), f.failed, repeats)
		if len(f.taken) != events || len(f.bodies) != events || f.changed > 0 || f.unsigned > 0 {
			t.Errorf("receiver %d took %d of %d events, of %d ids; %d were changed, %d not signed", i, len(f.taken), events, len(f.bodies), f.changed, f.unsigned)
		}
	}
	t.Logf("%d kills, %s", killed, time.Since(begun).Round(time.Second))
	if killed != kills {
		t.Errorf("killed %d times, want %d", killed, kills)
	}
	unknown := 0
	err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM webhook_delivery LEFT JOIN event USING (event_id) WHERE event.event_id IS NULL`).Scan(&unknown)
	if err != nil || unknown > 0 {
		t.Errorf("%d deliveries are of no event, %v", unknown, err)
	}
}

// allDelivered waits until the log says so: what a receiver took when the sender was killed is sent once more.
func (w *world) allDelivered(t *testing.T, want int) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		delivered, others := 0, 0
		err := w.db.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE status = 'delivered'), count(*) FILTER (WHERE status <> 'delivered') FROM webhook_delivery`).Scan(&delivered, &others)
		if err != nil {
			t.Fatal(err)
		}
		if delivered == want && others == 0 {
			return
		}
		if delivered+others != want {
			t.Fatalf("there are %d deliveries, want %d", delivered+others, want)
		}
		<-tick.C
	}
	t.Error("the log does not say that all was delivered")
}

type worker struct{ *exec.Cmd }

func begin(t *testing.T, url string) worker {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{workerDatabase + "=" + url, "PATH=" + os.Getenv("PATH")} //nolint:forbidigo // nothing else of ours may reach it
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return worker{cmd}
}

// kill is SIGKILL: nothing of the process's runs any more.
func (w worker) kill(t *testing.T) {
	t.Helper()
	if err := w.Process.Kill(); err != nil {
		t.Errorf("the worker had ended by itself: %v", err)
	}
	_ = w.Wait()
}
