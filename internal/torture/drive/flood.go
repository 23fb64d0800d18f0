package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
	"github.com/lastunit/lastunit/internal/torture/history"
)

// FloodOptions of a flood of direct claims, each for one unit. What is 0 has a default. The servers must refuse what they can't get to while others wait: with fewer --max-waiting than there are
// connections. Where the clients have the same processors as the servers, the peak must be far below what those can do, or the flood measures how the processors are shared: let the way to the database
// take some 10 ms each way.
type FloodOptions struct {
	Prefix      string // of the product, the buyers and the keys
	Key         string // an API key that may do everything
	Addresses   []string
	Units       int           // in stock: enough for all who are served until their holds lapse; 200,000
	Connections int           // that requests arrive on: as many can be under way at once; 4096
	Closed      int           // of those, how many ask for the peak first, each when it was answered: fewer than may wait; 128
	Times       float64       // the peak; 10
	Peak        time.Duration // how long each measurement of it takes; 10 s
	For         time.Duration // how long the flood is; 5 min
}

// Flooded is what became of a flood. Rates are a second.
type Flooded struct {
	Peak     float64 // the most claims that were served before the flood
	Calm     Spread  // what they take while half of the peak arrives
	Arriving float64 // requests that were to arrive in the flood
	Sent     float64 // that were sent; the others found no connection of ours free
	Served   float64
	Share    float64 // of the peak that was served
	Worst    float64 // of the peak that was served in the worst second
	Took     Spread  // by those who were served
	Refused  int64   // answered busy
	Refusals Spread  // what that took
	Other    map[string]int64
	Normal   time.Duration // from the end of the flood until half of the peak was served as before it; negative: not within a minute
}

// Spread is of what answers took.
type Spread struct{ P50, P95, P99, Most time.Duration }

func (s Spread) String() string {
	return fmt.Sprintf("p50 %v, p95 %v, p99 %v, at most %v", s.P50, s.P95, s.P99, s.Most)
}

// Print shows the figures, a line each.
func (f Flooded) Print(w io.Writer) {
	fmt.Fprintf(w, "peak: %.0f claims/s\n", f.Peak)
	fmt.Fprintf(w, "at half of it: %v\n", f.Calm)
	fmt.Fprintf(w, "flood: %.0f requests/s were to arrive, %.0f/s were sent\n", f.Arriving, f.Sent)
	fmt.Fprintf(w, "served: %.0f/s, %.2f of the peak, %.2f in the worst second; %v\n", f.Served, f.Share, f.Worst, f.Took)
	fmt.Fprintf(w, "busy: %d; %v\n", f.Refused, f.Refusals)
	for _, what := range slices.Sorted(maps.Keys(f.Other)) {
		fmt.Fprintf(w, "answered otherwise: %d %s\n", f.Other[what], what)
	}
	fmt.Fprintf(w, "normal again after %v\n", f.Normal.Round(100*time.Millisecond))
}

// Flood measures the peak, lets a multiple of it arrive by the clock, whatever becomes of it, and sees how soon all is as before. Error: ctx's, or that of stocking the product.
func Flood(ctx context.Context, o FloodOptions) (Flooded, error) {
	o.Units, o.Connections, o.Closed = cmp.Or(o.Units, 200_000), cmp.Or(o.Connections, 4096), cmp.Or(o.Closed, 128)
	o.Times, o.Peak, o.For = cmp.Or(o.Times, 10), cmp.Or(o.Peak, 10*time.Second), cmp.Or(o.For, 5*time.Minute)
	f := &flood{o: o, sku: o.Prefix + "flooded"}
	if err := f.stock(ctx); err != nil {
		return Flooded{}, err
	}
	for n := range o.Connections {
		f.conns = append(f.conns, &driven.Wire{Address: o.Addresses[n%len(o.Addresses)]})
	}
	defer func() {
		for _, c := range f.conns {
			c.Close()
		}
	}()
	out := Flooded{Peak: f.peak(ctx)}
	if out.Peak == 0 {
		return out, errors.New("nothing was served")
	}
	calm := f.wave(ctx, out.Peak/2, o.Peak)
	out.Calm = calm.served.spread()
	out.Arriving = o.Times * out.Peak
	end := time.Now().Add(o.For)
	storm := f.wave(ctx, out.Arriving, o.For)
	out.Normal = f.untilAsBefore(ctx, out, end) // the last of them may have been answered long after
	out.Sent, out.Served = storm.rate(storm.sent.Load()), storm.rate(storm.served.n.Load())
	out.Share, out.Worst = out.Served/out.Peak, storm.worst()/out.Peak
	out.Took, out.Refused, out.Refusals, out.Other = storm.served.spread(), storm.busy.n.Load(), storm.busy.spread(), storm.other
	return out, ctx.Err()
}

// peak is the most that is served: by connections that ask when they were answered, or of twice as much as was served before.
func (f *flood) peak(ctx context.Context) float64 {
	f.wave(ctx, 0, f.o.Peak/4) // to be warm
	w := f.wave(ctx, 0, f.o.Peak)
	most := w.rate(w.served.n.Load())
	for range 4 {
		w = f.wave(ctx, 2*most, f.o.Peak)
		before := most
		if most = max(most, w.rate(w.served.n.Load())); most < before*11/10 {
			break
		}
	}
	return most
}

type flood struct {
	o     FloodOptions
	sku   string
	conns []*driven.Wire
	keys  atomic.Int64
}

func (f *flood) stock(ctx context.Context) error {
	r := &Round{o: Options{Prefix: f.o.Prefix, Key: f.o.Key, Addresses: f.o.Addresses}}
	c := r.client(ctx, 0, history.NewLog(nil))
	defer c.close()
	if _, err := c.operate("PUT", ofProduct(f.sku, ""), `{"price":{"amount":990,"currency":"EUR"}}`); err != nil {
		return err
	}
	for left := f.o.Units; left > 0; left -= 50_000 {
		if _, err := c.operate("POST", ofProduct(f.sku, "/receipts"), fmt.Sprintf(`{"quantity":%d,"reference":"flood"}`, min(left, 50_000))); err != nil {
			return err
		}
	}
	return nil
}

// untilAsBefore lets half of the peak arrive, second by second, until nearly all of it is served and takes about what it took before.
func (f *flood) untilAsBefore(ctx context.Context, out Flooded, end time.Time) time.Duration {
	for ctx.Err() == nil && time.Since(end) < time.Minute {
		before := time.Since(end)
		w := f.wave(ctx, out.Peak/2, time.Second)
		if n := w.served.n.Load(); n > 0 && n >= w.due*98/100 && w.served.spread().P95 <= 2*out.Calm.P95+20*time.Millisecond {
			return before
		}
	}
	return -1
}

// wave is requests of one rate, and what became of them.
type wave struct {
	took    time.Duration
	due     int64 // that were to arrive
	sent    atomic.Int64
	served  times
	busy    times
	seconds []atomic.Int64 // served in each

	mu    sync.Mutex
	other map[string]int64
}

func (w *wave) rate(n int64) float64 { return float64(n) / w.took.Seconds() }

// worst is the fewest that were served in a whole second.
func (w *wave) worst() float64 {
	least := w.seconds[0].Load()
	for i := range w.seconds {
		least = min(least, w.seconds[i].Load())
	}
	return float64(least)
}

// late is how long an arrival waits for a connection of ours before nobody sends it any more.
const late = 100 * time.Millisecond

// wave sends for so long: at a rate, or as fast as it is answered when that is 0.
func (f *flood) wave(ctx context.Context, rate float64, during time.Duration) *wave {
	w := &wave{took: during, seconds: make([]atomic.Int64, max(int(during.Seconds()), 1)), other: map[string]int64{}, due: int64(rate * during.Seconds())}
	conns := f.conns
	if rate == 0 {
		conns = conns[:min(f.o.Closed, len(conns))]
	}
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for _, conn := range conns {
		all.Go(func() {
			var request []byte
			for ctx.Err() == nil && time.Since(began) < during {
				if rate > 0 {
					n := next.Add(1) - 1
					if n >= w.due {
						return
					}
					at := time.Duration(float64(n) / rate * float64(time.Second))
					wait := at - time.Since(began)
					if wait > time.Millisecond {
						driven.Pause(ctx, wait)
					}
					if wait < -late {
						continue
					}
				}
				request = f.send(w, conn, request, began)
			}
		})
	}
	all.Wait()
	return w
}

// send sends one request and writes down what became of it. It returns the request's bytes, to be used again.
func (f *flood) send(w *wave, conn *driven.Wire, request []byte, began time.Time) []byte {
	n := f.keys.Add(1)
	name := f.o.Prefix + strconv.FormatInt(n, 36)
	request = driven.Post(request[:0], conn.Address, "/order/addToCart", f.o.Key, "Buyer-Id: "+name+"\r\nIdempotency-Key: "+name+"\r\n", `{"sku":"`+f.sku+`"}`)
	sent := time.Now()
	w.sent.Add(1)
	status, _, err := conn.Ask(request)
	took := time.Since(sent)
	switch {
	case err == nil && status == 201:
		w.served.add(took)
		if second := int(time.Since(began) / time.Second); second < len(w.seconds) {
			w.seconds[second].Add(1)
		}
	case err == nil && status == 503:
		w.busy.add(took)
	default:
		what := "no answer"
		if err == nil {
			what = strconv.Itoa(status)
		}
		w.mu.Lock()
		w.other[what]++
		w.mu.Unlock()
	}
	return request
}

// times counts by the millisecond. All above the last counts there.
type times struct {
	n       atomic.Int64
	most    atomic.Int64
	buckets [10_001]atomic.Int64
}

func (t *times) add(took time.Duration) {
	t.n.Add(1)
	t.buckets[min(int(took/time.Millisecond), len(t.buckets)-1)].Add(1)
	for most := t.most.Load(); int64(took) > most && !t.most.CompareAndSwap(most, int64(took)); most = t.most.Load() {
	}
}

func (t *times) spread() Spread {
	at := func(share float64) time.Duration {
		left := int64(share * float64(t.n.Load()))
		for ms := range t.buckets {
			if left -= t.buckets[ms].Load(); left < 0 {
				return time.Duration(ms+1) * time.Millisecond
			}
		}
		return 0
	}
	return Spread{P50: at(0.5), P95: at(0.95), P99: at(0.99), Most: time.Duration(t.most.Load()).Round(time.Millisecond)}
}
