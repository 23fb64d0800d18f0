-- RefundByID reads a refund that a provider makes. No row: there is none.
-- name: RefundByID :one
SELECT
    refund.refund_id,
    refund.payment_id::uuid AS payment_id,
    refund.status,
    refund.amount_minor
FROM refund
WHERE refund.refund_id = @refund_id
    AND refund.payment_id IS NOT NULL;

-- RefundInsert records that money is to be given back. Without a payment somebody else gives it back.
-- name: RefundInsert :exec
INSERT INTO refund (
    refund_id,
    order_id,
    payment_id,
    status,
    reason,
    amount_minor,
    currency,
    api_key_id,
    created_at,
    ask_at,
    settled_at
) VALUES (
    @refund_id,
    @order_id,
    sqlc.narg('payment_id')::uuid,
    CASE WHEN sqlc.narg('payment_id')::uuid IS NULL THEN 'succeeded' ELSE 'pending' END,
    @reason,
    @amount_minor,
    sqlc.narg('currency'),
    sqlc.narg('api_key_id'),
    clock_timestamp(),
    CASE WHEN sqlc.narg('payment_id')::uuid IS NOT NULL THEN clock_timestamp() + interval '2 seconds' END,
    CASE WHEN sqlc.narg('payment_id')::uuid IS NULL THEN clock_timestamp() END
);

-- RefundReopen has the provider asked again for a refund that had been made and has failed since.
-- name: RefundReopen :execrows
UPDATE refund
SET
    status = 'pending',
    ask_at = clock_timestamp(),
    settled_at = NULL
WHERE refund.refund_id = @refund_id
    AND refund.status = 'succeeded';

-- RefundSettle writes down that the money was given back.
-- name: RefundSettle :execrows
UPDATE refund
SET
    status = 'succeeded',
    ask_at = NULL,
    settled_at = clock_timestamp()
WHERE refund.refund_id = @refund_id
    AND refund.status = 'pending';

-- RefundToAsk takes refunds that the provider is to be asked for again, and puts the next time off, so that nobody else asks meanwhile.
-- name: RefundToAsk :many
WITH due AS MATERIALIZED (
    SELECT refund.refund_id
    FROM refund
    WHERE refund.status = 'pending'
        AND refund.ask_at <= clock_timestamp()
    ORDER BY refund.ask_at
    LIMIT @row_limit
    FOR UPDATE SKIP LOCKED
)
UPDATE refund
SET ask_at = clock_timestamp() + least(greatest(clock_timestamp() - refund.created_at, interval '2 seconds'), interval '60 seconds')
FROM due
WHERE refund.refund_id = due.refund_id
RETURNING
    refund.refund_id,
    refund.payment_id::uuid AS payment_id,
    refund.amount_minor;
