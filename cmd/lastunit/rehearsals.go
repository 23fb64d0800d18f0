package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/lastunit/lastunit/internal/rehearsal"
	"github.com/lastunit/lastunit/internal/shop"
)

// rehearsals plays the rehearsals that are asked for over HTTP, against the service itself.
type rehearsals struct {
	ctx     context.Context
	stop    context.CancelCauseFunc
	mu      sync.Mutex
	stopped bool
	all     sync.WaitGroup
}

func newRehearsals() *rehearsals {
	r := &rehearsals{}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	return r
}

// interrupt ends what is played.
func (rs *rehearsals) interrupt() {
	rs.mu.Lock()
	rs.stopped = true
	rs.mu.Unlock()
	rs.stop(errors.New("its server was stopped; start it again"))
}

// end interrupts what is played, and waits until its copies are removed, as long as the service can still be asked for that.
func (rs *rehearsals) end() {
	rs.interrupt()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rs.all.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(15 * time.Second): // another server removes what is left
	}
}

// rehearse plays a rehearsal in the background. One that is started while the service stops is left to be given up.
func (s *service) rehearse(r shop.Rehearsal, secret string) {
	rs := s.rehearsals
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.stopped {
		return
	}
	rs.all.Go(func() {
		var count rehearsal.Count
		seen := func() (sent, held, refused int64) { return count.Sent.Load(), count.Held.Load(), count.Refused.Load() }
		err := s.PlayRehearsal(rs.ctx, r, seen, func(ctx context.Context) (json.RawMessage, error) {
			report, err := rehearsal.RunSale(ctx, rehearsal.SaleOptions{
				Options: rehearsal.Options{URLs: []string{s.address}, Key: secret, InProcess: true},
				Sale:    r.SaleID.String(), Buyers: r.Buyers, Name: r.Name(), Count: &count,
			})
			if err != nil {
				return nil, err
			}
			return json.Marshal(report)
		})
		if err != nil {
			s.log.Warn("what came of a rehearsal could not be written down", "rehearsal_id", r.ID, "error", err)
		}
	})
}
