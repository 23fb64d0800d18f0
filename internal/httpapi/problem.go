package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// Codes that only HTTP knows.
const (
	methodNotAllowed     shop.Code = "method-not-allowed"
	requestTimeout       shop.Code = "request-timeout"
	payloadTooLarge      shop.Code = "payload-too-large"
	unsupportedMediaType shop.Code = "unsupported-media-type"
	internal             shop.Code = "internal"
)

// kind is what every problem of one code has in common. Its text is the page /problems/<code>.
type kind struct {
	status  int
	title   string
	meaning string
	advice  string
}

var kinds = map[shop.Code]kind{
	shop.SoldOut: {409, "Sold out",
		"Every unit of this product is sold, in quarantine or withdrawn. None can come back by itself.",
		"Tell the buyer that it is gone. Asking again helps only when new stock arrives or an order is refunded."},
	shop.AllHeld: {409, "All in other people's carts",
		"No unit can be claimed at this moment, but some may come back: a cart may lapse, an order may stay unpaid.",
		"Ask again at next_release_at, or after Retry-After seconds. next_release_at is when the first hold ends; it is null when no hold ends by itself."},
	shop.NotEnoughUnits: {409, "Not enough units",
		"Some units can be claimed, but fewer than were asked for. A claim gets all of its units or none.",
		"Ask for at most as many as available says."},
	shop.NotSelling: {409, "Not selling", "This product was taken off sale.", "Look again later: selling in the product tells."},
	shop.SaleNotOpen: {409, "The sale is not open yet",
		"The product sells in a sale that opens later, and nowhere else.",
		"Ask again at opens_at. The sale opens by the store's clock, and the first request after that instant is served."},
	shop.SalePaused: {409, "Paused",
		"The sale of this product, or all selling, is paused. What is in carts stays there and can be ordered and paid for, and requests that are queued keep their place.",
		"Ask again after Retry-After seconds."},
	shop.SaleEnded: {409, "The sale is over",
		"The sale that was asked for is closed. What is in carts can still be ordered until the holds lapse.",
		"Order what is in the cart. Without sale_id, units that are left sell at the product's price."},
	shop.SaleOverlaps: {409, "Two sales at once",
		"A product of this sale is in another sale at the same time; state is the id of that sale.",
		"Move one of the two sales, or take the product out of one."},
	shop.CoolDown: {409, "Cooling down",
		"A hold of this buyer has expired unused a short while ago, and the sale lets others have their chance first.",
		"Ask again after Retry-After seconds. A hold that is given back before it expires cools nothing down."},
	shop.PurchaseLimit: {409, "More than one buyer may have",
		"The buyer would have more units of the sale than anybody may: limit, over all carts and orders. remaining is how many more they may have, " +
			"and order_ids are their own unpaid orders, which count as well.",
		"Ask for at most remaining. Giving a hold back or cancelling an unpaid order makes room at once."},
	shop.HoldExpired: {409, "Holds have lapsed",
		"The holds that transaction_ids names have lapsed, so nothing was done with any that were sent.",
		"Add the units to the cart again, or send the others without these."},
	shop.CartEmpty: {409, "Nothing to order", "There is nothing in the cart.", "Add something to it first."},
	shop.PaymentFailed: {402, "Not paid",
		"The payment provider did not take the money. The order keeps its units until pay_by.",
		"Pay again, with another card if need be, or cancel the order."},
	shop.Conflict: {409, "Conflict",
		"What was asked for is not possible in the state that the thing is in; state names it.",
		"Read the thing again and decide anew."},
	shop.NotFound: {404, "Not found", "There is no such thing, or it is somebody else's.", "Check the address and who is calling."},
	shop.Validation: {422, "Not valid",
		"What was sent is not of the form that this operation takes. errors lists everything that is wrong with it.",
		"Correct what errors lists and send it again. The same request will not succeed."},
	shop.KeyReused: {422, "Idempotency-Key reused",
		"This Idempotency-Key was used before by this caller for the same operation with other content.",
		"Take a new key for a new request; keep a key only for repeating the same one."},
	shop.Unauthenticated: {401, "Who is calling?",
		"The request has no credentials, or they are not valid (any more).",
		"Send Authorization: Bearer with a buyer's token or an API key."},
	shop.Forbidden: {403, "Not allowed",
		"The caller is known, but may not do this.",
		"Use a key that has the scope which detail names."},
	shop.Busy: {503, "Busy",
		"The store could not get to the request in time, or is not taking more at this moment. Nothing happened.",
		"Send it again after Retry-After seconds, with the same Idempotency-Key."},
	shop.TooManyRequests: {429, "Too many requests",
		"This caller has as many requests under way, or has sent as many in a short time, as anybody may.",
		"Wait for Retry-After seconds, or for the answers to what is under way, and send it again with the same Idempotency-Key."},
	shop.OutcomeUnknown: {503, "Outcome unknown",
		"The database was lost while it wrote the result down. It may have been done or not.",
		"Send the same request with the same Idempotency-Key after Retry-After seconds: the answer tells what became of it."},
	methodNotAllowed: {405, "Method not allowed", "This address does not take this method.", "Use one of those that the header Allow lists."},
	requestTimeout: {408, "Too slow", "The body of the request did not arrive in time. Nothing happened.",
		"Send it again."},
	payloadTooLarge: {413, "Too large", "The body of the request is larger than this operation takes. Nothing happened.",
		"Send less at once."},
	unsupportedMediaType: {415, "Unsupported media type", "The body of the request is not of a type that this operation takes.",
		"Send JSON, with Content-Type: application/json; a sheet to import as text/csv."},
	internal: {500, "Something broke", "A fault of ours. It was logged with the request's id, which is in the header X-Request-Id.",
		"Send it again with the same Idempotency-Key; if it stays, tell the operator the request's id."},
}

// codes lists every problem code, in alphabetical order.
func codes() []shop.Code {
	var all []shop.Code
	for code := range kinds {
		all = append(all, code)
	}
	slices.Sort(all)
	return all
}

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct {
	Type   string `json:"type" format:"uri-reference" doc:"The page that explains this code." example:"/problems/all-held"`
	Title  string `json:"title" doc:"The code in words, the same for every occurrence."`
	Status int    `json:"status" doc:"The HTTP status." example:"409"`
	Code   string `json:"code" doc:"What to switch on." example:"all-held"`
	Detail string `json:"detail" doc:"What is the matter this time and what to do next, for a person."`

	Errors        []ProblemError `json:"errors,omitempty" nullable:"false" doc:"With validation: everything that is wrong with the request."`
	NextReleaseAt *time.Time     `json:"next_release_at,omitempty" doc:"With all-held: when the first hold ends, if one ends by itself."`
	Available     *int64         `json:"available,omitempty" doc:"With not-enough-units: how many can be claimed."`
	State         string         `json:"state,omitempty" doc:"With conflict: the state that does not allow it. With sale-overlaps: the id of the other sale."`

	OpensAt        *time.Time `json:"opens_at,omitempty" doc:"With sale-not-open: when the sale opens."`
	Limit          *int       `json:"limit,omitempty" doc:"With purchase-limit: how many units of the sale one buyer may have."`
	Remaining      *int       `json:"remaining,omitempty" doc:"With purchase-limit: how many more this buyer may have."`
	OrderIDs       []string   `json:"order_ids,omitzero" nullable:"false" doc:"With purchase-limit: the buyer's own unpaid orders in the sale. Cancelling one makes room."`
	TransactionIDs []string   `json:"transaction_ids,omitzero" nullable:"false" doc:"With hold-expired: the holds that have lapsed."`

	headers http.Header
}

// ProblemError is one thing that is wrong with a request.
type ProblemError struct {
	Location string `json:"location" doc:"Where: body, path, query or header, and the field's path." example:"body.quantity"`
	Message  string `json:"message" doc:"What it should be." example:"expected number >= 1"`
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func newProblem(code shop.Code, detail string) *Problem {
	k := kinds[code]
	if detail == "" {
		detail = k.meaning + " " + k.advice
	}
	return &Problem{
		Type: "/problems/" + string(code), Title: k.title, Status: k.status, Code: string(code), Detail: detail,
		headers: http.Header{},
	}
}

// problemOf is the one place where refusals become problems.
func problemOf(r *shop.Refusal) *Problem {
	p := newProblem(r.Code, r.Detail)
	for _, one := range r.Problems {
		p.Errors = append(p.Errors, ProblemError(one))
	}
	p.NextReleaseAt = utc(r.NextReleaseAt)
	p.Available, p.State = r.Available, r.State
	p.OpensAt, p.Limit, p.Remaining = utc(r.OpensAt), r.Limit, r.Remaining
	switch r.Code {
	case shop.PurchaseLimit:
		p.OrderIDs = idsOut(r.OrderIDs)
	case shop.HoldExpired:
		p.TransactionIDs = idsOut(r.TransactionIDs)
	}
	if r.RetryAfter > 0 {
		p.headers.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.RetryAfter.Seconds()))))
	}
	if r.Code == shop.Unauthenticated {
		p.headers.Set("WWW-Authenticate", "Bearer")
	}
	return p
}

// What huma refuses by itself goes through here. It never repeats what was sent: huma's own errors would, for an unknown property the whole
// body.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return humaProblem(status, message, errs)
	}
	huma.NewErrorWithContext = func(_ huma.Context, status int, message string, errs ...error) huma.StatusError {
		return humaProblem(status, message, errs)
	}
	huma.ErrorFormatter = humaMessage
	huma.ValidateStrictCasing = true // encoding/json takes a name in other letters as well, so a second one would be taken unvalidated
}

// humaMessage is huma's fmt.Sprintf for what is wrong with a value.
func humaMessage(format string, args ...any) string {
	for i, arg := range args {
		switch arg := arg.(type) {
		case float64:
			args[i] = strconv.FormatFloat(arg, 'f', -1, 64)
		case error: // it quotes the value
			return strings.TrimSuffix(format, ": %v")
		}
	}
	return fmt.Sprintf(format, args...)
}

func humaProblem(status int, message string, errs []error) *Problem {
	if message == "cannot read request body" { // cut off, or chunked in a wrong way; huma takes it for a fault of ours
		status, errs = http.StatusBadRequest, nil
	}
	code := shop.Validation
	switch status {
	case 0, http.StatusBadRequest, http.StatusUnprocessableEntity:
	case http.StatusRequestTimeout:
		code = requestTimeout
	case http.StatusRequestEntityTooLarge:
		code = payloadTooLarge
	case http.StatusUnsupportedMediaType:
		code = unsupportedMediaType
	case http.StatusNotFound:
		code = shop.NotFound
	default:
		code = internal
	}
	p := newProblem(code, "")
	if code != shop.Validation {
		return p
	}
	p.Detail = "What was sent can't be accepted. Correct what errors lists and send it again."
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) && d.Location != "" {
			p.Errors = append(p.Errors, ProblemError{Location: d.Location, Message: d.Message})
			continue
		}
		p.Errors = append(p.Errors, ProblemError{Location: "body", Message: "is not JSON of the form that this operation takes"})
	}
	if len(p.Errors) == 0 {
		p.Errors = []ProblemError{{Location: "body", Message: "is missing, or can't be read"}}
	}
	return p
}

// example is a problem as it may look, for the document.
func example(code shop.Code, who access) *Problem {
	at := time.Date(2026, 12, 12, 12, 4, 0, 0, time.UTC)
	one := int64(1)
	id, _ := shop.ParseID("", "019b1234-5678-7abc-8def-0123456789ab")
	r := &shop.Refusal{Code: code}
	switch code {
	case shop.AllHeld:
		r.NextReleaseAt, r.Detail = &at, "Every unit is in somebody's cart or in an order that is not yet paid. Some may come back: ask again."
	case shop.NotEnoughUnits:
		r.Available, r.Detail = &one, "Only 1 can be had right now. Ask for fewer."
	case shop.SaleNotOpen:
		r.OpensAt, r.Detail = &at, "This sells in a sale that is not open yet. Ask again when it opens."
	case shop.SaleOverlaps:
		r.State = id.String()
	case shop.PurchaseLimit:
		r.Limit, r.Remaining, r.OrderIDs = ptr(2), ptr(0), []shop.ID{id}
	case shop.HoldExpired:
		r.TransactionIDs = []shop.ID{id}
	case shop.Conflict:
		r.State, r.Detail = "ordered", "This transaction is part of an order. Cancel the order, or if it is paid have it refunded, to give its units back."
	case shop.Validation:
		r.Problems = []shop.Problem{{Location: "body.quantity", Message: "expected number >= 1"}}
	case shop.Forbidden:
		if who == anyone {
			r.Detail = "The signature is not that of this store's payment provider, or is more than five minutes old."
			break
		}
		r.Detail = fmt.Sprintf("This needs an API key with the scope %s.", cmp.Or(who.scope, shop.ScopeClaim))
	}
	return problemOf(r)
}
