package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

const listEventsText = "What happened to orders, sales and the stock of products, in one order that never changes: whoever goes on from `next_cursor` misses nothing, also not what was " +
	"committed late. Those that end in `.repaired` tell what an operator had repaired that an audit had found broken: `check`, what it was about, and `done` in words. " +
	"`next_cursor` is always there, on the last page as well: it is where to go on when more has happened. Without `cursor` it begins with the first event."

// Event is something that happened to an order, a sale or a product.
type Event struct {
	ID        string          `json:"id" format:"uuid"`
	Type      string          `json:"type" example:"order.paid"`
	Data      json.RawMessage `json:"data" doc:"Names what it happened to: order_id, sale_id or sku, and more that depends on the type."`
	CreatedAt time.Time       `json:"created_at"`
}

// TransformSchema implements huma.SchemaTransformer.
func (Event) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["type"].Enum = eventTypes()
	return withObject(s, false, "data")
}

// EventPage is a page of events.
type EventPage struct {
	Items      []Event `json:"items" nullable:"false"`
	NextCursor string  `json:"next_cursor" doc:"Where to go on, now or later."`
}

// eventType is a type of events in a query.
type eventType string

// Schema implements huma.SchemaProvider.
func (eventType) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Enum: eventTypes()}
}

func eventTypes() (all []any) {
	for _, t := range shop.EventTypes() {
		all = append(all, string(t))
	}
	return all
}

type listEventsInput struct {
	Paged
	Type []eventType `query:"type,explode" maxItems:"100" doc:"Only these; repeat it for several."`
}

// Resolve implements huma.Resolver.
func (*listEventsInput) Resolve(hc huma.Context) []error { return firstMeans(hc, "type") }

type listEventsOutput struct{ Body EventPage }

func (a *api) listEvents(ctx context.Context, in *listEventsInput) (*listEventsOutput, error) {
	position, err := in.position()
	if err != nil {
		return nil, err
	}
	types := make([]shop.EventType, len(in.Type))
	for i, t := range in.Type {
		types[i] = shop.EventType(t)
	}
	events, _, err := a.shop.Events(ctx, position, types, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listEventsOutput{Body: EventPage{Items: make([]Event, len(events))}}
	for i, e := range events {
		out.Body.Items[i] = Event{ID: e.ID.String(), Type: string(e.Type), Data: e.Data, CreatedAt: e.CreatedAt.UTC()}
		position = e.Position
	}
	out.Body.NextCursor = positionCursor(position)
	return out, nil
}
