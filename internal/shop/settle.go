package shop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// claimCall is a claim on its way through a lane. It is the lane's while it waits, the settlement's while it is in a batch.
type claimCall struct {
	ClaimRequest
	id ID
	// unknown: a commit that may hold this claim was lost. It is looked for by its id before anything is done for it again.
	unknown bool
}

type claimOutcome struct {
	transaction Transaction
	replayed    bool
	lapsed      bool // a replay shows a hold that has lapsed and was not yet expired
	refusal     *Refusal
}

type claimAnswer = lane.Answer[claimOutcome]

// settleSettings keep the planner on the indexes, whatever it believes about tables that were filled a moment ago, and bound
// what a batch may wait for.
const settleSettings = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
	SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '4s'`

// settle decides a batch of claims in one transaction. What was decided in a transaction that did not commit is put back and
// decided anew: also when the commit's outcome is unknown, since keys and ids make it safe to ask again.
func (s *Shop) settle(ctx context.Context, batch []lane.Call[string, *claimCall]) []claimAnswer {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	b := &settlement{s: s, calls: make([]*claimCall, len(batch)), answers: make([]claimAnswer, len(batch))}
	for i, c := range batch {
		b.calls[i] = c.In
	}
	err := pgdb.InTxWith(ctx, s.pool, settleSettings, func(tx pgx.Tx) error { return b.run(ctx, tx) })
	switch {
	case err == nil:
		b.rememberPositions()
		return b.answers
	case errors.Is(err, pgdb.ErrOutcomeUnknown):
		for _, c := range b.calls {
			c.unknown = true
		}
		return b.all(claimAnswer{Again: true})
	case pgdb.Retryable(err):
		return b.all(claimAnswer{Again: true})
	}
	return b.all(claimAnswer{Err: fmt.Errorf("settle %d claims: %w", len(batch), err)})
}

// settlement is one batch while it is being settled.
type settlement struct {
	s       *Shop
	calls   []*claimCall
	answers []claimAnswer
	pools   []*poolShare
}

// poolShare is what a batch wants and gets of one pool.
type poolShare struct {
	poolKey
	sku    string
	price  *Money
	calls  []int   // of the batch, in order of arrival
	tokens []int64 // positions that were picked, rising
	spent  map[int64]bool
	short  []int // calls that found too little
	// again: there may be more than was seen, so nobody is refused yet.
	again bool
}

func (b *settlement) all(a claimAnswer) []claimAnswer {
	for i := range b.answers {
		b.answers[i] = a
	}
	return b.answers
}

func (b *settlement) run(ctx context.Context, tx pgx.Tx) error {
	open, err := b.replay(ctx, tx)
	if err != nil || len(open) == 0 {
		return err
	}
	if err := b.share(ctx, tx, open); err != nil {
		return err
	}
	if err := b.pick(ctx, tx); err != nil {
		return err
	}
	if err := b.hold(ctx, tx); err != nil {
		return err
	}
	return b.refuse(ctx, tx)
}

// boundKey is an idempotency key and whose it is.
type boundKey struct{ buyer, key string }

// replay answers the calls whose key, or own id, is bound to a transaction, and returns the others. Of several new calls with one key
// it returns the first; the others are put back until it is known what becomes of that one.
func (b *settlement) replay(ctx context.Context, tx pgx.Tx) ([]int, error) {
	bound, err := b.bound(ctx, tx)
	if err != nil {
		return nil, err
	}
	var open []int
	first := map[boundKey]bool{}
	replays := false
	for i, c := range b.calls {
		k := boundKey{c.Buyer, c.Key}
		if row, found := bound(c); found {
			b.answers[i].Out = replayed(c, row)
			replays = true
			continue
		}
		if c.Key != "" && first[k] {
			b.answers[i].Again = true
			continue
		}
		first[k] = true
		open = append(open, i)
	}
	if replays {
		if err := b.s.q.ClaimReplayRecord(ctx, tx); err != nil {
			return nil, fmt.Errorf("record replays: %w", err)
		}
	}
	return open, nil
}

// bound reads the transactions that the batch's keys, and the ids whose outcome is unknown, are bound to.
func (b *settlement) bound(ctx context.Context, tx pgx.Tx) (func(*claimCall) (dbsqlc.ClaimByIDsRow, bool), error) {
	byKey := map[boundKey]dbsqlc.ClaimByIDsRow{}
	byID := map[ID]dbsqlc.ClaimByIDsRow{}
	keyed := dbsqlc.ClaimByKeysParams{Now: b.s.o.Now()}
	asked := map[boundKey]bool{}
	var unknown []ID
	for _, c := range b.calls {
		if c.unknown {
			unknown = append(unknown, c.id)
		}
		if k := (boundKey{c.Buyer, c.Key}); c.Key != "" && !asked[k] {
			asked[k] = true
			keyed.Buyers = append(keyed.Buyers, c.Buyer)
			keyed.IdempotencyKeys = append(keyed.IdempotencyKeys, c.Key)
		}
	}
	if len(asked) > 0 {
		rows, err := b.s.q.ClaimByKeys(ctx, tx, keyed)
		if err != nil {
			return nil, fmt.Errorf("look up keys: %w", err)
		}
		for _, row := range rows {
			byKey[boundKey{row.Claim.Buyer, *row.Claim.IdempotencyKey}] = dbsqlc.ClaimByIDsRow(row)
		}
	}
	if len(unknown) > 0 {
		rows, err := b.s.q.ClaimByIDs(ctx, tx, dbsqlc.ClaimByIDsParams{Now: b.s.o.Now(), ClaimIds: unknown})
		if err != nil {
			return nil, fmt.Errorf("look up ids: %w", err)
		}
		for _, row := range rows {
			byID[row.Claim.ClaimID] = row
		}
	}
	return func(c *claimCall) (dbsqlc.ClaimByIDsRow, bool) {
		if row, found := byKey[boundKey{c.Buyer, c.Key}]; found && c.Key != "" {
			return row, true
		}
		row, found := byID[c.id]
		return row, found
	}, nil
}

func replayed(c *claimCall, row dbsqlc.ClaimByIDsRow) claimOutcome {
	if row.SKU != c.SKU || int(row.Claim.Quantity) != c.Quantity {
		return claimOutcome{refusal: keyReused()}
	}
	return claimOutcome{transaction: transaction(row), replayed: row.Claim.ClaimID != c.id, lapsed: row.Lapsed}
}

// share sorts the calls by the pools that they draw from, and answers those whose product can't be claimed from at all.
func (b *settlement) share(ctx context.Context, tx pgx.Tx, open []int) error {
	var skus []string
	for _, i := range open {
		if n := len(skus); n == 0 || skus[n-1] != b.calls[i].SKU {
			skus = append(skus, b.calls[i].SKU)
		}
	}
	rows, err := b.s.q.ProductForClaim(ctx, tx, skus)
	if err != nil {
		return fmt.Errorf("read products: %w", err)
	}
	bySKU := map[string]*poolShare{}
	for _, row := range rows {
		p := &poolShare{
			poolKey: poolKey{row.ProductID, commonPool},
			sku:     row.SKU,
			price:   money(row.PriceMinor, row.Currency),
			spent:   map[int64]bool{},
		}
		if row.Selling {
			b.pools = append(b.pools, p)
		}
		bySKU[row.SKU] = p
	}
	slices.SortFunc(b.pools, func(p, q *poolShare) int { return cmp.Compare(p.productID, q.productID) })
	for _, i := range open {
		p := bySKU[b.calls[i].SKU]
		switch {
		case p == nil:
			b.answers[i].Out.refusal = notFound("product")
		case !slices.Contains(b.pools, p):
			b.answers[i].Out.refusal = &Refusal{Code: NotSelling, Detail: "This product is off sale at the moment. Look again later."}
		default:
			p.calls = append(p.calls, i)
		}
	}
	b.pools = slices.DeleteFunc(b.pools, func(p *poolShare) bool { return len(p.calls) == 0 })
	return nil
}

func (b *settlement) wanted(p *poolShare) int {
	n := 0
	for _, i := range p.calls {
		n += b.calls[i].Quantity
	}
	return n
}

// pick locks tokens: from where the last batch stopped; then, where that is too little, from the beginning; then, having expired
// lapsed holds, the tokens that came of them.
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
		n, err := b.s.expireIn(ctx, tx, p.poolKey, min(missing, holdsAtOnce))
		if err != nil {
			return fmt.Errorf("expire lapsed holds: %w", err)
		}
		freed = freed || n > 0
		p.again = n == holdsAtOnce
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

// hold gives the tokens to the calls in order of arrival, all that a call asks for or none, and writes the claims.
func (b *settlement) hold(ctx context.Context, tx pgx.Tx) error {
	insert := dbsqlc.ClaimInsertManyParams{Now: b.s.o.Now(), HoldSeconds: b.s.o.Hold.Seconds()}
	given := map[ID][]int64{}
	for _, p := range b.pools {
		left := p.tokens
		for _, i := range p.calls {
			c := b.calls[i]
			if len(left) < c.Quantity {
				p.short = append(p.short, i)
				continue
			}
			given[c.id], left = left[:c.Quantity], left[c.Quantity:]
			insert.ClaimIds = append(insert.ClaimIds, c.id)
			insert.Buyers = append(insert.Buyers, c.Buyer)
			insert.ProductIds = append(insert.ProductIds, p.productID)
			insert.PoolIds = append(insert.PoolIds, p.poolID)
			insert.Quantities = append(insert.Quantities, int32(c.Quantity))
			insert.IdempotencyKeys = append(insert.IdempotencyKeys, c.Key)
			price := Money{Amount: -1}
			if p.price != nil {
				price = *p.price
			}
			insert.PriceMinors = append(insert.PriceMinors, price.Amount)
			insert.Currencies = append(insert.Currencies, price.Currency)
		}
	}
	if len(insert.ClaimIds) == 0 {
		return nil
	}
	rows, err := b.s.q.ClaimInsertMany(ctx, tx, insert)
	if err != nil {
		return fmt.Errorf("insert claims: %w", err)
	}
	written := make(map[ID]dbsqlc.ClaimInsertManyRow, len(rows))
	for _, row := range rows {
		written[row.ClaimID] = row
	}
	return b.take(ctx, tx, given, written)
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
				p.again = true
				continue
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
				Price: p.price, ExpiresAt: row.ExpiresAt, CreatedAt: row.CreatedAt,
			}
		}
	}
	return nil
}

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
