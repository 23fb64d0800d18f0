-- +goose Up
-- The books of the payment provider "stripe": which of Stripe's objects are ours. It is outside of the shop, and its rows are written by transactions of its own.
CREATE TABLE stripe_charge (
    charge_id uuid NOT NULL,
    order_id uuid,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    intent_id text,
    voided_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT stripe_charge_pkey PRIMARY KEY (charge_id),
    CONSTRAINT stripe_charge_amount_not_negative CHECK (amount_minor >= 0),
    CONSTRAINT stripe_charge_void_or_intent CHECK (voided_at IS NULL OR intent_id IS NULL)
);

CREATE UNIQUE INDEX stripe_charge_intent_once ON stripe_charge (intent_id);

COMMENT ON COLUMN stripe_charge.intent_id IS 'the PaymentIntent; nobody is given its secret, and it is not confirmed, before it stands here';
COMMENT ON COLUMN stripe_charge.voided_at IS 'when the charge was called off before it had a PaymentIntent: it is not to get one';

CREATE TABLE stripe_refund (
    refund_id uuid NOT NULL,
    charge_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    attempt integer NOT NULL,
    attempted_at timestamptz NOT NULL,
    stripe_refund_id text,
    CONSTRAINT stripe_refund_pkey PRIMARY KEY (refund_id),
    CONSTRAINT stripe_refund_amount_not_negative CHECK (amount_minor >= 0)
);

CREATE UNIQUE INDEX stripe_refund_made_once ON stripe_refund (stripe_refund_id);

CREATE INDEX stripe_refund_by_charge ON stripe_refund (charge_id);

COMMENT ON COLUMN stripe_refund.attempt IS 'how often it was begun anew; Stripe is asked with another key for each';

ALTER TABLE payment
ADD COLUMN attention text[] NOT NULL DEFAULT '{}',
ADD CONSTRAINT payment_attention_known CHECK (attention <@ ARRAY['amount-differs', 'dispute-lost', 'payment-disputed', 'refund-failed', 'refunded-elsewhere']);

COMMENT ON COLUMN payment.attention IS 'what the shop''s people should look at, in the order of the alphabet';

-- +goose Down
ALTER TABLE payment
DROP CONSTRAINT payment_attention_known,
DROP COLUMN attention;

DROP TABLE stripe_refund;
DROP TABLE stripe_charge;
