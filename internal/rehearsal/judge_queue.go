package rehearsal

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// judgeAcceptance: what went to the queue was accepted as the contract says, and nothing that takes stock to decide was
// decided without a place in it.
func judgeAcceptance(answers []answer) []string {
	lacking, atOnce := map[string]int{}, map[string]int{}
	incomplete := 0
	for _, a := range answers {
		for _, header := range a.lacking {
			lacking[header]++
		}
		if len(a.lacking) > 0 {
			incomplete++
		}
		if a.queued && a.id() == "" && !a.replayed && a.refused != nil && wants(a.refused.Code) {
			atOnce[a.refused.Code]++
		}
	}
	var broken []string
	if incomplete > 0 {
		broken = append(broken, fmt.Sprintf("%s accepted without what a client goes on with (%s)", were(incomplete, "request"), tally(lacking)))
	}
	if n := total(atOnce); n > 0 {
		broken = append(broken, fmt.Sprintf("%s refused at once, with no place in the queue, for a reason that takes stock to decide (%s)", were(n, "request"), tally(atOnce)))
	}
	return broken
}

// wants says that a refusal is for want of units that may come back.
func wants(code string) bool { return code == "all-held" || code == "not-enough-units" }

// judgeMoves: a transaction is one thing for its buyer, from the 202 to the last look at another server. It moves along the
// states of the contract only, has one outcome, and its place in the queue never grows.
func judgeMoves(seen evidence) []string {
	var other, back, changed, placeless, rose []string
	judgeHistory := func(asked int, history []sighting) {
		was := history[0]
		was.Quantity = asked
		for i, is := range history {
			if is.ID != was.ID || is.Quantity != was.Quantity {
				other = append(other, fmt.Sprintf("%s of %d was shown as %s of %d", was.ID, was.Quantity, is.ID, is.Quantity))
				return
			}
			switch {
			case is.Status == "queued" && (is.QueuePosition == nil || *is.QueuePosition < 0):
				placeless = append(placeless, is.ID)
				return
			case i == 0:
			case !mayFollow(was.Status, is.Status):
				back = append(back, fmt.Sprintf("%s was %s and then %s", is.ID, was.outcome(), is.outcome()))
				return
			case is.Status == "queued" && *is.QueuePosition > *was.QueuePosition:
				rose = append(rose, fmt.Sprintf("%s from %d to %d", is.ID, *was.QueuePosition, *is.QueuePosition))
				return
			case is.Status == was.Status && is.Status != "queued" && (is.Reason != was.Reason || !sameUnits(is.UnitIDs, was.UnitIDs)):
				changed = append(changed, fmt.Sprintf("%s was %s and then %s", is.ID, was.outcome(), is.outcome()))
				return
			}
			was = is
		}
	}
	found := map[string]*transaction{}
	for _, l := range seen.stored {
		if l.found != nil {
			found[l.answer.buyer] = l.found
		}
	}
	for _, a := range seen.answers {
		history := a.sightings
		if last := found[a.buyer]; last != nil {
			history = append(slices.Clip(history), sighting{transaction: *last})
		}
		if a.id() != "" {
			judgeHistory(a.quantity, history)
		}
	}
	return slices.Concat(
		examples(other, "%s shown as another one", "transaction"),
		examples(back, "%s seen moving as none may", "transaction"),
		examples(changed, "%s answered twice, differently", "transaction"),
		examples(placeless, "%s queued without a queue_position of 0 or more", "transaction"),
		examples(rose, "%s seen falling back in the queue", "transaction"))
}

func (t transaction) outcome() string {
	switch {
	case t.Reason != "":
		return t.Status + " " + t.Reason
	case len(t.UnitIDs) > 0:
		return fmt.Sprintf("%s %v", t.Status, t.UnitIDs)
	}
	return t.Status
}

// mayFollow says that a transaction which was seen in one state may be seen in the other later, with or without states
// between that nobody saw.
func mayFollow(was, is string) bool {
	switch was {
	case is:
		return true
	case "queued":
		return slices.Contains([]string{"held", "refused", "released", "ordered", "expired"}, is)
	case "held":
		return slices.Contains([]string{"ordered", "released", "expired"}, is)
	}
	return false
}

// The order in which requests were settled can be seen from outside in two ways, both for a request A that was accepted
// before a request B was sent, when both ends are known by one clock: then A must be settled before B.

// judgeTurns: B's outcome was known, and a look that was sent after that still found A queued. That is out of turn
// whatever was asked for and whatever came of it, also when units came back. B counts if stock decided it: it was held,
// or refused after it was accepted, or refused for want of units.
func judgeTurns(answers []answer) []string {
	var later []answer // the Bs, by the instant of sending
	for _, a := range answers {
		if a.held != nil || a.refused != nil && (a.id() != "" || wants(a.refused.Code)) {
			later = append(later, a)
		}
	}
	slices.SortFunc(later, func(a, b answer) int { return a.sentAt.Compare(b.sentAt) })
	earliest := make([]int, len(later)) // from each on, the one whose outcome was known first
	for i := len(later) - 1; i >= 0; i-- {
		earliest[i] = i
		if i+1 < len(later) && later[earliest[i+1]].answeredAt.Before(later[i].answeredAt) {
			earliest[i] = earliest[i+1]
		}
	}
	var found []string
	for _, a := range answers {
		still := a.lastQueued()
		i := sort.Search(len(later), func(i int) bool { return later[i].sentAt.After(a.acceptedAt) })
		if still.IsZero() || i == len(later) {
			continue
		}
		if b := later[earliest[i]]; b.answeredAt.Before(still) {
			found = append(found, fmt.Sprintf("%s, who was accepted %s before %s asked, was still queued when that was settled", a.buyer, between(a.acceptedAt, b.sentAt), b.buyer))
		}
	}
	return examples(found, "%s passed over", "buyer")
}

// lastQueued is when the last look was sent that found the request queued; zero when there was none after the 202.
func (a *answer) lastQueued() time.Time {
	for i := len(a.sightings) - 1; i > 0; i-- {
		if a.sightings[i].Status == "queued" {
			return a.sightings[i].askedAt
		}
	}
	return time.Time{}
}

// judgeOrder: A was refused for want of units, and B, which asked for as many or more, was held. When A was decided fewer
// units were there than A asked for, and units that only go can't have become enough for B. A direct A counts from its
// answer on, when it was surely decided: if such a B is held after that, A's refusal was not true.
//
// It is concluded only when no unit can have come back in between: each hold that was answered is still a hold at the end,
// and every request was answered (one without a key that is given up is released, and the hold of one that was never heard
// of may lapse unseen).
func judgeOrder(seen evidence) []string {
	if !nothingCameBack(seen) {
		return nil
	}
	var refused, held []answer
	for _, a := range seen.answers {
		switch {
		case a.held != nil:
			held = append(held, a)
		case a.refused != nil && (wants(a.refused.Code) || a.refused.Code == "sold-out"):
			refused = append(refused, a)
		}
	}
	slices.SortFunc(refused, func(a, b answer) int { return a.decidedFrom().Compare(b.decidedFrom()) })
	smallest := make([]int, len(refused)) // up to each, the one that asked for least
	for i := range refused {
		smallest[i] = i
		if i > 0 && refused[smallest[i-1]].quantity <= refused[i].quantity {
			smallest[i] = smallest[i-1]
		}
	}
	var found []string
	for _, b := range held {
		n := sort.Search(len(refused), func(i int) bool { return !refused[i].decidedFrom().Before(b.sentAt) })
		if n == 0 || refused[smallest[n-1]].quantity > b.quantity {
			continue
		}
		a := refused[smallest[n-1]]
		became := "answered"
		if a.id() != "" {
			became = "accepted"
		}
		found = append(found, fmt.Sprintf("%s got %d, though %s, who was %s %s before that was asked for, was refused %d",
			b.buyer, b.quantity, a.buyer, became, between(a.decidedFrom(), b.sentAt), a.quantity))
	}
	return examples(found, "%s served out of turn", "buyer")
}

// decidedFrom is the instant from which on nobody who asks later can be decided earlier.
func (a *answer) decidedFrom() time.Time {
	if a.id() != "" {
		return a.acceptedAt
	}
	return a.answeredAt
}

func nothingCameBack(seen evidence) bool {
	holds := 0
	for _, l := range seen.stored {
		if l.answer.held != nil && l.found != nil && l.found.Status == "held" {
			holds++
		}
	}
	for _, a := range seen.answers {
		if a.unanswered {
			return false
		}
		if a.held != nil {
			holds--
		}
	}
	return holds == 0
}

func between(earlier, later time.Time) time.Duration {
	return later.Sub(earlier).Round(10 * time.Microsecond)
}
