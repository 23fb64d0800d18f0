package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastunit/lastunit/internal/doctor"
	"github.com/lastunit/lastunit/internal/shop"
)

// Sources are where facts are looked up when somebody asks.
type Sources struct {
	Lanes    func() []shop.LaneWaiting
	LaneMost func() int // calls that may wait in each
	Pool     func() *pgxpool.Stat
	// Shop and Postgres read the database, at most once in Fresh, and have Patience for it together.
	Shop     func(context.Context) (shop.Vitals, error)
	Postgres func(context.Context) (doctor.Vitals, error)
	Fresh    time.Duration // 4 s
	Patience time.Duration // 2 s
}

// Watch adds the facts of a server.
func (m *Metrics) Watch(s Sources) {
	if s.Fresh == 0 {
		s.Fresh = 4 * time.Second
	}
	if s.Patience == 0 {
		s.Patience = 2 * time.Second
	}
	m.registry.MustRegister(&factsOf{Sources: s, metrics: m})
}

// facts is what was found when somebody asked.
type facts struct {
	*Sources
	pool     *pgxpool.Stat
	shop     *shop.Vitals // nil: it could not be read
	postgres *doctor.Vitals
}

type factsOf struct {
	Sources
	metrics *Metrics

	mu     sync.Mutex // held while the database is asked: whoever comes meanwhile gets the same
	readAt time.Time
	read   facts
}

// Describe implements prometheus.Collector.
func (f *factsOf) Describe(to chan<- *prometheus.Desc) {
	for _, k := range known {
		to <- k.desc
	}
}

// Collect implements prometheus.Collector.
func (f *factsOf) Collect(to chan<- prometheus.Metric) {
	found := f.look()
	found.Sources, found.pool = &f.Sources, f.Pool()
	for _, k := range known {
		k.tell(found, func(v float64, labels ...string) { to <- prometheus.MustNewConstMetric(k.desc, k.kind, v, labels...) })
	}
}

func (f *factsOf) look() facts {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.readAt.IsZero() && time.Since(f.readAt) < f.Fresh {
		return f.read
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.Patience)
	defer cancel()
	f.read = facts{}
	ofShop, err := f.Shop(ctx)
	if err == nil {
		f.read.shop = &ofShop
		var ofPostgres doctor.Vitals
		if ofPostgres, err = f.Postgres(ctx); err == nil {
			f.read.postgres = &ofPostgres
		}
	}
	if err != nil {
		f.metrics.log.Warn("the database could not be read for /metrics", "error", err)
	}
	f.readAt = time.Now()
	return f.read
}

// fact is a metric that is looked up.
type fact struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	tell func(f facts, say func(v float64, labels ...string))
}

type say = func(v float64, labels ...string)

func newFact(kind prometheus.ValueType, name, help string, labels []string, tell func(facts, say)) fact {
	return fact{prometheus.NewDesc(prefix+name, help, labels, nil), kind, tell}
}

func ofServer(name, help string, value func(facts) float64) fact {
	return newFact(prometheus.GaugeValue, name, help, nil, func(f facts, say say) { say(value(f)) })
}

func ofPool(kind prometheus.ValueType, name, help string, value func(*pgxpool.Stat) float64) fact {
	return newFact(kind, name, help, nil, func(f facts, say say) { say(value(f.pool)) })
}

func ofShop(name, help string, value func(*shop.Vitals) float64) fact {
	return inShop(name, help, nil, func(v *shop.Vitals, say say) { say(value(v)) })
}

// inShop is for what has labels, or may not be there.
func inShop(name, help string, labels []string, tell func(*shop.Vitals, say)) fact {
	return newFact(prometheus.GaugeValue, name, help, labels, func(f facts, say say) {
		if f.shop != nil {
			tell(f.shop, say)
		}
	})
}

func ofPostgres(name, help string, value func(*doctor.Vitals) float64) fact {
	return inPostgres(name, help, nil, func(v *doctor.Vitals, say say) { say(value(v)) })
}

func inPostgres(name, help string, labels []string, tell func(*doctor.Vitals, say)) fact {
	return newFact(prometheus.GaugeValue, "postgres_"+name, help, labels, func(f facts, say say) {
		if f.postgres != nil {
			tell(f.postgres, say)
		}
	})
}

func ofTables(name, help string, value func(doctor.VitalTable) float64) fact {
	return inPostgres(name, help, []string{"table"}, func(v *doctor.Vitals, say say) {
		for _, t := range v.Tables {
			say(value(t), t.Name)
		}
	})
}

func ofStandbys(name, help string, value func(*doctor.VitalStandbys) float64) fact {
	return inPostgres(name, help, nil, func(v *doctor.Vitals, say say) {
		if v.Standbys != nil {
			say(value(v.Standbys))
		}
	})
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// known are all facts.
var known = []fact{
	newFact(prometheus.GaugeValue, "lane_waiting", "Calls that wait in a lane of this server, those in batches under way included.", []string{"lane"}, func(f facts, say say) {
		for _, l := range f.Lanes() {
			say(float64(l.Calls), l.Lane)
		}
	}),
	ofServer("lane_waiting_max", "Calls that may wait in each lane; more are answered busy.", func(f facts) float64 { return float64(f.LaneMost()) }),

	newFact(prometheus.GaugeValue, "pool_connections", "Database connections of this server: acquired, idle, or constructing.", []string{"state"}, func(f facts, say say) {
		say(float64(f.pool.AcquiredConns()), "acquired")
		say(float64(f.pool.IdleConns()), "idle")
		say(float64(f.pool.ConstructingConns()), "constructing")
	}),
	ofPool(prometheus.GaugeValue, "pool_connections_max", "Database connections that this server may have.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }),
	ofPool(prometheus.CounterValue, "pool_acquires_total", "Times that a connection was acquired.", func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) }),
	ofPool(prometheus.CounterValue, "pool_acquires_canceled_total", "Times that somebody gave up waiting for a connection.", func(s *pgxpool.Stat) float64 { return float64(s.CanceledAcquireCount()) }),
	ofPool(prometheus.CounterValue, "pool_waits_total", "Times that no connection was idle when one was acquired.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) }),
	ofPool(prometheus.CounterValue, "pool_wait_seconds_total", "Seconds that were waited for a connection, by all together.", func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() }),

	ofServer("database_up", "Whether the database could be read for these metrics, within 2 s. If not, what is read from it is not there.", func(f facts) float64 { return yes(f.postgres != nil) }),

	ofShop("queue_units", "Units that are asked for in the queues of all products.", func(v *shop.Vitals) float64 { return float64(v.QueueUnits) }),
	ofShop("queue_oldest_seconds", "How long the queued request has waited that was accepted first; 0: none waits.", func(v *shop.Vitals) float64 { return v.QueueOldest.Seconds() }),
	inShop("sales", "Sales by state: scheduled, open, paused.", []string{"state"}, func(v *shop.Vitals, say say) {
		for state, n := range v.Sales {
			say(float64(n), string(state))
		}
	}),
	inShop("sale_units", "Units by place of the products in sales that are open or paused, as sampled last; of the first 50 products by SKU.", []string{"sku", "place"}, func(v *shop.Vitals, say say) {
		for _, p := range v.Places {
			say(float64(p.Available), p.SKU, "available")
			say(float64(p.Held), p.SKU, "held")
			say(float64(p.Ordered), p.SKU, "ordered")
			say(float64(p.Sold), p.SKU, "sold")
		}
	}),
	ofShop("selling_paused", "Whether all selling is paused.", func(v *shop.Vitals) float64 { return yes(v.SellingPaused) }),
	ofShop("orders_awaiting_payment", "Orders that await payment (counted up to 100,000).", func(v *shop.Vitals) float64 { return float64(v.OrdersAwaitingPayment) }),
	ofShop("orders_overdue", "Orders that await payment and are past pay_by: until they are cancelled, or while a payment is under way.", func(v *shop.Vitals) float64 { return float64(v.OrdersOverdue) }),
	ofShop("payments_pending", "Payments of which the provider has not said what became of them (counted up to 100,000).", func(v *shop.Vitals) float64 { return float64(v.PaymentsPending) }),
	ofShop("payments_pending_oldest_seconds", "How old the oldest of those payments is.", func(v *shop.Vitals) float64 { return v.PaymentsPendingOldest.Seconds() }),
	ofShop("refunds_pending", "Refunds that the provider has not confirmed (counted up to 100,000).", func(v *shop.Vitals) float64 { return float64(v.RefundsPending) }),
	ofShop("webhook_deliveries_waiting", "Deliveries to enabled webhooks that were not taken yet (counted up to 100,000).", func(v *shop.Vitals) float64 { return float64(v.Deliveries) }),
	ofShop("webhook_deliveries_oldest_seconds", "How old the oldest of those deliveries is.", func(v *shop.Vitals) float64 { return v.DeliveriesOldest.Seconds() }),
	inShop("webhooks", "Webhooks: enabled, disabled, or gone (lastunit has disabled them, because the receiver said so).", []string{"state"}, func(v *shop.Vitals, say say) {
		say(float64(v.WebhooksEnabled), "enabled")
		say(float64(v.WebhooksDisabled), "disabled")
		say(float64(v.WebhooksGone), "gone")
	}),
	ofShop("events_unpublished", "Events that are written and have no position yet (counted up to 100,000).", func(v *shop.Vitals) float64 { return float64(v.EventsUnpublished) }),
	ofShop("events_unpublished_oldest_seconds", "How old the oldest of those events is.", func(v *shop.Vitals) float64 { return v.EventsUnpublishedOldest.Seconds() }),
	ofShop("events_unrelayed", "Events that are published, and not yet passed on to webhooks.", func(v *shop.Vitals) float64 { return float64(v.EventsUnrelayed) }),
	inShop("audit_ok", "Whether the last audit of everything, and those of single products since, found nothing; absent before the first.", nil, func(v *shop.Vitals, say say) {
		if v.AuditOK != nil {
			say(yes(*v.AuditOK))
		}
	}),
	inShop("audit_finished_timestamp_seconds", "When the last audit of everything was finished; absent before the first.", nil, func(v *shop.Vitals, say say) {
		if v.AuditFinishedAt != nil {
			say(float64(v.AuditFinishedAt.UnixMilli()) / 1000)
		}
	}),

	ofPostgres("connections", "Connections of clients to PostgreSQL, of all programs.", func(v *doctor.Vitals) float64 { return float64(v.Connections) }),
	ofPostgres("connections_max", "max_connections of PostgreSQL.", func(v *doctor.Vitals) float64 { return float64(v.ConnectionsMost) }),
	ofPostgres("transaction_oldest_seconds", "How long the oldest transaction has been open in the database, prepared ones included: no row that died since is removed.", func(v *doctor.Vitals) float64 { return v.OldestTransaction.Seconds() }),
	ofTables("dead_rows", "Dead rows of a table through which every claim goes, by PostgreSQL's statistics.", func(t doctor.VitalTable) float64 { return float64(t.Dead) }),
	ofTables("live_rows", "Live rows of such a table.", func(t doctor.VitalTable) float64 { return float64(t.Live) }),
	ofTables("dead_rows_vacuumed_at", "Dead rows of such a table at which autovacuum begins.", func(t doctor.VitalTable) float64 { return t.VacuumedAt }),
	ofPostgres("transaction_age", "Age of the oldest transaction id of all databases, in transactions; at some 2,100 million PostgreSQL takes no more writes.", func(v *doctor.Vitals) float64 { return float64(v.TransactionAge) }),
	ofPostgres("transaction_age_frozen_at", "Age at which autovacuum freezes transaction ids.", func(v *doctor.Vitals) float64 { return float64(v.TransactionAgeFrozenAt) }),
	ofPostgres("multixact_age", "Age of the oldest multixact id of all databases, in multixacts.", func(v *doctor.Vitals) float64 { return float64(v.MultixactAge) }),
	ofPostgres("multixact_age_frozen_at", "Age at which autovacuum freezes multixact ids.", func(v *doctor.Vitals) float64 { return float64(v.MultixactAgeFrozenAt) }),
	ofStandbys("standbys_needed", "Standbys that each commit waits for; this and the next four are absent when the role may not see standbys (pg_read_all_stats).", func(s *doctor.VitalStandbys) float64 { return float64(s.Needed) }),
	ofStandbys("standbys_in_sync", "Standbys that are connected and in sync.", func(s *doctor.VitalStandbys) float64 { return float64(s.InSync) }),
	ofStandbys("standbys_connected", "Standbys that are connected.", func(s *doctor.VitalStandbys) float64 { return float64(s.Connected) }),
	ofStandbys("standby_lag_seconds", "How far the standby is behind that is furthest behind.", func(s *doctor.VitalStandbys) float64 { return s.Lag.Seconds() }),
	ofStandbys("standby_lag_bytes", "The same in bytes of WAL.", func(s *doctor.VitalStandbys) float64 { return s.LagBytes }),
}
