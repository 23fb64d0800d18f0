package lane_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lastunit/lastunit/internal/lane"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var roomy = lane.Config{Workers: 3, BatchCalls: 64, BatchKeys: 8, Waiting: 10000}

type (
	calls   = []lane.Call[string, int]
	answers = []lane.Answer[int]
)

// echo answers each call with its input.
func echo(batch calls) answers {
	out := make(answers, len(batch))
	for i, c := range batch {
		out[i].Out = c.In
	}
	return out
}

// gate lets a test hold the first batch while it prepares what comes next.
type gate struct {
	entered chan calls
	open    chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan calls, 100), open: make(chan struct{})} }

func (g *gate) settle(_ context.Context, batch calls, _ func()) answers {
	g.entered <- batch
	<-g.open
	return echo(batch)
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(100 * time.Microsecond) //nolint:forbidigo // polling: that somebody waits gives no signal
	}
}

func TestNothingIsLostWhereBatchesOverlap(t *testing.T) {
	t.Parallel()
	l := lane.New(roomy, func(_ context.Context, batch calls, next func()) answers {
		if rand.N(3) > 0 {
			next()
		}
		runtime.Gosched()
		out := echo(batch)
		for i := range out {
			out[i].Again = rand.N(10) == 0
		}
		return out
	})
	var wg sync.WaitGroup
	for i := range 5000 {
		wg.Go(func() {
			if got, err := l.Do(context.Background(), string(rune('a'+i%5)), i); err != nil || got != i {
				t.Errorf("call %d: got %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	l.Close()
	if n := l.Waiting(); n != 0 {
		t.Errorf("%d calls wait after all were answered", n)
	}
}

func TestEveryCallGetsItsOwnAnswerAndKeysNeverOverlap(t *testing.T) {
	t.Parallel()
	var busy [5]atomic.Int32
	names := []string{"a", "b", "c", "d", "e"}
	l := lane.New(roomy, func(_ context.Context, batch calls, _ func()) answers {
		if len(batch) > roomy.BatchCalls {
			t.Errorf("batch of %d calls", len(batch))
		}
		seen := map[string]bool{}
		for _, c := range batch {
			k := c.Key[0] - 'a'
			if !seen[c.Key] && busy[k].Add(1) != 1 {
				t.Errorf("two batches of key %s at once", c.Key)
			}
			seen[c.Key] = true
		}
		out := echo(batch)
		for i := range out {
			out[i].Again = rand.N(10) == 0
		}
		for k := range seen {
			busy[k[0]-'a'].Add(-1)
		}
		return out
	})
	var wg sync.WaitGroup
	for i := range 5000 {
		wg.Go(func() {
			got, err := l.Do(context.Background(), names[i%5], i)
			if err != nil || got != i {
				t.Errorf("call %d: got %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	l.Close()
	if n := l.Waiting(); n != 0 {
		t.Errorf("%d calls wait after all were answered", n)
	}
}

func TestGathersInOrderWhileABatchIsUnderWay(t *testing.T) {
	t.Parallel()
	g := newGate()
	l := lane.New(roomy, g.settle)
	var first calls
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { _, _ = l.Do(context.Background(), "a", i) })
		waitFor(t, "the call to be in", func() bool { return l.Waiting() == i+1 })
		if i == 0 {
			first = <-g.entered // before that, the second call could still go into the first batch
		}
	}
	close(g.open)
	second := <-g.entered
	wg.Wait()
	l.Close()
	if len(first) != 1 || len(second) != 9 {
		t.Fatalf("batches of %d and %d calls, want 1 and 9", len(first), len(second))
	}
	for i, c := range second {
		if c.In != i+1 {
			t.Errorf("call %d stands at place %d", c.In, i)
		}
	}
}

func TestTheNextBatchOfAKeyBeginsWhenItIsLet(t *testing.T) {
	t.Parallel()
	entered, let, end := make(chan int, 10), make(chan struct{}), make(chan struct{})
	var seconds atomic.Int32
	l := lane.New(roomy, func(_ context.Context, batch calls, next func()) answers {
		entered <- batch[0].In
		if batch[0].In == 1 {
			<-let
			next()
			next() // once is enough, and twice does no harm
			<-end
		}
		out := echo(batch)
		out[0].Again = batch[0].In == 2 && seconds.Add(1) == 1
		return out
	})
	var wg sync.WaitGroup
	ask := func(in int) {
		wg.Go(func() {
			if got, err := l.Do(context.Background(), "a", in); err != nil || got != in {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
	ask(1)
	if first := <-entered; first != 1 {
		t.Fatalf("%d began first", first)
	}
	ask(2)
	waitFor(t, "the second call to be in", func() bool { return l.Waiting() == 2 })
	select {
	case in := <-entered:
		t.Errorf("%d began before it was let", in)
	default:
	}
	close(let)
	if second := <-entered; second != 2 {
		t.Errorf("%d began second", second)
	}
	// It is put back while the first is still under way, and comes again.
	if third := <-entered; third != 2 {
		t.Errorf("%d began third", third)
	}
	ask(3)
	if fourth := <-entered; fourth != 3 {
		t.Errorf("%d began fourth", fourth)
	}
	close(end)
	wg.Wait()
	l.Close()
}

func TestOneBatchTakesSeveralLukewarmKeys(t *testing.T) {
	t.Parallel()
	g := newGate()
	cfg := roomy
	cfg.Workers = 1
	l := lane.New(cfg, g.settle)
	var wg sync.WaitGroup
	for i, k := range []string{"a", "b", "c", "d"} {
		wg.Go(func() { _, _ = l.Do(context.Background(), k, i) })
		waitFor(t, "the call to be in", func() bool { return l.Waiting() == i+1 })
		if i == 0 {
			<-g.entered // its batch is under way; the others gather
		}
	}
	close(g.open)
	if second := <-g.entered; len(second) != 3 {
		t.Errorf("the second batch has %d calls, want those of 3 keys", len(second))
	}
	wg.Wait()
	l.Close()
}

func TestABlockedKeyDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	release := make(chan struct{})
	l := lane.New(roomy, func(_ context.Context, batch calls, _ func()) answers {
		if batch[0].Key == "slow" {
			close(entered)
			<-release
		}
		return echo(batch)
	})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = l.Do(context.Background(), "slow", 1) })
	<-entered // before that, a fast call could still go into the slow one's batch
	for i := range 100 {
		if got, err := l.Do(context.Background(), "fast", i); err != nil || got != i {
			t.Fatalf("got %d, %v", got, err)
		}
	}
	close(release)
	wg.Wait()
	l.Close()
}

func TestACallerThatGoesBeforeItsBatchIsDropped(t *testing.T) {
	t.Parallel()
	g := newGate()
	l := lane.New(roomy, g.settle)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = l.Do(context.Background(), "a", 1) })
	<-g.entered
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		if _, err := l.Do(ctx, "a", 2); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	waitFor(t, "the second call to be in", func() bool { return l.Waiting() == 2 })
	cancel()
	waitFor(t, "the second call to be gone", func() bool { return l.Waiting() == 1 })
	wg.Go(func() { _, _ = l.Do(context.Background(), "a", 3) })
	waitFor(t, "the third call to be in", func() bool { return l.Waiting() == 2 })
	close(g.open)
	if batch := <-g.entered; len(batch) != 1 || batch[0].In != 3 {
		t.Errorf("second batch is %v, want call 3 alone", batch)
	}
	wg.Wait()
	l.Close()
}

func TestACallerThatGoesAfterItWasTakenLearnsTheAnswer(t *testing.T) {
	t.Parallel()
	g := newGate()
	l := lane.New(roomy, g.settle)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if got, err := l.Do(ctx, "a", 7); got != 7 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	})
	<-g.entered
	cancel()
	close(g.open)
	wg.Wait()
	l.Close()
}

func TestACallWhoseTimeIsOverWhileItsBatchGoesOnMayBeDoneYet(t *testing.T) {
	t.Parallel()
	g := newGate()
	l := lane.New(roomy, g.settle)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Do(ctx, "a", 7); !errors.Is(err, lane.ErrUnderWay) {
		t.Errorf("got %v", err)
	}
	<-g.entered
	closed := make(chan struct{})
	go func() {
		l.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("closed while a batch was under way")
	case <-time.After(20 * time.Millisecond):
	}
	close(g.open)
	<-closed
}

func TestACallThatIsPutBackIsDroppedWhenItsCallerHasGone(t *testing.T) {
	t.Parallel()
	again := lane.New(roomy, func(_ context.Context, batch calls, _ func()) answers {
		out := make(answers, len(batch))
		for i := range out {
			out[i].Again = true
		}
		return out
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := again.Do(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	again.Close()
}

func TestRefusesWhenFullAndWhenClosed(t *testing.T) {
	t.Parallel()
	g := newGate()
	cfg := roomy
	cfg.Waiting = 2
	l := lane.New(cfg, g.settle)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _, _ = l.Do(context.Background(), "a", 1) })
	}
	waitFor(t, "two calls to be in", func() bool { return l.Waiting() == 2 })
	if _, err := l.Do(context.Background(), "b", 1); !errors.Is(err, lane.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	l.SetWaiting(3)
	wg.Go(func() { _, _ = l.Do(context.Background(), "b", 1) })
	waitFor(t, "another call to be in", func() bool { return l.Waiting() == 3 })
	l.SetWaiting(1)
	if _, err := l.Do(context.Background(), "b", 1); !errors.Is(err, lane.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	close(g.open)
	wg.Wait()
	l.Close()
	if _, err := l.Do(context.Background(), "a", 1); !errors.Is(err, lane.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestAPanicAndAWrongNumberOfAnswersAreErrors(t *testing.T) {
	t.Parallel()
	l := lane.New(roomy, func(_ context.Context, batch calls, _ func()) answers {
		if batch[0].Key == "panic" {
			panic("boom")
		}
		return nil
	})
	for _, key := range []string{"panic", "short"} {
		if _, err := l.Do(context.Background(), key, 1); err == nil {
			t.Errorf("key %s: no error", key)
		}
	}
	l.Close()
}
