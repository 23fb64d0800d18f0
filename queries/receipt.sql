-- ReceiptByKey finds what an idempotency key of this caller has made.
-- name: ReceiptByKey :one
SELECT sqlc.embed(receipt), product.sku
FROM receipt
JOIN product ON product.product_id = receipt.product_id
WHERE receipt.api_key_id = @api_key_id
    AND receipt.idempotency_key = @idempotency_key;

-- ReceiptDeleteByProduct is for rehearsal products.
-- name: ReceiptDeleteByProduct :exec
DELETE FROM receipt
WHERE receipt.product_id = @product_id;

-- ReceiptInsert records the receipt, no row comes back when the key is taken.
-- name: ReceiptInsert :one
INSERT INTO receipt (
    receipt_id,
    product_id,
    quantity,
    reference,
    serials_hash,
    api_key_id,
    idempotency_key,
    created_at
) VALUES (
    @receipt_id,
    @product_id,
    @quantity,
    @reference,
    @serials_hash,
    @api_key_id,
    @idempotency_key,
    coalesce(sqlc.narg('now')::timestamptz, now())
)
ON CONFLICT (api_key_id, idempotency_key) DO NOTHING
RETURNING receipt.created_at;
