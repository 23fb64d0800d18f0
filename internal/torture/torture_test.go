package torture_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture"
	"github.com/lastunit/lastunit/internal/torture/bug"
)

func TestMain(m *testing.M) {
	code := m.Run()
	driven.RemoveBuilt()
	os.Exit(code)
}

func options() torture.Options {
	return torture.Options{Servers: 2, Standby: true, Clients: 100, Round: 10 * time.Second}
}

// said collects what a run prints, for a test that fails.
type said struct{ strings.Builder }

// A short run with all faults, and nothing is found, with no more patience than where a mistake is looked for: what is found there is not how slow everything is.
// make torture runs for an hour.
func TestNothingIsFound(t *testing.T) {
	binary, err := driven.Built()
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Binary, o.For, o.Bug = binary, 15*time.Second, &bug.Bug{Name: "none"}
	var out said
	r, err := torture.Run(t.Context(), o, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	r.Print(&out)
	if len(r.Violations) > 0 || r.Figures.Claims == 0 || r.Figures.Orders == 0 {
		t.Errorf("%d violations, %d claims, %d orders\n%s", len(r.Violations), r.Figures.Claims, r.Figures.Orders, &out)
	}
	t.Log(out.String())
}

// Four bugs a day, in turn, are found within a minute each; all of them with go run ./cmd/torture bugs.
func TestBugsAreFound(t *testing.T) {
	const aDay = 4
	first := time.Now().YearDay() * aDay
	all := slices.DeleteFunc(slices.Clone(bug.Bugs), func(b bug.Bug) bool { return b.Ahead }) // which takes minutes to build
	for i := range aDay {
		b := all[(first+i)%len(all)]
		t.Run(b.Name, func(t *testing.T) {
			var out said
			o := options()
			var err error
			if o.Binary, err = b.Build(t.Context(), t.TempDir()); err != nil {
				t.Fatal(err)
			}
			o.Bug, o.For = &b, time.Minute
			r, err := torture.Run(t.Context(), o, &out)
			if err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			if len(r.Violations) == 0 {
				t.Fatalf("%s (%s) was not found\n%s", b.Name, b.What, &out)
			}
			t.Logf("found after %s: %s\n%s", r.Found.Round(time.Second), r.Violations[0].Rule, &out)
		})
	}
}
