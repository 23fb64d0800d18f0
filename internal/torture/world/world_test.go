package world_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/world"
)

func TestMain(m *testing.M) {
	code := m.Run()
	driven.RemoveBuilt()
	os.Exit(code)
}

// The servers find the new primary by themselves, and have all that was answered.
func TestServersFindTheNewPrimary(t *testing.T) {
	t.Parallel()
	binary, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	w, err := world.Start(ctx, world.Options{Binary: binary, Servers: 2, Standby: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	ask := func(server int, method, path, buyer, key, body string) *driven.Answer {
		t.Helper()
		c := driven.Conn{Address: w.Addresses()[server], Key: w.Key()}
		defer c.Close()
		for began := time.Now(); ; driven.Pause(ctx, 100*time.Millisecond) {
			a, err := c.Do(ctx, driven.Ask{Method: method, Path: path, Buyer: buyer, Header: "Idempotency-Key: " + key + "\r\n", Body: body})
			if err == nil && a.Status < 500 {
				return a
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%s %s: %v %v", method, path, a, err)
			}
		}
	}
	ask(0, "PUT", "/api/v1/products/cup", "", "p", `{"price":{"amount":100,"currency":"EUR"}}`)
	ask(0, "POST", "/api/v1/products/cup/receipts", "", "r", `{"quantity":3,"reference":"r"}`)
	id := func(a *driven.Answer) string {
		var t struct{ ID string }
		_ = json.Unmarshal(a.Text, &t)
		return t.ID
	}
	first := ask(0, "POST", "/order/addToCart", "ann", "k", `{"sku":"cup"}`)
	if first.Status != 201 {
		t.Fatal(first)
	}
	for _, f := range w.Faults() {
		if f.Name != "promotion" {
			continue
		}
		for n := range 2 { // there and back
			done := make(chan error, 1)
			go func() { done <- f.Do(ctx, rand.New(rand.NewPCG(1, uint64(n)))) }()
			for w.Counts()["promotions"] == n && len(done) == 0 { // from then on the standby is being promoted
				driven.Pause(ctx, 10*time.Millisecond)
			}
			promoted := time.Now()
			for server := range w.Addresses() {
				key := fmt.Sprintf("r-%d-%d", n, server)
				if a := ask(server, "POST", "/api/v1/products/cup/receipts", "", key, `{"quantity":1,"reference":"r"}`); a.Status != 201 {
					t.Errorf("after promotion %d server %d answers %v to a receipt", n+1, server, a)
				}
				took := time.Since(promoted)
				t.Logf("after promotion %d server %d writes again after %s", n+1, server, took)
				if took > 10*time.Second {
					t.Errorf("after promotion %d server %d writes again after %s", n+1, server, took)
				}
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for server := range w.Addresses() {
				if again := ask(server, "POST", "/order/addToCart", "ann", "k", `{"sku":"cup"}`); again.Status != 201 || !again.Replayed || id(again) != id(first) {
					t.Errorf("after promotion %d server %d answers %v for %s", n+1, server, again, id(first))
				}
			}
		}
	}
	if n := w.Counts()["promotions"]; n != 2 {
		t.Errorf("%d promotions", n)
	}
	if err := w.Calm(ctx); err != nil {
		t.Error(err)
	}
	if last, err := w.Audit(ctx); err != nil {
		t.Errorf("audit: %s %v", last, err)
	}
}
