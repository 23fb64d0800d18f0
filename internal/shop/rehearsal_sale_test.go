package shop_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

// A sale of a rehearsal's products shows to those only who name it, and goes with them.
func TestASaleOfRehearsalProductsIsHiddenAndGoesWithThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	for _, sku := range []string{"r1", "r2"} {
		w.product(shop.Product{SKU: sku, Selling: true, Rehearsal: true})
		w.receive(sku, 5)
	}
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "r1", 3)
	terms.Items = append(terms.Items, shop.SaleItem{SKU: "r2", Price: terms.Items[0].Price})
	limit := 2
	terms.PurchaseLimit = &limit
	rehearsed, ordinary := w.scheduled(terms), w.scheduled(aSale(at, "A", 0))
	w.mustClaim("a", "r1", 2)
	w.mustClaim("b", "r2", 1)
	w.mustClaim("c", "r1", 1) // the last of its allotment
	w.figures(rehearsed.ID, at.Add(2*time.Second))

	sales, _, err := w.Sales(background, nil, true, shop.ID{}, 10)
	if err != nil || len(sales) != 1 || sales[0].ID != ordinary.ID {
		t.Errorf("sales: %+v, %v", sales, err)
	}
	if sale, err := w.Sale(background, rehearsed.ID, false); err != nil || sale.State != shop.SaleIsOpen {
		t.Errorf("who names it: %+v, %v", sale, err)
	}
	w.audit("")
	for n, sku := range []string{"r1", "r2"} {
		w.audit(sku)
		if err := w.DeleteRehearsalProduct(background, sku); err != nil {
			t.Fatal(err)
		}
		if left := w.count(`SELECT count(*) FROM sale WHERE rehearsal`); left != 1-n {
			t.Errorf("%d sales after %d products", left, n+1)
		}
	}
	told, _, err := w.Events(background, 0, nil, 100)
	if err != nil || len(told) == 0 {
		t.Errorf("events: %+v, %v", told, err)
	}
	for _, e := range told {
		if text := string(e.Data); !strings.Contains(text, ordinary.ID.String()) {
			t.Errorf("%s was told: %s", e.Type, text)
		}
	}
	for _, table := range []string{"sale_item", "sale_buyer", "sale_change", "sale_count", "sale_sample", "sale_place"} {
		if n := w.count(`SELECT count(*) FROM `+table+` WHERE sale_id = $1`, rehearsed.ID); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	if n := w.count(`SELECT count(*) FROM sale`); n != 1 {
		t.Errorf("%d sales are left", n)
	}
	if a, err := w.LatestAudit(background); err != nil || a.SKU != nil {
		t.Errorf("the last audit is one of a product that is gone: %+v, %v", a, err)
	}
	w.audited()
}

// Products of a rehearsal and others don't meet in one sale, or it would be hidden or shown wrongly.
func TestRehearsalProductsAndOthersDontMeetInASale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.product(shop.Product{SKU: "r", Selling: true, Rehearsal: true})
	w.priced("A", 100, 5)
	terms := aSale(noon(), "A", 0)
	draft := w.draft(terms)
	mixed := append(terms.Items, shop.SaleItem{SKU: "r", Price: terms.Items[0].Price})
	alone := []shop.SaleItem{{SKU: "r", Price: terms.Items[0].Price}}
	for _, items := range [][]shop.SaleItem{mixed, alone} {
		_, _, err := w.ChangeSale(background, w.operator(), draft.ID, shop.SalePatch{Items: items})
		refusal(t, err, shop.Validation)
	}
	terms.Items = mixed
	_, _, err := w.CreateSale(background, w.operator(), terms)
	refusal(t, err, shop.Validation)
}
