-- Counts the rows, in one snapshot, that break a rule: a line for each rule that is broken, then the sum.
WITH checked AS (
    SELECT
        'units that are not in exactly one place' AS rule,
        count(*) AS violations
    FROM unit
    WHERE (SELECT count(*) FROM stock_token WHERE stock_token.unit_id = unit.unit_id)
        + (SELECT count(*) FROM claim_unit WHERE claim_unit.unit_id = unit.unit_id AND claim_unit.released_at IS NULL)
        + (SELECT count(*) FROM withdrawal_unit WHERE withdrawal_unit.unit_id = unit.unit_id) <> 1
    UNION ALL
    SELECT
        'units more or fewer than were received',
        abs((SELECT coalesce(sum(receipt.quantity), 0) FROM receipt) - (SELECT count(*) FROM unit))
    UNION ALL
    SELECT
        'units more or fewer than tokens, units of holds and withdrawn units together',
        abs(
            (SELECT count(*) FROM unit)
            - (SELECT count(*) FROM stock_token)
            - (SELECT count(*) FROM claim_unit WHERE claim_unit.released_at IS NULL)
            - (SELECT count(*) FROM withdrawal_unit)
        )
    UNION ALL
    SELECT
        'claims that have, or had, other than their quantity',
        count(*)
    FROM claim
    WHERE claim.quantity <> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id)
    UNION ALL
    SELECT
        'holds that lack units, and ended claims that keep some',
        count(*)
    FROM claim
    WHERE CASE claim.status WHEN 'held' THEN claim.quantity ELSE 0 END
        <> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL)
    UNION ALL
    SELECT
        'units in claims of another product, or of none',
        count(*)
    FROM claim_unit
    LEFT JOIN claim ON claim.claim_id = claim_unit.claim_id
    LEFT JOIN unit ON unit.unit_id = claim_unit.unit_id
    WHERE claim.product_id IS DISTINCT FROM unit.product_id
    UNION ALL
    SELECT
        'claims that share their key',
        count(*)
    FROM (
        SELECT
        FROM claim
        WHERE claim.idempotency_key IS NOT NULL
        GROUP BY
            claim.buyer,
            claim.idempotency_key
        HAVING count(*) > 1
    ) AS shared
    UNION ALL
    SELECT
        'holds that expired before their time',
        count(*)
    FROM claim
    WHERE claim.status = 'expired'
        AND (claim.ended_at >= claim.expires_at) IS NOT TRUE
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
