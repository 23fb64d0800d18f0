package pgserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	slowStart   = 5 * time.Second  // after which the log says what we wait for
	reachWithin = 15 * time.Second // after PostgreSQL said that it is ready
)

// awaitReady returns when the database can be used, having made it if it was missing. It waits for PostgreSQL to note that
// it is ready before it asks: whoever asks earlier leaves an error in the log, and recovery may take minutes.
func (s *Server) awaitReady(p *postmaster) error {
	began, told := time.Now(), false
	var reachBy time.Time
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		switch {
		case !saysReady(s.cluster, p.pid):
			if !told && time.Since(began) > slowStart {
				told = true
				s.logger.Info("PostgreSQL is not ready yet; after a crash it recovers first", "log", logName)
			}
		default:
			if reachBy.IsZero() {
				reachBy = time.Now().Add(reachWithin)
			}
			err := s.reach(reachBy)
			if err == nil || s.reached && isAnswer(err) {
				s.reached = true
				return nil
			}
			if isAnswer(err) || time.Now().After(reachBy) {
				return fmt.Errorf("using the database: %w", err)
			}
		}
		select {
		case <-p.exited:
			return fmt.Errorf("postgres ended: %w", p.err)
		case <-s.stopping.Done():
			return errStopped
		case <-time.After(wait):
		}
	}
}

// isAnswer tells an error of a server that is up from one that will pass. Once the database has been used, such an answer
// is all we need: after a restart, clients may have taken every connection before us.
func isAnswer(err error) bool {
	const startingUp = "57P03"
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code != startingUp
}

// reach makes the database if it is missing. It asks the database "postgres", which every cluster has: asking for one that
// isn't there would leave an error in the log.
func (s *Server) reach(by time.Time) error {
	ctx, cancel := context.WithDeadline(s.stopping, by)
	defer cancel()
	conn, err := pgconn.Connect(ctx, urlOf(s.socketDir, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	found := conn.ExecParams(ctx, "SELECT FROM pg_database WHERE datname = $1", [][]byte{[]byte(s.database)}, nil, nil, nil).Read()
	if found.Err != nil || found.CommandTag.RowsAffected() == 1 {
		return found.Err
	}
	return conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{s.database}.Sanitize()).Close()
}
