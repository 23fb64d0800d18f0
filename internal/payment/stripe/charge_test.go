package stripe_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

func TestAChargeIsMadeOnceAndConfirmedInTheBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := pgdb.NewID()
	c := charge(id, "")
	w.asked(id, payment.NotSeen)
	secrets := make([]string, 30)
	w.all("open", atOnce(30, func(i int) (state payment.State, err error) {
		state, secrets[i], err = w.Open(background, c)
		return state, err
	}), payment.Pending)
	i := w.intent()
	for _, secret := range secrets {
		if secret != i.Text("client_secret") {
			t.Errorf("the secret is %q, want that of the PaymentIntent", secret)
		}
	}
	about, _ := i["metadata"].(stripetest.Object)
	if i["amount"] != int64(1000) || i.Text("currency") != "eur" || about.Text("payment_id") != id.String() || about.Text("order_id") != c.OrderID.String() {
		t.Errorf("the PaymentIntent is %v", i)
	}
	w.asked(id, payment.Pending)
	w.took(0, 0)
	if status := w.fake.Pay(secrets[0], "pm_card_chargeDeclined"); status != "requires_payment_method" {
		t.Errorf("declined, it is %s", status)
	}
	w.asked(id, payment.Pending) // the buyer may take another card
	if status := w.fake.Pay(secrets[0], "pm_card_visa"); status != "succeeded" {
		t.Errorf("paid, it is %s", status)
	}
	w.asked(id, payment.Succeeded)
	c.Amount = 5
	for range 2 {
		state, secret, err := w.Open(background, c)
		w.is("open what is paid", state, err, payment.Succeeded)
		if secret != "" {
			t.Error("the secret is told when there is nothing left to confirm")
		}
	}
	w.took(1000, 0)
}

func TestAPaymentMethodIsConfirmedAtOnce(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]struct {
		state  payment.State
		status string
		took   int64
	}{
		"pm_card_visa":                   {payment.Succeeded, "succeeded", 1000},
		"pm_card_chargeDeclined":         {payment.Failed, "canceled", 0},
		"pm_card_that_nobody_knows":      {payment.Failed, "canceled", 0},
		"pm_card_authenticationRequired": {payment.Pending, "requires_action", 0},
		"pm_sepa":                        {payment.Pending, "processing", 0},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := pgdb.NewID()
			w.all("charge", atOnce(10, func(int) (payment.State, error) { return w.Charge(background, charge(id, method)) }), want.state)
			w.asked(id, want.state)
			w.status(want.status)
			w.took(want.took, 0)
			if state, secret, err := w.Open(background, charge(id, method)); err != nil || (secret != "") != (want.state == payment.Pending) {
				t.Errorf("again: %s, with a secret: %v, %v", state, secret != "", err)
			}
		})
	}
}

// The browser has begun, and the shop's back end sends a PaymentMethod: it is the same payment.
func TestACardIsTriedOnAPaymentThatWaitsForOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, _ := w.opened()
	state, err := w.Charge(background, charge(id, "pm_card_visa"))
	w.is("charge", state, err, payment.Succeeded)
	w.intent()
	w.took(1000, 0)
}

func TestWhatIsRefusedIsNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, card := range []string{"succeed", "pm_", "PM_card", "pm_card visa", "tok_visa", "pm_card/../x", "4242424242424242"} {
		if _, err := w.Charge(background, charge(pgdb.NewID(), card)); !errors.Is(err, payment.ErrMeans) {
			t.Errorf("%q: %v, want ErrMeans", card, err)
		}
	}
	c := charge(pgdb.NewID(), "")
	c.Amount = -1
	if _, err := w.Charge(background, c); !errors.Is(err, payment.ErrAmount) {
		t.Errorf("a negative amount: %v", err)
	}
	if n := w.count(`SELECT count(*) FROM stripe_charge`); n != 0 || len(w.fake.Intents()) != 0 {
		t.Errorf("%d rows and %d PaymentIntents, want none", n, len(w.fake.Intents()))
	}
}

func TestAmountsAsStripeCountsThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor    int64
		currency string
		want     int64 // -1: it can't be paid
	}{
		{1000, "EUR", 1000}, {50, "USD", 50}, {49, "USD", -1}, {999_999_999_999, "EUR", 999_999_999_999}, {1_000_000_000_000, "EUR", -1},
		{500, "JPY", 500}, {500, "KRW", 500}, {100, "ISK", 10_000}, {2000, "UGX", 200_000},
		{1500, "KWD", 1500}, {1505, "KWD", -1}, {1234, "BHD", -1}, {10_000, "MGA", -1}, {1000, "XXX", -1},
	} {
		t.Run(c.currency, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := pgdb.NewID()
			charge := payment.Charge{ID: id, OrderID: pgdb.NewID(), Amount: c.minor, Currency: c.currency, Card: "pm_card_visa"}
			state, err := w.Charge(background, charge)
			var refused *payment.Refused
			if c.want < 0 {
				if !errors.As(err, &refused) || refused.Why == "" {
					t.Errorf("%d %s: %s, %v, want a refusal", c.minor, c.currency, state, err)
				}
				w.voided(id, payment.Failed)
				w.took(0, 0)
				return
			}
			w.is("charge", state, err, payment.Succeeded)
			w.asked(id, payment.Succeeded)
			w.took(c.want, 0)
			if err := w.Refund(background, pgdb.NewID(), id, c.minor); err != nil {
				t.Error(err)
			}
			w.took(c.want, c.want)
		})
	}
}

func TestNothingIsPaidWithoutStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := pgdb.NewID()
	state, secret, err := w.Open(background, payment.Charge{ID: id, Currency: "EUR"})
	w.is("open", state, err, payment.Succeeded)
	w.asked(id, payment.Succeeded)
	w.voided(id, payment.Succeeded)
	if secret != "" || len(w.fake.Intents()) != 0 {
		t.Error("Stripe was asked to take nothing")
	}
}

func TestAVoidIsFinal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin func(w *world) pgdb.ID
		want  payment.State
	}{
		"never seen": {func(*world) pgdb.ID { return pgdb.NewID() }, payment.Failed},
		"pending":    {func(w *world) pgdb.ID { id, _ := w.opened(); return id }, payment.Failed},
		"succeeded":  {func(w *world) pgdb.ID { return w.taken() }, payment.Succeeded},
		"begun, with no answer": {func(w *world) pgdb.ID {
			w.fake.Fail(stripetest.Always(stripetest.DropAfter, "create"))
			id := pgdb.NewID()
			_, err := w.Charge(background, charge(id, ""))
			w.away("charge", "", err)
			return id
		}, payment.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := c.begin(w)
			w.fake.Fail(nil)
			w.all("void", atOnce(20, func(int) (payment.State, error) { return w.Void(background, id) }), c.want)
			for _, card := range []string{"", "pm_card_visa"} {
				state, err := w.Charge(background, charge(id, card))
				w.is("charge after the void", state, err, c.want)
			}
			w.asked(id, c.want)
			want := int64(0)
			if c.want == payment.Succeeded {
				want = 1000
			}
			w.took(want, 0)
		})
	}
}

func TestAChargeThatMeetsItsVoidOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 15 {
		id := pgdb.NewID()
		before, _ := w.fake.Books()
		atOnce(10, func(i int) (payment.State, error) {
			if i%2 == 0 {
				return w.Void(background, id)
			}
			return w.Charge(background, charge(id, "pm_card_visa"))
		})
		state, err := w.Ask(background, id)
		after, _ := w.fake.Books()
		if err != nil || (state == payment.Succeeded) != (after > before) || state != payment.Succeeded && state != payment.Failed {
			t.Errorf("it is %s, %v, and %d was taken", state, err, after-before)
		}
		w.voided(id, state)
	}
}

// A payment that a bank is about to decide can't be cancelled: nobody is told that it was.
func TestWhatStripeDoesNotCancelIsNotCalledFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := pgdb.NewID()
	state, err := w.Charge(background, charge(id, "pm_sepa"))
	w.is("charge", state, err, payment.Pending)
	state, err = w.Void(background, id)
	w.away("void", state, err)
	w.asked(id, payment.Pending)
	w.fake.Change(w.intent().Text("id"), stripetest.Object{"status": "succeeded", "amount_received": int64(1000)})
	w.voided(id, payment.Succeeded)
}

// A PaymentIntent that is made and not heard of again takes no money: the next call finds it by its key, and the void does without it.
func TestStripeFailsWhileAChargeIsBegun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault stripetest.Fault
		lasts bool // Stripe keeps its answer
	}{
		"before it was done": {stripetest.Drop, false}, "after it was done": {stripetest.DropAfter, false},
		"in silence": {stripetest.Hang, false}, "in silence, after it was done": {stripetest.HangAfter, false},
		"with an error": {stripetest.Refuse, true}, "because of too many calls": {stripetest.Busy, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := pgdb.NewID()
			w.fake.Fail(stripetest.Always(c.fault))
			for _, card := range []string{"", "pm_card_visa"} {
				state, err := w.Charge(briefly(t), charge(id, card))
				w.away("charge", state, err)
			}
			w.asked(id, payment.NotSeen)
			w.fake.Fail(nil)
			state, secret, err := w.Open(background, charge(id, ""))
			if c.lasts {
				w.away("open", state, err)
				w.voided(id, payment.Failed)
				return
			}
			w.is("open", state, err, payment.Pending)
			if secret != w.intent().Text("client_secret") || secret == "" {
				t.Errorf("the secret is %q", secret)
			}
			w.took(0, 0)
		})
	}
}

func TestStripeFailsWhileAChargeIsConfirmed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  stripetest.Fault
		method string
		asked  payment.State // while nobody knows
		then   payment.State // when it is confirmed again
	}{
		"before it was paid":   {stripetest.Drop, "pm_card_visa", payment.Pending, payment.Succeeded},
		"after it was paid":    {stripetest.DropAfter, "pm_card_visa", payment.Succeeded, payment.Succeeded},
		"in silence":           {stripetest.Hang, "pm_card_visa", payment.Pending, payment.Succeeded},
		"in silence, paid":     {stripetest.HangAfter, "pm_card_visa", payment.Succeeded, payment.Succeeded},
		"with an error":        {stripetest.Refuse, "pm_card_visa", payment.Pending, payment.Succeeded},
		"after it was decided": {stripetest.DropAfter, "pm_card_chargeDeclined", payment.Pending, payment.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := pgdb.NewID()
			w.fake.Fail(stripetest.Always(c.fault, "confirm"))
			state, err := w.Charge(briefly(t), charge(id, c.method))
			w.away("charge", state, err)
			w.asked(id, c.asked)
			w.fake.Fail(nil)
			state, err = w.Charge(background, charge(id, c.method))
			w.is("charge again", state, err, c.then)
			w.asked(id, c.then)
			if c.then == payment.Succeeded {
				w.took(1000, 0)
			} else {
				w.took(0, 0)
			}
		})
	}
}

func TestAnotherAmountIsNotPaid(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]stripetest.Object{
		"less received":    {"amount_received": int64(999)},
		"another amount":   {"amount": int64(100), "amount_received": int64(100)},
		"more":             {"amount": int64(1001), "amount_received": int64(1001)},
		"another currency": {"currency": "usd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.taken()
			w.fake.Change(w.intent().Text("id"), with)
			for what, ask := range map[string]func() (payment.State, error){
				"ask":  func() (payment.State, error) { return w.Ask(background, id) },
				"void": func() (payment.State, error) { return w.Void(background, id) },
				"open": func() (payment.State, error) { return w.Charge(background, charge(id, "")) },
			} {
				if state, err := ask(); !errors.Is(err, payment.ErrDiffers) {
					t.Errorf("%s: %s, %v, want ErrDiffers", what, state, err)
				}
			}
		})
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
			w := newWorldOn(t, pool)
			id := w.taken()
			w.voided(pgdb.NewID(), payment.Failed)
			if err := w.Refund(background, pgdb.NewID(), id, 400); err != nil {
				t.Error(err)
			}
			if found, err := w.Look(background, id); err != nil || len(found) != 0 {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
}
