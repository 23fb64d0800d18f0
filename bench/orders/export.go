package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

// exportOptions say how much there is to be exported.
type exportOptions struct{ lines int }

// growthAtMost is absurd already: the export holds a page of orders.
const growthAtMost = 256 // MiB

// export shows that all orders can be read in flat memory.
func export(ctx context.Context, binary string, o exportOptions, out io.Writer) (*verdict, error) {
	s, err := driven.Start(ctx, binary, 1)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	if err := s.Stock(single, `{"name":"Something, \"quoted\"","price":{"amount":1,"currency":"EUR"}}`, 1); err != nil {
		return nil, err
	}
	began := time.Now()
	var orders int
	err = look(ctx, s, func(db *pgx.Conn) error {
		if err := writeOrders(ctx, db, o.lines); err != nil {
			return fmt.Errorf("write orders: %w", err)
		}
		return db.QueryRow(ctx, `SELECT count(*) FROM shop_order`).Scan(&orders)
	})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "export: %d orders with %d lines, written in %s; load average %s\n", orders, o.lines, seconds(time.Since(began)), driven.LoadAverage())
	v := &verdict{}
	for _, e := range []struct {
		format string
		lines  int
		id     func(line []byte) (string, error)
	}{{"csv", o.lines, csvID}, {"jsonl", orders, jsonID}} {
		if err := v.download(ctx, s, e.format, e.lines, orders, e.id); err != nil {
			return nil, fmt.Errorf("%s: %w", e.format, err)
		}
	}
	v.logged(s, false)
	v.print(out)
	return v, nil
}

// writeOrders writes paid orders of one to four lines with a unit each, so many lines in all, past the service: through it they would take too long.
func writeOrders(ctx context.Context, db *pgx.Conn, lines int) error {
	for _, sql := range []string{
		fmt.Sprintf(`
			CREATE TEMPORARY TABLE line AS
			SELECT n, uuid_v7_nth(1700000000000, n) AS id, n - (ARRAY[0, 1, 2, 3, 0, 1, 0, 1, 2, 0])[n %% 10 + 1] AS first_n
			FROM generate_series(0::bigint, %d) AS n`, lines-1),
		`INSERT INTO unit (unit_id, product_id, receipt_id)
			SELECT line.id, receipt.product_id, receipt.receipt_id
			FROM line, receipt`,
		`INSERT INTO shop_order (order_id, buyer, status, provider, total_minor, currency, reference, metadata, created_at, paid_at)
			SELECT min(id::text)::uuid, 'buyer-' || first_n % 1000, 'paid', 'external', 100 * count(*), 'EUR', 'order, number ' || first_n, '{"gift": true}', now(), now()
			FROM line
			GROUP BY first_n`,
		`INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, price_minor, currency, created_at, expires_at, ended_at, order_id)
			SELECT line.id, 'buyer-' || line.first_n % 1000, product.product_id, 0, 1, 'ordered', 100, 'EUR', now(), now() + interval '1 minute', now(), head.id
			FROM line
			JOIN line AS head ON head.n = line.first_n, product`,
		`INSERT INTO claim_unit (claim_id, unit_id) SELECT id, id FROM line`,
		`ANALYZE`,
	} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// download reads an export to its end while the memory of the server is watched.
func (v *verdict) download(ctx context.Context, s *driven.Service, format string, lines, orders int, idOf func(line []byte) (string, error)) error {
	before, _ := driven.Memory(s.Servers[0].PID())
	watching, stop := context.WithCancel(ctx)
	var peak float64
	var watch sync.WaitGroup
	watch.Go(func() {
		for watching.Err() == nil {
			now, _ := driven.Memory(s.Servers[0].PID())
			peak = max(peak, now)
			driven.Pause(watching, 20*time.Millisecond)
		}
	})
	began := time.Now()
	r, err := readExport(ctx, s, format, idOf)
	stop()
	watch.Wait()
	if err != nil {
		return err
	}
	took := time.Since(began)
	_, high := driven.Memory(s.Servers[0].PID())
	peak = max(peak, before)
	v.say(format, "%d lines of %d orders, %.0f MB in %s; memory %.0f MiB before, %.0f MiB at most (%.0f since it was started)",
		r.lines, r.orders, float64(r.bytes)/1e6, seconds(took), before, peak, high)
	if r.lines != lines || r.orders != orders {
		v.Add("%s has %d lines of %d orders, and there are %d of %d", format, r.lines, r.orders, lines, orders)
	}
	if r.disorder != "" {
		v.Add("%s: %s", format, r.disorder)
	}
	if peak-before > growthAtMost {
		v.Add("the server grew by %.0f MiB while it wrote %s", peak-before, format)
	}
	return nil
}

// exported is what a download had.
type exported struct {
	lines, orders int
	bytes         int64
	disorder      string
	last          string
}

func readExport(ctx context.Context, s *driven.Service, format string, idOf func(line []byte) (string, error)) (*exported, error) {
	c := driven.Conn{Address: s.Servers[0].Address, Key: s.Key}
	defer c.Close()
	resp, err := c.Send(ctx, driven.Ask{Method: "GET", Path: "/api/v1/orders/export?format=" + format, Patience: time.Hour})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != 200 {
		text, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	r := &exported{}
	body := bufio.NewReaderSize(resp.Body, 1<<16)
	if format == "csv" {
		if _, err := body.ReadString('\n'); err != nil { // the names
			return nil, err
		}
	}
	for {
		line, err := body.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line, idOf)
		}
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// line counts a line. Orders come the newest first, so that none comes twice when each is older than the one before.
func (r *exported) line(line []byte, idOf func(line []byte) (string, error)) {
	r.lines++
	r.bytes += int64(len(line))
	id, err := idOf(line)
	switch {
	case r.disorder != "":
	case err != nil:
		r.disorder = fmt.Sprintf("line %d: %v: %s", r.lines, err, line)
	case r.last != "" && id > r.last:
		r.disorder = fmt.Sprintf("line %d: order %s comes after %s", r.lines, id, r.last)
	}
	if id != r.last {
		r.orders++
	}
	r.last = id
}

func csvID(line []byte) (string, error) {
	id, _, found := bytes.Cut(line, []byte(","))
	if !found || len(id) != 36 {
		return "", errors.New("no order")
	}
	return string(id), nil
}

func jsonID(line []byte) (string, error) {
	var o struct {
		ID    string            `json:"id"`
		Lines []json.RawMessage `json:"lines"`
	}
	if err := json.Unmarshal(line, &o); err != nil {
		return "", err
	}
	if len(o.Lines) == 0 || len(o.ID) != 36 {
		return "", errors.New("no order with lines")
	}
	return o.ID, nil
}
