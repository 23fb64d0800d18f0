package background_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lastunit/lastunit/internal/background"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunsAgainAndAgainUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	runs := make(chan struct{})
	ended := make(chan struct{})
	busy := false
	go func() {
		defer close(ended)
		background.Run(ctx, slog.New(slog.DiscardHandler), background.Loop{Name: "count", Every: time.Millisecond, Run: func(context.Context) error {
			if busy {
				t.Error("two runs at once")
			}
			busy = true
			runs <- struct{}{}
			busy = false
			return nil
		}})
	}()
	for range 5 {
		<-runs
	}
	cancel()
	for {
		select {
		case <-runs: // one that was under way
		case <-ended:
			return
		}
	}
}

func TestAnErrorIsLoggedWhenItAppearsAndWhenItHasGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var log bytes.Buffer
	n := 0
	background.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), background.Loop{Name: "flaky", Every: time.Millisecond, Run: func(context.Context) error {
		n++
		switch n {
		case 1, 2:
			return errors.New("boom")
		case 4:
			cancel()
		}
		return nil
	}})
	if fails, works := strings.Count(log.String(), "fails"), strings.Count(log.String(), "works again"); fails != 1 || works != 1 {
		t.Errorf("%d lines say that it fails and %d that it works again, want 1 and 1:\n%s", fails, works, log.String())
	}
}

func TestALoopEndsWithItsContextWhileItRuns(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	background.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), background.Loop{Name: "slow", Every: time.Hour, Run: func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}})
	if log.Len() > 0 {
		t.Errorf("a run that was stopped is no failure, but the log says:\n%s", log.String())
	}
}
