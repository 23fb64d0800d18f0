package pgdb

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Queryer is what the generated queries need.
type Queryer interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
}

// DB is what Together needs: a transaction, or a pool, where what is run together is a transaction of its own.
type DB interface {
	Queryer
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// Together runs queries whose arguments do not depend on each other's answers in one round trip, in their order. Each step makes one call of Query or Exec on what it is
// given, and returns the error that it gets from it; it is run twice, first to learn what is to be sent, then with the answer. CopyFrom can't be sent along.
func Together(ctx context.Context, db DB, steps ...func(Queryer) error) error {
	var sent recorder
	if err := sent.record(steps); err != nil {
		return err
	}
	return replay(db.SendBatch(ctx, &sent.batch), steps)
}

// replay gives each step its answer, and is done with them.
func replay(answers pgx.BatchResults, steps []func(Queryer) error) error {
	for _, step := range steps {
		if err := step(replayer{answers}); err != nil {
			_ = answers.Close() // the error of the step says more
			return err
		}
	}
	return answers.Close()
}

var (
	errRecorded = errors.New("recorded")
	errCopy     = errors.New("rows are copied alone, not together with other statements")
)

// recorder takes down what is asked.
type recorder struct{ batch pgx.Batch }

// record takes down what each step asks.
func (r *recorder) record(steps []func(Queryer) error) error {
	for _, step := range steps {
		if err := step(r); !errors.Is(err, errRecorded) {
			return errors.Join(errors.New("a step that asks nothing"), err)
		}
	}
	return nil
}

func (r *recorder) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	r.batch.Queue(sql, args...)
	return pgconn.CommandTag{}, errRecorded
}

func (r *recorder) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.batch.Queue(sql, args...)
	return nil, errRecorded
}

func (r *recorder) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	r.batch.Queue(sql, args...)
	return recordedRow{}
}

func (*recorder) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errCopy
}

type recordedRow struct{}

func (recordedRow) Scan(...any) error { return errRecorded }

// replayer gives the answers, in the order in which was asked.
type replayer struct{ answers pgx.BatchResults }

func (r replayer) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return r.answers.Exec()
}

func (r replayer) Query(context.Context, string, ...any) (pgx.Rows, error) { return r.answers.Query() }

func (r replayer) QueryRow(context.Context, string, ...any) pgx.Row { return r.answers.QueryRow() }

func (replayer) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errCopy
}
