package shop

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// SaleReport is what has become of a sale, or of it so far. What it says of units, orders and money is counted in the rows, in one snapshot; Answered, Refusals, Latency
// and Course are what servers have counted beside (saleCounts) and sampled.
type SaleReport struct {
	Sale
	Now   time.Time // by the database's clock
	Total SaleTally
	Items []SaleItemTally // by SKU

	Buyers        int64 // who have units of it
	BuyersAtLimit int64 // who have as many as they may
	Refunds       SaleRefunds
	Queue         *SaleQueue // nil: nobody was queued

	Answered int64          // claims that were answered, held or refused
	Refusals map[Code]int64 // of them
	Latency  *SaleLatency   // of them; nil when there were none

	// The course from the opening until nothing changed any more.
	From, Until time.Time
	Course      []SaleSample    // at most 240, the oldest first
	SellThrough []SaleSoldPoint // in steps of one length
}

// SaleTally is what became of the units that a sale had, and of those who wanted them.
type SaleTally struct {
	Offered int64 // units: the allotment, or as many as were seen at once in the common stock
	Holds   SaleHolds
	// Units that were paid for, also those that came back.
	UnitsSold int64
	Returned  SaleReturns
	Revenue   []Money // of UnitsSold, by currency
	Refunded  []Money // of what Returned cost, by currency; nothing where the shop beside took the money
	// TakenAfter is how long after the opening there was first nothing left to claim, to the second; nil: always something.
	TakenAfter *time.Duration
	// SoldOutAfter is how long after the opening the last unit was paid for; nil: some were never paid for.
	SoldOutAfter *time.Duration
}

// SaleItemTally is the same of one product.
type SaleItemTally struct {
	SKU, Name string
	SaleTally
	Refusals map[Code]int64
}

// SaleHolds are claims that got their units, and what became of them: Made = Live + Lapsed + Released + Unpaid + Cancelled + Paid.
type SaleHolds struct {
	Made      int64
	Live      int64 // in carts
	Lapsed    int64
	Released  int64 // given back by the buyer
	Unpaid    int64 // ordered, and may still be paid for
	Cancelled int64 // ordered, and never paid for
	Paid      int64
	// Replaced are those of Lapsed and Cancelled for which equal units were found when the money came.
	Replaced int64
}

// Ordered are those that were checked out or confirmed.
func (h SaleHolds) Ordered() int64 { return h.Unpaid + h.Cancelled + h.Paid }

// Conversion is the share of the holds that were paid for in the end; 0 when there were none.
func (h SaleHolds) Conversion() float64 { return share(h.Paid+h.Replaced, h.Made) }

// Kept are units that were sold and did not come back.
func (t SaleTally) Kept() int64 { return t.UnitsSold - t.Returned.All() }

// SellThrough is the share of the units offered that were sold and did not come back; 0 when there were none.
func (t SaleTally) SellThrough() float64 { return share(t.Kept(), t.Offered) }

func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return min(float64(part)/float64(whole), 1)
}

// SaleReturns are units that came back from paid orders, by where they went.
type SaleReturns struct{ Restocked, Quarantined, WrittenOff int64 }

// All of them.
func (r SaleReturns) All() int64 { return r.Restocked + r.Quarantined + r.WrittenOff }

// SaleRefunds are refunds of orders that have something of a sale.
type SaleRefunds struct {
	Returns int64   // for units that came back
	Pending int64   // of all refunds, those which the provider has not confirmed yet
	Late    int64   // of payments that came too late, for which there were no units any more
	LateSum []Money // what the lines of the sale cost in those orders
}

// SaleQueue is what the queue of a sale saw.
type SaleQueue struct {
	MostWaiting int64 // requests at once, as sampled
	Waiting     int64 // requests now
	Served      int64 // requests that got their units
}

// SaleSoldPoint is how much of a sale was sold at an instant.
type SaleSoldPoint struct {
	At   time.Time
	Kept int64 // units paid for until then, without those that had come back
}

const (
	coursePoints = 240
	// idsAstray is how far the clock of the server that made an id may be from another's, and how long after its closing a sale may still be claimed from by a request that was under way.
	idsAstray = time.Hour
)

// SaleReport reports on a sale that is scheduled, open, paused or closed. One report is made at a time on this server. Refusals: NotFound, Conflict for a draft.
func (s *Shop) SaleReport(ctx context.Context, id ID) (SaleReport, error) {
	select {
	case s.reporting <- struct{}{}:
		defer func() { <-s.reporting }()
	case <-ctx.Done():
		return SaleReport{}, context.Cause(ctx)
	}
	r := saleReporter{s: s}
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return r.read(ctx, tx, id)
	})
	return r.SaleReport, explain("report on sale", err)
}

// saleReporter makes a report.
type saleReporter struct {
	SaleReport
	s *Shop
	// of each product
	places map[int64]int // in Items
	money  []saleMoney
	paidAt []time.Time
	found  []dbsqlc.SaleReportItemsRow
	// allotted: its offer is planned, and not only seen
	allotted []bool
	// gone: the rows have none left, which no sample has seen yet
	gone []bool
	// step and steps are how the course is divided for what is counted in the rows.
	step        time.Duration
	steps       int
	soldBy      []int64
	first, last ID // between which the ids of its claims lie
}

// saleMoney is by currency.
type saleMoney struct{ revenue, refunded map[string]int64 }

func (r *saleReporter) read(ctx context.Context, tx pgx.Tx, id ID) error {
	row, err := r.s.q.SaleByID(ctx, tx, dbsqlc.SaleByIDParams{Now: r.s.o.Now(), SaleID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound("sale")
	}
	if err != nil {
		return err
	}
	if SaleState(row.State) == SaleIsDraft {
		return conflict(row.State, "A draft has nothing to report on yet. Rehearse it, or schedule it and come back when it has opened.")
	}
	sales, err := r.s.withItems(ctx, tx, []Sale{saleOf(row.Sale, row.State)})
	if err != nil {
		return err
	}
	r.Sale = sales[0]
	if r.Now, err = r.s.q.ClockNow(ctx, tx); err != nil {
		return err
	}
	if moved := r.s.o.Now(); moved != nil {
		r.Now = *moved
	}
	planned := idTime(id)
	r.first, r.last = idAt(planned.Add(-idsAstray)), idAt(planned.Add(r.ClosesAt.Sub(r.CreatedAt)+idsAstray))
	for _, part := range []func(context.Context, pgx.Tx) error{r.readItems, r.readCourse, r.readClaims, r.readReturns, r.readRefunds, r.readBuyers, r.lookWhetherGone} {
		if err := part(ctx, tx); err != nil {
			return err
		}
	}
	r.finish()
	return nil
}

func (r *saleReporter) readItems(ctx context.Context, tx pgx.Tx) (err error) {
	r.found, err = r.s.q.SaleReportItems(ctx, tx, dbsqlc.SaleReportItemsParams{SaleID: r.ID, OpensAt: r.OpensAt, ClosesAt: r.ClosesAt})
	if err != nil {
		return err
	}
	r.places = map[int64]int{}
	r.Refusals = map[Code]int64{}
	for i, row := range r.found {
		r.places[row.ProductID] = i
		item := SaleItemTally{SKU: row.SKU, Name: row.Name, Refusals: map[Code]int64{}}
		allotted := false
		item.Offered = row.Offered
		for _, planned := range r.Sale.Items {
			if planned.SKU == row.SKU && planned.Quantity != nil {
				item.Offered, allotted = int64(*planned.Quantity), true
			}
		}
		r.Items, r.allotted = append(r.Items, item), append(r.allotted, allotted)
		r.money = append(r.money, saleMoney{map[string]int64{}, map[string]int64{}})
	}
	r.paidAt = make([]time.Time, len(r.found))
	if err := r.lookNow(ctx, tx); err != nil {
		return err
	}
	counts, err := r.s.q.SaleReportCounts(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	for _, row := range counts {
		r.Answered += row.CallCount
		if row.Outcome == string(countHeld) {
			continue
		}
		code := Code(row.Outcome)
		r.Refusals[code] += row.CallCount
		if i, known := r.places[row.ProductID]; known {
			r.Items[i].Refusals[code] += row.CallCount
		}
	}
	return nil
}

// lookNow counts what is offered from the common stock where no sample tells yet: the sale was scheduled a moment ago.
func (r *saleReporter) lookNow(ctx context.Context, tx pgx.Tx) error {
	if r.State == SaleIsClosed || !slices.ContainsFunc(r.Items, func(i SaleItemTally) bool { return i.Offered == 0 }) {
		return nil
	}
	rows, err := r.s.q.SaleSamplePlaces(ctx, tx, dbsqlc.SaleSamplePlacesParams{Now: &r.Now, SaleID: r.ID})
	for _, row := range rows {
		if i, known := r.places[row.ProductID]; known && r.Items[i].Offered == 0 {
			r.Items[i].Offered = row.Available + row.Held + row.Ordered + row.Sold
		}
	}
	return err
}

// lookWhetherGone counts what is left where as many units were sold as were ever seen, and no sample has been taken since: then there are few to count.
func (r *saleReporter) lookWhetherGone(ctx context.Context, tx pgx.Tx) error {
	r.gone = make([]bool, len(r.Items))
	perhaps := false
	for i, item := range r.Items {
		perhaps = perhaps || !r.seenSoldOut(i) && item.UnitsSold > 0 && item.UnitsSold-item.Returned.Restocked >= item.Offered
	}
	if r.State == SaleIsClosed || !perhaps {
		return nil
	}
	rows, err := r.s.q.SaleSamplePlaces(ctx, tx, dbsqlc.SaleSamplePlacesParams{Now: &r.Now, SaleID: r.ID})
	for _, row := range rows {
		if i, known := r.places[row.ProductID]; known {
			r.gone[i] = row.Available+row.Held+row.Ordered == 0 && row.Sold > 0
		}
	}
	return err
}

// seenSoldOut tells whether a sample has seen that none was left of a product, and all paid for.
func (r *saleReporter) seenSoldOut(i int) bool { return r.found[i].SoldOutAt.Unix() > 0 }

// readCourse reads what was counted and sampled, and settles which part of it is the course.
func (r *saleReporter) readCourse(ctx context.Context, tx pgx.Tx) error {
	samples, err := r.s.q.SaleSampleSince(ctx, tx, dbsqlc.SaleSampleSinceParams{SaleID: r.ID})
	if err != nil {
		return err
	}
	counts, err := r.s.q.SaleCountSince(ctx, tx, dbsqlc.SaleCountSinceParams{SaleID: r.ID})
	if err != nil {
		return err
	}
	for _, sample := range samples {
		if sample.Queued > 0 {
			if r.Queue == nil {
				r.Queue = &SaleQueue{}
			}
			r.Queue.MostWaiting = max(r.Queue.MostWaiting, sample.Queued)
		}
	}
	var series saleSeries
	series.readAfter(time.Time{}, counts, samples)
	points := series.points
	all := latencies{}
	for _, p := range points {
		if p.latencies != nil {
			all.add(p.latencies)
		}
	}
	r.Latency = all.summary()
	r.From, r.Until = r.OpensAt, courseEnd(points, r.OpensAt, r.Now)
	for len(points) > 1 && !points[1].at.After(r.From) {
		points = points[1:] // the last before the opening says what there was to be sold
	}
	for len(points) > 0 && points[len(points)-1].at.After(r.Until) {
		points = points[:len(points)-1]
	}
	r.Course = make([]SaleSample, 0, coursePoints)
	for _, p := range thin(points, coursePoints) {
		r.Course = append(r.Course, p.sample())
	}
	r.step, r.steps = time.Second, 1
	for span := r.Until.Sub(r.From); span > time.Duration(coursePoints)*r.step; r.step *= 2 {
	}
	r.steps = max(int((r.Until.Sub(r.From)+r.step-1)/r.step), 1)
	r.soldBy = make([]int64, r.steps+1)
	return nil
}

// courseEnd is when nothing changed any more, and a little later, so that it can be seen.
func courseEnd(points []salePoint, from, now time.Time) time.Time {
	end := from
	for i, p := range points {
		if p.at.After(from) && (p.claims > 0 || i > 0 && p.places != points[i-1].places) {
			end = p.at
		}
	}
	end = end.Add(max(end.Sub(from)/10, 5*time.Second))
	if end.After(now) {
		end = now
	}
	if end.Before(from) {
		end = from
	}
	return end
}

func (r *saleReporter) readClaims(ctx context.Context, tx pgx.Tx) error {
	rows, err := r.s.q.SaleReportClaims(ctx, tx, dbsqlc.SaleReportClaimsParams{
		FirstClaimID: r.first, LastClaimID: r.last, SaleID: r.ID, Now: r.Now, CourseFrom: r.From, StepSeconds: r.step.Seconds(), Steps: int32(r.steps),
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Queued {
			r.addQueued(row)
		}
		i, known := r.places[row.ProductID]
		if !known {
			continue
		}
		t := &r.Items[i].SaleTally
		if row.Fate == "paid" {
			t.UnitsSold += row.UnitCount
			r.money[i].revenue[row.Currency] += row.AmountMinor
			r.soldBy[row.Step] += row.UnitCount
			if row.PaidAt.After(r.paidAt[i]) {
				r.paidAt[i] = row.PaidAt
			}
		}
		t.Holds.add(row)
	}
	return nil
}

func (h *SaleHolds) add(row dbsqlc.SaleReportClaimsRow) {
	if row.Replacing {
		if row.Fate == "paid" {
			h.Replaced += row.ClaimCount
		}
		return
	}
	counts := map[string]*int64{"held": &h.Live, "lapsed": &h.Lapsed, "released": &h.Released, "unpaid": &h.Unpaid, "cancelled": &h.Cancelled, "paid": &h.Paid}
	if n := counts[row.Fate]; n != nil {
		*n += row.ClaimCount
		h.Made += row.ClaimCount
	}
}

func (r *saleReporter) addQueued(row dbsqlc.SaleReportClaimsRow) {
	if r.Queue == nil {
		r.Queue = &SaleQueue{}
	}
	switch row.Fate {
	case "queued":
		r.Queue.Waiting += row.ClaimCount
	case "refused", "left":
	default:
		r.Queue.Served += row.ClaimCount
	}
}

func (r *saleReporter) readReturns(ctx context.Context, tx pgx.Tx) error {
	rows, err := r.s.q.SaleReportReturns(ctx, tx, dbsqlc.SaleReportReturnsParams{
		FirstClaimID: r.first, LastClaimID: r.last, SaleID: r.ID, CourseFrom: r.From, StepSeconds: r.step.Seconds(), Steps: int32(r.steps),
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		i, known := r.places[row.ProductID]
		if !known {
			continue
		}
		back := &r.Items[i].Returned
		switch row.Outcome {
		case "returned":
			back.Restocked += row.UnitCount
		case "quarantined":
			back.Quarantined += row.UnitCount
		default:
			back.WrittenOff += row.UnitCount
		}
		r.money[i].refunded[row.Currency] += row.AmountMinor
		r.soldBy[row.Step] -= row.UnitCount
	}
	return nil
}

func (r *saleReporter) readRefunds(ctx context.Context, tx pgx.Tx) error {
	rows, err := r.s.q.SaleReportRefunds(ctx, tx, dbsqlc.SaleReportRefundsParams{SaleID: r.ID, FirstClaimID: r.first})
	if err != nil {
		return err
	}
	late := map[string]int64{}
	for _, row := range rows {
		if row.Status == "pending" {
			r.Refunds.Pending += row.RefundCount
		}
		if row.Reason == "returned" {
			r.Refunds.Returns += row.RefundCount
			continue
		}
		r.Refunds.Late += row.RefundCount
		late[row.Currency] += row.AmountMinor
	}
	r.Refunds.LateSum = monies(late)
	return nil
}

func (r *saleReporter) readBuyers(ctx context.Context, tx pgx.Tx) error {
	row, err := r.s.q.SaleReportBuyers(ctx, tx, r.ID)
	r.Buyers, r.BuyersAtLimit = row.BuyerCount, row.AtLimitCount
	return err
}

// finish adds up what was read.
func (r *saleReporter) finish() {
	revenue, refunded := map[string]int64{}, map[string]int64{}
	taken, soldOut := len(r.Items) > 0, len(r.Items) > 0
	t := &r.Total
	for i := range r.Items {
		item := &r.Items[i].SaleTally
		item.Revenue, item.Refunded = monies(r.money[i].revenue), monies(r.money[i].refunded)
		item.TakenAfter, item.SoldOutAfter = r.whenGone(i)
		item.Offered = max(item.Offered, item.Kept()) // it may have been sold before it was seen
		t.Offered += item.Offered
		t.Holds.sum(item.Holds)
		t.UnitsSold += item.UnitsSold
		t.Returned.Restocked += item.Returned.Restocked
		t.Returned.Quarantined += item.Returned.Quarantined
		t.Returned.WrittenOff += item.Returned.WrittenOff
		addMonies(revenue, r.money[i].revenue)
		addMonies(refunded, r.money[i].refunded)
		taken, t.TakenAfter = later(taken, t.TakenAfter, item.TakenAfter)
		soldOut, t.SoldOutAfter = later(soldOut, t.SoldOutAfter, item.SoldOutAfter)
	}
	t.Revenue, t.Refunded = monies(revenue), monies(refunded)
	r.SellThrough = []SaleSoldPoint{}
	if !r.Until.After(r.From) {
		return
	}
	var kept int64
	for n, sold := range r.soldBy {
		kept += sold
		at := r.From.Add(time.Duration(n) * r.step)
		if at.After(r.Until) {
			at = r.Until
		}
		r.SellThrough = append(r.SellThrough, SaleSoldPoint{At: at, Kept: kept})
	}
}

// whenGone is when there was nothing more to claim of a product, and when all of it was paid for. The rows tell the latter to the instant, unless units came back and
// were sold again: then the samples do.
func (r *saleReporter) whenGone(i int) (taken, soldOut *time.Duration) {
	row, item := r.found[i], &r.Items[i].SaleTally
	after := func(at time.Time) *time.Duration {
		d := max(at.Sub(r.OpensAt), 0)
		return &d
	}
	seen := r.seenSoldOut(i)
	switch {
	case seen && r.paidAt[i].After(row.SoldOutAt):
		soldOut = after(row.SoldOutAt)
	case seen || r.gone[i] || r.allotted[i] && item.UnitsSold-item.Returned.Restocked >= item.Offered:
		soldOut = after(r.paidAt[i])
	}
	if row.TakenAt.Unix() > 0 {
		taken = after(row.TakenAt)
	} else if soldOut != nil {
		taken = soldOut
	}
	if taken != nil && soldOut != nil && *taken > *soldOut {
		taken = soldOut // a sample is of the end of its second
	}
	return taken, soldOut
}

// later is the later of two, and nothing as soon as one is missing.
func later(all bool, latest, next *time.Duration) (bool, *time.Duration) {
	if !all || next == nil {
		return false, nil
	}
	if latest == nil || *next > *latest {
		return true, next
	}
	return true, latest
}

func (h *SaleHolds) sum(other SaleHolds) {
	h.Made += other.Made
	h.Live += other.Live
	h.Lapsed += other.Lapsed
	h.Released += other.Released
	h.Unpaid += other.Unpaid
	h.Cancelled += other.Cancelled
	h.Paid += other.Paid
	h.Replaced += other.Replaced
}

func addMonies(sum, more map[string]int64) {
	for currency, amount := range more {
		sum[currency] += amount
	}
}

// monies is amounts by currency; what has none is not known here, and left out.
func monies(by map[string]int64) []Money {
	all := []Money{}
	for _, currency := range slices.Sorted(maps.Keys(by)) {
		if currency != "" && by[currency] != 0 {
			all = append(all, Money{Amount: by[currency], Currency: currency})
		}
	}
	return all
}

// idTime is when an id was made, by the clock of the server that made it.
func idTime(id ID) time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:])))
}

// idAt is the first id of a millisecond.
func idAt(at time.Time) (id ID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	return id
}
