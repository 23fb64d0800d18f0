// Package payment is what the shop needs of whoever takes the buyers' money, and the provider "test", which takes none: its cards
// do what real ones do, the unpleasant things too. It knows nothing of the shop.
package payment

import (
	"context"

	"github.com/lastunit/lastunit/internal/pgdb"
)

// State is what became of a charge. Succeeded and Failed are final. From the others a charge goes to one of these, or from NotSeen
// to Pending, and never back.
type State string

// The states of a charge.
const (
	Pending   State = "pending"   // it may still take the money
	Succeeded State = "succeeded" // the money is taken
	Failed    State = "failed"    // no money was taken, and none will be
	NotSeen   State = "not_seen"  // the provider has never seen the charge; a call may still be on its way
)

// Charge is an order to take money.
type Charge struct {
	ID       pgdb.ID // the provider knows the charge by it: one ID, one charge
	OrderID  pgdb.ID // what it is for
	Amount   int64   // in minor units, such as cents; not negative
	Currency string  // ISO 4217, such as EUR
	Card     string  // what the buyer pays with, in the provider's words; a secret, to be kept nowhere
}

// Provider takes the buyers' money. It is outside of the shop: a call may hang, may be lost on either way, and may do its work although
// it answers an error. So every call can be repeated. None is to be made inside a transaction.
type Provider interface {
	// Name is the provider's name in the rows of payments.
	Name() string
	// Charge takes the money. Repeating it with the same ID changes nothing, whatever else it says, and answers what became of the
	// first. It never answers NotSeen. After an error the outcome is unknown: Ask, or Void.
	Charge(ctx context.Context, c Charge) (State, error)
	// Ask answers what became of a charge.
	Ask(ctx context.Context, id pgdb.ID) (State, error)
	// Void answers Succeeded when the money is already taken. Otherwise it sees to it that it never will be and answers Failed,
	// also for a charge that it has never seen: a Charge that is still on its way is refused then. It answers nothing else, and every
	// time the same.
	Void(ctx context.Context, id pgdb.ID) (State, error)
	// Refund gives back amount, in minor units, of a charge that succeeded, and never more than was charged in all. The same refundID
	// gives back once: repeating it changes nothing and answers no error. After an error that does not say why it was refused, the
	// outcome is unknown: repeat it.
	Refund(ctx context.Context, refundID, chargeID pgdb.ID, amount int64) error
}
