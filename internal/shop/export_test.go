package shop

// Waiting tells how many claims wait to be decided, those that are just being decided included.
func (s *Shop) Waiting() int { return s.lanes.Waiting() }

// ReadsProducts tells whether the goroutine is there that reads what is watched.
func (s *Shop) ReadsProducts() bool {
	s.products.mu.RLock()
	defer s.products.mu.RUnlock()
	return s.products.reads
}
