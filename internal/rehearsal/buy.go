package rehearsal

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	claimPath = "/order/addToCart"
	queuePath = "/api/v1/order/addToCart"

	lookWait = 20 * time.Second // how long a look waits at the server, by ?wait
	pollPace = time.Second      // of a buyer whom nobody told a Retry-After
)

func transactionPath(id string) string { return "/api/v1/transaction/" + url.PathEscape(id) }

// buy sends the buyer's one request at its instant, again while it is not answered, and watches the transaction that it was
// accepted as until that is settled.
func (c *crowd) buy(ctx context.Context, b *buyer, due time.Time) answer {
	a := answer{buyer: b.id, home: b.home, quantity: b.quantity, queued: b.queued}
	if c.rate > 0 {
		if err := waitUntil(ctx, due); err != nil {
			a.interrupted()
			return a
		}
		a.late = time.Since(due) > c.lateAfter
	}
	header := c.ask(ctx, b, &a)
	a.acceptLatency = a.answeredAt.Sub(due)
	if a.waits() {
		c.watch(ctx, b, &a, header)
	}
	a.latency = a.answeredAt.Sub(due)
	return a
}

// ask sends the request until it is accepted or answered, and returns the header of the last response.
func (c *crowd) ask(ctx context.Context, b *buyer, a *answer) http.Header {
	c.count.sent()
	for attempt := 1; ; attempt++ {
		sentAt := time.Now()
		if attempt == 1 {
			a.sentAt = sentAt
		}
		got, written, err := c.attempt(ctx, b, attempt)
		a.sent = a.sent || written
		a.answeredAt = time.Now()
		done := false
		if err != nil {
			a.lost(err, c.timeout)
			done = written && b.keyless()
		} else {
			done = a.take(got, sentAt, a.answeredAt) || a.fault == "outcome-unknown" && b.keyless()
		}
		if done || attempt == c.attempts || c.wait(ctx, attempt, got.header) != nil {
			return got.header
		}
		a.retries++
	}
}

// keyless: sent again, the request would be another one, so it is sent again only when nothing came of it.
func (b *buyer) keyless() bool { return b.header.Get("Idempotency-Key") == "" }

// attempt sends the request once. After a lost connection it dials anew, the next server if there are several.
func (c *crowd) attempt(ctx context.Context, b *buyer, attempt int) (got response, written bool, err error) {
	dialled, err := c.reconnect(ctx, b, attempt)
	if err != nil {
		return got, false, err
	}
	if dialled {
		if b.wire, err = b.server.wire(http.MethodPost, b.path, nil, b.header, b.body); err != nil {
			return got, false, err
		}
	}
	return c.exchange(ctx, b, http.MethodPost, b.wire, c.timeout)
}

// watch looks at the transaction until it is settled, or has not moved for too long. One that polls does so at the pace of
// Retry-After; the others let their looks wait at the server.
func (c *crowd) watch(ctx context.Context, b *buyer, a *answer, header http.Header) {
	moved, failures, pace := time.Now(), 0, pollPace
	for looks := 0; ; looks++ {
		if asked, ok := retryAfter(header); ok {
			pace = asked
		}
		if err := c.rest(ctx, a, pace, failures, looks, header); err != nil {
			a.interrupted()
			return
		}
		askedAt := time.Now()
		got, err := c.look(ctx, b, a.id(), failures)
		header, a.answeredAt = got.header, time.Now()
		final := false
		if err != nil {
			a.lost(err, c.timeout)
		} else {
			final = a.see(got, askedAt)
		}
		switch {
		case final:
			return
		case a.fault != "":
			if failures++; failures == c.attempts {
				return
			}
			continue
		case a.moved():
			moved = a.answeredAt
		case a.answeredAt.Sub(moved) > c.patience:
			a.fault, a.unanswered = fmt.Sprintf("still queued, and not moved for %s", c.patience), true
			return
		}
		failures = 0
	}
}

// rest is the pause before a look.
func (c *crowd) rest(ctx context.Context, a *answer, pace time.Duration, failures, looks int, header http.Header) error {
	switch {
	case failures > 0:
		return c.wait(ctx, failures, header)
	case c.poll:
		return waitUntil(ctx, time.Now().Add(max(pace, c.pause)))
	case looks > 0 && time.Since(a.sightings[len(a.sightings)-1].askedAt) < time.Second:
		// A look that came back at once did not wait; the next one must not make it a storm.
		return waitUntil(ctx, time.Now().Add(c.pause))
	}
	return nil
}

// look asks for the transaction once.
func (c *crowd) look(ctx context.Context, b *buyer, id string, failures int) (response, error) {
	if _, err := c.reconnect(ctx, b, failures+1); err != nil {
		return response{}, err
	}
	timeout, query := c.timeout, url.Values(nil)
	if !c.poll {
		timeout += lookWait
		query = url.Values{"wait": {strconv.Itoa(int(lookWait / time.Second))}}
	}
	header := b.header.Clone()
	header.Del("Idempotency-Key")
	header.Del("Content-Type")
	wire, err := b.server.wire(http.MethodGet, transactionPath(id), query, header, nil)
	if err != nil {
		return response{}, err
	}
	got, _, err := c.exchange(ctx, b, http.MethodGet, wire, timeout)
	return got, err
}

// reconnect dials when there is no connection: the buyer's own server at the first attempt, then the next.
func (c *crowd) reconnect(ctx context.Context, b *buyer, attempt int) (dialled bool, err error) {
	if b.conn != nil {
		return false, nil
	}
	b.server = c.servers[(b.home+attempt-1)%len(c.servers)]
	b.conn, err = b.server.dial(ctx, c.timeout)
	return true, err
}

func (c *crowd) exchange(ctx context.Context, b *buyer, method string, wire []byte, timeout time.Duration) (got response, written bool, err error) {
	got, written, reusable, err := b.conn.exchange(ctx, method, wire, timeout)
	if !reusable {
		b.conn.close()
		b.conn = nil
	}
	return got, written, err
}
