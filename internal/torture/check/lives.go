package check

import (
	"cmp"
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
	visit    string // the claim that it is of, from the unit's leaving the shelf until it is back there
	start    time.Duration
	end      time.Duration
	ops      []*history.Op
}

func (s step) String() string {
	text := s.from + " → " + s.to
	switch {
	case s.start > 0 && s.end < forever:
		return fmt.Sprintf("%s between %.1f and %.1f ms", text, ms(s.start), ms(s.end))
	case s.start > 0:
		return fmt.Sprintf("%s after %.1f ms", text, ms(s.start))
	case s.end < forever:
		return fmt.Sprintf("%s before %.1f ms", text, ms(s.end))
	}
	return text
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
				ok := fits(steps, 5*time.Second)
				mu.Lock()
				c.figures.Units++
				c.figures.UnitSteps += len(steps)
				if !ok {
					c.noLife(u, steps)
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

func (c *checker) noLife(u *Unit, steps []step) {
	short, until := shortest(steps, 2*time.Second)
	text := fmt.Sprintf("the unit %s has no life that fits", u.ID)
	if until < forever {
		text += fmt.Sprintf(" up to %.1f ms", ms(until))
	}
	var ops []*history.Op
	for _, s := range short {
		text += "\n    " + s.String()
		for _, op := range s.ops {
			if !slices.Contains(ops, op) {
				ops = append(ops, op)
			}
		}
	}
	c.violated("a unit's life", text, ops...)
}

// life are the moves of a unit.
func (c *checker) life(u *Unit) (steps []step) {
	var sent []string // into quarantine, by whose visits
	for _, h := range inTurn(u.Held) {
		claim := c.db.Claims[h.ClaimID]
		begin := step{from: available, to: claim.ID, visit: claim.ID}
		begin.start, begin.end, begin.ops = c.taken(claim)
		steps = append(steps, begin)
		if h.ReleasedAt != nil {
			back := c.givenBack(claim, h)
			back.visit = claim.ID
			steps = append(steps, back)
			if back.to == looked {
				sent = append(sent, claim.ID)
			}
		}
	}
	for i, q := range u.Quarantine { // in the order in which they were
		if q.LeftAt != nil {
			out := step{from: looked, to: available, start: c.at(q.EnteredAt) - slack, end: forever}
			if i < len(sent) {
				out.visit = sent[i]
			}
			steps = append(steps, out)
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

// taken is when a claim got its units, by what its buyer was told: first who told it, then who asked for it first.
func (c *checker) taken(claim *Claim) (start, end time.Duration, ops []*history.Op) {
	start, end = forever, forever
	var first *history.Op
	for _, op := range c.attempts(claim) {
		if op.Outcome == history.Failed {
			continue
		}
		if operation(op.Kind) == string(history.Claim) && op.Start < start {
			start, first = op.Start, op
		}
		if op.Outcome == history.OK && showsUnits(op, claim.ID) && op.End < end {
			end, ops = op.End, []*history.Op{op}
		}
	}
	if first != nil && !slices.Contains(ops, first) {
		ops = append(ops, first)
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
				if t.ID == claim.ID && t.Status == "expired" && op.End < s.end {
					s.end, s.ops = op.End, []*history.Op{op}
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

// shortest leaves out of steps that do not fit, for so long at most, what can be left out while the rest does not fit either. A life that fits does so without any of its visits, up to any instant, and when
// less is known of when a step happened: so what is left is wrong by itself. It also returns the instant up to which it goes, forever if it goes on.
func shortest(steps []step, most time.Duration) (short []step, until time.Duration) {
	began := time.Now()
	wrong := func(less []step) bool {
		left := most - time.Since(began)
		return len(less) > 0 && left > 0 && !fits(less, left)
	}
	steps = slices.SortedFunc(slices.Values(steps), func(a, b step) int { return cmp.Compare(a.start, b.start) })
	for _, last := range slices.Backward(steps) {
		if less := slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.visit == last.visit }); wrong(less) {
			steps = less
		}
	}
	for until = forever; isLast(steps) && wrong(steps[:len(steps)-1]); steps = steps[:len(steps)-1] {
		until = steps[len(steps)-1].start
	}
	for i := range steps {
		forget := []func(*step){func(s *step) { s.start = 0 }}
		if until == forever {
			forget = append(forget, func(s *step) { s.end = forever })
		}
		for _, forget := range forget {
			less := slices.Clone(steps)
			if forget(&less[i]); wrong(less) {
				steps = less
			}
		}
		steps[i].ops = telling(steps[i])
	}
	return steps, until
}

// isLast tells whether the last step began when all others had ended.
func isLast(steps []step) bool {
	if len(steps) < 2 {
		return false
	}
	last := steps[len(steps)-1]
	return !slices.ContainsFunc(steps[:len(steps)-1], func(s step) bool { return s.end >= last.start })
}

// telling are the attempts by which it is known when a step happened.
func telling(s step) (ops []*history.Op) {
	for _, op := range s.ops {
		if s.start > 0 && op.Start == s.start || s.end < forever && op.End == s.end {
			ops = append(ops, op)
		}
	}
	if len(ops) == 0 { // so that it is seen what the step was
		ops = s.ops[:min(1, len(s.ops))]
	}
	return ops
}

// fits tells whether steps can be put into an order, also when that was not found out in time.
func fits(steps []step, most time.Duration) bool {
	var ops []porcupine.Operation
	for i, s := range steps {
		if s.end < s.start {
			return false
		}
		ops = append(ops, porcupine.Operation{ClientId: i, Input: s, Call: int64(s.start), Return: int64(s.end)})
	}
	return porcupine.CheckOperationsTimeout(model, ops, most) != porcupine.Illegal
}
