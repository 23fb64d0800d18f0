package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/books"
)

// judged are the rules that a run is judged by.
var judged = slices.Concat(books.Units, books.Settled, books.Money, books.Events)

// defects are each wrong in one thing, and are to be found.
var defects = []struct {
	what, sql string
	found     []string
}{
	{"money was taken for nothing",
		`INSERT INTO test_charge (charge_id, amount_minor, currency, status, captured_at) VALUES (gen_random_uuid(), 1, 'EUR', 'succeeded', now())`,
		[]string{"captured = paid +", "a charge is a payment"}},
	{"a payment was never charged",
		`DELETE FROM test_charge WHERE charge_id = (SELECT payment_id FROM payment WHERE status = 'succeeded' LIMIT 1)`,
		[]string{"captured = paid +", "a charge is a payment"}},
	{"one was charged more and another less",
		`UPDATE test_charge SET amount_minor = amount_minor + CASE WHEN charge_id = low.id THEN 1 ELSE -1 END
			FROM (SELECT min(payment_id::text)::uuid AS id, max(payment_id::text)::uuid AS high FROM payment WHERE status = 'succeeded') AS low
			WHERE charge_id IN (low.id, low.high)`,
		[]string{"a charge is a payment"}},
	{"an order is paid without a payment",
		`UPDATE shop_order SET status = 'paid', reason = NULL, paid_at = now(), ended_at = NULL
			WHERE order_id = (SELECT order_id FROM shop_order WHERE status = 'cancelled' AND refunded_minor = 0 AND NOT EXISTS (SELECT FROM shop_order AS new WHERE new.replaces_order_id = shop_order.order_id) LIMIT 1)`,
		[]string{"captured = paid +", "an order is paid once", "has units while it stands", "each change of an order is told once"}},
	{"an order was paid twice", `
		DROP INDEX payment_live_once;
		WITH again AS (
			INSERT INTO payment (payment_id, order_id, provider, status, amount_minor, currency, created_at, settled_at)
			SELECT gen_random_uuid(), order_id, 'test', 'succeeded', total_minor, 'EUR', now(), now() FROM shop_order WHERE status = 'paid' LIMIT 1
			RETURNING *
		)
		INSERT INTO test_charge (charge_id, amount_minor, currency, status, captured_at) SELECT payment_id, amount_minor, currency, 'succeeded', now() FROM again`,
		[]string{"captured = paid +", "an order is paid once"}},
	{"money for a cancelled order was kept", `
		WITH late AS (
			INSERT INTO payment (payment_id, order_id, provider, status, amount_minor, currency, created_at, settled_at)
			SELECT gen_random_uuid(), order_id, 'test', 'succeeded', total_minor, 'EUR', now(), now()
			FROM shop_order
			WHERE status = 'cancelled' AND NOT EXISTS (SELECT FROM payment WHERE payment.order_id = shop_order.order_id AND payment.status = 'succeeded')
			LIMIT 1
			RETURNING *
		)
		INSERT INTO test_charge (charge_id, amount_minor, currency, status, captured_at) SELECT payment_id, amount_minor, currency, 'succeeded', now() FROM late`,
		[]string{"captured = paid +", "an order is paid once, and what is cancelled has no money"}},
	{"a refund was not made",
		`DELETE FROM test_refund WHERE refund_id = (SELECT refund_id FROM test_refund LIMIT 1)`,
		[]string{"given back by the provider", "a refund is made once"}},
	{"a refund was made twice",
		`INSERT INTO test_refund SELECT gen_random_uuid(), charge_id, amount_minor FROM test_refund LIMIT 1`,
		[]string{"given back by the provider", "a refund is made once"}},
	{"a refund went to somebody else",
		`UPDATE test_refund SET charge_id = gen_random_uuid() WHERE refund_id = (SELECT refund_id FROM test_refund LIMIT 1)`,
		[]string{"a refund is made once"}},
	{"an order has forgotten a refund",
		`UPDATE shop_order SET refunded_minor = 0 WHERE order_id = (SELECT order_id FROM refund WHERE reason = 'returned' AND amount_minor > 0 LIMIT 1)`,
		[]string{"an order and its payment count their refunds"}},
	{"a unit came back and nothing was refunded", `
		WITH back AS (
			UPDATE claim_unit SET released_at = now(), outcome = 'returned'
			WHERE (claim_id, unit_id) = (
				SELECT claim_id, unit_id FROM claim_unit JOIN claim USING (claim_id) WHERE claim_unit.released_at IS NULL AND claim.status = 'ordered' LIMIT 1
			)
			RETURNING *
		)
		INSERT INTO stock_token SELECT claim.product_id, 0, nextval('stock_token_position'), back.unit_id FROM back JOIN claim USING (claim_id)`,
		[]string{"what came back was refunded"}},
	{"a unit is sold and to be had", `
		INSERT INTO stock_token
		SELECT claim.product_id, 0, nextval('stock_token_position'), claim_unit.unit_id
		FROM claim JOIN claim_unit USING (claim_id) WHERE claim.status = 'ordered' AND claim_unit.released_at IS NULL LIMIT 1`,
		[]string{"a unit is in exactly one place"}},
	{"a unit is lost",
		`DELETE FROM stock_token WHERE unit_id = (SELECT unit_id FROM stock_token LIMIT 1)`,
		[]string{"a unit is in exactly one place"}},
	{"a unit was never received",
		`INSERT INTO unit SELECT gen_random_uuid(), product_id, receipt_id FROM unit LIMIT 1`,
		[]string{"what came in is there", "a unit is in exactly one place"}},
	{"a cancelled order has kept its unit", `
		WITH kept AS (
			UPDATE claim_unit SET released_at = NULL, outcome = NULL
			WHERE (claim_id, unit_id) = (
				SELECT claim_unit.claim_id, claim_unit.unit_id
				FROM claim_unit JOIN stock_token USING (unit_id)
				WHERE claim_unit.outcome = 'cancelled'
				LIMIT 1
			)
			RETURNING *
		)
		DELETE FROM stock_token WHERE unit_id IN (SELECT unit_id FROM kept)`,
		[]string{"only holds and orders have units", "has units while it stands"}},
	{"a buyer is counted what the buyer has not",
		`INSERT INTO sale_buyer (sale_id, buyer, unit_count) VALUES (gen_random_uuid(), 'buyer-0', 1)`,
		[]string{"a buyer is counted what the buyer has"}},
	{"an order is left open",
		`UPDATE shop_order SET status = 'awaiting_payment', paid_at = NULL, pay_by = now() WHERE order_id = (SELECT order_id FROM shop_order WHERE status = 'paid' LIMIT 1)`,
		[]string{"every order is final", "captured = paid +", "an order is paid once"}},
	{"a payment is left open",
		`UPDATE payment SET status = 'pending', settled_at = NULL, ask_at = now() WHERE payment_id = (SELECT payment_id FROM payment WHERE status = 'succeeded' AND refunded_minor = 0 LIMIT 1)`,
		[]string{"every payment is settled", "a charge is a payment"}},
	{"a refund is left open",
		`UPDATE refund SET status = 'pending', settled_at = NULL, ask_at = now() WHERE refund_id = (SELECT refund_id FROM refund LIMIT 1)`,
		[]string{"every refund is settled"}},
	{"a charge may still take money",
		`INSERT INTO test_charge (charge_id, amount_minor, currency, status, captures_at) VALUES (gen_random_uuid(), 1, 'EUR', 'pending', now())`,
		[]string{"the provider takes no more money"}},
	{"an event is never published",
		`UPDATE event SET position = NULL WHERE event_id = (SELECT event_id FROM event ORDER BY created_at LIMIT 1)`,
		[]string{"every event is published"}},
	{"a payment is not told",
		`DELETE FROM event WHERE event_id = (SELECT event_id FROM event WHERE type = 'order.paid' LIMIT 1)`,
		[]string{"each change of an order is told once: order.paid"}},
	{"a cancellation is told twice",
		`INSERT INTO event SELECT gen_random_uuid(), type, data, created_at, nextval('event_position') FROM event WHERE type = 'order.cancelled' LIMIT 1`,
		[]string{"each change of an order is told once: order.cancelled"}},
	{"an order replaces one that is paid",
		`UPDATE shop_order SET replaces_order_id = (SELECT min(order_id::text)::uuid FROM shop_order WHERE status = 'paid')
			WHERE order_id = (SELECT max(order_id::text)::uuid FROM shop_order WHERE status = 'paid')`,
		[]string{"an order replaces a cancelled one", "each change of an order is told once: payment.late"}},
}

// told is a correct history: a paid order of which a unit was given back, a cancelled one, and one whose money came too late and bought equal units.
func told() ([]*story, []orderRow, []unitRow) {
	waits := sighting{status: "awaiting_payment", payment: "none"}
	paid := &story{n: 0, buyer: "buyer-0", id: "order-0", total: 300, paid: []string{"decline", "succeed"}, seen: []sighting{
		waits, {status: "paid", payment: "succeeded"}, {status: "paid", payment: "succeeded", refunded: 100},
	}, refunds: []refunded{{[]string{"unit-0"}, "quarantined"}}}
	gone := &story{n: 1, buyer: "buyer-1", id: "order-1", total: 100, seen: []sighting{waits, {status: "cancelled", reason: "cancelled-by-buyer", payment: "none"}}}
	late := &story{n: 2, buyer: "buyer-2", id: "order-2", total: 200, paid: []string{"late:9s"}, seen: []sighting{
		waits, {status: "cancelled", reason: "payment-overdue", payment: "pending"}, {status: "cancelled", reason: "payment-overdue", payment: "none", replacedBy: "order-3"},
	}}
	never := &story{n: 3, buyer: "buyer-3"}
	return []*story{paid, gone, late, never},
		[]orderRow{
			{"order-0", "buyer-0", "paid", "", 300, 100, "", 1},
			{"order-1", "buyer-1", "cancelled", "cancelled-by-buyer", 100, 0, "", 0},
			{"order-2", "buyer-2", "cancelled", "payment-overdue", 200, 0, "", 0},
			{"order-3", "buyer-2", "paid", "", 200, 0, "order-2", 1},
		},
		[]unitRow{
			{"order-0", "unit-0", "quarantined"}, {"order-0", "unit-1", ""}, {"order-0", "unit-2", ""},
			{"order-1", "unit-3", "cancelled"}, {"order-2", "unit-4", "cancelled"}, {"order-3", "unit-5", ""},
		}
}

func TestACorrectHistoryIsNotBlamed(t *testing.T) {
	t.Parallel()
	stories, orders, units := told()
	if f := slices.Concat(checkTold(stories), checkOrders(stories, orders, units)); len(f) > 0 {
		t.Errorf("%q", f)
	}
}

func TestWhatWasToldWronglyIsFound(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		seed func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow)
		want string
	}{
		"a paid order is not paid": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			o[0].Status = "cancelled"
			return o, u
		}, "story 0 of buyer-0, which costs 300, was told"},
		"an order is lost": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) { return o[1:], u },
			"its order order-0 is not in the database"},
		"an order is somebody else's": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			o[0].Buyer = "buyer-1"
			return o, u
		}, "was told"},
		"nobody was told of an order": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			return append(o, orderRow{"order-9", "buyer-1", "paid", "", 1, 0, "", 1}), u
		}, "the database has the order order-9 of buyer-1"},
		"one is paid twice": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			o[2].Charged = 1
			return o, u
		}, "story 2 (order order-2) was paid 2 times"},
		"one is paid and nobody paid": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			s[0].paid = nil
			return o, u
		}, "was paid, and nobody paid"},
		"a paid order is replaced": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			o[2].Status, s[2].seen = "paid", []sighting{{status: "paid", reason: "payment-overdue", replacedBy: "order-3"}}
			return o, u
		}, "is paid and was replaced"},
		"a unit went elsewhere than it was to": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			u[0].Outcome = "returned"
			return o, u
		}, `unit unit-0 was to be "quarantined", and is "returned"`},
		"a unit came back unasked": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			u[1].Outcome = "returned"
			return o, u
		}, `unit unit-1 was to be "", and is "returned"`},
		"a unit that was given back is none of the order's": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) { return o, u[1:] },
			"unit unit-0 was quarantined, and is none of its own"},
		"an order goes back": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			s[1].seen = append(s[1].seen, sighting{status: "paid"})
			return o, u
		}, "story 1 (order order-1) went from cancelled to paid"},
		"a refund is taken back": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			s[0].seen = append(s[0].seen, sighting{status: "paid"})
			return o, u
		}, "100 was refunded, then 0"},
		"the reason changes": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			s[1].seen = append(s[1].seen, sighting{status: "cancelled", reason: "payment-overdue"})
			return o, u
		}, "has changed"},
		"a buyer saw what nobody should": {func(s []*story, o []orderRow, u []unitRow) ([]orderRow, []unitRow) {
			s[3].fail("claim: 500")
			return o, u
		}, "story 3 (order ): claim: 500"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			stories, orders, units := told()
			orders, units = c.seed(stories, orders, units)
			found := strings.Join(slices.Concat(checkTold(stories), checkOrders(stories, orders, units)), "\n")
			if !strings.Contains(found, c.want) {
				t.Errorf("%q was not found, but %s", c.want, found)
			}
		})
	}
}

func TestTheMostThatABuyerHadAtOneInstant(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	for what, c := range map[string]struct {
		holdings []*holding
		most     int
		at       time.Time
	}{
		"nothing":                    {nil, 0, time.Time{}},
		"two for good":               {[]*holding{{"a", at(0), time.Time{}}, {"b", at(1), time.Time{}}}, 2, at(1)},
		"three, one after the other": {[]*holding{{"a", at(0), at(1)}, {"b", at(1), at(2)}, {"c", at(2), time.Time{}}}, 1, at(0)},
		"three for an instant":       {[]*holding{{"a", at(0), at(5)}, {"b", at(1), time.Time{}}, {"c", at(4), at(6)}}, 3, at(4)},
		"told of after it had ended": {[]*holding{{"a", at(5), at(4)}, {"b", at(5), time.Time{}}}, 1, at(5)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if most, when := highest(c.holdings); most != c.most || !when.Equal(c.at) {
				t.Errorf("%d at %v, want %d at %v", most, when, c.most, c.at)
			}
		})
	}
}

func TestARefusalThatIsNotTrueIsFound(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour)
	has := func(n int) (all []*holding) {
		for i := range n {
			all = append(all, &holding{fmt.Sprint(i), time.Now().Add(-time.Minute), time.Time{}})
		}
		return all
	}
	for what, c := range map[string]struct {
		has   int
		alone bool
		err   *problem
		wrong bool
	}{
		"at the limit":                        {2, true, &problem{Code: "purchase-limit"}, false},
		"below the limit":                     {1, true, &problem{Code: "purchase-limit"}, true},
		"below the limit, asking for more":    {1, false, &problem{Code: "purchase-limit"}, false},
		"all held while there must be one":    {1, true, &problem{Code: "all-held", NextReleaseAt: &soon}, true},
		"all held until what lapsed is free":  {1, true, &problem{Code: "all-held"}, false},
		"sold out while nothing is sold":      {2, false, &problem{Code: "sold-out"}, true},
		"all held while the buyer has enough": {2, true, &problem{Code: "all-held", NextReleaseAt: &soon}, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := &hoarder{name: "buyer-0", holdings: has(c.has), alone: c.alone}
			b.refused(fmt.Errorf("direct: %w", c.err), time.Now(), 2)
			if wrong := len(b.findings) > 0; wrong != c.wrong {
				t.Errorf("found: %v, want %v: %q", wrong, c.wrong, b.findings)
			}
		})
	}
}

func TestAnEventThatWasMissedIsFound(t *testing.T) {
	t.Parallel()
	there := []string{"a", "b", "c"}
	for what, read := range map[string][]string{
		"missed": {"a", "c"}, "missed at the end": {"a", "b"}, "twice": {"a", "a", "b", "c"}, "in another order": {"b", "a", "c"}, "another": {"a", "b", "d", "c"},
	} {
		if len(checkFeed(read, there)) == 0 {
			t.Errorf("%s was not found", what)
		}
	}
	if f := checkFeed([]string{"a", "b", "c", "newer"}, there); len(f) > 0 {
		t.Errorf("%q", f)
	}
}

func TestAnExportInDisorderIsFound(t *testing.T) {
	t.Parallel()
	id := func(n int) string { return fmt.Sprintf("019b1234-5678-7abc-8def-%012d", n) }
	for what, c := range map[string]struct {
		lines  []string
		orders int
		wrong  bool
	}{
		"newest first":        {[]string{id(3), id(2), id(2), id(1)}, 3, false},
		"an order comes back": {[]string{id(3), id(2), id(3)}, 3, true},
		"no order":            {[]string{id(3), "x"}, 2, true},
	} {
		r := &exported{}
		for _, line := range c.lines {
			r.line([]byte(line+",paid\n"), csvID)
		}
		if r.orders != c.orders || (r.disorder != "") != c.wrong || r.lines != len(c.lines) {
			t.Errorf("%s: %d orders, %q", what, r.orders, r.disorder)
		}
	}
	for text, ok := range map[string]bool{
		`{"id":"` + id(1) + `","lines":[{}]}`: true, `{"id":"` + id(1) + `","lines":[]}`: false, `{"id":"` + id(1): false,
	} {
		if got, err := jsonID([]byte(text)); (err == nil) != ok || ok && got != id(1) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
