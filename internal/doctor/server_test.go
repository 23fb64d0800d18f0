package doctor_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/doctor"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/pgserver"
)

// server starts a PostgreSQL for what concerns all of one, and returns its directory and the URL of a migrated database.
func server(t *testing.T, settings map[string]string) (dir, databaseURL string) {
	t.Helper()
	dir = folder(t)
	s, err := pgserver.Start(background, pgserver.Options{Dir: dir, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	pool, err := pgxpool.New(background, s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pgdb.MigrateUp(background, pool, migrations.FS); err != nil {
		t.Fatal(err)
	}
	return dir, s.URL()
}

// folder is a directory that PostgreSQL's unprivileged user can enter.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lastunit-doctor-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// until asks again and again whether a condition has come to hold.
func until(t *testing.T, conn *pgx.Conn, condition string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ask[bool](t, conn, `SELECT coalesce((`+condition+`), false)`); {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", condition)
		}
		exec(t, conn, `SELECT pg_sleep(0.05)`)
	}
}

func vitals(t *testing.T, conn *pgx.Conn) doctor.Vitals {
	t.Helper()
	v, err := doctor.ReadVitals(background, conn)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sql is what a finding says to do, up to where it goes on in words.
func sql(f doctor.Finding) string {
	if i := strings.LastIndex(f.Do, ";"); i >= 0 {
		return f.Do[:i]
	}
	return f.Do
}

// reload runs statements that PostgreSQL refuses in one transaction, and waits until its settings are read anew.
func reload(t *testing.T, conn *pgx.Conn, statements string) {
	t.Helper()
	before := ask[time.Time](t, conn, `SELECT pg_conf_load_time()`)
	for _, s := range strings.Split(statements, ";") {
		exec(t, conn, s)
	}
	until(t, conn, `SELECT pg_conf_load_time() > '`+before.Format(time.RFC3339Nano)+`'`)
}

// It is a server of its own: what is broken here is broken for all databases.
func TestWhatConcernsAWholeServer(t *testing.T) {
	t.Parallel()
	dir, databaseURL := server(t, map[string]string{
		"max_prepared_transactions": "2", "archive_mode": "on", "autovacuum_naptime": "10min", "autovacuum_freeze_max_age": "100000", "max_wal_size": "512MB", "shared_buffers": "128MB",
	})
	o := options(databaseURL)
	conn := connect(t, databaseURL)
	exec(t, conn, `ALTER SYSTEM SET archive_command = 'true'`)
	reload(t, conn, `SELECT pg_reload_conf()`)
	for _, f := range all(t, o) {
		if f.Level == doctor.Error || f.Level == doctor.Warning {
			t.Errorf("found where nothing is wrong: %+v", f)
		}
	}
	must(t, o, doctor.Hint, "checkpoints", "512 MB")
	must(t, o, doctor.Hint, "buffers", "128 MB")
	must(t, o, doctor.Hint, "autovacuum", "600 s")
	must(t, o, doctor.Hint, "standbys", "there is none")

	for _, name := range []string{"autovacuum", "track_counts"} {
		reload(t, conn, `ALTER SYSTEM SET `+name+` = off; SELECT pg_reload_conf()`)
		reload(t, conn, sql(must(t, o, doctor.Error, "autovacuum", name+" is off")))
		mustNot(t, o, "autovacuum", "off")
	}

	exec(t, conn, `BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'it''s forgotten'`)
	o.Patience = time.Microsecond
	f := must(t, o, doctor.Warning, "old transactions", "forgotten")
	if v := vitals(t, conn); v.OldestTransaction <= 0 || v.OldestTransaction > time.Minute || v.Connections == 0 || v.ConnectionsMost < v.Connections {
		t.Errorf("with a transaction that is prepared: %+v", v)
	}
	exec(t, conn, sql(f))
	if v := vitals(t, conn); v.OldestTransaction != 0 || len(v.Tables) != len([]string{"claim", "claim_unit", "queue_head", "queue_tail", "stock_token"}) || v.Tables[4].VacuumedAt <= 0 {
		t.Errorf("without one: %+v", v)
	}
	mustNot(t, o, "old transactions", "forgotten")
	o.Patience = 0

	exec(t, conn, `SELECT pg_create_physical_replication_slot('left', true)`)
	_, drop, _ := strings.Cut(sql(must(t, o, doctor.Warning, "slots", "left")), "or ")
	exec(t, conn, drop)
	mustNot(t, o, "slots", "left")

	reload(t, conn, `ALTER SYSTEM SET archive_command = 'false'; SELECT pg_reload_conf()`)
	exec(t, conn, `SELECT pg_logical_emit_message(true, 'doctor', ''); SELECT pg_switch_wal()`)
	until(t, conn, `SELECT failed_count > 0 FROM pg_stat_archiver`)
	must(t, o, doctor.Warning, "archive", "can't be archived")
	reload(t, conn, `ALTER SYSTEM SET archive_command = 'true'; SELECT pg_reload_conf()`)
	until(t, conn, `SELECT last_archived_time > last_failed_time FROM pg_stat_archiver`)
	mustNot(t, o, "archive", "")

	t.Run("standbys", func(t *testing.T) { lookAtStandbys(t, o, dir, conn) })
	t.Run("age", func(t *testing.T) { lookAtAge(t, o, conn) })
	t.Run("passwords", func(t *testing.T) { lookAtPasswords(t, o, dir, conn) })
}

// lookAtStandbys has pg_receivewal in the place of a standby.
func lookAtStandbys(t *testing.T, o doctor.Options, dir string, conn *pgx.Conn) {
	reload(t, conn, `ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (mate)'; SELECT pg_reload_conf()`)
	f := must(t, o, doctor.Error, "standbys", "commits wait for 1 of FIRST 1 (mate), and 0 are in sync")
	if !strings.Contains(f.Do, "application_name") {
		t.Errorf("%+v", f)
	}
	standbys := func(want doctor.VitalStandbys) {
		t.Helper()
		if got := vitals(t, conn).Standbys; got == nil || got.Needed != want.Needed || got.InSync != want.InSync || got.Connected != want.Connected {
			t.Errorf("the standbys are %+v, want %+v", got, want)
		}
	}
	standbys(doctor.VitalStandbys{Needed: 1})
	tools, err := pgserver.FindTools(background)
	if err != nil {
		t.Fatal(err)
	}
	wal := filepath.Join(dir, "received")
	if err := os.Mkdir(wal, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := tools.Own(wal); err != nil {
		t.Fatal(err)
	}
	cmd, ended, err := tools.Start(dir, "pg_receivewal", "-D", wal, "--synchronous", "-d", changed(t, o.URL, with("application_name", "mate")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		<-ended
	}()
	until(t, conn, `SELECT sync_state = 'sync' FROM pg_stat_replication`)
	standbys(doctor.VitalStandbys{Needed: 1, InSync: 1, Connected: 1})
	mustNot(t, o, "standbys", "")
	reload(t, conn, `ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()`)
	until(t, conn, `SELECT sync_state = 'async' FROM pg_stat_replication`)
	must(t, o, doctor.Warning, "standbys", "1 standbys, and commits wait for none")
}

// lookAtAge uses more transaction ids up than this server lets a table wait for, while an old snapshot keeps them from being frozen.
func lookAtAge(t *testing.T, o doctor.Options, conn *pgx.Conn) {
	database := ask[string](t, conn, `SELECT current_database()`)
	old := connect(t, o.URL)
	exec(t, old, `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM product`)
	mustNot(t, o, "age", "database "+database)
	exec(t, conn, `DO $$ BEGIN FOR i IN 1..250000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)
	f := must(t, o, doctor.Warning, "age", "database "+database)
	if !strings.HasSuffix(f.Do, "VACUUM FREEZE;") {
		t.Errorf("%+v", f)
	}
	if v := vitals(t, conn); v.TransactionAge < 250_000 || v.TransactionAgeFrozenAt != 100_000 || v.MultixactAgeFrozenAt < 10_000 {
		t.Errorf("%+v", v)
	}
	exec(t, old, `COMMIT`)
	exec(t, conn, `VACUUM FREEZE`)
	mustNot(t, o, "age", "database "+database)
}

func lookAtPasswords(t *testing.T, o doctor.Options, dir string, conn *pgx.Conn) {
	exec(t, conn, `CREATE ROLE shopkeeper LOGIN PASSWORD 'right'`)
	at := func(password string) doctor.Options {
		return options(changed(t, changed(t, o.URL, as("shopkeeper")), with("password", password)))
	}
	hba := filepath.Join(dir, "postgres", "pg_hba.conf")
	allow := func(lines string) {
		t.Helper()
		if err := os.WriteFile(hba, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		reload(t, conn, `SELECT pg_reload_conf()`)
	}
	allow("local all lastunit trust\n")
	f := must(t, at("right"), doctor.Error, "connection", "no pg_hba.conf entry")
	if !strings.Contains(f.Do, `hostssl "lastunit" "shopkeeper"`) {
		t.Errorf("%+v", f)
	}
	allow("local all lastunit trust\nlocal all shopkeeper scram-sha-256\n")
	f = must(t, at("wrong"), doctor.Error, "connection", "password authentication failed")
	if !strings.Contains(f.Do, `ALTER ROLE "shopkeeper" PASSWORD`) {
		t.Errorf("%+v", f)
	}
	mustNot(t, at("right"), "connection", "")
	f = must(t, options(changed(t, throughTCP(t, o.URL), with("sslmode", "require"))), doctor.Error, "connection", "server refused TLS connection")
	if !strings.Contains(f.Do, "ssl = on") {
		t.Errorf("%+v", f)
	}
}

// throughTCP stands before a socket, where there is no TLS.
func throughTCP(t *testing.T, databaseURL string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", filepath.Join(cfg.Host, fmt.Sprintf(".s.PGSQL.%d", cfg.Port)))
			if err != nil {
				_ = client.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				}()
			}
		}
	}()
	address := l.Addr().(*net.TCPAddr)
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", cfg.User, address.Port, cfg.Database)
}

// A standby is made, looked at, and promoted, while its primary goes on.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	dir, databaseURL := server(t, nil)
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	tools, err := pgserver.FindTools(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(dir, "second")
	if err := os.Mkdir(second, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := tools.Own(second); err != nil {
		t.Fatal(err)
	}
	if said, err := tools.Run(ctx, dir, "pg_basebackup", "-D", second, "-R", "--checkpoint=fast", "-d", databaseURL); err != nil {
		t.Fatal(err, said)
	}
	cmd, ended, err := tools.Start(dir, "postgres", "-D", second, "-c", "listen_addresses=", "-c", "unix_socket_directories="+second, "-c", "max_connections=200", "-c", "cluster_name=second")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	standby := options(changed(t, databaseURL, with("host", second)))
	var conn *pgx.Conn
	for conn == nil {
		if conn, err = pgx.Connect(ctx, standby.URL); err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = conn.Close(background) }()

	must(t, standby, doctor.Error, "primary", "standby")
	both := options(changed(t, databaseURL, with("host", second+","+u.Query().Get("host"))))
	both.URL = changed(t, both.URL, with("port", "5432,5432"))
	must(t, both, doctor.Warning, "hosts", "no target_session_attrs")
	both.URL = changed(t, both.URL, with("target_session_attrs", "read-write"))
	mustNot(t, both, "hosts", "")
	mustNot(t, both, "primary", "")
	none := both
	none.URL = changed(t, standby.URL, with("target_session_attrs", "read-write"))
	must(t, none, doctor.Error, "connection", "target_session_attrs")

	exec(t, conn, `SELECT pg_promote()`)
	must(t, both, doctor.Error, "hosts", "two of the hosts take writes")

	_, stranger := server(t, nil)
	u, err = url.Parse(stranger)
	if err != nil {
		t.Fatal(err)
	}
	strangers := both
	strangers.URL = changed(t, both.URL, with("host", second+","+u.Query().Get("host")))
	must(t, strangers, doctor.Error, "hosts", "not copies of one another")
	gone := both
	gone.URL = changed(t, both.URL, with("host", second+",/nowhere"))
	must(t, gone, doctor.Warning, "hosts", "nothing listens at /nowhere")
}
