package pgdb

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A connection to a host that has gone without a word is lost after some 10 s: keepAlive finds it where nothing is under way, loseAfter where something is.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}

// dial dials for connections that don't linger when nobody answers on them.
func dial(within time.Duration) pgconn.DialFunc {
	d := &net.Dialer{Timeout: within, KeepAliveConfig: keepAlive, Control: loseAfter}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if deadline, ends := ctx.Deadline(); ends && time.Until(deadline) > within {
			_ = c.SetDeadline(time.Now().Add(linger)) // no connection is given so long: it is to carry a request to cancel what another one does
		}
		if socket, is := c.(syscall.Conn); is {
			if raw, err := socket.SyscallConn(); err == nil {
				c = prompt{c, raw}
			}
		}
		return brief{c}, nil
	}
}

// linger is how long a connection that is given up may take to end.
const linger = time.Second

// brief ends within linger. When the context of a call has ended, pgx waits for 15 s on a connection for its server to end it as well, and the pool has a place less as long: with
// a server that says nothing any more that is all of them. Nothing else sets a deadline that is ahead.
type brief struct{ net.Conn }

func (b brief) SetDeadline(t time.Time) error {
	if soon := time.Now().Add(linger); t.After(soon) {
		t = soon
	}
	return b.Conn.SetDeadline(t)
}

// prompt reads an answer as soon as it is there, also where thousands of requests arrive. Go's scheduler hears of what can be read when it has nothing else to do, of so many sockets at a
// time: PostgreSQL's answer would wait behind everybody who is about to be refused, and a batch at each of its round trips, until next to nobody is served.
type prompt struct {
	net.Conn
	raw syscall.RawConn
}

// idle is how soon who gives way has their turn again where there is not much to do. The scheduler hears of an answer at once there.
const idle = 100 * time.Microsecond

// Read looks for itself, and gives way to others in between, for as long as that takes.
func (p prompt) Read(into []byte) (n int, err error) {
	for {
		failed := p.raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), into)
			return true // do not wait
		})
		switch {
		case failed != nil: // such as a deadline
			return 0, failed
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, &net.OpError{Op: "read", Net: p.LocalAddr().Network(), Source: p.LocalAddr(), Addr: p.RemoteAddr(), Err: os.NewSyscallError("read", err)}
		case n == 0 && len(into) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
		began := time.Now()
		runtime.Gosched()
		if time.Since(began) < idle {
			return p.Conn.Read(into)
		}
	}
}
