package rehearsal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// judge returns every broken promise as a plain sentence. It looks at the evidence only, so it can be tested with any.
func judge(c Case, seen evidence) []string {
	var broken []string
	broken = append(broken, judgeDelivery(seen.answers)...)
	broken = append(broken, judgeUnits(seen.answers)...)
	broken = append(broken, judgeNumbers(c, seen)...)
	broken = append(broken, judgeRefusals(c, seen)...)
	broken = append(broken, judgeAcceptance(seen.answers)...)
	broken = append(broken, judgeMoves(seen)...)
	broken = append(broken, judgeTurns(seen.answers)...)
	broken = append(broken, judgeOrder(seen)...)
	broken = append(broken, judgeStored(seen.stored)...)
	broken = append(broken, judgePlaces(c, seen)...)
	broken = append(broken, judgeAudit(seen.audit)...)
	return append(broken, seen.faults...)
}

// judgeDelivery: everybody got a final answer that is an answer, in time.
func judgeDelivery(answers []answer) []string {
	silent, stuck, faulty, late := map[string]int{}, map[string]int{}, map[string]int{}, 0
	for _, a := range answers {
		switch {
		case a.unanswered && a.id() != "":
			stuck[a.fault]++
		case a.unanswered:
			silent[a.fault]++
		case a.fault != "":
			faulty[a.fault]++
		}
		if a.late {
			late++
		}
	}
	var broken []string
	if n := total(silent); n > 0 {
		broken = append(broken, fmt.Sprintf("%s never answered (%s)", were(n, "request"), tally(silent)))
	}
	if n := total(stuck); n > 0 {
		broken = append(broken, fmt.Sprintf("%s accepted and never answered (%s)", were(n, "request"), tally(stuck)))
	}
	if n := total(faulty); n > 0 {
		broken = append(broken, fmt.Sprintf("%s answered with what is neither a hold nor a refusal (%s)", were(n, "request"), tally(faulty)))
	}
	if late > 0 {
		broken = append(broken, fmt.Sprintf("%s sent too long after the scheduled instant: the rate was not reached from here, so the figures do not stand", were(late, "request")))
	}
	return broken
}

// judgeUnits: no unit and no transaction is two buyers', and each hold has what was asked for.
func judgeUnits(answers []answer) []string {
	unitOf, transactionOf := map[string]string{}, map[string]string{}
	var doubled, shared, short []string
	for _, a := range answers {
		if a.held == nil {
			continue
		}
		if other, taken := transactionOf[a.held.ID]; taken {
			shared = append(shared, fmt.Sprintf("transaction %s to %s and %s", a.held.ID, other, a.buyer))
			continue
		}
		transactionOf[a.held.ID] = a.buyer
		if len(a.held.UnitIDs) != a.quantity || a.held.Quantity != a.quantity {
			short = append(short, fmt.Sprintf("%s asked for %d and got %s with quantity %d", a.buyer, a.quantity, plural(len(a.held.UnitIDs), "unit id"), a.held.Quantity))
		}
		for _, unit := range a.held.UnitIDs {
			if other, taken := unitOf[unit]; taken {
				doubled = append(doubled, fmt.Sprintf("unit %s to %s and %s", unit, other, a.buyer))
				continue
			}
			unitOf[unit] = a.buyer
		}
	}
	return slices.Concat(
		examples(doubled, "%s given twice", "unit"),
		examples(shared, "%s given to two buyers", "transaction"),
		examples(short, "%s not of the quantity that was asked for", "hold"))
}

// judgeNumbers: not one unit too many, and none left over that somebody refused could have had.
func judgeNumbers(c Case, seen evidence) []string {
	units, refusedMin := unitsHeld(seen.answers), smallestRefused(seen.answers)
	if units > c.Stock {
		return []string{fmt.Sprintf("oversold: %s held, and there are only %d", were(units, "unit"), c.Stock)}
	}
	// A unit that is held for a buyer who never heard of it is not left over; judgePlaces has a sentence for it.
	left := c.Stock - units
	if seen.places != nil {
		left = min(left, seen.places.Available)
	}
	switch {
	case refusedMin > 0 && left >= refusedMin:
		return []string{fmt.Sprintf("%s left over, and a buyer who asked for %d was refused", were(left, "unit"), refusedMin)}
	case refusedMin == 0 && c.QuantityMax == 1 && units < min(c.Stock, c.Buyers):
		return []string{fmt.Sprintf("%s held of %d, although %s asked for one each", were(units, "unit"), c.Stock, plural(c.Buyers, "buyer"))}
	}
	return nil
}

// judgeRefusals: everything that is not available lies in carts, so only all-held and not-enough-units are true; sold-out where there never was a unit; and
// purchase-limit for those who asked for more than they may have, who got nothing.
func judgeRefusals(c Case, seen evidence) []string {
	gone, untrue, other := 0, []string{}, map[string]int{}
	for _, a := range seen.answers {
		tooMany := seen.limit > 0 && a.quantity > seen.limit
		if tooMany && a.held != nil {
			untrue = append(untrue, fmt.Sprintf("%s asked for %d, although nobody may have more than %d, and got them", a.buyer, a.quantity, seen.limit))
		}
		if a.refused == nil {
			continue
		}
		switch p := a.refused; p.Code {
		case "all-held":
		case "sold-out":
			if c.Stock > 0 {
				gone++
			}
		case "purchase-limit":
			if seen.limit == 0 {
				other[p.Code]++
			} else if !tooMany {
				untrue = append(untrue, fmt.Sprintf("%s asked for %d, which is not above the limit", a.buyer, a.quantity))
			}
		case "not-enough-units":
			if a.id() != "" { // a transaction says why, and no more
				if a.quantity == 1 {
					untrue = append(untrue, fmt.Sprintf("%s asked for 1, of which there is never a part", a.buyer))
				}
			} else if p.Available == nil {
				untrue = append(untrue, fmt.Sprintf("%s asked for %d and was not told how many there are", a.buyer, a.quantity))
			} else if *p.Available < 1 || *p.Available >= a.quantity {
				untrue = append(untrue, fmt.Sprintf("%s asked for %d and was told that %d are available", a.buyer, a.quantity, *p.Available))
			}
		default:
			other[p.Code]++
		}
	}
	var broken []string
	if gone > 0 {
		broken = append(broken, fmt.Sprintf("%s told sold-out, while all units are in carts and may come back", were(gone, "buyer")))
	}
	broken = append(broken, examples(untrue, "%s not true", "answer")...)
	if n := total(other); n > 0 {
		broken = append(broken, fmt.Sprintf("%s refused for a reason that nothing here gives (%s)", were(n, "buyer"), tally(other)))
	}
	return broken
}

// judgeStored: the database has every hold that was answered, as it was answered, and everything that was accepted. What
// became of a transaction in between is for judgeMoves.
func judgeStored(stored []lookup) []string {
	var missing, unread, lapsed, moved, differ, lost []string
	for _, l := range stored {
		var p *problem
		id, held := l.answer.transactionID(), l.answer.held
		switch {
		case errors.As(l.err, &p) && p.Status == http.StatusNotFound && held != nil:
			missing = append(missing, id)
		case errors.As(l.err, &p) && p.Status == http.StatusNotFound:
			lost = append(lost, id)
		case l.err != nil:
			unread = append(unread, l.err.Error())
		case held == nil:
		case l.found.ID != id || l.found.Quantity != held.Quantity || !sameUnits(l.found.UnitIDs, held.UnitIDs):
			differ = append(differ, fmt.Sprintf("%s was answered with %v and is stored with %v", id, held.UnitIDs, l.found.UnitIDs))
		case l.found.Status == "expired":
			lapsed = append(lapsed, id)
		case l.found.Status != "held":
			moved = append(moved, fmt.Sprintf("%s is %s", id, l.found.Status))
		}
	}
	return slices.Concat(
		examples(missing, "%s answered and not in the database", "hold"),
		examples(lost, "%s accepted and not in the database", "request"),
		examples(differ, "%s stored otherwise than answered", "hold"),
		examples(moved, "%s not held any more, though nobody released anything", "hold"),
		examples(lapsed, "%s found lapsed, so this shows nothing (rehearse with longer holds)", "hold"),
		examples(unread, "%s not readable", "transaction"))
}

// judgePlaces: the database counts what the answers add up to.
func judgePlaces(c Case, seen evidence) []string {
	p := seen.places
	if p == nil {
		return nil
	}
	var broken []string
	if p.Received != c.Stock {
		broken = append(broken, fmt.Sprintf("the database disagrees: it counts %d units received, and %d came in", p.Received, c.Stock))
	}
	if p.sum() != p.Received {
		broken = append(broken, fmt.Sprintf("the database disagrees with itself: %d units received, and the places add up to %d", p.Received, p.sum()))
	}
	units := unitsHeld(seen.answers)
	if p.Held != units {
		broken = append(broken, fmt.Sprintf("the database disagrees: it counts %d units held, and buyers were told of %d", p.Held, units))
	}
	if left := c.Stock - units; left >= 0 && p.Available != left {
		broken = append(broken, fmt.Sprintf("the database disagrees: it counts %d units available, and the answers leave %d", p.Available, left))
	}
	return broken
}

func judgeAudit(a *audit) []string {
	if a == nil {
		return nil
	}
	if len(a.Checks) == 0 {
		return []string{"the audit checked nothing"}
	}
	var failed []string
	for _, check := range a.Checks {
		if !check.OK {
			failed = append(failed, check.Name+" "+shorten(check.Violations))
		}
	}
	if len(failed) == 0 && a.OK {
		return nil
	}
	return []string{"the audit found violations: " + strings.Join(failed, "; ")}
}

func (a *audit) clean() bool { return a != nil && len(judgeAudit(a)) == 0 }

func unitsHeld(answers []answer) int {
	units := 0
	for _, a := range answers {
		if a.held != nil {
			units += len(a.held.UnitIDs)
		}
	}
	return units
}

// smallestRefused is the smallest quantity that was refused for lack of units, 0 when none was.
func smallestRefused(answers []answer) int {
	smallest := 0
	for _, a := range answers {
		if a.refused == nil {
			continue
		}
		switch a.refused.Code {
		case "all-held", "not-enough-units", "sold-out":
			if smallest == 0 || a.quantity < smallest {
				smallest = a.quantity
			}
		}
	}
	return smallest
}

func sameUnits(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// examples is one sentence for a list of findings, with the first few of them; none for an empty list.
func examples(found []string, sentence, noun string) []string {
	if len(found) == 0 {
		return nil
	}
	shown, more := found, ""
	if len(found) > 3 {
		shown, more = found[:3], ", ..."
	}
	return []string{fmt.Sprintf(sentence, were(len(found), noun)) + ": " + strings.Join(shown, ", ") + more}
}

func were(n int, noun string) string {
	if n == 1 {
		return plural(n, noun) + " was"
	}
	return plural(n, noun) + " were"
}

func total(reasons map[string]int) int {
	n := 0
	for _, count := range reasons {
		n += count
	}
	return n
}

// tally is "busy 2, connection lost 1".
func tally(reasons map[string]int) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		parts = append(parts, fmt.Sprintf("%s %d", reason, reasons[reason]))
	}
	return strings.Join(parts, ", ")
}

func shorten(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return ""
	}
	if text := []rune(b.String()); len(text) > 200 {
		return string(text[:200]) + "..."
	}
	return b.String()
}
