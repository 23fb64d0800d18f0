package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// SampleSales is housekeeping: it writes down where the units of sales are, those of which a sample is due. Whichever server comes first does it for all; after a
// sample that took long, because the stock is large, nobody takes another for 29 times as long.
func (s *Shop) SampleSales(ctx context.Context) error {
	ids, err := s.q.SaleSampleDue(ctx, s.pool, dbsqlc.SaleSampleDueParams{Now: s.o.Now()})
	if err != nil {
		return fmt.Errorf("look for sales to sample: %w", err)
	}
	var failed error
	for _, id := range ids {
		if err := s.sampleSale(ctx, id); err != nil {
			failed = errors.Join(failed, fmt.Errorf("sample sale %s: %w", id, err))
		}
	}
	return failed
}

// sampleSale samples a sale, unless another server does so at this moment or has just done so.
func (s *Shop) sampleSale(ctx context.Context, id ID) error {
	return s.inTx(ctx, func(tx pgx.Tx) error {
		taken, err := s.q.SaleSampleTry(ctx, tx, id)
		if err != nil || !taken {
			return err
		}
		due, err := s.q.SaleSampleDue(ctx, tx, dbsqlc.SaleSampleDueParams{Now: s.o.Now(), SaleID: &id})
		if err != nil || len(due) == 0 {
			return err
		}
		began := time.Now()
		rows, err := s.q.SaleSamplePlaces(ctx, tx, dbsqlc.SaleSamplePlacesParams{Now: s.o.Now(), SaleID: id})
		if err != nil || len(rows) == 0 {
			return err
		}
		took := time.Since(began)
		arg := dbsqlc.SaleSampleInsertParams{SaleID: id, At: endOfSecond(rows[0].ReadAt), SampledAt: rows[0].ReadAt.Add(took), TookSeconds: took.Seconds()}
		for _, row := range rows {
			arg.ProductIds = append(arg.ProductIds, row.ProductID)
			arg.Available = append(arg.Available, row.Available)
			arg.Held = append(arg.Held, row.Held)
			arg.Ordered = append(arg.Ordered, row.Ordered)
			arg.Sold = append(arg.Sold, row.Sold)
			arg.Queued += row.Queued
		}
		return s.q.SaleSampleInsert(ctx, tx, arg)
	})
}
