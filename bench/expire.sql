-- One sweep of a product: ClaimLockLapsed, then ClaimEnd for what it has locked.
\set product_id random(1, 4)

BEGIN;

WITH locked AS (
    SELECT
        claim.claim_id,
        claim.buyer,
        claim.sale_id
    FROM claim
    WHERE claim.product_id = :product_id
        AND claim.pool_id = 0
        AND claim.status = 'held'
        AND claim.expires_at <= coalesce(NULL::timestamptz, now())
    ORDER BY
        claim.expires_at,
        claim.claim_id
    LIMIT 500
    FOR UPDATE SKIP LOCKED
)
SELECT
    count(*) AS lapsed,
    coalesce(array_agg(locked.claim_id), '{}')::text AS claim_ids
FROM locked
\gset

\if :lapsed

WITH ended AS (
    UPDATE claim
    SET
        status = CASE
            WHEN claim.expires_at <= coalesce(NULL::timestamptz, clock_timestamp()) THEN 'expired'
            ELSE 'released'
        END,
        ended_at = coalesce(NULL::timestamptz, clock_timestamp())
    WHERE claim.claim_id = ANY(:claim_ids::uuid[])
        AND claim.status = 'held'
        AND (false::boolean OR claim.expires_at <= coalesce(NULL::timestamptz, clock_timestamp()))
    RETURNING
        claim.claim_id,
        claim.buyer,
        claim.sale_id,
        claim.product_id,
        claim.pool_id,
        claim.quantity,
        claim.status,
        claim.expires_at
),
freed AS (
    UPDATE claim_unit
    SET released_at = clock_timestamp()
    FROM ended
    WHERE claim_unit.claim_id = ended.claim_id
        AND claim_unit.released_at IS NULL
    RETURNING
        claim_unit.unit_id,
        ended.product_id,
        ended.pool_id
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
        return_pool(freed.pool_id, coalesce(NULL::timestamptz, clock_timestamp())),
        nextval('stock_token_position'),
        freed.unit_id
    FROM freed
),
uncounted AS (
    UPDATE sale_buyer
    SET
        unit_count = sale_buyer.unit_count - gone.unit_count,
        cool_until = greatest(sale_buyer.cool_until, gone.cool_until)
    FROM (
        SELECT
            ended.sale_id,
            ended.buyer,
            sum(ended.quantity) AS unit_count,
            max(ended.expires_at + sale.cooldown_seconds * interval '1 second')
                FILTER (WHERE ended.status = 'expired' AND sale.cooldown_seconds > 0) AS cool_until
        FROM ended
        JOIN sale ON sale.sale_id = ended.sale_id
        GROUP BY
            ended.sale_id,
            ended.buyer
    ) AS gone
    WHERE sale_buyer.sale_id = gone.sale_id
        AND sale_buyer.buyer = gone.buyer
)
SELECT
    ended.claim_id,
    ended.status,
    ended.product_id,
    ended.pool_id
FROM ended;

\endif

COMMIT;
