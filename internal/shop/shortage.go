package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// refuse finds the reason for those who found too little. It looks after the claims of the batch were written, so that they count;
// and where tokens can be seen that somebody else has locked, the calls are put back until it is known what becomes of those.
func (b *settlement) refuse(ctx context.Context, tx pgx.Tx) error {
	arg := dbsqlc.StockTokenReckonParams{Now: b.s.o.Now()}
	byKey := map[poolKey]*poolShare{}
	for _, p := range b.pools {
		if len(p.short) == 0 {
			continue
		}
		byKey[p.poolKey] = p
		arg.ProductIds = append(arg.ProductIds, p.productID)
		arg.PoolIds = append(arg.PoolIds, p.poolID)
		arg.RowLimits = append(arg.RowLimits, int64(len(p.tokens)-len(p.spent))+1)
	}
	if len(byKey) == 0 {
		return nil
	}
	rows, err := b.s.q.StockTokenReckon(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("reckon: %w", err)
	}
	for _, row := range rows {
		p := byKey[poolKey{row.ProductID, row.PoolID}]
		left := int64(len(p.tokens) - len(p.spent))
		for _, i := range p.short {
			if p.again || row.TokenCount > left {
				b.answers[i].Again = true
				continue
			}
			b.answers[i].Out.refusal = shortage(left, row)
		}
	}
	return nil
}

// shortage is the truthful reason, as of the snapshot of row, for a claim that found only so many units.
func shortage(left int64, row dbsqlc.StockTokenReckonRow) *Refusal {
	if left > 0 {
		return &Refusal{
			Code:      NotEnoughUnits,
			Available: &left,
			Detail:    fmt.Sprintf("Only %d can be had right now. Ask for fewer.", left),
		}
	}
	if !row.MayReturn {
		return &Refusal{Code: SoldOut, Detail: "Every unit is sold. None will come back by itself."}
	}
	r := &Refusal{
		Code:       AllHeld,
		Detail:     "Every unit is in somebody's cart or in an order that is not yet paid. Some may come back: ask again.",
		RetryAfter: time.Second,
	}
	if row.NextReleaseAt != nil {
		next := *row.NextReleaseAt
		if next.Before(row.ReckonedAt) {
			next = row.ReckonedAt // it has lapsed, but somebody has it locked at this moment
		}
		r.NextReleaseAt = &next
		r.RetryAfter = max(next.Sub(row.ReckonedAt), time.Second)
	}
	return r
}
