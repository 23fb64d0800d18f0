package pgdb

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loseAfter bounds how long what was sent may go without having arrived (tcp(7), TCP_USER_TIMEOUT); Linux would try for a quarter of an hour.
func loseAfter(_, _ string, c syscall.RawConn) (err error) {
	most := int((10 * time.Second).Milliseconds())
	if failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, most) }); failed != nil {
		return failed
	}
	return nil // a socket that is none of TCP's does without
}
