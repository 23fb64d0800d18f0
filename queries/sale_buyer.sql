-- SaleBuyerAdd counts units for buyers, of whose rows the caller has the locks, and brings their purchase limits up to date (0: none).
-- name: SaleBuyerAdd :exec
WITH given AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@buyers::text[]) AS buyer,
        unnest(@unit_counts::integer[]) AS unit_count,
        unnest(@purchase_limits::integer[]) AS purchase_limit
)
UPDATE sale_buyer
SET
    unit_count = sale_buyer.unit_count + given.unit_count,
    purchase_limit = nullif(given.purchase_limit, 0)
FROM given
WHERE sale_buyer.sale_id = given.sale_id
    AND sale_buyer.buyer = given.buyer;

-- SaleBuyerEnter locks the rows of buyers as SaleBuyerTryLock does, and makes those that are missing, in the order of sale and buyer on every server. A new row
-- counts at once what its buyer is about to get, and is told by entered; its unit_count here is what the buyer had, 0. A buyer whose row somebody else has just
-- made does not come back.
-- name: SaleBuyerEnter :many
WITH asked AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@buyers::text[]) AS buyer,
        unnest(@unit_counts::integer[]) AS unit_count,
        unnest(@purchase_limits::integer[]) AS purchase_limit
),
locked AS MATERIALIZED (
    SELECT
        sale_buyer.sale_id,
        sale_buyer.buyer,
        sale_buyer.unit_count,
        sale_buyer.cool_until
    FROM sale_buyer
    JOIN asked ON asked.sale_id = sale_buyer.sale_id AND asked.buyer = sale_buyer.buyer
    ORDER BY
        sale_buyer.sale_id,
        sale_buyer.buyer
    FOR NO KEY UPDATE OF sale_buyer SKIP LOCKED
),
entered AS (
    INSERT INTO sale_buyer (
        sale_id,
        buyer,
        unit_count,
        purchase_limit
    )
    SELECT
        asked.sale_id,
        asked.buyer,
        asked.unit_count,
        nullif(asked.purchase_limit, 0)
    FROM asked
    WHERE NOT EXISTS (
        SELECT 1
        FROM sale_buyer
        WHERE sale_buyer.sale_id = asked.sale_id
            AND sale_buyer.buyer = asked.buyer
    )
    ORDER BY
        asked.sale_id,
        asked.buyer
    ON CONFLICT DO NOTHING
    RETURNING
        sale_buyer.sale_id,
        sale_buyer.buyer
)
SELECT
    locked.sale_id,
    locked.buyer,
    locked.unit_count,
    coalesce(extract(epoch FROM locked.cool_until - coalesce(sqlc.narg('now')::timestamptz, now())), 0)::float8 AS cool_seconds,
    false AS entered
FROM locked
UNION ALL
SELECT
    entered.sale_id,
    entered.buyer,
    0,
    0,
    true
FROM entered;

-- SaleBuyerLock waits for the rows of a buyer, in the order of the sales.
-- name: SaleBuyerLock :many
SELECT
    sale_buyer.sale_id,
    sale_buyer.unit_count,
    sale.purchase_limit
FROM sale_buyer
JOIN sale ON sale.sale_id = sale_buyer.sale_id
WHERE sale_buyer.buyer = @buyer
    AND sale_buyer.sale_id = ANY(@sale_ids::uuid[])
ORDER BY sale_buyer.sale_id
FOR NO KEY UPDATE OF sale_buyer;

-- SaleBuyerLockOfOrder waits for the rows of an order's buyer, in the order of the sales.
-- name: SaleBuyerLockOfOrder :many
SELECT sale_buyer.sale_id
FROM sale_buyer
WHERE sale_buyer.buyer = @buyer
    AND sale_buyer.sale_id = ANY(
        ARRAY(
            SELECT claim.sale_id
            FROM claim
            WHERE claim.order_id = @order_id
        )
    )
ORDER BY sale_buyer.sale_id
FOR NO KEY UPDATE;

-- SaleBuyerLook tells what buyers have of sales, without locks. Units of lapsed holds and overdue orders are free, and a hold that has lapsed
-- makes its buyer cool down, also when nobody has put it away yet.
-- name: SaleBuyerLook :many
WITH asked AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@buyers::text[]) AS buyer
)
SELECT
    sale_buyer.sale_id,
    sale_buyer.buyer,
    (
        sale_buyer.unit_count - coalesce((
            SELECT sum(claim.quantity)
            FROM claim
            WHERE claim.buyer = asked.buyer
                AND claim.sale_id = asked.sale_id
                AND claim.status = 'held'
                AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
        ), 0) - coalesce((
            SELECT sum(claim.quantity)
            FROM shop_order
            JOIN claim ON claim.order_id = shop_order.order_id
            WHERE shop_order.buyer = asked.buyer
                AND shop_order.status = 'awaiting_payment'
                AND claim.sale_id = asked.sale_id
                AND claim.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
        ), 0)
    )::integer AS unit_count,
    coalesce(extract(epoch FROM greatest(sale_buyer.cool_until, (
        SELECT max(claim.expires_at) + sale.cooldown_seconds * interval '1 second'
        FROM claim
        WHERE claim.buyer = asked.buyer
            AND claim.sale_id = asked.sale_id
            AND claim.status = 'held'
            AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
            AND sale.cooldown_seconds > 0
    )) - coalesce(sqlc.narg('now')::timestamptz, now())), 0)::float8 AS cool_seconds
FROM asked
JOIN sale ON sale.sale_id = asked.sale_id
JOIN sale_buyer ON sale_buyer.sale_id = asked.sale_id AND sale_buyer.buyer = asked.buyer;

-- SaleBuyerTryLock locks the rows of buyers, leaving out those that somebody else has locked.
-- name: SaleBuyerTryLock :many
WITH asked AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@buyers::text[]) AS buyer
),
locked AS MATERIALIZED (
    SELECT
        sale_buyer.sale_id,
        sale_buyer.buyer,
        sale_buyer.unit_count,
        sale_buyer.cool_until
    FROM sale_buyer
    JOIN asked ON asked.sale_id = sale_buyer.sale_id AND asked.buyer = sale_buyer.buyer
    ORDER BY
        sale_buyer.sale_id,
        sale_buyer.buyer
    FOR NO KEY UPDATE OF sale_buyer SKIP LOCKED
)
SELECT
    locked.sale_id,
    locked.buyer,
    locked.unit_count,
    coalesce(extract(epoch FROM locked.cool_until - coalesce(sqlc.narg('now')::timestamptz, now())), 0)::float8 AS cool_seconds
FROM locked;
