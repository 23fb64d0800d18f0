package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/rehearsal"
)

func TestTheQueueIsRehearsed(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first, c := operated(t, dir, 2)
	second := start(t, "serve", dir, "--database-url", first.database)
	for _, how := range [][]string{
		{"--mode", "queued"},
		{"--mode", "both"},
		{"--mode", "both", "--quantity", "1-4"},
		{"--mode", "both", "--poll"},
		{"--mode", "both", "--rate", "300"},
	} {
		args := append([]string{"rehearse", "--url", first.address, "--url", second.address, "--key", c.key, "--buyers", "300"}, how...)
		out := output(t, args...)
		for _, want := range []string{"OK: every promise was kept", "queued", "time to accept", "time to answer"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", strings.Join(how, " "), want, out)
			}
		}
	}
}

func TestTheReportOfAQueueAsJSON(t *testing.T) {
	t.Parallel()
	var got rehearsal.Report
	if err := json.Unmarshal([]byte(output(t, "rehearse", "--buyers", "100", "--mode", "queued", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Mode != rehearsal.Queued || len(got.Cases) != 1 || got.Cases[0].Held != 50 || len(got.Cases[0].Ways) != 1 || got.Cases[0].Ways[0].AcceptLatency == nil {
		t.Errorf("%+v", got)
	}
}

func TestHowARehearsalCannotBeAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--mode", "neither"}, "--mode: the mode must be direct, queued or both"},
		{[]string{"--poll"}, "--poll needs --mode queued"},
		{[]string{"--stock", "3"}, "--stock needs --buyers"},
	} {
		_, err := attempt(t, append([]string{"rehearse"}, c.args...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("rehearse %s: %v, want %q in it", strings.Join(c.args, " "), err, c.want)
		}
	}
}
