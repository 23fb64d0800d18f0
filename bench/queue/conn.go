package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// conn is a connection of one client to one server, kept alive and dialled anew when it was lost. It costs little, since there are thousands.
type conn struct {
	address string // host:port
	key     string
	raw     net.Conn
	reader  *bufio.Reader
}

// answer is what came back, decoded as far as clients look.
type answer struct {
	status   int
	location string
	body     struct {
		ID        string    `json:"id"`
		Status    any       `json:"status"` // of a transaction a word, of a problem a number
		UnitIDs   []string  `json:"unit_ids"`
		Position  *int64    `json:"queue_position"`
		Reason    string    `json:"reason"`
		ExpiresAt time.Time `json:"expires_at"`
		Code      string    `json:"code"`
	}
	text string
}

// read keeps what can't be decoded as text, for which no sighting has room.
func (a *answer) read(text []byte) {
	a.text = string(text)
	if len(text) > 0 && json.Unmarshal(text, &a.body) != nil {
		a.body.Status, a.body.Code = "unreadable", ""
	}
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
		s.id, s.status, s.reason = a.location[strings.LastIndex(a.location, "/")+1:], "refused", a.body.Code
	}
	return s
}

// ask is a question of a buyer, or of the operator when no buyer is named.
type ask struct {
	method, path, buyer string
	header              string // more lines, each ended
	body                string
	patience            time.Duration // 15 s unless set
}

func (c *conn) send(ctx context.Context, q ask) (*http.Response, error) {
	deadline := time.Now().Add(15 * time.Second)
	if q.patience > 0 {
		deadline = time.Now().Add(q.patience)
	}
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	if c.raw == nil {
		raw, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return nil, err
		}
		c.raw = raw
		c.reader = bufio.NewReaderSize(raw, 2048)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", q.method, q.path, c.address, c.key)
	if q.buyer != "" {
		fmt.Fprintf(&b, "Buyer-Id: %s\r\n", q.buyer)
	}
	if q.body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(q.body))
	}
	fmt.Fprintf(&b, "%s\r\n%s", q.header, q.body)
	_ = c.raw.SetDeadline(deadline)
	if _, err := io.WriteString(c.raw, b.String()); err != nil {
		c.close()
		return nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.close()
	}
	return resp, err
}

func (c *conn) close() {
	if c.raw != nil {
		_ = c.raw.Close()
		c.raw, c.reader = nil, nil
	}
}

func (c *conn) do(ctx context.Context, q ask) (*answer, error) {
	resp, err := c.send(ctx, q)
	if err != nil {
		return nil, err
	}
	return c.read(resp)
}

func (c *conn) read(resp *http.Response) (*answer, error) {
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.close()
		return nil, err
	}
	if resp.Close {
		c.close()
	}
	a := &answer{status: resp.StatusCode, location: resp.Header.Get("Location")}
	a.read(text)
	return a, nil
}

var errNoStream = errors.New("no stream")

// watch reads a stream of server-sent events until tell says that it has seen enough, and returns the id of the last event. An answer
// that is no stream comes with errNoStream.
func (c *conn) watch(ctx context.Context, q ask, last string, tell func(*answer) bool) (string, *answer, error) {
	if last != "" {
		q.header += "Last-Event-ID: " + last + "\r\n"
	}
	q.header += "Accept: text/event-stream\r\n"
	resp, err := c.send(ctx, q)
	if err != nil {
		return last, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		a, err := c.read(resp)
		if err == nil {
			err = errNoStream
		}
		return last, a, err
	}
	lines := bufio.NewReaderSize(resp.Body, 512)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			c.close()
			return last, nil, err
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			last = strings.TrimSpace(id)
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		a := &answer{status: http.StatusOK}
		a.read([]byte(data))
		if tell(a) {
			_, err := io.Copy(io.Discard, lines) // to its end, so that the connection can be used again, unless it ends with the stream
			if err != nil || resp.Close {
				c.close()
			}
			return last, nil, nil
		}
	}
}
