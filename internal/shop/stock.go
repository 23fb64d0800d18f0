package shop

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
)

// Limits of one receipt or withdrawal.
const (
	MaxReceiptQuantity = 1_000_000
	MaxSerials         = 10_000
)

// ReceiptRequest brings units in: either a Quantity of them, or one for each of Serials.
type ReceiptRequest struct {
	SKU       string
	Quantity  int      // 1..MaxReceiptQuantity
	Serials   []string // at most MaxSerials, 1..100 characters each, each once in the life of the product
	Reference string   // what it was, such as the number of a delivery note
	KeyID     ID       // of the API key that calls
	Key       string   // idempotency key
}

// Receipt is units that came in.
type Receipt struct {
	ID        ID
	SKU       string
	Quantity  int
	Reference string
	CreatedAt time.Time
}

// Receive makes units, which can be claimed as soon as it returns. A call with a key that has made a receipt before returns that
// one, and true. Refusals: NotFound, Validation, KeyReused, Conflict (a serial that is already there).
func (s *Shop) Receive(ctx context.Context, r ReceiptRequest) (Receipt, bool, error) {
	if err := r.check(); err != nil {
		return Receipt{}, false, err
	}
	receipt := Receipt{ID: pgdb.NewID(), SKU: r.SKU, Quantity: max(r.Quantity, len(r.Serials)), Reference: r.Reference}
	replayed := false
	err := pgdb.InTxWith(ctx, s.pool, countsAnew, func(tx pgx.Tx) error {
		product, err := s.product(ctx, tx, r.SKU)
		if err != nil {
			return err
		}
		receipt.CreatedAt, err = s.q.ReceiptInsert(ctx, tx, dbsqlc.ReceiptInsertParams{
			ReceiptID:      receipt.ID,
			ProductID:      product.ProductID,
			Quantity:       int32(receipt.Quantity),
			Reference:      r.Reference,
			SerialsHash:    r.serialsHash(),
			APIKeyID:       r.KeyID,
			IdempotencyKey: optional(r.Key),
			Now:            s.o.Now(),
		})
		if errors.Is(err, pgx.ErrNoRows) {
			replayed = true
			receipt, err = s.replayReceipt(ctx, tx, r, receipt)
			return err
		}
		if err != nil {
			return err
		}
		if err := s.makeUnits(ctx, tx, func(int) {}, lot{product.ProductID, receipt.ID, receipt.Quantity, r.Serials}); err != nil {
			return err
		}
		return s.cameBack(ctx, tx, poolKey{product.ProductID, commonPool})
	})
	if pgdb.ViolatesConstraint(err, "unit_serial_once") {
		err = &Refusal{Code: Conflict, State: "received", Detail: serialDetail(err)}
	}
	if err != nil {
		return Receipt{}, false, explain("receive stock", err)
	}
	if !replayed {
		s.analyze(ctx, receipt.Quantity)
	}
	return receipt, replayed, nil
}

func (r ReceiptRequest) check() error {
	switch {
	case (r.Quantity == 0) == (len(r.Serials) == 0):
		return invalid("body", "give either quantity or serials")
	case len(r.Serials) == 0 && (r.Quantity < 1 || r.Quantity > MaxReceiptQuantity):
		return invalid("body.quantity", fmt.Sprintf("must be a whole number from 1 to %d", MaxReceiptQuantity))
	case len(r.Serials) > MaxSerials:
		return invalid("body.serials", fmt.Sprintf("must be at most %d; send the others in another receipt", MaxSerials))
	}
	seen := make(map[string]bool, len(r.Serials))
	for i, serial := range r.Serials {
		if seen[serial] {
			return invalid(fmt.Sprintf("body.serials[%d]", i), "stands twice in the list")
		}
		seen[serial] = true
	}
	return nil
}

func (r ReceiptRequest) serialsHash() []byte { return serialsHash(r.Serials) }

func serialsHash(serials []string) []byte {
	if len(serials) == 0 {
		return nil
	}
	hash := sha256.Sum256([]byte(strings.Join(serials, "\x00")))
	return hash[:]
}

// serialDetail names the serial from the server's sentence "Key (product_id, serial)=(7, S-1) already exists."
func serialDetail(err error) string {
	const advice = "is already in the stock of this product, and nothing of this receipt was taken. Leave it out and send the rest."
	_, after, _ := strings.Cut(pgdb.ErrorDetail(err), ")=(")
	_, serial, found := strings.Cut(after, ", ")
	serial, _, ended := strings.Cut(serial, ") already")
	if !found || !ended {
		return "One of the serials " + advice
	}
	return fmt.Sprintf("Serial %q %s", serial, advice)
}

func (s *Shop) replayReceipt(ctx context.Context, tx pgx.Tx, r ReceiptRequest, asked Receipt) (Receipt, error) {
	row, err := s.q.ReceiptByKey(ctx, tx, dbsqlc.ReceiptByKeyParams{APIKeyID: r.KeyID, IdempotencyKey: optional(r.Key)})
	if err != nil {
		return Receipt{}, err
	}
	was := row.Receipt
	if row.SKU != asked.SKU || int(was.Quantity) != asked.Quantity || was.Reference != asked.Reference || !bytes.Equal(was.SerialsHash, r.serialsHash()) {
		return Receipt{}, keyReused()
	}
	receipt := Receipt{ID: was.ReceiptID, SKU: row.SKU, Quantity: int(was.Quantity), Reference: was.Reference, CreatedAt: was.CreatedAt}
	return receipt, s.q.ClaimReplayRecord(ctx, tx)
}

// unitsAtOnce is how many units are made, or audited, before buyers are looked after.
const unitsAtOnce = 10_000

// lot is the units of a receipt. The first of them have the serials.
type lot struct {
	productID int64
	receiptID ID
	quantity  int
	serials   []string
}

// makeUnits copies the units of lots, and a token for each in the common pool, piece by piece; made is told of each piece.
func (s *Shop) makeUnits(ctx context.Context, tx pgx.Tx, made func(units int), lots ...lot) error {
	way, err := s.giveWay(ctx, tx)
	if err != nil {
		return err
	}
	left := 0
	for _, l := range lots {
		left += l.quantity
	}
	units := make([]dbsqlc.UnitInsertManyParams, 0, min(left, unitsAtOnce))
	tokens := make([]dbsqlc.StockTokenInsertManyParams, 0, cap(units))
	for _, l := range lots {
		for i := range l.quantity {
			unit := dbsqlc.UnitInsertManyParams{UnitID: pgdb.NewID(), ProductID: l.productID, ReceiptID: l.receiptID}
			if i < len(l.serials) {
				unit.Serial = &l.serials[i]
			}
			units = append(units, unit)
			tokens = append(tokens, dbsqlc.StockTokenInsertManyParams{ProductID: l.productID, PoolID: commonPool, UnitID: unit.UnitID})
			if len(units) < min(left, unitsAtOnce) {
				continue
			}
			if _, err := s.q.UnitInsertMany(ctx, tx, units); err != nil {
				return err
			}
			if _, err := s.q.StockTokenInsertMany(ctx, tx, tokens); err != nil {
				return err
			}
			made(len(units))
			left -= len(units)
			units, tokens = units[:0], tokens[:0]
			if left > 0 {
				if err := way.give(ctx, tx); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// analyze tells the planner about a large receipt at once, because autovacuum takes a minute to. It is only a help: a failure is
// left to autovacuum.
func (s *Shop) analyze(ctx context.Context, quantity int) {
	if quantity < 1000 {
		return
	}
	_, _ = s.pool.Exec(ctx, `ANALYZE (SKIP_LOCKED) stock_token, unit`)
}

// WithdrawalRequest takes units out for good.
type WithdrawalRequest struct {
	SKU      string
	Quantity int // 1..MaxReceiptQuantity
	Reason   string
	Place    Place // InStock, when empty, or InQuarantine
	KeyID    ID
	Key      string
}

// Withdrawal is units that were taken out for good.
type Withdrawal struct {
	ID        ID
	SKU       string
	Quantity  int
	Reason    string
	Place     Place // that they were taken from
	CreatedAt time.Time
}

// Withdraw takes available units, or units in quarantine, out for good, all or none; units in lapsed holds are available. A call with a key that has made a
// withdrawal before returns that one, and true. Refusals: NotFound, Validation, KeyReused, NotEnoughUnits.
func (s *Shop) Withdraw(ctx context.Context, r WithdrawalRequest) (Withdrawal, bool, error) {
	if r.Quantity < 1 || r.Quantity > MaxReceiptQuantity {
		return Withdrawal{}, false, invalid("body.quantity", fmt.Sprintf("must be a whole number from 1 to %d", MaxReceiptQuantity))
	}
	if r.Place = cmp.Or(r.Place, InStock); r.Place != InStock && r.Place != InQuarantine {
		return Withdrawal{}, false, invalid("body.place", "must be available or quarantine")
	}
	w := Withdrawal{ID: pgdb.NewID(), SKU: r.SKU, Quantity: r.Quantity, Reason: r.Reason, Place: r.Place}
	replayed := false
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		product, err := s.product(ctx, tx, r.SKU)
		if err != nil {
			return err
		}
		w.CreatedAt, err = s.q.WithdrawalInsert(ctx, tx, dbsqlc.WithdrawalInsertParams{
			WithdrawalID:   w.ID,
			ProductID:      product.ProductID,
			Quantity:       int32(r.Quantity),
			Reason:         r.Reason,
			Place:          string(r.Place),
			APIKeyID:       r.KeyID,
			IdempotencyKey: optional(r.Key),
			Now:            s.o.Now(),
		})
		if errors.Is(err, pgx.ErrNoRows) {
			replayed = true
			w, err = s.replayWithdrawal(ctx, tx, r)
			return err
		}
		if err != nil {
			return err
		}
		return s.takeForGood(ctx, tx, product.ProductID, w)
	})
	if err != nil {
		return Withdrawal{}, false, explain("withdraw stock", err)
	}
	return w, replayed, nil
}

func (s *Shop) takeForGood(ctx context.Context, tx pgx.Tx, productID int64, w Withdrawal) error {
	common := poolKey{productID, commonPool}
	take := func() (int64, error) {
		return s.q.WithdrawalTake(ctx, tx, dbsqlc.WithdrawalTakeParams{ProductID: productID, Quantity: int32(w.Quantity), WithdrawalID: w.ID})
	}
	if w.Place == InQuarantine {
		take = func() (int64, error) {
			return s.q.QuarantineUnitWithdraw(ctx, tx, dbsqlc.QuarantineUnitWithdrawParams{
				ProductID: productID, Quantity: int32(w.Quantity), WithdrawalID: w.ID,
			})
		}
	} else if err := s.freeAll(ctx, tx, common); err != nil {
		return err
	}
	taken, err := take()
	if err != nil {
		return err
	}
	if taken == int64(w.Quantity) {
		return s.ranOut(ctx, tx, []poolKey{common}, map[poolKey]int64{common: 0})
	}
	if taken < int64(w.Quantity) {
		return &Refusal{
			Code:      NotEnoughUnits,
			Available: &taken,
			Detail:    fmt.Sprintf("Only %d units are there to be withdrawn (%s); held, sold and allotted ones can't be. Nothing was taken. Ask for fewer.", taken, w.Place),
		}
	}
	return nil
}

func (s *Shop) replayWithdrawal(ctx context.Context, tx pgx.Tx, r WithdrawalRequest) (Withdrawal, error) {
	row, err := s.q.WithdrawalByKey(ctx, tx, dbsqlc.WithdrawalByKeyParams{APIKeyID: r.KeyID, IdempotencyKey: optional(r.Key)})
	if err != nil {
		return Withdrawal{}, err
	}
	was := row.Withdrawal
	if row.SKU != r.SKU || int(was.Quantity) != r.Quantity || was.Reason != r.Reason || was.Place != string(r.Place) {
		return Withdrawal{}, keyReused()
	}
	w := Withdrawal{ID: was.WithdrawalID, SKU: row.SKU, Quantity: int(was.Quantity), Reason: was.Reason, Place: Place(was.Place), CreatedAt: was.CreatedAt}
	return w, s.q.ClaimReplayRecord(ctx, tx)
}

// Stock counts a product's units by place. Received is the sum of the others. Ordered, Sold and Quarantine are where orders put
// units.
type Stock struct {
	Received, Available, Held, Ordered, Sold, Quarantine, Withdrawn int64
}

// Stock counts the units of a product, exactly, from one snapshot. Refusals: NotFound.
func (s *Shop) Stock(ctx context.Context, sku string) (Stock, error) {
	product, err := s.product(ctx, s.pool, sku)
	if err != nil {
		return Stock{}, err
	}
	row, err := s.q.StockTokenStock(ctx, s.pool, dbsqlc.StockTokenStockParams{ProductID: product.ProductID, Now: s.o.Now()})
	if err != nil {
		return Stock{}, explain("count stock", err)
	}
	return Stock{
		Received:   row.Received,
		Available:  row.TokenCount + row.LapsedUnits + row.Overdue,
		Held:       row.Held,
		Ordered:    row.Unpaid - row.Overdue,
		Sold:       row.Sold,
		Quarantine: row.Quarantine,
		Withdrawn:  row.Withdrawn,
	}, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// text is "" for nil.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// orZero is the zero id for nil.
func orZero(id *ID) ID {
	if id == nil {
		return ID{}
	}
	return *id
}

// sameJSON compares two JSON values by what they mean; nil and null are the same.
func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return (len(a) == 0 || json.Unmarshal(a, &x) == nil) && (len(b) == 0 || json.Unmarshal(b, &y) == nil) && reflect.DeepEqual(x, y)
}

// orNil is nil for the zero id.
func orNil(id ID) *ID {
	if id == (ID{}) {
		return nil
	}
	return &id
}
