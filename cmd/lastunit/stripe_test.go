package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/payment/stripe/stripetest"
)

// shownOrder is an order, as far as these tests look.
type shownOrder struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Payment struct {
		Status       string `json:"status"`
		ClientSecret string `json:"client_secret"`
	} `json:"payment"`
}

func (c client) order(t *testing.T, status int, method, path string, body any) (o shownOrder) {
	t.Helper()
	r := c.must(t, status, method, path, body)
	if err := json.Unmarshal([]byte(r.text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// until looks at an order until it has a status.
func (c client) until(t *testing.T, id, status string) {
	t.Helper()
	await(t, "the order to be "+status, func() bool {
		return c.order(t, http.StatusOK, "GET", "/api/v1/orders/"+id, nil).Status == status
	})
}

// The program takes money through Stripe: by the browser and the webhook, and by a card whose answer it did not live to see.
func TestTheServiceIsPaidWithStripe(t *testing.T) {
	t.Parallel()
	fake := stripetest.New()
	t.Cleanup(fake.Close)
	args := []string{"--payment", "stripe", "--stripe-key", stripetest.Key, "--stripe-webhook-secret", stripetest.Secret, "--stripe-url", fake.URL, "--buyer-rate", "0"} // the test asks as fast as it can
	dir := dataDir(t)
	p, c := operated(t, dir, 10, args...)
	c.must(t, http.StatusOK, "PUT", "/api/v1/products/A", map[string]any{"price": map[string]any{"amount": 1250, "currency": "EUR"}})
	c.buyer = "ann"
	ordered := func() shownOrder {
		c.must(t, http.StatusCreated, "POST", "/order/addToCart", map[string]any{"sku": "A"})
		return c.order(t, http.StatusCreated, "POST", "/api/v1/order/checkout", map[string]any{})
	}
	first := ordered()
	opened := c.order(t, http.StatusOK, "POST", "/api/v1/orders/"+first.ID+"/pay", map[string]any{})
	if status := fake.Pay(opened.Payment.ClientSecret, "pm_card_visa"); status != "succeeded" {
		t.Fatalf("confirmed in the browser it is %s", status)
	}
	body, signature := stripetest.Event("payment_intent.succeeded", fake.Intents()[0], nil, stripetest.Secret, time.Now())
	req, err := http.NewRequest("POST", c.address+"/api/v1/payments/stripe/webhook", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Stripe-Signature", signature)
	resp, err := c.http.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the webhook: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if o := c.order(t, http.StatusOK, "GET", "/api/v1/orders/"+first.ID, nil); o.Status != "paid" {
		t.Errorf("the order is %s", o.Status)
	}

	second := ordered()
	taken := make(chan struct{}, 10)
	fake.OnEvent(func(string, stripetest.Object) { taken <- struct{}{} })
	fake.Fail(stripetest.Always(stripetest.HangAfter, "confirm"))
	go func() {
		_, _ = c.call("POST", "/api/v1/orders/"+second.ID+"/pay", "k", map[string]any{"payment_method": "pm_card_visa"})
	}()
	<-taken
	p.kill()
	fake.Fail(nil)
	p = start(t, "serve", dir, args...)
	c.address = p.address
	c.until(t, second.ID, "paid")
	if captured, _ := fake.Books(); captured != 2500 {
		t.Errorf("Stripe took %d", captured)
	}
}
