package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// causes: whatever became of holds and orders was asked for, by an attempt that was answered OK or whose outcome is unknown, or it was time.
func (c *checker) causes() {
	for _, row := range c.db.Claims {
		c.claimEnded(row)
	}
	for _, row := range c.db.Orders {
		c.orderMoved(row)
	}
	c.outOfQuarantine()
}

const uncaused = "database ⊆ answered ∪ unknown"

// acted are the attempts of one kind on something that may have had an effect.
func (c *checker) acted(id string, kind history.Kind) (ops []*history.Op) {
	for _, op := range c.on[id] {
		if op.Kind == kind && op.Outcome != history.Failed {
			ops = append(ops, op)
		}
	}
	return ops
}

func (c *checker) claimEnded(row *Claim) {
	switch row.Status {
	case "released":
		// What was claimed without a key by somebody who has gone is given back.
		if forNobody := row.Key == nil && !slices.ContainsFunc(c.byTransaction[row.ID], func(op *history.Op) bool { return operation(op.Kind) == string(history.Claim) }); forNobody {
			return
		}
		if len(c.acted(row.ID, history.Release)) == 0 {
			c.violated(uncaused, fmt.Sprintf("nobody asked for the release of the transaction %s", row.ID), slices.Concat(c.on[row.ID], c.byTransaction[row.ID])...)
		}
	case "expired":
		if row.ExpiresAt == nil || row.EndedAt == nil || row.EndedAt.Before(*row.ExpiresAt) {
			c.violated(uncaused, fmt.Sprintf("the transaction %s has expired before it was time", row.ID), c.byTransaction[row.ID]...)
		}
	}
}

// orderMoved: it was paid by somebody, cancelled by its buyer or because it was overdue, and what came back from it was asked for.
func (c *checker) orderMoved(row *Order) {
	if row.PaidAt != nil && row.Provider != "external" && !c.mayBePaid(row) {
		c.violated(uncaused, "nobody paid for the order "+row.ID, slices.Concat(c.on[row.ID], c.byOrder[row.ID])...)
	}
	if row.Status == "cancelled" {
		overdue := row.Reason != nil && *row.Reason == "payment-overdue"
		if overdue && (row.PayBy == nil || row.EndedAt == nil || row.EndedAt.Before(*row.PayBy)) || !overdue && len(c.acted(row.ID, history.Cancel)) == 0 {
			c.violated(uncaused, "the order "+row.ID+" was cancelled, and nobody asked for that, nor was it time", slices.Concat(c.on[row.ID], c.byOrder[row.ID])...)
		}
	}
}

// mayBePaid tells whether an attempt can have paid for an order, or for the one that it came in place of.
func (c *checker) mayBePaid(row *Order) bool {
	for row != nil {
		if slices.ContainsFunc(c.acted(row.ID, history.Pay), func(op *history.Op) bool { return op.Card != "decline" }) {
			return true
		}
		if row.Replaces == nil {
			return false
		}
		row = c.db.Orders[*row.Replaces]
	}
	return false
}

// restocked is how a unit leaves an order by what a refund says.
var restocked = map[string]string{"returned": "available", "quarantined": "quarantine", "written_off": "write_off"}

// cameBack: a unit that has left an order was refunded, or the order was cancelled.
func (c *checker) cameBack(row *Order, h *Held) {
	switch {
	case h.Outcome == nil:
	case *h.Outcome == "cancelled":
		if row.Status != "cancelled" {
			c.violated("lines", fmt.Sprintf("the unit %s has left the order %s as one that was cancelled, and it is %s", h.UnitID, row.ID, row.Status), c.byOrder[row.ID]...)
		}
	case !slices.ContainsFunc(c.acted(row.ID, history.Refund), func(op *history.Op) bool {
		return op.Restock == restocked[*h.Outcome] && (len(op.IDs) == 0 || slices.Contains(op.IDs, h.UnitID))
	}):
		c.violated(uncaused, fmt.Sprintf("the unit %s has left the order %s (%s), and nobody asked for that", h.UnitID, row.ID, *h.Outcome), slices.Concat(c.on[row.ID], c.byOrder[row.ID])...)
	}
}

// outOfQuarantine: no more units have left it than somebody let out.
func (c *checker) outOfQuarantine() {
	let, left := map[string]int{}, map[string]int{}
	for k, ops := range c.byKey {
		if k.operation == string(history.Unquarantine) && asked(ops) {
			let[ops[0].SKU] += ops[0].Quantity
		}
	}
	for _, u := range c.db.Units {
		for _, q := range u.Quarantine {
			if q.LeftAt != nil {
				left[u.SKU]++
			}
		}
	}
	for sku, n := range left {
		if n > let[sku] {
			c.violated(uncaused, fmt.Sprintf("%d units of %s have left quarantine, and %d were let out", n, sku, let[sku]))
		}
	}
}

// lines: an order has the units that its buyer's transactions held, those that were asked for, and what it is shown with is what it has.
func (c *checker) lines() {
	const rule = "lines"
	byOrder := map[string][]*Claim{}
	for _, claim := range c.db.Claims {
		if claim.OrderID != nil {
			byOrder[*claim.OrderID] = append(byOrder[*claim.OrderID], claim)
		}
		if claim.Replaces == nil {
			continue
		}
		if was := c.db.Claims[*claim.Replaces]; was == nil || was.Buyer != claim.Buyer || was.SKU != claim.SKU || was.Quantity != claim.Quantity {
			c.violated(rule, fmt.Sprintf("the transaction %s came in place of %s, and has other units: %+v, %+v", claim.ID, *claim.Replaces, *claim, was), c.byTransaction[claim.ID]...)
		}
	}
	for id, claims := range byOrder {
		row := c.db.Orders[id]
		if row == nil {
			c.violated(rule, fmt.Sprintf("the transaction %s is ordered, and its order %s is not there", claims[0].ID, id), c.byTransaction[claims[0].ID]...)
			continue
		}
		for _, claim := range claims {
			if claim.Buyer != row.Buyer || len(claim.Units) != claim.Quantity {
				c.violated(rule, fmt.Sprintf("the order %s of %s has the transaction %s of %s, with %d units for %d", id, row.Buyer, claim.ID, claim.Buyer, len(claim.Units), claim.Quantity), c.byOrder[id]...)
			}
			for _, h := range claim.Units {
				c.cameBack(row, h)
			}
		}
		for _, op := range c.byOrder[id] {
			if wrong := c.shownWrong(op, row, claims); wrong != "" {
				c.violated(rule, fmt.Sprintf("the order %s %s", id, wrong), op)
			}
		}
	}
}

// shownWrong tells what is wrong in an answer that shows an order.
func (c *checker) shownWrong(op *history.Op, row *Order, claims []*Claim) string {
	if op.Buyer != "" && op.Buyer != row.Buyer {
		return "of " + row.Buyer + " was shown to " + op.Buyer
	}
	if len(op.Order.Lines) != len(claims) {
		return fmt.Sprintf("was shown with %d lines, and has %d", len(op.Order.Lines), len(claims))
	}
	for _, claim := range claims {
		i := slices.IndexFunc(op.Order.Lines, func(l history.Line) bool { return l.TransactionID == claim.ID })
		if i < 0 {
			return "was shown without the transaction " + claim.ID
		}
		line := op.Order.Lines[i]
		var has, left []string
		for _, h := range claim.Units {
			has = append(has, h.UnitID)
			if h.ReleasedAt != nil {
				left = append(left, h.UnitID)
			}
		}
		if line.SKU != claim.SKU || !same(line.UnitIDs, has) {
			return fmt.Sprintf("was shown with the units %v of %s for the transaction %s, and has %v of %s", line.UnitIDs, line.SKU, claim.ID, has, claim.SKU)
		}
		for _, unit := range line.ReturnedUnitIDs {
			if !slices.Contains(left, unit) {
				return "was shown to have given the unit " + unit + " back, and has it"
			}
		}
		// A checkout of the whole cart asks for none by name, and a lapsed hold is paid for with equal units.
		orders := op.Kind == history.Checkout || op.Kind == history.Confirm
		if orders && len(op.IDs) > 0 && !slices.Contains(op.IDs, claim.ID) && (claim.Replaces == nil || !slices.Contains(op.IDs, *claim.Replaces)) {
			return fmt.Sprintf("has the transaction %s, and it was asked for %s", claim.ID, strings.Join(op.IDs, ", "))
		}
	}
	return ""
}

func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
