package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// access says who may call an operation.
type access struct {
	buyer bool       // a buyer, or a key with the scope claim for the buyer in Buyer-Id
	scope shop.Scope // a key with this scope
}

var (
	anyone = access{}
	buyers = access{buyer: true}
)

func keysWith(scope shop.Scope) access { return access{scope: scope} }

// operation is what register needs to know besides the types of input and output.
type operation struct {
	id, method, path string
	tag              string
	summary          string
	about            string
	who              access
	status           int // of success; 200 when 0
	also             int // another status of success, with the same body
	events           bool
	body             int64
	refuses          []shop.Code
}

const (
	bodyBytesAtMost    = 16 << 10
	serialsBytesAtMost = 2 << 20
)

// register is the only caller of huma.Register: whatever a handler returns becomes a problem here, so that no text of an error that was
// not meant for callers reaches one.
func register[I, O any](a *api, op operation, handler func(context.Context, *I) (*O, error)) {
	o := huma.Operation{
		OperationID:   op.id,
		Method:        op.method,
		Path:          op.path,
		Tags:          []string{op.tag},
		Summary:       op.summary,
		Description:   op.about,
		DefaultStatus: op.status,
		MaxBodyBytes:  max(op.body, bodyBytesAtMost),
		Metadata:      map[string]any{"access": op.who},
		Responses:     map[string]*huma.Response{},
		Security:      []map[string][]string{},
	}
	refuses := append([]shop.Code{shop.Validation, shop.Busy, internal}, op.refuses...)
	if op.method == http.MethodPost || op.method == http.MethodPut {
		refuses = append(refuses, requestTimeout, payloadTooLarge, unsupportedMediaType)
	}
	if op.who != anyone {
		refuses = append(refuses, shop.Unauthenticated, shop.Forbidden)
		o.Middlewares = huma.Middlewares{a.authenticate(op.who)}
		o.Security = security(op.who)
	}
	o.Middlewares = append(o.Middlewares, a.acceptable)
	if op.who.scope != "" {
		o.Description += fmt.Sprintf("\n\nNeeds an API key with the scope `%s`.", op.who.scope)
	}
	if op.who.buyer {
		o.Description += "\n\nNeeds a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`."
		o.Parameters = append(o.Parameters, &huma.Param{
			Name: "Buyer-Id", In: "header",
			Description: "The buyer that a key with the scope `claim` acts for: required with a key, refused with a buyer's token.",
			Schema:      &huma.Schema{Type: "string", MinLength: ptr(1), MaxLength: ptr(128)},
		})
	}
	a.huma.OpenAPI().Components.Schemas.Schema(problemType, true, "Problem")
	describeRefusals(&o, op.who, refuses)
	if op.events {
		a.describeEvents(&o)
	}
	huma.Register(a.huma, o, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, op.id, err)
		}
		return out, nil
	})
	if op.also != 0 {
		other := *o.Responses[strconv.Itoa(max(op.status, http.StatusOK))]
		other.Description, other.Headers = http.StatusText(op.also), maps.Clone(other.Headers)
		o.Responses[strconv.Itoa(op.also)] = &other
	}
	if o.Responses["202"] != nil {
		describeQueued(&o)
	}
}

func ptr[T any](v T) *T { return &v }

func security(who access) []map[string][]string {
	if who.buyer {
		return []map[string][]string{{"buyer": {}}, {"key": {}}}
	}
	return []map[string][]string{{"key": {}}}
}

// describeRefusals writes every problem that an operation can answer, with an example each, into the document.
func describeRefusals(o *huma.Operation, who access, refuses []shop.Code) {
	slices.Sort(refuses)
	for _, code := range slices.Compact(refuses) {
		status := strconv.Itoa(kinds[code].status)
		r := o.Responses[status]
		if r == nil {
			r = &huma.Response{
				Description: http.StatusText(kinds[code].status),
				Content: map[string]*huma.MediaType{"application/problem+json": {
					Schema:   &huma.Schema{Ref: "#/components/schemas/Problem"},
					Examples: map[string]*huma.Example{},
				}},
			}
			o.Responses[status] = r
		}
		r.Content["application/problem+json"].Examples[string(code)] = &huma.Example{Summary: kinds[code].title, Value: example(code, who)}
		if status == "503" || code == shop.AllHeld || code == shop.TooManyRequests {
			if r.Headers == nil {
				r.Headers = map[string]*huma.Param{}
			}
			r.Headers["Retry-After"] = retryAfter("Seconds to wait before asking again.")
		}
	}
}

func retryAfter(description string) *huma.Param {
	return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeInteger}}
}

// problem turns an error of a handler into what the caller is told. A fault is logged here, once.
func (a *api) problem(ctx context.Context, doing string, err error) *Problem {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem
	}
	var refusal *shop.Refusal
	if errors.As(err, &refusal) {
		return problemOf(refusal)
	}
	if ctx.Err() != nil {
		return newProblem(shop.Busy, "") // the caller is gone; nobody reads this
	}
	a.log.Error("fault", "operation", doing, "request_id", requestID(ctx), slog.Any("error", err))
	return newProblem(internal, "")
}
