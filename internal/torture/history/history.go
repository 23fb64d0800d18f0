// Package history is what the clients of a torture run have seen, attempt by attempt, kept outside the database that is being tortured: what was asked, when, and
// what came back, if anything. The checks hold it against the database. It knows nothing of HTTP or SQL.
package history

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Kind is what was asked.
type Kind string

// Every operation that a run makes. Claim and ClaimQueued are one operation as far as keys go.
const (
	Claim        Kind = "claim"        // POST /order/addToCart: SKU, Quantity
	ClaimQueued  Kind = "claim-queued" // POST /api/v1/order/addToCart: SKU, Quantity
	Look         Kind = "look"         // GET /api/v1/transaction/{Target}
	Extend       Kind = "extend"       // POST /api/v1/transaction/{Target}/extend
	Cart         Kind = "cart"         // GET /api/v1/cart
	Release      Kind = "release"      // DELETE /api/v1/cart/{Target}
	Checkout     Kind = "checkout"     // POST /api/v1/order/checkout: IDs are transactions, none: the whole cart
	Confirm      Kind = "confirm"      // POST /api/v1/orders/confirm: IDs, Reference
	Pay          Kind = "pay"          // POST /api/v1/orders/{Target}/pay: Card
	Cancel       Kind = "cancel"       // POST /api/v1/orders/{Target}/cancel
	LookOrder    Kind = "look-order"   // GET /api/v1/orders/{Target}
	Refund       Kind = "refund"       // POST /api/v1/orders/{Target}/refund: IDs are units, none: all; Restock
	Receive      Kind = "receive"      // POST /api/v1/products/{SKU}/receipts: Quantity, Reference
	Withdraw     Kind = "withdraw"     // POST /api/v1/products/{SKU}/withdrawals: Quantity
	Unquarantine Kind = "unquarantine" // POST /api/v1/products/{SKU}/quarantine/release: Quantity
	CountStock   Kind = "stock"        // GET /api/v1/products/{SKU}/stock
	LookProduct  Kind = "product"      // GET /api/v1/products/{SKU}
	PauseSale    Kind = "pause-sale"   // POST /api/v1/sales/{Target}/pause
	ResumeSale   Kind = "resume-sale"  // POST /api/v1/sales/{Target}/resume
)

// Outcome is what is known of an attempt afterwards.
type Outcome string

// OK: it was done, and the answer tells what. Failed: it was answered that nothing was done (a refusal, or busy). Unknown: there was no whole answer, or one that says that nobody knows.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown"
)

// Op is one attempt: one request of one client. The same thing asked again with the same key is another attempt.
type Op struct {
	N      int64         `json:"n"` // in the order in which they were begun
	Client int           `json:"client"`
	Server int           `json:"server"`
	Start  time.Duration `json:"start"` // since the history began, by a clock that never steps
	End    time.Duration `json:"end"`

	Kind      Kind     `json:"kind"`
	Buyer     string   `json:"buyer,omitempty"`
	Key       string   `json:"key,omitempty"`
	SKU       string   `json:"sku,omitempty"`
	Quantity  int      `json:"quantity,omitempty"`
	Target    string   `json:"target,omitempty"`
	IDs       []string `json:"ids,omitempty"`
	Card      string   `json:"card,omitempty"`
	Restock   string   `json:"restock,omitempty"`
	Reference string   `json:"reference,omitempty"`
	// Wait is how long it may take by its contract, or because it was asked for, before it is late: behind a queue, for a turn, for a payment.
	Wait time.Duration `json:"wait,omitempty"`

	Outcome  Outcome `json:"outcome"`
	Status   int     `json:"status,omitempty"` // 0: no answer
	Code     string  `json:"code,omitempty"`   // of a problem
	Replayed bool    `json:"replayed,omitempty"`
	Fault    string  `json:"fault,omitempty"` // why there was no answer (with Status 0), or the text of an answer that nobody should get (a 500, a 403, what can't be read)

	Transaction  *Transaction  `json:"transaction,omitempty"`  // of a claim that Failed as well, when its key stands for a request that was refused in its turn
	Transactions []Transaction `json:"transactions,omitempty"` // of a cart
	Order        *Order        `json:"order,omitempty"`
	Stock        *Stock        `json:"stock,omitempty"`
	Units        []string      `json:"units,omitempty"` // that were received, withdrawn or let out of quarantine, where the answer names them
	Made         string        `json:"made,omitempty"`  // the id of the receipt or the withdrawal
	Shown        *Availability `json:"shown,omitempty"` // of a product
}

// Transaction is as it was shown.
type Transaction struct {
	ID        string     `json:"id"`
	Status    string     `json:"status"`
	SKU       string     `json:"sku"`
	Quantity  int        `json:"quantity"`
	UnitIDs   []string   `json:"unit_ids"`
	SaleID    string     `json:"sale_id,omitempty"`
	OrderID   string     `json:"order_id,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // by the database's clock
}

// Money is in minor units.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Order is as it was shown.
type Order struct {
	ID                string     `json:"id"`
	Status            string     `json:"status"`
	Reason            string     `json:"reason,omitempty"`
	Lines             []Line     `json:"lines"`
	Total             Money      `json:"total"`
	Refunded          Money      `json:"refunded"`
	PayBy             *time.Time `json:"pay_by,omitempty"`
	Payment           Payment    `json:"payment"`
	Reference         string     `json:"reference,omitempty"`
	ReplacedByOrderID string     `json:"replaced_by_order_id,omitempty"`
}

// Line of an order.
type Line struct {
	TransactionID   string   `json:"transaction_id"`
	SKU             string   `json:"sku"`
	UnitIDs         []string `json:"unit_ids"`
	ReturnedUnitIDs []string `json:"returned_unit_ids"`
	Price           Money    `json:"price"`
}

// Payment of an order.
type Payment struct {
	Provider string `json:"provider"`
	Status   string `json:"status"`
}

// Stock is a product's units by place.
type Stock struct {
	Received   int64 `json:"received"`
	Available  int64 `json:"available"`
	Held       int64 `json:"held"`
	Ordered    int64 `json:"ordered"`
	Sold       int64 `json:"sold"`
	Quarantine int64 `json:"quarantine"`
	Withdrawn  int64 `json:"withdrawn"`
}

// Availability is what anybody is told of a product.
type Availability struct {
	Status    string `json:"status"`
	Available int64  `json:"available"`
	Capped    bool   `json:"capped,omitempty"` // there are more
}

// Log takes down what clients do, from all of them at once.
type Log struct {
	// Began is when the history began, by this machine's clock.
	Began time.Time

	mu   sync.Mutex
	next int64
	ops  []Op
	out  *json.Encoder
	err  error
}

// NewLog begins a history. Unless out is nil each attempt is also written to it, as a line of JSON, when it has ended.
func NewLog(out io.Writer) *Log {
	l := &Log{Began: time.Now()}
	if out != nil {
		l.out = json.NewEncoder(out)
	}
	return l
}

// Now is the time since the history began.
func (l *Log) Now() time.Duration { return time.Since(l.Began) }

// Begin gives an attempt its number and its start.
func (l *Log) Begin(op *Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op.N = l.next
	l.next++
	op.Start = l.Now()
}

// End sets when an attempt has ended, and keeps it. What is not ended is not in the history: end an attempt that is given up as Unknown.
func (l *Log) End(op *Op) {
	op.End = l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, *op)
	if l.out != nil && l.err == nil {
		l.err = l.out.Encode(op)
	}
}

// Ops are the attempts that have ended, in that order. The error is that of writing them.
func (l *Log) Ops() ([]Op, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ops[:len(l.ops):len(l.ops)], l.err
}
