-- ShopOrderByIDs reads orders.
-- name: ShopOrderByIDs :many
SELECT
    sqlc.embed(shop_order),
    (shop_order.status = 'awaiting_payment' AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now()))::boolean AS overdue,
    coalesce(latest.status, '')::text AS payment_status,
    coalesce(latest.refunded_minor = latest.amount_minor AND latest.amount_minor > 0, false)::boolean AS payment_refunded,
    coalesce(latest.attention, '{}')::text[] AS attention,
    coalesce(replacing.order_id, '00000000-0000-0000-0000-000000000000')::uuid AS replaced_by_order_id
FROM shop_order
LEFT JOIN LATERAL (
    SELECT
        payment.status,
        payment.amount_minor,
        payment.refunded_minor,
        payment.attention
    FROM payment
    WHERE payment.order_id = shop_order.order_id
    ORDER BY
        payment.status = 'failed',
        payment.created_at DESC
    LIMIT 1
) AS latest ON true
LEFT JOIN shop_order AS replacing ON replacing.replaces_order_id = shop_order.order_id
WHERE shop_order.order_id = ANY(@order_ids::uuid[]);

-- ShopOrderByReference finds the order that the shop beside us has confirmed with a reference. No row: there is none.
-- name: ShopOrderByReference :one
SELECT shop_order.order_id
FROM shop_order
WHERE shop_order.reference = @reference
    AND shop_order.provider = 'external';

-- ShopOrderCancelMany cancels unpaid orders, of which the caller has the locks, those of their lines and of their buyers' sale_buyer rows, and gives their units back
-- to the pools that they came from, at new, higher positions. It names the pools that got some.
-- name: ShopOrderCancelMany :many
WITH cancelled AS (
    UPDATE shop_order
    SET
        status = 'cancelled',
        reason = @reason,
        ended_at = coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
    WHERE shop_order.order_id = ANY(@order_ids::uuid[])
        AND shop_order.status = 'awaiting_payment'
    RETURNING shop_order.order_id
),
line AS (
    UPDATE claim
    SET
        unpaid = false,
        pay_by = NULL
    FROM cancelled
    WHERE claim.order_id = cancelled.order_id
    RETURNING
        claim.claim_id,
        claim.order_id,
        claim.buyer,
        claim.sale_id,
        claim.product_id,
        claim.pool_id
),
freed AS (
    UPDATE claim_unit
    SET
        released_at = clock_timestamp(),
        outcome = 'cancelled'
    FROM line
    WHERE claim_unit.claim_id = line.claim_id
        AND claim_unit.released_at IS NULL
    RETURNING
        claim_unit.unit_id,
        line.buyer,
        line.sale_id,
        line.product_id,
        line.pool_id
),
returned AS (
    INSERT INTO stock_token (
        product_id,
        pool_id,
        position,
        unit_id
    )
    SELECT
        freed.product_id,
        return_pool(freed.pool_id, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())),
        nextval('stock_token_position'),
        freed.unit_id
    FROM freed
),
uncounted AS (
    UPDATE sale_buyer
    SET unit_count = sale_buyer.unit_count - gone.unit_count
    FROM (
        SELECT
            freed.sale_id,
            freed.buyer,
            count(*) AS unit_count
        FROM freed
        WHERE freed.sale_id IS NOT NULL
        GROUP BY
            freed.sale_id,
            freed.buyer
    ) AS gone
    WHERE sale_buyer.sale_id = gone.sale_id
        AND sale_buyer.buyer = gone.buyer
)
SELECT DISTINCT
    line.order_id::uuid AS order_id,
    line.product_id,
    line.pool_id
FROM line;

-- ShopOrderCountRefund counts money that is given back of a cancelled order, for which it came too late.
-- name: ShopOrderCountRefund :exec
UPDATE shop_order
SET refunded_minor = shop_order.refunded_minor + @amount_minor
WHERE shop_order.order_id = @order_id;

-- ShopOrderInsert records an order.
-- name: ShopOrderInsert :execrows
INSERT INTO shop_order (
    order_id,
    buyer,
    status,
    provider,
    total_minor,
    currency,
    pay_by,
    reference,
    metadata,
    replaces_order_id,
    created_at,
    paid_at
) VALUES (
    @order_id,
    @buyer,
    @status,
    @provider,
    sqlc.narg('total_minor'),
    sqlc.narg('currency'),
    sqlc.narg('pay_by'),
    sqlc.narg('reference'),
    sqlc.narg('metadata'),
    sqlc.narg('replaces_order_id'),
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()),
    CASE WHEN @status = 'paid' THEN coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) END
)
ON CONFLICT (reference) WHERE provider = 'external' DO NOTHING;

-- ShopOrderInsertMany records orders that await payment.
-- name: ShopOrderInsertMany :exec
WITH given AS (
    SELECT
        unnest(@order_ids::uuid[]) AS order_id,
        unnest(@buyers::text[]) AS buyer,
        unnest(@total_minors::bigint[]) AS total_minor,
        unnest(@currencies::text[]) AS currency,
        unnest(@pay_bys::timestamptz[]) AS pay_by,
        unnest(@order_references::text[]) AS reference,
        unnest(@metadatas::text[]) AS metadata
)
INSERT INTO shop_order (
    order_id,
    buyer,
    status,
    provider,
    total_minor,
    currency,
    pay_by,
    reference,
    metadata,
    created_at
)
SELECT
    given.order_id,
    given.buyer,
    'awaiting_payment',
    @provider,
    given.total_minor,
    given.currency,
    given.pay_by,
    nullif(given.reference, ''),
    nullif(given.metadata, '')::jsonb,
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
FROM given;

-- ShopOrderList pages through orders, the newest first. What is null is not asked for.
-- name: ShopOrderList :many
SELECT
    sqlc.embed(shop_order),
    (shop_order.status = 'awaiting_payment' AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now()))::boolean AS overdue,
    coalesce(latest.status, '')::text AS payment_status,
    coalesce(latest.refunded_minor = latest.amount_minor AND latest.amount_minor > 0, false)::boolean AS payment_refunded,
    coalesce(latest.attention, '{}')::text[] AS attention,
    coalesce(replacing.order_id, '00000000-0000-0000-0000-000000000000')::uuid AS replaced_by_order_id
FROM shop_order
LEFT JOIN LATERAL (
    SELECT
        payment.status,
        payment.amount_minor,
        payment.refunded_minor,
        payment.attention
    FROM payment
    WHERE payment.order_id = shop_order.order_id
    ORDER BY
        payment.status = 'failed',
        payment.created_at DESC
    LIMIT 1
) AS latest ON true
LEFT JOIN shop_order AS replacing ON replacing.replaces_order_id = shop_order.order_id
WHERE (sqlc.narg('before_order_id')::uuid IS NULL OR shop_order.order_id < sqlc.narg('before_order_id')::uuid)
    AND (sqlc.narg('buyer')::text IS NULL OR shop_order.buyer = sqlc.narg('buyer')::text)
    AND (sqlc.narg('reference')::text IS NULL OR shop_order.reference = sqlc.narg('reference')::text)
    AND (sqlc.narg('status')::text IS NULL OR shop_order.status = sqlc.narg('status')::text)
    AND (sqlc.narg('since')::timestamptz IS NULL OR shop_order.created_at >= sqlc.narg('since')::timestamptz)
    AND (sqlc.narg('until')::timestamptz IS NULL OR shop_order.created_at < sqlc.narg('until')::timestamptz)
    AND (
        sqlc.narg('sale_id')::uuid IS NULL
        OR EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.order_id = shop_order.order_id
                AND claim.sale_id = sqlc.narg('sale_id')::uuid
        )
    )
ORDER BY shop_order.order_id DESC
LIMIT @row_limit;

-- ShopOrderLock waits for an order and locks it, as of the instant at which it was locked.
-- name: ShopOrderLock :one
SELECT
    sqlc.embed(shop_order),
    (shop_order.status = 'awaiting_payment' AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()))::boolean AS overdue
FROM shop_order
WHERE shop_order.order_id = @order_id
FOR NO KEY UPDATE;

-- ShopOrderLockOverdueByIDs is ShopOrderLockOverdue for orders that are named.
-- name: ShopOrderLockOverdueByIDs :many
WITH overdue AS MATERIALIZED (
    SELECT
        shop_order.order_id,
        shop_order.buyer
    FROM shop_order
    WHERE shop_order.order_id = ANY(@order_ids::uuid[])
        AND shop_order.status = 'awaiting_payment'
        AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
        AND (@whatever_was_paid::boolean OR NOT EXISTS (
            SELECT 1
            FROM payment
            WHERE payment.order_id = shop_order.order_id
                AND payment.status = 'pending'
        ))
    ORDER BY shop_order.order_id
    FOR UPDATE OF shop_order SKIP LOCKED
)
SELECT
    overdue.order_id,
    overdue.buyer,
    ARRAY(
        SELECT DISTINCT claim.sale_id
        FROM claim
        WHERE claim.order_id = overdue.order_id
            AND claim.sale_id IS NOT NULL
        ORDER BY claim.sale_id
    )::uuid[] AS sale_ids
FROM overdue;

-- ShopOrderLockOverdue locks orders that are overdue and that no payment is under way for, the oldest first, at most row_limit, leaving out those
-- that somebody else has locked: all, or those of buyers.
-- name: ShopOrderLockOverdue :many
WITH overdue AS MATERIALIZED (
    SELECT
        shop_order.order_id,
        shop_order.buyer
    FROM shop_order
    WHERE shop_order.status = 'awaiting_payment'
        AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
        AND (cardinality(@buyers::text[]) = 0 OR shop_order.buyer = ANY(@buyers::text[]))
        AND NOT EXISTS (
            SELECT 1
            FROM payment
            WHERE payment.order_id = shop_order.order_id
                AND payment.status = 'pending'
        )
    ORDER BY
        shop_order.pay_by,
        shop_order.order_id
    LIMIT @row_limit
    FOR UPDATE OF shop_order SKIP LOCKED
)
SELECT
    overdue.order_id,
    overdue.buyer,
    ARRAY(
        SELECT DISTINCT claim.sale_id
        FROM claim
        WHERE claim.order_id = overdue.order_id
            AND claim.sale_id IS NOT NULL
        ORDER BY claim.sale_id
    )::uuid[] AS sale_ids
FROM overdue;

-- ShopOrderLockOverdueOfPool is ShopOrderLockOverdue for those with a line of a pool.
-- name: ShopOrderLockOverdueOfPool :many
WITH line AS MATERIALIZED (
    SELECT claim.order_id
    FROM claim
    WHERE claim.product_id = @product_id
        AND claim.pool_id = @pool_id
        AND claim.unpaid
        AND claim.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
    ORDER BY claim.pay_by
    LIMIT @row_limit
),
overdue AS MATERIALIZED (
    SELECT
        shop_order.order_id,
        shop_order.buyer
    FROM shop_order
    WHERE shop_order.order_id IN (SELECT line.order_id FROM line)
        AND shop_order.status = 'awaiting_payment'
        AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
    ORDER BY shop_order.order_id
    FOR UPDATE OF shop_order SKIP LOCKED
)
SELECT
    overdue.order_id,
    overdue.buyer,
    ARRAY(
        SELECT DISTINCT claim.sale_id
        FROM claim
        WHERE claim.order_id = overdue.order_id
            AND claim.sale_id IS NOT NULL
        ORDER BY claim.sale_id
    )::uuid[] AS sale_ids
FROM overdue;

-- ShopOrderPaid marks orders, of which the caller has the locks, as paid.
-- name: ShopOrderPaid :execrows
UPDATE shop_order
SET
    status = 'paid',
    paid_at = coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
WHERE shop_order.order_id = ANY(@order_ids::uuid[])
    AND shop_order.status = 'awaiting_payment';

-- ShopOrderRefund counts what is given back of an order, of which the caller has the lock; it is refunded when it has no units left.
-- name: ShopOrderRefund :exec
UPDATE shop_order
SET
    refunded_minor = shop_order.refunded_minor + @amount_minor,
    status = CASE WHEN @whole::boolean THEN 'refunded' ELSE shop_order.status END,
    ended_at = CASE WHEN @whole::boolean THEN coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) END
WHERE shop_order.order_id = @order_id
    AND shop_order.status = 'paid';

-- ShopOrderTryLockMany locks orders, in the order of their ids, those that nobody else has locked, as ShopOrderLock does.
-- name: ShopOrderTryLockMany :many
SELECT
    sqlc.embed(shop_order),
    (shop_order.status = 'awaiting_payment' AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()))::boolean AS overdue
FROM shop_order
WHERE shop_order.order_id = ANY(@order_ids::uuid[])
ORDER BY shop_order.order_id
FOR NO KEY UPDATE SKIP LOCKED;

-- ShopOrderUnpaidOfBuyers names the unpaid orders that buyers have in sales, sale_ids and buyers go in pairs, the oldest first.
-- name: ShopOrderUnpaidOfBuyers :many
WITH asked AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@buyers::text[]) AS buyer
)
SELECT
    asked.sale_id::uuid AS sale_id,
    asked.buyer::text AS buyer,
    shop_order.order_id
FROM asked
CROSS JOIN LATERAL (
    SELECT shop_order.order_id
    FROM shop_order
    WHERE shop_order.buyer = asked.buyer
        AND (shop_order.status || '') = 'awaiting_payment' -- so that it is looked up by the buyer, not among all that are unpaid
    OFFSET 0
) AS shop_order
WHERE (
    SELECT claim.claim_id
    FROM claim
    WHERE claim.order_id = shop_order.order_id
        AND claim.sale_id = asked.sale_id
    LIMIT 1
) IS NOT NULL
ORDER BY shop_order.order_id
LIMIT 10000;
