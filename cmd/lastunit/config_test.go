package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"

	"github.com/lastunit/lastunit/internal/httpapi"
)

var update = flag.Bool("update", false, "write config.example.yml anew")

const exampleFile = "../../config.example.yml"

var defaults = Config{
	Listen: "127.0.0.1:8080", DataDir: exampleDataDir, Hold: 10 * time.Minute, HoldMax: time.Hour, Payment: "test", MaxQuantity: 10, ShowStock: 1000, MaxWaiting: 20000, GuestRate: 30, BuyerRate: 20, AddressRate: 500,
	MaxQueued: 100_000, MaxQueuedPerBuyer: 50, KeepRefused: 168 * time.Hour,
	DBConnections: 16, QueryMode: pgx.QueryExecModeCacheStatement, SweepEvery: time.Second, LogLevel: slog.LevelInfo, LogFormat: "text", LogRequests: httpapi.RequestsFaults,
}

// load reads the settings as a command does that has all of them and a flag of its own, --buyers.
func load(t *testing.T, environ []string, args ...string) (Config, error) {
	t.Helper()
	s := newSettings(environ, exampleDataDir)
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Int("buyers", 1000, "How many buyers come at once.")
	s.bind(fs)
	return s.load(fs, args)
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// problems returns the lines of the error that load must give.
func problems(t *testing.T, environ []string, args ...string) []string {
	t.Helper()
	_, err := load(t, environ, args...)
	var found settingsError
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want problems with the settings", err)
	}
	for _, p := range found {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the text does not say: %s", p)
		}
	}
	return found
}

func TestSettingsDefaults(t *testing.T) {
	t.Parallel()
	got, err := load(t, []string{"HOME=/root", "LASTUNIT_AUDIENCE=", "LASTUNITED=1"})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, defaults) {
		t.Errorf("got  %+v\nwant %+v", got, defaults)
	}
}

func TestSettingsLaterSourceWins(t *testing.T) {
	t.Parallel()
	yml := file(t, "hold: 1m\nmax-quantity: 2\nshow-stock: 20\ncors-origin: [https://a.example, https://b.example]\n")
	environ := []string{"LASTUNIT_CONFIG=" + yml, "LASTUNIT_HOLD=2m", "LASTUNIT_MAX_QUANTITY=3"}

	got, err := load(t, environ, "--hold", "3m", "--migrate")
	if err != nil {
		t.Fatal(err)
	}
	want := defaults
	want.ShowStock, want.MaxQuantity, want.Hold, want.Migrate = 20, 3, 3*time.Minute, true
	want.CORSOrigins = []string{"https://a.example", "https://b.example"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestSettingsFlagOfConfigWinsOverVariable(t *testing.T) {
	t.Parallel()
	got, err := load(t, []string{"LASTUNIT_CONFIG=/nowhere.yml"}, "--config="+file(t, "hold: 1m"))
	if err != nil || got.Hold != time.Minute {
		t.Errorf("got hold %v, %v", got.Hold, err)
	}
}

func TestSettingsLastFlagWins(t *testing.T) {
	t.Parallel()
	got, err := load(t, nil, "--hold=1m", "--hold=2m")
	if err != nil || got.Hold != 2*time.Minute {
		t.Errorf("got hold %v, %v", got.Hold, err)
	}
}

// A list is replaced by the later source, never added to.
func TestSettingsLists(t *testing.T) {
	t.Parallel()
	yml := "--config=" + file(t, "cors-origin: https://file.example")
	for _, c := range []struct {
		environ, args []string
		want          string
	}{
		{nil, nil, "[https://file.example]"},
		{[]string{"LASTUNIT_CORS_ORIGIN=https://a.example, https://b.example"}, nil, "[https://a.example https://b.example]"},
		{[]string{"LASTUNIT_CORS_ORIGIN=https://a.example"}, []string{"--cors-origin=*", "--cors-origin", "http://localhost:3000"}, "[* http://localhost:3000]"},
	} {
		got, err := load(t, c.environ, append(c.args, yml)...)
		if err != nil || fmt.Sprint(got.CORSOrigins) != c.want {
			t.Errorf("got %v, %v; want %s", got.CORSOrigins, err, c.want)
		}
	}
}

func TestSettingsDatabaseURL(t *testing.T) {
	t.Parallel()
	short, own := "DATABASE_URL=postgres://short/db", "LASTUNIT_DATABASE_URL=postgres://own/db"
	for _, c := range []struct {
		environ, args []string
		want          string
	}{
		{[]string{short}, nil, "postgres://short/db"},
		{[]string{short, own}, nil, "postgres://own/db"},
		{[]string{short, "LASTUNIT_DATABASE_URL="}, nil, "postgres://short/db"},
		{[]string{short, own}, []string{"--database-url=host=/run user=me"}, "host=/run user=me"},
		{[]string{"DATABASE_URL=mysql://of-another-program", own}, nil, "postgres://own/db"},
	} {
		got, err := load(t, c.environ, c.args...)
		if err != nil || got.DatabaseURL != c.want {
			t.Errorf("%v %v: got %q, %v; want %q", c.environ, c.args, got.DatabaseURL, err, c.want)
		}
	}
}

func TestSettingsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	yml := file(t, "# mine\nmax_quantity: 5\nhold: 2\nlisten:\nshow-stock: [1, 2]\nsweep-every: 1s\nsweep-every: 2s\n")
	environ := []string{"LASTUNIT_MAX_QUANTITY=0", "LASTUNIT_HOLDS=1m", "DATABASE_URL=mysql://db", "LASTUNIT_LOG_FORMAT=xml"}
	got := problems(t, environ, "--config", yml, "--db-connections=3", "--lisen", "x", "--buyers=many", "--query-mode=fast", "--hold=25h",
		"-listen=x", "--cors-origin=https://shop.example.com/path", "--jwks-url=file:///keys", "--migrate=perhaps", "--audience")
	want := []string{
		`--buyers`,
		`--lisen is not a flag of this command; did you mean --listen?`,
		`-listen is not a flag of this command; did you mean --listen?`,
		`flag needs an argument: --audience`,
		yml + ` line 2: max_quantity is not a setting; did you mean max-quantity?`,
		yml + ` line 3: hold must be a duration with its unit, such as 90s or 15m, from 1s to 24h, not "2"`,
		yml + ` line 4: listen must be host:port, such as 127.0.0.1:8080`,
		yml + ` line 5: show-stock must be a whole number from 0 to 100000`,
		yml + ` line 7: sweep-every is set twice, first in line 6`,
		`DATABASE_URL must be a URL`,
		`LASTUNIT_MAX_QUANTITY must be a whole number from 1 to 1000, not "0"`,
		`LASTUNIT_LOG_FORMAT must be text or json, not "xml"`,
		`LASTUNIT_HOLDS is not a setting; did you mean LASTUNIT_HOLD?`,
		`--migrate must be true or false, not "perhaps"`,
		`--jwks-url must be an http or https URL, not "file:///keys"`,
		`--cors-origin must be an origin, such as https://shop.example.com, or *, not "https://shop.example.com/path"`,
		`--hold must be a duration with its unit, such as 90s or 15m, from 1s to 24h, not "25h"`,
		`--db-connections must be a whole number from 4 to 1000, not "3"`,
		`--query-mode must be cache_statement or cache_describe or exec or simple_protocol, not "fast"`,
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n"), w) {
			t.Errorf("missing: %s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

// Each setting's limits, from both sides.
func TestSettingsLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ good, bad []string }{
		"listen":               {[]string{":8080", "[::1]:0", "localhost:65535"}, []string{"", "8080", "localhost", "localhost:http", "localhost:65536"}},
		"database-url":         {[]string{"postgresql://h/d", "host=h"}, []string{"", "db", "http://h/d", "postgres://u:a%zz@h/d"}},
		"data-dir":             {[]string{"x"}, []string{"", " "}},
		"migrate":              {[]string{"true", "false", "1"}, []string{"", "yes"}},
		"buyer-secret":         {[]string{strings.Repeat("x", 32)}, []string{"", strings.Repeat("x", 31)}},
		"jwks-url":             {[]string{"https://h/k"}, []string{"", "h/k", "https://"}},
		"audience":             {[]string{"a"}, []string{""}},
		"cors-origin":          {[]string{"*", "http://localhost:3000"}, []string{"", "shop", "https://h/", "https://u@h", "https://h?q"}},
		"image-origin":         {[]string{"https://images.example", "http://localhost:3000"}, []string{"", "*", "images", "https://h/", "https://h;script-src", "https://*.h", "data:"}},
		"payment":              {[]string{"test", "none"}, []string{"", "Stripe", "paypal"}},
		"stripe-key":           {[]string{"sk_test_" + strings.Repeat("x", 24), "rk_live_" + strings.Repeat("x", 24)}, []string{"", "pk_test_" + strings.Repeat("x", 24), "sk_test_..."}},
		"stripe-url":           {[]string{"http://127.0.0.1:12111"}, []string{"", "stripe"}},
		"hold":                 {[]string{"1s", "24h"}, []string{"", "999ms", "24h1s", "10"}},
		"max-quantity":         {[]string{"1", "1000"}, []string{"", "0", "1001", "1.5", "-1"}},
		"show-stock":           {[]string{"0", "100000"}, []string{"-1", "100001", "many"}},
		"max-waiting":          {[]string{"1", "1000000"}, []string{"0", "1000001"}},
		"max-queued":           {[]string{"1", "100000000"}, []string{"0", "100000001"}},
		"max-queued-per-buyer": {[]string{"1", "1000000"}, []string{"0", "1000001"}},
		"buyer-rate":           {[]string{"0", "1000000"}, []string{"-1", "1000001", "fast"}},
		"address-rate":         {[]string{"0", "1000000"}, []string{"-1", "1000001", "fast"}},
		"trusted-proxy":        {[]string{"10.0.0.0/8", "192.0.2.1", "::1", "fd00::/8"}, []string{"10.0.0.0/33", "proxy", "10.0.0", "fe80::1%eth0", "::ffff:10.0.0.0/104"}},
		"keep-refused":         {[]string{"24h", "87600h"}, []string{"23h", "87601h", "7"}},
		"db-connections":       {[]string{"4", "1000"}, []string{"3", "1001"}},
		"query-mode":           {[]string{"cache_statement", "cache_describe", "exec", "simple_protocol"}, []string{"", "EXEC"}},
		"sweep-every":          {[]string{"10ms", "1h"}, []string{"0", "0s", "9ms", "61m"}},
		"log-level":            {[]string{"debug", "info", "warn", "error"}, []string{"", "INFO"}},
		"log-format":           {[]string{"text", "json"}, []string{"", "logfmt"}},
	} {
		for _, v := range c.good {
			if _, err := load(t, nil, "--"+name+"="+v); err != nil {
				t.Errorf("--%s=%s: %v", name, v, err)
			}
		}
		for _, v := range c.bad {
			if got := problems(t, nil, "--"+name+"="+v); len(got) != 1 || !strings.HasPrefix(got[0], "--"+name+" must be ") {
				t.Errorf("--%s=%s: got %q", name, v, got)
			}
		}
	}
}

func TestSettingsBothWaysOfSigningTogether(t *testing.T) {
	t.Parallel()
	if _, err := load(t, nil, "--buyer-secret="+strings.Repeat("x", 32), "--jwks-url=https://id.example.com/keys"); err != nil {
		t.Error(err)
	}
}

// Guests' tokens are signed here, so that there must be something to sign them with.
func TestSettingsOfGuests(t *testing.T) {
	t.Parallel()
	for _, good := range [][]string{{"--guests"}, {"--guests", "--jwks-url=https://id.example.com/keys", "--buyer-secret=" + strings.Repeat("x", 32)}} {
		if got, err := load(t, nil, good...); err != nil || !got.Guests || got.GuestRate != 30 {
			t.Errorf("%q: %+v, %v", good, got, err)
		}
	}
	found := problems(t, []string{"LASTUNIT_GUESTS=true"}, "--jwks-url=https://id.example.com/keys", "--guest-rate=0")
	if len(found) != 2 || !strings.Contains(found[0], "guest-rate") || !strings.Contains(found[1], "buyer-secret") {
		t.Errorf("problems are %q", found)
	}
}

// Stripe needs a key; secrets of webhooks may be two.
func TestSettingsOfStripe(t *testing.T) {
	t.Parallel()
	key, secret := "sk_test_"+strings.Repeat("x", 24), "whsec_"+strings.Repeat("y", 24)
	cfg, err := load(t, []string{"LASTUNIT_STRIPE_WEBHOOK_SECRET=" + secret + "," + secret + "2"}, "--payment=stripe", "--stripe-key="+key)
	if err != nil || string(cfg.StripeKey) != key || len(cfg.StripeSecrets) != 2 || string(cfg.StripeSecrets[1]) != secret+"2" {
		t.Errorf("%+v, %v", cfg, err)
	}
	encoded, _ := json.Marshal(cfg)
	if all := fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, encoded); strings.Contains(all, key) || strings.Contains(all, secret) {
		t.Errorf("printed a secret: %s", all)
	}
	found := problems(t, []string{"LASTUNIT_PAYMENT=stripe"}, "--stripe-webhook-secret="+secret, "--stripe-webhook-secret=hunter2hunter2")
	if len(found) != 2 || !strings.HasPrefix(found[0], "--stripe-webhook-secret must be ") || !strings.Contains(found[1], "stripe-key") || strings.Contains(strings.Join(found, ""), "hunter2") {
		t.Errorf("problems are %q", found)
	}
}

func TestSettingsFileThatIsNone(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"- hold":                    "must be lines of the form name: value",
		"hold: 1m\n\tlisten: x":     "line 2",
		"hold: 1m\n---\nlisten: :1": "must be one document",
	} {
		if got := problems(t, nil, "--config", file(t, content)); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
	if got := problems(t, nil, "--config=/nowhere.yml"); len(got) != 1 || !strings.Contains(got[0], "/nowhere.yml") {
		t.Errorf("got %q", got)
	}
	if _, err := load(t, nil, "--config", file(t, "# nothing\n")); err != nil {
		t.Error(err)
	}
}

// What Kubernetes sets in every pod beside a Service named lastunit is nobody's mistake.
func TestSettingsServiceLinks(t *testing.T) {
	t.Parallel()
	_, err := load(t, []string{"LASTUNIT_SERVICE_HOST=10.0.0.1", "LASTUNIT_SERVICE_PORT=80", "LASTUNIT_SERVICE_PORT_HTTP=80",
		"LASTUNIT_PORT=tcp://10.0.0.1:80", "LASTUNIT_PORT_80_TCP=tcp://10.0.0.1:80", "LASTUNIT_PORT_80_TCP_ADDR=10.0.0.1"})
	if err != nil {
		t.Error(err)
	}
	if got := problems(t, []string{"LASTUNIT_PORT=80"}); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestSettingsSecretsStayUnseen(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	yml := file(t, "buyer-secret: "+secret+"\ndatabase-url: ftp://u:"+secret+"@h/d\n")
	for name, args := range map[string][]string{
		"flags":     {"--buyer-secret=" + secret, "--database-url=ftp://u:" + secret + "@h/d"},
		"one dash":  {"-buyer-secret=" + secret},
		"unknown":   {"--buyer-sekret=" + secret},
		"file":      {"--config", yml},
		"anchor":    {"--config", file(t, "buyer-secret: *"+secret)},
		"half file": {"--config", file(t, "hold: 1m\nbuyer-secret "+secret)},
		"no file":   {"--config", file(t, secret)},
		"bad URL":   {"--database-url=postgres://u:" + secret + "%zz@h/d"},
	} {
		if got := strings.Join(problems(t, nil, args...), "\n"); strings.Contains(got, secret) {
			t.Errorf("%s: told the secret: %s", name, got)
		}
	}
	got := problems(t, []string{"LASTUNIT_BUYER_SECRET=" + secret, "DATABASE_URL=" + secret, "LASTUNIT_SECRET=" + secret})
	if len(got) != 3 || strings.Contains(strings.Join(got, "\n"), secret) {
		t.Errorf("got %q", got)
	}
	cfg := Config{BuyerSecret: secret}
	encoded, _ := json.Marshal(cfg)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("start", "secret", cfg.BuyerSecret)
	if all := fmt.Sprintf("%v %+v %#v %s %s", cfg, cfg, cfg, encoded, log.String()); strings.Contains(all, secret) {
		t.Errorf("printed the secret: %s", all)
	}
}

// A command has the flags that it names, and reads the other settings all the same.
func TestSettingsOfOneCommand(t *testing.T) {
	t.Parallel()
	s := newSettings([]string{"LASTUNIT_HOLD=1m"}, exampleDataDir)
	fs := pflag.NewFlagSet("token", pflag.ContinueOnError)
	aud := fs.String("for", "", "whom the token is for")
	s.bind(fs, "data-dir")
	cfg, err := s.load(fs, []string{"ada", "--data-dir", "here", "--for", "bo", "--", "-x"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != "here" || cfg.Hold != time.Minute || *aud != "bo" || fmt.Sprint(fs.Args()) != "[ada -x]" {
		t.Errorf("got %+v, for %q, arguments %q", cfg, *aud, fs.Args())
	}
	if fs.Lookup("listen") != nil {
		t.Error("has a flag that it did not name")
	}
}

func TestSettingsHelp(t *testing.T) {
	t.Parallel()
	s := newSettings(nil, exampleDataDir)
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	var out bytes.Buffer
	fs.SetOutput(&out)
	s.bind(fs)
	if _, err := s.load(fs, []string{"--hold=x", "--help"}); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, st := range table(exampleDataDir) {
		if !strings.Contains(out.String(), "--"+st.name) {
			t.Errorf("the help lacks --%s:\n%s", st.name, out.String())
		}
	}
}

// TestExampleFile holds the committed file equal to the table: go test ./cmd/lastunit -run TestExampleFile -update
func TestExampleFile(t *testing.T) {
	var want bytes.Buffer
	if err := writeExample(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(exampleFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("config.example.yml is not what the table says: make generate")
	}

	cfg, err := load(t, nil, "--config", exampleFile)
	if err != nil || !reflect.DeepEqual(cfg, defaults) {
		t.Errorf("as it is, it loads to %+v, %v", cfg, err)
	}

	// With every line in force it is still allowed, and the defaults that it shows are the defaults.
	// But not the secrets: those that everybody can read here must not be taken.
	full := file(t, regexp.MustCompile(`(?m)^#([a-z])`).ReplaceAllString(string(got), "$1"))
	if got := problems(t, nil, "--config", full); len(got) != 3 || !strings.Contains(got[0], "buyer-secret must be") || !strings.Contains(got[1], "stripe-key must be") ||
		!strings.Contains(got[2], "stripe-webhook-secret must be") {
		t.Errorf("got %q", got)
	}
	withSecret := strings.NewReplacer("openssl rand -hex 32", strings.Repeat("x", 32), "sk_test_...", "sk_test_xxxxxxxxxxxx", "whsec_...", "whsec_xxxxxxxxxxxx").Replace(string(got))
	full = file(t, regexp.MustCompile(`(?m)^#([a-z])`).ReplaceAllString(withSecret, "$1"))
	cfg, err = load(t, nil, "--config", full)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DatabaseURL == "" || cfg.BuyerSecret == "" || cfg.JWKSURL == "" || cfg.Audience == "" || len(cfg.CORSOrigins) == 0 || len(cfg.ImageOrigins) == 0 ||
		cfg.StripeKey == "" || len(cfg.StripeSecrets) == 0 || cfg.StripeURL == "" || len(cfg.TrustedProxies) == 0 || cfg.MetricsListen == "" {
		t.Errorf("a setting without a default has no example: %+v", cfg)
	}
	cfg.DatabaseURL, cfg.BuyerSecret, cfg.JWKSURL, cfg.Audience, cfg.CORSOrigins, cfg.ImageOrigins = "", "", "", "", nil, nil
	cfg.StripeKey, cfg.StripeSecrets, cfg.StripeURL, cfg.TrustedProxies, cfg.MetricsListen = "", nil, "", nil, ""
	if !reflect.DeepEqual(cfg, defaults) {
		t.Errorf("got  %+v\nwant %+v", cfg, defaults)
	}
}
