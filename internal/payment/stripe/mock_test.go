package stripe_test

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/payment/stripe"
	"github.com/lastunit/lastunit/internal/pgdb"
)

var listens = regexp.MustCompile(`Listening for HTTP at address: (\S+)`)

// stripeMock starts Stripe's own stripe-mock, which holds calls against Stripe's description of its API, and answers examples.
func stripeMock(t *testing.T) *url.URL {
	t.Helper()
	program := filepath.Join(t.TempDir(), "stripe-mock")
	build := exec.Command("go", "build", "-modfile", "tools/stripe-mock/go.mod", "-o", program, "github.com/stripe/stripe-mock")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build stripe-mock: %v\n%s", err, out)
	}
	mock := exec.Command(program, "-http-addr", "127.0.0.1:0")
	out, err := mock.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = mock.Process.Kill()
		_ = mock.Wait()
	})
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		if found := listens.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &url.URL{Scheme: "http", Host: found[1]}
		}
	}
	t.Fatalf("stripe-mock does not say where it listens:\n%s", strings.Join(said, "\n"))
	return nil
}

// Every call that the provider makes is one that Stripe describes, with parameters that it takes. stripe-mock keeps nothing: what it answers is an example.
func TestEveryCallIsAsStripeDescribesIt(t *testing.T) {
	t.Parallel()
	behind := httputil.NewSingleHostReverseProxy(stripeMock(t))
	var mu sync.Mutex
	answered := map[string]int{}
	behind.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		mu.Lock()
		defer mu.Unlock()
		parts := strings.Split(r.Request.URL.Path, "/")
		for i := 3; i < len(parts); i += 2 {
			parts[i] = "ID"
		}
		call := r.Request.Method + " " + strings.Join(parts, "/")
		answered[call]++
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", call, r.StatusCode, body)
		}
		return err
	}
	proxy := httptest.NewServer(behind)
	t.Cleanup(proxy.Close)
	w := &world{t: t, db: dbtest.Pool(t)}
	w.Stripe = stripe.New(w.db, stripe.Options{Key: "sk_test_123", URL: proxy.URL, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(w.Close)
	id := pgdb.NewID()
	// An example has an amount and a status of its own, so that what a call means here says nothing.
	_, secret, err := w.Open(background, charge(id, ""))
	if err != nil || secret == "" {
		t.Errorf("open: %v, with a secret: %v", err, secret != "")
	}
	if state, err := w.Ask(background, id); err != nil {
		t.Errorf("ask: %s, %v", state, err)
	}
	_, _ = w.Charge(background, charge(id, "pm_card_visa"))
	_, _ = w.Void(background, id)
	refundID := pgdb.NewID()
	for range 2 {
		_ = w.Refund(background, refundID, id, 100)
		w.exec(`UPDATE stripe_refund SET stripe_refund_id = NULL`)
	}
	_ = w.Refund(background, refundID, id, 100)
	if _, err := w.AskRefund(background, refundID); err != nil {
		t.Errorf("ask for the refund: %v", err)
	}
	if _, err := w.Look(background, id); err != nil {
		t.Errorf("look: %v", err)
	}
	for _, call := range []string{
		"POST /v1/payment_intents", "GET /v1/payment_intents/ID", "POST /v1/payment_intents/ID/confirm", "POST /v1/payment_intents/ID/cancel",
		"POST /v1/refunds", "GET /v1/refunds/ID", "GET /v1/refunds", "GET /v1/disputes",
	} {
		if answered[call] == 0 {
			t.Errorf("%s was not called; called were %v", call, answered)
		}
	}
}
