package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

type auditOptions struct {
	rounds, connections, units, held, others int
	measure                                  time.Duration
	results                                  string
}

func (o *auditOptions) flags(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 2, "how often each has a turn")
	f.IntVar(&o.connections, "connections", 256, "of buyers")
	f.IntVar(&o.units, "units", 10_000_000, "of the product that is audited")
	f.IntVar(&o.held, "held", 100_000, "of them that are in carts before")
	f.IntVar(&o.others, "others", 2_500_000, "units of the product that is claimed meanwhile, more than are claimed")
	f.DurationVar(&o.measure, "measure", 20*time.Second, "how long claims are measured, without an audit and during one")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// auditedTables are those that an audit reads.
var auditedTables = strings.Fields(`claim claim_unit payment product quarantine_unit queue_head queue_tail receipt refund sale sale_buyer sale_item shop_order stock_token unit
	withdrawal withdrawal_unit`)

// audit shows how long an audit of many units takes, beside one reading of the tables from end to end, and what it costs those who claim
// another product meanwhile. (Each claim of the product itself would be audited as well.)
func audit(ctx context.Context, binary string, o auditOptions, out io.Writer) error {
	b, err := newBench(ctx, binary, 1, "--hold", "1h")
	if err != nil {
		return err
	}
	defer b.stop()
	s := newShown("audit", out)
	if err := errors.Join(b.stock("audited", o.units), b.stock("other", o.others)); err != nil {
		return err
	}
	var held, t tally
	first := b.claimsOf("audited", o.connections, &held)
	first.warm, first.requests = 0, int64(o.held)
	if _, err := b.measure(b.lastunit(1), first, 201, 1); err != nil {
		return err
	}
	if _, err := b.db.Exec(ctx, `VACUUM ANALYZE`); err != nil { // so that none of those who read pays for what was written
		return err
	}
	l := b.claimsOf("other", o.connections, &t)
	l.warm = min(time.Second, o.measure)
	const read, audited, alone, meanwhile = "one reading of the tables", "audit", "claims alone", "claims during an audit"
	run := func() error {
		_, err := b.service.Audit("--sku", "audited") // an error unless it finds nothing
		return err
	}
	l.measure = o.measure
	claims := func() (sample, error) { return b.measure(b.lastunit(1), l, 201, 1) }
	samples, err := b.rounds([]turn{
		{name: read, run: timed(b.readTables)},
		{name: audited, run: timed(run)},
		{name: alone, run: claims},
		{name: meanwhile, run: func() (sample, error) { return whileItGoesOn(claims, run) }},
	}, o.rounds, out)
	if err != nil {
		return err
	}
	for _, name := range []string{read, audited} {
		m, least, longest := median(samples[name], seconds)
		s.say("%-28s %.2f s (%.2f .. %.2f)", name, m, least, longest)
	}
	s.keep(fmt.Sprintf("seconds for an audit of %d units", o.units), samples, seconds, read, audited)
	s.keep("claims a second of another product", samples, perSecond, alone, meanwhile)
	s.ratio(figure{Name: fmt.Sprintf("time of an audit of %d units ÷ one reading of its tables", o.units)}, samples[audited], samples[read], seconds)
	s.disturbed("an audit", samples[meanwhile], samples[alone])
	if err := errors.Join(b.addsUp(s, "audited", &held), b.addsUp(s, "other", &t)); err != nil {
		return err
	}
	return s.end(o.results)
}

// whileItGoesOn measures while something is done, and done again whenever it has ended.
func whileItGoesOn(measure func() (sample, error), what func() error) (sample, error) {
	stop, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			err := what()
			select {
			case <-stop:
				ended <- err
				return
			default:
			}
			if err != nil {
				<-stop
				ended <- err
				return
			}
		}
	}()
	one, err := measure()
	close(stop)
	return one, errors.Join(err, <-ended)
}

// readTables reads each table that an audit reads once, from end to end.
func (b *bench) readTables() error {
	return pgx.BeginFunc(b.ctx, b.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(b.ctx, `SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off`); err != nil {
			return err
		}
		for _, table := range auditedTables {
			var rows int64
			if err := tx.QueryRow(b.ctx, `SELECT count(*) FROM `+table).Scan(&rows); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
		return nil
	})
}
