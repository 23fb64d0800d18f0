package httpapi

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	claimText = "Holds units for the buyer, all that were asked for or none, and answers when that is on disk. It goes behind the requests for the " +
		"product that were accepted before it, and is decided within 5 seconds; a store that can't is `busy`, and then nothing happened.\n\n" +
		"A replay (the same `Idempotency-Key`) shows the transaction as it now is. A refusal is not stored, and its key stays free.\n\n" +
		claimSaleText +
		"It shares its keys with `POST /api/v1/order/addToCart`. A replay of what was sent there waits up to 5 seconds for the turn: 201 when the units are held, " +
		"202 when they are not yet, the problem if it was refused."
	claimQueuedText = "Accepts the request, which is then on disk, and answers 202 at once: whoever is accepted first is served first. What became of it is " +
		"told by the transaction, at `Location`: ask again after `Retry-After`, with `wait`, or watch its events. What needs no stock to be decided (an " +
		"unknown product, one that is off sale or sold out for good, a sale that is not open, paused or over, a limit that is reached) is answered at once " +
		"and not stored.\n\n" +
		"`Prefer: wait=N` waits up to N seconds (at most 30) for the turn: 201 when the units are held, the problem when there were none, 202 when the turn " +
		"has not come by then; `Preference-Applied` confirms it.\n\n" +
		claimSaleText +
		"It shares its keys with `POST /order/addToCart`. A replay shows the transaction as it now is: 202 while it is queued, 201 once it is held, the problem if it was refused."
	claimSaleText = "With `sale_id` the units come through that sale and no other. Without it they come through the sale that is open for the product, if there is one " +
		"and it has units, else normally, at the product's price; a product that a scheduled sale keeps for itself is `sale-not-open` until then. " +
		"The sale decides the price, the length of the hold, how many one claim and one buyer may have, and the pause after an expired hold.\n\n"
	extendText           = "By so many seconds, from its `expires_at` on. In all a hold lasts at most as long as the store is set up for (1 hour), from when it was made."
	getTransactionText   = "As it now is. `wait` waits for so many seconds while the transaction is queued. A hold that has lapsed shows as expired."
	watchTransactionText = "Server-sent events: `transaction`, with the transaction as its data, now, when its position has changed (at most once a second), and at " +
		"once when it is no longer queued, which is the last. Comments keep the connection open. An event's id stands for what it says: with `Last-Event-ID` " +
		"nothing is told twice, and the answer is 204 when there is no more to come. A stream that ends earlier is to be opened again.\n\n" +
		"A browser's `EventSource` can't send `Authorization`: read the stream with `fetch`."
	releaseText = "The units can be claimed by others at once. A queued request is cancelled. What has already been released, has expired or was refused stays as it " +
		"is, and that is no error."
)

// ClaimInput is a claim as it is sent.
type ClaimInput struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" doc:"Makes it safe to send the request again: the same key makes one transaction."`
	Body           ClaimBody
}

// ClaimBody is what a buyer wants.
type ClaimBody struct {
	SKU      string  `json:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"SKU" required:"true" doc:"What to add." example:"mug-blue"`
	Quantity int     `json:"quantity" minimum:"1" maximum:"1000000" default:"1" required:"false" doc:"How many units, at most max_quantity of the sale, or outside of one the configured number (10)." example:"1"`
	SaleID   *string `json:"sale_id,omitempty" nullable:"true" format:"uuid" doc:"Through this sale and no other."`
	Notes
}

type claimQueuedInput struct {
	ClaimInput
	Prefer string `header:"Prefer" doc:"wait=N: how many seconds to wait for the answer, at most 30 (RFC 7240)." example:"wait=10"`
}

// Resolve implements huma.Resolver: preferences may come in several headers, of which huma takes the first.
func (in *claimQueuedInput) Resolve(hc huma.Context) []error {
	r, _ := humachi.Unwrap(hc)
	in.Prefer = strings.Join(r.Header.Values("Prefer"), ",")
	return nil
}

// ClaimOutput is the transaction that a claim made.
type ClaimOutput struct {
	Status     int
	Location   string `header:"Location" doc:"The transaction's address."`
	RetryAfter string `header:"Retry-After" doc:"While it is queued: seconds to wait before asking for it."`
	Replayed   string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	Body       Transaction
}

// claimQueuedOutput does not embed ClaimOutput, because huma does not find an output's body there.
type claimQueuedOutput struct {
	Status            int
	Location          string `header:"Location" doc:"The transaction's address."`
	RetryAfter        string `header:"Retry-After" doc:"While it is queued: seconds to wait before asking for it."`
	Replayed          string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	PreferenceApplied string `header:"Preference-Applied" doc:"wait=N, as it was applied."`
	Body              Transaction
}

func (in *ClaimInput) request(ctx context.Context) (r shop.ClaimRequest, err error) {
	r = shop.ClaimRequest{Buyer: callerOf(ctx).buyer, SKU: in.Body.SKU, Quantity: in.Body.Quantity, Key: in.IdempotencyKey}
	if r.SaleID, err = optionalID("body.sale_id", in.Body.SaleID); err != nil {
		return r, err
	}
	r.Reference, r.Metadata, err = in.Body.read()
	return r, err
}

func (a *api) claim(ctx context.Context, in *ClaimInput) (*ClaimOutput, error) {
	r, err := in.request(ctx)
	if err != nil {
		return nil, err
	}
	c, err := a.decide(ctx, r)
	if err != nil {
		return nil, err
	}
	return claimOut(c)
}

func (in *claimQueuedInput) waits() time.Duration {
	seconds, _ := preferredWait(in.Prefer)
	return time.Duration(seconds) * time.Second
}

func (a *api) claimQueued(ctx context.Context, in *claimQueuedInput) (*claimQueuedOutput, error) {
	r, err := in.request(ctx)
	if err != nil {
		return nil, err
	}
	seconds, waits := preferredWait(in.Prefer)
	c, err := a.shop.Enqueue(ctx, r, in.waits())
	if err != nil {
		return nil, err
	}
	applied := ""
	if waits {
		applied = "wait=" + strconv.Itoa(seconds)
	}
	out, err := claimOut(c)
	if err != nil {
		return nil, withHeader(err, "Preference-Applied", applied)
	}
	return &claimQueuedOutput{
		Status: out.Status, Location: out.Location, RetryAfter: out.RetryAfter, Replayed: out.Replayed, PreferenceApplied: applied, Body: out.Body,
	}, nil
}

// claimOut answers with a transaction as it now is. One that was refused is a problem, which says where it is.
func claimOut(c shop.Claimed) (*ClaimOutput, error) {
	out := &ClaimOutput{
		Status:   http.StatusCreated,
		Location: "/api/v1/transaction/" + c.Transaction.ID.String(),
		Replayed: replayedHeader(c.Replayed),
		Body:     transactionOut(c.Transaction),
	}
	switch c.Transaction.Status {
	case shop.Queued:
		out.Status, out.RetryAfter = http.StatusAccepted, "1"
	case shop.Refused:
		err := withHeader(problemOf(c.Transaction.Refusal), "Location", out.Location)
		return nil, withHeader(err, "Idempotency-Replayed", out.Replayed)
	}
	return out, nil
}

// describeQueued completes the document of an operation that may answer 202.
func describeQueued(o *huma.Operation) {
	held, queued, refused := o.Responses["201"], o.Responses["202"], o.Responses["409"]
	held.Description = "Decided: the transaction holds its units. A replay shows what has become of it since."
	queued.Description = "Accepted: the transaction is queued."
	delete(held.Headers, "Retry-After")
	queued.Headers["Retry-After"] = retryAfter("Seconds to wait before asking for the transaction.")
	maps.Copy(refused.Headers, held.Headers) // of the transaction, when it was refused in its turn
}

// withHeader adds a header to a problem, if it has a value.
func withHeader(err error, name, value string) error {
	var p *Problem
	if value != "" && errors.As(err, &p) {
		p.headers.Set(name, value)
	}
	return err
}

// preferredWait reads wait=N out of a Prefer header, capped at 30. Of several the first counts, and a preference that is not understood is
// ignored (RFC 7240, section 2).
func preferredWait(header string) (seconds int, ok bool) {
	for preference := range strings.SplitSeq(header, ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		if strings.EqualFold(strings.TrimSpace(name), "wait") {
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 63)
			if err != nil {
				return 0, false
			}
			return int(min(n, 30)), true
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

func (in *getTransactionInput) waits() time.Duration { return time.Duration(in.Wait) * time.Second }

func (a *api) getTransaction(ctx context.Context, in *getTransactionInput) (*transactionOutput, error) {
	id, err := shop.ParseID("transaction", in.ID)
	if err != nil {
		return nil, err
	}
	t, err := a.shop.Await(ctx, callerOf(ctx).buyer, id, in.waits())
	if err != nil {
		return nil, err
	}
	return &transactionOutput{Body: transactionOut(t)}, nil
}

type extendInput struct {
	ID string `path:"id" doc:"The transaction, which is held." example:"019b1234-5678-7abc-8def-0123456789ab"`
	Keyed
	Body ExtendBody
}

// ExtendBody says how much longer a hold is to last.
type ExtendBody struct {
	Seconds int `json:"seconds" required:"true" minimum:"1" maximum:"86400" doc:"How much longer." example:"120"`
}

type extendOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key did it."`
	Body     Transaction
}

func (a *api) extend(ctx context.Context, in *extendInput) (*extendOutput, error) {
	id, err := shop.ParseID("transaction", in.ID)
	if err != nil {
		return nil, err
	}
	t, replayed, err := a.shop.Extend(ctx, callerOf(ctx).buyer, id, time.Duration(in.Body.Seconds)*time.Second, operatorOf(ctx, in.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	return &extendOutput{Replayed: replayedHeader(replayed), Body: transactionOut(t)}, nil
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
