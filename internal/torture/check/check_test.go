package check_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/torture/check"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// tale is a round in which ann claims a cup of two, orders it, pays and has it refunded, bob's hold lapses, and cat is refused.
type tale struct {
	ops []history.Op
	db  check.Database
}

var began = time.Date(2026, 12, 12, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

func when(ms int) *time.Time {
	t := began.Add(at(ms))
	return &t
}

func text(s string) *string { return &s }

const sku = "r1-cup"

func (t *tale) op(start, end int, op history.Op) *history.Op {
	op.N, op.Start, op.End = int64(len(t.ops)), at(start), at(end)
	if op.Outcome == "" {
		op.Outcome, op.Status = history.OK, 200
	}
	t.ops = append(t.ops, op)
	return &t.ops[len(t.ops)-1]
}

func held(id, status string, units ...string) *history.Transaction {
	return &history.Transaction{ID: id, Status: status, SKU: sku, Quantity: 1, UnitIDs: units, SaleID: "sale"}
}

func order(status string) *history.Order {
	return &history.Order{
		ID: "order", Status: status, Total: history.Money{Amount: 100, Currency: "EUR"},
		Lines: []history.Line{{TransactionID: "ann's", SKU: sku, UnitIDs: []string{"u1"}}},
	}
}

func newTale() *tale {
	t := &tale{ops: make([]history.Op, 0, 100)}
	t.op(0, 10, history.Op{Kind: history.Receive, SKU: sku, Quantity: 2, Key: "first", Reference: "first"})
	t.op(20, 30, history.Op{Kind: history.Claim, Buyer: "ann", Key: "a", SKU: sku, Quantity: 1, Transaction: held("ann's", "held", "u1")})
	t.op(20, 40, history.Op{Kind: history.ClaimQueued, Buyer: "bob", Key: "b", SKU: sku, Quantity: 1, Transaction: held("bob's", "queued")})
	t.op(41, 45, history.Op{Kind: history.Look, Buyer: "bob", Target: "bob's", Transaction: held("bob's", "held", "u2")})
	t.op(50, 60, history.Op{Kind: history.Claim, Buyer: "cat", Key: "c", SKU: sku, Quantity: 1, Outcome: history.Failed, Status: 409, Code: "all-held"})
	t.op(70, 80, history.Op{Kind: history.Checkout, Buyer: "ann", Key: "o", IDs: []string{"ann's"}, Order: order("awaiting_payment")})
	t.op(90, 95, history.Op{Kind: history.Pay, Buyer: "ann", Key: "p", Target: "order", Card: "succeed", Order: order("paid")})
	t.op(100, 105, history.Op{Kind: history.CountStock, SKU: sku, Stock: &history.Stock{Received: 2, Held: 1, Sold: 1}})
	t.op(300, 320, history.Op{Kind: history.Look, Buyer: "bob", Target: "bob's", Transaction: held("bob's", "expired", "u2")})
	t.op(330, 340, history.Op{Kind: history.Refund, Key: "r", Target: "order", Restock: "available", Order: order("refunded")})
	sale := text("sale")
	ann := &check.Claim{
		ID: "ann's", Buyer: "ann", SKU: sku, Quantity: 1, Status: "ordered", Key: text("a"), SaleID: sale, OrderID: text("order"),
		CreatedAt: *when(25), ExpiresAt: when(225), EndedAt: when(75), Units: []*check.Held{{ClaimID: "ann's", UnitID: "u1", ReleasedAt: when(335), Outcome: text("returned")}},
	}
	place := int64(0)
	bob := &check.Claim{
		ID: "bob's", Buyer: "bob", SKU: sku, Quantity: 1, Status: "expired", Key: text("b"), SaleID: sale, Place: &place,
		CreatedAt: *when(25), ExpiresAt: when(240), EndedAt: when(310), Units: []*check.Held{{ClaimID: "bob's", UnitID: "u2", ReleasedAt: when(310)}},
	}
	t.db = check.Database{
		Claims: map[string]*check.Claim{"ann's": ann, "bob's": bob},
		Orders: map[string]*check.Order{"order": {ID: "order", Buyer: "ann", Status: "refunded", Total: 100, Refunded: 100, PaidAt: when(93)}},
		Units: map[string]*check.Unit{
			"u1": {ID: "u1", SKU: sku, Receipt: "first", Held: ann.Units}, "u2": {ID: "u2", SKU: sku, Receipt: "first", Held: bob.Units},
		},
		Receipts:    map[string]check.Receipt{"first": {Key: "first", SKU: sku, Quantity: 2}},
		Withdrawals: map[string]check.Withdrawal{},
	}
	return t
}

func (t *tale) rules() (rules []string, printed string) {
	found, _ := check.All(t.ops, began, &t.db, 1)
	var out bytes.Buffer
	for _, v := range found {
		check.Print(&out, v)
		if !slices.Contains(rules, v.Rule) {
			rules = append(rules, v.Rule)
		}
	}
	slices.Sort(rules)
	return rules, out.String()
}

// other claims as dan, who is told of a unit.
func (t *tale) other(start, end int, unit string) *check.Claim {
	t.op(start, end, history.Op{Kind: history.Claim, Buyer: "dan", Key: "d", SKU: sku, Quantity: 1, Transaction: held("dan's", "held", unit)})
	c := &check.Claim{
		ID: "dan's", Buyer: "dan", SKU: sku, Quantity: 1, Status: "held", Key: text("d"), SaleID: text("sale"), CreatedAt: *when(start), ExpiresAt: when(start + 200),
		Units: []*check.Held{{ClaimID: "dan's", UnitID: unit}},
	}
	t.db.Claims["dan's"] = c
	t.db.Units[unit].Held = append(t.db.Units[unit].Held, c.Units...)
	return c
}

func TestWhatIsRightIsNotFoundFaultWith(t *testing.T) {
	t.Parallel()
	if rules, printed := newTale().rules(); len(rules) > 0 {
		t.Errorf("found %v\n%s", rules, printed)
	}
	later := newTale()
	later.other(350, 360, "u1")
	if rules, printed := later.rules(); len(rules) > 0 {
		t.Errorf("found %v\n%s", rules, printed)
	}
}

func TestEachMistakeIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*tale)
		want  string
	}{
		"a 500": {func(t *tale) { t.ops[4].Fault = "500" }, "no fault"},
		"a key with two transactions": {func(t *tale) {
			c := t.other(350, 360, "u1")
			c.Buyer, c.Key = "ann", text("a")
			o := &t.ops[len(t.ops)-1]
			o.Buyer, o.Key = "ann", "a"
		}, "one effect"},
		"a key answered with other units": {func(t *tale) {
			t.op(50, 51, history.Op{Kind: history.Claim, Buyer: "ann", Key: "a", SKU: sku, Quantity: 1, Transaction: held("ann's", "held", "u2")})
		}, "one effect"},
		"an answered transaction is lost": {func(t *tale) { delete(t.db.Claims, "bob's"); t.db.Units["u2"].Held = nil }, "answered ⊆ database"},
		"an answered order is lost":       {func(t *tale) { delete(t.db.Orders, "order") }, "answered ⊆ database"},
		"a release that was not": {func(t *tale) {
			t.other(350, 360, "u1")
			t.op(370, 380, history.Op{Kind: history.Release, Buyer: "dan", Target: "dan's"})
		}, "answered ⊆ database"},
		"a receipt that was not": {func(t *tale) {
			t.op(5, 6, history.Op{Kind: history.Receive, SKU: sku, Quantity: 1, Key: "x", Reference: "x"})
		}, "answered ⊆ database"},
		"more units than asked for": {func(t *tale) { t.ops[1].Transaction.UnitIDs = []string{"u1", "u2"} }, "answered ⊆ database"},
		"what was refused is there": {func(t *tale) {
			t.other(350, 360, "u1")
			o := &t.ops[len(t.ops)-1]
			o.Outcome, o.Transaction, o.Code = history.Failed, nil, "busy"
		}, "database ⊆ answered ∪ unknown"},
		"an order that nobody made": {func(t *tale) {
			t.ops[5].Order, t.ops[6].Order, t.ops[9].Order = nil, nil, nil
			t.ops[5].Outcome = history.Failed
		}, "database ⊆ answered ∪ unknown"},
		"a state that goes back": {func(t *tale) {
			t.op(400, 410, history.Op{Kind: history.Look, Buyer: "bob", Target: "bob's", Transaction: held("bob's", "held", "u2")})
		}, "status"},
		"an order that goes back": {func(t *tale) {
			t.op(400, 410, history.Op{Kind: history.LookOrder, Buyer: "ann", Target: "order", Order: order("paid")})
		}, "status"},
		"a count that is not the sum": {func(t *tale) { t.ops[7].Stock.Sold = 2 }, "conservation"},
		"a unit with two at once":     {func(t *tale) { t.other(100, 110, "u2") }, "a unit's life"},
		"a hold that lapsed early":    {func(t *tale) { t.other(100, 110, "u2"); t.ops[8].Start = at(90) }, "a unit's life"},
		"more than the limit": {func(t *tale) {
			c := t.other(350, 360, "u1")
			c.Buyer = "eve"
			t.ops[len(t.ops)-1].Buyer = "eve"
			d := *c
			d.ID, d.Key = "eve's", text("e")
			d.Units = []*check.Held{{ClaimID: "eve's", UnitID: "u2"}}
			t.db.Claims["eve's"] = &d
			t.db.Units["u2"].Held = append(t.db.Units["u2"].Held, d.Units...)
			t.op(350, 360, history.Op{Kind: history.Claim, Buyer: "eve", Key: "e", SKU: sku, Quantity: 1, Transaction: held("eve's", "held", "u2")})
		}, "limits"},
		"sold out while a hold may lapse": {func(t *tale) { t.ops[4].Code = "sold-out" }, "true refusals"},
		"all held while a unit is there": {func(t *tale) {
			t.op(400, 410, history.Op{Kind: history.Claim, Buyer: "cat", Key: "c2", SKU: sku, Quantity: 1, Outcome: history.Failed, Status: 409, Code: "all-held"})
		}, "true refusals"},
		"whoever came later stands before": {func(t *tale) { c := t.other(350, 360, "u1"); before := int64(-1); c.Place = &before }, "order"},
		"a lapsed hold that was ordered": {func(t *tale) {
			t.ops[5].Start, t.ops[5].End = at(230), at(235)
			t.db.Claims["ann's"].ExpiresAt = when(200)
		}, "lapsed holds"},
		"what the books say": {func(t *tale) { t.db.Broken = []string{"a charge is a payment: no"} }, "money and units"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tale := newTale()
			c.spoil(tale)
			rules, printed := tale.rules()
			if !slices.Contains(rules, c.want) || !strings.Contains(printed, c.want) {
				t.Errorf("found %v, want %q\n%s", rules, c.want, printed)
			}
		})
	}
}

// Of a life that does not fit, only what is needed to see it is shown.
func TestTheShortestHistoryIsShown(t *testing.T) {
	t.Parallel()
	tale := newTale()
	tale.other(100, 110, "u2")
	found, _ := check.All(tale.ops, began, &tale.db, 1)
	for _, v := range found {
		if v.Rule != "a unit's life" {
			continue
		}
		if n := strings.Count(v.Text, "→"); n != 2 {
			t.Errorf("%d moves are shown, two claims of one unit would do: %s", n, v.Text)
		}
	}
}
