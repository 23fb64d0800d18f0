package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// primary ends the examination when the database is a standby, which most of the other checks can't ask.
func (e *exam) primary(ctx context.Context, tx pgx.Tx) error {
	if err := tx.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&e.standby); err != nil {
		return err
	}
	switch {
	case e.standby:
		e.add(Error, "primary", "the database is a standby", "It can't be written to: nothing can be claimed.", "put the host of the primary into the database URL, or all hosts and target_session_attrs=read-write")
	case e.settings["default_transaction_read_only"].value == "on":
		e.add(Error, "primary", "default_transaction_read_only is on", "Nothing can be claimed.", "BEGIN READ WRITE; "+e.mend("default_transaction_read_only", "off")+" COMMIT;")
	default:
		e.ok("primary", "it takes writes")
	}
	return nil
}

func (e *exam) version(context.Context, pgx.Tx) error {
	if v := e.settings["server_version"].value; e.number("server_version_num") < 150000 {
		e.add(Error, "version", "PostgreSQL "+v, "lastunit needs 15 or newer.", "upgrade with pg_upgrade, or take another server")
	} else {
		e.ok("version", "PostgreSQL %s", v)
	}
	return nil
}

func (e *exam) encoding(context.Context, pgx.Tx) error {
	if v := e.settings["server_encoding"].value; v != "UTF8" {
		e.add(Error, "encoding", "the database keeps text as "+v, "Names that it can't write are refused, or kept unchecked.", "CREATE DATABASE lastunit ENCODING 'UTF8' TEMPLATE template0; and name it in the database URL")
	} else {
		e.ok("encoding", "UTF8")
	}
	return nil
}

func (e *exam) migrations(ctx context.Context, tx pgx.Tx) error {
	const up = "lastunit migrate up"
	var there, readable bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL, coalesce(has_table_privilege(to_regclass('goose_db_version'), 'SELECT'), true)`).Scan(&there, &readable); err != nil {
		return err
	}
	if !readable {
		return nil // said with the rights
	}
	if !there {
		e.missing = true
		e.add(Error, "migrations", "the database is not migrated", "It has no tables; serve refuses to start.", up)
		return nil
	}
	rows, err := tx.Query(ctx, `SELECT version_id FROM (SELECT DISTINCT ON (version_id) version_id, is_applied FROM goose_db_version ORDER BY version_id, id DESC) AS latest WHERE is_applied AND version_id > 0 ORDER BY version_id`)
	if err != nil {
		return err
	}
	applied, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	names, err := fs.Glob(e.Migrations, "*.sql")
	if err != nil {
		return err
	}
	var known, missing []int64
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return err
		}
		known = append(known, version)
		if !slices.Contains(applied, version) {
			missing = append(missing, version)
		}
	}
	foreign := slices.DeleteFunc(applied, func(v int64) bool { return slices.Contains(known, v) })
	e.missing = len(missing) > 0
	if e.missing {
		e.add(Error, "migrations", fmt.Sprintf("missing: %v", missing), "serve refuses to start.", up)
	}
	if len(foreign) > 0 {
		e.add(Warning, "migrations", fmt.Sprintf("the database has migrations that this program does not know: %v", foreign), "It was migrated by a newer lastunit, whose rules this one does not keep.",
			"install the newer lastunit here as well")
	}
	if len(missing)+len(foreign) == 0 {
		e.ok("migrations", "all %d are applied", len(known))
	}
	return nil
}

func (e *exam) rights(ctx context.Context, tx pgx.Tx) error {
	if e.schema == "" {
		e.add(Error, "rights", "no schema of the search_path "+e.settings["search_path"].value+" is there and may be used", "There is no place for the tables.",
			fmt.Sprintf("CREATE SCHEMA %[1]s AUTHORIZATION %[1]s; or %[2]s", quote(e.role), e.mend("search_path", "public")))
		return nil
	}
	before := len(e.findings)
	var creates, super bool
	var lacking, others []string
	err := tx.QueryRow(ctx, `
SELECT
	has_schema_privilege(current_schema(), 'CREATE'),
	(SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
	ARRAY(
		SELECT DISTINCT lacking.privilege || CASE relkind WHEN 'S' THEN ' ON SEQUENCE ' ELSE ' ON ' END || quote_ident(relname)
		FROM pg_class
		CROSS JOIN LATERAL (
			SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS wanted (privilege)
			WHERE relkind = 'r' AND NOT has_table_privilege(pg_class.oid, privilege) AND (relname <> 'goose_db_version' OR privilege = 'SELECT')
			UNION ALL
			SELECT 'USAGE' WHERE relkind = 'S' AND relname NOT LIKE 'goose%' AND NOT has_sequence_privilege(pg_class.oid, 'USAGE')
		) AS lacking
		WHERE relnamespace = current_schema()::regnamespace
		ORDER BY 1
	),
	ARRAY(
		SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class
		WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'S', 'v') AND NOT pg_has_role(current_user, relowner, 'USAGE')
		ORDER BY 1
	)`).Scan(&creates, &super, &lacking, &others)
	if err != nil {
		return err
	}
	schema, role := quote(e.schema), quote(e.role)
	if !creates && e.missing {
		e.add(Error, "rights", fmt.Sprintf("the role %s may not make tables in the schema %s", role, schema), "Migrations are missing, and it can't apply them. (Since PostgreSQL 15 not everybody may, in public.)",
			fmt.Sprintf("as the owner of the database: GRANT CREATE ON SCHEMA %s TO %s;", schema, role))
	}
	if len(others) > 0 {
		level := Hint
		if e.missing {
			level = Error
		}
		e.add(level, "rights", fmt.Sprintf("tables belong to %s and not to %s", strings.Join(others, ", "), role), "Migrations change tables, which only their owner may.", "run lastunit migrate up with a database URL of the user "+others[0])
	}
	if len(lacking) > 0 {
		e.add(Error, "rights", fmt.Sprintf("the role %s lacks %s", role, few(lacking)), "Claims or the work in the background fail.",
			fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[1]s TO %[2]s; GRANT USAGE ON ALL SEQUENCES IN SCHEMA %[1]s TO %[2]s;", schema, role))
	}
	if super && !e.Own {
		e.add(Hint, "rights", "lastunit connects as the superuser "+role, "Whoever gets hold of the URL gets hold of the whole server; and it takes the connections that are reserved for you.",
			"CREATE ROLE lastunit LOGIN PASSWORD '...'; and a database that belongs to it")
	}
	if !e.seesAll {
		e.add(Hint, "rights", fmt.Sprintf("the role %s can't see what others do", role), "Old transactions of theirs, and standbys, are not seen here.", fmt.Sprintf("GRANT pg_read_all_stats TO %s;", role))
	}
	if len(e.findings) == before {
		e.ok("rights", "the role %s may do what it must", role)
	}
	return nil
}

// few shortens a long list.
func few(list []string) string {
	if len(list) > 4 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:4], ", "), len(list)-4)
	}
	return strings.Join(list, ", ")
}

func (e *exam) durability(context.Context, pgx.Tx) error {
	for _, name := range []string{"fsync", "full_page_writes"} {
		if e.settings[name].value != "on" {
			e.add(Error, name, name+" is off", "A crash of the machine loses answers, or the whole database; /readyz is red.", e.mend(name, "on"))
		} else {
			e.ok(name, "on")
		}
	}
	level, why := Warning, "lastunit turns it on for each of its connections; whatever else writes here loses answers in a crash."
	if e.transactionPooler {
		level, why = Error, "A crash loses answers: behind a pooler in transaction mode the default counts, not what lastunit sets for its sessions."
	}
	switch v := e.settings["synchronous_commit"].value; v {
	case "on", "remote_apply":
		e.ok("synchronous_commit", "%s", v)
	default:
		e.add(level, "synchronous_commit", "synchronous_commit is "+v, why, e.mend("synchronous_commit", "on"))
	}
	return nil
}

// timeouts looks at what the server would cut; that sessions stall within a transaction lastunit limits by itself.
func (e *exam) timeouts(context.Context, pgx.Tx) error {
	fine := true
	for _, t := range []struct {
		name            string
		hint, warn, err time.Duration // below which it is one
		why             string
	}{
		{"statement_timeout", 10 * time.Minute, time.Minute, time.Second, "It cuts receipts, imports, audits and migrations; a short one claims as well, when many come at once."},
		{"transaction_timeout", 10 * time.Minute, time.Minute, time.Second, "It cuts receipts, imports, audits and migrations; a short one claims as well, when many come at once."},
		{"lock_timeout", 0, 5 * time.Second, 0, "Claims that wait for others are answered busy, though lastunit would wait up to 5 s."},
		{"idle_session_timeout", 5 * time.Minute, 0, 0, "It closes connections that lastunit keeps for the next claim."},
	} {
		v := time.Duration(e.number(t.name)) * time.Millisecond
		level := OK
		switch {
		case v == 0:
		case v < t.err:
			level = Error
		case v < t.warn:
			level = Warning
		case v < t.hint:
			level = Hint
		}
		if level != OK {
			fine = false
			e.add(level, "timeouts", fmt.Sprintf("%s is %s", t.name, v), t.why, e.mend(t.name, "0"))
		}
	}
	if fine {
		e.ok("timeouts", "none that cuts lastunit's work")
	}
	return nil
}

func (e *exam) connections(ctx context.Context, tx pgx.Tx) error {
	if e.transactionPooler {
		return nil // the pooler's limits count
	}
	var ofRole, ofDatabase, others int
	err := tx.QueryRow(ctx, `
SELECT
	(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
	(SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
	(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND NOT (starts_with(application_name, 'lastunit') AND datname = current_database()))`).
		Scan(&ofRole, &ofDatabase, &others)
	if err != nil {
		return err
	}
	most := int(e.number("max_connections") - e.number("superuser_reserved_connections") - e.number("reserved_connections"))
	need := e.Servers * e.Connections
	limit, mend := most, fmt.Sprintf("ALTER SYSTEM SET max_connections = %d; then restart PostgreSQL; or --db-connections %d", need+others+20, max((most-others)/e.Servers, 4))
	if ofRole >= 0 && ofRole < limit {
		limit, others, mend = ofRole, 0, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d;", quote(e.role), need+10)
	}
	if ofDatabase >= 0 && ofDatabase < limit {
		limit, others, mend = ofDatabase, 0, fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d;", quote(e.database), need+10)
	}
	what := fmt.Sprintf("%d of %d (servers × db-connections) are wanted, others have %d", need, limit, others)
	const why = "A server that gets no connection answers busy; nor do you get one to look."
	switch {
	case need > limit:
		e.add(Error, "connections", what, why, mend)
	case need+others > limit:
		e.add(Warning, "connections", what, why, mend)
	default:
		e.ok("connections", "%s", what)
	}
	return nil
}

func (e *exam) clock(ctx context.Context, tx pgx.Tx) error {
	var database time.Time
	sent := e.Now()
	if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&database); err != nil {
		return err
	}
	trip := e.Now().Sub(sent)
	off := database.Sub(sent.Add(trip / 2)).Abs()
	if off-trip/2 >= time.Second {
		e.add(Warning, "clock", fmt.Sprintf("the database's clock and this machine's differ by %s", off.Round(10*time.Millisecond)), "Sales open, holds lapse and tokens expire by the database's clock; logs, and tokens that are signed here, follow this one.",
			"run chrony or systemd-timesyncd on both machines (chronyc tracking; timedatectl)")
	} else {
		e.ok("clock", "the database's and this machine's are the same within %s", max(off, trip).Round(time.Millisecond)+time.Millisecond)
	}
	return nil
}

func (e *exam) checkpoints(context.Context, pgx.Tx) error {
	if size := e.number("max_wal_size"); size < 1024 {
		e.add(Hint, "checkpoints", fmt.Sprintf("max_wal_size is %d MB", size), "A flash sale fills it in seconds: checkpoints follow one another, and after each, pages are written whole.", e.mend("max_wal_size", "4GB"))
	} else {
		e.ok("checkpoints", "max_wal_size is %d MB", size)
	}
	return nil
}

// buffers: what PostgreSQL is given when nobody says anything is too little for the indexes of a sale.
func (e *exam) buffers(context.Context, pgx.Tx) error {
	const least, pages = 128, 128 // MB; in one of them
	if size := e.number("shared_buffers") / pages; size <= least {
		e.add(Hint, "buffers", fmt.Sprintf("shared_buffers is %d MB", size), "Buyers and keys are random, so each claim needs other pages of two indexes: once those don't fit, it costs PostgreSQL up to three times as much.",
			e.mend("shared_buffers", "1GB")+" (a quarter of its machine's memory is usual)")
	} else {
		e.ok("buffers", "shared_buffers is %d MB", size)
	}
	return nil
}

func (e *exam) checksums(context.Context, pgx.Tx) error {
	if e.settings["data_checksums"].value != "on" {
		e.add(Hint, "checksums", "data_checksums is off", "What the disk has spoilt is not noticed, and gets into backups.", "stop PostgreSQL, pg_checksums --enable -D DATA-DIRECTORY, start it")
	} else {
		e.ok("checksums", "on")
	}
	return nil
}

func (e *exam) archive(ctx context.Context, tx pgx.Tx) error {
	if e.settings["archive_mode"].value == "off" {
		return nil
	}
	var failing bool
	var name string
	err := tx.QueryRow(ctx, `SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), coalesce(last_failed_wal, '') FROM pg_stat_archiver`).Scan(&failing, &name)
	if err != nil {
		return err
	}
	if failing {
		e.add(Warning, "archive", "WAL can't be archived: "+name, "It piles up until the disk is full, and then PostgreSQL stops.", "see the log of PostgreSQL, and mend archive_command ("+cmp.Or(e.settings["archive_command"].value, "not set")+")")
	} else {
		e.ok("archive", "WAL is archived")
	}
	return nil
}

func (e *exam) encryption(ctx context.Context, tx pgx.Tx) error {
	if e.transactionPooler {
		return nil // what is seen is the pooler's connection
	}
	var encrypted bool
	var server string
	err := tx.QueryRow(ctx, `SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), coalesce(host(inet_server_addr()), '')`).Scan(&encrypted, &server)
	if err != nil {
		return err
	}
	address, err := netip.ParseAddr(server)
	switch {
	case encrypted:
		e.ok("encryption", "the connection is encrypted")
	case err != nil || address.IsLoopback():
		e.ok("encryption", "the connection stays within this machine")
	case address.IsPrivate():
		e.add(Hint, "encryption", "the connection to "+server+" is not encrypted", "Whoever listens on the way reads the password's proof and the buyers' data.", "add sslmode=verify-full to the database URL")
	default:
		e.add(Warning, "encryption", "the connection to "+server+" is not encrypted", "Whoever listens on the way reads the password's proof and the buyers' data.", "add sslmode=verify-full to the database URL")
	}
	return nil
}

// literal writes a value of a setting as SQL reads it.
func literal(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
