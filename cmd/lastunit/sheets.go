package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/sheet"
	"github.com/lastunit/lastunit/internal/shop"
)

// importSheet brings products and stock from a CSV file in.
func importSheet(ctx context.Context, e *environment) error {
	dryRun := e.flags.Bool("dry-run", false, "change nothing, and say what would be changed")
	currencies := e.flags.StringSlice("currency", nil, "what the prices are in, where the columns do not say; of a sheet that names several, those that may be (repeat it)")
	asJSON := e.flags.Bool("json", false, "write what was changed as JSON")
	cfg, args, err := e.load(1, 1, database...)
	if err != nil {
		return err
	}
	file := io.Reader(os.Stdin)
	if args[0] != "-" {
		opened, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer func() { _ = opened.Close() }()
		file = opened
	}
	read, err := sheet.Read(file, sheet.Options{Currencies: *currencies})
	if err != nil {
		return err
	}
	s, pool, err := openShop(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	defer s.Close()
	r := shop.ImportRequest{Sheet: read, DryRun: *dryRun}
	if bar := newBar(e.stderr); bar != nil && !*dryRun {
		r.Progress = bar.show
		defer bar.end()
	}
	done, _, err := s.Import(ctx, r)
	if err != nil {
		return inLines(err)
	}
	if *asJSON {
		return writeJSON(e.stdout, httpapi.ImportResource(done))
	}
	return writeImport(e.stdout, done)
}

var lineOfSheet = regexp.MustCompile(`^body\.lines\[(\d+)\](?:\.(.+))?$`)

// inLines says a refusal of a sheet as sentences for a terminal.
func inLines(err error) error {
	var r *shop.Refusal
	if !errors.As(err, &r) {
		return err
	}
	text := r.Detail
	for _, p := range r.Problems {
		where := p.Location
		if found := lineOfSheet.FindStringSubmatch(where); found != nil {
			where = "line " + found[1]
			if found[2] != "" {
				where += ", " + found[2]
			}
		}
		text += fmt.Sprintf("\n  %s: %s", where, p.Message)
	}
	return errors.New(text)
}

// listedAtMost is how many products a terminal is told of.
const listedAtMost = 50

func writeImport(w io.Writer, done shop.Import) error {
	for i, item := range done.Items {
		if i == listedAtMost {
			fmt.Fprintf(w, "... and %d more\n", done.ItemCount-i)
			break
		}
		did := "changed"
		switch {
		case item.Created:
			did = "created"
		case len(item.Changes) == 0:
			did = "stock"
		}
		fmt.Fprintf(w, "%-8s %s", did, item.SKU)
		if item.Units > 0 {
			fmt.Fprintf(w, "  +%d", item.Units)
		}
		fmt.Fprintln(w)
		for _, c := range item.Changes {
			if !item.Created {
				fmt.Fprintf(w, "           %s: %s -> %s\n", c.Field, inBrief(c.From), inBrief(c.To))
			}
		}
	}
	verb := ""
	if done.DryRun {
		verb = "would be "
	}
	_, err := fmt.Fprintf(w, "%d lines: %d products %screated, %d changed, %d are as they were; %d units %sreceived, %d lines of stock have come in before\n",
		done.Lines, done.Created, verb, done.Changed, done.Unchanged, done.Units, verb, done.Known)
	if err == nil && done.DryRun {
		_, err = fmt.Fprintln(w, "nothing was changed: this was a dry run")
	}
	return err
}

// inBrief is a value on one line of a terminal.
func inBrief(value *string) string {
	if value == nil {
		return "none"
	}
	short := []rune(strings.Join(strings.Fields(*value), " "))
	if len(short) > 60 {
		short = append(short[:59], '…')
	}
	return fmt.Sprintf("%q", string(short))
}

// bar shows on a terminal how far something is.
type bar struct {
	w     io.Writer
	shown time.Time
	drawn bool
}

// newBar is nil where nobody watches.
func newBar(w io.Writer) *bar {
	file, is := w.(*os.File)
	if !is || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return &bar{w: w}
}

const barWidth = 40

func (b *bar) show(done, all int) {
	if all == 0 || time.Since(b.shown) < 100*time.Millisecond && done < all {
		return
	}
	b.shown, b.drawn = time.Now(), true
	full := barWidth * done / all
	fmt.Fprintf(b.w, "\r[%s%s] %3d %%", strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), 100*done/all)
}

// end leaves the line to whatever is written next.
func (b *bar) end() {
	if b.drawn {
		fmt.Fprintln(b.w)
	}
}

// exportSheet writes products, or units, in the columns that importSheet reads.
func exportSheet(ctx context.Context, e *environment) error {
	format := e.flags.String("format", "csv", "csv, which is the only one")
	cfg, args, err := e.load(1, 1, database...)
	if err != nil {
		return err
	}
	if *format != "csv" {
		return errors.New("--format must be csv")
	}
	if args[0] != "products" && args[0] != "units" {
		return errors.New("say one of: export products, export units")
	}
	s, pool, err := openShop(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	defer s.Close()
	if args[0] == "products" {
		w := sheet.NewWriter(e.stdout, sheet.ProductColumns)
		err = s.ExportProducts(ctx, func(page []sheet.Product) error {
			for _, p := range page {
				w.Product(p)
			}
			return w.Flush()
		})
		return errors.Join(err, w.Flush())
	}
	w := sheet.NewWriter(e.stdout, sheet.UnitColumns)
	err = s.ExportUnits(ctx, func(page []sheet.Stock) error {
		for _, one := range page {
			w.Stock(one)
		}
		return w.Flush()
	})
	return errors.Join(err, w.Flush())
}
