package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	const ours, theirs = "https://shop.example", "https://evil.example"
	w := newWorldWith(t, httpapi.Options{CORSOrigins: []string{ours}})
	w.stocked(t, "mug", 5)
	preflight := func(origin, method string) http.Header {
		r := request{method: "OPTIONS", path: claimPaths[0]}.with("Origin", origin).with("Access-Control-Request-Method", method)
		return w.send(t, r.with("Access-Control-Request-Headers", "authorization,buyer-id,content-type,idempotency-key,last-event-id,prefer")).header
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		h := preflight(ours, method)
		if h.Get("Access-Control-Allow-Origin") != ours || !strings.Contains(h.Get("Access-Control-Allow-Methods"), method) {
			t.Errorf("preflight for %s: %v", method, h)
		}
		for _, name := range []string{"authorization", "buyer-id", "content-type", "idempotency-key", "last-event-id", "prefer"} {
			if !strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), name) {
				t.Errorf("preflight for %s does not allow the header %s: %v", method, name, h)
			}
		}
	}
	for _, r := range []request{as("ann", "POST", claimPaths[0], `{"sku": "mug"}`), as("ann", "POST", claimPaths[0], `{"sku": "nothing"}`), {method: "GET", path: "/api/v1/cart"}} {
		h := w.send(t, r.with("Origin", ours)).header
		if h.Get("Access-Control-Allow-Origin") != ours || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %v", r.method, r.path, h)
		}
		for _, name := range []string{"Date", "Location", "Retry-After", "Idempotency-Replayed", "Preference-Applied"} {
			if !strings.Contains(h.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s %s does not expose %s: %v", r.method, r.path, name, h)
			}
		}
		for _, origin := range []string{theirs, "null", ours + ".evil.example"} {
			nothingForOthers(t, w.send(t, r.with("Origin", origin)).header)
		}
	}
	nothingForOthers(t, preflight(theirs, "POST"))

	closed := newWorld(t)
	nothingForOthers(t, closed.send(t, get("/api/v1/products").with("Origin", ours)).header)
}

func nothingForOthers(t *testing.T, h http.Header) {
	t.Helper()
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("an origin that is not allowed is told %s: %v", name, h[name])
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/livez", "/api/v1/cart", "/nowhere", "/problems"} {
		if got := w.send(t, get(path).with("X-Request-Id", "Req_1.a-b")).header.Get("X-Request-Id"); got != "Req_1.a-b" {
			t.Errorf("%s: a good id came back as %q", path, got)
		}
		seen := map[string]bool{}
		for _, bad := range []string{absent, "", canary + " x", canary + "\"", strings.Repeat("x", 65), canary + "\xff", "ü"} {
			got := w.send(t, get(path).with("X-Request-Id", bad)).header.Values("X-Request-Id")
			if len(got) != 1 || len(got[0]) != 36 || seen[got[0]] {
				t.Errorf("%s: %q was replaced with %q", path, bad, got)
			}
			seen[got[0]] = true
		}
	}
}

// TestFault: what breaks is logged with the request's id, and the caller learns nothing but that.
func TestFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 5)
	if _, err := w.db.Exec(t.Context(), "ALTER TABLE claim RENAME TO "+strings.ToLower(canary)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []request{
		as("ann", "POST", claimPaths[0], `{"sku": "mug"}`), as("ann", "POST", claimPaths[1], `{"sku": "mug"}`), as("ann", "GET", "/api/v1/cart", nil),
	} {
		a := w.send(t, r.with("X-Request-Id", "broken-1"))
		a.refused(t, 500, "internal")
		if bytes.Contains(a.body, []byte("relation")) || bytes.Contains(a.body, []byte("claim\"")) {
			t.Errorf("the caller learns %s", a.body)
		}
	}
	faults := strings.Count(w.log.take(), `"msg":"fault"`)
	if faults != 3 {
		t.Errorf("3 faults were logged %d times", faults)
	}
}

// TestPanic: what a panic has at hand is neither told nor logged.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{Claim: func(context.Context, shop.ClaimRequest) (shop.Claimed, error) {
		none := strings.Fields("")
		return shop.Claimed{}, errors.New(none[len(none)])
	}})
	key := w.key(t, shop.ScopeClaim)
	for _, r := range []request{goodClaim(claimPaths[0]), {method: "POST", path: claimPaths[0], token: key, header: http.Header{"Buyer-Id": {"ann"}}, body: `{"sku": "cup"}`}} {
		r = r.with("Idempotency-Key", canary)
		r.body = `{"sku": "cup", "reference": "` + canary + `"}`
		w.send(t, r).refused(t, 500, "internal")
		logged := w.log.take()
		if !strings.Contains(logged, `"msg":"panic"`) || !strings.Contains(logged, "out of range") {
			t.Errorf("logged: %s", logged)
		}
		for _, secret := range []string{canary, r.token, buyerSecret} {
			if strings.Contains(logged, secret) {
				t.Errorf("logged %s: %s", secret, logged)
			}
		}
	}
}

func TestNoSuchAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/nowhere", "/api/v1/products/", "/api/v1/products/mug/", "/api/v2/products", "/api/v1/order/addtocart", "/" + canary, "//livez", "/livez/"} {
		for _, method := range []string{"GET", "POST", "DELETE", "PATCH"} {
			w.send(t, request{method: method, path: path, token: token("ann")}).refused(t, 404, "not-found")
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h httpapi.Health
	w.send(t, get("/livez")).into(t, 200, &h)
	// The tests' PostgreSQL runs without fsync, so it would lose answers.
	a := w.send(t, get("/readyz"))
	if p := a.refused(t, 503, "busy"); !strings.Contains(p.Detail, "fsync") || a.header.Get("Retry-After") == "" {
		t.Errorf("/readyz says %s", a.body)
	}
}
