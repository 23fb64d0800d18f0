-- Counts, as check.sql does, what doesn't add up after the turn of a contender that had :stock units to sell. pgbench has counted :claims
-- claims, and of the units that could be claimed :before, :left are left.
WITH checked AS (
    SELECT
        'claims more or fewer than pgbench has counted' AS rule,
        abs((SELECT count(*) FROM claim) - :claims) AS violations
    UNION ALL
    SELECT
        'units claimed more or fewer than are gone from the stock',
        abs((SELECT coalesce(sum(claim.quantity), 0) FROM claim) - (:before - :left))
    UNION ALL
    SELECT
        'claims without a key, or with that of another',
        (SELECT count(*) FROM claim)
        - (
            SELECT count(*)
            FROM (
                SELECT
                FROM claim
                WHERE claim.idempotency_key IS NOT NULL
                GROUP BY
                    claim.buyer,
                    claim.idempotency_key
            ) AS own
        )
    UNION ALL
    SELECT
        'claims that have other than their quantity of units that are kept in place',
        count(*)
    FROM claim
    WHERE EXISTS (SELECT FROM bench_unit)
        AND claim.quantity <> (SELECT count(*) FROM bench_unit WHERE bench_unit.claim_id = claim.claim_id AND bench_unit.status = 'held')
    UNION ALL
    SELECT
        'units kept in place that are held by no claim',
        count(*)
    FROM bench_unit
    WHERE bench_unit.status = 'held'
        AND NOT EXISTS (SELECT FROM claim WHERE claim.claim_id = bench_unit.claim_id)
    UNION ALL
    SELECT
        'turns in which nothing was claimed',
        (NOT EXISTS (SELECT FROM claim))::integer
    UNION ALL
    SELECT
        'turns in which all was sold before the time was over (set UNITS higher)',
        (:before - :left >= :stock)::integer
),
told AS (
    SELECT
        1 AS place,
        checked.violations || ' ' || checked.rule AS line
    FROM checked
    WHERE checked.violations > 0
    UNION ALL
    SELECT
        2,
        sum(checked.violations) || ' violations'
    FROM checked
)
SELECT told.line
FROM told
ORDER BY
    told.place,
    told.line;
