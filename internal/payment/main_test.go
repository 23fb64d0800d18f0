package payment_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var background = context.Background()

// world is the provider "test" on a database of its own, and all that it has notified.
type world struct {
	*payment.Test
	t    testing.TB
	db   *pgxpool.Pool
	mu   sync.Mutex
	told map[pgdb.ID]int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: dbtest.Pool(t), told: map[pgdb.ID]int{}}
	w.Test = w.another(w.db)
	return w
}

// another makes one more provider, as another process would have it.
func (w *world) another(pool *pgxpool.Pool) *payment.Test {
	p := payment.NewTest(pool, payment.TestOptions{Notify: func(id pgdb.ID) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told[id]++
	}})
	w.t.Cleanup(p.Close)
	return p
}

func charge(id pgdb.ID, card string) payment.Charge {
	return payment.Charge{ID: id, OrderID: pgdb.NewID(), Amount: 1000, Currency: "EUR", Card: card}
}

// charged makes a charge and returns its id.
func (w *world) charged(card string, want payment.State) pgdb.ID {
	w.t.Helper()
	id := pgdb.NewID()
	state, err := w.Charge(background, charge(id, card))
	w.is("charge "+card, state, err, want)
	return id
}

func (w *world) is(what string, state payment.State, err error, want payment.State) {
	w.t.Helper()
	if err != nil || state != want {
		w.t.Errorf("%s: %q, %v, want %s", what, state, err, want)
	}
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

// due lets the time of late charges come.
func (w *world) due() {
	w.t.Helper()
	if _, err := w.db.Exec(background, `UPDATE test_charge SET captures_at = clock_timestamp() WHERE captures_at IS NOT NULL`); err != nil {
		w.t.Fatal(err)
	}
}

// row holds that the charge has one row with that status, and was captured if and only if it succeeded.
func (w *world) row(id pgdb.ID, want payment.State) {
	w.t.Helper()
	var n int
	var status string
	var captured bool
	err := w.db.QueryRow(background, `SELECT count(*), coalesce(min(status), 'none'), count(captured_at) > 0
		FROM test_charge WHERE charge_id = $1`, id).Scan(&n, &status, &captured)
	if err != nil {
		w.t.Fatal(err)
	}
	if n != 1 || status != string(want) || captured != (want == payment.Succeeded) {
		w.t.Errorf("%d rows, status %s, captured: %v, want one that is %s", n, status, captured, want)
	}
}

func (w *world) count(sql string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.db.QueryRow(background, sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// waiting counts the calls that wait for a lock.
func (w *world) waiting() int64 {
	w.t.Helper()
	return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

// notified closes the provider, so that all that was to be told has been told, and holds how often it was.
func (w *world) notified(id pgdb.ID, want int) {
	w.t.Helper()
	w.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told[id] != want {
		w.t.Errorf("notified %d times, want %d", w.told[id], want)
	}
}

// until asks again and again, for at most 20 s, without a pause but for what the question takes.
func (w *world) until(what string, yes func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !yes(); {
		if time.Now().After(end) {
			w.t.Fatalf("%s: not within 20 s", what)
		}
	}
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
