package web_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/background"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/rehearsal"
	"github.com/lastunit/lastunit/internal/shop"
)

const buyerSecret = "a secret that only the shop and lastunit know"

// world is a service on a database of its own, which a test may stop, start again at the same address, and look into.
type world struct {
	mu      sync.Mutex
	db      *pgxpool.Pool
	address string
	stop    func()
	stopped sync.WaitGroup    // what was stopped, and may have work under way
	queues  map[string]pgx.Tx // that are kept from going on
	origins []string          // whose pages may call
}

// start serves until stop is called, which breaks all connections.
func (w *world) start() error {
	if w.stop != nil {
		return nil
	}
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		return err
	}
	w.address = listener.Addr().String()
	var s *shop.Shop
	provider := payment.NewTest(w.db, payment.TestOptions{Notify: func(id pgdb.ID) { _ = s.PaymentChanged(context.Background(), id) }})
	s = shop.New(w.db, shop.Options{Provider: provider, ShowStock: -1})
	ctx, end := context.WithCancel(context.Background())
	options := httpapi.Options{
		Buyers:      httpapi.Buyers{Secret: []byte(buyerSecret)},
		GuestRate:   100_000,
		CORSOrigins: w.origins,
		Rehearse:    func(r shop.Rehearsal, secret string) { w.stopped.Go(func() { w.play(ctx, s, r, secret) }) },
		Log:         slog.New(slog.DiscardHandler),
		Heartbeat:   500 * time.Millisecond,
	}
	handler, err := httpapi.New(ctx, s, options)
	server := &http.Server{Handler: handler}
	w.stop = func() {
		_ = server.Close()
		end()
		s.StopWaiting() // ends the streams of events
		w.stop = nil
		w.stopped.Go(func() {
			s.Close()
			provider.Close()
		})
	}
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(listener) }()
	w.stopped.Go(func() {
		background.Run(ctx, options.Log,
			background.Loop{Name: "settle queues that nobody settles", Every: 500 * time.Millisecond, Run: s.SettleQueues},
			background.Loop{Name: "write down what was counted of sales", Every: 250 * time.Millisecond, Run: s.FlushSaleCounts},
			background.Loop{Name: "sample sales", Every: 250 * time.Millisecond, Run: s.SampleSales},
		)
	})
	return nil
}

// answer does what a test asks of its world.
func (w *world) answer(r *http.Request) (any, error) {
	if r.PathValue("what") == "rehearse" { // while the rest goes on
		return w.rehearse(r)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	sku := r.FormValue("sku")
	switch r.PathValue("what") {
	case "stop":
		if w.stop != nil {
			w.stop()
		}
		return nil, nil
	case "start":
		return nil, w.start()
	case "count": // the rows that a query counts
		var n int
		return &n, w.db.QueryRow(r.Context(), r.FormValue("sql")).Scan(&n)
	case "key": // of an operator who may not do everything
		var scopes []shop.Scope
		for _, scope := range strings.Fields(r.FormValue("scopes")) {
			scopes = append(scopes, shop.Scope(scope))
		}
		key, _, err := shop.New(w.db, shop.Options{}).CreateKey(r.Context(), "narrow", scopes)
		return key, err
	case "hold": // the queue of a product, so that requests stay queued
		const begin = `INSERT INTO queue_head SELECT product_id, 0, 0 FROM product WHERE sku = $1 ON CONFLICT DO NOTHING`
		if _, err := w.db.Exec(r.Context(), begin, sku); err != nil {
			return nil, err
		}
		tx, err := w.db.Begin(context.WithoutCancel(r.Context()))
		if err != nil {
			return nil, err
		}
		w.queues[sku] = tx
		var place int64
		const turn = `SELECT place FROM queue_head JOIN product USING (product_id) WHERE sku = $1 FOR NO KEY UPDATE OF queue_head`
		return nil, tx.QueryRow(r.Context(), turn, sku).Scan(&place)
	case "go":
		tx := w.queues[sku]
		delete(w.queues, sku)
		return nil, tx.Rollback(r.Context())
	}
	return nil, fmt.Errorf("a world can't %s", r.PathValue("what"))
}

// play plays a rehearsal that was started over HTTP, as the program does.
func (w *world) play(ctx context.Context, s *shop.Shop, r shop.Rehearsal, secret string) {
	var count rehearsal.Count
	seen := func() (sent, held, refused int64) { return count.Sent.Load(), count.Held.Load(), count.Refused.Load() }
	_ = s.PlayRehearsal(ctx, r, seen, func(ctx context.Context) (json.RawMessage, error) {
		report, err := rehearsal.RunSale(ctx, rehearsal.SaleOptions{
			Options: rehearsal.Options{URLs: []string{"http://" + w.address}, Key: secret, InProcess: true},
			Sale:    r.SaleID.String(), Buyers: r.Buyers, Name: r.Name(), Count: &count,
		})
		if err != nil {
			return nil, err
		}
		return json.Marshal(report)
	})
}

// rehearse lets a crowd loose on a product of its own, and fails when an invariant broke.
func (w *world) rehearse(r *http.Request) (any, error) {
	buyers, err := strconv.Atoi(r.FormValue("buyers"))
	if err != nil {
		return nil, err
	}
	report, err := rehearsal.Run(r.Context(), rehearsal.Options{
		URLs: []string{"http://" + w.address}, Key: r.FormValue("key"), InProcess: true,
		Cases: []rehearsal.Case{{Buyers: buyers, Stock: buyers / 2, QuantityMin: 1, QuantityMax: 1}},
	})
	if err == nil && !report.OK() {
		err = fmt.Errorf("the rehearsal found %+v", report)
	}
	return nil, err
}

func (w *world) close() {
	for _, tx := range w.queues {
		_ = tx.Rollback(context.Background())
	}
	if w.stop != nil {
		w.stop()
	}
	w.stopped.Wait()
}

// serveWorlds makes worlds for tests that are not written in Go, and returns the address at which they ask for them.
func serveWorlds(t *testing.T) string {
	t.Helper()
	var mu sync.Mutex
	worlds := map[string]*world{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /worlds", func(rw http.ResponseWriter, r *http.Request) {
		w := &world{db: dbtest.Pool(t), address: "127.0.0.1:0", queues: map[string]pgx.Tx{}, origins: []string{cmp.Or(r.FormValue("cors"), "https://shop.example")}}
		t.Cleanup(w.close)
		err := w.start()
		var key string
		if err == nil {
			key, _, err = shop.New(w.db, shop.Options{}).CreateKey(r.Context(), "test", []shop.Scope{"*"})
		}
		mu.Lock()
		defer mu.Unlock()
		id := fmt.Sprint(len(worlds))
		worlds[id] = w
		reply(rw, map[string]string{"id": id, "url": "http://" + w.address, "key": key, "secret": buyerSecret}, err)
	})
	mux.HandleFunc("POST /worlds/{id}/{what}", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		w := worlds[r.PathValue("id")]
		mu.Unlock()
		answer, err := w.answer(r)
		reply(rw, answer, err)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func reply(rw http.ResponseWriter, answer any, err error) {
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(rw).Encode(answer)
}
