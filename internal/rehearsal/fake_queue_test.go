package rehearsal

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// queueSeed is one defect that the queue of a service may have.
type queueSeed struct {
	reverses       bool // settles the newest first
	pushesIn       bool // direct claims do not go behind what was accepted
	forgetsRequest bool // never settles the first request
	losesRequest   bool // has no transaction for the first request
	regrets        bool // holds units for the first that was refused, after it said so
	rethinks       bool // gives the first that was refused another reason, after it said one
	requeues       bool // queues the first hold again, after it was shown
	rises          bool // shows places that grow
	placeless      bool // shows no places
	mutes          bool // refuses without a reason
	renames        bool // shows another transaction than was asked for
	releasesQueued bool // releases the first request when its turn comes
	decidesAtOnce  bool // answers 201 where a 202 is due
	turnsAway      bool // refuses at once what stock should decide in turn
	lacksWhere     bool // accepts without Location and Retry-After
	splits         bool // says of one unit that there is a part of it

	losesLooks int    // no defect: does not answer the first looks
	gathers    int    // no defect: settles nothing before so many claims have come
	retryAfter string // no defect: instead of 0
}

// queueSeen is what the fake has seen of those who ask through the queue.
type queueSeen struct {
	keys, prefers, waits, plainLooks int // POSTs with a key, and with Prefer; looks with a wait, and without any query
	lastSeen                         map[string]time.Time
	closest                          time.Duration // between two calls of one buyer
}

func (f *fake) noteAsked(r *http.Request) {
	if r.Header.Get("Idempotency-Key") != "" {
		f.keys++
	}
	if r.Header.Get("Prefer") != "" {
		f.prefers++
	}
	f.notePace(r.Header.Get("Buyer-Id"))
}

func (f *fake) notePace(buyer string) {
	if f.lastSeen == nil {
		f.lastSeen = map[string]time.Time{}
	}
	if last, ok := f.lastSeen[buyer]; ok && (f.closest == 0 || time.Since(last) < f.closest) {
		f.closest = time.Since(last)
	}
	f.lastSeen[buyer] = time.Now()
}

// enqueue accepts a request.
func (f *fake) enqueue(key string, t *fakeTransaction) (int, any) {
	p := f.products[t.sku]
	switch {
	case p == nil:
		return http.StatusNotFound, map[string]any{"code": "not-found"}
	case f.turnsAway && len(p.tokens) < len(p.queue)+1:
		return http.StatusConflict, map[string]any{"code": "all-held"}
	case f.decidesAtOnce:
		return f.settle(key, t)
	}
	t.Status, t.UnitIDs = "queued", []string{}
	f.store(key, t)
	p.queue = append(p.queue, t)
	if f.losesRequest && t.first {
		delete(f.stored, t.ID)
		f.stored["gone"] = t
	}
	return http.StatusAccepted, f.queuedView(t)
}

func (f *fake) sayWhere(header http.Header, id string) {
	if f.lacksWhere {
		return
	}
	header.Set("Location", "/api/v1/transaction/"+id)
	header.Set("Retry-After", cmp.Or(f.retryAfter, "0"))
}

// show lets a look that waits have its outcome, and settles a request after any other.
func (f *fake) show(w http.ResponseWriter, r *http.Request) {
	t := f.stored[r.PathValue("id")]
	if t == nil || t.buyer != r.Header.Get("Buyer-Id") || f.products[t.sku] == nil {
		refuse(w, http.StatusNotFound, "not-found", nil)
		return
	}
	if r.Header.Get("Idempotency-Key") != "" {
		refuse(w, http.StatusUnprocessableEntity, "validation", nil) // keys are for what changes something
		return
	}
	if f.losesLooks > 0 {
		f.losesLooks--
		panic(http.ErrAbortHandler)
	}
	p := f.products[t.sku]
	waits, queued := r.URL.Query().Has("wait"), t.Status == "queued"
	switch {
	case waits:
		f.waits++
	case queued:
		f.plainLooks++
		f.notePace(t.buyer)
	}
	gathered := f.claims >= f.gathers
	for waits && gathered && t.Status == "queued" && f.settleNext(p) {
	}
	reply(w, http.StatusOK, f.view(t))
	if queued && gathered {
		f.settleNext(p)
	}
}

// view is what a look shows, and changes what defects change when something has been shown.
func (f *fake) view(t *fakeTransaction) transaction {
	t.shown++
	if t.Status == "queued" {
		return f.queuedView(t)
	}
	shown := t.transaction
	switch {
	case f.renames && t.first:
		shown.ID = "tx-other"
	case t.Status == "refused" && f.regrets:
		f.regrets = false
		t.Status, t.Reason, t.UnitIDs = "held", "", []string{"unit-late"}
	case t.Status == "refused" && f.rethinks:
		f.rethinks = false
		t.Reason = "sold-out"
	case t.Status == "held" && f.requeues:
		f.requeues = false
		t.Status, t.UnitIDs = "queued", []string{}
	}
	return shown
}

func (f *fake) queuedView(t *fakeTransaction) transaction {
	shown, ahead := t.transaction, 0
	for _, other := range f.products[t.sku].queue {
		if other == t {
			break
		}
		ahead += other.Quantity
	}
	if f.rises {
		ahead += 100 * t.shown
	}
	if shown.QueuePosition = &ahead; f.placeless {
		shown.QueuePosition = nil
	}
	return shown
}

// settleNext settles one request of a product's queue, and says whether there was one.
func (f *fake) settleNext(p *fakeProduct) bool {
	i := slices.IndexFunc(p.queue, func(t *fakeTransaction) bool { return !f.forgetsRequest || !t.first })
	if i < 0 {
		return false
	}
	if f.reverses {
		i = len(p.queue) - 1
	}
	t := p.queue[i]
	p.queue = slices.Delete(p.queue, i, i+1)
	_, refusal := f.decide(t)
	if refusal != nil {
		t.Status, t.Reason = "refused", refusal["code"].(string)
	}
	switch {
	case f.releasesQueued && t.first:
		t.Status = "released"
	case refusal != nil && f.splits:
		t.Reason = "not-enough-units"
	case refusal != nil && f.mutes:
		t.Reason = ""
	}
	return true
}

// sentences is what the judge says of a case, a line for each broken promise.
func sentences(c CaseReport) string { return strings.Join(c.Broken, "\n") }
