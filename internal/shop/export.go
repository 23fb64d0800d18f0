package shop

import (
	"cmp"
	"context"
	"slices"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/sheet"
)

// exportAtOnce is how many products, or units with serials, are read together.
const exportAtOnce = 500

// ExportProducts gives all products to write, by SKU, a page at a time, until write returns an error. Those of rehearsals are left out.
func (s *Shop) ExportProducts(ctx context.Context, write func([]sheet.Product) error) error {
	return s.pages(ctx, func(page []dbsqlc.ProductPageRow) error {
		out := make([]sheet.Product, len(page))
		for i, row := range page {
			p := row.Product
			out[i] = sheet.Product{
				SKU: p.SKU, Name: text(p.Name), Description: text(p.Description), ImageURL: text(p.ImageURL), Attributes: p.Attributes, Selling: &p.Selling,
			}
			if p.PriceMinor != nil {
				out[i].Price = &sheet.Price{Minor: *p.PriceMinor, Currency: text(p.Currency)}
			}
		}
		return write(out)
	})
}

// ExportUnits gives all units that can be claimed to write, by SKU: those without serials together by what they came with, those with serials one by one. Units in lapsed holds
// and overdue orders can be claimed. Each page is as it was when it was read.
func (s *Shop) ExportUnits(ctx context.Context, write func([]sheet.Stock) error) error {
	return s.pages(ctx, func(page []dbsqlc.ProductPageRow) error {
		ids, skus, places := make([]int64, len(page)), map[int64]string{}, map[int64]int{}
		for i, row := range page {
			id := row.Product.ProductID
			ids[i], skus[id], places[id] = id, row.Product.SKU, i
		}
		rows, err := s.q.UnitAvailableByReference(ctx, s.pool, dbsqlc.UnitAvailableByReferenceParams{ProductIds: ids, Now: s.o.Now()})
		if err != nil {
			return explain("count units", err)
		}
		slices.SortStableFunc(rows, func(a, b dbsqlc.UnitAvailableByReferenceRow) int {
			return cmp.Compare(places[a.ProductID], places[b.ProductID])
		})
		for len(rows) > 0 {
			id, serials := rows[0].ProductID, int64(0)
			var out []sheet.Stock
			for ; len(rows) > 0 && rows[0].ProductID == id; rows = rows[1:] {
				serials += rows[0].WithSerial
				if n := rows[0].WithoutSerial; n > 0 {
					out = append(out, sheet.Stock{SKU: skus[id], Quantity: int(n), Reference: rows[0].Reference})
				}
			}
			if err := write(out); err != nil {
				return err
			}
			if serials > 0 {
				if err := s.exportSerials(ctx, id, skus[id], write); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *Shop) exportSerials(ctx context.Context, id int64, sku string, write func([]sheet.Stock) error) error {
	for after, more := "", true; more; {
		rows, err := s.q.UnitAvailableBySerial(ctx, s.pool, dbsqlc.UnitAvailableBySerialParams{ProductID: id, AfterSerial: after, Now: s.o.Now(), RowLimit: exportAtOnce})
		if err != nil {
			return explain("read units", err)
		}
		out := make([]sheet.Stock, len(rows))
		for i, row := range rows {
			out[i] = sheet.Stock{SKU: sku, Serial: row.Serial, Quantity: 1, Reference: row.Reference}
			after = row.Serial
		}
		if err := write(out); err != nil {
			return err
		}
		more = len(rows) == exportAtOnce
	}
	return nil
}

// pages gives all products to use, by SKU, a page at a time.
func (s *Shop) pages(ctx context.Context, use func([]dbsqlc.ProductPageRow) error) error {
	for after, more := "", true; more; {
		page, err := s.q.ProductPage(ctx, s.pool, dbsqlc.ProductPageParams{AfterSku: after, RowLimit: exportAtOnce})
		if err != nil {
			return explain("read products", err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := use(page); err != nil {
			return err
		}
		after, more = page[len(page)-1].Product.SKU, len(page) == exportAtOnce
	}
	return nil
}
