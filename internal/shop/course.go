package shop

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/lastunit/lastunit/internal/lane"
)

// Course is how long the calls of one request took to be settled. It may be read while they are under way.
type Course struct {
	Span            trace.SpanContext // of the request, if it is traced; set before its first call
	waited, settled atomic.Int64
}

// Waited is how long calls stood in a lane before a batch took them.
func (c *Course) Waited() time.Duration { return time.Duration(c.waited.Load()) }

// Settled is how long the batches took that had them.
func (c *Course) Settled() time.Duration { return time.Duration(c.settled.Load()) }

type courseKey struct{}

// WithCourse lets what becomes of the calls that are made with a context be written into a course.
func WithCourse(ctx context.Context, c *Course) context.Context {
	return context.WithValue(ctx, courseKey{}, c)
}

const scope = "github.com/lastunit/lastunit/internal/shop"

// watched settles the batches of a lane with settle, tells the observer of them, and each call's course how long it waited and was settled. Where requests are traced, a batch has a
// span of its own, which is linked to those of its requests: it belongs to all of them, so it is part of none's trace.
func watched[K comparable, In, Out any](o *Observer, name string, settle func(context.Context, []lane.Call[K, In], func()) []lane.Answer[Out]) func(context.Context, []lane.Call[K, In], func()) []lane.Answer[Out] {
	return func(ctx context.Context, batch []lane.Call[K, In], next func()) []lane.Answer[Out] {
		began := time.Now()
		var sampled context.Context
		var links []trace.Link
		courses := make([]*Course, 0, len(batch))
		for _, c := range batch {
			course, ok := c.Caller.Value(courseKey{}).(*Course)
			if !ok {
				continue
			}
			courses = append(courses, course)
			course.waited.Add(int64(began.Sub(c.Since)))
			if course.Span.IsSampled() {
				sampled = c.Caller
				links = append(links, trace.Link{SpanContext: course.Span})
			}
		}
		if len(links) > 0 {
			var span trace.Span
			ctx, span = trace.SpanFromContext(sampled).TracerProvider().Tracer(scope).Start(ctx, "settle "+name, trace.WithNewRoot(), trace.WithLinks(links...), trace.WithAttributes(attribute.Int("lastunit.batch.calls", len(batch))))
			defer span.End()
		}
		answers := settle(ctx, batch, next)
		took := time.Since(began)
		o.batch(name, len(batch), took)
		for _, course := range courses {
			course.settled.Add(int64(took))
		}
		return answers
	}
}
