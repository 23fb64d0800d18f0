package shop

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// equalUnits finds units of the same products for claims that have lost theirs, all or none, within the purchase limits of one buyer. What it has found is locked until the
// transaction ends.
type equalUnits struct {
	s     *Shop
	tx    pgx.Tx
	buyer string
	lost  []lostClaim
	found map[poolKey][]int64 // positions that were picked and not yet given, rising
	limit map[ID]int32        // of the sales
	last  map[poolKey]int64   // the highest position that was picked
}

// lostClaim is a claim that is to have as many units again.
type lostClaim struct {
	claim    dbsqlc.Claim
	from     poolKey // where equal units are looked for first; then in the common pool
	quantity int
	given    []int64
}

func (e *equalUnits) ask(claim dbsqlc.Claim, poolID int64, quantity int) {
	e.lost = append(e.lost, lostClaim{claim: claim, from: poolKey{claim.ProductID, poolID}, quantity: quantity})
}

// find tells whether there are units for all claims, and its buyer may have them.
func (e *equalUnits) find(ctx context.Context) (bool, error) {
	within, err := e.withinLimits(ctx)
	if err != nil || !within {
		return false, err
	}
	e.found, e.last = map[poolKey][]int64{}, map[poolKey]int64{}
	// Products are visited in one order on every server.
	slices.SortStableFunc(e.lost, func(a, b lostClaim) int { return int(a.claim.ProductID - b.claim.ProductID) })
	for i := range e.lost {
		l := &e.lost[i]
		for _, k := range []poolKey{l.from, {l.claim.ProductID, commonPool}} {
			if err := e.pick(ctx, k, l.quantity); err != nil {
				return false, err
			}
			if have := e.found[k]; len(have) >= l.quantity {
				l.from, l.given, e.found[k] = k, have[:l.quantity], have[l.quantity:]
				break
			}
		}
		if len(l.given) < l.quantity {
			return false, nil
		}
	}
	return true, nil
}

// withinLimits locks what the buyer has of the sales, and puts away what of it has lapsed or is overdue where that stands in the way. While somebody else is about to put
// it away it is not known: Busy.
func (e *equalUnits) withinLimits(ctx context.Context) (bool, error) {
	more := map[ID]int32{}
	var ids []ID
	for _, l := range e.lost {
		if id := l.claim.SaleID; id != nil {
			if more[*id] == 0 {
				ids = append(ids, *id)
			}
			more[*id] += int32(l.quantity)
		}
	}
	if len(ids) == 0 {
		return true, nil
	}
	within, err := e.lockLimits(ctx, ids, more)
	if err != nil || within {
		return within, err
	}
	buyers := slices.Repeat([]string{e.buyer}, len(ids))
	freed, err := e.s.freeOf(ctx, e.tx, ids, buyers)
	if err != nil {
		return false, err
	}
	if err := e.s.cameBack(ctx, e.tx, freed...); err != nil {
		return false, err
	}
	within, err = e.lockLimits(ctx, ids, more)
	if err != nil || within {
		return within, err
	}
	rows, err := e.s.q.SaleBuyerLook(ctx, e.tx, dbsqlc.SaleBuyerLookParams{Now: e.s.o.Now(), SaleIds: ids, Buyers: buyers})
	if err != nil {
		return false, fmt.Errorf("look at buyer: %w", err)
	}
	for _, row := range rows {
		if limit, limited := e.limit[row.SaleID]; limited && row.UnitCount+more[row.SaleID] > limit {
			return false, nil
		}
	}
	return false, busy()
}

// lockLimits waits for what the buyer has of sales, and tells whether so many more are within the limits.
func (e *equalUnits) lockLimits(ctx context.Context, saleIDs []ID, more map[ID]int32) (within bool, err error) {
	rows, err := e.s.q.SaleBuyerLock(ctx, e.tx, dbsqlc.SaleBuyerLockParams{Buyer: e.buyer, SaleIds: saleIDs})
	if err != nil {
		return false, fmt.Errorf("lock buyer: %w", err)
	}
	within, e.limit = true, map[ID]int32{}
	for _, row := range rows {
		if row.PurchaseLimit != nil {
			within = within && row.UnitCount+more[row.SaleID] <= *row.PurchaseLimit
			e.limit[row.SaleID] = *row.PurchaseLimit
		}
	}
	return within, nil
}

// pick locks tokens of a pool until so many are found, if there are as many. What is in lapsed holds and overdue orders is there as well.
func (e *equalUnits) pick(ctx context.Context, k poolKey, quantity int) error {
	for tries := range 2 {
		missing := quantity - len(e.found[k])
		if missing <= 0 {
			return nil
		}
		if tries > 0 {
			if _, err := e.s.free(ctx, e.tx, k, missing, true); err != nil {
				return err
			}
		}
		rows, err := e.s.q.StockTokenPick(ctx, e.tx, dbsqlc.StockTokenPickParams{
			ProductIds: []int64{k.productID}, PoolIds: []int64{k.poolID}, FromPositions: []int64{e.last[k] + 1}, BelowPositions: []int64{math.MaxInt64},
			UnitCounts: []int64{int64(missing)},
		})
		if err != nil {
			return fmt.Errorf("pick tokens: %w", err)
		}
		if len(rows) > missing {
			return fmt.Errorf("pick tokens: %d for %d that were wanted", len(rows), missing)
		}
		for _, row := range rows {
			e.found[k] = append(e.found[k], row.Position)
			e.last[k] = max(e.last[k], row.Position)
		}
		slices.Sort(e.found[k])
	}
	return nil
}

// take gives the units that were found to new claims, which are lines of an order from the beginning.
func (e *equalUnits) take(ctx context.Context, orderID ID) error {
	var take dbsqlc.StockTokenTakeParams
	var add dbsqlc.SaleBuyerAddParams
	added := map[ID]int{}
	var pools []poolKey
	for _, l := range e.lost {
		id := pgdb.NewID()
		err := e.s.q.ClaimInsertOrdered(ctx, e.tx, dbsqlc.ClaimInsertOrderedParams{
			ClaimID: id, PoolID: l.from.poolID, Quantity: int32(l.quantity), OrderID: &orderID, ReplacesClaimID: l.claim.ClaimID, Now: e.s.o.Now(),
		})
		if err != nil {
			return fmt.Errorf("insert line: %w", err)
		}
		for _, position := range l.given {
			take.ProductIds = append(take.ProductIds, l.from.productID)
			take.PoolIds = append(take.PoolIds, l.from.poolID)
			take.Positions = append(take.Positions, position)
			take.ClaimIds = append(take.ClaimIds, id)
		}
		pools = append(pools, l.from)
		if saleID := l.claim.SaleID; saleID != nil {
			if n, is := added[*saleID]; is {
				add.UnitCounts[n] += int32(l.quantity)
				continue
			}
			added[*saleID] = len(add.SaleIds)
			add.SaleIds = append(add.SaleIds, *saleID)
			add.Buyers = append(add.Buyers, e.buyer)
			add.UnitCounts = append(add.UnitCounts, int32(l.quantity))
			add.PurchaseLimits = append(add.PurchaseLimits, e.limit[*saleID])
		}
	}
	rows, err := e.s.q.StockTokenTake(ctx, e.tx, take)
	if err != nil {
		return fmt.Errorf("take tokens: %w", err)
	}
	if len(rows) != len(take.ClaimIds) {
		return fmt.Errorf("take tokens: %d of %d that were locked", len(rows), len(take.ClaimIds))
	}
	if len(add.SaleIds) > 0 {
		if err := e.s.q.SaleBuyerAdd(ctx, e.tx, add); err != nil {
			return fmt.Errorf("count units of the buyer: %w", err)
		}
	}
	slices.SortFunc(pools, func(a, b poolKey) int { return int(a.productID-b.productID)*2 + int(a.poolID-b.poolID) })
	return e.s.ranOut(ctx, e.tx, slices.Compact(pools), e.last)
}
