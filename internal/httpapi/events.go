package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/lastunit/lastunit/internal/shop"
)

// How often a stream of server-sent events says something: at most, and at least if Options do not say; for how long it waits for a
// reader who does not read; and how long it lasts: who is still there connects again, and shows a token that is still good.
const (
	positionEvery  = time.Second
	heartbeatEvery = 15 * time.Second
	eventWrittenIn = 10 * time.Second
	streamLasts    = 15 * time.Minute
)

// stillHere is what a stream says that has nothing to tell.
const stillHere = ": still here\n\n"

// collectEvery is after how many streams the garbage of opening them is collected: a crowd leaves much of it, and is then so quiet that the
// collector would not come by for minutes.
const collectEvery = 250

type watchTransactionInput struct {
	ID          string `path:"id" doc:"The transaction." example:"019b1234-5678-7abc-8def-0123456789ab"`
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that was seen; browsers send it when they connect again."`
}

func (a *api) watchTransaction(ctx context.Context, in *watchTransactionInput) (*huma.StreamResponse, error) {
	id, err := shop.ParseID("transaction", in.ID)
	if err != nil {
		return nil, err
	}
	w, err := a.shop.Watch(ctx, callerOf(ctx).buyer, id)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		if w.First.Status != shop.Queued && in.LastEventID == eventID(w.First) {
			w.Close()
			hc.SetStatus(http.StatusNoContent) // tells a browser not to connect again
			return
		}
		_, rw := humachi.Unwrap(hc)
		a.stream(rw, w, in.LastEventID)
	}}, nil
}

// eventID stands for what an event says, so that who has seen it can say so on any server.
func eventID(t shop.Transaction) string {
	if t.Status == shop.Queued {
		return string(t.Status) + "-" + strconv.FormatInt(t.QueuePosition, 10)
	}
	return string(t.Status)
}

// takeOver begins to answer with server-sent events (WHATWG HTML, section 9.2). It takes the connection over from net/http, to be left to a goroutine of
// its own, which needs far less memory: thousands wait at once. The head is to be written first; what follows it is the body, up to the end of the
// connection. Nil where that can't be done, which is then answered.
func (a *api) takeOver(rw http.ResponseWriter) (s *stream, head string) {
	h := rw.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // or nginx keeps events back
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Connection", "close")
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil { // not over HTTP/1: nothing of ours listens for that
		a.log.Error("a stream of events can't be sent over this connection", slog.Any("error", err))
		rw.WriteHeader(http.StatusInternalServerError)
		return nil, ""
	}
	if a.streams.Add(1)%collectEvery == 0 {
		go runtime.GC()
	}
	text := bytes.NewBufferString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(text) // to memory
	text.WriteString("\r\nretry: 1000\n\n")
	return &stream{conn: conn, heartbeat: a.heartbeat}, text.String()
}

// stream tells how a transaction goes on.
func (a *api) stream(rw http.ResponseWriter, w *shop.Watch, last string) {
	s, head := a.takeOver(rw)
	if s == nil {
		w.Close()
		return
	}
	s.last = last
	// Said here, so that the goroutine that waits keeps its small stack.
	if s.write(head+s.news(w.First)) != nil || w.First.Status != shop.Queued {
		a.ended(s, w.Close)
		return
	}
	go func() {
		defer a.ended(s, w.Close)
		s.follow(w)
	}()
}

// ended ends a stream. Deferred, it is also the end of a panic.
func (a *api) ended(s *stream, leave func()) {
	if p := recover(); p != nil {
		a.log.Error("panic", "panic", p, "stack", string(debug.Stack()))
	}
	leave()
	_ = s.conn.Close()
}

type stream struct {
	conn      net.Conn
	heartbeat time.Duration
	last      string // the id that the reader has seen last
	wrote     time.Time
}

// follow tells how a transaction goes on until it is settled, the reader goes, or the shop stops waiting: then a reader connects again.
func (s *stream) follow(w *shop.Watch) {
	gone := make(chan struct{})
	go s.untilGone(gone)
	tick := time.NewTicker(positionEvery)
	defer tick.Stop()
	over := time.NewTimer(streamLasts)
	defer over.Stop()
	for t := w.First; t.Status == shop.Queued; {
		select {
		case t = <-w.Settled():
		case <-tick.C:
			t.QueuePosition = w.Position()
		case <-gone:
			return
		case <-over.C:
			return
		case <-w.Stopped():
			return
		}
		if s.tell(t) != nil {
			return
		}
	}
}

// untilGone reads what nobody sends, until the reader hangs up.
func (s *stream) untilGone(gone chan<- struct{}) {
	defer close(gone)
	_ = s.conn.SetReadDeadline(time.Time{})
	nothing := make([]byte, 16)
	for {
		if _, err := s.conn.Read(nothing); err != nil {
			return
		}
	}
}

// tell writes what is new; now and then, when nothing is, a comment.
func (s *stream) tell(t shop.Transaction) error {
	text := s.news(t)
	if text == "" && time.Since(s.wrote) >= s.heartbeat {
		text = stillHere
	}
	if text == "" {
		return nil
	}
	return s.write(text)
}

// news is an event, unless the reader has seen it.
func (s *stream) news(t shop.Transaction) string {
	id := eventID(t)
	if id == s.last {
		return ""
	}
	s.last = id
	data, _ := json.Marshal(transactionOut(t)) // of plain values: it can't fail
	return fmt.Sprintf("id: %s\nevent: transaction\ndata: %s\n\n", id, data)
}

func (s *stream) write(text string) error { return s.writeAll(net.Buffers{[]byte(text)}) }

// writeAll writes texts that are others' as well, without making copies of them.
func (s *stream) writeAll(texts net.Buffers) error {
	s.wrote = time.Now()
	if err := s.conn.SetWriteDeadline(s.wrote.Add(eventWrittenIn)); err != nil {
		return err
	}
	_, err := texts.WriteTo(s.conn)
	return err
}

// describeEvents writes the answers of an operation that streams transactions into the document.
func describeEvents(o *huma.Operation) {
	o.Responses["200"] = eventsOf("transaction", "Transaction", map[string]*huma.Schema{"id": {Type: huma.TypeString, Description: "Stands for what the event says."}})
	o.Responses["204"] = &huma.Response{Description: "Last-Event-ID names the last event: there is no more to come."}
}

// eventsOf documents a stream of events of one name, with a resource as their data and what else they have.
func eventsOf(name, resource string, properties map[string]*huma.Schema) *huma.Response {
	required := append(slices.Sorted(maps.Keys(properties)), "event", "data")
	properties["event"] = &huma.Schema{Type: huma.TypeString, Enum: []any{name}}
	properties["data"] = &huma.Schema{Ref: "#/components/schemas/" + resource}
	return &huma.Response{
		Description: "The events, as they come.",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
			Type:  huma.TypeArray,
			Items: &huma.Schema{Type: huma.TypeObject, Required: required, Properties: properties},
		}}},
	}
}
