package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// sheet is a request that imports one.
func sheet(key, query, text string) request {
	return request{method: "POST", path: "/api/v1/imports" + query, token: key, body: text}.with("Content-Type", "text/csv")
}

const goods = "sku,name,price,currency,quantity\nmug,Blue mug,12.90,EUR,5\ncup,Cup,3,EUR,\n"

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog, shop.ScopeStock)
	before := w.fingerprint(t)
	var dry, made httpapi.Import
	w.send(t, sheet(key, "?dry_run=true", goods).with("Idempotency-Key", "k")).into(t, 200, &dry)
	if !dry.DryRun || dry.Created != 2 || dry.Units != 5 || len(dry.Items) != 2 || w.fingerprint(t) != before {
		t.Errorf("got %+v", dry)
	}
	r := sheet(key, "", goods).with("Idempotency-Key", "k").with("Content-Type", "Text/CSV; charset=utf-8")
	if a := w.send(t, r).into(t, 200, &made); made.DryRun || made.Kind != "own" || made.Created != 2 || made.Units != 5 || made.ItemCount != 2 || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("got %+v", made)
	}
	if st, err := w.Stock(t.Context(), "mug"); err != nil || st.Available != 5 {
		t.Errorf("got %+v %v", st, err)
	}
	before = w.fingerprint(t)
	if a := w.send(t, r).into(t, 200, &made); a.header.Get("Idempotency-Replayed") != "true" || made.Created != 0 || made.Lines != 2 {
		t.Errorf("a replay is %v %+v", a.header, made)
	}
	w.send(t, sheet(key, "", goods+"hat,Hat,1,EUR,\n").with("Idempotency-Key", "k")).refused(t, 422, "idempotency-key-reused")
	w.send(t, sheet(key, "?currency=EUR", goods).with("Idempotency-Key", "k")).refused(t, 422, "idempotency-key-reused")
	if w.send(t, sheet(key, "", goods).with("Content-Type", absent)).into(t, 200, &made); made.Unchanged != 2 || made.Known != 1 || made.ItemCount != 0 || len(made.Items) != 0 {
		t.Errorf("got %+v", made)
	}
	if after := w.fingerprint(t); after != before {
		t.Errorf("the same sheet again has changed %s to %s", before, after)
	}
	w.send(t, sheet(key, "?currency=EUR&currency=USD", "sku,price,currency\nmug,1,EUR\ncup,1,USD\n")).into(t, 200, &made)
	if made.Changed != 2 || *made.Items[1].Changes[0].To != "1.00 USD" {
		t.Errorf("got %+v", made)
	}
}

func TestBadImports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog, shop.ScopeStock)
	stocks, catalogs := w.key(t, shop.ScopeStock), w.key(t, shop.ScopeCatalog)
	w.send(t, sheet(key, "", goods)).into(t, 200, nil)
	before := w.fingerprint(t)
	for name, bad := range map[string]struct {
		request request
		status  int
		code    string
		where   string // of the first error
	}{
		"a bad price":                    {sheet(key, "", "sku,name,price,currency\nnew,New,1,EUR\nhat,"+canary+",1,"+canary+"\n"), 422, "validation", "body.lines[3].currency"},
		"a bad line, dry":                {sheet(key, "?dry_run=true", "sku,quantity\nmug,"+canary+"\n"), 422, "validation", "body.lines[2].quantity"},
		"no header":                      {sheet(key, "", canary+"\n"), 422, "validation", "body.lines[1]"},
		"a column of no name":            {sheet(key, "", "sku,"+canary+"\nmug,1\n"), 422, "validation", "body.lines[1].column 2"},
		"stock of no product":            {sheet(key, "", "sku,quantity\n"+canary+",1\n"), 422, "validation", "body.lines[2].sku"},
		"nothing":                        {sheet(key, "", ""), 422, "validation", "body"},
		"garbage":                        {sheet(key, "", "\x00\xff"+canary), 422, "validation", "body.lines[1]"},
		"a currency of none":             {sheet(key, "?currency="+canary, goods), 422, "validation", "query.currency[0]"},
		"an empty currency":              {sheet(key, "?currency=", goods), 422, "validation", "query.currency[0]"},
		"perhaps dry":                    {sheet(key, "?dry_run="+canary, goods), 422, "validation", "query.dry_run"},
		"an unknown parameter":           {sheet(key, "?dryrun=true", goods), 422, "validation", "query.dryrun"},
		"an empty key":                   {sheet(key, "", goods).with("Idempotency-Key", ""), 422, "validation", "header.Idempotency-Key"},
		"JSON":                           {sheet(key, "", goods).with("Content-Type", "application/json"), 415, "unsupported-media-type", ""},
		"17 MiB":                         {sheet(key, "", "sku,name\n"+strings.Repeat("x", 17<<20)), 413, "payload-too-large", ""},
		"a key that can't put":           {sheet(stocks, "", goods), 403, "forbidden", ""},
		"units without a right to stock": {sheet(catalogs, "", "sku,quantity\nmug,100\n"), 403, "forbidden", ""},
	} {
		p := w.send(t, bad.request).refused(t, bad.status, bad.code)
		if bad.where == "" != (len(p.Errors) == 0) || bad.where != "" && p.Errors[0].Location != bad.where {
			t.Errorf("%s: errors are %+v, want one at %q", name, p.Errors, bad.where)
		}
	}
	many := w.send(t, sheet(key, "", "sku,quantity\n"+strings.Repeat("mug,x\n", 250))).refused(t, 422, "validation")
	if len(many.Errors) != 100 || many.Errors[99].Location != "body.lines[101].quantity" || !strings.Contains(many.Detail, "250") {
		t.Errorf("%d errors are named: %s", len(many.Errors), many.Detail)
	}
	if after := w.fingerprint(t); after != before {
		t.Errorf("what was refused has changed %s to %s", before, after)
	}
	// Products alone need no right to stock.
	var made httpapi.Import
	if w.send(t, sheet(catalogs, "", "sku,name\nmug,Mug\n")).into(t, 200, &made); made.Changed != 1 {
		t.Errorf("got %+v", made)
	}
}

// TestLargeImport: as large as a sheet may be, and of more products than are named.
func TestLargeImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog)
	var text strings.Builder
	text.WriteString("sku,name,description\n")
	for i := 0; text.Len() < 15<<20; i++ {
		fmt.Fprintf(&text, "sku-%d,Product %d,%s\n", i, i, strings.Repeat("x", 4900))
	}
	n := strings.Count(text.String(), "\n") - 1
	var made httpapi.Import
	w.send(t, sheet(key, "?dry_run=true", text.String())).into(t, 200, &made)
	if made.Created != n || made.ItemCount != n || len(made.Items) != 1000 {
		t.Errorf("got %d of %d created, %d of %d items", made.Created, n, len(made.Items), made.ItemCount)
	}
}
