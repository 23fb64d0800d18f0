-- SalePlaceLatest reads where the units of a sale were when it was sampled last, by SKU; 0 where nothing was sampled yet.
-- name: SalePlaceLatest :many
SELECT
    product.sku,
    coalesce(latest.available, 0)::bigint AS available,
    coalesce(latest.held, 0)::bigint AS held,
    coalesce(latest.ordered, 0)::bigint AS ordered,
    coalesce(latest.sold, 0)::bigint AS sold
FROM sale_item
JOIN product ON product.product_id = sale_item.product_id
LEFT JOIN LATERAL (
    SELECT
        sale_place.available,
        sale_place.held,
        sale_place.ordered,
        sale_place.sold
    FROM sale_place
    WHERE sale_place.sale_id = sale_item.sale_id
        AND sale_place.product_id = sale_item.product_id
    ORDER BY sale_place.at DESC
    LIMIT 1
) AS latest ON true
WHERE sale_item.sale_id = @sale_id
ORDER BY product.sku;
