package webhook_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/lastunit/lastunit/internal/shop"
	"github.com/lastunit/lastunit/internal/webhook"
	"github.com/lastunit/lastunit/internal/webhook/address"
)

func TestWhatIsSentIsSignedAndOnlyWhatWasSubscribedTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{})
	w.happen(1, shop.OrderPaid) // before anybody has subscribed
	w.settle()
	some, all := receive(t, nil), receive(t, nil)
	someID, secret := w.subscribe(some.URL, shop.OrderPaid, shop.SaleOpened)
	allID, other := w.subscribe(all.URL)
	id := w.happen(1, shop.OrderPaid)
	w.happen(1, shop.OrderCancelled)
	w.settle()
	w.settle()
	came := some.take()
	if len(came) != 1 || len(all.take()) != 2 || len(w.log(allID)) != 2 {
		t.Fatalf("%+v has come", came)
	}
	g := came[0]
	v, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify([]byte(g.body), g.header); err != nil {
		t.Errorf("the signature is no good: %v", err)
	}
	if verified(t, other, g) {
		t.Error("another's secret verifies it")
	}
	g.body = strings.Replace(g.body, "1.50", "1.51", 1)
	if verified(t, secret, g) {
		t.Error("what was changed on the way verifies")
	}
	var body struct {
		Type      string
		Timestamp time.Time
		Data      map[string]any
	}
	if err := json.Unmarshal([]byte(came[0].body), &body); err != nil || body.Type != "order.paid" || time.Since(body.Timestamp) > time.Minute || body.Data["order_id"] != "o" {
		t.Errorf("the body is %s, %v", came[0].body, err)
	}
	if g.header.Get("webhook-id") != id.String() || g.header.Get("Content-Type") != "application/json" {
		t.Errorf("the header is %v", g.header)
	}
	d := w.only(someID)
	if d.Status != shop.DeliveryIsDelivered || d.EventID != id || d.DueAt != nil || len(d.Attempts) != 1 || d.Attempts[0].Status != 204 {
		t.Errorf("the log says %+v", d)
	}
}

func TestWhatIsNotTakenComesAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{Client: webhook.NewOpenClient(time.Second)})
	at := time.Now().Truncate(time.Millisecond)
	w.moveTo(at)
	release := make(chan struct{})
	defer close(release)
	elsewhere := receive(t, nil)
	r := receive(t, nil)
	id, _ := w.subscribe(r.URL)
	event := w.happen(1, shop.OrderPaid)
	failures := []http.HandlerFunc{
		status(500), status(404), status(302), status(429),
		func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		func(w http.ResponseWriter, _ *http.Request) { // breaks off
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.Close()
		},
		func(http.ResponseWriter, *http.Request) { <-release }, // says nothing
		func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = w.Write([]byte("no \x00 \xff" + strings.Repeat("x", 5000)))
		},
	}
	body := ""
	for i, answer := range failures {
		r.answers(answer)
		w.settle()
		d := w.only(id)
		pause := 5 * time.Second << i
		if d.Status != shop.DeliveryIsPending || d.DueAt == nil || len(d.Attempts) != i+1 || d.DueAt.Before(at.Add(pause*4/5)) || d.DueAt.After(at.Add(pause*6/5)) {
			t.Fatalf("after failure %d the log says %+v, want the next attempt about %s later", i, d, pause)
		}
		came := r.take()
		if len(came) != 1 || came[0].header.Get("webhook-id") != event.String() || body != "" && came[0].body != body {
			t.Fatalf("attempt %d sends %+v", i, came)
		}
		body = came[0].body
		w.moveTo(d.DueAt.Add(-time.Millisecond))
		w.settle()
		if early := r.take(); len(early) > 0 {
			t.Fatalf("attempt %d comes early", i+1)
		}
		at = *d.DueAt
		w.moveTo(at)
	}
	if len(elsewhere.take()) > 0 {
		t.Error("a redirect was followed")
	}
	r.answers(status(200))
	w.settle()
	d := w.only(id)
	if d.Status != shop.DeliveryIsDelivered || len(d.Attempts) != len(failures)+1 {
		t.Fatalf("the log says %+v", d)
	}
	if a := d.Attempts; a[0].Status != 500 || a[5].Error == "" || a[6].Error != "no answer in time" || a[6].Status != 0 || len(a[7].Body) > 1100 || !strings.HasPrefix(a[7].Body, "no ") {
		t.Errorf("the attempts are %+v", a)
	}
	w.moveTo(at.Add(100 * time.Hour))
	w.settle()
	if again := r.take(); len(again) != 1 {
		t.Errorf("what was delivered comes %d times", len(again))
	}
}

func TestGivenUpAfterThreeDaysAndNotBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{})
	begin := time.Now().Truncate(time.Millisecond)
	w.moveTo(begin)
	r := receive(t, status(503))
	id, _ := w.subscribe(r.URL)
	event := w.happen(1, shop.OrderPaid)
	last := begin
	for i := 0; ; i++ {
		w.settle()
		d := w.only(id)
		if d.Status == shop.DeliveryIsGivenUp {
			if d.DueAt != nil {
				t.Errorf("what was given up is due at %s", d.DueAt)
			}
			break
		}
		if i > 60 || d.DueAt.Sub(last) > 4*time.Hour*6/5 {
			t.Fatalf("after %d attempts the log says %+v", i, d)
		}
		last = *d.DueAt
		w.moveTo(last)
	}
	if n := len(r.take()); n < 20 || n > 50 || last.Sub(begin) != 72*time.Hour {
		t.Errorf("given up after %d attempts and %s", n, last.Sub(begin))
	}
	r.answers(nil)
	d, _, err := w.ReplayEvent(w.t.Context(), w.operator(), id, event)
	if err != nil || !d.AskedFor || d.Status != shop.DeliveryIsPending {
		t.Fatalf("the replay is %+v, %v", d, err)
	}
	w.settle()
	if came := r.take(); len(came) != 1 || came[0].header.Get("webhook-id") != event.String() {
		t.Errorf("the replay sends %+v", came)
	}
	w.moveTo(begin.Add(31 * 24 * time.Hour))
	if err := w.ForgetDeliveries(t.Context()); err != nil || len(w.log(id)) != 1 {
		t.Errorf("after 31 days the log says %+v, %v, want the replay alone", w.log(id), err)
	}
}

func TestGoneDisables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{AtOnce: 1})
	at := time.Now().Truncate(time.Millisecond)
	w.moveTo(at)
	r := receive(t, status(http.StatusGone))
	id, _ := w.subscribe(r.URL)
	w.happen(3, shop.OrderPaid)
	w.settle()
	hook, err := w.Webhook(t.Context(), id)
	if err != nil || hook.Enabled || !strings.Contains(hook.DisabledReason, "410") || len(r.take()) != 1 {
		t.Fatalf("after 410 the webhook is %+v, %v", hook, err)
	}
	w.happen(1, shop.OrderPaid) // is missed
	w.settle()
	for _, ask := range []func() (shop.WebhookDelivery, bool, error){
		func() (shop.WebhookDelivery, bool, error) { return w.TestWebhook(t.Context(), w.operator(), id) },
		func() (shop.WebhookDelivery, bool, error) {
			return w.ReplayEvent(t.Context(), w.operator(), id, w.log(id)[0].EventID)
		},
	} {
		if _, _, err := ask(); err == nil || !strings.HasPrefix(err.Error(), "conflict") {
			t.Errorf("on a disabled webhook: %v", err)
		}
	}
	if hook, _, err = w.ChangeWebhook(t.Context(), w.operator(), id, shop.WebhookPatch{Enabled: new(true)}); err != nil || !hook.Enabled || hook.DisabledReason != "" {
		t.Fatalf("enabled again it is %+v, %v", hook, err)
	}
	r.answers(nil)
	w.moveTo(at.Add(time.Minute))
	w.settle()
	if n := len(r.take()); n != 3 {
		t.Errorf("enabled again it is sent %d, want the 3 that were pending", n)
	}
}

func TestADeadReceiverKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{AtOnce: 4})
	release := make(chan struct{})
	const dead, n = 30, 200
	for range dead {
		w.subscribe(receive(t, func(http.ResponseWriter, *http.Request) { <-release }).URL)
	}
	t.Cleanup(func() { // when the test's context has ended, and nothing more is begun
		close(release)
		w.Wait()
	})
	w.happen(n, shop.OrderPaid)
	w.begin() // all of the dead are at it now, or will be
	arrived := make(chan struct{}, 2*n)
	w.subscribe(receive(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} }).URL)
	w.happen(n, shop.OrderPaid)
	w.begin()
	patience := time.After(4 * time.Second) // less than the dead's timeout
	for i := range n {
		select {
		case <-arrived:
		case <-patience:
			t.Fatalf("%d of %d have come while others say nothing", i, n)
		}
	}
}

func TestASecretIsRotatedWithOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{})
	at := time.Now().Truncate(time.Millisecond)
	w.moveTo(at)
	r := receive(t, nil)
	id, first := w.subscribe(r.URL)
	o := w.operator()
	o.Key = "rotate"
	second, replayed, err := w.RotateWebhookSecret(t.Context(), o, id)
	if err != nil || replayed || second == first {
		t.Fatalf("the new secret is %q, %t, %v", second, replayed, err)
	}
	if again, replayed, err := w.RotateWebhookSecret(t.Context(), o, id); err != nil || !replayed || again != second {
		t.Errorf("the same call again answers %q, %t, %v, want the same secret", again, replayed, err)
	}
	for _, c := range []struct {
		after              time.Duration
		withFirst, withNew bool
	}{{0, true, true}, {24*time.Hour - time.Second, true, true}, {24 * time.Hour, false, true}} {
		w.moveTo(at.Add(c.after))
		w.happen(1, shop.OrderPaid)
		w.settle()
		came := r.take()
		if len(came) != 1 || verified(t, first, came[0]) != c.withFirst || verified(t, second, came[0]) != c.withNew {
			t.Errorf("%s after the rotation: %+v", c.after, came)
		}
	}
}

func TestATestEventGoesToOneAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{})
	r, other := receive(t, nil), receive(t, nil)
	id, secret := w.subscribe(r.URL, shop.SaleOpened)
	w.subscribe(other.URL)
	d, _, err := w.TestWebhook(t.Context(), w.operator(), id)
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	came := r.take()
	if len(came) != 1 || len(other.take()) > 0 || came[0].header.Get("webhook-id") != d.EventID.String() || !verified(t, secret, came[0]) || !strings.Contains(came[0].body, `"type":"webhook.test"`) {
		t.Errorf("the test sends %+v", came)
	}
	if events, _, err := w.Events(t.Context(), 0, nil, 10); err != nil || len(events) > 0 {
		t.Errorf("the events are %v, %v", events, err)
	}
}

// TestAnAddressIsCheckedWhenItIsDialled: a name that led to the internet when it was subscribed leads to this machine when it is sent to.
func TestAnAddressIsCheckedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	client := address.NewClient(address.Options{Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}})
	w := newWorld(t, webhook.Options{Client: client})
	id, _ := w.subscribe("https://shop.example.com/hook")
	plain, _ := w.subscribe("http://shop.example.com/hook") // as if the rules had been others then
	w.happen(1, shop.OrderPaid)
	w.settle()
	if d := w.only(id); len(d.Attempts) != 1 || d.Attempts[0].Error != address.NotPublic.Error() {
		t.Errorf("the log says %+v", d)
	}
	if d := w.only(plain); len(d.Attempts) != 1 || d.Attempts[0].Error != address.NotHTTPS.Error() {
		t.Errorf("the log says %+v", d)
	}
	strict := shop.New(w.db, shop.Options{})
	t.Cleanup(strict.Close)
	for _, bad := range []string{"http://example.com/", "https://127.0.0.1/", "https://user@example.com/", "ftp://example.com"} {
		if _, _, _, err := strict.CreateWebhook(t.Context(), w.operator(), shop.WebhookTerms{URL: bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
		if _, _, err := strict.ChangeWebhook(t.Context(), w.operator(), id, shop.WebhookPatch{URL: &bad}); err == nil {
			t.Errorf("%s is taken as a change", bad)
		}
	}
}

// TestWhatASenderDiedWithIsDueAgain, after its lease and not before, and without counting as an attempt.
func TestWhatASenderDiedWithIsDueAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, webhook.Options{})
	at := time.Now().Truncate(time.Millisecond)
	w.moveTo(at)
	r := receive(t, nil)
	id, _ := w.subscribe(r.URL)
	w.happen(1, shop.OrderPaid)
	if err := w.RelayEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, taken, err := w.TakeDeliveries(t.Context(), id, 10, 30*time.Second); err != nil || len(taken) != 1 {
		t.Fatalf("%v, %v", taken, err)
	}
	w.moveTo(at.Add(29 * time.Second))
	w.settle()
	if n := len(r.take()); n != 0 {
		t.Errorf("what another has taken is sent")
	}
	w.moveTo(at.Add(30 * time.Second))
	w.settle()
	if d := w.only(id); len(r.take()) != 1 || d.Status != shop.DeliveryIsDelivered || d.Tries != 1 {
		t.Errorf("the log says %+v", d)
	}
}
