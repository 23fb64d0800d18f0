package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// everyOperation calls f with the operations of the document, in order.
func everyOperation(f func(method, template string, o documentedOperation)) {
	for _, template := range slices.Sorted(maps.Keys(openAPI().Paths)) {
		for _, method := range slices.Sorted(maps.Keys(openAPI().Paths[template])) {
			f(strings.ToUpper(method), template, openAPI().Paths[template][method])
		}
	}
}

// good makes a request for an operation that is done when it is sent, by ann or by a key that may do everything, on a thing that was made for it.
func (w *world) good(t testing.TB, key, method, template, id string) request {
	t.Helper()
	s := samples[id]
	tx := w.hold(t, "ann", "cup", 1)
	sku := "cup"
	if id == "deleteProduct" {
		sku = "rehearsed-" + tx.ID
		if _, _, err := w.PutProduct(t.Context(), shop.Product{SKU: sku, Rehearsal: true}); err != nil {
			t.Fatal(err)
		}
	}
	r := decided(request{method: method, path: strings.NewReplacer("{sku}", sku, "{transaction_id}", tx.ID, "{id}", w.thing(t, s.on, tx)).Replace(template) + s.query, token: key, endless: s.endless})
	if s.scope == shop.ScopeClaim && !s.keys {
		r.token = token("ann")
	} else if s.scope == shop.ScopeClaim {
		r = r.with("Buyer-Id", "ann")
	}
	if s.body != nil {
		r.body = strings.ReplaceAll(s.body.(string), "{tx}", tx.ID)
	}
	if s.media != "" {
		r = r.with("Content-Type", s.media)
	}
	return r
}

// shown are the names of everything that any answer tells, each with a value that it may have, or a text where that is long: all of them together are to be smaller
// than what an operation takes.
func shown(f *flood) map[string]any {
	all := map[string]any{"buyer_id": "bob", "owner": "bob", "role": "admin", "scopes": "*", "is_admin": true, "key_id": f.thing("key_id")}
	for _, schema := range schemas() {
		properties, _ := resolved(schema)["properties"].(map[string]any)
		for name, of := range properties {
			all[name] = f.good(name, of)
			if len(text(all[name])) > 200 {
				all[name] = "long"
			}
		}
	}
	return all
}

// withMore adds to every object of a body whatever its schema does not have, and returns where it did so.
func withMore(v, schema any, at string, more map[string]any) (any, []string) {
	s := resolved(schema)
	var places []string
	switch v := v.(type) {
	case []any:
		for i := range v {
			var in []string
			v[i], in = withMore(v[i], s["items"], fmt.Sprintf("%s[%d]", at, i), more)
			places = append(places, in...)
		}
		return v, places
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		if properties == nil {
			return v, nil // it means nothing to us, whatever is in it
		}
		all := []member{}
		for name, value := range v {
			inside, in := withMore(value, properties[name], at+"."+name, more)
			all, places = append(all, member{name, inside}), append(places, in...)
		}
		for name, value := range more {
			if properties[name] == nil {
				all, places = append(all, member{name, value}), append(places, at+"."+name)
			}
		}
		return all, places
	}
	return v, nil
}

// TestMassAssignment: whatever an answer tells of a thing is no input because of that, neither in a body, at any depth, nor as a parameter. It is refused
// by its name, and nothing is changed.
func TestMassAssignment(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{GuestRate: 1000})
	f := newFlood(t, w, 1)
	more := shown(f)
	if len(more) < 100 {
		t.Fatalf("only %d names", len(more))
	}
	refused := func(what string, r request, places []string) {
		before := w.fingerprint(t)
		p := w.send(t, r).refused(t, 422, "validation")
		var named []string
		for _, one := range p.Errors {
			named = append(named, one.Location)
		}
		for _, place := range places {
			if !slices.Contains(named, place) {
				t.Errorf("%s: %s is not refused, but %v", what, place, named)
			}
		}
		if after := w.fingerprint(t); after != before {
			t.Errorf("%s was refused, but what is there went from %s to %s", what, before, after)
		}
	}
	bodiesTried := 0
	everyOperation(func(method, template string, o documentedOperation) {
		id := o.OperationID
		if id == "ready" {
			return
		}
		r := w.good(t, f.key, method, template, id)
		if schema := bodies()[id]; schema != nil && id != "stripeWebhook" {
			var sent any = map[string]any{}
			if r.body != nil {
				if err := json.Unmarshal([]byte(r.body.(string)), &sent); err != nil {
					t.Fatal(err)
				}
			}
			with := r
			body, places := withMore(sent, schema, "body", more)
			with.body = text(body)
			if len(places) < 80 {
				t.Fatalf("%s: only %d names", id, len(places))
			}
			refused(id, with, places)
			bodiesTried++
		} else if method == http.MethodPost && id != "stripeWebhook" && id != "importSheet" {
			with := r
			with.body = text([]member{{"status", "paid"}, {"buyer", "bob"}})
			refused(id, with, []string{"body"})
		}
		var places []string
		separator := "?"
		if strings.Contains(r.path, "?") {
			separator = "&"
		}
		for name := range more {
			if !slices.ContainsFunc(o.Parameters, func(p parameter) bool { return p.In == "query" && p.Name == name }) {
				r.path += separator + name + "=1"
				separator, places = "&", append(places, "query."+name)
			}
		}
		refused(id+" with parameters", r, places)
	})
	if bodiesTried < 12 {
		t.Errorf("only %d operations take a body", bodiesTried)
	}
}

// makesAnother are the operations that make another thing each time that they are called without a key.
var makesAnother = []string{"claim", "claimQueued", "receive", "withdraw", "planSale", "runAudit", "startSession", "importSheet", "releaseQuarantine", "extend", "startRehearsal",
	"createWebhook", "rotateWebhookSecret", "testWebhook", "replayEvent",
}

// replaysTellLess are the operations whose replays say that nothing was done by them.
var replaysTellLess = []string{"importSheet", "releaseQuarantine"}

// counts are how many there are of what an operation may make, take away or move.
func (w *world) counts(t testing.TB) (n []int) {
	t.Helper()
	for _, table := range []string{
		"claim", "claim WHERE status = 'held'", "claim WHERE status = 'ordered'", "claim_unit", "claim_unit WHERE released_at IS NULL", "stock_token", "unit", "receipt", "withdrawal", "shop_order",
		"shop_order WHERE status = 'paid'", "shop_order WHERE status = 'cancelled'", "shop_order WHERE status = 'refunded'", "payment", "test_charge", "refund", "sale", "sale_change", "rehearsal", "audit_run",
		"product", "quarantine_unit WHERE left_at IS NULL", "event",
		"webhook", "webhook WHERE enabled", "webhook_secret", "webhook_delivery",
	} {
		n = append(n, w.count(t, "SELECT count(*) FROM "+table))
	}
	return n
}

func (w *world) paused(t testing.TB, is bool) {
	t.Helper()
	if _, _, err := w.PauseSelling(t.Context(), shop.Operator{}, is); err != nil {
		t.Fatal(err)
	}
}

func less(a, b []int) []int {
	d := make([]int, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return d
}

// atOnce sends a request n times at once.
func (w *world) atOnce(t testing.TB, n int, r request) []answer {
	t.Helper()
	answers := make([]answer, n)
	var ready, done sync.WaitGroup
	ready.Add(len(answers))
	for i := range answers {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = w.send(t, r)
		})
	}
	done.Wait()
	return answers
}

// TestFiftyAtOnce: whatever changes something is sent 50 times at once. With one key it is done once, all are told the same, and one that comes later as
// well; without a key what can be done once is done once. Nobody is told of a fault.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{GuestRate: 1_000_000})
	w.stocked(t, "cup", 5000)
	key := w.key(t, shop.ScopeAll)
	everyOperation(func(method, template string, o documentedOperation) {
		id := o.OperationID
		if method == http.MethodGet || id == "stripeWebhook" { // which does nothing without Stripe
			return
		}
		effect := func(send func(request)) []int {
			r := w.good(t, key, method, template, id)
			w.paused(t, id == "resumeSelling")
			before := w.counts(t)
			send(r)
			made := less(w.counts(t), before)
			w.paused(t, false)
			return made
		}
		once := effect(func(r request) {
			if a := w.send(t, r); a.status >= 300 {
				t.Errorf("%s: got %d %s", id, a.status, a.body)
			}
		})
		judge := func(way string, answers []answer) {
			for _, a := range answers {
				if a.status >= 500 && a.status != 503 { // which the document has, for what did not happen
					t.Errorf("%s %s: got %d %s", id, way, a.status, a.body)
				}
			}
		}
		without := effect(func(r request) { judge("without a key", w.atOnce(t, 50, r)) })
		if !slices.Contains(makesAnother, id) && !slices.Equal(without, once) {
			t.Errorf("%s 50 times at once without a key makes %v, once %v", id, without, once)
		}
		if !slices.ContainsFunc(o.Parameters, func(p parameter) bool { return p.Name == "Idempotency-Key" }) {
			return
		}
		with := effect(func(r request) {
			r = r.with("Idempotency-Key", "once of "+id)
			answers := w.atOnce(t, 50, r)
			judge("with a key", answers)
			answers = append(answers, w.send(t, r))
			fresh, told := 0, answers[len(answers)-1]
			for _, a := range answers {
				replay := a.header.Get("Idempotency-Replayed") != ""
				if !replay {
					fresh++
				}
				if a.status != told.status || a.status >= 300 || !bytes.Equal(a.body, told.body) && (replay || !slices.Contains(replaysTellLess, id)) && id != "startRehearsal" { // which goes on
					t.Errorf("%s with one key was answered %d %s and %d %s", id, a.status, a.body, told.status, told.body)
				}
			}
			if fresh != 1 {
				t.Errorf("%s with one key: %d of %d are no replay", id, fresh, len(answers))
			}
		})
		if !slices.Equal(with, once) {
			t.Errorf("%s 50 times at once with one key makes %v, once %v", id, with, once)
		}
	})
	w.sound(t)
}

// TestNothingToEnumerate: ids can't be guessed, another's thing is answered to the byte like one that is not there, and no cursor shows what is another's.
func TestNothingToEnumerate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 500)
	tells := func(a answer) string {
		h := a.header.Clone()
		h.Del("Date")
		h.Del("X-Request-Id")
		return fmt.Sprintf("%d %v %s", a.status, h, a.body)
	}
	asked := 0
	everyOperation(func(method, template string, o documentedOperation) {
		s := samples[o.OperationID]
		if s.scope != shop.ScopeClaim || s.keys || !strings.Contains(template, "id}") {
			return
		}
		asked++
		mine := w.good(t, "", method, template, o.OperationID)
		mine.token = token("bob")
		none := mine
		none.path = templateName.ReplaceAllString(template, "019b1234-5678-7abc-8def-0123456789ab")
		if theirs, nobodys := tells(w.send(t, mine)), tells(w.send(t, none)); theirs != nobodys || !strings.HasPrefix(theirs, "404") {
			t.Errorf("%s: ann's thing is answered %s, and none %s", o.OperationID, theirs, nobodys)
		}
	})
	if asked < 6 {
		t.Errorf("only %d operations have an id", asked)
	}
	// In a body as well.
	for _, other := range []string{w.hold(t, "ann", "cup", 1).ID, "019b1234-5678-7abc-8def-0123456789ab"} {
		if p := w.send(t, as("bob", "POST", "/api/v1/order/checkout", fmt.Sprintf(`{"transaction_ids": [%q]}`, other))).refused(t, 404, "not-found"); strings.Contains(p.Detail, "ann") {
			t.Errorf("bob is told %s", p.Detail)
		}
	}
	w.noneOfAnothers(t)
	w.randomIDs(t)
}

// noneOfAnothers: bob turns ann's pages, pages that he makes up, and pages behind each of ann's orders.
func (w *world) noneOfAnothers(t *testing.T) {
	t.Helper()
	var forged []string
	for range 3 {
		id := w.paid(t, "ann", "cup", 1).ID
		w.paid(t, "bob", "cup", 1)
		forged = append(forged, base64.RawURLEncoding.EncodeToString(id[:]))
	}
	var page struct {
		Items []struct {
			Buyer string `json:"buyer"`
		} `json:"items"`
		NextCursor *string `json:"next_cursor"`
	}
	if w.send(t, as("ann", "GET", "/api/v1/orders?limit=1", nil)).into(t, 200, &page); page.NextCursor == nil {
		t.Fatal("there is no other page")
	}
	forged = append(forged, *page.NextCursor, base64.RawURLEncoding.EncodeToString(make([]byte, 16)), base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{255}, 16)))
	seen := 0
	for _, cursor := range forged {
		page.Items = nil
		w.send(t, as("bob", "GET", "/api/v1/orders?limit=100&cursor="+cursor, nil)).into(t, 200, &page)
		for _, o := range page.Items {
			if seen++; o.Buyer != "bob" {
				t.Errorf("bob is shown an order of %s", o.Buyer)
			}
		}
	}
	if seen < 6 {
		t.Errorf("bob is shown %d orders", seen)
	}
}

// randomIDs: what is random in ids of one moment, their last 62 bits, is so in each bit, and no two are near each other.
func (w *world) randomIDs(t *testing.T) {
	t.Helper()
	const n = 100
	var ids []string
	for i := range n / 10 {
		tx := w.hold(t, buyer(i), "cup", 9)
		ids = append(append(ids, tx.ID), tx.UnitIDs...)
	}
	var ones [64]int
	near := map[string]bool{}
	for _, id := range ids {
		last := strings.ReplaceAll(id, "-", "")[16:]
		if near[last[:6]] && near[last[6:]] {
			t.Errorf("%s is near another", id)
		}
		near[last[:6]], near[last[6:]] = true, true
		raw, err := hex.DecodeString(last)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range ones {
			ones[bit] += int(raw[bit/8]>>(7-bit%8)) & 1
		}
	}
	for bit, count := range ones[2:] {
		if count < n/5 || count > n*4/5 { // 6 standard deviations
			t.Errorf("bit %d is 1 in %d of %d ids", bit+66, count, n)
		}
	}
}
