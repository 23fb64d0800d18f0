package metrics_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/doctor"
	"github.com/lastunit/lastunit/internal/metrics"
	"github.com/lastunit/lastunit/internal/shop"
)

// world is metrics of a server whose database answers as a test wants it to.
type world struct {
	*metrics.Metrics
	asked atomic.Int64
	fails atomic.Bool
	hangs atomic.Bool
}

func newWorld(t *testing.T, fresh time.Duration) *world {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), "postgres://nobody@127.0.0.1:1/none") // it connects when it is first used
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := &world{Metrics: metrics.New(slog.New(slog.DiscardHandler))}
	w.Watch(metrics.Sources{
		Lanes: func() []shop.LaneWaiting { return []shop.LaneWaiting{{Lane: "claims", Calls: 3}} }, LaneMost: func() int { return 7 }, Pool: pool.Stat,
		Shop: func(ctx context.Context) (shop.Vitals, error) {
			w.asked.Add(1)
			if w.hangs.Load() {
				<-ctx.Done()
				return shop.Vitals{}, ctx.Err()
			}
			if w.fails.Load() {
				return shop.Vitals{}, errors.New("it is gone")
			}
			return shop.Vitals{QueueUnits: 5}, nil
		},
		Postgres: func(context.Context) (doctor.Vitals, error) { return doctor.Vitals{}, nil },
		Fresh:    fresh, Patience: 50 * time.Millisecond,
	})
	return w
}

func (w *world) read() string {
	r := httptest.NewRecorder()
	w.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	return r.Body.String()
}

func (w *world) must(t *testing.T, has []string, lacks ...string) {
	t.Helper()
	text := w.read()
	for _, line := range has {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s is not said", line)
		}
	}
	for _, name := range lacks {
		if strings.Contains(text, "\n"+name) {
			t.Errorf("%s is said", name)
		}
	}
}

// A database that is gone, or says nothing, takes away what would be read from it, and nothing else.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Nanosecond)
	ours := []string{`lastunit_lane_waiting{lane="claims"} 3`, "lastunit_lane_waiting_max 7", "lastunit_pool_acquires_total 0"}
	w.must(t, append(ours, "lastunit_database_up 1", "lastunit_queue_units 5"), "lastunit_audit_ok", "lastunit_postgres_standbys")
	for name, how := range map[string]*atomic.Bool{"fails": &w.fails, "hangs": &w.hangs} {
		how.Store(true)
		w.must(t, append(ours, "lastunit_database_up 0"), "lastunit_queue_units", "lastunit_postgres_connections")
		how.Store(false)
		if t.Failed() {
			t.Fatalf("when it %s", name)
		}
	}
	w.must(t, []string{"lastunit_database_up 1", "lastunit_queue_units 5"})
}

// However many ask at once, the database is asked once.
func TestAskedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _ = w.read() })
	}
	all.Wait()
	if n := w.asked.Load(); n != 1 {
		t.Errorf("the database was asked %d times", n)
	}
}

// Whatever a shop and the API may tell of is counted, from many goroutines at once.
func TestCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	o, get := w.Observer(), w.Operation("getCart")
	busy := w.Refusal(shop.Busy)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, way := range []shop.Way{shop.Direct, shop.InTurn} {
				for _, outcome := range shop.Outcomes() {
					o.Claim(way, outcome, time.Millisecond)
				}
			}
			for _, lane := range shop.Lanes() {
				o.Batch(lane, 2, time.Millisecond)
			}
			for _, e := range shop.EventTypes() {
				o.Event(e)
			}
			for _, s := range []shop.DeliveryStatus{shop.DeliveryIsDelivered, shop.DeliveryIsPending, shop.DeliveryIsGivenUp} {
				o.Delivery(s, time.Millisecond)
			}
			o.Payment(shop.PaymentSucceeded)
			o.Payment(shop.PaymentRejected)
			o.Accepted()
			get(200, time.Millisecond)
			get(503, time.Millisecond)
			busy()
		})
	}
	all.Wait()
	w.must(t, []string{
		`lastunit_claims_total{outcome="held",way="direct"} 4`, `lastunit_claims_total{outcome="sold-out",way="queued"} 4`,
		`lastunit_batch_calls_sum{lane="paids"} 8`, `lastunit_events_published_total{type="order.paid"} 4`, `lastunit_webhook_attempts_total{outcome="failed"} 4`,
		`lastunit_payments_total{status="failed"} 4`, `lastunit_claims_accepted_total 4`, `lastunit_refusals_total{code="busy"} 4`,
		`lastunit_http_request_seconds_count{class="2xx",operation="getCart"} 4`, `lastunit_http_request_seconds_count{class="5xx",operation="getCart"} 4`,
	})
}
