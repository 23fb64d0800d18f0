package shop_test

import (
	"testing"

	"github.com/lastunit/lastunit/internal/shop"
)

// What PostgreSQL counts is a second old: in the first, long work gives way to those who wait on its own server.
func TestLongWorkGivesWayFromItsFirstSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop.Options{ClaimWait: longEnough})
	w.stocked("A", 2)
	gives := func(want bool) {
		t.Helper()
		if got, err := w.GivesWay(background); err != nil || got != want {
			t.Errorf("it gives way: %v, %v; want %v", got, err, want)
		}
	}
	gives(false)
	_, other := w.underWay("a", "A", "k")
	claimed := make(chan error, 1)
	go func() {
		_, err := w.Claim(background, shop.ClaimRequest{Buyer: "a", SKU: "A", Quantity: 1, Key: "k"})
		claimed <- err
	}()
	w.untilSomebodyWaits(1)
	gives(true)
	if err := other.Commit(background); err != nil {
		t.Fatal(err)
	}
	if err := <-claimed; err != nil {
		t.Error(err)
	}
	w.audited()
}
