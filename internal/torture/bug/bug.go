// Package bug builds lastunit with a mistake in it, to see whether the torture finds it. The mistakes are those that others made, or that the code next to them is there
// to prevent. The program itself contains none of them: they are edits of its sources, made while it is compiled (go build -overlay), and an edit that no longer
// fits is an error. What the schema would refuse is taken out of the schema as well (SQL).
package bug

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Bug is a mistake.
type Bug struct {
	Name string
	What string // in a sentence
	// Edits of the sources; SQL is run against the database when its schema has been made.
	Edits []Edit
	SQL   []string
	// Needs names the faults (world.Fault) without which it can't be seen, or hardly; none: load is enough. They are four in five of those that are injected.
	Needs []string
	// Plenty is how many units there are of what there is plenty of (drive.Options), where the mistake is hardly seen unless units that come back are gone at once; 0: as many as with any other.
	Plenty int
	// Ahead: it needs a server whose clock is ahead (BuildAhead).
	Ahead bool
}

// Edit replaces a text that is in a file once.
type Edit struct {
	File     string // from the module's directory
	Old, New string
}

const (
	tokens = "internal/dbsqlc/stock_token.sql.go"
	claims = "internal/dbsqlc/claim.sql.go"
)

// Bugs lists all of them.
var Bugs = []Bug{
	{
		Name: "no-lock",
		What: "tokens are picked without a lock, the unit is read and the token deleted in two steps, and no index keeps a unit from being claimed twice",
		Edits: []Edit{
			{tokens, "        LIMIT wanted.unit_count\n        FOR UPDATE SKIP LOCKED\n", "        LIMIT wanted.unit_count\n"},
			{tokens, `taken AS (
    DELETE FROM stock_token
    USING allotted
    WHERE stock_token.product_id = allotted.product_id
        AND stock_token.pool_id = allotted.pool_id
        AND stock_token.position = allotted.position
    RETURNING
        (allotted.claim_id)::uuid AS claim_id,
        stock_token.unit_id
)`, `taken AS (
    SELECT allotted.claim_id, stock_token.unit_id
    FROM stock_token
    JOIN allotted USING (product_id, pool_id, position)
),
gone AS (
    DELETE FROM stock_token
    USING allotted
    WHERE stock_token.product_id = allotted.product_id
        AND stock_token.pool_id = allotted.pool_id
        AND stock_token.position = allotted.position
)`},
		},
		SQL: []string{`ALTER TABLE claim_unit DROP CONSTRAINT claim_unit_live_once`},
	},
	{
		Name: "limit-in-sub-select",
		What: "a pick gives more tokens than were asked for, as a LIMIT in a sub-select that is run once per row does, and the claim takes them all",
		Edits: []Edit{
			{tokens, "        LIMIT wanted.unit_count\n", "        LIMIT wanted.unit_count + 1\n"},
			{"internal/shop/allot.go", "if len(p.tokens) > b.wanted(p) {", "if false {"},
			{"internal/shop/allot.go", "if !yield(i, left[:c.Quantity]) {", "if extra := len(p.tokens) - b.wanted(p); extra > 0 && len(left) >= c.Quantity+extra {\n\t\t\t\t\tc.Quantity += extra\n\t\t\t\t\tyield(i, left[:c.Quantity])\n\t\t\t\t\tleft, c.Quantity = left[c.Quantity:], c.Quantity-extra\n\t\t\t\t\tcontinue\n\t\t\t\t}\n\t\t\t\tif !yield(i, left[:c.Quantity]) {"},
		},
	},
	{
		Name: "no-idempotency-row",
		What: "the key of a direct claim is looked for, and never written",
		Edits: []Edit{
			{claims, "    'held',\n    nullif(given.idempotency_key, ''),\n", "    'held',\n    nullif(left(given.idempotency_key, 0), ''),\n"},
		},
	},
	{
		Name: "order-without-the-hold",
		What: "checkout orders what it finds, whether or not the hold is still alive",
		Edits: []Edit{
			{claims, "WHERE claim.claim_id = given.claim_id\n    AND claim.status = 'held'\n    AND claim.expires_at > given.at\n", "WHERE claim.claim_id = given.claim_id\n    AND claim.status = 'held'\n"},
			{claims, "    AND claim.expires_at > instant.at\n", ""},
			{"internal/shop/order.go", "case row.Lapsed, status == Expired:", "case status == Expired:"},
			{"internal/shop/order_gather.go", "row.Lapsed", "false && row.Lapsed"},
		},
		SQL: []string{`ALTER TABLE claim DROP CONSTRAINT claim_ordered_in_time`},
	},
	{
		Name: "sweeper-without-the-state",
		What: "the sweeper ends whatever has a time that is over, also what was ordered meanwhile",
		Edits: []Edit{
			{claims, "    AND claim.pool_id = $2\n    AND claim.status = 'held'\n    AND claim.expires_at <= coalesce($3::timestamptz, now())\n", "    AND claim.pool_id = $2\n    AND claim.status IN ('held', 'ordered')\n    AND claim.expires_at <= coalesce($3::timestamptz, now())\n"},
			{claims, "        AND claim.status = 'held'\n        AND ($3::boolean OR claim.expires_at <= coalesce($1::timestamptz, clock_timestamp()))\n", "        AND claim.status IN ('held', 'ordered')\n        AND ($3::boolean OR claim.expires_at <= coalesce($1::timestamptz, clock_timestamp()))\n"},
		},
		SQL: []string{
			`DROP TRIGGER claim_moves_forward ON claim`, `ALTER TABLE claim DROP CONSTRAINT claim_order_when_ordered`, `ALTER TABLE claim DROP CONSTRAINT claim_unpaid_when_ordered`,
		},
	},
	{
		Name: "limit-by-counting",
		What: "what a buyer has of a sale is counted before the claim, without a lock and without a constraint, as it was when the last batch began",
		Edits: []Edit{
			{"internal/shop/limit.go", "b.buyers[k] = &saleCount{units: int(row.UnitCount),", "b.buyers[k] = &saleCount{units: max(int(row.UnitCount)-wanted[k], 0),"},
		},
		SQL: []string{`ALTER TABLE sale_buyer DROP CONSTRAINT sale_buyer_within_limit`},
	},
	{
		Name: "limit-not-given-back",
		What: "units of holds that end go on counting against their buyer's limit",
		Edits: []Edit{
			{claims, "unit_count = sale_buyer.unit_count - gone.unit_count,\n        cool_until", "unit_count = sale_buyer.unit_count - 0 * gone.unit_count,\n        cool_until"},
		},
	},
	{
		Name: "unsorted-locks",
		What: "holds are locked for their order as they were named, one after the other, instead of at once and in the order of their ids",
		Edits: []Edit{
			{"internal/shop/order.go", "\terr = pgdb.Together(ctx, tx, append([]func(pgdb.Queryer) error{\n\t\tfunc(db pgdb.Queryer) error {\n\t\t\t_, err := s.q.ClaimLockMany(ctx, db, ids)\n\t\t\treturn err\n\t\t},\n\t}, look.steps(ctx)...)...)", "\tfor i := range ids {\n\t\tone := ids[i : i+1]\n\t\tif id[15]&1 == 0 {\n\t\t\tone = ids[len(ids)-1-i : len(ids)-i]\n\t\t}\n\t\tif _, err := s.q.ClaimLockMany(ctx, tx, one); err != nil {\n\t\t\treturn nil, time.Time{}, err\n\t\t}\n\t}\n\terr = pgdb.Together(ctx, tx, look.steps(ctx)...)"},
			{"internal/shop/order.go", "\tlook := orderLook{s: s, ids: ids}\n", "\tlook, id := orderLook{s: s, ids: ids}, pgdb.NewID()\n"},
			{"internal/shop/order.go", "n > 0 && n <= linesGathered", "n < 0"},
		},
		Needs: []string{"locks held"},
	},
	{
		Name: "outbox-outside",
		What: "events are written by a connection of their own, not in the transaction that does what they tell",
		Edits: []Edit{
			{"internal/shop/event.go", "s.q.EventInsertMany(ctx, db, arg); err", "s.q.EventInsertMany(ctx, outside(s, db), arg); err"},
			{"internal/shop/event.go", "// tell writes events", "func outside(s *Shop, db pgdb.Queryer) pgdb.Queryer {\n\tif tx, is := db.(pgx.Tx); is {\n\t\t_ = tx\n\t\treturn own(s)\n\t}\n\treturn aside{db, s}\n}\n\n// aside lets something be recorded, and writes elsewhere.\ntype aside struct {\n\tpgdb.Queryer\n\ts *Shop\n}\n\nfunc (l aside) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {\n\tif tag, err := l.Queryer.Exec(ctx, \"SELECT 1\"); err != nil {\n\t\treturn tag, err\n\t}\n\treturn own(l.s).Exec(ctx, sql, args...)\n}\n\nvar own = func() func(*Shop) *pgxpool.Pool {\n\tvar once sync.Once\n\tvar pool *pgxpool.Pool\n\treturn func(s *Shop) *pgxpool.Pool {\n\t\tonce.Do(func() { pool, _ = pgxpool.NewWithConfig(context.Background(), s.pool.Config()) })\n\t\treturn pool\n\t}\n}()\n\n// tell writes events"},
			{"internal/shop/event.go", "import (\n", "import (\n\t\"github.com/jackc/pgx/v5/pgconn\"\n\t\"github.com/jackc/pgx/v5/pgxpool\"\n\t\"sync\"\n"},
		},
	},
	{
		Name: "read-only-replay",
		What: "a replay is answered from what it reads, without a record of its own in the log",
		Edits: []Edit{
			{claims, "SELECT pg_logical_emit_message(true, 'lastunit.replay', '')", "SELECT 1, 'lastunit.replay', ''"},
			// The tokens that a batch guesses are locked, which is written into the log as well, and waits for the standby.
			{"internal/shop/settle.go", "guess := b.guess(served)", "guess := b.guess(nil)"},
		},
		Needs: []string{"crash while the standby is cut off, then promotion"},
	},
	{
		Name: "asynchronous-commit",
		What: "commits are answered before they are on disk",
		Edits: []Edit{
			{"internal/pgdb/pgdb.go", "WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END", "WHEN 'nothing' THEN 'on' ELSE 'off' END"},
			{"internal/shop/ready.go", `settings["synchronous_commit"] != "on" && settings["synchronous_commit"] != "remote_apply"`, "false"},
		},
		Needs: []string{"kill -9 of PostgreSQL"},
	},
	{
		Name:  "position-reused",
		What:  "units that come back stand before everything that was there, where the lane has already looked",
		Edits: []Edit{{claims, "return_pool(freed.pool_id, coalesce($1::timestamptz, clock_timestamp())),\n        nextval('stock_token_position'),", "return_pool(freed.pool_id, coalesce($1::timestamptz, clock_timestamp())),\n        -nextval('stock_token_position'),"}},
	},
	{
		Name:  "refund-twice",
		What:  "the provider is asked to give money back twice, with a new id each time",
		Edits: []Edit{{"internal/shop/refund.go", "\t\ts.giveBack(ctx, *pending)\n", "\t\ts.giveBack(ctx, *pending)\n\t\ts.giveBack(ctx, pendingRefund{pgdb.NewID(), pending.paymentID, pending.amount})\n"}},
	},
	{
		Name:  "unknown-taken-for-failed",
		What:  "a commit whose answer was lost is taken for one that failed",
		Edits: []Edit{{"internal/pgdb/pgdb.go", "return fmt.Errorf(\"%w: %w\", ErrOutcomeUnknown, err)", "return fmt.Errorf(\"commit: %w\", err)"}},
		Needs: []string{"cut before the answer to COMMIT", "cut amid the answer to COMMIT"},
	},
	{
		Name:  "sold-out-too-early",
		What:  "who finds nothing is told that it is sold out, though a hold may lapse",
		Edits: []Edit{{"internal/shop/shortage.go", " && !now.IsZero() && !p.reckoned.MayReturn", " && !now.IsZero()"}},
	},
	{
		Name:   "late-money-kept",
		What:   "money that comes when an order is cancelled is kept, and nobody gets anything for it",
		Edits:  []Edit{{"internal/shop/order_pay.go", "\tmore := map[string]any{\"amount\": p.AmountMinor, \"currency\": p.Currency}\n\tif !found {\n", "\tmore := map[string]any{\"amount\": p.AmountMinor, \"currency\": p.Currency}\n\tif !found {\n\t\tif len(more) > 0 {\n\t\t\treturn nil, nil\n\t\t}\n"}},
		Needs:  []string{"payment provider silent"},
		Plenty: 30,
	},
	{
		Name:  "queue-out-of-turn",
		What:  "queued requests are settled last come, first served",
		Edits: []Edit{{"internal/shop/queue.go", "\t\tp.calls = append(first, p.calls...)\n", "\t\tslices.Reverse(first)\n\t\tp.calls = append(first, p.calls...)\n"}},
	},
	{
		Name:  "server-clock",
		What:  "time is taken from the server, not from the database",
		Edits: []Edit{{"internal/shop/shop.go", "func (o Options) withDefaults() Options {\n", "func (o Options) withDefaults() Options {\n\tif o.Now == nil {\n\t\to.Now = func() *time.Time { t := time.Now(); return &t }\n\t}\n"}},
		Needs: []string{"a server whose clock is an hour ahead"},
		Ahead: true,
	},
}

// Named finds a bug.
func Named(name string) (Bug, bool) {
	for _, b := range Bugs {
		if b.Name == name {
			return b, true
		}
	}
	return Bug{}, false
}

// Build compiles lastunit with the bug in it into dir, and returns the program's path. It needs the module's sources and the Go tool.
func (b Bug) Build(ctx context.Context, dir string) (string, error) {
	root, texts, err := b.edited(ctx)
	if err != nil {
		return "", err
	}
	return build(ctx, root, texts, dir)
}

// Fits tells whether the edits fit the sources as they now are.
func (b Bug) Fits(ctx context.Context) error {
	_, _, err := b.edited(ctx)
	return err
}

// BuildAhead compiles lastunit, with the bug in it, into dir so that its clock is an hour ahead: with another time.Now. That compiles everything anew the first time. The
// zero Bug is none.
func (b Bug) BuildAhead(ctx context.Context, dir string) (string, error) {
	root, texts, err := b.edited(ctx)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go: %w", err)
	}
	file := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	e := Edit{file, "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {", "\tsec, nsec, mono := runtimeNow()\n\tsec += 3600\n\tif mono == 0 {"}
	if err := e.apply(texts); err != nil {
		return "", err
	}
	return build(ctx, root, texts, dir)
}

// sources is the module's directory.
func sources(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/lastunit/lastunit").Output()
	if err != nil {
		return "", fmt.Errorf("find the sources: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// build compiles lastunit with other texts in some files.
func build(ctx context.Context, root string, texts map[string]string, dir string) (string, error) {
	overlay := map[string]map[string]string{"Replace": {}}
	for file, text := range texts {
		path := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(file, root), "/", "-"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay["Replace"][file] = path
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "lastunit")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", list, "-o", binary, "./cmd/lastunit")
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build lastunit with other sources: %w\n%s", err, said)
	}
	return binary, nil
}

// edited are the texts of the files that the bug changes, and the module's directory.
func (b Bug) edited(ctx context.Context) (root string, texts map[string]string, err error) {
	if root, err = sources(ctx); err != nil {
		return "", nil, err
	}
	texts = map[string]string{}
	for _, e := range b.Edits {
		e.File = filepath.Join(root, e.File)
		if err := e.apply(texts); err != nil {
			return "", nil, fmt.Errorf("the bug %s: %w", b.Name, err)
		}
	}
	return root, texts, nil
}

// apply edits a file, or what earlier edits have made of it.
func (e Edit) apply(texts map[string]string) error {
	text, found := texts[e.File]
	if !found {
		read, err := os.ReadFile(e.File)
		if err != nil {
			return err
		}
		text = string(read)
	}
	if n := strings.Count(text, e.Old); n != 1 {
		return fmt.Errorf("what is to be replaced is in %s %d times, not once: %s", e.File, n, e.Old)
	}
	texts[e.File] = strings.Replace(text, e.Old, e.New, 1)
	return nil
}
