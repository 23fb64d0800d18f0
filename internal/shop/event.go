package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// EventType names what an event tells.
type EventType string

// The events. The data of those of an order, a sale or a product name it: order_id, sale_id, sku.
const (
	OrderCreated   EventType = "order.created"
	OrderPaid      EventType = "order.paid"
	OrderCancelled EventType = "order.cancelled" // reason
	OrderRefunded  EventType = "order.refunded"  // unit_ids, amount, currency, restock; the whole order when status is refunded
	// PaymentLate: money for a cancelled order came after all; replaced_by_order_id has equal units, or without it the money goes back.
	PaymentLate EventType = "payment.late"
	// PaymentAttention: what the shop's people should look at of an order's payment has changed, to what attention lists; payment_id, amount, currency.
	PaymentAttention EventType = "payment.attention"

	SaleCreated    EventType = "sale.created"
	SaleChanged    EventType = "sale.changed"
	SaleScheduled  EventType = "sale.scheduled"
	SaleOpened     EventType = "sale.opened"
	SalePausedNow  EventType = "sale.paused"
	SaleResumed    EventType = "sale.resumed"
	SaleClosed     EventType = "sale.closed"
	SellingPaused  EventType = "selling.paused"
	SellingResumed EventType = "selling.resumed"
	// OutOfStock: the last unit that could be claimed of a product (with sale_id: of its allotment) was taken. BackInStock: there is one again.
	OutOfStock  EventType = "product.out_of_stock"
	BackInStock EventType = "product.back_in_stock"
	// What lastunit audit --repair has done: repair_id, check, sku, unit_id, transaction_id, order_id, sale_id, buyer, done.
	UnitRepaired        EventType = "unit.repaired"        // where a unit is, and who lost it
	TransactionRepaired EventType = "transaction.repaired" // a hold, or a line of an order
	OrderRepaired       EventType = "order.repaired"       // the sums of an order
	StockRepaired       EventType = "stock.repaired"       // counts of a product's receipts, withdrawals and queue, and of its buyers
)

// EventTypes lists all types of events.
func EventTypes() []EventType {
	return []EventType{
		OrderCreated, OrderPaid, OrderCancelled, OrderRefunded, PaymentLate, PaymentAttention, SaleCreated, SaleChanged, SaleScheduled, SaleOpened, SalePausedNow,
		SaleResumed, SaleClosed, SellingPaused, SellingResumed, OutOfStock, BackInStock, UnitRepaired, TransactionRepaired, OrderRepaired, StockRepaired,
	}
}

// Event is something that happened to an order, a sale or a product.
type Event struct {
	ID        ID
	Type      EventType
	Data      json.RawMessage
	CreatedAt time.Time
	Position  int64 // its place among all events; a cursor
}

// news is an event that is to be written.
type news struct {
	kind EventType
	data map[string]any
}

// tell writes events into the outbox, in the transaction that does what they tell.
func (s *Shop) tell(ctx context.Context, db pgdb.Queryer, all ...news) error {
	if len(all) == 0 {
		return nil
	}
	arg := dbsqlc.EventInsertManyParams{Now: s.o.Now()}
	for _, n := range all {
		data, err := json.Marshal(n.data)
		if err != nil {
			return err
		}
		arg.EventIds = append(arg.EventIds, pgdb.NewID())
		arg.Types = append(arg.Types, string(n.kind))
		arg.Datas = append(arg.Datas, string(data))
	}
	if err := s.q.EventInsertMany(ctx, db, arg); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

// tellSale writes an event of a sale into the outbox, unless it is a rehearsal's: whoever reads events sells, and nothing of a rehearsal is for sale.
func (s *Shop) tellSale(ctx context.Context, tx pgx.Tx, rehearsal bool, kind EventType, data map[string]any) error {
	if rehearsal {
		return nil
	}
	return s.tell(ctx, tx, news{kind, data})
}

// Events reads events behind a position, in their order, at most limit, of all types when none are named. Whoever has seen one has been shown all
// before it: an event whose transaction commits late comes later. What was committed before the call is among them, unless whoever gives events their
// positions stalls for longer than publishPatience. more tells whether there are others behind the last.
func (s *Shop) Events(ctx context.Context, after int64, types []EventType, limit int) (events []Event, more bool, err error) {
	for until := time.Now().Add(publishPatience); ; {
		if published, err := s.publishEvents(ctx); err != nil {
			return nil, false, explain("publish events", err)
		} else if published || time.Now().After(until) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	rows, err := s.q.EventList(ctx, s.pool, dbsqlc.EventListParams{AfterPosition: after, Types: typeNames(types), RowLimit: int32(limit) + 1})
	if err != nil {
		return nil, false, explain("read events", err)
	}
	for _, row := range rows {
		events = append(events, Event{ID: row.EventID, Type: EventType(row.Type), Data: row.Data, CreatedAt: row.CreatedAt, Position: row.Position})
	}
	if len(events) > limit {
		events, more = events[:limit], true
	}
	return events, more, nil
}

// publishPatience is how long whoever reads events waits for somebody else who is about to publish them.
const publishPatience = 500 * time.Millisecond

// publishEvents gives events that have been committed their positions, unless somebody else is about to, which it tells.
func (s *Shop) publishEvents(ctx context.Context) (published bool, err error) {
	const atOnce = 1000
	for n := atOnce; n == atOnce; {
		unpublished, err := s.q.EventUnpublished(ctx, s.pool) // mostly there are none, and then that is all
		if err == nil && !unpublished {
			return true, nil
		}
		var types []string
		if err == nil {
			err = s.inTx(ctx, func(tx pgx.Tx) (err error) {
				if _, err = s.q.EventLockTail(ctx, tx); err != nil {
					return err
				}
				types, err = s.q.EventPublish(ctx, tx, atOnce)
				return err
			})
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("give events their positions: %w", err)
		}
		for _, t := range types {
			s.o.Observer.event(EventType(t))
		}
		n = len(types)
	}
	return true, nil
}

// runOut tells of pools of which the batch has taken the last token.
func (b *settlement) runOut(ctx context.Context, tx pgx.Tx) error {
	return b.s.tellRunOut(ctx, tx, b.taken, b.left)
}

// ranOut tells of those pools that have no token behind a position, from which tokens were taken.
func (s *Shop) ranOut(ctx context.Context, tx pgx.Tx, taken []poolKey, last map[poolKey]int64) error {
	if len(taken) == 0 {
		return nil
	}
	arg := dbsqlc.StockTokenLeftParams{}
	for _, k := range taken {
		arg.ProductIds = append(arg.ProductIds, k.productID)
		arg.PoolIds = append(arg.PoolIds, k.poolID)
		arg.Positions = append(arg.Positions, last[k])
	}
	left, err := s.q.StockTokenLeft(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("look for what is left: %w", err)
	}
	return s.tellRunOut(ctx, tx, taken, left)
}

// tellRunOut tells of those pools, from which tokens were taken, that are not among those that have some left.
func (s *Shop) tellRunOut(ctx context.Context, tx pgx.Tx, taken []poolKey, left []dbsqlc.StockTokenLeftRow) error {
	if len(left) == len(taken) {
		return nil
	}
	begin := dbsqlc.StockOutBeginParams{Now: s.o.Now()}
	for _, k := range taken {
		if !slices.Contains(left, dbsqlc.StockTokenLeftRow{ProductID: k.productID, PoolID: k.poolID}) {
			begin.ProductIds = append(begin.ProductIds, k.productID)
			begin.PoolIds = append(begin.PoolIds, k.poolID)
		}
	}
	rows, err := s.q.StockOutBegin(ctx, tx, begin)
	if err != nil {
		return fmt.Errorf("remember what ran out: %w", err)
	}
	var out []poolKey
	for _, row := range rows {
		out = append(out, poolKey{row.ProductID, row.PoolID})
	}
	return s.tellStock(ctx, tx, OutOfStock, out)
}

// cameBack tells of pools that had run out and have got tokens, or into whose product's common pool these went.
func (s *Shop) cameBack(ctx context.Context, tx pgx.Tx, pools ...poolKey) error {
	arg := dbsqlc.StockOutEndParams{}
	seen := map[poolKey]bool{}
	for _, k := range pools {
		for _, k := range []poolKey{k, {k.productID, commonPool}} {
			if !seen[k] {
				seen[k] = true
				arg.ProductIds = append(arg.ProductIds, k.productID)
				arg.PoolIds = append(arg.PoolIds, k.poolID)
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	rows, err := s.q.StockOutEnd(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("forget what ran out: %w", err)
	}
	var back []poolKey
	for _, row := range rows {
		back = append(back, poolKey{row.ProductID, row.PoolID})
	}
	return s.tellStock(ctx, tx, BackInStock, back)
}

// tellStock tells of pools, those of rehearsals left out.
func (s *Shop) tellStock(ctx context.Context, tx pgx.Tx, kind EventType, pools []poolKey) error {
	if len(pools) == 0 {
		return nil
	}
	arg := dbsqlc.StockOutSkusParams{}
	for _, k := range pools {
		arg.ProductIds = append(arg.ProductIds, k.productID)
		arg.PoolIds = append(arg.PoolIds, k.poolID)
	}
	rows, err := s.q.StockOutSkus(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("name products: %w", err)
	}
	var all []news
	for _, row := range rows {
		all = append(all, news{kind, map[string]any{"sku": row.SKU, "sale_id": row.SaleID}})
	}
	return s.tell(ctx, tx, all...)
}

// TellRefilled is housekeeping: it tells of pools that are remembered as having run out though they have tokens, because the transaction that took
// the last one and the one that brought another passed each other.
func (s *Shop) TellRefilled(ctx context.Context) error {
	rows, err := s.q.StockOutRefilled(ctx, s.pool)
	if err != nil || len(rows) == 0 {
		return err
	}
	return s.inTx(ctx, func(tx pgx.Tx) error {
		var arg dbsqlc.StockOutEndParams
		for _, row := range rows {
			arg.ProductIds = append(arg.ProductIds, row.ProductID)
			arg.PoolIds = append(arg.PoolIds, row.PoolID)
		}
		ended, err := s.q.StockOutEnd(ctx, tx, arg)
		if err != nil {
			return err
		}
		var back []poolKey
		for _, row := range ended {
			back = append(back, poolKey{row.ProductID, row.PoolID})
		}
		return s.tellStock(ctx, tx, BackInStock, back)
	})
}
