package pgdb

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// tooManyGone is how the pool says that all connections that it had, and one that was made anew, were gone when they were to be used: it has no error of its own for that.
const tooManyGone = "pgxpool: too many failed attempts acquiring connection; likely bug in PrepareConn, BeforeAcquire, or ShouldPing hook"

// isConnectionError tells whether err comes from the way to the server and not from the server. Contexts that ended count as
// well: pgx closes the connection then, and the server rolls back.
func isConnectionError(err error) bool {
	var connectErr *pgconn.ConnectError
	var netErr net.Error
	return errors.As(err, &connectErr) ||
		errors.As(err, &netErr) ||
		errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) ||
		pgconn.SafeToRetry(err) ||
		err.Error() == "conn closed" ||
		strings.HasSuffix(err.Error(), tooManyGone)
}
