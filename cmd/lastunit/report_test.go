package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASaleIsReportedOnFromTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	_, c := operated(t, dir, 50)
	sale := planned(t, c)
	report := []string{"report", "--data-dir", dir, "--sale"}
	if _, err := attempt(t, append(report, sale)...); err == nil || !strings.Contains(err.Error(), "A draft has nothing to report on") {
		t.Errorf("a draft: %v", err)
	}
	c.must(t, http.StatusOK, "POST", "/api/v1/sales/"+sale+"/schedule", map[string]any{})
	c.must(t, http.StatusOK, "POST", "/api/v1/sales/"+sale+"/open", map[string]any{})
	buyer := c
	buyer.buyer = "ann"
	buyer.must(t, http.StatusCreated, "POST", "/order/addToCart", map[string]any{"sku": "A", "quantity": 2})
	order := buyer.must(t, http.StatusCreated, "POST", "/api/v1/order/checkout", map[string]any{})
	buyer.must(t, http.StatusOK, "POST", "/api/v1/orders/"+order.body.ID+"/pay", map[string]any{"card": "succeed"})

	out := output(t, append(report, sale)...)
	for _, want := range []string{"Sale report: 12.12", "2 of 1,040 units were sold for EUR 2.00. It did not sell out.", "The sale is open: these are its figures so far.", "Paid for", "What was sold"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	var r struct {
		SaleID string `json:"sale_id"`
		Total  struct {
			UnitsSold int `json:"units_sold"`
		} `json:"total"`
	}
	file := filepath.Join(dir, "report.html")
	if err := json.Unmarshal([]byte(output(t, append(report, sale, "--json", "--html", file)...)), &r); err != nil || r.SaleID != sale || r.Total.UnitsSold != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if page, err := os.ReadFile(file); err != nil || !strings.Contains(string(page), "</html>") || !strings.Contains(string(page), "EUR 2.00") {
		t.Errorf("%v, %.200s", err, page)
	}
	for want, args := range map[string][]string{
		"say which sale": {}, "There is no such sale": {"--sale", "019b1234-5678-7abc-8def-0123456789ab"}, "no such sale": {"--sale", "12.12"},
		"no such file": {"--sale", sale, "--html", filepath.Join(dir, "nowhere", "report.html")},
	} {
		if _, err := attempt(t, append([]string{"report", "--data-dir", dir}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}

func TestARehearsalIsReportedAsAPage(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p, c := operated(t, dir, 50)
	sale := planned(t, c)
	rehearse := func(want []string, args ...string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "rehearsal.html")
		out := output(t, append([]string{"rehearse", "--url", p.address, "--key", c.key, "--report", file}, args...)...)
		if !strings.Contains(out, "target missed: 99 of 100 answered within 1 ms") || !strings.Contains(out, "target met: sold out within 10 min") && !strings.Contains(out, "target missed: sold out") {
			t.Errorf("no advice in\n%s", out)
		}
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range append(want, "Rehearsal report", "</html>", "Every promise was kept", "Target missed: 99 of 100 answered within 1 ms", "Where the units were", "Answers a second", "Time to answer") {
			if !strings.Contains(string(page), text) {
				t.Errorf("%v: the page has no %q", args, text)
			}
		}
	}
	targets := []string{"--target-p99", "1ms", "--target-sell-out", "10m"}
	rehearse([]string{"12.12", "1,000", "at the limit"}, append(targets, "--sale", sale, "--buyers", "200", "--quantity", "1-3")...)
	rehearse([]string{"The 12.12 event", "all in carts"}, append(targets, "--buyers", "100", "--mode", "both")...)
}
