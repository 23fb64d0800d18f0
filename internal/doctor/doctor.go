// Package doctor looks at a PostgreSQL as lastunit would use it, and says what is wrong with it, why that matters and how to mend it. It changes
// nothing: all that it does in the database it does in transactions that can only read. It knows PostgreSQL and the names of the hot tables, and
// no rule of the shop.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/pgdb"
)

// Level says how bad a finding is.
type Level string

// The levels, from good to bad. An Error loses answers, stops the shop or keeps it from starting.
const (
	OK      Level = "ok"
	Hint    Level = "hint"
	Warning Level = "warning"
	Error   Level = "error"
)

// Finding is what was found out about one thing. Why and Do are empty when it is OK; otherwise Do is a command or setting, to be used as it is.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	What  string `json:"what"`
	Why   string `json:"why,omitempty"`
	Do    string `json:"do,omitempty"`
}

// Options say how lastunit would use the database.
type Options struct {
	URL         string
	Own         bool // it is lastunit's own PostgreSQL, which nobody else uses
	Connections int  // that a server opens at most
	Servers     int  // how many there are; 0 is 1
	QueryMode   pgx.QueryExecMode
	Migrations  fs.FS            // those that the program knows
	Patience    time.Duration    // how old a transaction may be; 0 is 5 minutes
	Now         func() time.Time // this machine's clock, unless another one is given
}

// exam is one examination.
type exam struct {
	Options
	conn     *pgx.Conn
	settings map[string]setting

	role, database, schema string // schema is empty when there is none to make tables in
	seesAll                bool   // what other roles do as well
	transactionPooler      bool
	standby                bool
	missing                bool // migrations are missing

	findings []Finding
}

func (e *exam) add(level Level, check, what, why, do string) {
	e.findings = append(e.findings, Finding{check, level, what, why, do})
}

func (e *exam) ok(check, what string, args ...any) {
	e.add(OK, check, fmt.Sprintf(what, args...), "", "")
}

// Examine makes every check that can be made; when the database can't be reached, or is a standby, those are few. It always finds something.
func Examine(ctx context.Context, o Options) []Finding {
	e := &exam{Options: o}
	e.Servers, e.Patience = max(e.Servers, 1), cmp.Or(e.Patience, 5*time.Minute)
	if e.Now == nil {
		e.Now = time.Now
	}
	if !e.connect(ctx) {
		return e.findings
	}
	defer func() { _ = e.conn.Close(context.WithoutCancel(ctx)) }()
	e.pooler(ctx)
	// Settings are read before any is changed for the other checks.
	if !e.check(ctx, "settings", "", e.readSettings) || !e.check(ctx, "primary", limits, e.primary) || e.standby {
		return e.findings
	}
	for _, c := range []struct {
		name string
		run  func(context.Context, pgx.Tx) error
	}{
		{"version", e.version}, {"encoding", e.encoding}, {"migrations", e.migrations}, {"rights", e.rights}, {"durability", e.durability},
		{"timeouts", e.timeouts}, {"connections", e.connections}, {"clock", e.clock}, {"autovacuum", e.autovacuum}, {"dead rows", e.deadRows},
		{"statistics", e.statistics}, {"old transactions", e.oldTransactions}, {"slots", e.slots}, {"standbys", e.standbys}, {"age", e.age},
		{"archive", e.archive}, {"checkpoints", e.checkpoints}, {"buffers", e.buffers}, {"checksums", e.checksums}, {"encryption", e.encryption},
	} {
		if !e.check(ctx, c.name, limits, c.run) && e.conn.IsClosed() {
			break
		}
	}
	return e.findings
}

// limits keep a check from waiting for a migration, or from costing the shop anything.
const limits = "; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10s'"

// check runs a check in a transaction of its own that can only read, and tells whether it could be made.
func (e *exam) check(ctx context.Context, name, settings string, run func(context.Context, pgx.Tx) error) bool {
	err := pgdb.InTxWith(ctx, e.conn, "SET TRANSACTION READ ONLY"+settings, func(tx pgx.Tx) error { return run(ctx, tx) })
	if err != nil {
		e.add(Warning, name, "could not be looked at: "+err.Error(), "What is wrong there is not known.", "run lastunit doctor again, as a role that may look")
	}
	return err == nil
}

// setting is a setting as new sessions of our role in our database get it.
type setting struct{ value, source, context string }

func (e *exam) readSettings(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, `SELECT current_user::text, current_database()::text, coalesce(current_schema()::text, ''), pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')`).
		Scan(&e.role, &e.database, &e.schema, &e.seesAll)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT name, setting, source, context FROM pg_settings`)
	if err != nil {
		return err
	}
	e.settings = map[string]setting{}
	var name string
	var s setting
	_, err = pgx.ForEachRow(rows, []any{&name, &s.value, &s.source, &s.context}, func() error {
		e.settings[name] = s
		return nil
	})
	return err
}

// number reads a setting of a whole number, in the unit in which PostgreSQL keeps it; 0 if there is none of this name, in older versions.
func (e *exam) number(name string) (n int64) {
	_, _ = fmt.Sscan(e.settings[name].value, &n)
	return n
}

// mend says how to set a setting, where it was set.
func (e *exam) mend(name, value string) string {
	s := e.settings[name]
	switch s.source {
	case "database":
		return fmt.Sprintf("ALTER DATABASE %s RESET %s;", quote(e.database), name)
	case "user":
		return fmt.Sprintf("ALTER ROLE %s RESET %s;", quote(e.role), name)
	case "database user":
		return fmt.Sprintf("ALTER ROLE %s IN DATABASE %s RESET %s;", quote(e.role), quote(e.database), name)
	case "client":
		return "take " + name + " out of the database URL"
	case "command line":
		return fmt.Sprintf("start PostgreSQL with -c %s=%s", name, value)
	}
	if s.context == "postmaster" {
		return fmt.Sprintf("ALTER SYSTEM SET %s = %s; then restart PostgreSQL", name, literal(value))
	}
	return fmt.Sprintf("ALTER SYSTEM SET %s = %s; SELECT pg_reload_conf();", name, literal(value))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
