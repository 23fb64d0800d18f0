package httpapi_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// as is a request of a buyer's.
func as(buyer, method, path string, body any) request {
	return request{method: method, path: path, token: token(buyer), body: body}
}

func (w *world) cart(t *testing.T, buyer string) (c httpapi.Cart) {
	t.Helper()
	w.send(t, as(buyer, "GET", "/api/v1/cart", nil)).into(t, 200, &c)
	return c
}

func TestClaimAndRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	w.moveTo(time.Now().Truncate(time.Second))
	for i, path := range claimPaths {
		var tx, read, replayed httpapi.Transaction
		r := decided(as("ann", "POST", path, `{"sku": "mug", "quantity": 2}`).with("Idempotency-Key", buyer(i)))
		made := w.replayed(t, r, 201).into(t, 201, &tx)
		if tx.Status != "held" || tx.SKU != "mug" || tx.Quantity != 2 || len(tx.UnitIDs) != 2 || tx.ExpiresAt == nil ||
			*tx.Price != (httpapi.Money{Amount: 1250, Currency: "EUR"}) || tx.OrderID != nil || tx.Reason != nil {
			t.Errorf("%s made %+v", path, tx)
		}
		if got := tx.ExpiresAt.Sub(tx.CreatedAt); got != 10*time.Minute {
			t.Errorf("the hold lasts %v", got)
		}
		at := made.header.Get("Location")
		if at != "/api/v1/transaction/"+tx.ID {
			t.Errorf("Location is %q", at)
		}
		w.send(t, as("ann", "GET", at+"?wait=20", nil)).into(t, 200, &read)
		if !reflect.DeepEqual(tx, read) {
			t.Errorf("%s has %+v, want %+v", at, read, tx)
		}
		w.send(t, as("bob", "GET", at, nil)).refused(t, 404, "not-found")
		release := as("ann", "DELETE", "/api/v1/cart/"+tx.ID, nil)
		w.send(t, as("bob", "DELETE", release.path, nil)).refused(t, 404, "not-found")
		for range 2 {
			if a := w.send(t, release).into(t, 204, nil); len(a.body) > 0 {
				t.Errorf("a 204 has a body: %s", a.body)
			}
		}
		// A replay shows the transaction as it now is, on either way.
		other := r
		other.path = claimPaths[1-i]
		for _, again := range []request{r, other} {
			w.send(t, again).into(t, 201, &replayed)
			if replayed.ID != tx.ID || replayed.Status != "released" || !slices.Equal(replayed.UnitIDs, tx.UnitIDs) {
				t.Errorf("the replay is %+v", replayed)
			}
		}
	}
	if got := w.count(t, "SELECT count(*) FROM stock_token"); got != 10 {
		t.Errorf("%d units are available, want 10", got)
	}
}

// TestKeyActsForBuyer: a back end's claim is the buyer's own.
func TestKeyActsForBuyer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	secret := w.key(t, shop.ScopeClaim)
	var tx httpapi.Transaction
	for i, r := range []request{
		goodClaim(claimPaths[0]).with("Idempotency-Key", "one"),
		{method: "POST", path: claimPaths[1], token: secret, body: goodClaim("").body, header: http.Header{"Buyer-Id": {"ann"}, "Idempotency-Key": {"one"}}},
	} {
		r.body = `{"sku": "mug"}`
		if a := w.send(t, r).into(t, 201, &tx); (a.header.Get("Idempotency-Replayed") == "true") != (i == 1) {
			t.Errorf("claim %d: Idempotency-Replayed is %q", i, a.header.Get("Idempotency-Replayed"))
		}
	}
	if c := w.cart(t, "ann"); len(c.Items) != 1 || c.Items[0].ID != tx.ID {
		t.Errorf("the cart is %+v, want %s in it", c, tx.ID)
	}
	for buyer, status := range map[string]int{"bob": 404, "ann": 204} {
		r := request{method: "DELETE", path: "/api/v1/cart/" + tx.ID, token: secret}
		if a := w.send(t, r.with("Buyer-Id", buyer)); a.status != status {
			t.Errorf("release for %s: got %d, want %d", buyer, a.status, status)
		}
	}
}

func TestPrefer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 50)
	for prefer, applied := range map[string]string{
		"wait=5": "wait=5", "wait=0": "wait=0", "wait=31": "wait=30", "wait=100": "wait=30", "respond-async, wait=7": "wait=7", `Wait="9"`: "wait=9",
		"wait=8; unit=s": "wait=8", "wait = 6": "wait=6", "wait=3, wait=4": "wait=3", "wait=x, wait=4": "", "wait=+4": "",
		"wait": "", "wait=": "", "wait=-1": "", "wait=" + canary: "", "wait=1.5": "", "return=minimal": "", "wait=99999999999999999999": "", "": "", absent: "",
	} {
		status := 201
		if applied == "" || applied == "wait=0" {
			status = 202
		}
		var tx, settled httpapi.Transaction
		a := w.send(t, as("ann", "POST", claimPaths[1], `{"sku": "mug"}`).with("Prefer", prefer)).into(t, status, &tx)
		if got := a.header.Get("Preference-Applied"); got != applied {
			t.Errorf("Prefer %q: Preference-Applied is %q, want %q", prefer, got, applied)
		}
		w.send(t, as("ann", "GET", "/api/v1/transaction/"+tx.ID+"?wait=20", nil)).into(t, 200, &settled)
		if settled.Status != "held" || (tx.Status == "held") != (status == 201) {
			t.Errorf("Prefer %q: it is %s, then %s", prefer, tx.Status, settled.Status)
		}
	}
	w.send(t, as("ann", "POST", claimPaths[1], `{"sku": "nothing"}`).with("Prefer", "wait=5")).refused(t, 404, "not-found")
}

func TestCart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	w.stocked(t, "cup", 10)
	key := w.key(t, shop.ScopeCatalog)
	w.send(t, put(key, "cup", `{"price": {"amount": 300, "currency": "CHF"}}`)).into(t, 200, nil)
	if a := w.send(t, as("ann", "GET", "/api/v1/cart", nil)); string(a.body) != "{\"items\":[],\"queued\":[],\"totals\":[],\"next_expiry\":null}\n" {
		t.Errorf("an empty cart is %s", a.body)
	}
	first := w.hold(t, "ann", "mug", 2)
	w.hold(t, "ann", "cup", 3)
	w.send(t, put(key, "mug", `{"price": {"amount": 9900, "currency": "EUR"}}`)).into(t, 200, nil)
	w.hold(t, "ann", "mug", 1)
	w.send(t, put(key, "mug", `{}`)).into(t, 200, nil)
	w.hold(t, "ann", "mug", 1)
	w.hold(t, "bob", "mug", 1)
	c := w.cart(t, "ann")
	want := []httpapi.Money{{Amount: 900, Currency: "CHF"}, {Amount: 2*1250 + 9900, Currency: "EUR"}}
	if len(c.Items) != 4 || c.Items[0].ID != first.ID || !slices.Equal(c.Totals, want) {
		t.Errorf("the cart is %+v", c)
	}
	if c.Items[0].Price.Amount != 1250 || c.Items[2].Price.Amount != 9900 || c.Items[3].Price != nil {
		t.Errorf("the prices are not those of when it was held: %+v", c.Items)
	}
	if c.NextExpiry == nil || !c.NextExpiry.Equal(*c.Items[0].ExpiresAt) {
		t.Errorf("next_expiry is %v, want %v", c.NextExpiry, c.Items[0].ExpiresAt)
	}
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+first.ID, nil)).into(t, 204, nil)
	if c := w.cart(t, "ann"); len(c.Items) != 3 || c.Totals[1].Amount != 9900 {
		t.Errorf("after a release the cart is %+v", c)
	}
}

func TestLapsedHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	var tx, replayed httpapi.Transaction
	r := as("ann", "POST", claimPaths[0], `{"sku": "mug"}`).with("Idempotency-Key", "one")
	w.send(t, r).into(t, 201, &tx)
	w.moveTo(*tx.ExpiresAt)
	w.send(t, r).into(t, 201, &replayed)
	if replayed.ID != tx.ID || replayed.Status != "expired" {
		t.Errorf("the replay of a lapsed hold is %+v", replayed)
	}
	w.send(t, as("ann", "GET", "/api/v1/transaction/"+tx.ID, nil)).into(t, 200, &replayed)
	if replayed.Status != "expired" {
		t.Errorf("the lapsed hold is %s", replayed.Status)
	}
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+tx.ID, nil)).into(t, 204, nil)
	if c := w.cart(t, "ann"); len(c.Items) != 0 || c.NextExpiry != nil {
		t.Errorf("the cart is %+v", c)
	}
	w.send(t, as("bob", "POST", claimPaths[0], `{"sku": "mug"}`)).into(t, 201, nil)
}

func TestShortages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 3)
	w.moveTo(time.Now().Truncate(time.Second))
	for _, path := range claimPaths {
		claim := func(n string) answer {
			r := as("bob", "POST", path, `{"sku": "mug", "quantity": `+n+`}`).with("Idempotency-Key", "bob")
			if path == claimPaths[1] { // a refusal in its turn is stored, with its key
				r = r.with("Idempotency-Key", "bob "+n).with("Prefer", "wait=20")
			}
			return w.send(t, r)
		}
		held := w.hold(t, "ann", "mug", 1)
		if p := claim("3").refused(t, 409, "not-enough-units"); p.Available == nil || *p.Available != 2 {
			t.Errorf("available is %v, want 2", p.Available)
		}
		rest := w.hold(t, "ann", "mug", 2)
		a := claim("1")
		p := a.refused(t, 409, "all-held")
		if want := w.now().Add(10 * time.Minute); p.NextReleaseAt == nil || !p.NextReleaseAt.Equal(want) || a.header.Get("Retry-After") != "600" {
			t.Errorf("next_release_at is %v, want %v; Retry-After is %q", p.NextReleaseAt, want, a.header.Get("Retry-After"))
		}
		for _, id := range []string{held.ID, rest.ID} {
			w.send(t, as("ann", "DELETE", "/api/v1/cart/"+id, nil)).into(t, 204, nil)
		}
	}
	stock := w.key(t, shop.ScopeStock)
	w.send(t, post(stock, withdrawals, `{"quantity": 3, "reason": "gone"}`)).into(t, 201, nil)
	for _, path := range claimPaths {
		r := as("bob", "POST", path, `{"sku": "mug"}`).with("Idempotency-Key", "bob")
		p := w.send(t, r).refused(t, 409, "sold-out")
		if p.NextReleaseAt != nil || p.Available != nil {
			t.Errorf("sold-out promises %+v", p)
		}
	}
	// Direct refusals, and those at once, are not stored: the key of all of them is still free.
	w.stock(t, "mug", 1)
	a := w.send(t, as("bob", "POST", claimPaths[0], `{"sku": "mug"}`).with("Idempotency-Key", "bob")).into(t, 201, nil)
	if a.header.Get("Idempotency-Replayed") != "" {
		t.Error("a refusal was stored")
	}
}

func TestBadTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 3)
	tx := w.hold(t, "ann", "mug", 1)
	for _, id := range []string{"019b1234-5678-7abc-8def-0123456789ab", tx.UnitIDs[0], canary, "%00", "%ff", "..%2f", tx.ID + "0", strings.Repeat("0", 300), "{" + tx.ID + "}"} {
		w.send(t, as("ann", "GET", "/api/v1/transaction/"+id, nil)).refused(t, 404, "not-found")
		w.send(t, as("ann", "GET", "/api/v1/transaction/"+id+"/events", nil)).refused(t, 404, "not-found")
		w.send(t, as("ann", "DELETE", "/api/v1/cart/"+id, nil)).refused(t, 404, "not-found")
	}
	for _, wait := range []string{"-1", "61", "x", "1.5", "99999999999999999999"} {
		p := w.send(t, as("ann", "GET", "/api/v1/transaction/"+tx.ID+"?wait="+wait, nil)).refused(t, 422, "validation")
		if len(p.Errors) == 0 || p.Errors[0].Location != "query.wait" {
			t.Errorf("wait=%s: errors are %v", wait, p.Errors)
		}
	}
	w.order(t, "ann", tx.ID)
	if p := w.send(t, as("ann", "DELETE", "/api/v1/cart/"+tx.ID, nil)).refused(t, 409, "conflict"); p.State != "ordered" {
		t.Errorf("the state is %q, want ordered", p.State)
	}
}
