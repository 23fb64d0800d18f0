package shop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// drains keep the queues of products moving: one goroutine for each that this process has accepted requests for, or found unsettled, which
// asks the lane for batch after batch until the queue is at its end. Which server settles a queue does not matter. While a crowd waits to be accepted here
// they rest after each batch, so that everybody has a place soon: for acceptFirst in all, which they earn again by the time in which they do not rest. So they
// work for half of the time where there is no end of it.
type drains struct {
	lanes *claimLanes
	crowd func() bool // a crowd waits to be accepted
	ctx   context.Context
	end   context.CancelFunc
	all   sync.WaitGroup

	mu      sync.Mutex
	running map[string]bool  // by SKU: whether to look once more at the end
	failed  error            // since it was last asked for
	heads   map[string]int64 // of the queues that were unsettled when it was last looked for them
	spare   time.Duration    // to be rested
	rested  time.Time        // until when rests are taken from spare
}

const (
	acceptFirst = 5 * time.Second
	drainRest   = 200 * time.Millisecond // at most after a batch: less than the time between two looks for queues that nobody settles
	acceptCrowd = 64                     // so many wait to be accepted where there is a crowd
)

func newDrains(lanes, accepts *claimLanes) *drains {
	d := &drains{
		lanes: lanes, crowd: func() bool { return accepts.Waiting() >= acceptCrowd },
		running: map[string]bool{}, spare: acceptFirst, rested: time.Now(),
	}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d
}

// start sees to it that the queue of a product, as it now is, is settled to its end.
func (d *drains) start(sku string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return
	}
	_, runs := d.running[sku]
	d.running[sku] = runs
	if !runs {
		d.all.Go(func() { d.run(sku) })
	}
}

func (d *drains) run(sku string) {
	for {
		err := d.once(sku)
		d.mu.Lock()
		if err != nil {
			d.failed = fmt.Errorf("settle the queue of %s: %w", sku, err)
		}
		if err != nil || !d.running[sku] {
			delete(d.running, sku)
			d.mu.Unlock()
			return
		}
		d.running[sku] = false
		d.mu.Unlock()
	}
}

// once settles a queue to its end. While somebody else has the turn, or the database is away, the lane tries again.
func (d *drains) once(sku string) error {
	const patience = 10 * time.Second
	for {
		began := time.Now()
		ctx, cancel := context.WithTimeout(d.ctx, patience)
		out, err := d.lanes.Do(ctx, sku, &claimCall{ClaimRequest: ClaimRequest{SKU: sku}, kind: drainQueue})
		cancel()
		if err != nil {
			return err
		}
		d.rest(time.Since(began)) // also at the end: it is hardly one while a crowd is being accepted
		if !out.more {
			return nil
		}
	}
}

// rest waits after a batch that took so long, if a crowd waits to be accepted.
func (d *drains) rest(worked time.Duration) {
	if !d.crowd() {
		return
	}
	timer := time.NewTimer(d.mayRest(time.Now(), worked))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.ctx.Done():
	}
}

// mayRest is how long is rested from now on, after work that took so long. Queues that rest at the same time use up spare once.
func (d *drains) mayRest(now time.Time, worked time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if idle := now.Sub(d.rested); idle > 0 {
		d.spare, d.rested = min(d.spare+idle, acceptFirst), now
	}
	taken := d.rested.Sub(now)
	rest := min(restsFor*worked, drainRest, taken+d.spare)
	if more := rest - taken; more > 0 {
		d.spare, d.rested = d.spare-more, d.rested.Add(more)
	}
	return rest
}

// unmoved returns the queues that nobody has settled anything of since it was last asked.
func (d *drains) unmoved(rows []dbsqlc.QueueUnsettledRow) (skus []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	heads := make(map[string]int64, len(rows))
	for _, row := range rows {
		if head, was := d.heads[row.SKU]; was && head == row.HeadPlaces {
			skus = append(skus, row.SKU)
		}
		heads[row.SKU] = row.HeadPlaces
	}
	d.heads = heads
	return skus
}

// stop ends the goroutines.
func (d *drains) stop() {
	d.mu.Lock()
	d.end()
	d.mu.Unlock()
	d.all.Wait()
}

func (d *drains) takeFailed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.failed
	d.failed = nil
	return err
}

// SettleQueues is housekeeping: it sees to queues that nobody settles, because the server that accepted their requests is gone: they are as they were when it was
// called before. It does not wait for them, and returns what went wrong with those that were seen to before.
func (s *Shop) SettleQueues(ctx context.Context) error {
	rows, err := s.q.QueueUnsettled(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("find unsettled queues: %w", err)
	}
	for _, sku := range s.drains.unmoved(rows) {
		s.drains.start(sku)
	}
	if err := s.drains.takeFailed(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
