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
			+ (SELECT count(*) FROM withdrawal_unit WHERE withdrawal_unit.unit_id = unit.unit_id) <> 1`,
	"the places add up to the units": `
		SELECT abs((SELECT count(*) FROM unit)
			- (SELECT count(*) FROM stock_token)
			- (SELECT count(*) FROM claim_unit WHERE released_at IS NULL)
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
		WHERE CASE status WHEN 'held' THEN quantity ELSE 0 END
			<> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL)`,
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
	n := ask[int](t, c.after, `SELECT (SELECT count(*) FROM claim WHERE claim_id = ANY($1)) + (SELECT count(*) FROM claim_unit WHERE claim_id = ANY($1))`, c.undone)
	if n != 0 {
		t.Errorf("%d rows are left of claims that were rolled back", n)
	}
}

// checkThatMuchHappened keeps the test from passing because nothing went on.
func (c *crowd) checkThatMuchHappened(t *testing.T) {
	t.Logf("%v", c.tally)
	for what, least := range map[string]int{
		"claim committed": 100, "release committed": 50, "expire committed": 30, "withdraw committed": 1, "receive committed": 5,
		"killed": 20, errChangedMind.Error(): 20, errKeyTaken.Error(): 5,
	} {
		if c.tally[what] < least {
			t.Errorf("%s: %d times, too few to show anything", what, c.tally[what])
		}
	}
	for _, query := range []string{
		`SELECT count(*) FROM claim WHERE status = 'expired'`,
		`SELECT count(*) FROM claim WHERE status = 'released'`,
		`SELECT count(*) FROM (SELECT unit_id FROM token_life GROUP BY unit_id HAVING count(*) > 2) AS came_back_twice`,
	} {
		if ask[int64](t, c.after, query) < 10 {
			t.Errorf("%s: hardly any, too few to show anything", query)
		}
	}
}

func TestTheCountsFindWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	own, other := c.products[0], c.products[1]
	c.checkRows(t)
	for name, breakIt := range map[string]string{
		"every unit is in exactly one place":                 `DELETE FROM stock_token WHERE position = 1`,
		"the places add up to the units":                     `INSERT INTO withdrawal_unit SELECT unit_id, gen_random_uuid() FROM stock_token WHERE position = 1`,
		"the receipts add up to the units":                   `UPDATE receipt SET quantity = quantity - 1 WHERE product_id = $1`,
		"a withdrawal has its quantity":                      `INSERT INTO withdrawal VALUES (gen_random_uuid(), $1, 1, 'r', gen_random_uuid(), NULL, now())`,
		"a claim has or had its quantity":                    claimRow + ` VALUES (gen_random_uuid(), 'b', $1, 0, 2, 'released', now(), now(), now())`,
		"a hold keeps all its units and what has ended none": claimRow + ` VALUES (gen_random_uuid(), 'b', $1, 0, 2, 'held', now(), now(), NULL)`,
		"a claim has units of its own product only":          `INSERT INTO claim_unit SELECT gen_random_uuid(), unit_id FROM stock_token WHERE product_id = $1`,
		"a token lies under its unit's product":              `UPDATE stock_token SET product_id = $2 WHERE product_id = $1`,
		"a unit that comes back gets a higher position":      `INSERT INTO token_life (unit_id, position) SELECT unit_id, position FROM token_life WHERE position = 1`,
	} {
		tx, err := c.after.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		breakRows(t, tx, breakIt, own, other)
		if n := ask[int64](t, tx, broken[name]); n == 0 {
			t.Errorf("%s: not found after %s", name, breakIt)
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
