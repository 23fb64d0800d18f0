// Package payment is what the shop needs of whoever takes the buyers' money, and the provider "test", which takes none: its cards
// do what real ones do, the unpleasant things too. It knows nothing of the shop. A provider that takes money has a package of its own below it.
package payment

import (
	"context"
	"errors"

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

// What providers say besides, to be looked for with errors.Is.
var (
	// ErrMeans: what the buyer pays with is none of the provider's. This call did nothing.
	ErrMeans = errors.New("must be a payment method of Stripe's, such as pm_card_visa")
	// ErrDiffers: the provider has taken another amount, or in another currency, than it was to. Nothing of it counts as paid.
	ErrDiffers = errors.New("the provider has taken another amount than it was to take")
	// ErrRefundPending: the provider is about to give the money back. Repeat the refund to learn what became of it.
	ErrRefundPending = errors.New("the refund is under way")
	// ErrRefundFailed: the money did not reach the buyer and is with the shop again. Repeating the refund later begins it anew.
	ErrRefundFailed = errors.New("the refund has failed")
	// ErrNotSigned: what was sent in the provider's name is not the provider's, or is old.
	ErrNotSigned = errors.New("the signature is not the provider's")
)

// Refused is an error of Charge: the provider never takes this charge, whatever it is paid with. No money was taken, and none will be.
type Refused struct{ Why string } // a sentence for the buyer

func (r *Refused) Error() string { return r.Why }

// Opener is a Provider of which the buyer may confirm a charge elsewhere, such as in their browser with the provider's own script.
type Opener interface {
	Provider
	// Open is Charge, and answers besides what whoever confirms a charge that is Pending needs to know: a secret of this charge, to be
	// shown to its buyer alone and kept nowhere. Without a Card nothing is taken before the charge is confirmed. Repeating it answers the
	// secret again, and with a Card tries that on a charge that waits for one. Errors: as of Charge, ErrMeans, *Refused.
	Open(ctx context.Context, c Charge) (State, string, error)
}

// Teller is a Provider that tells by itself what becomes of charges and refunds. It is not believed, but asked.
type Teller interface {
	Provider
	// Hear reads what was sent in the provider's name, with its signature. Errors: ErrNotSigned.
	Hear(ctx context.Context, body []byte, signature string) (News, error)
	// Look answers what the shop's people should know of a charge that has succeeded.
	Look(ctx context.Context, id pgdb.ID) ([]Attention, error)
	// AskRefund answers what became of a refund.
	AskRefund(ctx context.Context, refundID pgdb.ID) (State, error)
}

// News names what the provider is to be asked about. The zero News is of no interest.
type News struct {
	Charge  *pgdb.ID
	Look    bool // with Charge: it may need attention
	Refund  *pgdb.ID
	Ignored string // what there was to tell is of nothing that is ours, for the log
}

// Attention is what the shop's people should look at, of a charge.
type Attention string

// What may need attention.
const (
	AmountDiffers     Attention = "amount-differs"     // another amount was taken, and is not counted as paid
	DisputeLost       Attention = "dispute-lost"       // the buyer's bank has taken the money back
	Disputed          Attention = "payment-disputed"   // the buyer's bank asks for the money back
	RefundFailed      Attention = "refund-failed"      // a refund did not reach the buyer, and is tried again
	RefundedElsewhere Attention = "refunded-elsewhere" // more was given back than the shop has asked for
)
