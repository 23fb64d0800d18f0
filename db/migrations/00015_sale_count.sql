-- +goose Up
-- What was answered to those who asked for units of a sale, by the second: each server adds what it has counted in memory, so rows of all servers
-- add up in one. Rows are few (a sale, a second, a product and an outcome), and go with the sale.
CREATE TABLE sale_count (
    sale_id uuid NOT NULL,
    at timestamptz NOT NULL,
    product_id bigint NOT NULL,
    outcome text NOT NULL,
    call_count bigint NOT NULL,
    unit_count bigint NOT NULL,
    latencies integer[] NOT NULL,
    CONSTRAINT sale_count_pkey PRIMARY KEY (sale_id, at, product_id, outcome),
    CONSTRAINT sale_count_positive CHECK (call_count > 0 AND unit_count >= call_count)
);

COMMENT ON COLUMN sale_count.at IS 'the end of the second in which they were answered';
COMMENT ON COLUMN sale_count.outcome IS 'held, or the problem code of the refusal';
COMMENT ON COLUMN sale_count.unit_count IS 'units held, or asked for in vain';
COMMENT ON COLUMN sale_count.latencies IS 'pairs of a bucket (see internal/shop/latency.go) and how many calls fell into it; a bucket may stand there twice';

-- Where the units of a sale were, as one server at a time counts them.
CREATE TABLE sale_sample (
    sale_id uuid NOT NULL,
    at timestamptz NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    ordered bigint NOT NULL,
    sold bigint NOT NULL,
    queued bigint NOT NULL,
    sampled_at timestamptz NOT NULL,
    took_seconds double precision NOT NULL,
    CONSTRAINT sale_sample_pkey PRIMARY KEY (sale_id, at)
);

COMMENT ON COLUMN sale_sample.at IS 'the end of the second in which it was taken';
COMMENT ON COLUMN sale_sample.queued IS 'requests that wait for their turn';

-- The same product by product, written when it differs from the row before.
CREATE TABLE sale_place (
    sale_id uuid NOT NULL,
    product_id bigint NOT NULL,
    at timestamptz NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    ordered bigint NOT NULL,
    sold bigint NOT NULL,
    CONSTRAINT sale_place_pkey PRIMARY KEY (sale_id, product_id, at)
);

-- +goose Down
DROP TABLE sale_place;
DROP TABLE sale_sample;
DROP TABLE sale_count;
