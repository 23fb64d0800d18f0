package rehearsal

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 12, 12, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// script is an answer in the making; times are in ms, and a request is sent at 0 unless it says otherwise.
type script struct {
	quantity                          int // 0: one
	sent, accepted, answered, queried int // accepted 0: direct; queried: the last look that found it queued
	outcome                           string
}

func (s script) answer(i int) answer {
	a := answer{buyer: fmt.Sprintf("buyer-%d", i), quantity: max(s.quantity, 1), sentAt: at(s.sent), answeredAt: at(s.answered)}
	t := transaction{ID: fmt.Sprintf("tx-%d", i), Status: "queued", Quantity: a.quantity, QueuePosition: new(int)}
	if s.accepted > 0 {
		a.queued, a.acceptedAt = true, at(s.accepted)
		a.sightings = []sighting{{t, a.sentAt}}
		if s.queried > 0 {
			a.sightings = append(a.sightings, sighting{t, at(s.queried)})
		}
	}
	switch s.outcome {
	case "held":
		t.Status, t.QueuePosition = "held", nil
		a.held = &t
	case "":
		a.fault, a.unanswered = "connection lost", true
	default:
		a.refused = &problem{Status: 409, Code: s.outcome}
	}
	return a
}

func evidenceOf(scripts []script) evidence {
	var seen evidence
	for i, s := range scripts {
		a := s.answer(i)
		seen.answers = append(seen.answers, a)
		if a.held != nil {
			seen.stored = append(seen.stored, lookup{answer: a, found: a.held})
		}
	}
	return seen
}

func TestOrderSeenFromOutside(t *testing.T) {
	for name, test := range map[string]struct {
		history []script
		order   bool // judgeOrder must find something
		turns   bool // judgeTurns must
	}{
		"accepted first, refused, and the later one held": {order: true, history: []script{
			{accepted: 10, answered: 50, outcome: "all-held"}, {sent: 11, accepted: 15, answered: 40, outcome: "held"}}},
		"the same, the later one direct": {order: true, history: []script{
			{accepted: 10, answered: 50, outcome: "all-held"}, {sent: 11, answered: 40, outcome: "held"}}},
		"the same, for fewer than there were": {order: true, history: []script{
			{quantity: 2, accepted: 10, answered: 50, outcome: "not-enough-units"}, {quantity: 3, sent: 11, accepted: 15, answered: 40, outcome: "held"}}},
		"sent before the 202 was there": {history: []script{
			{accepted: 10, answered: 50, outcome: "all-held"}, {sent: 10, accepted: 15, answered: 40, outcome: "held"}}},
		"the later one asked for less": {history: []script{
			{quantity: 3, accepted: 10, answered: 50, outcome: "not-enough-units"}, {quantity: 2, sent: 11, accepted: 15, answered: 40, outcome: "held"}}},
		"accepted first and held": {history: []script{
			{accepted: 10, answered: 50, outcome: "held"}, {sent: 11, accepted: 15, answered: 40, outcome: "all-held"}}},
		"refused for another reason": {history: []script{
			{accepted: 10, answered: 50, outcome: "purchase-limit"}, {sent: 11, accepted: 15, answered: 40, outcome: "held"}}},
		"a direct one refused, and a later one held": {order: true, history: []script{
			{answered: 10, outcome: "all-held"}, {sent: 11, answered: 40, outcome: "held"}}},
		"a direct one refused while the other was under way": {history: []script{
			{answered: 10, outcome: "all-held"}, {sent: 9, answered: 40, outcome: "held"}}},
		"a third one was never answered": {history: []script{
			{accepted: 10, answered: 50, outcome: "all-held"}, {sent: 11, accepted: 15, answered: 40, outcome: "held"}, {answered: 30}}},

		"still queued when the later one was answered": {turns: true, history: []script{
			{accepted: 10, queried: 41, answered: 50, outcome: "held"}, {sent: 11, accepted: 15, answered: 40, outcome: "held"}}},
		"the same, both refused": {turns: true, history: []script{
			{accepted: 10, queried: 41, answered: 50, outcome: "all-held"}, {sent: 11, answered: 40, outcome: "all-held"}}},
		"the same, never answered": {turns: true, history: []script{
			{accepted: 10, queried: 41, answered: 50}, {sent: 11, accepted: 15, answered: 40, outcome: "all-held"}}},
		"looked before the later one was answered": {history: []script{
			{accepted: 10, queried: 40, answered: 50, outcome: "held"}, {sent: 11, accepted: 15, answered: 40, outcome: "held"}}},
		"the later one was refused without the stock": {history: []script{
			{accepted: 10, queried: 41, answered: 50, outcome: "held"}, {sent: 11, answered: 40, outcome: "sale-ended"}}},
		"another one between them was answered early": {turns: true, history: []script{
			{accepted: 10, queried: 41, answered: 50, outcome: "held"}, {sent: 12, accepted: 15, answered: 60, outcome: "held"},
			{sent: 13, accepted: 15, answered: 40, outcome: "held"}, {sent: 14, accepted: 15, answered: 70, outcome: "held"}}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := evidenceOf(test.history)
			order, turns := judgeOrder(seen), judgeTurns(seen.answers)
			if (len(order) > 0) != test.order || (len(turns) > 0) != test.turns {
				t.Errorf("order: %q, turns: %q", order, turns)
			}
		})
	}
}

// When units may have come back, who was held says nothing about who was first.
func TestNoOrderIsConcludedFromUnitsThatCameBack(t *testing.T) {
	history := []script{{accepted: 10, answered: 50, outcome: "all-held"}, {sent: 11, accepted: 15, answered: 40, outcome: "held"}, {answered: 5, outcome: "held"}}
	for _, status := range []string{"expired", "released", "unread"} {
		seen := evidenceOf(history)
		if len(judgeOrder(seen)) == 0 {
			t.Fatal("nothing was found with all units where they were")
		}
		ended := *seen.stored[1].found
		ended.Status = status
		if seen.stored[1].found = &ended; status == "unread" {
			seen.stored[1].found = nil
		}
		if found := judgeOrder(seen); len(found) > 0 {
			t.Errorf("%s: %q", status, found)
		}
	}
}

// The quick checks must find what looking at every pair finds.
func TestOrderIsJudgedAsByLookingAtEveryPair(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	outcomes := []string{"held", "all-held", "not-enough-units", "sold-out", "purchase-limit"}
	ordered, turned := 0, 0
	for range 3000 {
		var history []script
		for range 2 + random.IntN(7) {
			s := script{sent: random.IntN(30), quantity: 1 + random.IntN(3), outcome: outcomes[random.IntN(len(outcomes))]}
			last := s.sent + 1 + random.IntN(10)
			if random.IntN(3) > 0 {
				s.accepted = last
				last += random.IntN(40)
				s.queried = last
			}
			s.answered = last + 1 + random.IntN(20)
			history = append(history, s)
		}
		seen := evidenceOf(history)
		order, turns := everyPair(seen.answers)
		ordered, turned = ordered+order, turned+turns
		for _, check := range []struct {
			got  []string
			want int
		}{{judgeOrder(seen), order}, {judgeTurns(seen.answers), turns}} {
			got := strings.Join(check.got, "")
			if n, _, _ := strings.Cut(got+" ", " "); n != fmt.Sprint(check.want) && (n != "" || check.want > 0) {
				t.Fatalf("%q, want %d in %+v", got, check.want, history)
			}
		}
	}
	if ordered < 100 || turned < 100 {
		t.Errorf("%d and %d findings are too few to compare", ordered, turned)
	}
}

// everyPair counts the Bs that were served out of turn, and the As that were passed over.
func everyPair(answers []answer) (order, turns int) {
	short := func(a answer) bool {
		return a.refused != nil && (wants(a.refused.Code) || a.refused.Code == "sold-out")
	}
	for _, x := range answers {
		outOfTurn, passedOver := false, false
		for _, y := range answers {
			since := y.answeredAt
			if y.queued {
				since = y.acceptedAt
			}
			outOfTurn = outOfTurn || x.held != nil && short(y) && since.Before(x.sentAt) && y.quantity <= x.quantity
			decided := y.held != nil || y.refused != nil && (y.queued || wants(y.refused.Code))
			passedOver = passedOver || x.queued && decided && x.acceptedAt.Before(y.sentAt) && y.answeredAt.Before(x.lastQueued())
		}
		if outOfTurn {
			order++
		}
		if passedOver {
			turns++
		}
	}
	return order, turns
}

func TestManyAnswersAreJudgedQuickly(t *testing.T) {
	history := make([]script, 50_000)
	for i := range history {
		history[i] = script{sent: i, accepted: i + 5, queried: i + 6, answered: i + 10, outcome: "held"}
		if i >= len(history)/2 {
			history[i].outcome = "all-held"
		}
	}
	seen := evidenceOf(history)
	begin := time.Now()
	if found := append(judgeOrder(seen), judgeTurns(seen.answers)...); len(found) > 0 {
		t.Error(found)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
