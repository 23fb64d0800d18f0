-- Does what PostgreSQL would do later about what was just set up, so that no turn pays for it. Not everybody may CHECKPOINT. claim and
-- claim_unit are left out: once they were seen to be empty, ClaimByKeys is planned to read all of claim, until autovacuum looks again.
VACUUM (ANALYZE)
    product,
    unit,
    stock_token,
    bench_counter,
    bench_unit;

SELECT pg_has_role('pg_checkpoint', 'USAGE') AS may
\gset

\if :may

CHECKPOINT;

\endif
