package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// crowd is many clients who send requests, each with a key, and follow them to their outcome, over all servers at random and undeterred by
// servers that are gone. Everything that they see is in their requests.
type crowd struct {
	ctx       context.Context
	addresses []string
	key       string
	began     time.Time
	requests  []*request
	burst     int // so many at most are sent before they are followed
	next      atomic.Int64
	answered  atomic.Int64 // requests that are accepted or refused
}

// orders are what a crowd is told to do.
type orders struct {
	requests, clients, products, burst int
	directEvery                        int // every so manieth request is a direct claim; 0: none
	cancelEvery                        int // every so manieth request for the last product is cancelled; 0: none
}

func (o orders) sku(i int) string { return fmt.Sprintf("product-%d", i%o.products) }

// stock is half of what will be asked for.
func (o orders) stock() map[string]int {
	units := map[string]int{}
	for i := range o.requests {
		units[o.sku(i)]++
	}
	for sku, n := range units {
		units[sku] = n / 2
	}
	return units
}

func newCrowd(ctx context.Context, s *driven.Service, o orders) *crowd {
	w := &crowd{ctx: ctx, addresses: s.Addresses(), key: s.Key, began: time.Now(), burst: o.burst}
	for i := range o.requests {
		w.requests = append(w.requests, &request{
			buyer:   fmt.Sprintf("buyer-%d", i),
			key:     fmt.Sprintf("key-%d", i),
			sku:     o.sku(i),
			direct:  o.directEvery > 0 && i%o.directEvery == o.directEvery-1,
			cancels: o.cancelEvery > 0 && i%o.products == o.products-1 && i/o.products%o.cancelEvery == 0,
		})
	}
	return w
}

// client is one of the crowd, with a connection to each server.
type client struct {
	*crowd
	n     int
	conns []*conn
}

func (w *crowd) client(n int) *client {
	c := &client{crowd: w, n: n}
	for _, address := range w.addresses {
		c.conns = append(c.conns, &conn{driven.Conn{Address: address, Key: w.key}})
	}
	return c
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// anywhere is a connection to one of the servers.
func (c *client) anywhere() *conn { return c.conns[rand.IntN(len(c.conns))] }

func (c *client) now() time.Duration { return time.Since(c.began) }

// run lets so many clients work until all requests are decided, or ctx ends.
func (w *crowd) run(clients int) {
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			c := w.client(n)
			defer c.close()
			for w.ctx.Err() == nil && c.work() {
			}
		})
	}
	all.Wait()
}

// work sends some requests and follows them; false: there are none left.
func (c *client) work() bool {
	n := int64(1 + rand.IntN(c.burst))
	end := c.next.Add(n)
	if end-n >= int64(len(c.requests)) {
		return false
	}
	mine := c.requests[end-n : min(end, int64(len(c.requests)))]
	for _, r := range mine {
		c.submit(r)
		c.answered.Add(1)
		if rand.IntN(4) == 0 && r.id() != "" {
			c.look(r, "")
		}
		if r.cancels {
			c.cancel(r)
		}
	}
	rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
	for _, r := range mine {
		c.follow(r)
	}
	return true
}

// submit sends a request until it is answered: with the same key, since nobody knows what became of an attempt without an answer.
func (c *client) submit(r *request) {
	path := "/api/v1/order/addToCart"
	if r.direct {
		path = "/order/addToCart"
	}
	header := "Idempotency-Key: " + r.key + "\r\n"
	if c.n%8 == 7 && !r.direct {
		header += "Prefer: wait=2\r\n"
	}
	if len(r.seen) == 0 {
		r.sent = c.now()
	}
	for c.ctx.Err() == nil {
		asked := c.now()
		a, err := c.anywhere().do(c.ctx, driven.Ask{
			Method: "POST", Path: path, Buyer: r.buyer, Header: header, Body: `{"sku":"` + r.sku + `"}`,
		})
		switch {
		case err != nil || a.Status == 503 || a.Status == 429:
			r.unanswered++
			c.rest()
			continue
		case a.Status == 201 || a.Status == 202 || a.Status == 409 && a.Location != "":
			if r.see(asked, c.now(), a.about()); r.accepted == 0 {
				r.accepted, r.by202 = c.now(), a.Status == 202
			}
		case a.Status == 409 && r.direct:
			r.refusal, r.refused = a.body.Code, c.now()
		default:
			r.failure = fmt.Sprintf("was answered %d %s", a.Status, a.Text)
		}
		return
	}
}

func (r *request) see(asked, told time.Duration, s sighting) {
	s.asked, s.told = asked, told
	r.seen = append(r.seen, s)
}

func (c *client) rest() { driven.Pause(c.ctx, 10*time.Millisecond+rand.N(40*time.Millisecond)) }

// follow waits for the outcome of a request in the way of this client: some ask again and again, some wait, some watch events.
func (c *client) follow(r *request) {
	for last := ""; c.ctx.Err() == nil && r.id() != "" && r.failure == ""; {
		if _, known := r.outcome(); known {
			return
		}
		switch c.n % 3 {
		case 0:
			if c.look(r, "") {
				c.rest()
			}
		case 1:
			c.look(r, "?wait=10")
		case 2:
			last = c.events(r, last)
		}
	}
}

// look asks once for a transaction; false: there was no answer, and it has rested.
func (c *client) look(r *request, query string) bool {
	asked := c.now()
	a, err := c.anywhere().do(c.ctx, driven.Ask{Method: "GET", Path: "/api/v1/transaction/" + r.id() + query, Buyer: r.buyer})
	switch {
	case err != nil || a.Status == 503:
		c.rest()
		return false
	case a.Status != 200:
		r.failure = fmt.Sprintf("transaction %s: %d %s", r.id(), a.Status, a.Text)
		return false
	}
	r.see(asked, c.now(), a.about())
	return true
}

// events watches a transaction until it is settled or the stream ends, and returns the last event's id.
func (c *client) events(r *request, last string) string {
	asked := c.now()
	last, a, err := c.anywhere().watch(c.ctx, driven.Ask{
		Method: "GET", Path: "/api/v1/transaction/" + r.id() + "/events", Buyer: r.buyer, Patience: 30 * time.Second,
	}, last, func(a *answer) bool {
		r.see(asked, c.now(), a.about())
		return a.stands() != "queued"
	})
	switch {
	case err == nil:
	case errors.Is(err, driven.ErrNoStream) && a.Status != 503:
		r.failure = fmt.Sprintf("events of transaction %s: %d %s", r.id(), a.Status, a.Text)
	default:
		c.rest()
	}
	return last
}

// cancel cancels a request, wherever it stands by now.
func (c *client) cancel(r *request) {
	for c.ctx.Err() == nil && r.id() != "" && r.failure == "" {
		asked := c.now()
		a, err := c.anywhere().do(c.ctx, driven.Ask{Method: "DELETE", Path: "/api/v1/cart/" + r.id(), Buyer: r.buyer})
		switch {
		case err != nil || a.Status == 503:
			c.rest()
			continue
		case a.Status != 204:
			r.failure = fmt.Sprintf("cancel %s: %d %s", r.id(), a.Status, a.Text)
			return
		}
		for !c.look(r, "") && r.failure == "" && c.ctx.Err() == nil {
			asked = c.now()
		}
		if s := r.seen[len(r.seen)-1]; s.asked > asked && s.queued() {
			r.failure = "is queued after it was cancelled"
		}
		return
	}
}

// askAgain sends some of the requests a second time, and asks for others, when all is over: nothing may have changed.
func (w *crowd) askAgain(clients, sample int) {
	var all sync.WaitGroup
	var next atomic.Int64
	some := make([]*request, 0, sample)
	for _, i := range rand.Perm(len(w.requests))[:min(sample, len(w.requests))] {
		if w.requests[i].id() != "" {
			some = append(some, w.requests[i])
		}
	}
	for n := range clients {
		all.Go(func() {
			c := w.client(n)
			defer c.close()
			for i := next.Add(1) - 1; i < int64(len(some)); i = next.Add(1) - 1 {
				if i%2 == 0 {
					c.submit(some[i])
				} else {
					c.look(some[i], "")
				}
			}
		})
	}
	all.Wait()
}
