package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWhatIsCommittedIsTheWholeProduct builds the program from what a module's download would have, so what `go install` builds, and looks whether its pages are
// there, also what they load.
func TestWhatIsCommittedIsTheWholeProduct(t *testing.T) {
	t.Parallel()
	listed, err := exec.Command("git", "-C", "../..", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("the files of the module are not known: git ls-files: %v", err)
	}
	files := strings.Split(strings.Trim(string(listed), "\x00"), "\x00")
	modules := map[string]bool{}
	for _, name := range files {
		if dir, base := filepath.Split(name); base == "go.mod" && dir != "" {
			modules[dir] = true
		}
	}
	copied := t.TempDir()
	for _, name := range files {
		if within(modules, name) {
			continue // a module of its own, which does not come along
		}
		content, err := os.ReadFile(filepath.Join("../..", name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(copied, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := dataDir(t)
	install := exec.Command("go", "install", "./cmd/lastunit")
	install.Dir = copied
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=-mod=readonly") //nolint:forbidigo // a build needs where its caches are
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("go install: %v\n%s", err, out)
	}

	cmd := exec.Command(filepath.Join(bin, "lastunit"), "demo", "--data-dir", dataDir(t), "--listen", "127.0.0.1:0")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()} //nolint:forbidigo // nothing else of ours may reach it
	address := launch(t, &bytes.Buffer{}, cmd).address
	loaded := 0
	for _, page := range []string{"/", "/desk"} {
		text := fetched(t, address+page)
		for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(text, -1) {
			fetched(t, address+m[1])
			loaded++
		}
	}
	if loaded < 4 {
		t.Errorf("the pages load %d things: their scripts and styles are not among them", loaded)
	}
	for _, other := range []string{"/docs", "/openapi.yaml", "/goods/mug-last.svg"} {
		fetched(t, address+other)
	}
}

func within(dirs map[string]bool, name string) bool {
	for dir := range dirs {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}

func fetched(t *testing.T, address string) string {
	t.Helper()
	resp, err := newHTTPClient(t).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(text) == 0 {
		t.Errorf("%s: %s, %d bytes, %v", address, resp.Status, len(text), err)
	}
	return string(text)
}
