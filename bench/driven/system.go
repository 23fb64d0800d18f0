package driven

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// stat is /proc/PID/stat behind the name of the program: its state, its parent, ...; nothing when the process has ended.
func stat(pid string) []string {
	text, _ := os.ReadFile("/proc/" + pid + "/stat")
	// The name may hold anything, also spaces and parentheses.
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// Children are the processes that a process has started and that run; none where the system does not tell.
func Children(parent int) (pids []int) {
	all, _ := os.ReadDir("/proc")
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if fields := stat(entry.Name()); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// ProcessorTime is what processes have used, those that have ended left out; 0 where the system does not tell. It is exact: /proc counts in hundredths of a second,
// and in a short turn of a machine that is busy with others a server may have used none.
func ProcessorTime(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		const scheduled = 2                 // CPUCLOCK_SCHED of Linux
		clock := int32(^pid<<3 | scheduled) // clock_getcpuclockid(3) of the C library
		var used unix.Timespec
		if unix.ClockGettime(clock, &used) == nil {
			sum += time.Duration(used.Nano())
		}
	}
	return sum
}

// ProcessorTimeOfAll is what processes have used, and those that they had started and that have ended, in hundredths of a second; 0 where the system does not tell.
func ProcessorTimeOfAll(pids []int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	sum := ProcessorTime(pids)
	for _, pid := range pids {
		if all := stat(strconv.Itoa(pid)); len(all) > 14 {
			user, _ := strconv.ParseInt(all[13], 10, 64)
			system, _ := strconv.ParseInt(all[14], 10, 64)
			sum += time.Duration(user+system) * tick
		}
	}
	return sum
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
