package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

// audience is clients who each have a request queued and wait for its outcome by events.
type audience struct {
	ctx     context.Context
	s       *driven.Service
	clients int
	ids     []string
	told    []time.Time // when each knew its outcome
	held    atomic.Int64
	waiting atomic.Int64
	failed  atomic.Pointer[error]
}

// events measures a server that thousands wait at: what it takes while they do, and how soon they know.
func events(ctx context.Context, binary string, clients int, wait time.Duration, out io.Writer) error {
	if err := driven.RaiseFileLimit(uint64(clients) + 500); err != nil {
		return err
	}
	s, err := startService(ctx, binary, 1, "--max-queued", fmt.Sprint(2*clients))
	if err != nil {
		return err
	}
	defer s.Stop()
	// One more request, and unit, so that the queue has begun.
	if err := stock(s, map[string]int{"watched": clients/2 + 1}); err != nil {
		return err
	}
	a := &audience{ctx: ctx, s: s, clients: clients, ids: make([]string, clients+1), told: make([]time.Time, clients)}
	if err := a.submit(clients); err != nil {
		return err
	}
	db, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	pid := s.Servers[0].PID()
	before, _ := driven.Memory(pid)
	held, err := a.holdHead(db)
	if err != nil {
		return err
	}
	if err := a.gather(); err != nil {
		return err
	}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { a.wait(i) })
	}
	for a.waiting.Load() < int64(clients) && a.failed.Load() == nil && ctx.Err() == nil {
		driven.Pause(ctx, 10*time.Millisecond)
	}
	fmt.Fprintf(out, "events: %d clients wait on one server; load average %s\n", clients, driven.LoadAverage())
	rate, err := a.transactions(wait)
	if err != nil {
		return err
	}
	now, most := driven.Memory(pid)
	fmt.Fprintf(out, "memory    %.0f MiB idle, %.0f MiB with all waiting, %.0f MiB at most (target 300)\n", before, now, most)
	fmt.Fprintf(out, "database  %.0f transactions a second while they wait: looks at the queue, and attempts to settle it (one of several statements each)\n", rate)
	released := time.Now()
	if err := held.Rollback(ctx); err != nil {
		return err
	}
	drained, err := a.drained()
	if err != nil {
		return err
	}
	all.Wait()
	return a.report(out, released, drained)
}

// submit sends the i-th request.
func (a *audience) submit(i int) error {
	c := dial(a.s, 0)
	defer c.Close()
	return a.submitOn(c, i)
}

func (a *audience) submitOn(c *conn, i int) error {
	got, err := c.do(a.ctx, driven.Ask{Method: "POST", Path: "/api/v1/order/addToCart", Buyer: fmt.Sprintf("buyer-%d", i), Body: `{"sku":"watched"}`})
	if err != nil {
		return err
	}
	if got.Status != 202 {
		return fmt.Errorf("request %d: %d %s", i, got.Status, got.Text)
	}
	a.ids[i] = got.body.ID
	return nil
}

// gather sends all requests.
func (a *audience) gather() error {
	var all sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		all.Go(func() {
			c := dial(a.s, 0)
			defer c.Close()
			for i := next.Add(1) - 1; i < int64(a.clients) && a.failed.Load() == nil; i = next.Add(1) - 1 {
				if err := a.submitOn(c, int(i)); err != nil {
					a.failed.Store(&err)
				}
			}
		})
	}
	all.Wait()
	return a.failure()
}

func (a *audience) failure() error {
	if err := a.failed.Load(); err != nil {
		return *err
	}
	return a.ctx.Err()
}

// holdHead keeps the queue from moving until what it returns ends. It waits until the request that began the queue is settled.
func (a *audience) holdHead(db *pgx.Conn) (pgx.Tx, error) {
	for a.ctx.Err() == nil {
		tx, err := db.Begin(a.ctx)
		if err != nil {
			return nil, err
		}
		var place int64
		if err := tx.QueryRow(a.ctx, `SELECT queue_head.place FROM queue_head FOR NO KEY UPDATE`).Scan(&place); err != nil {
			return nil, err
		}
		if place == 1 {
			return tx, nil
		}
		if err := tx.Rollback(a.ctx); err != nil {
			return nil, err
		}
		driven.Pause(a.ctx, 10*time.Millisecond)
	}
	return nil, a.ctx.Err()
}

// wait waits for the i-th outcome.
func (a *audience) wait(i int) {
	c := dial(a.s, 0)
	defer c.Close()
	waits := false
	q := driven.Ask{Method: "GET", Path: "/api/v1/transaction/" + a.ids[i] + "/events", Buyer: fmt.Sprintf("buyer-%d", i), Patience: 5 * time.Minute}
	_, got, err := c.watch(a.ctx, q, "", func(event *answer) bool {
		if !waits {
			waits = true
			a.waiting.Add(1)
		}
		if event.stands() == "queued" {
			return false
		}
		a.told[i] = time.Now()
		if event.stands() == "held" {
			a.held.Add(1)
		}
		return true
	})
	if err != nil {
		if got != nil {
			err = fmt.Errorf("%w: %d %s", err, got.Status, got.Text)
		}
		err = fmt.Errorf("client %d: %w", i, err)
		a.failed.Store(&err)
	}
}

// transactions are what the database does in a second.
func (a *audience) transactions(over time.Duration) (float64, error) {
	db, err := a.s.Connect(a.ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(a.ctx)) }()
	count := func() (n int64, err error) {
		err = db.QueryRow(a.ctx, `SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
		return n, err
	}
	driven.Pause(a.ctx, over+time.Second) // a backend that becomes idle reports what it did within 10 s
	was, err := count()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	driven.Pause(a.ctx, over)
	is, err := count()
	return float64(is-was) / time.Since(began).Seconds(), err
}

// drained waits for the queue to be settled to its end.
func (a *audience) drained() (time.Time, error) {
	db, err := a.s.Connect(a.ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(a.ctx)) }()
	for {
		var left int64
		err := db.QueryRow(a.ctx, `SELECT queue_tail.place - queue_head.place FROM queue_head JOIN queue_tail USING (product_id, pool_id)`).Scan(&left)
		if err != nil || left == 0 {
			return time.Now(), err
		}
		driven.Pause(a.ctx, 5*time.Millisecond)
	}
}

func (a *audience) report(out io.Writer, released, drained time.Time) error {
	if err := a.failure(); err != nil {
		return err
	}
	after := make([]time.Duration, a.clients)
	for i, at := range a.told {
		after[i] = max(at.Sub(drained), 0)
	}
	fmt.Fprintf(out, "drain     %.2f s for %d requests\n", drained.Sub(released).Seconds(), a.clients)
	fmt.Fprintf(out, "told      the last client %.2f s after the drain had ended (target 2 s); %d were told before\n",
		slices.Max(after).Seconds(), len(slices.DeleteFunc(after, func(d time.Duration) bool { return d > 0 })))
	fmt.Fprintf(out, "outcome   %d held, %d refused\n", a.held.Load(), int64(a.clients)-a.held.Load())
	line, err := a.s.Audit()
	fmt.Fprintf(out, "audit     %s\n", line)
	if err == nil && a.held.Load() != int64(a.clients/2) {
		err = fmt.Errorf("%w: %d held", driven.ErrBroken, a.held.Load())
	}
	return err
}
