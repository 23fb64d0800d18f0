package shop

import (
	"context"
	"time"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// GivesWay tells whether long work that begins now would rest in its first second.
func (s *Shop) GivesWay(ctx context.Context) (bool, error) {
	w, err := s.giveWay(ctx, s.pool)
	return err == nil && w.busy, err
}

// Waiting tells how many claims wait to be decided, those that are just being decided included.
func (s *Shop) Waiting() int { return s.lanes.Waiting() }

// ReadsProducts tells whether the goroutine is there that reads what is watched.
func (s *Shop) ReadsProducts() bool {
	s.products.mu.RLock()
	defer s.products.mu.RUnlock()
	return s.products.reads
}

// AcceptFirst is how long the settling of queues may rest, in all, for a crowd that waits to be accepted.
const AcceptFirst = acceptFirst

// Accepting tells how many requests wait to be accepted.
func (s *Shop) Accepting() int { return s.accepts.Waiting() }

// Rested tells whether the settling of queues has rested for a crowd, a moment ago.
func (s *Shop) Rested() bool {
	s.drains.mu.Lock()
	defer s.drains.mu.Unlock()
	return s.drains.spare < acceptFirst
}

// Settles tells whether this server is about to settle the queue of a product.
func (s *Shop) Settles(sku string) bool {
	s.drains.mu.Lock()
	defer s.drains.mu.Unlock()
	_, runs := s.drains.running[sku]
	return runs
}

// NewRests returns how long a server that begins now rests at a time, after work that took so long.
func NewRests(now time.Time) func(now time.Time, worked time.Duration) time.Duration {
	d := newDrains(nil, nil)
	d.rested = now
	return d.mayRest
}

// NewLooks returns which queues a server takes up, when it looks for unsettled ones and finds such heads.
func NewLooks() func(heads map[string]int64) []string {
	d := newDrains(nil, nil)
	return func(heads map[string]int64) []string {
		var rows []dbsqlc.QueueUnsettledRow
		for sku, head := range heads {
			rows = append(rows, dbsqlc.QueueUnsettledRow{SKU: sku, HeadPlaces: head})
		}
		return d.unmoved(rows)
	}
}
