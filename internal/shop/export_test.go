package shop

// Waiting tells how many claims wait to be decided, those that are just being decided included.
func (s *Shop) Waiting() int { return s.lanes.Waiting() }
