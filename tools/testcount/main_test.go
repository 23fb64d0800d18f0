package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module makes a module whose packages a, b, ... hold the given tests.
func module(t *testing.T, tests ...string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"go.mod": "module example\n\ngo 1.26\n"}
	for i, body := range tests {
		name := string(rune('a' + i))
		files[filepath.Join(name, name+"_test.go")] = "package " + name + "\n\nimport (\"os\"; \"testing\")\n\nvar _, _ = os.Exit, testing.Short\n\n" + body
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const passing = "func TestGood(t *testing.T) { t.Run(\"one\", func(*testing.T) {}); t.Run(\"two\", func(*testing.T) {}) }\n"

func TestCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tests []string
		last  string   // the last line
		says  []string // what the output holds besides
	}{
		"all pass": {[]string{passing}, "3 passed, 0 failed", []string{"ok   example/a"}},
		"a skip": {[]string{passing + "func TestLater(t *testing.T) { t.Skip(\"no such program\") }"},
			"3 passed, 0 failed, 1 skipped", []string{"skipped TestLater in example/a: a_test.go:8: no such program"}},
		"a failed subtest fails its test": {[]string{passing, "func TestBad(t *testing.T) { t.Run(\"one\", func(t *testing.T) { t.Error(\"two is not one\") }) }"},
			"3 passed, 2 failed", []string{"two is not one", "FAIL example/b", "ok   example/a"}},
		"does not build": {[]string{passing, "func TestBad(t *testing.T) { undefined() }"},
			"3 passed, 1 failed", []string{"undefined: undefined", "FAIL example/b"}},
		"does not parse": {[]string{passing, "func TestBad("}, "3 passed, 1 failed", []string{"FAIL example/b"}},
		"vet objects":    {[]string{passing, "func TestBad(t *testing.T) { t.Logf(\"%d\", \"x\") }"}, "3 passed, 1 failed", []string{"FAIL example/b"}},
		"a panic": {[]string{"func TestGood(*testing.T) {}\nfunc TestBad(*testing.T) { panic(\"at the disco\") }"},
			"1 passed, 1 failed", []string{"at the disco"}},
		"an exit": {[]string{"func TestGood(*testing.T) {}\nfunc TestBad(*testing.T) { os.Exit(3) }"}, "1 passed, 1 failed", []string{"TestBad"}},
		"an exit after all passed": {[]string{"func TestGood(*testing.T) {}\nfunc TestMain(m *testing.M) { m.Run(); os.Exit(3) }"},
			"1 passed, 1 failed", nil},
		"no test": {[]string{""}, "0 passed, 0 failed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			err := run([]string{module(t, c.tests...), "--", "./..."}, &out, &errs)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != c.last {
				t.Errorf("ends with %q, want %q:\n%s%s", got, c.last, out.String(), errs.String())
			}
			for _, want := range c.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("does not say %q:\n%s", want, out.String())
				}
			}
			if good := strings.Contains(c.last, " 0 failed") && !strings.HasPrefix(c.last, "0 "); (err == nil) != good {
				t.Errorf("returned %v", err)
			}
		})
	}
}

// A test that never ended has not passed, and a second module is counted with the first.
func TestTimeoutInSecondModule(t *testing.T) {
	t.Parallel()
	good, slow := module(t, passing), module(t, "func TestQuick(*testing.T) {}\nfunc TestSlow(*testing.T) { select {} }")
	var out, errs bytes.Buffer
	err := run([]string{good, slow, "--", "-timeout=2s", "./..."}, &out, &errs)
	if err == nil || !strings.HasSuffix(out.String(), "\n4 passed, 1 failed\n") {
		t.Errorf("returned %v:\n%s", err, out.String())
	}
}

func TestGoItselfFails(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	err := run([]string{module(t, passing), "--", "-no-such-flag", "./..."}, &out, &errs)
	if err == nil || !strings.HasSuffix(out.String(), "0 passed, 1 failed\n") {
		t.Errorf("returned %v:\n%s%s", err, out.String(), errs.String())
	}
}
