package payment_test

import (
	"errors"
	"math"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/payment"
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

func (w *world) refunds(chargeID pgdb.ID, rows, sum int64) {
	w.t.Helper()
	n := w.count(`SELECT count(*) FROM test_refund WHERE charge_id = $1`, chargeID)
	s := w.count(`SELECT coalesce(sum(amount_minor), 0)::bigint FROM test_refund WHERE charge_id = $1`, chargeID)
	if n != rows || s != sum {
		w.t.Errorf("%d refunds of %d in all, want %d of %d", n, s, rows, sum)
	}
}

func TestNoMoreIsGivenBackThanWasCharged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, other := w.charged("succeed", payment.Succeeded), w.charged("succeed", payment.Succeeded)
	w.refunded(id, 1001, payment.ErrRefundTooMuch)
	w.refunded(id, math.MaxInt64, payment.ErrRefundTooMuch)
	w.refunded(id, -1, payment.ErrAmount)
	w.refunds(id, 0, 0)
	first := w.refunded(id, 400, nil)
	w.refunded(id, 601, payment.ErrRefundTooMuch)
	w.refunded(id, 600, nil)
	w.refunded(id, 1, payment.ErrRefundTooMuch)
	w.refunded(id, math.MaxInt64, payment.ErrRefundTooMuch)
	w.refunded(id, 0, nil)
	w.refunds(id, 3, 1000)
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
	w.refunds(id, 3, 1000)
	w.refunds(other, 0, 0)
}

func TestNothingIsGivenBackOfAChargeThatDidNotSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	voided := pgdb.NewID()
	w.voided(voided, payment.Failed)
	for what, id := range map[string]pgdb.ID{
		"never seen": pgdb.NewID(),
		"voided":     voided,
		"declined":   w.charged("decline", payment.Failed),
		"pending":    w.charged("late:10m", payment.Pending),
	} {
		for _, amount := range []int64{0, 1} {
			if err := w.Refund(background, pgdb.NewID(), id, amount); !errors.Is(err, payment.ErrRefundNotSucceeded) {
				t.Errorf("%s: %v", what, err)
			}
		}
		w.refunds(id, 0, 0)
	}
}

func TestFiftyRefundsOfOneIDGiveBackOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, refundID := w.charged("succeed", payment.Succeeded), pgdb.NewID()
	w.all("refund", atOnce(50, func(int) (payment.State, error) { return "", w.Refund(background, refundID, id, 700) }), "")
	w.refunds(id, 1, 700)
}

func TestFiftyRefundsAtOnceStayWithinTheCharge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.charged("late:10m", payment.Pending)
	w.due()
	refused := 0
	for _, a := range atOnce(50, func(int) (payment.State, error) { return "", w.Refund(background, pgdb.NewID(), id, 30) }) {
		switch {
		case errors.Is(a.err, payment.ErrRefundTooMuch):
			refused++
		case a.err != nil:
			t.Error(a.err)
		}
	}
	if refused != 17 {
		t.Errorf("%d of 50 refunds of 30 were refused, want 17", refused)
	}
	w.refunds(id, 33, 990)
	w.row(id, payment.Succeeded)
	w.notified(id, 1)
}

func TestOneRefundIDOfTwoChargesAtOnceIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	charges := []pgdb.ID{w.charged("succeed", payment.Succeeded), w.charged("succeed", payment.Succeeded)}
	refundID := pgdb.NewID()
	given := 0
	for _, a := range atOnce(50, func(i int) (payment.State, error) { return "", w.Refund(background, refundID, charges[i%2], 10) }) {
		switch {
		case a.err == nil:
			given++
		case !errors.Is(a.err, payment.ErrRefundDiffers):
			t.Error(a.err)
		}
	}
	if n := w.count(`SELECT count(*) FROM test_refund`); given != 25 || n != 1 {
		t.Errorf("%d were told that it was given back, in %d rows, want 25 and 1", given, n)
	}
}

func TestTheBooksAreSummedUpByCurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.charged("succeed", payment.Succeeded)
	w.charged("twice", payment.Succeeded)
	w.charged("late:10m", payment.Pending)
	w.due()
	w.charged("late:10m", payment.Pending)
	w.charged("decline", payment.Failed)
	w.voided(pgdb.NewID(), payment.Failed)
	w.refunded(id, 250, nil)
	w.refunded(id, 50, nil)
	c := charge(pgdb.NewID(), "succeed")
	c.Currency, c.Amount = "CHF", 7
	state, err := w.Charge(background, c)
	w.is("charge", state, err, payment.Succeeded)
	books, err := w.Books(background)
	want := []payment.Books{{Currency: "CHF", Captured: 7}, {Currency: "EUR", Captured: 3000, Refunded: 300}}
	if err != nil || len(books) != 2 || books[0] != want[0] || books[1] != want[1] {
		t.Errorf("%v, %v, want %v", books, err, want)
	}
}

func TestEveryQueryModeServes(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			pool, err := pgdb.Connect(background, dbtest.URL(t), pgdb.Options{MaxConns: 5, QueryMode: mode})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			w := &world{t: t, db: pool, told: map[pgdb.ID]int{}}
			w.Test = w.another(pool)
			for _, c := range cards {
				w.again(w.charged(c.card, c.state), c.card, c.state)
			}
			id := w.charged("late:10m", payment.Pending)
			w.due()
			w.voided(id, payment.Succeeded)
			w.refunded(id, 1000, nil)
			w.refunded(id, 1, payment.ErrRefundTooMuch)
			if _, err := w.Books(background); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestARefundWaitsForTheOneBeforeIt has a refund under way that is not committed yet: the next one waits, and counts it.
func TestARefundWaitsForTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.charged("succeed", payment.Succeeded)
	done := make(chan error, 1)
	err := pgdb.InTx(background, w.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(background, `SELECT FROM test_charge FOR NO KEY UPDATE`); err != nil {
			return err
		}
		if _, err := tx.Exec(background, `INSERT INTO test_refund VALUES ($1, $2, 600)`, pgdb.NewID(), id); err != nil {
			return err
		}
		go func() { done <- w.Refund(background, pgdb.NewID(), id, 600) }()
		w.until("the refund waits", func() bool { return len(done) > 0 || w.waiting() > 0 })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, payment.ErrRefundTooMuch) {
		t.Errorf("got %v, want ErrRefundTooMuch", err)
	}
	w.refunds(id, 1, 600)
}
