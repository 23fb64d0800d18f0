package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stripe/stripe-go/v86/webhook"

	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
	"github.com/lastunit/lastunit/internal/shop"
)

// FuzzClaimBody: whatever a body is, it makes a transaction or is refused with a problem, and is never a fault of ours.
func FuzzClaimBody(f *testing.F) {
	w := newWorld(f)
	w.stocked(f, "cup", 20)
	f.Add(`{"sku": "cup", "quantity": 1}`)
	for _, bad := range badClaims {
		if text, is := bad.change(goodClaim("")).body.(string); is && len(text) < 4000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, path := range claimPaths {
			r := goodClaim(path)
			r.body = text
			if a := w.send(t, r); a.status != 201 && (a.status < 400 || a.status >= 500) {
				t.Errorf("%s: got %d %s", path, a.status, a.body)
			}
		}
	})
}

// sendable keeps out what no HTTP client can send as a header's value.
func sendable(t *testing.T, values ...string) {
	for _, v := range values {
		if v != strings.TrimSpace(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) || len(v) > 10_000 {
			t.Skip("no client can send it")
		}
	}
}

// FuzzToken: nobody is let in but with the tokens and keys that were made here, whatever they are changed into.
func FuzzToken(f *testing.F) {
	w := newWorld(f)
	exp := time.Now().Truncate(24 * time.Hour).Add(48 * time.Hour).Unix() // the processes that fuzz make the same tokens, each for itself
	good := []string{tokenWith(jwt.MapClaims{"exp": exp}, "ann"), tokenWith(jwt.MapClaims{"exp": exp, "aud": "x"}, "ann")}
	for _, g := range good {
		f.Add("Bearer " + g)
		head, rest, _ := strings.Cut(g, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		for _, alg := range []string{"none", "None", "HS512", "RS256", "", "hs256"} {
			f.Add("Bearer " + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"typ":"JWT"}`, alg)) + "." + payload + "." + signature)
			f.Add("Bearer " + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"jwk":{"kty":"oct","k":""},"kid":"../x","crit":["exp"],"b64":false}`, alg)) + "." + payload + ".")
		}
		f.Add("Bearer " + head + "." + payload + ".")
		f.Add("Bearer " + head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ann","exp":9999999999}`)) + "." + signature)
		f.Add("Bearer " + g + "=")
		f.Add("bearer  " + g)
	}
	for _, text := range []string{"", "Bearer", "Basic YTpi", "Bearer lu_", "Bearer lu_" + strings.Repeat("a", 43), "Bearer e30.e30.e30", "Bearer ..", "Bearer a.b.c.d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		sendable(t, authorization)
		a := w.send(t, request{method: "GET", path: "/api/v1/cart"}.with("Authorization", authorization))
		fields := strings.Fields(authorization)
		known := len(fields) == 2 && slices.ContainsFunc(good, func(g string) bool { return sameToken(g, fields[1]) })
		if a.status == 200 && !known || a.status != 200 && a.status != 401 {
			t.Errorf("%q: got %d %s", authorization, a.status, a.body)
		}
	})
}

// sameToken tells whether two tokens are one: the last character of a signature has bits that mean nothing.
func sameToken(a, b string) bool {
	i, j := strings.LastIndexByte(a, '.'), strings.LastIndexByte(b, '.')
	if i != j || a[:i+1] != b[:j+1] {
		return false
	}
	x, _ := base64.RawURLEncoding.DecodeString(a[i+1:])
	y, err := base64.RawURLEncoding.DecodeString(b[j+1:])
	return err == nil && string(x) == string(y)
}

// FuzzHeaders: whatever a claim's headers say, it is made or refused with a problem.
func FuzzHeaders(f *testing.F) {
	w := newWorld(f)
	w.stocked(f, "cup", 20)
	key := w.key(f, shop.ScopeClaim)
	f.Add("k", "wait=0", "ann", "application/json", "0")
	for name, values := range oddHeaders {
		for _, v := range values {
			if v == absent || len(v) > 300 {
				continue
			}
			sent := map[string]string{"Idempotency-Key": "k", "Prefer": "wait=0", "Buyer-Id": "ann", "Content-Type": "application/json", "Last-Event-Id": "0"}
			if _, has := sent[name]; has {
				sent[name] = v
				f.Add(sent["Idempotency-Key"], sent["Prefer"], sent["Buyer-Id"], sent["Content-Type"], sent["Last-Event-Id"])
			}
		}
	}
	f.Fuzz(func(t *testing.T, once, prefer, buyer, media, last string) {
		sendable(t, once, prefer, buyer, media, last)
		if strings.Contains(prefer, "wait") && !strings.Contains(prefer, "wait=0") {
			t.Skip("it would be waited for")
		}
		claim := request{method: "POST", path: claimPaths[1], token: key, body: `{"sku": "cup"}`}.with("Idempotency-Key", once).with("Prefer", prefer).with("Buyer-Id", buyer).with("Content-Type", media)
		if a := w.send(t, claim); a.status >= 500 {
			t.Errorf("%q: got %d %s", claim.header, a.status, a.body)
		}
		watch := request{method: "GET", path: "/api/v1/transaction/019b1234-5678-7abc-8def-0123456789ab/events", token: key}.with("Buyer-Id", buyer).with("Last-Event-ID", last)
		if a := w.send(t, watch); a.status != 404 && a.status != 422 {
			t.Errorf("%q: got %d %s", watch.header, a.status, a.body)
		}
	})
}

// FuzzCursor: whatever a cursor is, it is one of ours or refused, and shows nobody what is another's.
func FuzzCursor(f *testing.F) {
	w := newWorld(f)
	w.stocked(f, "cup", 50)
	key := w.key(f, shop.ScopeOrder, shop.ScopeSale)
	sale := w.sale(f, "draft", shop.SaleTerms{Items: []shop.SaleItem{of("cup", 0)}}).ID.String()
	for range 3 {
		for _, buyer := range []string{"ann", "bob"} {
			id := w.paid(f, buyer, "cup", 1).ID
			f.Add(base64.RawURLEncoding.EncodeToString(id[:]))
		}
	}
	for _, text := range []string{"", "!", "MQ", "OTIyMzM3MjAzNjg1NDc3NTgwNw", "OTIyMzM3MjAzNjg1NDc3NTgwOA", "LTE", "Y3Vw", "Y3VwAA", strings.Repeat("_", 22), strings.Repeat("A", 201), "MQ==", "MQ\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, r := range []request{
			as("bob", "GET", "/api/v1/orders", nil), get("/api/v1/products"), get("/api/v1/sales"), {method: "GET", path: "/api/v1/events", token: key}, {method: "GET", path: "/api/v1/sales/" + sale + "/changes", token: key},
		} {
			r.path += "?limit=2&cursor=" + url.QueryEscape(cursor)
			a := w.send(t, r)
			if a.status != 200 && a.status != 422 {
				t.Errorf("%s: got %d %s", r.path, a.status, a.body)
			}
			var page struct {
				Items []struct {
					Buyer string `json:"buyer"`
				} `json:"items"`
			}
			if a.path != "/api/v1/orders" || json.Unmarshal(a.body, &page) != nil {
				continue
			}
			for _, o := range page.Items {
				if o.Buyer != "bob" {
					t.Errorf("%q shows bob an order of %s", cursor, o.Buyer)
				}
			}
		}
	})
}

// FuzzStripe: whatever Stripe has signed is heard, ignored or refused; whatever it has not signed is refused, unless it is what it has signed.
func FuzzStripe(f *testing.F) {
	w, fake := withStripe(f)
	o := w.order(f, "ann", w.hold(f, "ann", "mug", 2).ID)
	if _, _, err := w.Pay(f.Context(), "ann", o.ID, "", ""); err != nil {
		f.Fatal(err)
	}
	intent := fake.Intents()[0]
	for _, kind := range []string{"payment_intent.succeeded", "payment_intent.canceled", "payment_intent.payment_failed", "charge.refunded", "charge.dispute.created", "review.opened", "customer.created", ""} {
		for _, object := range []stripetest.Object{intent, {"id": "du_1", "payment_intent": intent.Text("id")}, {"payment_intent": stripetest.Object{"id": intent.Text("id")}}, {}, nil} {
			body, _ := stripetest.Event(kind, object, nil, stripetest.Secret, time.Now())
			f.Add(string(body), "t=1,v1=00")
		}
	}
	for _, text := range []string{"", "{}", "null", "[]", `{"type": 1}`, `{"data": null}`, `{"data": {"object": []}}`, `{"id": "evt", "data": {"object": {"id": {}}}}`, `{"created": 1e99}`, "\xff", "{\"a\":\"\\u0000\"}"} {
		f.Add(text, "")
	}
	f.Fuzz(func(t *testing.T, body, signature string) {
		sendable(t, signature)
		r := request{method: "POST", path: webhookPath, body: body}
		if a := w.send(t, r.with("Stripe-Signature", signature)); a.status != 403 && a.status != 422 && a.status != 413 {
			t.Errorf("%q with %q: got %d %s", body, signature, a.status, a.body)
		}
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: stripetest.Secret, Timestamp: time.Now()})
		if a := w.send(t, r.with("Stripe-Signature", signed.Header)); a.status != 200 && a.status != 422 && a.status != 403 && a.status != 413 {
			t.Errorf("%q, signed: got %d %s", body, a.status, a.body)
		}
	})
}
