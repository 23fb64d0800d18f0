-- The contender "counter, lock" of claims/postgres.go: the counter is read with FOR UPDATE and written, and then the claim, of one unit.
-- The row is locked over all the ways to the client and back.
\set buyer random(1, :buyers)
\set key random(1, 9000000000000000000)

BEGIN;

SELECT
    product_id,
    stock
FROM bench_counter
WHERE sku = 'bench-1'
FOR UPDATE
\gset

\if :stock >= 1

\set stock_left :stock - 1

UPDATE bench_counter
SET stock = :stock_left
WHERE sku = 'bench-1';

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
    uuid_v7_nth((extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0),
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
