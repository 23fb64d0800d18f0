-- +goose Up
-- The queue of a pool has its two ends in rows of their own: acceptance appends under the lock of the tail, settlement takes
-- away under the lock of the head, and neither waits for the other (the two-lock queue of Michael and Scott, PODC 1996). Between them lie
-- the claims that are queued. A place is how many units had been asked for before, counted since the queue began.
CREATE TABLE queue_tail (
    product_id bigint NOT NULL,
    pool_id bigint NOT NULL,
    place bigint NOT NULL,
    CONSTRAINT queue_tail_pkey PRIMARY KEY (product_id, pool_id)
) WITH (fillfactor = 50);

COMMENT ON COLUMN queue_tail.place IS 'the place of the next request that is accepted';

CREATE TABLE queue_head (
    product_id bigint NOT NULL,
    pool_id bigint NOT NULL,
    place bigint NOT NULL,
    CONSTRAINT queue_head_pkey PRIMARY KEY (product_id, pool_id)
) WITH (fillfactor = 50);

COMMENT ON COLUMN queue_head.place IS 'no claim with a place before this one is queued any more';

ALTER TABLE claim
    ADD COLUMN queue_place bigint,
    ADD COLUMN reason text,
    ADD COLUMN reason_members jsonb,
    ADD CONSTRAINT claim_queued_in_place CHECK (status NOT IN ('queued', 'refused') OR queue_place IS NOT NULL),
    ADD CONSTRAINT claim_refused_for_a_reason CHECK ((status = 'refused') = (reason IS NOT NULL));

COMMENT ON COLUMN claim.queue_place IS 'null: it was claimed directly';
COMMENT ON COLUMN claim.reason IS 'the problem code of a refusal';
COMMENT ON COLUMN claim.reason_members IS 'what a caller needs to know besides the code';

CREATE UNIQUE INDEX claim_place_once ON claim (product_id, pool_id, queue_place) WHERE queue_place IS NOT NULL;

CREATE INDEX claim_cancelled_by_place ON claim (product_id, pool_id, queue_place) INCLUDE (quantity)
WHERE status = 'released' AND expires_at IS NULL;

CREATE INDEX claim_without_units_by_end ON claim (ended_at)
WHERE status = 'refused' OR (status = 'released' AND expires_at IS NULL);

-- How many units are asked for ahead of each claim that is queued. What was cancelled between it and the head is left out.
CREATE VIEW queue_position AS
SELECT
    claim.claim_id,
    (
        claim.queue_place - queue_head.place - (
            SELECT coalesce(sum(cancelled.quantity), 0)
            FROM claim AS cancelled
            WHERE cancelled.product_id = claim.product_id
                AND cancelled.pool_id = claim.pool_id
                AND cancelled.queue_place >= queue_head.place
                AND cancelled.queue_place < claim.queue_place
                AND cancelled.status = 'released'
                AND cancelled.expires_at IS NULL
        )
    )::bigint AS queue_position
FROM claim
JOIN queue_head ON queue_head.product_id = claim.product_id AND queue_head.pool_id = claim.pool_id
WHERE claim.status = 'queued';

-- +goose Down
DROP VIEW queue_position;
DROP INDEX claim_without_units_by_end;
DROP INDEX claim_cancelled_by_place;
DROP INDEX claim_place_once;
ALTER TABLE claim
    DROP CONSTRAINT claim_refused_for_a_reason,
    DROP CONSTRAINT claim_queued_in_place,
    DROP COLUMN reason_members,
    DROP COLUMN reason,
    DROP COLUMN queue_place;
DROP TABLE queue_head;
DROP TABLE queue_tail;
