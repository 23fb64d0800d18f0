-- +goose Up
-- A table that has just begun to fill grows by a tenth many times a second, and each time 30,000 of its rows were read for statistics by which nothing on the
-- way of a claim is planned: 4 of 58 microseconds of PostgreSQL's processor time a claim in the first minute of a sale.
ALTER TABLE claim SET (autovacuum_analyze_threshold = 50000);

ALTER TABLE claim_unit SET (autovacuum_analyze_threshold = 50000);

ALTER TABLE stock_token SET (autovacuum_analyze_threshold = 50000);

-- +goose Down
ALTER TABLE claim RESET (autovacuum_analyze_threshold);

ALTER TABLE claim_unit RESET (autovacuum_analyze_threshold);

ALTER TABLE stock_token RESET (autovacuum_analyze_threshold);
