package stripe_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/payment/stripe"
	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var background = context.Background()

// world is the provider on a database of its own, and the Stripe that it asks.
type world struct {
	*stripe.Stripe
	t    testing.TB
	db   *pgxpool.Pool
	fake *stripetest.Server
	log  *logbook
}

// logbook keeps what is logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorld(t testing.TB) *world { return newWorldOn(t, dbtest.Pool(t)) }

func newWorldOn(t testing.TB, db *pgxpool.Pool) *world {
	t.Helper()
	w := &world{t: t, db: db, fake: stripetest.New(), log: &logbook{}}
	w.Stripe = stripe.New(db, stripe.Options{
		Key: stripetest.Key, WebhookSecrets: []string{"whsec_of_before", stripetest.Secret}, URL: w.fake.URL, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	t.Cleanup(w.fake.Close)
	t.Cleanup(w.Close)
	t.Cleanup(func() { w.discreet(w.log.String()) })
	return w
}

// discreet holds that a text tells nothing that is nobody's business.
func (w *world) discreet(text string) {
	w.t.Helper()
	for _, secret := range []string{"_secret_", stripetest.Key, "whsec_", "pm_card"} {
		if strings.Contains(text, secret) {
			w.t.Errorf("%q is told: %s", secret, text)
		}
	}
}

func charge(id pgdb.ID, card string) payment.Charge {
	return payment.Charge{ID: id, OrderID: pgdb.NewID(), Amount: 1000, Currency: "EUR", Card: card}
}

// opened begins a charge that the browser is to confirm.
func (w *world) opened() (pgdb.ID, string) {
	w.t.Helper()
	id := pgdb.NewID()
	state, secret, err := w.Open(background, charge(id, ""))
	w.is("open", state, err, payment.Pending)
	if secret == "" {
		w.t.Error("there is nothing to confirm it with")
	}
	return id, secret
}

// taken is a charge that has succeeded.
func (w *world) taken() pgdb.ID {
	w.t.Helper()
	id := pgdb.NewID()
	state, _, err := w.Open(background, charge(id, "pm_card_visa"))
	w.is("open", state, err, payment.Succeeded)
	return id
}

func (w *world) is(what string, state payment.State, err error, want payment.State) {
	w.t.Helper()
	if err != nil || state != want {
		w.t.Errorf("%s: %q, %v, want %s", what, state, err, want)
	}
}

// away holds that Stripe could not be asked, and that the error keeps its secrets.
func (w *world) away(what string, state payment.State, err error) {
	w.t.Helper()
	if err == nil {
		w.t.Errorf("%s: %q, and no error", what, state)
		return
	}
	w.discreet(err.Error())
}

func (w *world) asked(id pgdb.ID, want payment.State) {
	w.t.Helper()
	state, err := w.Ask(background, id)
	w.is("ask", state, err, want)
}

func (w *world) voided(id pgdb.ID, want payment.State) {
	w.t.Helper()
	state, err := w.Void(background, id)
	w.is("void", state, err, want)
}

// intent is the only PaymentIntent that there is.
func (w *world) intent() stripetest.Object {
	w.t.Helper()
	all := w.fake.Intents()
	if len(all) != 1 {
		w.t.Fatalf("%d PaymentIntents, want 1", len(all))
	}
	return all[0]
}

func (w *world) status(want string) {
	w.t.Helper()
	if got := w.intent().Text("status"); got != want {
		w.t.Errorf("the PaymentIntent is %s, want %s", got, want)
	}
}

func (w *world) took(captured, refunded int64) {
	w.t.Helper()
	if c, r := w.fake.Books(); c != captured || r != refunded {
		w.t.Errorf("%d was taken and %d given back, want %d and %d", c, r, captured, refunded)
	}
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(background, query, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(query string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.db.QueryRow(background, query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// briefly is a context for a call that is to be given up.
func briefly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(background, 150*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

type answer struct {
	state payment.State
	err   error
}

// atOnce makes n calls at the same time.
func atOnce(n int, call func(i int) (payment.State, error)) []answer {
	answers := make([]answer, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			answers[i].state, answers[i].err = call(i)
		})
	}
	close(start)
	wg.Wait()
	return answers
}

func (w *world) all(what string, answers []answer, want payment.State) {
	w.t.Helper()
	for _, a := range answers {
		w.is(what, a.state, a.err, want)
	}
}
