// Package httpapi is HTTP in and out: it decodes, asks the shop, and encodes. It knows no SQL and no rules.
package httpapi

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/cors"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/lastunit/lastunit/internal/shop"
)

// Options of the API.
type Options struct {
	Buyers Buyers
	// GuestRate is how many visitors without an account may begin a session within a minute from one address. 0: none at all; else Buyers.Secret signs their tokens.
	GuestRate int
	// BuyerRate is how many requests a second a buyer may send, and AddressRate how many may come from one public address without an API key: for five
	// seconds' worth at once. 0: no limit.
	BuyerRate, AddressRate int
	// TrustedProxies are the networks of proxies, whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// CORSOrigins are the origins whose pages may call.
	CORSOrigins []string
	// ImageOrigins are where the pages may show pictures from, besides the service itself.
	ImageOrigins []string
	Log          *slog.Logger
	// LogRequests says of which requests a line is logged. RequestsFaults.
	LogRequests Requests
	// Traces makes the spans of requests; nil: there are none.
	Traces trace.TracerProvider
	// Heartbeat is how often a stream of events that has nothing to tell says so, lest a proxy take it for dead. 15 s.
	Heartbeat time.Duration
	// WrittenIn is how long whoever asks may take to read an answer, or each part of a long one; streams of events have a bound of their own. 1 min.
	WrittenIn time.Duration
	// Claim decides direct claims; nil: the shop does. bench puts what it compares us with behind the same HTTP.
	Claim func(context.Context, shop.ClaimRequest) (shop.Claimed, error)
	// Observe is told of requests; nil: nobody is.
	Observe *Observer
	// Rehearse plays a rehearsal that was started, with the secret of its key (shop.PlayRehearsal). It returns at once, and plays on.
	Rehearse func(r shop.Rehearsal, secret string)
}

type api struct {
	shop      *shop.Shop
	decide    func(context.Context, shop.ClaimRequest) (shop.Claimed, error)
	huma      huma.API
	verifier  *verifier
	tracer    trace.Tracer // nil: requests are not traced
	slowLines *rate.Limiter
	addresses *addresses
	now       func() time.Time // by the database's clock
	log       *slog.Logger
	heartbeat time.Duration
	writtenIn time.Duration
	rehearse  func(shop.Rehearsal, string)
	observe   *Observer
	refused   map[shop.Code]func() // nil: nobody is told
	streams   atomic.Int64         // that were opened
	draining  atomic.Bool

	// What Reload changes:
	requests atomic.Pointer[Requests]
	buyers   atomic.Pointer[Buyers]
	guests   atomic.Pointer[func(huma.Context, func(huma.Context))]
	perBuyer atomic.Pointer[rates[string]]
}

// Handler is everything under the service's address.
type Handler struct {
	http.Handler
	api *api
}

// Reload takes over the secret of Buyers, GuestRate, BuyerRate, AddressRate and LogRequests; the other options stay as they are. Whoever was slowed down by
// a rate that has changed begins anew.
func (h *Handler) Reload(o Options) error {
	a := h.api
	buyers := *a.buyers.Load()
	buyers.Secret = o.Buyers.Secret
	o.Buyers = buyers
	return a.change(o)
}

// Drain makes /readyz say that the server is about to stop, and every answer the last one of its connection, so that proxies and clients go elsewhere. All
// else is served as before.
func (h *Handler) Drain() { h.api.draining.Store(true) }

// closing keeps no connection while the server drains. http.Server.SetKeepAlivesEnabled would also close those that wait at once, each of which may have a
// request on its way.
func (a *api) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) change(o Options) error {
	guests, err := a.guestsAt(o)
	if err != nil {
		return err
	}
	o.LogRequests = cmp.Or(o.LogRequests, RequestsFaults)
	a.requests.Store(&o.LogRequests)
	a.guests.Store(&guests)
	a.buyers.Store(&o.Buyers)
	a.verifier.secret.Store(&o.Buyers.Secret)
	if old := a.perBuyer.Load(); !old.is(o.BuyerRate) {
		a.perBuyer.Store(newRates[string](o.BuyerRate))
	}
	if old := a.addresses.rates.Load(); !old.is(o.AddressRate) {
		a.addresses.rates.Store(newRates[netip.Prefix](o.AddressRate))
	}
	return nil
}

var problemType = reflect.TypeFor[Problem]()

// New makes the handler of everything under the service's address. It fetches the JWKS, if there is one, until ctx ends. With a nil shop it
// serves the document, direct claims if Options.Claim decides them, and nothing else.
func New(ctx context.Context, s *shop.Shop, o Options) (*Handler, error) {
	a, router, err := build(ctx, s, o)
	if err != nil {
		return nil, err
	}
	pages, err := newSite(o.ImageOrigins)
	if err != nil {
		return nil, err
	}
	a.pages(router)
	pages.routes(router)
	return &Handler{router, a}, nil
}

// Document is openapi.yaml.
func Document() ([]byte, error) {
	a, _, err := build(context.Background(), nil, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return a.huma.OpenAPI().YAML()
}

func build(ctx context.Context, s *shop.Shop, o Options) (*api, chi.Router, error) {
	a := &api{shop: s, decide: o.Claim, rehearse: o.Rehearse, log: o.Log, now: time.Now, heartbeat: cmp.Or(o.Heartbeat, heartbeatEvery), writtenIn: cmp.Or(o.WrittenIn, answerWrittenIn)}
	if s != nil {
		a.now = s.Clock
		if a.decide == nil {
			a.decide = s.Claim
		}
	}
	a.observe, a.refused = o.Observe, o.Observe.refusals()
	a.slowLines = rate.NewLimiter(slowLines, slowLines)
	if o.Traces != nil {
		a.tracer = o.Traces.Tracer("github.com/lastunit/lastunit/internal/httpapi")
	}
	a.addresses = &addresses{proxies: o.TrustedProxies, log: o.Log}
	var err error
	if a.verifier, err = newVerifier(ctx, o.Buyers, a.now, o.Log); err != nil {
		return nil, nil, err
	}
	if err = a.change(o); err != nil {
		return nil, nil, err
	}
	router := chi.NewRouter()
	router.Use(withRequestID, a.traced, a.logged, a.recovered, a.inTime, a.closing)
	if len(o.CORSOrigins) > 0 {
		router.Use(cors.Handler(cors.Options{
			AllowedOrigins: o.CORSOrigins,
			AllowedMethods: []string{"GET", "POST", "PUT", "PATCH", "DELETE"},
			AllowedHeaders: []string{"Authorization", "Buyer-Id", "Content-Type", "Idempotency-Key", "Prefer", "Last-Event-ID", "X-Request-Id"},
			ExposedHeaders: []string{"Date", "Location", "Retry-After", "Idempotency-Replayed", "Preference-Applied", "X-Request-Id"},
			MaxAge:         600,
		}))
	}
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, newProblem(shop.NotFound, noSuchAddress))
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if router.Match(chi.NewRouteContext(), method, r.URL.Path) {
				w.Header().Add("Allow", method)
			}
		}
		writeProblem(w, r, newProblem(methodNotAllowed, ""))
	})
	a.huma = humachi.New(router, document())
	a.operations()
	return a, router, nil
}

// operations is every operation, on one screen: what buyers do, and what the shop's people and programs do.
func (a *api) operations() {
	a.buyersOperations()
	a.operatorsOperations()
	register(a, operation{id: "live", method: "GET", path: "/livez", tag: "health", who: anyone, unlimited: true,
		summary: "Is the process alive?", about: "Asks nobody else."}, a.live)
	register(a, operation{id: "ready", method: "GET", path: "/readyz", tag: "health", who: anyone, unlimited: true,
		summary: "Can it serve?", about: readyText}, a.ready)
}

func (a *api) buyersOperations() {
	register(a, operation{id: "claimQueued", method: "POST", path: "/api/v1/order/addToCart", tag: "cart", who: buyers, status: 202, also: 201,
		summary: "Add to the cart, in turn", about: claimQueuedText, refuses: claimRefuses}, a.claimQueued)
	register(a, operation{id: "claim", method: "POST", path: "/order/addToCart", tag: "cart", who: buyers, status: 201, also: 202,
		lasts: unbounded, summary: "Add to the cart, decided now", about: claimText, refuses: claimRefuses}, a.claim)
	register(a, operation{id: "getTransaction", method: "GET", path: "/api/v1/transaction/{id}", tag: "cart", who: buyers,
		summary: "Look at a transaction", about: getTransactionText, refuses: []shop.Code{shop.NotFound}}, a.getTransaction)
	register(a, operation{id: "watchTransaction", method: "GET", path: "/api/v1/transaction/{id}/events", tag: "cart", who: buyers, describe: describeEvents,
		lasts: unbounded, summary: "Watch a transaction", about: watchTransactionText, refuses: []shop.Code{shop.NotFound}}, a.watchTransaction)
	register(a, operation{id: "extend", method: "POST", path: "/api/v1/transaction/{id}/extend", tag: "cart", who: backEnds,
		summary: "Let a hold last longer", about: extendText, refuses: onHolds}, a.extend)
	register(a, operation{id: "getCart", method: "GET", path: "/api/v1/cart", tag: "cart", who: buyers,
		summary: "Look into the cart", about: "The buyer's holds with their totals and the next expiry, and the requests that are queued. Lapsed holds are gone from it."}, a.getCart)
	register(a, operation{id: "release", method: "DELETE", path: "/api/v1/cart/{transaction_id}", tag: "cart", who: buyers, status: 204,
		summary: "Give a hold back, or cancel a queued request", about: releaseText, refuses: []shop.Code{shop.NotFound, shop.Conflict, shop.OutcomeUnknown}}, a.release)
	register(a, operation{id: "startSession", method: "POST", path: "/api/v1/session", tag: "cart", who: anyone, status: 201, guard: a.guestsNow,
		summary: "Come in as a guest", about: startSessionText, refuses: []shop.Code{shop.NotFound}}, a.startSession)

	register(a, operation{id: "checkout", method: "POST", path: "/api/v1/order/checkout", tag: "order", who: buyers, status: 201, body: idsBytesAtMost,
		summary: "Order what is in the cart", about: checkoutText, refuses: append([]shop.Code{shop.CartEmpty}, onHolds...)}, a.checkout)
	register(a, operation{id: "pay", method: "POST", path: "/api/v1/orders/{id}/pay", tag: "order", who: buyers,
		lasts: unbounded, summary: "Pay for an order", about: payText, refuses: append([]shop.Code{shop.PaymentFailed}, changes...)}, a.pay)
	register(a, operation{id: "stripeWebhook", method: "POST", path: "/api/v1/payments/stripe/webhook", tag: "order", who: anyone, body: eventBytesAtMost, unlimited: true,
		lasts: unbounded, summary: "Hear from Stripe", about: stripeWebhookText, refuses: []shop.Code{shop.NotFound, shop.Forbidden}}, a.stripeWebhook)
	register(a, operation{id: "cancel", method: "POST", path: "/api/v1/orders/{id}/cancel", tag: "order", who: buyers,
		summary: "Cancel an unpaid order", about: cancelText, refuses: changes}, a.cancel)
	register(a, operation{id: "listOrders", method: "GET", path: "/api/v1/orders", tag: "order", who: buyersOr(shop.ScopeOrder),
		summary: "List the orders", about: listOrdersText}, a.listOrders)
	register(a, operation{id: "getOrder", method: "GET", path: "/api/v1/orders/{id}", tag: "order", who: buyersOr(shop.ScopeOrder),
		summary: "Look at an order", about: "As it now is. One that is overdue shows as cancelled.", refuses: []shop.Code{shop.NotFound}}, a.getOrder)

	register(a, operation{id: "listProducts", method: "GET", path: "/api/v1/products", tag: "catalogue", who: anyone,
		summary: "List the products", about: "By SKU, with what can be claimed of each at this moment."}, a.listProducts)
	register(a, operation{id: "getProduct", method: "GET", path: "/api/v1/products/{sku}", tag: "catalogue", who: anyone,
		summary: "Look at a product", about: "With what can be claimed of it at this moment.", refuses: []shop.Code{shop.NotFound}}, a.getProduct)
	register(a, operation{id: "watchProduct", method: "GET", path: "/api/v1/products/" + eventsSKU, tag: "catalogue", who: anyone, describe: describeProductEvents,
		lasts: unbounded, summary: "Watch products", about: watchProductText, refuses: []shop.Code{shop.NotFound}}, a.watchProduct)
	register(a, operation{id: "listSales", method: "GET", path: "/api/v1/sales", tag: "sale", who: anyoneOr(shop.ScopeSale),
		summary: "List the sales", about: listSalesText}, a.listSales)
	register(a, operation{id: "getSale", method: "GET", path: "/api/v1/sales/{id}", tag: "sale", who: anyoneOr(shop.ScopeSale),
		summary: "Look at a sale", about: "As it now is, by the store's clock. Drafts are shown to keys with the scope `sale` alone.", refuses: []shop.Code{shop.NotFound}}, a.getSale)
	register(a, operation{id: "getSelling", method: "GET", path: "/api/v1/selling", tag: "sale", who: anyone,
		summary: "Is anything sold?", about: "Whether all selling is paused, and since when."}, a.getSelling)
}

func (a *api) operatorsOperations() {
	register(a, operation{id: "putProduct", method: "PUT", path: "/api/v1/products/{sku}", tag: "catalogue", who: keysWith(shop.ScopeCatalog), also: 201,
		summary: "Create or replace a product", about: putProductText, refuses: []shop.Code{shop.OutcomeUnknown}}, a.putProduct)
	register(a, operation{id: "deleteProduct", method: "DELETE", path: "/api/v1/products/{sku}", tag: "catalogue", who: keysWith(shop.ScopeCatalog), status: 204,
		summary: "Delete a rehearsal's product", about: deleteProductText, refuses: []shop.Code{shop.NotFound, shop.Conflict, shop.OutcomeUnknown}}, a.deleteProduct)

	register(a, operation{id: "importSheet", method: "POST", path: "/api/v1/imports", tag: "catalogue", who: keysWith(shop.ScopeCatalog), body: sheetBytesAtMost, media: "text/csv",
		example: importExample, arrives: sheetArrivesIn, lasts: unbounded, summary: "Import products and stock", about: importText, refuses: []shop.Code{shop.KeyReused, shop.OutcomeUnknown}}, a.importSheet)

	register(a, operation{id: "receive", method: "POST", path: "/api/v1/products/{sku}/receipts", tag: "stock", who: keysWith(shop.ScopeStock), status: 201, body: serialsBytesAtMost,
		lasts: unbounded, summary: "Receive units", about: receiveText, refuses: changes}, a.receive)
	register(a, operation{id: "withdraw", method: "POST", path: "/api/v1/products/{sku}/withdrawals", tag: "stock", who: keysWith(shop.ScopeStock), status: 201,
		lasts: unbounded, summary: "Withdraw units for good", about: withdrawText, refuses: []shop.Code{shop.NotFound, shop.KeyReused, shop.NotEnoughUnits, shop.OutcomeUnknown}}, a.withdraw)
	register(a, operation{id: "releaseQuarantine", method: "POST", path: "/api/v1/products/{sku}/quarantine/release", tag: "stock", who: keysWith(shop.ScopeStock), status: 201,
		body: idsBytesAtMost, lasts: unbounded, summary: "Let units out of quarantine", about: releaseQuarantineText, refuses: append([]shop.Code{shop.NotEnoughUnits}, changes...)}, a.releaseQuarantine)
	register(a, operation{id: "getStock", method: "GET", path: "/api/v1/products/{sku}/stock", tag: "stock", who: keysWith(shop.ScopeStock),
		lasts: 30 * time.Second, summary: "Count the units by place", about: "Exactly, from one snapshot. Units in lapsed holds count as available.", refuses: []shop.Code{shop.NotFound}}, a.getStock)
	register(a, operation{id: "getUnit", method: "GET", path: "/api/v1/units/{id}", tag: "stock", who: keysWith(shop.ScopeStock),
		summary: "Read a unit's life", about: "Where the unit is, and everything that happened to it.", refuses: []shop.Code{shop.NotFound}}, a.getUnit)

	register(a, operation{id: "planSale", method: "POST", path: "/api/v1/sales", tag: "sale", who: keysWith(shop.ScopeSale), status: 201, body: idsBytesAtMost,
		lasts: 30 * time.Second, summary: "Plan a sale", about: planSaleText, refuses: []shop.Code{shop.NotFound, shop.KeyReused, shop.OutcomeUnknown}}, a.planSale)
	register(a, operation{id: "changeSale", method: "PATCH", path: "/api/v1/sales/{id}", tag: "sale", who: keysWith(shop.ScopeSale), body: idsBytesAtMost,
		lasts: 30 * time.Second, summary: "Change a sale", about: changeSaleText, refuses: append([]shop.Code{shop.SaleOverlaps}, changes...)}, a.changeSale)
	moves := map[shop.SaleAction]operation{
		shop.ScheduleSale: {lasts: 30 * time.Second, summary: "Schedule a sale", about: scheduleSaleText, refuses: append([]shop.Code{shop.SaleOverlaps, shop.NotEnoughUnits}, changes...)},
		shop.OpenSale:     {lasts: 30 * time.Second, summary: "Open a sale before its time", about: openSaleText, refuses: append([]shop.Code{shop.SaleOverlaps}, changes...)},
		shop.PauseSale:    {summary: "Pause a sale", about: pauseSaleText, refuses: changes},
		shop.ResumeSale:   {summary: "Resume a sale", about: resumeSaleText, refuses: changes},
		shop.CloseSale:    {lasts: 30 * time.Second, summary: "Close a sale", about: closeSaleText, refuses: changes},
	}
	for _, action := range shop.SaleActions() {
		o := moves[action]
		o.id, o.method, o.path, o.tag, o.who = string(action)+"Sale", "POST", "/api/v1/sales/{id}/"+string(action), "sale", keysWith(shop.ScopeSale)
		register(a, o, a.moveSale(action))
	}
	register(a, operation{id: "saleChanges", method: "GET", path: "/api/v1/sales/{id}/changes", tag: "sale", who: keysWith(shop.ScopeSale),
		summary: "Read what was done to a sale", about: saleChangesText, refuses: []shop.Code{shop.NotFound}}, a.saleChanges)
	register(a, operation{id: "saleFigures", method: "GET", path: "/api/v1/sales/{id}/figures", tag: "sale", who: keysWith(shop.ScopeSale),
		summary: "See how a sale goes", about: saleFiguresText, refuses: []shop.Code{shop.NotFound}}, a.saleFigures)
	register(a, operation{id: "saleReport", method: "GET", path: "/api/v1/sales/{id}/report", tag: "sale", who: keysWith(shop.ScopeSale), describe: a.describeReport,
		lasts: unbounded, summary: "Report on a sale", about: saleReportText, refuses: []shop.Code{shop.NotFound, shop.Conflict}}, a.saleReport)
	register(a, operation{id: "startRehearsal", method: "POST", path: "/api/v1/sales/{id}/rehearsals", tag: "sale", who: keysWith(shop.ScopeSale), status: 202,
		lasts: unbounded, summary: "Rehearse a planned sale", about: startRehearsalText, refuses: changes}, a.startRehearsal)
	register(a, operation{id: "getRehearsal", method: "GET", path: "/api/v1/rehearsals/{id}", tag: "sale", who: keysWith(shop.ScopeSale),
		summary: "Look at a rehearsal", about: getRehearsalText, refuses: []shop.Code{shop.NotFound}}, a.getRehearsal)
	register(a, operation{id: "pauseSelling", method: "POST", path: "/api/v1/selling/pause", tag: "sale", who: keysWith(shop.ScopeSale),
		summary: "Pause all selling", about: pauseSellingText, refuses: []shop.Code{shop.KeyReused, shop.OutcomeUnknown}}, a.pauseSelling(true))
	register(a, operation{id: "resumeSelling", method: "POST", path: "/api/v1/selling/resume", tag: "sale", who: keysWith(shop.ScopeSale),
		summary: "Resume all selling", about: "Goes on with what was paused by `pause`.", refuses: []shop.Code{shop.KeyReused, shop.OutcomeUnknown}}, a.pauseSelling(false))

	register(a, operation{id: "confirm", method: "POST", path: "/api/v1/orders/confirm", tag: "order", who: keysWith(shop.ScopeOrder), status: 201, body: idsBytesAtMost,
		summary: "Confirm what the shop beside was paid for", about: confirmText, refuses: onHolds}, a.confirm)
	register(a, operation{id: "refund", method: "POST", path: "/api/v1/orders/{id}/refund", tag: "order", who: keysWith(shop.ScopeOrder), body: idsBytesAtMost,
		summary: "Take units back", about: refundText, refuses: changes}, a.refund)
	register(a, operation{id: "exportOrders", method: "GET", path: "/api/v1/orders/export", tag: "order", who: keysWith(shop.ScopeOrder), describe: describeExport,
		lasts: unbounded, summary: "Export the orders", about: exportOrdersText}, a.exportOrders)
	register(a, operation{id: "listEvents", method: "GET", path: "/api/v1/events", tag: "event", who: keysWith(shop.ScopeOrder),
		summary: "Read what happened", about: listEventsText}, a.listEvents)

	a.webhooksOperations()

	register(a, operation{id: "runAudit", method: "POST", path: "/api/v1/audit", tag: "audit", who: keysWith(shop.ScopeAudit), status: 201,
		lasts: unbounded, summary: "Run an audit now", about: runAuditText, refuses: []shop.Code{shop.NotFound, shop.KeyReused, shop.OutcomeUnknown}}, a.runAudit)
	register(a, operation{id: "getAudit", method: "GET", path: "/api/v1/audit", tag: "audit", who: keysWith(shop.ScopeAudit),
		summary: "Read the last audit", about: "The audit that finished last.", refuses: []shop.Code{shop.NotFound}}, a.getAudit)
}

func (a *api) webhooksOperations() {
	who := keysWith(shop.ScopeWebhook)
	register(a, operation{id: "createWebhook", method: "POST", path: "/api/v1/webhooks", tag: "webhook", who: who, status: 201,
		summary: "Subscribe to events", about: createWebhookText, refuses: changes}, a.createWebhook)
	register(a, operation{id: "listWebhooks", method: "GET", path: "/api/v1/webhooks", tag: "webhook", who: who,
		summary: "List the webhooks", about: "The oldest first, without their secrets."}, a.listWebhooks)
	register(a, operation{id: "getWebhook", method: "GET", path: "/api/v1/webhooks/{id}", tag: "webhook", who: who,
		summary: "Look at a webhook", about: "Without its secrets.", refuses: []shop.Code{shop.NotFound}}, a.getWebhook)
	register(a, operation{id: "changeWebhook", method: "PATCH", path: "/api/v1/webhooks/{id}", tag: "webhook", who: who,
		summary: "Change a webhook", about: changeWebhookText, refuses: []shop.Code{shop.NotFound, shop.KeyReused, shop.OutcomeUnknown}}, a.changeWebhook)
	register(a, operation{id: "deleteWebhook", method: "DELETE", path: "/api/v1/webhooks/{id}", tag: "webhook", who: who, status: 204, lasts: 30 * time.Second,
		summary: "Delete a webhook", about: deleteWebhookText, refuses: []shop.Code{shop.NotFound, shop.OutcomeUnknown}}, a.deleteWebhook)
	register(a, operation{id: "rotateWebhookSecret", method: "POST", path: "/api/v1/webhooks/{id}/rotate-secret", tag: "webhook", who: who,
		summary: "Give a webhook a new secret", about: rotateWebhookText, refuses: []shop.Code{shop.NotFound, shop.KeyReused, shop.OutcomeUnknown}}, a.rotateWebhookSecret)
	register(a, operation{id: "testWebhook", method: "POST", path: "/api/v1/webhooks/{id}/test", tag: "webhook", who: who, status: 202,
		summary: "Send a test event", about: testWebhookText, refuses: changes}, a.testWebhook)
	register(a, operation{id: "replayEvent", method: "POST", path: "/api/v1/webhooks/{id}/replay", tag: "webhook", who: who, status: 202,
		summary: "Send an event once more", about: replayEventText, refuses: changes}, a.replayEvent)
	register(a, operation{id: "listDeliveries", method: "GET", path: "/api/v1/webhooks/{id}/deliveries", tag: "webhook", who: who,
		summary: "Read the log of a webhook", about: listDeliveriesText, refuses: []shop.Code{shop.NotFound}}, a.listDeliveries)
}

// What several operations refuse.
var (
	claimRefuses = []shop.Code{
		shop.NotFound, shop.NotSelling, shop.SaleNotOpen, shop.SalePaused, shop.SaleEnded, shop.CoolDown, shop.SoldOut, shop.PurchaseLimit, shop.AllHeld,
		shop.NotEnoughUnits, shop.KeyReused, shop.OutcomeUnknown,
	}
	changes = []shop.Code{shop.NotFound, shop.KeyReused, shop.Conflict, shop.OutcomeUnknown}
	onHolds = append([]shop.Code{shop.HoldExpired}, changes...)
)

// Version is the module's version, or devel.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func document() huma.Config {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	config := huma.DefaultConfig("lastunit", "1")
	config.Components = &huma.Components{
		Schemas: schemas,
		SecuritySchemes: map[string]*huma.SecurityScheme{
			"buyer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A buyer's token: sub is the buyer, exp is required. Signed by the shop (HS256, or a key of its JWKS)."},
			"key":   {Type: "http", Scheme: "bearer", BearerFormat: "lu_...", Description: "An API key of an operator or a back end, with scopes."},
		},
	}
	config.Info.Description = ("A store back end that sells every unit exactly once.\n\n" +
		"Every POST that makes something takes an Idempotency-Key: repeat a request with the same key until it is answered, and it is done once. " +
		"Every refusal is a problem (RFC 9457) whose `code` is there to be switched on, and whose `type` is a page that explains it.")
	config.Info.License = &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"}
	config.Info.Contact = &huma.Contact{Name: "lastunit", URL: "https://github.com/lastunit/lastunit"}
	config.Servers = []*huma.Server{{URL: "/", Description: "The service that serves this document."}}
	config.Tags = []*huma.Tag{
		{Name: "audit", Description: "Proof that nothing was lost."},
		{Name: "cart", Description: "What a buyer does: claim units, look, give back."},
		{Name: "catalogue", Description: "Products and what can be had of them."},
		{Name: "event", Description: "What happened, for programs that follow."},
		{Name: "health", Description: "For whoever keeps the service running."},
		{Name: "order", Description: "What was bought: checkout, payment, refunds."},
		{Name: "sale", Description: "Planned events, and the brake for all selling."},
		{Name: "stock", Description: "Units: in, out, where they are."},
		{Name: "webhook", Description: "What happened, sent to those who subscribed."},
	}
	config.DocsPath = "" // ours works offline
	config.SchemasPath = ""
	config.Transformers = []huma.Transformer{noteProblem}
	config.CreateHooks = nil // no $schema in bodies
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: decode}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.RejectUnknownQueryParameters = true
	return config
}
