package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/background"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/payment/stripe"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/pgserver"
	"github.com/lastunit/lastunit/internal/shop"
	"github.com/lastunit/lastunit/internal/webhook"
	"github.com/lastunit/lastunit/internal/webhook/address"
)

func defaultDataDir() string { return pgserver.DefaultDir() }

// newLogger makes the log of a command. Its level is the command's, which may change.
func newLogger(cfg Config, e *environment) *slog.Logger {
	e.level.Set(cfg.LogLevel)
	o, w := &slog.HandlerOptions{Level: &e.level}, e.stderr
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// service is a running lastunit.
type service struct {
	*shop.Shop
	cfg         Config
	databaseURL string
	address     string // http://...
	secret      []byte // of the buyers; empty when only a JWKS is trusted

	log      *slog.Logger
	listener net.Listener
	door     *door
	postgres *pgserver.Server // nil when the database is somebody else's
	pool     *pgxpool.Pool
	provider closer // nil when payments are somebody else's
	handler  *httpapi.Handler
	server   *http.Server
	traces   *sdktrace.TracerProvider // nil: nothing is traced
	loops    chan struct{}            // closed when the background loops have ended
	stop     context.CancelFunc

	rehearsals *rehearsals
	metrics    *metricsServer // nil: there are none
}

// startService brings everything up, in an order in which whatever is most likely to be wrong fails first; a service that can't be started
// leaves nothing behind.
func startService(ctx context.Context, cfg Config, log *slog.Logger) (s *service, err error) {
	s = &service{cfg: cfg, log: log, loops: make(chan struct{}), rehearsals: newRehearsals()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return s, fmt.Errorf("%s can't be listened on (%w): choose another address with --listen", cfg.Listen, err)
	}
	s.door = newDoor(s.listener)
	s.address = "http://" + reachable(s.listener.Addr().String())
	if cfg.Tracing != "" {
		if s.traces, err = startTracing(ctx, cfg.Tracing, log); err != nil {
			return s, err
		}
	}
	if s.metrics, err = newMetricsServer(cfg, log); err != nil {
		return s, err
	}
	if err := s.openDatabase(ctx); err != nil {
		return s, err
	}
	if s.secret, err = buyerSecret(cfg); err != nil {
		return s, err
	}
	provider := s.payments()
	s.Shop = shop.New(s.pool, shop.Options{
		Provider:    provider,
		Hold:        cfg.Hold,
		HoldMax:     cfg.HoldMax,
		MaxQuantity: cfg.MaxQuantity,
		ShowStock:   cfg.ShowStock,
		Limits:      limits(cfg),
		KeepRefused: cfg.KeepRefused,
		Workers:     max(cfg.DBConnections/4, 1),

		WebhooksAnywhere: cfg.WebhooksAnywhere,
		Observer:         s.metrics.ofShop(),
	})
	if err := s.SyncClock(ctx); err != nil {
		return s, err
	}
	switch {
	case cfg.Payment == "test":
		log.Warn("orders are paid with the test provider: no money moves, whatever card is given; --payment none leaves payment to your shop")
	case cfg.Payment == "stripe" && len(cfg.StripeSecrets) == 0:
		log.Warn("no stripe-webhook-secret is set: what becomes of a payment is known only when Stripe is asked, up to a minute later")
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	o := httpapi.Options{
		Buyers:       httpapi.Buyers{Secret: s.secret, JWKSURL: cfg.JWKSURL, Audience: cfg.Audience},
		CORSOrigins:  cfg.CORSOrigins,
		ImageOrigins: cfg.ImageOrigins,
		Log:          log,
		Rehearse:     s.rehearse,
		Observe:      s.metrics.ofRequests(),

		TrustedProxies: cfg.TrustedProxies,
	}
	if s.traces != nil {
		o.Traces = s.traces
	}
	if s.handler, err = httpapi.New(running, s.Shop, reloadable(cfg, o)); err != nil {
		return s, err
	}
	s.server = httpapi.NewServer(s.handler, log)
	s.server.ConnState = s.door.saw
	if err := s.metrics.start(ctx, s); err != nil {
		return s, err
	}
	webhooks := s.webhooks()
	go func() {
		defer close(s.loops)
		defer webhooks.Wait()
		background.Run(running, log,
			background.Loop{Name: "expire lapsed holds", Every: cfg.SweepEvery, Run: s.ExpireLapsed},
			background.Loop{Name: "cancel overdue orders", Every: cfg.SweepEvery, Run: s.CancelOverdue},
			background.Loop{Name: "ask for payments", Every: 250 * time.Millisecond, Run: s.TendPayments},
			background.Loop{Name: "open and close sales", Every: 250 * time.Millisecond, Run: s.TendSales},
			background.Loop{Name: "write down what was counted of sales", Every: 250 * time.Millisecond, Run: s.FlushSaleCounts},
			background.Loop{Name: "sample sales", Every: 250 * time.Millisecond, Run: s.SampleSales},
			background.Loop{Name: "give up rehearsals whose server is gone", Every: 5 * time.Second, Run: s.TendRehearsals},
			background.Loop{Name: "publish events, and relay them to webhooks", Every: 250 * time.Millisecond, Run: s.RelayEvents},
			background.Loop{Name: "send to webhooks", Every: 250 * time.Millisecond, Run: webhooks.Send},
			background.Loop{Name: "remove old deliveries to webhooks", Every: time.Minute, Run: s.ForgetDeliveries},
			background.Loop{Name: "tell of stock that came back", Every: 5 * time.Second, Run: s.TellRefilled},
			background.Loop{Name: "remove old idempotency keys", Every: time.Minute, Run: s.ForgetKeys},
			background.Loop{Name: "settle queues that nobody settles", Every: 500 * time.Millisecond, Run: s.SettleQueues},
			background.Loop{Name: "remove old transactions without units", Every: time.Minute, Run: s.RemoveWithoutUnits},
			background.Loop{Name: "measure the database's clock", Every: 5 * time.Second, Run: s.SyncClock},
		)
	}()
	return s, nil
}

// reachable is where one goes, on this machine, for what is listened on: of all addresses at once none can be opened in a browser.
func reachable(listened string) string {
	if where, err := netip.ParseAddrPort(listened); err == nil && where.Addr().IsUnspecified() {
		return fmt.Sprintf("localhost:%d", where.Port())
	}
	return listened
}

// closer is a payment provider that is to be closed before the pool.
type closer interface {
	payment.Provider
	Close()
}

// payments makes the payment provider; nil: payments are somebody else's.
func (s *service) payments() payment.Provider {
	switch s.cfg.Payment {
	case "test":
		s.provider = payment.NewTest(s.pool, payment.TestOptions{Notify: s.paymentChanged})
	case "stripe":
		s.provider = stripe.New(s.pool, stripe.Options{Key: string(s.cfg.StripeKey), WebhookSecrets: revealed(s.cfg.StripeSecrets), URL: s.cfg.StripeURL, Log: s.log})
	default:
		return nil // and not an interface that holds nil
	}
	return s.provider
}

// webhooks makes what sends events to those who subscribed.
func (s *service) webhooks() *webhook.Sender {
	client := address.NewClient(address.Options{})
	if s.cfg.WebhooksAnywhere {
		s.log.Warn("webhooks may be sent anywhere, also to this machine and without TLS: webhooks-anywhere is for development")
		client = webhook.NewOpenClient(10 * time.Second)
	}
	return webhook.New(s.Shop, webhook.Options{Client: client, Log: s.log})
}

// paymentChanged is told by the payment provider, which may do so before the shop is there or after it has gone: then the shop asks by itself.
func (s *service) paymentChanged(id shop.ID) {
	if s.Shop == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.PaymentChanged(ctx, id); err != nil {
		s.log.Debug("a payment that has changed could not be recorded, and is asked for later", "payment_id", id, "error", err)
	}
}

func (s *service) openDatabase(ctx context.Context) (err error) {
	s.databaseURL = s.cfg.DatabaseURL
	if s.databaseURL == "" {
		if s.postgres, err = pgserver.Start(ctx, pgserver.Options{Dir: s.cfg.DataDir, Logger: s.log}); err != nil {
			return err
		}
		s.databaseURL = s.postgres.URL()
	}
	o := pgdb.Options{MaxConns: s.cfg.DBConnections, QueryMode: s.cfg.QueryMode, ApplicationName: applicationName("serve")}
	if s.traces != nil {
		o.Traces = s.traces
	}
	s.pool, err = pgdb.Connect(ctx, s.databaseURL, o)
	if err != nil {
		return err
	}
	switch {
	case s.postgres != nil: // has just been started: nobody is kept waiting
		_, err := pgdb.MigrateUpHoweverLong(ctx, s.pool, migrations.FS)
		return err
	case s.cfg.Migrate:
		_, err := pgdb.MigrateUp(ctx, s.pool, migrations.FS)
		return err
	}
	return migrated(ctx, s.pool)
}

// migrated refuses a database whose schema is older than this program.
func migrated(ctx context.Context, pool *pgxpool.Pool) error {
	all, err := pgdb.MigrateStatus(ctx, pool, migrations.FS)
	if err != nil {
		return err
	}
	for _, m := range all {
		if !m.Applied {
			return fmt.Errorf("the database lacks migration %d: run lastunit migrate up, or start with --migrate", m.Version)
		}
	}
	return nil
}

// drainPatience is how long requests that are under way may take to finish when the service is told to stop.
const drainPatience = 15 * time.Second

// serve answers requests until ctx ends; then it drains, lets those under way finish and closes everything.
func (s *service) serve(ctx context.Context) error {
	defer s.close()
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.drain()
	s.log.Info("stopping")
	s.rehearsals.end() // while it can still ask for its copies to be removed
	s.StopWaiting()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
	defer cancel()
	s.door.shut(patience)
	s.log.Debug("the door is closed", "why", <-failed) // and the server knows of everybody whom it has taken
	s.door.heard(patience)
	if err := s.server.Shutdown(patience); err != nil {
		s.log.Warn("some requests did not finish in time", "error", err)
		return s.server.Close()
	}
	return nil
}

// farewell is how long connections that are kept have to be told, with an answer, that it was their last.
const farewell = 250 * time.Millisecond

// drain goes on serving, so that proxies and connections can see that the service is about to stop before its door is closed. A signal ends it.
func (s *service) drain() {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	s.log.Info("draining", "drain", s.cfg.Drain)
	s.rehearsals.interrupt() // before they find that the service is about to stop
	s.handler.Drain()
	s.door.closes.Store(true)
	select {
	case <-again:
	case <-time.After(max(s.cfg.Drain, farewell)):
	}
}

// close undoes what startService has done so far.
func (s *service) close() {
	s.rehearsals.end()
	if s.stop != nil {
		s.stop()
	}
	if s.server != nil {
		<-s.loops
	}
	s.metrics.close()
	if s.provider != nil {
		s.provider.Close()
	}
	if s.Shop != nil {
		s.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.postgres != nil {
		s.postgres.Stop()
	}
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.traces != nil {
		stopTracing(s.traces, s.log)
	}
}

// buyerSecret is the configured one; without one, and without a JWKS, the one that was made in the data directory.
func buyerSecret(cfg Config) ([]byte, error) {
	if cfg.BuyerSecret != "" || cfg.JWKSURL != "" {
		return []byte(string(cfg.BuyerSecret)), nil
	}
	return ownSecret(cfg.DataDir, "buyer-secret")
}

// ownSecret reads a secret that lastunit keeps for itself, making it the first time. Several processes may do so at once.
func ownSecret(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	if found, err := os.ReadFile(path); err == nil {
		return []byte(strings.TrimSpace(string(found))), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s can't be read: %w", path, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%s can't be made: %w", dir, err)
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	made := path + "." + hex.EncodeToString(random[:4])
	if err := os.WriteFile(made, []byte(hex.EncodeToString(random[:])+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("%s can't be written: %w", path, err)
	}
	defer func() { _ = os.Remove(made) }()
	// A link is made by one process only, and never shows a file that is half written.
	if err := os.Link(made, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s can't be written: %w", path, err)
	}
	found, err := os.ReadFile(path)
	return []byte(strings.TrimSpace(string(found))), err
}

// openShop is for commands that work on the database of a service, running or not.
func openShop(ctx context.Context, cfg Config) (*shop.Shop, *pgxpool.Pool, error) {
	pool, err := openPool(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := migrated(ctx, pool); err != nil {
		pool.Close()
		return nil, nil, err
	}
	return shop.New(pool, shop.Options{Hold: cfg.Hold, MaxQuantity: cfg.MaxQuantity, ShowStock: cfg.ShowStock}), pool, nil
}

// applicationName says to pg_stat_activity who holds a connection: what for, on which machine, in which process.
func applicationName(purpose string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("lastunit %s %d@%.40s", purpose, os.Getpid(), host) // PostgreSQL cuts it off after 63 bytes
}

func openPool(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	url := cfg.DatabaseURL
	if url == "" {
		var err error
		if url, err = pgserver.Running(cfg.DataDir); err != nil {
			return nil, err
		}
	}
	return pgdb.Connect(ctx, url, pgdb.Options{MaxConns: 4, QueryMode: cfg.QueryMode, ApplicationName: applicationName("command")})
}
