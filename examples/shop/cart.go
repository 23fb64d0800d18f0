package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"log"
	"net/http"
	"strconv"
	"time"
)

// addToCart holds units: nobody else can have them until HeldUntil.
func (s *shop) addToCart(ctx context.Context, user string, r *http.Request) (any, error) {
	price, sells := s.catalogue[r.FormValue("sku")]
	quantity, err := strconv.Atoi(cmp.Or(r.FormValue("quantity"), "1"))
	if !sells || err != nil || quantity < 1 || quantity > 10 {
		return nil, &problem{Status: http.StatusUnprocessableEntity, Detail: "Name a product, and how many of it, 1 to 10."}
	}
	o := order{Number: rand.Text(), User: user, SKU: r.FormValue("sku"), Quantity: quantity, Cents: quantity * price, State: inCart}
	h, err := s.stock.hold(ctx, user, o.Number, o.SKU, quantity)
	if err != nil {
		return nil, err
	}
	o.HoldID, o.HeldUntil = h.ID, h.ExpiresAt
	return s.save(o), nil
}

// removeFromCart gives the units back at once.
func (s *shop) removeFromCart(ctx context.Context, user string, r *http.Request) (any, error) {
	o, err := s.move(r.PathValue("number"), user, inCart, isDropped)
	if err == nil {
		s.release(ctx, o)
	}
	return o, err
}

// release leaves it to the end of the hold when lastunit can't be reached: then the units go back by themselves.
func (s *shop) release(ctx context.Context, o order) {
	if err := s.stock.release(ctx, o.User, o.HoldID); err != nil {
		log.Printf("order %s: %v", o.Number, err)
	}
}

// pay takes the money between two calls: before, the hold is made long enough; after, its units are sold.
func (s *shop) pay(ctx context.Context, user string, r *http.Request) (any, error) {
	o, err := s.move(r.PathValue("number"), user, inCart, isPaying)
	if err != nil {
		return nil, err
	}
	try := rand.Text()
	h, err := s.stock.extend(ctx, user, try, o.HoldID, s.payTime)
	if isCode(err, "hold-expired") {
		// It lapsed while the user looked for the card. Nothing is charged yet: take other units, or say now that there are none.
		h, err = s.stock.hold(ctx, user, try, o.SKU, o.Quantity)
	}
	if err != nil {
		o.State = inCart
		s.save(o)
		return nil, err
	}
	o.HoldID, o.HeldUntil = h.ID, h.ExpiresAt
	if err := s.charge(o.Number, o.Cents, r.FormValue("card")); err != nil {
		s.release(ctx, o)
		o.State = isDropped
		s.save(o)
		return nil, err
	}
	return s.settle(ctx, o), nil
}

// settle ends an order whose money was taken: it is sold, or the money goes back. When lastunit does not answer it is paid, and settled later.
func (s *shop) settle(ctx context.Context, o order) order {
	err := s.stock.confirm(ctx, o.Number, o.HoldID)
	switch {
	case err == nil:
		o.State = isSold
	case isCode(err, "hold-expired"): // the payment took longer than the hold, and lastunit has no equal units either
		s.giveBack(o.Number)
		o.State = isRefunded
	default: // no answer, or one that a person has to look at
		log.Printf("order %s is paid, and not yet confirmed: %v", o.Number, err)
		o.State = isPaid
	}
	return s.save(o)
}

// settlePaid settles what was left paid, every so often until ctx ends.
func (s *shop) settlePaid(ctx context.Context, every time.Duration) {
	for tick := time.Tick(every); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			for _, o := range s.find(func(o order) bool { return o.State == isPaid }) {
				s.settle(ctx, o)
			}
		}
	}
}
