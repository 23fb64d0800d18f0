package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

const (
	// VitalsCountedAtMost is where the counts of what waits end.
	VitalsCountedAtMost = 100_000
	// VitalsProductsAtMost is how many products' units are told of.
	VitalsProductsAtMost = 50
)

// Vitals tell whether something waits for too long. The same on every server.
type Vitals struct {
	QueueUnits  int64         // asked for in the queues of all products
	QueueOldest time.Duration // how long the request has waited that was accepted first; 0: none waits

	Deliveries       int64 // to webhooks that are enabled, not yet taken
	DeliveriesOldest time.Duration
	// Webhooks by whether they are sent anything; gone are those that lastunit has disabled by itself.
	WebhooksEnabled, WebhooksDisabled, WebhooksGone int64

	EventsUnpublished       int64 // written and not yet in anybody's sight
	EventsUnpublishedOldest time.Duration
	EventsUnrelayed         int64 // published, and deliveries of them not yet made

	PaymentsPending       int64
	PaymentsPendingOldest time.Duration
	RefundsPending        int64

	OrdersAwaitingPayment int64
	OrdersOverdue         int64 // of those

	SellingPaused bool
	Sales         map[SaleState]int64 // that are scheduled, open or paused
	// Places are where the units of the sales are that are open or paused, as they were sampled last, of the first products by SKU.
	Places []VitalPlaces

	// AuditOK: the last audit of everything, and those of single products since, found nothing. Nil when there was none.
	AuditOK *bool
	// AuditFinishedAt is when the last audit of everything was finished. Nil when there was none.
	AuditFinishedAt *time.Time
}

// VitalPlaces is where the units of a product in a sale are.
type VitalPlaces struct {
	SKU                            string
	Available, Held, Ordered, Sold int64
}

// Vitals reads them through a connection of the caller's, so that they can be read when the shop's own are all in use, and keeps PostgreSQL busy with it for 2 s at most.
func (s *Shop) Vitals(ctx context.Context, db pgdb.Begin) (Vitals, error) {
	v := Vitals{Sales: map[SaleState]int64{SaleIsScheduled: 0, SaleIsOpen: 0, SaleIsPaused: 0}}
	err := pgdb.InGlance(ctx, db, func(tx pgx.Tx) error {
		return pgdb.Together(ctx, tx,
			func(db pgdb.Queryer) error {
				row, err := s.q.Vitals(ctx, db, dbsqlc.VitalsParams{Now: s.o.Now(), CountLimit: VitalsCountedAtMost})
				v.take(row)
				return err
			},
			func(db pgdb.Queryer) error {
				rows, err := s.q.VitalsPlaces(ctx, db, dbsqlc.VitalsPlacesParams{Now: s.o.Now(), RowLimit: VitalsProductsAtMost})
				v.Places = nil
				for _, row := range rows {
					v.Places = append(v.Places, VitalPlaces(row))
				}
				return err
			},
			func(db pgdb.Queryer) error {
				rows, err := s.q.VitalsSales(ctx, db, s.o.Now())
				for _, row := range rows {
					v.Sales[SaleState(row.State)] = row.SaleCount
				}
				return err
			})
	})
	if err != nil {
		return Vitals{}, fmt.Errorf("read vitals: %w", err)
	}
	return v, nil
}

func (v *Vitals) take(row dbsqlc.VitalsRow) {
	age := func(seconds float64) time.Duration { return time.Duration(max(seconds, 0) * float64(time.Second)) }
	v.QueueUnits, v.QueueOldest = row.QueueUnits, age(row.QueueOldestSeconds)
	v.Deliveries, v.DeliveriesOldest = row.DeliveryCount, age(row.DeliveryOldestSeconds)
	v.WebhooksEnabled, v.WebhooksDisabled, v.WebhooksGone = row.WebhookEnabledCount, row.WebhookDisabledCount, row.WebhookGoneCount
	v.EventsUnpublished, v.EventsUnpublishedOldest = row.EventUnpublishedCount, age(row.EventUnpublishedOldestSeconds)
	v.EventsUnrelayed = row.EventUnrelayedCount
	v.PaymentsPending, v.PaymentsPendingOldest = row.PaymentPendingCount, age(row.PaymentPendingOldestSeconds)
	v.RefundsPending = row.RefundPendingCount
	v.OrdersAwaitingPayment, v.OrdersOverdue = row.OrderAwaitingPaymentCount, row.OrderOverdueCount
	v.SellingPaused = row.SellingPaused
	v.AuditOK, v.AuditFinishedAt = nil, nil
	if row.AuditKnown {
		v.AuditOK = &row.AuditOk
	}
	if row.AuditFinishedEpoch > 0 {
		at := time.UnixMicro(int64(row.AuditFinishedEpoch * 1e6)).UTC()
		v.AuditFinishedAt = &at
	}
}
