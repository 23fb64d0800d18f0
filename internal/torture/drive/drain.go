package drive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// Drain comes when nothing is broken any more. It asks again, with the same keys, for all whose outcome is unknown; waits until what is under way has ended; claims what is
// left of every product, so that it is known that nothing stays unsold while somebody asks; and looks at everything once more. An error says what was not possible.
func (r *Round) Drain(ctx context.Context, log *history.Log) error {
	c := newClient(2*r.Clients, r.Options, log)
	defer c.close()
	rng := rand.New(rand.NewPCG(r.Seed, 1<<40))
	until := func(op history.Op, enough func(history.Op) bool) (history.Op, error) {
		for tries := 0; ; tries++ {
			done := c.ask(ctx, rng.IntN(len(r.Addresses)), op)
			if enough(done) {
				return done, nil
			}
			if tries > 60 || ctx.Err() != nil {
				return done, fmt.Errorf("%s of %s%s is still %s %d %s", op.Kind, op.SKU, op.Target, done.Outcome, done.Status, done.Code)
			}
			driven.Pause(ctx, 250*time.Millisecond)
		}
	}
	known := func(op history.Op) bool { return op.Outcome != history.Unknown && op.Code != "busy" }
	if _, err := until(history.Op{Kind: history.ResumeSale, Target: r.saleID}, func(op history.Op) bool { return known(op) }); err != nil {
		return err
	}
	for _, op := range r.open {
		done, err := until(op, known)
		if err != nil {
			return err
		}
		r.note(done)
	}
	// Holds lapse, orders are overdue, and money that was to come has come.
	driven.Pause(ctx, Hold+1500*time.Millisecond)
	for n, p := range r.products {
		for i := 0; ; i++ {
			op := history.Op{
				Kind: history.Claim, SKU: p.sku, Quantity: 1, Buyer: fmt.Sprintf("%slast%d-%d", r.Prefix, n, i), Key: fmt.Sprintf("%slast%d-%d", r.Prefix, n, i),
			}
			if p.units > 1000 {
				op.Quantity = limit
			}
			got, err := until(op, known)
			if err != nil {
				return err
			}
			if r.note(got); got.Outcome != history.OK || p.units > 1000 && i > 20 {
				break
			}
		}
		if _, err := until(history.Op{Kind: history.CountStock, SKU: p.sku}, known); err != nil {
			return err
		}
	}
	return r.lookAtAll(ctx, log)
}

// lookAtAll looks at every transaction and order once more.
func (r *Round) lookAtAll(ctx context.Context, log *history.Log) error {
	all := make(chan owned, len(r.everything))
	for _, one := range r.everything {
		all <- one
	}
	close(all)
	var readers sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for n := range 8 {
		readers.Go(func() {
			c := newClient(2*r.Clients+1+n, r.Options, log)
			defer c.close()
			for one := range all {
				op := history.Op{Kind: history.Look, Buyer: one.buyer, Target: one.id}
				if one.order {
					op.Kind = history.LookOrder
				}
				if done := c.ask(ctx, n%len(r.Addresses), op); done.Outcome != history.OK {
					mu.Lock()
					failed = fmt.Errorf("%s of %s was answered %d %s", op.Kind, op.Target, done.Status, done.Code)
					mu.Unlock()
				}
			}
		})
	}
	readers.Wait()
	return failed
}
