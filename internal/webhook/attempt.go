package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	// giveUpAfter is for how long a message is sent again. A receiver may be repaired over a weekend.
	giveUpAfter = 72 * time.Hour
	// longestPause is the most that lies between two attempts, whatever Retry-After asks for.
	longestPause = 4 * time.Hour
	// bodyKept is how much of an answer is kept in the log.
	bodyKept = 1 << 10
)

// NewOpenClient makes a client that sends anywhere, for development: address.NewClient is for everything else. It follows no redirects either.
func NewOpenClient(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// signer signs with each secret of a webhook.
type signer []*standardwebhooks.Webhook

func newSigner(secrets []string) (all signer, err error) {
	for _, secret := range secrets {
		one, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, errors.New("a secret can't be read") // and the error may hold it
		}
		all = append(all, one)
	}
	return all, nil
}

// sign returns webhook-signature: a signature for each secret, the newest first.
func (s signer) sign(id string, at time.Time, body []byte) (string, error) {
	var all []string
	for _, one := range s {
		signature, err := one.Sign(id, at, body)
		if err != nil {
			return "", err
		}
		all = append(all, signature)
	}
	return strings.Join(all, " "), nil
}

// body is what is sent of an event. It is the same each time.
type body struct {
	Type      shop.EventType  `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// attempt sends a message once. gone: the receiver wants no more. Nil when ctx ended before anything came of it: then the message is due again when its lease is over.
func (d *Sender) attempt(ctx context.Context, to string, s signer, m shop.WebhookMessage) (o *shop.WebhookOutcome, gone bool) {
	at := d.shop.Clock()
	o = &shop.WebhookOutcome{DeliveryID: m.DeliveryID, WebhookAttempt: shop.WebhookAttempt{At: at}}
	begun := time.Now()
	retryAfter, err := d.post(ctx, to, s, m, o)
	o.Took = time.Since(begun)
	if err != nil {
		if ctx.Err() != nil {
			return nil, false
		}
		o.Error = reason(err)
	}
	if o.Status/100 == 2 {
		o.Becomes = shop.DeliveryIsDelivered
		return o, false
	}
	o.Becomes, o.Due = next(at, m.Since, m.Tries, d.o.FirstPause, retryAfter)
	return o, o.Status == http.StatusGone
}

// post sends, and notes the answer.
func (d *Sender) post(ctx context.Context, to string, s signer, m shop.WebhookMessage, o *shop.WebhookOutcome) (retryAfter time.Duration, err error) {
	text, err := json.Marshal(body{m.Type, m.At.UTC(), m.Data})
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	signature, err := s.sign(m.EventID.String(), o.At, text)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "lastunit")
	r.Header.Set(standardwebhooks.HeaderWebhookID, m.EventID.String())
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(o.At.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	answer, err := d.o.Client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	o.Status = answer.StatusCode
	// The status is the answer; that its text breaks off changes nothing.
	begin, _ := io.ReadAll(io.LimitReader(answer.Body, bodyKept))
	o.Body = storable(string(begin))
	return readRetryAfter(answer.Header.Get("Retry-After"), o.At), nil
}

// next decides what becomes of a message that was not taken: it is sent again after a pause that doubles, up to longestPause, and that the receiver may lengthen up to that;
// the last time 72 hours after it was to be sent first. It goes by age and not by number, because those who die while they send count nothing.
func next(at, since time.Time, tries int, first, retryAfter time.Duration) (shop.DeliveryStatus, time.Time) {
	last := since.Add(giveUpAfter)
	if !at.Before(last) {
		return shop.DeliveryIsGivenUp, time.Time{}
	}
	pause := first
	for range tries {
		pause = min(2*pause, longestPause)
	}
	// A fifth more or less, lest all that failed together come together.
	pause = pause - pause/5 + rand.N(pause*2/5+1)
	due := at.Add(max(pause, min(retryAfter, longestPause)))
	if due.After(last) {
		due = last
	}
	return shop.DeliveryIsPending, due
}

// readRetryAfter reads the header, in seconds or as a date; 0 when there is none that can be read.
func readRetryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// reason says in a few words why there was no answer.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // without the address, which the log is about anyway
	}
	return storable(fmt.Sprintf("%.300s", err.Error()))
}

// storable leaves out what PostgreSQL does not take as text.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}
