package shop

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// course makes what was written down of a sale: in some of so many seconds somebody was answered, in some it was sampled.
func course(from time.Time, seconds int) (counts []dbsqlc.SaleCountSinceRow, samples []dbsqlc.SaleSampleSinceRow) {
	for n := range seconds {
		at := from.Add(time.Duration(n+1) * time.Second)
		if rand.N(3) > 0 {
			counts = append(counts, dbsqlc.SaleCountSinceRow{At: at, Outcome: "held", CallCount: 2, UnitCount: 3, Latencies: []int32{40, 1, 60, 1}})
		}
		if rand.N(3) > 0 {
			counts = append(counts, dbsqlc.SaleCountSinceRow{At: at, Outcome: "all-held", CallCount: 5, UnitCount: 5, Latencies: []int32{70, 5}})
		}
		if n == 0 || rand.N(4) > 0 {
			samples = append(samples, dbsqlc.SaleSampleSinceRow{At: at, Available: int64(seconds - n), Held: int64(n)})
		}
	}
	return counts, samples
}

func sum(points []salePoint) (all salePoint, answered uint64) {
	for _, p := range points {
		all = all.with(p)
	}
	if all.latencies != nil {
		for _, n := range all.latencies {
			answered += uint64(n)
		}
	}
	return all, answered
}

func TestThinningAddsUp(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 12, 12, 12, 0, 0, 0, time.UTC)
	for _, seconds := range []int{1, 2, 599, 600, 601, 1801, 20_000} {
		counts, samples := course(from, seconds)
		var s saleSeries
		s.readAfter(time.Time{}, counts, samples)
		before, answered := sum(s.points)
		s.compact(from.Add(time.Duration(seconds) * time.Second))
		if len(s.points) > rawSeconds+pointsKept+1 {
			t.Errorf("%d s: %d points are kept", seconds, len(s.points))
		}
		shown := thin(s.points, pointsShown)
		after, answeredAfter := sum(shown)
		if len(shown) > pointsShown || seconds <= pointsShown && len(shown) != len(s.points) || seconds >= 20_000 && len(shown) < 250 {
			t.Errorf("%d s: %d points are shown", seconds, len(shown))
		}
		if after.claims != before.claims || after.units != before.units || after.refusals["all-held"] != before.refusals["all-held"] ||
			answered != answeredAfter || after.places != before.places {
			t.Errorf("%d s: %+v and %d became %+v and %d", seconds, before, answered, after, answeredAfter)
		}
		if int(answered) != int(before.claims+before.refusals["all-held"]) {
			t.Errorf("%d s: %d latencies of %d answers", seconds, answered, before.claims+before.refusals["all-held"])
		}
		for i, p := range shown[1:] {
			if !p.from.Equal(shown[i].at) {
				t.Fatalf("%d s: from %s on, and the one before ends at %s", seconds, p.from, shown[i].at)
			}
		}
	}
}

// What is read again takes the place of what was read before it was complete.
func TestWhatIsReadAgainIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 12, 12, 12, 0, 0, 0, time.UTC)
	counts, samples := course(from, 100)
	var once, often saleSeries
	once.readAfter(time.Time{}, counts, samples)
	settled := time.Time{}
	for second := 1; second <= 100; second++ {
		now := from.Add(time.Duration(second) * time.Second)
		var c []dbsqlc.SaleCountSinceRow
		var a []dbsqlc.SaleSampleSinceRow
		for _, row := range counts {
			if row.At.After(settled) && !row.At.After(now) {
				c = append(c, row)
			}
		}
		for _, row := range samples {
			if row.At.After(settled) && !row.At.After(now) {
				a = append(a, row)
			}
		}
		often.readAfter(settled, c, a)
		settled = now.Add(-writersLate)
	}
	a, n := sum(once.points)
	b, m := sum(often.points)
	if a.claims != b.claims || a.refusals["all-held"] != b.refusals["all-held"] || n != m || a.places != b.places || !a.at.Equal(b.at) {
		t.Errorf("%+v, read again and again %+v", a, b)
	}
}

func TestLatenciesAreRightToASixteenth(t *testing.T) {
	t.Parallel()
	for us := int64(0); us < 100_000_000; us += 1 + us/50 {
		d := time.Duration(us) * time.Microsecond
		if got := latencyOf(latencyBucket(d)); (got - d).Abs() > d/16+time.Microsecond/2 {
			t.Fatalf("%s is counted as %s", d, got)
		}
	}
	if latencyBucket(time.Hour) != latencyBuckets-1 || latencyBucket(-time.Second) != 0 {
		t.Error("what lies outside goes into the buckets at the ends")
	}
	var l, again latencies
	for n := range 1000 {
		l[latencyBucket(time.Duration(n+1)*time.Millisecond)]++
	}
	if p := l.percentile(0.50); p < 470*time.Millisecond || p > 530*time.Millisecond {
		t.Errorf("the median of 1 to 1000 ms is %s", p)
	}
	if p := l.percentile(0.99); p < 930*time.Millisecond || p > 1060*time.Millisecond {
		t.Errorf("p99 of 1 to 1000 ms is %s", p)
	}
	if again.percentile(0.5) != 0 || again.text() != "{}" {
		t.Error("of nothing")
	}
}

// BenchmarkCountingAnswers is what a claim pays for the figures of its sale: alone in its batch, and among 512.
func BenchmarkCountingAnswers(b *testing.B) {
	sale := ID{1}
	s := &Shop{o: Options{}.withDefaults()}
	s.counts.by, s.counts.last = map[countKey]*countTally{}, map[string]ID{}
	for name, n := range map[string]int{"alone": 1, "of-512": 512} {
		b.Run(name, func(b *testing.B) {
			batch := &settlement{}
			for i := range n {
				batch.calls = append(batch.calls, &claimCall{
					ClaimRequest: ClaimRequest{SKU: "sneaker-1212", Quantity: 1}, arrivedAt: time.Now(), looked: true, about: sale,
				})
				a := claimAnswer{}
				if a.Out.transaction.SaleID = &sale; i%2 == 1 {
					a.Out.refusal = &Refusal{Code: AllHeld}
				}
				batch.answers = append(batch.answers, a)
			}
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if i%n == 0 {
						s.countBatch(batch)
					}
				}
			})
		})
	}
}
