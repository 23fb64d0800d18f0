package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// shutWhenEmpty takes no more connections for a listener if none waits to be accepted, which the kernel tells of listeners as tcpi_unacked. Nothing of Go is
// between the look and the deed, so that next to nobody can come in between.
func shutWhenEmpty(listener net.Listener) (shut bool) {
	door, ok := listener.(*net.TCPListener)
	if !ok {
		return true
	}
	raw, err := door.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if shut = err != nil || info.Unacked == 0; shut {
			_ = unix.Shutdown(int(fd), unix.SHUT_RD)
		}
	})
	return shut || err != nil
}
