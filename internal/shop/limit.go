package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// saleBuyer names what a buyer has of a sale.
type saleBuyer struct {
	saleID ID
	buyer  string
}

// saleCount is what a buyer has of a sale, in a batch that has the lock of it.
type saleCount struct {
	units int
	added int32 // by this batch
	// counted is what was written down of that when the buyer's row was made.
	counted int32
	limit   int32
	cool    time.Duration // how long the buyer can claim nothing yet
	unsure  bool          // somebody else is changing it
}

// limit locks what the buyers have of sales for whom there seem to be units, and expires their own lapsed holds and overdue orders where these
// stand in their way. It waits for nobody: who can't be locked now is put back.
func (b *settlement) limit(ctx context.Context, tx pgx.Tx) error {
	b.buyers = map[saleBuyer]*saleCount{}
	asked := map[saleBuyer]*saleTerms{}
	wanted := map[saleBuyer]int{}
	for _, p := range b.pools {
		left := len(p.tokens)
		for _, i := range p.calls {
			c := b.calls[i]
			if p.refusal != nil || c.refusal != nil || left < c.Quantity {
				continue
			}
			if left -= c.Quantity; c.terms != nil {
				k := saleBuyer{c.terms.SaleID, c.Buyer}
				asked[k] = c.terms
				wanted[k] += c.Quantity
			}
		}
	}
	if len(asked) == 0 {
		return nil
	}
	if err := b.enterBuyers(ctx, tx, asked, wanted); err != nil {
		return err
	}
	var own dbsqlc.SaleBuyerTryLockParams
	own.Now = b.s.o.Now()
	for k, n := range b.buyers {
		if t := asked[k]; t.CooldownSeconds > 0 || t.limit() > 0 && n.units+wanted[k] > int(t.limit()) {
			own.SaleIds = append(own.SaleIds, k.saleID)
			own.Buyers = append(own.Buyers, k.buyer)
		}
	}
	if len(own.SaleIds) == 0 {
		return nil
	}
	freed, err := b.freeOwn(ctx, tx, own)
	if err == nil && freed {
		err = b.lookAgain(ctx, tx, own)
	}
	if err != nil {
		return err
	}
	return b.leaveUnsure(ctx, tx, own)
}

// leaveUnsure marks the counts of buyers that still hold what has lapsed or is overdue, because somebody else has it locked at this moment: their calls
// are put back, and neither refused for it nor spared a cool-down.
func (b *settlement) leaveUnsure(ctx context.Context, tx pgx.Tx, own dbsqlc.SaleBuyerTryLockParams) error {
	rows, err := b.s.q.SaleBuyerLook(ctx, tx, dbsqlc.SaleBuyerLookParams{Now: b.s.o.Now(), SaleIds: own.SaleIds, Buyers: own.Buyers})
	if err != nil {
		return fmt.Errorf("look at buyers: %w", err)
	}
	for _, row := range rows {
		k := saleBuyer{row.SaleID, row.Buyer}
		if n := b.buyers[k]; n != nil && int(row.UnitCount) < n.units {
			n.unsure = true
		}
	}
	return nil
}

// enterBuyers reads what it can lock. For those who had nothing yet it writes down what they want, if they may have it.
func (b *settlement) enterBuyers(ctx context.Context, tx pgx.Tx, asked map[saleBuyer]*saleTerms, wanted map[saleBuyer]int) error {
	arg := dbsqlc.SaleBuyerEnterParams{Now: b.s.o.Now()}
	counted := make(map[saleBuyer]int32, len(asked))
	for k, t := range asked {
		if limit := int(t.limit()); limit == 0 || wanted[k] <= limit {
			counted[k] = int32(wanted[k])
		}
		arg.SaleIds = append(arg.SaleIds, k.saleID)
		arg.Buyers = append(arg.Buyers, k.buyer)
		arg.UnitCounts = append(arg.UnitCounts, counted[k])
		arg.PurchaseLimits = append(arg.PurchaseLimits, t.limit())
	}
	rows, err := b.s.q.SaleBuyerEnter(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("enter buyers: %w", err)
	}
	for _, row := range rows {
		k := saleBuyer{row.SaleID, row.Buyer}
		b.buyers[k] = &saleCount{units: int(row.UnitCount), limit: asked[k].limit(), cool: seconds(row.CoolSeconds)}
		if row.Entered {
			b.buyers[k].counted = counted[k]
		}
	}
	return nil
}

// lookAgain reads anew what buyers have of whom the batch has the locks.
func (b *settlement) lookAgain(ctx context.Context, tx pgx.Tx, own dbsqlc.SaleBuyerTryLockParams) error {
	rows, err := b.s.q.SaleBuyerTryLock(ctx, tx, own)
	if err != nil {
		return fmt.Errorf("lock buyers: %w", err)
	}
	for _, row := range rows {
		n := b.buyers[saleBuyer{row.SaleID, row.Buyer}]
		n.units, n.cool = int(row.UnitCount-n.counted), seconds(row.CoolSeconds)
	}
	return nil
}

// freeOwn expires the lapsed holds and cancels the overdue orders of buyers, of whose rows the batch has the locks. What comes of it can be claimed by the next batch.
func (b *settlement) freeOwn(ctx context.Context, tx pgx.Tx, own dbsqlc.SaleBuyerTryLockParams) (bool, error) {
	freed, err := b.s.freeOf(ctx, tx, own.SaleIds, own.Buyers)
	if err != nil {
		return false, err
	}
	for _, k := range freed {
		for _, p := range b.pools {
			if (p.poolKey == k || p.poolKey == poolKey{k.productID, commonPool}) && len(p.tokens) < b.wanted(p) {
				p.again = true
			}
		}
	}
	return len(freed) > 0, nil
}

// freeOf expires the lapsed holds that buyers have in sales, saleIDs and buyers go in pairs, and cancels their overdue orders. The caller has the locks of their
// counts. It leaves out what somebody else has locked, and names the pools that got units.
func (s *Shop) freeOf(ctx context.Context, tx pgx.Tx, saleIDs []ID, buyers []string) (freed []poolKey, err error) {
	ids, err := s.q.ClaimLockLapsedOfBuyers(ctx, tx, dbsqlc.ClaimLockLapsedOfBuyersParams{Now: s.o.Now(), SaleIds: saleIDs, Buyers: buyers})
	if err != nil {
		return nil, fmt.Errorf("lock lapsed holds of buyers: %w", err)
	}
	if len(ids) > 0 {
		ended, err := s.q.ClaimEnd(ctx, tx, dbsqlc.ClaimEndParams{Now: s.o.Now(), ClaimIds: ids})
		if err != nil {
			return nil, fmt.Errorf("expire holds of buyers: %w", err)
		}
		for _, row := range ended {
			freed = append(freed, poolKey{row.ProductID, row.PoolID})
		}
	}
	cancelled, err := s.cancelOverdue(ctx, tx, func() ([]overdueOrder, error) {
		rows, err := s.q.ShopOrderLockOverdue(ctx, tx, dbsqlc.ShopOrderLockOverdueParams{Now: s.o.Now(), Buyers: buyers, RowLimit: 1000})
		return overdueOrders(rows), err
	})
	return append(freed, cancelled...), err
}

// admit tells whether a call may have units that are there, and counts them. If not, it has its refusal, or is put back because what its buyer has
// could not be locked.
func (b *settlement) admit(c *claimCall) bool {
	if c.terms == nil {
		return true
	}
	n := b.buyers[saleBuyer{c.terms.SaleID, c.Buyer}]
	if n == nil || n.unsure {
		c.again = true
		return false
	}
	if c.judge(n.units, n.cool); c.refusal != nil || c.overLimit != nil {
		return false
	}
	n.units += c.Quantity
	return true
}

// judge says why a buyer who has so many units of the sale, and may be cooling down, can't have more.
func (c *claimCall) judge(units int, cool time.Duration) {
	limit := int(c.terms.limit())
	switch {
	case cool > 0:
		c.refusal = coolDown(cool)
	case limit > 0 && units+c.Quantity > limit:
		c.overLimit = purchaseLimit(limit, max(limit-units, 0))
	}
}

// added is what is still to be added to the counts of buyers, or taken off them.
func (b *settlement) added() (arg dbsqlc.SaleBuyerAddParams) {
	for k, n := range b.buyers {
		if n.added != n.counted {
			arg.SaleIds = append(arg.SaleIds, k.saleID)
			arg.Buyers = append(arg.Buyers, k.buyer)
			arg.UnitCounts = append(arg.UnitCounts, n.added-n.counted)
			arg.PurchaseLimits = append(arg.PurchaseLimits, n.limit)
		}
	}
	return arg
}

// look finds out, without locks, which of some calls would be refused for what their buyers have, whatever there is, and names the unpaid orders of
// those who have too much.
func (b *settlement) look(ctx context.Context, db pgdb.DB, calls []*claimCall) error {
	var arg dbsqlc.SaleBuyerLookParams
	asked := map[saleBuyer]bool{}
	for _, c := range calls {
		if c.terms == nil || c.refusal != nil || c.overLimit != nil {
			continue
		}
		if k := (saleBuyer{c.terms.SaleID, c.Buyer}); !asked[k] {
			asked[k] = true
			arg.SaleIds = append(arg.SaleIds, k.saleID)
			arg.Buyers = append(arg.Buyers, k.buyer)
		}
	}
	if len(asked) > 0 {
		arg.Now = b.s.o.Now()
		rows, err := b.s.q.SaleBuyerLook(ctx, db, arg)
		if err != nil {
			return fmt.Errorf("look at buyers: %w", err)
		}
		found := make(map[saleBuyer]dbsqlc.SaleBuyerLookRow, len(rows))
		for _, row := range rows {
			found[saleBuyer{row.SaleID, row.Buyer}] = row
		}
		for _, c := range calls {
			if c.terms != nil && c.refusal == nil && c.overLimit == nil {
				row := found[saleBuyer{c.terms.SaleID, c.Buyer}]
				c.judge(int(row.UnitCount), seconds(row.CoolSeconds))
			}
		}
	}
	return b.nameUnpaid(ctx, db, calls)
}

func (b *settlement) nameUnpaid(ctx context.Context, db pgdb.DB, calls []*claimCall) error {
	var arg dbsqlc.ShopOrderUnpaidOfBuyersParams
	over := map[saleBuyer][]*claimCall{}
	for _, c := range calls {
		if c.overLimit != nil {
			k := saleBuyer{c.terms.SaleID, c.Buyer}
			if over[k] = append(over[k], c); len(over[k]) == 1 {
				arg.SaleIds = append(arg.SaleIds, k.saleID)
				arg.Buyers = append(arg.Buyers, k.buyer)
			}
		}
	}
	if len(over) == 0 {
		return nil
	}
	rows, err := b.s.q.ShopOrderUnpaidOfBuyers(ctx, db, arg)
	if err != nil {
		return fmt.Errorf("look for unpaid orders: %w", err)
	}
	for _, row := range rows {
		for _, c := range over[saleBuyer{row.SaleID, row.Buyer}] {
			if len(c.overLimit.OrderIDs) < 100 {
				c.overLimit.OrderIDs = append(c.overLimit.OrderIDs, row.OrderID)
			}
		}
	}
	return nil
}

// seconds is a duration that the database gave as seconds; never negative.
func seconds(s float64) time.Duration { return max(time.Duration(s*float64(time.Second)), 0) }
