-- AuditRunByKey finds what an idempotency key of this caller has made.
-- name: AuditRunByKey :one
SELECT sqlc.embed(audit_run)
FROM audit_run
WHERE audit_run.api_key_id = @api_key_id
    AND audit_run.idempotency_key = @idempotency_key;

-- AuditRunDeleteByProduct is for rehearsal products.
-- name: AuditRunDeleteByProduct :exec
DELETE FROM audit_run
USING product
WHERE product.product_id = @product_id
    AND audit_run.sku = product.sku;

-- AuditRunDeleteOld keeps the newest 1000 runs and whatever is younger than a day.
-- name: AuditRunDeleteOld :exec
DELETE FROM audit_run
WHERE audit_run.finished_at < (
    SELECT newest.finished_at
    FROM audit_run AS newest
    ORDER BY newest.finished_at DESC
    OFFSET 1000
    LIMIT 1
)
AND audit_run.finished_at < now() - interval '24 hours';

-- AuditRunInsert records a finished audit, no row is made when the key is taken.
-- name: AuditRunInsert :execrows
INSERT INTO audit_run (
    audit_run_id,
    sku,
    ok,
    checks,
    api_key_id,
    idempotency_key,
    started_at,
    finished_at
) VALUES (
    @audit_run_id,
    @sku,
    @ok,
    @checks,
    @api_key_id,
    @idempotency_key,
    @started_at,
    @finished_at
)
ON CONFLICT (api_key_id, idempotency_key) DO NOTHING;

-- AuditRunLatest reads the audit that finished last.
-- name: AuditRunLatest :one
SELECT sqlc.embed(audit_run)
FROM audit_run
ORDER BY audit_run.finished_at DESC
LIMIT 1;
