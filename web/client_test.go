// Package web_test runs the tests of the TypeScript client and of the pages, which are written in JavaScript, against real servers.
package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// TestClientDrift: what is committed as generated is what openapi.yaml makes.
func TestClientDrift(t *testing.T) {
	t.Parallel()
	made := t.TempDir()
	run(t, "node", "../tools/client/make.mjs", made)
	run(t, "diff", "-ru", "client/src/generated", made)
}

// TestClient turns each of the client's tests into one of ours.
func TestClient(t *testing.T) {
	t.Parallel()
	buildClient(t)
	files := testFiles(t, "client/test")
	results := runNode(t, append([]string{"--test-concurrency=4"}, files...)...)
	for _, file := range files {
		name := testName(file)
		t.Run(name, func(t *testing.T) { report(t, results[name]) })
	}
}

func testFiles(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", folder, err)
	}
	return files
}

func testName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".test.js") }

func report(t *testing.T, results []result) {
	t.Helper()
	if len(results) == 0 {
		t.Error("no test ran")
	}
	for _, r := range results {
		t.Run(r.Name, func(t *testing.T) {
			if r.Error != "" {
				t.Error(r.Error)
			}
		})
	}
}

var clientBuilt = sync.OnceValue(func() error {
	if _, err := os.Stat("node_modules/typescript"); err != nil {
		return errors.New("what builds the client is not installed: run `npm ci --prefix web`, or `make test`, which does it")
	}
	if said, err := exec.Command("npm", "run", "--silent", "--prefix", "client", "build").CombinedOutput(); err != nil {
		return fmt.Errorf("the client can't be built: %w\n%s", err, said)
	}
	return nil
})

// buildClient builds the client's package, once for all tests.
func buildClient(t *testing.T) {
	t.Helper()
	if err := clientBuilt(); err != nil {
		t.Fatal(err)
	}
}

// runNode runs files of tests, and returns what became of each test, by file.
func runNode(t *testing.T, args ...string) map[string][]result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	// A test that failed may leave something behind that goes on for ever.
	options := []string{"--test", "--test-timeout=240000", "--test-force-exit", "--test-reporter=./client/test/reporter.js"}
	cmd := exec.CommandContext(ctx, "node", append(options, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // with the processes that it has started
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(cmd.Environ(), "LASTUNIT_TEST_WORLDS="+serveWorlds(t))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	results := readResults(t, stdout)
	failed := false
	for _, one := range results {
		failed = failed || slices.ContainsFunc(one, func(r result) bool { return r.Error != "" })
	}
	if err := cmd.Wait(); err != nil && !failed {
		t.Errorf("node --test: %v", err)
	}
	return results
}

// result is one line of test/reporter.js.
type result struct{ File, Name, Error string }

func readResults(t *testing.T, stdout io.Reader) map[string][]result {
	t.Helper()
	all := map[string][]result{}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Errorf("the reporter says: %s", lines.Text())
			continue
		}
		all[r.File] = append(all[r.File], r)
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	return all
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
}
