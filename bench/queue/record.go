package main

import "time"

// A sighting is what a client was told about its request. Times count from the beginning of the run, by the monotonic clock.
type sighting struct {
	asked    time.Duration // when the question was sent: of a stream, when it was opened
	told     time.Duration
	id       string
	status   string
	position int64  // -1 unless queued
	units    string // their ids, with spaces between
	reason   string
}

func (s sighting) queued() bool { return s.status == "queued" }

// A request is one unit asked for, and all that its client saw of it, in order.
type request struct {
	buyer, key, sku string
	direct          bool // by the direct way, decided in its answer
	cancels         bool // its client cancels it when it was accepted

	sent     time.Duration // for the first time
	accepted time.Duration // when its client first knew that it was accepted; 0: it never was
	by202    bool          // by a 202, and not by its outcome
	seen     []sighting
	// refusal is the code of a direct refusal, which makes no transaction, and refused when it was told.
	refusal string
	refused time.Duration

	unanswered int    // attempts that got no answer, or one that says so
	failure    string // an answer that no client should ever get
}

// id is the transaction that the client was told of first.
func (r *request) id() string {
	if len(r.seen) == 0 {
		return ""
	}
	return r.seen[0].id
}

// outcome is the first thing that the client was told that is not queued.
func (r *request) outcome() (sighting, bool) {
	for _, s := range r.seen {
		if !s.queued() {
			return s, true
		}
	}
	return sighting{}, false
}

// decided tells when the client knew, if it did, and whether it got a unit.
func (r *request) decided() (at time.Duration, held, known bool) {
	if r.refusal != "" {
		return r.refused, false, true
	}
	s, known := r.outcome()
	return s.told, s.status == "held", known
}

// A row is what the database has of a request.
type row struct {
	id, buyer, key, sku, status, reason, units string
	place                                      int64 // -1: a direct claim
}
