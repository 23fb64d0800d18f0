package db_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// broken counts, rule by rule, the rows that break it. No rule rests on a statement of the product.
var broken = map[string]string{
	"every unit is in exactly one place": `
		SELECT count(*)
		FROM unit
		WHERE (SELECT count(*) FROM stock_token WHERE stock_token.unit_id = unit.unit_id)
			+ (SELECT count(*) FROM claim_unit WHERE claim_unit.unit_id = unit.unit_id AND claim_unit.released_at IS NULL)
			+ (SELECT count(*) FROM quarantine_unit WHERE quarantine_unit.unit_id = unit.unit_id AND quarantine_unit.left_at IS NULL)
			+ (SELECT count(*) FROM withdrawal_unit WHERE withdrawal_unit.unit_id = unit.unit_id) <> 1`,
	"the places add up to the units": `
		SELECT abs((SELECT count(*) FROM unit)
			- (SELECT count(*) FROM stock_token)
			- (SELECT count(*) FROM claim_unit WHERE released_at IS NULL)
			- (SELECT count(*) FROM quarantine_unit WHERE left_at IS NULL)
			- (SELECT count(*) FROM withdrawal_unit))`,
	"the receipts add up to the units": `
		SELECT count(*)
		FROM receipt
		WHERE quantity <> (SELECT count(*) FROM unit WHERE unit.receipt_id = receipt.receipt_id AND unit.product_id = receipt.product_id)`,
	"a withdrawal has its quantity": `
		SELECT count(*)
		FROM withdrawal
		WHERE quantity <> (SELECT count(*) FROM withdrawal_unit WHERE withdrawal_unit.withdrawal_id = withdrawal.withdrawal_id)`,
	"a claim has or had its quantity": `
		SELECT count(*)
		FROM claim
		WHERE quantity <> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id)`,
	"a hold keeps all its units and what has ended none": `
		SELECT count(*)
		FROM claim
		WHERE status <> 'ordered'
			AND CASE status WHEN 'held' THEN quantity ELSE 0 END
				<> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL)`,
	"an order that awaits payment keeps all its units": `
		SELECT count(*)
		FROM claim
		JOIN shop_order USING (order_id)
		WHERE shop_order.status = 'awaiting_payment'
			AND quantity <> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL)`,
	"an order that is paid has units and one that has ended none": `
		SELECT count(*)
		FROM shop_order
		WHERE status IN ('paid', 'cancelled', 'refunded')
			AND (status = 'paid') <> EXISTS (SELECT FROM claim JOIN claim_unit USING (claim_id) WHERE claim.order_id = shop_order.order_id AND released_at IS NULL)`,
	"a claim is unpaid while its order awaits payment": `
		SELECT count(*)
		FROM claim
		LEFT JOIN shop_order USING (order_id)
		WHERE unpaid IS DISTINCT FROM coalesce(shop_order.status = 'awaiting_payment', false)`,
	"what is ordered has an order of its buyer": `
		SELECT count(*)
		FROM claim
		LEFT JOIN shop_order USING (order_id)
		WHERE claim.status = 'ordered' AND claim.buyer IS DISTINCT FROM shop_order.buyer`,
	"an order is of something": `
		SELECT count(*)
		FROM shop_order
		WHERE NOT EXISTS (SELECT FROM claim WHERE claim.order_id = shop_order.order_id)`,
	"a unit that has left an order says how, and no other does": `
		SELECT count(*)
		FROM claim_unit
		LEFT JOIN claim USING (claim_id)
		LEFT JOIN shop_order USING (order_id)
		WHERE outcome IS NOT NULL IS DISTINCT FROM (claim.status = 'ordered' AND released_at IS NOT NULL)
			OR (outcome = 'cancelled') <> (shop_order.status = 'cancelled')`,
	"a unit was in quarantine as often as an order put it there": `
		SELECT count(*)
		FROM unit
		WHERE (SELECT count(*) FROM claim_unit WHERE claim_unit.unit_id = unit.unit_id AND outcome = 'quarantined')
			<> (SELECT count(*) FROM quarantine_unit WHERE quarantine_unit.unit_id = unit.unit_id AND quarantine_unit.product_id = unit.product_id)`,
	"a buyer has as much of a sale as is counted, and no more than the limit": `
		SELECT count(*)
		FROM (
			SELECT sale_id, buyer, count(*) AS has
			FROM claim
			JOIN claim_unit USING (claim_id)
			WHERE sale_id IS NOT NULL AND released_at IS NULL
			GROUP BY sale_id, buyer
		) AS own
		FULL JOIN sale_buyer USING (sale_id, buyer)
		LEFT JOIN sale USING (sale_id)
		WHERE coalesce(has, 0) IS DISTINCT FROM unit_count OR unit_count > sale.purchase_limit`,
	"a token lies in the common pool or in an allotment of its product": `
		SELECT count(*)
		FROM stock_token
		WHERE pool_id <> 0 AND NOT EXISTS (
			SELECT
			FROM sale
			JOIN sale_item USING (sale_id)
			WHERE sale.pool_id = stock_token.pool_id AND sale_item.product_id = stock_token.product_id AND sale_item.quantity IS NOT NULL
		)`,
	"a unit comes back to the pool that it was claimed from": `
		SELECT count(*)
		FROM (SELECT unit_id, pool_id, lag(pool_id) OVER (PARTITION BY unit_id ORDER BY id) AS before FROM token_life) AS life
		WHERE pool_id <> before
			AND NOT EXISTS (SELECT FROM quarantine_unit WHERE quarantine_unit.unit_id = life.unit_id AND outcome = 'released')`,
	"a claim has units of its own product only": `
		SELECT count(*)
		FROM claim_unit
		LEFT JOIN claim USING (claim_id)
		LEFT JOIN unit USING (unit_id)
		WHERE claim.product_id IS DISTINCT FROM unit.product_id`,
	"a token lies under its unit's product": `
		SELECT count(*)
		FROM stock_token
		LEFT JOIN unit USING (unit_id)
		WHERE stock_token.product_id IS DISTINCT FROM unit.product_id`,
	"a unit that comes back gets a higher position": `
		SELECT count(*)
		FROM (SELECT position, lag(position) OVER (PARTITION BY unit_id ORDER BY id) AS before FROM token_life) AS life
		WHERE position <= before`,
}

func (c *crowd) checkRows(t *testing.T) {
	for rule, query := range broken {
		if n := ask[int64](t, c.after, query); n != 0 {
			t.Errorf("%s: broken by %d rows", rule, n)
		}
	}
}

// checkAnswers holds the database to what the commits have said.
func (c *crowd) checkAnswers(t *testing.T) {
	for id, units := range c.answered {
		rows := ask[[]pgdb.ID](t, c.after, `SELECT array_agg(unit_id) FROM claim_unit JOIN claim USING (claim_id) WHERE claim_id = $1`, id)
		for _, list := range [][]pgdb.ID{rows, units} {
			slices.SortFunc(list, func(a, b pgdb.ID) int { return bytes.Compare(a[:], b[:]) })
		}
		if !slices.Equal(rows, units) {
			t.Errorf("claim %s was answered with %v, but has %v", id, units, rows)
		}
	}
	n := ask[int](t, c.after, `
		SELECT (SELECT count(*) FROM claim WHERE claim_id = ANY($1) OR order_id = ANY($1))
			+ (SELECT count(*) FROM claim_unit WHERE claim_id = ANY($1)) + (SELECT count(*) FROM shop_order WHERE order_id = ANY($1))`, c.undone)
	if n != 0 {
		t.Errorf("%d rows are left of claims and orders that were rolled back", n)
	}
	for id, told := range c.told {
		status := ask[string](t, c.after, `SELECT coalesce((SELECT status FROM shop_order WHERE order_id = $1), 'missing')`, id)
		if status != told && (told == "cancelled" || told == "refunded" || told == "paid" && status != "refunded" || status == "missing") {
			t.Errorf("order %s was said to be %s, but is %s", id, told, status)
		}
	}
}

// checkThatMuchHappened keeps the test from passing because nothing went on.
func (c *crowd) checkThatMuchHappened(t *testing.T) {
	t.Logf("%v", c.tally)
	for what, least := range map[string]int{
		"claim committed": 100, "release committed": 20, "free committed": 30, "withdraw committed": 1, "receive committed": 5,
		"order committed": 40, "cancel committed": 3, "pay committed": 5, "give back committed": 20, "unquarantine committed": 5,
		"killed": 20, errChangedMind.Error(): 20, errKeyTaken.Error(): 5, errTooLate.Error(): 20, errLimit.Error(): 3,
	} {
		if c.tally[what] < least {
			t.Errorf("%s: %d times, too few to show anything", what, c.tally[what])
		}
	}
	for _, query := range []string{
		`SELECT count(*) FROM claim WHERE status = 'expired'`,
		`SELECT count(*) FROM claim WHERE status = 'released'`,
		`SELECT count(*) FROM claim WHERE status = 'ordered' AND sale_id IS NOT NULL`,
		`SELECT count(*) FROM (SELECT unit_id FROM token_life GROUP BY unit_id HAVING count(*) > 2) AS came_back_twice`,
		`SELECT count(*) FROM shop_order WHERE reason = 'payment-overdue'`,
		`SELECT count(*) FROM claim_unit WHERE outcome = 'returned'`,
		`SELECT count(*) FROM claim_unit WHERE outcome = 'quarantined'`,
		`SELECT count(*) FROM claim_unit WHERE outcome = 'written_off'`,
	} {
		if ask[int64](t, c.after, query) < 10 {
			t.Errorf("%s: hardly any, too few to show anything", query)
		}
	}
}

func TestTheCountsFindWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	own, other := c.pools[0].product, c.pools[1].product
	c.checkRows(t)
	cases := map[string][]string{
		"every unit is in exactly one place":                 {`DELETE FROM stock_token WHERE position = 1`},
		"the places add up to the units":                     {`INSERT INTO withdrawal_unit SELECT unit_id, gen_random_uuid() FROM stock_token WHERE position = 1`},
		"the receipts add up to the units":                   {`UPDATE receipt SET quantity = quantity - 1 WHERE product_id = $1`},
		"a withdrawal has its quantity":                      {`INSERT INTO withdrawal VALUES (gen_random_uuid(), $1, 1, 'r', gen_random_uuid(), NULL, now())`},
		"a claim has or had its quantity":                    {claimRow + ` VALUES (gen_random_uuid(), 'b', $1, 0, 2, 'released', now(), now(), now())`},
		"a hold keeps all its units and what has ended none": {claimRow + ` VALUES (gen_random_uuid(), 'b', $1, 0, 2, 'held', now(), now(), NULL)`},
		"a claim has units of its own product only":          {`INSERT INTO claim_unit SELECT gen_random_uuid(), unit_id FROM stock_token WHERE product_id = $1`},
		"a token lies under its unit's product":              {`UPDATE stock_token SET product_id = $2 WHERE product_id = $1`},
		"a unit that comes back gets a higher position":      {`INSERT INTO token_life (unit_id, position) SELECT unit_id, position FROM token_life WHERE position = 1`},

		"an order that awaits payment keeps all its units":            {theOrder, aLine.insert("order_id", oneID)},
		"an order that is paid has units and one that has ended none": {aPaid.insert()},
		"a claim is unpaid while its order awaits payment":            {theOrder, aLine.insert("order_id", oneID)},
		"what is ordered has an order of its buyer":                   {aLine.insert()},
		"an order is of something":                                    {aCancel.insert()},
		"a unit that has left an order says how, and no other does":   {aLine.insert("claim_id", oneID), aUnitGone.insert("claim_id", oneID, "outcome", `NULL`)},
		"a unit was in quarantine as often as an order put it there":  {`INSERT INTO quarantine_unit SELECT unit_id, product_id, unit_id, now() FROM unit LIMIT 1`},
		"a buyer has as much of a sale as is counted, and no more than the limit": {
			`INSERT INTO sale_buyer SELECT sale_id, 'b', 1 FROM sale`,
		},
		"a token lies in the common pool or in an allotment of its product": {`UPDATE stock_token SET pool_id = 99 WHERE position = 1`},
		"a unit comes back to the pool that it was claimed from":            {`INSERT INTO token_life (unit_id, pool_id, position) SELECT unit_id, 99, 9999 FROM token_life WHERE position = 1`},
	}
	for name, query := range broken {
		if len(cases[name]) == 0 {
			t.Errorf("%s: nothing breaks it", name)
			continue
		}
		tx, err := c.after.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range cases[name] {
			breakRows(t, tx, statement, own, other)
		}
		if n := ask[int64](t, tx, query); n == 0 {
			t.Errorf("%s: not found after %s", name, cases[name])
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

const claimRow = `INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, created_at, expires_at, ended_at)`

// breakRows fills in as many of the products as the statement has parameters.
func breakRows(t *testing.T, db dbsqlc.DBTX, statement string, products ...any) {
	t.Helper()
	used := 0
	for i := range products {
		if bytes.Contains([]byte(statement), []byte{'$', byte('1' + i)}) {
			used = i + 1
		}
	}
	exec(t, db, statement, products[:used]...)
}
