package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

const playedReport = `{"ok": true, "audit_ok": true, "hold_seconds": 60, "purchase_limit": null, "latency_ms": {"p50": 1.5, "p95": 2, "p99": 3, "max": 4}, "sale_id": "x", "items": [
	{"sku": "cup", "copy_sku": "rehearsal-x-1", "buyers": 5, "stock": 2, "held": 2, "units_held": 2, "units_left": 0, "refused": {"all-held": 3}, "faults": 0, "sold_out_seconds": 0.01,
	 "latency_ms": null, "audit_ok": true, "broken": []}], "broken": []}`

// rehearse is a rehearsal that is over at once.
func (w *world) rehearse(r shop.Rehearsal, _ string) {
	_ = w.PlayRehearsal(context.Background(), r, func() (int64, int64, int64) { return 5, 2, 3 }, func(context.Context) (json.RawMessage, error) {
		return json.RawMessage(playedReport), nil
	})
}

// rehearsed rehearses a sale and returns the rehearsal's id.
func (w *world) rehearsed(t testing.TB, sale string) string {
	t.Helper()
	id, err := shop.ParseID("sale", sale)
	if err != nil {
		t.Fatal(err)
	}
	r, secret, _, err := w.StartRehearsal(t.Context(), shop.Operator{}, id, 5)
	if err != nil {
		t.Fatal(err)
	}
	w.rehearse(r, secret)
	return r.ID.String()
}

// stage lets a test say how rehearsals go on.
type stage struct {
	world  *world
	plays  chan play
	ended  chan error
	counts func() (int64, int64, int64)
}

type play struct {
	ctx    context.Context
	secret string
	end    chan<- any // a report, or an error
}

func newStage(t *testing.T) (*stage, *world) {
	t.Helper()
	s := &stage{plays: make(chan play, 1), ended: make(chan error, 1), counts: func() (int64, int64, int64) { return 4, 2, 1 }}
	s.world = newWorldWith(t, httpapi.Options{Rehearse: func(r shop.Rehearsal, secret string) {
		go func() {
			s.ended <- s.world.PlayRehearsal(context.Background(), r, s.counts, func(ctx context.Context) (json.RawMessage, error) {
				end := make(chan any)
				s.plays <- play{ctx, secret, end}
				switch as := (<-end).(type) {
				case error:
					return nil, as
				case string:
					return json.RawMessage(as), nil
				}
				return nil, errors.New("neither")
			})
		}()
	}})
	return s, s.world
}

// finish ends the play and waits until that is written down.
func (s *stage) finish(t *testing.T, p play, as any) {
	t.Helper()
	p.end <- as
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
}

func TestARehearsalIsStartedWatchedAndReported(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	key := w.key(t, shop.ScopeSale)
	w.stocked(t, "cup", 3)
	sale := w.sale(t, "draft", shop.SaleTerms{Items: []shop.SaleItem{{SKU: "cup", Price: shop.Money{Amount: 100, Currency: "EUR"}}}})
	start := request{method: "POST", path: "/api/v1/sales/" + sale.ID.String() + "/rehearsals", token: key, body: map[string]any{"buyers": 5}}
	var r httpapi.Rehearsal
	a := w.send(t, start.with("Idempotency-Key", "once")).into(t, 202, &r)
	path := a.header.Get("Location")
	if path != "/api/v1/rehearsals/"+r.ID || r.Status != "running" || r.SaleID != sale.ID.String() || r.Buyers != 5 || r.Report != nil || r.FinishedAt != nil {
		t.Fatalf("%+v at %s", r, path)
	}
	p := <-s.plays
	if k, err := w.KeyBySecret(t.Context(), p.secret); err != nil || !slices.Equal(k.Scopes, []shop.Scope{"catalog", "stock", "sale", "claim", "audit"}) {
		t.Errorf("it plays with %+v, %v", k, err)
	}
	if again := w.send(t, start.with("Idempotency-Key", "once")).into(t, 202, &r); again.header.Get("Location") != path || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %v", again.header)
	}
	problem := w.send(t, start).refused(t, 409, "conflict")
	if problem.State != "running" {
		t.Errorf("%+v", problem)
	}
	for w.send(t, request{method: "GET", path: path, token: key}).into(t, 200, &r); r.Progress.Sent == 0; {
		w.send(t, request{method: "GET", path: path, token: key}).into(t, 200, &r)
	}
	if r.Progress != (httpapi.RehearsalProgress{Sent: 4, Held: 2, Refused: 1}) {
		t.Errorf("%+v", r.Progress)
	}
	s.finish(t, p, playedReport)
	w.send(t, request{method: "GET", path: path, token: key}).into(t, 200, &r)
	if r.Status != "finished" || r.Report == nil || !r.Report.OK || r.Report.Items[0].Refused["all-held"] != 3 || *r.Report.Items[0].SoldOutSeconds != 0.01 || r.FinishedAt == nil || r.Detail != nil {
		t.Errorf("%+v", r)
	}
	if _, err := w.KeyBySecret(t.Context(), p.secret); err == nil {
		t.Error("its key outlives it")
	}
	if n := w.count(t, `SELECT count(*) FROM api_key`); n != 1 {
		t.Errorf("%d keys are left, want the operator's", n)
	}

	w.send(t, start).into(t, 202, &r)
	s.finish(t, <-s.plays, errors.New("raise the limit of open files"))
	w.send(t, request{method: "GET", path: "/api/v1/rehearsals/" + r.ID, token: key}).into(t, 200, &r)
	if r.Status != "failed" || r.Report != nil || r.Detail == nil || *r.Detail != "It could not be played to its end: raise the limit of open files" {
		t.Errorf("%+v", r)
	}
}

// A rehearsal whose server is gone shows as failed, nothing of it is left, and another one can be started.
func TestARehearsalWhoseServerIsGoneHasFailed(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	key := w.key(t, shop.ScopeSale)
	w.stocked(t, "cup", 3)
	at := time.Now().UTC()
	sale := w.sale(t, "draft", shop.SaleTerms{Items: []shop.SaleItem{{SKU: "cup", Price: shop.Money{Amount: 100, Currency: "EUR"}}}})
	// Started, and never played: as if its server had died.
	dead, secret, _, err := w.StartRehearsal(t.Context(), shop.Operator{}, sale.ID, 5)
	if err != nil {
		t.Fatal(err)
	}
	sku := "rehearsal-" + dead.Name() + "-1"
	if _, _, err := w.PutProduct(t.Context(), shop.Product{SKU: sku, Selling: true, Rehearsal: true}); err != nil {
		t.Fatal(err)
	}
	start := request{method: "POST", path: "/api/v1/sales/" + sale.ID.String() + "/rehearsals", token: key, body: map[string]any{"buyers": 5}}
	w.send(t, start).refused(t, 409, "conflict")
	w.moveTo(at.Add(20 * time.Second))
	var r httpapi.Rehearsal
	get := request{method: "GET", path: "/api/v1/rehearsals/" + dead.ID.String(), token: key}
	if w.send(t, get).into(t, 200, &r); r.Status != "failed" || r.Detail == nil || r.FinishedAt == nil {
		t.Errorf("before anybody has tended it: %+v", r)
	}
	w.send(t, start).into(t, 202, &r)
	p := <-s.plays
	if w.send(t, get).into(t, 200, &r); r.Status != "failed" {
		t.Errorf("%+v", r)
	}
	if _, err := w.KeyBySecret(t.Context(), secret); err == nil {
		t.Error("its key is still good")
	}
	if n := w.count(t, `SELECT count(*) FROM product WHERE rehearsal`); n != 0 {
		t.Error("its copy is still there")
	}
	// A server that was silent for too long, and is not dead, stops as well.
	if _, err := w.db.Exec(t.Context(), `UPDATE rehearsal SET status = 'failed', detail = 'given up', finished_at = now() WHERE status = 'running'`); err != nil {
		t.Fatal(err)
	}
	<-p.ctx.Done()
	s.finish(t, p, playedReport)
}

func TestHowARehearsalCannotBeStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeSale)
	w.stocked(t, "cup", 3)
	sale := w.sale(t, "draft", shop.SaleTerms{Items: []shop.SaleItem{{SKU: "cup", Price: shop.Money{Amount: 100, Currency: "EUR"}}}})
	path := "/api/v1/sales/" + sale.ID.String() + "/rehearsals"
	for _, body := range []string{`{}`, `{"buyers": 0}`, `{"buyers": 5001}`, `{"buyers": "5"}`, `{"buyers": 1.5}`, `{"buyers": 5, "stock": 3}`} {
		w.send(t, request{method: "POST", path: path, token: key, body: body}).refused(t, 422, "validation")
	}
	w.send(t, request{method: "POST", path: "/api/v1/sales/019b1234-5678-7abc-8def-0123456789ab/rehearsals", token: key, body: `{"buyers": 5}`}).refused(t, 404, "not-found")
	w.send(t, request{method: "GET", path: "/api/v1/rehearsals/019b1234-5678-7abc-8def-0123456789ab", token: key}).refused(t, 404, "not-found")
	if n := w.count(t, `SELECT count(*) FROM rehearsal`); n != 0 {
		t.Errorf("%d rehearsals were started", n)
	}
}
