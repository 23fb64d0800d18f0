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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// event is one of a stream's, or a comment.
type event struct {
	id, name string
	tx       httpapi.Transaction
	comment  string
}

// reader reads a stream of server-sent events.
type reader struct {
	answer
	lines *bufio.Scanner
	leave func()
}

// watch opens the stream of a transaction. A reader waits for 20 seconds in all, and leaves at the end of the test.
func (w *world) watch(t testing.TB, buyer, id, lastSeen string) *reader {
	t.Helper()
	r := as(buyer, "GET", "/api/v1/transaction/"+id+"/events", nil)
	if lastSeen != "" {
		r = r.with("Last-Event-Id", lastSeen)
	}
	req, err := r.build(w.server.URL)
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
	s := &reader{answer{method: "GET", path: r.path, status: resp.StatusCode, header: resp.Header}, bufio.NewScanner(resp.Body), leave}
	if s.status >= 400 {
		s.body, _ = io.ReadAll(resp.Body)
	}
	s.check(t)
	documented(t, req, s.answer)
	if got := s.header.Get("Content-Type"); s.status == 200 && got != "text/event-stream" {
		t.Errorf("%s has the type %q", s.path, got)
	}
	return s
}

// next waits for an event or a comment; ok is false at the end of the stream.
func (s *reader) next(t testing.TB) (e event, ok bool) {
	t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "":
			if e = (event{comment: value}); value != "" {
				return e, true
			}
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.tx); err != nil {
				t.Errorf("%v in %s", err, value)
			}
			if s.lines.Scan(); s.lines.Text() != "" || e.name != "transaction" || e.id == "" {
				t.Errorf("%+v is no event of a transaction, or goes on with %q", e, s.lines.Text())
			}
			return e, true
		case "retry":
		default:
			t.Errorf("a stream says %q", s.lines.Text())
		}
	}
	if err := s.lines.Err(); err != nil {
		t.Errorf("%s did not end, but: %v", s.path, err)
	}
	return e, false
}

// rest reads a stream to its end.
func (s *reader) rest(t testing.TB) (all []event) {
	t.Helper()
	for {
		e, ok := s.next(t)
		if !ok {
			return all
		}
		if e.comment == "" {
			all = append(all, e)
		}
	}
}

func states(all []event) (ids, states []string) {
	for _, e := range all {
		ids, states = append(ids, e.id), append(states, e.tx.Status)
	}
	return ids, states
}

// TestEvents: the stream tells the position at once and when it falls, and the outcome, which is its end; on any server.
func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	w.stocked(t, "mug", 10)
	goOn := w.stopped(t, "mug")
	three, two := w.enqueue(t, "bob", "mug", 3), w.enqueue(t, "bob", "mug", 2)
	w.enqueue(t, "bob", "mug", 1)
	tx := w.enqueue(t, "ann", "mug", 1)
	streams := []*reader{w.watch(t, "ann", tx.ID, ""), other.watch(t, "ann", tx.ID, "")}
	at := func(s *reader, want int64) {
		t.Helper()
		e, _ := s.next(t)
		if e.tx.ID != tx.ID || e.tx.Status != "queued" || e.tx.QueuePosition == nil || *e.tx.QueuePosition != want {
			t.Errorf("got %+v, want it at %d", e, want)
		}
	}
	for _, s := range streams {
		if s.status != 200 || s.header.Get("Cache-Control") != "no-store" || s.header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("the stream is %d %v", s.status, s.header)
		}
		at(s, 6)
	}
	position := int64(6)
	for _, gone := range []httpapi.Transaction{three, two} {
		w.send(t, as("bob", "DELETE", "/api/v1/cart/"+gone.ID, nil)).into(t, 204, nil)
		position -= int64(gone.Quantity)
		for _, s := range streams {
			at(s, position)
		}
	}
	goOn()
	for _, s := range streams {
		last := position
		e, ok := s.next(t)
		for ; ok && e.tx.Status == "queued"; e, ok = s.next(t) {
			if *e.tx.QueuePosition >= last {
				t.Errorf("from %d to %d", last, *e.tx.QueuePosition)
			}
			last = *e.tx.QueuePosition
		}
		if e.tx.Status != "held" || len(e.tx.UnitIDs) != 1 || e.tx.QueuePosition != nil {
			t.Fatalf("after the turn the stream says %+v", e)
		}
		t.Logf("read %v after it was held", time.Since(e.tx.ExpiresAt.Add(-10*time.Minute)))
		if more, ok := s.next(t); ok {
			t.Errorf("after the outcome the stream says %+v", more)
		}
		read := w.look(t, "ann", tx.ID, "")
		if !slices.Equal(read.UnitIDs, e.tx.UnitIDs) || !read.ExpiresAt.Equal(*e.tx.ExpiresAt) {
			t.Errorf("told %+v, read %+v", e.tx, read)
		}
	}
}

// TestEventsOfOutcomes: whatever a request comes to is told once, and is the end.
func TestEventsOfOutcomes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 3)
	goOn := w.stopped(t, "mug")
	held, cancelled := w.enqueue(t, "ann", "mug", 2), w.enqueue(t, "ann", "mug", 1)
	many, last := w.enqueue(t, "ann", "mug", 2), w.enqueue(t, "ann", "mug", 1)
	none := w.enqueue(t, "ann", "mug", 1)
	want := map[string]string{held.ID: "held", cancelled.ID: "released", many.ID: "refused", last.ID: "held", none.ID: "refused"}
	streams := map[string]*reader{}
	for id := range want {
		streams[id] = w.watch(t, "ann", id, "")
		if first, _ := streams[id].next(t); first.tx.Status != "queued" || first.tx.ID != id {
			t.Errorf("the first event is %+v", first)
		}
	}
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+cancelled.ID, nil)).into(t, 204, nil)
	if _, got := states(streams[cancelled.ID].rest(t)); !slices.Equal(got, []string{"released"}) {
		t.Errorf("what was cancelled is told as %v", got)
	}
	delete(streams, cancelled.ID)
	goOn()
	for id, s := range streams {
		if _, got := states(s.rest(t)); !slices.Equal(got[len(got)-1:], []string{want[id]}) || slices.Contains(got[:len(got)-1], want[id]) {
			t.Errorf("the outcome is told as %v, want %s last", got, want[id])
		}
	}
	w.moveTo(time.Now().Add(11 * time.Minute))
	want[held.ID], want[last.ID] = "expired", "expired"
	for id, status := range want {
		all := w.watch(t, "ann", id, "").rest(t)
		if len(all) != 1 || all[0].tx.Status != status || (all[0].tx.Reason != nil) != (status == "refused") {
			t.Errorf("what was %s is told as %+v", status, all)
		}
	}
}

// TestLastEventID: whoever comes back is not told twice, on any server, and learns when there is no more to come.
func TestLastEventID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	w.stocked(t, "mug", 10)
	goOn := w.stopped(t, "mug")
	w.enqueue(t, "bob", "mug", 3)
	tx := w.enqueue(t, "ann", "mug", 1)
	first, _ := w.watch(t, "ann", tx.ID, "").next(t)
	back, fresh := other.watch(t, "ann", tx.ID, first.id), other.watch(t, "ann", tx.ID, "a server that is gone")
	if again, _ := fresh.next(t); again.id != first.id {
		t.Errorf("an id that is not known is answered with %+v, want %+v", again, first)
	}
	goOn()
	ids, got := states(back.rest(t))
	if !slices.Equal(got[len(got)-1:], []string{"held"}) || slices.Contains(ids, first.id) {
		t.Errorf("who came back is told %v %v, want what came after %s", ids, got, first.id)
	}
	last := ids[len(ids)-1]
	for _, server := range []*world{w, other} {
		if s := server.watch(t, "ann", tx.ID, last); s.status != 204 || len(s.rest(t)) != 0 {
			t.Errorf("after the last event: got %d", s.status)
		}
		if all := server.watch(t, "ann", tx.ID, first.id).rest(t); len(all) != 1 || all[0].id != last {
			t.Errorf("who missed the last event is told %+v", all)
		}
	}
	w.send(t, as("ann", "DELETE", "/api/v1/cart/"+tx.ID, nil)).into(t, 204, nil)
	if all := w.watch(t, "ann", tx.ID, last).rest(t); len(all) != 1 || all[0].tx.Status != "released" {
		t.Errorf("what has changed since the last event is told as %+v", all)
	}
	w.watch(t, "ann", tx.ID, strings.Repeat("x", 65)).refused(t, 422, "validation")
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{Heartbeat: time.Millisecond})
	w.stocked(t, "mug", 10)
	w.stopped(t, "mug")
	tx := w.enqueue(t, "ann", "mug", 1)
	s := w.watch(t, "ann", tx.ID, "")
	if e, _ := s.next(t); e.tx.Status != "queued" {
		t.Errorf("the first is %+v", e)
	}
	for range 2 {
		if e, ok := s.next(t); e.comment == "" {
			t.Errorf("got %+v, %t, want a comment", e, ok)
		}
	}
}

// observed is a listener that remembers what was done with its connections.
type observed struct {
	net.Listener
	mu        sync.Mutex
	deadlines []time.Time // for writing
	closed    int
}

type observedConn struct {
	net.Conn
	of *observed
}

func (o *observed) Accept() (net.Conn, error) {
	c, err := o.Listener.Accept()
	return observedConn{c, o}, err
}

func (c observedConn) SetWriteDeadline(at time.Time) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.deadlines = append(c.of.deadlines, at)
	return c.Conn.SetWriteDeadline(at)
}

func (c observedConn) Close() error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.closed++
	return c.Conn.Close()
}

// observe serves the world's API once more, over connections that are observed.
func (w *world) observe(t *testing.T) *observed {
	server := httptest.NewUnstartedServer(w.server.Config.Handler)
	listener := &observed{Listener: server.Listener}
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return listener
}

// follow opens the stream of a transaction over a connection of its own.
func (o *observed) follow(t *testing.T, buyer, id string) (net.Conn, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", o.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET /api/v1/transaction/%s/events HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer %s\r\n\r\n", id, token(buyer))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%+v, %v", resp, err)
	}
	return conn, resp
}

// TestReadersThatLeave: the service hangs up as well, at once, and not when a heartbeat fails.
func TestReadersThatLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	w.stopped(t, "mug")
	tx := w.enqueue(t, "ann", "mug", 1)
	seen := w.observe(t)
	for range 20 {
		conn, _ := seen.follow(t, "ann", tx.ID)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the service to hang up", func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		return seen.closed == 20
	})
}

// TestStopWaitingEndsStreams: a server that stops lets its readers go, to come back with Last-Event-ID.
func TestStopWaitingEndsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	w.stocked(t, "mug", 10)
	goOn := w.stopped(t, "mug")
	tx := w.enqueue(t, "ann", "mug", 1)
	s := w.watch(t, "ann", tx.ID, "")
	first, _ := s.next(t)
	w.StopWaiting()
	if all := s.rest(t); len(all) != 0 {
		t.Errorf("it ends with %+v", all)
	}
	if all := w.watch(t, "ann", tx.ID, "").rest(t); len(all) != 1 || all[0].id != first.id {
		t.Errorf("a stream of a server that stops says %+v", all)
	}
	elsewhere := other.watch(t, "ann", tx.ID, first.id)
	goOn()
	if _, got := states(elsewhere.rest(t)); !slices.Equal(got, []string{"held"}) {
		t.Errorf("another server goes on with %v", got)
	}
}

// TestAStreamIsTheLastOfItsConnection: its head says so, and a reader who does not read is not waited for without end.
func TestAStreamIsTheLastOfItsConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	tx := w.hold(t, "ann", "mug", 1)
	seen := w.observe(t)
	_, resp := seen.follow(t, "ann", tx.ID)
	body, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(body, []byte(tx.ID)) {
		t.Errorf("%s, %v", body, err)
	}
	if !resp.Close || resp.Header.Get("Date") == "" || resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("close %t, %v", resp.Close, resp.Header)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.deadlines) == 0 || slices.ContainsFunc(seen.deadlines, time.Time.IsZero) {
		t.Errorf("the write deadlines are %v", seen.deadlines)
	}
}
