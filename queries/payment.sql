-- PaymentAttend writes down what the shop's people should look at of a payment, of which the caller has the lock.
-- name: PaymentAttend :exec
UPDATE payment
SET attention = @attention::text[]
WHERE payment.payment_id = @payment_id;

-- PaymentByID reads a payment. No row: there is none.
-- name: PaymentByID :one
SELECT sqlc.embed(payment)
FROM payment
WHERE payment.payment_id = @payment_id;

-- PaymentInsert begins payments, no row is made for an order that has one that has not failed, and tells how many it began.
-- name: PaymentInsert :execrows
WITH given AS (
    SELECT
        unnest(@payment_ids::uuid[]) AS payment_id,
        unnest(@order_ids::uuid[]) AS order_id,
        unnest(@amount_minors::bigint[]) AS amount_minor,
        unnest(@currencies::text[]) AS currency
)
INSERT INTO payment (
    payment_id,
    order_id,
    provider,
    status,
    amount_minor,
    currency,
    created_at,
    ask_at
)
SELECT
    given.payment_id,
    given.order_id,
    @provider,
    'pending',
    given.amount_minor,
    given.currency,
    clock_timestamp(),
    clock_timestamp() + sqlc.arg('ask_seconds')::float8 * interval '1 second'
FROM given
ORDER BY given.order_id
ON CONFLICT (order_id) WHERE status <> 'failed' DO NOTHING;

-- PaymentRefund counts what is given back of a payment.
-- name: PaymentRefund :exec
UPDATE payment
SET refunded_minor = payment.refunded_minor + @amount_minor
WHERE payment.payment_id = @payment_id;

-- PaymentLive reads the payment of an order that has not failed. No row: there is none.
-- name: PaymentLive :one
SELECT sqlc.embed(payment)
FROM payment
WHERE payment.order_id = @order_id
    AND payment.status <> 'failed';

-- PaymentLiveMany names the orders that have a payment that has not failed.
-- name: PaymentLiveMany :many
SELECT payment.order_id
FROM payment
WHERE payment.order_id = ANY(@order_ids::uuid[])
    AND payment.status <> 'failed';

-- PaymentLock locks a payment, and reads whose order it is for. No row: there is none.
-- name: PaymentLock :one
SELECT
    sqlc.embed(payment),
    shop_order.buyer,
    shop_order.status AS order_status,
    shop_order.reference
FROM payment
JOIN shop_order ON shop_order.order_id = payment.order_id
WHERE payment.payment_id = @payment_id
FOR NO KEY UPDATE OF payment;

-- PaymentMove makes a payment that came too late one of the order that replaces its own.
-- name: PaymentMove :exec
UPDATE payment
SET order_id = @order_id
WHERE payment.payment_id = @payment_id;

-- PaymentOverdue names payments that are under way for orders which are overdue, the longest overdue first, with how long that is.
-- name: PaymentOverdue :many
SELECT
    payment.payment_id,
    payment.order_id,
    extract(epoch FROM coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) - shop_order.pay_by)::float8 AS overdue_seconds
FROM shop_order
JOIN payment ON payment.order_id = shop_order.order_id AND payment.status = 'pending'
WHERE shop_order.status = 'awaiting_payment'
    AND shop_order.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
ORDER BY shop_order.pay_by
LIMIT @row_limit;

-- PaymentSettle writes down what became of a payment that was pending.
-- name: PaymentSettle :execrows
UPDATE payment
SET
    status = @status,
    ask_at = NULL,
    settled_at = clock_timestamp()
WHERE payment.payment_id = @payment_id
    AND payment.status = 'pending';

-- PaymentSettlePaid writes down that payments of orders, which were pending, have succeeded. Payments and orders go in pairs.
-- name: PaymentSettlePaid :execrows
WITH given AS (
    SELECT
        unnest(@payment_ids::uuid[]) AS payment_id,
        unnest(@order_ids::uuid[]) AS order_id
)
UPDATE payment
SET
    status = 'succeeded',
    ask_at = NULL,
    settled_at = clock_timestamp()
FROM given
WHERE payment.payment_id = given.payment_id
    AND payment.order_id = given.order_id
    AND payment.status = 'pending';

-- PaymentToAsk takes payments of which the provider is to be asked now, and puts the next time off, twice as far as the payment is old but
-- from 1 to 60 seconds, so that nobody else asks meanwhile.
-- name: PaymentToAsk :many
WITH due AS MATERIALIZED (
    SELECT payment.payment_id
    FROM payment
    WHERE payment.status = 'pending'
        AND payment.ask_at <= clock_timestamp()
    ORDER BY payment.ask_at
    LIMIT @row_limit
    FOR UPDATE SKIP LOCKED
)
UPDATE payment
SET ask_at = clock_timestamp() + least(greatest(clock_timestamp() - payment.created_at, interval '1 second'), interval '60 seconds')
FROM due
WHERE payment.payment_id = due.payment_id
RETURNING
    payment.payment_id,
    extract(epoch FROM clock_timestamp() - payment.created_at)::float8 AS age_seconds,
    (
        SELECT shop_order.status <> 'awaiting_payment'
        FROM shop_order
        WHERE shop_order.order_id = payment.order_id
    )::boolean AS too_late;
