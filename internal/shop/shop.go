package shop

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// ID is a public id, a UUIDv7.
type ID = pgdb.ID

// ParseID reads an ID in its usual form; anything else is a not-found refusal, because nothing can have such an id.
func ParseID(what, s string) (ID, error) {
	id, err := pgdb.ParseID(s)
	if err != nil {
		return ID{}, notFound(what)
	}
	return id, nil
}

// Options of a shop. Zero values take the defaults that are named.
type Options struct {
	// Hold is how long a hold lasts outside a sale. 10 minutes.
	Hold time.Duration
	// MaxQuantity is how many units one claim may ask for outside a sale. 10.
	MaxQuantity int
	// ShowStock is the number up to which the units of a product are shown exactly. 1000 when negative.
	ShowStock int
	// Limits are those that hold until SetLimits gives others.
	Limits Limits
	// KeepRefused is how long transactions are kept that never had units. 7 days.
	KeepRefused time.Duration
	// Workers is how many batches of claims may be in transactions at once. 4.
	Workers int
	// ClaimWait is how long a claim waits to be settled before it is refused as busy; to be accepted it waits 3 s at most. 5 s.
	ClaimWait time.Duration
	// HoldMax is how long a hold can be made to last in all. 1 hour.
	HoldMax time.Duration
	// Provider takes the money for orders. Nil: orders can't be paid here, only confirmed by the shop beside us.
	Provider payment.Provider
	// PayTimeout is how long the provider may take to answer. 10 s.
	PayTimeout time.Duration
	// WebhooksAnywhere lets webhooks have any address, also one of this machine and without TLS: for development.
	WebhooksAnywhere bool
	// Observer is told what the shop does. Nil: nobody is.
	Observer *Observer
	// Now moves the clock in tests. Nil, or a function that returns nil: the database's clock.
	Now func() *time.Time
}

// Limits are how much of what has to wait is let in. Zero values take the defaults that are named.
type Limits struct {
	// Waiting is how many claims may wait at once to be settled, how many to be accepted, how many transactions may be waited for, and
	// how many may watch products; more are refused as busy. 20000.
	Waiting int
	// QueueUnits is how many units may be asked for in the queue of a product; requests for more are refused as busy. 100000.
	QueueUnits int
	// QueuePerBuyer is how many requests a buyer may have queued, of all products. 50.
	QueuePerBuyer int
}

func (l Limits) withDefaults() Limits {
	if l.Waiting == 0 {
		l.Waiting = 20000
	}
	if l.QueueUnits == 0 {
		l.QueueUnits = 100_000
	}
	if l.QueuePerBuyer == 0 {
		l.QueuePerBuyer = 50
	}
	return l
}

func (o Options) withDefaults() Options {
	if o.Hold == 0 {
		o.Hold = 10 * time.Minute
	}
	if o.MaxQuantity == 0 {
		o.MaxQuantity = 10
	}
	if o.ShowStock < 0 {
		o.ShowStock = 1000
	}
	if o.KeepRefused == 0 {
		o.KeepRefused = 7 * 24 * time.Hour
	}
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.ClaimWait == 0 {
		o.ClaimWait = 5 * time.Second
	}
	if o.HoldMax == 0 {
		o.HoldMax = time.Hour
	}
	if o.PayTimeout == 0 {
		o.PayTimeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = func() *time.Time { return nil }
	}
	return o
}

// Shop is the shop on one database. Any number of shops may work on the same one. Its methods may be called concurrently.
type Shop struct {
	pool    *pgxpool.Pool
	q       *dbsqlc.Queries
	o       Options
	limits  atomic.Pointer[Limits]
	lanes   *claimLanes // of claims that are decided
	accepts *claimLanes // of requests that are accepted
	reads   *lane.Lanes[byte, ownedID, *dbsqlc.ClaimByIDsRow]
	orders  *lane.Lanes[byte, ID, *orderRead] // that are read
	// checkouts, payments that begin and payments that have succeeded:
	checkouts *gathered[checkoutCall]
	pays      *gathered[payCall]
	paids     *gathered[paidCall]
	charges   charges
	drains    *drains
	waiters   *waiters
	// products are those that are watched.
	products *productWatches
	cursors  cursors
	gone     skuMap[poolKey] // pools of products that were sold out for good when somebody was refused for it, so that this is asked first
	served   skuMap[served]
	keys     keyCache
	counts   saleCounts
	figures  saleReads
	// reporting is held by whoever makes a report on a sale.
	reporting chan struct{}
	// clockOffset is how far the database's clock is ahead of ours, in nanoseconds.
	clockOffset atomic.Int64
}

// claimLanes gather calls by SKU.
type claimLanes = lane.Lanes[string, *claimCall, claimOutcome]

// New makes a shop on a migrated database. The pool stays the caller's, to be closed after Close.
func New(pool *pgxpool.Pool, o Options) *Shop {
	s := &Shop{pool: pool, q: dbsqlc.New(), o: o.withDefaults()}
	s.cursors.at = map[poolKey]int64{}
	s.gone.at, s.served.at = map[string]poolKey{}, map[string]served{}
	s.keys.entries = map[[32]byte]keyCacheEntry{}
	s.counts.by, s.counts.last = map[countKey]*countTally{}, map[string]ID{}
	s.figures.by = map[ID]*saleRead{}
	s.reporting = make(chan struct{}, 1)
	c := lane.Config{Workers: s.o.Workers, BatchCalls: 512, BatchKeys: 128}
	w := s.o.Observer
	s.lanes = lane.New(c, watched(w, "claims", s.settle))
	s.accepts = lane.New(c, watched(w, "accepts", s.accept))
	s.reads = lane.New(lane.Config{Workers: readLanes, BatchCalls: 256, BatchKeys: 1}, watched(w, "reads", s.read))
	s.orders = lane.New(lane.Config{Workers: readLanes, BatchCalls: 256, BatchKeys: 1}, watched(w, "orders", s.readOrders))
	s.checkouts, s.pays, s.paids = gather(s, "checkouts", s.checkoutMany), gather(s, "pays", s.payMany), gather(s, "paids", s.paidMany)
	s.charges.by = map[ID]chargeCalls{}
	s.drains = newDrains(s.lanes, s.accepts)
	s.waiters = newWaiters(s)
	s.products = newProductWatches(s)
	s.SetLimits(s.o.Limits)
	return s
}

// SetLimits gives other limits, for those who come from now on: whoever waits already is served.
func (s *Shop) SetLimits(l Limits) {
	l = l.withDefaults()
	s.limits.Store(&l)
	for _, set := range []func(int){
		s.lanes.SetWaiting, s.accepts.SetWaiting, s.checkouts.SetWaiting, s.pays.SetWaiting, s.paids.SetWaiting,
	} {
		set(l.Waiting)
	}
	s.reads.SetWaiting(5 * l.Waiting)
	s.orders.SetWaiting(5 * l.Waiting)
}

// StopWaiting lets everybody who waits for a turn in a queue go, with the transaction as it then is, and everybody who watches products. Those who come later do
// not wait.
func (s *Shop) StopWaiting() {
	s.waiters.stop()
	s.products.stop()
}

// Close refuses new claims and returns when those under way have their answers. What is queued stays so. What was counted of sales is written down, if
// the database is there.
func (s *Shop) Close() {
	s.StopWaiting()
	s.accepts.Close()
	s.drains.stop()
	s.lanes.Close()
	s.reads.Close()
	s.checkouts.Close()
	s.pays.Close()
	s.paids.Close()
	s.orders.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.flushCounts(ctx, true) // or the last second is lost, as it may be
}

// Ready returns nil when the database can be written to and would not lose an answer: fsync, full_page_writes and
// synchronous_commit are on. Otherwise a Busy refusal that says in plain words what is wrong.
func (s *Shop) Ready(ctx context.Context) error {
	return ready(ctx, s.pool)
}

// SyncClock measures how far the database's clock is from ours.
func (s *Shop) SyncClock(ctx context.Context) error {
	before := time.Now()
	there, err := s.q.ClockNow(ctx, s.pool)
	if err != nil {
		return explain("read the database's clock", err)
	}
	after := time.Now()
	here := before.Add(after.Sub(before) / 2)
	s.clockOffset.Store(int64(there.Sub(here)))
	return nil
}

// Clock tells the database's time, as exactly as the last SyncClock found it.
func (s *Shop) Clock() time.Time { return s.clockAt(time.Now()) }

// clockAt is the database's time when ours is here.
func (s *Shop) clockAt(here time.Time) time.Time {
	if now := s.o.Now(); now != nil {
		return *now
	}
	return here.Add(time.Duration(s.clockOffset.Load()))
}

func (s *Shop) inTx(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pgdb.InTx(ctx, s.pool, fn)
}

// inShortTx is inTx for statements that go by keys: a plan for any is as good as one made anew for each, which would take longer than the statement.
func (s *Shop) inShortTx(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pgdb.InTxWith(ctx, s.pool, "SET LOCAL plan_cache_mode = force_generic_plan", fn)
}

// settings are ClaimSettings for statements that go along.
func (s *Shop) settings(ctx context.Context) func(pgdb.Queryer) error {
	return func(db pgdb.Queryer) error {
		_, err := s.q.ClaimSettings(ctx, db)
		return err
	}
}

// poolKey names where tokens lie: a product's common pool (0) or the allotment of a sale.
type poolKey struct{ productID, poolID int64 }

const commonPool = 0

// cursors remembers, for each pool, the position before which the tokens are (all but surely) gone, so that a claim does not
// walk over dead rows. It is only a hint: whoever finds too little looks again from 0.
type cursors struct {
	mu sync.Mutex
	at map[poolKey]int64
}

func (c *cursors) get(k poolKey) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[k]
}

func (c *cursors) set(k poolKey, position int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at[k] = position
}

// back moves a cursor back to a position, if it is behind it.
func (c *cursors) back(k poolKey, position int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[k] > position {
		c.at[k] = position
	}
}

// served is how the last claims of a product that got units were served.
type served struct {
	poolKey      // where the units came from
	inSale  bool // of the product, whichever it was
}

// skuMap remembers something of products. It is only a hint.
type skuMap[T any] struct {
	mu sync.Mutex
	at map[string]T // by SKU
}

func (m *skuMap[T]) add(sku string, what T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at[sku] = what
}

func (m *skuMap[T]) remove(sku string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.at, sku)
}

// of returns what is remembered of some products.
func (m *skuMap[T]) of(skus []string) map[string]T {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]T{}
	for _, sku := range skus {
		if what, was := m.at[sku]; was {
			all[sku] = what
		}
	}
	return all
}
