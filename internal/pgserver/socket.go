package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// longestSocketPath is what fits into a socket address: 107 bytes on Linux, 103 elsewhere.
const longestSocketPath = 103

func socketFile(socketDir string) string { return filepath.Join(socketDir, ".s.PGSQL."+port) }

// makeSocketDir makes the directory with the way in, for the account alone. It lies in the data directory, or in the
// directory for temporary files when the path would be too long, or can't be written in a connection string.
func makeSocketDir(dir string, who account) (string, error) {
	socketDir := filepath.Join(dir, "socket")
	if len(socketFile(socketDir)) > longestSocketPath || strings.ContainsAny(socketDir, `,"'\`) {
		return makeShortSocketDir(who)
	}
	if err := os.RemoveAll(socketDir); err != nil {
		return "", directoryProblem(dir, err)
	}
	if err := os.Mkdir(socketDir, 0o700); err != nil {
		return "", directoryProblem(dir, err)
	}
	return socketDir, who.own(socketDir)
}

const shortPrefix = "lastunit-"

func makeShortSocketDir(who account) (string, error) {
	above := filepath.Clean(os.TempDir())
	if len(above) > 60 || strings.ContainsAny(above, `,"'\`) || who.barrier(above) != "" {
		above = "/tmp"
	}
	socketDir, err := os.MkdirTemp(above, shortPrefix)
	if err != nil {
		return "", fmt.Errorf("making a directory for the socket: %w", directoryProblem(above, err))
	}
	return socketDir, who.own(socketDir)
}

// removeStaleSocketDir removes the short directory of a server that was killed. A copied data directory names the one of
// the server that it was copied from, which may be alive.
func removeStaleSocketDir(address string) {
	socketDir := socketDirOf(address)
	if !strings.HasPrefix(filepath.Base(socketDir), shortPrefix) {
		return
	}
	conn, err := net.Dial("unix", socketFile(socketDir))
	if err == nil {
		conn.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		removeSocketDir(socketDir)
	}
}

// removeSocketDir removes what makeSocketDir made and PostgreSQL put there, and nothing else.
func removeSocketDir(socketDir string) {
	os.Remove(socketFile(socketDir))
	os.Remove(socketFile(socketDir) + ".lock")
	os.Remove(socketDir)
}

// urlOf is read by pgx and by psql alike. It names the port, because both would otherwise take it from PGPORT. A space
// has to be %20: psql takes a plus sign for what it is.
func urlOf(socketDir, database string) string {
	segments := strings.Split(socketDir, "/")
	for i, segment := range segments {
		segments[i] = escape(segment)
	}
	return "postgres:///" + escape(database) + "?host=" + strings.Join(segments, "/") + "&port=" + port + "&user=" + userName
}

func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

func socketDirOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Query().Get("host")
}
