-- One release: ClaimLock, which waits, then ClaimEnd. It takes one of the ten holds that lapse next, so that it meets others who
-- release or expire the same one; what has lapsed in the meantime becomes expired.
\set product_id random(1, 4)
\set nth random(0, 9)

SELECT
    count(*) AS found,
    coalesce(min(hold.claim_id::text), '') AS claim_id,
    coalesce(min(hold.buyer), '') AS buyer
FROM (
    SELECT
        claim.claim_id,
        claim.buyer
    FROM claim
    WHERE claim.product_id = :product_id
        AND claim.pool_id = 0
        AND claim.status = 'held'
    ORDER BY claim.expires_at
    LIMIT 1
    OFFSET :nth
) AS hold
\gset

\if :found

BEGIN;

WITH locked AS (
    SELECT
        claim.status,
        claim.sale_id
    FROM claim
    WHERE claim.claim_id = :claim_id
        AND claim.buyer = :buyer
    FOR UPDATE
)
SELECT count(*) AS held
FROM locked
WHERE locked.status = 'held'
\gset

\if :held

WITH ended AS (
    UPDATE claim
    SET
        status = CASE
            WHEN claim.expires_at <= coalesce(NULL::timestamptz, clock_timestamp()) THEN 'expired'
            ELSE 'released'
        END,
        ended_at = coalesce(NULL::timestamptz, clock_timestamp())
    WHERE claim.claim_id = ANY(ARRAY[:claim_id]::uuid[])
        AND claim.status = 'held'
        AND (true::boolean OR claim.expires_at <= coalesce(NULL::timestamptz, clock_timestamp()))
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

\endif
