package driven

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

// Post appends a request, with more lines of its head, each ended.
func Post(to []byte, address, path, token, header, body string) []byte {
	for _, text := range []string{
		"POST ", path, " HTTP/1.1\r\nHost: ", address, "\r\nAuthorization: Bearer ", token,
		"\r\n", header, "Content-Type: application/json\r\nContent-Length: ", strconv.Itoa(len(body)), "\r\n\r\n", body,
	} {
		to = append(to, text...)
	}
	return to
}

// Wire is a connection that speaks just enough HTTP to cost little beside what it measures.
type Wire struct {
	Address string // host:port
	// RetryAfter is what the last answer said, 0 if nothing.
	RetryAfter time.Duration

	conn net.Conn
	in   *bufio.Reader
	body []byte
}

// Ask sends a request that Post has made. The body is good until the next.
func (c *Wire) Ask(request []byte) (status int, body []byte, err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.Address, 5*time.Second); err != nil {
			c.conn = nil
			return 0, nil, err
		}
		c.in = bufio.NewReaderSize(c.conn, 4096)
	}
	_ = c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err = c.conn.Write(request); err == nil {
		status, body, err = c.read()
	}
	if err != nil {
		c.Close()
	}
	return status, body, err
}

func (c *Wire) read() (status int, body []byte, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, nil, errors.Join(err, errors.New("no status line"))
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length, close := -1, false
	c.RetryAfter = 0
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, nil, err
			}
		}
		if value, ok := bytes.CutPrefix(line, []byte("Retry-After: ")); ok {
			seconds, _ := strconv.Atoi(string(bytes.TrimSpace(value)))
			c.RetryAfter = time.Duration(seconds) * time.Second
		}
		close = close || bytes.HasPrefix(line, []byte("Connection: close"))
	}
	if length < 0 {
		return 0, nil, errors.New("an answer without Content-Length")
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err = io.ReadFull(c.in, c.body)
	if close {
		c.Close()
	}
	return status, c.body, err
}

// Close closes the connection; the next request opens it again.
func (c *Wire) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
