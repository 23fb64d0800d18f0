package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/lastunit/lastunit/internal/shop"
)

// caller is who makes a request: a buyer, a key, or a key that acts for a buyer.
type caller struct {
	buyer string
	key   shop.Key
}

// keyID is the id of the key; empty: there is none.
func (c caller) keyID() string {
	if c.key.ID == (shop.ID{}) {
		return ""
	}
	return c.key.ID.String()
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// Buyers says how the tokens of buyers are verified. A token must have exp, and a sub of 1 to 128 characters; the clock is the database's.
type Buyers struct {
	// Secret verifies HS256, if not empty.
	Secret []byte
	// JWKSURL names the public keys that verify RS256, PS256, ES256, EdDSA and their larger kin, if not empty.
	JWKSURL string
	// Audience must be in aud, if not empty.
	Audience string
}

type verifier struct {
	parser *jwt.Parser
	secret atomic.Pointer[[]byte] // empty: nothing is signed with one
	jwks   keyfunc.Keyfunc
}

// newVerifier begins to fetch the JWKS, if there is one, and refreshes it until ctx ends.
func newVerifier(ctx context.Context, b Buyers, now func() time.Time, log *slog.Logger) (*verifier, error) {
	v := &verifier{}
	v.secret.Store(&b.Secret)
	methods := []string{"HS256"}
	if b.JWKSURL != "" {
		methods = append(methods, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
		var err error
		v.jwks, err = keyfunc.NewDefaultOverrideCtx(ctx, []string{b.JWKSURL}, keyfunc.Override{
			HTTPTimeout:     5 * time.Second,
			RefreshInterval: 5 * time.Minute,
			// A token with a key id that is not known fetches the keys anew, but nobody's tokens do so all the time or wait for long.
			RefreshUnknownKID: rate.NewLimiter(rate.Every(10*time.Second), 1),
			RateLimitWaitMax:  3 * time.Second,
			RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
				return func(_ context.Context, err error) { log.Warn("the JWKS can't be fetched", slog.Any("error", err)) }
			},
		})
		if err != nil {
			return nil, fmt.Errorf("JWKS: %w", err)
		}
	}
	options := []jwt.ParserOption{jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithTimeFunc(now)}
	if b.Audience != "" {
		options = append(options, jwt.WithAudience(b.Audience))
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

// buyer verifies a token and returns whose it is. The reason of a refusal never repeats anything of the token.
func (v *verifier) buyer(token string) (string, error) {
	var claims jwt.RegisteredClaims
	_, err := v.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		if t.Method.Alg() == "HS256" {
			if secret := *v.secret.Load(); len(secret) > 0 {
				return secret, nil
			}
			return nil, errors.New("there is no secret")
		}
		return v.jwks.Keyfunc(t)
	})
	reason := "The token's signature is not by a key that is trusted here."
	switch {
	case err == nil && IsName(claims.Subject):
		return claims.Subject, nil
	case err == nil:
		reason = "The token's sub is not 1 to 128 printable characters."
	case errors.Is(err, jwt.ErrTokenExpired):
		reason = "The token has expired."
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		reason = "The token has no exp, or no aud where one is required."
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		reason = "The token is for another audience."
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		reason = "The token is not valid yet."
	case errors.Is(err, jwt.ErrTokenMalformed):
		reason = "The token is not a JWT."
	}
	return "", unauthenticated(reason + " Sign in again to get a new one.")
}

// IsName tells whether a text can name a buyer: 1 to 128 printable characters.
func IsName(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= 128 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func unauthenticated(detail string) *shop.Refusal {
	return &shop.Refusal{Code: shop.Unauthenticated, Detail: detail}
}

func forbidden(detail string) *shop.Refusal {
	return &shop.Refusal{Code: shop.Forbidden, Detail: detail}
}

// authenticate is the middleware that lets through only who may call, as often as they may, and tells the handler who it is. A key may call as often as
// it likes, for as many buyers as there are; what is no key costs its address a request.
func (a *api) authenticate(who access) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, _ := humachi.Unwrap(hc)
		from, withKey := a.addresses.client(r), strings.HasPrefix(bearer(hc), shop.KeyPrefix)
		if withKey && !a.addresses.has(from) || !withKey && !a.addresses.take(from) {
			a.write(hc, problemOf(addressTooFast))
			return
		}
		c, err := a.identify(hc, who)
		if refusal := (*shop.Refusal)(nil); withKey && errors.As(err, &refusal) && refusal.Code == shop.Unauthenticated {
			a.addresses.take(from)
		}
		if err == nil && c.buyer != "" && !a.perBuyer.Load().take(c.buyer, time.Now()) {
			err = buyerTooFast
		}
		if err != nil {
			a.write(hc, a.problem(hc.Context(), "authenticate", err))
			return
		}
		requestOf(hc.Context()).caller = c
		next(huma.WithValue(hc, callerKey{}, c))
	}
}

// bearer is the token that a request shows; empty: none.
func bearer(hc huma.Context) string {
	scheme, token, _ := strings.Cut(hc.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func (a *api) identify(hc huma.Context, who access) (caller, error) {
	r, _ := humachi.Unwrap(hc)
	if who.nobody && len(r.Header.Values("Authorization")) == 0 {
		return caller{}, nil
	}
	token := bearer(hc)
	if token == "" {
		return caller{}, unauthenticated("This needs a caller. Send the header Authorization: Bearer with a buyer's token or an API key.")
	}
	buyerIDs := r.Header.Values("Buyer-Id")
	if strings.HasPrefix(token, shop.KeyPrefix) {
		within, end := context.WithTimeout(hc.Context(), time.Second)
		defer end()
		key, err := a.shop.KeyBySecret(within, token)
		if err != nil || who.nobody {
			return caller{key: key}, err
		}
		return who.identifyKey(key, buyerIDs)
	}
	buyer, err := a.verifier.buyer(token)
	switch {
	case err != nil:
		return caller{}, err
	case !who.buyer && !who.nobody:
		return caller{}, forbidden(fmt.Sprintf("A buyer may not do this. It needs an API key with the scope %s.", cmp.Or(who.scope, shop.ScopeClaim)))
	case who.buyer && len(buyerIDs) > 0:
		return caller{}, forbidden("Buyer-Id goes with an API key only: a buyer's token names its buyer. Leave the header out.")
	}
	return caller{buyer: buyer}, nil
}

// identifyKey decides whether a key calls for itself or for a buyer, and whether it may.
func (who access) identifyKey(key shop.Key, buyerIDs []string) (caller, error) {
	scope := who.scope
	forBuyer := who.forBuyer && (len(buyerIDs) > 0 || scope == "" || !key.May(scope) && key.May(shop.ScopeClaim))
	if forBuyer {
		scope = shop.ScopeClaim
	}
	switch {
	case !key.May(scope):
		return caller{}, forbidden(fmt.Sprintf("This needs an API key with the scope %s.", scope))
	case !forBuyer:
		return caller{key: key}, nil
	case len(buyerIDs) != 1 || !IsName(buyerIDs[0]):
		return caller{}, &shop.Refusal{
			Code:     shop.Validation,
			Detail:   "An API key acts for a buyer here. Name the buyer in the header Buyer-Id.",
			Problems: []shop.Problem{{Location: "header.Buyer-Id", Message: "must be 1 to 128 printable characters"}},
		}
	}
	return caller{key: key, buyer: buyerIDs[0]}, nil
}
