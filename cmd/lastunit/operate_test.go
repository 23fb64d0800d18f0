package main

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

func runbook(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// trouble is a shop that needs its runbook: a colleague has a transaction open that locks what a queue waits for, a receiver of webhooks is down, a unit is in no place.
type trouble struct {
	c         client
	dir       string
	database  string
	db        *pgx.Conn
	webhook   string
	colleague *pgx.Conn
}

func inTrouble(t *testing.T) *trouble {
	t.Helper()
	nobody, err := driven.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := dataDir(t)
	p, c := operated(t, dir, 20, "--webhooks-anywhere")
	w := &trouble{c: c, dir: dir, database: p.database, db: connectAs(t, p.database, "test"), colleague: connectAs(t, p.database, "colleague")}
	for _, sku := range []string{"mug", "pin"} {
		c.must(t, http.StatusCreated, "PUT", "/api/v1/products/"+sku, map[string]any{"price": map[string]any{"amount": 100, "currency": "EUR"}})
		c.must(t, http.StatusCreated, "POST", "/api/v1/products/"+sku+"/receipts", map[string]any{"quantity": 20, "reference": "test"})
	}
	w.webhook = c.must(t, http.StatusCreated, "POST", "/api/v1/webhooks", map[string]any{"url": "http://" + nobody + "/hook"}).body.ID
	w.do(t, w.db, `DELETE FROM stock_token WHERE unit_id = (SELECT unit_id FROM unit JOIN product USING (product_id) WHERE sku = 'pin' ORDER BY unit_id LIMIT 1)`)
	w.do(t, w.colleague, `BEGIN`)
	w.do(t, w.colleague, `SELECT FROM stock_token WHERE product_id = (SELECT product_id FROM product WHERE sku = 'mug') FOR UPDATE`)
	for _, buyer := range []string{"ann", "bob"} {
		c.buyer = buyer
		c.must(t, http.StatusAccepted, "POST", "/api/v1/order/addToCart", map[string]any{"sku": "mug", "quantity": 2})
	}
	c.must(t, http.StatusCreated, "POST", "/order/addToCart", map[string]any{"sku": "pin"})
	c.must(t, http.StatusCreated, "POST", "/api/v1/order/checkout", map[string]any{})
	w.await(t, `SELECT EXISTS (SELECT FROM webhook_attempt) AND (SELECT xact_start < clock_timestamp() - interval '2 seconds' FROM pg_stat_activity WHERE application_name = 'colleague')`)
	return w
}

func connectAs(t *testing.T, url, name string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = name
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func (w *trouble) do(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// await waits until a question is answered with true.
func (w *trouble) await(t *testing.T, question string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; driven.Pause(t.Context(), 50*time.Millisecond) {
		var yes bool
		if err := w.db.QueryRow(t.Context(), question).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		if yes {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it did not become true: %s", question)
		}
	}
}

// asCommands has psql run the sql blocks of a page.
func asCommands(page string) string {
	return regexp.MustCompile("(?s)```sql\n(.*?)```").ReplaceAllString(page, "```sh\npsql -X -A -v ON_ERROR_STOP=1 \"$$DATABASE_URL\" <<'SQL'\n${1}SQL\n```")
}

func TestTheRunbookMendsAShopInTrouble(t *testing.T) {
	t.Parallel()
	page := asCommands(runbook(t))
	if n := len(passages(page)); n < 40 {
		t.Fatalf("%d blocks of commands were found", n)
	}
	w := inTrouble(t)
	var pid string
	if err := w.db.QueryRow(t.Context(), `SELECT pid::text FROM pg_stat_activity WHERE application_name = 'colleague'`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	page = strings.NewReplacer("4711", pid, "019b1234-5678-7abc-8def-0123456789ab", w.webhook).Replace(page)
	for _, wrong := range runPage(t, page, pageEnviron(t, w.c.address, w.dir, "KEY="+w.c.key, "DATABASE_URL="+w.database)...) {
		t.Error(wrong)
	}
	w.await(t, `SELECT count(*) = 2 FROM claim JOIN product USING (product_id) WHERE sku = 'mug' AND status = 'held'`)
	w.await(t, `SELECT ok FROM audit_run ORDER BY finished_at DESC LIMIT 1`)
}

// TestTheRunbookNamesWhatThereIs holds the page to the program: what /readyz says, the loops; and its links to itself. (That each alert has a section is held beside the alerts.)
func TestTheRunbookNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	page := runbook(t)
	if n := len(commandsOf(page)); n < 20 {
		t.Errorf("%d commands were found", n)
	}
	for _, s := range []struct{ what, file, pattern string }{
		{"what /readyz says", "../../internal/shop/ready.go", `notReady\("([^"]+)"`},
		{"a loop", "service.go", `Loop\{Name: "([^"]+)"`},
	} {
		source, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		all := regexp.MustCompile(s.pattern).FindAllStringSubmatch(string(source), -1)
		if len(all) < 6 {
			t.Errorf("%s: %d were found", s.what, len(all))
		}
		for _, one := range all {
			if !strings.Contains(page, one[1]) {
				t.Errorf("%s is not there: %s", s.what, one[1])
			}
		}
	}
	var anchors []string
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(page, -1) {
		kept := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors = append(anchors, strings.ReplaceAll(kept, " ", "-"))
	}
	for _, link := range regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(anchors, link[1]) {
			t.Errorf("the page has no section %s", link[1])
		}
	}
}
