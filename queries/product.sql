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

-- ProductBySkus reads products by their public keys, in the order of these. Those that there are not are left out.
-- name: ProductBySkus :many
SELECT sqlc.embed(product)
FROM product
WHERE product.sku = ANY(@skus::text[])
ORDER BY product.sku;

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

-- ProductChangeMany changes what an import says of products, each of them once, and leaves what it does not say. Empty texts, and prices of -1, are none.
-- name: ProductChangeMany :execrows
WITH given AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@names::text[]) AS name,
        unnest(@descriptions::text[]) AS description,
        unnest(@price_minors::bigint[]) AS price_minor,
        unnest(@currencies::text[]) AS currency,
        unnest(@image_urls::text[]) AS image_url,
        unnest(@attributes::text[]) AS attributes,
        unnest(@sellings::boolean[]) AS selling
)
UPDATE product
SET
    name = CASE WHEN @with_name::boolean THEN nullif(given.name, '') ELSE product.name END,
    description = CASE WHEN @with_description::boolean THEN nullif(given.description, '') ELSE product.description END,
    price_minor = CASE WHEN @with_price::boolean THEN nullif(given.price_minor, -1) ELSE product.price_minor END,
    currency = CASE WHEN @with_price::boolean THEN nullif(given.currency, '') ELSE product.currency END,
    image_url = CASE WHEN @with_image_url::boolean THEN nullif(given.image_url, '') ELSE product.image_url END,
    attributes = CASE WHEN @with_attributes::boolean THEN given.attributes::jsonb ELSE product.attributes END,
    selling = given.selling,
    updated_at = now()
FROM given
WHERE product.product_id = given.product_id;

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

-- ProductImportLock lets one import after another, until the transaction ends.
-- name: ProductImportLock :exec
SELECT pg_advisory_xact_lock(hashtextextended('lastunit import', 0));

-- ProductInsertMany creates products.
-- name: ProductInsertMany :copyfrom
INSERT INTO product (
    sku,
    name,
    description,
    price_minor,
    currency,
    image_url,
    attributes,
    selling
) VALUES (
    @sku,
    @name,
    @description,
    @price_minor,
    @currency,
    @image_url,
    @attributes,
    @selling
);

-- ProductList pages through the catalogue by SKU. Rehearsal products show only to those who name them.
-- name: ProductList :many
SELECT product.sku
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

-- ProductPage pages through the catalogue by SKU, with what is known of each product. Rehearsal products are left out.
-- name: ProductPage :many
SELECT sqlc.embed(product)
FROM product
WHERE product.sku > @after_sku
    AND NOT product.rehearsal
ORDER BY product.sku
LIMIT @row_limit;

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
RETURNING (xmax = 0)::boolean AS created;

-- ProductShown reads products as buyers see them, in one snapshot: by SKU, a row for each of their sales that are not over, the one that opens first
-- first, and a row without a sale where there is none. What can be had of a product are tokens of the common pool and of the allotment of the sale
-- that is open or paused, up to cap + 1, and units in lapsed holds and overdue orders; beside it stands when the first of the others may come back. Whether there is any is
-- asked with LIMIT 1: for EXISTS a kept plan would put all claims and tokens of all products into a table first.
-- name: ProductShown :many
WITH asked AS MATERIALIZED (
    SELECT
        product.product_id,
        coalesce((
            SELECT CASE WHEN sale_item.quantity IS NULL THEN 0 ELSE sale.pool_id END
            FROM sale_item
            JOIN sale ON sale.sale_id = sale_item.sale_id
            WHERE sale_item.product_id = product.product_id
                AND sale.stage = 'scheduled'
                AND sale.opens_at <= coalesce(sqlc.narg('now')::timestamptz, now())
                AND sale.closes_at > coalesce(sqlc.narg('now')::timestamptz, now())
            ORDER BY sale.opens_at
            LIMIT 1
        ), 0) AS pool_id
    FROM product
    WHERE product.sku = ANY(@skus::text[])
)
SELECT
    sqlc.embed(product),
    selling.paused_at,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM stock_token
            WHERE stock_token.product_id = asked.product_id
                AND stock_token.pool_id IN (0, asked.pool_id)
            LIMIT sqlc.arg('cap')::bigint + 1
        ) AS some_tokens
    )::bigint AS token_count,
    (
        coalesce((
            SELECT sum(claim.quantity)
            FROM claim
            WHERE claim.product_id = asked.product_id
                AND claim.status = 'held'
                AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
        ), 0)
        + coalesce((
            SELECT sum(claim.quantity)
            FROM claim
            WHERE claim.product_id = asked.product_id
                AND claim.unpaid
                AND claim.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
        ), 0)
    )::bigint AS lapsed_units,
    (
        SELECT claim.expires_at
        FROM claim
        WHERE claim.product_id = asked.product_id
            AND claim.status = 'held'
            AND claim.expires_at > coalesce(sqlc.narg('now')::timestamptz, now())
        ORDER BY claim.expires_at
        LIMIT 1
    ) AS next_expiry,
    (
        SELECT claim.pay_by
        FROM claim
        WHERE claim.product_id = asked.product_id
            AND claim.unpaid
            AND claim.pay_by > coalesce(sqlc.narg('now')::timestamptz, now())
        ORDER BY claim.pay_by
        LIMIT 1
    ) AS next_overdue,
    (
        (
            SELECT true
            FROM claim
            WHERE claim.product_id = asked.product_id
                AND claim.unpaid
            LIMIT 1
        ) IS NOT NULL
        OR (
            SELECT true
            FROM claim
            WHERE claim.product_id = asked.product_id
                AND claim.status = 'held'
            LIMIT 1
        ) IS NOT NULL
        OR (
            SELECT true
            FROM stock_token
            WHERE stock_token.product_id = asked.product_id
            LIMIT 1
        ) IS NOT NULL
    )::boolean AS may_return,
    sale.sale_id,
    sale.name AS sale_name,
    coalesce(sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, now())), '')::text AS sale_state,
    sale.opens_at,
    sale.closes_at,
    sale.purchase_limit,
    sale.max_quantity,
    sale_item.price_minor AS sale_price_minor,
    sale_item.currency AS sale_currency,
    (sale_item.quantity IS NOT NULL)::boolean AS allotted
FROM asked
JOIN product ON product.product_id = asked.product_id
CROSS JOIN selling
LEFT JOIN sale_item
    ON sale_item.product_id = asked.product_id
    AND EXISTS (
        SELECT 1
        FROM sale AS planned
        WHERE planned.sale_id = sale_item.sale_id
            AND planned.stage = 'scheduled'
            AND planned.closes_at > coalesce(sqlc.narg('now')::timestamptz, now())
    )
LEFT JOIN sale ON sale.sale_id = sale_item.sale_id
ORDER BY
    product.sku,
    sale.opens_at;
