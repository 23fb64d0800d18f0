// Command queue runs the queued way of claiming from outside, against the built lastunit, and holds what clients saw against what the
// service promises. README.md of bench says what the scenarios are.
package main

import (
	"context"
	"flag"
	"os"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

func main() {
	driven.Program{Name: "queue", Usage: usage, Timeout: 10 * time.Minute, Scenario: scenarioOf}.Main()
}

const usage = `go run ./bench/queue SCENARIO [flags]

  order    who was accepted first is served first, over several servers
  faults   nothing is lost or done twice, whatever is killed
  retries  one key is one transaction, sent both ways and to two servers at once
  latency  how long it takes to know the outcome, idle
  events   thousands of clients who wait by server-sent events

SCENARIO -h lists the flags`

func scenarioOf(name string, f *flag.FlagSet) driven.Scenario {
	var o orders
	crowdFlags := func(requests, clients, products, direct int) *int {
		f.IntVar(&o.requests, "requests", requests, "requests; there are half as many units")
		f.IntVar(&o.clients, "clients", clients, "clients at once")
		f.IntVar(&o.products, "products", products, "products that the requests are spread over")
		f.IntVar(&o.burst, "burst", 16, "requests at most that a client sends before it follows them")
		f.IntVar(&o.directEvery, "direct-every", direct, "every so manieth request is a direct claim; 0: none")
		f.IntVar(&o.cancelEvery, "cancel-every", 0, "every so manieth request for the last product is cancelled; 0: none")
		return f.Int("servers", map[string]int{"order": 2}[name]+map[string]int{"faults": 1}[name], "servers on the database")
	}
	switch name {
	case "order":
		servers := crowdFlags(5000, 128, 1, 5)
		return func(ctx context.Context, binary string) error {
			return broken(order(ctx, binary, *servers, o, os.Stdout))
		}
	case "faults":
		servers := crowdFlags(100000, 128, 4, 0)
		kills := f.Int("kills", 30, "times that a lastunit is killed")
		postgresKills := f.Int("postgres-kills", 10, "times that PostgreSQL is killed")
		return func(ctx context.Context, binary string) error {
			return broken(faults(ctx, binary, *servers, *kills, *postgresKills, o, os.Stdout))
		}
	case "retries":
		keys := f.Int("keys", 2000, "keys; there are half as many units")
		times := f.Int("times", 8, "times that each is sent at once")
		return func(ctx context.Context, binary string) error {
			return broken(retries(ctx, binary, *keys, *times, os.Stdout))
		}
	case "latency":
		requests := f.Int("requests", 2000, "requests of each series")
		return func(ctx context.Context, binary string) error { return latency(ctx, binary, *requests, os.Stdout) }
	case "events":
		clients := f.Int("clients", 10000, "clients who wait")
		wait := f.Duration("wait", 10*time.Second, "how long they wait")
		return func(ctx context.Context, binary string) error { return events(ctx, binary, *clients, *wait, os.Stdout) }
	}
	return nil
}

func broken(v *verdict, err error) error {
	if err == nil && len(v.findings) > 0 {
		err = driven.ErrBroken
	}
	return err
}
