package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/payment"
)

// PaymentNews reads what was sent in the name of the payment provider, with its signature, and asks the provider about what that is about: nothing of it is believed,
// so it does no harm however often and in whatever order it comes. ignored says why there was nothing to ask about, for the log; it is empty for what is of no interest.
//
// Refusals: NotFound where the provider tells nothing, Forbidden for what the provider has not signed a short while ago, Busy when it can't be asked: it is to send it again.
func (s *Shop) PaymentNews(ctx context.Context, body []byte, signature string) (ignored string, err error) {
	teller, tells := s.o.Provider.(payment.Teller)
	if !tells {
		return "", &Refusal{Code: NotFound, Detail: "This store's payment provider sends nothing here. Start it with --payment stripe, or take the address out of Stripe's webhooks."}
	}
	news, err := teller.Hear(ctx, body, signature)
	switch {
	case errors.Is(err, payment.ErrNotSigned):
		return "", &Refusal{Code: Forbidden, Detail: "The signature is not that of this store's payment provider, or is more than five minutes old. Compare the webhook's signing secret with stripe-webhook-secret."}
	case err != nil:
		return "", explain("hear of payments", err)
	case news.Charge != nil:
		err = s.chargeNews(ctx, teller, *news.Charge, news.Look)
	case news.Refund != nil:
		err = s.refundNews(ctx, teller, *news.Refund)
	}
	var no *Refusal
	var away *providerError
	switch {
	case errors.As(err, &no) && no.Code == NotFound:
		return "what it is about is not known here", nil
	case errors.Is(err, payment.ErrDiffers):
		return err.Error(), nil // it is written down, and the same to every question
	case errors.As(err, &away):
		return "", providerAway()
	}
	return news.Ignored, explain("ask for what the provider tells of", err)
}

// providerError is an error of the provider's, not ours.
type providerError struct{ error }

func (e *providerError) Unwrap() error { return e.error }

// fromProvider marks errors of the provider's.
func fromProvider(err error) error {
	if err == nil {
		return nil
	}
	return &providerError{err}
}

func (s *Shop) chargeNews(ctx context.Context, teller payment.Teller, id ID, look bool) error {
	p, err := s.paymentByID(ctx, id)
	if err != nil {
		return err
	}
	if p.Status == string(payment.Pending) {
		state, err := s.ask(ctx, teller.Ask, p)
		if err != nil {
			return fromProvider(err)
		}
		if err := s.recordAnswer(ctx, p, state, nil); err != nil {
			return err
		}
	}
	if !look {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, s.o.PayTimeout)
	defer cancel()
	found, err := teller.Look(asking, id)
	if err != nil {
		return fromProvider(err)
	}
	_, err = s.attend(ctx, id, map[payment.Attention]bool{
		payment.Disputed:          slices.Contains(found, payment.Disputed),
		payment.DisputeLost:       slices.Contains(found, payment.DisputeLost),
		payment.RefundedElsewhere: slices.Contains(found, payment.RefundedElsewhere),
	})
	return err
}

func (s *Shop) paymentByID(ctx context.Context, id ID) (dbsqlc.Payment, error) {
	row, err := s.q.PaymentByID(ctx, s.pool, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return dbsqlc.Payment{}, notFound("payment")
	}
	if err != nil {
		return dbsqlc.Payment{}, fmt.Errorf("read payment: %w", err)
	}
	return row.Payment, nil
}

// refundNews asks about a refund. One that was made and has failed since, is to be made again.
func (s *Shop) refundNews(ctx context.Context, teller payment.Teller, id ID) error {
	row, err := s.q.RefundByID(ctx, s.pool, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound("refund")
	}
	if err != nil {
		return fmt.Errorf("read refund: %w", err)
	}
	asking, cancel := context.WithTimeout(ctx, s.o.PayTimeout)
	defer cancel()
	state, err := teller.AskRefund(asking, id)
	switch {
	case err != nil:
		return fromProvider(err)
	case state == payment.Succeeded:
		return s.refundMade(ctx, id, row.PaymentID)
	case state != payment.Failed:
		return nil
	}
	if _, err := s.q.RefundReopen(ctx, s.pool, id); err != nil {
		return fmt.Errorf("reopen refund: %w", err)
	}
	_, err = s.attend(ctx, row.PaymentID, map[payment.Attention]bool{payment.RefundFailed: true})
	return err
}

// refundMade writes down that money was given back.
func (s *Shop) refundMade(ctx context.Context, id, paymentID ID) error {
	n, err := s.q.RefundSettle(ctx, s.pool, id)
	if _, tells := s.o.Provider.(payment.Teller); err != nil || n == 0 || !tells {
		return err
	}
	_, err = s.attend(ctx, paymentID, map[payment.Attention]bool{payment.RefundFailed: false})
	return err
}

// noted marks an error of the provider's that was written down before, and is shown until it is gone: it needs no log any more.
type noted struct{ error }

func (n *noted) Unwrap() error { return n.error }

// notice writes down what an error of the provider's says that the shop's people should look at, and returns it, marked if it is no news. What can't be written
// down now is noticed the next time.
func (s *Shop) notice(ctx context.Context, id ID, err error) error {
	var word payment.Attention
	switch {
	case errors.Is(err, payment.ErrDiffers):
		word = payment.AmountDiffers
	case errors.Is(err, payment.ErrRefundFailed):
		word = payment.RefundFailed
	default:
		return err
	}
	if news, failed := s.attend(context.WithoutCancel(ctx), id, map[payment.Attention]bool{word: true}); news || failed != nil {
		return err
	}
	return &noted{err}
}

// worthALog drops errors of the provider's that are no trouble of its, or were written down before.
func worthALog(err error) error {
	var was *noted
	if errors.As(err, &was) || errors.Is(err, payment.ErrRefundPending) {
		return nil
	}
	return err
}

// attend writes down, and tells, what the shop's people should look at of a payment, and what no longer; news is whether that has changed anything.
func (s *Shop) attend(ctx context.Context, id ID, changes map[payment.Attention]bool) (news bool, err error) {
	err = s.inShortTx(ctx, func(tx pgx.Tx) error {
		news = false
		row, err := s.q.PaymentLock(ctx, tx, id)
		if err != nil {
			return err
		}
		words := append([]string{}, row.Payment.Attention...)
		for word, on := range changes {
			words = slices.DeleteFunc(words, func(w string) bool { return w == string(word) })
			if on {
				words = append(words, string(word))
			}
		}
		slices.Sort(words)
		if slices.Equal(words, row.Payment.Attention) {
			return nil
		}
		news = true
		if err := s.q.PaymentAttend(ctx, tx, dbsqlc.PaymentAttendParams{PaymentID: id, Attention: words}); err != nil {
			return err
		}
		p := row.Payment
		return s.tell(ctx, tx, orderNews(PaymentAttention, p.OrderID, row.Buyer, OrderStatus(row.OrderStatus), text(row.Reference), map[string]any{
			"payment_id": p.PaymentID, "attention": words, "amount": p.AmountMinor, "currency": p.Currency,
		}))
	})
	if err != nil {
		return false, fmt.Errorf("write down what needs attention: %w", err)
	}
	return news, nil
}

func attentionOf(words []string) []payment.Attention {
	all := make([]payment.Attention, len(words))
	for i, word := range words {
		all[i] = payment.Attention(word)
	}
	return all
}
