package httpapi_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/pgserver"
	"github.com/lastunit/lastunit/internal/shop"
)

// postgres is one that somebody else runs, and whose settings they change.
type postgres struct {
	tools      pgserver.Tools
	dir, data  string
	host, port string
	process    *exec.Cmd
	ended      <-chan struct{}
}

func newPostgres(t *testing.T) *postgres {
	t.Helper()
	tools, err := pgserver.FindTools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "lastunit-ready-") // PostgreSQL may run as somebody else, who can't enter t.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address, err := driven.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p := &postgres{tools: tools, dir: dir, data: filepath.Join(dir, "data")}
	p.host, p.port, _ = strings.Cut(address, ":")
	if err := tools.Own(dir); err != nil {
		t.Fatal(err)
	}
	if said, err := tools.Run(t.Context(), dir, "initdb", "--pgdata", p.data, "--username", "lastunit", "--auth", "trust", "--encoding", "UTF8", "--locale", "C"); err != nil {
		t.Fatal(err, said)
	}
	p.start(t)
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *postgres) url() string {
	return "postgres://lastunit@" + p.host + ":" + p.port + "/postgres?sslmode=disable&connect_timeout=2"
}

// start leaves to the files in the cluster what is to be changed.
func (p *postgres) start(t *testing.T) {
	t.Helper()
	var err error
	p.process, p.ended, err = p.tools.Start(p.dir, "postgres", "-D", p.data, "-c", "listen_addresses="+p.host, "-c", "port="+p.port, "-c", "unix_socket_directories=", "-c", "max_connections=30", "-c", "shared_buffers=16MB")
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; {
		conn, err := pgx.Connect(t.Context(), p.url())
		if err == nil {
			_ = conn.Close(t.Context())
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
		driven.Pause(t.Context(), 50*time.Millisecond)
	}
}

func (p *postgres) stop() {
	_ = p.process.Process.Signal(syscall.SIGINT)
	<-p.ended
}

// set changes a setting for all of its sessions that have not set it themselves.
func (p *postgres) set(t *testing.T, name, value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.url())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, statement := range []string{"ALTER SYSTEM SET " + name + " = " + value, "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// override sets what commits wait for on the connections that a pool has.
func override(t *testing.T, db *pgxpool.Pool, value string) {
	t.Helper()
	for _, conn := range db.AcquireAllIdle(t.Context()) {
		if _, err := conn.Exec(t.Context(), "SET synchronous_commit = "+value); err != nil {
			t.Error(err)
		}
		conn.Release()
	}
}

// awaitReady waits until /readyz is green, or says busy with some words.
func awaitReady(t *testing.T, w *world, words string) {
	t.Helper()
	var a answer
	for began := time.Now(); time.Since(began) < 20*time.Second; driven.Pause(t.Context(), 50*time.Millisecond) {
		a = w.send(t, get("/readyz"))
		if words == "" && a.status == 200 {
			return
		}
		if words != "" && a.status == 503 && strings.Contains(string(a.body), words) {
			if a.refused(t, 503, "busy"); a.header.Get("Retry-After") == "" {
				t.Error("it does not say when to ask again")
			}
			return
		}
	}
	t.Fatalf("/readyz says %d %s, want %q", a.status, a.body, words)
}

// standby makes a standby of it, or a primary again.
func (p *postgres) standby(t *testing.T, db *pgxpool.Pool, yes bool) {
	t.Helper()
	if !yes {
		if _, err := db.Exec(t.Context(), "SELECT pg_promote()"); err != nil {
			t.Fatal(err)
		}
		return
	}
	p.stop()
	signal := filepath.Join(p.data, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.tools.Own(signal); err != nil {
		t.Fatal(err)
	}
	p.start(t)
}

// A database that would lose answers, or take none, is told from one that is all right, by name, as soon as it is so.
func TestReadyzSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	db := dbtest.Connect(t, p.url())
	w := newServer(t, db, shop.Options{}, httpapi.Options{})
	awaitReady(t, w, "migrate")
	if _, err := pgdb.MigrateUp(t.Context(), db, migrations.FS); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, w, "")
	for _, name := range []string{"fsync", "full_page_writes"} {
		p.set(t, name, "off")
		awaitReady(t, w, name+" is off")
		p.set(t, name, "on")
		awaitReady(t, w, "")
	}
	p.standby(t, db, true)
	awaitReady(t, w, "standby")
	p.standby(t, db, false)
	awaitReady(t, w, "")
	p.stop()
	awaitReady(t, w, "does not answer")
	p.start(t)
	awaitReady(t, w, "")
}

// A server that commits without waiting for its disk is all right, because our connections wait all the same.
func TestReadyzKnowsWhatCommitsWaitFor(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	p.set(t, "synchronous_commit", "off")
	db := dbtest.Connect(t, p.url())
	if _, err := pgdb.MigrateUp(t.Context(), db, migrations.FS); err != nil {
		t.Fatal(err)
	}
	w := newServer(t, db, shop.Options{}, httpapi.Options{})
	awaitReady(t, w, "")
	var theirs, ours string
	conn, err := pgx.Connect(t.Context(), p.url())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&theirs); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&ours); err != nil {
		t.Fatal(err)
	}
	if theirs != "off" || ours != "on" {
		t.Errorf("the server has synchronous_commit at %s, our connections at %s", theirs, ours)
	}
	// One who sets it on our connections, as a pooler may that does not keep sessions apart.
	for _, value := range []string{"off", "local", "remote_write"} {
		override(t, db, value)
		awaitReady(t, w, "synchronous_commit is "+value)
		override(t, db, "on")
		awaitReady(t, w, "")
	}
}
