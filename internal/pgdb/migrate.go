package pgdb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

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
func MigrateUp(ctx context.Context, pool *pgxpool.Pool, files fs.FS) ([]Migration, error) {
	var done []Migration
	err := withGoose(pool, files, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		for _, r := range results {
			done = append(done, Migration{Version: r.Source.Version, Name: r.Source.Path, Applied: true})
		}
		return err
	})
	return done, err
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
