package pgserver

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endOrphan ends a PostgreSQL that still runs on the cluster although we hold the lock: whoever started it is dead.
func endOrphan(ctx context.Context, cluster string, logger *slog.Logger) error {
	pid := postmasterPID(cluster)
	if pid != 0 && alive(pid) {
		if !isPostmaster(pid, cluster) {
			// The number went to another process. PostgreSQL can't tell and would refuse to start; it still finds its own
			// live processes by their shared memory.
			if err := os.Remove(pidFile(cluster)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return endStragglers(ctx, cluster)
		}
		logger.InfoContext(ctx, "ending the PostgreSQL that an earlier lastunit left running", "pid", pid)
		if err := endPostmaster(ctx, pid, cluster); err != nil {
			return err
		}
	}
	return endStragglers(ctx, cluster)
}

func endPostmaster(ctx context.Context, pid int, cluster string) error {
	gone := func() bool { return !alive(pid) || !isPostmaster(pid, cluster) }
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{
		{fastShutdown, 10 * time.Second},
		{immediateShutdown, 10 * time.Second},
		{killed, 5 * time.Second},
	} {
		err := syscall.Kill(pid, step.signal)
		if errors.Is(err, syscall.EPERM) {
			return problemf(err, "a PostgreSQL (pid %d) that belongs to another user is running on %s: stop it, or %s", pid, cluster, tryAnotherDir)
		}
		if done, err := poll(ctx, step.wait, gone); done || err != nil {
			return err
		}
	}
	return problemf(nil, "a PostgreSQL (pid %d) is still running on %s and can't be stopped: stop it, or %s", pid, cluster, tryAnotherDir)
}

// endStragglers sees to it that no server process is left on a cluster whose postmaster is dead. Most leave at once by
// themselves, but one in the middle of a long computation doesn't notice.
func endStragglers(ctx context.Context, cluster string) error {
	none := func() bool { return len(stragglers(cluster)) == 0 }
	if done, err := poll(ctx, time.Second, none); done || err != nil {
		return err
	}
	for _, signal := range []syscall.Signal{immediateShutdown, killed} {
		for _, pid := range stragglers(cluster) {
			_ = syscall.Kill(pid, signal)
		}
		if done, err := poll(ctx, 5*time.Second, none); done || err != nil {
			return err
		}
	}
	return nil // whatever is left can't be ended by us; PostgreSQL says so if it minds
}

// poll asks again and again until yes, for at most so long. Its error is that of a context that ended.
func poll(ctx context.Context, atMost time.Duration, yes func() bool) (bool, error) {
	deadline := time.NewTimer(atMost)
	defer deadline.Stop()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		if yes() {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-deadline.C:
			return yes(), nil
		case <-time.After(wait):
		}
	}
}

func pidFile(cluster string) string { return filepath.Join(cluster, "postmaster.pid") }

// pidFileLine returns a line of the file in which a postmaster says who it is and how it does.
func pidFileLine(cluster string, index int) string {
	text, err := os.ReadFile(pidFile(cluster))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(text), "\n")
	if index >= len(lines) {
		return ""
	}
	return strings.TrimSpace(lines[index])
}

func postmasterPID(cluster string) int {
	pid, err := strconv.Atoi(pidFileLine(cluster, 0))
	if err != nil {
		return 0
	}
	return max(pid, -pid) // a single-user server writes its number with a minus
}

func saysReady(cluster string, pid int) bool {
	return postmasterPID(cluster) == pid && pidFileLine(cluster, 7) == "ready"
}

// isPostmaster tells whether a process is a PostgreSQL on the cluster, by its working directory or by what it was started
// with: a container's root may not see the working directory of another user's process.
func isPostmaster(pid int, cluster string) bool {
	line := commandLine(pid)
	if !strings.Contains(line, "postgres") {
		return false
	}
	if strings.Contains(line+" ", "postgres -D "+cluster+" ") {
		return true
	}
	real, err := filepath.EvalSymlinks(cluster)
	return err == nil && worksIn(pid, real)
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
