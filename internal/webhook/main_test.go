package webhook_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
	"github.com/lastunit/lastunit/internal/webhook"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(workerDatabase); url != "" { //nolint:forbidigo // the test begins itself anew as a process that is killed
		work(url)
		return
	}
	dbtest.Main(m)
}

var quiet = slog.New(slog.DiscardHandler)

// world is a shop whose clock a test can move, and what sends its events.
type world struct {
	*shop.Shop
	*webhook.Sender
	t    *testing.T
	db   *pgxpool.Pool
	url  string
	mu   sync.Mutex
	then *time.Time
}

func newWorld(t *testing.T, o webhook.Options) *world {
	t.Helper()
	w := &world{t: t, url: dbtest.URL(t)}
	w.db = dbtest.Connect(t, w.url)
	w.Shop = shop.New(w.db, shop.Options{WebhooksAnywhere: true, Now: func() *time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.then
	}})
	t.Cleanup(w.Close)
	if o.Client == nil {
		o.Client = webhook.NewOpenClient(5 * time.Second)
	}
	o.Log = quiet
	w.Sender = webhook.New(w.Shop, o)
	return w
}

// moveTo sets the clock.
func (w *world) moveTo(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.then = &at
}

// happen writes events into the outbox, and returns the id of the first.
func (w *world) happen(n int, kind shop.EventType) shop.ID {
	w.t.Helper()
	first := pgdb.NewID()
	ids := []shop.ID{first}
	for len(ids) < n {
		ids = append(ids, pgdb.NewID())
	}
	const insert = `INSERT INTO event (event_id, type, data, created_at) SELECT unnest($1::uuid[]), $2, '{"order_id": "o", "n": 1.50}', coalesce($3::timestamptz, now())`
	if _, err := w.db.Exec(w.t.Context(), insert, ids, kind, w.now()); err != nil {
		w.t.Fatal(err)
	}
	return first
}

func (w *world) now() *time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.then
}

// begin relays what has happened and begins to send what is due.
func (w *world) begin() {
	w.t.Helper()
	if err := w.RelayEvents(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Send(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// settle sends all that is due.
func (w *world) settle() {
	w.t.Helper()
	w.begin()
	w.Wait()
}

func (w *world) subscribe(url string, types ...shop.EventType) (shop.ID, string) {
	w.t.Helper()
	made, secret, _, err := w.CreateWebhook(w.t.Context(), w.operator(), shop.WebhookTerms{URL: url, EventTypes: types, Enabled: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return made.ID, secret
}

func (w *world) operator() shop.Operator { return shop.Operator{KeyID: pgdb.NewID()} }

// log reads the log of a webhook.
func (w *world) log(id shop.ID) []shop.WebhookDelivery {
	w.t.Helper()
	all, more, err := w.WebhookDeliveries(w.t.Context(), id, shop.DeliveryFilter{}, 100)
	if err != nil || more {
		w.t.Fatalf("the log is %v, %t, %v", all, more, err)
	}
	return all
}

// only is the one delivery to a webhook.
func (w *world) only(id shop.ID) shop.WebhookDelivery {
	w.t.Helper()
	all := w.log(id)
	if len(all) != 1 {
		w.t.Fatalf("there are %d deliveries, want 1: %+v", len(all), all)
	}
	return all[0]
}

// got is what a receiver was sent.
type got struct {
	header http.Header
	body   string
}

// receiver is somebody who is sent events.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	all    []got
	answer http.HandlerFunc
}

// receive begins to receive; answer answers, or nil: 204.
func receive(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		text, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.all = append(r.all, got{q.Header, string(text)})
		answer := r.answer
		r.mu.Unlock()
		if answer == nil {
			answer = status(http.StatusNoContent)
		}
		answer(rw, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (r *receiver) answers(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// take returns what has come since it was asked last.
func (r *receiver) take() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// verified tells whether a message is signed with a secret.
func verified(t *testing.T, secret string, g got) bool {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v.VerifyIgnoringTimestamp([]byte(g.body), g.header) == nil
}

var ctx = context.Background()
