package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

const connectAtOnce = 64

// buyer has a connection of its own and one request to send.
type buyer struct {
	id       string
	home     int // index of its server
	quantity int
	queued   bool
	path     string
	header   http.Header
	body     []byte
	wire     []byte  // for the server that conn leads to
	conn     *conn   // nil: to be dialled
	server   *server // that conn leads to
}

// crowd is all buyers of a case.
type crowd struct {
	manners
	servers []*server
	buyers  []*buyer
	errand
	bar *progress
	// released is when all were.
	released time.Time
}

// errand is what a crowd is sent for, and how.
type errand struct {
	skus []string // dealt out to the buyers in turn
	key  string   // an operator's; empty sends no credentials
	rate float64
	mode Mode
	poll bool // queued buyers know two calls only: to post, without a key, and to poll
	// opens is called when all are connected, before they are released.
	opens func(context.Context) error
	count *Count
}

// Count is how far a rehearsal is: requests that were sent, that got their units, and that were refused. It may be read while it is played.
type Count struct{ Sent, Held, Refused atomic.Int64 }

func (c *Count) sent() {
	if c != nil {
		c.Sent.Add(1)
	}
}

func (c *Count) answered(a answer) {
	switch {
	case c == nil:
	case a.held != nil:
		c.Held.Add(1)
	case a.refused != nil:
		c.Refused.Add(1)
	}
}

// newCrowd makes the buyers and their requests.
func newCrowd(c Case, m manners, servers []*server, e errand, bar *progress) (*crowd, error) {
	all := &crowd{manners: m, servers: servers, errand: e, bar: bar}
	queued := e.mode.queues(c.Buyers)
	for i := range c.Buyers {
		sku, n := e.skus[i%len(e.skus)], i/len(e.skus)
		b := &buyer{id: fmt.Sprintf("%s-%d", sku, i), home: n % len(servers), quantity: c.quantity(n), queued: queued[i], path: claimPath}
		b.server = servers[b.home]
		if b.queued {
			b.path = queuePath
		}
		b.header = http.Header{}
		if e.key != "" {
			b.header.Set("Authorization", "Bearer "+e.key)
		}
		b.header.Set("Buyer-Id", b.id)
		b.header.Set("Content-Type", "application/json")
		if !e.poll || !b.queued {
			b.header.Set("Idempotency-Key", uuid.NewString())
		}
		var err error
		if b.body, err = json.Marshal(map[string]any{"sku": sku, "quantity": b.quantity}); err != nil {
			return nil, err
		}
		if b.wire, err = b.server.wire(http.MethodPost, b.path, nil, b.header, b.body); err != nil {
			return nil, err
		}
		all.buyers = append(all.buyers, b)
	}
	return all, nil
}

// connect opens every buyer's connection and warms it with one request, so that what is measured later is the claim alone.
func (c *crowd) connect(ctx context.Context) error {
	c.bar.begin("connecting", len(c.buyers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(connectAtOnce)
	for _, b := range c.buyers {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			defer c.bar.step()
			return c.warm(ctx, b)
		})
	}
	return group.Wait()
}

func (c *crowd) warm(ctx context.Context, b *buyer) error {
	s := b.server
	connection, err := s.dial(ctx, c.timeout)
	if isFileLimit(err) {
		limit, _ := openFileLimit()
		return fileLimitError(len(c.buyers), 2*uint64(len(c.buyers))+filesBesides, limit)
	}
	if err != nil {
		return fmt.Errorf("connect buyer %s: %w", b.id, err)
	}
	b.conn = connection
	wire, err := s.wire(http.MethodGet, "/livez", nil, nil, nil)
	if err != nil {
		return err
	}
	got, _, reusable, err := connection.exchange(ctx, http.MethodGet, wire, c.timeout)
	switch {
	case err != nil:
		return fmt.Errorf("connect buyer %s: GET %s: %w (the server may have reached its own limit of open files)", b.id, s.base.JoinPath("/livez"), err)
	case got.status != http.StatusOK:
		return fmt.Errorf("connect buyer %s: GET %s: status %d", b.id, s.base.JoinPath("/livez"), got.status)
	case !reusable:
		return fmt.Errorf("connect buyer %s: %s closes connections after each request; a rehearsal needs keep-alive", b.id, s.base)
	}
	return nil
}

// fire releases all buyers and returns when each has a final answer or has given up, in the order of the buyers.
func (c *crowd) fire(ctx context.Context) []answer {
	c.bar.begin("buying", len(c.buyers))
	answers := make([]answer, len(c.buyers))
	barrier := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(len(c.buyers))
	for i, b := range c.buyers {
		done.Go(func() {
			ready.Done()
			<-barrier
			due := c.released
			if c.rate > 0 {
				due = due.Add(time.Duration(float64(i) / c.rate * float64(time.Second)))
			}
			answers[i] = c.buy(ctx, b, due)
			c.count.answered(answers[i])
			c.bar.step()
		})
	}
	ready.Wait()
	c.released = time.Now()
	close(barrier)
	done.Wait()
	return answers
}

func (c *crowd) close() {
	for _, b := range c.buyers {
		if b.conn != nil {
			b.conn.close()
			b.conn = nil
		}
	}
}

func waitUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
