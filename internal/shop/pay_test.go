package shop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/shop"
)

// paying is a world with an order of one unit of A, at 100, by b.
func paying(t *testing.T, f *fake, o shop.Options) (*world, shop.Order) {
	t.Helper()
	o.Provider = f
	w := newWorld(t, o)
	w.priced("A", 100, 1)
	w.mustClaim("b", "A", 1)
	return w, w.mustCheckout("b")
}

func (w *world) tendPayments() {
	w.t.Helper()
	if err := w.TendPayments(background); err != nil {
		w.t.Fatal(err)
	}
}

// order reads an order and holds its status and its payment's.
func (w *world) order(id shop.ID, status shop.OrderStatus, paid shop.PaymentStatus) shop.Order {
	w.t.Helper()
	o, err := w.Order(background, nil, id)
	if err != nil || o.Status != status || o.PaymentStatus != paid {
		w.t.Errorf("got %s, payment %s, %v, want %s, payment %s", o.Status, o.PaymentStatus, err, status, paid)
	}
	return o
}

// settledMoney holds that what was taken is what paid orders cost and what was given back.
func (w *world) settledMoney(f *fake) {
	w.t.Helper()
	captured, refunded := f.books()
	paid := w.count(`SELECT coalesce(sum(total_minor), 0) FROM shop_order WHERE status IN ('paid', 'refunded')`)
	late := w.count(`SELECT coalesce(sum(amount_minor), 0) FROM refund WHERE reason = 'late-payment'`)
	if int64(paid+late) != captured {
		w.t.Errorf("the provider took %d, for orders of %d and late payments of %d", captured, paid, late)
	}
	if n := w.count(`SELECT coalesce(sum(amount_minor), 0) FROM refund WHERE payment_id IS NOT NULL`); int64(n) != refunded {
		w.t.Errorf("the provider gave back %d of %d", refunded, n)
	}
	w.audited()
}

func TestAnOrderIsPaidOnceHoweverOftenItIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key      func(i int) string
		conflict bool // for calls that come when another has paid
	}{
		"one key":       {func(int) string { return "k" }, false},
		"a key and not": {func(i int) string { return []string{"k", ""}[i%2] }, true},
		"a key each":    {func(i int) string { return fmt.Sprint(i) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			w, o := paying(t, f, shop.Options{})
			_, _, err := w.Pay(background, "c", o.ID, "succeed", "")
			refusal(t, err, shop.NotFound)
			for range 2 {
				_, _, err = w.Pay(background, "b", o.ID, "decline", "no")
				refusal(t, err, shop.PaymentFailed)
			}
			w.order(o.ID, shop.AwaitingPayment, shop.PaymentRejected)
			_, _, err = w.Pay(background, "b", o.ID, "succeed", "no")
			refusal(t, err, shop.KeyReused)
			var wg sync.WaitGroup
			var paid atomic.Int64
			for i := range 50 {
				wg.Go(func() {
					got, _, err := w.Pay(background, "b", o.ID, "succeed", c.key(i))
					if err == nil && got.Status == shop.IsPaid {
						paid.Add(1)
					} else if !c.conflict || !refusedFor(err, shop.Conflict) {
						t.Errorf("%+v, %v", got, err)
					}
				})
			}
			wg.Wait()
			if paid.Load() == 0 {
				t.Error("nobody was told that the order is paid")
			}
			if captured, _ := f.books(); captured != 100 {
				t.Errorf("the provider took %d", captured)
			}
			w.order(o.ID, shop.IsPaid, shop.PaymentSucceeded)
			_, _, err = w.CancelOrder(background, "b", o.ID, "")
			if no := refusal(t, err, shop.Conflict); no.State != "paid" {
				t.Errorf("%+v", no)
			}
			if got := w.stock("A"); got.Sold != 1 {
				t.Errorf("%+v", got)
			}
			w.settledMoney(f)
		})
	}
}

// A call that the provider has kept waiting tells what others have heard of the payment in the meantime.
func TestAPaymentThatFailedWhileItsCallWasKeptWaitingIsRefused(t *testing.T) {
	t.Parallel()
	f := newFake()
	w, o := paying(t, f, shop.Options{})
	f.onCharge = func(_ context.Context, c payment.Charge) (payment.State, error) {
		f.set(c.ID, payment.Failed)
		if err := w.PaymentChanged(background, c.ID); err != nil {
			t.Error(err)
		}
		return "", context.DeadlineExceeded
	}
	_, _, err := w.Pay(background, "b", o.ID, "x", "k")
	refusal(t, err, shop.PaymentFailed)
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentRejected)
	_, _, err = w.Pay(background, "b", o.ID, "x", "k")
	refusal(t, err, shop.PaymentFailed)
}

// Whoever pays while the order is cancelled is not told that it keeps its units; a call with the same key shows it as it now is.
func TestAPaymentThatIsCalledOffKeepsNoUnits(t *testing.T) {
	t.Parallel()
	f := newFake()
	w, o := paying(t, f, shop.Options{})
	f.onVoid = func(_ context.Context, id shop.ID) (payment.State, error) {
		f.set(id, payment.Failed)
		return payment.Failed, nil
	}
	f.onCharge = func(context.Context, payment.Charge) (payment.State, error) {
		if _, _, err := w.CancelOrder(background, "b", o.ID, ""); err != nil {
			t.Error(err)
		}
		return payment.Failed, nil
	}
	_, _, err := w.Pay(background, "b", o.ID, "x", "k")
	if no := refusal(t, err, shop.PaymentFailed); !strings.Contains(no.Detail, "the order is cancelled") {
		t.Error(no.Detail)
	}
	if got, replayed, err := w.Pay(background, "b", o.ID, "x", "k"); err != nil || !replayed || got.Status != shop.IsCancelled {
		t.Errorf("%+v, %v, %v", got, replayed, err)
	}
	w.settledMoney(f)
}

// Nothing is locked and no transaction is open while the provider is asked: everybody else goes on, also with this order and its product.
func TestNothingIsLockedWhileTheProviderIsAsked(t *testing.T) {
	t.Parallel()
	f := newFake()
	w, o := paying(t, f, shop.Options{})
	look := dbtest.Connect(t, w.url)
	quiet := func(when string) {
		n := 0
		err := look.QueryRow(background, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state LIKE 'idle in transaction%' OR backend_xid IS NOT NULL)`).Scan(&n)
		if err != nil || n != 0 {
			t.Errorf("%s: %d transactions are open, %v", when, n, err)
		}
		if err := look.QueryRow(background, `SELECT count(*) FROM (SELECT FROM shop_order FOR UPDATE NOWAIT) AS o`).Scan(&n); err != nil {
			t.Errorf("%s: the order is locked: %v", when, err)
		}
	}
	calls := 0
	f.onCharge = func(context.Context, payment.Charge) (payment.State, error) {
		calls++
		quiet("charge")
		return payment.Pending, nil
	}
	f.onVoid = func(_ context.Context, id shop.ID) (payment.State, error) {
		calls++
		quiet("void")
		f.set(id, payment.Failed)
		return payment.Failed, nil
	}
	if _, _, err := w.Pay(background, "b", o.ID, "x", ""); err != nil {
		t.Fatal(err)
	}
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
	if got, _, err := w.CancelOrder(background, "b", o.ID, ""); err != nil || got.Status != shop.IsCancelled {
		t.Errorf("%+v, %v", got, err)
	}
	if calls != 2 {
		t.Errorf("the provider was asked %d times", calls)
	}
	w.settledMoney(f)
}

// A cancellation that is refused because its key has cancelled another order leaves the payment alone.
func TestACancellationThatIsRefusedForItsKeyLeavesThePayment(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.onCharge = func(context.Context, payment.Charge) (payment.State, error) { return payment.Pending, nil }
	w, other := paying(t, f, shop.Options{})
	if _, _, err := w.CancelOrder(background, "b", other.ID, "k"); err != nil {
		t.Fatal(err)
	}
	w.mustClaim("b", "A", 1)
	o := w.mustCheckout("b")
	if _, _, err := w.Pay(background, "b", o.ID, "x", ""); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.CancelOrder(background, "b", o.ID, "k")
	refusal(t, err, shop.KeyReused)
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
	if got, _, err := w.CancelOrder(background, "b", o.ID, "another"); err != nil || got.Status != shop.IsCancelled {
		t.Errorf("%+v, %v", got, err)
	}
	w.settledMoney(f)
}

// An overdue order with a payment under way is freed only after the provider was asked.
func TestAnOverdueOrderIsFreedOnlyAfterTheProviderWasAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state  payment.State // that the provider has when it is asked
		status shop.OrderStatus
		paid   shop.PaymentStatus
	}{
		"which has the money": {payment.Succeeded, shop.IsPaid, shop.PaymentSucceeded},
		"which calls it off":  {payment.Pending, shop.IsCancelled, shop.PaymentRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.onCharge = func(context.Context, payment.Charge) (payment.State, error) { return payment.Pending, nil }
			w, o := paying(t, f, shop.Options{Hold: 300 * time.Millisecond})
			if _, _, err := w.Pay(background, "b", o.ID, "x", ""); err != nil {
				t.Fatal(err)
			}
			id := w.unit(`SELECT payment_id FROM payment`)
			f.set(id, c.state)
			w.until(`SELECT clock_timestamp() > $1`, o.PayBy)
			w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending) // a look does not free it
			if err := w.CancelOverdue(background); err != nil {
				t.Fatal(err)
			}
			_, err := w.claim("c", "A", 1)
			refusal(t, err, shop.AllHeld) // nor does a claim
			w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
			w.tendPayments()
			w.order(o.ID, c.status, c.paid)
			w.settledMoney(f)
		})
	}
}

// late brings an order to where its provider has not answered for so long that it was cancelled all the same, and the money has come since.
func late(t *testing.T, f *fake, options shop.Options, meanwhile func(w *world)) (*world, shop.Order) {
	t.Helper()
	f.onCharge = func(context.Context, payment.Charge) (payment.State, error) { return payment.Pending, nil }
	f.onVoid = func(context.Context, shop.ID) (payment.State, error) { return "", errors.New("the provider is down") }
	w, o := paying(t, f, options)
	at := time.Now().UTC()
	if _, _, err := w.Pay(background, "b", o.ID, "x", ""); err != nil {
		t.Fatal(err)
	}
	w.moveTo(o.PayBy.Add(time.Second))
	if err := w.TendPayments(background); err == nil {
		t.Error("nobody is told that the provider is down")
	}
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
	w.moveTo(o.PayBy.Add(4 * time.Second))
	_ = w.TendPayments(background)
	w.order(o.ID, shop.IsCancelled, shop.PaymentPending)
	if d := w.count(`SELECT extract(epoch FROM ended_at - pay_by)::int FROM shop_order`); d > 5 {
		t.Errorf("freed %d s after pay_by (begun %v)", d, at)
	}
	meanwhile(w)
	f.set(w.unit(`SELECT payment_id FROM payment`), payment.Succeeded)
	return w, o
}

func TestMoneyThatComesTooLateGetsEqualUnitsOrGoesBack(t *testing.T) {
	t.Parallel()
	t.Run("equal units", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		w, o := late(t, f, shop.Options{}, func(*world) {})
		payment := w.unit(`SELECT payment_id FROM payment`)
		var wg sync.WaitGroup
		for range 20 { // it is told twenty times
			wg.Go(func() {
				if err := w.PaymentChanged(background, payment); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		was := w.order(o.ID, shop.IsCancelled, shop.PaymentNone)
		if was.ReplacedByOrderID == nil {
			t.Fatal("no order replaces it")
		}
		is := w.order(*was.ReplacedByOrderID, shop.IsPaid, shop.PaymentSucceeded)
		if *is.ReplacesOrderID != o.ID || len(is.Lines) != 1 || len(is.Lines[0].UnitIDs) != 1 || *is.Total != *o.Total || is.Buyer != "b" {
			t.Errorf("%+v", is)
		}
		if n := w.count(`SELECT count(*) FROM event WHERE type = 'payment.late' AND data->>'replaced_by_order_id' = $1`, is.ID.String()); n != 1 {
			t.Errorf("%d events tell of it", n)
		}
		w.settledMoney(f)
	})
	t.Run("nothing, when it has not been taken by the time that the provider can be asked again", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		w, o := late(t, f, shop.Options{}, func(*world) {})
		f.set(w.unit(`SELECT payment_id FROM payment`), payment.Pending)
		f.onVoid = nil
		w.exec(`UPDATE payment SET ask_at = now() - interval '1 second'`)
		w.tendPayments()
		w.order(o.ID, shop.IsCancelled, shop.PaymentRejected)
		w.settledMoney(f)
	})
	t.Run("a refund", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		w, o := late(t, f, shop.Options{}, func(w *world) { w.mustClaim("c", "A", 1) })
		payment := w.unit(`SELECT payment_id FROM payment`)
		for range 3 {
			if err := w.PaymentChanged(background, payment); err != nil {
				t.Fatal(err)
			}
		}
		is := w.order(o.ID, shop.IsCancelled, shop.PaymentRefunded)
		if is.Refunded != 100 || is.ReplacedByOrderID != nil {
			t.Errorf("%+v", is)
		}
		if n := w.count(`SELECT count(*) FROM refund WHERE reason = 'late-payment' AND status = 'succeeded'`); n != 1 {
			t.Errorf("%d refunds", n)
		}
		w.settledMoney(f)
	})
	t.Run("a refund, because the buyer has as many of the sale as anybody may", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		f.onCharge = func(context.Context, payment.Charge) (payment.State, error) { return payment.Pending, nil }
		w := newWorld(t, shop.Options{Provider: f})
		w.priced("A", 100, 5)
		w.limited("A", 1, 0)
		w.mustClaim("b", "A", 1)
		o := w.mustCheckout("b")
		if _, _, err := w.Pay(background, "b", o.ID, "x", ""); err != nil {
			t.Fatal(err)
		}
		f.onVoid = func(context.Context, shop.ID) (payment.State, error) { return "", errors.New("the provider is down") }
		w.moveTo(o.PayBy.Add(5 * time.Second))
		_ = w.TendPayments(background)
		w.mustClaim("b", "A", 1)
		id := w.unit(`SELECT payment_id FROM payment`)
		f.set(id, payment.Succeeded)
		if err := w.PaymentChanged(background, id); err != nil {
			t.Fatal(err)
		}
		w.order(o.ID, shop.IsCancelled, shop.PaymentRefunded)
		w.settledMoney(f)
	})
}

// A server that dies between writing the payment down and reaching the provider, or before the answer, leaves a payment that is asked for until it is known.
func TestAPaymentWhoseServerIsGoneIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, reached := range map[string]bool{"before it reached the provider": false, "after the provider took the money": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.onCharge = func(context.Context, payment.Charge) (payment.State, error) {
				return payment.Pending, errors.New("lost")
			}
			w, o := paying(t, f, shop.Options{PayTimeout: 50 * time.Millisecond})
			if _, _, err := w.Pay(background, "b", o.ID, "x", ""); err != nil {
				t.Fatal(err)
			}
			id := w.unit(`SELECT payment_id FROM payment`)
			f.mu.Lock()
			delete(f.charges, id)
			if reached {
				f.charges[id] = payment.Succeeded
			}
			f.charged[id] = 100
			f.mu.Unlock()
			w.exec(`UPDATE payment SET ask_at = now() - interval '1 second', created_at = now() - interval '1 minute'`)
			other := w.server(shop.Options{Provider: f, PayTimeout: 50 * time.Millisecond})
			if err := other.TendPayments(background); err != nil {
				t.Fatal(err)
			}
			if reached {
				w.order(o.ID, shop.IsPaid, shop.PaymentSucceeded)
			} else {
				w.order(o.ID, shop.AwaitingPayment, shop.PaymentRejected)
				f.onCharge = nil
				if _, _, err := w.Pay(background, "b", o.ID, "succeed", ""); err != nil {
					t.Error(err)
				}
			}
			w.settledMoney(f)
		})
	}
}

func TestTheTestProvidersCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	provider := payment.NewTest(w.db, payment.TestOptions{Notify: func(id shop.ID) { _ = w.PaymentChanged(background, id) }})
	t.Cleanup(provider.Close)
	w.Shop = w.server(shop.Options{Provider: provider, PayTimeout: 300 * time.Millisecond})
	w.priced("A", 100, 20)
	order := func(buyer string) shop.Order {
		w.mustClaim(buyer, "A", 1)
		return w.mustCheckout(buyer)
	}
	pay := func(card string) (shop.Order, error) {
		o := order(card)
		got, _, err := w.Pay(background, card, o.ID, card, "")
		if err != nil {
			got, _ = w.Order(background, nil, o.ID)
		}
		return got, err
	}
	for card, want := range map[string]shop.PaymentStatus{
		"succeed": shop.PaymentSucceeded, "twice": shop.PaymentSucceeded, "hang": shop.PaymentPending, "late:100ms": shop.PaymentPending,
	} {
		o, err := pay(card)
		if err != nil || o.PaymentStatus != want {
			t.Errorf("%s: %s, %v, want %s", card, o.PaymentStatus, err, want)
		}
		if card == "late:100ms" {
			w.until(`SELECT status = 'paid' FROM shop_order WHERE order_id = $1`, o.ID)
		}
	}
	_, err := pay("decline")
	refusal(t, err, shop.PaymentFailed)
	o, err := pay("a stolen card")
	refusal(t, err, shop.Validation)
	if _, _, err := w.Pay(background, "a stolen card", o.ID, "succeed", ""); err != nil { // which does not stand in the way of another
		t.Error(err)
	}
	w.audited()
}

// Many orders at once, with cards of all kinds, on two servers: every cent is accounted for.
func TestEveryCentIsAccountedForWhateverTheCardsDo(t *testing.T) {
	t.Parallel()
	const orders = 150
	w := newWorld(t, shop.Options{})
	provider := payment.NewTest(w.db, payment.TestOptions{Notify: func(id shop.ID) { _ = w.PaymentChanged(background, id) }})
	t.Cleanup(provider.Close)
	o := shop.Options{Provider: provider, PayTimeout: 200 * time.Millisecond, Hold: 2 * time.Second, ClaimWait: longEnough}
	w.Shop = w.server(o)
	servers := []*shop.Shop{w.Shop, w.server(o)}
	for i := range 5 {
		w.priced(fmt.Sprint("P", i), int64(100+i), 40)
	}
	ctx, stop := context.WithCancel(background)
	var tending sync.WaitGroup
	for _, s := range servers {
		tending.Go(func() {
			for ctx.Err() == nil {
				if err := s.TendPayments(background); err != nil && !errors.Is(err, context.DeadlineExceeded) { // the provider has little time to answer
					t.Error(err)
				}
				if err := errors.Join(s.CancelOverdue(background), s.ExpireLapsed(background)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	cards := []string{"succeed", "decline", "late:1s", "late:3s", "twice", "hang"}
	var wg sync.WaitGroup
	for i := range orders {
		wg.Go(func() {
			s := servers[i%2]
			for p := range 1 + i%3 {
				if _, err := s.Claim(background, shop.ClaimRequest{Buyer: buyer(i), SKU: fmt.Sprint("P", (i+p)%5), Quantity: 1}); err != nil && !refusedFor(err, shop.AllHeld) {
					t.Error(err)
				}
			}
			o, _, err := s.Checkout(background, shop.CheckoutRequest{Buyer: buyer(i)})
			if refusedFor(err, shop.CartEmpty, shop.HoldExpired) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			if i%7 == 0 {
				if _, _, err := s.CancelOrder(background, buyer(i), o.ID, ""); err != nil && !refusedFor(err, shop.Busy) {
					t.Error(err)
				}
				return
			}
			if _, _, err := s.Pay(background, buyer(i), o.ID, cards[i%len(cards)], ""); err != nil && !refusedFor(err, shop.PaymentFailed, shop.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.until(`SELECT NOT EXISTS (SELECT FROM shop_order WHERE status = 'awaiting_payment') AND NOT EXISTS (SELECT FROM payment WHERE status = 'pending') AND NOT EXISTS (SELECT FROM refund WHERE status = 'pending')`)
	stop()
	tending.Wait()
	books, err := provider.Books(background)
	if err != nil || len(books) == 0 {
		t.Fatalf("%v, %v", books, err)
	}
	b := books[0]
	paid := w.count(`SELECT coalesce(sum(total_minor), 0) FROM shop_order WHERE status = 'paid'`)
	lateMoney := w.count(`SELECT coalesce(sum(amount_minor), 0) FROM refund`)
	if int64(paid+lateMoney) != b.Captured || int64(lateMoney) != b.Refunded || paid == 0 {
		t.Errorf("captured %d, refunded %d, orders paid %d, late %d", b.Captured, b.Refunded, paid, lateMoney)
	}
	w.audited()
}

// A buyer who is turned down at a server whose clock is ahead, and pays at another, has paid.
func TestAPaymentIsTheOrdersWhateverTheClockOfTheServerBefore(t *testing.T) {
	t.Parallel()
	f := newFake()
	w, o := paying(t, f, shop.Options{})
	if _, _, err := w.Pay(background, "b", o.ID, "decline", ""); err == nil {
		t.Fatal("a declined card was taken")
	}
	w.exec(`UPDATE payment SET payment_id = 'ffffffff-ffff-7fff-bfff-ffffffffffff'`) // as of a clock that is far ahead
	paid, _, err := w.Pay(background, "b", o.ID, "succeed", "")
	if err != nil || paid.Status != shop.IsPaid || paid.PaymentStatus != shop.PaymentSucceeded {
		t.Errorf("%+v, %v", paid, err)
	}
	w.order(o.ID, shop.IsPaid, shop.PaymentSucceeded)
	if all, _, err := w.Orders(background, shop.OrderFilter{}, shop.ID{}, 10); err != nil || len(all) != 1 || all[0].PaymentStatus != shop.PaymentSucceeded {
		t.Errorf("the list shows %+v, %v", all, err)
	}
}

// Of events that wait to be published, the first that happened is told first, whatever the clocks of the servers say.
func TestEventsAreToldAsTheyHappened(t *testing.T) {
	t.Parallel()
	w, o := paying(t, newFake(), shop.Options{})
	w.exec(`UPDATE event SET event_id = 'ffffffff-ffff-7fff-bfff-ffffffffffff' WHERE type = 'order.created'`)
	if _, _, err := w.Pay(background, "b", o.ID, "succeed", ""); err != nil {
		t.Fatal(err)
	}
	told, _, err := w.Events(background, 0, []shop.EventType{shop.OrderCreated, shop.OrderPaid}, 10)
	if err != nil || len(told) != 2 || told[0].Type != shop.OrderCreated || told[1].Type != shop.OrderPaid {
		t.Errorf("%+v, %v", told, err)
	}
}

// Whoever reads events is told of what was committed before, also when somebody else is about to publish it, and in the end of less when nobody gets on with that.
func TestEventsAreReadBesideWhoPublishesThem(t *testing.T) {
	t.Parallel()
	w, _ := paying(t, newFake(), shop.Options{})
	for _, c := range []struct {
		name string
		long time.Duration
		told int
	}{{"stalled", 2 * time.Second, 0}, {"about to", 100 * time.Millisecond, 1}} {
		tx, err := w.db.Begin(background)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(background, `SELECT FROM event_tail FOR UPDATE`); err != nil {
			t.Fatal(err)
		}
		done := time.AfterFunc(c.long, func() { _ = tx.Rollback(background) })
		told, _, err := w.Events(background, 0, []shop.EventType{shop.OrderCreated}, 10)
		if err != nil || len(told) != c.told {
			t.Errorf("%s: %+v, %v", c.name, told, err)
		}
		if done.Stop() {
			_ = tx.Rollback(background)
		}
	}
}

// A provider that says nothing does not keep who takes units back waiting, nor from hearing that it was done.
func TestARefundDoesNotWaitForASilentProvider(t *testing.T) {
	t.Parallel()
	f := newFake()
	w, o := paying(t, f, shop.Options{})
	if _, _, err := w.Pay(background, "b", o.ID, "succeed", ""); err != nil {
		t.Fatal(err)
	}
	silent := true
	f.onRefund = func(ctx context.Context) error {
		if silent {
			<-ctx.Done()
		}
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(background, 2*time.Second)
	defer cancel()
	back, _, err := w.Refund(ctx, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockAvailable})
	if err != nil || back.Status != shop.IsRefunded || ctx.Err() != nil {
		t.Errorf("%+v, %v; its time: %v", back, err, ctx.Err())
	}
	silent = false
	w.exec(`UPDATE refund SET ask_at = now()`)
	w.tendPayments()
	w.settledMoney(f)
}
