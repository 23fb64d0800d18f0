package main

import (
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/payment/stripe"
	"github.com/lastunit/lastunit/internal/shop"
)

// reloadable puts those settings into the options that can change while the service runs.
func reloadable(cfg Config, o httpapi.Options) httpapi.Options {
	o.BuyerRate, o.AddressRate, o.LogRequests = cfg.BuyerRate, cfg.AddressRate, cfg.LogRequests
	if cfg.Guests {
		o.GuestRate = cfg.GuestRate
	}
	return o
}

// limits are those of what has to wait. They can change as well.
func limits(cfg Config) shop.Limits {
	return shop.Limits{Waiting: cfg.MaxWaiting, QueueUnits: cfg.MaxQueued, QueuePerBuyer: cfg.MaxQueuedPerBuyer}
}

// takenOver is what is in force when settings have been read again: the new ones where they can change while the service runs, the old ones else.
func takenOver(old, read Config) Config {
	now := old
	now.LogLevel, now.LogRequests = read.LogLevel, read.LogRequests
	now.BuyerRate, now.AddressRate, now.GuestRate = read.BuyerRate, read.AddressRate, read.GuestRate
	now.MaxWaiting, now.MaxQueued, now.MaxQueuedPerBuyer = read.MaxWaiting, read.MaxQueued, read.MaxQueuedPerBuyer
	now.StripeSecrets = read.StripeSecrets
	if old.BuyerSecret != "" && read.BuyerSecret != "" { // else it is not only another secret, but another way to tell who buys
		now.BuyerSecret = read.BuyerSecret
	}
	return now
}

// changed names the settings that differ.
func changed(all []setting, a, b Config) (names []string) {
	for _, st := range all {
		if !reflect.DeepEqual(st.of(a), st.of(b)) {
			names = append(names, st.name)
		}
	}
	return names
}

// reloadOnHangup reads the settings again with each SIGHUP, until what it returns is called.
func (s *service) reloadOnHangup(cfg Config, e *environment) (end func()) {
	hangups, ended, over := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangups:
				cfg = s.reload(cfg, e)
			case <-over:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(over)
		<-ended
	}
}

// reload reads the settings again and returns those that are then in force: the ones from before, if anything is wrong with the new ones.
func (s *service) reload(old Config, e *environment) Config {
	read, err := e.settings.again()
	if err != nil {
		s.log.Error("the settings stay as they were: they can't be read again", "error", err)
		return old
	}
	now := takenOver(old, read)
	secret, err := buyerSecret(now)
	if err == nil {
		err = s.handler.Reload(reloadable(now, httpapi.Options{Buyers: httpapi.Buyers{Secret: secret}}))
	}
	if err != nil {
		s.log.Error("the settings stay as they were", "error", err)
		return old
	}
	s.SetLimits(limits(now))
	if provider, ok := s.provider.(*stripe.Stripe); ok {
		provider.SetWebhookSecrets(revealed(now.StripeSecrets))
	}
	all := e.settings.all
	restart := changed(all, now, read)
	// In the level that shows it, whichever of the two that is.
	e.level.Set(min(old.LogLevel, now.LogLevel))
	s.log.Info("the settings were read again", "changed", changed(all, old, now), "need_a_restart", restart)
	if len(restart) > 0 {
		s.log.Warn("some settings have changed that are taken over at the next start only", "settings", restart)
	}
	e.level.Set(now.LogLevel)
	return now
}

func revealed(secrets []Secret) (texts []string) {
	for _, s := range secrets {
		texts = append(texts, string(s))
	}
	return texts
}
