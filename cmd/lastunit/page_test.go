package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// passage is a block of commands of a page, and what the page says that it prints.
type passage struct {
	line            int // of its first command
	commands, shown string
	says            bool // something is shown; else it may print anything
}

// passages reads the sh blocks of a page. A block of another kind that begins on the next line is what the commands print.
func passages(page string) (all []passage) {
	lines := strings.Split(page, "\n")
	block := func(from int) (text string, end int) { // of the fence at from
		for end = from + 1; end < len(lines) && lines[end] != "```"; end++ {
			text += lines[end] + "\n"
		}
		return text, end
	}
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "```") {
			continue
		}
		text, end := block(i)
		if lines[i] == "```sh" {
			p := passage{line: i + 2, commands: text}
			if end+1 < len(lines) && strings.HasPrefix(lines[end+1], "```") && lines[end+1] != "```sh" {
				p.says = true
				p.shown, end = block(end + 1)
			}
			all = append(all, p)
		}
		i = end
	}
	return all
}

// What differs from run to run. A page may cut an id short.
var (
	anID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}(…|-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`)
	aTime   = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	aLayout = regexp.MustCompile(`\s+`)
)

func constant(text string) string {
	return aLayout.ReplaceAllString(aTime.ReplaceAllString(anID.ReplaceAllString(text, "ID"), "TIME"), "")
}

// missing is the first part that a page shows and that was not printed behind the part before it; empty: all was. Ids, times and layout are not compared,
// and … stands for anything.
func missing(shown, printed string) string {
	printed = constant(printed)
	for i, part := range strings.Split(constant(shown), "…") {
		at := strings.Index(printed, part)
		if at < 0 || i == 0 && at > 0 {
			return part
		}
		printed = printed[at+len(part):]
	}
	return ""
}

// runPage runs the sh blocks of a page in one shell, which ends at the first command that fails, and returns what is wrong with the page.
func runPage(t *testing.T, page string, environ ...string) (wrong []string) {
	t.Helper()
	const mark = "=== end of the passage"
	all := passages(page)
	script := "set -o pipefail\n"
	for _, p := range all {
		script += p.commands + "echo; echo '" + mark + "'\n"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-c", script)
	cmd.Dir, cmd.Env = t.TempDir(), environ
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	printed := strings.Split(string(out), mark)
	for i, p := range all {
		if i >= len(printed)-1 {
			return append(wrong, fmt.Sprintf("line %d: it ended with %v\n%s\nIt printed:\n%s%s", p.line, err, p.commands, printed[len(printed)-1], stderr.String()))
		}
		if part := missing(p.shown, printed[i]); p.says && part != "" {
			wrong = append(wrong, fmt.Sprintf("line %d: %s is not printed, or not there\n%s\nIt printed:\n%s", p.line, part, p.commands, printed[i]))
		}
	}
	if err != nil {
		wrong = append(wrong, fmt.Sprintf("the shell ended with %v: %s", err, stderr.String()))
	}
	return wrong
}

// pageEnviron is what commands of pages need of a service, and more.
func pageEnviron(t *testing.T, address, dir string, more ...string) []string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return append(more, "LASTUNIT="+address, "LASTUNIT_DATA_DIR="+dir, "TMPDIR="+t.TempDir(),
		"PATH="+filepath.Dir(path)+":"+os.Getenv("PATH")) //nolint:forbidigo // where bash, curl, sed and psql are
}

func TestTheFirstSaleGoesAsItsPageSays(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/first-sale.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(passages(string(page))); n < 20 {
		t.Fatalf("%d blocks of commands were found", n)
	}
	dir := dataDir(t)
	p := start(t, "serve", dir)
	for _, wrong := range runPage(t, string(page), pageEnviron(t, p.address, dir)...) {
		t.Error(wrong)
	}
}

func TestAPageThatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	const end = "```\n"
	for name, c := range map[string]struct {
		page string
		want string // a part of what is found; empty: nothing is
	}{
		"as it says":                {"```sh\nA=1\n" + end + "text\n```sh\necho $A\n" + end + "```json\n1\n" + end, ""},
		"nothing is said":           {"```sh\necho 1\n" + end + "\n```\n2\n" + end, ""},
		"not to be run":             {"```console\nfalse\n" + end, ""},
		"cut short":                 {"```sh\necho 'a b 019b1234-5678-7abc-8def-0123456789ab c'\n" + end + "```\na…01234567-89ab… …c\n" + end, ""},
		"a command fails":           {"```sh\nfalse\n" + end, "line 2"},
		"one amid a block fails":    {"```sh\ntrue\nfalse\ntrue\n" + end, "line 2"},
		"the last of a pipe works":  {"```sh\nfalse | cat\n" + end, "line 2"},
		"a variable has no value":   {"```sh\necho $NOBODY\n" + end, "NOBODY"},
		"a later block fails":       {"```sh\ntrue\n" + end + "\n```sh\nfalse\n" + end, "line 6"},
		"something else is printed": {"```sh\necho 1\n" + end + "```\n2\n" + end, "2 is not printed"},
		"it begins otherwise":       {"```sh\necho 12\n" + end + "```\n2\n" + end, "2 is not printed"},
		"in another order":          {"```sh\necho a b\n" + end + "```\n…b…a\n" + end, "a is not printed"},
		"nothing is printed":        {"```sh\ntrue\n" + end + "```\n1…\n" + end, "1 is not printed"},
	} {
		wrong := runPage(t, c.page, "PATH="+os.Getenv("PATH")) //nolint:forbidigo // where bash is
		if found := strings.Join(wrong, "\n"); c.want == "" && found != "" || !strings.Contains(found, c.want) {
			t.Errorf("%s: found %q", name, found)
		}
	}
}
