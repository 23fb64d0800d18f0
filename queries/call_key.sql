-- CallKeyBound tells which of some keys of callers are bound, callers and keys go in pairs. Each is looked up: joined, a plan that was made while there were no keys
-- read all of them for ever.
-- name: CallKeyBound :many
WITH asked AS (
    SELECT
        unnest(@callers::text[]) AS caller,
        unnest(@idempotency_keys::text[]) AS idempotency_key
)
SELECT
    asked.caller::text AS caller,
    asked.idempotency_key::text AS idempotency_key
FROM asked
WHERE (
    SELECT call_key.created_at
    FROM call_key
    WHERE call_key.caller = asked.caller
        AND call_key.operation = @operation
        AND call_key.idempotency_key = asked.idempotency_key
) IS NOT NULL;

-- CallKeyDeleteOld removes keys of calls that made nothing that lasts, at most row_limit, the oldest first.
-- name: CallKeyDeleteOld :execrows
WITH old AS MATERIALIZED (
    SELECT
        call_key.caller,
        call_key.operation,
        call_key.idempotency_key
    FROM call_key
    WHERE call_key.result_id IS NULL
        AND call_key.created_at < now() - interval '7 days'
    ORDER BY call_key.created_at
    LIMIT @row_limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM call_key
USING old
WHERE call_key.caller = old.caller
    AND call_key.operation = old.operation
    AND call_key.idempotency_key = old.idempotency_key;

-- CallKeyInsert binds a key to a call, no row is made when the key is taken. It waits for a call with the same key that is under way.
-- name: CallKeyInsert :execrows
INSERT INTO call_key (
    caller,
    operation,
    idempotency_key,
    request_hash,
    result_id,
    created_at
) VALUES (
    @caller,
    @operation,
    @idempotency_key,
    @request_hash,
    sqlc.narg('result_id'),
    now()
)
ON CONFLICT DO NOTHING;

-- CallKeyInsertMany binds keys to calls, in one order on every server, as CallKeyInsert does, and tells how many.
-- name: CallKeyInsertMany :execrows
WITH given AS (
    SELECT
        unnest(@callers::text[]) AS caller,
        unnest(@idempotency_keys::text[]) AS idempotency_key,
        unnest(@request_hashes::bytea[]) AS request_hash,
        unnest(@result_ids::uuid[]) AS result_id
)
INSERT INTO call_key (
    caller,
    operation,
    idempotency_key,
    request_hash,
    result_id,
    created_at
)
SELECT
    given.caller,
    @operation,
    given.idempotency_key,
    given.request_hash,
    given.result_id,
    now()
FROM given
ORDER BY
    given.caller,
    given.idempotency_key
ON CONFLICT DO NOTHING;

-- CallKeyRead finds what a key is bound to.
-- name: CallKeyRead :one
SELECT
    call_key.request_hash,
    call_key.result_id
FROM call_key
WHERE call_key.caller = @caller
    AND call_key.operation = @operation
    AND call_key.idempotency_key = @idempotency_key;
