-- Counts the rows, in one snapshot, that break a rule: a line for each rule that is broken, then the sum.
WITH checked AS (
    SELECT
        'units that are not in exactly one place' AS rule,
        count(*) AS violations
    FROM unit
    WHERE (SELECT count(*) FROM stock_token WHERE stock_token.unit_id = unit.unit_id)
        + (SELECT count(*) FROM claim_unit WHERE claim_unit.unit_id = unit.unit_id AND claim_unit.released_at IS NULL)
        + (SELECT count(*) FROM quarantine_unit WHERE quarantine_unit.unit_id = unit.unit_id AND quarantine_unit.left_at IS NULL)
        + (SELECT count(*) FROM withdrawal_unit WHERE withdrawal_unit.unit_id = unit.unit_id) <> 1
    UNION ALL
    SELECT
        'units more or fewer than were received',
        abs((SELECT coalesce(sum(receipt.quantity), 0) FROM receipt) - (SELECT count(*) FROM unit))
    UNION ALL
    SELECT
        'units more or fewer than there are in all places together',
        abs(
            (SELECT count(*) FROM unit)
            - (SELECT count(*) FROM stock_token)
            - (SELECT count(*) FROM claim_unit WHERE claim_unit.released_at IS NULL)
            - (SELECT count(*) FROM quarantine_unit WHERE quarantine_unit.left_at IS NULL)
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
    WHERE claim.status <> 'ordered'
        AND CASE claim.status WHEN 'held' THEN claim.quantity ELSE 0 END
            <> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL)
    UNION ALL
    SELECT
        'lines of unpaid orders that lack units, and of ended ones that keep some',
        count(*)
    FROM claim
    JOIN shop_order ON shop_order.order_id = claim.order_id
    WHERE shop_order.status <> 'paid'
        AND CASE shop_order.status WHEN 'awaiting_payment' THEN claim.quantity ELSE 0 END
            <> (SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL)
    UNION ALL
    SELECT
        'claims that are taken for unpaid and are not, or the other way round',
        count(*)
    FROM claim
    LEFT JOIN shop_order ON shop_order.order_id = claim.order_id
    WHERE claim.unpaid <> (shop_order.order_id IS NOT NULL AND shop_order.status = 'awaiting_payment')
    UNION ALL
    SELECT
        'lines of no order',
        count(*)
    FROM claim
    LEFT JOIN shop_order ON shop_order.order_id = claim.order_id
    WHERE claim.status = 'ordered'
        AND shop_order.buyer IS DISTINCT FROM claim.buyer
    UNION ALL
    SELECT
        'buyers who have other than is counted of a sale, or more than they may',
        count(*)
    FROM (
        SELECT
            claim.sale_id,
            claim.buyer,
            count(*) AS unit_count
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id
        WHERE claim.sale_id IS NOT NULL
            AND claim_unit.released_at IS NULL
        GROUP BY
            claim.sale_id,
            claim.buyer
    ) AS own
    FULL JOIN sale_buyer ON sale_buyer.sale_id = own.sale_id AND sale_buyer.buyer = own.buyer
    LEFT JOIN sale ON sale.sale_id = sale_buyer.sale_id
    WHERE sale_buyer.unit_count IS DISTINCT FROM coalesce(own.unit_count, 0)
        OR sale_buyer.unit_count > sale.purchase_limit
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
