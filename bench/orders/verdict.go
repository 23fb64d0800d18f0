package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/books"
	"github.com/lastunit/lastunit/bench/driven"
)

// single is the product of scenarios that have one.
const single = "single"

type findings = driven.Findings

// verdict is what a run came to: a line for each thing that is worth knowing, and what was broken.
type verdict struct {
	findings
	lines []string
}

// say notes a line under a word.
func (v *verdict) say(word, format string, args ...any) {
	v.lines = append(v.lines, fmt.Sprintf("%-11s", word)+fmt.Sprintf(format, args...))
}

func (v *verdict) print(w io.Writer) {
	for _, line := range v.lines {
		fmt.Fprintln(w, line)
	}
	for _, line := range v.First(20) {
		fmt.Fprintln(w, "BROKEN:", line)
	}
	fmt.Fprintf(w, "%d invariants broken\n", len(v.findings))
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

type rule = books.Rule

// brokenIn finds what breaks rules.
func brokenIn(ctx context.Context, db querier, rules []rule) (findings, error) {
	return books.Broken(ctx, db, rules)
}

// counts reads pairs of a name and a number, as "3 paid, 2 cancelled".
func counts(ctx context.Context, db querier, sql string) (string, error) {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return "", err
	}
	type pair struct {
		Name string
		N    int64
	}
	pairs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pair])
	var all []string
	for _, p := range pairs {
		all = append(all, fmt.Sprintf("%d %s", p.N, p.Name))
	}
	if len(all) == 0 {
		all = []string{"none"}
	}
	return strings.Join(all, ", "), err
}

// look runs fn on a connection of its own.
func look(ctx context.Context, s *driven.Service, fn func(db *pgx.Conn) error) error {
	db, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	return fn(db)
}

// inspect is what every run ends with: rules that hold in the database, no deadlock, no error in the servers' logs unless they were killed, and an audit.
func (v *verdict) inspect(ctx context.Context, s *driven.Service, killed bool, rules []rule) error {
	err := look(ctx, s, func(db *pgx.Conn) error {
		broken, err := brokenIn(ctx, db, rules)
		v.findings = append(v.findings, broken...)
		return firstOf(err, v.deadlocks(ctx, s, db))
	})
	if err != nil {
		return err
	}
	v.logged(s, killed)
	line, err := s.Audit()
	v.say("audit", "%s", line)
	if err != nil {
		v.Add("%v", err)
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var deadlockLine = regexp.MustCompile(`(?i)[^\n]*deadlock detected[^\n]*`)

// deadlocks looks for deadlocks: in PostgreSQL's log, which survives its death, in its statistics, which may not, and in the servers' log.
func (v *verdict) deadlocks(ctx context.Context, s *driven.Service, db querier) error {
	text, err := s.PostgresLog()
	if err != nil {
		return err
	}
	if !strings.Contains(text, "database system is ready") {
		v.Add("PostgreSQL's log was not found where it is looked for")
	}
	// A backend that is idle has reported what it met within 10 s; one that has met a deadlock reports it in the log at once.
	var counted int64
	if err := db.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&counted); err != nil {
		return err
	}
	logged := deadlockLine.FindAllString(text+s.Log(), -1)
	for _, line := range logged {
		v.Add("%s", line)
	}
	if counted > 0 {
		v.Add("PostgreSQL has counted %d deadlocks", counted)
	}
	v.say("deadlocks", "%d in the log, %d counted", len(logged), counted)
	return nil
}

// logged counts what the servers have logged as errors: after a kill some is to be expected, otherwise nothing is.
func (v *verdict) logged(s *driven.Service, killed bool) {
	lines := strings.Split(strings.TrimSpace(s.Log()), "\n")
	if lines[0] == "" {
		lines = nil
	}
	v.say("log", "%d errors", len(lines))
	for _, line := range lines {
		if !killed || strings.Contains(line, "panic") {
			v.Add("a server has logged: %s", line)
		}
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
