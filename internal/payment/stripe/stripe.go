// Package stripe is the payment provider Stripe: charges are its PaymentIntents. It keeps books of which of Stripe's objects are ours, in tables of
// its own, through short statements that have nothing to do with the shop's transactions, and asks Stripe about everything else.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	api "github.com/stripe/stripe-go/v86"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Options of Stripe.
type Options struct {
	// Key is the secret key, sk_... or rk_...; one with _live_ in it moves money.
	Key string
	// WebhookSecrets are the signing secrets, whsec_..., of which one must have signed what Stripe sends. None: nothing is heard.
	WebhookSecrets []string
	// URL is where Stripe is; empty: https://api.stripe.com.
	URL string
	Log *slog.Logger
}

// Stripe is the provider.
type Stripe struct {
	pool    *pgxpool.Pool
	q       *dbsqlc.Queries
	client  *api.Client
	http    *http.Transport
	secrets atomic.Pointer[[]string]
	live    bool
	log     *slog.Logger
	slots   chan struct{}
}

var (
	_ payment.Opener = (*Stripe)(nil)
	_ payment.Teller = (*Stripe)(nil)
)

const (
	// callsAtOnce keeps us below the number of calls that Stripe takes from one account at once.
	callsAtOnce = 40
	// answersWithin is the longest that Stripe is waited for; the caller's context ends sooner.
	answersWithin = 30 * time.Second
)

// New makes the provider on a migrated database. Close it before the pool.
func New(pool *pgxpool.Pool, o Options) *Stripe {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = callsAtOnce
	config := &api.BackendConfig{
		HTTPClient:        &http.Client{Transport: transport, Timeout: answersWithin},
		LeveledLogger:     &api.LeveledLogger{Level: api.LevelNull}, // it would log answers, which have secrets in them
		MaxNetworkRetries: api.Int64(0),                             // who calls us does it again, and knows for how long
		EnableTelemetry:   api.Bool(false),
	}
	if o.URL != "" {
		config.URL = api.String(o.URL)
	}
	s := &Stripe{
		pool: pool, q: dbsqlc.New(), http: transport, log: o.Log,
		client: api.NewClient(o.Key, api.WithBackends(api.NewBackendsWithConfig(config))),
		live:   strings.Contains(o.Key, "_live_"),
		slots:  make(chan struct{}, callsAtOnce),
	}
	s.SetWebhookSecrets(o.WebhookSecrets)
	return s
}

// SetWebhookSecrets puts others in the place of Options.WebhookSecrets.
func (s *Stripe) SetWebhookSecrets(secrets []string) { s.secrets.Store(&secrets) }

// Close lets go of connections. Calls that are under way go on.
func (s *Stripe) Close() { s.http.CloseIdleConnections() }

// Name is "stripe".
func (s *Stripe) Name() string { return "stripe" }

// Charge is Open without the secret.
func (s *Stripe) Charge(ctx context.Context, c payment.Charge) (payment.State, error) {
	state, _, err := s.Open(ctx, c)
	return state, err
}

var means = regexp.MustCompile(`^pm_[A-Za-z0-9_]{1,100}$`)

// Open makes the PaymentIntent of a charge, or looks at it, and with a Card, which is the id of a PaymentMethod, confirms it. A charge of 0 is taken without
// Stripe. When the PaymentMethod is declined, the PaymentIntent is cancelled, so that Failed is final.
func (s *Stripe) Open(ctx context.Context, c payment.Charge) (payment.State, string, error) {
	if c.Card != "" && !means.MatchString(c.Card) {
		return "", "", payment.ErrMeans
	}
	if c.Amount < 0 {
		return "", "", payment.ErrAmount
	}
	if _, err := amountOf(c.Amount, c.Currency); err != nil {
		return "", "", err
	}
	arg := dbsqlc.StripeChargeInsertParams{ChargeID: c.ID, OrderID: &c.OrderID, AmountMinor: c.Amount, Currency: c.Currency}
	if _, err := s.q.StripeChargeInsert(ctx, s.pool, arg); err != nil {
		return "", "", fmt.Errorf("record a charge: %w", err)
	}
	charge, err := s.charge(ctx, c.ID)
	if err != nil {
		return "", "", err
	}
	if state, known := withoutStripe(charge); known {
		return state, "", nil
	}
	intent, err := s.intent(ctx, charge)
	if err != nil {
		var refused *payment.Refused
		if !errors.As(err, &refused) {
			s.log.Warn("a payment could not be begun with Stripe", "payment_id", c.ID, "error", err)
		}
		return "", "", err
	}
	if intent == nil {
		return payment.Failed, "", nil
	}
	if c.Card != "" && wantsMeans(intent) {
		if intent, err = s.confirm(ctx, intent, c.Card); err != nil {
			s.log.Warn("a payment could not be confirmed with Stripe", "payment_id", c.ID, "error", err)
			return "", "", err
		}
	}
	state, err := stateOf(charge, intent)
	if err != nil || state != payment.Pending {
		return state, "", err
	}
	return state, intent.ClientSecret, nil
}

// charge reads what we know of a charge.
func (s *Stripe) charge(ctx context.Context, id pgdb.ID) (dbsqlc.StripeCharge, error) {
	row, err := s.q.StripeChargeByID(ctx, s.pool, id)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return dbsqlc.StripeCharge{}, fmt.Errorf("read a charge: %w", err)
	}
	return row.StripeCharge, err
}

// withoutStripe tells what became of a charge that Stripe needs not be asked about.
func withoutStripe(c dbsqlc.StripeCharge) (payment.State, bool) {
	switch {
	case c.VoidedAt != nil:
		return payment.Failed, true
	case c.AmountMinor == 0:
		return payment.Succeeded, true
	}
	return "", false
}

// intent reads the PaymentIntent of a charge, or makes it. It is made without anything to pay with: what of it Stripe has done, and we have not heard of, can
// take no money, because nobody has its secret. Nil: the charge has been called off.
func (s *Stripe) intent(ctx context.Context, c dbsqlc.StripeCharge) (*api.PaymentIntent, error) {
	if c.IntentID != nil {
		return s.retrieve(ctx, *c.IntentID)
	}
	amount, err := amountOf(c.AmountMinor, c.Currency)
	if err != nil {
		return nil, err
	}
	params := &api.PaymentIntentCreateParams{
		Amount: &amount, Currency: api.String(strings.ToLower(c.Currency)),
		// A method that sends the buyer elsewhere would need an address to come back to, and may outlast the order.
		AutomaticPaymentMethods: &api.PaymentIntentCreateAutomaticPaymentMethodsParams{Enabled: api.Bool(true), AllowRedirects: api.String("never")},
		Metadata:                map[string]string{"payment_id": c.ChargeID.String()},
	}
	if c.OrderID != nil {
		params.Metadata["order_id"] = c.OrderID.String()
	}
	params.SetIdempotencyKey("lastunit-payment-" + c.ChargeID.String())
	var made *api.PaymentIntent
	if err := s.do(ctx, "make a PaymentIntent", func() (err error) {
		made, err = s.client.V1PaymentIntents.Create(ctx, params)
		return err
	}); err != nil {
		return nil, refusal(err)
	}
	n, err := s.q.StripeChargeIntent(ctx, s.pool, dbsqlc.StripeChargeIntentParams{ChargeID: c.ChargeID, IntentID: made.ID})
	if err != nil {
		return nil, fmt.Errorf("record a PaymentIntent: %w", err)
	}
	if n == 1 {
		return made, nil
	}
	now, err := s.charge(ctx, c.ChargeID)
	switch {
	case err != nil:
		return nil, err
	case now.IntentID != nil:
		return s.retrieve(ctx, *now.IntentID)
	}
	// It was called off meanwhile. That nobody has the PaymentIntent's secret is enough; this only tidies up.
	_, _ = s.cancel(ctx, made.ID)
	return nil, nil
}

// refusal turns an error that no repetition changes into one that says so.
func refusal(err error) error {
	var t *Trouble
	if !errors.As(err, &t) {
		return err
	}
	switch t.Code {
	case string(api.ErrorCodeAmountTooSmall):
		return &payment.Refused{Why: "The total is less than Stripe takes in this currency, and nothing was charged. Order more, or ask the shop."}
	case string(api.ErrorCodeAmountTooLarge):
		return &payment.Refused{Why: "The total is more than Stripe takes at once, and nothing was charged. Order less at once, or ask the shop."}
	}
	if t.Param == "currency" && t.Status == http.StatusBadRequest {
		return &payment.Refused{Why: "Stripe does not take this currency for the shop, and nothing was charged. Ask the shop."}
	}
	return err
}

func (s *Stripe) retrieve(ctx context.Context, id string) (intent *api.PaymentIntent, err error) {
	err = s.do(ctx, "read a PaymentIntent", func() (err error) {
		intent, err = s.client.V1PaymentIntents.Retrieve(ctx, id, nil)
		return err
	})
	return intent, err
}

// cancel ends a PaymentIntent and answers how it is then, which is not cancelled when it could not be.
func (s *Stripe) cancel(ctx context.Context, id string) (intent *api.PaymentIntent, err error) {
	err = s.do(ctx, "cancel a PaymentIntent", func() (err error) {
		intent, err = s.client.V1PaymentIntents.Cancel(ctx, id, &api.PaymentIntentCancelParams{CancellationReason: api.String("abandoned")})
		return err
	})
	var t *Trouble
	if errors.As(err, &t) && t.Code == string(api.ErrorCodePaymentIntentUnexpectedState) {
		return s.retrieve(ctx, id)
	}
	return intent, err
}

// confirm tries to take the money with a PaymentMethod. It carries no key of ours: what state the PaymentIntent is in keeps it from being paid twice, and an
// answer that Stripe has kept would hide that state.
func (s *Stripe) confirm(ctx context.Context, intent *api.PaymentIntent, card string) (*api.PaymentIntent, error) {
	var after *api.PaymentIntent
	err := s.do(ctx, "confirm a PaymentIntent", func() (err error) {
		params := &api.PaymentIntentConfirmParams{PaymentMethod: api.String(card), UseStripeSDK: api.Bool(true)}
		after, err = s.client.V1PaymentIntents.Confirm(ctx, intent.ID, params)
		return err
	})
	var t *Trouble
	switch {
	case err == nil:
		return after, nil
	case !errors.As(err, &t):
		return nil, err
	case t.declined():
		return s.cancel(ctx, intent.ID)
	case t.Code == string(api.ErrorCodePaymentIntentUnexpectedState): // somebody else has confirmed or cancelled it
		return s.retrieve(ctx, intent.ID)
	}
	return nil, err
}

func wantsMeans(i *api.PaymentIntent) bool {
	return i.Status == api.PaymentIntentStatusRequiresPaymentMethod || i.Status == api.PaymentIntentStatusRequiresConfirmation
}

// stateOf is what became of a charge. A PaymentIntent whose last attempt has failed waits for another card, and is pending.
func stateOf(c dbsqlc.StripeCharge, i *api.PaymentIntent) (payment.State, error) {
	switch i.Status {
	case api.PaymentIntentStatusSucceeded:
		amount, err := amountOf(c.AmountMinor, c.Currency)
		if err != nil {
			return "", err
		}
		if i.AmountReceived != amount || i.Amount != amount || !strings.EqualFold(string(i.Currency), c.Currency) {
			return "", fmt.Errorf("the PaymentIntent %s has %d of %d %s, and was to have %d %s: %w", i.ID, i.AmountReceived, i.Amount, i.Currency, amount, c.Currency, payment.ErrDiffers)
		}
		return payment.Succeeded, nil
	case api.PaymentIntentStatusCanceled:
		return payment.Failed, nil
	}
	return payment.Pending, nil
}

// Ask answers what became of a charge.
func (s *Stripe) Ask(ctx context.Context, id pgdb.ID) (payment.State, error) {
	charge, err := s.charge(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return payment.NotSeen, nil
	}
	if err != nil {
		return "", err
	}
	if state, known := withoutStripe(charge); known {
		return state, nil
	}
	if charge.IntentID == nil {
		return payment.NotSeen, nil
	}
	intent, err := s.retrieve(ctx, *charge.IntentID)
	if err != nil {
		return "", err
	}
	return stateOf(charge, intent)
}

// Void answers Succeeded when the money is already taken, and otherwise ends the charge and answers Failed. It does without Stripe for a charge that has no
// PaymentIntent yet: it never gets one then. Stripe does not let everything be cancelled that it is about to decide: then there is an error, and Void is to be repeated.
func (s *Stripe) Void(ctx context.Context, id pgdb.ID) (payment.State, error) {
	if _, err := s.q.StripeChargeInsert(ctx, s.pool, dbsqlc.StripeChargeInsertParams{ChargeID: id, Voided: true}); err != nil {
		return "", fmt.Errorf("record a void: %w", err)
	}
	if _, err := s.q.StripeChargeVoid(ctx, s.pool, id); err != nil {
		return "", fmt.Errorf("void a charge: %w", err)
	}
	charge, err := s.charge(ctx, id)
	if err != nil {
		return "", err
	}
	if state, known := withoutStripe(charge); known {
		return state, nil
	}
	intent, err := s.cancel(ctx, *charge.IntentID)
	if err != nil {
		return "", err
	}
	state, err := stateOf(charge, intent)
	if err == nil && state == payment.Pending {
		return "", fmt.Errorf("the PaymentIntent %s is %s and can't be cancelled now", intent.ID, intent.Status)
	}
	return state, err
}
