package shop

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Latencies are counted in buckets that grow with them: one for each microsecond up to 8, then 8 for each doubling, up to 134 s. So what is read
// from them is wrong by a sixteenth at most.
const latencyBuckets = 8 * 25

// latencyBucket is the bucket that a latency falls into.
func latencyBucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < 8 {
		return int(us)
	}
	e := bits.Len64(us) - 4
	return min(8*e+int(us>>e), latencyBuckets-1)
}

// latencyOf is the middle of a bucket.
func latencyOf(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket) * time.Microsecond
	}
	e := bucket/8 - 1
	low := uint64(8+bucket%8) << e
	return time.Duration(low)*time.Microsecond + time.Duration(1)<<e*time.Microsecond/2
}

// latencies counts calls by the bucket of their latency.
type latencies [latencyBuckets]uint32

// text is the buckets that are not empty as an array of the database: pairs of a bucket and its count.
func (l *latencies) text() string {
	var b strings.Builder
	b.WriteByte('{')
	for bucket, n := range l {
		if n == 0 {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(bucket))
		b.WriteByte(',')
		b.WriteString(strconv.FormatUint(uint64(n), 10))
	}
	b.WriteByte('}')
	return b.String()
}

// addPairs adds what text wrote.
func (l *latencies) addPairs(pairs []int32) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if bucket := pairs[i]; bucket >= 0 && bucket < latencyBuckets {
			l[bucket] += uint32(pairs[i+1])
		}
	}
}

func (l *latencies) add(other *latencies) {
	for bucket, n := range other {
		l[bucket] += n
	}
}

// percentile is the latency that a share of the calls does not pass; 0 when there are none.
func (l *latencies) percentile(share float64) time.Duration {
	total := uint64(0)
	for _, n := range l {
		total += uint64(n)
	}
	want, seen := max(uint64(share*float64(total)+0.999999), 1), uint64(0)
	for bucket, n := range l {
		if seen += uint64(n); n > 0 && seen >= want {
			return latencyOf(bucket)
		}
	}
	return 0
}

// summary is what is said of them; nil when there are none.
func (l *latencies) summary() *SaleLatency {
	if *l == (latencies{}) {
		return nil
	}
	return &SaleLatency{P50: l.percentile(0.50), P95: l.percentile(0.95), P99: l.percentile(0.99)}
}
