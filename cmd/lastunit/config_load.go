package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// settings reads a Config. The later source wins: the default, the file named by --config, the environment, the flags.
type settings struct {
	all      []setting
	environ  map[string]string
	file     string              // the flag --config
	flags    map[string][]string // what the flags said, by name
	cfg      Config
	problems []string
}

// newSettings prepares to read the settings from an environment in the form of os.Environ. A variable that is empty counts as unset.
func newSettings(environ []string, dataDir string) *settings {
	s := &settings{all: table(dataDir), environ: map[string]string{}, flags: map[string][]string{}}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value != "" {
			s.environ[name] = value
		}
	}
	return s
}

// initially gives a setting another default, before bind.
func (s *settings) initially(name, value string) {
	i := slices.IndexFunc(s.all, func(st setting) bool { return st.name == name })
	s.all[i].initial = value
}

// bind adds the flags of the named settings, or of all, and --config. The others can be set by the file and the environment
// all the same: one environment serves every command. A name that is not in the table panics.
func (s *settings) bind(fs *pflag.FlagSet, names ...string) {
	for _, name := range names {
		if !slices.ContainsFunc(s.all, func(st setting) bool { return st.name == name }) {
			panic("no setting is called " + name)
		}
	}
	for _, st := range s.all {
		if len(names) > 0 && !slices.Contains(names, st.name) {
			continue
		}
		f := fs.VarPF(&flagValue{given: s.flags, setting: st}, st.name, "", st.about)
		if st.kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	fs.StringVar(&s.file, "config", "", "A YAML `file` of settings, in the form of config.example.yml.")
}

// flagValue keeps what a flag said, to be judged together with all the other sources.
type flagValue struct {
	given   map[string][]string
	setting setting
}

func (f *flagValue) String() string { return f.setting.initial }
func (f *flagValue) Type() string   { return f.setting.kind }

func (f *flagValue) Set(v string) error {
	if !f.setting.list {
		f.given[f.setting.name] = nil
	}
	f.given[f.setting.name] = append(f.given[f.setting.name], v)
	return nil
}

// load parses the flags and reads all sources. Its error names every problem of every source, never the value of a secret;
// it is pflag.ErrHelp, after the usage was written, when --help was asked for.
func (s *settings) load(fs *pflag.FlagSet, args []string) (Config, error) {
	if err := s.parse(fs, args); errors.Is(err, pflag.ErrHelp) {
		return Config{}, err
	} else if err != nil {
		s.problem("%v", err)
	}
	return s.read()
}

// again reads all sources once more: the file may have changed.
func (s *settings) again() (Config, error) {
	s.cfg, s.problems = Config{}, nil
	return s.read()
}

func (s *settings) read() (Config, error) {
	for _, st := range s.all {
		if st.initial != "" && !st.set(&s.cfg, []string{st.initial}) {
			panic("the default of " + st.name + " is not allowed")
		}
	}
	s.readFile(cmp.Or(s.file, s.environ["LASTUNIT_CONFIG"]))
	s.readEnvironment()
	for _, st := range s.all {
		if values, ok := s.flags[st.name]; ok {
			s.apply(st, "--"+st.name, values)
		}
	}
	if s.cfg.Guests && s.cfg.JWKSURL != "" && s.cfg.BuyerSecret == "" {
		s.problem("guests needs buyer-secret beside jwks-url, to sign the tokens of guests with; or take no guests (--guests=false)")
	}
	if s.cfg.Payment == "stripe" && s.cfg.StripeKey == "" {
		s.problem("payment stripe needs stripe-key, the secret key of the account at Stripe")
	}
	var err error
	if s.cfg.Tracing, err = asksForTraces(s.environ); err != nil {
		s.problem("%v", err)
	}
	if len(s.problems) > 0 {
		return Config{}, settingsError(s.problems)
	}
	return s.cfg, nil
}

// settingsError is every problem that was found, a line each.
type settingsError []string

func (e settingsError) Error() string {
	if len(e) == 1 {
		return e[0]
	}
	return fmt.Sprintf("%d problems with the settings:\n  %s", len(e), strings.Join(e, "\n  "))
}

func (s *settings) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

func (s *settings) apply(st setting, source string, values []string) {
	switch {
	case st.set(&s.cfg, values):
	case st.secret:
		s.problem("%s must be %s", source, st.allowed)
	default:
		s.problem("%s must be %s, not %q", source, st.allowed, strings.Join(values, ", "))
	}
}

// parse goes on after a flag that is wrong, so that the next one is judged too.
func (s *settings) parse(fs *pflag.FlagSet, args []string) error {
	var known []string
	fs.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	fs.ParseErrorsAllowlist.UnknownFlagsHandling = pflag.PassUnknownFlagToArgs
	err := fs.ParseAll(args, func(f *pflag.Flag, value string) error {
		if err := fs.Set(f.Name, value); err != nil {
			s.problem("%v", err)
		}
		return nil
	})
	rest := fs.Args()
	if dash := fs.ArgsLenAtDash(); dash >= 0 {
		rest = rest[:dash]
	}
	for _, arg := range rest {
		if name, _, _ := strings.Cut(arg, "="); len(name) > 1 && name[0] == '-' {
			s.problem("%s is not a flag of this command%s", name, meant("--", strings.TrimLeft(name, "-"), known))
		}
	}
	return err
}

func (s *settings) readEnvironment() {
	if url, ok := s.environ["DATABASE_URL"]; ok && s.environ["LASTUNIT_DATABASE_URL"] == "" {
		i := slices.IndexFunc(s.all, func(st setting) bool { return st.name == "database-url" })
		s.apply(s.all[i], "DATABASE_URL", []string{url})
	}
	known := []string{"LASTUNIT_CONFIG"}
	for _, st := range s.all {
		known = append(known, st.variable())
		value, ok := s.environ[st.variable()]
		if !ok {
			continue
		}
		values := []string{value}
		if st.list {
			values = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		}
		s.apply(st, st.variable(), values)
	}
	for _, name := range slices.Sorted(maps.Keys(s.environ)) {
		if strings.HasPrefix(name, "LASTUNIT_") && !slices.Contains(known, name) && !isServiceLink(name, s.environ[name]) {
			s.problem("%s is not a setting%s", name, meant("", name, known))
		}
	}
}

// serviceLink matches what Kubernetes puts into every container near a Service that is called lastunit.
var serviceLink = regexp.MustCompile(`^LASTUNIT_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || name == "LASTUNIT_PORT" && strings.Contains(value, "://")
}

func (s *settings) readFile(name string) {
	if name == "" {
		return
	}
	content, err := os.ReadFile(name)
	if err != nil {
		s.problem("--config: %v", err)
		return
	}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return // nothing but comments
	} else if err != nil {
		// What YAML quotes, such as the name of an anchor, may be a secret that was written without quotes.
		s.problem("%s: %s", name, regexp.MustCompile(` '[^']*'`).ReplaceAllString(err.Error(), ""))
		return
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		s.problem("%s must be one document: nothing after --- is read", name)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		s.problem("%s line %d: must be lines of the form name: value", name, root.Line)
		return
	}
	var known []string
	for _, st := range s.all {
		known = append(known, st.name)
	}
	lines := map[string]int{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		source := fmt.Sprintf("%s line %d: %s", name, key.Line, key.Value)
		st := slices.Index(known, key.Value)
		switch {
		case st < 0:
			s.problem("%s is not a setting%s", source, meant("", key.Value, known))
			continue
		case lines[key.Value] > 0:
			s.problem("%s is set twice, first in line %d", source, lines[key.Value])
		}
		lines[key.Value] = key.Line
		if values, ok := scalars(value, s.all[st].list); ok {
			s.apply(s.all[st], source, values)
		} else {
			s.problem("%s must be %s", source, s.all[st].allowed)
		}
	}
}

// scalars reads one value, or a list of them where a list is meant. A name without a value is neither.
func scalars(n *yaml.Node, list bool) (values []string, ok bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return []string{n.Value}, true
	case n.Kind == yaml.SequenceNode && list:
		for _, item := range n.Content {
			value, ok := scalars(item, false)
			if !ok {
				return nil, false
			}
			values = append(values, value...)
		}
		return values, true
	}
	return nil, false
}

// meant asks whether the nearest of the known names was meant, if one is near.
func meant(prefix, name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s%s?", prefix, best)
}

// distance counts the letters to add, drop or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
