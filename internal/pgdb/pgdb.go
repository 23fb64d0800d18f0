// Package pgdb is the little that we add to pgx: connecting with the settings that a durable answer needs, migrating,
// transactions whose outcome is known or said to be unknown, and constraints spoken by name. It knows nothing of the shop.
package pgdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
)

var errNotAnID = errors.New("not a UUID in its usual form")

// Options of Connect.
type Options struct {
	// MaxConns bounds the pool; 0 leaves pgx's default.
	MaxConns int
	// QueryMode is how pgx sends queries; zero is QueryExecModeCacheStatement. Behind pgbouncer in transaction mode it must be another.
	QueryMode pgx.QueryExecMode
	// ApplicationName shows in pg_stat_activity; empty is "lastunit".
	ApplicationName string
	// Traces makes the spans of statements, under those of whoever asks for them; nil: there are none.
	Traces trace.TracerProvider
}

// Connect opens a pool and one connection of it. Every connection of the pool commits synchronously, whatever the server's
// default is, and gives up its locks when the process that holds it has stalled for half a minute inside a transaction.
func Connect(ctx context.Context, url string, o Options) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// pgx's text holds the URL with the password blanked out, but not when it could not parse it at all.
		return nil, errors.New("the database URL can't be read; it looks like postgres://user:password@host:5432/name")
	}
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(o.MaxConns)
	}
	if o.QueryMode != 0 {
		cfg.ConnConfig.DefaultQueryExecMode = o.QueryMode
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 2 * time.Second // for each of the URL's hosts: one that is gone may say nothing
	}
	cfg.ConnConfig.DialFunc = dial(cfg.ConnConfig.ConnectTimeout)
	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = cmp.Or(o.ApplicationName, "lastunit")
	params["timezone"] = "UTC"
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// For the query modes that do not ask the server for the types of parameters.
		conn.TypeMap().RegisterDefaultPgType(ID{}, "uuid")
		conn.TypeMap().RegisterDefaultPgType(&ID{}, "uuid")
		conn.TypeMap().RegisterDefaultPgType([]ID{}, "_uuid")
		return prepareSession(ctx, conn)
	}
	if o.Traces != nil {
		// Neither what is sent nor the text is put into spans: only what the statement is called.
		cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(o.Traces), otelpgx.WithDisableSQLStatementInAttributes(), otelpgx.WithSpanNameFunc(statementName))
	}
	if cfg.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cfg.PrepareConn = planAnew
	}
	cfg.MaxConnLifetimeJitter = 5 * time.Minute
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return pool, nil
}

// statementName is what a query is called: that of the queries is in their first line, which is sent to the server with them, so pg_stat_activity tells it too.
func statementName(sql string) string {
	sql = strings.TrimSpace(sql)
	if name, is := strings.CutPrefix(sql, "-- name: "); is {
		sql = name
	}
	word, _, _ := strings.Cut(sql, " ")
	return strings.TrimRight(word, ";\n")
}

// prepareSession sets what pgbouncer refuses to be told at the start of a session. It leaves synchronous_commit at remote_apply, which promises more. It turns the compiling of plans off, which PostgreSQL does by default where it reckons that a
// query is dear: it takes hundreds of milliseconds, and our queries take less than one.
func prepareSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT
		set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
		set_config('idle_in_transaction_session_timeout', '30s', false),
		set_config('jit', 'off', false)`)
	return err
}

// planAge is how long a connection that is in use keeps its plans. A plan that was made while a table was empty may read all of it, and to PostgreSQL it is as good as any until the table is analyzed
// again: with the first rows of a sale, thousands come within a second. Plans that are made now are by how large the tables are now.
const planAge = 2 * time.Second

// planAnew lets a connection forget plans that are too old, before somebody uses it.
func planAnew(ctx context.Context, conn *pgx.Conn) (bool, error) {
	const plannedSince = "lastunit.planned_since"
	own := conn.PgConn().CustomData()
	if since, is := own[plannedSince].(time.Time); is && time.Since(since) < planAge {
		return true, nil
	}
	own[plannedSince] = time.Now()
	return conn.PgConn().Exec(ctx, `DISCARD PLANS`).Close() == nil, nil
}

// Finding is an error that says what a transaction has found, and that it has done nothing: that an order is paid already, say.
type Finding interface {
	error
	Finding()
}

// ErrOutcomeUnknown says that the connection was lost while a commit was under way: the transaction may have been
// committed, may still be, or may not. Whoever gets it asks again with the same key.
var ErrOutcomeUnknown = errors.New("connection lost during commit: outcome unknown")

// Begin is what a transaction can be started on: a pool or a connection.
type Begin interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// InTx runs fn in a READ COMMITTED transaction and commits it, or rolls it back when fn returns an error. Only tx may be
// touched in fn. Once fn has returned nil the commit goes on even if ctx is cancelled: until ctx's deadline, but for half a second
// at least, and for 10 s where there is none. The error is fn's own, one that says that nothing was done, or one that is
// ErrOutcomeUnknown. One of fn's that is a Finding is returned when the standby that commits wait for, if there is one, has what
// was found: a primary that has crashed, or a commit that gave up waiting, shows what the standby may never get.
func InTx(ctx context.Context, db Begin, fn func(tx pgx.Tx) error) error {
	return InTxWith(ctx, db, "", fn)
}

// InTxWith is InTx with statements (such as SET LOCAL ...) that are sent along with BEGIN.
func InTxWith(ctx context.Context, db Begin, setting string, fn func(tx pgx.Tx) error) error {
	o := pgx.TxOptions{}
	if setting != "" {
		o.BeginQuery = "BEGIN; " + setting
	}
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return inTx(ctx, tx, fn)
}

// InTxTogether is InTx with statements that go along with BEGIN in one round trip, as Together runs them, before fn goes on from their answers.
func InTxTogether(ctx context.Context, db DB, first []func(Queryer) error, fn func(tx pgx.Tx) error) error {
	var sent recorder
	sent.batch.BeginTx(pgx.TxOptions{})
	if err := sent.record(first); err != nil {
		return err
	}
	answers := db.SendBatch(ctx, &sent.batch)
	return inTx(ctx, answers.Tx(), func(tx pgx.Tx) error {
		if _, err := answers.Exec(); err != nil {
			_ = answers.Close()
			return fmt.Errorf("begin: %w", err)
		}
		if err := replay(answers, first); err != nil {
			return err
		}
		return fn(tx)
	})
}

// inTx runs fn in a transaction and ends that.
func inTx(ctx context.Context, tx pgx.Tx, fn func(tx pgx.Tx) error) error {
	// Also when fn panics, and without effect after a commit. A connection that can't roll back is closed, and the server does.
	defer func() { _ = finish(ctx, tx.Rollback) }()
	if err := fn(tx); err != nil {
		var found Finding
		if !errors.As(err, &found) {
			return err
		}
		if lost := finish(ctx, func(ctx context.Context) error { return awaitStandby(ctx, tx) }); lost != nil {
			return fmt.Errorf("wait for the standby to have what was found: %w", lost)
		}
		return err
	}
	if err := finish(ctx, tx.Commit); err != nil {
		return commitError(err)
	}
	return nil
}

// awaitStandby undoes what a transaction has done, and returns when what it has read is where commits wait to be: a record that is committed lies behind all of it.
func awaitStandby(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `ROLLBACK AND CHAIN; SELECT pg_logical_emit_message(true, 'lastunit.read', '') WHERE current_setting('synchronous_standby_names') <> ''`); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// InGlance is InTx for looking at what is there: it can only read, and keeps PostgreSQL busy with no statement for longer than 2 s.
func InGlance(ctx context.Context, db Begin, fn func(tx pgx.Tx) error) error {
	return InTxWith(ctx, db, "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '500ms'", fn)
}

// finish commits or rolls back, whether or not ctx was cancelled, in the time that InTx promises.
func finish(ctx context.Context, do func(context.Context) error) error {
	within := 10 * time.Second
	if deadline, ends := ctx.Deadline(); ends {
		within = min(within, max(time.Until(deadline), 500*time.Millisecond))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	return do(ctx)
}

// commitError tells a commit that the server refused from one whose answer never came. A server that is shutting down or
// crashing (class 57, or a severity that ends the session) may have committed before it said so: when its disk is full, the commit may be
// in the last segment of the log, and what fails is to make the next.
func commitError(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.SeverityUnlocalized == "ERROR" && !strings.HasPrefix(pgErr.Code, "57") && pgErr.Code != "40003" {
		return fmt.Errorf("commit: %w", err)
	}
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return fmt.Errorf("commit: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

// ViolatesConstraint tells whether err is the violation of the constraint (or unique index) of that name.
func ViolatesConstraint(err error, name string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.ConstraintName == name
}

// Retryable tells whether err says that nothing was done and that the same again may well succeed: a deadlock or lock
// timeout, a server that is starting, stopping, full or gone.
func Retryable(err error) bool {
	if errors.Is(err, ErrOutcomeUnknown) {
		return false
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return isConnectionError(err)
	}
	switch pgErr.Code[:2] {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, intervention, system
		return true
	case "XX": // internal: of a session that can't begin, because the disk is full, say, and in a transaction nobody knows
		var connectErr *pgconn.ConnectError
		return errors.As(err, &connectErr)
	}
	// 55P03: lock timeout. 25006: read-only, as a standby is until it is promoted. 25P03: it stalled inside a transaction.
	return pgErr.Code == "55P03" || pgErr.Code == "25006" || pgErr.Code == "25P03"
}

// ErrorDetail is the server's detail of an error, for people; empty when err did not come from the server.
func ErrorDetail(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Detail
	}
	return ""
}

// Unstorable tells whether the server refused a text because it holds what no text can hold there: U+0000.
func Unstorable(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "22021" || pgErr.Code == "22P05")
}
