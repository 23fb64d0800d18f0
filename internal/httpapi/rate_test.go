package httpapi_test

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// hammer sends what nobody has sent yet until it is refused for having come too often, and returns how many were let through: as many as may come at
// once, and those that may come in the time that it took.
func (w *world) hammer(t *testing.T, r request, perSecond int) int {
	t.Helper()
	began, burst := time.Now(), 5*perSecond
	n := w.exhaust(t, r)
	if most := burst + perSecond*int(time.Since(began).Seconds()+1); n < burst || n > most {
		t.Errorf("%s %s was let through %d times, want %d to %d", r.method, r.path, n, burst, most)
	}
	return n
}

// exhaust sends a request until it is refused for having come too often.
func (w *world) exhaust(t *testing.T, r request) int {
	t.Helper()
	for n := range 1000 {
		if a := w.send(t, r); a.status == 429 {
			a.refused(t, 429, "too-many-requests")
			if a.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
			}
			return n
		}
	}
	t.Fatalf("%s %s is never refused", r.method, r.path)
	return 0
}

// lets holds that a request is let through, whatever else becomes of it.
func (w *world) lets(t *testing.T, name string, r request) {
	t.Helper()
	if a := w.send(t, r); a.status == 429 {
		t.Errorf("%s: %s", name, a.body)
	}
}

// TestABuyerWhoHammers is refused on every way before anything is done, with a token or through a key, and nobody else is.
func TestABuyerWhoHammers(t *testing.T) {
	t.Parallel()
	const perSecond = 2
	w := newWorldWith(t, httpapi.Options{BuyerRate: perSecond})
	w.stocked(t, "cup", 5000)
	key := w.key(t, shop.ScopeClaim, shop.ScopeOrder)
	forBuyer := func(buyer string, r request) request { r.token = key; return r.with("Buyer-Id", buyer) }
	claim := goodClaim(claimPaths[0])
	if taken := w.hammer(t, claim, perSecond); w.count(t, "SELECT count(*) FROM claim") != taken {
		t.Errorf("%d claims were let through, and %d made", taken, w.count(t, "SELECT count(*) FROM claim"))
	}
	// A fresh burst for each of the other ways, because a second may pass between two requests.
	for i, path := range []string{claimPaths[1], "/api/v1/order/checkout", "/api/v1/orders/019b1234-5678-7abc-8def-0123456789ab/pay"} {
		w.hammer(t, as(buyer(i), "POST", path, `{}`), perSecond)
	}
	w.hammer(t, forBuyer("key's", claim), perSecond)
	for _, r := range []request{
		as("bob", "POST", claimPaths[0], `{"sku": "cup"}`), forBuyer("carl", claim), get("/api/v1/products"), get("/livez"),
		{method: "GET", path: "/api/v1/orders", token: key},
	} {
		w.lets(t, "somebody else", r)
	}
	// What a refused request was about to do is done when it comes again in time, under the same key.
	again := claim.with("Idempotency-Key", "again")
	w.exhaust(t, as("ann", "GET", "/api/v1/cart", nil))
	for end := time.Now().Add(20 * time.Second); ; {
		if a := w.send(t, again); a.status == 201 {
			break
		} else if a.status != 429 || time.Now().After(end) {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
}

// TestAnAddressThatHammers: whoever is behind it and whatever they say of themselves, but for keys, proxies and private addresses.
func TestAnAddressThatHammers(t *testing.T) {
	t.Parallel()
	const perSecond = 2
	w := newWorldWith(t, httpapi.Options{AddressRate: perSecond, GuestRate: 1000, TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:ff::/48"),
	}})
	w.stocked(t, "cup", 500)
	key := w.key(t, shop.ScopeClaim)
	from := func(r request, hops string) request { return r.with("X-Forwarded-For", hops) }
	keyed := goodClaim(claimPaths[0]).with("Buyer-Id", "ann")
	keyed.token = key
	guess := keyed
	guess.token = shop.KeyPrefix + canary
	for i, r := range []request{
		get("/api/v1/products"), get("/api/v1/products/cup").with("Authorization", "Bearer "+key), startSession, goodClaim(claimPaths[0]),
		{method: "GET", path: "/api/v1/cart"}, {method: "GET", path: "/api/v1/cart", token: "x.y.z"}, guess, get("/api/v1/sales"),
	} {
		w.hammer(t, from(r, "203.0.113."+strconv.Itoa(i+1)), perSecond)
	}
	// 203.0.113.99 has nothing left, in whatever way it is written and whatever it writes before itself.
	const last = "203.0.113.99"
	for _, hops := range []string{
		last, "198.51.100.1, " + last, "127.0.0.1," + last, last + ", 192.0.2.7", last + ":4711", "::ffff:" + last, "rubbish, " + last, last + ",192.0.2.7 , 127.0.0.1",
	} {
		w.countsAs(t, from(get("/api/v1/products"), hops), from(get("/api/v1/products"), last))
	}
	w.countsAs(t, from(get("/api/v1/products"), "[2001:db8:1:2:ffff::1]:80"), from(get("/api/v1/products"), "2001:db8:1:2:3::4"))
	for name, r := range map[string]request{
		"a key":               from(keyed, last+", 198.51.100.9"),
		"another address":     from(get("/api/v1/products"), last+", 198.51.100.1"),
		"another /64":         from(get("/api/v1/products"), "2001:db8:1:3::4"),
		"whether we live":     from(get("/livez"), last),
		"what speaks for all": {method: "POST", path: "/api/v1/payments/stripe/webhook", body: "{}", header: map[string][]string{"X-Forwarded-For": {last}}},
	} {
		w.lets(t, name, r)
	}
	for _, hops := range []string{absent, "", "rubbish", last + ", rubbish", "10.1.2.3", last + ", 10.1.2.3", "192.0.2.1", "100.64.0.1", "fd00::1", "::1", "169.254.1.1"} {
		for range 16 {
			w.lets(t, "what is not public: "+hops, from(get("/api/v1/selling"), hops))
		}
	}
	if got := strings.Count(w.log.take(), "more requests come from an address"); got != 1 {
		t.Errorf("that an address is limited was logged %d times in a minute, want 1", got)
	}
}

// countsAs holds that two requests count as from one address: when the second has nothing left, the first is refused. A second may pass between them, so
// it is tried again.
func (w *world) countsAs(t *testing.T, one, same request) {
	t.Helper()
	for range 20 {
		w.exhaust(t, same)
		if w.send(t, one).status == 429 {
			return
		}
	}
	t.Errorf("X-Forwarded-For %q is not the address of %q", one.header["X-Forwarded-For"], same.header["X-Forwarded-For"])
}

// TestForwardedByNobody: without a proxy that is trusted, nobody says where they come from.
func TestForwardedByNobody(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{AddressRate: 1})
	for range 50 {
		w.lets(t, "a neighbour", get("/api/v1/selling").with("X-Forwarded-For", "203.0.113.1"))
	}
}
