package payment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Why the provider "test" refuses, besides ErrCard. After each of these nothing was done.
var (
	ErrAmount             = errors.New("an amount of money must not be negative")
	ErrRefundNotSucceeded = errors.New("the charge did not succeed, so nothing of it can be given back")
	ErrRefundTooMuch      = errors.New("more would be given back than was charged")
	ErrRefundDiffers      = errors.New("the refund's id belongs to another amount or another charge")
)

// TestOptions of NewTest.
type TestOptions struct {
	// Notify is what a real provider's webhook would be, and promises as little: it is called after a charge was decided (it succeeded
	// or failed), from a goroutine of its own, twice for the card "twice", and not at all when the process or the connection to the
	// database dies at that moment. It must return soon. Nil: nobody is told.
	Notify func(chargeID pgdb.ID)
}

// Test is the provider "test". It takes no money and keeps books of what it would have taken, in tables of its own, through short
// transactions that have nothing to do with the shop's. Several processes may have one on the same database. A charge of 0 is
// possible, and so is a refund of 0.
//
// Its cards:
//
//	succeed         the money is taken at once
//	decline         no money is taken
//	hang            the charge stays pending until it is voided, and Charge does not answer before its context ends
//	late            Charge answers Pending at once; the money is taken by itself after 2 s unless the charge is voided before
//	late:DURATION   the same after another time, such as late:20s, at most 10m
//	twice           like succeed, and the news of it comes twice
//
// The time of a late charge is the database's. It is taken at that time whether or not any process lives then: whoever asks, voids or
// refunds next finds it taken.
type Test struct {
	pool  *pgxpool.Pool
	q     *dbsqlc.Queries
	o     TestOptions
	taken *lane.Lanes[byte, Charge, bool] // charges whose money is taken at once; the answer is whether it was not known

	life    context.Context // ends with Close
	end     context.CancelFunc
	mu      sync.Mutex // over closed, and over starting goroutines
	closed  bool
	running sync.WaitGroup
}

var _ Provider = (*Test)(nil)

// NewTest makes the provider "test" on a migrated database. Close it before the pool.
func NewTest(pool *pgxpool.Pool, o TestOptions) *Test {
	life, end := context.WithCancel(context.Background())
	t := &Test{pool: pool, q: dbsqlc.New(), o: o, life: life, end: end}
	t.taken = lane.New(lane.Config{Workers: 2, BatchCalls: 256, BatchKeys: 1, Waiting: 100_000}, t.take)
	return t
}

// Close ends the timers of late charges, which are taken all the same, and waits for calls of Notify that have begun. Notify is not
// called afterwards. Calls of the provider that are under way go on, and later ones are answered.
func (t *Test) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.end()
	t.running.Wait()
}

// Name is "test".
func (t *Test) Name() string { return "test" }

// Charge does what the card says. An ID that is known is answered with what became of it, also when it was voided before it came; with
// the card "hang" that answer too is kept back while it is Pending. Errors: ErrCard, ErrAmount; ctx's own after "hang".
func (t *Test) Charge(ctx context.Context, c Charge) (State, error) {
	b, err := behaviourOf(c.Card)
	if err != nil {
		return "", err
	}
	if c.Amount < 0 {
		return "", ErrAmount
	}
	recorded, err := t.record(ctx, c, b)
	if err != nil {
		return "", fmt.Errorf("record a charge: %w", err)
	}
	state := b.state
	switch {
	case !recorded:
		if state, err = t.Ask(ctx, c.ID); err != nil {
			return "", err
		}
	case b.late:
		t.captureAfter(c.ID, b.delay)
	default:
		t.notify(c.ID, b.notices)
	}
	if b.hangs && state == Pending {
		<-ctx.Done()
		return "", fmt.Errorf("wait for a charge that hangs: %w", ctx.Err())
	}
	return state, nil
}

// record tells whether the charge was not known.
func (t *Test) record(ctx context.Context, c Charge, b behaviour) (bool, error) {
	if b.state == Succeeded {
		return t.taken.Do(ctx, c.ID[len(c.ID)-1]%2, c)
	}
	arg := dbsqlc.TestChargeInsertParams{ChargeID: c.ID, AmountMinor: c.Amount, Currency: c.Currency, Status: string(b.state)}
	if b.late {
		seconds := b.delay.Seconds()
		arg.DelaySeconds = &seconds
	}
	n, err := t.q.TestChargeInsert(ctx, t.pool, arg)
	return n > 0, err
}

// take records charges that came together.
func (t *Test) take(ctx context.Context, batch []lane.Call[byte, Charge], _ func()) []lane.Answer[bool] {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	var arg dbsqlc.TestChargeInsertManyParams
	for _, c := range batch {
		arg.ChargeIds = append(arg.ChargeIds, c.In.ID)
		arg.AmountMinors = append(arg.AmountMinors, c.In.Amount)
		arg.Currencies = append(arg.Currencies, c.In.Currency)
	}
	ids, err := t.q.TestChargeInsertMany(ctx, t.pool, arg)
	recorded := make(map[pgdb.ID]bool, len(ids))
	for _, id := range ids {
		recorded[id] = true
	}
	answers := make([]lane.Answer[bool], len(batch))
	for i, c := range batch {
		answers[i].Out, answers[i].Err = recorded[c.In.ID], err
		delete(recorded, c.In.ID) // the same charge, sent twice, is recorded once
	}
	return answers
}

// Ask answers what became of a charge.
func (t *Test) Ask(ctx context.Context, id pgdb.ID) (State, error) {
	// Without a lock it is seen only that a charge has been decided, or is pending at this instant.
	row, err := t.q.TestChargeState(ctx, t.pool, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return NotSeen, nil
	case err != nil:
		return "", fmt.Errorf("ask about a charge: %w", err)
	case !row.Due:
		return State(row.Status), nil
	}
	state, decided := Pending, false
	err = pgdb.InTx(ctx, t.pool, func(tx pgx.Tx) error {
		var err error
		state, decided, err = t.lockAndCapture(ctx, tx, id)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("capture a charge that is due: %w", err)
	}
	if decided {
		t.notify(id, 1)
	}
	return state, nil
}

// Void answers Succeeded when the money is already taken, and otherwise ends the charge and answers Failed.
func (t *Test) Void(ctx context.Context, id pgdb.ID) (State, error) {
	state, decided := Pending, false
	err := pgdb.InTx(ctx, t.pool, func(tx pgx.Tx) error {
		// What has never been seen is recorded as failed, so that a Charge of this ID finds it so.
		buried, err := t.q.TestChargeInsert(ctx, tx, dbsqlc.TestChargeInsertParams{ChargeID: id, Status: string(Failed)})
		if err != nil {
			return err
		}
		state, decided, err = t.lockAndCapture(ctx, tx, id)
		decided = decided || buried > 0
		if err != nil || state != Pending {
			return err
		}
		state, decided = Failed, true
		_, err = t.q.TestChargeFail(ctx, tx, id)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("void a charge: %w", err)
	}
	if decided {
		t.notify(id, 1)
	}
	return state, nil
}

// lockAndCapture locks a charge that exists and takes its money if its time has come. It tells the charge's state, and whether this
// call has changed it. A charge that it calls Pending can be voided by the holder of the lock, however late it gets meanwhile.
func (t *Test) lockAndCapture(ctx context.Context, tx pgx.Tx, id pgdb.ID) (State, bool, error) {
	status, err := t.q.TestChargeLock(ctx, tx, id)
	if err != nil || State(status) != Pending {
		return State(status), false, err
	}
	captured, err := t.q.TestChargeCapture(ctx, tx, id)
	if err != nil || captured == 0 {
		return Pending, false, err
	}
	return Succeeded, true, nil
}

// Refund gives back part of a charge. Errors: ErrAmount, ErrRefundNotSucceeded, ErrRefundTooMuch, ErrRefundDiffers.
func (t *Test) Refund(ctx context.Context, refundID, chargeID pgdb.ID, amount int64) error {
	if amount < 0 {
		return ErrAmount
	}
	state, err := t.Ask(ctx, chargeID)
	if err != nil {
		return err
	}
	if state != Succeeded {
		return ErrRefundNotSucceeded
	}
	var refusal error
	err = pgdb.InTx(ctx, t.pool, func(tx pgx.Tx) error {
		// All refunds of a charge pass here one by one, so that the insert sees the sum of those before it.
		if _, err := t.q.TestChargeLock(ctx, tx, chargeID); err != nil {
			return err
		}
		arg := dbsqlc.TestRefundInsertParams{RefundID: refundID, ChargeID: chargeID, AmountMinor: amount}
		inserted, err := t.q.TestRefundInsert(ctx, tx, arg)
		if err != nil || inserted > 0 {
			return err
		}
		earlier, err := t.q.TestRefundByID(ctx, tx, refundID)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			refusal = ErrRefundTooMuch
		case err != nil:
			return err
		case earlier.ChargeID != chargeID || earlier.AmountMinor != amount:
			refusal = ErrRefundDiffers
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	return refusal
}

// Books are the sums of one currency, in minor units.
type Books struct {
	Currency string
	Captured int64
	Refunded int64
}

// Books sums up what was taken and given back, by currency. While calls are under way a late charge that is being voided at the very
// moment it is due may be among it.
func (t *Test) Books(ctx context.Context) ([]Books, error) {
	rows, err := t.q.TestChargeBooks(ctx, t.pool)
	if err != nil {
		return nil, fmt.Errorf("sum up the books: %w", err)
	}
	books := make([]Books, len(rows))
	for i, r := range rows {
		books[i] = Books{Currency: r.Currency, Captured: r.CapturedMinor, Refunded: r.RefundedMinor}
	}
	return books, nil
}

// captureAfter asks for a late charge when it is due, so that it is captured, and Notify called, even if nobody asks.
func (t *Test) captureAfter(id pgdb.ID, delay time.Duration) {
	if t.o.Notify == nil {
		return
	}
	t.start(func() {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		for {
			select {
			case <-t.life.Done():
				return
			case <-timer.C:
			}
			// The database's clock may be behind ours, or the database away.
			if state, err := t.Ask(t.life, id); err == nil && state != Pending {
				return
			}
			timer.Reset(time.Second)
		}
	})
}

func (t *Test) notify(id pgdb.ID, times int) {
	if t.o.Notify == nil {
		return
	}
	for range times {
		t.start(func() { t.o.Notify(id) })
	}
}

// start runs fn in a goroutine for which Close waits, or not at all once Close was called.
func (t *Test) start(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Go(fn)
	}
}
