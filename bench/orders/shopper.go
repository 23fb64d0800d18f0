package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// counters are what all shoppers of a run have met.
type counters struct {
	calls    atomic.Int64
	again    tally        // attempts that were sent again, by why: no answer, or one that says so
	replayed atomic.Int64 // answers that an earlier attempt had earned
}

// tally counts by name.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	t.n[name]++
}

// String is like "3 busy, 2 unanswered".
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(t.n)) {
		all = append(all, fmt.Sprintf("%d %s", t.n[name], name))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// shopper makes calls, each again and again with the same key until it has an answer that decides it, over all servers at random. It is one
// client: it does one thing at a time.
type shopper struct {
	ctx   context.Context
	conns []*driven.Conn
	count *counters
}

func newShopper(ctx context.Context, s *driven.Service, count *counters) *shopper {
	c := &shopper{ctx: ctx, count: count}
	for _, address := range s.Addresses() {
		c.conns = append(c.conns, &driven.Conn{Address: address, Key: s.Key})
	}
	return c
}

func (c *shopper) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

func (c *shopper) rest() { driven.Pause(c.ctx, 20*time.Millisecond+rand.N(80*time.Millisecond)) }

// call asks until it is answered, or ctx ends.
func (c *shopper) call(q driven.Ask, key string) (*driven.Answer, error) {
	if key != "" {
		q.Header += "Idempotency-Key: " + key + "\r\n"
	}
	if q.Patience == 0 {
		q.Patience = 30 * time.Second
	}
	for c.ctx.Err() == nil {
		c.count.calls.Add(1)
		a, err := c.conns[rand.IntN(len(c.conns))].Do(c.ctx, q)
		if err == nil && a.Status != 503 && a.Status != 429 && a.Status != 408 {
			if a.Replayed {
				c.count.replayed.Add(1)
			}
			return a, nil
		}
		why := "unanswered"
		if err == nil {
			why = a.Code()
		}
		c.count.again.add(why)
		c.rest()
	}
	return nil, c.ctx.Err()
}

// money is in minor units.
type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// transaction is what a claim is answered with.
type transaction struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`
	SKU       string    `json:"sku"`
	UnitIDs   []string  `json:"unit_ids"`
	ExpiresAt time.Time `json:"expires_at"`
	Reason    string    `json:"reason"`
}

// order is as it is shown.
type order struct {
	ID       string     `json:"id"`
	Buyer    string     `json:"buyer"`
	Status   string     `json:"status"`
	Reason   string     `json:"reason"`
	Lines    []line     `json:"lines"`
	Total    money      `json:"total"`
	Refunded money      `json:"refunded"`
	PayBy    *time.Time `json:"pay_by"`
	Payment  struct {
		Status string `json:"status"`
	} `json:"payment"`
	ReplacedByOrderID string `json:"replaced_by_order_id"`
}

type line struct {
	TransactionID   string   `json:"transaction_id"`
	SKU             string   `json:"sku"`
	UnitIDs         []string `json:"unit_ids"`
	ReturnedUnitIDs []string `json:"returned_unit_ids"`
	Price           money    `json:"price"`
}

// problem is an answer that refuses.
type problem struct {
	Code          string     `json:"code"`
	NextReleaseAt *time.Time `json:"next_release_at"`
	text          string
}

func (p *problem) Error() string { return p.text }

// decode reads what an answer is about into v. A refusal is a *problem; what should never be answered is another error.
func decode(a *driven.Answer, v any) error {
	switch a.Status {
	case 200, 201, 202:
		return json.Unmarshal(a.Text, v)
	case 402, 404, 409:
		p := &problem{}
		if err := json.Unmarshal(a.Text, p); err != nil {
			return fmt.Errorf("was answered %v", a)
		}
		p.text = a.String()
		return p
	}
	return fmt.Errorf("was answered %v", a)
}

// ask makes a call of a buyer, or of the operator without one, and decodes its answer.
func (c *shopper) ask(v any, method, path, buyer, key, body string) error {
	a, err := c.call(driven.Ask{Method: method, Path: path, Buyer: buyer, Body: body}, key)
	if err != nil {
		return err
	}
	return decode(a, v)
}

// want is units of a product that a buyer asks for.
type want struct {
	sku      string
	quantity int
	direct   bool
}

// claim asks for units until that is decided. A transaction that it returns may have ended by then. A refusal is a *problem.
func (c *shopper) claim(buyer, key string, w want) (transaction, error) {
	q := driven.Ask{Method: "POST", Path: "/order/addToCart", Buyer: buyer, Body: fmt.Sprintf(`{"sku":%q,"quantity":%d}`, w.sku, w.quantity)}
	if !w.direct {
		q.Path, q.Header = "/api/v1"+q.Path, "Prefer: wait=20\r\n"
	}
	a, err := c.call(q, key)
	if err != nil {
		return transaction{}, err
	}
	t := transaction{}
	if err := decode(a, &t); err != nil {
		return t, err
	}
	for t.Status == "queued" {
		if err := c.ask(&t, "GET", "/api/v1/transaction/"+t.ID+"?wait=20", buyer, "", ""); err != nil {
			return t, err
		}
	}
	if t.Status == "refused" {
		return t, &problem{Code: t.Reason, text: "refused in its turn: " + t.Reason}
	}
	return t, nil
}

// checkout orders transactions, or the whole cart.
func (c *shopper) checkout(buyer, key string, ids []string) (o order, err error) {
	body := "{}"
	if len(ids) > 0 {
		body = `{"transaction_ids":["` + strings.Join(ids, `","`) + `"]}`
	}
	err = c.ask(&o, "POST", "/api/v1/order/checkout", buyer, key, body)
	return o, err
}

func (c *shopper) pay(buyer, key, id, card string) (o order, err error) {
	err = c.ask(&o, "POST", "/api/v1/orders/"+id+"/pay", buyer, key, fmt.Sprintf(`{"card":%q}`, card))
	return o, err
}

func (c *shopper) cancel(buyer, key, id string) (o order, err error) {
	err = c.ask(&o, "POST", "/api/v1/orders/"+id+"/cancel", buyer, key, "")
	return o, err
}

func (c *shopper) order(buyer, id string) (o order, err error) {
	err = c.ask(&o, "GET", "/api/v1/orders/"+id, buyer, "", "")
	return o, err
}

// refund gives units back, or all that are left.
func (c *shopper) refund(key, id string, units []string, restock string) (o order, err error) {
	body := `{"restock":"` + restock + `"}`
	if len(units) > 0 {
		body = `{"restock":"` + restock + `","unit_ids":["` + strings.Join(units, `","`) + `"]}`
	}
	err = c.ask(&o, "POST", "/api/v1/orders/"+id+"/refund", "", key, body)
	return o, err
}

// release gives a hold back.
func (c *shopper) release(buyer, id string) error {
	a, err := c.call(driven.Ask{Method: "DELETE", Path: "/api/v1/cart/" + id, Buyer: buyer}, "")
	if err == nil && a.Status != 204 {
		err = decode(a, new(any))
	}
	return err
}

// openSale opens a sale of products with common prices, and no allotments.
func openSale(s *driven.Service, hold time.Duration, limit int, skus []string, price func(sku string) int64) (id string, err error) {
	var items []string
	for _, sku := range skus {
		items = append(items, fmt.Sprintf(`{"sku":%q,"price":{"amount":%d,"currency":"EUR"}}`, sku, price(sku)))
	}
	a, err := s.Operate("POST", "/api/v1/sales", fmt.Sprintf(
		`{"name":"bench","opens_at":%q,"closes_at":%q,"hold_seconds":%d,"purchase_limit":%d,"items":[%s]}`,
		time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339),
		int(hold.Seconds()), limit, strings.Join(items, ",")))
	if err != nil {
		return "", err
	}
	sale := struct {
		ID string `json:"id"`
	}{}
	if err := json.Unmarshal(a.Text, &sale); err != nil {
		return "", err
	}
	_, err = s.Operate("POST", "/api/v1/sales/"+sale.ID+"/schedule", "")
	return sale.ID, err
}
