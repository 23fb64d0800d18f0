package main

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
)

// canary is part of every secret that these tests set: nothing that is printed or logged may repeat it.
const canary = "Canary7f3a"

// allSecrets are set, in the environment.
var allSecrets = []string{
	"LASTUNIT_BUYER_SECRET=" + canary + strings.Repeat("x", 32), "LASTUNIT_STRIPE_KEY=sk_test_" + canary + "xxxxxxxx", "LASTUNIT_STRIPE_WEBHOOK_SECRET=whsec_" + canary + "xxxxxxxx",
	"LASTUNIT_PAYMENT=stripe",
}

// silent holds that a text tells no secret.
func silent(t *testing.T, who, text string) {
	t.Helper()
	for _, secret := range []string{canary, "sk_test_", "whsec_", "_secret_", "eyJ", "lu_"} {
		if at := strings.Index(text, secret); at >= 0 && !helpOf(text[max(0, at-200):]) {
			t.Errorf("%s tells %s: %.300s", who, secret, text[max(0, at-100):])
		}
	}
}

// helpOf tells whether a text is about how keys look, and not one.
func helpOf(text string) bool {
	for _, form := range []string{"sk_test_...", "whsec_...", "begins with whsec_", "begins with sk_", "lu_...", "Bearer lu_"} {
		if strings.Contains(text[:min(len(text), 400)], form) && !strings.Contains(text, canary) {
			return true
		}
	}
	return false
}

// TestNoCommandTellsSecrets, whatever keeps it from doing what it is for.
func TestNoCommandTellsSecrets(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	sheet := filepath.Join(dir, "products.csv")
	if err := os.WriteFile(sheet, []byte("sku,name\nmug,Mug\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const sale = "019b1234-5678-7abc-8def-0123456789ab"
	for name, database := range map[string]string{
		"nobody there":     "postgres://lastunit:" + canary + "@127.0.0.1:1/lastunit",
		"another form":     "host=127.0.0.1 port=1 user=lastunit dbname=x password=" + canary,
		"no such host":     "postgres://lastunit:" + canary + "@nobody.invalid/lastunit?sslpassword=" + canary,
		"no such option":   "postgres://lastunit:" + canary + "@127.0.0.1:1/lastunit?sslmode=" + canary,
		"a port of text":   "postgres://lastunit:" + canary + "@127.0.0.1:port/lastunit",
		"a broken escape":  "postgres://lastunit:" + canary + "%zz@127.0.0.1:1/lastunit",
		"a broken quote":   "host=127.0.0.1 password='" + canary,
		"no such pem file": "postgres://lastunit:" + canary + "@127.0.0.1:1/x?sslmode=verify-full&sslrootcert=/nowhere",
	} {
		for _, args := range [][]string{
			{"serve", "--listen", "127.0.0.1:0", "--log-level", "debug"}, {"audit"}, {"report", "--sale", sale}, {"import", sheet}, {"export", "products"}, {"key", "list"},
			{"key", "create", "--name", "n", "--scope", "*"}, {"migrate", "status"}, {"config"}, {"openapi"}, {"version"}, {"serve", "--help"}, {"help"}, {"serve", "--hold", "x"},
			{"rehearse", "--url", "http://127.0.0.1:1", "--key", "lu_" + canary},
		} {
			var out bytes.Buffer
			err := run(t.Context(), args, append([]string{"LASTUNIT_DATA_DIR=" + dir, "LASTUNIT_DATABASE_URL=" + database}, allSecrets...), &out, &out)
			text := out.String()
			if err != nil {
				text += err.Error()
			}
			if args[0] == "openapi" {
				continue // which is the same for everybody, and has examples
			}
			silent(t, name+": "+strings.Join(args, " "), text)
		}
	}
}

// TestNoServerTellsSecrets: a server that logs all there is to log, is bought from, is paid through Stripe, loses a table, and is lied to, has told nothing
// when it ends; nor has its database, in its log.
func TestNoServerTellsSecrets(t *testing.T) {
	t.Parallel()
	fake := stripetest.New()
	t.Cleanup(fake.Close)
	dir := dataDir(t)
	config := filepath.Join(dir, "config.yml")
	buyerSecret := canary + strings.Repeat("x", 32)
	if err := os.WriteFile(config, []byte("buyer-secret: "+buyerSecret+"\npayment: stripe\nstripe-key: "+stripetest.Key+"\nstripe-webhook-secret: ["+stripetest.Secret+"]\nstripe-url: "+fake.URL+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", dir, "--config", config, "--log-level", "debug", "--log-requests", "all")
	key := strings.TrimSpace(output(t, "key", "create", "--data-dir", dir, "--name", "test", "--scope", "*"))
	token := strings.TrimSpace(output(t, "token", "--data-dir", dir, "--config", config, "buyer", "ann"))
	operator, ann := client{address: p.address, key: key, http: newHTTPClient(t)}, client{address: p.address, key: token, http: newHTTPClient(t)}
	operator.must(t, 201, "PUT", "/api/v1/products/A", map[string]any{"price": map[string]any{"amount": 1250, "currency": "EUR"}})
	operator.must(t, 201, "POST", "/api/v1/products/A/receipts", map[string]any{"quantity": 5, "reference": "test"})
	ann.must(t, 201, "POST", "/order/addToCart", map[string]any{"sku": "A"})
	order := ann.must(t, 201, "POST", "/api/v1/order/checkout", map[string]any{})
	ann.must(t, 200, "POST", "/api/v1/orders/"+order.body.ID+"/pay", map[string]any{})
	for _, c := range []client{
		{address: p.address, key: "lu_" + canary, http: ann.http}, {address: p.address, key: token + "x", http: ann.http}, {address: p.address, key: canary, http: ann.http},
		{address: p.address, key: key, buyer: canary + "\u202e", http: ann.http},
	} {
		if r, err := c.call("POST", "/order/addToCart", canary, map[string]any{"sku": canary + "!", "reference": canary}); r.status < 400 {
			t.Errorf("got %d %s, %v", r.status, r.text, err)
		}
	}
	body, signature := stripetest.Event("payment_intent.succeeded", fake.Intents()[0], nil, "whsec_"+canary, time.Now())
	req, err := http.NewRequest("POST", p.address+"/api/v1/payments/stripe/webhook?"+canary+"=1", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Stripe-Signature", signature)
	if resp, err := ann.http.Do(req); err == nil {
		_ = resp.Body.Close()
	}
	p.breaks(t, ann)
	u, err := url.Parse(p.database)
	if err != nil {
		t.Fatal(err)
	}
	with := func(name, value string) string {
		other := *u
		query := other.Query()
		query.Set("password", canary)
		query.Set(name, value)
		other.RawQuery = query.Encode()
		return other.String()
	}
	for _, other := range []string{with("user", "nobody"), with("dbname", "nothing")} {
		out, err := attempt(t, "serve", "--listen", "127.0.0.1:0", "--log-level", "debug", "--config", config, "--database-url", other)
		if err == nil {
			t.Fatalf("it started: %s", out)
		}
		silent(t, "a server that can't start", out+err.Error())
	}
	second := start(t, "serve", dir, "--config", config, "--database-url", with("password", canary))
	second.stop()
	silent(t, "a second server", second.printed+second.logged.String())
	p.stop()
	silent(t, "a server", p.printed+p.logged.String())
	if !strings.Contains(p.logged.String(), "level=INFO msg=request method=POST route=/order/addToCart") || !strings.Contains(p.logged.String(), "buyer=ann") || !strings.Contains(p.logged.String(), "fault") {
		t.Errorf("it has logged too little to tell anything: %s", p.logged.String())
	}
	postgres, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{buyerSecret, key, token, stripetest.Key, stripetest.Secret} {
		if bytes.Contains(postgres, []byte(secret)) {
			t.Errorf("PostgreSQL has logged %s", secret)
		}
	}
}

// breaks makes claims fail in the database with an error that has what was sent in it.
func (p *process) breaks(t *testing.T, c client) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()
	if _, err := db.Exec(t.Context(), "ALTER TABLE claim ADD CONSTRAINT broken CHECK (buyer <> 'ann') NOT VALID"); err != nil {
		t.Fatal(err)
	}
	r, err := c.call("POST", "/order/addToCart", canary, map[string]any{"sku": "A", "reference": canary})
	if r.status != 500 {
		t.Errorf("got %d %s, %v", r.status, r.text, err)
	}
	silent(t, "the answer to what broke", r.text)
}
