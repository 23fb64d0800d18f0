-- One sweep of a product: ClaimLockLapsed, then ClaimEnd for what it has locked.
\set product_id random(1, 4)

BEGIN;

WITH locked AS (
    SELECT claim.claim_id
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
        claim.product_id,
        claim.pool_id,
        claim.status
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
        freed.pool_id,
        nextval('stock_token_position'),
        freed.unit_id
    FROM freed
)
SELECT
    ended.claim_id,
    ended.status
FROM ended;

\endif

COMMIT;
