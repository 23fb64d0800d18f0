package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/drive"
	"github.com/lastunit/lastunit/internal/torture/proxy"
)

// flood lets many times more arrive than a server can serve. The way to its database takes a while, so that a server is busy long before this machine is, which has the clients as well.
func flood(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("torture flood", flag.ContinueOnError)
	var o drive.FloodOptions
	f.DurationVar(&o.For, "for", 5*time.Minute, "how long")
	f.Float64Var(&o.Times, "times", 10, "how many times the peak arrives")
	f.IntVar(&o.Connections, "connections", 4096, "that requests arrive on")
	f.IntVar(&o.Units, "units", 700_000, "in stock: enough for all that are served")
	waiting := f.Int("max-waiting", 128, "of the server: how many claims may wait to be settled")
	way := f.Duration("way", 20*time.Millisecond, "what is sent to the database, and what comes back, takes so long each")
	if err := f.Parse(args); err != nil {
		return err
	}
	binary, err := driven.Built()
	if err != nil {
		return err
	}
	defer driven.RemoveBuilt()
	beside, err := driven.Start(ctx, binary, 1) // which has the PostgreSQL
	if err != nil {
		return err
	}
	defer beside.Stop()
	p, database, err := before(beside.Database())
	if err != nil {
		return err
	}
	defer p.Close()
	if *way == 0 {
		database = beside.Database() // not through the proxy, which has the clients' processor time
	}
	s, err := driven.StartOn(ctx, binary, []string{database}, "--hold", "1h", "--max-waiting", fmt.Sprint(*waiting))
	if err != nil {
		return err
	}
	defer s.Stop()
	p.Delay(*way)
	o.Prefix, o.Key, o.Addresses, o.Closed = "flood-", s.Key, s.Addresses(), *waiting
	flooded, err := drive.Flood(ctx, o)
	flooded.Print(out)
	if err != nil {
		return err
	}
	p.Heal()
	line, err := beside.Audit()
	fmt.Fprintln(out, line)
	return err
}

// before puts a proxy before a database, which may be at a socket, and tells the URL that leads through it.
func before(database string) (p *proxy.Proxy, through string, err error) {
	config, err := pgconn.ParseConfig(database)
	if err != nil {
		return nil, "", err
	}
	_, address := pgconn.NetworkAddress(config.Host, config.Port)
	if p, err = proxy.New("127.0.0.1:0", address, nil); err != nil {
		return nil, "", err
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: p.Address(), Path: config.Database, RawQuery: "sslmode=disable"}
	return p, u.String(), nil
}
