package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// hoarder is a buyer who tries to get more than there is for one, and what was answered.
type hoarder struct {
	findings
	mu       sync.Mutex
	name     string
	holdings []*holding
	owned    int  // units that are paid for and kept
	putOff   int  // refusals that say no more than that it is to ask again
	alone    bool // one thing at a time is done now, so that a refusal can be judged
}

// holding is a unit that the buyer has had for certain: from when that was told until the buyer began to give it back, or it lapsed.
type holding struct {
	id          string
	told, until time.Time // until zero: for good
}

func (b *hoarder) holds(t transaction) *holding {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := &holding{id: t.ID, told: time.Now(), until: t.ExpiresAt}
	b.holdings = append(b.holdings, h)
	return h
}

// extends makes a holding last longer: an order until it is to be paid, a paid one for good (zero).
func (b *hoarder) extends(h *holding, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.until = until
}

// gives ends a holding now, before the unit is given back.
func (b *hoarder) gives(h *holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); h.until.IsZero() || now.Before(h.until) {
		h.until = now
	}
}

func (b *hoarder) broken(ctx context.Context, format string, args ...any) {
	if ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Add(b.name+": "+format, args...)
}

// refused judges a refusal. There are as many units as all buyers may have together, so at any instant one is there for whoever has fewer than they
// may, if only in a hold that has lapsed. While the buyer asks for several things at once nobody can say how many that is.
func (b *hoarder) refused(err error, sent time.Time, limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := (*problem)(nil)
	errors.As(err, &p)
	has := hasAt(b.holdings, sent)
	switch {
	case p.Code != "purchase-limit" && p.Code != "all-held":
		b.Add("%s was refused with %v, and nothing is sold for good", b.name, err)
	case !b.alone || has >= limit:
	case p.Code == "all-held" && (p.NextReleaseAt == nil || p.NextReleaseAt.Before(time.Now())):
		b.putOff++ // a unit that has lapsed is being put away by somebody else at this moment
	default:
		b.Add("%s was refused %s after it had asked, having %d units of %d and asking for nothing else; its last unit had lapsed or gone %s before: %v",
			b.name, time.Since(sent), has, limit, b.sinceLast(sent), err)
	}
}

// sinceLast is how long before an instant the last of the units was gone that the buyer had before.
func (b *hoarder) sinceLast(at time.Time) time.Duration {
	var last time.Time
	for _, h := range b.holdings {
		if !h.until.IsZero() && h.until.Before(at) && h.until.After(last) {
			last = h.until
		}
	}
	return at.Sub(last)
}

// hasAt is how many units were had or may have been had at an instant.
func hasAt(holdings []*holding, at time.Time) (n int) {
	for _, h := range holdings {
		if h.until.IsZero() || h.until.After(at) {
			n++
		}
	}
	return n
}

// highest is the most units that were had at one instant, and when that was first.
func highest(holdings []*holding) (most int, at time.Time) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, h := range holdings {
		if h.until.IsZero() {
			changes = append(changes, change{h.told, 1})
		} else if h.told.Before(h.until) {
			changes = append(changes, change{h.told, 1}, change{h.until, -1})
		}
	}
	// What ends at an instant ends before what begins then.
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), a.by-b.by) })
	n := 0
	for _, c := range changes {
		if n += c.by; n > most {
			most, at = n, c.at
		}
	}
	return most, at
}
