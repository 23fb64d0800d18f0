package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// history is a correct one: eight requests one after the other for four units, and what the database has of them. Number 6 is a direct claim.
func history() ([]*request, []row) {
	var requests []*request
	var rows []row
	for i := range 8 {
		at := time.Duration(i+1) * 100 * time.Millisecond
		id := fmt.Sprintf("id-%d", i)
		r := &request{buyer: fmt.Sprintf("buyer-%d", i), key: fmt.Sprintf("key-%d", i), sku: "A", sent: at}
		requests = append(requests, r)
		if i == 6 {
			r.direct, r.refusal, r.refused = true, "all-held", at+10
			continue
		}
		r.accepted, r.by202 = at+10, true
		r.seen = []sighting{
			{asked: at, told: at + 10, id: id, status: "queued", position: 3},
			{asked: at + 20, told: at + 30, id: id, status: "queued", position: 1},
			{asked: at + 40, told: at + 50, id: id, status: "held", position: -1, units: fmt.Sprintf("unit-%d", i)},
			{asked: at + 60, told: at + 70, id: id, status: "held", position: -1, units: fmt.Sprintf("unit-%d", i)},
		}
		d := row{id: id, buyer: r.buyer, key: r.key, sku: "A", status: "held", units: fmt.Sprintf("unit-%d", i), place: int64(i)}
		if i >= 4 {
			d.status, d.reason, d.units = "refused", "all-held", ""
			for n := range r.seen[2:] {
				s := &r.seen[2+n]
				s.status, s.reason, s.units = "refused", "all-held", ""
			}
		}
		rows = append(rows, d)
	}
	return requests, rows
}

func check(requests []*request, rows []row) findings {
	_, order := checkOrder(requests, rows)
	_, stock := checkStock(requests, map[string]int{"A": 4})
	return slices.Concat(checkLives(requests), checkUnits(requests), order, checkDatabase(requests, rows), stock)
}

func TestACorrectHistoryIsNotBlamed(t *testing.T) {
	t.Parallel()
	requests, rows := history()
	if f := check(requests, rows); len(f) > 0 {
		t.Errorf("%q", f)
	}
	if pairs, _ := checkOrder(requests, rows); pairs != 27 {
		t.Errorf("%d ordered pairs, want 27: of the 28, the one whose first is the direct claim does not count", pairs)
	}
}

func TestEveryDefectIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seed func(requests []*request, rows []row) []row
		want string
	}{
		"an accepted request is lost": {func(rs []*request, d []row) []row {
			rs[2].seen = rs[2].seen[:2]
			return slices.Delete(d, 2, 3)
		}, "key-2 (transaction id-2) is not in the database"},
		"a request stays queued": {func(rs []*request, d []row) []row {
			rs[2].seen = rs[2].seen[:2]
			return d
		}, `key-2 (transaction "id-2") was never settled`},
		"a request was never answered": {func(rs []*request, d []row) []row {
			rs[2].seen = nil
			return d
		}, `key-2 (transaction "") was never settled`},
		"a key makes two transactions": {func(rs []*request, d []row) []row {
			rs[2].seen[3].id = "id-9"
			return d
		}, "key-2 is two transactions"},
		"a key makes two transactions, of which one is told": {func(_ []*request, d []row) []row {
			twice := d[2]
			twice.id, twice.place = "id-9", 9
			return append(d, twice)
		}, "key-2 is two transactions in the database"},
		"the database has what nobody asked for": {func(_ []*request, d []row) []row {
			return append(d, row{id: "id-9", buyer: "eve", key: "k", sku: "A", status: "queued"})
		}, "who never asked"},
		"a direct refusal took a unit": {func(_ []*request, d []row) []row {
			return append(d, row{id: "id-9", buyer: "buyer-6", key: "key-6", sku: "A", status: "held", place: -1})
		}, "of which its client was not told"},
		"a status goes back": {func(rs []*request, d []row) []row {
			rs[2].seen[3] = rs[2].seen[1]
			return d
		}, "key-2 went from held to queued"},
		"an outcome changes": {func(rs []*request, d []row) []row {
			rs[2].seen[3].status, rs[2].seen[3].units, rs[2].seen[3].reason = "refused", "", "all-held"
			return d
		}, "key-2 went from held to refused"},
		"the units change": {func(rs []*request, d []row) []row {
			rs[2].seen[3].units = "unit-9"
			return d
		}, "what was told of its outcome has changed"},
		"the reason changes": {func(rs []*request, d []row) []row {
			rs[5].seen[3].reason = "sold-out"
			return d
		}, "what was told of its outcome has changed"},
		"a position rises": {func(rs []*request, d []row) []row {
			rs[2].seen[1].position = 4
			return d
		}, "key-2 rose from position 3 to 4"},
		"a hold without a unit": {func(rs []*request, d []row) []row {
			rs[2].seen[2].units = ""
			return d
		}, "key-2 was told what can't be"},
		"a hold with two units": {func(rs []*request, d []row) []row {
			rs[2].seen[2].units = "unit-2 unit-9"
			return d
		}, "key-2 was told what can't be"},
		"a refusal without a reason": {func(rs []*request, d []row) []row {
			rs[5].seen[2].reason = ""
			return d
		}, "key-5 was told what can't be"},
		"a release that nobody asked for": {func(rs []*request, d []row) []row {
			rs[2].seen[3].status = "released"
			return d
		}, "key-2 was told what can't be"},
		"a unit is held twice": {func(rs []*request, d []row) []row {
			rs[2].seen[2].units, rs[2].seen[3].units = "unit-1", "unit-1"
			return d
		}, "unit unit-1 is held by key-1 and by key-2"},
		"the database has another unit": {func(_ []*request, d []row) []row {
			d[2].units = "unit-9"
			return d
		}, "key-2: its client was told"},
		"the database has another status": {func(_ []*request, d []row) []row {
			d[2].status = "queued"
			return d
		}, "key-2: its client was told"},
		"the second hundred is served first": {func(_ []*request, d []row) []row {
			d[1].place, d[2].place = d[2].place, d[1].place
			return d
		}, "key-1 has place 2 behind key-2 with place 1"},
		"a later request gets the unit": {func(rs []*request, d []row) []row {
			return exchange(rs, d, 3, 5)
		}, "key-4 was refused; key-5, sent at 600ms after its 202 at 500.00001ms, holds a unit"},
		"a later direct claim gets the unit": {func(rs []*request, d []row) []row {
			rs[6].refusal, rs[6].accepted = "", rs[6].refused
			rs[6].seen = []sighting{{told: rs[6].refused, id: "id-6", status: "held", position: -1, units: "unit-3"}}
			return d
		}, "key-5 was refused; key-6"},
		"a later place gets the unit": {func(rs []*request, d []row) []row {
			d = exchange(rs, d, 3, 4)
			rs[4].sent, rs[3].accepted = 0, time.Hour
			return d
		}, "key-3 with place 3 was refused, key-4 with place 4 holds a unit"},
		"a false refusal": {func(rs []*request, d []row) []row {
			rs[0].direct, rs[0].refusal, rs[0].refused = true, "all-held", rs[0].accepted
			rs[0].seen, rs[0].accepted = nil, 0
			return d
		}, "that there is nothing; key-1"},
		"a direct claim passes a queued request": {func(rs []*request, d []row) []row {
			rs[5].seen[1].asked = rs[6].refused + 1
			return d
		}, "key-5 was still queued"},
		"units are left over": {func(rs []*request, d []row) []row {
			rs[3].seen[2].status, rs[3].seen[3].status = "refused", "refused"
			return d
		}, "3 of A are held"},
		"an unexpected answer": {func(rs []*request, d []row) []row {
			rs[3].failure = "was answered 500"
			return d
		}, "key-3: was answered 500"},
		"a transaction behind a direct refusal": {func(rs []*request, d []row) []row {
			rs[3].refusal = "all-held"
			return d
		}, "key-3 was refused directly, and is transaction id-3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests, rows := history()
			f := check(requests, c.seed(requests, rows))
			if !slices.ContainsFunc(f, func(line string) bool { return strings.Contains(line, c.want) }) {
				t.Errorf("found %q, want %q", f, c.want)
			}
		})
	}
}

// exchange gives the outcome of each of two requests to the other.
func exchange(rs []*request, d []row, i, j int) []row {
	for n := range 2 {
		a, b := &rs[i].seen[2+n], &rs[j].seen[2+n]
		a.status, b.status = b.status, a.status
		a.units, b.units = b.units, a.units
		a.reason, b.reason = b.reason, a.reason
	}
	return d
}

func TestACancelledRequestMayBeReleased(t *testing.T) {
	t.Parallel()
	requests, rows := history()
	r := requests[2]
	r.cancels = true
	r.seen[2].status, r.seen[3].status = "released", "released"
	rows[2].status, rows[2].units = "released", ""
	// It left the queue while another still stood before it, and left its unit to one behind it.
	last := requests[1].seen[1]
	last.asked = r.seen[2].told + 1
	requests[1].seen = slices.Insert(requests[1].seen, 2, last)
	requests[4].seen[2], requests[4].seen[3] = requests[3].seen[2], requests[3].seen[3]
	requests[4].seen[2].id, requests[4].seen[3].id = "id-4", "id-4"
	requests[4].seen[2].units, requests[4].seen[3].units = "unit-2", "unit-2"
	rows[4].status, rows[4].reason, rows[4].units = "held", "", "unit-2"
	if f := check(requests, rows); len(f) > 0 {
		t.Errorf("%q", f)
	}
}

func TestWhatSeveralClientsWereToldOfAKeyIsPutTogether(t *testing.T) {
	t.Parallel()
	queued := sighting{id: "id-0", status: "queued", position: 2}
	held := sighting{id: "id-0", status: "held", position: -1, units: "unit-0"}
	other := held
	other.id, other.units = "id-9", "unit-9"
	for name, c := range map[string]struct {
		copies []request
		want   string // "": nothing is found
	}{
		"one transaction":                {[]request{{seen: []sighting{held}}, {seen: []sighting{queued}}}, ""},
		"two transactions":               {[]request{{seen: []sighting{held}}, {seen: []sighting{other}}}, "is two transactions"},
		"refused directly, and held":     {[]request{{direct: true, refusal: "all-held"}, {seen: []sighting{held}}}, "was refused directly, and holds a unit"},
		"an answer that should not come": {[]request{{failure: "was answered 500"}, {seen: []sighting{held}}}, "was answered 500"},
	} {
		r := &request{key: "key-0"}
		r.merge(c.copies)
		if f := checkLives([]*request{r}); c.want == "" && len(f) > 0 || c.want != "" && !strings.Contains(strings.Join(f, "\n"), c.want) {
			t.Errorf("%s: found %q, want %q", name, f, c.want)
		}
	}
}
