package pgserver

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// disk mounts a small disk of its own.
func disk(t *testing.T, flags uintptr, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk to fill")
	}
	dir := filepath.Join(baseDir(t), "disk")
	must(t, os.Mkdir(dir, 0o755))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options+",mode=0755"); err != nil {
		t.Skipf("can't mount a small disk to fill: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return dir
}

// fill leaves no room at all.
func fill(t *testing.T, dir string) (filler string) {
	t.Helper()
	filler = filepath.Join(dir, "filler")
	file, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer file.Close()
	for size := 1 << 20; size > 0; {
		if n, err := file.Write(make([]byte, size)); err != nil && n < size {
			size /= 2
		}
	}
	return filler
}

func TestDiskIsFullWhileTheClusterIsMade(t *testing.T) {
	t.Parallel()
	at := disk(t, 0, "size=16m")
	dir := filepath.Join(at, "data")
	refused(t, Options{Dir: dir}, "the disk at "+at+" is full", dir, "--data-dir")
	for _, name := range []string{"postgres", "postgres.new"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was left on the full disk", name)
		}
	}
	fill(t, at)
	refused(t, Options{Dir: filepath.Join(at, "another")}, "the disk at "+at+" is full", "--data-dir")
}

func TestDiskIsFullAtStart(t *testing.T) {
	t.Parallel()
	at := disk(t, 0, "size=96m")
	dir := filepath.Join(at, "data")
	copySample(t, dir)
	s := start(t, Options{Dir: dir})
	execute(t, s.URL(), "CREATE TABLE kept AS SELECT 'here' AS word")
	s.Stop()
	filler := fill(t, at)
	refused(t, Options{Dir: dir}, "the disk at "+at+" is full", dir, "--data-dir")
	must(t, os.Remove(filler))
	s = start(t, Options{Dir: dir})
	if got := ask(t, s.URL(), "SELECT word FROM kept"); got != "here" {
		t.Errorf("kept: %q", got)
	}
}

// TestDiskFillsUp: when the log of changes can't be written, PostgreSQL gives up. It comes back when there is room.
func TestDiskFillsUp(t *testing.T) {
	t.Parallel()
	at := disk(t, 0, "size=96m")
	dir := filepath.Join(at, "data")
	copySample(t, dir)
	var said journal
	s := start(t, Options{Dir: dir, Settings: map[string]string{}, Logger: said.logger()})
	execute(t, s.URL(), "CREATE TABLE kept AS SELECT 'here' AS word")
	filler := fill(t, at)
	eventually(t, "PostgreSQL can't go on", func() bool {
		_, err := tryAsk(t.Context(), s.URL(), "WITH more AS (SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1 << 20)) FROM generate_series(1, 32)) SELECT count(*)::text FROM more")
		return err != nil && strings.Contains(said.String(), "the disk at "+at+" is full")
	})
	must(t, os.Remove(filler))
	eventually(t, "PostgreSQL is back", func() bool {
		got, err := tryAsk(t.Context(), s.URL(), "SELECT word FROM kept")
		return err == nil && got == "here"
	})
}

func TestDiskIsReadOnly(t *testing.T) {
	t.Parallel()
	at := disk(t, syscall.MS_RDONLY, "size=1m")
	for _, dir := range []string{at, filepath.Join(at, "data")} {
		refused(t, Options{Dir: dir}, dir+" is on a read-only disk", at, "--data-dir")
	}
}
