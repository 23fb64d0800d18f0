package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// service is lastunit as its users run it: built, started on a data directory of its own, perhaps several times on one database.
type service struct {
	ctx      context.Context
	binary   string
	dir      string
	args     []string
	servers  []*server
	key      string
	database string
}

// server is one process; it keeps its address over restarts.
type server struct {
	address string // host:port
	cmd     *exec.Cmd
	exited  chan struct{}
	stderr  bytes.Buffer
}

// hold is longer than any run.
const hold = 24 * time.Hour

// build makes the program, unless a path was given.
func build(ctx context.Context, path string) (binary string, clean func(), err error) {
	if path != "" {
		return path, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "lastunit-build-")
	if err != nil {
		return "", nil, err
	}
	binary = filepath.Join(dir, "lastunit")
	clean = func() { removeBuilt(binary) }
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/lastunit/lastunit/cmd/lastunit").CombinedOutput()
	if err != nil {
		clean()
		return "", nil, fmt.Errorf("build lastunit: %w: %s", err, out)
	}
	return binary, clean, nil
}

func removeBuilt(binary string) { _ = os.RemoveAll(filepath.Dir(binary)) }

// startService starts so many servers, the first with the PostgreSQL that all use.
func startService(ctx context.Context, binary string, servers int, args ...string) (s *service, err error) {
	s = &service{ctx: ctx, binary: binary, args: append([]string{"--hold", hold.String(), "--log-level", "error"}, args...)}
	// Not below a directory of mode 0700: as root PostgreSQL runs as somebody else, who has to enter it.
	if s.dir, err = os.MkdirTemp("", "lastunit-queue-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, err
	}
	for i := range servers {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		s.servers = append(s.servers, &server{address: address})
		if err := s.start(i); err != nil {
			return nil, err
		}
	}
	out, err := s.command("key", "create", "--name", "bench", "--scope", "*").Output()
	s.key = strings.TrimSpace(string(out))
	return s, err
}

// freeAddress is one below the ports that the system gives to clients: a client that dials one of those while the server is down may
// be connected with itself.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(10000+rand.IntN(20000))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

func (s *service) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.ctx, s.binary, append(args, "--data-dir", s.dir)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()} //nolint:forbidigo // nothing else of ours may reach it
	return cmd
}

// start starts a server that is down, and returns when it has said where it is.
func (s *service) start(i int) error {
	srv := s.servers[i]
	args := append([]string{"serve", "--listen", srv.address}, s.args...)
	if i > 0 {
		args = append(args, "--database-url", s.database)
	}
	cmd := s.command(args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	srv.stderr.Reset()
	cmd.Stderr = &srv.stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	srv.cmd, srv.exited = cmd, make(chan struct{})
	lines := bufio.NewScanner(stdout)
	database := ""
	for database == "" && lines.Scan() {
		database, _ = strings.CutPrefix(lines.Text(), "its database is ")
		if database == lines.Text() {
			database = ""
		}
	}
	exited := srv.exited
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
		close(exited)
	}()
	if database == "" {
		<-exited
		return fmt.Errorf("serve did not start: %s", srv.stderr.String())
	}
	s.database = database
	return nil
}

// kill is kill -9 of a server.
func (s *service) kill(i int) {
	_ = s.servers[i].cmd.Process.Kill()
	<-s.servers[i].exited
}

// restart starts a server again until it runs: one without a PostgreSQL of its own can't while that is down.
func (s *service) restart(i int) error {
	var err error
	for began := time.Now(); time.Since(began) < time.Minute; pause(s.ctx, 100*time.Millisecond) {
		if err = s.start(i); err == nil || s.ctx.Err() != nil {
			return err
		}
	}
	return err
}

// killPostgres is kill -9 of the postmaster. It tells whether there was one.
func (s *service) killPostgres() bool {
	text, err := os.ReadFile(filepath.Join(s.dir, "postgres", "postmaster.pid"))
	if err != nil {
		return false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	return err == nil && pid > 1 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// stop ends the servers, the first last, and removes their directory.
func (s *service) stop() {
	for i := len(s.servers) - 1; i >= 0; i-- {
		srv := s.servers[i]
		if srv.cmd == nil {
			continue
		}
		_ = srv.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-srv.exited:
		case <-time.After(30 * time.Second):
			s.kill(i)
		}
	}
	_ = os.RemoveAll(s.dir)
}

func (s *service) addresses() []string {
	var all []string
	for _, srv := range s.servers {
		all = append(all, srv.address)
	}
	return all
}

// stock makes products with so many units each.
func (s *service) stock(units map[string]int) error {
	c := conn{address: s.servers[0].address, key: s.key}
	defer c.close()
	for sku, n := range units {
		for _, q := range []ask{
			{method: "PUT", path: "/api/v1/products/" + sku, body: "{}"},
			{method: "POST", path: "/api/v1/products/" + sku + "/receipts", body: fmt.Sprintf(`{"quantity":%d,"reference":"bench"}`, n)},
		} {
			q.patience = time.Minute
			a, err := c.do(s.ctx, q)
			if err != nil {
				return err
			}
			if a.status != 201 && a.status != 200 {
				return fmt.Errorf("%s %s: %d %s", q.method, q.path, a.status, a.text)
			}
		}
	}
	return nil
}

// audit runs lastunit audit and returns its last line.
func (s *service) audit() (string, error) {
	out, err := s.command("audit").CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("audit:\n%s", out)
	}
	return lines[len(lines)-1], err
}

// connect opens a connection of our own to the database.
func (s *service) connect() (*pgx.Conn, error) { return pgx.Connect(s.ctx, s.database) }

// rows reads all claims out of the database.
func (s *service) rows() ([]row, error) {
	db, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(s.ctx)) }()
	found, err := db.Query(s.ctx, `
		SELECT
			claim.claim_id::text, claim.buyer, coalesce(claim.idempotency_key, ''), product.sku, claim.status,
			coalesce(claim.reason, ''), coalesce(claim.queue_place, -1), coalesce(held.units, '')
		FROM claim
		JOIN product ON product.product_id = claim.product_id
		LEFT JOIN (
			SELECT claim_unit.claim_id, string_agg(claim_unit.unit_id::text, ' ' ORDER BY claim_unit.unit_id) AS units
			FROM claim_unit
			WHERE claim_unit.released_at IS NULL
			GROUP BY claim_unit.claim_id
		) AS held ON held.claim_id = claim.claim_id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(r pgx.CollectableRow) (d row, err error) {
		err = r.Scan(&d.id, &d.buyer, &d.key, &d.sku, &d.status, &d.reason, &d.place, &d.units)
		return d, err
	})
}

// pause waits, or not so long when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
