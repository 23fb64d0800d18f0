-- StripeRefundAgain begins a refund anew, unless somebody else has.
-- name: StripeRefundAgain :execrows
UPDATE stripe_refund
SET
    attempt = stripe_refund.attempt + 1,
    attempted_at = clock_timestamp(),
    stripe_refund_id = NULL
WHERE stripe_refund.refund_id = @refund_id
    AND stripe_refund.attempt = @attempt;

-- StripeRefundByID reads a refund, with how long ago it was begun. No row: it has never been seen.
-- name: StripeRefundByID :one
SELECT
    sqlc.embed(stripe_refund),
    extract(epoch FROM clock_timestamp() - stripe_refund.attempted_at)::float8 AS age_seconds
FROM stripe_refund
WHERE stripe_refund.refund_id = @refund_id;

-- StripeRefundByStripeID finds what Stripe knows by an id of its own. No row: it is none of ours.
-- name: StripeRefundByStripeID :one
SELECT stripe_refund.refund_id
FROM stripe_refund
WHERE stripe_refund.stripe_refund_id = @stripe_refund_id::text;

-- StripeRefundInsert records a refund, or nothing when its id is taken.
-- name: StripeRefundInsert :execrows
INSERT INTO stripe_refund (
    refund_id,
    charge_id,
    amount_minor,
    attempt,
    attempted_at
) VALUES (
    @refund_id,
    @charge_id,
    @amount_minor,
    1,
    clock_timestamp()
)
ON CONFLICT (refund_id) DO NOTHING;

-- StripeRefundMade records what Stripe calls a refund, unless it was begun anew since.
-- name: StripeRefundMade :execrows
UPDATE stripe_refund
SET stripe_refund_id = @stripe_refund_id::text
WHERE stripe_refund.refund_id = @refund_id
    AND stripe_refund.attempt = @attempt;

-- StripeRefundSum sums up what is to be given back of a charge.
-- name: StripeRefundSum :one
SELECT coalesce(sum(stripe_refund.amount_minor), 0)::bigint AS amount_minor
FROM stripe_refund
WHERE stripe_refund.charge_id = @charge_id;
