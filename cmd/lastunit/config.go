package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/httpapi"
)

// Config holds every setting, read once, before a command starts.
type Config struct {
	Listen            string
	MetricsListen     string // empty: there are none
	DatabaseURL       string // empty: an own PostgreSQL under DataDir
	DataDir           string
	Drain             time.Duration
	Migrate           bool
	Hold              time.Duration
	HoldMax           time.Duration
	Payment           string // test, stripe or none
	StripeKey         Secret
	StripeSecrets     []Secret // with which Stripe signs what it sends
	StripeURL         string   // empty: Stripe's own
	WebhooksAnywhere  bool
	MaxQuantity       int
	ShowStock         int
	BuyerSecret       Secret // empty: none was configured
	JWKSURL           string
	Audience          string
	Guests            bool
	GuestRate         int // sessions a minute from one address
	BuyerRate         int // requests a second; 0: no limit
	AddressRate       int // requests a second; 0: no limit
	TrustedProxies    []netip.Prefix
	CORSOrigins       []string
	ImageOrigins      []string
	MaxWaiting        int
	MaxQueued         int
	MaxQueuedPerBuyer int
	KeepRefused       time.Duration
	DBConnections     int
	QueryMode         pgx.QueryExecMode
	SweepEvery        time.Duration
	LogLevel          slog.Level
	LogFormat         string
	LogRequests       httpapi.Requests
	Tracing           string // the protocol by which the standard OTEL_* variables ask for traces, or empty
}

// Secret is text that shows itself to nobody who prints, logs or encodes it. Convert it to a string to use it.
type Secret string

func (Secret) String() string               { return "[secret]" }
func (Secret) GoString() string             { return "[secret]" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[secret]") }
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// exampleDataDir is the default of data-dir in config.example.yml.
const exampleDataDir = "./lastunit-data"

// A setting is one field of Config: how it is called, what it is for, and what it accepts.
type setting struct {
	name    string // the flag's and the file's; the variable is LASTUNIT_ and this in capitals
	initial string // the default; empty: not set
	example string // what config.example.yml shows where there is no default; of buyer-secret how to make one, which is too short to pass
	about   string // one sentence
	secret  bool   // its value is never repeated in a problem
	accepts
}

// accepts says in words what a setting takes, and stores it, unless it is something else.
type accepts struct {
	of      func(c Config) any // what was stored
	kind    string             // what pflag's help shows after the flag
	allowed string             // completes "must be ..."
	list    bool
	set     func(c *Config, values []string) bool
}

// table lists the settings in the order of config.example.yml: what people change first comes first.
func table(dataDir string) []setting {
	return []setting{
		{name: "listen", initial: "127.0.0.1:8080", about: "The address that the service listens on; 0.0.0.0:8080 is every address of this machine.",
			accepts: text(func(c *Config) *string { return &c.Listen }, "host:port, such as 127.0.0.1:8080", isAddress)},
		{name: "metrics-listen", example: "127.0.0.1:9464", about: "The address on which Prometheus finds /metrics (docs/metrics.md), and nothing else; it asks nobody who they are, so keep it from the buyers. It takes a database connection more.",
			accepts: text(func(c *Config) *string { return &c.MetricsListen }, "host:port, such as 127.0.0.1:9464", isAddress)},
		{name: "database-url", example: "postgres://lastunit:password@db.example.com:5432/lastunit", secret: true,
			about:   "The PostgreSQL database (15 or newer) to use; without one lastunit runs its own under data-dir. DATABASE_URL serves too.",
			accepts: text(func(c *Config) *string { return &c.DatabaseURL }, "a URL, such as postgres://user:password@host:5432/database (with %-escapes for special characters in the password)", isDatabaseURL)},
		{name: "data-dir", initial: dataDir, about: "The folder of lastunit's own PostgreSQL and of what it makes for itself.",
			accepts: text(func(c *Config) *string { return &c.DataDir }, "a folder", isGiven)},
		{name: "migrate", initial: "false", about: "Whether to bring the database of database-url to this version's schema at start; the own one always is.",
			accepts: boolean(func(c *Config) *bool { return &c.Migrate })},
		{name: "buyer-secret", example: "openssl rand -hex 32", secret: true,
			about:   "The secret that the shop beside us signs its buyers' tokens with (HS256); without one lastunit makes its own in data-dir.",
			accepts: text(func(c *Config) *string { return (*string)(&c.BuyerSecret) }, "32 bytes or longer", func(v string) bool { return len(v) >= 32 })},
		{name: "jwks-url", example: "https://id.example.com/.well-known/jwks.json", about: "Where the public keys of the buyers' tokens are, when they are not signed with a secret; both may be set.",
			accepts: text(func(c *Config) *string { return &c.JWKSURL }, "an http or https URL", isWebURL)},
		{name: "audience", example: "lastunit", about: "What a buyer's token must name as its audience (aud); not checked unless set.",
			accepts: text(func(c *Config) *string { return &c.Audience }, "a word or URL, not empty", isGiven)},
		{name: "guests", initial: "false", about: "Whether visitors without an account may buy, with a token from POST /api/v1/session that is signed with buyer-secret; on in the demo.",
			accepts: boolean(func(c *Config) *bool { return &c.Guests })},
		{name: "guest-rate", initial: "30", about: "How many guests may come from one address in a minute; behind a proxy that trusted-proxy does not name all have its address.",
			accepts: number(func(c *Config) *int { return &c.GuestRate }, 1, 1_000_000)},
		{name: "buyer-rate", initial: "20", about: "How many requests a second a buyer may send to this process, also through an API key, five seconds' worth at once; further ones are answered too-many-requests; 0 is no limit.",
			accepts: number(func(c *Config) *int { return &c.BuyerRate }, 0, 1_000_000)},
		{name: "address-rate", initial: "500", about: "How many requests a second may come to this process from one public address without an API key, five seconds' worth at once; private addresses, such as a proxy's beside us, are not limited; 0 is no limit.",
			accepts: number(func(c *Config) *int { return &c.AddressRate }, 0, 1_000_000)},
		{name: "trusted-proxy", example: "10.0.0.0/8", about: "The address or network of a proxy before the service, whose X-Forwarded-For is believed about where a request comes from; may be given more than once.",
			accepts: networks(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies })},
		{name: "cors-origin", example: "https://shop.example.com", about: "A web origin whose pages may call the service from a browser, or * for all; may be given more than once.",
			accepts: texts(func(c *Config) *[]string { return &c.CORSOrigins }, "an origin, such as https://shop.example.com, or *", isOrigin)},
		{name: "image-origin", example: "https://images.example.com", about: "A web origin that the storefront may show products' pictures from, besides the service itself; may be given more than once.",
			accepts: texts(func(c *Config) *[]string { return &c.ImageOrigins }, "an origin, such as https://images.example.com", isPlainOrigin)},
		{name: "drain", initial: "0s", about: "How long the service goes on serving after SIGTERM, while /readyz already says that it stops; behind a proxy longer than its checks take to notice (3s with deploy/proxy). 0s, because without a proxy nobody would notice; a second SIGTERM ends it.",
			accepts: duration(func(c *Config) *time.Duration { return &c.Drain }, 0, 10*time.Minute)},
		{name: "hold", initial: "10m", about: "How long a claim keeps its units outside a sale.",
			accepts: duration(func(c *Config) *time.Duration { return &c.Hold }, time.Second, 24*time.Hour)},
		{name: "hold-max", initial: "1h", about: "How long a hold can be made to last in all, by the shop that extends it.",
			accepts: duration(func(c *Config) *time.Duration { return &c.HoldMax }, time.Second, 30*24*time.Hour)},
		{name: "payment", initial: "test", about: "Who takes the money for orders: test moves none and takes pretended cards; stripe is Stripe (docs/stripe.md); none leaves payment to the shop beside us, which confirms.",
			accepts: oneOf(func(c *Config) *string { return &c.Payment }, choice[string]{"test", "test"}, choice[string]{"stripe", "stripe"}, choice[string]{"none", "none"})},
		{name: "stripe-key", example: "sk_test_...", secret: true, about: "The secret key of the account at Stripe that takes the money; one with _live_ in it moves some.",
			accepts: text(func(c *Config) *string { return (*string)(&c.StripeKey) }, "a secret or restricted key of Stripe's, which begins with sk_ or rk_", isStripeKey)},
		{name: "stripe-webhook-secret", example: "whsec_...", secret: true,
			about:   "The signing secret of the webhook at Stripe that sends to /api/v1/payments/stripe/webhook; may be given twice while it is rolled. Without one Stripe is only asked.",
			accepts: secrets(func(c *Config) *[]Secret { return &c.StripeSecrets }, "a signing secret of Stripe's, which begins with whsec_", isStripeSecret)},
		{name: "stripe-url", example: "http://127.0.0.1:12111", about: "Where Stripe's API is, for tests against something that plays it; Stripe's own unless set.",
			accepts: text(func(c *Config) *string { return &c.StripeURL }, "an http or https URL", isWebURL)},
		{name: "webhooks-anywhere", initial: "false", about: "Whether webhooks may be sent to any address, also of this machine and its network, and by http: for development.",
			accepts: boolean(func(c *Config) *bool { return &c.WebhooksAnywhere })},
		{name: "max-quantity", initial: "10", about: "The most units that one claim may ask for outside a sale.",
			accepts: number(func(c *Config) *int { return &c.MaxQuantity }, 1, 1000)},
		{name: "show-stock", initial: "1000", about: "The largest number of available units shown to buyers; more than that is shown as this number.",
			accepts: number(func(c *Config) *int { return &c.ShowStock }, 0, 100_000)},
		{name: "max-waiting", initial: "20000", about: "How many direct claims may wait at once in this process, how many requests to be accepted into a queue, how many transactions may be watched, and how many pages may watch products; further ones are answered busy.",
			accepts: number(func(c *Config) *int { return &c.MaxWaiting }, 1, 1_000_000)},
		{name: "max-queued", initial: "100000", about: "How many units may be asked for in the queue of a product; requests for more are answered busy.",
			accepts: number(func(c *Config) *int { return &c.MaxQueued }, 1, 100_000_000)},
		{name: "max-queued-per-buyer", initial: "50", about: "How many requests a buyer may have queued, of all products; further ones are answered too-many-requests.",
			accepts: number(func(c *Config) *int { return &c.MaxQueuedPerBuyer }, 1, 1_000_000)},
		{name: "keep-refused", initial: "168h", about: "How long a queued request is kept that was refused, or was cancelled before its turn; those that had units are kept for ever.",
			accepts: duration(func(c *Config) *time.Duration { return &c.KeepRefused }, 24*time.Hour, 10*365*24*time.Hour)},
		{name: "db-connections", initial: "16", about: "The most connections that this process opens to the database.",
			accepts: number(func(c *Config) *int { return &c.DBConnections }, 4, 1000)},
		{name: "query-mode", initial: "cache_statement", about: "How queries are sent: behind pgbouncer in transaction mode take cache_describe, exec or simple_protocol.",
			accepts: oneOf(func(c *Config) *pgx.QueryExecMode { return &c.QueryMode },
				choice[pgx.QueryExecMode]{"cache_statement", pgx.QueryExecModeCacheStatement},
				choice[pgx.QueryExecMode]{"cache_describe", pgx.QueryExecModeCacheDescribe},
				choice[pgx.QueryExecMode]{"exec", pgx.QueryExecModeExec},
				choice[pgx.QueryExecMode]{"simple_protocol", pgx.QueryExecModeSimpleProtocol})},
		{name: "sweep-every", initial: "1s", about: "How often lapsed holds are put away; they can be claimed at once all the same.",
			accepts: duration(func(c *Config) *time.Duration { return &c.SweepEvery }, 10*time.Millisecond, time.Hour)},
		{name: "log-level", initial: "info", about: "The least important lines that are logged.",
			accepts: oneOf(func(c *Config) *slog.Level { return &c.LogLevel },
				choice[slog.Level]{"debug", slog.LevelDebug}, choice[slog.Level]{"info", slog.LevelInfo},
				choice[slog.Level]{"warn", slog.LevelWarn}, choice[slog.Level]{"error", slog.LevelError})},
		{name: "log-format", initial: "text", about: "The form of the log: text for people, json for machines.",
			accepts: oneOf(func(c *Config) *string { return &c.LogFormat }, choice[string]{"text", "text"}, choice[string]{"json", "json"})},
		{name: "log-requests", initial: "faults", about: "Of which requests a line is logged: faults are those that were answered 500 or above, but not 503; problems adds those that were refused, all the others. Up to ten a second that were settled late, or answered 503, are logged in any case; at log-level debug all are.",
			accepts: oneOf(func(c *Config) *httpapi.Requests { return &c.LogRequests },
				choice[httpapi.Requests]{"faults", httpapi.RequestsFaults}, choice[httpapi.Requests]{"problems", httpapi.RequestsProblems}, choice[httpapi.Requests]{"all", httpapi.RequestsAll})},
	}
}

func text(at func(*Config) *string, allowed string, ok func(string) bool) accepts {
	return accepts{of: func(c Config) any { return *at(&c) }, kind: "text", allowed: allowed, set: func(c *Config, values []string) bool {
		*at(c) = values[0]
		return ok(values[0])
	}}
}

func texts(at func(*Config) *[]string, allowed string, ok func(string) bool) accepts {
	return accepts{of: func(c Config) any { return *at(&c) }, kind: "text", allowed: allowed, list: true, set: func(c *Config, values []string) bool {
		*at(c) = values
		return !slices.ContainsFunc(values, func(v string) bool { return !ok(v) })
	}}
}

// secrets is texts for what is never shown.
func secrets(at func(*Config) *[]Secret, allowed string, ok func(string) bool) accepts {
	return accepts{of: func(c Config) any { return *at(&c) }, kind: "text", allowed: allowed, list: true, set: func(c *Config, values []string) bool {
		*at(c) = nil
		for _, v := range values {
			*at(c) = append(*at(c), Secret(v))
		}
		return !slices.ContainsFunc(values, func(v string) bool { return !ok(v) })
	}}
}

func networks(at func(*Config) *[]netip.Prefix) accepts {
	return accepts{of: func(c Config) any { return *at(&c) }, kind: "text", allowed: "an address or a network, such as 192.0.2.1 or 10.0.0.0/8", list: true, set: func(c *Config, values []string) bool {
		*at(c) = nil
		for _, v := range values {
			p, err := netip.ParsePrefix(v)
			if one, e := netip.ParseAddr(v); e == nil && one.Zone() == "" {
				p, err = netip.PrefixFrom(one, one.BitLen()), nil
			}
			if err != nil || p.Addr().Is4In6() {
				return false
			}
			*at(c) = append(*at(c), p.Masked())
		}
		return true
	}}
}

func number(at func(*Config) *int, least, most int) accepts {
	return accepts{of: func(c Config) any { return *at(&c) }, kind: "number", allowed: fmt.Sprintf("a whole number from %d to %d", least, most), set: func(c *Config, values []string) bool {
		n, err := strconv.Atoi(values[0])
		*at(c) = n
		return err == nil && n >= least && n <= most
	}}
}

func duration(at func(*Config) *time.Duration, least, most time.Duration) accepts {
	allowed := fmt.Sprintf("a duration with its unit, such as 90s or 15m, from %s to %s", brief(least), brief(most))
	return accepts{of: func(c Config) any { return *at(&c) }, kind: "duration", allowed: allowed, set: func(c *Config, values []string) bool {
		d, err := time.ParseDuration(values[0])
		*at(c) = d
		return err == nil && d >= least && d <= most
	}}
}

func boolean(at func(*Config) *bool) accepts {
	return accepts{of: func(c Config) any { return *at(&c) }, kind: "bool", allowed: "true or false", set: func(c *Config, values []string) bool {
		b, err := strconv.ParseBool(values[0])
		*at(c) = b
		return err == nil
	}}
}

type choice[T any] struct {
	name  string
	value T
}

func oneOf[T any](at func(*Config) *T, choices ...choice[T]) accepts {
	var names []string
	for _, ch := range choices {
		names = append(names, ch.name)
	}
	return accepts{of: func(c Config) any { return *at(&c) }, kind: strings.Join(names, "|"), allowed: strings.Join(names, " or "), set: func(c *Config, values []string) bool {
		i := slices.Index(names, values[0])
		if i >= 0 {
			*at(c) = choices[i].value
		}
		return i >= 0
	}}
}

// brief writes 24h0m0s as 24h.
func brief(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

func isGiven(v string) bool { return strings.TrimSpace(v) != "" }

var (
	stripeKey    = regexp.MustCompile(`^(sk|rk)_[A-Za-z0-9_]{8,}$`)
	stripeSecret = regexp.MustCompile(`^whsec_[A-Za-z0-9_+/=-]{8,}$`)
)

// isStripeKey refuses publishable keys (pk_...), with which nothing could be charged.
func isStripeKey(v string) bool { return stripeKey.MatchString(v) }

func isStripeSecret(v string) bool { return stripeSecret.MatchString(v) }

func isAddress(v string) bool {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isDatabaseURL also lets the other form of libpq pass: host=db user=me.
func isDatabaseURL(v string) bool {
	u, err := url.Parse(v)
	if err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		return true
	}
	return !strings.Contains(v, "://") && strings.Contains(v, "=")
}

func isWebURL(v string) bool {
	u, err := url.Parse(v)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func isOrigin(v string) bool { return v == "*" || isPlainOrigin(v) }

// isPlainOrigin lets only such hosts pass as can stand in a header: a name or an address.
func isPlainOrigin(v string) bool {
	u, err := url.Parse(v)
	return err == nil && isWebURL(v) && u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil && !strings.ContainsAny(u.Host, " ,;'\"*")
}

func (s setting) variable() string {
	return "LASTUNIT_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// writeExample writes config.example.yml: every setting with its sentence and its default, commented out.
func writeExample(w io.Writer) error {
	var out bytes.Buffer
	out.WriteString(`# Every setting of lastunit with its default. Use a copy with: lastunit serve --config config.yml
#
# Each is a flag too (max-quantity is --max-quantity) and a variable (LASTUNIT_MAX_QUANTITY).
# A flag wins over a variable, a variable over this file, this file over the default.
# Written by "lastunit config".
`)
	for _, st := range table(exampleDataDir) {
		value, unset := cmp.Or(st.initial, st.example), ""
		if st.initial == "" {
			unset = " Not set by default."
		}
		if st.list {
			value = "[" + strconv.Quote(value) + "]"
		}
		fmt.Fprintf(&out, "\n# %s\n# Must be %s.%s\n#%s: %s\n", st.about, st.allowed, unset, st.name, value)
	}
	_, err := w.Write(out.Bytes())
	return err
}
