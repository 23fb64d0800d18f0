package rehearsal

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbtest"
)

// The naive shop must go wrong by itself; that is no fault of the service, which plays the same cases after it.
func TestTheNaiveShopOversells(t *testing.T) {
	noLeaks(t)
	url := dbtest.URL(t)
	cases := []Case{{Buyers: 100, Stock: 50}, {Buyers: 300, Stock: 150}, {Buyers: 100, Stock: 120, QuantityMin: 1, QuantityMax: 4}}
	// The naive shop has one way only, so its buyers go that way, whatever the others do.
	report := play(t, Options{URLs: []string{newFake(seed{}).start(t)}, Cases: cases, Naive: url, Mode: Both})
	if !report.OK() {
		t.Fatal(written(t, report))
	}
	for _, c := range report.Cases {
		n := c.Naive
		if n.UnitsSold <= c.Stock || n.StockNow != c.Stock-n.UnitsSold || n.Faults != 0 || n.Orders+n.Refused != c.Buyers {
			t.Errorf("%s: %+v", c.Case, *n)
		}
		mustContain(t, written(t, report), "naive:    "+n.summary(c.Case))
	}
	if schemas := naiveSchemas(t, url); schemas != 0 {
		t.Errorf("%d schemas were left", schemas)
	}
}

// One buyer after the other never goes wrong: what the crowd shows is the race, and not a shop that cannot count.
func TestTheNaiveShopIsRightWithOneBuyerAtATime(t *testing.T) {
	noLeaks(t)
	shop, err := openNaive(t.Context(), dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shop.close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if _, err := shop.pool.Exec(t.Context(), `INSERT INTO stock (sku, quantity) VALUES ('one', 5)`); err != nil {
		t.Fatal(err)
	}
	all, err := newCrowd(Case{Buyers: 10, QuantityMin: 1, QuantityMax: 1}, hasty, shop.servers, errand{skus: []string{"one"}, mode: Direct}, newProgress(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer all.close()
	held := 0
	for _, b := range all.buyers {
		got, _, err := all.attempt(t.Context(), b, 1)
		var a answer
		if err != nil || !a.take(got, time.Time{}, time.Time{}) || a.fault != "" {
			t.Fatalf("%v, %+v", err, a)
		}
		if a.held != nil {
			held++
		}
	}
	if held != 5 {
		t.Errorf("sold %d of 5", held)
	}
}

func TestCancellingRemovesTheNaiveShop(t *testing.T) {
	noLeaks(t)
	url := dbtest.URL(t)
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake(seed{hangs: true})
	f.onClaim = cancel
	_, err := run(ctx, Options{URLs: []string{f.start(t)}, Key: testKey, Cases: []Case{{Buyers: 50, Stock: 25}}, Naive: url}, hasty)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if schemas := naiveSchemas(t, url); schemas != 0 {
		t.Errorf("%d schemas were left", schemas)
	}
}

func naiveSchemas(t *testing.T, url string) (schemas int) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE pg_namespace.nspname LIKE 'naive\_%'`).Scan(&schemas); err != nil {
		t.Fatal(err)
	}
	return schemas
}
