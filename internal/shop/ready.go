package shop

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ready asks a connection of the pool, so what it is told is what claims run under.
func ready(ctx context.Context, pool *pgxpool.Pool) error {
	var readOnly, schema bool
	settings := map[string]string{}
	rows, err := pool.Query(ctx, `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')`)
	if err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	for rows.Next() {
		var name, setting string
		if err := rows.Scan(&name, &setting); err != nil {
			return fmt.Errorf("the database does not answer: %w", err)
		}
		settings[name] = setting
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	err = pool.QueryRow(ctx, `SELECT pg_is_in_recovery(), to_regclass('audit_run') IS NOT NULL`).Scan(&readOnly, &schema)
	switch {
	case err != nil:
		return fmt.Errorf("the database does not answer: %w", err)
	case readOnly:
		return fmt.Errorf("the database is a standby and can't be written to")
	case !schema:
		return fmt.Errorf("the database is not migrated: run lastunit migrate up")
	case settings["fsync"] != "on":
		return fmt.Errorf("the database would lose answers in a crash: fsync is off")
	case settings["full_page_writes"] != "on":
		return fmt.Errorf("the database would lose answers in a crash: full_page_writes is off")
	case settings["synchronous_commit"] != "on" && settings["synchronous_commit"] != "remote_apply":
		return fmt.Errorf("the database would lose answers in a crash: synchronous_commit is %s", settings["synchronous_commit"])
	}
	return nil
}
