package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	bodyArrivesIn   = 5 * time.Second
	answerWrittenIn = time.Minute
	// jsonDepth is how deep a body may nest: PostgreSQL refuses some thousands, and nobody means more than a few.
	jsonDepth = 100
)

// inTime gives the body of a request bodyArrivesIn to arrive, whoever reads it: what a handler leaves unread, net/http reads before it lets
// the answer go. And it gives whoever asked writtenIn to take the answer, or each of its parts.
func (a *api) inTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			_ = connection.SetReadDeadline(time.Now().Add(bodyArrivesIn)) // can't be set where a test has no connection
		}
		if len(r.TransferEncoding) > 0 {
			// Had it a length as well, net/http has gone by the chunks and has left no trace of it. A proxy that goes by the length has sent more behind them as a
			// part of this request, which must not be taken for the next one.
			w.Header().Set("Connection", "close")
		}
		r.Body = timedBody{r.Body, connection}
		next.ServeHTTP(timedAnswer{w, connection, a.writtenIn}, r)
	})
}

// timedAnswer begins the time anew with everything that is written. net/http sends the last of it when the handler has returned, and the deadline stays.
type timedAnswer struct {
	http.ResponseWriter
	connection *http.ResponseController
	writtenIn  time.Duration
}

func (a timedAnswer) WriteHeader(status int) {
	_ = a.connection.SetWriteDeadline(time.Now().Add(a.writtenIn)) // can't be set where a test has no connection
	a.ResponseWriter.WriteHeader(status)
}

func (a timedAnswer) Write(p []byte) (int, error) {
	_ = a.connection.SetWriteDeadline(time.Now().Add(a.writtenIn))
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a timedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// timedBody lifts the deadline at its end. huma sets one of its own before it reads, and net/http takes a deadline that passes while a
// request without a body is served for a caller who left.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (b timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}

// acceptable makes the middleware that refuses a body of another type than an operation takes, if it takes one, and an Idempotency-Key that huma would
// take for none.
func (a *api) acceptable(takes string) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) { a.accept(takes, hc, next) }
}

func (a *api) accept(takes string, hc huma.Context, next func(huma.Context)) {
	r, _ := humachi.Unwrap(hc)
	if kind := r.Header.Get("Content-Type"); kind != "" && r.Method != http.MethodGet && r.Method != http.MethodDelete {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != takes {
			detail := ""
			if takes != "application/json" {
				detail = "This operation takes another type of body. Send it with Content-Type: " + takes + "."
			}
			a.write(hc, newProblem(unsupportedMediaType, detail))
			return
		}
		r.Header.Set("Content-Type", takes) // huma would not know it with capitals or spaces
	}
	keys := r.Header.Values("Idempotency-Key")
	if len(keys) > 1 || len(keys) == 1 && (keys[0] == "" || !utf8.ValidString(keys[0])) {
		a.write(hc, problemOf(&shop.Refusal{
			Code:     shop.Validation,
			Detail:   "The Idempotency-Key can't be used. Send one of 1 to 255 characters, or none.",
			Problems: []shop.Problem{{Location: "header.Idempotency-Key", Message: "must be one text of 1 to 255 characters, in UTF-8"}},
		}))
		return
	}
	next(hc)
}

// bodyless is the middleware of operations that take no body: what somebody means by one is not done, so it is refused. An empty object means nothing.
func (a *api) bodyless(hc huma.Context, next func(huma.Context)) {
	r, _ := humachi.Unwrap(hc)
	const enough = 64
	text, err := io.ReadAll(io.LimitReader(r.Body, enough))
	switch text = bytes.TrimSpace(text); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		a.write(hc, newProblem(requestTimeout, ""))
	case err != nil || len(text) > 0 && string(text) != "{}":
		a.write(hc, problemOf(invalid("body", "must be empty: this operation takes none")))
	default:
		next(hc)
	}
}

// decode is json.Unmarshal without its leniency, and with errors that may be shown to callers.
func decode(data []byte, v any) error {
	// huma decodes a body twice: into any, to validate it, and into the input.
	if _, first := v.(*any); first {
		if err := unambiguous(data); err != nil {
			return err
		}
	}
	err := json.Unmarshal(data, v)
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return notJSON(syntax.Offset)
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return fmt.Errorf("%s is not a value that this operation takes", mismatch.Field)
	case err != nil:
		return errors.New("holds a value that this operation does not take")
	}
	return nil
}

func notJSON(offset int64) error { return fmt.Errorf("is not JSON, from byte %d on", offset) }

// jsonLevel is an object or array that is being read.
type jsonLevel struct {
	names map[string]bool // nil in an array
	value bool            // the next token of an object is a value, not a name
}

// unambiguous refuses what decoders understand in different ways: text that is not UTF-8, a name that stands twice in an object, nesting
// beyond jsonDepth, and numbers and characters that PostgreSQL can't hold.
func unambiguous(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var open []jsonLevel
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil // json.Unmarshal says what is missing
		}
		if err != nil {
			return notJSON(d.InputOffset())
		}
		if number, is := token.(json.Number); is && !holdable(number) {
			return errors.New("holds a number that is too large, too small or too long")
		}
		name, isText := token.(string)
		if strings.ContainsRune(name, 0) {
			return errors.New("holds a character that can't be stored (U+0000)") // it would take the batch that it is written with along
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(open) == jsonDepth {
				return fmt.Errorf("is nested more than %d deep", jsonDepth)
			}
			open = append(open, jsonLevel{})
			if token == json.Delim('{') {
				open[len(open)-1].names = map[string]bool{}
			}
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			continue
		}
		top := &open[len(open)-1]
		if top.names == nil || top.value || !isText {
			top.value = false
			continue
		}
		if top.names[name] {
			return errors.New("has a property twice")
		}
		top.names[name], top.value = true, true
	}
}

func holdable(number json.Number) bool {
	f, err := number.Float64()
	digits, _, _ := strings.Cut(strings.ToLower(number.String()), "e")
	return err == nil && len(number) <= 1000 && (f != 0 || !strings.ContainsAny(digits, "123456789"))
}
