package db_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// claim holds units of some pools, as a batch of claims is settled.
func (v *visitor) claim(t *testing.T) error {
	insert := dbsqlc.ClaimInsertManyParams{}
	var from []int // the pool of each claim
	some := 1 + v.rng.IntN(1<<len(v.pools)-1)
	for i, p := range v.pools {
		if some&(1<<i) == 0 {
			continue
		}
		key, hold, sale := "", shortHold, pgdb.ID{}
		if v.rng.IntN(2) == 0 {
			key = fmt.Sprintf("key-%d", v.rng.IntN(sharedKeyCount))
		}
		if v.rng.IntN(3) > 0 {
			hold = longHold
		}
		if p.sale != nil {
			sale = *p.sale
		}
		from = append(from, i)
		insert.ClaimIds = append(insert.ClaimIds, pgdb.NewID())
		insert.Buyers = append(insert.Buyers, fmt.Sprintf("buyer-%d", v.rng.IntN(buyerCount)))
		insert.ProductIds = append(insert.ProductIds, p.product)
		insert.PoolIds = append(insert.PoolIds, p.id)
		insert.Quantities = append(insert.Quantities, int32(1+v.rng.IntN(4)))
		insert.IdempotencyKeys = append(insert.IdempotencyKeys, key)
		insert.PriceMinors = append(insert.PriceMinors, -1)
		insert.Currencies = append(insert.Currencies, "")
		insert.HoldSeconds = append(insert.HoldSeconds, hold)
		insert.SaleIds = append(insert.SaleIds, sale)
		insert.ClaimReferences = append(insert.ClaimReferences, "")
		insert.Metadatas = append(insert.Metadatas, "")
	}
	units := map[pgdb.ID][]pgdb.ID{}
	highest := map[int]int64{}
	err := v.inTx(t, func(tx pgx.Tx) error {
		var take dbsqlc.StockTokenTakeParams
		for j, id := range insert.ClaimIds {
			positions, err := v.pick(t, tx, from[j], int64(insert.Quantities[j]))
			if err != nil {
				return err
			}
			highest[from[j]] = slices.Max(positions)
			for _, position := range positions {
				take.ProductIds = append(take.ProductIds, insert.ProductIds[j])
				take.PoolIds = append(take.PoolIds, insert.PoolIds[j])
				take.Positions = append(take.Positions, position)
				take.ClaimIds = append(take.ClaimIds, id)
			}
		}
		counted, err := v.admit(t, tx, insert)
		if err != nil {
			return err
		}
		written, err := v.q.ClaimInsertMany(t.Context(), tx, insert)
		if pgdb.ViolatesConstraint(err, "claim_key_once") {
			return errKeyTaken
		}
		if err != nil {
			return err
		}
		if len(written) != len(insert.ClaimIds) {
			t.Errorf("%d of %d claims were written", len(written), len(insert.ClaimIds))
		}
		taken, err := v.q.StockTokenTake(t.Context(), tx, take)
		if err != nil {
			return err
		}
		if len(taken) != len(take.ClaimIds) {
			t.Errorf("took %d tokens of %d that were locked", len(taken), len(take.ClaimIds))
		}
		for _, row := range taken {
			units[row.ClaimID] = append(units[row.ClaimID], row.UnitID)
		}
		return v.q.SaleBuyerAdd(t.Context(), tx, counted)
	})
	v.remember(err, insert, units)
	if err == nil {
		for i, position := range highest {
			v.cursors[i].Store(position + 1)
		}
	}
	return err
}

func (v *visitor) remember(err error, insert dbsqlc.ClaimInsertManyParams, units map[pgdb.ID][]pgdb.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err == nil:
		maps.Copy(v.answered, units)
		for i, id := range insert.ClaimIds {
			v.holds = append(v.holds, owned{id, insert.Buyers[i]})
		}
	case !errors.Is(err, pgdb.ErrOutcomeUnknown):
		v.undone = append(v.undone, insert.ClaimIds...)
	}
}

// pick locks tokens as a settlement does: from the cursor, from the beginning, and those of lapsed holds and overdue orders.
func (v *visitor) pick(t *testing.T, tx pgx.Tx, from int, quantity int64) ([]int64, error) {
	var positions []int64
	between := func(above, below int64) error {
		missing := quantity - int64(len(positions))
		if missing == 0 || above >= below {
			return nil
		}
		rows, err := v.q.StockTokenPick(t.Context(), tx, dbsqlc.StockTokenPickParams{
			ProductIds: []int64{v.pools[from].product}, PoolIds: []int64{v.pools[from].id},
			FromPositions: []int64{above}, BelowPositions: []int64{below}, UnitCounts: []int64{missing},
		})
		if int64(len(rows)) > missing {
			t.Errorf("picked %d tokens for %d", len(rows), missing)
		}
		for _, row := range rows {
			positions = append(positions, row.Position)
		}
		return err
	}
	cursor := v.cursors[from].Load()
	if err := between(cursor, everyPosition); err != nil {
		return nil, err
	}
	if err := between(0, cursor); err != nil {
		return nil, err
	}
	if missing := quantity - int64(len(positions)); missing > 0 {
		if err := v.freeIn(t, tx, from, int32(missing)); err != nil {
			return nil, err
		}
		if err := between(slices.Max(append(positions, 0))+1, everyPosition); err != nil {
			return nil, err
		}
	}
	if int64(len(positions)) < quantity {
		return nil, errTooFew
	}
	return positions, nil
}

func (v *visitor) release(t *testing.T) error {
	h, err := v.oneOf(&v.holds)
	if err != nil {
		return err
	}
	err = v.inTx(t, func(tx pgx.Tx) error {
		found, err := v.q.ClaimLock(t.Context(), tx, dbsqlc.ClaimLockParams{ClaimID: h.id, Buyer: h.buyer})
		if err != nil || found.Status != "held" {
			return cmp.Or(err, errTooLate)
		}
		if _, err := v.q.SaleBuyerLock(t.Context(), tx, dbsqlc.SaleBuyerLockParams{Buyer: h.buyer, SaleIds: v.sales()}); err != nil {
			return err
		}
		_, err = v.q.ClaimEnd(t.Context(), tx, dbsqlc.ClaimEndParams{ClaimIds: []pgdb.ID{h.id}, Release: true})
		return err
	})
	if err == nil || errors.Is(err, errTooLate) {
		v.forget(&v.holds, h.id)
	}
	return err
}

// oneOf picks a hold or an order that is not old, so that others want it at the same time.
func (v *visitor) oneOf(list *[]owned) (owned, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(*list) == 0 {
		return owned{}, errTooFew
	}
	return (*list)[len(*list)-1-v.rng.IntN(min(len(*list), visitors))], nil
}

// forget takes out what has come to its end, so that not everybody comes too late.
func (v *visitor) forget(list *[]owned, ids ...pgdb.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*list = slices.DeleteFunc(*list, func(o owned) bool { return slices.Contains(ids, o.id) })
}

// freeIn expires lapsed holds of a pool and cancels overdue orders that have units of it.
func (v *visitor) freeIn(t *testing.T, tx pgx.Tx, from int, limit int32) error {
	p := v.pools[from]
	rows, err := v.q.ClaimLockLapsed(t.Context(), tx, dbsqlc.ClaimLockLapsedParams{ProductID: p.product, PoolID: p.id, RowLimit: limit})
	if err != nil {
		return err
	}
	var pairs []saleBuyer
	for _, row := range rows {
		if row.SaleID != nil {
			pairs = append(pairs, saleBuyer{*row.SaleID, row.Buyer})
		}
	}
	locked, err := v.tryLock(t, tx, pairs)
	if err != nil {
		return err
	}
	ids := []pgdb.ID{}
	for _, row := range rows {
		if row.SaleID == nil || locked[saleBuyer{*row.SaleID, row.Buyer}] {
			ids = append(ids, row.ClaimID)
		}
	}
	ended, err := v.q.ClaimEnd(t.Context(), tx, dbsqlc.ClaimEndParams{ClaimIds: ids})
	if err != nil {
		return err
	}
	if len(ended) != len(ids) {
		t.Errorf("expired %d of %d lapsed holds that were locked", len(ended), len(ids))
	}
	return v.cancelOverdueIn(t, tx, p, limit)
}

func (v *visitor) somePool() pool { return v.pools[v.rng.IntN(len(v.pools))] }

func (v *visitor) withdraw(t *testing.T) error {
	id, product, quantity := pgdb.NewID(), v.somePool().product, int32(1+v.rng.IntN(3))
	place := []string{"available", "quarantine"}[v.rng.IntN(2)]
	return v.inTx(t, func(tx pgx.Tx) error {
		_, err := v.q.WithdrawalInsert(t.Context(), tx, dbsqlc.WithdrawalInsertParams{
			WithdrawalID: id, ProductID: product, Quantity: quantity, Reason: "test", Place: place, APIKeyID: pgdb.NewID(),
		})
		if err != nil {
			return err
		}
		var taken int64
		if place == "quarantine" {
			taken, err = v.q.QuarantineUnitWithdraw(t.Context(), tx, dbsqlc.QuarantineUnitWithdrawParams{WithdrawalID: id, ProductID: product, Quantity: quantity})
		} else {
			taken, err = v.q.WithdrawalTake(t.Context(), tx, dbsqlc.WithdrawalTakeParams{WithdrawalID: id, ProductID: product, Quantity: quantity})
		}
		if err == nil && taken < int64(quantity) {
			return errTooFew
		}
		if taken > int64(quantity) {
			t.Errorf("withdrew %d units for %d", taken, quantity)
		}
		return err
	})
}
