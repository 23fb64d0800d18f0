package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	startRehearsalText = "Plays the planned sale, as if it opened now, on marked copies of its products, with as many units as the sale has of each: prices, allotments, limits, hold and cool-down are the sale's. " +
		"`buyers` of one unit each are spread over its items and released at once. Buyers of the shop see none of it, and the copies are removed in the end; but it is real load on this server and its database. " +
		"It goes on when this is answered: ask at `Location`. There is one rehearsal at a time in the whole store; while another is running this is refused (`conflict`). A draft can be rehearsed."
	getRehearsalText = "How far it is, and in the end what came of it. One whose server has gone shows as failed."
)

// RehearsalBody says how to rehearse.
type RehearsalBody struct {
	Buyers int `json:"buyers" required:"true" minimum:"1" maximum:"5000" example:"500"`
}

// Rehearsal is a planned sale that is played, or was.
type Rehearsal struct {
	ID         string            `json:"id" format:"uuid"`
	SaleID     string            `json:"sale_id" format:"uuid"`
	Buyers     int               `json:"buyers"`
	Status     string            `json:"status" enum:"running,finished,failed" doc:"finished: it was played to its end, and report says what came of it; failed: it could not be, and detail says why."`
	Progress   RehearsalProgress `json:"progress"`
	Report     *RehearsalReport  `json:"report" doc:"Null unless it is finished."`
	StartedAt  time.Time         `json:"started_at"`
	FinishedAt *time.Time        `json:"finished_at"`
	Detail     *string           `json:"detail" doc:"Why it failed, and what to do."`
}

// TransformSchema implements huma.SchemaTransformer.
func (Rehearsal) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withNullable(s, "report")
}

// RehearsalProgress is how far a rehearsal is.
type RehearsalProgress struct {
	Sent    int64 `json:"sent" doc:"Requests of buyers."`
	Held    int64 `json:"held" doc:"Those of them that got their units."`
	Refused int64 `json:"refused"`
}

// RehearsalReport is what came of a rehearsal.
type RehearsalReport struct {
	OK            bool              `json:"ok" doc:"Every promise was kept: each unit went to one buyer, every answer was true, the database says the same, the audit is clean."`
	AuditOK       bool              `json:"audit_ok"`
	HoldSeconds   int               `json:"hold_seconds" doc:"As played: at least 60, because what lapses while the answers are checked would show nothing."`
	PurchaseLimit *int              `json:"purchase_limit"`
	Latency       *RehearsalLatency `json:"latency_ms" doc:"Over all items."`
	Items         []RehearsalItem   `json:"items" nullable:"false"`
	Broken        []string          `json:"broken" nullable:"false" doc:"What went wrong besides the promises of each item, a sentence each."`
}

// TransformSchema implements huma.SchemaTransformer.
func (RehearsalReport) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withNullable(s, "latency_ms")
}

// RehearsalItem is what came of one product of the sale.
type RehearsalItem struct {
	SKU            string            `json:"sku"`
	Buyers         int               `json:"buyers"`
	Stock          int               `json:"stock" doc:"Units that the sale has of it."`
	Held           int               `json:"held" doc:"Buyers who got their units."`
	UnitsHeld      int               `json:"units_held" doc:"Units that the sale would sell."`
	UnitsLeft      int               `json:"units_left"`
	Refused        map[string]int    `json:"refused" nullable:"false" doc:"Buyers who were refused, by problem code."`
	Faults         int               `json:"faults" doc:"Buyers without an answer, or with one that is neither."`
	SoldOutSeconds *float64          `json:"sold_out_seconds" doc:"How long after the opening the last unit was held; null: some are left, or there were none."`
	Latency        *RehearsalLatency `json:"latency_ms" doc:"Null when nobody was answered."`
	AuditOK        bool              `json:"audit_ok"`
	Broken         []string          `json:"broken" nullable:"false" doc:"Each broken promise, a sentence."`
}

// TransformSchema implements huma.SchemaTransformer.
func (RehearsalItem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withNullable(s, "latency_ms")
}

// RehearsalLatency is how long buyers waited for their answers.
type RehearsalLatency struct {
	P50 float64 `json:"p50" doc:"In milliseconds, from the opening to the answer, retries included."`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type startRehearsalInput struct {
	SalePath
	Keyed
	Body RehearsalBody
}

type rehearsalStarted struct {
	Location string `header:"Location" doc:"The rehearsal's address."`
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key started it."`
	Body     Rehearsal
}

func (a *api) startRehearsal(ctx context.Context, in *startRehearsalInput) (*rehearsalStarted, error) {
	id, err := shop.ParseID("sale", in.ID)
	if err != nil {
		return nil, err
	}
	r, secret, replayed, err := a.shop.StartRehearsal(ctx, operatorOf(ctx, in.IdempotencyKey), id, in.Body.Buyers)
	if err != nil {
		return nil, err
	}
	if !replayed {
		a.rehearse(r, secret)
	}
	out, err := rehearsalOut(r)
	return &rehearsalStarted{Location: "/api/v1/rehearsals/" + r.ID.String(), Replayed: replayedHeader(replayed), Body: out}, err
}

type getRehearsalInput struct {
	ID string `path:"id" doc:"The rehearsal." example:"019b1234-5678-7abc-8def-0123456789ab"`
}

type rehearsalOutput struct{ Body Rehearsal }

func (a *api) getRehearsal(ctx context.Context, in *getRehearsalInput) (*rehearsalOutput, error) {
	id, err := shop.ParseID("rehearsal", in.ID)
	if err != nil {
		return nil, err
	}
	r, err := a.shop.Rehearsal(ctx, id)
	if err != nil {
		return nil, err
	}
	out, err := rehearsalOut(r)
	return &rehearsalOutput{Body: out}, err
}

func rehearsalOut(r shop.Rehearsal) (Rehearsal, error) {
	out := Rehearsal{
		ID: r.ID.String(), SaleID: r.SaleID.String(), Buyers: r.Buyers, Status: string(r.Status), StartedAt: r.StartedAt.UTC(), FinishedAt: utc(r.FinishedAt), Detail: textOut(r.Detail),
		Progress: RehearsalProgress{Sent: r.Sent, Held: r.Held, Refused: r.Refused},
	}
	if r.Report == nil {
		return out, nil
	}
	out.Report = &RehearsalReport{Items: []RehearsalItem{}, Broken: []string{}}
	if err := json.Unmarshal(r.Report, out.Report); err != nil {
		return out, fmt.Errorf("read the report of rehearsal %s: %w", r.ID, err)
	}
	return out, nil
}
