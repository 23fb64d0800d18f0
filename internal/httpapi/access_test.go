package httpapi_test

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// sample says who may call an operation, how it is called, and what that is answered.
type sample struct {
	scope  shop.Scope // claim: buyers as well; empty: anybody
	body   any
	status int
}

var samples = map[string]sample{
	"claim":            {"claim", map[string]any{"sku": "cup"}, 201},
	"claimQueued":      {"claim", map[string]any{"sku": "cup"}, 202},
	"deleteProduct":    {"catalog", nil, 409},
	"getAudit":         {"audit", nil, 200},
	"getCart":          {"claim", nil, 200},
	"getProduct":       {"", nil, 200},
	"getStock":         {"stock", nil, 200},
	"getTransaction":   {"claim", nil, 200},
	"getUnit":          {"stock", nil, 200},
	"listProducts":     {"", nil, 200},
	"live":             {"", nil, 200},
	"putProduct":       {"catalog", map[string]any{}, 200},
	"ready":            {"", nil, 503}, // the tests' PostgreSQL runs without fsync, and says so
	"receive":          {"stock", map[string]any{"quantity": 1, "reference": "r"}, 201},
	"release":          {"claim", nil, 204},
	"runAudit":         {"audit", nil, 201},
	"watchTransaction": {"claim", nil, 200},
	"withdraw":         {"stock", map[string]any{"quantity": 1, "reason": "r"}, 201},
}

// who is somebody who calls, and what the document makes of it.
type who struct {
	name  string
	set   func(request) request
	buyer string // who is called for, if anybody
	scope shop.Scope
}

var scopeInText = regexp.MustCompile("scope `([a-z]+)`")

// want is the status that the operation's security and description promise.
func (c who) want(t *testing.T, o documentedOperation) int {
	t.Helper()
	known := samples[o.OperationID]
	var buyers, keys bool
	for _, one := range o.Security {
		_, buyer := one["buyer"]
		_, key := one["key"]
		buyers, keys = buyers || buyer, keys || key
	}
	var scope shop.Scope
	if named := scopeInText.FindStringSubmatch(o.Description); named != nil {
		scope = shop.Scope(named[1])
	}
	if scope != known.scope || keys != (scope != "") || buyers != (scope == shop.ScopeClaim) {
		t.Errorf("the document gives %s to %v with the scope %q, want %q", o.OperationID, o.Security, scope, known.scope)
	}
	switch {
	case scope == "":
		return known.status
	case c.scope == "" && c.buyer == "":
		return 401
	case c.scope == "" && !buyers, c.scope != "" && c.scope != shop.ScopeAll && c.scope != scope:
		return 403
	case c.buyer != "ann" && slices.Contains([]string{"getTransaction", "release", "watchTransaction"}, o.OperationID):
		return 404
	}
	return known.status
}

func (w *world) callers(t *testing.T) []who {
	bearer := func(token string) func(request) request {
		return func(r request) request { r.token = token; return r }
	}
	all := []who{
		{name: "nobody", set: bearer("")},
		{name: "somebody whose token has expired", set: bearer(tokenWith(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}, "ann"))},
		{name: "somebody whose key was revoked", set: bearer(w.revokedKey(t))},
		{name: "ann", set: bearer(token("ann")), buyer: "ann"},
		{name: "bob", set: bearer(token("bob")), buyer: "bob"},
	}
	for _, scope := range shop.Scopes() {
		secret := w.key(t, scope)
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
	w := newWorld(t)
	w.stocked(t, "cup", 1000)
	if _, _, err := w.Audit(t.Context(), shop.AuditRequest{}); err != nil {
		t.Fatal(err)
	}
	callers := w.callers(t)
	seen := 0
	for template, operations := range openAPI().Paths {
		for method, o := range operations {
			if _, known := samples[o.OperationID]; !known {
				t.Errorf("%s %s: the test does not know how to call %s", method, template, o.OperationID)
				continue
			}
			seen++
			t.Run(o.OperationID, func(t *testing.T) {
				for _, c := range callers {
					w.tries(t, strings.ToUpper(method), template, o, c)
				}
			})
		}
	}
	if seen != len(samples) {
		t.Errorf("the document has %d of the %d operations that the test knows", seen, len(samples))
	}
}

func (w *world) tries(t *testing.T, method, template string, o documentedOperation, c who) {
	t.Helper()
	tx := w.hold(t, "ann", "cup", 1)
	path := strings.NewReplacer("{sku}", "cup", "{transaction_id}", tx.ID, "{id}", tx.ID).Replace(template)
	if o.OperationID == "getUnit" {
		path = strings.NewReplacer("{id}", tx.UnitIDs[0]).Replace(template)
	}
	before := w.rows(t)
	r := c.set(request{method: method, path: path, body: samples[o.OperationID].body})
	got, want := w.send(t, r), c.want(t, o)
	if got.status != want {
		t.Errorf("%s by %s: got %d %s, want %d", o.OperationID, c.name, got.status, got.body, want)
	}
	if code := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not-found"}[want]; code != "" {
		got.refused(t, want, code)
		if after := w.rows(t); after != before {
			t.Errorf("%s by %s was refused, but claims, their units and tokens went from %v to %v", o.OperationID, c.name, before, after)
		}
	}
	if want == 401 && got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s by %s: a 401 without WWW-Authenticate", o.OperationID, c.name)
	}
}

// hold claims through the shop, without HTTP.
func (w *world) hold(t testing.TB, buyer, sku string, quantity int) httpapi.Transaction {
	t.Helper()
	c, err := w.Claim(t.Context(), shop.ClaimRequest{Buyer: buyer, SKU: sku, Quantity: quantity})
	if err != nil {
		t.Fatal(err)
	}
	tx := httpapi.Transaction{ID: c.Transaction.ID.String()}
	for _, id := range c.Transaction.UnitIDs {
		tx.UnitIDs = append(tx.UnitIDs, id.String())
	}
	return tx
}

// TestOnlyTheDocument: what is served and not in the document is for people, and needs nobody's rights.
func TestOnlyTheDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, status := range map[string]int{
		"/": 302, "/docs": 302, "/docs/": 200, "/problems": 200, "/openapi.json": 200, "/openapi.yaml": 200,
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
