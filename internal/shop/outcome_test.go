package shop_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/shop"
)

// waitFor polls for a condition that has no signal.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // polling: a row that appears gives no signal
	}
}

func TestACallerThatGoesAwayWhileItsBatchIsSettled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, key string
		late      bool // its time is over, and it still waits
		want      shop.Status
	}{
		{"its hold is released when it came without a key", "", false, shop.Released},
		{"its hold stands when it came with a key", "k", false, shop.Held},
		{"who still waits when the time is over is told", "", true, shop.Held},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{})
			w.stocked("A", 1)
			tx, err := w.db.Begin(background)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(background, `LOCK TABLE claim IN SHARE MODE`); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			if c.late {
				ctx, cancel = context.WithTimeout(background, 500*time.Millisecond)
				defer cancel()
			}
			done := make(chan error)
			go func() {
				_, err := w.Claim(ctx, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: c.key})
				done <- err
			}()
			waitFor(t, "the batch to wait for the lock", func() bool {
				return w.count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'claim'::regclass`) == 1
			})
			if !c.late {
				cancel()
			}
			<-ctx.Done()
			if err := tx.Rollback(background); err != nil {
				t.Fatal(err)
			}
			if err := <-done; c.want == shop.Held && err != nil {
				t.Errorf("the claim that was made: %v", err)
			}
			if n := w.count(`SELECT count(*) FROM claim WHERE status = $1`, string(c.want)); n != 1 {
				t.Errorf("%d transactions are %s, want 1", n, c.want)
			}
			w.audited()
		})
	}
}

// cutter is a connection that is lost while a COMMIT is under way: before it reaches the server, or before its answer comes back.
type cutter struct {
	net.Conn
	cuts  *atomic.Int64 // how many commits are still to be cut
	after bool
	cut   atomic.Bool
}

var errCut = &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}

func (c *cutter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("commit\x00")) && c.cuts.Add(-1) >= 0 {
		c.cut.Store(true)
		if c.after {
			_, _ = c.Conn.Write(b)
			// The answer has arrived when there is something to read; nobody gets to see it.
			_, _ = c.Conn.Read(make([]byte, 1))
		}
		_ = c.Close()
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *cutter) Read(b []byte) (int, error) {
	if c.cut.Load() {
		return 0, errCut
	}
	return c.Conn.Read(b)
}

func TestAClaimWhoseCommitWasCutOffIsSettledExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for _, key := range []string{"", "k"} {
			name := map[bool]string{false: "before it reached the server", true: "after it was done"}[after]
			t.Run(name+" key="+key, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, shop.Options{})
				w.stocked("A", 10)
				cuts := &atomic.Int64{}
				s := shop.New(cuttingPool(t, w.url, cuts, after), shop.Options{})
				t.Cleanup(s.Close)
				cuts.Store(3)
				c, err := s.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 2, Key: key})
				if err != nil || c.Replayed || len(c.Transaction.UnitIDs) != 2 {
					t.Fatalf("claim: %+v, %v", c, err)
				}
				if cuts.Load() >= 3 {
					t.Fatal("no commit was cut")
				}
				if got := w.stock("A"); got.Held != 2 || got.Available != 8 {
					t.Errorf("stock %+v, want 2 held", got)
				}
				w.audited()
			})
		}
	}
}

func TestAClaimSaysThatItsOutcomeIsUnknownWhenTheDatabaseStaysAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 10)
	cuts := &atomic.Int64{}
	s := shop.New(cuttingPool(t, w.url, cuts, false), shop.Options{ClaimWait: 200 * time.Millisecond})
	t.Cleanup(s.Close)
	cuts.Store(1 << 40)
	_, err := s.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: "k"})
	refusal(t, err, shop.OutcomeUnknown)
	cuts.Store(0)
	c, err := s.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: "k"})
	if err != nil || len(c.Transaction.UnitIDs) != 1 {
		t.Errorf("asked again with the same key: %+v, %v", c, err)
	}
	if got := w.stock("A"); got.Held != 1 {
		t.Errorf("stock %+v, want 1 held", got)
	}
}

// A commit that was lost may be done yet, as one that waits for a standby: what the claim finds meanwhile is no refusal of it.
func TestAClaimWhoseCommitWasLostIsNotRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 10)
	var once atomic.Bool
	s := shop.New(poolOf(t, w.url, func(conn net.Conn) net.Conn {
		return writer{conn, func(b []byte) bool {
			if !bytes.Contains(b, []byte("commit\x00")) || once.Swap(true) {
				return true
			}
			w.exec(`UPDATE product SET selling = false`)
			return false
		}}
	}), shop.Options{})
	t.Cleanup(s.Close)
	_, err := s.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1})
	refusal(t, err, shop.OutcomeUnknown)
	_, err = w.claim("b", "A", 1)
	refusal(t, err, shop.NotSelling)
}

// writer is a connection that is lost when it is not let write.
type writer struct {
	net.Conn
	may func([]byte) bool
}

func (c writer) Write(b []byte) (int, error) {
	if !c.may(b) {
		_ = c.Close()
		return 0, errCut
	}
	return c.Conn.Write(b)
}

func cuttingPool(t *testing.T, url string, cuts *atomic.Int64, after bool) *pgxpool.Pool {
	t.Helper()
	return poolOf(t, url, func(conn net.Conn) net.Conn { return &cutter{Conn: conn, cuts: cuts, after: after} })
}

// poolOf is a pool whose connections are something else besides.
func poolOf(t *testing.T, url string, wrap func(net.Conn) net.Conn) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return wrap(conn), nil
	}
	pool, err := pgxpool.NewWithConfig(background, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// lost is a connection that goes away when a commit was answered, and with it the database.
type lost struct {
	net.Conn
	armed *atomic.Bool // the next commit is the last that is heard of
	gone  *atomic.Bool
}

func (c lost) Write(b []byte) (int, error) {
	if c.gone.Load() {
		_ = c.Close()
		return 0, errCut
	}
	n, err := c.Conn.Write(b)
	if bytes.Contains(b, []byte("commit\x00")) && c.armed.CompareAndSwap(true, false) {
		c.gone.Store(true)
	}
	return n, err
}

// When something was done and can't be shown, nobody is told that nothing happened. A checkout of holds that are named is read with what makes it.
func TestWhatWasDoneAndCannotBeReadIsNotCalledNothing(t *testing.T) {
	t.Parallel()
	const readAlong = "checkout of holds"
	for _, c := range []struct {
		name string
		do   func(s *shop.Shop, w *world, hold, other shop.Transaction, o shop.Order) error
	}{
		{readAlong, func(s *shop.Shop, _ *world, hold, _ shop.Transaction, _ shop.Order) error {
			_, _, err := s.Checkout(background, shop.CheckoutRequest{Buyer: "b", TransactionIDs: []shop.ID{hold.ID}, Key: "k"})
			return err
		}},
		{"checkout of the cart", func(s *shop.Shop, _ *world, _, _ shop.Transaction, _ shop.Order) error {
			_, _, err := s.Checkout(background, shop.CheckoutRequest{Buyer: "b", Key: "k"})
			return err
		}},
		{"confirm", func(s *shop.Shop, w *world, hold, _ shop.Transaction, _ shop.Order) error {
			_, _, err := s.Confirm(background, shop.ConfirmRequest{TransactionIDs: []shop.ID{hold.ID}, Reference: "r", Operator: shop.Operator{KeyID: w.key, Key: "k"}})
			return err
		}},
		{"extend", func(s *shop.Shop, w *world, hold, _ shop.Transaction, _ shop.Order) error {
			_, _, err := s.Extend(background, "b", hold.ID, time.Second, shop.Operator{KeyID: w.key, Key: "k"})
			return err
		}},
		{"cancel", func(s *shop.Shop, _ *world, _, _ shop.Transaction, o shop.Order) error {
			_, _, err := s.CancelOrder(background, "c", o.ID, "k")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{})
			w.priced("A", 100, 10)
			hold, other := w.mustClaim("b", "A", 1), w.mustClaim("c", "A", 1)
			o := w.mustCheckout("c")
			var armed, gone atomic.Bool
			s := shop.New(poolOf(t, w.url, func(conn net.Conn) net.Conn { return lost{conn, &armed, &gone} }), shop.Options{})
			t.Cleanup(s.Close)
			armed.Store(true)
			if err := c.do(s, w, hold, other, o); c.name != readAlong {
				refusal(t, err, shop.OutcomeUnknown)
			} else if err != nil {
				t.Errorf("it was read before the database was lost: %v", err)
			}
			if !gone.Load() {
				t.Fatal("nothing was committed")
			}
			gone.Store(false)
			if err := c.do(s, w, hold, other, o); err != nil {
				t.Errorf("asked again with the same key: %v", err)
			}
			w.audited()
		})
	}
}
