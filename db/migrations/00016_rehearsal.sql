-- +goose Up
ALTER TABLE sale ADD COLUMN rehearsal boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN sale.rehearsal IS 'its products are a rehearsal''s: absent from lists, and gone with them';

-- A rehearsal of a sale that was asked for over HTTP. The server that plays it says again and again that it is there.
CREATE TABLE rehearsal (
    rehearsal_id uuid NOT NULL,
    sale_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    own_key_id uuid NOT NULL,
    buyer_count integer NOT NULL,
    status text NOT NULL,
    sent bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    report jsonb,
    detail text,
    started_at timestamptz NOT NULL,
    beat_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT rehearsal_pkey PRIMARY KEY (rehearsal_id),
    CONSTRAINT rehearsal_buyers_range CHECK (buyer_count BETWEEN 1 AND 5000),
    CONSTRAINT rehearsal_status_known CHECK (status IN ('running', 'finished', 'failed')),
    CONSTRAINT rehearsal_ends CHECK ((status = 'running') = (finished_at IS NULL)),
    CONSTRAINT rehearsal_finished_with_report CHECK ((status = 'finished') = (report IS NOT NULL)),
    CONSTRAINT rehearsal_failed_for_a_reason CHECK (status <> 'failed' OR detail IS NOT NULL)
);

CREATE UNIQUE INDEX rehearsal_one_at_once ON rehearsal (status) WHERE status = 'running';

COMMENT ON COLUMN rehearsal.api_key_id IS 'who asked for it';
COMMENT ON COLUMN rehearsal.own_key_id IS 'the key that it plays with, which is deleted after it';
COMMENT ON COLUMN rehearsal.beat_at IS 'when its server was there last';

-- +goose Down
DROP TABLE rehearsal;
ALTER TABLE sale DROP COLUMN rehearsal;
