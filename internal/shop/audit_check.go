package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// auditCheck is a check of one product. Each call of its functions is a statement, and so a snapshot, of its own.
type auditCheck struct {
	name     string
	ofUnits  inUnits                                                                      // for each piece of its units
	ofTokens func(*productAudit, context.Context, tokenPiece, int32) ([]Violation, error) // for each piece of its tokens
	ofRest   inRest                                                                       // once, after the pieces
}

type (
	inUnits = []func(*productAudit, context.Context, unitPiece, int32) ([]Violation, error)
	inRest  = []func(*productAudit, context.Context, int32) ([]Violation, error)
)

// auditChecks is what is checked, by the invariants of doc.go.
var auditChecks = []auditCheck{
	{name: "one_place", ofUnits: inUnits{(*productAudit).onePlace}, ofTokens: (*productAudit).strayTokens, ofRest: inRest{(*productAudit).strayQuarantine}},
	{name: "conservation", ofRest: inRest{(*productAudit).conservation}},
	{name: "transaction_units", ofUnits: inUnits{(*productAudit).endedOfUnits, (*productAudit).unitsOfTransactions}, ofRest: inRest{(*productAudit).holdsOfUnits}},
	{name: "key_once", ofUnits: inUnits{(*productAudit).keyOnce}},
	{name: "hold_expiry", ofUnits: inUnits{(*productAudit).holdExpiry}},
	{name: "queue_order", ofRest: inRest{(*productAudit).queueOrder}},
	{name: "purchase_limit", ofRest: inRest{(*productAudit).purchaseLimit}},
	{name: "order_state", ofRest: inRest{(*productAudit).orderState}},
	{name: "money", ofRest: inRest{(*productAudit).money}},
	{name: "pools", ofRest: inRest{(*productAudit).pools}},
}

// productAudit is an audit of one product under way.
type productAudit struct {
	s        *Shop
	p        dbsqlc.AuditProductsRow
	way      *way
	a        *Audit
	only     string       // the check that is made; empty: all
	received map[ID]int64 // units by receipt, of the receipts that there were before any unit was counted
	counted  map[ID]int64 // units that are there, by receipt
}

type (
	unitPiece  = dbsqlc.AuditUnitPieceRow
	tokenPiece struct{ poolID, after, last int64 } // positions behind after, up to last
)

func (x *productAudit) run(ctx context.Context) (err error) {
	if x.received, err = x.receipts(ctx); err != nil {
		return err
	}
	if err := x.throughUnits(ctx); err != nil {
		return err
	}
	if err := x.throughTokens(ctx); err != nil {
		return err
	}
	for i, c := range auditChecks {
		for _, check := range c.ofRest {
			if err := x.check(i, func(limit int32) ([]Violation, error) { return check(x, ctx, limit) }); err != nil {
				return err
			}
			if err := x.way.give(ctx, x.s.pool); err != nil {
				return err
			}
		}
	}
	return nil
}

// throughUnits goes through the product's units in the order of their ids. Those that come in meanwhile have higher ones.
func (x *productAudit) throughUnits(ctx context.Context) error {
	return x.s.eachUnitPiece(ctx, x.p.ProductID, x.way, func(piece unitPiece) error {
		counts, err := x.s.q.AuditReceived(ctx, x.s.pool, dbsqlc.AuditReceivedParams{ProductID: x.p.ProductID, FirstUnitID: piece.FirstUnitID, LastUnitID: piece.LastUnitID})
		if err != nil {
			return fmt.Errorf("count units: %w", err)
		}
		for _, count := range counts {
			x.counted[count.ReceiptID] += count.UnitCount
		}
		for i, c := range auditChecks {
			for _, check := range c.ofUnits {
				if err := x.check(i, func(limit int32) ([]Violation, error) { return check(x, ctx, piece, limit) }); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// throughTokens goes through the product's tokens by pool and position. One that changes its pool meanwhile may be passed by, and is seen by the next audit.
func (x *productAudit) throughTokens(ctx context.Context) error {
	return x.s.eachTokenPiece(ctx, x.p.ProductID, x.way, func(piece tokenPiece) error {
		for i, c := range auditChecks {
			if c.ofTokens == nil {
				continue
			}
			if err := x.check(i, func(limit int32) ([]Violation, error) { return c.ofTokens(x, ctx, piece, limit) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachUnitPiece does something with each piece of a product's units, and gives way after each.
func (s *Shop) eachUnitPiece(ctx context.Context, productID int64, way *way, do func(unitPiece) error) error {
	for after := (ID{}); ; {
		piece, err := s.q.AuditUnitPiece(ctx, s.pool, dbsqlc.AuditUnitPieceParams{ProductID: productID, AfterUnitID: after, RowLimit: unitsAtOnce})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(piece); err != nil {
			return err
		}
		if err := way.give(ctx, s.pool); err != nil {
			return err
		}
		after = piece.LastUnitID
	}
}

// eachTokenPiece does something with each piece of a product's tokens, and gives way after each.
func (s *Shop) eachTokenPiece(ctx context.Context, productID int64, way *way, do func(tokenPiece) error) error {
	for from := int64(0); ; {
		poolID, err := s.q.AuditTokenPool(ctx, s.pool, dbsqlc.AuditTokenPoolParams{ProductID: productID, FromPoolID: from})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		for after := int64(-1); ; {
			last, err := s.q.AuditTokenPiece(ctx, s.pool, dbsqlc.AuditTokenPieceParams{
				ProductID: productID, PoolID: poolID, AfterPosition: after, RowLimit: unitsAtOnce,
			})
			if errors.Is(err, pgx.ErrNoRows) {
				break
			}
			if err != nil {
				return err
			}
			if err := do(tokenPiece{poolID, after, last}); err != nil {
				return err
			}
			if err := way.give(ctx, s.pool); err != nil {
				return err
			}
			after = last
		}
		from = poolID + 1
	}
}

// check runs a check, if there is room for what it finds, and notes what was not found in another piece before.
func (x *productAudit) check(i int, run func(limit int32) ([]Violation, error)) error {
	check := &x.a.Checks[i]
	if x.only != "" && x.only != check.Name {
		return nil
	}
	room := violationsAtMost - len(check.Violations)
	if room <= 0 {
		return nil
	}
	found, err := run(int32(room))
	if err != nil {
		return fmt.Errorf("%s: %w", check.Name, err)
	}
	for _, v := range found {
		v.SKU = x.p.SKU
		known := slices.ContainsFunc(check.Violations, func(k Violation) bool {
			return k.SKU == v.SKU && k.Detail == v.Detail && orZero(k.UnitID) == orZero(v.UnitID) && orZero(k.TransactionID) == orZero(v.TransactionID)
		})
		if !known && len(check.Violations) < violationsAtMost {
			check.Violations = append(check.Violations, v)
			check.OK, x.a.OK = false, false
		}
	}
	return nil
}

func (x *productAudit) receipts(ctx context.Context) (map[ID]int64, error) {
	rows, err := x.s.q.AuditReceipts(ctx, x.s.pool, x.p.ProductID)
	received := make(map[ID]int64, len(rows))
	for _, row := range rows {
		received[row.ReceiptID] = int64(row.Quantity)
	}
	return received, err
}

func (x *productAudit) onePlace(ctx context.Context, of unitPiece, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditOnePlace(ctx, x.s.pool, dbsqlc.AuditOnePlaceParams{
		ProductID: x.p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: limit,
	})
	if err != nil {
		return nil, err
	}
	var found []Violation
	for _, row := range rows {
		v := Violation{UnitID: &row.UnitID, Detail: fmt.Sprintf("is not in one place, once: available %d times, in %d transactions, in quarantine %d times, withdrawn %d times",
			row.TokenCount, len(row.ClaimIds), row.QuarantinedCount, row.WithdrawnCount)}
		if len(row.ClaimIds) == 0 {
			found = append(found, v)
		}
		for _, id := range row.ClaimIds {
			v.TransactionID = &id
			found = append(found, v)
		}
	}
	return found, nil
}

func (x *productAudit) strayTokens(ctx context.Context, of tokenPiece, limit int32) ([]Violation, error) {
	strays, err := x.s.q.AuditStrayTokens(ctx, x.s.pool, dbsqlc.AuditStrayTokensParams{
		ProductID: x.p.ProductID, PoolID: of.poolID, AfterPosition: of.after, LastPosition: of.last, RowLimit: limit,
	})
	var found []Violation
	for _, row := range strays {
		found = append(found, Violation{
			UnitID: &row.UnitID,
			Detail: fmt.Sprintf("has a stock token at position %d of this product, but is no unit of it", row.Position),
		})
	}
	return found, err
}

func (x *productAudit) strayQuarantine(ctx context.Context, limit int32) ([]Violation, error) {
	var found []Violation
	quarantined, err := x.s.q.AuditStrayQuarantine(ctx, x.s.pool, dbsqlc.AuditStrayQuarantineParams{ProductID: x.p.ProductID, RowLimit: limit})
	for _, id := range quarantined {
		found = append(found, Violation{UnitID: &id, Detail: "is in quarantine under this product, but is no unit of it"})
	}
	return found, err
}

func (x *productAudit) conservation(ctx context.Context, _ int32) ([]Violation, error) {
	row, err := x.s.q.AuditConservation(ctx, x.s.pool, x.p.ProductID)
	if err != nil {
		return nil, err
	}
	var found []Violation
	if row.Withdrawn != row.WithdrawalUnitCount {
		found = append(found, Violation{Detail: fmt.Sprintf("%d units were withdrawn by the withdrawals, but %d by their units", row.Withdrawn, row.WithdrawalUnitCount)})
	}
	now, err := x.receipts(ctx)
	for id, quantity := range x.received {
		if counted := x.counted[id]; counted != quantity {
			found = append(found, Violation{Detail: fmt.Sprintf("%d units were received with the receipt %s, but there are %d", quantity, id, counted)})
		}
		delete(x.counted, id)
	}
	for id, counted := range x.counted {
		if _, since := now[id]; !since {
			found = append(found, Violation{Detail: fmt.Sprintf("%d units are there of the receipt %s, which is none of this product", counted, id)})
		}
	}
	return found, err
}

func (x *productAudit) holdsOfUnits(ctx context.Context, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditTransactionHolds(ctx, x.s.pool, dbsqlc.AuditTransactionHoldsParams{ProductID: x.p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{TransactionID: &row.ClaimID, Detail: fmt.Sprintf("is a hold of %d units, but has %d", row.Quantity, row.UnitCount)})
	}
	return found, err
}

func (x *productAudit) endedOfUnits(ctx context.Context, of unitPiece, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditTransactionEnded(ctx, x.s.pool, dbsqlc.AuditTransactionEndedParams{
		ProductID: x.p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: limit,
	})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			TransactionID: &row.ClaimID, Detail: fmt.Sprintf("is %s and of %d units, but has or had %d", row.Status, row.Quantity, row.UnitCount),
		})
	}
	return found, err
}

func (x *productAudit) unitsOfTransactions(ctx context.Context, of unitPiece, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditTransactionUnits(ctx, x.s.pool, dbsqlc.AuditTransactionUnitsParams{
		ProductID: x.p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: limit,
	})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			UnitID: &row.UnitID, TransactionID: &row.ClaimID, Detail: fmt.Sprintf("is kept by a transaction that can't have it (%s)", row.Status),
		})
	}
	return found, err
}

func (x *productAudit) keyOnce(ctx context.Context, of unitPiece, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditKeyOnce(ctx, x.s.pool, dbsqlc.AuditKeyOnceParams{
		ProductID: x.p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: limit,
	})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			TransactionID: &row.FirstClaimID, Detail: fmt.Sprintf("shares its idempotency key with %d others of its buyer", row.ClaimCount-1),
		})
	}
	return found, err
}

func (x *productAudit) holdExpiry(ctx context.Context, of unitPiece, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditHoldExpiry(ctx, x.s.pool, dbsqlc.AuditHoldExpiryParams{
		ProductID: x.p.ProductID, FirstUnitID: of.FirstUnitID, LastUnitID: of.LastUnitID, RowLimit: limit,
	})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{TransactionID: &row.ClaimID, Detail: fmt.Sprintf("is %s, but not in its time", row.Status)})
	}
	return found, err
}

func (x *productAudit) queueOrder(ctx context.Context, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditQueueOrder(ctx, x.s.pool, dbsqlc.AuditQueueOrderParams{ProductID: x.p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			TransactionID: &row.ClaimID,
			Detail:        fmt.Sprintf("is %s at place %d of a queue that is settled up to %d and goes to %d, or shares its place", row.Status, row.QueuePlace, row.HeadPlace, row.TailPlace),
		})
	}
	return found, err
}

func (x *productAudit) purchaseLimit(ctx context.Context, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditPurchaseLimit(ctx, x.s.pool, dbsqlc.AuditPurchaseLimitParams{ProductID: x.p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			Detail: fmt.Sprintf("the buyer %q has %d units of the sale %s, counted are %d, the limit is %d (0: none)", row.Buyer, row.UnitCount, row.SaleID, row.Counted, row.PurchaseLimit),
		})
	}
	return found, err
}

func (x *productAudit) orderState(ctx context.Context, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditOrderState(ctx, x.s.pool, dbsqlc.AuditOrderStateParams{ProductID: x.p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			TransactionID: &row.ClaimID,
			Detail:        fmt.Sprintf("is a line of the order %s, which is %s, with %d units, taken for unpaid %t: that does not fit", row.OrderID, row.OrderStatus, row.UnitCount, row.Unpaid),
		})
	}
	return found, err
}

func (x *productAudit) money(ctx context.Context, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditMoney(ctx, x.s.pool, dbsqlc.AuditMoneyParams{ProductID: x.p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			Detail: fmt.Sprintf("the order %s is %s and costs %d, for which %d were paid; %d are counted as given back, by refunds of %d",
				row.OrderID, row.Status, row.TotalMinor, row.PaidMinor, row.RefundedMinor, row.RefundMinor),
		})
	}
	return found, err
}

func (x *productAudit) pools(ctx context.Context, limit int32) ([]Violation, error) {
	rows, err := x.s.q.AuditPools(ctx, x.s.pool, dbsqlc.AuditPoolsParams{ProductID: x.p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			UnitID: &row.UnitID, Detail: fmt.Sprintf("lies in the pool %d, which is not its (the sale is %s)", row.PoolID, row.Stage),
		})
	}
	return found, err
}
