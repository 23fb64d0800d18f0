package httpapi

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// Sale is a planned event.
type Sale struct {
	ID              string     `json:"id" format:"uuid"`
	Name            string     `json:"name" example:"12.12"`
	Status          string     `json:"status" enum:"draft,scheduled,open,paused,closed" doc:"draft → scheduled → open ⇄ paused → closed; it opens and closes by the store's clock."`
	OpensAt         time.Time  `json:"opens_at"`
	ClosesAt        time.Time  `json:"closes_at"`
	HoldSeconds     int        `json:"hold_seconds" doc:"How long a claim keeps its units."`
	PurchaseLimit   *int       `json:"purchase_limit" doc:"How many units one buyer may hold or own, over all carts and orders; null: any number."`
	MaxQuantity     int        `json:"max_quantity" doc:"How many units one claim may ask for."`
	CooldownSeconds int        `json:"cooldown_seconds" doc:"How long a buyer can claim nothing of it after a hold has expired."`
	Items           []SaleItem `json:"items" nullable:"false"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
}

// SaleItem is a product in a sale.
type SaleItem struct {
	SKU      string `json:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"SKU" required:"true" example:"mug-blue"`
	Price    Money  `json:"price" required:"true" doc:"Of one unit in the sale."`
	Quantity *int   `json:"quantity" required:"false" nullable:"true" minimum:"1" maximum:"1000000" doc:"The allotment: units that are set aside for the sale, while the rest sells on normally. Null: the product sells from the common stock, and only through the sale."`
}

// SalePage is a page of sales.
type SalePage struct {
	Items      []Sale  `json:"items" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Where the next page begins; null on the last."`
}

// ProductSale is a sale as a product in it shows it.
type ProductSale struct {
	ID            string    `json:"id" format:"uuid"`
	Name          string    `json:"name"`
	Status        string    `json:"status" enum:"scheduled,open,paused"`
	OpensAt       time.Time `json:"opens_at"`
	ClosesAt      time.Time `json:"closes_at"`
	Price         Money     `json:"price" doc:"Of one unit in the sale."`
	PurchaseLimit *int      `json:"purchase_limit" doc:"How many units one buyer may hold or own; null: any number."`
	MaxQuantity   int       `json:"max_quantity" doc:"How many units one claim may ask for."`
	Allotted      bool      `json:"allotted" doc:"The sale has units for itself; others may sell beside it, at the product's price."`
}

// SaleChange is something that was done to a sale.
type SaleChange struct {
	ID      string          `json:"id" format:"uuid"`
	At      time.Time       `json:"at"`
	KeyID   string          `json:"key_id" format:"uuid" doc:"The API key that did it."`
	KeyName string          `json:"key_name"`
	Action  string          `json:"action" enum:"created,changed,schedule,open,pause,resume,close"`
	Changes json.RawMessage `json:"changes" doc:"For each field that was changed, what it was (from) and what it became (to)."`
}

// TransformSchema implements huma.SchemaTransformer.
func (SaleChange) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withObject(s, false, "changes")
}

// SaleChangePage is a page of changes.
type SaleChangePage struct {
	Items      []SaleChange `json:"items" nullable:"false"`
	NextCursor *string      `json:"next_cursor" doc:"Where the next page begins; null on the last."`
}

// Selling is whether anything is sold.
type Selling struct {
	Paused   bool       `json:"paused"`
	PausedAt *time.Time `json:"paused_at"`
}

func saleOut(s shop.Sale) Sale {
	out := Sale{
		ID:              s.ID.String(),
		Name:            s.Name,
		Status:          string(s.State),
		OpensAt:         s.OpensAt.UTC(),
		ClosesAt:        s.ClosesAt.UTC(),
		HoldSeconds:     int(s.Hold / time.Second),
		PurchaseLimit:   s.PurchaseLimit,
		MaxQuantity:     s.MaxQuantity,
		CooldownSeconds: s.CooldownSeconds,
		Items:           make([]SaleItem, len(s.Items)),
		CreatedAt:       s.CreatedAt.UTC(),
		UpdatedAt:       s.UpdatedAt.UTC(),
	}
	for i, item := range s.Items {
		out.Items[i] = SaleItem{SKU: item.SKU, Price: Money(item.Price), Quantity: item.Quantity}
	}
	return out
}

func productSaleOut(s *shop.ProductSale) *ProductSale {
	if s == nil {
		return nil
	}
	return &ProductSale{
		ID: s.ID.String(), Name: s.Name, Status: string(s.State), OpensAt: s.OpensAt.UTC(), ClosesAt: s.ClosesAt.UTC(), Price: Money(s.Price),
		PurchaseLimit: s.PurchaseLimit, MaxQuantity: s.MaxQuantity, Allotted: s.Allotted,
	}
}
