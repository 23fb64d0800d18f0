package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// stopPatience is how long Stop lets PostgreSQL finish its work. It has to be less than service managers and containers
// give us in turn.
const stopPatience = 8 * time.Second

// Options say where and how to run PostgreSQL. All may be left out.
type Options struct {
	// Dir is the data directory, made when there is none. The cluster is in its directory "postgres". Empty: DefaultDir().
	Dir string
	// BinDir is where initdb and postgres are. Empty: PATH and the usual places are searched, and the newest is taken.
	BinDir string
	// Database is the database that Start makes and that URL names. Empty: "lastunit".
	Database string
	// Settings are given to PostgreSQL on top of ours, and win. They are for tests (fsync=off); a shop sets none.
	Settings map[string]string
	// Logger is told what an operator should know. Nil: nobody is.
	Logger *slog.Logger

	// For tests.
	places   func() []string // instead of programPlaces
	patience time.Duration   // instead of stopPatience
}

// Server is a running PostgreSQL of ours. It is kept running until Stop: when it crashes, it is started again, at the
// same URL.
type Server struct {
	dir, cluster, socketDir string
	database                string
	programs                programs
	account                 account
	args                    []string
	logger                  *slog.Logger
	lock                    *lock
	before                  holder // who had the lock and was killed, if anybody
	reached                 bool   // the database has been used once; only supervise's goroutine looks

	patience time.Duration
	stopping context.Context // ends when Stop is called
	stop     context.CancelFunc
	done     chan struct{} // closed when nothing of it is left

	mu      sync.Mutex
	process *postmaster // nil while none runs
}

// Start starts the PostgreSQL of a data directory, making it when it is new and recovering it when it was not stopped,
// and returns when it can be used. ctx bounds the starting only, not how long the server runs. Whatever the person who
// runs it can do something about is returned as a *Problem.
//
// One process at a time has a data directory. When that process is killed, its PostgreSQL ends too: at once on Linux, with
// the next Start elsewhere.
func Start(ctx context.Context, options Options) (*Server, error) {
	s, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, options); err != nil {
		s.tidy()
		return nil, err
	}
	first := make(chan error, 1)
	go s.supervise(first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = fmt.Errorf("starting PostgreSQL: %w", context.Cause(ctx))
	}
	if err == nil {
		err = directoryProblem(s.dir, s.lock.announce(s.URL()))
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// prepare makes the data directory and takes its lock.
func prepare(options Options) (*Server, error) {
	if options.Dir == "" {
		options.Dir = DefaultDir()
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory: %w", err)
	}
	if err := makeDir(dir); err != nil {
		return nil, directoryProblem(dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err == nil {
		return nil, problemf(nil, "%s is a PostgreSQL data directory itself, lastunit keeps its own inside --data-dir: %s", dir, tryAnotherDir)
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory: %w", err)
	}
	s := &Server{
		dir:      dir,
		cluster:  filepath.Join(dir, clusterName),
		database: cmp.Or(options.Database, userName),
		logger:   cmp.Or(options.Logger, slog.New(slog.DiscardHandler)),
		patience: cmp.Or(options.patience, stopPatience),
		done:     make(chan struct{}),
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	if s.lock, s.before, err = takeLock(dir); err != nil {
		return nil, err
	}
	return s, nil
}

// makeDir makes the data directory. Root's is not private, because PostgreSQL's user has to pass through; what is in it is.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(dir, 0o700) // says what is wrong, if anything
	}
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	return os.Chmod(dir, mode) // whatever the umask
}

// begin does everything that comes before the postmaster.
func (s *Server) begin(ctx context.Context, options Options) error {
	major, err := clusterMajor(s.cluster)
	if err != nil {
		return err
	}
	if s.account, err = accountFor(s.cluster); err != nil {
		return err
	}
	if closed := s.account.barrier(s.dir); closed != "" {
		return problemf(nil, "PostgreSQL runs as %s here (it refuses to run as root), who can't enter %s: choose a --data-dir that it can, for example --data-dir /var/lib/lastunit", s.account, closed)
	}
	if s.programs, err = s.find(ctx, options, major); err != nil {
		return err
	}
	if err := removeLeftovers(s.dir); err != nil {
		return err
	}
	if major == 0 {
		if err := makeCluster(ctx, s.dir, s.programs, s.account); err != nil {
			return err
		}
	} else {
		if err := takeOver(s.cluster, s.account); err != nil {
			return err
		}
		if err := endOrphan(ctx, s.cluster, s.logger); err != nil {
			return err
		}
	}
	removeStaleSocketDir(s.before.url)
	if s.socketDir, err = makeSocketDir(s.dir, s.account); err != nil {
		return err
	}
	s.args = append([]string{"-D", s.cluster}, settings(s.socketDir, memoryBytes(), options.Settings)...)
	return nil
}

func (s *Server) find(ctx context.Context, options Options, major int) (programs, error) {
	places := programPlaces
	switch {
	case options.BinDir != "":
		dir, err := filepath.Abs(options.BinDir)
		if err != nil {
			return programs{}, err
		}
		if _, ok := installation(dir); !ok {
			return programs{}, problemf(nil, "%s doesn't have PostgreSQL's initdb and postgres: name the directory that has them, or none to have it searched for", dir)
		}
		places = func() []string { return []string{dir} }
	case options.places != nil:
		places = options.places
	}
	usable, refused := findPrograms(ctx, places(), s.account)
	return choosePrograms(usable, refused, s.cluster, major)
}

// URL connects pgx, and psql, to the database, from this machine, as the user who called Start or as root.
func (s *Server) URL() string { return urlOf(s.socketDir, s.database) }

// PID is the process id of the postmaster, or 0 while none runs.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.pid
}

// Stop ends the server and returns when it is gone. Open transactions are rolled back and all that was committed is on
// disk. It takes moments; a server that doesn't end in 8 s is ended the hard way, and recovers at its next start.
// Stop may be called more than once and from several goroutines.
func (s *Server) Stop() {
	s.stop()
	s.mu.Lock()
	process := s.process
	s.mu.Unlock()
	if process != nil && !process.end(s.patience) {
		s.logger.Warn("PostgreSQL did not stop in time and was ended the hard way; it recovers at its next start", "pid", process.pid)
	}
	<-s.done
}

// tidy removes what only a running server needs, and lets go of the data directory.
func (s *Server) tidy() {
	s.stop()
	if s.socketDir != "" {
		removeSocketDir(s.socketDir)
	}
	s.lock.release()
}
