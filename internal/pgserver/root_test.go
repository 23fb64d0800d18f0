package pgserver

import (
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root becomes somebody else")
	}
}

func uidOf(t *testing.T, pid int) (uid string, groups string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the user of a process is looked up in /proc")
	}
	status, err := os.ReadFile("/proc/" + itoa(pid) + "/status")
	must(t, err)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Uid":
			uid = strings.Fields(value)[0]
			for _, other := range strings.Fields(value) {
				if other != uid {
					t.Errorf("process %d can change its user: %s", pid, value)
				}
			}
		case "Groups":
			groups = strings.TrimSpace(value)
		}
	}
	return uid, groups
}

func TestServerIsNotRoot(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	var groupsOfRoot []uint32
	if os.Geteuid() == 0 {
		groupsOfRoot = []uint32{0, 6} // 6 may read disks
	}
	pid, _ := startHelper(t, dir, groupsOfRoot...).ready(t)
	uid, groups := uidOf(t, pid)
	if uid == "0" {
		t.Error("PostgreSQL runs as root")
	}
	if os.Geteuid() != 0 {
		if uid != itoa(os.Geteuid()) {
			t.Errorf("PostgreSQL runs as %s, we as %d", uid, os.Geteuid())
		}
		return
	}
	if groups != "" {
		t.Errorf("PostgreSQL has the groups %s", groups)
	}
	if who, err := user.Lookup("postgres"); err == nil && uid != who.Uid {
		t.Errorf("PostgreSQL runs as %s, not as postgres (%s)", uid, who.Uid)
	}
	info, err := os.Stat(dir)
	must(t, err)
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("the data directory itself was given to %d", owner)
	}
}

func TestRootRunsAClusterAsItsOwner(t *testing.T) {
	t.Parallel()
	needRoot(t)
	nobody, err := user.Lookup("nobody")
	must(t, err)
	uid, err := strconv.Atoi(nobody.Uid)
	must(t, err)
	dir := usedDir(t)
	first := start(t, Options{Dir: dir})
	execute(t, first.URL(), "CREATE TABLE kept AS SELECT 'here' AS word")
	first.Stop()
	give := func(uid int) {
		must(t, filepath.WalkDir(first.cluster, func(path string, _ fs.DirEntry, err error) error {
			must(t, err)
			return os.Lchown(path, uid, -1)
		}))
	}
	give(uid)
	second := start(t, Options{Dir: dir})
	if got, _ := uidOf(t, second.PID()); got != nobody.Uid {
		t.Errorf("the cluster of nobody runs as %s", got)
	}
	second.Stop()

	give(0) // copied from a backup, without a thought for owners
	must(t, os.Chmod(first.cluster, 0o755))
	third := start(t, Options{Dir: dir})
	if got := ask(t, third.URL(), "SELECT word FROM kept"); got != "here" {
		t.Errorf("kept: %q", got)
	}
}

// TestOrdinaryUserBesideRoot: what root started is not for others, and they are told so.
func TestOrdinaryUserBesideRoot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	nobody, err := user.Lookup("nobody")
	must(t, err)
	uid, err := strconv.Atoi(nobody.Uid)
	must(t, err)
	dir := usedDir(t)
	s := start(t, Options{Dir: dir})
	if s.account.uid == uid {
		t.Skip("without a user postgres there is no other ordinary user to try with")
	}
	program := filepath.Join(filepath.Dir(dir), "program")
	binary, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(program, binary, 0o755))
	asNobody := func(env ...string) string {
		cmd := exec.Command(program)
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), env...)
		cmd.SysProcAttr = account{uid: uid, gid: uid, dropped: true}.process(0)
		out, _ := cmd.Output()
		t.Logf("%s", out)
		return string(out)
	}
	if said := asNobody(helperDir+"="+dir, helperLooks+"=1"); !strings.Contains(said, "as root") || !strings.Contains(said, dir) {
		t.Errorf("Running: %s", said)
	}
	if said := asNobody(helperDir + "=" + dir); !strings.Contains(said, "can't be written by user nobody") {
		t.Errorf("Start: %s", said)
	}
	psql := exec.Command("psql", "--command", "SELECT 1", s.URL())
	psql.Dir = "/"
	psql.SysProcAttr = account{uid: uid, gid: uid, dropped: true}.process(0)
	if out, err := psql.CombinedOutput(); psql.Err == nil && (err == nil || !strings.Contains(string(out), "Permission denied")) {
		t.Errorf("another user came in: %v: %s", err, out)
	}
}

func TestRootBehindAClosedDoor(t *testing.T) {
	t.Parallel()
	needRoot(t)
	base := baseDir(t)
	closed := filepath.Join(base, "closed")
	must(t, os.Mkdir(closed, 0o700))
	refused(t, Options{Dir: filepath.Join(closed, "below", "data")}, "can't enter "+closed+":", "--data-dir")
}

func TestDefaultDir(t *testing.T) {
	base := baseDir(t)
	t.Chdir(base)
	if got := DefaultDir(); got != "./lastunit-data" {
		t.Errorf("in an open directory: %s", got)
	}
	closed := filepath.Join(base, "closed")
	must(t, os.Mkdir(closed, 0o700))
	t.Chdir(closed)
	want := "./lastunit-data"
	if os.Geteuid() == 0 {
		want = "/var/lib/lastunit"
	}
	if got := DefaultDir(); got != want {
		t.Errorf("in a closed directory: %s, want %s", got, want)
	}
}
