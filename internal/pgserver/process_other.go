//go:build !linux

package pgserver

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// setDeathSignal can't be had here: a PostgreSQL that outlives us is ended by the next start.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

// commandLine returns the arguments of a process, or "" when there is no such process.
func commandLine(pid int) string {
	out, err := exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func worksIn(int, string) bool { return false }

// stragglers can't be found here; PostgreSQL itself refuses to start beside them, and we try again until it does.
func stragglers(string) []int { return nil }

// memoryBytes is the machine's memory, zero when unknown.
func memoryBytes() uint64 {
	name := "hw.physmem"
	if runtime.GOOS == "darwin" {
		name = "hw.memsize"
	}
	total, err := unix.SysctlUint64(name)
	if err != nil {
		return 0
	}
	return total
}
