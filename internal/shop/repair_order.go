package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

var theMoney = &thing{lock: (*repairer).lockOrderAlone, look: (*repairer).lookAtMoney}

func (x *repairer) findOrderState(ctx context.Context, p dbsqlc.AuditProductsRow, _ *way) error {
	rows, err := x.s.q.AuditOrderState(ctx, x.s.pool, dbsqlc.AuditOrderStateParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, row := range rows {
		x.note(target{thing: theClaim, sku: p.SKU, productID: p.ProductID, id: row.ClaimID})
	}
	return err
}

// lineMend repairs a line of an order, of which it has the locks.
type lineMend func(ctx context.Context, tx pgx.Tx) (string, error)

// lookAtLineOf looks whether a line of an order fits the order, and tells the first thing that does not. Another one is found by the next repair.
func (x *repairer) lookAtLineOf(c *claimAt) *fault {
	for _, look := range []func(*claimAt) *fault{x.lineWithoutOrder, x.lineUnpaid, x.lineOfEnded, x.lineLeft, x.lineQuantity, x.lineReturned} {
		if f := look(c); f != nil {
			return f
		}
	}
	return nil
}

func (c *claimAt) fault(broken, repair, buyers string, mend lineMend) *fault {
	f := &fault{RepairStep: c.step(fmt.Sprintf("The line %s of the order %s of %q: %s", c.Claim.ClaimID, orZero(c.Claim.OrderID), c.Claim.Buyer, broken)), mend: mend}
	f.Repair, f.Buyers = repair, buyers
	return f
}

// lineWithoutOrder is about orders that are missing, or somebody else's.
func (x *repairer) lineWithoutOrder(c *claimAt) *fault {
	buyer := c.Claim.Buyer
	switch {
	case c.OrderStatus == "missing" && !c.HasPayment && !c.OrderHasPaidLine:
		return c.fault("there is no such order (shop_order), and nobody has paid for it.",
			"The order is written anew from its lines, and cancelled (reason: repaired): its units go back on sale.",
			fmt.Sprintf("%q has an order less, for which nothing was paid: tell them; they can order again.", buyer),
			func(ctx context.Context, tx pgx.Tx) (string, error) {
				orderID := orZero(c.Claim.OrderID)
				n, err := x.s.q.RepairOrderInsert(ctx, tx, dbsqlc.RepairOrderInsertParams{Now: x.s.o.Now(), OrderID: &orderID})
				if err == nil && n != 1 {
					err = leftToPerson("Its lines have several buyers or currencies: a person has to say of whom the order was.")
				}
				if err != nil {
					return "", err
				}
				if err := x.cancelOrder(ctx, tx, orderID, buyer); err != nil {
					return "", err
				}
				return "The order was written anew and cancelled.", x.countBuyer(ctx, tx, c.Claim)
			})
	case c.OrderStatus == "missing":
		return c.fault("there is no such order (shop_order), but it is taken for paid (claim.unpaid).",
			"A person has to: only a backup, or the books of the payment provider or of the shop beside, tell whether it was paid. Write its row of shop_order again from there; "+
				"the lines (claim) have the buyer, the prices and the units.",
			fmt.Sprintf("%q may have paid for it, and can't see it.", buyer), nil)
	case c.OrderBuyer != buyer:
		return c.fault(fmt.Sprintf("the order is of %q (shop_order.buyer).", c.OrderBuyer),
			fmt.Sprintf("A person has to: compare the order's payment and reference with both buyers, then correct the one that is wrong by hand: "+
				"UPDATE shop_order SET buyer = '...' WHERE order_id = '%s'; or UPDATE claim SET buyer = '...' WHERE claim_id = '%s'; and lastunit audit --repair purchase_limit after it.",
				orZero(c.Claim.OrderID), c.Claim.ClaimID),
			fmt.Sprintf("One of %q and %q sees an order that is not theirs.", buyer, c.OrderBuyer), nil)
	}
	return nil
}

// lineUnpaid is about what a line says of its order's payment.
func (x *repairer) lineUnpaid(c *claimAt) *fault {
	awaiting := c.OrderStatus == string(AwaitingPayment)
	arg := dbsqlc.RepairClaimUnpaidParams{ClaimID: c.Claim.ClaimID, Unpaid: awaiting}
	if awaiting && !c.IsBeingPaid {
		arg.PayBy = c.OrderPayBy
	}
	mend := func(ctx context.Context, tx pgx.Tx) (string, error) {
		return "It says what its order does now.", one(x.s.q.RepairClaimUnpaid(ctx, tx, arg))
	}
	switch {
	case c.Claim.Unpaid != awaiting:
		return c.fault(fmt.Sprintf("it is taken for unpaid %t (claim.unpaid), but the order is %s (shop_order.status).", c.Claim.Unpaid, c.OrderStatus),
			"It says again what the order says: unpaid only while that awaits payment.",
			fmt.Sprintf("Nothing changes for %q; what others see of the stock is right again.", c.Claim.Buyer), mend)
	case c.Claim.Unpaid && c.Claim.PayBy == nil && !c.IsBeingPaid:
		return c.fault("it is unpaid, and nothing would ever free its units: there is neither a time (claim.pay_by) nor a payment under way.",
			fmt.Sprintf("It gets the time of its order, %s; when that is over and nothing is paid, the order is cancelled as any other.", clockText(orEpoch(c.OrderPayBy))),
			fmt.Sprintf("%q has to pay by then, as the order says.", c.Claim.Buyer), mend)
	}
	return nil
}

// lineOfEnded is about units that an order still has which is over.
func (x *repairer) lineOfEnded(c *claimAt) *fault {
	outcome := map[string]string{"cancelled": "cancelled", "refunded": "quarantined"}[c.OrderStatus]
	if outcome == "" || c.live == 0 {
		return nil
	}
	var units []ID
	for _, u := range c.units {
		if u.ReleasedAt == nil {
			units = append(units, u.UnitID)
		}
	}
	repair, buyers := "They leave it and go to quarantine, unless they are in another place: find them, then release or withdraw them.", "Nothing changes for them: nothing was paid for it."
	if outcome == "quarantined" {
		repair += " What they cost is given back, as far as it was not."
		buyers = fmt.Sprintf("%q gets the rest of the money back, if it has not been: see whether they still have the units.", c.Claim.Buyer)
	}
	return c.fault(fmt.Sprintf("the order is %s, but it still has the units %s (claim_unit).", c.OrderStatus, idList(units)), repair, buyers,
		func(ctx context.Context, tx pgx.Tx) (string, error) {
			said, err := x.leave(ctx, tx, c, units, func(dbsqlc.RepairClaimUnitsRow) string { return outcome })
			if err != nil || outcome == "cancelled" {
				return said, err
			}
			owed, err := x.payOwed(ctx, tx, orZero(c.Claim.OrderID), units)
			return sentences([]string{said, owed}), err
		})
}

// leave ends that a line has, or had, units; those that are then in no place go to quarantine.
func (x *repairer) leave(ctx context.Context, tx pgx.Tx, c *claimAt, units []ID, how func(dbsqlc.RepairClaimUnitsRow) string) (string, error) {
	sheltered := 0
	for _, u := range c.units {
		if !slices.Contains(units, u.UnitID) {
			continue
		}
		outcome := how(u)
		if err := one(x.s.q.RepairClaimUnitEnd(ctx, tx, dbsqlc.RepairClaimUnitEndParams{Outcome: &outcome, ClaimID: c.Claim.ClaimID, UnitID: u.UnitID})); err != nil {
			return "", err
		}
		entered, err := x.shelter(ctx, tx, u.UnitID)
		if err != nil {
			return "", err
		}
		if entered {
			sheltered++
		}
	}
	return fmt.Sprintf("%d units have left it, %d of them for quarantine.", len(units), sheltered), x.countBuyer(ctx, tx, c.Claim)
}

// lineLeft is about units that have left a line in a way in which they can't.
func (x *repairer) lineLeft(c *claimAt) *fault {
	awaiting, cancelled := c.OrderStatus == string(AwaitingPayment), c.OrderStatus == string(IsCancelled)
	var strange []ID
	for _, u := range c.units {
		if u.ReleasedAt != nil && (awaiting || u.Outcome == "" || (u.Outcome == "cancelled") != cancelled) {
			strange = append(strange, u.UnitID)
		}
	}
	if len(strange) == 0 {
		return nil
	}
	broken := fmt.Sprintf("the order is %s, and the units %s have left it as they can't (claim_unit.outcome).", c.OrderStatus, idList(strange))
	if awaiting {
		return x.lineLacks(c, broken, len(strange), strange)
	}
	repair := "How they left it is told by where they are: in quarantine, withdrawn, or else returned. What is in no place goes to quarantine. What they cost is given back, as far as it was not."
	buyers := fmt.Sprintf("%q does not have them; the money goes back if it has not.", c.Claim.Buyer)
	if cancelled {
		repair, buyers = "They left it because it was cancelled.", "Nothing changes for them."
	}
	return c.fault(broken, repair, buyers, func(ctx context.Context, tx pgx.Tx) (string, error) {
		said, err := x.leave(ctx, tx, c, strange, func(u dbsqlc.RepairClaimUnitsRow) string {
			switch {
			case cancelled:
				return "cancelled"
			case u.InQuarantine || !u.IsWithdrawn && !u.IsElsewhere:
				return "quarantined"
			case u.IsWithdrawn:
				return "written_off"
			}
			return "returned"
		})
		if err != nil || cancelled {
			return said, err
		}
		owed, err := x.payOwed(ctx, tx, orZero(c.Claim.OrderID), strange)
		return sentences([]string{said, owed}), err
	})
}

// lineLacks gives a line that was ordered, and perhaps paid for, equal units for those that it lacks. forget are those that it has no more.
func (x *repairer) lineLacks(c *claimAt, broken string, lacks int, forget []ID) *fault {
	// A cancelled line says how each of its units has left it, and so can't be one that never had any.
	cancels := c.OrderStatus == string(AwaitingPayment) && len(c.units) > 0
	repair := fmt.Sprintf("It gets %d equal units that are on sale. If there are too few, nothing is done: bring some on sale (a receipt, or out of quarantine) and run it again.", lacks)
	buyers := fmt.Sprintf("%q gets what was ordered.", c.Claim.Buyer)
	if cancels {
		repair = fmt.Sprintf("It gets %d equal units that are on sale. If there are too few, the order is cancelled (reason: repaired).", lacks)
		buyers = fmt.Sprintf("%q keeps the order, or it is cancelled before anything was paid: tell them.", c.Claim.Buyer)
	}
	return c.fault(broken, repair, buyers, func(ctx context.Context, tx pgx.Tx) (string, error) {
		given, err := x.giveEqual(ctx, tx, c.RepairClaimRow, lacks, forget)
		if err != nil {
			return "", err
		}
		for _, id := range forget {
			if _, err := x.shelter(ctx, tx, id); err != nil {
				return "", err
			}
		}
		if len(given) > 0 {
			return fmt.Sprintf("It got the units %s.", idList(given)), x.countBuyer(ctx, tx, c.Claim)
		}
		if !cancels {
			return "", leftToPerson(fmt.Sprintf("There are not %d units on sale to give, and nothing was done. Bring some on sale (POST /api/v1/products/{sku}/receipts, or .../quarantine/release) and run it "+
				"again; or give %q back at the payment provider what was paid.", lacks, c.Claim.Buyer))
		}
		for _, id := range forget {
			left := "cancelled"
			if err := one(x.s.q.RepairClaimUnitEnd(ctx, tx, dbsqlc.RepairClaimUnitEndParams{Outcome: &left, ClaimID: c.Claim.ClaimID, UnitID: id})); err != nil {
				return "", err
			}
		}
		if err := x.cancelOrder(ctx, tx, orZero(c.Claim.OrderID), c.Claim.Buyer); err != nil {
			return "", err
		}
		if err := x.shrink(ctx, tx, c, len(c.units)); err != nil {
			return "", err
		}
		return "There were too few units on sale: the order was cancelled.", x.countBuyer(ctx, tx, c.Claim)
	})
}

// shrink makes a line of an order for which nothing was paid one of fewer units, and the order cost as much less.
func (x *repairer) shrink(ctx context.Context, tx pgx.Tx, c *claimAt, quantity int) error {
	if quantity == int(c.Claim.Quantity) {
		return nil
	}
	err := one(x.s.q.RepairClaimQuantity(ctx, tx, dbsqlc.RepairClaimQuantityParams{ClaimID: c.Claim.ClaimID, Quantity: int32(quantity)}))
	if err != nil || c.OrderTotalMinor < 0 {
		return err
	}
	total := c.OtherLinesMinor + orZeroMinor(c.Claim.PriceMinor)*int64(quantity)
	return one(x.s.q.RepairOrderTotal(ctx, tx, dbsqlc.RepairOrderTotalParams{TotalMinor: &total, OrderID: orZero(c.Claim.OrderID)}))
}

// lineQuantity is about lines that have had more or fewer units than they say.
func (x *repairer) lineQuantity(c *claimAt) *fault {
	quantity := int(c.Claim.Quantity)
	if c.had == quantity && len(c.units) == quantity {
		return nil
	}
	alive := c.OrderStatus == string(AwaitingPayment) || c.OrderStatus == string(IsPaid)
	broken := fmt.Sprintf("it is of %d units (claim.quantity), but has or had %d of its product (claim_unit).", quantity, c.had)
	price := orZeroMinor(c.Claim.PriceMinor)
	costs := func(n int) bool { return c.OtherLinesMinor+price*int64(n) == c.OrderTotalMinor }
	switch {
	case c.had > 0 && c.had == len(c.units) && price > 0 && costs(c.had) && !costs(quantity):
		return c.fault(broken, fmt.Sprintf("It becomes a line of %d: so many are there, and that is what the order costs.", c.had), "Nothing changes for them.",
			func(ctx context.Context, tx pgx.Tx) (string, error) {
				return fmt.Sprintf("Its quantity is %d now.", c.had),
					one(x.s.q.RepairClaimQuantity(ctx, tx, dbsqlc.RepairClaimQuantityParams{ClaimID: c.Claim.ClaimID, Quantity: int32(c.had)}))
			})
	case alive && c.had < quantity:
		var foreign []ID
		for _, u := range c.units {
			if u.ProductID != c.Claim.ProductID {
				foreign = append(foreign, u.UnitID)
			}
		}
		return x.lineLacks(c, broken, quantity-c.had, foreign)
	case alive && c.live >= len(c.units)-quantity:
		return x.lineHasMore(c, broken, len(c.units)-quantity)
	}
	return c.fault(broken, "A person has to: the order is over, or what it has had can't be told any more. Nothing is owed to anybody for it; read its units' lives (GET /api/v1/units/{id}).",
		"Nothing changes for them.", nil)
}

// lineHasMore takes units that are too many from a line: those that are none of its product, then the last.
func (x *repairer) lineHasMore(c *claimAt, broken string, more int) *fault {
	var units []ID
	for _, foreign := range []bool{true, false} {
		for _, u := range slices.Backward(c.units) {
			if u.ReleasedAt == nil && (u.ProductID != c.Claim.ProductID) == foreign && len(units) < more {
				units = append(units, u.UnitID)
			}
		}
	}
	return c.fault(broken, fmt.Sprintf("The units %s leave it and go to quarantine, unless they are in another place.", idList(units)),
		fmt.Sprintf("%q keeps as many as were ordered: see that no more were sent.", c.Claim.Buyer),
		func(ctx context.Context, tx pgx.Tx) (string, error) {
			n, err := x.s.q.RepairClaimUnitDelete(ctx, tx, dbsqlc.RepairClaimUnitDeleteParams{ClaimID: c.Claim.ClaimID, UnitIds: units})
			if err == nil && int(n) != len(units) {
				err = errRepairChanged
			}
			if err != nil {
				return "", err
			}
			for _, id := range units {
				if _, err := x.shelter(ctx, tx, id); err != nil {
					return "", err
				}
			}
			return fmt.Sprintf("%d units have left it.", n), x.countBuyer(ctx, tx, c.Claim)
		})
}

// lineReturned is about paid orders that have no units any more.
func (x *repairer) lineReturned(c *claimAt) *fault {
	if c.OrderStatus != string(IsPaid) || c.OrderUnitCount > 0 {
		return nil
	}
	return c.fault("the order is paid (shop_order.status), but all its units have come back (claim_unit).",
		"It becomes refunded. What they cost is given back, as far as it was not.", fmt.Sprintf("%q gets the rest of the money back, if it has not been.", c.Claim.Buyer),
		func(ctx context.Context, tx pgx.Tx) (string, error) {
			orderID := orZero(c.Claim.OrderID)
			owed, err := x.payOwed(ctx, tx, orderID, c.gone)
			if err != nil || owed != "" {
				return owed, err
			}
			return "The order is refunded.", one(x.s.q.RepairOrderReturned(ctx, tx, dbsqlc.RepairOrderReturnedParams{Now: x.s.o.Now(), OrderID: orderID}))
		})
}

func (x *repairer) findMoney(ctx context.Context, p dbsqlc.AuditProductsRow, _ *way) error {
	rows, err := x.s.q.AuditMoney(ctx, x.s.pool, dbsqlc.AuditMoneyParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, row := range rows {
		if !x.noted(theMoney, row.OrderID) { // it may have lines of several products
			x.note(target{thing: theMoney, sku: p.SKU, productID: p.ProductID, id: row.OrderID})
		}
	}
	return err
}

func (x *repairer) lockOrderAlone(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	return true, x.lockClaims(ctx, tx, []ID{t.id}, nil)
}

// lookAtMoney looks whether an order's money adds up. Sums that are counted from rows are counted again; what was taken or given back in truth, only the provider's
// books know.
func (x *repairer) lookAtMoney(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	row, err := x.s.q.RepairMoney(ctx, db, t.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the money of the order %s: %w", t.id, err)
	}
	m := orderMoney(row)
	broken := m.broken()
	if broken == "" {
		return nil, nil
	}
	o := m.ShopOrder
	f := &fault{RepairStep: RepairStep{OrderID: &t.id, Buyer: &o.Buyer, Broken: fmt.Sprintf("The order %s of %q (%s, %s): %s", t.id, o.Buyer, o.Status, o.Provider, broken), Rows: found(row)}}
	counted, totalled := m, m
	counted.ShopOrder.RefundedMinor, counted.PaymentRefunded = m.Refunds, m.Refunds
	totalled.Total = m.Lines
	f.Buyers = "Nothing changes for them."
	switch {
	case m.HasStrangeUnit:
		f.Repair, f.Buyers = m.advice(), fmt.Sprintf("It is about money of %q.", o.Buyer)
	case m.Paid == m.Total && m.Total > 0 && m.PaymentCount == 1 && o.Status == string(AwaitingPayment) && m.asIf(IsPaid).broken() == "":
		f.Repair = "It becomes paid: the money that it costs was taken, and it has its units."
		f.Buyers = fmt.Sprintf("%q has what was paid for.", o.Buyer)
		f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) { return "It is paid.", x.s.markPaid(ctx, tx, o) }
	case counted.broken() == "" && m.Refunds <= max(m.Total, 0):
		f.Repair = fmt.Sprintf("What is counted as given back (shop_order.refunded_minor, payment.refunded_minor) becomes %d, as much as its refunds are.", m.Refunds)
		f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
			return fmt.Sprintf("%d are counted as given back.", m.Refunds),
				x.s.q.RepairOrderRefunded(ctx, tx, dbsqlc.RepairOrderRefundedParams{RefundedMinor: m.Refunds, OrderID: t.id})
		}
	case o.TotalMinor != nil && totalled.broken() == "" && (m.PaymentCount == 0 || m.Paid == m.Lines):
		f.Repair = fmt.Sprintf("Its total (shop_order.total_minor) becomes %d, the sum of its lines.", m.Lines)
		if o.Status == string(AwaitingPayment) {
			f.Buyers = fmt.Sprintf("%q has to pay %d instead of %d %s: tell them.", o.Buyer, m.Lines, m.Total, text(o.Currency))
		}
		f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
			return fmt.Sprintf("It costs %d.", m.Lines), one(x.s.q.RepairOrderTotal(ctx, tx, dbsqlc.RepairOrderTotalParams{TotalMinor: &m.Lines, OrderID: t.id}))
		}
	default:
		f.Repair, f.Buyers = m.advice(), fmt.Sprintf("It is about money of %q.", o.Buyer)
	}
	return f, nil
}

// orderMoney is what an order costs, and what became of that.
type orderMoney dbsqlc.RepairMoneyRow

func (m orderMoney) asIf(status OrderStatus) orderMoney {
	m.ShopOrder.Status = string(status)
	return m
}

// broken tells the first thing that does not add up, as AuditMoney judges; empty: everything does.
func (m orderMoney) broken() string {
	o := m.ShopOrder
	status, ours, settled := OrderStatus(o.Status), o.Provider != External, o.Status == string(IsPaid) || o.Status == string(IsRefunded)
	switch {
	case m.Total >= 0 && m.Lines != m.Total:
		return fmt.Sprintf("it costs %d (shop_order.total_minor), but its lines %d (claim.price_minor, claim.quantity).", m.Total, m.Lines)
	case o.RefundedMinor != m.Refunds:
		return fmt.Sprintf("%d are counted as given back (shop_order.refunded_minor), but its refunds are %d (refund.amount_minor).", o.RefundedMinor, m.Refunds)
	case ours && m.PaymentRefunded != o.RefundedMinor:
		return fmt.Sprintf("%d are counted as given back (shop_order.refunded_minor), but %d of its payment (payment.refunded_minor).", o.RefundedMinor, m.PaymentRefunded)
	case ours && settled && m.Paid != m.Total:
		return fmt.Sprintf("it costs %d, but %d were paid (payment.amount_minor).", m.Total, m.Paid)
	case status == IsCancelled && m.Paid != o.RefundedMinor:
		return fmt.Sprintf("%d were taken for it (payment %s) and %d given back.", m.Paid, idList(m.PaymentIds), o.RefundedMinor)
	case status == AwaitingPayment && m.Paid != 0:
		return fmt.Sprintf("%d were taken for it (payment %s), and it costs %d.", m.Paid, idList(m.PaymentIds), m.Total)
	case m.Total >= 0 && settled && m.Returned != o.RefundedMinor:
		return fmt.Sprintf("units for %d have come back (claim_unit.outcome), but %d were given back (shop_order.refunded_minor).", m.Returned, o.RefundedMinor)
	case m.HasAnotherCurrency:
		return "its payment or a line is in another currency than the order."
	case m.HasStrangeRefund:
		return "a refund is of a payment where somebody else took the money, or of none where we did (refund.payment_id)."
	}
	return ""
}

// advice is what a person can do about money that does not add up.
func (m orderMoney) advice() string {
	o := m.ShopOrder
	const compare = "A person has to: only the books of the payment provider tell what was truly taken and given back. "
	after := fmt.Sprintf(" Read the order with GET /api/v1/orders/%s, and then run lastunit audit --repair money again.", o.OrderID)
	if m.HasStrangeUnit {
		return "Not before its lines: run lastunit audit --repair order_state first. How units have left them is not known, and neither what they cost."
	}
	owed := m.Returned - o.RefundedMinor
	if OrderStatus(o.Status) == IsCancelled {
		owed = m.Paid - o.RefundedMinor
	}
	switch {
	case owed > 0 && o.RefundedMinor == m.Refunds && len(m.PaymentIds) == 1 && m.Paid >= owed+m.PaymentRefunded:
		return compare + fmt.Sprintf("If %d %s were not given back yet, this has the running server do it, in psql: BEGIN; "+
			"INSERT INTO refund (refund_id, order_id, payment_id, status, reason, amount_minor, currency, created_at, ask_at) VALUES (gen_random_uuid(), '%s', '%s', 'pending', '%s', %d, '%s', now(), now()); "+
			"UPDATE shop_order SET refunded_minor = refunded_minor + %d WHERE order_id = '%s'; UPDATE payment SET refunded_minor = refunded_minor + %d WHERE payment_id = '%s'; COMMIT; "+
			"if they were, the same with status 'succeeded', and settled_at instead of ask_at.",
			owed, text(o.Currency), o.OrderID, m.PaymentIds[0], map[bool]string{true: "late-payment", false: "returned"}[o.Status == string(IsCancelled)], owed, text(o.Currency),
			owed, o.OrderID, owed, m.PaymentIds[0]) + after
	case o.RefundedMinor != m.Refunds || m.PaymentRefunded != o.RefundedMinor && o.Provider != External:
		return compare + fmt.Sprintf("Correct by hand what is wrong of the rows of refund (order_id '%s'): their sum is to be what was given back, %d if it is what its returned units cost.", o.OrderID, m.Returned) + after
	case OrderStatus(o.Status) == AwaitingPayment:
		return compare + fmt.Sprintf("If the money was taken, give it back there and set payment.status of %s to 'failed', and have the buyer pay anew or cancel (POST /api/v1/orders/%s/cancel).", idList(m.PaymentIds), o.OrderID) + after
	case m.Returned < o.RefundedMinor:
		return compare + fmt.Sprintf("More was given back than what came back costs: take the units back (POST /api/v1/orders/%s/refund gives their price back once more: only if they were not meant), "+
			"or correct the rows of refund, shop_order.refunded_minor and payment.refunded_minor by hand.", o.OrderID) + after
	}
	return compare + fmt.Sprintf("If the buyer paid too little or in another currency, give it back with POST /api/v1/orders/%s/refund {\"restock\": \"quarantine\"} or ask for the rest; if the rows are wrong, "+
		"correct those of payment, refund and claim that name the order by hand.", o.OrderID) + after
}

func orEpoch(at *time.Time) time.Time {
	if at == nil {
		return time.Unix(0, 0)
	}
	return *at
}
