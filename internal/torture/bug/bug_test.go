package bug_test

import (
	"testing"

	"github.com/lastunit/lastunit/internal/torture/bug"
)

// Whether they compile, and the torture finds them, is shown by running it with each of them.
func TestEachBugFitsTheSources(t *testing.T) {
	t.Parallel()
	if len(bug.Bugs) < 12 {
		t.Errorf("%d bugs", len(bug.Bugs))
	}
	names := map[string]bool{}
	for _, b := range bug.Bugs {
		if names[b.Name] || b.Name == "" || b.What == "" || len(b.Edits) == 0 {
			t.Errorf("%+v is incomplete, or there twice", b)
		}
		names[b.Name] = true
		if err := b.Fits(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
