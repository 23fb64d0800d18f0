package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSheetsOnTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	start(t, "serve", dir)
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "sheet.csv")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	says := func(out string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("%q is not said in:\n%s", part, out)
			}
		}
	}
	goods := file("sku,name,price,quantity,reference\nmug,Blue mug,12.90,5,delivery 1\ncup,Cup,3,,\n")
	says(output(t, "import", "--data-dir", dir, "--currency", "EUR", "--dry-run", goods), "created  mug  +5\n", "2 lines: 2 products would be created", "nothing was changed")
	says(output(t, "import", "--data-dir", dir, "--currency", "EUR", goods), "created  mug  +5\n", "created  cup\n", "2 products created", "5 units received")
	says(output(t, "import", "--data-dir", dir, "--currency", "EUR", goods), "0 products created, 0 changed, 2 are as they were; 0 units received, 1 lines of stock have come in before")
	cmd := lastunit(t, "import", "--data-dir", dir, "--json", "-")
	cmd.Stdin = strings.NewReader("sku;name;quantity;reference\nmug;Red mug;3;delivery 2\n")
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v", err)
	} else {
		says(string(out), `"kind": "own"`, `"from": "Blue mug"`, `"to": "Red mug"`, `"units": 3`)
	}
	products, units := output(t, "export", "products", "--data-dir", dir), output(t, "export", "units", "--data-dir", dir, "--format", "csv")
	if want := "sku,name,description,price,currency,image_url,selling,attributes\ncup,Cup,,3.00,EUR,,true,\nmug,Red mug,,12.90,EUR,,true,\n"; products != want {
		t.Errorf("the products are %q, want %q", products, want)
	}
	if want := "sku,serial,quantity,reference\nmug,,5,delivery 1\nmug,,3,delivery 2\n"; units != want {
		t.Errorf("the units are %q, want %q", units, want)
	}
	for _, bad := range []struct {
		args []string
		want []string
	}{
		{[]string{"import", "--data-dir", dir, file("sku,quantity\nmug,1.5\nhat,1\n")}, []string{"2 things are wrong with the sheet", "line 2, quantity: must be a whole number", "line 3, sku: is no product's"}},
		{[]string{"import", "--data-dir", dir, filepath.Join(dir, "nothing.csv")}, []string{"no such file"}},
		{[]string{"import", "--data-dir", dir}, []string{"does not take the arguments"}},
		{[]string{"export", "--data-dir", dir, "orders"}, []string{"export products"}},
		{[]string{"export", "--data-dir", dir, "products", "--format", "xml"}, []string{"must be csv"}},
	} {
		_, err := attempt(t, bad.args...)
		if err == nil {
			t.Errorf("%v succeeds", bad.args)
			continue
		}
		says(err.Error(), bad.want...)
	}
	if out := output(t, "audit", "--data-dir", dir); !strings.Contains(out, "nothing is broken") {
		t.Errorf("audit: %s", out)
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	b := &bar{w: &out}
	b.show(0, 0)
	b.end()
	if out.Len() > 0 {
		t.Errorf("nothing to do is shown as %q", out.String())
	}
	b.show(1, 4)
	b.show(2, 4) // too soon to be drawn
	b.shown = time.Time{}
	b.show(3, 4)
	b.show(4, 4)
	b.end()
	quarter := strings.Repeat("#", barWidth/4)
	space := strings.Repeat(" ", barWidth/4)
	if want := "\r[" + quarter + space + space + space + "]  25 %\r[" + quarter + quarter + quarter + space + "]  75 %\r[" + strings.Repeat(quarter, 4) + "] 100 %\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if newBar(&out) != nil {
		t.Error("a bar is drawn where no terminal is")
	}
}
