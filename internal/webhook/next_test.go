package webhook

import (
	"net/http"
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/shop"
)

func TestRetryAfterIsHonouredWithinBounds(t *testing.T) {
	t.Parallel()
	at := time.Now()
	for _, c := range []struct {
		header      string
		tries       int
		least, most time.Duration
	}{
		{"", 0, 4 * time.Second, 6 * time.Second},
		{"1", 0, 4 * time.Second, 6 * time.Second}, // not sooner than we would
		{"60", 0, time.Minute, time.Minute},
		{at.Add(10 * time.Minute).UTC().Format(http.TimeFormat), 0, 9*time.Minute + 58*time.Second, 10 * time.Minute},
		{"-5", 0, 4 * time.Second, 6 * time.Second},
		{"soon", 0, 4 * time.Second, 6 * time.Second},
		{"99999999", 0, longestPause, longestPause},
		{"99999999999999999999", 0, 4 * time.Second, 6 * time.Second},
		{"", 1000, longestPause * 4 / 5, longestPause * 6 / 5},
	} {
		status, due := next(at, at, c.tries, 5*time.Second, readRetryAfter(c.header, at))
		if pause := due.Sub(at); status != shop.DeliveryIsPending || pause < c.least || pause > c.most {
			t.Errorf("Retry-After %q after %d attempts: %s after %s, want %s to %s", c.header, c.tries, status, pause, c.least, c.most)
		}
	}
	if status, due := next(at, at.Add(-giveUpAfter+time.Minute), 20, 5*time.Second, longestPause); status != shop.DeliveryIsPending || !due.Equal(at.Add(time.Minute)) {
		t.Errorf("just before the end: %s at %s", status, due)
	}
	if status, _ := next(at, at.Add(-giveUpAfter), 20, 5*time.Second, 0); status != shop.DeliveryIsGivenUp {
		t.Errorf("at the end: %s", status)
	}
}
