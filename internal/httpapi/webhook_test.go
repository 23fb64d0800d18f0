package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

func TestWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeWebhook)
	body := `{"url": "https://shop.example.com/hook", "event_types": ["order.paid"], "description": "stock"}`
	var made, again httpapi.WebhookWithSecret
	r := post(key, "/api/v1/webhooks", body).with("Idempotency-Key", "k")
	a := w.send(t, r)
	a.into(t, 201, &made)
	path := "/api/v1/webhooks/" + made.ID
	if a.header.Get("Location") != path || !made.Enabled || !strings.HasPrefix(made.Secret, "whsec_") || made.Description != "stock" {
		t.Errorf("made is %s, %v", a.body, a.header)
	}
	b := w.send(t, r)
	if b.into(t, 201, &again); b.header.Get("Idempotency-Replayed") != "true" || again.ID != made.ID || again.Secret != made.Secret {
		t.Errorf("the same call again is answered %s, want %s", b.body, a.body)
	}
	w.send(t, post(key, "/api/v1/webhooks", `{"url": "https://other.example.com/"}`).with("Idempotency-Key", "k")).refused(t, 422, "idempotency-key-reused")

	var second httpapi.WebhookWithSecret
	w.send(t, post(key, "/api/v1/webhooks", `{"url": "https://other.example.com/", "enabled": false}`)).into(t, 201, &second)
	if second.Enabled || len(second.EventTypes) != 0 {
		t.Errorf("the second is %+v", second)
	}
	var found []string
	for cursor := ""; ; {
		var page httpapi.WebhookPage
		a := w.send(t, request{method: "GET", path: "/api/v1/webhooks?limit=1" + cursor, token: key})
		a.into(t, 200, &page)
		if strings.Contains(string(a.body), "whsec_") {
			t.Errorf("the list shows a secret: %s", a.body)
		}
		for _, one := range page.Items {
			found = append(found, one.ID)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if !slices.Equal(found, []string{made.ID, second.ID}) {
		t.Errorf("the webhooks are %v", found)
	}

	var changed httpapi.Webhook
	w.send(t, request{method: "PATCH", path: path, token: key, body: `{"event_types": [], "enabled": false}`}).into(t, 200, &changed)
	if changed.Enabled || len(changed.EventTypes) > 0 || changed.Description != "stock" || changed.URL != made.URL {
		t.Errorf("changed it is %+v", changed)
	}
	for _, what := range []string{"test", "replay"} {
		w.send(t, post(key, path+"/"+what, map[string]string{"test": "", "replay": `{"event_id": "` + w.anEvent(t) + `"}`}[what])).refused(t, 409, "conflict")
	}
	w.send(t, request{method: "PATCH", path: path, token: key, body: `{"enabled": true}`}).into(t, 200, &changed)

	var secret httpapi.WebhookSecret
	w.send(t, post(key, path+"/rotate-secret", "")).into(t, 200, &secret)
	if !strings.HasPrefix(secret.Secret, "whsec_") || secret.Secret == made.Secret || w.count(t, "SELECT count(*) FROM webhook_secret WHERE webhook_id = $1", made.ID) != 2 {
		t.Errorf("the new secret is %+v", secret)
	}

	var test, replay httpapi.Delivery
	event := w.anEvent(t)
	w.send(t, post(key, path+"/test", "").with("Idempotency-Key", "t")).into(t, 202, &test)
	w.send(t, post(key, path+"/test", "").with("Idempotency-Key", "t")).into(t, 202, &test)
	w.send(t, post(key, path+"/replay", `{"event_id": "`+event+`"}`)).into(t, 202, &replay)
	w.send(t, post(key, path+"/replay", `{"event_id": "`+made.ID+`"}`)).refused(t, 404, "not-found")
	for query, want := range map[string][]string{
		"": {replay.ID, test.ID}, "?status=delivered": nil, "?status=pending": {replay.ID, test.ID}, "?event_id=" + event: {replay.ID}, "?limit=1": {replay.ID},
	} {
		var page httpapi.DeliveryPage
		w.send(t, request{method: "GET", path: path + "/deliveries" + query, token: key}).into(t, 200, &page)
		var got []string
		for _, d := range page.Items {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the log is %v, want %v", query, got, want)
		}
		if page.NextCursor != nil {
			w.send(t, request{method: "GET", path: path + "/deliveries?cursor=" + *page.NextCursor, token: key}).into(t, 200, &page)
			if len(page.Items) != 1 || page.Items[0].ID != test.ID {
				t.Errorf("the next page is %+v", page.Items)
			}
		}
	}
	w.send(t, request{method: "DELETE", path: path, token: key}).into(t, 204, nil)
	w.send(t, request{method: "GET", path: path, token: key}).refused(t, 404, "not-found")
	w.send(t, request{method: "DELETE", path: path, token: key}).refused(t, 404, "not-found")
	if n := w.count(t, "SELECT count(*) FROM webhook_delivery") + w.count(t, "SELECT count(*) FROM webhook_secret WHERE webhook_id = $1", made.ID); n > 0 {
		t.Errorf("%d rows of it are left", n)
	}
}

// anEvent makes something happen and returns the id of an event.
func (w *world) anEvent(t testing.TB) (id string) {
	t.Helper()
	const insert = `INSERT INTO event (event_id, type, data, created_at) VALUES (gen_random_uuid(), 'order.paid', '{}', now()) RETURNING event_id::text`
	if err := w.db.QueryRow(t.Context(), insert).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestBadWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeWebhook)
	for body, where := range map[string]string{
		`{}`:                              "body",
		`{"url": "http://example.com/"}`:  "body.url",
		`{"url": "https://127.0.0.1/"}`:   "body.url",
		`{"url": "https://localhost/"}`:   "body.url",
		`{"url": "https://10.0.0.1:22/"}`: "body.url",
		`{"url": "https://shop.example.com/", "event_types": ["order.sold"]}`: "body.event_types[0]",
		`{"url": "https://shop.example.com/", "secret": "mine"}`:              "body.secret",
	} {
		p := w.send(t, post(key, "/api/v1/webhooks", body)).refused(t, 422, "validation")
		if len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%s: errors are %v, want one for %s", body, p.Errors, where)
		}
	}
	for i := range 100 {
		w.send(t, post(key, "/api/v1/webhooks", fmt.Sprintf(`{"url": "https://shop.example.com/%d"}`, i))).into(t, 201, nil)
	}
	w.send(t, post(key, "/api/v1/webhooks", `{"url": "https://shop.example.com/101"}`)).refused(t, 409, "conflict")
}
