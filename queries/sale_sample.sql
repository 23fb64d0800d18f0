-- SaleSampleDue names the sales of which a sample is due, or one of them: each second while it is open or paused, in the minute after it closed, and while it has
-- units in live holds or unpaid orders; otherwise each minute, from when it is scheduled until a day after it closed. After a sample that took long the
-- pause is 29 times as long.
-- name: SaleSampleDue :many
WITH watched AS (
    SELECT
        sale.sale_id,
        sale.closes_at,
        sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())) AS state,
        coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) AS read_at
    FROM sale
    WHERE sale.stage <> 'draft'
        AND sale.closes_at > coalesce(sqlc.narg('now')::timestamptz, now()) - interval '1 day'
        AND (sqlc.narg('sale_id')::uuid IS NULL OR sale.sale_id = sqlc.narg('sale_id')::uuid)
)
SELECT watched.sale_id
FROM watched
LEFT JOIN LATERAL (
    SELECT
        sale_sample.at,
        sale_sample.held + sale_sample.ordered AS unit_count,
        sale_sample.sampled_at,
        sale_sample.took_seconds
    FROM sale_sample
    WHERE sale_sample.sale_id = watched.sale_id
    ORDER BY sale_sample.at DESC
    LIMIT 1
) AS latest ON true
WHERE latest.at IS NULL
    OR (
        watched.read_at >= latest.sampled_at + 29 * latest.took_seconds * interval '1 second'
        AND (
            watched.read_at >= latest.at + interval '1 minute'
            OR (
                watched.read_at >= latest.at
                AND (
                    watched.state IN ('open', 'paused')
                    OR (watched.state = 'closed' AND (watched.closes_at > watched.read_at - interval '1 minute' OR latest.unit_count > 0))
                )
            )
        )
    )
ORDER BY watched.sale_id
LIMIT 100;

-- SaleSampleInsert writes a sample down, and the places of the products that differ from what was written last.
-- name: SaleSampleInsert :exec
WITH counted AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@available::bigint[]) AS available,
        unnest(@held::bigint[]) AS held,
        unnest(@ordered::bigint[]) AS ordered,
        unnest(@sold::bigint[]) AS sold
),
sampled AS (
    INSERT INTO sale_sample (
        sale_id,
        at,
        available,
        held,
        ordered,
        sold,
        queued,
        sampled_at,
        took_seconds
    )
    SELECT
        @sale_id::uuid,
        @at::timestamptz,
        coalesce(sum(counted.available), 0),
        coalesce(sum(counted.held), 0),
        coalesce(sum(counted.ordered), 0),
        coalesce(sum(counted.sold), 0),
        @queued::bigint,
        @sampled_at::timestamptz,
        @took_seconds::float8
    FROM counted
    ON CONFLICT DO NOTHING
    RETURNING sale_sample.at
)
INSERT INTO sale_place (
    sale_id,
    product_id,
    at,
    available,
    held,
    ordered,
    sold
)
SELECT
    @sale_id::uuid,
    counted.product_id,
    sampled.at,
    counted.available,
    counted.held,
    counted.ordered,
    counted.sold
FROM sampled
CROSS JOIN counted
LEFT JOIN LATERAL (
    SELECT
        sale_place.available,
        sale_place.held,
        sale_place.ordered,
        sale_place.sold
    FROM sale_place
    WHERE sale_place.sale_id = @sale_id::uuid
        AND sale_place.product_id = counted.product_id
    ORDER BY sale_place.at DESC
    LIMIT 1
) AS latest ON true
WHERE (counted.available, counted.held, counted.ordered, counted.sold) IS DISTINCT FROM (latest.available, latest.held, latest.ordered, latest.sold)
ON CONFLICT DO NOTHING;

-- SaleSamplePlaces counts where the units of a sale are, by product, from one snapshot: available is what can be sold through it, in its pool or, without an
-- allotment, in the common one, with what is in lapsed holds and overdue orders; the others are what went through it.
-- name: SaleSamplePlaces :many
SELECT
    sale_item.product_id,
    (
        CASE
            WHEN sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now())) IN ('draft', 'closed') THEN 0
            ELSE (
                SELECT count(*)
                FROM stock_token
                WHERE stock_token.product_id = sale_item.product_id
                    AND stock_token.pool_id = CASE WHEN sale_item.quantity IS NULL THEN 0 ELSE sale.pool_id END
            ) + coalesce((
                SELECT sum(claim.quantity)
                FROM claim
                WHERE claim.product_id = sale_item.product_id
                    AND claim.status = 'held'
                    AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
                    AND return_pool(claim.pool_id, coalesce(sqlc.narg('now')::timestamptz, now())) = CASE WHEN sale_item.quantity IS NULL THEN 0 ELSE sale.pool_id END
            ), 0) + coalesce((
                SELECT sum(claim.quantity)
                FROM claim
                WHERE claim.product_id = sale_item.product_id
                    AND claim.unpaid
                    AND claim.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
                    AND return_pool(claim.pool_id, coalesce(sqlc.narg('now')::timestamptz, now())) = CASE WHEN sale_item.quantity IS NULL THEN 0 ELSE sale.pool_id END
            ), 0)
        END
    )::bigint AS available,
    coalesce((
        SELECT sum(claim.quantity)
        FROM claim
        WHERE claim.product_id = sale_item.product_id
            AND claim.status = 'held'
            AND claim.expires_at > coalesce(sqlc.narg('now')::timestamptz, now())
            AND claim.sale_id = sale_item.sale_id
    ), 0)::bigint AS held,
    coalesce((
        SELECT sum(claim.quantity)
        FROM claim
        WHERE claim.product_id = sale_item.product_id
            AND claim.unpaid
            AND (claim.pay_by IS NULL OR claim.pay_by > coalesce(sqlc.narg('now')::timestamptz, now()))
            AND claim.sale_id = sale_item.sale_id
    ), 0)::bigint AS ordered,
    (
        SELECT count(*)
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id
        WHERE claim.product_id = sale_item.product_id
            AND claim.status = 'ordered'
            AND NOT claim.unpaid
            AND claim.sale_id = sale_item.sale_id
            AND claim_unit.released_at IS NULL
    )::bigint AS sold,
    (
        SELECT count(*)
        FROM queue_head
        JOIN claim
            ON claim.product_id = queue_head.product_id
            AND claim.pool_id = queue_head.pool_id
            AND claim.queue_place >= queue_head.place
        WHERE queue_head.product_id = sale_item.product_id
            AND queue_head.pool_id = CASE WHEN sale_item.quantity IS NULL THEN 0 ELSE sale.pool_id END
            AND claim.status = 'queued'
            AND claim.sale_id = sale_item.sale_id
    )::bigint AS queued,
    coalesce(sqlc.narg('now')::timestamptz, now())::timestamptz AS read_at
FROM sale
JOIN sale_item ON sale_item.sale_id = sale.sale_id
WHERE sale.sale_id = @sale_id
ORDER BY sale_item.product_id;

-- SaleSampleSince reads the samples of a sale after an instant, the oldest first.
-- name: SaleSampleSince :many
SELECT
    sale_sample.at,
    sale_sample.available,
    sale_sample.held,
    sale_sample.ordered,
    sale_sample.sold,
    sale_sample.queued
FROM sale_sample
WHERE sale_sample.sale_id = @sale_id
    AND sale_sample.at > @since
ORDER BY sale_sample.at;

-- SaleSampleTry takes the turn to sample a sale until the end of the transaction, unless somebody else has it.
-- name: SaleSampleTry :one
SELECT pg_try_advisory_xact_lock(hashtextextended('sale_sample ' || sqlc.arg('sale_id')::uuid::text, 0))::boolean AS taken;
