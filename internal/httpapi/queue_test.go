package httpapi_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// stopped keeps the queue of a product from being settled, by taking the turn at it, until the function that it returns is called.
func (w *world) stopped(t testing.TB, sku string) (goOn func()) {
	t.Helper()
	const begin = `INSERT INTO queue_head SELECT product_id, 0, 0 FROM product WHERE sku = $1 ON CONFLICT DO NOTHING`
	if _, err := w.db.Exec(t.Context(), begin, sku); err != nil {
		t.Fatal(err)
	}
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	goOn = func() { _ = tx.Rollback(context.Background()) }
	t.Cleanup(goOn)
	var place int64
	const turn = `SELECT place FROM queue_head JOIN product USING (product_id) WHERE sku = $1 FOR NO KEY UPDATE OF queue_head`
	if err := tx.QueryRow(t.Context(), turn, sku).Scan(&place); err != nil {
		t.Fatal(err)
	}
	return goOn
}

// queued is a request for units that is answered at once.
func queued(buyer, sku string, quantity int) request {
	return as(buyer, "POST", claimPaths[1], fmt.Sprintf(`{"sku": "%s", "quantity": %d}`, sku, quantity))
}

// enqueue has a request accepted.
func (w *world) enqueue(t testing.TB, buyer, sku string, quantity int) (tx httpapi.Transaction) {
	t.Helper()
	w.send(t, queued(buyer, sku, quantity)).into(t, 202, &tx)
	return tx
}

// look reads a transaction; a query may wait for it.
func (w *world) look(t testing.TB, buyer, id, query string) (tx httpapi.Transaction) {
	t.Helper()
	w.send(t, as(buyer, "GET", "/api/v1/transaction/"+id+query, nil)).into(t, 200, &tx)
	return tx
}

// waitFor polls until something is so.
func waitFor(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// TestQueued follows two requests from 202 to their units.
func TestQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	goOn := w.stopped(t, "mug")
	want := map[string]int64{"ann": 0, "bob": 3, "cat": 5}
	made := map[string]httpapi.Transaction{}
	for i, buyer := range []string{"ann", "bob", "cat"} {
		var tx httpapi.Transaction
		a := w.send(t, queued(buyer, "mug", 3-i)).into(t, 202, &tx)
		if at := a.header.Get("Location"); at != "/api/v1/transaction/"+tx.ID {
			t.Errorf("Location is %q", at)
		}
		if a.header.Get("Retry-After") != "1" || a.header.Get("Idempotency-Replayed") != "" || a.header.Get("Preference-Applied") != "" {
			t.Errorf("the headers are %v", a.header)
		}
		if tx.Status != "queued" || tx.QueuePosition == nil || *tx.QueuePosition != want[buyer] || tx.SKU != "mug" || tx.Quantity != 3-i ||
			tx.UnitIDs == nil || len(tx.UnitIDs) != 0 || tx.Price != nil || tx.ExpiresAt != nil || tx.Reason != nil || tx.CreatedAt.IsZero() {
			t.Errorf("%s made %s", buyer, a.body)
		}
		if read := w.look(t, buyer, tx.ID, ""); !reflect.DeepEqual(read, tx) {
			t.Errorf("accepted as %+v, read as %+v", tx, read)
		}
		c := w.cart(t, buyer)
		if len(c.Items) != 0 || len(c.Totals) != 0 || c.NextExpiry != nil || len(c.Queued) != 1 || !reflect.DeepEqual(c.Queued[0], tx) {
			t.Errorf("the cart is %+v, want %+v in its queue", c, tx)
		}
		made[buyer] = tx
	}
	if got, want := w.rows(t), [3]int{3, 0, 10}; got != want {
		t.Errorf("claims, their units and tokens are %v, want %v", got, want)
	}
	goOn()
	for buyer, tx := range made {
		got := w.look(t, buyer, tx.ID, "?wait=20")
		if got.Status != "held" || len(got.UnitIDs) != tx.Quantity || got.QueuePosition != nil || got.ExpiresAt == nil ||
			*got.Price != (httpapi.Money{Amount: 1250, Currency: "EUR"}) || !got.CreatedAt.Equal(tx.CreatedAt) {
			t.Errorf("%s got %+v", buyer, got)
		}
		if c := w.cart(t, buyer); len(c.Queued) != 0 || len(c.Items) != 1 || !reflect.DeepEqual(c.Items[0], got) {
			t.Errorf("the cart is %+v, want %+v in it", c, got)
		}
	}
}

// TestWhatNeedsNoStock is answered at once, though the queue does not move, and is not stored.
func TestWhatNeedsNoStock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 5)
	w.stocked(t, "off", 5)
	w.stocked(t, "gone", 1)
	if _, _, err := w.PutProduct(t.Context(), shop.Product{SKU: "off"}); err != nil {
		t.Fatal(err)
	}
	w.send(t, post(w.key(t, shop.ScopeStock), "/api/v1/products/gone/withdrawals", `{"quantity": 1, "reason": "gone"}`)).into(t, 201, nil)
	for _, sku := range []string{"mug", "off", "gone"} {
		w.stopped(t, sku)
	}
	for _, prefer := range []string{absent, "wait=30"} {
		for _, bad := range []badClaim{
			{"unknown", body(`{"sku": "nothing"}`), 404, "not-found", ""},
			{"off sale", body(`{"sku": "off"}`), 409, "not-selling", ""},
			{"sold out", body(`{"sku": "gone"}`), 409, "sold-out", ""},
			invalidAt("body.quantity", "too many", body(`{"sku": "mug", "quantity": 11}`)),
			invalidAt("body.quantity", "none", body(`{"sku": "mug", "quantity": 0}`)),
		} {
			r := bad.change(queued("ann", "mug", 1)).with("Prefer", prefer).with("Idempotency-Key", "k")
			w.refuses(t, r, bad)
			if a := w.send(t, r); a.header.Get("Idempotency-Replayed") != "" || a.header.Get("Location") != "" {
				t.Errorf("%s was stored: %v", bad.name, a.header)
			}
		}
	}
	a := w.send(t, queued("ann", "mug", 1).with("Idempotency-Key", "k")).into(t, 202, nil)
	if a.header.Get("Idempotency-Replayed") != "" {
		t.Error("a refusal at once has taken the key")
	}
}

// TestReplayOfAQueuedRequest: on any way and any server it shows the transaction as it now is.
func TestReplayOfAQueuedRequest(t *testing.T) {
	t.Parallel()
	quick := shop.Options{ClaimWait: 300 * time.Millisecond}
	w := newShop(t, quick)
	other := w.beside(t, quick)
	w.stocked(t, "mug", 2)
	goOn := w.stopped(t, "mug")
	made := map[string]string{}
	for _, buyer := range []string{"ann", "bob"} {
		var tx httpapi.Transaction
		w.send(t, queued(buyer, "mug", 2).with("Idempotency-Key", "k")).into(t, 202, &tx)
		made[buyer] = tx.ID
	}
	replays := func(buyer string, check func(a answer)) {
		t.Helper()
		r := queued(buyer, "mug", 2).with("Idempotency-Key", "k")
		direct := r
		direct.path = claimPaths[0]
		for _, server := range []*world{w, other} {
			for _, again := range []request{r, r.with("Prefer", "wait=1"), direct} {
				a := server.send(t, again)
				if a.header.Get("Idempotency-Replayed") != "true" || a.header.Get("Location") != "/api/v1/transaction/"+made[buyer] {
					t.Errorf("the replay is %d %v %s", a.status, a.header, a.body)
				}
				check(a)
				again.body = `{"sku": "mug", "quantity": 1}`
				server.refuses(t, again, badClaim{status: 422, code: "idempotency-key-reused"})
			}
		}
	}
	shows := func(status int, want string) func(answer) {
		return func(a answer) {
			t.Helper()
			var tx httpapi.Transaction
			a.into(t, status, &tx)
			if tx.Status != want || (a.header.Get("Retry-After") != "") != (want == "queued") || (len(tx.UnitIDs) == 2) == (want == "queued") {
				t.Errorf("the replay is %v %s, want it %s", a.header, a.body, want)
			}
		}
	}
	replays("ann", shows(202, "queued"))
	replays("bob", shows(202, "queued"))
	goOn()
	w.look(t, "bob", made["bob"], "?wait=20")
	replays("ann", shows(201, "held"))
	refused := func(a answer) { a.refused(t, 409, "all-held") }
	replays("bob", refused)
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+made["ann"], nil)).into(t, 204, nil)
	replays("ann", shows(201, "released"))
	replays("bob", refused) // although there are units now
	if got, want := w.rows(t), [3]int{2, 2, 2}; got != want {
		t.Errorf("claims, their units and tokens are %v, want %v", got, want)
	}
}

func TestCancelQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	w.stocked(t, "mug", 10)
	goOn := w.stopped(t, "mug")
	var tx, replayed httpapi.Transaction
	keyed := queued("ann", "mug", 4).with("Idempotency-Key", "k")
	w.send(t, keyed).into(t, 202, &tx)
	behind := w.enqueue(t, "bob", "mug", 1)
	known := asks(t, "ann", tx.ID, w, other)
	still(t, known, "?wait=60")
	at := "/api/v1/cart/" + tx.ID
	w.send(t, as("bob", "DELETE", at, nil)).refused(t, 404, "not-found")
	w.send(t, as("ann", "DELETE", at, nil)).into(t, 204, nil)
	other.send(t, as("ann", "DELETE", at, nil)).into(t, 204, nil)
	w.send(t, as("bob", "DELETE", at, nil)).refused(t, 404, "not-found")
	for range 2 {
		var got httpapi.Transaction
		if (<-known).into(t, 200, &got); got.Status != "released" || got.QueuePosition != nil || got.Reason != nil || len(got.UnitIDs) != 0 {
			t.Errorf("who waited is told %+v", got)
		}
	}
	if got := w.look(t, "bob", behind.ID, ""); *behind.QueuePosition != 4 || *got.QueuePosition != 0 {
		t.Errorf("who is behind was at %d and is at %d", *behind.QueuePosition, *got.QueuePosition)
	}
	if c := w.cart(t, "ann"); len(c.Items)+len(c.Queued) != 0 {
		t.Errorf("the cart is %+v", c)
	}
	goOn()
	if got := w.look(t, "bob", behind.ID, "?wait=20"); got.Status != "held" {
		t.Errorf("who is behind is %+v", got)
	}
	if w.send(t, keyed).into(t, 201, &replayed); replayed.ID != tx.ID || replayed.Status != "released" {
		t.Errorf("the replay is %+v", replayed)
	}
	if got, want := w.rows(t), [3]int{2, 1, 9}; got != want {
		t.Errorf("claims, their units and tokens are %v, want %v", got, want)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := newShop(t, shop.Options{Limits: shop.Limits{QueuePerBuyer: 2, QueueUnits: 5}})
	w.stocked(t, "mug", 10)
	goOn := w.stopped(t, "mug")
	first := w.enqueue(t, "ann", "mug", 1)
	w.enqueue(t, "ann", "mug", 1)
	refused := func(r request, status int, code string) {
		t.Helper()
		for _, prefer := range []string{absent, "wait=30"} {
			before := w.rows(t)
			a := w.send(t, r.with("Prefer", prefer).with("Idempotency-Key", "k"))
			if a.refused(t, status, code); a.header.Get("Retry-After") == "" || a.header.Get("Location") != "" {
				t.Errorf("%s has the headers %v", code, a.header)
			}
			if after := w.rows(t); after != before {
				t.Errorf("%s: claims, their units and tokens went from %v to %v", code, before, after)
			}
		}
	}
	refused(queued("ann", "mug", 1), 429, "too-many-requests")
	refused(queued("bob", "mug", 4), 503, "busy")
	last := w.enqueue(t, "bob", "mug", 3)
	refused(queued("cat", "mug", 1), 503, "busy")
	// Room is made by cancelling; the keys of what was refused are free.
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+first.ID, nil)).into(t, 204, nil)
	refused(queued("ann", "mug", 1), 503, "busy") // the places of what was cancelled are not given out again before the queue moves
	goOn()
	if got := w.look(t, "bob", last.ID, "?wait=20"); got.Status != "held" {
		t.Errorf("the last is %+v", got)
	}
	for _, buyer := range []string{"ann", "bob", "cat"} {
		a := w.send(t, decided(queued(buyer, "mug", 1)).with("Idempotency-Key", "k")).into(t, 201, nil)
		if a.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("what %s was refused was stored", buyer)
		}
	}
}
