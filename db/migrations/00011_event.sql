-- +goose Up
CREATE SEQUENCE event_position;

-- The outbox: a row is written in the transaction that did what it tells. Its position is given later, in a transaction that locks event_tail,
-- so that positions become visible in their order and a reader who has seen one has seen all before it.
CREATE TABLE event (
    event_id uuid NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    position bigint,
    CONSTRAINT event_pkey PRIMARY KEY (event_id),
    CONSTRAINT event_position_once UNIQUE (position)
);

CREATE INDEX event_unpublished ON event (event_id) WHERE position IS NULL;

CREATE TABLE event_tail (
    only_row boolean NOT NULL DEFAULT true,
    CONSTRAINT event_tail_pkey PRIMARY KEY (only_row),
    CONSTRAINT event_tail_only_row CHECK (only_row)
);

INSERT INTO event_tail DEFAULT VALUES;

-- The pools of which an event has told that they ran out.
CREATE TABLE stock_out (
    product_id bigint NOT NULL,
    pool_id bigint NOT NULL,
    since timestamptz NOT NULL,
    CONSTRAINT stock_out_pkey PRIMARY KEY (product_id, pool_id)
);

-- +goose Down
DROP TABLE stock_out;
DROP TABLE event_tail;
DROP TABLE event;
DROP SEQUENCE event_position;
