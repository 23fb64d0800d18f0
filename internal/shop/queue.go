package shop

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// queueShare is what a batch sees and settles of the queue of a pool.
type queueShare struct {
	head, tail int64 // places: what was accepted and not yet settled lies from head to before tail
	drains     []int // calls that ask for no more than that the queue is settled
	reached    int64 // up to where the batch settles it, if moved
	moved      bool
	more       bool // it goes on behind reached
	blocked    bool // somebody else has locked the request at reached
}

// acceptWait is how long a claim waits to be accepted, unless Options.ClaimWait is less: there is nobody to wait for but the database.
const acceptWait = 3 * time.Second

// Enqueue accepts a claim into the queue of its product, or answers at once what needs no stock to be decided, and waits up to so long
// for the claim's turn: with 0, or when it has not come by then, the transaction is still queued. What it returns is on disk. A call with
// a key that has made a transaction before returns that one as it now is. A claim that is refused when its turn comes is a transaction
// with the status Refused, and no error.
//
// Refusals: Validation, KeyReused, NotFound, NotSelling, SoldOut; Busy when as many units are asked for in the queue as may be, or when it
// could not be accepted within acceptWait (nothing happened); TooManyRequests when the buyer has as many requests queued as anybody
// may have; OutcomeUnknown as for Claim.
//
// When ctx ends before the claim was taken into a batch, nothing happens. After that it stays if it came with a key, and is cancelled
// if not, because nobody would know of it.
func (s *Shop) Enqueue(ctx context.Context, r ClaimRequest, wait time.Duration) (Claimed, error) {
	call := &claimCall{ClaimRequest: r, kind: newRequest, id: pgdb.NewID()}
	if wait <= 0 {
		return s.through(ctx, min(s.o.ClaimWait, acceptWait), s.accepts, call)
	}
	// Before it is accepted, so that its turn can't be missed.
	w := s.waiters.add(ownedID{call.id, r.Buyer})
	defer s.waiters.remove(w)
	c, err := s.through(ctx, min(s.o.ClaimWait, acceptWait), s.accepts, call)
	if err != nil || c.Transaction.Status != Queued {
		return c, err
	}
	if c.Transaction.ID != call.id {
		c.Transaction, err = s.Await(ctx, r.Buyer, c.Transaction.ID, wait)
		return c, err
	}
	s.waiters.place(w, c.Transaction)
	c.Transaction = s.await(ctx, w, c.Transaction, wait)
	return c, s.undoForNobody(ctx, r, c.Transaction.ID)
}

// accept writes a batch of requests into the queues of their products, in one transaction.
func (s *Shop) accept(ctx context.Context, batch []lane.Call[string, *claimCall], _ func()) []claimAnswer {
	b, answers := s.inBatch(ctx, batch, (*settlement).append)
	if b.committed {
		s.countBatch(b)
		s.observeBatch(b)
	}
	started := ""
	for i, a := range answers {
		// Also what was found to be queued already: the commit that accepted it may have been lost, and with it this call.
		if sku := batch[i].In.SKU; a.Out.transaction.Status == Queued && sku != started {
			s.drains.start(sku)
			started = sku
		}
	}
	return answers
}

// append answers what needs no stock to be decided and gives the others their places, in order of arrival.
func (b *settlement) append(ctx context.Context, tx pgx.Tx) error {
	open, err := b.begin(ctx, tx)
	if err != nil || len(open) == 0 {
		return err
	}
	for _, step := range []func(context.Context, pgx.Tx) error{
		b.refuseBuyers,
		b.refuseCrowding,
		b.enqueue,
	} {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// drop answers the calls of a pool that are to be refused with a refusal, and leaves the pools that have calls left.
func (b *settlement) drop(refuse func(i int, p *poolShare, c *claimCall) *Refusal) {
	var left []*poolShare
	for _, p := range b.pools {
		var calls []int
		for _, i := range p.calls {
			if r := refuse(i, p, b.calls[i]); r != nil {
				b.answers[i].Out.refusal = r
				continue
			}
			calls = append(calls, i)
		}
		if p.calls = calls; len(calls) > 0 {
			left = append(left, p)
		}
	}
	b.pools = left
}

// refuseBuyers answers those who are cooling down, those whose product is sold out for good, and those who have as much of a sale as they may.
func (b *settlement) refuseBuyers(ctx context.Context, tx pgx.Tx) error {
	var calls []*claimCall
	for _, p := range b.pools {
		for _, i := range p.calls {
			if c := b.calls[i]; !b.goneFor(p, c) {
				calls = append(calls, c)
			}
		}
	}
	if err := b.look(ctx, tx, calls); err != nil {
		return err
	}
	gone, err := b.s.soldOut(ctx, tx, b.poolKeys())
	if err != nil {
		return err
	}
	refusals := map[*claimCall]*Refusal{}
	var keyed []*claimCall
	for _, p := range b.pools {
		for _, i := range p.calls {
			c := b.calls[i]
			switch {
			case c.refusal != nil:
				refusals[c] = c.refusal
			case gone[p.productID] || b.gone[p.productID]:
				refusals[c] = soldOut()
			case c.overLimit != nil:
				refusals[c] = c.overLimit
			}
			if refusals[c] != nil && c.Key != "" && !b.goneFor(p, c) {
				keyed = append(keyed, c)
			}
		}
	}
	// What a buyer has may be of the same call, sent twice, and committed a moment ago.
	bound, err := b.bound(ctx, tx, keyed)
	if err != nil {
		return err
	}
	b.drop(func(i int, _ *poolShare, c *claimCall) *Refusal {
		if _, found := bound(c); found {
			b.answers[i].Again = true
		}
		return refusals[c]
	})
	return nil
}

// poolKeys of the batch, without those of which it is known that their product is gone.
func (b *settlement) poolKeys() (keys []poolKey) {
	for _, p := range b.pools {
		if !b.gone[p.productID] {
			keys = append(keys, p.poolKey)
		}
	}
	return keys
}

// soldOut tells which products are sold out for good, of those that some pools are of.
func (s *Shop) soldOut(ctx context.Context, db pgdb.Queryer, pools []poolKey) (map[int64]bool, error) {
	if len(pools) == 0 {
		return nil, nil
	}
	var arg dbsqlc.StockTokenMayReturnParams
	gone := map[int64]bool{}
	for _, k := range pools {
		gone[k.productID] = true
		arg.ProductIds = append(arg.ProductIds, k.productID)
		arg.PoolIds = append(arg.PoolIds, k.poolID)
		arg.FromPositions = append(arg.FromPositions, s.cursors.get(k))
	}
	rows, err := s.q.StockTokenMayReturn(ctx, db, arg)
	if err != nil {
		return nil, fmt.Errorf("look for stock: %w", err)
	}
	for _, id := range rows {
		delete(gone, id)
	}
	return gone, nil
}

// refuseCrowding keeps the queues, and each buyer's part of them, within their bounds. Batches that are under way at the same time do not see
// each other, so a buyer may pass the bound by a little.
func (b *settlement) refuseCrowding(ctx context.Context, tx pgx.Tx) error {
	asked := map[string]int{}
	var buyers []string
	for _, p := range b.pools {
		for _, i := range p.calls {
			if c := b.calls[i]; asked[c.Buyer] == 0 {
				asked[c.Buyer] = 1
				buyers = append(buyers, c.Buyer)
			}
		}
	}
	if len(buyers) == 0 {
		return nil
	}
	rows, err := b.s.q.ClaimQueuedCount(ctx, tx, buyers)
	if err != nil {
		return fmt.Errorf("count queued requests: %w", err)
	}
	queued := make(map[string]int, len(rows))
	for _, row := range rows {
		queued[row.Buyer] = int(row.RequestCount)
	}
	length, limits := map[*poolShare]int64{}, b.s.limits.Load()
	b.drop(func(_ int, p *poolShare, c *claimCall) *Refusal {
		n := length[p] + int64(c.Quantity)
		switch {
		case p.queue.tail-p.queue.head+n > int64(limits.QueueUnits):
			return queueFull()
		case queued[c.Buyer] >= limits.QueuePerBuyer:
			return tooManyQueued(limits.QueuePerBuyer)
		}
		length[p] = n
		queued[c.Buyer]++
		return nil
	})
	return nil
}

// enqueue gives out places and writes the requests down. One that is not written lost its product: it is put back, and finds out when its turn comes. Its place
// stays empty.
func (b *settlement) enqueue(ctx context.Context, tx pgx.Tx) error {
	if len(b.pools) == 0 {
		return nil
	}
	var tails dbsqlc.QueueAppendParams
	for _, p := range b.pools {
		tails.ProductIds = append(tails.ProductIds, p.productID)
		tails.PoolIds = append(tails.PoolIds, p.poolID)
		tails.UnitCounts = append(tails.UnitCounts, int64(b.wanted(p)))
	}
	places, err := b.s.q.QueueAppend(ctx, tx, tails)
	if err != nil {
		return fmt.Errorf("append to queues: %w", err)
	}
	next := make(map[poolKey]int64, len(places))
	for _, row := range places {
		next[poolKey{row.ProductID, row.PoolID}] = row.Place
	}
	arg := dbsqlc.ClaimEnqueueManyParams{Now: b.s.o.Now()}
	for _, p := range b.pools {
		place := next[p.poolKey]
		for _, i := range p.calls {
			c := b.calls[i]
			c.place = place
			place += int64(c.Quantity)
			arg.ClaimIds = append(arg.ClaimIds, c.id)
			arg.Buyers = append(arg.Buyers, c.Buyer)
			arg.ProductIds = append(arg.ProductIds, p.productID)
			arg.PoolIds = append(arg.PoolIds, p.poolID)
			arg.Quantities = append(arg.Quantities, int32(c.Quantity))
			arg.IdempotencyKeys = append(arg.IdempotencyKeys, c.Key)
			arg.QueuePlaces = append(arg.QueuePlaces, c.place)
			arg.SaleIds = append(arg.SaleIds, orZero(c.saleOf()))
			arg.ClaimReferences = append(arg.ClaimReferences, c.Reference)
			arg.Metadatas = append(arg.Metadatas, string(c.Metadata))
		}
	}
	rows, err := b.s.q.ClaimEnqueueMany(ctx, tx, arg)
	if err = keyLost(err); err != nil {
		return fmt.Errorf("enqueue claims: %w", err)
	}
	written := make(map[ID]time.Time, len(rows))
	for _, row := range rows {
		written[row.ClaimID] = row.CreatedAt
	}
	for _, p := range b.pools {
		for _, i := range p.calls {
			c := b.calls[i]
			at, ok := written[c.id]
			if !ok {
				b.answers[i].Again = true
				continue
			}
			b.answers[i].Out.transaction = Transaction{
				ID: c.id, Buyer: c.Buyer, Status: Queued, SKU: p.sku, Quantity: c.Quantity, CreatedAt: at,
				SaleID: c.saleOf(), Reference: c.Reference, Metadata: c.Metadata,
				QueuePosition: max(c.place-p.queue.head, 0), pool: p.poolKey, place: c.place,
			}
		}
	}
	return nil
}

// hasQueue tells whether something was queued in the pools of the batch.
func (b *settlement) hasQueue() bool {
	return slices.ContainsFunc(b.pools, (*poolShare).hasQueue)
}

// hasQueue tells whether anything of the pool was queued when the batch began.
func (p *poolShare) hasQueue() bool { return p.queue.tail > p.queue.head || p.queue.moved }

// queueRows is how many queued requests a batch settles at most.
const queueRows = 512

// lineUp puts the requests that are queued in the batch's pools before its direct claims. It takes the turn to settle them; where another
// server has it, claims that are behind them are put back. Claims that nothing accepted before them is ahead of any more go on as they are.
func (b *settlement) lineUp(ctx context.Context, tx pgx.Tx) error {
	var heads dbsqlc.QueueLockHeadsParams
	byKey := map[poolKey]*poolShare{}
	for _, p := range b.pools {
		if b.behindQueue(p) {
			byKey[p.poolKey] = p
			heads.ProductIds = append(heads.ProductIds, p.productID)
			heads.PoolIds = append(heads.PoolIds, p.poolID)
		}
	}
	if len(byKey) == 0 {
		return nil
	}
	rows, err := b.s.q.QueueLockHeads(ctx, tx, heads)
	if err != nil {
		return fmt.Errorf("take turns at queues: %w", err)
	}
	arg := dbsqlc.ClaimLockQueuedParams{RowLimit: int32((queueRows + len(byKey) - 1) / len(byKey))}
	var turns []*poolShare
	for _, row := range rows {
		p := byKey[poolKey{row.QueueHead.ProductID, row.QueueHead.PoolID}]
		p.queue.head, p.queue.reached, p.queue.moved = row.QueueHead.Place, row.QueueHead.Place, true
		turns = append(turns, p)
		arg.ProductIds = append(arg.ProductIds, p.productID)
		arg.PoolIds = append(arg.PoolIds, p.poolID)
		arg.FromPlaces = append(arg.FromPlaces, p.queue.head)
	}
	if len(turns) > 0 {
		var queued []dbsqlc.ClaimLockQueuedRow
		var places []dbsqlc.ClaimQueuedPlacesRow
		err := pgdb.Together(ctx, tx,
			func(db pgdb.Queryer) (err error) {
				queued, err = b.s.q.ClaimLockQueued(ctx, db, arg)
				return err
			},
			func(db pgdb.Queryer) (err error) {
				places, err = b.s.q.ClaimQueuedPlaces(ctx, db, dbsqlc.ClaimQueuedPlacesParams(arg))
				return err
			})
		if err != nil {
			return fmt.Errorf("lock queued requests: %w", err)
		}
		b.takeTurns(turns, queued, blockedPlaces(queued, places), int(arg.RowLimit))
	}
	for _, p := range byKey {
		b.standBehind(p)
	}
	return nil
}

// blockedPlaces are the first places in each queue that somebody else has locked.
func blockedPlaces(queued []dbsqlc.ClaimLockQueuedRow, places []dbsqlc.ClaimQueuedPlacesRow) map[poolKey]int64 {
	locked := make(map[dbsqlc.ClaimQueuedPlacesRow]bool, len(queued))
	for _, row := range queued {
		locked[dbsqlc.ClaimQueuedPlacesRow{ProductID: row.ProductID, PoolID: row.PoolID, QueuePlace: row.QueuePlace}] = true
	}
	blocked := map[poolKey]int64{}
	for _, row := range places {
		k := poolKey{row.ProductID, row.PoolID}
		if first, found := blocked[k]; !locked[row] && (!found || row.QueuePlace < first) {
			blocked[k] = row.QueuePlace
		}
	}
	return blocked
}

// behindQueue tells whether a pool has a queue that a call of the batch waits for. A direct claim waits for what was accepted before it was
// first seen here, and not for what came after it.
func (b *settlement) behindQueue(p *poolShare) bool {
	if p.paused {
		return false
	}
	behind := len(p.queue.drains) > 0
	for _, i := range p.calls {
		c := b.calls[i]
		if c.behind == 0 {
			c.behind = p.queue.tail
		}
		behind = behind || c.behind > p.queue.head
	}
	return behind && p.queue.tail > p.queue.head
}

// takeTurns puts queued requests before the direct claims of their pools, up to what is blocked.
func (b *settlement) takeTurns(turns []*poolShare, queued []dbsqlc.ClaimLockQueuedRow, blocked map[poolKey]int64, limit int) {
	for _, p := range turns {
		var first []int
		blockedAt, isBlocked := blocked[p.poolKey]
		for _, row := range queued {
			if (poolKey{row.ProductID, row.PoolID}) != p.poolKey || isBlocked && row.QueuePlace > blockedAt {
				continue
			}
			first = append(first, len(b.calls))
			c := &claimCall{
				ClaimRequest: ClaimRequest{
					Buyer: row.Buyer, SKU: p.sku, Quantity: int(row.Quantity), SaleID: row.SaleID, Reference: text(row.Reference), Metadata: row.Metadata,
				},
				kind:      queuedRequest,
				id:        row.ClaimID,
				place:     row.QueuePlace,
				createdAt: row.CreatedAt,
			}
			if row.SaleID != nil {
				c.looked, c.about = true, *row.SaleID
				c.terms = b.terms[termsKey{*row.SaleID, p.productID}]
				if c.terms == nil || SaleState(c.terms.State) == SaleIsClosed {
					c.terms, c.refusal = nil, saleEnded()
				}
			}
			b.calls = append(b.calls, c)
			b.answers = append(b.answers, claimAnswer{})
			p.queue.reached = row.QueuePlace + int64(row.Quantity)
		}
		// tail was read before the requests were: whatever lies before it was to be seen.
		switch p.queue.more = len(first) == limit; {
		case isBlocked && blockedAt < p.queue.tail:
			p.queue.reached, p.queue.blocked = blockedAt, true
		case !p.queue.more:
			p.queue.reached = max(p.queue.reached, p.queue.tail)
		}
		p.calls = append(first, p.calls...)
	}
}

// standBehind puts back the direct claims that are still behind something.
func (b *settlement) standBehind(p *poolShare) {
	var calls []int
	for _, i := range p.calls {
		c := b.calls[i]
		if c.kind == directClaim && c.behind > max(p.queue.reached, p.queue.head) {
			b.answers[i].Again = true
			continue
		}
		calls = append(calls, i)
	}
	p.calls = calls
}

// moveHeads writes down how far the queues are settled, and answers those who asked for that.
func (b *settlement) moveHeads(ctx context.Context, tx pgx.Tx) error {
	var arg dbsqlc.QueueMoveHeadsParams
	for _, p := range b.pools {
		stuck := p.queue.tail > p.queue.head && !p.queue.moved && !p.paused || p.queue.blocked
		for _, i := range p.short {
			if c := b.calls[i]; c.kind == queuedRequest && b.answers[i].Again {
				p.queue.reached, stuck = c.place, true
				break
			}
		}
		if p.queue.moved && p.queue.reached > p.queue.head {
			arg.ProductIds = append(arg.ProductIds, p.productID)
			arg.PoolIds = append(arg.PoolIds, p.poolID)
			arg.Places = append(arg.Places, p.queue.reached)
		}
		for _, i := range p.queue.drains {
			b.answers[i].Again = b.answers[i].Again || stuck
			b.answers[i].Out.more = b.answers[i].Out.more || p.queue.more
		}
	}
	if len(arg.Places) == 0 {
		return nil
	}
	if err := b.s.q.QueueMoveHeads(ctx, tx, arg); err != nil {
		return fmt.Errorf("move heads of queues: %w", err)
	}
	return nil
}

// refused is what becomes of a queued request that is refused.
func (c *claimCall) refused(r *Refusal) Transaction {
	return Transaction{
		ID: c.id, Buyer: c.Buyer, Status: Refused, SKU: c.SKU, Quantity: c.Quantity, CreatedAt: c.createdAt, Refusal: r,
		SaleID: c.SaleID, Reference: c.Reference, Metadata: c.Metadata, place: c.place,
	}
}

// tellWaiters tells those who wait in this process what became of the requests that the batch has settled.
func (b *settlement) tellWaiters() {
	for _, p := range b.pools {
		if !p.queue.moved {
			continue
		}
		var settled []Transaction
		for _, i := range p.calls {
			if b.calls[i].kind == queuedRequest && !b.answers[i].Again {
				settled = append(settled, b.answers[i].Out.transaction)
			}
		}
		b.s.waiters.settled(p.poolKey, p.queue.reached, settled)
	}
}
