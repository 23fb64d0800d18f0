package httpapi

import (
	"context"
	"strconv"
	"strings"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	claimText = "Holds units for the buyer, all that were asked for or none, and answers when that is on disk. " +
		"It is decided within 5 seconds; a store that can't is `busy`, and then nothing happened.\n\n" +
		"A replay (the same `Idempotency-Key`) shows the transaction as it now is. A refusal is not stored, and its key stays free."
	claimQueuedText = "As `POST /order/addToCart`, which it shares its keys with. `Prefer: wait=N` says for how many seconds (at most 30) the " +
		"caller waits for the answer; `Preference-Applied` confirms it. Every request is decided at once at present, none is queued."
	getTransactionText = "As it now is. `wait` waits for so many seconds while the transaction is queued. A hold that has lapsed shows as expired."
	releaseText        = "The units can be claimed by others at once. What has already been released, has expired or was refused stays as it is, and that is no error."
)

// ClaimInput is a claim as it is sent.
type ClaimInput struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" doc:"Makes it safe to send the request again: the same key makes one transaction."`
	Body           ClaimBody
}

// ClaimBody is what a buyer wants.
type ClaimBody struct {
	SKU      string `json:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"SKU" required:"true" doc:"What to add." example:"mug-blue"`
	Quantity int    `json:"quantity" minimum:"1" maximum:"1000000" default:"1" required:"false" doc:"How many units, at most the configured number (10)." example:"1"`
}

type claimQueuedInput struct {
	ClaimInput
	Prefer string `header:"Prefer" doc:"wait=N: how many seconds to wait for the answer, at most 30 (RFC 7240)." example:"wait=10"`
}

// ClaimOutput is the transaction that a claim made.
type ClaimOutput struct {
	Location string `header:"Location" doc:"The transaction's address."`
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	Body     Transaction
}

// claimQueuedOutput does not embed ClaimOutput, because huma does not find an output's body there.
type claimQueuedOutput struct {
	Location          string `header:"Location" doc:"The transaction's address."`
	Replayed          string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	PreferenceApplied string `header:"Preference-Applied" doc:"wait=N, as it was applied."`
	Body              Transaction
}

func (a *api) claim(ctx context.Context, in *ClaimInput) (*ClaimOutput, error) {
	c, err := a.shop.Claim(ctx, shop.ClaimRequest{
		Buyer:    callerOf(ctx).buyer,
		SKU:      in.Body.SKU,
		Quantity: in.Body.Quantity,
		Key:      in.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	return &ClaimOutput{
		Location: "/api/v1/transaction/" + c.Transaction.ID.String(),
		Replayed: replayedHeader(c.Replayed),
		Body:     transactionOut(c.Transaction),
	}, nil
}

func (a *api) claimQueued(ctx context.Context, in *claimQueuedInput) (*claimQueuedOutput, error) {
	out, err := a.claim(ctx, &in.ClaimInput)
	if err != nil {
		return nil, err
	}
	applied := ""
	if seconds, ok := preferredWait(in.Prefer); ok {
		applied = "wait=" + strconv.Itoa(seconds)
	}
	return &claimQueuedOutput{Location: out.Location, Replayed: out.Replayed, PreferenceApplied: applied, Body: out.Body}, nil
}

// preferredWait reads wait=N out of a Prefer header, capped at 30; a preference that is not understood is ignored (RFC 7240, section 2).
func preferredWait(header string) (seconds int, ok bool) {
	for preference := range strings.SplitSeq(header, ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`))
		if strings.EqualFold(strings.TrimSpace(name), "wait") && err == nil && n >= 0 {
			return min(n, 30), true
		}
	}
	return 0, false
}

func replayedHeader(replayed bool) string {
	if replayed {
		return "true"
	}
	return ""
}

type getTransactionInput struct {
	ID   string `path:"id" doc:"The transaction." example:"019b1234-5678-7abc-8def-0123456789ab"`
	Wait int    `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait while it is queued."`
}

type transactionOutput struct{ Body Transaction }

func (a *api) getTransaction(ctx context.Context, in *getTransactionInput) (*transactionOutput, error) {
	id, err := shop.ParseID("transaction", in.ID)
	if err != nil {
		return nil, err
	}
	t, err := a.shop.Transaction(ctx, callerOf(ctx).buyer, id)
	if err != nil {
		return nil, err
	}
	return &transactionOutput{Body: transactionOut(t)}, nil
}

type cartOutput struct{ Body Cart }

func (a *api) getCart(ctx context.Context, _ *struct{}) (*cartOutput, error) {
	cart, err := a.shop.Cart(ctx, callerOf(ctx).buyer)
	if err != nil {
		return nil, err
	}
	return &cartOutput{Body: cartOut(cart)}, nil
}

type releaseInput struct {
	ID string `path:"transaction_id" doc:"The transaction to give back." example:"019b1234-5678-7abc-8def-0123456789ab"`
}

func (a *api) release(ctx context.Context, in *releaseInput) (*struct{}, error) {
	id, err := shop.ParseID("transaction", in.ID)
	if err != nil {
		return nil, err
	}
	_, err = a.shop.Release(ctx, callerOf(ctx).buyer, id)
	return nil, err
}
