-- Makes the tables that the contenders need besides the schema of lastunit, anew.
DROP TABLE IF EXISTS
    bench_counter,
    bench_unit;

CREATE TABLE bench_counter (
    sku text NOT NULL PRIMARY KEY,
    product_id bigint NOT NULL,
    stock bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE bench_unit (
    unit_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id bigint NOT NULL,
    status text NOT NULL DEFAULT 'available',
    claim_id uuid
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX bench_unit_available ON bench_unit (product_id, unit_id) WHERE status = 'available';

CREATE INDEX bench_unit_by_claim ON bench_unit (claim_id) WHERE claim_id IS NOT NULL;
