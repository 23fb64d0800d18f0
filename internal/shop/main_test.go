package shop_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// world is a shop on a database of its own, with a clock that a test can move.
type world struct {
	*shop.Shop
	t    testing.TB
	db   *pgxpool.Pool
	url  string
	key  shop.ID
	mu   sync.Mutex
	then *time.Time
}

func newWorld(t testing.TB, o shop.Options) *world {
	t.Helper()
	url := dbtest.URL(t)
	w := &world{t: t, url: url, db: dbtest.Connect(t, url), key: pgdb.NewID()}
	w.Shop = w.server(o)
	return w
}

// server makes one more shop on the same database.
func (w *world) server(o shop.Options) *shop.Shop {
	w.t.Helper()
	o.Now = func() *time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.then
	}
	s := shop.New(dbtest.Connect(w.t, w.url), o)
	w.t.Cleanup(s.Close)
	return s
}

// moveTo sets the clock of all servers of this world.
func (w *world) moveTo(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.then = &at
}

func (w *world) stocked(sku string, quantity int) {
	w.t.Helper()
	w.product(shop.Product{SKU: sku, Selling: true})
	w.receive(sku, quantity)
}

// priced is stocked, at a price of one unit in cents.
func (w *world) priced(sku string, cents int64, quantity int) {
	w.t.Helper()
	w.product(shop.Product{SKU: sku, Selling: true, Price: &shop.Money{Amount: cents, Currency: "EUR"}})
	w.receive(sku, quantity)
}

func (w *world) receive(sku string, quantity int) {
	w.t.Helper()
	_, _, err := w.Receive(context.Background(), shop.ReceiptRequest{SKU: sku, Quantity: quantity, Reference: "test", KeyID: w.key})
	if err != nil {
		w.t.Fatal(err)
	}
}

// mustCheckout orders the whole cart of a buyer.
func (w *world) mustCheckout(buyer string) shop.Order {
	w.t.Helper()
	o, _, err := w.Checkout(context.Background(), shop.CheckoutRequest{Buyer: buyer})
	if err != nil {
		w.t.Fatalf("checkout of %s: %v", buyer, err)
	}
	return o
}

func (w *world) product(p shop.Product) {
	w.t.Helper()
	if _, _, err := w.PutProduct(context.Background(), p); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) claim(buyer, sku string, quantity int) (shop.Transaction, error) {
	c, err := w.Claim(context.Background(), shop.ClaimRequest{Buyer: buyer, SKU: sku, Quantity: quantity})
	return c.Transaction, err
}

func (w *world) mustClaim(buyer, sku string, quantity int) shop.Transaction {
	w.t.Helper()
	tx, err := w.claim(buyer, sku, quantity)
	if err != nil {
		w.t.Fatalf("claim for %s: %v", buyer, err)
	}
	return tx
}

func (w *world) stock(sku string) shop.Stock {
	w.t.Helper()
	st, err := w.Stock(context.Background(), sku)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// audited fails the test unless the audit is clean and the rows add up.
func (w *world) audited() {
	w.t.Helper()
	a, _, err := w.Audit(context.Background(), shop.AuditRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range a.Checks {
		for _, v := range c.Violations {
			w.t.Errorf("audit %s: %+v", c.Name, v)
		}
	}
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	if err := w.db.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(context.Background(), query, args...); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

// refusal fails the test unless err is a refusal with the code, and returns it.
func refusal(t testing.TB, err error, code shop.Code) shop.Refusal {
	t.Helper()
	var r *shop.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want a refusal %s", err, code)
	}
	if r.Detail == "" {
		t.Errorf("refusal %s says nothing", code)
	}
	return *r
}

func buyer(i int) string { return fmt.Sprintf("buyer-%d", i) }
