package shop

import (
	"errors"
	"fmt"
	"time"

	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Code names a refusal. The list is closed: see Codes.
type Code string

// The refusals.
const (
	// SoldOut: every unit of the product is sold, in quarantine or withdrawn; none can come back by itself.
	SoldOut Code = "sold-out"
	// AllHeld: no unit is there now, but some may come back: they are in carts or in unpaid orders. NextReleaseAt, RetryAfter.
	AllHeld Code = "all-held"
	// NotEnoughUnits: some units are there, but fewer than were asked for. Available.
	NotEnoughUnits Code = "not-enough-units"
	// NotSelling: the product was taken off sale.
	NotSelling Code = "not-selling"
	// SaleNotOpen: it sells only in a sale that opens later. OpensAt.
	SaleNotOpen Code = "sale-not-open"
	// SalePaused: its sale, or all selling, is paused.
	SalePaused Code = "sale-paused"
	// SaleEnded: the sale is over.
	SaleEnded Code = "sale-ended"
	// SaleOverlaps: a product is in another sale at the same time. State names that sale.
	SaleOverlaps Code = "sale-overlaps"
	// CoolDown: a hold of this buyer has expired a short while ago. RetryAfter.
	CoolDown Code = "cool-down"
	// PurchaseLimit: the buyer would have more units of the sale than anybody may. Limit, Remaining, OrderIDs.
	PurchaseLimit Code = "purchase-limit"
	// HoldExpired: holds have lapsed before they were ordered. TransactionIDs.
	HoldExpired Code = "hold-expired"
	// CartEmpty: there is nothing to order.
	CartEmpty Code = "cart-empty"
	// PaymentFailed: the provider did not take the money.
	PaymentFailed Code = "payment-failed"
	// Conflict: the thing is in a state that does not allow it. State.
	Conflict Code = "conflict"
	// NotFound: it does not exist, or belongs to somebody else.
	NotFound Code = "not-found"
	// Validation: what was sent is not of the form asked for. Problems.
	Validation Code = "validation"
	// KeyReused: the idempotency key was used before, with other content.
	KeyReused Code = "idempotency-key-reused"
	// Unauthenticated: nobody, or nobody that we know, is calling.
	Unauthenticated Code = "unauthenticated"
	// Forbidden: the caller is known, but may not do this.
	Forbidden Code = "forbidden"
	// Busy: nothing happened, and the same call may succeed a moment later. RetryAfter.
	Busy Code = "busy"
	// TooManyRequests: this caller has as much under way as anybody may have. RetryAfter.
	TooManyRequests Code = "too-many-requests"
	// OutcomeUnknown: the database was lost while it committed; the same call with the same key tells what became of it. RetryAfter.
	OutcomeUnknown Code = "outcome-unknown"
)

// Codes lists every code that a Refusal can have.
func Codes() []Code {
	return []Code{
		SoldOut, AllHeld, NotEnoughUnits, NotSelling, SaleNotOpen, SalePaused, SaleEnded, SaleOverlaps, CoolDown, PurchaseLimit,
		HoldExpired, CartEmpty, PaymentFailed, Conflict, NotFound, Validation, KeyReused,
		Unauthenticated, Forbidden, Busy, TooManyRequests, OutcomeUnknown,
	}
}

// Problem is one thing that is wrong with what was sent.
type Problem struct {
	Location string // such as body.quantity
	Message  string
}

// Refusal is a truthful no. Everything that is returned as an error and is not a Refusal is a fault.
type Refusal struct {
	Code           Code
	Detail         string        // what is the matter and what to do next, for a person
	NextReleaseAt  *time.Time    // the earliest instant at which units may come back by themselves
	RetryAfter     time.Duration // 0: none
	Available      *int64        // units that could be claimed
	State          string        // of the thing in conflict
	OpensAt        *time.Time    // of the sale
	Limit          *int          // how many units of the sale one buyer may have
	Remaining      *int          // how many more this one may have
	OrderIDs       []ID          // the buyer's own unpaid orders in the sale
	TransactionIDs []ID          // the holds that have lapsed
	Problems       []Problem
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Detail) }

// Finding makes it a pgdb.Finding: it is told when the standby has what it is about.
func (r *Refusal) Finding() {}

func notFound(what string) *Refusal {
	return &Refusal{Code: NotFound, Detail: fmt.Sprintf("There is no such %s, or it is not yours. Check its name.", what)}
}

func invalid(location, message string) *Refusal {
	return &Refusal{
		Code:     Validation,
		Detail:   "What was sent can't be accepted. Correct what is listed and send it again.",
		Problems: []Problem{{Location: location, Message: message}},
	}
}

// complaints are everything that is wrong with what was sent.
type complaints []Problem

func (c *complaints) add(wrong bool, location, message string) {
	if wrong {
		*c = append(*c, Problem{Location: location, Message: message})
	}
}

// refusal is nil when nothing is wrong.
func (c complaints) refusal() error {
	if len(c) == 0 {
		return nil
	}
	r := invalid("", "")
	r.Problems = c
	return r
}

func keyReused() *Refusal {
	return &Refusal{
		Code:   KeyReused,
		Detail: "This Idempotency-Key was used before for a call with other content. Take a new key for a new call.",
	}
}

func notSelling() *Refusal {
	return &Refusal{Code: NotSelling, Detail: "This product is off sale at the moment. Look again later."}
}

func saleNotOpen(opensAt time.Time) *Refusal {
	return &Refusal{Code: SaleNotOpen, OpensAt: &opensAt, Detail: "This sells in a sale that is not open yet. Ask again when it opens."}
}

func salePaused() *Refusal {
	return &Refusal{Code: SalePaused, RetryAfter: 5 * time.Second, Detail: "Selling is paused at the moment. What is in carts stays there. Ask again in a while."}
}

func saleEnded() *Refusal {
	return &Refusal{Code: SaleEnded, Detail: "The sale is over. What is in carts can still be ordered."}
}

func coolDown(left time.Duration) *Refusal {
	return &Refusal{
		Code:       CoolDown,
		RetryAfter: left,
		Detail:     "A hold of yours expired unused a short while ago. Wait until others have had their chance, and ask again.",
	}
}

func purchaseLimit(limit, remaining int) *Refusal {
	detail := fmt.Sprintf("One buyer may have %d of this sale, and you may have %d more. Ask for fewer.", limit, remaining)
	if remaining == 0 {
		detail = fmt.Sprintf("One buyer may have %d of this sale, and you have them, in the cart or in orders. Give some back to get others.", limit)
	}
	return &Refusal{Code: PurchaseLimit, Limit: &limit, Remaining: &remaining, Detail: detail}
}

func soldOut() *Refusal {
	return &Refusal{Code: SoldOut, Detail: "Every unit is sold. None will come back by itself."}
}

func notEnoughUnits(left int64) *Refusal {
	return &Refusal{
		Code:      NotEnoughUnits,
		Available: &left,
		Detail:    fmt.Sprintf("Only %d can be had right now. Ask for fewer.", left),
	}
}

// allHeld says when the next unit may come back, if that is known.
func allHeld(next *time.Time, after time.Duration) *Refusal {
	return &Refusal{
		Code:          AllHeld,
		Detail:        "Every unit is in somebody's cart or in an order that is not yet paid. Some may come back: ask again.",
		NextReleaseAt: next,
		RetryAfter:    max(after, time.Second),
	}
}

func busy() *Refusal {
	return &Refusal{
		Code:       Busy,
		Detail:     "The store could not get to it in time, and nothing happened. Send it again in a moment.",
		RetryAfter: time.Second,
	}
}

func queueFull() *Refusal {
	return &Refusal{
		Code:       Busy,
		Detail:     "So many units of this product are asked for already that no more requests are taken, and nothing happened. Send it again in a moment.",
		RetryAfter: 2 * time.Second,
	}
}

func tooManyQueued(limit int) *Refusal {
	return &Refusal{
		Code:       TooManyRequests,
		Detail:     fmt.Sprintf("You have %d requests waiting for their turn, which is as many as anybody may have. Wait for their answers, or cancel some.", limit),
		RetryAfter: time.Second,
	}
}

// afterwards is for what fails when something has been done: nobody may be told then that nothing happened.
func afterwards(err error) error {
	var r *Refusal
	if errors.As(err, &r) && r.Code == Busy {
		return outcomeUnknown()
	}
	return err
}

func outcomeUnknown() *Refusal {
	return &Refusal{
		Code: OutcomeUnknown,
		Detail: "The database was lost while it wrote this down. Send it again with the same Idempotency-Key to learn what became of it; " +
			"a hold that was made without a key shows in the cart.",
		RetryAfter: time.Second,
	}
}

// explain turns what a database call returned into what a caller may be told: a refusal as it is, a passing trouble as busy
// or outcome-unknown, anything else as a fault that says what was being done.
func explain(doing string, err error) error {
	var refusal *Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, pgdb.ErrOutcomeUnknown), errors.Is(err, lane.ErrUnderWay):
		return outcomeUnknown()
	case pgdb.Retryable(err), errors.Is(err, lane.ErrFull), errors.Is(err, lane.ErrClosed):
		return busy()
	case pgdb.Unstorable(err):
		return invalid("body", "holds a character that can't be stored (U+0000); leave it out")
	}
	return fmt.Errorf("%s: %w", doing, err)
}
