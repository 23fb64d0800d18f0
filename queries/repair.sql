-- RepairBuyer reads how many units a buyer has of a sale and in which transactions and orders, how many are counted (-1: there is no count), and how many anybody may have.
-- No row: there is no such sale.
-- name: RepairBuyer :one
SELECT
    sale.purchase_limit,
    coalesce((
        SELECT sale_buyer.unit_count
        FROM sale_buyer
        WHERE sale_buyer.sale_id = sale.sale_id
            AND sale_buyer.buyer = @buyer
    ), -1)::bigint AS counted,
    (
        SELECT count(*)
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
        WHERE claim.buyer = @buyer
            AND claim.sale_id = sale.sale_id
            AND claim.status IN ('held', 'ordered')
    )::bigint AS unit_count,
    ARRAY(
        SELECT claim.claim_id
        FROM claim
        WHERE claim.buyer = @buyer
            AND claim.sale_id = sale.sale_id
            AND claim.status = 'held'
        ORDER BY claim.claim_id
    )::uuid[] AS held_ids,
    ARRAY(
        SELECT DISTINCT claim.order_id
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
        WHERE claim.buyer = @buyer
            AND claim.sale_id = sale.sale_id
            AND claim.status = 'ordered'
        ORDER BY claim.order_id
    )::uuid[] AS order_ids
FROM sale
WHERE sale.sale_id = @sale_id;

-- RepairBuyerCount counts anew what the buyers of transactions, of whose counts the caller has the locks, have of the sales of these. Of whom has more than anybody may the
-- limit is forgotten, so that the count can be true; the audit goes on to name that buyer.
-- name: RepairBuyerCount :execrows
UPDATE sale_buyer
SET
    unit_count = has.unit_count,
    purchase_limit = CASE WHEN has.unit_count <= sale_buyer.purchase_limit THEN sale_buyer.purchase_limit END
FROM (
    SELECT
        asked.sale_id,
        asked.buyer,
        (
            SELECT count(*)
            FROM claim
            JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
            WHERE claim.buyer = asked.buyer
                AND claim.sale_id = asked.sale_id
                AND claim.status IN ('held', 'ordered')
        )::integer AS unit_count
    FROM (
        SELECT
            unnest(@sale_ids::uuid[]) AS sale_id,
            unnest(@buyers::text[]) AS buyer
    ) AS asked
) AS has
WHERE sale_buyer.sale_id = has.sale_id
    AND sale_buyer.buyer = has.buyer;

-- RepairBuyerInsert begins to count what a buyer has of a sale, no row is made when somebody has just begun.
-- name: RepairBuyerInsert :execrows
INSERT INTO sale_buyer (
    sale_id,
    buyer,
    unit_count,
    purchase_limit
)
SELECT
    sale.sale_id,
    @buyer,
    @unit_count,
    CASE WHEN @unit_count::integer <= sale.purchase_limit THEN sale.purchase_limit END
FROM sale
WHERE sale.sale_id = @sale_id
ON CONFLICT DO NOTHING;

-- RepairBuyerLock waits for the counts of a buyer, or of the buyers of transactions and orders, in the order of sale and buyer.
-- name: RepairBuyerLock :many
SELECT
    sale_buyer.sale_id,
    sale_buyer.buyer
FROM sale_buyer
WHERE (sale_buyer.sale_id = @sale_id AND sale_buyer.buyer = @buyer)
    OR (sale_buyer.sale_id, sale_buyer.buyer) IN (
        SELECT
            claim.sale_id,
            claim.buyer
        FROM claim
        WHERE claim.claim_id = ANY(@claim_ids::uuid[])
            OR claim.order_id = ANY(@order_ids::uuid[])
    )
ORDER BY
    sale_buyer.sale_id,
    sale_buyer.buyer
FOR NO KEY UPDATE;

-- RepairClaim reads a transaction and what its order says. No row: there is none.
-- name: RepairClaim :one
SELECT
    sqlc.embed(claim),
    (claim.status = 'held' AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now()))::boolean AS lapsed,
    return_pool(claim.pool_id, coalesce(sqlc.narg('now')::timestamptz, now()))::bigint AS return_pool_id,
    coalesce(shop_order.status, 'missing')::text AS order_status,
    coalesce(shop_order.buyer, '')::text AS order_buyer,
    shop_order.pay_by AS order_pay_by,
    coalesce(shop_order.total_minor, -1)::bigint AS order_total_minor,
    coalesce((
        SELECT sum(line.price_minor * line.quantity)
        FROM claim AS line
        WHERE line.order_id = claim.order_id
            AND line.claim_id <> claim.claim_id
    ), 0)::bigint AS other_lines_minor,
    (
        SELECT count(*)
        FROM claim AS line
        JOIN claim_unit ON claim_unit.claim_id = line.claim_id AND claim_unit.released_at IS NULL
        WHERE line.order_id = claim.order_id
    )::bigint AS order_unit_count,
    EXISTS (
        SELECT 1
        FROM claim AS line
        WHERE line.order_id = claim.order_id
            AND NOT line.unpaid
    )::boolean AS order_has_paid_line,
    EXISTS (
        SELECT 1
        FROM payment
        WHERE payment.order_id = claim.order_id
    )::boolean AS has_payment,
    EXISTS (
        SELECT 1
        FROM payment
        WHERE payment.order_id = claim.order_id
            AND payment.status = 'pending'
    )::boolean AS is_being_paid
FROM claim
LEFT JOIN shop_order ON shop_order.order_id = claim.order_id
WHERE claim.claim_id = @claim_id;

-- RepairClaimEndedAt corrects when a transaction ended, or until when it could have been held.
-- name: RepairClaimEndedAt :execrows
UPDATE claim
SET
    ended_at = @ended_at,
    expires_at = @expires_at
WHERE claim.claim_id = @claim_id;

-- RepairClaimHoldEnd ends a hold that has no units any more.
-- name: RepairClaimHoldEnd :execrows
UPDATE claim
SET
    status = CASE WHEN claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) THEN 'expired' ELSE 'released' END,
    ended_at = coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
WHERE claim.claim_id = @claim_id
    AND claim.status = 'held';

-- RepairClaimOfKey reads the transactions that are bound to the same idempotency key as one, the earliest first.
-- name: RepairClaimOfKey :many
SELECT
    claim.claim_id,
    claim.buyer,
    claim.idempotency_key::text AS idempotency_key,
    claim.status,
    claim.created_at
FROM claim AS one
JOIN claim ON claim.buyer = one.buyer AND claim.idempotency_key = one.idempotency_key
WHERE one.claim_id = @claim_id
ORDER BY
    claim.created_at,
    claim.claim_id;

-- RepairClaimQuantity makes a transaction one of as many units as it has.
-- name: RepairClaimQuantity :execrows
UPDATE claim
SET quantity = @quantity
WHERE claim.claim_id = @claim_id;

-- RepairClaimUnbind takes their idempotency key from transactions.
-- name: RepairClaimUnbind :execrows
UPDATE claim
SET idempotency_key = NULL
WHERE claim.claim_id = ANY(@claim_ids::uuid[]);

-- RepairClaimUnits reads which units a transaction has or had, of which product each is (0: it is no unit), and where it is besides.
-- name: RepairClaimUnits :many
SELECT
    claim_unit.unit_id,
    claim_unit.released_at,
    coalesce(claim_unit.outcome, '')::text AS outcome,
    coalesce((
        SELECT unit.product_id
        FROM unit
        WHERE unit.unit_id = claim_unit.unit_id
        LIMIT 1
    ), 0)::bigint AS product_id,
    EXISTS (
        SELECT 1
        FROM quarantine_unit
        WHERE quarantine_unit.unit_id = claim_unit.unit_id
            AND quarantine_unit.left_at IS NULL
    )::boolean AS in_quarantine,
    EXISTS (
        SELECT 1
        FROM withdrawal_unit
        WHERE withdrawal_unit.unit_id = claim_unit.unit_id
    )::boolean AS is_withdrawn,
    (
        EXISTS (
            SELECT 1
            FROM stock_token
            WHERE stock_token.unit_id = claim_unit.unit_id
        )
        OR EXISTS (
            SELECT 1
            FROM claim_unit AS other
            WHERE other.unit_id = claim_unit.unit_id
                AND other.claim_id <> claim_unit.claim_id
                AND other.released_at IS NULL
        )
    )::boolean AS is_elsewhere
FROM claim_unit
WHERE claim_unit.claim_id = @claim_id
ORDER BY claim_unit.unit_id;

-- RepairClaimUnitDelete forgets that a transaction has a unit, or had it.
-- name: RepairClaimUnitDelete :execrows
DELETE FROM claim_unit
WHERE claim_unit.claim_id = @claim_id
    AND claim_unit.unit_id = ANY(@unit_ids::uuid[]);

-- RepairClaimUnitEnd ends that a transaction has a unit; from an order the outcome tells how.
-- name: RepairClaimUnitEnd :execrows
UPDATE claim_unit
SET
    released_at = coalesce(claim_unit.released_at, clock_timestamp()),
    outcome = sqlc.narg('outcome')::text
WHERE claim_unit.claim_id = @claim_id
    AND claim_unit.unit_id = @unit_id;

-- RepairClaimUnpaid says again whether a line's order awaits payment, and when its units come back by themselves.
-- name: RepairClaimUnpaid :execrows
UPDATE claim
SET
    unpaid = @unpaid,
    pay_by = sqlc.narg('pay_by')::timestamptz
WHERE claim.claim_id = @claim_id;

-- RepairInsert writes down what was repaired.
-- name: RepairInsert :exec
INSERT INTO repair (
    repair_id,
    check_name,
    sku,
    unit_id,
    claim_id,
    order_id,
    sale_id,
    buyer,
    broken,
    found,
    done,
    repaired_by,
    created_at
) VALUES (
    @repair_id,
    @check_name,
    @sku,
    sqlc.narg('unit_id'),
    sqlc.narg('claim_id'),
    sqlc.narg('order_id'),
    sqlc.narg('sale_id'),
    sqlc.narg('buyer'),
    @broken,
    @found,
    @done,
    @repaired_by,
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
);

-- RepairMoney reads the sums of an order. total is -1 where it is known to somebody else alone. No row: there is no such order.
-- name: RepairMoney :one
SELECT
    sqlc.embed(shop_order),
    coalesce(shop_order.total_minor, CASE WHEN shop_order.provider = 'external' THEN -1 ELSE 0 END)::bigint AS total,
    coalesce((
        SELECT sum(payment.amount_minor)
        FROM payment
        WHERE payment.order_id = shop_order.order_id
            AND payment.status = 'succeeded'
    ), 0)::bigint AS paid,
    coalesce((
        SELECT sum(payment.refunded_minor)
        FROM payment
        WHERE payment.order_id = shop_order.order_id
    ), 0)::bigint AS payment_refunded,
    (
        SELECT count(*)
        FROM payment
        WHERE payment.order_id = shop_order.order_id
            AND payment.status <> 'failed'
    )::bigint AS payment_count,
    ARRAY(
        SELECT payment.payment_id
        FROM payment
        WHERE payment.order_id = shop_order.order_id
            AND payment.status = 'succeeded'
        ORDER BY payment.payment_id
    )::uuid[] AS payment_ids,
    coalesce((
        SELECT sum(refund.amount_minor)
        FROM refund
        WHERE refund.order_id = shop_order.order_id
    ), 0)::bigint AS refunds,
    coalesce((
        SELECT sum(claim.price_minor * claim.quantity)
        FROM claim
        WHERE claim.order_id = shop_order.order_id
    ), 0)::bigint AS lines,
    coalesce((
        SELECT sum(claim.price_minor)
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id
        WHERE claim.order_id = shop_order.order_id
            AND claim_unit.outcome IN ('returned', 'quarantined', 'written_off')
    ), 0)::bigint AS returned,
    (
        SELECT count(*)
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
        WHERE claim.order_id = shop_order.order_id
    )::bigint AS unit_count,
    (
        EXISTS (
            SELECT 1
            FROM payment
            WHERE payment.order_id = shop_order.order_id
                AND payment.currency IS DISTINCT FROM shop_order.currency
        )
        OR EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.order_id = shop_order.order_id
                AND (shop_order.total_minor IS NOT NULL OR shop_order.provider <> 'external')
                AND claim.currency IS DISTINCT FROM shop_order.currency
        )
    )::boolean AS has_another_currency,
    EXISTS (
        SELECT 1
        FROM refund
        WHERE refund.order_id = shop_order.order_id
            AND (refund.payment_id IS NULL) <> (shop_order.provider = 'external')
            AND refund.amount_minor > 0
    )::boolean AS has_strange_refund,
    EXISTS (
        SELECT 1
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id
        WHERE claim.order_id = shop_order.order_id
            AND claim_unit.released_at IS NOT NULL
            AND (claim_unit.outcome IS NULL OR (claim_unit.outcome = 'cancelled') <> (shop_order.status = 'cancelled'))
    )::boolean AS has_strange_unit
FROM shop_order
WHERE shop_order.order_id = @order_id;

-- RepairOrderInsert writes an order anew of which the row is lost and nobody has paid for, from its lines: as one that is overdue.
-- name: RepairOrderInsert :execrows
INSERT INTO shop_order (
    order_id,
    buyer,
    status,
    provider,
    total_minor,
    currency,
    pay_by,
    created_at
)
SELECT
    claim.order_id,
    min(claim.buyer),
    'awaiting_payment',
    'none',
    sum(claim.price_minor * claim.quantity),
    min(claim.currency),
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()),
    min(claim.ended_at)
FROM claim
WHERE claim.order_id = @order_id
GROUP BY claim.order_id
HAVING count(DISTINCT claim.buyer) = 1
    AND count(DISTINCT claim.currency) <= 1;

-- RepairOrderLock waits for orders and locks them, in the order of their ids.
-- name: RepairOrderLock :many
SELECT shop_order.order_id
FROM shop_order
WHERE shop_order.order_id = ANY(@order_ids::uuid[])
ORDER BY shop_order.order_id
FOR NO KEY UPDATE;

-- RepairOrderRefunded counts again what was given back of an order: as much as its refunds are.
-- name: RepairOrderRefunded :exec
WITH counted AS (
    UPDATE shop_order
    SET refunded_minor = @refunded_minor
    WHERE shop_order.order_id = @order_id
)
UPDATE payment
SET refunded_minor = @refunded_minor
WHERE payment.order_id = @order_id
    AND payment.status = 'succeeded';

-- RepairOrderReturned marks a paid order that has no units any more as refunded.
-- name: RepairOrderReturned :execrows
UPDATE shop_order
SET
    status = 'refunded',
    ended_at = coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
WHERE shop_order.order_id = @order_id
    AND shop_order.status = 'paid';

-- RepairOrderTotal makes an order cost what its lines do.
-- name: RepairOrderTotal :execrows
UPDATE shop_order
SET total_minor = @total_minor
WHERE shop_order.order_id = @order_id;

-- RepairQuarantineDelete forgets that a unit is in quarantine.
-- name: RepairQuarantineDelete :execrows
DELETE FROM quarantine_unit
WHERE quarantine_unit.unit_id = @unit_id
    AND quarantine_unit.entered_at = @entered_at
    AND quarantine_unit.left_at IS NULL;

-- RepairQuarantineEnd ends that a unit is in quarantine.
-- name: RepairQuarantineEnd :execrows
UPDATE quarantine_unit
SET
    left_at = clock_timestamp(),
    outcome = @outcome::text
WHERE quarantine_unit.unit_id = @unit_id
    AND quarantine_unit.entered_at = @entered_at
    AND quarantine_unit.left_at IS NULL;

-- RepairQuarantineEnter puts a unit into quarantine that is in no place, or makes no row: it is no unit, or is in a place.
-- name: RepairQuarantineEnter :execrows
INSERT INTO quarantine_unit (
    unit_id,
    product_id,
    repair_id,
    entered_at
)
SELECT
    unit.unit_id,
    unit.product_id,
    @repair_id,
    clock_timestamp()
FROM unit
WHERE unit.unit_id = @unit_id
    AND NOT EXISTS (
        SELECT 1
        FROM stock_token
        WHERE stock_token.unit_id = unit.unit_id
    )
    AND NOT EXISTS (
        SELECT 1
        FROM claim_unit
        WHERE claim_unit.unit_id = unit.unit_id
            AND claim_unit.released_at IS NULL
    )
    AND NOT EXISTS (
        SELECT 1
        FROM withdrawal_unit
        WHERE withdrawal_unit.unit_id = unit.unit_id
    )
    AND NOT EXISTS (
        SELECT 1
        FROM quarantine_unit AS there
        WHERE there.unit_id = unit.unit_id
            AND there.left_at IS NULL
    );

-- RepairQuarantineLock locks where a unit is in quarantine, unless somebody else has it locked.
-- name: RepairQuarantineLock :many
SELECT quarantine_unit.entered_at
FROM quarantine_unit
WHERE quarantine_unit.unit_id = @unit_id
    AND quarantine_unit.left_at IS NULL
ORDER BY quarantine_unit.entered_at
FOR UPDATE SKIP LOCKED;

-- RepairQuarantineProduct says again of which product a unit in quarantine is.
-- name: RepairQuarantineProduct :execrows
UPDATE quarantine_unit
SET product_id = unit.product_id
FROM unit
WHERE quarantine_unit.unit_id = @unit_id
    AND quarantine_unit.left_at IS NULL
    AND unit.unit_id = quarantine_unit.unit_id;

-- RepairQueueHead waits for the head of a queue and locks it.
-- name: RepairQueueHead :one
SELECT queue_head.place
FROM queue_head
WHERE queue_head.product_id = @product_id
    AND queue_head.pool_id = @pool_id
FOR NO KEY UPDATE;

-- RepairQueueLeave moves requests that are queued out of the way, so that each can get its new place.
-- name: RepairQueueLeave :exec
UPDATE claim
SET queue_place = -1 - claim.queue_place - sqlc.arg('beyond')::bigint
WHERE claim.claim_id = ANY(@claim_ids::uuid[]);

-- RepairQueueLine reads all requests of a queue that are queued, in their order.
-- name: RepairQueueLine :many
SELECT
    claim.claim_id,
    claim.quantity,
    claim.queue_place::bigint AS queue_place
FROM claim
WHERE claim.product_id = @product_id
    AND claim.pool_id = @pool_id
    AND claim.status = 'queued'
ORDER BY
    claim.queue_place,
    claim.claim_id;

-- RepairQueueLock waits for all requests of a queue that are queued, in their order, and locks them.
-- name: RepairQueueLock :many
SELECT claim.claim_id
FROM claim
WHERE claim.product_id = @product_id
    AND claim.pool_id = @pool_id
    AND claim.status = 'queued'
ORDER BY
    claim.queue_place,
    claim.claim_id
FOR UPDATE;

-- RepairQueuePlace gives requests of a queue their places.
-- name: RepairQueuePlace :execrows
UPDATE claim
SET queue_place = given.queue_place
FROM (
    SELECT
        unnest(@claim_ids::uuid[]) AS claim_id,
        unnest(@queue_places::bigint[]) AS queue_place
) AS given
WHERE claim.claim_id = given.claim_id;

-- RepairQueueSettled reads between which places those requests of a queue lie that are not queued any more.
-- name: RepairQueueSettled :one
SELECT
    coalesce(min(claim.queue_place), 0)::bigint AS settled_from,
    coalesce(max(claim.queue_place + claim.quantity), 0)::bigint AS settled_to
FROM claim
WHERE claim.product_id = @product_id
    AND claim.pool_id = @pool_id
    AND claim.queue_place IS NOT NULL
    AND claim.status <> 'queued';

-- RepairQueueTail waits for the tail of a queue and locks it.
-- name: RepairQueueTail :one
SELECT queue_tail.place
FROM queue_tail
WHERE queue_tail.product_id = @product_id
    AND queue_tail.pool_id = @pool_id
FOR NO KEY UPDATE;

-- RepairQueueTo sets both ends of a queue, of which the caller has the locks.
-- name: RepairQueueTo :exec
WITH tail AS (
    INSERT INTO queue_tail (
        product_id,
        pool_id,
        place
    ) VALUES (
        @product_id,
        @pool_id,
        @tail_place
    )
    ON CONFLICT (product_id, pool_id) DO UPDATE
    SET place = excluded.place
)
INSERT INTO queue_head (
    product_id,
    pool_id,
    place
) VALUES (
    @product_id,
    @pool_id,
    @head_place
)
ON CONFLICT (product_id, pool_id) DO UPDATE
SET place = excluded.place;

-- RepairReceipt reads how many units a receipt brought, and how many there are of it, of its product. No row: there is no such receipt.
-- name: RepairReceipt :one
SELECT
    receipt.receipt_id,
    receipt.product_id,
    receipt.reference,
    receipt.quantity,
    (
        SELECT count(*)
        FROM unit
        WHERE unit.product_id = receipt.product_id
            AND unit.receipt_id = receipt.receipt_id
    )::bigint AS unit_count
FROM receipt
WHERE receipt.receipt_id = @receipt_id;

-- RepairReceiptLock waits for a receipt and locks it.
-- name: RepairReceiptLock :many
SELECT receipt.receipt_id
FROM receipt
WHERE receipt.receipt_id = @receipt_id
FOR NO KEY UPDATE;

-- RepairReceiptQuantity makes a receipt one of as many units as there are of it.
-- name: RepairReceiptQuantity :execrows
UPDATE receipt
SET quantity = @quantity
WHERE receipt.receipt_id = @receipt_id;

-- RepairReceipts reads the receipts of a product of which there are fewer units than it brought.
-- name: RepairReceipts :many
SELECT
    receipt.receipt_id,
    receipt.reference,
    (receipt.quantity - coalesce(there.unit_count, 0))::bigint AS missing
FROM receipt
LEFT JOIN (
    SELECT
        unit.receipt_id,
        count(*) AS unit_count
    FROM unit
    WHERE unit.product_id = @product_id
    GROUP BY unit.receipt_id
) AS there ON there.receipt_id = receipt.receipt_id
WHERE receipt.product_id = @product_id
    AND coalesce(there.unit_count, 0) < receipt.quantity
ORDER BY receipt.receipt_id;

-- RepairStrayUnits reads the units of a product that came with no receipt of it, with that receipt.
-- name: RepairStrayUnits :many
SELECT
    unit.unit_id,
    unit.receipt_id
FROM unit
WHERE unit.product_id = @product_id
    AND NOT EXISTS (
        SELECT 1
        FROM receipt
        WHERE receipt.receipt_id = unit.receipt_id
            AND receipt.product_id = unit.product_id
    )
ORDER BY unit.unit_id
LIMIT @row_limit;

-- RepairTokenDelete takes a unit off sale. The caller has the lock of the token.
-- name: RepairTokenDelete :execrows
DELETE FROM stock_token
WHERE stock_token.product_id = @product_id
    AND stock_token.pool_id = @pool_id
    AND stock_token.position = @position
    AND stock_token.unit_id = @unit_id;

-- RepairTokenLock locks the tokens of a unit, leaving out what somebody else has locked.
-- name: RepairTokenLock :many
SELECT
    stock_token.pool_id,
    stock_token.position
FROM stock_token
WHERE stock_token.unit_id = @unit_id
ORDER BY
    stock_token.pool_id,
    stock_token.position
FOR UPDATE SKIP LOCKED;

-- RepairTokenMove moves a token, of which the caller has the lock, into the common pool of its product, at a new, higher position.
-- name: RepairTokenMove :execrows
WITH taken AS (
    DELETE FROM stock_token
    WHERE stock_token.product_id = @product_id
        AND stock_token.pool_id = @pool_id
        AND stock_token.position = @position
    RETURNING
        stock_token.product_id,
        stock_token.unit_id
)
INSERT INTO stock_token (
    product_id,
    pool_id,
    position,
    unit_id
)
SELECT
    taken.product_id,
    0,
    nextval('stock_token_position'),
    taken.unit_id
FROM taken;

-- RepairTokenPools reads the tokens of a unit that lie in a pool that is not theirs, as AuditPools judges, and why.
-- name: RepairTokenPools :many
SELECT
    stock_token.product_id,
    stock_token.pool_id,
    stock_token.position,
    coalesce(sale.stage, 'missing')::text AS stage,
    coalesce(sale.sale_id, '00000000-0000-0000-0000-000000000000')::uuid AS sale_id
FROM stock_token
LEFT JOIN sale ON sale.pool_id = stock_token.pool_id
LEFT JOIN sale_item ON sale_item.sale_id = sale.sale_id AND sale_item.product_id = stock_token.product_id
WHERE stock_token.unit_id = @unit_id
    AND stock_token.pool_id <> 0
    AND (sale.sale_id IS NULL OR sale.stage <> 'scheduled' OR sale_item.quantity IS NULL)
ORDER BY
    stock_token.pool_id,
    stock_token.position;

-- RepairTurn waits until no other repair is in its transaction, and bounds what a repair waits for.
-- name: RepairTurn :exec
SELECT
    set_config('lock_timeout', '5s', true),
    pg_advisory_xact_lock(hashtext('lastunit.repair'));

-- RepairUnitPlaces reads from one snapshot of which product a unit is, and all places that it is in; what is not known is 0, the zero id or empty. id is that of the
-- transaction, of the withdrawal, or of the order that put the unit into quarantine.
-- name: RepairUnitPlaces :many
SELECT
    placed.place,
    placed.product_id,
    coalesce(product.sku, '')::text AS sku,
    placed.pool_id,
    placed.position,
    placed.id,
    placed.since,
    placed.reason,
    coalesce(claim.buyer, '')::text AS buyer,
    coalesce(claim.status, 'missing')::text AS status,
    coalesce(claim.quantity, 0)::bigint AS quantity,
    coalesce(claim.order_id, '00000000-0000-0000-0000-000000000000')::uuid AS order_id,
    coalesce(shop_order.status, 'missing')::text AS order_status,
    coalesce(claim.status = 'held' AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now()), false)::boolean AS lapsed
FROM (
    SELECT
        'unit'::text AS place,
        unit.product_id,
        0::bigint AS pool_id,
        0::bigint AS position,
        '00000000-0000-0000-0000-000000000000'::uuid AS id,
        'epoch'::timestamptz AS since,
        ''::text AS reason
    FROM unit
    WHERE unit.unit_id = @unit_id
    UNION ALL
    SELECT
        'available',
        stock_token.product_id,
        stock_token.pool_id,
        stock_token.position,
        '00000000-0000-0000-0000-000000000000'::uuid,
        'epoch'::timestamptz,
        ''
    FROM stock_token
    WHERE stock_token.unit_id = @unit_id
    UNION ALL
    SELECT
        'transaction',
        coalesce(claim.product_id, 0),
        coalesce(claim.pool_id, 0),
        0,
        claim_unit.claim_id,
        coalesce(claim.created_at, 'epoch'::timestamptz),
        ''
    FROM claim_unit
    LEFT JOIN claim ON claim.claim_id = claim_unit.claim_id
    WHERE claim_unit.unit_id = @unit_id
        AND claim_unit.released_at IS NULL
    UNION ALL
    SELECT
        'quarantine',
        quarantine_unit.product_id,
        0,
        0,
        coalesce(quarantine_unit.order_id, '00000000-0000-0000-0000-000000000000'::uuid),
        quarantine_unit.entered_at,
        ''
    FROM quarantine_unit
    WHERE quarantine_unit.unit_id = @unit_id
        AND quarantine_unit.left_at IS NULL
    UNION ALL
    SELECT
        'withdrawn',
        coalesce(withdrawal.product_id, 0),
        0,
        0,
        withdrawal_unit.withdrawal_id,
        coalesce(withdrawal.created_at, 'epoch'::timestamptz),
        coalesce(withdrawal.reason, '')
    FROM withdrawal_unit
    LEFT JOIN withdrawal ON withdrawal.withdrawal_id = withdrawal_unit.withdrawal_id
    WHERE withdrawal_unit.unit_id = @unit_id
) AS placed
LEFT JOIN product ON product.product_id = placed.product_id
LEFT JOIN claim ON claim.claim_id = placed.id AND placed.place = 'transaction'
LEFT JOIN shop_order ON shop_order.order_id = claim.order_id
ORDER BY
    placed.place,
    placed.since,
    placed.id,
    placed.pool_id,
    placed.position;

-- RepairUnitReceipt says again with which receipt a unit came.
-- name: RepairUnitReceipt :execrows
UPDATE unit
SET receipt_id = @receipt_id
WHERE unit.unit_id = @unit_id;

-- RepairWithdrawal reads how many units a withdrawal took, and how many there are of it, of its product. No row: there is no such withdrawal.
-- name: RepairWithdrawal :one
SELECT
    withdrawal.withdrawal_id,
    withdrawal.product_id,
    withdrawal.reason,
    withdrawal.quantity,
    (
        SELECT count(*)
        FROM withdrawal_unit
        JOIN unit ON unit.unit_id = withdrawal_unit.unit_id
        WHERE withdrawal_unit.withdrawal_id = withdrawal.withdrawal_id
            AND unit.product_id = withdrawal.product_id
    )::bigint AS unit_count
FROM withdrawal
WHERE withdrawal.withdrawal_id = @withdrawal_id;

-- RepairWithdrawalDelete forgets a withdrawal that has no units.
-- name: RepairWithdrawalDelete :execrows
DELETE FROM withdrawal
WHERE withdrawal.withdrawal_id = @withdrawal_id;

-- RepairWithdrawalLock waits for a withdrawal and locks it.
-- name: RepairWithdrawalLock :many
SELECT withdrawal.withdrawal_id
FROM withdrawal
WHERE withdrawal.withdrawal_id = @withdrawal_id
FOR UPDATE;

-- RepairWithdrawalQuantity makes a withdrawal one of as many units as there are of it.
-- name: RepairWithdrawalQuantity :execrows
UPDATE withdrawal
SET quantity = @quantity
WHERE withdrawal.withdrawal_id = @withdrawal_id;

-- RepairWithdrawalUnitDelete forgets that a unit was withdrawn.
-- name: RepairWithdrawalUnitDelete :execrows
DELETE FROM withdrawal_unit
WHERE withdrawal_unit.unit_id = @unit_id
    AND withdrawal_unit.withdrawal_id = @withdrawal_id;

-- RepairWithdrawalUnits names units of a product that were withdrawn by no withdrawal of it.
-- name: RepairWithdrawalUnits :many
SELECT withdrawal_unit.unit_id
FROM withdrawal_unit
JOIN unit ON unit.unit_id = withdrawal_unit.unit_id
LEFT JOIN withdrawal ON withdrawal.withdrawal_id = withdrawal_unit.withdrawal_id
WHERE unit.product_id = @product_id
    AND withdrawal.product_id IS DISTINCT FROM unit.product_id
ORDER BY withdrawal_unit.unit_id
LIMIT @row_limit;

-- RepairWithdrawals names withdrawals of a product of which there are more or fewer units than they took.
-- name: RepairWithdrawals :many
SELECT withdrawal.withdrawal_id
FROM withdrawal
WHERE withdrawal.product_id = @product_id
    AND withdrawal.quantity <> (
        SELECT count(*)
        FROM withdrawal_unit
        JOIN unit ON unit.unit_id = withdrawal_unit.unit_id
        WHERE withdrawal_unit.withdrawal_id = withdrawal.withdrawal_id
            AND unit.product_id = withdrawal.product_id
    )
ORDER BY withdrawal.withdrawal_id
LIMIT @row_limit;
