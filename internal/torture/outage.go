package torture

import (
	"slices"
	"time"

	"github.com/lastunit/lastunit/internal/torture/history"
)

// Outage is how long nobody could claim while faults of one name were injected: the longest time between two claims that were answered OK, one for each fault.
type Outage struct {
	Gaps    []time.Duration `json:"gaps"`
	Errors  []time.Duration `json:"errors"`  // from a fault's beginning to the first call that was answered 503 meanwhile, where there was one
	Slowest time.Duration   `json:"slowest"` // attempt while such a fault lasted, less what it was asked, or may, wait
}

// quantile of what took some time; 0 when nothing did.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// after is how long after a fault was healed its consequences are still counted to it.
const after = 2 * time.Second

// outages measures what the faults of a round have done to those who claim.
func (r *run) outages(ops []history.Op) {
	var answered []time.Duration // claims that were answered OK, when
	for _, op := range ops {
		if op.Kind == history.Claim && op.Outcome == history.OK && !op.Replayed && op.Start < r.driven {
			answered = append(answered, op.End)
		}
	}
	slices.Sort(answered)
	for _, f := range r.done {
		o := r.result.Outages[f.name]
		first, _ := slices.BinarySearch(answered, f.start)
		last, _ := slices.BinarySearch(answered, f.end+after)
		longest := time.Duration(0)
		for i := max(first, 1); i <= last && i < len(answered); i++ {
			longest = max(longest, answered[i]-answered[i-1])
		}
		o.Gaps = append(o.Gaps, longest)
		first503 := time.Duration(-1)
		for _, op := range ops {
			if op.Card != "hang" && op.End >= f.start && op.Start <= f.end {
				o.Slowest = max(o.Slowest, op.End-op.Start-op.Wait)
			}
			if op.Status == 503 && op.End >= f.start && op.End <= f.end+after && (first503 < 0 || op.End < first503) {
				first503 = op.End
			}
		}
		if first503 >= 0 {
			o.Errors = append(o.Errors, first503-f.start)
		}
		r.result.Outages[f.name] = o
	}
}
