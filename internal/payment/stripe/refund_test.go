package stripe_test

import (
	"errors"
	"testing"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// refunded asks for a refund twice, as one does who missed the answer to the first, and returns its id.
func (w *world) refunded(chargeID pgdb.ID, amount int64, want error) pgdb.ID {
	w.t.Helper()
	id := pgdb.NewID()
	for range 2 {
		if err := w.Refund(background, id, chargeID, amount); !errors.Is(err, want) {
			w.t.Errorf("refund of %d: %v, want %v", amount, err, want)
		}
	}
	return id
}

// older makes all refunds look as if they had been begun so long ago.
func (w *world) older(interval string) {
	w.t.Helper()
	w.exec(`UPDATE stripe_refund SET attempted_at = attempted_at - $1::interval`, interval)
}

func TestNoMoreIsGivenBackThanWasCharged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, other := w.taken(), w.taken()
	w.refunded(id, 1001, payment.ErrRefundTooMuch)
	w.refunded(id, -1, payment.ErrAmount)
	first := w.refunded(id, 400, nil)
	w.refunded(id, 601, payment.ErrRefundTooMuch)
	w.refunded(id, 600, nil)
	w.refunded(id, 1, payment.ErrRefundTooMuch)
	w.took(2000, 1000)
	if err := w.Refund(background, first, id, 400); err != nil {
		t.Errorf("the first refund again, after all was given back: %v", err)
	}
	for _, c := range []struct {
		charge pgdb.ID
		amount int64
	}{{id, 399}, {other, 400}} {
		if err := w.Refund(background, first, c.charge, c.amount); !errors.Is(err, payment.ErrRefundDiffers) {
			t.Errorf("another refund of the same id: %v", err)
		}
	}
	w.took(2000, 1000)
}

func TestNothingIsGivenBackOfAChargeThatDidNotSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	voided, pending := pgdb.NewID(), pgdb.NewID()
	w.voided(voided, payment.Failed)
	state, err := w.Charge(background, charge(pending, ""))
	w.is("charge", state, err, payment.Pending)
	for what, id := range map[string]pgdb.ID{"never seen": pgdb.NewID(), "voided": voided, "pending": pending} {
		if err := w.Refund(background, pgdb.NewID(), id, 1); !errors.Is(err, payment.ErrRefundNotSucceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.took(0, 0)
}

func TestFiftyRefundsOfOneIDGiveBackOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, refundID := w.taken(), pgdb.NewID()
	w.all("refund", atOnce(50, func(int) (payment.State, error) { return "", w.Refund(background, refundID, id, 700) }), "")
	w.took(1000, 700)
}

func TestARefundThatIsUnderWayIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]error{"succeeded": nil, "failed": payment.ErrRefundFailed, "canceled": payment.ErrRefundFailed} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fake.RefundsAre("pending")
			id := w.taken()
			refundID := w.refunded(id, 300, payment.ErrRefundPending)
			w.older("1 week")
			if err := w.Refund(background, refundID, id, 300); !errors.Is(err, payment.ErrRefundPending) {
				t.Errorf("after a week: %v", err)
			}
			state, err := w.AskRefund(background, refundID)
			w.is("ask for the refund", state, err, payment.Pending)
			w.exec(`UPDATE stripe_refund SET attempted_at = now()`)
			w.fake.Change(w.fake.Refunds()[0].Text("id"), stripetest.Object{"status": status})
			for range 2 {
				if err := w.Refund(background, refundID, id, 300); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			}
			if n := len(w.fake.Refunds()); n != 1 {
				t.Errorf("%d refunds, want 1", n)
			}
		})
	}
}

// What a bank did not take is tried anew, after an hour and not sooner.
func TestARefundThatFailedIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fake.RefundsAre("failed")
	id := w.taken()
	refundID := w.refunded(id, 300, payment.ErrRefundFailed)
	w.older("59 minutes")
	if err := w.Refund(background, refundID, id, 300); !errors.Is(err, payment.ErrRefundFailed) || len(w.fake.Refunds()) != 1 {
		t.Errorf("%v, %d refunds after an hour less a minute", err, len(w.fake.Refunds()))
	}
	w.older("2 minutes")
	w.fake.RefundsAre("succeeded")
	w.all("refund", atOnce(1, func(int) (payment.State, error) { return "", w.Refund(background, refundID, id, 300) }), "")
	if err := w.Refund(background, refundID, id, 300); err != nil || len(w.fake.Refunds()) != 2 {
		t.Errorf("%v, %d refunds", err, len(w.fake.Refunds()))
	}
	w.took(1000, 300)
	state, err := w.AskRefund(background, refundID)
	w.is("ask for the refund", state, err, payment.Succeeded)
	state, err = w.AskRefund(background, pgdb.NewID())
	w.is("ask for no refund of ours", state, err, payment.NotSeen)
}

func TestStripeFailsWhileARefundIsMade(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]stripetest.Fault{
		"before it was done": stripetest.Drop, "after it was done": stripetest.DropAfter, "in silence": stripetest.Hang,
		"in silence, after it was done": stripetest.HangAfter, "with an error, which is kept": stripetest.Refuse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id, refundID := w.taken(), pgdb.NewID()
			w.fake.Fail(stripetest.Always(fault, "refund"))
			w.away("refund", "", w.Refund(briefly(t), refundID, id, 250))
			state, err := w.AskRefund(background, refundID)
			w.is("ask for the refund", state, err, payment.NotSeen)
			done := fault == stripetest.DropAfter || fault == stripetest.HangAfter
			// Asked again, it is found among Stripe's refunds, if it was made.
			if err := w.Refund(briefly(t), refundID, id, 250); (err == nil) != done {
				t.Errorf("again: %v", err)
			}
			w.fake.Fail(nil)
			if fault == stripetest.Refuse {
				w.away("refund, with the key that has failed", "", w.Refund(background, refundID, id, 250))
			}
			w.older("61 seconds")
			for range 2 {
				if err := w.Refund(background, refundID, id, 250); err != nil {
					t.Error(err)
				}
			}
			w.took(1000, 250)
		})
	}
}
