-- UnitDeleteByProduct is for rehearsal products, after their claims and tokens.
-- name: UnitDeleteByProduct :exec
WITH gone AS (
    DELETE FROM unit
    WHERE unit.product_id = @product_id
    RETURNING unit.unit_id
)
DELETE FROM withdrawal_unit
USING gone
WHERE withdrawal_unit.unit_id = gone.unit_id;

-- UnitInsertMany makes units of a receipt.
-- name: UnitInsertMany :copyfrom
INSERT INTO unit (
    unit_id,
    product_id,
    receipt_id,
    serial
) VALUES (
    @unit_id,
    @product_id,
    @receipt_id,
    sqlc.narg('serial')
);

-- UnitLife reads where a unit came from and where it is, if not in somebody's claim.
-- name: UnitLife :one
SELECT
    unit.unit_id,
    unit.serial,
    product.sku,
    receipt.receipt_id,
    receipt.reference AS receipt_reference,
    receipt.created_at AS received_at,
    (stock_token.unit_id IS NOT NULL)::boolean AS has_token,
    EXISTS (
        SELECT 1
        FROM quarantine_unit
        WHERE quarantine_unit.unit_id = unit.unit_id
            AND quarantine_unit.left_at IS NULL
    )::boolean AS in_quarantine,
    withdrawal.withdrawal_id,
    withdrawal.reason AS withdrawal_reason,
    withdrawal.created_at AS withdrawn_at
FROM unit
JOIN product ON product.product_id = unit.product_id
JOIN receipt ON receipt.receipt_id = unit.receipt_id
LEFT JOIN stock_token ON stock_token.unit_id = unit.unit_id
LEFT JOIN withdrawal_unit ON withdrawal_unit.unit_id = unit.unit_id
LEFT JOIN withdrawal ON withdrawal.withdrawal_id = withdrawal_unit.withdrawal_id
WHERE unit.unit_id = @unit_id;

-- UnitLifeClaims reads the claims that a unit has been in, the oldest first, at most 1000 of the latest, with their orders.
-- name: UnitLifeClaims :many
SELECT
    latest.claim_id,
    latest.buyer,
    latest.status,
    latest.created_at,
    latest.expires_at,
    latest.released_at,
    latest.lapsed,
    latest.ordered_at,
    latest.order_id,
    latest.outcome,
    latest.replaces_claim_id,
    latest.paid_at,
    latest.order_reference
FROM (
    SELECT
        claim.claim_id,
        claim.buyer,
        claim.status,
        claim.created_at,
        claim.expires_at,
        claim_unit.released_at,
        (claim.status = 'held' AND claim.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now()))::boolean AS lapsed,
        claim.ended_at AS ordered_at,
        claim.order_id,
        claim_unit.outcome,
        claim.replaces_claim_id,
        shop_order.paid_at,
        shop_order.reference AS order_reference
    FROM claim_unit
    JOIN claim ON claim.claim_id = claim_unit.claim_id
    LEFT JOIN shop_order ON shop_order.order_id = claim.order_id
    WHERE claim_unit.unit_id = @unit_id
    ORDER BY claim_unit.released_at DESC NULLS FIRST
    LIMIT 1000
) AS latest
ORDER BY latest.released_at ASC NULLS LAST;

-- UnitLifeQuarantine reads when a unit was let out of quarantine, the latest first.
-- name: UnitLifeQuarantine :many
SELECT
    quarantine_unit.order_id,
    quarantine_unit.left_at
FROM quarantine_unit
WHERE quarantine_unit.unit_id = @unit_id
    AND quarantine_unit.outcome = 'released'
ORDER BY quarantine_unit.left_at DESC
LIMIT 1000;

-- UnitLifeRepairs reads what was repaired of a unit, the latest first.
-- name: UnitLifeRepairs :many
SELECT
    repair.repair_id,
    repair.done,
    repair.created_at
FROM repair
WHERE repair.unit_id = @unit_id
ORDER BY repair.created_at DESC
LIMIT 1000;
