package db_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
	visitsEach     = 50
	unitsAtFirst   = 150
	allotment      = 60
	planByIndex    = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off`
	shortHold      = 0.02
	longHold       = 600.0
	sharedKeyCount = 100
	buyerCount     = 8
	purchaseLimit  = 7
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
	url     string
	q       *dbsqlc.Queries
	pools   []pool
	cursors []atomic.Int64 // of each pool: where the last claim stopped
	doomed  chan doom
	after   *pgx.Conn // counts rows when all have left

	mu       sync.Mutex
	answered map[pgdb.ID][]pgdb.ID // claims that were committed, and their units
	undone   []pgdb.ID             // claims and orders whose transactions were not
	holds    []owned
	orders   []owned
	told     map[pgdb.ID]string // the status of an order that was committed last
	tally    map[string]int
}

// pool is where tokens of a product lie. sale is nil for the common pool.
type pool struct {
	product, id int64
	sale        *pgdb.ID
}

// owned is a hold or an order.
type owned struct {
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
		answered: map[pgdb.ID][]pgdb.ID{}, told: map[pgdb.ID]string{}, tally: map[string]int{}, cursors: make([]atomic.Int64, 3),
	}
	for i := range 2 {
		product := makeProduct(t, c.after, fmt.Sprintf("P%d", i))
		if err := receive(t.Context(), c.after, product, unitsAtFirst); err != nil {
			t.Fatal(err)
		}
		c.pools = append(c.pools, pool{product: product})
	}
	c.pools = append(c.pools, openSale(t, c.after, c.pools[1].product))
	exec(t, c.after, `CREATE TABLE token_life (id bigserial, unit_id uuid, pool_id bigint, position bigint)`)
	exec(t, c.after, `INSERT INTO token_life (unit_id, pool_id, position) SELECT unit_id, pool_id, position FROM stock_token`)
	exec(t, c.after, `CREATE FUNCTION record_token() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO token_life (unit_id, pool_id, position) VALUES (NEW.unit_id, NEW.pool_id, NEW.position); RETURN NULL; END $$`)
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
	errKeyTaken    = errors.New("another has the key")
	errTooLate     = errors.New("too late")
	errBuyerBusy   = errors.New("somebody else counts what the buyer has")
	errLimit       = errors.New("more than the buyer may have")
)

// isChoice tells whether a visitor has rolled back of its own will.
func isChoice(err error) bool {
	choices := []error{errChangedMind, errTooFew, errKeyTaken, errTooLate, errBuyerBusy, errLimit}
	return slices.ContainsFunc(choices, func(choice error) bool { return errors.Is(err, choice) })
}

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
	case n < 40:
		what, err = "claim", v.claim(t)
	case n < 46:
		what, err = "release", v.release(t)
	case n < 54:
		what, err = "free", v.inTx(t, func(tx pgx.Tx) error { return v.freeIn(t, tx, v.rng.IntN(len(v.pools)), 500) })
	case n < 70:
		what, err = "order", v.order(t)
	case n < 74:
		what, err = "cancel", v.cancel(t)
	case n < 82:
		what, err = "pay", v.pay(t)
	case n < 91:
		what, err = "give back", v.giveBack(t)
	case n < 94:
		what, err = "unquarantine", v.unquarantine(t)
	case n < 97:
		what, err = "withdraw", v.withdraw(t)
	default:
		what, err = "receive", v.inTx(t, func(tx pgx.Tx) error {
			return receive(t.Context(), tx, v.somePool().product, 1+v.rng.IntN(5))
		})
	}
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		v.count(what + " committed")
	case isChoice(err):
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
