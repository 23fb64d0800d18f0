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
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/lastunit/lastunit/internal/httpapi"
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
}

type documentedResponse struct {
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
	resp := &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: req}
	validating.Lock()
	defer validating.Unlock()
	if valid, errs := responses().ValidateHttpResponse(req, resp); !valid {
		for _, err := range errs {
			t.Errorf("%s %s: %d %s is not as documented: %s %s %v", a.method, a.path, a.status, a.body, err.Message, err.Reason, err.SchemaValidationErrors)
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
