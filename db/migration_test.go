package db_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// schemaLines describes everything in the schema, a line for each thing, but for what belongs to goose.
const schemaLines = `
SELECT line
FROM (
	SELECT concat_ws(' ', 'column', table_name, ordinal_position, column_name, data_type, is_nullable, column_default, is_identity, identity_generation) AS line
	FROM information_schema.columns
	WHERE table_schema = 'public'
	UNION ALL
	SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, contype, pg_get_constraintdef(oid))
	FROM pg_constraint
	WHERE connamespace = 'public'::regnamespace
	UNION ALL
	SELECT concat_ws(' ', 'index', indexdef)
	FROM pg_indexes
	WHERE schemaname = 'public'
	UNION ALL
	SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgenabled, pg_get_triggerdef(oid))
	FROM pg_trigger
	WHERE NOT tgisinternal
	UNION ALL
	SELECT concat_ws(' ', 'function', pg_get_functiondef(oid))
	FROM pg_proc
	WHERE pronamespace = 'public'::regnamespace
	UNION ALL
	SELECT concat_ws(' ', 'relation', oid::regclass, relkind, relpersistence, reloptions)
	FROM pg_class
	WHERE relnamespace = 'public'::regnamespace
	UNION ALL
	SELECT concat_ws(' ', 'sequence', sequencename, data_type, start_value, increment_by, max_value, cycle, cache_size)
	FROM pg_sequences
	WHERE schemaname = 'public'
	UNION ALL
	SELECT concat_ws(' ', 'view', viewname, definition)
	FROM pg_views
	WHERE schemaname = 'public'
	UNION ALL
	SELECT concat_ws(' ', 'comment', objoid::regclass, objsubid, description)
	FROM pg_description
	WHERE classoid = 'pg_class'::regclass AND objoid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
	UNION ALL
	SELECT concat_ws(' ', 'comment', conname, description)
	FROM pg_description
	JOIN pg_constraint ON pg_constraint.oid = objoid
	WHERE classoid = 'pg_constraint'::regclass AND connamespace = 'public'::regnamespace
	UNION ALL
	SELECT concat_ws(' ', 'type', typname)
	FROM pg_type
	WHERE typnamespace = 'public'::regnamespace
) AS schema_lines
WHERE line NOT LIKE '%goose_db_version%'
ORDER BY line`

func schemaOf(t *testing.T, db dbsqlc.DBTX) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), schemaLines)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestMigrationsGoUpAndDownAndUpAgain(t *testing.T) {
	t.Parallel()
	pool := emptyDatabase(t)
	if lines := schemaOf(t, pool); len(lines) != 0 {
		t.Fatalf("the database is not empty at the beginning: %q", lines)
	}
	done, err := pgdb.MigrateUp(t.Context(), pool, migrations.FS)
	if err != nil || len(done) == 0 {
		t.Fatalf("up: %v, %v", done, err)
	}
	first := schemaOf(t, pool)
	for _, name := range []string{"claim_unit_live_once", "claim_moves_forward", "shop_order_moves_forward", "uuid_v7_nth", "autovacuum_vacuum_scale_factor", "stock_token_position", "absent from lists"} {
		if !strings.Contains(strings.Join(first, "\n"), name) {
			t.Errorf("the description of the schema lacks %s", name)
		}
	}
	for range done {
		if undone, err := pgdb.MigrateDown(t.Context(), pool, migrations.FS); err != nil {
			t.Fatalf("down %s: %v", undone.Name, err)
		}
	}
	if lines := schemaOf(t, pool); len(lines) != 0 {
		t.Errorf("left after all migrations were taken back: %q", lines)
	}
	if again, err := pgdb.MigrateUp(t.Context(), pool, migrations.FS); err != nil || len(again) != len(done) {
		t.Fatalf("up again: %v, %v", again, err)
	}
	for _, line := range differences(first, schemaOf(t, pool)) {
		t.Error(line)
	}
	if more, err := pgdb.MigrateUp(t.Context(), pool, migrations.FS); err != nil || len(more) != 0 {
		t.Errorf("up when all is applied: %v, %v", more, err)
	}
}

// Each step down is undone by its step up, so that an operator may stop anywhere.
func TestEachMigrationIsTakenBackByItsDown(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	all, err := pgdb.MigrateStatus(t.Context(), pool, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	var before [][]string
	for range all {
		before = append(before, schemaOf(t, pool))
		if _, err := pgdb.MigrateDown(t.Context(), pool, migrations.FS); err != nil {
			t.Fatal(err)
		}
	}
	files := fstest.MapFS{}
	for n := range all {
		text, err := migrations.FS.ReadFile(all[n].Name)
		if err != nil {
			t.Fatal(err)
		}
		files[all[n].Name] = &fstest.MapFile{Data: text}
		if _, err := pgdb.MigrateUp(t.Context(), pool, files); err != nil {
			t.Fatal(err)
		}
		for _, line := range differences(before[len(all)-1-n], schemaOf(t, pool)) {
			t.Errorf("after %s: %s", all[n].Name, line)
		}
	}
}

func TestTheDescriptionOfTheSchemaSeesEveryChange(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.URL(t))
	first := schemaOf(t, conn)
	for _, change := range []string{
		`ALTER TABLE claim ALTER COLUMN expires_at SET NOT NULL`,
		`ALTER TABLE claim DROP CONSTRAINT claim_expired_not_early`,
		`DROP INDEX claim_held_by_product`,
		`ALTER TABLE claim DISABLE TRIGGER claim_moves_forward`,
		`CREATE OR REPLACE FUNCTION claim_refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
		`ALTER TABLE stock_token SET (autovacuum_vacuum_threshold = 1)`,
		`ALTER SEQUENCE stock_token_position CACHE 10`,
		`COMMENT ON COLUMN stock_token.position IS 'something else'`,
		`COMMENT ON CONSTRAINT claim_ordered_in_time ON claim IS 'something else'`,
		`CREATE OR REPLACE VIEW queue_position AS SELECT claim_id, 0::bigint AS queue_position FROM claim`,
		`CREATE TYPE forgotten AS ENUM ('a')`,
		`ALTER TABLE product ALTER COLUMN selling SET DEFAULT false`,
	} {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, change)
		if len(differences(first, schemaOf(t, tx))) == 0 {
			t.Errorf("not seen: %s", change)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func differences(want, got []string) (lines []string) {
	for _, line := range want {
		if !slices.Contains(got, line) {
			lines = append(lines, "missing: "+line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			lines = append(lines, "too much: "+line)
		}
	}
	return lines
}

// emptyDatabase makes a database that was never migrated.
func emptyDatabase(t *testing.T) *pgxpool.Pool {
	t.Helper()
	server := dbtest.URL(t)
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/") + "_empty"
	conn := connect(t, server)
	exec(t, conn, `CREATE DATABASE `+name+` TEMPLATE template0`)
	t.Cleanup(func() { _, _ = conn.Exec(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`) })
	u.Path = "/" + name
	return dbtest.Connect(t, u.String())
}
