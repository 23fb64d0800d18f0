package shop_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lastunit/lastunit/internal/shop"
)

// crowd is so many buyers, each with a hold of one unit of A, at 100.
func (w *world) crowd(n int) (holds []shop.Transaction) {
	w.t.Helper()
	w.priced("A", 100, n)
	for i := range n {
		holds = append(holds, w.mustClaim(fmt.Sprint("b", i), "A", 1))
	}
	return holds
}

// allBut runs a call for each buyer, twice at once with one key, and returns when those of all but the first have been answered, with what is to be called for the first's
// answers. Of each two one is a replay, and both show the same order.
func (w *world) allBut(n int, call func(i int) (o shop.Order, replayed bool, err error)) (first func()) {
	w.t.Helper()
	var slow, others sync.WaitGroup
	for i := range n {
		group := &others
		if i == 0 {
			group = &slow
		}
		var replays atomic.Int32
		var both sync.WaitGroup
		ids := [2]shop.ID{}
		for twice := range ids {
			both.Add(1)
			group.Go(func() {
				defer both.Done()
				o, replayed, err := call(i)
				if err != nil {
					w.t.Errorf("b%d: %v", i, err)
				}
				if replayed {
					replays.Add(1)
				}
				ids[twice] = o.ID
			})
		}
		group.Go(func() {
			both.Wait()
			if replays.Load() != 1 || ids[0] != ids[1] {
				w.t.Errorf("b%d: %d of two calls with one key were replays, the orders are %v", i, replays.Load(), ids)
			}
		})
	}
	others.Wait()
	return slow.Wait
}

// Checkouts and payments that come together are done together; where one of them has to wait, for a lock or for its key, only that one waits.
func TestACheckoutOrPaymentThatMustWaitKeepsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, locks := range map[string][2]string{
		"rows": {`SELECT FROM claim WHERE buyer = 'b0' FOR UPDATE`, `SELECT FROM shop_order WHERE buyer = 'b0' FOR UPDATE`},
		"keys": {
			`INSERT INTO call_key (caller, operation, idempotency_key, request_hash, created_at) VALUES ('b0', 'checkout', 'k', sha256('other'), now())`,
			`INSERT INTO call_key (caller, operation, idempotency_key, request_hash, created_at) VALUES ('b0', 'order.pay', 'k', sha256('other'), now())`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const buyers = 20
			f := newFake()
			w := newWorld(t, shop.Options{Provider: f, PayTimeout: longEnough})
			holds := w.crowd(buyers)
			orders := make([]shop.Order, buyers)
			var mu sync.Mutex
			release := w.held(locks[0])
			first := w.allBut(buyers, func(i int) (shop.Order, bool, error) {
				o, replayed, err := w.Checkout(background, shop.CheckoutRequest{Buyer: fmt.Sprint("b", i), TransactionIDs: []shop.ID{holds[i].ID}, Key: "k"})
				mu.Lock()
				defer mu.Unlock()
				orders[i] = o
				return o, replayed, err
			})
			if n := w.count(`SELECT count(*) FROM shop_order`); n != buyers-1 {
				t.Errorf("%d orders while one buyer has to wait", n)
			}
			release()
			first()
			release = w.held(locks[1])
			first = w.allBut(buyers, func(i int) (shop.Order, bool, error) {
				return w.Pay(background, fmt.Sprint("b", i), orders[i].ID, "succeed", "k")
			})
			if n := w.count(`SELECT count(*) FROM shop_order WHERE status = 'paid'`); n != buyers-1 {
				t.Errorf("%d paid orders while one buyer has to wait", n)
			}
			release()
			first()
			for _, kind := range []shop.EventType{shop.OrderCreated, shop.OrderPaid} {
				if n := w.count(`SELECT count(*) FROM event WHERE type = $1`, kind); n != buyers {
					t.Errorf("%d events %s", n, kind)
				}
			}
			if got := w.stock("A"); got.Sold != buyers {
				t.Errorf("%+v", got)
			}
			w.settledMoney(f)
		})
	}
}

// held is locked, undone instead of committed.
func (w *world) held(query string) (release func()) {
	w.t.Helper()
	tx, err := w.db.Begin(background)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = tx.Rollback(background) })
	for _, sql := range []string{patientHolder, query} {
		if _, err := tx.Exec(background, sql); err != nil {
			w.t.Fatal(err)
		}
	}
	return func() {
		w.t.Helper()
		if err := tx.Rollback(background); err != nil {
			w.t.Fatal(err)
		}
	}
}
