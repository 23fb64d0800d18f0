package pgdb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migration is the state of one migration.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// How long a migration may keep others from a table: it waits for a lock no longer than this, and no statement of it runs longer than this.
const (
	longestWait      = 2 * time.Second
	longestStatement = 3 * time.Second
)

// MigrateUp applies what is missing. Several processes may call it at once: each migration is applied once. It needs a
// connection to the server itself, not one through a pooler in transaction mode.
//
// A migration that waits for a table makes everybody wait who comes after it, so it gives up after 2 s, lets them through and tries again, ten times.
// One that has a statement which runs longer than 3 s keeps its tables from everybody for so long: it is refused, and nothing of it stays done. Those that
// run outside of a transaction (indexes made concurrently) lock nobody out, and may take their time.
// Those that it has applied are returned with an error as well.
func MigrateUp(ctx context.Context, pool *pgxpool.Pool, files fs.FS) (done []Migration, err error) {
	return migrateUp(ctx, pool, files, longestStatement)
}

// MigrateUpHoweverLong is MigrateUp for when nobody is there to be kept waiting: no statement takes too long.
func MigrateUpHoweverLong(ctx context.Context, pool *pgxpool.Pool, files fs.FS) (done []Migration, err error) {
	return migrateUp(ctx, pool, files, 0)
}

func migrateUp(ctx context.Context, pool *pgxpool.Pool, files fs.FS, longest time.Duration) (done []Migration, err error) {
	for tries := 1; ; {
		last, limit, err := nextUp(ctx, pool, files, longest)
		if err != nil || last == 0 {
			return done, err
		}
		err = impatiently(ctx, pool, files, limit, func(p *goose.Provider) error {
			results, err := p.UpTo(ctx, last)
			var partial *goose.PartialError
			if errors.As(err, &partial) {
				results = partial.Applied
			}
			for _, r := range results {
				done = append(done, Migration{Version: r.Source.Version, Name: r.Source.Path, Applied: true})
			}
			return err
		})
		if err == nil {
			continue
		}
		if sqlState(err) != "55P03" {
			return done, tooLong(ctx, err)
		}
		if tries++; tries > 10 {
			return done, fmt.Errorf("%w: somebody else keeps a table; nothing of this migration was done. End old transactions (lastunit doctor names them) and run it again", err)
		}
		select {
		case <-ctx.Done():
			return done, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// nextUp is the last of the migrations that can be applied next with the same limit to their statements, and that limit: what runs outside of a
// transaction has none. 0: there are no more.
func nextUp(ctx context.Context, pool *pgxpool.Pool, files fs.FS, longest time.Duration) (last int64, limit time.Duration, err error) {
	all, err := MigrateStatus(ctx, pool, files)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range all {
		if m.Applied {
			continue
		}
		text, err := fs.ReadFile(files, m.Name)
		if err != nil {
			return 0, 0, fmt.Errorf("migrate: %w", err)
		}
		own := longest
		if bytes.Contains(text, []byte("\n-- +goose NO TRANSACTION")) || bytes.HasPrefix(text, []byte("-- +goose NO TRANSACTION")) {
			own = 0
		}
		if last != 0 && own != limit {
			break
		}
		last, limit = m.Version, own
	}
	return last, limit, nil
}

// MigrateDown takes back the newest migration. It waits for a table no longer than 2 s, and tries once.
func MigrateDown(ctx context.Context, pool *pgxpool.Pool, files fs.FS) (Migration, error) {
	var undone Migration
	err := impatiently(ctx, pool, files, 0, func(p *goose.Provider) error {
		r, err := p.Down(ctx)
		if err == nil {
			undone = Migration{Version: r.Source.Version, Name: r.Source.Path}
		}
		return err
	})
	return undone, err
}

// impatiently is withGoose on connections that wait for no lock longer than longestWait, and of which no statement runs longer than a limit; 0: however long.
func impatiently(ctx context.Context, pool *pgxpool.Pool, files fs.FS, limit time.Duration, fn func(*goose.Provider) error) error {
	cfg := pool.Config()
	prepare := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if prepare != nil {
			if err := prepare(ctx, conn); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, fmt.Sprintf(`SET lock_timeout = %d; SET statement_timeout = %d`, longestWait.Milliseconds(), limit.Milliseconds()))
		return err
	}
	impatient, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer impatient.Close()
	return withGoose(impatient, files, fn)
}

// tooLong says what to do about a statement that was cancelled because it ran too long.
func tooLong(ctx context.Context, err error) error {
	if sqlState(err) != "57014" || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: a statement of it runs longer than %s, and may keep a table from everybody for so long; nothing of this migration was done. "+
		"Pause selling or stop the servers, then run: lastunit migrate up --however-long", err, longestStatement)
}

func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// MigrateStatus lists all migrations and whether each has been applied.
func MigrateStatus(ctx context.Context, pool *pgxpool.Pool, files fs.FS) ([]Migration, error) {
	var all []Migration
	err := withGoose(pool, files, func(p *goose.Provider) error {
		results, err := p.Status(ctx)
		for _, r := range results {
			all = append(all, Migration{Version: r.Source.Version, Name: r.Source.Path, Applied: r.State == goose.StateApplied})
		}
		return err
	})
	return all, err
}

func withGoose(pool *pgxpool.Pool, files fs.FS, fn func(*goose.Provider) error) error {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func(db *sql.DB) { _ = db.Close() }(db)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := fn(p); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
