-- QueueAppend moves the tails of queues on by so many units, in product order, and keeps their locks, so that places are given out in the
-- order in which transactions commit. place is where the first of these units goes.
-- name: QueueAppend :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@unit_counts::bigint[]) AS unit_count
),
begun AS (
    INSERT INTO queue_head (
        product_id,
        pool_id,
        place
    )
    SELECT
        asked.product_id,
        asked.pool_id,
        0
    FROM asked
    WHERE NOT EXISTS (
        SELECT 1
        FROM queue_head
        WHERE queue_head.product_id = asked.product_id
            AND queue_head.pool_id = asked.pool_id
    )
    ORDER BY
        asked.product_id,
        asked.pool_id
    ON CONFLICT DO NOTHING
),
moved AS (
    INSERT INTO queue_tail (
        product_id,
        pool_id,
        place
    )
    SELECT
        asked.product_id,
        asked.pool_id,
        asked.unit_count
    FROM asked
    ORDER BY
        asked.product_id,
        asked.pool_id
    ON CONFLICT (product_id, pool_id) DO UPDATE
    SET place = queue_tail.place + excluded.place
    RETURNING
        queue_tail.product_id,
        queue_tail.pool_id,
        queue_tail.place
)
SELECT
    moved.product_id,
    moved.pool_id,
    (moved.place - asked.unit_count)::bigint AS place
FROM moved
JOIN asked
    ON asked.product_id = moved.product_id
    AND asked.pool_id = moved.pool_id;

-- QueueDeleteByProduct is for rehearsal products.
-- name: QueueDeleteByProduct :exec
WITH tail AS (
    DELETE FROM queue_tail
    WHERE queue_tail.product_id = @product_id
)
DELETE FROM queue_head
WHERE queue_head.product_id = @product_id;

-- QueueLockHeads takes the turn to settle the queues of pools, leaving out those whose turn somebody else has, and tells where each begins.
-- name: QueueLockHeads :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id
)
SELECT sqlc.embed(queue_head)
FROM queue_head
JOIN asked
    ON asked.product_id = queue_head.product_id
    AND asked.pool_id = queue_head.pool_id
ORDER BY
    queue_head.product_id,
    queue_head.pool_id
FOR NO KEY UPDATE OF queue_head SKIP LOCKED;

-- QueueMoveHeads moves heads, of which the caller has the locks, on to the next place that may be queued.
-- name: QueueMoveHeads :exec
WITH reached AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@places::bigint[]) AS place
)
UPDATE queue_head
SET place = reached.place
FROM reached
WHERE queue_head.product_id = reached.product_id
    AND queue_head.pool_id = reached.pool_id;

-- QueueProgress tells how far the queues of pools have been settled, and what was cancelled in them since, up to a place.
-- name: QueueProgress :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@below_places::bigint[]) AS below_place
)
SELECT
    sqlc.embed(queue_head),
    cancelled.places::bigint[] AS cancelled_places,
    cancelled.quantities::integer[] AS cancelled_quantities
FROM asked
JOIN queue_head
    ON queue_head.product_id = asked.product_id
    AND queue_head.pool_id = asked.pool_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(array_agg(claim.queue_place ORDER BY claim.queue_place), '{}') AS places,
        coalesce(array_agg(claim.quantity ORDER BY claim.queue_place), '{}') AS quantities
    FROM claim
    WHERE claim.product_id = asked.product_id
        AND claim.pool_id = asked.pool_id
        AND claim.queue_place >= queue_head.place
        AND claim.queue_place < asked.below_place
        AND claim.status = 'released'
        AND claim.expires_at IS NULL
) AS cancelled;

-- QueueUnsettled names the products that have a queue which is not settled to its end, with the places that have been reached, of all such queues of a product
-- together.
-- name: QueueUnsettled :many
SELECT
    product.sku,
    sum(queue_head.place)::bigint AS head_places
FROM queue_tail
JOIN queue_head
    ON queue_head.product_id = queue_tail.product_id
    AND queue_head.pool_id = queue_tail.pool_id
JOIN product ON product.product_id = queue_tail.product_id
WHERE queue_head.place < queue_tail.place
GROUP BY product.sku
ORDER BY product.sku;
