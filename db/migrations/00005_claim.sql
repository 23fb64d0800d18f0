-- +goose Up
-- The record of a claim; its public name is transaction. No foreign key to product: it is checked in the statement that
-- claims, and by the audit (a foreign key from a hot insert to one row makes multixacts of it).
CREATE TABLE claim (
    claim_id uuid NOT NULL,
    buyer text NOT NULL,
    product_id bigint NOT NULL,
    pool_id bigint NOT NULL,
    quantity integer NOT NULL,
    status text NOT NULL,
    idempotency_key text,
    price_minor bigint,
    currency text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT claim_pkey PRIMARY KEY (claim_id),
    CONSTRAINT claim_buyer_length CHECK (length(buyer) BETWEEN 1 AND 128),
    CONSTRAINT claim_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT claim_quantity_positive CHECK (quantity > 0),
    CONSTRAINT claim_status_known CHECK (status IN ('queued', 'held', 'ordered', 'released', 'expired', 'refused')),
    CONSTRAINT claim_held_until CHECK (status NOT IN ('held', 'expired') OR expires_at IS NOT NULL),
    CONSTRAINT claim_ended_when_not_live CHECK ((status IN ('queued', 'held')) = (ended_at IS NULL)),
    CONSTRAINT claim_expired_not_early CHECK (status <> 'expired' OR ended_at >= expires_at),
    CONSTRAINT claim_price_whole CHECK ((price_minor IS NULL) = (currency IS NULL))
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02
);

CREATE UNIQUE INDEX claim_key_once ON claim (buyer, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX claim_held_by_product ON claim (product_id, pool_id, expires_at) WHERE status = 'held';

CREATE INDEX claim_ordered_by_product ON claim (product_id, pool_id) WHERE status = 'ordered';

CREATE INDEX claim_live_by_buyer ON claim (buyer) WHERE status IN ('queued', 'held');

-- The states of a transaction, in the one direction that they may go.
-- +goose StatementBegin
CREATE FUNCTION claim_refuse_transition() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'transaction % cannot go from % to %', OLD.claim_id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_moves_forward';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER claim_moves_forward
BEFORE UPDATE OF status ON claim
FOR EACH ROW
WHEN (
    OLD.status <> NEW.status
    AND NOT (OLD.status = 'queued' AND NEW.status IN ('held', 'refused', 'released'))
    AND NOT (OLD.status = 'held' AND NEW.status IN ('ordered', 'released', 'expired'))
)
EXECUTE FUNCTION claim_refuse_transition();

-- Which units a claim has or had. The row is only ever made from the DELETE ... RETURNING of the unit's token.
CREATE TABLE claim_unit (
    claim_id uuid NOT NULL,
    unit_id uuid NOT NULL,
    released_at timestamptz,
    CONSTRAINT claim_unit_pkey PRIMARY KEY (claim_id, unit_id),
    CONSTRAINT claim_unit_live_once UNIQUE NULLS NOT DISTINCT (unit_id, released_at)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02
);

-- +goose Down
DROP TABLE claim_unit;
DROP TABLE claim;
DROP FUNCTION claim_refuse_transition();
