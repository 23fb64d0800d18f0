package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lock makes us the only one in a data directory, and tells others who we are.
type lock struct{ file *os.File }

// holder is what a lock file says: who has it, and where its PostgreSQL is ("" until it can be used).
type holder struct {
	pid int
	url string
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// takeLock also returns what the holder before us left behind, if it had no time to tidy up.
func takeLock(dir string) (*lock, holder, error) {
	file, err := os.OpenFile(lockPath(dir), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, holder{}, directoryProblem(dir, err)
	}
	likeParent(file)
	err = flock(file, readHolder(dir))
	before := readHolder(dir)
	if err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, before, occupied(dir, before, err)
		}
		return nil, before, fmt.Errorf("locking %s: %w", lockPath(dir), err)
	}
	l := &lock{file: file}
	if err := l.write(fmt.Sprintf("%d\n", os.Getpid())); err != nil {
		l.release()
		return nil, before, directoryProblem(dir, err)
	}
	return l, before, nil
}

// flock waits a little, for Running may be looking just now, and longer for a holder that was killed: it has its lock until
// the kernel is done with it.
func flock(file *os.File, by holder) error {
	patience := 100 * time.Millisecond
	if by.pid != 0 && !alive(by.pid) {
		patience = time.Second
	}
	var err error
	_, _ = poll(context.Background(), patience, func() bool {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		return !errors.Is(err, syscall.EWOULDBLOCK)
	})
	return err
}

// held tells whether some process has the lock of a data directory.
func held(dir string) (bool, error) {
	file, err := os.Open(lockPath(dir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK), nil
}

func occupied(dir string, by holder, cause error) error {
	who := "another lastunit"
	if by.pid != 0 {
		who = fmt.Sprintf("another lastunit (pid %d)", by.pid)
	}
	second := "--database-url URL, the URL it printed"
	if by.url != "" {
		second = "--database-url '" + by.url + "'"
	}
	return problemf(cause, "%s is using %s: %s, or run a second server on the same database with %s", who, dir, tryAnotherDir, second)
}

// announce tells others where the PostgreSQL is.
func (l *lock) announce(url string) error {
	return l.write(fmt.Sprintf("%d\n%s\n", os.Getpid(), url))
}

func (l *lock) write(text string) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(text), 0)
	return err
}

// release unlocks by name, because a child that another goroutine is just starting may hold a copy of the file for a
// moment longer than we do.
func (l *lock) release() {
	_ = l.file.Truncate(0)
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	l.file.Close()
}

func readHolder(dir string) holder {
	text, err := os.ReadFile(lockPath(dir))
	if err != nil {
		return holder{}
	}
	var found holder
	lines := strings.Split(string(text), "\n")
	found.pid, _ = strconv.Atoi(lines[0])
	if len(lines) > 2 {
		found.url = lines[1]
	}
	return found
}

// Running returns the URL of the PostgreSQL that another process started in dir with Start and that can be used now.
// Otherwise it returns a *Problem: none runs there, it is not ready, or we may not use it.
func Running(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the data directory: %w", err)
	}
	isHeld, err := held(dir)
	if errors.Is(err, fs.ErrPermission) {
		return "", problemf(err, "%s can't be read by %s: run this as the user who started lastunit there, or as root", dir, accountName(os.Geteuid()))
	}
	if err != nil {
		return "", fmt.Errorf("looking at the lock: %w", err)
	}
	by := readHolder(dir)
	switch {
	case !isHeld:
		return "", problemf(nil, "no lastunit is running with the data directory %s: start one with `lastunit serve --data-dir %s`, or say which database with --database-url", dir, dir)
	case by.url == "":
		return "", problemf(nil, "lastunit (pid %d) is still starting in %s: try again in a moment", by.pid, dir)
	}
	conn, err := net.DialTimeout("unix", socketFile(socketDirOf(by.url)), 5*time.Second)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", problemf(err, "the PostgreSQL in %s can't be used by %s: run this as the user who started lastunit there, or as root", dir, accountName(os.Geteuid()))
	case err != nil:
		return "", problemf(err, "lastunit (pid %d) in %s has no PostgreSQL at the moment: try again in a moment, and see %s", by.pid, dir, filepath.Join(dir, logName))
	}
	conn.Close()
	return by.url, nil
}
