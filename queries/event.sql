-- EventInsertMany writes events into the outbox.
-- name: EventInsertMany :exec
INSERT INTO event (
    event_id,
    type,
    data,
    created_at
)
SELECT
    unnest(@event_ids::uuid[]),
    unnest(@types::text[]),
    unnest(@datas::text[])::jsonb,
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp());

-- EventList reads events behind a position, in their order; of all types when none are named.
-- name: EventList :many
SELECT
    event.event_id,
    event.type,
    event.data,
    event.created_at,
    event.position::bigint AS position
FROM event
WHERE event.position > @after_position::bigint
    AND (cardinality(@types::text[]) = 0 OR event.type = ANY(@types::text[]))
ORDER BY event.position
LIMIT @row_limit;

-- EventUnpublished tells whether there are events without a position.
-- name: EventUnpublished :one
SELECT EXISTS (
    SELECT 1
    FROM event
    WHERE event.position IS NULL
)::boolean AS unpublished;

-- EventLockTail takes the turn to give positions. No row: somebody else has it.
-- name: EventLockTail :one
SELECT event_tail.only_row
FROM event_tail
FOR UPDATE SKIP LOCKED;

-- EventPublish gives events their positions, in the order in which they happened, under the lock of event_tail, and names the type of each.
-- name: EventPublish :many
WITH unpublished AS (
    SELECT
        event.event_id,
        event.created_at
    FROM event
    WHERE event.position IS NULL
    ORDER BY
        event.created_at,
        event.event_id
    LIMIT @row_limit
),
placed AS (
    SELECT
        ordered.event_id,
        nextval('event_position') AS position
    FROM (
        SELECT unpublished.event_id
        FROM unpublished
        ORDER BY
            unpublished.created_at,
            unpublished.event_id
    ) AS ordered
)
UPDATE event
SET position = placed.position
FROM placed
WHERE event.event_id = placed.event_id
RETURNING event.type;

-- EventTail is the last position that was given; 0: none was.
-- name: EventTail :one
SELECT coalesce(max(event.position), 0)::bigint AS position
FROM event;

-- EventTypeRead finds the type of an event.
-- name: EventTypeRead :one
SELECT event.type
FROM event
WHERE event.event_id = @event_id;
