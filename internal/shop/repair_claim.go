package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

var (
	theClaim  = &thing{lock: (*repairer).lockClaim, look: (*repairer).lookAtClaim}
	theKey    = &thing{lock: (*repairer).lockKey, look: (*repairer).lookAtKey}
	theExpiry = &thing{lock: (*repairer).lockClaim, look: (*repairer).lookAtExpiry}
)

func clockText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (x *repairer) findTransactionUnits(ctx context.Context, p dbsqlc.AuditProductsRow, way *way) error {
	s := x.s
	holds, err := s.q.AuditTransactionHolds(ctx, s.pool, dbsqlc.AuditTransactionHoldsParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, row := range holds {
		x.note(target{thing: theClaim, sku: p.SKU, productID: p.ProductID, id: row.ClaimID})
	}
	if err != nil {
		return err
	}
	return s.eachUnitPiece(ctx, p.ProductID, way, func(of unitPiece) error {
		kept, err := s.q.AuditTransactionUnits(ctx, s.pool, dbsqlc.AuditTransactionUnitsParams{
			ProductID: p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: repairsAtMost,
		})
		if err != nil {
			return err
		}
		for _, row := range kept {
			x.note(target{thing: theUnit, sku: p.SKU, productID: p.ProductID, id: row.UnitID})
		}
		ended, err := s.q.AuditTransactionEnded(ctx, s.pool, dbsqlc.AuditTransactionEndedParams{
			ProductID: p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: repairsAtMost,
		})
		for _, row := range ended {
			x.note(target{thing: theClaim, sku: p.SKU, productID: p.ProductID, id: row.ClaimID})
		}
		return err
	})
}

// claimAt is a transaction and its units.
type claimAt struct {
	dbsqlc.RepairClaimRow
	units []dbsqlc.RepairClaimUnitsRow
	// Of its product: how many it has, and how many it has or had. foreign are what it has of another, or what is no unit; gone those that have left it.
	live, had     int
	foreign, gone []ID
}

// claimAt reads a transaction; nil when there is none.
func (x *repairer) claimAt(ctx context.Context, db pgdb.Queryer, id ID) (*claimAt, error) {
	row, err := x.s.q.RepairClaim(ctx, db, dbsqlc.RepairClaimParams{Now: x.s.o.Now(), ClaimID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the transaction %s: %w", id, err)
	}
	c := &claimAt{RepairClaimRow: row}
	if c.units, err = x.s.q.RepairClaimUnits(ctx, db, id); err != nil {
		return nil, fmt.Errorf("read the units of the transaction %s: %w", id, err)
	}
	for _, u := range c.units {
		switch {
		case u.ProductID != c.Claim.ProductID && u.ReleasedAt == nil:
			c.foreign = append(c.foreign, u.UnitID)
		case u.ProductID != c.Claim.ProductID:
			c.gone = append(c.gone, u.UnitID)
		case u.ReleasedAt == nil:
			c.live++
			c.had++
		default:
			c.had++
			c.gone = append(c.gone, u.UnitID)
		}
	}
	return c, nil
}

func (c *claimAt) step(broken string) RepairStep {
	return RepairStep{
		TransactionID: &c.Claim.ClaimID, OrderID: c.Claim.OrderID, SaleID: c.Claim.SaleID, Buyer: &c.Claim.Buyer, Broken: broken, Rows: found(c.RepairClaimRow),
	}
}

func (x *repairer) lockClaim(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	c, err := x.claimAt(ctx, tx, t.id)
	if err != nil || c == nil {
		return true, err
	}
	var orders []ID
	if c.Claim.OrderID != nil {
		orders = append(orders, *c.Claim.OrderID)
	}
	return true, x.lockClaims(ctx, tx, orders, []ID{t.id})
}

// lookAtClaim looks whether a transaction has as many units as it says.
func (x *repairer) lookAtClaim(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	c, err := x.claimAt(ctx, db, t.id)
	switch {
	case err != nil || c == nil:
		return nil, err
	case c.Claim.Status == "held":
		return x.lookAtHold(c), nil
	case c.Claim.Status == "ordered":
		return x.lookAtLineOf(c), nil
	case c.had == int(c.Claim.Quantity):
		return nil, nil
	}
	f := &fault{RepairStep: c.step(fmt.Sprintf("The transaction %s of %q is %s and of %d units (claim.quantity), but it had %d (claim_unit).",
		t.id, c.Claim.Buyer, c.Claim.Status, c.Claim.Quantity, c.had))}
	f.Buyers = "Nothing changes for them: it is over."
	if c.had == 0 || c.Claim.Status != "released" && c.Claim.Status != "expired" {
		f.Repair = fmt.Sprintf("A person has to: a transaction that is %s has no units. Read what became of its units (GET /api/v1/units/{id}), and delete its rows of claim_unit by hand.", c.Claim.Status)
		return f, nil
	}
	f.Repair = fmt.Sprintf("It becomes one of %d: the quantity is counted anew from the rows.", c.had)
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
		return fmt.Sprintf("Its quantity is %d now.", c.had),
			one(x.s.q.RepairClaimQuantity(ctx, tx, dbsqlc.RepairClaimQuantityParams{ClaimID: t.id, Quantity: int32(c.had)}))
	}
	return f, nil
}

// lookAtHold looks whether a hold has as many units as it says. It becomes one of what it has, and ends when that is nothing.
func (x *repairer) lookAtHold(c *claimAt) *fault {
	if c.live == int(c.Claim.Quantity) {
		return nil
	}
	id, buyer := c.Claim.ClaimID, c.Claim.Buyer
	f := &fault{RepairStep: c.step(fmt.Sprintf("The hold %s of %q is of %d units (claim.quantity), but has %d of its product (claim_unit).", id, buyer, c.Claim.Quantity, c.live))}
	var does []string
	if len(c.foreign) > 0 {
		f.Broken += fmt.Sprintf(" It has %s besides, which are none of its product.", idList(c.foreign))
		does = append(does, "What is none of its product leaves it, for quarantine unless it is in another place.")
	}
	if c.live > 0 {
		does = append(does, fmt.Sprintf("It becomes a hold of %d.", c.live))
		f.Buyers = fmt.Sprintf("%q has %d of the %d in the cart: tell them.", buyer, c.live, c.Claim.Quantity)
	} else {
		does = append(does, "It ends, because it has nothing.")
		f.Buyers = fmt.Sprintf("%q loses what the cart shows and the store does not have: tell them; they can claim again.", buyer)
	}
	f.Repair = sentences(does)
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) { return x.mendHold(ctx, tx, c) }
	return f
}

func (x *repairer) mendHold(ctx context.Context, tx pgx.Tx, c *claimAt) (string, error) {
	id := c.Claim.ClaimID
	forget := c.foreign
	quantity := max(c.had, 1)
	if c.live > 0 {
		// What it had and has no more is not in a hold that goes on.
		forget, quantity = append(forget, c.gone...), c.live
	}
	if len(forget) > 0 {
		if _, err := x.s.q.RepairClaimUnitDelete(ctx, tx, dbsqlc.RepairClaimUnitDeleteParams{ClaimID: id, UnitIds: forget}); err != nil {
			return "", err
		}
	}
	sheltered := 0
	for _, unit := range forget {
		entered, err := x.shelter(ctx, tx, unit)
		if err != nil {
			return "", err
		}
		if entered {
			sheltered++
		}
	}
	if err := one(x.s.q.RepairClaimQuantity(ctx, tx, dbsqlc.RepairClaimQuantityParams{ClaimID: id, Quantity: int32(quantity)})); err != nil {
		return "", err
	}
	said := fmt.Sprintf("It is a hold of %d now.", c.live)
	if c.live == 0 {
		said = "It was ended."
		if err := one(x.s.q.RepairClaimHoldEnd(ctx, tx, dbsqlc.RepairClaimHoldEndParams{Now: x.s.o.Now(), ClaimID: id})); err != nil {
			return "", err
		}
	}
	if sheltered > 0 {
		said += fmt.Sprintf(" %d units went to quarantine.", sheltered)
	}
	return said, x.countBuyer(ctx, tx, c.Claim)
}

func idList(ids []ID) string {
	text := ""
	for i, id := range ids {
		if i > 0 {
			text += ", "
		}
		if i == 20 {
			return fmt.Sprintf("%s%d more", text, len(ids)-i)
		}
		text += id.String()
	}
	return text
}

func (x *repairer) findKeyOnce(ctx context.Context, p dbsqlc.AuditProductsRow, way *way) error {
	return x.s.eachUnitPiece(ctx, p.ProductID, way, func(of unitPiece) error {
		rows, err := x.s.q.AuditKeyOnce(ctx, x.s.pool, dbsqlc.AuditKeyOnceParams{
			ProductID: p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: repairsAtMost,
		})
		for _, row := range rows {
			t := target{thing: theKey, sku: p.SKU, productID: p.ProductID, id: row.FirstClaimID}
			if !x.noted(t.thing, t.id) { // the others may be of another product, where it is found as well
				x.note(t)
			}
		}
		return err
	})
}

// noted tells whether a thing was found already, whatever it was found under.
func (x *repairer) noted(of *thing, id ID) bool {
	for _, t := range x.targets {
		if t.thing == of && t.id == id {
			return true
		}
	}
	return false
}

func (x *repairer) lockKey(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	rows, err := x.s.q.RepairClaimOfKey(ctx, tx, t.id)
	var ids []ID
	for _, row := range rows {
		ids = append(ids, row.ClaimID)
	}
	if err == nil {
		_, err = x.s.q.ClaimLockMany(ctx, tx, append([]ID{}, sortedIDs(ids)...))
	}
	return true, err
}

// lookAtKey looks whether an idempotency key is bound to several transactions. The earliest keeps it.
func (x *repairer) lookAtKey(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	rows, err := x.s.q.RepairClaimOfKey(ctx, db, t.id)
	if err != nil || len(rows) < 2 {
		return nil, err
	}
	first := rows[0]
	var others []ID
	for _, row := range rows[1:] {
		others = append(others, row.ClaimID)
	}
	f := &fault{RepairStep: RepairStep{TransactionID: &first.ClaimID, Buyer: &first.Buyer, Rows: found(rows...)}}
	f.Broken = fmt.Sprintf("The idempotency key %q of %q is bound to %d transactions (claim): first to %s (%s), then to %s.",
		first.IdempotencyKey, first.Buyer, len(rows), first.ClaimID, first.Status, idList(others))
	f.Repair = fmt.Sprintf("The first keeps it; %s go on without a key. Nothing else of them changes. The unique index claim_key_once makes this impossible: "+
		"if it is missing, create it again (db/migrations/00005_claim.sql) after this.", idList(others))
	f.Buyers = fmt.Sprintf("%q may have been given twice what one call asked for: ask which of these they want, and release or refund the others.", first.Buyer)
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
		n, err := x.s.q.RepairClaimUnbind(ctx, tx, others)
		if err == nil && int(n) != len(others) {
			err = errRepairChanged
		}
		return fmt.Sprintf("The key is bound to %s alone.", first.ClaimID), err
	}
	return f, nil
}

func (x *repairer) findHoldExpiry(ctx context.Context, p dbsqlc.AuditProductsRow, way *way) error {
	return x.s.eachUnitPiece(ctx, p.ProductID, way, func(of unitPiece) error {
		rows, err := x.s.q.AuditHoldExpiry(ctx, x.s.pool, dbsqlc.AuditHoldExpiryParams{
			ProductID: p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: repairsAtMost,
		})
		for _, row := range rows {
			x.note(target{thing: theExpiry, sku: p.SKU, productID: p.ProductID, id: row.ClaimID})
		}
		return err
	})
}

// lookAtExpiry looks whether a transaction expired, or was ordered, in its time. What happened can't be undone; it is the times that are made to fit, and what they were
// stays in the table repair.
func (x *repairer) lookAtExpiry(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	c, err := x.claimAt(ctx, db, t.id)
	if err != nil || c == nil || c.Claim.ExpiresAt == nil {
		return nil, err
	}
	expires, ended := *c.Claim.ExpiresAt, c.Claim.EndedAt
	was := fmt.Sprintf("The transaction %s of %q", t.id, c.Claim.Buyer)
	arg := dbsqlc.RepairClaimEndedAtParams{ClaimID: t.id, EndedAt: ended, ExpiresAt: &expires}
	var f *fault
	switch {
	case c.Claim.Status == "expired" && ended == nil:
		f = &fault{RepairStep: c.step(was + " has expired, but it is not written down when (claim.ended_at).")}
		f.Repair = "It counts as expired when its time was over (claim.expires_at), or when its last unit left it, if that was later."
		f.Buyers = "Nothing changes for them."
	case c.Claim.Status == "expired" && ended.Before(expires):
		f = &fault{RepairStep: c.step(fmt.Sprintf("%s has expired at %s (claim.ended_at), %s before its time (claim.expires_at).", was, clockText(*ended), expires.Sub(*ended)))}
		f.Repair = "Its units were free from then on, and that can't be undone. It counts as expired when its time was over; that it was earlier is kept in the table repair."
		f.Buyers = fmt.Sprintf("%q has lost the hold early: tell them; they can claim again.", c.Claim.Buyer)
	case c.Claim.Status == "ordered" && ended != nil && !ended.Before(expires):
		f = &fault{RepairStep: c.step(fmt.Sprintf("%s was ordered at %s (claim.ended_at), when its time was over (claim.expires_at, %s).", was, clockText(*ended), clockText(expires)))}
		f.Repair = "The order stands: its units were nobody else's. Its time counts as longer by as much; what it was is kept in the table repair."
		f.Buyers = fmt.Sprintf("Nothing changes for %q, and nobody else was promised these units.", c.Claim.Buyer)
		until := ended.Add(time.Microsecond)
		arg.ExpiresAt = &until
	default:
		return nil, nil
	}
	if c.Claim.Status == "expired" {
		at := expires
		for _, u := range c.units {
			if u.ReleasedAt != nil && u.ReleasedAt.After(at) {
				at = *u.ReleasedAt
			}
		}
		arg.EndedAt = &at
	}
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
		return fmt.Sprintf("Its time is until %s now, and its end %s.", clockText(*arg.ExpiresAt), clockText(*arg.EndedAt)), one(x.s.q.RepairClaimEndedAt(ctx, tx, arg))
	}
	return f, nil
}
