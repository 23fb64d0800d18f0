package shop

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ready asks a connection of the pool, so what it is told is what claims run under.
func ready(ctx context.Context, pool *pgxpool.Pool) error {
	var readOnly, schema bool
	settings := map[string]string{}
	rows, err := pool.Query(ctx, `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')`)
	if err != nil {
		return notReady("The database does not answer. Is it running, and is the database URL right?")
	}
	for rows.Next() {
		var name, setting string
		if err := rows.Scan(&name, &setting); err != nil {
			return notReady("The database does not answer. Is it running, and is the database URL right?")
		}
		settings[name] = setting
	}
	if err := rows.Err(); err != nil {
		return notReady("The database does not answer. Is it running, and is the database URL right?")
	}
	err = pool.QueryRow(ctx, `SELECT pg_is_in_recovery(), to_regclass('audit_run') IS NOT NULL`).Scan(&readOnly, &schema)
	switch {
	case err != nil:
		return notReady("The database does not answer. Is it running, and is the database URL right?")
	case readOnly:
		return notReady("The database is a standby and can't be written to. Give the URL of the primary.")
	case !schema:
		return notReady("The database is not migrated. Run: lastunit migrate up.")
	case settings["fsync"] != "on":
		return notReady("The database would lose answers in a crash: fsync is off. Turn it on.")
	case settings["full_page_writes"] != "on":
		return notReady("The database would lose answers in a crash: full_page_writes is off. Turn it on.")
	case settings["synchronous_commit"] != "on" && settings["synchronous_commit"] != "remote_apply":
		return notReady("The database would lose answers in a crash: synchronous_commit is " + settings["synchronous_commit"] + ". Turn it on.")
	}
	return nil
}

func notReady(detail string) *Refusal {
	return &Refusal{Code: Busy, Detail: detail, RetryAfter: time.Second}
}
