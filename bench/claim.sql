-- One claim in a transaction of its own: StockTokenPick, ClaimInsertMany, StockTokenTake. A claim that finds too few units, or
-- whose key is taken, is rolled back. So many keys in a hundred (:few_keys) are one of a hundred, all others new. Those are locked before
-- anybody looks for them, because pgbench gives up a client whose statement fails.
--
-- With one product a client goes on looking where it found something last, as the service does, since it would have to walk over what
-- was taken before.
\set product_id random(1, :products)
\set unit_count random(1, :most_units)
\set buyer random(1, :buyers)
\set is_of_few case when random(1, 100) <= :few_keys then 1 else 0 end
\set key case when :is_of_few = 1 then random(1, 100) else random(1, 9000000000000000000) end
\set bound 0
\set hold_seconds random(:least_hold_ms, :most_hold_ms) / 1000.0
\set written 0

BEGIN;

SELECT
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true);

\if :is_of_few

SELECT pg_advisory_xact_lock(hashtextextended(:buyer::text || ' ' || :key::text, 0));

SELECT count(*) AS bound
FROM claim
WHERE claim.buyer = :buyer::text
    AND claim.idempotency_key = :key::text
\gset

\endif

WITH token AS (
    WITH wanted AS (
        SELECT
            unnest(ARRAY[:product_id]::bigint[]) AS product_id,
            unnest(ARRAY[0]::bigint[]) AS pool_id,
            unnest(ARRAY[:from_position]::bigint[]) AS from_position,
            unnest(ARRAY[9223372036854775807]::bigint[]) AS below_position,
            unnest(ARRAY[:unit_count]::bigint[]) AS unit_count
    ),
    picked AS MATERIALIZED (
        SELECT
            token.product_id,
            token.pool_id,
            token.position
        FROM wanted
        CROSS JOIN LATERAL (
            SELECT
                stock_token.product_id,
                stock_token.pool_id,
                stock_token.position
            FROM stock_token
            WHERE stock_token.product_id = wanted.product_id
                AND stock_token.pool_id = wanted.pool_id
                AND stock_token.position >= wanted.from_position
                AND stock_token.position < wanted.below_position
            ORDER BY stock_token.position
            LIMIT wanted.unit_count
            FOR UPDATE SKIP LOCKED
        ) AS token
    )
    SELECT
        picked.product_id,
        picked.pool_id,
        picked.position
    FROM picked
)
SELECT
    count(*) AS picked,
    coalesce(array_agg(token.position), '{}')::text AS positions,
    coalesce(min(token.position), 0) AS first_position,
    uuid_v7_nth((extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0)::text AS claim_id
FROM token
\gset

\set from_position case when :products = 1 then :first_position else 0 end

\set free case when :picked = :unit_count and :bound = 0 then 1 else 0 end
\if :free

WITH written AS (
    WITH given AS (
        SELECT
            unnest(ARRAY[:claim_id]::uuid[]) AS claim_id,
            unnest(ARRAY[:buyer]::text[]) AS buyer,
            unnest(ARRAY[:product_id]::bigint[]) AS product_id,
            unnest(ARRAY[0]::bigint[]) AS pool_id,
            unnest(ARRAY[:unit_count]::integer[]) AS quantity,
            unnest(ARRAY[:key]::text[]) AS idempotency_key,
            unnest(ARRAY[6900]::bigint[]) AS price_minor,
            unnest(ARRAY['EUR']::text[]) AS currency,
            unnest(ARRAY[:hold_seconds]::float8[]) AS hold_seconds,
            unnest(ARRAY['00000000-0000-0000-0000-000000000000']::uuid[]) AS sale_id,
            unnest(ARRAY['']::text[]) AS reference,
            unnest(ARRAY['']::text[]) AS metadata
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
        sale_id,
        reference,
        metadata,
        created_at,
        expires_at
    )
    SELECT
        given.claim_id,
        given.buyer,
        given.product_id,
        given.pool_id,
        given.quantity,
        'held',
        nullif(given.idempotency_key, ''),
        nullif(given.price_minor, -1),
        nullif(given.currency, ''),
        nullif(given.sale_id, '00000000-0000-0000-0000-000000000000'),
        nullif(given.reference, ''),
        nullif(given.metadata, '')::jsonb,
        coalesce(NULL::timestamptz, now()),
        coalesce(NULL::timestamptz, now()) + given.hold_seconds * interval '1 second'
    FROM given
    ORDER BY
        given.buyer,
        given.idempotency_key,
        given.claim_id
    RETURNING
        claim.claim_id,
        claim.created_at,
        claim.expires_at
)
SELECT count(*) AS written
FROM written
\gset

\endif

\if :written

WITH allotted AS (
    SELECT
        unnest(array_fill(:product_id::bigint, ARRAY[:unit_count::integer])::bigint[]) AS product_id,
        unnest(array_fill(0, ARRAY[:unit_count::integer])::bigint[]) AS pool_id,
        unnest(:positions::bigint[]) AS position,
        unnest(array_fill(:claim_id::uuid, ARRAY[:unit_count::integer])::uuid[]) AS claim_id
),
taken AS (
    DELETE FROM stock_token
    USING allotted
    WHERE stock_token.product_id = allotted.product_id
        AND stock_token.pool_id = allotted.pool_id
        AND stock_token.position = allotted.position
    RETURNING
        (allotted.claim_id)::uuid AS claim_id,
        stock_token.unit_id
)
INSERT INTO claim_unit (
    claim_id,
    unit_id
)
SELECT
    taken.claim_id,
    taken.unit_id
FROM taken
RETURNING
    claim_unit.claim_id,
    claim_unit.unit_id;

COMMIT;

\else

ROLLBACK;

\endif
