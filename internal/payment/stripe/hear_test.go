package stripe_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// hear has the provider hear an event that is signed now.
func (w *world) hear(kind string, object, with stripetest.Object) payment.News {
	w.t.Helper()
	body, signature := stripetest.Event(kind, object, with, stripetest.Secret, time.Now())
	news, err := w.Hear(background, body, signature)
	if err != nil {
		w.t.Errorf("%s: %v", kind, err)
	}
	return news
}

func TestOnlyWhatStripeHasSignedIsHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, _ := w.opened()
	i := w.intent()
	body, signature := stripetest.Event("payment_intent.succeeded", i, nil, stripetest.Secret, time.Now())
	stamp, v1, _ := strings.Cut(signature, ",")
	old, oldSignature := stripetest.Event("payment_intent.succeeded", i, nil, stripetest.Secret, time.Now().Add(-6*time.Minute))
	other, otherSignature := stripetest.Event("payment_intent.succeeded", i, nil, "whsec_of_somebody_else", time.Now())
	for name, c := range map[string]struct {
		body      []byte
		signature string
	}{
		"no signature":      {body, ""},
		"rubbish":           {body, "rubbish"},
		"another secret":    {other, otherSignature},
		"an old one":        {old, oldSignature},
		"another body":      {append(slices.Clone(body), ' '), signature},
		"of another event":  {body, oldSignature},
		"a later time":      {body, "t=9999999999," + v1},
		"without a time":    {body, v1},
		"without signature": {body, stamp},
		"another scheme":    {body, strings.Replace(signature, "v1=", "v0=", 1)},
		"empty, not signed": {nil, signature},
	} {
		if news, err := w.Hear(background, c.body, c.signature); !errors.Is(err, payment.ErrNotSigned) || news != (payment.News{}) {
			t.Errorf("%s: %+v, %v, want ErrNotSigned", name, news, err)
		}
	}
	before, beforeSignature := stripetest.Event("payment_intent.succeeded", i, nil, "whsec_of_before", time.Now().Add(-4*time.Minute))
	for _, c := range []struct {
		body      []byte
		signature string
	}{{body, signature}, {before, beforeSignature}, {body, signature + ",v1=00"}} {
		if news, err := w.Hear(background, c.body, c.signature); err != nil || news.Charge == nil || *news.Charge != id {
			t.Errorf("%+v, %v", news, err)
		}
	}
}

func TestWhatEachEventIsAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.taken()
	w.fake.RefundsAre("pending")
	refundID := w.refunded(id, 100, payment.ErrRefundPending)
	intent := w.intent()
	ofIntent := stripetest.Object{"id": "ch_1", "object": "charge", "payment_intent": intent.Text("id")}
	ours := stripetest.Object{"id": w.fake.Refunds()[0].Text("id"), "object": "refund", "payment_intent": intent.Text("id")}
	theirs := stripetest.Object{"id": "re_of_the_dashboard", "object": "refund", "payment_intent": intent.Text("id")}
	for _, c := range []struct {
		kind   string
		object stripetest.Object
		charge bool
		look   bool
		refund bool
	}{
		{"payment_intent.succeeded", intent, true, false, false},
		{"payment_intent.payment_failed", intent, true, false, false},
		{"payment_intent.canceled", intent, true, false, false},
		{"payment_intent.processing", intent, true, false, false},
		{"charge.refunded", ofIntent, true, true, false},
		{"charge.dispute.created", ofIntent, true, true, false},
		{"charge.dispute.closed", ofIntent, true, true, false},
		{"refund.updated", ours, false, false, true},
		{"refund.failed", ours, false, false, true},
		{"refund.failed", theirs, true, true, false},
		{"customer.created", stripetest.Object{"id": "cus_1"}, false, false, false},
		{"payment_intent.created", intent, false, false, false},
		{"something.new", stripetest.Object{}, false, false, false},
	} {
		news := w.hear(c.kind, c.object, nil)
		if (news.Charge != nil) != c.charge || c.charge && *news.Charge != id || (news.Refund != nil) != c.refund || c.refund && *news.Refund != refundID ||
			news.Look != c.look || news.Ignored != "" {
			t.Errorf("%s of %s: %+v", c.kind, c.object.Text("id"), news)
		}
	}
}

func TestWhatIsNotOursIsIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.opened()
	i := w.intent()
	for name, c := range map[string]struct {
		kind         string
		object, with stripetest.Object
	}{
		"another account":        {"payment_intent.succeeded", i, stripetest.Object{"account": "acct_other"}},
		"live":                   {"payment_intent.succeeded", i, stripetest.Object{"livemode": true}},
		"another shop's payment": {"payment_intent.succeeded", stripetest.Object{"id": "pi_other", "metadata": i["metadata"]}, nil},
		"another shop's charge":  {"charge.dispute.created", stripetest.Object{"id": "du_1", "payment_intent": "pi_other"}, nil},
		"a charge of no intent":  {"charge.refunded", stripetest.Object{"id": "ch_1", "payment_intent": nil}, nil},
		"another shop's refund":  {"refund.failed", stripetest.Object{"id": "re_other"}, nil},
		"an object that is none": {"payment_intent.succeeded", nil, stripetest.Object{"data": stripetest.Object{"object": "text"}}},
		"no data":                {"payment_intent.succeeded", nil, stripetest.Object{"data": nil}},
	} {
		news := w.hear(c.kind, c.object, c.with)
		if news.Ignored == "" || news.Charge != nil || news.Refund != nil {
			t.Errorf("%s: %+v", name, news)
		}
	}
}

func TestWhatNeedsAttention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.taken()
	intent := w.intent().Text("id")
	look := func(want ...payment.Attention) {
		t.Helper()
		if found, err := w.Look(background, id); err != nil || !slices.Equal(found, want) {
			t.Errorf("%v, %v, want %v", found, err, want)
		}
	}
	look()
	w.refunded(id, 100, nil)
	look() // that was ours
	dispute := w.fake.Dispute(intent, "needs_response")
	look(payment.Disputed)
	w.fake.Change(dispute, stripetest.Object{"status": "won"})
	look()
	w.fake.Change(dispute, stripetest.Object{"status": "lost"})
	look(payment.DisputeLost)
	w.fake.Change(dispute, stripetest.Object{"status": "warning_closed"})
	w.fake.RefundInDashboard(intent, 50)
	look(payment.RefundedElsewhere)
	w.fake.Fail(stripetest.Always(stripetest.Drop, "list disputes"))
	if _, err := w.Look(background, id); err == nil {
		t.Error("nobody is told that Stripe did not answer")
	}
	w.fake.Fail(nil)
	if found, err := w.Look(background, pgdb.NewID()); err != nil || len(found) != 0 {
		t.Errorf("of a charge that there is not: %v, %v", found, err)
	}
}
