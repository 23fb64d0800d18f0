//go:build unix

package rehearsal

import (
	"errors"
	"syscall"
)

func openFileLimit() (limit uint64, known bool) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // signed on some systems
}

func isFileLimit(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func isRefusedConnection(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
