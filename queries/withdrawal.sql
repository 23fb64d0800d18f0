-- WithdrawalByKey finds what an idempotency key of this caller has made.
-- name: WithdrawalByKey :one
SELECT sqlc.embed(withdrawal), product.sku
FROM withdrawal
JOIN product ON product.product_id = withdrawal.product_id
WHERE withdrawal.api_key_id = @api_key_id
    AND withdrawal.idempotency_key = @idempotency_key;

-- WithdrawalDeleteByProduct is for rehearsal products.
-- name: WithdrawalDeleteByProduct :exec
DELETE FROM withdrawal
WHERE withdrawal.product_id = @product_id;

-- WithdrawalInsert records the withdrawal, no row comes back when the key is taken.
-- name: WithdrawalInsert :one
INSERT INTO withdrawal (
    withdrawal_id,
    product_id,
    quantity,
    reason,
    place,
    api_key_id,
    idempotency_key,
    created_at
) VALUES (
    @withdrawal_id,
    @product_id,
    @quantity,
    @reason,
    @place,
    @api_key_id,
    @idempotency_key,
    coalesce(sqlc.narg('now')::timestamptz, now())
)
ON CONFLICT (api_key_id, idempotency_key) DO NOTHING
RETURNING withdrawal.created_at;

-- WithdrawalTake moves available units of the common pool out for good and says how many it found, fewer than asked for
-- means that the caller rolls back.
-- name: WithdrawalTake :execrows
WITH picked AS MATERIALIZED (
    SELECT stock_token.position
    FROM stock_token
    WHERE stock_token.product_id = @product_id
        AND stock_token.pool_id = 0
    ORDER BY stock_token.position
    LIMIT @quantity
    FOR UPDATE SKIP LOCKED
),
taken AS (
    DELETE FROM stock_token
    USING picked
    WHERE stock_token.product_id = @product_id
        AND stock_token.pool_id = 0
        AND stock_token.position = picked.position
    RETURNING stock_token.unit_id
)
INSERT INTO withdrawal_unit (
    unit_id,
    withdrawal_id
)
SELECT
    taken.unit_id,
    @withdrawal_id::uuid
FROM taken;
