package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/lastunit/lastunit/internal/report"
	"github.com/lastunit/lastunit/internal/shop"
	"github.com/lastunit/lastunit/web"
)

// The addresses of the pages, which tell by themselves what to show: the storefront's and the desk's.
var (
	storefrontPaths = []string{"/", "/cart", "/orders", "/orders/{id:[0-9a-f-]+}", "/products/{sku:[A-Za-z0-9._-]+}"}
	deskPaths       = []string{"/desk", "/desk/{view:[a-z-]+}", "/desk/{view:[a-z-]+}/{id:[A-Za-z0-9._-]+}"}
)

// site serves the built pages.
type site struct {
	files  map[string]*siteFile // by path, such as /assets/desk-1a2b3c4d.js
	policy string               // Content-Security-Policy
}

type siteFile struct {
	contentType string
	caching     string
	plain, gzip encoded // gzip has no body where it would save nothing
}

type encoded struct {
	etag string
	body []byte
}

// hashed is what a bundler calls a file after its content.
var hashed = regexp.MustCompile(`^/assets/.+-[A-Za-z0-9_-]{8}\.[a-z0-9]+$`)

// newSite makes the site. imageOrigins are where pictures may come from besides the service itself.
func newSite(imageOrigins []string) (*site, error) {
	files, err := siteFiles()
	return &site{files: files, policy: contentPolicy(imageOrigins)}, err
}

// siteFiles reads and compresses everything, once.
var siteFiles = sync.OnceValues(func() (map[string]*siteFile, error) {
	all := map[string]*siteFile{}
	err := fs.WalkDir(web.Pages, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(web.Pages, name)
		if err != nil {
			return err
		}
		all["/"+name] = newSiteFile("/"+name, body)
		return nil
	})
	return all, err
})

// contentPolicy lets the style of a sale's report pass as well: the desk shows it at an address of its own making, which inherits the desk's policy.
func contentPolicy(imageOrigins []string) string {
	images := strings.Join(append([]string{"img-src 'self' data:"}, imageOrigins...), " ")
	return "default-src 'none'; script-src 'self'; style-src 'self' " + report.StyleSource + "; " + images +
		"; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func newSiteFile(name string, body []byte) *siteFile {
	sum := sha256.Sum256(body)
	tag := hex.EncodeToString(sum[:12])
	f := &siteFile{
		contentType: contentType(name),
		caching:     "no-cache", // asked for again each time, and mostly answered with 304
		plain:       encoded{`"` + tag + `"`, body},
	}
	switch {
	case hashed.MatchString(name):
		f.caching = "public, max-age=31536000, immutable"
	case !strings.HasSuffix(name, ".html"):
		f.caching = "public, max-age=3600"
	}
	var small bytes.Buffer
	w, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // the level is one
	_, _ = w.Write(body)
	_ = w.Close()
	if small.Len() < len(body) {
		f.gzip = encoded{`"` + tag + `-gzip"`, small.Bytes()}
	}
	return f
}

// contentType does not ask the machine, whose table of types may be any.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if known := mime.TypeByExtension(path.Ext(name)); known != "" {
		return known
	}
	return "application/octet-stream"
}

// routes adds the pages and their files. What is none of them stays for the router to refuse.
func (s *site) routes(router chi.Router) {
	page := func(file string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.files[file], status) }
	}
	get := func(path string, handler http.HandlerFunc) {
		router.Get(path, handler)
		router.Head(path, handler)
	}
	for _, path := range storefrontPaths {
		get(path, page("/index.html", http.StatusOK))
	}
	for _, path := range deskPaths {
		get(path, page("/desk/index.html", http.StatusOK))
	}
	for name := range s.files {
		if !strings.HasSuffix(name, ".html") {
			get(name, page(name, http.StatusOK))
		}
	}
	nowhere := page("/index.html", http.StatusNotFound)
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		if isForPeople(r) {
			nowhere(w, r)
			return
		}
		writeProblem(w, r, newProblem(shop.NotFound, noSuchAddress))
	})
}

const noSuchAddress = "There is nothing at this address. See /docs for what there is."

// isForPeople tells a browser that goes somewhere from a program that asks for something.
func isForPeople(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !strings.HasPrefix(r.URL.Path, "/api") &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (s *site) serve(w http.ResponseWriter, r *http.Request, f *siteFile, status int) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.caching)
	h.Set("Content-Security-Policy", s.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	chosen := f.plain
	if f.gzip.body != nil {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			chosen = f.gzip
			h.Set("Content-Encoding", "gzip")
		}
	}
	if status == http.StatusOK {
		h.Set("ETag", chosen.etag)
		if known(r.Header.Get("If-None-Match"), chosen.etag) {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(chosen.body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(chosen.body)
	}
}

// takesGzip reads Accept-Encoding, in which q=0 means no.
func takesGzip(accepted string) bool {
	for part := range strings.SplitSeq(accepted, ",") {
		coding, weight, weighed := strings.Cut(strings.ReplaceAll(part, " ", ""), ";q=")
		if coding != "gzip" && coding != "*" {
			continue
		}
		q, err := strconv.ParseFloat(weight, 64)
		return !weighed || err == nil && q > 0
	}
	return false
}

// known tells whether If-None-Match names a tag.
func known(given, etag string) bool {
	for part := range strings.SplitSeq(given, ",") {
		if part = strings.TrimPrefix(strings.TrimSpace(part), "W/"); part == etag || part == "*" {
			return true
		}
	}
	return false
}
