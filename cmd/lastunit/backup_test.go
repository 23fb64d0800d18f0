package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/pgserver"
)

// TestAShopIsRestoredToAMoment does what docs/backup.md says: a copy and the WAL are kept, people buy, then somebody empties a table; what is restored is as it was before,
// adds up, and goes on selling.
func TestAShopIsRestoredToAMoment(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	tools, err := pgserver.FindTools(ctx)
	if err != nil {
		t.Fatal(err)
	}
	dir := dataDir(t)
	kept := filepath.Join(dir, "kept") // PostgreSQL writes its WAL there, and runs the script
	script := filepath.Join(dir, "backup.sh")
	text, err := os.ReadFile("../../deploy/backup/backup.sh")
	if err == nil {
		err = os.WriteFile(script, text, 0o755) //nolint:gosec // others run it
	}
	if err == nil {
		err = os.Mkdir(kept, 0o700)
	}
	if err == nil {
		err = tools.Own(kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	postgres, err := pgserver.Start(ctx, pgserver.Options{Dir: filepath.Join(dir, "old"), Settings: map[string]string{
		"archive_mode": "on", "archive_command": fmt.Sprintf(`sh %s wal %s %%p %%f`, script, kept),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer postgres.Stop()
	db, err := pgx.Connect(ctx, postgres.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(ctx) }()

	p := start(t, "serve", dir, "--database-url", postgres.URL(), "--migrate")
	key := strings.TrimSpace(output(t, "key", "create", "--database-url", postgres.URL(), "--name", "test", "--scope", "*"))
	c := client{address: p.address, key: key, http: newHTTPClient(t)}
	c.must(t, http.StatusCreated, "PUT", "/api/v1/products/A", map[string]any{})
	c.must(t, http.StatusCreated, "POST", "/api/v1/products/A/receipts", map[string]any{"quantity": 10, "reference": "test"})
	backup(t, script, "base", kept, "--dbname", postgres.URL())
	waitForNextSecond(t, db) // a copy is called by the second in which it was finished
	claim := func(buyer string) reply {
		as := c
		as.buyer = buyer
		r, err := as.call("POST", "/order/addToCart", "key-"+buyer, map[string]any{"sku": "A"})
		if err != nil || r.status != http.StatusCreated {
			t.Fatalf("%s: %d %s, %v", buyer, r.status, r.text, err)
		}
		return r
	}
	before := []reply{claim("ada"), claim("grace"), claim("joan")}
	var moment string
	if err := db.QueryRow(ctx, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`).Scan(&moment); err != nil {
		t.Fatal(err)
	}
	lost := claim("mary")
	for range 20 { // more events than PostgreSQL writes ahead of a sequence
		c.must(t, http.StatusOK, "POST", "/api/v1/selling/pause", nil)
		c.must(t, http.StatusOK, "POST", "/api/v1/selling/resume", nil)
	}
	confirm := func(r reply, reference string) {
		c.must(t, http.StatusCreated, "POST", "/api/v1/orders/confirm", map[string]any{"transaction_ids": []string{r.body.ID}, "reference": reference})
	}
	confirm(lost, "paid-and-forgotten")
	cursor := eventsUntil(t, c, "", "paid-and-forgotten")
	// The disaster.
	if _, err := db.Exec(ctx, `TRUNCATE claim_unit`); err != nil {
		t.Fatal(err)
	}
	p.stop()
	var piece string
	if err := db.QueryRow(ctx, `SELECT pg_walfile_name(pg_switch_wal())`).Scan(&piece); err != nil {
		t.Fatal(err)
	}
	for archived := false; !archived; {
		if err := db.QueryRow(ctx, `SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver`, piece).Scan(&archived); err != nil {
			t.Fatal(err)
		}
	}

	restored := filepath.Join(dir, "restored")
	if err := os.Mkdir(restored, 0o755); err != nil {
		t.Fatal(err)
	}
	backup(t, script, "restore", kept, filepath.Join(restored, "postgres"), moment)
	again := start(t, "serve", restored)
	c.address = again.address
	if out := output(t, "audit", "--data-dir", restored); !strings.Contains(out, "nothing is broken") {
		t.Errorf("what was restored is broken:\n%s", out)
	}
	for _, r := range before {
		if again := c.must(t, http.StatusOK, "GET", "/api/v1/units/"+r.body.UnitIDs[0], nil); !strings.Contains(again.text, r.body.ID) {
			t.Errorf("%s had a unit, which is now %s", r.body.ID, again.text)
		}
	}
	if r := c.must(t, http.StatusOK, "GET", "/api/v1/units/"+lost.body.UnitIDs[0], nil); !strings.Contains(r.text, `"place":"available"`) || strings.Contains(r.text, lost.body.ID) {
		t.Errorf("a unit that was claimed after the moment is %s", r.text)
	}
	execute(t, again.database, statementOf(t, "../../docs/backup.md"))
	confirm(before[1], "first-after-all")
	eventsUntil(t, c, cursor, "first-after-all")
	if again := claim("ada"); again.body.ID != before[0].body.ID {
		t.Errorf("a key from before the moment is answered %s", again.text)
	}
	if again := claim("mary"); again.body.ID == lost.body.ID {
		t.Errorf("a key from after the moment is answered %s", again.text)
	}
	if out := output(t, "audit", "--data-dir", restored); !strings.Contains(out, "nothing is broken") {
		t.Errorf("after it has gone on:\n%s", out)
	}
	// The old one is really broken: else nothing was restored.
	if out, err := attempt(t, "audit", "--database-url", postgres.URL()); err == nil {
		t.Errorf("the audit finds nothing wrong with the shop that was destroyed:\n%s", out)
	}
}

// eventsUntil reads events from a cursor on until one has a text in it, and returns the cursor behind it.
func eventsUntil(t *testing.T, c client, cursor, text string) string {
	t.Helper()
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		r := c.must(t, http.StatusOK, "GET", "/api/v1/events?cursor="+url.QueryEscape(cursor), nil)
		cursor = cmp.Or(r.body.Cursor, cursor)
		if strings.Contains(r.text, text) {
			return cursor
		}
	}
	t.Fatalf("whoever reads events never hears of %q", text)
	return ""
}

// statementOf is the SQL on a page.
func statementOf(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, statement, _ := strings.Cut(string(text), "```sql\n")
	statement, _, found := strings.Cut(statement, "```")
	if !found {
		t.Fatalf("%s has no statement", page)
	}
	return statement
}

// execute runs a statement on a server's own PostgreSQL.
func execute(t *testing.T, database, statement string) {
	t.Helper()
	db, err := pgx.Connect(context.Background(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()
	if _, err := db.Exec(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
}

// backup runs the script with the programs of the newest PostgreSQL that is installed.
func backup(t *testing.T, script string, args ...string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{script}, args...)...)
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(found)
	cmd.Env = []string{"PATH=" + strings.Join(append(found, os.Getenv("PATH")), ":"), "TMPDIR=" + os.TempDir()} //nolint:forbidigo // nothing else of ours may reach it
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("backup.sh %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	t.Log(strings.TrimSpace(said.String()))
}

func waitForNextSecond(t *testing.T, db *pgx.Conn) {
	t.Helper()
	_, err := db.Exec(context.Background(), `SELECT pg_sleep(extract(epoch FROM date_trunc('second', clock_timestamp()) + interval '1 second' - clock_timestamp()) + 0.01)`)
	if err != nil {
		t.Fatal(err)
	}
}
