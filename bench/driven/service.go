package driven

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Service is lastunit as its users run it: started on a data directory of its own, perhaps several times on one database.
type Service struct {
	Key     string // an API key that may do everything
	Servers []*Server

	ctx      context.Context
	binary   string
	dir      string
	args     []string
	urls     []string   // of somebody else's database, one for each server
	mu       sync.Mutex // over database
	database string
}

// Server is one process; it keeps its address over restarts.
type Server struct {
	Address string // host:port
	Metrics string // the address of its metrics, as it has told it; empty: it has none
	binary  string // empty: the service's
	cmd     *exec.Cmd
	exited  chan struct{}
	log     log
}

// PID of the process that runs, or ran last.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// log is what a server has said since it was first started.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Start starts so many servers with arguments for serve, the first with the PostgreSQL that all use. Everything ends with ctx. Unless the arguments say
// otherwise a buyer may ask as often as they like: a few of ours do the work of thousands.
func Start(ctx context.Context, binary string, servers int, args ...string) (*Service, error) {
	return begin(ctx, binary, servers, nil, args)
}

// StartOn is Start with a server on each URL, all of the same database, which is somebody else's.
func StartOn(ctx context.Context, binary string, urls []string, args ...string) (*Service, error) {
	return begin(ctx, binary, len(urls), urls, args)
}

func begin(ctx context.Context, binary string, servers int, urls, args []string) (*Service, error) {
	s := &Service{ctx: ctx, binary: binary, urls: urls, args: append([]string{"--log-level", "error"}, args...)}
	if err := s.startAll(servers); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Service) startAll(servers int) (err error) {
	// Not below a directory of mode 0700: as root PostgreSQL runs as somebody else, who has to enter it.
	if s.dir, err = os.MkdirTemp("", "lastunit-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	for i := range servers {
		address, err := FreeAddress()
		if err != nil {
			return err
		}
		s.Servers = append(s.Servers, &Server{Address: address})
		if err := s.start(i); err != nil {
			return err
		}
	}
	out, err := s.command("key", "create", "--name", "bench", "--scope", "*").Output()
	s.Key = strings.TrimSpace(string(out))
	return err
}

// FreeAddress is one below the ports that the system gives to clients: a client that dials one of those while the server is down may
// be connected with itself.
func FreeAddress() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(10000+rand.IntN(20000))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

func (s *Service) command(args ...string) *exec.Cmd {
	if len(s.urls) > 0 && args[0] != "serve" {
		args = append(args, "--database-url", s.urls[0])
	}
	cmd := exec.CommandContext(s.ctx, s.binary, append(args, "--data-dir", s.dir)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()} //nolint:forbidigo // nothing else of ours may reach it
	return cmd
}

// start starts a server that is down, and returns when it has said where it is.
func (s *Service) start(i int) error {
	srv := s.Servers[i]
	args := []string{"serve", "--listen", srv.Address}
	if s.limitsRates(cmp.Or(srv.binary, s.binary)) {
		args = append(args, "--buyer-rate", "0")
	}
	args = append(args, s.args...)
	switch {
	case len(s.urls) > 0:
		args = append(args, "--database-url", s.urls[i])
	case i > 0:
		args = append(args, "--database-url", s.Database())
	}
	cmd := s.command(args...)
	if srv.binary != "" {
		cmd.Path = srv.binary
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	before := len(srv.log.String())
	cmd.Stderr = &srv.log
	if err := cmd.Start(); err != nil {
		return err
	}
	srv.cmd, srv.exited = cmd, make(chan struct{})
	lines := bufio.NewScanner(stdout)
	database := ""
	for database == "" && lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "its metrics are at "); ok {
			srv.Metrics = at
		}
		if at, ok := strings.CutPrefix(lines.Text(), "its database is "); ok {
			database = at
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
		return fmt.Errorf("serve did not start: %s", srv.log.String()[before:])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.database = database
	return nil
}

// limitsRates tells whether a build has rates: an earlier one, from which somebody upgrades, may not.
func (s *Service) limitsRates(binary string) bool {
	help, _ := exec.CommandContext(s.ctx, binary, "serve", "-h").CombinedOutput()
	return bytes.Contains(help, []byte("-buyer-rate"))
}

// Database is the URL of the database, as the last server that was started has told it.
func (s *Service) Database() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.database
}

// Use has a server be another build of the program from its next start on; empty: the one that all began with.
func (s *Service) Use(i int, binary string) { s.Servers[i].binary = binary }

// Upgrade has the commands that are run from now on be another build of the program, and the servers whose next start is as that (Use); until then they are what they were.
func (s *Service) Upgrade(binary string) {
	for _, srv := range s.Servers {
		srv.binary = cmp.Or(srv.binary, s.binary)
	}
	s.binary = binary
}

// Migrate applies the migrations that are missing, and returns what it says.
func (s *Service) Migrate() (string, error) {
	out, err := s.command("migrate", "up").CombinedOutput()
	return string(out), err
}

// End ends a server in order.
func (s *Service) End(i int) {
	srv := s.Servers[i]
	_ = srv.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-srv.exited:
	case <-time.After(30 * time.Second):
		s.Kill(i)
	}
}

// Kill is kill -9 of a server.
func (s *Service) Kill(i int) {
	_ = s.Servers[i].cmd.Process.Kill()
	<-s.Servers[i].exited
}

// Restart starts a server again until it runs: one without a PostgreSQL of its own can't while that is down.
func (s *Service) Restart(i int) error {
	var err error
	for began := time.Now(); time.Since(began) < time.Minute; Pause(s.ctx, 100*time.Millisecond) {
		if err = s.start(i); err == nil || s.ctx.Err() != nil {
			return err
		}
	}
	return err
}

// DatabaseNamed is the URL of another database on the same PostgreSQL.
func (s *Service) DatabaseNamed(name string) (string, error) {
	u, err := url.Parse(s.Database())
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// PostgresPID is the process of the postmaster, 0 when there is none.
func (s *Service) PostgresPID() int {
	text, err := os.ReadFile(filepath.Join(s.dir, "postgres", "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid < 2 {
		return 0
	}
	return pid
}

// Dir is the data directory.
func (s *Service) Dir() string { return s.dir }

// KillPostgres is kill -9 of the postmaster. It tells whether there was one.
func (s *Service) KillPostgres() bool {
	pid := s.PostgresPID()
	return pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// Stop ends the servers, the first last, and removes their directory.
func (s *Service) Stop() {
	for i := len(s.Servers) - 1; i >= 0; i-- {
		if s.Servers[i].cmd != nil {
			s.End(i)
		}
	}
	_ = os.RemoveAll(s.dir)
}

// Addresses of all servers.
func (s *Service) Addresses() []string {
	var all []string
	for _, srv := range s.Servers {
		all = append(all, srv.Address)
	}
	return all
}

// Operate calls the first server as the operator, again with the same key while it is answered 503, and returns an error unless it does what it is told.
func (s *Service) Operate(method, path, body string) (*Answer, error) {
	c := Conn{Address: s.Servers[0].Address, Key: s.Key}
	defer c.Close()
	q := Ask{Method: method, Path: path, Body: body, Patience: 5 * time.Minute}
	if method == http.MethodPost {
		q.Header = fmt.Sprintf("Idempotency-Key: %x\r\n", rand.Uint64())
	}
	for {
		a, err := c.Do(s.ctx, q)
		if err == nil && a.Status == http.StatusServiceUnavailable {
			Pause(s.ctx, time.Second)
			continue
		}
		if err == nil && a.Status/100 != 2 {
			err = fmt.Errorf("%s %s: %v", method, path, a)
		}
		return a, err
	}
}

// Stock makes a product with so many units.
func (s *Service) Stock(sku, product string, units int) error {
	if _, err := s.Operate("PUT", "/api/v1/products/"+sku, product); err != nil {
		return err
	}
	_, err := s.Operate("POST", "/api/v1/products/"+sku+"/receipts", fmt.Sprintf(`{"quantity":%d,"reference":"bench"}`, units))
	return err
}

// Audit runs lastunit audit, with arguments, and returns its last line.
func (s *Service) Audit(args ...string) (string, error) {
	out, err := s.command(append([]string{"audit"}, args...)...).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("audit:\n%s", out)
	}
	return lines[len(lines)-1], err
}

// Connect opens a connection of our own to the database.
func (s *Service) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.Database())
}

// Pause waits, or not so long when ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// PostgresLog is what PostgreSQL has said since it was first started, as far as it is kept.
func (s *Service) PostgresLog() (string, error) {
	old, err := os.ReadFile(filepath.Join(s.dir, "postgres.log.1"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "postgres.log"))
	return string(old) + string(text), err
}

// Log is what the servers have logged since they were first started: errors only.
func (s *Service) Log() string {
	text := ""
	for _, srv := range s.Servers {
		text += srv.log.String()
	}
	return text
}
