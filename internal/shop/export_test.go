package shop

import "context"

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
