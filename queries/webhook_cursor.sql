-- WebhookCursorBehind tells whether there are events of which no deliveries have been made yet.
-- name: WebhookCursorBehind :one
SELECT EXISTS (
    SELECT 1
    FROM event
    WHERE event.position > (SELECT webhook_cursor.position FROM webhook_cursor)
)::boolean AS behind;

-- WebhookCursorLock takes the turn to make deliveries of events, and reads up to which they have been made. No row: another server has the turn.
-- name: WebhookCursorLock :one
SELECT webhook_cursor.position
FROM webhook_cursor
FOR UPDATE SKIP LOCKED;

-- WebhookCursorMove moves on to a position.
-- name: WebhookCursorMove :exec
UPDATE webhook_cursor
SET position = @position;
