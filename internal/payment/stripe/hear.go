package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	api "github.com/stripe/stripe-go/v86"
	"github.com/stripe/stripe-go/v86/webhook"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// tolerance is how old a signature may be: an event that was overheard can't be sent again much later.
const tolerance = 5 * time.Minute

// Hear reads an event that Stripe, or whoever says so, has sent. The header Stripe-Signature must be over these bytes, with one of our secrets. Of the event itself
// nothing is believed but which object it is about. An event of another account or of the other mode, or about what is not ours, is ignored; of other types
// there is nothing to tell.
func (s *Stripe) Hear(ctx context.Context, body []byte, signature string) (payment.News, error) {
	event, err := s.signed(body, signature)
	if err != nil {
		return payment.News{}, err
	}
	var object struct {
		ID            string `json:"id"`
		PaymentIntent string `json:"payment_intent"`
	}
	ignored := func(why string) (payment.News, error) {
		return payment.News{Ignored: fmt.Sprintf("the event %s, %s, %s", event.ID, event.Type, why)}, nil
	}
	switch {
	case event.Account != "":
		return ignored("is of another account")
	case event.Livemode != s.live:
		return ignored("is of the other mode: test and live have secrets of their own")
	case event.Data == nil || json.Unmarshal(event.Data.Raw, &object) != nil:
		return ignored("is about nothing that can be read")
	}
	switch event.Type {
	case "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled", "payment_intent.processing":
		return s.about(ctx, object.ID, false, ignored)
	case "charge.refunded", "charge.dispute.created", "charge.dispute.closed":
		return s.about(ctx, object.PaymentIntent, true, ignored)
	case "refund.updated", "refund.failed":
		id, err := s.q.StripeRefundByStripeID(ctx, s.pool, object.ID)
		if errors.Is(err, pgx.ErrNoRows) {
			return s.about(ctx, object.PaymentIntent, true, ignored)
		}
		if err != nil {
			return payment.News{}, fmt.Errorf("look for a refund: %w", err)
		}
		return payment.News{Refund: &id}, nil
	}
	return payment.News{}, nil
}

func (s *Stripe) about(ctx context.Context, intentID string, look bool, ignored func(string) (payment.News, error)) (payment.News, error) {
	id, err := s.q.StripeChargeByIntent(ctx, s.pool, intentID)
	if errors.Is(err, pgx.ErrNoRows) {
		return ignored("is about a payment that is not ours")
	}
	if err != nil {
		return payment.News{}, fmt.Errorf("look for a charge: %w", err)
	}
	return payment.News{Charge: &id, Look: look}, nil
}

// signed returns an event that one of our secrets has signed a short while ago.
func (s *Stripe) signed(body []byte, signature string) (api.Event, error) {
	for _, secret := range *s.secrets.Load() {
		// What version of Stripe's API an event is in does not matter to us, who ask in our own.
		o := webhook.ConstructEventOptions{Tolerance: tolerance, IgnoreAPIVersionMismatch: true}
		if err := webhook.ValidatePayloadWithTolerance(body, signature, secret, tolerance); err != nil {
			continue
		}
		event, err := webhook.ConstructEventWithOptions(body, signature, secret, o)
		if err != nil {
			return api.Event{}, nil // signed, and not an event: of no account, and about nothing
		}
		return event, nil
	}
	return api.Event{}, payment.ErrNotSigned
}

// Look answers what the shop's people should know of a charge that has succeeded.
func (s *Stripe) Look(ctx context.Context, id pgdb.ID) ([]payment.Attention, error) {
	charge, err := s.charge(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && charge.IntentID == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var intent *api.PaymentIntent
	if err := s.do(ctx, "read a PaymentIntent with its charge", func() (err error) {
		params := &api.PaymentIntentRetrieveParams{}
		params.AddExpand("latest_charge")
		intent, err = s.client.V1PaymentIntents.Retrieve(ctx, *charge.IntentID, params)
		return err
	}); err != nil {
		return nil, err
	}
	var found []payment.Attention
	// A sum of amounts is as divisible as they are.
	ours, err := s.q.StripeRefundSum(ctx, s.pool, id)
	if err != nil {
		return nil, fmt.Errorf("sum up refunds: %w", err)
	}
	asked, err := amountOf(ours, charge.Currency)
	if err != nil {
		return nil, err
	}
	if intent.LatestCharge != nil && intent.LatestCharge.AmountRefunded > asked {
		found = append(found, payment.RefundedElsewhere)
	}
	disputes, err := s.disputes(ctx, *charge.IntentID)
	return append(found, disputes...), err
}

func (s *Stripe) disputes(ctx context.Context, intentID string) (found []payment.Attention, err error) {
	err = s.do(ctx, "list disputes", func() error {
		for dispute, err := range s.client.V1Disputes.List(ctx, &api.DisputeListParams{PaymentIntent: api.String(intentID)}).All(ctx) {
			if err != nil {
				return err
			}
			switch dispute.Status {
			case api.DisputeStatusLost:
				found = append(found, payment.DisputeLost)
			case api.DisputeStatusWon, api.DisputeStatusWarningClosed, api.DisputeStatusPrevented:
			default:
				found = append(found, payment.Disputed)
			}
		}
		return nil
	})
	return found, err
}
