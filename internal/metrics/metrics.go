// Package metrics tells Prometheus what this server does, and how its database is: counts that are kept while things happen, and facts that are looked up when
// somebody asks. docs/metrics.md lists them. What there is to tell is the shop's, doctor's and HTTP's to know.
package metrics

import (
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lastunit/lastunit/internal/shop"
)

// Metrics are those of one server. What counts may be called by many at once and waits for nobody.
type Metrics struct {
	registry *prometheus.Registry
	log      *slog.Logger

	claims         *prometheus.CounterVec
	accepted       prometheus.Counter
	claimSeconds   *prometheus.HistogramVec
	batchCalls     *prometheus.HistogramVec
	settleSeconds  *prometheus.HistogramVec
	payments       *prometheus.CounterVec
	attempts       *prometheus.CounterVec
	attemptSeconds prometheus.Histogram
	events         *prometheus.CounterVec
	requests       *prometheus.HistogramVec
	refusals       *prometheus.CounterVec
}

// Seconds up to which answers are counted together: from what a claim takes when little is going on to what nobody waits for.
var (
	fast = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}
	slow = []float64{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
)

// New makes metrics in a registry of their own.
func New(log *slog.Logger) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), log: log}
	m.claims = m.counters("claims_total", "Claims that were decided, by what they came to: held, the code of a refusal, replayed, or fault.", "way", "outcome")
	m.accepted = m.counters("claims_accepted_total", "Claims that were accepted into a queue.").WithLabelValues()
	m.claimSeconds = m.histograms("claim_seconds", "Seconds until a claim was decided, since it came in or was accepted into its queue.", slow, "way")
	m.batchCalls = m.histograms("batch_calls", "Calls in a batch that a lane has settled.", prometheus.ExponentialBuckets(1, 2, 10), "lane")
	m.settleSeconds = m.histograms("settle_seconds", "Seconds that a lane took to settle a batch.", fast, "lane")
	m.payments = m.counters("payments_total", "Payments of which it became known what became of them.", "status")
	m.attempts = m.counters("webhook_attempts_total", "Attempts to send an event to a webhook: delivered, failed (it is sent again), or given_up.", "outcome")
	m.attemptSeconds = m.histogram("webhook_attempt_seconds", "Seconds that an attempt to send to a webhook took.", slow)
	m.events = m.counters("events_published_total", "Events that this server was the one to publish; those of orders tell how many went where.", "type")
	m.requests = m.histograms("http_request_seconds", "Seconds from the request of an operation to the end of its answer; those that wait or stream take as long as they were asked to.", slow, "operation", "class")
	m.refusals = m.counters("refusals_total", "Refusals that were answered by the operations, by code.", "code")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

const prefix = "lastunit_"

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// counterOf finds the counters of all values of a label once, so that counting looks up nothing that others write to.
func counterOf[T ~string](v *prometheus.CounterVec, all []T, before ...string) map[T]prometheus.Counter {
	by := map[T]prometheus.Counter{}
	for _, one := range all {
		by[one] = v.WithLabelValues(append(before, string(one))...)
	}
	return by
}

// Observer counts what a shop does.
func (m *Metrics) Observer() *shop.Observer {
	type way struct {
		by      map[shop.Code]prometheus.Counter
		seconds prometheus.Observer
	}
	ways := map[shop.Way]way{}
	for _, w := range []shop.Way{shop.Direct, shop.InTurn} {
		ways[w] = way{counterOf(m.claims, shop.Outcomes(), string(w)), m.claimSeconds.WithLabelValues(string(w))}
	}
	direct, inTurn := ways[shop.Direct], ways[shop.InTurn]
	type lane struct{ calls, seconds prometheus.Observer }
	lanes := map[string]lane{}
	for _, name := range shop.Lanes() {
		lanes[name] = lane{m.batchCalls.WithLabelValues(name), m.settleSeconds.WithLabelValues(name)}
	}
	payments := counterOf(m.payments, []shop.PaymentStatus{shop.PaymentSucceeded, shop.PaymentRejected})
	attempts := map[shop.DeliveryStatus]prometheus.Counter{
		shop.DeliveryIsDelivered: m.attempts.WithLabelValues("delivered"),
		shop.DeliveryIsPending:   m.attempts.WithLabelValues("failed"),
		shop.DeliveryIsGivenUp:   m.attempts.WithLabelValues("given_up"),
	}
	events := counterOf(m.events, shop.EventTypes())
	return &shop.Observer{
		Claim: func(w shop.Way, outcome shop.Code, took time.Duration) {
			to := direct
			if w == shop.InTurn {
				to = inTurn
			}
			to.by[outcome].Inc()
			to.seconds.Observe(took.Seconds())
		},
		Accepted: m.accepted.Inc,
		Batch: func(name string, calls int, took time.Duration) {
			to := lanes[name]
			to.calls.Observe(float64(calls))
			to.seconds.Observe(took.Seconds())
		},
		Payment: func(became shop.PaymentStatus) { payments[became].Inc() },
		Delivery: func(becomes shop.DeliveryStatus, took time.Duration) {
			attempts[becomes].Inc()
			m.attemptSeconds.Observe(took.Seconds())
		},
		Event: func(t shop.EventType) { events[t].Inc() },
	}
}

// Operation makes what is told of each request of an operation: the status of the answer, and how long that took.
func (m *Metrics) Operation(id string) func(status int, took time.Duration) {
	var classes [6]atomic.Pointer[prometheus.Observer] // made when they are needed: most operations have two
	return func(status int, took time.Duration) {
		class := min(max(status/100, 1), 5)
		o := classes[class].Load()
		if o == nil {
			made := m.requests.WithLabelValues(id, strconv.Itoa(class)+"xx") // the same one for all who come here
			o = &made
			classes[class].Store(o)
		}
		(*o).Observe(took.Seconds())
	}
}

// Refusal makes what is told of each refusal of a code.
func (m *Metrics) Refusal(code shop.Code) func() { return m.refusals.WithLabelValues(string(code)).Inc }

// Handler answers /metrics, and knows no other address.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: 8,
	}))
	return mux
}
