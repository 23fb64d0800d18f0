package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// claimer decides a claim, as shop.Claim does.
type claimer func(context.Context, shop.ClaimRequest) (shop.Claimed, error)

// stores are what a contender may keep its claims in.
type stores struct {
	pool  *pgxpool.Pool
	redis *redis.Client
}

// contenders are what lastunit is compared with, by name: each decides claims behind the HTTP of lastunit.
var contenders = map[string]func(stores) claimer{
	"no-op":           func(stores) claimer { return noop },
	"redis":           redisPerRequest,
	"redis, lane":     redisBehindLane,
	"counter, lane":   counterBehindLane,
	"counter, update": counterUpdated,
	"counter, lock":   counterLocked,
	"units in place":  unitsInPlace,
	"tokens, no lane": tokensWithoutLane,
}

// noop has the input and the output of a claim, and does nothing.
func noop(_ context.Context, r shop.ClaimRequest) (shop.Claimed, error) {
	return held(r, pgdb.NewID(), time.Now()), nil
}

// held is the answer to a claim that has got its units, the same for all contenders. Those that keep no units make their ids up.
func held(r shop.ClaimRequest, id shop.ID, at time.Time) shop.Claimed {
	units := make([]shop.ID, r.Quantity)
	for i := range units {
		units[i] = pgdb.NewID()
	}
	until := at.Add(hold)
	return shop.Claimed{Transaction: shop.Transaction{
		ID: id, Buyer: r.Buyer, Status: shop.Held, SKU: r.SKU, Quantity: r.Quantity, UnitIDs: units,
		Price: &shop.Money{Amount: price, Currency: currency}, CreatedAt: at, ExpiresAt: &until,
	}}
}

const (
	price    = 6900
	currency = "EUR"
)

// errSoldOut is how contenders refuse: they know no better reason.
var errSoldOut = &shop.Refusal{Code: shop.SoldOut, Detail: "Every unit is sold. None will come back by itself."}

// serve runs a contender until it is told to stop.
func serve(args []string) error {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := f.String("contender", "", "which")
	listen := f.String("listen", "", "address")
	secret := f.String("secret", "", "of the buyers' tokens")
	database := f.String("database", "", "URL")
	redisAt := f.String("redis", "", "address")
	connections := f.Int("connections", 16, "to the store, at most")
	if err := f.Parse(args); err != nil {
		return err
	}
	debug.SetGCPercent(400) // as lastunit does
	make, ok := contenders[*name]
	if !ok {
		return fmt.Errorf("there is no contender %q", *name)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var at stores
	if *database != "" {
		pool, err := pgdb.Connect(ctx, *database, pgdb.Options{MaxConns: *connections})
		if err != nil {
			return err
		}
		defer pool.Close()
		at.pool = pool
	}
	if *redisAt != "" {
		at.redis = redis.NewClient(&redis.Options{Addr: *redisAt, PoolSize: *connections, MinIdleConns: *connections})
		defer at.redis.Close()
		if err := at.redis.Ping(ctx).Err(); err != nil {
			return err
		}
	}
	handler, err := httpapi.New(ctx, nil, httpapi.Options{
		Buyers: httpapi.Buyers{Secret: []byte(*secret)},
		Log:    slog.New(slog.DiscardHandler),
		Claim:  make(at),
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	fmt.Println("ready")
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
