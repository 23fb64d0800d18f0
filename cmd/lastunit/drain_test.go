package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// counted checks that the database has the claims that the crowd was told of, and no other.
func (w *crowd) counted(database string) {
	w.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var claims, units int
	if err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM claim), (SELECT count(*) FROM claim_unit)`).Scan(&claims, &units); err != nil {
		w.t.Fatal(err)
	}
	if n := w.answers(); claims != n || units != n {
		w.t.Errorf("%d claims were answered, the database has %d with %d units", n, claims, units)
	}
}

// TestAServerThatIsEndedAnswersEverythingThatItTook: SIGTERM under load, again and again. Nobody is cut off, also not a client that sends nothing twice;
// whoever comes later finds the door closed, and the rows are those that were answered, one by one.
func TestAServerThatIsEndedAnswersEverythingThatItTook(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	stays, c := operated(t, dir, 200000)
	ended := start(t, "serve", dir, "--database-url", stays.database)
	port := ended.address[strings.LastIndex(ended.address, ":"):]
	at := c
	at.address, at.once = ended.address, true
	w := &crowd{t: t, c: at}
	w.run(32)
	for range 4 {
		w.waitFor(w.answers() + 500)
		began := time.Now()
		ended.stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s to stop", took)
		}
		if said := ended.logged.String(); said != "" {
			t.Errorf("it logged:\n%s", said)
		}
		ended = start(t, "serve", dir, "--database-url", stays.database, "--listen", "127.0.0.1"+port)
	}
	w.waitFor(w.answers() + 500)
	w.settle(c)
	w.counted(stays.database)
	if n := w.unknown.Load(); n != 0 {
		t.Errorf("%d requests were let in and not answered", n)
	}
	if w.away.Load() == 0 {
		t.Error("nobody came while it was away: the ends hit nothing")
	}
}

// TestAServerThatDrainsSaysSoAndServesOn: until its time is over or it is told once more.
func TestAServerThatDrainsSaysSoAndServesOn(t *testing.T) {
	t.Parallel()
	p, c := operated(t, dataDir(t), 10, "--drain", "5m")
	get := func(path string) (status int, closes bool) {
		resp, err := c.http.Get(p.address + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode, resp.Close
	}
	if status, closes := get("/readyz"); status != http.StatusOK || closes {
		t.Errorf("before it is stopped: %d, the connection is closed: %v", status, closes)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "/readyz to be red", func() bool { status, _ := get("/readyz"); return status == http.StatusServiceUnavailable })
	if _, err := attempt(t, "health", "--url", p.address); err == nil || !strings.Contains(err.Error(), "about to stop") {
		t.Errorf("health says %v", err)
	}
	for _, path := range []string{"/readyz", "/livez", "/"} {
		if status, closes := get(path); !closes || (status == http.StatusOK) == (path == "/readyz") {
			t.Errorf("%s while it drains: %d, the connection is closed: %v", path, status, closes)
		}
	}
	c.buyer = "ann"
	c.must(t, http.StatusCreated, "POST", "/order/addToCart", map[string]any{"sku": "A"})
	p.stop() // which waits for 30 s
}

// TestAServerThatStopsAnswersWhomTheKernelHasTaken: connections that were made, with a request sent, before the server came to take them; a server that closes its
// door at once resets them.
func TestAServerThatStopsAnswersWhomTheKernelHasTaken(t *testing.T) {
	t.Parallel()
	p, _ := operated(t, dataDir(t), 10)
	signalled := func(s syscall.Signal) {
		if err := p.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signalled(syscall.SIGSTOP)
	var taken []net.Conn
	for range 200 {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(p.address, "http://"), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: lastunit\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		taken = append(taken, conn)
	}
	signalled(syscall.SIGTERM)
	signalled(syscall.SIGCONT)
	lost := 0
	for _, conn := range taken {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			lost++
			continue
		}
		_ = resp.Body.Close()
	}
	if lost > 0 {
		t.Errorf("%d of %d were not answered", lost, len(taken))
	}
}

// TestServersBehindTheProxyAreReplacedAndNothingIsLost has two servers behind HAProxy, configured as docker-compose.yml and deploy/proxy do, and replaces one after the other while
// people buy. Each is replaced when the proxy has seen that the other is back. No request is cut off, and none is told that there is no server.
func TestServersBehindTheProxyAreReplacedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("haproxy"); err != nil {
		// A newcomer need not install it: CI does, so that this runs there.
		t.Skip("haproxy is not installed: apt-get install haproxy")
	}
	dir := dataDir(t)
	database, c := operated(t, dir, 200000)
	serve := func(address string) *process {
		return start(t, "serve", dir, "--database-url", database.database, "--listen", address, "--drain", composed(t).Services["second"].Environment["LASTUNIT_DRAIN"])
	}
	names, servers := []string{"first", "second"}, []*process{serve("127.0.0.1:0"), serve("127.0.0.1:0")}
	proxied := proxy(t, servers[0].address, servers[1].address)
	c.address = proxied.address
	// A connection for each request: on one that is kept HAProxy says nothing when a server was lost, and Go's client sends what has a key again by itself.
	c.http = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	w := &crowd{t: t, c: c}
	w.run(8)
	for range 2 {
		for i, name := range names {
			w.waitFor(w.answers() + 300)
			servers[i].stop()
			if said := servers[i].logged.String(); said != "" {
				t.Errorf("it logged:\n%s", said)
			}
			await(t, name+" to be left out", func() bool { return proxied.saw(name, "DOWN") > proxied.saw(name, "UP") })
			w.waitFor(w.answers() + 300)
			servers[i] = serve(strings.TrimPrefix(servers[i].address, "http://"))
			await(t, name+" to be used again", func() bool { return proxied.saw(name, "DOWN") == proxied.saw(name, "UP") })
		}
	}
	w.waitFor(w.answers() + 300)
	w.settle(c)
	w.counted(database.database)
	if n := w.away.Load(); n != 0 {
		t.Errorf("the proxy was away for %d requests", n)
	}
	if n := w.unknown.Load(); n != 0 {
		t.Errorf("%d requests were cut off, or were told that there is no server", n)
	}
}

// haproxy is a running one.
type haproxy struct {
	address string
	said    *book
}

// saw is how often it has seen a server become UP or DOWN.
func (p haproxy) saw(name, state string) int {
	return strings.Count(p.said.String(), "Server servers/"+name+" is "+state)
}

// await polls another program, for 30 s at most.
func await(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for began := time.Now(); !seen(); time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // it gives no other signal
		if time.Since(began) > 30*time.Second {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// proxy starts HAProxy, as deploy/proxy has it, before two servers.
func proxy(t *testing.T, first, second string) haproxy {
	t.Helper()
	at := "127.0.0.1:" + freePort(t)
	p := haproxy{address: "http://" + at, said: &book{}}
	text, err := os.ReadFile("../../deploy/proxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	for from, to := range map[string]string{"lastunit:8080": strings.TrimPrefix(first, "http://"), "second:8080": strings.TrimPrefix(second, "http://"), "bind :8088": "bind " + at} {
		if strings.Count(config, from) != 1 {
			t.Fatalf("%s is not in the proxy's configuration once", from)
		}
		config = strings.Replace(config, from, to, 1)
	}
	path := filepath.Join(dataDir(t), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", path)
	cmd.Stdout, cmd.Stderr = p.said, p.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy said:\n%s", p.said)
		}
	})
	await(t, "haproxy to answer", func() bool {
		resp, err := newHTTPClient(t).Get(p.address + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}
