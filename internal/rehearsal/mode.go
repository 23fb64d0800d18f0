package rehearsal

import (
	"fmt"
	"math/rand/v2"
)

// Mode says by which of the service's two ways the buyers ask.
type Mode string

// The modes. With Both, half of the buyers ask each way, all at the same product at the same time.
const (
	Direct Mode = "direct" // one request, answered when it is decided
	Queued Mode = "queued" // a request that is accepted, and a transaction that is watched until it is settled
	Both   Mode = "both"
)

// ParseMode reads a mode. It refuses what is none of the three, also the empty string.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Direct, Queued, Both:
		return m, nil
	}
	return "", fmt.Errorf("the mode must be direct, queued or both, not %q", s)
}

// queues says for each buyer whether it goes through the queue. Half of them are drawn, the same ones each time: every other
// one would all be of one server, or of one quantity, because those are dealt out in turn too.
func (m Mode) queues(buyers int) []bool {
	queued := make([]bool, buyers)
	for place, i := range rand.New(rand.NewPCG(12, 12)).Perm(buyers) {
		queued[i] = m == Queued || m == Both && place < buyers/2
	}
	return queued
}
