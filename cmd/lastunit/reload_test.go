//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// book is written to by a process and read by a test at the same time.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// hangUp sends SIGHUP and waits until the log tells what came of it; it returns what was logged since.
func (p *process) hangUp(t *testing.T, log *book, want string) string {
	t.Helper()
	before := len(log.String())
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var since string
	await(t, fmt.Sprintf("%q in the log", want), func() bool {
		since = log.String()[before:]
		return strings.Contains(since, want)
	})
	return since
}

func TestSettingsAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	config := filepath.Join(dir, "config.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret, second := canary+strings.Repeat("x", 32), canary+strings.Repeat("y", 32)
	write("buyer-secret: " + secret + "\nbuyer-rate: 0\n")
	log := &book{}
	p := launchWith(t, log, nil, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--config", config)
	tokenOf := func() client {
		token := strings.TrimSpace(output(t, "token", "--data-dir", dir, "--config", config, "buyer", "ann"))
		return client{address: p.address, key: token, http: newHTTPClient(t)}
	}
	key := strings.TrimSpace(output(t, "key", "create", "--data-dir", dir, "--config", config, "--name", "test", "--scope", "*"))
	operator := client{address: p.address, key: key, http: newHTTPClient(t)}
	operator.must(t, 201, "PUT", "/api/v1/products/A", map[string]any{})
	operator.must(t, 201, "POST", "/api/v1/products/A/receipts", map[string]any{"quantity": 9, "reference": "test"})
	first := tokenOf()
	first.must(t, 202, "POST", "/api/v1/order/addToCart", map[string]any{"sku": "A", "quantity": 3})
	first.must(t, 200, "GET", "/api/v1/cart", nil)

	write("buyer-secret: " + secret + "\nbuyer-rate: 1\nlog-level: shout\nhold: never\n")
	p.hangUp(t, log, "the settings stay as they were")
	for range 10 {
		first.must(t, 200, "GET", "/api/v1/cart", nil)
	}

	write("buyer-secret: " + second + "\nbuyer-rate: 1\nlog-level: debug\nlog-requests: all\nmax-queued: 2\nhold: 5m\n")
	since := p.hangUp(t, log, "msg=\"some settings have changed")
	if !strings.Contains(since, `changed="[buyer-secret buyer-rate max-queued log-level log-requests]"`) || !strings.Contains(since, "settings=[hold]") {
		t.Errorf("it tells something else: %s", since)
	}
	if r, _ := first.call("GET", "/api/v1/cart", "", nil); r.status != http.StatusUnauthorized {
		t.Errorf("the secret of before is still good: %s", r.text)
	}
	other := tokenOf()
	other.must(t, 200, "GET", "/api/v1/cart", nil)
	if r, _ := other.call("POST", "/api/v1/order/addToCart", "", map[string]any{"sku": "A", "quantity": 3}); r.status != http.StatusServiceUnavailable || r.body.Code != "busy" {
		t.Errorf("max-queued was not taken over: %s", r.text)
	}
	refused := false
	for range 20 {
		r, _ := other.call("GET", "/api/v1/cart", "", nil)
		refused = refused || r.status == http.StatusTooManyRequests
	}
	if !refused {
		t.Error("buyer-rate was not taken over")
	}

	if again := p.hangUp(t, log, "need_a_restart=[hold]"); !strings.Contains(again, "changed=[]") {
		t.Errorf("what has not changed is told of: %s", again)
	}
	p.stop()
	silent(t, "a server that was told new secrets", log.String())
	if !strings.Contains(log.String(), "code=too-many-requests") {
		t.Errorf("log-requests was not taken over: %s", log.String())
	}
}

// httpCollector keeps what it is sent by OTLP over HTTP, and returns its address.
func httpCollector(t *testing.T, got *book) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			_, _ = io.Copy(got, r.Body)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// grpcCollector is the same by gRPC.
func grpcCollector(t *testing.T, got *book) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, keeper{book: got})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return "http://" + listener.Addr().String()
}

type keeper struct {
	collector.UnimplementedTraceServiceServer
	book *book
}

func (k keeper) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	_, err := k.book.Write([]byte(r.String()))
	return &collector.ExportTraceServiceResponse{}, err
}

// A server that is told of a collector in the standard variables sends it what it traces; pg_stat_activity tells who holds its connections.
func TestTracesAreSentAndConnectionsHaveNames(t *testing.T) {
	t.Parallel()
	for protocol, collect := range map[string]func(*testing.T, *book) string{otlpHTTP: httpCollector, otlpGRPC: grpcCollector} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			got := &book{}
			tracesAreSent(t, got, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_EXPORTER_OTLP_ENDPOINT="+collect(t, got))
		})
	}
}

func tracesAreSent(t *testing.T, got *book, environ ...string) {
	t.Helper()
	dir, log := dataDir(t), &book{}
	p := launchWith(t, log, environ, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--log-requests", "all")
	key := strings.TrimSpace(output(t, "key", "create", "--data-dir", dir, "--name", "test", "--scope", "*"))
	c := client{address: p.address, key: key, buyer: canary, http: newHTTPClient(t)}
	c.must(t, 201, "PUT", "/api/v1/products/A", map[string]any{})
	c.must(t, 201, "POST", "/api/v1/products/A/receipts", map[string]any{"quantity": 5, "reference": canary})
	c.must(t, 201, "POST", "/order/addToCart", map[string]any{"sku": "A", "reference": canary})
	db, err := pgx.Connect(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query(t.Context(), "SELECT application_name || ' ' || query FROM pg_stat_activity WHERE application_name LIKE 'lastunit serve %'")
	if err != nil {
		t.Fatal(err)
	}
	activity, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close(t.Context())
	all := strings.Join(activity, "\n")
	if host, _ := os.Hostname(); !strings.Contains(all, "@"+host[:min(len(host), 20)]) || !strings.Contains(all, "-- name: ") {
		t.Errorf("the connections do not tell whose they are and what for: %s", all)
	}
	p.stop()
	for _, want := range []string{"POST /order/addToCart", "settle claims", "StockTokenPick", "service.name"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("the collector has not got %s", want)
		}
	}
	silent(t, "what the collector got", got.String())
	if !strings.Contains(log.String(), "trace_id=") {
		t.Errorf("no line tells its trace: %s", log.String())
	}
}

func TestWhichVariablesAskForTraces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ map[string]string
		want    string
		wrong   string
	}{
		{map[string]string{}, "", ""},
		{map[string]string{"OTEL_SERVICE_NAME": "x"}, "", ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, otlpHTTP, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, otlpHTTP, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, otlpHTTP, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, "", ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, "", "OTEL_TRACES_EXPORTER"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, otlpGRPC, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, otlpHTTP, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "", "OTEL_EXPORTER_OTLP_PROTOCOL"},
	} {
		got, err := asksForTraces(c.environ)
		if got != c.want || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: %v, %v", c.environ, got, err)
		}
	}
}
