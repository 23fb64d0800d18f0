package httpapi

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer makes the server of a handler, with bounds on what a connection may cost before and between requests; inTime bounds what one costs. It
// knows HTTP/1 alone, logs what it has to say of connections at level debug, and is not yet listening.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
