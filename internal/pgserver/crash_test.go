package pgserver

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestWeAreKilled(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	helper := startHelper(t, dir)
	pid, address := helper.ready(t)
	execute(t, address, "CREATE TABLE committed AS SELECT 'before' AS word")
	helper.kill()
	if runtime.GOOS == "linux" {
		eventually(t, "PostgreSQL ends with us", func() bool { return gone(pid) })
	}
	s, err := Start(t.Context(), Options{Dir: dir})
	must(t, err)
	t.Cleanup(s.Stop)
	if !gone(pid) {
		t.Errorf("postmaster %d is still there", pid)
	}
	if got := ask(t, s.URL(), "SELECT word FROM committed"); got != "before" {
		t.Errorf("committed: %q", got)
	}
}

func TestWeAreKilledWhileMakingTheCluster(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	helper := startHelper(t, dir)
	eventually(t, "initdb is at work", func() bool {
		_, err := os.Stat(filepath.Join(dir, "postgres.new", "PG_VERSION"))
		return err == nil
	})
	helper.kill()
	if _, err := os.Stat(filepath.Join(dir, clusterName)); err == nil {
		t.Fatal("the cluster was finished before the kill")
	}
	s := start(t, Options{Dir: dir})
	if got := ask(t, s.URL(), "SELECT 'yes'"); got != "yes" {
		t.Error(got)
	}
}

// TestOrphanIsEnded is about systems without a death signal, so it leaves an orphan that nobody told.
func TestOrphanIsEnded(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	first := start(t, Options{Dir: dir})
	execute(t, first.URL(), "CREATE TABLE committed AS SELECT 'before' AS word")
	first.Stop()

	socketDir, err := makeSocketDir(dir, first.account)
	must(t, err)
	orphan := exec.Command(first.programs.path("postgres"), first.args...)
	orphan.Dir = dir
	orphan.Env = environment()
	orphan.SysProcAttr = first.account.process(0)
	must(t, orphan.Start())
	t.Cleanup(func() { _ = orphan.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	eventually(t, "the orphan answers", func() bool {
		_, err := tryAsk(t.Context(), urlOf(socketDir, userName), "SELECT 'yes'")
		return err == nil
	})

	var said journal
	second := start(t, Options{Dir: dir, Logger: said.logger()})
	select {
	case err := <-ended:
		t.Log("the orphan:", err)
	default:
		t.Error("the orphan still runs")
	}
	if second.PID() == orphan.Process.Pid {
		t.Error("the orphan was adopted")
	}
	if !strings.Contains(said.String(), itoa(orphan.Process.Pid)) {
		t.Errorf("nothing about the orphan in the log: %s", &said)
	}
	if got := ask(t, second.URL(), "SELECT word FROM committed"); got != "before" {
		t.Errorf("committed: %q", got)
	}
}

// TestNumberOfTheDeadWasReused: a postmaster.pid that survived a crash may name a process that has nothing to do with it.
func TestNumberOfTheDeadWasReused(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	first := start(t, Options{Dir: dir})
	note, err := os.ReadFile(pidFile(first.cluster))
	must(t, err)
	first.Stop()
	bystander := exec.Command("sleep", "600")
	bystander.SysProcAttr = first.account.process(killed)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, bystander.Start())
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	_, rest, _ := strings.Cut(string(note), "\n")
	must(t, os.WriteFile(pidFile(first.cluster), []byte(itoa(bystander.Process.Pid)+"\n"+rest), 0o600))
	must(t, first.account.own(pidFile(first.cluster)))

	second := start(t, Options{Dir: dir})
	if got := ask(t, second.URL(), "SELECT 'yes'"); got != "yes" {
		t.Error(got)
	}
	if gone(bystander.Process.Pid) {
		t.Error("a process that is not ours was ended")
	}
}

func TestPostmasterIsKilled(t *testing.T) {
	t.Parallel()
	var said journal
	s := start(t, Options{Dir: usedDir(t), Settings: map[string]string{}, Logger: said.logger()})
	execute(t, s.URL(), "CREATE TABLE committed AS SELECT 'before' AS word")
	for round := range 2 {
		killedPID, address := s.PID(), s.URL()
		must(t, syscall.Kill(killedPID, syscall.SIGKILL))
		eventually(t, "another postmaster answers", func() bool {
			got, err := tryAsk(t.Context(), address, "SELECT word FROM committed")
			return err == nil && got == "before" && s.PID() != killedPID
		})
		if s.URL() != address {
			t.Errorf("the URL changed to %s", s.URL())
		}
		// It answers others an instant before it is known to run. Killed in between, it is one that didn't start.
		eventually(t, "the log tells", func() bool {
			text := said.String()
			return strings.Count(text, "PostgreSQL runs again") == round+1 && strings.Count(text, "ended unexpectedly") == round+1
		})
	}
	processes := serverProcesses(t, s)
	s.Stop()
	for _, pid := range processes {
		if !gone(pid) {
			t.Errorf("process %d outlived Stop", pid)
		}
	}
}

// TestPostmasterIsKilledUnderWork: a server process in the middle of a long computation doesn't notice that its postmaster
// is dead, and nothing starts while it holds the memory.
func TestPostmasterIsKilledUnderWork(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the processes of a dead postmaster can be found on Linux only")
	}
	t.Parallel()
	s := start(t, Options{Dir: usedDir(t)})
	conn := connect(t, s.URL())
	broken := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "DO $$ BEGIN LOOP END LOOP; END $$")
		broken <- err
	}()
	eventually(t, "the computation is under way", func() bool {
		got, err := tryAsk(t.Context(), s.URL(), "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'")
		return err == nil && got == "1"
	})
	killedPID := s.PID()
	must(t, syscall.Kill(killedPID, syscall.SIGKILL))
	began := time.Now()
	eventually(t, "another postmaster answers", func() bool {
		_, err := tryAsk(t.Context(), s.URL(), "SELECT 'yes'")
		return err == nil && s.PID() != killedPID
	})
	t.Logf("back after %s", time.Since(began).Round(time.Millisecond))
	if err := <-broken; err == nil {
		t.Error("the computation ended well")
	}
}

func TestStopTheHardWay(t *testing.T) {
	t.Parallel()
	var said journal
	s := start(t, Options{Dir: usedDir(t), Logger: said.logger(), patience: 100 * time.Millisecond})
	processes := serverProcesses(t, s)
	checkpointer, err := strconv.Atoi(ask(t, s.URL(), "SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'"))
	must(t, err)
	must(t, syscall.Kill(checkpointer, syscall.SIGSTOP)) // without it there is no fast shutdown
	s.Stop()
	for _, pid := range processes {
		if !gone(pid) {
			t.Errorf("process %d outlived Stop", pid)
		}
	}
	if text := logSince(s.dir, 0); !strings.Contains(text, "received fast shutdown request") || !strings.Contains(text, "received immediate shutdown request") {
		t.Errorf("PostgreSQL was not asked for both: %s", text)
	}
	if !strings.Contains(said.String(), "the hard way") {
		t.Errorf("the log says nothing: %s", &said)
	}
}

func TestStopWhileStartingAgain(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Dir: usedDir(t)})
	must(t, os.Rename(s.cluster, s.cluster+".away"))
	must(t, syscall.Kill(s.PID(), syscall.SIGKILL))
	eventually(t, "the postmaster is gone", func() bool { return s.PID() == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		defer cancel()
		s.Stop()
	}()
	<-ctx.Done()
	if ctx.Err() == context.DeadlineExceeded {
		t.Fatal("Stop waits for a PostgreSQL that never comes")
	}
}
