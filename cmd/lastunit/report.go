package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// saleReport reports on a sale from the database: in words, as JSON, as a page.
func saleReport(ctx context.Context, e *environment) error {
	sale := e.flags.String("sale", "", "the `id` of the sale")
	asJSON := e.flags.Bool("json", false, "write it as JSON")
	html := e.flags.String("html", "", "write the page into this `file`")
	cfg, _, err := e.load(0, 0, database...)
	if err != nil {
		return err
	}
	if *sale == "" {
		return errors.New("say which sale: report --sale ID")
	}
	id, err := shop.ParseID("sale", *sale)
	if err != nil {
		return plain(err)
	}
	s, pool, err := openShop(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	r, err := s.SaleReport(ctx, id)
	if err != nil {
		return plain(err)
	}
	page := httpapi.SaleReportPage(r)
	if *html != "" {
		if err := writePage(page, *html); err != nil {
			return err
		}
		if !*asJSON {
			_, err := fmt.Fprintf(e.stdout, "the report on %s is in %s\n", r.Name, *html)
			return err
		}
	}
	if *asJSON {
		return writeJSON(e.stdout, httpapi.SaleReportResource(r))
	}
	return page.WriteText(e.stdout)
}
