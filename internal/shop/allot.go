package shop

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// wanted is how many units the calls ask for that are not refused whatever there is.
func (b *settlement) wanted(p *poolShare) int {
	n := 0
	if p.refusal != nil {
		return 0
	}
	for _, i := range p.calls {
		if c := b.calls[i]; c.refusal == nil {
			n += c.Quantity
		}
	}
	return n
}

// pick locks tokens: from where the last batch stopped; then, where that is too little, from the beginning; then, having expired
// lapsed holds and cancelled overdue orders, the tokens that came of them.
func (b *settlement) pick(ctx context.Context, tx pgx.Tx) error {
	from := func(p *poolShare) (int64, int64) { return b.s.cursors.get(p.poolKey), math.MaxInt64 }
	if err := b.pickRange(ctx, tx, from); err != nil {
		return err
	}
	before := func(p *poolShare) (int64, int64) { return 0, b.s.cursors.get(p.poolKey) }
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
	// What came back has higher positions than everything that was there; our own locks would not keep us from picking twice.
	returned := func(p *poolShare) (int64, int64) {
		if len(p.tokens) == 0 {
			return 0, math.MaxInt64
		}
		return slices.Max(p.tokens) + 1, math.MaxInt64
	}
	return b.pickRange(ctx, tx, returned)
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

// hold gives the tokens to the calls in their order, all that a call asks for or none, and writes the holds.
func (b *settlement) hold(ctx context.Context, tx pgx.Tx) error {
	insert := dbsqlc.ClaimInsertManyParams{Now: b.s.o.Now()}
	turn := dbsqlc.ClaimHoldManyParams{Now: b.s.o.Now()}
	given := map[ID][]int64{}
	for _, p := range b.pools {
		for i, positions := range b.allot(p) {
			c := b.calls[i]
			given[c.id] = positions
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
	written := make(map[ID]dbsqlc.ClaimInsertManyRow, len(given))
	if len(turn.ClaimIds) > 0 {
		rows, err := b.s.q.ClaimHoldMany(ctx, tx, turn)
		if err == nil && len(rows) != len(turn.ClaimIds) {
			err = fmt.Errorf("%d of %d that were locked", len(rows), len(turn.ClaimIds))
		}
		if err != nil {
			return fmt.Errorf("hold for queued requests: %w", err)
		}
		for _, row := range rows {
			written[row.ClaimID] = dbsqlc.ClaimInsertManyRow(row)
		}
	}
	if len(insert.ClaimIds) > 0 {
		rows, err := b.s.q.ClaimInsertMany(ctx, tx, insert)
		if err != nil {
			return fmt.Errorf("insert claims: %w", err)
		}
		for _, row := range rows {
			written[row.ClaimID] = row
		}
	}
	return b.take(ctx, tx, given, written)
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

// take turns the tokens of the claims that were written into their units. A claim that was not written lost its key to a
// transaction that committed in the meantime: it is put back, and finds that one when its turn comes.
func (b *settlement) take(ctx context.Context, tx pgx.Tx, given map[ID][]int64, written map[ID]dbsqlc.ClaimInsertManyRow) error {
	var arg dbsqlc.StockTokenTakeParams
	for _, p := range b.pools {
		for _, i := range p.calls {
			id := b.calls[i].id
			if len(given[id]) == 0 {
				continue
			}
			if _, ok := written[id]; !ok {
				b.answers[i].Again = true
				b.lost = true
				continue
			}
			if t := b.calls[i].terms; t != nil {
				b.buyers[saleBuyer{t.SaleID, b.calls[i].Buyer}].added += int32(b.calls[i].Quantity)
			}
			for _, position := range given[id] {
				p.spent[position] = true
				arg.ProductIds = append(arg.ProductIds, p.productID)
				arg.PoolIds = append(arg.PoolIds, p.poolID)
				arg.Positions = append(arg.Positions, position)
				arg.ClaimIds = append(arg.ClaimIds, id)
			}
		}
	}
	if len(arg.ClaimIds) == 0 {
		return nil
	}
	rows, err := b.s.q.StockTokenTake(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("take tokens: %w", err)
	}
	if len(rows) != len(arg.ClaimIds) {
		return fmt.Errorf("take tokens: %d of %d that were locked", len(rows), len(arg.ClaimIds))
	}
	units := make(map[ID][]ID, len(written))
	for _, row := range rows {
		units[row.ClaimID] = append(units[row.ClaimID], row.UnitID)
	}
	for _, p := range b.pools {
		for _, i := range p.calls {
			c := b.calls[i]
			row, ok := written[c.id]
			if !ok {
				continue
			}
			slices.SortFunc(units[c.id], func(x, y ID) int { return slices.Compare(x[:], y[:]) })
			b.answers[i].Out.transaction = Transaction{
				ID: c.id, Buyer: c.Buyer, Status: Held, SKU: p.sku, Quantity: c.Quantity, UnitIDs: units[c.id],
				Price: p.priceFor(c), SaleID: c.saleOf(), Reference: c.Reference, Metadata: c.Metadata,
				ExpiresAt: row.ExpiresAt, CreatedAt: row.CreatedAt, pool: p.poolKey,
			}
		}
	}
	return nil
}

// rememberPositions lets the next batch start where this one stopped.
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
	}
}
