package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is the program, built once for all tests of this package that run it as its users do.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lastunit-build-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lastunit")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// dataDir is a directory that the unprivileged user can enter whom PostgreSQL runs as when the tests run as root: t.TempDir is not.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lastunit-process-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func lastunit(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()} //nolint:forbidigo // nothing else of ours may reach it
	return cmd
}

// output runs a command to its end and returns what it wrote to standard output.
func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := attempt(t, args...)
	if err != nil {
		t.Fatalf("lastunit %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func attempt(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := lastunit(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// process is a running server.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	address  string
	database string
	metrics  string        // where they are, if they were asked for
	printed  string        // everything up to the line that says that it is ready
	logged   *bytes.Buffer // to be read when it has exited
	exited   chan struct{}
}

// start runs serve or demo until it has said where it is.
func start(t *testing.T, command, dir string, args ...string) *process {
	t.Helper()
	logged := &bytes.Buffer{}
	p := launchWith(t, logged, nil, append([]string{command, "--data-dir", dir, "--listen", "127.0.0.1:0", "--log-level", "error"}, args...)...)
	p.logged = logged
	return p
}

// launchWith runs a server with arguments and variables until it has said where it is.
func launchWith(t *testing.T, log journal, environ []string, args ...string) *process {
	t.Helper()
	cmd := lastunit(t, args...)
	cmd.Env = append(cmd.Env, environ...)
	return launch(t, log, cmd)
}

// journal is where a server's log goes.
type journal interface {
	io.Writer
	fmt.Stringer
}

// launch is launchWith for a command line that is ready.
func launch(t *testing.T, log journal, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, exited: make(chan struct{})}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		line := lines.Text()
		p.printed += line + "\n"
		if after, ok := strings.CutPrefix(line, "lastunit serves "); ok {
			p.address = after
		}
		if after, ok := strings.CutPrefix(line, "lastunit is open at "); ok {
			p.address = after
		}
		if after, ok := strings.CutPrefix(line, "its metrics are at "); ok {
			p.metrics = after
		}
		if after, ok := strings.CutPrefix(line, "its database is "); ok {
			p.database = after
			break
		}
		if strings.HasPrefix(line, "Ctrl-C") {
			break
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	if p.address == "" {
		<-p.exited
		t.Fatalf("%s did not start: %s", cmd, log.String())
	}
	return p
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		p.t.Errorf("the server did not stop within 30 s of SIGTERM")
		p.kill()
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// client calls a server with a key, as a buyer if one is named.
type client struct {
	address, key, buyer string
	http                *http.Client
	// once: a request that is cut off is not sent again by net/http, which does so with an Idempotency-Key and hides what a kill has hit.
	once bool
}

// reply is an answer, decoded as far as the tests look.
type reply struct {
	status int
	body   struct {
		ID      string   `json:"id"`
		Status  string   `json:"status"`
		Code    string   `json:"code"`
		UnitIDs []string `json:"unit_ids"`
		OK      bool     `json:"ok"`
		Held    int      `json:"held"`
		Token   string   `json:"token"`
		Cursor  string   `json:"next_cursor"`
		Secret  string   `json:"secret"`
	}
	text string
}

func (c client) call(method, path, idempotencyKey string, body any) (reply, error) {
	var encoded []byte // none without a body
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return reply{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.address+path, bytes.NewReader(encoded))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	if c.buyer != "" {
		req.Header.Set("Buyer-Id", c.buyer)
	}
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	var conn httptrace.GotConnInfo
	if c.once {
		req.GetBody = nil
		req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { conn = info }}))
	}
	resp, err := c.http.Do(req)
	if err != nil && conn.Conn != nil {
		err = fmt.Errorf("%w, on a connection that was kept: %t, for %s", err, conn.Reused, conn.IdleTime)
	}
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	r := reply{status: resp.StatusCode, text: string(text)}
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &r.body)
	}
	return r, err
}

func (c client) must(t *testing.T, status int, method, path string, body any) reply {
	t.Helper()
	r, err := c.call(method, path, "", body)
	if err != nil || r.status != status {
		t.Fatalf("%s %s: %d %s, %v; want %d", method, path, r.status, r.text, err, status)
	}
	return r
}

func newHTTPClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
