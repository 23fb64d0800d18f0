package httpapi

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

const saleFiguresText = "Where the sale's units are, and its course since it was scheduled, true over all servers, cheap enough to be asked for each second. `items` and `queued` are as they were counted last: " +
	"each second, or with a very large stock as often as takes a tenth of the time. Samples follow each other without a gap: each covers the `seconds` before `at`, its counts add up what " +
	"was answered in them, its places are those at its end. A sample is shown when it is complete, half a second after its end; so whoever asks with `since` the last `at` misses nothing. There are at most 600 samples: a longer course is " +
	"merged to longer ones. What a server has counted in the last second is lost when it crashes, and then missing here; units and orders never are."

// SaleFigures is how a sale goes.
type SaleFigures struct {
	SaleID  string           `json:"sale_id" format:"uuid"`
	Now     time.Time        `json:"now" doc:"By the store's clock."`
	State   string           `json:"state" enum:"draft,scheduled,open,paused,closed"`
	Items   []SaleItemPlaces `json:"items" nullable:"false"`
	Queued  int64            `json:"queued" doc:"Requests that wait for their turn."`
	Samples []SaleSample     `json:"samples" nullable:"false" doc:"The oldest first."`
}

// SaleItemPlaces is where the units of a product in a sale are.
type SaleItemPlaces struct {
	SKU string `json:"sku"`
	SalePlaces
}

// SalePlaces is where units of a sale are.
type SalePlaces struct {
	Available int64 `json:"available" doc:"What can be sold through the sale: its allotment that is left, or without one the common stock; with what is in lapsed holds. 0 before it is scheduled and when it is closed."`
	Held      int64 `json:"held" doc:"In carts, through the sale."`
	Ordered   int64 `json:"ordered" doc:"Ordered through the sale and not yet paid for."`
	Sold      int64 `json:"sold" doc:"Paid for, through the sale."`
}

// SaleSample is a stretch of a sale's course.
type SaleSample struct {
	At      time.Time `json:"at" doc:"When it ends."`
	Seconds float64   `json:"seconds" doc:"How long it is."`
	SalePlaces
	Queued   int64            `json:"queued" doc:"Requests that wait for their turn, at its end."`
	Claims   int64            `json:"claims" doc:"Claims that got their units, direct ones and queued ones."`
	Units    int64            `json:"units" doc:"The units that they got."`
	Refusals map[string]int64 `json:"refusals" nullable:"false" doc:"Claims that were refused, by problem code."`
	Latency  *SaleLatency     `json:"latency_ms" doc:"How long it took to answer claims, held or refused; null when there were none."`
}

// TransformSchema implements huma.SchemaTransformer.
func (SaleSample) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return withNullable(s, "latency_ms")
}

// SaleLatency is how long claims took to be answered.
type SaleLatency struct {
	P50 float64 `json:"p50" doc:"In milliseconds, right to a sixteenth: of direct claims from their arrival, of queued ones from when they were accepted."`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

type saleFiguresInput struct {
	SalePath
	Since time.Time `query:"since" doc:"Only the samples that end later." example:"2030-12-12T12:12:00Z"`
}

// Resolve implements huma.Resolver.
func (*saleFiguresInput) Resolve(hc huma.Context) []error { return filtersMean(hc, "since") }

type saleFiguresOutput struct{ Body SaleFigures }

func (a *api) saleFigures(ctx context.Context, in *saleFiguresInput) (*saleFiguresOutput, error) {
	id, err := shop.ParseID("sale", in.ID)
	if err != nil {
		return nil, err
	}
	f, err := a.shop.SaleFigures(ctx, id, in.Since)
	if err != nil {
		return nil, err
	}
	out := SaleFigures{
		SaleID: f.SaleID.String(), Now: f.Now.UTC(), State: string(f.State), Queued: f.Queued,
		Items: make([]SaleItemPlaces, len(f.Items)), Samples: make([]SaleSample, len(f.Samples)),
	}
	for i, item := range f.Items {
		out.Items[i] = SaleItemPlaces{SKU: item.SKU, SalePlaces: SalePlaces(item.SalePlaces)}
	}
	for i, sample := range f.Samples {
		out.Samples[i] = saleSampleOut(sample)
	}
	return &saleFiguresOutput{Body: out}, nil
}

func saleSampleOut(s shop.SaleSample) SaleSample {
	out := SaleSample{
		At: s.At.UTC(), Seconds: s.Covers.Seconds(), SalePlaces: SalePlaces(s.SalePlaces), Queued: s.Queued,
		Claims: s.Claims, Units: s.Units, Refusals: make(map[string]int64, len(s.Refusals)),
	}
	for code, n := range s.Refusals {
		out.Refusals[string(code)] = n
	}
	if s.Latency != nil {
		out.Latency = latencyOut(*s.Latency)
	}
	return out
}

func latencyOut(l shop.SaleLatency) *SaleLatency {
	return &SaleLatency{P50: milliseconds(l.P50), P95: milliseconds(l.P95), P99: milliseconds(l.P99)}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
