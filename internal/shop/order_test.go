package shop_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

func (w *world) checkout(buyer string, ids ...shop.ID) (shop.Order, error) {
	o, _, err := w.Checkout(background, shop.CheckoutRequest{Buyer: buyer, TransactionIDs: ids})
	return o, err
}

func TestACartOfSeveralProductsBecomesOneOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Hour})
	w.priced("A", 100, 5)
	w.priced("B", 250, 5)
	at := noon()
	w.moveTo(at)
	w.scheduled(aSale(at, "B", 0))
	a, b, other := w.mustClaim("b", "A", 2), w.mustClaim("b", "B", 3), w.mustClaim("c", "A", 1)
	_, err := w.checkout("nobody")
	refusal(t, err, shop.CartEmpty)
	_, err = w.checkout("b", a.ID, other.ID)
	refusal(t, err, shop.NotFound)
	r := shop.CheckoutRequest{Buyer: "b", Reference: "cart 7", Metadata: json.RawMessage(`{"gift": true}`), Key: "k"}
	o, replayed, err := w.Checkout(background, r)
	if err != nil || replayed || o.Status != shop.AwaitingPayment || *o.Total != (shop.Money{Amount: 2*100 + 3*50, Currency: "EUR"}) || len(o.Lines) != 2 ||
		!o.PayBy.Equal(at.Add(time.Minute)) || o.PaymentStatus != shop.PaymentNone || o.Reference != "cart 7" {
		t.Fatalf("%+v, %v", o, err)
	}
	if o.Lines[0].TransactionID != a.ID || !slices.Equal(o.Lines[1].UnitIDs, b.UnitIDs) || *o.Lines[1].Price != (shop.Money{Amount: 50, Currency: "EUR"}) {
		t.Errorf("%+v", o.Lines)
	}
	w.product(shop.Product{SKU: "A", Selling: true, Price: &shop.Money{Amount: 999, Currency: "USD"}}) // the prices are frozen
	again, replayed, err := w.Checkout(background, r)
	if err != nil || !replayed || again.ID != o.ID || *again.Total != *o.Total {
		t.Errorf("%+v, %v", again, err)
	}
	r.Reference = "cart 8"
	_, _, err = w.Checkout(background, r)
	refusal(t, err, shop.KeyReused)
	_, err = w.checkout("b", a.ID)
	if no := refusal(t, err, shop.Conflict); no.State != "ordered" {
		t.Errorf("%+v", no)
	}
	if tx, err := w.Transaction(background, "b", a.ID); err != nil || tx.Status != shop.Ordered || *tx.OrderID != o.ID {
		t.Errorf("%+v, %v", tx, err)
	}
	if got := w.stock("A"); got.Ordered != 2 || got.Held != 1 {
		t.Errorf("%+v", got)
	}
	w.mustClaim("c", "A", 1) // in dollars
	_, err = w.checkout("c")
	refusal(t, err, shop.Validation) // two currencies
	w.stocked("N", 1)
	_, err = w.checkout("d", w.mustClaim("d", "N", 1).ID)
	refusal(t, err, shop.Validation) // no price
	w.audited()
}

func TestLapsedHoldsAreNamedAndTheRestStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Minute})
	w.priced("A", 100, 9)
	at := noon()
	w.moveTo(at)
	old := w.mustClaim("b", "A", 1)
	w.moveTo(at.Add(30 * time.Second))
	fresh := w.mustClaim("b", "A", 2)
	w.moveTo(at.Add(time.Minute))
	for _, ids := range [][]shop.ID{{fresh.ID, old.ID}, nil} {
		_, err := w.checkout("b", ids...)
		if ids == nil && err == nil {
			continue // the first refusal has put it away
		}
		if r := refusal(t, err, shop.HoldExpired); !slices.Equal(r.TransactionIDs, []shop.ID{old.ID}) {
			t.Errorf("named are %v", r.TransactionIDs)
		}
		if n := w.count(`SELECT count(*) FROM shop_order`); n != 0 {
			t.Errorf("%d orders of holds of which one has lapsed", n)
		}
		cart, err := w.Cart(background, "b")
		if err != nil || len(cart.Held) != 1 || cart.Held[0].ID != fresh.ID {
			t.Fatalf("%+v, %v", cart, err)
		}
	}
	w.audited()
}

// patientHolder lets a transaction that holds locks for a test do so for as long as the machine takes.
const patientHolder = `SET LOCAL idle_in_transaction_session_timeout = 0`

// locked holds the locks of rows until the function that it returns is called.
func (w *world) locked(query string, args ...any) (unlock func()) {
	w.t.Helper()
	tx, err := w.db.Begin(background)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(background, patientHolder); err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Exec(background, query, args...); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.t.Helper()
		if err := tx.Commit(background); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			w.t.Fatal(err)
		}
	}
}

// untilSomebodyWaits waits until so many wait for a lock.
func (w *world) untilSomebodyWaits(n int) {
	w.t.Helper()
	w.until(`SELECT count(*) >= $1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`, n)
}

// untilHoldersAreLeft waits until, of the transactions that have begun by now, no more are left than those that a test holds: what is settled from then on is
// settled by what holds now.
func (w *world) untilHoldersAreLeft(n int) {
	w.t.Helper()
	var now time.Time
	if err := w.db.QueryRow(background, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		w.t.Fatal(err)
	}
	w.until(`SELECT count(*) <= $1 FROM pg_stat_activity WHERE datname = current_database() AND xact_start < $2`, n, now)
}

// A hold that lapses while somebody has it locked can't be ordered, extended or confirmed without equal units, though it had not lapsed when the call
// began, and though whoever had it locked changed nothing (PITFALLS 9: neither now() nor a condition that is not looked at again may decide).
func TestAHoldThatLapsesWhileItIsWaitedForCannotBeOrdered(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(w *world, ids []shop.ID) error{
		"checkout of the hold":          func(w *world, ids []shop.ID) error { _, err := w.checkout("b", ids...); return err },
		"checkout of the cart":          func(w *world, _ []shop.ID) error { _, err := w.checkout("b"); return err },
		"checkout with one that is not": func(w *world, ids []shop.ID) error { _, err := w.checkout("b", ids...); return err },
		"extend": func(w *world, ids []shop.ID) error {
			_, _, err := w.Extend(background, "b", ids[0], time.Minute, shop.Operator{KeyID: w.key})
			return err
		},
		"confirm": func(w *world, ids []shop.ID) error {
			_, _, err := w.Confirm(background, shop.ConfirmRequest{TransactionIDs: ids, Reference: "r", Operator: w.operator()})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{Hold: 700 * time.Millisecond})
			w.priced("A", 100, 1)
			w.priced("B", 100, 1)
			tx := w.mustClaim("b", "A", 1)
			ids := []shop.ID{tx.ID}
			if name == "checkout with one that is not" {
				long := w.server(shop.Options{Hold: time.Hour})
				c, err := long.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "B", Quantity: 1})
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, c.Transaction.ID)
			}
			unlock := w.locked(`SELECT FROM claim WHERE claim_id = $1 FOR UPDATE`, tx.ID)
			got := make(chan error, 1)
			go func() { got <- call(w, ids) }()
			w.untilSomebodyWaits(1)
			w.until(`SELECT clock_timestamp() > $1`, tx.ExpiresAt)
			unlock()
			err := <-got
			if name == "confirm" {
				// The hold expires, and its unit is as good as any other for what replaces it.
				if n := w.count(`SELECT count(*) FROM claim AS line JOIN claim AS hold ON hold.claim_id = line.replaces_claim_id WHERE hold.claim_id = $1 AND hold.status = 'expired'`, tx.ID); err != nil || n != 1 {
					t.Errorf("%d lines replace the lapsed hold, %v", n, err)
				}
				w.audited()
				return
			}
			if r := refusal(t, err, shop.HoldExpired); !slices.Equal(r.TransactionIDs, []shop.ID{tx.ID}) {
				t.Errorf("named are %v", r.TransactionIDs)
			}
			if n := w.count(`SELECT count(*) FROM claim WHERE status = 'ordered'`); n != 0 {
				t.Errorf("%d lines were ordered", n)
			}
			w.audited()
		})
	}
}

// The other interleavings of an order and an expiry: whoever has the lock first wins, and the other sees it.
func TestAnOrderAndAnExpiryExcludeEachOther(t *testing.T) {
	t.Parallel()
	t.Run("the expiry is first", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, shop.Options{Hold: time.Minute})
		w.priced("A", 100, 1)
		tx := w.mustClaim("b", "A", 1)
		unlock := w.locked(`UPDATE claim SET status = 'expired', ended_at = expires_at WHERE claim_id = $1`, tx.ID)
		got := make(chan error, 1)
		go func() { _, err := w.checkout("b", tx.ID); got <- err }()
		w.untilSomebodyWaits(1)
		unlock()
		refusal(t, <-got, shop.HoldExpired)
	})
	t.Run("the order is first", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, shop.Options{Hold: 500 * time.Millisecond})
		w.priced("A", 100, 1)
		tx := w.mustClaim("b", "A", 1)
		id := pgdb.NewID()
		unlock := w.locked(`UPDATE claim SET status = 'ordered', ended_at = clock_timestamp(), order_id = $2 WHERE claim_id = $1`, tx.ID, id)
		w.until(`SELECT clock_timestamp() > $1`, tx.ExpiresAt)
		if err := w.ExpireLapsed(background); err != nil { // passes it by
			t.Fatal(err)
		}
		_, err := w.claim("c", "A", 1) // finds it locked
		refusal(t, err, shop.AllHeld)
		got := make(chan shop.Transaction, 1)
		go func() {
			now, err := w.Transaction(background, "b", tx.ID) // wants to expire it before it shows it
			if err != nil {
				t.Error(err)
			}
			got <- now
		}()
		w.untilSomebodyWaits(1)
		unlock()
		if now := <-got; now.Status != shop.Ordered {
			t.Errorf("it shows as %s", now.Status)
		}
	})
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		const holds = 60
		w := newWorld(t, shop.Options{Hold: 150 * time.Millisecond})
		w.priced("A", 100, holds)
		var wg sync.WaitGroup
		for i := range holds {
			tx := w.mustClaim(buyer(i), "A", 1)
			wg.Go(func() {
				w.until(`SELECT clock_timestamp() > $1::timestamptz - interval '2 milliseconds'`, tx.ExpiresAt)
				o, err := w.checkout(buyer(i), tx.ID)
				if err != nil && !refusedFor(err, shop.HoldExpired) {
					t.Error(err)
				}
				if err == nil && w.count(`SELECT count(*) FROM claim WHERE order_id = $1 AND ended_at >= expires_at`, o.ID) != 0 {
					t.Error("a lapsed hold was ordered")
				}
			})
			wg.Go(func() {
				if err := w.ExpireLapsed(background); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w.audited()
	})
}

func TestAnOverdueOrderFreesItsUnitsLikeAHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Minute, ShowStock: 10})
	w.priced("A", 100, 2)
	w.priced("B", 100, 1)
	at := noon()
	w.moveTo(at)
	w.mustClaim("b", "A", 2)
	w.mustClaim("b", "B", 1)
	o := w.mustCheckout("b")
	_, err := w.claim("c", "A", 1)
	if r := refusal(t, err, shop.AllHeld); r.NextReleaseAt == nil || !r.NextReleaseAt.Equal(*o.PayBy) {
		t.Errorf("the next release is said to be at %v, want %v", r.NextReleaseAt, o.PayBy)
	}
	w.moveTo(o.PayBy.Add(-time.Microsecond))
	_, err = w.claim("c", "A", 1)
	refusal(t, err, shop.AllHeld)
	w.moveTo(*o.PayBy)
	if got := w.stock("A"); got.Available != 2 || got.Ordered != 0 {
		t.Errorf("%+v", got)
	}
	if p, err := w.Product(background, "A"); err != nil || p.Availability.Available != 2 {
		t.Errorf("%+v, %v", p.Availability, err)
	}
	w.mustClaim("c", "A", 2) // at once: nobody waits for a sweeper
	w.mustClaim("c", "B", 1)
	got, err := w.Order(background, nil, o.ID)
	if err != nil || got.Status != shop.IsCancelled || got.Reason != "payment-overdue" || len(got.Lines[0].ReturnedUnitIDs) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	next := w.mustCheckout("c")
	w.moveTo(*next.PayBy)
	if got, err := w.Order(background, nil, next.ID); err != nil || got.Status != shop.IsCancelled { // a look is enough
		t.Errorf("%+v, %v", got, err)
	}
	w.mustClaim("d", "A", 1)
	last := w.mustCheckout("d")
	w.moveTo(*last.PayBy)
	if err := w.CancelOverdue(background); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM shop_order WHERE status = 'cancelled' AND reason = 'payment-overdue'`); n != 3 {
		t.Errorf("%d orders are cancelled", n)
	}
	w.audited()
}

func TestTheShopBesideConfirmsWhatItWasPaidFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Minute})
	w.stocked("A", 3) // no price: the shop beside knows it
	at := noon()
	w.moveTo(at)
	confirm := func(reference string, ids ...shop.ID) (shop.Order, bool, error) {
		return w.Confirm(background, shop.ConfirmRequest{TransactionIDs: ids, Reference: reference, Operator: w.operator()})
	}
	one, two, foreign := w.mustClaim("b", "A", 1), w.mustClaim("b", "A", 1), w.mustClaim("c", "A", 1)
	_, _, err := confirm("r", one.ID, foreign.ID)
	refusal(t, err, shop.Validation)
	_, _, err = confirm("r", one.ID, pgdb.NewID())
	refusal(t, err, shop.NotFound)
	o, replayed, err := confirm("r", two.ID, one.ID)
	if err != nil || replayed || o.Status != shop.IsPaid || o.Provider != shop.External || o.Total != nil || o.PaymentStatus != shop.PaymentSucceeded || len(o.Lines) != 2 {
		t.Fatalf("%+v, %v", o, err)
	}
	again, replayed, err := confirm("r", one.ID, two.ID)
	if err != nil || !replayed || again.ID != o.ID {
		t.Errorf("%+v, %t, %v", again, replayed, err)
	}
	for range 3 { // with a key that came later, too, however often
		again, replayed, err = w.Confirm(background, shop.ConfirmRequest{
			TransactionIDs: []shop.ID{one.ID, two.ID}, Reference: "r", Operator: shop.Operator{KeyID: w.key, Key: "later"},
		})
		if err != nil || !replayed || again.ID != o.ID {
			t.Errorf("%+v, %t, %v", again, replayed, err)
		}
	}
	_, _, err = confirm("r", foreign.ID)
	refusal(t, err, shop.Conflict)
	_, _, err = confirm("s", one.ID)
	if no := refusal(t, err, shop.Conflict); no.State != "ordered" {
		t.Errorf("%+v", no)
	}
	if got := w.stock("A"); got.Sold != 2 || got.Held != 1 {
		t.Errorf("%+v", got)
	}

	// A hold that has lapsed gets equal units, if there are any.
	for swept := range 2 {
		lapsed := w.mustClaimOrFree("b", "A")
		at = at.Add(time.Minute)
		w.moveTo(at)
		if swept == 1 {
			if err := w.ExpireLapsed(background); err != nil {
				t.Fatal(err)
			}
		}
		ref := []string{"unswept", "swept"}[swept]
		o, _, err := confirm(ref, lapsed.ID)
		if err != nil || len(o.Lines) != 1 || o.Lines[0].TransactionID == lapsed.ID || *o.Lines[0].ReplacesTransactionID != lapsed.ID || len(o.Lines[0].UnitIDs) != 1 {
			t.Fatalf("%s: %+v, %v", ref, o, err)
		}
		if tx, err := w.Transaction(background, "b", lapsed.ID); err != nil || tx.Status != shop.Expired {
			t.Errorf("%s: it shows as %+v, %v", ref, tx, err)
		}
		if again, replayed, err := confirm(ref, lapsed.ID); err != nil || !replayed || again.ID != o.ID {
			t.Errorf("%s again: %+v, %v", ref, again, err)
		}
		_, _, err = confirm(ref+" again", lapsed.ID) // it confirms once
		if no := refusal(t, err, shop.Conflict); no.State != "ordered" {
			t.Errorf("%+v", no)
		}
		if _, _, err := w.Refund(background, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockAvailable, Operator: w.operator()}); err != nil {
			t.Fatal(err)
		}
	}
	lapsed := w.mustClaim("b", "A", 1)
	at = at.Add(time.Minute)
	w.moveTo(at)
	w.mustClaim("d", "A", 1) // somebody else has got it
	w.receive("A", 1)
	live := w.mustClaim("b", "A", 1)
	_, _, err = confirm("t", lapsed.ID, live.ID)
	if r := refusal(t, err, shop.HoldExpired); !slices.Equal(r.TransactionIDs, []shop.ID{lapsed.ID}) {
		t.Errorf("%+v", r)
	}
	if tx, err := w.Transaction(background, "b", live.ID); err != nil || tx.Status != shop.Held {
		t.Errorf("the whole call was refused, but %+v, %v", tx, err)
	}
	w.audited()
}

// mustClaimOrFree releases what c holds, if that is needed to have a unit.
func (w *world) mustClaimOrFree(buyer, sku string) shop.Transaction {
	w.t.Helper()
	cart, err := w.Cart(background, "c")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, tx := range cart.Held {
		if _, err := w.Release(background, "c", tx.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	return w.mustClaim(buyer, sku, 1)
}

func TestALapsedHoldInASaleIsReplacedWithinTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at)
	limit := 1
	terms := aSale(at, "A", 2)
	terms.PurchaseLimit = &limit
	sale := w.scheduled(terms)
	lapsed := w.mustClaim("b", "A", 1)
	at = at.Add(time.Minute)
	w.moveTo(at)
	fresh := w.mustClaim("b", "A", 1) // which is all that b may have
	_, _, err := w.Confirm(background, shop.ConfirmRequest{TransactionIDs: []shop.ID{lapsed.ID}, Reference: "r", Operator: w.operator()})
	refusal(t, err, shop.HoldExpired)
	if _, err := w.Release(background, "b", fresh.ID); err != nil {
		t.Fatal(err)
	}
	o, _, err := w.Confirm(background, shop.ConfirmRequest{TransactionIDs: []shop.ID{lapsed.ID}, Reference: "r", Operator: w.operator()})
	if err != nil || *o.Lines[0].SaleID != sale.ID || o.Lines[0].Price.Amount != 50 {
		t.Errorf("%+v, %v", o, err)
	}
	if n := w.hasInSale("b"); n != 1 {
		t.Errorf("%d are counted, want 1", n)
	}
	w.audited()
}

// What has lapsed or is overdue makes no limit for equal units, also when nobody has put it away yet; while somebody is about to, it is not known.
func TestWhatHasLapsedKeepsNoHoldFromBeingReplaced(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]string{"held": `SELECT FROM claim WHERE claim_id = $1 FOR UPDATE`, "ordered": `SELECT FROM shop_order WHERE order_id = $1 FOR UPDATE`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{})
			w.priced("A", 100, 5)
			limit, at := 1, noon()
			w.moveTo(at)
			terms := aSale(at, "A", 0)
			terms.PurchaseLimit = &limit
			w.scheduled(terms)
			lapsed := w.mustClaim("b", "A", 1)
			at = at.Add(time.Minute)
			w.moveTo(at)
			id := w.mustClaim("b", "A", 1).ID
			if name == "ordered" {
				id = w.mustCheckout("b").ID
			}
			w.moveTo(at.Add(time.Minute))
			confirm := func() error {
				_, _, err := w.Confirm(background, shop.ConfirmRequest{TransactionIDs: []shop.ID{lapsed.ID}, Reference: "r", Operator: w.operator()})
				return err
			}
			unlock := w.locked(lock, id)
			refusal(t, confirm(), shop.Busy)
			unlock()
			if err := confirm(); err != nil {
				t.Error(err)
			}
			if n := w.hasInSale("b"); n != 1 {
				t.Errorf("%d are counted, want 1", n)
			}
			w.audited()
		})
	}
}

func TestAHoldIsExtendedUpToItsMaximum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Minute, HoldMax: 3 * time.Minute})
	w.priced("A", 100, 1)
	at := noon()
	w.moveTo(at)
	tx := w.mustClaim("b", "A", 1)
	extend := func(buyer string, by time.Duration, key string) (shop.Transaction, bool, error) {
		return w.Extend(background, buyer, tx.ID, by, shop.Operator{KeyID: w.key, Key: key})
	}
	for replayed := range 2 {
		got, again, err := extend("b", time.Minute, "k")
		if err != nil || !got.ExpiresAt.Equal(at.Add(2*time.Minute)) || again != (replayed == 1) {
			t.Errorf("%+v, %t, %v", got, again, err)
		}
	}
	_, _, err := extend("c", time.Minute, "")
	refusal(t, err, shop.NotFound)
	_, _, err = extend("b", 61*time.Second, "")
	refusal(t, err, shop.Validation)
	_, _, err = extend("b", 0, "")
	refusal(t, err, shop.Validation)
	if _, _, err := extend("b", time.Minute, ""); err != nil {
		t.Error(err)
	}
	w.moveTo(at.Add(3 * time.Minute))
	_, _, err = extend("b", time.Second, "")
	refusal(t, err, shop.HoldExpired)
	w.audited()
}

func TestUnitsComeBackFromAnOrderOnceEachWhereTheyAreToGo(t *testing.T) {
	t.Parallel()
	provider := newFake()
	w := newWorld(t, shop.Options{Provider: provider})
	w.priced("A", 100, 4)
	tx := w.mustClaim("b", "A", 4)
	o := w.mustCheckout("b")
	refund := func(restock shop.Restock, key string, units ...shop.ID) (shop.Order, bool, error) {
		return w.Refund(background, shop.RefundRequest{OrderID: o.ID, UnitIDs: units, Restock: restock, Operator: shop.Operator{KeyID: w.key, Key: key}})
	}
	_, _, err := refund(shop.RestockAvailable, "")
	refusal(t, err, shop.Conflict) // it is not paid
	if _, _, err := w.Pay(background, "b", o.ID, "succeed", "p"); err != nil {
		t.Fatal(err)
	}
	u := tx.UnitIDs
	_, _, err = refund("nowhere", "")
	refusal(t, err, shop.Validation)
	_, _, err = refund(shop.RestockAvailable, "", pgdb.NewID())
	refusal(t, err, shop.Validation)
	for replayed := range 2 {
		got, again, err := refund(shop.RestockAvailable, "one", u[0])
		if err != nil || again != (replayed == 1) || got.Status != shop.IsPaid || got.Refunded != 100 || !slices.Equal(got.Lines[0].ReturnedUnitIDs, u[:1]) {
			t.Errorf("%+v, %t, %v", got, again, err)
		}
	}
	_, _, err = refund(shop.RestockAvailable, "", u[0])
	refusal(t, err, shop.Conflict)
	_, _, err = refund(shop.RestockAvailable, "", u[0], u[1])
	refusal(t, err, shop.Conflict)
	if _, _, err = refund(shop.RestockQuarantine, "", u[1]); err != nil {
		t.Fatal(err)
	}
	if _, _, err = refund(shop.RestockWriteOff, "", u[2]); err != nil {
		t.Fatal(err)
	}
	got := w.stock("A")
	if want := (shop.Stock{Received: 4, Available: 1, Sold: 1, Quarantine: 1, Withdrawn: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	whole, _, err := refund(shop.RestockQuarantine, "")
	if err != nil || whole.Status != shop.IsRefunded || whole.Refunded != 400 || whole.PaymentStatus != shop.PaymentRefunded {
		t.Errorf("%+v, %v", whole, err)
	}
	if captured, refunded := provider.books(); captured != 400 || refunded != 400 {
		t.Errorf("the provider took %d and gave back %d", captured, refunded)
	}
	_, _, err = refund(shop.RestockAvailable, "")
	refusal(t, err, shop.Conflict)
	w.audited()

	released, _, err := w.QuarantineRelease(background, w.operator(), "A", 0, u[3:])
	if err != nil || !slices.Equal(released, u[3:]) {
		t.Errorf("%v, %v", released, err)
	}
	_, _, err = w.QuarantineRelease(background, w.operator(), "A", 0, u[3:])
	refusal(t, err, shop.Conflict)
	_, _, err = w.QuarantineRelease(background, w.operator(), "A", 2, nil)
	if r := refusal(t, err, shop.NotEnoughUnits); *r.Available != 1 {
		t.Errorf("%+v", r)
	}
	if _, _, err := w.QuarantineRelease(background, w.operator(), "A", 1, nil); err != nil {
		t.Error(err)
	}
	w.mustClaim("c", "A", 3)
	for id, want := range map[shop.ID][]string{
		u[0]: {"received", "held", "ordered", "paid", "returned", "held"},
		u[1]: {"received", "held", "ordered", "paid", "quarantined", "unquarantined", "held"},
		u[2]: {"received", "held", "ordered", "paid", "written_off", "withdrawn"},
	} {
		unit, err := w.Unit(background, id)
		var life []string
		for _, e := range unit.Life {
			life = append(life, e.Event)
			if slices.Contains([]string{"ordered", "paid", "returned"}, e.Event) && (e.OrderID == nil || *e.OrderID != o.ID) {
				t.Errorf("%s of %s names the order %v", e.Event, id, e.OrderID)
			}
		}
		slices.Sort(life[len(life)-min(len(life), 2):])
		slices.Sort(want[len(want)-2:])
		if err != nil || !slices.Equal(life, want) {
			t.Errorf("the life of %s is %v, %v, want %v", id, life, err, want)
		}
	}
	w.audited()
}

func TestAnOrderThatIsCancelledFreesItsUnitsAtOnceAndOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 2)
	w.mustClaim("b", "A", 2)
	o := w.mustCheckout("b")
	_, _, err := w.CancelOrder(background, "c", o.ID, "")
	refusal(t, err, shop.NotFound)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, _, err := w.CancelOrder(background, "b", o.ID, ""); err != nil || got.Status != shop.IsCancelled {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := w.count(`SELECT count(*) FROM stock_token`); n != 2 {
		t.Errorf("%d tokens came back, want 2", n)
	}
	if n := w.count(`SELECT count(*) FROM event WHERE type = 'order.cancelled'`); n != 1 {
		t.Errorf("%d events tell of it", n)
	}
	w.mustClaim("c", "A", 2)
	w.audited()
}

// An order that is overdue is cancelled for who wants to refund it as well, also when nobody has looked at it before.
func TestARefundOfAnOverdueOrderSaysThatItIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 1)
	w.mustClaim("b", "A", 1)
	o := w.mustCheckout("b")
	w.moveTo(o.PayBy.Add(time.Second))
	_, _, err := w.Refund(background, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockAvailable, Operator: w.operator()})
	if no := refusal(t, err, shop.Conflict); no.State != string(shop.IsCancelled) {
		t.Errorf("%+v", no)
	}
	w.audited()
}

func TestOrdersAreListedByWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 100)
	sale := w.limited("A", 10, 20)
	var ids []shop.ID
	for i := range 10 {
		w.mustClaim(buyer(i%2), "A", 1)
		o, _, err := w.Checkout(background, shop.CheckoutRequest{Buyer: buyer(i % 2), Reference: []string{"", "odd"}[i%2]})
		if err != nil {
			t.Fatal(err)
		}
		ids = append([]shop.ID{o.ID}, ids...)
	}
	w.move(sale.ID, shop.CloseSale)
	w.mustClaim("n", "A", 1)
	normal := w.mustCheckout("n")
	if _, _, err := w.Pay(background, "n", normal.ID, "succeed", ""); err != nil {
		t.Fatal(err)
	}
	list := func(f shop.OrderFilter) (got []shop.ID) {
		t.Helper()
		before := shop.ID{}
		for {
			page, more, err := w.Orders(background, f, before, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				got = append(got, o.ID)
				if len(o.Lines) != 1 || len(o.Lines[0].UnitIDs) != 1 {
					t.Errorf("%+v", o)
				}
			}
			if !more {
				return got
			}
			before = got[len(got)-1]
		}
	}
	odd, one := "odd", buyer(0)
	future := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		f    shop.OrderFilter
		want []shop.ID
	}{
		"all":       {shop.OrderFilter{}, append([]shop.ID{normal.ID}, ids...)},
		"sale":      {shop.OrderFilter{SaleID: &sale.ID}, ids},
		"paid":      {shop.OrderFilter{Status: shop.IsPaid}, []shop.ID{normal.ID}},
		"reference": {shop.OrderFilter{Reference: &odd}, []shop.ID{ids[0], ids[2], ids[4], ids[6], ids[8]}},
		"buyer":     {shop.OrderFilter{Buyer: &one}, []shop.ID{ids[1], ids[3], ids[5], ids[7], ids[9]}},
		"both":      {shop.OrderFilter{Buyer: &one, Reference: &odd}, nil},
		"since":     {shop.OrderFilter{Since: &future}, nil},
		"until":     {shop.OrderFilter{Until: &future, Status: shop.AwaitingPayment}, ids},
	} {
		if got := list(c.f); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	n := 0
	if err := w.ExportOrders(background, shop.OrderFilter{}, func(page []shop.Order) error { n += len(page); return nil }); err != nil || n != 11 {
		t.Errorf("%d exported, %v", n, err)
	}
}

func TestUnitsInQuarantineCanBeWrittenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 3)
	w.mustClaim("b", "A", 2)
	o := w.mustCheckout("b")
	if _, _, err := w.Pay(background, "b", o.ID, "succeed", ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Refund(background, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockQuarantine, Operator: w.operator()}); err != nil {
		t.Fatal(err)
	}
	r := shop.WithdrawalRequest{SKU: "A", Quantity: 2, Reason: "wet", Place: shop.InQuarantine, KeyID: w.key, Key: "k"}
	for replayed := range 2 {
		got, again, err := w.Withdraw(background, r)
		if err != nil || got.Place != shop.InQuarantine || again != (replayed == 1) {
			t.Errorf("%+v, %t, %v", got, again, err)
		}
	}
	r.Place = ""
	_, _, err := w.Withdraw(background, r)
	refusal(t, err, shop.KeyReused)
	r.Key, r.Place = "", shop.InQuarantine
	_, _, err = w.Withdraw(background, r)
	if no := refusal(t, err, shop.NotEnoughUnits); *no.Available != 0 {
		t.Errorf("%+v", no)
	}
	r.Place = shop.AtBuyer
	_, _, err = w.Withdraw(background, r)
	refusal(t, err, shop.Validation)
	if got, want := w.stock("A"), (shop.Stock{Received: 3, Available: 1, Withdrawn: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	w.audited()
}
