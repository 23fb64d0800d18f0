package pgdb_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/torture/proxy"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var background = context.Background()

func query[T any](t *testing.T, pool *pgxpool.Pool, sql string) (v T) {
	t.Helper()
	if err := pool.QueryRow(background, sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEveryConnectionCommitsSynchronously(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ serversDefault, want string }{{"off", "on"}, {"local", "on"}, {"remote_apply", "remote_apply"}} {
		url := dbtest.URL(t)
		admin := dbtest.Connect(t, url)
		name := query[string](t, admin, `SELECT current_database()`)
		if _, err := admin.Exec(background, fmt.Sprintf(`ALTER DATABASE %s SET synchronous_commit = %s`, name, c.serversDefault)); err != nil {
			t.Fatal(err)
		}
		if got := query[string](t, dbtest.Connect(t, url), `SHOW synchronous_commit`); got != c.want {
			t.Errorf("the database's default is %s: got %s, want %s", c.serversDefault, got, c.want)
		}
	}
}

// A plan that was made while a table was known to be empty is not kept when it fills.
func TestPlansAreMadeAnewWhenTheyAreOld(t *testing.T) {
	t.Parallel()
	pool, err := pgdb.Connect(background, dbtest.URL(t), pgdb.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	run := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(background, sql); err != nil {
			t.Fatal(err)
		}
	}
	plan := func() string {
		t.Helper()
		rows, err := pool.Query(background, `EXPLAIN EXECUTE looked_up (7)`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	run(`CREATE TABLE filling (n integer PRIMARY KEY) WITH (autovacuum_enabled = off)`)
	run(`ANALYZE filling`)
	run(`SET plan_cache_mode = force_generic_plan`)
	run(`PREPARE looked_up (integer) AS SELECT n FROM filling WHERE n = $1`)
	if first := plan(); !strings.Contains(first, "Seq Scan") {
		t.Fatalf("an empty table is not read as a whole, so this shows nothing:\n%s", first)
	}
	run(`INSERT INTO filling SELECT generate_series(1, 10000)`)
	for until := time.Now().Add(20 * time.Second); strings.Contains(plan(), "Seq Scan"); run(`SELECT pg_sleep(0.1)`) {
		if time.Now().After(until) {
			t.Fatalf("after 20 s all rows are still read:\n%s", plan())
		}
	}
}

// A pooler refuses to be told at the start of a session what it can't keep apart.
func TestConnectThroughAPooler(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool, err := pgdb.Connect(background, dbtest.Pooler(t, url), pgdb.Options{QueryMode: pgx.QueryExecModeCacheDescribe})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if n := query[int](t, pool, `SELECT count(*) FROM product`); n != 0 {
		t.Errorf("%d products", n)
	}
	if got := query[string](t, dbtest.Connect(t, url), `SHOW idle_in_transaction_session_timeout`); got != "30s" {
		t.Errorf("a stalled session ends after %s, want 30s", got)
	}
}

func TestConnectSaysWhatIsWrongAndNoSecret(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://u:hush@127.0.0.1:1/x", "postgres://u:hush@[broken"} {
		_, err := pgdb.Connect(background, url, pgdb.Options{})
		if err == nil {
			t.Fatalf("%s: no error", url)
		}
		if s := err.Error(); len(s) == 0 || containsSecret(s) {
			t.Errorf("%s", s)
		}
	}
}

func containsSecret(s string) bool {
	for i := 0; i+4 <= len(s); i++ {
		if s[i:i+4] == "hush" {
			return true
		}
	}
	return false
}

func TestInTxCommitsOrLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	insert := func(tx pgx.Tx) error {
		_, err := tx.Exec(background, `INSERT INTO product (sku) VALUES ('A')`)
		return err
	}
	boom := errors.New("boom")
	err := pgdb.InTx(background, pool, func(tx pgx.Tx) error { return errors.Join(insert(tx), boom) })
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want boom", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = pgdb.InTx(background, pool, func(tx pgx.Tx) error {
			_ = insert(tx)
			panic("boom")
		})
	}()
	if n := query[int](t, pool, `SELECT count(*) FROM product`); n != 0 {
		t.Errorf("%d rows after an error and a panic, want none", n)
	}
	ctx, cancel := context.WithCancel(background)
	err = pgdb.InTx(ctx, pool, func(tx pgx.Tx) error {
		defer cancel() // the caller goes once all is said: the commit goes on
		return insert(tx)
	})
	if err != nil || query[int](t, pool, `SELECT count(*) FROM product`) != 1 {
		t.Errorf("the commit of a caller that has gone: %v", err)
	}
	err = pgdb.InTx(background, pool, insert)
	if !pgdb.ViolatesConstraint(err, "product_sku_once") || pgdb.ViolatesConstraint(err, "product_pkey") || pgdb.Retryable(err) {
		t.Errorf("got %v, want the violation of product_sku_once, which is not worth trying again", err)
	}
}

func TestADeferredRefusalAtCommitIsNoUnknownOutcome(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	if _, err := pool.Exec(background, `CREATE TABLE pair (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`); err != nil {
		t.Fatal(err)
	}
	err := pgdb.InTx(background, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(background, `INSERT INTO pair VALUES (1), (1)`)
		return err
	})
	if err == nil || errors.Is(err, pgdb.ErrOutcomeUnknown) {
		t.Errorf("got %v, want the constraint's error", err)
	}
}

func TestWhatIsWorthTryingAgain(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	err := pgdb.InTx(background, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(background, `SELECT pg_terminate_backend(pg_backend_pid())`)
		return err
	})
	if !pgdb.Retryable(err) || errors.Is(err, pgdb.ErrOutcomeUnknown) {
		t.Errorf("a connection that was ended before the commit: %v", err)
	}
	err = pgdb.InTxWith(background, pool, `SET LOCAL lock_timeout = '1ms'`, func(tx pgx.Tx) error {
		other, err := pool.Begin(background)
		if err != nil {
			return err
		}
		defer func() { _ = other.Rollback(background) }()
		if _, err := other.Exec(background, `LOCK TABLE product`); err != nil {
			return err
		}
		_, err = tx.Exec(background, `SELECT FROM product`)
		return err
	})
	if !pgdb.Retryable(err) {
		t.Errorf("a lock timeout: %v", err)
	}
	_, err = pool.Exec(background, `SELECT nonsense`)
	if pgdb.Retryable(err) {
		t.Errorf("a query that makes no sense is worth trying again: %v", err)
	}
	_, err = pool.Exec(background, `SELECT $1::text`, "a\x00b")
	if !pgdb.Unstorable(err) {
		t.Errorf("U+0000 in a text: %v", err)
	}
}

// Who is refused a session has done nothing. Whether it is worth trying again is another question: a password does not become right.
func TestWhoCouldNotConnectHasDoneNothing(t *testing.T) {
	t.Parallel()
	for code, again := range map[string]bool{"XX000": true, "53300": true, "57P03": true, "28P01": false, "3D000": false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go refuseSessions(l, code)
		_, err = pgdb.Connect(background, "postgres://lastunit@"+l.Addr().String()+"/lastunit?sslmode=disable", pgdb.Options{})
		if err == nil || !strings.Contains(err.Error(), code) || pgdb.Retryable(err) != again {
			t.Errorf("a session is refused with %s: worth trying again is %t, want %t (%v)", code, pgdb.Retryable(err), again, err)
		}
	}
}

// refuseSessions is a PostgreSQL that refuses every session, until l is closed.
func refuseSessions(l net.Listener, code string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		backend := pgproto3.NewBackend(conn, conn)
		if _, err := backend.ReceiveStartupMessage(); err == nil {
			backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "no session for you"})
			_ = backend.Flush()
		}
		_ = conn.Close()
	}
}

// Each connection is gone when it is to be used, also one that was made a moment ago.
func TestConnectionsThatAreGoneWhenTheyAreToBeUsed(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	_, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	p, err := proxy.New("127.0.0.1:0", address, []byte("DISCARD PLANS"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	pool, err := pgdb.Connect(background, fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", cfg.User, p.Address(), cfg.Database), pgdb.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	p.Arm(proxy.Before, 1000)
	pool.Reset()
	if _, err = pool.Exec(background, `SELECT`); err == nil || !pgdb.Retryable(err) {
		t.Errorf("worth trying again is %t, want true (%v)", pgdb.Retryable(err), err)
	}
	p.Heal()
	if _, err = pool.Exec(background, `SELECT`); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestSeveralMigrateAtOnceAndEachMigrationIsAppliedOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool := dbtest.Connect(t, url)
	if _, err := pool.Exec(background, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`); err != nil {
		t.Fatal(err)
	}
	applied := make(chan int, 3)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(background, time.Minute)
			defer cancel()
			done, err := pgdb.MigrateUp(ctx, dbtest.Connect(t, url), migrations.FS)
			if err != nil {
				t.Error(err)
			}
			applied <- len(done)
		})
	}
	wg.Wait()
	close(applied)
	sum := 0
	for n := range applied {
		sum += n
	}
	all, err := pgdb.MigrateStatus(background, pool, migrations.FS)
	if err != nil || sum != len(all) {
		t.Errorf("%d were applied of %d, %v", sum, len(all), err)
	}
	for _, m := range all {
		if !m.Applied {
			t.Errorf("%s is not applied", m.Name)
		}
	}
}

// A forgotten reader keeps a migration from its table, and the migration must not keep everybody else from it.
func TestAMigrationThatWaitsLetsOthersThrough(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(background, 30*time.Second)
	defer cancel()
	pool := dbtest.Pool(t)
	if _, err := pool.Exec(ctx, `CREATE TABLE wanted (n int)`); err != nil {
		t.Fatal(err)
	}
	reader, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback(background) }()
	if _, err := reader.Exec(ctx, `SELECT FROM wanted`); err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"900001_first.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE first (n int);\n")},
		"900002_second.sql": {Data: []byte("-- +goose Up\nALTER TABLE wanted ADD COLUMN m int;\n")},
	}
	type outcome struct {
		done []pgdb.Migration
		err  error
	}
	migrated := make(chan outcome, 1)
	go func() {
		done, err := pgdb.MigrateUp(ctx, pool, files)
		migrated <- outcome{done, err}
	}()
	for query[int](t, pool, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		if ctx.Err() != nil {
			t.Fatal("the migration does not wait for the table")
		}
	}
	if _, err := pool.Exec(ctx, `SELECT FROM wanted`); err != nil {
		t.Fatalf("who came after the migration: %v", err)
	}
	if err := reader.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if m := <-migrated; m.err != nil || len(m.done) != 2 || m.done[0].Version != 900001 {
		t.Errorf("once the reader had gone: %+v", m)
	}
}

// One that would keep its table for long is given up with nothing done, those before it stay; outside of a transaction, and when it is asked for, there is time.
func TestAMigrationThatKeepsItsTableTooLongIsRefused(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	pool := dbtest.Pool(t)
	files := fstest.MapFS{
		"900001_first.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE wanted (n int);\n")},
		"900002_beside.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nSELECT pg_sleep(3.5);\n")},
		"900003_third.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE third (n int);\n")},
		"900004_long.sql":   {Data: []byte("-- +goose Up\nALTER TABLE wanted ADD COLUMN m int;\nSELECT pg_sleep(3.5);\n")},
	}
	began := time.Now()
	done, err := pgdb.MigrateUp(ctx, pool, files)
	if err == nil || !strings.Contains(err.Error(), "--however-long") || !strings.Contains(err.Error(), "900004") || len(done) != 3 {
		t.Errorf("a long one: %v, %v", done, err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it was tried again and again, for %s", took)
	}
	const columns = `SELECT count(*) FROM information_schema.columns WHERE table_name = 'wanted'`
	if n := query[int](t, pool, columns); n != 1 {
		t.Errorf("of a migration that was refused %d columns stay", n)
	}
	if done, err = pgdb.MigrateUpHoweverLong(ctx, pool, files); err != nil || len(done) != 1 || query[int](t, pool, columns) != 2 {
		t.Errorf("however long it takes: %v, %v", done, err)
	}
	older := fstest.MapFS{"900000_late.sql": {Data: []byte("-- +goose Up\nCREATE TABLE late (n int);\n")}}
	maps.Copy(older, files)
	if done, err = pgdb.MigrateUp(ctx, pool, older); err == nil || len(done) != 0 {
		t.Errorf("one that is older than the newest that was applied: %v, %v", done, err)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	a, b := pgdb.NewID(), pgdb.NewID()
	if a.String() >= b.String() {
		t.Errorf("%s was made before %s", a, b)
	}
	if back, err := pgdb.ParseID(a.String()); err != nil || back != a {
		t.Errorf("%s reads as %s, %v", a, back, err)
	}
	for _, s := range []string{"", "x", "{" + a.String() + "}", "urn:uuid:" + a.String(), a.String()[:35], a.String() + "0"} {
		if _, err := pgdb.ParseID(s); err == nil {
			t.Errorf("%q was taken for an id", s)
		}
	}
}

func TestTogetherAnswersEachStepAndStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	pool := dbtest.Connect(t, dbtest.URL(t))
	ask := func(sql string, into *int) func(pgdb.Queryer) error {
		return func(db pgdb.Queryer) error { return db.QueryRow(background, sql).Scan(into) }
	}
	within := func(steps ...func(pgdb.Queryer) error) error {
		return pgdb.InTx(background, pool, func(tx pgx.Tx) error { return pgdb.Together(background, tx, steps...) })
	}
	var one, two, none int
	rows := func(db pgdb.Queryer) error {
		found, err := db.Query(background, `SELECT 2 FROM generate_series(1, 3)`)
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(found, pgx.RowTo[int])
		two = len(all)
		return err
	}
	write := func(table string) func(pgdb.Queryer) error {
		return func(db pgdb.Queryer) error {
			tag, err := db.Exec(background, `CREATE TABLE `+table+` AS SELECT 1`)
			if err == nil && tag.RowsAffected() != 1 {
				t.Errorf("%v", tag)
			}
			return err
		}
	}
	if err := within(ask(`SELECT 1`, &one), rows, write("made")); err != nil || one != 1 || two != 3 {
		t.Errorf("got %d and %d, %v", one, two, err)
	}
	err := within(write("undone"), ask(`SELECT 1/0`, &none), ask(`SELECT 3`, &none))
	if err == nil || none != 0 {
		t.Errorf("got %d, %v", none, err)
	}
	err = within(ask(`SELECT 3`, &none), ask(`SELECT 1/0`, &none), ask(`SELECT 4`, &none))
	if err == nil || none != 3 {
		t.Errorf("got %d, %v; want the first answer, and the error of the second", none, err)
	}
	if err := within(func(pgdb.Queryer) error { return nil }); err == nil {
		t.Error("a step that asks nothing is let pass")
	}
	// What was done together with the statement that failed is not done, and the connections are good for more.
	if err := within(ask(`SELECT count(*) FROM pg_class WHERE relname IN ('made', 'undone')`, &none)); err != nil || none != 1 {
		t.Errorf("got %d, %v", none, err)
	}
}

// What goes along with BEGIN is of the transaction, and its connection can be used again, however the transaction ends.
func TestWhatGoesAlongWithBeginIsOfTheTransaction(t *testing.T) {
	t.Parallel()
	pool, err := pgdb.Connect(background, dbtest.URL(t), pgdb.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(background, `CREATE TABLE made (n integer)`); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string) func(pgdb.Queryer) error {
		return func(db pgdb.Queryer) error {
			_, err := db.Exec(background, sql)
			return err
		}
	}
	count := func() (n int) {
		t.Helper()
		soon, cancel := context.WithTimeout(background, 5*time.Second) // there is one connection
		defer cancel()
		if err := pool.QueryRow(soon, `SELECT count(*) FROM made`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	undone := errors.New("undone")
	for name, c := range map[string]struct {
		first []func(pgdb.Queryer) error
		then  error
		rows  int
	}{
		"committed":                {[]func(pgdb.Queryer) error{exec(`INSERT INTO made VALUES (1)`)}, nil, 2},
		"nothing goes along":       {nil, nil, 1},
		"undone":                   {[]func(pgdb.Queryer) error{exec(`INSERT INTO made VALUES (1)`)}, undone, 0},
		"a statement that fails":   {[]func(pgdb.Queryer) error{exec(`INSERT INTO made VALUES (1)`), exec(`SELECT 1/0`)}, nil, 0},
		"a step that asks nothing": {[]func(pgdb.Queryer) error{func(pgdb.Queryer) error { return nil }}, nil, 0},
	} {
		before, went := count(), false
		err := pgdb.InTxTogether(background, pool, c.first, func(tx pgx.Tx) error {
			went = true
			if _, err := tx.Exec(background, `INSERT INTO made VALUES (2)`); err != nil {
				return err
			}
			return c.then
		})
		if (err == nil) != (c.rows > 0) || c.then != nil && !errors.Is(err, c.then) || went != (c.rows > 0 || c.then != nil) {
			t.Errorf("%s: %v, went on: %t", name, err, went)
		}
		if got := count() - before; got != c.rows {
			t.Errorf("%s: %d rows, want %d", name, got, c.rows)
		}
	}
}

// commitFails is a transaction whose commit the server answers with an error.
type commitFails struct {
	pgx.Tx
	err *pgconn.PgError
}

func (c commitFails) BeginTx(context.Context, pgx.TxOptions) (pgx.Tx, error) { return c, nil }
func (c commitFails) Commit(context.Context) error                           { return c.err }
func (commitFails) Rollback(context.Context) error                           { return nil }

// What the server says of a commit settles what has become of it only while the session goes on: a server that gives up may have it on disk.
func TestACommitThatFailsIsUndoneOrUnknown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		severity, code string
		unknown        bool
	}{
		{"ERROR", "23505", false},
		{"ERROR", "40001", false},
		{"ERROR", "53100", false},
		{"ERROR", "40003", true},
		{"ERROR", "57014", true},
		{"FATAL", "57P01", true},
		{"FATAL", "08006", true},
		{"PANIC", "53100", true}, // the disk of the log is full: this commit may be what fitted last
		{"PANIC", "XX000", true},
	} {
		err := pgdb.InTx(background, commitFails{err: &pgconn.PgError{Severity: "in another language", SeverityUnlocalized: c.severity, Code: c.code}}, func(pgx.Tx) error { return nil })
		if unknown := errors.Is(err, pgdb.ErrOutcomeUnknown); err == nil || unknown != c.unknown || unknown && pgdb.Retryable(err) {
			t.Errorf("%s %s: unknown %t, want %t: %v", c.severity, c.code, unknown, c.unknown, err)
		}
	}
}
