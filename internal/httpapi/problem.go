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
		"Send JSON, with Content-Type: application/json."},
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
	State         string         `json:"state,omitempty" doc:"With conflict: the state that does not allow it."`

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
	if r.NextReleaseAt != nil {
		at := r.NextReleaseAt.UTC()
		p.NextReleaseAt = &at
	}
	p.Available = r.Available
	p.State = r.State
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
		p.Errors = []ProblemError{{Location: "body", Message: "is missing or is not JSON"}}
	}
	return p
}

// example is a problem as it may look, for the document.
func example(code shop.Code, who access) *Problem {
	at := time.Date(2026, 12, 12, 12, 4, 0, 0, time.UTC)
	one := int64(1)
	r := &shop.Refusal{Code: code}
	switch code {
	case shop.AllHeld:
		r.NextReleaseAt, r.Detail = &at, "Every unit is in somebody's cart or in an order that is not yet paid. Some may come back: ask again."
	case shop.NotEnoughUnits:
		r.Available, r.Detail = &one, "Only 1 can be had right now. Ask for fewer."
	case shop.Conflict:
		r.State, r.Detail = "ordered", "This transaction is part of an order. Cancel the order to give its units back."
	case shop.Validation:
		r.Problems = []shop.Problem{{Location: "body.quantity", Message: "expected number >= 1"}}
	case shop.Forbidden:
		r.Detail = fmt.Sprintf("This needs an API key with the scope %s.", cmp.Or(who.scope, shop.ScopeClaim))
	}
	return problemOf(r)
}
