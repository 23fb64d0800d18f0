package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/report"
	"github.com/lastunit/lastunit/internal/shop"
)

func TestTheReportOfASale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeSale)
	name := `<script>alert("cup")</script>`
	w.stocked(t, "cup", 3)
	if _, _, err := w.PutProduct(t.Context(), shop.Product{SKU: "cup", Name: &name, Selling: true, Price: &shop.Money{Amount: 100, Currency: "EUR"}}); err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC().Truncate(time.Second)
	w.moveTo(at)
	quantity := 2
	sale := w.sale(t, "open", shop.SaleTerms{Name: "12.12 <b>& more</b>", Items: []shop.SaleItem{{SKU: "cup", Price: shop.Money{Amount: 12050, Currency: "EUR"}, Quantity: &quantity}}})
	path := "/api/v1/sales/" + sale.ID.String() + "/report"
	if err := w.SampleSales(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.hold(t, "ann", "cup", 2)
	w.send(t, as("bob", "POST", "/order/addToCart", map[string]any{"sku": "cup", "sale_id": sale.ID, "quantity": 1})).refused(t, 409, "all-held")
	var o httpapi.Order
	w.send(t, as("ann", "POST", "/api/v1/order/checkout", map[string]any{})).into(t, 201, &o)
	w.moveTo(at.Add(2 * time.Second))
	w.send(t, as("ann", "POST", "/api/v1/orders/"+o.ID+"/pay", map[string]any{"card": "succeed"})).into(t, 200, &o)
	w.moveTo(at.Add(4 * time.Second))
	if err := w.FlushSaleCounts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.SampleSales(t.Context()); err != nil {
		t.Fatal(err)
	}

	for _, query := range []string{"", "?format=json"} {
		var r httpapi.SaleReport
		a := w.send(t, request{method: "GET", path: path + query, token: key})
		a.into(t, 200, &r) // and it is as documented
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("it is %s", got)
		}
		item := r.Items[0]
		if r.SaleID != sale.ID.String() || r.Status != "open" || item.SKU != "cup" || item.Name != name || item.UnitsSold != 2 || len(item.Revenue) != 1 || item.Revenue[0].Amount != 24100 {
			t.Errorf("%+v", r)
		}
		if r.Total.SoldOutSeconds == nil || *r.Total.SoldOutSeconds != 2 || *r.Total.Conversion != 1 || *r.Total.SellThrough != 1 || r.Queue != nil {
			t.Errorf("%+v", r.Total)
		}
		if r.Answers.Total != 2 || r.Answers.Refused != 1 || r.Answers.Refusals["all-held"] != 1 || r.Answers.Latency == nil || len(r.Course) == 0 || len(r.SellThrough) < 2 {
			t.Errorf("%+v", r.Answers)
		}
		if text := strings.Join(r.Basis, " "); !strings.Contains(text, "exact") || !strings.Contains(text, "lose the last second") {
			t.Errorf("it rests on %s", text)
		}
	}

	page := w.send(t, request{method: "GET", path: path + "?format=html", token: key}).into(t, 200, nil)
	selfContained(t, page.body)
	for _, want := range []string{"&lt;script&gt;alert(", "12.12 &lt;b&gt;&amp; more&lt;/b&gt;", "EUR 241.00", "all in carts", "<svg"} {
		if !strings.Contains(string(page.body), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, report.StyleSource) {
		t.Errorf("its policy is %s", policy)
	}
	asked := request{method: "GET", path: path, token: key, header: http.Header{"Accept": {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}}}
	if got := w.send(t, asked).into(t, 200, nil).header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("a browser gets %s", got)
	}

	for _, format := range []string{"", "pdf", "json&format=html"} {
		w.send(t, request{method: "GET", path: path + "?format=" + format, token: key}).refused(t, 422, "validation")
	}
	for _, id := range []string{"nothing", "019b1234-5678-7abc-8def-0123456789ab"} {
		w.send(t, request{method: "GET", path: "/api/v1/sales/" + id + "/report", token: key}).refused(t, 404, "not-found")
	}
	w.send(t, request{method: "GET", path: path, token: w.key(t, shop.ScopeOrder, shop.ScopeStock)}).refused(t, 403, "forbidden")
	w.send(t, request{method: "GET", path: path}).refused(t, 401, "unauthenticated")
	w.send(t, as("ann", "GET", path, nil)).refused(t, 403, "forbidden")
	draft := w.sale(t, "draft", shop.SaleTerms{Items: []shop.SaleItem{{SKU: "cup", Price: shop.Money{Amount: 1, Currency: "EUR"}}}})
	w.send(t, request{method: "GET", path: "/api/v1/sales/" + draft.ID.String() + "/report", token: key}).refused(t, 409, "conflict")
}

var (
	outside  = regexp.MustCompile(`(?i)\b(?:src|href|action|srcset|poster|data|background)\s*=|@import|url\(|<(?:script|link|iframe|object|embed|img)\b|\bon[a-z]+\s*=`)
	attrsOff = regexp.MustCompile(`<svg[^>]*viewBox`)
)

// selfContained holds that a page refers to nothing but itself, and runs nothing.
func selfContained(t *testing.T, page []byte) {
	t.Helper()
	if found := outside.FindAll(page, -1); len(found) > 0 {
		t.Errorf("the page refers to something: %q", found)
	}
	if !attrsOff.Match(page) {
		t.Error("the page has no plots")
	}
	var v any
	if json.Unmarshal(page, &v) == nil {
		t.Error("that is no page")
	}
}
