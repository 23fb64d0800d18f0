package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// price of everything, in cents.
const price = 1000

// town is a lastunit and the shops whose stock it keeps.
type town struct {
	t        *testing.T
	lastunit *lastunit
	mu       sync.Mutex
	shops    []*branch
}

// branch is a shop that sells one product.
type branch struct {
	*shop
	t       *testing.T
	address string
	sku     string
}

// open opens a shop, after so many units of its product have come in.
func (s *town) open(t *testing.T, lastunit, sku string, units int) *branch {
	t.Helper()
	if units > 0 {
		s.lastunit.call(t, "PUT", "/api/v1/products/"+sku, "", map[string]any{"name": sku}, nil)
		s.lastunit.call(t, "POST", "/api/v1/products/"+sku+"/receipts", "", map[string]any{"quantity": units, "reference": "delivery"}, nil)
	}
	b := &branch{t: t, sku: sku, shop: newShop(newStock(lastunit, s.lastunit.shopKey))}
	b.catalogue, b.payTime = map[string]int{sku: price}, time.Second
	server := httptest.NewServer(b.pages())
	t.Cleanup(server.Close)
	b.address = server.URL
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shops = append(s.shops, b)
	return b
}

func (b *branch) money(o order) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken[o.Number]
}

// user is somebody who uses the shop's pages.
type user struct {
	*branch
	name string
}

func (b *branch) user(name string) user { return user{b, name} }

// call asks for a page. The problem that it returns has the status 0 when there is none.
func (u user) call(method, path string, form url.Values, answer any) (p problem) {
	u.t.Helper()
	if path == "/cart" && form == nil {
		form = url.Values{"sku": {u.sku}}
	}
	req, err := http.NewRequestWithContext(u.t.Context(), method, u.address+path, strings.NewReader(form.Encode()))
	if err != nil {
		u.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(u.name, u.users[u.name])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		answer = &p
	}
	if answer != nil {
		if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
			u.t.Fatalf("%s %s: %s: %v", method, path, resp.Status, err)
		}
	}
	return p
}

func (u user) add(quantity int) (o order) {
	u.t.Helper()
	if p := u.call("POST", "/cart", url.Values{"sku": {u.sku}, "quantity": {strconv.Itoa(quantity)}}, &o); p.Status != 0 {
		u.t.Fatalf("%s adds %d of %s: %+v", u.name, quantity, u.sku, p)
	}
	return o
}

// addLapsed is add for a unit whose hold has lapsed: all-held, for a moment, when somebody is just putting it away.
func (u user) addLapsed() (o order) {
	u.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		p := u.call("POST", "/cart", url.Values{"sku": {u.sku}, "quantity": {"1"}}, &o)
		if p.Status == 0 {
			return o
		}
		if p.Code != "all-held" || time.Now().After(end) {
			u.t.Fatalf("%s adds 1 of %s: %+v", u.name, u.sku, p)
		}
	}
}

func (u user) pay(o order, card string) (paid order) {
	u.t.Helper()
	if p := u.call("POST", "/orders/"+o.Number+"/pay", url.Values{"card": {card}}, &paid); p.Status != 0 {
		u.t.Fatalf("%s pays: %+v", u.name, p)
	}
	return paid
}

func (u user) refused(method, path string, status int, code string) problem {
	u.t.Helper()
	p := u.call(method, path, nil, nil)
	if p.Status != status || p.Code != code {
		u.t.Fatalf("%s %s by %s: %+v, want %d %s", method, path, u.name, p, status, code)
	}
	return p
}

func (u user) orders() (all []order) {
	u.t.Helper()
	u.call("GET", "/orders", nil, &all)
	return all
}

// stockOrder is lastunit's order.
type stockOrder struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Reference string `json:"reference"`
	Lines     []struct {
		SKU             string   `json:"sku"`
		Quantity        int      `json:"quantity"`
		UnitIDs         []string `json:"unit_ids"`
		ReturnedUnitIDs []string `json:"returned_unit_ids"`
	} `json:"lines"`
}

// orders reads all of lastunit's orders that are asked for, page by page.
func (s *town) orders(t *testing.T, query url.Values) (all []stockOrder) {
	t.Helper()
	query.Set("limit", "3")
	for {
		var page struct {
			Items      []stockOrder `json:"items"`
			NextCursor *string      `json:"next_cursor"`
		}
		s.lastunit.call(t, "GET", "/api/v1/orders?"+query.Encode(), "", nil, &page)
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		query.Set("cursor", *page.NextCursor)
	}
}

// compareBooks finds each order that a shop has sold in lastunit's books, and none besides.
func (s *town) compareBooks() {
	sold := map[string]order{}
	for _, shop := range s.shops {
		for _, o := range shop.find(func(order) bool { return true }) {
			if o.State == isSold {
				sold[o.Number] = o
			}
			if (o.State == isSold) != (shop.money(o) == o.Cents) {
				s.t.Errorf("%+v, and %d was taken for it", o, shop.money(o))
			}
		}
	}
	if len(sold) < 10 {
		s.t.Errorf("only %d orders were sold", len(sold))
	}
	for _, theirs := range s.orders(s.t, url.Values{}) {
		ours, found := sold[theirs.Reference]
		if !found || theirs.Status != "paid" || len(theirs.Lines) != 1 || theirs.Lines[0].SKU != ours.SKU ||
			theirs.Lines[0].Quantity != ours.Quantity || len(theirs.Lines[0].UnitIDs) != ours.Quantity {
			s.t.Errorf("lastunit has sold %+v, the shop %+v", theirs, ours)
		}
		delete(sold, theirs.Reference)
	}
	for _, o := range sold {
		s.t.Errorf("the shop has sold %+v, which lastunit does not know", o)
	}
}

// stockCount is where the units of a product are.
type stockCount struct {
	Received, Available, Held, Ordered, Sold, Quarantine, Withdrawn int
}

func (s *town) wantStock(t *testing.T, sku string, want stockCount) {
	t.Helper()
	var got stockCount
	s.lastunit.call(t, "GET", "/api/v1/products/"+sku+"/stock", "", nil, &got)
	if got != want {
		t.Errorf("%s: %+v, want %+v", sku, got, want)
	}
}

func (s *town) waitUntilAvailable(t *testing.T, sku string, units int) {
	t.Helper()
	waitUntil(t, "units are available", func() bool {
		var product struct {
			Availability struct {
				Available int `json:"available"`
			} `json:"availability"`
		}
		s.lastunit.call(t, "GET", "/api/v1/products/"+sku, "", nil, &product)
		return product.Availability.Available == units
	})
}

func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); !is(); {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("30 seconds have passed until %s", what)
		}
	}
}
