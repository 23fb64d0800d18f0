package shop_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/shop"
)

const longEnough = 20 * time.Second

func (w *world) enqueue(buyer, sku string, quantity int) shop.Transaction {
	w.t.Helper()
	c, err := w.Enqueue(background, shop.ClaimRequest{Buyer: buyer, SKU: sku, Quantity: quantity}, 0)
	if err != nil {
		w.t.Fatalf("request of %s: %v", buyer, err)
	}
	if c.Transaction.Status != shop.Queued || c.Replayed {
		w.t.Fatalf("request of %s: %+v", buyer, c)
	}
	return c.Transaction
}

// settled waits until a transaction is no longer queued.
func (w *world) settled(s *shop.Shop, t shop.Transaction) shop.Transaction {
	w.t.Helper()
	got, err := s.Await(background, t.Buyer, t.ID, longEnough)
	if err != nil || got.Status == shop.Queued {
		w.t.Fatalf("%s of %s: %+v, %v", t.ID, t.Buyer, got, err)
	}
	return got
}

// stopped keeps the queues of a product, of the common pool and of allotments, from being settled, by taking the turns at them, until the function
// that it returns is called.
func (w *world) stopped(sku string) (goOn func()) {
	w.t.Helper()
	w.exec(`INSERT INTO queue_head SELECT product_id, 0, 0 FROM product WHERE sku = $1 ON CONFLICT DO NOTHING`, sku)
	w.exec(`INSERT INTO queue_head SELECT product_id, pool_id, 0 FROM product JOIN sale_item USING (product_id) JOIN sale USING (sale_id) WHERE sku = $1 ON CONFLICT DO NOTHING`, sku)
	tx, err := w.db.Begin(background)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Exec(background, patientHolder); err != nil {
		w.t.Fatal(err)
	}
	_, err = tx.Exec(background, `SELECT place FROM queue_head JOIN product USING (product_id) WHERE sku = $1 FOR NO KEY UPDATE OF queue_head`, sku)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = tx.Rollback(background) })
	return func() {
		w.t.Helper()
		if err := tx.Rollback(background); err != nil {
			w.t.Fatal(err)
		}
		// Whoever was to settle them may have lost patience.
		settleQueues(w.t, w.Shop)
	}
}

func TestAQueuedRequestIsAcceptedAtOnceAndHeldInItsTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 10)
	goOn := w.stopped("A")
	first, second := w.enqueue("a", "A", 3), w.enqueue("b", "A", 2)
	if first.QueuePosition != 0 || second.QueuePosition != 3 || len(first.UnitIDs) != 0 {
		t.Errorf("accepted %+v and %+v", first, second)
	}
	read, err := w.Transaction(background, "b", second.ID)
	if err != nil || read.Status != shop.Queued || read.QueuePosition != 3 || !read.CreatedAt.Equal(second.CreatedAt) {
		t.Errorf("read %+v, %v", read, err)
	}
	if cart, err := w.Cart(background, "b"); err != nil || len(cart.Queued) != 1 || len(cart.Held) != 0 || cart.Queued[0].QueuePosition != 3 {
		t.Errorf("cart %+v, %v", cart, err)
	}
	if st := w.stock("A"); st.Available != 10 {
		t.Errorf("a queued request keeps units: %+v", st)
	}
	goOn()
	for _, q := range []shop.Transaction{first, second} {
		got := w.settled(w.Shop, q)
		if got.Status != shop.Held || len(got.UnitIDs) != q.Quantity || got.ExpiresAt == nil || got.ID != q.ID || !got.CreatedAt.Equal(q.CreatedAt) {
			t.Errorf("settled %+v", got)
		}
		read, err := w.Transaction(background, q.Buyer, q.ID)
		if err != nil || !slices.Equal(read.UnitIDs, got.UnitIDs) || !read.ExpiresAt.Equal(*got.ExpiresAt) || read.Status != shop.Held {
			t.Errorf("told %+v, read %+v, %v", got, read, err)
		}
	}
	w.audited()
}

// asked is what one client has seen of its request. The times are of one clock that only counts.
type asked struct {
	sent, accepted, answered int64
	direct                   bool
	transaction              shop.Transaction
	place                    int64
}

// TestWhoeverIsAcceptedFirstIsServedFirst is invariant 8, seen from outside, over two servers and both ways of claiming.
func TestWhoeverIsAcceptedFirstIsServedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	const requests, stock = 1500, 750
	w.stocked("A", stock)
	servers := []*shop.Shop{w.Shop, w.server(shop.Options{}), w.server(shop.Options{})}
	all := make([]asked, requests)
	var clock, next atomic.Int64
	var wg sync.WaitGroup
	for client := range 60 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= requests {
					return
				}
				a, s := &all[i], servers[(i+client)%3]
				r := shop.ClaimRequest{Buyer: buyer(i), SKU: "A", Quantity: 1}
				a.direct, a.sent = i%4 == 0, clock.Add(1)
				if a.direct {
					c, err := s.Claim(background, r)
					var no *shop.Refusal
					if err != nil && !errors.As(err, &no) {
						t.Errorf("direct claim: %v", err)
					}
					a.transaction, a.answered = c.Transaction, clock.Add(1)
					continue
				}
				c, err := s.Enqueue(background, r, 0)
				if err != nil {
					t.Errorf("request: %v", err)
					continue
				}
				a.transaction, a.accepted = c.Transaction, clock.Add(1)
			}
		})
	}
	wg.Wait()
	held := 0
	for i := range all {
		if a := &all[i]; !a.direct {
			a.transaction = w.settled(servers[i%3], a.transaction)
			a.place = int64(w.count(`SELECT queue_place FROM claim WHERE claim_id = $1`, a.transaction.ID))
		}
		if all[i].transaction.Status == shop.Held {
			held++
		}
	}
	if held != stock {
		t.Errorf("%d are held, want %d", held, stock)
	}
	// In the order in which they were sent: the highest place, and whether one was refused, of those that were accepted by then.
	bySent, byAccepted := slices.Clone(all), slices.DeleteFunc(slices.Clone(all), func(a asked) bool { return a.direct })
	slices.SortFunc(bySent, func(a, b asked) int { return cmp.Compare(a.sent, b.sent) })
	slices.SortFunc(byAccepted, func(a, b asked) int { return cmp.Compare(a.accepted, b.accepted) })
	highest, refused, pairs := int64(-1), false, 0
	for _, b := range bySent {
		for len(byAccepted) > 0 && byAccepted[0].accepted < b.sent {
			a := byAccepted[0]
			byAccepted = byAccepted[1:]
			highest, refused = max(highest, a.place), refused || a.transaction.Status == shop.Refused
			pairs++
		}
		if !b.direct && b.place < highest {
			t.Errorf("a request got the place %d after one with %d was accepted", b.place, highest)
		}
		if refused && b.transaction.Status == shop.Held {
			t.Errorf("a claim (direct %t) that was sent after another was accepted got a unit, and that other none", b.direct)
		}
	}
	if pairs < requests/2 {
		t.Errorf("only %d requests were accepted before another was sent", pairs)
	}
	w.audited()
}

func TestADirectClaimGoesBehindWhatWasAcceptedBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: 300 * time.Millisecond})
	w.stocked("A", 2)
	goOn := w.stopped("A")
	queued := w.enqueue("a", "A", 1)
	if _, err := w.claim("b", "A", 1); refusal(t, err, shop.Busy).RetryAfter == 0 {
		t.Error("busy does not say when to come again")
	}
	if n := w.count(`SELECT count(*) FROM claim`); n != 1 {
		t.Errorf("%d transactions, want that which is queued", n)
	}
	patient := w.server(shop.Options{ClaimWait: longEnough})
	direct := make(chan error, 1)
	go func() {
		_, err := patient.Claim(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 2})
		direct <- err
	}()
	select {
	case err := <-direct:
		t.Fatalf("the direct claim did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	goOn()
	if got := w.settled(w.Shop, queued); got.Status != shop.Held {
		t.Errorf("the request that was accepted first: %+v", got)
	}
	if left := refusal(t, <-direct, shop.NotEnoughUnits).Available; left == nil || *left != 1 {
		t.Errorf("the direct claim found %v left", left)
	}
	w.audited()
}

// TestADirectClaimDoesNotWaitForWhatCameAfterIt: it waits for those who were accepted before it, however many come after.
func TestADirectClaimDoesNotWaitForWhatCameAfterIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: longEnough, Limits: shop.Limits{QueueUnits: 10_000, QueuePerBuyer: 10_000}})
	w.stocked("A", 5000)
	ctx, stop := context.WithCancel(background)
	var crowd sync.WaitGroup
	for i := range 20 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				if _, err := w.Enqueue(ctx, shop.ClaimRequest{Buyer: buyer(i), SKU: "A", Quantity: 1, Key: ""}, 0); err != nil {
					return
				}
			}
		})
	}
	waitFor(t, "requests", func() bool { return w.count(`SELECT count(*) FROM claim`) > 100 })
	for range 5 {
		if _, err := w.claim("direct", "A", 1); err != nil {
			var no *shop.Refusal
			if !errors.As(err, &no) || no.Code == shop.Busy {
				t.Errorf("direct claim: %v", err)
			}
		}
	}
	stop()
	crowd.Wait()
}

func TestAQueuedRequestIsRefusedInItsTurnWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 3)
	goOn := w.stopped("A")
	held, many, last, none := w.enqueue("a", "A", 2), w.enqueue("b", "A", 4), w.enqueue("c", "A", 1), w.enqueue("d", "A", 1)
	goOn()
	for _, c := range []struct {
		asked  shop.Transaction
		status shop.Status
		code   shop.Code
	}{
		{held, shop.Held, ""}, {many, shop.Refused, shop.AllHeld}, {last, shop.Held, ""}, {none, shop.Refused, shop.AllHeld},
	} {
		got := w.settled(w.Shop, c.asked)
		if got.Status != c.status || (got.Refusal != nil) != (c.code != "") || got.Refusal != nil && got.Refusal.Code != c.code {
			t.Errorf("%s got %s, %v", c.asked.Buyer, got.Status, got.Refusal)
		}
		read, err := w.Transaction(background, c.asked.Buyer, c.asked.ID)
		if err != nil || read.Status != c.status || (read.Refusal == nil) != (got.Refusal == nil) {
			t.Errorf("%s reads %+v, %v", c.asked.Buyer, read, err)
		}
		if read.Refusal != nil && (read.Refusal.Detail != got.Refusal.Detail || read.Refusal.NextReleaseAt == nil || read.Refusal.RetryAfter != got.Refusal.RetryAfter) {
			t.Errorf("%s was told %+v and reads %+v", c.asked.Buyer, got.Refusal, read.Refusal)
		}
	}
	goOn = w.stopped("A")
	w.exec(`UPDATE claim SET expires_at = now() + interval '1 hour' WHERE status = 'held'`)
	if _, err := w.Release(background, "c", last.ID); err != nil {
		t.Fatal(err)
	}
	few := w.enqueue("e", "A", 2)
	goOn()
	got := w.settled(w.Shop, few)
	read, err := w.Transaction(background, "e", few.ID)
	for _, r := range []*shop.Refusal{got.Refusal, read.Refusal} {
		if err != nil || r == nil || r.Code != shop.NotEnoughUnits || r.Available == nil || *r.Available != 1 {
			t.Errorf("with one unit left, two were refused with %+v, %v", r, err)
		}
	}
	w.audited()
}

func TestWhatNeedsNoStockIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{MaxQuantity: 3})
	w.stocked("A", 1)
	w.product(shop.Product{SKU: "empty", Selling: true})
	w.product(shop.Product{SKU: "off", Selling: false})
	w.priced("sold", 100, 1)
	w.mustClaim("x", "sold", 1)
	w.mustCheckout("x")
	for _, c := range []struct {
		sku      string
		quantity int
		code     shop.Code
	}{
		{"nothing", 1, shop.NotFound}, {"off", 1, shop.NotSelling}, {"empty", 1, shop.SoldOut}, {"A", 0, shop.Validation}, {"A", -5, shop.Validation}, {"A", 4, shop.Validation},
	} {
		for _, wait := range []time.Duration{0, time.Second} {
			_, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "b", SKU: c.sku, Quantity: c.quantity, Key: "k"}, wait)
			refusal(t, err, c.code)
		}
	}
	if n := w.count(`SELECT count(*) FROM claim WHERE buyer = 'b'`); n != 0 {
		t.Errorf("%d transactions were made of refusals", n)
	}
	// An order that is not yet paid may come back, so that request is queued; the key is free.
	c, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "b", SKU: "sold", Quantity: 1, Key: "k"}, longEnough)
	if err != nil || c.Transaction.Status != shop.Refused || c.Transaction.Refusal.Code != shop.AllHeld {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestAQueueIsRefusedWhenItsProductIsTakenOffSaleOrSoldOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		code shop.Code
		end  func(w *world)
	}{
		{"off sale", shop.NotSelling, func(w *world) { w.product(shop.Product{SKU: "A", Selling: false}) }},
		{"sold out", shop.SoldOut, func(w *world) {
			if _, _, err := w.Withdraw(background, shop.WithdrawalRequest{SKU: "A", Quantity: 1, Reason: "gone", KeyID: w.key}); err != nil {
				w.t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{Limits: shop.Limits{QueuePerBuyer: 10_000}})
			w.stocked("A", 1)
			goOn := w.stopped("A")
			const requests = 2000
			var wg sync.WaitGroup
			all := make([]shop.Transaction, requests)
			for i := range all {
				wg.Go(func() { all[i] = w.enqueue(buyer(i), "A", 1) })
			}
			wg.Wait()
			c.end(w)
			before := w.count(`SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`)
			goOn()
			for _, q := range []shop.Transaction{all[0], all[requests-1]} {
				if got := w.settled(w.Shop, q); got.Status != shop.Refused || got.Refusal.Code != c.code {
					t.Errorf("got %s, %v", got.Status, got.Refusal)
				}
			}
			waitFor(t, "the queue to be refused", func() bool { return w.count(`SELECT count(*) FROM claim WHERE status = 'queued'`) == 0 })
			if n := w.count(`SELECT count(*) FROM claim WHERE status = 'refused' AND reason = $1`, string(c.code)); n != requests {
				t.Errorf("%d were refused for that reason, want %d", n, requests)
			}
			if n := w.count(`SELECT count(DISTINCT ended_at) FROM claim`); n > requests/100 {
				t.Errorf("%d requests were refused in %d transactions (%d commits before)", requests, n, before)
			}
			w.audited()
		})
	}
}

func TestACancelledRequestIsPassedBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 10)
	other := w.server(shop.Options{})
	goOn := w.stopped("A")
	first, gone, last := w.enqueue("a", "A", 2), w.enqueue("b", "A", 3), w.enqueue("c", "A", 1)
	if _, err := w.Release(background, "a", gone.ID); err == nil {
		t.Error("somebody cancelled another's request")
	}
	watched := make(chan shop.Transaction, 2)
	for _, s := range []*shop.Shop{w.Shop, other} {
		go func() {
			got, _ := s.Await(background, "b", gone.ID, longEnough)
			watched <- got
		}()
	}
	for range 2 { // twice is once
		if status, err := w.Release(background, "b", gone.ID); err != nil || status != shop.Released {
			t.Fatalf("cancelled: %s, %v", status, err)
		}
	}
	for range 2 {
		if got := <-watched; got.Status != shop.Released {
			t.Errorf("who waited for the cancelled request got %s", got.Status)
		}
	}
	if read, err := w.Transaction(background, "c", last.ID); err != nil || read.QueuePosition != 2 {
		t.Errorf("behind the cancelled request: %+v, %v", read, err)
	}
	goOn()
	for _, q := range []shop.Transaction{first, last} {
		if got := w.settled(w.Shop, q); got.Status != shop.Held {
			t.Errorf("got %s", got.Status)
		}
	}
	if st := w.stock("A"); st.Held != 3 || st.Available != 7 {
		t.Errorf("stock %+v", st)
	}
	w.audited()
}

func TestPositionsOnlyFallAndTellTheTruth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Limits: shop.Limits{QueuePerBuyer: 10_000}})
	w.stocked("A", 10_000)
	other := w.server(shop.Options{})
	goOn := w.stopped("A")
	var all []shop.Transaction
	for i := range 700 {
		all = append(all, w.enqueue(buyer(i), "A", 1+i%3))
	}
	ahead := int64(0)
	for i, q := range all {
		if i%5 == 4 {
			if _, err := w.Release(background, q.Buyer, q.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	var watches []*shop.Watch
	for i, q := range all {
		read, err := w.Transaction(background, q.Buyer, q.ID)
		if err != nil {
			t.Fatal(err)
		}
		if i%5 == 4 {
			continue
		}
		if read.QueuePosition != ahead || q.QueuePosition < ahead {
			t.Fatalf("request %d is at %d (first %d), want %d", i, read.QueuePosition, q.QueuePosition, ahead)
		}
		ahead += int64(q.Quantity)
		watch, err := []*shop.Shop{w.Shop, other}[i%2].Watch(background, q.Buyer, q.ID)
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, watch)
	}
	goOn()
	var wg sync.WaitGroup
	for _, watch := range watches {
		wg.Go(func() {
			defer watch.Close()
			last := watch.First.QueuePosition
			for {
				select {
				case got := <-watch.Settled():
					if got.Status != shop.Held {
						t.Errorf("got %s", got.Status)
					}
					return
				case <-time.After(time.Millisecond):
				}
				if at := watch.Position(); at > last || at < 0 {
					t.Errorf("from %d to %d", last, at)
				} else {
					last = at
				}
			}
		})
	}
	wg.Wait()
	w.audited()
}

// TestOneKeyOneTransactionOnBothWaysAndTwoServers sends a key queued and direct to two servers at once.
func TestOneKeyOneTransactionOnBothWaysAndTwoServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 1000)
	servers := []*shop.Shop{w.Shop, w.server(shop.Options{})}
	for round := range 30 {
		r := shop.ClaimRequest{Buyer: buyer(round), SKU: "A", Quantity: 2, Key: "k"}
		ids := make([]shop.Transaction, 8)
		fresh := atomic.Int64{}
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				var c shop.Claimed
				var err error
				if s := servers[i%2]; i%4 < 2 {
					c, err = s.Claim(background, r)
				} else {
					c, err = s.Enqueue(background, r, longEnough)
				}
				if err != nil || c.Transaction.Status != shop.Held {
					t.Errorf("call %d: %+v, %v", i, c, err)
				}
				if !c.Replayed {
					fresh.Add(1)
				}
				ids[i] = c.Transaction
			})
		}
		wg.Wait()
		for _, got := range ids[1:] {
			if got.ID != ids[0].ID || !slices.Equal(got.UnitIDs, ids[0].UnitIDs) {
				t.Fatalf("one key made %s with %v and %s with %v", ids[0].ID, ids[0].UnitIDs, got.ID, got.UnitIDs)
			}
		}
		if fresh.Load() != 1 {
			t.Errorf("%d calls say that they were the first", fresh.Load())
		}
	}
	if st := w.stock("A"); st.Held != 60 {
		t.Errorf("%+v, want 60 held", st)
	}
	w.audited()
}

func TestAReplayOfAQueuedRequestShowsItAsItNowIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: 2 * time.Second})
	w.stocked("A", 1)
	other := w.server(shop.Options{ClaimWait: 2 * time.Second})
	goOn := w.stopped("A")
	first := shop.ClaimRequest{Buyer: "a", SKU: "A", Quantity: 1, Key: "k"}
	second := shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 1, Key: "k"}
	made := map[string]shop.ID{}
	for _, r := range []shop.ClaimRequest{first, second} {
		c, err := w.Enqueue(background, r, 0)
		if err != nil {
			t.Fatal(err)
		}
		made[r.Buyer] = c.Transaction.ID
	}
	show := func(r shop.ClaimRequest, want shop.Status) {
		t.Helper()
		for name, call := range map[string]func() (shop.Claimed, error){
			"queued":          func() (shop.Claimed, error) { return w.Enqueue(background, r, 0) },
			"queued, waiting": func() (shop.Claimed, error) { return other.Enqueue(background, r, 50*time.Millisecond) },
			"direct":          func() (shop.Claimed, error) { return other.Claim(background, r) },
		} {
			c, err := call()
			if err != nil || !c.Replayed || c.Transaction.ID != made[r.Buyer] || c.Transaction.Status != want {
				t.Errorf("%s: %+v, %v; want it %s", name, c, err, want)
			}
		}
		_, err := w.Enqueue(background, shop.ClaimRequest{Buyer: r.Buyer, SKU: "A", Quantity: 2, Key: "k"}, 0)
		refusal(t, err, shop.KeyReused)
	}
	show(first, shop.Queued)
	goOn()
	w.settled(w.Shop, shop.Transaction{Buyer: "b", ID: made["b"]})
	show(first, shop.Held)
	show(second, shop.Refused)
	if _, err := w.Release(background, "a", made["a"]); err != nil {
		t.Fatal(err)
	}
	show(first, shop.Released)
	w.audited()
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Limits: shop.Limits{QueueUnits: 5, QueuePerBuyer: 3}})
	w.stocked("A", 10)
	w.stocked("B", 10)
	goOn := w.stopped("A")
	w.stopped("B")
	for range 2 {
		w.enqueue("a", "A", 1)
	}
	w.enqueue("a", "B", 1)
	_, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "a", SKU: "A", Quantity: 1}, 0)
	if refusal(t, err, shop.TooManyRequests).RetryAfter == 0 {
		t.Error("too-many-requests does not say when to come again")
	}
	_, err = w.Enqueue(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 4}, 0)
	if refusal(t, err, shop.Busy).RetryAfter == 0 {
		t.Error("busy does not say when to come again")
	}
	last := w.enqueue("b", "A", 3)
	_, err = w.Enqueue(background, shop.ClaimRequest{Buyer: "c", SKU: "A", Quantity: 1}, 0)
	refusal(t, err, shop.Busy)
	goOn()
	w.settled(w.Shop, last)
	w.settled(w.Shop, w.enqueue("c", "A", 1))
	w.audited()
}

// TestTokensThatSomebodyHasLockedKeepTheQueueInOrder: nobody passes a request whose outcome is not yet known.
func TestTokensThatSomebodyHasLockedKeepTheQueueInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: 200 * time.Millisecond})
	w.stocked("A", 4)
	tx, err := w.db.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := tx.Query(background, `SELECT position FROM stock_token ORDER BY position DESC LIMIT 2 FOR UPDATE`)
	if _, err := pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		t.Fatal(err)
	}
	goOn := w.stopped("A")
	one, three, small := w.enqueue("a", "A", 1), w.enqueue("b", "A", 3), w.enqueue("c", "A", 1)
	goOn()
	if got := w.settled(w.Shop, one); got.Status != shop.Held {
		t.Errorf("the first: %s", got.Status)
	}
	_, err = w.claim("d", "A", 1)
	refusal(t, err, shop.Busy)
	for _, q := range []shop.Transaction{three, small} {
		if read, err := w.Transaction(background, q.Buyer, q.ID); err != nil || read.Status != shop.Queued {
			t.Errorf("%s, while tokens are locked: %+v, %v", q.Buyer, read, err)
		}
	}
	if err := tx.Rollback(background); err != nil {
		t.Fatal(err)
	}
	if got := w.settled(w.Shop, three); got.Status != shop.Held {
		t.Errorf("the second: %s, %v", got.Status, got.Refusal)
	}
	if got := w.settled(w.Shop, small); got.Status != shop.Refused || got.Refusal.Code != shop.AllHeld {
		t.Errorf("the third: %s, %v", got.Status, got.Refusal)
	}
	w.audited()
}

func TestAQueueIsSettledByAnotherServerWhenItsOwnIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 5)
	goOn := w.stopped("A")
	var all []shop.Transaction
	for i := range 10 {
		all = append(all, w.enqueue(buyer(i), "A", 1))
	}
	w.Close()
	if _, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "late", SKU: "A", Quantity: 1}, 0); err == nil {
		t.Error("a closed shop accepted a request")
	}
	goOn()
	other := w.server(shop.Options{})
	if err := other.SettleQueues(background); err != nil || other.Settles("A") {
		t.Fatalf("after one look it settles what somebody else may be about to: %v", err)
	}
	settleQueues(t, other)
	for i, q := range all {
		want := map[bool]shop.Status{true: shop.Held, false: shop.Refused}[i < 5]
		if got := w.settled(other, q); got.Status != want {
			t.Errorf("request %d is %s, want %s", i, got.Status, want)
		}
	}
	if err := other.SettleQueues(background); err != nil {
		t.Error(err)
	}
	w.audited()
}

func TestStopWaitingLetsEverybodyGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 5)
	w.stopped("A")
	c := make(chan shop.Transaction)
	go func() {
		got, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "a", SKU: "A", Quantity: 1}, longEnough)
		if err != nil {
			t.Error(err)
		}
		c <- got.Transaction
	}()
	waitFor(t, "the request", func() bool { return w.count(`SELECT count(*) FROM claim`) == 1 })
	w.StopWaiting()
	select {
	case got := <-c:
		if got.Status != shop.Queued {
			t.Errorf("it is %s", got.Status)
		}
	case <-time.After(longEnough / 2):
		t.Error("still waiting")
	}
}

func TestOnlyOldTransactionsWithoutUnitsAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.stocked("A", 3)
	held, refused := w.settled(w.Shop, w.enqueue("a", "A", 2)), w.settled(w.Shop, w.enqueue("b", "A", 3))
	released := w.settled(w.Shop, w.enqueue("c", "A", 1))
	goOn := w.stopped("A")
	cancelled := w.enqueue("d", "A", 1)
	waiting := w.enqueue("e", "A", 1)
	for _, q := range []shop.Transaction{released, cancelled} {
		if _, err := w.Release(background, q.Buyer, q.ID); err != nil {
			t.Fatal(err)
		}
	}
	remain := func(want ...shop.Transaction) {
		t.Helper()
		if err := w.RemoveWithoutUnits(background); err != nil {
			t.Fatal(err)
		}
		for _, q := range []shop.Transaction{held, refused, released, cancelled, waiting} {
			_, err := w.Transaction(background, q.Buyer, q.ID)
			if kept := slices.ContainsFunc(want, func(k shop.Transaction) bool { return k.ID == q.ID }); kept != (err == nil) {
				t.Errorf("%s: kept %t, %v", q.Buyer, kept, err)
			}
		}
	}
	remain(held, refused, released, cancelled, waiting)
	w.moveTo(time.Now().Add(7*24*time.Hour - time.Minute))
	remain(held, refused, released, cancelled, waiting)
	w.moveTo(time.Now().Add(7*24*time.Hour + time.Minute))
	remain(held, released, cancelled, waiting) // who waits behind the cancelled one must not fall back
	if read, err := w.Transaction(background, "e", waiting.ID); err != nil || read.QueuePosition != 0 {
		t.Errorf("behind the cancelled request: %+v, %v", read, err)
	}
	goOn()
	w.settled(w.Shop, waiting)
	remain(held, released, waiting)
	w.audited()
}

func TestARequestWhoseCommitWasCutOffIsAcceptedAndSettledExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for _, key := range []string{"", "k"} {
			w := newWorld(t, shop.Options{})
			w.stocked("A", 10)
			cuts := &atomic.Int64{}
			s := shop.New(cuttingPool(t, w.url, cuts, after), shop.Options{})
			t.Cleanup(s.Close)
			cuts.Store(2) // it has three seconds to be accepted
			c, err := s.Enqueue(background, shop.ClaimRequest{Buyer: "b", SKU: "A", Quantity: 2, Key: key}, longEnough)
			if err != nil || c.Replayed || c.Transaction.Status != shop.Held || len(c.Transaction.UnitIDs) != 2 {
				t.Fatalf("after=%t key=%q: %+v, %v", after, key, c, err)
			}
			if n := w.count(`SELECT count(*) FROM claim`); n != 1 {
				t.Errorf("%d transactions, want 1", n)
			}
			if st := w.stock("A"); st.Held != 2 || st.Available != 8 {
				t.Errorf("stock %+v", st)
			}
			w.audited()
		}
	}
}

// TestARequestIsSettledAlsoWhenTheFirstOfItsBatchWasRefused: nothing else moves its queue here.
func TestARequestIsSettledAlsoWhenTheFirstOfItsBatchWasRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Limits: shop.Limits{QueuePerBuyer: 1}, ClaimWait: longEnough})
	w.stocked("A", 1)
	w.stocked("B", 1)
	w.stopped("B")
	w.enqueue("full", "B", 1)
	tx, err := w.db.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(background, `LOCK TABLE queue_tail IN ACCESS EXCLUSIVE MODE`); err != nil { // products are read with it
		t.Fatal(err)
	}
	var all sync.WaitGroup
	tooMany := func() {
		_, err := w.Enqueue(background, shop.ClaimRequest{Buyer: "full", SKU: "A", Quantity: 1}, 0)
		var r *shop.Refusal
		if !errors.As(err, &r) || r.Code != shop.TooManyRequests {
			t.Errorf("got %v", err)
		}
	}
	all.Go(tooMany)
	waitFor(t, "the first batch to be under way, beside the one that waits for its turn at B", func() bool {
		return w.count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'queue_tail'::regclass`) == 2
	})
	all.Go(tooMany)
	<-time.After(50 * time.Millisecond) // so that the refused one is before the other in the next batch
	var queued shop.Transaction
	all.Go(func() { queued = w.enqueue("ann", "A", 1) })
	<-time.After(50 * time.Millisecond)
	if err := tx.Rollback(background); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if got := w.settled(w.Shop, queued); got.Status != shop.Held {
		t.Errorf("it is %s", got.Status)
	}
}
