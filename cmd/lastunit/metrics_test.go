package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// exported is what a service exports of which everything has happened once: metrics by name, each with what its labels were.
type exported struct {
	families map[string]*dto.MetricFamily
	series   map[string]map[string]map[string]bool // by name as queries see it, label, value
}

func scrape(t *testing.T, url string) exported {
	t.Helper()
	resp, err := newHTTPClient(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, resp.StatusCode, err)
	}
	e := exported{families, map[string]map[string]map[string]bool{}}
	for name, family := range families {
		names := []string{name}
		if family.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, m := range family.Metric {
			for _, seen := range names {
				e.note(seen, "", "")
				for _, l := range m.Label {
					e.note(seen, l.GetName(), l.GetValue())
				}
			}
			for _, b := range m.GetHistogram().GetBucket() {
				e.note(name+"_bucket", "le", fmt.Sprint(b.GetUpperBound()))
			}
		}
	}
	return e
}

func (e exported) note(name, label, value string) {
	if e.series[name] == nil {
		// What Prometheus adds to everything that it scrapes.
		e.series[name] = map[string]map[string]bool{"job": {"lastunit": true}, "instance": {}}
	}
	if e.series[name][label] == nil {
		e.series[name][label] = map[string]bool{}
	}
	e.series[name][label][value] = true
}

// value adds up the series of a metric that have some labels.
func (e exported) value(name string, labels ...string) (sum float64) {
	for _, m := range e.families[name].GetMetric() {
		has := map[string]string{}
		for _, l := range m.Label {
			has[l.GetName()] = l.GetValue()
		}
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && has[labels[i]] == labels[i+1]
		}
		if fits {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// exercise does one of everything at a service, and returns what it exports when it tells of all that.
func exercise(t *testing.T) exported {
	t.Helper()
	dir := dataDir(t)
	p := start(t, "serve", dir, "--metrics-listen", "127.0.0.1:0", "--webhooks-anywhere", "--max-queued", "5", "--buyer-rate", "0")
	c := client{address: p.address, http: newHTTPClient(t)}
	c.key = strings.TrimSpace(output(t, "key", "create", "--name", "metrics", "--scope", "*", "--data-dir", dir))
	ada := c
	ada.buyer = "ada"

	refused := func(status int, path string, body any) {
		t.Helper()
		if r, _ := ada.call("POST", path, "", body); r.status != status {
			t.Fatalf("%s is answered %d %s, want %d", path, r.status, r.text, status)
		}
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/fails":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(receiver.Close)
	for _, path := range []string{"/takes", "/fails", "/gone"} {
		c.must(t, 201, "POST", "/api/v1/webhooks", map[string]any{"url": receiver.URL + path})
	}
	for _, sku := range []string{"A", "B"} {
		c.must(t, 201, "PUT", "/api/v1/products/"+sku, map[string]any{"price": map[string]any{"amount": 100, "currency": "EUR"}})
		c.must(t, 201, "POST", "/api/v1/products/"+sku+"/receipts", map[string]any{"quantity": 10, "reference": "r"})
	}
	now := time.Now().UTC()
	sale := c.must(t, 201, "POST", "/api/v1/sales", map[string]any{
		"name": "s", "opens_at": now.Format(time.RFC3339), "closes_at": now.Add(time.Hour).Format(time.RFC3339), "hold_seconds": 600,
		"items": []any{map[string]any{"sku": "B", "price": map[string]any{"amount": 90, "currency": "EUR"}}},
	})
	c.must(t, 200, "POST", "/api/v1/sales/"+sale.body.ID+"/schedule", nil)

	ada.must(t, 201, "POST", "/order/addToCart", map[string]any{"sku": "A", "quantity": 2})
	refused(409, "/order/addToCart", map[string]any{"sku": "A", "quantity": 9})
	refused(422, "/order/addToCart", map[string]any{"quantity": 0})
	queued := ada.must(t, 202, "POST", "/api/v1/order/addToCart", map[string]any{"sku": "B"})
	refused(503, "/api/v1/order/addToCart", map[string]any{"sku": "B", "quantity": 6})
	if r := ada.must(t, 200, "GET", "/api/v1/transaction/"+queued.body.ID+"?wait=20", nil); r.body.Status != "held" {
		t.Fatalf("the queued claim is %s", r.text)
	}
	for i := range 2 { // with a key, so that the second is a replay
		if r, err := ada.call("POST", "/order/addToCart", "k", map[string]any{"sku": "A"}); err != nil || r.status != 201 {
			t.Fatalf("claim %d: %s, %v", i, r.text, err)
		}
	}
	order := ada.must(t, 201, "POST", "/api/v1/order/checkout", map[string]any{})
	refused(402, "/api/v1/orders/"+order.body.ID+"/pay", map[string]any{"card": "decline"})
	ada.must(t, 200, "POST", "/api/v1/orders/"+order.body.ID+"/pay", map[string]any{"card": "succeed"})
	c.must(t, 201, "POST", "/api/v1/audit", map[string]any{})

	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) { //nolint:forbidigo // polling a process
		e := scrape(t, p.metrics)
		missing := ""
		for _, want := range []struct {
			least  float64
			name   string
			labels []string
		}{
			{3, "lastunit_claims_total", []string{"outcome", "held"}},
			{1, "lastunit_claims_total", []string{"way", "direct", "outcome", "not-enough-units"}},
			{1, "lastunit_claims_total", []string{"way", "direct", "outcome", "replayed"}},
			{1, "lastunit_claims_total", []string{"way", "queued", "outcome", "held"}},
			{1, "lastunit_claims_total", []string{"way", "queued", "outcome", "busy"}},
			{1, "lastunit_claims_accepted_total", nil},
			{1, "lastunit_refusals_total", []string{"code", "validation"}},
			{1, "lastunit_refusals_total", []string{"code", "busy"}},
			{1, "lastunit_payments_total", []string{"status", "failed"}},
			{1, "lastunit_payments_total", []string{"status", "succeeded"}},
			{1, "lastunit_events_published_total", []string{"type", "order.paid"}},
			{1, "lastunit_webhook_attempts_total", []string{"outcome", "delivered"}},
			{1, "lastunit_webhook_attempts_total", []string{"outcome", "failed"}},
			{1, "lastunit_webhooks", []string{"state", "gone"}},
			{1, "lastunit_webhook_deliveries_waiting", nil},
			{1, "lastunit_http_request_seconds", []string{"operation", "claimQueued", "class", "5xx"}},
			{1, "lastunit_settle_seconds", []string{"lane", "claims"}},
			{1, "lastunit_batch_calls", []string{"lane", "accepts"}},
			{1, "lastunit_audit_ok", nil},
			{1, "lastunit_database_up", nil},
			{1, "lastunit_sales", []string{"state", "open"}},
			{9, "lastunit_sale_units", []string{"sku", "B", "place", "available"}},
			{1, "lastunit_sale_units", []string{"sku", "B", "place", "sold"}},
		} {
			if got := e.value(want.name, want.labels...); got < want.least {
				missing += fmt.Sprintf("\n%s%q is %v, want %v", want.name, want.labels, got, want.least)
			}
		}
		if missing == "" {
			return e
		}
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
	}
}

// Everything that alerts and panels ask for is exported, and docs/metrics.md lists what is.
func TestMetrics(t *testing.T) {
	t.Parallel()
	e := exercise(t)
	t.Run("documented", func(t *testing.T) { e.documented(t) })
	t.Run("alerts", func(t *testing.T) { e.alerts(t) })
	t.Run("dashboard", func(t *testing.T) { e.dashboard(t) })
	series := 0
	for name, family := range e.families {
		if strings.HasPrefix(name, "lastunit_") {
			series += len(family.Metric)
		}
	}
	if series > 500 {
		t.Errorf("a service that has done so little exports %d series", series)
	}
}

func (e exported) documented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `lastunit_") {
			listed = append(listed, strings.TrimSpace(line))
		}
	}
	var want []string
	for name, family := range e.families {
		if !strings.HasPrefix(name, "lastunit_") {
			continue
		}
		found := map[string]bool{}
		for _, m := range family.Metric {
			for _, l := range m.Label {
				found["`"+l.GetName()+"`"] = true
			}
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", name, strings.ToLower(family.GetType().String()), strings.Join(slices.Sorted(maps.Keys(found)), ", "), family.GetHelp()))
	}
	for _, row := range want {
		if !slices.Contains(listed, row) {
			t.Errorf("docs/metrics.md lacks\n%s", row)
		}
	}
	for _, row := range listed {
		if !slices.Contains(want, row) {
			t.Errorf("docs/metrics.md has, and is not exported:\n%s", row)
		}
	}
	for name := range e.families {
		if !regexp.MustCompile(`^(lastunit|go|process|promhttp)_`).MatchString(name) {
			t.Errorf("%s is exported", name)
		}
	}
}

// query checks that everything in a query is exported.
func (e exported) query(t *testing.T, where, text string) {
	t.Helper()
	text = strings.ReplaceAll(text, "$__rate_interval", "1m")
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %q: %v", where, text, err)
		return
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			e.selector(t, where, n)
		case *parser.AggregateExpr:
			e.named(t, where, n.Grouping, n.Expr)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				e.named(t, where, append(n.VectorMatching.MatchingLabels, n.VectorMatching.Include...), n)
			}
		}
		return nil
	})
}

// selector checks the name of a metric, and the labels and values that it is asked for.
func (e exported) selector(t *testing.T, where string, n *parser.VectorSelector) {
	t.Helper()
	if n.Name == "up" { // Prometheus's own
		return
	}
	has := e.series[n.Name]
	if has == nil {
		t.Errorf("%s: %s is not exported", where, n.Name)
		return
	}
	for _, m := range n.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		matches := false
		for value := range has[m.Name] {
			matches = matches || m.Matches(value)
		}
		if !matches {
			t.Errorf("%s: nothing that is exported matches %s of %s, whose values are %v", where, m, n.Name, slices.Sorted(maps.Keys(has[m.Name])))
		}
	}
}

// named checks that a metric within a query has each of some labels.
func (e exported) named(t *testing.T, where string, names []string, within parser.Node) {
	t.Helper()
	for _, name := range names {
		found := false
		parser.Inspect(within, func(node parser.Node, _ []parser.Node) error {
			if n, ok := node.(*parser.VectorSelector); ok {
				found = found || e.series[n.Name][name] != nil
			}
			return nil
		})
		if !found {
			t.Errorf("%s: no metric in %s has the label %s", where, within, name)
		}
	}
}

var (
	templated = regexp.MustCompile(`\$labels\.(\w+)`)
	capitals  = regexp.MustCompile(`([a-z])([A-Z])`)
)

func (e exported) alerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				For                 string
				Labels, Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	runbook, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			n++
			e.query(t, r.Alert, r.Expr)
			anchor := strings.ToLower(capitals.ReplaceAllString(r.Alert, "$1-$2"))
			if r.Annotations["summary"] == "" || r.Annotations["runbook"] != "docs/operate.md#"+anchor {
				t.Errorf("%s has the annotations %v", r.Alert, r.Annotations)
			}
			if heading := "# " + strings.ReplaceAll(anchor, "-", " "); !strings.Contains(strings.ToLower(string(runbook)), heading+"\n") {
				t.Errorf("docs/operate.md has no section %q", heading)
			}
			if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
				t.Errorf("%s has the severity %q", r.Alert, severity)
			}
			for _, found := range templated.FindAllStringSubmatch(r.Annotations["summary"], -1) {
				if !strings.Contains(r.Expr, "by ("+found[1]+")") && strings.Contains(r.Expr, "max(") {
					t.Errorf("%s speaks of the label %s, which its query leaves out", r.Alert, found[1])
				}
			}
		}
	}
	if n < 12 {
		t.Errorf("only %d alerts were found", n)
	}
}

func (e exported) dashboard(t *testing.T) {
	type source struct{ UID string }
	var board struct {
		Panels []struct {
			Title, Type string
			Datasource  source
			Targets     []struct {
				Expr       string
				Datasource source
			}
		}
	}
	text, err := os.ReadFile("../../deploy/grafana/dashboards/lastunit.json")
	if err == nil {
		err = json.Unmarshal(text, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	var sources struct {
		Datasources []struct{ UID string }
	}
	text, err = fs.ReadFile(os.DirFS("../../deploy/grafana/provisioning/datasources"), "prometheus.yml")
	if err == nil {
		err = yaml.Unmarshal(text, &sources)
	}
	if err != nil || len(sources.Datasources) != 1 {
		t.Fatalf("%v, %v", sources, err)
	}
	asked := map[string]bool{}
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != sources.Datasources[0].UID || len(p.Targets) == 0 {
			t.Errorf("%s asks %v for %d things", p.Title, p.Datasource, len(p.Targets))
		}
		for _, target := range p.Targets {
			e.query(t, p.Title, target.Expr)
			asked[target.Expr] = true
		}
	}
	// Nothing is exported for nobody.
	for name := range e.families {
		if strings.HasPrefix(name, "lastunit_") && !slices.ContainsFunc(slices.Collect(maps.Keys(asked)), func(expr string) bool { return strings.Contains(expr, name) }) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// Without a setting there are no metrics, and they are nowhere but where they were asked for.
func TestMetricsListener(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := start(t, "serve", dir, "--metrics-listen", "127.0.0.1:0")
	for _, url := range []string{p.address + "/metrics", strings.TrimSuffix(p.metrics, "metrics") + "livez"} {
		resp, err := newHTTPClient(t).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered %d", url, resp.StatusCode)
		}
	}
	if _, err := attempt(t, "serve", "--data-dir", dataDir(t), "--listen", "127.0.0.1:0", "--metrics-listen", strings.TrimSuffix(strings.TrimPrefix(p.metrics, "http://"), "/metrics")); err == nil || !strings.Contains(err.Error(), "choose another address with --metrics-listen") {
		t.Errorf("a taken address is answered %v", err)
	}
	if second := start(t, "serve", dataDir(t)); second.metrics != "" {
		t.Errorf("metrics that nobody asked for are at %s", second.metrics)
	}
}
