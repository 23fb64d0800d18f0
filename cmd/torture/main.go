// Command torture breaks lastunit on purpose and checks what it answered: docs/proof.md says what it looks for and what it has found.
//
//	torture run   -for 10m -standby           all faults, by a printed seed; exit 1 when something is found
//	torture bugs  -within 60s                 lastunit with a mistake in it, one after the other: each must be found
//	torture list                              the mistakes, and without which fault they can't be seen
//	torture flood -for 5m                     ten times more than a server can serve
//	torture soak  -for 1h                     half of what servers can do, and what grows
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture"
	"github.com/lastunit/lastunit/internal/torture/bug"
)

const usage = `usage: torture run|bugs|list|flood|soak [flags]; torture run -h lists them`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "run":
		return tortureOnce(ctx, args[1:], out)
	case "bugs":
		return findBugs(ctx, args[1:], out)
	case "flood":
		return flood(ctx, args[1:], out)
	case "soak":
		return soak(ctx, args[1:], out)
	case "list":
		for _, b := range bug.Bugs {
			fmt.Fprintf(out, "%-26s %s\n", b.Name, b.What)
			if len(b.Needs) > 0 {
				fmt.Fprintf(out, "%-26s (needs %s)\n", "", strings.Join(b.Needs, ", "))
			}
		}
		return nil
	}
	return errors.New(usage)
}

// flags are those that both commands have.
func flags(name string) (*flag.FlagSet, *torture.Options, *string, *string) {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	o := &torture.Options{}
	f.StringVar(&o.Binary, "lastunit", "", "the program, if it is not to be built")
	f.StringVar(&o.Before, "before", "", "an earlier build of the program, which knows all migrations but the newest: servers begin as that one, and are upgraded under load")
	f.DurationVar(&o.Round, "round", 20*time.Second, "how long clients drive before everything is healed and checked")
	f.DurationVar(&o.World, "world", 10*time.Minute, "how old a world may become before it is made anew, with an empty database; 0: as old as the run")
	f.IntVar(&o.Servers, "servers", 2, "servers on one database")
	f.BoolVar(&o.Standby, "standby", true, "with a synchronous standby, and promotions")
	f.IntVar(&o.Clients, "clients", 200, "clients at once")
	f.Float64Var(&o.Rate, "rate", 0, "attempts a second at most; 0: as many as go")
	f.IntVar(&o.Plenty, "plenty", 0, "units of what there is plenty of: with few everything is gone most of the time; 0: 2000, 1000 where a mistake is looked for")
	f.Uint64Var(&o.Seed, "seed", 0, "of a run before, to have the same choices again; 0: draw one")
	f.StringVar(&o.History, "history", "", "a directory that gets what clients saw, a file of JSON lines for each round")
	faults := f.String("faults", "", "names of faults, with commas between; none; empty: all")
	verbose := f.String("log", "warn", "level: debug, info, warn")
	return f, o, faults, verbose
}

func parse(f *flag.FlagSet, o *torture.Options, faults, level *string, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if *faults != "" {
		o.Faults = strings.Split(*faults, ",")
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(*level)); err != nil {
		return err
	}
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
	return nil
}

func tortureOnce(ctx context.Context, args []string, out io.Writer) error {
	f, o, faults, level := flags("torture run")
	f.DurationVar(&o.For, "for", time.Minute, "how long to begin new rounds")
	results := f.String("json", "", "a file for the figures")
	name := f.String("bug", "", "run lastunit with this bug in it")
	clock := f.Bool("clock", false, "also with servers whose clock is an hour ahead: that builds everything anew, which takes minutes the first time")
	if err := parse(f, o, faults, level, args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lastunit-bug-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var b bug.Bug
	if *name != "" {
		found := false
		if b, found = bug.Named(*name); !found {
			return fmt.Errorf("there is no bug %q", *name)
		}
		o.Bug = &b
		if o.Binary, err = b.Build(ctx, dir); err != nil {
			return err
		}
	}
	if *clock || b.Ahead {
		if o.Ahead, err = buildAhead(ctx, b, dir); err != nil {
			return err
		}
	}
	if o.Binary == "" {
		path, err := driven.Built()
		if err != nil {
			return err
		}
		defer driven.RemoveBuilt()
		o.Binary = path
	}
	r, err := torture.Run(ctx, *o, out)
	if r != nil {
		r.Print(out)
	}
	if err == nil && *results != "" {
		text, _ := json.MarshalIndent(r, "", "  ")
		err = os.WriteFile(*results, append(text, '\n'), 0o644)
	}
	if err == nil && len(r.Violations) > 0 {
		err = torture.ErrViolated
	}
	return err
}

// findBugs runs lastunit with one bug after the other, and fails unless each is found in time.
func findBugs(ctx context.Context, args []string, out io.Writer) error {
	f, o, faults, level := flags("torture bugs")
	f.DurationVar(&o.For, "within", time.Minute, "how long each may stay hidden")
	only := f.String("only", "", "names, with commas between; empty: all")
	if err := parse(f, o, faults, level, args); err != nil {
		return err
	}
	missed := 0
	for _, b := range bug.Bugs {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), b.Name) {
			continue
		}
		found, err := findBug(ctx, *o, b)
		switch {
		case err != nil:
			missed++
			fmt.Fprintf(out, "%-26s nothing can be said: %v\n", b.Name, err)
		case found == "":
			missed++
			fmt.Fprintf(out, "%-26s MISSED\n", b.Name)
		default:
			fmt.Fprintf(out, "%-26s %s\n", b.Name, found)
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d bugs were not found", missed)
	}
	return nil
}

// buildAhead builds the program with a clock that is ahead, beside another one.
func buildAhead(ctx context.Context, b bug.Bug, dir string) (string, error) {
	beside := filepath.Join(dir, "ahead")
	if err := os.Mkdir(beside, 0o755); err != nil {
		return "", err
	}
	return b.BuildAhead(ctx, beside)
}

// findBug tells how a bug was found, empty: it was not.
func findBug(ctx context.Context, o torture.Options, b bug.Bug) (string, error) {
	dir, err := os.MkdirTemp("", "lastunit-bug-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.Binary, err = b.Build(ctx, dir); err != nil {
		return "", err
	}
	o.Bug = &b
	if b.Ahead {
		if o.Ahead, err = buildAhead(ctx, b, dir); err != nil {
			return "", err
		}
	}
	r, err := torture.Run(ctx, o, io.Discard)
	if err != nil {
		return "", err
	}
	rules := map[string]int{}
	for _, v := range r.Violations {
		rules[v.Rule]++
	}
	if len(rules) == 0 {
		return "", nil
	}
	return fmt.Sprintf("found after %.0f s, seed %d: %s", r.Found.Seconds(), r.Seed, strings.Join(slices.Sorted(maps.Keys(rules)), ", ")), nil
}
