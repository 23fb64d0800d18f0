package httpapi

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// The resources, as callers see them: JSON in snake_case, times in RFC 3339 and UTC, absent values null, absent lists empty.

// Money is an amount in minor units.
type Money struct {
	Amount   int64  `json:"amount" minimum:"0" maximum:"9007199254740991" required:"true" doc:"In minor units of the currency, such as cents." example:"12900"`
	Currency string `json:"currency" pattern:"^[A-Z]{3}$" required:"true" doc:"ISO 4217." example:"EUR"`
}

// Transaction is a claim, from its request to its end.
type Transaction struct {
	ID            string          `json:"id" format:"uuid"`
	Status        string          `json:"status" enum:"queued,held,ordered,released,expired,refused" doc:"queued → held, refused or released; held → ordered, released or expired."`
	SKU           string          `json:"sku"`
	Quantity      int             `json:"quantity"`
	UnitIDs       []string        `json:"unit_ids" nullable:"false" doc:"The units that it has or had."`
	Price         *Money          `json:"price" doc:"Of one unit, as it was when the units were held."`
	SaleID        *string         `json:"sale_id" format:"uuid" doc:"The sale that it was served through; null: it sold normally."`
	OrderID       *string         `json:"order_id" format:"uuid" doc:"The order that it is a line of."`
	QueuePosition *int64          `json:"queue_position" minimum:"0" doc:"Units asked for ahead of it; 0 is next. Null once decided."`
	ExpiresAt     *time.Time      `json:"expires_at" doc:"Until when the units are held."`
	CreatedAt     time.Time       `json:"created_at"`
	Reason        *string         `json:"reason" doc:"The problem code of a refusal."`
	Reference     *string         `json:"reference" doc:"That was sent with it."`
	Metadata      json.RawMessage `json:"metadata" doc:"That was sent with it; it means nothing to lastunit."`
}

// TransformSchema implements huma.SchemaTransformer.
func (Transaction) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withObject(withNullable(s, "price"), true, "metadata")
}

// withNullable lets properties that are another schema be null, which huma has no tag for.
func withNullable(s *huma.Schema, names ...string) *huma.Schema {
	for _, name := range names {
		p := s.Properties[name]
		s.Properties[name] = &huma.Schema{
			Description: p.Description,
			AnyOf:       []*huma.Schema{{Ref: p.Ref}, {Type: "null"}},
		}
	}
	return s
}

// withObject says of properties that are kept as JSON that they are objects.
func withObject(s *huma.Schema, nullable bool, names ...string) *huma.Schema {
	for _, name := range names {
		s.Properties[name] = &huma.Schema{
			Description: s.Properties[name].Description, Type: huma.TypeObject, Nullable: nullable, AdditionalProperties: true,
		}
	}
	return s
}

// Cart is what a buyer has in the cart.
type Cart struct {
	Items      []Transaction `json:"items" nullable:"false" doc:"The holds, the oldest first."`
	Queued     []Transaction `json:"queued" nullable:"false" doc:"Requests that are not yet decided."`
	Totals     []Money       `json:"totals" nullable:"false" doc:"What the holds cost, a sum for each currency."`
	NextExpiry *time.Time    `json:"next_expiry" doc:"When the first hold lapses."`
}

// Availability is what can be claimed of a product.
type Availability struct {
	Status        string     `json:"status" enum:"available,all_held,sold_out,not_open,paused,ended,not_selling"`
	Available     int64      `json:"available" doc:"Exact up to the configured number (show-stock); above, that number."`
	Capped        bool       `json:"capped" doc:"There are more than available says."`
	NextReleaseAt *time.Time `json:"next_release_at" doc:"With all_held: when the first hold ends."`
}

// Product is what is sold.
type Product struct {
	SKU          string          `json:"sku" example:"mug-blue"`
	Name         *string         `json:"name" example:"Blue mug"`
	Description  *string         `json:"description"`
	Price        *Money          `json:"price" doc:"Null when a shop beside this one knows the price."`
	ImageURL     *string         `json:"image_url" format:"uri-reference"`
	Attributes   json.RawMessage `json:"attributes" doc:"It means nothing to lastunit."`
	Selling      bool            `json:"selling"`
	Rehearsal    bool            `json:"rehearsal" doc:"Made by a rehearsal: absent from lists, and may be deleted."`
	UpdatedAt    time.Time       `json:"updated_at"`
	Availability Availability    `json:"availability"`
	Sale         *ProductSale    `json:"sale" doc:"The sale that is open for it, or else the next one; null when none is planned."`
}

// TransformSchema implements huma.SchemaTransformer.
func (Product) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withObject(withNullable(s, "price", "sale"), false, "attributes")
}

// Receipt is units that came in.
type Receipt struct {
	ID        string    `json:"id" format:"uuid"`
	SKU       string    `json:"sku"`
	Quantity  int       `json:"quantity"`
	Reference string    `json:"reference"`
	CreatedAt time.Time `json:"created_at"`
}

// Withdrawal is units that were taken out for good.
type Withdrawal struct {
	ID        string    `json:"id" format:"uuid"`
	SKU       string    `json:"sku"`
	Quantity  int       `json:"quantity"`
	Reason    string    `json:"reason"`
	Place     string    `json:"place" enum:"available,quarantine,sold" doc:"Where they were: sold ones came back and were written off."`
	CreatedAt time.Time `json:"created_at"`
}

// QuarantineRelease is units that came out of quarantine.
type QuarantineRelease struct {
	SKU      string   `json:"sku"`
	Quantity int      `json:"quantity" doc:"How many this request has released; 0 for a replay."`
	UnitIDs  []string `json:"unit_ids" nullable:"false"`
}

// Stock is where the units of a product are. Received is the sum of the six places.
type Stock struct {
	Received   int64 `json:"received"`
	Available  int64 `json:"available"`
	Held       int64 `json:"held"`
	Ordered    int64 `json:"ordered"`
	Sold       int64 `json:"sold"`
	Quarantine int64 `json:"quarantine"`
	Withdrawn  int64 `json:"withdrawn"`
}

// Unit is one physical item and its life.
type Unit struct {
	ID     string      `json:"id" format:"uuid"`
	SKU    string      `json:"sku"`
	Serial *string     `json:"serial"`
	Place  string      `json:"place" enum:"available,held,ordered,sold,quarantine,withdrawn"`
	Life   []UnitEvent `json:"life" nullable:"false" doc:"What happened to it, in order; of more than 1000 transactions, the latest."`
}

// UnitEvent is something that happened to a unit.
type UnitEvent struct {
	At            time.Time `json:"at"`
	Event         string    `json:"event" enum:"received,held,ordered,paid,released,expired,cancelled,returned,quarantined,written_off,unquarantined,withdrawn,repaired"`
	ReceiptID     *string   `json:"receipt_id" format:"uuid"`
	TransactionID *string   `json:"transaction_id" format:"uuid"`
	OrderID       *string   `json:"order_id" format:"uuid" doc:"The order that it was in."`
	WithdrawalID  *string   `json:"withdrawal_id" format:"uuid"`
	Buyer         *string   `json:"buyer"`
	Reference     *string   `json:"reference" doc:"Of the receipt, the reason of the withdrawal, or what a repair has done."`
}

// Audit is what a finished audit found.
type Audit struct {
	ID         string    `json:"id" format:"uuid"`
	SKU        *string   `json:"sku" doc:"The product that was audited; null for all."`
	OK         bool      `json:"ok"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Checks     []Check   `json:"checks" nullable:"false"`
}

// Check is one invariant.
type Check struct {
	Name       string      `json:"name" example:"one_place"`
	OK         bool        `json:"ok"`
	Violations []Violation `json:"violations" nullable:"false" doc:"The rows that break it, at most 100."`
}

// Violation is a row, or a sum, that breaks an invariant.
type Violation struct {
	SKU           string  `json:"sku"`
	UnitID        *string `json:"unit_id" format:"uuid"`
	TransactionID *string `json:"transaction_id" format:"uuid"`
	Detail        string  `json:"detail"`
}

func moneyOut(m *shop.Money) *Money {
	if m == nil {
		return nil
	}
	return &Money{Amount: m.Amount, Currency: m.Currency}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func idOut(id *shop.ID) *string {
	if id == nil {
		return nil
	}
	return ptr(id.String())
}

func idsOut(ids []shop.ID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

func textOut(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func transactionOut(t shop.Transaction) Transaction {
	out := Transaction{
		ID:        t.ID.String(),
		Status:    string(t.Status),
		SKU:       t.SKU,
		Quantity:  t.Quantity,
		UnitIDs:   idsOut(t.UnitIDs),
		Price:     moneyOut(t.Price),
		SaleID:    idOut(t.SaleID),
		OrderID:   idOut(t.OrderID),
		ExpiresAt: utc(t.ExpiresAt),
		CreatedAt: t.CreatedAt.UTC(),
		Reference: textOut(t.Reference),
		Metadata:  t.Metadata,
	}
	if t.Status == shop.Queued {
		out.QueuePosition = &t.QueuePosition
	}
	if t.Refusal != nil {
		out.Reason = ptr(string(t.Refusal.Code))
	}
	return out
}

func transactionsOut(ts []shop.Transaction) []Transaction {
	out := make([]Transaction, len(ts))
	for i, t := range ts {
		out[i] = transactionOut(t)
	}
	return out
}

func cartOut(c shop.Cart) Cart {
	totals := make([]Money, len(c.Totals))
	for i, m := range c.Totals {
		totals[i] = Money(m)
	}
	return Cart{Items: transactionsOut(c.Held), Queued: transactionsOut(c.Queued), Totals: totals, NextExpiry: utc(c.NextExpiry)}
}

func productOut(p shop.Product) Product {
	return Product{
		SKU:         p.SKU,
		Name:        p.Name,
		Description: p.Description,
		Price:       moneyOut(p.Price),
		ImageURL:    p.ImageURL,
		Attributes:  p.Attributes,
		Selling:     p.Selling,
		Rehearsal:   p.Rehearsal,
		UpdatedAt:   p.UpdatedAt.UTC(),
		Availability: Availability{
			Status:        string(p.Availability.Status),
			Available:     p.Availability.Available,
			Capped:        p.Availability.Capped,
			NextReleaseAt: utc(p.Availability.NextReleaseAt),
		},
		Sale: productSaleOut(p.Sale),
	}
}

func unitOut(u shop.Unit) Unit {
	out := Unit{ID: u.ID.String(), SKU: u.SKU, Serial: u.Serial, Place: string(u.Place), Life: make([]UnitEvent, len(u.Life))}
	for i, e := range u.Life {
		event := UnitEvent{At: e.At.UTC(), Event: e.Event, OrderID: idOut(e.OrderID), Buyer: textOut(e.Buyer), Reference: textOut(e.Reference)}
		switch e.Event {
		case "received":
			event.ReceiptID = idOut(&e.ID)
		case "withdrawn":
			event.WithdrawalID = idOut(&e.ID)
		case "unquarantined", "repaired": // the id is the order's, or of what nobody can look up
		default:
			event.TransactionID = idOut(&e.ID)
		}
		out.Life[i] = event
	}
	return out
}

// AuditResource is an audit as callers see it.
func AuditResource(a shop.Audit) Audit {
	// To the microsecond, as the database keeps them: a replay shows the same.
	started, finished := a.StartedAt.UTC().Truncate(time.Microsecond), a.FinishedAt.UTC().Truncate(time.Microsecond)
	out := Audit{ID: a.ID.String(), SKU: a.SKU, OK: a.OK, StartedAt: started, FinishedAt: finished, Checks: make([]Check, len(a.Checks))}
	for i, c := range a.Checks {
		check := Check{Name: c.Name, OK: c.OK, Violations: make([]Violation, len(c.Violations))}
		for j, v := range c.Violations {
			check.Violations[j] = Violation{SKU: v.SKU, UnitID: idOut(v.UnitID), TransactionID: idOut(v.TransactionID), Detail: v.Detail}
		}
		out.Checks[i] = check
	}
	return out
}
