package rehearsal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

const testKey = "lu_test"

// seed is one defect that a service may have. The zero seed is a correct service.
type seed struct {
	oversells      bool // claims one unit that does not exist
	doubles        bool // gives the first unit to a second buyer too
	short          bool // gives the first buyer an empty hold
	shares         bool // gives the first transaction to a second buyer
	closesOnce     int  // loses the first answers, and replays them
	closesAlways   bool // never answers the first key
	hangs          bool // leaves the first key without an answer
	forgetsKey     bool // loses the first answer and claims again for the same key
	busyOnce       int  // turns the first requests away for a moment
	stockLies      bool // counts one unit as held that is available
	losesUnit      bool // counts one unit nowhere
	soldOut        bool // says sold-out while units are held
	leavesOne      bool // refuses the last unit to everybody
	availableLies  bool // says not-enough-units with enough of them
	availableMutes bool // says not-enough-units without saying how many
	limits         bool // refuses one buyer for a purchase limit
	faults         bool // answers one buyer with a 500
	forgetsHold    bool // has no transaction for the first hold
	swapsUnits     bool // stores the first hold with other units
	releases       bool // releases the first hold by itself
	lapses         bool // lets the first hold lapse at once
	auditFails     bool
	auditEmpty     bool
	keepsProduct   bool // cannot delete
	queueSeed
}

// fake is the service as a client sees it, in memory.
type fake struct {
	seed
	mu       sync.Mutex
	products map[string]*fakeProduct
	byKey    map[string]string // transaction by caller and key
	stored   map[string]*fakeTransaction
	claims   int
	first    string         // the first key that asked
	hosts    map[string]int // claims by address
	created  int
	onClaim  func()
	queueSeen
}

type fakeProduct struct {
	received int
	tokens   []string
	held     int
	holds    int
	queue    []*fakeTransaction
}

type fakeTransaction struct {
	transaction
	buyer string
	sku   string
	first bool // of the first key that asked
	shown int
}

func newFake(s seed) *fake {
	return &fake{seed: s, products: map[string]*fakeProduct{}, byKey: map[string]string{}, stored: map[string]*fakeTransaction{}, hosts: map[string]int{}}
}

// start serves the fake until the test ends.
func (f *fake) start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(f.handler())
	t.Cleanup(server.Close)
	return server.URL
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /api/v1/products/{sku}", f.locked(f.product))
	mux.HandleFunc("POST /api/v1/products/{sku}/receipts", f.locked(f.receipt))
	mux.HandleFunc("GET /api/v1/products/{sku}/stock", f.locked(f.stock))
	mux.HandleFunc("DELETE /api/v1/products/{sku}", f.locked(f.remove))
	mux.HandleFunc("GET /api/v1/transaction/{id}", f.locked(f.show))
	mux.HandleFunc("POST /api/v1/audit", f.locked(f.audit))
	mux.HandleFunc("POST "+claimPath, f.claim)
	mux.HandleFunc("POST "+queuePath, f.claim)
	return mux
}

func (f *fake) locked(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if permitted(w, r) {
			next(w, r)
		}
	}
}

func permitted(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Authorization") != "Bearer "+testKey {
		refuse(w, http.StatusForbidden, "forbidden", nil)
		return false
	}
	if r.Method == http.MethodPost && r.Header.Get("Idempotency-Key") == "" && r.URL.Path != queuePath {
		refuse(w, http.StatusUnprocessableEntity, "validation", nil)
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, status int, code string, extra map[string]any) {
	body := map[string]any{"type": "/problems/" + code, "status": status, "code": code}
	for name, value := range extra {
		body[name] = value
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (f *fake) product(w http.ResponseWriter, r *http.Request) {
	var in struct{ Rehearsal bool }
	if json.NewDecoder(r.Body).Decode(&in) != nil || !in.Rehearsal {
		refuse(w, http.StatusUnprocessableEntity, "validation", nil)
		return
	}
	f.products[r.PathValue("sku")] = &fakeProduct{}
	f.created++
	reply(w, http.StatusCreated, map[string]any{})
}

func (f *fake) receipt(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Quantity  int
		Reference string
	}
	p := f.products[r.PathValue("sku")]
	if p == nil || json.NewDecoder(r.Body).Decode(&in) != nil || in.Quantity < 1 || in.Reference == "" {
		refuse(w, http.StatusUnprocessableEntity, "validation", nil)
		return
	}
	for range in.Quantity {
		p.received++
		p.tokens = append(p.tokens, fmt.Sprintf("unit-%d", p.received))
	}
	reply(w, http.StatusCreated, map[string]any{})
}

func (f *fake) stock(w http.ResponseWriter, r *http.Request) {
	p := f.products[r.PathValue("sku")]
	if p == nil {
		refuse(w, http.StatusNotFound, "not-found", nil)
		return
	}
	places := Places{Received: p.received, Available: len(p.tokens), Held: p.held}
	if f.stockLies {
		places.Held, places.Available = places.Held-1, places.Available+1
	}
	if f.losesUnit {
		places.Held--
	}
	reply(w, http.StatusOK, places)
}

func (f *fake) remove(w http.ResponseWriter, r *http.Request) {
	sku := r.PathValue("sku")
	if f.keepsProduct {
		refuse(w, http.StatusConflict, "conflict", nil)
		return
	}
	if f.products[sku] == nil {
		refuse(w, http.StatusNotFound, "not-found", nil)
		return
	}
	delete(f.products, sku)
	w.WriteHeader(http.StatusNoContent)
}

func (f *fake) audit(w http.ResponseWriter, r *http.Request) {
	var in struct{ SKU string }
	if json.NewDecoder(r.Body).Decode(&in) != nil || f.products[in.SKU] == nil {
		refuse(w, http.StatusNotFound, "not-found", nil)
		return
	}
	check := map[string]any{"name": "conservation", "ok": !f.auditFails, "violations": []string{}}
	if f.auditFails {
		check["violations"] = []string{"unit-7 is in two places"}
	}
	checks := []any{check}
	if f.auditEmpty {
		checks = []any{}
	}
	reply(w, http.StatusOK, map[string]any{"ok": !f.auditFails, "finished_at": "2026-12-12T12:12:00Z", "checks": checks})
}

func (f *fake) claim(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SKU      string
		Quantity int
	}
	buyer := r.Header.Get("Buyer-Id")
	if !permitted(w, r) {
		return
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Quantity < 1 || buyer == "" {
		refuse(w, http.StatusUnprocessableEntity, "validation", nil)
		return
	}
	if f.onClaim != nil {
		f.onClaim()
	}
	key := buyer + " " + r.Header.Get("Idempotency-Key")
	f.mu.Lock()
	f.claims++
	f.hosts[r.Host]++
	if f.first == "" {
		f.first = key
	}
	nth, isFirst := f.claims, f.first == key
	if nth <= f.busyOnce {
		f.mu.Unlock()
		w.Header().Set("Retry-After", "0")
		refuse(w, http.StatusServiceUnavailable, "busy", nil)
		return
	}
	way := f.settle
	if r.URL.Path == queuePath {
		f.noteAsked(r)
		way = f.enqueue
	}
	status, body := f.replay(key, w.Header())
	if status == 0 {
		status, body = way(key, &fakeTransaction{buyer: buyer, sku: in.SKU, first: isFirst, transaction: transaction{Quantity: in.Quantity}})
	}
	if f.forgetsKey && nth == 1 {
		delete(f.byKey, key)
	}
	f.mu.Unlock()

	switch {
	case f.hangs && isFirst:
		<-r.Context().Done()
	case f.closesAlways && isFirst, f.forgetsKey && nth == 1, nth <= f.closesOnce:
		panic(http.ErrAbortHandler)
	case status == http.StatusAccepted:
		f.sayWhere(w.Header(), body.(transaction).ID)
		reply(w, status, body)
	case status == http.StatusCreated:
		reply(w, status, body)
	default:
		extra := body.(map[string]any)
		refuse(w, status, extra["code"].(string), extra)
	}
}

// replay is what a key that has made a transaction is answered; status 0 for any other. The caller holds the mutex, here
// and below.
func (f *fake) replay(key string, header http.Header) (int, any) {
	id, known := f.byKey[key]
	if !known || strings.HasSuffix(key, " ") { // no key at all
		return 0, nil
	}
	header.Set("Idempotency-Replayed", "true")
	switch t := f.stored[id]; t.Status {
	case "queued":
		return http.StatusAccepted, f.queuedView(t)
	case "refused":
		return http.StatusConflict, map[string]any{"code": t.Reason}
	default:
		return http.StatusCreated, t.transaction
	}
}

// settle decides a direct claim.
func (f *fake) settle(key string, t *fakeTransaction) (int, any) {
	if f.shares && len(f.stored) == 1 {
		f.shares = false
		for _, other := range f.stored {
			return http.StatusCreated, other.transaction
		}
	}
	for p := f.products[t.sku]; p != nil && !f.pushesIn && f.settleNext(p); {
	}
	status, refusal := f.decide(t)
	if refusal != nil {
		return status, refusal
	}
	f.store(key, t)
	answer := t.transaction
	switch {
	case f.short && t.first:
		answer.UnitIDs = []string{}
	case f.swapsUnits && t.first:
		t.UnitIDs = []string{"unit-other"}
	case f.releases && t.first:
		t.Status = "released"
	case f.lapses && t.first:
		t.Status = "expired"
	case f.forgetsHold && t.first:
		delete(f.stored, t.ID)
		f.stored["gone"] = t
	}
	return status, answer
}

func (f *fake) store(key string, t *fakeTransaction) {
	t.ID = fmt.Sprintf("tx-%s-%d", t.sku, len(f.stored))
	f.byKey[key], f.stored[t.ID] = t.ID, t
}

// decide gives a claim its units, or says why not.
func (f *fake) decide(t *fakeTransaction) (int, map[string]any) {
	p := f.products[t.sku]
	if p == nil {
		return http.StatusNotFound, map[string]any{"code": "not-found"}
	}
	if f.limits && t.first {
		return http.StatusConflict, map[string]any{"code": "purchase-limit"}
	}
	if f.faults && t.first {
		return http.StatusInternalServerError, map[string]any{"code": "internal"}
	}
	if f.oversells && p.received == p.held {
		p.tokens, f.oversells = append(p.tokens, "unit-from-nowhere"), false
		p.received++
		defer func() { p.received-- }()
	}
	there := len(p.tokens)
	if f.leavesOne {
		there--
	}
	if there < t.Quantity {
		return http.StatusConflict, f.refusal(there, t.Quantity)
	}
	t.Status, t.UnitIDs = "held", slices.Clone(p.tokens[:t.Quantity])
	if p.holds++; f.doubles && p.holds == 2 {
		t.UnitIDs = []string{"unit-1"}
	}
	p.tokens, p.held = p.tokens[t.Quantity:], p.held+t.Quantity
	return http.StatusCreated, nil
}

func (f *fake) refusal(there, quantity int) map[string]any {
	switch {
	case f.soldOut:
		return map[string]any{"code": "sold-out"}
	case f.availableMutes:
		return map[string]any{"code": "not-enough-units"}
	case f.availableLies:
		return map[string]any{"code": "not-enough-units", "available": quantity}
	case there > 0:
		return map[string]any{"code": "not-enough-units", "available": there}
	}
	return map[string]any{"code": "all-held", "next_release_at": "2026-12-12T12:22:00Z"}
}

func (f *fake) leftovers() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var skus []string
	for sku := range f.products {
		skus = append(skus, sku)
	}
	return skus
}

func mustContain(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("no %q in:\n%s", want, text)
	}
}
