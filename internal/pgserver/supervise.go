package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// What PostgreSQL understands by a signal to its postmaster.
const (
	fastShutdown      = syscall.SIGINT  // roll back, write everything down, end
	immediateShutdown = syscall.SIGQUIT // end, and recover at the next start
	killed            = syscall.SIGKILL
)

// postmaster is one run of the server's first process.
type postmaster struct {
	pid       int
	cmd       *exec.Cmd
	logOffset int64
	exited    chan struct{}
	err       error // why, once exited is closed
}

var errStopped = errors.New("stopped while starting")

// supervise runs PostgreSQL until Stop. first hears how the first start went. It holds one thread all the while: the kernel
// ends PostgreSQL with the thread that started it. It asks for a fast shutdown then, which leaves nothing to recover.
func (s *Server) supervise(first chan<- error) {
	release := holdThread()
	defer release()
	defer close(s.done)
	defer s.tidy()
	defer func() { _ = endStragglers(context.Background(), s.cluster) }() // of a postmaster that had to be killed
	err := s.startPatiently()
	first <- err
	if err != nil {
		return
	}
	for {
		s.watch()
		if s.stopping.Err() != nil {
			s.clear()
			return
		}
		s.logger.Error("PostgreSQL ended unexpectedly; starting it again", "pid", s.process.pid, "why", s.process.why(s.dir))
		s.clear()
		if !s.startAgain() {
			return
		}
	}
}

// startPatiently starts for the first time. It has patience with one thing only: processes of a server that was killed
// just before, which hold its memory until they have noticed.
func (s *Server) startPatiently() error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		output, err := s.startOnce()
		if err == nil || errors.Is(err, errStopped) {
			return err
		}
		if !strings.Contains(output, "pre-existing shared memory block") || time.Now().After(deadline) {
			return s.startProblem(output, err)
		}
		if !s.pause(200 * time.Millisecond) {
			return errStopped
		}
	}
}

// startAgain starts until it works or the server is stopped.
func (s *Server) startAgain() bool {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if endOrphan(s.stopping, s.cluster, s.logger) != nil && s.stopping.Err() != nil {
			return false
		}
		output, err := s.startOnce()
		if err == nil {
			s.logger.Info("PostgreSQL runs again", "pid", s.PID())
			return true
		}
		if errors.Is(err, errStopped) {
			return false
		}
		s.logger.Error(s.startProblem(output, err).Error(), "again_in", wait)
		if !s.pause(wait) {
			return false
		}
	}
}

func (s *Server) startProblem(output string, err error) error {
	what := fmt.Sprintf("PostgreSQL doesn't start in %s (its log is %s)", s.cluster, filepath.Join(s.dir, logName))
	return failureProblem(s.dir, what, output, err)
}

// startOnce starts a postmaster and waits until its database can be used. When that fails no process is left, and what
// PostgreSQL said about it is returned.
func (s *Server) startOnce() (output string, err error) {
	process, err := s.launch()
	if err != nil {
		return "", err
	}
	err = s.awaitReady(process)
	if err == nil {
		return "", nil
	}
	select {
	case <-process.exited:
		output = logSince(s.dir, process.logOffset)
	default: // it is we who give up, and we know why
		process.end(s.patience)
	}
	s.clear()
	if s.stopping.Err() != nil {
		return "", errStopped
	}
	return output, err
}

// launch starts a postmaster, unless Stop was called: then it would be one that nobody ends.
func (s *Server) launch() (*postmaster, error) {
	log, offset, err := openLog(s.dir)
	if err != nil {
		return nil, directoryProblem(s.dir, err)
	}
	defer log.Close()
	cmd := exec.Command(s.programs.path("postgres"), s.args...)
	cmd.Dir = s.dir
	cmd.Env = environment()
	cmd.Stdout = log
	cmd.Stderr = log
	cmd.SysProcAttr = s.account.process(fastShutdown)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Err() != nil {
		return nil, errStopped
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	p := &postmaster{pid: cmd.Process.Pid, cmd: cmd, logOffset: offset, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	s.process = p
	return p, nil
}

func (s *Server) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = nil
}

// watch returns when the postmaster has ended.
func (s *Server) watch() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-s.process.exited:
			return
		case <-tick.C:
			if err := boundLog(s.dir); err != nil {
				s.logger.Warn("PostgreSQL's log can't be kept short", "error", err)
			}
		}
	}
}

// pause waits, unless the server is stopped.
func (s *Server) pause(wait time.Duration) bool {
	select {
	case <-s.stopping.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// end ends the postmaster and returns when it is gone. It tells whether a fast shutdown was enough. An immediate one may
// take PostgreSQL 5 s: that is when it stops asking its children.
func (p *postmaster) end(patience time.Duration) bool {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{
		{fastShutdown, patience},
		{immediateShutdown, 10 * time.Second},
	} {
		_ = p.cmd.Process.Signal(step.signal)
		select {
		case <-p.exited:
			return step.signal == fastShutdown
		case <-time.After(step.wait):
		}
	}
	_ = p.cmd.Process.Signal(killed)
	<-p.exited
	return false
}

func (p *postmaster) why(dir string) string {
	if said := telling(logSince(dir, p.logOffset)); p.err == nil || strings.Contains(p.err.Error(), "exit status") {
		return said
	}
	return p.err.Error()
}

func holdThread() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

func killGroup(leader int) error { return syscall.Kill(-leader, killed) }
