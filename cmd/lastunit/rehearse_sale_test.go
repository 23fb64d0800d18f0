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

// deskRehearsal is a rehearsal as the desk sees it.
type deskRehearsal struct {
	ID       string
	Status   string
	Detail   *string
	Progress struct{ Sent, Held, Refused int }
	Report   *playedSale
}

// rehearsal asks for a rehearsal until it has ended, or seen says that it is as it should be.
func (c client) rehearsal(t *testing.T, id string, seen func(deskRehearsal) bool) (r deskRehearsal) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		got, err := c.call("GET", "/api/v1/rehearsals/"+id, "", nil)
		if err != nil || got.status != http.StatusOK {
			t.Fatalf("%d %s, %v", got.status, got.text, err)
		}
		r = deskRehearsal{}
		if err := json.Unmarshal([]byte(got.text), &r); err != nil {
			t.Fatal(err)
		}
		if r.Status != "running" || seen != nil && seen(r) {
			return r
		}
	}
	t.Fatalf("it does not come about: %+v", r)
	return r
}

func TestAPlannedSaleIsRehearsedFromTheDesk(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first, c := operated(t, dir, 50)
	second := start(t, "serve", dir, "--database-url", first.database)
	sale := planned(t, c)
	secret := strings.TrimSpace(output(t, "key", "create", "--data-dir", dir, "--name", "desk", "--scope", "sale"))
	desk, elsewhere := client{address: first.address, key: secret, http: c.http}, client{address: second.address, key: secret, http: c.http}
	started := desk.must(t, http.StatusAccepted, "POST", "/api/v1/sales/"+sale+"/rehearsals", map[string]any{"buyers": 300})
	refused, err := elsewhere.call("POST", "/api/v1/sales/"+sale+"/rehearsals", "", map[string]any{"buyers": 300})
	if refused.status != http.StatusConflict || !strings.Contains(refused.text, started.body.ID) {
		t.Errorf("a second one: %d %s, %v", refused.status, refused.text, err)
	}
	r := elsewhere.rehearsal(t, started.body.ID, nil)
	if r.Status != "finished" || r.Report == nil || r.Detail != nil {
		t.Fatalf("%+v", r)
	}
	// One unit each: 40 of 150 get one of A, all of 150 get one of B.
	a, b := r.Report.Items[0], r.Report.Items[1]
	if !r.Report.OK || !r.Report.AuditOK || a.UnitsHeld != 40 || a.Refused["all-held"] != 110 || a.SoldOutSeconds == nil || b.UnitsHeld != 150 || b.UnitsLeft != 850 || b.SoldOutSeconds != nil {
		t.Errorf("%+v", r.Report)
	}
	if r.Progress.Sent != 300 || r.Progress.Held != 190 || r.Progress.Refused != 110 {
		t.Errorf("%+v", r.Progress)
	}
	r.Report.Items[0].CopySKU = "rehearsal-" + strings.ReplaceAll(started.body.ID, "-", "") + "-1"
	r.Report.Items[1].CopySKU = "rehearsal-" + strings.ReplaceAll(started.body.ID, "-", "") + "-2"
	onlyThePlan(t, c, *r.Report, sale)
	if keys := output(t, "key", "list", "--data-dir", dir); strings.Contains(keys, "rehearsal") {
		t.Errorf("its key is left: %s", keys)
	}
}

// A server that is stopped in the middle of a rehearsal removes what it has made; of one that is killed another server does so.
func TestARehearsalThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(*process){"stopped": (*process).stop, "killed": (*process).kill} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			first, c := operated(t, dir, 50)
			second := start(t, "serve", dir, "--database-url", first.database)
			sale := planned(t, c)
			away := client{address: second.address, key: c.key, http: c.http}
			started := away.must(t, http.StatusAccepted, "POST", "/api/v1/sales/"+sale+"/rehearsals", map[string]any{"buyers": 3000})
			copies := "/api/v1/products/rehearsal-" + strings.ReplaceAll(started.body.ID, "-", "") + "-"
			for there := 0; there != http.StatusOK; {
				r, _ := c.call("GET", copies+"2", "", nil)
				there = r.status
			}
			end(second)
			ended := c.rehearsal(t, started.body.ID, nil)
			if ended.Status != "failed" || ended.Detail == nil || !strings.Contains(strings.ToLower(*ended.Detail), "start it again") {
				t.Errorf("%+v", ended)
			}
			// The next one is started when nothing of this one is left.
			next := c.must(t, http.StatusAccepted, "POST", "/api/v1/sales/"+sale+"/rehearsals", map[string]any{"buyers": 10})
			if r := c.rehearsal(t, next.body.ID, nil); r.Status != "finished" {
				t.Errorf("%+v", r)
			}
			for _, n := range []string{"1", "2"} {
				if r, _ := c.call("GET", copies+n, "", nil); r.status != http.StatusNotFound {
					t.Errorf("a copy is left: %s", r.text)
				}
			}
			if keys := output(t, "key", "list", "--data-dir", dir); strings.Contains(keys, "rehearsal") {
				t.Errorf("its key is left: %s", keys)
			}
		})
	}
}
