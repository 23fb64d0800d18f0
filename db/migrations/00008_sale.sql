-- +goose Up
CREATE TABLE sale (
    sale_id uuid NOT NULL,
    pool_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    stage text NOT NULL DEFAULT 'draft',
    opens_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    paused_at timestamptz,
    hold_seconds integer NOT NULL,
    purchase_limit integer,
    max_quantity integer NOT NULL,
    cooldown_seconds integer NOT NULL,
    announced text NOT NULL DEFAULT 'draft',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT sale_pkey PRIMARY KEY (sale_id),
    CONSTRAINT sale_pool_once UNIQUE (pool_id),
    CONSTRAINT sale_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT sale_stage_known CHECK (stage IN ('draft', 'scheduled', 'closed')),
    CONSTRAINT sale_opens_before_it_closes CHECK (opens_at <= closes_at),
    CONSTRAINT sale_hold_range CHECK (hold_seconds BETWEEN 1 AND 86400),
    CONSTRAINT sale_limit_positive CHECK (purchase_limit >= 1),
    CONSTRAINT sale_max_quantity_range CHECK (max_quantity BETWEEN 1 AND 1000),
    CONSTRAINT sale_cooldown_range CHECK (cooldown_seconds BETWEEN 0 AND 86400)
);

CREATE INDEX sale_live ON sale (closes_at) WHERE stage = 'scheduled';

COMMENT ON COLUMN sale.pool_id IS 'the pool of its allotments';
COMMENT ON COLUMN sale.stage IS 'what was decided; what is shown follows the clock: see sale_state. closed: nothing of it is left in its pool';
COMMENT ON COLUMN sale.announced IS 'the state of which an event has told';

-- The state of a sale at an instant.
-- +goose StatementBegin
CREATE FUNCTION sale_state(stage text, opens_at timestamptz, closes_at timestamptz, paused_at timestamptz, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN stage <> 'scheduled' THEN stage
        WHEN at >= closes_at THEN 'closed'
        WHEN at < opens_at THEN 'scheduled'
        WHEN paused_at IS NOT NULL THEN 'paused'
        ELSE 'open'
    END
$$;
-- +goose StatementEnd

-- The pool that a unit goes to when it comes back: where it was, or the common pool when the sale is over.
-- +goose StatementBegin
CREATE FUNCTION return_pool(pool bigint, at timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN pool = 0 THEN 0
        ELSE coalesce((
            SELECT sale.pool_id
            FROM sale
            WHERE sale.pool_id = pool
                AND sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, at) <> 'closed'
        ), 0)
    END
$$;
-- +goose StatementEnd

CREATE TABLE sale_item (
    sale_id uuid NOT NULL,
    product_id bigint NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    quantity integer,
    CONSTRAINT sale_item_pkey PRIMARY KEY (sale_id, product_id),
    CONSTRAINT sale_item_sale_fkey FOREIGN KEY (sale_id) REFERENCES sale (sale_id),
    CONSTRAINT sale_item_product_fkey FOREIGN KEY (product_id) REFERENCES product (product_id),
    CONSTRAINT sale_item_price_not_negative CHECK (price_minor >= 0),
    CONSTRAINT sale_item_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT sale_item_quantity_range CHECK (quantity BETWEEN 1 AND 1000000)
);

CREATE INDEX sale_item_by_product ON sale_item (product_id);

COMMENT ON COLUMN sale_item.quantity IS 'the allotment: tokens that lie in the pool of the sale while it is scheduled; null: it sells from the common pool';

-- How many units a buyer has of a sale: held, or ordered and not given back. The purchase limit stands beside them, so that the constraint can
-- hold it. Written by whoever takes units or gives them back, in the same transaction.
CREATE TABLE sale_buyer (
    sale_id uuid NOT NULL,
    buyer text NOT NULL,
    unit_count integer NOT NULL,
    purchase_limit integer,
    cool_until timestamptz,
    CONSTRAINT sale_buyer_pkey PRIMARY KEY (sale_id, buyer),
    CONSTRAINT sale_buyer_not_negative CHECK (unit_count >= 0),
    CONSTRAINT sale_buyer_within_limit CHECK (unit_count <= purchase_limit)
) WITH (fillfactor = 80);

COMMENT ON COLUMN sale_buyer.cool_until IS 'before this the buyer can claim nothing of the sale, because a hold has expired';

-- What was done to a sale, or to all selling (sale_id null): by which key, when, what.
CREATE TABLE sale_change (
    sale_change_id uuid NOT NULL,
    sale_id uuid,
    api_key_id uuid NOT NULL,
    action text NOT NULL,
    changes jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT sale_change_pkey PRIMARY KEY (sale_change_id)
);

CREATE INDEX sale_change_by_sale ON sale_change (sale_id, sale_change_id);

CREATE TABLE selling (
    only_row boolean NOT NULL DEFAULT true,
    paused_at timestamptz,
    CONSTRAINT selling_pkey PRIMARY KEY (only_row),
    CONSTRAINT selling_only_row CHECK (only_row)
);

INSERT INTO selling DEFAULT VALUES;

ALTER TABLE claim
    ADD COLUMN sale_id uuid,
    ADD COLUMN reference text,
    ADD COLUMN metadata jsonb,
    ADD CONSTRAINT claim_reference_length CHECK (length(reference) BETWEEN 1 AND 200);

COMMENT ON COLUMN claim.sale_id IS 'the sale that it was made in';

-- +goose Down
ALTER TABLE claim
    DROP CONSTRAINT claim_reference_length,
    DROP COLUMN metadata,
    DROP COLUMN reference,
    DROP COLUMN sale_id;
DROP TABLE selling;
DROP TABLE sale_change;
DROP TABLE sale_buyer;
DROP TABLE sale_item;
DROP FUNCTION return_pool(bigint, timestamptz);
DROP FUNCTION sale_state(text, timestamptz, timestamptz, timestamptz, timestamptz);
DROP TABLE sale;
