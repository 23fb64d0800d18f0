-- StripeChargeByID reads a charge. No row: it has never been seen.
-- name: StripeChargeByID :one
SELECT sqlc.embed(stripe_charge)
FROM stripe_charge
WHERE stripe_charge.charge_id = @charge_id;

-- StripeChargeByIntent finds the charge that a PaymentIntent is of. No row: it is none of ours.
-- name: StripeChargeByIntent :one
SELECT stripe_charge.charge_id
FROM stripe_charge
WHERE stripe_charge.intent_id = @intent_id::text;

-- StripeChargeInsert records a charge, or one that is called off before it was seen; nothing when its id is taken.
-- name: StripeChargeInsert :execrows
INSERT INTO stripe_charge (
    charge_id,
    order_id,
    amount_minor,
    currency,
    voided_at,
    created_at
) VALUES (
    @charge_id,
    sqlc.narg('order_id'),
    @amount_minor,
    @currency,
    CASE WHEN @voided::boolean THEN clock_timestamp() END,
    clock_timestamp()
)
ON CONFLICT (charge_id) DO NOTHING;

-- StripeChargeIntent gives a charge its PaymentIntent, unless it has one or was called off.
-- name: StripeChargeIntent :execrows
UPDATE stripe_charge
SET intent_id = @intent_id::text
WHERE stripe_charge.charge_id = @charge_id
    AND stripe_charge.intent_id IS NULL
    AND stripe_charge.voided_at IS NULL;

-- StripeChargeVoid calls off a charge that has no PaymentIntent. One of nothing needs none, and is taken.
-- name: StripeChargeVoid :execrows
UPDATE stripe_charge
SET voided_at = clock_timestamp()
WHERE stripe_charge.charge_id = @charge_id
    AND stripe_charge.intent_id IS NULL
    AND stripe_charge.voided_at IS NULL
    AND stripe_charge.amount_minor > 0;
