-- SaleItemDelete removes all items of a sale.
-- name: SaleItemDelete :exec
DELETE FROM sale_item
WHERE sale_item.sale_id = @sale_id;

-- SaleItemDeleteByProduct is for rehearsal products. It names the sales that they were in.
-- name: SaleItemDeleteByProduct :many
DELETE FROM sale_item
WHERE sale_item.product_id = @product_id
RETURNING sale_item.sale_id;

-- SaleItemInsertMany adds products, which exist, to a sale. A quantity of 0 is no allotment.
-- name: SaleItemInsertMany :exec
INSERT INTO sale_item (
    sale_id,
    product_id,
    price_minor,
    currency,
    quantity
)
SELECT
    @sale_id::uuid,
    unnest(@product_ids::bigint[]),
    unnest(@price_minors::bigint[]),
    unnest(@currencies::text[]),
    nullif(unnest(@quantities::integer[]), 0);

-- SaleItemLeft names the products of which tokens lie in the pool of a sale.
-- name: SaleItemLeft :many
SELECT
    sale_item.product_id,
    sale.pool_id
FROM sale_item
JOIN sale ON sale.sale_id = sale_item.sale_id
WHERE sale_item.sale_id = @sale_id
    AND EXISTS (
        SELECT 1
        FROM stock_token
        WHERE stock_token.product_id = sale_item.product_id
            AND stock_token.pool_id = sale.pool_id
    )
ORDER BY sale_item.product_id;

-- SaleItemOfSales reads the items of sales.
-- name: SaleItemOfSales :many
SELECT
    sqlc.embed(sale_item),
    product.sku
FROM sale_item
JOIN product ON product.product_id = sale_item.product_id
WHERE sale_item.sale_id = ANY(@sale_ids::uuid[])
ORDER BY
    sale_item.sale_id,
    product.sku;
