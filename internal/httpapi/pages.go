package httpapi

import (
	"html/template"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/swaggest/swgui/v5emb"

	"github.com/lastunit/lastunit/internal/shop"
)

var problemPage = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{if .Code}}{{.Code}}: {{end}}lastunit problems</title>
<style>
:root { color-scheme: light dark; }
body { font: 17px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1.25rem; }
code { font: 0.95em ui-monospace, monospace; }
.status { color: color-mix(in srgb, currentColor 65%, transparent); }
li { margin: .3rem 0; }
</style>
{{if .Code}}
<p class="status"><a href="/problems">Problems</a> / <code>{{.Code}}</code> · HTTP {{.Status}}</p>
<h1>{{.Title}}</h1>
<h2>What it means</h2><p>{{.Meaning}}</p>
<h2>What to do</h2><p>{{.Advice}}</p>
{{else}}
<h1>Problems</h1>
<p>Every answer of lastunit that is not a success is a problem of one of these codes.</p>
<ul>{{range .All}}<li><a href="/problems/{{.}}"><code>{{.}}</code></a></li>{{end}}</ul>
{{end}}
</html>
`))

type problemView struct {
	Code                   shop.Code
	Status                 int
	Title, Meaning, Advice string
	All                    []shop.Code
}

// pages are for people: the document to click through, and what each problem means.
func (a *api) pages(router chi.Router) {
	docs := v5emb.New("lastunit", "/openapi.json", "/docs/")
	router.Get("/docs/*", docs.ServeHTTP)
	router.Get("/docs", http.RedirectHandler("/docs/", http.StatusFound).ServeHTTP)
	router.Get("/problems", func(w http.ResponseWriter, _ *http.Request) { writePage(w, problemView{All: codes()}) })
	router.Get("/problems/{code}", func(w http.ResponseWriter, r *http.Request) {
		code := shop.Code(chi.URLParam(r, "code"))
		k, known := kinds[code]
		if !known {
			writeProblem(w, r, newProblem(shop.NotFound, "There is no such problem code. /problems lists them."))
			return
		}
		writePage(w, problemView{Code: code, Status: k.status, Title: k.title, Meaning: k.meaning, Advice: k.advice})
	})
}

func writePage(w http.ResponseWriter, v problemView) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")
	_ = problemPage.Execute(w, v)
}
