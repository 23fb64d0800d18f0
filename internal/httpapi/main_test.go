package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	buyerSecret = "a secret that only the shop and lastunit know"
	// canary is part of every secret and of every piece of nonsense that a test sends: no answer and no log may repeat it.
	canary = "Canary7f3a"
)

// internals never belong into an answer.
var internals = []string{"json:", "Go struct", "Go value", "pgx", "SQLSTATE", "goroutine", "internal/", canary}

// world is a service on a database of its own, with a clock that a test can move.
type world struct {
	*shop.Shop
	db       *pgxpool.Pool
	provider *payment.Test
	server   *httptest.Server
	log      *logbook
	mu       sync.Mutex
	then     *time.Time
}

func newWorld(t testing.TB) *world { return newWorldWith(t, httpapi.Options{}) }

// newWorldWith makes a world whose API has options; without Buyers, those of buyerSecret are trusted.
func newWorldWith(t testing.TB, o httpapi.Options) *world {
	t.Helper()
	return newServer(t, dbtest.Pool(t), shop.Options{}, o)
}

// newShop makes a world whose shop has options.
func newShop(t testing.TB, o shop.Options) *world {
	t.Helper()
	return newServer(t, dbtest.Pool(t), o, httpapi.Options{})
}

// beside makes another server on the world's database, with a clock of its own.
func (w *world) beside(t testing.TB, o shop.Options) *world {
	t.Helper()
	return newServer(t, w.db, o, httpapi.Options{})
}

func newServer(t testing.TB, db *pgxpool.Pool, s shop.Options, o httpapi.Options) *world {
	t.Helper()
	w := &world{db: db, log: &logbook{}}
	s.Now, s.ShowStock = w.now, -1
	w.provider = payment.NewTest(db, payment.TestOptions{Notify: w.notified})
	if s.Provider == nil {
		s.Provider = w.provider
	}
	w.Shop = shop.New(w.db, s)
	t.Cleanup(w.Close)
	t.Cleanup(w.provider.Close)
	if o.Buyers.JWKSURL == "" && o.Buyers.Secret == nil {
		o.Buyers.Secret = []byte(buyerSecret)
	}
	o.Log = slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	if o.Rehearse == nil {
		o.Rehearse = w.rehearse
	}
	handler, err := httpapi.New(ctx, w.Shop, o)
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewUnstartedServer(nil)
	w.server.Config = httpapi.NewServer(handler, o.Log)
	w.server.Start()
	w.server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		w.server.Close()
		w.log.check(t)
	})
	return w
}

// notified is what the payment provider's webhook would call.
func (w *world) notified(id pgdb.ID) { _ = w.PaymentChanged(context.Background(), id) }

func (w *world) now() *time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.then
}

// moveTo sets the clock of the world.
func (w *world) moveTo(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.then = &at
}

// stocked makes a product that is on sale, with units.
func (w *world) stocked(t testing.TB, sku string, quantity int) {
	t.Helper()
	price := &shop.Money{Amount: 1250, Currency: "EUR"}
	if _, _, err := w.PutProduct(t.Context(), shop.Product{SKU: sku, Selling: true, Price: price}); err != nil {
		t.Fatal(err)
	}
	w.stock(t, sku, quantity)
}

func (w *world) stock(t testing.TB, sku string, quantity int) {
	t.Helper()
	r := shop.ReceiptRequest{SKU: sku, Quantity: quantity, Reference: "test", KeyID: pgdb.NewID()}
	if _, _, err := w.Receive(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// key makes an API key and returns its secret.
func (w *world) key(t testing.TB, scopes ...shop.Scope) string {
	t.Helper()
	secret, _, err := w.CreateKey(t.Context(), "test", scopes)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (w *world) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := w.db.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// rows counts what a claim would change.
func (w *world) rows(t testing.TB) (n [3]int) {
	t.Helper()
	for i, table := range []string{"claim", "claim_unit", "stock_token"} {
		n[i] = w.count(t, "SELECT count(*) FROM "+table)
	}
	return n
}

// token is a buyer's, good for an hour.
func token(buyer string) string { return tokenWith(nil, buyer) }

// tokenWith overrides claims of a good token; nil takes one out.
func tokenWith(claims jwt.MapClaims, buyer string) string {
	all := jwt.MapClaims{"sub": buyer, "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return signed(jwt.SigningMethodHS256, all, []byte(buyerSecret), "")
}

func signed(method jwt.SigningMethod, claims jwt.Claims, key any, kid string) string {
	t := jwt.NewWithClaims(method, claims)
	if kid != "" {
		t.Header["kid"] = kid
	}
	text, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

// request is what a test sends.
type request struct {
	method, path string
	token        string // goes into Authorization: Bearer
	header       http.Header
	body         any  // a string is sent as it is, anything else as JSON; nil sends none
	endless      bool // a success is not read
}

// with adds a header to a request.
func (r request) with(name, value string) request {
	r.header = r.header.Clone()
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header[name] = []string{value}
	return r
}

func (r request) build(base string) (*http.Request, error) {
	var body io.Reader
	if text, ok := r.body.(string); ok {
		body = strings.NewReader(text)
	} else if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(r.method, base+r.path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for name, values := range r.header {
		req.Header[name] = values
		if values[0] == absent {
			delete(req.Header, name)
		}
	}
	return req, nil
}

// absent as a header's value keeps it from being sent.
const absent = "\x00absent"

// answer is what came back.
type answer struct {
	method, path string
	status       int
	header       http.Header
	body         []byte
}

// send sends a request and holds what came back against the document. It may be called from any goroutine.
func (w *world) send(t testing.TB, r request) answer {
	t.Helper()
	req, err := r.build(w.server.URL)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	resp, err := w.server.Client().Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", r.method, r.path, err)
		return answer{}
	}
	defer func() { _ = resp.Body.Close() }()
	var body []byte
	if !r.endless || resp.StatusCode >= 400 {
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Errorf("%s %s: %v", r.method, r.path, err)
		}
	}
	a := answer{method: r.method, path: req.URL.Path, status: resp.StatusCode, header: resp.Header, body: body}
	a.check(t)
	documented(t, req, a)
	return a
}

// into decodes a success of the status; anything else ends the test.
func (a answer) into(t testing.TB, status int, v any) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s %s: got %d %s, want %d", a.method, a.path, a.status, a.body, status)
	}
	if v == nil {
		return a
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%s %s: %v in %s", a.method, a.path, err, a.body)
	}
	return a
}

// refused holds that the answer is a problem with the code, and returns it.
func (a answer) refused(t testing.TB, status int, code string) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if a.status < 400 {
		t.Errorf("%s %s: got %d %s, want the problem %s", a.method, a.path, a.status, a.body, code)
		return p
	}
	_ = json.Unmarshal(a.body, &p)
	if a.status != status || p.Code != code {
		t.Errorf("%s %s: got %d %s, want %d %s", a.method, a.path, a.status, a.body, status, code)
	}
	return p
}

// check holds that every refusal is a problem (RFC 9457) that gives nothing away.
func (a answer) check(t testing.TB) {
	t.Helper()
	if a.status < 400 {
		return
	}
	var members map[string]any
	if err := json.Unmarshal(a.body, &members); err != nil {
		t.Errorf("%s %s: %d is no problem: %s", a.method, a.path, a.status, a.body)
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s %s: %d has the type %q", a.method, a.path, a.status, got)
	}
	code, _ := members["code"].(string)
	title, _ := members["title"].(string)
	detail, _ := members["detail"].(string)
	if code == "" || title == "" || detail == "" || members["type"] != "/problems/"+code || members["status"] != float64(a.status) {
		t.Errorf("%s %s: a problem lacks members: %d %s", a.method, a.path, a.status, a.body)
	}
	for _, secret := range internals {
		if bytes.Contains(a.body, []byte(secret)) {
			t.Errorf("%s %s: %d tells %q: %s", a.method, a.path, a.status, secret, a.body)
		}
	}
}

// logbook keeps what the service logs.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns what was logged, and forgets it.
func (l *logbook) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// check holds that nothing broke and that nothing secret was logged.
func (l *logbook) check(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(l.text.String(), "\n") {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, canary) || strings.Contains(line, "eyJ") ||
			strings.Contains(line, shop.KeyPrefix) || strings.Contains(line, buyerSecret) {
			t.Errorf("logged: %s", line)
		}
	}
}

func buyer(i int) string { return fmt.Sprintf("buyer-%d", i) }
