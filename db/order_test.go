package db_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// openSale makes a sale of a product, open for long, with an allotment and a purchase limit.
func openSale(t *testing.T, db dbsqlc.DBTX, product int64) pool {
	t.Helper()
	q, id, limit := dbsqlc.New(), pgdb.NewID(), int32(purchaseLimit)
	if err := q.SaleInsert(t.Context(), db, dbsqlc.SaleInsertParams{
		SaleID: id, Name: "test", OpensAt: time.Now(), ClosesAt: time.Now().Add(time.Hour), HoldSeconds: 60, PurchaseLimit: &limit, MaxQuantity: 5,
	}); err != nil {
		t.Fatal(err)
	}
	if err := q.SaleItemInsertMany(t.Context(), db, dbsqlc.SaleItemInsertManyParams{
		SaleID: id, ProductIds: []int64{product}, PriceMinors: []int64{5}, Currencies: []string{"EUR"}, Quantities: []int32{allotment},
	}); err != nil {
		t.Fatal(err)
	}
	exec(t, db, `UPDATE sale SET stage = 'scheduled'`)
	p := pool{product: product, id: ask[int64](t, db, `SELECT pool_id FROM sale`), sale: &id}
	moved, err := q.StockTokenMove(t.Context(), db, dbsqlc.StockTokenMoveParams{ProductID: product, ToPoolID: p.id, Quantity: allotment})
	if err != nil || moved != allotment {
		t.Fatalf("%d units were set aside, %v", moved, err)
	}
	return p
}

// sales are those of all pools.
func (c *crowd) sales() (ids []pgdb.ID) {
	for _, p := range c.pools {
		if p.sale != nil {
			ids = append(ids, *p.sale)
		}
	}
	return ids
}

// saleBuyer names what a buyer has of a sale.
type saleBuyer struct {
	sale  pgdb.ID
	buyer string
}

// tryLock locks the counts of buyers, leaving out those that somebody else has locked.
func (v *visitor) tryLock(t *testing.T, tx pgx.Tx, pairs []saleBuyer) (map[saleBuyer]bool, error) {
	var arg dbsqlc.SaleBuyerTryLockParams
	for i, k := range pairs {
		if !slices.Contains(pairs[:i], k) {
			arg.SaleIds, arg.Buyers = append(arg.SaleIds, k.sale), append(arg.Buyers, k.buyer)
		}
	}
	locked := map[saleBuyer]bool{}
	rows, err := v.q.SaleBuyerTryLock(t.Context(), tx, arg)
	for _, row := range rows {
		locked[saleBuyer{row.SaleID, row.Buyer}] = true
	}
	return locked, err
}

// admit locks what the buyers of claims have of sales, refuses what would be too much, and returns what is to be counted.
func (v *visitor) admit(t *testing.T, tx pgx.Tx, insert dbsqlc.ClaimInsertManyParams) (dbsqlc.SaleBuyerAddParams, error) {
	var add dbsqlc.SaleBuyerAddParams
	for i, sale := range insert.SaleIds {
		if sale != (pgdb.ID{}) {
			add.SaleIds = append(add.SaleIds, sale)
			add.Buyers = append(add.Buyers, insert.Buyers[i])
			add.UnitCounts = append(add.UnitCounts, insert.Quantities[i])
			add.PurchaseLimits = append(add.PurchaseLimits, purchaseLimit)
		}
	}
	rows, err := v.q.SaleBuyerEnter(t.Context(), tx, dbsqlc.SaleBuyerEnterParams{
		SaleIds: add.SaleIds, Buyers: add.Buyers, UnitCounts: add.UnitCounts, PurchaseLimits: add.PurchaseLimits,
	})
	if err != nil {
		return add, err
	}
	if len(rows) < len(add.SaleIds) {
		return add, errBuyerBusy
	}
	for i, row := range rows { // there is one sale, so at most one
		if row.UnitCount+add.UnitCounts[i] > purchaseLimit {
			return add, errLimit
		}
		if row.Entered {
			add.UnitCounts[i] = 0 // is counted
		}
	}
	return add, nil
}

const shortPayment = 30 * time.Millisecond

// order makes an order of some holds of a buyer: one that is to be paid for, soon or later, or one that was paid for elsewhere.
func (v *visitor) order(t *testing.T) error {
	first, err := v.oneOf(&v.holds)
	if err != nil {
		return err
	}
	ids := []pgdb.ID{first.id}
	for range v.rng.IntN(8) {
		if h, _ := v.oneOf(&v.holds); h.buyer == first.buyer && !slices.Contains(ids, h.id) {
			ids = append(ids, h.id)
		}
	}
	o := dbsqlc.ShopOrderInsertParams{OrderID: pgdb.NewID(), Buyer: first.buyer, Status: "awaiting_payment", Provider: "test"}
	switch n := v.rng.IntN(10); {
	case n < 3:
		reference := fmt.Sprintf("reference-%d", v.rng.IntN(sharedKeyCount))
		o.Status, o.Provider, o.Reference = "paid", "external", &reference
	default:
		payBy := time.Now().Add(shortPayment)
		if n < 7 {
			payBy = time.Now().Add(time.Hour)
		}
		o.PayBy = &payBy
	}
	err = v.inTx(t, func(tx pgx.Tx) error {
		if _, err := v.q.ClaimLockMany(t.Context(), tx, ids); err != nil {
			return err
		}
		n, err := v.q.ShopOrderInsert(t.Context(), tx, o)
		if err != nil {
			return err
		}
		if n == 0 {
			return errKeyTaken
		}
		n, err = v.q.ClaimOrderMany(t.Context(), tx, dbsqlc.ClaimOrderManyParams{OrderID: &o.OrderID, PayBy: o.PayBy, ClaimIds: ids})
		if err == nil && n < int64(len(ids)) {
			return errTooLate
		}
		return err
	})
	switch {
	case err == nil:
		v.forget(&v.holds, ids...)
	case errors.Is(err, errTooLate): // whichever of them it was: the others may be ordered without this one
		v.forget(&v.holds, first.id)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err == nil:
		v.orders = append(v.orders, owned{o.OrderID, o.Buyer})
		v.told[o.OrderID] = o.Status
	case !errors.Is(err, pgdb.ErrOutcomeUnknown):
		v.undone = append(v.undone, o.OrderID)
	}
	return err
}

// withOrder does something to an order, of which it has the lock, and remembers the status that came of it.
func (v *visitor) withOrder(t *testing.T, from string, do func(tx pgx.Tx, id pgdb.ID, row dbsqlc.ShopOrderLockRow) (becomes string, err error)) error {
	o, err := v.oneOf(&v.orders)
	if err != nil {
		return err
	}
	var becomes string
	err = v.inTx(t, func(tx pgx.Tx) error {
		row, err := v.q.ShopOrderLock(t.Context(), tx, dbsqlc.ShopOrderLockParams{OrderID: o.id})
		if err != nil {
			return err
		}
		if status := row.ShopOrder.Status; status != from {
			if status != "paid" {
				v.forget(&v.orders, o.id)
			}
			return errTooLate
		}
		becomes, err = do(tx, o.id, row)
		return err
	})
	if err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.told[o.id] = becomes
	}
	return err
}

func (v *visitor) pay(t *testing.T) error {
	return v.withOrder(t, "awaiting_payment", func(tx pgx.Tx, id pgdb.ID, row dbsqlc.ShopOrderLockRow) (string, error) {
		if row.Overdue {
			return "", errTooLate
		}
		n, err := v.q.ShopOrderPaid(t.Context(), tx, dbsqlc.ShopOrderPaidParams{OrderIds: []pgdb.ID{id}})
		if err != nil {
			return "", err
		}
		if n != 1 {
			t.Error("an order that was locked could not be paid")
		}
		return "paid", v.q.ClaimPaid(t.Context(), tx, []pgdb.ID{id})
	})
}

func (v *visitor) cancel(t *testing.T) error {
	return v.withOrder(t, "awaiting_payment", func(tx pgx.Tx, id pgdb.ID, row dbsqlc.ShopOrderLockRow) (string, error) {
		if _, err := v.q.SaleBuyerLockOfOrder(t.Context(), tx, dbsqlc.SaleBuyerLockOfOrderParams{Buyer: row.ShopOrder.Buyer, OrderID: &id}); err != nil {
			return "", err
		}
		return "cancelled", v.cancelMany(t, tx, []pgdb.ID{id}, "cancelled-by-buyer")
	})
}

func (v *visitor) cancelMany(t *testing.T, tx pgx.Tx, ids []pgdb.ID, reason string) error {
	rows, err := v.q.ShopOrderCancelMany(t.Context(), tx, dbsqlc.ShopOrderCancelManyParams{OrderIds: ids, Reason: &reason})
	cancelled := map[pgdb.ID]bool{}
	for _, row := range rows {
		cancelled[row.OrderID] = true
	}
	if err == nil && len(cancelled) != len(ids) {
		t.Errorf("cancelled %d of %d orders that were locked", len(cancelled), len(ids))
	}
	return err
}

// cancelOverdueIn cancels overdue orders that have units of a pool, leaving out those whose buyers' counts somebody else has locked.
func (v *visitor) cancelOverdueIn(t *testing.T, tx pgx.Tx, p pool, limit int32) error {
	rows, err := v.q.ShopOrderLockOverdueOfPool(t.Context(), tx, dbsqlc.ShopOrderLockOverdueOfPoolParams{ProductID: p.product, PoolID: p.id, RowLimit: limit})
	if err != nil {
		return err
	}
	var pairs []saleBuyer
	for _, row := range rows {
		for _, sale := range row.SaleIds {
			pairs = append(pairs, saleBuyer{sale, row.Buyer})
		}
	}
	locked, err := v.tryLock(t, tx, pairs)
	if err != nil {
		return err
	}
	ids := []pgdb.ID{}
	for _, row := range rows {
		if !slices.ContainsFunc(row.SaleIds, func(sale pgdb.ID) bool { return !locked[saleBuyer{sale, row.Buyer}] }) {
			ids = append(ids, row.OrderID)
		}
	}
	return v.cancelMany(t, tx, ids, "payment-overdue")
}

// giveBack takes some units of a paid order, or all that it has left, and puts them where units go that come back.
func (v *visitor) giveBack(t *testing.T) error {
	return v.withOrder(t, "paid", func(tx pgx.Tx, id pgdb.ID, row dbsqlc.ShopOrderLockRow) (string, error) {
		has, err := v.q.ClaimUnitOfOrder(t.Context(), tx, &id)
		if err != nil {
			return "", err
		}
		if len(has) == 0 {
			t.Error("a paid order has no units")
			return "", errTooFew
		}
		if _, err := v.q.SaleBuyerLockOfOrder(t.Context(), tx, dbsqlc.SaleBuyerLockOfOrderParams{Buyer: row.ShopOrder.Buyer, OrderID: &id}); err != nil {
			return "", err
		}
		v.rng.Shuffle(len(has), func(i, j int) { has[i], has[j] = has[j], has[i] })
		units := has[:1+v.rng.IntN(len(has))]
		if err := v.returnUnits(t, tx, id, units); err != nil {
			return "", err
		}
		whole, becomes := len(units) == len(has), "paid"
		if whole {
			becomes = "refunded"
		}
		return becomes, v.q.ShopOrderRefund(t.Context(), tx, dbsqlc.ShopOrderRefundParams{OrderID: id, Whole: whole})
	})
}

func (v *visitor) returnUnits(t *testing.T, tx pgx.Tx, order pgdb.ID, units []dbsqlc.ClaimUnitOfOrderRow) error {
	arg := dbsqlc.ClaimUnitReturnParams{OrderID: &order, Outcome: []string{"returned", "quarantined", "written_off"}[v.rng.IntN(3)]}
	quantities := map[int64]int32{}
	for _, unit := range units {
		arg.UnitIds = append(arg.UnitIds, unit.UnitID)
		quantities[unit.ProductID]++
	}
	if arg.Outcome == "written_off" {
		for product, quantity := range quantities {
			w := dbsqlc.WithdrawalInsertParams{
				WithdrawalID: pgdb.NewID(), ProductID: product, Quantity: quantity, Reason: "test", Place: "sold", APIKeyID: pgdb.NewID(),
			}
			if _, err := v.q.WithdrawalInsert(t.Context(), tx, w); err != nil {
				return err
			}
			arg.ProductIds, arg.WithdrawalIds = append(arg.ProductIds, product), append(arg.WithdrawalIds, w.WithdrawalID)
		}
	}
	returned, err := v.q.ClaimUnitReturn(t.Context(), tx, arg)
	if err == nil && len(returned) != len(units) {
		t.Errorf("returned %d of %d units that the order had", len(returned), len(units))
	}
	return err
}

// unquarantine lets units out of quarantine, those that have been there longest or those that are named.
func (v *visitor) unquarantine(t *testing.T) error {
	arg := dbsqlc.QuarantineUnitReleaseParams{ProductID: v.somePool().product, UnitIds: []pgdb.ID{}, Quantity: int32(1 + v.rng.IntN(3))}
	return v.inTx(t, func(tx pgx.Tx) error {
		if v.rng.IntN(2) == 0 {
			named, err := tx.Query(t.Context(), `SELECT unit_id FROM quarantine_unit WHERE left_at IS NULL AND product_id = $1 LIMIT $2`, arg.ProductID, arg.Quantity)
			if err != nil {
				return err
			}
			if arg.UnitIds, err = pgx.CollectRows(named, pgx.RowTo[pgdb.ID]); err != nil {
				return err
			}
			arg.Quantity = int32(len(arg.UnitIds))
		}
		released, err := v.q.QuarantineUnitRelease(t.Context(), tx, arg)
		if len(released) > int(arg.Quantity) {
			t.Errorf("released %d units for %d", len(released), arg.Quantity)
		}
		if err == nil && len(released) < int(arg.Quantity) {
			return errTooFew
		}
		return err
	})
}
