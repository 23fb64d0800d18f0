// Package webhook sends events to those who subscribed to them: signed (Standard Webhooks), and again and again until they are taken or have been refused
// for three days. What is to be sent to whom, and what came of it, is the shop's to know.
package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

// recordWithin is how long it may take to write down what came of messages, also when the sender is stopped.
const recordWithin = 5 * time.Second

// Options of a Sender. What is left out is as named.
type Options struct {
	// Client sends, with a timeout, and follows no redirects (address.NewClient, or NewOpenClient for development).
	Client *http.Client
	// AtOnce is how many messages are under way to one webhook from this sender. 16.
	AtOnce int
	// Lease is for how long nobody else sends what this sender has taken, and so how late it comes if the sender dies: longer than the client's timeout. 30 s.
	Lease time.Duration
	// FirstPause is how long after the first failure a message is sent again; each time it doubles. 5 s.
	FirstPause time.Duration
	// Patience is how long what is under way has to come to its end when the sender is stopped. 2 s.
	Patience time.Duration
	Log      *slog.Logger
}

// Sender sends what is due. Any number of senders may work on one shop's database.
type Sender struct {
	shop *shop.Shop
	o    Options
	// tables is held while the database is asked, so that however many webhooks there are, sending leaves the connections to those who buy.
	tables chan struct{}

	mu      sync.Mutex
	running map[shop.ID]bool
	under   sync.WaitGroup
}

// New makes a sender.
func New(s *shop.Shop, o Options) *Sender {
	if o.AtOnce == 0 {
		o.AtOnce = 16
	}
	if o.Lease == 0 {
		o.Lease = 30 * time.Second
	}
	if o.FirstPause == 0 {
		o.FirstPause = 5 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Second
	}
	return &Sender{shop: s, o: o, tables: make(chan struct{}, 2), running: map[shop.ID]bool{}}
}

// Send is housekeeping: it begins to send to each webhook that something is due for, unless it is at that already, and does not wait for any of them: one that does not
// answer keeps nobody but itself waiting. What it began ends soon after ctx does; Wait waits for it.
func (d *Sender) Send(ctx context.Context) error {
	var due []shop.ID
	err := d.ask(ctx, func() (err error) {
		due, err = d.shop.WebhooksDue(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range due {
		d.mu.Lock()
		if !d.running[id] {
			d.running[id] = true
			d.under.Go(func() {
				d.sendAll(ctx, id)
				d.mu.Lock()
				defer d.mu.Unlock()
				delete(d.running, id)
			})
		}
		d.mu.Unlock()
	}
	return nil
}

// Wait waits for what Send began. Send is not to be called meanwhile.
func (d *Sender) Wait() { d.under.Wait() }

// ask asks the database when it is this one's turn.
func (d *Sender) ask(ctx context.Context, do func() error) error {
	select {
	case d.tables <- struct{}{}:
		defer func() { <-d.tables }()
		return do()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendAll sends to a webhook until nothing is due for it.
func (d *Sender) sendAll(ctx context.Context, id shop.ID) {
	for ctx.Err() == nil {
		n, err := d.sendSome(ctx, id)
		if err != nil && ctx.Err() == nil {
			// What was taken is due again when its lease is over.
			d.o.Log.Warn("messages to a webhook could not be taken or recorded, and are sent again", "webhook_id", id, "error", err)
		}
		if err != nil || n == 0 {
			return
		}
	}
}

// sendSome sends what is due for a webhook, as much as may be under way at once, and returns how much that was.
func (d *Sender) sendSome(ctx context.Context, id shop.ID) (int, error) {
	var (
		url      string
		secrets  []string
		messages []shop.WebhookMessage
	)
	err := d.ask(ctx, func() (err error) {
		url, secrets, messages, err = d.shop.TakeDeliveries(ctx, id, d.o.AtOnce, d.o.Lease)
		return err
	})
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	// What is under way when ctx ends is given a moment: else the receiver has it, and is sent it again.
	patient, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(d.o.Patience, stop) })()
	signer, err := newSigner(secrets)
	if err != nil {
		return 0, err
	}
	outcomes := make([]*shop.WebhookOutcome, len(messages))
	gone := make([]bool, len(messages))
	var wg sync.WaitGroup
	for i, m := range messages {
		wg.Go(func() { outcomes[i], gone[i] = d.attempt(patient, url, signer, m) })
	}
	wg.Wait()
	var told []shop.WebhookOutcome
	disable := false
	for i, o := range outcomes {
		if o != nil {
			told = append(told, *o)
			disable = disable || gone[i]
		}
	}
	if len(told) == 0 {
		return len(messages), nil
	}
	brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	return len(messages), d.ask(brief, func() error { return d.shop.RecordDeliveries(brief, id, told, disable) })
}
