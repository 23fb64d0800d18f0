package httpapi_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// exported reads a whole export.
func (w *world) exported(t *testing.T, key, query string) answer {
	t.Helper()
	return w.send(t, request{method: "GET", path: "/api/v1/orders/export?" + query, token: key}).into(t, 200, nil)
}

// records reads the lines of a CSV export as maps by the names of the columns.
func records(t *testing.T, a answer) (all []map[string]string) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("%v in %s", err, a.body)
	}
	for _, row := range rows[1:] {
		record := map[string]string{}
		for i, name := range rows[0] {
			record[name] = row[i]
		}
		all = append(all, record)
	}
	return all
}

func TestExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, sku := range []string{"mug", "cup", "-1.5"} {
		w.stocked(t, sku, 50)
	}
	w.send(t, put(w.key(t, shop.ScopeCatalog), "free", `{}`)).into(t, 201, nil)
	w.stock(t, "free", 5)
	key := w.key(t, shop.ScopeOrder)
	if a := w.exported(t, key, ""); string(a.body) != "order_id,created_at,status,reason,buyer,reference,provider,payment_status,currency,total,refunded,pay_by,"+
		"transaction_id,sku,quantity,price,sale_id,unit_ids,returned_unit_ids\n" || a.header.Get("Content-Type") != "text/csv; charset=utf-8" ||
		a.header.Get("Content-Disposition") != `attachment; filename="orders.csv"` {
		t.Errorf("an empty export is %v %s", a.header, a.body)
	}
	if a := w.exported(t, key, "format=jsonl"); len(a.body) > 0 || a.header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("an empty export is %v %s", a.header, a.body)
	}
	sale := w.sale(t, "open", shop.SaleTerms{Items: []shop.SaleItem{of("cup", 0)}})
	mine := w.order(t, "ann", w.hold(t, "ann", "mug", 2).ID, w.hold(t, "ann", "cup", 1).ID)
	evil := w.hold(t, "=cmd|'/c calc'!A0", "-1.5", 1)
	theirs, _, err := w.Confirm(t.Context(), shop.ConfirmRequest{TransactionIDs: ids(t, evil.ID), Reference: "@SUM(1,\"2\")\nnext"})
	if err != nil {
		t.Fatal(err)
	}
	free := w.sold(t, w.hold(t, "+49 30 1", "free", 1).ID)
	if _, _, err := w.Refund(t.Context(), shop.RefundRequest{OrderID: free.ID, Restock: shop.RestockAvailable}); err != nil {
		t.Fatal(err)
	}

	rows := records(t, w.exported(t, key, "format=csv"))
	if len(rows) != 4 {
		t.Fatalf("there are %d lines, want 4: %v", len(rows), rows)
	}
	for i, want := range []map[string]string{
		{"order_id": free.ID.String(), "buyer": "'+49 30 1", "status": "refunded", "sku": "free", "quantity": "1", "price": "", "total": "", "refunded": "", "currency": "", "pay_by": "",
			"returned_unit_ids": free.Lines[0].UnitIDs[0].String(), "provider": "external", "payment_status": "refunded"},
		{"order_id": theirs.ID.String(), "buyer": "'=cmd|'/c calc'!A0", "reference": "'@SUM(1,\"2\")\nnext", "sku": "'-1.5", "total": "1250", "status": "paid", "sale_id": ""},
		{"order_id": mine.ID.String(), "buyer": "ann", "sku": "mug", "quantity": "2", "price": "1250", "total": "3499", "refunded": "0", "currency": "EUR", "status": "awaiting_payment",
			"provider": "test", "payment_status": "none", "reason": "", "reference": "", "unit_ids": mine.Lines[0].UnitIDs[0].String() + " " + mine.Lines[0].UnitIDs[1].String(), "returned_unit_ids": "",
			"pay_by": mine.PayBy.UTC().Format(time.RFC3339Nano), "created_at": mine.CreatedAt.UTC().Format(time.RFC3339Nano), "transaction_id": mine.Lines[0].TransactionID.String()},
		{"order_id": mine.ID.String(), "sku": "cup", "quantity": "1", "price": "999", "total": "3499", "sale_id": sale.ID.String()},
	} {
		for name, value := range want {
			if rows[i][name] != value {
				t.Errorf("line %d: %s is %q, want %q", i, name, rows[i][name], value)
			}
		}
	}

	var lines []httpapi.Order
	for line := range strings.Lines(string(w.exported(t, key, "format=jsonl").body)) {
		var o, read httpapi.Order
		if err := json.Unmarshal([]byte(line), &o); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%v in %s", err, line)
		}
		w.by(t, key, "", "GET", "/api/v1/orders/"+o.ID, nil).into(t, 200, &read)
		if !reflect.DeepEqual(o, read) {
			t.Errorf("the line is %+v, the order %+v", o, read)
		}
		lines = append(lines, o)
	}
	if len(lines) != 3 {
		t.Errorf("there are %d lines, want 3", len(lines))
	}
	for query, want := range map[string]int{"buyer=ann": 2, "state=paid": 1, "sale=" + sale.ID.String(): 2, "reference=nothing": 0, "since=2099-01-01T00:00:00Z": 0} {
		if got := records(t, w.exported(t, key, query)); len(got) != want {
			t.Errorf("%s: %d lines, want %d", query, len(got), want)
		}
	}
}

// manyOrders writes orders of one line each, the first of which were made first.
func (w *world) manyOrders(t testing.TB, n int) {
	t.Helper()
	const query = `
		WITH made AS (
			INSERT INTO shop_order (order_id, buyer, status, provider, total_minor, currency, created_at, paid_at)
			SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'ann', 'paid', 'external', n, 'EUR', now(), now() FROM generate_series(1, $1) AS n
			RETURNING order_id, total_minor)
		INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, price_minor, currency, created_at, expires_at, ended_at, order_id)
		SELECT order_id, 'ann', product_id, 0, 1, 'ordered', total_minor, 'EUR', now(), now() + interval '1 h', now(), order_id FROM made, product`
	if _, err := w.db.Exec(t.Context(), query, n); err != nil {
		t.Fatal(err)
	}
}

// TestExportOfMany: page after page, each order once.
func TestExportOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	const n = 1234
	w.manyOrders(t, n)
	key := w.key(t, shop.ScopeOrder)
	var totals []int
	for _, record := range records(t, w.exported(t, key, "")) {
		total, _ := strconv.Atoi(record["total"])
		totals = append(totals, total)
	}
	slices.Reverse(totals)
	if len(totals) != n || totals[0] != 1 || !slices.IsSorted(totals) || len(slices.Compact(totals)) != n {
		t.Errorf("the export has the totals %v", totals)
	}
	if got := bytes.Count(w.exported(t, key, "format=jsonl").body, []byte("\n")); got != n {
		t.Errorf("the export has %d lines, want %d", got, n)
	}
}

// TestExportThatBreaksOff: a file that is not whole is noticed by whoever fetches it.
func TestExportThatBreaksOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	w.manyOrders(t, 1200)
	key := w.key(t, shop.ScopeOrder)
	fetch := func(format string) (int, error) {
		req, err := request{method: "GET", path: "/api/v1/orders/export?format=" + format, token: key}.build(w.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("the answer is %d", resp.StatusCode)
		}
		body, err := io.ReadAll(resp.Body)
		return bytes.Count(body, []byte("\n")), err
	}
	// What no time of Go's can hold is found on the last page.
	if _, err := w.db.Exec(t.Context(), "UPDATE shop_order SET created_at = 'infinity' WHERE total_minor = 1"); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"csv", "jsonl"} {
		if lines, err := fetch(format); !errors.Is(err, io.ErrUnexpectedEOF) || lines < 500 {
			t.Errorf("%s: %d lines, and then %v", format, lines, err)
		}
	}
	if faults := strings.Count(w.log.take(), `"msg":"fault"`); faults != 2 {
		t.Errorf("2 faults were logged %d times", faults)
	}
	// Before the first byte it is a problem like any other.
	if _, err := w.db.Exec(t.Context(), "UPDATE shop_order SET created_at = 'infinity'"); err != nil {
		t.Fatal(err)
	}
	a := w.send(t, request{method: "GET", path: "/api/v1/orders/export", token: key})
	a.refused(t, 500, "internal")
	if got := a.header.Get("Content-Disposition"); got != "" {
		t.Errorf("a problem is %q", got)
	}
	w.log.take()
}

// TestExportReaderThatLeaves: what is left behind by a reader who goes is no fault, and the connection of one who stays serves on.
func TestExportReaderThatLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 1)
	w.manyOrders(t, 20_000)
	key := w.key(t, shop.ScopeOrder)
	conn := w.dial(t)
	_, _ = fmt.Fprintf(conn, "GET /api/v1/orders/export?format=jsonl HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer %s\r\n\r\n", key)
	if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	waitFor(t, "the end of the query", func() bool { return w.db.Stat().AcquiredConns() == 0 })
	if got := records(t, w.exported(t, key, "since=2099-01-01T00:00:00Z")); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	w.send(t, get("/livez")).into(t, 200, nil)
}
