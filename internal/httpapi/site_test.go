package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/report"
	"github.com/lastunit/lastunit/web"
)

// newSite serves the pages alone: they need no shop.
func newSite(t *testing.T, imageOrigins ...string) func(method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	handler, err := httpapi.New(t.Context(), nil, httpapi.Options{ImageOrigins: imageOrigins, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return func(method, path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
}

func TestPagesAreServed(t *testing.T) {
	t.Parallel()
	send := newSite(t)
	storefront, desk := send("GET", "/").Body.String(), send("GET", "/desk").Body.String()
	if !strings.Contains(storefront, "/assets/storefront-") || !strings.Contains(desk, "/assets/desk-") {
		t.Fatalf("the pages are\n%s\n%s", storefront, desk)
	}
	for path, want := range map[string]string{
		"/": storefront, "/cart": storefront, "/orders": storefront, "/orders/019b1234-5678-7abc-8def-0123456789ab": storefront, "/products/mug": storefront,
		"/desk": desk, "/desk/sales": desk, "/desk/sales/019b1234-5678-7abc-8def-0123456789ab": desk,
	} {
		w := send("GET", path)
		if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: got %d %v", path, w.Code, w.Header())
		}
		if head := send("HEAD", path); head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
			t.Errorf("HEAD %s: got %d %v", path, head.Code, head.Header())
		}
		again := send("GET", path, "If-None-Match", w.Header().Get("ETag"))
		if again.Code != 304 || again.Body.Len() != 0 {
			t.Errorf("%s again: got %d", path, again.Code)
		}
		if other := send("GET", path, "If-None-Match", `"other"`); other.Code != 200 {
			t.Errorf("%s of another version: got %d", path, other.Code)
		}
	}
}

func TestWhatIsNoPageIsNotFound(t *testing.T) {
	t.Parallel()
	send := newSite(t)
	storefront := send("GET", "/").Body.String()
	for _, path := range []string{"/nowhere", "/products", "/products/", "/products/mug/1", "/assets/", "/assets/none.js", "/index.html", "/desk/index.html", "/orders/", "/../go.mod", "/api/v1/nothing"} {
		if w := send("GET", path); w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: a program gets %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		w := send("GET", path, "Accept", "text/html,*/*;q=0.8")
		if api := strings.HasPrefix(path, "/api"); w.Code != 404 || (w.Body.String() == storefront) == api || w.Header().Get("ETag") != "" {
			t.Errorf("%s: a person gets %d %.60s", path, w.Code, w.Body)
		}
	}
	if w := send("POST", "/", "Accept", "text/html"); w.Code != 405 {
		t.Errorf("POST /: got %d", w.Code)
	}
}

func TestPagesHeaders(t *testing.T) {
	t.Parallel()
	send := newSite(t, "https://images.example", "http://localhost:9000")
	for _, path := range []string{"/", "/desk", "/favicon.svg"} {
		h := send("GET", path).Header()
		policy := "default-src 'none'; script-src 'self'; style-src 'self' " + report.StyleSource + "; img-src 'self' data: https://images.example http://localhost:9000; " +
			"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
		if got := h.Get("Content-Security-Policy"); got != policy {
			t.Errorf("%s: the policy is %s", path, got)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Permissions-Policy") == "" {
			t.Errorf("%s: the headers are %v", path, h)
		}
	}
}

func TestPagesFiles(t *testing.T) {
	t.Parallel()
	send := newSite(t)
	external := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+(?:\.[a-z0-9-]+)+`)
	inline := regexp.MustCompile(`<style|\sstyle=|\son[a-z]+=|<script[^>]*>[^<]|javascript:`)
	each(t, func(name string, body []byte) {
		if strings.HasSuffix(name, ".html") {
			if found := inline.FindString(string(body)); found != "" {
				t.Errorf("%s has %s, which the policy forbids", name, found)
			}
		}
		for _, found := range external.FindAllString(string(body), -1) {
			// Names of XML vocabularies, which nobody fetches.
			if !strings.HasPrefix(found, "http://www.w3.org") {
				t.Errorf("%s names %s: nothing may leave the origin", name, found)
			}
		}
		if strings.Contains(name, ".map") || bytes.Contains(body, []byte("sourceMappingURL")) {
			t.Errorf("%s is, or has, a source map", name)
		}
		if strings.HasSuffix(name, ".html") {
			return
		}
		w := send("GET", "/"+name)
		caching := "public, max-age=3600"
		if strings.HasPrefix(name, "assets/") {
			caching = "public, max-age=31536000, immutable"
		}
		if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), body) || w.Header().Get("Cache-Control") != caching {
			t.Errorf("%s: got %d %v", name, w.Code, w.Header())
		}
	})
}

func TestPagesAreCompressed(t *testing.T) {
	t.Parallel()
	send := newSite(t)
	each(t, func(name string, body []byte) {
		if !strings.HasPrefix(name, "assets/") || len(body) < 1000 {
			return
		}
		w := send("GET", "/"+name, "Accept-Encoding", "br;q=1.0, gzip;q=0.8, *;q=0.1")
		r, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, body) || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v %v", name, err, w.Header())
		}
		plain := send("GET", "/"+name, "Accept-Encoding", "gzip;q=0, br")
		if plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("ETag") == w.Header().Get("ETag") || plain.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: who takes no gzip gets %v", name, plain.Header())
		}
	})
}

func each(t *testing.T, visit func(name string, body []byte)) {
	t.Helper()
	n := 0
	err := fs.WalkDir(web.Pages, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(web.Pages, name)
		n++
		visit(name, body)
		return err
	})
	if err != nil || n < 4 {
		t.Fatalf("%d files: %v", n, err)
	}
}
