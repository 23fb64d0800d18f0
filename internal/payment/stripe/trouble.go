package stripe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	api "github.com/stripe/stripe-go/v86"
)

// Trouble is an error that Stripe has answered, without what it quotes: a PaymentIntent in it would carry its secret into the log.
type Trouble struct {
	Doing     string
	Status    int
	Type      string
	Code      string
	Param     string
	RequestID string // by which Stripe finds it
}

func (t *Trouble) Error() string {
	return fmt.Sprintf("%s: Stripe answered %d %s %s %s (request %s)", t.Doing, t.Status, t.Type, t.Code, t.Param, t.RequestID)
}

// declined tells whether the buyer's means to pay were refused: a 402 with that type, or a PaymentMethod that can't be used.
func (t *Trouble) declined() bool {
	return t.Status == http.StatusPaymentRequired || t.Param == "payment_method" && t.Status == http.StatusBadRequest
}

// do makes a call to Stripe when there are not too many under way.
func (s *Stripe) do(ctx context.Context, doing string, call func() error) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	err := call()
	var answered *api.Error
	var sending *url.Error
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered):
		return &Trouble{
			Doing: doing, Status: answered.HTTPStatusCode, Type: string(answered.Type), Code: string(answered.Code), Param: answered.Param, RequestID: answered.RequestID,
		}
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case errors.As(err, &sending):
		return fmt.Errorf("%s: %w", doing, sending.Err)
	case errors.As(err, &network):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: Stripe's answer can't be read", doing) // the error would quote it
}
