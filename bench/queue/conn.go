package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// conn is a connection whose answers are about transactions.
type conn struct{ driven.Conn }

func dial(s *driven.Service, server int) *conn {
	return &conn{driven.Conn{Address: s.Servers[server].Address, Key: s.Key}}
}

// answer is what came back, decoded as far as clients look.
type answer struct {
	driven.Answer
	body struct {
		ID        string    `json:"id"`
		Status    any       `json:"status"` // of a transaction a word, of a problem a number
		UnitIDs   []string  `json:"unit_ids"`
		Position  *int64    `json:"queue_position"`
		Reason    string    `json:"reason"`
		ExpiresAt time.Time `json:"expires_at"`
		Code      string    `json:"code"`
	}
}

// read keeps what can't be decoded as text, for which no sighting has room.
func read(was *driven.Answer) *answer {
	a := &answer{Answer: *was}
	if len(a.Text) > 0 && json.Unmarshal(a.Text, &a.body) != nil {
		a.body.Status, a.body.Code = "unreadable", ""
	}
	return a
}

// stands is the transaction's status, empty in a problem.
func (a *answer) stands() string {
	status, _ := a.body.Status.(string)
	return status
}

// about is what an answer says about a request. A refusal of an accepted one is a problem, which says where the transaction is.
func (a *answer) about() sighting {
	s := sighting{id: a.body.ID, status: a.stands(), units: strings.Join(a.body.UnitIDs, " "), reason: a.body.Reason, position: -1}
	if a.body.Position != nil {
		s.position = *a.body.Position
	}
	if a.body.Code != "" {
		s.id, s.status, s.reason = a.Location[strings.LastIndex(a.Location, "/")+1:], "refused", a.body.Code
	}
	return s
}

func (c *conn) do(ctx context.Context, q driven.Ask) (*answer, error) {
	a, err := c.Do(ctx, q)
	if err != nil {
		return nil, err
	}
	return read(a), nil
}

// watch reads a stream of a transaction's events until tell says that it has seen enough, and returns the id of the last event. An answer
// that is no stream comes with driven.ErrNoStream.
func (c *conn) watch(ctx context.Context, q driven.Ask, last string, tell func(*answer) bool) (string, *answer, error) {
	last, a, err := c.Watch(ctx, q, last, func(data []byte) bool {
		return tell(read(&driven.Answer{Status: 200, Text: data}))
	})
	if a == nil {
		return last, nil, err
	}
	return last, read(a), err
}
