// Package world is what a torture run tortures: PostgreSQL clusters (a primary and a synchronous standby), lastunit servers, and proxies between them and before them; and
// what can be done to all of these (Faults).
package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/pgserver"
	"github.com/lastunit/lastunit/internal/torture/proxy"
)

// Options of Start.
type Options struct {
	Binary  string
	Servers int
	Standby bool     // with a synchronous standby
	Args    []string // more for serve
	Ahead   string   // a build of the program whose clock is ahead; empty: there is none
	Before  string   // the build before Binary, which knows all its migrations but the newest: servers begin as this one; empty: as Binary
	Log     *slog.Logger
}

// World is up from Start to Stop.
type World struct {
	Options
	dir      string
	unmount  func()
	clusters []*cluster // as each server's URL names them
	primary  int
	servers  *driven.Service
	outer    []*proxy.Proxy   // before each server
	inner    [][]*proxy.Proxy // of each server, before each cluster
	mu       sync.Mutex
	counts   map[string]int
	upgraded bool     // or there is no build before
	filled   []string // files that fill disks
}

const database = "lastunit"

// Start brings everything up: migrated, in sync, with a key.
func Start(ctx context.Context, o Options) (w *World, err error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	w = &World{Options: o, counts: map[string]int{}, upgraded: o.Before == ""}
	defer func() {
		if err != nil {
			w.Stop()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "lastunit-torture-"); err != nil {
		return w, err
	}
	if err := os.Chmod(w.dir, 0o755); err != nil { // PostgreSQL may run as somebody else, who has to enter it
		return w, err
	}
	for _, dir := range []string{w.dataDir(), w.walDir(), w.logDir()} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return w, err
		}
	}
	w.mount()
	if err := w.startClusters(ctx); err != nil {
		return w, err
	}
	return w, w.startServers(ctx)
}

func (w *World) dataDir() string { return filepath.Join(w.dir, "data") }

func (w *World) walDir() string { return filepath.Join(w.dir, "wal") }

func (w *World) logDir() string { return filepath.Join(w.dir, "log") }

func (w *World) startClusters(ctx context.Context) error {
	tools, err := pgserver.FindTools(ctx)
	if err != nil {
		return err
	}
	names := []string{"a"}
	if w.Standby {
		names = append(names, "b")
	}
	for _, name := range names {
		c, err := newCluster(tools, w.dataDir(), w.walDir(), w.logDir(), name)
		if err != nil {
			return err
		}
		w.clusters = append(w.clusters, c)
	}
	first := w.clusters[0]
	if err := first.make(ctx); err != nil {
		return err
	}
	if err := first.start(ctx); err != nil {
		return err
	}
	if err := first.ask(ctx, "CREATE DATABASE "+database, nil); err != nil {
		return err
	}
	if !w.Standby {
		return nil
	}
	return w.attach(ctx, w.clusters[1])
}

// attach makes a cluster the standby of the primary, and has commits wait for it.
func (w *World) attach(ctx context.Context, standby *cluster) error {
	primary := w.clusters[w.primary]
	if err := standby.follow(ctx, primary); err != nil {
		return err
	}
	if err := standby.start(ctx); err != nil {
		return err
	}
	if err := primary.require(ctx, standby.name); err != nil {
		return err
	}
	return primary.inSync(ctx, standby)
}

func (w *World) startServers(ctx context.Context) error {
	commit := []byte("commit\x00")
	var urls []string
	for range w.Servers {
		var inner []*proxy.Proxy
		var hosts []string
		for _, c := range w.clusters {
			p, err := newProxy(c.address, commit)
			if err != nil {
				return err
			}
			inner = append(inner, p)
			hosts = append(hosts, p.Address())
		}
		w.inner = append(w.inner, inner)
		urls = append(urls, "postgres://lastunit@"+strings.Join(hosts, ",")+"/"+database+"?sslmode=disable&target_session_attrs=read-write&connect_timeout=2")
	}
	var err error
	if w.servers, err = driven.StartOn(ctx, cmp.Or(w.Before, w.Binary), urls, append([]string{"--migrate"}, w.Args...)...); err != nil {
		return err
	}
	for _, s := range w.servers.Servers {
		p, err := newProxy(s.Address, nil)
		if err != nil {
			return err
		}
		w.outer = append(w.outer, p)
	}
	return w.ready(ctx)
}

func newProxy(target string, aim []byte) (*proxy.Proxy, error) {
	address, err := driven.FreeAddress()
	if err != nil {
		return nil, err
	}
	return proxy.New(address, target, aim)
}

// Addresses are those of the servers, as clients reach them.
func (w *World) Addresses() (all []string) {
	for _, p := range w.outer {
		all = append(all, p.Address())
	}
	return all
}

// Key is an API key that may do everything.
func (w *World) Key() string { return w.servers.Key }

// Connect connects to the database on the present primary, past the proxies.
func (w *World) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, w.clusters[w.primary].url(database))
}

// Calm heals everything, and waits, a minute at most for each, until every server is ready and the standby has everything.
func (w *World) Calm(ctx context.Context) error {
	w.heal()
	if w.Standby {
		if err := w.clusters[w.primary].inSync(ctx, w.clusters[1-w.primary]); err != nil {
			return err
		}
	}
	return w.ready(ctx)
}

// heal undoes what faults do to proxies and disks.
func (w *World) heal() {
	for _, p := range w.proxies() {
		p.Heal()
	}
	w.empty()
}

func (w *World) proxies() (all []*proxy.Proxy) {
	all = append(all, w.outer...)
	for _, inner := range w.inner {
		all = append(all, inner...)
	}
	return all
}

// ready waits until every server says so.
func (w *World) ready(ctx context.Context) error {
	for i, s := range w.servers.Servers {
		c := driven.Conn{Address: s.Address, Key: w.Key()}
		var last error
		for began := time.Now(); ; driven.Pause(ctx, 100*time.Millisecond) {
			a, err := c.Do(ctx, driven.Ask{Method: "GET", Path: "/readyz", Patience: 3 * time.Second})
			if err == nil && a.Status == 200 {
				break
			}
			if last = err; err == nil {
				last = errors.New(a.String())
			}
			if time.Since(began) > time.Minute || ctx.Err() != nil {
				return fmt.Errorf("server %d is not ready: %w", i, last)
			}
		}
		c.Close()
	}
	return nil
}

// Deadlocks are what the logs of PostgreSQL say of them.
func (w *World) Deadlocks() (said string) {
	for _, c := range w.clusters {
		said += c.deadlocks()
	}
	return said
}

// Said is what servers have logged: their faults.
func (w *World) Said() string { return w.servers.Log() }

// Audit runs lastunit audit, with arguments, and returns its last line.
func (w *World) Audit(_ context.Context, args ...string) (string, error) {
	return w.servers.Audit(args...)
}

// Counts are the faults that were injected so far, by what was broken.
func (w *World) Counts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]int{}
	for name, n := range w.counts {
		all[name] = n
	}
	for _, p := range w.outer {
		all["connections of clients cut"] += p.Cuts()
	}
	for _, inner := range w.inner {
		for _, p := range inner {
			all["connections of servers to PostgreSQL cut"] += p.Cuts()
		}
	}
	return all
}

func (w *World) count(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[name]++
}

// Stop ends everything and removes it.
func (w *World) Stop() {
	w.heal()
	if w.servers != nil {
		w.servers.Stop()
	}
	for _, p := range w.proxies() {
		p.Close()
	}
	for _, c := range w.clusters {
		c.stop()
	}
	if w.unmount != nil {
		w.unmount()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}
