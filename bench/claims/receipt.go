package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

type receiptOptions struct {
	rounds, connections, units, others int
	measure                            time.Duration
	results                            string
}

func (o *receiptOptions) flags(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 3, "how often each has a turn")
	f.IntVar(&o.connections, "connections", 256, "of buyers of another product")
	f.IntVar(&o.units, "units", unitsAtOnce, "of a receipt")
	f.IntVar(&o.others, "others", 5*unitsAtOnce, "units of that product, more than are claimed")
	f.DurationVar(&o.measure, "measure", 10*time.Second, "how long claims are measured while nothing is received")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// bareTables are equal to those that a receipt writes.
const bareTables = `CREATE SCHEMA bare;
CREATE TABLE bare.receipt (LIKE receipt INCLUDING ALL);
CREATE TABLE bare.unit (LIKE unit INCLUDING ALL);
CREATE TABLE bare.stock_token (LIKE stock_token INCLUDING ALL)`

// receipt shows what it costs to receive many units at once: in time, beside a bare INSERT of as many rows, in memory, and for those who claim something else meanwhile.
func receipt(ctx context.Context, binary string, o receiptOptions, out io.Writer) error {
	b, err := newBench(ctx, binary, 1, "--hold", "1h")
	if err != nil {
		return err
	}
	defer b.stop()
	s := newShown("receipt", out)
	if _, err := b.db.Exec(ctx, bareTables); err != nil {
		return err
	}
	if err := b.stock("other", o.others); err != nil {
		return err
	}
	if _, err := b.service.Operate("PUT", "/api/v1/products/received", priced); err != nil {
		return err
	}
	const bare, received, alone, meanwhile, under = "bare INSERT", "receipt", "claims alone", "claims during a receipt", "receipt during claims"
	var t tally
	var samplesUnder []sample
	var memory chart
	var before, most []float64
	receive := func() error {
		resting, _ := driven.Memory(b.service.Servers[0].PID())
		watched := b.watchMemory()
		_, err := b.service.Operate("POST", "/api/v1/products/received/receipts", fmt.Sprintf(`{"quantity":%d,"reference":"bench"}`, o.units))
		points, peak := watched()
		memory.Lines = append(memory.Lines, line{Name: fmt.Sprintf("receipt %d", len(memory.Lines)+1), Points: points})
		before, most = append(before, resting), append(most, peak)
		return err
	}
	l := b.claimsOf("other", o.connections, &t)
	l.warm = min(time.Second, o.measure)
	round := 0
	samples, err := b.rounds(append([]turn{
		{name: bare, run: timed(func() error {
			round++
			return b.insertBare(round, o.units)
		})},
		{name: received, run: timed(receive)},
	}, b.besides(l, o.measure, receive, alone, meanwhile, &samplesUnder)...), o.rounds, out)
	if err != nil {
		return err
	}
	samples[under] = samplesUnder
	for _, name := range []string{bare, received, under} {
		m, least, longest := median(samples[name], seconds)
		s.say("%-24s %d units in %.2f s (%.2f .. %.2f)", name, o.units, m, least, longest)
	}
	s.keep("seconds for a receipt", samples, seconds, bare, received, under)
	s.keep("claims a second of another product", samples, perSecond, alone, meanwhile)
	memory.Title, memory.X = "MiB that the server has in memory while it receives", "s"
	s.Charts = append(s.Charts, memory)
	s.ratio(figure{Name: "time of a receipt ÷ bare INSERT of its rows", AtMost: 1.5}, samples[received], samples[bare], seconds)
	s.middleOf(figure{Name: "server's memory before a receipt, MiB"}, before)
	s.middleOf(figure{Name: "server's memory during it at most, MiB"}, most)
	s.disturbed("a receipt", samples[meanwhile], samples[alone])
	if err := b.addsUp(s, "other", &t); err != nil {
		return err
	}
	if err := b.addsUp(s, "received", &tally{}); err != nil {
		return err
	}
	var units, want int
	want = 2 * o.rounds * o.units
	if err := b.db.QueryRow(ctx, `SELECT count(*) FROM unit JOIN product USING (product_id) WHERE sku = 'received'`).Scan(&units); err != nil {
		return err
	}
	if units != want {
		s.wrong.Add("%d units are there of %d that were received", units, want)
	}
	return s.end(o.results)
}

// insertBare inserts the rows of a receipt of so many units into tables like those of the shop, in one transaction. Its ids rise as the shop's do, and cost less to make.
func (b *bench) insertBare(round, units int) error {
	id := fmt.Sprintf(`('019b0000-%04d-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`, round)
	return pgx.BeginFunc(b.ctx, b.db, func(tx pgx.Tx) error {
		for _, sql := range []string{
			fmt.Sprintf(`INSERT INTO bare.receipt (receipt_id, product_id, quantity, reference, api_key_id, created_at)
				SELECT gen_random_uuid(), 1, %d, 'bench', gen_random_uuid(), now()`, units),
			fmt.Sprintf(`INSERT INTO bare.unit (unit_id, product_id, receipt_id)
				SELECT %s, 1, '019b0000-0000-7000-8000-000000000000' FROM generate_series(1, %d) AS n`, id, units),
			fmt.Sprintf(`INSERT INTO bare.stock_token (product_id, pool_id, position, unit_id)
				SELECT 1, 0, %d::bigint + n, %s FROM generate_series(1, %d) AS n`, round*units, id, units),
		} {
			if _, err := tx.Exec(b.ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
}
