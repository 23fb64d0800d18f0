-- WebhookCursorBehind tells whether there are events of which no deliveries have been made yet. It reads one entry of an index: the planner, which does not know the cursor, would
-- look for any event behind it from the first on.
-- name: WebhookCursorBehind :one
SELECT coalesce(webhook_cursor.position < (
    SELECT event.position
    FROM event
    WHERE event.position IS NOT NULL
    ORDER BY event.position DESC
    LIMIT 1
), false)::boolean AS behind
FROM webhook_cursor;

-- WebhookCursorLock takes the turn to make deliveries of events, and reads up to which they have been made. No row: another server has the turn.
-- name: WebhookCursorLock :one
SELECT webhook_cursor.position
FROM webhook_cursor
FOR UPDATE SKIP LOCKED;

-- WebhookCursorMove moves on to a position.
-- name: WebhookCursorMove :exec
UPDATE webhook_cursor
SET position = @position;
