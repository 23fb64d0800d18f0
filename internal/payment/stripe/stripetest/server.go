// Package stripetest is Stripe as far as the provider asks it, in this process, for tests: PaymentIntents, refunds and disputes with the states and answers that Stripe
// documents, keys that repeat what they answered first, whether it was good or bad, and faults on demand.
package stripetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v86/webhook"
)

// Key and Secret are those of the account; Secret signs its events.
const (
	Key    = "sk_test_of_the_fake"
	Secret = "whsec_of_the_fake"
)

// Fault is what goes wrong with a call.
type Fault int

// The faults.
const (
	None      Fault = iota
	Refuse          // 500, and nothing was done
	Drop            // the connection breaks before anything was done
	DropAfter       // the connection breaks when everything was done
	Hang            // nothing is done, and nothing answered until the caller leaves
	HangAfter       // everything is done, and nothing answered until the caller leaves
	Busy            // 429
)

// Object is one of Stripe's.
type Object map[string]any

// Text is a property of it that is text.
func (o Object) Text(name string) string {
	text, _ := o[name].(string)
	return text
}

func (o Object) number(name string) int64 {
	n, _ := o[name].(int64)
	return n
}

// Server is the fake.
type Server struct {
	URL string

	http     *httptest.Server
	mu       sync.Mutex
	count    int
	fault    func(operation string) Fault
	intents  map[string]Object
	refunds  map[string]Object
	disputes map[string]Object
	answers  map[string]kept // by idempotency key
	calls    map[string]int  // by operation
	refunded string          // the status that refunds are made with
	hook     func(kind string, object Object)
}

type kept struct {
	request string
	status  int
	body    []byte
}

// New starts one. Close it.
func New() *Server {
	s := &Server{
		intents: map[string]Object{}, refunds: map[string]Object{}, disputes: map[string]Object{}, answers: map[string]kept{}, calls: map[string]int{},
		refunded: "succeeded",
	}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close ends it; calls that hang end with it.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Fail has each call fail as f says, by its operation: create, retrieve, confirm, cancel, refund, retrieve refund, list refunds, list disputes.
func (s *Server) Fail(f func(operation string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Always has calls of some operations fail in one way; none: of all.
func Always(f Fault, operations ...string) func(string) Fault {
	return func(operation string) Fault {
		if len(operations) == 0 || slices.Contains(operations, operation) {
			return f
		}
		return None
	}
}

// Calls counts the calls of an operation.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

// OnEvent is called for what Stripe would send an event of, with the object as it then is, while nothing is locked.
func (s *Server) OnEvent(hook func(kind string, object Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// RefundsAre sets the status that refunds are made with from now on.
func (s *Server) RefundsAre(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refunded = status
}

// Change changes a PaymentIntent, a refund or a dispute, as somebody in Stripe's dashboard might, or time.
func (s *Server) Change(id string, with Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range []map[string]Object{s.intents, s.refunds, s.disputes} {
		if o, is := all[id]; is {
			maps.Copy(o, with)
		}
	}
}

// Intents are all PaymentIntents, the oldest first.
func (s *Server) Intents() []Object { return s.all(s.intents) }

// Refunds are all refunds, the oldest first.
func (s *Server) Refunds() []Object { return s.all(s.refunds) }

func (s *Server) all(from map[string]Object) (all []Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(from)) {
		all = append(all, maps.Clone(from[id]))
	}
	return all
}

// Books are what was taken and what was given back, in all.
func (s *Server) Books() (captured, refunded int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.intents {
		captured += i.number("amount_received")
	}
	for _, r := range s.refunds {
		if r.Text("status") != "failed" && r.Text("status") != "canceled" {
			refunded += r.number("amount")
		}
	}
	return captured, refunded
}

// Pay is what Stripe's script does in a browser: it confirms a PaymentIntent by its secret, and tells its status then.
func (s *Server) Pay(secret, method string) string {
	s.mu.Lock()
	intent := s.bySecret(secret)
	if intent == nil {
		s.mu.Unlock()
		return "no such secret"
	}
	_, _, kind := s.attempt(intent, method)
	status, shown, hook := intent.Text("status"), maps.Clone(intent), s.hook
	s.mu.Unlock()
	if hook != nil && kind != "" {
		hook(kind, shown)
	}
	return status
}

func (s *Server) bySecret(secret string) Object {
	for _, i := range s.intents {
		if i.Text("client_secret") == secret && secret != "" {
			return i
		}
	}
	return nil
}

// Dispute has the buyer's bank ask for the money of a PaymentIntent back.
func (s *Server) Dispute(intentID, status string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.id("du")
	s.disputes[id] = Object{"id": id, "object": "dispute", "status": status, "payment_intent": intentID, "amount": s.intents[intentID].number("amount"), "reason": "fraudulent"}
	return id
}

// Event is what Stripe would send, signed with a secret at a time, about an object of which it says what with says.
func Event(kind string, object, with Object, secret string, at time.Time) (body []byte, signature string) {
	event := Object{
		"id": "evt_1", "object": "event", "api_version": "2020-08-27", "created": at.Unix(), "livemode": false, "type": kind,
		"data": Object{"object": object},
	}
	maps.Copy(event, with)
	body, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at})
	return body, signed.Header
}

func (s *Server) id(prefix string) string {
	s.count++
	return fmt.Sprintf("%s_%06d", prefix, s.count)
}

// ServeHTTP is Stripe's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	operation, id := operationOf(r)
	s.mu.Lock()
	s.calls[operation]++
	fault := None
	if f := s.fault; f != nil {
		s.mu.Unlock()
		fault = f(operation)
		s.mu.Lock()
	}
	switch fault {
	case Drop, Hang:
		s.mu.Unlock()
		leave(r, fault)
	case Busy:
		s.mu.Unlock()
		write(w, http.StatusTooManyRequests, problem("invalid_request_error", "rate_limit", ""))
		return
	}
	status, body, kind, object := s.answer(r, operation, id, fault == Refuse)
	hook := s.hook
	s.mu.Unlock()
	if hook != nil && kind != "" {
		hook(kind, object)
	}
	if fault == DropAfter || fault == HangAfter {
		leave(r, fault)
	}
	w.Header().Set("Request-Id", "req_1")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// leave breaks the connection, after the caller has gone if it hangs.
func leave(r *http.Request, fault Fault) {
	if fault == Hang || fault == HangAfter {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

func operationOf(r *http.Request) (operation, id string) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	if len(parts) > 1 {
		id = parts[1]
	}
	switch kind := parts[0]; {
	case kind == "payment_intents" && len(parts) == 1:
		return "create", ""
	case kind == "payment_intents" && len(parts) == 2:
		return "retrieve", id
	case kind == "payment_intents":
		return parts[2], id // confirm, cancel
	case kind == "refunds" && len(parts) == 2:
		return "retrieve refund", id
	case kind == "refunds" && r.Method == http.MethodPost:
		return "refund", ""
	case kind == "refunds":
		return "list refunds", ""
	case kind == "disputes":
		return "list disputes", ""
	}
	return "unknown", ""
}

// answer does what is asked, or repeats what its key has been answered before. kind names the event that comes of it.
func (s *Server) answer(r *http.Request, operation, id string, broken bool) (status int, body []byte, kind string, object Object) {
	key, request := r.Header.Get("Idempotency-Key"), r.Method+" "+r.URL.Path+"?"+r.Form.Encode()
	if was, is := s.answers[key]; is && r.Method == http.MethodPost {
		if was.request != request {
			return http.StatusBadRequest, encode(problem("idempotency_error", "", "")), "", nil
		}
		return was.status, was.body, "", nil
	}
	var answer any
	switch {
	case r.Header.Get("Authorization") != "Bearer "+Key:
		return http.StatusUnauthorized, encode(problem("invalid_request_error", "", "")), "", nil
	case broken:
		status, answer = http.StatusInternalServerError, problem("api_error", "", "")
	default:
		status, answer, kind, object = s.act(operation, id, r.Form)
	}
	body = encode(answer)
	if r.Method == http.MethodPost {
		s.answers[key] = kept{request, status, body}
	}
	return status, body, kind, object
}

func (s *Server) act(operation, id string, form url.Values) (status int, answer any, kind string, object Object) {
	missing := problem("invalid_request_error", "resource_missing", "intent")
	switch operation {
	case "create":
		return s.create(form)
	case "retrieve":
		if i, is := s.intents[id]; is {
			return http.StatusOK, s.expanded(i, form), "", nil
		}
		return http.StatusNotFound, missing, "", nil
	case "confirm":
		i, is := s.intents[id]
		if !is {
			return http.StatusNotFound, missing, "", nil
		}
		status, answer, kind = s.attempt(i, form.Get("payment_method"))
		return status, answer, kind, maps.Clone(i)
	case "cancel":
		i, is := s.intents[id]
		if !is {
			return http.StatusNotFound, missing, "", nil
		}
		if !slices.Contains([]string{"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}, i.Text("status")) {
			return http.StatusBadRequest, s.unexpected(i), "", nil
		}
		i["status"] = "canceled"
		return http.StatusOK, i, "payment_intent.canceled", maps.Clone(i)
	case "refund":
		return s.refund(form)
	case "retrieve refund":
		if o, is := s.refunds[id]; is {
			return http.StatusOK, o, "", nil
		}
		return http.StatusNotFound, missing, "", nil
	case "list refunds":
		return http.StatusOK, list("/v1/refunds", s.refunds, form.Get("payment_intent")), "", nil
	case "list disputes":
		return http.StatusOK, list("/v1/disputes", s.disputes, form.Get("payment_intent")), "", nil
	}
	return http.StatusNotFound, problem("invalid_request_error", "", ""), "", nil
}

func (s *Server) create(form url.Values) (status int, answer any, kind string, object Object) {
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	currency := form.Get("currency")
	switch {
	case err != nil || amount < 1:
		return http.StatusBadRequest, problem("invalid_request_error", "parameter_invalid_integer", "amount"), "", nil
	case len(currency) != 3 || currency == "xxx":
		return http.StatusBadRequest, problem("invalid_request_error", "", "currency"), "", nil
	case amount < 50:
		return http.StatusBadRequest, problem("invalid_request_error", "amount_too_small", "amount"), "", nil
	}
	id := s.id("pi")
	i := Object{
		"id": id, "object": "payment_intent", "amount": amount, "amount_received": int64(0), "currency": currency, "status": "requires_payment_method",
		"client_secret": id + "_secret_abc", "livemode": false, "metadata": metadata(form), "latest_charge": nil, "last_payment_error": nil,
	}
	s.intents[id] = i
	return http.StatusOK, i, "", nil
}

// attempt tries a PaymentMethod on a PaymentIntent.
func (s *Server) attempt(i Object, method string) (status int, answer any, kind string) {
	if !slices.Contains([]string{"requires_payment_method", "requires_confirmation", "requires_action"}, i.Text("status")) {
		return http.StatusBadRequest, s.unexpected(i), ""
	}
	switch method {
	case "pm_card_visa":
		i["status"], i["amount_received"], i["latest_charge"] = "succeeded", i["amount"], s.id("ch")
		return http.StatusOK, i, "payment_intent.succeeded"
	case "pm_card_authenticationRequired":
		i["status"] = "requires_action"
		return http.StatusOK, i, "payment_intent.requires_action"
	case "pm_sepa":
		i["status"] = "processing"
		return http.StatusOK, i, "payment_intent.processing"
	case "pm_card_chargeDeclined":
		declined := problem("card_error", "card_declined", "")
		declined["error"].(Object)["payment_intent"] = maps.Clone(i)
		i["status"], i["last_payment_error"] = "requires_payment_method", Object{"code": "card_declined", "type": "card_error"}
		return http.StatusPaymentRequired, declined, "payment_intent.payment_failed"
	}
	return http.StatusBadRequest, problem("invalid_request_error", "resource_missing", "payment_method"), ""
}

func (s *Server) unexpected(i Object) Object {
	p := problem("invalid_request_error", "payment_intent_unexpected_state", "")
	p["error"].(Object)["payment_intent"] = maps.Clone(i)
	return p
}

// expanded shows a PaymentIntent with its charge, if that is asked for.
func (s *Server) expanded(i Object, form url.Values) Object {
	charge := i.Text("latest_charge")
	if form.Get("expand[0]") != "latest_charge" || charge == "" {
		return i
	}
	shown := maps.Clone(i)
	shown["latest_charge"] = Object{
		"id": charge, "object": "charge", "amount": i["amount"], "amount_refunded": s.refundedOf(i.Text("id")), "currency": i["currency"], "payment_intent": i["id"],
	}
	return shown
}

func (s *Server) refundedOf(intentID string) (sum int64) {
	for _, r := range s.refunds {
		if r.Text("payment_intent") == intentID && r.Text("status") != "failed" && r.Text("status") != "canceled" {
			sum += r.number("amount")
		}
	}
	return sum
}

func (s *Server) refund(form url.Values) (status int, answer any, kind string, object Object) {
	i, is := s.intents[form.Get("payment_intent")]
	amount, _ := strconv.ParseInt(form.Get("amount"), 10, 64)
	switch {
	case !is:
		return http.StatusNotFound, problem("invalid_request_error", "resource_missing", "payment_intent"), "", nil
	case i.Text("status") != "succeeded":
		return http.StatusBadRequest, s.unexpected(i), "", nil
	case s.refundedOf(i.Text("id")) == i.number("amount"):
		return http.StatusBadRequest, problem("invalid_request_error", "charge_already_refunded", ""), "", nil
	case s.refundedOf(i.Text("id"))+amount > i.number("amount"):
		return http.StatusBadRequest, problem("invalid_request_error", "", "amount"), "", nil
	}
	id := s.id("re")
	r := Object{
		"id": id, "object": "refund", "amount": amount, "currency": i["currency"], "payment_intent": i["id"], "status": s.refunded, "metadata": metadata(form),
	}
	s.refunds[id] = r
	return http.StatusOK, r, "charge.refunded", Object{"id": i["latest_charge"], "object": "charge", "payment_intent": i["id"]}
}

// RefundInDashboard gives back part of a PaymentIntent without the shop.
func (s *Server) RefundInDashboard(intentID string, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refund(url.Values{"payment_intent": {intentID}, "amount": {strconv.FormatInt(amount, 10)}})
}

func metadata(form url.Values) Object {
	found := Object{}
	for name, values := range form {
		if inner, is := strings.CutPrefix(name, "metadata["); is {
			found[strings.TrimSuffix(inner, "]")] = values[0]
		}
	}
	return found
}

// list is a page of those objects that are of a PaymentIntent, the newest first.
func list(path string, from map[string]Object, intentID string) Object {
	page := []Object{}
	for _, id := range slices.Sorted(maps.Keys(from)) {
		if from[id].Text("payment_intent") == intentID {
			page = append(page, from[id])
		}
	}
	slices.Reverse(page)
	return Object{"object": "list", "url": path, "has_more": false, "data": page}
}

func problem(kind, code, param string) Object {
	e := Object{"type": kind, "message": "What Stripe says of it."}
	if code != "" {
		e["code"] = code
	}
	if param != "" {
		e["param"] = param
	}
	return Object{"error": e}
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v))
}
