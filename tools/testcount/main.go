// Testcount runs `go test` and counts what it says: it prints a line for every package, the output of what failed, and last
//
//	N passed, N failed, N skipped
//
// counting tests and their subtests. A package that fails otherwise (it does not build, it panics, it exits) and a test that
// began and never ended count as failed. It exits 1 when anything failed, and when no test ran.
//
//	testcount DIRECTORY-OF-A-MODULE... -- [ARGUMENTS-OF-GO-TEST...]
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	// Ctrl-C ends go test, which is in our process group; what it has said by then is still counted.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	dash := slices.Index(args, "--")
	if dash < 0 {
		return errors.New("usage: testcount DIRECTORY-OF-A-MODULE... -- [ARGUMENTS-OF-GO-TEST...]")
	}
	c := counter{out: stdout, failedIn: map[string]bool{}, running: map[test]bool{}, output: map[test][]string{}, build: map[string][]string{}}
	for _, dir := range args[:dash] {
		if err := c.runModule(dir, args[dash+1:], stderr); err != nil {
			fmt.Fprintln(stdout, "FAIL", dir, err)
			c.failed++
		}
	}
	for _, line := range c.skips {
		fmt.Fprintln(stdout, line)
	}
	line := fmt.Sprintf("%d passed, %d failed", c.passed, c.failed)
	if c.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", c.skipped)
	}
	fmt.Fprintln(stdout, line)
	switch {
	case c.failed > 0:
		return fmt.Errorf("%d failed", c.failed)
	case c.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// test names a test, or with an empty name what its package says itself.
type test struct{ pkg, name string }

type counter struct {
	out                     io.Writer
	passed, failed, skipped int
	failedIn                map[string]bool   // packages with a failed test
	running                 map[test]bool     // began and did not end yet
	output                  map[test][]string // what they have said so far
	build                   map[string][]string
	skips                   []string
}

// runModule returns an error when go test failed without a word about any package.
func (c *counter) runModule(dir string, args []string, stderr io.Writer) error {
	before := c.failed
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = stderr
	stream, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.count(stream)
	if err := cmd.Wait(); err != nil && c.failed == before {
		return err
	}
	return nil
}

// event is what test2json and, for the build, go itself write: see `go doc test2json` and `go help buildjson`.
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

func (c *counter) count(stream io.Reader) {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadString('\n')
		var e event
		switch {
		case line == "":
		case json.Unmarshal([]byte(line), &e) != nil:
			fmt.Fprint(c.out, line)
		case e.Action == "build-output":
			c.build[e.ImportPath] = append(c.build[e.ImportPath], e.Output)
		case e.Test != "":
			c.ofTest(e, test{e.Package, e.Test})
		case e.Package != "":
			c.ofPackage(e)
		}
		if err != nil {
			return
		}
	}
}

func (c *counter) ofTest(e event, t test) {
	switch e.Action {
	case "run":
		c.running[t] = true
	case "output":
		c.output[t] = append(c.output[t], e.Output)
	case "pass", "fail", "skip":
		switch e.Action {
		case "pass":
			c.passed++
		case "fail":
			c.fail(t, "failed")
		case "skip":
			c.skipped++
			c.skips = append(c.skips, fmt.Sprintf("skipped %s in %s: %s", t.name, t.pkg, reason(c.output[t])))
		}
		delete(c.running, t)
		delete(c.output, t)
	}
}

func (c *counter) ofPackage(e event) {
	whole := test{pkg: e.Package}
	switch e.Action {
	case "output":
		c.output[whole] = append(c.output[whole], e.Output)
	case "pass":
		fmt.Fprintf(c.out, "ok   %s (%.1f s)\n", e.Package, e.Elapsed)
		delete(c.output, whole)
	case "fail":
		for t := range c.running {
			if t.pkg == e.Package {
				c.fail(t, "did not end")
				delete(c.running, t)
			}
		}
		if !c.failedIn[e.Package] {
			c.failed++
		}
		fmt.Fprintf(c.out, "%s%sFAIL %s (%.1f s)\n", strings.Join(c.build[e.FailedBuild], ""), strings.Join(c.output[whole], ""), e.Package, e.Elapsed)
		delete(c.output, whole)
	}
}

// fail counts a failed test and prints what it said.
func (c *counter) fail(t test, how string) {
	c.failed++
	c.failedIn[t.pkg] = true
	fmt.Fprintf(c.out, "\n%s %s in %s\n", t.name, how, t.pkg)
	for _, line := range c.output[t] {
		if !isNoise(line) {
			fmt.Fprint(c.out, "    ", line)
		}
	}
	fmt.Fprintln(c.out)
}

// isNoise tells what only says where a test is: it began, it waits, it goes on.
func isNoise(line string) bool {
	return strings.HasPrefix(line, "=== ")
}

// reason is the last thing that a skipped test said, but for the line that says that it was skipped.
func reason(output []string) string {
	said := "no reason given"
	for _, line := range output {
		if !isNoise(line) && !strings.HasPrefix(strings.TrimSpace(line), "--- ") {
			said = strings.TrimSpace(line)
		}
	}
	return said
}
