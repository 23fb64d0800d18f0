// Package check holds the history of a round against what it has left in the database. docs/proof.md says what each rule means. Where an outcome is unknown, or an
// attempt took long, more is possible: a rule speaks only of what is certain.
package check

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// Violation is something that can't be, and the attempts that show it.
type Violation struct {
	Rule string       `json:"rule"`
	Text string       `json:"text"`
	Ops  []history.Op `json:"ops"`
}

// Figures say how much was checked.
type Figures struct {
	Attempts, UnknownAttempts int
	Claims, Orders            int // answered OK: transactions and orders, each once
	Refusals, SoldOut         int // for want of units; of them sold-out
	Keys, KeysRepeated        int // used; of them sent three times or more
	Units, UnitSteps          int // whose lives were put into an order; steps in them
	Accepted                  int // queued requests whose order was compared
	Over5s                    int // attempts that took more than 5 s longer than they were asked, or may, to wait
	Slowest                   time.Duration
}

// Plus adds up.
func (f Figures) Plus(g Figures) Figures {
	f.Attempts, f.UnknownAttempts, f.Claims, f.Orders = f.Attempts+g.Attempts, f.UnknownAttempts+g.UnknownAttempts, f.Claims+g.Claims, f.Orders+g.Orders
	f.Refusals, f.SoldOut = f.Refusals+g.Refusals, f.SoldOut+g.SoldOut
	f.Keys, f.KeysRepeated, f.Units, f.UnitSteps = f.Keys+g.Keys, f.KeysRepeated+g.KeysRepeated, f.Units+g.Units, f.UnitSteps+g.UnitSteps
	f.Accepted, f.Over5s, f.Slowest = f.Accepted+g.Accepted, f.Over5s+g.Over5s, max(f.Slowest, g.Slowest)
	return f
}

// Print writes them, a line each.
func (f Figures) Print(w io.Writer) {
	for _, line := range []struct {
		what string
		n    int
	}{
		{"attempts", f.Attempts}, {"of them without a known outcome", f.UnknownAttempts}, {"claims answered", f.Claims}, {"orders answered", f.Orders},
		{"refusals for want of units", f.Refusals}, {"of them sold-out", f.SoldOut},
		{"keys", f.Keys}, {"of them sent 3 times or more", f.KeysRepeated}, {"units whose lives were put into an order", f.Units}, {"steps in them", f.UnitSteps},
		{"queued requests whose order was compared", f.Accepted}, {"calls of more than 5 s, waits aside", f.Over5s},
	} {
		fmt.Fprintf(w, "%-50s %9d\n", line.what, line.n)
	}
	fmt.Fprintf(w, "%-50s %9.2f\n", "the slowest call, s", f.Slowest.Seconds())
}

// Print writes a violation, and the attempts that show it, in the order in which they were begun.
func Print(w io.Writer, v Violation) {
	fmt.Fprintf(w, "VIOLATION of %q: %s\n", v.Rule, v.Text)
	ops := slices.SortedFunc(slices.Values(v.Ops), func(a, b history.Op) int { return int(a.N - b.N) })
	for _, op := range ops {
		fmt.Fprintf(w, "  %10.1f .. %10.1f ms  client %d server %d  %s\n", ms(op.Start), ms(op.End), op.Client, op.Server, describe(op))
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func describe(op history.Op) string {
	text := string(op.Kind)
	for _, part := range []struct{ name, value string }{
		{"buyer", op.Buyer}, {"key", op.Key}, {"sku", op.SKU}, {"of", op.Target}, {"card", op.Card}, {"restock", op.Restock}, {"reference", op.Reference},
	} {
		if part.value != "" {
			text += " " + part.name + "=" + part.value
		}
	}
	if op.Quantity > 0 {
		text += fmt.Sprintf(" quantity=%d", op.Quantity)
	}
	if len(op.IDs) > 0 {
		text += fmt.Sprintf(" ids=%v", op.IDs)
	}
	text += fmt.Sprintf(" → %s %d %s", op.Outcome, op.Status, op.Code)
	if t := op.Transaction; t != nil {
		text += fmt.Sprintf(" %s is %s with %v %s", t.ID, t.Status, t.UnitIDs, t.Reason)
	}
	if o := op.Order; o != nil {
		text += fmt.Sprintf(" order %s is %s %s, payment %s", o.ID, o.Status, o.Reason, o.Payment.Status)
	}
	if op.Stock != nil {
		text += fmt.Sprintf(" %+v", *op.Stock)
	}
	return text + " " + op.Fault
}

// checker has a round in the ways in which the rules look at it.
type checker struct {
	ops   []history.Op
	began time.Time
	db    *Database
	limit int

	byKey         map[keyed][]*history.Op  // of what has a key
	byTransaction map[string][]*history.Op // that show it
	byOrder       map[string][]*history.Op
	on            map[string][]*history.Op // that act on it: releases, checkouts, payments, cancellations, refunds
	toldRefused   map[string][]*history.Op // that show a transaction as refused
	found         []Violation
	figures       Figures
}

// keyed is what a key is bound by: caller, operation and key.
type keyed struct {
	buyer, operation, key string
}

func operation(k history.Kind) string {
	if k == history.ClaimQueued {
		k = history.Claim
	}
	return string(k)
}

// forever is when something ends of which nobody knows when.
const forever = time.Duration(math.MaxInt64)

// All checks everything. began is when the history began, limit the purchase limit of the round's sale.
func All(ops []history.Op, began time.Time, db *Database, limit int) ([]Violation, Figures) {
	c := &checker{
		ops: ops, began: began, db: db, limit: limit,
		byKey: map[keyed][]*history.Op{}, byTransaction: map[string][]*history.Op{}, byOrder: map[string][]*history.Op{}, on: map[string][]*history.Op{},
		toldRefused: map[string][]*history.Op{},
	}
	c.sort()
	for _, rule := range []func(){
		c.faults, c.keys, c.answeredIsThere, c.lines, c.thereWasAsked, c.causes, c.inTime, c.forward, c.conserved, c.lastCounts, c.lives, c.limits, c.refusals, c.inOrder, c.overtaken,
	} {
		rule()
	}
	for _, what := range db.Broken {
		c.violated("money and units", what)
	}
	return c.found, c.figures
}

func (c *checker) violated(rule, text string, ops ...*history.Op) {
	v := Violation{Rule: rule, Text: text}
	for _, op := range ops {
		v.Ops = append(v.Ops, *op)
	}
	c.found = append(c.found, v)
}

// sort finds everything that the rules look up.
func (c *checker) sort() {
	c.figures.Attempts = len(c.ops)
	for i := range c.ops {
		op := &c.ops[i]
		if op.Outcome == history.Unknown {
			c.figures.UnknownAttempts++
		}
		if op.Key != "" {
			k := keyed{op.Buyer, operation(op.Kind), op.Key}
			c.byKey[k] = append(c.byKey[k], op)
		}
		if op.Target != "" {
			c.on[op.Target] = append(c.on[op.Target], op)
		}
		for _, id := range op.IDs {
			c.on[id] = append(c.on[id], op)
		}
		for _, t := range shown(op) {
			c.byTransaction[t.ID] = append(c.byTransaction[t.ID], op)
		}
		for _, t := range named(op) {
			if t.Status == "refused" {
				c.toldRefused[t.ID] = append(c.toldRefused[t.ID], op)
			}
		}
		if op.Order != nil && op.Outcome == history.OK {
			c.byOrder[op.Order.ID] = append(c.byOrder[op.Order.ID], op)
			for _, l := range op.Order.Lines {
				c.byTransaction[l.TransactionID] = append(c.byTransaction[l.TransactionID], op)
			}
		}
		if op.Kind == history.Checkout && len(op.IDs) == 0 {
			c.on["cart of "+op.Buyer] = append(c.on["cart of "+op.Buyer], op)
		}
	}
	c.figures.Keys = len(c.byKey)
	for _, ops := range c.byKey {
		if len(ops) >= 3 {
			c.figures.KeysRepeated++
		}
	}
}

// shown are the transactions that an answer shows.
func shown(op *history.Op) []history.Transaction {
	if op.Outcome != history.OK {
		return nil
	}
	return named(op)
}

// named are the transactions that an answer names, also those that tell that nothing was got.
func named(op *history.Op) []history.Transaction {
	if op.Transaction != nil {
		return []history.Transaction{*op.Transaction}
	}
	return op.Transactions
}

// at is an instant of the database as one of the history.
func (c *checker) at(t time.Time) time.Duration { return t.Sub(c.began) }

// slow is how long a call may take, waits aside.
const slow = 5 * time.Second

// faults: no answer that nobody should get, and none that nobody gets. (With the card "hang" the provider has none.)
func (c *checker) faults() {
	for i := range c.ops {
		op := &c.ops[i]
		if op.Fault != "" && op.Status > 0 {
			c.violated("no fault", "an answer that nobody should get", op)
		}
		if op.Card == "hang" {
			continue
		}
		late := op.End - op.Start - op.Wait
		c.figures.Slowest = max(c.figures.Slowest, late)
		if late > slow {
			c.figures.Over5s++
			c.violated("no fault", fmt.Sprintf("a call took %.1f s longer than it was to wait", late.Seconds()), op)
		}
	}
}

// keys: one effect, and equal answers.
func (c *checker) keys() {
	for k, ops := range c.byKey {
		var first *history.Op
		for _, op := range ops {
			if op.Outcome != history.OK || op.Transaction == nil && op.Order == nil {
				continue
			}
			if first == nil {
				first = op
				continue
			}
			a, b := first, op
			switch {
			case a.Order != nil && (b.Order == nil || a.Order.ID != b.Order.ID):
				c.violated("one effect", "the key "+k.key+" has two orders", a, b)
			case a.Transaction != nil && a.Transaction.ID != b.Transaction.ID:
				c.violated("one effect", "the key "+k.key+" has two transactions", a, b)
			case a.Transaction != nil && len(a.Transaction.UnitIDs) > 0 && len(b.Transaction.UnitIDs) > 0 && !slices.Equal(a.Transaction.UnitIDs, b.Transaction.UnitIDs):
				c.violated("one effect", "the key "+k.key+" was answered with other units", a, b)
			}
		}
	}
	rows := map[keyed]*Claim{}
	for _, row := range c.db.Claims {
		if row.Key == nil {
			continue
		}
		k := keyed{row.Buyer, string(history.Claim), *row.Key}
		if other := rows[k]; other != nil {
			c.violated("one effect", fmt.Sprintf("the key %s has the transactions %s and %s", k.key, other.ID, row.ID), c.byKey[k]...)
		}
		rows[k] = row
	}
}

// The moves that CONTRACT.md allows, in as many steps as it takes.
var transactionMoves = map[string][]string{
	"queued": {"held", "refused", "released", "ordered", "expired"},
	"held":   {"ordered", "released", "expired"},
}

var orderMoves = map[string][]string{
	"awaiting_payment": {"paid", "cancelled", "refunded"},
	"paid":             {"refunded"},
}

func moves(allowed map[string][]string, from, to string) bool {
	return from == to || slices.Contains(allowed[from], to)
}

// answeredIsThere: what was answered OK is in the database, as it was answered.
func (c *checker) answeredIsThere() {
	const rule = "answered ⊆ database"
	seen, seenOrders := map[string]bool{}, map[string]bool{}
	for i := range c.ops {
		op := &c.ops[i]
		for _, t := range shown(op) {
			row := c.db.Claims[t.ID]
			if row == nil {
				c.violated(rule, "the transaction "+t.ID+" is not there", op)
				continue
			}
			if !seen[t.ID] && t.Status != "queued" && t.Status != "refused" {
				seen[t.ID] = true
				c.figures.Claims++
			}
			units := map[string]bool{}
			for _, h := range row.Units {
				units[h.UnitID] = true
			}
			same := row.SKU == t.SKU && row.Quantity == t.Quantity && (op.Buyer == "" || row.Buyer == op.Buyer)
			for _, u := range t.UnitIDs {
				same = same && units[u]
			}
			switch {
			case !same, (t.Status == "held" || t.Status == "ordered") && len(t.UnitIDs) != t.Quantity:
				c.violated(rule, fmt.Sprintf("the transaction %s was answered otherwise: the database has %d of %s for %s, units %v", t.ID, row.Quantity, row.SKU, row.Buyer, units), op)
			case !moves(transactionMoves, t.Status, row.Status):
				c.violated(rule, fmt.Sprintf("the transaction %s was %s, and is %s", t.ID, t.Status, row.Status), op)
			}
		}
		if op.Outcome != history.OK {
			continue
		}
		if o := op.Order; o != nil {
			row := c.db.Orders[o.ID]
			if row == nil {
				c.violated(rule, "the order "+o.ID+" is not there", op)
				continue
			}
			if !seenOrders[o.ID] {
				seenOrders[o.ID] = true
				c.figures.Orders++
			}
			if !moves(orderMoves, o.Status, row.Status) || row.Total != o.Total.Amount || row.Refunded < o.Refunded.Amount {
				c.violated(rule, fmt.Sprintf("the order %s is %s, costs %d, refunded %d", o.ID, row.Status, row.Total, row.Refunded), op)
			}
		}
		c.doneIsDone(op)
	}
}

// doneIsDone: what an answer without a body says was done.
func (c *checker) doneIsDone(op *history.Op) {
	const rule = "answered ⊆ database"
	switch op.Kind {
	case history.Release:
		if row := c.db.Claims[op.Target]; row == nil || row.Status == "held" || row.Status == "ordered" || row.Status == "queued" {
			c.violated(rule, fmt.Sprintf("%s was released, and is %+v", op.Target, row), op)
		}
	case history.Receive:
		if row, found := c.db.Receipts[op.Key]; !found || row.Quantity != op.Quantity || row.SKU != op.SKU {
			c.violated(rule, fmt.Sprintf("the receipt %s is %+v", op.Key, row), op)
		}
	case history.Withdraw:
		if row, found := c.db.Withdrawals[op.Key]; !found || row.Quantity != op.Quantity || row.SKU != op.SKU {
			c.violated(rule, fmt.Sprintf("the withdrawal %s is %+v", op.Key, row), op)
		}
	}
}

// asked tells whether an attempt that succeeded, or whose outcome is unknown, is among some.
func asked(ops []*history.Op) bool {
	return slices.ContainsFunc(ops, func(op *history.Op) bool { return op.Outcome != history.Failed })
}

// thereWasAsked: whatever is there comes from an attempt that was answered OK, or not at all.
func (c *checker) thereWasAsked() {
	const rule = "database ⊆ answered ∪ unknown"
	type want struct {
		buyer, sku string
		quantity   int
	}
	nobody := map[want]int{} // attempts without a key whose outcome is unknown
	for i := range c.ops {
		if op := &c.ops[i]; op.Key == "" && operation(op.Kind) == string(history.Claim) && op.Outcome == history.Unknown {
			nobody[want{op.Buyer, op.SKU, op.Quantity}]++
		}
	}
	for _, row := range c.db.Claims {
		switch {
		case row.Replaces != nil:
		case row.Status == "refused" && (row.Key == nil || len(c.byKey[keyed{row.Buyer, string(history.Claim), *row.Key}]) > 0): // in its turn, as whoever waited was told
		case row.Key != nil:
			if ops := c.byKey[keyed{row.Buyer, string(history.Claim), *row.Key}]; !asked(ops) {
				c.violated(rule, fmt.Sprintf("the transaction %s (%s, %s) comes from a key that was always refused", row.ID, row.Status, row.SKU), ops...)
			}
		case len(c.byTransaction[row.ID]) == 0:
			k := want{row.Buyer, row.SKU, row.Quantity}
			if nobody[k]--; nobody[k] < 0 {
				c.violated(rule, fmt.Sprintf("nobody asked for the transaction %s of %s (%d of %s)", row.ID, row.Buyer, row.Quantity, row.SKU))
			}
		}
	}
	for _, row := range c.db.Orders {
		if row.Replaces == nil && len(c.byOrder[row.ID]) == 0 && !c.mayHaveOrdered(row) {
			var ops []*history.Op
			for _, claim := range c.db.Claims {
				if claim.OrderID != nil && *claim.OrderID == row.ID {
					ops = append(ops, slices.Concat(c.on[claim.ID], c.byTransaction[claim.ID])...)
				}
			}
			c.violated(rule, fmt.Sprintf("nobody asked for the order %s of %s, which is %s", row.ID, row.Buyer, row.Status), ops...)
		}
	}
	for _, row := range c.db.Receipts {
		if !asked(c.byKey[keyed{"", string(history.Receive), row.Key}]) {
			c.violated(rule, "nobody asked for the receipt "+row.Key)
		}
	}
	for _, row := range c.db.Withdrawals {
		if !asked(c.byKey[keyed{"", string(history.Withdraw), row.Key}]) {
			c.violated(rule, "nobody asked for the withdrawal "+row.Key)
		}
	}
}

// mayHaveOrdered tells whether an attempt to order whose outcome is unknown can have made an order.
func (c *checker) mayHaveOrdered(row *Order) bool {
	if asked(c.on["cart of "+row.Buyer]) {
		return true
	}
	for _, claim := range c.db.Claims {
		if claim.OrderID == nil || *claim.OrderID != row.ID {
			continue
		}
		for _, op := range c.on[claim.ID] {
			if op.Outcome == history.Unknown && (op.Kind == history.Checkout || op.Kind == history.Confirm) {
				return true
			}
		}
		if claim.Replaces != nil { // a lapsed hold was confirmed
			for _, op := range c.on[*claim.Replaces] {
				if op.Outcome == history.Unknown && op.Kind == history.Confirm {
					return true
				}
			}
		}
	}
	return false
}

// inTime: no hold was ordered for which nobody had asked before it lapsed. (Of a lapsed hold confirm makes another transaction.)
func (c *checker) inTime() {
	for _, row := range c.db.Claims {
		if row.Status != "ordered" || row.Replaces != nil || row.ExpiresAt == nil {
			continue
		}
		var ops []*history.Op
		for _, op := range slices.Concat(c.on[row.ID], c.on["cart of "+row.Buyer]) {
			if (op.Kind == history.Checkout || op.Kind == history.Confirm) && op.Outcome != history.Failed {
				ops = append(ops, op)
			}
		}
		if start, _ := within(ops); len(ops) > 0 && start > c.at(*row.ExpiresAt)+slack {
			c.violated("lapsed holds", fmt.Sprintf("the transaction %s had lapsed at %.1f ms, and was ordered", row.ID, ms(c.at(*row.ExpiresAt))), ops...)
		}
	}
}

// forward: of two answers of which one had ended before the other began, the second shows the same state or a later one.
func (c *checker) forward() {
	for id, ops := range c.byTransaction {
		c.forwardIn("transaction "+id, ops, transactionMoves, func(op *history.Op) string {
			for _, t := range shown(op) {
				if t.ID == id {
					return t.Status
				}
			}
			return "ordered"
		})
	}
	for id, ops := range c.byOrder {
		c.forwardIn("order "+id, ops, orderMoves, func(op *history.Op) string { return op.Order.Status })
	}
}

func (c *checker) forwardIn(what string, ops []*history.Op, allowed map[string][]string, status func(*history.Op) string) {
	ended := slices.SortedFunc(slices.Values(ops), func(a, b *history.Op) int { return int(a.End - b.End) })
	begun := slices.SortedFunc(slices.Values(ops), func(a, b *history.Op) int { return int(a.Start - b.Start) })
	before := map[string]*history.Op{}
	n := 0
	for _, op := range begun {
		for ; n < len(ended) && ended[n].End < op.Start; n++ {
			before[status(ended[n])] = ended[n]
		}
		for was, earlier := range before {
			if now := status(op); !moves(allowed, was, now) {
				c.violated("status", fmt.Sprintf("the %s was %s, then %s", what, was, now), earlier, op)
			}
		}
	}
}
