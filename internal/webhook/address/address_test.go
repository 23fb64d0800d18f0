package address_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lastunit/lastunit/internal/webhook/address"
)

// tricks are addresses that lead, or may lead, where a webhook has no business.
var tricks = map[string]address.Refusal{
	// Not https, or no URL at all.
	"":                               address.NoURL,
	"example.com/hook":               address.NoURL,
	"//example.com/hook":             address.NoURL,
	"https:example.com":              address.NoURL,
	"https:///hook":                  address.BadHost,
	"https://":                       address.BadHost,
	"https://?a":                     address.BadHost,
	"http://example.com/":            address.NotHTTPS,
	"ftp://example.com/":             address.NotHTTPS,
	"file:///etc/passwd":             address.NotHTTPS,
	"gopher://example.com:70/_x":     address.NotHTTPS,
	"unix:///run/docker.sock":        address.NotHTTPS,
	"javascript:alert(1)":            address.NoURL,
	"data:text/plain,x":              address.NoURL,
	" https://example.com/":          address.NoURL,
	"https://example.com/\r\nX: 1":   address.NoURL,
	"https://example.com/\x00":       address.NoURL,
	"https://exam\tple.com/":         address.NoURL,
	`https://example.com\@127.0.0.1`: address.NoURL,
	`https:\\127.0.0.1/`:             address.NoURL,
	"https://example.com/#f":         address.Fragment,
	"https://example.com/" + strings.Repeat("a", 2000): address.NoURL,

	// Users, and what looks like a host before one.
	"https://user@example.com/":            address.UserInfo,
	"https://user:pass@example.com/":       address.UserInfo,
	"https://example.com@127.0.0.1/":       address.UserInfo,
	"https://example.com%40@127.0.0.1/":    address.UserInfo,
	"https://:@example.com/":               address.UserInfo,
	"https://example.com:443@169.254.1.1/": address.UserInfo,
	"https://127.0.0.1#@example.com/":      address.Fragment,
	"https://127.0.0.1%23.example.com/":    address.NoURL,
	"https://127.0.0.1%2f.example.com/":    address.NoURL,
	"https://%31%32%37.0.0.1/":             address.NoURL,

	// Ports.
	"https://example.com:22/":    address.BadPort,
	"https://example.com:25/":    address.BadPort,
	"https://example.com:80/":    address.BadPort,
	"https://example.com:0/":     address.BadPort,
	"https://example.com:65536/": address.BadPort,
	"https://example.com:/":      address.BadPort,
	"https://example.com:-1/":    address.NoURL,
	"https://example.com:0443/":  address.BadPort,
	"https://example.com:443:8/": address.NoURL,

	// IPv4 that is not public.
	"https://127.0.0.1/":       address.NotPublic,
	"https://127.255.255.254/": address.NotPublic,
	"https://0.0.0.0/":         address.NotPublic,
	"https://0.1.2.3/":         address.NotPublic,
	"https://10.0.0.1/":        address.NotPublic,
	"https://172.16.0.1/":      address.NotPublic,
	"https://172.31.255.255/":  address.NotPublic,
	"https://192.168.1.1/":     address.NotPublic,
	"https://169.254.169.254/": address.NotPublic,
	"https://169.254.170.2/":   address.NotPublic,
	"https://100.64.0.1/":      address.NotPublic,
	"https://100.100.100.200/": address.NotPublic,
	"https://192.0.0.192/":     address.NotPublic,
	"https://168.63.129.16/":   address.NotPublic,
	"https://192.0.2.1/":       address.NotPublic,
	"https://198.51.100.1/":    address.NotPublic,
	"https://203.0.113.1/":     address.NotPublic,
	"https://198.18.0.1/":      address.NotPublic,
	"https://192.88.99.1/":     address.NotPublic,
	"https://224.0.0.1/":       address.NotPublic,
	"https://239.255.255.255/": address.NotPublic,
	"https://240.0.0.1/":       address.NotPublic,
	"https://255.255.255.255/": address.NotPublic,
	"https://127.0.0.1:8443/":  address.NotPublic,
	"https://2130706433/":      address.BadHost, // 127.0.0.1, as the others here
	"https://0x7f000001/":      address.BadHost,
	"https://017700000001/":    address.BadHost,
	"https://0177.0.0.1/":      address.BadHost,
	"https://0x7f.0.0.1/":      address.BadHost,
	"https://0X7F.1/":          address.BadHost,
	"https://127.1/":           address.BadHost,
	"https://127.0.1/":         address.BadHost,
	"https://127.0.0.01/":      address.BadHost,
	"https://127.0.0.1./":      address.BadHost,
	"https://00127.0.0.1/":     address.BadHost,
	"https://256.0.0.1/":       address.BadHost,
	"https://1.1.1.1.1/":       address.BadHost,
	"https://１２７.０.０.１/":       address.BadHost,
	"https://①②⑦.⓪.⓪.①/":       address.BadHost,
	"https://127。0。0。1/":       address.BadHost,

	// IPv6 that is not public, or leads to IPv4.
	"https://[::1]/":                            address.NotPublic,
	"https://[0:0:0:0:0:0:0:1]/":                address.NotPublic,
	"https://[::]/":                             address.NotPublic,
	"https://[::127.0.0.1]/":                    address.NotPublic,
	"https://[::ffff:127.0.0.1]/":               address.NotPublic,
	"https://[::ffff:7f00:1]/":                  address.NotPublic,
	"https://[::ffff:8.8.8.8]/":                 address.NotPublic,
	"https://[::ffff:0:127.0.0.1]/":             address.NotPublic,
	"https://[64:ff9b::127.0.0.1]/":             address.NotPublic,
	"https://[64:ff9b::a9fe:a9fe]/":             address.NotPublic,
	"https://[64:ff9b:1::a00:1]/":               address.NotPublic,
	"https://[2002:7f00:1::]/":                  address.NotPublic,
	"https://[2002:a00:1::1]/":                  address.NotPublic,
	"https://[2001::1]/":                        address.NotPublic,
	"https://[2001:0:53aa:64c:0:fbff:f500:1]/":  address.NotPublic,
	"https://[2001:10::1]/":                     address.NotPublic,
	"https://[2001:db8::1]/":                    address.NotPublic,
	"https://[3fff::1]/":                        address.NotPublic,
	"https://[fc00::1]/":                        address.NotPublic,
	"https://[fd00:ec2::254]/":                  address.NotPublic,
	"https://[fd20:ce::254]/":                   address.NotPublic,
	"https://[fe80::1]/":                        address.NotPublic,
	"https://[fe80::1%25eth0]/":                 address.NotPublic,
	"https://[2606:4700:4700::1111%25lo]/":      address.NotPublic,
	"https://[fec0::1]/":                        address.NotPublic,
	"https://[ff02::1]/":                        address.NotPublic,
	"https://[100::1]/":                         address.NotPublic,
	"https://[5f00::1]/":                        address.NotPublic,
	"https://[::1/":                             address.NoURL,
	"https://::1/":                              address.NoURL,
	"https://[127.0.0.1]/":                      address.NoURL,
	"https://[example.com]/":                    address.NoURL,
	"https://[0000:0000:0000:0000::127.0.0.1]/": address.NotPublic,

	// Names that lead inwards, or are none.
	"https://localhost/":                                 address.BadHost,
	"https://LOCALHOST/":                                 address.BadHost,
	"https://localhost./":                                address.BadHost,
	"https://a.localhost/":                               address.BadHost,
	"https://localhost.localdomain/":                     address.BadHost,
	"https://printer.local/":                             address.BadHost,
	"https://metadata.google.internal/":                  address.BadHost,
	"https://metadata/":                                  address.BadHost,
	"https://db.internal/":                               address.BadHost,
	"https://kubernetes.default.svc.lan":                 address.BadHost,
	"https://nas.home.arpa/":                             address.BadHost,
	"https://1.0.0.127.in-addr.arpa/":                    address.BadHost,
	"https://abc.onion/":                                 address.BadHost,
	"https://example/":                                   address.BadHost,
	"https://example.com./":                              address.BadHost,
	"https://.example.com/":                              address.BadHost,
	"https://a..example.com/":                            address.BadHost,
	"https://-a.example.com/":                            address.BadHost,
	"https://a_b.example.com/":                           address.BadHost,
	"https://*.example.com/":                             address.BadHost,
	"https://bücher.example.com/":                        address.BadHost,
	"https://еxample.com/":                               address.BadHost, // the first letter is Cyrillic
	"https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/":                                 address.BadHost,
	"https://lo\u00adcalhost/":                           address.BadHost,
	"https://example.com\u2044a/":                        address.BadHost,
	"https://" + strings.Repeat("a", 64) + ".com/":       address.BadHost,
	"https://" + strings.Repeat("a.", 130) + "com/":      address.BadHost,
	"https://example.com,127.0.0.1/":                     address.BadHost,
	"https://example.com;127.0.0.1/":                     address.BadHost,
	"https://example.com&127.0.0.1/":                     address.BadHost,
	"https://example.com|127.0.0.1/":                     address.NoURL,
	"https://" + strings.Repeat("1", 300) + "/":          address.BadHost,
	"https://xn--bcher-kva.example.com.0x7f000001/":      address.BadHost,
	"https://169.254.169.254.nip.io.localhost:65535/a?b": address.BadHost,
}

func TestTricks(t *testing.T) {
	t.Parallel()
	if len(tricks) < 60 {
		t.Fatalf("only %d tricks", len(tricks))
	}
	// What would be dialled if a trick got through is this machine.
	client := address.NewClient(address.Options{
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
		},
		Dial: func(_ context.Context, _, at string) (net.Conn, error) {
			t.Errorf("%s was dialled", at)
			return nil, errors.New("dialled")
		},
	})
	for text, want := range tricks {
		if _, err := address.Parse(text); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
		// What was stored before it was checked is not sent to either. net/http leaves an empty port out by itself.
		if want == address.NoURL || text == "https://example.com:/" {
			continue
		}
		if r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, text, nil); err == nil {
			resp, err := client.Do(r)
			if err == nil {
				_ = resp.Body.Close()
				t.Errorf("%q was sent to", text)
			}
		}
	}
}

func TestGoodAddresses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"https://example.com", "https://example.com/", "https://EXAMPLE.com:443/a?b=c%20d", "https://hooks.example.co.uk:8443/x", "https://example.com:1024", "https://example.com:65535",
		"https://xn--bcher-kva.example.com/", "https://8.8.8.8/", "https://172.15.0.1/", "https://172.32.0.1/", "https://100.63.255.255/", "https://100.128.0.1/", "https://11.0.0.1/",
		"https://[2606:4700:4700::1111]/", "https://[2a00:1450:4001::200e]:8443/", "https://[2001:4860:4860::8888]/", "https://1a.example.com/", "https://localhost.example.com/",
	} {
		u, err := address.Parse(text)
		if err != nil || u.String() != text {
			t.Errorf("%q: got %v, %v", text, u, err)
		}
	}
}

// receiver is a webhook's, at https://example.com, wherever that leads: what is dialled is noted, and connected to it.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	dialled []string
	asked   int
}

func newReceiver(t *testing.T, h http.HandlerFunc) *receiver {
	r := &receiver{Server: httptest.NewUnstartedServer(h)}
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

// client looks names up in turns, the last again and again.
func (r *receiver) client(turns ...[]string) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	return address.NewClient(address.Options{
		Roots: roots,
		Lookup: func(context.Context, string) (found []netip.Addr, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, text := range turns[min(r.asked, len(turns)-1)] {
				found = append(found, netip.MustParseAddr(text))
			}
			r.asked++
			return found, nil
		},
		Dial: func(ctx context.Context, network, at string) (net.Conn, error) {
			r.mu.Lock()
			r.dialled = append(r.dialled, at)
			r.mu.Unlock()
			return (&net.Dialer{}).DialContext(ctx, network, r.Listener.Addr().String())
		},
	})
}

// send posts to a URL and returns the status, 0 where there was no answer.
func send(t *testing.T, c *http.Client, url string) (int, error) {
	t.Helper()
	resp, err := c.Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

func TestWhatANameLeadsTo(t *testing.T) {
	t.Parallel()
	for name, found := range map[string][]string{
		"loopback": {"127.0.0.1"}, "IPv6 loopback": {"::1"}, "private": {"10.1.2.3"}, "mapped": {"::ffff:10.1.2.3"}, "metadata": {"169.254.169.254"}, "NAT64": {"64:ff9b::a00:1"},
		"unique local": {"fd00:ec2::254"}, "one of two": {"8.8.8.8", "192.168.0.1"}, "the other of two": {"::1", "8.8.8.8"}, "link-local": {"fe80::1%eth0"}, "unspecified": {"0.0.0.0"},
	} {
		r := newReceiver(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s was sent to", name) })
		_, err := send(t, r.client(found), "https://example.com/")
		if !errors.Is(err, address.NotPublic) || len(r.dialled) > 0 {
			t.Errorf("%s: got %v, and %v was dialled", name, err, r.dialled)
		}
		if err != nil && strings.Contains(err.Error(), found[0]) {
			t.Errorf("%s: whoever named it learns %v", name, err)
		}
	}
}

// TestRebinding: a name that was public when it was looked up is connected to as that, and one that is private at the next connection is not.
func TestRebinding(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	c := r.client([]string{"93.184.215.14"}, []string{"127.0.0.1"})
	if status, err := send(t, c, "https://example.com/"); status != 200 || err != nil {
		t.Fatalf("got %d, %v", status, err)
	}
	if _, err := send(t, c, "https://example.com/"); !errors.Is(err, address.NotPublic) {
		t.Errorf("got %v when the name leads to this machine", err)
	}
	if want := []string{"93.184.215.14:443"}; !slices.Equal(r.dialled, want) || r.asked != 2 {
		t.Errorf("looked up %d times, dialled %v, want %v", r.asked, r.dialled, want)
	}
}

// TestMappedIsPlain: what a resolver writes as IPv6 is dialled as the IPv4 that it is.
func TestMappedIsPlain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	if status, err := send(t, r.client([]string{"::ffff:8.8.8.8"}), "https://example.com:8443/"); status != 200 || r.dialled[0] != "8.8.8.8:8443" {
		t.Errorf("got %d, %v, dialled %v", status, err, r.dialled)
	}
}

// TestRedirects are answers, wherever they lead.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"https://127.0.0.1/", "http://example.com/", "https://example.com/other", "file:///etc/passwd", "//169.254.169.254/"} {
		asked := 0
		r := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		if status, err := send(t, r.client([]string{"8.8.8.8"}), "https://example.com/"); status != 307 || err != nil || asked != 1 {
			t.Errorf("%s: got %d, %v after %d requests", to, status, err, asked)
		}
	}
}

// TestReceiversAreWhoTheySay: the certificate is that of the name, by an authority that is trusted.
func TestReceiversAreWhoTheySay(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) { t.Error("somebody else was sent to") })
	if _, err := send(t, r.client([]string{"8.8.8.8"}), "https://hooks.lastunit.dev/"); err == nil {
		t.Error("another's certificate was taken")
	}
}

func FuzzParse(f *testing.F) {
	for text := range tricks {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := address.Parse(text)
		if err != nil {
			if _, is := errors.AsType[address.Refusal](err); !is {
				t.Errorf("%q: %v is no refusal", text, err)
			}
			return
		}
		again, err := address.Parse(u.String())
		if err != nil || again.Host != u.Host || u.Scheme != "https" || u.User != nil {
			t.Errorf("%q is read as %q, which is read as %v, %v", text, u, again, err)
		}
		if at, err := netip.ParseAddr(u.Hostname()); err == nil && (!address.Public(at) || at.IsLoopback() || at.IsPrivate() || at.IsLinkLocalUnicast() || at.IsMulticast() || at.IsUnspecified()) {
			t.Errorf("%q leads to %v", text, at)
		}
	})
}
