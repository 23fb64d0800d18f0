package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// What tests begin with, made through the shop and not through HTTP.

// hold claims units.
func (w *world) hold(t testing.TB, buyer, sku string, quantity int) httpapi.Transaction {
	t.Helper()
	c, err := w.Claim(t.Context(), shop.ClaimRequest{Buyer: buyer, SKU: sku, Quantity: quantity})
	if err != nil {
		t.Fatal(err)
	}
	tx := httpapi.Transaction{ID: c.Transaction.ID.String()}
	for _, id := range c.Transaction.UnitIDs {
		tx.UnitIDs = append(tx.UnitIDs, id.String())
	}
	return tx
}

// order checks holds of a buyer out.
func (w *world) order(t testing.TB, buyer string, holds ...string) shop.Order {
	t.Helper()
	o, _, err := w.Checkout(t.Context(), shop.CheckoutRequest{Buyer: buyer, TransactionIDs: ids(t, holds...)})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sold confirms holds, as a shop beside does.
func (w *world) sold(t testing.TB, holds ...string) shop.Order {
	t.Helper()
	o, _, err := w.Confirm(t.Context(), shop.ConfirmRequest{TransactionIDs: ids(t, holds...), Reference: pgdb.NewID().String()})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// paid orders units for a buyer and pays for them.
func (w *world) paid(t testing.TB, buyer, sku string, quantity int) shop.Order {
	t.Helper()
	o := w.order(t, buyer, w.hold(t, buyer, sku, quantity).ID)
	o, _, err := w.Pay(t.Context(), buyer, o.ID, "succeed", "")
	if err != nil || o.Status != shop.IsPaid {
		t.Fatalf("the order is %+v, %v", o, err)
	}
	return o
}

func ids(t testing.TB, texts ...string) (all []shop.ID) {
	t.Helper()
	for _, text := range texts {
		id, err := shop.ParseID("thing", text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	return all
}

// sale makes a sale that is in a state. What the terms leave out is as in saleText.
func (w *world) sale(t testing.TB, state string, terms shop.SaleTerms) shop.Sale {
	t.Helper()
	op := shop.Operator{KeyID: pgdb.NewID()}
	now := time.Now()
	if at := w.now(); at != nil {
		now = *at
	}
	if terms.Name == "" {
		terms.Name = "Sale"
	}
	if terms.OpensAt.IsZero() {
		terms.OpensAt, terms.ClosesAt = now.Add(time.Hour), now.Add(2*time.Hour)
	}
	if terms.Hold == 0 {
		terms.Hold = 5 * time.Minute
	}
	if terms.MaxQuantity == 0 {
		terms.MaxQuantity = 10
	}
	sale, _, err := w.CreateSale(t.Context(), op, terms)
	for _, action := range map[string][]shop.SaleAction{
		"draft": nil, "scheduled": {shop.ScheduleSale}, "open": {shop.ScheduleSale, shop.OpenSale},
		"paused": {shop.ScheduleSale, shop.OpenSale, shop.PauseSale}, "closed": {shop.ScheduleSale, shop.CloseSale},
	}[state] {
		if err == nil {
			sale, _, err = w.MoveSale(t.Context(), op, sale.ID, action)
		}
	}
	if err != nil || string(sale.State) != state {
		t.Fatalf("the sale is %s, %v, want %s", sale.State, err, state)
	}
	return sale
}

// of is a product in a sale, for 9.99 EUR, with an allotment unless that is 0.
func of(sku string, quantity int) shop.SaleItem {
	item := shop.SaleItem{SKU: sku, Price: shop.Money{Amount: 999, Currency: "EUR"}}
	if quantity > 0 {
		item.Quantity = &quantity
	}
	return item
}

// saleText is the body that plans a sale in the far future.
func saleText(sku string) string {
	return fmt.Sprintf(`{"name": "Sale", "opens_at": "2099-12-12T12:12:00Z", "closes_at": "2099-12-13T00:00:00+01:00", "hold_seconds": 300,
		"items": [{"sku": %q, "price": {"amount": 999, "currency": "EUR"}}]}`, sku)
}
