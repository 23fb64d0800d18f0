package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lastunit is the program as its users run it: two servers on one database, of which one makes holds that lapse after a second.
type lastunit struct {
	binary, dir    string
	address, hasty string
	operatorKey    string
	shopKey        string
}

func startLastunit(t *testing.T) *lastunit {
	t.Helper()
	// Not t.TempDir: as root PostgreSQL runs as somebody else, who has to enter it.
	dir, err := os.MkdirTemp("", "lastunit-example-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := &lastunit{binary: filepath.Join(dir, "lastunit"), dir: dir}
	if out, err := exec.Command("go", "build", "-o", l.binary, "github.com/lastunit/lastunit/cmd/lastunit").CombinedOutput(); err != nil {
		t.Fatalf("build lastunit: %v\n%s", err, out)
	}
	var database string
	l.address, database = l.serve(t)
	l.hasty, _ = l.serve(t, "--hold", "1s", "--database-url", database)
	l.operatorKey = l.newKey(t, "catalog", "stock", "order")
	l.shopKey = l.newKey(t, "claim", "order") // what the shop needs, and no more
	return l
}

func (l *lastunit) command(args ...string) *exec.Cmd {
	cmd := exec.Command(l.binary, append(args, "--data-dir", filepath.Join(l.dir, "data"))...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()} //nolint:forbidigo // nothing else of ours may reach it
	return cmd
}

// serve starts a server, which runs until the test ends, and returns its address and its database.
func (l *lastunit) serve(t *testing.T, args ...string) (address, database string) {
	t.Helper()
	cmd := l.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "error"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	lines := bufio.NewScanner(stdout)
	for database == "" && lines.Scan() {
		if after, ok := strings.CutPrefix(lines.Text(), "lastunit serves "); ok {
			address = after
		}
		if after, ok := strings.CutPrefix(lines.Text(), "its database is "); ok {
			database = after
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(30 * time.Second):
			t.Error("lastunit did not stop within 30 s of SIGTERM")
			_ = cmd.Process.Kill()
			<-exited
		}
		if stderr.Len() > 0 {
			t.Logf("lastunit said: %s", stderr.String())
		}
	})
	if database == "" {
		<-exited
		t.Fatalf("lastunit did not start: %s", stderr.String())
	}
	return address, database
}

func (l *lastunit) newKey(t *testing.T, scopes ...string) string {
	t.Helper()
	args := []string{"key", "create", "--name", "example"}
	for _, scope := range scopes {
		args = append(args, "--scope", scope)
	}
	out, err := l.command(args...).Output()
	if err != nil {
		t.Fatalf("lastunit key create: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// call is the operator's.
func (l *lastunit) call(t *testing.T, method, path, key string, body, answer any) {
	t.Helper()
	var content []byte
	if body != nil {
		content, _ = json.Marshal(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, l.address+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.operatorKey)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		content, err = io.ReadAll(resp.Body)
	}
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", resp.Status, content)
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(content, answer)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}
