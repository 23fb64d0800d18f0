package httpapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

var unauthenticated = badClaim{status: 401, code: "unauthenticated"}

func hourFromNow() int64 { return time.Now().Add(time.Hour).Unix() }

func TestBadTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	good := token("ann")
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"` + canary + `","exp":9999999999}`))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	None := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"None","typ":"JWT"}`))
	for name, bad := range map[string]string{
		"another secret":          signed(jwt.SigningMethodHS256, jwt.MapClaims{"sub": canary, "exp": hourFromNow()}, []byte(canary), ""),
		"empty secret":            signed(jwt.SigningMethodHS256, jwt.MapClaims{"sub": canary, "exp": hourFromNow()}, []byte{}, ""),
		"HS512":                   signed(jwt.SigningMethodHS512, jwt.MapClaims{"sub": canary, "exp": hourFromNow()}, []byte(buyerSecret), ""),
		"expired":                 tokenWith(jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}, canary),
		"no exp":                  tokenWith(jwt.MapClaims{"exp": nil}, canary),
		"exp is text":             tokenWith(jwt.MapClaims{"exp": canary}, canary),
		"exp 0":                   tokenWith(jwt.MapClaims{"exp": 0}, canary),
		"not yet valid":           tokenWith(jwt.MapClaims{"nbf": hourFromNow()}, canary),
		"no sub":                  tokenWith(jwt.MapClaims{"sub": nil, "name": canary}, ""),
		"empty sub":               tokenWith(nil, ""),
		"sub is a number":         tokenWith(jwt.MapClaims{"sub": 7}, ""),
		"sub of 129 characters":   token(canary + strings.Repeat("b", 119)),
		"sub with a newline":      token(canary + "\n"),
		"sub with a NUL":          token(canary + "\x00"),
		"sub with an escape":      token(canary + "\x1b[0m"),
		"sub with U+202E":         token(canary + "\u202e"),
		"alg none":                none + "." + forged + ".",
		"alg none, signed":        none + "." + payload + "." + signature,
		"alg None":                None + "." + forged + ".",
		"another payload":         head + "." + forged + "." + signature,
		"no signature":            head + "." + payload + ".",
		"two parts":               head + "." + payload,
		"four parts":              good + "." + canary,
		"signature of rubbish":    head + "." + payload + "." + canary,
		"two tokens":              good + " " + good,
		"parts that are no JSON":  "e30." + base64.RawURLEncoding.EncodeToString([]byte(canary)) + ".e30",
		"key id without any JWKS": signed(jwt.SigningMethodRS256, jwt.MapClaims{"sub": canary, "exp": hourFromNow()}, rsaKey(), "a"),
	} {
		for _, path := range claimPaths {
			t.Run(path+" "+name, func(t *testing.T) {
				r := goodClaim(path)
				r.token = bad
				w.refuses(t, r, unauthenticated)
				if got := w.send(t, r).header.Get("WWW-Authenticate"); got != "Bearer" {
					t.Errorf("WWW-Authenticate is %q", got)
				}
			})
		}
	}
}

func TestTokenClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	r := goodClaim(claimPaths[0])
	w.send(t, r).into(t, 201, nil)
	w.moveTo(time.Now().Add(2 * time.Hour))
	w.refuses(t, r, unauthenticated) // the shop's clock decides, not this machine's
}

func TestAudience(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpapi.Options{Buyers: httpapi.Buyers{Secret: []byte(buyerSecret), Audience: "shop"}})
	w.stocked(t, "cup", 20)
	for _, aud := range []any{nil, "", canary, []string{canary, "shopping"}, 7} {
		for _, path := range claimPaths {
			r := goodClaim(path)
			r.token = tokenWith(jwt.MapClaims{"aud": aud}, "ann")
			w.refuses(t, r, unauthenticated)
		}
	}
	for _, aud := range []any{"shop", []string{canary, "shop"}} {
		r := goodClaim(claimPaths[0])
		r.token = tokenWith(jwt.MapClaims{"aud": aud}, "ann")
		w.send(t, r).into(t, 201, nil)
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	claims, all := w.key(t, shop.ScopeClaim), w.key(t, shop.ScopeAll)
	forBuyer := func(key, buyer string) func(request) request {
		return func(r request) request { r.token = key; return r.with("Buyer-Id", buyer) }
	}
	var bad []badClaim
	for _, scope := range shop.Scopes() {
		if scope != shop.ScopeClaim && scope != shop.ScopeAll {
			bad = append(bad, badClaim{"scope " + string(scope), forBuyer(w.key(t, scope), "ann"), 403, "forbidden", ""})
		}
	}
	bad = append(bad,
		badClaim{"revoked key", forBuyer(w.revokedKey(t), "ann"), 401, "unauthenticated", ""},
		badClaim{"key with a character too many", forBuyer(claims+"x", "ann"), 401, "unauthenticated", ""},
		badClaim{"key with a character too few", forBuyer(claims[:len(claims)-1], "ann"), 401, "unauthenticated", ""},
		badClaim{"prefix alone", forBuyer(shop.KeyPrefix, "ann"), 401, "unauthenticated", ""},
	)
	for name, buyer := range map[string]string{
		"no Buyer-Id": absent, "empty Buyer-Id": "", "Buyer-Id of 129 characters": strings.Repeat("ü", 129), "Buyer-Id that is not UTF-8": canary + "\xff",
	} {
		bad = append(bad, invalidAt("header.Buyer-Id", name, forBuyer(claims, buyer)), invalidAt("header.Buyer-Id", name, forBuyer(all, buyer)))
	}
	for _, path := range claimPaths {
		for _, b := range bad {
			t.Run(path+" "+b.name, func(t *testing.T) { w.refuses(t, b.change(goodClaim(path)), b) })
		}
		for _, key := range []string{claims, all} {
			w.send(t, forBuyer(key, strings.Repeat("ü", 128))(goodClaim(path))).into(t, 201, nil)
		}
	}
}

func (w *world) revokedKey(t *testing.T) string {
	t.Helper()
	secret, k, err := w.CreateKey(t.Context(), "gone", []shop.Scope{shop.ScopeAll})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	return secret
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// keySet publishes public keys.
type keySet struct {
	mu   sync.Mutex
	keys []map[string]string
}

func (s *keySet) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": s.keys})
}

func (s *keySet) publish(kid string, key any) {
	text := func(n []byte) string { return base64.RawURLEncoding.EncodeToString(n) }
	jwk := map[string]string{"kid": kid, "use": "sig"}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		jwk["kty"], jwk["alg"] = "RSA", "RS256"
		jwk["n"], jwk["e"] = text(key.N.Bytes()), text(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PrivateKey:
		point, err := key.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		jwk["kty"], jwk["crv"] = "EC", "P-256"
		jwk["x"], jwk["y"] = text(point[1:33]), text(point[33:])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, jwk)
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	ec, later := ecKey(), ecKey()
	published := &keySet{}
	published.publish("first", rsaKey())
	published.publish("second", ec)
	server := httptest.NewServer(published)
	t.Cleanup(server.Close)
	w := newWorldWith(t, httpapi.Options{Buyers: httpapi.Buyers{JWKSURL: server.URL}})
	w.stocked(t, "cup", 20)
	claimWith := func(token string) request {
		r := goodClaim(claimPaths[0])
		r.token = token
		return r
	}
	claims := jwt.MapClaims{"sub": "ann", "exp": hourFromNow()}
	for name, good := range map[string]string{
		"RSA":                signed(jwt.SigningMethodRS256, claims, rsaKey(), "first"),
		"EC":                 signed(jwt.SigningMethodES256, claims, ec, "second"),
		"EC without key id":  signed(jwt.SigningMethodES256, claims, ec, ""),
		"RSA without key id": signed(jwt.SigningMethodRS256, claims, rsaKey(), ""),
	} {
		if a := w.send(t, claimWith(good)); a.status != 201 {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, bad := range map[string]string{
		"HS256 with the public key":      signed(jwt.SigningMethodHS256, claims, public, "first"),
		"HS256 with the DER of it":       signed(jwt.SigningMethodHS256, claims, der, ""),
		"HS256 with an empty secret":     signed(jwt.SigningMethodHS256, claims, []byte{}, ""),
		"HS256 with what was the secret": token("ann"),
		"another's RSA key id":           signed(jwt.SigningMethodES256, claims, ec, "first"),
		"another EC key":                 signed(jwt.SigningMethodES256, claims, later, "second"),
		"expired":                        signed(jwt.SigningMethodES256, jwt.MapClaims{"sub": "ann", "exp": 1}, ec, "second"),
	} {
		t.Run(name, func(t *testing.T) { w.refuses(t, claimWith(bad), unauthenticated) })
	}
	published.publish("third", later)
	w.send(t, claimWith(signed(jwt.SigningMethodES256, claims, later, "third"))).into(t, 201, nil)
	// Key ids that nobody has are refused at once, however often they come.
	for range 3 {
		w.refuses(t, claimWith(signed(jwt.SigningMethodES256, claims, later, canary)), unauthenticated)
	}
}

// TestKeySetUnreachable: the service starts all the same, refuses, and takes tokens as soon as the keys can be had.
func TestKeySetUnreachable(t *testing.T) {
	t.Parallel()
	published := &keySet{}
	var down sync.Map
	down.Store("down", true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, is := down.Load("down"); is {
			http.Error(w, canary, http.StatusInternalServerError)
			return
		}
		published.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	w := newWorldWith(t, httpapi.Options{Buyers: httpapi.Buyers{JWKSURL: server.URL}})
	w.stocked(t, "cup", 20)
	key := ecKey()
	r := goodClaim(claimPaths[0])
	claims := jwt.MapClaims{"sub": "ann", "exp": hourFromNow()}
	r.token = signed(jwt.SigningMethodES256, claims, key, "")
	w.refuses(t, r, unauthenticated)
	published.publish("only", key)
	down.Delete("down")
	r.token = signed(jwt.SigningMethodES256, claims, key, "only")
	w.send(t, r).into(t, 201, nil)
}
