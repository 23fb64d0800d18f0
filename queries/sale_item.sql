-- SaleItemDelete removes all items of a sale.
-- name: SaleItemDelete :exec
DELETE FROM sale_item
WHERE sale_item.sale_id = @sale_id;

-- SaleItemDeleteByProduct is for rehearsal products.
-- name: SaleItemDeleteByProduct :exec
DELETE FROM sale_item
WHERE sale_item.product_id = @product_id;

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

-- SaleItemOfSales reads the items of sales, with what lies in the sale's pool and what is held, ordered and sold of each through the sale.
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
