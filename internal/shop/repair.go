package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// RepairRequest asks for what a check of the audit finds broken to be repaired, or only for what that would be.
type RepairRequest struct {
	Check string // one of RepairChecks
	SKU   string // empty: every product
	By    string // who repairs, 1..100 characters; it is kept
	Yes   bool   // repair; otherwise it is only said what would be done
}

// RepairResult is what became of a step.
type RepairResult string

// The results.
const (
	RepairPlanned RepairResult = "planned" // it would be done
	RepairDone    RepairResult = "done"
	RepairChanged RepairResult = "changed" // it was no longer broken in this way when its turn came, and was left as it is
	RepairBusy    RepairResult = "busy"    // somebody else had it locked, and it was left as it is
	RepairPerson  RepairResult = "person"  // no program can know what is right: Repair says what a person can do
)

// RepairStep is something that is broken, and how it is repaired.
type RepairStep struct {
	SKU           string          `json:"sku"`
	UnitID        *ID             `json:"unit_id"`
	TransactionID *ID             `json:"transaction_id"`
	OrderID       *ID             `json:"order_id"`
	SaleID        *ID             `json:"sale_id"`
	Buyer         *string         `json:"buyer"`
	Broken        string          `json:"broken"` // what is broken, and in which rows
	Repair        string          `json:"repair"` // what is done about it
	Buyers        string          `json:"buyers"` // what that means for buyers
	Rows          json.RawMessage `json:"rows"`   // the rows as they were found
	Result        RepairResult    `json:"result"`
	Done          string          `json:"done"`      // what was done, or why not
	RepairID      *ID             `json:"repair_id"` // where it is written down
}

// Repair is what is broken by a check, and what became of it.
type Repair struct {
	Check string       `json:"check"`
	SKU   *string      `json:"sku"` // nil: of everything
	Yes   bool         `json:"yes"`
	Steps []RepairStep `json:"steps"`
	More  bool         `json:"more"`  // there may be more than these
	After *Check       `json:"after"` // the check, made again after the repair; nil when nothing was to be done
}

// OK tells whether nothing is broken, or nothing is any more.
func (r Repair) OK() bool {
	if r.After != nil {
		return r.After.OK
	}
	return len(r.Steps) == 0
}

// RepairChecks lists the checks that can be repaired: all of the audit.
func RepairChecks() []string {
	names := make([]string, len(auditChecks))
	for i, c := range auditChecks {
		names[i] = c.name
	}
	return names
}

// repairsAtMost is how many things one call repairs.
const repairsAtMost = 1000

// Repair says what a check of the audit finds broken, row by row, and what can be done about it. With Yes it does that, each thing in a transaction of its own that locks
// what it changes, looks again whether it is still broken as it was, writes down who did what (the table repair) and tells of it (the events that end in
// .repaired); then it makes the check again. It may run while the shop does. No unit comes into being or goes: one whose place is not known goes to quarantine, and of two
// transactions that have the same unit the later one loses it: to an equal unit, if there is one. Refusals: Validation, NotFound.
func (s *Shop) Repair(ctx context.Context, r RepairRequest) (Repair, error) {
	find := repairFinds[r.Check]
	switch {
	case find == nil:
		return Repair{}, invalid("repair", "must be one of the audit's checks: "+strings.Join(RepairChecks(), ", "))
	case len([]rune(r.By)) < 1 || len([]rune(r.By)) > 100:
		return Repair{}, invalid("by", "must have 1 to 100 characters")
	}
	x := &repairer{s: s, check: r.Check, by: r.By}
	if err := x.find(ctx, r.SKU, find); err != nil {
		return Repair{}, explain("look for what is broken", err)
	}
	out := Repair{Check: r.Check, SKU: optional(r.SKU), Yes: r.Yes, Steps: []RepairStep{}, More: x.more}
	var faults []*fault
	for _, t := range x.targets {
		f, err := x.look(ctx, t)
		if err != nil {
			return Repair{}, explain("look at what is broken", err)
		}
		if f != nil {
			faults, out.Steps = append(faults, f), append(out.Steps, f.RepairStep)
		}
	}
	if !r.Yes {
		return out, nil
	}
	for i, f := range faults {
		if f.mend != nil {
			if err := x.repair(ctx, f, &out.Steps[i]); err != nil {
				return out, explain("repair", err)
			}
		}
	}
	a := newAudit(r.SKU, s.Clock().UTC())
	if _, err := s.auditProducts(ctx, &a, r.Check); err != nil {
		return out, err
	}
	i := slices.IndexFunc(a.Checks, func(c Check) bool { return c.Name == r.Check })
	out.After = &a.Checks[i]
	return out, nil
}

// repairer is a repair under way.
type repairer struct {
	s         *Shop
	check, by string
	targets   []target
	more      bool
	repairID  ID // of the step that is being repaired
}

// target is something that a check has found broken. It is a value, so that the same is looked at once.
type target struct {
	thing     *thing
	sku       string
	productID int64
	poolID    int64
	id        ID // of the unit, transaction, order, sale, receipt or withdrawal
	buyer     string
}

// thing is a kind of targets.
type thing struct {
	// lock takes all locks that mending takes, in the order of doc.go. Not free: somebody else has some.
	lock func(*repairer, context.Context, pgx.Tx, target) (free bool, err error)
	// look tells what is broken, nil when nothing is.
	look func(*repairer, context.Context, pgdb.Queryer, target) (*fault, error)
}

// fault is something broken. mend repairs it, under the locks, and says what it did; without it a person has to.
type fault struct {
	RepairStep
	target target
	moves  bool // how it is broken changes all the time, such as what a queue holds: that it still is, is enough
	mend   func(ctx context.Context, tx pgx.Tx) (done string, err error)
}

// repairFind notes the targets of one product.
type repairFind func(x *repairer, ctx context.Context, p dbsqlc.AuditProductsRow, way *way) error

var repairFinds = map[string]repairFind{
	"one_place":         (*repairer).findOnePlace,
	"conservation":      (*repairer).findConservation,
	"transaction_units": (*repairer).findTransactionUnits,
	"key_once":          (*repairer).findKeyOnce,
	"hold_expiry":       (*repairer).findHoldExpiry,
	"queue_order":       (*repairer).findQueueOrder,
	"purchase_limit":    (*repairer).findPurchaseLimit,
	"order_state":       (*repairer).findOrderState,
	"money":             (*repairer).findMoney,
	"pools":             (*repairer).findPools,
}

// leftToPerson rolls a step back that turns out to be nothing for a program, and says what a person can do.
type leftToPerson string

func (l leftToPerson) Error() string { return string(l) }

// errRepairChanged rolls a step back that met something else than it had seen.
var errRepairChanged = errors.New("what is broken has changed")

func (x *repairer) find(ctx context.Context, sku string, find repairFind) error {
	way, err := x.s.giveWay(ctx, x.s.pool)
	if err != nil {
		return err
	}
	products := 0
	for after := int64(0); !x.more; {
		page, err := x.s.q.AuditProducts(ctx, x.s.pool, dbsqlc.AuditProductsParams{AfterProductID: after, SKU: optional(sku)})
		if err != nil {
			return err
		}
		for _, p := range page {
			if err := find(x, ctx, p, way); err != nil {
				return fmt.Errorf("%s: %w", p.SKU, err)
			}
			after = p.ProductID
		}
		products += len(page)
		if len(page) == 0 {
			break
		}
	}
	if products == 0 && sku != "" {
		return notFound("product")
	}
	return nil
}

func (x *repairer) note(t target) {
	switch {
	case slices.Contains(x.targets, t):
	case len(x.targets) == repairsAtMost:
		x.more = true
	default:
		x.targets = append(x.targets, t)
	}
}

// look looks at a target from one snapshot.
func (x *repairer) look(ctx context.Context, t target) (f *fault, err error) {
	err = pgx.BeginTxFunc(ctx, x.s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		f, err = t.thing.look(x, ctx, tx, t)
		return err
	})
	if f == nil || err != nil {
		return nil, err
	}
	f.target, f.SKU, f.Result = t, t.sku, RepairPlanned
	if f.mend == nil {
		f.Result = RepairPerson
	}
	return f, nil
}

// repair repairs one thing, unless it is no longer broken as it was.
func (x *repairer) repair(ctx context.Context, planned *fault, step *RepairStep) error {
	t := planned.target
	err := x.s.inTx(ctx, func(tx pgx.Tx) error {
		*step, x.repairID = planned.RepairStep, pgdb.NewID()
		if err := x.s.q.RepairTurn(ctx, tx); err != nil {
			return fmt.Errorf("wait for another repair: %w", err)
		}
		free, err := t.thing.lock(x, ctx, tx, t)
		if err != nil {
			return fmt.Errorf("lock what is broken: %w", err)
		}
		if !free {
			step.Result, step.Done = RepairBusy, "Somebody else is changing it at this moment, and nothing was done. Run it again."
			return nil
		}
		now, err := t.thing.look(x, ctx, tx, t)
		if err != nil {
			return fmt.Errorf("look again: %w", err)
		}
		if now == nil || now.mend == nil || !planned.moves && (now.Broken != planned.Broken || now.Repair != planned.Repair) {
			return errRepairChanged
		}
		*step = now.RepairStep
		step.SKU = t.sku
		if step.Done, err = now.mend(ctx, tx); err != nil {
			return err
		}
		id := x.repairID
		step.Result, step.RepairID = RepairDone, &id
		return x.record(ctx, tx, *step)
	})
	var refused *pgconn.PgError
	var person leftToPerson
	switch {
	case errors.As(err, &person):
		step.Result, step.Done = RepairPerson, string(person)
	case errors.Is(err, errRepairChanged):
		step.Result, step.Done = RepairChanged, "It is no longer broken in this way, and nothing was done."
	case err != nil && pgdb.Retryable(err):
		step.Result, step.Done = RepairBusy, "It could not be locked, and nothing was done. Run it again."
	case errors.As(err, &refused) && strings.HasPrefix(refused.Code, "23"):
		step.Result, step.Done = RepairBusy, "The database refused it ("+refused.Message+"), and nothing was done. Repair the other checks that are broken first, and run it again."
	case err != nil:
		step.Result, step.Done, step.RepairID = RepairBusy, "It went wrong, and was left as it is, unless the database was lost while it wrote it down. Run it again.", nil
		return fmt.Errorf("%s: %w", planned.Broken, err)
	}
	if step.Result != RepairDone {
		step.RepairID = nil
	}
	return nil
}

func (x *repairer) record(ctx context.Context, tx pgx.Tx, step RepairStep) error {
	if err := x.s.q.RepairInsert(ctx, tx, dbsqlc.RepairInsertParams{
		RepairID: x.repairID, CheckName: x.check, SKU: step.SKU, UnitID: step.UnitID, ClaimID: step.TransactionID, OrderID: step.OrderID, SaleID: step.SaleID,
		Buyer: step.Buyer, Broken: step.Broken, Found: step.Rows, Done: step.Done, RepairedBy: x.by, Now: x.s.o.Now(),
	}); err != nil {
		return fmt.Errorf("write down what was repaired: %w", err)
	}
	kind := StockRepaired
	switch {
	case step.UnitID != nil:
		kind = UnitRepaired
	case step.TransactionID != nil:
		kind = TransactionRepaired
	case step.OrderID != nil:
		kind = OrderRepaired
	}
	return x.s.tell(ctx, tx, news{kind, map[string]any{
		"repair_id": x.repairID, "check": x.check, "sku": step.SKU, "unit_id": step.UnitID, "transaction_id": step.TransactionID, "order_id": step.OrderID,
		"sale_id": step.SaleID, "buyer": step.Buyer, "done": step.Done,
	}})
}

// found keeps rows as they were found, with the names of their columns.
func found[R any](rows ...R) json.RawMessage {
	all := make([]map[string]any, len(rows))
	for i, row := range rows {
		all[i] = columns(reflect.ValueOf(row))
	}
	text, err := json.Marshal(all)
	if err != nil {
		return json.RawMessage("null") // rows are made of what JSON has
	}
	return text
}

func columns(row reflect.Value) map[string]any {
	all := map[string]any{}
	for i := range row.NumField() {
		name, value := row.Type().Field(i).Name, row.Field(i)
		if value.Kind() == reflect.Struct && value.Type() != reflect.TypeFor[time.Time]() {
			maps.Copy(all, columns(value)) // a whole row beside what was reckoned
			continue
		}
		all[strings.ToLower(wordEnd.ReplaceAllString(name, "${1}_${2}"))] = value.Interface()
	}
	return all
}

var wordEnd = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// one makes sure that exactly one row was changed: everything else is something that was not seen.
func one(n int64, err error) error {
	if err == nil && n != 1 {
		return errRepairChanged
	}
	return err
}

// free is for things that are not locked: the statement that changes them decides.
func free(*repairer, context.Context, pgx.Tx, target) (bool, error) { return true, nil }

// sentences joins what was done.
func sentences(all []string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}

// lockClaims locks orders, transactions and the counts of their buyers, in this order.
func (x *repairer) lockClaims(ctx context.Context, tx pgx.Tx, orderIDs, claimIDs []ID) error {
	orderIDs, claimIDs = append([]ID{}, sortedIDs(orderIDs)...), append([]ID{}, sortedIDs(claimIDs)...)
	if _, err := x.s.q.RepairOrderLock(ctx, tx, orderIDs); err != nil {
		return err
	}
	if _, err := x.s.q.ClaimLockMany(ctx, tx, claimIDs); err != nil {
		return err
	}
	_, err := x.s.q.RepairBuyerLock(ctx, tx, dbsqlc.RepairBuyerLockParams{ClaimIds: claimIDs, OrderIds: orderIDs})
	return err
}

// countBuyer counts anew what a transaction's buyer has of its sale, if it was made in one.
func (x *repairer) countBuyer(ctx context.Context, tx pgx.Tx, c dbsqlc.Claim) error {
	if c.SaleID == nil {
		return nil
	}
	_, err := x.s.q.RepairBuyerCount(ctx, tx, dbsqlc.RepairBuyerCountParams{SaleIds: []ID{*c.SaleID}, Buyers: []string{c.Buyer}})
	return err
}

// shelter puts a unit that is in no place into quarantine, and tells whether it did.
func (x *repairer) shelter(ctx context.Context, tx pgx.Tx, unitID ID) (bool, error) {
	n, err := x.s.q.RepairQuarantineEnter(ctx, tx, dbsqlc.RepairQuarantineEnterParams{RepairID: &x.repairID, UnitID: unitID})
	return n == 1, err
}
