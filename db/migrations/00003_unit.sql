-- +goose Up
CREATE TABLE receipt (
    receipt_id uuid NOT NULL,
    product_id bigint NOT NULL,
    quantity integer NOT NULL,
    reference text NOT NULL,
    serials_hash bytea,
    api_key_id uuid NOT NULL,
    idempotency_key text,
    created_at timestamptz NOT NULL,
    CONSTRAINT receipt_pkey PRIMARY KEY (receipt_id),
    CONSTRAINT receipt_key_once UNIQUE (api_key_id, idempotency_key),
    CONSTRAINT receipt_product_fkey FOREIGN KEY (product_id) REFERENCES product (product_id),
    CONSTRAINT receipt_quantity_range CHECK (quantity BETWEEN 1 AND 1000000),
    CONSTRAINT receipt_reference_length CHECK (length(reference) BETWEEN 1 AND 200),
    CONSTRAINT receipt_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 255)
);

CREATE INDEX receipt_by_product ON receipt (product_id);

COMMENT ON COLUMN receipt.serials_hash IS 'SHA-256 over the serials in their order, to tell a repeated call from another one with the same key';

-- A unit's row is written once and never changed: where the unit is, is told by the one row elsewhere that names it
-- (stock_token, a live claim_unit, or withdrawal_unit). No foreign key: a receipt makes up to a million at once.
CREATE TABLE unit (
    unit_id uuid NOT NULL,
    product_id bigint NOT NULL,
    receipt_id uuid NOT NULL,
    serial text,
    CONSTRAINT unit_pkey PRIMARY KEY (unit_id),
    CONSTRAINT unit_serial_length CHECK (length(serial) BETWEEN 1 AND 100)
);

CREATE INDEX unit_by_product ON unit (product_id);

CREATE UNIQUE INDEX unit_serial_once ON unit (product_id, serial) WHERE serial IS NOT NULL;

CREATE TABLE withdrawal (
    withdrawal_id uuid NOT NULL,
    product_id bigint NOT NULL,
    quantity integer NOT NULL,
    reason text NOT NULL,
    api_key_id uuid NOT NULL,
    idempotency_key text,
    created_at timestamptz NOT NULL,
    CONSTRAINT withdrawal_pkey PRIMARY KEY (withdrawal_id),
    CONSTRAINT withdrawal_key_once UNIQUE (api_key_id, idempotency_key),
    CONSTRAINT withdrawal_product_fkey FOREIGN KEY (product_id) REFERENCES product (product_id),
    CONSTRAINT withdrawal_quantity_range CHECK (quantity BETWEEN 1 AND 1000000),
    CONSTRAINT withdrawal_reason_length CHECK (length(reason) BETWEEN 1 AND 200),
    CONSTRAINT withdrawal_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 255)
);

CREATE INDEX withdrawal_by_product ON withdrawal (product_id);

CREATE TABLE withdrawal_unit (
    unit_id uuid NOT NULL,
    withdrawal_id uuid NOT NULL,
    CONSTRAINT withdrawal_unit_once PRIMARY KEY (unit_id)
);

CREATE INDEX withdrawal_unit_by_withdrawal ON withdrawal_unit (withdrawal_id);

-- The nth of many UUIDv7 made at one instant (RFC 9562, section 6.2, method 1: the counter fills rand_a and runs over into
-- the timestamp). They rise with n, so that a large receipt appends to its indexes; 62 bits of each are random.
-- +goose StatementBegin
CREATE FUNCTION uuid_v7_nth(base_ms bigint, n bigint) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$
    SELECT encode(
        substring(int8send(base_ms + n / 4096) FROM 3)
        || int2send((28672 + n % 4096)::int2)
        || substring(uuid_send(gen_random_uuid()) FROM 9),
        'hex'
    )::uuid
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION uuid_v7_nth(bigint, bigint);
DROP TABLE withdrawal_unit;
DROP TABLE withdrawal;
DROP TABLE unit;
DROP TABLE receipt;
