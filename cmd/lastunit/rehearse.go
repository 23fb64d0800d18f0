package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lastunit/lastunit/internal/pgserver"
	"github.com/lastunit/lastunit/internal/rehearsal"
	"github.com/lastunit/lastunit/internal/report"
	"github.com/lastunit/lastunit/internal/shop"
)

type rehearseFlags struct {
	urls                *[]string
	key, quantity, mode *string
	sale                *string
	buyers, stock       *int
	rate                *float64
	naive, poll, keep   *bool
	writeJSON           *bool
	report              *string
	targetP99           *time.Duration
	targetSellOut       *time.Duration
}

func rehearse(ctx context.Context, e *environment) error {
	f := rehearseFlags{
		urls:      e.flags.StringSlice("url", nil, "the `address` of a running service; repeat it for several servers of one database (without one, a service is started for the occasion)"),
		key:       e.flags.String("key", "", "an operator's `key` for it, with the scopes catalog, stock, claim and audit, and for --sale also sale"),
		sale:      e.flags.String("sale", "", "the `id` of a planned sale: play it, opened now, on marked copies of its products"),
		buyers:    e.flags.Int("buyers", 0, "how many buyers; 0: the cases of 10, 100, 200, 300, 500, 1000 and 5000, or of a sale two for each unit, at most 5000"),
		stock:     e.flags.Int("stock", 0, "how many units; 0: half of what is asked for"),
		quantity:  e.flags.String("quantity", "1", "how many units each buyer asks for, such as 1, or 1-4 for a mixture"),
		mode:      e.flags.String("mode", "direct", "how buyers ask: direct, queued, or both: half of them each way, at the same product at once"),
		poll:      e.flags.Bool("poll", false, "queued buyers know two calls only: to post a request, without a key, and to poll it at the pace of Retry-After; others send a key, and wait at the server"),
		rate:      e.flags.Float64("rate", 0, "requests per second, sent whether or not earlier ones were answered; 0: all at once"),
		naive:     e.flags.Bool("naive", false, "send the same buyers to a read-then-write shop first"),
		keep:      e.flags.Bool("keep", false, "leave the products of the rehearsal"),
		writeJSON: e.flags.Bool("json", false, "write the report as JSON"),
		report:    e.flags.String("report", "", "write the report as a page into this `file`, with plots"),

		targetP99:     e.flags.Duration("target-p99", 0, "say what would have to change for 99 of 100 to be answered within this time"),
		targetSellOut: e.flags.Duration("target-sell-out", 0, "say what would have to change for everything to be in carts within this time"),
	}
	cfg, _, err := e.load(0, 0)
	if err != nil {
		return err
	}
	o, err := f.options(e)
	if err != nil {
		return err
	}
	if *f.sale != "" {
		return f.playSale(ctx, e, o)
	}
	if len(o.URLs) > 0 {
		if *f.naive {
			if o.Naive, err = databaseOf(cfg); err != nil {
				return fmt.Errorf("the naive shop needs the same PostgreSQL: %w", err)
			}
		}
		return f.play(ctx, e, o)
	}
	return withOwnService(ctx, cfg, e, func(s *service, key string) error {
		o.URLs, o.Key, o.InProcess = []string{s.address}, key, true
		if *f.naive {
			o.Naive = s.databaseURL
		}
		return f.play(ctx, e, o)
	})
}

func (f rehearseFlags) options(e *environment) (rehearsal.Options, error) {
	o := rehearsal.Options{URLs: *f.urls, Key: *f.key, Rate: *f.rate, Keep: *f.keep, Progress: e.stderr}
	if len(o.URLs) > 0 && o.Key == "" {
		return o, errors.New("--url needs --key: make one with lastunit key create --name rehearsal --scope catalog --scope stock --scope claim --scope audit (and --scope sale for --sale)")
	}
	var err error
	if o.Mode, err = rehearsal.ParseMode(*f.mode); err != nil {
		return o, fmt.Errorf("--mode: %w", err)
	}
	if o.Poll = *f.poll; o.Poll && o.Mode == rehearsal.Direct {
		return o, errors.New("--poll needs --mode queued or --mode both")
	}
	least, most, err := quantityRange(*f.quantity)
	if err != nil {
		return o, err
	}
	if *f.sale != "" {
		return o, nil
	}
	o.Cases = rehearsal.DefaultCases()
	if *f.buyers != 0 || *f.stock != 0 {
		o.Cases = []rehearsal.Case{{Buyers: *f.buyers, Stock: *f.stock}}
		if *f.buyers == 0 {
			return o, errors.New("--stock needs --buyers")
		}
	}
	for i := range o.Cases {
		c := &o.Cases[i]
		c.QuantityMin, c.QuantityMax = least, most
		if *f.stock == 0 {
			c.Stock = c.Buyers * (least + most) / 4
		}
	}
	return o, nil
}

// playSale plays a planned sale of a running service.
func (f rehearseFlags) playSale(ctx context.Context, e *environment, o rehearsal.Options) error {
	switch {
	case len(o.URLs) == 0:
		return errors.New("--sale needs --url and --key: the service in which the sale is planned")
	case *f.stock != 0 || *f.naive:
		return errors.New("--sale plays what is planned: leave --stock and --naive out")
	}
	least, most, err := quantityRange(*f.quantity)
	if err != nil {
		return err
	}
	played, err := rehearsal.RunSale(ctx, rehearsal.SaleOptions{Options: o, Sale: *f.sale, Buyers: *f.buyers, QuantityMin: least, QuantityMax: most})
	if played == nil {
		return err
	}
	return f.write(e, saleRehearsed{played}, err)
}

// writable is a report.
type writable interface {
	OK() bool
	WriteTable(w io.Writer, plain bool) error
	Advice(t rehearsal.Target) []rehearsal.Advice
	page(advice []rehearsal.Advice) report.Page
}

// write writes a report, also what there is of a run that was cut short.
func (f rehearseFlags) write(e *environment, played writable, err error) error {
	advice := played.Advice(rehearsal.Target{P99: *f.targetP99, SellOut: *f.targetSellOut})
	if *f.writeJSON {
		err = errors.Join(err, writeJSON(e.stdout, played))
	} else {
		err = errors.Join(err, played.WriteTable(e.stdout, e.settings.environ["NO_COLOR"] != ""), writeAdvice(e.stdout, advice))
	}
	if *f.report != "" {
		err = errors.Join(err, writePage(played.page(advice), *f.report))
	}
	if err == nil && !played.OK() {
		err = errBroken
	}
	return err
}

// quantityRange reads "2" or "1-4".
func quantityRange(s string) (least, most int, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	least, err1 := strconv.Atoi(from)
	most, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil || least < 1 || most < least {
		return 0, 0, fmt.Errorf("--quantity must be a number such as 1 or a range such as 1-4, not %q", s)
	}
	return least, most, nil
}

func (f rehearseFlags) play(ctx context.Context, e *environment, o rehearsal.Options) error {
	played, err := rehearsal.Run(ctx, o)
	if played == nil {
		return err
	}
	return f.write(e, crowdsRehearsed{played}, err)
}

// withOwnService runs a service on a free port, with a database of its own that is gone afterwards.
func withOwnService(ctx context.Context, cfg Config, e *environment, fn func(s *service, key string) error) error {
	dir, err := os.MkdirTemp("", "lastunit-rehearsal-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // as root, PostgreSQL runs as somebody else
		return err
	}
	cfg.DataDir, cfg.DatabaseURL, cfg.Listen, cfg.Drain = dir, "", "127.0.0.1:0", 0
	cfg.LogLevel = max(cfg.LogLevel, 4) // warnings; a progress bar is enough
	s, err := startService(ctx, cfg, newLogger(cfg, e))
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.serve(serving) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			s.log.Warn("the service did not stop well", "error", err)
		}
	}()
	key, _, err := s.CreateKey(ctx, "rehearsal", []shop.Scope{shop.ScopeCatalog, shop.ScopeStock, shop.ScopeClaim, shop.ScopeAudit})
	if err != nil {
		return err
	}
	return fn(s, key)
}

func databaseOf(cfg Config) (string, error) {
	if cfg.DatabaseURL != "" {
		return cfg.DatabaseURL, nil
	}
	return pgserver.Running(cfg.DataDir)
}
