-- ClaimUnitOfOrder reads the units that an order still has, of which the caller has the lock.
-- name: ClaimUnitOfOrder :many
SELECT
    has.unit_id,
    claim.claim_id,
    claim.product_id,
    claim.pool_id,
    claim.price_minor,
    claim.currency
FROM claim
CROSS JOIN LATERAL (
    SELECT claim_unit.unit_id
    FROM claim_unit
    WHERE claim_unit.claim_id = claim.claim_id
        AND claim_unit.released_at IS NULL
    OFFSET 0 -- so that each line's are looked up
) AS has
WHERE claim.order_id = @order_id
ORDER BY has.unit_id;

-- ClaimUnitReturn takes units out of an order, of which the caller has the lock and those of its buyer's sale_buyer rows, and puts each where the
-- outcome says: back into its pool (returned), into quarantine (quarantined), or into the withdrawal of its product (written_off; product_ids and
-- withdrawal_ids go in pairs).
-- name: ClaimUnitReturn :many
WITH taken AS (
    UPDATE claim_unit
    SET
        released_at = clock_timestamp(),
        outcome = @outcome::text
    FROM claim
    WHERE claim.order_id = @order_id
        AND claim_unit.claim_id = claim.claim_id
        AND claim_unit.released_at IS NULL
        AND claim_unit.unit_id = ANY(@unit_ids::uuid[])
    RETURNING
        claim_unit.unit_id,
        claim.buyer,
        claim.sale_id,
        claim.product_id,
        claim.pool_id
),
to_sale AS (
    INSERT INTO stock_token (
        product_id,
        pool_id,
        position,
        unit_id
    )
    SELECT
        taken.product_id,
        return_pool(taken.pool_id, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())),
        nextval('stock_token_position'),
        taken.unit_id
    FROM taken
    WHERE @outcome::text = 'returned'
),
to_quarantine AS (
    INSERT INTO quarantine_unit (
        unit_id,
        product_id,
        order_id,
        entered_at
    )
    SELECT
        taken.unit_id,
        taken.product_id,
        @order_id,
        clock_timestamp()
    FROM taken
    WHERE @outcome::text = 'quarantined'
),
withdrawing AS (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id,
        unnest(@withdrawal_ids::uuid[]) AS withdrawal_id
),
to_withdrawal AS (
    INSERT INTO withdrawal_unit (
        unit_id,
        withdrawal_id
    )
    SELECT
        taken.unit_id,
        withdrawing.withdrawal_id
    FROM taken
    JOIN withdrawing ON withdrawing.product_id = taken.product_id
    WHERE @outcome::text = 'written_off'
),
uncounted AS (
    UPDATE sale_buyer
    SET unit_count = sale_buyer.unit_count - gone.unit_count
    FROM (
        SELECT
            taken.sale_id,
            taken.buyer,
            count(*) AS unit_count
        FROM taken
        WHERE taken.sale_id IS NOT NULL
        GROUP BY
            taken.sale_id,
            taken.buyer
    ) AS gone
    WHERE sale_buyer.sale_id = gone.sale_id
        AND sale_buyer.buyer = gone.buyer
)
SELECT
    taken.unit_id,
    taken.product_id,
    taken.pool_id
FROM taken;
