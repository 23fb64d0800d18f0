-- Does what PostgreSQL would do later about what was just set up, so that no turn pays for it. Not everybody may CHECKPOINT.
VACUUM (ANALYZE)
    product,
    unit,
    stock_token,
    claim,
    claim_unit,
    bench_counter,
    bench_unit;

SELECT pg_has_role('pg_checkpoint', 'USAGE') AS may
\gset

\if :may

CHECKPOINT;

\endif
