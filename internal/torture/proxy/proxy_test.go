package proxy_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/torture/proxy"
)

// echo answers each line with itself, and counts the lines that arrive.
func echo(t *testing.T) (string, *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	heard := &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				piece := make([]byte, 1024)
				for {
					n, err := c.Read(piece)
					if err != nil {
						return
					}
					heard.Add(1)
					if _, err := c.Write(piece[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), heard
}

func before(t *testing.T, aim string) (*proxy.Proxy, *atomic.Int64) {
	target, heard := echo(t)
	p, err := proxy.New("127.0.0.1:0", target, []byte(aim))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, heard
}

// ask sends a line on a new connection and returns all that comes back within a moment, and whether the connection was ended.
func ask(t *testing.T, p *proxy.Proxy, line string) (string, bool) {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		return "", true
	}
	defer c.Close()
	if _, err := io.WriteString(c, line); err != nil {
		return "", true
	}
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	got, err := io.ReadAll(c)
	return string(got), err == nil || !isTimeout(err)
}

func isTimeout(err error) bool {
	n, is := err.(net.Error) //nolint:errorlint // what net returns, as it is
	return is && n.Timeout()
}

func TestConnectionsAreCutWhereTheyAreMeantToBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		cut   proxy.Cut
		gets  string
		heard int64
	}{{"before", proxy.Before, "", 0}, {"after", proxy.After, "", 1}, {"amid", proxy.Amid, "commit"[:3], 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, heard := before(t, "commit")
			p.Arm(c.cut, 1)
			if got, ended := ask(t, p, "other"); got != "other" || ended {
				t.Errorf("what is not aimed at got %q, ended %t", got, ended)
			}
			n := heard.Load()
			if got, ended := ask(t, p, "commit"); got != c.gets || !ended {
				t.Errorf("got %q, ended %t", got, ended)
			}
			if heard.Load()-n != c.heard {
				t.Errorf("%d arrived, want %d", heard.Load()-n, c.heard)
			}
			if got, ended := ask(t, p, "commit"); got != "commit" || ended || p.Cuts() != 1 {
				t.Errorf("the next got %q, ended %t; %d cuts", got, ended, p.Cuts())
			}
		})
	}
}

func TestABlackHoleSaysNothingAndHealsAgain(t *testing.T) {
	t.Parallel()
	p, heard := before(t, "")
	p.Deafen(true)
	if got, ended := ask(t, p, "hello"); got != "" || ended || heard.Load() != 0 {
		t.Errorf("got %q, ended %t, %d arrived", got, ended, heard.Load())
	}
	p.Heal()
	if got, ended := ask(t, p, "hello"); got != "hello" || ended {
		t.Errorf("got %q, ended %t", got, ended)
	}
	p.Refuse(true)
	if got, ended := ask(t, p, "hello"); got != "" || !ended {
		t.Errorf("got %q, ended %t", got, ended)
	}
}

func TestAllConnectionsAreCutAtOnce(t *testing.T) {
	t.Parallel()
	p, _ := before(t, "")
	var open []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.CutAll(); n != 3 || p.Cuts() != 3 {
		t.Errorf("%d were cut, %d counted", n, p.Cuts())
	}
	for _, c := range open {
		if _, err := io.ReadAll(c); isTimeout(err) {
			t.Error("one is still open")
		}
	}
}
