-- +goose NO TRANSACTION
-- +goose Up
-- Events get their positions in the order in which they happened, by the database's clock: their ids are made by servers, whose clocks differ.
-- What was interrupted has left an index behind that is not valid.
DROP INDEX CONCURRENTLY IF EXISTS event_unpublished_by_time;
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_unpublished_by_time ON event (created_at, event_id) WHERE position IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS event_unpublished;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS event_unpublished;
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_unpublished ON event (event_id) WHERE position IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS event_unpublished_by_time;
