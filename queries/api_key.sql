-- ApiKeyByHash finds a key that was not revoked.
-- name: ApiKeyByHash :one
SELECT
    api_key.api_key_id,
    api_key.name,
    api_key.scopes
FROM api_key
WHERE api_key.key_hash = @key_hash
    AND api_key.revoked_at IS NULL;

-- ApiKeyDelete forgets a key.
-- name: ApiKeyDelete :execrows
DELETE FROM api_key
WHERE api_key.api_key_id = @api_key_id;

-- ApiKeyInsert stores a key by its hash, the key itself is nowhere.
-- name: ApiKeyInsert :exec
INSERT INTO api_key (
    api_key_id,
    name,
    key_hash,
    scopes
) VALUES (
    @api_key_id,
    @name,
    @key_hash,
    @scopes
);

-- ApiKeyList lists all keys, the oldest first.
-- name: ApiKeyList :many
SELECT
    api_key.api_key_id,
    api_key.name,
    api_key.scopes,
    api_key.created_at,
    api_key.revoked_at
FROM api_key
ORDER BY
    api_key.created_at,
    api_key.api_key_id
LIMIT 1000;

-- ApiKeyRevoke ends a key for good.
-- name: ApiKeyRevoke :execrows
UPDATE api_key
SET revoked_at = now()
WHERE api_key.api_key_id = @api_key_id
    AND api_key.revoked_at IS NULL;
