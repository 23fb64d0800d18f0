// Package drive is the clients of a torture run: buyers, back ends and operators who do everything that can be done with a shop, at once and again and again, undeterred by what becomes of it,
// and write down every attempt in a history. It checks nothing.
package drive

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// Options of a round. What is 0 has a default.
type Options struct {
	Prefix    string // of the names of everything in the round
	Seed      uint64 // of all chance in it
	Clients   int    // 100
	Key       string // an API key that may do everything
	Addresses []string
	Log       *history.Log  // where the first receipts are written down
	Products  int           // of the sale that are short of units; 6
	Units     int           // that one of those has at most; 6
	Plenty    int           // that each of the others has; 2000
	Buyers    int           // half as many as clients
	Limit     int           // the sale's purchase limit; 3
	Hold      time.Duration // of the sale, in whole seconds; 3 s. Outside of it the servers' own counts: let that be as short
	Rate      float64       // attempts a second of all clients together, at most; 0: as many as they can
}

func (o Options) withDefaults() Options {
	o.Clients = cmp.Or(o.Clients, 100)
	o.Products = cmp.Or(o.Products, 6)
	o.Units = cmp.Or(o.Units, 6)
	o.Plenty = cmp.Or(o.Plenty, 2000)
	o.Buyers = cmp.Or(o.Buyers, max(o.Clients/2, 4))
	o.Limit = cmp.Or(o.Limit, 3)
	o.Hold = cmp.Or(o.Hold, 3*time.Second)
	return o
}

// Round is products, a sale and buyers of its own, and what the clients know in common.
type Round struct {
	o        Options
	saleID   string
	products []product
	pace     *rate.Limiter // nil: none
	keys     atomic.Int64

	others chan *ask  // to be sent by another client as well, at once
	old    pond[*ask] // that were sent, and may be sent again
	left   pond[hold] // that were left in carts
	bought pond[bought]

	mu     sync.Mutex
	unsure []*ask // of which an attempt had no answer that tells

	pausing sync.Mutex
	paused  time.Time // last

	stuck    *time.Timer // ends Drain, unless it goes on within patience
	patience time.Duration
}

// product is what is sold. Short ones are refused more often than not.
type product struct {
	sku    string
	units  int // that it is to have, in all places but those of no return
	inSale bool
	allots bool // half of its units to the sale
	short  bool
}

// hold is units in somebody's cart, or that were.
type hold struct{ buyer, id string }

// bought is an order that is paid, or may be.
type bought struct{ buyer, id string }

// Prepare makes the round's products, with units, and its sale, which is open. It asks until all is done, or ctx ends.
func Prepare(ctx context.Context, o Options) (*Round, error) {
	o = o.withDefaults()
	r := &Round{o: o, others: make(chan *ask, 4*o.Clients), old: pond[*ask]{most: 4096}, left: pond[hold]{most: 256}, bought: pond[bought]{most: max(o.Buyers*o.Limit/5, o.Plenty/2, 4)}}
	if o.Rate > 0 {
		r.pace = rate.NewLimiter(rate.Limit(o.Rate), max(int(o.Rate/20), 1))
	}
	for i := range o.Products {
		r.products = append(r.products, product{sku: fmt.Sprintf("%sshort-%d", o.Prefix, i), units: 1 + i%o.Units, inSale: true, short: true})
	}
	r.products = append(r.products,
		product{sku: o.Prefix + "allotted", units: 2 * o.Units, inSale: true, allots: true, short: true},
		product{sku: o.Prefix + "plenty-0", units: o.Plenty, inSale: true},
		product{sku: o.Prefix + "plenty-1", units: o.Plenty, inSale: true},
		product{sku: o.Prefix + "beside-short", units: o.Units, short: true},
		product{sku: o.Prefix + "beside-plenty", units: o.Plenty},
	)
	c := r.client(ctx, 0, o.Log)
	defer c.close()
	for _, p := range r.products {
		if _, err := c.operate("PUT", ofProduct(p.sku, ""), `{"name":"Torture","price":{"amount":1250,"currency":"EUR"}}`); err != nil {
			return nil, err
		}
		if op := c.insist(receive(r.newKey(), p.sku, p.units, "first")); op.Outcome != history.OK {
			return nil, fmt.Errorf("receive %s: %d %s %s", p.sku, op.Status, op.Code, op.Fault)
		}
	}
	return r, r.openSale(c)
}

func (r *Round) openSale(c *client) error {
	var items []string
	for _, p := range r.products {
		allotment := ""
		if p.allots {
			allotment = fmt.Sprintf(`,"quantity":%d`, p.units/2)
		}
		if p.inSale {
			items = append(items, fmt.Sprintf(`{"sku":%q,"price":{"amount":990,"currency":"EUR"}%s}`, p.sku, allotment))
		}
	}
	text, err := c.operate("POST", "/api/v1/sales", fmt.Sprintf(`{"name":%q,"opens_at":%q,"closes_at":%q,"hold_seconds":%d,"purchase_limit":%d,"items":[%s]}`, r.o.Prefix+"sale",
		time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339), int(r.o.Hold.Seconds()), r.o.Limit, strings.Join(items, ",")))
	if err != nil {
		return err
	}
	var sale struct{ ID string }
	if err := json.Unmarshal(text, &sale); err != nil {
		return err
	}
	r.saleID = sale.ID
	_, err = c.operate("POST", "/api/v1/sales/"+sale.ID+"/schedule", "")
	return err
}

// SKUs are its products, of the sale and besides.
func (r *Round) SKUs() []string {
	var all []string
	for _, p := range r.products {
		all = append(all, p.sku)
	}
	return all
}

// Limit is how many units of the sale one buyer may have.
func (r *Round) Limit() int { return r.o.Limit }

func (r *Round) newKey() string { return fmt.Sprintf("%skey-%d", r.o.Prefix, r.keys.Add(1)) }

// Drive has all clients at it until ctx ends, and returns when the last attempts have: at most 8 s later.
func (r *Round) Drive(ctx context.Context, log *history.Log) {
	r.each(ctx, r.o.Clients, log, func(c *client) {
		c.pace = r.pace
		step := c.step
		if c.n%4 != 0 {
			c.inTurn, step = 3, c.rush
		}
		for ctx.Err() == nil {
			step()
		}
	})
}

// each runs so many clients at once, until each has done what it is for.
func (r *Round) each(ctx context.Context, clients int, log *history.Log, do func(*client)) {
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			c := r.client(ctx, n+1, log)
			defer c.close()
			do(c)
		})
	}
	all.Wait()
}

// pond is things that clients leave for each other. What is put into one that is full comes in for another.
type pond[T any] struct {
	most  int
	mu    sync.Mutex
	items []T
}

// put returns what had to go, if something had.
func (p *pond[T]) put(rng *rand.Rand, item T) (gone T, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.items) < p.most {
		p.items = append(p.items, item)
		return gone, false
	}
	i := rng.IntN(len(p.items))
	gone, p.items[i] = p.items[i], item
	return gone, true
}

// pick takes one out, or only looks at it.
func (p *pond[T]) pick(rng *rand.Rand, out bool) (item T, found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.items) == 0 {
		return item, false
	}
	i := rng.IntN(len(p.items))
	item = p.items[i]
	if out {
		p.items[i] = p.items[len(p.items)-1]
		p.items = p.items[:len(p.items)-1]
	}
	return item, true
}

// client does one thing at a time, over all servers at random.
type client struct {
	r     *Round
	ctx   context.Context
	n     int
	rng   *rand.Rand
	conns []*driven.Conn
	pace  *rate.Limiter
	log   *history.Log
	// inTurn is how many of a hundred claims are to wait for their turn.
	inTurn int
}

func (r *Round) client(ctx context.Context, n int, log *history.Log) *client {
	c := &client{r: r, ctx: ctx, n: n, rng: rand.New(rand.NewPCG(r.o.Seed, uint64(n))), log: log, inTurn: 50}
	for _, address := range r.o.Addresses {
		c.conns = append(c.conns, &driven.Conn{Address: address, Key: r.o.Key})
	}
	return c
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

func (c *client) rest() {
	driven.Pause(c.ctx, 20*time.Millisecond+time.Duration(c.rng.Int64N(int64(80*time.Millisecond))))
}

// chance is true in so many of a hundred cases.
func (c *client) chance(percent int) bool { return c.rng.IntN(100) < percent }

// attempt sends an ask once. It is not cut short when ctx ends, so that nothing is unknown that need not be; after that nothing is sent, and nothing written down.
func (c *client) attempt(a *ask) *history.Op {
	op := a.op
	if c.pace != nil {
		_ = c.pace.Wait(c.ctx)
	}
	if c.ctx.Err() != nil {
		op.Outcome = history.Unknown
		return &op
	}
	op.Client, op.Server = c.n, c.rng.IntN(len(c.conns))
	q := driven.Ask{Method: a.method, Path: a.path, Buyer: op.Buyer, Header: a.header, Body: a.body, Patience: a.patience}
	if op.Kind == history.Claim {
		op.Wait = claimWait
		if c.chance(c.inTurn) {
			c.queued(&op, &q)
		}
	}
	a.sent.Add(1)
	c.log.Begin(&op)
	answer, err := c.conns[op.Server].Do(context.WithoutCancel(c.ctx), q)
	record(&op, answer, err)
	c.log.End(&op)
	switch {
	case op.Outcome == history.OK:
		a.answered.Store(true)
	case op.Outcome == history.Unknown && a.op.Key != "" && !a.unsure.Swap(true):
		c.r.mu.Lock()
		c.r.unsure = append(c.r.unsure, a)
		c.r.mu.Unlock()
	}
	return &op
}

// queued turns a claim into one that waits for its turn: both ways of claiming share their keys.
func (c *client) queued(op *history.Op, q *driven.Ask) {
	op.Kind, op.Wait = history.ClaimQueued, 0
	q.Path = "/api/v1" + q.Path
	if c.chance(25) {
		op.Wait = time.Second
		q.Header += "Prefer: wait=1\r\n"
	}
}

// undecided tells whether an attempt leaves everything open.
func undecided(op *history.Op) bool {
	return op.Outcome == history.Unknown || op.Status == 503 || op.Status == 429 || op.Status == 408
}

// insist sends an ask until it is decided, or ctx ends. A claim that was not decided at first is to wait for its turn: so it is answered also where those before it wait in vain.
func (c *client) insist(a *ask) *history.Op {
	op := c.attempt(a)
	inTurn := c.inTurn
	for undecided(op) && c.ctx.Err() == nil {
		c.rest()
		c.inTurn = 100
		op = c.attempt(a)
	}
	c.inTurn = inTurn
	return op
}

// withOther has another client send an ask as soon as one comes by, unless they have enough to do.
func (c *client) withOther(a *ask) {
	select {
	case c.r.others <- a:
	default:
	}
}

// beside sends an ask at this very time, whatever the client does meanwhile. What it returns waits for the answer.
func (c *client) beside(a *ask) (wait func()) {
	var sent sync.WaitGroup
	sent.Go(func() {
		other := c.r.client(c.ctx, c.r.o.Clients+c.n, c.log)
		defer other.close()
		other.attempt(a)
	})
	return sent.Wait
}

// settle sends an ask until it is decided, and now and then more often; or gives it up. It returns the last attempt.
func (c *client) settle(a *ask) *history.Op {
	more := 0
	if a.op.Key != "" || c.chance(10) && a.again() {
		more = c.more()
	}
	if more > 0 && c.chance(50) {
		for ; more > 0; more-- {
			c.withOther(a)
		}
	}
	op := c.attempt(a)
	for undecided(op) {
		if !a.again() || c.ctx.Err() != nil || a.sent.Load() >= sentMost || c.chance(3) {
			return op
		}
		c.rest()
		op = c.attempt(a)
	}
	for ; more > 0 && c.ctx.Err() == nil && a.sent.Load() < sentMost; more-- {
		if repeated := c.attempt(a); !undecided(repeated) {
			op = repeated
		}
	}
	if a.op.Key != "" && c.chance(20) {
		c.r.old.put(c.rng, a)
	}
	return op
}

// more is how often something is to be sent besides.
func (c *client) more() int {
	switch p := c.rng.IntN(100); {
	case p < 70:
		return 0
	case p < 90:
		return 1
	case p < 98:
		return 2 + c.rng.IntN(3)
	}
	return 5 + c.rng.IntN(15)
}

// operate asks as the operator, for what is no attempt of the history, until it is done, or ctx ends.
func (c *client) operate(method, path, body string) ([]byte, error) {
	header := ""
	if method == "POST" {
		header = "Idempotency-Key: " + c.r.newKey() + "\r\n"
	}
	for {
		a, err := c.conns[0].Do(c.ctx, driven.Ask{Method: method, Path: path, Header: header, Body: body})
		switch {
		case err == nil && a.Status/100 == 2:
			return a.Text, nil
		case err == nil && a.Status != 503:
			return nil, fmt.Errorf("%s %s: %v", method, path, a)
		case c.ctx.Err() != nil:
			return nil, fmt.Errorf("%s %s: %w", method, path, c.ctx.Err())
		}
		c.rest()
	}
}
