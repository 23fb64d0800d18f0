// Package dbtest gives each test a database of its own on a real PostgreSQL: a copy of a migrated template, made in some 20 ms. It is for
// tests only.
package dbtest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/pgserver"
)

var (
	serverURL string
	count     atomic.Int64
)

// Main runs the tests of a package with a PostgreSQL of their own, which it starts before and stops after them. Call it from TestMain.
func Main(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	// Under the system's temporary directory and open to all, because the server runs as an unprivileged user when the tests run as root.
	dir, err := os.MkdirTemp("", "lastunit-test-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	ctx := context.Background()
	server, err := pgserver.Start(ctx, pgserver.Options{
		Dir:    dir,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		// Tests count rows, not what survives a power cut; those that kill a server start one of their own.
		Settings: map[string]string{"fsync": "off", "max_connections": "400"},
	})
	if err != nil {
		return 1, err
	}
	defer server.Stop()
	serverURL = server.URL()
	if err := makeTemplate(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

const template = "template_lastunit"

func makeTemplate(ctx context.Context) error {
	if err := adminExec(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	pool, err := pgdb.Connect(ctx, named(serverURL, template), pgdb.Options{})
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pgdb.MigrateUp(ctx, pool, migrations.FS)
	return err
}

// URL makes a migrated, empty database for one test and returns its URL. It is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", count.Add(1))
	admin(t, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s STRATEGY WAL_LOG`, name, template))
	t.Cleanup(func() { admin(t, fmt.Sprintf(`DROP DATABASE %s WITH (FORCE)`, name)) })
	return named(serverURL, name)
}

// Pool makes a migrated, empty database for one test and opens a pool of 20 connections on it.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return Connect(t, URL(t))
}

// Connect opens a pool of 20 connections, which is closed when the test ends.
func Connect(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgdb.Connect(context.Background(), url, pgdb.Options{MaxConns: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func admin(t testing.TB, statement string) {
	t.Helper()
	if err := adminExec(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
}

func adminExec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, named(serverURL, "postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

func named(serverURL, database string) string {
	u, err := url.Parse(serverURL)
	if err != nil {
		panic(err) // pgserver made it
	}
	u.Path = "/" + database
	return u.String()
}
