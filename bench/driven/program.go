// Package driven starts the built lastunit as its users do, kills it, asks it over HTTP and looks at what it left: what the programs under
// bench have in common. It knows nothing of what they are to show.
package driven

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrBroken ends a scenario that has printed its findings.
var ErrBroken = errors.New("an invariant broke")

// Scenario is run with the path of the built lastunit.
type Scenario func(ctx context.Context, binary string) error

// Program is a command of several scenarios.
type Program struct {
	Name    string
	Usage   string
	Timeout time.Duration // unless -timeout says otherwise
	// Scenario defines the flags of a scenario and returns it, nil when there is none of that name.
	Scenario func(name string, f *flag.FlagSet) Scenario
}

// Main runs the scenario that the command line names, and exits.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, p.Name+":", err)
		stop()
		os.Exit(1)
	}
}

func (p Program) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no scenario\n\n" + p.Usage)
	}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	binary := f.String("lastunit", "", "the program, if it is not to be built")
	timeout := f.Duration("timeout", p.Timeout, "when to give up")
	scenario := p.Scenario(args[0], f)
	if scenario == nil {
		return fmt.Errorf("there is no scenario %q\n\n%s", args[0], p.Usage)
	}
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	path := *binary
	if path == "" {
		var err error
		if path, err = Built(); err != nil {
			return err
		}
		defer RemoveBuilt()
	}
	return scenario(ctx, path)
}

// Built builds lastunit, once, and returns where it is.
var Built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lastunit-build-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lastunit")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/lastunit/lastunit/cmd/lastunit").CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("build lastunit: %w: %s", err, out)
	}
	return path, nil
})

// RemoveBuilt removes what Built has built.
func RemoveBuilt() {
	if path, err := Built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
}

// Findings are the invariants that were broken.
type Findings []string

// Add notes one.
func (f *Findings) Add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// First are so many of them, with how many there are besides.
func (f Findings) First(most int) []string {
	if len(f) <= most {
		return f
	}
	return append(append([]string{}, f[:most]...), fmt.Sprintf("and %d more", len(f)-most))
}
