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

// Audit checks the invariants product by product, each check, and each piece of many units, from a short snapshot of its own, so that an audit of a large
// store never keeps vacuum from its work. While buyers claim it gives way to them, and takes longer. It is recorded, and what it found is in what it returns, not in the error. Refusals: NotFound,
// KeyReused.
func (s *Shop) Audit(ctx context.Context, r AuditRequest) (Audit, bool, error) {
	if r.Key != "" && r.KeyID != nil {
		was, found, err := s.replayAudit(ctx, r)
		if err != nil || found {
			return was, found, err
		}
	}
	a := newAudit(r.SKU, s.Clock().UTC())
	products, err := s.auditProducts(ctx, &a, "")
	if err != nil {
		return Audit{}, false, err
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

func newAudit(sku string, at time.Time) Audit {
	a := Audit{ID: pgdb.NewID(), SKU: optional(sku), OK: true, StartedAt: at}
	for _, c := range auditChecks {
		a.Checks = append(a.Checks, Check{Name: c.name, OK: true, Violations: []Violation{}})
	}
	return a
}

// auditProducts makes all checks, or only one, and tells of how many products.
func (s *Shop) auditProducts(ctx context.Context, a *Audit, only string) (products int, err error) {
	way, err := s.giveWay(ctx, s.pool)
	if err != nil {
		return 0, explain("audit", err)
	}
	for after := int64(0); ; {
		page, err := s.q.AuditProducts(ctx, s.pool, dbsqlc.AuditProductsParams{AfterProductID: after, SKU: a.SKU})
		if err != nil {
			return 0, explain("audit", err)
		}
		for _, p := range page {
			x := productAudit{s: s, p: p, way: way, a: a, only: only, counted: map[ID]int64{}}
			if err := x.run(ctx); err != nil {
				return 0, explain("audit "+p.SKU, err)
			}
			after = p.ProductID
		}
		products += len(page)
		if len(page) == 0 {
			return products, nil
		}
	}
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
