package pgdb

import (
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

// MigrateUp applies what is missing. Several processes may call it at once: each migration is applied once. It needs a
// connection to the server itself, not one through a pooler in transaction mode.
//
// A migration that waits for a table makes everybody wait who comes after it, so it gives up after 2 s, lets them through and tries again, ten times.
// Those that it has applied are returned with an error as well.
func MigrateUp(ctx context.Context, pool *pgxpool.Pool, files fs.FS) (done []Migration, err error) {
	cfg := pool.Config()
	prepare := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if prepare != nil {
			if err := prepare(ctx, conn); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, `SET lock_timeout = '2s'`)
		return err
	}
	impatient, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	defer impatient.Close()
	for range 10 {
		err = withGoose(impatient, files, func(p *goose.Provider) error {
			results, err := p.Up(ctx)
			var partial *goose.PartialError
			if errors.As(err, &partial) {
				results = partial.Applied
			}
			for _, r := range results {
				done = append(done, Migration{Version: r.Source.Version, Name: r.Source.Path, Applied: true})
			}
			return err
		})
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "55P03" {
			return done, err
		}
		select {
		case <-ctx.Done():
			return done, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
	return done, fmt.Errorf("%w: somebody else keeps a table; nothing of this migration was done. End old transactions (lastunit doctor names them) and run it again", err)
}

// MigrateDown takes back the newest migration.
func MigrateDown(ctx context.Context, pool *pgxpool.Pool, files fs.FS) (Migration, error) {
	var undone Migration
	err := withGoose(pool, files, func(p *goose.Provider) error {
		r, err := p.Down(ctx)
		if err == nil {
			undone = Migration{Version: r.Source.Version, Name: r.Source.Path}
		}
		return err
	})
	return undone, err
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
