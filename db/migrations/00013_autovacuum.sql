-- +goose Up
-- Tables that take thousands of rows a second: at 1 or 2 % of growth they were analyzed, and the indexes of stock_token read from end to end, at every look
-- of autovacuum, for a sixth of the processor time that PostgreSQL spent on a claim. Claims do not walk over dead tokens (a lane remembers where it was), nor does their
-- planner choose by statistics.
ALTER TABLE stock_token SET (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_analyze_scale_factor = 0.1
);

ALTER TABLE claim SET (autovacuum_analyze_scale_factor = 0.1);

ALTER TABLE claim_unit SET (autovacuum_analyze_scale_factor = 0.1);

-- +goose Down
ALTER TABLE stock_token RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold,
    autovacuum_vacuum_cost_delay,
    autovacuum_analyze_scale_factor
);

ALTER TABLE stock_token SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02
);

ALTER TABLE claim SET (autovacuum_analyze_scale_factor = 0.02);

ALTER TABLE claim_unit SET (autovacuum_analyze_scale_factor = 0.02);
