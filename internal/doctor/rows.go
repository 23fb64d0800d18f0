package doctor

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// hot are the tables through which every claim goes.
var hot = map[string]bool{"stock_token": true, "claim": true, "claim_unit": true, "queue_head": true, "queue_tail": true}

func (e *exam) autovacuum(ctx context.Context, tx pgx.Tx) error {
	before := len(e.findings)
	for _, name := range []string{"autovacuum", "track_counts"} {
		if e.settings[name].value != "on" {
			e.add(Error, "autovacuum", name+" is off", "Dead rows are never removed: claims get slower from hour to hour, until PostgreSQL takes no more transactions.", e.mend(name, "on"))
		}
	}
	if naptime := e.number("autovacuum_naptime"); naptime >= 60 {
		e.add(Hint, "autovacuum", fmt.Sprintf("autovacuum_naptime is %d s", naptime), "During a flash sale a million dead rows come together between two of its looks.", e.mend("autovacuum_naptime", "10s"))
	}
	tables, err := tablesWhere(ctx, tx, `EXISTS (SELECT FROM pg_options_to_table(reloptions) WHERE option_name = 'autovacuum_enabled' AND NOT option_value::boolean)`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		level := Warning
		if hot[table] {
			level = Error
		}
		e.add(level, "autovacuum", "it is off for the table "+table, "Its dead rows are never removed, and everything that reads it gets slower.", fmt.Sprintf("ALTER TABLE %s RESET (autovacuum_enabled);", quote(table)))
	}
	if len(e.findings) == before {
		e.ok("autovacuum", "on, for all tables")
	}
	return nil
}

// tablesWhere names the tables whose row in pg_class meets a condition.
func tablesWhere(ctx context.Context, tx pgx.Tx, condition string) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND `+condition+` ORDER BY relname`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// deadRowsOf are the dead rows of each of our tables, and the number from which on autovacuum begins, which is each table's own.
const deadRowsOf = `
SELECT
	tables.relname::text,
	tables.n_dead_tup AS dead,
	tables.n_live_tup AS live,
	tables.last_autovacuum,
	coalesce((SELECT option_value FROM pg_options_to_table(pg_class.reloptions) WHERE option_name = 'autovacuum_vacuum_threshold'), current_setting('autovacuum_vacuum_threshold'))::float8
	+ coalesce((SELECT option_value FROM pg_options_to_table(pg_class.reloptions) WHERE option_name = 'autovacuum_vacuum_scale_factor'), current_setting('autovacuum_vacuum_scale_factor'))::float8
	* tables.n_live_tup AS threshold
FROM pg_stat_user_tables AS tables
JOIN pg_class ON pg_class.oid = tables.relid
WHERE tables.schemaname = current_schema()`

// deadRows names the tables in which autovacuum does not keep up.
func (e *exam) deadRows(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
SELECT measured.relname, measured.dead, measured.live, coalesce(to_char(measured.last_autovacuum, 'YYYY-MM-DD HH24:MI:SS TZ'), 'never')
FROM (`+deadRowsOf+`) AS measured
WHERE measured.dead > 10000 AND measured.dead > 2 * measured.threshold
ORDER BY measured.dead DESC`)
	if err != nil {
		return err
	}
	fine := true
	var table, vacuumed string
	var dead, live int64
	_, err = pgx.ForEachRow(rows, []any{&table, &dead, &live, &vacuumed}, func() error {
		fine = false
		e.add(Warning, "dead rows", fmt.Sprintf("%s has %d dead rows beside %d live ones; last autovacuum: %s", table, dead, live, vacuumed), "Autovacuum does not keep up, or may not remove them; scans walk over them.",
			fmt.Sprintf("end what \"old transactions\" and \"slots\" name, then VACUUM %s;", quote(table)))
		return nil
	})
	if err == nil && fine {
		e.ok("dead rows", "autovacuum keeps up")
	}
	return err
}

func (e *exam) statistics(ctx context.Context, tx pgx.Tx) error {
	tables, err := tablesWhere(ctx, tx, `reltuples < 0 AND pg_relation_size(oid) > 256 * 1024`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		e.add(Warning, "statistics", "the table "+table+" has rows and was never analyzed", "PostgreSQL plans by guesses: lists, audits and reports may take minutes. (After pg_upgrade or a restored backup all are like this.)",
			fmt.Sprintf("ANALYZE %s;", quote(table)))
	}
	if len(tables) == 0 {
		e.ok("statistics", "every table that has many rows was analyzed")
	}
	return nil
}

// openTransactions are what keeps dead rows from being removed while it lasts: transactions of sessions of this database, and prepared ones.
const openTransactions = `
SELECT
	concat_ws(' ', 'process', pid, 'of', usename, nullif(application_name, ''), host(client_addr), '(' || state || ')') AS what,
	extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
	format('SELECT pg_terminate_backend(%s); after asking whose it is; and idle_in_transaction_session_timeout for its role', pid) AS mend
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
UNION ALL
SELECT format('prepared transaction %s of %s', quote_literal(gid), owner), extract(epoch FROM clock_timestamp() - prepared)::float8, format('ROLLBACK PREPARED %s; (or COMMIT PREPARED)', quote_literal(gid))
FROM pg_prepared_xacts
WHERE database = current_database()`

// oldTransactions names those that have been open for too long.
func (e *exam) oldTransactions(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
SELECT found.what, found.seconds, found.mend
FROM (`+openTransactions+`) AS found
WHERE found.seconds > $1
ORDER BY found.seconds DESC
LIMIT 10`, e.Patience.Seconds())
	if err != nil {
		return err
	}
	fine := true
	var what, mend string
	var seconds float64
	_, err = pgx.ForEachRow(rows, []any{&what, &seconds, &mend}, func() error {
		fine = false
		e.add(Warning, "old transactions", fmt.Sprintf("%s has been open for %s", what, time.Duration(seconds*float64(time.Second)).Round(time.Second)),
			"While it lasts no dead row is removed: claims walk over all that were sold since. What it has locked, nobody gets.", mend)
		return nil
	})
	if err == nil && fine {
		e.ok("old transactions", "none is older than %s", e.Patience)
	}
	return err
}

func (e *exam) slots(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
SELECT slot_name::text, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::float8
FROM pg_replication_slots
WHERE NOT active AND restart_lsn IS NOT NULL OR wal_status = 'lost'
ORDER BY slot_name`)
	if err != nil {
		return err
	}
	fine := true
	var name, status string
	var behind float64
	_, err = pgx.ForEachRow(rows, []any{&name, &status, &behind}, func() error {
		fine = false
		drop := fmt.Sprintf("start what reads it, or SELECT pg_drop_replication_slot(%s);", literal(name))
		switch {
		case status == "lost":
			e.add(Warning, "slots", "the replication slot "+name+" has lost WAL that it needs", "Its standby can't catch up, and can't take over.", "make the standby anew (pg_basebackup)")
		case e.number("max_slot_wal_keep_size") < 0:
			e.add(Warning, "slots", fmt.Sprintf("the replication slot %s is read by nobody and keeps %.0f MB of WAL", name, behind/1e6), "It keeps all WAL, without limit, until the disk is full and PostgreSQL stops.", drop)
		default:
			e.add(Hint, "slots", fmt.Sprintf("the replication slot %s is read by nobody and keeps %.0f MB of WAL", name, behind/1e6), "Whoever reads it falls behind.", drop)
		}
		return nil
	})
	if err == nil && fine {
		e.ok("slots", "none is left behind")
	}
	return err
}

var firstNumber = regexp.MustCompile(`^\s*(?:(?i:FIRST|ANY)\s+)?(\d+)\s*\(`)

// standbysNeeded is how many standbys commits wait for, by synchronous_standby_names.
func standbysNeeded(names string) int {
	if names == "" {
		return 0
	}
	need := 1
	if m := firstNumber.FindStringSubmatch(names); m != nil {
		need, _ = strconv.Atoi(m[1])
	}
	return need
}

// replicasOf are the standbys that are connected, and how far they are behind.
const replicasOf = `
SELECT
	coalesce(nullif(application_name, ''), pid::text) AS name,
	coalesce(state, '') AS state,
	coalesce(sync_state, '') AS sync_state,
	coalesce(extract(epoch FROM replay_lag), 0)::float8 AS lag_seconds,
	coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn)), 0)::float8 AS lag_bytes,
	coalesce(age(backend_xmin), 0) AS xmin_age
FROM pg_stat_replication
WHERE coalesce(state, '') <> 'backup'`

func (e *exam) standbys(ctx context.Context, tx pgx.Tx) error {
	names := e.settings["synchronous_standby_names"]
	need := standbysNeeded(names.value)
	if !e.seesAll {
		if need > 0 {
			e.add(Hint, "standbys", "commits wait for "+names.value+", and whether they are there can't be seen", "If they are not, every claim hangs.", fmt.Sprintf("GRANT pg_read_all_stats TO %s;", quote(e.role)))
		}
		return nil
	}
	rows, err := tx.Query(ctx, replicasOf+` ORDER BY name`)
	if err != nil {
		return err
	}
	before, inSync, all := len(e.findings), 0, 0
	var name, state, syncState string
	var lag, behind float64
	var xmin int64
	_, err = pgx.ForEachRow(rows, []any{&name, &state, &syncState, &lag, &behind, &xmin}, func() error {
		all++
		if syncState == "sync" || syncState == "quorum" {
			inSync++
		}
		if lag > 10 || behind > 1<<30 {
			e.add(Warning, "standbys", fmt.Sprintf("%s (%s) is %.0f s and %.0f MB behind", name, state, lag, behind/1e6), "Commits wait for it if they wait for standbys; promoted, it needs that long to catch up.", "see its disk, its processor and the network between")
		}
		if xmin > 1_000_000 {
			e.add(Warning, "standbys", fmt.Sprintf("a query on %s is %d transactions old (hot_standby_feedback)", name, xmin), "While it lasts no dead row is removed here: claims walk over all that were sold since.", "end it there, or on that standby: ALTER SYSTEM SET hot_standby_feedback = off; SELECT pg_reload_conf();")
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case inSync < need:
		e.add(Error, "standbys", fmt.Sprintf("commits wait for %d of %s, and %d are in sync", need, names.value, inSync), "Every claim hangs until they are.",
			"start the standby (its application_name must be among the names); or, knowing that a promotion may then lose answers: ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();")
	case need == 0 && all > 0:
		e.add(Warning, "standbys", fmt.Sprintf("%d standbys, and commits wait for none", all), "A standby that is promoted lacks the last answers: units are sold twice.",
			"ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'; SELECT pg_reload_conf(); (with one standby its loss stops the shop; have two)")
	case len(e.findings) == before && all == 0 && e.Own:
		e.ok("standbys", "none, as it is lastunit's own PostgreSQL")
	case len(e.findings) == before && all == 0:
		e.add(Hint, "standbys", "there is none", "When this machine is lost, so is what was sold since the last backup.", "make a standby (pg_basebackup -R), set synchronous_standby_names, and name both hosts in the database URL with target_session_attrs=read-write")
	case len(e.findings) == before:
		e.ok("standbys", "%d of %d in sync, %d needed", inSync, all, need)
	}
	return nil
}

// age is how near PostgreSQL is to refusing transactions, at some 2,100 million.
func (e *exam) age(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT datname::text, age(datfrozenxid)::int8, mxid_age(datminmxid)::int8 FROM pg_database ORDER BY datname`)
	if err != nil {
		return err
	}
	fine := true
	var database string
	var xids, multixacts int64
	_, err = pgx.ForEachRow(rows, []any{&database, &xids, &multixacts}, func() error {
		for _, a := range []struct {
			of, setting string
			age         int64
		}{{"transactions", "autovacuum_freeze_max_age", xids}, {"multixacts", "autovacuum_multixact_freeze_max_age", multixacts}} {
			level := OK
			switch {
			case a.age > 1_600_000_000:
				level = Error
			case a.age > 2*e.number(a.setting):
				level = Warning
			}
			if level != OK {
				fine = false
				e.add(level, "age", fmt.Sprintf("the oldest of the database %s is %d %s old", database, a.age, a.of), "Autovacuum should have frozen it. At some 2,100 million PostgreSQL takes no more writes.",
					"end what \"old transactions\" and \"slots\" name, then in that database: VACUUM FREEZE;")
			}
		}
		return nil
	})
	if err == nil && fine {
		e.ok("age", "transaction ids are frozen in time")
	}
	return err
}
