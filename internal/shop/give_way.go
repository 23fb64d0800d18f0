package shop

import (
	"context"
	"time"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// Of the time of long work of the shop's people, while buyers claim: one part is worked, for restsFor parts it rests. It is looked whether they do every busyAfter of
// work, and they do when busyChanges claims a second change.
const (
	restsFor    = 6
	restsAtMost = 4 * time.Second // well within idle_in_transaction_session_timeout
	busyChanges = 10
)

// countsAnew is for a transaction that gives way: without it the counts of PostgreSQL stay what they were at its first look.
const countsAnew = "SET LOCAL stats_fetch_consistency = none"

// way lets long work, such as a large receipt or an audit, give way to buyers, whichever server they are on: it is done in pieces, and as long as claims are being
// settled it rests after each. In the first second it is only known whether anybody waits on this server, because less does not tell.
type way struct {
	s       *Shop
	began   time.Time // the piece
	looked  time.Time
	changes int64 // of claims, at that time
	busy    bool
}

// giveWay begins work that gives way.
func (s *Shop) giveWay(ctx context.Context, db dbsqlc.DBTX) (*way, error) {
	changes, err := s.q.ClaimChanges(ctx, db)
	now := time.Now()
	return &way{s: s, began: now, looked: now, changes: changes, busy: s.lanes.Waiting() > 0}, err
}

// give is called after each piece of the work, and returns when the next may begin.
func (w *way) give(ctx context.Context, db dbsqlc.DBTX) error {
	worked := time.Since(w.began)
	if since := time.Since(w.looked); since >= time.Second {
		changes, err := w.s.q.ClaimChanges(ctx, db)
		if err != nil {
			return err
		}
		w.busy = float64(changes-w.changes) >= busyChanges*since.Seconds()
		w.looked, w.changes = time.Now(), changes
	}
	if w.busy {
		rest := time.NewTimer(min(restsFor*worked, restsAtMost))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.began = time.Now()
	return nil
}
