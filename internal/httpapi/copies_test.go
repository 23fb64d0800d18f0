package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// copied is an operation that is sent many times at once.
type copied struct {
	name    string
	prepare func(t *testing.T, w *world) request
	status  int
	refused string            // what copies without a key may be refused with, besides the one that does it; empty: none is
	settled bool              // copies without a key succeed as well, and change nothing
	effect  map[string]string // queries, and what they return after one effect
}

// paidMugs makes a paid order of so many mugs of ann's.
func paidMugs(t *testing.T, w *world, n int) shop.Order { return w.paid(t, "ann", "mug", n) }

var copies = []copied{
	{
		name: "checkout", status: 201, refused: "conflict",
		prepare: func(t *testing.T, w *world) request {
			return checkout("ann", fmt.Sprintf(`{"transaction_ids": [%q, %q]}`, w.hold(t, "ann", "mug", 2).ID, w.hold(t, "ann", "mug", 1).ID))
		},
		effect: map[string]string{
			"SELECT count(*) FROM shop_order": "1", "SELECT count(*) FROM claim WHERE status = 'ordered'": "2", "SELECT count(*) FROM event WHERE type = 'order.created'": "1",
		},
	}, {
		name: "checkout of the whole cart", status: 201, refused: "cart-empty",
		prepare: func(t *testing.T, w *world) request {
			w.hold(t, "ann", "mug", 2)
			return checkout("ann", "")
		},
		effect: map[string]string{"SELECT count(*) FROM shop_order": "1", "SELECT total_minor FROM shop_order": "2500"},
	}, {
		name: "pay", status: 200, refused: "conflict", settled: true,
		prepare: func(t *testing.T, w *world) request {
			return as("ann", "POST", orderPath(w.order(t, "ann", w.hold(t, "ann", "mug", 2).ID).ID, "pay"), `{"card": "twice"}`)
		},
		effect: map[string]string{
			"SELECT count(*) FROM payment": "1", "SELECT sum(amount_minor) FROM test_charge WHERE status = 'succeeded'": "2500", "SELECT count(*) FROM event WHERE type = 'order.paid'": "1",
			"SELECT status FROM shop_order": "paid", "SELECT count(*) FROM refund": "0",
		},
	}, {
		name: "cancel", status: 200, settled: true,
		prepare: func(t *testing.T, w *world) request {
			return as("ann", "POST", orderPath(w.order(t, "ann", w.hold(t, "ann", "mug", 2).ID).ID, "cancel"), nil)
		},
		effect: map[string]string{
			"SELECT count(*) FROM stock_token": "20", "SELECT count(*) FROM event WHERE type = 'order.cancelled'": "1", "SELECT count(*) FROM claim_unit WHERE outcome = 'cancelled'": "2",
		},
	}, {
		name: "confirm", status: 201, settled: true,
		prepare: func(t *testing.T, w *world) request {
			return confirmation(w.key(t, shop.ScopeOrder), "order 1", w.hold(t, "ann", "mug", 2).ID, w.hold(t, "ann", "mug", 1).ID)
		},
		effect: map[string]string{
			"SELECT count(*) FROM shop_order": "1", "SELECT count(*) FROM claim WHERE status = 'ordered'": "2", "SELECT count(*) FROM event WHERE type = 'order.paid'": "1",
			"SELECT count(*) FROM stock_token": "17",
		},
	}, {
		name: "confirm of a hold that has lapsed", status: 201, settled: true,
		prepare: func(t *testing.T, w *world) request {
			at := soon()
			w.moveTo(at)
			tx := w.hold(t, "ann", "mug", 2)
			w.moveTo(at.Add(11 * time.Minute))
			return confirmation(w.key(t, shop.ScopeOrder), "order 1", tx.ID)
		},
		effect: map[string]string{
			"SELECT count(*) FROM shop_order": "1", "SELECT count(*) FROM claim WHERE status = 'ordered'": "1", "SELECT count(*) FROM claim": "2", "SELECT count(*) FROM stock_token": "18",
		},
	}, {
		name: "refund", status: 200, refused: "conflict",
		prepare: func(t *testing.T, w *world) request {
			return post(w.key(t, shop.ScopeOrder), orderPath(paidMugs(t, w, 3).ID, "refund"), `{"restock": "available"}`)
		},
		effect: map[string]string{
			"SELECT count(*) FROM refund": "1", "SELECT sum(amount_minor) FROM test_refund": "3750", "SELECT count(*) FROM stock_token": "20", "SELECT refunded_minor FROM shop_order": "3750",
			"SELECT count(*) FROM event WHERE type = 'order.refunded'": "1",
		},
	}, {
		name: "restock", status: 200, refused: "conflict",
		prepare: func(t *testing.T, w *world) request {
			o := paidMugs(t, w, 3)
			return post(w.key(t, shop.ScopeOrder), orderPath(o.ID, "refund"), fmt.Sprintf(`{"restock": "quarantine", "unit_ids": [%q, %q]}`, o.Lines[0].UnitIDs[0], o.Lines[0].UnitIDs[2]))
		},
		effect: map[string]string{
			"SELECT count(*) FROM quarantine_unit": "2", "SELECT count(*) FROM stock_token": "17", "SELECT sum(amount_minor) FROM test_refund": "2500", "SELECT status FROM shop_order": "paid",
		},
	}, {
		name: "write-off", status: 200, refused: "conflict",
		prepare: func(t *testing.T, w *world) request {
			o := paidMugs(t, w, 3)
			return post(w.key(t, shop.ScopeOrder), orderPath(o.ID, "refund"), fmt.Sprintf(`{"restock": "write_off", "unit_ids": [%q]}`, o.Lines[0].UnitIDs[0]))
		},
		effect: map[string]string{"SELECT sum(quantity) FROM withdrawal": "1", "SELECT count(*) FROM stock_token": "17", "SELECT sum(amount_minor) FROM test_refund": "1250"},
	}, {
		name: "quarantine release", status: 201, refused: "conflict",
		prepare: func(t *testing.T, w *world) request {
			o := paidMugs(t, w, 3)
			if _, _, err := w.Refund(t.Context(), shop.RefundRequest{OrderID: o.ID, Restock: shop.RestockQuarantine}); err != nil {
				t.Fatal(err)
			}
			return post(w.key(t, shop.ScopeStock), "/api/v1/products/mug/quarantine/release", fmt.Sprintf(`{"unit_ids": [%q, %q]}`, o.Lines[0].UnitIDs[0], o.Lines[0].UnitIDs[1]))
		},
		effect: map[string]string{"SELECT count(*) FROM quarantine_unit WHERE left_at IS NULL": "1", "SELECT count(*) FROM stock_token": "19"},
	},
}

const manyCopies = 50

// sendCopies sends a request many times at once, to servers by turns.
func sendCopies(t *testing.T, r request, servers ...*world) []answer {
	t.Helper()
	answers := make([]answer, manyCopies)
	var ready, done sync.WaitGroup
	ready.Add(manyCopies)
	for i := range answers {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = servers[i%len(servers)].send(t, r)
		})
	}
	done.Wait()
	return answers
}

// copyWorld is two servers on a database with 20 mugs.
func copyWorld(t *testing.T) (w, other *world) {
	t.Helper()
	w = newWorld(t)
	w.stocked(t, "mug", 20)
	return w, w.beside(t, shop.Options{})
}

// TestCopies: of everything that is sent many times at once, with one key or without, there is one effect.
func TestCopies(t *testing.T) {
	t.Parallel()
	for _, c := range copies {
		for _, key := range []string{"one", absent} {
			t.Run(fmt.Sprintf("%s keyed=%t", c.name, key != absent), func(t *testing.T) {
				t.Parallel()
				w, other := copyWorld(t)
				r := c.prepare(t, w).with("Idempotency-Key", key)
				if at := w.now(); at != nil {
					other.moveTo(*at)
				}
				c.judge(t, sendCopies(t, r, w, other), key != absent)
				for query, want := range c.effect {
					var got string
					if err := w.db.QueryRow(t.Context(), "SELECT ("+query+")::text").Scan(&got); err != nil || got != want {
						t.Errorf("%s: got %s, %v, want %s", query, got, err, want)
					}
				}
				w.sound(t)
			})
		}
	}
}

// judge holds that one copy did it, and that the others say so.
func (c copied) judge(t *testing.T, answers []answer, keyed bool) {
	t.Helper()
	did, replayed := 0, 0
	ids := map[string]bool{}
	for _, a := range answers {
		if !keyed && c.refused != "" && a.status == 409 {
			a.refused(t, 409, c.refused)
			continue
		}
		if a.status != c.status {
			t.Errorf("a copy got %d %.300s, want %d", a.status, a.body, c.status)
			continue
		}
		if did++; a.header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
		var made struct{ ID string }
		if err := json.Unmarshal(a.body, &made); err != nil {
			t.Error(err)
		}
		ids[made.ID] = true
	}
	switch {
	case len(ids) != 1:
		t.Errorf("the copies made %v", ids)
	case keyed && (did != manyCopies || replayed != manyCopies-1):
		t.Errorf("%d copies succeeded, %d as replays; want all, and all but one", did, replayed)
	case !keyed && !c.settled && did != 1:
		t.Errorf("%d copies did it, want 1", did)
	}
}

// TestCopiesOfExtend: with a key a hold is extended once; without, as often as it was asked for and allowed.
func TestCopiesOfExtend(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"one", absent} {
		w, other := copyWorld(t)
		at := soon()
		w.moveTo(at)
		other.moveTo(at)
		tx := w.hold(t, "ann", "mug", 1)
		r := post(w.key(t, shop.ScopeClaim), "/api/v1/transaction/"+tx.ID+"/extend", `{"seconds": 100}`).with("Buyer-Id", "ann").with("Idempotency-Key", key)
		extended, fresh := 0, 0
		for _, a := range sendCopies(t, r, w, other) {
			if a.status == 422 && key == absent {
				continue // an hour is all
			}
			if extended++; a.into(t, 200, nil).header.Get("Idempotency-Replayed") == "" {
				fresh++
			}
		}
		want := map[string]int{"one": 1, absent: 30}[key]
		var got httpapi.Transaction
		w.send(t, as("ann", "GET", "/api/v1/transaction/"+tx.ID, nil)).into(t, 200, &got)
		if lasts := got.ExpiresAt.Sub(at); lasts != 10*time.Minute+time.Duration(want)*100*time.Second || fresh != want || extended != map[string]int{"one": manyCopies, absent: want}[key] {
			t.Errorf("%d copies succeeded, %d of them themselves, and the hold lasts %v; want %d", extended, fresh, lasts, want)
		}
		w.sound(t)
	}
}

// TestCopiesOfSales: a sale is planned, scheduled and closed once.
func TestCopiesOfSales(t *testing.T) {
	t.Parallel()
	w, other := copyWorld(t)
	key := w.key(t, shop.ScopeSale)
	ids := map[string]bool{}
	for _, a := range sendCopies(t, post(key, "/api/v1/sales", saleText("mug")).with("Idempotency-Key", "k"), w, other) {
		var sale httpapi.Sale
		a.into(t, 201, &sale)
		ids[sale.ID] = true
	}
	if n := w.count(t, "SELECT count(*) FROM sale"); n != 1 || len(ids) != 1 {
		t.Errorf("there are %d sales, %v", n, ids)
	}
	sale := w.sale(t, "draft", shop.SaleTerms{Items: []shop.SaleItem{of("mug", 7)}})
	for _, action := range []string{"schedule", "open", "pause", "resume", "close"} {
		for _, a := range sendCopies(t, post(key, "/api/v1/sales/"+sale.ID.String()+"/"+action, ""), w, other) {
			a.into(t, 200, nil)
		}
		want := 7
		if action == "close" {
			want = 0
		}
		if n := w.count(t, "SELECT count(*) FROM stock_token WHERE pool_id <> 0"); n != want {
			t.Errorf("after %s %d units are set aside, want %d", action, n, want)
		}
	}
	if n := w.count(t, "SELECT count(*) FROM sale_change WHERE sale_id = $1", sale.ID); n != 6 {
		t.Errorf("%d changes were recorded, want 6", n)
	}
	var types []string
	rows, err := w.db.Query(t.Context(), "SELECT type FROM event WHERE type LIKE 'sale.%' AND data->>'sale_id' = $1", sale.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		types = append(types, one)
	}
	if slices.Sort(types); len(types) != 6 || len(slices.Compact(types)) != 6 {
		t.Errorf("the events are %v", types)
	}
	w.sound(t)
}
