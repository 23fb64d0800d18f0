package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// answered is what a client has been told about a claim.
type answered struct {
	buyer, key, id string
	units          []string
}

// crowd claims one unit after the other for ever new buyers until it is told to stop, retrying what was not answered like a careful
// client, with the same key.
type crowd struct {
	t       *testing.T
	c       client
	stop    atomic.Bool
	mu      sync.Mutex
	told    []answered
	unknown atomic.Int64 // requests that got no answer, or were told that the outcome is unknown
	away    atomic.Int64 // requests that nobody took: no connection was made
	wg      sync.WaitGroup
}

func (w *crowd) run(clients int) {
	for i := range clients {
		w.wg.Go(func() {
			for n := 0; !w.stop.Load(); n++ {
				w.claim(fmt.Sprintf("buyer-%d-%d", i, n))
			}
		})
	}
}

func (w *crowd) claim(buyer string) {
	c := w.c
	c.buyer = buyer
	for {
		r, err := c.call("POST", "/order/addToCart", "key-"+buyer, map[string]any{"sku": "A"})
		var network *net.OpError
		switch {
		case errors.As(err, &network) && network.Op == "dial": // refused, or reset as the door was closing: nothing was sent
			w.away.Add(1)
		case err != nil || r.body.Code == "outcome-unknown":
			w.unknown.Add(1)
			w.t.Logf("no answer: %v %s", err, r.body.Code)
		case r.status == http.StatusCreated:
			w.mu.Lock()
			w.told = append(w.told, answered{buyer: buyer, key: "key-" + buyer, id: r.body.ID, units: r.body.UnitIDs})
			w.mu.Unlock()
			return
		case r.body.Code != "busy":
			w.t.Errorf("%s: %d %s", buyer, r.status, r.text)
			return
		}
		if w.stop.Load() {
			return // a client that gave up; what it asked for may or may not have been done
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // a careful client does not hammer on a server that is down
	}
}

func (w *crowd) answers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told)
}

func (w *crowd) waitFor(answers int) {
	w.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for w.answers() < answers {
		if time.Now().After(deadline) {
			w.t.Fatalf("only %d answers", w.answers())
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // polling for the progress of other goroutines
	}
}

// settle stops the crowd and checks that everything that it was told is in the database, exactly once.
func (w *crowd) settle(c client) {
	w.t.Helper()
	w.stop.Store(true)
	w.wg.Wait()
	units := map[string]bool{}
	for _, a := range w.told {
		as := c
		as.buyer = a.buyer
		r, err := as.call("GET", "/api/v1/transaction/"+a.id, "", nil)
		if err != nil || r.status != http.StatusOK || r.body.Status != "held" || fmt.Sprint(r.body.UnitIDs) != fmt.Sprint(a.units) {
			w.t.Errorf("%s was told of %s with %v; the database says %s, %v", a.buyer, a.id, a.units, r.text, err)
		}
		for _, u := range a.units {
			if units[u] {
				w.t.Errorf("unit %s was given out twice", u)
			}
			units[u] = true
		}
	}
	if r := c.must(w.t, http.StatusCreated, "POST", "/api/v1/audit", map[string]any{"sku": "A"}); !r.body.OK {
		w.t.Errorf("audit: %s", r.text)
	}
	w.t.Logf("%d answers checked, %d requests had no answer at first", len(w.told), w.unknown.Load())
}

// operated starts a service with a stocked product and returns it with an operator's client.
func operated(t *testing.T, dir string, units int, args ...string) (*process, client) {
	t.Helper()
	p := start(t, "serve", dir, args...)
	key := strings.TrimSpace(output(t, "key", "create", "--data-dir", dir, "--name", "test", "--scope", "*"))
	c := client{address: p.address, key: key, http: newHTTPClient(t)}
	c.must(t, http.StatusCreated, "PUT", "/api/v1/products/A", map[string]any{})
	c.must(t, http.StatusCreated, "POST", "/api/v1/products/A/receipts", map[string]any{"quantity": units, "reference": "test"})
	return p, c
}

func TestNothingThatWasAnsweredIsLostWhenLastunitIsKilled(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p, c := operated(t, dir, 200000)
	port := p.address[strings.LastIndex(p.address, ":"):]
	c.once = true
	w := &crowd{t: t, c: c}
	w.run(32)
	for round := 1; round <= 3; round++ {
		w.waitFor(w.answers() + 500)
		p.kill()
		p = start(t, "serve", dir, "--listen", "127.0.0.1"+port)
	}
	w.waitFor(w.answers() + 500)
	w.settle(c)
	if w.unknown.Load() == 0 {
		t.Error("no request was cut off: the kills hit nothing")
	}
}

func TestNothingThatWasAnsweredIsLostWhenPostgresIsKilled(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	_, c := operated(t, dir, 200000)
	w := &crowd{t: t, c: c}
	w.run(32)
	for round := 1; round <= 3; round++ {
		w.waitFor(w.answers() + 500)
		killPostgres(t, dir)
	}
	w.waitFor(w.answers() + 500)
	w.settle(c)
}

// killPostgres kills the postmaster with all its children: they are in no state to clean up.
func killPostgres(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestTwoServersOnOneDatabaseSellEachUnitOnce(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first, c := operated(t, dir, 10)
	second := start(t, "serve", dir, "--database-url", first.database)
	out := output(t, "rehearse", "--url", first.address, "--url", second.address, "--key", c.key, "--buyers", "500")
	if !strings.Contains(out, "exactly 250 held") {
		t.Errorf("rehearsal says:\n%s", out)
	}
	out = output(t, "rehearse", "--url", first.address, "--url", second.address, "--key", c.key, "--buyers", "500", "--quantity", "1-4")
	t.Log(out)
}

// TestAGuestsTokenOutlivesARestart: it is signed with the secret that lastunit keeps, also when no more guests are taken.
func TestAGuestsTokenOutlivesARestart(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p, c := operated(t, dir, 10, "--guests")
	session := c.must(t, http.StatusCreated, "POST", "/api/v1/session", map[string]any{})
	guest := client{address: c.address, key: session.body.Token, http: c.http}
	tx := guest.must(t, http.StatusCreated, "POST", "/order/addToCart", map[string]any{"sku": "A"})
	p.stop()
	c.address = start(t, "serve", dir).address
	guest.address = c.address
	if again := guest.must(t, http.StatusOK, "GET", "/api/v1/transaction/"+tx.body.ID, nil); again.body.Status != "held" {
		t.Errorf("after a restart the guest is told %s", again.text)
	}
	// Of a problem the status is a number, which reply does not take.
	if none, _ := c.call("POST", "/api/v1/session", "", map[string]any{}); none.status != http.StatusNotFound || !strings.Contains(none.text, "no guests") {
		t.Errorf("a shop that takes no guests says %d %s", none.status, none.text)
	}
}

func TestTheDemoPrintsLinesThatWorkWhenPasted(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := start(t, "demo", dir)
	lines := regexp.MustCompile(`(?m)^curl .*$`).FindAllString(p.printed, -1)
	wants := []string{`"status":"held"`, `"code":"all-held"`, `"status":"queued"`, `"sku":"mug-last"`, `"status":"awaiting_payment"`, `"status":"paid"`}
	if len(lines) != len(wants) {
		t.Fatalf("%d curl lines in\n%s", len(lines), p.printed)
	}
	if !regexp.MustCompile(`(?m)^  the storefront +http\S+:\d+$`).MatchString(p.printed) || !regexp.MustCompile(`/desk#key=lu_[\w-]+\n`).MatchString(p.printed) {
		t.Errorf("it does not say where the pages are:\n%s", p.printed)
	}
	for _, item := range catalogue {
		if picture := pasted(t, "curl -s "+p.address+"/goods/"+item.sku+".svg"); !strings.Contains(picture, "<svg") {
			t.Errorf("%s has no picture: %.100s", item.sku, picture)
		}
	}
	last := ""
	for i, want := range wants {
		if orderID := regexp.MustCompile(`"id":"([^"]+)`).FindStringSubmatch(last); i == len(wants)-1 && orderID != nil {
			lines[i] = strings.Replace(lines[i], "ORDER_ID", orderID[1], 1)
		}
		if last = pasted(t, lines[i]); !strings.Contains(last, want) {
			t.Errorf("line %d answers %s, want %s in it", i+1, last, want)
		}
	}
	if sales := pasted(t, "curl -s "+p.address+"/api/v1/sales"); !strings.Contains(sales, `"status":"open"`) {
		t.Errorf("no sale is open: %s", sales)
	}
	if !strings.Contains(p.printed, "curl -X POST "+p.address+"/api/v1/session\n") {
		t.Errorf("how to come in as a guest is not in\n%s", p.printed)
	}
	visitor := client{address: p.address, http: newHTTPClient(t)}
	if session := visitor.must(t, http.StatusCreated, "POST", "/api/v1/session", map[string]any{}); session.body.Token == "" {
		t.Errorf("a guest of the demo is told %s", session.text)
	}
	p.stop()
	again := start(t, "demo", dir) // what was sold stays sold, and nothing is stocked twice
	lines = regexp.MustCompile(`(?m)^curl .*$`).FindAllString(again.printed, -1)
	if answer := pasted(t, lines[0]); !strings.Contains(answer, `"status":"ordered"`) {
		t.Errorf("after a restart: %s", answer)
	}
	if out := output(t, "audit", "--data-dir", dir); !strings.Contains(out, "nothing is broken") {
		t.Errorf("audit: %s", out)
	}
}

// pasted does what a shell and curl would do with a line, without needing either.
func pasted(t *testing.T, line string) string {
	t.Helper()
	word := regexp.MustCompile(`'([^']*)'|(\S+)`)
	var words []string
	for _, m := range word.FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	method, body, url := "GET", "", ""
	header := http.Header{}
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "-s":
		case "-X":
			i++
			method = words[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(words[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			method, body = "POST", words[i]
		default:
			url = words[i]
		}
	}
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := newHTTPClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheNaiveShopOversellsAndOursDoesNot(t *testing.T) {
	t.Parallel()
	out := output(t, "rehearse", "--buyers", "300", "--naive")
	if !strings.Contains(out, "exactly 150 held") || !regexp.MustCompile(`sold 1[5-9]\d`).MatchString(out) {
		t.Errorf("rehearsal says:\n%s", out)
	}
	t.Log(out)
}

func TestCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sell"}, "there is no command"},
		{[]string{"serve", "--hold", "0s", "--max-quantity", "many"}, "2 problems"},
		{[]string{"audit", "--data-dir", dir}, "no lastunit is running"},
		{[]string{"key", "create", "--database-url", "nonsense"}, "database-url"},
		{[]string{"rehearse", "--url", "http://127.0.0.1:1"}, "--url needs --key"},
		{[]string{"rehearse", "--quantity", "4-1"}, "--quantity"},
		{[]string{"token", "buyer"}, "token"},
		{[]string{"health", "--url", "http://127.0.0.1:1"}, "refused"},
	} {
		_, err := attempt(t, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("lastunit %s: %v, want %q in it", strings.Join(c.args, " "), err, c.want)
		}
	}
}

func TestKeysTokensAndTheAuditOnTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p, c := operated(t, dir, 2)
	tokens := strings.Fields(output(t, "token", "buyer", "ada", "grace", "--data-dir", dir))
	if len(tokens) != 2 {
		t.Fatalf("tokens: %q", tokens)
	}
	for _, token := range tokens {
		buyer := client{address: p.address, key: token, http: c.http}
		buyer.must(t, http.StatusCreated, "POST", "/order/addToCart", map[string]any{"sku": "A"})
	}
	if out := output(t, "health", "--url", p.address); out != "ready\n" {
		t.Errorf("health says %q", out)
	}
	list := output(t, "key", "list", "--data-dir", dir)
	id := regexp.MustCompile(`[0-9a-f]{8}-\S+`).FindString(list)
	output(t, "key", "revoke", id, "--data-dir", dir)
	if _, err := attempt(t, "key", "revoke", id, "--data-dir", dir); err == nil {
		t.Error("a key was revoked twice")
	}
	if _, err := attempt(t, "key", "create", "--name", "x", "--scope", "everything", "--data-dir", dir); err == nil || !strings.Contains(err.Error(), "everything") {
		t.Errorf("an unknown scope: %v", err)
	}
	if out := output(t, "migrate", "status", "--data-dir", dir); strings.Contains(out, "not applied") {
		t.Errorf("migrate status:\n%s", out)
	}
	output(t, "audit", "--data-dir", dir, "--json")
	breakAUnit(t, p.database)
	out, err := attempt(t, "audit", "--data-dir", dir)
	if err == nil || !strings.Contains(out, "BROKEN") {
		t.Errorf("audit of a broken shop: %v\n%s", err, out)
	}
}

func breakAUnit(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), `DELETE FROM claim_unit WHERE claim_id = (SELECT min(claim_id::text)::uuid FROM claim)`); err != nil {
		t.Fatal(err)
	}
}
