-- So many claims (:batch) of one unit each, of different buyers and with their keys, in one transaction, by the statements that a lane
-- sends for direct claims of one product outside of a sale: the settings, ProductForClaim and ClaimByKeys in one round trip, StockTokenPick,
-- then ClaimInsertMany, StockTokenTake and StockTokenLeft in one. It goes on looking behind the last token that it took.
\set buyer random(1, :buyers)
\set key random(1, 9000000000000000000)

-- In the service the requests bring these along, and PostgreSQL has nothing to do with it.
SELECT
    array_agg(uuid_v7_nth((extract(epoch FROM now()) * 1000)::bigint, series.n))::text AS claim_ids,
    array_agg(1 + (:buyer::bigint + series.n) % :buyers)::text AS claim_buyers,
    array_agg(:key::bigint + series.n)::text AS keys
FROM generate_series(1, :batch) AS series (n)
\gset

BEGIN;

\startpipeline

SELECT
    current_setting('synchronous_standby_names') <> '' AS standby_named,
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('lock_timeout', '2s', true),
    set_config('statement_timeout', '4s', true);

SELECT
    product.product_id,
    product.sku,
    product.selling,
    product.price_minor,
    product.currency,
    (selling.paused_at IS NOT NULL)::boolean AS paused,
    EXISTS (
        SELECT 1
        FROM sale_item
        JOIN sale ON sale.sale_id = sale_item.sale_id
        WHERE sale_item.product_id = product.product_id
            AND sale.stage = 'scheduled'
    )::boolean AS in_sale,
    EXISTS (
        SELECT 1
        FROM sale_item
        WHERE sale_item.product_id = product.product_id
            AND sale_item.quantity IS NOT NULL
    )::boolean AS had_allotments,
    coalesce(queue_head.place, 0)::bigint AS queue_head_place,
    coalesce(queue_tail.place, 0)::bigint AS queue_tail_place
FROM product
CROSS JOIN selling
LEFT JOIN queue_tail
    ON queue_tail.product_id = product.product_id
    AND queue_tail.pool_id = 0
LEFT JOIN queue_head
    ON queue_head.product_id = product.product_id
    AND queue_head.pool_id = 0
WHERE product.sku = ANY(ARRAY['bench-1']::text[]);

WITH asked AS (
    SELECT
        unnest(:claim_buyers::text[]) AS buyer,
        unnest(:keys::text[]) AS idempotency_key
)
SELECT
    claim.*,
    product.sku,
    (claim.status = 'held' AND claim.expires_at <= coalesce(NULL::timestamptz, now()))::boolean AS lapsed,
    ARRAY(
        SELECT claim_unit.unit_id
        FROM claim_unit
        WHERE claim_unit.claim_id = claim.claim_id
        ORDER BY claim_unit.unit_id
    )::uuid[] AS unit_ids,
    coalesce((
        SELECT queue_position.queue_position
        FROM queue_position
        WHERE queue_position.claim_id = claim.claim_id
    ), 0)::bigint AS queue_position
FROM asked
JOIN claim ON claim.buyer = asked.buyer AND claim.idempotency_key = asked.idempotency_key
JOIN product ON product.product_id = claim.product_id;

\endpipeline

WITH token AS (
    WITH wanted AS (
        SELECT
            unnest(ARRAY[1]::bigint[]) AS product_id,
            unnest(ARRAY[0]::bigint[]) AS pool_id,
            unnest(ARRAY[:from_position]::bigint[]) AS from_position,
            unnest(ARRAY[9223372036854775807]::bigint[]) AS below_position,
            unnest(ARRAY[:batch]::bigint[]) AS unit_count
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
    coalesce(max(token.position), 0) AS last_position,
    coalesce(max(token.position) + 1, 0) AS from_position
FROM token
\gset

\if :picked = :batch

\startpipeline

WITH given AS (
    SELECT
        unnest(:claim_ids::uuid[]) AS claim_id,
        unnest(:claim_buyers::text[]) AS buyer,
        unnest(array_fill(1, ARRAY[:batch::integer])::bigint[]) AS product_id,
        unnest(array_fill(0, ARRAY[:batch::integer])::bigint[]) AS pool_id,
        unnest(array_fill(1, ARRAY[:batch::integer])::integer[]) AS quantity,
        unnest(:keys::text[]) AS idempotency_key,
        unnest(array_fill(6900, ARRAY[:batch::integer])::bigint[]) AS price_minor,
        unnest(array_fill('EUR'::text, ARRAY[:batch::integer])::text[]) AS currency,
        unnest(array_fill(600, ARRAY[:batch::integer])::float8[]) AS hold_seconds,
        unnest(array_fill('00000000-0000-0000-0000-000000000000'::uuid, ARRAY[:batch::integer])::uuid[]) AS sale_id,
        unnest(array_fill(''::text, ARRAY[:batch::integer])::text[]) AS reference,
        unnest(array_fill(''::text, ARRAY[:batch::integer])::text[]) AS metadata
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
    claim.expires_at;

WITH allotted AS (
    SELECT
        unnest(array_fill(1, ARRAY[:batch::integer])::bigint[]) AS product_id,
        unnest(array_fill(0, ARRAY[:batch::integer])::bigint[]) AS pool_id,
        unnest(:positions::bigint[]) AS position,
        unnest(:claim_ids::uuid[]) AS claim_id
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

WITH asked AS (
    SELECT
        unnest(ARRAY[1]::bigint[]) AS product_id,
        unnest(ARRAY[0]::bigint[]) AS pool_id,
        unnest(ARRAY[:last_position]::bigint[]) AS position
)
SELECT
    asked.product_id::bigint AS product_id,
    asked.pool_id::bigint AS pool_id
FROM asked
WHERE EXISTS (
    SELECT 1
    FROM stock_token
    WHERE stock_token.product_id = asked.product_id
        AND stock_token.pool_id = asked.pool_id
        AND stock_token.position > asked.position
);

\endpipeline

COMMIT;

\else

ROLLBACK;

\endif
