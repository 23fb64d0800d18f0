package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
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
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	s, err := driven.Start(ctx, path, servers, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return ctx, s
}

// unbroken fails the test with what a run found.
func unbroken(t *testing.T, v *verdict, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	v.print(t.Output())
	for _, line := range v.First(20) {
		t.Error(line)
	}
}

// broken does something to the database, in a transaction that is rolled back, and returns what check then finds.
func broken(t *testing.T, s *driven.Service, ctx context.Context, sql string, check func(tx pgx.Tx) (findings, error)) string {
	t.Helper()
	var found findings
	err := look(ctx, s, func(db *pgx.Conn) error {
		tx, err := db.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		// Nothing that would prevent it: triggers here, constraints where they stand in the way.
		n, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica; `+sql)
		if err != nil {
			return err
		}
		if n.RowsAffected() == 0 {
			t.Errorf("it did nothing")
		}
		found, err = check(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(found, "\n")
}

func TestMoneyAndUnitsAddUpWhateverIsKilled(t *testing.T) {
	t.Parallel()
	o := faultsOptions{orders: 150, clients: 48, products: 4, kills: 2, servers: 2, silences: 4, hold: 4 * time.Second}
	ctx, s := started(t, o.servers, "--hold", o.hold.String())
	m, err := newMarket(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d", m.seed)
	v, err := m.run(ctx)
	unbroken(t, v, err)
	if m.count.again.n["unanswered"] == 0 {
		t.Error("every call was answered at once: the kills hit nothing")
	}
	for _, d := range defects {
		t.Run(d.what, func(t *testing.T) {
			found := broken(t, s, ctx, d.sql, func(tx pgx.Tx) (findings, error) { return brokenIn(ctx, tx, judged) })
			for _, want := range d.found {
				if !strings.Contains(found, want) {
					t.Errorf("%q was not found, but %s", want, found)
				}
			}
		})
	}
}

func TestNobodyIsAboveTheLimitAndEverybodyReachesIt(t *testing.T) {
	t.Parallel()
	o := limitOptions{buyers: 16, tries: 12, limit: 2, rounds: 2, servers: 2, hold: 4 * time.Second}
	ctx, s := started(t, o.servers)
	w, err := newCrowd(s, o)
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.run(ctx)
	unbroken(t, v, err)
	for way := range w.gave {
		if w.gave[way].Load() == 0 {
			t.Errorf("nobody gave back in way %d", way)
		}
	}
	found := broken(t, s, ctx, `UPDATE claim SET buyer = 'buyer-0' WHERE claim_id = (SELECT claim_id FROM claim WHERE buyer = 'buyer-1' AND status = 'ordered' AND NOT unpaid
			AND EXISTS (SELECT FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND released_at IS NULL) LIMIT 1)`,
		func(tx pgx.Tx) (findings, error) {
			seen := &samples{}
			if err := seen.look(ctx, tx, w.saleID, o.limit); err != nil {
				return nil, err
			}
			f, err := brokenIn(ctx, tx, append(judged, w.everybodyHas()))
			return append(seen.findings, f...), err
		})
	for _, want := range []string{
		"buyer-0 has 3 units in the database",
		"a buyer is counted what the buyer has: buyer-0 is counted 2, has 3",
		"everybody with patience has as many as they may: buyer-1 has 1",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("%q was not found, but %s", want, found)
		}
	}
}

func TestCartsInAnyOrderDoNotDeadlock(t *testing.T) {
	t.Parallel()
	o := cartsOptions{checkouts: 250, clients: 32, products: 12, servers: 2, hold: 5 * time.Second}
	ctx, s := started(t, o.servers)
	v, err := runCarts(ctx, s, o)
	unbroken(t, v, err)
	deadlock(t, ctx, s)
	v = &verdict{}
	err = look(ctx, s, func(db *pgx.Conn) error { return v.deadlocks(ctx, s, db) })
	if found := strings.Join(v.findings, "\n"); err != nil || !strings.Contains(found, "deadlock detected") {
		t.Errorf("a deadlock was not found, but %s, %v", found, err)
	}
}

// deadlock makes two transactions wait for each other.
func deadlock(t *testing.T, ctx context.Context, s *driven.Service) {
	t.Helper()
	var both, all sync.WaitGroup
	both.Add(2)
	for i := range 2 {
		all.Go(func() {
			err := look(ctx, s, func(db *pgx.Conn) error {
				_, err := db.Exec(ctx, `SELECT pg_advisory_lock($1)`, i)
				both.Done()
				both.Wait()
				if err == nil {
					// One of the two is told that it has met a deadlock.
					_, _ = db.Exec(ctx, `SELECT pg_advisory_lock($1)`, 1-i)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestEveryOrderIsExportedOnce(t *testing.T) {
	t.Parallel()
	path, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	v, err := export(ctx, path, exportOptions{lines: 20_000}, t.Output())
	unbroken(t, v, err)
}
