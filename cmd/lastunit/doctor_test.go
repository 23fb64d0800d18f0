package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/doctor"
)

func TestDoctorOfARunningService(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := start(t, "serve", dir)
	if out := output(t, "doctor", "--data-dir", dir, "--all"); !strings.Contains(out, "errors: 0, warnings: 0") || !strings.Contains(out, "OK       fsync") {
		t.Errorf("a service on its own PostgreSQL: %s", out)
	}
	var report struct {
		OK       bool
		Findings []doctor.Finding
	}
	out := output(t, "doctor", "--database-url", p.database, "--data-dir", dir, "--json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.OK || len(report.Findings) < 20 {
		t.Errorf("as JSON: %v %s", err, out)
	}
	if out, err := attempt(t, "doctor", "--data-dir", dir, "--servers", "20"); err == nil || !strings.Contains(out, "ERROR    connections") {
		t.Errorf("of 20 servers: %v %s", err, out)
	}
	out, err := attempt(t, "doctor", "--data-dir", dir, "--hold", "0", "--listen", "nowhere", "--json")
	if unread := json.Unmarshal([]byte(out), &report); err == nil || unread != nil || report.OK || len(report.Findings) != 2 {
		t.Errorf("of settings that are refused: %v %s", err, out)
	}
}

func TestDoctorMakesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(dataDir(t), "new")
	if out, err := attempt(t, "doctor", "--data-dir", dir); err == nil || !strings.Contains(out, "ERROR    connection") || !strings.Contains(out, "lastunit serve --data-dir") {
		t.Errorf("without a service: %v %s", err, out)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the data directory was made")
	}
}

func TestDoctorOfSettings(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("0123456789abcdef", 2)
	url := "--database-url=postgres://shop:" + good + "@db.example.com/lastunit"
	live := []string{url, "--buyer-secret=" + good, "--payment=stripe", "--stripe-key=sk_live_xxxxxxxx", "--stripe-webhook-secret=whsec_xxxxxxxx"}
	found := func(args ...string) []doctor.Finding {
		t.Helper()
		cfg, err := load(t, nil, append(append([]string{}, live...), args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return examineSettings(cfg)
	}
	if f := found(); len(f) != 1 || f[0].Level != doctor.OK {
		t.Errorf("of what is as it should be: %+v", f)
	}
	open := filepath.Join(dataDir(t), "buyer-secret")
	if err := os.WriteFile(open, []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		level doctor.Level
		what  string
	}{
		{[]string{"--buyer-secret=" + strings.Repeat("x", 32)}, doctor.Error, "buyer-secret is easily guessed"},
		{[]string{"--jwks-url=http://id.example.com/keys", "--audience=x"}, doctor.Error, "plain HTTP"},
		{[]string{"--jwks-url=https://id.example.com/keys"}, doctor.Warning, "audience"},
		{[]string{"--payment=test"}, doctor.Warning, "test provider"},
		{[]string{"--stripe-key=sk_test_xxxxxxxx"}, doctor.Warning, "test key"},
		{[]string{"--stripe-url=http://127.0.0.1:1"}, doctor.Error, "live stripe-key"},
		{[]string{"--database-url=postgres://shop:shop@db/lastunit"}, doctor.Warning, "password"},
		{[]string{"--listen=0.0.0.0:8080"}, doctor.Hint, "trusted-proxy"},
		{[]string{"--address-rate=0"}, doctor.Hint, "not limited"},
		{[]string{"--cors-origin=*"}, doctor.Hint, "cors-origin"},
	} {
		f := found(c.args...)
		if len(f) != 1 || f[0].Level != c.level || !strings.Contains(f[0].What, c.what) || f[0].Why == "" || f[0].Do == "" {
			t.Errorf("%v: %+v", c.args, f)
		}
	}
	for _, c := range []struct {
		cfg  Config
		what string
	}{
		{Config{Payment: "none", BuyerRate: 1, AddressRate: 1, DataDir: filepath.Dir(open)}, "can be read by other users"},
		{Config{Payment: "none", BuyerRate: 1, AddressRate: 1, DatabaseURL: "postgres://db/x", DataDir: t.TempDir()}, "no buyer-secret"},
		{Config{Payment: "stripe", StripeKey: "sk_live_xxxxxxxx", BuyerSecret: Secret(good), BuyerRate: 1, AddressRate: 1}, "no stripe-webhook-secret"},
	} {
		if f := examineSettings(c.cfg); len(f) != 1 || !strings.Contains(f[0].What, c.what) {
			t.Errorf("%s: %+v", c.what, f)
		}
	}
}
