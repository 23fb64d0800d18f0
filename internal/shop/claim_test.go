package shop_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

var background = context.Background()

func TestHalfOfTheBuyersGetAUnitAndNoUnitIsSoldTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 500)
	second := w.server(shop.Options{})
	var held, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			s := w.Shop
			if i%2 == 1 {
				s = second
			}
			_, err := s.Claim(background, shop.ClaimRequest{Buyer: buyer(i), SKU: "A", Quantity: 1, Key: "k"})
			var r *shop.Refusal
			switch {
			case err == nil:
				held.Add(1)
			case errors.As(err, &r) && r.Code == shop.AllHeld && r.NextReleaseAt != nil:
				refused.Add(1)
			default:
				t.Errorf("buyer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if held.Load() != 500 || refused.Load() != 500 {
		t.Errorf("%d held and %d refused, want 500 and 500", held.Load(), refused.Load())
	}
	if n := w.count(`SELECT count(DISTINCT unit_id) FROM claim_unit WHERE released_at IS NULL`); n != 500 {
		t.Errorf("%d different units are held, want 500", n)
	}
	if n := w.count(`SELECT count(*) FROM stock_token`); n != 0 {
		t.Errorf("%d tokens left, want none", n)
	}
	w.audited()
}

func TestMixedQuantitiesLeaveNothingThatSomebodyCouldHaveHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 500)
	var smallest atomic.Int64
	smallest.Store(math.MaxInt64)
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			q := 1 + i%4
			tx, err := w.claim(buyer(i), "A", q)
			var r *shop.Refusal
			switch {
			case err == nil && len(tx.UnitIDs) != q:
				t.Errorf("%d units for %d", len(tx.UnitIDs), q)
			case err == nil:
			case errors.As(err, &r) && r.Code == shop.NotEnoughUnits && *r.Available < int64(q), errors.As(err, &r) && r.Code == shop.AllHeld:
				for was := smallest.Load(); int64(q) < was && !smallest.CompareAndSwap(was, int64(q)); was = smallest.Load() {
				}
			default:
				t.Errorf("buyer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if left := w.stock("A").Available; left >= smallest.Load() {
		t.Errorf("%d units are left, and somebody who asked for %d was refused", left, smallest.Load())
	}
	w.audited()
}

func TestRefusalsTellTheTruth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{MaxQuantity: 20})
	_, err := w.claim("b", "nothing", 1)
	refusal(t, err, shop.NotFound)
	for _, q := range []int{0, -5, 21} {
		_, err = w.claim("b", "nothing", q)
		if r := refusal(t, err, shop.Validation); len(r.Problems) != 1 || r.Problems[0].Location != "body.quantity" {
			t.Errorf("quantity %d: problems %+v", q, r.Problems)
		}
	}

	w.product(shop.Product{SKU: "empty", Selling: true})
	_, err = w.claim("b", "empty", 1)
	refusal(t, err, shop.SoldOut)

	w.stocked("A", 3)
	_, err = w.claim("b", "A", 4)
	if r := refusal(t, err, shop.NotEnoughUnits); *r.Available != 3 {
		t.Errorf("available %d, want 3", *r.Available)
	}
	held := w.mustClaim("b", "A", 3)
	_, err = w.claim("c", "A", 1)
	r := refusal(t, err, shop.AllHeld)
	if !r.NextReleaseAt.Equal(*held.ExpiresAt) || r.RetryAfter < 9*time.Minute {
		t.Errorf("next release at %v after %v, want %v", r.NextReleaseAt, r.RetryAfter, held.ExpiresAt)
	}

	w.product(shop.Product{SKU: "A", Selling: false})
	_, err = w.claim("c", "A", 1)
	refusal(t, err, shop.NotSelling)
	w.product(shop.Product{SKU: "A", Selling: true})

	if _, err := w.Release(background, "b", held.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Withdraw(background, shop.WithdrawalRequest{SKU: "A", Quantity: 3, Reason: "broken", KeyID: w.key}); err != nil {
		t.Fatal(err)
	}
	_, err = w.claim("c", "A", 1)
	refusal(t, err, shop.SoldOut)
	if n := w.count(`SELECT count(*) FROM claim`); n != 1 {
		t.Errorf("%d transactions are stored, want the one hold: a refusal is not stored", n)
	}
	w.audited()
}

func TestALapsedHoldCanBeClaimedAtOnceAndNotAnInstantEarlier(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: 2 * time.Second})
	w.stocked("A", 1)
	first := w.mustClaim("first", "A", 1)
	w.moveTo(first.ExpiresAt.Add(-time.Microsecond))
	_, err := w.claim("second", "A", 1)
	refusal(t, err, shop.AllHeld)
	w.moveTo(*first.ExpiresAt)
	if got := w.stock("A"); got.Available != 1 || got.Held != 0 {
		t.Errorf("stock is %+v, want the lapsed unit to count as available", got)
	}
	second := w.mustClaim("second", "A", 1)
	if second.UnitIDs[0] != first.UnitIDs[0] {
		t.Error("not the same unit")
	}
	got, err := w.Transaction(background, "first", first.ID)
	if err != nil || got.Status != shop.Expired {
		t.Errorf("the first transaction is %s, %v", got.Status, err)
	}
	w.audited()
}

func TestEverybodyWhoAsksAgainAfterTheHoldsLapseGetsAUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: 2 * time.Second})
	w.stocked("A", 200)
	race := func(from, to int) (held int64) {
		var n atomic.Int64
		var wg sync.WaitGroup
		for i := from; i < to; i++ {
			wg.Go(func() {
				if _, err := w.claim(buyer(i), "A", 1); err == nil {
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return n.Load()
	}
	if n := race(0, 400); n != 200 {
		t.Fatalf("%d held at first, want 200", n)
	}
	w.moveTo(w.Clock().Add(3 * time.Second))
	if n := race(400, 600); n != 200 {
		t.Errorf("%d of 200 got a unit after the holds had lapsed", n)
	}
	w.audited()
}

func TestALapsedHoldThatSomebodyHasLockedMeansAllHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 1)
	first := w.mustClaim("first", "A", 1)
	w.moveTo(first.ExpiresAt.Add(time.Second))
	tx, err := w.db.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(background, `SELECT FROM claim FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	_, err = w.claim("second", "A", 1)
	if r := refusal(t, err, shop.AllHeld); r.RetryAfter != time.Second {
		t.Errorf("retry after %v, want a second", r.RetryAfter)
	}
	if err := tx.Rollback(background); err != nil {
		t.Fatal(err)
	}
	w.mustClaim("second", "A", 1)
}

func TestTokensThatSomebodyHasLockedAreWaitedForAndNeverCalledSoldOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: 300 * time.Millisecond})
	w.stocked("A", 2)
	tx, err := w.db.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(background, `SELECT FROM stock_token FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	_, err = w.claim("b", "A", 1)
	refusal(t, err, shop.Busy)
	other := w.server(shop.Options{})
	done := make(chan error)
	go func() {
		_, err := other.Claim(background, shop.ClaimRequest{Buyer: "c", SKU: "A", Quantity: 1})
		done <- err
	}()
	w.stocked("B", 1)
	w.mustClaim("b", "B", 1) // one blocked product does not stop another
	if err := tx.Rollback(background); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the claim that waited: %v", err)
	}
	w.audited()
}

func TestAKeyBindsOneTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 100)
	servers := []*shop.Shop{w.Shop, w.server(shop.Options{})}
	ids := make(chan shop.ID, 1000)
	fresh := atomic.Int64{}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			c, err := servers[i%2].Claim(background, shop.ClaimRequest{Buyer: buyer(i % 10), SKU: "A", Quantity: 2, Key: "once"})
			if err != nil {
				t.Errorf("%d: %v", i, err)
				return
			}
			if !c.Replayed {
				fresh.Add(1)
			}
			ids <- c.Transaction.ID
		})
	}
	wg.Wait()
	close(ids)
	different := map[shop.ID]bool{}
	for id := range ids {
		different[id] = true
	}
	if len(different) != 10 || fresh.Load() != 10 {
		t.Errorf("%d transactions, %d of them not said to be replays, for 10 keys", len(different), fresh.Load())
	}
	if got := w.stock("A"); got.Held != 20 {
		t.Errorf("%d units held, want 20", got.Held)
	}
	_, err := w.Claim(background, shop.ClaimRequest{Buyer: buyer(1), SKU: "A", Quantity: 3, Key: "once"})
	refusal(t, err, shop.KeyReused)
	w.audited()
}

func TestAReplayShowsTheTransactionAsItNowIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 2)
	ask := func(key string) shop.Claimed {
		t.Helper()
		c, err := w.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := ask("one")
	if _, err := w.Release(background, "b", first.Transaction.ID); err != nil {
		t.Fatal(err)
	}
	again := ask("one")
	if !again.Replayed || again.Transaction.Status != shop.Released || again.Transaction.ID != first.Transaction.ID ||
		again.Transaction.UnitIDs[0] != first.Transaction.UnitIDs[0] {
		t.Errorf("the replay after the release is %+v", again)
	}
	lapsing := ask("two")
	w.moveTo(lapsing.Transaction.ExpiresAt.Add(time.Second))
	if again := ask("two"); again.Transaction.Status != shop.Expired || !again.Replayed {
		t.Errorf("the replay after the expiry is %+v", again)
	}
	w.audited()
}

func TestADirectRefusalLeavesItsKeyFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 1)
	held := w.mustClaim("a", "A", 1)
	r := shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: "k"}
	_, err := w.Claim(background, r)
	refusal(t, err, shop.AllHeld)
	if _, err := w.Release(background, "a", held.ID); err != nil {
		t.Fatal(err)
	}
	if c, err := w.Claim(background, r); err != nil || c.Replayed {
		t.Errorf("got %+v, %v; want a new hold", c, err)
	}
}

func TestOnlyTheOwnerSeesAndEndsATransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 1)
	held := w.mustClaim("owner", "A", 1)
	_, err := w.Transaction(background, "other", held.ID)
	refusal(t, err, shop.NotFound)
	_, err = w.Release(background, "other", held.ID)
	refusal(t, err, shop.NotFound)
	_, err = w.Transaction(background, "owner", pgdb.NewID())
	refusal(t, err, shop.NotFound)
	_, err = shop.ParseID("transaction", "../etc")
	refusal(t, err, shop.NotFound)
	for range 2 { // a repeated release changes nothing
		if status, err := w.Release(background, "owner", held.ID); err != nil || status != shop.Released {
			t.Errorf("release: %s, %v", status, err)
		}
	}
	if n := w.count(`SELECT count(*) FROM stock_token`); n != 1 {
		t.Errorf("%d tokens after a release that was repeated, want 1", n)
	}
	w.exec(`UPDATE stock_token SET position = position`) // the rows can be written: nothing is locked
	w.audited()
}

func TestWhatWasOrderedCannotBeReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 1)
	held := w.mustClaim("b", "A", 1)
	w.mustCheckout("b")
	_, err := w.Release(background, "b", held.ID)
	if r := refusal(t, err, shop.Conflict); r.State != "ordered" {
		t.Errorf("state %q", r.State)
	}
	_, err = w.claim("c", "A", 1)
	refusal(t, err, shop.AllHeld) // an unpaid order may still be cancelled
	if got := w.stock("A"); got.Ordered != 1 {
		t.Errorf("stock %+v", got)
	}
}

func TestTheCartTellsTheTruthAboutTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.product(shop.Product{SKU: "A", Selling: true, Price: &shop.Money{Amount: 1250, Currency: "EUR"}})
	w.stocked("B", 5)
	if _, _, err := w.Receive(background, shop.ReceiptRequest{SKU: "A", Quantity: 5, Reference: "r", KeyID: w.key}); err != nil {
		t.Fatal(err)
	}
	first := w.mustClaim("b", "A", 2)
	w.moveTo(first.CreatedAt.Add(time.Minute))
	second := w.mustClaim("b", "B", 1)
	w.mustClaim("somebody else", "A", 1)
	cart, err := w.Cart(background, "b")
	if err != nil || len(cart.Held) != 2 || !cart.NextExpiry.Equal(*first.ExpiresAt) {
		t.Fatalf("cart %+v, %v", cart, err)
	}
	if len(cart.Totals) != 1 || cart.Totals[0] != (shop.Money{Amount: 2500, Currency: "EUR"}) {
		t.Errorf("totals %+v", cart.Totals)
	}
	w.moveTo(*first.ExpiresAt)
	cart, err = w.Cart(background, "b")
	if err != nil || len(cart.Held) != 1 || cart.Held[0].ID != second.ID {
		t.Errorf("cart after the first hold lapsed: %+v, %v", cart, err)
	}
	if n := w.count(`SELECT count(*) FROM claim WHERE status = 'expired'`); n != 1 {
		t.Errorf("%d expired, want 1", n)
	}
	w.audited()
}

func TestAClaimAgainstStaleStatisticsTakesWhatWasAskedForAndNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.exec(`ALTER TABLE stock_token SET (autovacuum_enabled = off)`)
	w.exec(`ANALYZE stock_token`) // of an empty table
	w.product(shop.Product{SKU: "A", Selling: true})
	if _, _, err := w.Receive(background, shop.ReceiptRequest{SKU: "A", Quantity: 999, Reference: "r", KeyID: w.key}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // past the fifth, the statement may have a generic plan
		w.mustClaim(buyer(i), "A", 1)
	}
	if got := w.stock("A"); got.Available != 979 || got.Held != 20 {
		t.Errorf("stock %+v, want 20 held", got)
	}
	w.audited()
}

func TestManyProductsInOneBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Workers: 1})
	for i := range 50 {
		w.stocked(fmt.Sprintf("P%d", i), 10)
	}
	var held atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if _, err := w.claim(buyer(i), fmt.Sprintf("P%d", i%50), 1); err == nil {
				held.Add(1)
			}
		})
	}
	wg.Wait()
	if held.Load() != 500 {
		t.Errorf("%d held, want 500", held.Load())
	}
	w.audited()
}

// TestACallIsNotRefusedForWantOfWhatItHas: the same call, sent twice, gets its transaction also when the other copy was settled between the
// look for its key and the look for units.
func TestACallIsNotRefusedForWantOfWhatItHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 1)
	tx, err := w.db.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(background, `LOCK TABLE queue_tail IN ACCESS EXCLUSIVE MODE`); err != nil { // products are read with it
		t.Fatal(err)
	}
	type answer struct {
		shop.Claimed
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		c, err := w.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: "k"})
		answered <- answer{c, err}
	}()
	waitFor(t, "the batch to have looked for the key", func() bool {
		return w.count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'queue_tail'::regclass`) == 1
	})
	other := pgdb.NewID()
	w.exec(`WITH taken AS (DELETE FROM stock_token RETURNING unit_id, product_id),
		made AS (INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, expires_at)
			SELECT $1, 'b', product_id, 0, 1, 'held', 'k', now(), now() + interval '1 hour' FROM taken)
		INSERT INTO claim_unit SELECT $1, unit_id FROM taken`, other)
	if err := tx.Rollback(background); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got.err != nil || got.Transaction.ID != other || !got.Replayed {
		t.Errorf("got %+v, %v", got.Claimed, got.err)
	}
	w.audited()
}

// Tokens are picked before it is known whether they are needed. Those that are not stay where they are, and are the next to go.
func TestTokensThatWereNotNeededAreTheNextToGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 10)
	rows, err := w.db.Query(background, `SELECT unit_id FROM stock_token ORDER BY position`)
	if err != nil {
		t.Fatal(err)
	}
	order, err := pgx.CollectRows(rows, pgx.RowTo[shop.ID])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		for try := range 3 { // the others are replays, and pick in vain
			c, err := w.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: fmt.Sprint(i)})
			if err != nil || c.Replayed != (try > 0) {
				t.Fatalf("claim %d, try %d: replayed %t, %v", i, try, c.Replayed, err)
			}
			if got := c.Transaction.UnitIDs; len(got) != 1 || got[0] != order[i] {
				t.Errorf("claim %d, try %d has %v, want %v", i, try, got, order[i])
			}
		}
	}
	if got := w.stock("A"); got.Available != 5 || got.Held != 5 {
		t.Errorf("%+v", got)
	}
}
