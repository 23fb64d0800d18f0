package httpapi

import (
	"context"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	receiveText           = "Either a quantity, or a list of serials, one a unit. The units can be claimed as soon as it is answered. A serial comes in once in the life of a product."
	withdrawText          = "Available units, or units in quarantine, all or none. Units in lapsed holds are available; those of an allotment are its sale's."
	releaseQuarantineText = "So many units, those first that have been there longest, or those that `unit_ids` names; all or none. They can be claimed again as soon as it is answered, " +
		"from the common stock.\n\nA replay (the same `Idempotency-Key`) shows that nothing was released by it: `quantity` 0 and no `unit_ids`, with `Idempotency-Replayed: true`."
	runAuditText = "Checks the invariants, product by product, and answers with what it found. An audit that finds something is a success of the audit: look at `ok`."
	readyText    = "Yes, if the database can be written to and would not lose an answer (fsync, full_page_writes and synchronous_commit are on), and the server is not about to stop (`drain`); else `busy`, and why."
)

type receiveInput struct {
	SKUPath
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" doc:"The same key receives once."`
	Body           ReceiptBody
}

// ReceiptBody is units that come in: a quantity or serials.
type ReceiptBody struct {
	Quantity  int      `json:"quantity,omitempty" minimum:"1" maximum:"1000000" doc:"How many units." example:"500"`
	Serials   []string `json:"serials,omitempty" nullable:"false" minItems:"1" maxItems:"10000" minLength:"1" maxLength:"100" doc:"A serial for each unit, instead of a quantity."`
	Reference string   `json:"reference" required:"true" minLength:"1" maxLength:"200" doc:"What it was, such as the number of a delivery note." example:"delivery 4711"`
}

type receiptOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	Body     Receipt
}

// forUnits is ctx for as long as so many units may take: a million of them take 10 s on a small machine, and 75 s beside claims at full load.
func forUnits(ctx context.Context, units int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, usually+time.Duration(units)*300*time.Microsecond)
}

func (a *api) receive(ctx context.Context, in *receiveInput) (*receiptOutput, error) {
	ctx, end := forUnits(ctx, in.Body.Quantity+len(in.Body.Serials))
	defer end()
	r, replayed, err := a.shop.Receive(ctx, shop.ReceiptRequest{
		SKU: in.SKU, Quantity: in.Body.Quantity, Serials: in.Body.Serials, Reference: in.Body.Reference,
		KeyID: callerOf(ctx).key.ID, Key: in.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	return &receiptOutput{Replayed: replayedHeader(replayed), Body: Receipt{
		ID: r.ID.String(), SKU: r.SKU, Quantity: r.Quantity, Reference: r.Reference, CreatedAt: r.CreatedAt.UTC(),
	}}, nil
}

type withdrawInput struct {
	SKUPath
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" doc:"The same key withdraws once."`
	Body           WithdrawalBody
}

// WithdrawalBody is units that go out for good.
type WithdrawalBody struct {
	Quantity int    `json:"quantity" required:"true" minimum:"1" maximum:"1000000" doc:"How many units." example:"2"`
	Reason   string `json:"reason" required:"true" minLength:"1" maxLength:"200" doc:"Why." example:"broken in transport"`
	Place    string `json:"place,omitempty" enum:"available,quarantine" default:"available" doc:"Where they are taken from."`
}

type withdrawalOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	Body     Withdrawal
}

func (a *api) withdraw(ctx context.Context, in *withdrawInput) (*withdrawalOutput, error) {
	ctx, end := forUnits(ctx, in.Body.Quantity)
	defer end()
	w, replayed, err := a.shop.Withdraw(ctx, shop.WithdrawalRequest{
		SKU: in.SKU, Quantity: in.Body.Quantity, Reason: in.Body.Reason, Place: shop.Place(in.Body.Place), KeyID: callerOf(ctx).key.ID, Key: in.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	return &withdrawalOutput{Replayed: replayedHeader(replayed), Body: Withdrawal{
		ID: w.ID.String(), SKU: w.SKU, Quantity: w.Quantity, Reason: w.Reason, Place: string(w.Place), CreatedAt: w.CreatedAt.UTC(),
	}}, nil
}

// QuarantineReleaseBody is units that come out of quarantine: a quantity or their ids.
type QuarantineReleaseBody struct {
	Quantity int      `json:"quantity,omitempty" minimum:"1" maximum:"1000000" doc:"How many units." example:"2"`
	UnitIDs  []string `json:"unit_ids,omitempty" nullable:"false" minItems:"1" maxItems:"1000" format:"uuid" doc:"These units, instead of a quantity."`
}

type releaseQuarantineInput struct {
	SKUPath
	Keyed
	Body QuarantineReleaseBody
}

type quarantineReleaseOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key released them: then this one released none."`
	Body     QuarantineRelease
}

func (a *api) releaseQuarantine(ctx context.Context, in *releaseQuarantineInput) (*quarantineReleaseOutput, error) {
	named, err := unitIDs(in.Body.UnitIDs)
	if err != nil {
		return nil, err
	}
	ctx, end := forUnits(ctx, in.Body.Quantity+len(named))
	defer end()
	released, replayed, err := a.shop.QuarantineRelease(ctx, operatorOf(ctx, in.IdempotencyKey), in.SKU, in.Body.Quantity, named)
	if err != nil {
		return nil, err
	}
	return &quarantineReleaseOutput{Replayed: replayedHeader(replayed), Body: QuarantineRelease{
		SKU: in.SKU, Quantity: len(released), UnitIDs: idsOut(released),
	}}, nil
}

type stockOutput struct{ Body Stock }

func (a *api) getStock(ctx context.Context, in *SKUPath) (*stockOutput, error) {
	s, err := a.shop.Stock(ctx, in.SKU)
	if err != nil {
		return nil, err
	}
	return &stockOutput{Body: Stock(s)}, nil
}

type getUnitInput struct {
	ID string `path:"id" doc:"The unit." example:"019b1234-5678-7abc-8def-0123456789ab"`
}

type unitOutput struct{ Body Unit }

func (a *api) getUnit(ctx context.Context, in *getUnitInput) (*unitOutput, error) {
	id, err := shop.ParseID("unit", in.ID)
	if err != nil {
		return nil, err
	}
	u, err := a.shop.Unit(ctx, id)
	if err != nil {
		return nil, err
	}
	return &unitOutput{Body: unitOut(u)}, nil
}

type runAuditInput struct {
	IdempotencyKey string     `header:"Idempotency-Key" minLength:"1" maxLength:"255" doc:"The same key audits once."`
	Body           *AuditBody `required:"false"`
}

// AuditBody says what to audit.
type AuditBody struct {
	SKU string `json:"sku,omitempty" pattern:"^[A-Za-z0-9._-]{1,64}$" doc:"Only this product." example:"mug-blue"`
}

type auditOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key made it."`
	Body     Audit
}

func (a *api) runAudit(ctx context.Context, in *runAuditInput) (*auditOutput, error) {
	key := callerOf(ctx).key.ID
	r := shop.AuditRequest{KeyID: &key, Key: in.IdempotencyKey}
	if in.Body != nil {
		r.SKU = in.Body.SKU
	}
	found, replayed, err := a.shop.Audit(ctx, r)
	if err != nil {
		return nil, err
	}
	return &auditOutput{Replayed: replayedHeader(replayed), Body: AuditResource(found)}, nil
}

func (a *api) getAudit(ctx context.Context, _ *struct{}) (*auditOutput, error) {
	found, err := a.shop.LatestAudit(ctx)
	if err != nil {
		return nil, err
	}
	return &auditOutput{Body: AuditResource(found)}, nil
}

type healthOutput struct{ Body Health }

// Health says that all is well.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

func (a *api) live(context.Context, *struct{}) (*healthOutput, error) {
	return &healthOutput{Body: Health{Status: "ok"}}, nil
}

func (a *api) ready(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	if a.draining.Load() {
		return nil, &shop.Refusal{Code: shop.Busy, Detail: "The server is about to stop. Ask another one.", RetryAfter: time.Second}
	}
	if err := a.shop.Ready(ctx); err != nil {
		return nil, err
	}
	return a.live(ctx, nil)
}
