-- WebhookSecretDeleteExpired forgets the secrets of a webhook that nothing is signed with any more.
-- name: WebhookSecretDeleteExpired :exec
DELETE FROM webhook_secret
WHERE webhook_secret.webhook_id = @webhook_id
    AND webhook_secret.expires_at <= coalesce(sqlc.narg('now')::timestamptz, now());

-- WebhookSecretExpire lets the secrets of a webhook end some seconds from now, if they do not end before.
-- name: WebhookSecretExpire :exec
UPDATE webhook_secret
SET expires_at = least(webhook_secret.expires_at, coalesce(sqlc.narg('now')::timestamptz, now()) + sqlc.arg('overlap_seconds')::double precision * interval '1 second')
WHERE webhook_secret.webhook_id = @webhook_id;

-- WebhookSecretInsert gives a webhook a secret that does not end.
-- name: WebhookSecretInsert :exec
INSERT INTO webhook_secret (
    webhook_secret_id,
    webhook_id,
    secret,
    created_at
) VALUES (
    @webhook_secret_id,
    @webhook_id,
    @secret,
    coalesce(sqlc.narg('now')::timestamptz, now())
);

-- WebhookSecretList lists the secrets that what is sent to a webhook is signed with, the newest first.
-- name: WebhookSecretList :many
SELECT
    webhook_secret.webhook_secret_id,
    webhook_secret.secret
FROM webhook_secret
WHERE webhook_secret.webhook_id = @webhook_id
    AND (webhook_secret.expires_at IS NULL OR webhook_secret.expires_at > coalesce(sqlc.narg('now')::timestamptz, now()))
ORDER BY webhook_secret.webhook_secret_id DESC
LIMIT 10;

-- WebhookSecretRead finds a secret; no row when it has been forgotten.
-- name: WebhookSecretRead :one
SELECT webhook_secret.secret
FROM webhook_secret
WHERE webhook_secret.webhook_secret_id = @webhook_secret_id;
