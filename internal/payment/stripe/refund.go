package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	api "github.com/stripe/stripe-go/v86"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

const (
	// lostAfter is how long after a refund was begun Stripe is asked with another key, if it has none that is ours: with the first it may repeat an error that it has
	// kept for a day.
	lostAfter = time.Minute
	// againAfter is how long after a refund was begun it is begun anew, if it has failed: what its bank does not take now it does not take a minute later.
	againAfter = time.Hour
)

// Refund gives back part of a charge. Errors: ErrAmount, ErrRefundNotSucceeded, ErrRefundTooMuch, ErrRefundDiffers, ErrRefundPending, ErrRefundFailed, *Refused.
func (s *Stripe) Refund(ctx context.Context, refundID, chargeID pgdb.ID, amount int64) error {
	if amount < 0 {
		return payment.ErrAmount
	}
	charge, err := s.charge(ctx, chargeID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && charge.IntentID == nil {
		return payment.ErrRefundNotSucceeded
	}
	if err != nil {
		return err
	}
	asked, err := amountOf(amount, charge.Currency)
	if err != nil {
		return err
	}
	inserted, err := s.q.StripeRefundInsert(ctx, s.pool, dbsqlc.StripeRefundInsertParams{RefundID: refundID, ChargeID: chargeID, AmountMinor: amount})
	if err != nil {
		return fmt.Errorf("record a refund: %w", err)
	}
	row, err := s.q.StripeRefundByID(ctx, s.pool, refundID)
	if err != nil {
		return fmt.Errorf("read a refund: %w", err)
	}
	if row.StripeRefund.ChargeID != chargeID || row.StripeRefund.AmountMinor != amount {
		return payment.ErrRefundDiffers
	}
	age := time.Duration(row.AgeSeconds * float64(time.Second))
	known, err := s.knownRefund(ctx, row.StripeRefund, *charge.IntentID, inserted == 1)
	if err != nil {
		return err
	}
	again := known == nil && age > lostAfter
	if known != nil {
		state := refundState(known)
		if again = state == payment.Failed && age > againAfter; !again {
			return refundError(state)
		}
	}
	attempt := row.StripeRefund.Attempt
	if again {
		n, err := s.q.StripeRefundAgain(ctx, s.pool, dbsqlc.StripeRefundAgainParams{RefundID: refundID, Attempt: attempt})
		if err != nil {
			return fmt.Errorf("begin a refund anew: %w", err)
		}
		if n == 0 {
			return payment.ErrRefundPending // somebody else has, at this moment
		}
		attempt++
	}
	made, err := s.makeRefund(ctx, refundID, *charge.IntentID, asked, attempt)
	if err != nil {
		return err
	}
	return refundError(refundState(made))
}

// knownRefund asks Stripe about a refund that was begun. Nil: there is none, as far as Stripe knows.
func (s *Stripe) knownRefund(ctx context.Context, r dbsqlc.StripeRefund, intentID string, isNew bool) (known *api.Refund, err error) {
	if isNew {
		return nil, nil
	}
	if r.StripeRefundID != nil {
		err = s.do(ctx, "read a refund", func() (err error) {
			known, err = s.client.V1Refunds.Retrieve(ctx, *r.StripeRefundID, nil)
			return err
		})
		return known, err
	}
	// Its call was not answered, or somebody is making it at this moment.
	err = s.do(ctx, "list refunds", func() error {
		params := &api.RefundListParams{PaymentIntent: api.String(intentID)}
		params.Limit = api.Int64(100)
		for refund, err := range s.client.V1Refunds.List(ctx, params).All(ctx) {
			if err != nil {
				return err
			}
			if refund.Metadata["refund_id"] == r.RefundID.String() && refundState(refund) != payment.Failed {
				known = refund
				return nil
			}
		}
		return nil
	})
	if err != nil || known == nil {
		return nil, err
	}
	return known, s.refundMade(ctx, r.RefundID, r.Attempt, known.ID)
}

func (s *Stripe) makeRefund(ctx context.Context, refundID pgdb.ID, intentID string, amount int64, attempt int32) (made *api.Refund, err error) {
	params := &api.RefundCreateParams{
		PaymentIntent: api.String(intentID), Amount: &amount,
		Metadata: map[string]string{"refund_id": refundID.String()},
	}
	params.SetIdempotencyKey("lastunit-refund-" + refundID.String() + "-" + strconv.Itoa(int(attempt)))
	err = s.do(ctx, "make a refund", func() (err error) {
		made, err = s.client.V1Refunds.Create(ctx, params)
		return err
	})
	var t *Trouble
	if errors.As(err, &t) && t.Status == http.StatusBadRequest {
		if t.Code == string(api.ErrorCodeChargeAlreadyRefunded) || t.Param == "amount" {
			return nil, fmt.Errorf("%w: %w", payment.ErrRefundTooMuch, err)
		}
		if t.Code == string(api.ErrorCodePaymentIntentUnexpectedState) {
			return nil, payment.ErrRefundNotSucceeded
		}
	}
	if err != nil {
		return nil, err
	}
	return made, s.refundMade(ctx, refundID, attempt, made.ID)
}

func (s *Stripe) refundMade(ctx context.Context, refundID pgdb.ID, attempt int32, stripeID string) error {
	_, err := s.q.StripeRefundMade(ctx, s.pool, dbsqlc.StripeRefundMadeParams{RefundID: refundID, Attempt: attempt, StripeRefundID: stripeID})
	if err != nil {
		return fmt.Errorf("record a refund of Stripe's: %w", err)
	}
	return nil
}

func refundState(r *api.Refund) payment.State {
	switch r.Status {
	case api.RefundStatusSucceeded:
		return payment.Succeeded
	case api.RefundStatusFailed, api.RefundStatusCanceled:
		return payment.Failed
	}
	return payment.Pending
}

func refundError(state payment.State) error {
	switch state {
	case payment.Succeeded:
		return nil
	case payment.Failed:
		return payment.ErrRefundFailed
	}
	return payment.ErrRefundPending
}

// AskRefund answers what became of a refund.
func (s *Stripe) AskRefund(ctx context.Context, refundID pgdb.ID) (payment.State, error) {
	row, err := s.q.StripeRefundByID(ctx, s.pool, refundID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.StripeRefund.StripeRefundID == nil {
		return payment.NotSeen, nil
	}
	if err != nil {
		return "", fmt.Errorf("read a refund: %w", err)
	}
	known, err := s.knownRefund(ctx, row.StripeRefund, "", false)
	if err != nil {
		return "", err
	}
	return refundState(known), nil
}
