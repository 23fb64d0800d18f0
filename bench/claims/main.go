// Command claims measures claims against what others would use for them.
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

SCENARIO -h lists the flags`

func scenarioOf(name string, f *flag.FlagSet) driven.Scenario {
	switch name {
	case "compare":
		o := compareOptions{}
		f.IntVar(&o.rounds, "rounds", 5, "how often each has a turn")
		f.IntVar(&o.connections, "connections", 256, "of buyers")
		f.DurationVar(&o.measure, "measure", 4*time.Second, "how long a turn is")
		f.StringVar(&o.results, "results", "bench/results.json", "where the figures go, and beside it the plot; empty: nowhere")
		f.StringVar(&o.only, "only", "", "turns, with | between them; empty: all")
		return func(ctx context.Context, binary string) error { return compare(ctx, binary, o, os.Stdout) }
	}
	return nil
}
