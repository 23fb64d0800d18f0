package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

type sheetsOptions struct {
	rounds, lines int
	results       string
}

func (o *sheetsOptions) flags(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 5, "how often each has a turn")
	f.IntVar(&o.lines, "lines", 100_000, "of a sheet, each a product with one unit")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// madeTables are what an import writes, each with its columns that tell the rows of a round.
var madeTables = []struct{ name, of string }{
	{"product", "sku LIKE $"},
	{"receipt", "product_id IN (SELECT product_id FROM product WHERE sku LIKE $)"},
	{"unit", "product_id IN (SELECT product_id FROM product WHERE sku LIKE $)"},
	{"stock_token", "product_id IN (SELECT product_id FROM product WHERE sku LIKE $)"},
}

// sheets shows what an import costs beside COPY of the same rows, into equal tables and in one transaction, and beside COPY of the lines of its sheet into a table of texts.
func sheets(ctx context.Context, binary string, o sheetsOptions, out io.Writer) error {
	b, err := newBench(ctx, binary, 1)
	if err != nil {
		return err
	}
	defer b.stop()
	s := newShown("import", out)
	create := "CREATE SCHEMA bare; CREATE TABLE bare.line (sku text, name text, description text, price text, currency text, attributes text, quantity text, reference text);"
	for _, t := range madeTables {
		create += fmt.Sprintf("CREATE TABLE bare.%[1]s (LIKE %[1]s INCLUDING ALL);", t.name)
	}
	if _, err := b.db.Exec(ctx, create); err != nil {
		return err
	}
	const imported, copied, lines, again = "import", "COPY of its rows", "COPY of its lines", "the same sheet again"
	file := filepath.Join(b.dir, "sheet.csv")
	round := 0
	run := func(want string) func() error {
		return func() error {
			cmd := exec.CommandContext(ctx, b.binary, "import", "--database-url", b.service.Database(), file)
			text, err := cmd.CombinedOutput()
			if err == nil && !strings.Contains(string(text), want) {
				err = fmt.Errorf("it does not say %q", want)
			}
			if err != nil {
				return fmt.Errorf("import: %w: %.500s", err, text)
			}
			return nil
		}
	}
	samples := map[string][]sample{}
	took := func(name string, do func() error) error {
		began := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		d := time.Since(began)
		samples[name] = append(samples[name], sample{Seconds: d.Seconds()})
		s.say("round %d: %-22s %.2f s", round, name, d.Seconds())
		return nil
	}
	for round = 1; round <= o.rounds; round++ {
		if err := writeSheet(file, round, o.lines); err != nil {
			return err
		}
		if err := took(imported, run(fmt.Sprintf("%d products created", o.lines))); err != nil {
			return err
		}
		rows, err := b.rowsMade(round)
		if err != nil {
			return err
		}
		if err := took(copied, func() error { return b.copyIn(rows) }); err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := took(lines, func() error { return b.copyIn(map[string][]byte{"line": text}) }); err != nil {
			return err
		}
		if err := took(again, run(fmt.Sprintf("%d are as they were; 0 units", o.lines))); err != nil {
			return err
		}
	}
	s.keep("seconds for a sheet", samples, seconds, imported, copied, lines, again)
	s.ratio(figure{Name: "time of an import ÷ COPY of the rows that it makes", AtMost: 3}, samples[imported], samples[copied], seconds)
	s.ratio(figure{Name: "time of an import ÷ COPY of its lines into a table of texts"}, samples[imported], samples[lines], seconds)
	s.ratio(figure{Name: "time of the same sheet again ÷ the first time"}, samples[again], samples[imported], seconds)
	for _, t := range madeTables {
		var there, want int
		if err := b.db.QueryRow(ctx, fmt.Sprintf("SELECT (SELECT count(*) FROM %[1]s), (SELECT count(*) FROM bare.%[1]s)", t.name)).Scan(&there, &want); err != nil {
			return err
		}
		if there != want || there != o.rounds*o.lines {
			s.wrong.Add("%d rows are in %s, and %d were copied", there, t.name, want)
		}
	}
	// Of all products, one by one, it would take longer than all that is measured.
	if text, err := b.service.Audit("--sku", "r1-0"); err != nil {
		s.wrong.Add("the audit: %v %s", err, text)
	}
	return s.end(o.results)
}

func writeSheet(name string, round, lines int) error {
	var text bytes.Buffer
	text.WriteString("sku,name,description,price,currency,attributes,quantity,reference\n")
	for i := range lines {
		fmt.Fprintf(&text, "r%d-%d,Product %d of round %d,\"A thing, of which there is one; it is as good as the others.\",%d.90,EUR,\"{\"\"size\"\": %d, \"\"colour\"\": \"\"blue\"\"}\",1,delivery %d\n",
			round, i, i, round, 1+i%100, i%10, round)
	}
	return os.WriteFile(name, text.Bytes(), 0o600)
}

// rowsMade reads the rows that the import of a round has made, by table.
func (b *bench) rowsMade(round int) (map[string][]byte, error) {
	rows := map[string][]byte{}
	for _, t := range madeTables {
		var text bytes.Buffer
		of := strings.ReplaceAll(t.of, "$", fmt.Sprintf("'r%d-%%'", round))
		if _, err := b.db.PgConn().CopyTo(b.ctx, &text, fmt.Sprintf("COPY (SELECT * FROM %s WHERE %s) TO STDOUT", t.name, of)); err != nil {
			return nil, err
		}
		rows[t.name] = text.Bytes()
	}
	return rows, nil
}

// copyIn copies rows into the bare tables, in one transaction.
func (b *bench) copyIn(rows map[string][]byte) error {
	return pgx.BeginFunc(b.ctx, b.db, func(tx pgx.Tx) error {
		for name, text := range rows {
			options := ""
			if name == "line" {
				options = " (FORMAT csv, HEADER)"
			}
			if _, err := tx.Conn().PgConn().CopyFrom(b.ctx, bufio.NewReaderSize(bytes.NewReader(text), 64<<10), "COPY bare."+name+" FROM STDIN"+options); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}
