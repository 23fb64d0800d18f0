package shop

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// Place is where a unit is.
type Place string

// The places of a unit.
const (
	InStock       Place = "available"
	InHold        Place = "held"
	InOrder       Place = "ordered"
	AtBuyer       Place = "sold"
	InQuarantine  Place = "quarantine"
	OutOfTheStock Place = "withdrawn"
)

// UnitEvent is something that happened to a unit.
type UnitEvent struct {
	At        time.Time
	Event     string // see UnitEvents
	Reference string // of the receipt or the order, the reason of the withdrawal, or what a repair has done
	ID        ID     // of the receipt, transaction or withdrawal; of the order when it left quarantine, unless a repair had put it there
	OrderID   *ID    // that it was in
	Buyer     string
}

// What happens to a unit.
const (
	unitReceived      = "received"
	unitHeld          = "held"
	unitOrdered       = "ordered"
	unitPaid          = "paid"
	unitUnquarantined = "unquarantined"
	unitWithdrawn     = "withdrawn"
	unitRepaired      = "repaired" // it was not in one place, or with whom it could not be: the reference says what was done
)

// UnitEvents lists what can happen to a unit. From held it is released, expires or is ordered; from an order it is cancelled or paid; then it may be
// returned (to sale), quarantined or written off.
func UnitEvents() []string {
	return []string{
		unitReceived, unitHeld, string(Released), string(Expired), unitOrdered, unitPaid, "cancelled", "returned", "quarantined", "written_off",
		unitUnquarantined, unitWithdrawn, unitRepaired,
	}
}

// Unit is one physical item and its life.
type Unit struct {
	ID     ID
	SKU    string
	Serial *string
	Place  Place
	Life   []UnitEvent // in the order in which it happened; of more than 1000 claims, the latest
}

// Unit reads the life of a unit. Refusals: NotFound.
func (s *Shop) Unit(ctx context.Context, id ID) (Unit, error) {
	var row dbsqlc.UnitLifeRow
	var claims []dbsqlc.UnitLifeClaimsRow
	var quarantines []dbsqlc.UnitLifeQuarantineRow
	var repairs []dbsqlc.UnitLifeRepairsRow
	// One snapshot, so that the place and the claims agree.
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if row, err = s.q.UnitLife(ctx, tx, id); err != nil {
			return err
		}
		if claims, err = s.q.UnitLifeClaims(ctx, tx, dbsqlc.UnitLifeClaimsParams{UnitID: id, Now: s.o.Now()}); err != nil {
			return err
		}
		if quarantines, err = s.q.UnitLifeQuarantine(ctx, tx, id); err != nil {
			return err
		}
		repairs, err = s.q.UnitLifeRepairs(ctx, tx, &id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Unit{}, notFound("unit")
	}
	if err != nil {
		return Unit{}, explain("read unit", err)
	}
	u := Unit{ID: row.UnitID, SKU: row.SKU, Serial: row.Serial, Place: InStock}
	u.Life = []UnitEvent{{At: row.ReceivedAt, Event: unitReceived, Reference: row.ReceiptReference, ID: row.ReceiptID}}
	for _, c := range claims {
		u.addClaim(c)
	}
	for _, q := range quarantines {
		u.Life = append(u.Life, UnitEvent{At: *q.LeftAt, Event: unitUnquarantined, ID: orZero(q.OrderID), OrderID: q.OrderID})
	}
	for _, r := range repairs {
		u.Life = append(u.Life, UnitEvent{At: r.CreatedAt, Event: unitRepaired, Reference: r.Done, ID: r.RepairID})
	}
	if row.InQuarantine {
		u.Place = InQuarantine
	}
	if row.WithdrawalID != nil {
		u.Place = OutOfTheStock
		u.Life = append(u.Life, UnitEvent{At: *row.WithdrawnAt, Event: unitWithdrawn, Reference: *row.WithdrawalReason, ID: *row.WithdrawalID})
	}
	slices.SortStableFunc(u.Life, func(a, b UnitEvent) int { return a.At.Compare(b.At) })
	return u, nil
}

func (u *Unit) addClaim(c dbsqlc.UnitLifeClaimsRow) {
	add := func(at time.Time, event string, orderID *ID) {
		e := UnitEvent{At: at, Event: event, ID: c.ClaimID, OrderID: orderID, Buyer: c.Buyer}
		if orderID != nil {
			e.Reference = text(c.OrderReference)
		}
		u.Life = append(u.Life, e)
	}
	if c.ReplacesClaimID == nil {
		add(c.CreatedAt, unitHeld, nil)
	}
	if c.OrderID != nil {
		add(*c.OrderedAt, unitOrdered, c.OrderID)
	}
	if c.PaidAt != nil {
		paid := *c.PaidAt
		if paid.Before(*c.OrderedAt) {
			paid = *c.OrderedAt // it was confirmed: both in one transaction
		}
		add(paid, unitPaid, c.OrderID)
	}
	switch {
	case c.ReleasedAt != nil && c.Outcome != nil:
		add(*c.ReleasedAt, *c.Outcome, c.OrderID)
	case c.ReleasedAt != nil:
		add(*c.ReleasedAt, c.Status, nil)
	case c.Lapsed:
		// Nobody has swept it yet; for everybody it is available since then.
		add(*c.ExpiresAt, string(Expired), nil)
	case c.PaidAt != nil:
		u.Place = AtBuyer
	case c.OrderID != nil:
		u.Place = InOrder
	default:
		u.Place = InHold
	}
}
