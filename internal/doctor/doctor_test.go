package doctor_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/doctor"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var background = context.Background()

func options(url string) doctor.Options {
	return doctor.Options{URL: url, Connections: 16, Migrations: migrations.FS}
}

// all examines, and holds every finding to its form.
func all(t *testing.T, o doctor.Options) []doctor.Finding {
	t.Helper()
	found := doctor.Examine(background, o)
	for _, f := range found {
		if f.Check == "" || f.What == "" || (f.Level == doctor.OK) != (f.Why == "") || (f.Level == doctor.OK) != (f.Do == "") {
			t.Errorf("half a finding: %+v", f)
		}
		if strings.Contains(f.What, "could not be looked at") {
			t.Errorf("%s %s", f.Check, f.What)
		}
	}
	return found
}

// finding returns the finding of that check whose text holds a piece, nil if there is none.
func finding(found []doctor.Finding, check, piece string) *doctor.Finding {
	for i, f := range found {
		if f.Check == check && f.Level != doctor.OK && strings.Contains(f.What, piece) {
			return &found[i]
		}
	}
	return nil
}

// must returns the finding, which has to be there at that level.
func must(t *testing.T, o doctor.Options, level doctor.Level, check, piece string) doctor.Finding {
	t.Helper()
	found := all(t, o)
	f := finding(found, check, piece)
	if f == nil || f.Level != level {
		t.Fatalf("%s %q is not found as %s: %+v", check, piece, level, found)
	}
	return *f
}

func mustNot(t *testing.T, o doctor.Options, check, piece string) {
	t.Helper()
	if f := finding(all(t, o), check, piece); f != nil {
		t.Errorf("still found once mended: %+v", *f)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(background, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(background) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(background, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func ask[T any](t *testing.T, conn *pgx.Conn, query string) (v T) {
	t.Helper()
	if err := conn.QueryRow(background, query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func changed(t *testing.T, databaseURL string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

func with(name, value string) func(*url.URL) {
	return func(u *url.URL) {
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
	}
}

func as(role string) func(*url.URL) { return with("user", role) }

// Each is broken, found, mended with the very text of the finding, and found no more.
func TestWhatIsFoundIsMendedAsItSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken       string // in which DB is the database
		level        doctor.Level
		check, piece string
		mend         string // instead of the finding's own, where that is more than SQL
	}{
		"no synchronous commit":     {`ALTER DATABASE DB SET synchronous_commit = off`, doctor.Warning, "synchronous_commit", "off", ""},
		"of the role":               {`ALTER ROLE lastunit IN DATABASE DB SET synchronous_commit = local`, doctor.Warning, "synchronous_commit", "local", ""},
		"statements cut at once":    {`ALTER DATABASE DB SET statement_timeout = '500ms'`, doctor.Error, "timeouts", "statement_timeout is 500ms", ""},
		"statements cut":            {`ALTER DATABASE DB SET statement_timeout = '30s'`, doctor.Warning, "timeouts", "statement_timeout is 30s", ""},
		"long statements cut":       {`ALTER DATABASE DB SET statement_timeout = '5min'`, doctor.Hint, "timeouts", "statement_timeout is 5m0s", ""},
		"short locks":               {`ALTER DATABASE DB SET lock_timeout = '1s'`, doctor.Warning, "timeouts", "lock_timeout is 1s", ""},
		"idle sessions":             {`ALTER DATABASE DB SET idle_session_timeout = '10s'`, doctor.Hint, "timeouts", "idle_session_timeout is 10s", ""},
		"read-only":                 {`ALTER DATABASE DB SET default_transaction_read_only = on`, doctor.Error, "primary", "read_only", ""},
		"no vacuum of a hot table":  {`ALTER TABLE stock_token SET (autovacuum_enabled = false)`, doctor.Error, "autovacuum", "stock_token", ""},
		"no vacuum of another":      {`ALTER TABLE product SET (autovacuum_enabled = off)`, doctor.Warning, "autovacuum", "product", ""},
		"never analyzed":            {`CREATE TABLE loaded WITH (autovacuum_enabled = false) AS SELECT n FROM generate_series(1, 20000) AS n`, doctor.Warning, "statistics", "loaded", ""},
		"dead rows":                 {`CREATE TABLE dying WITH (autovacuum_enabled = false) AS SELECT n FROM generate_series(1, 20000) AS n; DELETE FROM dying; SELECT pg_stat_force_next_flush()`, doctor.Warning, "dead rows", "dying has 20000", `VACUUM dying`},
		"a newer schema":            {`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, true)`, doctor.Warning, "migrations", "[999999]", `DELETE FROM goose_db_version WHERE version_id = 999999`},
		"connections of a database": {`ALTER DATABASE DB CONNECTION LIMIT 10`, doctor.Error, "connections", "16 of 10", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(dbtest.URL(t))
			conn := connect(t, o.URL)
			database := ask[string](t, conn, `SELECT current_database()`)
			mustNot(t, o, c.check, c.piece)
			for _, statement := range strings.Split(strings.ReplaceAll(c.broken, "DB", database), "; ") {
				exec(t, conn, statement)
			}
			f := must(t, o, c.level, c.check, c.piece)
			if c.mend == "" {
				c.mend = f.Do
			}
			exec(t, conn, c.mend)
			mustNot(t, o, c.check, c.piece)
		})
	}
}

func TestMigrationsThatAreMissing(t *testing.T) {
	t.Parallel()
	o := options(dbtest.URL(t))
	conn := connect(t, o.URL)
	mustNot(t, o, "migrations", "")
	exec(t, conn, `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	if f := must(t, o, doctor.Error, "migrations", "missing: ["); f.Do != "lastunit migrate up" {
		t.Errorf("%+v", f)
	}
	exec(t, conn, `DROP TABLE goose_db_version`)
	must(t, o, doctor.Error, "migrations", "not migrated")
}

func TestAnOldTransactionIsNamedAndEnded(t *testing.T) {
	t.Parallel()
	o := options(dbtest.URL(t))
	admin := connect(t, o.URL)
	old := connect(t, changed(t, o.URL, with("application_name", "backup")))
	exec(t, old, `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM product`)
	mustNot(t, o, "old transactions", "")
	o.Patience = time.Microsecond
	f := must(t, o, doctor.Warning, "old transactions", "backup")
	statement, _, _ := strings.Cut(f.Do, ";")
	exec(t, admin, statement)
	for range 100 { // the process ends by itself
		if ask[int](t, admin, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backup' AND datname = current_database()`) == 0 {
			break
		}
		exec(t, admin, `SELECT pg_sleep(0.05)`)
	}
	mustNot(t, o, "old transactions", "backup")
}

func TestRightsOfARole(t *testing.T) {
	t.Parallel()
	admin := connect(t, dbtest.URL(t))
	o := options(changed(t, admin.Config().ConnString(), as("poor")))
	database := ask[string](t, admin, `SELECT current_database()`)
	exec(t, admin, `CREATE ROLE poor LOGIN`)
	f := must(t, o, doctor.Error, "rights", "lacks")
	must(t, o, doctor.Hint, "rights", "can't see what others do")
	must(t, o, doctor.Hint, "rights", "tables belong to")
	exec(t, admin, f.Do)
	mustNot(t, o, "rights", "lacks")
	exec(t, admin, `GRANT pg_read_all_stats TO poor`)
	mustNot(t, o, "rights", "can't see")

	exec(t, admin, `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	must(t, o, doctor.Error, "rights", "tables belong to")
	f = must(t, o, doctor.Error, "rights", "may not make tables")
	_, statement, _ := strings.Cut(f.Do, ": ")
	exec(t, admin, statement)
	mustNot(t, o, "rights", "may not make tables")

	exec(t, admin, `ALTER ROLE poor IN DATABASE `+database+` SET search_path = nowhere`)
	f = must(t, o, doctor.Error, "rights", "search_path nowhere")
	_, statement, _ = strings.Cut(f.Do, "or ")
	exec(t, admin, statement)
	mustNot(t, o, "rights", "search_path")

	exec(t, admin, `ALTER ROLE poor CONNECTION LIMIT 12`)
	exec(t, admin, must(t, o, doctor.Error, "connections", "16 of 12").Do)
	mustNot(t, o, "connections", "")
	must(t, options(admin.Config().ConnString()), doctor.Hint, "rights", "superuser")
}

func TestWhatAServerWants(t *testing.T) {
	t.Parallel()
	o := options(dbtest.URL(t)) // of a PostgreSQL with 400 connections and without fsync
	must(t, o, doctor.Error, "fsync", "off")
	mustNot(t, o, "connections", "")
	o.Servers = 30
	must(t, o, doctor.Error, "connections", "480 of 397")
	mustNot(t, o, "clock", "")
	for _, off := range []time.Duration{2 * time.Second, -2 * time.Second} {
		o.Now = func() time.Time { return time.Now().Add(off) }
		must(t, o, doctor.Warning, "clock", "differ by 2")
	}
}

func TestADatabaseInAnotherEncoding(t *testing.T) {
	t.Parallel()
	here := dbtest.URL(t)
	admin := connect(t, here)
	exec(t, admin, `CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	t.Cleanup(func() { exec(t, connect(t, here), `DROP DATABASE latin WITH (FORCE)`) })
	o := options(changed(t, here, func(u *url.URL) { u.Path = "/latin" }))
	must(t, o, doctor.Error, "encoding", "LATIN1")
	must(t, o, doctor.Error, "migrations", "not migrated")
}

func TestConnectionsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	here := dbtest.URL(t)
	for _, c := range []struct{ url, what, do string }{
		{"postgres://u:hush@[broken", "can't be read", "postgres://user"},
		{"postgres://u:hush@127.0.0.1:1/x", "nothing listens at 127.0.0.1:1", "listen_addresses"},
		{"postgres:///x?host=/nowhere", "nothing listens at /nowhere", "start PostgreSQL"},
		{"postgres://u:hush@no-such-host.invalid/x", "no-such-host.invalid is not known", "DNS"},
		{changed(t, here, func(u *url.URL) { u.Path = "/nothing" }), `database "nothing" does not exist`, `CREATE DATABASE "nothing" OWNER "lastunit"`},
		{changed(t, here, as("stranger")), `role "stranger" does not exist`, `CREATE ROLE "stranger" LOGIN`},
	} {
		f := must(t, options(c.url), doctor.Error, "connection", c.what)
		if !strings.Contains(f.Do, c.do) || strings.Contains(f.What+f.Do, "hush") {
			t.Errorf("%s: %+v", c.url, f)
		}
	}
}

func TestAPoolerInTransactionMode(t *testing.T) {
	t.Parallel()
	direct := dbtest.URL(t)
	o := options(dbtest.Pooler(t, direct))
	o.QueryMode = pgx.QueryExecModeCacheStatement
	if f := must(t, o, doctor.Error, "pooler", "transaction mode"); !strings.Contains(f.Do, "--query-mode cache_describe") {
		t.Errorf("%+v", f)
	}
	o.QueryMode = pgx.QueryExecModeCacheDescribe
	must(t, o, doctor.Hint, "pooler", "transaction mode")
	conn := connect(t, direct)
	exec(t, conn, `ALTER DATABASE `+ask[string](t, conn, `SELECT current_database()`)+` SET synchronous_commit = off`)
	exec(t, connect(t, direct), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	o.URL = dbtest.Pooler(t, direct) // the settings of sessions are those of their beginning
	must(t, o, doctor.Error, "synchronous_commit", "off")
	o.URL = direct
	mustNot(t, o, "pooler", "")
}
