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

-- ReceiptHere counts the units of products that have come in and were not taken out for good, wherever they are.
-- name: ReceiptHere :many
WITH asked AS (
    SELECT unnest(@product_ids::bigint[]) AS product_id
),
received AS (
    SELECT
        receipt.product_id,
        sum(receipt.quantity) AS units
    FROM receipt
    WHERE receipt.product_id = ANY(@product_ids::bigint[])
    GROUP BY receipt.product_id
),
taken_out AS (
    SELECT
        withdrawal.product_id,
        sum(withdrawal.quantity) AS units
    FROM withdrawal
    WHERE withdrawal.product_id = ANY(@product_ids::bigint[])
    GROUP BY withdrawal.product_id
)
SELECT
    asked.product_id::bigint AS product_id,
    (coalesce(received.units, 0) - coalesce(taken_out.units, 0))::bigint AS units
FROM asked
LEFT JOIN received ON received.product_id = asked.product_id
LEFT JOIN taken_out ON taken_out.product_id = asked.product_id;

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

-- ReceiptInsertMany records receipts.
-- name: ReceiptInsertMany :copyfrom
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
    @created_at
);

-- ReceiptWithReference counts the units without serials that have come in of products with references, and leaves those out with which none have.
-- name: ReceiptWithReference :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@wanted::text[]) AS reference
)
SELECT
    receipt.product_id,
    receipt.reference,
    sum(receipt.quantity)::bigint AS units
FROM asked
JOIN receipt
    ON receipt.product_id = asked.product_id
    AND receipt.reference = asked.reference
WHERE receipt.serials_hash IS NULL
GROUP BY
    receipt.product_id,
    receipt.reference;
