package shop

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

	pool  poolKey
	place int64 // in the queue
}

// ClaimRequest asks for units of a product for a buyer.
type ClaimRequest struct {
	Buyer    string // 1..128 characters
	SKU      string
	Quantity int    // 1..Options.MaxQuantity
	Key      string // idempotency key, up to 255 characters; empty: none
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
// Refusals: Validation, KeyReused, NotFound, NotSelling, SoldOut, AllHeld, NotEnoughUnits; Busy when it was not settled within
// Options.ClaimWait (nothing happened); OutcomeUnknown when the database was lost in a commit and did not come back in that time.
//
// When ctx ends before the claim was taken into a batch, nothing happens. After that a hold stands if it came with a key, and is
// released if not, because nobody would know of it.
func (s *Shop) Claim(ctx context.Context, r ClaimRequest) (Claimed, error) {
	c, err := s.through(ctx, s.lanes, &claimCall{ClaimRequest: r, id: pgdb.NewID()})
	if err == nil && c.Transaction.Status == Queued {
		c.Transaction, err = s.Await(ctx, r.Buyer, c.Transaction.ID, s.o.ClaimWait)
	}
	return c, err
}

// through puts a call through a lane and waits for what becomes of it.
func (s *Shop) through(ctx context.Context, lanes *claimLanes, call *claimCall) (Claimed, error) {
	if call.Quantity < 1 || call.Quantity > s.o.MaxQuantity {
		return Claimed{}, invalid("body.quantity", fmt.Sprintf("must be a whole number from 1 to %d", s.o.MaxQuantity))
	}
	wait, cancel := context.WithTimeout(ctx, s.o.ClaimWait)
	defer cancel()
	out, err := lanes.Do(wait, call.SKU, call)
	switch {
	case err != nil && call.unknown:
		return Claimed{}, outcomeUnknown()
	case err != nil:
		return Claimed{}, explain("claim", err)
	case out.refusal != nil:
		return Claimed{}, out.refusal
	case out.lapsed:
		// A replay of a hold that has lapsed: it is expired before it is shown.
		t, err := s.Transaction(ctx, call.Buyer, out.transaction.ID)
		return Claimed{Transaction: t, Replayed: out.replayed}, err
	}
	return Claimed{Transaction: out.transaction, Replayed: out.replayed}, s.undoForNobody(ctx, call.ClaimRequest, out.transaction.ID)
}

// undoForNobody gives back what was claimed without a key by somebody who has gone.
func (s *Shop) undoForNobody(ctx context.Context, r ClaimRequest, id ID) error {
	if ctx.Err() == nil || r.Key != "" {
		return nil
	}
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.Release(later, r.Buyer, id); err != nil {
		return err
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
	rows, err := s.q.ClaimOfBuyer(ctx, s.pool, dbsqlc.ClaimOfBuyerParams{Now: s.o.Now(), Buyer: buyer})
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
			Detail: "This transaction is part of an order. Cancel the order to give its units back.",
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
			err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
				n, err = s.expireIn(ctx, tx, poolKey{p.ProductID, p.PoolID}, holds)
				return err
			})
			if err != nil {
				return fmt.Errorf("expire lapsed holds: %w", err)
			}
		}
	}
	return nil
}

// expireIn expires up to so many lapsed holds of a pool, leaving out those that somebody else has locked, and tells how many.
func (s *Shop) expireIn(ctx context.Context, tx pgx.Tx, k poolKey, holds int) (int, error) {
	ids, err := s.q.ClaimLockLapsed(ctx, tx, dbsqlc.ClaimLockLapsedParams{
		ProductID: k.productID,
		PoolID:    k.poolID,
		Now:       s.o.Now(),
		RowLimit:  int32(holds),
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	ended, err := s.q.ClaimEnd(ctx, tx, dbsqlc.ClaimEndParams{Now: s.o.Now(), ClaimIds: ids})
	return len(ended), err
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
		status = Status(found)
		switch {
		case err != nil:
			return err
		case status == Queued && release:
			status = Released
			return s.q.ClaimCancelQueued(ctx, tx, dbsqlc.ClaimCancelQueuedParams{Now: s.o.Now(), ClaimID: id})
		case status != Held:
			return nil
		}
		ended, err := s.q.ClaimEnd(ctx, tx, dbsqlc.ClaimEndParams{Now: s.o.Now(), ClaimIds: []ID{id}, Release: release})
		if err == nil && len(ended) == 1 {
			status = Status(ended[0].Status)
		}
		return err
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
	row, err := s.reads.Do(ctx, id[len(id)-1]%readLanes, ownedID{id, buyer})
	if err == nil && row == nil {
		err = notFound("transaction")
	}
	if err != nil {
		return dbsqlc.ClaimByIDsRow{}, err
	}
	return *row, nil
}

// readLanes is how many queries for transactions may be under way at once.
const readLanes = 2

// read answers each call with its transaction, or nil.
func (s *Shop) read(ctx context.Context, batch []lane.Call[byte, ownedID]) []lane.Answer[*dbsqlc.ClaimByIDsRow] {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	answers := make([]lane.Answer[*dbsqlc.ClaimByIDsRow], len(batch))
	ids := make([]ownedID, len(batch))
	for i, c := range batch {
		ids[i] = c.In
	}
	found, err := s.claimsByIDs(ctx, s.pool, ids)
	for i, id := range ids {
		answers[i].Out, answers[i].Err = found[id], err
	}
	return answers
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
