-- AuditConservation compares a product's withdrawals with the units that they took.
-- name: AuditConservation :one
SELECT
    coalesce((
        SELECT sum(withdrawal.quantity)
        FROM withdrawal
        WHERE withdrawal.product_id = @product_id
    ), 0)::bigint AS withdrawn,
    (
        SELECT count(*)
        FROM unit
        JOIN withdrawal_unit ON withdrawal_unit.unit_id = unit.unit_id
        WHERE unit.product_id = @product_id
    )::bigint AS withdrawal_unit_count;

-- AuditHoldExpiry finds transactions of a piece of a product's units that expired before their time, or were ordered after it.
-- name: AuditHoldExpiry :many
SELECT DISTINCT
    claim.claim_id,
    claim.status
FROM unit
JOIN claim_unit
    ON claim_unit.unit_id = unit.unit_id
    AND claim_unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
JOIN claim ON claim.claim_id = claim_unit.claim_id
WHERE unit.product_id = @product_id
    AND (
        (claim.status = 'expired' AND (claim.ended_at < claim.expires_at) IS NOT FALSE)
        OR (claim.status = 'ordered' AND claim.ended_at >= claim.expires_at)
    )
ORDER BY claim.claim_id
LIMIT @row_limit;

-- AuditKeyOnce finds keys that are bound to more than one transaction, among those of a piece of a product's units, whatever product the others are
-- of. It does not rest on the unique index that ought to make it impossible: it groups the rows themselves.
-- name: AuditKeyOnce :many
WITH of_product AS MATERIALIZED (
    SELECT DISTINCT
        claim.buyer,
        claim.idempotency_key
    FROM unit
    JOIN claim_unit
        ON claim_unit.unit_id = unit.unit_id
        AND claim_unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
    JOIN claim ON claim.claim_id = claim_unit.claim_id
    WHERE unit.product_id = @product_id
        AND claim.idempotency_key IS NOT NULL
)
SELECT
    of_product.buyer,
    count(*)::bigint AS claim_count,
    min(claim.claim_id::text)::uuid AS first_claim_id
FROM of_product
JOIN claim
    ON claim.buyer = of_product.buyer
    AND claim.idempotency_key = of_product.idempotency_key
GROUP BY
    of_product.buyer,
    of_product.idempotency_key
HAVING count(*) > 1
ORDER BY of_product.buyer
LIMIT @row_limit;

-- AuditMoney finds orders with lines of a product whose money does not add up: paid orders without as much money as they cost, money that was taken for
-- orders that have nothing for it and was not given back, and refunds that are more or less than what was counted.
-- name: AuditMoney :many
WITH of_product AS MATERIALIZED (
    SELECT DISTINCT claim.order_id
    FROM claim
    WHERE claim.product_id = @product_id
        AND claim.status = 'ordered'
),
book AS (
    SELECT
        shop_order.order_id,
        shop_order.status,
        shop_order.provider,
        shop_order.currency,
        (shop_order.total_minor IS NOT NULL OR shop_order.provider <> 'external') AS has_total,
        coalesce(shop_order.total_minor, 0) AS total_minor,
        shop_order.refunded_minor,
        coalesce((
            SELECT sum(payment.amount_minor)
            FROM payment
            WHERE payment.order_id = shop_order.order_id
                AND payment.status = 'succeeded'
        ), 0) AS paid_minor,
        coalesce((
            SELECT sum(payment.refunded_minor)
            FROM payment
            WHERE payment.order_id = shop_order.order_id
        ), 0) AS payment_refunded_minor,
        coalesce((
            SELECT sum(refund.amount_minor)
            FROM refund
            WHERE refund.order_id = shop_order.order_id
        ), 0) AS refund_minor,
        coalesce((
            SELECT sum(claim.price_minor * claim.quantity)
            FROM claim
            WHERE claim.order_id = shop_order.order_id
        ), 0) AS line_minor,
        coalesce((
            SELECT sum(claim.price_minor * (
                SELECT count(*)
                FROM claim_unit
                WHERE claim_unit.claim_id = claim.claim_id
                    AND claim_unit.outcome IN ('returned', 'quarantined', 'written_off')
            ))
            FROM claim
            WHERE claim.order_id = shop_order.order_id
        ), 0) AS returned_minor
    FROM of_product
    JOIN shop_order ON shop_order.order_id = of_product.order_id
)
SELECT
    book.order_id,
    book.status,
    book.total_minor::bigint AS total_minor,
    book.paid_minor::bigint AS paid_minor,
    book.refunded_minor,
    book.refund_minor::bigint AS refund_minor
FROM book
WHERE (book.has_total AND book.line_minor <> book.total_minor)
    OR book.refunded_minor <> book.refund_minor
    OR (book.provider <> 'external' AND book.payment_refunded_minor <> book.refunded_minor)
    OR (book.provider <> 'external' AND book.status IN ('paid', 'refunded') AND book.paid_minor <> book.total_minor)
    OR (book.status = 'cancelled' AND book.paid_minor <> book.refunded_minor)
    OR (book.status = 'awaiting_payment' AND book.paid_minor <> 0)
    OR (book.has_total AND book.status IN ('paid', 'refunded') AND book.returned_minor <> book.refunded_minor)
    OR EXISTS (
        SELECT 1
        FROM payment
        WHERE payment.order_id = book.order_id
            AND payment.currency IS DISTINCT FROM book.currency
    )
    OR EXISTS (
        SELECT 1
        FROM claim
        WHERE claim.order_id = book.order_id
            AND book.has_total
            AND claim.currency IS DISTINCT FROM book.currency
    )
    OR EXISTS (
        SELECT 1
        FROM refund
        WHERE refund.order_id = book.order_id
            AND (refund.payment_id IS NULL) <> (book.provider = 'external')
            AND refund.amount_minor > 0
    )
ORDER BY book.order_id
LIMIT @row_limit;

-- AuditOnePlace finds units of a piece of a product's that are in no place, or in more than one. It does not rest on the unique indexes that ought to keep a
-- unit from being twice in the same table: it counts rows. Nor does it join, because the planner knows nothing of how many ids lie between two.
-- name: AuditOnePlace :many
SELECT
    broken.unit_id,
    broken.token_count,
    ARRAY(
        SELECT claim_unit.claim_id
        FROM claim_unit
        WHERE claim_unit.unit_id = broken.unit_id
            AND claim_unit.released_at IS NULL
    )::uuid[] AS claim_ids,
    broken.withdrawn_count,
    broken.quarantined_count
FROM (
    SELECT
        placed.unit_id,
        sum(placed.token)::bigint AS token_count,
        sum(placed.withdrawn)::bigint AS withdrawn_count,
        sum(placed.quarantined)::bigint AS quarantined_count
    FROM (
        SELECT
            unit.unit_id,
            1 AS unit,
            0 AS token,
            0 AS claimed,
            0 AS withdrawn,
            0 AS quarantined
        FROM unit
        WHERE unit.product_id = @product_id
            AND unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
        UNION ALL
        SELECT
            stock_token.unit_id,
            0,
            1,
            0,
            0,
            0
        FROM stock_token
        WHERE stock_token.unit_id BETWEEN @first_unit_id AND @last_unit_id
        UNION ALL
        SELECT
            claim_unit.unit_id,
            0,
            0,
            1,
            0,
            0
        FROM claim_unit
        WHERE claim_unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
            AND claim_unit.released_at IS NULL
        UNION ALL
        SELECT
            withdrawal_unit.unit_id,
            0,
            0,
            0,
            1,
            0
        FROM withdrawal_unit
        WHERE withdrawal_unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
        UNION ALL
        SELECT
            quarantine_unit.unit_id,
            0,
            0,
            0,
            0,
            1
        FROM quarantine_unit
        WHERE quarantine_unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
            AND quarantine_unit.left_at IS NULL
    ) AS placed
    GROUP BY placed.unit_id
    HAVING sum(placed.unit) > 1
        OR (sum(placed.unit) = 1 AND sum(placed.token + placed.claimed + placed.withdrawn + placed.quarantined) <> 1)
    ORDER BY placed.unit_id
    LIMIT @row_limit
) AS broken
ORDER BY broken.unit_id;

-- AuditOrderState finds lines of orders of a product that do not fit the state of their order: units that an ended order still has, ones that a live
-- order has lost, lines that are taken for unpaid though they are not, or the other way round, and unpaid ones that nothing would ever free.
-- name: AuditOrderState :many
SELECT
    claim.claim_id,
    claim.order_id::uuid AS order_id,
    coalesce(shop_order.status, 'missing')::text AS order_status,
    claim.unpaid,
    live.unit_count::bigint AS unit_count
FROM claim
LEFT JOIN shop_order ON shop_order.order_id = claim.order_id
CROSS JOIN LATERAL (
    SELECT
        count(*) AS had_count,
        count(*) FILTER (WHERE claim_unit.released_at IS NULL) AS unit_count,
        count(*) FILTER (
            WHERE claim_unit.released_at IS NOT NULL
                AND (claim_unit.outcome IS NULL OR (claim_unit.outcome = 'cancelled') <> (shop_order.status = 'cancelled'))
        ) AS strange_count
    FROM claim_unit
    WHERE claim_unit.claim_id = claim.claim_id
) AS live
WHERE claim.product_id = @product_id
    AND claim.status = 'ordered'
    AND (
        shop_order.order_id IS NULL
        OR shop_order.buyer <> claim.buyer
        OR claim.unpaid <> (shop_order.status = 'awaiting_payment')
        OR (shop_order.status IN ('cancelled', 'refunded') AND live.unit_count > 0)
        OR (shop_order.status = 'awaiting_payment' AND live.unit_count <> claim.quantity)
        OR live.strange_count > 0
        OR live.had_count <> claim.quantity
        OR (shop_order.status = 'paid' AND live.unit_count = 0 AND NOT EXISTS (
            SELECT 1
            FROM claim AS line
            JOIN claim_unit ON claim_unit.claim_id = line.claim_id AND claim_unit.released_at IS NULL
            WHERE line.order_id = shop_order.order_id
        ))
        OR (claim.unpaid AND claim.pay_by IS NULL AND NOT EXISTS (
            SELECT 1
            FROM payment
            WHERE payment.order_id = shop_order.order_id
                AND payment.status = 'pending'
        ))
    )
ORDER BY claim.claim_id
LIMIT @row_limit;

-- AuditPools finds tokens of a product in a pool that is not theirs: of no sale, of one that is a draft or closed, or of one without an allotment.
-- name: AuditPools :many
SELECT
    stock_token.unit_id,
    stock_token.pool_id,
    coalesce(sale.stage, 'missing')::text AS stage
FROM stock_token
LEFT JOIN sale ON sale.pool_id = stock_token.pool_id
LEFT JOIN sale_item ON sale_item.sale_id = sale.sale_id AND sale_item.product_id = stock_token.product_id
WHERE stock_token.product_id = @product_id
    AND stock_token.pool_id <> 0
    AND (sale.sale_id IS NULL OR sale.stage <> 'scheduled' OR sale_item.quantity IS NULL)
ORDER BY stock_token.position
LIMIT @row_limit;

-- AuditProducts pages through the products by id.
-- name: AuditProducts :many
SELECT
    product.product_id,
    product.sku
FROM product
WHERE product.product_id > @after_product_id
    AND (sqlc.narg('sku')::text IS NULL OR product.sku = sqlc.narg('sku')::text)
ORDER BY product.product_id
LIMIT 1000;

-- AuditPurchaseLimit finds buyers of the sales that a product is in of whom it is not counted how many units they have of the sale, of all its
-- products, or who have more than they may.
-- name: AuditPurchaseLimit :many
WITH of_product AS MATERIALIZED (
    SELECT
        sale_item.sale_id,
        together.product_id
    FROM sale_item
    JOIN sale_item AS together ON together.sale_id = sale_item.sale_id
    WHERE sale_item.product_id = @product_id
),
has AS (
    SELECT
        claim.sale_id,
        claim.buyer,
        count(*) AS unit_count
    FROM of_product
    JOIN claim ON claim.product_id = of_product.product_id AND claim.sale_id = of_product.sale_id
    JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
    WHERE claim.status IN ('held', 'ordered')
    GROUP BY
        claim.sale_id,
        claim.buyer
),
counted AS (
    SELECT
        sale_buyer.sale_id,
        sale_buyer.buyer,
        sale_buyer.unit_count
    FROM sale_buyer
    WHERE sale_buyer.sale_id IN (SELECT of_product.sale_id FROM of_product)
)
SELECT
    coalesce(has.sale_id, counted.sale_id)::uuid AS sale_id,
    coalesce(has.buyer, counted.buyer)::text AS buyer,
    coalesce(has.unit_count, 0)::bigint AS unit_count,
    coalesce(counted.unit_count, 0)::bigint AS counted,
    coalesce(sale.purchase_limit, 0)::bigint AS purchase_limit
FROM has
FULL JOIN counted ON counted.sale_id = has.sale_id AND counted.buyer = has.buyer
LEFT JOIN sale ON sale.sale_id = coalesce(has.sale_id, counted.sale_id)
WHERE coalesce(counted.unit_count, 0) <> coalesce(has.unit_count, 0)
    OR has.unit_count > sale.purchase_limit
ORDER BY 1, 2
LIMIT @row_limit;

-- AuditQueueOrder finds requests of a product's queues that were passed by, were served before their turn, or have a place that was not given
-- out or is another's as well. What was cancelled may lie anywhere.
-- name: AuditQueueOrder :many
SELECT
    placed.claim_id,
    placed.pool_id,
    placed.status,
    placed.quantity,
    placed.queue_place::bigint AS queue_place,
    placed.head_place,
    placed.tail_place
FROM (
    SELECT
        claim.claim_id,
        claim.pool_id,
        claim.status,
        claim.quantity,
        claim.queue_place,
        (claim.status = 'released' AND claim.expires_at IS NULL) AS is_cancelled,
        coalesce(queue_head.place, 0)::bigint AS head_place,
        coalesce(queue_tail.place, 0)::bigint AS tail_place,
        lead(claim.queue_place) OVER (PARTITION BY claim.pool_id ORDER BY claim.queue_place, claim.claim_id) AS next_place
    FROM claim
    LEFT JOIN queue_head ON queue_head.product_id = claim.product_id AND queue_head.pool_id = claim.pool_id
    LEFT JOIN queue_tail ON queue_tail.product_id = claim.product_id AND queue_tail.pool_id = claim.pool_id
    WHERE claim.product_id = @product_id
        AND claim.queue_place IS NOT NULL
) AS placed
WHERE (placed.status = 'queued' AND placed.queue_place < placed.head_place)
    OR (placed.status <> 'queued' AND NOT placed.is_cancelled AND placed.queue_place >= placed.head_place)
    OR placed.queue_place + placed.quantity > placed.tail_place
    OR placed.queue_place + placed.quantity > placed.next_place
ORDER BY placed.queue_place
LIMIT @row_limit;

-- AuditReceipts reads how many units came with each of a product's receipts.
-- name: AuditReceipts :many
SELECT
    receipt.receipt_id,
    receipt.quantity
FROM receipt
WHERE receipt.product_id = @product_id;

-- AuditReceived counts a piece of a product's units by the receipts that they came with.
-- name: AuditReceived :many
SELECT
    unit.receipt_id,
    count(*)::bigint AS unit_count
FROM unit
WHERE unit.product_id = @product_id
    AND unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
GROUP BY unit.receipt_id;

-- AuditStrayQuarantine finds units in quarantine under a product that are no units of it.
-- name: AuditStrayQuarantine :many
SELECT quarantine_unit.unit_id
FROM quarantine_unit
LEFT JOIN unit ON unit.unit_id = quarantine_unit.unit_id
WHERE quarantine_unit.product_id = @product_id
    AND quarantine_unit.left_at IS NULL
    AND unit.product_id IS DISTINCT FROM quarantine_unit.product_id
ORDER BY quarantine_unit.unit_id
LIMIT @row_limit;

-- AuditStrayTokens finds tokens of a piece of a product's that are for no unit of it. Each is looked up, in the index that has both columns: the planner must not
-- think of reading all units of the product for each piece.
-- name: AuditStrayTokens :many
SELECT
    stock_token.unit_id,
    stock_token.position
FROM stock_token
WHERE stock_token.product_id = @product_id
    AND stock_token.pool_id = @pool_id
    AND stock_token.position > @after_position
    AND stock_token.position <= @last_position
    AND (
        SELECT unit.unit_id
        FROM unit
        WHERE unit.product_id = stock_token.product_id
            AND unit.unit_id = stock_token.unit_id
    ) IS NULL
ORDER BY stock_token.position
LIMIT @row_limit;

-- AuditTokenPiece tells at which position the next piece of a product's tokens in a pool ends.
-- name: AuditTokenPiece :one
SELECT piece.position
FROM (
    SELECT stock_token.position
    FROM stock_token
    WHERE stock_token.product_id = @product_id
        AND stock_token.pool_id = @pool_id
        AND stock_token.position > @after_position
    ORDER BY stock_token.position
    LIMIT @row_limit
) AS piece
ORDER BY piece.position DESC
LIMIT 1;

-- AuditTokenPool tells in which pool, from one on, the next tokens of a product are.
-- name: AuditTokenPool :one
SELECT stock_token.pool_id
FROM stock_token
WHERE stock_token.product_id = @product_id
    AND stock_token.pool_id >= @from_pool_id
ORDER BY
    stock_token.pool_id,
    stock_token.position
LIMIT 1;

-- AuditTransactionEnded finds transactions that are no longer holds and have, or had, units of a piece of a product's, but not as many of the product as they say.
-- name: AuditTransactionEnded :many
WITH of_piece AS MATERIALIZED (
    SELECT DISTINCT claim_unit.claim_id
    FROM unit
    JOIN claim_unit
        ON claim_unit.unit_id = unit.unit_id
        AND claim_unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
    WHERE unit.product_id = @product_id
)
SELECT
    claim.claim_id,
    claim.status,
    claim.quantity,
    had.unit_count::bigint AS unit_count
FROM of_piece
JOIN claim ON claim.claim_id = of_piece.claim_id
CROSS JOIN LATERAL (
    SELECT count(*) AS unit_count
    FROM claim_unit
    JOIN unit ON unit.unit_id = claim_unit.unit_id
    WHERE claim_unit.claim_id = claim.claim_id
        AND unit.product_id = claim.product_id
) AS had
WHERE claim.product_id = @product_id
    AND claim.status <> 'held'
    AND had.unit_count <> claim.quantity
ORDER BY claim.claim_id
LIMIT @row_limit;

-- AuditTransactionHolds finds holds of a product that do not have as many units as they say, lapsed or not.
-- name: AuditTransactionHolds :many
SELECT
    claim.claim_id,
    claim.quantity,
    count(unit.unit_id)::bigint AS unit_count
FROM claim
LEFT JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
LEFT JOIN unit ON unit.unit_id = claim_unit.unit_id AND unit.product_id = claim.product_id
WHERE claim.product_id = @product_id
    AND claim.status = 'held'
GROUP BY
    claim.claim_id,
    claim.quantity
HAVING count(unit.unit_id) <> claim.quantity
ORDER BY claim.claim_id
LIMIT @row_limit;

-- AuditTransactionUnits finds units of a piece of a product's that are kept by a transaction which has ended, is of another product, or does not exist.
-- name: AuditTransactionUnits :many
SELECT
    claim_unit.unit_id,
    claim_unit.claim_id,
    coalesce(claim.status, 'missing')::text AS status
FROM unit
JOIN claim_unit
    ON claim_unit.unit_id = unit.unit_id
    AND claim_unit.unit_id BETWEEN @first_unit_id AND @last_unit_id
    AND claim_unit.released_at IS NULL
LEFT JOIN claim ON claim.claim_id = claim_unit.claim_id
WHERE unit.product_id = @product_id
    AND (
        claim.claim_id IS NULL
        OR claim.status NOT IN ('held', 'ordered')
        OR claim.product_id <> unit.product_id
    )
ORDER BY claim_unit.unit_id
LIMIT @row_limit;

-- AuditUnitPiece tells from which unit to which the next piece of a product's units goes. It does not go beyond a receipt, whose units have ids next to each other:
-- between those of two receipts lie all that other products have received meanwhile.
-- name: AuditUnitPiece :one
SELECT
    next_unit.unit_id AS first_unit_id,
    last_unit.unit_id AS last_unit_id
FROM (
    SELECT
        unit.unit_id,
        unit.receipt_id
    FROM unit
    WHERE unit.product_id = @product_id
        AND unit.unit_id > @after_unit_id
    ORDER BY unit.unit_id
    LIMIT 1
) AS next_unit
CROSS JOIN LATERAL (
    SELECT piece.unit_id
    FROM (
        SELECT
            unit.unit_id,
            unit.receipt_id
        FROM unit
        WHERE unit.product_id = @product_id
            AND unit.unit_id >= next_unit.unit_id
        ORDER BY unit.unit_id
        LIMIT least(@row_limit::bigint, (
            SELECT receipt.quantity
            FROM receipt
            WHERE receipt.receipt_id = next_unit.receipt_id
        ))
    ) AS piece
    WHERE piece.receipt_id = next_unit.receipt_id
    ORDER BY piece.unit_id DESC
    LIMIT 1
) AS last_unit;
