package pgserver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// setDeathSignal has the kernel send sig to the child when the thread that started it ends: whoever starts a child with
// it must hold on to its thread (runtime.LockOSThread) for as long as the child should live.
func setDeathSignal(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// commandLine returns the arguments of a process, or "" when there is no such process or it is a zombie.
func commandLine(pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))
}

// worksIn tells whether dir is the working directory of a process. It is false when we may not look.
func worksIn(pid int, dir string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == dir
}

// stragglers are the server processes that outlived their postmaster on a cluster. They hold its shared memory, and as
// long as one of them does, no new postmaster starts.
func stragglers(cluster string) []int {
	real, err := filepath.EvalSymlinks(cluster)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && worksIn(pid, real) && strings.HasPrefix(commandLine(pid), "postgres: ") && !worksIn(parent(pid), real) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func parent(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "\nPPid:")
	line, _, _ := strings.Cut(after, "\n")
	ppid, _ := strconv.Atoi(strings.TrimSpace(line))
	return ppid
}

// memoryBytes is the memory we may use: the machine's, or less where a container has a limit. Zero when unknown.
func memoryBytes() uint64 {
	var total uint64
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib uint64
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kib); err == nil {
			total = kib << 10
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && limit > 0 && (total == 0 || limit < total) {
			total = limit
		}
	}
	return total
}
