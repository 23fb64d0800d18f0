package shop_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

// forAPerson has the cases that no program can know how to repair: nothing may be changed for them.
var forAPerson = map[string]bool{
	"a buyer who has more of a sale than anybody may":    true,
	"a line of another buyer's order":                    true,
	"a payment in another currency":                      true,
	"a refund that is counted and was not made":          true,
	"a refund of more than is counted":                   true,
	"a refund of an order whose money is none of ours":   true,
	"an order that was paid with too little":             true,
	"an order that was paid with nothing":                true,
	"a refunded order that was paid with too much":       true,
	"money that was taken for a cancelled order":         true,
	"money that was taken for an order that is not paid": true,
	"a unit that came back without its money":            true,
	"money that was given back without a unit":           true,
}

func (w *world) repair(check string, yes bool) shop.Repair {
	w.t.Helper()
	r, err := w.Repair(background, shop.RepairRequest{Check: check, By: "ada", Yes: yes})
	if err != nil {
		w.t.Fatalf("repair of %s: %v", check, err)
	}
	return r
}

// tables are what is in all tables.
func (w *world) tables() map[string]string {
	w.t.Helper()
	rows, err := w.db.Query(background, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'`)
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.t.Fatal(err)
		}
		all[name] = ""
	}
	if rows.Err() != nil {
		w.t.Fatal(rows.Err())
	}
	for name := range all {
		var digest string
		if err := w.db.QueryRow(background, fmt.Sprintf(`SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM %s AS t`, name)).Scan(&digest); err != nil {
			w.t.Fatal(err)
		}
		all[name] = digest
	}
	return all
}

// unchanged fails the test if a table is not what it was.
func (w *world) unchanged(before map[string]string, by string) {
	w.t.Helper()
	for name, digest := range w.tables() {
		if before[name] != digest {
			w.t.Errorf("%s has changed the table %s", by, name)
		}
	}
}

// unitsAccounted counts the units, and fails the test unless each is in one place and no place names what is no unit.
func (w *world) unitsAccounted() {
	w.t.Helper()
	const places = `(
		SELECT unit_id FROM stock_token
		UNION ALL SELECT unit_id FROM claim_unit WHERE released_at IS NULL
		UNION ALL SELECT unit_id FROM quarantine_unit WHERE left_at IS NULL
		UNION ALL SELECT unit_id FROM withdrawal_unit)`
	if n := w.count(`SELECT count(*) FROM unit WHERE (SELECT count(*) FROM ` + places + ` AS p WHERE p.unit_id = unit.unit_id) <> 1`); n > 0 {
		w.t.Errorf("%d units are not in one place", n)
	}
	if n := w.count(`SELECT count(*) FROM ` + places + ` AS p WHERE NOT EXISTS (SELECT 1 FROM unit WHERE unit.unit_id = p.unit_id)`); n > 0 {
		w.t.Errorf("%d places are of no unit", n)
	}
}

func brokenChecks(t *testing.T, a shop.Audit) (names []string) {
	t.Helper()
	for _, o := range offenders(t, a) {
		if !slices.Contains(names, o.check) {
			names = append(names, o.check)
		}
	}
	return names
}

// saysAll fails the test unless each step says what it has to.
func saysAll(t *testing.T, r shop.Repair) {
	t.Helper()
	for _, step := range r.Steps {
		if step.Broken == "" || step.Repair == "" || step.Buyers == "" || step.SKU == "" || len(step.Rows) < 10 {
			t.Errorf("%s says too little: %+v", r.Check, step)
		}
	}
}

// repaired breaks nothing itself: it repairs what the audit finds, until nothing is left that a program can repair, and judges how.
func repaired(t *testing.T, w *world, person bool, beforeYes func()) {
	t.Helper()
	before := w.audit("")
	if before.OK {
		t.Fatal("nothing is broken: this shows nothing")
	}
	was := w.tables()
	for _, check := range brokenChecks(t, before) {
		dry := w.repair(check, false)
		if len(dry.Steps) == 0 || dry.OK() || dry.After != nil {
			t.Errorf("a dry run of %s: %+v", check, dry)
		}
		saysAll(t, dry)
		for _, step := range dry.Steps {
			if want := map[bool]shop.RepairResult{true: shop.RepairPerson, false: shop.RepairPlanned}[person]; step.Result != want && !strings.Contains(step.Repair, "--repair order_state first") {
				t.Errorf("%s is %s, want %s: %s", check, step.Result, want, step.Broken)
			}
		}
		for _, o := range offenders(t, before) {
			told := fmt.Sprintf("%+v", dry.Steps)
			for _, step := range dry.Steps {
				told += fmt.Sprint(step.UnitID, step.TransactionID)
			}
			if o.check == check && (o.unit != shop.ID{} && !strings.Contains(told, o.unit.String()) || o.transaction != shop.ID{} && !strings.Contains(told, o.transaction.String())) {
				t.Errorf("the repair does not name %s: %s", o, told)
			}
		}
	}
	w.unchanged(was, "a dry run")
	beforeYes()
	units := w.count(`SELECT count(*) FROM unit`)
	was = w.tables()
	done := 0
	for range 3 {
		checks := brokenChecks(t, w.audit(""))
		for _, check := range checks {
			r := w.repair(check, true)
			if r.After == nil || r.OK() != r.After.OK || r.After.Name != check {
				t.Errorf("after the repair of %s: %+v", check, r.After)
			}
			for _, step := range r.Steps {
				if step.Result == shop.RepairDone {
					done++
					if n := w.count(`SELECT count(*) FROM repair WHERE repair_id = $1 AND check_name = $2 AND done = $3 AND broken = $4`, step.RepairID, check, step.Done, step.Broken); n != 1 {
						t.Errorf("the step %+v is written down %d times", step, n)
					}
				}
				if (step.Result == shop.RepairDone) != (step.RepairID != nil) || (step.Result == shop.RepairDone || step.Result == shop.RepairBusy) && step.Done == "" {
					t.Errorf("a step of %s: %+v", check, step)
				}
			}
		}
		if len(checks) == 0 || person {
			break
		}
	}
	if n := w.count(`SELECT count(*) FROM unit`); n != units {
		t.Errorf("there were %d units, and are %d", units, n)
	}
	if person {
		delete(was, "audit_run")
		now := w.tables()
		delete(now, "audit_run")
		if done > 0 || !maps.Equal(was, now) {
			t.Error("what was for a person was repaired")
		}
		return
	}
	for _, o := range offenders(t, w.audit("")) {
		t.Errorf("after the repair the audit names %s", o)
	}
	w.unitsAccounted()
	if n := w.count(`SELECT count(*) FROM repair WHERE repaired_by = 'ada'`); n != done || done == 0 {
		t.Errorf("%d repairs are written down, %d were done", n, done)
	}
	if n := w.count(`SELECT count(*) FROM event WHERE type LIKE '%.repaired'`); n != done {
		t.Errorf("%d events tell of %d repairs", n, done)
	}
	was = w.tables()
	for _, check := range brokenChecks(t, before) {
		if again := w.repair(check, true); len(again.Steps) > 0 || !again.OK() {
			t.Errorf("a second repair of %s: %+v", check, again.Steps)
		}
	}
	w.unchanged(was, "a second repair")
}

func TestWhatTheAuditFindsIsRepaired(t *testing.T) {
	t.Parallel()
	for name, c := range brokenHistories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			c.breakIt(h)
			inQueue := c.want(h)[0].check == "queue_order"
			repaired(t, h.world, forAPerson[name], func() {
				if inQueue {
					if _, _, err := h.PauseSelling(background, h.operator(), true); err != nil { // so that it stays as it is
						t.Fatal(err)
					}
					h.goOn()
				}
			})
			if !inQueue {
				return
			}
			// Nobody lost a turn, and the queue goes on.
			if _, _, err := h.PauseSelling(background, h.operator(), false); err != nil {
				t.Fatal(err)
			}
			settleQueues(t, h.Shop)
			if n := h.count(`SELECT count(*) FROM claim AS a, claim AS b WHERE a.claim_id = $1 AND b.claim_id = $2 AND a.queue_place < b.queue_place`, h.queued.ID, h.last.ID); n != 1 && h.count(`SELECT count(*) FROM claim WHERE claim_id = $1 AND status = 'queued'`, h.last.ID) == 1 {
				t.Error("they have changed their order")
			}
			h.settled(h.Shop, h.queued)
			h.settled(h.Shop, h.last)
			h.settled(h.Shop, h.enqueue("r", "Q", 1))
			h.audited()
		})
	}
}

func TestWhatTheAuditFindsInOrdersIsRepaired(t *testing.T) {
	t.Parallel()
	for name, c := range brokenTrades() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTrade(t)
			c.breakIt(h)
			repaired(t, h.world, forAPerson[name], func() {})
		})
	}
}

// What else can be broken, in a trade, and what has to come of it. Nil: it is for a person.
func TestWhatElseCanBeBrokenIsRepaired(t *testing.T) {
	t.Parallel()
	ofHold := func(h *trade) shop.ID {
		return h.unit(`SELECT unit_id FROM claim_unit JOIN claim USING (claim_id) WHERE status = 'held'`)
	}
	oneOf := func(h *trade, sku string) shop.ID {
		return h.unit(`SELECT unit_id FROM stock_token JOIN product USING (product_id) WHERE sku = '` + sku + `' ORDER BY position LIMIT 1`)
	}
	quarantined := func(h *trade, unit shop.ID) {
		h.exec(`INSERT INTO quarantine_unit (unit_id, product_id, order_id, entered_at) SELECT unit_id, product_id, gen_random_uuid(), now() FROM unit WHERE unit_id = $1`, unit)
	}
	counts := func(what string, want int, query string, args ...any) func(h *trade) {
		return func(h *trade) {
			h.t.Helper()
			if n := h.count(query, args...); n != want {
				h.t.Errorf("%s: %d, want %d", what, n, want)
			}
		}
	}
	for name, c := range map[string]struct {
		breakIt func(h *trade)
		judge   func(h *trade)
	}{
		"a held unit in quarantine": {
			func(h *trade) { quarantined(h, ofHold(h)) },
			counts("held", 1, `SELECT count(*) FROM claim_unit JOIN claim USING (claim_id) WHERE status = 'held' AND released_at IS NULL`),
		},
		"a withdrawn unit that a hold has": {
			func(h *trade) {
				h.exec(`UPDATE withdrawal SET quantity = 1, product_id = (SELECT product_id FROM product WHERE sku = 'S')`)
				h.exec(`INSERT INTO stock_token (product_id, pool_id, unit_id) SELECT product_id, 0, unit_id FROM withdrawal_unit JOIN unit USING (unit_id)`)
				h.exec(`UPDATE claim_unit SET outcome = 'returned' WHERE outcome = 'written_off'`)
				h.exec(`UPDATE withdrawal_unit SET unit_id = $1`, ofHold(h))
			},
			counts("held with another unit", 1, `SELECT count(*) FROM claim_unit JOIN claim USING (claim_id) WHERE status = 'held' AND released_at IS NULL`),
		},
		"a token for a unit of a hold that has lapsed": {
			func(h *trade) {
				h.token("S", ofHold(h))
				h.exec(`UPDATE claim SET expires_at = now() - interval '1 second' WHERE status = 'held'`)
			},
			counts("expired", 1, `SELECT count(*) FROM claim WHERE status = 'expired'`),
		},
		"a token for a unit of an order that is over": {
			func(h *trade) {
				h.exec(`UPDATE claim_unit SET released_at = NULL, outcome = NULL WHERE claim_id = $1`, line(h.cancelled))
			},
			counts("on sale", 1, `SELECT count(*) FROM stock_token JOIN claim_unit USING (unit_id) WHERE outcome = 'cancelled'`),
		},
		"another product's token for a sold unit": {
			func(h *trade) { h.token("A", h.sold.Lines[0].UnitIDs[0]) },
			func(h *trade) {
				if got, err := h.Order(background, nil, h.sold.ID); err != nil || len(got.Lines[0].ReturnedUnitIDs) > 0 {
					h.t.Errorf("the order: %+v, %v", got, err)
				}
			},
		},
		"a unit in no place of a sale that goes on": {
			func(h *trade) { h.exec(`DELETE FROM stock_token WHERE pool_id <> 0`) },
			counts("in the allotment", 0, `SELECT count(*) FROM stock_token WHERE pool_id <> 0`),
		},
		"an order that was paid in full and awaits payment": {
			func(h *trade) {
				h.charged(h.unpaid)
				h.exec(`UPDATE payment SET amount_minor = 200 WHERE order_id = $1`, h.unpaid.ID)
			},
			func(h *trade) {
				if got, err := h.Order(background, nil, h.unpaid.ID); err != nil || got.Status != shop.IsPaid {
					h.t.Errorf("the order: %+v, %v", got, err)
				}
			},
		},
		"a paid order of which all has come back": {
			func(h *trade) {
				h.exec(`ALTER TABLE shop_order DISABLE TRIGGER shop_order_moves_forward`)
				h.exec(`UPDATE shop_order SET status = 'paid', ended_at = NULL WHERE order_id = $1`, h.refunded.ID)
				h.exec(`ALTER TABLE shop_order ENABLE TRIGGER shop_order_moves_forward`)
			},
			counts("refunded", 1, `SELECT count(*) FROM shop_order WHERE status = 'refunded' AND refunded_minor = 100`),
		},
		"a line that has more than was ordered": {
			func(h *trade) {
				unit := oneOf(h, "A")
				h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, unit)
				h.exec(`INSERT INTO claim_unit (claim_id, unit_id) VALUES ($1, $2)`, line(h.unpaid), unit)
			},
			counts("in the order", 2, `SELECT count(*) FROM claim_unit JOIN claim USING (claim_id) WHERE unpaid AND released_at IS NULL`),
		},
		"an unpaid line that lacks a unit when nothing is on sale": {
			func(h *trade) {
				h.exec(`DELETE FROM claim_unit WHERE unit_id = $1`, h.unpaid.Lines[0].UnitIDs[0])
				for _, unit := range append(h.all(`SELECT unit_id FROM stock_token JOIN product USING (product_id) WHERE sku = 'A'`), h.unpaid.Lines[0].UnitIDs[0]) {
					h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, unit)
					quarantined(h, unit)
				}
			},
			counts("cancelled", 1, `SELECT count(*) FROM shop_order WHERE buyer = 'u' AND status = 'cancelled' AND reason = 'repaired' AND total_minor = 100`),
		},
		"a lost order that may have been paid": {
			func(h *trade) {
				h.exec(`DELETE FROM refund WHERE order_id = $1`, h.outside.ID)
				h.exec(`DELETE FROM shop_order WHERE order_id = $1`, h.outside.ID)
			},
			nil,
		},
		"a receipt whose units are all gone": {
			func(h *trade) {
				h.product(shop.Product{SKU: "G", Selling: true})
				h.receive("G", 1)
				h.exec(`DELETE FROM stock_token WHERE product_id = (SELECT product_id FROM product WHERE sku = 'G')`)
				h.exec(`DELETE FROM unit WHERE product_id = (SELECT product_id FROM product WHERE sku = 'G')`)
			},
			nil,
		},
		"a unit that was withdrawn twice": {
			func(h *trade) {
				h.exec(`ALTER TABLE withdrawal_unit DROP CONSTRAINT withdrawal_unit_once`)
				h.exec(`INSERT INTO withdrawal_unit SELECT * FROM withdrawal_unit`)
				h.exec(`UPDATE withdrawal SET quantity = 2`)
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTrade(t)
			c.breakIt(h)
			repaired(t, h.world, c.judge == nil, func() {})
			if c.judge != nil {
				c.judge(h)
			}
		})
	}
}

// all reads ids.
func (w *world) all(query string) (ids []shop.ID) {
	w.t.Helper()
	rows, err := w.db.Query(background, query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id shop.ID
		if err := rows.Scan(&id); err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if rows.Err() != nil {
		w.t.Fatal(rows.Err())
	}
	return ids
}

// What is counted wrongly and too much is counted rightly, and stays for a person: nobody gets more by it.
func TestWhoHasMoreThanTheLimitIsCountedAndNamed(t *testing.T) {
	t.Parallel()
	h := newTrade(t)
	h.exec(`UPDATE sale SET purchase_limit = 1`)
	h.exec(`UPDATE sale_buyer SET unit_count = 1, purchase_limit = 1 WHERE buyer = 's'`)
	r := h.repair("purchase_limit", true)
	if r.OK() || len(r.Steps) != 1 || r.Steps[0].Result != shop.RepairDone || h.count(`SELECT unit_count FROM sale_buyer WHERE buyer = 's'`) != 2 {
		t.Errorf("the first repair: %+v", r)
	}
	r = h.repair("purchase_limit", true)
	if r.OK() || len(r.Steps) != 1 || r.Steps[0].Result != shop.RepairPerson || !strings.Contains(r.Steps[0].Repair, "PATCH /api/v1/sales/") || !strings.Contains(r.Steps[0].Broken, h.sold.ID.String()) {
		t.Errorf("the second: %+v", r)
	}
	_, err := h.claim("s", "S", 1)
	refusal(t, err, shop.PurchaseLimit)
}

// two makes a unit one of two transactions: of the first, made by "first", and of the one that later makes.
func two(t *testing.T, w *world, later func() shop.Transaction) (first, second shop.Transaction) {
	t.Helper()
	w.exec(`ALTER TABLE claim_unit DROP CONSTRAINT claim_unit_live_once`)
	first = w.mustClaim("first", "A", 1)
	second = later()
	w.exec(`DELETE FROM stock_token`) // there is no equal unit
	w.exec(`INSERT INTO quarantine_unit (unit_id, product_id, order_id, entered_at) SELECT unit_id, product_id, gen_random_uuid(), now() FROM unit
		WHERE NOT EXISTS (SELECT 1 FROM claim_unit WHERE claim_unit.unit_id = unit.unit_id)`)
	w.exec(`INSERT INTO quarantine_unit (unit_id, product_id, order_id, entered_at) SELECT unit_id, product_id, gen_random_uuid(), now() FROM unit WHERE unit_id = $1`, second.UnitIDs[0])
	w.exec(`UPDATE claim_unit SET unit_id = $1 WHERE claim_id = $2 AND unit_id = $3`, first.UnitIDs[0], second.ID, second.UnitIDs[0])
	return first, second
}

func TestTheLaterOfTwoTransactionsLosesTheUnit(t *testing.T) {
	t.Parallel()
	provider := newFake()
	ordered := func(w *world, pay bool) shop.Transaction {
		tx := w.mustClaim("second", "A", 1)
		o := w.mustCheckout("second")
		if pay {
			if _, _, err := w.Pay(background, "second", o.ID, "succeed", ""); err != nil {
				w.t.Fatal(err)
			}
		}
		return tx
	}
	for name, c := range map[string]struct {
		later func(w *world) shop.Transaction
		judge func(w *world, second shop.Transaction)
	}{
		"a hold of one is released": {
			func(w *world) shop.Transaction { return w.mustClaim("second", "A", 1) },
			func(w *world, second shop.Transaction) {
				if got, err := w.Transaction(background, "second", second.ID); err != nil || got.Status != shop.Released {
					w.t.Errorf("the hold: %+v, %v", got, err)
				}
			},
		},
		"a hold of three goes on with two": {
			func(w *world) shop.Transaction { return w.mustClaim("second", "A", 3) },
			func(w *world, second shop.Transaction) {
				if got, err := w.Transaction(background, "second", second.ID); err != nil || got.Status != shop.Held || got.Quantity != 2 || len(got.UnitIDs) != 2 {
					w.t.Errorf("the hold: %+v, %v", got, err)
				}
				if _, err := w.Release(background, "second", second.ID); err != nil {
					w.t.Errorf("release: %v", err)
				}
			},
		},
		"an unpaid order is cancelled": {
			func(w *world) shop.Transaction { return ordered(w, false) },
			func(w *world, _ shop.Transaction) {
				if n := w.count(`SELECT count(*) FROM shop_order WHERE status = 'cancelled' AND reason = 'repaired' AND buyer = 'second'`); n != 1 {
					w.t.Errorf("%d orders are cancelled", n)
				}
			},
		},
		"what was paid is given back": {
			func(w *world) shop.Transaction { return ordered(w, true) },
			func(w *world, _ shop.Transaction) {
				if n := w.count(`SELECT count(*) FROM shop_order WHERE status = 'refunded' AND refunded_minor = 100 AND buyer = 'second'`); n != 1 {
					w.t.Errorf("%d orders are refunded", n)
				}
				w.exec(`UPDATE refund SET ask_at = now()`)
				if err := w.TendPayments(background); err != nil {
					w.t.Fatal(err)
				}
				if taken, given := provider.books(); taken != 100 || given != 100 {
					w.t.Errorf("the provider took %d and gave back %d", taken, given)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{Provider: provider})
			w.priced("A", 100, 5)
			first, second := two(t, w, func() shop.Transaction { return c.later(w) })
			r := w.repair("one_place", true)
			if !r.OK() || len(r.Steps) != 1 || r.Steps[0].Result != shop.RepairDone || *r.Steps[0].Buyer != "second" || *r.Steps[0].TransactionID != second.ID {
				t.Fatalf("the repair: %+v", r)
			}
			c.judge(w, second)
			unit, err := w.Unit(background, first.UnitIDs[0])
			if i := slices.IndexFunc(unit.Life, func(e shop.UnitEvent) bool { return e.Event == "repaired" }); err != nil || i < 0 || unit.Life[i].Reference != r.Steps[0].Done {
				t.Errorf("the unit's life: %+v, %v", unit, err)
			}
			if got, err := w.Transaction(background, "first", first.ID); err != nil || got.Status != shop.Held || got.UnitIDs[0] != first.UnitIDs[0] {
				t.Errorf("the first has %+v, %v", got, err)
			}
			w.unitsAccounted()
			w.audited()
		})
	}
}

func TestWhoLosesAUnitGetsAnEqualOneThatIsOnSale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 5)
	w.limited("A", 3, 3)
	w.exec(`ALTER TABLE claim_unit DROP CONSTRAINT claim_unit_live_once`)
	first := w.mustClaim("first", "A", 1)
	second := w.mustClaim("second", "A", 2)
	o := w.mustCheckout("second")
	w.exec(`UPDATE claim_unit SET unit_id = $1 WHERE claim_id = $2 AND unit_id = $3`, first.UnitIDs[0], second.ID, second.UnitIDs[0])
	w.token("A", second.UnitIDs[0])
	if r := w.repair("one_place", true); !r.OK() || len(r.Steps) != 1 || !strings.Contains(r.Steps[0].Done, "instead") {
		t.Fatalf("the repair: %+v", r)
	}
	if got, err := w.Order(background, nil, o.ID); err != nil || got.Status != shop.AwaitingPayment || len(got.Lines[0].UnitIDs) != 2 || slices.Contains(got.Lines[0].UnitIDs, first.UnitIDs[0]) {
		t.Errorf("the order: %+v, %v", got, err)
	}
	w.unitsAccounted()
	w.audited()
}

// A paid line whose units are gone waits for equal ones: nothing is done while there are none.
func TestAPaidLineWithoutUnitsWaitsForEqualOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 1)
	tx := w.mustClaim("b", "A", 1)
	o := w.mustCheckout("b")
	if _, _, err := w.Pay(background, "b", o.ID, "succeed", ""); err != nil {
		t.Fatal(err)
	}
	w.exec(`DELETE FROM claim_unit`)
	w.exec(`INSERT INTO quarantine_unit (unit_id, product_id, order_id, entered_at) SELECT unit_id, product_id, $1, now() FROM unit`, o.ID)
	was := w.tables()
	if r := w.repair("order_state", true); r.OK() || len(r.Steps) != 1 || r.Steps[0].Result != shop.RepairPerson || !strings.Contains(r.Steps[0].Done, "on sale") {
		t.Errorf("without a unit on sale: %+v", r)
	}
	w.unchanged(was, "a repair that can't be done")
	if _, _, err := w.QuarantineRelease(background, w.operator(), "A", 1, nil); err != nil {
		t.Fatal(err)
	}
	if r := w.repair("order_state", true); !r.OK() || r.Steps[0].Result != shop.RepairDone || *r.Steps[0].TransactionID != tx.ID {
		t.Errorf("with one: %+v", r)
	}
	w.unitsAccounted()
	w.audited()
}

func TestARepairThatCantBeAskedForIsRefused(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.exec(`DELETE FROM stock_token WHERE unit_id = $1`, h.free)
	for _, c := range []struct {
		r    shop.RepairRequest
		code shop.Code
	}{
		{shop.RepairRequest{Check: "nonsense", By: "ada", Yes: true}, shop.Validation},
		{shop.RepairRequest{By: "ada", Yes: true}, shop.Validation},
		{shop.RepairRequest{Check: "one_place", Yes: true}, shop.Validation},
		{shop.RepairRequest{Check: "one_place", By: strings.Repeat("a", 101), Yes: true}, shop.Validation},
		{shop.RepairRequest{Check: "one_place", By: "ada", SKU: "nothing", Yes: true}, shop.NotFound},
	} {
		_, err := h.Repair(background, c.r)
		r := refusal(t, err, c.code)
		if c.r.Check == "nonsense" && (len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Message, "one_place, conservation")) {
			t.Errorf("an unknown check does not list those that are known: %+v", r)
		}
	}
	if r, err := h.Repair(background, shop.RepairRequest{Check: "one_place", SKU: "B", By: "ada", Yes: true}); err != nil || len(r.Steps) > 0 || !r.OK() {
		t.Errorf("a repair of another product: %+v, %v", r, err)
	}
	if n := h.count(`SELECT count(*) FROM repair`); n != 0 {
		t.Errorf("%d repairs were made", n)
	}
	for _, change := range []string{`UPDATE repair SET done = ''`, `DELETE FROM repair`} {
		h.repair("one_place", true)
		if _, err := h.db.Exec(background, change); err == nil || !strings.Contains(err.Error(), "for good") {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// What somebody else has locked is left as it is, and said so.
func TestWhatSomebodyElseHasLockedIsLeft(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.token("A", h.held.UnitIDs[0])
	tx, err := h.db.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(background) }()
	if _, err := tx.Exec(background, `SELECT FROM stock_token WHERE unit_id = $1 FOR UPDATE`, h.held.UnitIDs[0]); err != nil {
		t.Fatal(err)
	}
	was := h.tables()
	if r := h.repair("one_place", true); r.OK() || len(r.Steps) != 1 || r.Steps[0].Result != shop.RepairBusy || r.Steps[0].RepairID != nil {
		t.Errorf("while it is locked: %+v", r)
	}
	h.unchanged(was, "a repair of what is locked")
	if err := tx.Rollback(background); err != nil {
		t.Fatal(err)
	}
	if r := h.repair("one_place", true); !r.OK() || r.Steps[0].Result != shop.RepairDone {
		t.Errorf("when it is free: %+v", r)
	}
	h.audited()
}

func TestTwoRepairsAtOnceRepairEachThingOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 40)
	w.exec(`DELETE FROM stock_token WHERE position % 2 = 0`)
	lost := w.count(`SELECT count(*) FROM unit WHERE NOT EXISTS (SELECT 1 FROM stock_token WHERE stock_token.unit_id = unit.unit_id)`)
	other := w.server(shop.Options{})
	var wg sync.WaitGroup
	for _, s := range []*shop.Shop{w.Shop, other} {
		wg.Go(func() {
			if _, err := s.Repair(background, shop.RepairRequest{Check: "one_place", By: "ada", Yes: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := w.count(`SELECT count(*) FROM repair`); n != lost || lost == 0 {
		t.Errorf("%d repairs of %d units", n, lost)
	}
	w.unitsAccounted()
	w.audited()
}

// Units are lost and sold twice while buyers claim, order, pay and give back: repairs beside them break nothing, and in the end nothing is broken.
func TestARepairBesideClaimsBreaksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake(), Hold: time.Second, ClaimWait: longEnough})
	w.priced("A", 100, 40)
	w.priced("B", 100, 40)
	limit := 6
	terms := aSale(time.Now().Add(-time.Minute), "B", 25)
	terms.PurchaseLimit, terms.Hold = &limit, time.Second
	w.scheduled(terms)
	w.exec(`ALTER TABLE claim_unit DROP CONSTRAINT claim_unit_live_once`)
	w.exec(`CREATE INDEX ON claim_unit (unit_id)`)
	w.exec(`ALTER TABLE stock_token DROP CONSTRAINT stock_token_unit_once`)
	w.exec(`ALTER TABLE quarantine_unit DROP CONSTRAINT quarantine_unit_live_once`)
	units := w.count(`SELECT count(*) FROM unit`)
	expected := []shop.Code{
		shop.AllHeld, shop.NotEnoughUnits, shop.SoldOut, shop.PurchaseLimit, shop.CartEmpty, shop.HoldExpired, shop.Conflict, shop.Validation, shop.Busy,
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := i; !done.Load(); n++ {
				err := w.dealings(buyer(i), n)
				// Whoever picks two tokens of the same unit gets neither: that is the damage, not the repair.
				if err != nil && !refusedFor(err, expected...) && !strings.Contains(err.Error(), `"claim_unit_pkey"`) {
					t.Errorf("%s: %v", buyer(i), err)
				}
			}
		})
	}
	damage := []string{
		`DELETE FROM stock_token WHERE (product_id, pool_id, position) IN (SELECT product_id, pool_id, position FROM stock_token ORDER BY position DESC LIMIT 2)`,
		`INSERT INTO stock_token (product_id, pool_id, unit_id) SELECT claim.product_id, 0, unit_id FROM claim_unit JOIN claim USING (claim_id) WHERE released_at IS NULL LIMIT 2`,
		`UPDATE sale_buyer SET unit_count = unit_count + 1 WHERE unit_count < purchase_limit`,
		`INSERT INTO stock_token (product_id, pool_id, unit_id) SELECT product_id, 0, unit_id FROM quarantine_unit WHERE left_at IS NULL LIMIT 1`,
	}
	deadline := time.Now().Add(2 * time.Minute)
	for round := 0; round < 8 || w.count(`SELECT count(*) FROM repair`) < 20; round++ {
		if _, err := w.db.Exec(background, damage[round%len(damage)]); err != nil {
			t.Error(err)
		}
		for _, check := range []string{"one_place", "transaction_units", "order_state", "purchase_limit"} {
			if _, err := w.Repair(background, shop.RepairRequest{Check: check, By: "ada", Yes: true}); err != nil {
				t.Errorf("repair of %s: %v", check, err)
			}
		}
		if time.Now().After(deadline) {
			t.Error("too few repairs in two minutes")
			break
		}
	}
	done.Store(true)
	wg.Wait()
	for range 5 {
		for _, check := range brokenChecks(t, w.audit("")) {
			w.repair(check, true)
		}
	}
	if n := w.count(`SELECT count(*) FROM unit`); n != units {
		t.Errorf("there were %d units, and are %d", units, n)
	}
	w.unitsAccounted()
	w.audited()
}

// Requests are passed by while a queue is accepted into and settled: with repairs beside it everybody is served in the end.
func TestARepairOfAQueueThatGoesOnLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: longEnough})
	w.stocked("Q", 5000)
	var done atomic.Bool
	var mu sync.Mutex
	var accepted []shop.Transaction
	var wg sync.WaitGroup
	for i := range 3 {
		s := w.server(shop.Options{ClaimWait: longEnough})
		wg.Go(func() {
			for n := 0; !done.Load(); n++ {
				c, err := s.Enqueue(background, shop.ClaimRequest{Buyer: fmt.Sprintf("b-%d-%d", i, n), SKU: "Q", Quantity: 1 + n%3}, 0)
				if err != nil && !refusedFor(err, shop.Busy) {
					t.Errorf("a request: %v", err)
				}
				if err == nil {
					mu.Lock()
					accepted = append(accepted, c.Transaction)
					mu.Unlock()
				}
			}
		})
	}
	passed := int64(0)
	deadline := time.Now().Add(time.Minute)
	for round := 0; passed < 5; round++ {
		tag, err := w.db.Exec(background, `UPDATE claim SET queue_place = -1 - queue_place WHERE claim_id = (SELECT claim_id FROM claim WHERE status = 'queued' ORDER BY queue_place DESC LIMIT 1) AND status = 'queued' AND queue_place > 0`)
		if err != nil {
			t.Error(err)
		}
		if passed += tag.RowsAffected(); tag.RowsAffected() > 0 {
			w.repair("queue_order", true)
		}
		if time.Now().After(deadline) {
			t.Error("nobody could be passed by in a minute")
			break
		}
	}
	done.Store(true)
	wg.Wait()
	for range 5 {
		w.repair("queue_order", true)
	}
	settleQueues(t, w.Shop)
	for _, tx := range accepted {
		w.settled(w.Shop, tx)
	}
	if n := w.count(`SELECT count(*) FROM repair WHERE check_name = 'queue_order'`); n == 0 {
		t.Error("nothing was repaired")
	}
	w.unitsAccounted()
	w.audited()
}
