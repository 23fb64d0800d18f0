package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/sheet"
	"github.com/lastunit/lastunit/internal/shop"
)

const importText = "Products and stock from a CSV file of up to 16 MiB: in our own columns, or as Shopify exports products and inventory, which the header tells. All of it, or " +
	"nothing when anything is wrong with it: then `errors` names up to 100 lines (`body.lines[12].price`), and `detail` says how many things are wrong. With `dry_run` nothing is changed, and the " +
	"answer lists what would be. The same file twice changes nothing: units come in once for each product and reference, once for each serial, and up to a level.\n\n" +
	"A sheet that brings units in needs a key that may `stock` as well.\n\nA replay (the same `Idempotency-Key`) shows that nothing was changed by it: all counts but `lines` are 0, " +
	"with `Idempotency-Replayed: true`. A dry run binds no key."

const (
	sheetBytesAtMost = 16 << 20
	sheetArrivesIn   = time.Minute
	importExample    = "sku,name,price,currency,quantity,reference\nmug-blue,Blue mug,12.90,EUR,500,delivery 4711\n"
)

type importInput struct {
	Keyed
	DryRun   bool     `query:"dry_run" doc:"Change nothing, and answer what would be changed."`
	Currency []string `query:"currency,explode" maxItems:"10" pattern:"^[A-Z]{3}$" patternDescription:"a currency" doc:"What the prices are in, where the columns do not say. Of a sheet that names several: those that may be."`
	RawBody  []byte   `contentType:"text/csv"`
}

// Resolve implements huma.Resolver.
func (*importInput) Resolve(hc huma.Context) []error {
	return append(filtersMean(hc, "dry_run"), firstMeans(hc, "currency")...)
}

// Import is what an import has changed, or would change.
type Import struct {
	Kind      string       `json:"kind" enum:"own,shopify_products,shopify_inventory" doc:"Whose columns the sheet has."`
	DryRun    bool         `json:"dry_run"`
	Lines     int          `json:"lines" doc:"Of the sheet, below its header."`
	Created   int          `json:"created" doc:"Products."`
	Changed   int          `json:"changed" doc:"Products."`
	Unchanged int          `json:"unchanged" doc:"Products that are as the sheet says."`
	Units     int          `json:"units" doc:"That came in."`
	Known     int          `json:"known" doc:"Lines of stock, of which all units have come in before."`
	Items     []ImportItem `json:"items" nullable:"false" doc:"What happens to which product: the first 1000."`
	ItemCount int          `json:"item_count" doc:"How many products something happens to."`
}

// ImportItem is what happens to a product.
type ImportItem struct {
	Line    int           `json:"line" doc:"Of the file, from 1 on."`
	SKU     string        `json:"sku"`
	Created bool          `json:"created"`
	Changes []FieldChange `json:"changes" nullable:"false"`
	Units   int           `json:"units" doc:"That came in."`
}

// FieldChange is a field of a product that changes.
type FieldChange struct {
	Field string  `json:"field" enum:"name,description,price,image_url,selling,attributes"`
	From  *string `json:"from" doc:"As a sheet says it; null: none."`
	To    *string `json:"to" doc:"As a sheet says it; null: none."`
}

type importOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key imported: then this one changed nothing."`
	Body     Import
}

func (a *api) importSheet(ctx context.Context, in *importInput) (*importOutput, error) {
	read, err := sheet.Read(bytes.NewReader(in.RawBody), sheet.Options{Currencies: in.Currency})
	if err != nil {
		return nil, err
	}
	if key := callerOf(ctx).key; len(read.Stock) > 0 && !key.May(shop.ScopeStock) {
		return nil, forbidden("This sheet brings units in, which needs an API key that may stock as well. Take the quantities out, or use another key.")
	}
	done, replayed, err := a.shop.Import(ctx, shop.ImportRequest{
		Sheet: read, DryRun: in.DryRun, Operator: operatorOf(ctx, in.IdempotencyKey), Said: fmt.Sprintf("%x %s", sha256.Sum256(in.RawBody), strings.Join(in.Currency, " ")),
	})
	if err != nil {
		return nil, err
	}
	return &importOutput{Replayed: replayedHeader(replayed), Body: ImportResource(done)}, nil
}

// ImportResource is an import as callers see it.
func ImportResource(i shop.Import) Import {
	out := Import{
		Kind: string(i.Kind), DryRun: i.DryRun, Lines: i.Lines, Created: i.Created, Changed: i.Changed, Unchanged: i.Unchanged, Units: i.Units, Known: i.Known,
		Items: make([]ImportItem, len(i.Items)), ItemCount: i.ItemCount,
	}
	for n, item := range i.Items {
		changes := make([]FieldChange, len(item.Changes))
		for m, c := range item.Changes {
			changes[m] = FieldChange(c)
		}
		out.Items[n] = ImportItem{Line: item.Line, SKU: item.SKU, Created: item.Created, Changes: changes, Units: item.Units}
	}
	return out
}
