-- ClockNow reads the database's clock.
-- name: ClockNow :one
SELECT clock_timestamp()::timestamptz AS now;
