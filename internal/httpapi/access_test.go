package httpapi_test

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// sample says who may call an operation, how it is called, and what that is answered.
type sample struct {
	scope  shop.Scope // claim: buyers as well, for their own; empty: anybody
	body   any        // in a text, {tx} is the transaction
	status int

	on      string     // what {id} names: a transaction if nothing else is said
	keys    bool       // with claim: keys alone, not the buyers themselves
	all     shop.Scope // keys with this scope as well, for everybody's
	shown   bool       // anybody, but credentials must be good; scope is shown more
	another bool       // with claim: what another buyer asks for is theirs, and not found is nothing
	query   string     // of the address
	media   string     // of the body, if it is not JSON
	endless bool       // what is answered does not end, and is not read
}

var samples = map[string]sample{
	"cancel":              {scope: "claim", status: 200, on: "unpaid order"},
	"changeSale":          {scope: "sale", body: `{"name": "Other"}`, status: 200, on: "draft"},
	"changeWebhook":       {scope: "webhook", body: `{"description": "other"}`, status: 200, on: "webhook"},
	"checkout":            {scope: "claim", body: `{"transaction_ids": ["{tx}"]}`, status: 201},
	"claim":               {scope: "claim", body: `{"sku": "cup"}`, status: 201, another: true},
	"claimQueued":         {scope: "claim", body: `{"sku": "cup"}`, status: 202, another: true},
	"closeSale":           {scope: "sale", status: 200, on: "scheduled"},
	"confirm":             {scope: "order", body: `{"transaction_ids": ["{tx}"], "reference": "{tx}"}`, status: 201},
	"createWebhook":       {scope: "webhook", body: `{"url": "https://shop.example.com/hook"}`, status: 201},
	"deleteProduct":       {scope: "catalog", status: 409},
	"deleteWebhook":       {scope: "webhook", status: 204, on: "webhook"},
	"exportOrders":        {scope: "order", status: 200},
	"extend":              {scope: "claim", keys: true, body: `{"seconds": 1}`, status: 200},
	"getAudit":            {scope: "audit", status: 200},
	"getWebhook":          {scope: "webhook", status: 200, on: "webhook"},
	"importSheet":         {scope: "catalog", body: "sku,name\ncup,Cup\n", media: "text/csv", status: 200},
	"getCart":             {scope: "claim", status: 200, another: true},
	"getOrder":            {scope: "claim", all: "order", status: 200, on: "unpaid order"},
	"getProduct":          {status: 200},
	"getRehearsal":        {scope: "sale", status: 200, on: "rehearsal"},
	"getSale":             {scope: "sale", shown: true, status: 200, on: "scheduled"},
	"getSelling":          {status: 200},
	"getStock":            {scope: "stock", status: 200},
	"getTransaction":      {scope: "claim", status: 200},
	"getUnit":             {scope: "stock", status: 200, on: "unit"},
	"listDeliveries":      {scope: "webhook", status: 200, on: "webhook"},
	"listEvents":          {scope: "order", status: 200},
	"listOrders":          {scope: "claim", all: "order", status: 200, another: true},
	"listProducts":        {status: 200},
	"listSales":           {scope: "sale", shown: true, status: 200},
	"listWebhooks":        {scope: "webhook", status: 200},
	"live":                {status: 200},
	"openSale":            {scope: "sale", status: 200, on: "scheduled"},
	"pauseSale":           {scope: "sale", status: 200, on: "open"},
	"pauseSelling":        {scope: "sale", status: 200},
	"pay":                 {scope: "claim", body: `{"card": "succeed"}`, status: 200, on: "unpaid order"},
	"planSale":            {scope: "sale", body: saleText("cup"), status: 201},
	"putProduct":          {scope: "catalog", body: `{"price": {"amount": 1250, "currency": "EUR"}}`, status: 200},
	"ready":               {status: 503}, // the tests' PostgreSQL runs without fsync, and says so
	"receive":             {scope: "stock", body: `{"quantity": 1, "reference": "r"}`, status: 201},
	"refund":              {scope: "order", body: `{"restock": "available"}`, status: 200, on: "paid order"},
	"release":             {scope: "claim", status: 204},
	"releaseQuarantine":   {scope: "stock", body: `{"quantity": 1}`, status: 201, on: "quarantine"},
	"replayEvent":         {scope: "webhook", body: `{"event_id": "{tx}"}`, status: 202, on: "webhook"},
	"resumeSale":          {scope: "sale", status: 200, on: "paused"},
	"resumeSelling":       {scope: "sale", status: 200},
	"rotateWebhookSecret": {scope: "webhook", status: 200, on: "webhook"},
	"runAudit":            {scope: "audit", status: 201},
	"saleChanges":         {scope: "sale", status: 200, on: "draft"},
	"saleFigures":         {scope: "sale", status: 200, on: "open"},
	"saleReport":          {scope: "sale", status: 200, on: "scheduled"},
	"scheduleSale":        {scope: "sale", status: 200, on: "draft"},
	"startRehearsal":      {scope: "sale", body: `{"buyers": 5}`, status: 202, on: "draft"},
	"startSession":        {status: 201},
	"stripeWebhook":       {body: `{}`, status: 404}, // with the provider test
	"testWebhook":         {scope: "webhook", status: 202, on: "webhook"},
	"watchProduct":        {status: 200, query: "?sku=cup", endless: true},
	"watchTransaction":    {scope: "claim", status: 200},
	"withdraw":            {scope: "stock", body: `{"quantity": 1, "reason": "r"}`, status: 201},
}

// documented holds that the document gives the operation to those whom the sample names.
func (s sample) documented(t *testing.T, o documentedOperation) {
	t.Helper()
	want := []string{"key"}
	scopes := []string{string(s.scope)}
	switch {
	case s.shown:
		want = []string{"", "buyer", "key"}
	case s.scope == "":
		want, scopes = nil, nil
	case s.scope == shop.ScopeClaim && !s.keys:
		want = []string{"buyer", "key"}
	}
	if s.all != "" {
		scopes = append(scopes, string(s.all))
	}
	var got, named []string
	for _, one := range o.Security {
		got = append(got, strings.Join(slices.Collect(maps.Keys(one)), "+"))
	}
	for _, found := range scopeInText.FindAllStringSubmatch(o.Description, -1) {
		named = append(named, found[1])
	}
	slices.Sort(got)
	slices.Sort(named)
	if named = slices.Compact(named); !slices.Equal(got, want) || !slices.Equal(named, scopes) {
		t.Errorf("the document gives %s to %q with the scopes %q, want %q and %q", o.OperationID, got, named, want, scopes)
	}
}

// who is somebody who calls.
type who struct {
	name  string
	set   func(request) request
	buyer string     // who is called for, if anybody
	scope shop.Scope // of the key, if it is one
	bad   bool       // the credentials are no good
}

func (c who) may(scope shop.Scope) bool { return c.scope == scope || c.scope == shop.ScopeAll }

var scopeInText = regexp.MustCompile("scope `([a-z]+)`")

// want is the status that a caller is to be answered with.
func (c who) want(s sample) int {
	switch {
	case s.scope == "", s.shown && !c.bad:
		return s.status
	case c.bad, c.buyer == "" && c.scope == "":
		return 401
	case s.scope == shop.ScopeClaim:
		return c.wantAsBuyer(s)
	case !c.may(s.scope):
		return 403
	}
	return s.status
}

func (c who) wantAsBuyer(s sample) int {
	switch {
	case s.all != "" && c.buyer == "" && c.may(s.all):
		return s.status
	case c.scope == "" && s.keys, c.scope != "" && !c.may(shop.ScopeClaim):
		return 403
	case c.buyer == "":
		return 422 // for whom?
	case c.buyer != "ann" && !s.another:
		return 404
	}
	return s.status
}

// audience is what the tokens of TestAccess are for.
const audience = "this shop"

func (w *world) callers(t *testing.T) []who {
	bearer := func(token string) func(request) request {
		return func(r request) request { r.token = token; return r }
	}
	all := []who{
		{name: "nobody", set: bearer("")},
		{name: "somebody whose token has expired", set: bearer(tokenWith(jwt.MapClaims{"aud": audience, "exp": time.Now().Add(-time.Minute).Unix()}, "ann")), bad: true},
		{name: "somebody whose token is for another shop", set: bearer(tokenWith(jwt.MapClaims{"aud": "other"}, "ann")), bad: true},
		{name: "somebody who has signed it", set: bearer(signed(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "ann", "aud": audience, "exp": hourFromNow()}, []byte("another secret"), "")), bad: true},
		{name: "somebody whose key was revoked", set: bearer(w.revokedKey(t)), bad: true},
		{name: "ann", set: bearer(tokenWith(jwt.MapClaims{"aud": audience}, "ann")), buyer: "ann"},
		{name: "bob", set: bearer(tokenWith(jwt.MapClaims{"aud": audience}, "bob")), buyer: "bob"},
	}
	for _, scope := range shop.Scopes() {
		secret := w.key(t, scope)
		all = append(all, who{name: "key " + string(scope), scope: scope, set: bearer(secret)})
		for _, buyer := range []string{"ann", "bob"} {
			all = append(all, who{name: "key " + string(scope) + " for " + buyer, buyer: buyer, scope: scope, set: func(r request) request {
				r.token = secret
				return r.with("Buyer-Id", buyer)
			}})
		}
	}
	return all
}

// TestAccess calls every operation of the document as everybody.
func TestAccess(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{GuestRate: 1000, Buyers: httpapi.Buyers{Secret: []byte(buyerSecret), Audience: audience}})
	w.stocked(t, "cup", 5000)
	if _, _, err := w.Audit(t.Context(), shop.AuditRequest{}); err != nil {
		t.Fatal(err)
	}
	callers := w.callers(t)
	seen := 0
	for template, operations := range openAPI().Paths {
		for method, o := range operations {
			known, is := samples[o.OperationID]
			if !is {
				t.Errorf("%s %s: the test does not know how to call %s", method, template, o.OperationID)
				continue
			}
			seen++
			t.Run(o.OperationID, func(t *testing.T) {
				known.documented(t, o)
				for _, c := range callers {
					w.tries(t, strings.ToUpper(method), template, o.OperationID, c)
				}
			})
		}
	}
	if seen != len(samples) {
		t.Errorf("the document has %d of the %d operations that the test knows", seen, len(samples))
	}
}

func (w *world) tries(t *testing.T, method, template, id string, c who) {
	t.Helper()
	s := samples[id]
	tx := w.hold(t, "ann", "cup", 1)
	path := strings.NewReplacer("{sku}", "cup", "{transaction_id}", tx.ID, "{id}", w.thing(t, s.on, tx)).Replace(template) + s.query
	body := s.body
	if text, is := body.(string); is {
		body = strings.ReplaceAll(text, "{tx}", tx.ID)
	}
	want, before := c.want(s), ""
	if want >= 400 {
		before = w.fingerprint(t)
	}
	r := c.set(request{method: method, path: path, body: body, endless: s.endless})
	if s.media != "" {
		r = r.with("Content-Type", s.media)
	}
	got := w.send(t, r)
	if got.status != want {
		t.Errorf("%s by %s: got %d %s, want %d", id, c.name, got.status, got.body, want)
	}
	if id == "pauseSelling" && want == 200 {
		if _, _, err := w.PauseSelling(t.Context(), shop.Operator{KeyID: pgdb.NewID()}, false); err != nil {
			t.Fatal(err)
		}
	}
	if code := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not-found", 422: "validation"}[want]; code != "" {
		got.refused(t, want, code)
		if after := w.fingerprint(t); after != before {
			t.Errorf("%s by %s was refused, but what is there went from %s to %s", id, c.name, before, after)
		}
	}
	if want == 401 && got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s by %s: a 401 without WWW-Authenticate", id, c.name)
	}
	_, _ = w.Release(t.Context(), "ann", ids(t, tx.ID)[0]) // or the cart would grow
}

// thing makes what an operation is called for and returns its id.
func (w *world) thing(t testing.TB, on string, tx httpapi.Transaction) string {
	t.Helper()
	switch on {
	case "":
		return tx.ID
	case "unit":
		return tx.UnitIDs[0]
	case "unpaid order":
		return w.order(t, "ann", tx.ID).ID.String()
	case "paid order":
		return w.sold(t, tx.ID).ID.String()
	case "quarantine":
		o := w.sold(t, tx.ID)
		if _, _, err := w.Refund(t.Context(), shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockQuarantine}); err != nil {
			t.Fatal(err)
		}
		return tx.ID
	}
	if on == "webhook" {
		return w.webhook(t, tx.ID)
	}
	if on == "rehearsal" {
		return w.rehearsed(t, w.thing(t, "draft", tx))
	}
	sku := "p-" + tx.ID
	if _, _, err := w.PutProduct(t.Context(), shop.Product{SKU: sku, Selling: true}); err != nil {
		t.Fatal(err)
	}
	return w.sale(t, on, shop.SaleTerms{Items: []shop.SaleItem{{SKU: sku, Price: shop.Money{Amount: 100, Currency: "EUR"}}}}).ID.String()
}

// webhook makes a webhook, the only one there is then (there can't be any number), and an event with an id.
func (w *world) webhook(t testing.TB, eventID string) string {
	t.Helper()
	if _, err := w.db.Exec(t.Context(), "DELETE FROM webhook"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Exec(t.Context(), `INSERT INTO event (event_id, type, data, created_at) VALUES ($1, 'order.paid', '{}', now())`, eventID); err != nil {
		t.Fatal(err)
	}
	made, _, _, err := w.CreateWebhook(t.Context(), shop.Operator{KeyID: pgdb.NewID()}, shop.WebhookTerms{URL: "https://shop.example.com/hook", Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID.String()
}

// fingerprint changes when anything that matters does.
func (w *world) fingerprint(t *testing.T) (all string) {
	t.Helper()
	const query = `
		SELECT concat_ws(' ',
			(SELECT string_agg(status || n, ' ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM claim GROUP BY status) AS c),
			(SELECT count(*) FROM claim_unit), (SELECT count(*) FROM stock_token), (SELECT count(*) FROM event), (SELECT count(*) FROM receipt),
			(SELECT count(*) FROM withdrawal), (SELECT count(*) FROM audit_run), (SELECT max(expires_at) FROM claim),
			(SELECT md5(string_agg(shop_order::text, ',' ORDER BY order_id)) FROM shop_order), (SELECT count(*) FROM payment), (SELECT count(*) FROM refund),
			(SELECT md5(string_agg(sale::text, ',' ORDER BY sale_id)) FROM sale), (SELECT count(*) FROM sale_change), (SELECT count(*) FROM rehearsal), (SELECT count(*) FROM api_key),
			(SELECT md5(string_agg(webhook::text, ',' ORDER BY webhook_id)) FROM webhook), (SELECT count(*) FROM webhook_secret), (SELECT count(*) FROM webhook_delivery), (SELECT selling::text FROM selling),
			(SELECT count(*) FROM quarantine_unit WHERE left_at IS NULL), (SELECT md5(string_agg(product::text, ',' ORDER BY product_id)) FROM product))`
	if err := w.db.QueryRow(t.Context(), query).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestOnlyTheDocument: what is served and not in the document is for people, and needs nobody's rights.
func TestOnlyTheDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, status := range map[string]int{
		"/": 200, "/cart": 200, "/orders": 200, "/products/mug": 200, "/desk": 200, "/docs": 302, "/docs/": 200, "/problems": 200, "/openapi.json": 200, "/openapi.yaml": 200,
		"/schemas/Problem.json": 404, "/debug/pprof/": 404, "/metrics": 404, "/api": 404, "/api/v1": 404,
		"/api/v1/keys": 404, "/.env": 404, "/problems/": 404, "/problems/nothing": 404,
	} {
		if a := w.send(t, request{method: "GET", path: path}); a.status != status {
			t.Errorf("GET %s: got %d %.100s, want %d", path, a.status, a.body, status)
		}
	}
}

// methods lists the methods that the document has for an address.
func methods(path string) []string {
	var all []string
	for template, operations := range openAPI().Paths {
		for method := range operations {
			if matches(template, path) {
				all = append(all, strings.ToUpper(method))
			}
		}
	}
	slices.SortFunc(all, cmp.Compare[string])
	return slices.Compact(all)
}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeAll)
	for template := range openAPI().Paths {
		path := regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(template, "cup")
		allowed := methods(path)
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if slices.Contains(allowed, method) {
				continue
			}
			a := w.send(t, request{method: method, path: path, token: key})
			a.refused(t, http.StatusMethodNotAllowed, "method-not-allowed")
			got := a.header.Values("Allow")
			slices.Sort(got)
			if !slices.Equal(got, allowed) {
				t.Errorf("%s %s: Allow is %v, want %v", method, path, got, allowed)
			}
		}
	}
}
