package main

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// orderRow is what the database has of an order.
type orderRow struct {
	ID, Buyer, Status, Reason string
	Total, Refunded           int64
	Replaces                  string
	Charged                   int // payments of it that succeeded
}

// unitRow is a unit that an order has or had, and how it left it.
type unitRow struct{ OrderID, UnitID, Outcome string }

func readOrders(ctx context.Context, db querier) (orders []orderRow, units []unitRow, err error) {
	rows, err := db.Query(ctx, `
		SELECT
			order_id::text, buyer, status, coalesce(reason, ''), total_minor, refunded_minor, coalesce(replaces_order_id::text, ''),
			(SELECT count(*) FROM payment WHERE payment.order_id = shop_order.order_id AND payment.status = 'succeeded')
		FROM shop_order`)
	if err != nil {
		return nil, nil, err
	}
	if orders, err = pgx.CollectRows(rows, pgx.RowToStructByPos[orderRow]); err != nil {
		return nil, nil, err
	}
	rows, err = db.Query(ctx, `
		SELECT claim.order_id::text, claim_unit.unit_id::text, coalesce(claim_unit.outcome, '')
		FROM claim
		JOIN claim_unit ON claim_unit.claim_id = claim.claim_id
		WHERE claim.order_id IS NOT NULL`)
	if err != nil {
		return nil, nil, err
	}
	units, err = pgx.CollectRows(rows, pgx.RowToStructByPos[unitRow])
	return orders, units, err
}

// checkTold holds what each buyer saw of its own order against the states that an order may go through.
func checkTold(stories []*story) (f findings) {
	for _, s := range stories {
		if s.failure != "" {
			f.Add("story %d (order %s): %s", s.n, s.id, s.failure)
		}
		for i := 1; i < len(s.seen); i++ {
			was, is := s.seen[i-1], s.seen[i]
			moves := was.status == is.status ||
				was.status == "awaiting_payment" && (is.status == "paid" || is.status == "cancelled") ||
				was.status == "paid" && is.status == "refunded"
			switch {
			case !moves:
				f.Add("story %d (order %s) went from %s to %s", s.n, s.id, was.status, is.status)
			case is.refunded < was.refunded:
				f.Add("story %d (order %s): %d was refunded, then %d", s.n, s.id, was.refunded, is.refunded)
			case was.reason != "" && was.reason != is.reason, was.replacedBy != "" && was.replacedBy != is.replacedBy:
				f.Add("story %d (order %s): what was told of its end has changed from %v to %v", s.n, s.id, was, is)
			}
		}
	}
	return f
}

// checkOrders compares what was told with what the database has, in both directions.
func checkOrders(stories []*story, orders []orderRow, units []unitRow) (f findings) {
	byID, replacing := make(map[string]orderRow, len(orders)), map[string]orderRow{}
	for _, o := range orders {
		byID[o.ID] = o
		if o.Replaces != "" {
			replacing[o.Replaces] = o
		}
	}
	unitsOf := map[string][]unitRow{}
	for _, u := range units {
		unitsOf[u.OrderID] = append(unitsOf[u.OrderID], u)
	}
	for _, s := range stories {
		if s.id == "" {
			continue
		}
		o, found := byID[s.id]
		if !found {
			f.Add("story %d: its order %s is not in the database", s.n, s.id)
			continue
		}
		other, replaced := replacing[s.id]
		delete(byID, s.id)
		delete(byID, other.ID)
		last := s.last()
		if o.Buyer != s.buyer || o.Total != s.total || o.Status != last.status || o.Reason != last.reason || o.Refunded != last.refunded || other.ID != last.replacedBy {
			f.Add("story %d of %s, which costs %d, was told %+v last, the database has %+v, replaced by %q", s.n, s.buyer, s.total, last, o, other.ID)
		}
		if charged := o.Charged + other.Charged; charged > 1 {
			f.Add("story %d (order %s) was paid %d times", s.n, s.id, charged)
		}
		if o.Charged+other.Charged > 0 && len(s.paid) == 0 {
			f.Add("story %d (order %s) was paid, and nobody paid", s.n, s.id)
		}
		if replaced && o.Status != "cancelled" {
			f.Add("story %d: its order %s is %s and was replaced", s.n, s.id, o.Status)
		}
		f = append(f, s.checkReturned(unitsOf[s.id])...)
	}
	for id, o := range byID {
		f.Add("the database has the order %s of %s, %s, of which nobody was told", id, o.Buyer, o.Status)
	}
	return f
}

// checkReturned compares what was given back with what came back.
func (s *story) checkReturned(units []unitRow) (f findings) {
	outcomes := map[string]string{}
	for _, r := range s.refunds {
		for _, unit := range r.units {
			outcomes[unit] = r.outcome
		}
	}
	for _, u := range units {
		asked := outcomes[u.UnitID]
		delete(outcomes, u.UnitID)
		if u.Outcome != asked && (asked != "" || u.Outcome != "cancelled") {
			f.Add("story %d (order %s): unit %s was to be %q, and is %q", s.n, s.id, u.UnitID, asked, u.Outcome)
		}
	}
	for unit, asked := range outcomes {
		f.Add("story %d (order %s): unit %s was %s, and is none of its own", s.n, s.id, unit, asked)
	}
	return f
}

// cardsSent counts the cards that were sent.
func cardsSent(stories []*story) map[string]int {
	n := map[string]int{}
	for _, s := range stories {
		for _, card := range s.paid {
			kind, _, _ := strings.Cut(card, ":")
			n[kind]++
		}
	}
	return n
}
