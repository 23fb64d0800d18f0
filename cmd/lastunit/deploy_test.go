package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// starts is what a command would be started with, or what is wrong with its flags or its environment. It does not start it.
func starts(t *testing.T, environ []string, args ...string) (Config, error) {
	t.Helper()
	i := slices.IndexFunc(commands(), func(c command) bool { return len(args) > 0 && c.name == args[0] })
	if i < 0 {
		t.Fatalf("there is no command %q", args)
	}
	s := newSettings(environ, t.TempDir())
	flags := pflag.NewFlagSet(args[0], pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s.bind(flags)
	return s.load(flags, args[1:])
}

type composition struct {
	Services map[string]struct {
		Build       string
		Image       string
		Command     []string
		Environment map[string]string
		Volumes     []string
		Healthcheck struct{ Test []string }
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Profiles    []string
		StopGrace   time.Duration `yaml:"stop_grace_period"`
	}
	Volumes map[string]any
}

// composed is docker-compose.yml.
func composed(t *testing.T) (c composition) {
	t.Helper()
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// endsIn is how long a server may take to end: it drains, requests take their time to finish, and then the loops end.
func endsIn(cfg Config) time.Duration { return cfg.Drain + drainPatience + 10*time.Second }

// TestComposeNamesWhatThereIs: no engine is asked, but every command, setting and file that docker-compose.yml names is there.
func TestComposeNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	c := composed(t)
	plain := 0
	for name, s := range c.Services {
		if len(s.Profiles) == 0 {
			plain++
		}
		if s.Build == "." {
			var environ []string
			for k, v := range s.Environment {
				environ = append(environ, k+"="+strings.TrimSuffix(v, "${LASTUNIT_BUYER_SECRET:-}"))
			}
			cfg, err := starts(t, environ, s.Command...)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if cfg.Drain == 0 || s.StopGrace < endsIn(cfg) {
				t.Errorf("%s drains for %s and is killed after %s, but may take %s", name, cfg.Drain, s.StopGrace, endsIn(cfg))
			}
			if want := []string{"CMD", "/lastunit", "health", "--url"}; len(s.Healthcheck.Test) != 5 || !slices.Equal(s.Healthcheck.Test[:4], want) {
				t.Errorf("%s is healthy by %q", name, s.Healthcheck.Test)
			}
		} else if !strings.Contains(s.Image, ":") {
			t.Errorf("%s has no version of its image: %q", name, s.Image)
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[from]; named {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", from)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for other, d := range s.DependsOn {
			if on, is := c.Services[other]; !is || d.Condition == "service_healthy" && len(on.Healthcheck.Test) == 0 {
				t.Errorf("%s depends on %s to be %s", name, other, d.Condition)
			}
		}
	}
	if s := c.Services["lastunit"]; plain != 2 || !slices.Equal(s.Command, []string{"demo"}) {
		t.Errorf("docker compose up starts %d services, of which lastunit runs %q", plain, s.Command)
	}
	site, err := os.ReadFile("../../deploy/proxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	passed := regexp.MustCompile(`(?m)^\s+server \w+ (\w+):8080$`).FindAllStringSubmatch(string(site), -1)
	if len(passed) != 2 {
		t.Errorf("the proxy passes to %q", passed)
	}
	for _, m := range passed {
		if c.Services[m[1]].Build != "." {
			t.Errorf("the proxy passes to %s, which is no server", m[1])
		}
	}
}

// TestImagesAreMadeAlike: what the image is that a release has, and the one that is built from the sources; and what both set are settings.
func TestImagesAreMadeAlike(t *testing.T) {
	t.Parallel()
	var last []string
	for _, name := range []string{"../../Dockerfile", "../../deploy/release/Dockerfile"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		environ := regexp.MustCompile(`LASTUNIT_\w+=\S+`).FindAllString(string(text), -1)
		if _, err := starts(t, environ, "serve"); err != nil || len(environ) == 0 {
			t.Errorf("%s: %q: %v", name, environ, err)
		}
		_, image, _ := strings.Cut(string(text), "FROM scratch\n")
		run := regexp.MustCompile(`(?m)^(VOLUME|USER|ENV|EXPOSE|HEALTHCHECK|ENTRYPOINT|CMD) .*$`).FindAllString(image, -1)
		if last != nil && !slices.Equal(run, last) {
			t.Errorf("the images differ:\n%q\n%q", last, run)
		}
		last = run
	}
}

// TestTheReleaseNamesWhatThereIs: goreleaser is not asked, but what its configuration takes along is there, and it is for the systems that we say.
func TestTheReleaseNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Builds []struct {
			Main         string
			Goos, Goarch []string
		}
		Archives []struct{ Files []string }
		Images   []struct{ Dockerfile string } `yaml:"dockers_v2"`
	}
	if err := yaml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Builds) != 1 || len(r.Archives) != 1 || len(r.Images) != 1 {
		t.Fatalf("it makes %+v", r)
	}
	if b := r.Builds[0]; !slices.Equal(b.Goos, []string{"linux", "darwin"}) || !slices.Equal(b.Goarch, []string{"amd64", "arm64"}) {
		t.Errorf("it builds for %q on %q", b.Goos, b.Goarch)
	}
	for _, name := range append(r.Archives[0].Files, r.Builds[0].Main, r.Images[0].Dockerfile) {
		if found, err := filepath.Glob(filepath.Join("../..", name)); err != nil || len(found) == 0 {
			t.Errorf("there is no %s: %v", name, err)
		}
	}
}

// TestTheUnitStartsWhatThereIs: the settings of deploy/systemd are settings, and it has the time to drain.
func TestTheUnitStartsWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/systemd/lastunit.env")
	if err != nil {
		t.Fatal(err)
	}
	environ := regexp.MustCompile(`(?m)^\w+=.*$`).FindAllString(string(text), -1)
	cfg, err := starts(t, environ, "serve")
	if err != nil || len(environ) == 0 {
		t.Errorf("%q: %v", environ, err)
	}
	unit, err := os.ReadFile("../../deploy/systemd/lastunit.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^TimeoutStopSec=(\S+)$`).FindStringSubmatch(string(unit))
	if most, err := time.ParseDuration(append(m, "", "")[1]); err != nil || cfg.Drain == 0 || most < endsIn(cfg) {
		t.Errorf("it drains for %s and is killed after %q, but may take %s", cfg.Drain, m, endsIn(cfg))
	}
}

func TestSystemdTakesTheUnit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		// There is none where there is no systemd, as on macOS; what the unit says of us is checked above all the same.
		t.Skip("systemd-analyze is not installed")
	}
	unit, err := os.ReadFile("../../deploy/systemd/lastunit.service")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lastunit.service")
	here := strings.Replace(string(unit), "/usr/local/bin/lastunit", "/bin/sh", 1) // it wants the program to be there
	if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd says: %v\n%s", err, out)
	}
}
