package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const naiveConnections = 32

// naiveShop is a running naive shop: a schema, a pool and a server on loopback.
type naiveShop struct {
	schema  string
	pool    *pgxpool.Pool
	server  *http.Server
	servers []*server // itself, as its buyers see it
	ended   chan struct{}
}

// openNaive makes the schema and starts the shop. On an error nothing is left.
func openNaive(ctx context.Context, databaseURL string) (*naiveShop, error) {
	settings, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	n := &naiveShop{schema: "naive_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12], ended: make(chan struct{})}
	settings.MaxConns = naiveConnections
	settings.ConnConfig.RuntimeParams["search_path"] = n.schema
	if n.pool, err = pgxpool.NewWithConfig(ctx, settings); err != nil {
		return nil, err
	}
	schema := pgx.Identifier{n.schema}.Sanitize()
	if _, err := n.pool.Exec(ctx, fmt.Sprintf(`
		CREATE SCHEMA %[1]s;
		CREATE TABLE %[1]s.stock (sku text PRIMARY KEY, quantity integer NOT NULL);
		CREATE TABLE %[1]s.orders (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			sku text NOT NULL REFERENCES %[1]s.stock,
			quantity integer NOT NULL,
			buyer text NOT NULL,
			created_at timestamptz NOT NULL DEFAULT now()
		)`, schema)); err != nil {
		n.pool.Close()
		return nil, fmt.Errorf("create schema %s: %w", n.schema, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		n.servers, err = parseServers([]string{"http://" + listener.Addr().String()}, nil)
	}
	if err != nil {
		return nil, errors.Join(err, n.drop(context.WithoutCancel(ctx)))
	}
	n.server = &http.Server{Handler: naiveHandler(n.pool), ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(n.ended)
		_ = n.server.Serve(listener) // always ends with ErrServerClosed
	}()
	return n, nil
}

func (n *naiveShop) close(ctx context.Context) error {
	err := n.server.Close()
	<-n.ended
	return errors.Join(err, n.drop(ctx))
}

func (n *naiveShop) drop(ctx context.Context) error {
	defer n.pool.Close()
	_, err := n.pool.Exec(ctx, `DROP SCHEMA `+pgx.Identifier{n.schema}.Sanitize()+` CASCADE`)
	return err
}

// playNaive sends a crowd to the naive shop and counts what it sold.
func (p *player) playNaive(ctx context.Context, n *naiveShop) (*NaiveReport, error) {
	sku := "naive-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	if _, err := n.pool.Exec(ctx, `INSERT INTO stock (sku, quantity) VALUES ($1, $2)`, sku, p.Stock); err != nil {
		return nil, fmt.Errorf("stock product: %w", err)
	}
	answers, _, err := p.send(ctx, n.servers, errand{skus: []string{sku}, rate: p.options.Rate, mode: Direct})
	if err != nil {
		return nil, err
	}
	r := &NaiveReport{Latency: latencyOf(answers)}
	for _, a := range answers {
		switch {
		case a.refused != nil:
			r.Refused++
		case a.held == nil:
			r.Faults++
		}
	}
	err = n.pool.QueryRow(ctx, `
		SELECT count(*), coalesce(sum(orders.quantity), 0), (SELECT stock.quantity FROM stock WHERE stock.sku = $1)
		FROM orders
		WHERE orders.sku = $1`, sku).Scan(&r.Orders, &r.UnitsSold, &r.StockNow)
	if err != nil {
		return nil, fmt.Errorf("count orders: %w", err)
	}
	return r, nil
}
