package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// reckon finds out what the pools that have too little lack, before anything is given: the picked tokens are still to be seen, and when
// there are more than those, somebody else has them locked, and nobody is refused until it is known what becomes of them.
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
		p.again = p.again || row.TokenCount > int64(len(p.tokens))
	}
	return nil
}

// refuse answers those who found too little, as of when it was reckoned.
func (b *settlement) refuse(ctx context.Context, tx pgx.Tx) error {
	bound, err := b.boundSince(ctx, tx)
	if err != nil {
		return err
	}
	arg := dbsqlc.ClaimRefuseManyParams{Now: b.s.o.Now()}
	for _, p := range b.pools {
		for _, i := range p.short {
			c := b.calls[i]
			if _, found := bound(c); found || p.again || p.lost && c.kind == directClaim {
				b.answers[i].Again = true
				continue
			}
			refusal := p.shortage(b.s.o.Hold)
			b.answers[i].Out.refusal = refusal
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
	refused, err := b.s.q.ClaimRefuseMany(ctx, tx, arg)
	if err == nil && len(refused) != len(arg.ClaimIds) {
		err = fmt.Errorf("%d of %d that were locked", len(refused), len(arg.ClaimIds))
	}
	if err != nil {
		return fmt.Errorf("refuse queued requests: %w", err)
	}
	return nil
}

// boundSince looks once more for the keys of those who are to be refused. Whoever has the units may be the same call, sent twice: it was bound
// after the batch had looked for it, and before the batch looked for units.
func (b *settlement) boundSince(ctx context.Context, tx pgx.Tx) (func(*claimCall) (dbsqlc.ClaimByIDsRow, bool), error) {
	var keyed []*claimCall
	for _, p := range b.pools {
		for _, i := range p.short {
			if c := b.calls[i]; c.Key != "" && !p.again {
				keyed = append(keyed, c)
			}
		}
	}
	return b.bound(ctx, tx, keyed)
}

// shortage is the truthful reason for a claim that found too little: in the pool, or among what the batch has left of it.
func (p *poolShare) shortage(hold time.Duration) *Refusal {
	if p.refusal != nil {
		return p.refusal
	}
	left := int64(len(p.tokens) - len(p.spent))
	if left > 0 {
		return notEnoughUnits(left)
	}
	next, now := p.reckoned.NextReleaseAt, p.reckoned.ReckonedAt
	if len(p.spent) > 0 {
		if ours := now.Add(hold); next == nil || ours.Before(*next) {
			next = &ours
		}
	} else if !p.reckoned.MayReturn {
		return soldOut()
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
}

func membersOf(r *Refusal) reasonMembers {
	return reasonMembers{Available: r.Available, NextReleaseAt: r.NextReleaseAt, RetryAfterSeconds: r.RetryAfter.Seconds()}
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
	case NotEnoughUnits:
		if m.Available != nil {
			return notEnoughUnits(*m.Available)
		}
	case AllHeld:
		return allHeld(m.NextReleaseAt, time.Duration(m.RetryAfterSeconds*float64(time.Second)))
	}
	return &Refusal{Code: Code(reason), Detail: "This request was refused when its turn came."}
}
