//go:build alerts

package alerts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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

// firing names the alerts that fire.
func (w *watch) firing(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.address+"/api/v1/alerts", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var said struct {
		Data struct {
			Alerts []struct {
				Labels struct {
					Name string `json:"alertname"`
				} `json:"labels"`
				State string `json:"state"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		return nil, err
	}
	var all []string
	for _, a := range said.Data.Alerts {
		if a.State == "firing" && !slices.Contains(all, a.Labels.Name) {
			all = append(all, a.Labels.Name)
		}
	}
	slices.Sort(all)
	return all, nil
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
