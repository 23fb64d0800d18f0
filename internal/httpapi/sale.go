package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	planSaleText   = "As a draft, which only keys with the scope `sale` can see, until it is scheduled."
	listSalesText  = "The newest first. Drafts are shown to keys with the scope `sale` alone."
	changeSaleText = "Changes what is sent and leaves the rest as it is; `purchase_limit` null removes the limit. A draft can be changed in everything. Once it is scheduled, its products " +
		"and allotments stay; while it is open its opening stays as well, and its limit may only rise; a closed one stays as it is. What is already held keeps its price and its time. " +
		"Every change is recorded: see `changes`."
	scheduleSaleText = "Sets the allotments aside, in the sale's own pool. From now on it opens and closes by itself, by the store's clock, and products without an allotment sell only through it."
	openSaleText     = "Opens a scheduled sale now, before its time: `opens_at` becomes now."
	pauseSaleText    = "Nothing more of it is claimed, on any server, within a second. Requests that are queued keep their place; carts, orders and payments go on."
	resumeSaleText   = "Goes on with a sale that is paused."
	closeSaleText    = "Closes a sale now: `closes_at` becomes now. What is left of its allotments goes back to where it came from, and queued requests are refused (`sale-ended`). Live holds may still be ordered."
	saleChangesText  = "What was done to the sale, the oldest first: when, by which key, and what it changed."
	pauseSellingText = "Nothing more is claimed of any product, on any server, within a second. Requests that are queued keep their place; carts, orders and payments go on."
)

// SaleBody plans a sale.
type SaleBody struct {
	Name            string     `json:"name" required:"true" minLength:"1" maxLength:"200" example:"12.12"`
	OpensAt         time.Time  `json:"opens_at" required:"true" doc:"From this instant on it can be claimed from, by the store's clock." example:"2030-12-12T12:12:00Z"`
	ClosesAt        time.Time  `json:"closes_at" required:"true" doc:"From this instant on it can't." example:"2030-12-13T00:00:00Z"`
	HoldSeconds     int        `json:"hold_seconds" required:"true" minimum:"1" maximum:"86400" doc:"How long a claim keeps its units." example:"600"`
	PurchaseLimit   *int       `json:"purchase_limit,omitempty" nullable:"true" minimum:"1" maximum:"1000000" doc:"How many units one buyer may hold or own, over all carts and orders; null: any number." example:"2"`
	MaxQuantity     int        `json:"max_quantity,omitempty" minimum:"1" maximum:"1000" default:"10" doc:"How many units one claim may ask for."`
	CooldownSeconds int        `json:"cooldown_seconds,omitempty" minimum:"0" maximum:"86400" default:"0" doc:"How long a buyer can claim nothing of it after a hold has expired."`
	Items           []SaleItem `json:"items" required:"true" nullable:"false" minItems:"1" maxItems:"100" doc:"Each product once."`
}

type planSaleInput struct {
	Keyed
	Body SaleBody
}

type saleMade struct {
	Location string `header:"Location" doc:"The sale's address."`
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	Body     Sale
}

func (a *api) planSale(ctx context.Context, in *planSaleInput) (*saleMade, error) {
	b := in.Body
	sale, replayed, err := a.shop.CreateSale(ctx, operatorOf(ctx, in.IdempotencyKey), shop.SaleTerms{
		Name: b.Name, OpensAt: b.OpensAt.UTC(), ClosesAt: b.ClosesAt.UTC(), Hold: time.Duration(b.HoldSeconds) * time.Second, PurchaseLimit: b.PurchaseLimit,
		MaxQuantity: b.MaxQuantity, CooldownSeconds: b.CooldownSeconds, Items: saleItems(b.Items),
	})
	if err != nil {
		return nil, err
	}
	return &saleMade{Location: "/api/v1/sales/" + sale.ID.String(), Replayed: replayedHeader(replayed), Body: saleOut(sale)}, nil
}

func saleItems(items []SaleItem) []shop.SaleItem {
	out := make([]shop.SaleItem, len(items))
	for i, item := range items {
		out[i] = shop.SaleItem{SKU: item.SKU, Price: shop.Money(item.Price), Quantity: item.Quantity}
	}
	return out
}

// SalePath is the sale in an address.
type SalePath struct {
	ID string `path:"id" doc:"The sale." example:"019b1234-5678-7abc-8def-0123456789ab"`
}

type saleChanged struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key did it."`
	Body     Sale
}

func saleHasChanged(sale shop.Sale, replayed bool, err error) (*saleChanged, error) {
	if err != nil {
		return nil, err
	}
	return &saleChanged{Replayed: replayedHeader(replayed), Body: saleOut(sale)}, nil
}

// SalePatch is what is to change of a sale.
type SalePatch struct {
	Name            *string     `json:"name,omitempty" minLength:"1" maxLength:"200" example:"12.12, day and night"`
	OpensAt         *time.Time  `json:"opens_at,omitempty"`
	ClosesAt        *time.Time  `json:"closes_at,omitempty"`
	HoldSeconds     *int        `json:"hold_seconds,omitempty" minimum:"1" maximum:"86400"`
	PurchaseLimit   newLimit    `json:"purchase_limit,omitempty"`
	MaxQuantity     *int        `json:"max_quantity,omitempty" minimum:"1" maximum:"1000"`
	CooldownSeconds *int        `json:"cooldown_seconds,omitempty" minimum:"0" maximum:"86400"`
	Items           *[]SaleItem `json:"items,omitempty" minItems:"1" maxItems:"100"`
}

// newLimit is a purchase limit that may be sent as null, which removes it, or not at all, which leaves it as it is.
type newLimit struct {
	sent  bool
	units *int
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *newLimit) UnmarshalJSON(data []byte) error {
	l.sent = true
	return json.Unmarshal(data, &l.units)
}

// Schema implements huma.SchemaProvider.
func (newLimit) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeInteger, Nullable: true, Minimum: ptr(1.0), Maximum: ptr(1e6),
		Description: "How many units one buyer may hold or own, over all carts and orders; null removes the limit.",
	}
}

func (b SalePatch) patch() shop.SalePatch {
	p := shop.SalePatch{Name: b.Name, OpensAt: utc(b.OpensAt), ClosesAt: utc(b.ClosesAt), MaxQuantity: b.MaxQuantity, CooldownSeconds: b.CooldownSeconds}
	if b.HoldSeconds != nil {
		p.Hold = ptr(time.Duration(*b.HoldSeconds) * time.Second)
	}
	if b.PurchaseLimit.sent {
		p.PurchaseLimit = &b.PurchaseLimit.units
	}
	if b.Items != nil {
		p.Items = saleItems(*b.Items)
	}
	return p
}

type changeSaleInput struct {
	SalePath
	Keyed
	Body SalePatch
}

func (a *api) changeSale(ctx context.Context, in *changeSaleInput) (*saleChanged, error) {
	id, err := shop.ParseID("sale", in.ID)
	if err != nil {
		return nil, err
	}
	return saleHasChanged(a.shop.ChangeSale(ctx, operatorOf(ctx, in.IdempotencyKey), id, in.Body.patch()))
}

type moveSaleInput struct {
	SalePath
	Keyed
}

// moveSale is the handler of an action.
func (a *api) moveSale(action shop.SaleAction) func(context.Context, *moveSaleInput) (*saleChanged, error) {
	return func(ctx context.Context, in *moveSaleInput) (*saleChanged, error) {
		id, err := shop.ParseID("sale", in.ID)
		if err != nil {
			return nil, err
		}
		return saleHasChanged(a.shop.MoveSale(ctx, operatorOf(ctx, in.IdempotencyKey), id, action))
	}
}

// seesDrafts tells whether the caller may see sales that are not scheduled yet.
func seesDrafts(ctx context.Context) bool { return callerOf(ctx).key.May(shop.ScopeSale) }

type saleOutput struct{ Body Sale }

func (a *api) getSale(ctx context.Context, in *SalePath) (*saleOutput, error) {
	id, err := shop.ParseID("sale", in.ID)
	if err != nil {
		return nil, err
	}
	sale, err := a.shop.Sale(ctx, id, seesDrafts(ctx))
	if err != nil {
		return nil, err
	}
	return &saleOutput{Body: saleOut(sale)}, nil
}

type listSalesInput struct {
	Paged
	State []string `query:"state,explode" enum:"draft,scheduled,open,paused,closed" maxItems:"5" doc:"Only those with this status; repeat it for several."`
}

// Resolve implements huma.Resolver.
func (*listSalesInput) Resolve(hc huma.Context) []error { return firstMeans(hc, "state") }

type listSalesOutput struct{ Body SalePage }

func (a *api) listSales(ctx context.Context, in *listSalesInput) (*listSalesOutput, error) {
	before, err := in.id()
	if err != nil {
		return nil, err
	}
	states := make([]shop.SaleState, len(in.State))
	for i, state := range in.State {
		states[i] = shop.SaleState(state)
	}
	sales, more, err := a.shop.Sales(ctx, states, seesDrafts(ctx), before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listSalesOutput{Body: SalePage{Items: make([]Sale, len(sales))}}
	for i, sale := range sales {
		out.Body.Items[i] = saleOut(sale)
	}
	if more {
		out.Body.NextCursor = idCursor(sales[len(sales)-1].ID)
	}
	return out, nil
}

type saleChangesInput struct {
	SalePath
	Paged
}

type saleChangesOutput struct{ Body SaleChangePage }

func (a *api) saleChanges(ctx context.Context, in *saleChangesInput) (*saleChangesOutput, error) {
	id, err := shop.ParseID("sale", in.ID)
	if err != nil {
		return nil, err
	}
	after, err := in.id()
	if err != nil {
		return nil, err
	}
	changes, more, err := a.shop.SaleChanges(ctx, &id, after, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &saleChangesOutput{Body: SaleChangePage{Items: make([]SaleChange, len(changes))}}
	for i, c := range changes {
		out.Body.Items[i] = SaleChange{ID: c.ID.String(), At: c.At.UTC(), KeyID: c.KeyID.String(), KeyName: c.KeyName, Action: c.Action, Changes: c.Changes}
	}
	if more {
		out.Body.NextCursor = idCursor(changes[len(changes)-1].ID)
	}
	return out, nil
}

type pauseSellingInput struct{ Keyed }

type sellingOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key did it."`
	Body     Selling
}

func sellingOut(s shop.Selling) Selling {
	return Selling{Paused: s.PausedAt != nil, PausedAt: utc(s.PausedAt)}
}

// pauseSelling is the handler that pauses all selling, or goes on with it.
func (a *api) pauseSelling(pause bool) func(context.Context, *pauseSellingInput) (*sellingOutput, error) {
	return func(ctx context.Context, in *pauseSellingInput) (*sellingOutput, error) {
		selling, replayed, err := a.shop.PauseSelling(ctx, operatorOf(ctx, in.IdempotencyKey), pause)
		if err != nil {
			return nil, err
		}
		return &sellingOutput{Replayed: replayedHeader(replayed), Body: sellingOut(selling)}, nil
	}
}

type sellingNow struct{ Body Selling }

func (a *api) getSelling(ctx context.Context, _ *struct{}) (*sellingNow, error) {
	selling, err := a.shop.Selling(ctx)
	if err != nil {
		return nil, err
	}
	return &sellingNow{Body: sellingOut(selling)}, nil
}
