package shop

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// checkoutCall is a checkout of holds that are named.
type checkoutCall struct {
	CheckoutRequest
	bound boundCall
	id    ID
}

// checkoutMany makes orders of the checkouts all of whose holds are live, the buyer's, and locked by nobody.
func (s *Shop) checkoutMany(ctx context.Context, calls []checkoutCall) gatherSteps {
	var ids []ID
	bound := make([]boundCall, len(calls))
	for i, c := range calls {
		ids = append(ids, c.TransactionIDs...)
		bound[i] = c.bound
	}
	var unbound []bool
	var locked []ID
	look := orderLook{s: s, ids: ids}
	return gatherSteps{
		ask: append([]func(pgdb.Queryer) error{
			func(db pgdb.Queryer) (err error) {
				unbound, err = s.unboundKeys(ctx, db, "checkout", bound)
				return err
			},
			func(db pgdb.Queryer) (err error) {
				locked, err = s.q.ClaimTryLockMany(ctx, db, ids)
				return err
			},
		}, look.steps(ctx)...),
		then: func(tx pgx.Tx) ([]gatherAnswer, error) { return s.orderMany(ctx, tx, calls, unbound, locked, look) },
	}
}

// orderMany makes the orders of the checkouts that nothing stands in the way of.
func (s *Shop) orderMany(ctx context.Context, tx pgx.Tx, calls []checkoutCall, unbound []bool, locked []ID, look orderLook) ([]gatherAnswer, error) {
	mine := make(map[ID]bool, len(locked))
	for _, id := range locked {
		mine[id] = true
	}
	byID := make(map[ID]dbsqlc.ClaimForOrderRow, len(look.rows))
	for _, row := range look.rows {
		byID[row.Claim.ClaimID] = row
	}
	done := make([]gatherAnswer, len(calls))
	orders := dbsqlc.ShopOrderInsertManyParams{Provider: s.providerName(), Now: s.o.Now()}
	lines := dbsqlc.ClaimOrderEachParams{Now: s.o.Now()}
	var keys []boundCall
	var told []news
	for i, c := range calls {
		rows, plain := heldRows(c.CheckoutRequest, byID, mine)
		if !plain || !unbound[i] {
			continue
		}
		total, hold, err := s.totalOf(rows)
		if err != nil {
			continue
		}
		done[i].done = true
		payBy := look.at.Add(hold)
		keys = append(keys, c.bound)
		orders.OrderIds = append(orders.OrderIds, c.id)
		orders.Buyers = append(orders.Buyers, c.Buyer)
		orders.TotalMinors = append(orders.TotalMinors, total.Amount)
		orders.Currencies = append(orders.Currencies, total.Currency)
		orders.PayBys = append(orders.PayBys, payBy)
		orders.OrderReferences = append(orders.OrderReferences, c.Reference)
		orders.Metadatas = append(orders.Metadatas, string(c.Metadata))
		told = append(told, orderNews(OrderCreated, c.id, c.Buyer, AwaitingPayment, c.Reference, nil))
		for _, row := range rows {
			delete(mine, row.Claim.ClaimID) // nobody else of the batch gets it
			lines.ClaimIds = append(lines.ClaimIds, row.Claim.ClaimID)
			lines.OrderIds = append(lines.OrderIds, c.id)
			lines.PayBys = append(lines.PayBys, payBy)
		}
	}
	if len(keys) == 0 {
		return done, nil
	}
	made := ordersLook{s: s, ids: orders.OrderIds}
	steps := append(s.bindKeys(ctx, "checkout", keys),
		func(db pgdb.Queryer) error { return s.q.ShopOrderInsertMany(ctx, db, orders) },
		func(db pgdb.Queryer) error { return exactly(len(lines.ClaimIds))(s.q.ClaimOrderEach(ctx, db, lines)) },
		func(db pgdb.Queryer) error { return s.tell(ctx, db, told...) })
	err := pgdb.Together(ctx, tx, append(steps, made.steps(ctx)...)...)
	for i, found := 0, made.found(); i < len(calls); i++ {
		done[i].order = found[calls[i].id]
	}
	return done, err
}

// heldRows are the holds of a checkout, if all of them are live, the buyer's and ours.
func heldRows(r CheckoutRequest, byID map[ID]dbsqlc.ClaimForOrderRow, mine map[ID]bool) (rows []dbsqlc.ClaimForOrderRow, plain bool) {
	ids := sortedIDs(r.TransactionIDs)
	for _, id := range ids {
		row, found := byID[id]
		if !found || !mine[id] || row.Claim.Buyer != r.Buyer || row.Lapsed || Status(row.Claim.Status) != Held {
			return nil, false
		}
		rows = append(rows, row)
	}
	return rows, true
}

// payCall begins a payment.
type payCall struct {
	buyer     string
	orderID   ID
	bound     boundCall
	paymentID ID
	charge    *payment.Charge // where it goes
}

// payMany begins the payments of orders that await one, have none, and are locked by nobody.
func (s *Shop) payMany(ctx context.Context, calls []payCall) gatherSteps {
	ids := make([]ID, len(calls))
	bound := make([]boundCall, len(calls))
	for i, c := range calls {
		ids[i], bound[i] = c.orderID, c.bound
	}
	var unbound []bool
	var locked []dbsqlc.ShopOrderTryLockManyRow
	var live []ID
	return gatherSteps{
		ask: []func(pgdb.Queryer) error{
			func(db pgdb.Queryer) (err error) {
				unbound, err = s.unboundKeys(ctx, db, "order.pay", bound)
				return err
			},
			func(db pgdb.Queryer) (err error) {
				locked, err = s.q.ShopOrderTryLockMany(ctx, db, dbsqlc.ShopOrderTryLockManyParams{Now: s.o.Now(), OrderIds: ids})
				return err
			},
			func(db pgdb.Queryer) (err error) {
				live, err = s.q.PaymentLiveMany(ctx, db, ids)
				return err
			},
		},
		then: func(tx pgx.Tx) ([]gatherAnswer, error) { return s.beginMany(ctx, tx, calls, unbound, locked, live) },
	}
}

// beginMany begins the payments that nothing stands in the way of.
func (s *Shop) beginMany(ctx context.Context, tx pgx.Tx, calls []payCall, unbound []bool, locked []dbsqlc.ShopOrderTryLockManyRow, live []ID) ([]gatherAnswer, error) {
	payable := make(map[ID]dbsqlc.ShopOrder, len(locked))
	for _, row := range locked {
		if o := row.ShopOrder; OrderStatus(o.Status) == AwaitingPayment && !row.Overdue && o.Provider == s.providerName() {
			payable[o.OrderID] = o
		}
	}
	for _, id := range live {
		delete(payable, id)
	}
	done := make([]gatherAnswer, len(calls))
	insert := s.newPayments()
	var keys []boundCall
	for i, c := range calls {
		o, is := payable[c.orderID]
		if !is || !unbound[i] || o.Buyer != c.buyer {
			continue
		}
		delete(payable, c.orderID) // another call for it waits for this one's payment
		done[i].done = true
		*c.charge = payment.Charge{ID: c.paymentID, OrderID: c.orderID, Amount: *o.TotalMinor, Currency: *o.Currency}
		keys = append(keys, c.bound)
		addPayment(&insert, *c.charge)
	}
	if len(keys) == 0 {
		return done, nil
	}
	return done, pgdb.Together(ctx, tx, append(s.bindKeys(ctx, "order.pay", keys), s.beginSteps(ctx, insert)...)...)
}

// paidCall is a payment that has succeeded.
type paidCall struct{ paymentID, orderID ID }

// paidMany marks orders that await the payments as paid, those that are locked by nobody.
func (s *Shop) paidMany(ctx context.Context, calls []paidCall) gatherSteps {
	ids := make([]ID, len(calls))
	for i, c := range calls {
		ids[i] = c.orderID
	}
	var locked []dbsqlc.ShopOrderTryLockManyRow
	return gatherSteps{
		ask: []func(pgdb.Queryer) error{func(db pgdb.Queryer) (err error) {
			locked, err = s.q.ShopOrderTryLockMany(ctx, db, dbsqlc.ShopOrderTryLockManyParams{Now: s.o.Now(), OrderIds: ids})
			return err
		}},
		then: func(tx pgx.Tx) ([]gatherAnswer, error) { return s.settleMany(ctx, tx, calls, locked) },
	}
}

// settleMany marks the orders that nothing stands in the way of as paid.
func (s *Shop) settleMany(ctx context.Context, tx pgx.Tx, calls []paidCall, locked []dbsqlc.ShopOrderTryLockManyRow) ([]gatherAnswer, error) {
	awaiting := make(map[ID]dbsqlc.ShopOrder, len(locked))
	for _, row := range locked {
		if OrderStatus(row.ShopOrder.Status) == AwaitingPayment {
			awaiting[row.ShopOrder.OrderID] = row.ShopOrder
		}
	}
	done := make([]gatherAnswer, len(calls))
	var settle dbsqlc.PaymentSettlePaidParams
	var paid []dbsqlc.ShopOrder
	for i, c := range calls {
		o, is := awaiting[c.orderID]
		if !is {
			continue
		}
		delete(awaiting, c.orderID)
		done[i].done = true
		settle.PaymentIds = append(settle.PaymentIds, c.paymentID)
		settle.OrderIds = append(settle.OrderIds, c.orderID)
		paid = append(paid, o)
	}
	if len(paid) == 0 {
		return done, nil
	}
	now := ordersLook{s: s, ids: settle.OrderIds}
	steps := append([]func(pgdb.Queryer) error{
		func(db pgdb.Queryer) error { return exactly(len(paid))(s.q.PaymentSettlePaid(ctx, db, settle)) },
	}, s.paidSteps(ctx, paid...)...)
	err := pgdb.Together(ctx, tx, append(steps, now.steps(ctx)...)...)
	for i, found := 0, now.found(); i < len(calls); i++ {
		if done[i].done {
			done[i].order = found[calls[i].orderID]
		}
	}
	return done, err
}
