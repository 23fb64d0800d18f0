package shop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// OrderStatus is where an order stands.
type OrderStatus string

// The states of an order: awaiting_payment → paid | cancelled; paid → refunded.
const (
	AwaitingPayment OrderStatus = "awaiting_payment"
	IsPaid          OrderStatus = "paid"
	IsCancelled     OrderStatus = "cancelled"
	IsRefunded      OrderStatus = "refunded"
)

// OrderStatuses lists all states of orders.
func OrderStatuses() []OrderStatus {
	return []OrderStatus{AwaitingPayment, IsPaid, IsCancelled, IsRefunded}
}

// PaymentStatus is how far the payment of an order is.
type PaymentStatus string

// The states of a payment.
const (
	PaymentNone      PaymentStatus = "none"
	PaymentPending   PaymentStatus = "pending"
	PaymentSucceeded PaymentStatus = "succeeded"
	PaymentRejected  PaymentStatus = "failed"
	PaymentRefunded  PaymentStatus = "refunded"
)

// Reasons of a cancelled order.
const (
	reasonOverdue = "payment-overdue"
	reasonBuyer   = "cancelled-by-buyer"
	reasonRepair  = "repaired" // a repair took units from it, and there were no equal ones
)

// External is the provider of orders that the shop beside us has been paid for.
const External = "external"

// OrderLine is a transaction that was ordered.
type OrderLine struct {
	TransactionID   ID
	SKU             string
	Quantity        int
	UnitIDs         []ID   // that it has or had
	ReturnedUnitIDs []ID   // that have left it
	Price           *Money // of one unit; nil: the shop beside us knows it
	SaleID          *ID
	// ReplacesTransactionID is the hold that had lapsed, or the line of a cancelled order, for which this line has equal units.
	ReplacesTransactionID *ID
}

// Order is what checkout, or the shop beside us, makes of holds.
type Order struct {
	ID            ID
	Buyer         string
	Status        OrderStatus
	Reason        string // of a cancelled one: payment-overdue, cancelled-by-buyer, repaired
	Lines         []OrderLine
	Total         *Money     // nil: a line has no price
	Refunded      int64      // of Total, in minor units
	PayBy         *time.Time // nil: it was paid from the beginning
	Provider      string
	PaymentStatus PaymentStatus
	ClientSecret  string              // with which its buyer confirms the payment that is pending, elsewhere; only Pay tells it
	Attention     []payment.Attention // what the shop's people should look at, of its payment
	Reference     string
	Metadata      json.RawMessage
	CreatedAt     time.Time
	// ReplacesOrderID is a cancelled order whose money came too late; ReplacedByOrderID is the other way round.
	ReplacesOrderID   *ID
	ReplacedByOrderID *ID
}

// CheckoutRequest orders holds.
type CheckoutRequest struct {
	Buyer          string
	TransactionIDs []ID // empty: the whole cart
	Reference      string
	Metadata       json.RawMessage
	Key            string
}

const (
	linesAtMost = 1000
	// linesGathered is how many lines an order may have that is made together with others.
	linesGathered = 20
)

// Checkout makes one order of a buyer's holds, all of them or none, with the prices that they were held at. It is to be paid within the length of a
// hold, the shortest of its lines. A call with a key that has made an order before returns that one as it now is, and true.
//
// Refusals: Validation (lines in two currencies, or without a price), NotFound, KeyReused, CartEmpty, Conflict for a transaction that is no hold,
// HoldExpired, which names the holds that have lapsed; they are gone from the cart then, and the others stay in it.
func (s *Shop) Checkout(ctx context.Context, r CheckoutRequest) (Order, bool, error) {
	request := map[string]any{"transaction_ids": r.TransactionIDs, "reference": r.Reference, "metadata": r.Metadata}
	id := pgdb.NewID()
	if n := len(r.TransactionIDs); n > 0 && n <= linesGathered {
		bound, err := bound(Call{r.Buyer, r.Key}, request, id)
		if err != nil {
			return Order{}, false, err
		}
		a, err := s.checkouts.Do(ctx, struct{}{}, checkoutCall{CheckoutRequest: r, bound: bound, id: id})
		if err != nil {
			return Order{}, false, explain("check out", err)
		}
		if a.done {
			return a.order.show(), false, nil
		}
	}
	id, replayed, err := s.once(ctx, Call{r.Buyer, r.Key}, "checkout", request, id, func(tx pgx.Tx) error { return s.checkout(ctx, tx, r, id) })
	if err != nil {
		s.expireNamed(ctx, r.Buyer, err)
		return Order{}, false, explain("check out", err)
	}
	o, err := s.Order(ctx, &r.Buyer, id)
	return o, replayed, afterwards(err)
}

// expireNamed puts away the holds that a refusal names, so that the cart shows what it said. What it can't do now is done by the next look.
func (s *Shop) expireNamed(ctx context.Context, buyer string, err error) {
	var r *Refusal
	if !errors.As(err, &r) || r.Code != HoldExpired {
		return
	}
	for _, id := range r.TransactionIDs {
		_, _ = s.end(ctx, buyer, id, false)
	}
}

func (s *Shop) checkout(ctx context.Context, tx pgx.Tx, r CheckoutRequest, id ID) error {
	ids := r.TransactionIDs
	if len(ids) == 0 {
		var err error
		if ids, err = s.q.ClaimHeldOfBuyer(ctx, tx, dbsqlc.ClaimHeldOfBuyerParams{Buyer: r.Buyer, RowLimit: linesAtMost}); err != nil {
			return err
		}
	}
	rows, at, err := s.lockForOrder(ctx, tx, ids)
	if err != nil {
		return err
	}
	if len(r.TransactionIDs) == 0 {
		// What has been released or ordered since it was listed is not in the cart.
		rows = slices.DeleteFunc(rows, func(row dbsqlc.ClaimForOrderRow) bool { return Status(row.Claim.Status) != Held })
	}
	if err := allHeldBy(r.Buyer, ids, rows, len(r.TransactionIDs) > 0); err != nil {
		return err
	}
	total, hold, err := s.totalOf(rows)
	if err != nil {
		return err
	}
	payBy := at.Add(hold)
	insert := dbsqlc.ShopOrderInsertParams{
		OrderID:    id,
		Buyer:      r.Buyer,
		Status:     string(AwaitingPayment),
		Provider:   s.providerName(),
		TotalMinor: &total.Amount,
		Currency:   &total.Currency,
		PayBy:      &payBy,
		Reference:  optional(r.Reference),
		Metadata:   r.Metadata,
		Now:        s.o.Now(),
	}
	var ordered int64
	if err := pgdb.Together(ctx, tx,
		func(db pgdb.Queryer) error {
			_, err := s.q.ShopOrderInsert(ctx, db, insert)
			return err
		},
		func(db pgdb.Queryer) (err error) {
			ordered, err = s.orderHolds(ctx, db, id, idsOf(rows), &payBy)
			return err
		},
		func(db pgdb.Queryer) error {
			return s.tell(ctx, db, orderNews(OrderCreated, id, r.Buyer, AwaitingPayment, r.Reference, nil))
		},
	); err != nil {
		return fmt.Errorf("order holds: %w", err)
	}
	return s.allOrdered(ctx, tx, ordered, idsOf(rows))
}

// lockForOrder waits for transactions, in the order of their ids, and reads them as of then, with the database's clock, which may be long behind the transaction's start.
func (s *Shop) lockForOrder(ctx context.Context, tx pgx.Tx, ids []ID) (rows []dbsqlc.ClaimForOrderRow, at time.Time, err error) {
	look := orderLook{s: s, ids: ids}
	err = pgdb.Together(ctx, tx, append([]func(pgdb.Queryer) error{
		func(db pgdb.Queryer) error {
			_, err := s.q.ClaimLockMany(ctx, db, ids)
			return err
		},
	}, look.steps(ctx)...)...)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("lock transactions: %w", err)
	}
	return look.rows, look.at, nil
}

// orderLook reads transactions that are to be ordered, and the time.
type orderLook struct {
	s    *Shop
	ids  []ID
	rows []dbsqlc.ClaimForOrderRow
	at   time.Time
}

func (l *orderLook) steps(ctx context.Context) []func(pgdb.Queryer) error {
	now := l.s.o.Now()
	return []func(pgdb.Queryer) error{
		func(db pgdb.Queryer) (err error) {
			l.rows, err = l.s.q.ClaimForOrder(ctx, db, dbsqlc.ClaimForOrderParams{Now: now, ClaimIds: l.ids})
			return err
		},
		func(db pgdb.Queryer) (err error) {
			if l.at, err = l.s.q.ClockNow(ctx, db); now != nil {
				l.at = *now
			}
			return err
		},
	}
}

// allHeldBy refuses transactions that are not live holds of a buyer.
func allHeldBy(buyer string, ids []ID, rows []dbsqlc.ClaimForOrderRow, named bool) error {
	found := map[ID]bool{}
	var lapsed []ID
	for _, row := range rows {
		if row.Claim.Buyer == buyer {
			found[row.Claim.ClaimID] = true
		}
	}
	if named {
		for _, id := range ids {
			if !found[id] {
				return notFound("transaction " + id.String())
			}
		}
	}
	for _, row := range rows {
		switch status := Status(row.Claim.Status); {
		case row.Lapsed, status == Expired:
			lapsed = append(lapsed, row.Claim.ClaimID)
		case status != Held:
			return conflict(string(status), fmt.Sprintf("The transaction %s is %s, and only what is held can be ordered. Leave it out.", row.Claim.ClaimID, status))
		}
	}
	if len(lapsed) > 0 {
		return holdExpired(lapsed)
	}
	if len(rows) == 0 {
		return &Refusal{Code: CartEmpty, Detail: "There is nothing in the cart to order. Add something to it first."}
	}
	return nil
}

func holdExpired(ids []ID) *Refusal {
	return &Refusal{
		Code: HoldExpired, TransactionIDs: ids,
		Detail: fmt.Sprintf("%d of these holds had lapsed before they were ordered, and nothing was ordered. Add the units to the cart again, or go on without them.", len(ids)),
	}
}

// totalOf sums up lines, and finds the shortest of their holds.
func (s *Shop) totalOf(rows []dbsqlc.ClaimForOrderRow) (Money, time.Duration, error) {
	total, hold := Money{}, time.Duration(math.MaxInt64)
	for _, row := range rows {
		price := money(row.Claim.PriceMinor, row.Claim.Currency)
		switch {
		case price == nil:
			return Money{}, 0, invalid("body.transaction_ids", fmt.Sprintf("holds %s, which has no price here: it is sold by the shop that confirms it (orders/confirm)", row.SKU))
		case total.Currency != "" && total.Currency != price.Currency:
			return Money{}, 0, invalid("body.transaction_ids", fmt.Sprintf("holds prices in %s and in %s: an order is in one currency; order them one after the other", total.Currency, price.Currency))
		case price.Amount > (math.MaxInt64-total.Amount)/int64(row.Claim.Quantity):
			return Money{}, 0, invalid("body.transaction_ids", "adds up to more than can be counted; order less at once")
		}
		total = Money{Amount: total.Amount + price.Amount*int64(row.Claim.Quantity), Currency: price.Currency}
		length := s.o.Hold
		if row.HoldSeconds > 0 {
			length = time.Duration(row.HoldSeconds) * time.Second
		}
		hold = min(hold, length)
	}
	return total, hold, nil
}

// orderHolds makes holds, of which the caller has the locks, lines of an order, and tells how many: allOrdered says what that means. With payBy nil it is paid.
func (s *Shop) orderHolds(ctx context.Context, db pgdb.Queryer, id ID, ids []ID, payBy *time.Time) (int64, error) {
	return s.q.ClaimOrderMany(ctx, db, dbsqlc.ClaimOrderManyParams{Now: s.o.Now(), OrderID: &id, PayBy: payBy, ClaimIds: ids})
}

// allOrdered refuses when fewer holds than were to be ordered were: the others have lapsed since they were read, an instant ago.
func (s *Shop) allOrdered(ctx context.Context, tx pgx.Tx, ordered int64, ids []ID) error {
	if ordered == int64(len(ids)) {
		return nil
	}
	rows, err := s.q.ClaimForOrder(ctx, tx, dbsqlc.ClaimForOrderParams{Now: s.o.Now(), ClaimIds: ids})
	if err != nil {
		return err
	}
	var lapsed []ID
	for _, row := range rows {
		if row.Lapsed {
			lapsed = append(lapsed, row.Claim.ClaimID)
		}
	}
	return holdExpired(lapsed)
}

func idsOf(rows []dbsqlc.ClaimForOrderRow) []ID {
	ids := make([]ID, len(rows))
	for i, row := range rows {
		ids[i] = row.Claim.ClaimID
	}
	return ids
}

// orderNews is an event of an order.
func orderNews(kind EventType, id ID, buyer string, status OrderStatus, reference string, more map[string]any) news {
	data := map[string]any{"order_id": id, "buyer": buyer, "status": status, "reference": optional(reference)}
	for name, value := range more {
		data[name] = value
	}
	return news{kind, data}
}

// Order reads an order; with a buyer, only if it is theirs. One that is overdue, and that no payment is under way for, is cancelled before it is
// shown. Refusals: NotFound.
func (s *Shop) Order(ctx context.Context, buyer *string, id ID) (Order, error) {
	for {
		read, err := s.orders.Do(ctx, readLane(id), id)
		if err == nil && (read == nil || buyer != nil && read.row.ShopOrder.Buyer != *buyer) {
			return Order{}, notFound("order")
		}
		if err != nil {
			return Order{}, explain("read order", readError(err))
		}
		orders, overdue := withLines([]dbsqlc.ShopOrderListRow{read.row}, read.lines)
		if len(overdue) == 0 {
			return orders[0], nil
		}
		if cancelled, err := s.cancelOverdueByIDs(ctx, overdue, false); err != nil || !cancelled {
			return orders[0], explain("cancel overdue order", err)
		}
	}
}

// show makes an order of what was read of it.
func (r *orderRead) show() Order {
	orders, _ := withLines([]dbsqlc.ShopOrderListRow{r.row}, r.lines)
	return orders[0]
}

// OrderFilter says which orders are asked for; what is nil or zero is not asked for.
type OrderFilter struct {
	Buyer     *string
	Reference *string
	Status    OrderStatus
	SaleID    *ID
	Since     *time.Time // created then or later
	Until     *time.Time // created earlier
}

// Orders pages through orders, the newest first, from before (excluded; zero: from the newest), at most limit. more tells whether there are others
// behind the last.
func (s *Shop) Orders(ctx context.Context, f OrderFilter, before ID, limit int) (orders []Order, more bool, err error) {
	arg := dbsqlc.ShopOrderListParams{
		Now: s.o.Now(), Buyer: f.Buyer, Reference: f.Reference, Status: optional(string(f.Status)), SaleID: f.SaleID, Since: f.Since, Until: f.Until,
		RowLimit: int32(limit) + 1,
	}
	if before != (ID{}) {
		arg.BeforeOrderID = &before
	}
	for tries := 0; ; tries++ {
		var rows []dbsqlc.ShopOrderListRow
		// What is asked for differs so much that a plan for one is none for another.
		err := pgdb.InTxWith(ctx, s.pool, `SET LOCAL plan_cache_mode = force_custom_plan`, func(tx pgx.Tx) (err error) {
			rows, err = s.q.ShopOrderList(ctx, tx, arg)
			return err
		})
		if err != nil {
			return nil, false, explain("list orders", err)
		}
		if more = len(rows) > limit; more {
			rows = rows[:limit]
		}
		ids := make([]ID, len(rows))
		for i, row := range rows {
			ids[i] = row.ShopOrder.OrderID
		}
		lines, err := s.linesOf(ctx, s.pool, ids...)
		if err != nil {
			return nil, false, explain("read lines of orders", err)
		}
		orders, overdue := withLines(rows, lines)
		if len(overdue) == 0 || tries > 0 {
			return orders, more, nil
		}
		if cancelled, err := s.cancelOverdueByIDs(ctx, overdue, false); err != nil || !cancelled {
			return orders, more, explain("cancel overdue orders", err)
		}
	}
}

func (s *Shop) linesOf(ctx context.Context, db pgdb.Queryer, orders ...ID) ([]dbsqlc.ClaimOfOrdersRow, error) {
	lines, err := s.q.ClaimOfOrders(ctx, db, dbsqlc.ClaimOfOrdersParams{Now: s.o.Now(), OrderIds: orders})
	slices.SortFunc(lines, func(a, b dbsqlc.ClaimOfOrdersRow) int {
		return slices.Compare(a.Claim.ClaimID[:], b.Claim.ClaimID[:])
	})
	return lines, err
}

// withLines completes orders, and names those that are overdue while no payment is under way for them.
func withLines(rows []dbsqlc.ShopOrderListRow, lines []dbsqlc.ClaimOfOrdersRow) (orders []Order, overdue []ID) {
	at := make(map[ID]int, len(rows))
	orders = make([]Order, len(rows))
	for i, row := range rows {
		id := row.ShopOrder.OrderID
		at[id] = i
		orders[i] = orderOf(row)
		if row.Overdue && row.PaymentStatus != string(PaymentPending) {
			overdue = append(overdue, id)
		}
	}
	for _, line := range lines {
		o := &orders[at[*line.Claim.OrderID]]
		o.Lines = append(o.Lines, OrderLine{
			TransactionID:         line.Claim.ClaimID,
			SKU:                   line.SKU,
			Quantity:              int(line.Claim.Quantity),
			UnitIDs:               line.UnitIds,
			ReturnedUnitIDs:       line.ReturnedUnitIds,
			Price:                 money(line.Claim.PriceMinor, line.Claim.Currency),
			SaleID:                line.Claim.SaleID,
			ReplacesTransactionID: line.Claim.ReplacesClaimID,
		})
	}
	return orders, overdue
}

func orderOf(row dbsqlc.ShopOrderListRow) Order {
	was := row.ShopOrder
	o := Order{
		ID:                was.OrderID,
		Buyer:             was.Buyer,
		Status:            OrderStatus(was.Status),
		Reason:            text(was.Reason),
		Total:             money(was.TotalMinor, was.Currency),
		Refunded:          was.RefundedMinor,
		PayBy:             was.PayBy,
		Provider:          was.Provider,
		PaymentStatus:     PaymentStatus(cmp.Or(row.PaymentStatus, string(PaymentNone))),
		Attention:         attentionOf(row.Attention),
		Reference:         text(was.Reference),
		Metadata:          was.Metadata,
		CreatedAt:         was.CreatedAt,
		ReplacesOrderID:   was.ReplacesOrderID,
		ReplacedByOrderID: orNil(row.ReplacedByOrderID),
	}
	switch {
	case row.PaymentRefunded, o.Provider == External && o.Status == IsRefunded:
		o.PaymentStatus = PaymentRefunded
	case o.Provider == External:
		o.PaymentStatus = PaymentSucceeded
	}
	return o
}

// ExportOrders gives all orders that a filter asks for to write, the newest first, a page at a time, until write returns an error.
func (s *Shop) ExportOrders(ctx context.Context, f OrderFilter, write func([]Order) error) error {
	const atOnce = 500
	for before, more := (ID{}), true; more; {
		var page []Order
		var err error
		if page, more, err = s.Orders(ctx, f, before, atOnce); err != nil {
			return err
		}
		if err := write(page); err != nil {
			return err
		}
		if len(page) > 0 {
			before = page[len(page)-1].ID
		}
	}
	return nil
}
