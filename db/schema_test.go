package db_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

var seedFlag = flag.Uint64("seed", 0, "of the random choices of the concurrency test; 0: a new one")

const (
	visitors       = 32
	visitsEach     = 40
	unitsAtFirst   = 150
	planByIndex    = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off`
	shortHold      = 0.02
	longHold       = 600.0
	sharedKeyCount = 200
)

func TestEveryUnitIsInOnePlaceWhateverRunsAtOnce(t *testing.T) {
	t.Parallel()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the choices are those of -seed %d", seed)
	c := newCrowd(t)
	var wg, killing sync.WaitGroup
	killing.Go(func() { c.killDoomed(t) })
	for i := range visitors {
		wg.Go(func() {
			v := &visitor{crowd: c, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
			defer func() { v.leave() }()
			for range visitsEach {
				v.visit(t)
			}
		})
	}
	wg.Wait()
	close(c.doomed)
	killing.Wait()
	c.checkRows(t)
	c.checkAnswers(t)
	c.checkThatMuchHappened(t)
}

// crowd is what all visitors of one database share.
type crowd struct {
	url      string
	q        *dbsqlc.Queries
	products []int64
	cursors  []atomic.Int64 // of each product: where the last claim stopped
	doomed   chan doom
	after    *pgx.Conn // counts rows when all have left

	mu       sync.Mutex
	answered map[pgdb.ID][]pgdb.ID // claims that were committed, and their units
	undone   []pgdb.ID             // claims whose transactions were not
	holds    []hold
	tally    map[string]int
}

type hold struct {
	id    pgdb.ID
	buyer string
}

// doom names a connection that is to be killed; done, if any, is closed when it is dying.
type doom struct {
	pid  uint32
	done chan struct{}
}

func newCrowd(t *testing.T) *crowd {
	url := dbtest.URL(t)
	c := &crowd{
		url: url, q: dbsqlc.New(), doomed: make(chan doom, visitors*visitsEach), after: connect(t, url),
		answered: map[pgdb.ID][]pgdb.ID{}, tally: map[string]int{}, cursors: make([]atomic.Int64, 2),
	}
	for i := range c.cursors {
		c.products = append(c.products, makeProduct(t, c.after, fmt.Sprintf("P%d", i)))
		if err := receive(t.Context(), c.after, c.products[i], unitsAtFirst); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, c.after, `CREATE TABLE token_life (id bigserial, unit_id uuid, position bigint)`)
	exec(t, c.after, `INSERT INTO token_life (unit_id, position) SELECT unit_id, position FROM stock_token`)
	exec(t, c.after, `CREATE FUNCTION record_token() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO token_life (unit_id, position) VALUES (NEW.unit_id, NEW.position); RETURN NULL; END $$`)
	exec(t, c.after, `CREATE TRIGGER record_token AFTER INSERT ON stock_token FOR EACH ROW EXECUTE FUNCTION record_token()`)
	return c
}

func (c *crowd) killDoomed(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), c.url)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for d := range c.doomed {
		if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend($1)`, int32(d.pid)); err != nil {
			t.Errorf("kill: %v", err)
		}
		if d.done != nil {
			close(d.done)
		}
	}
}

func (c *crowd) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally[what]++
}

// visitor is one goroutine with a connection of its own, which it opens anew when it was killed.
type visitor struct {
	*crowd
	rng  *rand.Rand
	conn *pgx.Conn
}

func (v *visitor) leave() {
	if v.conn != nil {
		_ = v.conn.Close(context.Background())
	}
}

var (
	errChangedMind = errors.New("rolled back at random")
	errTooFew      = errors.New("too few units")
	errKeyTaken    = errors.New("another claim has the key")
)

func (v *visitor) visit(t *testing.T) {
	if v.conn == nil || v.conn.IsClosed() {
		conn, err := pgx.Connect(t.Context(), v.url)
		if err != nil {
			t.Error(err)
			return
		}
		v.conn = conn
	}
	what, err := "", error(nil)
	switch n := v.rng.IntN(100); {
	case n < 60:
		what, err = "claim", v.claim(t)
	case n < 80:
		what, err = "release", v.release(t)
	case n < 92:
		what, err = "expire", v.expire(t)
	case n < 96:
		what, err = "withdraw", v.withdraw(t)
	default:
		what, err = "receive", v.inTx(t, func(tx pgx.Tx) error {
			return receive(t.Context(), tx, v.products[v.rng.IntN(len(v.products))], 1+v.rng.IntN(5))
		})
	}
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		v.count(what + " committed")
	case errors.Is(err, errChangedMind), errors.Is(err, errTooFew), errors.Is(err, errKeyTaken):
		v.count(err.Error())
	case errors.As(err, &pgErr) && pgErr.Code != "57P01" || !v.conn.IsClosed():
		t.Errorf("%s: %v", what, err)
	default:
		v.count("killed")
	}
}

// inTx commits in most cases. In others it rolls back at the end, or its connection is killed: right before the commit, or at any
// instant from the beginning on.
func (v *visitor) inTx(t *testing.T, fn func(tx pgx.Tx) error) error {
	fate := v.rng.IntN(20)
	pid := v.conn.PgConn().PID()
	return pgdb.InTxWith(t.Context(), v.conn, planByIndex, func(tx pgx.Tx) error {
		if fate == 0 {
			v.doomed <- doom{pid: pid}
		}
		if err := fn(tx); err != nil {
			return err
		}
		switch fate {
		case 1:
			done := make(chan struct{})
			v.doomed <- doom{pid: pid, done: done}
			<-done
		case 2, 3:
			return errChangedMind
		}
		return nil
	})
}

// claim holds units of one product or of both, as a batch of claims is settled.
func (v *visitor) claim(t *testing.T) error {
	insert := dbsqlc.ClaimInsertManyParams{HoldSeconds: shortHold}
	if v.rng.IntN(6) == 0 {
		insert.HoldSeconds = longHold
	}
	first := v.rng.IntN(len(v.products))
	for i := first; i < len(v.products); i++ {
		key := ""
		if v.rng.IntN(2) == 0 {
			key = fmt.Sprintf("key-%d", v.rng.IntN(sharedKeyCount))
		}
		insert.ClaimIds = append(insert.ClaimIds, pgdb.NewID())
		insert.Buyers = append(insert.Buyers, fmt.Sprintf("buyer-%d", i))
		insert.ProductIds = append(insert.ProductIds, v.products[i])
		insert.PoolIds = append(insert.PoolIds, 0)
		insert.Quantities = append(insert.Quantities, int32(1+v.rng.IntN(4)))
		insert.IdempotencyKeys = append(insert.IdempotencyKeys, key)
		insert.PriceMinors = append(insert.PriceMinors, -1)
		insert.Currencies = append(insert.Currencies, "")
	}
	units := map[pgdb.ID][]pgdb.ID{}
	highest := map[int]int64{}
	err := v.inTx(t, func(tx pgx.Tx) error {
		var take dbsqlc.StockTokenTakeParams
		for j, id := range insert.ClaimIds {
			positions, err := v.pick(t, tx, first+j, int64(insert.Quantities[j]))
			if err != nil {
				return err
			}
			highest[first+j] = slices.Max(positions)
			for _, position := range positions {
				take.ProductIds = append(take.ProductIds, insert.ProductIds[j])
				take.PoolIds = append(take.PoolIds, 0)
				take.Positions = append(take.Positions, position)
				take.ClaimIds = append(take.ClaimIds, id)
			}
		}
		written, err := v.q.ClaimInsertMany(t.Context(), tx, insert)
		if err != nil {
			return err
		}
		if len(written) < len(insert.ClaimIds) {
			return errKeyTaken
		}
		taken, err := v.q.StockTokenTake(t.Context(), tx, take)
		if err != nil {
			return err
		}
		if len(taken) != len(take.ClaimIds) {
			t.Errorf("took %d tokens of %d that were locked", len(taken), len(take.ClaimIds))
		}
		for _, row := range taken {
			units[row.ClaimID] = append(units[row.ClaimID], row.UnitID)
		}
		return nil
	})
	v.remember(err, insert, units)
	if err == nil {
		for i, position := range highest {
			v.cursors[i].Store(position + 1)
		}
	}
	return err
}

func (v *visitor) remember(err error, insert dbsqlc.ClaimInsertManyParams, units map[pgdb.ID][]pgdb.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err == nil:
		maps.Copy(v.answered, units)
		for i, id := range insert.ClaimIds {
			v.holds = append(v.holds, hold{id, insert.Buyers[i]})
		}
	case !errors.Is(err, pgdb.ErrOutcomeUnknown):
		v.undone = append(v.undone, insert.ClaimIds...)
	}
}

// pick locks tokens as a settlement does: from the cursor, from the beginning, and those of lapsed holds.
func (v *visitor) pick(t *testing.T, tx pgx.Tx, product int, quantity int64) ([]int64, error) {
	var positions []int64
	between := func(from, below int64) error {
		missing := quantity - int64(len(positions))
		if missing == 0 || from >= below {
			return nil
		}
		rows, err := v.q.StockTokenPick(t.Context(), tx, dbsqlc.StockTokenPickParams{
			ProductIds: v.products[product : product+1], PoolIds: []int64{0},
			FromPositions: []int64{from}, BelowPositions: []int64{below}, UnitCounts: []int64{missing},
		})
		if int64(len(rows)) > missing {
			t.Errorf("picked %d tokens for %d", len(rows), missing)
		}
		for _, row := range rows {
			positions = append(positions, row.Position)
		}
		return err
	}
	cursor := v.cursors[product].Load()
	if err := between(cursor, everyPosition); err != nil {
		return nil, err
	}
	if err := between(0, cursor); err != nil {
		return nil, err
	}
	if missing := quantity - int64(len(positions)); missing > 0 {
		if err := v.expireIn(t, tx, product, int32(missing)); err != nil {
			return nil, err
		}
		if err := between(slices.Max(append(positions, 0))+1, everyPosition); err != nil {
			return nil, err
		}
	}
	if int64(len(positions)) < quantity {
		return nil, errTooFew
	}
	return positions, nil
}

func (v *visitor) release(t *testing.T) error {
	v.mu.Lock()
	if len(v.holds) == 0 {
		v.mu.Unlock()
		return errTooFew
	}
	h := v.holds[len(v.holds)-1-v.rng.IntN(min(len(v.holds), 2*visitors))] // others release it at the same time
	v.mu.Unlock()
	return v.inTx(t, func(tx pgx.Tx) error {
		status, err := v.q.ClaimLock(t.Context(), tx, dbsqlc.ClaimLockParams{ClaimID: h.id, Buyer: h.buyer})
		if err != nil || status != "held" {
			return err
		}
		_, err = v.q.ClaimEnd(t.Context(), tx, dbsqlc.ClaimEndParams{ClaimIds: []pgdb.ID{h.id}, Release: true})
		return err
	})
}

func (v *visitor) expire(t *testing.T) error {
	return v.inTx(t, func(tx pgx.Tx) error { return v.expireIn(t, tx, v.rng.IntN(len(v.products)), 500) })
}

func (v *visitor) expireIn(t *testing.T, tx pgx.Tx, product int, limit int32) error {
	ids, err := v.q.ClaimLockLapsed(t.Context(), tx, dbsqlc.ClaimLockLapsedParams{ProductID: v.products[product], RowLimit: limit})
	if err != nil || len(ids) == 0 {
		return err
	}
	ended, err := v.q.ClaimEnd(t.Context(), tx, dbsqlc.ClaimEndParams{ClaimIds: ids})
	if err == nil && len(ended) != len(ids) {
		t.Errorf("expired %d of %d lapsed holds that were locked", len(ended), len(ids))
	}
	return err
}

func (v *visitor) withdraw(t *testing.T) error {
	id, product, quantity := pgdb.NewID(), v.products[v.rng.IntN(len(v.products))], int32(1+v.rng.IntN(3))
	return v.inTx(t, func(tx pgx.Tx) error {
		_, err := v.q.WithdrawalInsert(t.Context(), tx, dbsqlc.WithdrawalInsertParams{
			WithdrawalID: id, ProductID: product, Quantity: quantity, Reason: "test", APIKeyID: pgdb.NewID(),
		})
		if err != nil {
			return err
		}
		taken, err := v.q.WithdrawalTake(t.Context(), tx, dbsqlc.WithdrawalTakeParams{WithdrawalID: id, ProductID: product, Quantity: quantity})
		if err == nil && taken < int64(quantity) {
			return errTooFew
		}
		if taken > int64(quantity) {
			t.Errorf("withdrew %d units for %d", taken, quantity)
		}
		return err
	})
}
