package shop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// drains keep the queues of products moving: one goroutine for each that this process has accepted requests for, or found unsettled, which
// asks the lane for batch after batch until the queue is at its end. Which server settles a queue does not matter.
type drains struct {
	lanes *claimLanes
	ctx   context.Context
	end   context.CancelFunc
	all   sync.WaitGroup

	mu      sync.Mutex
	running map[string]bool // by SKU: whether to look once more at the end
	failed  error           // since it was last asked for
}

func newDrains(lanes *claimLanes) *drains {
	d := &drains{lanes: lanes, running: map[string]bool{}}
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
		ctx, cancel := context.WithTimeout(d.ctx, patience)
		out, err := d.lanes.Do(ctx, sku, &claimCall{ClaimRequest: ClaimRequest{SKU: sku}, kind: drainQueue})
		cancel()
		if err != nil || !out.more {
			return err
		}
	}
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

// SettleQueues is housekeeping: it sees to queues that nobody settles, because the server that accepted their requests is gone. It does not wait
// for them, and returns what went wrong with those that were seen to before.
func (s *Shop) SettleQueues(ctx context.Context) error {
	skus, err := s.q.QueueUnsettled(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("find unsettled queues: %w", err)
	}
	for _, sku := range skus {
		s.drains.start(sku)
	}
	if err := s.drains.takeFailed(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
