package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// Observer is told of requests. Its functions are called once for each operation and each code, and what they return with each request: by many at once, so it
// must not wait for anything. Both must be set.
type Observer struct {
	// Operation makes what is told of each request of an operation: the status of the answer, and how long that took.
	Operation func(id string) func(status int, took time.Duration)
	// Refusal makes what is told of each problem of a code that an operation has answered.
	Refusal func(code shop.Code) func()
}

func (o *Observer) refusals() map[shop.Code]func() {
	if o == nil {
		return nil
	}
	told := map[shop.Code]func(){}
	for _, code := range codes() {
		told[code] = o.Refusal(code)
	}
	return told
}

// observed tells of each request, also of one that panics, which is answered further out; and of the problem that it was answered with.
func observed(tell func(status int, took time.Duration), refused map[shop.Code]func()) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		began, status := time.Now(), http.StatusInternalServerError
		defer func() { tell(status, time.Since(began)) }()
		next(hc)
		if code := requestOf(hc.Context()).code; code != "" {
			refused[shop.Code(code)]()
		}
		if status = hc.Status(); status == 0 { // it was written past huma
			status = http.StatusOK
		}
	}
}
