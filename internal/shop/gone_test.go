package shop_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

// sold claims all of a product and has it paid for.
func (w *world) sold(buyer, sku string, quantity int) shop.Order {
	w.t.Helper()
	w.mustClaim(buyer, sku, quantity)
	o, _, err := w.Pay(background, buyer, w.mustCheckout(buyer).ID, "succeed", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// What was sold out for good when somebody was refused is looked for first when the next one asks: as it is then, and not as it was.
func TestWhatWasSoldOutIsSoldAgainWhenItIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 1)
	w.priced("B", 100, 1)
	ask := func(sku string, code shop.Code) {
		t.Helper()
		for range 2 {
			for name, claim := range both {
				_, err := claim(w, w.Shop, shop.ClaimRequest{Buyer: "c", SKU: sku, Quantity: 1, Key: fmt.Sprint(name, w.count(`SELECT nextval('stock_token_position')`))})
				refusal(t, err, code)
			}
		}
	}
	w.sold("a", "A", 1)
	w.sold("b", "B", 1)
	ask("A", shop.SoldOut)
	ask("B", shop.SoldOut)
	w.receive("A", 2)
	mine := w.mustClaim("c", "A", 2)
	ask("A", shop.AllHeld)
	if _, err := w.Release(background, "c", mine.ID); err != nil {
		t.Fatal(err)
	}
	_, err := w.claim("c", "A", 3)
	if r := refusal(t, err, shop.NotEnoughUnits); *r.Available != 2 {
		t.Errorf("%d available, want 2", *r.Available)
	}
	w.sold("c", "A", 2)
	ask("A", shop.SoldOut)
	w.product(shop.Product{SKU: "A", Selling: false})
	ask("A", shop.NotSelling)
	w.product(shop.Product{SKU: "A", Selling: true, Price: &shop.Money{Amount: 100, Currency: "EUR"}})
	ask("A", shop.SoldOut)
	w.audited()
}

// A call whose key is bound gets its transaction, also when its product has been sold out since.
func TestAKeyIsKnownWhenItsProductIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 1)
	r := shop.ClaimRequest{Buyer: "a", SKU: "A", Quantity: 1, Key: "k"}
	first, err := w.Claim(background, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Pay(background, "a", w.mustCheckout("a").ID, "succeed", ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := w.claim("b", "A", 1)
		refusal(t, err, shop.SoldOut)
		again, err := w.Claim(background, r)
		if err != nil || !again.Replayed || again.Transaction.ID != first.Transaction.ID || again.Transaction.Status != shop.Ordered {
			t.Errorf("%+v, %v", again, err)
		}
		other := r
		other.Quantity = 2
		_, err = w.Claim(background, other)
		refusal(t, err, shop.KeyReused)
	}
	w.audited()
}

// The order of refusals is the same whether or not it is known that a product was gone: a cool-down comes before sold-out, a limit behind it.
func TestACoolDownComesBeforeSoldOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 2)
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "A", 0)
	terms.CooldownSeconds, terms.PurchaseLimit = 3600, new(1)
	w.scheduled(terms)
	lapsed := w.mustClaim("a", "A", 1)
	w.moveTo(lapsed.ExpiresAt.Add(time.Second))
	if err := w.ExpireLapsed(background); err != nil {
		t.Fatal(err)
	}
	w.sold("b", "A", 1)
	w.sold("c", "A", 1)
	for range 2 {
		for _, claim := range both {
			for buyer, code := range map[string]shop.Code{"a": shop.CoolDown, "b": shop.SoldOut, "d": shop.SoldOut} {
				_, err := claim(w, w.Shop, shop.ClaimRequest{Buyer: buyer, SKU: "A", Quantity: 1})
				refusal(t, err, code)
			}
		}
	}
	w.audited()
}
