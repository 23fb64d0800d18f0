package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

const (
	addToCart   = "/order/addToCart"
	addToQueue  = "/api/v1/order/addToCart"
	lukewarm    = 1000 // products
	unitsAtOnce = 1_000_000
)

// load of claims by so many connections.
func (o compareOptions) load(body func(int64) string) load {
	return load{connections: o.connections, path: addToCart, body: body, warm: o.warm(), measure: o.measure}
}

// warm is how long a turn goes on before it is measured.
func (o compareOptions) warm() time.Duration { return min(time.Second, o.measure) }

// most is more claims than there can be in a turn of each round: where it is too few, the turn fails for its refusals.
func (o compareOptions) most() int {
	return int((o.warm()+o.measure).Seconds()*float64(min(1500*o.connections, 40_000))) * o.rounds
}

func one(sku string, quantity int) func(int64) string {
	body := fmt.Sprintf(`{"sku":%q,"quantity":%d}`, sku, quantity)
	return func(int64) string { return body }
}

// turns starts everything that is measured, except what is not wanted.
func (b *bench) turns(o compareOptions) ([]turn, error) {
	var turns []turn
	for _, add := range []func(compareOptions) ([]turn, error){b.contenderTurns, b.lastunitTurns, b.serverTurns} {
		more, err := add(o)
		if err != nil {
			return nil, err
		}
		turns = append(turns, more...)
	}
	return turns, nil
}

// contenderTurns are those of everybody else.
func (b *bench) contenderTurns(o compareOptions) (turns []turn, err error) {
	add := func(name, contender string, servers int, store func() []int, args ...string) error {
		s, err := b.contender(name, contender, servers, args...)
		if err == nil {
			s.store = store
			turns = append(turns, turn{name: name, system: s, status: 201, load: o.load(one("hot", 1))})
		}
		return err
	}
	if o.wanted("no-op") {
		if err := add("no-op", "no-op", 1, nil); err != nil {
			return nil, err
		}
	}
	for _, r := range [][3]string{
		{"redis everysec", "everysec", "redis"}, {"redis always", "always", "redis"},
		{"redis everysec, lane", "everysec", "redis, lane"}, {"redis always, lane", "always", "redis, lane"},
	} {
		if !o.wanted(r[0]) {
			continue
		}
		address, cmd, err := b.redisServer(r[1], 100*unitsAtOnce)
		if err != nil {
			return nil, err
		}
		if err := add(r[0], r[2], 1, func() []int { return []int{cmd.Process.Pid} }, "-redis", address, "-connections", "64"); err != nil {
			return nil, err
		}
	}
	database := ""
	for _, name := range []string{"counter, lane", "counter, lane, 2 servers", "counter, update", "counter, lock", "units in place", "tokens, no lane"} {
		if !o.wanted(name) {
			continue
		}
		if database == "" {
			if database, err = b.contenderDatabase(o.most()); err != nil {
				return nil, err
			}
		}
		contender, many := strings.CutSuffix(name, ", 2 servers")
		servers := 1
		if many {
			servers = 2
		}
		// With a transaction a claim, more connections are slower: 4 did best of 4, 8, 16 and 32, with all four of them.
		if err := add(name, contender, servers, b.postgres, "-database", database, "-connections", "4"); err != nil {
			return nil, err
		}
		turns[len(turns)-1].system.logs = true
	}
	return turns, nil
}

const priced = `{"price":{"amount":6900,"currency":"EUR"}}`

// stock puts so many units of a product on sale, besides those that are there.
func (b *bench) stock(sku string, units int) error {
	for ; units > 0; units -= unitsAtOnce {
		if err := b.service.Stock(sku, priced, min(units, unitsAtOnce)); err != nil {
			return err
		}
	}
	return nil
}

// lastunitTurns are those of lastunit, on one server.
func (b *bench) lastunitTurns(o compareOptions) (turns []turn, err error) {
	s := b.lastunit(1)
	most := o.most()
	for _, t := range []struct {
		turn
		setUp func() error
	}{
		{turn: turn{name: "lastunit", load: o.load(one("hot", 1))}, setUp: func() error { return b.stock("hot", most) }},
		{turn: turn{name: "sold out", status: 409, load: o.load(one("gone", 1))}, setUp: b.sellOut},
		{turn: turn{name: "1000 products", load: o.load(func(n int64) string {
			return fmt.Sprintf(`{"sku":"warm-%d","quantity":1}`, n%lukewarm)
		})}, setUp: func() error { return b.stockLukewarm(most / lukewarm) }},
		{turn: turn{name: "4 at once", units: 4, load: o.load(one("fours", 4))}, setUp: func() error { return b.stock("fours", 2*most) }},
		{turn: turn{name: "in a sale", load: o.load(one("drop", 1))}, setUp: func() error { return b.openSale(most) }},
		{turn: turn{name: "journeys", status: 200, load: b.journey(o)}, setUp: func() error { return b.stock("journey", most) }},
		{turn: turn{name: "accepted", run: func() (sample, error) { return b.accept(o) }}, setUp: func() error { return b.stock("queue", 3*most) }},
		{turn: turn{name: "settled", run: func() (sample, error) { return b.settleBacklog(o) }}, setUp: func() error { return b.stock("queue", 100_000*o.rounds) }},
	} {
		if !o.wanted(t.name) {
			continue
		}
		if err := t.setUp(); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		if t.system = s; t.status == 0 {
			t.status = 201
		}
		turns = append(turns, t.turn)
	}
	return turns, nil
}

// serverTurns are those of lastunit on more than one server.
func (b *bench) serverTurns(o compareOptions) (turns []turn, err error) {
	for _, n := range []int{2, 4} {
		name := fmt.Sprintf("lastunit, %d servers", n)
		if !o.wanted(name) {
			continue
		}
		if err := b.stock("hot", o.most()); err != nil {
			return nil, err
		}
		turns = append(turns, turn{name: name, system: b.lastunit(n), status: 201, load: o.load(one("hot", 1))})
	}
	return turns, nil
}

// do is a request of a buyer that has to succeed.
func (b *bench) do(buyer int, path, body string) ([]byte, error) {
	c := driven.Conn{Address: b.service.Servers[0].Address, Key: b.crowd.tokens[buyer]}
	defer c.Close()
	a, err := c.Do(b.ctx, driven.Ask{Method: "POST", Path: path, Body: body})
	if err != nil {
		return nil, err
	}
	if a.Status/100 != 2 {
		return nil, fmt.Errorf("%s: %v", path, a)
	}
	return a.Text, nil
}

// sellOut makes a product all of whose units are sold.
func (b *bench) sellOut() error {
	if err := b.stock("gone", 10); err != nil {
		return err
	}
	if _, err := b.do(0, addToCart, `{"sku":"gone","quantity":10}`); err != nil {
		return err
	}
	answer, err := b.do(0, "/api/v1/order/checkout", `{}`)
	if err != nil {
		return err
	}
	_, err = b.do(0, "/api/v1/orders/"+idOf(answer)+"/pay", `{"card":"succeed"}`)
	return err
}

// idOf is the id of a resource: the first there is.
func idOf(answer []byte) string {
	_, rest, _ := bytes.Cut(answer, []byte(`"id":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}

func (b *bench) stockLukewarm(units int) error {
	for i := range lukewarm {
		if err := b.stock(fmt.Sprintf("warm-%d", i), units); err != nil {
			return err
		}
	}
	return nil
}

// openSale opens a sale of a product with a limit that every request is counted against and none reaches.
func (b *bench) openSale(units int) error {
	if err := b.stock("drop", units); err != nil {
		return err
	}
	now := time.Now().UTC()
	answer, err := b.service.Operate("POST", "/api/v1/sales", fmt.Sprintf(
		`{"name":"bench","opens_at":%q,"closes_at":%q,"hold_seconds":3600,"purchase_limit":100000,"items":[{"sku":"drop","price":{"amount":4900,"currency":"EUR"}}]}`,
		now.Format(time.RFC3339), now.Add(24*time.Hour).Format(time.RFC3339)))
	if err != nil {
		return err
	}
	_, err = b.service.Operate("POST", "/api/v1/sales/"+idOf(answer.Text)+"/schedule", "")
	return err
}

// journey is a claim, its checkout and its payment.
func (b *bench) journey(o compareOptions) load {
	l := o.load(one("journey", 1))
	l.measure *= 4 // each takes seconds
	l.then = func(ask func(string, string) (int, []byte, error), status int, answer []byte) (int, error) {
		if status != 201 {
			return status, nil
		}
		status, answer, err := ask("/api/v1/order/checkout", fmt.Sprintf(`{"transaction_ids":[%q]}`, idOf(answer)))
		if err != nil || status != 201 {
			return status, err
		}
		status, _, err = ask("/api/v1/orders/"+idOf(answer)+"/pay", `{"card":"succeed"}`)
		return status, err
	}
	return l
}

// accept measures the acceptance of requests into the queue, and waits until all of them are settled.
func (b *bench) accept(o compareOptions) (sample, error) {
	l := o.load(one("queue", 1))
	l.path, l.measure = addToQueue, max(5*time.Second, o.measure)
	s, err := b.measure(b.lastunit(1), l, 202, 1)
	if err != nil {
		return s, err
	}
	return s, b.drained(2 * time.Minute)
}

// settleBacklog measures how fast a queue of 100,000 requests is settled. While it fills up, somebody else has the turn to settle it.
func (b *bench) settleBacklog(o compareOptions) (sample, error) {
	const backlog = 100_000
	db, err := b.service.Connect(b.ctx)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(b.ctx)) }()
	if _, err := b.do(0, addToQueue, `{"sku":"queue"}`); err != nil { // so that there is a queue
		return sample{}, err
	}
	if err := b.drained(10 * time.Second); err != nil {
		return sample{}, err
	}
	tx, err := db.Begin(b.ctx)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	if _, err := tx.Exec(b.ctx, `SELECT FROM queue_head FOR UPDATE`); err != nil {
		return sample{}, err
	}
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	l := o.load(one("queue", 1))
	l.path, l.warm, l.measure, l.crowd, l.addresses = addToQueue, 0, 5*time.Minute, b.crowd, b.lastunit(1).addresses
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		l.run(ctx)
	}()
	for {
		driven.Pause(b.ctx, 20*time.Millisecond)
		n, err := b.queued()
		if err != nil {
			return sample{}, err
		}
		if n >= backlog || b.ctx.Err() != nil {
			break
		}
	}
	stop()
	<-sent
	n, err := b.queued()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	if err := tx.Rollback(b.ctx); err != nil {
		return sample{}, err
	}
	err = b.drained(2 * time.Minute)
	return sample{PerSecond: float64(n) / time.Since(began).Seconds()}, err
}

// queued is how many units are asked for in queues.
func (b *bench) queued() (n int64, err error) {
	err = b.db.QueryRow(b.ctx, `SELECT coalesce(sum(queue_tail.place - queue_head.place), 0)
		FROM queue_tail JOIN queue_head USING (product_id, pool_id)`).Scan(&n)
	return n, err
}

func (b *bench) drained(patience time.Duration) error {
	for began := time.Now(); b.ctx.Err() == nil; driven.Pause(b.ctx, 5*time.Millisecond) {
		if n, err := b.queued(); err != nil || n == 0 {
			return err
		}
		if time.Since(began) > patience {
			return fmt.Errorf("the queue has not been settled in %s", patience)
		}
	}
	return b.ctx.Err()
}

// wanted tells whether a turn is to be taken.
func (o compareOptions) wanted(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, "|"), name)
}
