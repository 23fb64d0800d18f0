package httpapi

import (
	"cmp"
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	checkoutText = "Makes one order of holds, all or none, with the prices that they were held at: of those that `transaction_ids` names, or of the whole cart. " +
		"It is to be paid by `pay_by`; until then the units stay with it. One that is not paid by then is cancelled (`payment-overdue`), and its units can be claimed. " +
		"Lapsed holds are named by `hold-expired` and are gone from the cart then; the others stay in it. Products without a price are ordered by the shop beside, with `confirm`."
	payText = "Takes the money with the store's payment provider and answers when that is decided. The answer is the order: `paid`, or with the payment `pending` when the provider " +
		"takes its time; ask for the order later then. While a payment is under way, another call waits for it and shows what became of it.\n\n" +
		"The built-in provider `test` takes no money. Its cards: `succeed`, `decline`, `hang`, `late` (after 2 seconds), `late:20s`, `twice`.\n\n" +
		"With `stripe`, send nothing, and confirm the payment in the browser with Stripe.js and `payment.client_secret` of the answer; the order is `paid` a moment after that. Asked again while the payment is " +
		"`pending`, it answers the same secret. Or send a `payment_method`, which is confirmed at once; when its bank wants to hear from the buyer, the payment is `pending`, and " +
		"`client_secret` is for Stripe.js to go on with."
	stripeWebhookText = "Where Stripe tells of payments. Its signature (`Stripe-Signature`, over the body as it was sent, at most five minutes old) is all that it needs; of what it says nothing is believed: " +
		"Stripe is asked. So an event may come twice, late or in any order. 200 also for events that are of no interest here, of another account, or about payments that are not this store's. " +
		"404 where payments are not with Stripe."
	cancelText  = "An order that is not paid: its units can be claimed by others at once, and count no more against a limit. One that is cancelled stays so, and that is no error."
	confirmText = "The shop beside was paid: holds of one buyer become one paid order, all or none, with the provider `external`. A hold that has lapsed gets equal units if there are any; " +
		"else `hold-expired` names it, and nothing is sold. A reference confirms once: a second call shows what the first made (`Idempotency-Replayed`), with or without an Idempotency-Key."
	listOrdersText = "The newest first. A buyer sees their own."
	refundText     = "Takes units of a paid order back, all that it still has or those that `unit_ids` names, and puts each where `restock` says. What they cost is given back by the " +
		"store's payment provider; money that the shop beside took (`external`) is the shop's to give back. An order without units left is `refunded`."
)

// CheckoutBody says what to order.
type CheckoutBody struct {
	TransactionIDs []string `json:"transaction_ids,omitempty" nullable:"false" maxItems:"1000" maxLength:"100" doc:"The holds to order; none: the whole cart."`
	Notes
}

type checkoutInput struct {
	Keyed
	Body *CheckoutBody `required:"false"`
}

type orderMade struct {
	Location string `header:"Location" doc:"The order's address."`
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request made it."`
	Body     Order
}

func orderWasMade(o shop.Order, replayed bool, err error) (*orderMade, error) {
	if err != nil {
		return nil, err
	}
	return &orderMade{Location: "/api/v1/orders/" + o.ID.String(), Replayed: replayedHeader(replayed), Body: orderOut(o)}, nil
}

func (a *api) checkout(ctx context.Context, in *checkoutInput) (_ *orderMade, err error) {
	r := shop.CheckoutRequest{Buyer: callerOf(ctx).buyer, Key: in.IdempotencyKey}
	if in.Body != nil {
		if r.TransactionIDs, err = transactionIDs(in.Body.TransactionIDs); err != nil {
			return nil, err
		}
		if r.Reference, r.Metadata, err = in.Body.read(); err != nil {
			return nil, err
		}
	}
	return orderWasMade(a.shop.Checkout(ctx, r))
}

// ConfirmBody says what the shop beside was paid for.
type ConfirmBody struct {
	TransactionIDs []string `json:"transaction_ids" required:"true" nullable:"false" minItems:"1" maxItems:"1000" maxLength:"100" doc:"The holds, of one buyer."`
	Reference      string   `json:"reference" required:"true" minLength:"1" maxLength:"200" doc:"The shop's own name of the order, which confirms once." example:"order 4711"`
	Metadata       object   `json:"metadata,omitempty" doc:"An object that means nothing to lastunit and is given back as it is: at most 4 KiB."`
}

type confirmInput struct {
	Keyed
	Body ConfirmBody
}

func (a *api) confirm(ctx context.Context, in *confirmInput) (_ *orderMade, err error) {
	r := shop.ConfirmRequest{Operator: operatorOf(ctx, in.IdempotencyKey)}
	if r.TransactionIDs, err = transactionIDs(in.Body.TransactionIDs); err != nil {
		return nil, err
	}
	notes := Notes{Reference: &in.Body.Reference, Metadata: in.Body.Metadata}
	if r.Reference, r.Metadata, err = notes.read(); err != nil {
		return nil, err
	}
	return orderWasMade(a.shop.Confirm(ctx, r))
}

// operatorOf is the key that calls, for what is done once for each idempotency key.
func operatorOf(ctx context.Context, idempotencyKey string) shop.Operator {
	return shop.Operator{KeyID: callerOf(ctx).key.ID, Key: idempotencyKey}
}

// OrderPath is the order in an address.
type OrderPath struct {
	ID string `path:"id" doc:"The order." example:"019b1234-5678-7abc-8def-0123456789ab"`
}

type orderChanged struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key did it."`
	Body     Order
}

func orderHasChanged(o shop.Order, replayed bool, err error) (*orderChanged, error) {
	if err != nil {
		return nil, err
	}
	return &orderChanged{Replayed: replayedHeader(replayed), Body: orderOut(o)}, nil
}

// PayBody is what a buyer pays with.
type PayBody struct {
	Card          string `json:"card,omitempty" minLength:"1" maxLength:"200" doc:"With the provider test: what it calls a card. It is kept nowhere." example:"succeed"`
	PaymentMethod string `json:"payment_method,omitempty" minLength:"1" maxLength:"200" doc:"With the provider stripe: a PaymentMethod of Stripe's, which is confirmed at once; left out when the buyer's browser confirms. It is kept nowhere."`
}

type payInput struct {
	OrderPath
	Keyed
	Body *PayBody `required:"false"`
}

func (a *api) pay(ctx context.Context, in *payInput) (*orderChanged, error) {
	id, err := shop.ParseID("order", in.ID)
	if err != nil {
		return nil, err
	}
	var card string
	if in.Body != nil {
		card = cmp.Or(in.Body.Card, in.Body.PaymentMethod)
		if in.Body.Card != "" && in.Body.PaymentMethod != "" {
			return nil, invalid("body.payment_method", "must be left out when card is sent")
		}
	}
	return orderHasChanged(a.shop.Pay(ctx, callerOf(ctx).buyer, id, card, in.IdempotencyKey))
}

type stripeWebhookInput struct {
	Signature string `header:"Stripe-Signature" maxLength:"4096" doc:"Stripe's signature over the body."`
	RawBody   []byte `contentType:"application/json"`
}

// Heard says what was made of what a payment provider told. Stripe shows it beside the event.
type Heard struct {
	Ignored *string `json:"ignored" doc:"Why there was nothing to ask Stripe about; null also for events that are of no interest here."`
}

type stripeWebhookOutput struct{ Body Heard }

func (a *api) stripeWebhook(ctx context.Context, in *stripeWebhookInput) (*stripeWebhookOutput, error) {
	ignored, err := a.shop.PaymentNews(ctx, in.RawBody, in.Signature)
	if err != nil {
		return nil, err
	}
	if ignored != "" {
		a.log.Info("what the payment provider told was ignored", "why", ignored, "request_id", requestID(ctx))
	}
	return &stripeWebhookOutput{Body: Heard{Ignored: textOut(ignored)}}, nil
}

type cancelInput struct {
	OrderPath
	Keyed
}

func (a *api) cancel(ctx context.Context, in *cancelInput) (*orderChanged, error) {
	id, err := shop.ParseID("order", in.ID)
	if err != nil {
		return nil, err
	}
	return orderHasChanged(a.shop.CancelOrder(ctx, callerOf(ctx).buyer, id, in.IdempotencyKey))
}

// RefundBody says which units come back, and where they go.
type RefundBody struct {
	UnitIDs []string `json:"unit_ids,omitempty" nullable:"false" minItems:"1" maxItems:"1000" format:"uuid" doc:"Units of the order; left out: all that it still has."`
	Restock string   `json:"restock" required:"true" enum:"available,quarantine,write_off" doc:"Where they go: to sale again, to be looked at first, or out for good."`
}

type refundInput struct {
	OrderPath
	Keyed
	Body RefundBody
}

func (a *api) refund(ctx context.Context, in *refundInput) (*orderChanged, error) {
	id, err := shop.ParseID("order", in.ID)
	if err != nil {
		return nil, err
	}
	units, err := unitIDs(in.Body.UnitIDs)
	if err != nil {
		return nil, err
	}
	return orderHasChanged(a.shop.Refund(ctx, shop.RefundRequest{
		OrderID: id, UnitIDs: units, Restock: shop.Restock(in.Body.Restock), Operator: operatorOf(ctx, in.IdempotencyKey),
	}))
}

// ownersBuyer is the buyer whose orders the caller may see; nil: everybody's.
func ownersBuyer(ctx context.Context) *string { return textOut(callerOf(ctx).buyer) }

type orderOutput struct{ Body Order }

func (a *api) getOrder(ctx context.Context, in *OrderPath) (*orderOutput, error) {
	id, err := shop.ParseID("order", in.ID)
	if err != nil {
		return nil, err
	}
	o, err := a.shop.Order(ctx, ownersBuyer(ctx), id)
	if err != nil {
		return nil, err
	}
	return &orderOutput{Body: orderOut(o)}, nil
}

// OrderFilter says which orders are asked for.
type OrderFilter struct {
	Reference string    `query:"reference" maxLength:"200" doc:"Only those with this reference."`
	State     string    `query:"state" enum:"awaiting_payment,paid,cancelled,refunded" doc:"Only those with this status."`
	Buyer     string    `query:"buyer" maxLength:"128" doc:"Only this buyer's; not for buyers."`
	Sale      string    `query:"sale" format:"uuid" doc:"Only those with units of this sale."`
	Since     time.Time `query:"since" doc:"Only those that were made then or later (RFC 3339)." example:"2026-12-12T11:00:00Z"`
	Until     time.Time `query:"until" doc:"Only those that were made before (RFC 3339)." example:"2026-12-12T12:00:00Z"`
}

var orderFilters = []string{"reference", "state", "buyer", "sale", "since", "until"}

// filter is what the caller may see of what is asked for. Refusals: Forbidden, Validation.
func (in OrderFilter) filter(ctx context.Context) (f shop.OrderFilter, err error) {
	f = shop.OrderFilter{Buyer: ownersBuyer(ctx), Reference: textOut(in.Reference), Status: shop.OrderStatus(in.State)}
	if in.Buyer != "" {
		if f.Buyer != nil {
			return f, forbidden("Only a key with the scope order may ask for other buyers' orders. Leave buyer out: you are shown your own.")
		}
		f.Buyer = &in.Buyer
	}
	if id, err := shop.ParseID("sale", in.Sale); err == nil {
		f.SaleID = &id
	} else if in.Sale != "" {
		return f, invalid("query.sale", "must be the id of a sale: a UUID")
	}
	if !in.Since.IsZero() {
		f.Since = &in.Since
	}
	if !in.Until.IsZero() {
		f.Until = &in.Until
	}
	return f, nil
}

type listOrdersInput struct {
	OrderFilter
	Paged
}

// Resolve implements huma.Resolver.
func (*listOrdersInput) Resolve(hc huma.Context) []error { return filtersMean(hc, orderFilters...) }

type listOrdersOutput struct{ Body OrderPage }

func (a *api) listOrders(ctx context.Context, in *listOrdersInput) (*listOrdersOutput, error) {
	f, err := in.filter(ctx)
	if err != nil {
		return nil, err
	}
	before, err := in.id()
	if err != nil {
		return nil, err
	}
	orders, more, err := a.shop.Orders(ctx, f, before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOrdersOutput{Body: OrderPage{Items: make([]Order, len(orders))}}
	for i, o := range orders {
		out.Body.Items[i] = orderOut(o)
	}
	if more {
		out.Body.NextCursor = idCursor(orders[len(orders)-1].ID)
	}
	return out, nil
}
