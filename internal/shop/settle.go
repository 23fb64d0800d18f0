package shop

import (
	"context"
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

// A claimKind is what a call through a lane is about.
type claimKind int

const (
	directClaim   claimKind = iota // to be decided now, behind what was accepted before it
	newRequest                     // to be accepted into the queue
	queuedRequest                  // accepted, and in the batch because its turn has come
	drainQueue                     // asks for nothing but that the queue of its product is settled
)

// claimCall is a claim on its way through a lane. It is the lane's while it waits, the settlement's while it is in a batch.
type claimCall struct {
	ClaimRequest
	kind claimKind
	id   ID
	// place is where a queued request stands.
	place     int64
	createdAt time.Time
	// arrivedAt is when a direct claim, or a new request, came in here.
	arrivedAt time.Time
	// behind is the place up to which the queue must be settled before this call, 0 while that is not known.
	behind int64
	// unknown: a commit that may hold this claim was lost. It is looked for by its id before anything is done for it again.
	unknown bool
	// normally: the open sale had too little for it, so it is served beside the sale, and saleRefusal is what the sale had to say.
	normally    bool
	saleRefusal *Refusal

	// Of the batch that has it:
	terms     *saleTerms // nil: it is served outside of any sale
	again     bool       // it is put back, whatever there is
	refusal   *Refusal   // for itself, whatever there is
	overLimit *Refusal   // for itself, unless everything is sold
	looked    bool       // it is known whether it has to do with a sale
	about     ID         // the sale that it has to do with, also where it is refused or served beside it; zero: none
}

type claimOutcome struct {
	transaction Transaction
	replayed    bool
	lapsed      bool // a replay shows a hold that has lapsed and was not yet expired
	refusal     *Refusal
	more        bool // of drainQueue: the queue goes on
}

type claimAnswer = lane.Answer[claimOutcome]

// settle decides a batch of claims in one transaction, behind as much of their products' queues as there is room for. The next batch may begin while
// this one is committed, unless a queue is settled: of that the next would find the turn taken.
func (s *Shop) settle(ctx context.Context, batch []lane.Call[string, *claimCall], next func()) []claimAnswer {
	if answers := s.refuseGone(ctx, batch); answers != nil {
		return answers
	}
	b, answers := s.inBatch(ctx, batch, func(b *settlement, ctx context.Context, tx pgx.Tx) error { return b.run(ctx, tx, next) })
	if b.committed {
		s.countBatch(b)
		s.observeBatch(b)
		b.tellWaiters()
	} else {
		b.forgetPositions()
	}
	return answers
}

// refuseGone answers a batch of claims for nothing but products that are sold out for good, in one round trip where no sale is to be looked at. nil: it can't,
// and nothing is decided.
func (s *Shop) refuseGone(ctx context.Context, batch []lane.Call[string, *claimCall]) []claimAnswer {
	b := s.newSettlement(batch)
	if skus := b.skus(); len(s.gone.of(skus)) < len(skus) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	err := pgdb.Together(ctx, s.pool, append(b.ask(ctx), func(db pgdb.Queryer) error { return s.q.ClaimReadRecord(ctx, db) })...)
	if err == nil {
		_, err = b.begin(ctx, s.pool)
	}
	if err == nil {
		if b.opening.more || b.hasQueue() || slices.ContainsFunc(b.pools, func(p *poolShare) bool { return !b.gone[p.productID] }) {
			return nil
		}
		for _, p := range b.pools {
			p.short = p.calls
		}
		err = b.refuse(ctx, s.pool)
	}
	if err == nil {
		s.countBatch(b)
		s.observeBatch(b)
	}
	return b.outcome(batch, err)
}

// inBatch does a batch of claims in one transaction, which begins with what the batch asks. What was done in a transaction that did not commit is put back and done anew: also when
// the commit's outcome is unknown, since keys and ids make it safe to ask again.
func (s *Shop) inBatch(ctx context.Context, batch []lane.Call[string, *claimCall], run func(*settlement, context.Context, pgx.Tx) error) (*settlement, []claimAnswer) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	b := s.newSettlement(batch)
	err := pgdb.InTxTogether(ctx, s.pool, b.ask(ctx), func(tx pgx.Tx) error {
		if err := run(b, ctx, tx); err != nil {
			return err
		}
		return b.toldWhenStandbyHas(ctx, tx)
	})
	b.committed = err == nil
	return b, b.outcome(batch, err)
}

// toldWhenStandbyHas has refusals be answered only when the standby that commits wait for, if there is one, has what they were refused for (decision 0020).
func (b *settlement) toldWhenStandbyHas(ctx context.Context, tx pgx.Tx) error {
	if !b.opening.standby || !slices.ContainsFunc(b.answers, func(a claimAnswer) bool { return a.Out.refusal != nil }) {
		return nil
	}
	return b.s.q.ClaimReadRecord(ctx, tx)
}

// outcome is what the calls of a batch are answered, when all has been done for it or that has failed.
func (b *settlement) outcome(batch []lane.Call[string, *claimCall], err error) []claimAnswer {
	switch {
	case err == nil:
		return b.answers[:len(batch)]
	case errors.Is(err, pgdb.ErrOutcomeUnknown):
		for _, c := range batch {
			c.In.unknown = true
		}
		return all(batch, claimAnswer{Again: true})
	case errors.Is(err, errKeyLost), pgdb.Retryable(err):
		return all(batch, claimAnswer{Again: true})
	}
	return all(batch, claimAnswer{Err: fmt.Errorf("settle %d claims: %w", len(batch), err)})
}

func all(batch []lane.Call[string, *claimCall], a claimAnswer) []claimAnswer {
	answers := make([]claimAnswer, len(batch))
	for i := range answers {
		answers[i] = a
	}
	return answers
}

// settlement is one batch while it is being settled. Queued requests whose turn has come stand in calls behind those of the lane.
type settlement struct {
	s         *Shop
	committed bool
	calls     []*claimCall
	answers   []claimAnswer
	pools     []*poolShare
	terms     map[termsKey]*saleTerms
	buyers    map[saleBuyer]*saleCount   // of which it has the locks
	taken     []poolKey                  // pools of which it takes something
	left      []dbsqlc.StockTokenLeftRow // those of them that have tokens left
	opening   opening
	// gone are the products that were found to be sold out for good before the keys were looked up.
	gone map[int64]bool
}

func (s *Shop) newSettlement(batch []lane.Call[string, *claimCall]) *settlement {
	b := &settlement{s: s, calls: make([]*claimCall, len(batch)), answers: make([]claimAnswer, len(batch)), terms: map[termsKey]*saleTerms{}}
	for i, c := range batch {
		b.calls[i] = c.In
		c.In.terms, c.In.again, c.In.refusal, c.In.overLimit = nil, false, nil, nil
		c.In.looked, c.In.about = false, ID{}
	}
	return b
}

// poolShare is what a batch wants and gets of one pool.
type poolShare struct {
	poolKey
	sku     string
	price   *Money   // outside of a sale
	refusal *Refusal // for everybody, whatever there is
	paused  bool     // what is queued keeps its place
	inSale  bool     // the product is
	// hadAllotments: sales that are over may have left units of it in lapsed holds and overdue orders.
	hadAllotments bool
	calls         []int // of the batch, in the order in which they are to be settled: queued requests, then direct claims as they arrived
	picked
	spent map[int64]bool
	holds time.Duration // of which the shortest is so long that got the spent ones
	short []int         // calls that found too little
	// again: there may be more than was seen, so nobody is refused yet.
	again    bool
	reckoned dbsqlc.StockTokenReckonRow
	queue    queueShare
}

func (b *settlement) run(ctx context.Context, tx pgx.Tx, next func()) error {
	open, err := b.begin(ctx, tx)
	if err != nil || len(open) == 0 {
		return err
	}
	refuse := func(ctx context.Context, tx pgx.Tx) error { return b.refuse(ctx, tx) }
	for _, step := range []func(context.Context, pgx.Tx) error{b.lineUp, b.pick, b.reckon, b.limit, b.hold, refuse, b.moveHeads, b.runOut} {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	b.rememberPositions()
	if !b.hasQueue() {
		next()
	}
	return nil
}

// boundKey is an idempotency key and whose it is.
type boundKey struct{ buyer, key string }

// opening is what a batch has asked before anything else, in one round trip.
type opening struct {
	standby  bool // commits wait for one
	look     *boundLookup
	gone     map[string]poolKey // that were, and perhaps still are
	products []dbsqlc.ProductForClaimRow
	inSale   []string // of which sales were asked for
	sales    []dbsqlc.SaleForClaimRow
	picked   map[poolKey]*picked
	more     bool // was asked later, to tell the calls what they are about
}

// picked are tokens of a pool that are locked. Those that turn out not to be needed stay so until the transaction has ended.
type picked struct {
	from   int64   // the position at which picking began
	tokens []int64 // their positions, rising
}

// ask is what a batch asks first: what its calls are about, and, of products that were served before, what they were served from.
func (b *settlement) ask(ctx context.Context) []func(pgdb.Queryer) error {
	o, skus := &b.opening, b.skus()
	o.look, o.gone, o.picked = b.lookup(b.calls), b.s.gone.of(skus), map[poolKey]*picked{}
	steps := []func(pgdb.Queryer) error{
		func(db pgdb.Queryer) error {
			set, err := b.s.q.ClaimSettings(ctx, db)
			o.standby = set.StandbyNamed
			return err
		},
	}
	// Before the keys are looked up: whoever has the last unit may be the same call, sent twice.
	if len(o.gone) > 0 {
		steps = append(steps, func(db pgdb.Queryer) (err error) {
			b.gone, err = b.s.soldOut(ctx, db, slices.Collect(maps.Values(o.gone)))
			return err
		})
	}
	steps = append(steps,
		func(db pgdb.Queryer) (err error) {
			o.products, err = b.s.q.ProductForClaim(ctx, db, skus)
			return err
		})
	steps = append(steps, o.look.steps(ctx)...)
	served := b.s.served.of(skus)
	for _, sku := range skus {
		if served[sku].inSale {
			o.inSale = append(o.inSale, sku)
		}
	}
	if len(o.inSale) > 0 {
		steps = append(steps, func(db pgdb.Queryer) (err error) {
			o.sales, err = b.s.q.SaleForClaim(ctx, db, dbsqlc.SaleForClaimParams{Now: b.s.o.Now(), Skus: o.inSale})
			return err
		})
	}
	if guess := b.guess(served); len(guess.ProductIds) > 0 {
		steps = append(steps, func(db pgdb.Queryer) error {
			rows, err := b.s.q.StockTokenPick(ctx, db, guess)
			for _, row := range rows {
				p := o.picked[poolKey{row.ProductID, row.PoolID}]
				p.tokens = append(p.tokens, row.Position)
			}
			return err
		})
	}
	return steps
}

// guess is which tokens direct claims may get: as many as all of them ask for, where their products' last claims got theirs.
func (b *settlement) guess(was map[string]served) (arg dbsqlc.StockTokenPickParams) {
	wanted := map[string]int64{}
	for _, c := range b.calls {
		if _, gone := b.opening.gone[c.SKU]; c.kind == directClaim && c.Quantity <= b.s.o.MaxQuantity && !gone {
			wanted[c.SKU] += int64(c.Quantity)
		}
	}
	for sku, at := range was {
		if wanted[sku] == 0 {
			continue
		}
		from := b.s.cursors.get(at.poolKey)
		b.opening.picked[at.poolKey] = &picked{from: from}
		arg.ProductIds = append(arg.ProductIds, at.productID)
		arg.PoolIds = append(arg.PoolIds, at.poolID)
		arg.FromPositions = append(arg.FromPositions, from)
		arg.BelowPositions = append(arg.BelowPositions, math.MaxInt64)
		arg.UnitCounts = append(arg.UnitCounts, wanted[sku])
	}
	return arg
}

// begin answers the calls that it can, now that it is known what they are about, and sorts the others, which it returns, by the pools that they draw from.
func (b *settlement) begin(ctx context.Context, db pgdb.DB) ([]int, error) {
	o := &b.opening
	for _, row := range o.products {
		if b.gone[row.ProductID] {
			delete(o.gone, row.SKU)
		}
	}
	for sku := range o.gone {
		b.s.gone.remove(sku)
	}
	open, err := b.replay(ctx, db, o.look.find)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	return open, b.share(ctx, db, open)
}

// skus of the calls, each once.
func (b *settlement) skus() (skus []string) {
	for _, c := range b.calls {
		if n := len(skus); n == 0 || skus[n-1] != c.SKU {
			skus = append(skus, c.SKU)
		}
	}
	return skus
}

// replay answers the calls whose key, or own id, is bound to a transaction, and returns the others. Of several new calls with one key
// it returns the first; the others are put back until it is known what becomes of that one.
func (b *settlement) replay(ctx context.Context, db pgdb.DB, bound func(*claimCall) (dbsqlc.ClaimByIDsRow, bool)) ([]int, error) {
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
		if err := b.s.q.ClaimReplayRecord(ctx, db); err != nil {
			return nil, fmt.Errorf("record replays: %w", err)
		}
	}
	return open, nil
}

// bound reads the transactions that the keys of calls, and the ids whose outcome is unknown, are bound to.
func (b *settlement) bound(ctx context.Context, db pgdb.DB, calls []*claimCall) (func(*claimCall) (dbsqlc.ClaimByIDsRow, bool), error) {
	look := b.lookup(calls)
	for _, step := range look.steps(ctx) {
		if err := step(db); err != nil {
			return nil, fmt.Errorf("look up keys: %w", err)
		}
	}
	return look.find, nil
}

// boundLookup looks for the transactions that calls are bound to.
type boundLookup struct {
	s       *Shop
	keyed   dbsqlc.ClaimByKeysParams
	unknown []ownedID
	byKey   map[boundKey]dbsqlc.ClaimByIDsRow
	byID    map[ownedID]*dbsqlc.ClaimByIDsRow
}

func (b *settlement) lookup(calls []*claimCall) *boundLookup {
	l := &boundLookup{s: b.s, keyed: dbsqlc.ClaimByKeysParams{Now: b.s.o.Now()}, byKey: map[boundKey]dbsqlc.ClaimByIDsRow{}}
	asked := map[boundKey]bool{}
	for _, c := range calls {
		if c.unknown && c.kind != drainQueue {
			l.unknown = append(l.unknown, ownedID{c.id, c.Buyer})
		}
		if k := (boundKey{c.Buyer, c.Key}); c.Key != "" && !asked[k] {
			asked[k] = true
			l.keyed.Buyers = append(l.keyed.Buyers, c.Buyer)
			l.keyed.IdempotencyKeys = append(l.keyed.IdempotencyKeys, c.Key)
		}
	}
	return l
}

// steps are what is to be asked, for find to know.
func (l *boundLookup) steps(ctx context.Context) (steps []func(pgdb.Queryer) error) {
	if len(l.keyed.Buyers) > 0 {
		steps = append(steps, func(db pgdb.Queryer) error {
			rows, err := l.s.q.ClaimByKeys(ctx, db, l.keyed)
			for _, row := range rows {
				l.byKey[boundKey{row.Claim.Buyer, *row.Claim.IdempotencyKey}] = dbsqlc.ClaimByIDsRow(row)
			}
			return err
		})
	}
	if len(l.unknown) > 0 {
		steps = append(steps, func(db pgdb.Queryer) (err error) {
			l.byID, err = l.s.claimsByIDs(ctx, db, l.unknown)
			return err
		})
	}
	return steps
}

func (l *boundLookup) find(c *claimCall) (dbsqlc.ClaimByIDsRow, bool) {
	if row, found := l.byKey[boundKey{c.Buyer, c.Key}]; found && c.Key != "" {
		return row, true
	}
	if row := l.byID[ownedID{c.id, c.Buyer}]; row != nil {
		return *row, true
	}
	return dbsqlc.ClaimByIDsRow{}, false
}

func replayed(c *claimCall, row dbsqlc.ClaimByIDsRow) claimOutcome {
	if !c.sameAs(row) {
		return claimOutcome{refusal: keyReused()}
	}
	return claimOutcome{transaction: transaction(row), replayed: row.Claim.ClaimID != c.id, lapsed: row.Lapsed}
}

// sameAs compares a call with the one that made a transaction. A call that names no sale is served through whichever is open.
func (c *claimCall) sameAs(row dbsqlc.ClaimByIDsRow) bool {
	was := row.Claim
	return row.SKU == c.SKU && int(was.Quantity) == c.Quantity && (c.SaleID == nil || was.SaleID != nil && *was.SaleID == *c.SaleID) &&
		c.Reference == text(was.Reference) && sameJSON(c.Metadata, was.Metadata)
}
