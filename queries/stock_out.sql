-- StockOutBegin remembers that pools have run out, in product order, and names those of which that is new.
-- name: StockOutBegin :many
WITH given AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id
)
INSERT INTO stock_out (
    product_id,
    pool_id,
    since
)
SELECT
    given.product_id,
    given.pool_id,
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
FROM given
ORDER BY
    given.product_id,
    given.pool_id
ON CONFLICT DO NOTHING
RETURNING
    stock_out.product_id,
    stock_out.pool_id;

-- StockOutDeleteByProduct is for rehearsal products.
-- name: StockOutDeleteByProduct :exec
DELETE FROM stock_out
WHERE stock_out.product_id = @product_id;

-- StockOutEnd forgets that pools had run out, leaving out those that somebody else is writing, and names those that had.
-- name: StockOutEnd :many
WITH given AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id
),
known AS MATERIALIZED (
    SELECT
        stock_out.product_id,
        stock_out.pool_id
    FROM stock_out
    JOIN given ON given.product_id = stock_out.product_id AND given.pool_id = stock_out.pool_id
    ORDER BY
        stock_out.product_id,
        stock_out.pool_id
    FOR UPDATE OF stock_out SKIP LOCKED
)
DELETE FROM stock_out
USING known
WHERE stock_out.product_id = known.product_id
    AND stock_out.pool_id = known.pool_id
RETURNING
    stock_out.product_id,
    stock_out.pool_id;

-- StockOutRefilled names pools that are remembered as having run out and have tokens: two transactions passed each other. Not by EXISTS, for which the planner reads all
-- tokens of the pools that have some.
-- name: StockOutRefilled :many
SELECT
    stock_out.product_id,
    stock_out.pool_id
FROM stock_out
WHERE (
    SELECT stock_token.position
    FROM stock_token
    WHERE stock_token.product_id = stock_out.product_id
        AND stock_token.pool_id = stock_out.pool_id
    ORDER BY stock_token.position
    LIMIT 1
) IS NOT NULL
ORDER BY
    stock_out.product_id,
    stock_out.pool_id
LIMIT 1000;

-- StockOutSkus names products and sales of pools, those of rehearsals left out.
-- name: StockOutSkus :many
WITH given AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id
)
SELECT
    product.product_id,
    given.pool_id::bigint AS pool_id,
    product.sku,
    sale.sale_id
FROM given
JOIN product ON product.product_id = given.product_id
LEFT JOIN sale ON sale.pool_id = given.pool_id
WHERE NOT product.rehearsal;
