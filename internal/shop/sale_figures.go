package shop

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
)

// SaleFigures is how a sale goes, over all servers.
type SaleFigures struct {
	SaleID  ID
	Now     time.Time // by the database's clock
	State   SaleState
	Items   []SaleItemPlaces // by SKU, as they were sampled last
	Queued  int64            // requests that waited for their turn then
	Samples []SaleSample     // the oldest first
}

// SaleItemPlaces is where the units of a product in a sale are.
type SaleItemPlaces struct {
	SKU string
	SalePlaces
}

// SaleSample is a stretch of a sale's course.
type SaleSample struct {
	At         time.Time     // when it ends
	Covers     time.Duration // how long it is
	SalePlaces               // at its end
	Queued     int64         // at its end
	Claims     int64         // that got their units
	Units      int64
	Refusals   map[Code]int64
	Latency    *SaleLatency // of all that were answered; nil when nobody was
}

// SaleLatency is how long calls took to be answered, right to a sixteenth: direct ones from their arrival, queued ones from when they were accepted.
type SaleLatency struct {
	P50, P95, P99 time.Duration
}

// saleReads keeps what was read of sales, so that one read a second serves all who look.
type saleReads struct {
	mu sync.Mutex
	by map[ID]*saleRead
}

type saleRead struct {
	mu     sync.Mutex
	at     time.Time // zero: nothing was read
	state  SaleState
	items  []SaleItemPlaces
	series saleSeries
	// settled is the instant up to which nobody writes any more.
	settled time.Time
}

const (
	// saleReadEvery is for how long what was read serves.
	saleReadEvery = time.Second
	// writersLate is how long after its second a count may still be written down.
	writersLate = 10 * time.Second
	// shownAfter is how long after its end a sample is shown: then every server has written down what it has counted, unless the database is slow.
	shownAfter = 500 * time.Millisecond
)

func (r *saleReads) of(id ID) *saleRead {
	const bound = 50
	r.mu.Lock()
	defer r.mu.Unlock()
	read := r.by[id]
	if read == nil {
		if len(r.by) >= bound {
			clear(r.by)
		}
		read = &saleRead{}
		r.by[id] = read
	}
	return read
}

func (r *saleReads) forget(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, id)
}

// SaleFigures reads how a sale goes: its course since it was scheduled, or after since, in at most 600 samples. A read serves everybody on this server for a second.
// Refusals: NotFound.
func (s *Shop) SaleFigures(ctx context.Context, id ID, since time.Time) (SaleFigures, error) {
	r := s.figures.of(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := s.Clock()
	if r.at.IsZero() || now.Sub(r.at) >= saleReadEvery || now.Before(r.at) {
		if err := s.readFigures(ctx, id, r, now); err != nil {
			s.figures.forget(id)
			return SaleFigures{}, explain("read figures of a sale", err)
		}
	}
	f := SaleFigures{SaleID: id, Now: now, State: r.state, Items: r.items, Samples: r.samples(since)}
	if n := len(r.series.points); n > 0 {
		f.Queued = r.series.points[n-1].queued
	}
	return f, nil
}

func (s *Shop) readFigures(ctx context.Context, id ID, r *saleRead, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	row, err := s.q.SaleByID(ctx, s.pool, dbsqlc.SaleByIDParams{Now: s.o.Now(), SaleID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound("sale")
	}
	if err != nil {
		return err
	}
	samples, err := s.q.SaleSampleSince(ctx, s.pool, dbsqlc.SaleSampleSinceParams{SaleID: id, Since: r.settled})
	if err != nil {
		return err
	}
	if len(samples)+len(r.series.points) == 0 && SaleState(row.State) != SaleIsDraft {
		// It was scheduled a moment ago.
		if err := s.sampleSale(ctx, id); err != nil {
			return err
		}
		if samples, err = s.q.SaleSampleSince(ctx, s.pool, dbsqlc.SaleSampleSinceParams{SaleID: id, Since: r.settled}); err != nil {
			return err
		}
	}
	counts, err := s.q.SaleCountSince(ctx, s.pool, dbsqlc.SaleCountSinceParams{SaleID: id, Since: r.settled})
	if err != nil {
		return err
	}
	items, err := s.q.SalePlaceLatest(ctx, s.pool, id)
	if err != nil {
		return err
	}
	r.items = make([]SaleItemPlaces, len(items))
	for i, item := range items {
		r.items[i] = SaleItemPlaces{item.SKU, SalePlaces{item.Available, item.Held, item.Ordered, item.Sold}}
	}
	r.series.readAfter(r.settled, counts, samples)
	r.series.compact(now)
	r.at, r.state = now, SaleState(row.State)
	r.settled = now.Add(-writersLate)
	return nil
}

// samples are the points after an instant that are complete, thinned.
func (r *saleRead) samples(since time.Time) []SaleSample {
	points := r.series.points
	for len(points) > 0 && !points[0].at.After(since) {
		points = points[1:]
	}
	for len(points) > 0 && points[len(points)-1].at.After(r.at.Add(-shownAfter)) {
		points = points[:len(points)-1]
	}
	points = thin(points, pointsShown)
	samples := make([]SaleSample, len(points))
	for i, p := range points {
		samples[i] = p.sample()
	}
	return samples
}

func (p salePoint) sample() SaleSample {
	s := SaleSample{
		At: p.at, Covers: p.at.Sub(p.from), SalePlaces: p.places, Queued: p.queued, Claims: p.claims, Units: p.units, Refusals: p.refusals,
	}
	if p.latencies != nil {
		s.Latency = p.latencies.summary()
	}
	return s
}
