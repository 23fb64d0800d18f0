package shop

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/webhook/address"
)

// WebhookTest is the type of the event that TestWebhook sends. It tells of nothing, is in no list of events, and goes to the one webhook alone.
const WebhookTest EventType = "webhook.test"

// SecretOverlap is how long what is sent is signed with the old secret as well, after a webhook was given a new one.
const SecretOverlap = 24 * time.Hour

const webhooksAtMost = 100

// WebhookTerms are what can be said of a webhook.
type WebhookTerms struct {
	URL         string
	EventTypes  []EventType // empty: all
	Description string
	Enabled     bool
}

// Webhook is somebody whom events are sent to.
type Webhook struct {
	ID ID
	WebhookTerms
	DisabledReason string // why it was disabled by itself; empty: it was not
	CreatedAt      time.Time
}

// WebhookPatch is what is to change of a webhook; nil: nothing of it.
type WebhookPatch struct {
	URL         *string
	EventTypes  *[]EventType
	Description *string
	Enabled     *bool
}

// checkWebhook lists everything that is wrong with the terms. Refusals: Validation.
func (s *Shop) checkWebhook(t WebhookTerms) error {
	var r complaints
	if s.o.WebhooksAnywhere {
		u, err := url.Parse(t.URL)
		r.add(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "", "body.url", "must be an http or https URL")
	} else if _, err := address.Parse(t.URL); err != nil {
		r.add(true, "body.url", err.Error())
	}
	r.add(len(t.EventTypes) > 100, "body.event_types", "must be at most 100")
	for i, kind := range t.EventTypes {
		r.add(!slices.Contains(EventTypes(), kind), fmt.Sprintf("body.event_types[%d]", i), "is no type of events")
	}
	r.add(len([]rune(t.Description)) > 200, "body.description", "must have at most 200 characters")
	return r.refusal()
}

func webhookOf(row dbsqlc.Webhook) Webhook {
	w := Webhook{
		ID: row.WebhookID, WebhookTerms: WebhookTerms{URL: row.URL, EventTypes: []EventType{}, Description: row.Description, Enabled: row.Enabled},
		DisabledReason: text(row.DisabledReason), CreatedAt: row.CreatedAt,
	}
	for _, name := range row.EventTypes {
		w.EventTypes = append(w.EventTypes, EventType(name))
	}
	return w
}

func typeNames(types []EventType) []string {
	names := make([]string, len(types))
	for i, kind := range types {
		names[i] = string(kind)
	}
	return names
}

// CreateWebhook subscribes to events that happen from now on, and returns the secret that they are signed with. A call with a key that has made a
// webhook before returns that one as it now is, with the secret it was given then if that is still good, and true. Refusals: Validation, KeyReused, Conflict when there are 100.
func (s *Shop) CreateWebhook(ctx context.Context, o Operator, t WebhookTerms) (w Webhook, secret string, replayed bool, err error) {
	if err := s.checkWebhook(t); err != nil {
		return Webhook{}, "", false, err
	}
	id := pgdb.NewID()
	id, replayed, err = s.once(ctx, o.call(), "webhook.create", t, id, func(tx pgx.Tx) error {
		n, err := s.q.WebhookInsert(ctx, tx, dbsqlc.WebhookInsertParams{
			WebhookID: id, URL: t.URL, EventTypes: typeNames(t.EventTypes), Description: t.Description, Enabled: t.Enabled, Now: s.o.Now(), RowLimit: webhooksAtMost,
		})
		switch {
		case err != nil:
			return err
		case n == 0:
			return &Refusal{Code: Conflict, State: "full", Detail: fmt.Sprintf("There are %d webhooks, and can't be more. Delete one that is no longer needed.", webhooksAtMost)}
		}
		// The first secret has the id of its webhook, so that a replay finds it.
		return s.insertSecret(ctx, tx, id, id)
	})
	if err != nil {
		return Webhook{}, "", false, explain("create webhook", err)
	}
	if w, err = s.Webhook(ctx, id); err != nil {
		return Webhook{}, "", replayed, afterwards(err)
	}
	secret, err = s.webhookSecret(ctx, id)
	return w, secret, replayed, afterwards(err)
}

func (s *Shop) insertSecret(ctx context.Context, tx pgx.Tx, webhookID, id ID) error {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return s.q.WebhookSecretInsert(ctx, tx, dbsqlc.WebhookSecretInsertParams{
		WebhookSecretID: id, WebhookID: webhookID, Secret: "whsec_" + base64.StdEncoding.EncodeToString(random[:]), Now: s.o.Now(),
	})
}

// webhookSecret is a secret; empty when it has been forgotten.
func (s *Shop) webhookSecret(ctx context.Context, id ID) (string, error) {
	secret, err := s.q.WebhookSecretRead(ctx, s.pool, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return secret, explain("read secret", err)
}

// Webhook finds a webhook. Refusals: NotFound.
func (s *Shop) Webhook(ctx context.Context, id ID) (Webhook, error) {
	row, err := s.q.WebhookRead(ctx, s.pool, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Webhook{}, notFound("webhook")
	}
	return webhookOf(row), explain("read webhook", err)
}

// Webhooks lists webhooks behind one, the oldest first, at most limit; more tells whether there are others.
func (s *Shop) Webhooks(ctx context.Context, after ID, limit int) (all []Webhook, more bool, err error) {
	rows, err := s.q.WebhookList(ctx, s.pool, dbsqlc.WebhookListParams{AfterID: after, RowLimit: int32(limit) + 1})
	if err != nil {
		return nil, false, explain("list webhooks", err)
	}
	for _, row := range rows {
		all = append(all, webhookOf(row))
	}
	if len(all) > limit {
		all, more = all[:limit], true
	}
	return all, more, nil
}

// lockWebhook reads a webhook and keeps it as it is. Refusals: NotFound.
func (s *Shop) lockWebhook(ctx context.Context, tx pgx.Tx, id ID) (Webhook, error) {
	row, err := s.q.WebhookLock(ctx, tx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Webhook{}, notFound("webhook")
	}
	return webhookOf(row), err
}

// ChangeWebhook changes a webhook. One that is disabled is sent nothing, and misses what happens meanwhile; what was pending then goes on once it is enabled.
// Refusals: Validation, NotFound, KeyReused.
func (s *Shop) ChangeWebhook(ctx context.Context, o Operator, id ID, p WebhookPatch) (Webhook, bool, error) {
	_, replayed, err := s.once(ctx, o.call(), "webhook.change", map[string]any{"webhook_id": id, "patch": p}, id, func(tx pgx.Tx) error {
		w, err := s.lockWebhook(ctx, tx, id)
		if err != nil {
			return err
		}
		set(&w.URL, p.URL)
		set(&w.EventTypes, p.EventTypes)
		set(&w.Description, p.Description)
		set(&w.Enabled, p.Enabled)
		if err := s.checkWebhook(w.WebhookTerms); err != nil {
			return err
		}
		arg := dbsqlc.WebhookUpdateParams{WebhookID: id, URL: w.URL, EventTypes: typeNames(w.EventTypes), Description: w.Description, Enabled: w.Enabled}
		if !w.Enabled {
			arg.DisabledReason = optional(w.DisabledReason)
		}
		return s.q.WebhookUpdate(ctx, tx, arg)
	})
	if err != nil {
		return Webhook{}, false, explain("change webhook", err)
	}
	w, err := s.Webhook(ctx, id)
	return w, replayed, afterwards(err)
}

// DeleteWebhook forgets a webhook, its secrets and its log. What is being sent at this moment may still arrive. Refusals: NotFound.
func (s *Shop) DeleteWebhook(ctx context.Context, id ID) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		n, err := s.q.WebhookDelete(ctx, tx, id)
		if err == nil && n == 0 {
			return notFound("webhook")
		}
		return err
	})
	return explain("delete webhook", err)
}

// RotateWebhookSecret gives a webhook a new secret, and returns it. For SecretOverlap from now on what is sent is signed with both, so that a receiver can be
// changed at any time within it. A call with a key that has done so before returns the secret it made then, or none if that is no longer good. Refusals: NotFound, KeyReused.
func (s *Shop) RotateWebhookSecret(ctx context.Context, o Operator, id ID) (secret string, replayed bool, err error) {
	secretID := pgdb.NewID()
	secretID, replayed, err = s.once(ctx, o.call(), "webhook.rotate", id, secretID, func(tx pgx.Tx) error {
		if _, err := s.lockWebhook(ctx, tx, id); err != nil {
			return err
		}
		if err := s.q.WebhookSecretDeleteExpired(ctx, tx, dbsqlc.WebhookSecretDeleteExpiredParams{WebhookID: id, Now: s.o.Now()}); err != nil {
			return err
		}
		if err := s.q.WebhookSecretExpire(ctx, tx, dbsqlc.WebhookSecretExpireParams{WebhookID: id, Now: s.o.Now(), OverlapSeconds: SecretOverlap.Seconds()}); err != nil {
			return err
		}
		return s.insertSecret(ctx, tx, id, secretID)
	})
	if err != nil {
		return "", false, explain("rotate secret", err)
	}
	secret, err = s.webhookSecret(ctx, secretID)
	return secret, replayed, afterwards(err)
}

// TestWebhook makes a delivery of a test event to one webhook. Refusals: NotFound, KeyReused, Conflict when it is disabled.
func (s *Shop) TestWebhook(ctx context.Context, o Operator, id ID) (WebhookDelivery, bool, error) {
	return s.askFor(ctx, o, "webhook.test", id, id, func(tx pgx.Tx, deliveryID ID) error {
		data, err := json.Marshal(map[string]any{"webhook_id": id})
		if err != nil {
			return err
		}
		return s.q.WebhookDeliveryInsertTest(ctx, tx, dbsqlc.WebhookDeliveryInsertTestParams{
			WebhookDeliveryID: deliveryID, WebhookID: id, EventID: pgdb.NewID(), EventType: string(WebhookTest), Data: data, Now: s.o.Now(),
		})
	})
}

// ReplayEvent makes one more delivery of an event to a webhook, whether it had it before or not, and of whatever type it is. The receiver is sent the same id.
// Refusals: NotFound, KeyReused, Conflict when the webhook is disabled.
func (s *Shop) ReplayEvent(ctx context.Context, o Operator, id, eventID ID) (WebhookDelivery, bool, error) {
	request := map[string]any{"webhook_id": id, "event_id": eventID}
	return s.askFor(ctx, o, "webhook.replay", request, id, func(tx pgx.Tx, deliveryID ID) error {
		kind, err := s.q.EventTypeRead(ctx, tx, eventID)
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound("event")
		}
		if err != nil {
			return err
		}
		return s.q.WebhookDeliveryInsertMany(ctx, tx, dbsqlc.WebhookDeliveryInsertManyParams{
			WebhookDeliveryIds: []ID{deliveryID}, WebhookIds: []ID{id}, EventIds: []ID{eventID}, EventTypes: []string{kind}, AskedFor: true, Now: s.o.Now(),
		})
	})
}

// askFor makes a delivery that was asked for.
func (s *Shop) askFor(ctx context.Context, o Operator, operation string, request any, id ID, insert func(tx pgx.Tx, deliveryID ID) error) (WebhookDelivery, bool, error) {
	deliveryID := pgdb.NewID()
	deliveryID, replayed, err := s.once(ctx, o.call(), operation, request, deliveryID, func(tx pgx.Tx) error {
		w, err := s.lockWebhook(ctx, tx, id)
		if err != nil {
			return err
		}
		if !w.Enabled {
			return &Refusal{Code: Conflict, State: "disabled", Detail: "The webhook is disabled, and nothing is sent to it. Enable it first."}
		}
		return insert(tx, deliveryID)
	})
	if err != nil {
		return WebhookDelivery{}, false, explain(operation, err)
	}
	row, err := s.q.WebhookDeliveryRead(ctx, s.pool, deliveryID)
	if errors.Is(err, pgx.ErrNoRows) { // a replay of what has been forgotten
		return WebhookDelivery{}, false, notFound("delivery any more")
	}
	return deliveryOf(row), replayed, afterwards(explain("read delivery", err))
}
