package shop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/payment/stripe"
	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
	"github.com/lastunit/lastunit/internal/shop"
)

const (
	visa     = "pm_card_visa"
	declined = "pm_card_chargeDeclined"
)

// withStripe is a world whose shop takes money through Stripe.
func withStripe(t *testing.T, o shop.Options) (*world, *stripetest.Server) {
	t.Helper()
	fake := stripetest.New()
	t.Cleanup(fake.Close)
	w := newWorld(t, shop.Options{})
	w.Shop = w.stripeServer(fake, o)
	return w, fake
}

// stripeServer makes one more server of the world, with the provider.
func (w *world) stripeServer(fake *stripetest.Server, o shop.Options) *shop.Shop {
	w.t.Helper()
	provider := stripe.New(w.db, stripe.Options{
		Key: stripetest.Key, WebhookSecrets: []string{stripetest.Secret}, URL: fake.URL, Log: slog.New(slog.DiscardHandler),
	})
	w.t.Cleanup(provider.Close)
	o.Provider = provider
	return w.server(o)
}

// payingStripe is paying with Stripe.
func payingStripe(t *testing.T, o shop.Options) (*world, *stripetest.Server, shop.Order) {
	t.Helper()
	w, fake := withStripe(t, o)
	w.priced("A", 100, 1)
	w.mustClaim("b", "A", 1)
	return w, fake, w.mustCheckout("b")
}

func (w *world) opens(id shop.ID) shop.Order {
	w.t.Helper()
	o, _, err := w.Pay(background, "b", id, "", "")
	if err != nil || o.PaymentStatus != shop.PaymentPending || o.ClientSecret == "" {
		w.t.Fatalf("%s, payment %s, with a secret: %v, %v", o.Status, o.PaymentStatus, o.ClientSecret != "", err)
	}
	return o
}

// told has the shop hear an event.
func (w *world) told(kind string, object stripetest.Object) {
	w.t.Helper()
	body, signature := stripetest.Event(kind, object, nil, stripetest.Secret, time.Now())
	if ignored, err := w.PaymentNews(background, body, signature); err != nil || ignored != "" {
		w.t.Errorf("%s: ignored because %q, %v", kind, ignored, err)
	}
}

// settledWithStripe holds that what was taken is what paid orders cost and what was given back.
func (w *world) settledWithStripe(fake *stripetest.Server) {
	w.t.Helper()
	captured, refunded := fake.Books()
	paid := w.count(`SELECT coalesce(sum(total_minor), 0) FROM shop_order WHERE status IN ('paid', 'refunded')`)
	late := w.count(`SELECT coalesce(sum(amount_minor), 0) FROM refund WHERE reason = 'late-payment'`)
	if int64(paid+late) != captured {
		w.t.Errorf("Stripe took %d, for orders of %d and late payments of %d", captured, paid, late)
	}
	if n := w.count(`SELECT coalesce(sum(amount_minor), 0) FROM refund WHERE payment_id IS NOT NULL`); int64(n) != refunded {
		w.t.Errorf("Stripe gave back %d of %d", refunded, n)
	}
	w.audited()
}

func TestAnOrderIsPaidOnceWithStripe(t *testing.T) {
	t.Parallel()
	w, fake, o := payingStripe(t, shop.Options{})
	_, _, err := w.Pay(background, "c", o.ID, visa, "")
	refusal(t, err, shop.NotFound)
	_, _, err = w.Pay(background, "b", o.ID, "succeed", "")
	refusal(t, err, shop.Validation)
	for range 2 {
		_, _, err = w.Pay(background, "b", o.ID, declined, "no")
		refusal(t, err, shop.PaymentFailed)
	}
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentRejected)
	_, _, err = w.Pay(background, "b", o.ID, visa, "no")
	refusal(t, err, shop.KeyReused)
	var wg sync.WaitGroup
	var paid atomic.Int64
	for i := range 40 {
		wg.Go(func() {
			got, _, err := w.Pay(background, "b", o.ID, visa, []string{"k", "", fmt.Sprint(i)}[i%3])
			if err == nil && got.Status == shop.IsPaid {
				paid.Add(1)
			} else if !refusedFor(err, shop.Conflict) {
				t.Errorf("%s, %s, %v", got.Status, got.PaymentStatus, err)
			}
		})
	}
	wg.Wait()
	if paid.Load() == 0 {
		t.Error("nobody was told that the order is paid")
	}
	if captured, _ := fake.Books(); captured != 100 {
		t.Errorf("Stripe took %d", captured)
	}
	w.order(o.ID, shop.IsPaid, shop.PaymentSucceeded)
	w.settledWithStripe(fake)
}

// The browser confirms. Only who pays is told the secret, as often as they ask, and always of the same payment.
func TestAnOrderIsPaidInTheBrowser(t *testing.T) {
	t.Parallel()
	w, fake, o := payingStripe(t, shop.Options{})
	first, _, err := w.Pay(background, "b", o.ID, "", "k")
	if err != nil || first.ClientSecret == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	for _, key := range []string{"", "k", "another"} {
		again, _, err := w.Pay(background, "b", o.ID, "", key)
		if err != nil || again.ClientSecret != first.ClientSecret {
			t.Errorf("another secret: %v, %v", again.ClientSecret != first.ClientSecret, err)
		}
	}
	if got := w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending); got.ClientSecret != "" {
		t.Error("the order shows the secret")
	}
	_, _, err = w.Pay(background, "c", o.ID, "", "")
	refusal(t, err, shop.NotFound)
	_, _, err = w.Pay(background, "b", o.ID, "a stolen card", "")
	refusal(t, err, shop.Validation) // which does not stand in the way of the payment
	if status := fake.Pay(first.ClientSecret, declined); status != "requires_payment_method" {
		t.Error(status)
	}
	w.told("payment_intent.payment_failed", fake.Intents()[0])
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
	if status := fake.Pay(first.ClientSecret, visa); status != "succeeded" {
		t.Error(status)
	}
	// Twice, from many at once, and what came before comes last.
	var wg sync.WaitGroup
	for _, kind := range []string{"payment_intent.succeeded", "payment_intent.succeeded", "payment_intent.processing", "payment_intent.payment_failed", "payment_intent.canceled"} {
		wg.Go(func() { w.told(kind, fake.Intents()[0]) })
	}
	wg.Wait()
	w.told("payment_intent.canceled", fake.Intents()[0])
	w.order(o.ID, shop.IsPaid, shop.PaymentSucceeded)
	_, _, err = w.Pay(background, "b", o.ID, "", "")
	refusal(t, err, shop.Conflict)
	if again, _, err := w.Pay(background, "b", o.ID, "", "k"); err != nil || again.Status != shop.IsPaid || again.ClientSecret != "" {
		t.Errorf("%s, %v", again.Status, err)
	}
	if n := w.count(`SELECT count(*) FROM event WHERE type = 'order.paid'`); n != 1 {
		t.Errorf("%d events tell that it is paid", n)
	}
	w.settledWithStripe(fake)
}

// What an event says is not believed: the money is there when Stripe, asked, says so.
func TestAnEventThatLiesPaysNothing(t *testing.T) {
	t.Parallel()
	w, fake, o := payingStripe(t, shop.Options{})
	w.opens(o.ID)
	lie := fake.Intents()[0]
	lie["status"], lie["amount_received"] = "succeeded", int64(100)
	w.told("payment_intent.succeeded", lie)
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
	body, signature := stripetest.Event("payment_intent.succeeded", lie, nil, "whsec_of_somebody_else", time.Now())
	_, err := w.PaymentNews(background, body, signature)
	refusal(t, err, shop.Forbidden)
	other := newWorld(t, shop.Options{Provider: newFake()})
	_, err = other.PaymentNews(background, body, signature)
	refusal(t, err, shop.NotFound)
}

// A key binds one payment: repeated later, it does not try its card on another.
func TestAKeyOfAPaymentThatFailedDoesNotPayAnother(t *testing.T) {
	t.Parallel()
	w, fake, o := payingStripe(t, shop.Options{})
	fake.Fail(stripetest.Always(stripetest.Drop))
	if got, _, err := w.Pay(background, "b", o.ID, visa, "first"); err != nil || got.PaymentStatus != shop.PaymentPending {
		t.Errorf("%s, %v", got.PaymentStatus, err)
	}
	fake.Fail(nil)
	w.exec(`UPDATE payment SET ask_at = now() - interval '1 second', created_at = now() - interval '1 minute'`)
	w.tendPayments() // nobody has seen it at Stripe: it is called off
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentRejected)
	w.opens(o.ID)
	if got, _, err := w.Pay(background, "b", o.ID, visa, "first"); err != nil || got.PaymentStatus != shop.PaymentPending {
		t.Errorf("%s, %v", got.PaymentStatus, err)
	}
	if captured, _ := fake.Books(); captured != 0 {
		t.Errorf("the card of another payment was charged %d", captured)
	}
}

func TestStripeIsAwayWhenAnOrderIsToBePaid(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]stripetest.Fault{"down": stripetest.Drop, "silent": stripetest.Hang, "lost afterwards": stripetest.DropAfter, "broken": stripetest.Busy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, fake, o := payingStripe(t, shop.Options{PayTimeout: 300 * time.Millisecond})
			fake.Fail(stripetest.Always(fault))
			for range 2 {
				_, _, err := w.Pay(background, "b", o.ID, "", "k")
				if no := refusal(t, err, shop.Busy); no.RetryAfter == 0 {
					t.Error("when to ask again is not said")
				}
			}
			w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
			if got := w.stock("A"); got.Ordered != 1 {
				t.Errorf("%+v", got)
			}
			fake.Fail(nil)
			got, replayed, err := w.Pay(background, "b", o.ID, "", "k")
			if err != nil || !replayed || got.ClientSecret == "" || len(fake.Intents()) != 1 {
				t.Fatalf("replayed: %v, %v, %d PaymentIntents", replayed, err, len(fake.Intents()))
			}
			fake.Pay(got.ClientSecret, visa)
			w.exec(`UPDATE payment SET ask_at = now() - interval '1 second'`)
			w.tendPayments()
			w.order(o.ID, shop.IsPaid, shop.PaymentSucceeded)
			w.settledWithStripe(fake)
		})
	}
	t.Run("and cancelled", func(t *testing.T) {
		t.Parallel()
		w, fake, o := payingStripe(t, shop.Options{})
		fake.Fail(stripetest.Always(stripetest.DropAfter))
		_, _, err := w.Pay(background, "b", o.ID, "", "")
		refusal(t, err, shop.Busy)
		if _, _, err := w.CancelOrder(background, "b", o.ID, ""); err != nil { // nobody can confirm what nobody has the secret of
			t.Error(err)
		}
		w.order(o.ID, shop.IsCancelled, shop.PaymentRejected)
		w.settledWithStripe(fake)
	})
	t.Run("when the browser has the secret", func(t *testing.T) {
		t.Parallel()
		w, fake, o := payingStripe(t, shop.Options{})
		w.opens(o.ID)
		fake.Fail(stripetest.Always(stripetest.Drop))
		_, _, err := w.CancelOrder(background, "b", o.ID, "")
		refusal(t, err, shop.Busy)
		body, signature := stripetest.Event("payment_intent.succeeded", fake.Intents()[0], nil, stripetest.Secret, time.Now())
		_, err = w.PaymentNews(background, body, signature)
		refusal(t, err, shop.Busy) // Stripe sends it again
		w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
	})
}

// A server that dies after Stripe took the money, or before, leaves a payment that another one finds out about.
func TestAPaymentWithStripeWhoseServerIsGoneIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault     stripetest.Fault
		operation string
		status    shop.OrderStatus
		paid      shop.PaymentStatus
	}{
		"before it was begun":     {stripetest.Drop, "create", shop.AwaitingPayment, shop.PaymentRejected},
		"after it was begun":      {stripetest.DropAfter, "create", shop.AwaitingPayment, shop.PaymentRejected},
		"before it was confirmed": {stripetest.Drop, "confirm", shop.AwaitingPayment, shop.PaymentPending},
		"after it was confirmed":  {stripetest.DropAfter, "confirm", shop.IsPaid, shop.PaymentSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, fake, o := payingStripe(t, shop.Options{})
			fake.Fail(stripetest.Always(c.fault, c.operation))
			if got, _, err := w.Pay(background, "b", o.ID, visa, ""); err != nil || got.PaymentStatus != shop.PaymentPending {
				t.Errorf("%s, %v", got.PaymentStatus, err)
			}
			fake.Fail(nil)
			w.exec(`UPDATE payment SET ask_at = now() - interval '1 second', created_at = now() - interval '1 minute'`)
			if err := w.stripeServer(fake, shop.Options{}).TendPayments(background); err != nil {
				t.Error(err)
			}
			w.order(o.ID, c.status, c.paid)
			if c.status == shop.AwaitingPayment {
				if got, _, err := w.Pay(background, "b", o.ID, visa, ""); err != nil || got.Status != shop.IsPaid {
					t.Errorf("%s, %v", got.Status, err)
				}
			}
			w.settledWithStripe(fake)
		})
	}
}

func TestNothingIsLockedWhileStripeIsAsked(t *testing.T) {
	t.Parallel()
	w, fake, o := payingStripe(t, shop.Options{})
	look := dbtest.Connect(t, w.url)
	var asked []string
	fake.Fail(func(operation string) stripetest.Fault {
		n := 0
		err := look.QueryRow(background, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state LIKE 'idle in transaction%' OR backend_xid IS NOT NULL)`).Scan(&n)
		if err != nil || n != 0 {
			t.Errorf("%s: %d transactions are open, %v", operation, n, err)
		}
		if err := look.QueryRow(background, `SELECT count(*) FROM (SELECT FROM shop_order FOR UPDATE NOWAIT) AS o`).Scan(&n); err != nil {
			t.Errorf("%s: the order is locked: %v", operation, err)
		}
		asked = append(asked, operation)
		return stripetest.None
	})
	w.opens(o.ID)
	if _, _, err := w.Pay(background, "b", o.ID, visa, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Refund(background, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockAvailable}); err != nil {
		t.Error(err)
	}
	w.told("charge.refunded", stripetest.Object{"id": "ch_1", "payment_intent": fake.Intents()[0].Text("id")})
	for _, operation := range []string{"create", "retrieve", "confirm", "refund", "list disputes"} {
		if !slices.Contains(asked, operation) {
			t.Errorf("Stripe was asked %q, and not to %s", asked, operation)
		}
	}
	w.settledWithStripe(fake)
}

func TestAnOverdueOrderIsFreedOnlyAfterStripeWasAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		paysAt string
		status shop.OrderStatus
		paid   shop.PaymentStatus
	}{
		"which has the money":  {visa, shop.IsPaid, shop.PaymentSucceeded},
		"which calls it off":   {"", shop.IsCancelled, shop.PaymentRejected},
		"while the bank waits": {"pm_card_authenticationRequired", shop.IsCancelled, shop.PaymentRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, fake, o := payingStripe(t, shop.Options{})
			secret := w.opens(o.ID).ClientSecret
			if c.paysAt != "" {
				fake.Pay(secret, c.paysAt)
			}
			w.moveTo(o.PayBy.Add(time.Second))
			w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending) // a look does not free it
			_, err := w.claim("c", "A", 1)
			refusal(t, err, shop.AllHeld) // nor does a claim
			w.tendPayments()
			w.order(o.ID, c.status, c.paid)
			if status := fake.Pay(secret, visa); c.status == shop.IsCancelled && status != "canceled" {
				t.Errorf("what was called off is %s when the browser confirms it", status)
			}
			w.settledWithStripe(fake)
		})
	}
}

// An order that Stripe has been silent about is freed 4 s after pay_by. Money that comes then buys equal units, or goes back.
func TestMoneyFromStripeThatComesTooLate(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"gets equal units": false, "goes back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, fake, o := payingStripe(t, shop.Options{PayTimeout: time.Second})
			secret := w.opens(o.ID).ClientSecret
			fake.Fail(stripetest.Always(stripetest.Drop))
			w.moveTo(o.PayBy.Add(4 * time.Second))
			if err := w.TendPayments(background); err == nil {
				t.Error("nobody is told that Stripe is down")
			}
			w.order(o.ID, shop.IsCancelled, shop.PaymentPending)
			if gone {
				w.mustClaim("c", "A", 1)
			}
			fake.Pay(secret, visa)
			fake.Fail(stripetest.Always(stripetest.DropAfter, "refund"))
			for range 3 {
				w.told("payment_intent.succeeded", fake.Intents()[0])
			}
			if !gone {
				was := w.order(o.ID, shop.IsCancelled, shop.PaymentNone)
				if was.ReplacedByOrderID == nil {
					t.Fatal("no order replaces it")
				}
				w.order(*was.ReplacedByOrderID, shop.IsPaid, shop.PaymentSucceeded)
				w.settledWithStripe(fake)
				return
			}
			w.order(o.ID, shop.IsCancelled, shop.PaymentRefunded)
			fake.Fail(nil)
			w.exec(`UPDATE refund SET ask_at = now() - interval '1 second'`)
			w.tendPayments()
			if n := w.count(`SELECT count(*) FROM refund WHERE reason = 'late-payment' AND status = 'succeeded'`); n != 1 || len(fake.Refunds()) != 1 {
				t.Errorf("%d refunds here, %d at Stripe", n, len(fake.Refunds()))
			}
			w.settledWithStripe(fake)
		})
	}
}

// paidWithStripe is an order that is paid, and its PaymentIntent.
func paidWithStripe(t *testing.T) (*world, *stripetest.Server, shop.Order, string) {
	t.Helper()
	w, fake, o := payingStripe(t, shop.Options{})
	o, _, err := w.Pay(background, "b", o.ID, visa, "")
	if err != nil {
		t.Fatal(err)
	}
	return w, fake, o, fake.Intents()[0].Text("id")
}

// attention holds what is to be looked at of an order, and how often that it changed was told.
func (w *world) attention(id shop.ID, told int, want ...payment.Attention) {
	w.t.Helper()
	o, err := w.Order(background, nil, id)
	if err != nil || !slices.Equal(o.Attention, want) {
		w.t.Errorf("%v, %v, want %v", o.Attention, err, want)
	}
	if n := w.count(`SELECT count(*) FROM event WHERE type = 'payment.attention' AND data->>'order_id' = $1`, id.String()); n != told {
		w.t.Errorf("%d events tell of it, want %d", n, told)
	}
}

func TestAnotherAmountThanWasToBeTakenPaysNothing(t *testing.T) {
	t.Parallel()
	w, fake, o := payingStripe(t, shop.Options{})
	secret := w.opens(o.ID).ClientSecret
	fake.Change(fake.Intents()[0].Text("id"), stripetest.Object{"amount": int64(1)})
	fake.Pay(secret, visa)
	for range 2 {
		body, signature := stripetest.Event("payment_intent.succeeded", fake.Intents()[0], nil, stripetest.Secret, time.Now())
		if ignored, err := w.PaymentNews(background, body, signature); err != nil || ignored == "" {
			t.Errorf("%q, %v", ignored, err)
		}
	}
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentPending)
	w.attention(o.ID, 1, payment.AmountDiffers)
	for i, want := range []error{nil, payment.ErrDiffers, nil} { // the log hears of it once
		if i == 1 {
			w.exec(`UPDATE payment SET attention = '{}'`)
		}
		w.exec(`UPDATE payment SET ask_at = now() - interval '1 second'`)
		if err := w.TendPayments(background); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	w.attention(o.ID, 2, payment.AmountDiffers)
}

func TestDisputesAndRefundsElsewhereAreShown(t *testing.T) {
	t.Parallel()
	w, fake, o, intent := paidWithStripe(t)
	w.attention(o.ID, 0)
	dispute := fake.Dispute(intent, "needs_response")
	about := stripetest.Object{"id": dispute, "payment_intent": intent}
	for range 2 {
		w.told("charge.dispute.created", about)
	}
	w.attention(o.ID, 1, payment.Disputed)
	fake.RefundInDashboard(intent, 40)
	w.told("charge.refunded", about)
	w.attention(o.ID, 2, payment.Disputed, payment.RefundedElsewhere)
	fake.Change(dispute, stripetest.Object{"status": "lost"})
	w.told("charge.dispute.closed", about)
	w.told("charge.dispute.created", about) // late
	w.attention(o.ID, 3, payment.DisputeLost, payment.RefundedElsewhere)
	w.order(o.ID, shop.IsPaid, shop.PaymentSucceeded)
}

func TestARefundThatStripeTakesItsTimeForIsAskedForUntilItIsKnown(t *testing.T) {
	t.Parallel()
	w, fake, o, _ := paidWithStripe(t)
	fake.RefundsAre("pending")
	if _, _, err := w.Refund(background, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockAvailable}); err != nil {
		t.Fatal(err)
	}
	pending := func(want int) {
		t.Helper()
		if n := w.count(`SELECT count(*) FROM refund WHERE status = 'pending'`); n != want || len(fake.Refunds()) > 1 {
			t.Errorf("%d refunds are pending, want %d; %d at Stripe", n, want, len(fake.Refunds()))
		}
	}
	pending(1)
	w.exec(`UPDATE refund SET ask_at = now() - interval '1 second'`)
	w.tendPayments() // which is no trouble
	pending(1)
	refund := fake.Refunds()[0]
	fake.Change(refund.Text("id"), stripetest.Object{"status": "succeeded"})
	w.told("refund.updated", refund)
	pending(0)
	w.attention(o.ID, 0)
	w.settledWithStripe(fake)
}

// A refund that had succeeded comes back from the buyer's bank: it is shown, and made again.
func TestARefundThatFailsLaterIsMadeAgain(t *testing.T) {
	t.Parallel()
	w, fake, o, _ := paidWithStripe(t)
	if _, _, err := w.Refund(background, shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockAvailable}); err != nil {
		t.Fatal(err)
	}
	refund := fake.Refunds()[0]
	fake.Change(refund.Text("id"), stripetest.Object{"status": "failed"})
	for range 2 {
		w.told("refund.failed", refund)
	}
	w.attention(o.ID, 1, payment.RefundFailed)
	if n := w.count(`SELECT count(*) FROM refund WHERE status = 'pending'`); n != 1 {
		t.Errorf("%d refunds are to be made again", n)
	}
	tend := func() error {
		w.exec(`UPDATE refund SET ask_at = now() - interval '1 second'`)
		return w.TendPayments(background)
	}
	if err := tend(); err != nil {
		t.Errorf("what is shown already is told again: %v", err)
	}
	if n := w.count(`SELECT count(*) FROM refund WHERE status = 'pending'`); n != 1 || len(fake.Refunds()) != 1 {
		t.Errorf("%d refunds are pending, %d at Stripe", n, len(fake.Refunds()))
	}
	w.exec(`UPDATE stripe_refund SET attempted_at = now() - interval '2 hours'`)
	if err := tend(); err != nil {
		t.Error(err)
	}
	w.attention(o.ID, 2)
	if n := w.count(`SELECT count(*) FROM refund WHERE status = 'succeeded'`); n != 1 || len(fake.Refunds()) != 2 {
		t.Errorf("%d refunds are made, %d at Stripe", n, len(fake.Refunds()))
	}
	w.settledWithStripe(fake)
}

// What Stripe never takes is said so, and the order can be cancelled.
func TestATotalThatStripeDoesNotTake(t *testing.T) {
	t.Parallel()
	w, fake := withStripe(t, shop.Options{})
	w.priced("A", 10, 1)
	w.mustClaim("b", "A", 1)
	o := w.mustCheckout("b")
	for range 2 {
		_, _, err := w.Pay(background, "b", o.ID, "", "")
		refusal(t, err, shop.PaymentFailed)
	}
	w.order(o.ID, shop.AwaitingPayment, shop.PaymentRejected)
	if _, _, err := w.CancelOrder(background, "b", o.ID, ""); err != nil {
		t.Error(err)
	}
	w.settledWithStripe(fake)
}

// Many orders at once, on two servers, in the browser and at once, while one call in four fails in one way or another: every cent is accounted for.
func TestEveryCentIsAccountedForWhateverStripeDoes(t *testing.T) {
	t.Parallel()
	const orders = 60
	o := shop.Options{PayTimeout: 300 * time.Millisecond, Hold: 4 * time.Second, ClaimWait: longEnough}
	w, fake := withStripe(t, o)
	servers := []*shop.Shop{w.Shop, w.stripeServer(fake, o)}
	for i := range 5 {
		w.priced(fmt.Sprint("P", i), int64(100+i), 20)
	}
	faults := []stripetest.Fault{stripetest.Drop, stripetest.DropAfter, stripetest.Hang, stripetest.HangAfter, stripetest.Refuse, stripetest.Busy}
	var calm atomic.Bool
	fake.Fail(func(string) stripetest.Fault {
		if calm.Load() || rand.IntN(4) > 0 {
			return stripetest.None
		}
		return faults[rand.IntN(len(faults))]
	})
	fake.OnEvent(func(kind string, object stripetest.Object) {
		body, signature := stripetest.Event(kind, object, nil, stripetest.Secret, time.Now())
		for range rand.IntN(3) { // lost, once, twice
			if _, err := servers[rand.IntN(2)].PaymentNews(background, body, signature); err != nil && !refusedFor(err, shop.Busy) {
				t.Error(err)
			}
		}
	})
	ctx, stop := context.WithCancel(background)
	var tending sync.WaitGroup
	for _, s := range servers {
		tending.Go(func() {
			for ctx.Err() == nil {
				_ = s.TendPayments(background) // Stripe fails
				if err := errors.Join(s.CancelOverdue(background), s.ExpireLapsed(background)); err != nil {
					t.Error(err)
				}
				w.exec(`UPDATE stripe_refund SET attempted_at = attempted_at - interval '61 seconds' WHERE stripe_refund_id IS NULL AND attempted_at < now() - interval '1 second'`)
			}
		})
	}
	var wg sync.WaitGroup
	for i := range orders {
		wg.Go(func() {
			s := servers[i%2]
			if _, err := s.Claim(background, shop.ClaimRequest{Buyer: buyer(i), SKU: fmt.Sprint("P", i%5), Quantity: 1 + i%2}); err != nil {
				t.Error(err)
				return
			}
			o, _, err := s.Checkout(background, shop.CheckoutRequest{Buyer: buyer(i)})
			if refusedFor(err, shop.CartEmpty, shop.HoldExpired) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			card := []string{visa, "", declined, "", visa, "pm_card_authenticationRequired"}[i%6]
			for range 3 {
				got, _, err := s.Pay(background, buyer(i), o.ID, card, "k")
				if err != nil && !refusedFor(err, shop.PaymentFailed, shop.Conflict, shop.Busy) {
					t.Error(err)
				}
				if got.ClientSecret != "" && i%4 != 3 {
					fake.Pay(got.ClientSecret, visa)
					return
				}
			}
			if i%5 == 0 {
				if _, _, err := s.CancelOrder(background, buyer(i), o.ID, ""); err != nil && !refusedFor(err, shop.Busy, shop.Conflict) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	calm.Store(true)
	w.until(`SELECT NOT EXISTS (SELECT FROM shop_order WHERE status = 'awaiting_payment') AND NOT EXISTS (SELECT FROM payment WHERE status = 'pending') AND NOT EXISTS (SELECT FROM refund WHERE status = 'pending')`)
	stop()
	tending.Wait()
	if n := w.count(`SELECT count(*) FROM shop_order WHERE status = 'paid'`); n == 0 {
		t.Error("nothing was paid")
	}
	w.settledWithStripe(fake)
}
