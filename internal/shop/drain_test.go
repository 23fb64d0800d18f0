package shop_test

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/shop"
)

// settleQueues lets a server see to queues that nobody settles: those that have not moved between two looks.
func settleQueues(t rapid.TB, s *shop.Shop) {
	t.Helper()
	for range 2 {
		if err := s.SettleQueues(background); err != nil {
			t.Fatal(err)
		}
	}
}

// For a crowd that waits to be accepted the settling of queues rests most of the time, for a while; in the long run it works for half of it.
func TestSettlingGivesWayForAWhile(t *testing.T) {
	t.Parallel()
	now := noon()
	rests := shop.NewRests(now)
	during := func(span time.Duration, batch time.Duration) (worked, rested time.Duration) {
		for end := now.Add(span); now.Before(end); {
			worked += batch
			now = now.Add(batch)
			rest := rests(now, batch)
			rested += rest
			now = now.Add(rest)
		}
		return worked, rested
	}
	if worked, rested := during(shop.AcceptFirst, 20*time.Millisecond); rested < 5*worked {
		t.Errorf("a crowd comes: %s rested for %s of work", rested, worked)
	}
	during(shop.AcceptFirst, 20*time.Millisecond)
	if worked, rested := during(time.Minute, 20*time.Millisecond); rested > worked || rested < worked*9/10 {
		t.Errorf("it stays: %s rested for %s of work", rested, worked)
	}
	now = now.Add(time.Minute)
	if worked, rested := during(shop.AcceptFirst, time.Second); rested > worked/4 {
		t.Errorf("after long work: %s rested for %s of work", rested, worked)
	}
	during(time.Minute, 20*time.Millisecond)
	now = now.Add(shop.AcceptFirst)
	if worked, rested := during(shop.AcceptFirst, 20*time.Millisecond); rested < 5*worked {
		t.Errorf("another comes, later: %s rested for %s of work", rested, worked)
	}
}

// Many queues that rest at the same time have no less time for it than one.
func TestQueuesRestTogether(t *testing.T) {
	t.Parallel()
	now := noon()
	rests := shop.NewRests(now)
	const queues, batch = 100, 20 * time.Millisecond
	for end := now.Add(shop.AcceptFirst); now.Before(end); now = now.Add(7 * batch) {
		for range queues {
			if rest := rests(now, batch); rest != 6*batch {
				t.Fatalf("%s before the end one of %d queues rests %s", end.Sub(now), queues, rest)
			}
		}
	}
	for range 2 * shop.AcceptFirst / batch {
		now = now.Add(batch)
		for range queues {
			if rest := rests(now, batch); rest < 0 || rest > 6*batch {
				t.Fatalf("one of %d queues rests %s", queues, rest)
			}
		}
	}
}

func TestSettlingRestsWhileACrowdWaitsToBeAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 100)
	goOn := w.stopped("A")
	first := w.enqueue("first", "A", 1)
	letIn := w.locked(`SELECT FROM queue_tail FOR UPDATE`)
	var crowd sync.WaitGroup
	for i := range 70 {
		crowd.Go(func() {
			// Some may lose patience before it is over, and are told that it is busy.
			_, _ = w.Enqueue(background, shop.ClaimRequest{Buyer: buyer(i), SKU: "A", Quantity: 1}, 0)
		})
	}
	for end := time.Now().Add(longEnough); w.Accepting() < 64; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("no crowd comes")
		}
	}
	if w.Rested() {
		t.Error("it rested before there was anything to settle")
	}
	goOn()
	w.settled(w.Shop, first)
	for end := time.Now().Add(longEnough); !w.Rested(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it does not rest")
		}
	}
	letIn()
	crowd.Wait()
	w.audited()
}

func TestAQueueThatMovesIsLeftToWhoeverSettlesIt(t *testing.T) {
	t.Parallel()
	look := shop.NewLooks()
	for i, c := range []struct {
		heads map[string]int64
		want  []string
	}{
		{map[string]int64{"A": 3, "B": 0}, nil},
		{map[string]int64{"A": 5, "B": 0}, []string{"B"}},
		{map[string]int64{"A": 5}, []string{"A"}},
		{map[string]int64{"B": 0}, nil}, // it was settled meanwhile
	} {
		if got := look(c.heads); !slices.Equal(got, c.want) {
			t.Errorf("look %d takes up %v, want %v", i, got, c.want)
		}
	}
}
