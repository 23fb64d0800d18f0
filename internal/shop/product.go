package shop

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
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
	case p.ImageURL != nil && !isPicture(*p.ImageURL):
		return Product{}, false, invalid("body.image_url", "must be an https URL, such as https://pictures.example/mug.png, or a path on this service, such as /pictures/mug.png")
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
	created := false
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		created, err = s.q.ProductPut(ctx, tx, arg)
		return err
	})
	if err != nil {
		return Product{}, false, explain("put product", err)
	}
	put, err := s.Product(ctx, p.SKU)
	return put, created, afterwards(err)
}

// isPicture tells whether a URL may name a picture: browsers fetch it from this service or by https, and run nothing.
func isPicture(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || strings.Contains(text, `\`) {
		return false
	}
	if u.Scheme == "https" {
		return u.Host != ""
	}
	return u.Scheme == "" && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//")
}

// Product reads a product by its SKU. Refusals: NotFound.
func (s *Shop) Product(ctx context.Context, sku string) (Product, error) {
	products, err := s.shown(ctx, []string{sku})
	switch {
	case err != nil:
		return Product{}, err
	case len(products) == 0:
		return Product{}, notFound("product")
	}
	return products[0], nil
}

// Products pages through the catalogue by SKU, from after (excluded), at most limit; with skus, only those that are named. more
// tells whether there are others behind the last.
func (s *Shop) Products(ctx context.Context, skus []string, after string, limit int) (products []Product, more bool, err error) {
	found, err := s.q.ProductList(ctx, s.pool, dbsqlc.ProductListParams{
		AfterSku: after,
		Skus:     append([]string{}, skus...), // an empty list, never NULL
		RowLimit: int32(limit) + 1,
	})
	if err != nil {
		return nil, false, explain("list products", err)
	}
	if len(found) > limit {
		found, more = found[:limit], true
	}
	products, err = s.shown(ctx, found)
	return products, more, err
}

// DeleteRehearsalProduct deletes a product that a rehearsal has made, with its units, transactions and audits, and with the last one its sale. Refusals: NotFound, Conflict
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
			s.q.AuditRunDeleteByProduct,
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

// shown reads products as buyers see them, by SKU; what there is not is left out. It keeps to the indexes: to count to a thousand, the planner would read all tokens of all
// products from the first on, and go on to the last where a product has few.
func (s *Shop) shown(ctx context.Context, skus []string) ([]Product, error) {
	var rows []dbsqlc.ProductShownRow
	err := pgdb.Together(ctx, s.pool,
		s.settings(ctx),
		func(db pgdb.Queryer) (err error) {
			rows, err = s.q.ProductShown(ctx, db, dbsqlc.ProductShownParams{Cap: int64(s.o.ShowStock), Now: s.o.Now(), Skus: skus})
			return err
		})
	if err != nil {
		return nil, explain("read products", err)
	}
	products := make([]Product, 0, len(skus))
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Product.ProductID == rows[0].Product.ProductID {
			n++
		}
		products = append(products, s.productShown(rows[:n]))
		rows = rows[n:]
	}
	return products, nil
}

// productShown makes a product of its rows, which differ in the sale.
func (s *Shop) productShown(rows []dbsqlc.ProductShownRow) Product {
	row := rows[0]
	p := Product{
		SKU:          row.Product.SKU,
		Name:         row.Product.Name,
		Description:  row.Product.Description,
		Price:        money(row.Product.PriceMinor, row.Product.Currency),
		ImageURL:     row.Product.ImageURL,
		Attributes:   row.Product.Attributes,
		Selling:      row.Product.Selling,
		Rehearsal:    row.Product.Rehearsal,
		UpdatedAt:    row.Product.UpdatedAt,
		Availability: s.availability(row),
	}
	var current *ProductSale // the one that is open or paused
	keptFor := false         // a sale that opens later keeps it for itself
	for _, row := range rows {
		sale := productSale(row)
		switch {
		case sale == nil:
		case sale.State == SaleIsScheduled:
			keptFor = keptFor || !sale.Allotted
		case current == nil:
			current = sale
		}
		if p.Sale == nil {
			p.Sale = sale
		}
	}
	if current != nil {
		p.Sale = current
	}
	switch {
	case !p.Selling:
	case row.PausedAt != nil, current != nil && current.State == SaleIsPaused:
		p.Availability.Status = IsOnPause
	case current == nil && keptFor:
		p.Availability.Status = IsNotOpen
	}
	return p
}

// productSale is the sale of a row, or nil.
func productSale(row dbsqlc.ProductShownRow) *ProductSale {
	if row.SaleID == nil {
		return nil
	}
	return &ProductSale{
		ID: *row.SaleID, Name: *row.SaleName, State: SaleState(row.SaleState), OpensAt: *row.OpensAt, ClosesAt: *row.ClosesAt,
		Price: *money(row.SalePriceMinor, row.SaleCurrency), PurchaseLimit: intOf(row.PurchaseLimit), MaxQuantity: int(*row.MaxQuantity), Allotted: row.Allotted,
	}
}

func (s *Shop) availability(row dbsqlc.ProductShownRow) Availability {
	a := Availability{Available: row.TokenCount + row.LapsedUnits}
	if limit := int64(s.o.ShowStock); a.Available > limit {
		a.Available, a.Capped = limit, true
	}
	switch {
	case !row.Product.Selling:
		a.Status = IsNotSelling
	case a.Available > 0 || a.Capped:
		a.Status = IsAvailable
	case row.MayReturn:
		a.Status = IsAllHeld
		a.NextReleaseAt = earlier(row.NextExpiry, row.NextOverdue)
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
