package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// page is a stream of products that is read.
type page struct {
	answer
	lines *bufio.Scanner
}

const productEvents = "/api/v1/products/events?sku="

// open opens the stream of products, until the end of the test, at the latest for 20 seconds.
func (w *world) open(t *testing.T, url string, skus ...string) *page {
	t.Helper()
	req, err := request{method: "GET", path: productEvents + strings.Join(skus, "&sku=")}.build(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(leave)
	resp, err := w.server.Client().Do(req.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	p := &page{answer{method: "GET", path: req.URL.Path, status: resp.StatusCode, header: resp.Header}, bufio.NewScanner(resp.Body)}
	documented(t, req, p.answer)
	if p.status != 200 || p.header.Get("Content-Type") != "text/event-stream" || p.header.Get("Cache-Control") != "no-store" || p.header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("the stream is %d %v", p.status, p.header)
	}
	return p
}

// next waits for an event, or for a comment, which is no JSON; ok is false at the end of the stream.
func (p *page) next(t *testing.T) (text []byte, ok bool) {
	t.Helper()
	name := ""
	for p.lines.Scan() {
		switch field, value, _ := strings.Cut(p.lines.Text(), ": "); field {
		case "":
			if value != "" {
				return []byte(value), true
			}
		case "event":
			name = value
		case "data":
			if name != "product" {
				t.Errorf("an event is called %q", name)
			}
			return []byte(value), true
		case "retry":
		default:
			t.Errorf("a stream says %q", p.lines.Text())
		}
	}
	return nil, false
}

// shows waits until a product looks as it is to be, and returns it.
func (p *page) shows(t *testing.T, sku string, is func(httpapi.Product) bool) []byte {
	t.Helper()
	for {
		text, ok := p.next(t)
		if !ok {
			t.Fatalf("%s was never seen as it is to be: %v", sku, p.lines.Err())
		}
		var got httpapi.Product
		if json.Unmarshal(text, &got) == nil && got.SKU == sku && is(got) {
			return text
		}
	}
}

func left(n int64) func(httpapi.Product) bool {
	return func(p httpapi.Product) bool { return p.Availability.Available == n }
}

// TestAPageSeesChanges: at once, and as getProduct shows them, on any server; a pause within 2 seconds.
func TestAPageSeesChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	w.stocked(t, "cup", 3)
	w.stocked(t, "mug", 5)
	pages := []*page{w.open(t, w.server.URL, "mug", "cup", "mug"), other.open(t, other.server.URL, "cup", "mug")}
	same := func(sku string, got []byte) {
		t.Helper()
		want := w.send(t, request{method: "GET", path: "/api/v1/products/" + sku}).into(t, 200, nil)
		if strings.TrimSpace(string(want.body)) != string(got) {
			t.Errorf("a page is shown %s, want %s", got, want.body)
		}
	}
	for _, p := range pages {
		same("cup", p.shows(t, "cup", left(3)))
		same("mug", p.shows(t, "mug", left(5)))
	}
	w.hold(t, "ann", "cup", 3)
	for _, p := range pages {
		same("cup", p.shows(t, "cup", func(p httpapi.Product) bool { return p.Availability.Status == "all_held" }))
	}
	began := time.Now()
	w.send(t, request{method: "POST", path: "/api/v1/selling/pause", token: w.key(t, shop.ScopeSale)}).into(t, 200, nil)
	for _, p := range pages {
		same("mug", p.shows(t, "mug", func(p httpapi.Product) bool { return p.Availability.Status == "paused" }))
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a pause was seen after %s", took)
	}
	w.StopWaiting()
	for {
		if _, ok := pages[0].next(t); !ok {
			break
		}
	}
	if err := pages[0].lines.Err(); err != nil {
		t.Errorf("the stream of a server that stops did not end, but: %v", err)
	}
	again := w.send(t, request{method: "GET", path: productEvents + "cup"})
	if again.refused(t, 503, "busy"); again.header.Get("Retry-After") == "" {
		t.Error("a server that stops does not say when to come back")
	}
}

func TestWhatCantBeWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 1)
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint("p", i)
	}
	for _, query := range []string{"", "?sku=", "?sku=cup&sku=", "?sku=a%20b", "?sku=" + strings.Join(many, "&sku="), "?sku=cup&limit=1"} {
		w.send(t, request{method: "GET", path: "/api/v1/products/events" + query}).refused(t, 422, "validation")
	}
	p := w.send(t, request{method: "GET", path: productEvents + "cup&sku=nothing&sku=neither"}).refused(t, 404, "not-found")
	if !strings.Contains(p.Detail, "neither, nothing") || strings.Contains(p.Detail, "cup") {
		t.Errorf("it says %q", p.Detail)
	}
	key := w.key(t, shop.ScopeCatalog)
	req, err := put(key, "events", `{"name": "Events"}`).build(w.server.URL) // of which the document's validator thinks that it is no operation
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 422 || !bytes.Contains(said, []byte("choose another SKU")) {
		t.Errorf("a product that is called as the stream: %d %s, %v", resp.StatusCode, said, err)
	}
	for _, sku := range many[:100] {
		w.stocked(t, sku, 1)
	}
	all := w.open(t, w.server.URL, many[:100]...)
	for range many[:100] {
		if text, ok := all.next(t); !ok || !json.Valid(text) {
			t.Fatalf("got %s, want a hundred products", text)
		}
	}
}

func TestHeartbeatOfProducts(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{Heartbeat: 5 * time.Millisecond})
	w.stocked(t, "cup", 1)
	p := w.open(t, w.server.URL, "cup")
	p.shows(t, "cup", left(1))
	for range 3 {
		if text, ok := p.next(t); !ok || json.Valid(text) {
			t.Errorf("got %s, %t, want a comment", text, ok)
		}
	}
}

// stuck is a listener whose connections take nothing that is written to them, until over is closed.
type stuck struct {
	net.Listener
	over chan struct{}
}

type stuckConn struct {
	net.Conn
	over chan struct{}
}

func (s stuck) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	return stuckConn{c, s.over}, err
}

func (c stuckConn) Write([]byte) (int, error) {
	<-c.over
	return 0, os.ErrDeadlineExceeded
}

// TestWhoDoesNotReadHoldsUpNobody: neither those who do, nor those who buy.
func TestWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 10)
	server := httptest.NewUnstartedServer(w.server.Config.Handler)
	over := make(chan struct{})
	server.Listener = stuck{server.Listener, over}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	for range 10 {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = fmt.Fprint(conn, "GET "+productEvents+"cup HTTP/1.1\r\nHost: shop\r\n\r\n")
	}
	waitFor(t, "ten who do not read", func() bool { return strings.Count(goroutines(), "stuckConn.Write") >= 10 })
	p := w.open(t, w.server.URL, "cup")
	for n := int64(9); n >= 7; n-- {
		w.hold(t, buyer(int(n)), "cup", 1)
		p.shows(t, "cup", left(n))
	}
}

func goroutines() string {
	var text bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&text, 2)
	return text.String()
}

// TestPagesThatLeaveLeaveNothing is not parallel: it looks at all goroutines.
func TestPagesThatLeaveLeaveNothing(t *testing.T) {
	w := newWorld(t)
	w.stocked(t, "cup", 10)
	seen := w.observe(t)
	const pages = 30
	for range pages {
		conn, err := net.Dial("tcp", seen.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = fmt.Fprint(conn, "GET "+productEvents+"cup HTTP/1.1\r\nHost: shop\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 50)); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the service to hang up", func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		return seen.closed == pages
	})
	waitFor(t, "every goroutine to be gone", func() bool {
		all := goroutines()
		return !strings.Contains(all, "followProducts") && !strings.Contains(all, "untilGone") && !strings.Contains(all, "productWatches")
	})
}
