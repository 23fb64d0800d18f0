package pgserver

import (
	"context"
	"os/exec"
	"syscall"
)

// Tools are PostgreSQL's programs as they are run here: by a user without privileges when we are root. They are for whoever makes clusters of its own, such as standbys.
type Tools struct {
	programs programs
	who      account
}

// FindTools finds the newest installation.
func FindTools(ctx context.Context) (Tools, error) {
	who, err := accountFor("")
	if err != nil {
		return Tools{}, err
	}
	usable, refused := findPrograms(ctx, programPlaces(), who)
	found, err := choosePrograms(usable, refused, "", 0)
	return Tools{found, who}, err
}

// Own gives a file or directory to the user that the programs run as.
func (t Tools) Own(path string) error { return t.who.own(path) }

// Run runs a short program, such as initdb, in a directory that its user can enter, and returns what it said. When ctx ends it is killed with its children.
func (t Tools) Run(ctx context.Context, dir, program string, args ...string) (string, error) {
	return run(ctx, t.who, dir, t.programs.path(program), args...)
}

// Start starts a long-running program, such as postgres. It is killed when we are, where the kernel can do that. The channel is closed when it has ended.
func (t Tools) Start(dir, program string, args ...string) (*exec.Cmd, <-chan struct{}, error) {
	cmd := exec.Command(t.programs.path(program), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environment(), t.who.process(syscall.SIGQUIT)
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		release := holdThread() // for the signal that it gets when we die
		defer release()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	err := <-started
	return cmd, ended, err
}
