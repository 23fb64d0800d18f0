package shop_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/shop"
)

// plan is a node of what EXPLAIN (FORMAT JSON) writes, with those below it.
type plan struct {
	Node      string  `json:"Node Type"`
	Relation  string  `json:"Relation Name"`
	Index     string  `json:"Index Name"`
	Rows      float64 `json:"Actual Rows"`
	Loops     float64 `json:"Actual Loops"`
	Hit       int     `json:"Shared Hit Blocks"`
	Read      int     `json:"Shared Read Blocks"`
	Condition string  `json:"Index Cond"`
	Below     []plan  `json:"Plans"`
}

func (p plan) buffers() int { return p.Hit + p.Read }

func (p plan) all() []plan {
	nodes := []plan{p}
	for _, below := range p.Below {
		nodes = append(nodes, below.all()...)
	}
	return nodes
}

func (p plan) String() string {
	var lines []string
	for _, n := range p.all() {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s [%s] rows %g loops %g buffers %d", n.Node, n.Relation, n.Index, n.Condition, n.Rows, n.Loops, n.buffers())))
	}
	return strings.Join(lines, "\n")
}

var (
	parameter  = regexp.MustCompile(`@(\w+)(::[\w\[\]]+)?`)
	nullable   = regexp.MustCompile(`sqlc\.narg\('now'\)`)
	embedded   = regexp.MustCompile(`sqlc\.embed\((\w+)\)`)
	spelledOut = regexp.MustCompile(`sqlc\.n?arg\('(\w+)'\)`)
)

// settleSettings are those that claims run under.
func settleSettings(t *testing.T) string {
	t.Helper()
	sql, _ := statement(t, "claim.sql", "ClaimSettings")
	return sql
}

// statement cuts a query out of queries/, with its parameters turned into $1, $2, ... in the order in which they first stand there.
func statement(t *testing.T, file, name string) (sql string, types []string) {
	t.Helper()
	text, err := os.ReadFile("../../queries/" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "-- name: "+name+" ")
	_, after, cut := strings.Cut(after, "\n")
	if !found || !cut {
		t.Fatalf("%s has no %s", file, name)
	}
	sql, _, _ = strings.Cut(after, "\n\n-- ")
	sql = nullable.ReplaceAllString(strings.TrimSuffix(strings.TrimSpace(sql), ";"), "NULL")
	sql = embedded.ReplaceAllString(spelledOut.ReplaceAllString(sql, "@$1"), "$1.*")
	var names []string
	sql = parameter.ReplaceAllStringFunc(sql, func(found string) string {
		m := parameter.FindStringSubmatch(found)
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
			types = append(types, cmp.Or(strings.TrimPrefix(m[2], "::"), "unknown"))
		}
		return fmt.Sprintf("$%d", slices.Index(names, m[1])+1)
	})
	return sql, types
}

// pick is one run of the statement that picks tokens: so many units from a position of a pool of each product.
type pick struct {
	products []int64
	from     int64
	units    int
}

const generic, custom = "force_generic_plan", "force_custom_plan"

type beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// explain picks in a transaction that is rolled back.
func (k pick) explain(t *testing.T, db beginner, mode string) plan {
	t.Helper()
	each := func(value int64) string {
		return fmt.Sprintf("'{%s}'", strings.TrimSuffix(strings.Repeat(fmt.Sprint(value)+",", len(k.products)), ","))
	}
	products := strings.ReplaceAll(strings.Trim(fmt.Sprint(k.products), "[]"), " ", ",")
	args := fmt.Sprintf("'{%s}', %s, %s, %s, %s", products, each(0), each(k.from), each(1<<62), each(int64(k.units)))
	return explain(t, db, settleSettings(t)+`; SET LOCAL plan_cache_mode = `+mode, "stock_token.sql", "StockTokenPick", args)
}

// explain runs a query in a transaction that is rolled back; where that is filled first, by a plan that was made before.
func explain(t *testing.T, db beginner, settings, file, name, args string, filled ...string) plan {
	t.Helper()
	sql, types := statement(t, file, name)
	tx, err := db.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(background) }()
	takes := ""
	if len(types) > 0 {
		takes, args = "("+strings.Join(types, ", ")+")", "("+args+")"
	}
	before := []string{settings, fmt.Sprintf(`PREPARE explained %s AS %s`, takes, sql)}
	if len(filled) > 0 {
		before = append(append(before, `EXECUTE explained `+args), filled...)
	}
	for _, s := range before {
		if _, err := tx.Exec(background, s, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	defer func() { _, _ = tx.Exec(background, `DEALLOCATE explained`) }()
	var text []byte
	if err := tx.QueryRow(background, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained `+args, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var explained []struct{ Plan plan }
	if err := json.Unmarshal(text, &explained); err != nil || len(explained) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return explained[0].Plan
}

// checkShape holds a plan to the one way that does not grow with the pool: straight to the position in the primary key, and no further
// than the limit.
func checkShape(t *testing.T, p plan, k pick) {
	t.Helper()
	scans := 0
	for _, n := range p.all() {
		switch {
		case strings.Contains(n.Node, "Sort"), n.Node == "Seq Scan", strings.HasPrefix(n.Node, "Bitmap"), n.Node == "Hash":
			t.Errorf("a %s in the plan", n.Node)
		case n.Relation == "stock_token":
			scans++
			if n.Node != "Index Scan" || n.Index != "stock_token_pkey" {
				t.Errorf("stock_token is read by a %s of %s", n.Node, n.Index)
			}
			for _, column := range []string{"product_id =", "pool_id =", "position\" >="} {
				if !strings.Contains(n.Condition, column) {
					t.Errorf("the index is not searched by %s, only by %s", column, n.Condition)
				}
			}
			if int(n.Loops) != len(k.products) || n.Rows > float64(k.units) {
				t.Errorf("the index was read %g times for %d pools, %g rows each for %d units", n.Loops, len(k.products), n.Rows, k.units)
			}
		case n.Node == "LockRows" && n.Rows > float64(k.units):
			t.Errorf("%g rows were locked for %d units", n.Rows, k.units)
		}
	}
	if scans != 1 {
		t.Errorf("stock_token is read in %d places", scans)
	}
	if want := k.units * len(k.products); int(p.Rows) != want {
		t.Errorf("%g rows for %d units", p.Rows, want)
	}
	if t.Failed() {
		t.Logf("the plan:\n%v", p)
	}
}

// receiveBehindThePlannersBack stocks more units than the planner has heard of: the table was analyzed when it was empty.
func (w *world) receiveBehindThePlannersBack(sku string, quantity int) (product int64) {
	w.t.Helper()
	w.exec(`ALTER TABLE stock_token SET (autovacuum_enabled = off)`)
	w.exec(`ANALYZE stock_token`)
	w.product(shop.Product{SKU: sku, Selling: true})
	w.exec(`INSERT INTO stock_token SELECT product_id, 0, nextval('stock_token_position'), gen_random_uuid()
		FROM product, generate_series(1, $2::bigint) WHERE sku = $1`, sku, quantity)
	return int64(w.count(`SELECT product_id FROM product WHERE sku = $1`, sku))
}

func TestThePickGoesStraightToItsPositionWhateverThePlannerBelieves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	product := w.receiveBehindThePlannersBack("A", 100_000)
	if n := w.count(`SELECT reltuples::bigint FROM pg_class WHERE relname = 'stock_token'`); n > 0 {
		t.Fatalf("the planner believes in %d tokens, and ought to believe in none", n)
	}
	picks := []pick{{[]int64{product}, 0, 1}, {[]int64{product}, 50_001, 10}, {[]int64{product}, 0, 512}}
	look := func(statistics string) {
		for _, mode := range []string{generic, custom} {
			for _, k := range picks {
				p := k.explain(t, w.db, mode)
				t.Logf("%s statistics, %s, %d units: %d buffers", statistics, mode, k.units, p.buffers())
				checkShape(t, p, k)
				if most := 20 + 5*k.units; p.buffers() > most {
					t.Errorf("%d buffers for %d units, want at most %d", p.buffers(), k.units, most)
				}
			}
		}
	}
	look("stale")
	w.exec(`ANALYZE stock_token`)
	look("fresh")
}

// A plan is kept that was made when there was little yet. What is given by its key is looked up by that all the same, however much lies beside it later.
func TestWhatIsGivenIsLookedUpByItsKeyWhateverWasThereAtFirst(t *testing.T) {
	t.Parallel()
	const (
		given = 20
		claim = `INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, created_at, queue_place)
			SELECT md5(n::text)::uuid, 'b' || n, 1, 0, 1, 'queued', 'k', now(), n FROM generate_series(1, 20000) AS n`
		event = `INSERT INTO event (event_id, type, data, created_at, position) SELECT md5(n::text)::uuid, 'order.paid', '{}', now(), n FROM generate_series(1, 20000) AS n`
		all   = `UPDATE webhook_cursor SET position = 20000`
	)
	w := newWorld(t, shop.Options{})
	each := func(value string) (quoted string) {
		if err := w.db.QueryRow(background, fmt.Sprintf(`SELECT quote_literal(array_agg(%s)) FROM generate_series(1, %d) AS n`, value, given)).Scan(&quoted); err != nil {
			t.Fatal(err)
		}
		return quoted
	}
	for _, sql := range []string{claim, event} { // others than will be there
		w.exec(strings.NewReplacer("1, 20000", "-30, -1").Replace(sql))
	}
	w.exec(`ANALYZE claim, event`)
	joins, _ := statement(t, "claim.sql", "JoinSettings")
	settle := settleSettings(t)
	hashed := settle + "; " + strings.ReplaceAll(joins, "$1", "'off'")
	for _, c := range []struct {
		settings, file, name string
		args                 []string
		filled               []string
		most                 int
	}{
		// There are six indexes, each of which may have to split for each row.
		{hashed, "claim.sql", "ClaimHoldMany", []string{each("md5(n::text)::uuid"), each("100"), each("'EUR'::text"), each("600")}, []string{claim}, 50 * given},
		{hashed, "claim.sql", "ClaimRefuseMany", []string{each("md5(n::text)::uuid"), each("'sold-out'::text"), each("'{}'::text")}, []string{claim}, 50 * given},
		{settle, "webhook_cursor.sql", "WebhookCursorBehind", nil, []string{event, all}, 20},
	} {
		p := explain(t, w.db, c.settings, c.file, c.name, strings.Join(c.args, ", "), c.filled...)
		t.Logf("%s: %d buffers", c.name, p.buffers())
		if p.buffers() > c.most {
			t.Errorf("%s: %d buffers, want at most %d:\n%v", c.name, p.buffers(), c.most, p)
		}
	}
}

// Whoever looks at a product does not read the tokens and claims of all others.
func TestAProductIsShownWithoutReadingTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.receiveBehindThePlannersBack("A", 50_000)
	w.receiveBehindThePlannersBack("B", 10)
	w.exec(`INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, created_at, expires_at)
		SELECT gen_random_uuid(), 'b' || n, product_id, 0, 1, 'held', now(), now() + interval '1 hour' FROM product, generate_series(1, 50000) AS n WHERE sku = 'A'`)
	look := func(statistics string) {
		p := explain(t, w.db, settleSettings(t), "product.sql", "ProductShown", "'{B}', 1000")
		t.Logf("%s statistics: %d buffers", statistics, p.buffers())
		if p.buffers() > 60 {
			t.Errorf("%s statistics: %d buffers to show one product, want at most 60:\n%v", statistics, p.buffers(), p)
		}
	}
	look("stale")
	w.exec(`ANALYZE stock_token, claim`)
	look("fresh")
}

func TestThePickReadsManyPoolsOnceEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	k := pick{units: 3}
	for i := range 40 {
		k.products = append(k.products, w.receiveBehindThePlannersBack(fmt.Sprintf("P%d", i), 500))
	}
	for _, mode := range []string{generic, custom} {
		p := k.explain(t, w.db, mode)
		t.Logf("%s, %d pools: %d buffers", mode, len(k.products), p.buffers())
		checkShape(t, p, k)
		if most := len(k.products) * (10 + 5*k.units); p.buffers() > most {
			t.Errorf("%d buffers, want at most %d", p.buffers(), most)
		}
	}
}

// Dead rows at the head of the queue stay for as long as somebody has an old snapshot. Who starts behind them does not meet them.
func TestThePickPassesByDeadRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	product := w.receiveBehindThePlannersBack("A", 100_000)
	w.exec(`ANALYZE stock_token`)
	old, err := w.db.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Rollback(background) }()
	if _, err := old.Exec(background, `SELECT count(*) FROM product`); err != nil {
		t.Fatal(err)
	}
	w.exec(`DELETE FROM stock_token WHERE position <= 50000`)
	w.exec(`VACUUM stock_token`) // it can't remove what the old snapshot may still see
	for _, mode := range []string{generic, custom} {
		k := pick{[]int64{product}, 50_001, 10}
		p := k.explain(t, w.db, mode)
		k.from = 0
		naive := k.explain(t, w.db, mode)
		t.Logf("%s, 10 units: %d buffers from the remembered position, %d from the beginning", mode, p.buffers(), naive.buffers())
		checkShape(t, p, k)
		if p.buffers() > 60 {
			t.Errorf("%d buffers for 10 units, want at most 60:\n%v", p.buffers(), p)
		}
		if naive.buffers() < 500 {
			t.Errorf("only %d buffers from the beginning: there are no dead rows in the way, so this test shows nothing", naive.buffers())
		}
	}
}

// TestAQueueIsReadFromItsHead: neither a turn nor a look at a position costs more for what was settled before, or waits behind.
func TestAQueueIsReadFromItsHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.exec(`ALTER TABLE claim SET (autovacuum_enabled = off)`)
	w.exec(`ANALYZE claim`)
	w.product(shop.Product{SKU: "A", Selling: true})
	product := w.count(`SELECT product_id FROM product`)
	w.exec(`INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, queue_place, created_at, expires_at)
		SELECT gen_random_uuid(), 'b' || n, $1, 0, 1, CASE WHEN n < 50000 THEN 'held' ELSE 'queued' END, n, now(), CASE WHEN n < 50000 THEN now() END
		FROM generate_series(0, 99999) AS n`, product)
	w.exec(`INSERT INTO queue_head VALUES ($1, 0, 50000)`, product)
	var last shop.ID
	if err := w.db.QueryRow(background, `SELECT claim_id FROM claim WHERE queue_place = 99999`).Scan(&last); err != nil {
		t.Fatal(err)
	}
	one := fmt.Sprintf("'{%d}', '{0}', ", product)
	look := func(statistics string) {
		for _, mode := range []string{generic, custom} {
			mode = `SET LOCAL plan_cache_mode = ` + mode
			turn := explain(t, w.db, settleSettings(t)+`; `+mode, "claim.sql", "ClaimLockQueued", one+"'{50000}', 512")
			position := explain(t, w.db, mode, "claim.sql", "ClaimByIDs", fmt.Sprintf("'{%s}', '{b99999}'", last))
			progress := explain(t, w.db, mode, "queue.sql", "QueueProgress", one+"'{100000}'")
			t.Logf("%s statistics, %s: %d buffers for a turn of 512, %d for a position, %d for the progress", statistics, mode, turn.buffers(), position.buffers(), progress.buffers())
			if turn.Rows != 512 || turn.buffers() > 20+6*512 {
				t.Errorf("a turn of %g requests reads %d buffers:\n%v", turn.Rows, turn.buffers(), turn)
			}
			if position.Rows != 1 || position.buffers() > 60 {
				t.Errorf("a position reads %d buffers:\n%v", position.buffers(), position)
			}
			if progress.Rows != 1 || progress.buffers() > 40 {
				t.Errorf("the progress reads %d buffers:\n%v", progress.buffers(), progress)
			}
		}
	}
	look("stale")
	w.exec(`ANALYZE claim`)
	look("fresh")
}
