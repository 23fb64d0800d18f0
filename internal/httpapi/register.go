package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// access says who may call an operation.
type access struct {
	buyer    bool       // a buyer, with a token
	forBuyer bool       // a key with the scope claim, for the buyer in Buyer-Id
	scope    shop.Scope // a key with this scope, for itself
	nobody   bool       // whoever shows no credentials; those that are shown must be good, of whatever scope
}

var (
	anyone   = access{}
	buyers   = access{buyer: true, forBuyer: true}
	backEnds = access{forBuyer: true}
)

// keysWith lets keys with a scope in, buyersOr buyers as well, and anyoneOr everybody: the handler shows more to the keys.
func keysWith(scope shop.Scope) access { return access{scope: scope} }
func buyersOr(scope shop.Scope) access { return access{buyer: true, forBuyer: true, scope: scope} }
func anyoneOr(scope shop.Scope) access { return access{scope: scope, nobody: true} }

// needs says in words who may call.
func (who access) needs() string {
	switch {
	case who.nobody:
		return fmt.Sprintf("Needs nobody. Credentials that are sent must be good; an API key with the scope `%s` is shown more.", who.scope)
	case who.buyer && who.scope != "":
		return fmt.Sprintf("Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`: then it is about that buyer's own. "+
			"Or an API key with the scope `%s`, without `Buyer-Id`: then it is about everybody's.", who.scope)
	case who.buyer:
		return "Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`."
	case who.forBuyer:
		return "Needs an API key with the scope `claim` and the header `Buyer-Id`. A buyer's own token is not enough."
	}
	return fmt.Sprintf("Needs an API key with the scope `%s`.", who.scope)
}

func (who access) security() (all []map[string][]string) {
	if who.nobody {
		all = append(all, map[string][]string{})
	}
	if who.buyer || who.nobody {
		all = append(all, map[string][]string{"buyer": {}})
	}
	return append(all, map[string][]string{"key": {}})
}

func (who access) aboutBuyerID() string {
	switch {
	case !who.buyer:
		return "The buyer that the key acts for."
	case who.scope != "":
		return fmt.Sprintf("The buyer that a key with the scope `claim` acts for; refused with a buyer's token. Without it a key needs the scope `%s`.", who.scope)
	}
	return "The buyer that a key with the scope `claim` acts for: required with a key, refused with a buyer's token."
}

// operation is what register needs to know besides the types of input and output.
type operation struct {
	id, method, path string
	tag              string
	summary          string
	about            string
	who              access
	status           int                                    // of success; 200 when 0
	also             int                                    // another status of success, with the same body
	describe         func(*huma.Operation)                  // completes the document
	guard            func(huma.Context, func(huma.Context)) // lets some through; nil: all
	body             int64                                  // bytes at most, if more than bodyBytesAtMost
	media            string                                 // of the body, if it is not JSON
	example          string                                 // of such a body
	arrives          time.Duration                          // how long the body may take, if longer than bodyArrivesIn
	refuses          []shop.Code
	// lasts is how long it may take, its body and what it is asked to wait aside; usually when 0, and as long as it likes when unbounded: such a one sees to that itself.
	lasts     time.Duration
	unlimited bool // may come as often as it likes: what asks whether we live, and what speaks for all buyers
}

// An answer comes within 5 s even when the database says nothing any more: a commit, or a batch, that is under way then is given half a second (pgdb.InTx, lane.Do), and the rest is for the way.
const (
	usually   = 3 * time.Second
	unbounded = time.Duration(-1)
)

const (
	bodyBytesAtMost    = 16 << 10
	idsBytesAtMost     = 64 << 10
	eventBytesAtMost   = 512 << 10
	serialsBytesAtMost = 2 << 20
)

// waiting is an input that asks for some patience.
type waiting interface{ waits() time.Duration }

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

		BodyReadTimeout: op.arrives,
		Metadata:        map[string]any{"access": op.who},
		Responses:       map[string]*huma.Response{},
		Security:        []map[string][]string{},
	}
	refuses := append([]shop.Code{shop.Validation, shop.Busy, internal}, op.refuses...)
	if slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, op.method) {
		refuses = append(refuses, requestTimeout, payloadTooLarge, unsupportedMediaType)
	}
	if !op.unlimited {
		refuses = append(refuses, shop.TooManyRequests)
	}
	if op.who == anyone && !op.unlimited {
		o.Middlewares = huma.Middlewares{a.fromAddress}
	}
	if op.who != anyone {
		if refuses = append(refuses, shop.Unauthenticated); !op.who.nobody {
			refuses = append(refuses, shop.Forbidden)
		}
		o.Middlewares = huma.Middlewares{a.authenticate(op.who)}
		o.Security = op.who.security()
		o.Description += "\n\n" + op.who.needs()
	}
	if a.observe != nil {
		o.Middlewares = append(huma.Middlewares{observed(a.observe.Operation(op.id), a.refused)}, o.Middlewares...)
	}
	if op.guard != nil {
		o.Middlewares = append(o.Middlewares, op.guard)
	}
	o.Middlewares = append(o.Middlewares, a.acceptable(cmp.Or(op.media, "application/json")))
	_, takes := reflect.TypeFor[I]().FieldByName("Body")
	_, takesRaw := reflect.TypeFor[I]().FieldByName("RawBody")
	takesRaw = takesRaw && op.media == ""
	if op.media != "" {
		o.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{}}
	} else if !takes && !takesRaw && op.method == http.MethodPost {
		o.Middlewares = append(o.Middlewares, a.bodyless)
	}
	o.SkipValidateBody = takesRaw // what it is, is for the handler to say
	if op.who.forBuyer {
		o.Parameters = append(o.Parameters, &huma.Param{
			Name: "Buyer-Id", In: "header", Required: !op.who.buyer,
			Description: op.who.aboutBuyerID(),
			Schema:      &huma.Schema{Type: "string", MinLength: ptr(1), MaxLength: ptr(128), Examples: []any{"ann"}},
		})
	}
	a.huma.OpenAPI().Components.Schemas.Schema(problemType, true, "Problem")
	describeRefusals(&o, op.who, refuses)
	if op.describe != nil {
		op.describe(&o)
	}
	huma.Register(a.huma, o, func(ctx context.Context, in *I) (*O, error) {
		within := ctx
		if lasts := cmp.Or(op.lasts, usually); lasts != unbounded {
			if in, waits := any(in).(waiting); waits {
				lasts += in.waits()
			}
			var end func()
			within, end = context.WithTimeout(ctx, lasts)
			defer end()
		}
		out, err := handler(within, in)
		if err != nil {
			return nil, a.problem(within, op.id, err)
		}
		return out, nil
	})
	if op.media != "" {
		o.RequestBody.Content[op.media] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}, Example: op.example}
	}
	if takesRaw {
		a.huma.OpenAPI().Paths[op.path].Post.RequestBody.Content["application/json"].Schema = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
	}
	if op.also != 0 {
		other := *o.Responses[strconv.Itoa(max(op.status, http.StatusOK))]
		other.Description, other.Headers = http.StatusText(op.also), maps.Clone(other.Headers)
		o.Responses[strconv.Itoa(op.also)] = &other
	}
	if o.Responses["201"] != nil && o.Responses["202"] != nil {
		describeQueued(&o)
	}
}

func ptr[T any](v T) *T { return &v }

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
		if status == "503" || slices.Contains(comeBack, code) {
			if r.Headers == nil {
				r.Headers = map[string]*huma.Param{}
			}
			r.Headers["Retry-After"] = retryAfter("Seconds to wait before asking again.")
		}
	}
}

// comeBack are the refusals, besides those with 503, that say after how long to ask again.
var comeBack = []shop.Code{shop.AllHeld, shop.CoolDown, shop.SalePaused, shop.TooManyRequests}

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
