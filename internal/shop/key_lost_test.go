package shop_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// underWay claims a unit of a product with a key, as another server does, and leaves its transaction open.
func (w *world) underWay(buyer, sku, key string) (shop.ID, pgx.Tx) {
	w.t.Helper()
	tx, err := w.db.Begin(background)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = tx.Rollback(background) })
	id := pgdb.NewID()
	if _, err := tx.Exec(background, `
		WITH picked AS MATERIALIZED (
			SELECT stock_token.* FROM stock_token JOIN product USING (product_id) WHERE sku = $3 ORDER BY position LIMIT 1 FOR UPDATE OF stock_token SKIP LOCKED
		), claimed AS (
			INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, expires_at)
			SELECT $1, $2, product_id, 0, 1, 'held', $4, now(), now() + interval '10 minutes' FROM picked
		), taken AS (
			DELETE FROM stock_token USING picked WHERE stock_token.unit_id = picked.unit_id RETURNING stock_token.unit_id
		)
		INSERT INTO claim_unit (claim_id, unit_id) SELECT $1, unit_id FROM taken`, id, buyer, sku, key); err != nil {
		w.t.Fatal(err)
	}
	return id, tx
}

// A claim that loses its key while its batch is being written takes no units, and answers with the transaction that has the key; nor do those lose
// anything that are in the batch with it, also when that happens again in the batch that is done anew.
func TestAClaimThatLosesItsKeyTakesNoUnits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Workers: 1})
	w.stocked("A", 10)
	first, one := w.underWay("a", "A", "k")
	second, two := w.underWay("b", "A", "k")
	var all sync.WaitGroup
	ask := func(buyer, key string, want shop.ID) {
		all.Go(func() {
			got, err := w.Claim(background, shop.ClaimRequest{Buyer: buyer, SKU: "A", Quantity: 1, Key: key})
			if err != nil || got.Replayed != (want != shop.ID{}) || got.Replayed && got.Transaction.ID != want || len(got.Transaction.UnitIDs) != 1 {
				t.Errorf("%s: %+v, %v", buyer, got, err)
			}
		})
	}
	ask("a", "k", first)
	w.untilSomebodyWaits(1) // its batch is written, and waits for the other server
	ask("b", "k", second)
	ask("c", "k", shop.ID{})
	ask("d", "", shop.ID{})
	for end := time.Now().Add(longEnough); w.Waiting() < 4; {
		if time.Now().After(end) {
			t.Fatalf("%d claims wait", w.Waiting())
		}
	}
	commit := func(tx pgx.Tx) {
		if err := tx.Commit(background); err != nil {
			t.Fatal(err)
		}
	}
	commit(one)
	w.until(`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))`, int32(two.Conn().PgConn().PID()))
	commit(two)
	all.Wait()
	if got := w.stock("A"); got.Held != 4 || got.Available != 6 {
		t.Errorf("%+v", got)
	}
	w.audited()
}
