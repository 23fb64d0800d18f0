package shop

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// overdueOrder is an unpaid order, of which the caller has the lock, and the sales that its lines are of.
type overdueOrder struct {
	id      ID
	buyer   string
	saleIDs []ID
}

func overdueOrders[R dbsqlc.ShopOrderLockOverdueRow | dbsqlc.ShopOrderLockOverdueOfPoolRow | dbsqlc.ShopOrderLockOverdueByIDsRow](rows []R) []overdueOrder {
	orders := make([]overdueOrder, len(rows))
	for i, row := range rows {
		r := dbsqlc.ShopOrderLockOverdueRow(row)
		orders[i] = overdueOrder{r.OrderID, r.Buyer, r.SaleIds}
	}
	return orders
}

// cancelOverdue cancels overdue orders that find has locked, leaving out those of which somebody else has locked lines, or the counts of their buyers, and names the
// pools that got units.
func (s *Shop) cancelOverdue(ctx context.Context, tx pgx.Tx, find func() ([]overdueOrder, error)) ([]poolKey, error) {
	orders, err := find()
	if err != nil {
		return nil, fmt.Errorf("lock overdue orders: %w", err)
	}
	if len(orders) == 0 {
		return nil, nil
	}
	var found []ID
	var pairs []saleBuyer
	for _, o := range orders {
		found = append(found, o.id)
		for _, saleID := range o.saleIDs {
			pairs = append(pairs, saleBuyer{saleID, o.buyer})
		}
	}
	lines, err := s.q.ClaimTryLockOfOrders(ctx, tx, found)
	if err != nil {
		return nil, fmt.Errorf("lock lines of overdue orders: %w", err)
	}
	locked, err := s.tryLockBuyers(ctx, tx, pairs)
	if err != nil {
		return nil, err
	}
	var ids []ID
	var all []news
	for _, o := range orders {
		free := slices.Contains(lines, o.id)
		for _, saleID := range o.saleIDs {
			free = free && locked[saleBuyer{saleID, o.buyer}]
		}
		if free {
			ids = append(ids, o.id)
			all = append(all, orderNews(OrderCancelled, o.id, o.buyer, IsCancelled, "", map[string]any{"reason": reasonOverdue}))
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	pools, err := s.cancelOrders(ctx, tx, ids, reasonOverdue)
	if err != nil {
		return nil, err
	}
	return pools, s.tell(ctx, tx, all...)
}

func (s *Shop) cancelOrders(ctx context.Context, tx pgx.Tx, ids []ID, reason string) ([]poolKey, error) {
	rows, err := s.q.ShopOrderCancelMany(ctx, tx, dbsqlc.ShopOrderCancelManyParams{Now: s.o.Now(), OrderIds: ids, Reason: &reason})
	if err != nil {
		return nil, fmt.Errorf("cancel orders: %w", err)
	}
	var pools []poolKey
	for _, row := range rows {
		pools = append(pools, poolKey{row.ProductID, row.PoolID})
	}
	return pools, nil
}

// cancelOverdueOf cancels overdue orders that have units of a pool.
func (s *Shop) cancelOverdueOf(ctx context.Context, tx pgx.Tx, k poolKey, limit int) ([]poolKey, error) {
	return s.cancelOverdue(ctx, tx, func() ([]overdueOrder, error) {
		rows, err := s.q.ShopOrderLockOverdueOfPool(ctx, tx, dbsqlc.ShopOrderLockOverdueOfPoolParams{
			Now: s.o.Now(), ProductID: k.productID, PoolID: k.poolID, RowLimit: int32(limit),
		})
		return overdueOrders(rows), err
	})
}

// cancelOverdueByIDs cancels those of some orders that are overdue, also with a payment under way when whatever is paid, and tells whether there were any.
func (s *Shop) cancelOverdueByIDs(ctx context.Context, ids []ID, whatever bool) (cancelled bool, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		pools, err := s.cancelOverdue(ctx, tx, func() ([]overdueOrder, error) {
			rows, err := s.q.ShopOrderLockOverdueByIDs(ctx, tx, dbsqlc.ShopOrderLockOverdueByIDsParams{Now: s.o.Now(), OrderIds: ids, WhateverWasPaid: whatever})
			return overdueOrders(rows), err
		})
		cancelled = len(pools) > 0
		if err != nil {
			return err
		}
		return s.cameBack(ctx, tx, pools...)
	})
	return cancelled, err
}

// CancelOverdue is housekeeping: it cancels unpaid orders that are overdue and that no payment is under way for, in batches. Nobody waits for it.
func (s *Shop) CancelOverdue(ctx context.Context) error {
	const atOnce = 200
	for n := atOnce; n == atOnce; {
		err := s.inTx(ctx, func(tx pgx.Tx) error {
			pools, err := s.cancelOverdue(ctx, tx, func() ([]overdueOrder, error) {
				rows, err := s.q.ShopOrderLockOverdue(ctx, tx, dbsqlc.ShopOrderLockOverdueParams{Now: s.o.Now(), Buyers: []string{}, RowLimit: atOnce})
				n = len(rows)
				return overdueOrders(rows), err
			})
			if err != nil || len(pools) == 0 {
				n = 0 // the rest is somebody else's at the moment
				return err
			}
			return s.cameBack(ctx, tx, pools...)
		})
		if err != nil {
			return fmt.Errorf("cancel overdue orders: %w", err)
		}
	}
	return nil
}

// CancelOrder cancels a buyer's unpaid order: its units can be claimed at once. A payment that is under way is called off first; if the provider has the
// money already, the order is paid, and the refusal says so. One that is cancelled stays so, and that is no refusal. Refusals: NotFound,
// KeyReused, Conflict for one that is paid, Busy when the provider can't be asked.
func (s *Shop) CancelOrder(ctx context.Context, buyer string, id ID, key string) (Order, bool, error) {
	o, err := s.Order(ctx, &buyer, id)
	if err != nil {
		return Order{}, false, err
	}
	if o.Status == AwaitingPayment && o.PaymentStatus == PaymentPending {
		if err := s.notReused(ctx, Call{buyer, key}, "order.cancel", id); err != nil {
			return Order{}, false, explain("look up key", err)
		}
		if err := s.callOff(ctx, id); err != nil {
			return Order{}, false, err
		}
	}
	_, replayed, err := s.once(ctx, Call{buyer, key}, "order.cancel", id, id, func(tx pgx.Tx) error {
		row, err := s.q.ShopOrderLock(ctx, tx, dbsqlc.ShopOrderLockParams{Now: s.o.Now(), OrderID: id})
		if err != nil {
			return err
		}
		switch status := OrderStatus(row.ShopOrder.Status); status {
		case IsCancelled:
			return s.q.ClaimReplayRecord(ctx, tx)
		case AwaitingPayment:
		default:
			return conflict(string(status), "The order is paid. Ask the shop for a refund.")
		}
		if live, err := s.livePayment(ctx, tx, id); err != nil || live != nil {
			return cmpErr(err, busy()) // it was begun a moment ago
		}
		if err := pgdb.Together(ctx, tx,
			func(db pgdb.Queryer) error { return s.q.ClaimLockOfOrders(ctx, db, []ID{id}) },
			func(db pgdb.Queryer) error {
				_, err := s.q.SaleBuyerLockOfOrder(ctx, db, dbsqlc.SaleBuyerLockOfOrderParams{Buyer: buyer, OrderID: &id})
				return err
			},
		); err != nil {
			return err
		}
		pools, err := s.cancelOrders(ctx, tx, []ID{id}, reasonBuyer)
		if err != nil {
			return err
		}
		if err := s.cameBack(ctx, tx, pools...); err != nil {
			return err
		}
		return s.tell(ctx, tx, orderNews(OrderCancelled, id, buyer, IsCancelled, text(row.ShopOrder.Reference), map[string]any{"reason": reasonBuyer}))
	})
	if err != nil {
		return Order{}, false, explain("cancel order", err)
	}
	o, err = s.Order(ctx, &buyer, id)
	return o, replayed, afterwards(err)
}

// callOff asks the provider to call off the payment that is under way for an order, and writes down what came of it.
func (s *Shop) callOff(ctx context.Context, orderID ID) error {
	live, err := s.livePayment(ctx, s.pool, orderID)
	if err != nil || live == nil || live.Status != string(payment.Pending) {
		return explain("read payment", err)
	}
	state, err := s.ask(ctx, s.o.Provider.Void, *live)
	if err != nil || state == payment.Pending {
		return busy()
	}
	return explain("record payment", s.recordPayment(ctx, live.PaymentID, state))
}

func cmpErr(err error, otherwise *Refusal) error {
	if err != nil {
		return err
	}
	return otherwise
}
