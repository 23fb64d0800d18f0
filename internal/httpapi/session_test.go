package httpapi_test

import (
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

var startSession = request{method: "POST", path: "/api/v1/session"}

// TestAGuestBuys with the token of a session: on any server that has the secret, also one that is started later, for 24 hours of the database's clock, and
// sees nothing of other guests.
func TestAGuestBuys(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{GuestRate: 30, Buyers: httpapi.Buyers{Secret: []byte(buyerSecret), Audience: "shop"}})
	w.stocked(t, "mug", 5)
	var session, another httpapi.Session
	a := w.send(t, startSession).into(t, 201, &session)
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a token may be cached: %v", a.header)
	}
	if !regexp.MustCompile(`^guest-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`).MatchString(session.Buyer) {
		t.Errorf("a guest is called %q", session.Buyer)
	}
	if life := time.Until(session.ExpiresAt); life < 24*time.Hour-time.Minute || life > 24*time.Hour+time.Minute {
		t.Errorf("the token is good for %s", life)
	}
	w.send(t, startSession.with("Idempotency-Key", "k")).into(t, 201, &another)
	if another.Buyer == session.Buyer || another.Token == session.Token {
		t.Errorf("two visitors are one: %+v", another)
	}
	as := func(s httpapi.Session, method, path string, body any) request {
		return request{method: method, path: path, token: s.Token, body: body}
	}
	var tx httpapi.Transaction
	w.send(t, as(session, "POST", "/order/addToCart", `{"sku": "mug"}`)).into(t, 201, &tx)
	w.send(t, as(another, "GET", "/api/v1/transaction/"+tx.ID, nil)).refused(t, 404, "not-found")
	if n := w.count(t, "SELECT count(*) FROM claim WHERE buyer = $1", session.Buyer); n != 1 {
		t.Errorf("the guest has %d claims", n)
	}
	// A server that takes no guests itself, as after a restart with other settings.
	later := newServer(t, w.db, shop.Options{}, httpapi.Options{Buyers: httpapi.Buyers{Secret: []byte(buyerSecret), Audience: "shop"}})
	var cart httpapi.Cart
	if later.send(t, as(session, "GET", "/api/v1/cart", nil)).into(t, 200, &cart); len(cart.Items) != 1 || cart.Items[0].ID != tx.ID {
		t.Errorf("the guest's cart is %+v", cart)
	}
	later.moveTo(session.ExpiresAt.Add(time.Second))
	later.send(t, as(session, "GET", "/api/v1/cart", nil)).refused(t, 401, "unauthenticated")
}

func TestNoGuestsUnlessTheShopTakesThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if p := w.send(t, startSession).refused(t, 404, "not-found"); !strings.Contains(p.Detail, "no guests") || !strings.Contains(p.Detail, "token") {
		t.Errorf("it says %q", p.Detail)
	}
	_, err := httpapi.New(t.Context(), w.Shop, httpapi.Options{GuestRate: 30, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("guests without a secret: %v", err)
	}
}

// TestGuestsComeOneAfterTheOther: so many from one address, whatever they say of themselves.
func TestGuestsComeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{GuestRate: 3})
	for i := range 3 {
		w.send(t, startSession.with("X-Forwarded-For", "10.0.0."+strconv.Itoa(i))).into(t, 201, nil)
	}
	a := w.send(t, startSession.with("X-Forwarded-For", "10.0.0.9"))
	p := a.refused(t, 429, "too-many-requests")
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	if !strings.Contains(p.Detail, "ask again in a minute") {
		t.Errorf("it says %q", p.Detail)
	}
}
