package shop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// lose takes a unit from a transaction, makes it good if it can, and says how.
func (x *repairer) lose(ctx context.Context, tx pgx.Tx, u *unitAt, c place, keep *place) (string, error) {
	if c.Status == "missing" {
		return fmt.Sprintf("The transaction %s, which does not exist, keeps it no more.", c.ID),
			one(x.s.q.RepairClaimUnitEnd(ctx, tx, dbsqlc.RepairClaimUnitEndParams{ClaimID: c.ID, UnitID: u.id}))
	}
	row, err := x.s.q.RepairClaim(ctx, tx, dbsqlc.RepairClaimParams{Now: x.s.o.Now(), ClaimID: c.ID})
	if err != nil {
		return "", err
	}
	end := dbsqlc.RepairClaimUnitEndParams{ClaimID: c.ID, UnitID: u.id}
	switch outcome := leavesAs(c, keep); {
	case outcome != "":
		end.Outcome = &outcome
		err = one(x.s.q.RepairClaimUnitEnd(ctx, tx, end))
	case u.ended(c) && (c.Status == "held" || c.Status == "ordered") && c.ProductID != u.productID():
		// It never was a unit of it. What the transaction lacks then is its own check's.
		err = one(x.s.q.RepairClaimUnitDelete(ctx, tx, dbsqlc.RepairClaimUnitDeleteParams{ClaimID: c.ID, UnitIds: []ID{u.id}}))
	case u.ended(c):
		if c.Status == "ordered" {
			left := map[string]string{"cancelled": "cancelled", "refunded": "returned"}[c.OrderStatus]
			end.Outcome = &left
		}
		err = one(x.s.q.RepairClaimUnitEnd(ctx, tx, end))
	default:
		return x.makeGood(ctx, tx, u, c, row)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("It left the transaction %s.", c.ID), x.countBuyer(ctx, tx, row.Claim)
}

// makeGood takes a unit from a transaction that had a right to it, and gives it an equal one, or as little as is possible is taken from its buyer.
func (x *repairer) makeGood(ctx context.Context, tx pgx.Tx, u *unitAt, c place, row dbsqlc.RepairClaimRow) (said string, err error) {
	if !c.Lapsed {
		given, err := x.giveEqual(ctx, tx, row, 1, []ID{u.id})
		if err != nil {
			return "", err
		}
		if len(given) == 1 {
			return fmt.Sprintf("The transaction %s of %q got the unit %s instead.", c.ID, c.Buyer, given[0]), x.countBuyer(ctx, tx, row.Claim)
		}
	}
	end := dbsqlc.RepairClaimUnitEndParams{ClaimID: c.ID, UnitID: u.id}
	switch {
	case c.Status == "held" && c.Quantity > 1:
		if err := one(x.s.q.RepairClaimUnitDelete(ctx, tx, dbsqlc.RepairClaimUnitDeleteParams{ClaimID: c.ID, UnitIds: []ID{u.id}})); err != nil {
			return "", err
		}
		if err := one(x.s.q.RepairClaimQuantity(ctx, tx, dbsqlc.RepairClaimQuantityParams{ClaimID: c.ID, Quantity: int32(c.Quantity - 1)})); err != nil {
			return "", err
		}
		said = fmt.Sprintf("The transaction %s of %q has one fewer, %d: there was no equal unit.", c.ID, c.Buyer, c.Quantity-1)
	case c.Status == "held":
		if err := one(x.s.q.RepairClaimUnitEnd(ctx, tx, end)); err != nil {
			return "", err
		}
		if err := one(x.s.q.RepairClaimHoldEnd(ctx, tx, dbsqlc.RepairClaimHoldEndParams{Now: x.s.o.Now(), ClaimID: c.ID})); err != nil {
			return "", err
		}
		said = fmt.Sprintf("The transaction %s of %q was ended: there was no equal unit.", c.ID, c.Buyer)
	case c.OrderStatus == "awaiting_payment":
		left := "cancelled"
		end.Outcome = &left
		if err := one(x.s.q.RepairClaimUnitEnd(ctx, tx, end)); err != nil {
			return "", err
		}
		if err := x.cancelOrder(ctx, tx, c.OrderID, c.Buyer); err != nil {
			return "", err
		}
		said = fmt.Sprintf("The order %s of %q was cancelled: there was no equal unit.", c.OrderID, c.Buyer)
	case c.OrderStatus == "paid":
		left := "returned"
		end.Outcome = &left
		if err := one(x.s.q.RepairClaimUnitEnd(ctx, tx, end)); err != nil {
			return "", err
		}
		if said, err = x.payBack(ctx, tx, c.OrderID, orZeroMinor(row.Claim.PriceMinor), []ID{u.id}); err != nil {
			return "", err
		}
	default: // its order is missing: that is another check's
		if err := one(x.s.q.RepairClaimUnitDelete(ctx, tx, dbsqlc.RepairClaimUnitDeleteParams{ClaimID: c.ID, UnitIds: []ID{u.id}})); err != nil {
			return "", err
		}
		said = fmt.Sprintf("It left the transaction %s of %q, whose order is missing.", c.ID, c.Buyer)
	}
	return said, x.countBuyer(ctx, tx, row.Claim)
}

func orZeroMinor(amount *int64) int64 {
	if amount == nil {
		return 0
	}
	return *amount
}

// giveEqual gives units of its product that are on sale to a transaction, of which the caller has the lock, in place of those that it is to forget: from its own pool, or
// else from the common one, all or none.
func (x *repairer) giveEqual(ctx context.Context, tx pgx.Tx, row dbsqlc.RepairClaimRow, quantity int, forget []ID) ([]ID, error) {
	pools := []poolKey{{row.Claim.ProductID, row.ReturnPoolID}, {row.Claim.ProductID, commonPool}}
	for _, k := range slices.Compact(pools) {
		picked, err := x.s.q.StockTokenPick(ctx, tx, dbsqlc.StockTokenPickParams{
			ProductIds: []int64{k.productID}, PoolIds: []int64{k.poolID}, FromPositions: []int64{0}, BelowPositions: []int64{math.MaxInt64}, UnitCounts: []int64{int64(quantity)},
		})
		if err != nil {
			return nil, fmt.Errorf("pick equal units: %w", err)
		}
		if len(picked) != quantity {
			continue
		}
		if len(forget) > 0 {
			if _, err := x.s.q.RepairClaimUnitDelete(ctx, tx, dbsqlc.RepairClaimUnitDeleteParams{ClaimID: row.Claim.ClaimID, UnitIds: forget}); err != nil {
				return nil, fmt.Errorf("forget units: %w", err)
			}
		}
		var take dbsqlc.StockTokenTakeParams
		last := int64(0)
		for _, token := range picked {
			take.ProductIds, take.PoolIds = append(take.ProductIds, k.productID), append(take.PoolIds, k.poolID)
			take.Positions, take.ClaimIds = append(take.Positions, token.Position), append(take.ClaimIds, row.Claim.ClaimID)
			last = max(last, token.Position)
		}
		taken, err := x.s.q.StockTokenTake(ctx, tx, take)
		if err == nil && len(taken) != quantity {
			err = errors.New("tokens that were locked are gone")
		}
		if err != nil {
			return nil, fmt.Errorf("take equal units: %w", err)
		}
		units := make([]ID, len(taken))
		for i, t := range taken {
			units[i] = t.UnitID
		}
		return units, x.s.ranOut(ctx, tx, []poolKey{k}, map[poolKey]int64{k: last})
	}
	return nil, nil
}

// cancelOrder cancels an unpaid order, of which the caller has the lock and those of its buyer's counts. What else it has goes back on sale.
func (x *repairer) cancelOrder(ctx context.Context, tx pgx.Tx, orderID ID, buyer string) error {
	pools, err := x.s.cancelOrders(ctx, tx, []ID{orderID}, reasonRepair)
	if err != nil {
		return err
	}
	if err := x.s.cameBack(ctx, tx, pools...); err != nil {
		return err
	}
	return x.s.tell(ctx, tx, orderNews(OrderCancelled, orderID, buyer, IsCancelled, "", map[string]any{"reason": reasonRepair}))
}

// payBack writes down that money is to be given back of an order, of which the caller has the lock, for units that have left it. The provider is asked for it by
// whichever server is running (TendPayments); money that the shop beside us took is theirs to give back.
func (x *repairer) payBack(ctx context.Context, tx pgx.Tx, orderID ID, amount int64, units []ID) (string, error) {
	m, err := x.s.q.RepairMoney(ctx, tx, orderID)
	if err != nil {
		return "", err
	}
	o, status := m.ShopOrder, IsPaid
	whole := m.UnitCount == 0
	if whole {
		status = IsRefunded
	}
	if o.TotalMinor == nil {
		amount = 0
	}
	if o.Provider != External && amount > m.Paid-m.PaymentRefunded {
		return "", leftToPerson(fmt.Sprintf("%d %s would have to be given back of the order %s, of which %d are there of its payments, and nothing was done: run lastunit audit --repair money first.",
			amount, text(o.Currency), orderID, m.Paid-m.PaymentRefunded))
	}
	if _, err := x.s.recordRefund(ctx, tx, RefundRequest{OrderID: orderID}, o, amount, whole); err != nil {
		return "", err
	}
	if OrderStatus(o.Status) == IsRefunded {
		if err := x.s.q.ShopOrderCountRefund(ctx, tx, dbsqlc.ShopOrderCountRefundParams{OrderID: orderID, AmountMinor: amount}); err != nil {
			return "", err
		}
	}
	said := fmt.Sprintf("%d %s of the order %s of %q are given back.", amount, text(o.Currency), orderID, o.Buyer)
	switch {
	case o.TotalMinor == nil:
		said = fmt.Sprintf("The shop beside has to give back what it took for it in the order %s (%s) of %q.", orderID, cmp.Or(text(o.Reference), "no reference"), o.Buyer)
	case o.Provider == External:
		said = fmt.Sprintf("The shop beside has to give back %d %s of the order %s (%s) of %q.", amount, text(o.Currency), orderID, cmp.Or(text(o.Reference), "no reference"), o.Buyer)
	}
	return said, x.s.tell(ctx, tx, orderNews(OrderRefunded, o.OrderID, o.Buyer, status, text(o.Reference), map[string]any{
		"unit_ids": units, "amount": amount, "currency": o.Currency, "restock": RestockQuarantine,
	}))
}

// payOwed gives back what units cost that have left an order without their money, if any have.
func (x *repairer) payOwed(ctx context.Context, tx pgx.Tx, orderID ID, units []ID) (string, error) {
	m, err := x.s.q.RepairMoney(ctx, tx, orderID)
	if err != nil || m.Total < 0 || m.Returned <= m.ShopOrder.RefundedMinor {
		return "", err
	}
	return x.payBack(ctx, tx, orderID, m.Returned-m.ShopOrder.RefundedMinor, units)
}
