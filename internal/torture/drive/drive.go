// Package drive is the clients of a torture run: buyers and operators who do everything at once, through all servers, send the same again with the same key, and write
// down each attempt.
package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// Hold is how long holds last, in the sale and outside of it: short, so that many lapse.
const Hold = 3 * time.Second

const (
	limit    = 4  // units of the sale that a buyer may have
	atOnce   = 12 // buyers who are active
	perBuyer = 40 // things that are done before an active buyer is replaced by a new one
)

// Options of a round.
type Options struct {
	Prefix    string // of all names
	Seed      uint64
	Clients   int
	Rate      int // attempts a second that are begun at most; 0: as many as go
	Key       string
	Addresses []string
}

// Round is what a round sells, and what is known of it.
type Round struct {
	Options
	saleID   string
	products []product
	done     atomic.Int64 // things that were done, by which new buyers come
	serial   atomic.Int64 // of keys
	pace     *pace

	mu           sync.Mutex
	asked        ring[history.Op] // with a key, to be sent again
	transactions ring[owned]
	orders       ring[owned]
	open         []history.Op // whose outcome is unknown
	everything   map[string]owned
}

type product struct {
	sku    string
	units  int
	inSale bool
	allot  int
}

// owned is a transaction or an order, whose it is and what it has.
type owned struct {
	id, buyer string
	order     bool
}

// ring keeps the last that were put into it.
type ring[T any] struct {
	all  []T
	next int
}

const ringSize = 400

func (r *ring[T]) put(one T) {
	if len(r.all) < ringSize {
		r.all = append(r.all, one)
		return
	}
	r.all[r.next%ringSize] = one
	r.next++
}

func (r *ring[T]) draw(rng *rand.Rand) (one T, ok bool) {
	if len(r.all) == 0 {
		return one, false
	}
	return r.all[rng.IntN(len(r.all))], true
}

// Prepare makes products with few units and with many, in a sale with a purchase limit, with and without an allotment, and outside of it. Nothing may be broken meanwhile.
func Prepare(ctx context.Context, o Options, log *history.Log) (*Round, error) {
	r := &Round{Options: o, everything: map[string]owned{}, pace: newPace(o.Rate)}
	r.products = []product{
		{sku: "few", units: 6, inSale: true}, {sku: "scarce", units: 25, inSale: true}, {sku: "allotted", units: 40, inSale: true, allot: 25},
		{sku: "plenty", units: 4000, inSale: true}, {sku: "free", units: 15}, {sku: "free-plenty", units: 4000},
	}
	c := newClient(0, o, log)
	defer c.close()
	items := ""
	for i := range r.products {
		p := &r.products[i]
		p.sku = o.Prefix + p.sku
		if err := c.operate(ctx, "PUT", "/api/v1/products/"+p.sku, `{"price":{"amount":100,"currency":"EUR"}}`, nil); err != nil {
			return nil, err
		}
		op := c.ask(ctx, 0, history.Op{Kind: history.Receive, SKU: p.sku, Quantity: p.units, Key: p.sku + "-first", Reference: p.sku + "-first"})
		if op.Outcome != history.OK {
			return nil, fmt.Errorf("receive %s: %d %s %s", p.sku, op.Status, op.Code, op.Fault)
		}
		if p.inSale {
			quantity := ""
			if p.allot > 0 {
				quantity = fmt.Sprintf(`,"quantity":%d`, p.allot)
			}
			items += fmt.Sprintf(`,{"sku":%q,"price":{"amount":90,"currency":"EUR"}%s}`, p.sku, quantity)
		}
	}
	sale := struct{ ID string }{}
	err := c.operate(ctx, "POST", "/api/v1/sales", fmt.Sprintf(`{"name":%q,"opens_at":%q,"closes_at":%q,"hold_seconds":%d,"purchase_limit":%d,"items":[%s]}`,
		o.Prefix+"sale", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339), int(Hold.Seconds()), limit, items[1:]), &sale)
	if err != nil {
		return nil, err
	}
	r.saleID = sale.ID
	return r, c.operate(ctx, "POST", "/api/v1/sales/"+sale.ID+"/schedule", "", nil)
}

// operate makes a call that is not part of the history.
func (c *client) operate(ctx context.Context, method, path, body string, into any) error {
	a, err := c.conns[0].Do(ctx, driven.Ask{Method: method, Path: path, Body: body, Patience: time.Minute})
	if err == nil && a.Status/100 != 2 {
		err = fmt.Errorf("%s %s: %v", method, path, a)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(a.Text, into)
}

// SaleID is the round's sale.
func (r *Round) SaleID() string { return r.saleID }

// Limit is the purchase limit of the round's sale.
func (r *Round) Limit() int { return limit }

// SKUs are the round's products.
func (r *Round) SKUs() (all []string) {
	for _, p := range r.products {
		all = append(all, p.sku)
	}
	return all
}

// Drive lets the clients do things until ctx ends. What they have begun by then they end.
func (r *Round) Drive(ctx context.Context, log *history.Log) {
	var all sync.WaitGroup
	for n := range r.Clients {
		all.Go(func() {
			d := &driver{Round: r, ctx: ctx, rng: rand.New(rand.NewPCG(r.Seed, uint64(n)))}
			d.client, d.twin = newClient(n, r.Options, log), newClient(n+r.Clients, r.Options, log)
			defer d.client.close()
			defer d.twin.close()
			for ctx.Err() == nil {
				d.something()
			}
		})
	}
	all.Wait()
}

// pace lets so many attempts a second begin.
type pace struct {
	mu    sync.Mutex
	every time.Duration
	next  time.Time
}

func newPace(rate int) *pace {
	p := &pace{}
	if rate > 0 {
		p.every = time.Second / time.Duration(rate)
	}
	return p
}

func (p *pace) wait(ctx context.Context) {
	if p.every == 0 {
		return
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	until := p.next
	p.next = p.next.Add(p.every)
	p.mu.Unlock()
	driven.Pause(ctx, time.Until(until))
}
