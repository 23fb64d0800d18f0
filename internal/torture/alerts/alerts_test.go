//go:build alerts

// Package alerts_test makes alerts fire by their real causes, and has what docs/operate.md says mend them (make alerts).
package alerts_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/world"
)

func TestMain(m *testing.M) {
	code := m.Run()
	driven.RemoveBuilt()
	os.Exit(code)
}

// shift is what a run has: a shop with a standby, and somebody who watches it.
type shift struct {
	*watch
	world   *world.World
	webhook atomic.Bool // whether its receiver works
	mu      sync.Mutex
	table   [][]string
}

// trouble is one alert: what is done that it fires, and what the runbook says then.
type trouble struct {
	alert, cause string
	begin        func(t *testing.T, s *shift)
	mend         func(t *testing.T, s *shift)
}

func TestEachAlertIsFiredByItsCauseAndMendedByTheRunbook(t *testing.T) {
	s := newShift(t)
	t.Run("beside each other", func(t *testing.T) {
		for _, one := range []trouble{oldSnapshot(), webhooksFailing()} { // they take more than two minutes to be told of
			t.Run(one.alert, func(t *testing.T) {
				t.Parallel()
				s.live(t, one)
			})
		}
		t.Run("one by one", func(t *testing.T) {
			t.Parallel()
			for _, one := range []trouble{auditRed(), queueGrowing(), poolExhausted()} {
				t.Run(one.alert, func(t *testing.T) { s.live(t, one) })
			}
		})
	})
	t.Run("StandbyLost", func(t *testing.T) { s.live(t, standbyLost()) })
	if err := s.await(t.Context(), "all is quiet again", func(firing []string) bool { return len(firing) == 0 }); err != nil {
		t.Error(err)
	}
	if last, err := s.world.Audit(t.Context()); err != nil {
		t.Errorf("audit: %s %v", last, err)
	}
	t.Log("\n" + s.report())
}

func newShift(t *testing.T) *shift {
	t.Helper()
	binary, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := driven.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &shift{watch: startPrometheus(t, metrics)}
	s.world, err = world.Start(t.Context(), world.Options{Binary: binary, Servers: 1, Standby: true, Args: []string{"--metrics-listen", metrics, "--webhooks-anywhere"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.world.Stop)
	for _, sku := range []string{"cup", "mug", "pin", "tea"} {
		s.operate(t, "PUT", "/api/v1/products/"+sku, `{"price":{"amount":100,"currency":"EUR"}}`)
		s.operate(t, "POST", "/api/v1/products/"+sku+"/receipts", `{"quantity":1000,"reference":"r"}`)
	}
	if last, err := s.world.Audit(t.Context()); err != nil {
		t.Fatal(last, err)
	}
	if err := s.await(t.Context(), "all is quiet", func(firing []string) bool { return len(firing) == 0 && s.seen(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	return s
}

// live goes through one trouble from its cause to its end.
func (s *shift) live(t *testing.T, one trouble) {
	t.Helper()
	fires := func(firing []string) bool { return slices.Contains(firing, one.alert) }
	if before, err := s.firing(t.Context()); err != nil || fires(before) {
		t.Fatalf("before its cause %s: firing %v, %v", one.alert, before, err)
	}
	began := time.Now()
	one.begin(t, s)
	if err := s.await(t.Context(), one.alert+" fires", fires); err != nil {
		t.Fatal(err)
	}
	fired := time.Since(began)
	beside, _ := s.firing(t.Context())
	began = time.Now()
	one.mend(t, s)
	if err := s.await(t.Context(), one.alert+" ends", func(firing []string) bool { return !fires(firing) }); err != nil {
		t.Fatal(err)
	}
	beside = slices.DeleteFunc(beside, func(name string) bool { return name == one.alert })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = append(s.table, []string{one.alert, one.cause, fired.Round(time.Second).String(), time.Since(began).Round(time.Second).String(), strings.Join(beside, " ")})
}

func (s *shift) report() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{{"ALERT", "CAUSE", "FIRED AFTER", "MENDED AFTER", "BESIDE IT"}}, s.table...) {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	_ = table.Flush()
	return text.String()
}

func (s *shift) do(ctx context.Context, q driven.Ask) (*driven.Answer, error) {
	c := driven.Conn{Address: s.world.Addresses()[0], Key: s.world.Key()}
	defer c.Close()
	return c.Do(ctx, q)
}

func (s *shift) operate(t *testing.T, method, path, body string) *driven.Answer {
	t.Helper()
	a, err := s.do(t.Context(), driven.Ask{Method: method, Path: path, Body: body})
	if err != nil || a.Status/100 != 2 {
		t.Fatalf("%s %s: %v %v", method, path, a, err)
	}
	return a
}

// buyers do something again and again until the test ends, or the returned function is called.
func (s *shift) buyers(t *testing.T, n int, do func(ctx context.Context, buyer string)) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				do(ctx, fmt.Sprintf("b-%d-%d", i, round))
			}
		})
	}
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// session is a session of somebody else's in the database, which a runbook ends.
func (s *shift) session(t *testing.T, name, statements string) {
	t.Helper()
	db, err := s.world.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })
	if _, err := db.Exec(t.Context(), "SET application_name = "+name+"; "+statements); err != nil {
		t.Fatal(err)
	}
}

// remedies are the SQL of a section of the runbook.
func remedies(t *testing.T, section string) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n### "+section+"\n")
	text, _, _ = strings.Cut(text, "\n### ")
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(text, -1) {
		all = append(all, block[1])
	}
	if len(all) == 0 {
		t.Fatalf("the runbook has no SQL under %s", section)
	}
	return all
}

// query runs statements as psql would, one after the other, and returns what they found.
func (s *shift) query(t *testing.T, statements string) (found []map[string]string) {
	t.Helper()
	db, err := s.world.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()
	for _, statement := range strings.Split(statements, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		rows, err := db.Query(t.Context(), statement, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		for rows.Next() {
			row := map[string]string{}
			for i, field := range rows.FieldDescriptions() {
				row[field.Name] = string(rows.RawValues()[i])
			}
			found = append(found, row)
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return found
}

// terminate ends whom a query of the runbook finds, if they go by a name, with what the runbook says.
func (s *shift) terminate(t *testing.T, name, find, end string) {
	t.Helper()
	for _, row := range s.query(t, find) {
		if row["application"] == name {
			s.query(t, strings.ReplaceAll(end, "4711", row["pid"]))
			return
		}
	}
	t.Fatalf("the runbook does not find %s: %v", name, s.query(t, find))
}

func oldSnapshot() trouble {
	return trouble{
		"OldSnapshot", "an analyst's transaction, left open",
		func(t *testing.T, s *shift) {
			s.session(t, "analyst", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM claim")
		},
		func(t *testing.T, s *shift) {
			sql := remedies(t, "Old snapshot")
			s.terminate(t, "analyst", sql[0], sql[1])
		},
	}
}

func queueGrowing() trouble {
	return trouble{
		"QueueGrowing", "a colleague's FOR UPDATE on a product's tokens",
		func(t *testing.T, s *shift) {
			s.session(t, "colleague", "BEGIN; SELECT FROM stock_token WHERE product_id = (SELECT product_id FROM product WHERE sku = 'mug') FOR UPDATE")
			s.buyers(t, 2, func(ctx context.Context, buyer string) {
				_, _ = s.do(ctx, driven.Ask{Method: "POST", Path: "/api/v1/order/addToCart", Buyer: buyer, Body: `{"sku":"mug"}`})
				driven.Pause(ctx, time.Second)
			})
		},
		func(t *testing.T, s *shift) {
			if found := s.query(t, remedies(t, "Queue growing")[0]); len(found) != 1 || found[0]["sku"] != "mug" {
				t.Errorf("the runbook finds %v", found)
			}
			sql := remedies(t, "One product stands still")
			s.terminate(t, "colleague", sql[0], sql[1])
		},
	}
}

func poolExhausted() trouble {
	return trouble{
		"PoolExhausted", "a colleague's LOCK TABLE, while people look and buy",
		func(t *testing.T, s *shift) {
			s.session(t, "colleague", "BEGIN; LOCK TABLE stock_token IN ACCESS EXCLUSIVE MODE")
			s.buyers(t, 40, func(ctx context.Context, buyer string) {
				_, _ = s.do(ctx, driven.Ask{Method: "GET", Path: "/api/v1/products/cup", Buyer: buyer})
				driven.Pause(ctx, rand.N(200*time.Millisecond))
			})
			s.buyers(t, 8, func(ctx context.Context, buyer string) {
				_, _ = s.do(ctx, driven.Ask{Method: "POST", Path: "/order/addToCart", Buyer: buyer, Body: `{"sku":"cup"}`})
				driven.Pause(ctx, rand.N(time.Second))
			})
		},
		func(t *testing.T, s *shift) {
			s.terminate(t, "colleague", remedies(t, "Pool exhausted")[0], "SELECT pg_terminate_backend(4711)")
		},
	}
}

func auditRed() trouble {
	return trouble{
		"AuditRed", "a hand in the database: a unit in no place",
		func(t *testing.T, s *shift) {
			s.query(t, "DELETE FROM stock_token WHERE unit_id = (SELECT unit_id FROM unit JOIN product USING (product_id) WHERE sku = 'pin' ORDER BY unit_id LIMIT 1)")
			if last, err := s.world.Audit(t.Context()); err == nil {
				t.Errorf("audit: %s", last)
			}
		},
		func(t *testing.T, s *shift) {
			for _, args := range [][]string{{"--repair", "one_place", "--yes", "--by", "on-call"}, {}} {
				if last, err := s.world.Audit(t.Context(), args...); err != nil {
					t.Errorf("audit %v: %s %v", args, last, err)
				}
			}
		},
	}
}

func webhooksFailing() trouble {
	return trouble{
		"WebhooksFailing", "a receiver that answers 500",
		func(t *testing.T, s *shift) {
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if !s.webhook.Load() {
					w.WriteHeader(http.StatusInternalServerError)
				}
			}))
			t.Cleanup(receiver.Close)
			s.operate(t, "POST", "/api/v1/webhooks", `{"url":"`+receiver.URL+`"}`)
			for _, call := range []driven.Ask{{Path: "/order/addToCart", Body: `{"sku":"tea"}`}, {Path: "/api/v1/order/checkout", Body: `{}`}} {
				call.Method, call.Buyer = "POST", "ann"
				if a, err := s.do(t.Context(), call); err != nil || a.Status != 201 {
					t.Fatal(a, err)
				}
			}
		},
		func(t *testing.T, s *shift) {
			sql := remedies(t, "Webhooks failing")
			found := s.query(t, sql[0])
			if len(found) != 1 || found[0]["last"] != "500" {
				t.Fatalf("the runbook finds %v", found)
			}
			s.webhook.Store(true)
			s.query(t, strings.ReplaceAll(sql[1], "019b1234-5678-7abc-8def-0123456789ab", found[0]["webhook_id"]))
		},
	}
}

func standbyLost() trouble {
	return trouble{
		"StandbyLost", "the standby's machine is gone",
		func(t *testing.T, s *shift) {
			s.world.StopStandby()
			s.buyers(t, 2, func(ctx context.Context, buyer string) {
				_, _ = s.do(ctx, driven.Ask{Method: "POST", Path: "/order/addToCart", Buyer: buyer, Body: `{"sku":"tea"}`})
				driven.Pause(ctx, 500*time.Millisecond)
			})
		},
		func(t *testing.T, s *shift) {
			sell := func() string {
				a, err := s.do(t.Context(), driven.Ask{Method: "POST", Path: "/order/addToCart", Buyer: "last", Body: `{"sku":"tea"}`})
				if err != nil {
					return err.Error()
				}
				return a.String()
			}
			if said := sell(); !strings.Contains(said, "outcome-unknown") {
				t.Errorf("while commits wait for a standby that is gone a buyer is told %s", said)
			}
			sql := remedies(t, "Standby lost")
			if found := s.query(t, sql[0]); len(found) > 0 {
				t.Errorf("the runbook finds the standby: %v", found)
			}
			s.query(t, sql[1])
			if said := sell(); !strings.HasPrefix(said, "201 ") {
				t.Errorf("after what the runbook says a buyer is told %s", said)
			}
			if err := s.world.ReturnStandby(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	}
}
