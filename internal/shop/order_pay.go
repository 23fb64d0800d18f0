package shop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

func (s *Shop) providerName() string {
	if s.o.Provider == nil {
		return "none"
	}
	return s.o.Provider.Name()
}

// Pay has the payment provider take the money for a buyer's order, and answers when that is decided and on disk, or with the payment still pending
// when the provider does not answer within Options.PayTimeout: what becomes of it then is found out later. No lock and no transaction is held while
// the provider is asked. While a payment is under way, another call waits for it and shows what became of it. A call with a key that was used before shows the order as it
// now is, and true.
//
// A provider whose charges buyers confirm elsewhere (payment.Opener) takes an empty card as well. The order is answered with the secret that they need for that
// (ClientSecret), and so by every further call while the payment is pending, which does not wait then: that goes on with the same payment.
//
// Refusals: Validation for a card that the provider does not take, NotFound, KeyReused, PaymentFailed (the order stays as it is until it is overdue), Conflict for an order that
// does not await payment, Busy when there is no secret to answer because the provider can't be reached.
func (s *Shop) Pay(ctx context.Context, buyer string, id ID, card, key string) (Order, bool, error) {
	if s.o.Provider == nil {
		if _, err := s.Order(ctx, &buyer, id); err != nil {
			return Order{}, false, err
		}
		return Order{}, false, conflict("no payment provider", "This store takes no payments itself. Pay where the shop tells you to.")
	}
	if _, opens := s.o.Provider.(payment.Opener); !opens && card == "" {
		return Order{}, false, invalid("body.card", "is missing")
	}
	begun := pgdb.NewID()
	request := map[string]any{"order_id": id, "card": card}
	bound, err := bound(Call{buyer, key}, request, begun)
	if err != nil {
		return Order{}, false, err
	}
	charge := payment.Charge{}
	a, err := s.pays.Do(ctx, struct{}{}, payCall{buyer: buyer, orderID: id, bound: bound, paymentID: begun, charge: &charge})
	if err != nil {
		return Order{}, false, explain("begin payment", err)
	}
	if a.done {
		charge.Card = card
		return s.charge(ctx, buyer, charge, false)
	}
	if _, err := s.Order(ctx, &buyer, id); err != nil {
		return Order{}, false, err
	}
	made, replayed, err := s.once(ctx, Call{buyer, key}, "order.pay", request, begun, func(tx pgx.Tx) (err error) {
		charge, err = s.beginPayment(ctx, tx, id, begun)
		return err
	})
	var under *paymentUnderWay
	switch {
	case errors.As(err, &under):
		return s.goOn(ctx, buyer, id, card, nil)
	case err != nil:
		return Order{}, false, explain("begin payment", err)
	case replayed:
		return s.goOn(ctx, buyer, id, card, &made)
	}
	charge.Card = card
	return s.charge(ctx, buyer, charge, false)
}

// goOn goes on with the payment that is under way for an order: it opens it once more where buyers confirm payments elsewhere, with the card unless that was meant
// for another payment, and waits for it otherwise.
func (s *Shop) goOn(ctx context.Context, buyer string, orderID ID, card string, meant *ID) (Order, bool, error) {
	if _, opens := s.o.Provider.(payment.Opener); !opens {
		return s.awaitPayment(ctx, buyer, orderID)
	}
	live, err := s.livePayment(ctx, s.pool, orderID)
	switch {
	case err != nil:
		return Order{}, false, explain("read payment", err)
	case live == nil || live.Status != string(payment.Pending) || live.Provider != s.providerName():
		return s.awaitPayment(ctx, buyer, orderID)
	case meant != nil && *meant != live.PaymentID:
		card = ""
	}
	o, _, err := s.charge(ctx, buyer, payment.Charge{ID: live.PaymentID, OrderID: orderID, Amount: live.AmountMinor, Currency: live.Currency, Card: card}, true)
	return o, true, err
}

// paymentUnderWay says that an order has a payment that has not failed, which is not this call's.
type paymentUnderWay struct{}

func (*paymentUnderWay) Error() string { return "a payment is under way" }

// beginPayment writes down that a payment begins, before the provider hears of it, so that whatever happens it is asked later.
func (s *Shop) beginPayment(ctx context.Context, tx pgx.Tx, orderID, paymentID ID) (payment.Charge, error) {
	var row dbsqlc.ShopOrderLockRow
	var live *dbsqlc.Payment
	if err := pgdb.Together(ctx, tx,
		func(db pgdb.Queryer) (err error) {
			row, err = s.lockOrder(ctx, db, orderID)
			return err
		},
		func(db pgdb.Queryer) (err error) {
			live, err = s.livePayment(ctx, db, orderID)
			return err
		},
	); err != nil {
		return payment.Charge{}, err
	}
	o := row.ShopOrder
	switch {
	case live != nil && live.Status == string(payment.Pending):
		return payment.Charge{}, &paymentUnderWay{}
	case OrderStatus(o.Status) != AwaitingPayment:
		return payment.Charge{}, conflict(o.Status, fmt.Sprintf("The order is %s. There is nothing to pay.", o.Status))
	case row.Overdue:
		return payment.Charge{}, conflict(string(IsCancelled), "The order was not paid in time, and its units are free again. Add them to the cart anew.")
	case o.Provider != s.providerName():
		return payment.Charge{}, conflict(o.Provider, "The order is paid with another provider.")
	}
	charge := payment.Charge{ID: paymentID, OrderID: orderID, Amount: *o.TotalMinor, Currency: *o.Currency}
	insert := s.newPayments()
	addPayment(&insert, charge)
	if err := pgdb.Together(ctx, tx, s.beginSteps(ctx, insert)...); err != nil {
		return payment.Charge{}, fmt.Errorf("insert payment: %w", err)
	}
	return charge, nil
}

// newPayments are payments that begin, of which the provider is asked by somebody else when whoever began them must have given up.
func (s *Shop) newPayments() dbsqlc.PaymentInsertParams {
	return dbsqlc.PaymentInsertParams{Provider: s.providerName(), AskSeconds: (s.o.PayTimeout + time.Second).Seconds()}
}

func addPayment(to *dbsqlc.PaymentInsertParams, c payment.Charge) {
	to.PaymentIds = append(to.PaymentIds, c.ID)
	to.OrderIds = append(to.OrderIds, c.OrderID)
	to.AmountMinors = append(to.AmountMinors, c.Amount)
	to.Currencies = append(to.Currencies, c.Currency)
}

// beginSteps write down payments of orders, of which the caller has the locks. From then on their units come back only after the provider was asked.
func (s *Shop) beginSteps(ctx context.Context, insert dbsqlc.PaymentInsertParams) []func(pgdb.Queryer) error {
	return []func(pgdb.Queryer) error{
		func(db pgdb.Queryer) error {
			return exactly(len(insert.PaymentIds))(s.q.PaymentInsert(ctx, db, insert))
		},
		func(db pgdb.Queryer) error { return s.q.ClaimLockOfOrders(ctx, db, insert.OrderIds) },
		func(db pgdb.Queryer) error {
			return s.q.ClaimPayBy(ctx, db, dbsqlc.ClaimPayByParams{OrderIds: insert.OrderIds})
		},
	}
}

func (s *Shop) lockOrder(ctx context.Context, db pgdb.Queryer, id ID) (dbsqlc.ShopOrderLockRow, error) {
	return s.q.ShopOrderLock(ctx, db, dbsqlc.ShopOrderLockParams{Now: s.o.Now(), OrderID: id})
}

func (s *Shop) livePayment(ctx context.Context, db dbsqlc.DBTX, orderID ID) (*dbsqlc.Payment, error) {
	row, err := s.q.PaymentLive(ctx, db, orderID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &row.Payment, err
}

// charge asks the provider for the money, again if it has been asked before. A caller that goes away does not stop it.
func (s *Shop) charge(ctx context.Context, buyer string, c payment.Charge, again bool) (Order, bool, error) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.PayTimeout)
	defer cancel()
	later, end := context.WithTimeout(context.WithoutCancel(ctx), s.o.PayTimeout+4*time.Second)
	defer end()
	s.charges.begin(c.ID)
	state, secret, err := s.open(asking, c)
	no := cannotBePaid(err)
	if no != nil && again && no.Code == Validation {
		s.charges.end(c.ID)
		return Order{}, false, no // the payment goes on without this card
	}
	switch {
	case no != nil:
		state = payment.Failed
	case err != nil:
		state = payment.Pending // whatever became of it is found out by asking
		_ = s.notice(later, c.ID, err)
	}
	var paid *Order
	var recorded error
	if state != payment.Pending {
		paid, recorded = s.recordCharge(later, c, state)
	}
	if told := s.charges.end(c.ID); told && (state == payment.Pending || recorded != nil) {
		recorded = s.PaymentChanged(later, c.ID)
	}
	if recorded != nil {
		return Order{}, false, afterwards(explain("record payment", recorded))
	}
	if paid != nil {
		return *paid, false, nil
	}
	o, readErr := s.Order(later, &buyer, c.OrderID)
	switch {
	case readErr != nil:
		return Order{}, false, afterwards(readErr)
	case no != nil:
		return Order{}, false, no
	case state == payment.Failed:
		return Order{}, false, paymentFailed(o.Status)
	}
	if o.PaymentStatus == PaymentPending {
		if _, opens := s.o.Provider.(payment.Opener); opens && err != nil && c.Card == "" {
			return Order{}, false, providerAway()
		}
		o.ClientSecret = secret
	}
	return o, false, o.paymentFailed() // also when somebody else has heard of it while the provider kept this call waiting
}

func (s *Shop) open(ctx context.Context, c payment.Charge) (payment.State, string, error) {
	if opener, opens := s.o.Provider.(payment.Opener); opens {
		return opener.Open(ctx, c)
	}
	state, err := s.o.Provider.Charge(ctx, c)
	return state, "", err
}

// cannotBePaid is the refusal for a charge that the provider never takes, or not with these means; nil for any other error.
func cannotBePaid(err error) *Refusal {
	var refused *payment.Refused
	switch {
	case errors.Is(err, payment.ErrCard):
		return invalid("body.card", payment.ErrCard.Error())
	case errors.Is(err, payment.ErrMeans):
		return invalid("body.payment_method", payment.ErrMeans.Error())
	case errors.As(err, &refused):
		return &Refusal{Code: PaymentFailed, Detail: refused.Why}
	}
	return nil
}

func providerAway() *Refusal {
	r := busy()
	r.Detail = "The payment provider can't be reached at the moment, and nothing was charged. The order keeps its units until pay_by: ask again in a moment, with the same Idempotency-Key."
	r.RetryAfter = 2 * time.Second
	return r
}

// paymentFailed is the refusal for an order that awaits payment and whose payment has failed, nil for any other.
func (o Order) paymentFailed() error {
	if o.Status == AwaitingPayment && o.PaymentStatus == PaymentRejected {
		return paymentFailed(o.Status)
	}
	return nil
}

// paymentFailed is the refusal for a payment that has failed, of an order that may have been cancelled, or paid with another one, meanwhile.
func paymentFailed(status OrderStatus) *Refusal {
	detail := "The payment was not accepted. The order keeps its units until pay_by: try again, or with another card."
	if status != AwaitingPayment {
		detail = fmt.Sprintf("The payment was not accepted, and the order is %s meanwhile. There is nothing to pay.", status)
	}
	return &Refusal{Code: PaymentFailed, Detail: detail}
}

// awaitPayment shows an order when the payment that is under way for it is decided, or after Options.PayTimeout.
func (s *Shop) awaitPayment(ctx context.Context, buyer string, id ID) (Order, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.PayTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		o, err := s.Order(context.WithoutCancel(ctx), &buyer, id)
		if err == nil {
			err = o.paymentFailed()
		}
		if err != nil || o.PaymentStatus != PaymentPending {
			return o, true, err
		}
		select {
		case <-ctx.Done():
			return o, true, nil
		case <-tick.C:
		}
	}
}

// recordCharge is recordPayment for a charge that was answered. It returns the order if that was read along.
func (s *Shop) recordCharge(ctx context.Context, c payment.Charge, state payment.State) (*Order, error) {
	if state == payment.Succeeded {
		if a, err := s.paids.Do(ctx, struct{}{}, paidCall{c.ID, c.OrderID}); a.done && err == nil {
			s.o.Observer.payment(PaymentSucceeded)
			o := a.order.show()
			return &o, nil
		}
	}
	return nil, s.recordPayment(ctx, c.ID, state)
}

// recordPayment writes down what became of a payment, and what follows from it, once however often it is told.
func (s *Shop) recordPayment(ctx context.Context, id ID, state payment.State) error {
	var refund *pendingRefund
	var settled bool
	err := s.inShortTx(ctx, func(tx pgx.Tx) error {
		refund, settled = nil, false
		row, err := s.q.PaymentByID(ctx, tx, id)
		if err != nil {
			return err
		}
		var locked dbsqlc.ShopOrderLockRow
		var n int64
		err = pgdb.Together(ctx, tx,
			func(db pgdb.Queryer) (err error) {
				locked, err = s.lockOrder(ctx, db, row.Payment.OrderID)
				return err
			},
			func(db pgdb.Queryer) (err error) {
				n, err = s.q.PaymentSettle(ctx, db, dbsqlc.PaymentSettleParams{PaymentID: id, Status: string(state)})
				return err
			})
		if err != nil || n == 0 {
			return err
		}
		settled = true
		o := locked.ShopOrder
		switch {
		case state == payment.Failed:
			again := dbsqlc.ClaimPayByParams{OrderIds: []ID{o.OrderID}, PayBy: o.PayBy}
			return pgdb.Together(ctx, tx,
				func(db pgdb.Queryer) error { return s.q.ClaimLockOfOrders(ctx, db, again.OrderIds) },
				func(db pgdb.Queryer) error { return s.q.ClaimPayBy(ctx, db, again) })
		case OrderStatus(o.Status) == AwaitingPayment:
			return s.markPaid(ctx, tx, o)
		}
		refund, err = s.paidLate(ctx, tx, o, row.Payment)
		return err
	})
	if err == nil && settled {
		s.o.Observer.payment(PaymentStatus(state))
	}
	if err == nil && refund != nil {
		s.giveBack(ctx, *refund)
	}
	return err
}

func (s *Shop) markPaid(ctx context.Context, tx pgx.Tx, o dbsqlc.ShopOrder) error {
	if err := pgdb.Together(ctx, tx, s.paidSteps(ctx, o)...); err != nil {
		return fmt.Errorf("mark order as paid: %w", err)
	}
	return nil
}

// paidSteps mark orders that await payment, of which the caller has the locks, as paid.
func (s *Shop) paidSteps(ctx context.Context, orders ...dbsqlc.ShopOrder) []func(pgdb.Queryer) error {
	ids, told := make([]ID, len(orders)), make([]news, len(orders))
	for i, o := range orders {
		ids[i], told[i] = o.OrderID, orderNews(OrderPaid, o.OrderID, o.Buyer, IsPaid, text(o.Reference), nil)
	}
	return []func(pgdb.Queryer) error{
		func(db pgdb.Queryer) error {
			return exactly(len(ids))(s.q.ShopOrderPaid(ctx, db, dbsqlc.ShopOrderPaidParams{Now: s.o.Now(), OrderIds: ids}))
		},
		func(db pgdb.Queryer) error { return s.q.ClaimLockOfOrders(ctx, db, ids) },
		func(db pgdb.Queryer) error { return s.q.ClaimPaid(ctx, db, ids) },
		func(db pgdb.Queryer) error { return s.tell(ctx, db, told...) },
	}
}

// paidLate deals with money that has come for an order which is cancelled: it buys equal units, if there are any, in an order that replaces it, or goes
// back.
func (s *Shop) paidLate(ctx context.Context, tx pgx.Tx, o dbsqlc.ShopOrder, p dbsqlc.Payment) (*pendingRefund, error) {
	lines, err := s.linesOf(ctx, tx, o.OrderID)
	if err != nil {
		return nil, err
	}
	e := equalUnits{s: s, tx: tx, buyer: o.Buyer}
	for _, line := range lines {
		e.ask(line.Claim, line.ReturnPoolID, len(line.UnitIds))
	}
	found, err := e.find(ctx)
	if err != nil {
		return nil, err
	}
	more := map[string]any{"amount": p.AmountMinor, "currency": p.Currency}
	if !found {
		refund, err := s.refundLate(ctx, tx, o, p)
		if err != nil {
			return nil, err
		}
		return refund, s.tell(ctx, tx, orderNews(PaymentLate, o.OrderID, o.Buyer, IsCancelled, text(o.Reference), more))
	}
	id := pgdb.NewID()
	if _, err := s.q.ShopOrderInsert(ctx, tx, dbsqlc.ShopOrderInsertParams{
		OrderID: id, Buyer: o.Buyer, Status: string(IsPaid), Provider: o.Provider, TotalMinor: o.TotalMinor, Currency: o.Currency,
		Reference: o.Reference, Metadata: o.Metadata, ReplacesOrderID: &o.OrderID, Now: s.o.Now(),
	}); err != nil {
		return nil, fmt.Errorf("insert order: %w", err)
	}
	if err := e.take(ctx, id); err != nil {
		return nil, err
	}
	if err := s.q.PaymentMove(ctx, tx, dbsqlc.PaymentMoveParams{PaymentID: p.PaymentID, OrderID: id}); err != nil {
		return nil, err
	}
	more["replaced_by_order_id"] = id
	return nil, s.tell(ctx, tx,
		orderNews(PaymentLate, o.OrderID, o.Buyer, IsCancelled, text(o.Reference), more),
		orderNews(OrderPaid, id, o.Buyer, IsPaid, text(o.Reference), map[string]any{"replaces_order_id": o.OrderID}))
}

// pendingRefund is money that the provider is to give back.
type pendingRefund struct {
	id, paymentID ID
	amount        int64
}

func (s *Shop) refundLate(ctx context.Context, tx pgx.Tx, o dbsqlc.ShopOrder, p dbsqlc.Payment) (*pendingRefund, error) {
	r := pendingRefund{pgdb.NewID(), p.PaymentID, p.AmountMinor}
	err := s.q.RefundInsert(ctx, tx, dbsqlc.RefundInsertParams{
		RefundID: r.id, OrderID: o.OrderID, PaymentID: &r.paymentID, Reason: "late-payment", AmountMinor: r.amount, Currency: &p.Currency,
	})
	if err != nil {
		return nil, fmt.Errorf("insert refund: %w", err)
	}
	if err := s.q.PaymentRefund(ctx, tx, dbsqlc.PaymentRefundParams{PaymentID: p.PaymentID, AmountMinor: r.amount}); err != nil {
		return nil, err
	}
	return &r, s.q.ShopOrderCountRefund(ctx, tx, dbsqlc.ShopOrderCountRefundParams{OrderID: o.OrderID, AmountMinor: r.amount})
}

// giveBack asks the provider to give money back, in half of the time that there is: the rest is for showing what has become of the order. What fails is tried again by
// TendPayments.
func (s *Shop) giveBack(ctx context.Context, r pendingRefund) {
	within := s.o.PayTimeout
	if deadline, ends := ctx.Deadline(); ends {
		within = min(within, time.Until(deadline)/2)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	_ = s.refundAtProvider(asking, r)
}

func (s *Shop) refundAtProvider(ctx context.Context, r pendingRefund) error {
	if s.o.Provider == nil {
		return errors.New("there is no payment provider to give money back")
	}
	if err := s.o.Provider.Refund(ctx, r.id, r.paymentID, r.amount); err != nil {
		return fmt.Errorf("give back %d of payment %s: %w", r.amount, r.paymentID, s.notice(ctx, r.paymentID, err))
	}
	return s.refundMade(ctx, r.id, r.paymentID)
}

// PaymentChanged is told when a provider says that something became of a payment. It is not believed, but asked.
func (s *Shop) PaymentChanged(ctx context.Context, id ID) error {
	if s.charges.tell(id) {
		return nil // a call is under way that hears it from the provider, and asks if it does not
	}
	row, err := s.q.PaymentByID(ctx, s.pool, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound("payment")
	}
	if err != nil {
		return explain("read payment", err)
	}
	return explain("ask for payment", s.askAndRecord(ctx, row.Payment, s.o.Provider.Ask))
}

// ask asks the provider about a payment, for no longer than Options.PayTimeout.
func (s *Shop) ask(ctx context.Context, how func(context.Context, ID) (payment.State, error), p dbsqlc.Payment) (payment.State, error) {
	if p.Provider != s.providerName() {
		return "", fmt.Errorf("the payment %s is with the provider %s, not with %s", p.PaymentID, p.Provider, s.providerName())
	}
	asking, cancel := context.WithTimeout(ctx, s.o.PayTimeout)
	defer cancel()
	state, err := how(asking, p.PaymentID)
	return state, s.notice(ctx, p.PaymentID, err)
}

func (s *Shop) askAndRecord(ctx context.Context, p dbsqlc.Payment, how func(context.Context, ID) (payment.State, error)) error {
	if p.Status != string(payment.Pending) {
		return nil
	}
	state, err := s.ask(ctx, how, p)
	return s.recordAnswer(ctx, p, state, err)
}

// recordAnswer writes down an answer of the provider that is final.
func (s *Shop) recordAnswer(ctx context.Context, p dbsqlc.Payment, state payment.State, err error) error {
	if err != nil || state == payment.Pending || state == payment.NotSeen {
		return err
	}
	return s.recordPayment(context.WithoutCancel(ctx), p.PaymentID, state)
}

const (
	// askAtOnce is how many questions to the provider may be under way at once, from one server.
	askAtOnce = 500
	// overduePatience is how long after pay_by an order waits for its provider's word before its units are free all the same.
	overduePatience = 4 * time.Second
)

// TendPayments is housekeeping: it asks the provider what became of payments that are pending, calls those off whose orders are overdue, and has
// refunds made that failed before. An order whose provider gives no answer is cancelled 4 s after it is overdue: money that comes then is late.
func (s *Shop) TendPayments(ctx context.Context) error {
	if s.o.Provider == nil {
		return nil
	}
	overdue, err := s.q.PaymentOverdue(ctx, s.pool, dbsqlc.PaymentOverdueParams{Now: s.o.Now(), RowLimit: askAtOnce})
	if err != nil {
		return fmt.Errorf("look for overdue payments: %w", err)
	}
	due, err := s.q.PaymentToAsk(ctx, s.pool, askAtOnce)
	if err != nil {
		return fmt.Errorf("look for payments: %w", err)
	}
	refunds, err := s.q.RefundToAsk(ctx, s.pool, askAtOnce)
	if err != nil {
		return fmt.Errorf("look for refunds: %w", err)
	}
	work := newWork(askAtOnce)
	for _, row := range overdue {
		work.do(func() error { return s.tendOverdue(ctx, row) })
	}
	for _, row := range due {
		work.do(func() error { return s.tendPayment(ctx, row) })
	}
	for _, row := range refunds {
		work.do(func() error {
			return s.refundAtProvider(ctx, pendingRefund{row.RefundID, row.PaymentID, row.AmountMinor})
		})
	}
	return work.wait()
}

func (s *Shop) tendOverdue(ctx context.Context, row dbsqlc.PaymentOverdueRow) error {
	found, err := s.q.PaymentByID(ctx, s.pool, row.PaymentID)
	if err != nil {
		return err
	}
	began, late := time.Now(), seconds(row.OverdueSeconds)
	// Half of the patience, so that there is time to ask again.
	asking, cancel := context.WithTimeout(ctx, min(max(overduePatience-late, overduePatience/8), overduePatience/2))
	defer cancel()
	asked := s.askAndRecord(asking, found.Payment, s.o.Provider.Void)
	if late += time.Since(began); asked != nil && late < overduePatience-overduePatience/8 {
		return asked
	}
	if _, err := s.cancelOverdueByIDs(ctx, []ID{row.OrderID}, asked != nil); err != nil {
		return err
	}
	return asked
}

func (s *Shop) tendPayment(ctx context.Context, row dbsqlc.PaymentToAskRow) error {
	found, err := s.q.PaymentByID(ctx, s.pool, row.PaymentID)
	if err != nil {
		return err
	}
	how := s.o.Provider.Ask
	if row.TooLate {
		// Its order was cancelled while the provider was silent: what has not been taken is not to be taken any more.
		how = s.o.Provider.Void
	}
	state, err := s.ask(ctx, how, found.Payment)
	if err == nil && state == payment.NotSeen && seconds(row.AgeSeconds) > 2*s.o.PayTimeout {
		// Whoever was to charge it is gone. It is called off, so that a call that may still be on its way takes no money.
		state, err = s.ask(ctx, s.o.Provider.Void, found.Payment)
	}
	return s.recordAnswer(ctx, found.Payment, state, err)
}

// work does things side by side, so many at once.
type work struct {
	slots chan struct{}
	all   sync.WaitGroup
	mu    sync.Mutex
	errs  []error
}

func newWork(atOnce int) *work { return &work{slots: make(chan struct{}, atOnce)} }

func (w *work) do(fn func() error) {
	w.slots <- struct{}{}
	w.all.Go(func() {
		defer func() { <-w.slots }()
		if err := worthALog(fn()); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.errs = append(w.errs, err)
		}
	})
}

// wait returns when everything is done, with the first errors.
func (w *work) wait() error {
	w.all.Wait()
	return errors.Join(w.errs[:min(len(w.errs), 3)]...)
}
