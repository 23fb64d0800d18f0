-- SaleChangeInsert records what was done to a sale, or to all selling.
-- name: SaleChangeInsert :exec
INSERT INTO sale_change (
    sale_change_id,
    sale_id,
    api_key_id,
    action,
    changes,
    created_at
) VALUES (
    @sale_change_id,
    sqlc.narg('sale_id'),
    @api_key_id,
    @action,
    @changes,
    coalesce(sqlc.narg('now')::timestamptz, now())
);

-- SaleChangeList reads what was done to a sale, the oldest first, with the names of the keys.
-- name: SaleChangeList :many
SELECT
    sqlc.embed(sale_change),
    coalesce(api_key.name, '')::text AS key_name
FROM sale_change
LEFT JOIN api_key ON api_key.api_key_id = sale_change.api_key_id
WHERE sale_change.sale_id IS NOT DISTINCT FROM sqlc.narg('sale_id')::uuid
    AND (sqlc.narg('after_id')::uuid IS NULL OR sale_change.sale_change_id > sqlc.narg('after_id')::uuid)
ORDER BY sale_change.sale_change_id
LIMIT @row_limit;
