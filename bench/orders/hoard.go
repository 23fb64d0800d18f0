package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

// hoardOptions say how somebody with many accounts takes what they never pay for, while others come to buy.
type hoardOptions struct {
	accounts, clients, units int
	took                     time.Duration
	perSecond                int // buyers who come, each of whom wants a unit
	patience                 time.Duration
}

// defence is how a shop is set against hoarders.
type defence struct {
	name            string
	hold, cooldown  time.Duration
	limit           int // 0: none
	addressRate     int
	addresses       int // that the hoarder has
	queued          bool
	queuedPerBuyer  int
	quantityAtOnce  int
	hoarderIsAbsent bool
}

// defences come one upon the other. A hold of a minute stands for one that outlasts the run.
var defences = []defence{
	{name: "no hoarder", hold: time.Minute, hoarderIsAbsent: true},
	{name: "nothing", hold: time.Minute, quantityAtOnce: 10},
	{name: "purchase limit 2", hold: time.Minute, limit: 2},
	{name: "hold 5 s", hold: 5 * time.Second, quantityAtOnce: 10},
	{name: "limit 2, hold 5 s", hold: 5 * time.Second, limit: 2},
	{name: "limit 2, hold 5 s, cool-down 60 s", hold: 5 * time.Second, limit: 2, cooldown: time.Minute},
	{name: "limit 2, hold 5 s, address rate 5", hold: 5 * time.Second, limit: 2, addressRate: 5},
	{name: "limit 2, hold 5 s, cool-down 60 s, address rate 5", hold: 5 * time.Second, limit: 2, cooldown: time.Minute, addressRate: 5},
	{name: "the same, from 100 addresses", hold: 5 * time.Second, limit: 2, cooldown: time.Minute, addressRate: 5, addresses: 100},
	{name: "queued; limit 2, hold 5 s, 50 queued a buyer", hold: 5 * time.Second, limit: 2, queued: true, queuedPerBuyer: 50},
	{name: "queued; limit 2, hold 5 s, 1 queued a buyer", hold: 5 * time.Second, limit: 2, queued: true, queuedPerBuyer: 1},
	{name: "queued; limit 2, hold 5 s, 1 queued, cool-down 60 s", hold: 5 * time.Second, limit: 2, queued: true, queuedPerBuyer: 1, cooldown: time.Minute},
}

const (
	hoardSecret = "a secret of the benchmark, which is long enough"
	hoarderName = "hoarder-"
)

// hoarded is what became of a run.
type hoarded struct {
	frozen       float64 // of the units that were there to be claimed, how many the hoarder held, over the time
	most         int     // units that the hoarder held at once
	claims       int64   // that the hoarder was given
	refused      tally
	came, served atomic.Int64
	mu           sync.Mutex
	waited       []time.Duration
}

// hoard measures what a hoarder freezes under each defence.
func hoard(ctx context.Context, binary string, o hoardOptions, out io.Writer) error {
	fmt.Fprintf(out, "hoard: %d units; a hoarder with %d accounts and %d connections; %d buyers a second for %s, who pay at once, and ask for up to %s\n",
		o.units, o.accounts, o.clients, o.perSecond, o.took, o.patience)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DEFENCE\tUNITS FROZEN\tAT MOST\tCLAIMS HAD\tBUYERS SERVED\tHALF WITHIN\tHOARDER REFUSED")
	for _, d := range defences {
		h, err := o.against(ctx, binary, d)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		half := "-"
		slices.Sort(h.waited)
		if n := len(h.waited); n > 0 {
			half = h.waited[n/2].Round(10 * time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%.0f %%\t%d\t%d\t%d of %d\t%s\t%v\n", d.name, 100*h.frozen, h.most, h.claims, h.served.Load(), h.came.Load(), half, &h.refused)
	}
	return table.Flush()
}

func (o hoardOptions) against(ctx context.Context, binary string, d defence) (*hoarded, error) {
	args := []string{"--buyer-secret", hoardSecret, "--address-rate", strconv.Itoa(d.addressRate), "--trusted-proxy", "127.0.0.0/8"}
	if d.queuedPerBuyer > 0 {
		args = append(args, "--max-queued-per-buyer", strconv.Itoa(d.queuedPerBuyer))
	}
	s, err := driven.Start(ctx, binary, 1, args...)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	if err := s.Stock(single, `{"price":{"amount":1,"currency":"EUR"}}`, o.units); err != nil {
		return nil, err
	}
	if err := d.open(s); err != nil {
		return nil, err
	}
	h := &hoarded{}
	running, stop := context.WithTimeout(ctx, o.took)
	defer stop()
	var all sync.WaitGroup
	if !d.hoarderIsAbsent {
		var next atomic.Int64
		for range o.clients {
			all.Go(func() { o.hoards(running, s, d, h, &next) })
		}
	}
	all.Go(func() { o.arrive(running, s, h) })
	err = h.sample(running, s)
	all.Wait()
	return h, err
}

// open opens a sale with the defence's terms.
func (d defence) open(s *driven.Service) error {
	limit := "null"
	if d.limit > 0 {
		limit = strconv.Itoa(d.limit)
	}
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	a, err := s.Operate("POST", "/api/v1/sales", fmt.Sprintf(
		`{"name":"bench","opens_at":%q,"closes_at":%q,"hold_seconds":%d,"cooldown_seconds":%d,"purchase_limit":%s,"items":[{"sku":%q,"price":{"amount":1,"currency":"EUR"}}]}`,
		at(-time.Minute), at(time.Hour), int(d.hold.Seconds()), int(d.cooldown.Seconds()), limit, single))
	if err != nil {
		return err
	}
	var sale struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(a.Text, &sale); err != nil {
		return err
	}
	_, err = s.Operate("POST", "/api/v1/sales/"+sale.ID+"/schedule", "")
	return err
}

// tokenOf is a buyer's.
func tokenOf(buyer string) string {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{Subject: buyer, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}).SignedString([]byte(hoardSecret))
	if err != nil {
		panic(err)
	}
	return token
}

// hoards claims for one account after the other, as much as it is given, and pays for nothing.
func (o hoardOptions) hoards(ctx context.Context, s *driven.Service, d defence, h *hoarded, next *atomic.Int64) {
	c := &driven.Conn{Address: s.Servers[0].Address}
	defer c.Close()
	path, quantity := "/order/addToCart", max(d.quantityAtOnce, d.limit, 1)
	if d.queued {
		path = "/api/v1/order/addToCart"
	}
	for ctx.Err() == nil {
		n := next.Add(1)
		c.Key = tokenOf(hoarderName + strconv.FormatInt(n%int64(o.accounts), 10))
		a, err := c.Do(ctx, driven.Ask{Method: "POST", Path: path, Body: fmt.Sprintf(`{"sku":%q,"quantity":%d}`, single, quantity),
			Header: fmt.Sprintf("X-Forwarded-For: 203.0.113.%d\r\n", n%int64(max(d.addresses, 1)))})
		if err == nil && a.Status >= 300 {
			h.refused.add(a.Code())
		}
		driven.Pause(ctx, 2*time.Millisecond)
	}
}

// arrive lets buyers come, each from an address of their own.
func (o hoardOptions) arrive(ctx context.Context, s *driven.Service, h *hoarded) {
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(o.perSecond))
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-ctx.Done():
		case <-tick.C:
			all.Go(func() { o.buys(context.WithoutCancel(ctx), s, h, n) })
		}
	}
	all.Wait()
}

// buys asks for a unit until the buyer has it or has lost patience, and pays.
func (o hoardOptions) buys(ctx context.Context, s *driven.Service, h *hoarded, n int) {
	h.came.Add(1)
	c := &driven.Conn{Address: s.Servers[0].Address, Key: tokenOf("buyer-" + strconv.Itoa(n))}
	defer c.Close()
	from := fmt.Sprintf("X-Forwarded-For: 198.18.%d.%d\r\n", n/250, n%250)
	for began := time.Now(); time.Since(began) < o.patience; driven.Pause(ctx, 500*time.Millisecond) {
		a, err := c.Do(ctx, driven.Ask{Method: "POST", Path: "/order/addToCart", Body: fmt.Sprintf(`{"sku":%q}`, single), Header: from})
		if err != nil || a.Status != 201 {
			continue
		}
		waited := time.Since(began)
		var ordered struct {
			ID string `json:"id"`
		}
		if a, err = c.Do(ctx, driven.Ask{Method: "POST", Path: "/api/v1/order/checkout", Header: from}); err != nil || a.Status != 201 || json.Unmarshal(a.Text, &ordered) != nil {
			return
		}
		if a, err = c.Do(ctx, driven.Ask{Method: "POST", Path: "/api/v1/orders/" + ordered.ID + "/pay", Body: `{"card":"succeed"}`, Header: from}); err != nil || a.Status != 200 {
			return
		}
		h.served.Add(1)
		h.mu.Lock()
		h.waited = append(h.waited, waited)
		h.mu.Unlock()
		return
	}
}

// sample looks at how many units the hoarder holds, of those that nobody has bought.
func (h *hoarded) sample(ctx context.Context, s *driven.Service) error {
	db, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	looks, sum := 0, 0.0
	for ; ctx.Err() == nil; driven.Pause(ctx, 200*time.Millisecond) {
		var holds, there int
		err := db.QueryRow(ctx, `
			SELECT
				(SELECT count(*) FROM claim JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
					WHERE claim.status = 'held' AND claim.expires_at > now() AND claim.buyer LIKE $1),
				(SELECT count(*) FROM unit) - (SELECT count(*) FROM claim JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL WHERE claim.status = 'ordered')`,
			hoarderName+"%").Scan(&holds, &there)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		if there > 0 {
			looks, sum = looks+1, sum+float64(holds)/float64(there)
		}
		h.most = max(h.most, holds)
	}
	h.frozen = sum / float64(max(looks, 1))
	ctx = context.WithoutCancel(ctx)
	return db.QueryRow(ctx, "SELECT count(*) FROM claim WHERE buyer LIKE $1 AND status IN ('held', 'expired')", hoarderName+"%").Scan(&h.claims)
}
