package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// DeliveryStatus is what has become of a delivery.
type DeliveryStatus string

// The statuses of a delivery.
const (
	DeliveryIsPending   DeliveryStatus = "pending" // it is sent until it is delivered, or given up
	DeliveryIsDelivered DeliveryStatus = "delivered"
	DeliveryIsGivenUp   DeliveryStatus = "given_up"
)

// keepDeliveries is how long the log tells of deliveries that are at their end.
const keepDeliveries = 30 * 24 * time.Hour

// WebhookDelivery is an event on its way to a webhook.
type WebhookDelivery struct {
	ID        ID
	EventID   ID
	EventType EventType
	AskedFor  bool // a replay, or a test
	Status    DeliveryStatus
	DueAt     *time.Time // when it is sent next, while it is pending
	CreatedAt time.Time
	Tries     int
	Attempts  []WebhookAttempt // in their order; in lists alone
}

// WebhookAttempt is what came of sending once.
type WebhookAttempt struct {
	At     time.Time
	Status int    // of the answer; 0: there was none
	Body   string // how the answer begins
	Error  string // why there was no answer
	Took   time.Duration
}

// WebhookMessage is what is to be sent.
type WebhookMessage struct {
	DeliveryID ID
	EventID    ID
	Type       EventType
	Data       json.RawMessage
	At         time.Time // when it happened
	Tries      int       // before this one
	Since      time.Time // when it was to be sent first
}

// WebhookOutcome is what came of a message: its status is pending when it is to be sent again at Due.
type WebhookOutcome struct {
	DeliveryID ID
	WebhookAttempt
	Becomes DeliveryStatus
	Due     time.Time
}

func deliveryOf(row dbsqlc.WebhookDeliveryReadRow) WebhookDelivery {
	return WebhookDelivery{
		ID: row.WebhookDeliveryID, EventID: row.EventID, EventType: EventType(row.EventType), AskedFor: row.AskedFor, Status: DeliveryStatus(row.Status),
		DueAt: row.DueAt, CreatedAt: row.CreatedAt, Tries: int(row.Attempts),
	}
}

// DeliveryFilter says which deliveries are wanted; nil and empty: all.
type DeliveryFilter struct {
	EventID *ID
	Status  DeliveryStatus
	Before  *ID // older than this one
}

// WebhookDeliveries lists the deliveries to a webhook with their attempts, the newest first, at most limit; more tells whether there are older ones. Those at their
// end are kept for 30 days. Refusals: NotFound.
func (s *Shop) WebhookDeliveries(ctx context.Context, id ID, f DeliveryFilter, limit int) (all []WebhookDelivery, more bool, err error) {
	if _, err := s.Webhook(ctx, id); err != nil {
		return nil, false, err
	}
	rows, err := s.q.WebhookDeliveryList(ctx, s.pool, dbsqlc.WebhookDeliveryListParams{
		WebhookID: id, BeforeID: f.Before, EventID: f.EventID, Status: optional(string(f.Status)), RowLimit: int32(limit) + 1,
	})
	if err != nil {
		return nil, false, explain("list deliveries", err)
	}
	if len(rows) > limit {
		rows, more = rows[:limit], true
	}
	var ids []ID
	at := map[ID]int{}
	for i, row := range rows {
		all = append(all, deliveryOf(dbsqlc.WebhookDeliveryReadRow(row)))
		ids = append(ids, row.WebhookDeliveryID)
		at[row.WebhookDeliveryID] = i
	}
	attempts, err := s.q.WebhookAttemptList(ctx, s.pool, ids)
	if err != nil {
		return nil, false, explain("list attempts", err)
	}
	for _, row := range attempts {
		a := WebhookAttempt{At: row.AttemptedAt, Body: row.ResponseBody, Error: text(row.Error), Took: time.Duration(row.TookMs) * time.Millisecond}
		if row.ResponseStatus != nil {
			a.Status = int(*row.ResponseStatus)
		}
		d := &all[at[row.WebhookDeliveryID]]
		d.Attempts = append(d.Attempts, a)
	}
	return all, more, nil
}

// RelayEvents is housekeeping: it publishes events, and makes deliveries of those that have happened since it was called last, unless another server is about to. An event and all its
// deliveries are passed in one transaction, so that none is missed and none is made twice, whenever a server dies.
func (s *Shop) RelayEvents(ctx context.Context) error {
	const atOnce = 500
	if _, err := s.publishEvents(ctx); err != nil {
		return err
	}
	for n := atOnce; n == atOnce; {
		behind, err := s.relayIsBehind(ctx) // mostly it is not, and then that is all
		if err == nil && !behind {
			return nil
		}
		if err == nil {
			err = s.inTx(ctx, func(tx pgx.Tx) (err error) {
				n, err = s.relay(ctx, tx, atOnce)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("relay events to webhooks: %w", err)
		}
	}
	return nil
}

// relayIsBehind tells whether events wait to be passed, by an index even where that was planned when there were none.
func (s *Shop) relayIsBehind(ctx context.Context) (behind bool, err error) {
	err = pgdb.Together(ctx, s.pool,
		s.settings(ctx),
		func(db pgdb.Queryer) (err error) {
			behind, err = s.q.WebhookCursorBehind(ctx, db)
			return err
		})
	return behind, err
}

// relay passes at most so many events, and returns how many it has passed.
func (s *Shop) relay(ctx context.Context, tx pgx.Tx, atMost int) (int, error) {
	position, err := s.q.WebhookCursorLock(ctx, tx)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// The events first: whoever subscribed before one was committed is seen by the later snapshot.
	tail, err := s.q.EventTail(ctx, tx)
	if err != nil || tail == position {
		return 0, err
	}
	webhooks, err := s.q.WebhookEnabledLock(ctx, tx)
	if err != nil {
		return 0, err
	}
	if len(webhooks) == 0 {
		return 0, s.q.WebhookCursorMove(ctx, tx, tail)
	}
	events, err := s.q.EventList(ctx, tx, dbsqlc.EventListParams{AfterPosition: position, Types: []string{}, RowLimit: int32(atMost)})
	events = slices.DeleteFunc(events, func(e dbsqlc.EventListRow) bool { return e.Position > tail })
	if err != nil || len(events) == 0 {
		return 0, err
	}
	arg := dbsqlc.WebhookDeliveryInsertManyParams{Now: s.o.Now()}
	for _, e := range events {
		for _, w := range webhooks {
			if len(w.EventTypes) > 0 && !slices.Contains(w.EventTypes, e.Type) {
				continue
			}
			arg.WebhookDeliveryIds = append(arg.WebhookDeliveryIds, pgdb.NewID())
			arg.WebhookIds = append(arg.WebhookIds, w.WebhookID)
			arg.EventIds = append(arg.EventIds, e.EventID)
			arg.EventTypes = append(arg.EventTypes, e.Type)
		}
	}
	if len(arg.WebhookIds) > 0 {
		if err := s.q.WebhookDeliveryInsertMany(ctx, tx, arg); err != nil {
			return 0, err
		}
	}
	return len(events), s.q.WebhookCursorMove(ctx, tx, events[len(events)-1].Position)
}

// WebhooksDue lists the webhooks that something is due for.
func (s *Shop) WebhooksDue(ctx context.Context) ([]ID, error) {
	ids, err := s.q.WebhookDue(ctx, s.pool, s.o.Now())
	if err != nil {
		return nil, fmt.Errorf("look for deliveries: %w", err)
	}
	return ids, nil
}

// TakeDeliveries takes deliveries to a webhook that are due, at most limit, with its address and the secrets to sign with, the newest first. Nobody else takes them for
// as long as the lease: whoever has taken them says before what came of them (RecordDeliveries), or has died. None from a webhook that is gone or disabled.
func (s *Shop) TakeDeliveries(ctx context.Context, id ID, limit int, lease time.Duration) (url string, secrets []string, all []WebhookMessage, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		w, err := s.q.WebhookRead(ctx, tx, id)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !w.Enabled {
			return nil
		}
		if err != nil {
			return err
		}
		url = w.URL
		rows, err := s.q.WebhookDeliveryTake(ctx, tx, dbsqlc.WebhookDeliveryTakeParams{WebhookID: id, Now: s.o.Now(), RowLimit: int32(limit), LeaseSeconds: lease.Seconds()})
		if err != nil {
			return err
		}
		for _, row := range rows {
			all = append(all, WebhookMessage{
				DeliveryID: row.WebhookDeliveryID, EventID: row.EventID, Type: EventType(row.EventType), Data: row.Data, At: row.EventAt, Tries: int(row.Attempts), Since: row.CreatedAt,
			})
		}
		kept, err := s.q.WebhookSecretList(ctx, tx, dbsqlc.WebhookSecretListParams{WebhookID: id, Now: s.o.Now()})
		for _, row := range kept {
			secrets = append(secrets, row.Secret)
		}
		return err
	})
	if err != nil {
		return "", nil, nil, fmt.Errorf("take deliveries: %w", err)
	}
	return url, secrets, all, nil
}

// RecordDeliveries writes down what came of deliveries to a webhook. With gone the webhook has said that it wants no more: it is disabled.
func (s *Shop) RecordDeliveries(ctx context.Context, id ID, outcomes []WebhookOutcome, gone bool) error {
	var arg dbsqlc.WebhookAttemptRecordParams
	for _, o := range outcomes {
		arg.WebhookDeliveryIds = append(arg.WebhookDeliveryIds, o.DeliveryID)
		arg.Statuses = append(arg.Statuses, string(o.Becomes))
		arg.DueAts = append(arg.DueAts, o.Due)
		arg.ResponseStatuses = append(arg.ResponseStatuses, int32(o.Status))
		arg.ResponseBodies = append(arg.ResponseBodies, o.Body)
		arg.Errors = append(arg.Errors, o.Error)
		arg.TookMs = append(arg.TookMs, o.Took.Milliseconds())
		arg.AttemptedAts = append(arg.AttemptedAts, o.At)
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := s.q.WebhookAttemptRecord(ctx, tx, arg); err != nil || !gone {
			return err
		}
		return s.q.WebhookDisable(ctx, tx, dbsqlc.WebhookDisableParams{WebhookID: id, DisabledReason: "the receiver answered 410 Gone"})
	})
	if err != nil {
		return fmt.Errorf("record deliveries: %w", err)
	}
	for _, o := range outcomes {
		s.o.Observer.delivery(o.Becomes, o.Took)
	}
	return nil
}

// ForgetDeliveries is housekeeping: it removes deliveries that have been at their end for long.
func (s *Shop) ForgetDeliveries(ctx context.Context) error {
	const atOnce = 1000
	for n := int64(atOnce); n == atOnce; {
		var err error
		n, err = s.q.WebhookDeliveryDeleteOld(ctx, s.pool, dbsqlc.WebhookDeliveryDeleteOldParams{Now: s.o.Now(), OlderSeconds: keepDeliveries.Seconds(), RowLimit: atOnce})
		if err != nil {
			return fmt.Errorf("remove old deliveries: %w", err)
		}
	}
	return nil
}
