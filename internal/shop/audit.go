package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Violation is a row, or a sum, that breaks an invariant.
type Violation struct {
	SKU           string `json:"sku"`
	UnitID        *ID    `json:"unit_id"`
	TransactionID *ID    `json:"transaction_id"`
	Detail        string `json:"detail"`
}

// Check is one invariant, checked for every product that was audited.
type Check struct {
	Name       string      `json:"name"`
	OK         bool        `json:"ok"`
	Violations []Violation `json:"violations"` // the first 100
}

// Audit is a finished audit.
type Audit struct {
	ID         ID
	SKU        *string // nil: of everything
	OK         bool
	Checks     []Check
	StartedAt  time.Time
	FinishedAt time.Time
}

// AuditRequest asks for an audit.
type AuditRequest struct {
	SKU   string // empty: every product
	KeyID *ID    // of the API key that asks; nil for the command line
	Key   string // idempotency key
}

// violationsAtMost is how many violations a check names; one is enough to be broken, and a page of them to see what broke.
const violationsAtMost = 100

// auditCheck is a check of one product, in a statement, and so a snapshot, of its own.
type auditCheck struct {
	name string
	run  func(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error)
}

// auditChecks is what is checked, by the invariants of doc.go.
var auditChecks = []auditCheck{
	{"one_place", checkOnePlace},
	{"conservation", checkConservation},
	{"transaction_units", checkTransactionUnits},
	{"key_once", checkKeyOnce},
	{"hold_expiry", checkHoldExpiry},
	{"queue_order", checkQueueOrder},
	{"purchase_limit", checkPurchaseLimit},
	{"order_state", checkOrderState},
	{"money", checkMoney},
	{"pools", checkPools},
}

// Audit checks the invariants product by product, each check from a short snapshot of its own, so that an audit of a large store
// never keeps vacuum from its work. It is recorded, and what it found is in what it returns, not in the error. Refusals: NotFound,
// KeyReused.
func (s *Shop) Audit(ctx context.Context, r AuditRequest) (Audit, bool, error) {
	if r.Key != "" && r.KeyID != nil {
		was, found, err := s.replayAudit(ctx, r)
		if err != nil || found {
			return was, found, err
		}
	}
	a := Audit{ID: pgdb.NewID(), SKU: optional(r.SKU), OK: true, StartedAt: s.Clock().UTC()}
	for _, c := range auditChecks {
		a.Checks = append(a.Checks, Check{Name: c.name, OK: true, Violations: []Violation{}})
	}
	products := 0
	for after := int64(0); ; {
		page, err := s.q.AuditProducts(ctx, s.pool, dbsqlc.AuditProductsParams{AfterProductID: after, SKU: a.SKU})
		if err != nil {
			return Audit{}, false, explain("audit", err)
		}
		for _, p := range page {
			if err := s.auditProduct(ctx, p, &a); err != nil {
				return Audit{}, false, explain("audit "+p.SKU, err)
			}
			after = p.ProductID
		}
		products += len(page)
		if len(page) == 0 {
			break
		}
	}
	if products == 0 && r.SKU != "" {
		return Audit{}, false, notFound("product")
	}
	a.FinishedAt = s.Clock().UTC()
	recorded, err := s.recordAudit(ctx, r, a)
	if err == nil && !recorded {
		was, _, err := s.replayAudit(ctx, r)
		return was, true, err
	}
	return a, false, explain("record audit", err)
}

// LatestAudit reads the audit that finished last. Refusals: NotFound when there was none.
func (s *Shop) LatestAudit(ctx context.Context) (Audit, error) {
	row, err := s.q.AuditRunLatest(ctx, s.pool)
	if errors.Is(err, pgx.ErrNoRows) {
		return Audit{}, &Refusal{Code: NotFound, Detail: "No audit has been run yet. Run one with POST on this address."}
	}
	if err != nil {
		return Audit{}, explain("read audit", err)
	}
	return auditOf(row.AuditRun)
}

func (s *Shop) auditProduct(ctx context.Context, p dbsqlc.AuditProductsRow, a *Audit) error {
	for i, c := range auditChecks {
		check := &a.Checks[i]
		room := violationsAtMost - len(check.Violations)
		if room == 0 {
			continue
		}
		found, err := c.run(ctx, s, p, int32(room))
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if len(found) > 0 {
			check.Violations = append(check.Violations, found...)
			check.OK, a.OK = false, false
		}
	}
	return nil
}

func checkOnePlace(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditOnePlace(ctx, s.pool, dbsqlc.AuditOnePlaceParams{ProductID: p.ProductID, RowLimit: limit})
	if err != nil {
		return nil, err
	}
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			SKU: p.SKU, UnitID: &row.UnitID, TransactionID: row.ClaimID,
			Detail: fmt.Sprintf("is not in one place, once: available %t, in a transaction %t, in quarantine %t, withdrawn %t", row.HasToken, row.ClaimID != nil, row.IsQuarantined, row.IsWithdrawn),
		})
	}
	strays, err := s.q.AuditStrayTokens(ctx, s.pool, dbsqlc.AuditStrayTokensParams{ProductID: p.ProductID, RowLimit: limit})
	for _, row := range strays {
		if len(found) < int(limit) {
			found = append(found, Violation{
				SKU: p.SKU, UnitID: &row.UnitID,
				Detail: fmt.Sprintf("has a stock token at position %d of this product, but is no unit of it", row.Position),
			})
		}
	}
	if err != nil {
		return nil, err
	}
	quarantined, err := s.q.AuditStrayQuarantine(ctx, s.pool, dbsqlc.AuditStrayQuarantineParams{ProductID: p.ProductID, RowLimit: limit})
	for _, id := range quarantined {
		if len(found) < int(limit) {
			found = append(found, Violation{SKU: p.SKU, UnitID: &id, Detail: "is in quarantine under this product, but is no unit of it"})
		}
	}
	return found, err
}

func checkConservation(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, _ int32) ([]Violation, error) {
	row, err := s.q.AuditConservation(ctx, s.pool, p.ProductID)
	if err != nil {
		return nil, err
	}
	var found []Violation
	if row.Received != row.UnitCount {
		found = append(found, Violation{SKU: p.SKU, Detail: fmt.Sprintf("%d units were received, but there are %d", row.Received, row.UnitCount)})
	}
	if row.Withdrawn != row.WithdrawalUnitCount {
		found = append(found, Violation{
			SKU: p.SKU, Detail: fmt.Sprintf("%d units were withdrawn by the withdrawals, but %d by their units", row.Withdrawn, row.WithdrawalUnitCount),
		})
	}
	return found, nil
}

func checkTransactionUnits(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	holds, err := s.q.AuditTransactionHolds(ctx, s.pool, dbsqlc.AuditTransactionHoldsParams{ProductID: p.ProductID, RowLimit: limit})
	if err != nil {
		return nil, err
	}
	var found []Violation
	for _, row := range holds {
		found = append(found, Violation{
			SKU: p.SKU, TransactionID: &row.ClaimID, Detail: fmt.Sprintf("is a hold of %d units, but has %d", row.Quantity, row.UnitCount),
		})
	}
	ended, err := s.q.AuditTransactionEnded(ctx, s.pool, dbsqlc.AuditTransactionEndedParams{ProductID: p.ProductID, RowLimit: limit})
	if err != nil {
		return nil, err
	}
	for _, row := range ended {
		if len(found) < int(limit) {
			found = append(found, Violation{
				SKU: p.SKU, TransactionID: &row.ClaimID, Detail: fmt.Sprintf("is %s and of %d units, but has or had %d", row.Status, row.Quantity, row.UnitCount),
			})
		}
	}
	units, err := s.q.AuditTransactionUnits(ctx, s.pool, dbsqlc.AuditTransactionUnitsParams{ProductID: p.ProductID, RowLimit: limit})
	for _, row := range units {
		if len(found) < int(limit) {
			found = append(found, Violation{
				SKU: p.SKU, UnitID: &row.UnitID, TransactionID: &row.ClaimID,
				Detail: fmt.Sprintf("is kept by a transaction that can't have it (%s)", row.Status),
			})
		}
	}
	return found, err
}

func checkKeyOnce(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditKeyOnce(ctx, s.pool, dbsqlc.AuditKeyOnceParams{ProductID: p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			SKU: p.SKU, TransactionID: &row.FirstClaimID, Detail: fmt.Sprintf("shares its idempotency key with %d others of its buyer", row.ClaimCount-1),
		})
	}
	return found, err
}

func checkHoldExpiry(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditHoldExpiry(ctx, s.pool, dbsqlc.AuditHoldExpiryParams{ProductID: p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{SKU: p.SKU, TransactionID: &row.ClaimID, Detail: fmt.Sprintf("is %s, but not in its time", row.Status)})
	}
	return found, err
}

func checkQueueOrder(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditQueueOrder(ctx, s.pool, dbsqlc.AuditQueueOrderParams{ProductID: p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			SKU: p.SKU, TransactionID: &row.ClaimID,
			Detail: fmt.Sprintf("is %s at place %d of a queue that is settled up to %d and goes to %d, or shares its place", row.Status, row.QueuePlace, row.HeadPlace, row.TailPlace),
		})
	}
	return found, err
}

func checkPurchaseLimit(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditPurchaseLimit(ctx, s.pool, dbsqlc.AuditPurchaseLimitParams{ProductID: p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			SKU:    p.SKU,
			Detail: fmt.Sprintf("the buyer %q has %d units of the sale %s, counted are %d, the limit is %d (0: none)", row.Buyer, row.UnitCount, row.SaleID, row.Counted, row.PurchaseLimit),
		})
	}
	return found, err
}

func checkOrderState(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditOrderState(ctx, s.pool, dbsqlc.AuditOrderStateParams{ProductID: p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			SKU: p.SKU, TransactionID: &row.ClaimID,
			Detail: fmt.Sprintf("is a line of the order %s, which is %s, with %d units, taken for unpaid %t: that does not fit", row.OrderID, row.OrderStatus, row.UnitCount, row.Unpaid),
		})
	}
	return found, err
}

func checkMoney(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditMoney(ctx, s.pool, dbsqlc.AuditMoneyParams{ProductID: p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			SKU: p.SKU,
			Detail: fmt.Sprintf("the order %s is %s and costs %d, for which %d were paid; %d are counted as given back, by refunds of %d",
				row.OrderID, row.Status, row.TotalMinor, row.PaidMinor, row.RefundedMinor, row.RefundMinor),
		})
	}
	return found, err
}

func checkPools(ctx context.Context, s *Shop, p dbsqlc.AuditProductsRow, limit int32) ([]Violation, error) {
	rows, err := s.q.AuditPools(ctx, s.pool, dbsqlc.AuditPoolsParams{ProductID: p.ProductID, RowLimit: limit})
	var found []Violation
	for _, row := range rows {
		found = append(found, Violation{
			SKU: p.SKU, UnitID: &row.UnitID, Detail: fmt.Sprintf("lies in the pool %d, which is not its (the sale is %s)", row.PoolID, row.Stage),
		})
	}
	return found, err
}

// recordAudit tells whether it did: not when another run with the same key was recorded in the meantime.
func (s *Shop) recordAudit(ctx context.Context, r AuditRequest, a Audit) (recorded bool, err error) {
	checks, err := json.Marshal(a.Checks)
	if err != nil {
		return false, err
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		inserted, err := s.q.AuditRunInsert(ctx, tx, dbsqlc.AuditRunInsertParams{
			AuditRunID:     a.ID,
			SKU:            a.SKU,
			Ok:             a.OK,
			Checks:         checks,
			APIKeyID:       r.KeyID,
			IdempotencyKey: optional(r.Key),
			StartedAt:      a.StartedAt,
			FinishedAt:     a.FinishedAt,
		})
		if err != nil {
			return err
		}
		recorded = inserted == 1
		return s.q.AuditRunDeleteOld(ctx, tx)
	})
	return recorded, err
}

func (s *Shop) replayAudit(ctx context.Context, r AuditRequest) (Audit, bool, error) {
	row, err := s.q.AuditRunByKey(ctx, s.pool, dbsqlc.AuditRunByKeyParams{APIKeyID: r.KeyID, IdempotencyKey: optional(r.Key)})
	if errors.Is(err, pgx.ErrNoRows) {
		return Audit{}, false, nil
	}
	if err != nil {
		return Audit{}, false, explain("look up audit", err)
	}
	a, err := auditOf(row.AuditRun)
	if err == nil && (a.SKU == nil) != (r.SKU == "") || a.SKU != nil && *a.SKU != r.SKU {
		return Audit{}, false, keyReused()
	}
	return a, true, err
}

func auditOf(row dbsqlc.AuditRun) (Audit, error) {
	a := Audit{ID: row.AuditRunID, SKU: row.SKU, OK: row.Ok, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt}
	if err := json.Unmarshal(row.Checks, &a.Checks); err != nil {
		return Audit{}, fmt.Errorf("read audit %s: %w", a.ID, err)
	}
	return a, nil
}
