package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/lastunit/lastunit/internal/shop"
)

// request is what is known of a request while it is under way. Those who serve it write it down, for the line that is logged of it.
type request struct {
	id     string
	caller caller
	code   string // of the problem that it was answered with
	course shop.Course
}

type requestKey struct{}

// requestOf is never nil: where there is no request, it is one that nobody reads.
func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

func requestID(ctx context.Context) string { return requestOf(ctx).id }

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// withRequestID takes over a well-formed X-Request-Id, makes one otherwise, and says it in the answer.
func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !requestIDForm.MatchString(id) {
			id = uuid.NewString()
		}
		w.Header().Set("X-Request-Id", id)
		this := &request{id: id}
		next.ServeHTTP(w, r.WithContext(shop.WithCourse(context.WithValue(r.Context(), requestKey{}, this), &this.course)))
	})
}

// recovered answers a panic with a problem, and logs it.
func (a *api) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			a.log.Error("panic", "request_id", requestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
			writeProblem(w, r, newProblem(internal, ""))
		}()
		next.ServeHTTP(w, r)
	})
}

// Requests says of which requests a line is logged.
type Requests string

// Those that were answered with a fault have one at level warn in any case, and so do, as far as slowLines go, those that were answered late or 503: under load these are
// many, and metrics count them.
const (
	RequestsFaults   Requests = "faults"   // no others, unless the level is debug
	RequestsProblems Requests = "problems" // those that were answered with any problem
	RequestsAll      Requests = "all"
)

const (
	// slow is what waited for a batch, and was in it, for longer. What may take as long as it likes, such as a stream, does not do so there.
	slow = time.Second
	// slowLines are logged in a second, of requests that are logged for nothing else: where everything is slow, logging is not to make it slower.
	slowLines = 10
)

// logged writes one line a request.
func (a *api) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.log.Enabled(r.Context(), slog.LevelWarn) {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() { a.logLine(r, ww.Status(), time.Since(began)) }() // also of one that was broken off by a panic
		next.ServeHTTP(ww, r)
	})
}

func (a *api) logLine(r *http.Request, status int, took time.Duration) {
	ctx := r.Context()
	this, wanted := requestOf(ctx), *a.requests.Load()
	waited, settled := this.course.Waited(), this.course.Settled()
	level := slog.LevelDebug
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case wanted == RequestsAll, wanted == RequestsProblems && status >= http.StatusBadRequest:
		level = slog.LevelInfo
	}
	if (waited+settled > slow || status == http.StatusServiceUnavailable) && level < slog.LevelWarn && a.slowLines.Allow() {
		level = slog.LevelWarn
	}
	if !a.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("method", r.Method),
		slog.String("route", chi.RouteContext(ctx).RoutePattern()),
		slog.Int("status", status),
		slog.String("outcome", outcome(status)),
	)
	for _, a := range []slog.Attr{slog.String("code", this.code), slog.String("buyer", this.caller.buyer), slog.String("key", this.caller.keyID())} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	attrs = append(attrs, slog.Duration("wait", waited), slog.Duration("settle", settled), slog.Duration("took", took), slog.String("request_id", this.id))
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
	}
	a.log.LogAttrs(ctx, level, "request", attrs...)
}

// outcome is a status in a word.
func outcome(status int) string {
	switch {
	case status == 0:
		return "aborted"
	case status < http.StatusBadRequest:
		return "done"
	case status == http.StatusServiceUnavailable:
		return "busy"
	case status >= http.StatusInternalServerError:
		return "fault"
	}
	return "refused"
}

// traced gives each request a span, as a part of the trace that whoever sent it names. Nothing that was sent gets into it but the method.
func (a *api) traced(next http.Handler) http.Handler {
	if a.tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := a.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		requestOf(ctx).course.Span = span.SpanContext()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		r = r.WithContext(ctx)
		next.ServeHTTP(ww, r)
		this, route := requestOf(ctx), chi.RouteContext(ctx).RoutePattern()
		span.SetName(r.Method + " " + route)
		span.SetAttributes(
			attribute.String("http.request.method", r.Method), attribute.String("http.route", route), attribute.Int("http.response.status_code", ww.Status()),
			attribute.String("lastunit.code", this.code), attribute.String("lastunit.request_id", this.id),
		)
		if ww.Status() >= http.StatusInternalServerError {
			span.SetStatus(otelcodes.Error, this.code)
		}
	})
}

// noteProblem takes down what a request was answered with by huma.
func noteProblem(hc huma.Context, _ string, answer any) (any, error) {
	if p, ok := answer.(*Problem); ok {
		requestOf(hc.Context()).code = p.Code
	}
	return answer, nil
}

// write answers with a problem from inside huma.
func (a *api) write(hc huma.Context, p *Problem) {
	requestOf(hc.Context()).code = p.Code
	for name, values := range p.headers {
		hc.SetHeader(name, values[0])
	}
	hc.SetHeader("Content-Type", "application/problem+json")
	hc.SetStatus(p.Status)
	_ = json.NewEncoder(hc.BodyWriter()).Encode(p)
}

// writeProblem answers with a problem from outside huma.
func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	requestOf(r.Context()).code = p.Code
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
