package rehearsal

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

const (
	operatorTimeout = 2 * time.Minute // stocking a million units, or an audit of them
	lookupsAtOnce   = 32
	receiptUnits    = 1_000_000 // that one receipt may have
)

// operator makes the calls of a rehearsal that no buyer makes.
type operator struct {
	manners
	servers []*server
	key     string
	client  *http.Client
}

func newOperator(servers []*server, key string, trust *tls.Config, m manners) *operator {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // buyers go directly too
	transport.MaxIdleConnsPerHost = lookupsAtOnce
	transport.TLSClientConfig = trust
	return &operator{manners: m, servers: servers, key: key, client: &http.Client{
		Transport:     transport,
		Timeout:       operatorTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (o *operator) close() { o.client.CloseIdleConnections() }

// call is one request to a server, sent again with the same key while it is not finally answered. Any status but 2xx is an
// error that wraps *problem.
func (o *operator) call(ctx context.Context, s *server, method, path string, header http.Header, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Authorization", "Bearer "+o.key)
	header.Set("User-Agent", userAgent)
	if in != nil {
		header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost {
		header.Set("Idempotency-Key", uuid.NewString())
	}
	for attempt := 1; ; attempt++ {
		got, err := o.once(ctx, s, method, path, header, body)
		if err == nil && got.status/100 == 2 {
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(got.body, out); err != nil {
				return fmt.Errorf("%s %s: %w", method, path, err)
			}
			return nil
		}
		again := err != nil
		if err == nil {
			p := readProblem(got)
			err, again = p, p.passing()
		}
		if !again || attempt == o.attempts || o.wait(ctx, attempt, got.header) != nil {
			return fmt.Errorf("%s %s: %w", method, s.base.JoinPath(path), err)
		}
	}
}

func (o *operator) once(ctx context.Context, s *server, method, path string, header http.Header, body []byte) (response, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	if header != nil {
		request.Header = header.Clone()
	}
	got, err := o.client.Do(request)
	if err != nil {
		// The caller names method and address; the error of net/http would repeat them.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return response{}, err
	}
	return readResponse(got)
}

// reach asks every server once whether it is there, so that a wrong address is told at once and not after the retries.
func (o *operator) reach(ctx context.Context) error {
	for _, s := range o.servers {
		got, err := o.once(ctx, s, http.MethodGet, "/livez", nil, nil)
		if err == nil && got.status != http.StatusOK {
			err = readProblem(got)
		}
		if err != nil {
			return fmt.Errorf("GET %s: %w", s.base.JoinPath("/livez"), err)
		}
	}
	return nil
}

func productPath(sku string) string { return "/api/v1/products/" + sku }

// stockProduct makes a product that is marked as a rehearsal, with units on stock.
func (o *operator) stockProduct(ctx context.Context, sku string, units int) error {
	product := map[string]any{"name": "Rehearsal " + sku, "rehearsal": true}
	if err := o.call(ctx, o.servers[0], http.MethodPut, productPath(sku), nil, product, nil); err != nil {
		return err
	}
	for ; units > 0; units -= receiptUnits {
		receipt := map[string]any{"quantity": min(units, receiptUnits), "reference": sku}
		if err := o.call(ctx, o.servers[0], http.MethodPost, productPath(sku)+"/receipts", nil, receipt, nil); err != nil {
			return err
		}
	}
	return nil
}

// removeProduct removes a rehearsal product with everything of it. One that is not there is removed.
func (o *operator) removeProduct(ctx context.Context, sku string) error {
	err := o.call(ctx, o.servers[0], http.MethodDelete, productPath(sku), nil, nil, nil)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// Places is where the units of a product are, as the service counts them.
type Places struct {
	Received   int `json:"received"`
	Available  int `json:"available"`
	Held       int `json:"held"`
	Ordered    int `json:"ordered"`
	Sold       int `json:"sold"`
	Quarantine int `json:"quarantine"`
	Withdrawn  int `json:"withdrawn"`
}

func (p Places) sum() int {
	return p.Available + p.Held + p.Ordered + p.Sold + p.Quarantine + p.Withdrawn
}

func (o *operator) places(ctx context.Context, sku string) (*Places, error) {
	var p Places
	if err := o.call(ctx, o.servers[0], http.MethodGet, productPath(sku)+"/stock", nil, nil, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

type audit struct {
	OK     bool `json:"ok"`
	Checks []struct {
		Name       string          `json:"name"`
		OK         bool            `json:"ok"`
		Violations json.RawMessage `json:"violations"`
	} `json:"checks"`
}

func (o *operator) audit(ctx context.Context, sku string) (*audit, error) {
	var a audit
	if err := o.call(ctx, o.servers[0], http.MethodPost, "/api/v1/audit", nil, map[string]any{"sku": sku}, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

// transaction asks the server after the buyer's own, so that with several servers the answer of one is verified at another.
func (o *operator) transaction(ctx context.Context, asked int, a answer) (*transaction, error) {
	s := o.servers[(asked+1)%len(o.servers)]
	var t transaction
	header := http.Header{"Buyer-Id": {a.buyer}}
	if err := o.call(ctx, s, http.MethodGet, transactionPath(a.transactionID()), header, nil, &t); err != nil {
		return nil, err
	}
	return &t, nil
}
