package httpapi

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// Order is what was made of holds: by checkout, or by the shop beside.
type Order struct {
	ID                string          `json:"id" format:"uuid"`
	Buyer             string          `json:"buyer"`
	Status            string          `json:"status" enum:"awaiting_payment,paid,cancelled,refunded" doc:"awaiting_payment → paid or cancelled; paid → refunded. Partly refunded stays paid."`
	Reason            *string         `json:"reason" doc:"Why it is cancelled: payment-overdue, cancelled-by-buyer or repaired (a repair took from it what was another's, and there was no equal unit)."`
	Lines             []OrderLine     `json:"lines" nullable:"false"`
	Total             *Money          `json:"total" doc:"What it costs; null when only the shop beside knows."`
	Refunded          *Money          `json:"refunded" doc:"What of the total was given back; null when there is no total."`
	PayBy             *time.Time      `json:"pay_by" doc:"Until when it is to be paid; null when it was paid from the beginning."`
	Payment           Payment         `json:"payment"`
	Reference         *string         `json:"reference"`
	Metadata          json.RawMessage `json:"metadata" doc:"That was sent with it; it means nothing to lastunit."`
	CreatedAt         time.Time       `json:"created_at"`
	ReplacesOrderID   *string         `json:"replaces_order_id" format:"uuid" doc:"A cancelled order whose money came too late; this one has equal units for it."`
	ReplacedByOrderID *string         `json:"replaced_by_order_id" format:"uuid" doc:"The order that has equal units for the money that came too late for this one."`
}

// TransformSchema implements huma.SchemaTransformer.
func (Order) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withObject(withNullable(s, "total", "refunded"), true, "metadata")
}

// OrderLine is a transaction that was ordered.
type OrderLine struct {
	TransactionID         string   `json:"transaction_id" format:"uuid"`
	SKU                   string   `json:"sku"`
	Quantity              int      `json:"quantity"`
	UnitIDs               []string `json:"unit_ids" nullable:"false" doc:"The units that it has or had."`
	ReturnedUnitIDs       []string `json:"returned_unit_ids" nullable:"false" doc:"Those of them that have left it again."`
	Price                 *Money   `json:"price" doc:"Of one unit; null when only the shop beside knows."`
	SaleID                *string  `json:"sale_id" format:"uuid" doc:"The sale that the units came through."`
	ReplacesTransactionID *string  `json:"replaces_transaction_id" format:"uuid" doc:"The hold that had lapsed, or the line of a cancelled order, for which this one has equal units."`
}

// TransformSchema implements huma.SchemaTransformer.
func (OrderLine) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withNullable(s, "price")
}

// Payment is how far the payment of an order is.
type Payment struct {
	Provider string `json:"provider" doc:"Who takes the money; external: the shop beside." example:"test"`
	Status   string `json:"status" enum:"none,pending,succeeded,failed,refunded"`
}

// OrderPage is a page of orders.
type OrderPage struct {
	Items      []Order `json:"items" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Where the next page begins; null on the last."`
}

func orderOut(o shop.Order) Order {
	out := Order{
		ID:                o.ID.String(),
		Buyer:             o.Buyer,
		Status:            string(o.Status),
		Reason:            textOut(o.Reason),
		Lines:             make([]OrderLine, len(o.Lines)),
		Total:             moneyOut(o.Total),
		PayBy:             utc(o.PayBy),
		Payment:           Payment{Provider: o.Provider, Status: string(o.PaymentStatus)},
		Reference:         textOut(o.Reference),
		Metadata:          o.Metadata,
		CreatedAt:         o.CreatedAt.UTC(),
		ReplacesOrderID:   idOut(o.ReplacesOrderID),
		ReplacedByOrderID: idOut(o.ReplacedByOrderID),
	}
	if o.Total != nil {
		out.Refunded = &Money{Amount: o.Refunded, Currency: o.Total.Currency}
	}
	for i, l := range o.Lines {
		out.Lines[i] = OrderLine{
			TransactionID:         l.TransactionID.String(),
			SKU:                   l.SKU,
			Quantity:              l.Quantity,
			UnitIDs:               idsOut(l.UnitIDs),
			ReturnedUnitIDs:       idsOut(l.ReturnedUnitIDs),
			Price:                 moneyOut(l.Price),
			SaleID:                idOut(l.SaleID),
			ReplacesTransactionID: idOut(l.ReplacesTransactionID),
		}
	}
	return out
}
