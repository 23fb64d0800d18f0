package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

var (
	theQueue = &thing{lock: (*repairer).lockQueue, look: (*repairer).lookAtQueue}
	theBuyer = &thing{lock: (*repairer).lockBuyer, look: (*repairer).lookAtBuyer}
	thePool  = &thing{lock: func(x *repairer, ctx context.Context, tx pgx.Tx, t target) (bool, error) {
		return x.lockPlaces(ctx, tx, t.id)
	}, look: (*repairer).lookAtPool}
	theReceipt    = &thing{lock: (*repairer).lockReceipt, look: (*repairer).lookAtReceipt}
	theStray      = &thing{lock: free, look: (*repairer).lookAtStray}
	theWithdrawal = &thing{lock: (*repairer).lockWithdrawal, look: (*repairer).lookAtWithdrawal}
	theWithdrawn  = &thing{lock: (*repairer).lockUnit, look: (*repairer).lookAtWithdrawn}
)

func (x *repairer) findQueueOrder(ctx context.Context, p dbsqlc.AuditProductsRow, _ *way) error {
	rows, err := x.s.q.AuditQueueOrder(ctx, x.s.pool, dbsqlc.AuditQueueOrderParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, row := range rows {
		x.note(target{thing: theQueue, sku: p.SKU, productID: p.ProductID, poolID: row.PoolID})
	}
	return err
}

// lockQueue waits for the tail of a queue, for its head and for all that is queued, so that nothing is accepted or settled meanwhile.
func (x *repairer) lockQueue(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	if _, err := x.s.q.RepairQueueTail(ctx, tx, dbsqlc.RepairQueueTailParams{ProductID: t.productID, PoolID: t.poolID}); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, err
	}
	if _, err := x.s.q.RepairQueueHead(ctx, tx, dbsqlc.RepairQueueHeadParams{ProductID: t.productID, PoolID: t.poolID}); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, err
	}
	_, err := x.s.q.RepairQueueLock(ctx, tx, dbsqlc.RepairQueueLockParams{ProductID: t.productID, PoolID: t.poolID})
	return true, err
}

// lookAtQueue looks whether what is queued lies between the ends of its queue, one behind the other.
func (x *repairer) lookAtQueue(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	rows, err := x.s.q.AuditQueueOrder(ctx, db, dbsqlc.AuditQueueOrderParams{ProductID: t.productID, RowLimit: repairsAtMost})
	if err != nil {
		return nil, err
	}
	var wrong []dbsqlc.AuditQueueOrderRow
	var which []string
	for _, row := range rows {
		if row.PoolID != t.poolID {
			continue
		}
		if wrong = append(wrong, row); len(wrong) <= 20 {
			which = append(which, fmt.Sprintf("%s (%s) at place %d", row.ClaimID, row.Status, row.QueuePlace))
		}
	}
	if len(wrong) == 0 {
		return nil, nil
	}
	if more := len(wrong) - len(which); more > 0 {
		which = append(which, fmt.Sprintf("and %d more", more))
	}
	f := &fault{RepairStep: RepairStep{Rows: found(wrong...)}, moves: true}
	f.Broken = fmt.Sprintf("The queue of %s in the pool %d is settled up to %d (queue_head) and goes to %d (queue_tail), and does not hold these, or not one behind the other: %s.",
		t.sku, t.poolID, wrong[0].HeadPlace, wrong[0].TailPlace, strings.Join(which, ", "))
	f.Repair = "What is still queued gets places one behind the other, in the order in which it is, from where the queue is settled to on; who was passed by is first. Both ends are counted anew. What is settled and shares its place counts as settled before all others."
	f.Buyers = "Nobody who waits loses their turn to anybody behind them. Who was served or refused before their turn stays so: tell those who were refused to ask again."
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) { return x.mendQueue(ctx, tx, t, wrong[0]) }
	return f, nil
}

func (x *repairer) mendQueue(ctx context.Context, tx pgx.Tx, t target, ends dbsqlc.AuditQueueOrderRow) (string, error) {
	settled, err := x.s.q.RepairQueueSettled(ctx, tx, dbsqlc.RepairQueueSettledParams{ProductID: t.productID, PoolID: t.poolID})
	if err != nil {
		return "", err
	}
	line, err := x.s.q.RepairQueueLine(ctx, tx, dbsqlc.RepairQueueLineParams{ProductID: t.productID, PoolID: t.poolID})
	if err != nil {
		return "", err
	}
	// Behind all that is not queued any more, also what was cancelled, so that nothing shares a place.
	head := max(ends.HeadPlace, settled.SettledTo)
	next, beyond := head, head+ends.TailPlace
	var ids []ID
	var places []int64
	for _, c := range line {
		ids, places = append(ids, c.ClaimID), append(places, next)
		next += int64(c.Quantity)
		beyond = max(beyond, c.QueuePlace, -c.QueuePlace)
	}
	if len(ids) > 0 {
		if err := x.s.q.RepairQueueLeave(ctx, tx, dbsqlc.RepairQueueLeaveParams{Beyond: 2*beyond + 1, ClaimIds: ids}); err != nil {
			return "", err
		}
		n, err := x.s.q.RepairQueuePlace(ctx, tx, dbsqlc.RepairQueuePlaceParams{ClaimIds: ids, QueuePlaces: places})
		if err == nil && int(n) != len(ids) {
			err = errRepairChanged
		}
		if err != nil {
			return "", err
		}
	}
	tail := max(next, ends.TailPlace)
	if err := x.s.q.RepairQueueTo(ctx, tx, dbsqlc.RepairQueueToParams{ProductID: t.productID, PoolID: t.poolID, TailPlace: tail, HeadPlace: head}); err != nil {
		return "", err
	}
	said := fmt.Sprintf("%d requests are queued from %d to %d; the queue goes to %d.", len(ids), head, next, tail)
	moved, err := x.mendSettled(ctx, tx, t, min(settled.SettledFrom, 0))
	if moved > 0 {
		said += fmt.Sprintf(" %d that are settled shared their places, and have others.", moved)
	}
	return said, err
}

// mendSettled gives requests that are settled, and whose places are others' as well, places before all that there are.
func (x *repairer) mendSettled(ctx context.Context, tx pgx.Tx, t target, lowest int64) (int, error) {
	rows, err := x.s.q.AuditQueueOrder(ctx, tx, dbsqlc.AuditQueueOrderParams{ProductID: t.productID, RowLimit: repairsAtMost})
	if err != nil {
		return 0, err
	}
	var arg dbsqlc.RepairQueuePlaceParams
	for _, row := range rows {
		if row.PoolID == t.poolID && row.Status != "queued" {
			lowest -= int64(row.Quantity)
			arg.ClaimIds, arg.QueuePlaces = append(arg.ClaimIds, row.ClaimID), append(arg.QueuePlaces, lowest)
		}
	}
	if len(arg.ClaimIds) > 0 {
		_, err = x.s.q.RepairQueuePlace(ctx, tx, arg)
	}
	return len(arg.ClaimIds), err
}

func (x *repairer) findPurchaseLimit(ctx context.Context, p dbsqlc.AuditProductsRow, _ *way) error {
	rows, err := x.s.q.AuditPurchaseLimit(ctx, x.s.pool, dbsqlc.AuditPurchaseLimitParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, row := range rows {
		t := target{thing: theBuyer, sku: p.SKU, productID: p.ProductID, id: row.SaleID, buyer: row.Buyer}
		if !slices.ContainsFunc(x.targets, func(k target) bool { return k.thing == t.thing && k.id == t.id && k.buyer == t.buyer }) {
			x.note(t) // a sale of several products is found with each
		}
	}
	return err
}

func (x *repairer) lockBuyer(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	_, err := x.s.q.RepairBuyerLock(ctx, tx, dbsqlc.RepairBuyerLockParams{SaleID: t.id, Buyer: t.buyer, ClaimIds: []ID{}, OrderIds: []ID{}})
	return true, err
}

// lookAtBuyer looks whether it is counted what a buyer has of a sale, and whether that is more than anybody may have.
func (x *repairer) lookAtBuyer(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	row, err := x.s.q.RepairBuyer(ctx, db, dbsqlc.RepairBuyerParams{Buyer: t.buyer, SaleID: t.id})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	limit := int64(0)
	if row.PurchaseLimit != nil {
		limit = int64(*row.PurchaseLimit)
	}
	f := &fault{RepairStep: RepairStep{SaleID: &t.id, Buyer: &t.buyer, Rows: found(row)}}
	has := fmt.Sprintf("%q has %d units of the sale %s (in the cart: %s; in orders: %s)", t.buyer, row.UnitCount, t.id, orNone(row.HeldIds), orNone(row.OrderIds))
	switch {
	case max(row.Counted, 0) != row.UnitCount:
		counted := fmt.Sprintf("%d are counted", row.Counted)
		if row.Counted < 0 {
			counted = "nothing is counted"
		}
		f.Broken = fmt.Sprintf("%s, but %s (sale_buyer.unit_count).", has, counted)
		f.Repair = fmt.Sprintf("%d are counted.", row.UnitCount)
		f.Buyers = fmt.Sprintf("%q can have as many more as anybody may, and no others.", t.buyer)
		if limit > 0 && row.UnitCount > limit {
			f.Buyers = fmt.Sprintf("%q has more than anybody may (%d), which the next audit names, and can't have more.", t.buyer, limit)
		}
		f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
			var err error
			if row.Counted < 0 {
				err = one(x.s.q.RepairBuyerInsert(ctx, tx, dbsqlc.RepairBuyerInsertParams{Buyer: t.buyer, UnitCount: int32(row.UnitCount), SaleID: t.id}))
			} else {
				err = one(x.s.q.RepairBuyerCount(ctx, tx, dbsqlc.RepairBuyerCountParams{SaleIds: []ID{t.id}, Buyers: []string{t.buyer}}))
			}
			return fmt.Sprintf("%d are counted now.", row.UnitCount), err
		}
	case limit > 0 && row.UnitCount > limit:
		f.Broken = fmt.Sprintf("%s, and nobody may have more than %d (sale.purchase_limit).", has, limit)
		f.Repair = fmt.Sprintf("A person has to decide who loses what: raise the limit (PATCH /api/v1/sales/%s {\"purchase_limit\": %d}); or release a hold (DELETE /api/v1/cart/{transaction_id} with a key "+
			"of the scope claim and the header Buyer-Id), cancel an order that is not paid, or refund units of one that is (POST /api/v1/orders/{id}/refund).", t.id, row.UnitCount)
		f.Buyers = fmt.Sprintf("%q can't have more, and keeps these until then.", t.buyer)
	default:
		return nil, nil
	}
	return f, nil
}

func orNone(ids []ID) string {
	if len(ids) == 0 {
		return "none"
	}
	return idList(ids)
}

func (x *repairer) findPools(ctx context.Context, p dbsqlc.AuditProductsRow, _ *way) error {
	rows, err := x.s.q.AuditPools(ctx, x.s.pool, dbsqlc.AuditPoolsParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, row := range rows {
		x.note(target{thing: thePool, sku: p.SKU, productID: p.ProductID, id: row.UnitID})
	}
	return err
}

// lookAtPool looks whether a unit's token lies in a pool of its product's.
func (x *repairer) lookAtPool(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	rows, err := x.s.q.RepairTokenPools(ctx, db, t.id)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	f := &fault{RepairStep: RepairStep{UnitID: &t.id, SaleID: orNil(rows[0].SaleID), Rows: found(rows...)}}
	var where []string
	for _, row := range rows {
		sale := "which is of no sale"
		if row.SaleID != (ID{}) {
			sale = fmt.Sprintf("of the sale %s, which is %s or has no allotment of it", row.SaleID, row.Stage)
		}
		where = append(where, fmt.Sprintf("at position %d of the pool %d, %s", row.Position, row.PoolID, sale))
	}
	f.Broken = fmt.Sprintf("The unit lies on sale %s (stock_token).", strings.Join(where, ", and "))
	f.Repair = "It goes to the common pool, behind all that is there."
	f.Buyers = "It could not be claimed, or not as planned; now anybody can claim it."
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
		var pools []poolKey
		for _, row := range rows {
			if err := one(x.s.q.RepairTokenMove(ctx, tx, dbsqlc.RepairTokenMoveParams{ProductID: row.ProductID, PoolID: row.PoolID, Position: row.Position})); err != nil {
				return "", err
			}
			pools = append(pools, poolKey{row.ProductID, row.PoolID})
		}
		return "It lies in the common pool.", x.s.cameBack(ctx, tx, pools...)
	}
	return f, nil
}

// findConservation looks at what has lost its receipt or its withdrawal first, because that is what these lack.
func (x *repairer) findConservation(ctx context.Context, p dbsqlc.AuditProductsRow, way *way) error {
	s := x.s
	audit := productAudit{s: s, p: p, way: way, only: "conservation", counted: map[ID]int64{}, a: &Audit{Checks: newAudit(p.SKU, s.Clock()).Checks}}
	received, err := audit.receipts(ctx)
	if err != nil {
		return err
	}
	if err := audit.throughUnits(ctx); err != nil {
		return err
	}
	strays, err := s.q.RepairStrayUnits(ctx, s.pool, dbsqlc.RepairStrayUnitsParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	if err != nil {
		return err
	}
	for _, row := range strays {
		x.note(target{thing: theStray, sku: p.SKU, productID: p.ProductID, id: row.UnitID})
	}
	withdrawn, err := s.q.RepairWithdrawalUnits(ctx, s.pool, dbsqlc.RepairWithdrawalUnitsParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	if err != nil {
		return err
	}
	for _, id := range withdrawn {
		x.note(target{thing: theWithdrawn, sku: p.SKU, productID: p.ProductID, id: id})
	}
	var short []ID
	for id, quantity := range received {
		if audit.counted[id] != quantity {
			short = append(short, id)
		}
	}
	for _, id := range sortedIDs(short) {
		x.note(target{thing: theReceipt, sku: p.SKU, productID: p.ProductID, id: id})
	}
	withdrawals, err := s.q.RepairWithdrawals(ctx, s.pool, dbsqlc.RepairWithdrawalsParams{ProductID: p.ProductID, RowLimit: repairsAtMost})
	for _, id := range withdrawals {
		x.note(target{thing: theWithdrawal, sku: p.SKU, productID: p.ProductID, id: id})
	}
	return err
}

// receiptOfStrays is the receipt that the units of a product which came with none of it must be of: the only one that lacks units, and just as many. Nil: it can't be told.
func (x *repairer) receiptOfStrays(ctx context.Context, db pgdb.Queryer, productID int64) (*dbsqlc.RepairReceiptsRow, []dbsqlc.RepairStrayUnitsRow, error) {
	strays, err := x.s.q.RepairStrayUnits(ctx, db, dbsqlc.RepairStrayUnitsParams{ProductID: productID, RowLimit: repairsAtMost + 1})
	if err != nil || len(strays) == 0 {
		return nil, nil, err
	}
	short, err := x.s.q.RepairReceipts(ctx, db, productID)
	if err != nil || len(short) != 1 || short[0].Missing != int64(len(strays)) {
		return nil, strays, err
	}
	return &short[0], strays, nil
}

// lookAtStray looks at units that came with no receipt of their product, all of a product at once.
func (x *repairer) lookAtStray(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	of, strays, err := x.receiptOfStrays(ctx, db, t.productID)
	i := slices.IndexFunc(strays, func(row dbsqlc.RepairStrayUnitsRow) bool { return row.UnitID == t.id })
	if err != nil || i < 0 {
		return nil, err
	}
	f := &fault{RepairStep: RepairStep{UnitID: &t.id, Rows: found(strays[i])}}
	f.Broken = fmt.Sprintf("The unit came with the receipt %s (unit.receipt_id), which is none of %s.", strays[i].ReceiptID, t.sku)
	f.Buyers = "Nothing changes for them."
	switch {
	case of != nil:
		f.Repair = fmt.Sprintf("It came with the receipt %s (%q), the only one of %s that lacks units, and just as many as there are of these.", of.ReceiptID, of.Reference, t.sku)
		f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
			return fmt.Sprintf("It is of the receipt %s.", of.ReceiptID),
				one(x.s.q.RepairUnitReceipt(ctx, tx, dbsqlc.RepairUnitReceiptParams{ReceiptID: of.ReceiptID, UnitID: t.id}))
		}
	default:
		f.Repair = fmt.Sprintf("A person has to: which receipt of %s it is of can't be told, since not just one lacks as many units as there are of these. Count the shelf; then name the right receipt by hand: "+
			"UPDATE unit SET receipt_id = '...' WHERE unit_id = '%s'; and run it again.", t.sku, t.id)
	}
	return f, nil
}

func (x *repairer) lockReceipt(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	_, err := x.s.q.RepairReceiptLock(ctx, tx, t.id)
	return true, err
}

// lookAtReceipt looks whether there are as many units of a receipt as it brought. The books then say what there is; whether that is so, only the shelf tells.
func (x *repairer) lookAtReceipt(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	row, err := x.s.q.RepairReceipt(ctx, db, t.id)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.UnitCount == int64(row.Quantity) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if of, _, err := x.receiptOfStrays(ctx, db, t.productID); err != nil || of != nil {
		return nil, err // it gets its units back
	}
	f := &fault{RepairStep: RepairStep{Rows: found(row)}}
	f.Broken = fmt.Sprintf("The receipt %s (%q) brought %d units (receipt.quantity), but there are %d of it (unit).", t.id, row.Reference, row.Quantity, row.UnitCount)
	f.Buyers = "Nothing changes for them."
	if row.UnitCount < 1 || row.UnitCount > MaxReceiptQuantity {
		f.Repair = "A person has to: all its units are gone, or there are too many for one receipt. Look for them in a backup; if they never came, delete its row of receipt by hand."
		return f, nil
	}
	f.Repair = fmt.Sprintf("It becomes one of %d, what there is: no unit comes into being or goes by it. Count the shelf: what is there and not in the books is received (POST /api/v1/products/%s/receipts), "+
		"what is in the books and not there is withdrawn (.../withdrawals).", row.UnitCount, t.sku)
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
		return fmt.Sprintf("It is one of %d units, %+d: count the shelf.", row.UnitCount, row.UnitCount-int64(row.Quantity)),
			one(x.s.q.RepairReceiptQuantity(ctx, tx, dbsqlc.RepairReceiptQuantityParams{Quantity: int32(row.UnitCount), ReceiptID: t.id}))
	}
	return f, nil
}

func (x *repairer) lockWithdrawal(ctx context.Context, tx pgx.Tx, t target) (bool, error) {
	_, err := x.s.q.RepairWithdrawalLock(ctx, tx, t.id)
	return true, err
}

// lookAtWithdrawal looks whether there are as many units of a withdrawal as it took.
func (x *repairer) lookAtWithdrawal(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	row, err := x.s.q.RepairWithdrawal(ctx, db, t.id)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.UnitCount == int64(row.Quantity) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := &fault{RepairStep: RepairStep{Rows: found(row)}}
	f.Broken = fmt.Sprintf("The withdrawal %s (%q) took %d units (withdrawal.quantity), but there are %d of it (withdrawal_unit).", t.id, row.Reason, row.Quantity, row.UnitCount)
	f.Buyers = "Nothing changes for them, until the shelf is counted: what is on sale and not there would be sold in vain."
	count := fmt.Sprintf(" No unit moves. Count the shelf at once: what is in the books and not there is withdrawn again (POST /api/v1/products/%s/withdrawals).", t.sku)
	if row.UnitCount == 0 {
		f.Repair = "It is deleted (and kept in the table repair), because there is nothing of it." + count
		f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
			return "It was deleted: count the shelf.", one(x.s.q.RepairWithdrawalDelete(ctx, tx, t.id))
		}
		return f, nil
	}
	f.Repair = fmt.Sprintf("It becomes one of %d, what there is.", row.UnitCount) + count
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
		return fmt.Sprintf("It is one of %d units, %+d: count the shelf.", row.UnitCount, row.UnitCount-int64(row.Quantity)),
			one(x.s.q.RepairWithdrawalQuantity(ctx, tx, dbsqlc.RepairWithdrawalQuantityParams{Quantity: int32(row.UnitCount), WithdrawalID: t.id}))
	}
	return f, nil
}

// lookAtWithdrawn looks whether a unit was withdrawn by a withdrawal of its product.
func (x *repairer) lookAtWithdrawn(ctx context.Context, db pgdb.Queryer, t target) (*fault, error) {
	u, err := x.placesOf(ctx, db, t.id)
	if err != nil || len(u.units) != 1 {
		return nil, err
	}
	var wrong []place
	var which []string
	for _, w := range u.withdrawals {
		switch {
		case w.ProductID == u.productID():
		case w.ProductID == 0:
			wrong, which = append(wrong, w), append(which, fmt.Sprintf("%s, which does not exist", w.ID))
		default:
			wrong, which = append(wrong, w), append(which, fmt.Sprintf("%s, which is of %s", w.ID, w.SKU))
		}
	}
	if len(wrong) == 0 {
		return nil, nil
	}
	f := &fault{RepairStep: RepairStep{UnitID: &t.id, Rows: found(u.rows...)}}
	f.Broken = fmt.Sprintf("The unit was withdrawn by %s (withdrawal_unit).", strings.Join(which, ", and by "))
	f.Repair = "It is withdrawn no more. If it is in no other place it goes to quarantine, until a person has seen whether it is there: then release it, or withdraw it anew."
	f.Buyers = "Nothing changes for them: it can't be claimed."
	f.mend = func(ctx context.Context, tx pgx.Tx) (string, error) {
		for _, w := range wrong {
			if err := one(x.s.q.RepairWithdrawalUnitDelete(ctx, tx, dbsqlc.RepairWithdrawalUnitDeleteParams{UnitID: t.id, WithdrawalID: w.ID})); err != nil {
				return "", err
			}
		}
		entered, err := x.shelter(ctx, tx, t.id)
		if entered {
			return "It went to quarantine.", err
		}
		return "It stays in the place where it was besides.", err
	}
	return f, nil
}
