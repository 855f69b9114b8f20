package main

import (
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

//go:embed web
var web embed.FS

// outageTime is long enough to see what happens, and to type something.
const outageTime = 3 * time.Second

// newSite serves the page, its button, and under the same address the Phoenix
// server, so that the page works wherever it is reached from.
func newSite(r *room, outage time.Duration) http.Handler {
	files, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the directory is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.HandleFunc("POST /cut", func(w http.ResponseWriter, _ *http.Request) {
		r.cut(outage)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]int64{"back_in_ms": outage.Milliseconds()}) //nolint:errcheck,errchkjson,gosec // the page does not wait for it
	})
	mux.Handle("/socket/", phoenixProxy(r))
	// Pages of others must not press the button, and this one loads nothing of theirs.
	protected := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Set("Cache-Control", "no-cache")
		protected.ServeHTTP(w, req)
	})
}

func phoenixProxy(r *room) http.Handler {
	target, err := url.Parse(r.URL())
	if err != nil {
		panic(err) // the server has made it
	}
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: target.Host})
		},
		Transport: r.HTTPClient().Transport,
		// That the server is away now and then is the point.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}
