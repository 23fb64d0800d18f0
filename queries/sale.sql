-- SaleAnnounce writes down of which state of a sale, open or closed, an event tells. No row: another server has been faster.
-- name: SaleAnnounce :execrows
UPDATE sale
SET announced = @state
WHERE sale.sale_id = @sale_id
    AND (sale.announced = 'scheduled' OR (sale.announced = 'open' AND @state = 'closed'));

-- SaleByID reads a sale and its state. No row: there is no such sale.
-- name: SaleByID :one
SELECT
    sqlc.embed(sale),
    sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now()))::text AS state
FROM sale
WHERE sale.sale_id = @sale_id;

-- SaleByIDForUpdate is SaleByID under the row's lock, as of the instant at which it was locked.
-- name: SaleByIDForUpdate :one
SELECT
    sqlc.embed(sale),
    sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()))::text AS state,
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())::timestamptz AS read_at
FROM sale
WHERE sale.sale_id = @sale_id
FOR NO KEY UPDATE;

-- SaleDeleteRehearsals deletes, of some sales, those of rehearsals that have no products any more, with everything of them.
-- name: SaleDeleteRehearsals :exec
WITH gone AS (
    DELETE FROM sale
    WHERE sale.sale_id = ANY(@sale_ids::uuid[])
        AND sale.rehearsal
        AND NOT EXISTS (
            SELECT 1
            FROM sale_item
            WHERE sale_item.sale_id = sale.sale_id
        )
    RETURNING sale.sale_id
),
buyers AS (
    DELETE FROM sale_buyer
    USING gone
    WHERE sale_buyer.sale_id = gone.sale_id
),
changes AS (
    DELETE FROM sale_change
    USING gone
    WHERE sale_change.sale_id = gone.sale_id
),
counts AS (
    DELETE FROM sale_count
    USING gone
    WHERE sale_count.sale_id = gone.sale_id
),
places AS (
    DELETE FROM sale_place
    USING gone
    WHERE sale_place.sale_id = gone.sale_id
)
DELETE FROM sale_sample
USING gone
WHERE sale_sample.sale_id = gone.sale_id;

-- SaleDue names the sales of which there is something to do: an event to tell, or what is left of one that is over to be put back.
-- name: SaleDue :many
SELECT
    sqlc.embed(sale),
    sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now()))::text AS state,
    (sale.closes_at < coalesce(sqlc.narg('now')::timestamptz, now()) - sqlc.arg('linger_seconds')::float8 * interval '1 second')::boolean AS long_over
FROM sale
WHERE sale.stage = 'scheduled'
    AND (
        sale.closes_at <= coalesce(sqlc.narg('now')::timestamptz, now())
        OR (sale.opens_at <= coalesce(sqlc.narg('now')::timestamptz, now()) AND sale.announced = 'scheduled')
    )
ORDER BY sale.closes_at
LIMIT 100;

-- SaleEnd closes a sale of which nothing is left, neither tokens in its pool nor requests in a queue that may be of it.
-- name: SaleEnd :execrows
UPDATE sale
SET stage = 'closed'
WHERE sale.sale_id = @sale_id
    AND sale.stage = 'scheduled'
    AND NOT EXISTS (
        SELECT 1
        FROM sale_item
        JOIN stock_token ON stock_token.product_id = sale_item.product_id AND stock_token.pool_id = sale.pool_id
        WHERE sale_item.sale_id = sale.sale_id
    )
    AND NOT EXISTS (
        SELECT 1
        FROM sale_item
        JOIN queue_tail
            ON queue_tail.product_id = sale_item.product_id
            AND queue_tail.pool_id = CASE WHEN sale_item.quantity IS NULL THEN 0 ELSE sale.pool_id END
        JOIN queue_head
            ON queue_head.product_id = queue_tail.product_id
            AND queue_head.pool_id = queue_tail.pool_id
        WHERE sale_item.sale_id = sale.sale_id
            AND queue_head.place < queue_tail.place
    );

-- SaleForClaim reads the sales, not yet over or not yet put away, that products are in, by SKU: their terms, and what a claim needs to know of their pools.
-- name: SaleForClaim :many
SELECT
    sale_item.product_id,
    sale.sale_id,
    sale.pool_id,
    sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now()))::text AS state,
    sale.opens_at,
    sale.hold_seconds,
    sale.purchase_limit,
    sale.max_quantity,
    sale.cooldown_seconds,
    sale_item.price_minor,
    sale_item.currency,
    (sale_item.quantity IS NOT NULL)::boolean AS allotted,
    EXISTS (
        SELECT 1
        FROM stock_token
        WHERE stock_token.product_id = sale_item.product_id
            AND stock_token.pool_id = sale.pool_id
    )::boolean AS has_tokens,
    (
        EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.product_id = sale_item.product_id
                AND claim.pool_id = sale.pool_id
                AND claim.status = 'held'
                AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
        )
        OR EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.product_id = sale_item.product_id
                AND claim.pool_id = sale.pool_id
                AND claim.unpaid
                AND claim.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
        )
    )::boolean AS has_lapsed,
    coalesce(queue_head.place, 0)::bigint AS queue_head_place,
    coalesce(queue_tail.place, 0)::bigint AS queue_tail_place
FROM sale_item
JOIN product ON product.product_id = sale_item.product_id
JOIN sale ON sale.sale_id = sale_item.sale_id
LEFT JOIN queue_tail
    ON queue_tail.product_id = sale_item.product_id
    AND queue_tail.pool_id = sale.pool_id
LEFT JOIN queue_head
    ON queue_head.product_id = sale_item.product_id
    AND queue_head.pool_id = sale.pool_id
WHERE product.sku = ANY(@skus::text[])
    AND sale.stage = 'scheduled'
ORDER BY
    sale_item.product_id,
    sale.opens_at,
    sale.sale_id;

-- SaleInsert makes a draft.
-- name: SaleInsert :exec
INSERT INTO sale (
    sale_id,
    name,
    rehearsal,
    opens_at,
    closes_at,
    hold_seconds,
    purchase_limit,
    max_quantity,
    cooldown_seconds,
    created_at,
    updated_at
) VALUES (
    @sale_id,
    @name,
    @rehearsal,
    @opens_at,
    @closes_at,
    @hold_seconds,
    sqlc.narg('purchase_limit'),
    @max_quantity,
    @cooldown_seconds,
    coalesce(sqlc.narg('now')::timestamptz, now()),
    coalesce(sqlc.narg('now')::timestamptz, now())
);

-- SaleLapsedPools names the pools of a product's sales that are over in which a hold has lapsed or an order is overdue: their units belong into the
-- common pool.
-- name: SaleLapsedPools :many
SELECT sale.pool_id
FROM sale_item
JOIN sale ON sale.sale_id = sale_item.sale_id
WHERE sale_item.product_id = @product_id
    AND sale_item.quantity IS NOT NULL
    AND sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now())) = 'closed'
    AND (
        EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.product_id = sale_item.product_id
                AND claim.pool_id = sale.pool_id
                AND claim.status = 'held'
                AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
        )
        OR EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.product_id = sale_item.product_id
                AND claim.pool_id = sale.pool_id
                AND claim.unpaid
                AND claim.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
        )
    )
ORDER BY sale.pool_id;

-- SaleList pages through the sales, the newest first, drafts only if asked for. Those of rehearsals are left out.
-- name: SaleList :many
SELECT
    sqlc.embed(sale),
    sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now()))::text AS state
FROM sale
WHERE (sqlc.narg('before_sale_id')::uuid IS NULL OR sale.sale_id < sqlc.narg('before_sale_id')::uuid)
    AND NOT sale.rehearsal
    AND (@drafts::boolean OR sale.stage <> 'draft')
    AND (
        cardinality(@states::text[]) = 0
        OR sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now())) = ANY(@states::text[])
    )
ORDER BY sale.sale_id DESC
LIMIT @row_limit;

-- SaleOver tells which sales that products are in, in pairs, are over.
-- name: SaleOver :many
WITH asked AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@product_ids::bigint[]) AS product_id
)
SELECT
    asked.sale_id::uuid AS sale_id,
    asked.product_id::bigint AS product_id
FROM asked
JOIN sale_item ON sale_item.sale_id = asked.sale_id AND sale_item.product_id = asked.product_id
JOIN sale ON sale.sale_id = asked.sale_id
WHERE sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now())) = 'closed';

-- SaleOverlapping names a sale, other than this one, that is scheduled or open, has a product of it, and overlaps it in time. The caller has
-- the locks of the products.
-- name: SaleOverlapping :many
SELECT
    other.sale_id,
    other.name,
    product.sku
FROM sale_item
JOIN sale_item AS other_item ON other_item.product_id = sale_item.product_id AND other_item.sale_id <> sale_item.sale_id
JOIN sale AS other ON other.sale_id = other_item.sale_id
JOIN product ON product.product_id = sale_item.product_id
WHERE sale_item.sale_id = @sale_id
    AND other.stage = 'scheduled'
    AND other.closes_at > coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
    AND other.opens_at < sqlc.arg('closes_at')::timestamptz
    AND other.closes_at > sqlc.arg('opens_at')::timestamptz
ORDER BY
    other.opens_at,
    product.sku
LIMIT 1;

-- SaleUpdate writes all that can be changed of a sale, of which the caller has the lock.
-- name: SaleUpdate :exec
UPDATE sale
SET
    name = @name,
    stage = @stage,
    opens_at = @opens_at,
    closes_at = @closes_at,
    paused_at = sqlc.narg('paused_at'),
    hold_seconds = @hold_seconds,
    purchase_limit = sqlc.narg('purchase_limit'),
    max_quantity = @max_quantity,
    cooldown_seconds = @cooldown_seconds,
    announced = @announced,
    updated_at = coalesce(sqlc.narg('now')::timestamptz, now())
WHERE sale.sale_id = @sale_id;
