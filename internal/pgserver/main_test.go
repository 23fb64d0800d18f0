package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// helperDir makes the test binary start a PostgreSQL in this directory, say where it is, and wait to be killed.
const helperDir = "PGSERVER_TEST_HELPER_DIR"

// helperLooks makes it call Running instead.
const helperLooks = "PGSERVER_TEST_HELPER_LOOKS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		if os.Getenv(helperLooks) != "" {
			_, err := Running(dir)
			fmt.Println(err)
			os.Exit(0)
		}
		s, err := Start(context.Background(), Options{Dir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID(), s.URL())
		select {}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if sample.dir != "" {
			_ = os.RemoveAll(sample.dir)
		}
		os.Exit(code)
	}))
}

// helper is another process that called Start.
type helper struct {
	*exec.Cmd
	out *bufio.Reader
}

func startHelper(t *testing.T, dir string, groups ...uint32) helper {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	cmd.Stderr = os.Stderr
	if groups != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: groups}}
	}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	h := helper{Cmd: cmd, out: bufio.NewReader(out)}
	t.Cleanup(h.kill)
	return h
}

// ready waits until its PostgreSQL can be used.
func (h helper) ready(t *testing.T) (pid int, url string) {
	t.Helper()
	line, err := h.out.ReadString('\n')
	must(t, err)
	if _, err := fmt.Sscan(line, &pid, &url); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return pid, url
}

// kill is what kill -9 does.
func (h helper) kill() {
	_ = h.Process.Kill()
	_ = h.Wait()
}

// baseDir is a directory that the user PostgreSQL runs as can enter, which the parent of t.TempDir() is not for root.
func baseDir(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp(openTempDir(), "pgserver-test-")
	must(t, err)
	base, err = filepath.EvalSymlinks(base)
	must(t, err)
	must(t, os.Chmod(base, 0o755))
	t.Cleanup(func() { must(t, os.RemoveAll(base)) })
	return base
}

func openTempDir() string {
	if who, err := accountFor("/nonexistent"); err == nil && who.barrier(os.TempDir()) != "" {
		return "/tmp"
	}
	return os.TempDir()
}

func dataDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(baseDir(t), "data")
}

// start starts a server that gives durability up, for tests of something else, and stops it with the test.
func start(t *testing.T, options Options) *Server {
	t.Helper()
	if options.Settings == nil {
		options.Settings = map[string]string{"fsync": "off", "synchronous_commit": "off"}
	}
	s, err := Start(t.Context(), options)
	must(t, err)
	t.Cleanup(s.Stop)
	return s
}

// sample is a cluster as Start makes it, made once: copying it costs a tenth of making another.
var sample struct {
	once sync.Once
	dir  string
}

// usedDir is a data directory that has been used before.
func usedDir(t *testing.T) string {
	t.Helper()
	dir := dataDir(t)
	copySample(t, dir)
	return dir
}

func copySample(t *testing.T, dir string) {
	t.Helper()
	sample.once.Do(func() {
		base, err := os.MkdirTemp(openTempDir(), "pgserver-sample-")
		must(t, err)
		sample.dir = base
		must(t, os.Chmod(base, 0o755))
		s, err := Start(t.Context(), Options{Dir: base})
		must(t, err)
		s.Stop()
	})
	must(t, os.MkdirAll(dir, 0o755))
	out, err := exec.Command("cp", "-Rp", filepath.Join(sample.dir, clusterName), dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(context.Background())
	_, err := conn.Exec(t.Context(), sql)
	must(t, err)
}

func ask(t *testing.T, url, sql string) string {
	t.Helper()
	answer, err := tryAsk(t.Context(), url, sql)
	must(t, err)
	return answer
}

func tryAsk(ctx context.Context, url, sql string) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(ctx, sql).Scan(&answer)
	return answer, err
}

// serverProcesses are the pids of everything that belongs to a server.
func serverProcesses(t *testing.T, s *Server) []int {
	t.Helper()
	conn := connect(t, s.URL())
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), "SELECT pid FROM pg_stat_activity")
	must(t, err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	must(t, err)
	if len(pids) < 4 {
		t.Fatalf("only %d processes in pg_stat_activity", len(pids))
	}
	return append(pids, s.PID())
}

func gone(pid int) bool { return !alive(pid) || commandLine(pid) == "" }

func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	began := time.Now()
	done, err := poll(context.Background(), 60*time.Second, yes)
	if err != nil || !done {
		t.Fatalf("after %s not yet: %s", time.Since(began), what)
	}
}

// problem checks that err is a line for people which says all of what is asked for.
func problem(t *testing.T, err error, says ...string) {
	t.Helper()
	var found *Problem
	if !errors.As(err, &found) {
		t.Fatalf("not a Problem but %T: %v", err, err)
	}
	t.Log(err)
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %s", part, err)
		}
	}
}

// refused checks that Start refuses with such a line.
func refused(t *testing.T, options Options, says ...string) {
	t.Helper()
	s, err := Start(t.Context(), options)
	if err == nil {
		s.Stop()
		t.Fatal("started")
	}
	problem(t, err, says...)
}

// journal keeps what was logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(text []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(text)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }
