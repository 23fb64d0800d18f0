package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// happened reads a page of events.
func (w *world) happened(t testing.TB, key, query string) (page httpapi.EventPage, types []string) {
	t.Helper()
	w.send(t, request{method: "GET", path: "/api/v1/events?" + query, token: key}).into(t, 200, &page)
	for _, e := range page.Items {
		types = append(types, e.Type)
	}
	if page.NextCursor == "" {
		t.Errorf("%s: there is no next_cursor", query)
	}
	return page, types
}

func TestListEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	key := w.key(t, shop.ScopeOrder)
	begin, types := w.happened(t, key, "")
	if len(types) > 0 {
		t.Errorf("before anything has happened there are %v", types)
	}
	w.stocked(t, "mug", 2)
	w.stocked(t, "cup", 9)
	w.sale(t, "paused", shop.SaleTerms{Items: []shop.SaleItem{of("cup", 0)}})
	o := w.order(t, "ann", w.hold(t, "ann", "mug", 2).ID)
	w.send(t, as("ann", "POST", orderPath(o.ID, "pay"), `{"card": "succeed"}`)).into(t, 200, nil)
	refund := fmt.Sprintf(`{"restock": "available", "unit_ids": [%q]}`, o.Lines[0].UnitIDs[0])
	w.send(t, post(key, orderPath(o.ID, "refund"), refund)).into(t, 200, nil)
	want := []string{"sale.created", "sale.scheduled", "sale.opened", "sale.paused", "product.out_of_stock", "order.created", "order.paid", "product.back_in_stock", "order.refunded"}
	all, types := other.happened(t, key, "limit=100")
	if got := slices.Sorted(slices.Values(types)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("the events are %v, want %v", types, want)
	}
	if !slices.Equal(types[:7], want[:7]) {
		t.Errorf("the events are %v, want %v first", types, want[:7])
	}
	for _, limit := range []int{1, 2, 4, 100} {
		for _, from := range []string{"", "&cursor=" + begin.NextCursor} {
			var ids []string
			for cursor := from; ; {
				page, _ := w.happened(t, key, fmt.Sprintf("limit=%d%s", limit, cursor))
				if len(page.Items) == 0 {
					if cursor != "&cursor="+page.NextCursor {
						t.Errorf("where nothing has happened the cursor goes on from %s to %s", cursor, page.NextCursor)
					}
					break
				}
				for _, e := range page.Items {
					ids = append(ids, e.ID)
				}
				cursor = "&cursor=" + page.NextCursor
			}
			if !slices.EqualFunc(ids, all.Items, func(id string, e httpapi.Event) bool { return id == e.ID }) {
				t.Errorf("by %d the events are %v", limit, ids)
			}
		}
	}
	if _, types = w.happened(t, key, "type=order.paid&type=sale.paused"); !slices.Equal(types, []string{"sale.paused", "order.paid"}) {
		t.Errorf("of two types there are %v", types)
	}
	if _, types = w.happened(t, key, "type=payment.late"); len(types) > 0 {
		t.Errorf("of a type that has not happened there are %v", types)
	}
	for _, e := range all.Items {
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil || e.CreatedAt.IsZero() {
			t.Errorf("the event is %+v, %v", e, err)
		}
		if about := map[string]string{"order": "order_id", "sale.": "sale_id", "produ": "sku"}[e.Type[:5]]; about != "" && data[about] == "" {
			t.Errorf("%s says %s", e.Type, e.Data)
		}
		if e.Type == "order.paid" && (data["order_id"] != o.ID.String() || data["buyer"] != "ann" || data["status"] != "paid") {
			t.Errorf("order.paid says %s", e.Data)
		}
	}
	for query, where := range map[string]string{
		"type=order.sold": "query.type[0]", "type=": "query.type[0]", "cursor=" + canary: "query.cursor", "cursor=LTE": "query.cursor", "limit=101": "query.limit", "since=1": "query.since",
	} {
		p := w.send(t, request{method: "GET", path: "/api/v1/events?" + query, token: key}).refused(t, 422, "validation")
		if len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%s: errors are %v, want one for %s", query, p.Errors, where)
		}
	}
}

// TestEventThatIsCommittedLate: whoever goes on from a cursor misses nothing, also not what was begun before and committed after what they have seen.
func TestEventThatIsCommittedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeOrder)
	w.stocked(t, "mug", 9)
	slow, err := w.db.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slow.Rollback(context.Background()) })
	const insert = `INSERT INTO event (event_id, type, data, created_at) VALUES ('01900000-0000-7000-8000-000000000001', 'sale.changed', '{}', now())`
	if _, err := slow.Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	w.order(t, "ann", w.hold(t, "ann", "mug", 1).ID)
	page, types := w.happened(t, key, "")
	if !slices.Equal(types, []string{"order.created"}) {
		t.Errorf("the events are %v", types)
	}
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, types = w.happened(t, key, "cursor="+page.NextCursor); !slices.Equal(types, []string{"sale.changed"}) {
		t.Errorf("then there are %v", types)
	}
}
