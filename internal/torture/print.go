package torture

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// Print writes the figures of a run.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "\nseed %d, %d rounds in %.0f s; audit: %s\n", r.Seed, r.Rounds, r.Took.Seconds(), r.Audit)
	r.Figures.Print(w)
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(w, "%-50s %9d\n", name, r.Counts[name])
	}
	if len(r.Outages) > 0 {
		fmt.Fprintf(w, "\n%-44s %6s %9s %9s %12s %13s\n", "longest time without a claim, for each fault", "n", "p50 s", "p95 s", "slowest call", "first 503 p95")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Outages)) {
		o := r.Outages[name]
		fmt.Fprintf(w, "%-44s %6d %9.2f %9.2f %12.2f %13.2f\n", name, len(o.Gaps), quantile(o.Gaps, 0.5).Seconds(), quantile(o.Gaps, 0.95).Seconds(), o.Slowest.Seconds(),
			quantile(o.Errors, 0.95).Seconds())
	}
	fmt.Fprintf(w, "\n%d violations\n", len(r.Violations))
}
