package shop

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// lookEvery is how often a server that has waiters looks for what other servers have settled: one query for all of them.
const lookEvery = 20 * time.Millisecond

// waiters are those who wait in this process for the turn of queued requests. Who waits for what this process settles is told by the
// settlement; for the rest it looks at the heads of the queues. Nobody is missed: before it waits, each has read its transaction, and a
// head that has passed its place is noticed however late it is looked at.
type waiters struct {
	s    *Shop
	ctx  context.Context
	end  context.CancelFunc
	mu   sync.Mutex
	byID map[ownedID][]*waiter
	// queues are the pools that somebody with a known place waits in.
	queues map[poolKey]*waitedQueue
	looks  bool // the goroutine that looks is there
}

// waitedQueue is what is known of a queue, and who waits in it.
type waitedQueue struct {
	head      int64
	cancelled []int64 // places behind the head, rising
	units     []int64 // asked for by the cancelled requests before each of those places; the last is of all
	waiters   map[*waiter]bool
	lastPlace int64 // of all who ever waited
}

// ahead is how many units are asked for before a place.
func (q *waitedQueue) ahead(place int64) int64 {
	passed, _ := slices.BinarySearch(q.cancelled, q.head)
	before, _ := slices.BinarySearch(q.cancelled, place)
	if before <= passed {
		return place - q.head
	}
	return place - q.head - (q.units[before] - q.units[passed])
}

// A waiter waits for one transaction to be no longer queued.
type waiter struct {
	id      ownedID
	settled chan Transaction // gets one
	told    bool
	// Once known:
	queue *waitedQueue
	pool  poolKey
	place int64
	least int64 // position that was shown
}

func newWaiters(s *Shop) *waiters {
	w := &waiters{s: s, byID: map[ownedID][]*waiter{}, queues: map[poolKey]*waitedQueue{}}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

func (ws *waiters) stop() { ws.end() }

// add makes a waiter for a transaction, of which the place is not yet known.
func (ws *waiters) add(id ownedID) *waiter {
	w := &waiter{id: id, settled: make(chan Transaction, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.byID[id] = append(ws.byID[id], w)
	return w
}

// full tells whether as many wait for different transactions as may.
func (ws *waiters) full() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.byID) >= ws.s.limits.Load().Waiting
}

// place tells where a waiter's transaction stands in the queue, as it was read.
func (ws *waiters) place(w *waiter, t Transaction) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	q := ws.queues[t.pool]
	if q == nil {
		q = &waitedQueue{waiters: map[*waiter]bool{}}
		ws.queues[t.pool] = q
	}
	w.queue, w.pool, w.place, w.least = q, t.pool, t.place, t.QueuePosition
	q.waiters[w] = true
	q.lastPlace = max(q.lastPlace, t.place)
	if !ws.looks {
		ws.looks = true
		go ws.look()
	}
}

func (ws *waiters) remove(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	left := slices.DeleteFunc(ws.byID[w.id], func(other *waiter) bool { return other == w })
	if ws.byID[w.id] = left; len(left) == 0 {
		delete(ws.byID, w.id)
	}
	if w.queue == nil {
		return
	}
	delete(w.queue.waiters, w)
	if len(w.queue.waiters) == 0 {
		delete(ws.queues, w.pool)
	}
}

// position is how many units are asked for ahead of a waiter, as far as this process knows. It only falls.
func (ws *waiters) position(w *waiter) int64 {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.queue != nil {
		w.least = max(min(w.least, w.queue.ahead(w.place)), 0)
	}
	return w.least
}

// settled tells what became of requests of a queue, which is settled up to head.
func (ws *waiters) settled(k poolKey, head int64, done []Transaction) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if q := ws.queues[k]; q != nil {
		q.head = max(q.head, head)
	}
	for _, t := range done {
		ws.tell(t)
	}
}

func (ws *waiters) tell(t Transaction) {
	for _, w := range ws.byID[ownedID{t.ID, t.Buyer}] {
		if !w.told {
			w.told = true
			w.settled <- t
		}
	}
}

// wake tells those who wait for a transaction that was cancelled here.
func (ws *waiters) wake(ctx context.Context, id ownedID) {
	ws.mu.Lock()
	waited := len(ws.byID[id]) > 0
	ws.mu.Unlock()
	if waited {
		_ = ws.fetch(ctx, []ownedID{id}) // if it can't be read now, the next look finds it
	}
}

// look asks the database every lookEvery how far the queues are, until nobody waits.
func (ws *waiters) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ws.ctx.Done():
			return
		case <-tick.C:
		}
		ws.mu.Lock()
		if len(ws.queues) == 0 {
			ws.looks = false
			ws.mu.Unlock()
			return
		}
		arg := dbsqlc.QueueProgressParams{}
		for k, q := range ws.queues {
			arg.ProductIds = append(arg.ProductIds, k.productID)
			arg.PoolIds = append(arg.PoolIds, k.poolID)
			arg.BelowPlaces = append(arg.BelowPlaces, q.lastPlace+1)
		}
		ws.mu.Unlock()
		ws.lookOnce(arg)
	}
}

// lookOnce may fail, when the database is away: the next look sees as much.
func (ws *waiters) lookOnce(arg dbsqlc.QueueProgressParams) {
	ctx, cancel := context.WithTimeout(ws.ctx, 2*time.Second)
	defer cancel()
	rows, err := ws.s.q.QueueProgress(ctx, ws.s.pool, arg)
	if err != nil {
		return
	}
	for ids := range slices.Chunk(ws.passed(rows), 1000) {
		if err := ws.fetch(ctx, ids); err != nil {
			return
		}
	}
}

// passed notes how far queues are, and names the transactions that somebody waits for and that are no longer queued.
func (ws *waiters) passed(rows []dbsqlc.QueueProgressRow) []ownedID {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ids := map[ownedID]bool{}
	for _, row := range rows {
		q := ws.queues[poolKey{row.QueueHead.ProductID, row.QueueHead.PoolID}]
		if q == nil {
			continue
		}
		q.cancelled, q.units = row.CancelledPlaces, []int64{0}
		for i, quantity := range row.CancelledQuantities {
			q.units = append(q.units, q.units[i]+int64(quantity))
		}
		q.head = max(q.head, row.QueueHead.Place)
		for w := range q.waiters {
			_, cancelled := slices.BinarySearch(q.cancelled, w.place)
			if !w.told && (w.place < q.head || cancelled) {
				ids[w.id] = true
			}
		}
	}
	return slices.Collect(maps.Keys(ids))
}

// fetch reads transactions and tells those who wait for them, unless they are still queued.
func (ws *waiters) fetch(ctx context.Context, ids []ownedID) error {
	rows, err := ws.s.claimsToShow(ctx, ids)
	if err != nil {
		return err
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, row := range rows {
		if t := transaction(*row); t.Status != Queued {
			ws.tell(t)
		}
	}
	return nil
}

// Await returns a buyer's transaction as soon as it is no longer queued, or as it is when so long has passed, ctx ends or the shop stops
// waiting. Refusals: NotFound; Busy when as many wait as may.
func (s *Shop) Await(ctx context.Context, buyer string, id ID, atMost time.Duration) (Transaction, error) {
	if atMost <= 0 {
		return s.Transaction(ctx, buyer, id)
	}
	w, err := s.Watch(ctx, buyer, id)
	if err != nil {
		return Transaction{}, err
	}
	defer w.Close()
	if w.First.Status != Queued {
		return w.First, nil
	}
	return s.await(ctx, w.waiter, w.First, atMost), nil
}

// await waits for a transaction that was seen as first.
func (s *Shop) await(ctx context.Context, w *waiter, first Transaction, atMost time.Duration) Transaction {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case t := <-w.settled:
		return t
	case <-ctx.Done():
	case <-s.waiters.ctx.Done():
	case <-timer.C:
	}
	select {
	case t := <-w.settled: // at the same instant
		return t
	default:
		first.QueuePosition = s.waiters.position(w)
		return first
	}
}

// Watch is a look at a transaction that goes on until it is no longer queued.
type Watch struct {
	// First is the transaction as it was when the watch began.
	First Transaction
	*waiter
	s *Shop
}

// Watch begins to watch a buyer's transaction. Close it. Refusals: NotFound; Busy when as many wait as may (Limits.Waiting).
func (s *Shop) Watch(ctx context.Context, buyer string, id ID) (*Watch, error) {
	if s.waiters.full() {
		return nil, busy()
	}
	w := &Watch{s: s, waiter: s.waiters.add(ownedID{id, buyer})}
	t, err := s.Transaction(ctx, buyer, id)
	if err != nil {
		w.Close()
		return nil, err
	}
	if w.First = t; t.Status == Queued {
		s.waiters.place(w.waiter, t)
	}
	return w, nil
}

// Settled gives the transaction when it is no longer queued: not at all when the first one was not.
func (w *Watch) Settled() <-chan Transaction { return w.settled }

// Stopped is closed when the shop no longer waits.
func (w *Watch) Stopped() <-chan struct{} { return w.s.waiters.ctx.Done() }

// Position is how many units are asked for ahead of the transaction, as far as is known here. It only falls.
func (w *Watch) Position() int64 { return w.s.waiters.position(w.waiter) }

// Close ends the watch.
func (w *Watch) Close() { w.s.waiters.remove(w.waiter) }
