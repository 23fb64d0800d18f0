package httpapi_test

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

func TestTheFiguresOfASale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeSale)
	w.stocked(t, "cup", 3)
	at := time.Now().UTC().Truncate(time.Second)
	w.moveTo(at)
	quantity := 2
	sale := w.sale(t, "open", shop.SaleTerms{Items: []shop.SaleItem{{SKU: "cup", Price: shop.Money{Amount: 100, Currency: "EUR"}, Quantity: &quantity}}})
	path := "/api/v1/sales/" + sale.ID.String() + "/figures"
	var f httpapi.SaleFigures
	w.send(t, request{method: "GET", path: path, token: key}).into(t, 200, &f)
	if f.State != "open" || len(f.Items) != 1 || f.Items[0].Available != 2 || len(f.Samples) != 0 {
		t.Errorf("%+v", f)
	}
	w.hold(t, "ann", "cup", 2)
	w.send(t, as("bob", "POST", "/order/addToCart", map[string]any{"sku": "cup", "sale_id": sale.ID, "quantity": 1})).refused(t, 409, "all-held")
	w.moveTo(at.Add(2 * time.Second))
	if err := w.FlushSaleCounts(t.Context()); err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Samples []map[string]json.RawMessage
	}
	w.send(t, request{method: "GET", path: path, token: key}).into(t, 200, &raw)
	if len(raw.Samples) != 1 {
		t.Fatalf("%v", raw)
	}
	for name, want := range map[string]string{"claims": "1", "units": "2", "seconds": "1", "queued": "0", "refusals": `{"all-held":1}`, "at": `"` + at.Add(time.Second).Format(time.RFC3339) + `"`} {
		if got := string(raw.Samples[0][name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	var latency httpapi.SaleLatency
	if err := json.Unmarshal(raw.Samples[0]["latency_ms"], &latency); err != nil || latency.P50 <= 0 || latency.P99 < latency.P50 {
		t.Errorf("latency: %s", raw.Samples[0]["latency_ms"])
	}
	w.send(t, request{method: "GET", path: path + "?since=" + url.QueryEscape(at.Add(time.Second).Format(time.RFC3339)), token: key}).into(t, 200, &f)
	if len(f.Samples) != 0 {
		t.Errorf("nothing is later, but %+v", f.Samples)
	}
	for _, since := range []string{"", "yesterday", "2026-12-12", "1"} {
		w.send(t, request{method: "GET", path: path + "?since=" + since, token: key}).refused(t, 422, "validation")
	}
	for _, id := range []string{"nothing", "019b1234-5678-7abc-8def-0123456789ab"} {
		w.send(t, request{method: "GET", path: "/api/v1/sales/" + id + "/figures", token: key}).refused(t, 404, "not-found")
	}
}
