package drive

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// Drain ends a round in which nothing is broken any more. Whatever was asked with a key and may have been done unheard is asked again, with the same key; what is left is bought until every product
// is sold out, so that nothing stays unsold while somebody asks; and transactions and orders that anybody was told of are looked at once more, all or looksMost of them, and each product's stock. Error: ctx's,
// or nothing has been got on with for so long.
func (r *Round) Drain(ctx context.Context, log *history.Log, patience time.Duration) error {
	ctx, stuck := context.WithCancelCause(ctx)
	defer stuck(nil)
	r.stuck = time.AfterFunc(patience, func() { stuck(fmt.Errorf("nothing was got on with for %s", patience)) })
	defer r.stuck.Stop()
	r.patience = patience
	last := r.client(ctx, 0, log)
	defer last.close()
	last.resume()
	unsure := r.takeUnsure()
	r.shared(ctx, log, len(unsure), func(c *client, i int) {
		if !unsure[i].answered.Load() {
			c.insist(unsure[i])
		}
	})
	last.resume() // what was asked again may have been to pause it
	var rest []product
	for _, p := range r.products {
		for n := 0; n == 0 || n < 8 && !p.short; n++ {
			rest = append(rest, p)
		}
	}
	r.shared(ctx, log, len(rest), func(c *client, i int) { c.buyAll(rest[i]) })
	ops, err := log.Ops()
	if err != nil {
		return err
	}
	looks := everything(ops)
	last.rng.Shuffle(len(looks), func(i, j int) { looks[i], looks[j] = looks[j], looks[i] })
	looks = looks[:min(len(looks), looksMost)]
	r.shared(ctx, log, len(looks), func(c *client, i int) { c.insist(looks[i]) })
	r.shared(ctx, log, len(r.products), func(c *client, i int) { c.insist(countStock(r.products[i].sku)) })
	if ctx.Err() != nil {
		return fmt.Errorf("the round was not drained: %w", context.Cause(ctx))
	}
	return nil
}

// gotOn tells Drain that it goes on.
func (r *Round) gotOn() { r.stuck.Reset(r.patience) }

// looksMost: the rows of all are read afterwards. This is whether what is shown is what they say.
const looksMost = 5000

func (r *Round) takeUnsure() []*ask {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.unsure
	r.unsure = nil
	return taken
}

// shared has several clients do n things.
func (r *Round) shared(ctx context.Context, log *history.Log, n int, do func(c *client, i int)) {
	var next atomic.Int64
	r.each(ctx, min(r.o.Clients, 32), log, func(c *client) {
		for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
			do(c, int(i))
			r.gotOn()
		}
	})
}

// resume resumes the sale. That it was not paused is no matter.
func (c *client) resume() { c.insist(moveSale(history.ResumeSale, c.r.newKey(), c.r.saleID)) }

// buyAll buys of a product until it is sold out: holds lapse and orders are cancelled meanwhile.
func (c *client) buyAll(p product) {
	quantity := c.r.o.Limit
	for n := 0; c.ctx.Err() == nil; n++ {
		buyer := fmt.Sprintf("%slast-%s-%d-%d", c.r.o.Prefix, p.sku, c.n, n)
		op := c.insist(claim(buyer, c.r.newKey(), p.sku, quantity))
		for op.Transaction != nil && op.Transaction.Status == "queued" && c.ctx.Err() == nil {
			op = c.insist(look(buyer, op.Transaction.ID, time.Second))
		}
		code := op.Code
		if t := op.Transaction; t != nil && t.Status == "refused" {
			code = t.Reason
		}
		switch {
		case op.Transaction != nil && op.Transaction.Status == "held":
			c.insist(confirm(c.r.newKey(), c.r.newKey()+"-last", []string{op.Transaction.ID}))
			c.r.gotOn()
		case code == "sold-out":
			if quantity == 1 {
				return
			}
			quantity = 1
		case code == "not-enough-units" && quantity > 1:
			quantity /= 2
		case code == "sale-paused":
			c.resume()
		default:
			quantity = 1
			c.rest()
		}
	}
}

// everything is a look at each transaction and each order that somebody was told of, as who was told.
func everything(ops []history.Op) (looks []*ask) {
	told := map[string]bool{}
	transaction := func(buyer string, t *history.Transaction) {
		if t != nil && buyer != "" && !told[t.ID] {
			told[t.ID] = true
			looks = append(looks, look(buyer, t.ID, 0))
		}
	}
	for _, op := range ops {
		transaction(op.Buyer, op.Transaction)
		for i := range op.Transactions {
			transaction(op.Buyer, &op.Transactions[i])
		}
		if o := op.Order; o != nil && !told[o.ID] {
			told[o.ID] = true
			looks = append(looks, lookOrder("", o.ID))
			if id := o.ReplacedByOrderID; id != "" && !told[id] {
				told[id] = true
				looks = append(looks, lookOrder("", id))
			}
		}
	}
	return looks
}
