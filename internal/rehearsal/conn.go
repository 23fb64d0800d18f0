package rehearsal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const bodyMax = 1 << 20

// server is one base URL.
type server struct {
	base    *url.URL
	address string      // host:port
	tls     *tls.Config // nil: plain
}

func parseServers(urls []string, trust *tls.Config) ([]*server, error) {
	var servers []*server
	for _, raw := range urls {
		base, err := url.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("server address: %w", err)
		}
		s := &server{base: base}
		port := base.Port()
		switch base.Scheme {
		case "http":
			if port == "" {
				port = "80"
			}
		case "https":
			if port == "" {
				port = "443"
			}
			s.tls = &tls.Config{}
			if trust != nil {
				s.tls = trust.Clone()
			}
			if s.tls.ServerName == "" {
				s.tls.ServerName = base.Hostname()
			}
			s.tls.NextProtos = []string{"http/1.1"}
		default:
			return nil, fmt.Errorf("server address %q: must start with http:// or https://", raw)
		}
		if base.Hostname() == "" {
			return nil, fmt.Errorf("server address %q: no host", raw)
		}
		s.address = net.JoinHostPort(base.Hostname(), port)
		servers = append(servers, s)
	}
	return servers, nil
}

// wire is the request as bytes. Making it beforehand leaves one write to do when the buyers are released.
func (s *server) wire(method, path string, query url.Values, header http.Header, body []byte) ([]byte, error) {
	address := s.base.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequest(method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		request.Header = header.Clone()
	}
	request.Header.Set("User-Agent", userAgent)
	var b bytes.Buffer
	err = request.Write(&b)
	return b.Bytes(), err
}

const userAgent = "lastunit-rehearsal"

// conn is one keep-alive connection. http.Transport is not used for buyers because it sends a request a second time by
// itself when a connection breaks, and the rehearsal wants to know about every lost answer.
type conn struct {
	socket net.Conn
	reader *bufio.Reader
}

func (s *server) dial(ctx context.Context, timeout time.Duration) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	socket, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		secure := tls.Client(socket, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, socket.Close())
		}
		socket = secure
	}
	return &conn{socket: socket, reader: bufio.NewReaderSize(socket, 2048)}, nil
}

type response struct {
	status int
	header http.Header
	body   []byte
}

// exchange writes a request and reads its response. The connection can be used again only when reusable is true; written
// says whether the whole request left.
func (c *conn) exchange(ctx context.Context, method string, wire []byte, timeout time.Duration) (r response, written, reusable bool, err error) {
	if err := c.socket.SetDeadline(time.Now().Add(timeout)); err != nil {
		return r, false, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.socket.Write(wire); err != nil {
		return r, false, false, err
	}
	for {
		got, err := http.ReadResponse(c.reader, &http.Request{Method: method})
		if err != nil {
			return r, true, false, err
		}
		if got.StatusCode < 200 { // an interim response; the real one follows
			continue
		}
		body, err := io.ReadAll(io.LimitReader(got.Body, bodyMax+1))
		if err == nil && len(body) > bodyMax {
			err = fmt.Errorf("response longer than %d bytes", bodyMax)
		}
		if err != nil {
			return r, true, false, err
		}
		return response{status: got.StatusCode, header: got.Header, body: body}, true, !got.Close, nil
	}
}

func (c *conn) close() { _ = c.socket.Close() }
