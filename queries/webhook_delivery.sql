-- WebhookDeliveryDeleteOld forgets deliveries that are at their end and older than some seconds.
-- name: WebhookDeliveryDeleteOld :execrows
WITH old AS MATERIALIZED (
    SELECT webhook_delivery.webhook_delivery_id
    FROM webhook_delivery
    WHERE webhook_delivery.status <> 'pending'
        AND webhook_delivery.created_at < coalesce(sqlc.narg('now')::timestamptz, now()) - sqlc.arg('older_seconds')::double precision * interval '1 second'
    ORDER BY webhook_delivery.created_at
    LIMIT @row_limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM webhook_delivery
USING old
WHERE webhook_delivery.webhook_delivery_id = old.webhook_delivery_id;

-- WebhookDeliveryInsertMany makes deliveries of events.
-- name: WebhookDeliveryInsertMany :exec
INSERT INTO webhook_delivery (
    webhook_delivery_id,
    webhook_id,
    event_id,
    event_type,
    asked_for,
    status,
    due_at,
    created_at
)
SELECT
    unnest(@webhook_delivery_ids::uuid[]),
    unnest(@webhook_ids::uuid[]),
    unnest(@event_ids::uuid[]),
    unnest(@event_types::text[]),
    @asked_for::boolean,
    'pending',
    coalesce(sqlc.narg('now')::timestamptz, now()),
    coalesce(sqlc.narg('now')::timestamptz, now());

-- WebhookDeliveryInsertTest makes a delivery of an event that is in no outbox.
-- name: WebhookDeliveryInsertTest :exec
INSERT INTO webhook_delivery (
    webhook_delivery_id,
    webhook_id,
    event_id,
    event_type,
    data,
    asked_for,
    status,
    due_at,
    created_at
) VALUES (
    @webhook_delivery_id,
    @webhook_id,
    @event_id,
    @event_type,
    @data,
    true,
    'pending',
    coalesce(sqlc.narg('now')::timestamptz, now()),
    coalesce(sqlc.narg('now')::timestamptz, now())
);

-- WebhookDeliveryList lists the deliveries to a webhook, the newest first, before one if that is given.
-- name: WebhookDeliveryList :many
SELECT
    webhook_delivery.webhook_delivery_id,
    webhook_delivery.event_id,
    webhook_delivery.event_type,
    webhook_delivery.asked_for,
    webhook_delivery.status,
    webhook_delivery.attempts,
    webhook_delivery.due_at,
    webhook_delivery.created_at
FROM webhook_delivery
WHERE webhook_delivery.webhook_id = @webhook_id
    AND (sqlc.narg('before_id')::uuid IS NULL OR webhook_delivery.webhook_delivery_id < sqlc.narg('before_id')::uuid)
    AND (sqlc.narg('event_id')::uuid IS NULL OR webhook_delivery.event_id = sqlc.narg('event_id')::uuid)
    AND (sqlc.narg('status')::text IS NULL OR webhook_delivery.status = sqlc.narg('status')::text)
ORDER BY webhook_delivery.webhook_delivery_id DESC
LIMIT @row_limit;

-- WebhookDeliveryRead finds a delivery.
-- name: WebhookDeliveryRead :one
SELECT
    webhook_delivery.webhook_delivery_id,
    webhook_delivery.event_id,
    webhook_delivery.event_type,
    webhook_delivery.asked_for,
    webhook_delivery.status,
    webhook_delivery.attempts,
    webhook_delivery.due_at,
    webhook_delivery.created_at
FROM webhook_delivery
WHERE webhook_delivery.webhook_delivery_id = @webhook_delivery_id;

-- WebhookDeliveryTake takes deliveries to a webhook that are due, those that have been due for longest first: nobody else does for some seconds.
-- name: WebhookDeliveryTake :many
WITH due AS MATERIALIZED (
    SELECT webhook_delivery.webhook_delivery_id
    FROM webhook_delivery
    WHERE webhook_delivery.webhook_id = @webhook_id
        AND webhook_delivery.status = 'pending'
        AND webhook_delivery.due_at <= coalesce(sqlc.narg('now')::timestamptz, now())
    ORDER BY webhook_delivery.due_at
    LIMIT @row_limit
    FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE webhook_delivery
    SET due_at = coalesce(sqlc.narg('now')::timestamptz, now()) + sqlc.arg('lease_seconds')::double precision * interval '1 second'
    FROM due
    WHERE webhook_delivery.webhook_delivery_id = due.webhook_delivery_id
    RETURNING
        webhook_delivery.webhook_delivery_id,
        webhook_delivery.event_id,
        webhook_delivery.event_type,
        webhook_delivery.data,
        webhook_delivery.attempts,
        webhook_delivery.created_at
)
SELECT
    taken.webhook_delivery_id,
    taken.event_id,
    taken.event_type,
    taken.attempts,
    taken.created_at,
    coalesce(taken.data, event.data)::jsonb AS data,
    coalesce(event.created_at, taken.created_at)::timestamptz AS event_at
FROM taken
LEFT JOIN event ON event.event_id = taken.event_id;
