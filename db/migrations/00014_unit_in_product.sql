-- +goose NO TRANSACTION
-- +goose Up
-- A product's units in the order of their ids, for whoever goes through all of them piece by piece.
-- What was interrupted has left an index behind that is not valid.
DROP INDEX CONCURRENTLY IF EXISTS unit_in_product;
CREATE INDEX CONCURRENTLY unit_in_product ON unit (product_id, unit_id);
DROP INDEX CONCURRENTLY IF EXISTS unit_by_product;
ALTER TABLE stock_token ALTER COLUMN position SET DEFAULT nextval('stock_token_position');

-- +goose Down
ALTER TABLE stock_token ALTER COLUMN position DROP DEFAULT;
DROP INDEX CONCURRENTLY IF EXISTS unit_by_product;
CREATE INDEX CONCURRENTLY unit_by_product ON unit (product_id);
DROP INDEX CONCURRENTLY IF EXISTS unit_in_product;
