// Package background is the clock: it runs functions again and again until it is told to stop. It knows nothing of ours.
package background

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Loop is a function that is run again and again, never twice at once.
type Loop struct {
	// Name is for the log.
	Name string
	// Every is the pause between the end of a run and the start of the next, give or take a tenth, so that the loops of
	// several servers don't fall into step. After a run that failed it is at least a second.
	Every time.Duration
	// Run does the work once. It must end soon after ctx ends.
	Run func(ctx context.Context) error
}

// Run runs the loops, each in a goroutine of its own, the first time at once, and returns when ctx has ended and all of
// them have returned. An error is logged when it appears and when it has gone, not each time.
func Run(ctx context.Context, log *slog.Logger, loops ...Loop) {
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() { l.forever(ctx, log) })
	}
	wg.Wait()
}

func (l Loop) forever(ctx context.Context, log *slog.Logger) {
	failing := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := l.Run(ctx)
		pause := l.Every
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = max(pause, time.Second)
			if !failing {
				log.Warn("background loop fails, and is tried again", "loop", l.Name, "error", err)
			}
			failing = true
		case failing:
			log.Info("background loop works again", "loop", l.Name)
			failing = false
		}
		timer.Reset(pause - pause/10 + rand.N(pause/5+1))
	}
}
