package rehearsal

import (
	"strings"
	"testing"
	"time"
)

func after(at time.Time, ms int) time.Time { return at.Add(time.Duration(ms) * time.Millisecond) }

// Every answer lies in the step in which it came, and the last unit is gone when it was held.
func TestTheCourseOfARehearsalIsItsAnswers(t *testing.T) {
	t.Parallel()
	at := time.Now()
	held := func(ms, units int) answer {
		return answer{held: &transaction{UnitIDs: make([]string, units)}, answeredAt: after(at, ms), latency: time.Duration(ms) * time.Millisecond}
	}
	refused := func(ms int, code string) answer {
		return answer{refused: &problem{Code: code}, answeredAt: after(at, ms), latency: time.Duration(ms) * time.Millisecond}
	}
	answers := []answer{held(3, 2), held(40, 1), refused(41, "all-held"), refused(99, "all-held"), {fault: "busy", unanswered: true, answeredAt: after(at, 250)}, {fault: "connection lost", unanswered: true}}
	c := courseOf(answers, 3, at)
	if c.Step != 5*time.Millisecond || c.Last != 250*time.Millisecond || len(c.Moments) != 51 || c.SoldOut == nil || *c.SoldOut != 40*time.Millisecond {
		t.Fatalf("%+v", c)
	}
	units, answered, faults := 0, 0, 0
	for _, m := range c.Moments {
		units += m.Units
		answered += m.Held + total(m.Refused)
		faults += m.Faults
		if (m.Latency == nil) != (m.Held+total(m.Refused) == 0) {
			t.Errorf("%+v", m)
		}
	}
	if units != 3 || answered != 4 || faults != 1 || c.Moments[8].Held != 1 || c.Moments[8].Refused["all-held"] != 1 || c.Moments[8].Latency.P50 != 40 {
		t.Errorf("%d units, %d answered, %d faults, %+v", units, answered, faults, c.Moments[8])
	}
	if c := courseOf(answers, 4, at); c.SoldOut != nil {
		t.Errorf("one unit is left, but sold out after %s", c.SoldOut)
	}
	if c := courseOf(nil, 4, at); len(c.Moments) != 0 || c.SoldOut != nil {
		t.Errorf("nobody was answered: %+v", c)
	}
}

// Advice says what the figures say, and nothing that they do not.
func TestAdviceRestsOnTheFigures(t *testing.T) {
	t.Parallel()
	limit := 1
	soldOut := func(d time.Duration) *time.Duration { return &d }
	ms := func(p50, p99 float64) *Latency { return &Latency{P50: p50, P95: p99, P99: p99, Max: p99} }
	one := func(buyers, stock int) Case {
		return Case{Buyers: buyers, Stock: stock, QuantityMin: 1, QuantityMax: 1}
	}
	for name, c := range map[string]struct {
		observed
		target Target
		met    bool
		says   []string
		not    []string
	}{
		"answered in time": {
			observed{Case: one(1000, 500), latency: ms(100, 190), last: 200 * time.Millisecond}, Target{P99: 200 * time.Millisecond}, true, []string{"within 190 ms"}, []string{"processors", "queue"},
		},
		"too many at once": { // 1000 in 2 s are 500 a second; for 990 within 500 ms it takes 1980, 4.0 times as many
			observed{Case: one(1000, 500), latency: ms(1000, 1980), last: 2 * time.Second, servers: 2}, Target{P99: 500 * time.Millisecond}, false,
			[]string{"500 were answered a second", "about 2000 answers a second, 4.0 times", "there were 2", "about 252 at once", "--rate 400", "--mode queued shows"}, []string{"no answer"},
		},
		"the queue tells them sooner": {
			observed{Case: one(1000, 500), latency: ms(1000, 1980), accept: ms(50, 90), last: 2 * time.Second}, Target{P99: 500 * time.Millisecond}, false, []string{"within 90 ms (99 of 100) that they had their place: if that"}, []string{"not tried"},
		},
		"the queue is too slow as well": {
			observed{Case: one(1000, 500), latency: ms(1000, 1980), accept: ms(50, 900), last: 2 * time.Second}, Target{P99: 500 * time.Millisecond}, false, []string{"does not meet the target either"}, nil,
		},
		"more came than could be answered": {
			observed{Case: one(1000, 500), rate: 1000, latency: ms(500, 1000), last: 2 * time.Second}, Target{P99: 100 * time.Millisecond}, false, []string{"1000 a second came, and 500 were answered"}, []string{"at once"},
		},
		"slow though there was no crowd": {
			observed{Case: one(1000, 500), rate: 100, latency: ms(300, 400), last: 10*time.Second + 300*time.Millisecond}, Target{P99: 100 * time.Millisecond}, false, []string{"would hardly be answered sooner"}, []string{"processors"},
		},
		"no answer at all": {
			observed{Case: one(1000, 500), faults: 3, latency: ms(10, 20), last: time.Second}, Target{P99: time.Second}, false, []string{"3 requests got no answer"}, []string{"processors"},
		},
		"sold out in time": {
			observed{Case: one(1000, 500), unitsHeld: 500, soldOut: soldOut(time.Second)}, Target{SellOut: time.Second}, true, []string{"after 1 s"}, []string{"processors", "cart"},
		},
		"sold out too late": {
			observed{Case: one(1000, 500), unitsHeld: 500, soldOut: soldOut(10 * time.Second), servers: 1}, Target{SellOut: 2 * time.Second}, false, []string{"50 units a second, and it takes 250, 5.0 times", "there was 1"}, []string{"cart"},
		},
		"they came too slowly": {
			observed{Case: one(1000, 500), rate: 50, unitsHeld: 500, soldOut: soldOut(10 * time.Second)}, Target{SellOut: 2 * time.Second}, false, []string{"nothing could have sold out before 10 s", "at least 250 buyers a second"}, []string{"processors"},
		},
		"carts last longer than that": {
			observed{Case: one(1000, 500), unitsHeld: 500, soldOut: soldOut(time.Second), hold: 10 * time.Minute}, Target{SellOut: time.Minute}, true, []string{"A cart of this sale lasts 10 min"}, nil,
		},
		"they wanted less": {
			observed{Case: one(100, 500), unitsHeld: 100}, Target{SellOut: time.Minute}, false, []string{"400 units were left of 500", "it takes more buyers"}, []string{"processors", "limit"},
		},
		"the limit kept them from it": {
			observed{Case: Case{Buyers: 300, Stock: 500, QuantityMin: 2, QuantityMax: 2}, unitsHeld: 0, refused: map[string]int{"purchase-limit": 300}, purchaseLimit: &limit}, Target{SellOut: time.Minute}, false,
			[]string{"The limit of 1 unit a buyer said no 300 times"}, []string{"more buyers"},
		},
	} {
		advice := c.advise(c.target)
		if len(advice) != 1 || advice[0].Met != c.met || advice[0].Target == "" {
			t.Errorf("%s: %+v", name, advice)
			continue
		}
		text := strings.Join(advice[0].Says, " ")
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %s", name, want, text)
			}
		}
		for _, not := range c.not {
			if strings.Contains(text, not) {
				t.Errorf("%s: %q in %s", name, not, text)
			}
		}
	}
	if advice := (observed{Case: one(1, 1)}).advise(Target{}); len(advice) != 0 {
		t.Errorf("without a target: %+v", advice)
	}
}
