-- +goose Up
-- An order: what checkout, or the shop beside us, makes of holds. Its lines are the claims that name it. (order is a word of SQL.)
CREATE TABLE shop_order (
    order_id uuid NOT NULL,
    buyer text NOT NULL,
    status text NOT NULL,
    reason text,
    provider text NOT NULL,
    total_minor bigint,
    currency text,
    refunded_minor bigint NOT NULL DEFAULT 0,
    pay_by timestamptz,
    reference text,
    metadata jsonb,
    replaces_order_id uuid,
    created_at timestamptz NOT NULL,
    paid_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT shop_order_pkey PRIMARY KEY (order_id),
    CONSTRAINT shop_order_buyer_length CHECK (length(buyer) BETWEEN 1 AND 128),
    CONSTRAINT shop_order_reference_length CHECK (length(reference) BETWEEN 1 AND 200),
    CONSTRAINT shop_order_status_known CHECK (status IN ('awaiting_payment', 'paid', 'cancelled', 'refunded')),
    CONSTRAINT shop_order_total_whole CHECK ((total_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT shop_order_total_not_negative CHECK (total_minor >= 0),
    CONSTRAINT shop_order_refunded_within_total CHECK (refunded_minor BETWEEN 0 AND coalesce(total_minor, 0)),
    CONSTRAINT shop_order_pay_by_while_unpaid CHECK (status <> 'awaiting_payment' OR pay_by IS NOT NULL),
    CONSTRAINT shop_order_cancelled_for_a_reason CHECK ((status = 'cancelled') = (reason IS NOT NULL)),
    CONSTRAINT shop_order_paid_when CHECK ((status IN ('paid', 'refunded')) = (paid_at IS NOT NULL)),
    CONSTRAINT shop_order_ended_when CHECK ((status IN ('cancelled', 'refunded')) = (ended_at IS NOT NULL))
);

CREATE UNIQUE INDEX shop_order_reference_once ON shop_order (reference) WHERE provider = 'external';

CREATE INDEX shop_order_by_reference ON shop_order (reference) WHERE reference IS NOT NULL;

CREATE INDEX shop_order_by_buyer ON shop_order (buyer, order_id);

CREATE INDEX shop_order_unpaid ON shop_order (pay_by) WHERE status = 'awaiting_payment';

CREATE UNIQUE INDEX shop_order_replaced_once ON shop_order (replaces_order_id) WHERE replaces_order_id IS NOT NULL;

COMMENT ON COLUMN shop_order.replaces_order_id IS 'the cancelled order whose money came too late; this one has equal units';

-- The states of an order, in the one direction that they may go.
-- +goose StatementBegin
CREATE FUNCTION shop_order_refuse_transition() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'order % cannot go from % to %', OLD.order_id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'shop_order_moves_forward';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER shop_order_moves_forward
BEFORE UPDATE OF status ON shop_order
FOR EACH ROW
WHEN (
    OLD.status <> NEW.status
    AND NOT (OLD.status = 'awaiting_payment' AND NEW.status IN ('paid', 'cancelled'))
    AND NOT (OLD.status = 'paid' AND NEW.status = 'refunded')
)
EXECUTE FUNCTION shop_order_refuse_transition();

ALTER TABLE claim
    ADD COLUMN order_id uuid,
    ADD COLUMN unpaid boolean NOT NULL DEFAULT false,
    ADD COLUMN pay_by timestamptz,
    ADD COLUMN replaces_claim_id uuid,
    ADD CONSTRAINT claim_ordered_in_time CHECK (status <> 'ordered' OR ended_at < expires_at),
    ADD CONSTRAINT claim_order_when_ordered CHECK ((status = 'ordered') = (order_id IS NOT NULL)),
    ADD CONSTRAINT claim_unpaid_when_ordered CHECK (NOT unpaid OR status = 'ordered'),
    ADD CONSTRAINT claim_pay_by_while_unpaid CHECK (pay_by IS NULL OR unpaid);

COMMENT ON CONSTRAINT claim_ordered_in_time ON claim IS 'ended_at is when it was ordered; expires_at is null when it replaces a hold that had lapsed';
COMMENT ON COLUMN claim.unpaid IS 'its order awaits payment, so its units may come back by themselves';
COMMENT ON COLUMN claim.pay_by IS 'when its units come back by themselves; null while a payment is under way';
COMMENT ON COLUMN claim.replaces_claim_id IS 'a hold that lapsed before it was paid for; this one has equal units';

CREATE INDEX claim_unpaid_by_product ON claim (product_id, pool_id, pay_by) WHERE unpaid;

CREATE INDEX claim_by_order ON claim (order_id) WHERE order_id IS NOT NULL;

CREATE UNIQUE INDEX claim_replaced_once ON claim (replaces_claim_id) WHERE replaces_claim_id IS NOT NULL;

ALTER TABLE claim_unit
    ADD COLUMN outcome text,
    ADD CONSTRAINT claim_unit_outcome_known CHECK (outcome IN ('cancelled', 'returned', 'quarantined', 'written_off')),
    ADD CONSTRAINT claim_unit_outcome_when_released CHECK (outcome IS NULL OR released_at IS NOT NULL);

COMMENT ON COLUMN claim_unit.outcome IS 'how a unit left an order; null: the claim was a hold, and its status tells';

-- Units that came back from an order and wait for somebody to look at them.
CREATE TABLE quarantine_unit (
    unit_id uuid NOT NULL,
    product_id bigint NOT NULL,
    order_id uuid NOT NULL,
    entered_at timestamptz NOT NULL,
    left_at timestamptz,
    outcome text,
    CONSTRAINT quarantine_unit_pkey PRIMARY KEY (unit_id, entered_at),
    CONSTRAINT quarantine_unit_live_once UNIQUE NULLS NOT DISTINCT (unit_id, left_at),
    CONSTRAINT quarantine_unit_outcome_known CHECK (outcome IN ('released', 'withdrawn')),
    CONSTRAINT quarantine_unit_outcome_when_left CHECK ((outcome IS NULL) = (left_at IS NULL))
);

ALTER TABLE withdrawal
    ADD COLUMN place text NOT NULL DEFAULT 'available',
    ADD CONSTRAINT withdrawal_place_known CHECK (place IN ('available', 'quarantine', 'sold'));

COMMENT ON COLUMN withdrawal.place IS 'where its units were';

CREATE INDEX quarantine_unit_by_product ON quarantine_unit (product_id, entered_at) WHERE left_at IS NULL;

-- +goose Down
ALTER TABLE withdrawal
    DROP CONSTRAINT withdrawal_place_known,
    DROP COLUMN place;
DROP TABLE quarantine_unit;
ALTER TABLE claim_unit
    DROP CONSTRAINT claim_unit_outcome_when_released,
    DROP CONSTRAINT claim_unit_outcome_known,
    DROP COLUMN outcome;
DROP INDEX claim_replaced_once;
DROP INDEX claim_by_order;
DROP INDEX claim_unpaid_by_product;
ALTER TABLE claim
    DROP CONSTRAINT claim_pay_by_while_unpaid,
    DROP CONSTRAINT claim_unpaid_when_ordered,
    DROP CONSTRAINT claim_order_when_ordered,
    DROP CONSTRAINT claim_ordered_in_time,
    DROP COLUMN replaces_claim_id,
    DROP COLUMN pay_by,
    DROP COLUMN unpaid,
    DROP COLUMN order_id;
DROP TABLE shop_order;
DROP FUNCTION shop_order_refuse_transition();
