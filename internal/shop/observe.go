package shop

import (
	"context"
	"errors"
	"time"
)

// Way is how units are claimed.
type Way string

// The ways.
const (
	Direct Way = "direct"
	InTurn Way = "queued"
)

// Outcomes of claims, besides the codes of refusals.
const (
	// OutcomeHeld: it got its units.
	OutcomeHeld = countHeld
	// OutcomeReplayed: its key has made a transaction before, which was shown.
	OutcomeReplayed Code = "replayed"
	// OutcomeFault: it was answered an error of ours.
	OutcomeFault Code = "fault"
)

// Outcomes lists everything that a claim can come to.
func Outcomes() []Code { return append([]Code{OutcomeHeld, OutcomeReplayed, OutcomeFault}, Codes()...) }

// Observer is told what the shop does, when it is done and on disk, by those who do it: its functions are called from many goroutines at once, and must not wait
// for anything. All must be set.
type Observer struct {
	// Claim is told of each claim that was decided, and how long that took since it came in, or was accepted into its queue.
	Claim func(way Way, outcome Code, took time.Duration)
	// Accepted is told of each request that was accepted into a queue.
	Accepted func()
	// Batch is told of each batch that a lane has settled, of how many calls, and how long that took.
	Batch func(lane string, calls int, took time.Duration)
	// Payment is told what became of a payment: PaymentSucceeded or PaymentRejected.
	Payment func(PaymentStatus)
	// Delivery is told what came of sending to a webhook: pending says that it is to be sent again.
	Delivery func(becomes DeliveryStatus, took time.Duration)
	// Event is told of each event that this server was the one to publish.
	Event func(EventType)
}

func (o *Observer) batch(lane string, calls int, took time.Duration) {
	if o != nil {
		o.Batch(lane, calls, took)
	}
}

func (o *Observer) payment(became PaymentStatus) {
	if o != nil {
		o.Payment(became)
	}
}

func (o *Observer) delivery(becomes DeliveryStatus, took time.Duration) {
	if o != nil {
		o.Delivery(becomes, took)
	}
}

func (o *Observer) event(t EventType) {
	if o != nil {
		o.Event(t)
	}
}

// observeBatch tells of the answers that a batch gives. Calls that are put back are told of when they are answered.
func (s *Shop) observeBatch(b *settlement) {
	o := s.o.Observer
	if o == nil {
		return
	}
	now := time.Now()
	clock := s.clockAt(now)
	for i, call := range b.calls {
		a := b.answers[i]
		if a.Again || a.Err != nil || call.kind == drainQueue {
			continue
		}
		way, took := Direct, now.Sub(call.arrivedAt)
		switch call.kind {
		case newRequest:
			way = InTurn
		case queuedRequest:
			way, took = InTurn, clock.Sub(call.createdAt)
		}
		switch {
		case a.Out.refusal != nil:
			o.Claim(way, a.Out.refusal.Code, took)
		case a.Out.replayed:
			o.Claim(way, OutcomeReplayed, took)
		case call.kind == newRequest:
			o.Accepted()
		default:
			o.Claim(way, OutcomeHeld, took)
		}
	}
}

// observeLost tells of a call that was answered without being in any batch to its end.
func (s *Shop) observeLost(ctx context.Context, call *claimCall, err error) {
	o := s.o.Observer
	if o == nil || ctx.Err() != nil {
		return
	}
	way, outcome := Direct, OutcomeFault
	if call.kind == newRequest {
		way = InTurn
	}
	var r *Refusal
	if errors.As(err, &r) {
		outcome = r.Code
	}
	o.Claim(way, outcome, time.Since(call.arrivedAt))
}

// Lanes names the lanes that an Observer is told of.
func Lanes() []string {
	return []string{"claims", "accepts", "checkouts", "pays", "paids", "reads", "orders"}
}

// LaneWaiting is how many calls wait in a lane, those in batches under way included.
type LaneWaiting struct {
	Lane  string
	Calls int
}

// LanesWaiting tells how much waits in each lane of this server in which something is done.
func (s *Shop) LanesWaiting() []LaneWaiting {
	return []LaneWaiting{
		{"claims", s.lanes.Waiting()}, {"accepts", s.accepts.Waiting()}, {"checkouts", s.checkouts.Waiting()},
		{"pays", s.pays.Waiting()}, {"paids", s.paids.Waiting()},
	}
}

// WaitingAtMost is how many calls may wait in each of the lanes that LanesWaiting tells of.
func (s *Shop) WaitingAtMost() int { return s.limits.Load().Waiting }
