//go:build alerts

package alerts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

// watch is a Prometheus that looks at a server each second, with the rules of deploy/prometheus, whose conditions have to hold for 2 s alone.
type watch struct{ address string }

// rules are those of deploy/prometheus: the same conditions, but for how long they have to hold.
func rules(t *testing.T) []byte {
	t.Helper()
	shipped, err := os.ReadFile("../../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^( +for: ).*$`).ReplaceAll(shipped, []byte("${1}2s"))
}

func startPrometheus(t *testing.T, target string) *watch {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("Prometheus is missing: run tools/prerequisites.sh prometheus")
	}
	address, err := driven.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\n" +
		"scrape_configs: [{job_name: lastunit, static_configs: [{targets: ['" + target + "']}]}]\n"
	for name, content := range map[string][]byte{"alerts.yml": rules(t), "prometheus.yml": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return &watch{address}
}

// get asks Prometheus, and decodes what it has found.
func (w *watch) get(ctx context.Context, path string, data any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.address+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(&struct {
		Data any `json:"data"`
	}{data})
}

// firing names the alerts that fire.
func (w *watch) firing(ctx context.Context) (all []string, err error) {
	var found struct {
		Alerts []struct {
			Labels struct {
				Name string `json:"alertname"`
			} `json:"labels"`
			State string `json:"state"`
		} `json:"alerts"`
	}
	err = w.get(ctx, "/api/v1/alerts", &found)
	for _, a := range found.Alerts {
		if a.State == "firing" && !slices.Contains(all, a.Labels.Name) {
			all = append(all, a.Labels.Name)
		}
	}
	slices.Sort(all)
	return all, err
}

// seen tells whether the server was seen for so long that conditions which look back for half a minute have seen it well.
func (w *watch) seen(ctx context.Context) bool {
	var found struct {
		Result []any `json:"result"`
	}
	return w.get(ctx, "/api/v1/query?query="+url.QueryEscape("sum_over_time(up[1m]) > 35"), &found) == nil && len(found.Result) > 0
}

// await waits, three and a half minutes at most, until what fires is as asked for.
func (w *watch) await(ctx context.Context, what string, as func(firing []string) bool) error {
	began := time.Now()
	for {
		firing, err := w.firing(ctx)
		if err == nil && as(firing) {
			return nil
		}
		if ctx.Err() != nil || time.Since(began) > 210*time.Second {
			if err == nil {
				err = fmt.Errorf("what fires is %v", firing)
			}
			return fmt.Errorf("%s: in %s it did not: %w", what, time.Since(began).Round(time.Second), err)
		}
		driven.Pause(ctx, 250*time.Millisecond)
	}
}
