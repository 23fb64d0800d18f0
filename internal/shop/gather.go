package shop

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// gathered are calls that came together and are done in one transaction, each statement for all of them; the answer says whether a call was done. It is not where
// anything stands in its way: what it is about is locked, its key was used, it is to be refused. Such a call is done alone, by the code that waits
// and has a word for everything. So what is gathered decides nothing that is not plain.
type gathered[In any] = lane.Lanes[byte, In, bool]

const (
	// gatherLanes is how many batches of one kind may be under way at once.
	gatherLanes = 2
	// gatherSettings: everything goes by keys, whatever the planner believes of tables that were filled a moment ago, and who would have to wait for a key lets
	// all of its batch be done alone.
	gatherSettings = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; " +
		"SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL lock_timeout = '100ms'"
)

// gather makes lanes of calls that are done by do, which tells of each whether it did it. When it fails nothing was done, and each is done alone.
func gather[In any](s *Shop, name string, do func(context.Context, pgx.Tx, []In) ([]bool, error)) *gathered[In] {
	c := lane.Config{Workers: 2 * gatherLanes, BatchCalls: 128, BatchKeys: 1}
	return lane.New(c, watched(s.o.Observer, name, func(ctx context.Context, batch []lane.Call[byte, In], next func()) []lane.Answer[bool] {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		calls := make([]In, len(batch))
		for i, c := range batch {
			calls[i] = c.In
		}
		var done []bool
		err := pgdb.InTxWith(ctx, s.pool, gatherSettings, func(tx pgx.Tx) (err error) {
			if done, err = do(ctx, tx, calls); err == nil {
				next()
			}
			return err
		})
		answers := make([]lane.Answer[bool], len(batch))
		for i := range answers {
			switch {
			case errors.Is(err, pgdb.ErrOutcomeUnknown):
				answers[i].Err = err
			case err == nil:
				answers[i].Out = done[i]
			}
		}
		return answers
	}))
}

// gatherLane spreads calls over the lanes of their kind.
func gatherLane(id ID) byte { return id[len(id)-1] % gatherLanes }

// boundCall is the key of a call that is gathered, with what binds it.
type boundCall struct {
	Call
	hash []byte // of the request; nil without a key
	made ID
}

// bound binds a key to a request, for calls that are gathered.
func bound(c Call, request any, made ID) (boundCall, error) {
	b := boundCall{Call: c, made: made}
	var err error
	if c.Key != "" {
		b.hash, err = requestHash(request)
	}
	return b, err
}

// unboundKeys tells which calls have no key, or one that was not used yet, and is not in the batch before.
func (s *Shop) unboundKeys(ctx context.Context, db pgdb.Queryer, operation string, calls []boundCall) ([]bool, error) {
	arg := dbsqlc.CallKeyBoundParams{Operation: operation}
	for _, c := range calls {
		if c.Key != "" {
			arg.Callers = append(arg.Callers, c.Caller)
			arg.IdempotencyKeys = append(arg.IdempotencyKeys, c.Key)
		}
	}
	rows, err := s.q.CallKeyBound(ctx, db, arg)
	if err != nil {
		return nil, err
	}
	taken := map[Call]bool{}
	for _, row := range rows {
		taken[Call{row.Caller, row.IdempotencyKey}] = true
	}
	unbound := make([]bool, len(calls))
	for i, c := range calls {
		unbound[i] = c.Key == "" || !taken[c.Call]
		taken[c.Call] = true
	}
	return unbound, nil
}

// errCameBetween says that something came between a look and what was written after it. Of a batch nothing is done then, and its calls are done alone.
var errCameBetween = errors.New("something has changed since it was looked at")

// bindKeys binds the keys of calls that are done. It sends nothing when none has one.
func (s *Shop) bindKeys(ctx context.Context, operation string, calls []boundCall) (steps []func(pgdb.Queryer) error) {
	arg := dbsqlc.CallKeyInsertManyParams{Operation: operation}
	for _, c := range calls {
		if c.Key != "" {
			arg.Callers = append(arg.Callers, c.Caller)
			arg.IdempotencyKeys = append(arg.IdempotencyKeys, c.Key)
			arg.RequestHashes = append(arg.RequestHashes, c.hash)
			arg.ResultIds = append(arg.ResultIds, c.made)
		}
	}
	if len(arg.Callers) == 0 {
		return nil
	}
	return []func(pgdb.Queryer) error{func(db pgdb.Queryer) error {
		return exactly(len(arg.Callers))(s.q.CallKeyInsertMany(ctx, db, arg))
	}}
}

// exactly makes errCameBetween of another count.
func exactly(n int) func(int64, error) error {
	return func(got int64, err error) error {
		if err == nil && got != int64(n) {
			err = errCameBetween
		}
		return err
	}
}

// readOrders answers each call with its order and its lines, or nil.
func (s *Shop) readOrders(ctx context.Context, batch []lane.Call[byte, ID], _ func()) []lane.Answer[*orderRead] {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	ids := make([]ID, len(batch))
	for i, c := range batch {
		ids[i] = c.In
	}
	slices.SortFunc(ids, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	var rows []dbsqlc.ShopOrderByIDsRow
	var lines []dbsqlc.ClaimOfOrdersRow
	err := pgdb.Together(ctx, s.pool,
		func(db pgdb.Queryer) error { return s.q.ClaimSettings(ctx, db) },
		func(db pgdb.Queryer) (err error) {
			rows, err = s.q.ShopOrderByIDs(ctx, db, dbsqlc.ShopOrderByIDsParams{Now: s.o.Now(), OrderIds: ids})
			return err
		},
		func(db pgdb.Queryer) (err error) {
			lines, err = s.linesOf(ctx, db, ids...)
			return err
		},
		func(db pgdb.Queryer) error { return s.q.ClaimReadRecord(ctx, db) })
	found := make(map[ID]*orderRead, len(rows))
	for _, row := range rows {
		found[row.ShopOrder.OrderID] = &orderRead{row: dbsqlc.ShopOrderListRow(row)}
	}
	for _, line := range lines {
		if o := found[*line.Claim.OrderID]; o != nil { // one that was made between the two statements is not shown
			o.lines = append(o.lines, line)
		}
	}
	answers := make([]lane.Answer[*orderRead], len(batch))
	for i, c := range batch {
		answers[i].Out, answers[i].Err = found[c.In], err
	}
	return answers
}

// orderRead is what was read of an order.
type orderRead struct {
	row   dbsqlc.ShopOrderListRow
	lines []dbsqlc.ClaimOfOrdersRow
}

// charges are the payments for which calls of this server are asking the provider.
type charges struct {
	mu sync.Mutex
	by map[ID]chargeCalls
}

type chargeCalls struct {
	calls int
	told  bool // the provider has said meanwhile that something became of it
}

func (c *charges) begin(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.by[id]
	of.calls++
	c.by[id] = of
}

// tell notes that something became of a payment, if a call is under way that hears it from the provider itself.
func (c *charges) tell(id ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	of, is := c.by[id]
	if is {
		of.told = true
		c.by[id] = of
	}
	return is
}

// end tells whether something became of it meanwhile.
func (c *charges) end(id ID) (told bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.by[id]
	if of.calls--; of.calls == 0 {
		delete(c.by, id)
	} else {
		c.by[id] = of
	}
	return of.told
}
