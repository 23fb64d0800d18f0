package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const noDatabase = "Without its database lastunit does not start."

// connect opens the connection of the examination, without any settings of our own, so that what is looked at is what the server gives.
func (e *exam) connect(ctx context.Context) bool {
	cfg, err := e.config()
	if err != nil {
		// The error of pgx may hold the password.
		e.add(Error, "connection", "the database URL can't be read", noDatabase, "--database-url=postgres://user:password@host:5432/name")
		return false
	}
	if hosts := hostsOf(cfg); len(hosts) > 1 {
		e.lookAtHosts(ctx, cfg, hosts)
	}
	if e.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		e.findings = append(e.findings, unreachable(err, cfg))
		return false
	}
	e.ok("connection", "%s answers", e.conn.PgConn().Conn().RemoteAddr())
	return true
}

func (e *exam) config() (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(e.URL)
	if err != nil {
		return nil, err
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // which no pooler minds
	return cfg, nil
}

// unreachable says in plain words why a connection can't be made.
func unreachable(err error, cfg *pgx.ConnConfig) Finding {
	host := net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))
	if strings.HasPrefix(cfg.Host, "/") {
		host = cfg.Host
	}
	found := func(what, do string) Finding { return Finding{"connection", Error, what, noDatabase, do} }
	var pgErr *pgconn.PgError
	var dnsErr *net.DNSError
	switch {
	case errors.As(err, &pgErr):
		what := host + " refuses: " + pgErr.Message
		switch pgErr.Code {
		case "28P01":
			return found(what, fmt.Sprintf("put the right password into the database URL (special characters as %%-escapes), or as a superuser: ALTER ROLE %s PASSWORD '...';", quote(cfg.User)))
		case "28000":
			if strings.Contains(pgErr.Message, "does not exist") {
				return found(what, fmt.Sprintf("as a superuser: CREATE ROLE %s LOGIN PASSWORD '...';", quote(cfg.User)))
			}
			return found(what, fmt.Sprintf("add a line to pg_hba.conf, then SELECT pg_reload_conf(): hostssl %s %s ADDRESS-OF-LASTUNIT/32 scram-sha-256; if it says \"no encryption\", put sslmode=require into the database URL", quote(cfg.Database), quote(cfg.User)))
		case "3D000":
			return found(what, fmt.Sprintf("as a superuser: CREATE DATABASE %s OWNER %s; then lastunit migrate up", quote(cfg.Database), quote(cfg.User)))
		case "42501":
			return found(what, fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s;", quote(cfg.Database), quote(cfg.User)))
		case "53300":
			return found(what, "end some sessions, or raise max_connections (or the CONNECTION LIMIT of the role or database)")
		case "57P03":
			return found(what, "wait until PostgreSQL has started; its log says what it does")
		}
		return found(what, "see the log of PostgreSQL")
	case errors.As(err, &dnsErr):
		return found("the host "+cfg.Host+" is not known", "put the right host into the database URL, or see to its name in DNS")
	case isTLS(err):
		return found(host+": no encrypted connection can be made: "+last(err), "ssl = on with a certificate at the server; or sslrootcert=FILE in the database URL for a certificate of one's own; sslmode=disable only within one machine")
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return found("nothing listens at "+host, "start PostgreSQL there, set its listen_addresses and port, or put the right host and port into the database URL")
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return found(fmt.Sprintf("%s does not answer within %s", host, cfg.ConnectTimeout), "let connections through the firewall between here and there, or put the right host into the database URL")
	case strings.Contains(err.Error(), "ValidateConnect failed"):
		return found("none of the hosts is what target_session_attrs asks for", "promote a standby (SELECT pg_promote();), or start the primary")
	}
	return found(host+": "+last(err), "see the log of PostgreSQL")
}

func isTLS(err error) bool {
	var header tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	return errors.As(err, &header) || errors.As(err, &verification) || errors.As(err, &authority) ||
		strings.Contains(err.Error(), "server refused TLS connection") || strings.Contains(err.Error(), "tls: ")
}

// last is the last line, without the user and database that pgx puts before it.
func last(err error) string {
	text := strings.TrimSpace(err.Error())
	text = text[strings.LastIndex(text, "\n")+1:]
	if _, after, found := strings.Cut(text, "`: "); found {
		return after
	}
	return strings.TrimSpace(text)
}

func hostsOf(cfg *pgx.ConnConfig) (hosts []*pgconn.FallbackConfig) {
	all := append([]*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port, TLSConfig: cfg.TLSConfig}}, cfg.Fallbacks...)
	for _, h := range all { // the same host again is without TLS
		if !slices.ContainsFunc(hosts, func(o *pgconn.FallbackConfig) bool { return o.Host == h.Host && o.Port == h.Port }) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// lookAtHosts looks at each of several hosts by itself.
func (e *exam) lookAtHosts(ctx context.Context, cfg *pgx.ConnConfig, hosts []*pgconn.FallbackConfig) {
	if cfg.ValidateConnect == nil {
		e.add(Warning, "hosts", "the database URL names several hosts, and no target_session_attrs", "lastunit takes the first that answers, also when it is a standby, which it can't write to.",
			"add target_session_attrs=read-write to the database URL")
	}
	systems := map[int64]bool{}
	primaries := 0
	for _, h := range hosts {
		one := cfg.Copy()
		one.Host, one.Port, one.TLSConfig, one.ValidateConnect, one.Fallbacks = h.Host, h.Port, h.TLSConfig, nil, nil
		for _, f := range cfg.Fallbacks {
			if f.Host == h.Host && f.Port == h.Port && f.TLSConfig != h.TLSConfig {
				one.Fallbacks = append(one.Fallbacks, f)
			}
		}
		standby, system, err := lookAtHost(ctx, one)
		name := net.JoinHostPort(h.Host, fmt.Sprint(h.Port))
		switch {
		case err != nil:
			f := unreachable(err, one)
			e.add(Warning, "hosts", f.What, "When the other hosts are lost, this one can't take over.", f.Do)
			continue
		case standby:
			e.ok("hosts", "%s is a standby", name)
		default:
			primaries++
			e.ok("hosts", "%s is the primary", name)
		}
		systems[system] = true
	}
	if len(systems) > 1 {
		e.add(Error, "hosts", "the hosts are not copies of one another", "They are different databases: which of them has a unit depends on which one is reached first.", "name only the primary and its standbys in the database URL")
	} else if primaries > 1 {
		e.add(Error, "hosts", "two of the hosts take writes", "Each unit can be sold twice: an old primary has come back after its standby was promoted.", "stop the old primary at once, and make it a standby anew (pg_rewind or pg_basebackup)")
	}
}

func lookAtHost(ctx context.Context, cfg *pgx.ConnConfig) (standby bool, system int64, err error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), system_identifier FROM pg_control_system()`).Scan(&standby, &system)
	return standby, system, err
}

// pooler finds out whether something stands between us and the server: a pooler makes up the process ids that it tells its clients.
func (e *exam) pooler(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cfg, err := e.config()
	if err != nil {
		return
	}
	one, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		e.add(Warning, "pooler", "a second connection could not be opened: "+last(err), "lastunit needs several.", "raise the limits of the role, the database and the pooler")
		return
	}
	defer func() { _ = one.Close(context.WithoutCancel(ctx)) }()
	pid, err := backend(ctx, one)
	if err == nil && pid == one.PgConn().PID() {
		e.ok("pooler", "there is none between here and PostgreSQL")
		return
	}
	// Somebody else takes a transaction while ours has none: in transaction mode that is the server that we had.
	moved := err != nil
	if other, err := pgx.ConnectConfig(ctx, cfg); err == nil {
		defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
		if tx, err := other.Begin(ctx); err == nil {
			_, _ = backend(ctx, tx)
			now, err := backend(ctx, one)
			moved = moved || err != nil || now != pid
			_ = tx.Rollback(ctx)
		}
	}
	if !moved {
		e.add(Hint, "pooler", "a pooler stands between here and PostgreSQL, in session mode as it seems", "It saves nothing: lastunit keeps its connections. In transaction mode it would need another query mode.",
			"connect to PostgreSQL itself; in transaction mode: --query-mode cache_describe")
		return
	}
	e.transactionPooler = true
	if e.QueryMode == pgx.QueryExecModeCacheStatement || e.QueryMode == pgx.QueryExecModeDescribeExec {
		e.add(Error, "pooler", "a pooler in transaction mode stands between here and PostgreSQL, and the query mode is cache_statement", "Most queries fail: what one connection has prepared, another does not know.",
			"--query-mode cache_describe (or connect to PostgreSQL itself)")
		return
	}
	e.add(Hint, "pooler", "a pooler in transaction mode stands between here and PostgreSQL", "Migrations lock by session, which it breaks; what is set for a session gets lost.",
		"run lastunit migrate up with the URL of PostgreSQL itself")
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func backend(ctx context.Context, db querier) (pid uint32, err error) {
	err = db.QueryRow(ctx, `SELECT pg_backend_pid()::oid`).Scan(&pid)
	return pid, err
}
