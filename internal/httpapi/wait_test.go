package httpapi_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// asks has servers asked for a transaction for as long as they wait.
func asks(t testing.TB, buyer, id string, servers ...*world) <-chan answer {
	answers := make(chan answer, len(servers))
	for _, server := range servers {
		go func() { answers <- server.send(t, as(buyer, "GET", "/api/v1/transaction/"+id+"?wait=60", nil)) }()
	}
	return answers
}

// still holds that nothing comes out of a channel while there is nothing to tell.
func still[T any](t testing.TB, c <-chan T, what string) {
	t.Helper()
	select {
	case got := <-c:
		t.Fatalf("%s did not wait: %+v", what, got)
	case <-time.After(150 * time.Millisecond):
	}
}

func TestPreferWaitsForTheTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 2)
	goOn := w.stopped(t, "mug")
	var tx, held httpapi.Transaction
	began := time.Now()
	a := w.send(t, queued("ann", "mug", 1).with("Prefer", "wait=1")).into(t, 202, &tx)
	if took := time.Since(began); took < time.Second || took > 15*time.Second {
		t.Errorf("the turn did not come, and that was said after %v", took)
	}
	if tx.Status != "queued" || a.header.Get("Preference-Applied") != "wait=1" || a.header.Get("Retry-After") != "1" || a.header.Get("Location") == "" {
		t.Errorf("got %v %s", a.header, a.body)
	}
	first, second := make(chan answer, 1), make(chan answer, 1)
	go func() {
		r := queued("bob", "mug", 1)
		r.header = map[string][]string{"Prefer": {"respond-async", "wait=30"}}
		first <- w.send(t, r)
	}()
	waitFor(t, "the request", func() bool { return w.rows(t)[0] == 2 })
	go func() { second <- w.send(t, queued("cat", "mug", 1).with("Prefer", "wait=100")) }()
	waitFor(t, "the request", func() bool { return w.rows(t)[0] == 3 })
	still(t, first, "Prefer: wait=30")
	goOn()
	a = (<-first).into(t, 201, &held)
	if held.Status != "held" || len(held.UnitIDs) != 1 || a.header.Get("Preference-Applied") != "wait=30" || a.header.Get("Retry-After") != "" ||
		a.header.Get("Location") != "/api/v1/transaction/"+held.ID {
		t.Errorf("got %v %s", a.header, a.body)
	}
	a = <-second
	p := a.refused(t, 409, "all-held")
	if p.NextReleaseAt == nil || a.header.Get("Retry-After") == "" || a.header.Get("Preference-Applied") != "wait=30" || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("got %v %s", a.header, a.body)
	}
	var refused httpapi.Transaction
	w.send(t, as("cat", "GET", a.header.Get("Location"), nil)).into(t, 200, &refused)
	if refused.Status != "refused" || refused.Reason == nil || *refused.Reason != "all-held" || refused.QueuePosition != nil || len(refused.UnitIDs) != 0 ||
		refused.ExpiresAt != nil {
		t.Errorf("the refused transaction is %+v", refused)
	}
	if c := w.cart(t, "cat"); len(c.Items)+len(c.Queued) != 0 {
		t.Errorf("what was refused is in the cart: %+v", c)
	}
	w.send(t, as("cat", "DELETE", "/api/v1/cart/"+refused.ID, nil)).into(t, 204, nil)
}

func TestWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside(t, shop.Options{})
	w.stocked(t, "mug", 2)
	goOn := w.stopped(t, "mug")
	tx := w.enqueue(t, "ann", "mug", 1)
	began := time.Now()
	if got := w.look(t, "ann", tx.ID, "?wait=1"); got.Status != "queued" || *got.QueuePosition != 0 {
		t.Errorf("after a second it is %+v", got)
	}
	if took := time.Since(began); took < time.Second || took > 15*time.Second {
		t.Errorf("?wait=1 took %v", took)
	}
	for _, query := range []string{"", "?wait=0"} {
		if got := w.look(t, "ann", tx.ID, query); got.Status != "queued" {
			t.Errorf("%q: it is %+v", query, got)
		}
	}
	w.send(t, as("ann", "GET", "/api/v1/transaction/"+tx.ID+"?wait=61", nil)).refused(t, 422, "validation")
	w.send(t, as("bob", "GET", "/api/v1/transaction/"+tx.ID+"?wait=60", nil)).refused(t, 404, "not-found")
	known := asks(t, "ann", tx.ID, w, other)
	still(t, known, "?wait=60")
	goOn()
	for range 2 {
		var got httpapi.Transaction
		if (<-known).into(t, 200, &got); got.Status != "held" || len(got.UnitIDs) != 1 {
			t.Fatalf("it is %+v", got)
		}
		took := time.Since(got.ExpiresAt.Add(-10 * time.Minute))
		if t.Logf("known %v after it was held", took); took > 20*time.Second {
			t.Errorf("known %v after it was held", took)
		}
	}
}

// TestLeavingTheQueue: a request without a key whose caller is gone is cancelled, and one with a key stays.
func TestLeavingTheQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	goOn := w.stopped(t, "mug")
	ctx, leave := context.WithCancel(t.Context())
	var gone sync.WaitGroup
	for _, key := range []string{absent, "kept"} {
		req, err := queued("ann", "mug", 1).with("Prefer", "wait=30").with("Idempotency-Key", key).build(w.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		gone.Go(func() {
			if resp, err := w.server.Client().Do(req.WithContext(ctx)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v before the queue moved", resp, err)
			}
		})
	}
	with := func(status string) int {
		return w.count(t, "SELECT count(*) FROM claim WHERE status = $1", status)
	}
	waitFor(t, "two requests", func() bool { return with("queued") == 2 })
	leave()
	gone.Wait()
	waitFor(t, "the one without a key to be cancelled", func() bool { return with("released") == 1 })
	goOn()
	var tx httpapi.Transaction
	w.send(t, decided(queued("ann", "mug", 1)).with("Idempotency-Key", "kept")).into(t, 201, &tx)
	if tx.Status != "held" || with("held") != 1 || with("queued") != 0 {
		t.Errorf("what stayed is %+v", tx)
	}
}

func TestStopWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 10)
	w.stopped(t, "mug")
	tx := w.enqueue(t, "ann", "mug", 2)
	const all = 6
	answers := make(chan answer, all)
	ask := func() {
		for range all / 2 {
			go func() { answers <- w.send(t, as("ann", "GET", "/api/v1/transaction/"+tx.ID+"?wait=60", nil)) }()
			go func() { answers <- w.send(t, queued("bob", "mug", 1).with("Prefer", "wait=30")) }()
		}
	}
	done := func() {
		t.Helper()
		for range all {
			var got httpapi.Transaction
			a := <-answers
			if a.into(t, map[string]int{"GET": 200, "POST": 202}[a.method], &got); got.Status != "queued" {
				t.Errorf("got %d %s", a.status, a.body)
			}
		}
	}
	ask()
	waitFor(t, "the requests", func() bool { return w.rows(t)[0] == 1+all/2 })
	still(t, answers, "somebody")
	began := time.Now()
	w.StopWaiting()
	done()
	ask() // nobody waits any more
	done()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("everybody was gone after %v", took)
	}
}
