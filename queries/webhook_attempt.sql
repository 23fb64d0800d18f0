-- WebhookAttemptList lists the attempts at deliveries, in their order.
-- name: WebhookAttemptList :many
SELECT
    webhook_attempt.webhook_delivery_id,
    webhook_attempt.attempt,
    webhook_attempt.response_status,
    webhook_attempt.response_body,
    webhook_attempt.error,
    webhook_attempt.took_ms,
    webhook_attempt.attempted_at
FROM webhook_attempt
WHERE webhook_attempt.webhook_delivery_id = ANY(@webhook_delivery_ids::uuid[])
ORDER BY
    webhook_attempt.webhook_delivery_id,
    webhook_attempt.attempt;

-- WebhookAttemptRecord writes attempts down, and what becomes of their deliveries, of which one that was delivered stays so. 0 and the empty text: none.
-- name: WebhookAttemptRecord :exec
WITH told AS (
    SELECT
        unnest(@webhook_delivery_ids::uuid[]) AS webhook_delivery_id,
        unnest(@statuses::text[]) AS status,
        unnest(@due_ats::timestamptz[]) AS due_at,
        unnest(@response_statuses::integer[]) AS response_status,
        unnest(@response_bodies::text[]) AS response_body,
        unnest(@errors::text[]) AS error,
        unnest(@took_ms::bigint[]) AS took_ms,
        unnest(@attempted_ats::timestamptz[]) AS attempted_at
),
changed AS (
    UPDATE webhook_delivery
    SET
        attempts = webhook_delivery.attempts + 1,
        status = CASE WHEN webhook_delivery.status = 'delivered' THEN 'delivered' ELSE told.status END,
        due_at = CASE WHEN webhook_delivery.status <> 'delivered' AND told.status = 'pending' THEN told.due_at END
    FROM told
    WHERE webhook_delivery.webhook_delivery_id = told.webhook_delivery_id
    RETURNING
        webhook_delivery.webhook_delivery_id,
        webhook_delivery.attempts
)
INSERT INTO webhook_attempt (
    webhook_delivery_id,
    attempt,
    response_status,
    response_body,
    error,
    took_ms,
    attempted_at
)
SELECT
    changed.webhook_delivery_id,
    changed.attempts,
    nullif(told.response_status, 0),
    told.response_body,
    nullif(told.error, ''),
    told.took_ms,
    told.attempted_at
FROM changed
INNER JOIN told ON told.webhook_delivery_id = changed.webhook_delivery_id;
