package shop_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/bench/books"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/shop"
)

// Small worlds: one unit, two or three calls at once, each through a shop of its own, and every order in which their statements can reach PostgreSQL, up to a number of
// preemptions (as in Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007). After each statement the rows
// are looked at from outside.

// actor is a shop whose statements wait until they are let through.
type actor struct {
	name     string
	shop     *shop.Shop
	provider *payment.Test
	gate     *gate
}

// gate holds up what is sent to PostgreSQL.
type gate struct {
	mu      sync.Mutex
	closed  bool
	waiting []chan struct{}
	news    chan struct{}
}

func (g *gate) pass() {
	g.mu.Lock()
	if !g.closed {
		g.mu.Unlock()
		return
	}
	permit := make(chan struct{})
	g.waiting = append(g.waiting, permit)
	g.mu.Unlock()
	select {
	case g.news <- struct{}{}:
	default:
	}
	<-permit
}

// stands tells whether something waits.
func (g *gate) stands() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) > 0
}

// step lets one through.
func (g *gate) step() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.waiting[0])
	g.waiting = g.waiting[1:]
}

func (g *gate) shut(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	if !closed {
		for _, permit := range g.waiting {
			close(permit)
		}
		g.waiting = nil
	}
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c gatedConn) Write(p []byte) (int, error) {
	c.gate.pass()
	return c.Conn.Write(p)
}

// newActor makes a shop on the world's database whose statements can be held up.
func (w *world) newActor(name string) *actor {
	w.t.Helper()
	a := &actor{name: name, gate: &gate{news: make(chan struct{}, 1)}}
	cfg, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.MaxConns = 3
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return gatedConn{conn, a.gate}, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	a.provider = payment.NewTest(pool, payment.TestOptions{})
	// Who waits for somebody who is held up here waits as long as it takes.
	a.shop = shop.New(pool, shop.Options{Hold: time.Minute, ClaimWait: time.Minute, PayTimeout: time.Minute, Provider: a.provider, Now: func() *time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.then
	}})
	w.t.Cleanup(func() {
		a.gate.shut(false)
		a.shop.Close()
		a.provider.Close()
		pool.Close()
	})
	return a
}

// small is a world of one run.
type small struct {
	*world
	sku, key string
	hold     shop.Transaction // ann's
	order    shop.Order       // ann's, where there is one
}

// call is something that somebody does, and what must be so at the end when it was answered well.
type call struct {
	name string
	do   func(ctx context.Context, s *shop.Shop, w *small) (after string, err error) // after: a query that must be true
}

func held(id shop.ID) string {
	return fmt.Sprintf("SELECT count(*) = 1 FROM claim JOIN claim_unit USING (claim_id) WHERE claim_id = '%s'", id)
}

func is(table, id string, status ...string) string {
	return fmt.Sprintf("SELECT count(*) = 1 FROM %s WHERE %s_id = '%s' AND status IN ('%s')", table, strings.TrimPrefix(table, "shop_"), id, strings.Join(status, "','"))
}

var (
	claims = call{"claim", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		c, err := s.Claim(ctx, shop.ClaimRequest{Buyer: "bob " + w.sku, SKU: w.sku, Quantity: 1, Key: "bob"})
		return held(c.Transaction.ID), err
	}}
	queues = call{"queued claim", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		c, err := s.Enqueue(ctx, shop.ClaimRequest{Buyer: "cat " + w.sku, SKU: w.sku, Quantity: 1, Key: "cat"}, 0)
		return fmt.Sprintf("SELECT count(*) = 1 FROM claim WHERE claim_id = '%s'", c.Transaction.ID), err
	}}
	more = call{"claim beyond the limit", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		c, err := s.Claim(ctx, shop.ClaimRequest{Buyer: "ann " + w.sku, SKU: w.sku, Quantity: 1, Key: "more"})
		return held(c.Transaction.ID), err
	}}
	replays = call{"replay", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		c, err := s.Claim(ctx, shop.ClaimRequest{Buyer: "ann " + w.sku, SKU: w.sku, Quantity: 1, Key: "ann"})
		if err == nil && c.Transaction.ID != w.hold.ID {
			err = fmt.Errorf("replayed as %s, was %s", c.Transaction.ID, w.hold.ID)
		}
		return held(w.hold.ID), err
	}}
	releases = call{"release", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		_, err := s.Release(ctx, "ann "+w.sku, w.hold.ID)
		return is("claim", w.hold.ID.String(), "released", "expired"), err
	}}
	expires = call{"expire", func(ctx context.Context, s *shop.Shop, _ *small) (string, error) {
		return "SELECT true", s.ExpireLapsed(ctx)
	}}
	orders = call{"checkout", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		o, _, err := s.Checkout(ctx, shop.CheckoutRequest{Buyer: "ann " + w.sku, TransactionIDs: []shop.ID{w.hold.ID}, Key: "checkout"})
		return is("shop_order", o.ID.String(), "awaiting_payment", "paid", "cancelled"), err
	}}
	pays = call{"pay", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		o, replayed, err := s.Pay(ctx, "ann "+w.sku, w.order.ID, "succeed", "pay")
		if replayed && o.Status == shop.IsCancelled {
			return is("shop_order", w.order.ID.String(), "cancelled"), err
		}
		return is("shop_order", w.order.ID.String(), "paid"), err
	}}
	cancels = call{"cancel", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		_, _, err := s.CancelOrder(ctx, "ann "+w.sku, w.order.ID, "cancel")
		return is("shop_order", w.order.ID.String(), "cancelled"), err
	}}
	sweeps = call{"cancel what is overdue", func(ctx context.Context, s *shop.Shop, _ *small) (string, error) {
		return "SELECT true", s.CancelOverdue(ctx)
	}}
	refunds = call{"refund", func(ctx context.Context, s *shop.Shop, w *small) (string, error) {
		_, _, err := s.Refund(ctx, shop.RefundRequest{OrderID: w.order.ID, Restock: shop.RestockAvailable, Operator: shop.Operator{KeyID: w.world.key, Key: w.key}})
		return is("shop_order", w.order.ID.String(), "refunded"), err
	}}
)

// situation is what calls meet with, and which calls.
type situation struct {
	name  string
	make  func(*small)
	calls []call
}

// situations are all that are walked.
var situations = []situation{
	{"a live hold", func(*small) {}, []call{claims, queues, more, replays, releases, orders}},
	{"a lapsed hold", func(w *small) { w.later(61 * time.Second) }, []call{claims, queues, more, replays, releases, orders, expires}},
	{"an unpaid order", func(w *small) { w.order = w.mustCheckout("ann " + w.sku) }, []call{claims, pays, cancels, replays}},
	{"an overdue order", func(w *small) { w.order = w.mustCheckout("ann " + w.sku); w.later(61 * time.Second) }, []call{claims, pays, cancels, sweeps}},
	{"a paid order", func(w *small) {
		w.order = w.mustCheckout("ann " + w.sku)
		if _, _, err := w.Pay(context.Background(), "ann "+w.sku, w.order.ID, "succeed", ""); err != nil {
			w.t.Fatal(err)
		}
	}, []call{claims, refunds, more}},
}

func (w *world) later(d time.Duration) { w.moveTo(w.now().Add(d)) }

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.then
}

// explorer walks the orders of the statements of some calls.
type explorer struct {
	*world
	situation situation
	calls     []call
	actors    []*actor
	rng       *rand.Rand
	bound     int      // preemptions
	most      int      // orders, drawn; 0: all
	sale      shop.ID  // is open
	skus      []string // of products of it that were not used yet

	runs, steps int
}

// TestCallsInEveryOrder walks some orders of each pair of calls, with one preemption; with LASTUNIT_STEPS=all all orders with up to two, and those of all triples with one.
func TestCallsInEveryOrder(t *testing.T) {
	t.Parallel()
	all := os.Getenv("LASTUNIT_STEPS") == "all" //nolint:forbidigo // a test's own
	for _, s := range situations {
		for i, first := range s.calls {
			for j, second := range s.calls[i:] {
				if !all {
					walk(t, s, 1, 4, first, second)
					continue
				}
				walk(t, s, 2, 0, first, second)
				for _, third := range s.calls[i+j:] {
					walk(t, s, 1, 0, first, second, third)
				}
			}
		}
	}
}

// walk has an explorer of its own walk orders of some calls, with at most so many preemptions, and at most so many orders, drawn; 0: all of them.
func walk(t *testing.T, s situation, bound, most int, calls ...call) {
	t.Helper()
	name := s.name
	for _, c := range calls {
		name += "/" + c.name
	}
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		x := newExplorer(t, len(calls))
		x.situation, x.calls, x.bound, x.most = s, calls, bound, most
		x.explore()
		x.end()
	})
}

func newExplorer(t *testing.T, actors int) *explorer {
	t.Helper()
	w := newWorld(t, shop.Options{Hold: time.Minute, ShowStock: -1})
	w.moveTo(time.Date(2026, 12, 12, 12, 0, 0, 0, time.UTC))
	provider := payment.NewTest(w.db, payment.TestOptions{})
	t.Cleanup(provider.Close)
	w.Shop = w.server(shop.Options{Hold: time.Minute, Provider: provider})
	x := &explorer{world: w, rng: rand.New(rand.NewPCG(12, 12))}
	for i := range actors {
		x.actors = append(x.actors, w.newActor(fmt.Sprintf("actor-%d", i)))
	}
	return x
}

// end tells how much was walked, and holds all rows that are left against the rules.
func (x *explorer) end() {
	x.t.Helper()
	x.t.Logf("%d orders, %d statements", x.runs, x.steps)
	if x.runs < 3 {
		x.t.Errorf("%d orders: the statements were not held up", x.runs)
	}
	broken, err := books.Broken(context.Background(), x.db, books.Units)
	if err != nil || len(broken) > 0 {
		x.t.Errorf("%v %v", broken, err)
	}
	x.audited()
	if n := x.count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n > 0 {
		x.t.Errorf("%d deadlocks", n)
	}
}

// explore walks all orders of the calls, by running each up to where it is to differ from an earlier one. That somebody who asks again and again asks once more is not another order.
func (x *explorer) explore() {
	x.t.Helper()
	queue := [][]int{{}}
	for len(queue) > 0 && (x.most == 0 || x.runs < x.most) && !x.t.Failed() {
		if x.most > 0 { // any of them, else the last
			i := x.rng.IntN(len(queue))
			queue[i], queue[len(queue)-1] = queue[len(queue)-1], queue[i]
		}
		next := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		trace := x.run(next)
		preemptions := 0
		for i, at := range trace {
			some := able(trace[:i], at.ready)
			couldGoOn := slices.Contains(some, at.last)
			if i >= len(next) {
				for _, other := range some {
					p := preemptions
					if couldGoOn && other != at.last {
						p++
					}
					if other != at.chosen && p <= x.bound {
						queue = append(queue, append(choices(trace[:i]), other))
					}
				}
			}
			if couldGoOn && at.chosen != at.last {
				preemptions++
			}
		}
	}
}

// moment is a choice that was made: who could go on, who went on, and who had gone before.
type moment struct {
	ready        []int
	chosen, last int
}

func choices(trace []moment) (all []int) {
	for _, at := range trace {
		all = append(all, at.chosen)
	}
	return all
}

// run makes a small world and lets the calls go on in it in the order of a prefix, and behind it each as long as it can.
func (x *explorer) run(prefix []int) (trace []moment) {
	x.t.Helper()
	x.runs++
	w, calls := x.begin(), x.calls
	type ended struct {
		after string
		err   error
	}
	results := make([]*ended, len(calls))
	done := make([]chan ended, len(calls))
	for i, c := range calls {
		done[i] = make(chan ended, 1)
		a := x.actors[i]
		a.gate.shut(true)
		go func() {
			after, err := c.do(context.Background(), a.shop, w)
			done[i] <- ended{after, err}
		}()
	}
	story := func() string {
		text := x.situation.name + ":"
		for _, c := range calls {
			text += " " + c.name + ","
		}
		return fmt.Sprintf("%s in the order %v", text, choices(trace))
	}
	last := -1
	const stepsAtMost = 400
	for len(trace) < stepsAtMost {
		ready, live := []int{}, 0
		began := time.Now()
		for {
			ready, live = ready[:0], 0
			resting := true
			for i := range calls {
				select {
				case e := <-done[i]:
					results[i] = &e
				default:
				}
				switch {
				case results[i] != nil:
				case x.actors[i].gate.stands():
					live++
					ready = append(ready, i)
				case x.blocked(x.actors[i]):
					live++
				default:
					live++
					resting = false
				}
			}
			if resting && (len(ready) > 0 || live == 0) {
				break
			}
			if time.Since(began) > 20*time.Second {
				x.t.Errorf("%s: nobody goes on", story())
				break
			}
			time.Sleep(200 * time.Microsecond) //nolint:forbidigo // polling: who waits for a lock gives no signal
		}
		if live == 0 || len(ready) == 0 {
			break
		}
		some := able(trace, ready)
		chosen := some[0]
		switch {
		case len(trace) < len(prefix) && slices.Contains(ready, prefix[len(trace)]):
			chosen = prefix[len(trace)]
		case slices.Contains(some, last) && alone(trace) < asking:
			chosen = last
		case len(some) > 1 && chosen == last:
			chosen = some[1] // all ask: in turn
		}
		trace = append(trace, moment{slices.Clone(ready), chosen, last})
		last = chosen
		x.steps++
		x.actors[chosen].gate.step()
		x.rested(chosen)
		x.look(w, story)
	}
	for _, a := range x.actors {
		a.gate.shut(false)
	}
	for i := range calls {
		if results[i] == nil {
			e := <-done[i]
			results[i] = &e
		}
		x.judge(story, calls[i], results[i].after, results[i].err)
	}
	x.look(w, story)
	return trace
}

// A call that goes on alone for so many steps waits for another one by asking again and again.
const asking = 40

// able are those of the ready who may do something new: not who has asked again and again, unless all have.
func able(trace []moment, ready []int) (some []int) {
	asks := map[int]bool{}
	for i := range trace {
		if alone(trace[:i+1]) >= asking {
			asks[trace[i].chosen] = true
		}
	}
	for _, who := range ready {
		if !asks[who] {
			some = append(some, who)
		}
	}
	if len(some) == 0 {
		return ready
	}
	return some
}

// alone is how many steps the last one has made since anybody else made one.
func alone(trace []moment) (n int) {
	for n < len(trace) && n < asking && trace[len(trace)-1-n].chosen == trace[len(trace)-1].chosen {
		n++
	}
	return n
}

// rested gives an actor a moment to come to where it waits again.
func (x *explorer) rested(i int) {
	select {
	case <-x.actors[i].gate.news:
	case <-time.After(time.Millisecond):
	}
}

// blocked tells whether an actor waits for a lock that another one has.
func (x *explorer) blocked(a *actor) bool {
	return x.count(`SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock' AND datname = current_database()`, a.name) > 0
}

// begin makes a world of one unit, which ann holds, in a sale with a limit of one.
func (x *explorer) begin() *small {
	x.t.Helper()
	x.later(time.Hour)
	ctx := context.Background()
	if err := errors.Join(x.ExpireLapsed(ctx), x.CancelOverdue(ctx)); err != nil {
		x.t.Fatal(err)
	}
	if len(x.skus) == 0 {
		x.stockUp()
	}
	w := &small{world: x.world, sku: x.skus[0], key: fmt.Sprintf("key-%d", x.runs)}
	x.skus = x.skus[1:]
	c, err := x.Claim(ctx, shop.ClaimRequest{Buyer: "ann " + w.sku, SKU: w.sku, Quantity: 1, Key: "ann"})
	if err != nil {
		x.t.Fatal(err)
	}
	w.hold = c.Transaction
	x.situation.make(w)
	return w
}

// stockUp makes products of one unit each, and a sale of them with a limit of one, which is open for as long as the test takes.
func (x *explorer) stockUp() {
	x.t.Helper()
	ctx := context.Background()
	items := cmp.Or(x.most, 30)
	now, limit := x.now(), 1
	terms := shop.SaleTerms{Name: "small", OpensAt: now.Add(-time.Minute), ClosesAt: now.Add(10_000 * time.Hour), Hold: time.Minute, PurchaseLimit: &limit, MaxQuantity: 1}
	for i := range items {
		sku := fmt.Sprintf("one-%d-%d", x.runs, i)
		x.priced(sku, 100, 1)
		x.skus = append(x.skus, sku)
		terms.Items = append(terms.Items, shop.SaleItem{SKU: sku, Price: shop.Money{Amount: 90, Currency: "EUR"}})
	}
	sale, _, err := x.CreateSale(ctx, shop.Operator{KeyID: x.key}, terms)
	if err == nil {
		_, _, err = x.MoveSale(ctx, shop.Operator{KeyID: x.key}, sale.ID, shop.ScheduleSale)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.sale = sale.ID
}

// look holds the rows of the small world against the rules, from outside: its unit is in one place, and nobody has more than one.
func (x *explorer) look(w *small, story func() string) {
	x.t.Helper()
	var places, most int
	err := x.db.QueryRow(context.Background(), `
		WITH one AS (SELECT unit_id, product_id FROM unit JOIN product USING (product_id) WHERE sku = $1)
		SELECT
			(SELECT count(*) FROM stock_token JOIN one USING (unit_id))
			+ (SELECT count(*) FROM claim_unit JOIN one USING (unit_id) WHERE released_at IS NULL)
			+ (SELECT count(*) FROM quarantine_unit JOIN one USING (unit_id) WHERE left_at IS NULL),
			coalesce((SELECT max(unit_count) FROM sale_buyer WHERE sale_id = $2 AND buyer LIKE '% ' || $1), 0)`, w.sku, x.sale).Scan(&places, &most)
	if err != nil || places != 1 || most > 1 {
		x.t.Errorf("%s: the unit is in %d places, somebody has %d (%v)", story(), places, most, err)
	}
}

// judge holds an answer against the rows at the end.
func (x *explorer) judge(story func() string, c call, after string, err error) {
	x.t.Helper()
	var r *shop.Refusal
	switch {
	case errors.As(err, &r) && r.Code == shop.Busy && c.name == cancels.name: // a payment was begun a moment ago
	case errors.As(err, &r) && r.Code != shop.Busy && r.Code != shop.OutcomeUnknown:
	case err != nil:
		x.t.Errorf("%s: %s was answered %v", story(), c.name, err)
	default:
		var yes bool
		if err := x.db.QueryRow(context.Background(), after).Scan(&yes); err != nil || !yes {
			x.t.Errorf("%s: %s was answered well, and afterwards it is not so that %s (%v)", story(), c.name, after, err)
		}
	}
}
