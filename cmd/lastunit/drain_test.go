package main

import (
	"bytes"
	"context"
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

// TestAServerThatIsEndedAnswersEverythingThatItTook: SIGTERM under load, again and again. Whoever was let in is answered, nobody is cut off, whoever comes later
// finds the door closed, and the rows are those that were answered, one by one.
func TestAServerThatIsEndedAnswersEverythingThatItTook(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	stays, c := operated(t, dir, 200000)
	ended := start(t, "serve", dir, "--database-url", stays.database)
	port := ended.address[strings.LastIndex(ended.address, ":"):]
	at := c
	at.address = ended.address
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

// TestServersBehindTheProxyAreReplacedAndNothingIsLost starts what docker-compose.yml does, the demo and a second server behind nginx as deploy/proxy has it, and ends the second one
// again and again while people buy. A connection that the kernel has taken and the server has not yet is reset when it stops (docs/deploy.md): whoever that
// happens to asks again with the same key, and the rows are still those that were answered.
func TestServersBehindTheProxyAreReplacedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not installed")
	}
	dir := dataDir(t)
	first, c := operated(t, dir, 200000)
	second := start(t, "serve", dir, "--database-url", first.database)
	port := second.address[strings.LastIndex(second.address, ":"):]
	c.address = proxy(t, first.address, second.address)
	c.must(t, http.StatusOK, "GET", "/readyz", nil)
	w := &crowd{t: t, c: c}
	w.run(16)
	for range 3 {
		w.waitFor(w.answers() + 300)
		second.stop()
		w.waitFor(w.answers() + 300)
		second = start(t, "serve", dir, "--database-url", first.database, "--listen", "127.0.0.1"+port)
	}
	w.waitFor(w.answers() + 300)
	w.settle(c)
	w.counted(first.database)
	if n := w.away.Load(); n != 0 {
		t.Errorf("the proxy was away for %d requests", n)
	}
}

// proxy starts nginx, as deploy/proxy has it, before two servers and returns its address.
func proxy(t *testing.T, first, second string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	site, err := os.ReadFile("../../deploy/proxy/lastunit.conf")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"lastunit:8080": strings.TrimPrefix(first, "http://"), "second:8080": strings.TrimPrefix(second, "http://"), "listen 8088": "listen " + address} {
		if !strings.Contains(string(site), from) {
			t.Fatalf("%s is not in the proxy's configuration", from)
		}
		site = []byte(strings.Replace(string(site), from, to, 1))
	}
	dir := dataDir(t)
	all := "daemon off;\npid nginx.pid;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n" + string(site) + "}\n"
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", "nginx.conf")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx said:\n%s", said.String())
		}
	})
	for began := time.Now(); ; {
		resp, err := newHTTPClient(t).Get("http://" + address + "/livez")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("nginx does not answer: %v", err)
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // polling for another program
	}
}
