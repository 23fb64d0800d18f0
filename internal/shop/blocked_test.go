package shop_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

// Some transaction that hangs, an operator's or of a server that has stopped in its middle, has rows of some products locked: more products than there are workers,
// each with claims that wait for it. Claims of the others go on.
func TestProductsThatAreLockedDoNotStopTheOthers(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]string{
		"tokens":     `SELECT FROM stock_token JOIN product USING (product_id) WHERE sku LIKE 'locked-%' FOR UPDATE OF stock_token`,
		"products":   `SELECT FROM product WHERE sku LIKE 'locked-%' FOR UPDATE`,
		"queue head": `SELECT FROM queue_head JOIN product USING (product_id) WHERE sku LIKE 'locked-%' FOR UPDATE OF queue_head`,
		"holds":      `SELECT FROM claim JOIN product USING (product_id) WHERE sku LIKE 'locked-%' FOR UPDATE OF claim`,
		"queued":     `SELECT FROM claim JOIN product USING (product_id) WHERE sku LIKE 'locked-%' AND status = 'queued' FOR UPDATE OF claim`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const locked, others, workers = 6, 3, 2
			w := newWorld(t, shop.Options{Workers: workers, ClaimWait: longEnough})
			for i := range locked {
				sku := fmt.Sprint("locked-", i)
				w.stocked(sku, 10)
				if _, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "first", SKU: sku, Quantity: 1}, longEnough); err != nil { // so that there is a queue, and a hold
					t.Fatal(err)
				}
			}
			for i := range others {
				w.stocked(fmt.Sprint("other-", i), 100)
			}
			queued := 0
			goOn := func() {}
			if name == "queued" {
				queued = 1
				var all []func()
				for i := range locked {
					sku := fmt.Sprint("locked-", i)
					all = append(all, w.stopped(sku))
					w.enqueue("second", sku, 1)
				}
				goOn = func() {
					for _, f := range all {
						f()
					}
				}
			}
			unlock := w.locked(lock)
			goOn()
			var waiting sync.WaitGroup
			for i := range locked {
				for n := range 5 {
					waiting.Go(func() {
						if _, err := w.claim(fmt.Sprint("waits-", n), fmt.Sprint("locked-", i), 1); err != nil {
							t.Errorf("locked-%d: %v", i, err)
						}
					})
				}
			}
			began := time.Now()
			var served sync.WaitGroup
			for i := range others {
				served.Go(func() {
					for n := range 50 {
						if _, err := w.claim(fmt.Sprint("b", n), fmt.Sprint("other-", i), 1); err != nil {
							t.Errorf("other-%d: %v", i, err)
							return
						}
					}
				})
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				served.Wait()
			}()
			for going := true; going; {
				select {
				case <-done:
					going = false
				default:
					var waits string
					err := w.db.QueryRow(background, `SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event IN ('tuple', 'transactionid')`).Scan(&waits)
					if err == nil {
						t.Errorf("a worker waits for what is locked, instead of doing something else: %s", waits)
						going = false
					}
				}
			}
			<-done
			t.Logf("150 claims of the others in %s", time.Since(began))
			unlock()
			waiting.Wait()
			for i := range locked * queued {
				w.until(`SELECT NOT EXISTS (SELECT FROM claim JOIN product USING (product_id) WHERE sku = $1 AND status = 'queued')`, fmt.Sprint("locked-", i))
			}
			for i := range locked {
				if st := w.stock(fmt.Sprint("locked-", i)); st.Held != int64(6+queued) || st.Available != int64(4-queued) {
					t.Errorf("locked-%d: %+v", i, st)
				}
			}
			w.audited()
		})
	}
}
