package shop_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// aSale is a sale of one product at half a euro, open from at for an hour.
func aSale(at time.Time, sku string, quantity int) shop.SaleTerms {
	t := shop.SaleTerms{
		Name: "12.12", OpensAt: at, ClosesAt: at.Add(time.Hour), Hold: time.Minute, MaxQuantity: 5,
		Items: []shop.SaleItem{{SKU: sku, Price: shop.Money{Amount: 50, Currency: "EUR"}}},
	}
	if quantity > 0 {
		t.Items[0].Quantity = &quantity
	}
	return t
}

func (w *world) operator() shop.Operator { return shop.Operator{KeyID: w.key} }

// scheduled makes a sale and schedules it.
func (w *world) scheduled(t shop.SaleTerms) shop.Sale {
	w.t.Helper()
	sale, _, err := w.CreateSale(background, w.operator(), t)
	if err != nil {
		w.t.Fatalf("create sale: %v", err)
	}
	return w.move(sale.ID, shop.ScheduleSale)
}

func (w *world) move(id shop.ID, action shop.SaleAction) shop.Sale {
	w.t.Helper()
	sale, _, err := w.MoveSale(background, w.operator(), id, action)
	if err != nil {
		w.t.Fatalf("%s sale: %v", action, err)
	}
	return sale
}

func (w *world) tendSales() {
	w.t.Helper()
	if err := w.TendSales(background); err != nil {
		w.t.Fatal(err)
	}
}

func noon() time.Time { return time.Now().UTC().Truncate(time.Second).Add(24 * time.Hour) }

// both claims directly and through the queue, and returns what the buyer got, or why not.
var both = map[string]func(w *world, s *shop.Shop, r shop.ClaimRequest) (shop.Transaction, error){
	"direct": func(_ *world, s *shop.Shop, r shop.ClaimRequest) (shop.Transaction, error) {
		c, err := s.Claim(background, r)
		return c.Transaction, err
	},
	"queued": func(_ *world, s *shop.Shop, r shop.ClaimRequest) (shop.Transaction, error) {
		c, err := s.Enqueue(background, r, longEnough)
		if err == nil && c.Transaction.Status == shop.Refused {
			return c.Transaction, c.Transaction.Refusal
		}
		return c.Transaction, err
	},
}

func TestASaleOpensAndClosesByTheClockAtTheInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Hour})
	w.priced("A", 100, 20)
	at := noon()
	w.moveTo(at.Add(-time.Hour))
	before := w.mustClaim("early", "A", 1) // before it is scheduled it sells normally
	sale := w.scheduled(aSale(at, "A", 0))
	if sale.State != shop.SaleIsScheduled || before.SaleID != nil || before.Price.Amount != 100 {
		t.Fatalf("%+v, %+v", sale, before)
	}
	other := w.server(shop.Options{Hold: time.Hour})
	for name, claim := range both {
		for i, s := range []*shop.Shop{w.Shop, other} {
			r := shop.ClaimRequest{Buyer: name + buyer(i), SKU: "A", Quantity: 1}
			w.moveTo(at.Add(-time.Microsecond))
			_, err := claim(w, s, r)
			if no := refusal(t, err, shop.SaleNotOpen); no.OpensAt == nil || !no.OpensAt.Equal(at) {
				t.Errorf("%s: opens at %v, want %v", name, no.OpensAt, at)
			}
			w.moveTo(at)
			tx, err := claim(w, s, r)
			if err != nil || tx.Status != shop.Held || tx.SaleID == nil || *tx.SaleID != sale.ID || tx.Price.Amount != 50 || !tx.ExpiresAt.Equal(at.Add(time.Minute)) {
				t.Errorf("%s at the instant: %+v, %v", name, tx, err)
			}
			w.moveTo(sale.ClosesAt.Add(-time.Microsecond))
			if tx, err := claim(w, s, r); err != nil || tx.SaleID == nil {
				t.Errorf("%s in the last microsecond: %+v, %v", name, tx, err)
			}
			w.moveTo(sale.ClosesAt)
			if tx, err := claim(w, s, r); err != nil || tx.SaleID != nil || tx.Price.Amount != 100 {
				t.Errorf("%s after the end: %+v, %v", name, tx, err)
			}
			r.SaleID = &sale.ID
			_, err = claim(w, s, r)
			refusal(t, err, shop.SaleEnded)
		}
	}
	if got, err := w.Sale(background, sale.ID, false); err != nil || got.State != shop.SaleIsClosed {
		t.Errorf("%+v, %v", got, err)
	}
	w.audited()
}

func TestWhatNeedsNoStockSaysWhyASaleDoesNotSell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{MaxQuantity: 3})
	w.priced("A", 100, 9)
	w.priced("B", 100, 9)
	at := noon()
	w.moveTo(at.Add(-time.Hour))
	sale := w.scheduled(aSale(at, "A", 0))
	draft, _, err := w.CreateSale(background, w.operator(), aSale(at, "B", 0))
	if err != nil {
		t.Fatal(err)
	}
	nobody := pgdb.NewID()
	ask := func(sku string, quantity int, saleID *shop.ID) []error {
		var errs []error
		for _, claim := range both {
			_, err := claim(w, w.Shop, shop.ClaimRequest{Buyer: "b", SKU: sku, Quantity: quantity, SaleID: saleID})
			errs = append(errs, err)
		}
		return errs
	}
	want := func(errs []error, code shop.Code) {
		t.Helper()
		for _, err := range errs {
			refusal(t, err, code)
		}
	}
	want(ask("A", 1, nil), shop.SaleNotOpen)
	want(ask("A", 1, &sale.ID), shop.SaleNotOpen)
	want(ask("B", 1, &sale.ID), shop.NotFound)  // it is not in this sale
	want(ask("B", 1, &draft.ID), shop.NotFound) // nobody knows of a draft
	want(ask("A", 1, &nobody), shop.NotFound)
	w.moveTo(at)
	want(ask("A", 6, nil), shop.Validation) // the sale's maximum is 5
	want(ask("B", 4, nil), shop.Validation) // without a sale it is 3
	for _, err := range ask("A", 4, nil) {
		if err != nil {
			t.Error(err)
		}
	}
	w.move(sale.ID, shop.PauseSale)
	want(ask("A", 1, nil), shop.SalePaused)
	w.product(shop.Product{SKU: "A", Selling: false})
	want(ask("A", 1, nil), shop.NotSelling)
	w.product(shop.Product{SKU: "A", Selling: true, Price: &shop.Money{Amount: 100, Currency: "EUR"}})
	if _, _, err := w.PauseSelling(background, w.operator(), true); err != nil {
		t.Fatal(err)
	}
	want(ask("B", 1, nil), shop.SalePaused)
	if p, err := w.Product(background, "B"); err != nil || p.Availability.Status != shop.IsOnPause {
		t.Errorf("%+v, %v", p.Availability, err)
	}
	if _, _, err := w.PauseSelling(background, w.operator(), false); err != nil {
		t.Fatal(err)
	}
	for _, err := range ask("B", 1, nil) {
		if err != nil {
			t.Error(err)
		}
	}
	w.move(sale.ID, shop.ResumeSale)
	w.move(sale.ID, shop.CloseSale)
	want(ask("A", 1, &sale.ID), shop.SaleEnded)
	w.audited()
}

func TestAnAllotmentSellsThroughItsSaleAndTheRestNormally(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Hold: time.Minute})
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at.Add(-time.Hour))
	_, _, err := w.MoveSale(background, w.operator(), w.draft(aSale(at, "A", 6)).ID, shop.ScheduleSale)
	if no := refusal(t, err, shop.NotEnoughUnits); *no.Available != 5 {
		t.Errorf("%+v", no)
	}
	sale := w.scheduled(aSale(at, "A", 2))
	for i := range 2 { // the rest sells on normally before it opens
		if tx := w.mustClaim(buyer(i), "A", 1); tx.SaleID != nil || tx.Price.Amount != 100 {
			t.Errorf("%+v", tx)
		}
	}
	if _, err := w.claim("x", "A", 2); err == nil {
		t.Error("units of the allotment were sold before the sale")
	}
	w.moveTo(at)
	first := w.mustClaim("a", "A", 1)
	second := w.mustClaim("b", "A", 1)
	if first.SaleID == nil || second.SaleID == nil {
		t.Fatalf("%+v %+v", first, second)
	}
	named := shop.ClaimRequest{Buyer: "c", SKU: "A", Quantity: 1, SaleID: &sale.ID}
	_, err = w.Claim(background, named)
	refusal(t, err, shop.AllHeld) // through the sale and no other
	if tx := w.mustClaim("c", "A", 1); tx.SaleID != nil || tx.Price.Amount != 100 {
		t.Errorf("the rest: %+v", tx)
	}
	if _, err := w.Release(background, "a", first.ID); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM stock_token WHERE pool_id <> 0`); n != 1 {
		t.Errorf("%d tokens came back to the sale, want 1", n)
	}
	w.moveTo(sale.ClosesAt.Add(-30 * time.Second))
	last := w.mustClaim("d", "A", 1)
	if last.SaleID == nil {
		t.Fatalf("%+v", last)
	}
	w.moveTo(sale.ClosesAt)
	w.tendSales()
	w.moveTo(sale.ClosesAt.Add(time.Hour))
	if err := w.ExpireLapsed(background); err != nil {
		t.Fatal(err)
	}
	w.tendSales()
	if n := w.count(`SELECT count(*) FROM stock_token WHERE pool_id <> 0`); n != 0 {
		t.Errorf("%d tokens are left in the pool of a closed sale", n)
	}
	if n := w.count(`SELECT count(*) FROM sale WHERE stage = 'closed'`); n != 1 {
		t.Errorf("%d sales are put away", n)
	}
	if got := w.stock("A"); got.Available != 5 {
		t.Errorf("%+v", got)
	}
	w.audited()
}

func (w *world) draft(t shop.SaleTerms) shop.Sale {
	w.t.Helper()
	sale, _, err := w.CreateSale(background, w.operator(), t)
	if err != nil {
		w.t.Fatal(err)
	}
	return sale
}

// Units of an allotment that are on their way back after the end are there for those who ask: nobody is told that there are none.
func TestNobodyIsRefusedWhileAnAllotmentIsOnItsWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: longEnough})
	w.priced("A", 100, 1)
	at := noon()
	w.moveTo(at)
	sale := w.scheduled(aSale(at, "A", 1))
	w.moveTo(sale.ClosesAt)
	got := make(chan error, 1)
	go func() {
		_, err := w.claim("a", "A", 1)
		got <- err
	}()
	w.until(`SELECT count(*) > 0 FROM pg_stat_database WHERE datname = current_database() AND xact_commit > 20`)
	select {
	case err := <-got:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	w.tendSales()
	if err := <-got; err != nil {
		t.Error(err)
	}
	w.audited()
}

// until waits until a query answers true.
func (w *world) until(query string, args ...any) {
	w.t.Helper()
	for end := time.Now().Add(longEnough); time.Now().Before(end); {
		var is bool
		if err := w.db.QueryRow(background, query, args...).Scan(&is); err != nil {
			w.t.Fatal(err)
		}
		if is {
			return
		}
	}
	w.t.Fatalf("it does not come about: %s", query)
}

func TestAPausedQueueKeepsItsPlacesAndAClosedOneIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 3)
	at := noon()
	w.moveTo(at)
	for _, allotment := range []int{0, 2} {
		sale := w.scheduled(aSale(at, "A", allotment))
		goOn := w.stopped("A") // so that requests wait
		var waiting []shop.Transaction
		for i := range 3 {
			waiting = append(waiting, w.enqueue(buyer(i), "A", 1))
		}
		w.move(sale.ID, shop.PauseSale)
		w.untilHoldersAreLeft(1)
		goOn()
		for range 3 { // it is looked at, and left
			settleQueues(t, w.Shop)
		}
		for _, tx := range waiting {
			if got, err := w.Transaction(background, tx.Buyer, tx.ID); err != nil || got.Status != shop.Queued {
				t.Fatalf("while it is paused: %+v, %v", got, err)
			}
		}
		w.move(sale.ID, shop.ResumeSale)
		settleQueues(t, w.Shop)
		first := w.settled(w.Shop, waiting[0])
		if first.Status != shop.Held || first.SaleID == nil || *first.SaleID != sale.ID {
			t.Errorf("%+v", first)
		}
		for _, tx := range waiting {
			if _, err := w.Release(background, tx.Buyer, w.settled(w.Shop, tx).ID); err != nil {
				t.Fatal(err)
			}
		}
		goOn = w.stopped("A")
		late := w.enqueue("late", "A", 1)
		w.move(sale.ID, shop.CloseSale)
		w.untilHoldersAreLeft(1)
		goOn()
		settleQueues(t, w.Shop)
		if got := w.settled(w.Shop, late); got.Status != shop.Refused || got.Refusal.Code != shop.SaleEnded {
			t.Errorf("after the end: %+v", got)
		}
		w.audited()
	}
}

// A batch that read the terms of a sale before it was closed finds its allotment gone: nobody has those units, and nobody is told so.
func TestNobodyIsRefusedForAnAllotmentThatWentBackWhileItWasSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 3)
	at := noon()
	w.moveTo(at)
	sale := w.scheduled(aSale(at, "A", 2))
	goOn := w.stopped("A")
	late := w.enqueue("late", "A", 1)
	w.move(sale.ID, shop.PauseSale)
	w.untilHoldersAreLeft(1)
	goOn()
	goOn = w.locked(`LOCK TABLE queue_head IN EXCLUSIVE MODE`) // it can be read, and no turn be taken
	w.move(sale.ID, shop.ResumeSale)
	settleQueues(t, w.Shop)
	w.untilSomebodyWaits(1)
	w.move(sale.ID, shop.CloseSale)
	goOn()
	if got := w.settled(w.Shop, late); got.Status != shop.Refused || got.Refusal.Code != shop.SaleEnded {
		t.Errorf("%+v", got)
	}
	w.audited()
}

func TestOneProductIsInOneSaleAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 10)
	at := noon()
	w.moveTo(at.Add(-time.Hour))
	sales := make([]shop.Sale, 8)
	for i := range sales {
		sales[i] = w.draft(aSale(at.Add(time.Duration(i)*time.Minute), "A", 1))
	}
	var wg sync.WaitGroup
	errs := make([]error, len(sales))
	for i, sale := range sales {
		wg.Go(func() { _, _, errs[i] = w.MoveSale(background, w.operator(), sale.ID, shop.ScheduleSale) })
	}
	wg.Wait()
	through := 0
	for _, err := range errs {
		if err == nil {
			through++
			continue
		}
		refusal(t, err, shop.SaleOverlaps)
	}
	if through != 1 || w.count(`SELECT count(*) FROM stock_token WHERE pool_id <> 0`) != 1 {
		t.Errorf("%d sales of one product at one time", through)
	}
	next := w.scheduled(aSale(at.Add(3*time.Hour), "A", 2)) // later is no overlap
	early := at.Add(30 * time.Minute)
	_, _, err := w.ChangeSale(background, w.operator(), next.ID, shop.SalePatch{OpensAt: &early})
	refusal(t, err, shop.SaleOverlaps)
	w.audited()
}

func TestASaleMovesAlongItsStatesAndRemembersWho(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 10)
	at := noon()
	w.moveTo(at.Add(-time.Hour))
	limit := 2
	terms := aSale(at, "A", 0)
	terms.PurchaseLimit = &limit
	sale := w.draft(terms)
	if _, err := w.Sale(background, sale.ID, false); err == nil {
		t.Error("a draft is seen by everybody")
	}
	refused := func(action shop.SaleAction, state shop.SaleState) {
		t.Helper()
		_, _, err := w.MoveSale(background, w.operator(), sale.ID, action)
		if no := refusal(t, err, shop.Conflict); no.State != string(state) {
			t.Errorf("%s: state %q, want %s", action, no.State, state)
		}
	}
	for _, action := range []shop.SaleAction{shop.OpenSale, shop.PauseSale, shop.ResumeSale, shop.CloseSale} {
		refused(action, shop.SaleIsDraft)
	}
	w.move(sale.ID, shop.ScheduleSale)
	w.move(sale.ID, shop.ScheduleSale) // again, without effect
	refused(shop.PauseSale, shop.SaleIsScheduled)
	opened := w.move(sale.ID, shop.OpenSale) // before its time
	if opened.State != shop.SaleIsOpen || !opened.OpensAt.Equal(at.Add(-time.Hour)) {
		t.Errorf("%+v", opened)
	}
	refused(shop.ScheduleSale, shop.SaleIsOpen)
	change := func(p shop.SalePatch) error {
		_, _, err := w.ChangeSale(background, w.operator(), sale.ID, p)
		return err
	}
	one, three := 1, 3
	lower, higher, none := &one, &three, (*int)(nil)
	later := sale.ClosesAt.Add(time.Hour)
	refusal(t, change(shop.SalePatch{PurchaseLimit: &lower}), shop.Conflict)
	refusal(t, change(shop.SalePatch{OpensAt: &later}), shop.Validation)
	refusal(t, change(shop.SalePatch{Items: []shop.SaleItem{{SKU: "A", Price: shop.Money{Amount: 1, Currency: "EUR"}, Quantity: &three}}}), shop.Conflict)
	past := at.Add(-2 * time.Hour)
	refusal(t, change(shop.SalePatch{ClosesAt: &past}), shop.Validation)
	for _, p := range []shop.SalePatch{{PurchaseLimit: &higher}, {ClosesAt: &later}, {Items: []shop.SaleItem{{SKU: "A", Price: shop.Money{Amount: 40, Currency: "EUR"}}}}, {PurchaseLimit: &none}} {
		if err := change(p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	refusal(t, change(shop.SalePatch{PurchaseLimit: &higher}), shop.Conflict) // from none to three is no rise
	if tx := w.mustClaim("b", "A", 1); tx.Price.Amount != 40 {
		t.Errorf("%+v", tx)
	}
	w.move(sale.ID, shop.CloseSale)
	refused(shop.OpenSale, shop.SaleIsClosed)
	refusal(t, change(shop.SalePatch{ClosesAt: &later}), shop.Conflict)

	changes, more, err := w.SaleChanges(background, &sale.ID, shop.ID{}, 100)
	var actions []string
	for _, c := range changes {
		actions = append(actions, c.Action)
		if c.KeyID != w.key || c.At.IsZero() {
			t.Errorf("%+v", c)
		}
	}
	want := []string{"created", "schedule", "open", "changed", "changed", "changed", "changed", "close"}
	if err != nil || more || !slices.Equal(actions, want) {
		t.Errorf("%v, %v, want %v", actions, err, want)
	}
	w.audited()
}

func TestASaleWithAKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 10)
	w.moveTo(noon().Add(-time.Hour))
	o := shop.Operator{KeyID: w.key, Key: "k"}
	ids := make([]shop.ID, 20)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			sale, _, err := w.CreateSale(background, o, aSale(noon(), "A", 3))
			if err != nil {
				t.Error(err)
			}
			ids[i] = sale.ID
		})
	}
	wg.Wait()
	if n := len(slices.CompactFunc(ids, func(a, b shop.ID) bool { return a == b })); n != 1 || w.count(`SELECT count(*) FROM sale`) != 1 {
		t.Errorf("%d sales were answered, and %d made", n, w.count(`SELECT count(*) FROM sale`))
	}
	_, _, err := w.CreateSale(background, o, aSale(noon(), "A", 4))
	refusal(t, err, shop.KeyReused)
	for range 2 {
		if _, _, err := w.MoveSale(background, o, ids[0], shop.ScheduleSale); err != nil {
			t.Error(err)
		}
	}
	if n := w.count(`SELECT count(*) FROM stock_token WHERE pool_id <> 0`); n != 3 {
		t.Errorf("%d units were set aside, want 3", n)
	}
	_, _, err = w.CreateSale(background, w.operator(), shop.SaleTerms{Items: []shop.SaleItem{{SKU: "?"}, {SKU: "?"}}, CooldownSeconds: -1})
	if no := refusal(t, err, shop.Validation); len(no.Problems) < 8 {
		t.Errorf("only %d of everything that is wrong is named: %+v", len(no.Problems), no.Problems)
	}
	missing := aSale(noon(), "nothing", 0)
	_, _, err = w.CreateSale(background, w.operator(), missing)
	refusal(t, err, shop.NotFound)
}

func TestAProductShowsItsSale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ShowStock: 100})
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at.Add(-time.Hour))
	look := func() shop.Product {
		t.Helper()
		p, err := w.Product(background, "A")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := look(); p.Sale != nil || p.Availability.Status != shop.IsAvailable {
		t.Errorf("%+v", p)
	}
	sale := w.scheduled(aSale(at, "A", 0))
	if p := look(); p.Sale == nil || p.Sale.ID != sale.ID || p.Sale.Price.Amount != 50 || p.Availability.Status != shop.IsNotOpen {
		t.Errorf("%+v", p)
	}
	w.moveTo(at)
	if p := look(); p.Sale.State != shop.SaleIsOpen || p.Availability.Status != shop.IsAvailable || p.Availability.Available != 5 {
		t.Errorf("%+v", p)
	}
	w.move(sale.ID, shop.PauseSale)
	if p := look(); p.Availability.Status != shop.IsOnPause {
		t.Errorf("%+v", p)
	}
	w.move(sale.ID, shop.CloseSale)
	allotted := w.scheduled(aSale(at.Add(2*time.Hour), "A", 2))
	if p := look(); p.Sale.ID != allotted.ID || p.Availability.Available != 3 {
		t.Errorf("beside an allotment: %+v", p)
	}
	w.moveTo(allotted.OpensAt)
	if p := look(); p.Availability.Available != 5 {
		t.Errorf("with the allotment: %+v", p)
	}
}
