package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/pgserver"
)

// cluster is a PostgreSQL of the torture's own, over TCP on this machine. It is a primary or a standby, and may change.
type cluster struct {
	name    string // by which the other one knows it as its standby
	tools   pgserver.Tools
	dir     string // below which its data is; enterable by who runs it
	walDir  string // below which its WAL is
	logDir  string // where its log is, which is not on a disk that is filled
	address string // host:port
	process *exec.Cmd
	ended   <-chan struct{}
}

const logName = "postgres.log"

func newCluster(tools pgserver.Tools, dataDir, walDir, logDir, name string) (*cluster, error) {
	c := &cluster{name: name, tools: tools, dir: filepath.Join(dataDir, name), walDir: filepath.Join(walDir, name), logDir: filepath.Join(logDir, name)}
	for _, dir := range []string{c.dir, c.walDir, c.logDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		if err := tools.Own(dir); err != nil {
			return nil, err
		}
	}
	var err error
	c.address, err = driven.FreeAddress()
	return c, err
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) wal() string { return filepath.Join(c.walDir, "wal") }

func (c *cluster) port() string {
	_, port, _ := strings.Cut(c.address, ":")
	return port
}

func (c *cluster) url(database string) string {
	return "postgres://lastunit@" + c.address + "/" + database + "?sslmode=disable&connect_timeout=2"
}

// make makes it anew, as a primary.
func (c *cluster) make(ctx context.Context) error {
	said, err := c.tools.Run(ctx, c.dir, "initdb", "--pgdata", c.data(), "--waldir", c.wal(), "--username", "lastunit", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-instructions")
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, said)
	}
	return nil
}

// follow makes it anew, as a standby of another that runs.
func (c *cluster) follow(ctx context.Context, primary *cluster) error {
	for _, dir := range []string{c.data(), c.wal()} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	said, err := c.tools.Run(ctx, c.dir, "pg_basebackup", "--pgdata", c.data(), "--waldir", c.wal(), "--checkpoint", "fast", "--wal-method", "stream", "--write-recovery-conf", "--no-sync",
		"--dbname", fmt.Sprintf("host=127.0.0.1 port=%s user=lastunit application_name=%s", primary.port(), c.name))
	if err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, said)
	}
	return nil
}

// start starts it and returns when it answers, as a primary or as a standby. It may end at once, because of what is left of the one before, and is started again then.
func (c *cluster) start(ctx context.Context) error {
	var err error
	args := []string{"-D", c.data()}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "port=" + c.port(), "unix_socket_directories=", "max_connections=120", "shared_buffers=128MB", "max_wal_size=1GB", "wal_level=replica",
		"max_wal_senders=10", "wal_keep_size=256MB", "hot_standby=on", "fsync=on", "full_page_writes=on", "synchronous_commit=on", "wal_receiver_status_interval=1s",
		"wal_sender_timeout=5s", "wal_receiver_timeout=5s", "wal_retrieve_retry_interval=500ms", "autovacuum_naptime=10s", "restart_after_crash=on", "lc_messages=C", "timezone=UTC", "cluster_name=" + c.name,
		"logging_collector=on", "log_directory=" + c.logDir, "log_filename=" + logName, "log_rotation_age=0", "log_rotation_size=0",
	} {
		args = append(args, "-c", setting)
	}
	for tries := 0; tries < 10; tries++ {
		if c.process, c.ended, err = c.tools.Start(c.dir, "postgres", args...); err != nil {
			return err
		}
		if err = c.await(ctx, 60*time.Second, "SELECT true"); !errors.Is(err, errEnded) {
			return err
		}
		driven.Pause(ctx, 300*time.Millisecond)
	}
	return err
}

var errEnded = errors.New("PostgreSQL has ended")

// await waits until a question is answered with true, as long as it runs.
func (c *cluster) await(ctx context.Context, most time.Duration, question string) (err error) {
	for began := time.Now(); ; driven.Pause(ctx, 50*time.Millisecond) {
		yes := false
		if err = c.ask(ctx, question, &yes); err == nil && yes {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ended:
			return fmt.Errorf("%s did not become true of %s: %w", question, c.name, errEnded)
		default:
		}
		if time.Since(began) > most {
			return fmt.Errorf("%s did not become true of %s in %s: %w", question, c.name, most, err)
		}
	}
}

// ask asks one thing on a connection of its own.
func (c *cluster) ask(ctx context.Context, question string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	if answer == nil {
		_, err := db.Exec(ctx, question)
		return err
	}
	return db.QueryRow(ctx, question).Scan(answer)
}

// require has commits wait for standbys, or for none with "".
func (c *cluster) require(ctx context.Context, standbys string) error {
	if err := c.ask(ctx, "ALTER SYSTEM SET synchronous_standby_names = '"+standbys+"'", nil); err != nil {
		return fmt.Errorf("set synchronous_standby_names: %w", err)
	}
	return c.ask(ctx, "SELECT pg_reload_conf()", new(bool))
}

// inSync waits until a standby has all that is answered.
func (c *cluster) inSync(ctx context.Context, standby *cluster) error {
	return c.await(ctx, 60*time.Second, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming' AND application_name = '"+standby.name+"'")
}

// pids are the postmaster and its children.
func (c *cluster) pids() []int {
	all := []int{c.process.Process.Pid}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(all[0]) {
			all = append(all, pid)
		}
	}
	return all
}

// deadlocks is what its log says of them: who waited for whom, and with which statements.
func (c *cluster) deadlocks() string {
	log, _ := os.ReadFile(filepath.Join(c.logDir, logName))
	var said strings.Builder
	within := false
	for line := range strings.Lines(string(log)) {
		if _, message, begins := strings.Cut(line, "] ERROR: "); begins {
			within = strings.Contains(message, "deadlock detected")
		} else if strings.Contains(line, "] LOG: ") || strings.Contains(line, "] FATAL: ") {
			within = false
		}
		if within {
			said.WriteString(line)
		}
	}
	return said.String()
}

// signal sends a signal to the postmaster and all its children.
func (c *cluster) signal(s syscall.Signal) {
	for _, pid := range c.pids() {
		_ = syscall.Kill(pid, s)
	}
}

// kill is kill -9 of all of it at once, as when its machine loses its power. It returns when it is gone.
func (c *cluster) kill() {
	pids := c.pids()
	_ = syscall.Kill(pids[0], syscall.SIGSTOP) // so that it starts nobody anew
	pids = append(pids, c.pids()...)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-c.ended
	for _, pid := range pids { // children are somebody else's now, and may take a moment
		for syscall.Kill(pid, 0) == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// stop ends it in order: fast, without waiting for clients.
func (c *cluster) stop() {
	if c.process == nil {
		return
	}
	_ = c.process.Process.Signal(syscall.SIGINT)
	select {
	case <-c.ended:
	case <-time.After(20 * time.Second):
		c.kill()
	}
}
