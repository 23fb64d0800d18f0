package driven

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// LoadAverage is that of the last minute, "?" where the system does not tell.
func LoadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}

// Memory is what a process has in memory now, and what it had at most, in MiB; zeros where the system does not tell.
func Memory(pid int) (now, most float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			now = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			most = kib / 1024
		}
	}
	return now, most
}

// RaiseFileLimit lets this process, and the servers that it starts, have so many files open.
func RaiseFileLimit(files uint64) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur >= files {
		return err
	}
	r.Cur, r.Max = max(r.Cur, files), max(r.Max, files)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("%d open files are needed and the limit can't be raised (%w): ulimit -n %d, or fewer clients", files, err, files)
	}
	return nil
}
