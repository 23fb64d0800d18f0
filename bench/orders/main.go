// Command orders runs sales, carts, orders and payments from outside, against the built lastunit, and holds what buyers were told, what the
// payment provider has taken and what the database has against each other. README.md of bench says what the scenarios are.
package main

import (
	"context"
	"flag"
	"os"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

func main() {
	driven.Program{Name: "orders", Usage: usage, Timeout: time.Hour, Scenario: scenarioOf}.Main()
}

const usage = `go run ./bench/orders SCENARIO [flags]

  faults  money and units add up, whatever the cards do and whatever is killed
  limit   nobody is ever above the purchase limit, and everybody with patience reaches it
  carts   carts of several products in any order never deadlock
  hoard   what somebody with a thousand accounts can freeze, and what settings do about it
  export  a million lines in flat memory

SCENARIO -h lists the flags`

func scenarioOf(name string, f *flag.FlagSet) driven.Scenario {
	switch name {
	case "faults":
		o := faultsOptions{}
		f.IntVar(&o.orders, "orders", 10000, "orders")
		f.IntVar(&o.clients, "clients", 128, "buyers at once")
		f.IntVar(&o.products, "products", 8, "products of which there is enough; there are others with a few units each")
		f.IntVar(&o.kills, "kills", 10, "times that a lastunit is killed, and its PostgreSQL with it")
		f.IntVar(&o.servers, "servers", 1, "servers on the database")
		f.IntVar(&o.silences, "silences", 4, "how many late charges at once the provider says nothing about, until their money comes too late")
		f.DurationVar(&o.hold, "hold", 20*time.Second, "length of a hold, and of the time to pay")
		f.Uint64Var(&o.seed, "seed", 0, "of what the buyers do; 0: one of its own")
		return func(ctx context.Context, binary string) error { return end(faults(ctx, binary, o, os.Stdout)) }
	case "limit":
		o := limitOptions{}
		f.IntVar(&o.buyers, "buyers", 200, "buyers")
		f.IntVar(&o.tries, "tries", 24, "tries of a buyer at once")
		f.IntVar(&o.limit, "limit", 2, "units that a buyer may have; there are as many as all may have together")
		f.IntVar(&o.rounds, "rounds", 3, "how often the buyers try and give back, before they keep what they get")
		f.IntVar(&o.servers, "servers", 2, "servers on the database")
		f.DurationVar(&o.hold, "hold", 15*time.Second, "length of a hold")
		return func(ctx context.Context, binary string) error { return end(limit(ctx, binary, o, os.Stdout)) }
	case "carts":
		o := cartsOptions{}
		f.IntVar(&o.checkouts, "checkouts", 100000, "checkouts")
		f.IntVar(&o.clients, "clients", 64, "clients at once; two share a buyer")
		f.IntVar(&o.products, "products", 20, "products")
		f.IntVar(&o.servers, "servers", 1, "servers on the database")
		f.DurationVar(&o.hold, "hold", 10*time.Second, "length of a hold")
		return func(ctx context.Context, binary string) error { return end(carts(ctx, binary, o, os.Stdout)) }
	case "hoard":
		o := hoardOptions{}
		f.IntVar(&o.accounts, "accounts", 1000, "accounts of the hoarder")
		f.IntVar(&o.clients, "clients", 16, "connections of the hoarder")
		f.IntVar(&o.units, "units", 300, "units in stock")
		f.DurationVar(&o.took, "for", 15*time.Second, "how long each defence is tried")
		f.IntVar(&o.perSecond, "buyers", 10, "buyers who come in a second, each of whom wants one unit")
		f.DurationVar(&o.patience, "patience", 5*time.Second, "how long a buyer goes on asking, twice a second")
		return func(ctx context.Context, binary string) error { return hoard(ctx, binary, o, os.Stdout) }
	case "export":
		o := exportOptions{}
		f.IntVar(&o.lines, "lines", 1000000, "lines of orders")
		return func(ctx context.Context, binary string) error { return end(export(ctx, binary, o, os.Stdout)) }
	}
	return nil
}

func end(v *verdict, err error) error {
	if err == nil && len(v.findings) > 0 {
		err = driven.ErrBroken
	}
	return err
}
