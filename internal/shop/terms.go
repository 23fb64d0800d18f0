package shop

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// productTerms is what a batch knows of a product: how it sells now, alone and in the sales that it is in.
type productTerms struct {
	dbsqlc.ProductForClaimRow
	common *poolShare
	sales  []*saleTerms // the one that opens first first
}

// saleTerms is a product in a sale.
type saleTerms struct {
	dbsqlc.SaleForClaimRow
	pool *poolShare // the sale's own, or the common one where the product has no allotment
}

func (t *saleTerms) hold() time.Duration { return time.Duration(t.HoldSeconds) * time.Second }

// limit is the purchase limit, 0 when there is none.
func (t *saleTerms) limit() int32 {
	if t.PurchaseLimit == nil {
		return 0
	}
	return *t.PurchaseLimit
}

// termsKey names a product in a sale.
type termsKey struct {
	saleID    ID
	productID int64
}

// share sorts the calls by the pools that they draw from, and answers those whose product can't be claimed from at all.
func (b *settlement) share(ctx context.Context, db pgdb.DB, open []int) error {
	products, err := b.readTerms(ctx, db)
	if err != nil {
		return err
	}
	for _, i := range open {
		c, p := b.calls[i], products[b.calls[i].SKU]
		if c.kind == drainQueue {
			if p != nil { // else the product is gone, and its queue with it
				p.drain(b.pools, i)
			}
			continue
		}
		c.looked, c.about = p != nil, p.about(c)
		pool, terms, refusal := p.serve(c, b.s.o)
		if refusal != nil {
			b.answers[i].Out.refusal = refusal
			continue
		}
		if c.terms = terms; pool != nil {
			pool.calls = append(pool.calls, i)
		}
	}
	if err := b.findSales(ctx, db, open, products); err != nil {
		return err
	}
	b.pools = slices.DeleteFunc(b.pools, func(p *poolShare) bool { return len(p.calls)+len(p.queue.drains) == 0 })
	for _, p := range b.pools {
		if guessed := b.opening.picked[p.poolKey]; guessed != nil {
			p.picked = *guessed
			slices.Sort(p.tokens)
			continue
		}
		p.from = b.s.cursors.get(p.poolKey)
	}
	return nil
}

// readTerms makes pools of products, and of the sales that they are in, with the ends of their queues. It reads the sales where that was not yet done.
func (b *settlement) readTerms(ctx context.Context, db pgdb.DB) (map[string]*productTerms, error) {
	rows, sales := b.opening.products, b.opening.sales
	var inSale []string
	products := make(map[string]*productTerms, len(rows))
	byID := make(map[int64]*productTerms, len(rows))
	for _, row := range rows {
		p := &productTerms{ProductForClaimRow: row}
		p.common = b.addPool(p, commonPool, queueShare{head: row.QueueHeadPlace, tail: row.QueueTailPlace})
		products[row.SKU], byID[row.ProductID] = p, p
		if row.InSale {
			inSale = append(inSale, row.SKU)
		}
	}
	if slices.ContainsFunc(inSale, func(sku string) bool { return !slices.Contains(b.opening.inSale, sku) }) {
		var err error
		b.opening.more = true
		if sales, err = b.s.q.SaleForClaim(ctx, db, dbsqlc.SaleForClaimParams{Now: b.s.o.Now(), Skus: inSale}); err != nil {
			return nil, fmt.Errorf("read sales: %w", err)
		}
	}
	for _, row := range sales {
		if p := byID[row.ProductID]; p != nil && p.InSale {
			b.addSale(p, row)
		}
	}
	slices.SortFunc(b.pools, func(p, q *poolShare) int {
		return cmp.Or(cmp.Compare(p.productID, q.productID), cmp.Compare(p.poolID, q.poolID))
	})
	return products, nil
}

func (b *settlement) addPool(p *productTerms, poolID int64, queue queueShare) *poolShare {
	pool := &poolShare{
		poolKey: poolKey{p.ProductID, poolID},
		sku:     p.SKU,
		price:   money(p.PriceMinor, p.Currency),
		paused:  p.Paused,
		inSale:  p.InSale,
		spent:   map[int64]bool{},
		queue:   queue,

		hadAllotments: p.HadAllotments,
	}
	if !p.Selling {
		pool.refusal = notSelling()
	}
	b.pools = append(b.pools, pool)
	return pool
}

func (b *settlement) addSale(p *productTerms, row dbsqlc.SaleForClaimRow) {
	t := &saleTerms{SaleForClaimRow: row, pool: p.common}
	if row.Allotted {
		t.pool = b.addPool(p, row.PoolID, queueShare{head: row.QueueHeadPlace, tail: row.QueueTailPlace})
	}
	switch state := SaleState(row.State); {
	case state == SaleIsPaused:
		t.pool.paused = true
	case state == SaleIsClosed && row.Allotted && row.HasTokens:
		// The units are on their way into the common pool: until they are there nobody is told that there are none.
		p.common.again = true
	}
	p.sales = append(p.sales, t)
	b.terms[termsKey{row.SaleID, row.ProductID}] = t
}

// drain lets a call wait for all queues of a product.
func (p *productTerms) drain(pools []*poolShare, i int) {
	for _, pool := range pools {
		if pool.productID == p.ProductID && pool.queue.tail > pool.queue.head {
			pool.queue.drains = append(pool.queue.drains, i)
		}
	}
}

// serve decides from which pool and under whose terms a call is served: through the sale that is open for its product, else normally, if no sale
// keeps the product for itself; through the sale that it names, and no other. No pool and no refusal: the sale that it names is to be looked for.
func (p *productTerms) serve(c *claimCall, o Options) (*poolShare, *saleTerms, *Refusal) {
	if p == nil {
		if c.Quantity > o.MaxQuantity {
			return nil, nil, tooMany(o.MaxQuantity)
		}
		return nil, nil, notFound("product")
	}
	terms, refusal := p.pickSale(c)
	most := o.MaxQuantity
	if terms != nil {
		most = int(terms.MaxQuantity)
	}
	switch {
	case c.Quantity > most:
		return nil, nil, tooMany(most)
	case p.common.refusal != nil:
		return nil, nil, p.common.refusal
	case p.Paused:
		return nil, nil, salePaused()
	case refusal != nil:
		return nil, nil, refusal
	case terms != nil:
		return terms.pool, terms, nil
	case c.SaleID != nil:
		return nil, nil, nil
	}
	return p.common, nil, nil
}

// pickSale finds the sale through which a call is served; nil: none.
func (p *productTerms) pickSale(c *claimCall) (*saleTerms, *Refusal) {
	var keptFor *saleTerms
	for _, t := range p.sales {
		named := c.SaleID != nil && *c.SaleID == t.SaleID
		if c.SaleID != nil && !named {
			continue
		}
		switch SaleState(t.State) {
		case SaleIsPaused:
			return nil, salePaused()
		case SaleIsOpen:
			// What is left beside an allotment that has run out sells on normally.
			if t.Allotted && !named && (c.normally || !t.HasTokens && !t.HasLapsed) {
				return nil, nil
			}
			return t, nil
		case SaleIsScheduled:
			if named {
				return nil, saleNotOpen(t.OpensAt)
			}
			if keptFor == nil && !t.Allotted {
				keptFor = t
			}
		case SaleIsClosed:
			if named {
				return nil, saleEnded()
			}
		}
	}
	if keptFor != nil {
		return nil, saleNotOpen(keptFor.OpensAt)
	}
	return nil, nil
}

// about is the sale that a call has to do with, whatever becomes of it: the one that it names, the one that is open or paused for its product, or the next that keeps
// the product for itself; zero: none.
func (p *productTerms) about(c *claimCall) (next ID) {
	if p == nil {
		return ID{}
	}
	for _, t := range p.sales {
		state := SaleState(t.State)
		switch {
		case c.SaleID != nil && *c.SaleID == t.SaleID, c.SaleID == nil && (state == SaleIsOpen || state == SaleIsPaused):
			return t.SaleID
		case c.SaleID == nil && state == SaleIsScheduled && !t.Allotted && next == ID{}:
			next = t.SaleID
		}
	}
	return next
}

// findSales tells those who named a sale that is not among the live ones whether it is over or never was.
func (b *settlement) findSales(ctx context.Context, db pgdb.DB, open []int, products map[string]*productTerms) error {
	var arg dbsqlc.SaleOverParams
	var lost []int
	for _, i := range open {
		c, p := b.calls[i], products[b.calls[i].SKU]
		if p != nil && c.SaleID != nil && c.terms == nil && b.answers[i].Out.refusal == nil && c.kind != drainQueue {
			lost = append(lost, i)
			arg.SaleIds = append(arg.SaleIds, *c.SaleID)
			arg.ProductIds = append(arg.ProductIds, p.ProductID)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	arg.Now = b.s.o.Now()
	b.opening.more = true
	rows, err := b.s.q.SaleOver(ctx, db, arg)
	if err != nil {
		return fmt.Errorf("look for sales: %w", err)
	}
	over := map[termsKey]bool{}
	for _, row := range rows {
		over[termsKey{row.SaleID, row.ProductID}] = true
	}
	for n, i := range lost {
		if over[termsKey{arg.SaleIds[n], arg.ProductIds[n]}] {
			b.answers[i].Out.refusal = saleEnded()
			b.calls[i].about = *b.calls[i].SaleID
			continue
		}
		b.answers[i].Out.refusal = notFound("sale with this product")
	}
	return nil
}

func tooMany(most int) *Refusal {
	return invalid("body.quantity", fmt.Sprintf("must be a whole number from 1 to %d", most))
}

// price is that of one unit for a call.
func (p *poolShare) priceFor(c *claimCall) *Money {
	if c.terms != nil {
		return &Money{Amount: c.terms.PriceMinor, Currency: c.terms.Currency}
	}
	return p.price
}

// holdFor is how long a call keeps its units.
func (b *settlement) holdFor(c *claimCall) time.Duration {
	if c.terms != nil {
		return c.terms.hold()
	}
	return b.s.o.Hold
}

// saleOf is the sale that a call is served through.
func (c *claimCall) saleOf() *ID {
	if c.terms == nil {
		return nil
	}
	return &c.terms.SaleID
}
