package stripe

import (
	"fmt"

	"github.com/lastunit/lastunit/internal/payment"
)

// Where Stripe counts otherwise than ISO 4217, by which we count.
var (
	// inHundredths have no minor unit, but Stripe takes hundredths of them all the same.
	inHundredths = map[string]bool{"ISK": true, "UGX": true}
	// inTens have three decimals, of which Stripe takes the first two.
	inTens = map[string]bool{"BHD": true, "JOD": true, "KWD": true, "OMR": true, "TND": true}
	// unequal have minor units that are no power of ten of the currency, and Stripe counts them in a third way.
	unequal = map[string]bool{"MGA": true, "MRU": true}
)

// amountOf is an amount of ours as Stripe counts it. Errors: *payment.Refused for one that it can't be told.
func amountOf(minor int64, currency string) (int64, error) {
	const most = 999_999_999_999 // more is more than Stripe takes of any currency
	switch {
	case unequal[currency]:
		return 0, &payment.Refused{Why: fmt.Sprintf("Stripe counts %s otherwise than this store does, so nothing can be paid in it here, and nothing was charged. Ask the shop.", currency)}
	case inTens[currency] && minor%10 != 0:
		return 0, &payment.Refused{Why: fmt.Sprintf("Stripe takes %s with two decimals only, so this total can't be paid here, and nothing was charged. Ask the shop.", currency)}
	case minor > most:
		return 0, &payment.Refused{Why: "The total is more than Stripe takes at once, and nothing was charged. Order less at once, or ask the shop."}
	case inHundredths[currency]:
		return minor * 100, nil
	}
	return minor, nil
}
