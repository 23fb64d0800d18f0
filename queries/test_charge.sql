-- TestChargeBooks sums up by currency what the provider "test" has taken, due captures among it, and what it gave back.
-- name: TestChargeBooks :many
SELECT
    moved.currency,
    sum(moved.captured_minor)::bigint AS captured_minor,
    sum(moved.refunded_minor)::bigint AS refunded_minor
FROM (
    SELECT
        test_charge.currency,
        test_charge.amount_minor AS captured_minor,
        0::bigint AS refunded_minor
    FROM test_charge
    WHERE test_charge.status = 'succeeded'
        OR (test_charge.status = 'pending' AND test_charge.captures_at <= now())
    UNION ALL
    SELECT
        test_charge.currency,
        0::bigint AS captured_minor,
        test_refund.amount_minor AS refunded_minor
    FROM test_refund
    JOIN test_charge ON test_charge.charge_id = test_refund.charge_id
) AS moved
GROUP BY moved.currency
ORDER BY moved.currency
LIMIT 1000;

-- TestChargeCapture takes the money of a charge that is pending, of which the caller has the lock, if its time has come at this instant.
-- name: TestChargeCapture :execrows
UPDATE test_charge
SET
    status = 'succeeded',
    captured_at = test_charge.captures_at
WHERE test_charge.charge_id = @charge_id
    AND test_charge.status = 'pending'
    AND test_charge.captures_at <= clock_timestamp();

-- TestChargeFail ends a charge that is pending, of which the caller has the lock and has seen that its time has not come.
-- name: TestChargeFail :execrows
UPDATE test_charge
SET status = 'failed'
WHERE test_charge.charge_id = @charge_id
    AND test_charge.status = 'pending';

-- TestChargeInsert records a charge, or nothing when its id is taken. Without delay_seconds one that is pending is never captured.
-- name: TestChargeInsert :execrows
INSERT INTO test_charge (
    charge_id,
    amount_minor,
    currency,
    status,
    captures_at,
    captured_at
) VALUES (
    @charge_id,
    @amount_minor,
    @currency,
    @status::text,
    clock_timestamp() + sqlc.narg('delay_seconds')::float8 * interval '1 second',
    CASE WHEN @status::text = 'succeeded' THEN clock_timestamp() END
)
ON CONFLICT (charge_id) DO NOTHING;

-- TestChargeInsertMany records charges that have succeeded, and names those whose ids were not taken.
-- name: TestChargeInsertMany :many
WITH given AS (
    SELECT
        unnest(@charge_ids::uuid[]) AS charge_id,
        unnest(@amount_minors::bigint[]) AS amount_minor,
        unnest(@currencies::text[]) AS currency
)
INSERT INTO test_charge (
    charge_id,
    amount_minor,
    currency,
    status,
    captured_at
)
SELECT
    given.charge_id,
    given.amount_minor,
    given.currency,
    'succeeded',
    clock_timestamp()
FROM given
ORDER BY given.charge_id
ON CONFLICT (charge_id) DO NOTHING
RETURNING test_charge.charge_id;

-- TestChargeLock locks a charge and reads its status. Whether its time has come is for a later statement to see: this one may wait.
-- name: TestChargeLock :one
SELECT test_charge.status
FROM test_charge
WHERE test_charge.charge_id = @charge_id
FOR NO KEY UPDATE;

-- TestChargeState reads a charge without a lock. Due means that the time of one that is pending has come, and that it is to be captured.
-- name: TestChargeState :one
SELECT
    test_charge.status,
    coalesce(test_charge.status = 'pending' AND test_charge.captures_at <= clock_timestamp(), false)::boolean AS due
FROM test_charge
WHERE test_charge.charge_id = @charge_id;

-- TestRefundByID reads a refund.
-- name: TestRefundByID :one
SELECT
    test_refund.charge_id,
    test_refund.amount_minor
FROM test_refund
WHERE test_refund.refund_id = @refund_id;

-- TestRefundInsert gives back part of a charge, of which the caller has the lock. It does nothing when the charge did not succeed or has
-- less left than that, or when the id is taken.
-- name: TestRefundInsert :execrows
INSERT INTO test_refund (
    refund_id,
    charge_id,
    amount_minor
)
SELECT
    @refund_id::uuid,
    test_charge.charge_id,
    @amount_minor::bigint
FROM test_charge
WHERE test_charge.charge_id = @charge_id
    AND test_charge.status = 'succeeded'
    AND @amount_minor::bigint <= test_charge.amount_minor - coalesce((
        SELECT sum(given_back.amount_minor)
        FROM test_refund AS given_back
        WHERE given_back.charge_id = test_charge.charge_id
    ), 0)
ON CONFLICT (refund_id) DO NOTHING;
