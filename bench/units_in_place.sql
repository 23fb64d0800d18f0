-- The contender "units in place" of claims/postgres.go: a row for each unit, the first that nobody has locked is updated. MATERIALIZED,
-- because a plan that picks for each row that it may update would lock, and update, more than one.
\set buyer random(1, :buyers)
\set key random(1, 9000000000000000000)
\set taken 0

BEGIN;

SELECT
    product_id,
    uuid_v7_nth((extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0)::text AS claim_id
FROM bench_counter
WHERE sku = 'bench-1'
\gset

WITH picked AS MATERIALIZED (
    SELECT unit_id
    FROM bench_unit
    WHERE product_id = :product_id
        AND status = 'available'
    ORDER BY unit_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE bench_unit
SET
    status = 'held',
    claim_id = :claim_id
FROM picked
WHERE bench_unit.unit_id = picked.unit_id
RETURNING 1 AS taken
\aset

\if :taken

INSERT INTO claim (
    claim_id,
    buyer,
    product_id,
    pool_id,
    quantity,
    status,
    idempotency_key,
    price_minor,
    currency,
    created_at,
    expires_at
)
VALUES (
    :claim_id,
    :buyer,
    :product_id,
    0,
    1,
    'held',
    :key,
    6900,
    'EUR',
    now(),
    now() + interval '10 minutes'
)
RETURNING created_at;

COMMIT;

\else

ROLLBACK;

\endif
