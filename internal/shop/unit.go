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
	Event     string // received, held, released, expired, withdrawn
	Reference string // of the receipt, or the reason of the withdrawal
	ID        ID     // of the receipt, transaction or withdrawal
	Buyer     string
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
	// One snapshot, so that the place and the claims agree.
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if row, err = s.q.UnitLife(ctx, tx, id); err != nil {
			return err
		}
		claims, err = s.q.UnitLifeClaims(ctx, tx, dbsqlc.UnitLifeClaimsParams{UnitID: id, Now: s.o.Now()})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Unit{}, notFound("unit")
	}
	if err != nil {
		return Unit{}, explain("read unit", err)
	}
	u := Unit{ID: row.UnitID, SKU: row.SKU, Serial: row.Serial, Place: InStock}
	u.Life = []UnitEvent{{At: row.ReceivedAt, Event: "received", Reference: row.ReceiptReference, ID: row.ReceiptID}}
	for _, c := range claims {
		u.addClaim(c)
	}
	if row.WithdrawalID != nil {
		u.Place = OutOfTheStock
		u.Life = append(u.Life, UnitEvent{At: *row.WithdrawnAt, Event: "withdrawn", Reference: *row.WithdrawalReason, ID: *row.WithdrawalID})
	}
	slices.SortStableFunc(u.Life, func(a, b UnitEvent) int { return a.At.Compare(b.At) })
	return u, nil
}

func (u *Unit) addClaim(c dbsqlc.UnitLifeClaimsRow) {
	u.Life = append(u.Life, UnitEvent{At: c.CreatedAt, Event: "held", ID: c.ClaimID, Buyer: c.Buyer})
	switch {
	case c.ReleasedAt != nil:
		u.Life = append(u.Life, UnitEvent{At: *c.ReleasedAt, Event: c.Status, ID: c.ClaimID, Buyer: c.Buyer})
	case c.Lapsed:
		// Nobody has swept it yet; for everybody it is available since then.
		u.Life = append(u.Life, UnitEvent{At: *c.ExpiresAt, Event: string(Expired), ID: c.ClaimID, Buyer: c.Buyer})
	case Status(c.Status) == Ordered:
		u.Place = InOrder
	default:
		u.Place = InHold
	}
}
