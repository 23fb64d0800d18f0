package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

// catalogue is what the demo sells: things that one would like to have, some of which are nearly gone.
var catalogue = []struct {
	sku, name, description string
	cents                  int64
	stock                  int
}{
	{"kettle-copper", "Copper kettle", "1.2 litres, hand-hammered in Porto. Sings when it boils.", 8900, 24},
	{"lamp-moon", "Moon lamp", "A small moon for the desk, phases included.", 5400, 60},
	{"mug-last", "The last mug", "There is exactly one. Somebody will get it, and only one.", 1900, 1},
	{"notebook-dots", "Dot notebook", "192 numbered pages that lie flat.", 1450, 2500},
	{"poster-tides", "Tide poster", "A year of tides at Mont-Saint-Michel, printed in two blues.", 3200, 12},
	{"radio-walnut", "Walnut radio", "FM, one knob, surprisingly loud.", 14900, 7},
	{"sneaker-1212", "Sneaker 12.12", "The flash-sale shoe: 500 pairs, never again.", 12900, 500},
}

func demo(ctx context.Context, e *environment) error {
	e.settings.initially("guests", "true")
	cfg, _, err := e.load(0, 0)
	if err != nil {
		return err
	}
	s, err := startService(ctx, cfg, newLogger(cfg, e))
	if err != nil {
		return err
	}
	secret, operator, err := demoKey(ctx, s)
	if err == nil {
		err = stockCatalogue(ctx, s, operator)
	}
	if err == nil {
		err = openDemoSale(ctx, s, operator)
	}
	if err == nil {
		err = sayHowToBuy(e, s, secret)
	}
	if err != nil {
		s.close()
		return err
	}
	return s.serve(ctx)
}

// stockCatalogue may be repeated: what is there stays as it is.
func stockCatalogue(ctx context.Context, s *service, operator shop.Key) error {
	for _, item := range catalogue {
		picture := "/goods/" + item.sku + ".svg"
		_, err := s.Product(ctx, item.sku)
		var r *shop.Refusal
		if err == nil {
			continue
		}
		if !errors.As(err, &r) || r.Code != shop.NotFound {
			return err
		}
		_, _, err = s.PutProduct(ctx, shop.Product{
			SKU: item.sku, Name: &item.name, Description: &item.description, ImageURL: &picture, Selling: true,
			Price: &shop.Money{Amount: item.cents, Currency: "EUR"},
		})
		if err != nil {
			return err
		}
		_, _, err = s.Receive(ctx, shop.ReceiptRequest{
			SKU: item.sku, Quantity: item.stock, Reference: "opening stock of the demo", KeyID: operator.ID, Key: "opening-" + item.sku,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openDemoSale sees to it that the flash sale is open: 200 of the shoes for less, two for everybody.
func openDemoSale(ctx context.Context, s *service, operator shop.Key) error {
	live, _, err := s.Sales(ctx, []shop.SaleState{shop.SaleIsScheduled, shop.SaleIsOpen, shop.SaleIsPaused}, false, shop.ID{}, 1)
	if err != nil || len(live) > 0 {
		return err
	}
	now := s.Clock()
	limit, allotment := 2, 200
	if stock, err := s.Stock(ctx, "sneaker-1212"); err != nil || stock.Available < int64(allotment) {
		return err // sold in an earlier one
	}
	o := shop.Operator{KeyID: operator.ID}
	sale, _, err := s.CreateSale(ctx, o, shop.SaleTerms{
		Name: "12.12 flash sale", OpensAt: now, ClosesAt: now.AddDate(0, 0, 7), Hold: s.cfg.Hold, PurchaseLimit: &limit, MaxQuantity: limit,
		Items: []shop.SaleItem{{SKU: "sneaker-1212", Price: shop.Money{Amount: 6900, Currency: "EUR"}, Quantity: &allotment}},
	})
	if err != nil {
		return err
	}
	_, _, err = s.MoveSale(ctx, o, sale.ID, shop.ScheduleSale)
	return err
}

func sayHowToBuy(e *environment, s *service, operatorKey string) error {
	fmt.Fprintf(e.stdout, `
lastunit is open at %[1]s

  the storefront                  %[1]s
  the desk of an operator         %[1]s/desk#key=%[3]s
  the API, to read and to try     %[1]s/docs
  what is for sale                %[1]s/api/v1/products
  the sale that is open           %[1]s/api/v1/sales
  its database                    psql '%[2]s'
`, s.address, withoutPassword(s.databaseURL), operatorKey)
	if s.metrics != nil {
		fmt.Fprintf(e.stdout, "  its metrics, for Prometheus     %s\n", s.metrics.address)
	}
	if s.cfg.Guests {
		fmt.Fprintf(e.stdout, "  a guest's token                 curl -X POST %s/api/v1/session\n", s.address)
	}
	if len(s.secret) > 0 {
		token, err := buyerToken(s.secret, s.cfg.Audience, "ada", 24*time.Hour)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, `
You are the buyer ada. Her token, good for a day:

%[2]s

Paste these into another terminal. Put the last mug into her cart, and ask for it again; get in line for the shoe of the flash sale, of which
everybody may have two; look into the cart, order it, and pay: the order's id goes where it says ORDER_ID (the test provider moves no money).

curl -s %[1]s/order/addToCart -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -H 'Idempotency-Key: my-first-claim' -d '{"sku":"mug-last"}'

curl -s %[1]s/order/addToCart -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{"sku":"mug-last"}'

curl -s %[1]s/api/v1/order/addToCart -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{"sku":"sneaker-1212","quantity":2}'

curl -s %[1]s/api/v1/cart -H 'Authorization: Bearer %[2]s'

curl -s -X POST %[1]s/api/v1/order/checkout -H 'Authorization: Bearer %[2]s' -H 'Idempotency-Key: my-first-order'

curl -s %[1]s/api/v1/orders/ORDER_ID/pay -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{"card":"succeed"}'
`, s.address, token)
	}
	_, err := fmt.Fprintf(e.stdout, `
Play the 12.12 event, 1000 buyers for 500 units, against it:

%[1]s rehearse --url %[2]s --key %[3]s --buyers 1000

Ctrl-C stops it; what was sold stays in %[4]s.

`, program(), s.address, operatorKey, s.cfg.DataDir)
	return err
}

// demoKey is an operator's key that the demo keeps beside its data, so that the lines it prints work again after a restart.
func demoKey(ctx context.Context, s *service) (string, shop.Key, error) {
	path := filepath.Join(s.cfg.DataDir, "demo-key")
	if found, err := os.ReadFile(path); err == nil {
		secret := strings.TrimSpace(string(found))
		if known, err := s.KeyBySecret(ctx, secret); err == nil {
			return secret, known, nil
		}
	}
	secret, made, err := s.CreateKey(ctx, "demo", []shop.Scope{shop.ScopeAll})
	if err != nil {
		return "", shop.Key{}, err
	}
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", shop.Key{}, fmt.Errorf("%s can't be written: %w", path, err)
	}
	return secret, made, nil
}

func program() string {
	if path, err := os.Executable(); err == nil {
		if here, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(rel, "..") {
				return "./" + rel
			}
		}
		return path
	}
	return "lastunit"
}

func withoutPassword(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil || u.Scheme == "" {
		return "(set)"
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "...")
	}
	query := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if query.Has(name) {
			query.Set(name, "...")
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}
