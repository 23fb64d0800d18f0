package shop

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// RehearsalStatus is where a rehearsal stands: running → finished | failed.
type RehearsalStatus string

// The states of a rehearsal.
const (
	RehearsalIsRunning  RehearsalStatus = "running"
	RehearsalIsFinished RehearsalStatus = "finished" // it was played to its end; the report says what came of it
	RehearsalIsFailed   RehearsalStatus = "failed"   // it could not be; Detail says why
)

// RehearsalBuyersAtMost is how many buyers a rehearsal may have that a server plays against itself.
const RehearsalBuyersAtMost = 5000

// Rehearsal is a planned sale that is played, or was, on copies of its products. Any server shows it.
type Rehearsal struct {
	ID                  ID
	SaleID              ID
	Buyers              int
	Status              RehearsalStatus
	Sent, Held, Refused int64           // requests, so far
	Report              json.RawMessage // nil unless it is finished
	Detail              string          // why it failed
	StartedAt           time.Time
	FinishedAt          *time.Time
}

// Name is the rehearsal's own part of what it makes: the SKUs of its copies begin with "rehearsal-", the name, and "-".
func (r Rehearsal) Name() string { return hex.EncodeToString(r.ID[:]) }

const (
	// rehearsalBeat is how often the server that plays a rehearsal says that it is there; rehearsalSilence is after how long it is taken for dead.
	rehearsalBeat    = 500 * time.Millisecond
	rehearsalSilence = 15 * time.Second

	rehearsalAbandoned = "The server that played it has gone. What was left of it is removed. Start it again."
)

// rehearsalScopes are those of the key that a rehearsal plays with.
func rehearsalScopes() []Scope {
	return []Scope{ScopeCatalog, ScopeStock, ScopeSale, ScopeClaim, ScopeAudit}
}

// StartRehearsal begins a rehearsal, which the caller has to play (PlayRehearsal) with the secret of a key that lives as long as it. A call with a key that has started
// one before returns that one as it now is, true, and no secret. Refusals: Validation, NotFound for the sale, KeyReused; Conflict while another one is running.
func (s *Shop) StartRehearsal(ctx context.Context, o Operator, saleID ID, buyers int) (r Rehearsal, secret string, replayed bool, err error) {
	if buyers < 1 || buyers > RehearsalBuyersAtMost {
		return r, "", false, invalid("body.buyers", fmt.Sprintf("must be a whole number from 1 to %d", RehearsalBuyersAtMost))
	}
	if _, err := s.Sale(ctx, saleID, true); err != nil {
		return r, "", false, err
	}
	if err := s.TendRehearsals(ctx); err != nil {
		return r, "", false, explain("give up rehearsals", err)
	}
	id := pgdb.NewID()
	secret, key, err := newKey("rehearsal "+id.String(), rehearsalScopes())
	if err != nil {
		return r, "", false, err
	}
	request := map[string]any{"sale_id": saleID, "buyers": buyers}
	id, replayed, err = s.once(ctx, o.call(), "rehearsal.start", request, id, func(tx pgx.Tx) error {
		err := s.q.RehearsalInsert(ctx, tx, dbsqlc.RehearsalInsertParams{
			RehearsalID: id, SaleID: saleID, APIKeyID: o.KeyID, OwnKeyID: key.APIKeyID, BuyerCount: int32(buyers), Now: s.o.Now(),
		})
		if err != nil {
			return err
		}
		return s.q.ApiKeyInsert(ctx, tx, key)
	})
	if pgdb.ViolatesConstraint(err, "rehearsal_one_at_once") {
		return r, "", false, s.oneAtOnce(ctx)
	}
	if err != nil {
		return r, "", false, explain("start rehearsal", err)
	}
	if replayed {
		secret = ""
	}
	r, err = s.Rehearsal(ctx, id)
	return r, secret, replayed, err
}

// oneAtOnce refuses a rehearsal while another one is running, and says which.
func (s *Shop) oneAtOnce(ctx context.Context) error {
	id, err := s.q.RehearsalRunning(ctx, s.pool)
	if errors.Is(err, pgx.ErrNoRows) {
		return busy() // it has ended in this moment
	}
	if err != nil {
		return explain("look for the rehearsal that is running", err)
	}
	return conflict(string(RehearsalIsRunning), fmt.Sprintf(
		"Another rehearsal is running: %s. There is one at a time, in the whole store. Wait until it has finished (GET /api/v1/rehearsals/%s), and ask again.", id, id))
}

// Rehearsal reads a rehearsal. One whose server was not heard of for a while shows as failed. Refusals: NotFound.
func (s *Shop) Rehearsal(ctx context.Context, id ID) (Rehearsal, error) {
	row, err := s.q.RehearsalByID(ctx, s.pool, dbsqlc.RehearsalByIDParams{Now: s.o.Now(), SilentSeconds: rehearsalSilence.Seconds(), RehearsalID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return Rehearsal{}, notFound("rehearsal")
	}
	if err != nil {
		return Rehearsal{}, explain("read rehearsal", err)
	}
	is := row.Rehearsal
	r := Rehearsal{
		ID: is.RehearsalID, SaleID: is.SaleID, Buyers: int(is.BuyerCount), Status: RehearsalStatus(is.Status), Sent: is.Sent, Held: is.Held, Refused: is.Refused,
		Report: is.Report, Detail: text(is.Detail), StartedAt: is.StartedAt, FinishedAt: is.FinishedAt,
	}
	if row.Abandoned {
		r.Status, r.Detail, r.FinishedAt = RehearsalIsFailed, rehearsalAbandoned, &is.BeatAt
	}
	return r, nil
}

// PlayRehearsal plays a rehearsal that was started: play returns the report, or an error that says what to do, in words for people. seen tells how many requests were sent, held and
// refused so far. When it ends, however it does, the rehearsal's key is gone. The context of play ends early when another server has given the rehearsal up.
func (s *Shop) PlayRehearsal(ctx context.Context, r Rehearsal, seen func() (sent, held, refused int64), play func(context.Context) (json.RawMessage, error)) error {
	playing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.beat(playing, r.ID, seen, stop)
	}()
	report, failed := play(playing)
	stop()
	<-ended
	arg := dbsqlc.RehearsalEndParams{RehearsalID: r.ID, Now: s.o.Now(), Report: report}
	arg.Sent, arg.Held, arg.Refused = seen()
	if failed != nil {
		detail := fmt.Sprintf("It could not be played to its end: %.1000s", failed.Error())
		arg.Report, arg.Detail = nil, &detail
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := s.q.RehearsalEnd(ctx, tx, arg); err != nil {
			return err
		}
		return s.forgetKeyOf(ctx, tx, r.ID)
	})
	if err != nil {
		return fmt.Errorf("end rehearsal %s: %w", r.ID, err)
	}
	return nil
}

// beat says again and again that a rehearsal goes on. It calls stop when that is not so any more, for everybody else.
func (s *Shop) beat(ctx context.Context, id ID, seen func() (sent, held, refused int64), stop func()) {
	tick := time.NewTicker(rehearsalBeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		arg := dbsqlc.RehearsalBeatParams{Now: s.o.Now(), RehearsalID: id}
		arg.Sent, arg.Held, arg.Refused = seen()
		// When the database is away, the next beat may reach it; if none does for long enough, the rehearsal is given up.
		if n, err := s.q.RehearsalBeat(ctx, s.pool, arg); err == nil && n == 0 {
			stop()
		}
	}
}

// forgetKeyOf deletes the key that a rehearsal plays with. Other servers that have seen it may accept it for 5 s more.
func (s *Shop) forgetKeyOf(ctx context.Context, db dbsqlc.DBTX, id ID) error {
	row, err := s.q.RehearsalByID(ctx, db, dbsqlc.RehearsalByIDParams{RehearsalID: id})
	if err != nil {
		return err
	}
	if _, err := s.q.ApiKeyDelete(ctx, db, row.Rehearsal.OwnKeyID); err != nil {
		return err
	}
	s.keys.forget(row.Rehearsal.OwnKeyID)
	return nil
}

// TendRehearsals is housekeeping: rehearsals whose server is gone are given up, with their keys, products and sales.
func (s *Shop) TendRehearsals(ctx context.Context) error {
	rows, err := s.q.RehearsalAbandoned(ctx, s.pool, dbsqlc.RehearsalAbandonedParams{Now: s.o.Now(), SilentSeconds: rehearsalSilence.Seconds()})
	if err != nil {
		return fmt.Errorf("look for abandoned rehearsals: %w", err)
	}
	for _, row := range rows {
		if err := s.giveUp(ctx, row.RehearsalID); err != nil {
			return fmt.Errorf("give up rehearsal %s: %w", row.RehearsalID, err)
		}
	}
	return nil
}

// giveUp takes the key first, so that nothing more is made.
func (s *Shop) giveUp(ctx context.Context, id ID) error {
	if err := s.forgetKeyOf(ctx, s.pool, id); err != nil {
		return err
	}
	skus, err := s.q.ProductOfRehearsal(ctx, s.pool, "rehearsal-"+Rehearsal{ID: id}.Name()+"-")
	if err != nil {
		return err
	}
	for _, sku := range skus {
		var r *Refusal
		if err := s.DeleteRehearsalProduct(ctx, sku); err != nil && (!errors.As(err, &r) || r.Code != NotFound) {
			return err
		}
	}
	return s.q.RehearsalGiveUp(ctx, s.pool, dbsqlc.RehearsalGiveUpParams{
		RehearsalID: id, Detail: rehearsalAbandoned, Now: s.o.Now(), SilentSeconds: rehearsalSilence.Seconds(),
	})
}
