package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestEachBuyerIsAnsweredEitherWay(t *testing.T) {
	noLeaks(t)
	for name, o := range map[string]Options{
		"queued":                 {Mode: Queued},
		"half of them":           {Mode: Both},
		"polling":                {Mode: Queued, Poll: true},
		"half of them polling":   {Mode: Both, Poll: true},
		"at a rate":              {Mode: Both, Rate: 2000},
		"polling, one at a time": {Mode: Queued, Poll: true, Rate: 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(seed{})
			o.URLs = []string{f.start(t), f.start(t)}
			o.Cases = []Case{{Buyers: 200, Stock: 100}, {Buyers: 1, Stock: 1}, {Buyers: 100, Stock: 51, QuantityMin: 1, QuantityMax: 4}}
			report := play(t, o)
			if !report.OK() {
				t.Fatal(written(t, report))
			}
			if c := report.Cases[0]; c.Held != 100 || c.Refused["all-held"] != 100 || c.Retries != 0 {
				t.Errorf("%+v", c)
			}
			if f.prefers != 0 || (f.waits > 0) == o.Poll || f.plainLooks > 0 && !o.Poll {
				t.Errorf("%d waits, %d looks, %d preferences", f.waits, f.plainLooks, f.prefers)
			}
		})
	}
}

// A queue that is settled only when all have come lets every buyer look again and again before.
func TestBuyersAreWatchedWhileTheirRequestsAreQueued(t *testing.T) {
	noLeaks(t)
	f := newFake(seed{queueSeed: queueSeed{gathers: 20}})
	report := play(t, Options{URLs: []string{f.start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}, Mode: Queued, Rate: 400})
	if !report.OK() || f.waits <= 20 {
		t.Errorf("%d looks\n%s", f.waits, written(t, report))
	}
	times := report.Cases[0].Ways[0]
	if times.Way != Queued || times.AcceptLatency.P50 >= times.Latency.P50 || times.AcceptLatency.Max > times.Latency.Max {
		t.Errorf("%+v, accepted %+v, answered %+v", times, *times.AcceptLatency, *times.Latency)
	}
}

// The client of the proposal posts, without a key, and polls when Retry-After says so. It knows nothing else.
func TestAClientThatOnlyPostsAndPolls(t *testing.T) {
	t.Parallel()
	f := newFake(seed{queueSeed: queueSeed{retryAfter: "1"}})
	report := play(t, Options{URLs: []string{f.start(t)}, Cases: []Case{{Buyers: 6, Stock: 3}}, Mode: Queued, Poll: true})
	if !report.OK() {
		t.Fatal(written(t, report))
	}
	if f.keys != 0 || f.prefers != 0 || f.waits != 0 || f.plainLooks == 0 {
		t.Errorf("%d keys, %d preferences, %d waits, %d looks", f.keys, f.prefers, f.waits, f.plainLooks)
	}
	if f.closest < time.Second {
		t.Errorf("a buyer came back after %s", f.closest)
	}
}

// Sent again without a key, a request would be another one: what was lost stays lost, and what was put off is asked for again.
func TestAClientWithoutAKeyIsCarefulToo(t *testing.T) {
	t.Parallel()
	lost := play(t, Options{URLs: []string{newFake(seed{closesOnce: 1}).start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}, Mode: Queued, Poll: true})
	mustContain(t, sentences(lost.Cases[0]), "1 request was never answered (connection lost 1)")
	if c := lost.Cases[0]; c.Retries != 0 || c.Held+c.Refused["all-held"] != 19 {
		t.Errorf("%+v", c)
	}
	busy := play(t, Options{URLs: []string{newFake(seed{busyOnce: 3}).start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}, Mode: Queued, Poll: true})
	if !busy.OK() || busy.Cases[0].Retries != 3 {
		t.Error(written(t, busy))
	}
	mustContain(t, written(t, busy), "requests were sent again 3 times")
}

// A 202 that was lost is asked for with the same key, and the request has one place in the queue.
func TestALostAcceptanceIsReplayed(t *testing.T) {
	t.Parallel()
	report := play(t, Options{URLs: []string{newFake(seed{closesOnce: 5}).start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}, Mode: Both})
	if !report.OK() || report.Cases[0].Retries != 5 {
		t.Error(written(t, report))
	}
}

// Who hears of a refusal by a replay was in the queue; who hears of it at once was not.
func TestARefusalByReplayIsNoRefusalAtOnce(t *testing.T) {
	a := answer{queued: true, replayed: true, refused: &problem{Status: 409, Code: "all-held"}}
	if found := judgeAcceptance([]answer{a}); len(found) > 0 {
		t.Error(found)
	}
	if a.replayed = false; len(judgeAcceptance([]answer{a})) == 0 {
		t.Error("found nothing wrong")
	}
}

// A look that is lost is no lost request.
func TestALostLookIsRepeated(t *testing.T) {
	t.Parallel()
	for _, polls := range []bool{false, true} {
		f := newFake(seed{queueSeed: queueSeed{losesLooks: 3}})
		report := play(t, Options{URLs: []string{f.start(t), f.start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}, Mode: Queued, Poll: polls})
		if !report.OK() || report.Cases[0].Retries != 0 || f.losesLooks != 0 {
			t.Error(written(t, report))
		}
	}
}

func TestCancellingEndsTheWatchOfAQueue(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake(seed{queueSeed: queueSeed{gathers: 1000}})
	f.onClaim = func() { time.AfterFunc(50*time.Millisecond, cancel) }
	report, err := run(ctx, Options{URLs: []string{f.start(t)}, Key: testKey, Cases: []Case{{Buyers: 50, Stock: 25}}, Mode: Queued}, hasty)
	if !errors.Is(err, context.Canceled) || report.OK() || len(f.leftovers()) != 0 {
		t.Errorf("report %+v, error %v, left %v", report, err, f.leftovers())
	}
}

// Which buyers are queued must not go with the server or the quantity that they are dealt.
func TestHalfOfTheBuyersAreQueued(t *testing.T) {
	for _, buyers := range []int{1, 2, 9, 10, 1000} {
		queued, ofEven := 0, 0
		for i, q := range Both.queues(buyers) {
			if q {
				queued++
				if i%2 == 0 {
					ofEven++
				}
			}
		}
		if queued != buyers/2 || buyers >= 10 && (ofEven == 0 || ofEven == queued) {
			t.Errorf("%d of %d buyers are queued, %d of them even", queued, buyers, ofEven)
		}
	}
}

func TestEachDefectOfAQueueIsFound(t *testing.T) {
	noLeaks(t)
	half := Options{Cases: []Case{{Buyers: 20, Stock: 10}}, Mode: Queued}
	polled, both, slowly := half, half, half
	polled.Poll = true
	both.Mode = Both
	// So slowly that early requests are accepted before late ones are sent.
	slowly.Rate = 40
	bothSlowly, enough := slowly, slowly
	bothSlowly.Mode, enough.Mode = Both, Both
	enough.Cases = []Case{{Buyers: 20, Stock: 40}}
	gathering := func(s queueSeed) seed { s.gathers = 20; return seed{queueSeed: s} }
	only := func(s queueSeed) seed { return seed{queueSeed: s} }
	for name, test := range map[string]struct {
		seed seed
		o    Options
		want []string
	}{
		"the newest first":               {gathering(queueSeed{reverses: true}), slowly, []string{"served out of turn: ", "got 1, though", "who was accepted"}},
		"direct claims push in":          {gathering(queueSeed{pushesIn: true}), bothSlowly, []string{"served out of turn: ", "passed over: ", "was still queued when that was settled"}},
		"pushing in with units for all":  {gathering(queueSeed{pushesIn: true}), enough, []string{"passed over: "}},
		"oversells by one":               {seed{oversells: true}, half, []string{"oversold: 11 units were held, and there are only 10"}},
		"oversells by one, both":         {seed{oversells: true}, both, []string{"oversold: 11 units were held, and there are only 10"}},
		"one unit to two buyers":         {seed{doubles: true}, half, []string{"1 unit was given twice: unit unit-1 to "}},
		"sold-out while units are held":  {seed{soldOut: true}, half, []string{"10 buyers were told sold-out, while all units are in carts"}},
		"a unit is left over":            {seed{leavesOne: true}, half, []string{"1 unit was left over, and a buyer who asked for 1 was refused"}},
		"a part of one unit":             {only(queueSeed{splits: true}), half, []string{"asked for 1, of which there is never a part"}},
		"a key that is forgotten":        {seed{forgetsKey: true}, half, []string{"buyers were told of"}},
		"never settled":                  {only(queueSeed{forgetsRequest: true}), half, []string{"1 request was accepted and never answered (still queued, and not moved for 1s 1)"}},
		"never settled, polled":          {only(queueSeed{forgetsRequest: true}), polled, []string{"1 request was accepted and never answered"}},
		"accepted and gone":              {only(queueSeed{losesRequest: true}), half, []string{"its transaction: 404 not-found", "1 request was accepted and not in the database"}},
		"refused and then held":          {only(queueSeed{regrets: true}), half, []string{"1 transaction was seen moving as none may", "was refused all-held and then held [unit-late]"}},
		"refused for two reasons":        {only(queueSeed{rethinks: true}), half, []string{"1 transaction was answered twice, differently", "was refused all-held and then refused sold-out"}},
		"held and then queued":           {only(queueSeed{requeues: true}), half, []string{"1 transaction was seen moving as none may", "and then queued"}},
		"another transaction":            {only(queueSeed{renames: true}), half, []string{"1 transaction was shown as another one"}},
		"a place that grows":             {only(queueSeed{rises: true}), polled, []string{"seen falling back in the queue"}},
		"no place":                       {only(queueSeed{placeless: true}), half, []string{"20 transactions were queued without a queue_position"}},
		"refused without a reason":       {only(queueSeed{mutes: true}), half, []string{"(refused without a reason 10)"}},
		"released by itself":             {only(queueSeed{releasesQueued: true}), half, []string{`(a transaction with status "released" 1)`}},
		"decided at once":                {only(queueSeed{decidesAtOnce: true}), half, []string{"201 where a 202 was due"}},
		"refused at once":                {only(queueSeed{turnsAway: true}), half, []string{"with no place in the queue, for a reason that takes stock to decide (all-held"}},
		"a 202 that leads nowhere":       {only(queueSeed{lacksWhere: true}), half, []string{"20 requests were accepted without what a client goes on with (Location 20, Retry-After 20)"}},
		"a refusal that nothing gives":   {seed{limits: true}, half, []string{"1 buyer was refused for a reason that nothing here gives (purchase-limit 1)"}},
		"an acceptance that never comes": {seed{closesAlways: true}, half, []string{"1 request was never answered (connection lost 1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := hasty
			m.patience = time.Second
			if test.seed.gathers > 0 {
				m.patience = hasty.patience
			}
			test.o.URLs = []string{newFake(test.seed).start(t)}
			report := playWith(t, test.o, m)
			if report.OK() {
				t.Fatal("found nothing wrong")
			}
			for _, want := range test.want {
				mustContain(t, sentences(report.Cases[0]), want)
			}
		})
	}
	t.Run("no defect", func(t *testing.T) {
		t.Parallel()
		o := bothSlowly
		o.URLs = []string{newFake(gathering(queueSeed{})).start(t)}
		if report := play(t, o); !report.OK() {
			t.Error(written(t, report))
		}
	})
}

func TestTheTimesOfAQueueAreReported(t *testing.T) {
	noLeaks(t)
	report := play(t, Options{URLs: []string{newFake(seed{}).start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}, Mode: Both})
	text := written(t, report)
	for _, want := range []string{"lastunit: all buyers at once, half of them queued", "time to accept", "accept p50", "answer p50", "direct", "queued"} {
		mustContain(t, text, want)
	}
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Mode  string `json:"mode"`
		Cases []struct {
			Ways []struct {
				Way           string             `json:"way"`
				Buyers        int                `json:"buyers"`
				Held          int                `json:"held"`
				Refused       int                `json:"refused"`
				AcceptLatency map[string]float64 `json:"accept_latency_ms"`
				Latency       map[string]float64 `json:"latency_ms"`
			} `json:"ways"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Mode != "both" || len(got.Cases) != 1 || len(got.Cases[0].Ways) != 2 {
		t.Fatalf("%s", raw)
	}
	for _, w := range got.Cases[0].Ways {
		direct := w.Way == "direct"
		if w.Buyers != 10 || w.Held+w.Refused != 10 || fmt.Sprint(w.AcceptLatency) == fmt.Sprint(w.Latency) != direct || len(w.Latency) != 4 {
			t.Errorf("%+v", w)
		}
	}
}

func TestWhatIsNoMode(t *testing.T) {
	for text, want := range map[string]Mode{"direct": Direct, "queued": Queued, "both": Both, "": "", "Queued": ""} {
		if got, err := ParseMode(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, o := range []Options{{Mode: "neither"}, {Poll: true}, {Mode: Direct, Poll: true}} {
		o.URLs, o.Key, o.Cases = []string{"http://x"}, "k", []Case{{Buyers: 1, Stock: 1}}
		if _, err := o.check(); err == nil {
			t.Errorf("%+v", o)
		}
	}
}
