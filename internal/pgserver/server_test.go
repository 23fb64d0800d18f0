package pgserver

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestFreshStart is not parallel, so that the time it shows is that of one start alone.
func TestFreshStart(t *testing.T) {
	dir := dataDir(t)
	must(t, os.MkdirAll(filepath.Join(dir, "postgres.new", "half-made"), 0o700)) // a start that was killed
	must(t, os.Chmod(dir, 0o755))
	began := time.Now()
	s, err := Start(t.Context(), Options{Dir: dir})
	must(t, err)
	took := time.Since(began).Round(time.Millisecond)
	t.Cleanup(s.Stop)
	t.Logf("fresh start: %s", took)

	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
		"listen_addresses": "", "max_connections": "200", "jit": "off", "server_encoding": "UTF8",
	} {
		if got := ask(t, s.URL(), "SHOW "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	if got := ask(t, s.URL(), "SELECT datname || ' ' || datcollate || ' ' || current_user FROM pg_database WHERE datname = current_database()"); got != "lastunit C lastunit" {
		t.Errorf("database, locale, user: %s", got)
	}
	if got, err := Running(dir); err != nil || got != s.URL() {
		t.Errorf("Running says %q, %v; want %q", got, err, s.URL())
	}
	info, err := os.Stat(s.socketDir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("others can come in: the socket's directory has mode %o", info.Mode().Perm())
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("postgres.new is still there: %v", err)
	}

	processes := serverProcesses(t, s)
	s.Stop()
	for _, pid := range processes {
		if !gone(pid) {
			t.Errorf("process %d outlived Stop: %s", pid, commandLine(pid))
		}
	}
	if s.PID() != 0 {
		t.Errorf("PID is %d after Stop", s.PID())
	}
	if _, err := os.Stat(s.socketDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's directory outlived Stop: %v", err)
	}
	_, err = Running(dir)
	problem(t, err, "no lastunit is running", dir, "lastunit serve --data-dir", "--database-url")
}

func TestURLForPsql(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(baseDir(t), "a b+c&d=é%20")
	copySample(t, dir)
	s := start(t, Options{Dir: dir, Database: "corner shop?"})
	psql := s.programs.path("psql")
	if !executable(psql) {
		var err error
		if psql, err = exec.LookPath("psql"); err != nil {
			t.Skip("no psql on this machine")
		}
	}
	cmd := exec.Command(psql, "--no-psqlrc", "--tuples-only", "--no-align", "--command", "SELECT current_database()", s.URL())
	cmd.Env = append(os.Environ(), "PGHOST=nowhere.invalid", "PGPORT=1", "PGUSER=nobody", "PGDATABASE=none", "PGSSLMODE=require")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "corner shop?" {
		t.Errorf("psql %s: %v: %s", s.URL(), err, out)
	}
	if got := ask(t, s.URL(), "SELECT current_database()"); got != "corner shop?" {
		t.Errorf("pgx: %s", got)
	}
	if parsed, err := url.Parse(s.URL()); err != nil || parsed.Query().Get("host") != s.socketDir {
		t.Errorf("%s: %v", s.URL(), err)
	}
}

func TestDataIsKept(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first, err := Start(t.Context(), Options{Dir: dir})
	must(t, err)
	t.Cleanup(first.Stop)
	execute(t, first.URL(), "CREATE TABLE kept AS SELECT 'here' AS word")
	// The directory may not turn durability off.
	execute(t, first.URL(), "ALTER SYSTEM SET fsync = off")
	execute(t, first.URL(), "ALTER SYSTEM SET full_page_writes = off")
	execute(t, first.URL(), "ALTER SYSTEM SET synchronous_commit = off")
	var stopping sync.WaitGroup
	for range 3 {
		stopping.Go(first.Stop)
	}
	stopping.Wait()

	began := time.Now()
	second, err := Start(t.Context(), Options{Dir: dir})
	must(t, err)
	t.Cleanup(second.Stop)
	t.Logf("start on an existing directory: %s", time.Since(began).Round(time.Millisecond))
	if second.URL() != first.URL() {
		t.Errorf("the URL changed from %s to %s", first.URL(), second.URL())
	}
	if got := ask(t, second.URL(), "SELECT word FROM kept"); got != "here" {
		t.Errorf("kept: %q", got)
	}
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if got := ask(t, second.URL(), "SHOW "+setting); got != "on" {
			t.Errorf("%s is %s", setting, got)
		}
	}
}

func TestSecondStartOnTheSameDirectory(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	helper := startHelper(t, dir)
	_, address := helper.ready(t)
	refused(t, Options{Dir: dir}, "pid "+itoa(helper.Process.Pid), dir, "--data-dir", "--database-url '"+address+"'")
	if got, err := Running(dir); err != nil || got != address {
		t.Errorf("Running says %q, %v; want %q", got, err, address)
	}
	if got := ask(t, address, "SELECT 'unharmed'"); got != "unharmed" {
		t.Error(got)
	}
}

func TestLongDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(baseDir(t), strings.Repeat("long", 20), strings.Repeat("path", 20))
	copySample(t, dir)
	s := start(t, Options{Dir: dir})
	if strings.HasPrefix(s.socketDir, dir) || len(socketFile(s.socketDir)) > longestSocketPath {
		t.Errorf("the socket is in %s", s.socketDir)
	}
	if got, err := Running(dir); err != nil || got != s.URL() || ask(t, got, "SELECT 'yes'") != "yes" {
		t.Errorf("Running says %q, %v; want %q", got, err, s.URL())
	}
	s.Stop()
	if _, err := os.Stat(s.socketDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s outlived Stop: %v", s.socketDir, err)
	}

	helper := startHelper(t, dir)
	_, address := helper.ready(t)
	left := socketDirOf(address)
	_, err := os.Stat(left)
	must(t, err)
	helper.kill()
	start(t, Options{Dir: dir})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s of a server that was killed is still there after the next start: %v", left, err)
	}
}

func TestStartGivenUp(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = poll(t.Context(), 10*time.Second, func() bool {
			_, err := os.Stat(filepath.Join(dir, "postgres.new", "PG_VERSION"))
			return err == nil
		})
		cancel()
	}()
	s, err := Start(ctx, Options{Dir: dir})
	if err == nil {
		s.Stop()
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("err is %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("postgres.new is still there: %v", err)
	}
	start(t, Options{Dir: dir})
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	dir := baseDir(t)
	path := filepath.Join(dir, logName)
	must(t, os.WriteFile(path, []byte(strings.Repeat("old", logMaxBytes/3)+"the end"), 0o600))
	file, before, err := openLog(dir)
	must(t, err)
	defer file.Close()
	if before != 0 {
		t.Errorf("the log is %d bytes long", before)
	}
	_, err = file.WriteString("new")
	must(t, err)
	kept, err := os.ReadFile(path + ".1")
	must(t, err)
	if len(kept) > logMaxBytes || !strings.HasSuffix(string(kept), "the end") {
		t.Errorf("%d bytes of the old log were kept", len(kept))
	}
	if got := logSince(dir, before); got != "new" {
		t.Errorf("the log says %q", got)
	}
}
