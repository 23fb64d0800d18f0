// Command lastunit is the service and everything that goes with it: see `lastunit help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if _, set := os.LookupEnv("GOGC"); !set {
		// Requests leave much garbage beside a heap of a few MiB, which at Go's own 100 % is collected dozens of times a second.
		debug.SetGCPercent(400)
	}
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, errBroken) {
			fmt.Fprintln(os.Stderr, "lastunit:", err)
		}
		os.Exit(1)
	}
}

// errBroken ends a command that has already said what is wrong, with exit code 1.
var errBroken = errors.New("something is broken")

// environment is what a command may use of the world.
type environment struct {
	args           []string
	settings       *settings
	flags          *pflag.FlagSet
	stdout, stderr io.Writer
	level          slog.LevelVar // of the log
}

// load parses the flags of a command and the named settings, or all, and returns them with the arguments that are left. It returns
// pflag.ErrHelp when help was asked for and given.
func (e *environment) load(least, most int, names ...string) (Config, []string, error) {
	e.settings.bind(e.flags, names...)
	cfg, err := e.settings.load(e.flags, e.args)
	if err != nil {
		return Config{}, nil, err
	}
	rest := e.flags.Args()
	if len(rest) < least || most >= 0 && len(rest) > most {
		return Config{}, nil, fmt.Errorf("%s does not take the arguments %q; see lastunit %s --help", e.flags.Name(), rest, e.flags.Name())
	}
	return cfg, rest, nil
}

type command struct {
	name, usage, about string
	run                func(ctx context.Context, e *environment) error
}

func commands() []command {
	return []command{
		{"serve", "", "run the service", serve},
		{"demo", "", "run the service with a small catalogue in stock, and say how to buy", demo},
		{"rehearse", "", "play the 12.12 event and judge what came of it", rehearse},
		{"doctor", "", "say what is wrong with the database and the settings, and how to mend it", examine},
		{"audit", "", "check that nothing was lost, and with --repair put right what was", audit},
		{"report", "--sale ID", "what has become of a sale, as a page to mail", saleReport},
		{"import", "FILE", "bring products and stock in from CSV; - is standard input", importSheet},
		{"export", "products | units", "write products or units as CSV", exportSheet},
		{"key", "create --name N --scope S... | list | revoke ID", "API keys for operators and back ends", key},
		{"token", "buyer ID...", "tokens for buyers, one a line", token},
		{"migrate", "up | down | status", "the schema of the database", migrate},
		{"openapi", "", "write the OpenAPI document", openapi},
		{"config", "", "write config.example.yml", example},
		{"health", "", "ask a running service whether it is ready", health},
		{"version", "", "say which version this is", version},
	}
}

// run is the whole program, with everything that it may use of the world as arguments.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		usage(stdout)
		return nil
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
		flags.SetOutput(stderr)
		flags.SortFlags = false
		flags.Usage = func() {
			fmt.Fprintf(stdout, "lastunit %s: %s\n\nusage: %s [flags]\n\n%s", c.name, c.about, strings.TrimSpace("lastunit "+c.name+" "+c.usage), flags.FlagUsages())
		}
		err := c.run(ctx, &environment{
			args: args[1:], settings: newSettings(environ, defaultDataDir()), flags: flags, stdout: stdout, stderr: stderr,
		})
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	return fmt.Errorf("there is no command %q; lastunit help lists them", args[0])
}

func usage(w io.Writer) {
	fmt.Fprint(w, "lastunit sells every unit exactly once.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  lastunit %-9s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, "\nlastunit COMMAND --help tells more. Start with: lastunit demo\n")
}
