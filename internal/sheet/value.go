package sheet

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// decimals are the digits behind the point of the currencies that have not two of them (ISO 4217).
var decimals = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

func decimalsOf(currency string) int {
	if n, other := decimals[currency]; other {
		return n
	}
	return 2
}

const maxMinor = 9007199254740991 // what a number of JSON holds exactly

var priceForm = regexp.MustCompile(`^([0-9]{1,16})(?:\.([0-9]{1,16}))?$`)

// minorUnits reads a price as it is written with a point; wrong says what is wrong with it. A comma is never guessed at: 1,234 is one thing here and another there.
func minorUnits(text, currency string) (minor int64, wrong string) {
	digits := decimalsOf(currency)
	found := priceForm.FindStringSubmatch(text)
	switch {
	case found == nil && strings.Contains(text, ","):
		return 0, "must be written with a point and without separators of thousands, such as 1234.50: a comma can mean either"
	case found == nil && strings.HasPrefix(text, "-"):
		return 0, "must not be negative"
	case found == nil:
		return 0, "must be a number in digits, such as 12.90, without a currency sign and without an exponent"
	}
	behind := found[2]
	if digits == 0 && (behind == "0" || behind == "00") {
		behind = ""
	}
	if len(behind) > digits {
		return 0, fmt.Sprintf("has more digits behind the point than its currency has: %d", digits)
	}
	n, err := strconv.ParseInt(found[1]+behind+strings.Repeat("0", digits-len(behind)), 10, 64)
	if err != nil || n > maxMinor {
		return 0, "is too large"
	}
	return n, ""
}

// String is such as 12.90 EUR, and empty for none.
func (p *Price) String() string {
	if p == nil {
		return ""
	}
	return priceText(*p) + " " + p.Currency
}

// priceText writes a price as minorUnits reads it.
func priceText(p Price) string {
	digits := decimalsOf(p.Currency)
	text := strconv.FormatInt(p.Minor, 10)
	if digits == 0 {
		return text
	}
	if short := digits + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	at := len(text) - digits
	return text[:at] + "." + text[at:]
}

var wholeForm = regexp.MustCompile(`^-?[0-9]{1,10}$`)

// whole reads a whole number in digits.
func whole(text string) (int, bool) {
	if !wholeForm.MatchString(text) {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
