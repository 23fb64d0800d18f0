package drive_test

import (
	"context"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/drive"
	"github.com/lastunit/lastunit/internal/torture/history"
)

func TestMain(m *testing.M) {
	code := m.Run()
	driven.RemoveBuilt()
	os.Exit(code)
}

// started is the built lastunit, running until the test ends.
func started(t *testing.T, servers int, args ...string) (context.Context, *driven.Service) {
	t.Helper()
	path, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	s, err := driven.Start(ctx, path, servers, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return ctx, s
}

// wanted is what a round is to meet with before its clients may stop: every operation done, and refused where it can be.
func wanted() map[string]bool {
	all := map[string]bool{"a replay": true, "a key on both ways": true, "a key from two clients at once": true, "queued": true, "refused in its turn": true, "no answer": true}
	for _, kind := range []history.Kind{
		history.Claim, history.ClaimQueued, history.Look, history.Extend, history.Cart, history.Release, history.Checkout, history.Confirm, history.Pay, history.Cancel, history.LookOrder,
		history.Refund, history.Receive, history.Withdraw, history.Unquarantine, history.CountStock, history.LookProduct, history.PauseSale, history.ResumeSale,
	} {
		all[string(kind)+" ok"] = true
	}
	for _, kind := range []history.Kind{
		history.Claim, history.ClaimQueued, history.Extend, history.Release, history.Checkout, history.Confirm, history.Pay, history.Cancel, history.Refund, history.Withdraw, history.Unquarantine,
	} {
		all[string(kind)+" failed"] = true
	}
	return all
}

// meet takes from what is wanted what an attempt is.
func meet(left map[string]bool, op history.Op, last map[string]history.Op) {
	delete(left, string(op.Kind)+" "+string(op.Outcome))
	if op.Replayed {
		delete(left, "a replay")
	}
	if t := op.Transaction; t != nil {
		delete(left, t.Status)
		if t.Status == "refused" {
			delete(left, "refused in its turn")
		}
	}
	if op.Outcome == history.Unknown && op.Card != "hang" {
		delete(left, "no answer")
	}
	if op.Key == "" {
		return
	}
	if before, found := last[op.Key]; found {
		if before.Kind != op.Kind {
			delete(left, "a key on both ways")
		}
		if before.Client != op.Client && op.Start < before.End {
			delete(left, "a key from two clients at once")
		}
	}
	last[op.Key] = op
}

func TestEveryOperationIsDrivenAndDrained(t *testing.T) {
	t.Parallel()
	ctx, s := started(t, 2, "--hold", "1s")
	log := history.NewLog(nil)
	r, err := drive.Prepare(ctx, drive.Options{
		Prefix: "r1-", Seed: 1, Clients: 40, Key: s.Key, Addresses: s.Addresses(), Log: log, Hold: time.Second, Plenty: 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	driving, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		r.Drive(driving, log)
		close(done)
	}()
	s.Kill(1)
	if err := s.Restart(1); err != nil {
		t.Fatal(err)
	}
	left, last, seen := wanted(), map[string]history.Op{}, 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for len(left) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("among %d attempts there are none of %v", seen, slices.Sorted(maps.Keys(left)))
		}
		ops, _ := log.Ops()
		for ; seen < len(ops); seen++ {
			meet(left, ops[seen], last)
		}
	}
	stop()
	<-done
	if err := r.Drain(ctx, log, time.Minute); err != nil {
		t.Fatal(err)
	}
	ops, err := log.Ops()
	if err != nil {
		t.Fatal(err)
	}
	drained(t, r, ops)
	if line, err := s.Audit(); err != nil {
		t.Error(line, err)
	}
}

// drained finds no answer that nobody should get, no key of which nothing is known, and nothing for sale.
func drained(t *testing.T, r *drive.Round, ops []history.Op) {
	t.Helper()
	known := map[string]bool{}
	stock := map[string]*history.Stock{}
	for _, op := range ops {
		if op.Fault != "" && op.Status != 0 {
			t.Errorf("%+v", op)
		}
		known[op.Key] = known[op.Key] || op.Outcome == history.OK || op.Outcome == history.Failed && op.Code != "busy"
		if op.Kind == history.CountStock {
			stock[op.SKU] = op.Stock
		}
	}
	for _, op := range ops {
		if op.Key != "" && op.Outcome == history.Unknown && !known[op.Key] {
			t.Errorf("nobody knows what became of %+v", op)
		}
	}
	for _, sku := range r.SKUs() {
		if s := stock[sku]; s == nil || s.Received == 0 || s.Available+s.Held+s.Ordered > 0 {
			t.Errorf("of %s there are %+v", sku, s)
		}
	}
}
