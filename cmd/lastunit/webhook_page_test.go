package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// code is the only block of a page in a language.
func code(t *testing.T, page, language string) string {
	t.Helper()
	_, after, found := strings.Cut(page, "```"+language+"\n")
	text, _, closed := strings.Cut(after, "\n```\n")
	if !found || !closed || strings.Contains(after, "```"+language+"\n") {
		t.Fatalf("the page has not one block of %s", language)
	}
	return text
}

// receivers makes the receivers of the page ready to be run on a port: they are named for their language.
func receivers(t *testing.T, port string) map[string]func() *exec.Cmd {
	t.Helper()
	text, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(language, name string) string {
		source := strings.ReplaceAll(code(t, string(text), language), "3000", port)
		if !strings.Contains(source, port) {
			t.Fatalf("the receiver in %s does not say 3000", language)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	modules, err := filepath.Abs("../../tools/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	inNode := write("js", "receiver.mjs")
	inGo := filepath.Join(dir, "receiver")
	if out, err := exec.Command("go", "build", "-o", inGo, write("go", "receiver.go")).CombinedOutput(); err != nil {
		t.Fatalf("the receiver in Go is not built: %v\n%s", err, out)
	}
	return map[string]func() *exec.Cmd{
		"node": func() *exec.Cmd { return exec.Command("node", inNode) },
		"go":   func() *exec.Cmd { return exec.Command(inGo) },
	}
}

// freePort is one that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestTheReceiversOfThePageTakeWhatIsSentToThem(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	runs := receivers(t, port)
	dir := dataDir(t)
	p := start(t, "serve", dir, "--webhooks-anywhere")
	key := strings.TrimSpace(output(t, "key", "create", "--data-dir", dir, "--name", "shop", "--scope", "webhook"))
	shop := client{address: p.address, key: key, http: newHTTPClient(t)}
	for language, command := range runs {
		for name, c := range map[string]struct {
			secret func(own string) string
			want   string // in the log of deliveries
			prints bool
		}{
			"its secret":     {func(own string) string { return own }, `"response_status":204`, true},
			"another secret": {func(string) string { return "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=" }, `"response_status":401`, false},
		} {
			made := shop.must(t, http.StatusCreated, http.MethodPost, "/api/v1/webhooks", map[string]any{"url": "http://127.0.0.1:" + port + "/lastunit"}).body
			receiver := command()
			var printed bytes.Buffer
			receiver.Env = append(os.Environ(), "WEBHOOK_SECRET="+c.secret(made.Secret)) //nolint:forbidigo // where node is
			receiver.Stdout, receiver.Stderr = &printed, &printed
			if err := receiver.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = receiver.Process.Kill() }) // if something fails before its end
			await(t, language+" to listen", func() bool {
				conn, err := net.Dial("tcp", "127.0.0.1:"+port)
				if err == nil {
					_ = conn.Close()
				}
				return err == nil
			})
			shop.must(t, http.StatusAccepted, http.MethodPost, "/api/v1/webhooks/"+made.ID+"/test", nil)
			await(t, fmt.Sprintf("%s with %s: %s in the log", language, name, c.want), func() bool {
				return strings.Contains(shop.must(t, http.StatusOK, http.MethodGet, "/api/v1/webhooks/"+made.ID+"/deliveries", nil).text, c.want)
			})
			shop.must(t, http.StatusNoContent, http.MethodDelete, "/api/v1/webhooks/"+made.ID, nil)
			_ = receiver.Process.Kill()
			_ = receiver.Wait()
			if prints := strings.Contains(printed.String(), "webhook.test"); prints != c.prints {
				t.Errorf("%s with %s printed %q", language, name, printed.String())
			}
		}
	}
}
