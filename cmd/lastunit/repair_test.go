package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/shop"
)

func TestTheAuditRepairsOnTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p, c := operated(t, dir, 3)
	buyer := client{address: p.address, key: strings.TrimSpace(output(t, "token", "buyer", "ada", "--data-dir", dir)), http: c.http}
	buyer.must(t, http.StatusCreated, "POST", "/order/addToCart", map[string]any{"sku": "A"})
	if out := output(t, "audit", "--data-dir", dir, "--repair", "one_place"); !strings.Contains(out, "nothing is broken") {
		t.Errorf("a repair of what is sound: %s", out)
	}
	breakAUnit(t, p.database) // the hold has lost its unit, which is in no place
	for _, wrong := range []struct {
		args []string
		want string
	}{
		{[]string{"--repair", "nonsense"}, "one_place, conservation"},
		{[]string{"--yes"}, "--repair"},
		{[]string{"--repair", "one_place", "--sku", "nothing"}, "no such product"},
		{[]string{"--repair", "one_place", "--by", strings.Repeat("a", 101)}, "1 to 100 characters"},
	} {
		if _, err := attempt(t, append([]string{"audit", "--data-dir", dir}, wrong.args...)...); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("audit %v: %v, want %q in it", wrong.args, err, wrong.want)
		}
	}
	out, err := attempt(t, "audit", "--data-dir", dir, "--repair", "one_place")
	if err == nil || !strings.Contains(out, "is in no place") || !strings.Contains(out, "It goes to quarantine") || !strings.Contains(out, "nothing was changed; to do it: lastunit audit --repair one_place --yes") {
		t.Errorf("a dry run: %v\n%s", err, out)
	}
	out, err = attempt(t, "audit", "--data-dir", dir, "--repair", "one_place", "--sku", "A", "--json")
	var dry shop.Repair
	if json.Unmarshal([]byte(out), &dry) != nil || err == nil || len(dry.Steps) != 1 || dry.Steps[0].Result != shop.RepairPlanned || !strings.Contains(string(dry.Steps[0].Rows), `"product_id"`) {
		t.Errorf("a dry run as JSON: %v\n%s", err, out)
	}
	for _, check := range []string{"one_place", "transaction_units"} {
		if out := output(t, "audit", "--data-dir", dir, "--repair", check, "--yes", "--by", "grace"); !strings.Contains(out, "DONE") || !strings.Contains(out, check+", checked again: ok") {
			t.Errorf("the repair of %s: %s", check, out)
		}
	}
	if out := output(t, "audit", "--data-dir", dir); !strings.Contains(out, "nothing is broken") {
		t.Errorf("the audit after it: %s", out)
	}
	if out := output(t, "audit", "--data-dir", dir, "--repair", "one_place", "--yes"); !strings.Contains(out, "nothing to repair") {
		t.Errorf("a second repair: %s", out)
	}
	conn, err := pgx.Connect(context.Background(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var n int
	if err := conn.QueryRow(context.Background(), `SELECT count(*) FROM repair WHERE repaired_by = 'grace'`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d repairs are written down: %v", n, err)
	}
	if r := c.must(t, http.StatusOK, "GET", "/api/v1/events?type=unit.repaired&type=transaction.repaired", nil); strings.Count(r.text, `"repair_id"`) != 2 {
		t.Errorf("the events: %s", r.text)
	}
}
