-- SaleCountAdd adds what a server has counted, in one order, lest two servers wait for each other. What was counted of a product or a sale that is gone is left out.
-- latencies are arrays, as text.
-- name: SaleCountAdd :exec
WITH counted AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@ats::timestamptz[]) AS at,
        unnest(@skus::text[]) AS sku,
        unnest(@outcomes::text[]) AS outcome,
        unnest(@call_counts::bigint[]) AS call_count,
        unnest(@unit_counts::bigint[]) AS unit_count,
        unnest(@latencies::text[]) AS latencies
)
INSERT INTO sale_count (
    sale_id,
    at,
    product_id,
    outcome,
    call_count,
    unit_count,
    latencies
)
SELECT
    counted.sale_id,
    counted.at,
    product.product_id,
    counted.outcome,
    counted.call_count,
    counted.unit_count,
    counted.latencies::integer[]
FROM counted
JOIN product ON product.sku = counted.sku
JOIN sale ON sale.sale_id = counted.sale_id
ORDER BY
    counted.sale_id,
    counted.at,
    product.product_id,
    counted.outcome
ON CONFLICT ON CONSTRAINT sale_count_pkey DO UPDATE
SET
    call_count = sale_count.call_count + excluded.call_count,
    unit_count = sale_count.unit_count + excluded.unit_count,
    latencies = sale_count.latencies || excluded.latencies;

-- SaleCountSince reads what was counted of a sale after an instant, the oldest first.
-- name: SaleCountSince :many
SELECT
    sale_count.at,
    sale_count.outcome,
    sale_count.call_count,
    sale_count.unit_count,
    sale_count.latencies
FROM sale_count
WHERE sale_count.sale_id = @sale_id
    AND sale_count.at > @since
ORDER BY sale_count.at;
