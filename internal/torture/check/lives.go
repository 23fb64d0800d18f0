package check

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// slack is how far the database's clock and that of the history may be apart: both are this machine's.
const slack = 20 * time.Millisecond

// step is a move of one unit, of which it is known within which times it happened.
type step struct {
	from, to string
	start    time.Duration
	end      time.Duration
	ops      []*history.Op
}

func (s step) String() string {
	return fmt.Sprintf("%s → %s between %.1f and %.1f ms", s.from, s.to, ms(s.start), ms(s.end))
}

// The places of a unit, as far as its life is concerned: what has it is named. That it is ordered, or sold, is the claim's and the order's affair.
const (
	available = "available"
	looked    = "quarantine"
	withdrawn = "withdrawn"
)

// within is when an effect came about that attempts were made for: not before the first of them, and before the end of the first that was answered OK.
func within(ops []*history.Op) (start, end time.Duration) {
	start, end = forever, forever
	for _, op := range ops {
		if op.Outcome == history.Failed {
			continue
		}
		start = min(start, op.Start)
		if op.Outcome == history.OK {
			end = min(end, op.End)
		}
	}
	return start, end
}

// lives: the answers about each unit fit into a life in which it is in one place at a time.
func (c *checker) lives() {
	var mu sync.Mutex
	var all sync.WaitGroup
	work := make(chan *Unit)
	for range 2 {
		all.Go(func() {
			for u := range work {
				steps := c.life(u)
				shortest, ok := linear(u.ID, steps)
				mu.Lock()
				c.figures.Units++
				c.figures.UnitSteps += len(steps)
				if !ok {
					text := fmt.Sprintf("the unit %s has no life that fits:", u.ID)
					var ops []*history.Op
					for _, s := range shortest {
						text += "\n    " + s.String()
						ops = append(ops, s.ops...)
					}
					c.violated("a unit's life", text, ops...)
				}
				mu.Unlock()
			}
		})
	}
	for _, u := range c.db.Units {
		work <- u
	}
	close(work)
	all.Wait()
}

// life are the moves of a unit.
func (c *checker) life(u *Unit) (steps []step) {
	for _, h := range u.Held {
		claim := c.db.Claims[h.ClaimID]
		begin := step{from: available, to: claim.ID}
		begin.start, begin.end, begin.ops = c.taken(claim)
		steps = append(steps, begin)
		if h.ReleasedAt != nil {
			steps = append(steps, c.givenBack(claim, h))
		}
	}
	for _, q := range u.Quarantine {
		if q.LeftAt != nil {
			steps = append(steps, step{from: looked, to: available, start: c.at(q.EnteredAt) - slack, end: forever})
		}
	}
	if u.Withdrawn != nil {
		if ops := c.byKey[keyed{"", string(history.Withdraw), *u.Withdrawn}]; len(ops) > 0 {
			s := step{from: available, to: withdrawn, ops: ops}
			s.start, s.end = within(ops)
			steps = append(steps, s)
		}
	}
	return steps
}

// taken is when a claim got its units, by what its buyer was told.
func (c *checker) taken(claim *Claim) (start, end time.Duration, ops []*history.Op) {
	start, end = forever, forever
	attempts := c.byTransaction[claim.ID]
	if claim.Key != nil {
		attempts = slices.Concat(attempts, c.byKey[keyed{claim.Buyer, string(history.Claim), *claim.Key}])
	}
	for _, op := range attempts {
		if op.Outcome == history.Failed {
			continue
		}
		if operation(op.Kind) == string(history.Claim) {
			start = min(start, op.Start)
		}
		if op.Outcome == history.OK && showsUnits(op, claim.ID) {
			end = min(end, op.End)
			if len(ops) < 4 {
				ops = append(ops, op)
			}
		}
	}
	if start == forever { // nobody was told, or it came in place of another
		start = c.at(claim.CreatedAt) - slack
	}
	return start, end, ops
}

func showsUnits(op *history.Op, id string) bool {
	for _, t := range shown(op) {
		if t.ID == id && len(t.UnitIDs) > 0 {
			return true
		}
	}
	return op.Order != nil
}

// givenBack is when a unit left its claim, and where it went.
func (c *checker) givenBack(claim *Claim, h *Held) step {
	s := step{from: claim.ID, to: available, start: forever, end: forever}
	ops := func(id string, kind history.Kind) {
		for _, op := range c.on[id] {
			if op.Kind == kind && op.Outcome != history.Failed {
				s.ops = append(s.ops, op)
			}
		}
		s.start, s.end = within(s.ops)
	}
	switch {
	case h.Outcome == nil && claim.Status == "released":
		ops(claim.ID, history.Release)
	case h.Outcome == nil: // it has lapsed
		s.start = c.at(*claim.ExpiresAt) - slack
		for _, op := range c.byTransaction[claim.ID] {
			for _, t := range shown(op) {
				if t.ID == claim.ID && t.Status == "expired" {
					s.end = min(s.end, op.End)
				}
			}
		}
	case *h.Outcome == "cancelled":
		ops(*claim.OrderID, history.Cancel)
		s.start = min(s.start, c.at(*h.ReleasedAt)-slack) // by its buyer, or because it was overdue
		s.end = forever
	default:
		ops(*claim.OrderID, history.Refund)
		if len(s.ops) > 1 { // which of them it was is not known
			s.end = forever
		}
		switch *h.Outcome {
		case "quarantined":
			s.to = looked
		case "written_off":
			s.to = withdrawn
		}
	}
	if s.start == forever {
		s.start = c.at(*h.ReleasedAt) - slack
	}
	return s
}

// model is a unit, which is in one place at a time.
var model = porcupine.Model{
	Init: func() any { return available },
	Step: func(state, input, _ any) (bool, any) {
		s := input.(step)
		return state == s.from, s.to
	},
}

// linear tells whether steps can be put into an order; if not, it returns as few of them as can't.
func linear(unit string, steps []step) ([]step, bool) {
	if fits(steps) {
		return nil, true
	}
	// What can be left out while it does not fit is left out. A life is a chain, so only what comes last can: whatever begins latest.
	steps = slices.SortedFunc(slices.Values(steps), func(a, b step) int { return int(a.start - b.start) })
	for len(steps) > 1 && !fits(steps[:len(steps)-1]) {
		steps = steps[:len(steps)-1]
	}
	return steps, false
}

func fits(steps []step) bool {
	var ops []porcupine.Operation
	for i, s := range steps {
		if s.end < s.start {
			return false
		}
		ops = append(ops, porcupine.Operation{ClientId: i, Input: s, Call: int64(s.start), Return: int64(s.end)})
	}
	return porcupine.CheckOperationsTimeout(model, ops, 5*time.Second) != porcupine.Illegal
}
