package drive_test

import (
	"context"
	"os"
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
func started(t *testing.T, servers int) (context.Context, *driven.Service) {
	t.Helper()
	path, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	s, err := driven.Start(ctx, path, servers, "--hold", "1s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return ctx, s
}

func TestEveryOperationIsDrivenAndDrained(t *testing.T) {
	t.Parallel()
	ctx, s := started(t, 2)
	log := history.NewLog(nil)
	r, err := drive.Prepare(ctx, drive.Options{
		Prefix: "r1-", Seed: 1, Clients: 40, Key: s.Key, Addresses: s.Addresses(), Log: log, Hold: time.Second, Plenty: 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	driving, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	r.Drive(driving, log)
	driven, _ := log.Ops()
	t.Logf("%d attempts in %s", len(driven), log.Now())
	if err := r.Drain(ctx, log); err != nil {
		t.Fatal(err)
	}
	ops, err := log.Ops()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d attempts in %s", len(ops), log.Now())
	for _, op := range ops {
		if op.Fault != "" && op.Card != "hang" {
			t.Errorf("%+v", op)
		}
	}
}
