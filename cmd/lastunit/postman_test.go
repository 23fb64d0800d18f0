package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	postmanCollection  = "../../docs/postman/lastunit.postman_collection.json"
	postmanEnvironment = "../../docs/postman/lastunit-demo.postman_environment.json"
)

// folder is a part of a Postman collection: folders, and requests, which have no items of their own.
type folder struct {
	Name string   `json:"name"`
	Item []folder `json:"item"`
}

func (f folder) requests() []string {
	if f.Item == nil {
		return []string{f.Name}
	}
	var names []string
	for _, item := range f.Item {
		names = append(names, item.requests()...)
	}
	return names
}

// newmanReport is what newman's JSON reporter writes, as far as the tests look.
type newmanReport struct {
	Run struct {
		Stats struct {
			Assertions struct {
				Total int `json:"total"`
			} `json:"assertions"`
		} `json:"stats"`
		Executions []struct {
			Item struct {
				Name string `json:"name"`
			} `json:"item"`
			Assertions []json.RawMessage `json:"assertions"`
		} `json:"executions"`
		Failures []struct {
			Source struct {
				Name string `json:"name"`
			} `json:"source"`
			Error struct {
				Test    string `json:"test"`
				Message string `json:"message"`
			} `json:"error"`
		} `json:"failures"`
	} `json:"run"`
}

// newman runs a collection as `newman run` does, and fails the test for each of its assertions that fails.
func newman(t *testing.T, collection string, variables map[string]string) newmanReport {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("newman needs Node.js 20 or newer, which is not on the PATH: get it from https://nodejs.org/")
	}
	program := filepath.Join("..", "..", "tools", "node_modules", "newman", "bin", "newman.js")
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		t.Fatal("newman is not installed: run `npm ci --prefix tools`, or `make test`, which does it")
	}
	file := filepath.Join(t.TempDir(), "report.json")
	args := []string{
		program, "run", collection, "--environment", postmanEnvironment, "--timeout-request", "30000", "--timeout", "180000",
		"--reporters", "json", "--reporter-json-export", file,
	}
	for name, value := range variables {
		args = append(args, "--env-var", name+"="+value)
	}
	out, exit := exec.Command(node, args...).CombinedOutput()
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("newman left no report: %v\n%s", exit, out)
	}
	var report newmanReport
	readJSON(t, file, &report)
	for _, f := range report.Run.Failures {
		t.Errorf("%s: %s: %s", f.Source.Name, f.Error.Test, f.Error.Message)
	}
	if exit != nil && len(report.Run.Failures) == 0 {
		t.Errorf("newman: %v\n%s", exit, out)
	}
	return report
}

func TestThePostmanCollectionRunsAgainstTheDemo(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := start(t, "demo", dir)
	key, err := os.ReadFile(filepath.Join(dir, "demo-key"))
	if err != nil {
		t.Fatal(err)
	}
	report := newman(t, postmanCollection, map[string]string{
		"base_url":     p.address,
		"buyer_token":  strings.TrimSpace(output(t, "token", "buyer", "ann", "--data-dir", dir)),
		"operator_key": strings.TrimSpace(string(key)),
	})
	if report.Run.Stats.Assertions.Total == 0 {
		t.Error("newman counts no assertion")
	}
	asserted := map[string]int{}
	for _, e := range report.Run.Executions {
		asserted[e.Item.Name] += len(e.Assertions)
	}
	var collection folder
	readJSON(t, postmanCollection, &collection)
	for _, name := range collection.requests() {
		if asserted[name] == 0 {
			t.Errorf("the request %q asserts nothing, or was not sent", name)
		}
	}
	if out := output(t, "audit", "--data-dir", dir); !strings.Contains(out, "nothing is broken") {
		t.Errorf("audit: %s", out)
	}
}

func TestThePostmanEnvironmentIsForTheDemoAndHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var environment struct {
		Values []struct {
			Key, Value, Type string
		}
	}
	readJSON(t, postmanEnvironment, &environment)
	found := map[string]bool{}
	for _, v := range environment.Values {
		found[v.Key] = true
		if v.Type == "secret" && v.Value != "" {
			t.Errorf("%s has a value, which is a secret", v.Key)
		}
		if v.Key == "sku" {
			stock := 0
			for _, item := range catalogue {
				if item.sku == v.Value {
					stock = item.stock
				}
			}
			if stock < 1000 {
				t.Errorf("the demo has %d of %q, which is not plenty", stock, v.Value)
			}
		}
	}
	for _, key := range []string{"base_url", "sku", "buyer_token", "operator_sku", "operator_key"} {
		if !found[key] {
			t.Errorf("%s is missing", key)
		}
	}
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
