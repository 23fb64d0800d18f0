// Package bench_test runs the pgbench scripts and holds them to the statements that the service uses.
package bench_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestManyClientsClaimReleaseAndExpireAtOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	conn := connect(t, url)
	longer(func(seconds string) (enough bool) {
		said, err := script(t, "./pgbench.sh", url, "32", seconds)
		if err != nil {
			t.Fatalf("pgbench.sh: %v\n%s", err, said)
		}
		if !strings.HasSuffix(said, "\n0 violations\n") {
			t.Errorf("pgbench.sh ends without the count:\n%s", said)
		}
		return count(t, conn, `
			SELECT count(*)
			FROM (SELECT FROM claim WHERE status IN ('held', 'released', 'expired') GROUP BY status HAVING count(*) >= 10) AS enough`) == 3
	})
	if n := count(t, conn, astray); n != 0 {
		t.Errorf("%d units are not in exactly one place", n)
	}
	if n := count(t, conn, `SELECT count(*) FROM unit`); n != 800 {
		t.Errorf("%d units, want 800", n)
	}
	for _, status := range []string{"held", "released", "expired"} {
		if n := count(t, conn, `SELECT count(*) FROM claim WHERE status = $1`, status); n < 10 {
			t.Errorf("%d claims are %s: too few to show anything", n, status)
		}
	}
}

// astray counts the units that are not in exactly one place, in another way than check.sql does: each is to be once in the list of all places.
const astray = `
	SELECT count(*)
	FROM (
		SELECT unit_id FROM stock_token
		UNION ALL
		SELECT unit_id FROM claim_unit JOIN claim USING (claim_id) WHERE released_at IS NULL AND status = 'held'
	) AS place
	FULL JOIN unit USING (unit_id)
	GROUP BY unit_id
	HAVING count(*) <> 1 OR count(unit.unit_id) <> 1 OR count(place.unit_id) <> 1`

// longer runs something for longer and longer until enough has happened, since it depends on the machine how much does in a second.
func longer(run func(seconds string) (enough bool)) {
	for _, seconds := range []string{"3", "10", "30"} {
		if run(seconds) {
			return
		}
	}
}

func TestTheScriptFailsWhenAUnitIsSoldTwice(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	conn := connect(t, url)
	execute(t, conn, `CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO stock_token SELECT product_id, 0, nextval('stock_token_position'), NEW.unit_id FROM claim WHERE claim_id = NEW.claim_id;
		RETURN NULL; END $$`)
	execute(t, conn, `CREATE TRIGGER put_back AFTER INSERT ON claim_unit FOR EACH ROW WHEN (NEW.unit_id::text LIKE '%0') EXECUTE FUNCTION put_back()`)
	execute(t, conn, `ALTER TABLE stock_token DROP CONSTRAINT stock_token_unit_once`)
	execute(t, conn, `ALTER TABLE claim_unit DROP CONSTRAINT claim_unit_live_once, DROP CONSTRAINT claim_unit_pkey`)
	var said string
	var err error
	longer(func(seconds string) (enough bool) {
		said, err = script(t, "./pgbench.sh", url, "4", seconds)
		return count(t, conn, `SELECT count(*) FROM claim_unit WHERE unit_id::text LIKE '%0'`) > 0
	})
	if err == nil || !strings.Contains(said, "units that are not in exactly one place") || strings.Contains(said, "ERROR") {
		t.Errorf("pgbench.sh does not fail: %v\n%s", err, said)
	}
}

func TestEachRuleOfTheCheckFindsWhatBreaksIt(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	execute(t, conn, read(t, "setup.sql")+read(t, "receive.sql"))
	check := read(t, "check.sql")
	const (
		claim = `INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, expires_at, ended_at)
			SELECT gen_random_uuid(), 'b', 1, 0, 1, `
		line = `INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, created_at, ended_at, order_id, unpaid)
			SELECT gen_random_uuid(), 'b', 1, 0, 1, 'ordered', now(), now(), order_id, `
		order = `INSERT INTO shop_order (order_id, buyer, status, provider, pay_by, created_at) VALUES (gen_random_uuid(), 'b', 'awaiting_payment', 'test', now(), now()); `
	)
	breaking := map[string]string{
		"units that are not in exactly one place":                                  `DELETE FROM stock_token WHERE position = 1`,
		"units more or fewer than were received":                                   `UPDATE receipt SET quantity = 7`,
		"units more or fewer than there are in all places together":                `INSERT INTO quarantine_unit SELECT unit_id, 1, unit_id, now() FROM unit LIMIT 1`,
		"claims that have, or had, other than their quantity":                      claim + `'released', NULL, now(), now(), now()`,
		"holds that lack units, and ended claims that keep some":                   claim + `'held', NULL, now(), now(), NULL`,
		"lines of unpaid orders that lack units, and of ended ones that keep some": order + line + `true FROM shop_order`,
		"claims that are taken for unpaid and are not, or the other way round":     order + line + `false FROM shop_order`,
		"lines of no order": line + `false FROM (SELECT gen_random_uuid() AS order_id) AS lost`,
		"buyers who have other than is counted of a sale, or more than they may": `INSERT INTO sale_buyer VALUES (gen_random_uuid(), 'b', 1)`,
		"units in claims of another product, or of none":                         `INSERT INTO claim_unit SELECT unit_id, unit_id FROM unit LIMIT 1`,
		"claims that share their key":                                            `DROP INDEX claim_key_once; ` + claim + `'held', 'k', now(), now(), NULL FROM generate_series(1, 2)`,
		"holds that expired before their time":                                   `ALTER TABLE claim DROP CONSTRAINT claim_expired_not_early; ` + claim + `'expired', NULL, now(), now(), now() - interval '1 s'`,
	}
	breakEachRule(t, conn, check, breaking)
}

// breakEachRule breaks each rule of a check, which has to find it.
func breakEachRule(t *testing.T, conn *pgx.Conn, check string, breaking map[string]string) {
	t.Helper()
	for _, rule := range ruleOfCheck.FindAllStringSubmatch(check, -1) {
		if breaking[rule[1]] == "" {
			t.Errorf("%s: nothing breaks it", rule[1])
		}
	}
	for rule, breakIt := range breaking {
		if said := lines(t, conn, check); len(said) != 1 || said[0] != "0 violations" {
			t.Fatalf("the check of what was just set up: %q", said)
		}
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		execute(t, conn, breakIt)
		found := false
		for _, line := range lines(t, conn, check) {
			found = found || strings.HasSuffix(line, " "+rule)
		}
		if !found {
			t.Errorf("%s: not found after %s", rule, breakIt)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheScriptsLeaveADatabaseThatIsInUseAlone(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	conn := connect(t, url)
	execute(t, conn, `INSERT INTO product (sku) VALUES ('real')`)
	for _, name := range []string{"./pgbench.sh", "./contenders.sh"} {
		said, err := script(t, name, url, "1", "1")
		if err == nil || !strings.Contains(said, "give it a scratch database") {
			t.Errorf("%s does not refuse: %v\n%s", name, err, said)
		}
		if n := count(t, conn, `SELECT count(*) FROM product WHERE sku = 'real'`); n != 1 {
			t.Errorf("%s: the product is gone", name)
		}
	}
}

// arguments are what a script puts for a parameter of a statement.
type arguments map[string]string

// each is an array with a value for each claim of a batch.
func each(value string) string { return "array_fill(" + value + ", ARRAY[:batch::integer])" }

var ending = arguments{"claim_ids": `ARRAY[:claim_id]`, "release": "true", "sqlc.narg('now')": "NULL"}

func TestTheScriptsRunTheStatementsOfTheService(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script, file, name string
		arguments          arguments
	}{
		{"claim.sql", "stock_token.sql", "StockTokenPick", arguments{
			"product_ids": "ARRAY[:product_id]", "pool_ids": "ARRAY[0]", "unit_counts": "ARRAY[:unit_count]",
			"from_positions": "ARRAY[:from_position]", "below_positions": "ARRAY[9223372036854775807]",
		}},
		{"claim.sql", "claim.sql", "ClaimInsertMany", arguments{
			"claim_ids": "ARRAY[:claim_id]", "buyers": "ARRAY[:buyer]", "product_ids": "ARRAY[:product_id]", "pool_ids": "ARRAY[0]",
			"quantities": "ARRAY[:unit_count]", "idempotency_keys": "ARRAY[:key]", "price_minors": "ARRAY[6900]", "currencies": "ARRAY['EUR']",
			"hold_seconds": "ARRAY[:hold_seconds]", "sale_ids": "ARRAY['00000000-0000-0000-0000-000000000000']", "claim_references": "ARRAY['']",
			"metadatas": "ARRAY['']", "sqlc.narg('now')": "NULL",
		}},
		{"claim.sql", "stock_token.sql", "StockTokenTake", arguments{
			"product_ids": "array_fill(:product_id::bigint, ARRAY[:unit_count::integer])", "pool_ids": "array_fill(0, ARRAY[:unit_count::integer])",
			"positions": ":positions", "claim_ids": "array_fill(:claim_id::uuid, ARRAY[:unit_count::integer])",
		}},
		{"tokens_batch.sql", "claim.sql", "ClaimSettings", nil},
		{"tokens_batch.sql", "product.sql", "ProductForClaim", arguments{"skus": "ARRAY['bench-1']"}},
		{"tokens_batch.sql", "claim.sql", "ClaimByKeys", arguments{"buyers": ":claim_buyers", "idempotency_keys": ":keys", "sqlc.narg('now')": "NULL"}},
		{"tokens_batch.sql", "stock_token.sql", "StockTokenPick", arguments{
			"product_ids": "ARRAY[1]", "pool_ids": "ARRAY[0]", "unit_counts": "ARRAY[:batch]",
			"from_positions": "ARRAY[:from_position]", "below_positions": "ARRAY[9223372036854775807]",
		}},
		{"tokens_batch.sql", "claim.sql", "ClaimInsertMany", arguments{
			"claim_ids": ":claim_ids", "buyers": ":claim_buyers", "product_ids": each("1"), "pool_ids": each("0"),
			"quantities": each("1"), "idempotency_keys": ":keys", "price_minors": each("6900"), "currencies": each("'EUR'::text"),
			"hold_seconds": each("600"), "sale_ids": each("'00000000-0000-0000-0000-000000000000'::uuid"), "claim_references": each("''::text"),
			"metadatas": each("''::text"), "sqlc.narg('now')": "NULL",
		}},
		{"tokens_batch.sql", "stock_token.sql", "StockTokenTake", arguments{
			"product_ids": each("1"), "pool_ids": each("0"), "positions": ":positions", "claim_ids": ":claim_ids",
		}},
		{"tokens_batch.sql", "stock_token.sql", "StockTokenLeft", arguments{
			"product_ids": "ARRAY[1]", "pool_ids": "ARRAY[0]", "positions": "ARRAY[:last_position]",
		}},
		{"release.sql", "claim.sql", "ClaimLock", arguments{"claim_id": ":claim_id", "buyer": ":buyer"}},
		{"release.sql", "claim.sql", "ClaimEnd", ending},
		{"expire.sql", "claim.sql", "ClaimLockLapsed", arguments{
			"product_id": ":product_id", "pool_id": "0", "row_limit": "500", "sqlc.narg('now')": "NULL",
		}},
		{"expire.sql", "claim.sql", "ClaimEnd", arguments{"claim_ids": ":claim_ids", "release": "false", "sqlc.narg('now')": "NULL"}},
	} {
		if want := statement(t, c.file, c.name, c.arguments); !strings.Contains(flat(read(t, c.script)), want) {
			t.Errorf("%s does not run %s as it is in %s:\n%s", c.script, c.name, c.file, want)
		}
	}
}

var (
	parameter = regexp.MustCompile(`@\w+|sqlc\.n?arg\('\w+'\)`)
	spaces    = regexp.MustCompile(`\s+`)
	// A rule stands first in its SELECT.
	ruleOfCheck = regexp.MustCompile(`SELECT\s+'([^']+)'`)
)

// flat is a statement without the line breaks that somebody has given it.
func flat(sql string) string {
	return strings.NewReplacer("( ", "(", " )", ")").Replace(strings.TrimSpace(spaces.ReplaceAllString(sql, " ")))
}

func statement(t *testing.T, file, name string, given arguments) string {
	t.Helper()
	_, after, found := strings.Cut(read(t, "../queries/"+file), "-- name: "+name+" ")
	if !found {
		t.Fatalf("%s has no %s", file, name)
	}
	_, sql, _ := strings.Cut(after, "\n")
	sql, _, _ = strings.Cut(sql, ";\n")
	sql = strings.ReplaceAll(sql, "sqlc.embed(claim)", "claim.*")
	return flat(parameter.ReplaceAllStringFunc(sql, func(p string) string {
		value, ok := given[strings.TrimPrefix(p, "@")]
		if !ok {
			t.Errorf("%s has the parameter %s, which the script does not give", name, p)
		}
		return value
	}))
}

func script(t *testing.T, name string, args ...string) (said string, err error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	return string(out), err
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statements string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

func count(t *testing.T, conn *pgx.Conn, query string, args ...any) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), `SELECT coalesce(sum(counted.count), 0) FROM (`+query+`) AS counted`, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func lines(t *testing.T, conn *pgx.Conn, query string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}
