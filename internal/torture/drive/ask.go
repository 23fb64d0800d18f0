package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

const (
	patience   = 8 * time.Second  // with an answer that should be there within 5 s
	claimWait  = 5 * time.Second  // a direct claim waits so long behind accepted requests
	payTimeout = 10 * time.Second // the store waits so long for its payment provider
	sentMost   = 20               // times, unless its outcome is still unknown then
)

// ask is something that is wanted: one operation, which may be sent many times, by several clients at once.
type ask struct {
	op                         history.Op // what is asked, without what comes back
	method, path, header, body string
	patience                   time.Duration
	sent                       atomic.Int32
	answered                   atomic.Bool // it was done, and somebody was told
	unsure                     atomic.Bool // an attempt had no answer that tells
}

// again tells whether it can be sent again without being another thing: it has a key, or changes nothing a second time.
func (a *ask) again() bool {
	return a.op.Key != "" || a.op.Reference != "" && a.op.Kind == history.Confirm || a.op.Kind == history.Release || a.method == http.MethodGet
}

func newAsk(op history.Op, method, path, body string) *ask {
	a := &ask{op: op, method: method, path: path, body: body, patience: patience}
	if op.Key != "" {
		a.header = "Idempotency-Key: " + op.Key + "\r\n"
	}
	return a
}

func claim(buyer, key, sku string, quantity int) *ask {
	return newAsk(history.Op{Kind: history.Claim, Buyer: buyer, Key: key, SKU: sku, Quantity: quantity}, "POST", "/order/addToCart", fmt.Sprintf(`{"sku":%q,"quantity":%d}`, sku, quantity))
}

func look(buyer, id string, wait time.Duration) *ask {
	path := "/api/v1/transaction/" + id
	if wait > 0 {
		path += fmt.Sprintf("?wait=%d", int(wait.Seconds()))
	}
	return newAsk(history.Op{Kind: history.Look, Buyer: buyer, Target: id, Wait: wait}, "GET", path, "")
}

func extend(buyer, key, id string, seconds int) *ask {
	return newAsk(history.Op{Kind: history.Extend, Buyer: buyer, Key: key, Target: id}, "POST", "/api/v1/transaction/"+id+"/extend", fmt.Sprintf(`{"seconds":%d}`, seconds))
}

func cart(buyer string) *ask {
	return newAsk(history.Op{Kind: history.Cart, Buyer: buyer}, "GET", "/api/v1/cart", "")
}

func release(buyer, id string) *ask {
	return newAsk(history.Op{Kind: history.Release, Buyer: buyer, Target: id}, "DELETE", "/api/v1/cart/"+id, "")
}

func quoted(ids []string) string { return `["` + strings.Join(ids, `","`) + `"]` }

func checkout(buyer, key string, ids []string) *ask {
	body := ""
	if len(ids) > 0 {
		body = `{"transaction_ids":` + quoted(ids) + `}`
	}
	return newAsk(history.Op{Kind: history.Checkout, Buyer: buyer, Key: key, IDs: ids}, "POST", "/api/v1/order/checkout", body)
}

func confirm(key, reference string, ids []string) *ask {
	return newAsk(history.Op{Kind: history.Confirm, Key: key, Reference: reference, IDs: ids}, "POST", "/api/v1/orders/confirm",
		fmt.Sprintf(`{"transaction_ids":%s,"reference":%q}`, quoted(ids), reference))
}

func pay(buyer, key, id, card string) *ask {
	a := newAsk(history.Op{Kind: history.Pay, Buyer: buyer, Key: key, Target: id, Card: card, Wait: payTimeout}, "POST", "/api/v1/orders/"+id+"/pay", fmt.Sprintf(`{"card":%q}`, card))
	if card == "hang" {
		a.patience = 2 * time.Second // nothing comes before payTimeout
	}
	return a
}

func cancel(buyer, key, id string) *ask {
	return newAsk(history.Op{Kind: history.Cancel, Buyer: buyer, Key: key, Target: id}, "POST", "/api/v1/orders/"+id+"/cancel", "")
}

// lookOrder is asked by the operator when no buyer is named.
func lookOrder(buyer, id string) *ask {
	return newAsk(history.Op{Kind: history.LookOrder, Buyer: buyer, Target: id}, "GET", "/api/v1/orders/"+id, "")
}

func refund(key, id string, units []string, restock string) *ask {
	body := `{"restock":"` + restock + `"}`
	if len(units) > 0 {
		body = `{"restock":"` + restock + `","unit_ids":` + quoted(units) + `}`
	}
	return newAsk(history.Op{Kind: history.Refund, Key: key, Target: id, IDs: units, Restock: restock}, "POST", "/api/v1/orders/"+id+"/refund", body)
}

func ofProduct(sku, rest string) string { return "/api/v1/products/" + sku + rest }

func receive(key, sku string, quantity int, reference string) *ask {
	return newAsk(history.Op{Kind: history.Receive, Key: key, SKU: sku, Quantity: quantity, Reference: reference}, "POST", ofProduct(sku, "/receipts"),
		fmt.Sprintf(`{"quantity":%d,"reference":%q}`, quantity, reference))
}

func withdraw(key, sku string, quantity int) *ask {
	return newAsk(history.Op{Kind: history.Withdraw, Key: key, SKU: sku, Quantity: quantity}, "POST", ofProduct(sku, "/withdrawals"), fmt.Sprintf(`{"quantity":%d,"reason":"torture"}`, quantity))
}

func unquarantine(key, sku string, quantity int) *ask {
	return newAsk(history.Op{Kind: history.Unquarantine, Key: key, SKU: sku, Quantity: quantity}, "POST", ofProduct(sku, "/quarantine/release"), fmt.Sprintf(`{"quantity":%d}`, quantity))
}

func countStock(sku string) *ask {
	return newAsk(history.Op{Kind: history.CountStock, SKU: sku}, "GET", ofProduct(sku, "/stock"), "")
}

func lookProduct(sku string) *ask {
	return newAsk(history.Op{Kind: history.LookProduct, SKU: sku}, "GET", ofProduct(sku, ""), "")
}

func moveSale(kind history.Kind, key, id string) *ask {
	action := "/pause"
	if kind == history.ResumeSale {
		action = "/resume"
	}
	return newAsk(history.Op{Kind: kind, Key: key, Target: id}, "POST", "/api/v1/sales/"+id+action, "")
}

// record writes down what came back.
func record(op *history.Op, a *driven.Answer, err error) {
	if err != nil {
		op.Outcome, op.Fault = history.Unknown, err.Error()
		return
	}
	op.Status, op.Replayed = a.Status, a.Replayed
	if a.Status/100 == 2 {
		op.Outcome = history.OK
		if err := decode(op, a.Text); err != nil {
			op.Outcome, op.Fault = history.Unknown, fmt.Sprintf("%v: %v", err, a)
		}
		return
	}
	op.Code, op.Outcome = a.Code(), history.Failed
	switch op.Code {
	case "sold-out", "all-held", "not-enough-units", "purchase-limit", "sale-not-open", "sale-paused", "sale-ended", "not-selling", "cool-down", "hold-expired", "cart-empty", "conflict",
		"payment-failed", "busy", "too-many-requests", "request-timeout":
	case "outcome-unknown":
		op.Outcome = history.Unknown
	default:
		op.Fault = a.String() // nothing is asked for that nobody was told of, and nothing that is not allowed or not valid
		if a.Status >= 500 || op.Code == "" {
			op.Outcome = history.Unknown
		}
	}
	if id, ok := strings.CutPrefix(a.Location, "/api/v1/transaction/"); ok {
		op.Transaction = &history.Transaction{ID: id, Status: "refused", SKU: op.SKU, Quantity: op.Quantity, Reason: op.Code}
	}
}

var errUnnamed = errors.New("an answer without an id")

// decode reads what was done or shown.
func decode(op *history.Op, text []byte) error {
	switch op.Kind {
	case history.Claim, history.ClaimQueued, history.Look, history.Extend:
		op.Transaction = &history.Transaction{}
		return read(text, op.Transaction, &op.Transaction.ID)
	case history.Cart:
		var cart struct{ Items, Queued []history.Transaction }
		err := json.Unmarshal(text, &cart)
		op.Transactions = append(cart.Items, cart.Queued...)
		return err
	case history.Checkout, history.Confirm, history.Pay, history.Cancel, history.LookOrder, history.Refund:
		op.Order = &history.Order{}
		return read(text, op.Order, &op.Order.ID)
	case history.Receive, history.Withdraw:
		var made struct{ ID string }
		err := read(text, &made, &made.ID)
		op.Made = made.ID
		return err
	case history.Unquarantine:
		var released struct {
			UnitIDs []string `json:"unit_ids"`
		}
		err := json.Unmarshal(text, &released)
		op.Units = released.UnitIDs
		return err
	case history.CountStock:
		op.Stock = &history.Stock{}
		return json.Unmarshal(text, op.Stock)
	case history.LookProduct:
		var product struct{ Availability history.Availability }
		err := json.Unmarshal(text, &product)
		op.Shown = &product.Availability
		return err
	}
	return nil // of a release there is nothing to read, of a sale nothing that counts
}

func read(text []byte, v any, id *string) error {
	if err := json.Unmarshal(text, v); err != nil {
		return err
	}
	if *id == "" {
		return errUnnamed
	}
	return nil
}
