package main

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"

	"github.com/lastunit/lastunit/internal/shop"
)

// checkRepair refuses what the audit does not check, before anything is connected to.
func checkRepair(check string, yes bool) error {
	switch {
	case check == "" && yes:
		return fmt.Errorf("--yes says that a repair is to be done; say which with --repair: one of %s", strings.Join(shop.RepairChecks(), ", "))
	case check != "" && !slices.Contains(shop.RepairChecks(), check):
		return fmt.Errorf("the audit has no check %q; its checks are %s", check, strings.Join(shop.RepairChecks(), ", "))
	}
	return nil
}

// nobody else than whoever is logged in, unless they say.
func repairBy(by string) string {
	if by != "" {
		return by
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}

func repair(ctx context.Context, e *environment, s *shop.Shop, r shop.RepairRequest, asJSON bool) error {
	r.By = repairBy(r.By)
	done, err := s.Repair(ctx, r)
	if err != nil && len(done.Steps) == 0 {
		return plain(err)
	}
	// What was done before it went wrong was done.
	write := writeRepair
	if asJSON {
		write = func(w io.Writer, r shop.Repair) error { return writeJSON(w, r) }
	}
	if failed := write(e.stdout, done); failed != nil {
		return failed
	}
	if err != nil {
		return plain(err)
	}
	if !done.OK() {
		return errBroken
	}
	return nil
}

func writeRepair(w io.Writer, r shop.Repair) error {
	if len(r.Steps) == 0 {
		fmt.Fprintf(w, "%s: nothing is broken, and there is nothing to repair\n", r.Check)
	}
	planned := false
	for i, step := range r.Steps {
		fmt.Fprintf(w, "%d. %s %s", i+1, r.Check, step.SKU)
		for _, named := range []struct {
			what string
			id   *shop.ID
		}{{"unit", step.UnitID}, {"transaction", step.TransactionID}, {"order", step.OrderID}, {"sale", step.SaleID}} {
			if named.id != nil {
				fmt.Fprintf(w, " %s %s", named.what, named.id)
			}
		}
		if step.Buyer != nil {
			fmt.Fprintf(w, " buyer %q", *step.Buyer)
		}
		fmt.Fprintf(w, "\n   broken:  %s\n   repair:  %s\n   buyers:  %s\n", step.Broken, step.Repair, step.Buyers)
		switch planned = planned || step.Result == shop.RepairPlanned; step.Result {
		case shop.RepairDone:
			fmt.Fprintf(w, "   DONE:    %s (repair %s)\n", step.Done, step.RepairID)
		case shop.RepairChanged, shop.RepairBusy:
			fmt.Fprintf(w, "   LEFT:    %s\n", step.Done)
		case shop.RepairPerson:
			fmt.Fprintf(w, "   LEFT to a person, nothing was changed. %s\n", step.Done)
		}
	}
	if r.More {
		fmt.Fprintf(w, "and there is more than these %d: repair them, then run it again\n", len(r.Steps))
	}
	if r.After != nil {
		verdict := "ok"
		if !r.After.OK {
			verdict = fmt.Sprintf("still BROKEN (%d)", len(r.After.Violations))
		}
		fmt.Fprintf(w, "%s, checked again: %s\n", r.Check, verdict)
	}
	var err error
	if planned {
		sku := ""
		if r.SKU != nil {
			sku = " --sku " + *r.SKU
		}
		_, err = fmt.Fprintf(w, "nothing was changed; to do it: lastunit audit --repair %s%s --yes\n", r.Check, sku)
	}
	return err
}
