// Command claims measures claims of lastunit against what others would use for them, all behind the same HTTP, and holds what clients were answered against what a
// store has kept when it is killed. README.md of bench says what is what.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "claims serve:", err)
			os.Exit(1)
		}
		return
	}
	driven.Program{Name: "claims", Usage: usage, Timeout: time.Hour, Scenario: scenarioOf}.Main()
}

const usage = `go run ./bench/claims SCENARIO [flags]

  compare  claims a second, of lastunit and of others, in turn
  durable  each is killed, and what it answered is looked for
  grows    what a claim costs when there are many tokens, dead ones, and lapsed holds
  receipt  what it costs to receive a million units, also those who claim meanwhile
  audit    the same of an audit of ten million
  report   how long the report on a sale of a million claims takes
  import   what it costs to import a sheet of 100,000 lines, beside COPY of the same rows
  waiting  what it costs to let 10,000 wait, and what those are told who are too many
  open     what claims take that arrive by the clock
  metrics  what it costs direct claims that they are counted
  viewers  what it costs the database that thousands watch a product, and how late they see it change

SCENARIO -h lists the flags`

func scenarioOf(name string, f *flag.FlagSet) driven.Scenario {
	switch name {
	case "compare":
		o := compareOptions{}
		f.IntVar(&o.rounds, "rounds", 5, "how often each has a turn")
		f.IntVar(&o.connections, "connections", 256, "of buyers")
		f.DurationVar(&o.measure, "measure", 2500*time.Millisecond, "how long a turn is")
		f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
		f.StringVar(&o.only, "only", "", "turns, with | between them; empty: all")
		return func(ctx context.Context, binary string) error { return compare(ctx, binary, o, os.Stdout) }
	case "durable":
		o := durableOptions{}
		f.IntVar(&o.connections, "connections", 64, "of buyers")
		f.IntVar(&o.kills, "kills", 3, "of each store")
		f.DurationVar(&o.between, "between", 2*time.Second, "how long it is let be before it is killed")
		return func(ctx context.Context, binary string) error { return durable(ctx, binary, o, os.Stdout) }
	case "grows":
		o := growsOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return grows(ctx, binary, o, os.Stdout) }
	case "receipt":
		o := receiptOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return receipt(ctx, binary, o, os.Stdout) }
	case "audit":
		o := auditOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return audit(ctx, binary, o, os.Stdout) }
	case "report":
		o := saleReportOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return saleReport(ctx, binary, o, os.Stdout) }
	case "import":
		o := sheetsOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return sheets(ctx, binary, o, os.Stdout) }
	case "waiting":
		o := waitingOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return waiting(ctx, binary, o, os.Stdout) }
	case "open":
		o := openOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return open(ctx, binary, o, os.Stdout) }
	case "metrics":
		o := metricsOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return metrics(ctx, binary, o, os.Stdout) }
	case "viewers":
		o := viewersOptions{}
		o.flags(f)
		return func(ctx context.Context, binary string) error { return viewers(ctx, binary, o, os.Stdout) }
	}
	return nil
}
