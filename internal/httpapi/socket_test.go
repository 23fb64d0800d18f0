package httpapi_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/httpapi"
)

// talk sends bytes on a connection of its own and returns the answers that come until the server hangs up, or has nothing more to say: what is sent ends
// with a request that closes the connection.
func (w *world) talk(t testing.TB, sent string) (answers []*http.Response, hungUp bool) {
	t.Helper()
	conn := w.dial(t)
	if _, err := io.WriteString(conn, sent); err != nil {
		return nil, true // it has hung up while we were talking
	}
	from := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			return answers, !errors.Is(err, os.ErrDeadlineExceeded)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%.60q: %v", sent, err)
		}
		for _, secret := range internals {
			if bytes.Contains(body, []byte(secret)) {
				t.Errorf("%.60q: told %q: %s", sent, secret, body)
			}
		}
		answers = append(answers, resp)
	}
}

// TestWhatNoClientSends is refused by whoever finds it first, and nothing that is hidden in it is done.
func TestWhatNoClientSends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 20)
	const good = `{"sku": "cup"}`
	bearer := "Authorization: Bearer " + token("ann") + "\r\n"
	claim := func(headers, body string) string {
		return "POST " + claimPaths[0] + " HTTP/1.1\r\nHost: shop\r\n" + bearer + headers + "\r\n" + body
	}
	hidden := claim(fmt.Sprintf("Content-Length: %d\r\nConnection: close\r\n", len(good)), good)
	look := func(version, headers string) string {
		return "GET /api/v1/products/cup " + version + "\r\n" + headers + "Connection: close\r\n\r\n"
	}
	for name, c := range map[string]struct {
		sent   string
		want   string // statuses of the answers; nothing: it hangs up
		claims int
	}{
		"two lengths":                       {claim("Content-Length: 14\r\nContent-Length: 0\r\n", good+hidden), "400", 0},
		"two lengths in one":                {claim("Content-Length: 14, 0\r\n", good+hidden), "400", 0},
		"the same length twice":             {claim("Content-Length: 14\r\nContent-Length: 14\r\nConnection: close\r\n", good), "201", 1},
		"a length with a sign":              {claim("Content-Length: +14\r\n", good+hidden), "400", 0},
		"a negative length":                 {claim("Content-Length: -1\r\n", good+hidden), "400", 0},
		"a length in hexadecimal":           {claim("Content-Length: 0xe\r\n", good+hidden), "400", 0},
		"a length of 20 digits":             {claim("Content-Length: 99999999999999999999\r\n", good+hidden), "400", 0},
		"length and chunks":                 {claim("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "e\r\n"+good+"\r\n0\r\n\r\n"+hidden), "201", 1},
		"chunks and length":                 {claim("Transfer-Encoding: chunked\r\nContent-Length: 400\r\n", "0\r\n\r\n"+hidden), "422", 0},
		"chunks with a request behind":      {claim("Transfer-Encoding: chunked\r\n", "e\r\n"+good+"\r\n0\r\n\r\n"+hidden), "201", 1},
		"chunks twice":                      {claim("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), "501", 0},
		"chunks and identity":               {claim("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+hidden), "501", 0},
		"another coding":                    {claim("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+hidden), "501", 0},
		"gzip and chunks":                   {claim("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+hidden), "501", 0},
		"a space before the colon":          {claim("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+hidden), "400", 0},
		"a header over two lines":           {claim("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+hidden), "422", 0},
		"a vertical tab in the coding":      {claim("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"+hidden), "400", 0},
		"a NUL in a header":                 {claim("X: a\x00b\r\nContent-Length: 14\r\n", good+hidden), "400", 0},
		"a header without a name":           {claim(": a\r\nContent-Length: 14\r\n", good+hidden), "400", 0},
		"a header without a colon":          {claim("GET / HTTP/1.1\r\nContent-Length: 14\r\n", good+hidden), "400", 0},
		"a chunk longer than it says":       {claim("Transfer-Encoding: chunked\r\n", "1\r\n"+good+"\r\n0\r\n\r\n"+hidden), "422", 0},
		"a chunk of a length without end":   {claim("Transfer-Encoding: chunked\r\n", strings.Repeat("f", 100)+"\r\n"+good+hidden), "422", 0},
		"endless chunk extensions":          {claim("Transfer-Encoding: chunked\r\n", "e;"+strings.Repeat("a", 8000)+"\r\n"+good+"\r\n0\r\n\r\n"), "422", 0},
		"a trailer":                         {claim("Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n", "e\r\n"+good+"\r\n0\r\nAuthorization: Bearer x\r\n\r\n"+hidden), "201", 1},
		"a length with nothing behind":      {look("HTTP/1.1", "Host: shop\r\nContent-Length: 0\r\n"), "200", 0},
		"two hosts":                         {look("HTTP/1.1", "Host: shop\r\nHost: evil\r\n"), "400", 0},
		"no host":                           {look("HTTP/1.1", ""), "400", 0},
		"a host that is none":               {look("HTTP/1.1", "Host: a b\r\n"), "400", 0},
		"HTTP/1.0":                          {look("HTTP/1.0", ""), "200", 0},
		"HTTP/1.0 with chunks":              {"POST /order/addToCart HTTP/1.0\r\n" + bearer + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "422", 0},
		"HTTP/0.9":                          {"GET /\r\n\r\n", "400", 0},
		"HTTP/3.0":                          {look("HTTP/3.0", "Host: shop\r\n"), "505", 0},
		"HTTP/1.10":                         {look("HTTP/1.10", "Host: shop\r\n"), "400", 0},
		"HTTP/2 at once":                    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "405", 0},
		"HTTP/2 by an upgrade":              {look("HTTP/1.1", "Host: shop\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), "200", 0},
		"TLS":                               {"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + strings.Repeat("\x00", 64) + "\r\n\r\n", "400", 0},
		"nonsense":                          {strings.Repeat("\xff", 500) + "\r\n\r\n", "400", 0},
		"a websocket":                       {"GET /api/v1/products/events?sku=nothing HTTP/1.1\r\nHost: shop\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "404", 0},
		"TRACE":                             {"TRACE /api/v1/cart HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nX-Secret: " + canary + "\r\n\r\n", "405", 0},
		"CONNECT":                           {"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\n\r\n", "405", 0},
		"another server's address":          {"GET http://127.0.0.1:1/api/v1/products/cup HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n", "200", 0},
		"a method without end":              {strings.Repeat("A", 100_000), "431", 0},
		"an address without end":            {"GET /" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: shop\r\n\r\n", "431", 0},
		"a header without end":              {look("HTTP/1.1", "Host: shop\r\nX: "+strings.Repeat("a", 100_000)+"\r\n"), "431", 0},
		"headers without end":               {look("HTTP/1.1", "Host: shop\r\n"+strings.Repeat("X: a\r\n", 20_000)), "431", 0},
		"thousands of parameters":           {"GET /api/v1/products?" + strings.Repeat("sku=cup&", 1500) + " HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n", "422", 0},
		"a body that is asked for first":    {claim("Expect: 100-continue\r\nContent-Length: 14\r\nConnection: close\r\n", good), "100 201", 1},
		"an expectation of something else":  {claim("Expect: 200-ok\r\nContent-Length: 14\r\n", good), "417", 0},
		"a packed body":                     {claim("Content-Encoding: gzip\r\nContent-Length: 20\r\nConnection: close\r\n", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "422", 0},
		"an address with a space":           {"GET /api/v1/products/cup evil HTTP/1.1\r\nHost: shop\r\n\r\n", "400", 0},
		"an address with a line's end":      {"GET /api/v1/products/cup%0d%0aX:1 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n", "422", 0},
		"a hundred requests, one too large": {strings.Repeat("GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n", 99) + claim("Content-Length: 99999999\r\n", strings.Repeat(" ", 300_000)), strings.Repeat("200 ", 99) + "413", 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.count(t, "SELECT count(*) FROM claim")
			answers, hungUp := w.talk(t, c.sent)
			var got []string
			for _, a := range answers {
				got = append(got, fmt.Sprint(a.StatusCode))
			}
			if strings.Join(got, " ") != strings.TrimSpace(c.want) || !hungUp {
				t.Errorf("got %v, hung up %v, want %s", got, hungUp, c.want)
			}
			if made := w.count(t, "SELECT count(*) FROM claim") - before; made != c.claims {
				t.Errorf("%d claims were made, want %d", made, c.claims)
			}
		})
	}
	w.send(t, goodClaim(claimPaths[0])).into(t, 201, nil)
}

// TestSlowloris: many who begin requests and don't get on with them, or say nothing at all, are sent away, and others are served in the meantime.
func TestSlowloris(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "cup", 500)
	var all, ready sync.WaitGroup
	began := time.Now()
	const each = 50
	ready.Add(3 * each)
	for range each {
		for _, begin := range []string{"", "GET /livez HT", "GET /livez HTTP/1.1\r\nHost: shop\r\nX: "} {
			conn := w.dial(t)
			_, _ = io.WriteString(conn, begin)
			all.Go(func() {
				ready.Done()
				stop := make(chan struct{})
				var writer sync.WaitGroup
				if begin != "" {
					writer.Go(func() {
						tick := time.NewTicker(500 * time.Millisecond)
						defer tick.Stop()
						for {
							select {
							case <-stop:
								return
							case <-tick.C:
								_, _ = io.WriteString(conn, "x")
							}
						}
					})
				}
				// The deadline of dial is far behind that of the server.
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%q was still waited for after %s", begin, time.Since(began))
				}
				close(stop)
				writer.Wait()
			})
		}
	}
	ready.Wait()
	for range 20 {
		w.send(t, goodClaim(claimPaths[0])).into(t, 201, nil)
	}
	all.Wait()
}

// TestAnswersThatNobodyReads: whoever asks on and on and reads nothing loses the connection, and a connection on which everything is read serves on behind
// the time that an answer is given.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	const writtenIn = 300 * time.Millisecond
	w := newWorldWith(t, httpapi.Options{WrittenIn: writtenIn})
	w.stocked(t, "cup", 20)
	closed := make(chan struct{}, 8)
	server := httpapi.NewServer(w.server.Config.Handler, slog.New(slog.DiscardHandler))
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
	go func() {
		for {
			if _, err := io.WriteString(conn, strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: shop\r\n\r\n", 10)); err != nil {
				return
			}
		}
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the connection is still there")
	}

	kept := w.dial(t)
	answers := bufio.NewReader(kept)
	for began := time.Now(); time.Since(began) < 2*writtenIn; {
		_, _ = io.WriteString(kept, "GET /api/v1/products/cup HTTP/1.1\r\nHost: shop\r\n\r\n")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}
