package shop_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// history is a shop in which a bit of everything has happened to products A and B, and Q has a queue.
type history struct {
	*world
	free, gone              shop.ID          // units of A: available, withdrawn
	held, released, expired shop.Transaction // of A, by one buyer; expired's unit is available now
	heldB                   shop.Transaction // of B, by the same buyer
	second                  shop.Transaction // of A, by another buyer, made by the cases that need it
	freeB                   shop.ID
	refused                 shop.Transaction // of Q, behind one that was held
	queued, last            shop.Transaction // of Q, in a queue that was settled before them
	goOn                    func()           // lets it be settled
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{world: newWorld(t, shop.Options{})}
	h.stocked("A", 6)
	h.stocked("B", 3)
	keyed := func(sku, key string, quantity int) shop.Transaction {
		c, err := h.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: sku, Quantity: quantity, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return c.Transaction
	}
	h.expired = keyed("A", "one", 1)
	h.moveTo(h.expired.ExpiresAt.Add(time.Second))
	if err := h.ExpireLapsed(background); err != nil {
		t.Fatal(err)
	}
	h.held, h.released, h.heldB = keyed("A", "two", 2), keyed("A", "three", 1), keyed("B", "four", 1)
	if _, err := h.Release(background, "b", h.released.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Withdraw(background, shop.WithdrawalRequest{SKU: "A", Quantity: 1, Reason: "broken", KeyID: h.key}); err != nil {
		t.Fatal(err)
	}
	h.stocked("Q", 2)
	h.settled(h.Shop, h.enqueue("q", "Q", 1))
	h.refused = h.settled(h.Shop, h.enqueue("q", "Q", 5))
	h.goOn = h.stopped("Q")
	h.queued, h.last = h.enqueue("q", "Q", 2), h.enqueue("q", "Q", 1)
	h.gone = h.unit(`SELECT unit_id FROM withdrawal_unit`)
	h.free = h.unit(`SELECT unit_id FROM stock_token JOIN product USING (product_id) WHERE sku = 'A' ORDER BY position LIMIT 1`)
	h.freeB = h.unit(`SELECT unit_id FROM stock_token JOIN product USING (product_id) WHERE sku = 'B' ORDER BY position LIMIT 1`)
	return h
}

func (w *world) unit(query string) (id shop.ID) {
	w.t.Helper()
	if err := w.db.QueryRow(background, query).Scan(&id); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return id
}

func (w *world) audit(sku string) shop.Audit {
	w.t.Helper()
	a, replayed, err := w.Audit(background, shop.AuditRequest{SKU: sku})
	if err != nil || replayed {
		w.t.Fatalf("audit of %q: replayed %t, %v", sku, replayed, err)
	}
	return a
}

// offender is what a check is to name.
type offender struct {
	check, sku        string
	unit, transaction shop.ID // zero: names none
}

func (o offender) String() string {
	return fmt.Sprintf("%s of %s: unit %s, transaction %s", o.check, o.sku, o.unit, o.transaction)
}

// offenders lists what an audit names, and holds its flags to its lists.
func offenders(t *testing.T, a shop.Audit) (found []offender) {
	t.Helper()
	allOK := true
	for _, c := range a.Checks {
		if c.OK != (len(c.Violations) == 0) {
			t.Errorf("%s says ok %t with %d violations", c.Name, c.OK, len(c.Violations))
		}
		allOK = allOK && c.OK
		for _, v := range c.Violations {
			o := offender{check: c.Name, sku: v.SKU}
			if v.UnitID != nil {
				o.unit = *v.UnitID
			}
			if v.TransactionID != nil {
				o.transaction = *v.TransactionID
			}
			if v.Detail == "" {
				t.Errorf("%s does not say what is wrong with %+v", c.Name, o)
			}
			found = append(found, o)
		}
	}
	if a.OK != allOK {
		t.Errorf("the audit says ok %t, its checks %t", a.OK, allOK)
	}
	slices.SortFunc(found, func(x, y offender) int {
		return strings.Compare(x.String(), y.String())
	})
	return slices.Compact(found) // a row that is there twice may be named twice
}

// broken is a way to break something, and whom the audit is to name for it.
type broken[H any] struct {
	breakIt func(H)
	want    func(H) []offender
}

// brokenHistories has every way in which what TestTheAuditNamesWhatIsBroken looks at is broken.
func brokenHistories() map[string]broken[*history] {
	const onePlace, conservation, transactionUnits, keyOnce, holdExpiry, queueOrder = "one_place", "conservation", "transaction_units", "key_once", "hold_expiry", "queue_order"
	unknown := pgdb.NewID()
	return map[string]broken[*history]{
		"a unit in no place": {
			func(h *history) { h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.free) },
			func(h *history) []offender { return []offender{{onePlace, "A", h.free, shop.ID{}}} },
		},
		"a unit available and held": {
			func(h *history) { h.token("A", h.held.UnitIDs[0]) },
			func(h *history) []offender { return []offender{{onePlace, "A", h.held.UnitIDs[0], h.held.ID}} },
		},
		"a unit available and withdrawn": {
			func(h *history) { h.token("A", h.gone) },
			func(h *history) []offender { return []offender{{onePlace, "A", h.gone, shop.ID{}}} },
		},
		"a unit available twice": {
			func(h *history) {
				h.exec(`ALTER TABLE stock_token DROP CONSTRAINT stock_token_unit_once`)
				h.token("A", h.free)
			},
			func(h *history) []offender { return []offender{{onePlace, "A", h.free, shop.ID{}}} },
		},
		"a unit in two carts": {
			func(h *history) {
				h.exec(`ALTER TABLE claim_unit DROP CONSTRAINT claim_unit_live_once`)
				h.second = h.mustClaim("c", "A", 1)
				h.exec(`UPDATE claim_unit SET unit_id = $1 WHERE claim_id = $2`, h.held.UnitIDs[0], h.second.ID)
				h.token("A", h.second.UnitIDs[0])
			},
			func(h *history) []offender {
				return []offender{{onePlace, "A", h.held.UnitIDs[0], h.held.ID}, {onePlace, "A", h.held.UnitIDs[0], h.second.ID}}
			},
		},
		"a token for another product's unit": {
			func(h *history) {
				h.exec(`UPDATE stock_token SET product_id = (SELECT product_id FROM product WHERE sku = 'A') WHERE unit_id = $1`, h.freeB)
			},
			func(h *history) []offender { return []offender{{onePlace, "A", h.freeB, shop.ID{}}} },
		},
		"a token for no unit": {
			func(h *history) { h.token("A", unknown) },
			func(h *history) []offender { return []offender{{onePlace, "A", unknown, shop.ID{}}} },
		},
		"a unit kept by what was released": {
			func(h *history) {
				h.exec(`UPDATE claim_unit SET released_at = NULL WHERE claim_id = $1`, h.released.ID)
				h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.released.UnitIDs[0])
			},
			func(h *history) []offender {
				return []offender{{transactionUnits, "A", h.released.UnitIDs[0], h.released.ID}}
			},
		},
		"units kept by no transaction": {
			func(h *history) { h.exec(`DELETE FROM claim WHERE claim_id = $1`, h.held.ID) },
			func(h *history) []offender {
				return []offender{{transactionUnits, "A", h.held.UnitIDs[0], h.held.ID}, {transactionUnits, "A", h.held.UnitIDs[1], h.held.ID}}
			},
		},
		"a unit kept by another product's transaction": {
			func(h *history) {
				h.exec(`UPDATE claim SET product_id = (SELECT product_id FROM product WHERE sku = 'A') WHERE claim_id = $1`, h.heldB.ID)
			},
			func(h *history) []offender {
				return []offender{{transactionUnits, "A", shop.ID{}, h.heldB.ID}, {transactionUnits, "B", h.heldB.UnitIDs[0], h.heldB.ID}}
			},
		},
		"a hold with too few units": {
			func(h *history) {
				h.exec(`DELETE FROM claim_unit WHERE unit_id = $1 AND claim_id = $2`, h.held.UnitIDs[0], h.held.ID)
				h.token("A", h.held.UnitIDs[0])
			},
			func(h *history) []offender { return []offender{{transactionUnits, "A", shop.ID{}, h.held.ID}} },
		},
		"a hold with too many units": {
			func(h *history) { h.exec(`UPDATE claim SET quantity = 1 WHERE claim_id = $1`, h.held.ID) },
			func(h *history) []offender { return []offender{{transactionUnits, "A", shop.ID{}, h.held.ID}} },
		},
		"a unit that was never received": {
			func(h *history) { h.exec(`UPDATE receipt SET quantity = quantity - 1 WHERE quantity = 6`) },
			func(h *history) []offender { return []offender{{check: conservation, sku: "A"}} },
		},
		"a unit that is gone altogether": {
			func(h *history) {
				h.exec(`DELETE FROM unit WHERE unit_id = $1`, h.free)
				h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.free)
			},
			func(h *history) []offender { return []offender{{check: conservation, sku: "A"}} },
		},
		"a withdrawal of more than its units": {
			func(h *history) { h.exec(`UPDATE withdrawal SET quantity = 2`) },
			func(h *history) []offender { return []offender{{check: conservation, sku: "A"}} },
		},
		"a withdrawal that has lost its unit": {
			func(h *history) {
				h.exec(`DELETE FROM withdrawal_unit`)
				h.token("A", h.gone)
			},
			func(h *history) []offender { return []offender{{check: conservation, sku: "A"}} },
		},
		"a unit withdrawn by nothing": {
			func(h *history) {
				h.exec(`INSERT INTO withdrawal_unit VALUES ($1, $2)`, h.free, unknown)
				h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.free)
			},
			func(h *history) []offender { return []offender{{check: conservation, sku: "A"}} },
		},
		"a unit withdrawn as another product's": {
			func(h *history) {
				h.exec(`UPDATE withdrawal_unit SET unit_id = $1`, h.freeB)
				h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.freeB)
				h.token("A", h.gone)
			},
			func(h *history) []offender {
				return []offender{{check: conservation, sku: "A"}, {check: conservation, sku: "B"}}
			},
		},
		"a key bound twice": {
			func(h *history) {
				h.exec(`DROP INDEX claim_key_once`)
				h.exec(`UPDATE claim SET idempotency_key = 'same' WHERE claim_id = ANY($1)`, []shop.ID{h.expired.ID, h.released.ID})
			},
			func(h *history) []offender { return []offender{{keyOnce, "A", shop.ID{}, h.expired.ID}} },
		},
		"a key bound twice, for two products": {
			func(h *history) {
				h.exec(`DROP INDEX claim_key_once`)
				h.exec(`UPDATE claim SET idempotency_key = 'same' WHERE claim_id = ANY($1)`, []shop.ID{h.held.ID, h.heldB.ID})
			},
			func(h *history) []offender {
				return []offender{{keyOnce, "A", shop.ID{}, h.held.ID}, {keyOnce, "B", shop.ID{}, h.held.ID}}
			},
		},
		"a unit that came with another product's receipt": {
			func(h *history) {
				h.exec(`UPDATE unit SET receipt_id = (SELECT receipt_id FROM receipt WHERE quantity = 3) WHERE unit_id = $1`, h.free)
			},
			func(h *history) []offender { return []offender{{check: conservation, sku: "A"}} },
		},
		"a released transaction that had more units": {
			func(h *history) { h.exec(`UPDATE claim SET quantity = 2 WHERE claim_id = $1`, h.released.ID) },
			func(h *history) []offender { return []offender{{transactionUnits, "A", shop.ID{}, h.released.ID}} },
		},
		"a queued request that was passed by": {
			func(h *history) { h.exec(`UPDATE claim SET queue_place = -2 WHERE claim_id = $1`, h.queued.ID) },
			func(h *history) []offender { return []offender{{queueOrder, "Q", shop.ID{}, h.queued.ID}} },
		},
		"a queued request that was refused before its turn": {
			func(h *history) {
				h.exec(`UPDATE claim SET status = 'refused', reason = 'all-held', ended_at = now() WHERE claim_id = $1`, h.last.ID)
			},
			func(h *history) []offender { return []offender{{queueOrder, "Q", shop.ID{}, h.last.ID}} },
		},
		"a place that was never given out": {
			func(h *history) {
				h.exec(`UPDATE claim SET queue_place = queue_place + 1 WHERE claim_id = $1`, h.last.ID)
			},
			func(h *history) []offender { return []offender{{queueOrder, "Q", shop.ID{}, h.last.ID}} },
		},
		"a place given to two": {
			func(h *history) { h.exec(`UPDATE claim SET quantity = 3 WHERE claim_id = $1`, h.queued.ID) },
			func(h *history) []offender { return []offender{{queueOrder, "Q", shop.ID{}, h.queued.ID}} },
		},
		"a place that two had who are settled": {
			func(h *history) {
				h.exec(`UPDATE claim SET queue_place = queue_place + 2 WHERE product_id = (SELECT product_id FROM product WHERE sku = 'Q') AND status = 'held'`)
			},
			func(h *history) []offender { return []offender{{queueOrder, "Q", shop.ID{}, h.refused.ID}} },
		},
		"a hold that expired before its time": {
			func(h *history) {
				h.exec(`ALTER TABLE claim DROP CONSTRAINT claim_expired_not_early`)
				h.exec(`UPDATE claim SET ended_at = expires_at - interval '1 microsecond' WHERE claim_id = $1`, h.expired.ID)
			},
			func(h *history) []offender { return []offender{{holdExpiry, "A", shop.ID{}, h.expired.ID}} },
		},
		"a hold that expired nobody knows when": {
			func(h *history) {
				h.exec(`ALTER TABLE claim DROP CONSTRAINT claim_ended_when_not_live`)
				h.exec(`UPDATE claim SET ended_at = NULL WHERE claim_id = $1`, h.expired.ID)
			},
			func(h *history) []offender { return []offender{{holdExpiry, "A", shop.ID{}, h.expired.ID}} },
		},
	}
}

// No other check may complain: whoever reads the audit is to see what is broken, not everything that can be.
func TestTheAuditNamesWhatIsBroken(t *testing.T) {
	t.Parallel()
	for name, c := range brokenHistories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			c.breakIt(h)
			if got, want := offenders(t, h.audit("")), c.want(h); !reflect.DeepEqual(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}

// token makes a stock token by hand.
func (w *world) token(sku string, unit shop.ID) {
	w.t.Helper()
	w.exec(`INSERT INTO stock_token SELECT product_id, 0, nextval('stock_token_position'), $2 FROM product WHERE sku = $1`, sku, unit)
}

func TestACleanShopPassesTheAudit(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	_, err := h.LatestAudit(background)
	refusal(t, err, shop.NotFound)
	a := h.audit("")
	if found := offenders(t, a); len(found) > 0 || !a.OK || a.SKU != nil {
		t.Errorf("audit of a clean shop: %+v, names %v", a, found)
	}
	names := make([]string, len(a.Checks))
	for i, c := range a.Checks {
		names[i] = c.Name
	}
	if want := []string{
		"one_place", "conservation", "transaction_units", "key_once", "hold_expiry", "queue_order", "purchase_limit", "order_state", "money", "pools",
	}; !slices.Equal(names, want) {
		t.Errorf("the checks are %v, want %v", names, want)
	}
	h.moveTo(h.held.ExpiresAt.Add(time.Second)) // a hold that has lapsed and was not swept breaks nothing
	if found := offenders(t, h.audit("")); len(found) > 0 {
		t.Errorf("with lapsed holds: %v", found)
	}
	h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.free)
	broken := h.audit("")
	latest, err := h.LatestAudit(background)
	if err != nil || latest.OK || latest.ID != broken.ID || !reflect.DeepEqual(offenders(t, latest), offenders(t, broken)) {
		t.Errorf("the latest audit is %+v, %v; want %+v", latest, err, broken)
	}
	if n := h.count(`SELECT count(*) FROM audit_run`); n != 3 {
		t.Errorf("%d audits are recorded, want 3", n)
	}
}

func TestAnAuditOfOneProductLeavesTheOthersOut(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.freeB)
	if a := h.audit("A"); !a.OK || a.SKU == nil || *a.SKU != "A" {
		t.Errorf("audit of A: %+v", a)
	}
	if found := offenders(t, h.audit("B")); len(found) != 1 || found[0].unit != h.freeB {
		t.Errorf("audit of B names %v", found)
	}
	_, _, err := h.Audit(background, shop.AuditRequest{SKU: "nothing"})
	refusal(t, err, shop.NotFound)
	if n := h.count(`SELECT count(*) FROM audit_run`); n != 2 {
		t.Errorf("%d audits are recorded, want 2: a refusal is none", n)
	}
}

func TestAnAuditWithAKeyRunsOnce(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	r := shop.AuditRequest{KeyID: &h.key, Key: "k", SKU: "A"}
	first, replayed, err := h.Audit(background, r)
	if err != nil || replayed || !first.OK {
		t.Fatalf("the first: %+v, %t, %v", first, replayed, err)
	}
	h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.free)
	again, replayed, err := h.Audit(background, r)
	if err != nil || !replayed || again.ID != first.ID || !again.OK || *again.SKU != "A" {
		t.Errorf("the replay: %+v, %t, %v", again, replayed, err)
	}
	for _, sku := range []string{"", "B"} {
		_, _, err = h.Audit(background, shop.AuditRequest{KeyID: &h.key, Key: "k", SKU: sku})
		refusal(t, err, shop.KeyReused)
	}
	somebody := pgdb.NewID()
	for name, other := range map[string]shop.AuditRequest{
		"another key":    {KeyID: &h.key, Key: "l", SKU: "A"},
		"another caller": {KeyID: &somebody, Key: "k", SKU: "A"},
		"no key":         {KeyID: &h.key, SKU: "A"},
	} {
		if a, replayed, err := h.Audit(background, other); err != nil || replayed || a.OK {
			t.Errorf("%s: %+v, %t, %v; want an audit that sees what is broken now", name, a, replayed, err)
		}
	}
}

func TestTheAuditNamesAtMostAHundredRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 80)
	w.stocked("B", 80)
	w.exec(`DELETE FROM stock_token`)
	if found := offenders(t, w.audit("")); len(found) != 100 || found[0].sku != "A" || found[99].sku != "B" {
		t.Errorf("%d are named", len(found))
	}
}

// Each check sees one instant, so that what goes on meanwhile never looks broken.
func TestTheAuditRaisesNoFalseAlarmWhileClaimsGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Millisecond})
	w.stocked("A", 30)
	var done atomic.Bool
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := 0; !done.Load(); n++ {
				tx, err := w.claim(buyer(i), "A", 1+n%4)
				if err == nil && n%2 == 0 {
					_, err = w.Release(background, buyer(i), tx.ID)
				}
				if err != nil && !refusedFor(err, shop.AllHeld, shop.NotEnoughUnits) {
					t.Errorf("%s: %v", buyer(i), err)
				}
			}
		})
	}
	const enough = 200
	deadline := time.Now().Add(time.Minute)
	for runs := 0; runs < 10 || w.count(`SELECT count(*) FROM claim`) < enough; runs++ {
		if found := offenders(t, w.audit("")); len(found) > 0 {
			t.Errorf("audit %d: %v", runs, found)
		}
		if time.Now().After(deadline) {
			t.Error("too few claims in a minute")
			break
		}
	}
	done.Store(true)
	wg.Wait()
	w.audited()
}
