package pgserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOtherMajor(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	s := start(t, Options{Dir: dir})
	s.Stop()
	file := filepath.Join(s.cluster, "PG_VERSION")
	real, err := os.ReadFile(file)
	must(t, err)
	ours := itoa(s.programs.major)

	must(t, os.WriteFile(file, []byte("99\n"), 0o600))
	refused(t, Options{Dir: dir}, s.cluster, "PostgreSQL 99", "PostgreSQL "+ours, "--data-dir", "install")
	must(t, os.WriteFile(file, []byte("14\n"), 0o600))
	refused(t, Options{Dir: dir}, s.cluster, "PostgreSQL 14", "too old", "--data-dir")
	must(t, os.WriteFile(file, []byte("9.6\n"), 0o600))
	refused(t, Options{Dir: dir}, s.cluster, "no valid PG_VERSION", "--data-dir")
	must(t, os.WriteFile(file, real, 0o600))
	start(t, Options{Dir: dir})
}

func TestProgramsAreMissing(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	nowhere := func() []string { return []string{t.TempDir(), "relative", "/nonexistent"} }
	refused(t, Options{Dir: dir, places: nowhere}, "PostgreSQL is not installed", "install", "postgresql", "--database-url")
	refused(t, Options{Dir: dir, BinDir: "/nonexistent"}, "/nonexistent", "initdb")
	if _, err := os.Stat(filepath.Join(dir, clusterName)); err == nil {
		t.Error("a cluster was made with nothing")
	}
	start(t, Options{Dir: dir})
}

func TestInstallHint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system, sudo string
		major        int
		want         string
	}{
		{"debian", "sudo ", 0, "`sudo apt-get install -y postgresql`"},
		{"debian", "", 16, "`apt-get install -y postgresql-16`"},
		{"fedora", "sudo ", 0, "`sudo dnf install -y postgresql-server`"},
		{"darwin", "sudo ", 16, "`brew install postgresql@16`"},
		{"", "sudo ", 0, "`sudo apt-get install -y postgresql` (Debian, Ubuntu), `sudo dnf install -y postgresql-server` (Fedora) or `brew install postgresql@17` (macOS)"},
	} {
		if got := hintFor(c.system, c.sudo, c.major); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// installed makes something that looks like an installation.
func installed(t *testing.T, base, version string) string {
	t.Helper()
	dir := filepath.Join(base, version, "bin")
	must(t, os.MkdirAll(dir, 0o755))
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s (Somewhere 1)'\n", version)
	for _, name := range []string{"postgres", "initdb"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return dir
}

func TestNewestProgramsWin(t *testing.T) {
	t.Parallel()
	base := baseDir(t)
	var places []string
	for _, version := range []string{"13.20", "16.4", "18.1", "18.2", "9.6.24", "17rc1"} {
		places = append(places, installed(t, base, version))
	}
	broken := installed(t, base, "broken")
	wrappers := filepath.Join(base, "wrappers") // Debian's PATH: psql, and no initdb
	must(t, os.MkdirAll(wrappers, 0o755))
	must(t, os.Symlink(filepath.Join(places[0], "postgres"), filepath.Join(wrappers, "psql")))
	linked := filepath.Join(base, "linked")
	must(t, os.MkdirAll(linked, 0o755))
	must(t, os.Symlink(filepath.Join(places[3], "postgres"), filepath.Join(linked, "postgres")))

	who, err := accountFor("/nonexistent")
	must(t, err)
	usable, refusals := findPrograms(context.Background(), append([]string{broken, wrappers, linked}, places...), who)
	if len(usable) != 6 || len(refusals) != 1 || !strings.Contains(refusals[0], broken) {
		t.Fatalf("usable %v, refused %v", usable, refusals)
	}
	for major, want := range map[int]string{0: places[3], 18: places[3], 17: places[5], 16: places[1]} {
		if got, err := choosePrograms(usable, refusals, "cluster", major); err != nil || got.dir != want {
			t.Errorf("for a cluster of %d: %v, %v; want %s", major, got, err, want)
		}
	}
	_, err = choosePrograms(usable, refusals, "/the/cluster", 15)
	problem(t, err, "/the/cluster was made by PostgreSQL 15", "installed here is PostgreSQL 18, 17, 16:", "install PostgreSQL 15")
	_, err = choosePrograms(usable, refusals, "/the/cluster", 13)
	problem(t, err, "/the/cluster was made by PostgreSQL 13", "too old")

	old, none := findPrograms(context.Background(), []string{places[0], places[4]}, who)
	_, err = choosePrograms(old, none, "cluster", 0)
	problem(t, err, "PostgreSQL 13", "too old", "15 or newer", "install a newer one", "--database-url")
	none2, reasons := findPrograms(context.Background(), []string{broken}, who)
	_, err = choosePrograms(none2, reasons, "cluster", 0)
	problem(t, err, broken, "gives no version", "install")
}

func TestDirectoryIsNotOurs(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	theirs := filepath.Join(dir, clusterName, "thesis.txt")
	must(t, os.MkdirAll(filepath.Dir(theirs), 0o755))
	must(t, os.WriteFile(theirs, []byte("years of work"), 0o644))
	refused(t, Options{Dir: dir}, filepath.Dir(theirs), "not empty", "--data-dir")
	if text, err := os.ReadFile(theirs); err != nil || string(text) != "years of work" {
		t.Errorf("%q, %v", text, err)
	}
	must(t, os.Remove(theirs)) // an empty one will do
	s := start(t, Options{Dir: dir})
	refused(t, Options{Dir: s.cluster}, "PostgreSQL data directory itself", "--data-dir")
}

func TestDirectoryIsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(baseDir(t), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		refused(t, Options{Dir: dir}, file+" is not a directory", "--data-dir")
		_, err := Running(dir)
		problem(t, err, "no lastunit is running")
	}
	dir := dataDir(t)
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, clusterName), nil, 0o644))
	refused(t, Options{Dir: dir}, "is a file", "--data-dir")
}

func TestDirectoryOfSomebodyElse(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := dataDir(t)
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { must(t, os.Chmod(dir, 0o755)) })
	refused(t, Options{Dir: dir}, dir, "can't be written", "--data-dir")
	refused(t, Options{Dir: filepath.Join(dir, "new")}, dir, "can't be written", "--data-dir")
}

func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	refused(t, Options{Dir: dir, Settings: map[string]string{"shared_buffers": "much"}}, "shared_buffers", filepath.Join(dir, logName))
	_, err := Running(dir)
	problem(t, err, "no lastunit is running")

	rules := filepath.Join(dir, clusterName, "pg_hba.conf")
	working, err := os.ReadFile(rules)
	must(t, err)
	must(t, os.WriteFile(rules, []byte("local all all reject\n"), 0o600))
	refused(t, Options{Dir: dir}, "pg_hba.conf rejects connection", filepath.Join(dir, logName))
	must(t, os.WriteFile(rules, working, 0o600))
	start(t, Options{Dir: dir})
}
