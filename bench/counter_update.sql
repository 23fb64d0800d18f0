-- The contender "counter, update" of claims/postgres.go: one claim of one unit in one statement, which is the whole transaction. Everybody
-- waits for the row of the counter, which is locked until what was claimed is on disk.
\set buyer random(1, :buyers)
\set key random(1, 9000000000000000000)

WITH taken AS (
    UPDATE bench_counter
    SET stock = stock - 1
    WHERE sku = 'bench-1'
        AND stock >= 1
    RETURNING product_id
)
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
SELECT
    uuid_v7_nth((extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0),
    :buyer,
    taken.product_id,
    0,
    1,
    'held',
    :key,
    6900,
    'EUR',
    now(),
    now() + interval '10 minutes'
FROM taken
RETURNING created_at;
