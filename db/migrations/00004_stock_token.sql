-- +goose Up
CREATE SEQUENCE stock_token_position;

-- A row here says "this unit may be claimed"; a claim deletes it. Rows are written once and deleted once, never updated.
CREATE TABLE stock_token (
    product_id bigint NOT NULL,
    pool_id bigint NOT NULL,
    position bigint NOT NULL,
    unit_id uuid NOT NULL,
    CONSTRAINT stock_token_pkey PRIMARY KEY (product_id, pool_id, position),
    CONSTRAINT stock_token_unit_once UNIQUE (unit_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02
);

COMMENT ON COLUMN stock_token.pool_id IS '0 is the common pool; any other is the allotment of one sale';
COMMENT ON COLUMN stock_token.position IS 'claims go from low to high; a unit that comes back gets a new, higher one';

-- +goose Down
DROP TABLE stock_token;
DROP SEQUENCE stock_token_position;
