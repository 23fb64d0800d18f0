package shop_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

func compareIDs(a, b shop.ID) int { return slices.Compare(a[:], b[:]) }

// named are the transactions of some ids, each once and in the order of their ids.
func (m *model) named(ids []shop.ID) (claims []*mClaim) {
	for _, c := range m.claims {
		if slices.Contains(ids, c.id) {
			claims = append(claims, c)
		}
	}
	slices.SortFunc(claims, func(a, b *mClaim) int { return compareIDs(a.id, b.id) })
	return claims
}

// drawHolds draws transactions of a buyer, mostly holds.
func (m *model) drawHolds(rt *rapid.T, buyer string) (ids []shop.ID) {
	for _, c := range m.claims {
		if c.buyer == buyer && (c.status == shop.Held || rapid.IntRange(0, 9).Draw(rt, "not held") == 0) && rapid.IntRange(0, 3).Draw(rt, "left out") > 0 {
			ids = append(ids, c.id)
		}
	}
	return ids
}

func (m *model) checkout(rt *rapid.T) {
	buyer := m.buyer(rapid.IntRange(1, 3).Draw(rt, "buyer"))
	var ids []shop.ID
	if rapid.IntRange(0, 2).Draw(rt, "named") > 0 {
		ids = m.drawHolds(rt, buyer)
		if rapid.IntRange(0, 9).Draw(rt, "another's") == 0 {
			if c := m.drawClaim(rt); c != nil {
				ids = append(ids, c.id)
			}
		}
	}
	m.order(rt, buyer, ids, drawOf(rt, "reference", "", "mine"), drawKey(rt))
}

func (m *model) order(rt *rapid.T, buyer string, ids []shop.ID, reference, key string) *mOrder {
	claims := m.named(ids)
	if len(ids) == 0 {
		// Lapsed holds that nobody has put away yet are in the cart, and named.
		for _, c := range m.claims {
			if c.buyer == buyer && (c.status == shop.Held || c.status == shop.Expired && m.count(`SELECT count(*) FROM claim WHERE claim_id = $1 AND status = 'held'`, c.id) > 0) {
				claims = append(claims, c)
			}
		}
		slices.SortFunc(claims, func(a, b *mClaim) int { return compareIDs(a.id, b.id) })
	}
	got, replayed, err := m.Checkout(background, shop.CheckoutRequest{Buyer: buyer, TransactionIDs: ids, Reference: reference, Key: key})
	request := fmt.Sprint(ids, reference)
	made, is, no := m.bound("checkout", buyer, key, request)
	var total *shop.Money
	hold := time.Duration(0)
	if no == nil && !is {
		total, hold, no = checkoutOf(buyer, claims)
	}
	if m.answered(rt, "checkout", err, no) {
		return nil
	}
	if replayed != is {
		rt.Fatalf("replayed: %v, want %v", replayed, is)
	}
	if is {
		o := made.(*mOrder)
		m.sameOrder(rt, o, got)
		m.is("order replayed %s", o.status)
		return o
	}
	payBy := m.now.Add(hold)
	o := &mOrder{id: got.ID, buyer: buyer, status: shop.AwaitingPayment, lines: claims, total: total, payBy: &payBy, reference: reference}
	m.orders = append(m.orders, o)
	m.bind("checkout", buyer, key, request, o)
	m.is("order new -> awaiting_payment")
	for _, c := range claims {
		m.ordered(c, o, shop.InOrder)
	}
	m.sameOrder(rt, o, got)
	return o
}

func (m *model) ordered(c *mClaim, o *mOrder, to shop.Place) {
	c.status, c.order = shop.Ordered, o
	m.is("transaction held -> ordered")
	m.placed(c.units, shop.InHold, to)
}

// checkoutOf says what transactions of a buyer, in the order of their ids, cost together and how long they can be paid for; or why they can't be ordered.
func checkoutOf(buyer string, claims []*mClaim) (total *shop.Money, hold time.Duration, no *shop.Refusal) {
	var lapsed []shop.ID
	for _, c := range claims {
		if c.buyer != buyer {
			return nil, 0, refuse(shop.NotFound)
		}
	}
	for _, c := range claims {
		switch c.status {
		case shop.Held:
		case shop.Expired:
			lapsed = append(lapsed, c.id)
		default:
			return nil, 0, conflicts(string(c.status))
		}
	}
	if len(lapsed) > 0 {
		return nil, 0, &shop.Refusal{Code: shop.HoldExpired, TransactionIDs: lapsed}
	}
	if len(claims) == 0 {
		return nil, 0, refuse(shop.CartEmpty)
	}
	hold = 24 * time.Hour
	for _, c := range claims {
		if c.price == nil || total != nil && total.Currency != c.price.Currency {
			return nil, 0, refuse(shop.Validation)
		}
		if total == nil {
			total = &shop.Money{Currency: c.price.Currency}
		}
		total.Amount += c.price.Amount * int64(c.quantity)
		length := modelHold
		if c.sale != nil {
			length = c.sale.Hold
		}
		hold = min(hold, length)
	}
	return total, hold, nil
}

func (m *model) confirm(rt *rapid.T) {
	buyer := m.buyer(rapid.IntRange(1, 3).Draw(rt, "buyer"))
	var ids []shop.ID
	for _, c := range m.claims {
		if c.buyer == buyer && (c.status == shop.Held || c.status == shop.Expired) && rapid.IntRange(0, 2).Draw(rt, "left out") > 0 {
			ids = append(ids, c.id)
		}
	}
	if c := m.drawClaim(rt); c != nil && (len(ids) == 0 || rapid.IntRange(0, 9).Draw(rt, "another") == 0) {
		ids = append(ids, c.id)
	}
	if len(ids) > 0 {
		m.confirmed(rt, ids, fmt.Sprint(m.run, "-", rapid.IntRange(1, 6).Draw(rt, "reference")), drawKey(rt))
	}
}

// equal finds equal units for claims of a buyer that have lost theirs, all or none, and says from which pools.
func (m *model) equal(lost []*mClaim, buyer string) (from []int, found bool) {
	more := map[*mSale]int{}
	for _, c := range lost {
		if c.sale != nil {
			more[c.sale] += c.quantity
		}
	}
	for s, n := range more {
		if s.PurchaseLimit != nil && m.has(s, buyer)+n > *s.PurchaseLimit {
			return nil, false
		}
	}
	left := map[string]int{}
	for _, p := range m.products {
		for pool, n := range p.pools {
			left[fmt.Sprint(p.sku, pool)] = n
		}
	}
	for _, c := range lost {
		pool := m.backTo(c.pool)
		if left[fmt.Sprint(c.p.sku, pool)] < c.quantity {
			pool = 0
		}
		k := fmt.Sprint(c.p.sku, pool)
		if left[k] < c.quantity {
			return nil, false
		}
		left[k] -= c.quantity
		from = append(from, pool)
	}
	return from, true
}

// replacements are the lines of an order that the shop has made of equal units.
func (m *model) replacements(rt *rapid.T, o *mOrder, lost []*mClaim, from []int, got shop.Order) {
	for i, c := range lost {
		at := slices.IndexFunc(got.Lines, func(l shop.OrderLine) bool { return l.ReplacesTransactionID != nil && *l.ReplacesTransactionID == c.id })
		if at < 0 {
			rt.Fatalf("nothing replaces %s in %+v", c.id, got)
		}
		line := got.Lines[at]
		is := &mClaim{
			id: line.TransactionID, buyer: c.buyer, p: c.p, quantity: c.quantity, status: shop.Ordered, units: line.UnitIDs, price: c.price, created: m.now, sale: c.sale,
			pool: from[i], order: o, replaces: c,
		}
		c.replaced = true
		m.claims = append(m.claims, is)
		o.lines = append(o.lines, is)
		m.is("transaction new -> ordered")
		m.take(rt, is, shop.AtBuyer)
	}
	slices.SortFunc(o.lines, func(a, b *mClaim) int { return compareIDs(a.id, b.id) })
}

func (m *model) confirmed(rt *rapid.T, ids []shop.ID, reference, key string) *mOrder {
	got, replayed, err := m.Confirm(background, shop.ConfirmRequest{TransactionIDs: ids, Reference: reference, Operator: m.operator(key)})
	slices.SortFunc(ids, compareIDs)
	request := fmt.Sprint(ids, reference)
	claims := m.named(ids)
	_, is, no := m.bound("confirm", "", key, request)
	at := slices.IndexFunc(m.orders, func(o *mOrder) bool { return o.external && o.reference == reference })
	if no == nil && at >= 0 {
		o := m.orders[at]
		var of []shop.ID
		for _, c := range o.lines {
			if c.replaces != nil {
				c = c.replaces
			}
			of = append(of, c.id)
		}
		slices.SortFunc(of, compareIDs)
		if !slices.Equal(of, slices.Compact(ids)) {
			no = conflicts(string(o.status))
			m.bind("confirm", "", key, request, nil)
		}
		if m.answered(rt, "confirm", err, no) {
			return nil
		}
		m.bind("confirm", "", key, request, nil)
		if !replayed {
			rt.Fatal("the replay is not said to be one")
		}
		m.is("confirm replayed")
		m.sameOrder(rt, o, got)
		return o
	}
	if is {
		rt.Fatalf("the model has lost the order of %s", reference)
	}
	var lapsed, live []*mClaim
	var total *shop.Money
	if no == nil {
		lapsed, live, total, no = confirmable(claims)
	}
	var from []int
	if no == nil {
		slices.SortStableFunc(lapsed, func(a, b *mClaim) int { return strings.Compare(a.p.sku, b.p.sku) })
		var found bool
		if from, found = m.equal(lapsed, claims[0].buyer); !found && len(lapsed) > 0 {
			no = &shop.Refusal{Code: shop.HoldExpired}
			for _, c := range claims {
				if slices.Contains(lapsed, c) {
					no.TransactionIDs = append(no.TransactionIDs, c.id)
				}
			}
		}
	}
	if m.answered(rt, "confirm", err, no) {
		return nil
	}
	if replayed {
		rt.Fatal("it is said to be a replay")
	}
	o := &mOrder{id: got.ID, buyer: claims[0].buyer, status: shop.IsPaid, lines: live, total: total, external: true, reference: reference}
	m.orders = append(m.orders, o)
	m.bind("confirm", "", key, request, nil)
	m.is("order new -> paid")
	for _, c := range live {
		m.ordered(c, o, shop.AtBuyer)
	}
	m.replacements(rt, o, lapsed, from, got)
	m.sameOrder(rt, o, got)
	return o
}

// confirmable sorts transactions, in the order of their ids, and sums them up; or says why they can't be confirmed.
func confirmable(claims []*mClaim) (lapsed, live []*mClaim, total *shop.Money, no *shop.Refusal) {
	for _, c := range claims {
		switch {
		case c.buyer != claims[0].buyer:
			return nil, nil, nil, refuse(shop.Validation)
		case c.replaced:
			return nil, nil, nil, conflicts("ordered")
		case c.status == shop.Expired:
			lapsed = append(lapsed, c)
		case c.status != shop.Held:
			return nil, nil, nil, conflicts(string(c.status))
		default:
			live = append(live, c)
		}
	}
	for _, c := range claims {
		if c.price == nil {
			return lapsed, live, nil, nil
		}
		if total == nil {
			total = &shop.Money{Currency: c.price.Currency}
		} else if total.Currency != c.price.Currency {
			return nil, nil, nil, refuse(shop.Validation)
		}
		total.Amount += c.price.Amount * int64(c.quantity)
	}
	return lapsed, live, total, nil
}

// shown is what the shop shows of the payment of an order.
func (o *mOrder) shown() shop.PaymentStatus {
	switch {
	case o.external && o.status == shop.IsRefunded:
		return shop.PaymentRefunded
	case o.external:
		return shop.PaymentSucceeded
	case len(o.pays) == 0:
		return shop.PaymentNone
	}
	p := o.pays[len(o.pays)-1]
	switch {
	case p.refunded == p.amount:
		return shop.PaymentRefunded
	case p.status == payment.Succeeded:
		return shop.PaymentSucceeded
	case p.status == payment.Failed:
		return shop.PaymentRejected
	}
	return shop.PaymentPending
}

func (m *model) sameOrder(rt *rapid.T, o *mOrder, got shop.Order) {
	rt.Helper()
	m.pass()
	var replaces, replacedBy *shop.ID
	if o.replaces != nil {
		replaces = &o.replaces.id
	}
	if o.replacedBy != nil {
		replacedBy = &o.replacedBy.id
	}
	if got.ID != o.id || got.Buyer != o.buyer || got.Status != o.status || got.Reason != o.reason || !alike(got.Total, o.total) || got.Refunded != o.refunded ||
		!sameTime(got.PayBy, o.payBy) || got.PaymentStatus != o.shown() || got.Reference != o.reference || !alike(got.ReplacesOrderID, replaces) ||
		!alike(got.ReplacedByOrderID, replacedBy) || len(got.Lines) != len(o.lines) {
		rt.Fatalf("the shop shows %+v, want %s: %s %q, total %v, refunded %d, pay by %v, payment %s, %q, replaces %v, by %v, %d lines",
			got, o.id, o.status, o.reason, o.total, o.refunded, o.payBy, o.shown(), o.reference, replaces, replacedBy, len(o.lines))
	}
	for i, c := range o.lines {
		l := got.Lines[i]
		returned := slices.Clone(c.returned)
		slices.SortFunc(returned, compareIDs)
		if l.TransactionID != c.id || l.SKU != c.p.sku || l.Quantity != c.quantity || !slices.Equal(l.UnitIDs, c.units) || !slices.Equal(l.ReturnedUnitIDs, returned) || !alike(l.Price, c.price) {
			rt.Fatalf("the shop shows the line %+v, want %s: %d %s, units %v, returned %v, price %v", l, c.id, c.quantity, c.p.sku, c.units, returned, c.price)
		}
	}
}

func (m *model) drawOrder(rt *rapid.T) *mOrder {
	if len(m.orders) == 0 {
		return nil
	}
	return drawOf(rt, "order", m.orders[max(0, len(m.orders)-5):]...)
}

func (m *model) readOrder(rt *rapid.T) {
	if o := m.drawOrder(rt); o != nil {
		m.readOrderBy(rt, o, m.drawAsker(rt, o.buyer))
	}
}

func (m *model) readOrderBy(rt *rapid.T, o *mOrder, who string) {
	got, err := m.Order(background, &who, o.id)
	if who != o.buyer {
		m.answered(rt, "order", err, refuse(shop.NotFound))
		return
	}
	m.answered(rt, "order", err, nil)
	m.sameOrder(rt, o, got)
}

func (m *model) pay(rt *rapid.T) {
	if o := m.drawOrder(rt); o != nil {
		m.payWith(rt, o, m.drawAsker(rt, o.buyer), drawOf(rt, "card", "succeed", "twice", "decline", "late:10m", "hang", "", "gold"), drawKey(rt))
	}
}

func (m *model) payWith(rt *rapid.T, o *mOrder, who, card, key string) {
	live := o.live()
	pending := live != nil && live.status == payment.Pending
	server := m.Shop
	if pending || card == "hang" {
		server = m.hasty
	}
	got, replayed, err := server.Pay(background, who, o.id, card, key)
	request := fmt.Sprint(o.id, card)
	_, is, no := m.bound("pay", who, key, request)
	begins := false
	switch {
	case card == "":
		no = refuse(shop.Validation)
	case who != o.buyer:
		no = refuse(shop.NotFound)
	case no != nil:
	case is || pending:
		if o.status == shop.AwaitingPayment && o.shown() == shop.PaymentRejected {
			no = refuse(shop.PaymentFailed)
		}
		is = true
	case o.status != shop.AwaitingPayment:
		no = conflicts(string(o.status))
	default:
		begins = true
		no = map[string]*shop.Refusal{"decline": refuse(shop.PaymentFailed), "gold": refuse(shop.Validation)}[card]
	}
	refused := m.answered(rt, "pay", err, no)
	if begins {
		m.bind("pay", who, key, request, nil)
		m.begun(rt, o, card)
	}
	if refused {
		return
	}
	if replayed != is {
		rt.Fatalf("replayed: %v, want %v", replayed, is)
	}
	m.sameOrder(rt, o, got)
}

// begun is what becomes of a payment with a card.
func (m *model) begun(rt *rapid.T, o *mOrder, card string) {
	p := &mPay{order: o, amount: o.total.Amount, currency: o.total.Currency}
	if err := m.db.QueryRow(background, `SELECT payment_id FROM payment WHERE order_id = $1 ORDER BY payment_id DESC LIMIT 1`, o.id).Scan(&p.id); err != nil {
		rt.Fatal(err)
	}
	o.pays = append(o.pays, p)
	m.is("card %s", card)
	switch card {
	case "succeed", "twice":
		p.status = payment.Succeeded
		m.captured[p.currency] += p.amount
		m.is("payment new -> succeeded")
		m.paid(o)
	case "decline", "gold":
		p.status = payment.Failed
		m.is("payment new -> failed")
	default:
		p.status, p.late = payment.Pending, card != "hang"
		m.is("payment new -> pending")
		// Nobody asks about it by the clock, which is not the tests' to move.
		m.exec(`UPDATE payment SET ask_at = ask_at + interval '1 hour' WHERE payment_id = $1`, p.id)
	}
}

func (m *model) paid(o *mOrder) {
	o.status = shop.IsPaid
	m.is("order awaiting_payment -> paid")
	for _, c := range o.lines {
		m.placed(c.units, shop.InOrder, shop.AtBuyer)
	}
}

func (m *model) pendingPays() (pays []*mPay) {
	for _, o := range m.orders {
		if p := o.live(); p != nil && p.status == payment.Pending {
			pays = append(pays, p)
		}
	}
	return pays
}

// news has the provider decide about a payment that is pending, and tell of it.
func (m *model) news(rt *rapid.T) {
	if m.provider.away.Load() {
		return
	}
	if rapid.IntRange(0, 5).Draw(rt, "of what is not known") == 0 {
		m.newsOfNothing(rt)
		return
	}
	if pays := m.pendingPays(); len(pays) > 0 {
		m.newsOf(rt, drawOf(rt, "payment", pays...), rapid.IntRange(0, 2).Draw(rt, "taken") > 0)
	}
}

func (m *model) newsOfNothing(rt *rapid.T) {
	m.answered(rt, "news", m.PaymentChanged(background, pgdb.NewID()), refuse(shop.NotFound))
	_, err := m.PaymentNews(background, nil, "")
	m.answered(rt, "signed news", err, refuse(shop.NotFound))
}

func (m *model) newsOf(rt *rapid.T, p *mPay, taken bool) {
	if taken = taken && p.late; taken {
		m.due(p)
	} else if state, err := m.provider.Void(background, p.id); err != nil || state != payment.Failed {
		rt.Fatalf("void: %s, %v", state, err)
	}
	m.answered(rt, "news", m.PaymentChanged(background, p.id), nil)
	m.decided(rt, p, taken)
	m.answered(rt, "news", m.PaymentChanged(background, p.id), nil) // it changes nothing any more
	o, err := m.Order(background, nil, p.order.id)
	m.answered(rt, "order", err, nil)
	m.sameOrder(rt, p.order, o)
}

// due lets the time come at which a late charge is taken.
func (m *model) due(p *mPay) {
	m.exec(`UPDATE test_charge SET captures_at = clock_timestamp() - interval '1 second' WHERE charge_id = $1 AND status = 'pending'`, p.id)
}

// decided is what follows from a payment that was pending.
func (m *model) decided(rt *rapid.T, p *mPay, taken bool) {
	o := p.order
	if !taken {
		p.status = payment.Failed
		m.is("payment pending -> failed")
		m.pass()
		return
	}
	p.status = payment.Succeeded
	m.captured[p.currency] += p.amount
	m.is("payment pending -> succeeded")
	if o.status == shop.AwaitingPayment {
		m.paid(o)
		return
	}
	lost := slices.Clone(o.lines)
	slices.SortStableFunc(lost, func(a, b *mClaim) int { return strings.Compare(a.p.sku, b.p.sku) })
	from, found := m.equal(lost, o.buyer)
	if !found {
		p.refunded, o.refunded = p.amount, p.amount
		m.refunded[p.currency] += p.amount
		m.is("late payment -> refunded")
		return
	}
	got, err := m.Order(background, nil, o.id)
	if err != nil || got.ReplacedByOrderID == nil {
		rt.Fatalf("%+v, %v is not replaced", got, err)
	}
	if got, err = m.Order(background, nil, *got.ReplacedByOrderID); err != nil {
		rt.Fatal(err)
	}
	by := &mOrder{id: got.ID, buyer: o.buyer, status: shop.IsPaid, total: o.total, reference: o.reference, replaces: o, pays: []*mPay{p}}
	o.pays = slices.DeleteFunc(o.pays, func(of *mPay) bool { return of == p })
	o.replacedBy, p.order = by, by
	m.orders = append(m.orders, by)
	m.is("order cancelled -> replaced")
	m.replacements(rt, by, lost, from, got)
	m.sameOrder(rt, by, got)
}

// tend does what is to be done about payments, while the provider answers or does not.
func (m *model) tend(rt *rapid.T) {
	m.tendPaymentsNow(rt, rapid.IntRange(0, 2).Draw(rt, "away") == 0, rapid.IntRange(0, 2).Draw(rt, "due") == 0, rapid.Bool().Draw(rt, "asked"))
}

func (m *model) tendPaymentsNow(rt *rapid.T, away, due, asked bool) {
	// How long the shop waits for the provider after pay_by.
	const patience = 3500 * time.Millisecond
	pays := m.pendingPays()
	overdue := func(p *mPay) bool { return p.order.status == shop.AwaitingPayment && !m.now.Before(*p.order.payBy) }
	for _, p := range pays {
		if late := m.now.Sub(*p.order.payBy); overdue(p) && away && late > patience-time.Second && late < patience {
			return // it is as long as this takes
		}
	}
	m.provider.away.Store(away)
	for _, p := range pays {
		if asked {
			m.exec(`UPDATE payment SET ask_at = clock_timestamp() WHERE payment_id = $1`, p.id)
		}
		if due && p.late && !away {
			m.due(p)
		}
	}
	err := m.TendPayments(background)
	m.provider.away.Store(false)
	if err != nil && !away {
		rt.Fatal(err)
	}
	for _, p := range pays {
		if asked {
			m.exec(`UPDATE payment SET ask_at = clock_timestamp() + interval '1 hour' WHERE payment_id = $1 AND status = 'pending'`, p.id)
		}
		late := overdue(p)
		switch {
		case away && late && m.now.Sub(*p.order.payBy) >= patience:
			m.is("order cancelled without an answer")
			m.cancelled(p.order, "payment-overdue")
		case away:
		case due && p.late && (late || asked):
			m.decided(rt, p, true)
		case due && p.late:
			// Nobody has asked. It is taken at the next question.
			m.newsOf(rt, p, true)
		case late, asked && p.order.status != shop.AwaitingPayment:
			m.decided(rt, p, false)
		}
	}
	m.is("tended, away %v", away)
}

func (m *model) cancel(rt *rapid.T) {
	if o := m.drawOrder(rt); o != nil {
		m.cancelOrder(rt, o, m.drawAsker(rt, o.buyer), drawKey(rt), rapid.IntRange(0, 5).Draw(rt, "away") == 0, rapid.IntRange(0, 2).Draw(rt, "due") == 0)
	}
}

func (m *model) cancelOrder(rt *rapid.T, o *mOrder, who, key string, away, due bool) {
	p := o.live()
	pending := o.status == shop.AwaitingPayment && p != nil && p.status == payment.Pending
	m.provider.away.Store(away)
	if due = due && pending && p.late && !away; due {
		m.due(p)
	}
	got, replayed, err := m.CancelOrder(background, who, o.id, key)
	m.provider.away.Store(false)
	_, is, no := m.bound("cancel", who, key, o.id.String())
	if who != o.buyer {
		no = refuse(shop.NotFound)
	}
	switch {
	case no != nil && due:
		m.newsOf(rt, p, true) // the call has not asked about it
	case no != nil:
	case pending && away:
		no = refuse(shop.Busy)
	case pending && !due:
		p.status = payment.Failed // and the buyer cancels it, also when it is overdue
		m.is("payment pending -> failed")
	case pending:
		m.decided(rt, p, true)
	}
	does := no == nil && !is && o.status == shop.AwaitingPayment
	if no == nil && !is && !does && o.status != shop.IsCancelled {
		no = conflicts(string(o.status))
	}
	if m.answered(rt, "cancel order", err, no) {
		return
	}
	if replayed != is {
		rt.Fatalf("replayed: %v, want %v", replayed, is)
	}
	m.bind("cancel", who, key, o.id.String(), nil)
	if does {
		m.cancelled(o, "cancelled-by-buyer")
	}
	m.sameOrder(rt, o, got)
}

func (m *model) refund(rt *rapid.T) {
	o := m.drawOrder(rt)
	if o == nil {
		return
	}
	var ids []shop.ID
	if rapid.Bool().Draw(rt, "some") {
		for _, c := range o.lines {
			ids = append(ids, drawOf(rt, "unit", c.units...))
		}
		if rapid.IntRange(0, 9).Draw(rt, "another's") == 0 {
			ids = append(ids, m.op)
		}
	}
	m.refundOf(rt, o, ids, drawOf(rt, "restock", append(shop.Restocks(), "")...), drawKey(rt))
}

func (m *model) refundOf(rt *rapid.T, o *mOrder, ids []shop.ID, restock shop.Restock, key string) {
	got, replayed, err := m.Refund(background, shop.RefundRequest{OrderID: o.id, UnitIDs: ids, Restock: restock, Operator: m.operator(key)})
	slices.SortFunc(ids, compareIDs)
	request := fmt.Sprint(o.id, ids, restock)
	_, is, no := m.bound("refund", "", key, request)
	had, has := map[shop.ID]bool{}, map[shop.ID]bool{}
	for _, c := range o.lines {
		for _, id := range c.units {
			had[id], has[id] = true, !slices.Contains(c.returned, id)
		}
	}
	switch {
	case restock == "":
		no = refuse(shop.Validation)
	case no != nil || is:
	case o.status != shop.IsPaid:
		no = conflicts(string(o.status))
	case slices.ContainsFunc(ids, func(id shop.ID) bool { return !had[id] }):
		no = refuse(shop.Validation)
	case slices.ContainsFunc(ids, func(id shop.ID) bool { return !has[id] }):
		no = conflicts("returned")
	}
	if m.answered(rt, "refund", err, no) {
		return
	}
	if replayed != is {
		rt.Fatalf("replayed: %v, want %v", replayed, is)
	}
	if !is {
		m.bind("refund", "", key, request, nil)
		m.returned(o, ids, restock)
	}
	m.sameOrder(rt, o, got)
}

// returned takes units back from a paid order; no ids: all that it has.
func (m *model) returned(o *mOrder, ids []shop.ID, restock shop.Restock) {
	amount, left := int64(0), 0
	for _, c := range o.lines {
		for _, id := range c.units {
			if slices.Contains(c.returned, id) {
				continue
			}
			if len(ids) > 0 && !slices.Contains(ids, id) {
				left++
				continue
			}
			c.returned = append(c.returned, id)
			if c.price != nil {
				amount += c.price.Amount
			}
			switch restock {
			case shop.RestockAvailable:
				m.back(c, shop.AtBuyer, id)
			case shop.RestockQuarantine:
				c.p.quarantine = append(c.p.quarantine, id)
				m.placed([]shop.ID{id}, shop.AtBuyer, shop.InQuarantine)
			case shop.RestockWriteOff:
				c.p.withdrawn++
				m.placed([]shop.ID{id}, shop.AtBuyer, shop.OutOfTheStock)
			}
		}
	}
	m.is("refund to %s", restock)
	if left == 0 {
		o.status = shop.IsRefunded
		m.is("order paid -> refunded")
	} else {
		m.is("order paid -> paid, refunded in part")
	}
	if o.total != nil {
		o.refunded += amount
	}
	if p := o.live(); p != nil {
		p.refunded += amount
		m.refunded[p.currency] += amount
		if p.refunded == p.amount {
			m.is("payment succeeded -> refunded")
		}
	}
}
