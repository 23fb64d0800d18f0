package pgserver

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user PostgreSQL runs as: ourselves, or somebody without privileges when we are root, because PostgreSQL
// refuses to run as root.
type account struct {
	uid, gid int
	dropped  bool
}

// accountFor chooses the user for a cluster. Root runs an existing cluster as its owner, so that a data directory which an
// ordinary user made stays usable by that user.
func accountFor(cluster string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	var stat syscall.Stat_t
	if syscall.Stat(cluster, &stat) == nil && stat.Uid != 0 {
		return account{uid: int(stat.Uid), gid: int(stat.Gid), dropped: true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(found.Uid)
		gid, errGID := strconv.Atoi(found.Gid)
		if errUID == nil && errGID == nil && uid > 0 {
			return account{uid: uid, gid: gid, dropped: true}, nil
		}
	}
	return account{}, problemf(nil, "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody: run lastunit as an ordinary user, or give a running PostgreSQL with --database-url")
}

func (a account) String() string { return accountName(a.uid) }

func accountName(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return "user " + found.Username
	}
	return "user " + strconv.Itoa(uid)
}

// own gives one file or directory to the account. Only what this package makes is ever passed to it.
func (a account) own(path string) error {
	if !a.dropped {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// process are the attributes of a process of the account. It gets a session of its own, so that a Ctrl-C in the terminal
// reaches us alone and PostgreSQL stays until the service above it has finished.
func (a account) process(whenParentDies syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.dropped {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: []uint32{}}
	}
	setDeathSignal(attr, whenParentDies)
	return attr
}

// barrier returns the first directory on the way to dir, dir included, that the account can't enter, or "".
func (a account) barrier(dir string) string {
	if !a.dropped {
		return ""
	}
	above := filepath.Dir(dir)
	if above != dir {
		if found := a.barrier(above); found != "" {
			return found
		}
	}
	if a.mayEnterByMode(dir) || a.entersInFact(dir) {
		return ""
	}
	return dir
}

func (a account) mayEnterByMode(dir string) bool {
	var stat syscall.Stat_t
	if err := syscall.Stat(dir, &stat); err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	switch {
	case int(stat.Uid) == a.uid:
		return stat.Mode&0o100 != 0
	case int(stat.Gid) == a.gid:
		return stat.Mode&0o010 != 0
	}
	return stat.Mode&0o001 != 0
}

// entersInFact tries it, because an access control list may allow what the mode doesn't show.
func (a account) entersInFact(dir string) bool {
	cmd := exec.Command("/bin/sh", "-c", ":")
	cmd.Dir = dir
	cmd.Env = []string{}
	cmd.SysProcAttr = a.process(0)
	return cmd.Run() == nil
}

// DefaultDir is the data directory for people who name none: ./lastunit-data. Root starts PostgreSQL as an unprivileged
// user, and in a working directory which that user can't enter (/root, most often) no directory below it will do. There it
// is /var/lib/lastunit instead, so that the first command somebody types in a fresh container works.
func DefaultDir() string {
	const here = "./lastunit-data"
	abs, err := filepath.Abs(here)
	if err != nil {
		return here
	}
	who, err := accountFor(filepath.Join(abs, clusterName))
	if err == nil && who.barrier(filepath.Dir(abs)) != "" {
		return "/var/lib/lastunit"
	}
	return here
}
