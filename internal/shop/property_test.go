package shop_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	modelHold        = time.Minute
	modelMaxQuantity = 4
)

// Whatever is done, in whatever order, the shop answers as a model of a page does, and every count agrees with it after every step.
func TestTheShopAgreesWithAModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: modelHold, MaxQuantity: modelMaxQuantity, ShowStock: 1000, ClaimWait: time.Minute})
	now := time.Now().UTC().Truncate(time.Microsecond)
	run, seen := 0, map[shop.Code]int{}
	rapid.Check(t, func(rt *rapid.T) {
		// All runs share a database, where each has its own products, buyers and keys, and a later time.
		run++
		now = now.Add(time.Hour)
		m := &model{
			w: w, run: run, now: now, seen: seen,
			products: map[string]*modelProduct{}, claims: map[string]*modelClaim{},
		}
		w.moveTo(now)
		for i := range 2 {
			p := &modelProduct{sku: m.sku(i), selling: true}
			m.products[p.sku] = p
			m.put(rt, p)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":         m.compareStock,
			"receive":  m.receive,
			"withdraw": m.withdraw,
			"claim":    m.claim,
			"again":    m.claimAgain,
			"release":  m.release,
			"read":     m.read,
			"look":     m.look,
			"wait":     m.wait,
			"sweep":    m.sweep,
			"selling":  m.changeSelling,
		})
		m.compareAll(rt)
		now = m.now
	})
	t.Logf("refusals: %v", seen)
	for _, code := range []shop.Code{"", shop.SoldOut, shop.AllHeld, shop.NotEnoughUnits, shop.NotSelling, shop.NotFound, shop.Validation, shop.KeyReused, shop.Code(shop.Refused)} {
		if run >= 100 && seen[code] == 0 {
			t.Errorf("no answer %q: this shows nothing of it", code)
		}
	}
}

type modelProduct struct {
	sku                 string
	selling             bool
	received, withdrawn int64
}

type modelClaim struct {
	shop.Transaction
	key string
}

type model struct {
	w        *world
	run      int
	now      time.Time
	seen     map[shop.Code]int // answers of all runs, "" for those that were no refusal
	products map[string]*modelProduct
	all      []*modelClaim
	claims   map[string]*modelClaim // by buyer and key
}

// status is what everybody must see.
func (m *model) status(c *modelClaim) shop.Status {
	if c.Status == shop.Held && !m.now.Before(*c.ExpiresAt) {
		return shop.Expired
	}
	return c.Status
}

// held counts the units of a product that are held, and tells when the first hold lapses.
func (m *model) held(p *modelProduct) (units int64, next *time.Time) {
	for _, c := range m.all {
		if c.SKU == p.sku && m.status(c) == shop.Held {
			units += int64(c.Quantity)
			if next == nil || c.ExpiresAt.Before(*next) {
				next = c.ExpiresAt
			}
		}
	}
	return units, next
}

func (m *model) available(p *modelProduct) int64 {
	held, _ := m.held(p)
	return p.received - p.withdrawn - held
}

func (m *model) sku(i int) string { return fmt.Sprintf("P%d-%d", i, m.run) }

// drawSKU draws one of two products, and now and then one that nobody knows.
func (m *model) drawSKU(rt *rapid.T) string {
	return m.sku(rapid.SampledFrom([]int{0, 1, 0, 1, 0, 1, 0, 1, 9}).Draw(rt, "product"))
}

// drawKey draws no key, or one of few, so that keys are used again.
func drawKey(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(rt, "key")
}

// want fails unless err is the refusal with the code; no code: unless there is none.
func (m *model) want(rt *rapid.T, err error, code shop.Code) shop.Refusal {
	var r *shop.Refusal
	if err != nil && !errors.As(err, &r) {
		rt.Fatalf("fault: %v", err)
	}
	if (code == "") != (r == nil) || r != nil && r.Code != code {
		rt.Fatalf("got %v, want %q", err, code)
	}
	m.seen[code]++
	if r == nil {
		return shop.Refusal{}
	}
	return *r
}

func (m *model) put(rt *rapid.T, p *modelProduct) {
	if _, _, err := m.w.PutProduct(background, shop.Product{SKU: p.sku, Selling: p.selling}); err != nil {
		rt.Fatal(err)
	}
}

func (m *model) changeSelling(rt *rapid.T) {
	p := m.products[m.sku(0)]
	p.selling = rapid.IntRange(0, 3).Draw(rt, "off sale") > 0
	m.put(rt, p)
}

func (m *model) receive(rt *rapid.T) {
	sku, quantity := m.drawSKU(rt), rapid.IntRange(1, 4).Draw(rt, "quantity")
	_, _, err := m.w.Receive(background, shop.ReceiptRequest{SKU: sku, Quantity: quantity, Reference: "r", KeyID: m.w.key})
	p := m.products[sku]
	if p == nil {
		m.want(rt, err, shop.NotFound)
		return
	}
	m.want(rt, err, "")
	p.received += int64(quantity)
}

func (m *model) withdraw(rt *rapid.T) {
	sku, quantity := m.drawSKU(rt), rapid.IntRange(1, 3).Draw(rt, "quantity")
	_, _, err := m.w.Withdraw(background, shop.WithdrawalRequest{SKU: sku, Quantity: quantity, Reason: "r", KeyID: m.w.key})
	p := m.products[sku]
	switch {
	case p == nil:
		m.want(rt, err, shop.NotFound)
	case m.available(p) < int64(quantity):
		if r := m.want(rt, err, shop.NotEnoughUnits); *r.Available != m.available(p) {
			rt.Fatalf("%d are said to be available, want %d", *r.Available, m.available(p))
		}
	default:
		m.want(rt, err, "")
		p.withdrawn += int64(quantity)
	}
}

func (m *model) claim(rt *rapid.T) {
	r := shop.ClaimRequest{
		Buyer:    fmt.Sprintf("%d-%d", m.run, rapid.IntRange(1, 2).Draw(rt, "buyer")),
		SKU:      m.drawSKU(rt),
		Quantity: rapid.IntRange(0, modelMaxQuantity+1).Draw(rt, "quantity"),
		Key:      drawKey(rt),
	}
	if p := m.products[r.SKU]; p != nil && m.available(p) > 0 && rapid.IntRange(0, 3).Draw(rt, "the rest") > 0 {
		r.Quantity = int(min(m.available(p), modelMaxQuantity))
	}
	m.ask(rt, r)
}

// claimAgain repeats a call that succeeded, as it was.
func (m *model) claimAgain(rt *rapid.T) {
	if len(m.claims) == 0 {
		rt.Skip("no claim with a key")
	}
	keyed := slices.DeleteFunc(slices.Clone(m.all), func(c *modelClaim) bool { return c.key == "" })
	c := rapid.SampledFrom(keyed).Draw(rt, "claim")
	m.ask(rt, shop.ClaimRequest{Buyer: c.Buyer, SKU: c.SKU, Quantity: c.Quantity, Key: c.key})
}

func (m *model) ask(rt *rapid.T, r shop.ClaimRequest) {
	p, bound := m.products[r.SKU], m.claims[r.Buyer+" "+r.Key]
	var got shop.Claimed
	var err error
	if rapid.Bool().Draw(rt, "queued") {
		got, err = m.w.Enqueue(background, r, longEnough)
	} else {
		got, err = m.w.Claim(background, r)
	}
	if t := got.Transaction; err == nil && t.Status == shop.Refused && !got.Replayed {
		// It is refused as a direct claim is, and besides it is a transaction.
		m.remember(&modelClaim{t, r.Key})
		m.seen[shop.Code(shop.Refused)]++
		err = t.Refusal
	}
	switch {
	case r.Quantity < 1, r.Quantity > modelMaxQuantity && bound == nil:
		m.want(rt, err, shop.Validation)
	case bound != nil && (bound.SKU != r.SKU || bound.Quantity != r.Quantity):
		m.want(rt, err, shop.KeyReused)
	case bound != nil:
		m.want(rt, err, "")
		if !got.Replayed {
			rt.Fatal("the replay is not said to be one")
		}
		m.same(rt, bound, got.Transaction)
	case p == nil:
		m.want(rt, err, shop.NotFound)
	case !p.selling:
		m.want(rt, err, shop.NotSelling)
	case m.available(p) < int64(r.Quantity):
		m.wantShortage(rt, p, err)
	default:
		m.want(rt, err, "")
		m.take(rt, r, got)
	}
}

func (m *model) wantShortage(rt *rapid.T, p *modelProduct, err error) {
	_, next := m.held(p)
	switch available := m.available(p); {
	case available > 0:
		if r := m.want(rt, err, shop.NotEnoughUnits); *r.Available != available {
			rt.Fatalf("%d are said to be available, want %d", *r.Available, available)
		}
	case next != nil:
		if r := m.want(rt, err, shop.AllHeld); r.NextReleaseAt == nil || !r.NextReleaseAt.Equal(*next) {
			rt.Fatalf("the next release is said to be at %v, want %v", r.NextReleaseAt, next)
		}
	default:
		m.want(rt, err, shop.SoldOut)
	}
}

// take takes a new hold into the model, none of whose units may be in another's.
func (m *model) take(rt *rapid.T, r shop.ClaimRequest, got shop.Claimed) {
	c := &modelClaim{got.Transaction, r.Key}
	if got.Replayed || c.Status != shop.Held || c.Buyer != r.Buyer || c.SKU != r.SKU || c.Quantity != r.Quantity || len(c.UnitIDs) != r.Quantity {
		rt.Fatalf("for %+v the shop holds %+v", r, got)
	}
	if !c.ExpiresAt.Equal(m.now.Add(modelHold)) {
		rt.Fatalf("held until %v, want %v", c.ExpiresAt, m.now.Add(modelHold))
	}
	for i, unit := range c.UnitIDs {
		if slices.Contains(c.UnitIDs[:i], unit) {
			rt.Fatalf("unit %s is twice in one hold", unit)
		}
		for _, other := range m.all {
			if m.status(other) == shop.Held && slices.Contains(other.UnitIDs, unit) {
				rt.Fatalf("unit %s is in the holds %s and %s", unit, other.ID, c.ID)
			}
		}
	}
	m.remember(c)
}

func (m *model) remember(c *modelClaim) {
	m.all = append(m.all, c)
	if c.key != "" {
		m.claims[c.Buyer+" "+c.key] = c
	}
}

// same compares what the shop shows of a transaction, and makes the model's expiry final once it was shown.
func (m *model) same(rt *rapid.T, c *modelClaim, got shop.Transaction) {
	c.Status = m.status(c)
	if got.ID != c.ID || got.Status != c.Status || got.Quantity != c.Quantity || got.SKU != c.SKU || !slices.Equal(got.UnitIDs, c.UnitIDs) {
		rt.Fatalf("the shop shows %+v, want %+v", got, c.Transaction)
	}
}

func (m *model) drawClaim(rt *rapid.T) (c *modelClaim, buyer string) {
	if len(m.all) == 0 {
		rt.Skip("no claims")
	}
	c = rapid.SampledFrom(m.all).Draw(rt, "claim")
	if rapid.IntRange(0, 4).Draw(rt, "whose") == 0 {
		return c, "somebody else"
	}
	return c, c.Buyer
}

func (m *model) release(rt *rapid.T) {
	c, buyer := m.drawClaim(rt)
	status, err := m.w.Release(background, buyer, c.ID)
	if buyer != c.Buyer {
		m.want(rt, err, shop.NotFound)
		return
	}
	m.want(rt, err, "")
	if c.Status = m.status(c); c.Status == shop.Held {
		c.Status = shop.Released
	}
	if status != c.Status {
		rt.Fatalf("the release gives %s, want %s", status, c.Status)
	}
}

func (m *model) read(rt *rapid.T) {
	c, buyer := m.drawClaim(rt)
	got, err := m.w.Transaction(background, buyer, c.ID)
	if buyer != c.Buyer {
		m.want(rt, err, shop.NotFound)
		return
	}
	m.want(rt, err, "")
	m.same(rt, c, got)
}

// wait moves the clock, now and then to the very instant of an expiry or the last one before it.
func (m *model) wait(rt *rapid.T) {
	next := m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(rt, "seconds")) * time.Second)
	if _, expiry := m.held(m.products[m.sku(0)]); expiry != nil {
		switch rapid.IntRange(0, 3).Draw(rt, "to") {
		case 0:
			next = *expiry
		case 1:
			next = expiry.Add(-time.Microsecond)
		}
	}
	if next.After(m.now) {
		m.now = next
		m.w.moveTo(next)
	}
}

func (m *model) sweep(rt *rapid.T) {
	if err := m.w.ExpireLapsed(background); err != nil {
		rt.Fatal(err)
	}
	if left := m.w.count(`SELECT count(*) FROM claim WHERE status = 'held' AND expires_at <= $1`, m.now); left > 0 {
		rt.Fatalf("the sweep left %d lapsed holds", left)
	}
}

func (m *model) compareStock(rt *rapid.T) {
	for _, p := range m.products {
		held, _ := m.held(p)
		got, err := m.w.Stock(background, p.sku)
		if want := (shop.Stock{Received: p.received, Available: m.available(p), Held: held, Withdrawn: p.withdrawn}); err != nil || got != want {
			rt.Fatalf("%s: the shop counts %+v, %v; the model %+v", p.sku, got, err, want)
		}
	}
}

// look compares what buyers see.
func (m *model) look(rt *rapid.T) {
	for _, p := range m.products {
		got, err := m.w.Product(background, p.sku)
		if err != nil {
			rt.Fatal(err)
		}
		_, next := m.held(p)
		want := shop.Availability{Available: m.available(p)}
		switch {
		case !p.selling:
			want.Status = shop.IsNotSelling
		case want.Available > 0:
			want.Status = shop.IsAvailable
		case next != nil:
			want.Status, want.NextReleaseAt = shop.IsAllHeld, next
		default:
			want.Status = shop.IsSoldOut
		}
		if !reflect.DeepEqual(got.Availability, want) {
			rt.Fatalf("%s shows as %+v, want %+v", p.sku, got.Availability, want)
		}
	}
}

func (m *model) compareAll(rt *rapid.T) {
	m.look(rt)
	for _, c := range m.all {
		got, err := m.w.Transaction(background, c.Buyer, c.ID)
		m.want(rt, err, "")
		m.same(rt, c, got)
	}
	for _, p := range m.products {
		if a, _, err := m.w.Audit(background, shop.AuditRequest{SKU: p.sku}); err != nil || !a.OK {
			rt.Fatalf("audit of %s: %+v, %v", p.sku, a, err)
		}
	}
}

func refusedFor(err error, codes ...shop.Code) bool {
	var r *shop.Refusal
	return errors.As(err, &r) && slices.Contains(codes, r.Code)
}
