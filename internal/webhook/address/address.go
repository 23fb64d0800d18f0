// Package address keeps webhooks from being sent where whoever named their address has no business: to this machine, to its network, to its cloud. What is
// named is checked as it is written (Parse), and what it leads to whenever a connection is made (NewClient), because a name may lead elsewhere by then.
package address

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Refusal is why an address is not taken, in a sentence for whoever named it. It tells nothing of what a name leads to.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// What is wrong with addresses.
const (
	NoURL     Refusal = "must be a URL such as https://example.com/webhooks, of at most 2000 characters"
	NotHTTPS  Refusal = "must begin with https://"
	UserInfo  Refusal = "must have no user and no password; what is sent is signed"
	Fragment  Refusal = "must have no fragment (#)"
	BadHost   Refusal = "must name a host in the internet, such as example.com; one with other letters in its xn-- form"
	BadPort   Refusal = "must have no port, or 443, or one from 1024 on"
	NotPublic Refusal = "must lead to public addresses only"
)

const longest = 2000

var (
	// hostForm is a name of at least two labels.
	hostForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// numeric is what libraries take for an IPv4 address, in whatever base and with however many parts.
	numeric = regexp.MustCompile(`^(0x[0-9a-f]*|[0-9]+)$`)
	// inward are the ends of names that networks keep for themselves.
	inward = []string{"localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa", "in-addr.arpa", "ip6.arpa", "test", "invalid", "example", "onion", "alt"}
)

// Parse reads the address of a webhook. The errors are Refusals.
func Parse(text string) (*url.URL, error) {
	// Spaces and backslashes mean different things to different readers of URLs.
	if len(text) > longest || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return nil, NoURL
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return nil, NoURL
	}
	return u, check(u)
}

// check is what Parse checks, for a URL that was read before.
func check(u *url.URL) error {
	switch {
	case u.Scheme != "https":
		return NotHTTPS
	case u.User != nil:
		return UserInfo
	case u.Fragment != "" || u.RawFragment != "":
		return Fragment
	case strings.HasSuffix(u.Host, ":"):
		return BadPort
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n != 443 && n < 1024 || strconv.FormatUint(n, 10) != port {
			return BadPort
		}
	}
	host := strings.ToLower(u.Hostname())
	if at, err := netip.ParseAddr(host); err == nil {
		if at.Is4In6() || !Public(at) {
			return NotPublic
		}
		return nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if len(host) > 253 || !hostForm.MatchString(host) || numeric.MatchString(last) || slices.ContainsFunc(inward, func(end string) bool { return strings.HasSuffix(host, "."+end) }) {
		return BadHost
	}
	return nil
}

// notPublic are the networks of IPv4, and those within the one of IPv6 that is public (2000::/3), that are not everybody's.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24",
	"192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"168.63.129.16/32", // Azure's own services, on every machine there
	"2001::/23",        // Teredo, benchmarks, ORCHID and the like
	"2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

var publicIPv6 = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Public tells whether an address is one of the internet, and not of this machine, its network, its cloud, or of a tunnel to any of them.
func Public(at netip.Addr) bool {
	at = at.Unmap()
	if !at.IsValid() || at.Zone() != "" || at.Is6() && !publicIPv6.Contains(at) {
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(at) })
}

// Options of NewClient. What is left out is the system's.
type Options struct {
	// Lookup finds the addresses of a name.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to an address, which is public.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the authorities that receivers' certificates must be from.
	Roots *x509.CertPool
	// Timeout of a delivery in all: 10 s.
	Timeout time.Duration
}

// NewClient makes a client that sends to public addresses over https alone, straight to them, and follows no redirects: it returns them as answers. The
// errors of its calls wrap a Refusal where it was the address.
func NewClient(o Options) *http.Client {
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	return &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: checked{&http.Transport{
			DialContext:            o.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true, // what a receiver packs small may be large
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		}},
	}
}

// checked checks the address of every request, also of those that were stored before the rules were what they are.
type checked struct{ *http.Transport }

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := check(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	return c.Transport.RoundTrip(r)
}

// dial looks a name up once, and connects to what it has found and checked. A name that leads to one address that is not public is not trusted with others.
func (o Options) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, NoURL
	}
	var found []netip.Addr
	if literal, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{literal}
	} else if found, err = o.Lookup(ctx, host); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(found, func(at netip.Addr) bool { return !Public(at) }) {
		return nil, NotPublic
	}
	failed := errors.New("the name has no address")
	for _, at := range found {
		conn, err := o.Dial(ctx, network, net.JoinHostPort(at.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}
