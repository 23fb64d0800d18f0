package shop_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// watch begins to watch products, until the end of the test.
func watch(t testing.TB, s *shop.Shop, skus ...string) *shop.ProductWatch {
	t.Helper()
	w, err := s.WatchProducts(t.Context(), skus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// seen waits until a watch shows a product as it is to be.
func seen(t testing.TB, w *shop.ProductWatch, sku string, is func(shop.Product) bool) shop.Product {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		news, gone := w.News()
		for _, p := range news {
			if p.SKU == sku && is(p.Product) {
				return p.Product
			}
		}
		if gone {
			t.Fatal("a product is gone")
		}
		select {
		case <-w.Changed():
		case <-late:
			t.Fatalf("%s was never seen as it is to be", sku)
		}
	}
}

func available(n int64) func(shop.Product) bool {
	return func(p shop.Product) bool { return p.Availability.Available == n }
}

// TestAWatchedProductIsShownAsItChanges: whatever is shown of it, on any server, exactly as it is shown to who asks.
func TestAWatchedProductIsShownAsItChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ShowStock: -1})
	other := w.server(shop.Options{ShowStock: -1})
	w.priced("A", 1250, 3)
	w.stocked("B", 5)
	here, there := watch(t, w.Shop, "B", "A", "B"), watch(t, other, "A")
	news, _ := here.News()
	if len(news) != 2 || news[0].SKU != "A" || news[1].SKU != "B" || !available(3)(news[0].Product) {
		t.Fatalf("at first it shows %+v", news)
	}
	if again, gone := here.News(); len(again) > 0 || gone {
		t.Errorf("it shows %+v anew, and nothing has changed", again)
	}
	same := func(got shop.Product) {
		t.Helper()
		if want, err := other.Product(t.Context(), got.SKU); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: a watch shows %+v, want %+v", err, got, want)
		}
	}
	tx := w.mustClaim("ann", "A", 3)
	for _, one := range []*shop.ProductWatch{here, there} {
		same(seen(t, one, "A", func(p shop.Product) bool {
			return p.Availability.Status == shop.IsAllHeld && p.Availability.NextReleaseAt != nil
		}))
	}
	if _, err := w.Release(t.Context(), "ann", tx.ID); err != nil {
		t.Fatal(err)
	}
	same(seen(t, here, "A", available(3)))
	o := shop.Operator{KeyID: w.key}
	began := time.Now()
	if _, _, err := w.PauseSelling(t.Context(), o, true); err != nil {
		t.Fatal(err)
	}
	same(seen(t, there, "A", func(p shop.Product) bool { return p.Availability.Status == shop.IsOnPause }))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a pause was seen after %s", took)
	}
	if _, _, err := w.PauseSelling(t.Context(), o, false); err != nil {
		t.Fatal(err)
	}
	name := "Another"
	w.product(shop.Product{SKU: "A", Name: &name, Selling: true})
	same(seen(t, here, "A", func(p shop.Product) bool { return p.Name != nil && *p.Name == name }))
	if news, _ := here.News(); slices.ContainsFunc(news, func(p *shop.ShownProduct) bool { return p.SKU == "A" }) {
		t.Errorf("nothing has changed, and it shows %+v", news)
	}
}

// TestAWatchedSaleIsShown: it opens by the clock, and is paused.
func TestAWatchedSaleIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ShowStock: -1})
	w.priced("A", 1250, 10)
	now := time.Now()
	w.moveTo(now)
	o := shop.Operator{KeyID: w.key}
	quantity := 4
	sale, _, err := w.CreateSale(t.Context(), o, shop.SaleTerms{
		Name: "12.12", OpensAt: now.Add(time.Hour), ClosesAt: now.Add(2 * time.Hour), Hold: time.Minute, MaxQuantity: 2,
		Items: []shop.SaleItem{{SKU: "A", Price: shop.Money{Amount: 900, Currency: "EUR"}, Quantity: &quantity}},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := watch(t, w.Shop, "A")
	seen(t, page, "A", func(p shop.Product) bool { return p.Sale == nil && p.Availability.Available == 10 })
	for _, action := range []shop.SaleAction{shop.ScheduleSale, shop.OpenSale, shop.PauseSale} {
		if action == shop.OpenSale {
			w.moveTo(now.Add(time.Hour))
		} else if _, _, err := w.MoveSale(t.Context(), o, sale.ID, action); err != nil {
			t.Fatal(err)
		}
		want := map[shop.SaleAction]shop.Availability{
			shop.ScheduleSale: {Status: shop.IsAvailable, Available: 6}, shop.OpenSale: {Status: shop.IsAvailable, Available: 10}, shop.PauseSale: {Status: shop.IsOnPause, Available: 10},
		}[action]
		got := seen(t, page, "A", func(p shop.Product) bool { return p.Sale != nil && p.Availability == want })
		if asked, err := w.Product(t.Context(), "A"); err != nil || !reflect.DeepEqual(got, asked) {
			t.Errorf("%v: after %s a watch shows %+v, want %+v", err, action, got, asked)
		}
	}
}

// statements counts what is sent to a database, by the name of the query.
type statements struct {
	mu    sync.Mutex
	names []string
	at    []time.Time
}

// add counts a statement, unless a connection is made by it, or another that goes along is told how to be planned.
func (s *statements) add(sql string) {
	text, is := strings.CutPrefix(sql, "-- name: ")
	name, _, _ := strings.Cut(text, " ")
	if !is || name == "ClaimSettings" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names, s.at = append(s.names, name), append(s.at, time.Now())
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	s.add(q.SQL)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (*statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (s *statements) TraceBatchQuery(_ context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) {
	s.add(q.SQL)
}

func (*statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (s *statements) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names)
}

// traced makes one more shop on the world's database, whose statements are counted.
func (w *world) traced(t *testing.T, o shop.Options) (*shop.Shop, *statements) {
	t.Helper()
	all := &statements{}
	config := w.db.Config()
	config.ConnConfig.Tracer = all
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := shop.New(pool, o)
	t.Cleanup(s.Close)
	return s, all
}

func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); <-time.After(5 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// TestManyWhoWatchCostOneQuery: 600 watches of 30 products are one query an interval, and hold up nobody when they are never looked at. When the last of them is
// closed, nothing is read any more.
func TestManyWhoWatchCostOneQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ShowStock: -1})
	s, statements := w.traced(t, shop.Options{ShowStock: -1})
	skus := make([]string, 30)
	for i := range skus {
		skus[i] = fmt.Sprintf("P%02d", i)
		w.stocked(skus[i], 10)
	}
	if n := statements.count(); n > 0 || s.ReadsProducts() {
		t.Errorf("%d statements, and nobody watches", n)
	}
	var all sync.WaitGroup
	watches := make([]*shop.ProductWatch, 600)
	for i := range watches {
		all.Go(func() {
			var err error
			if watches[i], err = s.WatchProducts(context.Background(), append([]string{skus[0]}, skus[i%len(skus)])); err != nil {
				t.Error(err)
			}
		})
	}
	if all.Wait(); t.Failed() {
		t.FailNow()
	}
	before := statements.count()
	if before > 3 {
		t.Errorf("%d statements to begin %d watches at once", before, len(watches))
	}
	const reads = 6
	for i := range reads {
		w.mustClaim(buyer(i), skus[0], 1)
		seen(t, watches[i], skus[0], available(int64(9-i)))
	}
	waitUntil(t, "some more are read", func() bool { return statements.count() >= before+reads })
	statements.mu.Lock()
	for i, name := range statements.names {
		if name != "ProductShown" {
			t.Errorf("watching sends %s", name)
		}
		if i > before && statements.at[i].Sub(statements.at[i-1]) < 450*time.Millisecond {
			t.Errorf("it is read again after %s", statements.at[i].Sub(statements.at[i-1]))
		}
	}
	statements.mu.Unlock()
	for _, one := range watches[reads:] { // were never looked at
		select {
		case <-one.Changed():
		default:
			t.Fatal("a watch was not told of a change")
		}
		if news, _ := one.News(); !slices.ContainsFunc(news, func(p *shop.ShownProduct) bool { return p.SKU == skus[0] && p.Availability.Available == 10-reads }) {
			t.Fatalf("a watch that was not looked at shows %+v, want the latest", news)
		}
	}
	for _, one := range watches {
		one.Close()
		one.Close()
	}
	waitUntil(t, "the goroutine that reads is gone", func() bool { return !s.ReadsProducts() })
	after := statements.count()
	again := watch(t, s, skus[1])
	if again.News(); statements.count() != after+1 {
		t.Errorf("%d statements to begin anew, want 1", statements.count()-after)
	}
}

func TestWhatCantBeWatchedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Limits: shop.Limits{Waiting: 1}})
	w.stocked("A", 1)
	_, err := w.WatchProducts(t.Context(), []string{"A", "nothing", "neither"})
	if r := refusal(t, err, shop.NotFound); !strings.Contains(r.Detail, "neither, nothing") {
		t.Errorf("it says %q", r.Detail)
	}
	page := watch(t, w.Shop, "A")
	_, err = w.WatchProducts(t.Context(), []string{"A"})
	refusal(t, err, shop.Busy)
	page.Close()
	page = watch(t, w.Shop, "A")
	page.Close()
	waitUntil(t, "the goroutine that reads is gone", func() bool { return !w.ReadsProducts() })
}

// TestAWatchOutlivesTheDatabase: while products can't be read, who begins is told so, and who watches sees what has changed afterwards.
func TestAWatchOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ShowStock: -1})
	w.stocked("A", 3)
	w.stocked("B", 3)
	page := watch(t, w.Shop, "A")
	page.News()
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE product IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	for _, sku := range []string{"B", "A"} { // nothing old is shown as if it were so now
		_, err = w.WatchProducts(t.Context(), []string{sku})
		refusal(t, err, shop.Busy)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustClaim("ann", "A", 1)
	seen(t, page, "A", available(2))
	if news, _ := watch(t, w.Shop, "A").News(); len(news) != 1 || !available(2)(news[0].Product) {
		t.Errorf("it begins with %+v", news)
	}
}

func TestAWatchEndsWithItsProductAndWithTheShop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ShowStock: -1})
	w.product(shop.Product{SKU: "A", Selling: true, Rehearsal: true})
	w.stocked("B", 1)
	page, other := watch(t, w.Shop, "A", "B"), watch(t, w.Shop, "B")
	page.News()
	if err := w.DeleteRehearsalProduct(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the watch tells that a product was deleted", func() bool {
		_, gone := page.News()
		return gone
	})
	select {
	case <-other.Stopped():
		t.Error("the shop stops")
	default:
	}
	w.StopWaiting()
	<-other.Stopped()
	_, err := w.WatchProducts(context.Background(), []string{pgdb.NewID().String()})
	refusal(t, err, shop.Busy)
}
