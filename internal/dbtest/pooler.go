package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Pooler stands before a database as pgbouncer does in transaction mode with its usual settings, and returns the URL at which it does: a client has
// a connection to the server only for a transaction, the last one that was given back; it is told a process id that is made up; and
// startup parameters that pgbouncer does not know are refused. It passes no COPY.
func Pooler(t testing.TB, databaseURL string) string {
	t.Helper()
	cfg, err := pgconn.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{url: databaseURL}
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range p.free {
			_ = s.Conn.Close()
		}
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = client.Close() }()
				p.serve(client)
			}()
		}
	}()
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", cfg.User, l.Addr(), cfg.Database)
}

type pooler struct {
	url  string
	mu   sync.Mutex
	free []*pgconn.HijackedConn
}

func (p *pooler) take() (*pgconn.HijackedConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free) - 1; last >= 0 {
		s := p.free[last]
		p.free = p.free[:last]
		return s, nil
	}
	conn, err := pgconn.Connect(context.Background(), p.url)
	if err != nil {
		return nil, err
	}
	return conn.Hijack()
}

func (p *pooler) give(s *pgconn.HijackedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, s)
}

func (p *pooler) serve(conn net.Conn) {
	client := pgproto3.NewBackend(conn, conn)
	if greet(client) != nil {
		return
	}
	var server *pgconn.HijackedConn
	defer func() {
		if server != nil { // amid a transaction, which the server rolls back
			_ = server.Conn.Close()
		}
	}()
	for {
		asked, err := client.Receive()
		if err != nil {
			return
		}
		if _, ends := asked.(*pgproto3.Terminate); ends {
			return
		}
		if server == nil {
			if server, err = p.take(); err != nil {
				return
			}
		}
		server.Frontend.Send(asked)
		if server.Frontend.Flush() != nil {
			return
		}
		switch asked.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
		default:
			continue
		}
		for idle := byte(0); idle == 0; {
			answer, err := server.Frontend.Receive()
			if err != nil {
				return
			}
			client.Send(answer)
			if ready, is := answer.(*pgproto3.ReadyForQuery); is {
				idle = ready.TxStatus
			}
			if idle == 'I' {
				p.give(server)
				server = nil
			}
		}
		if client.Flush() != nil {
			return
		}
	}
}

// greet lets a client in.
func greet(client *pgproto3.Backend) error {
	first, err := client.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	hello, is := first.(*pgproto3.StartupMessage)
	if !is {
		return errors.New("no startup message")
	}
	for name := range hello.Parameters {
		if !slices.Contains([]string{"user", "database", "application_name", "timezone", "client_encoding", "datestyle", "standard_conforming_strings"}, name) {
			client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "unsupported startup parameter: " + name})
			return errors.Join(errors.New("refused"), client.Flush())
		}
	}
	client.Send(&pgproto3.AuthenticationOk{})
	client.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	client.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	client.Send(&pgproto3.BackendKeyData{ProcessID: 1_999_999_999, SecretKey: []byte{1, 2, 3, 4}})
	client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return client.Flush()
}
