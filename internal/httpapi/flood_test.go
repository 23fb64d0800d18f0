package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// raw is JSON, or what is to be taken for it, that is written as it is.
type raw string

// member is a property of an object. An object is a list of them, so that one may stand there twice.
type member struct {
	name  string
	value any
}

// text writes JSON, without minding whether it is any.
func text(v any) string {
	var parts []string
	switch v := v.(type) {
	case raw:
		return string(v)
	case []member:
		for _, m := range v {
			parts = append(parts, text(m.name)+":"+text(m.value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		for _, one := range v {
			parts = append(parts, text(one))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

// schemas are those that the document names, and bodies what its operations take in JSON, by operationId.
var schemas, bodies = func() (func() map[string]any, func() map[string]any) {
	read := sync.OnceValues(func() (map[string]any, map[string]any) {
		var d struct {
			Paths map[string]map[string]struct {
				ID   string `json:"operationId"`
				Body struct {
					Content map[string]struct {
						Schema any `json:"schema"`
					} `json:"content"`
				} `json:"requestBody"`
			} `json:"paths"`
			Components struct {
				Schemas map[string]any `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(serveAlone("/openapi.json"), &d); err != nil {
			panic(err)
		}
		taken := map[string]any{}
		for _, operations := range d.Paths {
			for _, o := range operations {
				if content, is := o.Body.Content["application/json"]; is {
					taken[o.ID] = content.Schema
				}
			}
		}
		return d.Components.Schemas, taken
	})
	return func() map[string]any { s, _ := read(); return s }, func() map[string]any { _, b := read(); return b }
}()

// resolved is a schema itself, where what is there refers to one.
func resolved(schema any) map[string]any {
	s, _ := schema.(map[string]any)
	if ref, is := s["$ref"].(string); is {
		s, _ = schemas()[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	}
	return s
}

// flood makes requests from the document: good ones, and such as nobody should send.
type flood struct {
	*rand.Rand
	w      *world
	key    string
	things map[string][]string // what there is, by the name under which it is asked for
	called map[string]map[int]int
}

func newFlood(t testing.TB, w *world, seed uint64) *flood {
	f := &flood{Rand: rand.New(rand.NewPCG(seed, 8)), w: w, called: map[string]map[int]int{}, things: map[string][]string{
		"sku": {"cup", "cup", "cup", "cup", "mug", "nothing", "new.1"}, "currency": {"EUR", "USD"}, "card": {"succeed", "decline", "late 1s"}, "image_url": {"/a.png", "https://images.example/a.png"},
		"opens_at": {"2099-12-12T12:12:00Z"}, "closes_at": {"2099-12-13T12:12:00Z"}, "payment_method": {"pm_1"}, "buyer": {"ann", "bob"},
	}}
	f.key = w.key(t, shop.ScopeAll)
	w.stocked(t, "cup", 5000)
	w.stocked(t, "mug", 200)
	if _, _, err := w.Audit(t.Context(), shop.AuditRequest{}); err != nil {
		t.Fatal(err)
	}
	for i, state := range []string{"draft", "scheduled", "open", "paused", "closed", "draft", "scheduled", "open"} {
		sku := fmt.Sprintf("sale.%d", i)
		w.stocked(t, sku, 50)
		f.things["sku"] = append(f.things["sku"], sku)
		f.things["sale_id"] = append(f.things["sale_id"], w.sale(t, state, shop.SaleTerms{Items: []shop.SaleItem{of(sku, 10*(i%2))}}).ID.String())
	}
	for i := range 4 {
		sku := fmt.Sprintf("rehearsed.%d", i)
		w.send(t, request{method: "PUT", path: "/api/v1/products/" + sku, token: f.key, body: `{"rehearsal": true}`}).into(t, 201, nil)
		f.things["sku"] = append(f.things["sku"], sku)
	}
	for _, sku := range []string{"cup", "cup", "cup", "mug"} {
		w.thing(t, "quarantine", w.hold(t, "ann", sku, 10))
	}
	return f
}

func one[T any](f *flood, of []T) T { return of[f.IntN(len(of))] }

// chance is true once in n times.
func (f *flood) chance(n int) bool { return f.IntN(n) == 0 }

var templateName = regexp.MustCompile(`\{(\w+)\}`)

// kindOf says what an id in an address names.
func kindOf(template, name string) string {
	if name != "id" {
		return name
	}
	return strings.TrimSuffix(strings.Split(strings.TrimPrefix(template, "/api/v1/"), "/")[0], "s") + "_id"
}

// thing is the value of a name: one that there is, mostly.
func (f *flood) thing(name string) string {
	name = strings.TrimSuffix(name, "s")
	switch known := f.things[name]; {
	case len(known) == 0 || f.chance(20):
	case f.chance(2):
		return one(f, known)
	default:
		return known[max(0, len(known)-1-int(f.ExpFloat64()*4))] // a new one
	}
	return fmt.Sprintf("019b1234-5678-7abc-8def-%012x", f.Uint64()>>16)
}

// good makes a value that a schema takes.
func (f *flood) good(name string, schema any) any {
	s := resolved(schema)
	kind, _ := s["type"].(string)
	if kinds, several := s["type"].([]any); several {
		kind, _ = kinds[0].(string)
	}
	if among, is := s["enum"].([]any); is {
		return one(f, among)
	}
	switch kind {
	case "object":
		return f.object(s)
	case "array":
		all := []any{}
		for range max(1, f.IntN(3)) {
			all = append(all, f.good(name, s["items"]))
		}
		return all
	case "boolean":
		return f.chance(2)
	case "integer":
		least, _ := s["minimum"].(float64)
		return int(least) + f.IntN(3)
	}
	if known := f.things[strings.TrimSuffix(name, "s")]; len(known) > 0 || s["format"] == "uuid" || name == "transaction_ids" {
		return f.thing(name)
	}
	return "text " + strconv.Itoa(f.IntN(1000))
}

// object has the required properties of a schema, and some of the others.
func (f *flood) object(s map[string]any) []member {
	all := []member{}
	required, _ := s["required"].([]any)
	properties, _ := s["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if slices.Contains(required, any(name)) || f.chance(2) {
			all = append(all, member{name, f.good(name, properties[name])})
		}
	}
	if properties == nil {
		all = append(all, member{"a", 1})
	}
	return all
}

// odd are values for any place in a body.
var odd = []any{
	nil, true, false, "", " ", 0, -1, 1.5, 1e9, 99, raw("-0"), raw("1e400"), raw("1e-400"), raw("9223372036854775808"), raw("-9223372036854775809"),
	raw(strings.Repeat("9", 400)), raw("01"), raw("+1"), raw("NaN"), raw("Infinity"), raw("0x10"), raw(`"\u0000"`), raw(`"\ud800"`), raw(`"\x"`), raw("'a'"), raw(""),
	canary + "!", "cup\n", "cup\x00", "\u202ecup", "🥤", "é", "e\u0301", "../../etc/passwd", "%00", "'; DROP TABLE claim; --", "<script>", "${jndi:ldap://x}", "{{7*7}}",
	strings.Repeat("a", 300), strings.Repeat("ü", 6000), []any{}, []any{nil}, []any{"cup", []any{}}, []member{}, []member{{"a", nil}}, []member{{"", 1}},
	[]member{{"__proto__", 1}}, []member{{"$ref", "#"}}, raw(strings.Repeat("[", 99) + strings.Repeat("]", 99)), raw(strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 150)),
	"2026-12-12", "2026-12-12T12:12:60Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+14:00", "019b1234-5678-7abc-8def-0123456789ab", "{019b1234-5678-7abc-8def-0123456789ab}",
	"XXX", "http://127.0.0.1/", "javascript:alert(1)",
}

// spoil changes a value somewhere.
func (f *flood) spoil(v any) any {
	switch v := v.(type) {
	case []member:
		if len(v) > 0 && !f.chance(3) {
			i := f.IntN(len(v))
			v = slices.Clone(v)
			switch f.IntN(6) {
			case 0:
				return slices.Delete(v, i, i+1)
			case 1:
				return append(v, v[i]) // twice
			case 2:
				v[i].name = strings.ToUpper(v[i].name)
			default:
				v[i].value = f.spoil(v[i].value)
			}
			return v
		}
		if f.chance(2) {
			return append(slices.Clone(v), member{one(f, []string{"colour", "", "status", "buyer", "id", "price", "a\x00", "__proto__"}), one(f, odd)})
		}
	case []any:
		if len(v) > 0 && !f.chance(3) {
			v = slices.Clone(v)
			if f.chance(4) {
				return append(v, v...)
			}
			i := f.IntN(len(v))
			v[i] = f.spoil(v[i])
			return v
		}
	}
	return one(f, odd)
}

// mangle breaks a text as such.
func (f *flood) mangle(s string) string {
	at := f.IntN(len(s) + 1)
	switch f.IntN(9) {
	case 0:
		return s[:at]
	case 1:
		return s[:at] + string([]byte{byte(f.IntN(256))}) + s[at:]
	case 2:
		return s + s
	case 3:
		return "\ufeff" + s
	case 4:
		return s + "\x00"
	case 5:
		return s[:at] + "\xff\xfe" + s[at:]
	case 6:
		return strings.Repeat("[", 20_000)
	case 7:
		return s[:at] + strings.Repeat(" ", 20_000) + s[at:]
	}
	return ""
}

// oddHeaders are what nobody sends, in headers that mean something to somebody.
var oddHeaders = map[string][]string{
	"Idempotency-Key":     {"", " ", canary, strings.Repeat("k", 255), strings.Repeat("k", 256), "\xff", "ü", "k,k", `"k"`, absent},
	"Prefer":              {"", "wait", "wait=", "wait=-1", "wait=x", "wait=99999999999999999999", "wait=1;wait=1", `wait="1"`, "respond-async, wait=0", strings.Repeat("a,", 400), "\xff"},
	"Buyer-Id":            {"", "bob", "\xff", strings.Repeat("b", 129), "ann\tbob", "🥤", "guest-1"},
	"Last-Event-Id":       {"", "0", "-1", "99999999999999999999", canary, strings.Repeat("9", 65), "\xff", "1,2"},
	"Authorization":       {"", "Bearer", "Bearer ", "bearer x.y.z", "Basic YTpi", "Bearer " + shop.KeyPrefix, "Bearer lu_" + canary, "Bearer " + strings.Repeat("a", 9000), "Bearer \xff", "Digest a=b", absent},
	"If-Match":            {"*", `"1"`, canary},
	"If-None-Match":       {"*", `W/"1"`},
	"If-Modified-Since":   {"Sat, 12 Dec 2099 12:12:12 GMT", "yesterday"},
	"If-Unmodified-Since": {"Sat, 12 Dec 1999 12:12:12 GMT"},
	"If-Range":            {`"1"`},
	"Range":               {"bytes=0-0", "bytes=-1", "bytes=9-1", "x"},
	"Content-Type":        {"", "text/plain", "application/xml", "application/json; charset=utf-16", "application/json, text/csv", "multipart/form-data; boundary=x", "\xff", "application/cbor"},
	"Content-Encoding":    {"gzip", "deflate, br", "x"},
	"Accept":              {"", "text/html", "application/cbor", "*/*;q=0", "application/json;q=x", "\xff", strings.Repeat("a/b,", 400)},
	"Accept-Encoding":     {"gzip;q=0, *;q=0", "br", "x"},
	"X-Request-Id":        {"", canary + `"`, strings.Repeat("x", 100)},
	"X-Forwarded-For":     {"127.0.0.1", canary, strings.Repeat("1.1.1.1,", 400)},
	"X-Http-Method":       {"DELETE"},
	"Origin":              {"null", "https://evil.example"},
	"Stripe-Signature":    {"", "t=1,v1=00", "t=x", strings.Repeat("v1=00,", 200), "t=99999999999999999999,v1=" + canary},
	"Upgrade":             {"websocket"},
	"Te":                  {"trailers"},
}

// cursors are such as no page gave, besides one that a page did give.
func (f *flood) cursor() string {
	encode := base64.RawURLEncoding.EncodeToString
	return one(f, []string{
		"", "!", canary, encode(nil), encode([]byte("-1")), encode([]byte("9223372036854775807")), encode([]byte("9223372036854775808")), encode(make([]byte, 16)),
		encode([]byte(strings.Repeat("\xff", 16))), encode([]byte("cup\x00")), encode([]byte("' OR 1=1")), strings.Repeat("A", 200), strings.Repeat("A", 201), f.thing("cursor"),
	})
}

// parameters fills in the query and the headers.
func (f *flood) parameters(r *request, o documentedOperation, bad bool) {
	query := url.Values{}
	for _, p := range o.Parameters {
		wanted := p.Required || f.chance(3)
		switch {
		case p.In == "path" || !wanted || p.Name == "Buyer-Id":
		case p.Name == "Prefer":
			*r = r.with("Prefer", one(f, []string{"wait=1", "respond-async"}))
		case p.In == "header":
			*r = r.with(p.Name, fmt.Sprint(f.good(p.Name, p.Schema), " ", f.Uint64()))
		case p.Name == "cursor":
			query.Set("cursor", f.cursor())
		default:
			v := f.good(p.Name, p.Schema)
			if bad && f.chance(3) {
				v = f.spoil(v)
			}
			if p.Schema["format"] == "date-time" && !bad {
				v = "2026-12-12T11:00:00Z"
			}
			if all, several := v.([]any); several {
				for _, each := range all {
					query.Add(p.Name, strings.Trim(text(each), `"`))
				}
				break
			}
			query.Add(p.Name, strings.Trim(text(v), `"`))
		}
	}
	if r.path += "?" + query.Encode(); bad && f.chance(6) {
		r.path += one(f, []string{"&x=" + canary, "&limit=1&limit=2", "&a;b", "&%zz", "&=", "&limit", "&cursor=%00", "&" + strings.Repeat("a=1&", 500), "&sku=" + strings.Repeat("x", 3000)})
	}
}

// request makes one for an operation.
func (f *flood) request(method, template string, o documentedOperation, bad bool) request {
	r := request{method: strings.ToUpper(method), endless: o.OperationID == "watchProduct" || o.OperationID == "watchTransaction"}
	r.path = templateName.ReplaceAllStringFunc(template, func(name string) string {
		v := f.thing(kindOf(template, strings.Trim(name, "{}")))
		if bad && f.chance(6) {
			v = one(f, []string{"%00", "..%2f..", "%ff", "%F0%9F%A5%A4", canary, "-1", "0", strings.Repeat("a", 2000), "%0d%0aX:1", strings.ToUpper(v), v + "%20", "{" + v + "}", "null", ".", "*"})
		}
		return v
	})
	r.token = token(f.thing("buyer"))
	mayBuyer := slices.ContainsFunc(o.Security, func(s map[string][]string) bool { _, is := s["buyer"]; return is })
	if len(o.Security) > 0 && (!mayBuyer || f.chance(3)) {
		r.token = f.key
		if slices.ContainsFunc(o.Parameters, func(p parameter) bool { return p.Name == "Buyer-Id" }) {
			r = r.with("Buyer-Id", "ann")
		}
	}
	f.parameters(&r, o, bad)
	if schema := bodies()[o.OperationID]; schema != nil {
		body := f.good("", schema)
		if sent, is := samples[o.OperationID].body.(string); is && !bad && f.chance(2) {
			body = raw(strings.ReplaceAll(sent, "{tx}", f.thing("transaction_id")))
		}
		if bad && !f.chance(3) {
			for range 1 + f.IntN(2) {
				body = f.spoil(body)
			}
		}
		r.body = text(body)
	}
	if o.OperationID == "importSheet" {
		r.body = one(f, []string{
			"sku,name\ncup,Cup\n", "sku,quantity,reference\ncup,2,r\n", "sku,price,currency\nmug,9.99,EUR\n", "sku;name\ncup;\"C\"\"up\"\n", "sku,sku\ncup,cup\n", "sku,quantity\ncup,-1\n",
			"Handle,Title,Variant SKU,Variant Price\ncup,Cup,cup,9.99\n",
		})
		r = r.with("Content-Type", "text/csv")
	}
	if !bad {
		return r
	}
	if s, is := r.body.(string); is && f.chance(6) {
		r.body = f.mangle(s)
	}
	for f.chance(3) {
		name := one(f, slices.Sorted(maps.Keys(oddHeaders)))
		r = r.with(name, one(f, oddHeaders[name]))
	}
	return r
}

var secondsOfWaiting = regexp.MustCompile(`wait=[0-9.e]+`)

// call sends a request for some operation and holds what is answered against the document: nothing is a fault of ours.
func (f *flood) call(t testing.TB) {
	t.Helper()
	template := one(f, slices.Sorted(maps.Keys(openAPI().Paths)))
	method := one(f, slices.Sorted(maps.Keys(openAPI().Paths[template])))
	o := openAPI().Paths[template][method]
	r := f.request(method, template, o, !f.chance(3))
	r.path = secondsOfWaiting.ReplaceAllString(r.path, "wait=0")
	r.path = r.path[:min(len(r.path), 5000)] // net/http itself refuses what is longer than all headers may be
	a := f.w.send(t, r)
	if a.status >= 500 && o.OperationID != "ready" || a.status < 100 {
		t.Errorf("%s %s %.2000v %.2000v: got %d %s", r.method, r.path, r.header, r.body, a.status, a.body)
	}
	if f.called[o.OperationID] == nil {
		f.called[o.OperationID] = map[int]int{}
	}
	f.called[o.OperationID][a.status]++
	f.learn(o.OperationID, a)
}

// learn remembers what an answer names.
func (f *flood) learn(id string, a answer) {
	var found struct {
		ID         string   `json:"id"`
		UnitIDs    []string `json:"unit_ids"`
		NextCursor string   `json:"next_cursor"`
		Items      []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if a.status >= 300 || json.Unmarshal(a.body, &found) != nil {
		return
	}
	add := func(kind string, ids ...string) { f.things[kind] = append(f.things[kind], ids...) }
	switch id {
	case "claim", "claimQueued":
		add("transaction_id", found.ID)
		add("unit_id", found.UnitIDs...)
	case "checkout", "confirm":
		add("order_id", found.ID)
	case "planSale":
		add("sale_id", found.ID)
	case "startRehearsal":
		add("rehearsal_id", found.ID)
	case "createWebhook":
		add("webhook_id", found.ID)
	case "listEvents":
		for _, event := range found.Items {
			add("event_id", event.ID)
		}
	}
	if found.NextCursor != "" {
		add("cursor", found.NextCursor)
	}
}

// TestFlood sends thousands of requests that are made from the document, good and bad. None of them is a fault of ours, each is answered as the document
// says, the books are right afterwards, and every operation has been both done and refused.
func TestFlood(t *testing.T) {
	t.Parallel()
	called := map[string]map[int]int{}
	var mu sync.Mutex
	const floods, requests = 3, 1600
	t.Run("by seed", func(t *testing.T) {
		for seed := range uint64(floods) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				w := newWorldWith(t, httpapi.Options{GuestRate: 1_000_000, Rehearse: func(shop.Rehearsal, string) {}})
				f := newFlood(t, w, seed)
				for range requests {
					f.call(t)
				}
				w.sound(t)
				mu.Lock()
				defer mu.Unlock()
				for id, statuses := range f.called {
					if called[id] == nil {
						called[id] = map[int]int{}
					}
					for status, n := range statuses {
						called[id][status] += n
					}
				}
			})
		}
	})
	never := map[string]bool{"stripeWebhook": true, "ready": true} // without Stripe, and with a PostgreSQL that loses answers
	for id := range samples {
		done, refused := 0, 0
		for status, n := range called[id] {
			if status < 300 {
				done += n
			} else {
				refused += n
			}
		}
		if done == 0 && !never[id] || refused == 0 {
			t.Errorf("%s was done %d times and refused %d times: %v", id, done, refused, called[id])
		}
	}
}

// FuzzOperations goes on with TestFlood for as long as it is let.
func FuzzOperations(f *testing.F) {
	w := newWorldWith(f, httpapi.Options{GuestRate: 1_000_000, Rehearse: func(shop.Rehearsal, string) {}})
	flood := newFlood(f, w, 0)
	for seed := range uint64(20) {
		f.Add(seed + 1000)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		flood.Rand = rand.New(rand.NewPCG(seed, 8))
		flood.call(t)
		if _, _, err := w.PauseSelling(t.Context(), shop.Operator{}, false); err != nil {
			t.Fatal(err)
		}
	})
}
