package httpapi_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// mute is a connection of which nothing arrives while it is silent, and nobody is told.
type mute struct {
	net.Conn
	silent *atomic.Bool
}

func (m mute) Write(b []byte) (int, error) {
	if m.silent.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// silentWorld is one whose database can be made to say nothing any more, without a word: as when its machine, or the way to it, has gone.
func silentWorld(t *testing.T) (*world, *atomic.Bool) {
	t.Helper()
	silent := &atomic.Bool{}
	cfg := dbtest.Pool(t).Config()
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return mute{c, silent}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return newServer(t, pool, shop.Options{}, httpapi.Options{}), silent
}

func keyed(key, path string) request { return request{method: "GET", path: path, token: key} }

// Whoever asks while the database says nothing hears so, within 5 s: nothing hangs, and nobody is told that something was done.
func TestNothingHangsWhileTheDatabaseIsSilent(t *testing.T) {
	t.Parallel()
	w, silent := silentWorld(t)
	w.stocked(t, "mug", 20)
	key := w.key(t, "*")
	another := w.key(t, "*") // that was never seen
	held, left := w.hold(t, "ann", "mug", 1).ID, w.hold(t, "ann", "mug", 1).ID
	unpaid := w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID).ID
	paid := w.paid(t, "ann", "mug", 1)
	sale := w.sale(t, "open", shop.SaleTerms{Items: []shop.SaleItem{of("mug", 0)}}).ID.String()
	w.send(t, keyed(key, "/api/v1/products/mug/stock")).into(t, 200, nil)
	requests := []request{
		as("ann", "POST", "/order/addToCart", `{"sku":"mug"}`), as("bob", "POST", "/api/v1/order/addToCart", `{"sku":"mug"}`), as("bob", "POST", "/order/addToCart", `{"sku":"mug"}`).with("Idempotency-Key", "k"),
		as("ann", "GET", "/api/v1/transaction/"+held, nil), as("ann", "GET", "/api/v1/cart", nil), as("ann", "DELETE", "/api/v1/cart/"+left, nil), checkout("ann", ""),
		as("ann", "POST", orderPath(unpaid, "pay"), `{"card":"succeed"}`), as("ann", "POST", orderPath(unpaid, "cancel"), nil), as("ann", "GET", orderPath(unpaid, ""), nil), as("ann", "GET", "/api/v1/orders", nil),
		post(key, "/api/v1/transaction/"+held+"/extend", `{"seconds":60}`).with("Buyer-Id", "ann"), confirmation(key, "r", held),
		post(key, orderPath(paid.ID, "refund"), `{"restock":"available"}`),
		keyed(key, "/api/v1/products/mug/stock"), keyed(key, "/api/v1/units/"+paid.Lines[0].UnitIDs[0].String()),
		post(key, "/api/v1/products/mug/receipts", `{"quantity":1,"reference":"r"}`), post(key, "/api/v1/products/mug/withdrawals", `{"quantity":1,"reason":"broken"}`),
		post(key, "/api/v1/products/mug/quarantine/release", `{"quantity":1}`), post(key, "/api/v1/sales/"+sale+"/pause", ""), post(key, "/api/v1/selling/pause", ""),
		keyed(key, "/api/v1/events"), keyed(key, "/api/v1/audit"), keyed(another, "/api/v1/events"), get("/api/v1/products"), get("/api/v1/products/mug"), get("/api/v1/sales/" + sale), get("/readyz"),
		{method: "PUT", path: "/api/v1/products/mug", token: key, body: `{"price":{"amount":1,"currency":"EUR"}}`},
	}
	silent.Store(true)
	var all sync.WaitGroup
	for _, r := range requests {
		all.Go(func() {
			began := time.Now()
			a := w.send(t, r)
			// 5 s are promised; a machine that is busy gets some more.
			if took := time.Since(began); a.status != 503 || took > 8*time.Second {
				t.Errorf("%s %s: %d after %v: %s", r.method, r.path, a.status, took, a.body)
			}
		})
	}
	all.Wait()
	silent.Store(false)
	allUsable(t, w.db)
	if n := w.count(t, "SELECT count(*) FROM claim WHERE buyer = 'bob'"); n > 0 {
		t.Errorf("%d claims were made by requests that never arrived", n)
	}
}

// allUsable waits until all connections that a pool may have are there: what was given up is gone soon, and makes room for others.
func allUsable(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	for n := range db.Stat().MaxConns() {
		c, err := db.Acquire(ctx)
		if err != nil {
			t.Fatalf("10 s after the database was back, with %d connections that are good: %v", n, err)
		}
		defer c.Release()
		if err := c.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
