package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// playedSale is what a rehearsal of a sale reports, by the names that others rely on.
type playedSale struct {
	OK      bool     `json:"ok"`
	AuditOK bool     `json:"audit_ok"`
	Buyers  int      `json:"buyers"`
	Hold    int      `json:"hold_seconds"`
	Broken  []string `json:"broken"`
	Items   []struct {
		SKU            string         `json:"sku"`
		CopySKU        string         `json:"copy_sku"`
		Buyers         int            `json:"buyers"`
		Stock          int            `json:"stock"`
		UnitsHeld      int            `json:"units_held"`
		UnitsLeft      int            `json:"units_left"`
		Refused        map[string]int `json:"refused"`
		SoldOutSeconds *float64       `json:"sold_out_seconds"`
		Latency        *struct {
			P50 float64 `json:"p50"`
			P99 float64 `json:"p99"`
		} `json:"latency_ms"`
		AuditOK bool     `json:"audit_ok"`
		Broken  []string `json:"broken"`
	} `json:"items"`
}

// planned plans a sale of A, 40 of whose units it has for itself, and of B, of which there are 1000.
func planned(t *testing.T, c client) (id string) {
	t.Helper()
	c.must(t, http.StatusCreated, "PUT", "/api/v1/products/B", map[string]any{})
	c.must(t, http.StatusCreated, "POST", "/api/v1/products/B/receipts", map[string]any{"quantity": 1000, "reference": "test"})
	at := time.Now().Add(24 * time.Hour)
	made := c.must(t, http.StatusCreated, "POST", "/api/v1/sales", map[string]any{
		"name": "12.12", "opens_at": at, "closes_at": at.Add(time.Hour), "hold_seconds": 30, "purchase_limit": 2, "max_quantity": 3, "cooldown_seconds": 60,
		"items": []any{
			map[string]any{"sku": "A", "price": map[string]any{"amount": 100, "currency": "EUR"}, "quantity": 40},
			map[string]any{"sku": "B", "price": map[string]any{"amount": 200, "currency": "EUR"}},
		},
	})
	return made.body.ID
}

// asPlanned holds that a sale of planned was played to the end by so many buyers, of one to three units each.
func asPlanned(t *testing.T, p playedSale, buyers int) {
	t.Helper()
	if !p.OK || !p.AuditOK || p.Buyers != buyers || len(p.Items) != 2 || p.Hold != 60 || len(p.Broken) != 0 {
		t.Fatalf("%+v", p)
	}
	a, b := p.Items[0], p.Items[1]
	if a.SKU != "A" || a.Stock != 40 || a.UnitsHeld < 39 || a.Buyers != buyers/2 || a.Refused["purchase-limit"] == 0 || a.Refused["all-held"]+a.Refused["not-enough-units"] == 0 {
		t.Errorf("%+v", a)
	}
	if (a.UnitsHeld == 40) != (a.SoldOutSeconds != nil) || a.Latency == nil || a.Latency.P50 <= 0 || a.Latency.P99 < a.Latency.P50 {
		t.Errorf("%+v", a)
	}
	if b.SKU != "B" || b.Stock != 1000 || b.UnitsHeld+b.UnitsLeft != 1000 || b.UnitsHeld != buyers/6*3 || b.SoldOutSeconds != nil {
		t.Errorf("%+v", b)
	}
}

// onlyThePlan holds that nothing is left of a rehearsal: neither products nor sales nor units.
func onlyThePlan(t *testing.T, c client, p playedSale, sale string) {
	t.Helper()
	for _, item := range p.Items {
		if r, _ := c.call("GET", "/api/v1/products/"+item.CopySKU, "", nil); r.status != http.StatusNotFound {
			t.Errorf("the copy of %s is still there: %s", item.SKU, r.text)
		}
	}
	if list := c.must(t, http.StatusOK, "GET", "/api/v1/sales", nil).text; strings.Count(list, `"opens_at"`) != 1 || !strings.Contains(list, sale) {
		t.Errorf("sales: %s", list)
	}
	if stock := c.must(t, http.StatusOK, "GET", "/api/v1/products/A/stock", nil).text; !strings.Contains(stock, `"held":0`) {
		t.Errorf("the product itself was touched: %s", stock)
	}
}

func TestAPlannedSaleIsRehearsed(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first, c := operated(t, dir, 50)
	second := start(t, "serve", dir, "--database-url", first.database)
	sale := planned(t, c)
	rehearse := []string{"rehearse", "--url", first.address, "--url", second.address, "--key", c.key, "--sale", sale, "--buyers", "300", "--quantity", "1-3"}
	for _, mode := range []string{"direct", "both"} {
		var p playedSale
		if err := json.Unmarshal([]byte(output(t, slices.Concat(rehearse, []string{"--mode", mode, "--json"})...)), &p); err != nil {
			t.Fatal(err)
		}
		asPlanned(t, p, 300)
		onlyThePlan(t, c, p, sale)
	}
	out := output(t, "rehearse", "--url", first.address, "--key", c.key, "--sale", sale, "--buyers", "200", "--keep")
	for _, want := range []string{"12.12: 200 buyers, all at once, direct", "sold out s", "OK: 140 of 1040 units held, 1 of 2 items gone, 60 refused truthfully", "Holds of 60 s were played instead of 30 s", "A was kept as rehearsal-"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestHowASaleCannotBeRehearsed(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p, c := operated(t, dir, 50)
	sale := planned(t, c)
	narrow := strings.TrimSpace(output(t, "key", "create", "--data-dir", dir, "--name", "narrow", "--scope", "catalog", "--scope", "stock", "--scope", "claim", "--scope", "audit"))
	for want, args := range map[string][]string{
		"--sale needs --url":                   {"--sale", sale},
		"leave --stock and --naive out":        {"--sale", sale, "--url", p.address, "--key", c.key, "--stock", "3", "--buyers", "5"},
		"is not the id of a sale":              {"--sale", "12.12", "--url", p.address, "--key", c.key},
		"404 not-found":                        {"--sale", "019b1234-5678-7abc-8def-0123456789ab", "--url", p.address, "--key", c.key},
		"a sale is rehearsed with 1 to 5000":   {"--sale", sale, "--url", p.address, "--key", c.key, "--buyers", "5001"},
		"one claim in this sale may ask for 3": {"--sale", sale, "--url", p.address, "--key", c.key, "--quantity", "1-4"},
	} {
		_, err := attempt(t, append([]string{"rehearse"}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rehearse %s: %v, want %q in it", strings.Join(args, " "), err, want)
		}
	}
	// To a key without the scope sale a draft is not shown at all.
	if _, err := attempt(t, "rehearse", "--sale", sale, "--url", p.address, "--key", narrow); err == nil || !strings.Contains(err.Error(), "404 not-found") {
		t.Errorf("with a narrow key: %v", err)
	}
	if list := c.must(t, http.StatusOK, "GET", "/api/v1/sales", nil).text; strings.Count(list, `"opens_at"`) != 1 {
		t.Errorf("sales: %s", list)
	}
}
