package shop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// Call says who calls for something that is done once for each idempotency key.
type Call struct {
	Caller string // the buyer, or the API key's id
	Key    string // idempotency key, up to 255 characters; empty: none
}

// once runs do in a transaction, once for each key of a caller and operation. When the key has been used for the same request, nothing is done and
// replayed is true, with what the first call made; for another request KeyReused. made is the id of what do makes, which it returns with
// the transaction; the zero id when it makes nothing that lasts.
func (s *Shop) once(ctx context.Context, c Call, operation string, request any, made ID, do func(tx pgx.Tx) error) (id ID, replayed bool, err error) {
	return s.onceIn(ctx, s.inShortTx, c, operation, request, made, do)
}

// onceIn is once in a transaction of another sort.
func (s *Shop) onceIn(
	ctx context.Context, inTx func(context.Context, func(pgx.Tx) error) error, c Call, operation string, request any, made ID, do func(tx pgx.Tx) error,
) (id ID, replayed bool, err error) {
	if c.Key == "" {
		return made, false, inTx(ctx, do)
	}
	hash, err := requestHash(request)
	if err != nil {
		return ID{}, false, err
	}
	err = inTx(ctx, func(tx pgx.Tx) error {
		arg := dbsqlc.CallKeyInsertParams{Caller: c.Caller, Operation: operation, IdempotencyKey: c.Key, RequestHash: hash}
		if made != (ID{}) {
			arg.ResultID = &made
		}
		n, err := s.q.CallKeyInsert(ctx, tx, arg)
		if err != nil {
			return fmt.Errorf("bind key: %w", err)
		}
		if n == 1 {
			return do(tx)
		}
		was, err := s.q.CallKeyRead(ctx, tx, dbsqlc.CallKeyReadParams{Caller: c.Caller, Operation: operation, IdempotencyKey: c.Key})
		if err != nil {
			return fmt.Errorf("look up key: %w", err)
		}
		if !bytes.Equal(was.RequestHash, hash) {
			return keyReused()
		}
		id, replayed = orZero(was.ResultID), true
		return s.q.ClaimReplayRecord(ctx, tx)
	})
	if err != nil || replayed {
		return id, replayed, err
	}
	return made, false, nil
}

// notReused refuses a call whose key has been used for another request, for calls that do something outside of the transaction of once.
func (s *Shop) notReused(ctx context.Context, c Call, operation string, request any) error {
	if c.Key == "" {
		return nil
	}
	hash, err := requestHash(request)
	if err != nil {
		return err
	}
	was, err := s.q.CallKeyRead(ctx, s.pool, dbsqlc.CallKeyReadParams{Caller: c.Caller, Operation: operation, IdempotencyKey: c.Key})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err == nil && !bytes.Equal(was.RequestHash, hash):
		return keyReused()
	}
	return err
}

// requestHash tells requests apart.
func requestHash(request any) ([]byte, error) {
	text, err := json.Marshal(request)
	hash := sha256.Sum256(text)
	return hash[:], err
}

// ForgetKeys is housekeeping: it removes idempotency keys that are older than 7 days, of calls that made nothing that lasts.
func (s *Shop) ForgetKeys(ctx context.Context) error {
	const atOnce = 1000
	for n := int64(atOnce); n == atOnce; {
		var err error
		if n, err = s.q.CallKeyDeleteOld(ctx, s.pool, atOnce); err != nil {
			return fmt.Errorf("remove old keys: %w", err)
		}
	}
	return nil
}
