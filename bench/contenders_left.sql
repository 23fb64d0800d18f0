-- How many units can be claimed, whichever way they are kept: for :left.
SELECT (SELECT sum(bench_counter.stock) FROM bench_counter)
    + (SELECT count(*) FROM bench_unit WHERE bench_unit.status = 'available')
    + (SELECT count(*) FROM stock_token) AS left
\gset
