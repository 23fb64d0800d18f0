package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/dbsqlc"
)

type growsOptions struct {
	rounds, connections int
	measure             time.Duration
	few, many, spurt    int // tokens, and claims between two receipts
	claims              int // while an old snapshot is held open
	holds               int // that have lapsed
	only, results       string
}

func (o *growsOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.only, "only", "", "tokens, snapshot or expired, with | between them; empty: all")
	f.IntVar(&o.rounds, "rounds", 10, "how often each has a turn")
	f.IntVar(&o.connections, "connections", 256, "of buyers")
	f.DurationVar(&o.measure, "measure", 2500*time.Millisecond, "how long a turn of expired is")
	f.IntVar(&o.few, "few", 10_000, "tokens: of the product that has few")
	f.IntVar(&o.many, "many", 10_000_000, "tokens: of the product that has many")
	f.IntVar(&o.spurt, "spurt", 8_000, "tokens: claims of a turn, fewer than there are tokens; they are restocked before the next")
	f.IntVar(&o.claims, "claims", 300_000, "snapshot: that are made while it is held open")
	f.IntVar(&o.holds, "holds", 1_000_000, "expired: that have lapsed and come back")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// grows shows that a claim costs no more for the tokens that there are, for those that are gone and an old snapshot still sees, and for the holds that have lapsed.
func grows(ctx context.Context, binary string, o growsOptions, out io.Writer) error {
	b, err := newBench(ctx, binary, 1, "--hold", "1h")
	if err != nil {
		return err
	}
	defer b.stop()
	s := newShown("grows", out)
	for _, part := range []struct {
		name string
		run  func(*shown, growsOptions) error
	}{{"tokens", b.growsByTokens}, {"snapshot", b.growsUnderSnapshot}, {"expired", b.growsByExpired}} {
		if o.only != "" && !slices.Contains(strings.Split(o.only, "|"), part.name) {
			continue
		}
		s.say("\n%s", part.name)
		if err := part.run(s, o); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return s.end(o.results)
}

// growsByTokens lets a product with few tokens and one with many have turns of so many claims, which are restocked before the next, so that they keep their sizes.
func (b *bench) growsByTokens(s *shown, o growsOptions) error {
	var turns []turn
	var tallies []*tally
	names := []string{fmt.Sprintf("%d tokens", o.few), fmt.Sprintf("%d tokens", o.many)}
	for i, units := range []int{o.few, o.many} {
		sku, t := fmt.Sprint("tokens-", units), &tally{}
		began := time.Now()
		if err := b.stock(sku, units); err != nil {
			return err
		}
		s.say("%d units were received in %s", units, time.Since(began).Round(time.Millisecond))
		l := b.claimsOf(sku, o.connections, t)
		l.warm, l.requests = 0, int64(o.spurt)
		tallies = append(tallies, t)
		turns = append(turns, turn{name: names[i], run: func() (sample, error) {
			one, err := b.measure(b.lastunit(1), l, 201, 1)
			if err == nil {
				err = b.stock(sku, o.spurt)
			}
			return one, err
		}})
	}
	samples, err := b.rounds(turns, o.rounds, s.out)
	if err != nil {
		return err
	}
	s.keep("claims a second, by the tokens that there are", samples, perSecond, names...)
	s.ratio(figure{Name: fmt.Sprintf("claims/s, %s ÷ %s", names[1], names[0]), AtLeast: 0.9}, samples[names[1]], samples[names[0]], perSecond)
	for i, units := range []int{o.few, o.many} {
		if err := b.addsUp(s, fmt.Sprint("tokens-", units), tallies[i]); err != nil {
			return err
		}
	}
	return nil
}

// growsUnderSnapshot makes claims while somebody has a snapshot from before the first, so that no dead token can be removed.
func (b *bench) growsUnderSnapshot(s *shown, o growsOptions) error {
	const sku, tenths, asked = "snapshot", 10, 100
	if err := b.stock(sku, o.claims+o.claims/tenths+asked); err != nil {
		return err
	}
	var warm, t tally
	l := b.claimsOf(sku, o.connections, &warm)
	l.warm, l.requests = 0, int64(o.claims/tenths)
	if _, err := b.measure(b.lastunit(1), l, 201, 1); err != nil {
		return err
	}
	if err := b.quiet(); err != nil {
		return err
	}
	db, err := b.service.Connect(b.ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(b.ctx)) }()
	old, err := db.BeginTx(b.ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return err
	}
	defer func() { _ = old.Rollback(context.WithoutCancel(b.ctx)) }()
	if _, err := old.Exec(b.ctx, `SELECT count(*) FROM product`); err != nil {
		return err
	}
	var ends [tenths]time.Time
	l.requests = int64(o.claims)
	l.answered = func(connection int, key string, status int) {
		t.answered(connection, key, status)
		for i := range ends {
			if status == 201 && t.reached.Load() < int32(i+1) && t.held.Load() >= int64(o.claims*(i+1)/tenths) && t.reached.CompareAndSwap(int32(i), int32(i+1)) {
				ends[i] = time.Now()
			}
		}
	}
	began := time.Now()
	if _, err := b.measure(b.lastunit(1), l, 201, 1); err != nil {
		return err
	}
	c := chart{Title: "claims a second while an old snapshot is held open", X: "claims", Lines: []line{{Name: "claims/s of each tenth"}}}
	var rates []float64
	for i, end := range ends {
		if end.IsZero() {
			return fmt.Errorf("only %d of %d claims were answered 201", t.held.Load(), o.claims)
		}
		rates = append(rates, float64(o.claims)/tenths/end.Sub(began).Seconds())
		began = end
		c.Lines[0].Points = append(c.Lines[0].Points, [2]float64{float64(o.claims * (i + 1) / tenths), rates[i]})
		s.say("  tenth %2d: %7.0f claims/s", i+1, rates[i])
	}
	s.Charts = append(s.Charts, c)
	s.add(figure{Name: fmt.Sprintf("old snapshot, %d claims: last tenth ÷ first", o.claims), Value: rates[tenths-1] / rates[0], AtLeast: 0.9})
	there, naive, dead, err := b.buffersOfPick(sku, asked)
	if err != nil {
		return err
	}
	s.say("  a pick of %d units reads %d buffers from where the lane is, %d from the beginning; %d dead tokens are kept for the snapshot", asked, there, naive, dead)
	s.add(figure{Name: "old snapshot: buffers that the pick reads for a unit", Value: float64(there) / asked, AtMost: 8})
	s.add(figure{Name: "old snapshot: the same from the beginning of the queue", Value: float64(naive) / asked})
	return b.addsUp(s, sku, &warm, &t)
}

// buffersOfPick tells how many buffers the shop's pick of so many units reads from the first token that is left, and from 0, and how many tokens of the product are gone.
func (b *bench) buffersOfPick(sku string, units int64) (there, naive, gone int64, err error) {
	tx, err := b.db.Begin(b.ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) }()
	q := dbsqlc.New()
	if _, err := q.ClaimSettings(b.ctx, tx); err != nil {
		return 0, 0, 0, err
	}
	var product, first int64
	if err := tx.QueryRow(b.ctx, `SELECT product_id, min(position), (SELECT sum(quantity) FROM receipt WHERE receipt.product_id = product.product_id) - count(*)
		FROM product JOIN stock_token USING (product_id) WHERE sku = $1 GROUP BY product_id`, sku).Scan(&product, &first, &gone); err != nil {
		return 0, 0, 0, err
	}
	buffers := func(from int64) (int64, error) {
		var c captured
		_, _ = q.StockTokenPick(b.ctx, &c, dbsqlc.StockTokenPickParams{
			ProductIds: []int64{product}, PoolIds: []int64{0}, FromPositions: []int64{from}, BelowPositions: []int64{1 << 62}, UnitCounts: []int64{units},
		})
		var text []byte
		if err := tx.QueryRow(b.ctx, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+c.sql, c.args...).Scan(&text); err != nil {
			return 0, err
		}
		var explained []struct {
			Plan struct {
				Rows float64 `json:"Actual Rows"`
				Hit  int64   `json:"Shared Hit Blocks"`
				Read int64   `json:"Shared Read Blocks"`
			}
		}
		if err := json.Unmarshal(text, &explained); err != nil {
			return 0, err
		}
		if p := explained[0].Plan; int64(p.Rows) == units {
			return p.Hit + p.Read, nil
		}
		return 0, fmt.Errorf("the pick has not found %d units: %s", units, text)
	}
	if there, err = buffers(first); err != nil {
		return 0, 0, 0, err
	}
	naive, err = buffers(0)
	return there, naive, gone, err
}

// captured keeps the text and the arguments of a query instead of running it.
type captured struct {
	dbsqlc.DBTX
	sql  string
	args []any
}

func (c *captured) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.sql, c.args = sql, args
	return nil, errors.New("captured")
}

// growsByExpired compares a product whose units have all been in holds that lapsed with one that is fresh.
func (b *bench) growsByExpired(s *shown, o growsOptions) error {
	const lapsed, fresh = "after holds that expired", "fresh"
	if err := b.stock("expired", o.holds); err != nil {
		return err
	}
	if err := b.lapse("expired", o.holds); err != nil {
		return err
	}
	began := time.Now()
	for held := true; held; driven.Pause(b.ctx, 100*time.Millisecond) {
		if err := b.db.QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM claim JOIN product USING (product_id) WHERE sku = 'expired' AND status = 'held')`).Scan(&held); err != nil {
			return err
		}
	}
	took := time.Since(began)
	s.say("%d holds have expired and come back in %s, %.0f a second", o.holds, took.Round(time.Millisecond), float64(o.holds)/took.Seconds())
	if err := b.stock("fresh", o.holds); err != nil {
		return err
	}
	var tallies [2]tally
	var turns []turn
	for i, name := range []string{lapsed, fresh} {
		l := b.claimsOf([]string{"expired", "fresh"}[i], o.connections, &tallies[i])
		l.warm, l.measure = min(time.Second, o.measure), o.measure
		turns = append(turns, turn{name: name, system: b.lastunit(1), load: l, status: 201})
	}
	samples, err := b.rounds(turns, o.rounds, s.out)
	if err != nil {
		return err
	}
	s.keep(fmt.Sprintf("claims a second, after %d holds that expired", o.holds), samples, perSecond, lapsed, fresh)
	s.ratio(figure{Name: fmt.Sprintf("claims/s, after %d holds that expired ÷ fresh", o.holds), AtLeast: 0.9}, samples[lapsed], samples[fresh], perSecond)
	var expired int
	if err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM claim JOIN product USING (product_id) WHERE sku = 'expired' AND status = 'expired'`).Scan(&expired); err != nil {
		return err
	}
	if expired != o.holds {
		s.wrong.Add("%d holds have expired, and there were %d", expired, o.holds)
	}
	return errors.Join(b.addsUp(s, "expired", &tallies[0]), b.addsUp(s, "fresh", &tallies[1]))
}

// lapse holds units of a product with claims of one unit each that lapse at once. It writes the rows that the service would, past it: through it they would take too long. What
// becomes of them is the service's.
func (b *bench) lapse(sku string, holds int) error {
	return pgx.BeginFunc(b.ctx, b.db, func(tx pgx.Tx) error {
		for _, sql := range []string{
			fmt.Sprintf(`CREATE TEMPORARY TABLE lapsing ON COMMIT DROP AS
				SELECT uuid_v7_nth((extract(epoch FROM now()) * 1000)::bigint, row_number() OVER (ORDER BY position)) AS claim_id, row_number() OVER (ORDER BY position) AS n,
					product_id, unit_id, position
				FROM stock_token JOIN product USING (product_id) WHERE sku = '%s' AND pool_id = 0 ORDER BY position LIMIT %d`, sku, holds),
			`INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, price_minor, currency, created_at, expires_at)
				SELECT claim_id, 'lapsed-' || n % 50000, product_id, 0, 1, 'held', 'lapsed-' || n, 6900, 'EUR', now(), now() + interval '1 millisecond' FROM lapsing`,
			`WITH taken AS (
					DELETE FROM stock_token USING lapsing
					WHERE stock_token.product_id = lapsing.product_id AND stock_token.pool_id = 0 AND stock_token.position = lapsing.position
					RETURNING lapsing.claim_id, stock_token.unit_id
				)
				INSERT INTO claim_unit (claim_id, unit_id) SELECT claim_id, unit_id FROM taken`,
		} {
			if _, err := tx.Exec(b.ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
}
