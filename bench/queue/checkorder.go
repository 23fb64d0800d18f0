package main

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// checkOrder looks for pairs of requests for one product of which the 202 of the first was received before the second was sent, and which the
// service did not treat in that order: the first stands behind the second, was refused while the second got a unit, or was still queued when
// somebody asked after the second's outcome had been told. It goes over the requests once, in the order of time, and tells how many such
// pairs there are. Units come back only where clients cancel; there a refusal before a hold proves nothing.
func checkOrder(requests []*request, rows []row) (pairs int64, f findings) {
	place := make(map[string]int64, len(rows))
	for _, d := range rows {
		place[d.id] = d.place
	}
	bySKU := map[string][]*request{}
	for _, r := range requests {
		bySKU[r.sku] = append(bySKU[r.sku], r)
	}
	for _, sku := range slices.Sorted(maps.Keys(bySKU)) {
		pairs += orderOf(&f, bySKU[sku], place)
	}
	return pairs, f
}

// ahead is the worst of what is known of the requests that were accepted so far.
type ahead struct {
	place      int64
	placed     *request
	refused    *request
	queued     *request // the last that was seen queued, by a question asked at queuedAt
	queuedAt   time.Duration
	refusalOf  *request // a refusal that had been told
	comingBack bool
}

func orderOf(f *findings, requests []*request, place map[string]int64) (pairs int64) {
	sent := slices.SortedFunc(slices.Values(requests), func(a, b *request) int { return cmp.Compare(a.sent, b.sent) })
	var accepted, refused []*request
	known := ahead{place: -1}
	for _, r := range requests {
		if r.accepted > 0 && !r.direct {
			accepted = append(accepted, r)
		}
		if _, held, decided := r.decided(); decided && !held {
			refused = append(refused, r)
		}
		known.comingBack = known.comingBack || r.cancels
	}
	slices.SortFunc(accepted, func(a, b *request) int { return cmp.Compare(a.accepted, b.accepted) })
	slices.SortFunc(refused, func(a, b *request) int {
		atA, _, _ := a.decided()
		atB, _, _ := b.decided()
		return cmp.Compare(atA, atB)
	})
	n := 0
	for _, b := range sent {
		for n < len(accepted) && accepted[n].accepted < b.sent {
			known.note(accepted[n], place)
			n++
		}
		if len(refused) > 0 {
			if at, _, _ := refused[0].decided(); at < b.sent {
				known.refusalOf = refused[0]
			}
		}
		pairs += int64(n)
		known.compare(f, b, place)
	}
	checkPlaces(f, accepted, known.comingBack, place)
	return pairs
}

func (k *ahead) note(a *request, place map[string]int64) {
	if p, ok := place[a.id()]; ok && p > k.place {
		k.place, k.placed = p, a
	}
	if s, known := a.outcome(); known && s.status == "refused" {
		k.refused = a
	}
	for _, s := range a.seen {
		if s.queued() && s.asked > k.queuedAt {
			k.queued, k.queuedAt = a, s.asked
		}
	}
}

func (k *ahead) compare(f *findings, b *request, place map[string]int64) {
	if p, ok := place[b.id()]; ok && p >= 0 && k.place >= p {
		f.Add("%s has place %d behind %s with place %d, which was sent at %v, after the 202 at %v",
			k.placed.key, k.place, b.key, p, b.sent, k.placed.accepted)
	}
	at, held, known := b.decided()
	if known && !b.cancels && k.queued != nil && k.queuedAt > at { // one that is cancelled need not wait for its turn
		f.Add("%s was still queued for who asked at %v; %s, sent at %v after its 202 at %v, was settled at %v",
			k.queued.key, k.queuedAt, b.key, b.sent, k.queued.accepted, at)
	}
	if !held || k.comingBack {
		return
	}
	if k.refused != nil {
		f.Add("%s was refused; %s, sent at %v after its 202 at %v, holds a unit", k.refused.key, b.key, b.sent, k.refused.accepted)
	}
	if k.refusalOf != nil {
		was, _, _ := k.refusalOf.decided()
		f.Add("%s was told at %v that there is nothing; %s, sent at %v, holds a unit", k.refusalOf.key, was, b.key, b.sent)
	}
}

// checkPlaces looks for a request that was refused although one behind it got a unit, whenever they were sent.
func checkPlaces(f *findings, accepted []*request, comingBack bool, place map[string]int64) {
	if comingBack {
		return
	}
	var first, last *request // refused, held
	for _, r := range accepted {
		s, _ := r.outcome()
		switch p := place[r.id()]; {
		case s.status == "refused" && (first == nil || p < place[first.id()]):
			first = r
		case s.status == "held" && (last == nil || p > place[last.id()]):
			last = r
		}
	}
	if first != nil && last != nil && place[first.id()] < place[last.id()] {
		f.Add("%s with place %d was refused, %s with place %d holds a unit", first.key, place[first.id()], last.key, place[last.id()])
	}
}
