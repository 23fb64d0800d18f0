package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// ConfirmRequest says that the shop beside us was paid for holds.
type ConfirmRequest struct {
	TransactionIDs []ID   // of one buyer
	Reference      string // the shop's own name of the order, which confirms once
	Metadata       json.RawMessage
	Operator
}

// Confirm makes one paid order of holds, all or none, which the shop beside us has been paid for. A hold that has lapsed gets equal units, if there are any. A
// reference that has confirmed before returns the order that it made, as it now is, and true.
//
// Refusals: Validation (transactions of two buyers), NotFound, KeyReused, Conflict for a transaction that is neither held nor expired and for a reference of an
// order of other transactions, HoldExpired, which names the holds for which there is nothing: then nothing is sold.
func (s *Shop) Confirm(ctx context.Context, r ConfirmRequest) (Order, bool, error) {
	request := map[string]any{"transaction_ids": r.TransactionIDs, "reference": r.Reference, "metadata": r.Metadata}
	id := pgdb.NewID()
	was := false
	_, replayed, err := s.once(ctx, r.call(), "orders.confirm", request, id, func(tx pgx.Tx) (err error) {
		was, err = s.confirm(ctx, tx, r, id)
		return err
	})
	if errors.Is(err, errConfirmed) {
		was, err = true, s.q.ClaimReplayRecord(ctx, s.pool)
	}
	if err != nil {
		return Order{}, false, explain("confirm", err)
	}
	if was || replayed { // a key that came after the reference had confirmed is bound to an order that was never made: the reference tells which it is
		o, err := s.confirmed(ctx, r)
		return o, true, afterwards(err)
	}
	o, err := s.Order(ctx, nil, id)
	return o, false, afterwards(err)
}

// errConfirmed rolls back because the reference has confirmed in the meantime.
var errConfirmed = errors.New("the reference has confirmed before")

// confirmed reads the order of a reference, which must be of the same transactions.
func (s *Shop) confirmed(ctx context.Context, r ConfirmRequest) (Order, error) {
	id, err := s.q.ShopOrderByReference(ctx, s.pool, &r.Reference)
	if err != nil {
		return Order{}, explain("read order", err)
	}
	o, err := s.Order(ctx, nil, id)
	if err != nil {
		return Order{}, err
	}
	var of []ID
	for _, line := range o.Lines {
		if line.ReplacesTransactionID != nil {
			of = append(of, *line.ReplacesTransactionID)
			continue
		}
		of = append(of, line.TransactionID)
	}
	if asked := sortedIDs(r.TransactionIDs); !slices.Equal(asked, sortedIDs(of)) {
		return Order{}, conflict(string(o.Status), fmt.Sprintf("The reference %q has confirmed the order %s, of other transactions. A reference confirms once: take another.", r.Reference, o.ID))
	}
	return o, nil
}

func sortedIDs(ids []ID) []ID {
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(sorted)
}

func (s *Shop) hasConfirmed(ctx context.Context, tx pgx.Tx, reference string) (bool, error) {
	_, err := s.q.ShopOrderByReference(ctx, tx, &reference)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// confirm tells whether the reference has confirmed before, and has done nothing then.
func (s *Shop) confirm(ctx context.Context, tx pgx.Tx, r ConfirmRequest, id ID) (was bool, err error) {
	rows, _, err := s.lockForOrder(ctx, tx, sortedIDs(r.TransactionIDs))
	if err != nil {
		return false, err
	}
	// Behind the locks: who else confirms the same has them, or is done.
	if was, err := s.hasConfirmed(ctx, tx, r.Reference); err != nil || was {
		if err == nil {
			err = s.q.ClaimReplayRecord(ctx, tx)
		}
		return was, err
	}
	lapsed, err := confirmable(r, rows)
	if err != nil {
		return false, err
	}
	total, currency, err := sumOfPriced(rows)
	if err != nil {
		return false, err
	}
	buyer := rows[0].Claim.Buyer
	n, err := s.q.ShopOrderInsert(ctx, tx, dbsqlc.ShopOrderInsertParams{
		OrderID: id, Buyer: buyer, Status: string(IsPaid), Provider: External, TotalMinor: total, Currency: currency,
		Reference: &r.Reference, Metadata: r.Metadata, Now: s.o.Now(),
	})
	if err != nil {
		return false, fmt.Errorf("insert order: %w", err)
	}
	if n == 0 {
		return false, errConfirmed
	}
	if err := s.replaceLapsed(ctx, tx, id, buyer, lapsed); err != nil {
		return false, err
	}
	live := slices.DeleteFunc(rows, func(row dbsqlc.ClaimForOrderRow) bool { return isLapsed(row) })
	if len(live) > 0 {
		n, err := s.orderHolds(ctx, tx, id, idsOf(live), nil)
		if err == nil {
			err = s.allOrdered(ctx, tx, n, idsOf(live))
		}
		if err != nil {
			return false, fmt.Errorf("order holds: %w", err)
		}
	}
	return false, s.tell(ctx, tx, orderNews(OrderCreated, id, buyer, IsPaid, r.Reference, nil), orderNews(OrderPaid, id, buyer, IsPaid, r.Reference, nil))
}

func isLapsed(row dbsqlc.ClaimForOrderRow) bool {
	return row.Lapsed || Status(row.Claim.Status) == Expired
}

// confirmable refuses transactions that can't be confirmed together, and returns those that have lapsed.
func confirmable(r ConfirmRequest, rows []dbsqlc.ClaimForOrderRow) ([]dbsqlc.ClaimForOrderRow, error) {
	found := map[ID]bool{}
	var lapsed []dbsqlc.ClaimForOrderRow
	for _, row := range rows {
		found[row.Claim.ClaimID] = true
	}
	for _, id := range r.TransactionIDs {
		if !found[id] {
			return nil, notFound("transaction " + id.String())
		}
	}
	for _, row := range rows {
		switch status := Status(row.Claim.Status); {
		case row.Claim.Buyer != rows[0].Claim.Buyer:
			return nil, invalid("body.transaction_ids", "must all be of one buyer: an order has one")
		case row.Replaced:
			return nil, conflict(string(Ordered), fmt.Sprintf("The transaction %s had lapsed and was confirmed with equal units by another reference. It confirms once.", row.Claim.ClaimID))
		case isLapsed(row):
			lapsed = append(lapsed, row)
		case status != Held:
			return nil, conflict(string(status), fmt.Sprintf("The transaction %s is %s, and only what is held can be confirmed. Claim anew for what you were paid for.", row.Claim.ClaimID, status))
		}
	}
	return lapsed, nil
}

// sumOfPriced is what lines cost together; nil when one has no price here.
func sumOfPriced(rows []dbsqlc.ClaimForOrderRow) (total *int64, currency *string, err error) {
	sum := int64(0)
	for _, row := range rows {
		price := money(row.Claim.PriceMinor, row.Claim.Currency)
		switch {
		case price == nil:
			return nil, nil, nil
		case currency != nil && *currency != price.Currency:
			return nil, nil, invalid("body.transaction_ids", "holds prices in two currencies: an order is in one; confirm them one after the other")
		}
		sum += price.Amount * int64(row.Claim.Quantity)
		currency = &price.Currency
	}
	return &sum, currency, nil
}

// replaceLapsed gives equal units to holds that have lapsed, as lines of an order.
func (s *Shop) replaceLapsed(ctx context.Context, tx pgx.Tx, orderID ID, buyer string, lapsed []dbsqlc.ClaimForOrderRow) error {
	if len(lapsed) == 0 {
		return nil
	}
	var saleIDs []ID
	for _, row := range lapsed {
		if row.Claim.SaleID != nil {
			saleIDs = append(saleIDs, *row.Claim.SaleID)
		}
	}
	if len(saleIDs) > 0 {
		// Before ClaimEnd, which counts their units out.
		if _, err := s.q.SaleBuyerLock(ctx, tx, dbsqlc.SaleBuyerLockParams{Buyer: buyer, SaleIds: saleIDs}); err != nil {
			return fmt.Errorf("lock buyer: %w", err)
		}
	}
	if _, err := s.q.ClaimEnd(ctx, tx, dbsqlc.ClaimEndParams{Now: s.o.Now(), ClaimIds: idsOf(lapsed)}); err != nil {
		return fmt.Errorf("expire holds: %w", err)
	}
	e := equalUnits{s: s, tx: tx, buyer: buyer}
	for _, row := range lapsed {
		e.ask(row.Claim, row.ReturnPoolID, int(row.Claim.Quantity))
	}
	found, err := e.find(ctx)
	if err != nil {
		return err
	}
	if !found {
		r := holdExpired(idsOf(lapsed))
		r.Detail = fmt.Sprintf("%d of these holds had lapsed, and there are no equal units for them. Nothing was sold: give the money back, or confirm the others alone.", len(lapsed))
		return r
	}
	return e.take(ctx, orderID)
}

// Extend lets a buyer's hold last longer, by so much, and returns it. A call with a key that was used before changes nothing. Refusals: Validation when it would last longer than
// Options.HoldMax in all, NotFound, KeyReused, HoldExpired, Conflict for what is not held.
func (s *Shop) Extend(ctx context.Context, buyer string, id ID, by time.Duration, o Operator) (Transaction, bool, error) {
	if by < time.Second {
		return Transaction{}, false, invalid("body.seconds", "must be at least 1")
	}
	_, replayed, err := s.once(ctx, o.call(), "transaction.extend", map[string]any{"id": id, "seconds": by.Seconds(), "buyer": buyer}, ID{}, func(tx pgx.Tx) error {
		rows, _, err := s.lockForOrder(ctx, tx, []ID{id})
		if err != nil {
			return err
		}
		if len(rows) == 0 || rows[0].Claim.Buyer != buyer {
			return notFound("transaction")
		}
		c := rows[0].Claim
		switch status := Status(c.Status); {
		case isLapsed(rows[0]):
			return lapsedBeforeExtended(id)
		case status != Held:
			return conflict(string(status), fmt.Sprintf("The transaction is %s, and only a hold can be extended.", status))
		}
		until := c.ExpiresAt.Add(by)
		if most := c.CreatedAt.Add(s.o.HoldMax); until.After(most) {
			left := max(int(most.Sub(*c.ExpiresAt)/time.Second), 0)
			return invalid("body.seconds", fmt.Sprintf("must be at most %d: a hold lasts %s in all", left, s.o.HoldMax))
		}
		n, err := s.q.ClaimExtend(ctx, tx, dbsqlc.ClaimExtendParams{Now: s.o.Now(), ClaimID: id, ExpiresAt: &until})
		if err == nil && n == 0 {
			return lapsedBeforeExtended(id)
		}
		return err
	})
	if err != nil {
		return Transaction{}, false, explain("extend hold", err)
	}
	t, err := s.Transaction(ctx, buyer, id)
	return t, replayed, afterwards(err)
}

func lapsedBeforeExtended(id ID) *Refusal {
	return &Refusal{Code: HoldExpired, TransactionIDs: []ID{id}, Detail: "The hold had lapsed before it was extended, and its units are free again. Claim anew."}
}
