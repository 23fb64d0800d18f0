package driven

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

// Conn is a connection of one client to one server, kept alive and dialled anew when it was lost. It costs little, since there are thousands.
type Conn struct {
	Address string // host:port
	Key     string
	raw     net.Conn
	reader  *bufio.Reader
}

// Ask is a question of a buyer, or of the operator when no buyer is named.
type Ask struct {
	Method, Path, Buyer string
	Header              string // more lines, each ended
	Body                string
	Patience            time.Duration // 15 s unless set
}

// Answer is what came back.
type Answer struct {
	Status   int
	Location string
	Replayed bool
	Text     []byte
}

// Code is the code of a problem, empty for anything else.
func (a *Answer) Code() string {
	var problem struct {
		Code string `json:"code"`
	}
	if a.Status < 400 || json.Unmarshal(a.Text, &problem) != nil {
		return ""
	}
	return problem.Code
}

func (a *Answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Text) }

// Send returns the head of the answer; its body is to be read to its end before the next question.
func (c *Conn) Send(ctx context.Context, q Ask) (*http.Response, error) {
	deadline := time.Now().Add(15 * time.Second)
	if q.Patience > 0 {
		deadline = time.Now().Add(q.Patience)
	}
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	if c.raw == nil {
		raw, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", c.Address)
		if err != nil {
			return nil, err
		}
		c.raw = raw
		c.reader = bufio.NewReaderSize(raw, 2048)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", q.Method, q.Path, c.Address, c.Key)
	if q.Buyer != "" {
		fmt.Fprintf(&b, "Buyer-Id: %s\r\n", q.Buyer)
	}
	if q.Body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(q.Body))
	}
	fmt.Fprintf(&b, "%s\r\n%s", q.Header, q.Body)
	_ = c.raw.SetDeadline(deadline)
	if _, err := io.WriteString(c.raw, b.String()); err != nil {
		c.Close()
		return nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.Close()
	}
	return resp, err
}

// Close closes the connection; the next question opens it again.
func (c *Conn) Close() {
	if c.raw != nil {
		_ = c.raw.Close()
		c.raw, c.reader = nil, nil
	}
}

// Do asks and reads the answer.
func (c *Conn) Do(ctx context.Context, q Ask) (*Answer, error) {
	resp, err := c.Send(ctx, q)
	if err != nil {
		return nil, err
	}
	return c.read(resp)
}

func (c *Conn) read(resp *http.Response) (*Answer, error) {
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Close()
		return nil, err
	}
	if resp.Close {
		c.Close()
	}
	return &Answer{
		Status: resp.StatusCode, Location: resp.Header.Get("Location"), Replayed: resp.Header.Get("Idempotency-Replayed") == "true", Text: text,
	}, nil
}

// ErrNoStream comes with an answer that is no stream.
var ErrNoStream = errors.New("no stream")

// Watch reads a stream of server-sent events until tell says that it has seen enough, and returns the id of the last event.
func (c *Conn) Watch(ctx context.Context, q Ask, last string, tell func(data []byte) (enough bool)) (string, *Answer, error) {
	if last != "" {
		q.Header += "Last-Event-ID: " + last + "\r\n"
	}
	q.Header += "Accept: text/event-stream\r\n"
	resp, err := c.Send(ctx, q)
	if err != nil {
		return last, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		a, err := c.read(resp)
		if err == nil {
			err = ErrNoStream
		}
		return last, a, err
	}
	lines := bufio.NewReaderSize(resp.Body, 512)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			c.Close()
			return last, nil, err
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			last = strings.TrimSpace(id)
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if ok && tell([]byte(data)) {
			_, err := io.Copy(io.Discard, lines) // to its end, so that the connection can be used again, unless it ends with the stream
			if err != nil || resp.Close {
				c.Close()
			}
			return last, nil, nil
		}
	}
}
