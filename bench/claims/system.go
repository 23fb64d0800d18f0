package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/lastunit/lastunit/bench/driven"
)

const secret = "bench-secret-bench-secret-bench-secret"

// system is something that sells: servers that speak HTTP, and a store.
type system struct {
	name      string
	addresses []string
	servers   []int        // processes
	store     func() []int // processes
	logs      bool         // the store is the PostgreSQL of the service
}

// bench is everything that runs.
type bench struct {
	ctx     context.Context
	binary  string
	dir     string
	service *driven.Service // lastunit, with the PostgreSQL that the contenders use as well, each in a database of its own
	db      *pgx.Conn       // to its database
	crowd   *crowd
	stops   []func()
}

// newBench starts so many servers, with arguments for serve besides those that all have.
func newBench(ctx context.Context, binary string, servers int, args ...string) (*bench, error) {
	b := &bench{ctx: ctx, binary: binary}
	var err error
	if b.dir, err = os.MkdirTemp("", "lastunit-claims-"); err != nil {
		return nil, err
	}
	b.stops = append(b.stops, func() { _ = os.RemoveAll(b.dir) })
	if b.crowd, err = newCrowd(secret, 50000); err == nil {
		b.service, err = driven.Start(ctx, binary, servers, append([]string{"--buyer-secret", secret, "--max-queued", "10000000"}, args...)...)
	}
	if err == nil {
		b.stops = append(b.stops, b.service.Stop)
		b.db, err = b.service.Connect(ctx)
	}
	if err != nil {
		b.stop()
		return nil, err
	}
	b.stops = append(b.stops, func() { _ = b.db.Close(context.WithoutCancel(ctx)) })
	return b, nil
}

func (b *bench) stop() {
	for i := len(b.stops) - 1; i >= 0; i-- {
		b.stops[i]()
	}
}

// lastunit is the first n servers of the service.
func (b *bench) lastunit(n int) *system {
	s := &system{name: "lastunit", store: b.postgres, logs: true}
	for _, srv := range b.service.Servers[:n] {
		s.addresses, s.servers = append(s.addresses, srv.Address), append(s.servers, srv.PID())
	}
	return s
}

// postgres lists the processes of PostgreSQL.
func (b *bench) postgres() []int {
	postmaster := b.service.PostgresPID()
	return append(driven.Children(postmaster), postmaster)
}

// walSpent is what PostgreSQL has written into its log so far.
type walSpent struct{ bytes, images float64 }

// walMeter reads it, over a connection of its own.
type walMeter struct{ db *pgx.Conn }

func (b *bench) wal(ctx context.Context, of *system) (m walMeter, err error) {
	if of.logs {
		m.db, err = b.service.Connect(ctx)
	}
	return m, err
}

func (m walMeter) close() {
	if m.db != nil {
		_ = m.db.Close(context.Background())
	}
}

// spent is nothing for a system without a log, and where it can't be read: then the figure is left out. Sessions tell of their page images once a second.
func (m walMeter) spent() (w walSpent) {
	if m.db != nil {
		_ = m.db.QueryRow(context.Background(), `SELECT (pg_current_wal_insert_lsn() - '0/0')::float8, wal_fpi::float8 FROM pg_stat_wal`).Scan(&w.bytes, &w.images)
	}
	return w
}

// contenderDatabase prepares a database for those that use PostgreSQL, with units of a product.
func (b *bench) contenderDatabase(units int) (string, error) {
	if _, err := b.db.Exec(b.ctx, "CREATE DATABASE contenders"); err != nil {
		return "", err
	}
	url, err := b.service.DatabaseNamed("contenders")
	if err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(b.ctx, b.binary, "migrate", "up", "--database-url", url).CombinedOutput(); err != nil {
		return "", fmt.Errorf("migrate: %w: %s", err, out)
	}
	own, err := pgx.Connect(b.ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = own.Close(context.WithoutCancel(b.ctx)) }()
	for _, sql := range []string{
		contenderTables,
		`INSERT INTO product (sku) VALUES ('hot')`,
		fmt.Sprintf(`INSERT INTO bench_counter SELECT sku, product_id, %d FROM product`, 100*units),
		fmt.Sprintf(`INSERT INTO bench_unit (product_id) SELECT product_id FROM product, generate_series(1, %d)`, units),
		fmt.Sprintf(`INSERT INTO stock_token (product_id, pool_id, position, unit_id)
			SELECT product_id, 0, nextval('stock_token_position'), uuid_v7_nth((extract(epoch FROM now()) * 1000)::bigint, n) FROM product, generate_series(1, %d) AS n`, units),
		`VACUUM ANALYZE`,
	} {
		if _, err := own.Exec(b.ctx, sql); err != nil {
			return "", fmt.Errorf("%s: %w", sql, err)
		}
	}
	return url, nil
}

// contender starts a contender with so many servers.
func (b *bench) contender(name, contender string, servers int, args ...string) (*system, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &system{name: name}
	for range servers {
		address, err := driven.FreeAddress()
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(b.ctx, self, append([]string{"serve", "-contender", contender, "-listen", address, "-secret", secret}, args...)...)
		cmd.Stderr = os.Stderr
		if err := b.start(cmd, "ready"); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.addresses, s.servers = append(s.addresses, address), append(s.servers, cmd.Process.Pid)
	}
	return s, nil
}

// start starts a program, and returns when it has printed something.
func (b *bench) start(cmd *exec.Cmd, ready string) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.stops = append(b.stops, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), ready) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return nil
		}
	}
	return fmt.Errorf("%s has not started", cmd.Path)
}

// redisServer starts a Redis that writes its log of commands as often as fsync says, with so many units of the product hot.
func (b *bench) redisServer(fsync string, units int) (address string, cmd *exec.Cmd, err error) {
	if address, err = driven.FreeAddress(); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "redis-")
	if err != nil {
		return "", nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	cmd = exec.CommandContext(b.ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", fsync, "--save", "")
	if err := b.start(cmd, "Ready to accept"); err != nil {
		return "", nil, fmt.Errorf("%w (redis-server is needed for this)", err)
	}
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	return address, cmd, client.Set(b.ctx, "stock:hot", units, 0).Err()
}

// quiet waits until PostgreSQL cleans up no more after what was done last, so that nobody pays for what another did.
func (b *bench) quiet() error {
	for began := time.Now(); time.Since(began) < 30*time.Second && b.ctx.Err() == nil; driven.Pause(b.ctx, 100*time.Millisecond) {
		var busy int
		if err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'`).Scan(&busy); err != nil {
			return err
		}
		if busy == 0 {
			return nil
		}
	}
	return nil
}
