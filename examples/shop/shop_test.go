package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestShop sells through the shop's own pages while a real lastunit keeps the stock, and then compares the books of both.
func TestShop(t *testing.T) {
	l := startLastunit(t)
	s := &town{t: t, lastunit: l}
	t.Run("group", func(t *testing.T) { // which ends when all of its parallel tests have
		for name, test := range map[string]func(*testing.T, *town){
			"a user buys two":                             aUserBuysTwo,
			"what is removed can be had at once":          removed,
			"a declined card gives the unit back at once": declined,
			"two users want one unit":                     twoUsersOneUnit,
			"a user clicks pay eight times":               eightClicks,
			"lapsed before payment, units left":           lapsedBeforePayment,
			"lapsed before payment, none left":            lapsedBeforePaymentNoneLeft,
			"lapsed during payment, units left":           lapsedDuringPayment,
			"lapsed during payment, none left":            lapsedDuringPaymentNoneLeft,
			"every answer is lost once":                   answersAreLost,
			"lastunit is away when the money is there":    awayAtConfirm,
			"one of two units comes back":                 oneComesBack,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	s.compareBooks()
	if out, err := l.command("audit").CombinedOutput(); err != nil {
		t.Errorf("lastunit audit: %v\n%s", err, out)
	}
}

func aUserBuysTwo(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "two", 5)
	o := shop.user("ada").add(2)
	if o.State != inCart || !o.HeldUntil.After(time.Now()) {
		t.Errorf("in the cart: %+v", o)
	}
	s.wantStock(t, "two", stockCount{Received: 5, Available: 3, Held: 2})
	if o = shop.user("ada").pay(o, "4242"); o.State != isSold || shop.money(o) != 2*price {
		t.Errorf("after paying: %+v, took %d", o, shop.money(o))
	}
	s.wantStock(t, "two", stockCount{Received: 5, Available: 3, Sold: 2})
}

func removed(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "removed", 1)
	o := shop.user("ada").add(1)
	shop.user("grace").refused("POST", "/cart", http.StatusConflict, "all-held")
	shop.user("grace").refused("DELETE", "/cart/"+o.Number, http.StatusNotFound, "") // it is not hers
	shop.user("ada").call("DELETE", "/cart/"+o.Number, nil, &o)
	if o.State != isDropped {
		t.Errorf("removed: %+v", o)
	}
	shop.user("grace").add(1)
	shop.user("ada").refused("POST", "/orders/"+o.Number+"/pay", http.StatusConflict, "")
}

func declined(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "declined", 1)
	o := shop.user("ada").add(1)
	if p := shop.user("grace").refused("POST", "/cart", http.StatusConflict, "all-held"); p.NextReleaseAt == nil {
		t.Errorf("grace is not told when: %+v", p)
	}
	shop.user("ada").refused("POST", "/orders/"+o.Number+"/pay?card=declined", http.StatusPaymentRequired, "")
	if got := shop.user("grace").add(1); got.State != inCart || shop.money(o) != 0 {
		t.Errorf("grace got %+v; ada paid %d", got, shop.money(o))
	}
}

func twoUsersOneUnit(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "one", 1)
	got := make([]order, 2)
	problems := make([]problem, 2)
	users := []string{"ada", "grace"}
	var both sync.WaitGroup
	for i, name := range users {
		both.Go(func() { problems[i] = shop.user(name).call("POST", "/cart", nil, &got[i]) })
	}
	both.Wait()
	winner, loser := 0, 1
	if problems[0].Status != 0 {
		winner, loser = 1, 0
	}
	if problems[winner].Status != 0 || problems[loser].Code != "all-held" {
		t.Fatalf("two users and one unit: %+v, %+v", problems[0], problems[1])
	}
	if o := shop.user(users[winner]).pay(got[winner], "4242"); o.State != isSold {
		t.Errorf("the winner: %+v", o)
	}
	shop.user(users[loser]).refused("POST", "/cart", http.StatusConflict, "sold-out")
}

func eightClicks(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "clicks", 1)
	var charges, sold atomic.Int64
	shop.charge = func(number string, cents int, card string) error {
		charges.Add(1)
		return shop.chargeCard(number, cents, card)
	}
	o := shop.user("ada").add(1)
	var clicks sync.WaitGroup
	for range 8 {
		clicks.Go(func() {
			var paid order
			switch p := shop.user("ada").call("POST", "/orders/"+o.Number+"/pay", nil, &paid); {
			case p.Status == 0 && paid.State == isSold:
				sold.Add(1)
			case p.Status != http.StatusConflict:
				t.Errorf("a click: %+v, %+v", paid, p)
			}
		})
	}
	clicks.Wait()
	if charges.Load() != 1 || sold.Load() != 1 {
		t.Errorf("%d charges, %d told that it is sold", charges.Load(), sold.Load())
	}
}

func lapsedBeforePayment(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.hasty, "before", 2)
	o := shop.user("ada").add(1)
	s.waitUntilAvailable(t, "before", 2)
	paid := shop.user("ada").pay(o, "4242")
	if paid.State != isSold || paid.HoldID == o.HoldID {
		t.Errorf("held %s, sold %+v", o.HoldID, paid)
	}
	s.wantStock(t, "before", stockCount{Received: 2, Available: 1, Sold: 1})
}

func lapsedBeforePaymentNoneLeft(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.hasty, "before-none", 1)
	other := s.open(t, s.lastunit.address, "before-none", 0)
	o := shop.user("ada").add(1)
	s.waitUntilAvailable(t, "before-none", 1)
	theirs := other.user("grace").addLapsed()
	shop.user("ada").refused("POST", "/orders/"+o.Number+"/pay", http.StatusConflict, "all-held")
	if shop.money(o) != 0 {
		t.Errorf("ada paid %d for nothing", shop.money(o))
	}
	other.user("grace").pay(theirs, "4242")
	shop.user("ada").refused("POST", "/orders/"+o.Number+"/pay", http.StatusConflict, "sold-out")
}

func lapsedDuringPayment(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.hasty, "during", 2)
	shop.charge = func(number string, cents int, card string) error {
		s.waitUntilAvailable(t, "during", 2)
		return shop.chargeCard(number, cents, card)
	}
	o := shop.user("ada").add(1)
	paid := shop.user("ada").pay(o, "4242")
	if paid.State != isSold || paid.HoldID != o.HoldID || shop.money(o) != price {
		t.Errorf("%+v, took %d", paid, shop.money(o))
	}
	s.wantStock(t, "during", stockCount{Received: 2, Available: 1, Sold: 1})
}

func lapsedDuringPaymentNoneLeft(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.hasty, "during-none", 1)
	other := s.open(t, s.lastunit.address, "during-none", 0)
	charged := 0
	shop.charge = func(number string, cents int, card string) error {
		s.waitUntilAvailable(t, "during-none", 1)
		other.user("grace").pay(other.user("grace").addLapsed(), "4242")
		err := shop.chargeCard(number, cents, card)
		charged = shop.money(order{Number: number})
		return err
	}
	o := shop.user("ada").pay(shop.user("ada").add(1), "4242")
	if o.State != isRefunded || charged != price || shop.money(o) != 0 {
		t.Errorf("%+v; charged %d, kept %d", o, charged, shop.money(o))
	}
	s.wantStock(t, "during-none", stockCount{Received: 1, Sold: 1})
}

func answersAreLost(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "lost", 2)
	lossy := &lossyTransport{seen: map[string]bool{}}
	shop.stock.http.Transport = lossy
	o := shop.user("ada").pay(shop.user("ada").add(1), "4242")
	if o.State != isSold || lossy.lost.Load() != 3 { // of hold, extend and confirm
		t.Errorf("%+v, %d answers were lost", o, lossy.lost.Load())
	}
	if err := shop.stock.confirm(t.Context(), o.Number, o.HoldID); err != nil {
		t.Errorf("confirmed once more: %v", err)
	}
	shop.user("grace").refused("DELETE", "/cart/"+o.Number, http.StatusNotFound, "")
	other := shop.user("grace").add(1)
	shop.user("grace").call("DELETE", "/cart/"+other.Number, nil, nil)
	s.wantStock(t, "lost", stockCount{Received: 2, Available: 1, Sold: 1})
	if orders := s.orders(t, url.Values{"reference": {o.Number}}); len(orders) != 1 {
		t.Errorf("%d orders with the reference %s", len(orders), o.Number)
	}
}

// lossyTransport loses the first answer to each request: it arrives, and is done.
type lossyTransport struct {
	mu   sync.Mutex
	seen map[string]bool
	lost atomic.Int64
}

func (l *lossyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if id := r.Method + r.URL.Path + r.Header.Get("Idempotency-Key"); err == nil && !l.seen[id] {
		l.seen[id] = true
		l.lost.Add(1)
		_ = resp.Body.Close()
		return nil, errors.New("the connection was lost")
	}
	return resp, err
}

func awayAtConfirm(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "away", 1)
	var back atomic.Bool
	shop.stock.patience = 200 * time.Millisecond
	shop.stock.http.Transport = transportFunc(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/confirm") && !back.Load() {
			return nil, errors.New("there is no connection")
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	o := shop.user("ada").pay(shop.user("ada").add(1), "4242")
	if o.State != isPaid || shop.money(o) != price {
		t.Errorf("while lastunit is away: %+v, took %d", o, shop.money(o))
	}
	back.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	var settling sync.WaitGroup
	settling.Go(func() { shop.settlePaid(ctx, 10*time.Millisecond) })
	waitUntil(t, "the order is settled", func() bool { return shop.user("ada").orders()[0].State == isSold })
	cancel()
	settling.Wait()
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func oneComesBack(t *testing.T, s *town) {
	shop := s.open(t, s.lastunit.address, "back", 2)
	o := shop.user("ada").pay(shop.user("ada").add(2), "4242")
	shop.user("grace").refused("POST", "/cart", http.StatusConflict, "sold-out")
	was := s.orders(t, url.Values{"reference": {o.Number}})[0]
	unit := was.Lines[0].UnitIDs[0]
	var now stockOrder
	for range 2 { // a repeat changes nothing
		s.lastunit.call(t, "POST", "/api/v1/orders/"+was.ID+"/refund", "back-1", map[string]any{"unit_ids": []string{unit}, "restock": "available"}, &now)
		if now.Status != "paid" || !slices.Equal(now.Lines[0].ReturnedUnitIDs, []string{unit}) {
			t.Errorf("after one of two came back: %+v", now)
		}
	}
	again := shop.user("grace").pay(shop.user("grace").add(1), "4242")
	if sold := s.orders(t, url.Values{"reference": {again.Number}})[0]; !slices.Equal(sold.Lines[0].UnitIDs, []string{unit}) {
		t.Errorf("unit %s came back, and %+v was sold", unit, sold)
	}
	s.wantStock(t, "back", stockCount{Received: 2, Sold: 2})
}
