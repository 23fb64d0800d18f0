package httpapi

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// TestRatesForgetNothing that matters: whatever comes when, a name is let through exactly when it is by a bucket that is kept for ever.
func TestRatesForgetNothing(t *testing.T) {
	t.Parallel()
	const seed, perSecond = 1, 3
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRates[string](perSecond)
	kept := map[string]saved{}
	began := time.Now()
	now, refused := began, 0
	for range 200_000 {
		now = now.Add(time.Duration(random.ExpFloat64() * float64(15*time.Millisecond)))
		if random.IntN(2000) == 0 {
			now = now.Add(time.Duration(random.Int64N(int64(4 * burstLasts))))
		}
		name := strconv.Itoa(int(random.ExpFloat64() * 5))
		s, known := kept[name]
		if !known {
			s = saved{perSecond * 5, now}
		}
		s.requests, s.at = min(perSecond*5, s.requests+perSecond*now.Sub(s.at).Seconds()), now
		want := s.requests >= 1
		if near := s.requests - 1; near > -1e-6 && near < 1e-6 {
			continue // sums in another order
		}
		if got := r.has(name, now); got != want {
			t.Fatalf("after %s %s has %v, want %v: %v", now.Sub(began), name, got, want, s)
		}
		if random.IntN(4) > 0 {
			if got := r.take(name, now); got != want {
				t.Fatalf("after %s %s takes %v, want %v: %v", now.Sub(began), name, got, want, s)
			}
			if want {
				s.requests--
			} else {
				refused++
			}
		}
		kept[name] = s
	}
	if refused < 1000 {
		t.Errorf("only %d were refused", refused)
	}
}

func TestRatesAreBounded(t *testing.T) {
	t.Parallel()
	r, now := newRates[int](1), time.Now()
	for name := range 5 * namesAtMost / 2 {
		if !r.take(name, now) {
			t.Fatalf("%d was refused", name)
		}
		if len(r.young) > namesAtMost || len(r.old) > namesAtMost {
			t.Fatalf("%d and %d are remembered", len(r.young), len(r.old))
		}
	}
	if len(r.old) != namesAtMost || len(r.young) != namesAtMost/2 {
		t.Errorf("%d and %d are remembered", len(r.young), len(r.old))
	}
}

// BenchmarkRates is what a claim pays.
func BenchmarkRates(b *testing.B) {
	r := newRates[string](20)
	var names [10_000]string
	for i := range names {
		names[i] = "buyer-" + strconv.Itoa(i)
	}
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			r.take(names[i%len(names)], time.Now())
		}
	})
}
