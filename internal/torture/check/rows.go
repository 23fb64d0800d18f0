package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/books"
	"github.com/lastunit/lastunit/bench/driven"
)

// Database is what a round has left in the database.
type Database struct {
	Claims      map[string]*Claim
	Orders      map[string]*Order
	Units       map[string]*Unit
	Receipts    map[string]Receipt    // by key
	Withdrawals map[string]Withdrawal // by key; those that came back from orders and were written off have none, and are left out
	// Broken are the rules of the books that do not hold, and what breaks them.
	Broken []string
}

// Claim is a row of claim, with its units.
type Claim struct {
	ID, Buyer, SKU string
	Pool           int64
	Quantity       int
	Status         string
	Key            *string
	Place          *int64
	SaleID         *string
	OrderID        *string
	Replaces       *string
	CreatedAt      time.Time
	ExpiresAt      *time.Time
	EndedAt        *time.Time
	Units          []*Held `db:"-"`
}

// Held is a row of claim_unit.
type Held struct {
	ClaimID, UnitID string
	ReleasedAt      *time.Time
	Outcome         *string
}

// Order is a row of shop_order.
type Order struct {
	ID, Buyer, Status string
	Total, Refunded   int64
	Replaces          *string
	Reference         *string
	Provider          string
	PaidAt, EndedAt   *time.Time
	PayBy             *time.Time
	Reason            *string // of a cancelled one
}

// Unit is a row of unit.
type Unit struct {
	ID, SKU    string
	Receipt    string       // its key
	Withdrawn  *string      // the key of the withdrawal, empty: it was written off
	Pool       *int64       // in which it can be claimed
	Held       []*Held      `db:"-"`
	Quarantine []Quarantine `db:"-"`
}

// Quarantine is a row of quarantine_unit.
type Quarantine struct {
	UnitID    string
	EnteredAt time.Time
	LeftAt    *time.Time
}

// Receipt is a row of receipt.
type Receipt struct {
	Key, SKU string
	Quantity int
}

// Withdrawal is a row of withdrawal.
type Withdrawal struct {
	Key, SKU string
	Quantity int
}

// Rows waits until nothing is under way, half a minute at most, and reads the rows of a round.
func Rows(ctx context.Context, db *pgx.Conn, prefix string) (*Database, error) {
	open, err := settle(ctx, db)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	d := &Database{Claims: map[string]*Claim{}, Orders: map[string]*Order{}, Units: map[string]*Unit{}, Receipts: map[string]Receipt{}, Withdrawals: map[string]Withdrawal{}}
	like := prefix + "%"
	claims, err := collect[Claim](ctx, tx, `
		SELECT claim.claim_id::text, buyer, sku, pool_id, quantity, status, idempotency_key, queue_place, sale_id::text, order_id::text, replaces_claim_id::text, claim.created_at, expires_at, ended_at
		FROM claim JOIN product USING (product_id) WHERE sku LIKE $1`, like)
	if err != nil {
		return nil, err
	}
	for i := range claims {
		d.Claims[claims[i].ID] = &claims[i]
	}
	units, err := collect[Unit](ctx, tx, `
		SELECT unit.unit_id::text, product.sku, coalesce(receipt.idempotency_key, ''), CASE WHEN withdrawal_id IS NOT NULL THEN coalesce(withdrawal.idempotency_key, '') END,
			stock_token.pool_id
		FROM unit
		JOIN product USING (product_id)
		JOIN receipt USING (receipt_id)
		LEFT JOIN withdrawal_unit USING (unit_id)
		LEFT JOIN withdrawal USING (withdrawal_id)
		LEFT JOIN stock_token ON stock_token.unit_id = unit.unit_id
		WHERE sku LIKE $1`, like)
	if err != nil {
		return nil, err
	}
	for i := range units {
		d.Units[units[i].ID] = &units[i]
	}
	if err := d.lives(ctx, tx, like); err != nil {
		return nil, err
	}
	broken, err := books.Broken(ctx, tx, slices.Concat(books.Units, books.Money, books.Events))
	d.Broken = slices.Concat(d.Broken, open, broken)
	return d, err
}

// lives reads what happened to the units, and the orders.
func (d *Database) lives(ctx context.Context, tx pgx.Tx, like string) error {
	held, err := collect[Held](ctx, tx, `
		SELECT claim_unit.claim_id::text, claim_unit.unit_id::text, claim_unit.released_at, claim_unit.outcome
		FROM claim_unit JOIN claim USING (claim_id) JOIN product USING (product_id) WHERE sku LIKE $1`, like)
	if err != nil {
		return err
	}
	for i := range held {
		h := &held[i]
		c, u := d.Claims[h.ClaimID], d.Units[h.UnitID]
		if c == nil || u == nil {
			return fmt.Errorf("claim %s has the unit %s, and one of them is of another round", h.ClaimID, h.UnitID)
		}
		c.Units, u.Held = append(c.Units, h), append(u.Held, h)
	}
	looked, err := collect[Quarantine](ctx, tx, `
		SELECT unit_id::text, entered_at, left_at FROM quarantine_unit JOIN product USING (product_id) WHERE sku LIKE $1 ORDER BY entered_at`, like)
	if err != nil {
		return err
	}
	for _, q := range looked {
		d.Units[q.UnitID].Quarantine = append(d.Units[q.UnitID].Quarantine, q)
	}
	orders, err := collect[Order](ctx, tx, `
		SELECT order_id::text, buyer, status, coalesce(total_minor, 0), refunded_minor, replaces_order_id::text, reference, provider, paid_at, ended_at, pay_by, reason
		FROM shop_order WHERE order_id IN (SELECT order_id FROM claim JOIN product USING (product_id) WHERE sku LIKE $1)`, like)
	if err != nil {
		return err
	}
	for i := range orders {
		d.Orders[orders[i].ID] = &orders[i]
	}
	receipts, err := collect[Receipt](ctx, tx, `SELECT coalesce(idempotency_key, receipt_id::text), sku, quantity FROM receipt JOIN product USING (product_id) WHERE sku LIKE $1`, like)
	if err != nil {
		return err
	}
	for _, r := range receipts {
		d.Receipts[r.Key] = r
	}
	withdrawals, err := collect[Withdrawal](ctx, tx, `
		SELECT coalesce(idempotency_key, withdrawal_id::text), sku, quantity FROM withdrawal JOIN product USING (product_id) WHERE sku LIKE $1 AND place <> 'sold'`, like)
	if err != nil {
		return err
	}
	for _, w := range withdrawals {
		d.Withdrawals[w.Key] = w
	}
	return nil
}

func collect[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// settle waits until all that is under way has ended: charges, refunds, orders, events. What has not by then never will.
func settle(ctx context.Context, db *pgx.Conn) ([]string, error) {
	for began := time.Now(); ; driven.Pause(ctx, 200*time.Millisecond) {
		open, err := books.Broken(ctx, db, books.Settled)
		if err != nil || len(open) == 0 || ctx.Err() != nil || time.Since(began) > 30*time.Second {
			return open, err
		}
	}
}
