package db_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

const (
	productRow    = `INSERT INTO product (sku, price_minor, currency) VALUES `
	keyRow        = `INSERT INTO api_key (api_key_id, name, key_hash, scopes) VALUES `
	receiptRow    = `INSERT INTO receipt (receipt_id, product_id, quantity, reference, api_key_id, idempotency_key, created_at) VALUES `
	unitRow       = `INSERT INTO unit (unit_id, product_id, receipt_id, serial) VALUES `
	withdrawalRow = `INSERT INTO withdrawal (withdrawal_id, product_id, quantity, reason, api_key_id, idempotency_key, created_at) VALUES `
	tokenRow      = `INSERT INTO stock_token (product_id, pool_id, position, unit_id) VALUES `
	heldRow       = `INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, price_minor, currency, created_at, expires_at) VALUES `
	auditRow      = `INSERT INTO audit_run (audit_run_id, ok, checks, api_key_id, idempotency_key, started_at, finished_at) VALUES `
	anID          = `gen_random_uuid()`
	oneID         = `'01900000-0000-7000-8000-000000000001'`
	inAnHour      = `now() + interval '1 hour'`
	hash          = `sha256('a')`
	queuedRow     = `INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, queue_place, reason, created_at, ended_at) VALUES `
	endedRow      = claimRow + ` VALUES (gen_random_uuid(), 'b', 1, 0, 1, `
)

// bites has, for each constraint, statements of which the last must break it, and only the last. The product with the id 1 exists.
func bites() map[string][][]string {
	all := maps.Clone(stockBites)
	maps.Copy(all, orderBites)
	maps.Copy(all, courseBites)
	maps.Copy(all, webhookBites)
	return all
}

// stockBites are bites of what there was before anything was ordered: products, stock and claims.
var stockBites = map[string][][]string{
	"product_sku_once":           {{productRow + `('A', NULL, NULL)`, productRow + `('A', NULL, NULL)`}},
	"product_sku_form":           {{productRow + `('', NULL, NULL)`}, {productRow + `('a b', NULL, NULL)`}, {productRow + `(repeat('a', 65), NULL, NULL)`}},
	"product_price_whole":        {{productRow + `('A', 1, NULL)`}, {productRow + `('A', NULL, 'EUR')`}},
	"product_price_not_negative": {{productRow + `('A', -1, 'EUR')`}},
	"product_currency_form":      {{productRow + `('A', 1, 'eur')`}, {productRow + `('A', 1, 'EURO')`}},

	"api_key_hash_once":      {{keyRow + `(` + anID + `, 'k', ` + hash + `, '{*}')`, keyRow + `(` + anID + `, 'l', ` + hash + `, '{*}')`}},
	"api_key_hash_is_sha256": {{keyRow + `(` + anID + `, 'k', 'the secret itself', '{*}')`}},
	"api_key_name_length":    {{keyRow + `(` + anID + `, '', ` + hash + `, '{*}')`}, {keyRow + `(` + anID + `, repeat('k', 101), ` + hash + `, '{*}')`}},
	"api_key_scopes_known":   {{keyRow + `(` + anID + `, 'k', ` + hash + `, '{}')`}, {keyRow + `(` + anID + `, 'k', ` + hash + `, '{claim,everything}')`}},

	"receipt_key_once": {{
		receiptRow + `(` + anID + `, 1, 1, 'r', ` + oneID + `, 'k', now())`, receiptRow + `(` + anID + `, 1, 1, 'r', ` + oneID + `, 'k', now())`,
	}},
	"receipt_product_fkey": {{receiptRow + `(` + anID + `, 99, 1, 'r', ` + anID + `, NULL, now())`}},
	"receipt_quantity_range": {
		{receiptRow + `(` + anID + `, 1, 0, 'r', ` + anID + `, NULL, now())`},
		{receiptRow + `(` + anID + `, 1, -1, 'r', ` + anID + `, NULL, now())`},
		{receiptRow + `(` + anID + `, 1, 1000001, 'r', ` + anID + `, NULL, now())`},
	},
	"receipt_reference_length": {{receiptRow + `(` + anID + `, 1, 1, '', ` + anID + `, NULL, now())`}},
	"receipt_key_length":       {{receiptRow + `(` + anID + `, 1, 1, 'r', ` + anID + `, repeat('k', 256), now())`}},

	"unit_serial_once":   {{unitRow + `(` + anID + `, 1, ` + anID + `, 's')`, unitRow + `(` + anID + `, 2, ` + anID + `, 's')`, unitRow + `(` + anID + `, 1, ` + anID + `, 's')`}},
	"unit_serial_length": {{unitRow + `(` + anID + `, 1, ` + anID + `, '')`}},

	"withdrawal_key_once": {{
		withdrawalRow + `(` + anID + `, 1, 1, 'r', ` + oneID + `, 'k', now())`, withdrawalRow + `(` + anID + `, 1, 1, 'r', ` + oneID + `, 'k', now())`,
	}},
	"withdrawal_product_fkey": {{withdrawalRow + `(` + anID + `, 99, 1, 'r', ` + anID + `, NULL, now())`}},
	"withdrawal_quantity_range": {
		{withdrawalRow + `(` + anID + `, 1, 0, 'r', ` + anID + `, NULL, now())`},
		{withdrawalRow + `(` + anID + `, 1, -1, 'r', ` + anID + `, NULL, now())`},
	},
	"withdrawal_reason_length": {{withdrawalRow + `(` + anID + `, 1, 1, '', ` + anID + `, NULL, now())`}},
	"withdrawal_key_length":    {{withdrawalRow + `(` + anID + `, 1, 1, 'r', ` + anID + `, '', now())`}},
	"withdrawal_unit_once": {{
		`INSERT INTO withdrawal_unit VALUES (` + oneID + `, ` + anID + `)`, `INSERT INTO withdrawal_unit VALUES (` + oneID + `, ` + anID + `)`,
	}},

	"stock_token_pkey":      {{tokenRow + `(1, 0, 1, ` + anID + `)`, tokenRow + `(1, 7, 1, ` + anID + `)`, tokenRow + `(1, 0, 1, ` + anID + `)`}},
	"stock_token_unit_once": {{tokenRow + `(1, 0, 1, ` + oneID + `)`, tokenRow + `(2, 7, 2, ` + oneID + `)`}},

	"claim_buyer_length": {
		{heldRow + `(` + anID + `, '', 1, 0, 1, 'held', NULL, NULL, NULL, now(), ` + inAnHour + `)`},
		{heldRow + `(` + anID + `, repeat('b', 129), 1, 0, 1, 'held', NULL, NULL, NULL, now(), ` + inAnHour + `)`},
	},
	"claim_key_length": {{heldRow + `(` + anID + `, 'b', 1, 0, 1, 'held', repeat('k', 256), NULL, NULL, now(), ` + inAnHour + `)`}},
	"claim_key_once": {{
		heldRow + `(` + anID + `, 'b', 1, 0, 1, 'held', 'k', NULL, NULL, now(), ` + inAnHour + `)`,
		heldRow + `(` + anID + `, 'c', 1, 0, 1, 'held', 'k', NULL, NULL, now(), ` + inAnHour + `)`,
		`UPDATE claim SET status = 'released', ended_at = now()`, // a key stays bound when its transaction has ended
		heldRow + `(` + anID + `, 'b', 2, 0, 2, 'held', 'k', NULL, NULL, now(), ` + inAnHour + `)`,
	}},
	"claim_quantity_positive": {
		{heldRow + `(` + anID + `, 'b', 1, 0, 0, 'held', NULL, NULL, NULL, now(), ` + inAnHour + `)`},
		{heldRow + `(` + anID + `, 'b', 1, 0, -1, 'held', NULL, NULL, NULL, now(), ` + inAnHour + `)`},
	},
	"claim_status_known": {
		{endedRow + `'lost', now(), now(), now())`},
		{endedRow + `'Held', now(), now(), now())`},
		{endedRow + `'', now(), now(), now())`},
	},
	"claim_held_until": {{endedRow + `'held', now(), NULL, NULL)`}},
	"claim_ended_when_not_live": {
		{endedRow + `'held', now(), now(), now())`},
		{queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'queued', 0, NULL, now(), now())`},
		{endedRow + `'ordered', now(), now(), NULL)`},
		{endedRow + `'released', now(), now(), NULL)`},
		{endedRow + `'expired', now(), now(), NULL)`},
		{queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'refused', 0, 'sold-out', now(), NULL)`},
	},
	"claim_expired_not_early": {
		{endedRow + `'expired', now(), now(), now() - interval '1 microsecond')`},
		{
			heldRow + `(` + anID + `, 'b', 1, 0, 1, 'held', NULL, NULL, NULL, now(), ` + inAnHour + `)`,
			`UPDATE claim SET status = 'expired', ended_at = expires_at - interval '1 microsecond'`,
		},
	},
	"claim_price_whole": {
		{heldRow + `(` + anID + `, 'b', 1, 0, 1, 'held', NULL, 1, NULL, now(), ` + inAnHour + `)`},
		{heldRow + `(` + anID + `, 'b', 1, 0, 1, 'held', NULL, NULL, 'EUR', now(), ` + inAnHour + `)`},
	},

	"claim_queued_in_place": {
		{queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'queued', NULL, NULL, now(), NULL)`},
		{queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'refused', NULL, 'sold-out', now(), now())`},
	},
	"claim_refused_for_a_reason": {
		{queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'refused', 0, NULL, now(), now())`},
		{queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'queued', 0, 'sold-out', now(), NULL)`},
	},
	"claim_place_once": {{
		queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'queued', 5, NULL, now(), NULL)`,
		queuedRow + `(` + anID + `, 'b', 2, 0, 1, 'queued', 5, NULL, now(), NULL)`,
		queuedRow + `(` + anID + `, 'b', 1, 7, 1, 'queued', 5, NULL, now(), NULL)`,
		`UPDATE claim SET status = 'released', ended_at = now()`, // a place is not given out again
		queuedRow + `(` + anID + `, 'c', 1, 0, 1, 'queued', 5, NULL, now(), NULL)`,
	}},

	"claim_unit_live_once": {{
		`INSERT INTO claim_unit VALUES (` + anID + `, ` + oneID + `, now())`,
		`INSERT INTO claim_unit VALUES (` + anID + `, ` + oneID + `, NULL)`,
		`INSERT INTO claim_unit VALUES (` + anID + `, ` + oneID + `, NULL)`,
	}},

	"audit_run_key_once": {{
		auditRow + `(` + anID + `, true, '[]', ` + oneID + `, 'k', now(), now())`, auditRow + `(` + anID + `, true, '[]', ` + oneID + `, 'k', now(), now())`,
	}},
	"audit_run_key_length": {{auditRow + `(` + anID + `, true, '[]', ` + oneID + `, '', now(), now())`}},
}

// Each statement runs in a transaction of its own, which is rolled back, so that cases can't lean on each other.
func TestEveryConstraintBites(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	makeProduct(t, conn, "first")
	all := bites()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, statements := range all[name] {
			err := tryAll(t, conn, statements)
			if !pgdb.ViolatesConstraint(err, name) {
				t.Errorf("%s: %s gives %v", name, statements[len(statements)-1], err)
			}
			if pgdb.ViolatesConstraint(err, name+"_not") {
				t.Errorf("%s: the error is taken for another constraint's", name)
			}
		}
	}
}

// tryAll returns the error of the last statement; the others must succeed.
func tryAll(t *testing.T, conn *pgx.Conn, statements []string) error {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	last := len(statements) - 1
	for _, statement := range statements[:last] {
		exec(t, tx, statement)
	}
	_, err = tx.Exec(t.Context(), statements[last])
	return err
}

func TestNoConstraintIsWithoutATest(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	rows, err := conn.Query(t.Context(), `
		SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION
		SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indisunique AND relnamespace = 'public'::regnamespace
		UNION
		SELECT tgname FROM pg_trigger WHERE NOT tgisinternal`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"claim_moves_forward": true, "shop_order_moves_forward": true} // they have tests of their own
	for name := range bites() {
		known[name] = true
		if !slices.Contains(names, name) {
			t.Errorf("%s is tested, but is no constraint", name)
		}
	}
	for _, name := range names {
		// An id is made by us and random; a second one with the same value is no business rule.
		if !known[name] && !strings.HasSuffix(name, "_pkey") && !strings.HasPrefix(name, "goose_") && !strings.HasSuffix(name, "_not_null") {
			t.Errorf("%s has no case that breaks it", name)
		}
	}
}

func TestATransactionMovesOnlyForward(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	allowed := map[string][]string{
		"queued": {"held", "refused", "released"},
		"held":   {"ordered", "released", "expired"},
	}
	states := []string{"queued", "held", "ordered", "released", "expired", "refused"}
	endedAt := func(state string) string {
		switch state {
		case "queued", "held":
			return "NULL"
		case "ordered": // before it expires
			return "now() - interval '1 microsecond'"
		}
		return "now()"
	}
	orderID := func(state string) string {
		if state == "ordered" {
			return oneID
		}
		return "NULL"
	}
	reason := func(state string) string {
		if state == "refused" {
			return "'sold-out'"
		}
		return "NULL"
	}
	for _, from := range states {
		for _, to := range states {
			err := tryAll(t, conn, []string{
				queuedRow + `(` + anID + `, 'b', 1, 0, 1, 'queued', 0, NULL, now(), NULL)`,
				`ALTER TABLE claim DISABLE TRIGGER claim_moves_forward`,
				`UPDATE claim SET status = '` + from + `', reason = ` + reason(from) + `, order_id = ` + orderID(from) + `, expires_at = now(), ended_at = ` + endedAt(from),
				`ALTER TABLE claim ENABLE TRIGGER claim_moves_forward`,
				`UPDATE claim SET status = '` + to + `', reason = ` + reason(to) + `, order_id = ` + orderID(to) + `, ended_at = ` + endedAt(to),
			})
			switch {
			case from == to || slices.Contains(allowed[from], to):
				if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			case !pgdb.ViolatesConstraint(err, "claim_moves_forward"):
				t.Errorf("%s to %s gives %v", from, to, err)
			}
		}
	}
}

func TestAUnitLeavesOneClaimAndEntersTheNext(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	if err := tryAll(t, conn, []string{
		`INSERT INTO claim_unit VALUES (` + anID + `, ` + oneID + `, NULL)`,
		`UPDATE claim_unit SET released_at = clock_timestamp()`,
		`INSERT INTO claim_unit VALUES (` + anID + `, ` + oneID + `, NULL)`,
		`UPDATE claim_unit SET released_at = clock_timestamp() WHERE released_at IS NULL`,
		`INSERT INTO claim_unit VALUES (` + anID + `, ` + oneID + `, NULL)`,
	}); err != nil {
		t.Errorf("a unit that was released twice can't be claimed: %v", err)
	}
}
