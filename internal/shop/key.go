package shop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Scope is something that an API key may do.
type Scope string

// The scopes. ScopeAll stands for every other one.
const (
	ScopeCatalog Scope = "catalog"
	ScopeStock   Scope = "stock"
	ScopeSale    Scope = "sale"
	ScopeOrder   Scope = "order"
	ScopeClaim   Scope = "claim"
	ScopeAudit   Scope = "audit"
	ScopeWebhook Scope = "webhook"
	ScopeAll     Scope = "*"
)

// Scopes lists all scopes.
func Scopes() []Scope {
	return []Scope{ScopeCatalog, ScopeStock, ScopeSale, ScopeOrder, ScopeClaim, ScopeAudit, ScopeWebhook, ScopeAll}
}

// KeyPrefix is how every API key begins.
const KeyPrefix = "lu_"

// Key is an API key without its secret.
type Key struct {
	ID        ID
	Name      string
	Scopes    []Scope
	CreatedAt time.Time
	RevokedAt *time.Time
}

// May tells whether the key has a scope.
func (k Key) May(scope Scope) bool {
	return slices.Contains(k.Scopes, scope) || slices.Contains(k.Scopes, ScopeAll)
}

// CreateKey makes an API key and returns its secret, which is shown this once and kept nowhere: the database has its SHA-256
// (the secret has 256 random bits, so nothing slower is needed). Refusals: Validation.
func (s *Shop) CreateKey(ctx context.Context, name string, scopes []Scope) (secret string, k Key, err error) {
	secret, arg, err := newKey(name, scopes)
	if err != nil {
		return "", Key{}, err
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error { return s.q.ApiKeyInsert(ctx, tx, arg) })
	if err != nil {
		return "", Key{}, explain("create key", err)
	}
	return secret, Key{ID: arg.APIKeyID, Name: name, Scopes: scopes}, nil
}

// newKey makes a key that is not yet written down. Refusals: Validation.
func newKey(name string, scopes []Scope) (secret string, arg dbsqlc.ApiKeyInsertParams, err error) {
	if n := len([]rune(name)); n < 1 || n > 100 {
		return "", arg, invalid("name", "must have 1 to 100 characters")
	}
	if len(scopes) == 0 {
		return "", arg, invalid("scope", "name at least one of "+scopeNames())
	}
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		if !slices.Contains(Scopes(), scope) {
			return "", arg, invalid("scope", fmt.Sprintf("%q is none of %s", scope, scopeNames()))
		}
		texts[i] = string(scope)
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	secret = KeyPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	hash := sha256.Sum256([]byte(secret))
	return secret, dbsqlc.ApiKeyInsertParams{APIKeyID: pgdb.NewID(), Name: name, KeyHash: hash[:], Scopes: texts}, nil
}

func scopeNames() string {
	var names []string
	for _, scope := range Scopes() {
		names = append(names, string(scope))
	}
	return strings.Join(names, ", ")
}

// Keys lists all API keys, the oldest first, at most 1000.
func (s *Shop) Keys(ctx context.Context) ([]Key, error) {
	rows, err := s.q.ApiKeyList(ctx, s.pool)
	if err != nil {
		return nil, explain("list keys", err)
	}
	keys := make([]Key, len(rows))
	for i, row := range rows {
		keys[i] = Key{ID: row.APIKeyID, Name: row.Name, Scopes: scopesOf(row.Scopes), CreatedAt: row.CreatedAt, RevokedAt: row.RevokedAt}
	}
	return keys, nil
}

// RevokeKey ends a key for good; servers that have seen it lately may accept it for 5 s more. Refusals: NotFound.
func (s *Shop) RevokeKey(ctx context.Context, id ID) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		n, err := s.q.ApiKeyRevoke(ctx, tx, id)
		if err == nil && n == 0 {
			return notFound("key that is not yet revoked")
		}
		return err
	})
	return explain("revoke key", err)
}

// KeyBySecret finds the key with a secret. What it finds is remembered for 5 s. Refusals: Unauthenticated, Busy.
func (s *Shop) KeyBySecret(ctx context.Context, secret string) (Key, error) {
	hash := sha256.Sum256([]byte(secret))
	if k, known := s.keys.get(hash); known {
		return k, unknownKey(k)
	}
	row, err := s.q.ApiKeyByHash(ctx, s.pool, hash[:])
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Key{}, explain("look up key", err)
	}
	k := Key{ID: row.APIKeyID, Name: row.Name, Scopes: scopesOf(row.Scopes)}
	s.keys.put(hash, k)
	return k, unknownKey(k)
}

func unknownKey(k Key) error {
	if len(k.Scopes) > 0 {
		return nil
	}
	return &Refusal{Code: Unauthenticated, Detail: "This API key does not exist or was revoked. Make one with: lastunit key create."}
}

func scopesOf(texts []string) []Scope {
	scopes := make([]Scope, len(texts))
	for i, text := range texts {
		scopes[i] = Scope(text)
	}
	return scopes
}

// keyCache saves a back end that claims for its buyers one query a call. Secrets that are no key are remembered as well, so that
// guessing costs the database nothing.
type keyCache struct {
	mu      sync.Mutex
	entries map[[32]byte]keyCacheEntry
}

type keyCacheEntry struct {
	key   Key
	until time.Time
}

func (c *keyCache) get(hash [32]byte) (Key, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[hash]
	return e.key, ok && time.Now().Before(e.until)
}

// forget lets a key be looked up anew.
func (c *keyCache) forget(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, e := range c.entries {
		if e.key.ID == id {
			delete(c.entries, hash)
		}
	}
}

func (c *keyCache) put(hash [32]byte, k Key) {
	const bound = 10000
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= bound {
		clear(c.entries)
	}
	c.entries[hash] = keyCacheEntry{key: k, until: time.Now().Add(5 * time.Second)}
}
