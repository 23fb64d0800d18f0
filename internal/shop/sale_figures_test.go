package shop_test

import (
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// figures moves the clock on, has every server write down what it has counted, and reads.
func (w *world) figures(sale shop.ID, at time.Time, servers ...*shop.Shop) shop.SaleFigures {
	w.t.Helper()
	w.moveTo(at)
	w.exec(`UPDATE sale_sample SET took_seconds = 0 WHERE took_seconds < 1`) // the test's clock does not go on while a slow machine counts
	for _, s := range append(servers, w.Shop) {
		if err := s.FlushSaleCounts(background); err != nil {
			w.t.Fatal(err)
		}
		if err := s.SampleSales(background); err != nil {
			w.t.Fatal(err)
		}
	}
	f, err := w.SaleFigures(background, sale, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// summed adds samples up, and holds that they follow each other without a gap.
func summed(t *testing.T, samples []shop.SaleSample) (sum shop.SaleSample) {
	t.Helper()
	sum.Refusals = map[shop.Code]int64{}
	for i, s := range samples {
		if i > 0 && !s.At.Add(-s.Covers).Equal(samples[i-1].At) {
			t.Errorf("a sample of %s ends at %s, the one before at %s", s.Covers, s.At, samples[i-1].At)
		}
		answered := s.Claims
		for code, n := range s.Refusals {
			sum.Refusals[code] += n
			answered += n
		}
		sum.Claims += s.Claims
		sum.Units += s.Units
		if (s.Latency == nil) != (answered == 0) {
			t.Errorf("%d were answered, in %v", answered, s.Latency)
		}
	}
	return sum
}

func TestTheFiguresOfASaleAreTheRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: longEnough})
	other := w.server(shop.Options{ClaimWait: longEnough})
	w.priced("A", 100, 40)
	w.priced("B", 100, 1000)
	at := noon()
	w.moveTo(at)
	terms := aSale(at, "A", 40)
	limit, allotment := 4, 300
	terms.PurchaseLimit = &limit
	terms.Items = append(terms.Items, shop.SaleItem{SKU: "B", Price: shop.Money{Amount: 50, Currency: "EUR"}, Quantity: &allotment})
	sale := w.scheduled(terms)

	var mu sync.Mutex
	refused := map[shop.Code]int64{}
	var wg sync.WaitGroup
	for i := range 400 {
		server, sku := []*shop.Shop{w.Shop, other}[i%2], []string{"A", "B"}[i/2%2]
		claim := both[[]string{"direct", "queued"}[i/4%2]]
		wg.Go(func() {
			for try := range 2 {
				_, err := claim(w, server, shop.ClaimRequest{Buyer: buyer(i / 2), SKU: sku, Quantity: 1 + (i+try)%3, SaleID: &sale.ID, Key: "key " + buyer(i*2+try)})
				var r *shop.Refusal
				if errors.As(err, &r) {
					mu.Lock()
					refused[r.Code]++
					mu.Unlock()
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()

	f := w.figures(sale.ID, at.Add(2*time.Second), other)
	sum := summed(t, f.Samples)
	claims := w.count(`SELECT count(*) FROM claim WHERE sale_id = $1 AND status = 'held'`, sale.ID)
	units := w.count(`SELECT count(*) FROM claim_unit JOIN claim USING (claim_id) WHERE sale_id = $1`, sale.ID)
	if sum.Claims != int64(claims) || sum.Units != int64(units) || claims < 100 {
		t.Errorf("%d claims and %d units were counted, and the database has %d and %d", sum.Claims, sum.Units, claims, units)
	}
	if !maps.Equal(sum.Refusals, refused) || len(refused) < 2 {
		t.Errorf("counted: %v, answered: %v", sum.Refusals, refused)
	}
	var all shop.SalePlaces
	for _, item := range f.Items {
		all.Available += item.Available
		all.Held += item.Held
	}
	if left := w.count(`SELECT count(*) FROM stock_token WHERE pool_id > 0`); all.Held != int64(units) || all.Available != int64(left) || left+units != 340 {
		t.Errorf("places: %+v, the database has %d held and %d left", f.Items, units, left)
	}
	last := f.Samples[len(f.Samples)-1]
	if last.SalePlaces != all {
		t.Errorf("the last sample has %+v, the items %+v", last.SalePlaces, all)
	}
}

func TestTheFiguresOfEachKindOfRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{Provider: newFake()})
	w.priced("A", 100, 3)
	at := noon()
	w.moveTo(at)
	terms := aSale(at.Add(time.Second), "A", 0)
	limit := 2
	terms.PurchaseLimit, terms.CooldownSeconds = &limit, 60
	sale := w.scheduled(terms)
	ask := func(buyer, key string, quantity int, code shop.Code) {
		t.Helper()
		_, err := w.Claim(background, shop.ClaimRequest{Buyer: buyer, SKU: "A", Quantity: quantity, Key: key})
		if code == "" && err == nil {
			return
		}
		refusal(t, err, code)
	}
	ask("a", "", 1, shop.SaleNotOpen)
	w.moveTo(at.Add(time.Second))
	ask("a", "1", 2, "")
	ask("a", "1", 2, "") // a replay, which is not counted
	ask("a", "1", 1, shop.KeyReused)
	ask("a", "", 1, shop.PurchaseLimit)
	ask("b", "", 2, shop.NotEnoughUnits)
	ask("b", "", 6, shop.Validation)
	ask("b", "", 1, "")
	ask("c", "", 1, shop.AllHeld)
	w.move(sale.ID, shop.PauseSale)
	ask("c", "", 1, shop.SalePaused)
	w.move(sale.ID, shop.ResumeSale)
	f := w.figures(sale.ID, at.Add(3*time.Second))
	if got := f.Items[0]; got.Available != 0 || got.Held != 3 || f.State != shop.SaleIsOpen {
		t.Errorf("%+v", f)
	}
	for _, buyer := range []string{"a", "b"} {
		if _, _, err := w.Pay(background, buyer, w.mustCheckout(buyer).ID, "succeed", ""); err != nil {
			t.Fatal(err)
		}
	}
	ask("c", "", 1, shop.SoldOut)
	ask("c", "", 1, shop.SoldOut)
	w.move(sale.ID, shop.CloseSale)
	_, err := w.Claim(background, shop.ClaimRequest{Buyer: "c", SKU: "A", Quantity: 1, SaleID: &sale.ID})
	refusal(t, err, shop.SaleEnded)
	f = w.figures(sale.ID, at.Add(5*time.Second))
	sum := summed(t, f.Samples)
	want := map[shop.Code]int64{
		shop.SaleNotOpen: 1, shop.KeyReused: 1, shop.PurchaseLimit: 1, shop.NotEnoughUnits: 1, shop.Validation: 1, shop.AllHeld: 1, shop.SalePaused: 1,
		shop.SoldOut: 2, shop.SaleEnded: 1,
	}
	if sum.Claims != 2 || sum.Units != 3 || !maps.Equal(sum.Refusals, want) {
		t.Errorf("%d claims, %d units, refused %v, want %v", sum.Claims, sum.Units, sum.Refusals, want)
	}
	if got := f.Items[0].SalePlaces; got != (shop.SalePlaces{Sold: 3}) {
		t.Errorf("%+v", got)
	}
}

func TestLapsedHoldsAreAvailableInTheFigures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 10)
	at := noon()
	w.moveTo(at)
	sale := w.scheduled(aSale(at, "A", 4))
	w.mustClaim("a", "A", 3)
	w.mustCheckout("a")
	w.mustClaim("b", "A", 1)
	if got := w.figures(sale.ID, at.Add(59*time.Second)).Items[0].SalePlaces; got != (shop.SalePlaces{Held: 1, Ordered: 3}) {
		t.Errorf("%+v", got)
	}
	if got := w.figures(sale.ID, at.Add(60*time.Second)).Items[0].SalePlaces; got != (shop.SalePlaces{Available: 4}) {
		t.Errorf("lapsed and overdue: %+v", got)
	}
}

func TestTheFiguresOfASaleWithoutTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at)
	draft := w.draft(aSale(at.Add(time.Hour), "A", 2))
	f := w.figures(draft.ID, at)
	if len(f.Samples) != 0 || len(f.Items) != 1 || f.Items[0] != (shop.SaleItemPlaces{SKU: "A"}) || f.State != shop.SaleIsDraft {
		t.Errorf("a draft has %+v", f)
	}
	w.move(draft.ID, shop.ScheduleSale)
	for second := range 121 {
		f = w.figures(draft.ID, at.Add(time.Duration(second+2)*time.Second))
	}
	if len(f.Samples) < 2 || len(f.Samples) > 4 {
		t.Errorf("a sale that is scheduled was sampled %d times in two minutes", len(f.Samples))
	}
	for second := range 5 {
		f = w.figures(draft.ID, at.Add(time.Hour+time.Duration(second)*time.Second))
	}
	if f.State != shop.SaleIsOpen || f.Samples[len(f.Samples)-1].Covers != time.Second {
		t.Errorf("a sale that is open is sampled each second, got %+v", f.Samples[len(f.Samples)-1])
	}
	sum := summed(t, f.Samples)
	if sum.Claims != 0 || len(sum.Refusals) != 0 || f.Items[0].Available != 2 {
		t.Errorf("%+v, %+v", sum, f.Items)
	}
	_, err := w.SaleFigures(background, pgdb.NewID(), time.Time{})
	refusal(t, err, shop.NotFound)
}

// Whoever asks for what is later than the last that was seen gets everything once.
func TestTheFiguresOfASaleSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 100)
	at := noon()
	w.moveTo(at)
	sale := w.scheduled(aSale(at, "A", 0))
	var followed []shop.SaleSample
	var since time.Time
	for second := range 30 {
		w.moveTo(at.Add(time.Duration(second) * time.Second))
		w.mustClaim(buyer(second), "A", 1+second%3)
		w.figures(sale.ID, at.Add(time.Duration(second)*time.Second+900*time.Millisecond))
		f, err := w.SaleFigures(background, sale.ID, since)
		if err != nil {
			t.Fatal(err)
		}
		if followed = append(followed, f.Samples...); len(followed) > 0 {
			since = followed[len(followed)-1].At
		}
	}
	whole := w.figures(sale.ID, since.Add(shownAfter))
	if a, b := summed(t, followed), summed(t, whole.Samples); a.Claims != b.Claims || a.Units != b.Units || len(followed) != len(whole.Samples) || a.Claims < 25 {
		t.Errorf("followed: %d samples, %d claims, %d units; at once: %d, %d, %d", len(followed), a.Claims, a.Units, len(whole.Samples), b.Claims, b.Units)
	}
}

// shownAfter is how long after its end a sample is shown.
const shownAfter = 500 * time.Millisecond

// Samples are few where the stock is so large that each takes long, and one server takes them for all.
func TestASampleTakesAThirtiethOfTheTimeAtMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	other := w.server(shop.Options{})
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at)
	sale := w.scheduled(aSale(at, "A", 0))
	w.figures(sale.ID, at, other)
	w.exec(`UPDATE sale_sample SET took_seconds = 2, sampled_at = $1`, at.Add(2*time.Second))
	for second := range 65 {
		w.figures(sale.ID, at.Add(time.Duration(second)*time.Second), other)
	}
	if n := w.count(`SELECT count(*) FROM sale_sample WHERE at <= $1`, at.Add(60*time.Second)); n != 1 {
		t.Errorf("%d samples, although one took 2 s 58 s ago", n)
	}
	if n := w.count(`SELECT count(*) FROM sale_sample`); n != 6 {
		t.Errorf("%d samples, want one and those of 5 seconds", n)
	}
}

// TestAServerThatEndsWritesDownWhatItHasCounted: also of the second that is not over.
func TestAServerThatEndsWritesDownWhatItHasCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{})
	w.priced("A", 100, 5)
	at := noon()
	w.moveTo(at)
	w.scheduled(aSale(at, "A", 0))
	ending := w.server(shop.Options{})
	if _, err := ending.Claim(background, shop.ClaimRequest{Buyer: "a", SKU: "A", Quantity: 2}); err != nil {
		t.Fatal(err)
	}
	if n := counted(t, w.db); n != 0 {
		t.Fatalf("%d calls were written down too early", n)
	}
	ending.Close()
	if n := counted(t, w.db); n != 1 {
		t.Errorf("%d calls were written down, want 1", n)
	}
}

func counted(t *testing.T, db *pgxpool.Pool) (n int) {
	t.Helper()
	if err := db.QueryRow(background, `SELECT coalesce(sum(call_count), 0) FROM sale_count`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
