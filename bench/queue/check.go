package main

import (
	"strings"

	"github.com/lastunit/lastunit/bench/driven"
)

// findings are the invariants that were broken.
type findings = driven.Findings

// checkLives holds what each client saw of its own request against the states that a transaction may go through.
func checkLives(requests []*request) (f findings) {
	for _, r := range requests {
		if r.failure != "" {
			f.Add("%s: %s", r.key, r.failure)
		}
		if r.refusal != "" {
			if len(r.seen) > 0 {
				f.Add("%s was refused directly, and is transaction %s", r.key, r.id())
			}
			continue
		}
		if _, known := r.outcome(); !known {
			f.Add("%s (transaction %q) was never settled", r.key, r.id())
		}
		for i, s := range r.seen {
			checkSighting(&f, r, s)
			if i > 0 {
				checkStep(&f, r, r.seen[i-1], s)
			}
		}
	}
	return f
}

func checkSighting(f *findings, r *request, s sighting) {
	ok := false
	switch s.status {
	case "queued":
		ok = s.position >= 0 && s.units == "" && s.reason == ""
	case "held":
		ok = s.position < 0 && len(strings.Fields(s.units)) == 1 && s.reason == ""
	case "refused":
		ok = s.position < 0 && s.units == "" && s.reason != ""
	case "released":
		ok = s.position < 0 && r.cancels
	}
	if !ok {
		f.Add("%s was told what can't be: %+v", r.key, s)
	}
}

func checkStep(f *findings, r *request, was, is sighting) {
	switch {
	case was.id != is.id:
		f.Add("%s is two transactions: %s and %s", r.key, was.id, is.id)
	case was.queued() && is.queued():
		if is.position > was.position {
			f.Add("%s rose from position %d to %d (asked at %v, told at %v)", r.key, was.position, is.position, is.asked, is.told)
		}
	case was.queued() || r.cancels && was.status == "held" && is.status == "released" && was.units == is.units:
	case was.status != is.status:
		f.Add("%s went from %s to %s", r.key, was.status, is.status)
	case was.units != is.units || was.reason != is.reason:
		f.Add("%s: what was told of its outcome has changed from %q%s to %q%s", r.key, was.units, was.reason, is.units, is.reason)
	}
}

// checkUnits looks for a unit that two clients were told to hold. Units of those who cancel may be held again by others.
func checkUnits(requests []*request) (f findings) {
	holder := map[string]string{}
	for _, r := range requests {
		s, _ := r.outcome()
		if r.cancels || s.status != "held" {
			continue
		}
		for unit := range strings.FieldsSeq(s.units) {
			if other, taken := holder[unit]; taken {
				f.Add("unit %s is held by %s and by %s", unit, other, r.key)
			}
			holder[unit] = r.key
		}
	}
	return f
}

// checkDatabase compares what was told last with what the database has, in both directions.
func checkDatabase(requests []*request, rows []row) (f findings) {
	type owned struct{ buyer, key string }
	byKey := make(map[owned]row, len(rows))
	for _, d := range rows {
		k := owned{d.buyer, d.key}
		if other, twice := byKey[k]; twice {
			f.Add("%s is two transactions in the database: %s and %s", d.key, other.id, d.id)
		}
		byKey[k] = d
	}
	for _, r := range requests {
		k := owned{r.buyer, r.key}
		d, found := byKey[k]
		delete(byKey, k)
		switch {
		case r.refusal != "" || len(r.seen) == 0:
			if found {
				f.Add("%s has transaction %s in the database, %s, of which its client was not told", r.key, d.id, d.status)
			}
			continue
		case !found:
			f.Add("%s (transaction %s) is not in the database", r.key, r.id())
			continue
		}
		s := r.seen[len(r.seen)-1]
		units := d.units
		if s.status != "held" {
			units = s.units // those of a released one are no longer its own
		}
		if d.id != s.id || d.sku != r.sku || d.status != s.status || d.reason != s.reason || units != s.units {
			f.Add("%s: its client was told %+v last, the database has %+v", r.key, s, d)
		}
	}
	for k, d := range byKey {
		f.Add("the database has transaction %s for %s of %s, who never asked", d.id, k.key, k.buyer)
	}
	return f
}

// checkStock counts who holds: everything there was, or everything that was asked for.
func checkStock(requests []*request, stock map[string]int) (held int, f findings) {
	holds, wants, cancels := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, r := range requests {
		wants[r.sku]++
		cancels[r.sku] = cancels[r.sku] || r.cancels
		if n := len(r.seen); n > 0 && r.seen[n-1].status == "held" {
			holds[r.sku]++
			held++
		}
	}
	for sku, units := range stock {
		want := min(units, wants[sku])
		if holds[sku] > want || holds[sku] < want && !cancels[sku] {
			f.Add("%d of %s are held, of a stock of %d and %d requests", holds[sku], sku, units, wants[sku])
		}
	}
	return held, f
}
