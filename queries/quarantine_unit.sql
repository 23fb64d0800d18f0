-- QuarantineUnitDeleteByProduct is for rehearsal products.
-- name: QuarantineUnitDeleteByProduct :exec
DELETE FROM quarantine_unit
WHERE quarantine_unit.product_id = @product_id;

-- QuarantineUnitRelease lets units of a product out of quarantine, those that are named, or else the quantity that has been there longest, and puts
-- them into the common pool; it passes by those that somebody else has locked.
-- name: QuarantineUnitRelease :many
WITH picked AS MATERIALIZED (
    SELECT quarantine_unit.unit_id
    FROM quarantine_unit
    WHERE quarantine_unit.product_id = @product_id
        AND quarantine_unit.left_at IS NULL
        AND (cardinality(@unit_ids::uuid[]) = 0 OR quarantine_unit.unit_id = ANY(@unit_ids::uuid[]))
    ORDER BY
        quarantine_unit.entered_at,
        quarantine_unit.unit_id
    LIMIT @quantity
    FOR UPDATE SKIP LOCKED
),
left_quarantine AS (
    UPDATE quarantine_unit
    SET
        left_at = clock_timestamp(),
        outcome = 'released'
    FROM picked
    WHERE quarantine_unit.unit_id = picked.unit_id
        AND quarantine_unit.left_at IS NULL
    RETURNING
        quarantine_unit.unit_id,
        quarantine_unit.product_id
),
returned AS (
    INSERT INTO stock_token (
        product_id,
        pool_id,
        position,
        unit_id
    )
    SELECT
        left_quarantine.product_id,
        0,
        nextval('stock_token_position'),
        left_quarantine.unit_id
    FROM left_quarantine
)
SELECT left_quarantine.unit_id
FROM left_quarantine
ORDER BY left_quarantine.unit_id;

-- QuarantineUnitWithdraw takes units out of quarantine for good, those that have been there longest, and says how many it found.
-- name: QuarantineUnitWithdraw :execrows
WITH picked AS MATERIALIZED (
    SELECT quarantine_unit.unit_id
    FROM quarantine_unit
    WHERE quarantine_unit.product_id = @product_id
        AND quarantine_unit.left_at IS NULL
    ORDER BY
        quarantine_unit.entered_at,
        quarantine_unit.unit_id
    LIMIT @quantity
    FOR UPDATE SKIP LOCKED
),
left_quarantine AS (
    UPDATE quarantine_unit
    SET
        left_at = clock_timestamp(),
        outcome = 'withdrawn'
    FROM picked
    WHERE quarantine_unit.unit_id = picked.unit_id
        AND quarantine_unit.left_at IS NULL
    RETURNING quarantine_unit.unit_id
)
INSERT INTO withdrawal_unit (
    unit_id,
    withdrawal_id
)
SELECT
    left_quarantine.unit_id,
    @withdrawal_id::uuid
FROM left_quarantine;
