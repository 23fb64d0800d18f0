package pgserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldestMajor is the oldest PostgreSQL we run on.
const oldestMajor = 15

// programs are the initdb and postgres of one installation.
type programs struct {
	dir          string
	major, minor int
}

func (p programs) path(name string) string { return filepath.Join(p.dir, name) }

// programPlaces are the directories in which installations are looked for. Debian's PATH has psql but not initdb, so PATH
// alone would miss the most common installation of all.
func programPlaces() []string {
	places := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // Fedora and others, from postgresql.org
		"/usr/lib/postgresql*/bin",                           // SUSE
		"/usr/libexec/postgresql*",                           // Alpine
		"/usr/local/pgsql/bin",                               // from source
		"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew
		"/opt/homebrew/bin",                                  //
		"/usr/local/opt/postgresql@*/bin",                    //
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    //
		"/home/linuxbrew/.linuxbrew/bin",                     //
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
		"/Library/PostgreSQL/*/bin",                          // EDB's installer
	} {
		found, _ := filepath.Glob(pattern)
		places = append(places, found...)
	}
	return places
}

// findPrograms returns every usable installation in places, the newest first, and why each other one is not usable.
func findPrograms(ctx context.Context, places []string, who account) (usable []programs, refused []string) {
	seen := map[string]bool{}
	for _, place := range places {
		dir, ok := installation(place)
		if !ok || seen[dir] {
			continue
		}
		seen[dir] = true
		found, err := probe(ctx, dir, who)
		if err != nil {
			refused = append(refused, err.Error())
			continue
		}
		usable = append(usable, found)
	}
	slices.SortStableFunc(usable, func(a, b programs) int {
		return slices.Compare([]int{b.major, b.minor}, []int{a.major, a.minor})
	})
	return usable, refused
}

// installation follows the links in place to where both programs really are.
func installation(place string) (string, bool) {
	if !filepath.IsAbs(place) {
		return "", false
	}
	real, err := filepath.EvalSymlinks(filepath.Join(place, "postgres"))
	if err != nil {
		return "", false
	}
	for _, dir := range []string{filepath.Dir(real), place} {
		if executable(filepath.Join(dir, "postgres")) && executable(filepath.Join(dir, "initdb")) {
			return dir, true
		}
	}
	return "", false
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)

// probe asks the programs for their version, as the user they will run as.
func probe(ctx context.Context, dir string, who account) (programs, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := run(ctx, who, "/", filepath.Join(dir, "postgres"), "--version")
	if err != nil {
		return programs{}, fmt.Errorf("%s can't be run by %s", filepath.Join(dir, "postgres"), who)
	}
	match := versionText.FindStringSubmatch(said)
	if match == nil {
		return programs{}, fmt.Errorf("%s gives no version", filepath.Join(dir, "postgres"))
	}
	major, _ := strconv.Atoi(match[1])
	minor, _ := strconv.Atoi(match[2])
	return programs{dir: dir, major: major, minor: minor}, nil
}

// choosePrograms picks the installation for a cluster of a major version; for a new cluster (0) the newest.
func choosePrograms(usable []programs, refused []string, cluster string, major int) (programs, error) {
	recent := slices.DeleteFunc(slices.Clone(usable), func(p programs) bool { return p.major < oldestMajor })
	switch {
	case len(usable) == 0 && len(refused) > 0:
		return programs{}, problemf(nil, "no usable PostgreSQL found (%s): install one with %s, or give a running one with --database-url", strings.Join(refused, "; "), installHint(0))
	case len(usable) == 0:
		return programs{}, problemf(nil, "PostgreSQL is not installed: install it with %s, or give a running one with --database-url", installHint(0))
	case major != 0 && major < oldestMajor:
		return programs{}, problemf(nil, "%s was made by PostgreSQL %d, which is too old (%d or newer is needed): move it to a newer one with pg_upgrade, or %s", cluster, major, oldestMajor, tryAnotherDir)
	case len(recent) == 0:
		return programs{}, problemf(nil, "PostgreSQL %d (%s) is too old, %d or newer is needed: install a newer one%s, or give a running one with --database-url", usable[0].major, usable[0].dir, oldestMajor, newerHint())
	case major == 0:
		return recent[0], nil
	}
	for _, p := range recent {
		if p.major == major {
			return p, nil
		}
	}
	return programs{}, problemf(nil, "%s was made by PostgreSQL %d, but what is installed here is PostgreSQL %s: install PostgreSQL %d (%s; https://www.postgresql.org/download/ has every version), or %s", cluster, major, majors(recent), major, installHint(major), tryAnotherDir)
}

func majors(found []programs) string {
	var names []string
	for _, p := range found {
		names = append(names, strconv.Itoa(p.major))
	}
	return strings.Join(slices.Compact(names), ", ")
}

// run runs a short program as the account and returns what it said. When ctx ends, it and all its children are killed.
func run(ctx context.Context, who account, dir, program string, args ...string) (string, error) {
	release := holdThread()
	defer release()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = environment()
	cmd.Stdout = &said
	cmd.Stderr = &said
	cmd.SysProcAttr = who.process(killed)
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	return said.String(), err
}
