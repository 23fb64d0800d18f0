package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// patience is how long a client waits for an answer that was not asked to wait.
const patience = 9 * time.Second

// client has a connection to each server, and does one thing at a time.
type client struct {
	n     int
	conns []*driven.Conn
	log   *history.Log
}

func newClient(n int, o Options, log *history.Log) *client {
	c := &client{n: n, log: log}
	for _, address := range o.Addresses {
		c.conns = append(c.conns, &driven.Conn{Address: address, Key: o.Key})
	}
	return c
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// ask makes an attempt at a server and writes it down.
func (c *client) ask(ctx context.Context, server int, op history.Op) history.Op {
	op.Client, op.Server = c.n, server
	q := question(op)
	c.log.Begin(&op)
	a, err := c.conns[server].Do(ctx, q)
	if err != nil {
		op.Outcome = history.Unknown
	} else {
		understand(&op, a)
	}
	c.log.End(&op)
	return op
}

// question is an attempt as a request.
func question(op history.Op) driven.Ask {
	q := driven.Ask{Method: "POST", Buyer: op.Buyer, Patience: patience + time.Duration(op.Wait)*time.Second}
	if op.Card == "hang" {
		q.Patience += 10 * time.Second
	}
	if op.Key != "" {
		q.Header = "Idempotency-Key: " + op.Key + "\r\n"
	}
	switch op.Kind {
	case history.Claim:
		q.Path, q.Body = "/order/addToCart", fmt.Sprintf(`{"sku":%q,"quantity":%d}`, op.SKU, op.Quantity)
	case history.ClaimQueued:
		q.Path, q.Body = "/api/v1/order/addToCart", fmt.Sprintf(`{"sku":%q,"quantity":%d}`, op.SKU, op.Quantity)
		if op.Wait > 0 {
			q.Header += fmt.Sprintf("Prefer: wait=%d\r\n", op.Wait)
		}
	case history.Look:
		q.Method, q.Path = "GET", "/api/v1/transaction/"+op.Target
		if op.Wait > 0 {
			q.Path += fmt.Sprintf("?wait=%d", op.Wait)
		}
	case history.Extend:
		q.Path, q.Body = "/api/v1/transaction/"+op.Target+"/extend", `{"seconds":1}`
	case history.Cart:
		q.Method, q.Path = "GET", "/api/v1/cart"
	case history.Release:
		q.Method, q.Path = "DELETE", "/api/v1/cart/"+op.Target
	case history.Checkout:
		q.Path, q.Body = "/api/v1/order/checkout", "{"+ids("transaction_ids", op.IDs)+"}"
	case history.Confirm:
		q.Path, q.Body = "/api/v1/orders/confirm", fmt.Sprintf(`{"reference":%q,%s}`, op.Reference, ids("transaction_ids", op.IDs))
	case history.Pay:
		q.Path, q.Body = "/api/v1/orders/"+op.Target+"/pay", fmt.Sprintf(`{"card":%q}`, op.Card)
	case history.Cancel:
		q.Path = "/api/v1/orders/" + op.Target + "/cancel"
	case history.LookOrder:
		q.Method, q.Path = "GET", "/api/v1/orders/"+op.Target
	case history.Refund:
		q.Path, q.Body = "/api/v1/orders/"+op.Target+"/refund", fmt.Sprintf(`{"restock":%q%s}`, op.Restock, strings.TrimSuffix(","+ids("unit_ids", op.IDs), ","))
	case history.Receive:
		q.Path, q.Body = "/api/v1/products/"+op.SKU+"/receipts", fmt.Sprintf(`{"quantity":%d,"reference":%q}`, op.Quantity, op.Reference)
	case history.Withdraw:
		q.Path, q.Body = "/api/v1/products/"+op.SKU+"/withdrawals", fmt.Sprintf(`{"quantity":%d,"reason":%q}`, op.Quantity, op.Key)
	case history.Unquarantine:
		q.Path, q.Body = "/api/v1/products/"+op.SKU+"/quarantine/release", fmt.Sprintf(`{"quantity":%d}`, op.Quantity)
	case history.CountStock:
		q.Method, q.Path = "GET", "/api/v1/products/"+op.SKU+"/stock"
	case history.LookProduct:
		q.Method, q.Path = "GET", "/api/v1/products/"+op.SKU
	case history.PauseSale:
		q.Path = "/api/v1/sales/" + op.Target + "/pause"
	case history.ResumeSale:
		q.Path = "/api/v1/sales/" + op.Target + "/resume"
	}
	return q
}

func ids(name string, all []string) string {
	if len(all) == 0 {
		return ""
	}
	return `"` + name + `":["` + strings.Join(all, `","`) + `"]`
}

// understand writes down what an answer says.
func understand(op *history.Op, a *driven.Answer) {
	op.Status, op.Replayed = a.Status, a.Replayed
	if a.Status >= 400 {
		op.Outcome, op.Code = history.Failed, a.Code()
		if op.Code == "outcome-unknown" || op.Code == "" || op.Code == "internal" {
			op.Outcome = history.Unknown
		}
		if op.Code == "" || op.Code == "internal" {
			op.Fault = a.String()
		}
		return
	}
	op.Outcome = history.OK
	var into any
	switch op.Kind {
	case history.Claim, history.ClaimQueued, history.Look, history.Extend:
		op.Transaction = &history.Transaction{}
		into = op.Transaction
	case history.Cart:
		cart := struct{ Items, Queued []history.Transaction }{}
		if err := json.Unmarshal(a.Text, &cart); err != nil {
			op.Fault = err.Error() + ": " + a.String()
		}
		op.Transactions = append(cart.Items, cart.Queued...)
		return
	case history.Checkout, history.Confirm, history.Pay, history.Cancel, history.LookOrder, history.Refund:
		op.Order = &history.Order{}
		into = op.Order
	case history.CountStock:
		op.Stock = &history.Stock{}
		into = op.Stock
	case history.Unquarantine:
		released := struct {
			UnitIDs []string `json:"unit_ids"`
		}{}
		if err := json.Unmarshal(a.Text, &released); err != nil {
			op.Fault = err.Error() + ": " + a.String()
		}
		op.Units = released.UnitIDs
		return
	default:
		return
	}
	if err := json.Unmarshal(a.Text, into); err != nil {
		op.Fault = err.Error() + ": " + a.String()
	}
}
