-- ProductBySku finds the product of a public key, or no row.
-- name: ProductBySku :one
SELECT sqlc.embed(product)
FROM product
WHERE product.sku = @sku;

-- ProductBySkuForUpdate is ProductBySku under the row's lock: nobody else changes or deletes the product until the transaction ends.
-- name: ProductBySkuForUpdate :one
SELECT sqlc.embed(product)
FROM product
WHERE product.sku = @sku
FOR NO KEY UPDATE;

-- ProductBySkusForUpdate locks products, in the order of their ids: whoever changes when they are sold.
-- name: ProductBySkusForUpdate :many
SELECT
    product.product_id,
    product.sku,
    product.rehearsal
FROM product
WHERE product.sku = ANY(@skus::text[])
ORDER BY product.product_id
FOR NO KEY UPDATE;

-- ProductDeleteRehearsal deletes the product's row, if it is a rehearsal's.
-- name: ProductDeleteRehearsal :execrows
DELETE FROM product
WHERE product.product_id = @product_id
    AND product.rehearsal;

-- ProductForClaim reads what a claim needs to know of each product, by SKU: also from where to where the queue of its common pool is not
-- settled, and whether it is in a sale that is not over, and
-- whether it ever had an allotment.
-- name: ProductForClaim :many
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
WHERE product.sku = ANY(@skus::text[]);

-- ProductList pages through the catalogue by SKU. Rehearsal products show only to those who name them.
-- name: ProductList :many
SELECT sqlc.embed(product)
FROM product
WHERE product.sku > @after_sku
    AND (
        (cardinality(@skus::text[]) = 0 AND NOT product.rehearsal)
        OR product.sku = ANY(@skus::text[])
    )
ORDER BY product.sku
LIMIT @row_limit;

-- ProductOfRehearsal lists the SKUs of rehearsal products that begin with a text.
-- name: ProductOfRehearsal :many
SELECT product.sku
FROM product
WHERE product.rehearsal
    AND starts_with(product.sku, @prefix::text)
ORDER BY product.sku
LIMIT 1000;

-- ProductPut creates or replaces. What a product is for (rehearsal) can't change, created tells which of the two it was.
-- name: ProductPut :one
INSERT INTO product (
    sku,
    name,
    description,
    price_minor,
    currency,
    image_url,
    attributes,
    selling,
    rehearsal
) VALUES (
    @sku,
    @name,
    @description,
    @price_minor,
    @currency,
    @image_url,
    @attributes,
    @selling,
    @rehearsal
)
ON CONFLICT (sku) DO UPDATE
SET
    name = excluded.name,
    description = excluded.description,
    price_minor = excluded.price_minor,
    currency = excluded.currency,
    image_url = excluded.image_url,
    attributes = excluded.attributes,
    selling = excluded.selling,
    updated_at = now()
RETURNING sqlc.embed(product), (xmax = 0)::boolean AS created;
