package main

import (
	"context"
	_ "embed" // salereport.sql
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

type saleReportOptions struct {
	rounds, claims, products int
	results                  string
}

func (o *saleReportOptions) flags(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 3, "how often the report is made")
	f.IntVar(&o.claims, "claims", 1_000_000, "of the sale")
	f.IntVar(&o.products, "products", 5, "of the sale")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

//go:embed salereport.sql
var saleOfRows string

// saleReport shows how long the report on a large sale takes, which was made as rows, straight after they were written and when they have been analyzed.
func saleReport(ctx context.Context, binary string, o saleReportOptions, out io.Writer) error {
	b, err := newBench(ctx, binary, 1)
	if err != nil {
		return err
	}
	defer b.stop()
	s := newShown("report", out)
	sale, err := b.saleOfRows(o)
	if err != nil {
		return err
	}
	path := "/api/v1/sales/" + sale + "/report"
	var found struct {
		Total struct {
			UnitsSold int `json:"units_sold"`
			Holds     struct {
				Made int `json:"made"`
			} `json:"holds"`
		} `json:"total"`
	}
	ask := func() error {
		a, err := b.service.Operate("GET", path, "")
		if err != nil {
			return err
		}
		return json.Unmarshal(a.Text, &found)
	}
	page := func() error {
		_, err := b.service.Operate("GET", path+"?format=html", "")
		return err
	}
	fresh, err := timed(ask)()
	if err != nil {
		return err
	}
	s.say("%-40s %.2f s", "the report, nothing analyzed", fresh.Seconds)
	if _, err := b.db.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return err
	}
	samples, err := b.rounds([]turn{{name: "report", run: timed(ask)}, {name: "page", run: timed(page)}}, o.rounds, out)
	if err != nil {
		return err
	}
	s.keep(fmt.Sprintf("seconds for a report on a sale of %d claims", o.claims), samples, seconds, "report", "page")
	s.add(figure{Name: fmt.Sprintf("seconds for a report on %d claims, nothing analyzed", o.claims), Value: fresh.Seconds, AtMost: 10})
	s.middle(figure{Name: "the same, analyzed", AtMost: 10}, samples["report"], seconds)
	s.middle(figure{Name: "the same as a page", AtMost: 10}, samples["page"], seconds)
	if paid := o.claims / 20 * 14; found.Total.Holds.Made != o.claims || found.Total.UnitsSold < paid {
		s.wrong.Add("the report tells of %d claims and %d units, not of %d and %d", found.Total.Holds.Made, found.Total.UnitsSold, o.claims, paid)
	}
	return s.end(o.results)
}

// saleOfRows plans a sale that is open, and writes what has become of it as rows.
func (b *bench) saleOfRows(o saleReportOptions) (id string, err error) {
	var items []string
	for n := range o.products {
		sku := fmt.Sprint("reported-", n)
		if err := b.service.Stock(sku, priced, 1); err != nil {
			return "", err
		}
		items = append(items, fmt.Sprintf(`{"sku":%q,"price":{"amount":6900,"currency":"EUR"}}`, sku))
	}
	opens := time.Now().UTC().Add(-2 * time.Hour)
	made, err := b.service.Operate("POST", "/api/v1/sales", fmt.Sprintf(`{"name":"A large sale","opens_at":%q,"closes_at":%q,"hold_seconds":600,"purchase_limit":1,"items":[%s]}`,
		opens.Format(time.RFC3339), opens.Add(24*time.Hour).Format(time.RFC3339), strings.Join(items, ",")))
	if err != nil {
		return "", err
	}
	var sale struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(made.Text, &sale); err != nil {
		return "", err
	}
	if _, err := b.service.Operate("POST", "/api/v1/sales/"+sale.ID+"/schedule", ""); err != nil {
		return "", err
	}
	return sale.ID, pgx.BeginFunc(b.ctx, b.db, func(tx pgx.Tx) error {
		for statement := range strings.SplitSeq(saleOfRows, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := tx.Exec(b.ctx, bound(statement, sale.ID, o)); err != nil {
				return fmt.Errorf("%.80s: %w", statement, err)
			}
		}
		return nil
	})
}

// bound writes the values into a statement: not all of them use each, and CREATE TABLE takes none.
func bound(statement, sale string, o saleReportOptions) string {
	return strings.NewReplacer("$1", "'"+sale+"'", "$2", fmt.Sprint(o.claims), "$3", fmt.Sprint(o.products)).Replace(statement)
}
