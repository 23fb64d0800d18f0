package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// stock is lastunit. Each of its calls can be repeated without doing anything twice, and so it is until lastunit answers or patience ends.
type stock struct {
	url, key string
	patience time.Duration // with one call
	http     *http.Client
}

func newStock(url, key string) *stock {
	return &stock{url: url, key: key, patience: 20 * time.Second, http: &http.Client{Timeout: 10 * time.Second}}
}

// held is what lastunit calls a transaction: units that nobody else can have until ExpiresAt.
type held struct {
	ID        string    `json:"id"`
	ExpiresAt time.Time `json:"expires_at"`
}

// hold takes units for a user, all or none. key stands for this one wish: with it the call can be repeated.
func (s *stock) hold(ctx context.Context, user, key, sku string, quantity int) (held, error) {
	var h held
	err := s.call(ctx, "POST", "/order/addToCart", user, key, map[string]any{"sku": sku, "quantity": quantity}, &h)
	return h, err
}

// extend keeps a hold for so much longer; hold-expired when it has lapsed.
func (s *stock) extend(ctx context.Context, user, key, id string, by time.Duration) (held, error) {
	var h held
	err := s.call(ctx, "POST", "/api/v1/transaction/"+id+"/extend", user, key, map[string]any{"seconds": int(by.Seconds())}, &h)
	return h, err
}

// confirm sells what is held, under the shop's order number, once. For a hold that has lapsed lastunit takes equal units; hold-expired when there are
// none, and then nothing is sold.
func (s *stock) confirm(ctx context.Context, number, id string) error {
	body := map[string]any{"reference": number, "transaction_ids": []string{id}}
	return s.call(ctx, "POST", "/api/v1/orders/confirm", "", number, body, nil)
}

// release gives the units back. A hold that has lapsed, or was released before, is no error.
func (s *stock) release(ctx context.Context, user, id string) error {
	return s.call(ctx, "DELETE", "/api/v1/cart/"+id, user, "", nil, nil)
}

// problem is a no (RFC 9457), of lastunit or of the shop itself. Of lastunit's, Code is there to be switched on, and Detail to be shown.
type problem struct {
	Status        int        `json:"status"`
	Code          string     `json:"code,omitempty"`
	Detail        string     `json:"detail"`
	NextReleaseAt *time.Time `json:"next_release_at,omitempty"` // when the first unit in other people's carts may come back

	retryAfter time.Duration
}

func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// forBuyers tells whether a buyer can do something about it. The other problems of lastunit are the shop's: a wrong key, a product that was not stocked.
func (p *problem) forBuyers() bool { return p.Code == "" || p.Status == http.StatusConflict }

// passes tells whether the same request may succeed a moment later, or has succeeded: busy, outcome-unknown, internal, too-many-requests.
func (p *problem) passes() bool { return p.Status >= 500 || p.Status == http.StatusTooManyRequests }

func isCode(err error, code string) bool {
	var p *problem
	return errors.As(err, &p) && p.Code == code
}

// call sends a request until it is answered. What is lost on the way may have been done: the same request with the same key finds out.
func (s *stock) call(ctx context.Context, method, path, user, key string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := s.send(ctx, method, path, user, key, body, answer)
		var p *problem
		switch isProblem := errors.As(err, &p); {
		case err == nil, isProblem && !p.passes():
			return err
		case isProblem:
			pause = max(pause, p.retryAfter)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%s %s was not answered: %w", method, path, err)
		}
	}
}

func (s *stock) send(ctx context.Context, method, path, user, key string, body, answer any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		req.Header.Set("Buyer-Id", user)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode < 300 && answer == nil:
		return nil
	case resp.StatusCode < 300:
		return json.NewDecoder(resp.Body).Decode(answer)
	}
	p := &problem{}
	if err := json.NewDecoder(resp.Body).Decode(p); err != nil || p.Code == "" {
		return fmt.Errorf("%s, of something that is not lastunit", resp.Status)
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0 when there is none
	p.Status, p.retryAfter = resp.StatusCode, time.Duration(seconds)*time.Second
	return p
}
