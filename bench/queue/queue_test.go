package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

func TestMain(m *testing.M) {
	code := m.Run()
	driven.RemoveBuilt()
	os.Exit(code)
}

func inTime(t *testing.T) (context.Context, string) {
	t.Helper()
	path, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx, path
}

// unbroken fails the test with what a run found.
func unbroken(t *testing.T, v *verdict, err error) *verdict {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range v.First(20) {
		t.Error(line)
	}
	return v
}

func TestWhoIsAcceptedFirstIsServedFirstOverTwoServers(t *testing.T) {
	t.Parallel()
	ctx, path := inTime(t)
	o := orders{requests: 1500, clients: 64, products: 1, burst: 16, directEvery: 5}
	v, err := order(ctx, path, 2, o, t.Output())
	if unbroken(t, v, err); v.held != 750 || v.accepted != 1200 || v.pairs < 100_000 {
		t.Errorf("%d held, %d accepted, %d ordered pairs: too few to show anything", v.held, v.accepted, v.pairs)
	}
}

func TestEveryAcceptedRequestIsSettledOnceWhateverIsKilled(t *testing.T) {
	t.Parallel()
	ctx, path := inTime(t)
	o := orders{requests: 3000, clients: 64, products: 3, burst: 16, directEvery: 10, cancelEvery: 10}
	v, err := faults(ctx, path, 2, 3, 2, o, t.Output())
	if unbroken(t, v, err); v.unanswered == 0 || v.cancelled == 0 {
		t.Errorf("%d attempts had no answer at first, %d were cancelled: the kills hit nothing", v.unanswered, v.cancelled)
	}
}

func TestAKeySentBothWaysToTwoServersAtOnceIsOneTransaction(t *testing.T) {
	t.Parallel()
	ctx, path := inTime(t)
	v, err := retries(ctx, path, 200, 6, t.Output())
	if unbroken(t, v, err); v.held != 100 {
		t.Errorf("%d held, want 100", v.held)
	}
}

func TestManyWaitByEvents(t *testing.T) {
	t.Parallel()
	ctx, path := inTime(t)
	if err := events(ctx, path, 300, time.Second, t.Output()); err != nil {
		t.Fatal(err)
	}
}

func TestLatencyIsMeasured(t *testing.T) {
	t.Parallel()
	ctx, path := inTime(t)
	if err := latency(ctx, path, 20, t.Output()); err != nil {
		t.Fatal(err)
	}
}
