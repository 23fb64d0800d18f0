package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lastunit/lastunit/db/migrations"
	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// database names the settings of commands that need no more than the database.
var database = []string{"database-url", "data-dir", "query-mode"}

func serve(ctx context.Context, e *environment) error {
	cfg, _, err := e.load(0, 0)
	if err != nil {
		return err
	}
	s, err := startService(ctx, cfg, newLogger(cfg, e))
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "lastunit serves %s\n", s.address)
	if s.metrics != nil {
		fmt.Fprintf(e.stdout, "its metrics are at %s\n", s.metrics.address)
	}
	fmt.Fprintf(e.stdout, "its database is %s\n", withoutPassword(s.databaseURL))
	defer s.reloadOnHangup(cfg, e)()
	return s.serve(ctx)
}

func audit(ctx context.Context, e *environment) error {
	sku := e.flags.String("sku", "", "audit this product only")
	asJSON := e.flags.Bool("json", false, "write what was found as JSON")
	check := e.flags.String("repair", "", "say what this `check` finds broken, in which rows, and what repairing it would do and mean for buyers")
	yes := e.flags.Bool("yes", false, "with --repair: do it, and check again")
	by := e.flags.String("by", "", "with --repair: who does it, which is kept; the user of this machine unless given")
	cfg, _, err := e.load(0, 0, database...)
	if err == nil {
		err = checkRepair(*check, *yes)
	}
	if err != nil {
		return err
	}
	s, pool, err := openShop(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	if *check != "" {
		return repair(ctx, e, s, shop.RepairRequest{Check: *check, SKU: *sku, By: *by, Yes: *yes}, *asJSON)
	}
	found, _, err := s.Audit(ctx, shop.AuditRequest{SKU: *sku})
	if err != nil {
		return err
	}
	if *asJSON {
		err = writeJSON(e.stdout, httpapi.AuditResource(found))
	} else {
		err = writeAudit(e.stdout, found)
	}
	if err == nil && !found.OK {
		err = errBroken
	}
	return err
}

func writeAudit(w io.Writer, a shop.Audit) error {
	for _, c := range a.Checks {
		verdict := "ok"
		if !c.OK {
			verdict = "BROKEN"
		}
		fmt.Fprintf(w, "%-18s %s\n", c.Name, verdict)
		for _, v := range c.Violations {
			fmt.Fprintf(w, "    %s", v.SKU)
			if v.UnitID != nil {
				fmt.Fprintf(w, " unit %s", v.UnitID)
			}
			if v.TransactionID != nil {
				fmt.Fprintf(w, " transaction %s", v.TransactionID)
			}
			fmt.Fprintf(w, ": %s\n", v.Detail)
		}
	}
	_, err := fmt.Fprintf(w, "%s in %s\n", map[bool]string{true: "nothing is broken", false: "something is broken"}[a.OK],
		a.FinishedAt.Sub(a.StartedAt).Round(time.Millisecond))
	return err
}

func key(ctx context.Context, e *environment) error {
	name := e.flags.String("name", "", "what the key is for")
	scopes := e.flags.StringSlice("scope", nil, "what it may do; repeat it for several: catalog, stock, sale, order, claim, audit, webhook, or *")
	cfg, args, err := e.load(1, 2, database...)
	if err != nil {
		return err
	}
	s, pool, err := openShop(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	switch {
	case args[0] == "create" && len(args) == 1:
		var list []shop.Scope
		for _, scope := range *scopes {
			list = append(list, shop.Scope(scope))
		}
		secret, _, err := s.CreateKey(ctx, *name, list)
		if err != nil {
			return plain(err)
		}
		_, err = fmt.Fprintln(e.stdout, secret)
		return err
	case args[0] == "list" && len(args) == 1:
		return listKeys(ctx, e.stdout, s)
	case args[0] == "revoke" && len(args) == 2:
		id, err := shop.ParseID("key", args[1])
		if err != nil {
			return plain(err)
		}
		return plain(s.RevokeKey(ctx, id))
	}
	return errors.New("say one of: key create --name N --scope S..., key list, key revoke ID")
}

func listKeys(ctx context.Context, w io.Writer, s *shop.Shop) error {
	keys, err := s.Keys(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tSCOPES\tCREATED\tREVOKED")
	for _, k := range keys {
		scopes := make([]string, len(k.Scopes))
		for i, scope := range k.Scopes {
			scopes[i] = string(scope)
		}
		revoked := ""
		if k.RevokedAt != nil {
			revoked = k.RevokedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, strings.Join(scopes, ","), k.CreatedAt.Format(time.RFC3339), revoked)
	}
	return table.Flush()
}

// plain says a refusal as a sentence for a terminal.
func plain(err error) error {
	var r *shop.Refusal
	if !errors.As(err, &r) {
		return err
	}
	text := r.Detail
	for _, p := range r.Problems {
		text += fmt.Sprintf("\n  %s %s", p.Location, p.Message)
	}
	return errors.New(text)
}

func token(_ context.Context, e *environment) error {
	life := e.flags.Duration("life", 24*time.Hour, "how long the token is valid")
	cfg, args, err := e.load(2, -1, "data-dir", "buyer-secret", "audience")
	if err != nil {
		return err
	}
	if args[0] != "buyer" {
		return errors.New("say: token buyer ID")
	}
	secret, err := buyerSecret(cfg)
	if err != nil {
		return err
	}
	if len(secret) == 0 {
		return errors.New("tokens are signed by whoever has the keys of the JWKS; set --buyer-secret to sign some here")
	}
	for _, id := range args[1:] {
		signed, err := buyerToken(secret, cfg.Audience, id, *life)
		if err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, signed)
	}
	return nil
}

func buyerToken(secret []byte, audience, id string, life time.Duration) (string, error) {
	if !httpapi.IsName(id) {
		return "", fmt.Errorf("the buyer %q is not 1 to 128 printable characters", id)
	}
	return httpapi.Buyers{Secret: secret, Audience: audience}.Token(id, time.Now().Add(life))
}

func migrate(ctx context.Context, e *environment) error {
	howeverLong := e.flags.Bool("however-long", false, "with up: also what keeps a table from everybody for longer than a few seconds; for when nobody is buying")
	cfg, args, err := e.load(1, 1, database...)
	if err != nil {
		return err
	}
	pool, err := openPool(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	var list []pgdb.Migration
	switch args[0] {
	case "up":
		up := pgdb.MigrateUp
		if *howeverLong {
			up = pgdb.MigrateUpHoweverLong
		}
		list, err = up(ctx, pool, migrations.FS)
		if err == nil && len(list) == 0 {
			fmt.Fprintln(e.stdout, "nothing to do")
		}
	case "down":
		var undone pgdb.Migration
		if undone, err = pgdb.MigrateDown(ctx, pool, migrations.FS); err == nil {
			list = []pgdb.Migration{undone}
		}
	case "status":
		list, err = pgdb.MigrateStatus(ctx, pool, migrations.FS)
	default:
		return errors.New("say one of: migrate up, migrate down, migrate status")
	}
	for _, m := range list {
		state := "applied"
		if !m.Applied {
			state = "not applied"
		}
		fmt.Fprintf(e.stdout, "%-12s %s\n", state, m.Name)
	}
	return err
}

func openapi(_ context.Context, e *environment) error {
	if _, _, err := e.load(0, 0, "data-dir"); err != nil {
		return err
	}
	document, err := httpapi.Document()
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(document)
	return err
}

func example(_ context.Context, e *environment) error {
	if _, _, err := e.load(0, 0, "data-dir"); err != nil {
		return err
	}
	return writeExample(e.stdout)
}

func health(ctx context.Context, e *environment) error {
	url := e.flags.String("url", "", "the service's address; http:// and --listen unless given")
	cfg, _, err := e.load(0, 0, "listen")
	if err != nil {
		return err
	}
	if *url == "" {
		*url = "http://" + strings.Replace(cfg.Listen, "0.0.0.0", "127.0.0.1", 1)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *url+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", body)
	}
	_, err = fmt.Fprintln(e.stdout, "ready")
	return err
}

func version(_ context.Context, e *environment) error {
	_, err := fmt.Fprintln(e.stdout, httpapi.Version())
	return err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
