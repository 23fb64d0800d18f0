package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/report"
	"github.com/lastunit/lastunit/internal/shop"
)

const saleReportText = "What has become of a sale, or of it so far: units sold and money, by product and in all; what became of the holds; who was refused and why; how long answers took; its course. " +
	"As JSON, or with `format=html` or an `Accept` that asks for `text/html` as one page that needs nothing else, to be read, printed and mailed. " +
	"What it says of units, holds, orders and money is counted in the rows, in one snapshot, and exact. What it says of refusals and latencies is counted by the servers and written down each second: " +
	"a crash may lose the last second of it. A draft has nothing to report on (`conflict`)."

// reportBasis is what the figures of a report rest on.
var reportBasis = []string{
	"Units, holds, orders and money are counted in the database's rows, all at one moment, and exact.",
	"Refusals and times to answer are counted by the servers while they answer, and written down each second: a server that crashes may lose the last second of them, and nothing else.",
	"Where the units were over time is sampled: each second, or with a very large stock as often as takes a thirtieth of the time. So “nothing left to claim” is right to that; when the last unit was paid for is in the rows.",
}

// SaleReport is what has become of a sale.
type SaleReport struct {
	SaleID        string          `json:"sale_id" format:"uuid"`
	Name          string          `json:"name"`
	Status        string          `json:"status" enum:"scheduled,open,paused,closed"`
	OpensAt       time.Time       `json:"opens_at"`
	ClosesAt      time.Time       `json:"closes_at"`
	HoldSeconds   int             `json:"hold_seconds"`
	PurchaseLimit *int            `json:"purchase_limit"`
	Now           time.Time       `json:"now" doc:"When it was made, by the store's clock."`
	Total         SaleTally       `json:"total"`
	Items         []SaleItemTally `json:"items" nullable:"false" doc:"By SKU."`
	Buyers        SaleBuyers      `json:"buyers"`
	Refunds       SaleRefunds     `json:"refunds"`
	Queue         *SaleQueue      `json:"queue" doc:"Null when nobody was queued."`
	Answers       SaleAnswers     `json:"answers"`
	CourseFrom    time.Time       `json:"course_from" doc:"The opening."`
	CourseUntil   time.Time       `json:"course_until" doc:"A little after the last claim or change."`
	Course        []SaleSample    `json:"course" nullable:"false" doc:"At most 240, the oldest first. The first ends at the opening or after it, or is the last before it."`
	SellThrough   []SaleSoldPoint `json:"sell_through" nullable:"false" doc:"In steps of one length."`
	Basis         []string        `json:"basis" nullable:"false" doc:"What the figures rest on, in words."`
}

// TransformSchema implements huma.SchemaTransformer.
func (SaleReport) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withNullable(s, "queue")
}

// SaleTally is what became of units, and of the holds on them.
type SaleTally struct {
	Offered           int64       `json:"offered" doc:"Units: the allotment, or without one as many as were seen in the common stock at once."`
	UnitsSold         int64       `json:"units_sold" doc:"Units that were paid for, also those that came back."`
	UnitsReturned     SaleReturns `json:"units_returned"`
	SellThrough       *float64    `json:"sell_through" doc:"The share of the units offered that were sold and did not come back; null when none were offered."`
	Revenue           []Money     `json:"revenue" nullable:"false" doc:"What the units sold cost, by currency."`
	Refunded          []Money     `json:"refunded" nullable:"false" doc:"What the units returned had cost, by currency, where the money was taken here."`
	Holds             SaleHolds   `json:"holds"`
	Conversion        *float64    `json:"conversion" doc:"The share of the holds that were paid for; null when there were none."`
	TakenAfterSeconds *float64    `json:"taken_after_seconds" doc:"How long after the opening there was first nothing left to claim, as sampled; null: there always was."`
	SoldOutSeconds    *float64    `json:"sold_out_seconds" doc:"How long after the opening the last unit was paid for; null: not all were."`
}

// SaleItemTally is the same of one product.
type SaleItemTally struct {
	SKU      string           `json:"sku"`
	Name     string           `json:"name"`
	Refusals map[string]int64 `json:"refusals" nullable:"false" doc:"By problem code."`
	SaleTally
}

// SaleReturns are units that came back from paid orders, by where they went.
type SaleReturns struct {
	Restocked  int64 `json:"restocked"`
	Quarantine int64 `json:"quarantine"`
	WrittenOff int64 `json:"written_off"`
}

// SaleHolds are claims that got their units.
type SaleHolds struct {
	Made      int64 `json:"made" doc:"All of them: live, lapsed, released, unpaid, cancelled and paid add up to it."`
	Live      int64 `json:"live" doc:"In carts."`
	Lapsed    int64 `json:"lapsed"`
	Released  int64 `json:"released" doc:"Given back by the buyer."`
	Ordered   int64 `json:"ordered" doc:"Checked out or confirmed: unpaid, cancelled or paid."`
	Unpaid    int64 `json:"unpaid" doc:"Ordered, and may still be paid for."`
	Cancelled int64 `json:"cancelled" doc:"Ordered, and never paid for."`
	Paid      int64 `json:"paid"`
	Replaced  int64 `json:"replaced" doc:"Of those lapsed or cancelled, the ones for which equal units were found when the money came."`
}

// SaleBuyers is who has units of a sale.
type SaleBuyers struct {
	WithUnits int64 `json:"with_units"`
	AtLimit   int64 `json:"at_limit" doc:"Who have as many as one may."`
	LimitHits int64 `json:"limit_hits" doc:"Claims that were refused because of the purchase limit."`
}

// SaleRefunds are refunds of orders that have something of a sale.
type SaleRefunds struct {
	Returns      int64   `json:"returns" doc:"For units that came back."`
	LatePayments int64   `json:"late_payments" doc:"Of payments that came too late, when there were no units any more."`
	LateAmounts  []Money `json:"late_amounts" nullable:"false" doc:"What the sale's units in those orders cost."`
	Pending      int64   `json:"pending" doc:"Of all, those that the payment provider has not confirmed yet."`
}

// SaleQueue is what the queue of a sale saw.
type SaleQueue struct {
	MostWaiting int64 `json:"most_waiting" doc:"Requests that waited at once, as sampled."`
	Waiting     int64 `json:"waiting"`
	Served      int64 `json:"served" doc:"Requests that got their units."`
}

// SaleAnswers is what those were answered who asked for units.
type SaleAnswers struct {
	Total    int64            `json:"total" doc:"Claims that were answered, held or refused."`
	Refused  int64            `json:"refused"`
	Refusals map[string]int64 `json:"refusals" nullable:"false" doc:"By problem code."`
	Latency  *SaleLatency     `json:"latency_ms" doc:"Null when nobody was answered."`
}

// TransformSchema implements huma.SchemaTransformer.
func (SaleAnswers) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withNullable(s, "latency_ms")
}

// SaleSoldPoint is how much of a sale was sold at an instant.
type SaleSoldPoint struct {
	At    time.Time `json:"at"`
	Units int64     `json:"units" doc:"Paid for until then, without those that had come back."`
}

type saleReportInput struct {
	SalePath
	Format string `query:"format" enum:"json,html" doc:"json or html; without it, what Accept asks for."`
	html   bool
}

// Resolve implements huma.Resolver.
func (in *saleReportInput) Resolve(hc huma.Context) []error {
	in.html = in.Format == "html" || in.Format == "" && strings.Contains(hc.Header("Accept"), "text/html")
	return filtersMean(hc, "format")
}

func (a *api) saleReport(ctx context.Context, in *saleReportInput) (*huma.StreamResponse, error) {
	id, err := shop.ParseID("sale", in.ID)
	if err != nil {
		return nil, err
	}
	r, err := a.shop.SaleReport(ctx, id)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	kind := "application/json"
	if in.html {
		kind, err = "text/html; charset=utf-8", SaleReportPage(r).Write(&body)
	} else {
		err = json.NewEncoder(&body).Encode(SaleReportResource(r))
	}
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", kind)
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("Vary", "Accept")
		if in.html {
			hc.SetHeader("Content-Security-Policy", "default-src 'none'; style-src "+report.StyleSource+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			hc.SetHeader("X-Content-Type-Options", "nosniff")
		}
		hc.SetStatus(http.StatusOK)
		_, _ = hc.BodyWriter().Write(body.Bytes())
	}}, nil
}

// describeReport writes the two forms of a report into the document.
func (a *api) describeReport(o *huma.Operation) {
	o.Responses["200"] = &huma.Response{
		Description: "The report.",
		Content: map[string]*huma.MediaType{
			"application/json": {Schema: a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[SaleReport](), true, "SaleReport")},
			"text/html":        {Schema: &huma.Schema{Type: huma.TypeString}},
		},
	}
}

// SaleReportResource is a report as callers see it.
func SaleReportResource(r shop.SaleReport) SaleReport {
	out := SaleReport{
		SaleID: r.ID.String(), Name: r.Name, Status: string(r.State), OpensAt: r.OpensAt.UTC(), ClosesAt: r.ClosesAt.UTC(), HoldSeconds: int(r.Hold / time.Second),
		PurchaseLimit: r.PurchaseLimit, Now: r.Now.UTC(), Total: saleTallyOut(r.Total), Items: make([]SaleItemTally, len(r.Items)),
		Buyers:     SaleBuyers{WithUnits: r.Buyers, AtLimit: r.BuyersAtLimit, LimitHits: r.Refusals[shop.PurchaseLimit]},
		Refunds:    SaleRefunds{Returns: r.Refunds.Returns, LatePayments: r.Refunds.Late, LateAmounts: moniesOut(r.Refunds.LateSum), Pending: r.Refunds.Pending},
		Answers:    SaleAnswers{Total: r.Answered, Refusals: refusalsOut(r.Refusals)},
		CourseFrom: r.From.UTC(), CourseUntil: r.Until.UTC(), Course: make([]SaleSample, len(r.Course)), SellThrough: make([]SaleSoldPoint, len(r.SellThrough)), Basis: reportBasis,
	}
	for i, item := range r.Items {
		out.Items[i] = SaleItemTally{SKU: item.SKU, Name: item.Name, SaleTally: saleTallyOut(item.SaleTally), Refusals: refusalsOut(item.Refusals)}
	}
	if q := r.Queue; q != nil {
		out.Queue = &SaleQueue{MostWaiting: q.MostWaiting, Waiting: q.Waiting, Served: q.Served}
	}
	for _, n := range r.Refusals {
		out.Answers.Refused += n
	}
	if r.Latency != nil {
		out.Answers.Latency = latencyOut(*r.Latency)
	}
	for i, s := range r.Course {
		out.Course[i] = saleSampleOut(s)
	}
	for i, p := range r.SellThrough {
		out.SellThrough[i] = SaleSoldPoint{At: p.At.UTC(), Units: p.Kept}
	}
	return out
}

func saleTallyOut(t shop.SaleTally) SaleTally {
	h := t.Holds
	out := SaleTally{
		Offered: t.Offered, UnitsSold: t.UnitsSold,
		UnitsReturned: SaleReturns{Restocked: t.Returned.Restocked, Quarantine: t.Returned.Quarantined, WrittenOff: t.Returned.WrittenOff},
		Revenue:       moniesOut(t.Revenue), Refunded: moniesOut(t.Refunded),
		Holds: SaleHolds{
			Made: h.Made, Live: h.Live, Lapsed: h.Lapsed, Released: h.Released, Ordered: h.Ordered(), Unpaid: h.Unpaid, Cancelled: h.Cancelled, Paid: h.Paid, Replaced: h.Replaced,
		},
		TakenAfterSeconds: secondsOut(t.TakenAfter), SoldOutSeconds: secondsOut(t.SoldOutAfter),
	}
	if t.Offered > 0 {
		out.SellThrough = ptr(t.SellThrough())
	}
	if h.Made > 0 {
		out.Conversion = ptr(h.Conversion())
	}
	return out
}

func moniesOut(all []shop.Money) []Money {
	out := make([]Money, len(all))
	for i, m := range all {
		out[i] = Money(m)
	}
	return out
}

func refusalsOut(refusals map[shop.Code]int64) map[string]int64 {
	out := make(map[string]int64, len(refusals))
	for code, n := range refusals {
		out[string(code)] = n
	}
	return out
}

func secondsOut(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	return ptr(float64(d.Milliseconds()) / 1000)
}
