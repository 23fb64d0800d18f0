// Package lane gathers concurrent calls and settles them together: what has arrived for a key while the last batch of that key
// was being settled goes into the next one. Batches of one key begin one after the other: each when the last has ended, or has let it begin.
// Different keys are settled side by side by a bounded number of workers, and where a batch has room it takes calls of several keys. An
// idle lane costs nothing.
//
// It is generic and knows nothing of ours.
package lane

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

var (
	// ErrFull says that as many calls wait as may wait. Nothing was done.
	ErrFull = errors.New("lane: as many calls wait as may wait")
	// ErrClosed says that no more calls are taken. Nothing was done.
	ErrClosed = errors.New("lane: closed")
	// ErrUnderWay says that the call was still in a batch when its time was over: it may be done yet. Its batch may still write to what the call is about.
	ErrUnderWay = errors.New("lane: time is over, and it may be done yet")
)

// grace is how long after its deadline the answer to a call that is in a batch is still waited for.
const grace = 500 * time.Millisecond

// Config bounds the lanes. All must be positive, except Waiting.
type Config struct {
	// Workers is how many batches may be under way at once.
	Workers int
	// BatchCalls is how many calls a batch takes at most.
	BatchCalls int
	// BatchKeys is how many keys a batch takes calls of at most.
	BatchKeys int
	// Waiting is how many calls may wait at once, those in batches under way included; 0: any number, until SetWaiting says how many.
	Waiting int
}

// Call is one call in a batch.
type Call[K comparable, In any] struct {
	Key K
	In  In
	// Caller is the context that Do was called with, for what it carries: that it ends means nothing to a batch.
	Caller context.Context //nolint:containedctx // it is the call's own, handed on
	// Since is when the call came, or was put back.
	Since time.Time
}

// Answer is what became of a call.
type Answer[Out any] struct {
	Out Out
	Err error
	// Again puts the call back to the head of its key, to be settled anew after a short pause (1 ms, then twice as long up to
	// 50 ms while the key goes on asking for it). Out and Err are ignored.
	Again bool
}

// Lanes is a set of lanes, one for each key that has calls.
type Lanes[K comparable, In, Out any] struct {
	cfg    Config
	settle func(ctx context.Context, batch []Call[K, In], next func()) []Answer[Out]

	mu      sync.Mutex
	keys    map[K]*queue[K, In, Out]
	ready   []*queue[K, In, Out] // with calls to take, in the order in which they became ready
	waiting int
	workers int
	closed  bool
	idle    *sync.Cond // signalled when the last worker ends and when a call is done
}

type queue[K comparable, In, Out any] struct {
	key     K
	calls   []*call[In, Out]
	listed  bool // in ready
	batches int  // under way that have calls of it
	blocks  int  // those of them that do not yet let the next begin, and pauses before it is tried again
	pause   time.Duration
}

type call[In, Out any] struct {
	in    In
	ctx   context.Context //nolint:containedctx // see Call
	since time.Time
	taken bool
	gone  bool
	done  chan Answer[Out]
}

// New makes lanes that settle batches with settle. It gets calls of one key in the order of their arrival, next to each other,
// and returns as many answers in the same order. It must end by itself: no context of a caller reaches it. It may call next, to let the next batch of its keys
// begin; else that begins when it returns.
func New[K comparable, In, Out any](cfg Config, settle func(ctx context.Context, batch []Call[K, In], next func()) []Answer[Out]) *Lanes[K, In, Out] {
	l := &Lanes[K, In, Out]{cfg: cfg, settle: settle, keys: map[K]*queue[K, In, Out]{}}
	l.idle = sync.NewCond(&l.mu)
	return l
}

// Do puts a call into the lane of its key and waits for its answer. When ctx ends before the call was taken into a batch, the
// call is dropped and ctx's error returned: nothing was done, unless an earlier batch that had it asked for Again. Once taken,
// the answer is waited for and returned, however long it takes when ctx was cancelled, and for half a second when its deadline is over:
// then the error is ErrUnderWay. Again is no answer: a call that is put back is dropped if ctx has ended.
func (l *Lanes[K, In, Out]) Do(ctx context.Context, key K, in In) (Out, error) {
	c := &call[In, Out]{in: in, ctx: ctx, since: time.Now(), done: make(chan Answer[Out], 1)}
	var none Out
	if err := l.enter(key, c); err != nil {
		return none, err
	}
	defer l.leave()
	select {
	case a := <-c.done:
		return a.Out, a.Err
	case <-ctx.Done():
	}
	l.mu.Lock()
	c.gone = true
	taken := c.taken
	l.mu.Unlock()
	if !taken {
		return none, ctx.Err()
	}
	var enough <-chan time.Time // never, for one who has gone: nobody waits
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		enough = time.After(grace)
	}
	select {
	case a := <-c.done:
		if a.Again {
			return none, ctx.Err()
		}
		return a.Out, a.Err
	case <-enough:
		return none, ErrUnderWay
	}
}

// SetWaiting changes Config.Waiting, for calls that come from now on.
func (l *Lanes[K, In, Out]) SetWaiting(most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg.Waiting = most
}

// Waiting tells how many calls are waiting, those in batches under way included.
func (l *Lanes[K, In, Out]) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// Close refuses new calls and returns when all that were accepted have their answers.
func (l *Lanes[K, In, Out]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for l.waiting > 0 || l.workers > 0 {
		l.idle.Wait()
	}
}

func (l *Lanes[K, In, Out]) enter(key K, c *call[In, Out]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.cfg.Waiting > 0 && l.waiting >= l.cfg.Waiting {
		return ErrFull
	}
	l.waiting++
	q := l.keys[key]
	if q == nil {
		q = &queue[K, In, Out]{key: key}
		l.keys[key] = q
	}
	q.calls = append(q.calls, c)
	l.list(q)
	return nil
}

func (l *Lanes[K, In, Out]) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	if l.waiting == 0 {
		l.idle.Broadcast()
	}
}

// list makes a queue ready, if it has calls and nothing blocks it, and sees to it that a worker is there.
func (l *Lanes[K, In, Out]) list(q *queue[K, In, Out]) {
	if q.blocks > 0 || q.listed {
		return
	}
	if len(q.calls) == 0 {
		if q.batches == 0 {
			delete(l.keys, q.key)
		}
		return
	}
	q.listed = true
	l.ready = append(l.ready, q)
	if l.workers < l.cfg.Workers {
		l.workers++
		go l.work()
	}
}

func (l *Lanes[K, In, Out]) work() {
	for {
		// Those who are on their way into a lane go first: they come along in this batch, instead of in one of their own.
		runtime.Gosched()
		l.mu.Lock()
		parts, batch := l.take()
		if len(batch) == 0 {
			break
		}
		l.mu.Unlock()
		answers := l.safely(batch, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.unblock(parts)
		})
		l.mu.Lock()
		for _, p := range parts {
			l.answer(p, answers[:len(p.calls)])
			answers = answers[len(p.calls):]
		}
		l.mu.Unlock()
	}
	defer l.mu.Unlock()
	l.workers--
	if l.workers == 0 {
		l.idle.Broadcast()
	}
}

// part is what a batch has of one key.
type part[K comparable, In, Out any] struct {
	queue  *queue[K, In, Out]
	calls  []*call[In, Out]
	blocks bool // its queue
}

// unblock lets the next batch of some parts' keys begin.
func (l *Lanes[K, In, Out]) unblock(parts []part[K, In, Out]) {
	for i := range parts {
		if p := &parts[i]; p.blocks {
			p.blocks = false
			p.queue.blocks--
			l.list(p.queue)
		}
	}
}

// take makes a batch of the queues that have been ready for longest. Callers that have gone are left out.
func (l *Lanes[K, In, Out]) take() (parts []part[K, In, Out], batch []Call[K, In]) {
	for len(l.ready) > 0 && len(batch) < l.cfg.BatchCalls && len(parts) < l.cfg.BatchKeys {
		q := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		q.listed = false
		if q.blocks > 0 {
			continue // it has been put back since it was listed
		}
		p := part[K, In, Out]{queue: q, blocks: true}
		for len(q.calls) > 0 && len(batch) < l.cfg.BatchCalls {
			c := q.calls[0]
			q.calls[0] = nil
			q.calls = q.calls[1:]
			if c.gone {
				continue
			}
			c.taken = true
			p.calls = append(p.calls, c)
			batch = append(batch, Call[K, In]{Key: q.key, In: c.in, Caller: c.ctx, Since: c.since})
		}
		if len(p.calls) == 0 {
			l.list(q)
			continue
		}
		q.batches++
		q.blocks++
		parts = append(parts, p)
	}
	return parts, batch
}

// answer hands out the answers for one key, and puts calls back for the next batch, which begins after a pause.
func (l *Lanes[K, In, Out]) answer(p part[K, In, Out], answers []Answer[Out]) {
	var back []*call[In, Out]
	for i, c := range p.calls {
		if answers[i].Again && !c.gone {
			c.taken, c.since = false, time.Now()
			back = append(back, c)
			continue
		}
		c.done <- answers[i]
	}
	q := p.queue
	q.batches--
	if p.blocks {
		q.blocks--
	}
	if len(back) == 0 {
		q.pause = 0
		l.list(q)
		return
	}
	q.calls = append(back, q.calls...)
	q.pause = min(max(2*q.pause, time.Millisecond), 50*time.Millisecond)
	q.blocks++
	time.AfterFunc(q.pause, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		q.blocks--
		l.list(q)
	})
}

// safely turns a panic of settle into an error for each call of the batch.
func (l *Lanes[K, In, Out]) safely(batch []Call[K, In], next func()) (answers []Answer[Out]) {
	defer func() {
		p := recover()
		if p == nil && len(answers) == len(batch) {
			return
		}
		err := fmt.Errorf("lane: %d answers for %d calls", len(answers), len(batch))
		if p != nil {
			err = fmt.Errorf("lane: panic: %v\n%s", p, debug.Stack())
		}
		answers = make([]Answer[Out], len(batch))
		for i := range answers {
			answers[i].Err = err
		}
	}()
	return l.settle(context.Background(), batch, next)
}
