package shop_test

import (
	"context"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/shop"
)

// Whoever moves the lines of an order locks them in the order of their ids, and before the count of their buyer, as a checkout and a release do: who waits for the first line
// has neither the second nor the count, or it deadlocks now and then. Housekeeping leaves such an order alone.
func TestWhoWaitsForALineOfAnOrderHasNothingThatComesLater(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pending bool // its payment
		passes  bool // by the order, instead of waiting
		then    shop.OrderStatus
		do      func(w *world, f *fake, o shop.Order) error
	}{
		"a payment begins": {then: shop.IsPaid, do: func(w *world, _ *fake, o shop.Order) error {
			_, _, err := w.Pay(background, "b", o.ID, "succeed", "k")
			return err
		}},
		"a payment succeeds": {pending: true, then: shop.IsPaid, do: func(w *world, f *fake, _ shop.Order) error {
			id := w.unit(`SELECT payment_id FROM payment`)
			f.set(id, payment.Succeeded)
			return w.PaymentChanged(background, id)
		}},
		"a payment fails": {pending: true, then: shop.AwaitingPayment, do: func(w *world, f *fake, _ shop.Order) error {
			id := w.unit(`SELECT payment_id FROM payment`)
			f.set(id, payment.Failed)
			return w.PaymentChanged(background, id)
		}},
		"a buyer cancels": {then: shop.IsCancelled, do: func(w *world, _ *fake, o shop.Order) error {
			_, _, err := w.CancelOrder(background, "b", o.ID, "k")
			return err
		}},
		"it is overdue": {passes: true, then: shop.AwaitingPayment, do: func(w *world, _ *fake, _ shop.Order) error {
			w.exec(`UPDATE shop_order SET pay_by = created_at`)
			return w.CancelOverdue(background)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			w := newWorld(t, shop.Options{Provider: f})
			w.priced("A", 100, 2)
			w.limited("A", 2, 0)
			first := w.mustClaim("b", "A", 1)
			second := w.mustClaim("b", "A", 1)
			o := w.mustCheckout("b")
			if c.pending {
				f.onCharge = func(context.Context, payment.Charge) (payment.State, error) { return payment.Pending, nil }
				if _, _, err := w.Pay(background, "b", o.ID, "succeed", "pay"); err != nil {
					t.Fatal(err)
				}
			}
			w.exec(`UPDATE claim SET pay_by = created_at + interval '1 day' WHERE claim_id = $1`, first.ID) // so that it stands behind the second, in the table and in its indexes
			tx, err := w.db.Begin(background)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(background) }()
			has := func(query string, args ...any) {
				t.Helper()
				if _, err := tx.Exec(background, query, args...); err != nil {
					t.Error(err)
				}
			}
			has(patientHolder)
			has(`SELECT FROM claim WHERE claim_id = $1 FOR UPDATE`, first.ID)
			done := make(chan error, 1)
			go func() { done <- c.do(w, f, o) }()
			if !c.passes {
				w.untilSomebodyWaits(1)
			} else {
				select { // while we have the line
				case err := <-done:
					done <- err
				case <-time.After(longEnough):
					t.Error("housekeeping waits for the line")
				}
			}
			has(`SELECT FROM claim WHERE claim_id = $1 FOR UPDATE NOWAIT`, second.ID)
			has(`SELECT FROM sale_buyer WHERE buyer = 'b' FOR UPDATE NOWAIT`)
			if err := tx.Rollback(background); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			var status shop.OrderStatus
			if err := w.db.QueryRow(background, `SELECT status FROM shop_order`).Scan(&status); err != nil || status != c.then {
				t.Errorf("the order is %s, %v, and is to be %s", status, err, c.then)
			}
		})
	}
}

// Whoever ends a hold waits for the count of its buyer before the hold is touched: a batch that has the count, and was sent the hold's key once more before it
// could know, finds at once that the key is bound, instead of waiting for whoever waits for it.
func TestWhoWaitsForTheCountOfABuyerHasNotTouchedTheHold(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, id shop.ID) error{
		"a release": func(w *world, id shop.ID) error { _, err := w.Release(background, "b", id); return err },
		"a look at what has lapsed": func(w *world, id shop.ID) error {
			w.exec(`UPDATE claim SET expires_at = created_at`)
			_, err := w.Transaction(background, "b", id)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{})
			w.priced("A", 100, 2)
			w.limited("A", 2, 0)
			hold := w.mustClaim("b", "A", 1)
			w.exec(`UPDATE claim SET idempotency_key = 'k'`)
			tx, err := w.db.Begin(background)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(background) }()
			for _, sql := range []string{patientHolder, `SELECT FROM sale_buyer WHERE buyer = 'b' FOR NO KEY UPDATE`} {
				if _, err := tx.Exec(background, sql); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() { done <- end(w, hold.ID) }()
			w.untilSomebodyWaits(1)
			tag, err := tx.Exec(background, `
				INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, expires_at)
				SELECT gen_random_uuid(), buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, expires_at FROM claim
				ON CONFLICT DO NOTHING`)
			if err != nil || tag.RowsAffected() != 0 {
				t.Errorf("the same key again: %v, %v", tag, err)
			}
			if err := tx.Commit(background); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if status := w.unit(`SELECT claim_id FROM claim WHERE status IN ('released', 'expired')`); status != hold.ID {
				t.Errorf("%v was not ended", hold.ID)
			}
		})
	}
}
