package payment_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// The cards that answer, what they answer, and how often that is notified.
var cards = []struct {
	card    string
	state   payment.State
	notices int
}{
	{"succeed", payment.Succeeded, 1},
	{"twice", payment.Succeeded, 2},
	{"decline", payment.Failed, 1},
	{"late:5m", payment.Pending, 0},
	{"late:10m", payment.Pending, 0},
}

func TestEachCardDoesWhatItSaysOnceHoweverOftenItIsCharged(t *testing.T) {
	t.Parallel()
	for _, c := range cards {
		t.Run(c.card, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := pgdb.NewID()
			w.asked(id, payment.NotSeen)
			answers := atOnce(50, func(int) (payment.State, error) { return w.Charge(background, charge(id, c.card)) })
			w.all("charge", answers, c.state)
			w.asked(id, c.state)
			w.row(id, c.state)
			if n := w.count(`SELECT count(*) FROM test_charge WHERE amount_minor = 1000 AND currency = 'EUR'`); n != 1 {
				t.Errorf("%d rows as they were ordered, want 1", n)
			}
			other := charge(id, "decline")
			other.Amount = 5
			state, err := w.Charge(background, other)
			w.is("another charge of the same id", state, err, c.state)
			if n := w.count(`SELECT amount_minor FROM test_charge`); n != 1000 {
				t.Errorf("the amount became %d", n)
			}
			w.notified(id, c.notices)
		})
	}
	if name := (&payment.Test{}).Name(); name != "test" {
		t.Errorf("its name is %s", name)
	}
}

func TestWhatIsRefusedIsNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, card := range []string{"", "Succeed", "4242", "late:", "late:x", "late:0s", "late:-1s", "late:10m1ns", "later", "20s"} {
		_, err := w.Charge(background, charge(pgdb.NewID(), card))
		if !errors.Is(err, payment.ErrCard) {
			t.Errorf("%q: %v, want ErrCard", card, err)
		}
	}
	for _, card := range []string{"succeed", "decline", "hang", "late", "late:DURATION", "twice"} {
		if !strings.Contains(payment.ErrCard.Error(), card) {
			t.Errorf("%q does not name %s", payment.ErrCard, card)
		}
	}
	c := charge(pgdb.NewID(), "succeed")
	c.Amount = -1
	if _, err := w.Charge(background, c); !errors.Is(err, payment.ErrAmount) {
		t.Errorf("a negative amount: %v", err)
	}
	if n := w.count(`SELECT count(*) FROM test_charge`); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

func TestAHangingChargeEndsWithItsContextAndHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := pgdb.NewID()
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	const calls = 50 // more than the pool has connections
	answers := make(chan answer, calls)
	for range calls {
		go func() {
			state, err := w.Charge(ctx, charge(id, "hang"))
			answers <- answer{state, err}
		}()
	}
	w.until("the charge is recorded", func() bool {
		state, err := w.Ask(background, id)
		return err == nil && state == payment.Pending
	})
	w.until("no call holds a connection", func() bool { return w.db.Stat().AcquiredConns() == 0 })
	select {
	case a := <-answers:
		t.Fatalf("it answered %v while its context lived", a)
	default:
	}
	cancel()
	for range calls {
		if a := <-answers; a.state != "" || !errors.Is(a.err, context.Canceled) {
			t.Errorf("%v, want the context's error", a)
		}
	}
	w.asked(id, payment.Pending)
	w.row(id, payment.Pending)
	w.voided(id, payment.Failed)
	state, err := w.Charge(background, charge(id, "hang"))
	w.is("charge after the void", state, err, payment.Failed)
	w.row(id, payment.Failed)
	w.notified(id, 1)
}

func TestALateChargeIsTakenAtItsTimeBeforeAnyRowSaysSo(t *testing.T) {
	t.Parallel()
	for what, see := range map[string]func(w *world, id pgdb.ID){
		"ask":    func(w *world, id pgdb.ID) { w.asked(id, payment.Succeeded) },
		"void":   func(w *world, id pgdb.ID) { w.voided(id, payment.Succeeded) },
		"charge": func(w *world, id pgdb.ID) { w.again(id, "late:10m", payment.Succeeded) },
		"refund": func(w *world, id pgdb.ID) { w.refunded(id, 1, nil) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.charged("late:10m", payment.Pending)
			w.due()
			w.row(id, payment.Pending)
			see(w, id)
			w.row(id, payment.Succeeded)
			if n := w.count(`SELECT count(*) FROM test_charge WHERE captured_at = captures_at`); n != 1 {
				t.Error("it was not captured when it was due")
			}
			see(w, id)
			w.asked(id, payment.Succeeded)
			w.voided(id, payment.Succeeded)
			w.row(id, payment.Succeeded)
			w.notified(id, 1)
		})
	}
}

func (w *world) again(id pgdb.ID, card string, want payment.State) {
	w.t.Helper()
	state, err := w.Charge(background, charge(id, card))
	w.is("charge again", state, err, want)
}

func TestALateChargeWaitsForItsOwnTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for card, seconds := range map[string]int64{"late": 2, "late:20s": 20, "late:10m": 600} {
		before := w.count(`SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint`)
		id := w.charged(card, payment.Pending)
		after := w.count(`SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint`)
		at := w.count(`SELECT (extract(epoch FROM captures_at) * 1e6)::bigint FROM test_charge WHERE charge_id = $1`, id)
		if at < before+seconds*1e6 || at > after+seconds*1e6 {
			t.Errorf("%s captures %d µs after the call began", card, at-before)
		}
	}
}

func TestALateChargeThatWasVoidedIsNeverTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.charged("late:10m", payment.Pending)
	w.voided(id, payment.Failed)
	w.due()
	w.asked(id, payment.Failed)
	w.voided(id, payment.Failed)
	w.again(id, "late:10m", payment.Failed)
	w.row(id, payment.Failed)
	w.notified(id, 1)
}

func TestALateChargeIsTakenAndToldByItself(t *testing.T) {
	t.Parallel()
	told := make(chan pgdb.ID, 10)
	w := newWorld(t)
	p := payment.NewTest(w.db, payment.TestOptions{Notify: func(id pgdb.ID) { told <- id }})
	defer p.Close()
	id := pgdb.NewID()
	state, err := p.Charge(background, charge(id, "late:20ms"))
	w.is("charge", state, err, payment.Pending)
	select {
	case got := <-told:
		if got != id {
			t.Errorf("told of %s, want %s", got, id)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
	w.row(id, payment.Succeeded)
	w.asked(id, payment.Succeeded)
	p.Close()
	if len(told) > 0 {
		t.Error("it was told twice")
	}
	w.notified(id, 0)
}

func TestCloseEndsTimersAndWaitsForNotify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	var left atomic.Int64
	p := payment.NewTest(w.db, payment.TestOptions{Notify: func(pgdb.ID) {
		entered <- struct{}{}
		<-leave
		left.Add(1)
	}})
	for _, card := range []string{"late:10m", "twice"} {
		if _, err := p.Charge(background, charge(pgdb.NewID(), card)); err != nil {
			t.Fatal(err)
		}
	}
	w.until("both calls have begun", func() bool { return len(entered) == 2 })
	time.AfterFunc(50*time.Millisecond, func() { close(leave) })
	p.Close()
	if n := left.Load(); n != 2 {
		t.Errorf("Close waited for %d calls of Notify, want 2", n)
	}
	p.Close()
	id := pgdb.NewID()
	state, err := p.Charge(background, charge(id, "twice"))
	w.is("charge after Close", state, err, payment.Succeeded)
	_, err = p.Charge(background, charge(pgdb.NewID(), "late:1ns"))
	if err != nil {
		t.Error(err)
	}
	p.Close()
	if n := len(entered); n != 2 {
		t.Errorf("Notify was called %d times after Close", n-2)
	}
}

func TestFiftyVoidsOfOneCharge(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		card        string
		state, want payment.State
	}{
		"never seen": {want: payment.Failed},
		"pending":    {"late:10m", payment.Pending, payment.Failed},
		"succeeded":  {"succeed", payment.Succeeded, payment.Succeeded},
		"failed":     {"decline", payment.Failed, payment.Failed},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := pgdb.NewID()
			if c.card != "" {
				id = w.charged(c.card, c.state)
			}
			w.all("void", atOnce(50, func(int) (payment.State, error) { return w.Void(background, id) }), c.want)
			w.row(id, c.want)
			for _, card := range []string{"succeed", "late:10m", "hang"} {
				w.again(id, card, c.want)
			}
			w.row(id, c.want)
			w.notified(id, 1)
		})
	}
}

func TestAChargeThatMeetsItsVoidOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 20 {
		id := pgdb.NewID()
		answers := atOnce(50, func(i int) (payment.State, error) {
			if i%2 == 0 {
				return w.Void(background, id)
			}
			return w.Charge(background, charge(id, "succeed"))
		})
		w.all("charge and void", answers, answers[0].state)
		w.row(id, answers[0].state)
	}
}

func TestAVoidThatMeetsALateCaptureTellsOneStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another(w.db)
	seen := map[payment.State]int{}
	for i := range 60 {
		id := w.charged("late:"+(time.Duration(i%12)*time.Millisecond+time.Microsecond).String(), payment.Pending)
		answers := atOnce(12, func(i int) (payment.State, error) {
			switch i % 3 {
			case 0:
				return w.Void(background, id)
			case 1:
				return other.Void(background, id)
			}
			for {
				if state, err := other.Ask(background, id); err != nil || state != payment.Pending {
					return state, err
				}
			}
		})
		w.all("void and ask", answers, answers[0].state)
		w.row(id, answers[0].state)
		seen[answers[0].state]++
		if i == 59 {
			other.Close()
			w.notified(id, 1)
		}
	}
	t.Log(seen)
}

// TestAVoidDecidesByTheTimeAtWhichItGotTheLock holds the row's lock, changing nothing, until the charge is due: a Void that began before
// and waited finds the money taken.
func TestAVoidDecidesByTheTimeAtWhichItGotTheLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.charged("late:10m", payment.Pending)
	if _, err := w.db.Exec(background, `UPDATE test_charge SET captures_at = clock_timestamp() + interval '1 s'`); err != nil {
		t.Fatal(err)
	}
	done := make(chan answer, 1)
	err := pgdb.InTx(background, w.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(background, `SELECT FROM test_charge FOR UPDATE`); err != nil {
			return err
		}
		go func() {
			state, err := w.Void(background, id)
			done <- answer{state, err}
		}()
		w.until("the void waits", func() bool { return len(done) > 0 || w.waiting() > 0 })
		w.until("the charge is due", func() bool {
			return w.count(`SELECT count(*) FROM test_charge WHERE captures_at <= clock_timestamp()`) > 0
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a := <-done
	w.is("void", a.state, a.err, payment.Succeeded)
	w.row(id, payment.Succeeded)
}
