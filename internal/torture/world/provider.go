package world

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// silenceProvider lets payments be begun for a while, and then has the payment provider, which keeps its books in tables of its own, answer nobody for so long that overdue orders are
// cancelled without its word, after 7 s: money may have come for them.
func (w *World) silenceProvider(ctx context.Context, rng *rand.Rand) error {
	w.count("payment provider silent")
	db, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	driven.Pause(ctx, 2*time.Second)
	if _, err := db.Exec(ctx, `BEGIN; LOCK TABLE test_charge IN ACCESS EXCLUSIVE MODE`); err != nil {
		return err
	}
	driven.Pause(ctx, 8*time.Second+time.Duration(rng.Int64N(int64(4*time.Second))))
	return nil // the connection ends, and the lock with it
}
