package payment

import (
	"errors"
	"strings"
	"time"
)

const (
	usualDelay   = 2 * time.Second
	longestDelay = 10 * time.Minute
)

// ErrCard is a card that the provider "test" does not know. This call recorded nothing; it says nothing of earlier ones with the
// same ID.
var ErrCard = errors.New("the card must be one of succeed, decline, hang, late, late:DURATION (such as late:20s, at most 10m), twice")

// behaviour is what a card does.
type behaviour struct {
	state   State // as the charge is recorded
	hangs   bool  // the call is not answered while the charge is pending
	late    bool  // the money is taken by itself, after delay
	delay   time.Duration
	notices int // how often it is told that the charge was decided at once
}

func behaviourOf(card string) (behaviour, error) {
	switch card {
	case "succeed":
		return behaviour{state: Succeeded, notices: 1}, nil
	case "twice":
		return behaviour{state: Succeeded, notices: 2}, nil
	case "decline":
		return behaviour{state: Failed, notices: 1}, nil
	case "hang":
		return behaviour{state: Pending, hangs: true}, nil
	case "late":
		return behaviour{state: Pending, late: true, delay: usualDelay}, nil
	}
	text, isLate := strings.CutPrefix(card, "late:")
	delay, err := time.ParseDuration(text)
	if !isLate || err != nil || delay <= 0 || delay > longestDelay {
		return behaviour{}, ErrCard
	}
	return behaviour{state: Pending, late: true, delay: delay}, nil
}
