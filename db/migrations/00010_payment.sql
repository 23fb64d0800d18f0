-- +goose Up
CREATE TABLE payment (
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    provider text NOT NULL,
    status text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    refunded_minor bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    ask_at timestamptz,
    settled_at timestamptz,
    CONSTRAINT payment_pkey PRIMARY KEY (payment_id),
    CONSTRAINT payment_order_fkey FOREIGN KEY (order_id) REFERENCES shop_order (order_id),
    CONSTRAINT payment_status_known CHECK (status IN ('pending', 'succeeded', 'failed')),
    CONSTRAINT payment_amount_not_negative CHECK (amount_minor >= 0),
    CONSTRAINT payment_refunded_within_amount CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT payment_refunded_what_was_paid CHECK (refunded_minor = 0 OR status = 'succeeded'),
    CONSTRAINT payment_settled_when CHECK ((status = 'pending') = (settled_at IS NULL)),
    CONSTRAINT payment_asked_while_pending CHECK ((status = 'pending') = (ask_at IS NOT NULL))
);

CREATE UNIQUE INDEX payment_live_once ON payment (order_id) WHERE status <> 'failed';

CREATE INDEX payment_by_order ON payment (order_id, payment_id);

CREATE INDEX payment_to_ask ON payment (ask_at) WHERE status = 'pending';

COMMENT ON COLUMN payment.payment_id IS 'also what the provider knows it by';
COMMENT ON COLUMN payment.ask_at IS 'when the provider is asked next what became of it';

CREATE TABLE refund (
    refund_id uuid NOT NULL,
    order_id uuid NOT NULL,
    payment_id uuid,
    status text NOT NULL,
    reason text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text,
    api_key_id uuid,
    created_at timestamptz NOT NULL,
    ask_at timestamptz,
    settled_at timestamptz,
    CONSTRAINT refund_pkey PRIMARY KEY (refund_id),
    CONSTRAINT refund_order_fkey FOREIGN KEY (order_id) REFERENCES shop_order (order_id),
    CONSTRAINT refund_status_known CHECK (status IN ('pending', 'succeeded')),
    CONSTRAINT refund_reason_known CHECK (reason IN ('returned', 'late-payment')),
    CONSTRAINT refund_amount_not_negative CHECK (amount_minor >= 0),
    CONSTRAINT refund_settled_when CHECK ((status = 'pending') = (settled_at IS NULL)),
    CONSTRAINT refund_asked_while_pending CHECK ((status = 'pending') = (ask_at IS NOT NULL))
);

CREATE INDEX refund_by_order ON refund (order_id);

CREATE INDEX refund_to_ask ON refund (ask_at) WHERE status = 'pending';

COMMENT ON COLUMN refund.payment_id IS 'null: somebody else took the money, and gives it back';

-- The books of the payment provider "test". It is outside of the shop, and its rows are written by transactions of its own.
CREATE TABLE test_charge (
    charge_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    captures_at timestamptz,
    captured_at timestamptz,
    CONSTRAINT test_charge_pkey PRIMARY KEY (charge_id),
    CONSTRAINT test_charge_status_known CHECK (status IN ('pending', 'succeeded', 'failed'))
);

COMMENT ON COLUMN test_charge.captures_at IS 'when a charge that is pending takes the money; null: never';

CREATE TABLE test_refund (
    refund_id uuid NOT NULL,
    charge_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT test_refund_pkey PRIMARY KEY (refund_id)
);

CREATE INDEX test_refund_by_charge ON test_refund (charge_id);

-- +goose Down
DROP TABLE test_refund;
DROP TABLE test_charge;
DROP TABLE refund;
DROP TABLE payment;
