package httpapi_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// What a primary shows may be lost with it, until the standby has it as well (decision 0020): so nobody is refused because of it before.
func TestRefusalsWaitForTheStandby(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	db := dbtest.Connect(t, p.url()+"&pool_max_conns=10")
	if _, err := pgdb.MigrateUp(t.Context(), db, migrations.FS); err != nil {
		t.Fatal(err)
	}
	w := newServer(t, db, shop.Options{}, httpapi.Options{})
	for _, sku := range []string{"sold", "sold-before", "held"} {
		w.stocked(t, sku, 1)
	}
	w.stocked(t, "mug", 9)
	key := w.key(t, "*")
	for _, sku := range []string{"sold", "sold-before"} {
		w.send(t, post(key, "/api/v1/products/"+sku+"/withdrawals", `{"quantity": 1, "reason": "broken"}`)).into(t, 201, nil)
	}
	w.claims(t, claimPaths[0], "ann", "sold-before", 1).refused(t, 409, "sold-out")
	w.hold(t, "ann", "held", 1)
	released, _ := w.hold(t, "bob", "mug", 1), w.hold(t, "bob", "mug", 1)
	w.send(t, as("bob", "DELETE", "/api/v1/cart/"+released.ID, nil)).into(t, 204, nil)
	var o httpapi.Order
	w.send(t, checkout("bob", "")).into(t, 201, &o)
	w.send(t, as("bob", "POST", "/api/v1/orders/"+o.ID+"/cancel", nil)).into(t, 200, nil)
	kept := w.hold(t, "cid", "mug", 1)
	w.send(t, checkout("cid", "")).into(t, 201, nil)

	for _, c := range []struct {
		name   string
		ask    request
		status int
		code   string
	}{
		{"a direct claim, sold out", as("ann", "POST", claimPaths[0], `{"sku": "sold"}`), 409, "sold-out"},
		{"a direct claim, sold out long ago", as("ann", "POST", claimPaths[0], `{"sku": "sold-before"}`), 409, "sold-out"},
		{"a queued claim, sold out", as("ann", "POST", claimPaths[1], `{"sku": "sold"}`), 409, "sold-out"},
		{"a direct claim, all held", as("cid", "POST", claimPaths[0], `{"sku": "held"}`), 409, "all-held"},
		{"a direct claim, not enough", as("cid", "POST", claimPaths[0], `{"sku": "mug", "quantity": 9}`), 409, "not-enough-units"},
		{"a checkout of nothing", checkout("dan", ""), 409, "cart-empty"},
		{"a payment of what was cancelled", as("bob", "POST", "/api/v1/orders/"+o.ID+"/pay", `{"card": "ok"}`), 409, "conflict"},
		{"a release of what is ordered", as("cid", "DELETE", "/api/v1/cart/"+kept.ID, nil), 409, "conflict"},
		{"a release of what was released", as("bob", "DELETE", "/api/v1/cart/"+released.ID, nil), 204, ""},
		{"an order of somebody else", as("ann", "POST", "/api/v1/orders/"+o.ID+"/cancel", nil), 404, "not-found"},
		{"a withdrawal of too much", post(key, "/api/v1/products/mug/withdrawals", `{"quantity": 9, "reason": "broken"}`), 409, "not-enough-units"},
	} {
		returns := p.standbyAway(t, db)
		told := make(chan answer, 1)
		go func() { told <- w.send(t, c.ask) }()
		for p.waiting(t) < 2 && len(told) == 0 {
			driven.Pause(t.Context(), 5*time.Millisecond)
		}
		if len(told) > 0 {
			t.Errorf("%s: it was answered while the standby was away", c.name)
		}
		returns()
		if a := <-told; c.code != "" {
			a.refused(t, c.status, c.code)
		} else {
			a.into(t, c.status, nil)
		}
	}
}

// standbyAway has commits wait for a standby that there is not, until it is told to return. One waits already.
func (p *postgres) standbyAway(t *testing.T, db *pgxpool.Pool) (returns func()) {
	t.Helper()
	p.set(t, "synchronous_standby_names", "nobody")
	for _, conn := range db.AcquireAllIdle(t.Context()) {
		for set := ""; set != "nobody"; {
			if err := conn.QueryRow(t.Context(), `SHOW synchronous_standby_names`).Scan(&set); err != nil {
				t.Fatal(err)
			}
		}
		conn.Release()
	}
	probe, err := pgx.Connect(t.Context(), p.url())
	if err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	ended := make(chan error)
	go func() {
		var err error
		for err == nil && !over.Load() {
			_, err = probe.Exec(t.Context(), `SELECT pg_logical_emit_message(true, 'probe', '')`)
		}
		ended <- errors.Join(err, probe.Close(context.WithoutCancel(t.Context())))
	}()
	for p.waiting(t) == 0 {
		driven.Pause(t.Context(), 5*time.Millisecond)
	}
	return func() {
		over.Store(true)
		p.set(t, "synchronous_standby_names", "''")
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// waiting is how many sessions wait for a standby.
func (p *postgres) waiting(t *testing.T) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.url())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
