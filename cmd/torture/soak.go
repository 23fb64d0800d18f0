package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/drive"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// soak drives servers at half of what they can do, with nothing broken, and tells what grows meanwhile.
func soak(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("torture soak", flag.ContinueOnError)
	during := f.Duration("for", time.Hour, "how long")
	clients := f.Int("clients", 200, "clients at once")
	if err := f.Parse(args); err != nil {
		return err
	}
	binary, err := driven.Built()
	if err != nil {
		return err
	}
	defer driven.RemoveBuilt()
	s, err := driven.Start(ctx, binary, 2, "--hold", "3s", "--sweep-every", "500ms", "--metrics-listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer s.Stop()
	before, err := lookAt(ctx, s)
	if err != nil {
		return err
	}
	peak, err := driveFor(ctx, s, drive.Options{Prefix: "peak-", Clients: *clients}, 30*time.Second, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "peak: %.0f attempts/s\n", peak)
	var seen []state
	rate, err := driveFor(ctx, s, drive.Options{Prefix: "soak-", Clients: *clients, Rate: peak / 2}, *during, func() error {
		now, err := lookAt(ctx, s)
		seen = append(seen, now)
		return err
	})
	fmt.Fprintf(out, "soak: %.0f attempts/s for %s\n", rate, *during)
	var after state
	if err == nil {
		driven.Pause(ctx, 10*time.Second)
		after, err = lookAt(ctx, s)
	}
	printGrowth(out, before, seen, after)
	if err != nil {
		return err
	}
	line, err := s.Audit()
	fmt.Fprintln(out, line)
	return err
}

// driveFor drives for so long, calls tell every few seconds, and returns the attempts in a second.
func driveFor(ctx context.Context, s *driven.Service, o drive.Options, during time.Duration, tell func() error) (float64, error) {
	log := history.NewLog(nil)
	o.Seed, o.Key, o.Addresses, o.Log = 1, s.Key, s.Addresses(), log
	r, err := drive.Prepare(ctx, o)
	if err != nil {
		return 0, err
	}
	before, _ := log.Ops()
	driving, stop := context.WithTimeout(ctx, during)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { r.Drive(driving, log) })
	for tell != nil && driving.Err() == nil {
		if err := tell(); err != nil && ctx.Err() == nil {
			return 0, err
		}
		driven.Pause(driving, max(during/120, time.Second))
	}
	all.Wait()
	after, _ := log.Ops()
	return float64(len(after)-len(before)) / during.Seconds(), ctx.Err()
}

// state is what may grow: the memory and the goroutines of the servers, and relations of 1 MiB or more, in MiB and in rows.
type state map[string]float64

func lookAt(ctx context.Context, s *driven.Service) (state, error) {
	now := state{}
	for i, server := range s.Servers {
		memory, _ := driven.Memory(server.PID())
		now[fmt.Sprintf("memory of server %d, MiB", i+1)] = memory
		goroutines, err := goroutines(ctx, server.Metrics)
		if err != nil {
			return nil, err
		}
		now[fmt.Sprintf("goroutines of server %d", i+1)] = goroutines
	}
	db, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close(ctx) }()
	rows, err := db.Query(ctx, `
		SELECT coalesce(of.relname || ': ' || class.relname, class.relname), pg_relation_size(class.oid) / 1048576.0, coalesce(of.relname, class.relname),
			(SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = coalesce(of.oid, class.oid))
		FROM pg_class AS class
		LEFT JOIN pg_index ON pg_index.indexrelid = class.oid
		LEFT JOIN pg_class AS of ON of.oid = pg_index.indrelid
		WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'i') AND pg_relation_size(class.oid) >= 1048576`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, table string
		var size float64
		var live int64
		if err := rows.Scan(&name, &size, &table, &live); err != nil {
			return nil, err
		}
		now[name+", MiB"] = size
		now["rows of "+table] = float64(live)
	}
	return now, rows.Err()
}

// goroutines reads how many there are from a server's metrics.
func goroutines(ctx context.Context, metrics string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metrics, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if n, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.ParseFloat(n, 64)
		}
	}
	return 0, fmt.Errorf("%s tells of no goroutines", metrics)
}

// printGrowth shows what each was before anybody came, after a quarter, a half, three quarters, and in the end, the median of some looks before, and when all had gone.
func printGrowth(out io.Writer, before state, seen []state, after state) {
	if len(seen) < 8 {
		return
	}
	fmt.Fprintf(out, "%-60s %10s %10s %10s %10s %10s %10s\n", "", "before", "1/4", "1/2", "3/4", "end", "after")
	for _, name := range slices.Sorted(maps.Keys(seen[len(seen)-1])) {
		fmt.Fprintf(out, "%-60s %10.1f", name, before[name])
		for quarter := 1; quarter <= 4; quarter++ {
			end := len(seen) * quarter / 4
			var some []float64
			for _, s := range seen[end-len(seen)/8 : end] {
				some = append(some, s[name])
			}
			slices.Sort(some)
			fmt.Fprintf(out, " %10.1f", some[len(some)/2])
		}
		fmt.Fprintf(out, " %10.1f\n", after[name])
	}
}
