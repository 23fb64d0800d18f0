package pgdb

import (
	"context"
	"net"
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
