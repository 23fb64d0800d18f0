package httpapi_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// requestLine is the one line that a log has of the request of that id.
func (w *world) requestLine(t *testing.T, id string) map[string]any {
	t.Helper()
	w.server.Close() // a line is written when its answer has gone
	var found []map[string]any
	logged := w.log.take()
	for line := range strings.Lines(logged) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l["msg"] == "request" && l["request_id"] == id {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines of the request: %s", len(found), logged)
	}
	return found[0]
}

func TestALineTellsOfARequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		requests httpapi.Requests
		buyer    bool
		body     string
		want     map[string]any
	}{
		"a claim":             {httpapi.RequestsAll, true, `{"sku":"mug"}`, map[string]any{"level": "INFO", "status": 201.0, "outcome": "done", "buyer": "ann", "route": "/order/addToCart", "method": "POST"}},
		"with a key":          {httpapi.RequestsProblems, false, `{"sku":"mug"}`, map[string]any{"level": "DEBUG", "status": 201.0, "outcome": "done", "buyer": "ann"}},
		"a refusal":           {httpapi.RequestsProblems, true, `{"sku":"cup"}`, map[string]any{"level": "INFO", "status": 404.0, "outcome": "refused", "code": "not-found"}},
		"refused by huma":     {httpapi.RequestsProblems, true, `{"sku":1}`, map[string]any{"level": "INFO", "status": 422.0, "outcome": "refused", "code": "validation"}},
		"a refusal, not told": {httpapi.RequestsFaults, true, `{"sku":"cup"}`, map[string]any{"level": "DEBUG", "code": "not-found"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldWith(t, httpapi.Options{LogRequests: c.requests})
			w.stocked(t, "mug", 1)
			r := as("ann", "POST", "/order/addToCart", c.body)
			if !c.buyer {
				r = post(w.key(t, shop.ScopeClaim), "/order/addToCart", c.body).with("Buyer-Id", "ann")
			}
			w.send(t, r.with("X-Request-Id", "this-one"))
			line := w.requestLine(t, "this-one")
			for field, want := range c.want {
				if line[field] != want {
					t.Errorf("%s is %v, want %v: %v", field, line[field], want, line)
				}
			}
			if _, withKey := line["key"]; withKey == c.buyer {
				t.Errorf("the caller is told wrongly: %v", line)
			}
			if settled := line["settle"].(float64) > 0; settled != (c.want["code"] != "validation") {
				t.Errorf("settle is %v", line["settle"])
			}
			if line["wait"].(float64)+line["settle"].(float64) > line["took"].(float64) {
				t.Errorf("it took less than it was settled: %v", line)
			}
		})
	}
}

func TestAClaimIsTracedFromTheRequestToTheStatements(t *testing.T) {
	t.Parallel()
	memory := tracetest.NewInMemoryExporter()
	traces := trace.NewTracerProvider(trace.WithSyncer(memory))
	db, err := pgdb.Connect(t.Context(), dbtest.URL(t), pgdb.Options{MaxConns: 8, Traces: traces})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	w := newServer(t, db, shop.Options{}, httpapi.Options{Traces: traces})
	w.stocked(t, "mug", 5)
	if spans := memory.GetSpans(); len(spans) > 0 {
		t.Fatalf("what no request asked for is traced: %v", spans[0].Name)
	}
	const theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
	secret := w.key(t, shop.ScopeClaim)
	w.send(t, post(secret, "/order/addToCart", `{"sku":"mug","reference":"canary-7f3a"}`).with("Buyer-Id", "canary-7f3a").with("Idempotency-Key", "canary-7f3a").
		with("traceparent", "00-"+theirs+"-00f067aa0ba902b7-01").with("X-Request-Id", "this-one")).into(t, 201, nil)
	if line := w.requestLine(t, "this-one"); line["trace_id"] != theirs {
		t.Errorf("the line does not tell the trace: %v", line)
	}
	spans := memory.GetSpans()
	named := func(name string) tracetest.SpanStub {
		i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("no span is called %s", name)
		}
		return spans[i]
	}
	request, batch := named("POST /order/addToCart"), named("settle claims")
	if request.SpanContext.TraceID().String() != theirs || request.Parent.SpanID().String() != "00f067aa0ba902b7" || request.SpanKind != api.SpanKindServer {
		t.Errorf("the request is not part of the trace that it names: %+v", request)
	}
	if len(batch.Links) != 1 || !batch.Links[0].SpanContext.Equal(request.SpanContext) {
		t.Errorf("the batch is not linked to its request: %+v", batch.Links)
	}
	for _, statement := range []string{"StockTokenPick", "ClaimInsertMany"} {
		if s := named(statement); s.SpanContext.TraceID() != batch.SpanContext.TraceID() {
			t.Errorf("%s is not in the batch's trace", statement)
		}
	}
	told, err := json.Marshal(spans)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"canary-7f3a", secret} {
		if strings.Contains(string(told), s) {
			t.Errorf("spans tell %s", s)
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	discarding := slog.New(slog.NewJSONHandler(io.Discard, nil))
	for _, bench := range []struct {
		name string
		o    httpapi.Options
	}{
		{"faults", httpapi.Options{}},
		{"all", httpapi.Options{LogRequests: httpapi.RequestsAll}},
		{"faults, traced", httpapi.Options{Traces: trace.NewTracerProvider()}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			bench.o.Log = discarding
			h, err := httpapi.New(b.Context(), nil, bench.o)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/livez", nil))
			}
		})
	}
}
