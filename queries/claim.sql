-- ClaimByIDs reads transactions by their ids, with their units, ids and the buyers whose they must be go in pairs.
-- name: ClaimByIDs :many
WITH asked AS (
    SELECT
        unnest(@claim_ids::uuid[]) AS claim_id,
        unnest(@buyers::text[]) AS buyer
)
SELECT
    sqlc.embed(claim),
    product.sku,
    (claim.status = 'held' AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now()))::boolean AS lapsed,
    ARRAY(
        SELECT claim_unit.unit_id
        FROM claim_unit
        WHERE claim_unit.claim_id = claim.claim_id
        ORDER BY claim_unit.unit_id
    )::uuid[] AS unit_ids,
    coalesce((
        SELECT queue_position.queue_position
        FROM queue_position
        WHERE queue_position.claim_id = claim.claim_id
    ), 0)::bigint AS queue_position
FROM asked
JOIN claim ON claim.claim_id = asked.claim_id AND claim.buyer = asked.buyer
JOIN product ON product.product_id = claim.product_id;

-- ClaimByKeys reads the transactions that idempotency keys are bound to, with their units, buyers and keys go in pairs.
-- name: ClaimByKeys :many
WITH asked AS (
    SELECT
        unnest(@buyers::text[]) AS buyer,
        unnest(@idempotency_keys::text[]) AS idempotency_key
)
SELECT
    sqlc.embed(claim),
    product.sku,
    (claim.status = 'held' AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now()))::boolean AS lapsed,
    ARRAY(
        SELECT claim_unit.unit_id
        FROM claim_unit
        WHERE claim_unit.claim_id = claim.claim_id
        ORDER BY claim_unit.unit_id
    )::uuid[] AS unit_ids,
    coalesce((
        SELECT queue_position.queue_position
        FROM queue_position
        WHERE queue_position.claim_id = claim.claim_id
    ), 0)::bigint AS queue_position
FROM asked
JOIN claim ON claim.buyer = asked.buyer AND claim.idempotency_key = asked.idempotency_key
JOIN product ON product.product_id = claim.product_id;

-- ClaimCancelQueued ends a request that is queued, of which the caller has the lock.
-- name: ClaimCancelQueued :exec
UPDATE claim
SET
    status = 'released',
    ended_at = coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
WHERE claim.claim_id = @claim_id
    AND claim.status = 'queued';

-- ClaimChanges counts the changes of claims since PostgreSQL began to count, on all servers, as it knew about a second ago.
-- name: ClaimChanges :one
SELECT (
    pg_stat_get_tuples_inserted(counted.oid)
    + pg_stat_get_tuples_updated(counted.oid)
)::bigint AS changes
FROM (SELECT 'claim'::regclass::oid AS oid) AS counted;

-- ClaimDeleteByProduct removes the claims of a rehearsal product that are or were queued, and those that have or had units of it.
-- name: ClaimDeleteByProduct :exec
WITH gone AS (
    DELETE FROM claim_unit
    USING unit
    WHERE unit.product_id = @product_id
        AND claim_unit.unit_id = unit.unit_id
    RETURNING claim_unit.claim_id
)
DELETE FROM claim
WHERE claim.claim_id IN (SELECT gone.claim_id FROM gone)
    OR (claim.product_id = @product_id AND claim.queue_place IS NOT NULL);

-- ClaimDeleteWithoutUnits removes transactions that never had units and ended before a time: refused ones, and requests that were
-- cancelled while they were queued, except where somebody behind them still waits: they count in the positions. At most row_limit, the
-- oldest first.
-- name: ClaimDeleteWithoutUnits :execrows
WITH ended AS MATERIALIZED (
    SELECT claim.claim_id
    FROM claim
    WHERE (claim.status = 'refused' OR (claim.status = 'released' AND claim.expires_at IS NULL))
        AND claim.ended_at < coalesce(sqlc.narg('now')::timestamptz, now()) - sqlc.arg('keep_seconds')::float8 * interval '1 second'
        AND NOT EXISTS (
            SELECT 1
            FROM queue_head
            WHERE queue_head.product_id = claim.product_id
                AND queue_head.pool_id = claim.pool_id
                AND queue_head.place <= claim.queue_place
        )
    ORDER BY claim.ended_at
    LIMIT @row_limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM claim
USING ended
WHERE claim.claim_id = ended.claim_id;

-- ClaimEnd ends holds, of which the caller has the locks, and those of their buyers' sale_buyer rows, and gives their units back to the pool
-- that they came from, at new, higher positions; to the common pool when its sale is over. (Waiting for a sale_buyer row when a claim has been updated, and not
-- only locked, is a deadlock: whoever has that row may be about to insert a claim with the same key, and waits until it is known what becomes of this one.) It is decided by the clock at this instant, not at the
-- transaction's start, which may lie before a long wait for the lock: a hold that has lapsed becomes expired, another becomes released if
-- that is asked for, and else stays.
-- name: ClaimEnd :many
WITH ended AS (
    UPDATE claim
    SET
        status = CASE
            WHEN claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) THEN 'expired'
            ELSE 'released'
        END,
        ended_at = coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
    WHERE claim.claim_id = ANY(@claim_ids::uuid[])
        AND claim.status = 'held'
        AND (@release::boolean OR claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()))
    RETURNING
        claim.claim_id,
        claim.buyer,
        claim.sale_id,
        claim.product_id,
        claim.pool_id,
        claim.quantity,
        claim.status,
        claim.expires_at
),
freed AS (
    UPDATE claim_unit
    SET released_at = clock_timestamp()
    FROM ended
    WHERE claim_unit.claim_id = ended.claim_id
        AND claim_unit.released_at IS NULL
    RETURNING
        claim_unit.unit_id,
        ended.product_id,
        ended.pool_id
),
returned AS (
    INSERT INTO stock_token (
        product_id,
        pool_id,
        position,
        unit_id
    )
    SELECT
        freed.product_id,
        return_pool(freed.pool_id, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())),
        nextval('stock_token_position'),
        freed.unit_id
    FROM freed
),
uncounted AS (
    UPDATE sale_buyer
    SET
        unit_count = sale_buyer.unit_count - gone.unit_count,
        cool_until = greatest(sale_buyer.cool_until, gone.cool_until)
    FROM (
        SELECT
            ended.sale_id,
            ended.buyer,
            sum(ended.quantity) AS unit_count,
            max(ended.expires_at + sale.cooldown_seconds * interval '1 second')
                FILTER (WHERE ended.status = 'expired' AND sale.cooldown_seconds > 0) AS cool_until
        FROM ended
        JOIN sale ON sale.sale_id = ended.sale_id
        GROUP BY
            ended.sale_id,
            ended.buyer
    ) AS gone
    WHERE sale_buyer.sale_id = gone.sale_id
        AND sale_buyer.buyer = gone.buyer
)
SELECT
    ended.claim_id,
    ended.status,
    ended.product_id,
    ended.pool_id
FROM ended;

-- ClaimEnqueueMany records requests that are accepted, as ClaimInsertMany records holds. A claim that does not come back lost its product, which was deleted
-- before the caller had the tail's lock.
-- name: ClaimEnqueueMany :many
WITH given AS (
    SELECT
        unnest(@claim_ids::uuid[]) AS claim_id,
        unnest(@buyers::text[]) AS buyer,
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@quantities::integer[]) AS quantity,
        unnest(@idempotency_keys::text[]) AS idempotency_key,
        unnest(@queue_places::bigint[]) AS queue_place,
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@claim_references::text[]) AS reference,
        unnest(@metadatas::text[]) AS metadata
)
INSERT INTO claim (
    claim_id,
    buyer,
    product_id,
    pool_id,
    quantity,
    status,
    idempotency_key,
    queue_place,
    sale_id,
    reference,
    metadata,
    created_at
)
SELECT
    given.claim_id,
    given.buyer,
    given.product_id,
    given.pool_id,
    given.quantity,
    'queued',
    nullif(given.idempotency_key, ''),
    given.queue_place,
    nullif(given.sale_id, '00000000-0000-0000-0000-000000000000'),
    nullif(given.reference, ''),
    nullif(given.metadata, '')::jsonb,
    coalesce(sqlc.narg('now')::timestamptz, now())
FROM given
JOIN product ON product.product_id = given.product_id
ORDER BY
    given.buyer,
    given.idempotency_key,
    given.claim_id
RETURNING
    claim.claim_id,
    claim.created_at;

-- ClaimExtend lets holds, of which the caller has the lock, last longer, unless they have lapsed.
-- name: ClaimExtend :execrows
UPDATE claim
SET expires_at = @expires_at
WHERE claim.claim_id = @claim_id
    AND claim.status = 'held'
    AND claim.expires_at > coalesce(sqlc.narg('now')::timestamptz, clock_timestamp());

-- ClaimForOrder reads transactions, of which the caller has the locks, as of this instant and not of the transaction's start, with the length of
-- their holds where a sale has set it.
-- name: ClaimForOrder :many
SELECT
    sqlc.embed(claim),
    product.sku,
    (claim.status = 'held' AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()))::boolean AS lapsed,
    coalesce(sale.hold_seconds, 0)::integer AS hold_seconds,
    EXISTS (
        SELECT 1
        FROM claim AS other
        WHERE other.replaces_claim_id = claim.claim_id
    )::boolean AS replaced,
    return_pool(claim.pool_id, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()))::bigint AS return_pool_id
FROM claim
JOIN product ON product.product_id = claim.product_id
LEFT JOIN sale ON sale.sale_id = claim.sale_id
WHERE claim.claim_id = ANY(@claim_ids::uuid[])
ORDER BY claim.claim_id;

-- ClaimHeldOfBuyer names a buyer's holds, lapsed ones as well, the oldest first, in an order that no index has, as ClaimLockOfOrders.
-- name: ClaimHeldOfBuyer :many
SELECT claim.claim_id
FROM claim
WHERE claim.buyer = @buyer
    AND claim.status = 'held'
ORDER BY claim.claim_id::text COLLATE "C"
LIMIT @row_limit;

-- ClaimHoldMany turns queued requests, of which the caller has the locks, into holds. It is to be run while nothing but hashing is on (JoinSettings), and what it asks of the status is
-- no condition of any index: a plan that was made while there was little would read all that is live, for a batch of a few hundred out of a queue of 100,000.
-- name: ClaimHoldMany :many
WITH given AS (
    SELECT
        unnest(@claim_ids::uuid[]) AS claim_id,
        unnest(@price_minors::bigint[]) AS price_minor,
        unnest(@currencies::text[]) AS currency,
        unnest(@hold_seconds::float8[]) AS hold_seconds
)
UPDATE claim
SET
    status = 'held',
    price_minor = nullif(given.price_minor, -1),
    currency = nullif(given.currency, ''),
    expires_at = coalesce(sqlc.narg('now')::timestamptz, now()) + given.hold_seconds * interval '1 second'
FROM given
WHERE claim.claim_id = ANY(@claim_ids::uuid[])
    AND claim.claim_id = given.claim_id
    AND (claim.status || '') = 'queued'
RETURNING
    claim.claim_id,
    claim.created_at,
    claim.expires_at;

-- ClaimInsertMany records holds, in the order of buyer and key on every server, so that two batches with the same keys wait for each
-- other instead of deadlocking. It violates claim_key_once, or claim_pkey, where a key or an id was lost to a transaction that has committed since the
-- caller looked. That is so rare that nobody pays for ON CONFLICT, which looks at each row twice and writes it down twice.
-- name: ClaimInsertMany :many
WITH given AS (
    SELECT
        unnest(@claim_ids::uuid[]) AS claim_id,
        unnest(@buyers::text[]) AS buyer,
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@quantities::integer[]) AS quantity,
        unnest(@idempotency_keys::text[]) AS idempotency_key,
        unnest(@price_minors::bigint[]) AS price_minor,
        unnest(@currencies::text[]) AS currency,
        unnest(@hold_seconds::float8[]) AS hold_seconds,
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@claim_references::text[]) AS reference,
        unnest(@metadatas::text[]) AS metadata
)
INSERT INTO claim (
    claim_id,
    buyer,
    product_id,
    pool_id,
    quantity,
    status,
    idempotency_key,
    price_minor,
    currency,
    sale_id,
    reference,
    metadata,
    created_at,
    expires_at
)
SELECT
    given.claim_id,
    given.buyer,
    given.product_id,
    given.pool_id,
    given.quantity,
    'held',
    nullif(given.idempotency_key, ''),
    nullif(given.price_minor, -1),
    nullif(given.currency, ''),
    nullif(given.sale_id, '00000000-0000-0000-0000-000000000000'),
    nullif(given.reference, ''),
    nullif(given.metadata, '')::jsonb,
    coalesce(sqlc.narg('now')::timestamptz, now()),
    coalesce(sqlc.narg('now')::timestamptz, now()) + given.hold_seconds * interval '1 second'
FROM given
ORDER BY
    given.buyer,
    given.idempotency_key,
    given.claim_id
RETURNING
    claim.claim_id,
    claim.created_at,
    claim.expires_at;

-- ClaimInsertOrdered records a claim that is ordered from the beginning, in place of one that has lapsed.
-- name: ClaimInsertOrdered :exec
INSERT INTO claim (
    claim_id,
    buyer,
    product_id,
    pool_id,
    quantity,
    status,
    price_minor,
    currency,
    sale_id,
    reference,
    metadata,
    created_at,
    ended_at,
    order_id,
    replaces_claim_id
)
SELECT
    @claim_id,
    claim.buyer,
    claim.product_id,
    @pool_id,
    @quantity,
    'ordered',
    claim.price_minor,
    claim.currency,
    claim.sale_id,
    claim.reference,
    claim.metadata,
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()),
    coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()),
    @order_id,
    claim.claim_id
FROM claim
WHERE claim.claim_id = @replaces_claim_id;

-- ClaimLapsedPools names the pools in which a hold has lapsed. It jumps from pool to pool in the index, so its cost does not
-- grow with the number of holds.
-- name: ClaimLapsedPools :many
WITH RECURSIVE first_hold AS (
    (
        SELECT
            claim.product_id,
            claim.pool_id,
            claim.expires_at
        FROM claim
        WHERE claim.status = 'held'
        ORDER BY
            claim.product_id,
            claim.pool_id,
            claim.expires_at
        LIMIT 1
    )
    UNION ALL
    SELECT
        following.product_id,
        following.pool_id,
        following.expires_at
    FROM first_hold
    CROSS JOIN LATERAL (
        SELECT
            claim.product_id,
            claim.pool_id,
            claim.expires_at
        FROM claim
        WHERE claim.status = 'held'
            AND (claim.product_id, claim.pool_id) > (first_hold.product_id, first_hold.pool_id)
        ORDER BY
            claim.product_id,
            claim.pool_id,
            claim.expires_at
        LIMIT 1
    ) AS following
)
SELECT
    first_hold.product_id::bigint AS product_id,
    first_hold.pool_id::bigint AS pool_id
FROM first_hold
WHERE first_hold.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
ORDER BY
    first_hold.product_id,
    first_hold.pool_id;

-- ClaimLock waits for a buyer's transaction and locks it.
-- name: ClaimLock :one
SELECT
    claim.status,
    claim.sale_id
FROM claim
WHERE claim.claim_id = @claim_id
    AND claim.buyer = @buyer
FOR UPDATE;

-- ClaimLockHeld waits for all holds of a product and locks them, in the order of their ids.
-- name: ClaimLockHeld :many
SELECT claim.claim_id
FROM claim
WHERE claim.product_id = @product_id
    AND claim.status = 'held'
ORDER BY claim.claim_id
FOR UPDATE;

-- ClaimLockLapsed locks the holds of a pool that lapsed first, at most row_limit, leaving out those that somebody else has locked.
-- name: ClaimLockLapsed :many
SELECT
    claim.claim_id,
    claim.buyer,
    claim.sale_id
FROM claim
WHERE claim.product_id = @product_id
    AND claim.pool_id = @pool_id
    AND claim.status = 'held'
    AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
ORDER BY
    claim.expires_at,
    claim.claim_id
LIMIT @row_limit
FOR UPDATE SKIP LOCKED;

-- ClaimLockLapsedOfBuyers locks the lapsed holds that buyers have in sales, sale_ids and buyers go in pairs, leaving out those that somebody else
-- has locked.
-- name: ClaimLockLapsedOfBuyers :many
WITH asked AS (
    SELECT
        unnest(@sale_ids::uuid[]) AS sale_id,
        unnest(@buyers::text[]) AS buyer
),
lapsed AS MATERIALIZED (
    SELECT claim.claim_id
    FROM asked
    JOIN claim ON claim.buyer = asked.buyer AND claim.sale_id = asked.sale_id
    WHERE claim.status = 'held'
        AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
    ORDER BY claim.claim_id
    FOR UPDATE OF claim SKIP LOCKED
)
SELECT lapsed.claim_id
FROM lapsed;

-- ClaimLockOfOrders waits for the lines of orders and locks them, in the order of their ids, as a checkout of the same transactions does. (The order is that of the text,
-- which no index has: where the planner had heard of few orders, it read all claims in the order of the ids.)
-- name: ClaimLockOfOrders :exec
SELECT claim.claim_id
FROM claim
WHERE claim.order_id = ANY(@order_ids::uuid[])
ORDER BY claim.claim_id::text COLLATE "C"
FOR NO KEY UPDATE;

-- ClaimLockMany waits for transactions and locks them, in the order of their ids.
-- name: ClaimLockMany :many
SELECT claim.claim_id
FROM claim
WHERE claim.claim_id = ANY(@claim_ids::uuid[])
ORDER BY claim.claim_id
FOR UPDATE;

-- ClaimLockQueued locks the next requests of queues, of whose heads the caller has the locks: from from_place on, in order, at most row_limit of
-- each. It leaves out what somebody else has locked, such as to cancel it: ClaimQueuedPlaces tells what that is.
-- name: ClaimLockQueued :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@from_places::bigint[]) AS from_place
),
waiting AS MATERIALIZED (
    SELECT
        next.claim_id,
        next.buyer,
        next.product_id,
        next.pool_id,
        next.quantity,
        next.queue_place,
        next.sale_id,
        next.reference,
        next.metadata,
        next.created_at
    FROM asked
    CROSS JOIN LATERAL (
        SELECT
            claim.claim_id,
            claim.buyer,
            claim.product_id,
            claim.pool_id,
            claim.quantity,
            claim.queue_place,
            claim.sale_id,
            claim.reference,
            claim.metadata,
            claim.created_at
        FROM claim
        WHERE claim.product_id = asked.product_id
            AND claim.pool_id = asked.pool_id
            AND claim.queue_place >= asked.from_place
            AND claim.status = 'queued'
        ORDER BY claim.queue_place
        LIMIT @row_limit::integer
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS next
)
SELECT
    waiting.claim_id,
    waiting.buyer,
    waiting.product_id,
    waiting.pool_id,
    waiting.quantity,
    waiting.queue_place::bigint AS queue_place,
    waiting.sale_id,
    waiting.reference,
    waiting.metadata,
    waiting.created_at
FROM waiting
ORDER BY
    waiting.product_id,
    waiting.pool_id,
    waiting.queue_place;

-- ClaimOfBuyer reads a buyer's live transactions, the oldest first, with their units.
-- name: ClaimOfBuyer :many
SELECT
    sqlc.embed(claim),
    product.sku,
    (claim.status = 'held' AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now()))::boolean AS lapsed,
    ARRAY(
        SELECT claim_unit.unit_id
        FROM claim_unit
        WHERE claim_unit.claim_id = claim.claim_id
        ORDER BY claim_unit.unit_id
    )::uuid[] AS unit_ids,
    coalesce((
        SELECT queue_position.queue_position
        FROM queue_position
        WHERE queue_position.claim_id = claim.claim_id
    ), 0)::bigint AS queue_position
FROM claim
JOIN product ON product.product_id = claim.product_id
WHERE claim.buyer = @buyer
    AND claim.status IN ('queued', 'held')
ORDER BY claim.claim_id::text COLLATE "C"
LIMIT 1000;

-- ClaimOfOrders reads the lines of orders, in no order, with the units that they have or had and those that have left them.
-- name: ClaimOfOrders :many
SELECT
    sqlc.embed(claim),
    product.sku,
    ARRAY(
        SELECT claim_unit.unit_id
        FROM claim_unit
        WHERE claim_unit.claim_id = claim.claim_id
        ORDER BY claim_unit.unit_id
    )::uuid[] AS unit_ids,
    ARRAY(
        SELECT claim_unit.unit_id
        FROM claim_unit
        WHERE claim_unit.claim_id = claim.claim_id
            AND claim_unit.released_at IS NOT NULL
        ORDER BY claim_unit.unit_id
    )::uuid[] AS returned_unit_ids,
    return_pool(claim.pool_id, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()))::bigint AS return_pool_id
FROM claim
JOIN product ON product.product_id = claim.product_id
WHERE claim.order_id = ANY(@order_ids::uuid[]);

-- ClaimOrderEach makes lines of unpaid orders of holds, of which the caller has the locks, unless they have lapsed at this instant. Claims, orders and times go
-- together.
-- name: ClaimOrderEach :execrows
WITH given AS (
    SELECT
        unnest(@claim_ids::uuid[]) AS claim_id,
        unnest(@order_ids::uuid[]) AS order_id,
        unnest(@pay_bys::timestamptz[]) AS pay_by,
        coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) AS at
)
UPDATE claim
SET
    status = 'ordered',
    ended_at = given.at,
    order_id = given.order_id,
    unpaid = true,
    pay_by = given.pay_by
FROM given
WHERE claim.claim_id = given.claim_id
    AND claim.status = 'held'
    AND claim.expires_at > given.at;

-- ClaimOrderMany makes lines of an order of holds, of which the caller has the locks, unless they have lapsed at this instant. Without pay_by
-- the order is paid.
-- name: ClaimOrderMany :execrows
WITH instant AS MATERIALIZED (
    SELECT coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) AS at
)
UPDATE claim
SET
    status = 'ordered',
    ended_at = instant.at,
    order_id = @order_id,
    unpaid = sqlc.narg('pay_by')::timestamptz IS NOT NULL,
    pay_by = sqlc.narg('pay_by')::timestamptz
FROM instant
WHERE claim.claim_id = ANY(@claim_ids::uuid[])
    AND claim.status = 'held'
    AND claim.expires_at > instant.at;

-- ClaimPaid marks the lines of orders, of which the caller has the locks, as paid for.
-- name: ClaimPaid :exec
UPDATE claim
SET
    unpaid = false,
    pay_by = NULL
WHERE claim.order_id = ANY(@order_ids::uuid[])
    AND claim.unpaid;

-- ClaimPayBy says when the units of unpaid orders, of whose lines the caller has the locks, come back by themselves; without a time: not before the provider was asked.
-- name: ClaimPayBy :exec
UPDATE claim
SET pay_by = sqlc.narg('pay_by')::timestamptz
WHERE claim.order_id = ANY(@order_ids::uuid[])
    AND claim.unpaid;

-- ClaimQueuedPlaces reads which places the next requests of queues have, from from_place on, in order, at most row_limit of each, whoever has locked them.
-- name: ClaimQueuedPlaces :many
SELECT
    next.product_id,
    next.pool_id,
    next.queue_place::bigint AS queue_place
FROM (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@from_places::bigint[]) AS from_place
) AS asked
CROSS JOIN LATERAL (
    SELECT
        claim.product_id,
        claim.pool_id,
        claim.queue_place
    FROM claim
    WHERE claim.product_id = asked.product_id
        AND claim.pool_id = asked.pool_id
        AND claim.queue_place >= asked.from_place
        AND claim.status = 'queued'
    ORDER BY claim.queue_place
    LIMIT @row_limit::integer
) AS next;

-- ClaimQueuedCount counts the requests that buyers have queued.
-- name: ClaimQueuedCount :many
SELECT
    claim.buyer,
    count(*)::bigint AS request_count
FROM claim
WHERE claim.buyer = ANY(@buyers::text[])
    AND claim.status = 'queued'
GROUP BY claim.buyer;

-- ClaimReadRecord makes one synchronous WAL record where commits wait for a standby, so that what was read before it in the same transaction is shown only when that
-- standby has it as well: a primary that has crashed, or a commit that gave up waiting, shows what the standby may never get.
-- name: ClaimReadRecord :exec
SELECT pg_logical_emit_message(true, 'lastunit.read', '')
WHERE current_setting('synchronous_standby_names') <> '';

-- ClaimRefuseMany ends queued requests, of which the caller has the locks, without units. As with ClaimHoldMany, all is found by its key.
-- name: ClaimRefuseMany :many
WITH given AS (
    SELECT
        unnest(@claim_ids::uuid[]) AS claim_id,
        unnest(@reasons::text[]) AS reason,
        unnest(@reason_members::text[])::jsonb AS reason_members
)
UPDATE claim
SET
    status = 'refused',
    reason = given.reason,
    reason_members = given.reason_members,
    ended_at = coalesce(sqlc.narg('now')::timestamptz, now())
FROM given
WHERE claim.claim_id = ANY(@claim_ids::uuid[])
    AND claim.claim_id = given.claim_id
    AND (claim.status || '') = 'queued'
RETURNING claim.claim_id;

-- ClaimReplayRecord makes one synchronous WAL record, so that a replay is answered only after a standby that could take over has seen
-- what the replay shows.
-- name: ClaimReplayRecord :exec
SELECT pg_logical_emit_message(true, 'lastunit.replay', '');

-- ClaimSettings keeps the planner on the indexes until the end of the transaction, whatever it believes about tables that were filled a moment ago, and bounds what
-- a statement may wait for. It also tells whether commits wait for a standby.
-- name: ClaimSettings :one
SELECT
    current_setting('synchronous_standby_names') <> '' AS standby_named,
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('lock_timeout', '2s', true),
    set_config('statement_timeout', '4s', true);

-- JoinSettings leaves nothing but hashing to join what is given with the rows that were found by their keys, where others is off, until it is on again, or the end of the transaction.
-- name: JoinSettings :exec
SELECT
    set_config('enable_nestloop', @others::text, true),
    set_config('enable_mergejoin', @others::text, true);

-- GatherSettings is ClaimSettings for calls that are gathered: everything goes by keys, and who would have to wait for one lets all of its batch be done alone.
-- name: GatherSettings :exec
SELECT
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('lock_timeout', '100ms', true);

-- ClaimTryLockOfOrders locks the lines of orders, those that nobody else has locked, and names the orders of which all lines are.
-- name: ClaimTryLockOfOrders :many
WITH line AS MATERIALIZED (
    SELECT claim.claim_id
    FROM claim
    WHERE claim.order_id = ANY(@order_ids::uuid[])
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT claim.order_id::uuid AS order_id
FROM claim
LEFT JOIN line ON line.claim_id = claim.claim_id
WHERE claim.order_id = ANY(@order_ids::uuid[])
GROUP BY claim.order_id
HAVING count(*) = count(line.claim_id);

-- ClaimTryLockMany locks transactions, in the order of their ids, those that nobody else has locked.
-- name: ClaimTryLockMany :many
SELECT claim.claim_id
FROM claim
WHERE claim.claim_id = ANY(@claim_ids::uuid[])
ORDER BY claim.claim_id
FOR UPDATE SKIP LOCKED;
