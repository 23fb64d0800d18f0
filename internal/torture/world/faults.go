package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/proxy"
)

// Fault is something that can be done to a world.
type Fault struct {
	Name   string
	Weight int // how often it is chosen, beside the others
	// Do injects it, lets it last, and heals it; when ctx ends, at once. Whatever it chooses it chooses by rng.
	Do func(ctx context.Context, rng *rand.Rand) error
	// OfClients: it is between clients and servers alone, and may be injected while another one is that is not.
	OfClients bool
	// Stills: while it lasts a server can't be heard, so that what its answers take longer is not the server's doing.
	Stills bool
}

// Faults are those that can be injected into this world, on this machine.
func (w *World) Faults() []Fault {
	all := []Fault{
		{Name: "cut clients", Weight: 6, Do: w.each(func(rng *rand.Rand) { w.outer[rng.IntN(len(w.outer))].CutAll() }), OfClients: true},
		{Name: "cut clients before their question", Weight: 6, Do: w.armed(w.anyOuter, proxy.Before, 100), OfClients: true},
		{Name: "cut clients before their answer", Weight: 10, Do: w.armed(w.anyOuter, proxy.After, 100), OfClients: true},
		{Name: "cut clients amid their answer", Weight: 6, Do: w.armed(w.anyOuter, proxy.Amid, 100), OfClients: true},
		{Name: "slow clients", Weight: 2, Do: w.slow(w.anyOuter, 200*time.Millisecond), OfClients: true, Stills: true},
		{Name: "clients in a black hole", Weight: 2, Do: w.deaf(w.anyOuter), OfClients: true, Stills: true},
		{Name: "clients refused", Weight: 2, Do: w.refused(w.anyOuter), OfClients: true},
		{Name: "cut PostgreSQL", Weight: 6, Do: w.each(func(rng *rand.Rand) { w.anyInner(rng).CutAll() })},
		{Name: "cut before COMMIT", Weight: 6, Do: w.armed(w.anyInner, proxy.Before, 6)},
		{Name: "cut before the answer to COMMIT", Weight: 10, Do: w.armed(w.anyInner, proxy.After, 6)},
		{Name: "cut amid the answer to COMMIT", Weight: 6, Do: w.armed(w.anyInner, proxy.Amid, 6)},
		{Name: "slow PostgreSQL", Weight: 2, Do: w.slow(w.anyInner, 30*time.Millisecond)},
		{Name: "PostgreSQL in a black hole", Weight: 2, Do: w.deaf(w.anyInner)},
		{Name: "PostgreSQL refused", Weight: 2, Do: w.refused(w.anyInner)},
		{Name: "kill -9 of a server", Weight: 12, Do: w.killServer},
		{Name: "SIGSTOP of a server", Weight: 2, Do: w.stopServer, Stills: true},
		{Name: "kill -9 of PostgreSQL", Weight: 5, Do: w.killPostgres},
		{Name: "SIGSTOP of PostgreSQL", Weight: 1, Do: w.stopPostgres},
		{Name: "restart of PostgreSQL", Weight: 1, Do: w.restartPostgres},
		{Name: "connections exhausted", Weight: 1, Do: w.exhaust},
		{Name: "locks held", Weight: 3, Do: w.holdLocks},
		{Name: "an old snapshot", Weight: 1, Do: w.oldSnapshot},
		{Name: "payment provider silent", Weight: 1, Do: w.silenceProvider},
	}
	if w.Standby {
		all = append(all, Fault{Name: "promotion", Weight: 2, Do: w.promote}, Fault{Name: "standby lost", Weight: 1, Do: w.loseStandby}, Fault{Name: "crash while the standby is cut off, then promotion", Weight: 1, Do: w.crashApart})
	}
	if w.Ahead != "" {
		all = append(all, Fault{Name: "a server whose clock is an hour ahead", Weight: 2, Do: w.ahead})
	}
	if w.unmount != nil {
		all = append(all, Fault{Name: "disk full (data)", Weight: 1, Do: w.fillDisk("data disk full", w.dataDir())}, Fault{Name: "disk full (WAL)", Weight: 1, Do: w.fillDisk("WAL disk full", w.walDir())})
	}
	if w.Before != "" {
		all = append(all, Fault{Name: "rolling upgrade", Weight: 6, Do: w.upgrade})
	}
	return all
}

func (w *World) anyOuter(rng *rand.Rand) *proxy.Proxy { return w.outer[rng.IntN(len(w.outer))] }

// anyInner is a proxy of any server to the present primary.
func (w *World) anyInner(rng *rand.Rand) *proxy.Proxy {
	return w.inner[rng.IntN(len(w.inner))][w.primary]
}

func (w *World) each(do func(*rand.Rand)) func(context.Context, *rand.Rand) error {
	return func(_ context.Context, rng *rand.Rand) error {
		do(rng)
		return nil
	}
}

// lasts waits for a while that is not always the same.
func lasts(ctx context.Context, rng *rand.Rand, d time.Duration) {
	driven.Pause(ctx, d/2+time.Duration(rng.Int64N(int64(d))))
}

func (w *World) armed(which func(*rand.Rand) *proxy.Proxy, cut proxy.Cut, n int) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rng *rand.Rand) error {
		p := which(rng)
		p.Arm(cut, 1+rng.IntN(n))
		lasts(ctx, rng, 300*time.Millisecond)
		p.Heal()
		return nil
	}
}

func (w *World) slow(which func(*rand.Rand) *proxy.Proxy, d time.Duration) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rng *rand.Rand) error {
		p := which(rng)
		p.Delay(time.Duration(rng.Int64N(int64(d))))
		lasts(ctx, rng, time.Second)
		p.Heal()
		return nil
	}
}

func (w *World) deaf(which func(*rand.Rand) *proxy.Proxy) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rng *rand.Rand) error {
		p := which(rng)
		w.count("black holes")
		p.Deafen(true)
		lasts(ctx, rng, 2*time.Second)
		if rng.IntN(2) == 0 { // what stood still goes on, or is gone
			p.CutAll()
		}
		p.Heal()
		return nil
	}
}

// refused ends all connections, and new ones at once, as when nobody listens.
func (w *World) refused(which func(*rand.Rand) *proxy.Proxy) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rng *rand.Rand) error {
		p := which(rng)
		p.Refuse(true)
		p.CutAll()
		lasts(ctx, rng, time.Second)
		p.Heal()
		return nil
	}
}

func (w *World) killServer(ctx context.Context, rng *rand.Rand) error {
	i := rng.IntN(len(w.servers.Servers))
	w.count("servers killed")
	w.servers.Kill(i)
	lasts(ctx, rng, 200*time.Millisecond)
	return w.servers.Restart(i)
}

// ahead has a server be one whose clock is ahead, for a while.
func (w *World) ahead(ctx context.Context, rng *rand.Rand) error {
	i := rng.IntN(len(w.servers.Servers))
	w.count("servers with a wrong clock")
	w.servers.Kill(i)
	w.servers.Use(i, w.Ahead)
	if err := w.servers.Restart(i); err != nil {
		return err
	}
	lasts(ctx, rng, 4*time.Second)
	w.servers.Kill(i)
	w.servers.Use(i, "")
	return w.servers.Restart(i)
}

func (w *World) stopServer(ctx context.Context, rng *rand.Rand) error {
	pid := w.servers.Servers[rng.IntN(len(w.servers.Servers))].PID()
	w.count("servers stopped for a while")
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	lasts(ctx, rng, 3*time.Second)
	return nil
}

func (w *World) killPostgres(ctx context.Context, _ *rand.Rand) error {
	w.count("PostgreSQL killed")
	p := w.clusters[w.primary]
	p.kill()
	return p.start(context.WithoutCancel(ctx))
}

func (w *World) stopPostgres(ctx context.Context, rng *rand.Rand) error {
	w.count("PostgreSQL stopped for a while")
	p := w.clusters[w.primary]
	p.signal(syscall.SIGSTOP)
	defer p.signal(syscall.SIGCONT)
	lasts(ctx, rng, 2*time.Second)
	return nil
}

func (w *World) restartPostgres(ctx context.Context, _ *rand.Rand) error {
	w.count("PostgreSQL restarted")
	p := w.clusters[w.primary]
	p.stop()
	return p.start(context.WithoutCancel(ctx))
}

// exhaust takes all connections that PostgreSQL has left, and cuts those of a server, which then gets none.
func (w *World) exhaust(ctx context.Context, rng *rand.Rand) error {
	w.count("connections exhausted")
	var taken []*pgx.Conn
	defer func() {
		for _, c := range taken {
			_ = c.Close(context.WithoutCancel(ctx))
		}
	}()
	for range 200 {
		c, err := w.Connect(ctx)
		if err != nil {
			break
		}
		taken = append(taken, c)
	}
	w.anyInner(rng).CutAll()
	lasts(ctx, rng, time.Second)
	return nil
}

// holdLocks holds the locks that a colleague at psql, or a job of somebody else's, may hold: of rows, for a moment.
func (w *World) holdLocks(ctx context.Context, rng *rand.Rand) error {
	w.count("locks held by somebody else")
	db, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	statements := []string{
		`SELECT FROM stock_token TABLESAMPLE SYSTEM (50) FOR UPDATE`,
		`SELECT FROM claim WHERE status IN ('held', 'queued') AND random() < 0.2 FOR UPDATE SKIP LOCKED`,
		`SELECT FROM sale_buyer WHERE random() < 0.2 FOR UPDATE SKIP LOCKED`,
		`SELECT FROM shop_order WHERE status = 'awaiting_payment' AND random() < 0.5 FOR UPDATE SKIP LOCKED`,
		`SELECT FROM queue_head ORDER BY product_id, pool_id FOR UPDATE`,
		`SELECT FROM queue_tail ORDER BY product_id, pool_id FOR UPDATE`,
		`SELECT FROM product ORDER BY product_id FOR NO KEY UPDATE`,
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '500ms'; "+statements[rng.IntN(len(statements))]); err != nil {
		return nil //nolint:nilerror // somebody else has them
	}
	lasts(ctx, rng, time.Second)
	return tx.Rollback(context.WithoutCancel(ctx))
}

func (w *World) oldSnapshot(ctx context.Context, rng *rand.Rand) error {
	w.count("old snapshots")
	db, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	if _, err := db.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM product"); err != nil {
		return nil //nolint:nilerror // PostgreSQL is away
	}
	lasts(ctx, rng, 5*time.Second)
	return nil
}

func (w *World) fillDisk(what, dir string) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rng *rand.Rand) error {
		w.count(what)
		if err := w.fill(dir); err != nil {
			return err
		}
		lasts(ctx, rng, 2*time.Second)
		w.empty()
		return w.revive(ctx)
	}
}

// upgrade goes from the build before to this one while clients are at it: the newest migration is applied, the old servers go on with it for a while, and one after the other is ended in order and
// started as the new program. That happens once; it goes on when ctx has ended.
func (w *World) upgrade(ctx context.Context, rng *rand.Rand) error {
	if w.upgraded {
		return nil
	}
	w.servers.Upgrade(w.Binary)
	if said, err := w.servers.Migrate(); err != nil {
		return fmt.Errorf("migrate: %w: %s", err, said)
	}
	w.upgraded = true
	w.count("rolling upgrades")
	for i := range w.servers.Servers {
		lasts(ctx, rng, time.Second)
		if rng.IntN(2) == 0 { // one of the old ones crashes, and comes back to the new schema
			w.servers.Kill(i)
			if err := w.servers.Restart(i); err != nil {
				return err
			}
			lasts(ctx, rng, time.Second)
		}
		w.servers.End(i)
		w.servers.Use(i, "")
		if err := w.servers.Restart(i); err != nil {
			return err
		}
	}
	return nil
}

// revive starts what did not survive.
func (w *World) revive(ctx context.Context) error {
	for _, c := range w.clusters {
		select {
		case <-c.ended:
			if err := c.start(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// promote kills the primary, which is gone for good, promotes the standby, which has all that was answered, and makes a new standby in the place of the old primary. It goes on when
// ctx has ended: half of it is no world.
func (w *World) promote(ctx context.Context, _ *rand.Rand) error {
	ctx = context.WithoutCancel(ctx)
	old, next := w.clusters[w.primary], w.clusters[1-w.primary]
	if err := old.inSync(ctx, next); err != nil {
		return err
	}
	old.kill()
	return w.takeOver(ctx)
}

// takeOver promotes the standby of a primary that is gone.
func (w *World) takeOver(ctx context.Context) error {
	next := w.clusters[1-w.primary]
	w.count("promotions")
	if said, err := next.tools.Run(ctx, next.dir, "pg_ctl", "promote", "--pgdata", next.data(), "--wait", "--timeout", "60"); err != nil {
		return fmt.Errorf("promote: %w: %s", err, said)
	}
	// Until the new standby has everything, commits wait for none: the next promotion waits for it.
	if err := next.require(ctx, ""); err != nil {
		return err
	}
	w.primary = 1 - w.primary
	return w.attach(ctx, w.clusters[1-w.primary])
}

// loseStandby stops the standby: commits wait, until an operator says that they need not, and it comes back.
func (w *World) loseStandby(ctx context.Context, rng *rand.Rand) error {
	w.StopStandby()
	lasts(ctx, rng, time.Second)
	ctx = context.WithoutCancel(ctx)
	if err := w.clusters[w.primary].require(ctx, ""); err != nil {
		return err
	}
	return w.ReturnStandby(ctx)
}

// StopStandby kills the standby, for which commits wait from then on.
func (w *World) StopStandby() {
	w.count("standby lost")
	w.clusters[1-w.primary].kill()
}

// ReturnStandby starts the standby, has commits wait for it, and waits until it has everything.
func (w *World) ReturnStandby(ctx context.Context) error {
	primary, standby := w.clusters[w.primary], w.clusters[1-w.primary]
	if err := standby.start(ctx); err != nil {
		return err
	}
	if err := primary.require(ctx, standby.name); err != nil {
		return err
	}
	return primary.inSync(ctx, standby)
}

// crashApart lets the primary crash while commits wait for a standby that hears nothing: when it is back it shows what the standby does not have, and replays must not be
// answered from that. Then it is gone, and the standby is promoted.
func (w *World) crashApart(ctx context.Context, rng *rand.Rand) error {
	ctx = context.WithoutCancel(ctx)
	primary, standby := w.clusters[w.primary], w.clusters[1-w.primary]
	if err := primary.inSync(ctx, standby); err != nil {
		return err
	}
	w.count("primary crashed while its standby was cut off")
	standby.signal(syscall.SIGSTOP)
	lasts(ctx, rng, 500*time.Millisecond)
	primary.kill()
	if err := primary.start(ctx); err != nil {
		standby.signal(syscall.SIGCONT)
		return err
	}
	lasts(ctx, rng, 2*time.Second)
	primary.kill()
	standby.signal(syscall.SIGCONT)
	return w.takeOver(ctx)
}
