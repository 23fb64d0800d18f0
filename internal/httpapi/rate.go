package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	// burstLasts is how long somebody who has sent nothing may have saved requests up.
	burstLasts = 5 * time.Second
	// namesAtMost are remembered of a generation; where more come, some are forgiven what they have sent.
	namesAtMost = 100_000
)

// rates lets each name send so many requests a second. It knows no more than two generations of names, each burstLasts long: whoever has sent nothing
// for that long may send a burst again, as somebody who was never seen. nil lets everybody send everything.
type rates[K comparable] struct {
	perSecond, burst float64

	mu         sync.Mutex
	young, old map[K]saved
	turned     time.Time // when young was begun
}

// saved is how many requests a name may send at an instant.
type saved struct {
	requests float64
	at       time.Time
}

func newRates[K comparable](perSecond int) *rates[K] {
	if perSecond == 0 {
		return nil
	}
	each := float64(perSecond)
	return &rates[K]{perSecond: each, burst: each * burstLasts.Seconds(), young: map[K]saved{}}
}

// is tells whether each name may send so many.
func (r *rates[K]) is(perSecond int) bool {
	return r == nil && perSecond == 0 || r != nil && r.perSecond == float64(perSecond)
}

// has tells whether a name may send a request now.
func (r *rates[K]) has(name K, now time.Time) bool { return r.spend(name, now, 0) }

// take tells whether a name may send a request now, which is then sent.
func (r *rates[K]) take(name K, now time.Time) bool { return r.spend(name, now, 1) }

func (r *rates[K]) spend(name K, now time.Time, requests float64) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) >= 2*burstLasts {
		clear(r.young)
	}
	if now.Sub(r.turned) >= burstLasts || len(r.young) >= namesAtMost {
		r.old, r.young, r.turned = r.young, map[K]saved{}, now
	}
	s, known := r.young[name]
	if !known {
		s, known = r.old[name]
	}
	if !known {
		s.requests = r.burst
	} else {
		s.requests = min(r.burst, s.requests+r.perSecond*max(0, now.Sub(s.at).Seconds()))
	}
	if s.requests < 1 {
		return false
	}
	if requests > 0 {
		r.young[name] = saved{s.requests - requests, now}
	}
	return true
}

// tooFast refuses who has sent as many requests as anybody may.
func tooFast(detail string) *shop.Refusal {
	return &shop.Refusal{Code: shop.TooManyRequests, RetryAfter: time.Second, Detail: detail + " Nothing happened. Ask again in a second, with the same Idempotency-Key."}
}

var (
	buyerTooFast   = tooFast("Of this buyer more requests have come than anybody may send.")
	addressTooFast = tooFast("From your address more requests have come than may come from one.")
)

// addresses limits what comes from one address.
type addresses struct {
	rates atomic.Pointer[rates[netip.Prefix]]
	// proxies are believed when they say whom they speak for.
	proxies []netip.Prefix
	log     *slog.Logger
	mu      sync.Mutex
	warned  time.Time
}

// client is the address that a request comes from: the last one in X-Forwarded-For that no proxy of ours has, where one of ours has sent it. It is
// zero where a test has no connection.
func (a *addresses) client(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	at := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !a.ours(at) {
			break
		}
		before, err := addressIn(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		at = before
	}
	return at
}

func (a *addresses) ours(at netip.Addr) bool {
	return slices.ContainsFunc(a.proxies, func(p netip.Prefix) bool { return p.Contains(at) })
}

// addressIn reads an address that may have a port behind it, as some proxies write it.
func addressIn(text string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone(""), nil
	}
	at, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return at.Unmap().WithZone(""), err
}

// network is what counts as one address: of IPv6 all that one customer has.
func network(at netip.Addr) netip.Prefix {
	bits := at.BitLen()
	if at.Is6() {
		bits = 64
	}
	p, _ := at.Prefix(bits)
	return p
}

// limited tells whether an address is limited at all: those of proxies and of neighbours are not public.
func (a *addresses) limited(at netip.Addr) bool {
	return a.rates.Load() != nil && at.IsGlobalUnicast() && !at.IsPrivate() && !a.ours(at) && !shared.Contains(at)
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // behind the NAT of a provider, and in many clusters

// has and take are those of rates.
func (a *addresses) has(at netip.Addr) bool  { return a.spend(at, a.rates.Load().has) }
func (a *addresses) take(at netip.Addr) bool { return a.spend(at, a.rates.Load().take) }

func (a *addresses) spend(at netip.Addr, how func(netip.Prefix, time.Time) bool) bool {
	if !a.limited(at) {
		return true
	}
	now := time.Now()
	if how(network(at), now) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.warned) > time.Minute {
		a.warned = now
		a.log.Warn("more requests come from an address than address-rate lets; if it is that of a proxy, name it in trusted-proxy", "address", at.String())
	}
	return false
}

// fromAddress is the middleware of operations that need nobody: it lets so many requests a second through from each address.
func (a *api) fromAddress(hc huma.Context, next func(huma.Context)) {
	r, _ := humachi.Unwrap(hc)
	if !a.addresses.take(a.addresses.client(r)) {
		a.write(hc, problemOf(addressTooFast))
		return
	}
	next(hc)
}
