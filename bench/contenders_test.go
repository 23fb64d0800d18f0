package bench_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbtest"
)

// contenders runs contenders.sh, in which so many clients have three transactions each, with 4,000 units, five times as many for batches.
func contenders(t *testing.T, url, clients string, scripts ...string) (said string, err error) {
	t.Helper()
	return script(t, "env", append([]string{"UNITS=4000", "TRANSACTIONS=3", "./contenders.sh", url, clients, "1"}, scripts...)...)
}

// turn is a line of the table.
type turn struct {
	script                          string
	clients, each, perSecond, ratio float64
}

var lineOfTable = regexp.MustCompile(`(?m)^(\S+\.sql) +(\d+) +(\d+) +(\d+) +(\d+\.\d\d)$`)

func table(t *testing.T, said string) (turns []turn) {
	t.Helper()
	for _, line := range lineOfTable.FindAllStringSubmatch(said, -1) {
		var n [4]float64
		for i := range n {
			var err error
			if n[i], err = strconv.ParseFloat(line[i+2], 64); err != nil {
				t.Fatal(err)
			}
		}
		turns = append(turns, turn{line[1], n[0], n[1], n[2], n[3]})
	}
	return turns
}

// rows are what is there after a turn.
type rows struct {
	claims, alike, keys, sold             int // alike: written as all of them should write
	counter                               int
	unitsLeft, unitsClaimed               int // kept in place; claimed: with the claim that has it
	tokensLeft, tokensClaimed, unitAstray int
}

// look counts rows when they are about to be truncated, which each turn begins with. It knows nothing of what contenders_check.sql does.
const look = `
	CREATE TABLE looked (
		n bigint GENERATED ALWAYS AS IDENTITY,
		claims bigint, alike bigint, keys bigint, sold bigint,
		counter bigint,
		units_left bigint, units_claimed bigint,
		tokens_left bigint, tokens_claimed bigint, unit_astray bigint
	);
	CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF to_regclass('bench_counter') IS NOT NULL THEN
			INSERT INTO looked (claims, alike, keys, sold, counter, units_left, units_claimed, tokens_left, tokens_claimed, unit_astray)
			SELECT
				count(*),
				count(*) FILTER (WHERE sku = 'bench-1' AND pool_id = 0 AND quantity = 1 AND status = 'held'
					AND expires_at - claim.created_at = interval '10 minutes' AND (claim.price_minor, claim.currency) = (6900, 'EUR')
					AND buyer::int BETWEEN 1 AND 50000 AND idempotency_key IS NOT NULL AND substring(claim_id::text, 15, 1) = '7'
					AND num_nulls(ended_at, queue_place, sale_id, claim.reference, claim.metadata, order_id) = 6),
				count(DISTINCT buyer || ' ' || idempotency_key),
				coalesce(sum(quantity), 0),
				(SELECT stock FROM bench_counter),
				(SELECT count(*) FROM bench_unit WHERE status = 'available' AND claim_id IS NULL),
				(SELECT count(DISTINCT claim_id) FROM bench_unit JOIN claim USING (claim_id, product_id, status)),
				(SELECT count(*) FROM stock_token),
				(SELECT count(DISTINCT unit_id) FROM claim_unit JOIN claim USING (claim_id) JOIN unit USING (unit_id, product_id)),
				(SELECT coalesce(sum(counted.count), 0) FROM (` + astray + `) AS counted)
			FROM claim LEFT JOIN product USING (product_id);
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER look BEFORE TRUNCATE ON claim EXECUTE FUNCTION look()`

// looked returns the rows after each of the last turns.
func looked(t *testing.T, conn *pgx.Conn, turns int) []rows {
	t.Helper()
	execute(t, conn, `TRUNCATE claim`)
	found, err := conn.Query(t.Context(), `
		SELECT claims, alike, keys, sold, counter, units_left, units_claimed, tokens_left, tokens_claimed, unit_astray
		FROM (SELECT * FROM looked ORDER BY n DESC LIMIT $1) AS last
		ORDER BY n`, turns)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (r rows, err error) {
		err = row.Scan(&r.claims, &r.alike, &r.keys, &r.sold, &r.counter, &r.unitsLeft, &r.unitsClaimed, &r.tokensLeft, &r.tokensClaimed, &r.unitAstray)
		return r, err
	})
	if err != nil || len(all) != turns {
		t.Fatalf("%d turns of %d were looked at: %v", len(all), turns, err)
	}
	return all
}

func TestContendersSellWhatTheyHave(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	conn := connect(t, url)
	execute(t, conn, look)
	began := time.Now()
	said, err := contenders(t, url, "32")
	took := time.Since(began).Seconds()
	if err != nil || !strings.HasSuffix(said, "\n0 violations\n") {
		t.Fatalf("contenders.sh: %v\n%s", err, said)
	}
	// What setup.sql puts on sale is there in every turn.
	const units, ours = 4000, 800
	expected := []struct {
		script        string
		clients, each float64
		rows          func(claims int) rows
	}{
		{"counter_update.sql", 32, 1, func(n int) rows { return rows{counter: units - n, tokensLeft: ours} }},
		{"counter_lock.sql", 32, 1, func(n int) rows { return rows{counter: units - n, tokensLeft: ours} }},
		{"units_in_place.sql", 32, 1, func(n int) rows { return rows{unitsLeft: units - n, unitsClaimed: n, tokensLeft: ours} }},
		{"claim.sql", 32, 1, func(n int) rows { return rows{tokensLeft: units + ours - n, tokensClaimed: n} }},
		{"tokens_batch.sql", 32, 64, func(n int) rows { return rows{tokensLeft: 5*units + ours - n, tokensClaimed: n} }},
		{"tokens_batch.sql", 1, 32, func(n int) rows { return rows{tokensLeft: 5*units + ours - n, tokensClaimed: n} }},
	}
	turns := table(t, said)
	if len(turns) != len(expected) {
		t.Fatalf("%d turns, want %d:\n%s", len(turns), len(expected), said)
	}
	for i, got := range looked(t, conn, len(turns)) {
		turn, e := turns[i], expected[i]
		claims := int(3 * e.clients * e.each)
		want := e.rows(claims)
		want.claims, want.alike, want.keys, want.sold = claims, claims, claims, claims
		if got != want {
			t.Errorf("%s left %+v, want %+v", e.script, got, want)
		}
		if turn.script != e.script || turn.clients != e.clients || turn.each != e.each {
			t.Errorf("turn %d is %+v, want %+v", i, turn, e)
		}
		// pgbench's time is a part of ours, and what is printed is rounded.
		if (turn.perSecond+1)*took < float64(claims) {
			t.Errorf("%+v, but there are %d claims after %.1f s", turn, claims, took)
		}
		ratio := turn.perSecond / turns[0].perSecond
		if math.Abs(turn.ratio-ratio) > 0.01+(ratio+1)/turns[0].perSecond {
			t.Errorf("%+v is %.2f of the first", turn, ratio)
		}
	}
}

func TestContendersFailWhenRowsDoNotAddUp(t *testing.T) {
	t.Parallel()
	trigger := func(when, body string) string {
		return `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + body + ` END $$;
			CREATE TRIGGER spoil ` + when + ` INSERT ON claim FOR EACH ROW EXECUTE FUNCTION spoil()`
	}
	for name, c := range map[string]struct{ script, spoil, says string }{
		"stock comes back": {
			"counter_update.sql", trigger("AFTER", `UPDATE bench_counter SET stock = stock + 1; RETURN NULL;`),
			"units claimed more or fewer than are gone from the stock",
		},
		"a claim is not written": {
			"counter_lock.sql", trigger("BEFORE", `RETURN NULL;`),
			"claims more or fewer than pgbench has counted",
		},
		"a token stays without a unit": {
			"claim.sql", trigger("AFTER", `DELETE FROM unit WHERE unit_id = (SELECT unit_id FROM stock_token WHERE product_id = 2 LIMIT 1); RETURN NULL;`),
			"units more or fewer than were received",
		},
		"a client gives up": {
			"counter_lock.sql", `CREATE SEQUENCE spoilt; ` + trigger("BEFORE", `IF nextval('spoilt') = 2 THEN RAISE 'spoilt'; END IF; RETURN NEW;`),
			"Run was aborted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := dbtest.URL(t)
			execute(t, connect(t, url), c.spoil)
			said, err := contenders(t, url, "4", c.script)
			if err == nil || !strings.Contains(said, c.says) || strings.Contains(said, "\n0 violations") {
				t.Errorf("contenders.sh does not fail for %s: %v\n%s", c.says, err, said)
			}
		})
	}
}

func TestContendersSayWhenThereWasTooLittleToSell(t *testing.T) {
	t.Parallel()
	said, err := script(t, "env", "UNITS=1", "TRANSACTIONS=100", "./contenders.sh", dbtest.URL(t), "4", "1", "claim.sql")
	if err == nil || !strings.Contains(said, "set UNITS higher") {
		t.Errorf("contenders.sh does not fail: %v\n%s", err, said)
	}
}

func TestContendersRefuseToForgetClaims(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	execute(t, connect(t, url), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	if said, err := contenders(t, url, "1"); err == nil || !strings.Contains(said, "synchronous_commit is off") {
		t.Errorf("contenders.sh does not refuse: %v\n%s", err, said)
	}
	for _, pattern := range []string{"*.sql", "claims/*.sql"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			if file != "contenders_setup.sql" && strings.Contains(read(t, file), "synchronous_commit") {
				t.Errorf("%s decides when a commit is answered", file)
			}
		}
	}
}

func TestEachRuleOfTheContendersCheckFindsWhatBreaksIt(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	execute(t, conn, read(t, "setup.sql")+read(t, "claims/contenders.sql")+
		strings.NewReplacer(":counter", "5", ":units", "5", ":tokens", "5").Replace(read(t, "contenders_setup.sql"))+read(t, "receive.sql"))
	execute(t, conn, `
		INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, expires_at)
		VALUES (gen_random_uuid(), 'b', 1, 0, 1, 'held', 'j', now(), now());
		UPDATE bench_unit SET status = 'held', claim_id = (SELECT claim_id FROM claim) WHERE unit_id = 1`)
	_, left, _ := strings.Cut(read(t, "contenders_left.sql"), "\n")
	left, _, _ = strings.Cut(left, " AS left\n")
	_, check, _ := strings.Cut(read(t, "contenders_check.sql"), "\nWITH")
	check = "WITH" + strings.NewReplacer(":claims", "1", ":before", "815", ":left", "("+left+")", ":stock", "(SELECT stock FROM bench_counter)").Replace(check)
	claim := func(key string) string {
		return `INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, expires_at)
			SELECT gen_random_uuid(), 'b', 1, 0, 1, 'held', ` + key + `, now(), now()`
	}
	breakEachRule(t, conn, check, map[string]string{
		"claims more or fewer than pgbench has counted":                              claim(`'k'`),
		"units claimed more or fewer than are gone from the stock":                   `UPDATE bench_counter SET stock = stock + 1`,
		"claims without a key, or with that of another":                              `DROP INDEX claim_key_once; ` + claim(`'j'`),
		"claims that have other than their quantity of units that are kept in place": claim(`'k'`),
		"units kept in place that are held by no claim":                              `UPDATE bench_unit SET status = 'held', claim_id = gen_random_uuid() WHERE unit_id = 2`,
		"turns in which nothing was claimed":                                         `DELETE FROM claim`,
		"turns in which all was sold before the time was over (set UNITS higher)":    `UPDATE bench_counter SET stock = 1`,
	})
}

const madeID = "uuid_v7_nth((extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0)"

func TestTheScriptsRunTheStatementsOfTheContenders(t *testing.T) {
	t.Parallel()
	statements := statementsOfContenders(t)
	insert := []string{madeID, ":buyer", ":product_id", "1", ":key", "6900", "'EUR'"}
	insertUnit := append([]string{":claim_id"}, insert[1:]...)
	for _, c := range []struct {
		script, begins string
		arguments      []string
	}{
		{"counter_update.sql", "WITH taken AS", []string{madeID, ":buyer", "'bench-1'", "1", ":key", "6900", "'EUR'"}},
		{"counter_lock.sql", "SELECT product_id, stock FROM bench_counter", []string{"'bench-1'"}},
		{"counter_lock.sql", "UPDATE bench_counter SET stock = $2 WHERE", []string{"'bench-1'", ":stock_left"}},
		{"counter_lock.sql", "INSERT INTO claim", insert},
		{"units_in_place.sql", "SELECT product_id FROM bench_counter", []string{"'bench-1'"}},
		{"units_in_place.sql", "WITH picked AS", []string{":product_id", "1", ":claim_id"}},
		{"units_in_place.sql", "INSERT INTO claim", insertUnit},
	} {
		// An id that a later statement needs as well comes along with an earlier one.
		script := strings.ReplaceAll(flat(read(t, c.script)), ", "+madeID+"::text AS claim_id", "")
		found := 0
		for _, sql := range statements {
			if !strings.HasPrefix(sql, c.begins) {
				continue
			}
			found++
			want := numbered.ReplaceAllStringFunc(sql, func(p string) string {
				n, err := strconv.Atoi(p[1:])
				if err != nil || n > len(c.arguments) {
					t.Fatalf("%s: the script gives nothing for %s", sql, p)
				}
				return c.arguments[n-1]
			})
			if !strings.Contains(script, want) {
				t.Errorf("%s does not run what claims/postgres.go does:\n%s", c.script, want)
			}
		}
		if found != 1 {
			t.Errorf("claims/postgres.go has %d statements that begin with %s", found, c.begins)
		}
	}
}

var numbered = regexp.MustCompile(`\$\d+`)

// statementsOfContenders are all texts in the code of the contenders, put together where they are put together by constants.
func statementsOfContenders(t *testing.T) (statements []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "claims/postgres.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]ast.Expr{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			constants[spec.Names[0].Name] = spec.Values[0]
		}
		return true
	})
	var text func(ast.Expr) string
	text = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
				return s
			}
		case *ast.Ident:
			return text(constants[e.Name])
		case *ast.BinaryExpr:
			if e.Op == token.ADD {
				return text(e.X) + text(e.Y)
			}
		}
		return ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		s := text(e)
		if s != "" {
			statements = append(statements, flat(s))
		}
		return s == ""
	})
	return statements
}
