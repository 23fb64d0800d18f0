package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Problem is an error that the person at the keyboard can do something about. Its text is one line that says what is wrong
// and what to do; it is meant to be shown as it is, without a prefix.
type Problem struct {
	text  string
	cause error
}

// Error returns the line.
func (p *Problem) Error() string { return p.text }

// Unwrap returns what lies behind the problem, or nil.
func (p *Problem) Unwrap() error { return p.cause }

func problemf(cause error, format string, args ...any) *Problem {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	return &Problem{text: text, cause: cause}
}

const tryAnotherDir = "choose another directory with --data-dir"

// directoryProblem says in one line why dir can't be used. Errors that say nothing about the directory are returned as
// they are.
func directoryProblem(dir string, err error) error {
	switch {
	case err == nil, isProblem(err):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return diskFull(dir, err)
	case errors.Is(err, syscall.EROFS):
		return problemf(err, "%s is on a read-only disk (%s): %s", dir, mountPoint(dir), tryAnotherDir)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return problemf(err, "%s is not a directory: %s", blockingFile(dir), tryAnotherDir)
	case errors.Is(err, fs.ErrPermission):
		return problemf(err, "%s can't be written by %s: make it writable, or %s", existingPart(dir), accountName(os.Geteuid()), tryAnotherDir)
	}
	return err
}

func diskFull(dir string, cause error) *Problem {
	return problemf(cause, "the disk at %s is full, so PostgreSQL can't run in %s: free some space there, or %s", mountPoint(dir), dir, tryAnotherDir)
}

// failureProblem turns what a PostgreSQL program said before it gave up into one line.
func failureProblem(dir, what, output string, err error) error {
	switch {
	case isProblem(err):
		return err
	case strings.Contains(output, "No space left on device"), strings.Contains(output, "Disk quota exceeded"), diskExhausted(dir):
		return diskFull(dir, err)
	case strings.Contains(output, "Read-only file system"):
		return directoryProblem(dir, syscall.EROFS)
	}
	said := telling(output)
	if said == "" {
		said = fmt.Sprint(err)
	}
	return problemf(err, "%s: %s", what, said)
}

func isProblem(err error) bool {
	var problem *Problem
	return errors.As(err, &problem)
}

// telling picks the line that says most: the last one that is fatal, else the last one at all.
func telling(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, mark := range []string{"PANIC:", "FATAL:", "error:"} {
		for i := len(lines) - 1; i >= 0; i-- {
			if at := strings.Index(lines[i], mark); at >= 0 {
				return strings.TrimSpace(lines[i][at+len(mark):])
			}
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// diskExhausted matters because a log on a full disk can't say that the disk is full.
func diskExhausted(dir string) bool {
	var fsys syscall.Statfs_t
	if syscall.Statfs(existingPart(dir), &fsys) != nil {
		return false
	}
	return uint64(fsys.Bavail)*uint64(fsys.Bsize) < 64<<10
}

// existingPart is dir, or the nearest directory above it that exists.
func existingPart(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// blockingFile is the file that stands where dir needs a directory.
func blockingFile(dir string) string {
	for at := dir; filepath.Dir(at) != at; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && !info.IsDir() {
			return at
		}
	}
	return dir
}

func mountPoint(dir string) string {
	dir = existingPart(dir)
	for filepath.Dir(dir) != dir && device(dir) == device(filepath.Dir(dir)) {
		dir = filepath.Dir(dir)
	}
	return dir
}

func device(dir string) uint64 {
	var stat syscall.Stat_t
	if syscall.Stat(dir, &stat) != nil {
		return 0
	}
	return uint64(stat.Dev)
}
