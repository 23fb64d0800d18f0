package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// pages are what is there to be read, by their paths from the root of the project.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files := []string{"../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md"}
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) < 15 {
		t.Fatalf("%d pages, %v", len(docs), err)
	}
	all := map[string]string{}
	for _, file := range append(files, docs...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(file, "../../")] = string(text)
	}
	return all
}

// commandsOf are those of blocks of sh and console, and of the text, without what is said about them.
func commandsOf(page string) (commands []string) {
	joined := strings.ReplaceAll(page, "\\\n", " ")
	const text = "text"
	kind := text // of the block that a line is in
	for line := range strings.Lines(joined) {
		line = strings.TrimSpace(line)
		if of, fence := strings.CutPrefix(line, "```"); fence {
			if kind == text {
				kind = of
			} else {
				kind = text
			}
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		if typed, prompted := strings.CutPrefix(line, "$ "); kind == "sh" || kind == "console" && prompted {
			commands = append(commands, typed)
		}
	}
	for _, one := range regexp.MustCompile("`((?:lastunit|make|go run) [^`\n@]+)`").FindAllStringSubmatch(joined, -1) {
		commands = append(commands, one[1])
	}
	return commands
}

var (
	aCommand  = regexp.MustCompile(`(?:^|[ (|])(?:bin/)?lastunit ([a-z]+)([^|)]*)`)
	aFlag     = regexp.MustCompile(`(?:^| )(--[a-z0-9-]+)`)
	aTarget   = regexp.MustCompile(`(?:^|&& )make ([a-z][a-z-]*)`)
	aProgram  = regexp.MustCompile(`go (?:run|build|test)[^.]* (\./[a-z/]+)`)
	anAddress = regexp.MustCompile(`(?:localhost:8080|\$LASTUNIT)(/[^\s"'?]*)`)
	aMethod   = regexp.MustCompile(` -X ([A-Z]+) `)
	// aComposition may name a profile and a service.
	aComposition = regexp.MustCompile(`docker compose (?:--profile (\S+) )?(?:up|down|logs)(?: ([a-z]+))?`)
	aWord        = regexp.MustCompile(`^[a-z]+\b`)
	inText       = regexp.MustCompile("`(GET|POST|PUT|PATCH|DELETE) (/[^`?\\s]*)[^`\n]*`")
)

// named is what commands may name, besides lastunit's own.
type named struct {
	operations        []string // of the API
	makefile, compose string
}

func whatThereIs(t *testing.T) named {
	t.Helper()
	read := func(file string) string {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return named{operations: operationsOf(t), makefile: read("Makefile"), compose: read("docker-compose.yml")}
}

// lacking names what is not there of what a command is about.
func (n named) lacking(t *testing.T, command string) (lacks []string) {
	t.Helper()
	for _, c := range aCommand.FindAllStringSubmatch(command, -1) {
		var help bytes.Buffer
		if err := run(t.Context(), []string{c[1], "--help"}, nil, &help, &help); err != nil {
			lacks = append(lacks, "lastunit "+c[1])
		}
		if parts := partsOf(help.String()); len(parts) > 0 {
			if word := aWord.FindString(strings.TrimSpace(c[2])); word != "" && !slices.Contains(parts, word) {
				lacks = append(lacks, "lastunit "+c[1]+" "+word)
			}
		}
		for _, flag := range aFlag.FindAllStringSubmatch(c[2], -1) {
			if !regexp.MustCompile(flag[1] + `[ \[]`).MatchString(help.String()) {
				lacks = append(lacks, "lastunit "+c[1]+" "+flag[1])
			}
		}
	}
	for _, c := range aTarget.FindAllStringSubmatch(command, -1) {
		if !strings.Contains(n.makefile, "\n"+c[1]+":") {
			lacks = append(lacks, "make "+c[1])
		}
	}
	for _, c := range aProgram.FindAllStringSubmatch(command, -1) {
		if _, err := os.Stat("../../" + c[1]); err != nil {
			lacks = append(lacks, c[1])
		}
	}
	if c := aComposition.FindStringSubmatch(command); c != nil {
		if c[1] != "" && !strings.Contains(n.compose, "profiles: ["+c[1]+"]") || c[2] != "" && !strings.Contains(n.compose, "\n  "+c[2]+":\n") {
			lacks = append(lacks, command)
		}
	}
	if !strings.Contains(command, "curl ") {
		return lacks
	}
	for _, c := range anAddress.FindAllStringSubmatch(command, -1) {
		method := "GET"
		if m := aMethod.FindStringSubmatch(command); m != nil {
			method = m[1]
		} else if strings.Contains(command, " -d ") || strings.Contains(command, " --data") {
			method = "POST"
		}
		if !n.has(method + " " + c[1]) {
			lacks = append(lacks, method+" "+c[1])
		}
	}
	return lacks
}

// partsOf are the words of which one follows a command, as its help tells: "usage: lastunit key create ... | list | revoke ID [flags]".
func partsOf(help string) (parts []string) {
	_, usage, _ := strings.Cut(help, "usage: lastunit ")
	usage, _, _ = strings.Cut(usage, "\n")
	_, usage, _ = strings.Cut(usage, " ")
	for one := range strings.SplitSeq(usage, " | ") {
		if word := aWord.FindString(one); word != "" {
			parts = append(parts, word)
		}
	}
	return parts
}

// has tells whether a call is one of an operation, whose path may have {names} in it.
func (n named) has(call string) bool {
	return slices.ContainsFunc(n.operations, func(operation string) bool {
		return slices.EqualFunc(strings.Split(call, "/"), strings.Split(operation, "/"), func(c, o string) bool { return c == o || strings.HasPrefix(o, "{") && c != "" })
	})
}

// operationsOf the OpenAPI document, and the addresses that have none there: of machines and of people.
func operationsOf(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	all := []string{"GET /livez", "GET /readyz", "GET /docs", "GET /desk", "GET /problems/{code}", "GET /metrics"}
	for path, methods := range document.Paths {
		for method := range maps.Keys(methods) {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	return all
}

// What a page names is there: commands and their flags, targets of make, programs, calls. (What is done with them is run, page by page, by other tests.)
func TestPagesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	there := whatThereIs(t)
	n := 0
	for name, page := range pages(t) {
		for _, command := range commandsOf(page) {
			n++
			for _, what := range there.lacking(t, command) {
				t.Errorf("%s: there is no %s\n%s", name, what, command)
			}
		}
		for _, call := range inText.FindAllStringSubmatch(page, -1) {
			n++
			if !there.has(call[1] + " " + strings.TrimSuffix(call[2], "/")) {
				t.Errorf("%s: there is no %s %s", name, call[1], call[2])
			}
		}
	}
	if n < 300 {
		t.Errorf("%d commands and calls were found", n)
	}
	for _, wrong := range []string{
		"lastunit sell --all", "lastunit audit --skus x", "make tea", "go run ./cmd/nothing", "curl -X POST localhost:8080/api/v1/nothing", "curl $LASTUNIT/order/addToCart",
		"(cd x && make tea)", `A=$(lastunit key make --name x)`, "lastunit export goods > f", "docker compose --profile all up", "docker compose logs shop",
	} {
		if len(there.lacking(t, wrong)) == 0 {
			t.Errorf("nothing is found wrong with %s", wrong)
		}
	}
}

// shownPart is what a page shows of what is printed: fields may be left out and ids cut short. An id in it stands for the same one wherever it comes.
type shownPart struct{ ids map[string]string }

var aCutID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}(-[0-9a-f]{4})?…`)

// in puts the ids in that an example stands for.
func (e *shownPart) in(commands string) string {
	return aCutID.ReplaceAllStringFunc(commands, func(cut string) string {
		if id := e.ids[cut]; id != "" {
			return id
		}
		return cut
	})
}

// compare returns where what is shown is not what was got.
func (e *shownPart) compare(at string, shown, got any) (wrong []string) {
	switch shown := shown.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		for name, value := range shown {
			there, is := object[name]
			if !is {
				wrong = append(wrong, at+"."+name+" is not there")
				continue
			}
			wrong = append(wrong, e.compare(at+"."+name, value, there)...)
		}
		return wrong
	case []any:
		list, _ := got.([]any)
		if len(list) != len(shown) {
			return []string{fmt.Sprintf("%s has %d, not %d", at, len(list), len(shown))}
		}
		for i, value := range shown {
			wrong = append(wrong, e.compare(fmt.Sprintf("%s[%d]", at, i), value, list[i])...)
		}
		return wrong
	case string:
		text, is := got.(string)
		if is && aCutID.MatchString(shown) {
			if e.ids[shown] == "" && anID.MatchString(text) && !slices.Contains(slices.Collect(maps.Values(e.ids)), text) {
				e.ids[shown] = text
			}
			if e.ids[shown] == text {
				return nil
			}
		}
		if is && aTime.MatchString(shown) && aTime.MatchString(text) || strings.HasSuffix(at, ".next_cursor") && text != "" {
			return nil
		}
	}
	if shown != got {
		return []string{fmt.Sprintf("%s is %v, not %v", at, got, shown)}
	}
	return nil
}

// answered compares an answer with what a page shows: perhaps a status, and a part of the body.
func (e *shownPart) answered(shown, status, body string) []string {
	if first, rest, is := strings.Cut(shown, "\n"); is && strings.HasPrefix(first, "HTTP/1.1 ") {
		if !strings.HasPrefix(first, "HTTP/1.1 "+status) {
			return []string{"it was answered " + status + ", not " + first}
		}
		shown = rest[max(strings.Index(rest, "{"), 0):] // behind headers
	}
	if strings.TrimSpace(shown) == "" {
		return nil
	}
	var want, got any
	if err := json.Unmarshal([]byte(shown), &want); err != nil {
		return []string{"what is shown is no JSON: " + err.Error()}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		return []string{"what was answered is no JSON: " + err.Error()}
	}
	return e.compare("", want, got)
}

// call runs the commands of a passage, each of which may be a curl, and returns the last status and body.
func call(t *testing.T, environ []string, commands string) (status, body string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-c", `curl() { command curl -sS --max-time 20 -w '\n=== %{http_code}\n' "$@"; }`+"\n"+commands)
	cmd.Dir, cmd.Env = t.TempDir(), environ
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	answers := regexp.MustCompile(`(?s)(.*?)\n=== (\d+)\n`).FindAllStringSubmatch(string(out), -1)
	for _, a := range answers {
		if body, status = a[1], a[2]; status >= "400" && err == nil {
			err = fmt.Errorf("answered %s: %s", status, body)
		}
	}
	if err != nil {
		return status, body, fmt.Errorf("%w: %s%s", err, out, stderr.String())
	}
	return status, body, nil
}

// anyKey is how a key that may do everything is made.
var anyKey = []string{"key", "create", "--name", "test", "--scope", "*"}

// besideAShop starts a service and returns what commands of pages need: its address, a key that is created so, and where programs are.
func besideAShop(t *testing.T, create ...string) (c client, dir string, environ []string) {
	t.Helper()
	dir = dataDir(t)
	p := start(t, "serve", dir)
	key := strings.TrimSpace(output(t, append(create, "--data-dir", dir)...))
	return client{address: p.address, key: key, http: newHTTPClient(t)}, dir, pageEnviron(t, p.address, dir, "KEY="+key, "CURSOR=")
}

// jsonBlocks of a page.
var jsonBlocks = regexp.MustCompile("(?s)```json\n(.*?)```")

// The calls of docs/beside-your-shop.md are made in their order, with the key that it has made and the ids that were answered, and the answers are those that it shows; so are
// answers that it shows without the call. (Holds that lapse while somebody pays take longer; examples/shop tests them, and the dialogue with it.)
func TestAShopIsPutBesideAsItsPageSays(t *testing.T) {
	t.Parallel()
	page := pages(t)["docs/beside-your-shop.md"]
	_, create, _ := strings.Cut(page, "\nlastunit key create ")
	create, _, _ = strings.Cut(create, "\n")
	c, dir, environ := besideAShop(t, append([]string{"key", "create"}, strings.Fields(create)...)...)
	e := &shownPart{ids: map[string]string{}}
	by := func(buyer, sku string, quantity int, key string) {
		t.Helper()
		c := c
		c.buyer = buyer
		r, err := c.call("POST", "/order/addToCart", key, map[string]any{"sku": sku, "quantity": quantity})
		if r.text == "" {
			t.Fatal(err)
		}
		for _, block := range jsonBlocks.FindAllStringSubmatch(page, -1) {
			if r.status >= 400 && strings.Contains(block[1], `"code":"`+r.body.Code+`"`) || r.status == 201 && strings.Contains(block[1], `"sku":"`+sku+`","quantity":2,"price"`) {
				if wrong := e.answered(block[1], fmt.Sprint(r.status), r.text); len(wrong) > 0 {
					t.Errorf("%v\n%s\n%s", wrong, block[1], r.text)
				}
				return
			}
		}
		t.Errorf("the page shows nothing of the kind of %s", r.text)
	}
	calls := 0
	for _, p := range passages(page) {
		switch {
		case strings.HasPrefix(p.commands, "lastunit "): // serve and key create, which besideAShop did; and examples/shop, which has a test of its own
			continue
		case strings.Contains(p.commands, "-X DELETE"): // of a hold that the page does not show how to get
			by("bob", "mug-blue", 2, "")
			by("ada", "mug-blue", 1, "4711")
			grace := c
			grace.buyer = "grace"
			e.ids["01a20d31-b97d…"] = grace.must(t, 201, "POST", "/order/addToCart", map[string]any{"sku": "mug-blue"}).body.ID
			by("bob", "mug-blue", 1, "")
		}
		calls++
		status, body, err := call(t, environ, e.in(p.commands))
		if err != nil {
			t.Fatalf("line %d: %v", p.line, err)
		}
		if p.says {
			for _, wrong := range e.answered(p.shown, status, body) {
				t.Errorf("line %d: %s\n%s", p.line, wrong, body)
			}
		}
	}
	if calls != 8 {
		t.Errorf("%d calls were found", calls)
	}
	operator := c
	operator.key = strings.TrimSpace(output(t, append(anyKey, "--data-dir", dir)...))
	operator.must(t, 201, "PUT", "/api/v1/products/boot", map[string]any{})
	operator.must(t, 201, "POST", "/api/v1/products/boot/receipts", map[string]any{"quantity": 9, "reference": "test"})
	openSale(t, operator, "boot", 4900, 2)
	by("ada", "boot", 2, "")
	by("ada", "boot", 1, "")
}

// openSale opens a sale of a product, with a purchase limit.
func openSale(t *testing.T, c client, sku string, price, limit int) (id string) {
	t.Helper()
	id = c.must(t, 201, "POST", "/api/v1/sales", map[string]any{
		"name": "test", "opens_at": time.Now(), "closes_at": time.Now().Add(2 * time.Hour), "hold_seconds": 600, "purchase_limit": limit,
		"items": []any{map[string]any{"sku": sku, "price": map[string]any{"amount": price, "currency": "EUR"}}},
	}).body.ID
	c.must(t, 200, "POST", "/api/v1/sales/"+id+"/schedule", nil)
	return id
}

// The calls of the README that plan a sale are made, a year from now, and each is answered.
func TestTheReadmePlansASale(t *testing.T) {
	t.Parallel()
	c, _, environ := besideAShop(t, anyKey...)
	c.must(t, 201, "PUT", "/api/v1/products/sneaker-1212", map[string]any{})
	c.must(t, 201, "POST", "/api/v1/products/sneaker-1212/receipts", map[string]any{"quantity": 300, "reference": "test"})
	made := 0
	for _, p := range passages(pages(t)["README.md"]) {
		if !strings.Contains(p.commands, "/api/v1/sales") {
			continue
		}
		commands := strings.NewReplacer("localhost:8080", c.address, "2026-12-12T", time.Now().AddDate(1, 0, 0).Format("2006-01-02T"), "/ID/", "/$ID/", "curl ", "\ncurl ").Replace(p.commands)
		_, planned, _ := strings.Cut(commands, "curl ")
		plan, rest, _ := strings.Cut(planned, "\ncurl ")
		_, body, err := call(t, environ, "curl "+plan)
		if err != nil {
			t.Fatal(err)
		}
		var sale struct{ ID string }
		if err := json.Unmarshal([]byte(body), &sale); err != nil {
			t.Fatal(err)
		}
		for _, one := range strings.Split(rest, "\ncurl ") {
			made++
			if _, _, err := call(t, append(environ, "ID="+sale.ID), "curl "+one); err != nil {
				t.Errorf("curl %s: %v", one, err)
			}
		}
	}
	if made != 6 {
		t.Errorf("%d calls were found", made)
	}
}

// The commands of smaller pages are run as they stand, in a shop with a product and a sale.
func TestCommandsOfPagesAreRun(t *testing.T) {
	t.Parallel()
	c, _, environ := besideAShop(t, anyKey...)
	c.must(t, 201, "PUT", "/api/v1/products/mug-last", map[string]any{})
	sale := openSale(t, c, "mug-last", 1900, 2)
	const files = "```sh\n" + `printf 'sku,name,quantity\nmug-last,The last mug,3\n' > goods.csv
gzip -k goods.csv
printf 'Handle,Title,Variant SKU,Variant Price,Variant Inventory Qty\ncup,Cup,cup-1,9.00,2\n' > products_export.csv` + "\n```\n"
	all := pages(t)
	for name, lines := range map[string]int{"docs/doctor.md": 3, "docs/import.md": 7, "docs/repair.md": 4, "docs/report.md": 4, "docs/webhooks.md": 2, "README.md": 11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := files
			for _, p := range passages(all[name]) {
				for line := range strings.Lines(strings.ReplaceAll(p.commands, "\\\n", " ")) {
					if runsHere.MatchString(line) {
						page += "```sh\n" + strings.NewReplacer("localhost:8080", c.address, "sales/ID", "sales/"+sale, "--sale ID", "--sale "+sale,
							"http://127.0.0.1:8080 --key lu_...", c.address+" --key "+c.key, "shop.example.com", "example.com").Replace(line) + "```\n"
					}
				}
			}
			if n := len(passages(page)) - 1; n != lines {
				t.Errorf("%d commands were found", n)
			}
			for _, wrong := range runPage(t, page, environ...) {
				t.Error(wrong)
			}
		})
	}
}

// runsHere are the commands that end by themselves and soon, apart from those that other tests run: rehearsals of all cases, calls that plan a sale.
var runsHere = regexp.MustCompile(`^lastunit (key|token|doctor|audit|report|import|export) |^lastunit rehearse --url \S+ --key \S+ --buyers|^zcat |^KEY=|curl .*/(imports|webhooks|report|orders/export|events\?cursor)`)

// runBy tells which test runs the commands of a page. Of some only the names are held: what they do takes hours, a container engine or an account at Stripe, or never ends.
var runBy = map[string]string{
	"CONTRIBUTING.md":          "TestPagesNameWhatThereIs",
	"README.md":                "TestCommandsOfPagesAreRun",
	"docs/backup.md":           "TestAShopIsRestoredToAMoment",
	"docs/beside-your-shop.md": "TestAShopIsPutBesideAsItsPageSays",
	"docs/deploy.md":           "TestPagesNameWhatThereIs",
	"docs/doctor.md":           "TestCommandsOfPagesAreRun",
	"docs/first-sale.md":       "TestTheFirstSaleGoesAsItsPageSays",
	"docs/import.md":           "TestCommandsOfPagesAreRun",
	"docs/logs-and-traces.md":  "TestPagesNameWhatThereIs",
	"docs/metrics.md":          "TestPagesNameWhatThereIs",
	"docs/operate.md":          "TestTheRunbookMendsAShopInTrouble",
	"docs/proof.md":            "TestPagesNameWhatThereIs",
	"docs/repair.md":           "TestCommandsOfPagesAreRun",
	"docs/report.md":           "TestCommandsOfPagesAreRun",
	"docs/stripe.md":           "TestPagesNameWhatThereIs",
	"docs/webhooks.md":         "TestCommandsOfPagesAreRun",
}

func TestEachPageIsRun(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for name, page := range pages(t) {
		if test := runBy[name]; len(passages(page)) > 0 && test == "" {
			t.Errorf("no test runs the commands of %s", name)
		} else if test != "" && !strings.Contains(tests.String(), "func "+test+"(t *testing.T) {") {
			t.Errorf("%s: there is no %s", name, test)
		}
	}
}
