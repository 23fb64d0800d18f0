package httpapi

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	createWebhookText = "Events that happen from now on are sent to `url`, signed as Standard Webhooks says (https://www.standardwebhooks.com) with `secret`, which is shown this once. The receiver " +
		"answers 2xx within 10 s when it has taken one; 410 disables the webhook; whatever else it answers, it is sent the event again, after longer and longer pauses, for three days. An event may come more than once, " +
		"and not in order: `webhook-id` is the event's id, and the same each time. There can be 100 webhooks. See docs/webhooks.md."
	changeWebhookText  = "Changes what is sent and leaves the rest as it is. One that is disabled is sent nothing and misses what happens meanwhile, which can be replayed; what was pending goes on when it is enabled again."
	deleteWebhookText  = "With its secrets and its log. What is being sent at this moment may still arrive."
	rotateWebhookText  = "Answers with the new secret, which is shown this once. For 24 hours everything is signed with the new one and the old one, so that the receiver can be changed at any time within them."
	testWebhookText    = "Sends an event of the type `webhook.test`, which tells of nothing and is in no list of events, to this webhook alone. What came of it is in its log."
	replayEventText    = "Sends an event to this webhook, whether it was sent before or not, with the same `webhook-id`. What came of it is in the log."
	listDeliveriesText = "What was sent to the webhook or is to be, the newest first, with what came of each attempt. What is at its end is kept for 30 days. " +
		"`given_up`: it was not taken for three days; it can be replayed."
)

// Webhook is somebody whom events are sent to.
type Webhook struct {
	ID             string      `json:"id" format:"uuid"`
	URL            string      `json:"url" format:"uri"`
	EventTypes     []eventType `json:"event_types" nullable:"false" doc:"Empty: all."`
	Description    string      `json:"description"`
	Enabled        bool        `json:"enabled"`
	DisabledReason *string     `json:"disabled_reason" doc:"Why lastunit disabled it by itself; null: it did not."`
	CreatedAt      time.Time   `json:"created_at"`
}

// WebhookWithSecret is a webhook that was just made.
type WebhookWithSecret struct {
	Webhook
	Secret string `json:"secret" doc:"What is sent is signed with it. Empty when the answer is repeated after it has ended." example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="`
}

// WebhookPage is a page of webhooks.
type WebhookPage struct {
	Items      []Webhook `json:"items" nullable:"false"`
	NextCursor *string   `json:"next_cursor" doc:"Where the next page begins; null on the last."`
}

// WebhookSecret is a new secret.
type WebhookSecret struct {
	Secret string `json:"secret" doc:"What is sent is signed with it from now on. Empty when the answer is repeated after it has ended."`
}

// Delivery is an event on its way to a webhook.
type Delivery struct {
	ID            string            `json:"id" format:"uuid"`
	EventID       string            `json:"event_id" format:"uuid" doc:"The receiver sees it as webhook-id."`
	EventType     string            `json:"event_type" example:"order.paid"`
	AskedFor      bool              `json:"asked_for" doc:"Whether it is a replay or a test."`
	Status        string            `json:"status" enum:"pending,delivered,given_up"`
	NextAttemptAt *time.Time        `json:"next_attempt_at" doc:"While it is pending."`
	CreatedAt     time.Time         `json:"created_at"`
	Attempts      []DeliveryAttempt `json:"attempts" nullable:"false"`
}

// DeliveryAttempt is what came of sending once.
type DeliveryAttempt struct {
	At             time.Time `json:"at"`
	ResponseStatus *int      `json:"response_status" doc:"null: there was no answer."`
	ResponseBody   string    `json:"response_body" doc:"How the answer begins: 1 KiB."`
	Error          *string   `json:"error" doc:"Why there was no answer."`
	TookMS         int64     `json:"took_ms"`
}

// DeliveryPage is a page of deliveries.
type DeliveryPage struct {
	Items      []Delivery `json:"items" nullable:"false"`
	NextCursor *string    `json:"next_cursor" doc:"Where the next page begins; null on the last."`
}

func webhookOut(w shop.Webhook) Webhook {
	out := Webhook{ID: w.ID.String(), URL: w.URL, EventTypes: []eventType{}, Description: w.Description, Enabled: w.Enabled, CreatedAt: w.CreatedAt.UTC()}
	for _, t := range w.EventTypes {
		out.EventTypes = append(out.EventTypes, eventType(t))
	}
	if w.DisabledReason != "" {
		out.DisabledReason = &w.DisabledReason
	}
	return out
}

func deliveryOut(d shop.WebhookDelivery) Delivery {
	out := Delivery{
		ID: d.ID.String(), EventID: d.EventID.String(), EventType: string(d.EventType), AskedFor: d.AskedFor, Status: string(d.Status), NextAttemptAt: utc(d.DueAt),
		CreatedAt: d.CreatedAt.UTC(), Attempts: []DeliveryAttempt{},
	}
	for _, a := range d.Attempts {
		one := DeliveryAttempt{At: a.At.UTC(), ResponseBody: a.Body, TookMS: a.Took.Milliseconds()}
		if a.Status != 0 {
			one.ResponseStatus = &a.Status
		}
		if a.Error != "" {
			one.Error = &a.Error
		}
		out.Attempts = append(out.Attempts, one)
	}
	return out
}

func shopTypes(types []eventType) []shop.EventType {
	out := make([]shop.EventType, len(types))
	for i, t := range types {
		out[i] = shop.EventType(t)
	}
	return out
}

// WebhookBody subscribes.
type WebhookBody struct {
	URL         string      `json:"url" required:"true" minLength:"1" maxLength:"2000" doc:"Where to send: https, and a public address." example:"https://shop.example.com/lastunit"`
	EventTypes  []eventType `json:"event_types,omitempty" maxItems:"100" doc:"Only these; without any, all."`
	Description string      `json:"description,omitempty" maxLength:"200" example:"the shop's stock"`
	Enabled     *bool       `json:"enabled,omitempty" default:"true"`
}

type createWebhookInput struct {
	Keyed
	Body WebhookBody
}

type webhookMade struct {
	Location string `header:"Location" doc:"The webhook's address."`
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	Body     WebhookWithSecret
}

func (a *api) createWebhook(ctx context.Context, in *createWebhookInput) (*webhookMade, error) {
	b := in.Body
	w, secret, replayed, err := a.shop.CreateWebhook(ctx, operatorOf(ctx, in.IdempotencyKey), shop.WebhookTerms{
		URL: b.URL, EventTypes: shopTypes(b.EventTypes), Description: b.Description, Enabled: b.Enabled == nil || *b.Enabled,
	})
	if err != nil {
		return nil, err
	}
	return &webhookMade{Location: "/api/v1/webhooks/" + w.ID.String(), Replayed: replayedHeader(replayed), Body: WebhookWithSecret{webhookOut(w), secret}}, nil
}

type listWebhooksOutput struct{ Body WebhookPage }

func (a *api) listWebhooks(ctx context.Context, in *Paged) (*listWebhooksOutput, error) {
	after, err := in.id()
	if err != nil {
		return nil, err
	}
	all, more, err := a.shop.Webhooks(ctx, after, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listWebhooksOutput{Body: WebhookPage{Items: make([]Webhook, len(all))}}
	for i, w := range all {
		out.Body.Items[i] = webhookOut(w)
	}
	if more {
		out.Body.NextCursor = idCursor(all[len(all)-1].ID)
	}
	return out, nil
}

// WebhookPath is the webhook in an address.
type WebhookPath struct {
	ID string `path:"id" doc:"The webhook." example:"019b1234-5678-7abc-8def-0123456789ab"`
}

type webhookOutput struct{ Body Webhook }

func (a *api) getWebhook(ctx context.Context, in *WebhookPath) (*webhookOutput, error) {
	id, err := shop.ParseID("webhook", in.ID)
	if err != nil {
		return nil, err
	}
	w, err := a.shop.Webhook(ctx, id)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{Body: webhookOut(w)}, nil
}

// WebhookPatch is what is to change of a webhook.
type WebhookPatch struct {
	URL         *string      `json:"url,omitempty" minLength:"1" maxLength:"2000" example:"https://shop.example.com/lastunit"`
	EventTypes  *[]eventType `json:"event_types,omitempty" maxItems:"100" doc:"Empty: all."`
	Description *string      `json:"description,omitempty" maxLength:"200"`
	Enabled     *bool        `json:"enabled,omitempty"`
}

type changeWebhookInput struct {
	WebhookPath
	Keyed
	Body WebhookPatch
}

type webhookChanged struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key did it."`
	Body     Webhook
}

func (a *api) changeWebhook(ctx context.Context, in *changeWebhookInput) (*webhookChanged, error) {
	id, err := shop.ParseID("webhook", in.ID)
	if err != nil {
		return nil, err
	}
	p := shop.WebhookPatch{URL: in.Body.URL, Description: in.Body.Description, Enabled: in.Body.Enabled}
	if in.Body.EventTypes != nil {
		p.EventTypes = ptr(shopTypes(*in.Body.EventTypes))
	}
	w, replayed, err := a.shop.ChangeWebhook(ctx, operatorOf(ctx, in.IdempotencyKey), id, p)
	if err != nil {
		return nil, err
	}
	return &webhookChanged{Replayed: replayedHeader(replayed), Body: webhookOut(w)}, nil
}

func (a *api) deleteWebhook(ctx context.Context, in *WebhookPath) (*struct{}, error) {
	id, err := shop.ParseID("webhook", in.ID)
	if err != nil {
		return nil, err
	}
	return nil, a.shop.DeleteWebhook(ctx, id)
}

type onWebhookInput struct {
	WebhookPath
	Keyed
}

type webhookSecretOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key did it."`
	Body     WebhookSecret
}

func (a *api) rotateWebhookSecret(ctx context.Context, in *onWebhookInput) (*webhookSecretOutput, error) {
	id, err := shop.ParseID("webhook", in.ID)
	if err != nil {
		return nil, err
	}
	secret, replayed, err := a.shop.RotateWebhookSecret(ctx, operatorOf(ctx, in.IdempotencyKey), id)
	if err != nil {
		return nil, err
	}
	return &webhookSecretOutput{Replayed: replayedHeader(replayed), Body: WebhookSecret{secret}}, nil
}

type deliveryOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key did it."`
	Body     Delivery
}

func deliveryAskedFor(d shop.WebhookDelivery, replayed bool, err error) (*deliveryOutput, error) {
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{Replayed: replayedHeader(replayed), Body: deliveryOut(d)}, nil
}

func (a *api) testWebhook(ctx context.Context, in *onWebhookInput) (*deliveryOutput, error) {
	id, err := shop.ParseID("webhook", in.ID)
	if err != nil {
		return nil, err
	}
	return deliveryAskedFor(a.shop.TestWebhook(ctx, operatorOf(ctx, in.IdempotencyKey), id))
}

// ReplayBody names what to send once more.
type ReplayBody struct {
	EventID string `json:"event_id" required:"true" doc:"The event: from the log, or from GET /api/v1/events." example:"019b1234-5678-7abc-8def-0123456789ab"`
}

type replayEventInput struct {
	WebhookPath
	Keyed
	Body ReplayBody
}

func (a *api) replayEvent(ctx context.Context, in *replayEventInput) (*deliveryOutput, error) {
	id, err := shop.ParseID("webhook", in.ID)
	if err != nil {
		return nil, err
	}
	eventID, err := shop.ParseID("event", in.Body.EventID)
	if err != nil {
		return nil, err
	}
	return deliveryAskedFor(a.shop.ReplayEvent(ctx, operatorOf(ctx, in.IdempotencyKey), id, eventID))
}

type listDeliveriesInput struct {
	WebhookPath
	Paged
	EventID string `query:"event_id" format:"uuid" doc:"Only those of this event."`
	Status  string `query:"status" enum:"pending,delivered,given_up" doc:"Only these."`
}

// Resolve implements huma.Resolver.
func (*listDeliveriesInput) Resolve(hc huma.Context) []error {
	return filtersMean(hc, "event_id", "status")
}

type listDeliveriesOutput struct{ Body DeliveryPage }

func (a *api) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*listDeliveriesOutput, error) {
	id, err := shop.ParseID("webhook", in.ID)
	if err != nil {
		return nil, err
	}
	before, err := in.id()
	if err != nil {
		return nil, err
	}
	f := shop.DeliveryFilter{Status: shop.DeliveryStatus(in.Status)}
	if before != (shop.ID{}) {
		f.Before = &before
	}
	if in.EventID != "" {
		if f.EventID, err = optionalID("query.event_id", &in.EventID); err != nil {
			return nil, err
		}
	}
	all, more, err := a.shop.WebhookDeliveries(ctx, id, f, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listDeliveriesOutput{Body: DeliveryPage{Items: make([]Delivery, len(all))}}
	for i, d := range all {
		out.Body.Items[i] = deliveryOut(d)
	}
	if more {
		out.Body.NextCursor = idCursor(all[len(all)-1].ID)
	}
	return out, nil
}
