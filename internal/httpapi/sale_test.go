package httpapi_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// claims sends a claim and waits for its turn, if it is to be queued.
func (w *world) claims(t testing.TB, path, buyer, sku string, quantity int, more ...string) answer {
	t.Helper()
	body := fmt.Sprintf(`{"sku": %q, "quantity": %d%s}`, sku, quantity, strings.Join(more, ""))
	return w.send(t, decided(as(buyer, "POST", path, body)))
}

// through names a sale in a claim.
func through(sale shop.Sale) string { return fmt.Sprintf(`, "sale_id": %q`, sale.ID) }

func (w *world) product(t testing.TB, sku string) (p httpapi.Product) {
	t.Helper()
	w.send(t, get("/api/v1/products/"+sku)).into(t, 200, &p)
	return p
}

// soon is an instant at which tokens are still good.
func soon() time.Time { return time.Now().Add(20 * time.Minute).UTC().Truncate(time.Second) }

// TestASaleOpensAndClosesByTheClock: nobody needs to be awake, and no housekeeping to run.
func TestASaleOpensAndClosesByTheClock(t *testing.T) {
	t.Parallel()
	for i, path := range claimPaths {
		w := newWorld(t)
		w.stocked(t, "mug", 20)
		opens := soon()
		closes := opens.Add(10 * time.Minute)
		w.moveTo(opens.Add(-time.Minute))
		sale := w.sale(t, "scheduled", shop.SaleTerms{OpensAt: opens, ClosesAt: closes, Items: []shop.SaleItem{of("mug", 0)}})
		is := func(status string) {
			t.Helper()
			var shown httpapi.Sale
			w.send(t, get("/api/v1/sales/"+sale.ID.String())).into(t, 200, &shown)
			if shown.Status != status {
				t.Errorf("the sale is %s, want %s", shown.Status, status)
			}
		}
		shown := func(status string) {
			t.Helper()
			if p := w.product(t, "mug"); p.Availability.Status != status {
				t.Errorf("the product is %+v, want %s", p.Availability, status)
			}
		}

		w.moveTo(opens.Add(-time.Microsecond))
		for _, more := range []string{"", through(sale)} {
			if p := w.claims(t, path, "ann", "mug", 1, more).refused(t, 409, "sale-not-open"); p.OpensAt == nil || !p.OpensAt.Equal(opens) {
				t.Errorf("opens_at is %v, want %v", p.OpensAt, opens)
			}
		}
		is("scheduled")
		shown("not_open")
		if p := w.product(t, "mug").Sale; p == nil || p.ID != sale.ID.String() || p.Name != "Sale" || p.Status != "scheduled" || !p.OpensAt.Equal(opens) ||
			!p.ClosesAt.Equal(closes) || p.Price != (httpapi.Money{Amount: 999, Currency: "EUR"}) || p.PurchaseLimit != nil || p.MaxQuantity != 10 || p.Allotted {
			t.Errorf("the product shows the sale %+v", p)
		}

		w.moveTo(opens)
		var tx httpapi.Transaction
		w.claims(t, path, "ann", "mug", 1).into(t, 201, &tx)
		if *tx.SaleID != sale.ID.String() || *tx.Price != (httpapi.Money{Amount: 999, Currency: "EUR"}) || tx.ExpiresAt.Sub(opens) != 5*time.Minute {
			t.Errorf("the first claim is %+v", tx)
		}
		is("open")
		shown("available")

		w.moveTo(closes.Add(-time.Microsecond))
		w.claims(t, path, "ann", "mug", 1, through(sale)).into(t, 201, &tx)
		w.moveTo(closes)
		w.claims(t, path, "ann", "mug", 1, through(sale)).refused(t, 409, "sale-ended")
		is("closed")
		if i == 0 {
			w.tend(t) // with and without
		}
		shown("available")
		if p := w.product(t, "mug"); p.Sale != nil {
			t.Errorf("the product still shows %+v", p.Sale)
		}
		var normal httpapi.Transaction
		if w.claims(t, path, "ann", "mug", 1).into(t, 201, &normal); normal.SaleID != nil || *normal.Price != (httpapi.Money{Amount: 1250, Currency: "EUR"}) {
			t.Errorf("after the sale a claim is %+v", normal)
		}
		// What was held in time can be ordered.
		if o := w.order(t, "ann", tx.ID); *o.Lines[0].SaleID != sale.ID || o.Total.Amount != 999 {
			t.Errorf("the order is %+v", o)
		}
		w.claims(t, path, "ann", "mug", 1, `, "sale_id": "019b1234-5678-7abc-8def-0123456789ab"`).refused(t, 404, "not-found")
		w.sound(t)
	}
}

// TestPauseOnEveryServer: what is paused on one server is paused on all, and carts and payments go on.
func TestPauseOnEveryServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	w.stocked(t, "mug", 20)
	w.stocked(t, "cup", 20)
	sale := w.sale(t, "open", shop.SaleTerms{Items: []shop.SaleItem{of("mug", 0)}})
	key := w.key(t, shop.ScopeSale)
	for _, path := range claimPaths {
		for _, server := range []*world{w, other} {
			server.claims(t, path, "ann", "mug", 1).into(t, 201, nil)
		}
	}
	for i, stop := range []struct{ at, paused, goesOn string }{
		{"/api/v1/sales/" + sale.ID.String() + "/", "mug", "cup"},
		{"/api/v1/selling/", "mug", ""},
	} {
		w.replayed(t, post(key, stop.at+"pause", "").with("Idempotency-Key", fmt.Sprint(i)), 200)
		other.send(t, post(key, stop.at+"pause", "{}")).into(t, 200, nil)
		for _, server := range []*world{w, other} {
			for _, path := range claimPaths {
				a := server.claims(t, path, "bob", stop.paused, 1)
				a.refused(t, 409, "sale-paused")
				if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 {
					t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
				}
			}
			if got := server.product(t, stop.paused).Availability.Status; got != "paused" {
				t.Errorf("the product is %s, want paused", got)
			}
			if stop.goesOn != "" {
				server.claims(t, claimPaths[0], "bob", stop.goesOn, 1).into(t, 201, nil)
			}
		}
		cart := w.cart(t, "ann")
		o := other.order(t, "ann", cart.Items[0].ID)
		w.send(t, as("ann", "POST", "/api/v1/orders/"+o.ID.String()+"/pay", `{"card": "succeed"}`)).into(t, 200, nil)
		other.send(t, post(key, stop.at+"resume", "")).into(t, 200, nil)
		for _, server := range []*world{w, other} {
			server.claims(t, claimPaths[i], "bob", "mug", 1).into(t, 201, nil)
		}
	}
	w.sound(t)
}

func TestPauseAllSelling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := soon()
	w.moveTo(at)
	key := w.key(t, shop.ScopeSale)
	reads := func() (s httpapi.Selling) {
		t.Helper()
		w.send(t, get("/api/v1/selling")).into(t, 200, &s)
		return s
	}
	if s := reads(); s.Paused || s.PausedAt != nil {
		t.Errorf("selling is %+v", s)
	}
	var s httpapi.Selling
	w.send(t, post(key, "/api/v1/selling/pause", "")).into(t, 200, &s)
	w.moveTo(at.Add(time.Minute))
	w.send(t, post(key, "/api/v1/selling/pause", "")).into(t, 200, nil) // paused stays paused since then
	if again := reads(); !s.Paused || s.PausedAt == nil || !s.PausedAt.Equal(at) || !reflect.DeepEqual(s, again) {
		t.Errorf("paused, selling is %+v, then %+v", s, again)
	}
	w.send(t, post(key, "/api/v1/selling/resume", "")).into(t, 200, &s)
	w.send(t, post(key, "/api/v1/selling/resume", "")).into(t, 200, &s)
	if s.Paused || s.PausedAt != nil || !reflect.DeepEqual(s, reads()) {
		t.Errorf("resumed, selling is %+v", s)
	}
	if n := w.count(t, "SELECT count(*) FROM sale_change WHERE sale_id IS NULL"); n != 2 {
		t.Errorf("%d changes were recorded, want 2", n)
	}
}

// TestPausedQueue: requests that are queued when a sale is paused keep their place, and those that are queued when it closes are refused.
func TestPausedQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 20)
	sale := w.sale(t, "open", shop.SaleTerms{Items: []shop.SaleItem{of("mug", 0)}})
	key := w.key(t, shop.ScopeSale)
	at := "/api/v1/sales/" + sale.ID.String() + "/"
	// A batch that has read the sale before it was paused may still settle what is queued, once nobody has the turn any more.
	pause := func() {
		t.Helper()
		w.send(t, post(key, at+"pause", "")).into(t, 200, nil)
		var paused time.Time
		if err := w.db.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&paused); err != nil {
			t.Fatal(err)
		}
		const before = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start < $1 AND query NOT LIKE '%OF queue_head'`
		waitFor(t, "the transactions that are older than the pause", func() bool { return w.count(t, before, paused) == 0 })
	}
	goOn := w.stopped(t, "mug")
	tx := w.enqueue(t, "ann", "mug", 1)
	pause()
	goOn()
	if got := w.look(t, "ann", tx.ID, "?wait=1"); got.Status != "queued" || *got.QueuePosition != 0 {
		t.Errorf("while the sale is paused the request is %+v", got)
	}
	w.send(t, post(key, at+"resume", "")).into(t, 200, nil)
	w.claims(t, claimPaths[0], "bob", "mug", 1).into(t, 201, nil) // behind it
	if got := w.look(t, "ann", tx.ID, ""); got.Status != "held" || *got.SaleID != sale.ID.String() {
		t.Errorf("after the pause the request is %+v", got)
	}
	goOn = w.stopped(t, "mug")
	late := w.enqueue(t, "ann", "mug", 1)
	pause()
	goOn()
	w.send(t, post(key, at+"close", "")).into(t, 200, nil)
	w.tend(t)
	if got := w.look(t, "ann", late.ID, "?wait=20"); got.Status != "refused" || got.Reason == nil || *got.Reason != "sale-ended" || got.SaleID == nil {
		t.Errorf("after the end of the sale the request is %+v", got)
	}
	w.sound(t)
}

func TestPlanSale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	w.stocked(t, "cup", 1)
	key := w.key(t, shop.ScopeSale)
	text := `{"name": "12.12 ☕", "opens_at": "2099-12-12T12:12:00+01:00", "closes_at": "2099-12-12T13:12:00.5+01:00", "hold_seconds": 300, "purchase_limit": 2,
		"max_quantity": 4, "cooldown_seconds": 60, "items": [{"sku": "mug", "price": {"amount": 999, "currency": "EUR"}, "quantity": 1},
		{"sku": "cup", "price": {"amount": 0, "currency": "EUR"}, "quantity": null}]}`
	keyed := post(key, "/api/v1/sales", text).with("Idempotency-Key", "plan")
	var made, read httpapi.Sale
	a := w.replayed(t, keyed, 201).into(t, 201, &made)
	if at := a.header.Get("Location"); at != "/api/v1/sales/"+made.ID {
		t.Errorf("Location is %q", at)
	}
	opens := time.Date(2099, 12, 12, 11, 12, 0, 0, time.UTC)
	want := httpapi.Sale{
		ID: made.ID, Name: "12.12 ☕", Status: "draft", OpensAt: opens, ClosesAt: opens.Add(time.Hour + 500*time.Millisecond), HoldSeconds: 300, PurchaseLimit: pointer(2),
		MaxQuantity: 4, CooldownSeconds: 60, CreatedAt: made.CreatedAt, UpdatedAt: made.UpdatedAt,
		Items: []httpapi.SaleItem{
			{SKU: "cup", Price: httpapi.Money{Currency: "EUR"}}, {SKU: "mug", Price: httpapi.Money{Amount: 999, Currency: "EUR"}, Quantity: pointer(1)},
		},
	}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("the sale is %+v, want %+v", made, want)
	}
	look := get("/api/v1/sales/" + made.ID)
	look.token = key
	if w.send(t, look).into(t, 200, &read); !reflect.DeepEqual(read, want) {
		t.Errorf("the sale reads as %+v, want %+v", read, want)
	}
	// The same content in another form is the same call.
	same := keyed
	same.body = strings.Replace(text, "12:12:00+01:00", "11:12:00Z", 1)
	if a := w.send(t, same).into(t, 201, nil); a.header.Get("Idempotency-Replayed") != "true" {
		t.Error("the same instant in another zone was another call")
	}
	same.body = strings.Replace(text, "999", "998", 1)
	w.send(t, same).refused(t, 422, "idempotency-key-reused")

	var bare httpapi.Sale
	w.send(t, post(key, "/api/v1/sales", saleText("mug"))).into(t, 201, &bare)
	if bare.PurchaseLimit != nil || bare.MaxQuantity != 10 || bare.CooldownSeconds != 0 || bare.Items[0].Quantity != nil {
		t.Errorf("the sale with defaults is %+v", bare)
	}
	w.send(t, post(key, "/api/v1/sales", saleText("nothing"))).refused(t, 404, "not-found")
	if n := w.count(t, "SELECT count(*) FROM sale"); n != 2 {
		t.Errorf("%d sales were made, want 2", n)
	}
}

func pointer[T any](v T) *T { return &v }

// badSales are what saleText is changed into, and where that is wrong.
var badSales = []struct{ old, with, where string }{
	{`"name": "Sale", `, ``, "body"},
	{`"Sale"`, `""`, "body.name"},
	{`"Sale"`, `"` + strings.Repeat("n", 201) + `"`, "body.name"},
	{`"Sale"`, `"a\u0000"`, "body"},
	{`"2099-12-12T12:12:00Z"`, `"2099-12-12"`, "body.opens_at"},
	{`"2099-12-12T12:12:00Z"`, `"tomorrow"`, "body.opens_at"},
	{`"2099-12-12T12:12:00Z"`, `4102444800`, "body.opens_at"},
	{`"2099-12-12T12:12:00Z"`, `"2099-12-12T23:00:00Z"`, "body.closes_at"}, // the instant at which it closes
	{`"hold_seconds": 300`, `"hold_seconds": 0`, "body.hold_seconds"},
	{`"hold_seconds": 300`, `"hold_seconds": 86401`, "body.hold_seconds"},
	{`"hold_seconds": 300`, `"hold_seconds": 1.5`, "body.hold_seconds"},
	{`"hold_seconds": 300`, `"hold_seconds": 300, "purchase_limit": 0`, "body.purchase_limit"},
	{`"hold_seconds": 300`, `"hold_seconds": 300, "max_quantity": 0`, "body.max_quantity"},
	{`"hold_seconds": 300`, `"hold_seconds": 300, "max_quantity": 1001`, "body.max_quantity"},
	{`"hold_seconds": 300`, `"hold_seconds": 300, "cooldown_seconds": -1`, "body.cooldown_seconds"},
	{`"hold_seconds": 300`, `"hold_seconds": 300, "status": "open"`, "body.status"},
	{`"hold_seconds": 300`, `"hold_seconds": 300, "colour": "` + canary + `"`, "body.colour"},
	{`"amount": 999`, `"amount": -1`, "body.items[0].price.amount"},
	{`"currency": "EUR"`, `"currency": "eur"`, "body.items[0].price.currency"},
	{`"price": {"amount": 999, "currency": "EUR"}`, `"price": null`, "body.items[0].price"},
	{`"price": {"amount": 999, "currency": "EUR"}`, `"quantity": 2`, "body.items[0]"},
	{`"EUR"}`, `"EUR"}, "quantity": 0`, "body.items[0].quantity"},
	{`"EUR"}}`, `"EUR"}}, {"sku": "mug", "price": {"amount": 1, "currency": "EUR"}}`, "body.items[1].sku"},
	{`"mug"`, `"a b"`, "body.items[0].sku"},
	{`[{`, `[], "item": [{`, "body.items"},
}

func TestBadSales(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	key := w.key(t, shop.ScopeSale)
	var draft httpapi.Sale
	w.send(t, post(key, "/api/v1/sales", saleText("mug"))).into(t, 201, &draft)
	before := w.fingerprint(t)
	for _, bad := range badSales {
		text := strings.Replace(saleText("mug"), bad.old, bad.with, 1)
		for _, r := range []request{
			post(key, "/api/v1/sales", text),
			{method: "PATCH", path: "/api/v1/sales/" + draft.ID, token: key, body: text},
		} {
			if r.method == "PATCH" && bad.with == "" {
				continue // it may leave out what it likes
			}
			p := w.send(t, r).refused(t, 422, "validation")
			if !slices.ContainsFunc(p.Errors, func(e httpapi.ProblemError) bool { return e.Location == bad.where }) {
				t.Errorf("%s with %.60s: errors are %v, want one for %s", r.method, bad.with, p.Errors, bad.where)
			}
		}
	}
	many := strings.Repeat(`{"sku": "mug", "price": {"amount": 1, "currency": "EUR"}}, `, 100)
	w.send(t, post(key, "/api/v1/sales", strings.Replace(saleText("mug"), "[{", "["+many+"{", 1))).refused(t, 422, "validation")
	w.send(t, post(key, "/api/v1/sales", `{"name": "`+strings.Repeat("n", 64<<10)+`"}`)).refused(t, 413, "payload-too-large")
	for _, id := range []string{"019b1234-5678-7abc-8def-0123456789ab", canary, "%00", draft.ID + "0"} {
		for _, action := range append(shop.SaleActions(), "changes") {
			r := post(key, "/api/v1/sales/"+id+"/"+string(action), "")
			if action == "changes" {
				r.method, r.body = "GET", nil
			}
			w.send(t, r).refused(t, 404, "not-found")
		}
		w.send(t, request{method: "PATCH", path: "/api/v1/sales/" + id, token: key, body: `{}`}).refused(t, 404, "not-found")
		w.send(t, get("/api/v1/sales/"+id)).refused(t, 404, "not-found")
	}
	for _, text := range []string{`{"at": 1}`, `[]`, `null`, canary, ` {"a" :1}`} {
		w.send(t, post(key, "/api/v1/sales/"+draft.ID+"/schedule", text)).refused(t, 422, "validation")
		w.send(t, post(key, "/api/v1/selling/pause", text)).refused(t, 422, "validation")
	}
	if after := w.fingerprint(t); after != before {
		t.Errorf("what is there went from %s to %s", before, after)
	}
	w.send(t, post(key, "/api/v1/sales/"+draft.ID+"/schedule", " { } ")).refused(t, 422, "validation")
	w.send(t, post(key, "/api/v1/sales/"+draft.ID+"/schedule", " {}\n")).into(t, 200, nil)
}

// TestDrafts: only operators of sales know of them.
func TestDrafts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	draft := w.sale(t, "draft", shop.SaleTerms{Items: []shop.SaleItem{of("mug", 0)}})
	scheduled := w.sale(t, "scheduled", shop.SaleTerms{Items: []shop.SaleItem{of("mug", 0)}})
	both := []string{scheduled.ID.String(), draft.ID.String()}
	list := func(token, query string) (ids []string) {
		t.Helper()
		var page httpapi.SalePage
		w.send(t, request{method: "GET", path: "/api/v1/sales" + query, token: token}).into(t, 200, &page)
		for _, sale := range page.Items {
			ids = append(ids, sale.ID)
		}
		return ids
	}
	for _, token := range []string{w.key(t, shop.ScopeSale), w.key(t, shop.ScopeAll)} {
		w.send(t, request{method: "GET", path: "/api/v1/sales/" + draft.ID.String(), token: token}).into(t, 200, nil)
		if got := list(token, ""); !slices.Equal(got, both) {
			t.Errorf("an operator sees %v, want %v", got, both)
		}
		if got := list(token, "?state=draft"); !slices.Equal(got, both[1:]) {
			t.Errorf("an operator sees the drafts %v, want %v", got, both[1:])
		}
	}
	for _, token := range []string{"", token("ann"), w.key(t, shop.ScopeOrder), w.key(t, shop.ScopeClaim)} {
		w.send(t, request{method: "GET", path: "/api/v1/sales/" + draft.ID.String(), token: token}).refused(t, 404, "not-found")
		w.send(t, request{method: "GET", path: "/api/v1/sales/" + scheduled.ID.String(), token: token}).into(t, 200, nil)
		if got := list(token, ""); !slices.Equal(got, both[:1]) {
			t.Errorf("somebody sees %v, want %v", got, both[:1])
		}
		if got := list(token, "?state=draft"); len(got) > 0 {
			t.Errorf("somebody sees the drafts %v", got)
		}
	}
	for _, header := range []string{"Bearer " + canary, "Bearer " + shop.KeyPrefix + canary, "", "Basic " + canary} {
		r := get("/api/v1/sales").with("Authorization", header)
		w.send(t, r).refused(t, 401, "unauthenticated")
		r.path += "/" + scheduled.ID.String()
		w.send(t, r).refused(t, 401, "unauthenticated")
	}
	if p := w.product(t, "mug"); p.Sale.ID != scheduled.ID.String() {
		t.Errorf("the product shows %+v", p.Sale)
	}
	w.claims(t, claimPaths[0], "ann", "mug", 1, through(draft)).refused(t, 404, "not-found")
}

func TestListSales(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := map[string][]string{}
	for i, state := range []string{"scheduled", "open", "paused", "closed", "draft", "scheduled", "open"} {
		sku := fmt.Sprintf("p%d", i)
		w.stocked(t, sku, 1)
		id := w.sale(t, state, shop.SaleTerms{Items: []shop.SaleItem{of(sku, 0)}}).ID.String()
		want[state] = append([]string{id}, want[state]...)
		if state != "draft" {
			want["all"] = append([]string{id}, want["all"]...)
		}
		if state == "open" || state == "paused" {
			want["running"] = append([]string{id}, want["running"]...)
		}
	}
	for query, of := range map[string]string{
		"": "all", "state=scheduled": "scheduled", "state=open": "open", "state=closed": "closed", "state=open&state=paused": "running", "state=paused&state=open&state=draft": "running",
	} {
		for _, limit := range []int{1, 2, 100} {
			var got []string
			for cursor := ""; ; {
				var page httpapi.SalePage
				w.send(t, get(fmt.Sprintf("/api/v1/sales?limit=%d&%s%s", limit, query, cursor))).into(t, 200, &page)
				for _, sale := range page.Items {
					got = append(got, sale.ID)
				}
				if len(page.Items) > limit || len(page.Items) == 0 && cursor != "" {
					t.Errorf("%s: a page has %d sales", query, len(page.Items))
				}
				if page.NextCursor == nil {
					break
				}
				cursor = "&cursor=" + *page.NextCursor
			}
			if !slices.Equal(got, want[of]) {
				t.Errorf("%q by %d: got %v, want %v", query, limit, got, want[of])
			}
		}
	}
	for query, where := range map[string]string{
		"state=sold": "query.state[0]", "state=": "query.state[0]", "state=&state=open": "query.state[0]", "limit=0": "query.limit", "limit=101": "query.limit", "cursor=" + canary: "query.cursor",
		"cursor=bXVn": "query.cursor", "colour=" + canary: "query.colour",
	} {
		if p := w.send(t, get("/api/v1/sales?"+query)).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%s: errors are %v, want one for %s", query, p.Errors, where)
		}
	}
}

func patch(key, id, body string) request {
	return request{method: "PATCH", path: "/api/v1/sales/" + id, token: key, body: body}
}

// TestChangeSale: what may be changed in which state.
func TestChangeSale(t *testing.T) {
	t.Parallel()
	const prices = `"items": [{"sku": "mug", "price": {"amount": 5, "currency": "EUR"}, "quantity": 2}]`
	const other = `"items": [{"sku": "mug", "price": {"amount": 999, "currency": "EUR"}, "quantity": 3}]`
	later, past := soon().Add(24*time.Hour).Format(time.RFC3339), time.Now().Add(-time.Hour).Format(time.RFC3339)
	w := newWorld(t)
	key := w.key(t, shop.ScopeSale)
	for state, changes := range map[string]map[string]int{
		"draft": {
			`"name": "New"`: 200, prices: 200, other: 200, `"purchase_limit": 1`: 200, `"purchase_limit": null`: 200, `"opens_at": "` + past + `"`: 200,
			`"hold_seconds": 60, "max_quantity": 3, "cooldown_seconds": 5`: 200, `"closes_at": "` + later + `"`: 200, `"closes_at": "2001-01-01T00:00:00Z"`: 422,
		},
		"scheduled": {
			`"name": "New"`: 200, prices: 200, other: 409, `"purchase_limit": 1`: 200, `"purchase_limit": null`: 200, `"opens_at": "` + past + `"`: 200,
			`"closes_at": "` + later + `"`: 200, `"closes_at": "` + past + `", "opens_at": "2001-01-01T00:00:00Z"`: 422,
		},
		"open": {
			`"name": "New"`: 200, prices: 200, other: 409, `"purchase_limit": 4`: 409, `"purchase_limit": 6`: 200, `"purchase_limit": null`: 200,
			`"opens_at": "` + past + `"`: 409, `"closes_at": "` + later + `"`: 200, `"hold_seconds": 60`: 200,
		},
		"paused": {`"name": "New"`: 200, other: 409, `"purchase_limit": 4`: 409, `"purchase_limit": 6`: 200, `"opens_at": "` + past + `"`: 409},
		"closed": {`"name": "New"`: 409, prices: 409, `"purchase_limit": null`: 409, `"closes_at": "` + later + `"`: 409},
	} {
		for change, status := range changes {
			sku := "mug"
			w.stocked(t, sku, 2)
			sale := w.sale(t, state, shop.SaleTerms{PurchaseLimit: pointer(5), Items: []shop.SaleItem{of(sku, 2)}})
			id := sale.ID.String()
			r := patch(key, id, "{"+change+"}").with("Idempotency-Key", change[:min(len(change), 200)]+id)
			var before, after httpapi.Sale
			look := request{method: "GET", path: r.path, token: key}
			w.send(t, look).into(t, 200, &before)
			if status == 200 {
				w.replayed(t, r, 200)
				w.recorded(t, key, id, change)
			} else {
				code := map[int]string{409: "conflict", 422: "validation"}[status]
				if p := w.send(t, r).refused(t, status, code); status == 409 && p.State != state {
					t.Errorf("%s to a sale that is %s: the state is %q", change, state, p.State)
				}
			}
			if w.send(t, look).into(t, 200, &after); reflect.DeepEqual(before, after) != (status != 200) {
				t.Errorf("%s to a sale that is %s: from %+v to %+v", change, state, before, after)
			}
			w.over(t, sale)
		}
	}
	w.sound(t)
}

// over closes a sale, so that its products are free for another.
func (w *world) over(t *testing.T, sale shop.Sale) {
	t.Helper()
	if sale.State == shop.SaleIsDraft || sale.State == shop.SaleIsClosed {
		return
	}
	if _, _, err := w.MoveSale(t.Context(), shop.Operator{}, sale.ID, shop.CloseSale); err != nil {
		t.Fatal(err)
	}
}

// recorded holds that the last change of a sale is the one that was asked for, once, by the key.
func (w *world) recorded(t *testing.T, key, id, change string) {
	t.Helper()
	var page httpapi.SaleChangePage
	w.send(t, request{method: "GET", path: "/api/v1/sales/" + id + "/changes", token: key}).into(t, 200, &page)
	known, err := w.KeyBySecret(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, c := range page.Items {
		if c.Action != "changed" {
			continue
		}
		count++
		if c.KeyID != known.ID.String() || c.KeyName != "test" || c.At.IsZero() {
			t.Errorf("the change is %+v", c)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(change, `"`), `"`)
		if !strings.Contains(string(c.Changes), `"`+name+`":{"`) {
			t.Errorf("%s was recorded as %s", change, c.Changes)
		}
	}
	if count != 1 || page.Items[0].Action != "created" {
		t.Errorf("%s was recorded %d times: %+v", change, count, page.Items)
	}
}

// TestChangesTellWhoAndWhat: everything that was done, in order, page by page.
func TestChangesTellWhoAndWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	first, _, err := w.CreateKey(t.Context(), "first", []shop.Scope{shop.ScopeSale})
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := w.CreateKey(t.Context(), "second", []shop.Scope{shop.ScopeSale})
	if err != nil {
		t.Fatal(err)
	}
	var sale httpapi.Sale
	w.send(t, post(first, "/api/v1/sales", saleText("mug"))).into(t, 201, &sale)
	at := "/api/v1/sales/" + sale.ID
	w.send(t, patch(second, sale.ID, `{"name": "New", "purchase_limit": 3}`)).into(t, 200, nil)
	w.send(t, patch(second, sale.ID, `{"name": "New"}`)).into(t, 200, nil) // changes nothing
	w.send(t, patch(second, sale.ID, `{"purchase_limit": null}`)).into(t, 200, &sale)
	if sale.PurchaseLimit != nil || sale.Name != "New" {
		t.Errorf("the sale is %+v", sale)
	}
	for _, action := range []string{"schedule", "open", "pause", "resume", "close"} {
		w.send(t, post(first, at+"/"+action, "")).into(t, 200, nil)
		w.send(t, post(second, at+"/"+action, "")).into(t, 200, nil) // it is there already
	}
	type change struct{ key, action string }
	want := []change{
		{"first", "created"}, {"second", "changed"}, {"second", "changed"}, {"first", "schedule"}, {"first", "open"}, {"first", "pause"}, {"first", "resume"}, {"first", "close"},
	}
	for _, limit := range []int{1, 3, 100} {
		var got []change
		var all []httpapi.SaleChange
		for cursor := ""; ; {
			var page httpapi.SaleChangePage
			w.send(t, request{method: "GET", path: fmt.Sprintf("%s/changes?limit=%d%s", at, limit, cursor), token: first}).into(t, 200, &page)
			for _, c := range page.Items {
				all, got = append(all, c), append(got, change{c.KeyName, c.Action})
			}
			if page.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *page.NextCursor
		}
		if !slices.Equal(got, want) {
			t.Errorf("the changes are %v, want %v", got, want)
			continue
		}
		sameJSON(t, all[1].Changes, `{"name": {"from": "Sale", "to": "New"}, "purchase_limit": {"from": null, "to": 3}}`)
		sameJSON(t, all[2].Changes, `{"purchase_limit": {"from": 3, "to": null}}`)
		if !strings.Contains(string(all[4].Changes), `"opens_at"`) || !strings.Contains(string(all[7].Changes), `"closes_at"`) {
			t.Errorf("opening is %s, closing %s", all[4].Changes, all[7].Changes)
		}
	}
}

// TestSaleMoves tries every action on a sale in every state.
func TestSaleMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeSale)
	leads := map[string]map[string]string{ // from a state, by an action, to a state
		"draft":     {"schedule": "scheduled"},
		"scheduled": {"schedule": "scheduled", "open": "open", "close": "closed"},
		"open":      {"open": "open", "pause": "paused", "resume": "open", "close": "closed"},
		"paused":    {"pause": "paused", "resume": "open", "close": "closed"},
		"closed":    {"close": "closed"},
	}
	for state, actions := range leads {
		for _, action := range shop.SaleActions() {
			w.stocked(t, "mug", 1)
			sale := w.sale(t, state, shop.SaleTerms{Items: []shop.SaleItem{of("mug", 0)}})
			r := post(key, "/api/v1/sales/"+sale.ID.String()+"/"+string(action), "").with("Idempotency-Key", sale.ID.String())
			to, may := actions[string(action)]
			if !may {
				if p := w.send(t, r).refused(t, 409, "conflict"); p.State != state {
					t.Errorf("%s a sale that is %s: the state is %q", action, state, p.State)
				}
			} else {
				var moved httpapi.Sale
				if w.replayed(t, r, 200).into(t, 200, &moved); moved.Status != to {
					t.Errorf("%s leads from %s to %s, want %s", action, state, moved.Status, to)
				}
				sale.State = shop.SaleState(to)
			}
			w.over(t, sale)
		}
	}
	w.sound(t)
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 9)
	w.stocked(t, "cup", 9)
	key := w.key(t, shop.ScopeSale)
	opens := soon()
	day := func(from, to time.Duration, skus ...string) shop.SaleTerms {
		terms := shop.SaleTerms{OpensAt: opens.Add(from * time.Hour), ClosesAt: opens.Add(to * time.Hour)}
		for _, sku := range skus {
			terms.Items = append(terms.Items, of(sku, 1))
		}
		return terms
	}
	moves := func(sale shop.Sale, action string) answer {
		t.Helper()
		return w.send(t, post(key, "/api/v1/sales/"+sale.ID.String()+"/"+action, ""))
	}
	first := w.sale(t, "scheduled", day(1, 3, "mug"))
	w.sale(t, "scheduled", day(1, 3, "cup"))
	after := w.sale(t, "scheduled", day(3, 5, "mug")) // begins when the first ends
	for _, terms := range []shop.SaleTerms{day(0, 4, "mug"), day(2, 3, "mug", "cup"), day(1, 3, "mug"), day(0, 1, "mug"), day(2, 9, "mug")} {
		overlaps := terms.ClosesAt.After(opens.Add(time.Hour))
		sale := w.sale(t, "draft", terms)
		if !overlaps {
			moves(sale, "schedule").into(t, 200, nil)
			w.over(t, shop.Sale{ID: sale.ID, State: shop.SaleIsScheduled})
			continue
		}
		if p := moves(sale, "schedule").refused(t, 409, "sale-overlaps"); p.State != first.ID.String() && len(terms.Items) == 1 {
			t.Errorf("it overlaps with %q, want %s", p.State, first.ID)
		}
	}
	// Neither by opening early nor by a change.
	if p := moves(after, "open").refused(t, 409, "sale-overlaps"); p.State != first.ID.String() {
		t.Errorf("opened early it overlaps with %q", p.State)
	}
	w.send(t, patch(key, first.ID.String(), fmt.Sprintf(`{"closes_at": %q}`, opens.Add(4*time.Hour).Format(time.RFC3339)))).refused(t, 409, "sale-overlaps")
	// What is open is no hindrance to giving up what is only planned.
	moves(first, "open").into(t, 200, nil)
	moves(after, "close").into(t, 200, nil)

	// Of two that are scheduled at once, one gets through.
	a, b := w.sale(t, "draft", day(10, 12, "mug", "cup")), w.sale(t, "draft", day(11, 13, "cup", "mug"))
	var statuses [2]int
	var both sync.WaitGroup
	for i, sale := range []shop.Sale{a, b} {
		both.Go(func() { statuses[i] = moves(sale, "schedule").status })
	}
	both.Wait()
	if statuses[0]+statuses[1] != 200+409 {
		t.Errorf("two that overlap, scheduled at once, got %v", statuses)
	}
	w.sound(t)
}

// TestAllotment: units that are set aside for a sale are the sale's, and what is left goes back.
func TestAllotment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	key := w.key(t, shop.ScopeSale)
	pools := func(common, own int) {
		t.Helper()
		c, o := w.count(t, "SELECT count(*) FROM stock_token WHERE pool_id = 0"), w.count(t, "SELECT count(*) FROM stock_token WHERE pool_id <> 0")
		if c != common || o != own {
			t.Errorf("%d units are in the common pool and %d in the sale's, want %d and %d", c, o, common, own)
		}
		w.sound(t)
	}
	w.hold(t, "eve", "mug", 3)
	big := w.sale(t, "draft", shop.SaleTerms{Items: []shop.SaleItem{of("mug", 8)}})
	at := "/api/v1/sales/" + big.ID.String()
	if p := w.send(t, post(key, at+"/schedule", "")).refused(t, 409, "not-enough-units"); p.Available == nil || *p.Available != 7 {
		t.Errorf("available is %v, want 7", p.Available)
	}
	pools(7, 0)
	var shown httpapi.Sale
	look := request{method: "GET", path: at, token: key}
	if w.send(t, look).into(t, 200, &shown); shown.Status != "draft" {
		t.Errorf("the sale is %s", shown.Status)
	}
	w.send(t, patch(key, big.ID.String(), `{"items": [{"sku": "mug", "price": {"amount": 999, "currency": "EUR"}, "quantity": 4}]}`)).into(t, 200, nil)
	w.replayed(t, post(key, at+"/schedule", "").with("Idempotency-Key", "k"), 200)
	pools(3, 4)

	// Beside it, the rest sells on normally.
	var normal, own, last httpapi.Transaction
	if w.claims(t, claimPaths[0], "ann", "mug", 1).into(t, 201, &normal); normal.SaleID != nil || normal.Price.Amount != 1250 {
		t.Errorf("beside the sale the claim is %+v", normal)
	}
	w.claims(t, claimPaths[0], "ann", "mug", 1, through(big)).refused(t, 409, "sale-not-open")
	w.send(t, post(key, at+"/open", "")).into(t, 200, nil)
	if w.claims(t, claimPaths[1], "ann", "mug", 3).into(t, 201, &own); own.SaleID == nil || own.Price.Amount != 999 {
		t.Errorf("in the sale the claim is %+v", own)
	}
	w.claims(t, claimPaths[0], "bob", "mug", 1, through(big)).into(t, 201, &last)
	p := w.claims(t, claimPaths[1], "bob", "mug", 1, through(big)).refused(t, 409, "all-held")
	if p.NextReleaseAt == nil || !p.NextReleaseAt.Equal(*own.ExpiresAt) {
		t.Errorf("next_release_at is %v, want %v", p.NextReleaseAt, own.ExpiresAt)
	}
	if w.claims(t, claimPaths[0], "bob", "mug", 1).into(t, 201, &normal); normal.SaleID != nil {
		t.Errorf("when the allotment is out the claim is %+v", normal)
	}
	pools(1, 0)
	w.send(t, as("bob", "DELETE", "/api/v1/cart/"+last.ID, nil)).into(t, 204, nil)
	pools(1, 1)
	w.replayed(t, post(key, at+"/close", "").with("Idempotency-Key", "k"), 200)
	pools(2, 0)
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+own.ID, nil)).into(t, 204, nil)
	pools(5, 0)
}

func TestPurchaseLimit(t *testing.T) {
	t.Parallel()
	for i, path := range claimPaths {
		w := newWorld(t)
		w.stocked(t, "mug", 20)
		w.stocked(t, "cup", 20)
		w.sale(t, "open", shop.SaleTerms{PurchaseLimit: pointer(2), MaxQuantity: 3, Items: []shop.SaleItem{of("mug", 0), of("cup", 5)}})
		limited := func(sku string, quantity, remaining int, orders ...string) {
			t.Helper()
			for _, path := range claimPaths {
				p := w.claims(t, path, "ann", sku, quantity).refused(t, 409, "purchase-limit")
				if p.Limit == nil || *p.Limit != 2 || p.Remaining == nil || *p.Remaining != remaining || p.OrderIDs == nil || !slices.Equal(p.OrderIDs, append([]string{}, orders...)) {
					t.Errorf("%s: ann is told limit %v, remaining %v, order_ids %v; want 2, %d, %v", path, p.Limit, p.Remaining, p.OrderIDs, remaining, orders)
				}
			}
		}
		limited("mug", 3, 2)
		if p := w.claims(t, path, "ann", "mug", 4).refused(t, 422, "validation"); len(p.Errors) == 0 || p.Errors[0].Location != "body.quantity" {
			t.Errorf("above max_quantity the errors are %v", p.Errors)
		}
		var mug, cup httpapi.Transaction
		w.claims(t, path, "ann", "mug", 1).into(t, 201, &mug)
		limited("cup", 2, 1)
		w.claims(t, claimPaths[1-i], "ann", "cup", 1).into(t, 201, &cup)
		limited("mug", 1, 0)
		o := w.order(t, "ann", mug.ID)
		limited("cup", 1, 0, o.ID.String())
		w.claims(t, path, "bob", "mug", 2).into(t, 201, nil) // another's is another's

		// What is cancelled, released or refunded counts as free again.
		w.send(t, as("ann", "POST", "/api/v1/orders/"+o.ID.String()+"/cancel", nil)).into(t, 200, nil)
		limited("mug", 2, 1)
		w.send(t, as("ann", "DELETE", "/api/v1/cart/"+cup.ID, nil)).into(t, 204, nil)
		sold := w.paid(t, "ann", "mug", 2)
		limited("mug", 1, 0)
		r := post(w.key(t, shop.ScopeOrder), "/api/v1/orders/"+sold.ID.String()+"/refund", fmt.Sprintf(`{"unit_ids": [%q], "restock": "quarantine"}`, sold.Lines[0].UnitIDs[0]))
		w.send(t, r).into(t, 200, nil)
		limited("mug", 2, 1)
		w.claims(t, path, "ann", "mug", 1).into(t, 201, nil)
		w.sound(t)
	}
}

func TestCoolDown(t *testing.T) {
	t.Parallel()
	for _, path := range claimPaths {
		w := newWorld(t)
		w.stocked(t, "mug", 20)
		at := soon()
		w.moveTo(at)
		w.sale(t, "open", shop.SaleTerms{Hold: time.Minute, CooldownSeconds: 90, Items: []shop.SaleItem{of("mug", 0)}})
		var tx httpapi.Transaction
		w.claims(t, path, "ann", "mug", 1).into(t, 201, &tx)
		w.send(t, as("ann", "DELETE", "/api/v1/cart/"+tx.ID, nil)).into(t, 204, nil)
		w.claims(t, path, "ann", "mug", 1).into(t, 201, nil) // what is given back cools nothing down
		w.moveTo(at.Add(time.Minute))
		a := w.claims(t, path, "ann", "mug", 1)
		a.refused(t, 409, "cool-down")
		if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 90 {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
		w.claims(t, path, "bob", "mug", 1).into(t, 201, nil)
		w.moveTo(at.Add(time.Minute + 91*time.Second))
		w.claims(t, path, "ann", "mug", 1).into(t, http.StatusCreated, nil)
		w.sound(t)
	}
}
