-- StockTokenDeleteByProduct is for rehearsal products.
-- name: StockTokenDeleteByProduct :exec
DELETE FROM stock_token
WHERE stock_token.product_id = @product_id;

-- StockTokenMayReturn tells which products are not sold out for good: a unit is there, or may come back by itself. It looks from from_positions
-- on first, where tokens usually are, so as not to walk over dead rows.
-- name: StockTokenMayReturn :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@from_positions::bigint[]) AS from_position
)
SELECT asked.product_id::bigint AS product_id
FROM asked
WHERE EXISTS (
        SELECT 1
        FROM stock_token
        WHERE stock_token.product_id = asked.product_id
            AND stock_token.pool_id = asked.pool_id
            AND stock_token.position >= asked.from_position
    )
    OR EXISTS (
        SELECT 1
        FROM claim
        WHERE claim.product_id = asked.product_id
            AND claim.status = 'held'
    )
    OR EXISTS (
        SELECT 1
        FROM claim
        WHERE claim.product_id = asked.product_id
            AND claim.unpaid
    )
    OR EXISTS (
        SELECT 1
        FROM stock_token
        WHERE stock_token.product_id = asked.product_id
    );

-- StockTokenInsertMany puts units into a pool, behind all that is there.
-- name: StockTokenInsertMany :copyfrom
INSERT INTO stock_token (
    product_id,
    pool_id,
    unit_id
) VALUES (
    @product_id,
    @pool_id,
    @unit_id
);

-- StockTokenLeft names the pools in which there is a token behind a position, locked or not.
-- name: StockTokenLeft :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@positions::bigint[]) AS position
)
SELECT
    asked.product_id::bigint AS product_id,
    asked.pool_id::bigint AS pool_id
FROM asked
WHERE EXISTS (
    SELECT 1
    FROM stock_token
    WHERE stock_token.product_id = asked.product_id
        AND stock_token.pool_id = asked.pool_id
        AND stock_token.position > asked.position
);

-- StockTokenMove moves tokens, the lowest positions first, from one pool of a product to another, at new, higher positions, and says how many. It
-- passes by tokens that somebody has locked.
-- name: StockTokenMove :execrows
WITH picked AS MATERIALIZED (
    SELECT stock_token.position
    FROM stock_token
    WHERE stock_token.product_id = @product_id
        AND stock_token.pool_id = @from_pool_id
    ORDER BY stock_token.position
    LIMIT @quantity
    FOR UPDATE SKIP LOCKED
),
taken AS (
    DELETE FROM stock_token
    USING picked
    WHERE stock_token.product_id = @product_id
        AND stock_token.pool_id = @from_pool_id
        AND stock_token.position = picked.position
    RETURNING stock_token.unit_id
)
INSERT INTO stock_token (
    product_id,
    pool_id,
    position,
    unit_id
)
SELECT
    @product_id,
    @to_pool_id::bigint,
    nextval('stock_token_position'),
    taken.unit_id
FROM taken;

-- StockTokenPick locks, for each wanted pool, up to so many tokens of the lowest positions from from_position (included) to
-- below_position (excluded), passing by those that somebody else has locked. MATERIALIZED, and the LIMIT inside LATERAL: each
-- pool's pick runs once, whatever the statistics say.
-- name: StockTokenPick :many
WITH wanted AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@from_positions::bigint[]) AS from_position,
        unnest(@below_positions::bigint[]) AS below_position,
        unnest(@unit_counts::bigint[]) AS unit_count
),
picked AS MATERIALIZED (
    SELECT
        token.product_id,
        token.pool_id,
        token.position
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT
            stock_token.product_id,
            stock_token.pool_id,
            stock_token.position
        FROM stock_token
        WHERE stock_token.product_id = wanted.product_id
            AND stock_token.pool_id = wanted.pool_id
            AND stock_token.position >= wanted.from_position
            AND stock_token.position < wanted.below_position
        ORDER BY stock_token.position
        LIMIT wanted.unit_count
        FOR UPDATE SKIP LOCKED
    ) AS token
)
SELECT
    picked.product_id,
    picked.pool_id,
    picked.position
FROM picked;

-- StockTokenReckon tells, from one snapshot, why a pool has nothing: how many tokens are to be seen in it (up to the limit, locked ones too),
-- when the first hold of it ends or the first unpaid order is overdue, whether any unit of the product can still come back, and whether the pool was
-- that of a sale that is over by now, so that its tokens may have gone into the common pool since the transaction began.
-- name: StockTokenReckon :many
WITH asked AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@row_limits::bigint[]) AS row_limit
)
SELECT
    asked.product_id::bigint AS product_id,
    asked.pool_id::bigint AS pool_id,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM stock_token
            WHERE stock_token.product_id = asked.product_id
                AND stock_token.pool_id = asked.pool_id
            LIMIT asked.row_limit
        ) AS some_tokens
    )::bigint AS token_count,
    (
        SELECT claim.expires_at
        FROM claim
        WHERE claim.product_id = asked.product_id
            AND claim.pool_id = asked.pool_id
            AND claim.status = 'held'
        ORDER BY claim.expires_at
        LIMIT 1
    ) AS next_expiry,
    (
        SELECT claim.pay_by
        FROM claim
        WHERE claim.product_id = asked.product_id
            AND claim.pool_id = asked.pool_id
            AND claim.unpaid
        ORDER BY claim.pay_by
        LIMIT 1
    ) AS next_overdue,
    (
        EXISTS (
            SELECT 1
            FROM stock_token
            WHERE stock_token.product_id = asked.product_id
        )
        OR EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.product_id = asked.product_id
                AND claim.status = 'held'
        )
        OR EXISTS (
            SELECT 1
            FROM claim
            WHERE claim.product_id = asked.product_id
                AND claim.unpaid
        )
    )::boolean AS may_return,
    EXISTS (
        SELECT 1
        FROM sale
        WHERE sale.pool_id = asked.pool_id
            AND sale.closes_at <= coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())
    )::boolean AS sale_over,
    coalesce(sqlc.narg('now')::timestamptz, now())::timestamptz AS reckoned_at
FROM asked;

-- StockTokenStock counts the units of a product by place, from one snapshot. Units in lapsed holds and overdue orders count as available.
-- name: StockTokenStock :one
SELECT
    coalesce((
        SELECT sum(receipt.quantity)
        FROM receipt
        WHERE receipt.product_id = @product_id
    ), 0)::bigint AS received,
    (
        SELECT count(*)
        FROM stock_token
        WHERE stock_token.product_id = @product_id
    )::bigint AS token_count,
    coalesce((
        SELECT sum(claim.quantity)
        FROM claim
        WHERE claim.product_id = @product_id
            AND claim.status = 'held'
            AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now())
    ), 0)::bigint AS lapsed_units,
    coalesce((
        SELECT sum(claim.quantity)
        FROM claim
        WHERE claim.product_id = @product_id
            AND claim.status = 'held'
            AND claim.expires_at > coalesce(sqlc.narg('now')::timestamptz, now())
    ), 0)::bigint AS held,
    coalesce((
        SELECT sum(claim.quantity)
        FROM claim
        WHERE claim.product_id = @product_id
            AND claim.unpaid
    ), 0)::bigint AS unpaid,
    coalesce((
        SELECT sum(claim.quantity)
        FROM claim
        WHERE claim.product_id = @product_id
            AND claim.unpaid
            AND claim.pay_by <= coalesce(sqlc.narg('now')::timestamptz, now())
    ), 0)::bigint AS overdue,
    (
        SELECT count(*)
        FROM claim
        JOIN claim_unit ON claim_unit.claim_id = claim.claim_id
        WHERE claim.product_id = @product_id
            AND claim.status = 'ordered'
            AND NOT claim.unpaid
            AND claim_unit.released_at IS NULL
    )::bigint AS sold,
    (
        SELECT count(*)
        FROM quarantine_unit
        WHERE quarantine_unit.product_id = @product_id
            AND quarantine_unit.left_at IS NULL
    )::bigint AS quarantine,
    coalesce((
        SELECT sum(withdrawal.quantity)
        FROM withdrawal
        WHERE withdrawal.product_id = @product_id
    ), 0)::bigint AS withdrawn;

-- StockTokenTake deletes picked tokens, of which the caller has the locks, and gives each one's unit to the claim beside it.
-- name: StockTokenTake :many
WITH allotted AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@pool_ids::bigint[]) AS pool_id,
        unnest(@positions::bigint[]) AS position,
        unnest(@claim_ids::uuid[]) AS claim_id
),
taken AS (
    DELETE FROM stock_token
    USING allotted
    WHERE stock_token.product_id = allotted.product_id
        AND stock_token.pool_id = allotted.pool_id
        AND stock_token.position = allotted.position
    RETURNING
        (allotted.claim_id)::uuid AS claim_id,
        stock_token.unit_id
)
INSERT INTO claim_unit (
    claim_id,
    unit_id
)
SELECT
    taken.claim_id,
    taken.unit_id
FROM taken
RETURNING
    claim_unit.claim_id,
    claim_unit.unit_id;
