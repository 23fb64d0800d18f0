package shop

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// SKUPattern is the form of every SKU.
const SKUPattern = `^[A-Za-z0-9._-]{1,64}$`

var (
	skuForm      = regexp.MustCompile(SKUPattern)
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
)

// AvailabilityStatus says in one word whether a product can be claimed, and if not, why.
type AvailabilityStatus string

// The availability of a product.
const (
	IsAvailable  AvailabilityStatus = "available"
	IsAllHeld    AvailabilityStatus = "all_held"
	IsSoldOut    AvailabilityStatus = "sold_out"
	IsNotSelling AvailabilityStatus = "not_selling"
	IsNotOpen    AvailabilityStatus = "not_open" // it sells only in a sale that opens later
	IsOnPause    AvailabilityStatus = "paused"   // its sale, or all selling, is paused
	IsEnded      AvailabilityStatus = "ended"
)

// Availability is what buyers see of a product's stock.
type Availability struct {
	Status AvailabilityStatus
	// Available is exact up to Options.ShowStock; above, it is that number and Capped is true.
	Available     int64
	Capped        bool
	NextReleaseAt *time.Time // when the first hold lapses, if nothing is available
}

// Product is what is sold.
type Product struct {
	SKU         string
	Name        *string
	Description *string
	Price       *Money // nil: it is sold by a shop beside us, which knows the price
	ImageURL    *string
	Attributes  json.RawMessage // an object that means nothing to us
	Selling     bool
	// Rehearsal: made by a rehearsal. It is absent from lists, and may be deleted with everything of it.
	Rehearsal    bool
	UpdatedAt    time.Time
	Availability Availability
	Sale         *ProductSale // the one that is open, or else the next; nil: none is planned
}

// ProductSale is a sale as a product in it shows it.
type ProductSale struct {
	ID            ID
	Name          string
	State         SaleState
	OpensAt       time.Time
	ClosesAt      time.Time
	Price         Money
	PurchaseLimit *int
	MaxQuantity   int
	Allotted      bool // it has units for itself; others may sell beside it, at the product's price
}

// PutProduct creates a product or replaces what is known of it; its stock stays as it is, and so does Rehearsal. It returns the
// product and whether it is new. Refusals: Validation.
func (s *Shop) PutProduct(ctx context.Context, p Product) (Product, bool, error) {
	switch {
	case !skuForm.MatchString(p.SKU):
		return Product{}, false, invalid("path.sku", "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")
	case p.Price != nil && p.Price.Amount < 0:
		return Product{}, false, invalid("body.price.amount", "must not be negative; it is in minor units, such as cents")
	case p.Price != nil && !currencyForm.MatchString(p.Price.Currency):
		return Product{}, false, invalid("body.price.currency", "must be three capital letters, such as EUR")
	}
	arg := dbsqlc.ProductPutParams{
		SKU:         p.SKU,
		Name:        p.Name,
		Description: p.Description,
		ImageURL:    p.ImageURL,
		Attributes:  p.Attributes,
		Selling:     p.Selling,
		Rehearsal:   p.Rehearsal,
	}
	if p.Price != nil {
		arg.PriceMinor, arg.Currency = &p.Price.Amount, &p.Price.Currency
	}
	if len(arg.Attributes) == 0 {
		arg.Attributes = json.RawMessage(`{}`)
	}
	var row dbsqlc.ProductPutRow
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		row, err = s.q.ProductPut(ctx, tx, arg)
		return err
	})
	if err != nil {
		return Product{}, false, explain("put product", err)
	}
	withStock, err := s.withAvailability(ctx, []dbsqlc.Product{row.Product})
	if err != nil {
		return Product{}, false, err
	}
	return withStock[0], row.Created, nil
}

// Product reads a product by its SKU. Refusals: NotFound.
func (s *Shop) Product(ctx context.Context, sku string) (Product, error) {
	row, err := s.product(ctx, s.pool, sku)
	if err != nil {
		return Product{}, err
	}
	products, err := s.withAvailability(ctx, []dbsqlc.Product{row})
	if err != nil {
		return Product{}, err
	}
	return products[0], nil
}

// Products pages through the catalogue by SKU, from after (excluded), at most limit; with skus, only those that are named. more
// tells whether there are others behind the last.
func (s *Shop) Products(ctx context.Context, skus []string, after string, limit int) (products []Product, more bool, err error) {
	rows, err := s.q.ProductList(ctx, s.pool, dbsqlc.ProductListParams{
		AfterSku: after,
		Skus:     append([]string{}, skus...), // an empty list, never NULL
		RowLimit: int32(limit) + 1,
	})
	if err != nil {
		return nil, false, explain("list products", err)
	}
	found := make([]dbsqlc.Product, len(rows))
	for i, row := range rows {
		found[i] = row.Product
	}
	if len(found) > limit {
		found, more = found[:limit], true
	}
	products, err = s.withAvailability(ctx, found)
	return products, more, err
}

// DeleteRehearsalProduct deletes a product that a rehearsal has made, with its units and transactions, and with the last one its sale. Refusals: NotFound, Conflict
// for a product that is not a rehearsal's.
func (s *Shop) DeleteRehearsalProduct(ctx context.Context, sku string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		row, err := s.q.ProductBySkuForUpdate(ctx, tx, sku)
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound("product")
		}
		if err != nil {
			return err
		}
		id := row.Product.ProductID
		if !row.Product.Rehearsal {
			return &Refusal{
				Code:   Conflict,
				State:  "in the catalogue",
				Detail: "Only products that a rehearsal has made can be deleted: units have a history. Take this one off sale with selling false.",
			}
		}
		// The queue first, so that nothing more is accepted or settled. Then the tokens: that waits for claims under way, and leaves nothing to claim. Then the holds: that waits for those who end them,
		// and their units' new tokens go as well.
		if err := s.q.QueueDeleteByProduct(ctx, tx, id); err != nil {
			return err
		}
		for range 2 {
			if err := s.q.StockTokenDeleteByProduct(ctx, tx, id); err != nil {
				return err
			}
			if _, err := s.q.ClaimLockHeld(ctx, tx, id); err != nil {
				return err
			}
		}
		for _, remove := range []func(context.Context, dbsqlc.DBTX, int64) error{
			s.q.ClaimDeleteByProduct, s.q.QuarantineUnitDeleteByProduct, s.q.StockOutDeleteByProduct, s.q.UnitDeleteByProduct, s.q.ReceiptDeleteByProduct, s.q.WithdrawalDeleteByProduct,
		} {
			if err := remove(ctx, tx, id); err != nil {
				return err
			}
		}
		sales, err := s.q.SaleItemDeleteByProduct(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.q.SaleDeleteRehearsals(ctx, tx, sales); err != nil {
			return err
		}
		_, err = s.q.ProductDeleteRehearsal(ctx, tx, id)
		return err
	})
	return explain("delete rehearsal product", err)
}

func (s *Shop) product(ctx context.Context, db dbsqlc.DBTX, sku string) (dbsqlc.Product, error) {
	row, err := s.q.ProductBySku(ctx, db, sku)
	if errors.Is(err, pgx.ErrNoRows) {
		return dbsqlc.Product{}, notFound("product")
	}
	return row.Product, explain("read product", err)
}

func (s *Shop) withAvailability(ctx context.Context, rows []dbsqlc.Product) ([]Product, error) {
	products := make([]Product, len(rows))
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ProductID
		products[i] = Product{
			SKU:         row.SKU,
			Name:        row.Name,
			Description: row.Description,
			Price:       money(row.PriceMinor, row.Currency),
			ImageURL:    row.ImageURL,
			Attributes:  row.Attributes,
			Selling:     row.Selling,
			Rehearsal:   row.Rehearsal,
			UpdatedAt:   row.UpdatedAt,
		}
	}
	sales, err := s.salesOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	selling, err := s.Selling(ctx)
	if err != nil {
		return nil, err
	}
	arg := dbsqlc.StockTokenAvailabilityParams{Cap: int64(s.o.ShowStock), Now: s.o.Now(), ProductIds: ids}
	for _, id := range ids {
		pool := int64(commonPool)
		if open := sales[id]; open.current != nil && open.current.Allotted {
			pool = open.poolID
		}
		arg.PoolIds = append(arg.PoolIds, pool)
	}
	counts, err := s.q.StockTokenAvailability(ctx, s.pool, arg)
	if err != nil {
		return nil, explain("read availability", err)
	}
	for _, c := range counts {
		p := &products[slices.Index(ids, c.ProductID)]
		p.Sale = sales[c.ProductID].shown
		p.Availability = s.availability(p.Selling, c)
		switch {
		case !p.Selling:
		case selling.PausedAt != nil, sales[c.ProductID].current != nil && p.Sale.State == SaleIsPaused:
			p.Availability.Status = IsOnPause
		case sales[c.ProductID].current == nil && sales[c.ProductID].keptFor:
			p.Availability.Status = IsNotOpen
		}
	}
	return products, nil
}

// productSales is what the sales of a product mean for it.
type productSales struct {
	shown   *ProductSale
	current *ProductSale // the one that is open or paused
	poolID  int64        // of current
	keptFor bool         // a sale that opens later keeps it for itself
}

func (s *Shop) salesOf(ctx context.Context, ids []int64) (map[int64]productSales, error) {
	rows, err := s.q.SaleOfProducts(ctx, s.pool, dbsqlc.SaleOfProductsParams{Now: s.o.Now(), ProductIds: ids})
	if err != nil {
		return nil, explain("read sales of products", err)
	}
	sales := map[int64]productSales{}
	for _, row := range rows {
		of := sales[row.ProductID]
		sale := &ProductSale{
			ID: row.SaleID, Name: row.Name, State: SaleState(row.State), OpensAt: row.OpensAt, ClosesAt: row.ClosesAt,
			Price: Money{Amount: row.PriceMinor, Currency: row.Currency}, PurchaseLimit: intOf(row.PurchaseLimit), MaxQuantity: int(row.MaxQuantity),
			Allotted: row.Allotted,
		}
		if of.shown == nil {
			of.shown = sale
		}
		switch {
		case sale.State == SaleIsScheduled:
			of.keptFor = of.keptFor || !sale.Allotted
		case of.current == nil:
			of.shown, of.current, of.poolID = sale, sale, row.PoolID
		}
		sales[row.ProductID] = of
	}
	return sales, nil
}

func (s *Shop) availability(selling bool, c dbsqlc.StockTokenAvailabilityRow) Availability {
	a := Availability{Available: c.TokenCount + c.LapsedUnits}
	if limit := int64(s.o.ShowStock); a.Available > limit {
		a.Available, a.Capped = limit, true
	}
	switch {
	case !selling:
		a.Status = IsNotSelling
	case a.Available > 0 || a.Capped:
		a.Status = IsAvailable
	case c.MayReturn:
		a.Status = IsAllHeld
		a.NextReleaseAt = earlier(c.NextExpiry, c.NextOverdue)
	default:
		a.Status = IsSoldOut
	}
	return a
}

// earlier is the earlier of two times that may not be known.
func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}
