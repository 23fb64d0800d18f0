package shop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// SaleState is where a sale stands, by the database's clock.
type SaleState string

// The states of a sale: draft → scheduled → open ⇄ paused → closed.
const (
	SaleIsDraft     SaleState = "draft"
	SaleIsScheduled SaleState = "scheduled"
	SaleIsOpen      SaleState = "open"
	SaleIsPaused    SaleState = "paused"
	SaleIsClosed    SaleState = "closed"
)

// SaleStates lists all states of sales.
func SaleStates() []SaleState {
	return []SaleState{SaleIsDraft, SaleIsScheduled, SaleIsOpen, SaleIsPaused, SaleIsClosed}
}

// SaleTerms is what is decided about a sale.
type SaleTerms struct {
	Name            string        // 1..200 characters
	OpensAt         time.Time     // before ClosesAt
	ClosesAt        time.Time     // from this instant on it is closed
	Hold            time.Duration // how long a claim keeps its units, in whole seconds, 1 s..24 h
	PurchaseLimit   *int          // units that one buyer may hold or own, over all carts and orders; nil: any number
	MaxQuantity     int           // units that one claim may ask for, 1..1000
	CooldownSeconds int           // how long a buyer can claim nothing of it after a hold has expired, 0..86400
	Items           []SaleItem    // 1..100, each product once
}

// SaleItem is a product in a sale.
type SaleItem struct {
	SKU   string
	Price Money
	// Quantity is the allotment, 1..1000000 units that the sale has for itself while it is scheduled; nil: it sells from the common stock, and
	// the product sells only through the sale.
	Quantity *int
}

// Sale is a planned event.
type Sale struct {
	ID    ID
	State SaleState
	SaleTerms
	CreatedAt time.Time
	UpdatedAt time.Time
}

// SaleChange is something that was done to a sale, or to all selling.
type SaleChange struct {
	ID      ID
	At      time.Time
	KeyID   ID // who did it
	KeyName string
	Action  string          // created, changed, schedule, open, pause, resume, close
	Changes json.RawMessage // by field: {"from", "to"}
}

// Operator is who calls for a change: an API key, once for each idempotency key.
type Operator struct {
	KeyID ID
	Key   string // idempotency key; empty: none
}

func (o Operator) call() Call { return Call{Caller: o.KeyID.String(), Key: o.Key} }

const (
	saleItemsAtMost = 100
	dayInSeconds    = 24 * 60 * 60
)

// check lists everything that is wrong with the terms.
func (t SaleTerms) check() error {
	var r complaints
	complain := r.add
	n := len([]rune(t.Name))
	complain(n < 1 || n > 200, "body.name", "must have 1 to 200 characters")
	complain(!t.OpensAt.Before(t.ClosesAt), "body.closes_at", "must be after opens_at")
	complain(t.Hold < time.Second || t.Hold > dayInSeconds*time.Second, "body.hold_seconds", "must be from 1 to 86400")
	complain(t.PurchaseLimit != nil && (*t.PurchaseLimit < 1 || *t.PurchaseLimit > MaxReceiptQuantity), "body.purchase_limit", "must be at least 1; leave it out for none")
	complain(t.MaxQuantity < 1 || t.MaxQuantity > 1000, "body.max_quantity", "must be from 1 to 1000")
	complain(t.CooldownSeconds < 0 || t.CooldownSeconds > dayInSeconds, "body.cooldown_seconds", "must be from 0 to 86400")
	complain(len(t.Items) < 1 || len(t.Items) > saleItemsAtMost, "body.items", "must be 1 to 100")
	seen := map[string]bool{}
	for i, item := range t.Items {
		at := fmt.Sprintf("body.items[%d]", i)
		complain(!skuForm.MatchString(item.SKU), at+".sku", "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")
		complain(seen[item.SKU], at+".sku", "stands twice in the list")
		complain(item.Price.Amount < 0, at+".price.amount", "must not be negative; it is in minor units, such as cents")
		complain(!currencyForm.MatchString(item.Price.Currency), at+".price.currency", "must be three capital letters, such as EUR")
		complain(item.Quantity != nil && (*item.Quantity < 1 || *item.Quantity > MaxReceiptQuantity), at+".quantity", "must be from 1 to 1000000; leave it out to sell from the common stock")
		seen[item.SKU] = true
	}
	return r.refusal()
}

// CreateSale makes a draft. A call with a key that has made a sale before returns that one as it now is, and true. Refusals: Validation, NotFound
// for a product, KeyReused.
func (s *Shop) CreateSale(ctx context.Context, o Operator, t SaleTerms) (Sale, bool, error) {
	if err := t.check(); err != nil {
		return Sale{}, false, err
	}
	id := pgdb.NewID()
	id, replayed, err := s.once(ctx, o.call(), "sale.create", t, id, func(tx pgx.Tx) error { return s.insertSale(ctx, tx, o, id, t) })
	if err != nil {
		return Sale{}, false, explain("create sale", err)
	}
	sale, err := s.Sale(ctx, id, true)
	return sale, replayed, afterwards(err)
}

func (s *Shop) insertSale(ctx context.Context, tx pgx.Tx, o Operator, id ID, t SaleTerms) error {
	_, rehearsal, err := s.lockProducts(ctx, tx, t.Items)
	if err != nil {
		return err
	}
	err = s.q.SaleInsert(ctx, tx, dbsqlc.SaleInsertParams{
		SaleID:          id,
		Name:            t.Name,
		Rehearsal:       rehearsal,
		OpensAt:         t.OpensAt,
		ClosesAt:        t.ClosesAt,
		HoldSeconds:     int32(t.Hold.Seconds()),
		PurchaseLimit:   int32Of(t.PurchaseLimit),
		MaxQuantity:     int32(t.MaxQuantity),
		CooldownSeconds: int32(t.CooldownSeconds),
		Now:             s.o.Now(),
	})
	if err != nil {
		return err
	}
	if err := s.insertItems(ctx, tx, id, rehearsal, t.Items); err != nil {
		return err
	}
	if err := s.recordChange(ctx, tx, &id, o, "created", map[string]any{}); err != nil {
		return err
	}
	return s.tellSale(ctx, tx, rehearsal, SaleCreated, map[string]any{"sale_id": id, "name": t.Name, "status": SaleIsDraft})
}

// insertItems locks the products, so that none is deleted meanwhile. They are a rehearsal's if the sale is, and else not.
func (s *Shop) insertItems(ctx context.Context, tx pgx.Tx, id ID, rehearsal bool, items []SaleItem) error {
	ids, rehearsed, err := s.lockProducts(ctx, tx, items)
	if err != nil {
		return err
	}
	if rehearsed != rehearsal {
		return mixedRehearsal(0)
	}
	arg := dbsqlc.SaleItemInsertManyParams{SaleID: id}
	for _, item := range items {
		arg.ProductIds = append(arg.ProductIds, ids[item.SKU])
		arg.PriceMinors = append(arg.PriceMinors, item.Price.Amount)
		arg.Currencies = append(arg.Currencies, item.Price.Currency)
		quantity := 0
		if item.Quantity != nil {
			quantity = *item.Quantity
		}
		arg.Quantities = append(arg.Quantities, int32(quantity))
	}
	return s.q.SaleItemInsertMany(ctx, tx, arg)
}

// lockProducts returns the ids of products, and whether they are a rehearsal's: all or none.
func (s *Shop) lockProducts(ctx context.Context, tx pgx.Tx, items []SaleItem) (map[string]int64, bool, error) {
	var skus []string
	for _, item := range items {
		skus = append(skus, item.SKU)
	}
	rows, err := s.q.ProductBySkusForUpdate(ctx, tx, skus)
	if err != nil {
		return nil, false, err
	}
	ids, rehearsed := map[string]int64{}, map[string]bool{}
	for _, row := range rows {
		ids[row.SKU], rehearsed[row.SKU] = row.ProductID, row.Rehearsal
	}
	for i, sku := range skus {
		if ids[sku] == 0 {
			r := notFound("product")
			r.Detail = fmt.Sprintf("There is no product %s. Create it first, or leave it out.", sku)
			r.Problems = []Problem{{Location: fmt.Sprintf("body.items[%d].sku", i), Message: "is no product"}}
			return nil, false, r
		}
		if rehearsed[sku] != rehearsed[skus[0]] {
			return nil, false, mixedRehearsal(i)
		}
	}
	return ids, len(skus) > 0 && rehearsed[skus[0]], nil
}

func mixedRehearsal(item int) *Refusal {
	return invalid(fmt.Sprintf("body.items[%d].sku", item), "must be a rehearsal's product where the others of the sale are, and else not")
}

func (s *Shop) recordChange(ctx context.Context, tx pgx.Tx, id *ID, o Operator, action string, changes map[string]any) error {
	text, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	return s.q.SaleChangeInsert(ctx, tx, dbsqlc.SaleChangeInsertParams{
		SaleChangeID: pgdb.NewID(), SaleID: id, APIKeyID: o.KeyID, Action: action, Changes: text, Now: s.o.Now(),
	})
}

// Sale reads a sale; drafts only if those are to be seen. Refusals: NotFound.
func (s *Shop) Sale(ctx context.Context, id ID, drafts bool) (Sale, error) {
	row, err := s.q.SaleByID(ctx, s.pool, dbsqlc.SaleByIDParams{Now: s.o.Now(), SaleID: id})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !drafts && SaleState(row.State) == SaleIsDraft {
		return Sale{}, notFound("sale")
	}
	if err != nil {
		return Sale{}, explain("read sale", err)
	}
	sales, err := s.withItems(ctx, s.pool, []Sale{saleOf(row.Sale, row.State)})
	if err != nil {
		return Sale{}, err
	}
	return sales[0], nil
}

// Sales pages through the sales, the newest first, from before (excluded; zero: from the newest), at most limit, of all states when none are named;
// drafts only if those are to be seen. more tells whether there are others behind the last.
func (s *Shop) Sales(ctx context.Context, states []SaleState, drafts bool, before ID, limit int) (sales []Sale, more bool, err error) {
	arg := dbsqlc.SaleListParams{Now: s.o.Now(), Drafts: drafts, RowLimit: int32(limit) + 1, States: []string{}}
	if before != (ID{}) {
		arg.BeforeSaleID = &before
	}
	for _, state := range states {
		arg.States = append(arg.States, string(state))
	}
	rows, err := s.q.SaleList(ctx, s.pool, arg)
	if err != nil {
		return nil, false, explain("list sales", err)
	}
	for _, row := range rows {
		sales = append(sales, saleOf(row.Sale, row.State))
	}
	if len(sales) > limit {
		sales, more = sales[:limit], true
	}
	sales, err = s.withItems(ctx, s.pool, sales)
	return sales, more, err
}

// SaleChanges pages through what was done to a sale, the oldest first, from after (excluded); to all selling when id is nil. Refusals: NotFound.
func (s *Shop) SaleChanges(ctx context.Context, id *ID, after ID, limit int) (changes []SaleChange, more bool, err error) {
	if id != nil {
		if _, err := s.Sale(ctx, *id, true); err != nil {
			return nil, false, err
		}
	}
	arg := dbsqlc.SaleChangeListParams{SaleID: id, RowLimit: int32(limit) + 1}
	if after != (ID{}) {
		arg.AfterID = &after
	}
	rows, err := s.q.SaleChangeList(ctx, s.pool, arg)
	if err != nil {
		return nil, false, explain("list changes", err)
	}
	for _, row := range rows {
		c := row.SaleChange
		changes = append(changes, SaleChange{ID: c.SaleChangeID, At: c.CreatedAt, KeyID: c.APIKeyID, KeyName: row.KeyName, Action: c.Action, Changes: c.Changes})
	}
	if len(changes) > limit {
		changes, more = changes[:limit], true
	}
	return changes, more, nil
}

func (s *Shop) withItems(ctx context.Context, db dbsqlc.DBTX, sales []Sale) ([]Sale, error) {
	ids := make([]ID, len(sales))
	for i, sale := range sales {
		ids[i] = sale.ID
	}
	rows, err := s.q.SaleItemOfSales(ctx, db, ids)
	if err != nil {
		return nil, explain("read items of sales", err)
	}
	for _, row := range rows {
		sale := &sales[slices.Index(ids, row.SaleItem.SaleID)]
		sale.Items = append(sale.Items, SaleItem{
			SKU: row.SKU, Price: Money{Amount: row.SaleItem.PriceMinor, Currency: row.SaleItem.Currency}, Quantity: intOf(row.SaleItem.Quantity),
		})
	}
	return sales, nil
}

func saleOf(row dbsqlc.Sale, state string) Sale {
	return Sale{
		ID: row.SaleID, State: SaleState(state), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		SaleTerms: SaleTerms{
			Name:            row.Name,
			OpensAt:         row.OpensAt,
			ClosesAt:        row.ClosesAt,
			Hold:            time.Duration(row.HoldSeconds) * time.Second,
			PurchaseLimit:   intOf(row.PurchaseLimit),
			MaxQuantity:     int(row.MaxQuantity),
			CooldownSeconds: int(row.CooldownSeconds),
		},
	}
}

// SalePatch changes what is not nil of a sale.
type SalePatch struct {
	Name            *string
	OpensAt         *time.Time
	ClosesAt        *time.Time
	Hold            *time.Duration
	PurchaseLimit   **int // nil: as it is; a pointer to nil: none
	MaxQuantity     *int
	CooldownSeconds *int
	Items           []SaleItem // nil: as they are
}

func (p SalePatch) apply(t SaleTerms) SaleTerms {
	set(&t.Name, p.Name)
	set(&t.OpensAt, p.OpensAt)
	set(&t.ClosesAt, p.ClosesAt)
	set(&t.Hold, p.Hold)
	set(&t.PurchaseLimit, p.PurchaseLimit)
	set(&t.MaxQuantity, p.MaxQuantity)
	set(&t.CooldownSeconds, p.CooldownSeconds)
	if p.Items != nil {
		t.Items = p.Items
	}
	return t
}

func set[T any](at *T, value *T) {
	if value != nil {
		*at = *value
	}
}

// ChangeSale changes a sale. A draft can be changed in everything; from then on its products and allotments stay, while it is open its opening stays
// as well and its purchase limit may only rise; a closed one stays as it is. What is already held keeps its price and its time. Every
// change is recorded: who, when, what. Refusals: Validation, NotFound, KeyReused, Conflict, SaleOverlaps.
func (s *Shop) ChangeSale(ctx context.Context, o Operator, id ID, p SalePatch) (Sale, bool, error) {
	_, replayed, err := s.once(ctx, o.call(), "sale.change", map[string]any{"sale_id": id, "patch": p}, id, func(tx pgx.Tx) error {
		sale, at, err := s.lockSale(ctx, tx, id)
		if err != nil {
			return err
		}
		if sale.State == SaleIsClosed {
			return sale.mayBecome(sale, at)
		}
		changed := sale
		changed.SaleTerms = p.apply(sale.SaleTerms)
		if err := changed.check(); err != nil {
			return err
		}
		slices.SortFunc(changed.Items, func(a, b SaleItem) int { return cmp.Compare(a.SKU, b.SKU) })
		if err := sale.mayBecome(changed, at); err != nil {
			return err
		}
		if err := s.writeSale(ctx, tx, sale, changed); err != nil {
			return err
		}
		changes := differences(sale.SaleTerms, changed.SaleTerms)
		if len(changes) == 0 {
			return nil
		}
		if err := s.recordChange(ctx, tx, &id, o, "changed", changes); err != nil {
			return err
		}
		return s.tellSale(ctx, tx, sale.row.Rehearsal, SaleChanged, map[string]any{"sale_id": id, "status": sale.State, "changes": changes})
	})
	if err != nil {
		return Sale{}, false, explain("change sale", err)
	}
	sale, err := s.Sale(ctx, id, true)
	return sale, replayed, afterwards(err)
}

// lockedSale is a sale whose row is locked.
type lockedSale struct {
	Sale
	row dbsqlc.Sale
}

func (s *Shop) lockSale(ctx context.Context, tx pgx.Tx, id ID) (lockedSale, time.Time, error) {
	row, err := s.q.SaleByIDForUpdate(ctx, tx, dbsqlc.SaleByIDForUpdateParams{Now: s.o.Now(), SaleID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return lockedSale{}, time.Time{}, notFound("sale")
	}
	if err != nil {
		return lockedSale{}, time.Time{}, err
	}
	sales, err := s.withItems(ctx, tx, []Sale{saleOf(row.Sale, row.State)})
	if err != nil {
		return lockedSale{}, time.Time{}, err
	}
	return lockedSale{Sale: sales[0], row: row.Sale}, row.ReadAt, nil
}

// mayBecome refuses changes that a sale's state does not allow.
func (l lockedSale) mayBecome(changed lockedSale, at time.Time) error {
	was, is := l.SaleTerms, changed.SaleTerms
	running := l.State == SaleIsOpen || l.State == SaleIsPaused
	switch {
	case l.State == SaleIsDraft:
		return nil
	case l.State == SaleIsClosed:
		return conflict(string(l.State), "The sale is closed and stays as it is. Plan another.")
	case !sameAllotments(was.Items, is.Items):
		return conflict(string(l.State), "The products and allotments of a sale can be changed only while it is a draft. Close it and plan another, or change prices alone.")
	case running && !was.OpensAt.Equal(is.OpensAt):
		return conflict(string(l.State), "The sale is open already. Leave opens_at as it is.")
	case running && is.PurchaseLimit != nil && (was.PurchaseLimit == nil || *is.PurchaseLimit < *was.PurchaseLimit):
		return conflict(string(l.State), "The purchase limit may only rise while the sale is open: somebody may have that many already.")
	case !is.ClosesAt.After(at):
		return invalid("body.closes_at", "must lie in the future; to end the sale now, close it")
	}
	return nil
}

func sameAllotments(a, b []SaleItem) bool {
	return slices.EqualFunc(a, b, func(x, y SaleItem) bool { return x.SKU == y.SKU && reflect.DeepEqual(x.Quantity, y.Quantity) })
}

// writeSale writes the terms of a sale, of which the caller has the lock.
func (s *Shop) writeSale(ctx context.Context, tx pgx.Tx, was, is lockedSale) error {
	if is.row.Stage == "scheduled" && is.State != SaleIsClosed && (!was.OpensAt.Equal(is.OpensAt) || !was.ClosesAt.Equal(is.ClosesAt) || was.row.Stage == "draft") {
		if err := s.refuseOverlap(ctx, tx, is.Sale); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(was.Items, is.Items) {
		if err := s.q.SaleItemDelete(ctx, tx, is.ID); err != nil {
			return err
		}
		if err := s.insertItems(ctx, tx, is.ID, is.row.Rehearsal, is.Items); err != nil {
			return err
		}
	}
	return s.q.SaleUpdate(ctx, tx, dbsqlc.SaleUpdateParams{
		SaleID:          is.ID,
		Name:            is.Name,
		Stage:           is.row.Stage,
		OpensAt:         is.OpensAt,
		ClosesAt:        is.ClosesAt,
		PausedAt:        is.row.PausedAt,
		HoldSeconds:     int32(is.Hold.Seconds()),
		PurchaseLimit:   int32Of(is.PurchaseLimit),
		MaxQuantity:     int32(is.MaxQuantity),
		CooldownSeconds: int32(is.CooldownSeconds),
		Announced:       is.row.Announced,
		Now:             s.o.Now(),
	})
}

// refuseOverlap locks the products of a sale, so that of two sales that overlap only one gets through, and refuses the other.
func (s *Shop) refuseOverlap(ctx context.Context, tx pgx.Tx, sale Sale) error {
	if _, _, err := s.lockProducts(ctx, tx, sale.Items); err != nil {
		return err
	}
	rows, err := s.q.SaleOverlapping(ctx, tx, dbsqlc.SaleOverlappingParams{
		Now: s.o.Now(), SaleID: sale.ID, OpensAt: sale.OpensAt, ClosesAt: sale.ClosesAt,
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	return &Refusal{
		Code:   SaleOverlaps,
		State:  rows[0].SaleID.String(),
		Detail: fmt.Sprintf("The product %s is in the sale %q (%s) at the same time. Move one of the two, or leave the product out.", rows[0].SKU, rows[0].Name, rows[0].SaleID),
	}
}

// differences tells what was changed, by the names that the API has for it.
func differences(was, is SaleTerms) map[string]any {
	changes := map[string]any{}
	compare := func(name string, from, to any) {
		if !reflect.DeepEqual(from, to) {
			changes[name] = map[string]any{"from": from, "to": to}
		}
	}
	compare("name", was.Name, is.Name)
	compare("opens_at", was.OpensAt.UTC(), is.OpensAt.UTC())
	compare("closes_at", was.ClosesAt.UTC(), is.ClosesAt.UTC())
	compare("hold_seconds", was.Hold.Seconds(), is.Hold.Seconds())
	compare("purchase_limit", was.PurchaseLimit, is.PurchaseLimit)
	compare("max_quantity", was.MaxQuantity, is.MaxQuantity)
	compare("cooldown_seconds", was.CooldownSeconds, is.CooldownSeconds)
	compare("items", itemsForRecord(was.Items), itemsForRecord(is.Items))
	return changes
}

func itemsForRecord(items []SaleItem) []map[string]any {
	out := make([]map[string]any, len(items))
	for i, item := range items {
		out[i] = map[string]any{
			"sku": item.SKU, "price": map[string]any{"amount": item.Price.Amount, "currency": item.Price.Currency}, "quantity": item.Quantity,
		}
	}
	return out
}

func conflict(state, detail string) *Refusal {
	return &Refusal{Code: Conflict, State: state, Detail: detail}
}

func int32Of(n *int) *int32 {
	if n == nil {
		return nil
	}
	m := int32(*n)
	return &m
}

func intOf(n *int32) *int {
	if n == nil {
		return nil
	}
	m := int(*n)
	return &m
}
