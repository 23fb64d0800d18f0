package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// dial opens a connection on which a test can send what no client would.
func (w *world) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// head is a request without its body.
func head(path, authorization string, headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: shop\r\nAuthorization: %s\r\nContent-Type: application/json\r\n%s\r\n\r\n",
		path, authorization, strings.Join(headers, "\r\n"))
}

// read reads one answer to a POST from a connection.
func read(t testing.TB, conn io.Reader, path string) answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("POST %s: %v", path, err)
		return answer{}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("POST %s: %v", path, err)
	}
	a := answer{method: "POST", path: path, status: resp.StatusCode, header: resp.Header, body: body}
	a.check(t)
	req, _ := http.NewRequest("POST", "http://shop"+path, nil)
	documented(t, req, a)
	return a
}

// trickle sends a request whose body comes a byte at a time and never ends, and returns the answer and how long it took.
func (w *world) trickle(t testing.TB, path, authorization string) (answer, time.Duration) {
	t.Helper()
	conn := w.dial(t)
	began := time.Now()
	_, _ = io.WriteString(conn, head(path, authorization, "Content-Length: 4000")+`{"sku": "cup", "quantity": 1`)
	answered := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-answered:
				return
			case <-tick.C:
				_, _ = io.WriteString(conn, " ")
			}
		}
	})
	a := read(t, conn, path)
	took := time.Since(began)
	close(answered)
	writer.Wait()
	return a, took
}

func TestBodyThatTrickles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	before := w.rows(t)
	bearer := "Bearer " + token("ann")
	var all sync.WaitGroup
	for _, slow := range []struct {
		path, authorization string
		status              int
		code                string
	}{
		{claimPaths[0], bearer, 408, "request-timeout"},
		{claimPaths[1], bearer, 408, "request-timeout"},
		{claimPaths[0], "Bearer " + canary, 401, "unauthenticated"},
		{"/api/v1/audit", "Bearer " + w.key(t, shop.ScopeAudit), 408, "request-timeout"},
		{"/nowhere", bearer, 404, "not-found"},
	} {
		all.Go(func() {
			a, took := w.trickle(t, slow.path, slow.authorization)
			a.refused(t, slow.status, slow.code)
			if took > 8*time.Second {
				t.Errorf("%s was answered after %v", slow.path, took)
			}
		})
	}
	all.Wait()
	if after := w.rows(t); after != before {
		t.Errorf("claims, their units and tokens went from %v to %v", before, after)
	}
}

// TestServingOutlastsTheBody: the time in which a body must arrive says nothing about how long it may take to serve it.
func TestServingOutlastsTheBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	key := w.key(t, shop.ScopeAudit)
	unlock := w.lock(t, "audit_run")
	answered := make(chan answer, 1)
	go func() { answered <- w.send(t, request{method: "POST", path: "/api/v1/audit", token: key}) }()
	w.waitForLock(t, "audit_run")
	// This one is refused when its body has not arrived in time, and that of the other came before that.
	slow, _ := w.trickle(t, claimPaths[0], "Bearer "+token("ann"))
	slow.refused(t, 408, "request-timeout")
	unlock()
	(<-answered).into(t, 201, nil)
}

// lock locks tables until the function that it returns is called.
func (w *world) lock(t testing.TB, tables ...string) (unlock func()) {
	t.Helper()
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock = func() { _ = tx.Rollback(context.Background()) }
	t.Cleanup(unlock)
	if _, err := tx.Exec(t.Context(), "LOCK TABLE "+strings.Join(tables, ", ")+" IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return unlock
}

// waitForLock returns when somebody waits for the lock of a table.
func (w *world) waitForLock(t testing.TB, table string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if w.count(t, "SELECT count(*) FROM pg_locks WHERE relation = $1::regclass AND NOT granted", table) > 0 {
			return
		}
	}
	t.Fatalf("nobody waits for the lock of %s", table)
}

// TestBodyThatBreaksOff: what a caller did wrong is no fault of ours.
func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	before := w.rows(t)
	bearer := "Bearer " + token("ann")
	for name, text := range map[string]string{
		"less than Content-Length": head(claimPaths[0], bearer, "Content-Length: 400") + `{"sku": "cup"}`,
		"chunk of no length":       head(claimPaths[0], bearer, "Transfer-Encoding: chunked") + canary + "\r\n",
		"chunks without an end":    head(claimPaths[0], bearer, "Transfer-Encoding: chunked") + "e\r\n{\"sku\": \"cup\"}\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := w.dial(t)
			_, _ = io.WriteString(conn, text)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			read(t, conn, claimPaths[0]).refused(t, 422, "validation")
		})
	}
	if after := w.rows(t); after != before {
		t.Errorf("claims, their units and tokens went from %v to %v", before, after)
	}
}

// TestPipelined: what is left of a refused body is not taken for the next request, and a connection serves on after a refusal.
func TestPipelined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	bearer := "Bearer " + token("ann")
	good := `{"sku": "cup"}`
	next := head(claimPaths[0], bearer, fmt.Sprintf("Content-Length: %d", len(good))) + good
	conn := w.dial(t)
	_, _ = io.WriteString(conn, head(claimPaths[0], "none", fmt.Sprintf("Content-Length: %d", len(next)))+next+next)
	answers := bufio.NewReader(conn)
	read(t, answers, claimPaths[0]).refused(t, 401, "unauthenticated")
	read(t, answers, claimPaths[0]).into(t, 201, nil)
	if got, want := w.rows(t), [3]int{1, 1, 19}; got != want {
		t.Errorf("claims, their units and tokens are %v, want %v", got, want)
	}
}

// TestCallerThatLeaves: a claim without a key whose caller is gone leaves nothing behind, and one with a key stands.
func TestCallerThatLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	unlock := w.lock(t, "claim")
	ctx, leave := context.WithCancel(t.Context())
	var gone sync.WaitGroup
	for _, key := range []string{absent, "kept"} {
		req, err := goodClaim(claimPaths[0]).with("Idempotency-Key", key).build(w.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		gone.Go(func() {
			if resp, err := w.server.Client().Do(req.WithContext(ctx)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v before the lock was given up", resp, err)
			}
		})
	}
	w.waitForLock(t, "claim")
	leave()
	gone.Wait()
	unlock()
	var tx httpapi.Transaction
	w.send(t, goodClaim(claimPaths[0]).with("Idempotency-Key", "kept")).into(t, 201, &tx)
	w.server.Close() // returns when all that was under way is over
	if got := w.count(t, "SELECT count(*) FROM claim WHERE status = 'held'"); got != 1 {
		t.Errorf("%d holds are left, want the one with a key", got)
	}
}
