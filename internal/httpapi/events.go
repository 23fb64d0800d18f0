package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/lastunit/lastunit/internal/shop"
)

// How often a stream of server-sent events says something: at most, and at least if Options do not say; and for how long it waits for a
// reader who does not read.
const (
	positionEvery  = time.Second
	heartbeatEvery = 15 * time.Second
	eventWrittenIn = 10 * time.Second
)

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
		defer w.Close()
		if w.First.Status != shop.Queued && in.LastEventID == eventID(w.First) {
			hc.SetStatus(http.StatusNoContent) // tells a browser not to connect again
			return
		}
		_, rw := humachi.Unwrap(hc)
		s := stream{w: rw, connection: http.NewResponseController(rw), last: in.LastEventID, heartbeat: a.heartbeat}
		defer func() { _ = s.connection.SetWriteDeadline(time.Time{}) }() // the connection may serve other requests
		s.begin()
		s.follow(hc.Context(), w)
	}}, nil
}

// eventID stands for what an event says, so that who has seen it can say so on any server.
func eventID(t shop.Transaction) string {
	if t.Status == shop.Queued {
		return string(t.Status) + "-" + strconv.FormatInt(t.QueuePosition, 10)
	}
	return string(t.Status)
}

// stream writes server-sent events (WHATWG HTML, section 9.2).
type stream struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	heartbeat  time.Duration
	last       string // the id that the reader has seen last
	wrote      time.Time
}

func (s *stream) begin() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // or nginx keeps events back
	s.w.WriteHeader(http.StatusOK)
	_ = s.write("retry: 1000\n\n")
}

// follow tells how a transaction goes on until it is settled, the reader goes, or the shop stops waiting: then a reader connects again.
func (s *stream) follow(ctx context.Context, w *shop.Watch) {
	t := w.First
	tick := time.NewTicker(positionEvery)
	defer tick.Stop()
	for s.tell(t) == nil && t.Status == shop.Queued {
		select {
		case t = <-w.Settled():
		case <-tick.C:
			t.QueuePosition = w.Position()
		case <-ctx.Done():
			return
		case <-w.Stopped():
			return
		}
	}
}

// tell writes an event, unless the reader has seen it; now and then a comment in its place.
func (s *stream) tell(t shop.Transaction) error {
	id := eventID(t)
	if id == s.last {
		if time.Since(s.wrote) < s.heartbeat {
			return nil
		}
		return s.write(": still here\n\n")
	}
	s.last = id
	data, err := json.Marshal(transactionOut(t))
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %s\nevent: transaction\ndata: %s\n\n", id, data))
}

func (s *stream) write(text string) error {
	s.wrote = time.Now()
	_ = s.connection.SetWriteDeadline(s.wrote.Add(eventWrittenIn)) // can't be set where a test has no connection
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.connection.Flush()
}

// describeEvents writes the answers of an operation that streams transactions into the document.
func (a *api) describeEvents(o *huma.Operation) {
	o.Responses["200"] = &huma.Response{
		Description: "The events, as they come.",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
			Type: huma.TypeArray,
			Items: &huma.Schema{
				Type:     huma.TypeObject,
				Required: []string{"id", "event", "data"},
				Properties: map[string]*huma.Schema{
					"id":    {Type: huma.TypeString, Description: "Stands for what the event says."},
					"event": {Type: huma.TypeString, Enum: []any{"transaction"}},
					"data":  {Ref: "#/components/schemas/Transaction"},
				},
			},
		}}},
	}
	o.Responses["204"] = &huma.Response{Description: "Last-Event-ID names the last event: there is no more to come."}
}
