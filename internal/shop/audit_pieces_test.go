package shop_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/shop"
)

// A product with more units than are looked at at once: what is wrong is found in each piece, named once, and nothing else is.
func TestAnAuditFindsWhatIsWrongInEachPieceOfManyUnits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{MaxQuantity: 3})
	w.stocked("many", 25_000)
	w.stocked("other", 10)
	var held []shop.Transaction
	for i := range 3 {
		c, err := w.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "many", Quantity: 3, Key: fmt.Sprint("k", i)})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c.Transaction)
	}
	if found := offenders(t, w.audit("")); len(found) != 0 {
		t.Fatalf("nothing is wrong, but the audit names %v", found)
	}
	var want []offender
	for _, n := range []int{100, 12_345, 24_999} {
		unit := w.unit(fmt.Sprintf(`SELECT unit_id FROM unit JOIN product USING (product_id) WHERE sku = 'many' ORDER BY unit_id OFFSET %d LIMIT 1`, n))
		w.exec(`DELETE FROM stock_token WHERE unit_id = $1`, unit)
		want = append(want, offender{check: "one_place", sku: "many", unit: unit})
	}
	// A token of the last piece of tokens that is for no unit, and a transaction with units in the first and the last piece of units, but one of them too few.
	stray := w.unit(`SELECT gen_random_uuid()`)
	w.exec(`INSERT INTO stock_token (product_id, pool_id, unit_id) SELECT product_id, 0, $1 FROM product WHERE sku = 'many'`, stray)
	want = append(want, offender{check: "one_place", sku: "many", unit: stray})
	if _, err := w.Release(background, "b", held[0].ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE claim_unit SET unit_id = (SELECT unit_id FROM unit JOIN product USING (product_id) WHERE sku = 'many' ORDER BY unit_id DESC LIMIT 1)
		WHERE claim_id = $1 AND unit_id = $2`, held[0].ID, held[0].UnitIDs[0])
	w.exec(`DELETE FROM claim_unit WHERE claim_id = $1 AND unit_id = $2`, held[0].ID, held[0].UnitIDs[1])
	want = append(want, offender{check: "transaction_units", sku: "many", transaction: held[0].ID})
	// And a unit of the middle that came with no receipt of the product.
	w.exec(`UPDATE unit SET receipt_id = gen_random_uuid() WHERE unit_id = (SELECT unit_id FROM unit JOIN product USING (product_id) WHERE sku = 'many' ORDER BY unit_id OFFSET 13000 LIMIT 1)`)
	want = append(want, offender{check: "conservation", sku: "many"})

	a := w.audit("")
	found := map[offender]bool{}
	for _, o := range offenders(t, a) {
		found[o] = true
	}
	for _, o := range want {
		if !found[o] {
			t.Errorf("the audit does not name %v", o)
		}
		delete(found, o)
	}
	if len(found) > 0 {
		t.Errorf("the audit names besides %v", found)
	}
	for _, c := range a.Checks {
		seen := map[string]bool{}
		for _, v := range c.Violations {
			if said := fmt.Sprint(v.SKU, v.UnitID, v.TransactionID, v.Detail); seen[said] {
				t.Errorf("%s says twice: %s", c.Name, said)
			} else {
				seen[said] = true
			}
		}
	}
}

// Between the units of two receipts of a product lie those that others have received meanwhile, and an audit of the product does not read them.
func TestAPieceOfUnitsDoesNotGoBeyondAReceipt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 3)
	w.stocked("B", 5)
	w.receive("A", 2)
	var units []shop.ID
	rows, err := w.db.Query(background, `SELECT unit_id FROM unit JOIN product USING (product_id) WHERE sku = 'A' ORDER BY unit_id`)
	if err == nil {
		units, err = pgx.CollectRows(rows, pgx.RowTo[shop.ID])
	}
	if err != nil || len(units) != 5 {
		t.Fatalf("%v, %v", units, err)
	}
	ask := dbsqlc.AuditUnitPieceParams{ProductID: int64(w.count(`SELECT product_id FROM product WHERE sku = 'A'`)), RowLimit: 100}
	for _, want := range [][2]shop.ID{{units[0], units[2]}, {units[3], units[4]}} {
		piece, err := dbsqlc.New().AuditUnitPiece(background, w.db, ask)
		if err != nil || piece.FirstUnitID != want[0] || piece.LastUnitID != want[1] {
			t.Errorf("%+v, %v, want %v", piece, err, want)
		}
		ask.AfterUnitID = piece.LastUnitID
	}
	w.audited()
}
