package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

// hold is longer than any run.
const hold = 24 * time.Hour

func startService(ctx context.Context, binary string, servers int, args ...string) (*driven.Service, error) {
	return driven.Start(ctx, binary, servers, append([]string{"--hold", hold.String()}, args...)...)
}

// stock makes products with so many units each.
func stock(s *driven.Service, units map[string]int) error {
	for sku, n := range units {
		if err := s.Stock(sku, "{}", n); err != nil {
			return err
		}
	}
	return nil
}

// rowsOf reads all claims out of the database.
func rowsOf(ctx context.Context, s *driven.Service) ([]row, error) {
	db, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	found, err := db.Query(ctx, `
		SELECT
			claim.claim_id::text, claim.buyer, coalesce(claim.idempotency_key, ''), product.sku, claim.status,
			coalesce(claim.reason, ''), coalesce(claim.queue_place, -1), coalesce(held.units, '')
		FROM claim
		JOIN product ON product.product_id = claim.product_id
		LEFT JOIN (
			SELECT claim_unit.claim_id, string_agg(claim_unit.unit_id::text, ' ' ORDER BY claim_unit.unit_id) AS units
			FROM claim_unit
			WHERE claim_unit.released_at IS NULL
			GROUP BY claim_unit.claim_id
		) AS held ON held.claim_id = claim.claim_id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(r pgx.CollectableRow) (d row, err error) {
		err = r.Scan(&d.id, &d.buyer, &d.key, &d.sku, &d.status, &d.reason, &d.place, &d.units)
		return d, err
	})
}
