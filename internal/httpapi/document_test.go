package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

// document is openapi.json, as much of it as the tests look at.
type document struct {
	Paths map[string]map[string]documentedOperation `json:"paths"`
}

type documentedOperation struct {
	OperationID string                        `json:"operationId"`
	Summary     string                        `json:"summary"`
	Description string                        `json:"description"`
	Tags        []string                      `json:"tags"`
	Security    []map[string][]string         `json:"security"`
	Responses   map[string]documentedResponse `json:"responses"`
	Parameters  []parameter                   `json:"parameters"`
}

type parameter struct {
	Name     string         `json:"name"`
	In       string         `json:"in"`
	Required bool           `json:"required"`
	Schema   map[string]any `json:"schema"`
}

type documentedResponse struct {
	Headers map[string]struct {
		Schema map[string]any `json:"schema"`
	} `json:"headers"`
	Content map[string]struct {
		Schema   map[string]any `json:"schema"`
		Examples map[string]struct {
			Value httpapi.Problem `json:"value"`
		} `json:"examples"`
	} `json:"content"`
}

// problems lists the codes that the document gives an operation for a status.
func (o documentedOperation) problems(status string) []string {
	return slices.Collect(maps.Keys(o.Responses[status].Content["application/problem+json"].Examples))
}

var openAPI = sync.OnceValue(func() (d document) {
	if err := json.Unmarshal(serveAlone("/openapi.json"), &d); err != nil {
		panic(err)
	}
	return d
})

// serveAlone gets a page of a service that has no shop.
func serveAlone(path string) []byte {
	handler, err := httpapi.New(context.Background(), nil, httpapi.Options{
		Buyers: httpapi.Buyers{Secret: []byte(buyerSecret)}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
	return recorder.Body.Bytes()
}

// operationAt finds the operation of a request; ok is false where the document has none.
func operationAt(method, path string) (o documentedOperation, ok bool) {
	if o, ok = openAPI().Paths[path][strings.ToLower(method)]; ok {
		return o, true // before templates that it matches as well
	}
	for template, operations := range openAPI().Paths {
		if o, ok = operations[strings.ToLower(method)]; ok && matches(template, path) {
			return o, true
		}
	}
	return documentedOperation{}, false
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") && g != "" })
}

var responses = sync.OnceValue(func() validator.Validator {
	parsed, err := libopenapi.NewDocument(serveAlone("/openapi.json"))
	if err != nil {
		panic(err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		panic(errs[0])
	}
	return v
})

var validating sync.Mutex

// documented holds an answer against the document: its status, its problem code and the schema of its body.
func documented(t testing.TB, req *http.Request, a answer) {
	t.Helper()
	o, ok := operationAt(a.method, a.path)
	if !ok {
		return
	}
	var p httpapi.Problem
	if a.status >= 400 && json.Unmarshal(a.body, &p) == nil && !slices.Contains(o.problems(strconv.Itoa(a.status)), p.Code) {
		t.Errorf("%s %s: the document does not list the problem %d %s", a.method, a.path, a.status, p.Code)
	}
	if media := a.header.Get("Content-Type"); media == "application/jsonl" {
		if _, has := o.Responses[strconv.Itoa(a.status)].Content[media]; !has {
			t.Errorf("%s %s: the document does not list %s", a.method, a.path, media)
		}
		return // the validator takes it for one JSON text
	}
	resp := &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: req}
	validating.Lock()
	defer validating.Unlock()
	if valid, errs := responses().ValidateHttpResponse(req, resp); !valid {
		for _, err := range errs {
			t.Errorf("%s %s: %d %.500s is not as documented: %s %s %v", a.method, a.path, a.status, a.body, err.Message, err.Reason, err.SchemaValidationErrors)
		}
	}
}

func TestDocumentIsCommitted(t *testing.T) {
	t.Parallel()
	made, err := httpapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Error("openapi.yaml differs from the code: run make generate")
	}
}

// TestDocumentIsWhole: everything that a reader of the document, or a program made from it, looks for is there.
func TestDocumentIsWhole(t *testing.T) {
	t.Parallel()
	known, ids := knownCodes(t), map[string]bool{}
	for path, operations := range openAPI().Paths {
		for method, o := range operations {
			name := method + " " + path
			if o.OperationID == "" || ids[o.OperationID] {
				t.Errorf("%s: the operationId %q is empty or another's", name, o.OperationID)
			}
			ids[o.OperationID] = true
			if o.Summary == "" || o.Description == "" || len(o.Tags) == 0 {
				t.Errorf("%s lacks a summary, a description or tags", name)
			}
			if o.Security == nil {
				t.Errorf("%s does not say who may call it", name)
			}
			success := false
			for status, r := range o.Responses {
				success = success || status[0] == '2'
				if status[0] == '2' {
					continue
				}
				problems := r.Content["application/problem+json"]
				if problems.Schema["$ref"] != "#/components/schemas/Problem" || len(problems.Examples) == 0 {
					t.Errorf("%s: %s is no problem with examples", name, status)
				}
				for code, example := range problems.Examples {
					p := example.Value
					if !known[code] || p.Code != code || p.Type != "/problems/"+code || strconv.Itoa(p.Status) != status || p.Title == "" || p.Detail == "" {
						t.Errorf("%s: the example %s of %s is %+v", name, code, status, p)
					}
				}
			}
			if !success {
				t.Errorf("%s has no success", name)
			}
		}
	}
}

// TestDocumentOfTheQueue: what is queued, decided and refused in its turn has its status, its headers and its body.
func TestDocumentOfTheQueue(t *testing.T) {
	t.Parallel()
	for i, path := range claimPaths {
		o, _ := operationAt("POST", path)
		always := []string{"Idempotency-Replayed", "Location"}
		if i == 1 {
			always = append(always, "Preference-Applied")
		}
		for status, want := range map[string][]string{"201": always, "202": append([]string{"Retry-After"}, always...), "409": append([]string{"Retry-After"}, always...)} {
			got := slices.Sorted(maps.Keys(o.Responses[status].Headers))
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("%s: %s has the headers %v, want %v", path, status, got, want)
			}
			if status < "400" && o.Responses[status].Content["application/json"].Schema["$ref"] != "#/components/schemas/Transaction" {
				t.Errorf("%s: %s is no transaction", path, status)
			}
			if after, has := o.Responses[status].Headers["Retry-After"]; has && after.Schema["type"] != "integer" {
				t.Errorf("%s: %s has the Retry-After %v", path, status, after)
			}
		}
		if got := o.problems("429"); !slices.Equal(got, []string{"too-many-requests"}) {
			t.Errorf("%s: 429 is %v", path, got)
		}
	}
	watch, _ := operationAt("GET", "/api/v1/transaction/a/events")
	events, none := watch.Responses["200"], watch.Responses["204"]
	if schema := events.Content["text/event-stream"].Schema; len(events.Content) != 1 || schema["type"] != "array" {
		t.Errorf("events are %+v", events)
	}
	if _, has := watch.Responses["204"]; !has || len(none.Content) != 0 {
		t.Errorf("204 is %+v", none)
	}
}

// TestDocumentOfKeys: everything that changes something can be sent again safely, and the answer tells when it was.
func TestDocumentOfKeys(t *testing.T) {
	t.Parallel()
	for path, operations := range openAPI().Paths {
		for method, o := range operations {
			takes := false
			for _, p := range o.Parameters {
				if p.Name == "Idempotency-Key" && p.In == "header" && !p.Required && p.Schema["minLength"] == 1.0 && p.Schema["maxLength"] == 255.0 {
					takes = true
				}
			}
			if want := (method == "post" || method == "patch") && o.OperationID != "startSession" && o.OperationID != "stripeWebhook"; takes != want {
				t.Errorf("%s %s takes an Idempotency-Key: %t, want %t", method, path, takes, want)
			}
			for status, r := range o.Responses {
				if _, tells := r.Headers["Idempotency-Replayed"]; takes && status[0] == '2' && !tells {
					t.Errorf("%s %s: %s has no Idempotency-Replayed", method, path, status)
				}
			}
			if reused := slices.Contains(o.problems("422"), "idempotency-key-reused"); reused != takes {
				t.Errorf("%s %s: idempotency-key-reused is listed: %t", method, path, reused)
			}
		}
	}
}

// knownCodes reads the codes from the page that lists them.
func knownCodes(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, link := range regexp.MustCompile(`href="/problems/([a-z-]+)"`).FindAllSubmatch(serveAlone("/problems"), -1) {
		known[string(link[1])] = true
	}
	return known
}

var httpCodes = []shop.Code{"method-not-allowed", "request-timeout", "payload-too-large", "unsupported-media-type", "internal"}

func TestProblemPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := knownCodes(t)
	listed := map[string]bool{"method-not-allowed": true} // no operation has it: it is for addresses
	for _, operations := range openAPI().Paths {
		for _, o := range operations {
			for status := range o.Responses {
				for _, code := range o.problems(status) {
					listed[code] = true
				}
			}
		}
	}
	all := slices.Concat(shop.Codes(), httpCodes)
	for _, code := range all {
		a := w.send(t, request{method: "GET", path: "/problems/" + string(code)}).into(t, 200, nil)
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
			t.Errorf("the page of %s has the type %q", code, got)
		}
		if !bytes.Contains(a.body, []byte(code)) || len(a.body) < 500 {
			t.Errorf("the page of %s says nothing: %s", code, a.body)
		}
		offline(t, a)
		if !listed[string(code)] {
			t.Errorf("no operation of the document has the problem %s", code)
		}
		if !known[string(code)] {
			t.Errorf("/problems does not list %s", code)
		}
	}
	if len(known) != len(all) {
		t.Errorf("/problems lists %v, want %v", slices.Sorted(maps.Keys(known)), all)
	}
	w.send(t, request{method: "GET", path: "/problems/" + canary}).refused(t, 404, "not-found")
}

func TestTheGuideHasEveryProblem(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, line := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d{3}) \\|").FindAllSubmatch(text, -1) {
		code := string(line[1])
		listed[code] = true
		if page := serveAlone("/problems/" + code); !bytes.Contains(page, append([]byte("HTTP "), line[2]...)) {
			t.Errorf("%s has another status than %s: %s", code, line[2], page)
		}
	}
	if known := knownCodes(t); !maps.Equal(listed, known) {
		t.Errorf("the guide lists %v, want %v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(known)))
	}
}

var (
	elsewhere = regexp.MustCompile(`(?i)(?:src|href|action)\s*=\s*["']?(?:https?:)?//|@import|url\(\s*["']?(?:https?:)?//`)
	asset     = regexp.MustCompile(`(?:src|href)="(\S+\.(?:js|css))"`)
)

// offline holds that a page loads nothing from elsewhere.
func offline(t *testing.T, page answer) {
	t.Helper()
	if found := elsewhere.Find(page.body); found != nil {
		t.Errorf("%s refers to elsewhere: %s", page.path, found)
	}
}

func TestDocsWorkOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.send(t, request{method: "GET", path: "/docs/"}).into(t, 200, nil)
	offline(t, page)
	if !bytes.Contains(page.body, []byte("/openapi.json")) {
		t.Errorf("the page does not show our document: %s", page.body)
	}
	assets := asset.FindAllSubmatch(page.body, -1)
	if len(assets) == 0 {
		t.Errorf("the page has no scripts: %s", page.body)
	}
	for _, found := range assets {
		a := w.send(t, request{method: "GET", path: string(found[1])})
		if a.status != 200 || len(a.body) == 0 {
			t.Errorf("GET %s: got %d", found[1], a.status)
		}
		if strings.HasSuffix(a.path, ".css") {
			offline(t, a)
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made, err := httpapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	if a := w.send(t, request{method: "GET", path: "/openapi.yaml"}).into(t, 200, nil); !bytes.Equal(a.body, made) {
		t.Error("/openapi.yaml is not the document")
	}
	var version struct {
		OpenAPI string `json:"openapi"`
	}
	if w.send(t, request{method: "GET", path: "/openapi.json"}).into(t, 200, &version); !strings.HasPrefix(version.OpenAPI, "3.1") {
		t.Errorf("the document is OpenAPI %q, want 3.1", version.OpenAPI)
	}
}
