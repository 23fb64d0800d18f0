package shop_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// TestEveryQueryModeServes does a bit of everything in each of the ways in which pgx can send queries: behind pgbouncer not all of them work.
func TestEveryQueryModeServes(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{})
			pool, err := pgdb.Connect(background, w.url, pgdb.Options{MaxConns: 10, QueryMode: mode})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			w.Shop = shop.New(pool, shop.Options{ShowStock: 10})
			t.Cleanup(w.Close)
			everything(t, w)
			w.audited()
		})
	}
}

func everything(t *testing.T, w *world) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	secret, key, err := w.CreateKey(background, "all", []shop.Scope{shop.ScopeStock, shop.ScopeAudit})
	must("create key", err)
	w.key = key.ID
	_, err = w.KeyBySecret(background, secret)
	must("find key", err)
	w.product(shop.Product{SKU: "A", Selling: true, Price: &shop.Money{Amount: 5, Currency: "EUR"}, Attributes: []byte(`{"size": 3}`)})
	_, _, err = w.Receive(background, shop.ReceiptRequest{SKU: "A", Serials: []string{"s1", "s2", "s3"}, Reference: "r", KeyID: w.key, Key: "k"})
	must("receive", err)
	_, _, err = w.Withdraw(background, shop.WithdrawalRequest{SKU: "A", Quantity: 1, Reason: "r", KeyID: w.key, Key: "k"})
	must("withdraw", err)
	for _, replayed := range []bool{false, true} {
		c, err := w.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: "k"})
		must("claim", err)
		q, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: "q"}, longEnough)
		must("enqueue", err)
		no, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "c", SKU: "A", Quantity: 1, Key: "q"}, longEnough)
		must("enqueue without stock", err)
		if c.Replayed != replayed || q.Replayed != replayed || q.Transaction.Status != shop.Held || no.Transaction.Status != shop.Refused || no.Transaction.Refusal.NextReleaseAt == nil {
			t.Errorf("%+v\n%+v\n%+v", c, q, no)
		}
	}
	cart, err := w.Cart(background, "b")
	must("cart", err)
	if len(cart.Held) != 2 || len(cart.Totals) != 1 || cart.Totals[0].Amount != 10 {
		t.Fatalf("cart: %+v", cart)
	}
	_, err = w.Release(background, "b", cart.Held[0].ID)
	must("release", err)
	if u, err := w.Unit(background, cart.Held[0].UnitIDs[0]); err != nil || len(u.Life) != 3 {
		t.Errorf("unit: %+v, %v", u, err)
	}
	goOn := w.stopped("A")
	cancelled := w.enqueue("d", "A", 1)
	_, err = w.Release(background, "d", cancelled.ID)
	must("cancel", err)
	goOn()
	products, _, err := w.Products(background, []string{"A"}, "", 10)
	must("products", err)
	if len(products) != 1 || products[0].Availability.Available != 1 || string(products[0].Attributes) != `{"size": 3}` {
		t.Errorf("products: %+v", products)
	}
	if st := w.stock("A"); st != (shop.Stock{Received: 3, Available: 1, Held: 1, Withdrawn: 1}) {
		t.Errorf("stock: %+v", st)
	}
	for _, replayed := range []bool{false, true} {
		if a, again, err := w.Audit(background, shop.AuditRequest{SKU: "A", KeyID: &key.ID, Key: "k"}); err != nil || !a.OK || again != replayed {
			t.Errorf("audit: %+v, replayed %t, %v", a, again, err)
		}
	}
	figured(t, w)
	must("expire", w.ExpireLapsed(background))
	must("remove", w.RemoveWithoutUnits(background))
	must("settle", w.SettleQueues(background))
	must("clock", w.SyncClock(background))
	if now := w.Clock(); time.Since(now).Abs() > time.Hour {
		t.Errorf("clock: %s", now)
	}
}

// figured claims through a sale and waits until its figures show that.
func figured(t *testing.T, w *world) {
	t.Helper()
	w.priced("S", 5, 5)
	sale := w.scheduled(aSale(time.Now().Add(-time.Minute), "S", 3))
	w.mustClaim("b", "S", 2)
	for end := time.Now().Add(longEnough); time.Now().Before(end); {
		if err := errors.Join(w.FlushSaleCounts(background), w.SampleSales(background)); err != nil {
			t.Fatal(err)
		}
		f, err := w.SaleFigures(background, sale.ID, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if sum := summed(t, f.Samples); sum.Claims == 1 && sum.Units == 2 && f.Items[0].SalePlaces == (shop.SalePlaces{Available: 1, Held: 2}) {
			return
		}
	}
	t.Error("what was claimed does not show in the figures of the sale")
}
