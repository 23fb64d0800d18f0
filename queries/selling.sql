-- SellingPause pauses all selling, or goes on with it, and tells whether that changed anything.
-- name: SellingPause :execrows
UPDATE selling
SET paused_at = CASE WHEN @pause::boolean THEN coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) END
WHERE (selling.paused_at IS NOT NULL) <> @pause::boolean;

-- SellingRead tells since when all selling is paused.
-- name: SellingRead :one
SELECT selling.paused_at
FROM selling;
