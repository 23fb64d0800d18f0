package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Restock is where units go that come back from an order.
type Restock string

// The places that units go to.
const (
	RestockAvailable  Restock = "available"  // to sale again
	RestockQuarantine Restock = "quarantine" // until somebody has looked at them
	RestockWriteOff   Restock = "write_off"  // withdrawn for good
)

// Restocks lists all of them.
func Restocks() []Restock { return []Restock{RestockAvailable, RestockQuarantine, RestockWriteOff} }

var restockOutcomes = map[Restock]string{RestockAvailable: "returned", RestockQuarantine: "quarantined", RestockWriteOff: "written_off"}

// RefundRequest takes units back from a paid order.
type RefundRequest struct {
	OrderID ID
	UnitIDs []ID // empty: all that it still has
	Restock Restock
	Operator
}

// Refund takes units of a paid order back, puts each where it is to go, and gives back what they cost, once however often it is called for: a call with a key
// that was used before shows the order as it now is, and true; without a key a unit that has come back already is a conflict. The order is refunded when
// it has no units left. Money that somebody else has taken (provider external) is theirs to give back. Refusals: Validation for a unit that is none of the
// order's, NotFound, KeyReused, Conflict for an order that is not paid.
func (s *Shop) Refund(ctx context.Context, r RefundRequest) (Order, bool, error) {
	outcome, known := restockOutcomes[r.Restock]
	if !known {
		return Order{}, false, invalid("body.restock", "must be available, quarantine or write_off")
	}
	if _, err := s.Order(ctx, nil, r.OrderID); err != nil { // which cancels one that is overdue
		return Order{}, false, err
	}
	r.UnitIDs = sortedIDs(r.UnitIDs)
	var pending *pendingRefund
	request := map[string]any{"order_id": r.OrderID, "unit_ids": r.UnitIDs, "restock": r.Restock}
	_, replayed, err := s.once(ctx, r.call(), "order.refund", request, r.OrderID, func(tx pgx.Tx) (err error) {
		pending, err = s.refund(ctx, tx, r, outcome)
		return err
	})
	if err != nil {
		return Order{}, false, explain("refund", err)
	}
	if pending != nil && !replayed {
		s.giveBack(ctx, *pending)
	}
	o, err := s.Order(ctx, nil, r.OrderID)
	return o, replayed, afterwards(err)
}

func (s *Shop) refund(ctx context.Context, tx pgx.Tx, r RefundRequest, outcome string) (*pendingRefund, error) {
	row, err := s.q.ShopOrderLock(ctx, tx, dbsqlc.ShopOrderLockParams{Now: s.o.Now(), OrderID: r.OrderID})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, notFound("order")
	}
	if err != nil {
		return nil, err
	}
	o := row.ShopOrder
	if OrderStatus(o.Status) != IsPaid {
		return nil, conflict(o.Status, fmt.Sprintf("The order is %s, and only a paid one can be refunded.", o.Status))
	}
	has, err := s.q.ClaimUnitOfOrder(ctx, tx, &r.OrderID)
	if err != nil {
		return nil, err
	}
	units, err := s.unitsToReturn(ctx, tx, r, has)
	if err != nil {
		return nil, err
	}
	if _, err := s.q.SaleBuyerLockOfOrder(ctx, tx, dbsqlc.SaleBuyerLockOfOrderParams{Buyer: o.Buyer, OrderID: &r.OrderID}); err != nil {
		return nil, err
	}
	amount, err := s.returnUnits(ctx, tx, r, outcome, units)
	if err != nil {
		return nil, err
	}
	pending, err := s.recordRefund(ctx, tx, r, o, amount, len(units) == len(has))
	if err != nil {
		return nil, err
	}
	status := IsPaid
	if len(units) == len(has) {
		status = IsRefunded
	}
	ids := make([]ID, len(units))
	for i, unit := range units {
		ids[i] = unit.UnitID
	}
	return pending, s.tell(ctx, tx, orderNews(OrderRefunded, o.OrderID, o.Buyer, status, text(o.Reference), map[string]any{
		"unit_ids": ids, "amount": amount, "currency": o.Currency, "restock": r.Restock,
	}))
}

// unitsToReturn are those that were asked for, of those that the order has.
func (s *Shop) unitsToReturn(ctx context.Context, tx pgx.Tx, r RefundRequest, has []dbsqlc.ClaimUnitOfOrderRow) ([]dbsqlc.ClaimUnitOfOrderRow, error) {
	if len(r.UnitIDs) == 0 {
		return has, nil
	}
	var units []dbsqlc.ClaimUnitOfOrderRow
	for _, unit := range has {
		if slices.Contains(r.UnitIDs, unit.UnitID) {
			units = append(units, unit)
		}
	}
	if len(units) == len(r.UnitIDs) {
		return units, nil
	}
	lines, err := s.linesOf(ctx, tx, r.OrderID)
	if err != nil {
		return nil, err
	}
	var had []ID
	for _, line := range lines {
		had = append(had, line.UnitIds...)
	}
	for i, id := range r.UnitIDs {
		if !slices.Contains(had, id) {
			return nil, invalid(fmt.Sprintf("body.unit_ids[%d]", i), "is no unit of this order")
		}
	}
	return nil, conflict("returned", "Some of these units have come back already, and nothing was done. Read the order for what it still has.")
}

// returnUnits moves units, each to where it is to go, and tells what they cost.
func (s *Shop) returnUnits(ctx context.Context, tx pgx.Tx, r RefundRequest, outcome string, units []dbsqlc.ClaimUnitOfOrderRow) (amount int64, err error) {
	arg := dbsqlc.ClaimUnitReturnParams{Now: s.o.Now(), Outcome: outcome, OrderID: &r.OrderID}
	quantities := map[int64]int32{}
	var products []int64
	for _, unit := range units {
		arg.UnitIds = append(arg.UnitIds, unit.UnitID)
		if quantities[unit.ProductID]++; quantities[unit.ProductID] == 1 {
			products = append(products, unit.ProductID)
		}
		if unit.PriceMinor != nil {
			amount += *unit.PriceMinor
		}
	}
	if r.Restock == RestockWriteOff {
		for _, productID := range products {
			w := dbsqlc.WithdrawalInsertParams{
				WithdrawalID: pgdb.NewID(), ProductID: productID, Quantity: quantities[productID],
				Reason: "written off from order " + r.OrderID.String(), Place: string(AtBuyer), APIKeyID: r.KeyID, Now: s.o.Now(),
			}
			if _, err := s.q.WithdrawalInsert(ctx, tx, w); err != nil {
				return 0, fmt.Errorf("insert withdrawal: %w", err)
			}
			arg.ProductIds = append(arg.ProductIds, productID)
			arg.WithdrawalIds = append(arg.WithdrawalIds, w.WithdrawalID)
		}
	}
	rows, err := s.q.ClaimUnitReturn(ctx, tx, arg)
	if err == nil && len(rows) != len(units) {
		err = fmt.Errorf("%d of %d that the order had", len(rows), len(units))
	}
	if err != nil {
		return 0, fmt.Errorf("return units: %w", err)
	}
	if r.Restock != RestockAvailable {
		return amount, nil
	}
	var pools []poolKey
	for _, row := range rows {
		pools = append(pools, poolKey{row.ProductID, row.PoolID})
	}
	return amount, s.cameBack(ctx, tx, pools...)
}

// recordRefund counts the money, and returns what the provider is to give back, if anything.
func (s *Shop) recordRefund(ctx context.Context, tx pgx.Tx, r RefundRequest, o dbsqlc.ShopOrder, amount int64, whole bool) (*pendingRefund, error) {
	if o.TotalMinor == nil {
		amount = 0 // what it cost is known to the shop beside us alone
	}
	var pending *pendingRefund
	arg := dbsqlc.RefundInsertParams{RefundID: pgdb.NewID(), OrderID: o.OrderID, Reason: "returned", AmountMinor: amount, Currency: o.Currency, APIKeyID: orNil(r.KeyID)}
	if o.Provider != External && amount > 0 {
		live, err := s.livePayment(ctx, tx, o.OrderID)
		if err == nil && live == nil {
			err = errors.New("the order is paid without a payment")
		}
		if err != nil {
			return nil, err
		}
		pending = &pendingRefund{arg.RefundID, live.PaymentID, amount}
		arg.PaymentID = &live.PaymentID
		if err := s.q.PaymentRefund(ctx, tx, dbsqlc.PaymentRefundParams{PaymentID: live.PaymentID, AmountMinor: amount}); err != nil {
			return nil, err
		}
	}
	if err := s.q.RefundInsert(ctx, tx, arg); err != nil {
		return nil, fmt.Errorf("insert refund: %w", err)
	}
	return pending, s.q.ShopOrderRefund(ctx, tx, dbsqlc.ShopOrderRefundParams{Now: s.o.Now(), OrderID: o.OrderID, AmountMinor: amount, Whole: whole})
}

// QuarantineRelease lets units out of quarantine, so that they can be claimed: those that are named, or else so many, those first that have been there longest.
// All or none. It returns them. A call with a key that was used before changes nothing and returns none, and true. Refusals: Validation, NotFound, KeyReused, NotEnoughUnits, Conflict for a
// unit that is not in quarantine.
func (s *Shop) QuarantineRelease(ctx context.Context, o Operator, sku string, quantity int, unitIDs []ID) (released []ID, replayed bool, err error) {
	unitIDs = sortedIDs(unitIDs)
	switch {
	case (quantity == 0) == (len(unitIDs) == 0):
		return nil, false, invalid("body", "give either quantity or unit_ids")
	case quantity < 0 || quantity > MaxReceiptQuantity:
		return nil, false, invalid("body.quantity", fmt.Sprintf("must be a whole number from 1 to %d", MaxReceiptQuantity))
	}
	request := map[string]any{"sku": sku, "quantity": quantity, "unit_ids": unitIDs}
	_, replayed, err = s.once(ctx, o.call(), "quarantine.release", request, ID{}, func(tx pgx.Tx) error {
		product, err := s.product(ctx, tx, sku)
		if err != nil {
			return err
		}
		wanted := max(quantity, len(unitIDs))
		released, err = s.q.QuarantineUnitRelease(ctx, tx, dbsqlc.QuarantineUnitReleaseParams{
			ProductID: product.ProductID, UnitIds: append([]ID{}, unitIDs...), Quantity: int32(wanted),
		})
		if err != nil {
			return err
		}
		if len(released) < wanted {
			if len(unitIDs) > 0 {
				return conflict("not in quarantine", fmt.Sprintf("Only %d of these %d units are in quarantine, and nothing was done. Leave the others out.", len(released), wanted))
			}
			n := int64(len(released))
			return &Refusal{Code: NotEnoughUnits, Available: &n, Detail: fmt.Sprintf("Only %d units are in quarantine, and nothing was done. Ask for fewer.", n)}
		}
		return s.cameBack(ctx, tx, poolKey{product.ProductID, commonPool})
	})
	if err != nil {
		return nil, false, explain("release from quarantine", err)
	}
	return released, replayed, nil
}
