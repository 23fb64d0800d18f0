package shop_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/shop"
)

// limited is an open sale of a product with a purchase limit.
func (w *world) limited(sku string, limit, allotment int) shop.Sale {
	w.t.Helper()
	terms := aSale(time.Now().Add(-time.Minute), sku, allotment)
	terms.PurchaseLimit = &limit
	return w.scheduled(terms)
}

// 200 buyers try 24 times each at the same time, on two servers, half of them directly and half through the queue. Nobody ever has more than the limit,
// and everybody who goes on trying gets as many.
func TestNobodyEverHasMoreThanThePurchaseLimit(t *testing.T) {
	t.Parallel()
	const buyers, tries, limit = 200, 24, 2
	w := newWorld(t, shop.Options{ClaimWait: longEnough, Limits: shop.Limits{QueuePerBuyer: 1000}})
	w.priced("A", 100, buyers*limit)
	w.limited("A", limit, buyers*limit/2) // half of it is an allotment, the rest sells beside it
	other := w.server(shop.Options{ClaimWait: longEnough, Limits: shop.Limits{QueuePerBuyer: 1000}})
	watching, stop := context.WithCancel(context.Background())
	defer stop()
	var watcher sync.WaitGroup
	looks := 0
	watcher.Go(func() {
		for ; watching.Err() == nil; looks++ {
			if n := w.count(`SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM claim JOIN claim_unit USING (claim_id) WHERE released_at IS NULL AND sale_id IS NOT NULL GROUP BY sale_id, buyer) AS has`); n > limit {
				t.Errorf("somebody has %d", n)
			}
		}
	})
	var mu sync.Mutex
	answers := map[shop.Code]int{}
	var wg sync.WaitGroup
	for b := range buyers {
		for try := range tries {
			wg.Go(func() {
				s, way := w.Shop, "direct"
				if try%2 == 0 {
					s = other
				}
				if try%4 < 2 {
					way = "queued"
				}
				tx, err := both[way](w, s, shop.ClaimRequest{Buyer: buyer(b), SKU: "A", Quantity: 1 + try%3/2})
				var r *shop.Refusal
				code := shop.Code(tx.Status)
				if err != nil && !errors.As(err, &r) {
					t.Error(err)
					return
				}
				if r != nil {
					code = r.Code
				}
				if code == shop.PurchaseLimit && (*r.Limit != limit || *r.Remaining < 0 || *r.Remaining > limit) {
					t.Errorf("%+v", r)
				}
				mu.Lock()
				answers[code]++
				mu.Unlock()
				if err == nil && try%5 == 0 { // and some give it back
					if _, err := s.Release(background, buyer(b), tx.ID); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	// Patience: everybody goes on, one unit at a time, until told that they have as many as they may.
	for b := range buyers {
		wg.Go(func() {
			for {
				_, err := w.claim(buyer(b), "A", 1)
				if err == nil {
					mu.Lock()
					answers["held"]++
					mu.Unlock()
				}
				if refusedFor(err, shop.PurchaseLimit) {
					return
				}
				if err != nil && !refusedFor(err, shop.AllHeld, shop.NotEnoughUnits, shop.Busy, shop.OutcomeUnknown) {
					t.Errorf("%s: %v", buyer(b), err)
					return
				}
				if err != nil && w.count(`SELECT count(*) FROM stock_token`) == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	stop()
	watcher.Wait()
	t.Logf("answers %v, looks %d", answers, looks)
	if answers["held"] < buyers || answers[shop.PurchaseLimit] < buyers || looks < 3 {
		t.Errorf("too little happened to show anything: %v, %d looks", answers, looks)
	}
	if n := w.count(`SELECT count(*) FROM sale_buyer WHERE unit_count > $1`, limit); n != 0 {
		t.Errorf("%d buyers are counted above the limit", n)
	}
	w.audited()
}

// hasInSale is what is counted for a buyer.
func (w *world) hasInSale(buyer string) int {
	return w.count(`SELECT coalesce(max(unit_count), 0) FROM sale_buyer WHERE buyer = $1`, buyer)
}

func TestUnitsThatAreGivenBackDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake(), Hold: time.Minute})
	w.priced("A", 100, 50)
	limit := 2
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "A", 0)
	terms.PurchaseLimit = &limit
	w.scheduled(terms)
	full := func() shop.Refusal {
		t.Helper()
		for name, claim := range both {
			_, err := claim(w, w.Shop, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1})
			if r := refusal(t, err, shop.PurchaseLimit); *r.Limit != 2 || *r.Remaining != 0 {
				t.Errorf("%s: %+v", name, r)
			}
		}
		_, err := w.claim("b", "A", 1)
		return refusal(t, err, shop.PurchaseLimit)
	}
	has := func(want int, when string) {
		t.Helper()
		if n := w.hasInSale("b"); n != want {
			t.Errorf("%s: %d are counted, want %d", when, n, want)
		}
	}
	_, err := w.claim("b", "A", 3)
	if r := refusal(t, err, shop.PurchaseLimit); *r.Remaining != 2 {
		t.Errorf("%+v", r)
	}
	held := w.mustClaim("b", "A", 2)
	full()
	if _, err := w.Release(background, "b", held.ID); err != nil {
		t.Fatal(err)
	}
	has(0, "released")

	w.mustClaim("b", "A", 1)
	w.mustClaim("b", "A", 1)
	full()
	at = at.Add(time.Minute)
	w.moveTo(at) // both have lapsed, and nobody has swept them
	w.mustClaim("b", "A", 2)
	has(2, "expired")

	o := w.mustCheckout("b")
	if r := full(); !slices.Equal(r.OrderIDs, []shop.ID{o.ID}) {
		t.Errorf("the refusal names %v, want the unpaid order %s", r.OrderIDs, o.ID)
	}
	if _, _, err := w.CancelOrder(background, "b", o.ID, ""); err != nil {
		t.Fatal(err)
	}
	has(0, "cancelled")

	w.mustClaim("b", "A", 2)
	w.mustCheckout("b")
	full()
	at = at.Add(time.Minute)
	w.moveTo(at) // it is overdue, and nobody has cancelled it
	w.mustClaim("b", "A", 2)
	has(2, "overdue")
	o = w.mustCheckout("b")
	o, _, err = w.Pay(background, "b", o.ID, "succeed", "")
	if err != nil || o.Status != shop.IsPaid {
		t.Fatalf("%+v, %v", o, err)
	}
	if r := full(); len(r.OrderIDs) != 0 {
		t.Errorf("a paid order is named as unpaid: %v", r.OrderIDs)
	}
	one := shop.RefundRequest{OrderID: o.ID, UnitIDs: o.Lines[0].UnitIDs[:1], Restock: shop.RestockQuarantine, Operator: w.operator()}
	if _, _, err := w.Refund(background, one); err != nil {
		t.Fatal(err)
	}
	has(1, "one returned")
	w.mustClaim("b", "A", 1)
	full()
	w.audited()
}

func TestWhoLetsAHoldExpireCoolsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "A", 0)
	terms.CooldownSeconds = 30
	w.scheduled(terms)
	tx := w.mustClaim("b", "A", 1)
	w.mustClaim("c", "A", 4) // so that there is only what b had
	for _, swept := range []bool{false, true} {
		w.moveTo(tx.ExpiresAt.Add(10 * time.Second))
		if swept {
			if err := w.ExpireLapsed(background); err != nil {
				t.Fatal(err)
			}
		}
		for name, claim := range both {
			_, err := claim(w, w.Shop, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1})
			if r := refusal(t, err, shop.CoolDown); r.RetryAfter != 20*time.Second {
				t.Errorf("%s, swept %t: again after %v, want 20s", name, swept, r.RetryAfter)
			}
		}
	}
	w.mustClaim("d", "A", 1) // others need not wait
	w.moveTo(tx.ExpiresAt.Add(30 * time.Second))
	again := w.mustClaim("b", "A", 1)
	if _, err := w.Release(background, "b", again.ID); err != nil { // who gives it back need not either
		t.Fatal(err)
	}
	w.mustClaim("b", "A", 1)
	w.audited()
}

func TestTheRefusalOfALimitComesBehindSoldOutAndBeforeAllHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 2)
	w.limited("A", 1, 0)
	w.mustClaim("b", "A", 1)
	w.mustClaim("c", "A", 1)
	ask := func(buyer string, code shop.Code) {
		t.Helper()
		for _, claim := range both {
			_, err := claim(w, w.Shop, shop.ClaimRequest{Buyer: buyer, SKU: "A", Quantity: 1})
			refusal(t, err, code)
		}
	}
	ask("b", shop.PurchaseLimit)
	ask("d", shop.AllHeld)
	for _, buyer := range []string{"b", "c"} {
		if _, _, err := w.Pay(background, buyer, w.mustCheckout(buyer).ID, "succeed", ""); err != nil {
			t.Fatal(err)
		}
	}
	ask("b", shop.SoldOut)
	ask("d", shop.SoldOut)
	w.audited()
}

// A hold that has lapsed counts no more, also while somebody else is about to put it away: who asks meanwhile waits, and is not refused.
func TestALapsedHoldThatSomebodyHasLockedDoesNotMakeTheLimit(t *testing.T) {
	t.Parallel()
	for name, claim := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{ClaimWait: longEnough})
			w.priced("A", 100, 5)
			limit, at := 1, noon()
			w.moveTo(at)
			terms := aSale(at, "A", 0)
			terms.PurchaseLimit = &limit
			w.scheduled(terms)
			tx := w.mustClaim("b", "A", 1)
			unlock := w.locked(`SELECT FROM claim WHERE claim_id = $1 FOR UPDATE`, tx.ID)
			w.moveTo(*tx.ExpiresAt)
			got := make(chan error, 1)
			go func() {
				_, err := claim(w, w.Shop, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1})
				got <- err
			}()
			select {
			case err := <-got:
				t.Fatalf("it did not wait: %v", err)
			case <-time.After(300 * time.Millisecond):
			}
			unlock()
			if err := <-got; err != nil {
				t.Error(err)
			}
			if n := w.hasInSale("b"); n != 1 {
				t.Errorf("%d are counted, want 1", n)
			}
			w.audited()
		})
	}
}

// A call with a key that is sent twice at once is no second purchase, also when the first makes the limit.
func TestACopyOfACallIsNotRefusedForTheLimitThatItsTwinHasReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: longEnough})
	w.priced("A", 100, 100)
	w.limited("A", 1, 0)
	other := w.server(shop.Options{ClaimWait: longEnough})
	var wg sync.WaitGroup
	for b := range 30 {
		for i := range 8 {
			wg.Go(func() {
				s, way := w.Shop, "direct"
				if i%2 == 0 {
					s = other
				}
				if i%4 < 2 {
					way = "queued"
				}
				if _, err := both[way](w, s, shop.ClaimRequest{Buyer: buyer(b), SKU: "A", Quantity: 1, Key: "k"}); err != nil {
					t.Errorf("%s copy %d: %v", way, i, err)
				}
			})
		}
	}
	wg.Wait()
	if n := w.count(`SELECT count(*) FROM claim WHERE status = 'held'`); n != 30 {
		t.Errorf("%d holds, want 30", n)
	}
	w.audited()
}

// fake is a payment provider in memory, outside of the shop, that a test steers.
type fake struct {
	mu      sync.Mutex
	charges map[shop.ID]payment.State
	refunds map[shop.ID]int64
	charged map[shop.ID]int64
	// onCharge, onVoid and onRefund, if set, are asked what happens.
	onCharge func(ctx context.Context, c payment.Charge) (payment.State, error)
	onVoid   func(ctx context.Context, id shop.ID) (payment.State, error)
	onRefund func(ctx context.Context) error
	asked    int
}

func newFake() *fake {
	return &fake{charges: map[shop.ID]payment.State{}, refunds: map[shop.ID]int64{}, charged: map[shop.ID]int64{}}
}

func (f *fake) Name() string { return "fake" }

func (f *fake) set(id shop.ID, state payment.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.charges[id] = state
}

func (f *fake) Charge(ctx context.Context, c payment.Charge) (payment.State, error) {
	state := map[string]payment.State{"succeed": payment.Succeeded, "decline": payment.Failed}[c.Card]
	var err error
	if f.onCharge != nil {
		state, err = f.onCharge(ctx, c)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if was, seen := f.charges[c.ID]; seen {
		return was, err
	}
	f.charges[c.ID], f.charged[c.ID] = state, c.Amount
	return state, err
}

func (f *fake) Ask(_ context.Context, id shop.ID) (payment.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if state, seen := f.charges[id]; seen {
		return state, nil
	}
	return payment.NotSeen, nil
}

func (f *fake) Void(ctx context.Context, id shop.ID) (payment.State, error) {
	if f.onVoid != nil {
		return f.onVoid(ctx, id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.charges[id] != payment.Succeeded {
		f.charges[id] = payment.Failed
	}
	return f.charges[id], nil
}

func (f *fake) Refund(ctx context.Context, refundID, _ shop.ID, amount int64) error {
	if f.onRefund != nil {
		if err := f.onRefund(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refunds[refundID] = amount
	return nil
}

// books are what was taken and what was given back.
func (f *fake) books() (captured, refunded int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, state := range f.charges {
		if state == payment.Succeeded {
			captured += f.charged[id]
		}
	}
	for _, amount := range f.refunds {
		refunded += amount
	}
	return captured, refunded
}
