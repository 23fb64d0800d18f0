package httpapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/httprate"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/lastunit/lastunit/internal/shop"
)

const startSessionText = "A token for a visitor without an account, who is a buyer of their own with it: for 24 hours, on every server. Keep it, because whatever is in the " +
	"cart is found with it alone. Only where the shop takes guests (`guests`), and so many times a minute from one address (`guest-rate`). " +
	"Nothing is stored, so no Idempotency-Key is taken: to ask again is safe, and makes another visitor. A purchase limit is for each buyer, so also for each visitor."

const sessionLasts = 24 * time.Hour

// Session is a visitor's.
type Session struct {
	Token     string    `json:"token" doc:"To be sent as Authorization: Bearer."`
	Buyer     string    `json:"buyer" example:"guest-019b1234-5678-7abc-8def-0123456789ab"`
	ExpiresAt time.Time `json:"expires_at" doc:"Until when the token is good."`
}

type startSessionOutput struct {
	CacheControl string `header:"Cache-Control" doc:"The token is nobody else's."`
	Body         Session
}

func (a *api) startSession(context.Context, *struct{}) (*startSessionOutput, error) {
	buyer, expires := "guest-"+uuid.Must(uuid.NewV7()).String(), a.now().Add(sessionLasts).UTC().Truncate(time.Second)
	token, err := a.buyers.Load().Token(buyer, expires)
	if err != nil {
		return nil, err
	}
	return &startSessionOutput{CacheControl: "no-store", Body: Session{Token: token, Buyer: buyer, ExpiresAt: expires}}, nil
}

// Token signs a buyer's token with the secret.
func (b Buyers) Token(buyer string, expires time.Time) (string, error) {
	claims := jwt.RegisteredClaims{Subject: buyer, ExpiresAt: jwt.NewNumericDate(expires)}
	if b.Audience != "" {
		claims.Audience = jwt.ClaimStrings{b.Audience}
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(b.Secret)
}

// guestsNow is the middleware of guestsAt, as it was last set.
func (a *api) guestsNow(hc huma.Context, next func(huma.Context)) { (*a.guests.Load())(hc, next) }

// guestsAt is the middleware that lets visitors begin sessions, so many a minute from each address. IPv6 addresses count by their /64.
func (a *api) guestsAt(o Options) (func(huma.Context, func(huma.Context)), error) {
	if o.GuestRate == 0 {
		return func(hc huma.Context, _ func(huma.Context)) {
			a.write(hc, newProblem(shop.NotFound, "This shop takes no guests. Sign in at the shop, which gives you a token to buy with."))
		}, nil
	}
	if len(o.Buyers.Secret) == 0 {
		return nil, errors.New("guests need a secret to sign their tokens with")
	}
	limiter := httprate.NewRateLimiter(o.GuestRate, time.Minute, httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	return func(hc huma.Context, next func(huma.Context)) {
		r, rw := humachi.Unwrap(hc)
		if limiter.OnLimit(rw, r, network(a.addresses.client(r)).String()) {
			a.write(hc, problemOf(&shop.Refusal{
				Code: shop.TooManyRequests, RetryAfter: time.Minute,
				Detail: fmt.Sprintf("From your address %d visitors have come within a minute, which is as many as may. Go on with a token that you have, or ask again in a minute.", o.GuestRate),
			}))
			return
		}
		next(hc)
	}, nil
}
