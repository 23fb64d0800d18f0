package httpapi_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/payment/stripe"
	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
	"github.com/lastunit/lastunit/internal/shop"
)

const webhookPath = "/api/v1/payments/stripe/webhook"

// withStripe is a world whose payments are with Stripe.
func withStripe(t testing.TB) (*world, *stripetest.Server) {
	t.Helper()
	db, fake := dbtest.Pool(t), stripetest.New()
	t.Cleanup(fake.Close)
	log := &logbook{}
	provider := stripe.New(db, stripe.Options{
		Key: stripetest.Key, WebhookSecrets: []string{stripetest.Secret}, URL: fake.URL, Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	t.Cleanup(provider.Close)
	w := newServer(t, db, shop.Options{Provider: provider}, httpapi.Options{})
	t.Cleanup(func() {
		for _, text := range []string{log.take(), w.log.take()} {
			for _, secret := range []string{"_secret_", stripetest.Key, stripetest.Secret, "pm_card"} {
				if strings.Contains(text, secret) {
					t.Errorf("logged %s: %s", secret, text)
				}
			}
		}
	})
	w.stocked(t, "mug", 10)
	return w, fake
}

// hook is what Stripe sends.
func hook(kind string, object, with stripetest.Object, secret string, at time.Time) request {
	body, signature := stripetest.Event(kind, object, with, secret, at)
	r := request{method: "POST", path: webhookPath, body: string(body)}
	return r.with("Stripe-Signature", signature).with("Content-Type", "application/json; charset=utf-8")
}

// heard sends an event that is signed now, and returns why it was ignored, if it was.
func (w *world) heard(t *testing.T, kind string, object, with stripetest.Object) string {
	t.Helper()
	var h httpapi.Heard
	w.send(t, hook(kind, object, with, stripetest.Secret, time.Now())).into(t, 200, &h)
	if h.Ignored == nil {
		return ""
	}
	return *h.Ignored
}

func TestAnOrderIsPaidWithStripe(t *testing.T) {
	t.Parallel()
	w, fake := withStripe(t)
	o := w.order(t, "ann", w.hold(t, "ann", "mug", 2).ID)
	pay := as("ann", "POST", orderPath(o.ID, "pay"), nil).with("Idempotency-Key", "k")
	var opened, again, got httpapi.Order
	w.send(t, pay).into(t, 200, &opened)
	if opened.Payment.Provider != "stripe" || opened.Payment.Status != "pending" || opened.Payment.ClientSecret == nil || len(opened.Attention) != 0 {
		t.Fatalf("the payment is %+v", opened.Payment)
	}
	if a := w.send(t, pay).into(t, 200, &again); a.header.Get("Idempotency-Replayed") != "true" || *again.Payment.ClientSecret != *opened.Payment.ClientSecret {
		t.Errorf("again: %+v", again.Payment)
	}
	if got := w.looksAtOrder(t, "ann", o.ID.String()); got.Payment.ClientSecret != nil {
		t.Error("whoever looks at the order is told the secret")
	}
	w.send(t, as("ben", "POST", orderPath(o.ID, "pay"), nil)).refused(t, 404, "not-found")
	w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{"payment_method": "succeed"}`)).refused(t, 422, "validation")
	if status := fake.Pay(*opened.Payment.ClientSecret, "pm_card_visa"); status != "succeeded" {
		t.Error(status)
	}
	intent := fake.Intents()[0]
	for range 2 {
		if why := w.heard(t, "payment_intent.succeeded", intent, nil); why != "" {
			t.Error(why)
		}
	}
	w.heard(t, "payment_intent.processing", intent, nil) // too late
	if got = w.looksAtOrder(t, "ann", o.ID.String()); got.Status != "paid" || got.Payment.Status != "succeeded" || got.Payment.ClientSecret != nil {
		t.Errorf("the order is %s, its payment %+v", got.Status, got.Payment)
	}
	fake.Dispute(intent.Text("id"), "needs_response")
	w.heard(t, "charge.dispute.created", stripetest.Object{"id": "du_1", "payment_intent": intent.Text("id")}, nil)
	if got = w.looksAtOrder(t, "ann", o.ID.String()); len(got.Attention) != 1 || got.Attention[0] != "payment-disputed" {
		t.Errorf("what to look at is %v", got.Attention)
	}
	var events httpapi.EventPage
	w.send(t, request{method: "GET", path: "/api/v1/events?type=payment.attention", token: w.key(t, shop.ScopeOrder)}).into(t, 200, &events)
	if len(events.Items) != 1 {
		t.Errorf("%d events tell of it", len(events.Items))
	}
	w.send(t, post(w.key(t, shop.ScopeOrder), orderPath(o.ID, "refund"), `{"restock": "available"}`)).into(t, 200, &got)
	if got.Status != "refunded" || got.Payment.Status != "refunded" {
		t.Errorf("the order is %s, its payment %+v", got.Status, got.Payment)
	}
	if captured, refunded := fake.Books(); captured != 2500 || refunded != 2500 {
		t.Errorf("Stripe took %d and gave back %d", captured, refunded)
	}
	w.sound(t)
}

func TestAPaymentMethodPaysAtOnce(t *testing.T) {
	t.Parallel()
	w, fake := withStripe(t)
	o := w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID)
	w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{"payment_method": "pm_card_chargeDeclined"}`)).refused(t, 402, "payment-failed")
	fake.Fail(stripetest.Always(stripetest.Drop))
	if p := w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{}`)).refused(t, 503, "busy"); !strings.Contains(p.Detail, "payment provider") {
		t.Errorf("it says %s", p.Detail)
	}
	fake.Fail(nil)
	var got httpapi.Order
	w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{"payment_method": "pm_card_visa"}`)).into(t, 200, &got)
	if got.Status != "paid" || got.Payment.ClientSecret != nil {
		t.Errorf("the order is %s, its payment %+v", got.Status, got.Payment)
	}
	w.sound(t)
}

// Nobody else than Stripe is heard, and nothing is believed of what Stripe says.
func TestWebhooksOfStripe(t *testing.T) {
	t.Parallel()
	w, fake := withStripe(t)
	o := w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID)
	var opened httpapi.Order
	w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), nil)).into(t, 200, &opened)
	intent := fake.Intents()[0]
	good := hook("payment_intent.succeeded", intent, nil, stripetest.Secret, time.Now())
	old := hook("payment_intent.succeeded", intent, nil, stripetest.Secret, time.Now().Add(-6*time.Minute))
	key := w.key(t, shop.ScopeAll)
	before := w.fingerprint(t)
	for name, r := range map[string]request{
		"another secret": hook("payment_intent.succeeded", intent, nil, "whsec_of_somebody_else", time.Now()),
		"an old one":     old,
		"no signature":   good.with("Stripe-Signature", absent),
		"rubbish":        good.with("Stripe-Signature", canary),
		"another body":   {method: "POST", path: webhookPath, body: `{"` + canary + `": 1}`, header: good.header},
		"a token":        {method: "POST", path: webhookPath, body: `{}`, token: key},
	} {
		if p := w.send(t, r).refused(t, 403, "forbidden"); !strings.Contains(p.Detail, "signature") {
			t.Errorf("%s: %s", name, p.Detail)
		}
	}
	w.send(t, request{method: "POST", path: webhookPath, body: strings.Repeat(" ", 512<<10+1)}).refused(t, 413, "payload-too-large")
	for name, c := range map[string]struct {
		kind         string
		object, with stripetest.Object
		ignored      bool
	}{
		"another account's": {"payment_intent.succeeded", intent, stripetest.Object{"account": "acct_1"}, true},
		"live":              {"payment_intent.succeeded", intent, stripetest.Object{"livemode": true}, true},
		"another shop's":    {"payment_intent.succeeded", stripetest.Object{"id": "pi_other"}, nil, true},
		"unknown type":      {"customer.created", stripetest.Object{"id": "cus_1"}, nil, false},
		"a lie":             {"payment_intent.succeeded", stripetest.Object{"id": intent.Text("id"), "status": "succeeded"}, nil, false},
	} {
		if why := w.heard(t, c.kind, c.object, c.with); (why != "") != c.ignored {
			t.Errorf("%s: ignored because %q", name, why)
		}
	}
	if after := w.fingerprint(t); after != before {
		t.Errorf("what is there went from %s to %s", before, after)
	}
	if log := w.log.take(); strings.Count(log, "was ignored") != 3 {
		t.Errorf("logged: %s", log)
	}
	fake.Change(intent.Text("id"), stripetest.Object{"amount": int64(1)})
	fake.Pay(*opened.Payment.ClientSecret, "pm_card_visa")
	if why := w.heard(t, "payment_intent.succeeded", intent, nil); !strings.Contains(why, "another amount") {
		t.Errorf("another amount: ignored because %q", why)
	}
	if got := w.looksAtOrder(t, "ann", o.ID.String()); got.Status != "awaiting_payment" || len(got.Attention) != 1 || got.Attention[0] != "amount-differs" {
		t.Errorf("another amount: the order is %s, to look at is %v", got.Status, got.Attention)
	}
	fake.Fail(stripetest.Always(stripetest.Drop))
	w.send(t, good).refused(t, 503, "busy") // Stripe sends it again
}
