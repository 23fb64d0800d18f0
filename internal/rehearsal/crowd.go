package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

const (
	connectAtOnce = 64
	claimPath     = "/order/addToCart"
)

// buyer has a connection of its own and one request to send.
type buyer struct {
	id       string
	home     int // index of its server
	quantity int
	header   http.Header
	body     []byte
	wire     []byte // for the server that conn leads to
	conn     *conn  // nil: to be dialled
}

// crowd is all buyers of a case.
type crowd struct {
	manners
	servers []*server
	buyers  []*buyer
	rate    float64
	bar     *progress
}

// newCrowd makes the buyers and their requests. An empty key sends no credentials.
func newCrowd(c Case, m manners, servers []*server, sku, key string, rate float64, bar *progress) (*crowd, error) {
	all := &crowd{manners: m, servers: servers, rate: rate, bar: bar}
	for i := range c.Buyers {
		b := &buyer{id: fmt.Sprintf("%s-%d", sku, i), home: i % len(servers), quantity: c.quantity(i)}
		b.header = http.Header{}
		if key != "" {
			b.header.Set("Authorization", "Bearer "+key)
		}
		b.header.Set("Buyer-Id", b.id)
		b.header.Set("Idempotency-Key", uuid.NewString())
		b.header.Set("Content-Type", "application/json")
		var err error
		if b.body, err = json.Marshal(map[string]any{"sku": sku, "quantity": b.quantity}); err != nil {
			return nil, err
		}
		if b.wire, err = servers[b.home].wire(http.MethodPost, claimPath, b.header, b.body); err != nil {
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
	s := c.servers[b.home]
	connection, err := s.dial(ctx, c.timeout)
	if isFileLimit(err) {
		limit, _ := openFileLimit()
		return fileLimitError(len(c.buyers), 2*uint64(len(c.buyers))+filesBesides, limit)
	}
	if err != nil {
		return fmt.Errorf("connect buyer %s: %w", b.id, err)
	}
	b.conn = connection
	wire, err := s.wire(http.MethodGet, "/livez", nil, nil)
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
	var released time.Time
	var ready, done sync.WaitGroup
	ready.Add(len(c.buyers))
	for i, b := range c.buyers {
		done.Go(func() {
			ready.Done()
			<-barrier
			due := released
			if c.rate > 0 {
				due = due.Add(time.Duration(float64(i) / c.rate * float64(time.Second)))
			}
			answers[i] = c.buy(ctx, b, due)
			c.bar.step()
		})
	}
	ready.Wait()
	released = time.Now()
	close(barrier)
	done.Wait()
	return answers
}

// buy sends the buyer's one request at its instant, and again with the same key while the answer is not final.
func (c *crowd) buy(ctx context.Context, b *buyer, due time.Time) answer {
	a := answer{buyer: b.id, home: b.home, quantity: b.quantity}
	if c.rate > 0 {
		if err := waitUntil(ctx, due); err != nil {
			a.fault, a.unanswered = "interrupted", true
			return a
		}
		a.late = time.Since(due) > c.lateAfter
	}
	for attempt := 1; ; attempt++ {
		got, written, err := c.attempt(ctx, b, attempt)
		a.sent = a.sent || written
		final := false
		if err != nil {
			a.lost(err, c.timeout)
		} else {
			final = a.take(got)
		}
		a.latency = time.Since(due)
		if final || attempt == c.attempts || c.wait(ctx, attempt, got.header) != nil {
			return a
		}
		a.retries++
	}
}

// attempt sends the request once. After a lost connection it dials anew, the next server if there are several.
func (c *crowd) attempt(ctx context.Context, b *buyer, attempt int) (got response, written bool, err error) {
	if b.conn == nil {
		s := c.servers[(b.home+attempt-1)%len(c.servers)]
		if b.wire, err = s.wire(http.MethodPost, claimPath, b.header, b.body); err != nil {
			return got, false, err
		}
		if b.conn, err = s.dial(ctx, c.timeout); err != nil {
			return got, false, err
		}
	}
	got, written, reusable, err := b.conn.exchange(ctx, http.MethodPost, b.wire, c.timeout)
	if !reusable {
		b.conn.close()
		b.conn = nil
	}
	return got, written, err
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
