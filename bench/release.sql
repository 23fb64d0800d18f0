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
    SELECT claim.status
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

\endif
