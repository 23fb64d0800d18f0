package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// SaleAction moves a sale along its states.
type SaleAction string

// The actions, and from which states they lead.
const (
	ScheduleSale SaleAction = "schedule" // draft: the allotments are set aside
	OpenSale     SaleAction = "open"     // scheduled: opens now, before its time
	PauseSale    SaleAction = "pause"    // open
	ResumeSale   SaleAction = "resume"   // paused
	CloseSale    SaleAction = "close"    // scheduled, open, paused: closes now; what is left of the allotments goes back
)

// SaleActions lists all actions.
func SaleActions() []SaleAction {
	return []SaleAction{ScheduleSale, OpenSale, PauseSale, ResumeSale, CloseSale}
}

// target is the state to which an action leads.
func (a SaleAction) target() SaleState {
	return map[SaleAction]SaleState{
		ScheduleSale: SaleIsScheduled, OpenSale: SaleIsOpen, PauseSale: SaleIsPaused, ResumeSale: SaleIsOpen, CloseSale: SaleIsClosed,
	}[a]
}

var saleActionEvents = map[SaleAction]EventType{
	ScheduleSale: SaleScheduled, OpenSale: SaleOpened, PauseSale: SalePausedNow, ResumeSale: SaleResumed, CloseSale: SaleClosed,
}

// MoveSale does what an action says. A sale that is already in the state that it leads to stays as it is, and that is no refusal. Refusals: NotFound,
// KeyReused, Conflict; when it is scheduled or opened SaleOverlaps, and NotEnoughUnits for an allotment.
func (s *Shop) MoveSale(ctx context.Context, o Operator, id ID, action SaleAction) (Sale, bool, error) {
	_, replayed, err := s.once(ctx, o.call(), "sale."+string(action), id, id, func(tx pgx.Tx) error {
		sale, at, err := s.lockSale(ctx, tx, id)
		if err != nil {
			return err
		}
		if sale.State == action.target() {
			return s.q.ClaimReplayRecord(ctx, tx)
		}
		moved, err := sale.move(action, at)
		if err != nil {
			return err
		}
		if err := s.writeSale(ctx, tx, sale, moved); err != nil {
			return err
		}
		if action == ScheduleSale {
			if err := s.setAside(ctx, tx, sale); err != nil {
				return err
			}
		}
		if err := s.recordChange(ctx, tx, &id, o, string(action), differences(sale.SaleTerms, moved.SaleTerms)); err != nil {
			return err
		}
		return s.tellSale(ctx, tx, sale.row.Rehearsal, saleActionEvents[action], map[string]any{"sale_id": id, "name": sale.Name, "status": moved.State})
	})
	if err != nil {
		return Sale{}, false, explain(string(action)+" sale", err)
	}
	if action == CloseSale {
		// What it leaves undone is done by TendSales.
		if err := s.TendSales(ctx); err != nil {
			return Sale{}, false, afterwards(explain("close sale", err))
		}
	}
	sale, err := s.Sale(ctx, id, true)
	return sale, replayed, afterwards(err)
}

// move returns the sale as it is after an action.
func (l lockedSale) move(action SaleAction, at time.Time) (lockedSale, error) {
	from, moved := l.State, l
	moved.State = action.target()
	switch {
	case action == ScheduleSale && from == SaleIsDraft:
		if !l.ClosesAt.After(at) {
			return l, conflict(string(from), "The sale would be over already. Change closes_at first.")
		}
		moved.row.Stage, moved.row.Announced = "scheduled", "scheduled"
		if !l.OpensAt.After(at) {
			moved.State = SaleIsOpen
		}
	case action == OpenSale && from == SaleIsScheduled:
		moved.OpensAt, moved.row.Announced = at, "open"
	case action == PauseSale && from == SaleIsOpen:
		moved.row.PausedAt = &at
	case action == ResumeSale && from == SaleIsPaused:
		moved.row.PausedAt = nil
	case action == CloseSale && from != SaleIsDraft:
		moved.ClosesAt, moved.row.Announced = at, "closed"
		if moved.OpensAt.After(at) {
			moved.OpensAt = at
		}
	default:
		return l, conflict(string(from), fmt.Sprintf("A sale that is %s can't be moved by %s. Its states go draft, scheduled, open, paused and open again, closed.", from, action))
	}
	return moved, nil
}

// setAside moves the allotments of a sale into its pool. Units in lapsed holds and overdue orders are there to be moved.
func (s *Shop) setAside(ctx context.Context, tx pgx.Tx, sale lockedSale) error {
	for _, item := range sale.Items {
		if item.Quantity == nil {
			continue
		}
		product, err := s.product(ctx, tx, item.SKU)
		if err != nil {
			return err
		}
		common := poolKey{product.ProductID, commonPool}
		if err := s.freeAll(ctx, tx, common); err != nil {
			return err
		}
		moved, err := s.q.StockTokenMove(ctx, tx, dbsqlc.StockTokenMoveParams{
			ProductID: product.ProductID, FromPoolID: commonPool, ToPoolID: sale.row.PoolID, Quantity: int32(*item.Quantity),
		})
		if err != nil {
			return fmt.Errorf("set units aside: %w", err)
		}
		if moved < int64(*item.Quantity) {
			return &Refusal{
				Code: NotEnoughUnits, Available: &moved,
				Detail: fmt.Sprintf("Only %d of the %d units of %s that the sale is to have can be set aside now. Receive more, or make the allotment smaller.", moved, *item.Quantity, item.SKU),
			}
		}
		if err := s.ranOut(ctx, tx, []poolKey{common}, map[poolKey]int64{common: 0}); err != nil {
			return err
		}
	}
	return nil
}

// saleLinger is how long a sale that is over is looked after: longer than any transaction that may have begun before it was, and may still put a unit
// into its pool.
const saleLinger = time.Minute

// TendSales is housekeeping: it tells that sales have opened or closed by the clock, and puts back what is left of those that are over. Nobody who
// claims, pauses or reads waits for it.
func (s *Shop) TendSales(ctx context.Context) error {
	rows, err := s.q.SaleDue(ctx, s.pool, dbsqlc.SaleDueParams{Now: s.o.Now(), LingerSeconds: saleLinger.Seconds()})
	if err != nil {
		return fmt.Errorf("look for sales to tend: %w", err)
	}
	var failed error
	for _, row := range rows {
		failed = errors.Join(failed, s.tendSale(ctx, row))
	}
	return failed
}

func (s *Shop) tendSale(ctx context.Context, row dbsqlc.SaleDueRow) error {
	sale := saleOf(row.Sale, row.State)
	if err := s.announce(ctx, sale, row.Sale.Rehearsal); err != nil {
		return fmt.Errorf("tell of sale %s: %w", sale.ID, err)
	}
	if sale.State != SaleIsClosed {
		return nil
	}
	left, err := s.q.SaleItemLeft(ctx, s.pool, sale.ID)
	if err != nil {
		return fmt.Errorf("look for what is left of sale %s: %w", sale.ID, err)
	}
	for _, item := range left {
		if err := s.putBack(ctx, poolKey{item.ProductID, item.PoolID}); err != nil {
			return fmt.Errorf("put back what is left of sale %s: %w", sale.ID, err)
		}
	}
	if row.LongOver {
		if _, err := s.q.SaleEnd(ctx, s.pool, sale.ID); err != nil {
			return fmt.Errorf("end sale %s: %w", sale.ID, err)
		}
	}
	return nil
}

// announce tells once in which state a sale is, when it got there by the clock.
func (s *Shop) announce(ctx context.Context, sale Sale, rehearsal bool) error {
	state, kind := "open", SaleOpened
	if sale.State == SaleIsClosed {
		state, kind = "closed", SaleClosed
	}
	return s.inTx(ctx, func(tx pgx.Tx) error {
		n, err := s.q.SaleAnnounce(ctx, tx, dbsqlc.SaleAnnounceParams{SaleID: sale.ID, State: state})
		if err != nil || n == 0 {
			return err
		}
		return s.tellSale(ctx, tx, rehearsal, kind, map[string]any{"sale_id": sale.ID, "name": sale.Name, "status": state})
	})
}

// putBack moves what is left of an allotment into the common pool.
func (s *Shop) putBack(ctx context.Context, k poolKey) error {
	const atOnce = 10_000
	for moved := int64(atOnce); moved == atOnce; {
		err := s.inTx(ctx, func(tx pgx.Tx) error {
			var err error
			moved, err = s.q.StockTokenMove(ctx, tx, dbsqlc.StockTokenMoveParams{
				ProductID: k.productID, FromPoolID: k.poolID, ToPoolID: commonPool, Quantity: atOnce,
			})
			if err != nil || moved == 0 {
				return err
			}
			return s.cameBack(ctx, tx, k)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Selling is whether anything is sold.
type Selling struct {
	PausedAt *time.Time // nil: it is not paused
}

// PauseSelling pauses all selling on every server, or goes on with it. What is in carts stays there and can be ordered and paid for. Refusals: KeyReused.
func (s *Shop) PauseSelling(ctx context.Context, o Operator, pause bool) (Selling, bool, error) {
	action, kind := "resume", SellingResumed
	if pause {
		action, kind = "pause", SellingPaused
	}
	_, replayed, err := s.once(ctx, o.call(), "selling."+action, nil, ID{}, func(tx pgx.Tx) error {
		n, err := s.q.SellingPause(ctx, tx, dbsqlc.SellingPauseParams{Now: s.o.Now(), Pause: pause})
		if err == nil && n == 0 {
			err = s.q.ClaimReplayRecord(ctx, tx)
		}
		if err != nil || n == 0 {
			return err
		}
		if err := s.recordChange(ctx, tx, nil, o, action, map[string]any{}); err != nil {
			return err
		}
		return s.tell(ctx, tx, news{kind, map[string]any{}})
	})
	if err != nil {
		return Selling{}, false, explain(action+" selling", err)
	}
	selling, err := s.Selling(ctx)
	return selling, replayed, err
}

// Selling reads whether all selling is paused.
func (s *Shop) Selling(ctx context.Context) (Selling, error) {
	at, err := s.q.SellingRead(ctx, s.pool)
	return Selling{PausedAt: at}, explain("read whether selling is paused", err)
}
