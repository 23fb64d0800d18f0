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
// and has a word for everything. So what is gathered decides nothing that is not plain. Of each kind one batch is under way at a time: what a batch costs beside its
// calls is as much as some ten of them.
type gathered[In any] = lane.Lanes[struct{}, In, gatherAnswer]

// gatherAnswer is whether a call was done, and the order that it was about, as it is then, where the caller is to be shown that.
type gatherAnswer struct {
	done  bool
	order *orderRead
}

// gatherSteps are what a batch asks first, in one round trip, and what it does then.
type gatherSteps struct {
	ask  []func(pgdb.Queryer) error
	then func(tx pgx.Tx) ([]gatherAnswer, error)
}

// gather makes a lane of calls that are done by do. When that fails nothing was done, and each is done alone.
func gather[In any](s *Shop, name string, do func(context.Context, []In) gatherSteps) *gathered[In] {
	c := lane.Config{Workers: 1, BatchCalls: 128, BatchKeys: 1}
	return lane.New(c, watched(s.o.Observer, name, func(ctx context.Context, batch []lane.Call[struct{}, In], _ func()) []lane.Answer[gatherAnswer] {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		calls := make([]In, len(batch))
		for i, c := range batch {
			calls[i] = c.In
		}
		steps := do(ctx, calls)
		settings := func(db pgdb.Queryer) error { return s.q.GatherSettings(ctx, db) }
		var done []gatherAnswer
		err := pgdb.InTxTogether(ctx, s.pool, append([]func(pgdb.Queryer) error{settings}, steps.ask...), func(tx pgx.Tx) (err error) {
			done, err = steps.then(tx)
			return err
		})
		answers := make([]lane.Answer[gatherAnswer], len(batch))
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
	look := ordersLook{s: s, ids: ids}
	steps := append([]func(pgdb.Queryer) error{s.settings(ctx)}, look.steps(ctx)...)
	err := pgdb.Together(ctx, s.pool, append(steps, func(db pgdb.Queryer) error { return s.q.ClaimReadRecord(ctx, db) })...)
	found := look.found()
	answers := make([]lane.Answer[*orderRead], len(batch))
	for i, c := range batch {
		answers[i].Out, answers[i].Err = found[c.In], err
	}
	return answers
}

// ordersLook reads orders with their lines.
type ordersLook struct {
	s     *Shop
	ids   []ID
	rows  []dbsqlc.ShopOrderByIDsRow
	lines []dbsqlc.ClaimOfOrdersRow
}

func (l *ordersLook) steps(ctx context.Context) []func(pgdb.Queryer) error {
	return []func(pgdb.Queryer) error{
		func(db pgdb.Queryer) (err error) {
			l.rows, err = l.s.q.ShopOrderByIDs(ctx, db, dbsqlc.ShopOrderByIDsParams{Now: l.s.o.Now(), OrderIds: l.ids})
			return err
		},
		func(db pgdb.Queryer) (err error) {
			l.lines, err = l.s.linesOf(ctx, db, l.ids...)
			return err
		},
	}
}

func (l *ordersLook) found() map[ID]*orderRead {
	found := make(map[ID]*orderRead, len(l.rows))
	for _, row := range l.rows {
		found[row.ShopOrder.OrderID] = &orderRead{row: dbsqlc.ShopOrderListRow(row)}
	}
	for _, line := range l.lines {
		if o := found[*line.Claim.OrderID]; o != nil { // one that was made between the two statements is not shown
			o.lines = append(o.lines, line)
		}
	}
	return found
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
