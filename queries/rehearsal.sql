-- RehearsalAbandoned names the rehearsals whose server was not heard of for so long, and their keys.
-- name: RehearsalAbandoned :many
SELECT
    rehearsal.rehearsal_id,
    rehearsal.own_key_id
FROM rehearsal
WHERE rehearsal.status = 'running'
    AND rehearsal.beat_at < coalesce(sqlc.narg('now')::timestamptz, now()) - sqlc.arg('silent_seconds')::float8 * interval '1 second';

-- RehearsalBeat says that a rehearsal goes on, and how far it is. No row: it was given up.
-- name: RehearsalBeat :execrows
UPDATE rehearsal
SET
    beat_at = coalesce(sqlc.narg('now')::timestamptz, now()),
    sent = @sent,
    held = @held,
    refused = @refused
WHERE rehearsal.rehearsal_id = @rehearsal_id
    AND rehearsal.status = 'running';

-- RehearsalByID reads a rehearsal, and whether its server was not heard of for so long. No row: there is none.
-- name: RehearsalByID :one
SELECT
    sqlc.embed(rehearsal),
    (
        rehearsal.status = 'running'
        AND rehearsal.beat_at < coalesce(sqlc.narg('now')::timestamptz, now()) - sqlc.arg('silent_seconds')::float8 * interval '1 second'
    )::boolean AS abandoned
FROM rehearsal
WHERE rehearsal.rehearsal_id = @rehearsal_id;

-- RehearsalEnd writes down what came of a rehearsal: a report, or why there is none. No row: it was given up.
-- name: RehearsalEnd :execrows
UPDATE rehearsal
SET
    status = CASE WHEN sqlc.narg('report')::jsonb IS NULL THEN 'failed' ELSE 'finished' END,
    report = sqlc.narg('report')::jsonb,
    detail = sqlc.narg('detail'),
    sent = @sent,
    held = @held,
    refused = @refused,
    finished_at = coalesce(sqlc.narg('now')::timestamptz, now())
WHERE rehearsal.rehearsal_id = @rehearsal_id
    AND rehearsal.status = 'running';

-- RehearsalGiveUp ends a rehearsal whose server was not heard of for so long.
-- name: RehearsalGiveUp :exec
UPDATE rehearsal
SET
    status = 'failed',
    detail = @detail::text,
    finished_at = coalesce(sqlc.narg('now')::timestamptz, now())
WHERE rehearsal.rehearsal_id = @rehearsal_id
    AND rehearsal.status = 'running'
    AND rehearsal.beat_at < coalesce(sqlc.narg('now')::timestamptz, now()) - sqlc.arg('silent_seconds')::float8 * interval '1 second';

-- RehearsalInsert begins a rehearsal. It violates rehearsal_one_at_once while another goes on.
-- name: RehearsalInsert :exec
INSERT INTO rehearsal (
    rehearsal_id,
    sale_id,
    api_key_id,
    own_key_id,
    buyer_count,
    status,
    started_at,
    beat_at
) VALUES (
    @rehearsal_id,
    @sale_id,
    @api_key_id,
    @own_key_id,
    @buyer_count,
    'running',
    coalesce(sqlc.narg('now')::timestamptz, now()),
    coalesce(sqlc.narg('now')::timestamptz, now())
);

-- RehearsalRunning names the rehearsal that goes on. No row: none does.
-- name: RehearsalRunning :one
SELECT rehearsal.rehearsal_id
FROM rehearsal
WHERE rehearsal.status = 'running';
