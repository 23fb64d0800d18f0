package shop

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

var theUnit = &thing{lock: (*repairer).lockUnit, look: (*repairer).lookAtUnit}

// findOnePlace looks at tokens that are none first, and last at units that several transactions have: these may need equal ones that are truly on sale.
func (x *repairer) findOnePlace(ctx context.Context, p dbsqlc.AuditProductsRow, way *way) error {
	s := x.s
	unit := func(id ID) target { return target{thing: theUnit, sku: p.SKU, productID: p.ProductID, id: id} }
	if err := s.eachTokenPiece(ctx, p.ProductID, way, func(of tokenPiece) error {
		rows, err := s.q.AuditStrayTokens(ctx, s.pool, dbsqlc.AuditStrayTokensParams{
			ProductID: p.ProductID, PoolID: of.poolID, AfterPosition: of.after, LastPosition: of.last, RowLimit: repairsAtMost,
		})
		for _, row := range rows {
			x.note(unit(row.UnitID))
		}
		return err
	}); err != nil {
		return err
	}
	strays, err := s.q.AuditStrayQuarantine(ctx, s.pool, dbsqlc.AuditStrayQuarantineParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, id := range strays {
		x.note(unit(id))
	}
	if err != nil {
		return err
	}
	var shared []ID
	if err := s.eachUnitPiece(ctx, p.ProductID, way, func(of unitPiece) error {
		rows, err := s.q.AuditOnePlace(ctx, s.pool, dbsqlc.AuditOnePlaceParams{
			ProductID: p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: repairsAtMost,
		})
		for _, row := range rows {
			if len(row.ClaimIds) > 1 {
				shared = append(shared, row.UnitID)
				continue
			}
			x.note(unit(row.UnitID))
		}
		return err
	}); err != nil {
		return err
	}
	for _, id := range shared {
		x.note(unit(id))
	}
	return nil
}

// place is one of the places that a unit is in.
type place = dbsqlc.RepairUnitPlacesRow

// unitAt is where a unit is.
type unitAt struct {
	id                                       ID
	units                                    []place // its rows: one, unless it is no unit
	tokens, claims, quarantines, withdrawals []place
	rows                                     []place
}

func (x *repairer) placesOf(ctx context.Context, db pgdb.Queryer, id ID) (*unitAt, error) {
	rows, err := x.s.q.RepairUnitPlaces(ctx, db, dbsqlc.RepairUnitPlacesParams{Now: x.s.o.Now(), UnitID: id})
	if err != nil {
		return nil, fmt.Errorf("look where the unit %s is: %w", id, err)
	}
	u := &unitAt{id: id, rows: rows}
	for _, row := range rows {
		switch row.Place {
		case "unit":
			u.units = append(u.units, row)
		case "available":
			u.tokens = append(u.tokens, row)
		case "transaction":
			u.claims = append(u.claims, row)
		case "quarantine":
			u.quarantines = append(u.quarantines, row)
		case "withdrawn":
			u.withdrawals = append(u.withdrawals, row)
		}
	}
	return u, nil
}

func (u *unitAt) productID() int64 {
	if len(u.units) == 0 {
		return 0
	}
	return u.units[0].ProductID
}

// ended tells whether a transaction has no right to this unit whatever becomes of others.
func (u *unitAt) ended(c place) bool {
	return c.ProductID != u.productID() || c.Status != "held" && c.Status != "ordered" ||
		c.Status == "ordered" && (c.OrderStatus == "cancelled" || c.OrderStatus == "refunded")
}

// sound tells whether a unit is where it can be. Whether its order may have it is another check's.
func (u *unitAt) sound() bool {
	if len(u.units) == 0 {
		return len(u.tokens)+len(u.quarantines) == 0
	}
	if len(u.units) > 1 || len(u.tokens)+len(u.claims)+len(u.quarantines)+len(u.withdrawals) != 1 {
		return false
	}
	for _, p := range slices.Concat(u.tokens, u.quarantines) {
		if p.ProductID != u.productID() {
			return false
		}
	}
	for _, c := range u.claims {
		if c.ProductID != u.productID() || c.Status != "held" && c.Status != "ordered" {
			return false
		}
	}
	return true
}

// keeper is the place that keeps a unit: where it was withdrawn; quarantine, if the order that has it has put it there; the earliest transaction that may have it; quarantine; sale. Nil: none.
func (u *unitAt) keeper() *place {
	var of *place // the transaction
	for i, c := range u.claims {
		if !u.ended(c) && !c.Lapsed {
			of = &u.claims[i]
			break
		}
	}
	switch {
	case len(u.units) == 0:
		return nil
	case len(u.withdrawals) > 0:
		return &u.withdrawals[0]
	}
	for i, q := range u.quarantines {
		if of != nil && q.ID == of.OrderID && q.ID != (ID{}) {
			return &u.quarantines[i]
		}
	}
	switch {
	case of != nil:
		return of
	case len(u.quarantines) > 0:
		return &u.quarantines[0]
	}
	for i, t := range u.tokens {
		if t.ProductID == u.productID() {
			return &u.tokens[i]
		}
	}
	return nil
}

func (u *unitAt) describe() string {
	var where []string
	for _, t := range u.tokens {
		where = append(where, fmt.Sprintf("on sale as %s (stock_token, pool %d, position %d)", t.SKU, t.PoolID, t.Position))
	}
	for _, c := range u.claims {
		where = append(where, "in "+describeClaim(c)+" (claim_unit)")
	}
	for _, q := range u.quarantines {
		where = append(where, fmt.Sprintf("in quarantine as %s (quarantine_unit, since %s)", q.SKU, clockText(q.Since)))
	}
	for _, w := range u.withdrawals {
		where = append(where, fmt.Sprintf("withdrawn by the withdrawal %s (withdrawal_unit)", w.ID))
	}
	is := "The unit"
	if len(u.units) == 0 {
		is = "What is no unit (there is no row of it in the table unit)"
	}
	if len(where) == 0 {
		return is + " is in no place: neither on sale, in a transaction, in quarantine nor withdrawn."
	}
	return is + " is " + strings.Join(where, ", and ") + "."
}

func describeClaim(c place) string {
	switch {
	case c.Status == "missing":
		return fmt.Sprintf("the transaction %s, which does not exist", c.ID)
	case c.OrderID != ID{}:
		return fmt.Sprintf("the transaction %s of %q, of %s in the order %s (%s)", c.ID, c.Buyer, c.SKU, c.OrderID, c.OrderStatus)
	case c.Lapsed:
		return fmt.Sprintf("the transaction %s of %q, of %s (held, but lapsed)", c.ID, c.Buyer, c.SKU)
	}
	return fmt.Sprintf("the transaction %s of %q, of %s (%s)", c.ID, c.Buyer, c.SKU, c.Status)
}

func whereKept(p place) string {
	switch p.Place {
	case "available":
		return "on sale"
	case "transaction":
		return "in " + describeClaim(p)
	case "quarantine":
		return "in quarantine"
	}
	return "withdrawn"
}

func (x *repairer) lockUnit(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	u, err := x.placesOf(ctx, tx, t.id)
	if err != nil {
		return false, err
	}
	var orders, claims []ID
	for _, c := range u.claims {
		claims = append(claims, c.ID)
		if c.OrderID != (ID{}) {
			orders = append(orders, c.OrderID)
		}
	}
	if err := x.lockClaims(ctx, tx, orders, claims); err != nil {
		return false, err
	}
	return x.lockPlaces(ctx, tx, t.id)
}

// lockPlaces locks the token of a unit and where it is in quarantine; not free: somebody else has them.
func (x *repairer) lockPlaces(ctx context.Context, tx pgx.Tx, id ID) (bool, error) {
	tokens, err := x.s.q.RepairTokenLock(ctx, tx, id)
	if err != nil {
		return false, err
	}
	quarantines, err := x.s.q.RepairQuarantineLock(ctx, tx, id)
	if err != nil {
		return false, err
	}
	u, err := x.placesOf(ctx, tx, id)
	return err == nil && len(u.tokens) == len(tokens) && len(u.quarantines) == len(quarantines), err
}

func (x *repairer) lookAtUnit(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	u, err := x.placesOf(ctx, db, t.id)
	if err != nil || u.sound() {
		return nil, err
	}
	f := &fault{RepairStep: RepairStep{UnitID: &t.id, Broken: u.describe(), Rows: found(u.rows...)}}
	if len(u.units) > 1 || len(u.withdrawals) > 1 {
		f.Broken += fmt.Sprintf(" It is there %d times (unit), and was withdrawn %d times (withdrawal_unit).", len(u.units), len(u.withdrawals))
		f.Repair = "A person has to: the same id was given twice, or the same unit withdrawn twice, which a primary key makes impossible. " +
			"Find out which key is missing (\\d unit, \\d withdrawal_unit), delete the row that is too many by hand, and create the key again."
		f.Buyers = "Nothing changes for them."
		return f, nil
	}
	plan := u.plan()
	f.Repair, f.Buyers = plan.repair, plan.buyers
	if len(plan.losers) > 0 { // whom it is about
		l := plan.losers[0]
		f.TransactionID, f.OrderID, f.Buyer = &plan.losers[0].ID, orNil(l.OrderID), optional(l.Buyer)
	}
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) { return x.mendUnit(ctx, tx, u, plan) }
	return f, nil
}

// unitPlan is what becomes of the places of a unit.
type unitPlan struct {
	keep           *place  // nil: quarantine, if it is a unit
	losers         []place // transactions
	repair, buyers string
}

func (u *unitAt) plan() unitPlan {
	p := unitPlan{keep: u.keeper()}
	var repair, buyers []string
	for _, t := range u.tokens {
		if p.keep == nil || t != *p.keep {
			repair = append(repair, fmt.Sprintf("Its token in the pool %d of %s is removed.", t.PoolID, t.SKU))
		}
	}
	for _, c := range u.claims {
		if p.keep != nil && c == *p.keep {
			continue
		}
		p.losers = append(p.losers, c)
		does, means := u.losing(c, p.keep)
		repair, buyers = append(repair, does), append(buyers, means)
	}
	for _, q := range u.quarantines {
		switch {
		case p.keep == nil || q != *p.keep:
			repair = append(repair, "It leaves quarantine.")
		case q.ProductID != u.productID():
			repair = append(repair, fmt.Sprintf("In quarantine it is counted as what it is, %s.", u.units[0].SKU))
		}
	}
	switch {
	case len(u.units) == 0:
		repair = append(repair, "Nothing that is a unit goes.")
	case p.keep == nil:
		repair = append(repair, "It goes to quarantine, until a person has seen whether and where it is: find it, then release it (POST /api/v1/products/"+u.units[0].SKU+
			"/quarantine/release) or withdraw it (/withdrawals with \"place\": \"quarantine\").")
	default:
		repair = append(repair, "It stays "+whereKept(*p.keep)+".")
	}
	switch {
	case p.keep != nil && p.keep.Place == "transaction":
		buyers = append(buyers, fmt.Sprintf("%q keeps it, and nobody else can claim it.", p.keep.Buyer))
	case p.keep == nil && len(u.units) > 0:
		buyers = append(buyers, "It can't be claimed, until it was released.")
	case len(u.tokens) > 0 && (p.keep == nil || p.keep.Place != "available"):
		buyers = append(buyers, "It can't be claimed any more.")
	}
	if len(buyers) == 0 {
		buyers = append(buyers, "Nothing changes for them.")
	}
	p.repair, p.buyers = sentences(repair), sentences(buyers)
	return p
}

// leavesAs is how a unit leaves its order if where it stays is where this order has put it; empty: it is simply lost to another place.
func leavesAs(c place, keep *place) string {
	switch {
	case keep == nil:
		return ""
	case keep.Place == "quarantine" && keep.ID == c.OrderID && c.OrderID != (ID{}):
		return "quarantined"
	case keep.Place == "withdrawn" && c.OrderID != (ID{}) && strings.HasSuffix(keep.Reason, c.OrderID.String()):
		return "written_off"
	}
	return ""
}

// losing says what it means that a transaction loses a unit.
func (u *unitAt) losing(c place, keep *place) (does, means string) {
	of := describeClaim(c)
	later := strings.ToUpper(of[:1]) + of[1:] + " was the later one and loses it: it gets an equal unit if one is on sale; if none is, "
	switch {
	case leavesAs(c, keep) != "":
		return fmt.Sprintf("It is written down that it has left %s (%s).", of, leavesAs(c, keep)), "Nothing changes for them: it had left the order already."
	case u.ended(c):
		return "It leaves " + of + ", which can't have it.", fmt.Sprintf("%q has no right to it.", c.Buyer)
	case c.Lapsed:
		return "It leaves " + of + ".", fmt.Sprintf("%q has lost it already: the hold has lapsed.", c.Buyer)
	case c.Status == "held" && c.Quantity > 1:
		return later + fmt.Sprintf("it goes on with %d.", c.Quantity-1),
			fmt.Sprintf("%q keeps as many as were claimed, or has one fewer in the cart: tell them.", c.Buyer)
	case c.Status == "held":
		return later + "it is released.",
			fmt.Sprintf("%q keeps one, or loses what is in the cart: tell them.", c.Buyer)
	case c.OrderStatus == "awaiting_payment":
		return later + "the order is cancelled (reason: repaired).",
			fmt.Sprintf("%q keeps the order, or it is cancelled before anything was paid: tell them. Money that comes all the same buys equal units or goes back.", c.Buyer)
	case c.OrderStatus == "paid":
		return later + "what it cost is given back.",
			fmt.Sprintf("%q gets an equal unit, or the money back: tell them.", c.Buyer)
	}
	return "It leaves " + of + ".", fmt.Sprintf("Make it good to %q.", c.Buyer)
}

func (x *repairer) mendUnit(ctx context.Context, tx pgx.Tx, u *unitAt, p unitPlan) (string, error) {
	var did []string
	ranOut := map[poolKey]int64{}
	var pools []poolKey
	for _, t := range u.tokens {
		if p.keep != nil && t == *p.keep {
			continue
		}
		if err := one(x.s.q.RepairTokenDelete(ctx, tx, dbsqlc.RepairTokenDeleteParams{
			ProductID: t.ProductID, PoolID: t.PoolID, Position: t.Position, UnitID: u.id,
		})); err != nil {
			return "", err
		}
		if k := (poolKey{t.ProductID, t.PoolID}); !slices.Contains(pools, k) {
			pools, ranOut[k] = append(pools, k), -1
		}
		did = append(did, fmt.Sprintf("A token in the pool %d of %s was removed.", t.PoolID, t.SKU))
	}
	if err := x.mendQuarantine(ctx, tx, u, p); err != nil {
		return "", err
	}
	for _, c := range p.losers {
		said, err := x.lose(ctx, tx, u, c, p.keep)
		if err != nil {
			return "", err
		}
		did = append(did, said)
	}
	if len(u.units) > 0 && p.keep == nil {
		entered, err := x.shelter(ctx, tx, u.id)
		if err != nil {
			return "", err
		}
		if !entered {
			return "", errRepairChanged
		}
		did = append(did, "The unit went to quarantine.")
	} else if p.keep != nil {
		did = append(did, "It stays "+whereKept(*p.keep)+".")
	}
	return sentences(did), x.s.ranOut(ctx, tx, pools, ranOut)
}

// mendQuarantine ends or corrects where a unit is in quarantine.
func (x *repairer) mendQuarantine(ctx context.Context, tx pgx.Tx, u *unitAt, p unitPlan) error {
	for _, q := range u.quarantines {
		var err error
		switch {
		case p.keep != nil && q == *p.keep:
			if q.ProductID != u.productID() {
				err = one(x.s.q.RepairQuarantineProduct(ctx, tx, u.id))
			}
		case p.keep == nil || p.keep.Place == "quarantine":
			err = one(x.s.q.RepairQuarantineDelete(ctx, tx, dbsqlc.RepairQuarantineDeleteParams{UnitID: u.id, EnteredAt: q.Since}))
		default:
			outcome := "released"
			if p.keep.Place == "withdrawn" {
				outcome = "withdrawn"
			}
			err = one(x.s.q.RepairQuarantineEnd(ctx, tx, dbsqlc.RepairQuarantineEndParams{Outcome: outcome, UnitID: u.id, EnteredAt: q.Since}))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
