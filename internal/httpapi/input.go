package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

// What the inputs of several operations have in common.

// Keyed is taken by everything that is done once for each key.
type Keyed struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" doc:"Makes it safe to send the request again: with the same key it is done once."`
}

// Notes are the caller's own, and shown with what they were sent for.
type Notes struct {
	Reference *string `json:"reference,omitempty" nullable:"true" minLength:"1" maxLength:"200" doc:"The caller's own name for it." example:"cart 4711"`
	Metadata  object  `json:"metadata,omitempty" doc:"An object that means nothing to lastunit and is given back as it is: at most 4 KiB."`
}

const metadataBytesAtMost = 4 << 10

// read returns the notes as the shop takes them. Refusals: Validation.
func (n Notes) read() (reference string, metadata json.RawMessage, err error) {
	if n.Reference != nil {
		reference = *n.Reference
	}
	if n.Metadata == nil {
		return reference, nil, nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(n.Metadata); err != nil {
		return "", nil, err
	}
	metadata = bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if len(metadata) > metadataBytesAtMost {
		return "", nil, invalid("body.metadata", fmt.Sprintf("must be at most %d bytes of JSON", metadataBytesAtMost))
	}
	return reference, metadata, nil
}

// invalid refuses what has one thing wrong with it.
func invalid(location, message string) *shop.Refusal {
	return &shop.Refusal{
		Code:     shop.Validation,
		Detail:   "What was sent can't be accepted. Correct what errors lists and send it again.",
		Problems: []shop.Problem{{Location: location, Message: message}},
	}
}

// optionalID reads an id in a body. Refusals: Validation.
func optionalID(location string, text *string) (*shop.ID, error) {
	if text == nil {
		return nil, nil
	}
	id, err := shop.ParseID("", *text)
	if err != nil {
		return nil, invalid(location, "must be an id of ours: a UUID")
	}
	return &id, nil
}

// unitIDs reads the ids of units. Refusals: Validation.
func unitIDs(texts []string) (ids []shop.ID, err error) {
	for i, text := range texts {
		id, err := optionalID(fmt.Sprintf("body.unit_ids[%d]", i), &text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, *id)
	}
	return ids, nil
}

// transactionIDs reads the ids of transactions. Refusals: NotFound.
func transactionIDs(texts []string) (ids []shop.ID, err error) {
	for _, text := range texts {
		id, err := shop.ParseID("transaction", text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Paged asks for a part of a list.
type Paged struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"How many at most."`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before."`
}

func badCursor() *shop.Refusal {
	r := invalid("query.cursor", "must be next_cursor of an earlier page")
	r.Detail = "The cursor is not one of ours. Start without one."
	return r
}

// id reads a cursor that is an id; the zero id where there is none. Refusals: Validation.
func (p Paged) id() (id shop.ID, err error) {
	if p.Cursor == "" {
		return id, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(text) != len(id) {
		return id, badCursor()
	}
	copy(id[:], text)
	return id, nil
}

// position reads a cursor that is a number from 0 on. Refusals: Validation.
func (p Paged) position() (int64, error) {
	if p.Cursor == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return 0, badCursor()
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return 0, badCursor()
	}
	return int64(n), nil
}

func idCursor(id shop.ID) *string { return ptr(base64.RawURLEncoding.EncodeToString(id[:])) }

func positionCursor(n int64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, n, 10))
}

// filtersMean refuses filters that are empty, which huma takes for none at all, and those of which it would take the first alone: the answer would be more
// than was asked for.
func filtersMean(hc huma.Context, names ...string) (errs []error) {
	url := hc.URL()
	query := url.Query()
	for _, name := range names {
		values, sent := query[name]
		switch {
		case sent && values[0] == "":
			errs = append(errs, &huma.ErrorDetail{Location: "query." + name, Message: "must not be empty; leave it out for all"})
		case len(values) > 1:
			errs = append(errs, &huma.ErrorDetail{Location: "query." + name, Message: "must stand there once"})
		}
	}
	return errs
}

// firstMeans refuses an empty first value of a filter that may stand there several times: huma takes it for none at all, and the answer would be everything.
func firstMeans(hc huma.Context, name string) []error {
	url := hc.URL()
	if values := url.Query()[name]; len(values) > 0 && values[0] == "" {
		return []error{&huma.ErrorDetail{Location: "query." + name + "[0]", Message: "must not be empty; leave it out for all"}}
	}
	return nil
}
