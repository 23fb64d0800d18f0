package rehearsal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// sighting is one look of a buyer at its transaction.
type sighting struct {
	transaction
	askedAt time.Time // the request for it was about to leave
}

// watched is what a buyer saw of the transaction that a queued request was accepted as, in order: the 202 first. Each look
// was sent after the one before was answered. It is empty for a direct request.
type watched struct {
	sightings []sighting
	lacking   []string // headers that the 202 should have had
}

// id of the transaction; empty when nothing was accepted.
func (w *watched) id() string {
	if len(w.sightings) == 0 {
		return ""
	}
	return w.sightings[0].ID
}

// moved says that the last sighting differs from the one before it.
func (w *watched) moved() bool {
	n := len(w.sightings)
	if n < 2 {
		return true
	}
	was, is := w.sightings[n-2], w.sightings[n-1]
	return was.Status != is.Status || (was.QueuePosition == nil) != (is.QueuePosition == nil) ||
		is.QueuePosition != nil && *is.QueuePosition != *was.QueuePosition
}

// transactionID is of the hold, or of what was accepted; empty for a request that made none.
func (a *answer) transactionID() string {
	if a.held != nil {
		return a.held.ID
	}
	return a.id()
}

// waits says that the request was accepted and its outcome is not known yet.
func (a *answer) waits() bool {
	return a.id() != "" && a.held == nil && a.refused == nil && a.fault == ""
}

func (a *answer) accept(r response, sentAt, at time.Time) {
	var t transaction
	switch err := json.Unmarshal(r.body, &t); {
	case err != nil:
		a.fault = "202 that cannot be read"
	case t.ID == "" || t.Status != "queued":
		a.fault = fmt.Sprintf("202 with status %q", t.Status)
	default:
		a.acceptedAt = at
		a.sightings = []sighting{{t, sentAt}}
		if !strings.HasSuffix(r.header.Get("Location"), transactionPath(t.ID)) {
			a.lacking = append(a.lacking, "Location")
		}
		if _, ok := retryAfter(r.header); !ok {
			a.lacking = append(a.lacking, "Retry-After")
		}
	}
}

// see reads what a look at the transaction brought, and reports whether it is final. When it is not, a fault says that the
// look failed, and none that the request is still queued.
func (a *answer) see(r response, askedAt time.Time) (final bool) {
	a.fault, a.unanswered = "", false
	if r.status != http.StatusOK {
		p := readProblem(r)
		if p.passing() {
			a.fault, a.unanswered = p.name(), true
			return false
		}
		a.fault = "its transaction: " + p.Error()
		return true
	}
	var t transaction
	if err := json.Unmarshal(r.body, &t); err != nil {
		a.fault = "a transaction that cannot be read"
		return true
	}
	a.sightings = append(a.sightings, sighting{t, askedAt})
	switch {
	case t.Status == "queued":
		return false
	case t.Status == "held":
		a.held = &t
	case t.Status == "refused" && t.Reason != "":
		a.refused = &problem{Status: http.StatusConflict, Code: t.Reason}
	case t.Status == "refused":
		a.fault = "refused without a reason"
	default:
		a.fault = fmt.Sprintf("a transaction with status %q", t.Status)
	}
	return true
}
