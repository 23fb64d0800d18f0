package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// All of these write the rows of claim that the shop writes, with its keys and indexes.

const hold = 10 * time.Minute

// contenderTables are what the contenders need besides the schema of lastunit.
//
//go:embed contenders.sql
var contenderTables string

func insertClaims(claims []keyedClaim, productIDs map[string]int64) dbsqlc.ClaimInsertManyParams {
	var p dbsqlc.ClaimInsertManyParams
	for _, c := range claims {
		p.ClaimIds = append(p.ClaimIds, c.id)
		p.Buyers = append(p.Buyers, c.Buyer)
		p.ProductIds = append(p.ProductIds, productIDs[c.SKU])
		p.PoolIds = append(p.PoolIds, 0)
		p.Quantities = append(p.Quantities, int32(c.Quantity))
		p.IdempotencyKeys = append(p.IdempotencyKeys, c.Key)
		p.PriceMinors = append(p.PriceMinors, price)
		p.Currencies = append(p.Currencies, currency)
		p.HoldSeconds = append(p.HoldSeconds, hold.Seconds())
		p.SaleIds = append(p.SaleIds, shop.ID{})
		p.ClaimReferences = append(p.ClaimReferences, "")
		p.Metadatas = append(p.Metadatas, "")
	}
	return p
}

// counterBehindLane settles many claims of a product in one transaction, as the shop does, but with a counter for its stock and no units.
func counterBehindLane(at stores) claimer {
	q := dbsqlc.New()
	return behindLane(func(ctx context.Context, claims []keyedClaim, next func()) (answers []lane.Answer[shop.Claimed], err error) {
		err = pgdb.InTx(ctx, at.pool, func(tx pgx.Tx) error {
			if answers, err = settleByCounter(ctx, tx, q, claims); err == nil {
				next()
			}
			return err
		})
		return answers, err
	})
}

func settleByCounter(ctx context.Context, tx pgx.Tx, q *dbsqlc.Queries, claims []keyedClaim) ([]lane.Answer[shop.Claimed], error) {
	type boundKey struct{ buyer, key string }
	answers := make([]lane.Answer[shop.Claimed], len(claims))
	var asked dbsqlc.ClaimByKeysParams
	var skus []string
	for i, c := range claims {
		asked.Buyers = append(asked.Buyers, c.Buyer)
		asked.IdempotencyKeys = append(asked.IdempotencyKeys, c.Key)
		if i == 0 || claims[i-1].SKU != c.SKU {
			skus = append(skus, c.SKU)
		}
	}
	rows, err := q.ClaimByKeys(ctx, tx, asked)
	if err != nil {
		return nil, err
	}
	bound := map[boundKey]shop.ID{}
	for _, row := range rows {
		bound[boundKey{row.Claim.Buyer, *row.Claim.IdempotencyKey}] = row.Claim.ClaimID
	}
	counters, err := tx.Query(ctx, `SELECT sku, product_id, stock FROM bench_counter WHERE sku = ANY($1) ORDER BY sku FOR NO KEY UPDATE`, skus)
	if err != nil {
		return nil, err
	}
	productIDs, left := map[string]int64{}, map[string]int64{}
	var sku string
	var id, n int64
	if _, err := pgx.ForEachRow(counters, []any{&sku, &id, &n}, func() error {
		productIDs[sku], left[sku] = id, n
		return nil
	}); err != nil {
		return nil, err
	}
	var new []keyedClaim
	var places []int
	for i, c := range claims {
		k := boundKey{c.Buyer, c.Key}
		id, replayed := bound[k]
		switch {
		case replayed && id == (shop.ID{}): // sent twice in this batch: it finds the first in the next
			answers[i].Again = true
		case replayed:
			answers[i].Out = held(c.ClaimRequest, id, time.Now())
			answers[i].Out.Replayed = true
		case left[c.SKU] < int64(c.Quantity):
			answers[i].Err = errSoldOut
		default:
			left[c.SKU] -= int64(c.Quantity)
			bound[k] = shop.ID{}
			new, places = append(new, c), append(places, i)
		}
	}
	if len(new) == 0 {
		return answers, nil
	}
	written, err := q.ClaimInsertMany(ctx, tx, insertClaims(new, productIDs))
	if err != nil {
		return nil, err
	}
	created := make(map[shop.ID]time.Time, len(written))
	for _, row := range written {
		created[row.ClaimID] = row.CreatedAt
	}
	for n, i := range places {
		answers[i].Out = held(new[n].ClaimRequest, new[n].id, created[new[n].id])
	}
	var stocks []int64
	for _, sku := range skus {
		stocks = append(stocks, left[sku])
	}
	_, err = tx.Exec(ctx, `UPDATE bench_counter SET stock = now_left.stock FROM (SELECT unnest($1::text[]) AS sku, unnest($2::bigint[]) AS stock) AS now_left
		WHERE bench_counter.sku = now_left.sku`, skus, stocks)
	return answers, err
}

const claimColumns = `claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, price_minor, currency, created_at, expires_at`

// once answers a call whose key is taken with the claim that it is bound to.
func once(at stores, claim func(context.Context, keyedClaim) (time.Time, error)) claimer {
	return func(ctx context.Context, r shop.ClaimRequest) (shop.Claimed, error) {
		c := keyedClaim{r, pgdb.NewID()}
		created, err := claim(ctx, c)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return shop.Claimed{}, errSoldOut
		case pgdb.ViolatesConstraint(err, "claim_key_once"):
			var id shop.ID
			err := at.pool.QueryRow(ctx, `SELECT claim_id, created_at FROM claim WHERE buyer = $1 AND idempotency_key = $2`, r.Buyer, r.Key).Scan(&id, &created)
			claimed := held(r, id, created)
			claimed.Replayed = true
			return claimed, err
		}
		return held(r, c.id, created), err
	}
}

// counterUpdated decides with the counter's row in one statement, which is the whole transaction.
func counterUpdated(at stores) claimer {
	return once(at, func(ctx context.Context, c keyedClaim) (created time.Time, err error) {
		err = at.pool.QueryRow(ctx, `WITH taken AS (
				UPDATE bench_counter SET stock = stock - $4 WHERE sku = $3 AND stock >= $4 RETURNING product_id
			)
			INSERT INTO claim (`+claimColumns+`)
			SELECT $1, $2, taken.product_id, 0, $4, 'held', $5, $6, $7, now(), now() + interval '10 minutes' FROM taken
			RETURNING created_at`,
			c.id, c.Buyer, c.SKU, int32(c.Quantity), c.Key, int64(price), currency).Scan(&created)
		return created, err
	})
}

// counterLocked reads the counter with SELECT ... FOR UPDATE and then writes it, as most shops do.
func counterLocked(at stores) claimer {
	return once(at, func(ctx context.Context, c keyedClaim) (created time.Time, err error) {
		err = pgdb.InTx(ctx, at.pool, func(tx pgx.Tx) error {
			var productID, stock int64
			if err := tx.QueryRow(ctx, `SELECT product_id, stock FROM bench_counter WHERE sku = $1 FOR UPDATE`, c.SKU).Scan(&productID, &stock); err != nil {
				return err
			}
			if stock < int64(c.Quantity) {
				return pgx.ErrNoRows
			}
			if _, err := tx.Exec(ctx, `UPDATE bench_counter SET stock = $2 WHERE sku = $1`, c.SKU, stock-int64(c.Quantity)); err != nil {
				return err
			}
			return insertClaim(ctx, tx, c, productID, &created)
		})
		return created, err
	})
}

func insertClaim(ctx context.Context, tx pgx.Tx, c keyedClaim, productID int64, created *time.Time) error {
	return tx.QueryRow(ctx, `INSERT INTO claim (`+claimColumns+`)
		VALUES ($1, $2, $3, 0, $4, 'held', $5, $6, $7, now(), now() + interval '10 minutes') RETURNING created_at`,
		c.id, c.Buyer, productID, int32(c.Quantity), c.Key, int64(price), currency).Scan(created)
}

// unitsInPlace has a row for each unit, and updates it.
func unitsInPlace(at stores) claimer {
	return once(at, func(ctx context.Context, c keyedClaim) (created time.Time, err error) {
		err = pgdb.InTx(ctx, at.pool, func(tx pgx.Tx) error {
			var productID int64
			if err := tx.QueryRow(ctx, `SELECT product_id FROM bench_counter WHERE sku = $1`, c.SKU).Scan(&productID); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, `WITH picked AS MATERIALIZED (
					SELECT unit_id FROM bench_unit WHERE product_id = $1 AND status = 'available' ORDER BY unit_id LIMIT $2 FOR UPDATE SKIP LOCKED
				)
				UPDATE bench_unit SET status = 'held', claim_id = $3 FROM picked WHERE bench_unit.unit_id = picked.unit_id`, productID, c.Quantity, c.id)
			if err != nil {
				return err
			}
			if tag.RowsAffected() < int64(c.Quantity) {
				return pgx.ErrNoRows
			}
			return insertClaim(ctx, tx, c, productID, &created)
		})
		return created, err
	})
}

// tokensWithoutLane is the shop's own statements, with a transaction for each claim. It remembers where it was, as the shop does.
func tokensWithoutLane(at stores) claimer {
	q := dbsqlc.New()
	var from atomic.Int64
	return once(at, func(ctx context.Context, c keyedClaim) (created time.Time, err error) {
		err = pgdb.InTxWith(ctx, at.pool, "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off", func(tx pgx.Tx) error {
			var productID int64
			if err := tx.QueryRow(ctx, `SELECT product_id FROM product WHERE sku = $1`, c.SKU).Scan(&productID); err != nil {
				return err
			}
			start := from.Load()
			for _, between := range [][2]int64{{start, math.MaxInt64}, {0, start}} {
				picked, err := q.StockTokenPick(ctx, tx, dbsqlc.StockTokenPickParams{
					ProductIds: []int64{productID}, PoolIds: []int64{0}, FromPositions: between[:1], BelowPositions: between[1:], UnitCounts: []int64{int64(c.Quantity)},
				})
				if err != nil {
					return err
				}
				if len(picked) < c.Quantity {
					continue
				}
				written, err := q.ClaimInsertMany(ctx, tx, insertClaims([]keyedClaim{c}, map[string]int64{c.SKU: productID}))
				if err != nil {
					return err
				}
				created = written[0].CreatedAt
				var take dbsqlc.StockTokenTakeParams
				for _, row := range picked {
					take.ProductIds = append(take.ProductIds, productID)
					take.PoolIds = append(take.PoolIds, 0)
					take.Positions = append(take.Positions, row.Position)
					take.ClaimIds = append(take.ClaimIds, c.id)
				}
				taken, err := q.StockTokenTake(ctx, tx, take)
				if err == nil && len(taken) != c.Quantity {
					err = fmt.Errorf("%d of %d tokens", len(taken), c.Quantity)
				}
				// Others may still have earlier ones: those are found from the beginning, when there are no more.
				if was := from.Load(); picked[0].Position-1000 > was {
					from.CompareAndSwap(was, picked[0].Position-1000)
				}
				return err
			}
			return pgx.ErrNoRows
		})
		return created, err
	})
}
