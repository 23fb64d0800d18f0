-- WebhookDelete forgets a webhook with its secrets and its log.
-- name: WebhookDelete :execrows
DELETE FROM webhook
WHERE webhook.webhook_id = @webhook_id;

-- WebhookDisable stops sending to a webhook, and says why.
-- name: WebhookDisable :exec
UPDATE webhook
SET
    enabled = false,
    disabled_reason = @disabled_reason::text
WHERE webhook.webhook_id = @webhook_id
    AND webhook.enabled;

-- WebhookDue lists the enabled webhooks that something is due for.
-- name: WebhookDue :many
SELECT webhook.webhook_id
FROM webhook
WHERE webhook.enabled
    AND EXISTS (
        SELECT 1
        FROM webhook_delivery
        WHERE webhook_delivery.webhook_id = webhook.webhook_id
            AND webhook_delivery.status = 'pending'
            AND webhook_delivery.due_at <= coalesce(sqlc.narg('now')::timestamptz, now())
    )
ORDER BY webhook.webhook_id;

-- WebhookEnabledLock lists those that events are sent to, and keeps them from being deleted until the end of the transaction.
-- name: WebhookEnabledLock :many
SELECT
    webhook.webhook_id,
    webhook.event_types
FROM webhook
WHERE webhook.enabled
ORDER BY webhook.webhook_id
FOR KEY SHARE;

-- WebhookInsert subscribes, unless there are row_limit already: then there is no row.
-- name: WebhookInsert :execrows
INSERT INTO webhook (
    webhook_id,
    url,
    event_types,
    description,
    enabled,
    created_at
)
SELECT
    @webhook_id::uuid,
    @url::text,
    @event_types::text[],
    @description::text,
    @enabled::boolean,
    coalesce(sqlc.narg('now')::timestamptz, now())
WHERE (SELECT count(*) FROM webhook) < @row_limit::bigint;

-- WebhookList lists webhooks behind one, the oldest first.
-- name: WebhookList :many
SELECT
    webhook.webhook_id,
    webhook.url,
    webhook.event_types,
    webhook.description,
    webhook.enabled,
    webhook.disabled_reason,
    webhook.created_at
FROM webhook
WHERE webhook.webhook_id > @after_id
ORDER BY webhook.webhook_id
LIMIT @row_limit;

-- WebhookLock finds a webhook, and keeps it as it is until the end of the transaction.
-- name: WebhookLock :one
SELECT
    webhook.webhook_id,
    webhook.url,
    webhook.event_types,
    webhook.description,
    webhook.enabled,
    webhook.disabled_reason,
    webhook.created_at
FROM webhook
WHERE webhook.webhook_id = @webhook_id
FOR NO KEY UPDATE;

-- WebhookRead finds a webhook.
-- name: WebhookRead :one
SELECT
    webhook.webhook_id,
    webhook.url,
    webhook.event_types,
    webhook.description,
    webhook.enabled,
    webhook.disabled_reason,
    webhook.created_at
FROM webhook
WHERE webhook.webhook_id = @webhook_id;

-- WebhookUpdate changes a webhook.
-- name: WebhookUpdate :exec
UPDATE webhook
SET
    url = @url,
    event_types = @event_types,
    description = @description,
    enabled = @enabled,
    disabled_reason = @disabled_reason
WHERE webhook.webhook_id = @webhook_id;
