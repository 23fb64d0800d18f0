package doctor

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/pgdb"
)

// Vitals are what of a PostgreSQL changes while it is used, and hurts lastunit when nobody sees it.
type Vitals struct {
	Connections, ConnectionsMost int64 // of clients, to all databases

	OldestTransaction time.Duration // that is open in this database, prepared ones included; 0: none is
	Tables            []VitalTable  // those through which every claim goes

	// How old the oldest transaction and multixact ids are, of all databases, and at which age autovacuum freezes them.
	TransactionAge, TransactionAgeFrozenAt int64
	MultixactAge, MultixactAgeFrozenAt     int64

	// Standbys is nil when the role may not see them (pg_read_all_stats).
	Standbys *VitalStandbys
}

// VitalTable is a table with its dead rows.
type VitalTable struct {
	Name       string
	Live, Dead int64
	VacuumedAt float64 // the number of dead rows at which autovacuum begins
}

// VitalStandbys are those that are connected.
type VitalStandbys struct {
	Needed    int64 // commits wait for so many
	InSync    int64
	Connected int64
	Lag       time.Duration // of the one that is furthest behind
	LagBytes  float64
}

// ReadVitals reads them in a transaction that can only read, and keeps PostgreSQL busy with it for 2 s at most.
func ReadVitals(ctx context.Context, db pgdb.Begin) (v Vitals, err error) {
	err = pgdb.InGlance(ctx, db, func(tx pgx.Tx) error {
		return pgdb.Together(ctx, tx,
			func(db pgdb.Queryer) error { return v.readServer(ctx, db) },
			func(db pgdb.Queryer) error { return v.readTables(ctx, db) })
	})
	return v, err
}

func (v *Vitals) readServer(ctx context.Context, db pgdb.Queryer) error {
	var oldest, lag float64
	var sees bool
	var names string
	var s VitalStandbys
	err := db.QueryRow(ctx, `
SELECT
	(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
	current_setting('max_connections')::int8,
	coalesce((SELECT max(found.seconds) FROM (`+openTransactions+`) AS found), 0)::float8,
	(SELECT max(age(datfrozenxid)) FROM pg_database)::int8,
	current_setting('autovacuum_freeze_max_age')::int8,
	(SELECT max(mxid_age(datminmxid)) FROM pg_database)::int8,
	current_setting('autovacuum_multixact_freeze_max_age')::int8,
	pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
	current_setting('synchronous_standby_names'),
	replicas.in_sync,
	replicas.connected,
	replicas.lag_seconds,
	replicas.lag_bytes
FROM (
	SELECT
		count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS in_sync,
		count(*) AS connected,
		coalesce(max(lag_seconds), 0)::float8 AS lag_seconds,
		coalesce(max(lag_bytes), 0)::float8 AS lag_bytes
	FROM (`+replicasOf+`) AS connected
) AS replicas`).Scan(&v.Connections, &v.ConnectionsMost, &oldest, &v.TransactionAge, &v.TransactionAgeFrozenAt, &v.MultixactAge, &v.MultixactAgeFrozenAt,
		&sees, &names, &s.InSync, &s.Connected, &lag, &s.LagBytes)
	v.OldestTransaction = time.Duration(max(oldest, 0) * float64(time.Second))
	if v.Standbys = nil; sees {
		s.Needed, s.Lag = int64(standbysNeeded(names)), time.Duration(max(lag, 0)*float64(time.Second))
		v.Standbys = &s
	}
	return err
}

func (v *Vitals) readTables(ctx context.Context, db pgdb.Queryer) error {
	rows, err := db.Query(ctx, `SELECT measured.relname, measured.live, measured.dead, measured.threshold FROM (`+deadRowsOf+`) AS measured ORDER BY measured.relname`)
	if err != nil {
		return err
	}
	v.Tables = nil
	var t VitalTable
	_, err = pgx.ForEachRow(rows, []any{&t.Name, &t.Live, &t.Dead, &t.VacuumedAt}, func() error {
		if hot[t.Name] {
			v.Tables = append(v.Tables, t)
		}
		return nil
	})
	return err
}
