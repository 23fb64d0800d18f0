package shop

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// wanted is how many units the calls ask for that are not refused whatever there is; none of what is gone.
func (b *settlement) wanted(p *poolShare) int {
	n := 0
	if p.refusal != nil || b.gone[p.productID] {
		return 0
	}
	for _, i := range p.calls {
		if c := b.calls[i]; c.refusal == nil {
			n += c.Quantity
		}
	}
	return n
}

// pick locks the tokens that are still missing: from where the last batch stopped; then, where that is too little, from the beginning; then, having expired
// lapsed holds and cancelled overdue orders, those that came of them. None is looked for among those that are picked: our own locks would not keep us from picking twice.
func (b *settlement) pick(ctx context.Context, tx pgx.Tx) error {
	behind := func(p *poolShare) (int64, int64) {
		if n := len(p.tokens); n > 0 {
			return p.tokens[n-1] + 1, math.MaxInt64
		}
		return p.from, math.MaxInt64
	}
	if err := b.pickRange(ctx, tx, behind); err != nil {
		return err
	}
	before := func(p *poolShare) (int64, int64) { return 0, p.from }
	if err := b.pickRange(ctx, tx, before); err != nil {
		return err
	}
	const holdsAtOnce = 1000
	freed := false
	for _, p := range b.pools {
		missing := b.wanted(p) - len(p.tokens)
		if missing <= 0 {
			continue
		}
		n, err := b.s.free(ctx, tx, p.poolKey, min(missing, holdsAtOnce), p.hadAllotments)
		if err != nil {
			return err
		}
		freed = freed || n > 0
		p.again = p.again || n >= holdsAtOnce
	}
	if !freed {
		return nil
	}
	// What came back has higher positions than everything that was there.
	for _, p := range b.pools {
		if len(p.tokens) == 0 {
			p.from = 0
		}
	}
	return b.pickRange(ctx, tx, behind)
}

// pickRange picks what is still missing between two positions of each pool.
func (b *settlement) pickRange(ctx context.Context, tx pgx.Tx, between func(*poolShare) (from, below int64)) error {
	var arg dbsqlc.StockTokenPickParams
	byKey := map[poolKey]*poolShare{}
	for _, p := range b.pools {
		missing := b.wanted(p) - len(p.tokens)
		from, below := between(p)
		if missing <= 0 || from >= below {
			continue
		}
		byKey[p.poolKey] = p
		arg.ProductIds = append(arg.ProductIds, p.productID)
		arg.PoolIds = append(arg.PoolIds, p.poolID)
		arg.FromPositions = append(arg.FromPositions, from)
		arg.BelowPositions = append(arg.BelowPositions, below)
		arg.UnitCounts = append(arg.UnitCounts, int64(missing))
	}
	if len(byKey) == 0 {
		return nil
	}
	rows, err := b.s.q.StockTokenPick(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("pick tokens: %w", err)
	}
	for _, row := range rows {
		p := byKey[poolKey{row.ProductID, row.PoolID}]
		p.tokens = append(p.tokens, row.Position)
	}
	for _, p := range byKey {
		if len(p.tokens) > b.wanted(p) {
			return fmt.Errorf("pick tokens: %d of %s for %d that were wanted", len(p.tokens), p.sku, b.wanted(p))
		}
		slices.Sort(p.tokens)
	}
	return nil
}

// holding is what a batch writes for those that get units.
type holding struct {
	given   map[ID][]int64 // the tokens of each claim
	insert  dbsqlc.ClaimInsertManyParams
	turn    dbsqlc.ClaimHoldManyParams // of queued requests
	written map[ID]dbsqlc.ClaimInsertManyRow
}

// hold gives the tokens to the calls in their order, all that a call asks for or none, writes the holds, turns their tokens into units and counts these for
// their buyers, all in one round trip.
//
// When a key has been lost to a transaction that committed since it was looked up, which is rare, everything is done anew, and it is found (errKeyLost).
func (b *settlement) hold(ctx context.Context, tx pgx.Tx) error {
	h := b.arrange()
	take, left := b.spend(h)
	var rows []dbsqlc.StockTokenTakeRow
	steps := h.steps(ctx, b.s)
	if len(steps) > 0 {
		steps = append(steps,
			func(db pgdb.Queryer) (err error) {
				rows, err = b.s.q.StockTokenTake(ctx, db, take)
				return err
			},
			func(db pgdb.Queryer) (err error) {
				b.left, err = b.s.q.StockTokenLeft(ctx, db, left)
				return err
			})
	}
	if added := b.added(); len(added.SaleIds) > 0 {
		steps = append(steps, func(db pgdb.Queryer) error { return b.s.q.SaleBuyerAdd(ctx, db, added) })
	}
	if len(steps) == 0 {
		return nil
	}
	switch err := keyLost(pgdb.Together(ctx, tx, steps...)); {
	case err != nil:
		return fmt.Errorf("hold units: %w", err)
	case len(h.written) != len(h.given):
		return fmt.Errorf("hold units: %d of %d claims were written", len(h.written), len(h.given))
	case len(rows) != len(take.ClaimIds):
		return fmt.Errorf("take tokens: %d of %d that were locked", len(rows), len(take.ClaimIds))
	}
	b.answerHeld(h, rows)
	return nil
}

// errKeyLost says that a batch has to be done anew.
var errKeyLost = errors.New("a claim has lost its key")

// keyLost makes errKeyLost of what PostgreSQL says when a key, or the id of a claim whose commit's outcome is unknown, has come to be bound since it was looked up.
func keyLost(err error) error {
	if pgdb.ViolatesConstraint(err, "claim_key_once") || pgdb.ViolatesConstraint(err, "claim_pkey") {
		return errKeyLost
	}
	return err
}

// arrange decides who gets which tokens.
func (b *settlement) arrange() *holding {
	h := &holding{given: map[ID][]int64{}, written: map[ID]dbsqlc.ClaimInsertManyRow{}}
	h.insert.Now, h.turn.Now = b.s.o.Now(), b.s.o.Now()
	insert, turn := &h.insert, &h.turn
	for _, p := range b.pools {
		for i, positions := range b.allot(p) {
			c := b.calls[i]
			h.given[c.id] = positions
			price := Money{Amount: -1}
			if m := p.priceFor(c); m != nil {
				price = *m
			}
			seconds := b.holdFor(c).Seconds()
			if c.kind == queuedRequest {
				turn.ClaimIds = append(turn.ClaimIds, c.id)
				turn.PriceMinors = append(turn.PriceMinors, price.Amount)
				turn.Currencies = append(turn.Currencies, price.Currency)
				turn.HoldSeconds = append(turn.HoldSeconds, seconds)
				continue
			}
			insert.ClaimIds = append(insert.ClaimIds, c.id)
			insert.Buyers = append(insert.Buyers, c.Buyer)
			insert.ProductIds = append(insert.ProductIds, p.productID)
			insert.PoolIds = append(insert.PoolIds, p.poolID)
			insert.Quantities = append(insert.Quantities, int32(c.Quantity))
			insert.IdempotencyKeys = append(insert.IdempotencyKeys, c.Key)
			insert.PriceMinors = append(insert.PriceMinors, price.Amount)
			insert.Currencies = append(insert.Currencies, price.Currency)
			insert.HoldSeconds = append(insert.HoldSeconds, seconds)
			insert.SaleIds = append(insert.SaleIds, orZero(c.saleOf()))
			insert.ClaimReferences = append(insert.ClaimReferences, c.Reference)
			insert.Metadatas = append(insert.Metadatas, string(c.Metadata))
		}
	}
	return h
}

// steps write the holds.
func (h *holding) steps(ctx context.Context, s *Shop) (steps []func(pgdb.Queryer) error) {
	if len(h.turn.ClaimIds) > 0 {
		steps = append(steps, s.hashed(ctx, func(db pgdb.Queryer) error {
			rows, err := s.q.ClaimHoldMany(ctx, db, h.turn)
			if err == nil && len(rows) != len(h.turn.ClaimIds) {
				err = fmt.Errorf("hold for queued requests: %d of %d that were locked", len(rows), len(h.turn.ClaimIds))
			}
			for _, row := range rows {
				h.written[row.ClaimID] = dbsqlc.ClaimInsertManyRow(row)
			}
			return err
		})...)
	}
	if len(h.insert.ClaimIds) > 0 {
		steps = append(steps, func(db pgdb.Queryer) error {
			rows, err := s.q.ClaimInsertMany(ctx, db, h.insert)
			for _, row := range rows {
				h.written[row.ClaimID] = row
			}
			return err
		})
	}
	return steps
}

// hashed runs a statement that joins rows, which it finds by their keys, with what it is given, so that there is no plan by which it reads more.
func (s *Shop) hashed(ctx context.Context, step func(pgdb.Queryer) error) []func(pgdb.Queryer) error {
	return []func(pgdb.Queryer) error{
		func(db pgdb.Queryer) error { return s.q.JoinSettings(ctx, db, "off") },
		step,
		func(db pgdb.Queryer) error { return s.q.JoinSettings(ctx, db, "on") },
	}
}

// spend counts what the claims get, names the tokens that they take, and asks what is left behind the last of each pool.
func (b *settlement) spend(h *holding) (take dbsqlc.StockTokenTakeParams, left dbsqlc.StockTokenLeftParams) {
	for _, p := range b.pools {
		for _, i := range p.calls {
			c := b.calls[i]
			positions := h.given[c.id]
			if len(positions) == 0 {
				continue
			}
			if c.terms != nil {
				b.buyers[saleBuyer{c.terms.SaleID, c.Buyer}].added += int32(c.Quantity)
			}
			if hold := b.holdFor(c); len(p.spent) == 0 || hold < p.holds {
				p.holds = hold
			}
			for _, position := range positions {
				p.spent[position] = true
				take.ProductIds = append(take.ProductIds, p.productID)
				take.PoolIds = append(take.PoolIds, p.poolID)
				take.Positions = append(take.Positions, position)
				take.ClaimIds = append(take.ClaimIds, c.id)
			}
		}
		if len(p.spent) > 0 {
			b.taken = append(b.taken, p.poolKey)
			left.ProductIds = append(left.ProductIds, p.productID)
			left.PoolIds = append(left.PoolIds, p.poolID)
			left.Positions = append(left.Positions, take.Positions[len(take.Positions)-1]) // they are given out rising
		}
	}
	return take, left
}

// answerHeld answers those that have got units.
func (b *settlement) answerHeld(h *holding, taken []dbsqlc.StockTokenTakeRow) {
	units := make(map[ID][]ID, len(h.given))
	for _, row := range taken {
		units[row.ClaimID] = append(units[row.ClaimID], row.UnitID)
	}
	for _, p := range b.pools {
		for _, i := range p.calls {
			c := b.calls[i]
			if len(h.given[c.id]) == 0 {
				continue
			}
			row := h.written[c.id]
			slices.SortFunc(units[c.id], func(x, y ID) int { return slices.Compare(x[:], y[:]) })
			b.answers[i].Out.transaction = Transaction{
				ID: c.id, Buyer: c.Buyer, Status: Held, SKU: p.sku, Quantity: c.Quantity, UnitIDs: units[c.id],
				Price: p.priceFor(c), SaleID: c.saleOf(), Reference: c.Reference, Metadata: c.Metadata,
				ExpiresAt: row.ExpiresAt, CreatedAt: row.CreatedAt, pool: p.poolKey,
			}
		}
	}
}

// allot decides which calls get which of the pool's tokens. Where more tokens may be there than were seen, or it is not known whether its buyer may
// have them, a queued request keeps its place, and so does everything behind it.
func (b *settlement) allot(p *poolShare) iter.Seq2[int, []int64] {
	return func(yield func(int, []int64) bool) {
		left := p.tokens
		for n, i := range p.calls {
			c := b.calls[i]
			there := p.refusal == nil && c.refusal == nil && len(left) >= c.Quantity
			allowed := there && b.admit(c)
			if allowed {
				if !yield(i, left[:c.Quantity]) {
					return
				}
				left = left[c.Quantity:]
				continue
			}
			if c.kind == queuedRequest && (c.again || p.again && !there && c.refusal == nil) {
				for _, rest := range p.calls[n:] {
					b.calls[rest].again = true
				}
				p.short = append(p.short, p.calls[n:]...)
				return
			}
			p.short = append(p.short, i)
		}
	}
}

// rememberPositions lets the next batch start at the first token that this one has picked and leaves, or behind the last that it takes. Where there is a queue it is not to
// guess: what is queued is locked before tokens are.
func (b *settlement) rememberPositions() {
	for _, p := range b.pools {
		if len(p.tokens) == 0 {
			continue
		}
		next := slices.Max(p.tokens) + 1
		for _, position := range p.tokens {
			if !p.spent[position] {
				next = min(next, position)
			}
		}
		b.s.cursors.set(p.poolKey, next)
		switch {
		case p.hasQueue():
			b.s.served.remove(p.sku)
		case len(p.spent) > 0:
			b.s.served.add(p.sku, served{p.poolKey, p.inSale})
		}
	}
}

// forgetPositions lets the next batch start where this one did, which did not commit: its tokens are still there.
func (b *settlement) forgetPositions() {
	for _, p := range b.pools {
		if len(p.tokens) > 0 {
			b.s.cursors.back(p.poolKey, slices.Min(p.tokens))
		}
	}
}
