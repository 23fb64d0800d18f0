package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/doctor"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/metrics"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// metricsServer answers Prometheus on a listener of its own, with a database connection of its own: it is asked most when those who buy have all of theirs. A nil
// one does nothing.
type metricsServer struct {
	*metrics.Metrics
	address  string // http://.../metrics
	log      *slog.Logger
	listener net.Listener
	pool     *pgxpool.Pool
	server   *http.Server
	served   chan struct{} // closed when the server has ended
}

// newMetricsServer listens, and answers nobody before start. It is nil when no metrics are asked for.
func newMetricsServer(cfg Config, log *slog.Logger) (*metricsServer, error) {
	if cfg.MetricsListen == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", cfg.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("%s can't be listened on (%w): choose another address with --metrics-listen", cfg.MetricsListen, err)
	}
	return &metricsServer{Metrics: metrics.New(log), address: "http://" + listener.Addr().String() + "/metrics", log: log, listener: listener}, nil
}

func (m *metricsServer) ofShop() *shop.Observer {
	if m == nil {
		return nil
	}
	return m.Observer()
}

func (m *metricsServer) ofRequests() *httpapi.Observer {
	if m == nil {
		return nil
	}
	return &httpapi.Observer{Operation: m.Operation, Refusal: m.Refusal}
}

// start answers for a service that has its shop and its pool.
func (m *metricsServer) start(ctx context.Context, s *service) (err error) {
	if m == nil {
		return nil
	}
	if m.pool, err = pgdb.Connect(ctx, s.databaseURL, pgdb.Options{MaxConns: 1, QueryMode: s.cfg.QueryMode, ApplicationName: applicationName("metrics")}); err != nil {
		return err
	}
	m.Watch(metrics.Sources{
		Lanes: s.LanesWaiting, LaneMost: s.WaitingAtMost, Pool: s.pool.Stat,
		Shop:     func(ctx context.Context) (shop.Vitals, error) { return s.Vitals(ctx, m.pool) },
		Postgres: func(ctx context.Context) (doctor.Vitals, error) { return doctor.ReadVitals(ctx, m.pool) },
	})
	m.server = &http.Server{Handler: m.Handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	m.served = make(chan struct{})
	go func() {
		defer close(m.served)
		if err := m.server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("metrics are served no more", "error", err)
		}
	}()
	return nil
}

// close undoes what was done. It answers until then, so that the end of the service is seen as well.
func (m *metricsServer) close() {
	if m == nil {
		return
	}
	if m.server != nil {
		_ = m.server.Close()
		<-m.served
	}
	if m.pool != nil {
		m.pool.Close()
	}
	_ = m.listener.Close()
}
