package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/doctor"
	"github.com/lastunit/lastunit/internal/pgserver"
)

// examine takes the flags of serve, so that what is examined is what would be run.
func examine(ctx context.Context, e *environment) error {
	servers := e.flags.Int("servers", 1, "how many servers there are on this database")
	asJSON := e.flags.Bool("json", false, "write what was found as JSON")
	all := e.flags.Bool("all", false, "show what is ok as well")
	cfg, _, err := e.load(0, 0)
	var wrong settingsError
	var found []doctor.Finding
	switch {
	case errors.As(err, &wrong):
		for _, problem := range wrong {
			found = append(found, doctor.Finding{Check: "settings", Level: doctor.Error, What: problem, Why: "serve refuses to start.", Do: "see config.example.yml, or lastunit serve --help"})
		}
	case err != nil:
		return err
	default:
		found = append(examineSettings(cfg), examineDatabase(ctx, cfg, *servers)...)
	}
	count := map[doctor.Level]int{}
	for _, f := range found {
		count[f.Level]++
	}
	if *asJSON {
		err = writeJSON(e.stdout, map[string]any{"ok": count[doctor.Error] == 0, "findings": found})
	} else {
		err = writeFindings(e.stdout, found, count, *all)
	}
	if err == nil && count[doctor.Error] > 0 {
		err = errBroken
	}
	return err
}

func writeFindings(w io.Writer, found []doctor.Finding, count map[doctor.Level]int, all bool) error {
	for _, f := range found {
		if f.Level == doctor.OK && !all {
			continue
		}
		fmt.Fprintf(w, "%-8s %-19s %s\n", strings.ToUpper(string(f.Level)), f.Check, f.What)
		if f.Level != doctor.OK {
			fmt.Fprintf(w, "%29s%s\n%29sdo: %s\n", "", f.Why, "", f.Do)
		}
	}
	_, err := fmt.Fprintf(w, "errors: %d, warnings: %d, hints: %d, ok: %d\n", count[doctor.Error], count[doctor.Warning], count[doctor.Hint], count[doctor.OK])
	return err
}

func examineDatabase(ctx context.Context, cfg Config, servers int) []doctor.Finding {
	o := doctor.Options{URL: cfg.DatabaseURL, Connections: cfg.DBConnections, Servers: servers, QueryMode: cfg.QueryMode, Migrations: migrations.FS}
	if o.URL == "" {
		var err error
		if o.URL, err = pgserver.Running(cfg.DataDir); err != nil {
			return []doctor.Finding{{Check: "connection", Level: doctor.Error, What: err.Error(), Why: "Its own PostgreSQL runs only while lastunit does.", Do: "lastunit serve --data-dir " + cfg.DataDir}}
		}
		o.Own = true
	}
	return doctor.Examine(ctx, o)
}

// examineSettings judges what is allowed and yet seldom meant.
func examineSettings(cfg Config) (found []doctor.Finding) {
	add := func(level doctor.Level, what, why, do string) {
		found = append(found, doctor.Finding{Check: "settings", Level: level, What: what, Why: why, Do: do})
	}
	examineTokens(cfg, add)
	examinePayment(cfg, add)
	if isGuessable(cfg.DatabaseURL) {
		add(doctor.Warning, "the password of the database is easily guessed", "Whoever reaches its port has everything.", "ALTER ROLE ... PASSWORD '...'; with what openssl rand -hex 24 prints, and put it into database-url")
	}
	if isPublic(cfg.Listen) && len(cfg.TrustedProxies) == 0 {
		add(doctor.Hint, "listen "+cfg.Listen+" is open to other machines, and no trusted-proxy is named", "It speaks plain HTTP; and behind a proxy all callers count as one address.", "put a proxy with TLS before it, and --trusted-proxy ITS-ADDRESS")
	}
	if cfg.AddressRate == 0 || cfg.BuyerRate == 0 {
		add(doctor.Hint, "requests are not limited (buyer-rate or address-rate is 0)", "One script can hoard the stock, or keep everybody else out.", "--buyer-rate 20 --address-rate 500")
	}
	for _, origin := range cfg.CORSOrigins {
		if origin == "*" {
			add(doctor.Hint, "cors-origin is *", "Every page on the web may call the service with a token that it has got hold of.", "--cors-origin https://your.shop")
		}
	}
	if len(found) == 0 {
		add(doctor.OK, "nothing to say against them", "", "")
	}
	return found
}

func examineTokens(cfg Config, add func(doctor.Level, string, string, string)) {
	switch path := filepath.Join(cfg.DataDir, "buyer-secret"); {
	case cfg.BuyerSecret != "":
		if distinct(string(cfg.BuyerSecret)) < 12 {
			add(doctor.Error, "buyer-secret is easily guessed", "Whoever guesses it can be every buyer.", "set it to what openssl rand -hex 32 prints, here and in the shop that signs the tokens")
		}
	case cfg.JWKSURL == "":
		if cfg.DatabaseURL != "" {
			add(doctor.Warning, "there is no buyer-secret: "+path+" is used", "A server with another data directory makes another one, and they refuse each other's buyers.", "set buyer-secret to what openssl rand -hex 32 prints, on all servers")
		}
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			add(doctor.Error, path+" can be read by other users of this machine", "Whoever reads it can be every buyer.", "chmod 600 "+path)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			add(doctor.Error, path+" can't be looked at: "+err.Error(), "serve can't sign tokens with it.", "run this, and serve, as the user whose directory it is")
		}
	}
	if cfg.JWKSURL == "" {
		return
	}
	if u, err := url.Parse(cfg.JWKSURL); err == nil && u.Scheme == "http" && isPublic(net.JoinHostPort(u.Hostname(), "0")) {
		add(doctor.Error, "the keys of jwks-url come over plain HTTP", "Whoever is on the way can put in a key of their own, and be every buyer.", "--jwks-url https://...")
	}
	if cfg.Audience == "" {
		add(doctor.Warning, "audience is not set", "Tokens that whoever is behind jwks-url has signed for other programs are taken here as well.", "--audience lastunit, and have the tokens of your buyers say so in aud")
	}
}

func examinePayment(cfg Config, add func(doctor.Level, string, string, string)) {
	key := string(cfg.StripeKey)
	switch {
	case cfg.Payment == "test" && (cfg.DatabaseURL != "" || isPublic(cfg.Listen)):
		add(doctor.Warning, "orders are paid with the test provider", "No money moves, whatever card is given: everything is for nothing.", "--payment stripe --stripe-key sk_..., or --payment none when your shop takes the money")
	case cfg.Payment == "test":
		add(doctor.Hint, "orders are paid with the test provider", "No money moves, whatever card is given.", "before you sell: --payment stripe --stripe-key sk_..., or --payment none when your shop takes the money")
	case cfg.Payment != "stripe":
		return
	case !strings.Contains(key, "_live_"):
		add(doctor.Warning, "stripe-key is a test key", "No money moves.", "set stripe-key to the key with _live_ in it")
	case cfg.StripeURL != "":
		add(doctor.Error, "a live stripe-key is sent to "+cfg.StripeURL, "Whoever is there can take your money.", "leave stripe-url out")
	}
	if cfg.Payment == "stripe" && len(cfg.StripeSecrets) == 0 {
		add(doctor.Warning, "there is no stripe-webhook-secret", "What becomes of a payment is known only when Stripe is asked, up to a minute later.", "set stripe-webhook-secret to the webhook's signing secret (docs/stripe.md)")
	}
}

// isPublic tells whether an address to listen on, or a host, is another machine's affair as well.
func isPublic(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host != "localhost" && (err != nil || !ip.IsLoopback())
}

// isGuessable tells whether a database URL has a password that is tried first: none at all is another matter.
func isGuessable(databaseURL string) bool {
	cfg, err := pgx.ParseConfig(databaseURL)
	if databaseURL == "" || err != nil || cfg.Password == "" {
		return false
	}
	switch strings.ToLower(cfg.Password) {
	case strings.ToLower(cfg.User), strings.ToLower(cfg.Database), "password", "postgres", "lastunit", "secret", "changeme", "admin":
		return true
	}
	return utf8.RuneCountInString(cfg.Password) < 8
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}
