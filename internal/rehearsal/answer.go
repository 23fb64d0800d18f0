package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

type transaction struct {
	ID            string    `json:"id"`
	Status        string    `json:"status"`
	Quantity      int       `json:"quantity"`
	UnitIDs       []string  `json:"unit_ids"`
	QueuePosition *int      `json:"queue_position"`
	Reason        string    `json:"reason"`
	ExpiresAt     time.Time `json:"expires_at"`
}

type problem struct {
	Status    int    `json:"-"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	Available *int   `json:"available"`
}

func (p *problem) Error() string {
	text := strconv.Itoa(p.Status)
	if p.Code != "" {
		text += " " + p.Code
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// readProblem never fails: what is not a problem document is a problem without a code.
func readProblem(r response) *problem {
	var p problem
	_ = json.Unmarshal(r.body, &p)
	p.Status = r.status
	return &p
}

// passing says that the same request may be answered when it is sent again: nothing has happened, or nobody knows yet.
func (p *problem) passing() bool {
	switch p.Code {
	case "busy", "outcome-unknown", "too-many-requests":
		return true
	}
	return p.Code == "" && (p.Status == http.StatusBadGateway || p.Status == http.StatusServiceUnavailable || p.Status == http.StatusGatewayTimeout)
}

// name is the code, or the status of what has none.
func (p *problem) name() string {
	if p.Code == "" {
		return strconv.Itoa(p.Status)
	}
	return p.Code
}

// answer is what came of one buyer's request: exactly one of held, refused and fault is set.
type answer struct {
	buyer    string
	home     int  // index of the server that it was sent to first
	quantity int  // asked for
	queued   bool // asked through the queue
	held     *transaction
	refused  *problem
	fault    string

	unanswered bool // the fault is that no final answer came
	sent       bool
	late       bool
	replayed   bool // the outcome came as the replay of a request that was answered before
	retries    int
	watched

	// From the instant of release, retries included: to the first answer that says more than to come again, and to the
	// outcome. For a direct request they are one.
	acceptLatency, latency time.Duration
	// The first attempt begins, the 202 is there, the outcome is there.
	sentAt, acceptedAt, answeredAt time.Time
}

// take reads a response to the request, and reports whether it need not be sent again. A 202 is not the outcome yet: then
// waits is true.
func (a *answer) take(r response, sentAt, at time.Time) (done bool) {
	a.fault, a.unanswered = "", false
	a.replayed = r.header.Get("Idempotency-Replayed") == "true"
	switch {
	case r.status == http.StatusAccepted && a.queued:
		a.accept(r, sentAt, at)
		return true
	case r.status == http.StatusCreated:
		var t transaction
		switch err := json.Unmarshal(r.body, &t); {
		case err != nil:
			a.fault = "201 that cannot be read"
		case t.ID == "" || t.Status != "held":
			a.fault = fmt.Sprintf("201 with status %q", t.Status)
		case a.queued && !a.replayed:
			a.fault = "201 where a 202 was due"
		default:
			a.held = &t
		}
		return true
	}
	p := readProblem(r)
	if p.passing() {
		a.fault, a.unanswered = p.name(), true
		return false
	}
	if r.status == http.StatusConflict && p.Code != "" {
		a.refused = p
		return true
	}
	a.fault = fmt.Sprintf("%d %s", r.status, p.Code)
	if p.Code == "" {
		a.fault = fmt.Sprintf("%d without a problem code", r.status)
	}
	return true
}

// lost notes that no response came.
func (a *answer) lost(err error, timeout time.Duration) {
	var timedOut net.Error
	a.unanswered = true
	switch {
	case errors.As(err, &timedOut) && timedOut.Timeout():
		a.fault = fmt.Sprintf("no answer within %s", timeout)
	case isFileLimit(err):
		a.fault = "too many open files"
	case isRefusedConnection(err):
		a.fault = "connection refused"
	default:
		a.fault = "connection lost"
	}
}

// interrupted notes that the rehearsal ended first.
func (a *answer) interrupted() { a.fault, a.unanswered = "interrupted", true }

// wait is the pause before the next attempt: what Retry-After asks for, or a growing one, both with a spread so that a
// crowd that was sent away does not come back as one. It ends early with the context.
func (m manners) wait(ctx context.Context, attempt int, header http.Header) error {
	pause := min(m.pause<<(attempt-1), m.pauseMax)
	pause = pause/2 + rand.N(pause/2+1)
	if asked, ok := retryAfter(header); ok {
		pause = asked + rand.N(asked/4+1)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const retryAfterMax = 30 * time.Second

func retryAfter(header http.Header) (time.Duration, bool) {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int(retryAfterMax/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), retryAfterMax), true
	}
	return 0, false
}

func readResponse(r *http.Response) (response, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMax))
	return response{status: r.StatusCode, header: r.Header, body: body}, errors.Join(err, r.Body.Close())
}
