package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Status is where a transaction stands; doc.go has the directions in which it moves.
type Status string

// The states of a transaction.
const (
	Queued   Status = "queued"
	Held     Status = "held"
	Ordered  Status = "ordered"
	Released Status = "released"
	Expired  Status = "expired"
	Refused  Status = "refused"
)

// Money is an amount in minor units (cents) of a currency (ISO 4217).
type Money struct {
	Amount   int64
	Currency string
}

// Transaction is the public record of a claim.
type Transaction struct {
	ID        ID
	Buyer     string
	Status    Status
	SKU       string
	Quantity  int
	UnitIDs   []ID
	Price     *Money // of one unit, as it was when the units were held
	ExpiresAt *time.Time
	CreatedAt time.Time
	// QueuePosition is how many units are asked for ahead of it while it is queued; 0 is next.
	QueuePosition int64
	// Refusal is why it is Refused; nil otherwise.
	Refusal *Refusal
	SaleID  *ID // the sale that it was made in
	OrderID *ID // that it is a line of
	// Reference and Metadata mean nothing to us; Metadata is a JSON object or nil.
	Reference string
	Metadata  json.RawMessage

	pool  poolKey
	place int64 // in the queue
}

// ClaimRequest asks for units of a product for a buyer.
type ClaimRequest struct {
	Buyer    string // 1..128 characters
	SKU      string
	Quantity int    // 1..the sale's maximum, or Options.MaxQuantity outside a sale
	Key      string // idempotency key, up to 255 characters; empty: none
	// SaleID asks for units of this sale and no others; nil: of the sale that is open for the product, if there is one, and otherwise normally.
	SaleID *ID
	// Reference (up to 200 characters) and Metadata (a JSON object) are the caller's own, and shown with the transaction.
	Reference string
	Metadata  json.RawMessage
}

// Claimed is the answer to a claim.
type Claimed struct {
	Transaction Transaction
	Replayed    bool // an earlier call with the same key made it
}

// Claim holds units for a buyer, all that were asked for or none, and answers when that is on disk; it goes behind the requests that were
// accepted into the product's queue before. A call with a key that has made a transaction before returns that one as it now is, having waited
// up to Options.ClaimWait for its turn if it is queued.
//
// Refusals: Validation, KeyReused, NotFound, NotSelling, SaleNotOpen, SalePaused, SaleEnded, CoolDown, SoldOut, PurchaseLimit, AllHeld,
// NotEnoughUnits; Busy when it was not settled within
// Options.ClaimWait (nothing happened); OutcomeUnknown when the database was lost in a commit and did not come back in that time.
//
// When ctx ends before the claim was taken into a batch, nothing happens. After that a hold stands if it came with a key, and is
// released if not, because nobody would know of it.
func (s *Shop) Claim(ctx context.Context, r ClaimRequest) (Claimed, error) {
	c, err := s.through(ctx, s.o.ClaimWait, s.lanes, &claimCall{ClaimRequest: r, id: pgdb.NewID()})
	if err == nil && c.Transaction.Status == Queued {
		c.Transaction, err = s.Await(ctx, r.Buyer, c.Transaction.ID, s.o.ClaimWait)
	}
	return c, err
}

// through puts a call through a lane and waits for so long for what becomes of it.
func (s *Shop) through(ctx context.Context, within time.Duration, lanes *claimLanes, call *claimCall) (Claimed, error) {
	if call.Quantity < 1 || call.Quantity > math.MaxInt32 {
		return Claimed{}, tooMany(s.o.MaxQuantity)
	}
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	call.arrivedAt = time.Now()
	out, err := lanes.Do(wait, call.SKU, call)
	switch {
	case errors.Is(err, lane.ErrUnderWay):
		return Claimed{}, explain("claim", err) // its batch has it, and may write to it
	case err != nil:
		if err = explain("claim", err); call.unknown {
			err = outcomeUnknown()
		}
		s.countLost(ctx, call, err)
		s.observeLost(ctx, call, err)
		return Claimed{}, err
	case out.refusal != nil && call.unknown:
		// The commit that was lost may be under way yet, waiting for a standby, and is not seen until it is done.
		return Claimed{}, outcomeUnknown()
	case out.refusal != nil:
		return Claimed{}, out.refusal
	case out.lapsed:
		// A replay of a hold that has lapsed: it is expired before it is shown.
		t, err := s.Transaction(ctx, call.Buyer, out.transaction.ID)
		return Claimed{Transaction: t, Replayed: out.replayed}, afterwards(err)
	}
	return Claimed{Transaction: out.transaction, Replayed: out.replayed}, s.undoForNobody(ctx, call.ClaimRequest, out.transaction.ID)
}

// undoForNobody gives back what was claimed without a key by somebody who has gone.
func (s *Shop) undoForNobody(ctx context.Context, r ClaimRequest, id ID) error {
	if !errors.Is(ctx.Err(), context.Canceled) || r.Key != "" {
		return nil // also for one whose time is over: the answer is there, and waited for
	}
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.Release(later, r.Buyer, id); err != nil {
		return afterwards(err)
	}
	return busy()
}

// Transaction reads a buyer's transaction as it now is. A hold that has lapsed is expired before it is shown. Refusals: NotFound.
func (s *Shop) Transaction(ctx context.Context, buyer string, id ID) (Transaction, error) {
	row, err := s.readClaim(ctx, buyer, id)
	if err != nil || !row.Lapsed {
		return transaction(row), explain("read transaction", err)
	}
	if _, err := s.end(ctx, buyer, id, false); err != nil {
		return Transaction{}, explain("expire transaction", err)
	}
	row, err = s.readClaim(ctx, buyer, id)
	return transaction(row), explain("read transaction", err)
}

// Cart is what a buyer has in the cart.
type Cart struct {
	Held   []Transaction // the oldest first, at most 1000
	Queued []Transaction
	Totals []Money // a sum for each currency, by its name
	// NextExpiry is when the first hold lapses; nil when there is none.
	NextExpiry *time.Time
}

// Cart reads a buyer's live transactions. Holds that have lapsed are expired first.
func (s *Shop) Cart(ctx context.Context, buyer string) (Cart, error) {
	var rows []dbsqlc.ClaimOfBuyerRow
	err := pgdb.Together(ctx, s.pool,
		func(db pgdb.Queryer) (err error) {
			rows, err = s.q.ClaimOfBuyer(ctx, db, dbsqlc.ClaimOfBuyerParams{Now: s.o.Now(), Buyer: buyer})
			return err
		},
		func(db pgdb.Queryer) error { return s.q.ClaimReadRecord(ctx, db) })
	if err != nil {
		return Cart{}, explain("read cart", err)
	}
	cart := Cart{}
	sums := map[string]int64{}
	for _, row := range rows {
		t := transaction(dbsqlc.ClaimByIDsRow(row))
		switch {
		case row.Lapsed:
			if _, err := s.end(ctx, buyer, t.ID, false); err != nil {
				return Cart{}, explain("expire transaction", err)
			}
		case t.Status == Queued:
			cart.Queued = append(cart.Queued, t)
		default:
			cart.Held = append(cart.Held, t)
			if cart.NextExpiry == nil || t.ExpiresAt.Before(*cart.NextExpiry) {
				cart.NextExpiry = t.ExpiresAt
			}
			if t.Price != nil {
				sums[t.Price.Currency] += t.Price.Amount * int64(t.Quantity)
			}
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		cart.Totals = append(cart.Totals, Money{Amount: sums[currency], Currency: currency})
	}
	return cart, nil
}

// Release gives a hold back: its units can be claimed at once. A request that is queued is cancelled. Releasing what has already ended changes nothing and is no
// refusal. It returns the state in which the transaction now is. Refusals: NotFound, Conflict for what was ordered.
func (s *Shop) Release(ctx context.Context, buyer string, id ID) (Status, error) {
	status, err := s.end(ctx, buyer, id, true)
	if err != nil {
		return "", explain("release transaction", err)
	}
	if status == Released {
		s.waiters.wake(ctx, ownedID{id, buyer})
	}
	if status == Ordered {
		return status, &Refusal{
			Code:   Conflict,
			State:  string(status),
			Detail: "This transaction is part of an order. Cancel the order, or if it is paid have it refunded, to give its units back.",
		}
	}
	return status, nil
}

// ExpireLapsed is housekeeping: it turns holds that have lapsed into expired ones, in batches. Nobody waits for it.
func (s *Shop) ExpireLapsed(ctx context.Context) error {
	const holds = 500
	pools, err := s.q.ClaimLapsedPools(ctx, s.pool, s.o.Now())
	if err != nil {
		return fmt.Errorf("find lapsed holds: %w", err)
	}
	for _, p := range pools {
		for n := holds; n == holds; {
			k := poolKey{p.ProductID, p.PoolID}
			err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
				if n, err = s.expireIn(ctx, tx, k, holds); err != nil || n == 0 {
					return err
				}
				return s.cameBack(ctx, tx, k)
			})
			if err != nil {
				return fmt.Errorf("expire lapsed holds: %w", err)
			}
		}
	}
	return nil
}

// free makes available what is: it expires lapsed holds and cancels overdue orders of a pool, so many at most of each, and for the common pool of a product that had
// allotments also those of sales that are over, whose units belong there. It leaves out what somebody else has locked, and tells how many holds
// and orders there were.
func (s *Shop) free(ctx context.Context, tx pgx.Tx, k poolKey, atMost int, hadAllotments bool) (int, error) {
	pools := []poolKey{k}
	if k.poolID == commonPool && hadAllotments {
		over, err := s.q.SaleLapsedPools(ctx, tx, dbsqlc.SaleLapsedPoolsParams{Now: s.o.Now(), ProductID: k.productID})
		if err != nil {
			return 0, fmt.Errorf("look for what sales have left: %w", err)
		}
		for _, id := range over {
			pools = append(pools, poolKey{k.productID, id})
		}
	}
	freed := 0
	for _, k := range pools {
		n, err := s.expireIn(ctx, tx, k, atMost)
		if err != nil {
			return 0, fmt.Errorf("expire lapsed holds: %w", err)
		}
		if freed += n; n < atMost {
			orders, err := s.cancelOverdueOf(ctx, tx, k, atMost-n)
			if err != nil {
				return 0, err
			}
			freed += len(orders)
		}
	}
	return freed, nil
}

// freeAll makes all available that is.
func (s *Shop) freeAll(ctx context.Context, tx pgx.Tx, k poolKey) error {
	const atOnce = 1000
	for n := atOnce; n >= atOnce; {
		var err error
		if n, err = s.free(ctx, tx, k, atOnce, true); err != nil {
			return err
		}
	}
	return nil
}

// expireIn expires up to so many lapsed holds of a pool, leaving out those that somebody else has locked, or whose buyer's count of the sale
// somebody else has locked, and tells how many.
func (s *Shop) expireIn(ctx context.Context, tx pgx.Tx, k poolKey, holds int) (int, error) {
	rows, err := s.q.ClaimLockLapsed(ctx, tx, dbsqlc.ClaimLockLapsedParams{
		ProductID: k.productID,
		PoolID:    k.poolID,
		Now:       s.o.Now(),
		RowLimit:  int32(holds),
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	pairs := make([]saleBuyer, len(rows))
	for i, row := range rows {
		pairs[i] = saleBuyer{orZero(row.SaleID), row.Buyer}
	}
	locked, err := s.tryLockBuyers(ctx, tx, pairs)
	if err != nil {
		return 0, err
	}
	var ids []ID
	for i, row := range rows {
		if row.SaleID == nil || locked[pairs[i]] {
			ids = append(ids, row.ClaimID)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	ended, err := s.q.ClaimEnd(ctx, tx, dbsqlc.ClaimEndParams{Now: s.o.Now(), ClaimIds: ids})
	return len(ended), err
}

// tryLockBuyers locks what buyers have of sales, those that nobody else has locked. Pairs without a sale are left out.
func (s *Shop) tryLockBuyers(ctx context.Context, tx pgx.Tx, pairs []saleBuyer) (map[saleBuyer]bool, error) {
	arg := dbsqlc.SaleBuyerTryLockParams{Now: s.o.Now()}
	asked := map[saleBuyer]bool{}
	for _, k := range pairs {
		if k.saleID != (ID{}) && !asked[k] {
			asked[k] = true
			arg.SaleIds = append(arg.SaleIds, k.saleID)
			arg.Buyers = append(arg.Buyers, k.buyer)
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	rows, err := s.q.SaleBuyerTryLock(ctx, tx, arg)
	if err != nil {
		return nil, fmt.Errorf("lock buyers: %w", err)
	}
	locked := make(map[saleBuyer]bool, len(rows))
	for _, row := range rows {
		locked[saleBuyer{row.SaleID, row.Buyer}] = true
	}
	return locked, nil
}

// end waits for the lock of a buyer's transaction and ends it: a hold if it has lapsed, or if it is to be released, and then also a request that
// is queued.
func (s *Shop) end(ctx context.Context, buyer string, id ID, release bool) (Status, error) {
	var status Status
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		found, err := s.q.ClaimLock(ctx, tx, dbsqlc.ClaimLockParams{ClaimID: id, Buyer: buyer})
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound("transaction")
		}
		status = Status(found.Status)
		switch {
		case err != nil:
			return err
		case status == Queued && release:
			status = Released
			return s.q.ClaimCancelQueued(ctx, tx, dbsqlc.ClaimCancelQueuedParams{Now: s.o.Now(), ClaimID: id})
		case status != Held:
			return s.q.ClaimReadRecord(ctx, tx) // it is what the caller is told
		}
		if found.SaleID != nil {
			if _, err := s.q.SaleBuyerLock(ctx, tx, dbsqlc.SaleBuyerLockParams{Buyer: buyer, SaleIds: []ID{*found.SaleID}}); err != nil {
				return fmt.Errorf("lock buyer: %w", err)
			}
		}
		ended, err := s.q.ClaimEnd(ctx, tx, dbsqlc.ClaimEndParams{Now: s.o.Now(), ClaimIds: []ID{id}, Release: release})
		if err != nil || len(ended) == 0 {
			return err
		}
		status = Status(ended[0].Status)
		return s.cameBack(ctx, tx, poolKey{ended[0].ProductID, ended[0].PoolID})
	})
	return status, err
}

// RemoveWithoutUnits is housekeeping: it removes transactions that never had units and ended longer ago than Options.KeepRefused, in
// batches: refused ones, and requests that were cancelled while they were queued. All others stay: they are their units' life.
func (s *Shop) RemoveWithoutUnits(ctx context.Context) error {
	const atOnce = 1000
	for n := int64(atOnce); n == atOnce; {
		var err error
		n, err = s.q.ClaimDeleteWithoutUnits(ctx, s.pool, dbsqlc.ClaimDeleteWithoutUnitsParams{
			Now: s.o.Now(), KeepSeconds: s.o.KeepRefused.Seconds(), RowLimit: atOnce,
		})
		if err != nil {
			return fmt.Errorf("remove transactions without units: %w", err)
		}
	}
	return nil
}

// ownedID is the id of a transaction and the buyer whose it must be.
type ownedID struct {
	id    ID
	buyer string
}

// readClaim reads a buyer's transaction. Reads that come together are one query: those who poll are many when there is most to do.
func (s *Shop) readClaim(ctx context.Context, buyer string, id ID) (dbsqlc.ClaimByIDsRow, error) {
	row, err := s.reads.Do(ctx, readLane(id), ownedID{id, buyer})
	if err == nil && row == nil {
		err = notFound("transaction")
	}
	if err != nil {
		return dbsqlc.ClaimByIDsRow{}, readError(err)
	}
	return *row, nil
}

// readError is what a lane says of a call that changes nothing: that it is under way means as little as that it has not begun.
func readError(err error) error {
	if errors.Is(err, lane.ErrUnderWay) {
		return busy()
	}
	return err
}

// readLanes is how many queries for transactions may be under way at once.
const readLanes = 2

// readLane spreads reads over the lanes of their kind.
func readLane(id ID) byte { return id[len(id)-1] % readLanes }

// read answers each call with its transaction, or nil.
func (s *Shop) read(ctx context.Context, batch []lane.Call[byte, ownedID], _ func()) []lane.Answer[*dbsqlc.ClaimByIDsRow] {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	answers := make([]lane.Answer[*dbsqlc.ClaimByIDsRow], len(batch))
	ids := make([]ownedID, len(batch))
	for i, c := range batch {
		ids[i] = c.In
	}
	found, err := s.claimsToShow(ctx, ids)
	for i, id := range ids {
		answers[i].Out, answers[i].Err = found[id], err
	}
	return answers
}

// claimsToShow reads transactions that somebody is shown.
func (s *Shop) claimsToShow(ctx context.Context, ids []ownedID) (found map[ownedID]*dbsqlc.ClaimByIDsRow, err error) {
	err = pgdb.Together(ctx, s.pool,
		func(db pgdb.Queryer) (err error) {
			found, err = s.claimsByIDs(ctx, db, ids)
			return err
		},
		func(db pgdb.Queryer) error { return s.q.ClaimReadRecord(ctx, db) })
	return found, err
}

func (s *Shop) claimsByIDs(ctx context.Context, db dbsqlc.DBTX, ids []ownedID) (map[ownedID]*dbsqlc.ClaimByIDsRow, error) {
	arg := dbsqlc.ClaimByIDsParams{Now: s.o.Now()}
	asked := make(map[ownedID]bool, len(ids))
	for _, id := range ids {
		if !asked[id] {
			asked[id] = true
			arg.ClaimIds = append(arg.ClaimIds, id.id)
			arg.Buyers = append(arg.Buyers, id.buyer)
		}
	}
	rows, err := s.q.ClaimByIDs(ctx, db, arg)
	if err != nil {
		return nil, err
	}
	found := make(map[ownedID]*dbsqlc.ClaimByIDsRow, len(rows))
	for i := range rows {
		found[ownedID{rows[i].Claim.ClaimID, rows[i].Claim.Buyer}] = &rows[i]
	}
	return found, nil
}

func transaction(row dbsqlc.ClaimByIDsRow) Transaction {
	t := Transaction{
		ID:        row.Claim.ClaimID,
		Buyer:     row.Claim.Buyer,
		Status:    Status(row.Claim.Status),
		SKU:       row.SKU,
		Quantity:  int(row.Claim.Quantity),
		UnitIDs:   row.UnitIds,
		Price:     money(row.Claim.PriceMinor, row.Claim.Currency),
		ExpiresAt: row.Claim.ExpiresAt,
		CreatedAt: row.Claim.CreatedAt,
		SaleID:    row.Claim.SaleID,
		OrderID:   row.Claim.OrderID,
		Reference: text(row.Claim.Reference),
		Metadata:  row.Claim.Metadata,
		pool:      poolKey{row.Claim.ProductID, row.Claim.PoolID},
	}
	if row.Claim.QueuePlace != nil {
		t.place = *row.Claim.QueuePlace
	}
	if t.Status == Queued {
		t.QueuePosition = row.QueuePosition
	}
	if row.Claim.Reason != nil {
		t.Refusal = refusalOf(*row.Claim.Reason, row.Claim.ReasonMembers)
	}
	return t
}

func money(minor *int64, currency *string) *Money {
	if minor == nil || currency == nil {
		return nil
	}
	return &Money{Amount: *minor, Currency: *currency}
}
