package db_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// row is one that breaks nothing.
type row struct {
	table  string
	values map[string]string // by column
}

// but is the row with other values: a column, its value, and so on.
func (r row) but(changes ...string) row {
	r.values = maps.Clone(r.values)
	for i := 0; i < len(changes); i += 2 {
		r.values[changes[i]] = changes[i+1]
	}
	return r
}

// insert is the statement that inserts it, but with other values.
func (r row) insert(changes ...string) string {
	r = r.but(changes...)
	columns := slices.Sorted(maps.Keys(r.values))
	values := make([]string, len(columns))
	for i, column := range columns {
		values[i] = r.values[column]
	}
	return `INSERT INTO ` + r.table + ` (` + strings.Join(columns, ", ") + `) VALUES (` + strings.Join(values, ", ") + `)`
}

var (
	aSale = row{"sale", map[string]string{
		"sale_id": anID, "name": `'s'`, "stage": `'draft'`, "opens_at": `now()`, "closes_at": `now()`, "hold_seconds": `60`, "max_quantity": `5`,
		"cooldown_seconds": `0`, "created_at": `now()`, "updated_at": `now()`,
	}}
	theSale = aSale.insert("sale_id", oneID)
	anItem  = row{"sale_item", map[string]string{"sale_id": oneID, "product_id": `1`, "price_minor": `5`, "currency": `'EUR'`}}
	aBuyer  = row{"sale_buyer", map[string]string{"sale_id": anID, "buyer": `'b'`, "unit_count": `2`, "purchase_limit": `2`}}
	aLine   = row{"claim", map[string]string{
		"claim_id": anID, "buyer": `'b'`, "product_id": `1`, "pool_id": `0`, "quantity": `1`, "status": `'ordered'`, "created_at": `now()`,
		"expires_at": inAnHour, "ended_at": `now()`, "order_id": anID,
	}}
	aHold   = aLine.but("status", `'held'`, "ended_at", `NULL`, "order_id", `NULL`)
	anOrder = row{"shop_order", map[string]string{
		"order_id": anID, "buyer": `'b'`, "status": `'awaiting_payment'`, "provider": `'test'`, "total_minor": `5`, "currency": `'EUR'`,
		"pay_by": inAnHour, "created_at": `now()`,
	}}
	theOrder  = anOrder.insert("order_id", oneID)
	aPaid     = anOrder.but("status", `'paid'`, "paid_at", `now()`, "pay_by", `NULL`)
	aReturned = aPaid.but("status", `'refunded'`, "ended_at", `now()`)
	aCancel   = anOrder.but("status", `'cancelled'`, "reason", `'r'`, "ended_at", `now()`)
	aPayment  = row{"payment", map[string]string{
		"payment_id": anID, "order_id": oneID, "provider": `'test'`, "status": `'pending'`, "amount_minor": `5`, "currency": `'EUR'`,
		"created_at": `now()`, "ask_at": `now()`,
	}}
	aSuccess = aPayment.but("status", `'succeeded'`, "ask_at", `NULL`, "settled_at", `now()`)
	aRefund  = row{"refund", map[string]string{
		"refund_id": anID, "order_id": oneID, "status": `'pending'`, "reason": `'returned'`, "amount_minor": `5`, "created_at": `now()`, "ask_at": `now()`,
	}}
	aUnitGone = row{"claim_unit", map[string]string{"claim_id": anID, "unit_id": anID, "released_at": `now()`, "outcome": `'returned'`}}
	aSuspect  = row{"quarantine_unit", map[string]string{"unit_id": anID, "product_id": `1`, "order_id": anID, "entered_at": `now()`}}
	aRepair   = row{"repair", map[string]string{
		"repair_id": anID, "check_name": `'pools'`, "sku": `'A'`, "broken": `'b'`, "found": `'[]'`, "done": `'d'`, "repaired_by": `'ada'`, "created_at": `now()`,
	}}
	anEvent  = row{"event", map[string]string{"event_id": anID, "type": `'t'`, "data": `'{}'`, "created_at": `now()`, "position": `1`}}
	aCallKey = row{"call_key", map[string]string{
		"caller": `'c'`, "operation": `'o'`, "idempotency_key": `'k'`, "request_hash": hash, "created_at": `now()`,
	}}
)

// orderBites are bites of what sells: sales, orders and their money.
var orderBites = map[string][][]string{
	"sale_pool_once":              {{theSale, `INSERT INTO sale OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(sale, jsonb_build_object('sale_id', ` + anID + `))).* FROM sale`}},
	"sale_name_length":            {{aSale.insert("name", `''`)}, {aSale.insert("name", `repeat('s', 201)`)}},
	"sale_stage_known":            {{aSale.insert("stage", `'open'`)}, {aSale.insert("stage", `''`)}},
	"sale_opens_before_it_closes": {{aSale.insert("closes_at", `now() - interval '1 microsecond'`)}},
	"sale_hold_range":             {{aSale.insert("hold_seconds", `0`)}, {aSale.insert("hold_seconds", `86401`)}},
	"sale_limit_positive":         {{aSale.insert("purchase_limit", `0`)}, {aSale.insert("purchase_limit", `-1`)}},
	"sale_max_quantity_range":     {{aSale.insert("max_quantity", `0`)}, {aSale.insert("max_quantity", `1001`)}},
	"sale_cooldown_range":         {{aSale.insert("cooldown_seconds", `-1`)}, {aSale.insert("cooldown_seconds", `86401`)}},

	"sale_item_sale_fkey":          {{anItem.insert()}, {theSale, anItem.insert(), `DELETE FROM sale`}},
	"sale_item_product_fkey":       {{theSale, anItem.insert("product_id", `99`)}},
	"sale_item_price_not_negative": {{theSale, anItem.insert("price_minor", `-1`)}},
	"sale_item_currency_form":      {{theSale, anItem.insert("currency", `'eur'`)}, {theSale, anItem.insert("currency", `'EURO'`)}},
	"sale_item_quantity_range":     {{theSale, anItem.insert("quantity", `0`)}, {theSale, anItem.insert("quantity", `1000001`)}},

	"sale_buyer_not_negative": {{aBuyer.insert("unit_count", `-1`)}, {aBuyer.insert(), `UPDATE sale_buyer SET unit_count = unit_count - 3`}},
	"sale_buyer_within_limit": {
		{aBuyer.insert("unit_count", `3`)},
		{aBuyer.insert("purchase_limit", `NULL`), `UPDATE sale_buyer SET unit_count = 99`, `UPDATE sale_buyer SET purchase_limit = 98`},
		{aBuyer.insert(), `UPDATE sale_buyer SET unit_count = unit_count + 1`},
	},
	"selling_only_row": {{`INSERT INTO selling (only_row) VALUES (false)`}},

	"claim_reference_length": {{aHold.insert("reference", `''`)}, {aHold.insert("reference", `repeat('r', 201)`)}},
	"claim_ordered_in_time": {
		{aLine.insert("ended_at", inAnHour)},
		{aHold.insert(), `UPDATE claim SET status = 'ordered', order_id = ` + anID + `, ended_at = expires_at`},
	},
	"claim_order_when_ordered": {
		{aLine.insert("order_id", `NULL`)},
		{aHold.insert("order_id", anID)},
		{aLine.insert("expires_at", `NULL`, "status", `'released'`)},
	},
	"claim_unpaid_when_ordered": {{aLine.insert("unpaid", `true`), aHold.insert("unpaid", `true`)}},
	"claim_pay_by_while_unpaid": {
		{aLine.insert("pay_by", inAnHour)},
		{aLine.insert("unpaid", `true`, "pay_by", inAnHour), `UPDATE claim SET unpaid = false`},
	},
	"claim_replaced_once": {{
		aLine.insert(), aLine.insert("replaces_claim_id", anID), aLine.insert("replaces_claim_id", oneID), aLine.insert("replaces_claim_id", oneID),
	}},
	"claim_unit_outcome_known": {{aUnitGone.insert("outcome", `'lost'`)}, {aUnitGone.insert("outcome", `''`)}},
	"claim_unit_outcome_when_released": {
		{aUnitGone.insert("released_at", `NULL`)},
		{aUnitGone.insert(), `UPDATE claim_unit SET released_at = NULL`},
	},

	"shop_order_buyer_length":     {{anOrder.insert("buyer", `''`)}, {anOrder.insert("buyer", `repeat('b', 129)`)}},
	"shop_order_reference_length": {{anOrder.insert("reference", `''`)}, {anOrder.insert("reference", `repeat('r', 201)`)}},
	"shop_order_reference_once": {{
		aPaid.insert("provider", `'external'`, "reference", `'r'`),
		anOrder.insert("reference", `'r'`), // a reference of an order that is paid for here is only a note
		anOrder.insert("reference", `'r'`),
		`UPDATE shop_order SET status = 'refunded', ended_at = now() WHERE provider = 'external'`,
		aPaid.insert("provider", `'external'`, "reference", `'r'`, "buyer", `'c'`),
	}},
	"shop_order_status_known": {{anOrder.insert("status", `'lost'`)}, {anOrder.insert("status", `'Awaiting_payment'`)}},
	"shop_order_total_whole":  {{anOrder.insert("currency", `NULL`)}, {anOrder.insert("total_minor", `NULL`)}},
	// Nothing is within a total below 0 either, and that constraint is looked at first.
	"shop_order_total_not_negative": {{`ALTER TABLE shop_order DROP CONSTRAINT shop_order_refunded_within_total`, anOrder.insert("total_minor", `-1`)}},
	"shop_order_refunded_within_total": {
		{anOrder.insert("refunded_minor", `-1`)},
		{aReturned.insert("refunded_minor", `5`), aReturned.insert("refunded_minor", `6`)},
		{aPaid.insert("total_minor", `NULL`, "currency", `NULL`, "refunded_minor", `1`)},
	},
	"shop_order_pay_by_while_unpaid":    {{aPaid.insert(), anOrder.insert("pay_by", `NULL`)}},
	"shop_order_cancelled_for_a_reason": {{aCancel.insert(), aCancel.insert("reason", `NULL`)}, {anOrder.insert("reason", `'r'`)}},
	"shop_order_paid_when": {
		{aPaid.insert("paid_at", `NULL`)}, {aReturned.insert("paid_at", `NULL`)}, {anOrder.insert("paid_at", `now()`)}, {aCancel.insert("paid_at", `now()`)},
	},
	"shop_order_ended_when": {
		{aCancel.insert("ended_at", `NULL`)}, {aReturned.insert("ended_at", `NULL`)}, {anOrder.insert("ended_at", `now()`)}, {aPaid.insert("ended_at", `now()`)},
	},
	"shop_order_replaced_once": {{
		anOrder.insert(), aPaid.insert("replaces_order_id", anID), aPaid.insert("replaces_order_id", oneID), aPaid.insert("replaces_order_id", oneID),
	}},

	"quarantine_unit_live_once": {{
		aSuspect.insert("unit_id", oneID, "left_at", `now()`, "outcome", `'released'`),
		aSuspect.insert("unit_id", oneID, "entered_at", `clock_timestamp()`),
		aSuspect.insert("unit_id", oneID, "entered_at", `clock_timestamp()`),
	}},
	"quarantine_unit_put_there_by":      {{aSuspect.insert("order_id", `NULL`, "repair_id", anID), aSuspect.insert("order_id", `NULL`)}},
	"quarantine_unit_outcome_known":     {{aSuspect.insert("left_at", `now()`, "outcome", `'lost'`)}},
	"quarantine_unit_outcome_when_left": {{aSuspect.insert("left_at", `now()`)}, {aSuspect.insert("outcome", `'released'`)}},
	"withdrawal_place_known": {
		{`INSERT INTO withdrawal (withdrawal_id, product_id, quantity, reason, place, api_key_id, created_at) VALUES (` + anID + `, 1, 1, 'r', 'held', ` + anID + `, now())`},
	},

	"payment_order_fkey":          {{aPayment.insert()}, {theOrder, aPayment.insert(), `DELETE FROM shop_order`}},
	"payment_status_known":        {{theOrder, aSuccess.insert("status", `'lost'`)}},
	"payment_amount_not_negative": {{theOrder, aPayment.insert("amount_minor", `-1`)}},
	"payment_refunded_within_amount": {
		{theOrder, aSuccess.insert("refunded_minor", `5`), `UPDATE payment SET refunded_minor = refunded_minor + 1`},
		{theOrder, aSuccess.insert("refunded_minor", `-1`)},
	},
	"payment_refunded_what_was_paid": {{theOrder, aPayment.insert("refunded_minor", `1`)}, {theOrder, aSuccess.insert("status", `'failed'`, "refunded_minor", `1`)}},
	"payment_settled_when": {
		{theOrder, aPayment.insert("settled_at", `now()`)},
		{theOrder, aSuccess.insert("settled_at", `NULL`)},
		{theOrder, aSuccess.insert("settled_at", `NULL`, "status", `'failed'`)},
	},
	"payment_asked_while_pending": {{theOrder, aPayment.insert("ask_at", `NULL`)}, {theOrder, aSuccess.insert("ask_at", `now()`)}},
	"payment_live_once": {
		{theOrder, aSuccess.insert("status", `'failed'`), aSuccess.insert("status", `'failed'`), aPayment.insert(), aPayment.insert()},
		{theOrder, aSuccess.insert(), aPayment.insert()}, // what is paid can't be paid again
	},

	"refund_order_fkey":          {{aRefund.insert()}},
	"refund_status_known":        {{theOrder, aRefund.insert("status", `'failed'`, "ask_at", `NULL`, "settled_at", `now()`)}},
	"refund_reason_known":        {{theOrder, aRefund.insert("reason", `'given'`)}},
	"refund_amount_not_negative": {{theOrder, aRefund.insert("amount_minor", `-1`)}},
	"refund_settled_when":        {{theOrder, aRefund.insert("settled_at", `now()`)}, {theOrder, aRefund.insert("status", `'succeeded'`, "ask_at", `NULL`)}},
	"refund_asked_while_pending": {{theOrder, aRefund.insert("ask_at", `NULL`)}, {theOrder, aRefund.insert("status", `'succeeded'`, "settled_at", `now()`)}},
	"test_charge_status_known":   {{`INSERT INTO test_charge VALUES (` + anID + `, 5, 'EUR', 'lost', NULL, NULL)`}},

	"repair_by_length":  {{aRepair.insert("repaired_by", `''`)}, {aRepair.insert("repaired_by", `repeat('a', 101)`)}},
	"repair_only_grows": {{aRepair.insert(), `UPDATE repair SET done = ''`}, {aRepair.insert(), `DELETE FROM repair`}},

	"event_position_once": {{anEvent.insert("position", `NULL`), anEvent.insert("position", `NULL`), anEvent.insert(), anEvent.insert()}},
	"event_tail_only_row": {{`INSERT INTO event_tail VALUES (false)`}},

	"call_key_once": {{
		aCallKey.insert(), aCallKey.insert("caller", `'d'`), aCallKey.insert("operation", `'p'`), aCallKey.insert("idempotency_key", `'l'`),
		aCallKey.insert("request_hash", `sha256('b')`),
	}},
	"call_key_length":         {{aCallKey.insert("idempotency_key", `''`)}, {aCallKey.insert("idempotency_key", `repeat('k', 256)`)}},
	"call_key_hash_is_sha256": {{aCallKey.insert("request_hash", `'the request itself'`)}},
}

func TestAnOrderMovesOnlyForward(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	states := map[string]row{"awaiting_payment": anOrder, "paid": aPaid, "cancelled": aCancel, "refunded": aReturned}
	allowed := map[string][]string{"awaiting_payment": {"paid", "cancelled"}, "paid": {"refunded"}}
	for from, was := range states {
		for to, is := range states {
			var set []string
			for _, column := range []string{"status", "reason", "pay_by", "paid_at", "ended_at"} {
				set = append(set, column+` = `+cmp.Or(is.values[column], `NULL`))
			}
			err := tryAll(t, conn, []string{was.insert(), `UPDATE shop_order SET ` + strings.Join(set, ", ")})
			switch {
			case from == to || slices.Contains(allowed[from], to):
				if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			case !pgdb.ViolatesConstraint(err, "shop_order_moves_forward"):
				t.Errorf("%s to %s gives %v", from, to, err)
			}
		}
	}
}
