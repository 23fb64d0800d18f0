package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// reckon finds out what the pools that have too little lack, before anything is given: the picked tokens are still to be seen, and when
// there are more than those, somebody else has them locked, and nobody is refused until it is known what becomes of them. Nor is anybody for what an
// allotment lacks when its sale has ended since the batch read its terms: they are decided by what holds now.
func (b *settlement) reckon(ctx context.Context, tx pgx.Tx) error {
	arg := dbsqlc.StockTokenReckonParams{Now: b.s.o.Now()}
	byKey := map[poolKey]*poolShare{}
	for _, p := range b.pools {
		if len(p.tokens) >= b.wanted(p) {
			continue
		}
		byKey[p.poolKey] = p
		arg.ProductIds = append(arg.ProductIds, p.productID)
		arg.PoolIds = append(arg.PoolIds, p.poolID)
		arg.RowLimits = append(arg.RowLimits, int64(len(p.tokens))+1)
	}
	if len(byKey) == 0 {
		return nil
	}
	rows, err := b.s.q.StockTokenReckon(ctx, tx, arg)
	if err != nil {
		return fmt.Errorf("reckon: %w", err)
	}
	for _, row := range rows {
		p := byKey[poolKey{row.ProductID, row.PoolID}]
		p.reckoned = row
		p.again = p.again || row.TokenCount > int64(len(p.tokens)) || row.SaleOver
	}
	return nil
}

// refuse answers those who found too little, as of when it was reckoned.
func (b *settlement) refuse(ctx context.Context, db pgdb.DB) error {
	bound, err := b.boundSince(ctx, db)
	if err != nil {
		return err
	}
	if err := b.look(ctx, db, b.shortCalls()); err != nil {
		return err
	}
	arg := dbsqlc.ClaimRefuseManyParams{Now: b.s.o.Now()}
	for _, p := range b.pools {
		for _, i := range p.short {
			c := b.calls[i]
			if _, found := bound(c); found || b.mayHaveMore(p, c) || b.besideTheSale(p, c) {
				b.answers[i].Again = true
				continue
			}
			refusal := b.reason(p, c)
			b.answers[i].Out.refusal = refusal
			if refusal.Code == SoldOut {
				b.s.gone.add(p.sku, p.poolKey)
			}
			if c.kind == queuedRequest {
				members, err := json.Marshal(membersOf(refusal))
				if err != nil {
					return err
				}
				arg.ClaimIds = append(arg.ClaimIds, c.id)
				arg.Reasons = append(arg.Reasons, string(refusal.Code))
				arg.ReasonMembers = append(arg.ReasonMembers, string(members))
				b.answers[i].Out.transaction = c.refused(refusal)
			}
		}
	}
	if len(arg.ClaimIds) == 0 {
		return nil
	}
	var refused []ID
	err = pgdb.Together(ctx, db, b.s.hashed(ctx, func(db pgdb.Queryer) (err error) {
		refused, err = b.s.q.ClaimRefuseMany(ctx, db, arg)
		return err
	})...)
	if err == nil && len(refused) != len(arg.ClaimIds) {
		err = fmt.Errorf("%d of %d that were locked", len(refused), len(arg.ClaimIds))
	}
	if err != nil {
		return fmt.Errorf("refuse queued requests: %w", err)
	}
	return nil
}

// shortCalls are those that are to be refused, if nothing more comes to light.
func (b *settlement) shortCalls() []*claimCall {
	var short []*claimCall
	for _, p := range b.pools {
		for _, i := range p.short {
			if c := b.calls[i]; !b.goneFor(p, c) && !b.mayHaveMore(p, c) {
				short = append(short, c)
			}
		}
	}
	return short
}

// goneFor tells whether a call is refused as sold out, whatever else comes to light: a cool-down would come first.
func (b *settlement) goneFor(p *poolShare, c *claimCall) bool {
	return b.gone[p.productID] && (c.terms == nil || c.terms.CooldownSeconds == 0)
}

// mayHaveMore tells whether it is not yet known that a call must be refused.
func (b *settlement) mayHaveMore(p *poolShare, c *claimCall) bool {
	return c.again || p.again && c.refusal == nil && c.overLimit == nil
}

// besideTheSale lets a direct claim for which the allotment of an open sale has too little try what is sold beside the sale.
func (b *settlement) besideTheSale(p *poolShare, c *claimCall) bool {
	if c.kind != directClaim || c.terms == nil || !c.terms.Allotted || c.SaleID != nil || c.normally || b.gone[p.productID] || p.refusal != nil || c.refusal != nil || c.overLimit != nil {
		return false
	}
	c.normally, c.saleRefusal, c.behind = true, b.reason(p, c), 0
	return true
}

// boundSince looks once more for the keys of those who are to be refused. Whoever has the units may be the same call, sent twice: it was bound
// after the batch had looked for it, and before the batch looked for units.
func (b *settlement) boundSince(ctx context.Context, db pgdb.DB) (func(*claimCall) (dbsqlc.ClaimByIDsRow, bool), error) {
	var keyed []*claimCall
	for _, p := range b.pools {
		for _, i := range p.short {
			if c := b.calls[i]; c.Key != "" && !b.goneFor(p, c) && !b.mayHaveMore(p, c) {
				keyed = append(keyed, c)
			}
		}
	}
	return b.bound(ctx, db, keyed)
}

// reason is the truthful reason for a call that gets nothing: its own, or what is lacking in the pool, or among what the batch has left of it.
func (b *settlement) reason(p *poolShare, c *claimCall) *Refusal {
	left := int64(len(p.tokens) - len(p.spent))
	next, now := earlier(p.reckoned.NextExpiry, p.reckoned.NextOverdue), p.reckoned.ReckonedAt
	gone := b.gone[p.productID] || left == 0 && len(p.spent) == 0 && !now.IsZero() && !p.reckoned.MayReturn
	switch {
	case p.refusal != nil:
		return p.refusal
	case c.refusal != nil:
		return c.refusal
	case gone:
		return soldOut()
	case c.overLimit != nil:
		return c.overLimit
	case left > 0:
		return notEnoughUnits(left)
	case c.saleRefusal != nil:
		return c.saleRefusal
	}
	if len(p.spent) > 0 {
		if ours := now.Add(p.holds); next == nil || ours.Before(*next) {
			next = &ours
		}
	}
	if next == nil {
		return allHeld(nil, time.Second)
	}
	at := *next
	if at.Before(now) {
		at = now // it has lapsed, but somebody has it locked at this moment
	}
	return allHeld(&at, at.Sub(now))
}

// reasonMembers is what is kept of a refusal besides its code.
type reasonMembers struct {
	Available         *int64     `json:"available,omitempty"`
	NextReleaseAt     *time.Time `json:"next_release_at,omitempty"`
	RetryAfterSeconds float64    `json:"retry_after_seconds,omitempty"`
	Limit             *int       `json:"limit,omitempty"`
	Remaining         *int       `json:"remaining,omitempty"`
	OrderIDs          []ID       `json:"order_ids,omitempty"`
}

func membersOf(r *Refusal) reasonMembers {
	return reasonMembers{
		Available: r.Available, NextReleaseAt: r.NextReleaseAt, RetryAfterSeconds: r.RetryAfter.Seconds(),
		Limit: r.Limit, Remaining: r.Remaining, OrderIDs: r.OrderIDs,
	}
}

// refusalOf is the refusal that a transaction's reason and its members were kept of.
func refusalOf(reason string, kept json.RawMessage) *Refusal {
	var m reasonMembers
	_ = json.Unmarshal(kept, &m) // none were kept, or by a later version: the code says enough
	switch Code(reason) {
	case SoldOut:
		return soldOut()
	case NotSelling:
		return notSelling()
	case SaleEnded:
		return saleEnded()
	case CoolDown:
		return coolDown(time.Duration(m.RetryAfterSeconds * float64(time.Second)))
	case PurchaseLimit:
		if m.Limit != nil && m.Remaining != nil {
			r := purchaseLimit(*m.Limit, *m.Remaining)
			r.OrderIDs = m.OrderIDs
			return r
		}
	case NotEnoughUnits:
		if m.Available != nil {
			return notEnoughUnits(*m.Available)
		}
	case AllHeld:
		return allHeld(m.NextReleaseAt, time.Duration(m.RetryAfterSeconds*float64(time.Second)))
	}
	return &Refusal{Code: Code(reason), Detail: "This request was refused when its turn came."}
}
